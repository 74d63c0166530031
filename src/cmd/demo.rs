//! `cordon demo`: a complete gateway on one machine, with simulated cameras behind it.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, mpsc},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::{files, ready::Description, reload::Source, run as serving};
use crate::{
    clock::{Entropy, EntropyError, SystemClock, SystemEntropy},
    config::{self, Diagnostic, Loaded},
    inventory::VendorClass,
    sim::{self, Dialect, Fault, Findable, Manner, RunningCamera},
};

/// Options of `cordon demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder for configuration, state and log. Made if absent; default: a new one among the temporary files.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where to write, once every listener accepts, what is served where (JSON, with the clients' passwords).
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Makes a camera misbehave, in all it does or in one operation: `car-park=hang`,
    /// `lobby=flood@trt:GetProfiles`. Repeatable.
    #[arg(long, value_name = "CAMERA=FAULT[@OPERATION]")]
    fault: Vec<Misbehaviour>,
}

/// What a camera of the demo is to do wrong.
#[derive(Debug, Clone)]
struct Misbehaviour {
    camera: &'static str,
    fault: Fault,
    operation: Option<String>,
}

impl FromStr for Misbehaviour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (camera, rest) = text.split_once('=').ok_or("it must be CAMERA=FAULT")?;
        let (fault, operation) = rest.split_once('@').map_or((rest, None), |(fault, one)| (fault, Some(one)));
        let part = PARTS.iter().find(|part| part.name == camera).ok_or_else(|| {
            let names = PARTS.map(|part| part.name).join(", ");
            format!("the demo has no camera `{camera}`; there are {names}")
        })?;
        Ok(Self { camera: part.name, fault: fault.parse()?, operation: operation.map(str::to_owned) })
    }
}

