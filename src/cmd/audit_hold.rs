//! `cordon audit hold`: what retention must not delete.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use super::audit_search::moment;
use crate::{
    audit::{Hold, holds, set_holds},
    clock::Clock,
};

/// Arguments of `cordon audit hold`. Without a reason and a release, the holds are listed.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The log's folder
    pub dir: PathBuf,
    /// Hold, and why, such as the number of a case
    #[arg(long, value_name = "TEXT", conflicts_with = "release")]
    pub reason: Option<String>,
    /// From here on: a time, a day (UTC), or how long ago [default: the beginning]
    #[arg(long, value_name = "TIME", requires = "reason")]
    pub since: Option<String>,
    /// Up to here [default: for ever]
    #[arg(long, value_name = "TIME", requires = "reason")]
    pub until: Option<String>,
    /// Release what is held for this reason
    #[arg(long, value_name = "TEXT")]
    pub release: Option<String>,
}

impl Arguments {
    /// Changes the holds and shows them.
    pub(super) fn run(&self, clock: &dyn Clock, out: &mut dyn Write) -> io::Result<()> {
        let mut all = holds(&self.dir)?;
        let before = all.clone();
        if let Some(reason) = &self.reason {
            let time =
                |text: &Option<String>| text.as_deref().map(|text| moment(text, clock.now())).transpose();
            let (since, until) = (time(&self.since)?, time(&self.until)?);
            if since.zip(until).is_some_and(|(since, until)| since > until) {
                return Err(io::Error::other("--since is later than --until"));
            }
            if !self.dir.join("public.key").exists() {
                return Err(io::Error::other(format!("{} is no audit log", self.dir.display())));
            }
            let text = |time: Option<jiff::Timestamp>| time.map(|time| time.to_string());
            all.push(Hold { since: text(since), until: text(until), reason: reason.clone() });
        }
        if let Some(reason) = &self.release {
            all.retain(|hold| hold.reason != *reason);
            if all == before {
                return Err(io::Error::other(format!("nothing is held for `{reason}`")));
            }
        }
        if all != before {
            set_holds(&self.dir, &all)?;
        }
        for Hold { since, until, reason } in &all {
            let [since, until] = [(since, "the beginning"), (until, "ever")]
                .map(|(time, none)| time.as_deref().unwrap_or(none));
            writeln!(out, "held from {since} to {until}: {reason:?}")?;
        }
        if all.is_empty() {
            writeln!(out, "nothing is held")?;
        }
        Ok(())
    }
}
