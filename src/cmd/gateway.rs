//! Wiring: from a configuration to a gateway that serves, to another configuration, and back to silence.

use std::{
    fmt::Write as _,
    fs, io,
    num::NonZero,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{
    broker,
    certificates::{CertificateState, CertificateWatch, Looker},
    configuration::{Configuration, Wrong},
    core_leg, discovery,
    fleet::HouseFleet,
    locators::{Memories, StoredLocators, in_time},
    lookout::{Lookout, Watchman},
    regards::StoredRegards,
    search,
    serving::{Plan, Serving},
    sinks::SinkWatch,
    subscriptions::StoredSubscriptions,
    tripwire,
    watcher::Watcher,
    zones::{self, ZoneWatch, Zones},
};
use crate::{
    admin::{Fleet, Part, Readiness},
    alarm::Active,
    audit::{self, AuditError, Event, Log, LogError},
    auth::{Authenticator, NonceFingerprint},
    clock::{Clock, Entropy, EntropyError},
    config::Loaded,
    events::Hubs,
    facade::{FacadeKey, FacadeShared},
    gate::{Alarms, Gate, Watch},
    ids::ClientId,
    inventory::{Camera, Decision, Inventory, KnownQuirks, QuirkError, Regards, SiteException},
    isolation::Netd,
    limits::{ALARMS_IN_READINESS_MAX, BASELINE_READINGS_MAX, UPLOADS_MAX},
    listener::{
        Album, Edition, Errands, House, Notices, Ports,
        diagnosis::Standings,
        pem::{PemError, PemFiles},
        streaming,
        tls::Tls,
        wall::Wall,
    },
    onvif::Catalogue,
    schema::Tables,
    store::{Clerk, Store, StoreError},
    telemetry::Metrics,
};

/// Why the gateway does not start, or does not take up another configuration.
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
    #[error(transparent)]
    Wrong(#[from] Wrong),
    #[error("{0}")]
    Entropy(#[from] EntropyError),
    #[error(
        "camera `{camera}` cannot be served at {address}: {source}; choose another listen_port or stop what holds it"
    )]
    Listen { camera: String, address: std::net::SocketAddr, source: io::Error },
    #[error(
        "streams cannot be served at {address}: {source}; choose another rtsp_port (rtsps_port) or stop what holds it"
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
    #[error("the broker of `[mqtt]` cannot be spoken to: {0}")]
    Broker(#[source] io::Error),
    #[error("a serving thread has ended; restart the gateway, its log says why")]
    Lost,
}

/// A gateway that serves.
pub struct Gateway {
    running: Arc<Running>,
    certificate: Option<CertificateWatch>,
    watchman: Watchman,
    zones: ZoneWatch,
    tripwire: Watcher,
    sinks: SinkWatch,
    discoveries: Discoveries,
    broker: Option<Watcher>,
    state: Arc<State>,
    fleet: Arc<HouseFleet>,
    public_key_file: PathBuf,
    clerk: Arc<Clerk>,
}

/// What hears and speaks by WS-Discovery, on either side.
struct Discoveries {
    _answers: Option<Watcher>,
    _search: Watcher,
    _core: Watcher,
}

impl Discoveries {
    fn start(house: &Arc<House>, loaded: &Loaded) -> Result<Self, StartError> {
        let failed = StartError::Thread;
        Ok(Self {
            _answers: discovery::start(house, loaded.discovery.clone()).map_err(failed)?,
            _search: search::start(Arc::clone(house)).map_err(failed)?,
            _core: core_leg::start(Arc::clone(house), &loaded.discovery).map_err(failed)?,
        })
    }
}

/// What serves, and by which configuration.
pub(super) struct Running {
    pub(super) house: Arc<House>,
    clerk: Arc<Clerk>,
    tls: Option<Tls>,
    /// None once it was stopped.
    serving: Mutex<Option<Serving>>,
    configuration: Mutex<Arc<Configuration>>,
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
        let (all, open) = self.lookout.doors();
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
        let zones = zones::parts(&self.house);
        [log, doors].into_iter().chain(zones).chain(certificate).chain(alarms).chain(cameras).collect()
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

/// Where and how the log is kept.
fn of_the_log(loaded: &Loaded, metrics: &Arc<Metrics>) -> audit::Options {
    audit::Options {
        emergency_journal: loaded.emergency_journal.clone(),
        retention: loaded.retention,
        metrics: Arc::clone(metrics),
        pack: loaded.audit_compress,
        ..audit::Options::new(&loaded.audit_dir, &format!("{}/audit", loaded.name))
    }
}

impl Gateway {
    /// Opens the log, loads policies, and serves every camera. Returns once every listener accepts.
    pub fn start(
        loaded: Loaded,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        let tables = Tables::embedded()?;
        [&loaded.state_dir, &loaded.audit_dir].into_iter().try_for_each(|it| folder(it))?;
        let metrics = Arc::new(Metrics::default());
        let (log, report) = Log::open(&of_the_log(&loaded, &metrics), Arc::clone(&clock), &*entropy)?;
        let configuration = Configuration::with_policies(loaded)?;
        let loaded = &configuration.loaded;
        let engine = configuration.engine(&tables)?;
        let (version, audit_dir) = (engine.version().to_owned(), loaded.audit_dir.clone());
        let (clerk, pins) = stores(&loaded.state_dir)?;
        let authenticator = authenticator(loaded, &report, &*clock, &*entropy)?;
        let watch = Watch::new(metrics, Alarms::new(log.clone(), Arc::clone(&clock)));
        let regards = Regards::new(Arc::clone(&clock), Box::new(StoredRegards::new(&clerk, &pins, &clock)));
        let edition = configuration.edition(engine, authenticator, regards, &watch.metrics);
        let facade_key = FacadeKey::new(&*key(&loaded.state_dir.join("facade.key"), &*entropy)?);
        let house = Arc::new(House {
            catalogue: Catalogue::new(Arc::clone(&tables)),
            facades: FacadeShared::new(Arc::clone(&tables), facade_key),
            gate: Gate::new(log.clone(), Arc::clone(&clock), watch),
            edition: ArcSwap::from_pointee(edition),
            front: streaming::Front::default(),
            standings: Standings::default(),
            hubs: Hubs::default(),
            subscribers: Arc::default(),
            subscriptions: Box::new(StoredSubscriptions::open(&clerk, &log)),
            notices: Notices::default(),
            candidates: Mutex::default(),
            locators: Box::new(StoredLocators::new(Arc::clone(&clerk), Arc::clone(&clock))),
            healths: Mutex::default(),
            ports: Ports::default(),
            doors: AtomicUsize::new(0),
            spool: loaded.state_dir.clone(),
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
            readings: Semaphore::new(BASELINE_READINGS_MAX),
            errands: Errands::default(),
            wall: Wall::default(),
            album: Album::default(),
            netd: Netd::at(&loaded.netd.socket),
            tables,
            clock,
            entropy,
        });
        let (zones, certificate) = (Zones::looked_at(Arc::clone(&house)), CertificateState::default());
        let tls = loaded.tls.as_ref().map(|files| tls(files, loaded, &house, &certificate)).transpose()?;
        let (certificate_watch, tls) = tls.unzip();
        let login_key = key(&loaded.state_dir.join("login.key"), &*house.entropy)?;
        let memories = Arc::new(Memories::new(Arc::clone(&clerk), Arc::clone(&pins), login_key));
        let running = Arc::new(Running::start(house, tls, &memories, configuration)?);
        let house = Arc::clone(&running.house);
        running.note_start(&version);
        let lookout = Lookout::new(log.clone(), certificate.clone(), Arc::clone(&house));
        Ok(Self {
            certificate: certificate_watch,
            watchman: Watchman::start(lookout.clone(), audit_dir).map_err(StartError::Thread)?,
            zones: ZoneWatch::start(zones).map_err(StartError::Thread)?,
            tripwire: tripwire::start(Arc::clone(&house), Arc::clone(&clerk)).map_err(StartError::Thread)?,
            sinks: SinkWatch::start(Arc::clone(&house)).map_err(StartError::Thread)?,
            discoveries: Discoveries::start(&house, &running.configuration().loaded)?,
            broker: broker::wanted(&house, &running.configuration().loaded)?,
            fleet: Arc::new(HouseFleet::new(Arc::clone(&house), pins, KnownQuirks::embedded()?)),
            clerk,
            state: Arc::new(State { log, lookout, certificate, house }),
            public_key_file: report.public_key_file,
            running,
        })
    }

    /// The file with the key that verifies the log.
    pub fn public_key_file(&self) -> &Path {
        &self.public_key_file
    }

    /// What readiness says.
    pub fn readiness(&self) -> Arc<dyn Readiness> {
        Arc::clone(&self.state) as Arc<dyn Readiness>
    }

    /// How each camera stands.
    pub fn fleet(&self) -> Arc<dyn Fleet> {
        Arc::clone(&self.fleet) as Arc<dyn Fleet>
    }

    /// What serves, for who changes it.
    pub(super) fn running(&self) -> Arc<Running> {
        Arc::clone(&self.running)
    }

    /// Stops accepting, lets what is under way finish, signs the log and closes it.
    pub fn stop(self) -> Result<(), LogError> {
        // First, so that clients learn that virtual cameras go before doors close.
        drop(self.discoveries);
        drop(self.certificate);
        // Before doors close, which is no alarm now.
        drop(self.watchman);
        drop(self.zones);
        drop(self.tripwire);
        drop(self.sinks);
        drop(self.broker);
        let gate = &self.running.house.gate;
        gate.note(Event::new("stop", Value::Null));
        self.running.stop();
        if !self.clerk.close() {
            tracing::error!("the state database hangs: what was learnt last of cameras is not kept");
        }
        gate.finish();
        self.state.log.clone().close()
    }
}

impl Running {
    /// Serves every camera of a configuration, by the edition that the house has.
    fn start(
        house: Arc<House>,
        tls: Option<Tls>,
        memories: &Arc<Memories>,
        configuration: Configuration,
    ) -> Result<Self, StartError> {
        if let Some(camera) = configuration.without_login() {
            return Err(StartError::NoLogin(camera.to_string()));
        }
        let loaded = &configuration.loaded;
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let count = loaded.threads.unwrap_or(cores).max(1);
        let mut serving = Serving::start(&house, memories, tls.clone(), count)?;
        let outcome = serving.prepare(Plan::of(&loaded.inventory));
        let at = |port| std::net::SocketAddr::new(loaded.bind, port);
        let stream = |serving: &Serving| {
            serving.stream(at(loaded.rtsp_port), false)?;
            loaded.rtsps_port.map_or(Ok(()), |port| serving.stream(at(port), true))
        };
        let outcome = outcome.and_then(|prepared| serving.take_up(prepared));
        if let Err(error) = outcome.and_then(|()| stream(&serving)) {
            serving.stop();
            return Err(error);
        }
        let (serving, configuration) = (Mutex::new(Some(serving)), Mutex::new(Arc::new(configuration)));
        let clerk = Arc::clone(memories.clerk());
        Ok(Self { house, clerk, tls, serving, configuration })
    }

    /// Waits until what was learnt of cameras so far is durable: whether it is by now.
    pub(super) async fn settle(&self) -> bool {
        matches!(in_time(|told| self.clerk.settle(told)).await, Some(Ok(())))
    }

    /// Records that the gateway serves from now on, and by what.
    fn note_start(&self, policies: &str) {
        let configuration = self.configuration();
        let loaded = &configuration.loaded;
        let cameras = loaded.inventory.cameras().count();
        let observe_until = loaded.observe_until.map(|it| it.to_string());
        let detail = json!({ "version": env!("CARGO_PKG_VERSION"), "cameras": cameras, "policies": policies, "observe_until": observe_until });
        self.house.gate.note(Event::new("start", detail));
        self.note_exceptions(None);
        self.note_decisions(None);
    }

    /// Records which exceptions are granted, and by whom: all of them at the start, then those that change.
    pub(super) fn note_exceptions(&self, before: Option<&Inventory>) {
        let detail = |it: &SiteException| json!({ "owner": it.owner, "reason": it.reason, "until": it.until.to_string() });
        let words = ["exception-granted", "exception-withdrawn"];
        self.note_answered_for(before, words, |camera| camera.exception.as_ref().map(detail));
    }

    /// Records what somebody decided about cameras' makers: all of it at the start, then what changes.
    pub(super) fn note_decisions(&self, before: Option<&Inventory>) {
        let detail = |it: &Decision| json!({ "class": it.class.as_str(), "reason": it.because, "by": it.by, "on": it.on.to_string() });
        let words = ["vendor-decided", "vendor-decision-withdrawn"];
        self.note_answered_for(before, words, |camera| camera.vendor.decision.as_ref().map(detail));
    }

    /// Records what somebody answers for of a camera, by one word if it is new or otherwise, by another if it is gone.
    fn note_answered_for(
        &self,
        before: Option<&Inventory>,
        [new, gone]: [&str; 2],
        what: impl Fn(&Camera) -> Option<Value>,
    ) {
        let configuration = self.configuration();
        let now = &*configuration.loaded.inventory;
        let note = |word: &str, camera: &Camera, detail: Value| {
            self.house.gate.note(Event { camera: Some(camera.id.to_string()), ..Event::new(word, detail) });
        };
        for camera in now.cameras() {
            let was = before.and_then(|it| it.camera(&camera.id)).and_then(&what);
            if let Some(is) = what(camera).filter(|is| was.as_ref() != Some(is)) {
                note(new, camera, is);
            }
        }
        for camera in before.into_iter().flat_map(Inventory::cameras) {
            let still = now.camera(&camera.id).is_some_and(|it| what(it).is_some());
            if let Some(was) = what(camera).filter(|_| !still) {
                note(gone, camera, was);
            }
        }
    }

    /// The configuration in force.
    pub(super) fn configuration(&self) -> Arc<Configuration> {
        Arc::clone(&self.configuration.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves by another configuration and its edition from now on; requests under way end by the one they
    /// began with.
    ///
    /// # Errors
    /// A listener cannot be had: nothing has changed.
    pub(super) fn take_up(
        &self,
        configuration: Arc<Configuration>,
        edition: Arc<Edition>,
    ) -> Result<(), StartError> {
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let serving = serving.as_mut().ok_or(StartError::Lost)?;
        let loaded = &configuration.loaded;
        let prepared = serving.prepare(Plan::of(&loaded.inventory))?;
        if let Some(tls) = &self.tls
            && let Err(error) = tls.ask(asks(loaded))
        {
            serving.give_up(prepared);
            return Err(error.into());
        }
        // From here on every request is handled by the new edition; what follows opens and closes listeners.
        self.house.ports.settle(edition.rules.inventory());
        self.house.edition.store(edition);
        *self.configuration.lock().unwrap_or_else(PoisonError::into_inner) = configuration;
        if let Err(error) = serving.take_up(prepared) {
            tracing::error!(%error, "SOME CAMERAS ARE NOT SERVED");
        }
        Ok(())
    }

    fn stop(&self) {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(serving) = serving {
            serving.stop();
        }
    }
}

/// The state database, and a second way to the pins in it, since somebody else may change them while the gateway serves.
fn stores(state_dir: &Path) -> Result<(Arc<Clerk>, Arc<Mutex<Store>>), StartError> {
    let state = state_dir.join("state.sqlite");
    let clerk = Arc::new(Clerk::start(Store::open(&state)?)?);
    Ok((clerk, Arc::new(Mutex::new(Store::open(&state)?))))
}

/// What makes connections into TLS connections, and what looks after its certificate.
fn tls(
    files: &PemFiles,
    loaded: &Loaded,
    house: &Arc<House>,
    state: &CertificateState,
) -> Result<(CertificateWatch, Tls), StartError> {
    let (looker, identity) = Looker::new(files, house, state.clone())?;
    Ok((CertificateWatch::start(looker).map_err(StartError::Thread)?, Tls::new(&identity, asks(loaded))?))
}

/// Whether clients are asked for a certificate.
fn asks(loaded: &Loaded) -> bool {
    loaded.clients.iter().any(|it| !it.certificates.is_empty())
}

/// Knows the clients, and what they used before the last stop.
fn authenticator(
    loaded: &Loaded,
    report: &audit::OpenReport,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Authenticator, StartError> {
    let key = key(&loaded.state_dir.join("nonce.key"), entropy)?;
    let authenticator = Authenticator::new(loaded.clients.clone(), &key, entropy)?;
    restore(&authenticator, report, clock);
    Ok(authenticator)
}

/// Tokens used shortly before the last stop are used.
fn restore(authenticator: &Authenticator, report: &audit::OpenReport, clock: &dyn Clock) {
    for nonce in &report.recent_nonces {
        if let (Ok(client), Some(fingerprint)) =
            (ClientId::new(&nonce.client), NonceFingerprint::parse(&nonce.fingerprint))
        {
            authenticator.restore(&client, fingerprint, nonce.time, clock);
            if nonce.series {
                authenticator.restore_series(&client, clock);
            }
        }
    }
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
            super::files::replace(path, &*key).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    Ok(key)
}
