//! `cordon isolate`: zones planned, applied, checked and removed.

use std::{collections::BTreeSet, io, net::IpAddr, path::PathBuf};

use crate::{
    config::{AdminListen, Loaded},
    inventory::Camera,
    isolation::{CoreSide, Desired, Keeper, KeeperError, NOT_SHOWN, NetError},
};

/// What to do about the zones of a configuration.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Print what apply would do, step by step, and what it cannot show.
    Plan(Of),
    /// Make each zone what it should be, or leave it as it was.
    Apply(Of),
    /// Compare what is in force with what should be, and name each difference.
    Check(Of),
    /// Undo: give each interface back, switched off, and remove the namespaces.
    Remove(Of),
}

/// Whose zones.
#[derive(Debug, clap::Args)]
pub struct Of {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Args {
    pub(super) fn config(&self) -> &PathBuf {
        let (Self::Plan(of) | Self::Apply(of) | Self::Check(of) | Self::Remove(of)) = self;
        &of.config
    }
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum IsolateError {
    #[error("{0} of the zones are not as they should be, see above; the others are")]
    Zones(usize),
    #[error("{0} of the zones cannot be made here yet, see above; the others can")]
    Unready(usize),
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    #[error("the table that counts on the core side stays")]
    Watch(#[source] NetError),
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

/// Whoever keeps the zones of a configuration.
pub(super) fn keeper(loaded: &Loaded) -> Keeper {
    let zones = loaded.inventory.zones().filter_map(Desired::of).collect();
    let doors = loaded.inventory.cameras().flat_map(Camera::doors).map(|door| door.ip());
    let admin = match &loaded.admin {
        AdminListen::Tcp(at) => Some(at.ip()),
        AdminListen::Unix(_) => None,
    };
    let addresses: BTreeSet<IpAddr> = doors.chain([loaded.bind]).chain(admin).collect();
    let every = addresses.iter().any(IpAddr::is_unspecified);
    Keeper::new(zones, CoreSide { addresses, every })
}

pub(super) fn run(
    args: &Args,
    loaded: &Loaded,
    out: &mut impl io::Write,
    err: &mut impl io::Write,
) -> Result<(), IsolateError> {
    let mut keeper = keeper(loaded);
    if matches!(args, Args::Apply(_) | Args::Remove(_)) {
        keeper.hold()?;
    }
    let mut wrong = 0;
    for zone in keeper.zones() {
        let name = &zone.zone;
        let outcome = match args {
            Args::Plan(_) => keeper.plan(zone).map(|planned| (planned.text, planned.lacks.is_none())),
            Args::Apply(_) => keeper.apply(zone).map(|was| match was.len() {
                0 => (format!("zone {name}: isolated, nothing was to be done\n"), true),
                many => (format!("zone {name}: isolated; {many} differences were mended\n"), true),
            }),
            Args::Check(_) => keeper.check(zone).map(|differences| {
                let lines = differences.iter().map(|it| format!("zone {name}: {it}\n")).collect::<String>();
                let fine = differences.is_empty();
                (if fine { format!("zone {name}: isolated\n") } else { lines }, fine)
            }),
            Args::Remove(_) => keeper.remove(zone).map(|steps| match steps {
                0 => (format!("zone {name}: nothing was there\n"), true),
                _ => (
                    format!("zone {name}: removed; {} is switched off\n", zone.leg.attachment.carrier()),
                    true,
                ),
            }),
        };
        match outcome {
            Ok((text, fine)) => {
                write!(out, "{text}")?;
                wrong += usize::from(!fine);
            }
            Err(error) => {
                wrong += 1;
                let mut line = error.to_string();
                let mut cause = std::error::Error::source(&error);
                while let Some(inner) = cause {
                    line += &format!(": {inner}");
                    cause = inner.source();
                }
                writeln!(err, "{line}")?;
            }
        }
    }
    if matches!(args, Args::Remove(_)) && wrong == 0 {
        keeper.remove_watch().map_err(IsolateError::Watch)?;
    }
    for zone in loaded.inventory.zones().filter(|it| Desired::of(it).is_none()) {
        writeln!(out, "zone {}: NOT ISOLATED, as configured (isolation = \"none\")", zone.id)?;
    }
    if matches!(args, Args::Plan(_)) {
        write!(out, "\n{NOT_SHOWN}")?;
    }
    match (wrong, args) {
        (0, _) => Ok(()),
        (_, Args::Plan(_)) => Err(IsolateError::Unready(wrong)),
        _ => Err(IsolateError::Zones(wrong)),
    }
}
