//! `cordon camera`: asks the running gateway, or the state database where none runs.

use std::{
    borrow::Cow,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use serde::de::DeserializeOwned;

use super::{
    admin_client,
    baseline::Shown,
    columns,
    enrol::{self, EnrolError, Enrolment},
    identify::{self, Identified, Subject, SubjectError},
    locators::stored_memory,
    plain::Plain,
    regards::StoredRegards,
    reload::{Errand, ReloadCommandError, Wish, carry_out},
};
use crate::{
    admin::{CameraRow, CameraView, EventsView, Held, IdentityView, QuirkView},
    clock::{Clock, SystemClock},
    config::Loaded,
    facade::Setting,
    ids::CameraId,
    inventory::{BaselineStanding, KnownQuirks, QuirkError, Regard, Regards},
    listener::diagnosis::{Diagnosis, Layer, Standing, breaker},
    store::{Clerk, Store, StoreError},
};

/// Subcommands of `cordon camera`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// Every camera in a line: maker, site, zone, where it is served, which layer fails.
    List {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// All that is known of one camera: who it is, its clock, its login, its quirks and where they are known from.
    Show {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The camera's name.
        camera: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Who made a camera: each signal, what it speaks for, and what follows. An address at which no camera is enrolled
    /// is asked, without a login.
    Identify {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The camera's name, or an IP address with or without a port.
        camera: String,
        /// The zone of the address, where several have it.
        #[arg(long, value_name = "NAME")]
        zone: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Ends a camera's quarantine: the device that was seen there, as `camera show` has it, is the right one. Another
    /// one goes into quarantine anew. Asks the running gateway.
    Accept {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The camera's name.
        camera: String,
        /// Why; put on record.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Announces that one other device, or other firmware, may take a camera's place until then. Asks the running
    /// gateway.
    ExpectChange {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The camera's name.
        camera: String,
        /// Until when, as 2026-12-01T18:00:00Z.
        #[arg(long, value_name = "TIME")]
        until: jiff::Timestamp,
    },
    /// Has the running gateway ask a camera now who it is, on record like all it asks, and says what came of it.
    Probe {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The camera's name.
        camera: String,
    },
    /// What a camera has been set to that leads out of it or lets somebody in (servers, brokers, routers, accounts), and
    /// what of it is approved. To read it anew or approve it asks the running gateway.
    Baseline {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The camera's name.
        camera: String,
        /// Have the camera asked now.
        #[arg(long)]
        read: bool,
        /// Approve what was read last, and nothing else.
        #[arg(long, requires = "reason")]
        approve: bool,
        /// Take away what it came with first, and read that back; may be given several times: ntp=none, dns=none,
        /// remote-discovery=off, dynamic-dns=off.
        #[arg(long, value_name = "WHAT=VALUE", requires = "reason")]
        set: Vec<Setting>,
        /// Why it is approved or set; put on record.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Cameras that were found in zones, by what they say and by sweeps. Asks the running gateway.
    Discovered {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Of this zone alone.
        #[arg(long, value_name = "ZONE")]
        zone: Option<String>,
        /// As JSON, with all that is known of each.
        #[arg(long)]
        json: bool,
    },
    /// Writes a section for a camera that was found at the end of the configuration, once the running gateway has put
    /// that on record.
    Enrol(Enrolment),
    /// Why a camera does not work: which layer fails, in one sentence, and what to do.
    Why {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The camera's name.
        camera: String,
    },
}

/// Why `cordon camera` failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub(super) enum CameraError {
    #[error("camera `{0}` is not in the configuration; `cordon camera list` shows those that are")]
    NotEnrolled(String),
    #[error("the gateway that runs has another configuration: it does not know camera `{0}`")]
    OtherConfiguration(String),
    #[error("what answers at the admin listener is no gateway of this version: {0}")]
    NotUnderstood(String),
    #[error("the state database cannot be used")]
    Store(#[from] StoreError),
    #[error("the table of quirks of the program cannot be used")]
    Quirks(#[from] QuirkError),
    #[error(transparent)]
    Subject(#[from] SubjectError),
    #[error("camera `{0}` was not asked yet what it has been set to: add --read")]
    NotRead(CameraId),
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    #[error(transparent)]
    Decision(#[from] ReloadCommandError),
    #[error("cannot be printed: {0}")]
    Print(#[from] io::Error),
}

impl Args {
    pub(super) fn config(&self) -> &Path {
        match self {
            Self::List { config }
            | Self::Show { config, .. }
            | Self::Identify { config, .. }
            | Self::Accept { config, .. }
            | Self::ExpectChange { config, .. }
            | Self::Probe { config, .. }
            | Self::Baseline { config, .. }
            | Self::Discovered { config, .. }
            | Self::Enrol(Enrolment { config, .. })
            | Self::Why { config, .. } => config,
        }
    }

    /// Runs it. Whether all is well, for the exit code.
    pub(super) fn run(&self, loaded: &Loaded, out: &mut dyn Write) -> Result<bool, CameraError> {
        let out: &mut dyn Write = &mut Plain(out);
        match self {
            Self::List { .. } => {
                let (source, rows) = rows(loaded)?;
                list(&source, &rows, out)?;
                Ok(true)
            }
            Self::Show { camera, json, .. } => {
                let view = view(loaded, camera)?;
                if *json {
                    writeln!(out, "{:#}", serde_json::json!(view))?;
                } else {
                    show(&view, out)?;
                }
                Ok(true)
            }
            Self::Identify { camera, zone, json, .. } => {
                let found = match Subject::of(loaded, camera, zone.as_deref())? {
                    Subject::Address(address, zone) => identify::ask(address, zone.as_ref(), loaded)?,
                    Subject::Camera(id) => {
                        let view = view(loaded, id.as_str())?;
                        let follows = identify::follows(&view.verdict.class);
                        let (source, verdict) = (format!("camera, by {}", view.source), view.verdict);
                        Identified { subject: id.to_string(), source, steps: Vec::new(), verdict, follows }
                    }
                };
                if *json {
                    writeln!(out, "{:#}", serde_json::json!(found))?;
                } else {
                    identify::show(&found, out)?;
                }
                Ok(true)
            }
            Self::Accept { config, camera, reason } => {
                let wish = Wish::Accept { camera: camera.clone(), reason: reason.clone() };
                out.write_all(carry_out(config, wish)?.as_bytes())?;
                Ok(true)
            }
            Self::ExpectChange { config, camera, until } => {
                let wish = Wish::ExpectChange { camera: camera.clone(), until: *until };
                out.write_all(carry_out(config, wish)?.as_bytes())?;
                Ok(true)
            }
            Self::Probe { config, camera } => {
                out.write_all(carry_out(config, Errand::Probe { camera: camera.clone() })?.as_bytes())?;
                Ok(true)
            }
            Self::Baseline { config, camera, read, approve, set, reason, json } => {
                let asked = Asked {
                    set,
                    reason: reason.as_deref().unwrap_or_default(),
                    read: *read,
                    approve: reason.as_deref().filter(|_| *approve),
                    json: *json,
                };
                baseline(loaded, config, camera, &asked, out)
            }
            Self::Discovered { zone, json, .. } => {
                enrol::discovered(loaded, zone.as_deref(), *json, out)?;
                Ok(true)
            }
            Self::Enrol(wanted) => {
                enrol::enrol(loaded, wanted, out)?;
                Ok(true)
            }
            Self::Why { camera, .. } => why(loaded, camera, out),
        }
    }
}

/// Which layer fails, in a sentence.
fn why(loaded: &Loaded, camera: &str, out: &mut dyn Write) -> Result<bool, CameraError> {
    let (why, source, events) = match view(loaded, camera) {
        Ok(view) => (view.why, view.source, view.events),
        Err(CameraError::NotEnrolled(name)) => {
            let what = format!("camera `{name}` is not in the configuration");
            (Layer::Enrolment.because(what), "the configuration".to_owned(), None)
        }
        Err(other) => return Err(other),
    };
    writeln!(out, "{}: {}", why.layer.as_str(), why.sentence)?;
    writeln!(out, "  to do: {}", why.remedy)?;
    if let Some(nobody) = events.and_then(|it| it.nobody) {
        writeln!(out, "  events: nobody has any, since {nobody}")?;
    }
    writeln!(out, "  by {source}")?;
    Ok(why.layer == Layer::Fine)
}

/// What is to be done about a baseline.
struct Asked<'a> {
    set: &'a [Setting],
    reason: &'a str,
    read: bool,
    /// Why it is approved, if so.
    approve: Option<&'a str>,
    json: bool,
}

/// Shows a baseline, after what was asked for was done. False if something of it is not approved.
fn baseline(
    loaded: &Loaded,
    config: &Path,
    name: &str,
    asked: &Asked<'_>,
    out: &mut dyn Write,
) -> Result<bool, CameraError> {
    let not_enrolled = || CameraError::NotEnrolled(name.to_owned());
    let id = CameraId::new(name).map_err(|_| not_enrolled())?;
    let camera = loaded.inventory.camera(&id).ok_or_else(not_enrolled)?;
    let set = (!asked.set.is_empty()).then(|| {
        let settings = asked.set.iter().copied().collect();
        carry_out(
            config,
            Errand::SetBaseline { camera: name.to_owned(), settings, reason: asked.reason.to_owned() },
        )
    });
    // Whatever came of it, what is shown and kept is what the camera says now.
    let read = (set.is_some() || asked.read)
        .then(|| carry_out(config, Errand::ReadBaseline { camera: name.to_owned() }));
    if let Some(set) = set {
        let text = set?;
        if !asked.json {
            out.write_all(text.as_bytes())?;
        }
    }
    let note = read.transpose()?.unwrap_or_default();
    if !asked.json {
        out.write_all(note.as_bytes())?;
    }
    let kept = || stored_regards(loaded).map(|it| it.baselines().of(&id)).unwrap_or_default();
    if let Some(reason) = asked.approve {
        let read_at = kept().last.as_ref().map(|it| it.at).ok_or_else(|| CameraError::NotRead(id.clone()))?;
        carry_out(
            config,
            Wish::ApproveBaseline { camera: name.to_owned(), reason: reason.to_owned(), read_at },
        )?;
    }
    // What the gateway knows is durable before it says that it is done.
    let kept = kept();
    let shown = Shown::of(camera, &kept, &loaded.inventory);
    if asked.json {
        writeln!(out, "{:#}", shown.json())?;
    } else {
        shown.print(out)?;
    }
    Ok(shown.standing == BaselineStanding::default())
}

fn rows(loaded: &Loaded) -> Result<(String, Vec<CameraRow>), CameraError> {
    if let Ok((200, body)) = admin_client::get(&loaded.admin, "/cameras") {
        return Ok((RUNNING.to_owned(), read(&body)?));
    }
    let regards = stored_regards(loaded);
    let row = |camera| {
        let camera = regards.as_ref().map_or(Cow::Borrowed(camera), |it| it.treated(camera));
        CameraRow::of(&camera, Layer::Gateway.as_str(), &loaded.inventory)
    };
    Ok((STORED.to_owned(), loaded.inventory.cameras().map(row).collect()))
}

fn view(loaded: &Loaded, name: &str) -> Result<CameraView, CameraError> {
    let not_enrolled = || CameraError::NotEnrolled(name.to_owned());
    let id = CameraId::new(name).map_err(|_| not_enrolled())?;
    let camera = loaded.inventory.camera(&id).ok_or_else(not_enrolled)?;
    match admin_client::get(&loaded.admin, &format!("/cameras/{id}")) {
        Ok((200, body)) => return read(&body),
        Ok(_) => return Err(CameraError::OtherConfiguration(name.to_owned())),
        Err(_) => {}
    }
    let path = loaded.state_dir.join("state.sqlite");
    let (mut standing, mut pin) = (Standing::default(), None);
    let mut camera = Cow::Borrowed(camera);
    let mut regard = Arc::new(Regard::default());
    if path.is_file() {
        let clerk = Arc::new(Clerk::start(Store::open(&path)?)?);
        let pins = Arc::new(Mutex::new(Store::open(&path)?));
        standing.memory = stored_memory(&clerk, &id);
        pin = super::pins::pinned(&pins, &id)?;
        let regards = regards(&clerk, &pins);
        (regard, camera) = (regards.of(&id), Cow::Owned(regards.treated(&camera).into_owned()));
    }
    let why = stopped(&standing);
    let held = Held { inventory: &loaded.inventory, regard: &regard };
    Ok(CameraView::of(STORED, &camera, why, standing, pin, &KnownQuirks::embedded()?, held))
}

fn regards(clerk: &Arc<Clerk>, pins: &Arc<Mutex<Store>>) -> Regards {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    Regards::new(Arc::clone(&clock), Box::new(StoredRegards::new(clerk, pins, &clock)))
}

/// How cameras were held to be when the gateway ran; none if it never did.
pub(super) fn stored_regards(loaded: &Loaded) -> Option<Regards> {
    let path = loaded.state_dir.join("state.sqlite");
    let open = || path.is_file().then(|| Store::open(&path).ok()).flatten();
    Some(regards(&Arc::new(Clerk::start(open()?).ok()?), &Arc::new(Mutex::new(open()?))))
}

/// Nothing works without the gateway; what was in the way before stands in its state.
fn stopped(standing: &Standing) -> Diagnosis {
    let before = breaker(standing.memory.breaker, SystemClock::new().now());
    let before = before.map_or_else(String::new, |it| format!("; before, {}", it.sentence));
    Layer::Gateway.because(format!("no gateway answers at the admin listener of this configuration{before}"))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, CameraError> {
    serde_json::from_slice(body).map_err(|error| CameraError::NotUnderstood(error.to_string()))
}

const NOT_SEEN: &str = "nothing yet; the device has not said who it is";
const RUNNING: &str = "the running gateway";
const STORED: &str = "the state database, since no gateway answers";

fn list(source: &str, rows: &[CameraRow], out: &mut dyn Write) -> io::Result<()> {
    let heads = ["CAMERA", "VENDOR", "CLASS", "SITE", "ZONE", "STATE", "SERVED"];
    let quarantine = "quarantine".to_owned();
    let cells = |row: &CameraRow| {
        let state = if row.quarantined { &quarantine } else { &row.state };
        [&row.name, &row.vendor, &row.class, &row.site, &row.zone, state, &row.served].map(String::clone)
    };
    let lines: Vec<[String; 7]> =
        std::iter::once(heads.map(str::to_owned)).chain(rows.iter().map(cells)).collect();
    columns::print(&lines, out)?;
    writeln!(out, "{} cameras, by {source}", rows.len())
}

fn show(view: &CameraView, out: &mut dyn Write) -> io::Result<()> {
    let row = &view.row;
    writeln!(out, "camera {} (by {})", row.name, view.source)?;
    writeln!(out, "  state     {}: {}", view.why.layer.as_str(), view.why.sentence)?;
    writeln!(out, "  to do     {}", view.why.remedy)?;
    let verdict = &view.verdict;
    writeln!(
        out,
        "  vendor    {}, {} ({}: {})",
        row.vendor,
        row.class,
        verdict.standing,
        verdict.reasons.join("; ")
    )?;
    held_to_be(verdict, out)?;
    let sensitive = if row.sensitive_site { " (sensitive)" } else { "" };
    writeln!(out, "  place     site {}{sensitive}, zone {}", row.site, row.zone)?;
    writeln!(out, "  dialled   {}", view.address)?;
    writeln!(out, "  served    {}", row.served)?;
    let unknown = || "not known yet".to_owned();
    let identity = view.identity.as_ref().map_or_else(unknown, |it| {
        let (maker, model, firmware) = (&it.manufacturer, &it.model, &it.firmware);
        format!("{maker} {model}, firmware {firmware}, serial {}, hardware {}", it.serial, it.hardware)
    });
    writeln!(out, "  says      {identity}")?;
    let scheme = view.scheme.map_or_else(unknown, |it| it.to_string());
    writeln!(out, "  login     {scheme}; refused {} times since it was taken", view.rejections)?;
    if let Some(until) = view.waiting_until {
        writeln!(out, "            nothing is sent until {until:.0}")?;
    }
    let clock = view.clock_offset_milliseconds.map_or_else(unknown, |it| {
        let shift = match view.clock_shift_milliseconds / 60_000 {
            0 => String::new(),
            minutes => format!("; logins go by a clock {minutes} min ahead of that"),
        };
        format!("{} s ahead when asked last{shift}", it / 1_000)
    });
    writeln!(out, "  clock     {clock}")?;
    if let Some(pin) = &view.pin {
        writeln!(out, "  pin       key {pin}")?;
    }
    if !view.services.is_empty() {
        writeln!(out, "  services  {}", view.services.join(", "))?;
    }
    if let Some(answered) = view.answered {
        writeln!(out, "  answered  {answered:.0}")?;
    }
    if let Some(it) = &view.events {
        events(it, out)?;
    }
    quirks(&view.quirks, out)?;
    for it in &view.deviations {
        writeln!(out, "  deviation {} {}: {} times, last {:.0}", it.kind, it.name, it.times, it.last)?;
    }
    Ok(())
}

/// What is out of the ordinary about what a camera is held to be.
fn held_to_be(verdict: &IdentityView, out: &mut dyn Write) -> io::Result<()> {
    for it in &verdict.contradictions {
        writeln!(out, "            contradiction: {it}")?;
    }
    if let Some(it) = &verdict.quarantine {
        writeln!(out, "  quarantine since {:.0}: {}", it.since, it.why)?;
        let device = it.device.as_ref().map_or_else(|| NOT_SEEN.to_owned(), ToString::to_string);
        writeln!(out, "            to accept: {device}")?;
    }
    if let Some(it) = &verdict.expected {
        writeln!(
            out,
            "  expected  one other device may take its place until {:.0}: announced {:.0}, {}",
            it.until, it.at, it.by
        )?;
    }
    if let Some(it) = &verdict.accepted {
        writeln!(out, "  accepted  {:.0} by {}: {}", it.at, it.by, it.reason)?;
    }
    if let Some(it) = &verdict.exception {
        writeln!(out, "  exception until {} (UTC), {}: {}", it.until, it.owner, it.reason)?;
    }
    Ok(())
}

fn events(events: &EventsView, out: &mut dyn Write) -> io::Result<()> {
    let EventsView { subscribed, since, wanted, told, twice, over_rate, nobody } = events;
    let how = match (subscribed.as_deref().zip(*since), nobody) {
        (Some((way, since)), _) => format!("subscribed to by {way} since {since:.0}, wanted by {wanted}"),
        (None, Some(nobody)) => format!("nobody has any, since {nobody}"),
        (None, None) => format!("not subscribed to, wanted by {wanted}"),
    };
    writeln!(out, "  events    {how}; told {told}, twice {twice}, lost beyond the rate {over_rate}")
}

fn quirks(quirks: &[QuirkView], out: &mut dyn Write) -> io::Result<()> {
    for it in quirks {
        writeln!(out, "  quirk     {} ({}): {}", it.id, it.origin, it.note)?;
        if let Some((first, last)) = it.first.zip(it.last) {
            let firmware = it.firmware.as_deref().unwrap_or("not known");
            writeln!(
                out,
                "            {} times from {first:.0} to {last:.0}, firmware {firmware}",
                it.times
            )?;
        }
        writeln!(out, "            therefore: {}", it.gateway)?;
        writeln!(out, "            known from: {}", it.knowledge)?;
    }
    Ok(())
}
