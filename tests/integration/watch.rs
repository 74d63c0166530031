//! What the gateway tells of itself: metrics that count exactly, and alarms that are raised and cleared once.

use std::{
    fs,
    io::Read,
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use cordon::{
    audit,
    clock::{Clock, SystemClock},
};
use serde_json::Value;
use tokio::net::TcpSocket;

use crate::{
    client::{self, Reply, tds, tds_with, trt},
    house::{ADMIN, CAR_PARK, House, LOBBY, VIEWER, records_of},
    openmetrics::Scrape,
    process::Running,
    tls::Pair,
};

/// How long something is waited for before a test fails.
const PATIENCE: Duration = Duration::from_secs(45);

fn get(admin: SocketAddr, path: &str) -> Reply {
    client::send(admin, &client::request("GET", path, &[], b""))
}

pub fn scrape(admin: SocketAddr) -> Scrape {
    let reply = get(admin, "/metrics");
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((reply.status, reply.header_values("content-type")), (200, vec![kind]));
    Scrape::read(std::str::from_utf8(&reply.body).unwrap())
}

/// The active alarms, as `id subject`.
pub fn alarms(admin: SocketAddr) -> Vec<String> {
    let alarms: Value = serde_json::from_slice(&get(admin, "/alarms").body).unwrap();
    let of = |it: &Value| format!("{} {}", it["id"].as_str().unwrap(), it["subject"].as_str().unwrap());
    alarms["active"].as_array().unwrap().iter().map(of).collect()
}

pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let clock = SystemClock::new();
    while !condition() {
        assert!(clock.monotonic() < PATIENCE, "never: {what}");
        crate::house::breathe();
    }
}

/// A house whose gateway runs as a process of its own, with an admin listener.
pub fn served() -> (House, Running) {
    let mut house = House::open();
    house.stop();
    let running = Running::start(house.dir());
    house.acquaint();
    (house, running)
}

#[test]
fn metrics_count_exactly_what_was_decided_and_how_it_ended() {
    let (house, running) = served();
    let (admin, door) = (house.admin(), house.door(LOBBY));
    let before = scrape(admin);
    for _ in 0..7 {
        assert_eq!(client::ask(door, "media", ADMIN, &trt("GetProfiles")).status, 200);
    }
    let hostname = tds_with("SetHostname", "<x:Name>new</x:Name>");
    for _ in 0..3 {
        assert_eq!(client::ask(door, "device", VIEWER, &hostname).status, 400);
    }
    assert_eq!(client::ask(door, "device", (VIEWER.0, "wrong"), &hostname).status, 400);
    assert_eq!(client::ask_anonymously(door, "device", &tds("GetUsers")).status, 401);
    // An outcome is counted before its reply leaves.
    let after = scrape(admin);
    let commands = after.since(&before, "cordon_commands_total{");
    let of = |class: &str, decision: &str| {
        format!("cordon_commands_total{{class=\"{class}\",decision=\"{decision}\"}}")
    };
    assert_eq!(
        commands,
        [
            (&*of("READ_MEDIA", "permitted"), 7.0),
            (&*of("READ_SYSTEM_SECRET", "unauthenticated"), 1.0),
            (&*of("WRITE_SYSTEM", "denied"), 3.0),
        ]
    );
    let ended = |how: &str| format!("cordon_camera_commands_total{{camera=\"lobby\",ended=\"{how}\"}}");
    assert_eq!(
        after.since(&before, "cordon_camera_commands_total{"),
        [(&*ended("answered"), 7.0), (&*ended("refused"), 4.0)]
    );
    let count = "cordon_camera_exchanges_total{camera=\"lobby\"}";
    assert_eq!(after.since(&before, "cordon_camera_exchanges_total{"), [(count, 7.0)]);
    let count = "cordon_command_seconds_count{class=\"READ_MEDIA\"}";
    assert_eq!(after.value(count) - before.value(count), 7.0);
    let refused = "cordon_logins_refused_total{reason=\"wrong-password\"}";
    assert_eq!(after.since(&before, "cordon_logins_refused_total{"), [(refused, 1.0)]);
    let rejected = "cordon_requests_rejected_total";
    assert_eq!(after.since(&before, rejected), [(rejected, 1.0)]);
    for camera in ["car-park", "lobby"] {
        let up = format!("cordon_camera_health{{camera=\"{camera}\",health=\"up\"}}");
        assert_eq!(after.like(&format!("cordon_camera_health{{camera=\"{camera}\"")), [(&*up, 1.0)]);
    }
    let policy = after.like("cordon_policy_info{");
    assert!(policy.len() == 1 && policy[0].0.contains("mode=\"enforce\""), "{policy:?}");
    // Seven intents with their outcomes and five refusals; outcomes follow a moment later, also those of before.
    let lines = "cordon_audit_durable_lines";
    wait_until("19 lines more", || scrape(admin).value(lines) - before.value(lines) >= 19.0);
    assert!(after.value("process_resident_memory_bytes") > 1e6, "{after:?}");
    running.stop();
}

#[test]
fn what_is_configured_weakly_is_an_alarm_from_the_start() {
    let (house, running) = served();
    let now = scrape(house.admin());
    assert_eq!(
        alarms(house.admin()),
        ["isolation-off zone restricted", "isolation-off zone trusted"],
        "in the order of the catalogue"
    );
    let active = now.like("cordon_alarm_active{");
    let zone = "cordon_alarm_active{id=\"isolation-off\",severity=\"warning\",subject=\"zone restricted\"}";
    assert!(active.len() == 2 && active[0] == (zone, 1.0), "{active:?}");
    running.stop();
}

