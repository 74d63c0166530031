//! Streams in encodings that cannot be checked: what is offered, what passes, and what is on record.

use cordon::sim::Fault;
use serde_json::{Value, json};

use crate::{
    bad_streams::{described, once},
    bad_streams_under_way::{framed, packet},
    house::{CAR_PARK, House, LOBBY, VIEWER},
    reload::SIGNAL,
    streams::{CAMERAS, Player, address},
};

const DESCRIPTION: &str = "v=0\r\n\
    m=video 0 RTP/AVP 98\r\na=rtpmap:98 AV1/90000\r\na=fmtp:98 profile=0\r\na=control:stream=0\r\n\
    m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata.exi.onvif/90000\r\na=control:stream=2\r\n\
    m=audio 0 RTP/AVP 0\r\na=control:stream=1\r\n";
const EXI: &str = "VND.ONVIF.METADATA.EXI.ONVIF";
const PICTURE: &[u8] = b"an AV1 picture";

/// A picture, and what is none for one reason each: its payload type, its version, its channel.
fn ticks() -> Fault {
    let (picture, other) = (packet(98, PICTURE), packet(97, PICTURE));
    let mut old = picture.clone();
    old[0] = 0x40;
    let frames = [framed(0, &picture), framed(0, &other), framed(0, &old), framed(4, &packet(107, b"$EXI"))];
    once(frames.concat())
}

fn watch(house: &House, at: &str) -> Player {
    let mut player = Player::connect(house, at, VIEWER);
    let session = player.set_up();
    assert_eq!(player.ask("PLAY", "", &format!("Session: {session}\r\n")).status, 200);
    player
}

/// The media of the description that a client is told.
fn offered(house: &House, at: &str) -> Vec<String> {
    let told = Player::connect(house, at, VIEWER).ask("DESCRIBE", "", "");
    assert_eq!(told.status, 200, "{}", told.head);
    told.body
        .lines()
        .filter(|it| it.starts_with("m=") || it.starts_with("a=rtpmap"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn unknown_encodings_pass_by_order_and_exi_never() {
    let mut house = House::open();
    let addresses = CAMERAS.map(|(camera, profile)| address(&house, camera, profile));
    for (camera, _) in CAMERAS {
        house.camera(camera).set_fault_of("rtsp:DESCRIBE", Some(described(DESCRIPTION, "")));
        house.camera(camera).set_fault_of("rtsp:playing", Some(ticks()));
    }
    let sound = ["m=audio 0 RTP/AVP 0", "a=rtpmap:0 PCMU/8000"];
    let all = [&["m=video 0 RTP/AVP 98", "a=rtpmap:98 AV1/90000"][..], &sound].concat();
    assert_eq!(CAMERAS.map(|it| it.0), [CAR_PARK, LOBBY]);
    let [restricted, trusted] = &addresses;
    assert_eq!(offered(&house, restricted), sound);
    assert_eq!(offered(&house, trusted), all);
    let mut player = watch(&house, trusted);
    for _ in 0..9 {
        let (channel, packet) = player.frame().unwrap();
        assert_eq!((channel, packet[1], &packet[12..]), (6, 98, PICTURE));
    }
    let mut later = Player::connect(&house, trusted, VIEWER);
    let session = later.set_up();
    // Who goes by the order is heard at once.
    let text = house.configuration();
    house.write(&text.replacen("name = \"lobby\"\n", "name = \"lobby\"\nunknown_codecs = \"refuse\"\n", 1));
    house.reloader().reload(&SIGNAL, None).unwrap();
    assert_eq!(later.ask("PLAY", "", &format!("Session: {session}\r\n")).status, 454);
    while player.frame().is_some() {}
    let ended = |it: &Value| {
        let note = it["note"].as_str();
        note.is_some_and(|it| it.starts_with("encodings that cannot be checked do not pass any more"))
    };
    house.wait_for(|records| records.iter().any(ended));
    house.wait_for(|_| house.camera(LOBBY).log().iter().any(|it| it.method == "TEARDOWN"));
    assert_eq!(offered(&house, trusted), sound);
    house.stop();
    let records = house.records();
    let intents = |camera: &str, operation: &str, who: &str| -> Vec<Value> {
        let is =
            |it: &&Value| it["camera"] == camera && it["operation"] == operation && it["who"]["kind"] == who;
        records.iter().filter(is).cloned().collect()
    };
    let notes = |camera: &str| -> Vec<Value> {
        let of = intents(camera, "rtsp:DESCRIBE", "gateway");
        of.iter()
            .map(|it| records.iter().find(|out| out["intent"] == it["seq"]).unwrap()["note"].clone())
            .collect()
    };
    let left_out = format!("left out, since it cannot be checked: AV1, {EXI}");
    assert_eq!(notes("car-park"), [json!(left_out)]);
    let passed =
        format!("left out, since it cannot be checked: {EXI}; let through without being checked: AV1");
    assert_eq!(notes("lobby"), [json!(passed), json!(left_out)]);
    let plays = intents("lobby", "rtsp:PLAY", "client");
    assert_eq!(plays.len(), 2);
    assert_eq!(plays[0]["arguments"]["unverified_codecs"], json!(["AV1"]), "{}", plays[0]);
    let relay = &intents("lobby", "rtsp:PLAY", "gateway")[0];
    let relayed = records.iter().find(|it| it["intent"] == relay["seq"]).unwrap()["note"].to_string();
    let figures: Vec<u64> =
        relayed.split(|it: char| !it.is_ascii_digit()).filter_map(|it| it.parse().ok()).collect();
    let [passed, dropped, ..] = figures[..] else { panic!("{relayed}") };
    assert!(passed >= 9 && dropped >= 3 * (passed - 1), "headers are checked: {relayed}");
}
