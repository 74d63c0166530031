//! Clients that are heard at cameras (ONVIF Streaming Specification §5.3).

use std::{io::Write as _, sync::Arc, time::Duration};

use cordon::{
    clock::{Clock, SimulatedClock, SystemClock},
    limits::STREAM_SESSION_TIMEOUT,
    sim::Oddity,
};

use crate::{
    bad_streams::{described, flood},
    house::{ADMIN, CAR_PARK, House, LOBBY, OPERATOR, VIEWER},
    streams::{Answer, CAMERAS, Player, address},
    viewers::pass,
};

const REQUIRE: &str = "Require: www.onvif.org/ver20/backchannel\r\n";
/// The client's own source.
const SOURCE: u32 = 0x1122_3344;

fn rtp(payload_type: u8, sequence: u16, source: u32, sound: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&u32::from(sequence).wrapping_mul(160).to_be_bytes());
    packet.extend_from_slice(&source.to_be_bytes());
    packet.extend_from_slice(sound);
    packet
}

struct Talker {
    player: Player,
    session: String,
}

impl Talker {
    /// Pictures on the channels 0 and 1, what is said on 6 and 7.
    fn open(house: &House, (camera, profile): (usize, &str), login: (&'static str, &'static str)) -> Self {
        let address = address(house, camera, profile);
        let mut player = Player::connect(house, &address, login);
        let described = player.ask("DESCRIBE", "", REQUIRE);
        assert_eq!(described.status, 200, "{}", described.head);
        let offered = "m=audio 0 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=sendonly\r\n\
                       a=control:stream=3\r\n";
        assert!(described.body.ends_with(offered), "{}", described.body);
        let set_up = player.ask("SETUP", "/stream=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n");
        let session = set_up.field("Session").unwrap().split_once(';').unwrap().0.to_owned();
        Self { player, session }
    }

    fn ask(&mut self, method: &str, path: &str, fields: &str) -> Answer {
        let fields = format!("{REQUIRE}Session: {}\r\n{fields}", self.session);
        self.player.ask(method, path, &fields)
    }

    /// Sets the back channel up and asks to be heard.
    fn begin(&mut self) -> u16 {
        let set_up = self.ask("SETUP", "/stream=3", "Transport: RTP/AVP/TCP;unicast;interleaved=6-7\r\n");
        assert_eq!(set_up.status, 200, "{}", set_up.head);
        let playing = self.ask("PLAY", "", "");
        if playing.status == 200 {
            // Of the pictures alone: what is said begins with the client.
            let info = playing.field("RTP-Info").unwrap();
            assert_eq!(info.matches("url=").count(), 1, "{info}");
            assert!(info.contains("/stream=0;seq=") && info.contains(";rtptime="), "{info}");
        }
        playing.status
    }

    fn say(&mut self, channel: u8, packet: &[u8]) {
        let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
        let frame = [&[b'$', channel, length[0], length[1]], packet].concat();
        self.player.stream.get_mut().write_all(&frame).unwrap();
    }
}

const TRUSTED: (usize, &str) = (LOBBY, "profile_1_h264");
const RESTRICTED: (usize, &str) = (CAR_PARK, "Profile_1");

