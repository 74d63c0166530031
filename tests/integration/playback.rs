//! Recordings played back through the gateway (ONVIF Streaming Specification §6), to a client of our own: players at
//! hand cannot ask for them.
#![expect(clippy::print_stderr, reason = "figures are said")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use cordon::{
    clock::{Clock, SimulatedClock, SystemClock},
    limits::{HTTP_WRITE_STALL_MAX, REPLAY_IDLE_MAX, STREAM_PACKETS_PER_SECOND_MAX},
    sim::Oddity,
};
use serde_json::Value;

use crate::{
    bad_streams::flood,
    client,
    house::{CAMERA_SIDE, House, LOBBY, VIEWER},
    streams::{Answer, Player},
    tunnels::{self, Tunnel},
};

/// Seconds from 1900 to the first moment of the recording, 2026-11-20T00:00:00Z (RFC 5905 §6).
const BEGINS: u64 = 2_208_988_800 + 1_795_132_800;
/// Pictures of the recording, ten a second.
const PICTURES: u64 = 72_000;
const REQUIRE: &str = "Require: onvif-replay\r\n";

/// The address of a recording, as a VMS gets it.
pub fn address(house: &House, protocol: &str) -> String {
    let body = format!(
        "<x:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>{protocol}</tt:Protocol>\
         </tt:Transport></x:StreamSetup><x:RecordingToken>OnboardRecording_1</x:RecordingToken>"
    );
    let body = client::within("http://www.onvif.org/ver10/replay/wsdl", "GetReplayUri", &body);
    let reply = client::ask(house.door(LOBBY), "replay", VIEWER, &body);
    reply.element("Uri").unwrap_or_else(|| panic!("{}", reply.text()))
}

/// What the extension of a packet says.
#[derive(Debug, PartialEq)]
struct Told {
    /// The picture it is of, counted from the beginning.
    picture: u64,
    flags: u8,
    cseq: u8,
}

/// A packet's number, and its extension if it has one, which must be a recording's.
fn read(packet: &[u8]) -> (u16, Option<Told>) {
    let sequence = u16::from_be_bytes([packet[2], packet[3]]);
    if packet[0] & 0x10 == 0 {
        return (sequence, None);
    }
    assert_eq!(packet[12..16], [0xab, 0xac, 0, 3], "no other extension");
    assert_eq!((packet[24] & 0x0f, &packet[26..28]), (0, &[0, 0][..]), "what must be zero is");
    let ntp = u64::from_be_bytes(packet[16..24].try_into().unwrap());
    let tenths = ((ntp & 0xffff_ffff) * 10 + (1 << 31)) >> 32;
    let picture = ((ntp >> 32) - BEGINS) * 10 + tenths;
    (sequence, Some(Told { picture, flags: packet[24] & 0xf0, cseq: packet[25] }))
}

/// A client that has a recording described and its pictures set up.
struct Watcher<S = TcpStream> {
    player: Player<S>,
    session: String,
    /// Number and timestamp of the first packet.
    first: Option<(u16, u32)>,
    last: Option<u16>,
    packets: u64,
    /// What extensions said before an answer.
    seen: Vec<Told>,
}

impl Watcher {
    fn open(house: &House) -> Self {
        Self::over(Player::connect(house, &address(house, "RTSP"), VIEWER))
    }
}

impl<S: Read + Write> Watcher<S> {
    fn over(mut player: Player<S>) -> Self {
        let described = player.ask("DESCRIBE", "", REQUIRE);
        assert_eq!(described.status, 200, "{}", described.head);
        for track in ["VIDEO001", "AUDIO001", "META001"] {
            assert!(described.body.contains(&format!("a=x-onvif-track:{track}\r\n")), "{}", described.body);
        }
        for text in CAMERA_SIDE {
            assert!(!described.body.contains(text) && !described.head.contains(text), "{text}");
        }
        let asked = format!("{REQUIRE}Transport: RTP/AVP/TCP;unicast;interleaved=4-5\r\n");
        let answer = player.ask("SETUP", "/stream=0", &asked);
        assert_eq!(answer.status, 200, "{}", answer.head);
        let session = answer.field("Session").unwrap().split_once(';').unwrap().0.to_owned();
        Self { player, session, first: None, last: None, packets: 0, seen: Vec::new() }
    }

