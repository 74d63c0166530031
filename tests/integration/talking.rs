//! Clients that are heard at cameras (ONVIF Streaming Specification §5.3).

use std::io::Write as _;

use crate::{
    bad_streams::flood,
    house::{ADMIN, CAR_PARK, House, LOBBY, OPERATOR, VIEWER},
    streams::{Answer, Player, address},
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
    let mut mute = Talker::open(&house, TRUSTED, OPERATOR);
    assert_eq!(mute.ask("PLAY", "", "").status, 455, "without a back channel");
    let mut player = Player::connect(&house, &address(&house, TRUSTED.0, TRUSTED.1), OPERATOR);
    assert_eq!(player.ask("DESCRIBE", "", REQUIRE).status, 200);
    let fields = format!("{REQUIRE}Transport: RTP/AVP;unicast;client_port=50010-50011\r\n");
    assert_eq!(player.ask("SETUP", "/stream=3", &fields).status, 461, "in datagrams");
    for camera in [LOBBY, CAR_PARK] {
        assert_eq!(house.camera(camera).log().iter().filter(|it| it.method == "PLAY").count(), 0);
        assert_eq!(house.camera(camera).said(), Vec::<Vec<u8>>::new());
    }
    drop((viewer, admin, mute, player));
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
