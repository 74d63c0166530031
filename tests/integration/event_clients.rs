//! Two clients that nobody here wrote have the events of every maker's camera.

use serde_json::{Value, json};

use crate::{
    house::{CAMERA_SIDE, House, OTHERS, PLANS},
    walks::walk,
};

/// What a client did, for every camera of two houses; none where the clients are not installed.
fn walked(program: &str, script: &str) -> Option<Vec<Value>> {
    let mut results = Vec::new();
    for (name, plans) in [("first", &PLANS[..]), ("second", &OTHERS[..])] {
        let mut house = House::with(plans);
        // The clients run here, and so do their consumers.
        house.reconfigure(|text| {
            format!("{text}\n[[network]]\nname = \"consumers\"\nprefixes = [\"127.0.0.1/32\"]\n")
        });
        let walk = walk(&house, name, program, script)?;
        let received = String::from_utf8_lossy(&walk.received);
        for secret in CAMERA_SIDE {
            assert!(!received.contains(secret), "a client received `{secret}`");
        }
        results.extend(walk.results);
    }
    Some(results)
}

fn step<'a>(results: &'a [Value], camera: &str, step: &str) -> &'a Value {
    let found = results.iter().find(|it| it["camera"] == camera && it["step"] == step);
    found.unwrap_or_else(|| panic!("{camera}: no {step} in {results:#?}"))
}

/// That events came at a step, with topics as they should be.
fn told(results: &[Value], camera: &str, name: &str) {
    let topics = step(results, camera, name)["topics"].as_array().unwrap();
    assert!(!topics.is_empty(), "{camera}: nothing at {name}");
    for topic in topics {
        assert!(topic.as_str().unwrap().starts_with("tns1:"), "{camera}: {topic}");
    }
}

fn cameras() -> impl Iterator<Item = &'static str> {
    PLANS.iter().chain(&OTHERS).map(|it| it.name)
}

/// That onvif-zeep subscribed to a camera, pulled, renewed and ended it.
pub fn zeep_heard(results: &[Value], camera: &str) {
    assert_eq!(step(results, camera, "CreatePullPointSubscription")["lasts"], json!(60.0), "{camera}");
    told(results, camera, "PullMessages");
    assert_eq!(step(results, camera, "Renew")["lasts"], json!(120.0), "{camera}");
    told(results, camera, "SetSynchronizationPoint");
    step(results, camera, "Unsubscribe");
    let fault = step(results, camera, "PullMessages afterwards")["fault"].as_str().unwrap_or_default();
    assert!(fault.contains("no such subscription"), "{camera}: {fault}");
}

/// That agsh's onvif did, by itself and as it does for who uses it, and was sent events.
pub fn agsh_heard(results: &[Value], camera: &str) {
    assert_eq!(step(results, camera, "CreatePullPointSubscription")["lasts"], json!(120), "{camera}");
    told(results, camera, "PullMessages");
    assert_eq!(step(results, camera, "Renew")["lasts"], json!(120), "{camera}");
    step(results, camera, "Unsubscribe");
    told(results, camera, "event");
    told(results, camera, "Subscribe");
}

#[test]
fn onvif_zeep_has_the_events_of_every_maker() {
    let Some(results) = walked("python/bin/python", "events.py") else { return };
    cameras().for_each(|camera| zeep_heard(&results, camera));
}

#[test]
fn agsh_onvif_has_the_events_of_every_maker() {
    let Some(results) = walked("node/bin/node", "events.js") else { return };
    cameras().for_each(|camera| agsh_heard(&results, camera));
}
