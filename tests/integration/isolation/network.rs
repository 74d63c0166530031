//! Real networks: namespaces for the core side, the way out, the gateway and two camera zones, and what passes
//! between them.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    net::{IpAddr, Ipv4Addr},
    num::NonZero,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use cordon::{
    clock::{Clock, SystemClock, SystemEntropy},
    sim::{self, Dialect, Findable, Manner, Oddity},
};
use jiff::SignedDuration;
use rustix::{
    net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socket_with, sockopt},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use serde_json::Value;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::house::{ADMIN, CAMERA_PASSWORD, CAMERA_USER};

pub const CORE: &str = "10.77.0.2";
pub const GATEWAY_CORE: &str = "10.77.0.1";
pub const CORE6: &str = "2001:db8:77::2";
/// Both zones have the same network, as sites do.
pub const GATEWAY: &str = "192.168.1.1";
pub const GATEWAY6: &str = "2001:db8:1::1";
pub const CAMERA: &str = "192.168.1.10";
pub const CAMERA6: &str = "2001:db8:1::10";
pub const HOSTILE: &str = "192.168.1.66";
pub const HOSTILE6: &str = "2001:db8:1::66";
pub const MARKER: &str = "CAMERA-ORIGIN";

/// The two camera zones: `gate`, restricted, hangs in the first, `lobby`, trusted, in the second.
pub const ZONES: usize = 2;

/// Namespaces with names of their own, taken away when dropped.
pub struct Network {
    tag: String,
    dir: tempfile::TempDir,
}

impl Network {
    /// None, and said so, where the machine lacks the privilege or the tools.
    pub fn build() -> Option<Self> {
        static NETWORKS: AtomicU32 = AtomicU32::new(0);
        let tag = format!("{}-{}", std::process::id(), NETWORKS.fetch_add(1, Ordering::Relaxed));
        let network = Self { tag, dir: tempfile::tempdir().unwrap() };
        let tools = ["nft --version", "ip -V", "python3 --version"];
        let have = |tool: &&str| run(&tool.split(' ').collect::<Vec<_>>());
        if let Some(lacks) = tools.iter().find(|tool| !have(tool)) {
            crate::skips::skipped(&format!("isolation is not tested here, since `{lacks}` fails"));
            return None;
        }
        if !run(&["ip", "netns", "add", &network.core()]) {
            crate::skips::skipped("isolation is not tested here, since network namespaces need root");
            return None;
        }
        network.wire();
        Some(network)
    }

    fn wire(&self) {
        for place in [self.gateway(), self.wan(), self.side(0), self.side(1)] {
            must(&["ip", "netns", "add", &place]);
        }
        for place in [self.gateway(), self.core(), self.wan()] {
            // Else nobody is asked for by IPv6 in the first second.
            for of in ["all", "default"] {
                let path = format!("/proc/sys/net/ipv6/conf/{of}/accept_dad");
                inside(&place, || fs::write(&path, "0").unwrap());
            }
        }
        let (gateway, core, wan) = (self.gateway(), self.core(), self.wan());
        must(&["ip", "-n", &gateway, "link", "set", "lo", "up"]);
        self.pair("core", &core);
        self.pair("wan", &wan);
        let address = |place: &str, address: &str, link: &str| {
            must(&["ip", "-n", place, "address", "add", address, "dev", link]);
        };
        address(&gateway, "10.77.0.1/24", "core");
        address(&core, "10.77.0.2/24", "leg");
        address(&gateway, "198.51.100.1/24", "wan");
        address(&wan, "198.51.100.2/24", "leg");
        // The sink answers for every address that stands for the internet.
        address(&wan, "203.0.113.9/24", "leg");
        let address6 = |place: &str, address: &str, link: &str| {
            must(&["ip", "-n", place, "address", "add", address, "dev", link, "nodad"]);
        };
        address6(&gateway, "2001:db8:77::1/64", "core");
        address6(&core, "2001:db8:77::2/64", "leg");
        address6(&gateway, "2001:db8:fffe::1/64", "wan");
        address6(&wan, "2001:db8:fffe::2/64", "leg");
        address6(&wan, "2001:db8:ffff::9/64", "leg");
        for link in ["core", "wan"] {
            must(&["ip", "-n", &gateway, "link", "set", link, "up"]);
        }
        must(&["ip", "-n", &gateway, "route", "add", "default", "via", "198.51.100.2"]);
        must(&["ip", "-n", &gateway, "route", "add", "default", "via", "2001:db8:fffe::2"]);
        for zone in 0..ZONES {
            self.plug(zone);
        }
    }

