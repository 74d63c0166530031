//! Another configuration while the gateway serves: taken up whole, or not at all.
//!
//! Files are read and checked, policies loaded, and every new listener opened, before anything changes; whatever
//! fails on the way leaves all as it was, on record and in the log. Then one swap makes the new configuration the
//! one by which requests are handled that begin from then on.
//!
//! A configuration can be taken up on trial: unless somebody confirms it in time, the one before comes back.

mod changes;
mod command;
mod control;
mod cuts;
mod decisions;
mod errands;
mod files;
mod thread;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Value, json};

use self::{
    changes::{Changes, needs_restart},
    cuts::{Whole, cuts},
    files::Watch,
};
use super::{
    configuration::{Configuration, Wrong},
    gateway::{Gateway, Running, StartError},
};
use crate::{
    alarm::{Alarm, Subject},
    audit::Event,
    auth::Caller,
    command::{AdminAction, Command, Operation, Prompt},
    config::{self, Diagnostic, Spot},
    gate::{Disposal, Ended, Pass, Refusal, Rules},
    ids::RequestId,
    limits::ROLL_BACK_PAUSE,
    listener::Edition,
    schema::{AccessClass, Traits},
    telemetry::Reloaded,
};

pub(super) use self::{
    command::{Args, ReloadCommandError, carry_out, run},
    control::Control,
    errands::Errand,
    thread::{Requests, Thread, Wish},
};
pub use self::{
    decisions::DecisionError,
    errands::Messenger,
    files::{Environment, Source},
};

/// Why a configuration was not taken up. Nothing has changed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ReloadError {
    #[error(transparent)]
    Wrong(#[from] Wrong),
    #[error("{0}: the policies need what the shipped 20-gateway.cedar says of Local, and then a restart")]
    Refused(Refusal),
    #[error(
        "`{}` lies in no folder that this process has been able to read since it started (confine under [gateway]): \
         restart it to take this up",
        .0.display()
    )]
    OutOfReach(PathBuf),
    #[error("another configuration is on trial: keep it, or wait until it is given up")]
    OnTrial,
    #[error("the policies in force do not permit admin:RollBack to Local::\"trial\": a trial could not end")]
    NoWayBack,
    #[error("no configuration is on trial")]
    NoTrial,
    #[error(transparent)]
    Start(StartError),
}

/// What a reload changes, for people.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What is added (`+`), removed (`-`) and changed (`~`).
    pub changes: Vec<String>,
    /// Who loses what; empty where nobody asked.
    pub cuts: Vec<String>,
    /// The versions of the policies before and after.
    pub versions: [String; 2],
}

/// Takes up what the files of a configuration say.
pub struct Reloader {
    running: Arc<Running>,
    source: Source,
    watch: Watch,
    trial: Option<Trial>,
    /// For the record: all else here waits for disks anyway.
    runtime: tokio::runtime::Runtime,
}

/// A configuration that is not confirmed yet, and the way back.
struct Trial {
    /// By the monotonic clock.
    ends: Duration,
    configuration: Arc<Configuration>,
    edition: Arc<Edition>,
}

/// A configuration that could be taken up.
struct Found {
    configuration: Arc<Configuration>,
    edition: Arc<Edition>,
    changes: Changes,
}

impl Reloader {
    /// For a gateway that serves what a source said just now.
    pub fn new(gateway: &Gateway, source: Source) -> io::Result<Self> {
        Ok(Self {
            running: gateway.running(),
            watch: Watch::new(&source),
            source,
            trial: None,
            runtime: tokio::runtime::Builder::new_current_thread().enable_time().build()?,
        })
    }

    /// Takes up what the files say now. With a `trial` it must be confirmed within that time.
    pub fn reload(&mut self, by: &Caller, trial: Option<Duration>) -> Result<Report, ReloadError> {
        // Whatever comes of it: who writes them again is heard again.
        if self.trial.is_none() {
            self.watch.settle(&self.source);
        }
        let outcome = self.try_reload(by, trial);
        let told = outcome.as_ref().map(|_| ()).map_err(ToString::to_string);
        let watch = self.running.house.gate.watch();
        watch.metrics.reloaded(if told.is_ok() { Reloaded::Taken } else { Reloaded::Refused });
        watch.alarms.set(Alarm::ReloadRefused, Subject::Gateway, told.as_ref().err().map(String::as_str));
        if let Err(error) = &outcome {
            tracing::error!(reason = %error, by = asker(by), "THE CONFIGURATION WAS NOT TAKEN UP: the one before stays in force");
            let detail = json!({ "by": asker(by), "reason": error.to_string() });
            self.running.house.gate.note(Event::new("reload-refused", detail));
        }
        outcome
    }

    /// Says what a reload would change and cut. Changes nothing.
    pub fn preview(&self) -> Result<Report, ReloadError> {
        let found = self.found()?;
        Ok(self.report(&found, true))
    }

