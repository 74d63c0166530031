//! Whoever may log in from somewhere tries passwords there.

use std::sync::Arc;

use cordon::{
    clock::{Clock, SimulatedClock, SystemClock},
    limits::{LOGINS_FAILED_PER_NAME_MAX, NOISE_PERIOD},
};
use serde_json::json;

use crate::{
    client::{self, Token, User, envelope, tds},
    house::{House, LOBBY, OPERATOR, VIEWER},
    streams::{CAMERAS, Player, address},
};

/// After some wrong passwords the right one is not taken either, by whatever way it comes, until the minute is over.
#[test]
fn a_password_is_not_guessed_by_trying() {
    let clock = Arc::new(SimulatedClock::new(SystemClock::new().now()));
    let mut house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    let door = house.door(LOBBY);
    let ask = |user: User| {
        let token = Token::at(user, &clock.now().to_string()).header();
        client::post(door, "device", &[], &envelope(&token, &tds("GetNTP")))
    };
    let (camera, profile) = CAMERAS[0];
    let stream = address(&house, camera, profile);
    assert_eq!(ask(VIEWER).status, 200);
    for number in 0..LOGINS_FAILED_PER_NAME_MAX {
        let reply = ask((VIEWER.0, Box::leak(format!("guess {number}").into_boxed_str())));
        assert_eq!((reply.status, &*reply.fault()), (400, "Sender/ter:NotAuthorized"), "guess {number}");
    }
    assert_eq!(ask((VIEWER.0, "yet another")).status, 429);
    assert_eq!(ask(VIEWER).status, 429, "what is right is not told");
    let body = envelope("", &tds("GetNTP"));
    let target = "/onvif/device_service";
    assert_eq!(client::send_with_digest(door, "POST", target, VIEWER, "MD5", &body).status, 429);
    assert_eq!(Player::connect(&house, &stream, VIEWER).ask("DESCRIBE", "", "").status, 503);
    assert_eq!(ask(OPERATOR).status, 200, "another client of the same machine");
    clock.advance(NOISE_PERIOD);
    assert_eq!(ask(VIEWER).status, 200, "the next minute");
    house.stop();
    let records = house.records();
    let wrong = |it: &&serde_json::Value| {
        it["who"]["name"] == "claims to be \"vms-viewer\"" && it["decision"] == "denied"
    };
    assert_eq!(records.iter().filter(wrong).count(), LOGINS_FAILED_PER_NAME_MAX as usize);
    let told: Vec<_> =
        records.iter().filter(|it| it["what"] == "logins-left-out").map(|it| &it["detail"]).collect();
    assert_eq!(told, [&json!({ "source": "127.0.0.1", "requests": 4 })]);
    let found: Vec<_> = records
        .iter()
        .filter(|it| it["what"] == "alarm-raised" && it["detail"]["id"] == "logins-left-out")
        .map(|it| &it["detail"]["found"])
        .collect();
    assert_eq!(found, ["127.0.0.1 failed to log in too often, last as `vms-viewer`"]);
}