    /// An interface of the gateway's, and the other end in a place.
    fn pair(&self, here: &str, there: &str) {
        let gateway = self.gateway();
        must(&[
            "ip", "-n", &gateway, "link", "add", here, "type", "veth", "peer", "name", "leg", "netns", there,
        ]);
        must(&["ip", "-n", there, "link", "set", "leg", "up"]);
    }

    /// Has the interface of the core side made anew, with the same addresses.
    pub fn replace_core(&self) {
        let (gateway, core) = (self.gateway(), self.core());
        must(&["ip", "-n", &gateway, "link", "delete", "core"]);
        self.pair("core", &core);
        for (place, address, link) in [
            (&gateway, "10.77.0.1/24", "core"),
            (&core, "10.77.0.2/24", "leg"),
            (&gateway, "2001:db8:77::1/64", "core"),
            (&core, "2001:db8:77::2/64", "leg"),
        ] {
            must(&["ip", "-n", place, "address", "add", address, "dev", link]);
        }
        must(&["ip", "-n", &gateway, "link", "set", "core", "up"]);
    }

    /// Connects a zone's cameras to the gateway; at its side the cable is plugged in and nothing is switched on.
    pub fn plug(&self, zone: usize) {
        let (gateway, side, link) = (self.gateway(), self.side(zone), Self::link(zone));
        // The one before may still be there, without its other end.
        run(&["ip", "-n", &side, "link", "delete", "leg"]);
        must(&[
            "ip", "-n", &gateway, "link", "add", &link, "type", "veth", "peer", "name", "leg", "netns", &side,
        ]);
        for address in [CAMERA, HOSTILE] {
            must(&["ip", "-n", &side, "address", "add", &format!("{address}/24"), "dev", "leg"]);
        }
        must(&["ip", "-n", &side, "address", "add", "2001:db8:1::66/64", "dev", "leg", "nodad"]);
        // Where attempts are counted, the kernel that lends itself to cameras makes none of its own.
        inside(&side, || fs::write("/proc/sys/net/ipv6/conf/leg/router_solicitations", "0").unwrap());
        must(&["ip", "-n", &side, "link", "set", "leg", "up"]);
        must(&["ip", "-n", &side, "route", "add", "default", "via", GATEWAY]);
    }

    pub fn core(&self) -> String {
        format!("ct{}-core", self.tag)
    }

    pub fn wan(&self) -> String {
        format!("ct{}-wan", self.tag)
    }

    pub fn gateway(&self) -> String {
        format!("ct{}-gw", self.tag)
    }

    /// Where a zone's cameras are.
    pub fn side(&self, zone: usize) -> String {
        format!("ct{}-cam{zone}", self.tag)
    }

    /// The gateway's interface to a zone.
    pub fn link(zone: usize) -> String {
        format!("cam{zone}")
    }

    /// A zone's name in the configuration.
    pub fn zone(&self, zone: usize) -> String {
        format!("{}-{}", ["north", "south"][zone], self.tag)
    }

