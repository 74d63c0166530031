//! `cordon policy schema|check|test|diff|replay|prove|explain`.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};

use super::{
    configuration::{policies_in, shipped_policies},
    policy_replay::Replay,
};
use crate::{
    audit::SearchError,
    auth::{Caller, ClientRecord, Method},
    clock::Clock,
    command::{Command, Destination, DestinationKind},
    config::{self, Loaded},
    ids::{CameraId, ClientId, NameError, RequestId},
    inventory::Inventory,
    policy::{Differences, EXPECTATIONS, Engine, ExpectationError, Expectations, PolicyError, operation},
    schema::{Tables, Trait, Traits},
};

/// What to do with the policies of a configuration.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The configuration the policies are for.
    #[arg(long, value_name = "FILE", global = true, default_value = "cordon.toml")]
    config: PathBuf,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Print the words policies may use, in Cedar's schema notation.
    Schema,
    /// Check every policy against catalogue and configuration.
    Check,
    /// Ask about every operation, role, kind of vendor, site and document, and compare with a table.
    Test(Test),
    /// Name the requests that two sets of policies decide otherwise; fails if there are any.
    Diff(Diff),
    /// Prove that no request whatever lets a camera that is not trusted be given a destination, a listener or code,
    /// or name requests that do. Needs the solver cvc5 (Debian package `cvc5`), and a build with the feature `prove`.
    Prove,
    /// Decide the recorded commands anew, by other policies, and name what would change; fails if anything would.
    Replay(Replay),
    /// Say in words which policies decide about one command.
    Explain(Explain),
}

