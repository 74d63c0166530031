//! The events of cameras at an MQTT broker that nobody here wrote: Debian's mosquitto.

use std::{
    fmt::Write as _,
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use cordon::clock::{Clock, SystemClock};
use serde_json::Value;

use crate::{
    client,
    house::{CAMERA_SIDE, CAR_PARK, House, LOBBY, breathe},
    process::Running,
    skips::skipped,
    watch::wait_until,
};

/// Where Debian puts it.
const MOSQUITTO: &str = "/usr/sbin/mosquitto";

struct Broker(Child);

impl Broker {
    /// Starts one at an address, with more lines of its configuration; none where it is not installed.
    fn start(dir: &Path, at: SocketAddr, more: &str) -> Option<Self> {
        if !Path::new(MOSQUITTO).exists() {
            skipped("mosquitto is not installed; run tests/run, which installs it");
            return None;
        }
        let file = dir.join("mosquitto.conf");
        let text = format!("listener {} {}\npersistence false\n{more}", at.port(), at.ip());
        fs::write(&file, text).unwrap();
        let child = Command::new(MOSQUITTO).arg("-c").arg(&file).stderr(Stdio::null()).spawn().unwrap();
        let broker = Self(child);
        let clock = SystemClock::new();
        while std::net::TcpStream::connect(at).is_err() {
            assert!(clock.monotonic() < Duration::from_secs(30), "it does not listen");
            breathe();
        }
        Some(broker)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address where a broker can be.
fn place() -> SocketAddr {
    TcpListener::bind("127.0.5.1:0").unwrap().local_addr().unwrap()
}

/// The first message below a topic, as `mosquitto_sub` has it: its topic and its payload.
fn first(at: SocketAddr, topic: &str, how: &[&str]) -> (String, Value) {
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    let output = Command::new("mosquitto_sub")
        .args(["-h", &host, "-p", &port, "-t", topic, "-v", "-C", "1", "-W", "40"])
        .args(how)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (topic, payload) = text
        .trim()
        .split_once(" {")
        .unwrap_or_else(|| panic!("`{text}` {}", String::from_utf8_lossy(&output.stderr)));
    for secret in CAMERA_SIDE {
        assert!(!text.contains(secret), "the broker received `{secret}`");
    }
    (topic.to_owned(), serde_json::from_str(&format!("{{{payload}")).unwrap())
}

fn house(section: &str) -> House {
    let mut house = House::open();
    house.reconfigure(|text| format!("{text}\n[mqtt]\n{section}"));
    house
}

#[test]
fn every_cameras_properties_are_kept_by_the_broker() {
    let (dir, at) = (tempfile::tempdir().unwrap(), place());
    let Some(broker) = Broker::start(dir.path(), at, "allow_anonymous true\n") else { return };
    let mut house = House::open();
    house.stop();
    let section = format!("broker = \"mqtt://{at}\"\ntopic_prefix = \"site\"\n");
    house.write(&format!("{}\n[mqtt]\n{section}", house.configuration()));
    let _running = Running::start(house.dir());
    for plan in house.plans() {
        let (topic, payload) = first(at, &format!("site/{}/#", plan.name), &[]);
        assert!(topic.starts_with(&format!("site/{}/onvif-ej/", plan.name)), "{topic}");
        assert!(topic.contains("/&"), "it names its source: {topic}");
        for part in ["UtcTime", "Source", "Data"] {
            assert!(!payload[part].is_null(), "no {part}: {payload}");
        }
        // Kept: who comes later has it at once.
        let (again, _) = first(at, &topic, &["--retained-only"]);
        assert_eq!(again, topic);
    }
    // Counted once the broker has said so.
    let counted = "cordon_events_delivered_total{camera=\"lobby\",by=\"broker\"} ";
    let metrics = || client::send(house.admin(), &client::request("GET", "/metrics", &[], b""));
    wait_until("it is counted", || metrics().text().contains(counted));
    let connected = |it: &Value| it["what"] == "broker-connected";
    house.wait_for(|records| records.iter().any(connected));
    // One that was started anew is told again.
    drop(broker);
    house.wait_for(|records| records.iter().any(|it| it["what"] == "broker-lost"));
    let _broker = Broker::start(dir.path(), at, "allow_anonymous true\n").unwrap();
    first(at, "site/lobby/#", &[]);
    house.wait_for(|records| records.iter().filter(|it| connected(it)).count() == 2);
}

#[test]
fn what_a_camera_calls_its_sources_keeps_no_other_from_the_broker() {
    let (dir, at) = (tempfile::tempdir().unwrap(), place());
    let Some(_broker) = Broker::start(dir.path(), at, "allow_anonymous true\n") else { return };
    let house = house(&format!("broker = \"mqtt://{at}\"\n"));
    let alarm =
        |camera: &str, source: &str| format!("cordon/{camera}/onvif-ej/VideoSource/MotionAlarm/&{source}");
    // mosquitto ends the connection over each of these.
    let tokens = ["a/".repeat(300), "a\u{fdd0}b".to_owned(), "c\u{1fffe}d".to_owned()];
    let levels = ["a_".repeat(64), "ab".to_owned(), "cd".to_owned()];
    for (token, level) in tokens.iter().zip(&levels) {
        house.camera(LOBBY).set_variable("motion.token", token);
        house.camera(LOBBY).happens("motion", true);
        let topic = alarm("lobby", level);
        assert_eq!(first(at, &topic, &[]).0, topic);
    }
    house.camera(CAR_PARK).set_variable("motion.token", "afterwards");
    house.camera(CAR_PARK).happens("motion", true);
    first(at, &alarm("car-park", "afterwards"), &[]);
    let lost = house.records().iter().filter(|it| it["what"] == "broker-lost").count();
    assert_eq!(lost, 0, "{:#?}", house.records());
}

#[test]
fn a_broker_over_tls_is_known_by_its_certificate_and_the_gateway_by_its_password() {
    let (dir, at) = (tempfile::tempdir().unwrap(), place());
    let own = rcgen::generate_simple_self_signed([at.ip().to_string()]).unwrap();
    let (certificate, key) = (dir.path().join("broker.pem"), dir.path().join("broker.key"));
    fs::write(&certificate, own.cert.pem()).unwrap();
    fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let passwords = dir.path().join("passwords");
    fs::write(&passwords, "cordon:broker-word\nreader:reader-word\n").unwrap();
    let hashed = Command::new("mosquitto_passwd").arg("-U").arg(&passwords).status();
    let mut more = String::from("allow_anonymous false\n");
    for (word, path) in [("certfile", &certificate), ("keyfile", &key), ("password_file", &passwords)] {
        let _ = writeln!(more, "{word} {}", path.display());
    }
    // Started as root it becomes somebody who could not read these.
    more.push_str("user root\n");
    let Some(_broker) = Broker::start(dir.path(), at, &more) else { return };
    assert!(hashed.unwrap().success());
    let section = |password: &str, ca: &str| {
        format!(
            "broker = \"mqtts://{at}\"\nca = \"{ca}\"\nusername = \"cordon\"\npassword = {{ env = \"{password}\" }}\n"
        )
    };
    let ca = certificate.to_str().unwrap().to_owned();
    let mut house = house(&section("another-word", &ca));
    let lost = |it: &Value, why: &str| {
        it["what"] == "broker-lost" && it["detail"]["reason"].as_str().unwrap_or_default().contains(why)
    };
    house.wait_for(|records| records.iter().any(|it| lost(it, "refused the gateway")));
    house.reconfigure(|text| text.replace("another-word", "broker-word"));
    let reader = ["--cafile", &ca, "--insecure", "-u", "reader", "-P", "reader-word"];
    let (topic, _) = first(at, "cordon/lobby/#", &reader);
    assert!(topic.starts_with("cordon/lobby/onvif-ej/"), "{topic}");
    let stranger = rcgen::generate_simple_self_signed([at.ip().to_string()]).unwrap();
    let other = dir.path().join("other.pem");
    fs::write(&other, stranger.cert.pem()).unwrap();
    house.reconfigure(|text| text.replace(&ca, other.to_str().unwrap()));
    house.wait_for(|records| records.iter().any(|it| lost(it, "certificate")));
}
