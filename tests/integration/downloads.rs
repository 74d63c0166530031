//! Files of cameras, carried through piece by piece.

use std::{io::Read, net::SocketAddr, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use cordon::{
    clock::{Clock, SimulatedClock, SystemClock},
    limits::{FILE_LOCATOR_LIFE, SIM_SUPPORT_FILE_BYTES},
};

use crate::{
    client::{self, Reply, User, tds},
    house::{ADMIN, CAR_PARK, House, LOBBY, OPERATOR},
};

/// The addresses a camera names for its logs, its support information and its backup.
fn paths(house: &House, created: &str) -> [String; 3] {
    let header = client::Token::at(ADMIN, created).header();
    let body = client::envelope(&header, &tds("GetSystemUris"));
    let reply = client::post(house.door(LOBBY), "device", &[], &body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let begin = format!("http://{}", house.door(LOBBY));
    let path = |local| {
        let uri = reply.element(local).unwrap_or_else(|| panic!("{local}: {}", reply.text()));
        let path = uri.strip_prefix(&begin).unwrap_or_else(|| panic!("{uri}")).to_owned();
        assert!(path.starts_with("/onvif/download/"), "{path}");
        path
    };
    [path("Uri"), path("SupportInfoUri"), path("SystemBackupUri")]
}

fn now() -> String {
    SystemClock::new().now().to_string()
}

/// The request that a client sends once it knows the challenge.
fn request(door: SocketAddr, path: &str, user: User) -> Vec<u8> {
    let first = client::send(door, &client::request("GET", path, &[], b""));
    assert_eq!(first.status, 401, "{}", first.text());
    let challenge = first.header_values("www-authenticate")[0].to_owned();
    client::request("GET", path, &[&client::authorization(&challenge, "GET", path, user)], b"")
}

fn get(door: SocketAddr, path: &str, user: User) -> Reply {
    client::send(door, &request(door, path, user))
}

/// A body of chunks (RFC 9112 §7.1), which must come to their end.
fn unchunked(reply: &Reply) -> Vec<u8> {
    assert_eq!(reply.header_values("transfer-encoding"), ["chunked"]);
    let (mut rest, mut whole) = (reply.body.as_slice(), Vec::new());
    loop {
        let end = rest.windows(2).position(|it| it == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return whole;
        }
        whole.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 2 + length + 2..];
    }
}

#[test]
fn a_file_comes_whole_and_its_hash_is_on_record() {
    let house = House::open();
    house.acquaint();
    let door = house.door(LOBBY);
    let [log, support, backup] = paths(&house, &now());
    let reply = get(door, &support, ADMIN);
    let file = unchunked(&reply);
    assert_eq!((reply.status, file.len()), (200, SIM_SUPPORT_FILE_BYTES));
    assert!(file.iter().zip((0..251_u8).cycle()).all(|(byte, expected)| *byte == expected));
    assert_eq!(reply.header_values("content-type"), ["application/octet-stream"]);
    assert_eq!(reply.header_values("content-disposition"), ["attachment"]);
    let intent = house.record(&reply).intent;
    assert_eq!(intent["operation"], "tds:GetSystemUris", "as the operation that named it: {intent}");
    assert_eq!(intent["arguments"], serde_json::json!({ "transfer": "download" }));
    let outcome = house.outcome(LOBBY, reply.source);
    let hash: String = digest(&SHA256, &file).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        (&outcome["bytes"], &outcome["note"]),
        (&SIM_SUPPORT_FILE_BYTES.into(), &format!("sha256 {hash}").into())
    );
    // The log is text the camera wrote: opaque bytes to the gateway, and no browser's business.
    let reply = get(door, &log, ADMIN);
    assert!(String::from_utf8(unchunked(&reply)).unwrap().contains("systemd"));
    let reply = get(door, &backup, ADMIN);
    assert_eq!(reply.status, 502, "{}", reply.text());
    let outcome = house.outcome(LOBBY, reply.source);
    assert!(outcome["note"].as_str().unwrap().contains("HTTP status 404"), "{outcome}");
}

#[test]
fn a_file_is_had_by_whoever_may_ask_for_its_address_and_by_nobody_else() {
    let house = House::open();
    house.acquaint();
    let [log, support, _] = paths(&house, &now());
    house.camera(LOBBY).clear_log();
    let refused = get(house.door(LOBBY), &support, OPERATOR);
    assert_eq!(refused.status, 403, "{}", refused.text());
    let recorded = house.record(&refused);
    assert_eq!(recorded.policies(), ["appliance.system-uris"], "{:?}", recorded.intent);
    for (door, path) in [
        (house.door(CAR_PARK), log.clone()),
        (house.door(LOBBY), log.replace("/download/", "/snapshot/")),
        (house.door(LOBBY), format!("{log}x")),
        (house.door(LOBBY), "/onvif/download/".to_owned()),
    ] {
        let reply = client::send(door, &client::request("GET", &path, &[], b""));
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
    assert_eq!(house.heard(), [], "no camera heard of it");
}

#[test]
fn a_files_address_ends() {
    let clock = Arc::new(SimulatedClock::new(SystemClock::new().now()));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    let [log, ..] = paths(&house, &clock.now().to_string());
    let ask = || client::send(house.door(LOBBY), &client::request("GET", &log, &[], b"")).status;
    assert_eq!(ask(), 401);
    clock.advance(FILE_LOCATOR_LIFE);
    assert_eq!(ask(), 404);
    let [again, ..] = paths(&house, &clock.now().to_string());
    assert_eq!((again, ask()), (log.clone(), 401), "the same address, renewed");
}

#[test]
fn a_client_that_goes_away_ends_the_transfer() {
    let house = House::open();
    house.acquaint();
    let door = house.door(LOBBY);
    let [_, support, _] = paths(&house, &now());
    let mut stream = client::connect(door, &request(door, &support, ADMIN));
    let source = stream.local_addr().unwrap();
    stream.read_exact(&mut [0; 100_000]).unwrap();
    drop(stream);
    let outcome = house.outcome(LOBBY, source);
    let note = outcome["note"].as_str().unwrap();
    assert!(note.contains("went away") && note.contains("what went out before: sha256 "), "{outcome}");
    assert!(outcome["bytes"].as_u64().unwrap() < SIM_SUPPORT_FILE_BYTES as u64, "{outcome}");
}
