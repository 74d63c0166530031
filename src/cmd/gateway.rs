//! Wiring: from a configuration to a gateway that serves, and back to silence.

use std::{
    collections::hash_map::DefaultHasher,
    fmt::Write as _,
    fs,
    hash::{Hash, Hasher},
    io,
    num::NonZero,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

use arc_swap::ArcSwap;
use serde_json::json;
use tokio::{
    sync::{Semaphore, mpsc as mpsc_async, watch},
    task::LocalSet,
};

use super::{
    certificates::{CertificateState, CertificateWatch, Looker},
    fleet::HouseFleet,
    locators::{Memories, StoredLocators},
    lookout::{Lookout, Watchman},
    mounts::{Shared, SharedDoor},
    pins::StoredPins,
};
use crate::{
    admin::{Fleet, Part, Readiness},
    alarm::Active,
    audit::{self, AuditError, Event, Log, LogError},
    auth::{Authenticator, Caller, Method, NonceFingerprint},
    camera::Connection,
    clock::{Clock, Entropy, EntropyError},
    config::{self, Loaded},
    facade::{FacadeKey, FacadeShared},
    gate::{Alarms, Gate, Rules, Watch},
    ids::{CameraId, ClientId},
    inventory::{Camera, KnownQuirks, QuirkError},
    limits::{ALARMS_IN_READINESS_MAX, UPLOADS_MAX},
    listener::{
        Connect, Doorway, Edition, Enrolled, House,
        diagnosis::Standings,
        http,
        mount::{self, Visit},
        pem::{PemError, PemFiles},
        streaming,
        tls::Tls,
    },
    onvif::Catalogue,
    policy::{Engine, PolicyError, SHIPPED},
    schema::Tables,
    store::{Store, StoreError},
    telemetry::Metrics,
};

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum StartError {
    #[error("the interface tables cannot be loaded")]
    Tables(#[from] crate::schema::LoadError),
    #[error("`{path}`: {source}; the folder must exist or be makeable, and be writable by this user")]
    Folder { path: PathBuf, source: io::Error },
    #[error("the audit log cannot be opened")]
    Audit(#[from] AuditError),
    #[error("the state database cannot be opened")]
    Store(#[from] StoreError),
    #[error("the table of quirks of the program cannot be used")]
    Quirks(#[from] QuirkError),
    #[error("the policies cannot be used")]
    Policy(#[from] PolicyError),
    #[error("{0}")]
    Entropy(#[from] EntropyError),
    #[error(
        "camera `{camera}` cannot be served at {address}: {source}; choose another listen_port or stop what holds it"
    )]
    Listen { camera: String, address: std::net::SocketAddr, source: io::Error },
    #[error(
        "streams cannot be served at {address}: {source}; choose another rtsp_port or stop what holds it"
    )]
    Streams { address: std::net::SocketAddr, source: io::Error },
    #[error("camera `{0}` has no login in the configuration")]
    NoLogin(String),
    #[error("TLS towards clients cannot be served: {0}")]
    Certificate(#[from] PemError),
    #[error("TLS towards clients cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("a serving thread cannot be started: {0}")]
    Thread(io::Error),
    #[error("a serving thread ended before it served")]
    Lost,
}

/// A gateway that serves.
pub struct Gateway {
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    certificate: Option<CertificateWatch>,
    watchman: Option<Watchman>,
    house: Arc<House>,
    state: Arc<State>,
    fleet: Arc<HouseFleet>,
    public_key_file: PathBuf,
}

/// What readiness looks at.
struct State {
    log: Log,
    lookout: Lookout,
    certificate: CertificateState,
    house: Arc<House>,
}

impl Readiness for State {
    fn parts(&self) -> Vec<Part> {
        let health = self.log.health();
        let mut note = health.failure.clone().unwrap_or_else(|| format!("{} lines durable", health.durable));
        if health.journaled > 0 {
            let _ = write!(note, "; {} commands in the emergency journal", health.journaled);
        }
        let log = Part { name: "audit log".into(), ready: health.failure.is_none(), note };
        let all = self.house.edition.load().rules.inventory().cameras().count();
        let open = self.house.doors.load(Ordering::Relaxed);
        let note = if open == all {
            format!("{open} open")
        } else {
            format!("{open} of {all} open; restart the gateway, its log says why")
        };
        let doors = Part { name: "virtual cameras".into(), ready: open == all, note };
        let alarms = alarm_parts(&self.alarms());
        let cameras = self.house.healths.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let cameras = cameras.iter().map(|(name, health)| Part {
            name: format!("camera {name}"),
            // One camera's trouble is no reason to take the gateway out of service.
            ready: true,
            note: health.to_string(),
        });
        let certificate = self.certificate.part(&*self.house.clock);
        [log, doors].into_iter().chain(certificate).chain(alarms).chain(cameras).collect()
    }

    fn alarms(&self) -> (Vec<Active>, u64) {
        self.house.gate.watch().alarms.active()
    }

    fn metrics(&self) -> String {
        self.lookout.metrics()
    }
}

/// The active alarms as readiness shows them: none of them takes the gateway out of service by itself.
fn alarm_parts((active, left_out): &(Vec<Active>, u64)) -> Vec<Part> {
    let part = |it: &Active| {
        let entry = it.alarm.entry();
        let note = format!("{}: {}; {}", it.subject, it.detail, entry.remedy);
        Part { name: format!("alarm {}", entry.id), ready: true, note }
    };
    let more = active.len().saturating_sub(ALARMS_IN_READINESS_MAX) as u64 + left_out;
    let note = format!("{more} more alarms, see /alarms");
    let more = (more > 0).then(|| Part { name: "alarms".into(), ready: true, note });
    active.iter().take(ALARMS_IN_READINESS_MAX).map(part).chain(more).collect()
}

impl Gateway {
    /// Opens the log, loads policies, and serves every camera. Returns once every listener accepts.
    pub fn start(
        loaded: Loaded,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        let tables = Tables::embedded()?;
        folder(&loaded.state_dir)?;
        folder(&loaded.audit_dir)?;
        let metrics = Arc::new(Metrics::default());
        let options = audit::Options {
            emergency_journal: loaded.emergency_journal.clone(),
            retention: loaded.retention,
            metrics: Arc::clone(&metrics),
            ..audit::Options::new(&loaded.audit_dir, &format!("{}/audit", loaded.name))
        };
        let (log, report) = Log::open(&options, Arc::clone(&clock), &*entropy)?;
        let store = Arc::new(Mutex::new(Store::open(&loaded.state_dir.join("state.sqlite"))?));
        let nonce_key = key(&loaded.state_dir.join("nonce.key"), &*entropy)?;
        let authenticator = Authenticator::new(loaded.clients.clone(), &nonce_key, &*entropy)?;
        restore(&authenticator, &report, &*clock);
        let watch = Watch::new(metrics, Alarms::new(log.clone(), Arc::clone(&clock)));
        let edition = edition(&loaded, &tables, authenticator, &watch)?;
        let version = edition.rules.engine().version().to_owned();
        let facade_key = FacadeKey::new(&*key(&loaded.state_dir.join("facade.key"), &*entropy)?);
        let house = Arc::new(House {
            catalogue: Catalogue::new(Arc::clone(&tables)),
            facades: FacadeShared::new(Arc::clone(&tables), facade_key),
            gate: Gate::new(log.clone(), Arc::clone(&clock), watch),
            edition: ArcSwap::from_pointee(edition),
            front: streaming::Front::default(),
            locators: Mutex::new(Box::new(StoredLocators::new(Arc::clone(&store), Arc::clone(&clock)))),
            healths: Mutex::default(),
            standings: Standings::default(),
            doors: AtomicUsize::new(0),
            spool: loaded.state_dir.clone(),
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
            tables,
            clock,
            entropy,
        });
        let login_key = key(&loaded.state_dir.join("login.key"), &*house.entropy)?;
        let memories = Arc::new(Memories::new(Arc::clone(&store), login_key));
        let certificate = CertificateState::default();
        let tls = loaded.tls.as_ref().map(|files| tls(files, &loaded, &house, &certificate)).transpose()?;
        let (certificate_watch, tls) = tls.unzip();
        let lookout = Lookout::new(log.clone(), certificate.clone(), Arc::clone(&house));
        let state = Arc::new(State { log, lookout: lookout.clone(), certificate, house: Arc::clone(&house) });
        let (stop, stopped) = watch::channel(false);
        let mut gateway = Self {
            stop,
            threads: Vec::new(),
            certificate: certificate_watch,
            watchman: None,
            fleet: Arc::new(HouseFleet::new(
                Arc::clone(&house),
                Arc::clone(&store),
                KnownQuirks::embedded()?,
            )),
            house,
            state,
            public_key_file: report.public_key_file.clone(),
        };
        gateway.serve(&loaded, &memories, tls.as_ref(), &stopped)?;
        let detail = json!({ "version": env!("CARGO_PKG_VERSION"), "cameras": loaded.inventory.cameras().count(), "policies": version, "observe_until": loaded.observe_until.map(|it| it.to_string()) });
        gateway.house.gate.note(Event::new("start", detail));
        let watchman = Watchman::start(lookout, loaded.audit_dir.clone()).map_err(StartError::Thread)?;
        gateway.watchman = Some(watchman);
        Ok(gateway)
    }

    /// The file with the key that verifies the log.
    pub fn public_key_file(&self) -> &Path {
        &self.public_key_file
    }

    /// What is known of the cameras.
    pub fn fleet(&self) -> Arc<dyn Fleet> {
        Arc::clone(&self.fleet) as Arc<dyn Fleet>
    }

    /// What readiness says.
    pub fn readiness(&self) -> Arc<dyn Readiness> {
        Arc::clone(&self.state) as Arc<dyn Readiness>
    }

    /// Stops accepting, lets what is under way finish, signs the log and closes it.
    pub fn stop(self) -> Result<(), LogError> {
        drop(self.certificate);
        // Before doors close, which is no alarm now.
        drop(self.watchman);
        self.house.gate.note(Event::new("stop", serde_json::Value::Null));
        self.stop.send_replace(true);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a serving thread panicked");
            }
        }
        self.house.gate.finish();
        self.state.log.clone().close()
    }

    /// Starts the serving threads; a camera lives on the one its name hashes to.
    fn serve(
        &mut self,
        loaded: &Loaded,
        memories: &Arc<Memories>,
        tls: Option<&Tls>,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let count = loaded.threads.unwrap_or(cores).max(1);
        let mut shares: Vec<Share> = std::iter::repeat_with(Share::default).take(count).collect();
        let mut shared = Shared::default();
        for camera in loaded.inventory.cameras() {
            let door = self.door(camera, memories, tls, &mut shared)?;
            let place = shard(camera.id.as_str(), count);
            if let Some(share) = shares.get_mut(place) {
                share.doors.push(door);
            }
        }
        for door in shared.open()? {
            if let Some(share) = shares.get_mut(shard(&door.at.to_string(), count)) {
                share.shared.push(door);
            }
        }
        if let Some(share) = shares.first_mut() {
            let address = std::net::SocketAddr::new(loaded.bind, loaded.rtsp_port);
            let listener = open_listener(address);
            share.streams = Some(listener.map_err(|source| StartError::Streams { address, source })?);
        }
        let (ready, opened) = mpsc::channel();
        for (number, share) in shares.into_iter().enumerate().filter(|(_, share)| !share.is_empty()) {
            let (ready, house, stopped) = (ready.clone(), Arc::clone(&self.house), stopped.clone());
            let thread = std::thread::Builder::new()
                .name(format!("serve-{number}"))
                .spawn(move || serve_share(share, &house, &ready, &stopped))
                .map_err(StartError::Thread)?;
            self.threads.push(thread);
        }
        drop(ready);
        for _ in &self.threads {
            opened.recv().map_err(|_| StartError::Lost)??;
        }
        Ok(())
    }

    fn door(
        &self,
        camera: &Camera,
        memories: &Arc<Memories>,
        tls: Option<&Tls>,
        shared: &mut Shared,
    ) -> Result<Door, StartError> {
        let name = camera.id.to_string();
        // Bound here, so that a port that is taken stops the start before anything is served.
        let entry = if camera.mount.is_empty() {
            let plain = bind(&name, camera.listen)?;
            let secure = camera.secure.as_ref().zip(tls);
            let secure =
                secure.map(|(door, tls)| Ok::<_, StartError>((bind(&name, door.listen)?, tls.clone())));
            Entry::Own { plain, secure: secure.transpose()? }
        } else {
            Entry::Shared(shared.add(camera, tls))
        };
        Ok(Door { entry, camera: camera.id.clone(), listen: camera.listen, memories: Arc::clone(memories) })
    }
}

/// One virtual camera before its thread has it.
struct Door {
    entry: Entry<std::net::TcpListener>,
    camera: CameraId,
    listen: std::net::SocketAddr,
    memories: Arc<Memories>,
}

/// How requests come to a virtual camera.
enum Entry<L> {
    /// By listeners of its own.
    Own { plain: L, secure: Option<(L, Tls)> },
    /// From listeners that it shares.
    Shared(mpsc_async::Receiver<Visit>),
}

/// What one thread serves.
#[derive(Default)]
struct Share {
    doors: Vec<Door>,
    shared: Vec<SharedDoor>,
    /// The listener for streams of every camera.
    streams: Option<std::net::TcpListener>,
}

impl Share {
    fn is_empty(&self) -> bool {
        self.doors.is_empty() && self.shared.is_empty() && self.streams.is_none()
    }
}

/// One serving thread, from its start to its end.
fn serve_share(
    share: Share,
    house: &Arc<House>,
    ready: &mpsc::Sender<Result<(), StartError>>,
    stopped: &watch::Receiver<bool>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(StartError::Thread(error)));
            return;
        }
    };
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let mut serving = Vec::new();
        for door in share.doors {
            match open(door, house) {
                Ok(open) => serving.push(open),
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            }
        }
        let mut tasks: Vec<_> = serving
            .into_iter()
            .map(|Opened { entry, doorway }| {
                let serve = serve_entry(entry, Rc::clone(&doorway), stopped.clone());
                let (way, guests) = streaming::guests();
                house.front.lead(doorway.id().clone(), way);
                let streams = streaming::receive_guests(Rc::clone(&doorway), guests, stopped.clone());
                let open = OpenDoor::new(house);
                tokio::task::spawn_local(async move {
                    // Dropped however the task ends, so that readiness knows.
                    let _open = open;
                    tokio::join!(serve, streams);
                    doorway.keep_memory();
                })
            })
            .collect();
        for door in share.shared {
            match door.serve(Arc::clone(house), stopped.clone()) {
                Ok(serve) => tasks.push(tokio::task::spawn_local(serve)),
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            }
        }
        if let Some(listener) = share.streams {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => {
                    let serve = streaming::serve(listener, Arc::clone(house), stopped.clone());
                    tasks.push(tokio::task::spawn_local(serve));
                }
                Err(error) => {
                    let _ = ready.send(Err(StartError::Thread(error)));
                    return;
                }
            }
        }
        let _ = ready.send(Ok(()));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a listener ended");
            }
        }
    });
}

