//! Logins that a camera refuses: how often a gateway tries that is killed, started again, and killed.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    thread,
};

use crate::{
    client,
    house::{ADMIN, CAMERA_PASSWORD, House, LOBBY},
    process::Running,
};

/// Writes the password that the gateway has for the cameras.
fn enrol_password(house: &House, word: &str) {
    let path = house.dir().join("camera-password");
    fs::write(&path, word).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_gateway_killed_between_its_tries_and_started_again_does_not_lock_the_account() {
    let mut house = House::with_valves();
    house.stop();
    let path = house.dir().join("cordon.toml");
    let by_variable = format!("password = {{ env = \"{CAMERA_PASSWORD}\" }}");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(&by_variable), "{text}");
    fs::write(&path, text.replace(&by_variable, "password = { file = \"camera-password\" }")).unwrap();
    enrol_password(&house, "not-the-password");
    let (door, valve, camera) = (house.door(LOBBY), &house.valves[LOBBY], house.camera(LOBBY));
    let ask = move || client::ask(door, "device", ADMIN, &client::tds("GetDeviceInformation"));
    camera.clear_log();
    let mut killed = 0;
    for round in 0..6 {
        let before = camera.rejected_logins();
        valve.close();
        let running = Running::start(house.dir());
        let asking = thread::spawn(move || {
            client::try_ask(door, "device", ADMIN, &client::tds("GetDeviceInformation"))
        });
        while !asking.is_finished() {
            if !valve.holds() {
                thread::yield_now();
            } else if camera.rejected_logins() > before {
                // The camera has refused, and the gateway has not heard it yet.
                killed += 1;
                break;
            } else {
                valve.step();
            }
        }
        drop(running);
        valve.release();
        let reply = asking.join().unwrap();
        assert_eq!(reply.is_some(), round >= 3, "round {round}: {:?}", reply.map(|it| it.text()));
        if let Some(reply) = reply {
            assert!(
                reply.text().contains("refused the gateway's login; it is tried again in"),
                "{}",
                reply.text()
            );
        }
    }
    assert_eq!((killed, camera.rejected_logins()), (3, 3), "tries that the camera refused");
    enrol_password(&house, CAMERA_PASSWORD);
    let _running = Running::start(house.dir());
    let reply = ask();
    assert_eq!(reply.status, 200, "a changed password begins anew: {}", reply.text());
    assert_eq!(camera.rejected_logins(), 3);
}
