//! The table of bad input while a stream plays: what the viewer sees, what is on record, and the memory it cost the
//! gateway, which is a process of its own. And viewers who begin what they do not end.
#![allow(clippy::print_stdout, reason = "the tables are shown with --nocapture")]

use std::{
    env,
    io::{ErrorKind, Read},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::Arc,
    time::Duration,
};

use cordon::{
    clock::{Clock, SimulatedClock, SystemClock},
    limits::{
        HTTP_HEAD_TIME_MAX, STREAM_CONNECTIONS_OF_STRANGERS_MAX, STREAM_CONNECTIONS_PER_SOURCE_MAX,
        STREAM_SESSION_TIMEOUT, STREAM_SILENCE_MAX, STREAM_STRANGERS_PER_SOURCE_MAX,
        STREAM_UNPLAYED_TIME_MAX, STREAM_VIEWERS_PER_CAMERA_MAX, STREAM_VIEWERS_PER_CLIENT_MAX,
    },
    sim::{Fault, Oddity, Said},
};
use serde_json::Value;

use crate::{
    bad_input::{Bench, head, row, text_of},
    bad_streams::{PROFILE, described, once},
    client,
    house::{ADMIN, House, LOBBY, OPERATOR, VIEWER, breathe, records_of},
    streams::{CAMERAS, Player, address},
};

fn bench() -> (Bench, String) {
    let mut house = House::open();
    let at = address(&house, LOBBY, PROFILE);
    house.stop();
    (Bench::new(house), at)
}

/// A viewer who has the pictures play.
fn watching(bench: &Bench, at: &str) -> Player {
    let mut player = Player::connect(&bench.house, at, VIEWER);
    let session = player.set_up();
    let playing = player.ask("PLAY", "", &format!("Session: {session}\r\n"));
    assert_eq!(playing.status, 200, "{}", playing.head);
    player
}

/// How the gateway's own session with the camera ended that was the last to begin.
fn relayed(bench: &Bench) -> Value {
    let records = records_of(&bench.house.audit_dir());
    let own = |it: &&Value| {
        it["type"] == "intent"
            && it["camera"] == "lobby"
            && it["operation"] == "rtsp:PLAY"
            && it["who"]["kind"] == "gateway"
    };
    bench.outcome(records.iter().rfind(own).unwrap())
}

/// How a viewer's stream ended.
fn watched(bench: &Bench, player: &Player) -> Value {
    let source = player.stream.get_ref().local_addr().unwrap();
    let played = bench.recorded("lobby", source);
    bench.outcome(played.iter().rfind(|it| it["operation"] == "rtsp:PLAY").unwrap())
}

pub fn framed(channel: u8, packet: &[u8]) -> Vec<u8> {
    let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
    [&[b'$', channel, length[0], length[1]], packet].concat()
}

/// A packet of a payload type and this payload.
pub fn packet(payload_type: u8, payload: &[u8]) -> Vec<u8> {
    [&[0x80, payload_type, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4], payload].concat()
}

/// A picture of H.265 that stands for itself.
const H265_PICTURE: &[u8] = &[0x26, 0x01, 0xaf, 0x08];
const H265: &str = "v=0\r\nm=video 0 RTP/AVP 98\r\na=rtpmap:98 H265/90000\r\na=control:stream=0\r\n";

/// What a camera does in the middle of a stream, and what the record of the session with it says.
fn breaks() -> Vec<(&'static str, Fault, &'static str)> {
    let endless = |bytes: Vec<u8>| Fault::Say(Said { bytes: bytes.into(), times: 0, stays: true });
    vec![
        ("it restarts", Fault::Reset, "cut the connection"),
        ("garbage between packets", once([0x81; 20_000]), "not valid RTSP"),
        ("metadata without end", endless(framed(4, &packet(107, &[b' '; 1_400]))), "the camera floods"),
        ("it falls silent", Fault::Hang, "did not answer in time"),
        (
            "it goes over to another codec",
            once(framed(0, &packet(98, H265_PICTURE))),
            "did not answer in time",
        ),
    ]
}