#[test]
fn one_client_at_a_time_is_heard_and_nothing_but_sound_is() {
    let mut house = House::open();
    let mut talker = Talker::open(&house, TRUSTED, OPERATOR);
    // Before PLAY nobody is heard.
    talker.say(6, &rtp(0, 1, SOURCE, b"early"));
    assert_eq!(talker.begin(), 200);
    let mut other = Talker::open(&house, TRUSTED, ADMIN);
    assert_eq!(other.begin(), 453, "somebody talks");
    let sound = |number: u8| [number; 160];
    for number in 0..20 {
        talker.say(6, &rtp(0, 100 + u16::from(number), SOURCE, &sound(number)));
    }
    talker.say(6, &rtp(96, 120, SOURCE, &sound(0)));
    talker.say(6, &rtp(0, 121, 7, &sound(0)));
    talker.say(6, b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    talker.say(9, &rtp(0, 122, SOURCE, &sound(0)));
    talker.say(6, &rtp(8, 123, SOURCE, b"end"));
    house.wait_for(|_| house.camera(LOBBY).said().last().is_some_and(|it| it.ends_with(b"end")));
    let said = house.camera(LOBBY).said();
    assert_eq!(said.len(), 21, "what is said and no more");
    let first = u16::from_be_bytes([said[0][2], said[0][3]]);
    for (number, packet) in said.iter().take(20).enumerate() {
        assert_eq!((packet[0], packet[1], &packet[12..]), (0x80, 0, &sound(number as u8)[..]));
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        assert_eq!(sequence, first.wrapping_add(number as u16));
        assert_eq!(packet[8..12], said[0][8..12], "one source");
        assert_ne!(packet[8..12], SOURCE.to_be_bytes(), "not the client's");
    }
    // Pictures come meanwhile.
    let (channel, picture) = talker.player.frame().unwrap();
    assert_eq!((channel, picture[1] & 0x7f), (0, 96));
    assert_eq!(talker.ask("TEARDOWN", "", "").status, 200);
    assert_eq!(other.ask("PLAY", "", "").status, 200, "the place is free");
    drop((talker, other));
    house.wait_for(|_| house.camera(LOBBY).log().iter().filter(|it| it.method == "TEARDOWN").count() == 2);
    house.stop();
    let records = house.records();
    let talks: Vec<_> =
        records.iter().filter(|it| it["operation"] == "rtsp:TALK" && it["decision"] == "permitted").collect();
    assert_eq!(talks.len(), 3);
    assert_eq!((&talks[0]["who"]["name"], &talks[0]["class"]), (&OPERATOR.0.into(), &"ACTUATE".into()));
    let outcome = |at: usize| records.iter().find(|it| it["intent"] == talks[at]["seq"]).unwrap();
    let note = outcome(0)["note"].as_str().unwrap();
    assert!(note.contains(", 21 packets said with 3203 bytes, 3 not passed on; from the camera "), "{note}");
    assert!(note.ends_with(" packets passed, 0 dropped, 0 missing"), "{note}");
    assert_eq!(outcome(1)["note"], "somebody else talks at the camera");
}

#[test]
fn a_camera_that_floods_who_talks_is_left() {
    let mut house = House::open();
    let mut talker = Talker::open(&house, TRUSTED, OPERATOR);
    assert_eq!(talker.begin(), 200);
    house.camera(LOBBY).set_fault_of("rtsp:playing", Some(flood()));
    while talker.player.next().is_some() {}
    house.camera(LOBBY).set_fault_of("rtsp:playing", None);
    house.stop();
    let flooded =
        |it: &serde_json::Value| it["note"].as_str().is_some_and(|it| it.contains("; the camera floods"));
    assert_eq!(house.records().iter().filter(|it| flooded(it)).count(), 1);
}

#[test]
fn who_may_not_be_heard_is_told_so_and_it_is_on_record() {
    let mut house = House::open();
    let mut viewer = Talker::open(&house, TRUSTED, VIEWER);
    assert_eq!(viewer.begin(), 403, "users watch");
    let mut admin = Talker::open(&house, RESTRICTED, ADMIN);
    assert_eq!(admin.begin(), 403, "nobody is heard at cameras that are restricted");
    let mut player = Player::connect(&house, &address(&house, TRUSTED.0, TRUSTED.1), OPERATOR);
    assert_eq!(player.ask("DESCRIBE", "", REQUIRE).status, 200);
    let fields = format!("{REQUIRE}Transport: RTP/AVP;unicast;client_port=50010-50011\r\n");
    assert_eq!(player.ask("SETUP", "/stream=3", &fields).status, 461, "in datagrams");
    for camera in [LOBBY, CAR_PARK] {
        assert_eq!(house.camera(camera).log().iter().filter(|it| it.method == "PLAY").count(), 0);
        assert_eq!(house.camera(camera).said(), Vec::<Vec<u8>>::new());
    }
    drop((viewer, admin, player));
    house.stop();
    let records = house.records();
    let denied = |name: &str| {
        let of = |it: &&serde_json::Value| {
            it["operation"] == "rtsp:TALK" && it["decision"] == "denied" && it["who"]["name"] == name
        };
        records.iter().find(of).unwrap_or_else(|| panic!("{name}")).to_string()
    };
    denied(VIEWER.0);
    let why = denied(ADMIN.0);
    assert!(why.contains("restricted.talk"), "{why}");
}

/// What the camera was asked, logged in.
fn asked(house: &House, camera: usize, method: &str) -> usize {
    house.camera(camera).log().iter().filter(|it| it.method == method && it.user.is_some()).count()
}

/// Sets these streams up, each on the channels of its number, without a word of back channels, and has them play: the
/// sources that are told.
fn watch(player: &mut Player, numbers: &[u8]) -> (u16, Vec<String>) {
    let (mut session, mut sources) = (String::new(), Vec::new());
    for number in numbers {
        let channels = format!("interleaved={}-{}", number * 2, number * 2 + 1);
        let fields = format!("Transport: RTP/AVP/TCP;unicast;{channels}\r\n{session}");
        let set_up = player.ask("SETUP", &format!("/stream={number}"), &fields);
        assert_eq!(set_up.status, 200, "{}", set_up.head);
        session = format!("Session: {}\r\n", set_up.field("Session").unwrap().split_once(';').unwrap().0);
        let (_, source) = set_up.field("Transport").unwrap().split_once("ssrc=").unwrap();
        sources.push(source[..8].to_ascii_lowercase());
    }
    (player.ask("PLAY", "", &session).status, sources)
}

/// The source of the next packet on this channel.
fn source(player: &mut Player, on: u8) -> String {
    loop {
        let (channel, packet) = player.frame().unwrap();
        if channel == on {
            return packet[8..12].iter().map(|byte| format!("{byte:02x}")).collect();
        }
    }
}

#[test]
fn who_asks_for_a_back_channel_and_only_watches_is_one_of_many() {
    let mut house = House::open();
    for (camera, profile) in CAMERAS {
        let at = address(&house, camera, profile);
        let watchers = [(); 2].map(|()| {
            // As go2rtc does: the feature is asked for when it is described, and never again.
            let mut player = Player::connect(&house, &at, VIEWER);
            assert!(player.ask("DESCRIBE", "", REQUIRE).body.contains("a=sendonly"));
            let (status, told) = watch(&mut player, &[0, 1]);
            assert_eq!(status, 200, "{at}");
            assert_eq!([source(&mut player, 0), source(&mut player, 2)], told[..]);
            player
        });
        assert_eq!(asked(&house, camera, "PLAY"), 1, "one session feeds both");
        // What was asked last counts.
        let mut player = Player::connect(&house, &at, VIEWER);
        assert!(player.ask("DESCRIBE", "", REQUIRE).body.contains("a=sendonly"));
        assert!(!player.ask("DESCRIBE", "", "").body.contains("a=sendonly"));
        assert_eq!(watch(&mut player, &[0]).0, 200);
        drop(watchers);
        assert_eq!(asked(&house, camera, "PLAY"), 1, "the same");
    }
    house.stop();
    let records = house.records();
    assert_eq!(records.iter().filter(|it| it["operation"] == "rtsp:TALK").count(), 0, "nobody wants to talk");
}

#[test]
fn a_camera_without_a_back_channel_is_asked_once_and_watched_by_all() {
    let house = House::open();
    let at = address(&house, LOBBY, CAMERAS[1].1);
    let pictures = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:stream=0\r\n";
    house.camera(LOBBY).set_fault_of("rtsp:DESCRIBE", Some(described(pictures, "")));
    let mut player = Player::connect(&house, &at, VIEWER);
    assert_eq!(player.ask("DESCRIBE", "", REQUIRE).status, 200);
    assert_eq!(watch(&mut player, &[0]).0, 200);
    assert!(player.frame().is_some());
    let mut other = Player::connect(&house, &at, VIEWER);
    assert_eq!(other.ask("DESCRIBE", "", "").status, 200);
    assert_eq!(watch(&mut other, &[0]).0, 200);
    assert_eq!((asked(&house, LOBBY, "DESCRIBE"), asked(&house, LOBBY, "PLAY")), (1, 1));
}

#[test]
fn sound_comes_where_no_pictures_do() {
    let house = House::open();
    let at = address(&house, LOBBY, CAMERAS[1].1);
    // Who talks and listens, and sets no pictures up.
    let mut talker = Player::connect(&house, &at, OPERATOR);
    assert_eq!(talker.ask("DESCRIBE", "", REQUIRE).status, 200);
    let (status, told) = watch(&mut talker, &[1, 3]);
    assert_eq!(status, 200);
    assert_eq!(source(&mut talker, 2), told[0]);
    // A camera that has no room for pictures still has the others.
    house.camera(LOBBY).set_oddities(&[Oddity::KeepsPicturesBack]);
    let mut listener = Player::connect(&house, &at, VIEWER);
    assert_eq!(listener.ask("DESCRIBE", "", "").status, 200);
    let (status, told) = watch(&mut listener, &[0, 1]);
    assert_eq!(status, 200);
    assert_eq!(source(&mut listener, 2), told[1]);
    drop((talker, listener));
    // Where they are all there is, its viewer is told what the camera says.
    let pictures = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:stream=0\r\n";
    house.camera(CAR_PARK).set_oddities(&[Oddity::KeepsPicturesBack]);
    house.camera(CAR_PARK).set_fault_of("rtsp:DESCRIBE", Some(described(pictures, "")));
    let mut refused = Player::connect(&house, &address(&house, CAR_PARK, CAMERAS[0].1), VIEWER);
    assert_eq!(refused.ask("DESCRIBE", "", "").status, 200);
    assert_eq!(watch(&mut refused, &[0]).0, 453);
}

/// The timestamp of the next picture.
fn picture(player: &mut Player) -> u32 {
    loop {
        let (channel, packet) = player.frame().unwrap();
        if channel == 0 {
            return u32::from_be_bytes(packet[4..8].try_into().unwrap());
        }
    }
}

#[test]
fn what_a_camera_shows_while_who_talks_pauses_is_lost() {
    let house = House::open();
    let mut talker = Talker::open(&house, TRUSTED, OPERATOR);
    assert_eq!(talker.begin(), 200);
    let before = picture(&mut talker.player);
    assert_eq!(talker.ask("PAUSE", "", "").status, 200);
    // Two seconds, as another sees them.
    let mut other = Player::connect(&house, &address(&house, TRUSTED.0, TRUSTED.1), VIEWER);
    assert_eq!(other.ask("DESCRIBE", "", "").status, 200);
    assert_eq!(watch(&mut other, &[0]).0, 200);
    let from = picture(&mut other);
    while picture(&mut other).wrapping_sub(from) < 2 * 90_000 {}
    assert_eq!(talker.ask("PLAY", "", "").status, 200);
    // What had come meanwhile would begin with the next key frame, within a second of the last picture.
    let missed = picture(&mut talker.player).wrapping_sub(before);
    assert!(missed > 90_000 * 3 / 2, "{missed}");
}

#[test]
fn a_talker_who_vanishes_gives_up_the_only_place() {
    let clock = Arc::new(SimulatedClock::new(SystemClock::new().now()));
    let mut house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    let mut talker = Talker::open(&house, TRUSTED, OPERATOR);
    assert_eq!(talker.begin(), 200);
    let almost = STREAM_SESSION_TIMEOUT - Duration::from_secs(1);
    pass(&clock, almost, || assert!(talker.player.fresh().is_some()));
    talker.say(6, &rtp(0, 1, SOURCE, b"still here"));
    house.wait_for(|_| !house.camera(LOBBY).said().is_empty());
    pass(&clock, almost, || assert!(talker.player.fresh().is_some()));
    clock.advance(Duration::from_secs(2));
    while talker.player.next().is_some() {}
    let mut other = Talker::open(&house, TRUSTED, ADMIN);
    assert_eq!(other.begin(), 200, "the place is free");
    house.stop();
    let mute = |it: &&serde_json::Value| {
        it["note"].as_str().is_some_and(|it| it.starts_with("the viewer gave no sign of life"))
    };
    assert_eq!(house.records().iter().filter(mute).count(), 1);
}