    /// Asks; what comes before the answer is of what was asked before.
    fn ask(&mut self, method: &str, fields: &str) -> Answer {
        let fields = format!("{REQUIRE}Session: {}\r\n{fields}", self.session);
        self.player.send(method, "", &fields);
        loop {
            match self.player.next().unwrap() {
                Ok(answer) => return answer,
                Err(frame) => {
                    let told = self.take(&frame);
                    self.seen.extend(told);
                }
            }
        }
    }

    /// Takes a packet: all have numbers in a row, on the channel that was asked for.
    fn take(&mut self, (channel, packet): &(u8, Vec<u8>)) -> Option<Told> {
        if *channel == 5 {
            return None;
        }
        assert_eq!(*channel, 4);
        let (sequence, told) = read(packet);
        assert!(self.last.is_none_or(|it| sequence == it.wrapping_add(1)), "{:?} {sequence}", self.last);
        self.last = Some(sequence);
        self.first.get_or_insert((sequence, u32::from_be_bytes(packet[4..8].try_into().unwrap())));
        self.packets += 1;
        told
    }

    /// What the extensions say up to the one that says that it is the last.
    fn rest(&mut self) -> Vec<Told> {
        let mut all = std::mem::take(&mut self.seen);
        loop {
            let frame = self.player.frame().unwrap();
            let Some(told) = self.take(&frame) else { continue };
            let last = told.flags & 0x10 != 0;
            all.push(told);
            if last {
                return all;
            }
        }
    }
}

fn pictures(told: &[Told]) -> Vec<u64> {
    told.iter().map(|it| it.picture).collect()
}