#[test]
fn a_stream_that_breaks_ends_for_its_viewer_and_the_next_is_served() {
    let (bench, at) = bench();
    let camera = bench.house.camera(LOBBY);
    let clock = SystemClock::new();
    head("bad input of a camera that plays");
    let mut wrong = Vec::new();
    for (name, fault, note) in breaks() {
        let before = bench.running.reset_memory();
        let mut player = watching(&bench, &at);
        for _ in 0..5 {
            assert!(player.frame().is_some(), "{name}");
        }
        camera.set_fault_of("rtsp:playing", Some(fault));
        let broke = clock.monotonic();
        while player.frame().is_some() {}
        let took = clock.monotonic() - broke;
        let memory = bench.running.peak_memory().saturating_sub(before);
        let (seen, session) = (watched(&bench, &player), relayed(&bench));
        let (told, why) = (text_of(&seen, "note"), text_of(&session, "note"));
        let recorded = format!("{}: {why}", text_of(&session, "what"));
        println!("{}", row(name, Some((200, format!("ended after {took:.1?}"))), &recorded, memory));
        if !told.starts_with("the camera's stream ended") || !why.contains(note) {
            wrong.push(format!("{name}: {note:?} expected: {told:?} {why:?}"));
        }
        if took > STREAM_SILENCE_MAX * 2 {
            wrong.push(format!("{name}: {took:?}"));
        }
        // Twice what may wait of a camera, and the stream itself.
        if memory > 32 * 1024 {
            wrong.push(format!("{name}: {memory} KiB"));
        }
        camera.set_fault_of("rtsp:playing", None);
        assert!(watching(&bench, &at).frame().is_some(), "{name}: it is believed again");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Whoever comes after a change of codec is told of the new one, and gets it.
    camera.set_fault_of("rtsp:DESCRIBE", Some(described(H265, "")));
    camera.set_fault_of("rtsp:playing", Some(once(framed(0, &packet(98, H265_PICTURE)))));
    // The session under way goes first.
    assert_eq!(text_of(&relayed(&bench), "what"), "answered");
    let mut player = Player::connect(&bench.house, &at, VIEWER);
    let told = player.ask("DESCRIBE", "", "");
    assert!(told.body.contains("a=rtpmap:98 H265/90000\r\n"), "{}", told.body);
    let session = player.set_up();
    assert_eq!(player.ask("PLAY", "", &format!("Session: {session}\r\n")).status, 200);
    let (_, came) = player.frame().unwrap();
    assert_eq!((came[1] & 0x7f, &came[12..]), (98, H265_PICTURE));
    bench.running.stop();
}

/// Sends packets to the ports where the gateway hears the camera, from elsewhere: from another host, and from another
/// port of the camera's own. How many.
fn forge(bench: &Bench, sockets: &[UdpSocket; 2]) -> usize {
    let camera = bench.house.camera(LOBBY);
    let ports: Vec<SocketAddr> = camera
        .log()
        .iter()
        .filter_map(|asked| {
            let transport = asked.headers.iter().find(|(name, _)| name == "Transport")?.1.clone();
            let (_, ports) = transport.split_once("client_port=")?;
            Some(SocketAddr::new(asked.peer.ip(), ports.split(['-', ';']).next()?.parse().unwrap()))
        })
        .collect();
    assert_eq!(ports.len(), 3, "one for each stream");
    for (socket, port) in sockets.iter().flat_map(|socket| ports.iter().map(move |port| (socket, port))) {
        socket.send_to(&packet(96, b"\x65forged"), port).unwrap();
    }
    sockets.len() * ports.len()
}

#[test]
fn odd_sessions_of_cameras_are_borne_and_nobody_else_is_heard() {
    let (bench, at) = bench();
    let camera = bench.house.camera(LOBBY);
    let here = camera.address().ip();
    let forgers = [UdpSocket::bind("127.0.0.9:0").unwrap(), UdpSocket::bind((here, 0)).unwrap()];
    head("odd sessions of a camera");
    // That a camera sends datagrams only is remembered, so that these come last.
    let cases: [(&str, &[Oddity], &str); 7] = [
        ("packets of another session all the time", &[Oddity::GoesOnBeside], " dropped"),
        ("packets of a session that is over", &[Oddity::StalePackets], " 2 dropped"),
        ("a new name with each stream", &[Oddity::SessionRenamed], " 0 dropped"),
        ("reports on channels nobody asked for", &[Oddity::ReportsElsewhere], " dropped"),
        ("datagrams, and somebody else's", &[Oddity::DatagramsOnly], " 0 dropped"),
        ("datagrams from port 0", &[Oddity::DatagramsOnly, Oddity::NamesNoPorts], " 0 dropped"),
        (
            "reports from another port than named",
            &[Oddity::DatagramsOnly, Oddity::ReportsElsewhere],
            " 0 dropped",
        ),
    ];
    for (name, oddities, note) in cases {
        camera.clear_log();
        camera.set_oddities(oddities);
        let before = bench.running.reset_memory();
        let mut player = watching(&bench, &at);
        let (mut last, mut reports, mut forged, mut frames) = (None, 0, 0, 0);
        let none = oddities == [Oddity::ReportsElsewhere];
        while frames < 20 || (!none && reports == 0) {
            frames += 1;
            if frames % 5 == 0 && oddities.contains(&Oddity::DatagramsOnly) {
                forged += forge(&bench, &forgers);
            }
            let (channel, packet) = player.frame().unwrap();
            if channel == 9 {
                reports += 1;
                continue;
            }
            assert!(!packet.ends_with(b"forged"), "{name}");
            let sequence = u16::from_be_bytes([packet[2], packet[3]]);
            assert!(
                last.is_none_or(|last: u16| sequence == last.wrapping_add(1)),
                "{name}: {last:?} {sequence}"
            );
            last = Some(sequence);
        }
        let memory = bench.running.peak_memory().saturating_sub(before);
        drop(player);
        let why = text_of(&relayed(&bench), "note").to_owned();
        let seen = format!("{frames} frames, {reports} of them reports, 0 of n = {forged} forged ones");
        println!("{}", row(name, Some((200, seen)), &why, memory));
        assert_eq!(reports == 0, none, "{name}: {reports} reports");
        assert!(why.starts_with("nobody watches any more") && why.contains(note), "{name}: {why}");
        assert_eq!(why.contains(" 0 dropped"), note == " 0 dropped", "{name}: {why}");
    }
    bench.running.stop();
}

/// Where no client of the gateway's is.
const ELSEWHERE: [&str; 4] = ["127.0.0.66", "127.0.0.67", "127.0.0.68", "127.0.0.69"];

/// Connects from a source, and says something.
fn from(source: &str, bench: &Bench, said: &str) -> TcpStream {
    let stream = client::connect_from(source, bench.house.streams(), said.as_bytes());
    stream.set_nonblocking(true).unwrap();
    stream
}

/// Whether the gateway has closed a connection.
fn is_closed(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0; 512]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// Drops those that the gateway has closed, until so many are left. How long that took.
fn left(streams: &mut Vec<TcpStream>, most: usize) -> Duration {
    let clock = SystemClock::new();
    let began = clock.monotonic();
    while streams.len() > most {
        streams.retain(|it| !is_closed(it));
        assert!(clock.monotonic() - began < HTTP_HEAD_TIME_MAX * 3, "{} are open still", streams.len());
        breathe();
    }
    clock.monotonic() - began
}

#[test]
fn half_open_sessions_leave_room_for_others() {
    let count = env::var("CORDON_HALF_OPEN").map_or(10_000, |it| it.parse::<usize>().unwrap());
    let (bench, at) = bench();
    head("sessions that are begun and not ended");
    requests_without_an_end(&bench, &at, count, (&ELSEWHERE[..1], STREAM_CONNECTIONS_PER_SOURCE_MAX));
    requests_without_an_end(&bench, &at, count, (&ELSEWHERE, STREAM_CONNECTIONS_OF_STRANGERS_MAX));
    strangers(&bench, &at, count);
    set_up_and_no_more(&bench, &at);
    bench.running.stop();
}

/// What is held open costs no more than this, in KiB.
const HELD_OPEN_KIB_MAX: u64 = 16 * 1024;

/// Requests of these sources, of which so many are waited for.
fn requests_without_an_end(bench: &Bench, at: &str, count: usize, (sources, most): (&[&str], usize)) {
    let before = bench.running.reset_memory();
    let mut open = Vec::new();
    for source in sources.iter().cycle().take(count) {
        open.push(from(source, bench, "OPTIONS rtsp://gateway/"));
        // What is closed is not kept: there are more than a process may have.
        if open.len() > 2 * most {
            left(&mut open, most);
        }
    }
    left(&mut open, most);
    assert_eq!(open.len(), most);
    assert!(watching(bench, at).frame().is_some(), "others are served meanwhile");
    let memory = bench.running.peak_memory().saturating_sub(before);
    let took = left(&mut open, 0);
    let closed = count - most;
    let seen =
        format!("nothing, since nothing was asked; {closed} closed at once, the others after {took:.1?}");
    let name = format!("{count} requests without an end, of {} sources", sources.len());
    println!("{}", row(&name, None, &seen, memory));
    assert!(memory < HELD_OPEN_KIB_MAX, "{memory} KiB");
}

/// Whole requests for a stream, without a login.
fn strangers(bench: &Bench, at: &str, count: usize) {
    let before = bench.running.reset_memory();
    let asked = format!("OPTIONS {at} RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    let mut answered = Vec::new();
    for _ in 0..count {
        let mut stream = client::connect_from(ELSEWHERE[0], bench.house.streams(), asked.as_bytes());
        if matches!(stream.read(&mut [0; 512]), Ok(1..)) {
            answered.push(stream);
        }
    }
    assert_eq!(answered.len(), STREAM_STRANGERS_PER_SOURCE_MAX);
    assert!(watching(bench, at).frame().is_some(), "others are served meanwhile");
    let memory = bench.running.peak_memory().saturating_sub(before);
    let seen = format!("{} of them, the others closed", answered.len());
    let name = format!("{count} strangers at one stream");
    println!("{}", row(&name, Some((200, seen)), "nothing, since nothing was asked", memory));
    assert!(memory < HELD_OPEN_KIB_MAX, "{memory} KiB");
}

/// Sessions of clients that are set up and do not play: none keeps others out.
fn set_up_and_no_more(bench: &Bench, at: &str) {
    let (before, heard) = (bench.running.reset_memory(), set_ups(bench));
    let mut held = Vec::new();
    let left = STREAM_VIEWERS_PER_CAMERA_MAX - STREAM_VIEWERS_PER_CLIENT_MAX;
    for (login, most) in [(VIEWER, STREAM_VIEWERS_PER_CLIENT_MAX), (ADMIN, left), (OPERATOR, 0)] {
        let (mut own, mut refused) = (0, 0);
        while own < most || refused < BEYOND {
            let mut player = Player::connect(&bench.house, at, login);
            match player.ask("DESCRIBE", "", "").status {
                503 if own == most => refused += 1,
                // Those before may still be on their way out.
                503 => breathe(),
                _ => {
                    player.set_up();
                    held.push(player);
                    own += 1;
                }
            }
        }
        assert_eq!(own, most, "{}", login.0);
    }
    let memory = bench.running.peak_memory().saturating_sub(before);
    let beyond = 3 * BEYOND;
    let (name, seen) =
        ("SETUP without PLAY, of three clients", format!("{} of them, {beyond} told 503", held.len()));
    println!("{}", row(name, Some((200, seen)), "each SETUP, permitted; why not, for the others", memory));
    assert!(memory < HELD_OPEN_KIB_MAX, "{memory} KiB");
    assert_eq!(set_ups(bench), heard, "the camera hears of none of them");
    let (camera, profile) = CAMERAS[0];
    let other = address(&bench.house, camera, profile);
    assert!(watching(bench, &other).frame().is_some(), "the other camera's stream is had meanwhile");
    let why = "as many connections for the camera's streams are open as may be, of this client or in all";
    let told = || records_of(&bench.house.audit_dir()).iter().filter(|it| it["note"] == why).count();
    bench.house.wait_for(|_| told() >= beyond);
}

/// Connections beyond those that there may be.
const BEYOND: usize = 6;

/// How often the camera was asked for a stream.
fn set_ups(bench: &Bench) -> usize {
    bench.house.camera(LOBBY).log().iter().filter(|it| it.method == "SETUP").count()
}

#[test]
fn a_session_that_does_not_play_ends_and_the_camera_has_none() {
    let clock = Arc::new(SimulatedClock::new(SystemClock::new().now()));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    let (camera, profile) = CAMERAS[1];
    let address = address(&house, camera, profile);
    let mut idle = Player::connect(&house, &address, VIEWER);
    let mut alive = Player::connect(&house, &address, VIEWER);
    let sessions = [idle.set_up(), alive.set_up()];
    let sign = format!("Session: {}\r\n", sessions[1]);
    clock.advance(STREAM_SESSION_TIMEOUT - Duration::from_secs(1));
    assert_eq!(alive.ask("GET_PARAMETER", "", &sign).status, 200);
    clock.advance(Duration::from_secs(2));
    assert!(idle.next().is_none(), "its connection ends, and with it the session");
    assert_eq!(alive.ask("GET_PARAMETER", "", &sign).status, 200, "a sign of life keeps the other");
    assert_eq!(alive.ask("SET_PARAMETER", "", &sign).status, 200, "so does the other kind");
    assert_eq!(alive.ask("PLAY", "", &sign).status, 200);
    assert_eq!(alive.ask("PAUSE", "", &sign).status, 200);
    // Signs of life without an end are no reason to keep a seat for what does not play.
    let mut unplayed = Duration::ZERO;
    while unplayed + STREAM_SESSION_TIMEOUT <= STREAM_UNPLAYED_TIME_MAX {
        unplayed += STREAM_SESSION_TIMEOUT - Duration::from_secs(1);
        clock.advance(STREAM_SESSION_TIMEOUT - Duration::from_secs(1));
        assert_eq!(alive.ask("GET_PARAMETER", "", &sign).status, 200, "after {unplayed:?}");
    }
    clock.advance(STREAM_UNPLAYED_TIME_MAX + Duration::from_secs(1) - unplayed);
    while alive.next().is_some() {}
    let mut late = Player::connect(&house, &address, VIEWER);
    assert_eq!(late.ask("DESCRIBE", "", "").status, 200);
    assert_eq!(late.ask("PLAY", "", &format!("Session: {}\r\n", sessions[0])).status, 454);
    let heard = |method: &str| {
        let log = house.camera(camera).log();
        // Whoever is to log in again asks again.
        log.iter().filter(|it| it.method == method && it.user.is_some()).count()
    };
    assert_eq!((heard("PLAY"), heard("SETUP")), (1, 3), "of what did not play the camera has heard nothing");
    let notes = house.records();
    let set_up = notes.iter().filter(|it| it["operation"] == "rtsp:SETUP" && it["decision"] == "permitted");
    assert_eq!(set_up.count(), 2);
}

#[test]
fn a_session_is_its_clients_own() {
    let house = House::open();
    let (camera, profile) = CAMERAS[1];
    let address = address(&house, camera, profile);
    let mut player = Player::connect(&house, &address, VIEWER);
    let session = format!("Session: {}\r\n", player.set_up());
    let mut other = Player::connect(&house, &address, ADMIN);
    assert_eq!(other.ask("DESCRIBE", "", "").status, 200);
    for method in ["PLAY", "PAUSE"] {
        assert_eq!(other.ask(method, "", &session).status, 454, "{method} on another connection");
    }
    let first = format!("{session}Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n");
    assert_eq!(other.ask("SETUP", "/stream=0", &first).status, 454, "nor does it begin one of that name");
    // Without a login nothing is told but how to log in: some ask so each time.
    let login = player.challenge.take();
    for method in ["PLAY", "PAUSE"] {
        assert_eq!(player.ask_once(method, "", &session).status, 401, "{method} without a login");
    }
    player.challenge = login;
    // On the same connection, by another login.
    player.login = ADMIN;
    for method in ["PLAY", "PAUSE"] {
        assert_eq!(player.ask(method, "", &session).status, 454, "{method} by another client");
    }
    let more = format!("{session}Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n");
    assert_eq!(player.ask("SETUP", "/stream=1", &more).status, 455);
    player.login = VIEWER;
    assert_eq!(player.ask("PLAY", "", &session).status, 200);
    assert!(player.frame().is_some());
    let refused = house.records().into_iter().filter(|it| {
        it["decision"] == "denied"
            && it["note"] == "the session it names is not this client's on this connection"
    });
    let mut refused: Vec<_> = refused.map(|it| it["operation"].as_str().unwrap().to_owned()).collect();
    refused.sort();
    assert_eq!(refused, ["rtsp:PAUSE", "rtsp:PAUSE", "rtsp:PLAY", "rtsp:PLAY", "rtsp:SETUP"]);
}
