//! The disk of the audit log is full, read-only or hangs, or that of the state database hangs: a file system of its own,
//! in a file, really mounted.
#![allow(clippy::print_stdout, reason = "what was found is shown with --nocapture")]

use std::{
    fs::{self, File},
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use cordon::{
    audit,
    clock::{Clock, SystemClock},
    limits::{AUDIT_WAIT_TIME_MAX, STORE_WAIT_TIME_MAX},
    store::Store,
};
use serde_json::Value;

use crate::{
    client::{self, Reply, tds_with, trt, trt_with, within},
    house::{ADMIN, House, LOBBY, records_of},
    lateness::Lateness,
    process::{Running, SAID},
    watch::{alarms, wait_until},
};

/// An ext4 in a file, mounted where the log is.
struct Disk {
    at: PathBuf,
    filler: Option<File>,
    stuck: bool,
    immutable: Vec<PathBuf>,
}

impl Disk {
    /// None where that is not permitted.
    fn mount(dir: &Path, at: PathBuf) -> Option<Self> {
        let image = dir.join("disk.img");
        File::create(&image).unwrap().set_len(32 << 20).unwrap();
        fs::create_dir_all(&at).unwrap();
        let made = run("mkfs.ext4", &["-q", "-m", "0", &text(&image)]);
        let mounted = made && run("mount", &["-o", "loop,noatime", &text(&image), &text(&at)]);
        mounted.then_some(Self { at, filler: None, stuck: false, immutable: Vec::new() })
    }

    fn fill(&mut self) {
        let mut filler = File::create(self.at.join("filler")).unwrap();
        for block in [1 << 20, 4_096, 1] {
            while filler.write_all(&vec![1; block]).is_ok() {}
        }
        self.filler = Some(filler);
    }

    fn protect(&mut self) {
        let files = fs::read_dir(&self.at).unwrap().map(|it| it.unwrap().path());
        self.immutable = files.filter(|it| it.extension().is_some_and(|it| it == "jsonl")).collect();
        self.immutable.push(self.at.clone());
        for path in &self.immutable {
            assert!(run("chattr", &["+i", &text(path)]));
        }
    }

    fn freeze(&mut self) {
        assert!(run("fsfreeze", &["-f", &text(&self.at)]));
        self.stuck = true;
    }

    fn mend(&mut self) {
        if std::mem::take(&mut self.stuck) {
            run("fsfreeze", &["-u", &text(&self.at)]);
        }
        for path in self.immutable.drain(..) {
            run("chattr", &["-i", &text(&path)]);
        }
        if let Some(filler) = self.filler.take() {
            filler.set_len(0).unwrap();
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.mend();
        // Lazily, for a gateway that a failed test leaves may still be ending.
        run("umount", &["-l", &text(&self.at)]);
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn readiness(admin: SocketAddr) -> (u16, Value) {
    let reply = client::send(admin, &client::request("GET", "/ready", &[], b""));
    let parts: Value = serde_json::from_slice(&reply.body).unwrap();
    let log = parts["parts"].as_array().unwrap().iter().find(|it| it["part"] == "audit log").unwrap().clone();
    (reply.status, log)
}

struct Case {
    name: &'static str,
    breaks: fn(&mut Disk),
    /// What readiness says is the matter.
    says: &'static str,
}

const CASES: [Case; 3] = [
    Case { name: "full", breaks: Disk::fill, says: "No space left on device" },
    Case { name: "read-only", breaks: Disk::protect, says: "Operation not permitted" },
    Case { name: "hanging", breaks: Disk::freeze, says: "has not answered for" },
];

#[test]
fn a_failing_disk_stops_new_commands_but_no_stop_and_loses_nothing() {
    println!("| disk | new command | stop of a movement | readiness | afterwards |\n|---|---|---|---|---|");
    for case in &CASES {
        if !check(case) {
            crate::skips::skipped("the disk test needs root, loop devices, mkfs.ext4 and fsfreeze");
            return;
        }
    }
}

/// Without its folder the log can still be appended to, but not signed.
#[test]
fn a_gateway_that_cannot_write_the_end_of_its_log_says_so_when_it_stops() {
    let mut house = House::open();
    house.stop();
    let running = Running::start(house.dir());
    fs::remove_dir_all(house.audit_dir()).unwrap();
    assert_eq!(running.end(), Some(1));
    let said = fs::read_to_string(house.dir().join(SAID)).unwrap();
    let last = said.split_once("cordon: ").map(|it| it.1).unwrap_or_default();
    let told = "the gateway has stopped, but the end of its audit log could not be written: outcomes that are missing \
                will be recorded as unknown at the next start\n  because: the audit log cannot be written: ";
    assert!(last.starts_with(told), "{said}");
}

/// Nobody who needs nothing new of the state database waits for its disk; who does is refused in time.
#[test]
fn a_hanging_state_folder_holds_nobody_up() {
    let mut house = House::open();
    house.stop();
    let state = house.dir().join("state");
    fs::remove_dir_all(&state).unwrap();
    let Some(disk) = Disk::mount(house.dir(), state.clone()) else {
        crate::skips::skipped("the disk test needs root, loop devices, mkfs.ext4 and fsfreeze");
        return;
    };
    let running = Running::start(house.dir());
    // Mended before the process is ended, which could not end otherwise.
    let mut disk = disk;
    let door = house.door(LOBBY);
    house.acquaint();
    let profiles = client::ask(door, "media", ADMIN, &trt("GetProfiles")).text();
    let profile = profiles.split("token=\"").nth(1).and_then(|it| it.split('"').next()).unwrap();
    let profile = format!("<x:ProfileToken>{profile}</x:ProfileToken>");
    let stream = |protocol: &str| {
        let setup = format!(
            "<tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>{protocol}</tt:Protocol></tt:Transport>"
        );
        trt_with("GetStreamUri", &format!("<x:StreamSetup>{setup}</x:StreamSetup>{profile}"))
    };
    let stop = within("http://www.onvif.org/ver20/ptz/wsdl", "Stop", &profile);
    let known = client::ask(door, "media", ADMIN, &stream("RTSP"));
    assert_eq!(known.status, 200, "{}", known.text());

    disk.freeze();
    let (clock, lateness) = (SystemClock::new(), Lateness::measured());
    let timed = |service: &str, body: &str| {
        let begun = clock.monotonic();
        let reply = client::ask(door, service, ADMIN, body);
        (reply, clock.monotonic() - begun)
    };
    let snapshot = trt_with("GetSnapshotUri", &profile);
    let (refused, stopped, again) = std::thread::scope(|scope| {
        let refused: Vec<_> = (0..4).map(|_| scope.spawn(|| timed("media", &snapshot))).collect();
        wait_until("the camera was asked", || {
            house.operations(LOBBY).contains(&"trt:GetSnapshotUri".to_owned())
        });
        let (stopped, again) = (timed("ptz", &stop), timed("media", &stream("RTSP")));
        (refused.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>(), stopped, again)
    });
    let late = lateness.of(THREADS_OF_A_COMMAND);
    for (reply, took) in &refused {
        assert_eq!((reply.status, &*reply.fault()), (500, "Receiver/ter:Action"), "{}", reply.text());
        assert!(*took < 4 * STORE_WAIT_TIME_MAX + late, "{took:?}, on a machine that is {late:?} late");
    }
    assert_eq!(stopped.0.status, 200, "{}", stopped.0.text());
    assert_eq!(again.0.element("Uri"), known.element("Uri"), "{}", again.0.text());
    let took = stopped.1.max(again.1);
    assert!(took < 2 * STORE_WAIT_TIME_MAX + late, "{took:?}, on a machine that is {late:?} late");
    disk.mend();
    wait_until("the state database is well", || client::ask(door, "media", ADMIN, &snapshot).status == 200);
    running.stop();
    println!(
        "the state folder hangs: new locators refused after {:?}, Stop done after {:?}, a known address after {:?}",
        refused[0].1, stopped.1, again.1
    );
    let store = Store::open(&state.join("state.sqlite")).unwrap();
    let mut kinds: Vec<_> = store.locator_all().unwrap().into_iter().map(|it| it.kind).collect();
    kinds.sort();
    assert_eq!(kinds, ["snapshot", "stream"]);
    assert!(store.state_get("lobby", "memory").unwrap().is_some());
}

/// What a command takes beside that.
const ASKING_TIME_MAX: Duration = Duration::from_millis(800);
/// From who asks to who serves, to who writes the log, and back.
const THREADS_OF_A_COMMAND: u32 = 4;
const _: () = assert!(AUDIT_WAIT_TIME_MAX.as_millis() < 1_000);

/// A command that can be told from others.
fn hostname(number: u32) -> String {
    tds_with("SetHostname", &format!("<x:Name>disk-{number}-end</x:Name>"))
}

/// How many commands were done before one was refused, which, and how long it took. A full disk still has room in the last
/// block of a file.
fn passed_until_refused(name: &str, door: SocketAddr) -> (u32, Reply, Duration) {
    let clock = SystemClock::new();
    for passed in 0..500 {
        let begun = clock.monotonic();
        let reply = client::ask(door, "device", ADMIN, &hostname(passed));
        if reply.status != 200 {
            return (passed, reply, clock.monotonic() - begun);
        }
    }
    panic!("{name}: nothing is refused");
}

fn check(case: &Case) -> bool {
    let name = case.name;
    let mut house = House::open();
    house.stop();
    fs::remove_dir_all(house.audit_dir()).unwrap();
    let Some(disk) = Disk::mount(house.dir(), house.audit_dir()) else { return false };
    let running = Running::start(house.dir());
    // Mended before the process is ended, which could not end otherwise.
    let mut disk = disk;
    let door = house.door(LOBBY);
    house.acquaint();
    let profiles = client::ask(door, "media", ADMIN, &trt("GetProfiles")).text();
    let profile = profiles.split("token=\"").nth(1).and_then(|it| it.split('"').next()).unwrap();
    let body = format!("<x:ProfileToken>{profile}</x:ProfileToken>");
    let stop = within("http://www.onvif.org/ver20/ptz/wsdl", "Stop", &body);
    assert_eq!(readiness(house.admin()).0, 200, "{name}");

    (case.breaks)(&mut disk);
    let lateness = Lateness::measured();
    let (passed, refused, took) = passed_until_refused(name, door);
    let late = lateness.of(THREADS_OF_A_COMMAND);
    drop(lateness);
    assert_eq!(
        (refused.status, &*refused.fault()),
        (500, "Receiver/ter:Action"),
        "{name}: {}",
        refused.text()
    );
    // What the gateway waits for its log is less than a second; the rest is this machine's.
    let most = AUDIT_WAIT_TIME_MAX + ASKING_TIME_MAX + late;
    assert!(took < most, "{name}: {took:?}, on a machine that is {late:?} late");
    let (status, log) = readiness(house.admin());
    assert_eq!(status, 503, "{name}");
    assert!(log["note"].as_str().unwrap().contains(case.says), "{name}: {log}");
    house.camera(LOBBY).clear_log();
    let stopped = client::ask(door, "ptz", ADMIN, &stop);
    assert_eq!(stopped.status, 200, "{name}: {}", stopped.text());
    let second = client::ask(door, "device", ADMIN, &hostname(passed + 1));
    assert_eq!(second.status, 500, "{name}: {}", second.text());
    assert_eq!(house.operations(LOBBY), ["tptz:Stop"], "{name}: what is not recorded is not done");
    let journal = fs::read(house.dir().join("state/emergency.journal")).unwrap();
    let journal = String::from_utf8(journal).unwrap();
    assert_eq!(journal.trim_end_matches('\0').matches("\"operation\":\"tptz:Stop\"").count(), 1, "{name}");

    let alarm = "audit-unwritable audit log".to_owned();
    wait_until(&format!("{name}: {alarm}"), || alarms(house.admin()).contains(&alarm));
    disk.mend();
    while readiness(house.admin()).0 != 200 {
        crate::house::breathe();
    }
    assert_eq!(client::ask(door, "device", ADMIN, &hostname(passed + 2)).status, 200, "{name}");
    running.stop();
    let lines = check_log(name, &house.audit_dir(), passed);
    println!(
        "| {name} | refused, `{}`, after {} ms | done, in the journal, then in the log | 503: {} | {} lines verify |",
        refused.fault(),
        took.as_millis(),
        log["note"].as_str().unwrap(),
        lines
    );
    true
}

/// What the log of such a case holds: the stop, marked; every command as what it became. `refused` is the number
/// of the first command that was. Gives the number of lines.
fn check_log(name: &str, dir: &Path, refused: u32) -> u64 {
    let records = records_of(dir);
    let stops: Vec<_> = records.iter().filter(|it| it["operation"] == "tptz:Stop").collect();
    assert_eq!(stops.len(), 1, "{name}");
    assert!(stops[0]["emergency"].is_string(), "{name}: {}", stops[0]);
    let outcome =
        |intent: &Value| records.iter().find(|it| it["intent"] == intent["seq"] && it["type"] == "outcome");
    assert_eq!(outcome(stops[0]).unwrap()["what"], "answered", "{name}");
    let alarm = |it: &&Value| it["what"] == "alarm-raised" && it["detail"]["id"] == "audit-unwritable";
    let raised: Vec<_> = records.iter().filter(alarm).map(|it| &it["detail"]["severity"]).collect();
    assert_eq!(raised, ["critical"], "{name}: raised once, and on record once the disk was well");
    for record in records.iter().filter(|it| it["operation"] == "tds:SetHostname") {
        let number = |text: String| text.split("disk-").nth(1)?.split_once("-end")?.0.parse::<u32>().ok();
        let number = number(record["arguments"].to_string()).unwrap();
        // What was on its way when the disk began to hang is on record, as what it became.
        let expected = if number == refused { "abandoned_not_sent" } else { "answered" };
        assert_eq!(outcome(record).unwrap()["what"], expected, "{name}: {record}");
        assert_ne!(number, refused + 1, "{name}");
    }
    let report = audit::verify(dir, None, None).unwrap();
    assert_eq!(report.unanswered, 0, "{name}");
    report.lines
}
