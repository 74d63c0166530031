//! Streams of a camera that is reached over TLS: had over TLS, too, and in clear only where its owner bears that.

use cordon::sim::Oddity;
use serde_json::Value;

use crate::{
    camera_tls::{Shown, events, house},
    house::{House, LOBBY, VIEWER},
    streams::{CAMERAS, Player, address, address2, asked, decodes, skipped},
};

const PROFILE: &str = CAMERAS[1].1;

/// Plays so many packets of pictures.
fn plays(house: &House, at: &str, packets: usize) {
    let mut player = Player::connect(house, at, VIEWER);
    let session = player.set_up();
    let playing = player.ask("PLAY", "", &format!("Session: {session}\r\n"));
    assert_eq!(playing.status, 200, "{}", playing.head);
    for _ in 0..packets {
        assert!(player.frame().is_some());
    }
}

/// What became of the gateway's own sessions with the camera, oldest first.
fn described(house: &House) -> Vec<String> {
    let records = house.records();
    let own = |it: &&Value| {
        it["camera"] == "lobby" && it["operation"] == "rtsp:DESCRIBE" && it["who"]["kind"] == "gateway"
    };
    let outcome = |it: &Value| records.iter().find(|out| out["intent"] == it["seq"]).cloned();
    let notes = records.iter().filter(own).filter_map(outcome);
    notes.map(|it| it["note"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn streams_come_over_tls_from_the_pinned_camera_and_from_no_other() {
    let (shown, other) = (Shown::new(), Shown::new());
    let mut house = house(&shown, "");
    let camera = house.camera(LOBBY);
    let refused = asked(&house, LOBBY, PROFILE);
    let told = house.outcome(LOBBY, refused.source);
    let note = told["note"].as_str().unwrap_or_default();
    assert!(note.contains("streams in clear, of a camera that is reached over TLS,"), "{told}");
    camera.set_variable("rtsp.scheme", "rtsps");
    let at = address2(&house, LOBBY, PROFILE, "RtspUnicast").unwrap();
    assert!(at.starts_with("rtsp://") && !at.contains(&camera.variable("rtsp.port")), "{at}");
    plays(&house, &at, 30);
    if !skipped("ffprobe") {
        decodes(&at, "tcp");
        decodes(&at, "udp");
    }
    // Datagrams would come in clear: a camera that has nothing else is not heard.
    camera.set_oddities(&[Oddity::DatagramsOnly]);
    // Those before have ended, each of them.
    house.wait_for(|_| {
        let log = camera.log();
        let count = |method: &str| log.iter().filter(|it| it.method == method).count();
        count("PLAY") > 0 && count("PLAY") == count("TEARDOWN")
    });
    camera.clear_log();
    let mut player = Player::connect(&house, &at, VIEWER);
    let session = player.set_up();
    assert_eq!(player.ask("PLAY", "", &format!("Session: {session}\r\n")).status, 502);
    let transports: Vec<_> = camera
        .log()
        .into_iter()
        .filter(|it| it.method == "SETUP")
        .filter_map(|it| it.headers.into_iter().find(|(name, _)| name == "Transport"))
        .collect();
    assert!(!transports.is_empty());
    assert!(transports.iter().all(|(_, it)| it.starts_with("RTP/AVP/TCP;")), "{transports:?}");
    drop(player);
    camera.set_oddities(&[]);
    let notes = described(&house);
    assert!(notes.len() >= 2 && notes.iter().all(String::is_empty), "{notes:?}");
    assert_eq!(events(&house.records(), "camera-certificate-refused"), Vec::<String>::new());
    camera.set_tls(Some(other.config));
    house.restart();
    let camera = house.camera(LOBBY);
    camera.clear_log();
    assert_eq!(Player::connect(&house, &at, VIEWER).ask("DESCRIBE", "", "").status, 502);
    let notes = described(&house);
    assert!(notes.last().unwrap().contains("another certificate than before"), "{notes:?}");
    assert_eq!(events(&house.records(), "camera-certificate-refused"), [other.certificate.whole.to_string()]);
    assert_eq!(camera.log(), [], "it was told nothing");
}

#[test]
fn the_owner_says_where_streams_are_over_tls_or_that_they_may_be_in_clear() {
    let shown = Shown::new();
    let mut house = house(&shown, "");
    let port = house.camera(LOBBY).variable("rtsp.port");
    let keys = |more: &str| format!("tls = true\n{more}\n");
    // Where the camera says that its streams are, in clear, nobody is.
    house.camera(LOBBY).set_variable("rtsp.port", "9");
    house.reconfigure(|text| text.replacen("tls = true\n", &keys(&format!("rtsps_port = {port}")), 1));
    plays(&house, &address(&house, LOBBY, PROFILE), 10);
    let camera = house.camera(LOBBY);
    let asked =
        camera.log().into_iter().filter(|it| ["DESCRIBE", "SETUP", "PLAY"].contains(&it.method.as_str()));
    let asked: Vec<_> = asked.map(|it| it.target).collect();
    assert!(asked.len() >= 3 && asked.iter().all(|it| it.starts_with("rtsps://")), "{asked:?}");
    camera.set_variable("rtsp.port", &port);
    house.reconfigure(|text| text.replacen(&format!("rtsps_port = {port}"), "plain_streams = true", 1));
    let at = address(&house, LOBBY, PROFILE);
    // Its streams need no TLS now.
    house.camera(LOBBY).set_tls(None);
    plays(&house, &at, 10);
}