/// The alarms on record about something, as event, repeats and what was found.
pub fn on_record(house: &House, id: &str) -> Vec<Value> {
    let records = records_of(&house.audit_dir());
    let of = |it: &Value| {
        it["detail"]["id"] == id && it["what"].as_str().is_some_and(|it| it.starts_with("alarm-"))
    };
    records.into_iter().filter(of).collect()
}

#[test]
fn a_broken_certificate_is_an_alarm_until_it_is_mended() {
    let mut house = House::open();
    let host = house.door(LOBBY).ip();
    Pair::new(&host.to_string()).write(house.dir());
    let secure = TcpListener::bind((host, 0)).unwrap().local_addr().unwrap();
    house.reconfigure(|text| {
        let listener = "[listener]\ntls_certificate = \"chain.pem\"\ntls_key = \"key.pem\"\n";
        let head = "[[camera]]\nname = \"lobby\"\n";
        text.replacen("[listener]\n", listener, 1).replacen(
            head,
            &format!("{head}tls_port = {}\n", secure.port()),
            1,
        )
    });
    house.stop();
    let running = Running::start(house.dir());
    let (admin, alarm) = (house.admin(), "certificate-unusable certificate".to_owned());
    assert!(!alarms(admin).contains(&alarm));
    assert!(scrape(admin).value("cordon_certificate_ends_timestamp_seconds") > 3.7e9, "2090");
    fs::write(house.dir().join("chain.pem"), "no certificate\n").unwrap();
    wait_until("the alarm", || alarms(admin).contains(&alarm));
    let active =
        "cordon_alarm_active{id=\"certificate-unusable\",severity=\"error\",subject=\"certificate\"}";
    assert_eq!(scrape(admin).value(active), 1.0);
    let ready = get(admin, "/ready");
    assert_eq!(ready.status, 200, "the certificate before serves");
    assert!(ready.text().contains("alarm certificate-unusable"), "{}", ready.text());
    // Somebody who speaks no TLS: counted, and on record.
    let mut answer = Vec::new();
    // What comes back is an alert of TLS, or nothing.
    let _ = client::connect(secure, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    wait_until("the handshake", || scrape(admin).value("cordon_tls_handshakes_failed_total") == 1.0);
    Pair::new(&host.to_string()).write(house.dir());
    wait_until("the end of the alarm", || !alarms(admin).contains(&alarm));
    assert_eq!(scrape(admin).like("cordon_alarm_active{id=\"certificate"), []);
    running.stop();

    let told = on_record(&house, "certificate-unusable");
    let what: Vec<_> = told.iter().map(|it| it["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["alarm-raised", "alarm-cleared"], "once each: {told:?}");
    let detail = &told[0]["detail"];
    assert_eq!((&detail["severity"], &detail["subject"]), (&"error".into(), &"certificate".into()));
    assert!(detail["found"].as_str().unwrap().contains("holds no certificate"), "{detail}");
    assert!(detail["remedy"].as_str().unwrap().starts_with("Mend the files"), "{detail}");
    let records = records_of(&house.audit_dir());
    let failed: Vec<_> = records.iter().filter(|it| it["what"] == "tls-handshake-failed").collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0]["detail"]["source"].as_str().unwrap().starts_with("127."), "{failed:?}");
    // Error is 3, a notice 5, of facility 13 (RFC 5424 §6.2.1).
    let priorities: Vec<_> = told.iter().map(priority).collect();
    assert_eq!(priorities, ["<107>1 ", "<109>1 "]);
}

/// How a record begins as a syslog message.
fn priority(record: &Value) -> String {
    let message = audit::Item::Line(record.to_string().as_bytes()).syslog("house/audit", "");
    String::from_utf8_lossy(&message[..7]).into_owned()
}

#[test]
fn a_camera_that_cannot_be_reached_is_one_alarm_however_often_it_is_asked() {
    let mut house = House::open();
    // A port of the camera's address at which nobody is, nor comes to be: cameras of other tests have this address, too.
    let held = TcpSocket::new_v4().unwrap();
    held.bind(SocketAddr::new(house.camera(LOBBY).address().ip(), 0)).unwrap();
    let gone = held.local_addr().unwrap();
    house.enrol(LOBBY, gone);
    house.restart();
    for _ in 0..3 {
        let reply = client::ask(house.door(LOBBY), "media", ADMIN, &trt("GetProfiles"));
        assert_eq!(reply.fault(), "Receiver/ter:Action", "{}", reply.text());
    }
    assert_eq!(client::ask(house.door(CAR_PARK), "device", ADMIN, &tds("GetNTP")).status, 200);
    house.wait_for(|records| records.iter().any(|it| it["detail"]["id"] == "camera-silent"));
    let told = on_record(&house, "camera-silent");
    let [raised] = &*told else { panic!("{told:?}") };
    assert_eq!((&raised["what"], &raised["camera"]), (&"alarm-raised".into(), &"lobby".into()));
    assert_eq!(raised["detail"]["subject"], "camera lobby");
    assert_eq!(priority(raised), "<108>1 ", "a warning");
    assert!(TcpStream::connect(gone).is_err());
}
