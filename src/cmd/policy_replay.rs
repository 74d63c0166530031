//! `cordon policy replay`: the commands on record, decided anew by other policies.
//!
//! Cameras, clients, sites and networks are those of the configuration now: what is asked is what the new policies
//! would change here, not what happened then. Whom a camera is kept from whatever policies say, then or now, is left
//! out.

use std::{borrow::Cow, collections::BTreeMap, fmt, io, path::PathBuf};

use clap::Args;
use serde::Deserialize;

use super::{
    audit_search::moment,
    camera::stored_regards,
    policy::{PolicyCommandError, policies},
};
use crate::{
    audit::{self, Field, Intent, Query, Record, search},
    auth::Caller,
    clock::Clock,
    config::Loaded,
    gate::{Gap, Recalled, bar, recall},
    inventory::{Camera, Regards},
    policy::{Decision, Engine},
    schema::Tables,
};

/// Arguments of `cordon policy replay`.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// A folder of .cedar files, or `shipped` for those that come with the program.
    new: PathBuf,
    /// Not before: a time (RFC 3339), a day (UTC), or how long ago, such as 12h or 14d; all there is if left out.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

impl Replay {
    /// `engine` is that of the policies in force.
    pub(super) fn run(
        &self,
        tables: &Tables,
        engine: &Engine,
        loaded: &Loaded,
        clock: &dyn Clock,
        out: &mut dyn io::Write,
    ) -> Result<(), PolicyCommandError> {
        let new = Engine::load(tables, &policies(&self.new)?, &loaded.inventory, &loaded.clients)?;
        let query = Query {
            since: self.since.as_deref().map(|text| moment(text, clock.now())).transpose()?,
            fields: vec![(Field::Kind, vec!["intent".to_owned()])],
            ..Query::default()
        };
        let mut found = Replayed::default();
        let regards = stored_regards(loaded);
        let judge = Judge { tables, new: &new, now: engine, loaded, regards: regards.as_ref() };
        search(&loaded.audit_dir, &query, true, &mut |line| {
            judge.line(line, &mut found);
            Ok(())
        })?;
        write!(out, "{found}")?;
        match found.changed() {
            0 => Ok(()),
            count => Err(PolicyCommandError::Replay(count)),
        }
    }
}

/// What decides.
struct Judge<'a> {
    tables: &'a Tables,
    new: &'a Engine,
    now: &'a Engine,
    loaded: &'a Loaded,
    /// How the gateway held cameras to be; none if it never ran.
    regards: Option<&'a Regards>,
}

/// What came of it.
#[derive(Debug, Default)]
struct Replayed {
    /// How the decision changes and because of what; by whom on what; the operations.
    changes: BTreeMap<(bool, String), BTreeMap<String, BTreeMap<String, Commands>>>,
    decided: u64,
    /// Let through by observe mode; counted as denied.
    observed: u64,
    /// Decided otherwise than recorded by the policies in force too.
    drifted: u64,
    left_out: BTreeMap<LeftOut, u64>,
}

/// Commands of one kind.
#[derive(Debug)]
struct Commands {
    count: u64,
    first: u64,
}

/// Why a record is not decided again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LeftOut {
    Gap(Gap),
    /// It is no record of a command.
    Unreadable,
    /// Parts of it were cut that policies look at.
    Trimmed,
    /// The client is not configured, or has another role.
    Client,
    /// The camera is not configured, or is judged otherwise.
    Camera,
    /// Nobody was served, whatever policies said.
    WasBarred,
    /// Nobody is served, whatever policies say.
    IsBarred,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gap(gap) => return gap.fmt(f),
            Self::Unreadable => "that are no records of commands",
            Self::Trimmed => "that were cut to fit into the log",
            Self::Client => "whose client is not configured any more, or has another role",
            Self::Camera => "whose camera is not configured any more, or is of another maker or verdict",
            Self::WasBarred => {
                "refused for what is no policy's: isolation, quarantine, or no exception at the site"
            }
            Self::IsBarred => {
                "whose camera is served to nobody now: in quarantine, or without exception at the site"
            }
        })
    }
}

/// A line, as far as it is needed here.
#[derive(Debug, Deserialize)]
struct Line {
    seq: u64,
    #[serde(default)]
    trimmed: Vec<String>,
    #[serde(flatten)]
    record: Record,
}

