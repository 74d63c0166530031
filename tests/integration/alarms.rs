//! Alarms that need a cause of their own: each is raised by what it is about, and is on record.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use cordon::{
    audit::{Event, Log, Options},
    clock::{Clock, SimulatedClock, SystemClock, SystemEntropy},
    sim::Fault,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    client::{self, trt},
    house::{ADMIN, CAR_PARK, House, LOBBY},
    pull_points,
    watch::{on_record, served},
};

/// The first alarm of that name on record, as soon as it is there.
fn raised(house: &House, id: &str) -> Value {
    house.wait_for(|_| !on_record(house, id).is_empty());
    let told = on_record(house, id).swap_remove(0);
    assert_eq!(told["what"], "alarm-raised", "{told}");
    told["detail"].clone()
}

/// The machine's clock, and by how many seconds it was set ahead.
struct Settable {
    clock: SystemClock,
    ahead: AtomicI64,
}

impl Clock for Settable {
    fn now(&self) -> Timestamp {
        self.clock.now() + SignedDuration::from_secs(self.ahead.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
}

#[test]
fn a_clock_that_is_set_while_the_gateway_serves_is_an_alarm() {
    let clock = Arc::new(Settable { clock: SystemClock::new(), ahead: AtomicI64::new(0) });
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    assert_eq!(on_record(&house, "clock-jumped"), Vec::<Value>::new());
    clock.ahead.store(120, Ordering::Relaxed);
    let told = raised(&house, "clock-jumped");
    let found = told["found"].as_str().unwrap();
    let by = found.strip_prefix("it went ahead by ").and_then(|it| it.split(' ').next()).unwrap();
    // A look that comes late sees a second less or more.
    assert!((119..=121).contains(&by.parse::<i64>().unwrap()), "{told}");
    assert_eq!((&told["subject"], &told["severity"]), (&"gateway".into(), &"warning".into()));
}

#[test]
fn a_camera_that_refuses_the_gateways_login_is_an_alarm() {
    let house = House::open();
    house.camera(LOBBY).set_fault(Some(Fault::BadPassword));
    let reply = client::ask(house.door(LOBBY), "media", ADMIN, &trt("GetProfiles"));
    assert_eq!(reply.status, 500, "{}", reply.text());
    let told = raised(&house, "camera-login-refused");
    assert_eq!((&told["subject"], &told["severity"]), (&"camera lobby".into(), &"error".into()));
    let found = told["found"].as_str().unwrap();
    assert!(found.starts_with("refuses the gateway's login"), "{told}");
}

/// A client wants events; the camera takes neither way to be subscribed to.
#[test]
fn events_that_somebody_wants_and_nobody_can_have_are_an_alarm() {
    let house = House::open();
    for operation in ["tev:CreatePullPointSubscription", "wsnt:Subscribe"] {
        house.camera(LOBBY).set_fault_of(operation, Some(Fault::Status(503)));
    }
    pull_points::subscribed(&house, LOBBY, ADMIN);
    let told = raised(&house, "events-lost");
    assert_eq!((&told["subject"], &told["severity"]), (&"camera lobby".into(), &"warning".into()));
    let found = "its events are wanted, and 5 times in a row it could not be had or lost them";
    assert_eq!(told["found"], found);
    assert!(house.operations(LOBBY).iter().any(|it| it == "tev:CreatePullPointSubscription"));
}

#[test]
fn an_exception_that_ends_soon_is_an_alarm_and_a_later_one_is_not() {
    let mut house = House::open();
    let text = house.configuration().replace("sensitive = false", "sensitive = true");
    let ending = |days: i64| {
        let until = (SystemClock::new().now() + SignedDuration::from_hours(24 * days)).to_string();
        let day = until.split('T').next().unwrap().to_owned();
        let text = format!(
            "{text}\n[[exception]]\ncamera = \"car-park\"\nowner = \"A. Owner\"\nreason = \"until spring\"\nuntil = \"{day}\"\n"
        );
        (text, day)
    };
    house.reconfigure(|_| ending(40).0);
    // What is configured is looked at before anybody is served.
    assert_eq!(on_record(&house, "exception-ending"), Vec::<Value>::new());
    let (text, day) = ending(3);
    house.reconfigure(|_| text);
    let told = raised(&house, "exception-ending");
    assert_eq!((&told["subject"], &told["severity"]), (&"camera car-park".into(), &"warning".into()));
    assert_eq!(told["found"], format!("its last day is {day} (UTC)"));
    let served = client::ask(house.door(CAR_PARK), "media", ADMIN, &trt("GetProfiles"));
    assert_eq!(served.status, 200, "until then it is served: {}", served.text());
}

/// A log of a day ago in several segments, in the name of a house's.
fn old_log(dir: &Path) {
    let yesterday = SystemClock::new().now() - SignedDuration::from_hours(24);
    let options = Options { segment_bytes_max: 2_000, pack: false, ..Options::new(dir, "house/audit") };
    let clock = Arc::new(SimulatedClock::new(yesterday));
    let (log, _) = Log::open(&options, clock, &SystemEntropy).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for number in 0..40 {
            let detail = json!({ "number": number, "text": "what happened yesterday" });
            log.event(Event::new("something", detail)).await.unwrap();
        }
    });
    log.close().unwrap();
}

