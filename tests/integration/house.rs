//! A whole gateway in this process, with simulated cameras behind it, its log, and what the cameras heard.

use std::{
    fmt::Write as _,
    fs,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use cordon::{
    admin::Part,
    clock::{Clock, SystemClock, SystemEntropy},
    cmd::{
        gateway::Gateway,
        reload::{Messenger, Reloader, Source},
    },
    config,
    sim::{self, Dialect, Received, RunningCamera},
};
use jiff::SignedDuration;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::{
    client::{self, Reply},
    valve::Valve,
};

/// The restricted camera (Hikvision's dialect) and the trusted one (Axis's).
pub const CAR_PARK: usize = 0;
pub const LOBBY: usize = 1;

pub const ADMIN: (&str, &str) = ("vms-admin", "admin-password-1");
pub const OPERATOR: (&str, &str) = ("vms-operator", "operator-password-2");
pub const VIEWER: (&str, &str) = ("vms-viewer", "viewer-password-3");
/// An Operator for one camera only.
pub const LOBBY_ONLY: (&str, &str) = ("vms-lobby", "lobby-password-5");
/// What the gateway logs in to the cameras with.
pub const CAMERA_USER: &str = "gateway-service";
pub const CAMERA_PASSWORD: &str = "camera-password-4";

pub struct Plan {
    pub name: &'static str,
    pub vendor: &'static str,
    pub zone: &'static str,
    pub dialect: fn() -> Dialect,
    address: Ipv4Addr,
    lan: Ipv4Addr,
    skew_seconds: i64,
}

pub const PLANS: [Plan; 2] = [
    Plan {
        name: "car-park",
        vendor: "Hikvision",
        zone: "restricted",
        dialect: Dialect::hikvision,
        address: Ipv4Addr::new(127, 0, 1, 11),
        lan: Ipv4Addr::new(192, 0, 2, 64),
        skew_seconds: 37,
    },
    Plan {
        name: "lobby",
        vendor: "Axis",
        zone: "trusted",
        dialect: Dialect::axis,
        address: Ipv4Addr::new(127, 0, 2, 12),
        lan: Ipv4Addr::new(198, 51, 100, 90),
        skew_seconds: -7_261,
    },
];

/// Cameras of the other dialects, for the tests that are about all of them.
pub const OTHERS: [Plan; 4] = [
    Plan {
        name: "gate",
        vendor: "Dahua",
        zone: "restricted",
        dialect: Dialect::dahua,
        address: Ipv4Addr::new(127, 0, 1, 13),
        lan: Ipv4Addr::new(192, 0, 2, 65),
        skew_seconds: 0,
    },
    Plan {
        name: "hall",
        vendor: "Bosch",
        zone: "restricted",
        dialect: Dialect::bosch,
        address: Ipv4Addr::new(127, 0, 1, 14),
        lan: Ipv4Addr::new(192, 0, 2, 68),
        skew_seconds: 4,
    },
    Plan {
        name: "fence",
        vendor: "Uniview",
        zone: "restricted",
        dialect: Dialect::uniview,
        address: Ipv4Addr::new(127, 0, 1, 15),
        lan: Ipv4Addr::new(192, 0, 2, 66),
        skew_seconds: -400,
    },
    Plan {
        name: "shed",
        vendor: "Reolink",
        zone: "restricted",
        dialect: Dialect::reolink,
        address: Ipv4Addr::new(127, 0, 1, 16),
        lan: Ipv4Addr::new(192, 0, 2, 67),
        skew_seconds: 90,
    },
];

/// Many cameras of several dialects, for tests that are about many.
pub fn crowd(count: usize) -> &'static [Plan] {
    /// A maker and its dialect.
    type Kind = (&'static str, fn() -> Dialect);
    const KINDS: [Kind; 4] = [
        ("Hikvision", Dialect::hikvision),
        ("Dahua", Dialect::dahua),
        ("Bosch", Dialect::bosch),
        ("Uniview", Dialect::uniview),
    ];
    let plan = |(number, (vendor, dialect)): (usize, Kind)| Plan {
        name: Box::leak(format!("camera-{number:02}").into_boxed_str()),
        vendor,
        zone: "restricted",
        dialect,
        address: Ipv4Addr::new(127, 0, 1, 17),
        lan: Ipv4Addr::new(192, 0, 2, 69),
        skew_seconds: 0,
    };
    Box::leak(KINDS.into_iter().cycle().take(count).enumerate().map(plan).collect())
}

/// Texts of the cameras' side that no client may ever read.
pub const CAMERA_SIDE: [&str; 10] = [
    "127.0.1.",
    "127.0.2.",
    "192.0.2.",
    "198.51.100.",
    "239.",
    "169.254.",
    CAMERA_USER,
    CAMERA_PASSWORD,
    "axis-b8a44f",
    "cctv.example",
];

/// Texts of the clients' side that no camera may ever read.
pub const CLIENT_SIDE: [&str; 4] = ["vms-", "-password-", "127.0.3.", "127.0.0."];

/// How long a condition is waited for before a test fails.
const PATIENCE: Duration = Duration::from_secs(45);

pub struct House {
    dir: TempDir,
    clock: Arc<dyn Clock>,
    gateway: Option<Gateway>,
    cameras: Cameras,
    doors: Vec<SocketAddr>,
    plans: &'static [Plan],
    pub valves: Vec<Valve>,
}

/// A moment before something is looked at again: whoever only spins takes the processor from what is waited for.
pub fn breathe() {
    std::thread::sleep(Duration::from_millis(10));
}

impl House {
    /// A gateway and its cameras by the machine's clock.
    pub fn open() -> Self {
        Self::open_at(Arc::new(SystemClock::new()))
    }

    /// By a clock of the test's.
    pub fn open_at(clock: Arc<dyn Clock>) -> Self {
        Self::build(clock, &PLANS, false)
    }

    /// With a valve before each camera, which lets its answers through one by one.
    pub fn with_valves() -> Self {
        Self::build(Arc::new(SystemClock::new()), &PLANS, true)
    }

    /// With other cameras than all tests have.
    pub fn with(plans: &'static [Plan]) -> Self {
        Self::build(Arc::new(SystemClock::new()), plans, false)
    }

    fn build(clock: Arc<dyn Clock>, plans: &'static [Plan], valves: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cameras = Cameras::start(&clock, plans);
        let addresses = || cameras.running.iter().map(RunningCamera::address);
        let valves: Vec<_> = if valves {
            plans.iter().zip(addresses()).map(|(plan, camera)| Valve::open(plan.address, camera)).collect()
        } else {
            Vec::new()
        };
        let enrolled: Vec<_> = match valves.as_slice() {
            [] => addresses().collect(),
            valves => valves.iter().map(Valve::address).collect(),
        };
        let doors = free_doors(plans.len());
        fs::write(dir.path().join("cordon.toml"), configuration(plans, &enrolled, &doors)).unwrap();
        let mut house = Self { dir, clock, gateway: None, cameras, doors, plans, valves };
        house.start();
        house
    }

    fn start(&mut self) {
        self.gateway = Some(start(&self.dir.path().join("cordon.toml"), &self.clock));
    }

    /// Stops the gateway; log and state stay where they are.
    pub fn stop(&mut self) {
        self.gateway.take().unwrap().stop().unwrap();
    }

    /// Writes another address of a camera into the configuration, for the next start.
    pub fn enrol(&self, camera: usize, address: SocketAddr) {
        let text = self.configuration();
        let enrolled = format!("address = \"{}\"", self.cameras.running[camera].address());
        assert!(text.contains(&enrolled), "{text}");
        self.write(&text.replace(&enrolled, &format!("address = \"{address}\"")));
    }

    /// Stops the gateway and starts it again with the same configuration, state and log.
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// Starts it again.
    pub fn restart_after_stop(&mut self) {
        self.start();
    }

    /// The same with a configuration that the test changes.
    pub fn reconfigure(&mut self, edit: impl FnOnce(String) -> String) {
        self.stop();
        let path = self.dir.path().join("cordon.toml");
        fs::write(&path, edit(fs::read_to_string(&path).unwrap())).unwrap();
        self.start();
    }

    /// What readiness says of a part of the gateway.
    pub fn part(&self, name: &str) -> Option<Part> {
        self.gateway.as_ref().unwrap().readiness().parts().into_iter().find(|it| it.name == name)
    }

    /// The configuration as it stands in its file.
    pub fn configuration(&self) -> String {
        fs::read_to_string(self.dir.path().join("cordon.toml")).unwrap()
    }

    /// Writes the configuration, for the next reload or start.
    pub fn write(&self, text: &str) {
        fs::write(self.dir.path().join("cordon.toml"), text).unwrap();
    }

    /// What reloads this gateway, in place of the thread that the program has for it.
    pub fn reloader(&self) -> Reloader {
        let mut source = Source::of(&self.dir.path().join("cordon.toml"));
        source.env = Box::new(|name: &str| Some(name.to_owned()));
        Reloader::new(self.gateway.as_ref().unwrap(), source).unwrap()
    }

    /// Who has something done at this gateway's cameras, in place of the control socket.
    pub fn messenger(&self) -> Messenger {
        Messenger::new(self.gateway.as_ref().unwrap())
    }

    /// The folder of configuration, state and log.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The cameras there are.
    pub fn plans(&self) -> &'static [Plan] {
        self.plans
    }

    /// Where a virtual camera listens.
    pub fn door(&self, camera: usize) -> SocketAddr {
        self.doors[camera]
    }

    /// Where the gateway tells how it is, when it runs as a process of its own.
    pub fn admin(&self) -> SocketAddr {
        self.doors[self.plans.len()]
    }

    /// Where streams are had.
    pub fn streams(&self) -> SocketAddr {
        self.doors[self.plans.len() + 1]
    }

    /// The camera behind it.
    pub fn camera(&self, camera: usize) -> &RunningCamera {
        &self.cameras.running[camera]
    }

    /// All that any camera heard, for tests that say that nothing was heard. So it is if the gateway has only asked by itself
    /// who each is, which is on record and due where a test lasts long enough.
    pub fn heard(&self) -> Vec<Received> {
        const LOOK: &str = "tds:GetDeviceInformation";
        let logs: Vec<_> = self.cameras.running.iter().map(RunningCamera::log).collect();
        // What was heard by now was on record before.
        let records = records_of(&self.audit_dir());
        let is_look_at = |name: &str, it: &Received| {
            let its = |it: &Value| it["camera"] == name && it["operation"] == LOOK;
            let looked = |it: &Value| its(it) && it["series"]["every_seconds"].is_number();
            it.operation.as_deref() == Some(LOOK) && records.iter().any(looked)
        };
        let only_looks =
            |(log, plan): (&Vec<Received>, &Plan)| log.iter().all(|it| is_look_at(plan.name, it));
        if logs.iter().zip(self.plans).all(only_looks) { Vec::new() } else { logs.concat() }
    }

    /// The operations one camera heard, oldest first; other requests as `GET /path`.
    pub fn operations(&self, camera: usize) -> Vec<String> {
        let named =
            |it: &Received| it.operation.clone().unwrap_or_else(|| format!("{} {}", it.method, it.target));
        self.camera(camera).log().iter().map(named).collect()
    }

    /// Lets the gateway introduce itself and log in to all cameras, then forgets what they heard of that.
    pub fn acquaint(&self) {
        self.acquaint_at(&SystemClock::new().now().to_string());
    }

    /// The same by another clock than the machine's.
    pub fn acquaint_at(&self, created: &str) {
        for camera in 0..self.plans.len() {
            for (service, body) in
                [("device", client::tds("GetDeviceInformation")), ("media", client::trt("GetProfiles"))]
            {
                let header = client::Token::at(ADMIN, created).header();
                let reply = client::post(self.door(camera), service, &[], &client::envelope(&header, &body));
                assert_eq!(reply.status, 200, "{}", reply.text());
            }
            self.camera(camera).clear_log();
        }
    }

    pub fn audit_dir(&self) -> PathBuf {
        self.dir.path().join("audit")
    }

    /// The file with the key that checks the log.
    pub fn public_key(&self) -> PathBuf {
        self.audit_dir().join("public.key")
    }

    /// All records, oldest first. What happened before this is called is among them: lines become durable in
    /// their order, and a command asked here is answered only once its own line is.
    pub fn records(&self) -> Vec<Value> {
        if self.gateway.is_some() {
            let clock = SystemClock::new();
            while !self.is_recorded() {
                assert!(clock.monotonic() < PATIENCE, "nothing is recorded any more");
                breathe();
            }
        }
        records_of(&self.audit_dir())
    }

    /// Whether a command goes on record now, and so all before is; not as long as the log's disk does not answer in time.
    fn is_recorded(&self) -> bool {
        let body = client::tds("GetSystemDateAndTime");
        // Logged in, for what comes without credentials has a budget.
        let header = client::Token::at(ADMIN, &self.clock.now().to_string()).header();
        let reply = client::post(self.door(CAR_PARK), "device", &[], &client::envelope(&header, &body));
        let text = reply.text();
        let is_slow = text.contains("the gateway cannot record commands at the moment");
        assert!(reply.status == 200 || is_slow, "{text}");
        !is_slow
    }

    /// What is on record about the request of a reply.
    pub fn record(&self, reply: &Reply) -> Recorded {
        self.record_at(self.doors.iter().position(|it| *it == reply.door).unwrap(), reply)
    }

    /// The same, at whichever of a camera's doors the reply came out.
    pub fn record_at(&self, camera: usize, reply: &Reply) -> Recorded {
        Recorded::find(&self.records(), self.plans[camera].name, reply.source)
            .unwrap_or_else(|| panic!("nothing on record: {}", reply.text()))
    }

    /// How the command of a connection ended, as soon as that is on record.
    pub fn outcome(&self, camera: usize, source: SocketAddr) -> Value {
        let name = self.plans[camera].name;
        let outcome = |records: &[Value]| Recorded::find(records, name, source).and_then(|it| it.outcome);
        let records = self.wait_for(|records| outcome(records).is_some());
        outcome(&records).unwrap()
    }

    /// The records, as soon as something is among them.
    pub fn wait_for(&self, condition: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let clock = SystemClock::new();
        loop {
            let records = self.records();
            if condition(&records) {
                return records;
            }
            assert!(clock.monotonic() < PATIENCE, "never on record: {records:#?}");
            breathe();
        }
    }

    /// Waits until a camera has heard an operation.
    pub fn wait_heard(&self, camera: usize, operation: &str) {
        let clock = SystemClock::new();
        while !self.operations(camera).iter().any(|it| it == operation) {
            assert!(clock.monotonic() < PATIENCE, "the camera never heard {operation}");
            breathe();
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            let stopped = gateway.stop();
            if !std::thread::panicking() {
                stopped.unwrap();
            }
        }
    }
}

