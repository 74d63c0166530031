//! Credentials that were good once, clocks that differ, restarts, and the log that shows all this.

use std::{fs, sync::Arc, time::Duration};

use cordon::{
    audit::verify,
    clock::{Clock, SimulatedClock},
};
use jiff::SignedDuration;

use crate::{
    client::{self, Token, envelope, tds},
    house::{ADMIN, CAR_PARK, House, LOBBY, VIEWER},
    refusals::Expected,
};

fn not_authorized(note: &'static str) -> Expected {
    Expected { status: 400, fault: "Sender/ter:NotAuthorized", operation: "tds:GetNTP", policies: &[], note }
}

#[test]
fn a_token_is_good_once_at_any_door_and_after_a_restart_too() {
    let mut house = House::open();
    let message = envelope(&Token::new(VIEWER).header(), &tds("GetNTP"));
    let other = envelope(&Token::new(VIEWER).header(), &tds("GetNTP"));
    let post =
        |house: &House, camera, message: &str| client::post(house.door(camera), "device", &[], message);
    assert_eq!(post(&house, CAR_PARK, &message).status, 200);
    assert_eq!(post(&house, CAR_PARK, &other).status, 200);
    let replayed = not_authorized("the nonce was used before");
    for camera in [CAR_PARK, LOBBY] {
        let reply = post(&house, camera, &message);
        replayed.check("replayed", &reply, &house.record(&reply));
    }
    house.restart();
    for (camera, message) in [(CAR_PARK, &message), (LOBBY, &other)] {
        let reply = post(&house, camera, message);
        replayed.check("replayed after a restart", &reply, &house.record(&reply));
    }
    let fresh = post(&house, LOBBY, &envelope(&Token::new(VIEWER).header(), &tds("GetNTP")));
    assert_eq!(fresh.status, 200, "a fresh token still works: {}", fresh.text());
    assert_eq!(house.heard(), []);
}

/// A refused token is not used up by the refusal of its password, and is no oracle either.
#[test]
fn created_may_be_five_minutes_off_either_way() {
    let clock = Arc::new(SimulatedClock::new("2026-11-23T12:00:00Z".parse().unwrap()));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    for (seconds, good) in [
        (0, true),
        (299, true),
        (-299, true),
        (300, true),
        (-300, true),
        (301, false),
        (-301, false),
        (86_400, false),
    ] {
        let created = clock.now().checked_add(SignedDuration::from_secs(seconds)).unwrap().to_string();
        let message = envelope(&Token::at(VIEWER, &created).header(), &tds("GetNTP"));
        let reply = client::post(house.door(CAR_PARK), "device", &[], &message);
        if good {
            assert_eq!(reply.status, 200, "{seconds}: {}", reply.text());
            assert_eq!(house.record(&reply).intent["decision"], "permitted");
        } else {
            not_authorized("more than 300 s away").check(&seconds.to_string(), &reply, &house.record(&reply));
        }
    }
    for created in ["", "yesterday", "2026-11-23 12:00:00Z", "2026-11-23T12:00:61Z"] {
        let message = envelope(&Token::at(VIEWER, created).header(), &tds("GetNTP"));
        let reply = client::post(house.door(CAR_PARK), "device", &[], &message);
        not_authorized("Created").check(created, &reply, &house.record(&reply));
    }
    assert_eq!(house.heard(), []);
}

/// A token accepted at one edge of the window is still remembered at the other.
#[test]
fn a_token_from_the_future_cannot_be_replayed_when_its_time_comes() {
    let clock = Arc::new(SimulatedClock::new("2026-11-23T12:00:00Z".parse().unwrap()));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    let created = clock.now().checked_add(SignedDuration::from_secs(299)).unwrap().to_string();
    let message = envelope(&Token::at(VIEWER, &created).header(), &tds("GetNTP"));
    let post = || client::post(house.door(CAR_PARK), "device", &[], &message);
    assert_eq!(post().status, 200);
    for _ in 0..5 {
        clock.advance(Duration::from_secs(119));
        let reply = post();
        not_authorized("the nonce was used before").check("replayed", &reply, &house.record(&reply));
    }
}

#[test]
fn an_http_digest_is_counted_bound_to_its_target_and_grows_old() {
    let clock = Arc::new(SimulatedClock::new("2026-11-23T12:00:00Z".parse().unwrap()));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    let door = house.door(CAR_PARK);
    let (target, body) = ("/onvif/device_service", envelope("", &tds("GetNTP")));
    let send = |target: &str, answer: &str| {
        client::send(door, &client::request("POST", target, &[client::SOAP, answer], body.as_bytes()))
    };
    let challenge = || {
        let first = client::send(door, &client::request("POST", target, &[client::SOAP], body.as_bytes()));
        first.header_values("www-authenticate")[0].to_owned()
    };
    let answer = client::authorization(&challenge(), "POST", target, VIEWER);
    assert_eq!(send(target, &answer).status, 200);
    let refused = |note| Expected { status: 401, ..not_authorized(note) };
    let again = send(target, &answer);
    refused("the nonce was used before").check("the same count", &again, &house.record(&again));
    let elsewhere =
        send("/onvif/media_service", &client::authorization(&challenge(), "POST", target, VIEWER));
    refused("made for another address").check("another target", &elsewhere, &house.record(&elsewhere));
    let old = client::authorization(&challenge(), "POST", target, VIEWER);
    clock.advance(Duration::from_secs(301));
    let late = send(target, &old);
    refused("the digest nonce has expired").check("old", &late, &house.record(&late));
    assert!(
        late.header_values("www-authenticate").iter().all(|it| it.contains("stale=true")),
        "{:?}",
        late.headers
    );
}

#[test]
fn the_log_verifies_until_any_byte_of_it_is_changed() {
    let mut house = House::open();
    for user in [ADMIN, VIEWER] {
        client::ask(house.door(CAR_PARK), "device", user, &tds("GetDeviceInformation"));
        client::ask(house.door(LOBBY), "device", user, &tds("SystemReboot"));
    }
    house.restart();
    client::ask(house.door(LOBBY), "device", VIEWER, &tds("GetNTP"));
    house.stop();
    let dir = house.audit_dir();
    let report = verify(&dir, Some(&house.public_key()), None).unwrap();
    assert_eq!(report.signed, report.lines, "the stop signs every line: {report}");
    assert_eq!(report.unanswered, 0, "{report}");
    let mut segments: Vec<_> = fs::read_dir(&dir).unwrap().map(|it| it.unwrap().path()).collect();
    segments.retain(|it| it.extension().is_some_and(|it| it == "jsonl"));
    segments.sort();
    let last = segments.last().unwrap();
    let bytes = fs::read(last).unwrap();
    // A stride without common factors with the length of a line; with first and last byte.
    let offsets = (0..bytes.len()).step_by(41).chain([bytes.len() - 1]);
    for offset in offsets {
        let mut changed = bytes.clone();
        changed[offset] ^= 1;
        fs::write(last, &changed).unwrap();
        assert!(verify(&dir, None, None).is_err(), "byte {offset} of {} went unnoticed", last.display());
    }
    fs::write(last, &bytes).unwrap();
    assert!(verify(&dir, None, None).is_ok());
    for cut in [1, 200, bytes.len() / 2] {
        fs::write(last, &bytes[..bytes.len() - cut]).unwrap();
        assert!(verify(&dir, None, None).is_err(), "{cut} bytes cut off went unnoticed");
    }
    fs::write(last, &bytes).unwrap();
}