#[derive(Debug, Args)]
struct Test {
    /// The expectations, if not those that come with the program (`config/policies/expectations.txt`).
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Diff {
    /// A folder of .cedar files, or `shipped` for those that come with the program.
    old: PathBuf,
    /// The same.
    new: PathBuf,
}

#[derive(Debug, Args)]
struct Explain {
    /// Who asks: a client of the configuration; nobody in particular if left out.
    #[arg(long)]
    client: Option<String>,
    /// Which camera it is for; the gateway itself if left out.
    #[arg(long)]
    camera: Option<String>,
    /// What is asked, such as `tds:SetNTP` or `rtsp:PLAY`.
    #[arg(long)]
    operation: String,
    /// A host the command would make the camera send to or fetch from; it is then egress.
    #[arg(long = "destination", value_name = "HOST")]
    destinations: Vec<String>,
    /// A trait its document would give it: egress, listener, code, …
    #[arg(long = "trait", value_name = "TRAIT")]
    traits: Vec<Trait>,
    /// Where the client calls from.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    source: IpAddr,
    /// As if over TLS.
    #[arg(long)]
    tls: bool,
}

/// Why `cordon policy` failed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyCommandError {
    /// The policies are wrong.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The expectations.
    #[error(transparent)]
    Expectations(#[from] ExpectationError),
    /// The table of expectations cannot be read.
    #[error("`{path}` cannot be read: {source}")]
    Table {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Decisions otherwise than expected.
    #[error("{0} decisions are not as expected")]
    Mismatches(usize),
    /// Decisions that change.
    #[error("{0} decisions change")]
    Differences(usize),
    /// Recorded commands would be decided otherwise.
    #[error("{0} recorded commands would be decided otherwise")]
    Replay(u64),
    /// The audit log.
    #[error(transparent)]
    Log(#[from] SearchError),
    /// A folder of policies cannot be read.
    #[error("the policies in `{path}` cannot be read: {source}")]
    Folder {
        /// Where they should be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A folder without policies.
    #[error("`{0}` holds no .cedar file; give the folder they are in, or `shipped`")]
    NoPolicies(PathBuf),
    /// No proof.
    #[cfg(feature = "prove")]
    #[error(transparent)]
    Prove(#[from] super::prove::ProveError),
    /// This program cannot prove.
    #[cfg(not(feature = "prove"))]
    #[error("this program was built without proofs: build it with `cargo build --release --features prove`")]
    NoProofs,
    /// No name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A client or camera that the configuration does not have.
    #[error("the configuration has no {kind} `{name}`; it has {known}")]
    Missing {
        /// `client` or `camera`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The output cannot be written.
    #[error("the answer could not be written")]
    Output(#[from] io::Error),
}

impl Arguments {
    /// The configuration to load for [`Arguments::run`].
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Does it. `texts` are the names and contents of the policy files in force.
    pub fn run<A: AsRef<str>, B: AsRef<str>>(
        &self,
        tables: &Tables,
        texts: &[(A, B)],
        loaded: &Loaded,
        clock: &dyn Clock,
        out: &mut dyn io::Write,
    ) -> Result<(), PolicyCommandError> {
        let Loaded { inventory, clients, .. } = loaded;
        let engine = Engine::load(tables, texts, inventory, clients)?.observing(loaded.observe_until)?;
        match &self.task {
            Task::Schema => out.write_all(engine.schema_text().as_bytes())?,
            Task::Check => check(&engine, texts.len(), out)?,
            Task::Test(test) => test.run(tables, texts, inventory, out)?,
            Task::Diff(diff) => diff.run(tables, inventory, out)?,
            Task::Prove => prove(&engine, out)?,
            Task::Replay(replay) => replay.run(tables, &engine, loaded, clock, out)?,
            Task::Explain(explain) => explain.run(&engine, tables, loaded, clock, out)?,
        }
        Ok(())
    }
}

#[cfg(feature = "prove")]
fn prove(engine: &Engine, out: &mut dyn io::Write) -> Result<(), PolicyCommandError> {
    Ok(super::prove::run(engine, &crate::clock::SystemClock::new(), out)?)
}

#[cfg(not(feature = "prove"))]
fn prove(_: &Engine, _: &mut dyn io::Write) -> Result<(), PolicyCommandError> {
    Err(PolicyCommandError::NoProofs)
}

fn check(engine: &Engine, files: usize, out: &mut dyn io::Write) -> io::Result<()> {
    let it = engine.summary();
    writeln!(
        out,
        "policies OK: {} policies in {files} files for {} operations, version {}",
        it.policies, it.operations, it.version
    )?;
    for name in it.unclassified {
        writeln!(out, "note: {name} has no access class in the overlay and is always denied")?;
    }
    Ok(())
}

impl Test {
    fn run<A: AsRef<str>, B: AsRef<str>>(
        &self,
        tables: &Tables,
        texts: &[(A, B)],
        inventory: &Inventory,
        out: &mut dyn io::Write,
    ) -> Result<(), PolicyCommandError> {
        let read = |path: &PathBuf| {
            config::read(path).map_err(|source| PolicyCommandError::Table { path: path.clone(), source })
        };
        let own = self.table.as_ref().map(read).transpose()?;
        let table = Expectations::parse(own.as_deref().unwrap_or(EXPECTATIONS), tables)?;
        let found = table.compare(tables, texts, inventory)?;
        writeln!(out, "{:24} {:>9} {:>9} {:>11}", "access class", "permitted", "denied", "unexpected")?;
        for (class, [permitted, denied, wrong]) in &found.classes {
            writeln!(out, "{class:24} {permitted:>9} {denied:>9} {wrong:>11}")?;
        }
        for mismatch in &found.mismatches {
            writeln!(out, "unexpected: {mismatch}")?;
        }
        writeln!(
            out,
            "{} decisions about {} operations, {} not as expected; {} operations are open to everybody who may use the camera, {} to everybody",
            found.decisions,
            found.operations,
            found.mismatches.len(),
            found.never_denied.len(),
            found.operations - found.denied_by.len()
        )?;
        match found.mismatches.len() {
            0 => Ok(()),
            count => Err(PolicyCommandError::Mismatches(count)),
        }
    }
}

impl Diff {
    fn run(
        &self,
        tables: &Tables,
        inventory: &Inventory,
        out: &mut dyn io::Write,
    ) -> Result<(), PolicyCommandError> {
        let (old, new) = (policies(&self.old)?, policies(&self.new)?);
        let found = Differences::between(tables, &old, &new, inventory)?;
        write!(out, "{found}")?;
        writeln!(out, "{} decisions compared, {} change", found.decisions, found.count())?;
        match found.count() {
            0 => Ok(()),
            count => Err(PolicyCommandError::Differences(count)),
        }
    }
}

/// The policies of a folder, or those that come with the program.
pub(super) fn policies(path: &Path) -> Result<Vec<(String, String)>, PolicyCommandError> {
    if path == Path::new("shipped") {
        return Ok(shipped_policies());
    }
    let found =
        policies_in(path).map_err(|source| PolicyCommandError::Folder { path: path.to_owned(), source })?;
    if found.is_empty() { Err(PolicyCommandError::NoPolicies(path.to_owned())) } else { Ok(found) }
}

impl Explain {
    fn run(
        &self,
        engine: &Engine,
        tables: &Tables,
        loaded: &Loaded,
        clock: &dyn Clock,
        out: &mut dyn io::Write,
    ) -> Result<(), PolicyCommandError> {
        let Loaded { inventory, clients, .. } = loaded;
        let caller = self.caller(clients)?;
        let camera = match &self.camera {
            None => None,
            Some(name) => Some(inventory.camera(&CameraId::new(name)?).ok_or_else(|| {
                let known = inventory.cameras().map(|it| it.id.as_str());
                missing("camera", name, known)
            })?),
        };
        let command = self.command(tables, camera.map(|it| it.id.clone()));
        out.write_all(engine.explain(&caller, &command, camera).as_bytes())?;
        let denied = !engine.decide(&caller, &command, camera).allow;
        if denied && engine.observes(&caller, &command, camera, clock.now()) {
            writeln!(out, "  observe mode lets it through, and records it as observed")?;
        }
        Ok(())
    }

    fn caller(&self, clients: &[ClientRecord]) -> Result<Caller, PolicyCommandError> {
        let source = SocketAddr::new(self.source, 0);
        let Some(name) = &self.client else {
            return Ok(Caller::Anonymous { source, tls: self.tls });
        };
        let id = ClientId::new(name)?;
        let client = clients.iter().find(|it| it.id == id);
        let client =
            client.ok_or_else(|| missing("client", name, clients.iter().map(|it| it.id.as_str())))?;
        Ok(Caller::Client { id, role: client.role, source, method: Method::Wsse, tls: self.tls })
    }

    fn command(&self, tables: &Tables, camera: Option<CameraId>) -> Command {
        let (operation, class, always) = operation(tables, &self.operation);
        let mut traits: Traits = self.traits.iter().copied().collect();
        if !self.destinations.is_empty() {
            traits = traits.with(Trait::Egress);
        }
        let destinations = self.destinations.iter().map(|host| Destination {
            kind: DestinationKind::Declared,
            host: host.to_ascii_lowercase(),
            address: host.parse().ok(),
            port: None,
        });
        Command {
            request: RequestId::from_bits(0),
            camera,
            operation,
            class,
            traits: traits.union(always),
            destinations: destinations.collect(),
            arguments: serde_json::Value::Null,
        }
    }
}

fn missing<'a>(kind: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> PolicyCommandError {
    let known: Vec<&str> = known.take(20).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    PolicyCommandError::Missing { kind, name: name.to_owned(), known }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn explain_takes_client_camera_operation_destination_and_trait() {
        let words = "policy explain --client vms --camera gate --operation tds:SetNTP \
                     --destination 203.0.113.9 --trait egress --config a.toml";
        let line = Line::try_parse_from(words.split_whitespace()).unwrap();
        assert_eq!(line.arguments.config(), Path::new("a.toml"));
        let Task::Explain(explain) = line.arguments.task else { panic!("not explain") };
        assert_eq!(explain.traits, [Trait::Egress]);
        assert_eq!(explain.destinations, ["203.0.113.9"]);
    }

    #[test]
    fn a_missing_camera_is_answered_with_those_there_are() {
        let error = missing("camera", "gat", ["gate", "yard"].into_iter());
        assert_eq!(error.to_string(), "the configuration has no camera `gat`; it has gate, yard");
    }
}