/// Whoever starts the gateway looks at the last lines only; the review finds what lies before them.
#[test]
fn a_line_that_somebody_changed_is_an_alarm() {
    let mut house = House::open();
    house.stop();
    fs::remove_dir_all(house.audit_dir()).unwrap();
    old_log(&house.audit_dir());
    let mut segments: Vec<_> =
        fs::read_dir(house.audit_dir()).unwrap().map(|it| it.unwrap().path()).collect();
    segments.retain(|it| it.extension().is_some_and(|it| it == "jsonl"));
    segments.sort();
    assert!(segments.len() > 3, "{segments:?}");
    let text = fs::read_to_string(&segments[0]).unwrap();
    fs::write(&segments[0], text.replacen("what happened", "what HAPPENED", 1)).unwrap();
    house.restart_after_stop();
    let told = raised(&house, "audit-damaged");
    assert_eq!((&told["subject"], &told["severity"]), (&"audit log".into(), &"critical".into()));
    let (found, name) = (told["found"].as_str().unwrap(), segments[0].file_name().unwrap());
    assert!(found.contains(name.to_str().unwrap()), "{told}");
}

/// How many file descriptors a process may have; what it has stays.
fn limit(process: u32, descriptors: u64) {
    let limit = format!("--nofile={descriptors}:");
    let limited = Command::new("prlimit").args(["--pid", &process.to_string(), &limit]).status().unwrap();
    assert!(limited.success());
}

/// Without a file descriptor left a listener accepts nobody, though it is there.
#[test]
fn a_door_at_which_nobody_is_accepted_is_an_alarm_until_somebody_is() {
    if Command::new("prlimit").arg("--version").output().is_err() {
        crate::skips::skipped("prlimit is not installed, so no gateway was left without file descriptors");
        return;
    }
    let (house, running) = served();
    // It has more; a few numbers below may be free, and one more connection than these is not accepted.
    limit(running.id(), 16);
    let waiting: Vec<_> = (0..48).map(|_| TcpStream::connect(house.door(LOBBY)).unwrap()).collect();
    let told = raised(&house, "door-closed");
    assert_eq!((&told["subject"], &told["severity"]), (&"gateway".into(), &"critical".into()));
    assert_eq!(told["found"], "1 of 2 accept connections", "nobody knocks at the other");
    limit(running.id(), 4_096);
    drop(waiting);
    let reply = client::ask(house.door(LOBBY), "media", ADMIN, &trt("GetProfiles"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    house.wait_for(|_| on_record(&house, "door-closed").len() == 2);
    assert_eq!(on_record(&house, "door-closed")[1]["what"], "alarm-cleared");
    running.stop();
}