impl Judge<'_> {
    fn line(&self, line: &[u8], found: &mut Replayed) {
        let (seq, intent, again) = match self.again(line) {
            Ok(again) => again,
            Err(why) => {
                *found.left_out.entry(why).or_default() += 1;
                return;
            }
        };
        let Again { recalled: Recalled { caller, command }, camera } = &again;
        let camera = camera.as_deref();
        let was = intent.decision == audit::Decision::Permitted;
        let new = self.new.decide(caller, command, camera);
        found.decided += 1;
        found.observed += u64::from(intent.decision == audit::Decision::Observed);
        found.drifted += u64::from(self.now.decide(caller, command, camera).allow != was);
        if new.allow != was {
            let request = found.changes.entry((new.allow, because(&new))).or_default();
            let operations = request.entry(request_of(caller, camera)).or_default();
            let commands = operations.entry(intent.operation).or_insert(Commands { count: 0, first: seq });
            commands.count += 1;
        }
    }

    fn again(&self, line: &[u8]) -> Result<(u64, Intent, Again<'_>), LeftOut> {
        let line: Line = serde_json::from_slice(line).map_err(|_| LeftOut::Unreadable)?;
        let Record::Intent(intent) = line.record else { return Err(LeftOut::Unreadable) };
        // No policy looks at arguments.
        if line.trimmed.iter().any(|it| it != "arguments") {
            return Err(LeftOut::Trimmed);
        }
        if intent.barred.is_some() {
            return Err(LeftOut::WasBarred);
        }
        let recalled = recall(&intent, self.tables).map_err(LeftOut::Gap)?;
        if let Caller::Client { id, role, .. } = &recalled.caller
            && !self.loaded.clients.iter().any(|it| it.id == *id && it.role == *role)
        {
            return Err(LeftOut::Client);
        }
        let camera = match &recalled.command.camera {
            None => None,
            Some(id) => {
                let camera = self.loaded.inventory.camera(id).ok_or(LeftOut::Camera)?;
                let camera = self.regards.map_or(Cow::Borrowed(camera), |it| it.treated(camera));
                let same = |it: &Camera| {
                    Some(it.vendor.name.as_str()) == intent.vendor.as_deref()
                        && Some(it.vendor.class.as_str()) == intent.vendor_class.as_deref()
                };
                if !same(&camera) {
                    return Err(LeftOut::Camera);
                }
                if bar(&self.loaded.inventory, &camera, &recalled.caller).is_some() {
                    return Err(LeftOut::IsBarred);
                }
                Some(camera)
            }
        };
        Ok((line.seq, intent, Again { recalled, camera }))
    }
}

/// What is decided again.
struct Again<'a> {
    recalled: Recalled,
    camera: Option<Cow<'a, Camera>>,
}

fn because(decision: &Decision) -> String {
    match (&decision.note, decision.policies.as_slice()) {
        (_, []) => "no policy permits it".to_owned(),
        (Some(note), _) => note.clone(),
        (None, policies) => format!("permitted by {}", policies.join(", ")),
    }
}

fn request_of(caller: &Caller, camera: Option<&Camera>) -> String {
    let who = match caller {
        Caller::Client { id, role, .. } => format!("{id} ({role})"),
        Caller::Anonymous { .. } => "anonymous".to_owned(),
        Caller::Gateway(reason) => format!("the gateway ({})", reason.as_str()),
        Caller::Local { .. } => "somebody at the gateway's machine".to_owned(),
    };
    let on = camera.map(|it| format!(" on {} ({}, {})", it.id, it.vendor.name, it.vendor.class));
    format!("by {who}{}", on.unwrap_or_default())
}

impl Replayed {
    fn count(&self, permits: bool) -> u64 {
        let of = self.changes.iter().filter(|((it, _), _)| *it == permits);
        of.flat_map(|(_, requests)| requests.values()).flat_map(BTreeMap::values).map(|it| it.count).sum()
    }

    fn changed(&self) -> u64 {
        self.count(true) + self.count(false)
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is permitted anew matters most.
        for ((permits, because), requests) in self.changes.iter().rev() {
            writeln!(f, "{} now, {because}:", if *permits { "permitted" } else { "denied" })?;
            for (request, operations) in requests {
                writeln!(f, "  {request}")?;
                for (operation, Commands { count, first }) in operations {
                    writeln!(f, "    {operation}: {count}, the first in record {first}")?;
                }
            }
        }
        writeln!(
            f,
            "{} commands decided anew: {} denied now, {} permitted now, the others as recorded",
            self.decided,
            self.count(false),
            self.count(true)
        )?;
        if self.observed > 0 {
            writeln!(f, "{} of them were let through by observe mode, and count as denied", self.observed)?;
        }
        if self.drifted > 0 {
            writeln!(
                f,
                "{} of them the policies in force decide otherwise than recorded too: policies, cameras or clients \
                 have changed since",
                self.drifted
            )?;
        }
        for (why, count) in &self.left_out {
            writeln!(f, "not decided anew: {count} {why}")?;
        }
        Ok(())
    }
}