/// The intent of one request and, where it has ended, its outcome.
#[derive(Debug)]
pub struct Recorded {
    pub intent: Value,
    pub outcome: Option<Value>,
}

impl Recorded {
    fn find(records: &[Value], camera: &str, source: SocketAddr) -> Option<Self> {
        let source = source.to_string();
        let is = |it: &&Value, kind: &str| it["type"] == kind;
        let own = |it: &&Value| it["camera"] == camera && it["source"] == *source;
        let mut intents = records.iter().filter(|it| is(it, "intent") && own(it));
        let intent = intents.next_back()?.clone();
        let ended = |it: &&Value| is(it, "outcome") && it["intent"] == intent["seq"];
        let outcome = records.iter().find(ended).cloned();
        Some(Self { intent, outcome })
    }

    /// The policies that decided.
    pub fn policies(&self) -> Vec<&str> {
        let policies = self.intent["policies"].as_array();
        policies.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

/// The whole lines of a log, but for those of packed segments.
pub fn records_of(audit: &Path) -> Vec<Value> {
    let names = fs::read_dir(audit).unwrap().map(|it| it.unwrap().path());
    let mut segments: Vec<_> = names.filter(|it| it.extension().is_some_and(|it| it == "jsonl")).collect();
    segments.sort();
    let read = |path: PathBuf| match fs::read(&path) {
        // Packed since the folder was read.
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        read => read.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    };
    let bytes: Vec<u8> = segments.into_iter().flat_map(read).collect();
    let end = bytes.iter().rposition(|it| *it == b'\n').map_or(0, |at| at + 1);
    let lines = bytes[..end].split_inclusive(|it| *it == b'\n');
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// Simulated cameras on a thread of their own.
struct Cameras {
    running: Vec<RunningCamera>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Cameras {
    fn start(clock: &Arc<dyn Clock>, plans: &'static [Plan]) -> Self {
        let clock = Arc::clone(clock);
        let (ready, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for (serial, plan) in (1..).zip(plans) {
                    ready.send(camera(plan, serial, &clock).await).unwrap();
                }
                // Whichever way the other end goes, the cameras are done.
                let _ = stopped.await;
            });
        });
        let running = plans.iter().map(|_| started.recv().unwrap()).collect();
        Self { running, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Cameras {
    fn drop(&mut self) {
        self.running.clear();
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

async fn camera(plan: &Plan, serial: u32, clock: &Arc<dyn Clock>) -> RunningCamera {
    let options = sim::Options {
        bind: SocketAddr::new(plan.address.into(), 0),
        username: CAMERA_USER.to_owned(),
        password: Zeroizing::new(CAMERA_PASSWORD.to_owned()),
        clock_skew: SignedDuration::from_secs(plan.skew_seconds),
        clock: Arc::clone(clock),
        entropy: Arc::new(SystemEntropy),
        serial,
        lan_address: plan.lan,
    };
    sim::Camera::start((plan.dialect)(), options).await.unwrap()
}

/// A free port for each virtual camera, the admin listener and streams, at an address no other house of this process
/// has.
fn free_doors(cameras: usize) -> Vec<SocketAddr> {
    static HOUSES: AtomicU8 = AtomicU8::new(1);
    let address = Ipv4Addr::new(127, 0, 3, HOUSES.fetch_add(1, Ordering::Relaxed));
    let held: Vec<_> = (0..cameras + 2).map(|_| TcpListener::bind((address, 0)).unwrap()).collect();
    held.iter().map(|it| it.local_addr().unwrap()).collect()
}

/// Starts a gateway with a configuration in which a secret is found under its own text.
pub fn start(path: &Path, clock: &Arc<dyn Clock>) -> Gateway {
    let loaded = config::load(path, &|name| Some(name.to_owned())).unwrap_or_else(|found| {
        panic!("{}", found.iter().map(config::Diagnostic::render).collect::<Vec<_>>().join("\n"))
    });
    Gateway::start(loaded, Arc::clone(clock), Arc::new(SystemEntropy)).unwrap()
}

/// What every configuration begins with.
pub fn heads(name: &str, admin: SocketAddr, streams: SocketAddr) -> String {
    let (bind, rtsp_port) = (streams.ip(), streams.port());
    format!(
        r#"
[gateway]
name = "{name}"
state_dir = "state"
threads = 2

[listener]
bind = "{bind}"
advertise = "{bind}"
rtsp_port = {rtsp_port}

[admin]
listen = "{admin}"

[audit]
dir = "audit"

[[network]]
name = "time"
prefixes = ["203.0.113.0/24"]

[[site]]
name = "headquarters"
sensitive = false
"#
    )
}

fn configuration(plans: &[Plan], cameras: &[SocketAddr], doors: &[SocketAddr]) -> String {
    let mut text = heads("house", doors[plans.len()], doors[plans.len() + 1]);
    text.push_str(
        r#"
[[zone]]
name = "restricted"
isolation = "none"
prefixes = ["127.0.1.0/24", "192.0.2.0/24"]

[[zone]]
name = "trusted"
isolation = "none"
prefixes = ["127.0.2.0/24", "198.51.100.0/24"]
"#,
    );
    let clients = [
        (ADMIN, "Administrator", ""),
        (OPERATOR, "Operator", ""),
        (VIEWER, "User", ""),
        (LOBBY_ONLY, "Operator", "cameras = [\"lobby\"]\n"),
    ];
    // Who is configured for a camera that is not there is a mistake of the configuration.
    let known = |only: &str| only.is_empty() || plans.iter().any(|plan| only.contains(plan.name));
    let clients = clients.into_iter().filter(|(_, _, only)| known(only));
    for ((name, password), role, cameras) in clients {
        let _ = write!(
            text,
            "\n[[client]]\nname = \"{name}\"\nrole = \"{role}\"\npassword = {{ env = \"{password}\" }}\n\
             networks = [\"127.0.0.0/29\"]\n{cameras}"
        );
    }
    for ((plan, address), door) in plans.iter().zip(cameras).zip(doors) {
        let Plan { name, vendor, zone, .. } = plan;
        let _ = write!(
            text,
            "\n[[camera]]\nname = \"{name}\"\naddress = \"{address}\"\nvendor = \"{vendor}\"\nzone = \"{zone}\"\n\
             site = \"headquarters\"\nlisten_port = {port}\nusername = \"{CAMERA_USER}\"\n\
             password = {{ env = \"{CAMERA_PASSWORD}\" }}\n",
            port = door.port(),
        );
    }
    text
}