/// Serves one virtual camera until it is told to stop, or until no listener leads to it.
async fn serve_entry(
    entry: Entry<tokio::net::TcpListener>,
    camera: Rc<Doorway>,
    stop: watch::Receiver<bool>,
) {
    match entry {
        Entry::Shared(visits) => mount::receive(camera, visits).await,
        Entry::Own { plain, secure: None } => http::serve(plain, camera, http::Door::Camera, stop).await,
        Entry::Own { plain, secure: Some((secure, tls)) } => {
            let door = http::Door::SecureCamera(tls);
            let plain = http::serve(plain, Rc::clone(&camera), http::Door::Camera, stop.clone());
            tokio::join!(plain, http::serve(secure, camera, door, stop));
        }
    }
}

/// One virtual camera that accepts connections.
struct OpenDoor(Arc<House>);

impl OpenDoor {
    fn new(house: &Arc<House>) -> Self {
        house.doors.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(house))
    }
}

impl Drop for OpenDoor {
    fn drop(&mut self) {
        self.0.doors.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One virtual camera on its thread.
struct Opened {
    entry: Entry<tokio::net::TcpListener>,
    doorway: Rc<Doorway>,
}

fn open(door: Door, house: &Arc<House>) -> Result<Opened, StartError> {
    let Door { entry, camera, listen, memories } = door;
    let failed = |address, source| StartError::Listen { camera: camera.to_string(), address, source };
    let from_std = |listener: std::net::TcpListener| {
        let address = listener.local_addr().unwrap_or(listen);
        tokio::net::TcpListener::from_std(listener).map_err(|source| failed(address, source))
    };
    let entry = match entry {
        Entry::Shared(visits) => Entry::Shared(visits),
        Entry::Own { plain, secure } => {
            let secure = secure.map(|(listener, tls)| Ok::<_, StartError>((from_std(listener)?, tls)));
            Entry::Own { plain: from_std(plain)?, secure: secure.transpose()? }
        }
    };
    let doorway = Doorway::new(Arc::clone(house), camera, connect(house, memories));
    doorway.renew();
    Ok(Opened { entry, doorway })
}

/// How a camera is connected to, with what is known of it from before.
fn connect(house: &Arc<House>, memories: Arc<Memories>) -> Connect {
    let house = Arc::clone(house);
    Box::new(move |Enrolled { camera, login, .. }| {
        Connection::new(
            camera,
            login.clone(),
            Arc::clone(&house.tables),
            Arc::clone(&house.clock),
            Arc::clone(&house.entropy),
            Box::new(memories.of(&camera.id, login)),
            Box::new(StoredPins::new(memories.store(), &house.clock, &camera.id)),
        )
    })
}

/// Opens a listener for a camera.
pub(super) fn bind(camera: &str, address: std::net::SocketAddr) -> Result<std::net::TcpListener, StartError> {
    open_listener(address).map_err(|source| StartError::Listen { camera: camera.to_owned(), address, source })
}

fn open_listener(address: std::net::SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// What makes connections into TLS connections, and what looks after its certificate.
fn tls(
    files: &PemFiles,
    loaded: &Loaded,
    house: &Arc<House>,
    state: &CertificateState,
) -> Result<(CertificateWatch, Tls), StartError> {
    let (looker, identity) = Looker::new(files, house, state.clone())?;
    let asks = loaded.clients.iter().any(|it| !it.certificates.is_empty());
    Ok((CertificateWatch::start(looker).map_err(StartError::Thread)?, Tls::new(&identity, asks)?))
}

fn shard(name: &str, count: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    usize::try_from(hasher.finish() % count as u64).unwrap_or_default()
}

/// Names and texts of the policies of the configuration, or of the shipped ones.
pub(super) fn policy_texts(loaded: &Loaded) -> Result<Vec<(String, String)>, StartError> {
    let Some(dir) = &loaded.policy_dir else { return Ok(shipped_policies()) };
    policies_in(dir).map_err(|source| StartError::Folder { path: dir.clone(), source })
}

/// Names and texts of the policies that come with the program.
pub(super) fn shipped_policies() -> Vec<(String, String)> {
    SHIPPED.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// Names and texts of the `.cedar` files of a folder, in the order of their names.
pub(super) fn policies_in(dir: &Path) -> io::Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "cedar") {
            texts.push((path.display().to_string(), config::read(&path)?));
        }
    }
    texts.sort();
    Ok(texts)
}

/// What a configuration makes.
fn edition(
    loaded: &Loaded,
    tables: &Tables,
    authenticator: Authenticator,
    watch: &Watch,
) -> Result<Edition, StartError> {
    let engine = Engine::load(tables, &policy_texts(loaded)?, &loaded.inventory, &loaded.clients)?
        .observing(loaded.observe_until)?;
    let lacking = loaded.inventory.cameras().find(|camera| !loaded.logins.contains_key(&camera.id));
    if let Some(camera) = lacking {
        return Err(StartError::NoLogin(camera.id.to_string()));
    }
    Ok(Edition {
        rules: Rules::new(engine, Arc::clone(&loaded.inventory), &watch.metrics)
            .absorbing(loaded.absorb.clone()),
        authenticator: authenticator.with_clear_passwords(loaded.clear_passwords),
        callers: callers(loaded),
        logins: loaded.logins.clone(),
    })
}

/// Tokens used shortly before the last stop are used.
fn restore(authenticator: &Authenticator, report: &audit::OpenReport, clock: &dyn Clock) {
    for nonce in &report.recent_nonces {
        if let (Ok(client), Some(fingerprint)) =
            (ClientId::new(&nonce.client), NonceFingerprint::parse(&nonce.fingerprint))
        {
            authenticator.restore(&client, fingerprint, nonce.time, clock);
        }
    }
}

/// One caller for each client, to ask what could be permitted at all.
fn callers(loaded: &Loaded) -> Vec<Caller> {
    let caller = |client: &crate::auth::ClientRecord| {
        let network = client.networks.first()?;
        Some(Caller::Client {
            id: client.id.clone(),
            role: client.role,
            source: std::net::SocketAddr::new(network.addr(), 0),
            method: Method::DigestSha256,
            tls: false,
        })
    };
    loaded.clients.iter().filter_map(caller).collect()
}

/// Makes a folder that others than its owner and group cannot look into, unless it is there.
fn folder(path: &Path) -> Result<(), StartError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(path)
        .map_err(|source| StartError::Folder { path: path.to_owned(), source })
}

/// A secret of 32 bytes that outlives restarts, made at the first.
fn key(path: &Path, entropy: &dyn Entropy) -> Result<zeroize::Zeroizing<[u8; 32]>, StartError> {
    let failed = |source| StartError::Folder { path: path.to_owned(), source };
    let mut key = zeroize::Zeroizing::new([0; 32]);
    match fs::read(path) {
        Ok(bytes) if bytes.len() == key.len() => key.copy_from_slice(&bytes),
        Ok(_) => {
            return Err(failed(io::Error::other(
                "the key is not 32 bytes; restore it, or remove it to begin anew",
            )));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            entropy.fill(&mut *key)?;
            super::files::write_private(path, &*key).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    Ok(key)
}