    /// A zone's namespace on the gateway.
    pub fn namespace(&self, zone: usize) -> String {
        format!("cordon-{}", self.zone(zone))
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn netd_socket(&self) -> PathBuf {
        self.dir().join("netd.sock")
    }

    /// The configuration, written where the program finds it.
    pub fn configure(&self, edit: impl FnOnce(String) -> String) -> PathBuf {
        let mut text = format!(
            "[gateway]\nname = \"isolated\"\nstate_dir = \"state\"\nthreads = 1\nwatch = false\n\n\
             [listener]\nbind = \"{GATEWAY_CORE}\"\n\n[audit]\ndir = \"audit\"\n\n[netd]\nsocket = \"netd.sock\"\n\n\
             [[site]]\nname = \"depot\"\nsensitive = false\n\n\
             [[client]]\nname = \"{}\"\nrole = \"Administrator\"\npassword = {{ env = \"{}\" }}\n\
             networks = [\"10.77.0.0/24\"]\n",
            ADMIN.0, ADMIN.1
        );
        for zone in 0..ZONES {
            let (name, link) = (self.zone(zone), Self::link(zone));
            text += &format!(
                "\n[[zone]]\nname = \"{name}\"\nisolation = \"namespace\"\nprefixes = [\"192.168.1.0/24\", \
                 \"2001:db8:1::/64\"]\ninterface = \"{link}\"\naddress = [\"{GATEWAY}/24\", \"{GATEWAY6}/64\"]\n"
            );
        }
        for (zone, name, vendor, port) in [(0, "gate", "Hikvision", 8081), (1, "lobby", "Axis", 8082)] {
            text += &format!(
                "\n[[camera]]\nname = \"{name}\"\naddress = \"{CAMERA}\"\nvendor = \"{vendor}\"\nzone = \"{}\"\n\
                 site = \"depot\"\nlisten_port = {port}\nusername = \"{CAMERA_USER}\"\n\
                 password = {{ env = \"{CAMERA_PASSWORD}\" }}\n",
                self.zone(zone)
            );
        }
        let path = self.dir().join("cordon.toml");
        fs::write(&path, edit(text)).unwrap();
        path
    }

    /// The program, in the gateway's namespace.
    pub fn cordon(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
        command.envs([ADMIN.1, CAMERA_PASSWORD].map(|it| (it, it)));
        command.args(arguments).arg("--config").arg(self.dir().join("cordon.toml"));
        command
    }

    /// `cordon isolate` to its end: whether it succeeded, and all it said.
    pub fn isolate(&self, what: &str) -> (bool, String) {
        let output = inside(&self.gateway(), || self.cordon(&["isolate", what]).output().unwrap());
        let said = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap()).concat();
        (output.status.success(), said)
    }