#[test]
fn parts_of_a_recording_come_in_their_order_with_their_times_and_numbers() {
    let mut house = House::open();
    let mut watcher = Watcher::open(&house);
    // Numbers of the client that are far from those at the camera.
    watcher.player.cseq = 1_000;
    let part = "Range: clock=20261120T000010Z-20261120T000012Z\r\n";
    let playing = watcher.ask("PLAY", &format!("{part}Rate-Control: no\r\n"));
    assert_eq!(
        (playing.status, playing.field("Range")),
        (200, Some("clock=20261120T000010Z-20261120T000012.1Z"))
    );
    let info = playing.field("RTP-Info").unwrap().to_owned();
    let told = watcher.rest();
    // The first packet of the last picture says that it is the last: three more come of it.
    let first_part = watcher.packets + 3;
    let at = address(&house, "RTSP");
    let begins = watcher.first.unwrap();
    assert_eq!(info, format!("url={at}/stream=0;seq={};rtptime={}", begins.0, begins.1));
    assert_eq!(pictures(&told), (100..=120).collect::<Vec<_>>());
    assert!(told.iter().all(|it| it.cseq == (1_001_u32 & 0xff) as u8), "{told:?}");
    let flags = |at: usize| told[at].flags;
    assert_eq!(
        [flags(0), flags(1), flags(10), flags(20)],
        [0xa0, 0, 0x80, 0xd0],
        "clean points, jumps, the end"
    );
    // Another part in the same session, at its own pace, backwards.
    let back = "Range: clock=20261120T000001.5Z-20261120T000000Z\r\nScale: -1.0\r\nImmediate: yes\r\n";
    assert_eq!(watcher.ask("PLAY", back).status, 200);
    let told = watcher.rest();
    assert_eq!(pictures(&told), (10..20).chain(0..10).collect::<Vec<_>>());
    assert!(told.iter().all(|it| it.cseq == (1_002_u32 & 0xff) as u8), "{told:?}");
    // Only pictures that stand for themselves.
    assert_eq!(watcher.ask("PLAY", &format!("{part}Frames: intra/1000\r\nRate-Control: no\r\n")).status, 200);
    assert_eq!(pictures(&watcher.rest()), [100, 110, 120]);
    assert_eq!(watcher.ask("TEARDOWN", "").status, 200);
    let heard: Vec<_> = house.camera(LOBBY).log().into_iter().filter(|it| it.method == "PLAY").collect();
    let field = |at: usize, name: &str| {
        let found = heard[at].headers.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let first = ["Require", "Range", "Rate-Control", "Scale", "Immediate"].map(|it| field(0, it));
    assert_eq!(first, ["onvif-replay", "clock=20261120T000010Z-20261120T000012Z", "no", "", ""]);
    assert_eq!(["Scale", "Immediate", "Rate-Control"].map(|it| field(1, it)), ["-1.0", "yes", ""]);
    assert_eq!(field(2, "Frames"), "intra/1000");
    let set_up = house.camera(LOBBY).log().iter().filter(|it| it.method == "SETUP").count();
    assert_eq!(set_up, 1, "only what the client wants is set up");
    house.wait_for(|_| house.camera(LOBBY).log().iter().any(|it| it.method == "TEARDOWN"));
    house.stop();
    let records = house.records();
    let plays: Vec<_> = records
        .iter()
        .filter(|it| it["operation"] == "rtsp:REPLAY" && it["decision"] == "permitted")
        .collect();
    assert_eq!(plays.len(), 3, "each with a record of its own");
    for play in &plays {
        assert_eq!(
            (&play["who"]["name"], &play["class"]),
            (&Value::from(VIEWER.0), &Value::from("READ_MEDIA"))
        );
        assert_eq!(play["arguments"]["profile"], "OnboardRecording_1");
    }
    let outcome = records.iter().find(|it| it["intent"] == plays[0]["seq"]).unwrap();
    assert!(outcome["bytes"].as_u64().unwrap() > 5_000, "{outcome}");
    let note = outcome["note"].as_str().unwrap();
    let passed = note
        .strip_prefix("something else was asked for; fell behind 0 times, 0 bytes lost; from the camera ");
    let passed = passed.and_then(|it| it.strip_suffix(" packets passed, 0 dropped, 0 missing"));
    assert_eq!(passed, Some(first_part.to_string().as_str()), "{note}");
}

#[test]
fn nothing_of_a_recording_is_lost_and_the_camera_waits_for_its_viewer() {
    let house = House::open();
    let mut watcher = Watcher::open(&house);
    let mut other = Watcher::open(&house);
    // What the kernel holds for the client is no part of the question.
    let connection = watcher.player.stream.get_ref();
    rustix::net::sockopt::set_socket_recv_buffer_size(connection, 64 * 1024).unwrap();
    assert_eq!(watcher.ask("PLAY", "Rate-Control: no\r\n").status, 200);
    // Nothing is read until nothing more comes.
    let mut unread = vec![0; 1024 * 1024];
    let (mut waiting, mut still) = (0, 0);
    while still < 20 {
        let now = watcher.player.stream.get_ref().peek(&mut unread).unwrap();
        still = if now == waiting { still + 1 } else { 0 };
        waiting = now;
        std::thread::sleep(Duration::from_millis(25));
    }
    // Meanwhile another has it played for himself.
    assert_eq!(other.ask("PLAY", "Range: clock=20261120T000010Z-20261120T000010.5Z\r\n").status, 200);
    assert_eq!(pictures(&other.rest()), [100, 101, 102, 103, 104, 105]);
    assert_eq!(watcher.ask("PAUSE", "").status, 200);
    let before = watcher.seen.len();
    assert_eq!(watcher.ask("PLAY", "Rate-Control: no\r\n").status, 200);
    let seen = watcher.rest();
    assert!(before > 0 && (before as u64) < PICTURES / 4 * 3, "{before} pictures came before the pause");
    let wrong = (0..).zip(&seen).find(|(number, it)| *number != it.picture);
    assert_eq!((wrong, seen.len() as u64), (None, PICTURES), "none is missing, none comes twice");
    assert!(watcher.packets > PICTURES, "{} packets", watcher.packets);
    eprintln!("{before} of {PICTURES} pictures came unread; gaps 0 of n = {} packets", watcher.packets);
}

#[test]
fn a_recording_in_a_tunnel_waits_longer_than_a_reply_of_http() {
    let house = House::open();
    let address = address(&house, "HTTP");
    let connect = || tunnels::connect(house.door(LOBBY));
    let tunnel = Tunnel::over(connect(), connect(), tunnels::path(&address));
    rustix::net::sockopt::set_socket_recv_buffer_size(&tunnel.down, 64 * 1024).unwrap();
    let mut watcher = Watcher::over(Player::over(tunnel, &tunnels::rtsp(&address), VIEWER));
    assert_eq!(watcher.ask("PLAY", "Rate-Control: no\r\n").status, 200);
    // Nothing is waited for but the time itself, in which a reply that nobody takes is given up.
    std::thread::sleep(HTTP_WRITE_STALL_MAX + Duration::from_secs(2));
    let seen = watcher.rest();
    let wrong = (0..).zip(&seen).find(|(number, it)| *number != it.picture);
    assert_eq!((wrong, seen.len() as u64), (None, PICTURES), "none is missing, none comes twice");
}

#[test]
fn a_part_of_the_tracks_comes_in_datagrams_and_no_faster_than_it_plays() {
    let house = House::open();
    house.camera(LOBBY).set_oddities(&[Oddity::DatagramsOnly]);
    let mut player = Player::connect(&house, &address(&house, "RTSP"), VIEWER);
    assert_eq!(player.ask("DESCRIBE", "", REQUIRE).status, 200);
    // The sound alone: the second stream is the only one with sockets.
    let asked = format!("{REQUIRE}Transport: RTP/AVP/TCP;unicast;interleaved=4-5\r\n");
    let set_up = player.ask("SETUP", "/stream=1", &asked);
    let session = set_up.field("Session").unwrap().split_once(';').unwrap().0.to_owned();
    let fields = format!("{REQUIRE}Session: {session}\r\nRange: clock=20261120T000010Z-20261120T000011Z\r\n");
    let pulled = player.ask("PLAY", "", &format!("{fields}Rate-Control: no\r\n"));
    assert_eq!(pulled.status, 461, "what is lost on the way would not be noticed: {}", pulled.head);
    let playing = player.ask("PLAY", "", &fields);
    assert_eq!(playing.status, 200, "the session goes on: {}", playing.head);
    let mut last = None;
    loop {
        let (channel, packet) = player.frame().unwrap();
        assert!(matches!(channel, 4 | 5), "{channel}");
        let (sequence, Some(told)) = read(&packet) else { continue };
        assert!(last.is_none_or(|it: u16| sequence == it.wrapping_add(1)), "{last:?} {sequence}");
        last = Some(sequence);
        if told.flags & 0x10 != 0 {
            break;
        }
    }
    let set_ups = house.camera(LOBBY).log().into_iter().filter(|it| it.method == "SETUP");
    let ways: Vec<_> =
        set_ups.map(|it| it.headers.iter().any(|(_, value)| value.contains("client_port"))).collect();
    assert_eq!(ways.iter().filter(|it| **it).count(), 1, "{ways:?}");
}

#[test]
fn a_camera_that_floods_a_recording_with_what_nobody_wants_is_left() {
    let mut house = House::open();
    let mut watcher = Watcher::open(&house);
    assert_eq!(watcher.ask("PLAY", "Range: clock=20261120T000010Z-\r\n").status, 200);
    assert!(watcher.player.frame().is_some());
    house.camera(LOBBY).set_fault_of("rtsp:playing", Some(flood()));
    while watcher.player.next().is_some() {}
    house.camera(LOBBY).set_fault_of("rtsp:playing", None);
    house.stop();
    let records = house.records();
    let note =
        records.iter().filter_map(|it| it["note"].as_str()).find(|it| it.contains("the camera floods"));
    let note = note.unwrap_or_else(|| panic!("{records:#?}"));
    assert!(
        note.starts_with("the camera's stream ended; fell behind 0 times, 0 bytes lost; from the camera "),
        "{note}"
    );
    let (_, dropped) = note.split_once(" packets passed, ").unwrap();
    let dropped: u64 = dropped.split_once(" dropped").unwrap().0.parse().unwrap();
    assert!(dropped > STREAM_PACKETS_PER_SECOND_MAX, "{note}");
}

/// Parts of ten minutes of the recording: each more than is on the way to a client.
const PARTS: usize = 12;
/// Requests of a client that takes nothing meanwhile: no more than find room on the way to the gateway.
const BURST: usize = 300;

/// Of a viewer who is sent packets as they come, past the queue: with each answer, one may be on its way in part.
#[test]
fn answers_stand_between_packets_and_each_part_has_bytes_of_its_own() {
    let mut house = House::open();
    let at = address(&house, "RTSP");
    let mut player = Player::connect(&house, &at, VIEWER);
    rustix::net::sockopt::set_socket_recv_buffer_size(player.stream.get_ref(), 32 * 1024).unwrap();
    assert_eq!(player.ask("DESCRIBE", "", REQUIRE).status, 200);
    let mut session = String::new();
    for stream in 0..3 {
        let channels = format!("{}-{}", 2 * stream, 2 * stream + 1);
        let asked = format!("{REQUIRE}{session}Transport: RTP/AVP/TCP;unicast;interleaved={channels}\r\n");
        let answer = player.ask("SETUP", &format!("/stream={stream}"), &asked);
        let name = answer.field("Session").unwrap().split_once(';').unwrap().0.to_owned();
        session = format!("Session: {name}\r\n");
    }
    let first = player.cseq + 1;
    let (mut last, mut packets, mut asked, mut answers) = ([None::<u16>; 3], 0, 0, 0);
    for part in 0..PARTS {
        let (from, to) = (
            format!("{:02}{:02}00", part / 6, part % 6 * 10),
            format!("{:02}{:02}59", part / 6, part % 6 * 10 + 9),
        );
        let range = format!("Range: clock=20261120T{from}Z-20261120T{to}Z\r\nRate-Control: no\r\n");
        player.send("PLAY", "", &format!("{REQUIRE}{session}{range}"));
        asked += 1;
        // While the way to the client fills up, so that the packet which does not fit is sent in part, it asks and asks:
        // without a login, which a sign of life needs not.
        for _ in 0..BURST {
            player.cseq += 1;
            let sign = format!("GET_PARAMETER {at} RTSP/1.0\r\nCSeq: {}\r\n{session}\r\n", player.cseq);
            player.stream.get_mut().write_all(sign.as_bytes()).unwrap();
            asked += 1;
            std::thread::sleep(Duration::from_micros(500));
        }
        let mut ended = false;
        while !ended || answers < asked {
            let (channel, packet) = match player.next().unwrap() {
                Ok(answer) => {
                    assert_eq!(answer.field("CSeq"), Some((first + answers).to_string().as_str()));
                    assert_eq!(answer.status, 200, "{}", answer.head);
                    answers += 1;
                    continue;
                }
                Err(frame) => frame,
            };
            let (sequence, told) = read(&packet);
            let last = &mut last[usize::from(channel / 2)];
            assert!(last.is_none_or(|it| sequence == it.wrapping_add(1)), "{channel}: {last:?} {sequence}");
            *last = Some(sequence);
            packets += 1;
            ended |= channel == 0 && told.is_some_and(|it| it.flags & 0x10 != 0);
        }
    }
    eprintln!("{answers} answers stand between {packets} packets; torn 0 of n = {answers}");
    assert_eq!(player.ask("TEARDOWN", "", &session).status, 200);
    drop(player);
    house.stop();
    let records = house.records();
    let plays = records.iter().filter(|it| it["operation"] == "rtsp:REPLAY" && it["type"] == "intent");
    let bytes = plays.map(|play| {
        let outcome = records.iter().find(|it| it["intent"] == play["seq"]).unwrap();
        outcome["bytes"].as_u64().unwrap()
    });
    let bytes: Vec<_> = bytes.collect();
    let (least, most) = (bytes.iter().min().unwrap(), bytes.iter().max().unwrap());
    assert!(bytes.len() == PARTS && *least > 4 * 1024 * 1024 && most < &(least * 2), "{bytes:?}");
}

#[test]
fn what_a_recording_is_not_asked_for() {
    let mut house = House::open();
    let mut watcher = Watcher::open(&house);
    for (fields, status) in [
        ("Range: clock=2026-11-20-\r\n", 400),
        ("Range: npt=10-\r\n", 457),
        ("Range: smpte=0:10:00-\r\n", 457),
        ("Range: clock=20300101T000000Z-\r\n", 457),
        ("Scale: fast\r\n", 400),
        ("Speed: 0\r\n", 400),
        ("Rate-Control: perhaps\r\n", 400),
        ("Frames: intra/x\r\n", 400),
        ("Immediate: 1\r\n", 400),
    ] {
        assert_eq!(watcher.ask("PLAY", fields).status, status, "{fields}");
    }
    let asked = house.camera(LOBBY).log().iter().filter(|it| it.method == "PLAY").count();
    assert_eq!(asked, 1, "of the clock alone the camera is asked");
    let other = watcher.player.ask("PLAY", "", "Require: onvif-replay, x\r\nSession: a\r\n");
    assert_eq!((other.status, other.field("Unsupported")), (551, Some("x")));
    // In datagrams nothing holds back what comes as fast as it can.
    let mut player = Player::connect(&house, &address(&house, "RTSP"), VIEWER);
    assert_eq!(player.ask("DESCRIBE", "", REQUIRE).status, 200);
    let asked = format!("{REQUIRE}Transport: RTP/AVP;unicast;client_port=50000-50001\r\n");
    let answer = player.ask("SETUP", "/stream=0", &asked);
    let session = answer.field("Session").unwrap().split_once(';').unwrap().0.to_owned();
    let fields = format!("{REQUIRE}Session: {session}\r\n");
    assert_eq!(player.ask("PLAY", "", &format!("{fields}Rate-Control: no\r\n")).status, 461);
    assert_eq!(player.ask("PLAY", "", &fields).status, 200);
    drop((player, watcher));
    house.stop();
    let records = house.records();
    let malformed = records.iter().filter(|it| {
        it["note"].as_str().is_some_and(|it| it == "the value of `Scale` is none that is known")
    });
    assert_eq!(malformed.count(), 1);
}

#[test]
fn a_paused_recording_lives_as_long_as_its_viewer_gives_signs_of_life() {
    let clock = Arc::new(SimulatedClock::new(SystemClock::new().now()));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    let camera = house.camera(LOBBY);
    // It is told each second that the gateway is there, which then looks whether the viewer is.
    camera.set_oddities(&[Oddity::EndsMuteSessions]);
    let mut watcher = Watcher::open(&house);
    let part = "Range: clock=20261120T000010Z-20261120T000012Z\r\nRate-Control: no\r\n";
    assert_eq!(watcher.ask("PLAY", part).status, 200);
    let all = watcher.rest().len();
    assert_eq!(watcher.ask("PAUSE", "").status, 200);
    let signs = || camera.log().iter().filter(|it| it.method == "GET_PARAMETER").count();
    let looked = |count: usize| {
        let before = signs();
        house.wait_for(|_| signs() >= before + count);
    };
    for _ in 0..4 {
        clock.advance(REPLAY_IDLE_MAX / 2);
        assert_eq!(watcher.ask("GET_PARAMETER", "").status, 200);
        looked(2);
    }
    // The login of a quarter of an hour ago is none any more.
    watcher.player.challenge = None;
    let told = watcher.ask("PLAY", part);
    let challenge = told.head.lines().find_map(|it| it.strip_prefix("WWW-Authenticate: ")).unwrap();
    watcher.player.challenge = Some(digest_auth::parse(challenge).unwrap());
    let again = watcher.ask("PLAY", part);
    assert_eq!(again.status, 200, "{}", again.head);
    watcher.last = None;
    assert_eq!(watcher.rest().len(), all);
    clock.advance(REPLAY_IDLE_MAX + Duration::from_secs(1));
    let ended = watcher.player.stream.read_to_end(&mut Vec::new());
    ended.expect("a viewer who is silent so long is not there");
}
