//! Whole zones: applied or left as they were, checked, removed; by one process at a time.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::PathBuf,
};

use super::{
    compare::{Difference, compare},
    desired::Desired,
    found::Link,
    kernel::{self, NetError},
    plan::{CoreSide, Plan, PlanError, Step},
    show::{Grade, zone_text},
};
use crate::ids::ZoneId;

/// Why zones are not as they should be.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum KeeperError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("zone `{zone}` cannot be looked at")]
    Look { zone: ZoneId, source: NetError },
    #[error("zone `{zone}` is left as it was, since a step failed{undone}")]
    Step { zone: ZoneId, source: NetError, undone: String },
    #[error("zone `{zone}` is left as it was, since it did not become what it should be: {first}{undone}")]
    Unlike { zone: ZoneId, first: String, undone: String },
    #[error(
        "zone `{zone}` is kept by process {holder} of a gateway on this machine: stop that (`cordon netd`), or give the \
         zone another name if it is another gateway's"
    )]
    Held { zone: ZoneId, holder: String },
    #[error("`{path}`: {error}; isolation needs root")]
    Lock { path: PathBuf, error: io::Error },
}

/// Looks after zones. While it lives no other process changes them.
#[derive(Debug)]
pub struct Keeper {
    zones: Vec<Desired>,
    core: CoreSide,
    locks: Vec<File>,
}

/// A zone's plan and how good it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// What is to be done.
    pub plan: Plan,
    /// How well the zone is kept apart.
    pub grade: Grade,
    /// Both as text.
    pub text: String,
    /// The interface is not there yet: this is the plan for one that carries nothing.
    pub lacks: Option<PlanError>,
}

impl Keeper {
    /// Of these zones, beside this core side. Changes nothing, and holds nothing yet.
    pub fn new(zones: Vec<Desired>, core: CoreSide) -> Self {
        Self { zones: Desired::together(zones), core, locks: Vec::new() }
    }

    /// The zones.
    pub fn zones(&self) -> &[Desired] {
        &self.zones
    }

    /// The zone of this name.
    pub fn zone(&self, id: &ZoneId) -> Option<&Desired> {
        self.zones.iter().find(|it| it.zone == *id)
    }

    /// Sees to it that no other process keeps any of the zones, until this is dropped or its process ends in any way.
    ///
    /// # Errors
    /// Another does.
    pub fn hold(&mut self) -> Result<(), KeeperError> {
        let folder = PathBuf::from(LOCKS);
        fs::create_dir_all(&folder).map_err(|error| KeeperError::Lock { path: folder.clone(), error })?;
        let mut locks = Vec::new();
        for zone in &self.zones {
            let path = folder.join(format!("{}.lock", zone.namespace()));
            let failed = |error| KeeperError::Lock { path: path.clone(), error };
            let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = opened.map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    // Who it is helps; that it is held is enough.
                    let _ = file.take(HOLDER_BYTES).read_to_string(&mut holder);
                    let (zone, holder) = (zone.zone.clone(), holder.trim().to_owned());
                    return Err(KeeperError::Held { zone, holder });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            let noted = file.set_len(0).and_then(|()| file.rewind());
            noted.and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
            locks.push(file);
        }
        self.locks = locks;
        Ok(())
    }

    /// What would be done for a zone, also before its interface is plugged in.
    ///
    /// # Errors
    /// It cannot be looked at, or its interface cannot be taken.
    pub fn plan(&self, zone: &Desired) -> Result<Planned, KeeperError> {
        let mut found = self.look(zone)?;
        let planned = Plan::to(zone, &found, &self.core).map_err(|error| locate(error, zone));
        let (plan, lacks) = match planned {
            Err(lacks @ PlanError::NoInterface { .. }) if lacks.is_nowhere() => {
                found.home.links.push(Link::bare(zone.leg.attachment.carrier()));
                (Plan::to(zone, &found, &self.core)?, Some(lacks))
            }
            planned => (planned?, None),
        };
        let grade = Grade::of(zone, &found, kernel::is_virtual_machine());
        let mut text = zone_text(zone, &plan, grade);
        if let Some(lacks) = &lacks {
            text = format!("{lacks}; what follows is for when it is there and carries nothing\n{text}");
        }
        Ok(Planned { plan, grade, text, lacks })
    }