    /// What `cordon report` says.
    pub fn report(&self) -> Value {
        let output = self.cordon(&["report", "--format", "json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Starts the privileged process and waits until it listens.
    pub fn netd(&self) -> Process {
        self.netd_as(&[])
    }

    /// The same by a command that runs it with other powers.
    pub fn netd_as(&self, by: &[&str]) -> Process {
        let _ = fs::remove_file(self.netd_socket());
        let mut netd = Process::start(self, by, &["netd"], "netd.txt");
        netd.wait_for(&self.netd_socket());
        netd
    }

    /// Starts the gateway and waits until it serves.
    pub fn gateway_process(&self) -> Process {
        self.gateway_process_as(&[])
    }

    /// The same by a command that runs it as somebody else.
    pub fn gateway_process_as(&self, by: &[&str]) -> Process {
        let ready = self.dir().join("ready.json");
        let _ = fs::remove_file(&ready);
        let ready_file = ready.display().to_string();
        let mut gateway = Process::start(self, by, &["run", "--ready-file", &ready_file], "run.txt");
        gateway.wait_for(&ready);
        gateway
    }

    /// The hardware address of an interface.
    pub fn mac(&self, place: &str, link: &str) -> String {
        let output = Command::new("ip").args(["-json", "-n", place, "link", "show", link]).output().unwrap();
        let links: Value = serde_json::from_slice(&output.stdout).unwrap();
        links[0]["address"].as_str().unwrap().to_owned()
    }

    /// Starts a hostile camera in a zone; `rounds` 0 means until it is stopped.
    pub fn hostile(&self, zone: usize, rounds: u32) -> Hostile {
        self.hostile_told(zone, &rounds.to_string())
    }

    /// The same, which sends so many frames to as many places.
    pub fn flood(&self, zone: usize, frames: u32) -> Hostile {
        self.hostile_told(zone, &format!("-{frames}"))
    }

    fn hostile_told(&self, zone: usize, rounds: &str) -> Hostile {
        let link = Self::link(zone);
        let home = fs::exists(format!("/run/netns/{}", self.namespace(zone))).unwrap();
        let place = if home { self.namespace(zone) } else { self.gateway() };
        let mac = self.mac(&place, &link);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/isolation/hostile.py");
        let mut command = Command::new("python3");
        command.args([script, "leg", HOSTILE, HOSTILE6, GATEWAY, GATEWAY6, &mac, CORE, CAMERA]);
        command.args([rounds, MARKER, CORE6]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Hostile(Some(inside(&self.side(zone), || command.spawn().unwrap())))
    }

    /// Everything that is of a zone: hardware addresses of its cameras.
    pub fn camera_macs(&self) -> BTreeSet<String> {
        (0..ZONES).map(|zone| self.mac(&self.side(zone), "leg")).collect()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Interfaces go with their namespaces.
        let zones = (0..ZONES).map(|zone| self.namespace(zone));
        let places = [self.core(), self.wan(), self.gateway(), self.side(0), self.side(1)];
        for name in zones.chain(places) {
            run(&["ip", "netns", "delete", &name]);
        }
        for zone in 0..ZONES {
            let _ = fs::remove_file(format!("/run/cordon/{}.lock", self.namespace(zone)));
        }
    }
}

/// Does something on a thread in a namespace.
pub fn inside<T: Send>(namespace: &str, what: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let work = || {
            enter(namespace);
            what()
        };
        scope.spawn(work).join().unwrap()
    })
}

fn enter(namespace: &str) {
    let handle = File::open(format!("/run/netns/{namespace}")).unwrap();
    move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

/// A program that ends with the test.
pub struct Process(Child);

impl Process {
    fn start(network: &Network, by: &[&str], arguments: &[&str], said: &str) -> Self {
        let said = File::create(network.dir().join(said)).unwrap();
        let mut command = network.cordon(arguments);
        if let Some((program, before)) = by.split_first() {
            let mut outer = Command::new(program);
            outer.args(before).arg(command.get_program()).args(command.get_args());
            outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command = outer;
        }
        command.stdout(Stdio::null()).stderr(said);
        Self(inside(&network.gateway(), || command.spawn().unwrap()))
    }

    fn wait_for(&mut self, file: &Path) {
        while !file.exists() {
            assert_eq!(self.0.try_wait().unwrap(), None, "it ended before {} was there", file.display());
            crate::house::breathe();
        }
    }

    /// A line of what the kernel says of it (proc(5)).
    pub fn status(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
    }

    pub fn signal(&self, name: &str) {
        must(&["kill", "-s", name, &self.0.id().to_string()]);
    }

    /// Ends it at once, as a crash does.
    pub fn crash(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Ends it as a service manager does; gives the exit code.
    pub fn stop(mut self) -> Option<i32> {
        must(&["kill", &self.0.id().to_string()]);
        self.0.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A hostile camera that sends.
pub struct Hostile(Option<Child>);

impl Hostile {
    pub fn of(child: Child) -> Self {
        Self(Some(child))
    }

    /// Stops it, or waits until it has done its rounds; gives what it sent.
    pub fn stop(mut self) -> Value {
        let mut child = self.0.take().unwrap();
        drop(child.stdin.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "the hostile camera failed");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A simulated camera in a zone, on a thread of its own.
pub struct Camera {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Camera {
    pub fn start(network: &Network, zone: usize, dialect: fn() -> Dialect) -> Self {
        Self::start_with(network.side(zone), zone, CAMERA, dialect, &[], None)
    }

    /// In another place, which is not the gateway's neighbour.
    pub fn behind(place: &str, zone: usize, address: &str, dialect: fn() -> Dialect) -> Self {
        Self::start_with(place.to_owned(), zone, address, dialect, &[], None)
    }

    /// By IPv6, at the address that its side is given for it.
    pub fn by_ipv6(network: &Network, zone: usize, dialect: fn() -> Dialect) -> Self {
        let (side, address) = (network.side(zone), format!("{CAMERA6}/64"));
        must(&["ip", "-n", &side, "address", "add", &address, "dev", "leg", "nodad"]);
        Self::start_with(side, zone, CAMERA6, dialect, &[], None)
    }

    /// One with ways of its own.
    pub fn odd(
        network: &Network,
        zone: usize,
        dialect: fn() -> Dialect,
        oddities: &'static [Oddity],
    ) -> Self {
        Self::start_with(network.side(zone), zone, CAMERA, dialect, oddities, None)
    }

    /// At an address that its side has, and found by WS-Discovery in some manner.
    pub fn findable(
        network: &Network,
        zone: usize,
        address: &str,
        dialect: fn() -> Dialect,
        manner: Manner,
    ) -> Self {
        Self::start_with(network.side(zone), zone, address, dialect, &[], Some(manner))
    }

    fn start_with(
        side: String,
        zone: usize,
        address: &str,
        dialect: fn() -> Dialect,
        oddities: &'static [Oddity],
        manner: Option<Manner>,
    ) -> Self {
        let address: IpAddr = address.parse().unwrap();
        // What it says of itself is of IPv4, whichever way it is reached.
        let (lan_address, number) = match address {
            IpAddr::V4(it) => (it, it.octets()[3]),
            IpAddr::V6(it) => (CAMERA.parse::<Ipv4Addr>().unwrap(), it.octets()[15]),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, started) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            enter(&side);
            let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
            let options = sim::Options {
                bind: (address, 80).into(),
                username: CAMERA_USER.to_owned(),
                password: Zeroizing::new(CAMERA_PASSWORD.to_owned()),
                clock_skew: SignedDuration::ZERO,
                clock,
                entropy: Arc::new(SystemEntropy),
                serial: 100 * u32::from(number) + 1 + u32::try_from(zone).unwrap(),
                lan_address,
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let camera = sim::Camera::start(dialect(), options).await.unwrap();
                camera.set_oddities(oddities);
                let _found = match manner {
                    Some(manner) => Some(Findable::start(&camera, manner).await.unwrap()),
                    None => None,
                };
                ready.send(()).unwrap();
                // Whichever way the other end goes, the camera is done.
                let _ = stopped.await;
            });
        });
        started.recv().unwrap();
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// Every frame on the interfaces of a namespace, in both directions.
pub struct Capture {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Vec<u8>>>,
    namespace: String,
    socket: Arc<OwnedFd>,
}

impl Capture {
    pub fn start(namespace: &str) -> Self {
        let socket = Arc::new(inside(namespace, packet_socket).unwrap());
        let reading = Arc::clone(&socket);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut frames = Vec::new();
            let mut buffer = vec![0; 65_536];
            // Once stopped, what was captured before is still read.
            loop {
                match recv(&reading, &mut buffer[..], RecvFlags::empty()) {
                    Ok((length, _)) => frames.push(buffer[..length].to_vec()),
                    Err(_) if stopped.load(Ordering::Relaxed) => return frames,
                    Err(_) => {}
                }
                assert!(frames.len() < FRAMES_MAX, "more was captured than a test makes");
            }
        });
        Self { stop, thread, namespace: namespace.to_owned(), socket }
    }

    pub fn stop(self) -> Vec<Vec<u8>> {
        self.stop.store(true, Ordering::Relaxed);
        let frames = self.thread.join().unwrap();
        // What the kernel had no room for nobody has looked at: then "no frame" says nothing.
        let missed = inside(&self.namespace, missed);
        drop(self.socket);
        assert_eq!(missed, 0, "the capture missed frames, beside {} that it has", frames.len());
        frames
    }
}

/// Frames that the packet sockets of a namespace had no room for, as `ss` tells it (`d` of `skmem`: sk_drops).
fn missed() -> u64 {
    let output =
        Command::new("ss").args(["--no-header", "--numeric", "--packet", "--memory"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("skmem:("), "{said}");
    let counts = said.split("skmem:(").skip(1).map(|it| {
        let last = it.split(')').next().unwrap().rsplit(',').next().unwrap();
        last.strip_prefix('d').unwrap().parse::<u64>().unwrap()
    });
    counts.sum()
}

const FRAMES_MAX: usize = 2_000_000;

fn packet_socket() -> io::Result<OwnedFd> {
    /// `ETH_P_ALL` of packet(7).
    const EVERYTHING: u16 = 0x0003;
    let protocol = NonZero::new(u32::from(EVERYTHING.to_be())).map(rustix::net::Protocol::from_raw);
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(Duration::from_millis(100)))?;
    sockopt::set_socket_recv_buffer_size_force(&socket, 64 << 20)?;
    Ok(socket)
}

/// Why a frame comes from a camera; none if it does not.
pub fn of_camera(frame: &[u8], macs: &BTreeSet<String>) -> Option<String> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    let source = frame.get(6..12).map(hex).unwrap_or_default();
    if macs.contains(&source) {
        return Some(format!("its hardware address {source}"));
    }
    if frame.windows(MARKER.len()).any(|it| it == MARKER.as_bytes()) {
        return Some("its payload".to_owned());
    }
    let address = match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(26..29).filter(|it| **it == [192, 168, 1]).map(<[u8]>::to_vec),
        Some([0x08, 0x06]) => frame.get(28..31).filter(|it| **it == [192, 168, 1]).map(<[u8]>::to_vec),
        Some([0x86, 0xdd]) => {
            frame.get(22..28).filter(|it| **it == [0x20, 1, 0x0d, 0xb8, 0, 1]).map(<[u8]>::to_vec)
        }
        _ => None,
    };
    address.map(|it| format!("its address {}", hex(&it)))
}

pub fn run(words: &[&str]) -> bool {
    let (program, arguments) = words.split_first().unwrap();
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

pub fn must(words: &[&str]) {
    let (program, arguments) = words.split_first().unwrap();
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
}