    /// Keeps the configuration on trial.
    pub fn keep(&mut self, by: &Caller) -> Result<(), ReloadError> {
        if self.trial.as_ref().is_some_and(|trial| self.now() >= trial.ends) {
            self.roll_back();
        }
        if self.trial.is_none() {
            return Err(ReloadError::NoTrial);
        }
        let edition = self.running.house.edition.load_full();
        let pass = self.pass(AdminAction::Keep, by, &edition.rules, Value::Null)?;
        self.end_trial();
        pass.finish(ended(Disposal::Answered, "kept"));
        tracing::info!(by = asker(by), "the configuration on trial is kept");
        Ok(())
    }

    /// The monotonic time.
    pub(super) fn now(&self) -> Duration {
        self.running.house.clock.monotonic()
    }

    /// One look, every `RELOAD_INTERVAL`: at a trial, else at the files.
    pub fn look(&mut self) {
        match &self.trial {
            Some(trial) if self.running.house.clock.monotonic() >= trial.ends => self.roll_back(),
            Some(_) => {}
            None => {
                let watched = self.running.configuration().loaded.watch;
                if watched && self.watch.has_changed(&self.source) {
                    // Told where it happens.
                    let _ = self.reload(&Caller::Local { by: Prompt::Files, uid: None }, None);
                }
            }
        }
    }

    fn try_reload(&mut self, by: &Caller, trial: Option<Duration>) -> Result<Report, ReloadError> {
        if self.trial.is_some() {
            return Err(ReloadError::OnTrial);
        }
        let found = self.found()?;
        // To find out who loses what takes its time: only people are told.
        let report = self.report(&found, matches!(by, Caller::Local { by: Prompt::Control, .. }));
        if found.changes.is_empty() {
            tracing::info!(by = asker(by), "the files say what is in force already");
            return Ok(report);
        }
        let before = (self.running.configuration(), self.running.house.edition.load_full());
        let back = Caller::Local { by: Prompt::Trial, uid: None };
        if trial.is_some() && !before.1.rules.would_permit(&command(AdminAction::RollBack), &back) {
            return Err(ReloadError::NoWayBack);
        }
        let mut arguments = found.changes.to_json();
        if let Some(time) = trial {
            arguments.insert("trial_seconds".to_owned(), time.as_secs().into());
        }
        let pass = self.pass(AdminAction::Reload, by, &before.1.rules, Value::Object(arguments))?;
        self.change("reload", by, pass, found)?;
        self.trial = trial.map(|time| Trial {
            ends: self.running.house.clock.monotonic().saturating_add(time),
            configuration: before.0,
            edition: before.1,
        });
        Ok(report)
    }

    /// Goes back to the configuration before the one on trial. It is decided by the rules of that one: those on
    /// trial may be wrong in just this.
    fn roll_back(&mut self) {
        let Some(Trial { configuration, edition, .. }) = &self.trial else { return };
        let by = Caller::Local { by: Prompt::Trial, uid: None };
        let changes = Changes::between(&self.running.configuration(), configuration);
        let found = Found { configuration: Arc::clone(configuration), edition: Arc::clone(edition), changes };
        let arguments = Value::Object(found.changes.to_json());
        let outcome = self
            .pass(AdminAction::RollBack, &by, &found.edition.rules, arguments)
            .and_then(|pass| self.change("reload-rolled-back", &by, pass, found));
        match outcome {
            // What the files say was given up: only what is written from now on is looked at.
            Ok(()) => {
                self.running.house.gate.watch().metrics.reloaded(Reloaded::RolledBack);
                self.watch.settle(&self.source);
                self.end_trial();
            }
            Err(error) => {
                tracing::error!(%error, "THE CONFIGURATION ON TRIAL CANNOT BE GIVEN UP: it stays in force until that is mended");
                if let Some(trial) = &mut self.trial {
                    trial.ends = trial.ends.saturating_add(ROLL_BACK_PAUSE);
                }
            }
        }
    }

    /// Whatever was refused meanwhile, was refused for the trial.
    fn end_trial(&mut self) {
        self.trial = None;
        self.running.house.gate.watch().alarms.clear(Alarm::ReloadRefused, &Subject::Gateway);
    }

    /// Takes up a configuration under a pass, and says so.
    fn change(&self, what: &str, by: &Caller, pass: Pass, found: Found) -> Result<(), ReloadError> {
        let Found { configuration, edition, changes } = found;
        let house = &self.running.house;
        let versions =
            [&house.edition.load_full(), &edition].map(|it| it.rules.engine().version().to_owned());
        let before = Arc::clone(&self.running.configuration().loaded.inventory);
        if let Err(error) = self.running.take_up(configuration, edition) {
            let error = self.placed(error);
            pass.finish(ended(Disposal::Failed, &error.to_string()));
            return Err(error);
        }
        let edition = house.edition.load_full();
        house.gate.watch().alarms.forget(|subject| !edition.has(subject));
        let [old, new] = versions;
        pass.finish(ended(Disposal::Answered, &format!("policies {old}, now {new}")));
        let lines = changes.lines();
        tracing::info!(
            by = asker(by),
            changes = lines.join("; "),
            old,
            new,
            "{what}: another configuration is in force"
        );
        let mut detail = changes.to_json();
        detail.insert("by".to_owned(), asker(by).into());
        detail.insert("policies_before".to_owned(), old.into());
        detail.insert("policies_after".to_owned(), new.into());
        house.gate.note(Event::new(what, Value::Object(detail)));
        self.running.note_exceptions(Some(&before));
        self.running.note_decisions(Some(&before));
        Ok(())
    }