    /// How well a zone is kept apart; none as long as its interface is not there.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn grade(&self, zone: &Desired) -> Result<Option<Grade>, KeeperError> {
        Ok(Grade::seen(zone, &self.look(zone)?, kernel::is_virtual_machine()))
    }

    /// How a zone differs from what it should be; empty if it is isolated.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn check(&self, zone: &Desired) -> Result<Vec<Difference>, KeeperError> {
        Ok(compare(zone, &self.look(zone)?))
    }

    /// Makes a zone what it should be, or leaves it as it was. Gives what was otherwise.
    ///
    /// # Errors
    /// A step failed: what was done before it is undone.
    pub fn apply(&self, zone: &Desired) -> Result<Vec<Difference>, KeeperError> {
        self.apply_with(zone, &mut || {})
    }

    /// The same; `before_load` runs once, right before its rules are loaded anew, if they are.
    ///
    /// # Errors
    /// As above.
    pub fn apply_with(
        &self,
        zone: &Desired,
        before_load: &mut dyn FnMut(),
    ) -> Result<Vec<Difference>, KeeperError> {
        let found = self.look(zone)?;
        let differences = compare(zone, &found);
        let plan = Plan::to(zone, &found, &self.core).map_err(|error| locate(error, zone))?;
        let mut done: Vec<&Step> = Vec::new();
        let loads =
            |step: &&Step| matches!(step, Step::Load { namespace, .. } if *namespace == zone.namespace());
        for step in &plan.steps {
            if loads(&step) && !done.iter().any(loads) {
                before_load();
            }
            if let Err(source) = kernel::perform(step) {
                let undone = undo(&done);
                return Err(KeeperError::Step { zone: zone.zone.clone(), source, undone });
            }
            done.push(step);
        }
        let left = compare(zone, &self.look(zone)?);
        match left.first() {
            None => Ok(differences),
            Some(first) => {
                let (zone, first) = (zone.zone.clone(), first.to_string());
                Err(KeeperError::Unlike { zone, first, undone: undo(&done) })
            }
        }
    }

    /// Undoes a zone: its interface goes home, switched off. Gives how many steps that took.
    ///
    /// # Errors
    /// A step failed: the next call goes on from there.
    pub fn remove(&self, zone: &Desired) -> Result<usize, KeeperError> {
        let found = self.look(zone)?;
        let shares = |it: &&Desired| it.zone != zone.zone && it.trunk() == zone.trunk();
        let others = self.zones.iter().filter(shares).any(|it| kernel::exists(&it.namespace()));
        let plan = Plan::remove(zone, &found, others);
        for step in &plan.steps {
            kernel::perform(step).map_err(|source| KeeperError::Step {
                zone: zone.zone.clone(),
                source,
                undone: "; remove goes on from here when it is called again".to_owned(),
            })?;
        }
        Ok(plan.steps.len())
    }

    /// Takes away the watch over the core side, which the privileged process keeps.
    ///
    /// # Errors
    /// It is there and cannot be taken away.
    pub fn remove_watch(&self) -> Result<(), NetError> {
        super::core_leg::remove()
    }

    fn look(&self, zone: &Desired) -> Result<super::Found, KeeperError> {
        kernel::look(zone).map_err(|source| KeeperError::Look { zone: zone.zone.clone(), source })
    }
}

/// Says where an interface is that is not here.
fn locate(error: PlanError, zone: &Desired) -> PlanError {
    match error {
        PlanError::NoInterface { zone: name, interface, .. } => {
            let places = kernel::whereabouts(&interface);
            let other = places.iter().find(|it| **it != zone.namespace());
            let elsewhere = other.map_or_else(String::new, |it| {
                format!(", but in namespace `{it}`: another zone, or another gateway on this machine, has it")
            });
            PlanError::NoInterface { zone: name, interface, elsewhere }
        }
        other => other,
    }
}

/// Undoes steps, the last first; says what could not be undone.
fn undo(done: &[&Step]) -> String {
    let mut failed = Vec::new();
    for step in done.iter().rev().filter_map(|step| step.undo()) {
        if let Err(error) = kernel::perform(&step) {
            failed.push(format!("{} ({error})", step.command().join(" ")));
        }
    }
    if failed.is_empty() {
        String::new()
    } else {
        format!("; this could not be undone: {}", failed.join(", "))
    }
}

const LOCKS: &str = "/run/cordon";
const HOLDER_BYTES: u64 = 32;
