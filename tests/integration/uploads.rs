//! Files for cameras: firmware and the like.

use std::{fs, net::SocketAddr};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use crate::{
    client::{self, Reply, User, tds, within},
    house::{ADMIN, CAR_PARK, House, LOBBY, OPERATOR},
};

const BINARY: &str = "Content-Type: application/octet-stream";

/// The path at which the lobby camera takes firmware.
fn place(house: &House) -> String {
    told(house, &client::ask(house.door(LOBBY), "device", ADMIN, &tds("StartFirmwareUpgrade")))
}

fn told(house: &House, reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let uri = reply.element("UploadUri").unwrap();
    let path = uri.strip_prefix(&format!("http://{}", house.door(LOBBY))).unwrap().to_owned();
    assert!(path.starts_with("/onvif/upload/"), "{path}");
    path
}

/// The `Authorization` field, got with a first request that brings nothing.
fn login(door: SocketAddr, path: &str, user: User) -> String {
    let first = client::send(door, &client::request("POST", path, &[BINARY], b""));
    assert_eq!(first.status, 401, "{}", first.text());
    client::authorization(first.header_values("www-authenticate")[0], "POST", path, user)
}

fn send(door: SocketAddr, path: &str, user: User, file: &[u8]) -> Reply {
    let login = login(door, path, user);
    client::send(door, &client::request("POST", path, &[BINARY, &login], file))
}

fn firmware() -> Vec<u8> {
    let pattern: Vec<u8> = (0..249).collect();
    pattern.repeat(80_000)
}

/// What the camera heard at its place for firmware, as `METHOD body`.
fn heard(house: &House) -> Vec<String> {
    heard_at(house, "/upload/firmware")
}

fn heard_at(house: &House, target: &str) -> Vec<String> {
    let log = house.camera(LOBBY).log();
    let of = log.iter().filter(|it| it.target == target);
    of.map(|it| format!("{} {}", it.method, it.body)).collect()
}

fn sha256(file: &[u8]) -> String {
    digest(&SHA256, file).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn left_behind(house: &House) -> usize {
    let names = fs::read_dir(house.dir().join("state")).unwrap();
    names.filter(|it| it.as_ref().unwrap().file_name().to_string_lossy().starts_with("upload-")).count()
}

#[test]
fn a_file_is_on_record_before_the_camera_has_a_byte_of_it() {
    let house = House::open();
    house.acquaint();
    let path = place(&house);
    let file = firmware();
    let reply = send(house.door(LOBBY), &path, ADMIN, &file);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let hash = sha256(&file);
    let posts: Vec<_> = heard(&house).into_iter().filter(|it| it.starts_with("POST")).collect();
    assert_eq!(posts, [format!("POST {} bytes, sha256 {hash}", file.len())], "once, and whole");
    let intent = house.record(&reply).intent;
    assert_eq!(intent["operation"], "tds:StartFirmwareUpgrade", "as the operation that named it: {intent}");
    let arguments = serde_json::json!({ "transfer": "upload", "bytes": file.len(), "sha256": hash });
    assert_eq!((&intent["arguments"], &intent["decision"]), (&arguments, &"permitted".into()));
    let outcome = house.outcome(LOBBY, reply.source);
    assert_eq!(outcome["note"], "the camera answered with HTTP status 200");
    assert_eq!(left_behind(&house), 0, "the file is gone");
}

#[test]
fn who_may_not_upgrade_uploads_nothing() {
    let house = House::open();
    house.acquaint();
    let path = place(&house);
    house.camera(LOBBY).clear_log();
    let (door, file) = (house.door(LOBBY), vec![7; 10_000]);
    let refused = send(door, &path, OPERATOR, &file);
    assert_eq!(refused.status, 403, "{}", refused.text());
    let intent = house.record(&refused).intent;
    assert_eq!(
        (&intent["decision"], &intent["operation"]),
        (&"denied".into(), &"tds:StartFirmwareUpgrade".into())
    );
    for (door, path, status) in [
        (door, path.clone(), 401),
        (house.door(CAR_PARK), path.clone(), 404),
        (door, format!("{path}x"), 404),
        (door, path.replace("/upload/", "/download/"), 405),
    ] {
        let reply = client::send(door, &client::request("POST", &path, &[BINARY], b"x"));
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
    }
    // A camera of a vendor that is not trusted is given no code, so it never names a place for it.
    let reply = client::ask(house.door(CAR_PARK), "device", ADMIN, &tds("StartFirmwareUpgrade"));
    assert_eq!(reply.fault(), "Sender/ter:OperationProhibited", "{}", reply.text());
    assert_eq!(house.heard(), [], "no camera heard of it");
    assert_eq!(left_behind(&house), 0);
}

#[test]
fn half_a_file_is_none() {
    let house = House::open();
    house.acquaint();
    let path = place(&house);
    let door = house.door(LOBBY);
    let mut bytes = client::request("POST", &path, &[BINARY, &login(door, &path, ADMIN)], &[7; 100_000]);
    bytes.truncate(bytes.len() - 1);
    let stream = client::connect(door, &bytes);
    let source = stream.local_addr().unwrap();
    drop(stream);
    let about = |records: &[Value]| {
        // A port may be used at another door, too.
        let is = |it: &&Value| it["camera"] == "lobby" && it["source"] == source.to_string();
        records.iter().find(|it| it["type"] == "intent" && is(it)).cloned()
    };
    let records = house.wait_for(|records| about(records).is_some());
    let intent = about(&records).unwrap();
    assert_eq!(intent["decision"], "denied", "{intent}");
    assert!(intent["note"].as_str().unwrap().contains("did not come to its end"), "{intent}");
    let too_long = format!("Content-Length: {}", 600_u64 * 1024 * 1024);
    let login = login(door, &path, ADMIN);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{BINARY}\r\n{login}\r\n{too_long}\r\n\r\n"
    );
    let reply = client::send(door, head.as_bytes());
    assert_eq!(reply.status, 413, "{}", reply.text());
    assert_eq!(heard(&house), Vec::<String>::new(), "the camera heard of neither");
    assert_eq!(left_behind(&house), 0);
}