    /// What the files say, if it can be taken up.
    fn found(&self) -> Result<Found, ReloadError> {
        if let Some(path) = self.source.out_of_reach() {
            return Err(ReloadError::OutOfReach(path));
        }
        let new = Configuration::read(&self.source.path, &self.source.env)?;
        let old = self.running.configuration();
        let fixed = needs_restart(&old.loaded, &new.loaded);
        if !fixed.is_empty() {
            let told = fixed.into_iter().map(|(section, keys)| self.needs_restart(section, keys));
            return Err(Wrong(told.collect()).into());
        }
        let house = &self.running.house;
        let engine = new.engine(&house.tables)?;
        if let Some(camera) = new.without_login() {
            return Err(ReloadError::Start(StartError::NoLogin(camera.to_string())));
        }
        let edition = house.edition.load_full();
        let regards = edition.rules.regards().clone();
        let authenticator = edition.authenticator.renewed(new.loaded.clients.clone(), &*house.clock);
        Ok(Found {
            changes: Changes::between(&old, &new),
            edition: Arc::new(new.edition(engine, authenticator, regards, &house.gate.watch().metrics)),
            configuration: Arc::new(new),
        })
    }

    fn report(&self, found: &Found, with_cuts: bool) -> Report {
        let house = &self.running.house;
        let (configuration, edition) = (self.running.configuration(), house.edition.load_full());
        let old = Whole { configuration: &configuration, edition: &edition };
        let new = Whole { configuration: &found.configuration, edition: &found.edition };
        let cuts = if with_cuts && !found.changes.is_empty() {
            cuts(&house.tables, old, new, &found.changes)
        } else {
            Vec::new()
        };
        let versions = [old, new].map(|it| it.edition.rules.engine().version().to_owned());
        Report { changes: found.changes.lines(), cuts, versions }
    }

    fn needs_restart(&self, section: &'static str, keys: &'static [&'static str]) -> Diagnostic {
        let key = keys.join(" or ");
        let what = format!("{key} of [{section}] cannot change while the gateway runs: it needs a restart");
        let remedy = "restart the gateway, or write what it was before".to_owned();
        config::at(&self.source.path, Spot::Setting(section, keys), what, remedy)
    }

    /// Errors of listeners look like those of the configuration.
    fn placed(&self, error: StartError) -> ReloadError {
        let StartError::Listen { camera, address, source } = &error else { return ReloadError::Start(error) };
        let what = format!("camera `{camera}` cannot be served at {address}: {source}");
        let remedy = "give it another port or address, or stop what holds this one".to_owned();
        let spot = Spot::Camera(camera, &["listen_port", "tls_port", "listen_address", "listen_path"]);
        Wrong(vec![config::at(&self.source.path, spot, what, remedy)]).into()
    }

    /// Records what is to be done, and gives the pass for it if these rules permit it.
    fn pass(
        &self,
        action: AdminAction,
        by: &Caller,
        rules: &Rules,
        arguments: Value,
    ) -> Result<Pass, ReloadError> {
        self.runtime.block_on(pass(&self.running, action, by, rules, arguments))
    }
}

/// Has a change decided and recorded.
async fn pass(
    running: &Running,
    action: AdminAction,
    by: &Caller,
    rules: &Rules,
    arguments: Value,
) -> Result<Pass, ReloadError> {
    let house = &running.house;
    let command = Command { request: house.request_id(), arguments, ..command(action) };
    house.gate.decide(rules, command, by, None).await.map_err(ReloadError::Refused)
}

/// A change to the gateway as policies see it.
fn command(action: AdminAction) -> Command {
    Command {
        request: RequestId::from_bits(0),
        camera: None,
        operation: Operation::Admin(action),
        class: AccessClass::WriteSystem,
        traits: Traits::NONE,
        destinations: Vec::new(),
        arguments: Value::Null,
    }
}

/// Who asks, as logs have it.
fn asker(by: &Caller) -> &'static str {
    match by {
        Caller::Local { by, .. } => by.as_str(),
        Caller::Client { .. } | Caller::Anonymous { .. } | Caller::Gateway(_) => "nobody",
    }
}

fn ended(disposal: Disposal, note: &str) -> Ended {
    Ended {
        disposal,
        status: None,
        fault: None,
        deviations: Vec::new(),
        bytes: 0,
        note: Some(note.to_owned()),
    }
}