/// Why the demo does not run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub(super) enum DemoError {
    #[error("`{path}` cannot be written: {source}; give another folder with --dir")]
    Folder { path: PathBuf, source: io::Error },
    #[error("`{0}` holds a demo already; give an empty folder, or none")]
    NotEmpty(PathBuf),
    #[error("{0}")]
    Entropy(#[from] EntropyError),
    #[error("no free port between {FIRST_PORT} and {LAST_PORT} on 127.0.0.1")]
    NoPort,
    #[error("a simulated camera does not start")]
    Camera(#[from] sim::StartError),
    #[error("the simulated cameras ended before they began")]
    Cameras,
    #[error("the demo's own configuration is refused, which is a defect:\n{0}")]
    Config(String),
    #[error("the demo ended")]
    Serve(#[from] serving::ServeError),
}

/// One simulated camera of the demo.
struct Part {
    name: &'static str,
    vendor: &'static str,
    zone: &'static str,
    dialect: fn() -> Dialect,
    /// Its address: loopback, but another one than the gateway's, so that the two sides can be told apart.
    address: Ipv4Addr,
    lan: Ipv4Addr,
    skew_seconds: i64,
    /// Which questions of those who look for cameras it answers.
    manner: Manner,
}

const PARTS: [Part; 4] = [
    Part {
        name: "car-park",
        vendor: "Hikvision",
        zone: "restricted",
        dialect: Dialect::hikvision,
        address: Ipv4Addr::new(127, 0, 1, 11),
        lan: Ipv4Addr::new(192, 0, 2, 64),
        skew_seconds: 37,
        manner: Manner::LiteralPrefix,
    },
    Part {
        name: "gate",
        vendor: "Dahua",
        zone: "restricted",
        dialect: Dialect::dahua,
        address: Ipv4Addr::new(127, 0, 1, 13),
        lan: Ipv4Addr::new(192, 0, 2, 65),
        skew_seconds: 0,
        manner: Manner::TypesOnly,
    },
    Part {
        name: "lobby",
        vendor: "Axis",
        zone: "trusted",
        dialect: Dialect::axis,
        address: Ipv4Addr::new(127, 0, 2, 12),
        lan: Ipv4Addr::new(198, 51, 100, 90),
        skew_seconds: -7_261,
        manner: Manner::All,
    },
    Part {
        name: "hall",
        vendor: "Bosch",
        zone: "restricted",
        dialect: Dialect::bosch,
        address: Ipv4Addr::new(127, 0, 1, 14),
        lan: Ipv4Addr::new(192, 0, 2, 68),
        skew_seconds: 4,
        manner: Manner::DeviceOnly,
    },
];

/// Name and ONVIF user level of the demo's clients.
const CLIENTS: [(&str, &str); 3] =
    [("vms-admin", "Administrator"), ("vms-operator", "Operator"), ("vms-viewer", "User")];

const FIRST_PORT: u16 = 8_081;
const LAST_PORT: u16 = 8_999;
/// The user the gateway logs in to the simulated cameras with.
const CAMERA_USER: &str = "gateway-service";

/// Runs the demo until a signal ends it.
pub(super) fn run(args: &Args) -> Result<(), DemoError> {
    let entropy = SystemEntropy;
    let dir = folder(args.dir.as_deref(), &entropy)?;
    let passwords: Vec<_> = CLIENTS.iter().map(|_| password(&entropy)).collect::<Result<_, _>>()?;
    let logins: Vec<_> = PARTS.iter().map(|_| password(&entropy)).collect::<Result<_, _>>()?;
    let cameras = Cameras::start(&logins, &args.fault)?;
    let config = dir.join("cordon.toml");
    let ports = free_ports(PARTS.len() + 3)?;
    write_files(&dir, &config, &passwords, &logins, &cameras.addresses, &ports)
        .map_err(|source| DemoError::Folder { path: dir.clone(), source })?;
    let loaded = config::load(&config, &|_| None).map_err(refused)?;
    let screen = screen(&loaded, &passwords, &dir, args.ready_file.as_deref(), cameras.findable);
    let source = Source::of(&config);
    let description = Description::of(&loaded, config).with_passwords(passwords.iter().map(|it| it.as_str()));
    serving::serve(loaded, source, |gateway, admin| {
        if let Some(file) = &args.ready_file {
            description.write(file, gateway, admin)?;
        }
        say(&format!("{screen}  readiness     {admin}/ready\n\nStop with Ctrl-C."));
        Ok(())
    })?;
    drop(cameras);
    say(&format!("Stopped. Everything is still in {}", dir.display()));
    Ok(())
}

/// Prints a text. Whoever reads the screen may have gone (`cordon demo | head`); the gateway goes on, and stops
/// properly.
fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

fn refused(diagnostics: Vec<Diagnostic>) -> DemoError {
    DemoError::Config(diagnostics.iter().map(Diagnostic::render).collect::<Vec<_>>().join("\n"))
}

/// The demo's folder: empty, and readable by its owner only.
fn folder(asked: Option<&Path>, entropy: &dyn Entropy) -> Result<PathBuf, DemoError> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = match asked {
        Some(dir) => dir.to_owned(),
        None => std::env::temp_dir().join(format!("cordon-demo-{:016x}", entropy.bits()?)),
    };
    let failed = |source| DemoError::Folder { path: dir.clone(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(failed)?;
    if dir.join("cordon.toml").exists() {
        return Err(DemoError::NotEmpty(dir));
    }
    dir.canonicalize().map_err(failed)
}

fn password(entropy: &dyn Entropy) -> Result<Zeroizing<String>, EntropyError> {
    let mut bytes = Zeroizing::new([0; 15]);
    entropy.fill(&mut *bytes)?;
    Ok(Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes)))
}

/// Ports nobody listens on at the moment, on the gateway's loopback address.
fn free_ports(count: usize) -> Result<Vec<u16>, DemoError> {
    let free = |port: &u16| {
        let at = (Ipv4Addr::LOCALHOST, *port);
        TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok()
    };
    let ports: Vec<_> = (FIRST_PORT..=LAST_PORT).filter(free).take(count).collect();
    if ports.len() == count { Ok(ports) } else { Err(DemoError::NoPort) }
}

/// The simulated cameras, on a thread of their own.
struct Cameras {
    addresses: Vec<SocketAddr>,
    /// Whether all of them are found by who looks for cameras.
    findable: bool,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Cameras {
    fn start(logins: &[Zeroizing<String>], faults: &[Misbehaviour]) -> Result<Self, DemoError> {
        let (logins, faults) = (logins.to_vec(), faults.to_vec());
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::Builder::new().name("cameras".into()).spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
                return;
            };
            runtime.block_on(async {
                let cameras = start_all(&logins, &faults).await;
                let findable = match &cameras {
                    Ok(cameras) => find_all(cameras).await,
                    Err(_) => Vec::new(),
                };
                let addresses = cameras.as_ref().map(|it| it.iter().map(RunningCamera::address).collect());
                let serving = addresses.is_ok();
                let told =
                    ready.send(addresses.map(|it| (it, findable.len() == PARTS.len())).map_err(|_| ()));
                if let Err(error) = &cameras {
                    tracing::error!(%error, "a simulated camera does not start");
                }
                if serving && told.is_ok() {
                    let _ = stopped.await;
                }
            });
        });
        let thread = thread.map_err(|_| DemoError::Cameras)?;
        match started.recv() {
            Ok(Ok((addresses, findable))) => {
                Ok(Self { addresses, findable, stop: Some(stop), thread: Some(thread) })
            }
            Ok(Err(())) | Err(_) => Err(DemoError::Cameras),
        }
    }
}