/// Each is judged as the operation that named its place, and none is taken for another.
#[test]
fn backups_and_clips_go_the_same_way_as_firmware() {
    let house = House::open();
    house.acquaint();
    let clip = "<x:Configuration><x:Enabled>true</x:Enabled><x:Name>chime</x:Name><x:Type>audio/wav</x:Type>\
                <x:RepeatCycles>1</x:RepeatCycles></x:Configuration>";
    let clip = within("http://www.onvif.org/ver20/media/wsdl", "AddAudioClip", clip);
    let mut paths = vec![place(&house)];
    for (number, (operation, service, message, target)) in [
        ("tds:StartSystemRestore", "device", tds("StartSystemRestore"), "/upload/backup"),
        ("tr2:AddAudioClip", "media2", clip, "/upload/clip"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = told(&house, &client::ask(house.door(LOBBY), service, ADMIN, &message));
        assert!(!paths.contains(&path), "a place of its own: {path}");
        let refused = send(house.door(LOBBY), &path, OPERATOR, b"a file of somebody else's");
        assert_eq!(refused.status, 403, "{operation}: {}", refused.text());
        let file = vec![u8::try_from(number).unwrap(); 100_000];
        let reply = send(house.door(LOBBY), &path, ADMIN, &file);
        assert_eq!(reply.status, 200, "{operation}: {}", reply.text());
        let posts = heard_at(&house, target);
        let posts: Vec<_> = posts.iter().filter(|it| it.starts_with("POST")).collect();
        let hash = sha256(&file);
        assert_eq!(posts, [&format!("POST 100000 bytes, sha256 {hash}")], "{operation}: once, and whole");
        let intent = house.record(&reply).intent;
        let arguments = serde_json::json!({ "transfer": "upload", "bytes": 100_000, "sha256": hash });
        assert_eq!((&intent["operation"], &intent["arguments"]), (&operation.into(), &arguments));
        // A camera that is not trusted is given neither.
        let reply = client::ask(house.door(CAR_PARK), service, ADMIN, &message);
        assert_eq!(reply.fault(), "Sender/ter:OperationProhibited", "{operation}: {}", reply.text());
        paths.push(path);
    }
    assert_eq!(heard(&house), Vec::<String>::new(), "nothing came where firmware goes");
    assert_eq!(left_behind(&house), 0);
}
