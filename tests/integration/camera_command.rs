//! `cordon camera list|show|why` with a gateway that runs as a process of its own, and without.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::Command,
};

use cordon::sim::{Fault, Oddity};

use crate::{
    client::{self, tds},
    house::{ADMIN, CAMERA_PASSWORD, CAMERA_USER, CAR_PARK, House, LOBBY, LOBBY_ONLY, OPERATOR, VIEWER},
    process::Running,
};

/// What the command prints, and whether its exit code says that all is well.
pub fn cordon(house: &House, arguments: &[&str]) -> (String, bool) {
    let passwords = [ADMIN.1, OPERATOR.1, VIEWER.1, LOBBY_ONLY.1, CAMERA_PASSWORD];
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
    command.arg("camera").args(arguments).arg("--config").arg(house.dir().join("cordon.toml"));
    let output = command.envs(passwords.map(|it| (it, it))).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains(CAMERA_PASSWORD) && !text.contains(CAMERA_USER), "{text}");
    (text, output.status.success())
}

#[track_caller]
fn why(house: &House, camera: &str, layer: &str, says: &str) {
    let (text, well) = cordon(house, &["why", camera]);
    assert!(text.starts_with(&format!("{layer}: ")) && text.contains(says), "{text}");
    assert!(text.contains("\n  to do: ") && well == (layer == "fine"), "{text}");
}

fn read(house: &House, camera: usize) {
    client::ask(house.door(camera), "device", ADMIN, &tds("GetDeviceInformation"));
}

#[test]
fn cameras_are_listed_shown_and_diagnosed() {
    let mut house = House::open();
    house.stop();
    let running = Running::start(house.dir());
    let (list, _) = cordon(&house, &["list"]);
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["CAMERA", "VENDOR", "CLASS", "SITE", "ZONE", "STATE", "SERVED"]);
    assert_eq!(
        lines[1][..6],
        ["car-park", "hikvision", "restricted", "headquarters", "restricted", "not-asked"]
    );
    assert_eq!(lines[2][..6], ["lobby", "axis", "trusted", "headquarters", "trusted", "not-asked"]);
    assert!(
        lines[1][6].starts_with("http://127.0.3.") && list.ends_with("2 cameras, by the running gateway\n")
    );

    why(&house, "lobby", "not-asked", "nobody has asked it anything since the gateway started");
    why(&house, "cellar", "enrolment", "camera `cellar` is not in the configuration");
    house.camera(LOBBY).set_oddities(&[Oddity::Sha256Only]);
    read(&house, LOBBY);
    why(&house, "lobby", "fine", "it works: it answered at 20");
    let (shown, _) = cordon(&house, &["show", "lobby"]);
    for line in [
        "camera lobby (by the running gateway)",
        "  vendor    axis, trusted (",
        "AXIS ",
        ", firmware 10.12.182, serial ",
        "  login     HTTP digest; refused 0 times since it was taken",
        "  quirk     sha-256-only (observed): its challenges name SHA-256 and not MD5",
        " times from 20",
        "            known from: field reports: onvif/specs issue 191",
        "  events    not subscribed to, wanted by 0; told 0, twice 0, lost beyond the rate 0",
    ] {
        assert!(shown.contains(line), "`{line}` is missing in {shown}");
    }

    for (fault, layer, says) in [
        (Fault::Html, "onvif", "the camera's answer is not SOAP (HTTP status 200)"),
        (Fault::Reset, "onvif", "the camera cut the connection before it had answered"),
    ] {
        house.camera(LOBBY).set_fault(Some(fault));
        read(&house, LOBBY);
        why(&house, "lobby", layer, says);
    }
    house.camera(CAR_PARK).set_fault(Some(Fault::BadPassword));
    for _ in 0..3 {
        read(&house, CAR_PARK);
    }
    why(&house, "car-park", "breaker", "it refused the gateway's login 3 times; nothing is sent until 20");
    assert!((1..=3).contains(&house.camera(CAR_PARK).rejected_logins()));

    running.stop();
    why(
        &house,
        "car-park",
        "gateway",
        "; before, it refused the gateway's login 3 times; nothing is sent until 20",
    );
    let (shown, well) = cordon(&house, &["show", "lobby", "--json"]);
    let view: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert!(well && view["source"] == "the state database, since no gateway answers", "{view}");
    assert_eq!(
        (&view["identity"]["firmware"], &view["quirks"][0]["id"]),
        (&"10.12.182".into(), &"sha-256-only".into())
    );
    let (list, _) = cordon(&house, &["list"]);
    assert!(list.ends_with("2 cameras, by the state database, since no gateway answers\n"), "{list}");
}

#[test]
fn what_is_in_the_way_before_the_camera_is_named_too() {
    let mut house = House::open();
    // A port at which nothing listens.
    let nowhere = TcpListener::bind((Ipv4Addr::new(127, 0, 2, 99), 0)).unwrap().local_addr().unwrap();
    house.enrol(LOBBY, nowhere);
    house.reconfigure(|text| {
        text.replace("networks = [\"127.0.0.0/29\"]\n", "networks = [\"127.0.0.0/29\"]\ncameras = [\"lobby\"]\n")
            .replace("cameras = [\"lobby\"]\ncameras = [\"lobby\"]", "cameras = [\"lobby\"]")
            .replace("username = \"gateway-service\"", "username = \"gateway-service\"\nquirks = [{ use = \"soap-11-only\", reason = \"told by the maker\" }]")
    });
    house.stop();
    let _running = Running::start(house.dir());
    why(&house, "car-park", "policy", "no policy permits any client anything at this camera");
    read(&house, LOBBY);
    why(&house, "lobby", "port", "nothing listens at its port");
    let (shown, _) = cordon(&house, &["show", "lobby"]);
    assert!(shown.contains("  quirk     soap-11-only (set by the owner): told by the maker"), "{shown}");
}