impl Drop for Cameras {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the simulated cameras panicked");
        }
    }
}

async fn start_all(
    logins: &[Zeroizing<String>],
    faults: &[Misbehaviour],
) -> Result<Vec<RunningCamera>, sim::StartError> {
    let mut running = Vec::new();
    for (number, (part, login)) in (1..).zip(PARTS.iter().zip(logins)) {
        let options = sim::Options {
            bind: SocketAddr::new(IpAddr::V4(part.address), 0),
            username: CAMERA_USER.to_owned(),
            password: login.clone(),
            clock_skew: SignedDuration::from_secs(part.skew_seconds),
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(SystemEntropy),
            serial: number,
            lan_address: part.lan,
        };
        let camera = sim::Camera::start((part.dialect)(), options).await?;
        for Misbehaviour { fault, operation, .. } in faults.iter().filter(|it| it.camera == part.name) {
            match operation {
                Some(operation) => camera.set_fault_of(operation, Some(fault.clone())),
                None => camera.set_fault(Some(fault.clone())),
            }
        }
        running.push(camera);
    }
    Ok(running)
}

/// Has the cameras found as real ones are, where others of this machine leave the port to them.
async fn find_all(cameras: &[RunningCamera]) -> Vec<Findable> {
    let mut found = Vec::new();
    for (part, camera) in PARTS.iter().zip(cameras) {
        match Findable::start(camera, part.manner).await {
            Ok(findable) => found.push(findable),
            Err(error) => tracing::warn!(%error, camera = part.name, "a simulated camera cannot be found"),
        }
    }
    found
}

fn write_files(
    dir: &Path,
    config: &Path,
    passwords: &[Zeroizing<String>],
    logins: &[Zeroizing<String>],
    cameras: &[SocketAddr],
    ports: &[u16],
) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let secrets = dir.join("secrets");
    fs::DirBuilder::new().mode(0o700).create(&secrets)?;
    for ((name, _), password) in CLIENTS.iter().zip(passwords) {
        files::write_private(&secrets.join(name), password.as_bytes())?;
    }
    for (part, login) in PARTS.iter().zip(logins) {
        files::write_private(&secrets.join(part.name), login.as_bytes())?;
    }
    files::write_private(config, configuration(cameras, ports).as_bytes())
}

/// The configuration, as somebody would write it by hand.
fn configuration(cameras: &[SocketAddr], ports: &[u16]) -> String {
    let (discovery, ports) = ports.split_last().unwrap_or((&0, &[]));
    let (streams, ports) = ports.split_last().unwrap_or((&0, &[]));
    let (admin, ports) = ports.split_last().unwrap_or((&0, &[]));
    let mut text = format!(
        r#"# Written by `cordon demo`. See config/cordon.example.toml for every setting.
[gateway]
name = "demo"
state_dir = "state"

[listener]
bind = "127.0.0.1"
advertise = "127.0.0.1"
rtsp_port = {streams}

# On a real network leave the port out: everybody asks at 3702.
[discovery]
listen = ["127.0.0.1/8"]
port = {discovery}

[admin]
listen = "127.0.0.1:{admin}"

[audit]
dir = "audit"

# Time servers that cameras without restrictions may be given.
[[network]]
name = "time"
prefixes = ["203.0.113.0/24"]

[[site]]
name = "headquarters"
sensitive = false

[[zone]]
name = "restricted"
isolation = "none"
prefixes = ["127.0.1.0/24", "192.0.2.0/24"]
sweep = ["127.0.1.8/29"]

[[zone]]
name = "trusted"
isolation = "none"
prefixes = ["127.0.2.0/24", "198.51.100.0/24"]
sweep = ["127.0.2.8/29"]
"#
    );
    for (name, role) in CLIENTS {
        let _ = write!(
            text,
            "\n[[client]]\nname = \"{name}\"\nrole = \"{role}\"\npassword = {{ file = \"secrets/{name}\" }}\n\
             networks = [\"127.0.0.1/32\"]\n"
        );
    }
    for ((part, address), port) in PARTS.iter().zip(cameras).zip(ports) {
        let _ = write!(
            text,
            "\n[[camera]]\nname = \"{name}\"\naddress = \"{address}\"\nvendor = \"{vendor}\"\nzone = \"{zone}\"\n\
             site = \"headquarters\"\nlisten_port = {port}\nusername = \"{CAMERA_USER}\"\n\
             password = {{ file = \"secrets/{name}\" }}\n",
            name = part.name,
            vendor = part.vendor,
            zone = part.zone,
        );
    }
    text
}

/// What a newcomer sees.
fn screen(
    loaded: &Loaded,
    passwords: &[Zeroizing<String>],
    dir: &Path,
    ready: Option<&Path>,
    findable: bool,
) -> String {
    let mut text = format!("\nCordon demo: {} simulated cameras behind a gateway.\n\n", PARTS.len());
    let _ =
        writeln!(text, "  {:<12} {:<10} {:<11} point an ONVIF client at", "camera", "vendor", "restricted");
    for camera in loaded.inventory.cameras() {
        let restricted = match camera.vendor.class {
            VendorClass::Trusted => "no",
            VendorClass::Review => "in review",
            VendorClass::OemRestricted | VendorClass::Restricted | VendorClass::Unknown => "yes",
        };
        let vendor = &camera.vendor.name;
        let at = format!("http://{}{}/onvif/device_service", camera.advertise, camera.mount);
        let _ = writeln!(text, "  {:<12} {vendor:<10} {restricted:<11} {at}", camera.id.as_str());
    }
    let _ = writeln!(text, "\n  {:<14} {:<14} password", "client", "ONVIF role");
    for (client, password) in loaded.clients.iter().zip(passwords) {
        let _ =
            writeln!(text, "  {:<14} {:<14} {}", client.id.as_str(), client.role.as_str(), password.as_str());
    }
    let shown = dir.display();
    let cordon =
        std::env::current_exe().map_or_else(|_| "cordon".to_owned(), |path| path.display().to_string());
    let found = if findable {
        format!(
            "  7. see which cameras answer who looks for them:\n                            {cordon} camera discovered \
             --config {shown}/cordon.toml\n"
        )
    } else {
        String::new()
    };
    let _ = write!(
        text,
        "\nTry:\n  1. add a camera in a VMS or any ONVIF client, with a name and password from above;\n  \
         2. as vms-admin, set the NTP server of each camera: `lobby` takes one in 203.0.113.0/24, the others\n     \
         are refused, since their makers are restricted or under review;\n  \
         3. see who did what:      {cordon} audit tail {shown}/audit\n  \
         4. check that nobody changed the record:\n                            {cordon} audit verify {shown}/audit\n  \
         5. ask why:               {cordon} policy explain --config {shown}/cordon.toml \\\n                              \
         --client vms-admin --camera car-park --operation tds:SetNTP\n  \
         6. print what an auditor wants, of all that is a minute old:\n                            {cordon} report \
         --config {shown}/cordon.toml --output {shown}/report.html\n{found}\n\
         NETWORK ISOLATION IS OFF: in this demo everything is on loopback, and only the gateway's own rules keep the\n\
         two sides apart. For real cameras give each zone isolation = \"namespace\" and an interface, read\n\
         `cordon isolate plan`, and run `cordon netd` beside the gateway (config/cordon.example.toml, config/systemd).\n\
         Video is had over RTSP, with TCP, UDP or tunnels of HTTP; events by pull points.\n\n  files         {shown}\n"
    );
    if let Some(file) = ready {
        let _ = writeln!(text, "  ready file    {}", file.display());
    }
    text
}
