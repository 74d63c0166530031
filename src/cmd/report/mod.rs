//! `cordon report`: what the order of 24 November 2022 asks for, from configuration and audit log.

mod attention;
mod build;
mod csv;
mod html;
mod ledger;
mod model;
mod sign;
#[cfg(test)]
mod tests;
mod uptime;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{audit_search::moment, camera::stored_regards};
use crate::{
    audit::{self, AuditError, NoteError, ProofError, PublicKey, SearchError, VerifyError},
    clock::Clock,
    config::Loaded,
};
use ledger::{Ledger, Span};
use model::{LogPart, Report};

/// Arguments of `cordon report`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// The configuration
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// What to make: a page for people, everything as values, or a table for spreadsheets
    #[arg(long, value_enum, default_value = "html")]
    format: Format,
    /// Which table, of csv
    #[arg(long, value_enum, default_value = "devices")]
    table: csv::Table,
    /// Where to write it, with its signature beside it in FILE.note [default: the output, without a signature]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only what was recorded since: a time (RFC 3339), a day (UTC), or how long ago, such as 12h or 14d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what was recorded before: likewise
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Do not sign it
    #[arg(long)]
    unsigned: bool,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Check the signature of a report; exits with 0 if it holds, 1 if not
    Verify {
        /// The report
        report: PathBuf,
        /// Its signature [default: REPORT.note]
        #[arg(long, value_name = "FILE")]
        note: Option<PathBuf>,
        /// The audit log's public key, kept by the auditor
        #[arg(long, value_name = "FILE")]
        public_key: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Html,
    Json,
    Csv,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub(super) enum ReportError {
    #[error("there is no audit log yet in {}: a report is made of what it says; let the gateway run first", .0.display())]
    NoLog(PathBuf),
    #[error("the log's latest checkpoint cannot be used")]
    Checkpoint(#[source] ProofError),
    #[error("the audit log cannot be read")]
    Log(#[source] SearchError),
    #[error("the audit log cannot be verified")]
    Verify(#[source] VerifyError),
    #[error("the report cannot be signed; run this as the gateway's user, or give --unsigned")]
    Key(#[source] AuditError),
    #[error("the report cannot be signed")]
    Sign(#[source] NoteError),
    #[error("{0}")]
    Span(#[source] io::Error),
    #[error("`{}`: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the report cannot be printed")]
    Print(#[from] io::Error),
    #[error("the report cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("the signature does not hold")]
    Signature(#[source] NoteError),
    #[error("the signature is about another kind of thing: it is no report's, or of another version")]
    NoReport,
    #[error("the report is not the one that was signed: it was changed, or the signature belongs to another")]
    Changed,
    #[error("`{}` is no public key of an audit log", path.display())]
    PublicKey { path: PathBuf, source: NoteError },
}

impl Args {
    /// The configuration to load; none where it is not needed.
    pub(super) fn config(&self) -> Option<&Path> {
        self.config.as_deref().filter(|_| self.what.is_none())
    }

    /// Makes a report of a configuration, or checks one.
    pub(super) fn run(
        &self,
        loaded: Option<&Loaded>,
        clock: &dyn Clock,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), ReportError> {
        match (&self.what, loaded) {
            (Some(What::Verify { report, note, public_key }), _) => {
                let beside = beside(report);
                verify(report, note.as_deref().unwrap_or(&beside), public_key, out)
            }
            (None, Some(loaded)) => self.make(loaded, clock, out, err),
            (None, None) => Ok(()),
        }
    }

    fn make(
        &self,
        loaded: &Loaded,
        clock: &dyn Clock,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), ReportError> {
        let now = clock.now();
        let key =
            self.output.as_ref().filter(|_| !self.unsigned).map(|_| loaded.audit_dir.join("signing.key"));
        let (report, latest) = self.report(loaded, now)?;
        let text = match self.format {
            Format::Html => html::page(&report),
            Format::Json => serde_json::to_string_pretty(&report)? + "\n",
            Format::Csv => csv::text(&report, self.table),
        };
        let Some(path) = &self.output else {
            out.write_all(text.as_bytes())?;
            out.flush()?;
            // If this cannot be written there is nobody who would read it.
            let _ = writeln!(err, "This copy is not signed: give --output FILE for one that is.");
            return Ok(());
        };
        write(path, &text)?;
        let Some(key) = key else { return Ok(()) };
        let key = audit::signing_key(&key, latest.key.name()).map_err(ReportError::Key)?;
        let note = beside(path);
        write(&note, &sign::sign(text.as_bytes(), &latest.checkpoint, &key)?)?;
        writeln!(out, "{} and its signature {}", path.display(), note.display())?;
        Ok(())
    }

    /// Everything there is to say, at the latest checkpoint.
    fn report(&self, loaded: &Loaded, now: Timestamp) -> Result<(Report, audit::Latest), ReportError> {
        let dir = &loaded.audit_dir;
        let moment = |text: &Option<String>| text.as_deref().map(|text| moment(text, now)).transpose();
        let since = moment(&self.since).map_err(ReportError::Span)?;
        let until = moment(&self.until).map_err(ReportError::Span)?;
        if !dir.join("checkpoint").is_file() {
            return Err(ReportError::NoLog(dir.clone()));
        }
        let latest = audit::latest(dir, None).map_err(ReportError::Checkpoint)?;
        let (deleted_lines, lines, damage) = match verified(dir) {
            Ok(found) => (found.pruned, found.lines, None),
            Err(VerifyError::Damaged(damage)) => (0, 0, Some(damage.to_string())),
            Err(other) => return Err(ReportError::Verify(other)),
        };
        let span = Span { since, until, lines: latest.checkpoint.size };
        let mut ledger = Ledger::read(dir, span).map_err(ReportError::Log)?;
        let (from, to) = ledger.span.clone().unzip();
        let log = LogPart {
            name: latest.key.name().to_owned(),
            public_key: latest.key.to_string(),
            signed_lines: latest.checkpoint.size,
            unsigned_lines: lines.saturating_sub(latest.checkpoint.size),
            records: ledger.records,
            records_of_unlisted_cameras: ledger.cameras_left_out,
            not_understood: ledger.not_understood,
            from,
            to,
            since: since.map(|it| it.to_string()),
            until: until.map(|it| it.to_string()),
            deleted_lines,
            verified: damage.is_none(),
            damage,
            checkpoint: latest.note.clone(),
        };
        let regards = stored_regards(loaded);
        ledger.attempts.enrol(&build::sources_of_cameras(&loaded.inventory, regards.as_ref()));
        Ok((build::report(loaded, regards.as_ref(), log, &ledger, now), latest))
    }
}

/// Verifies a log that may be written meanwhile: what is being written or deleted looks like damage for a moment, and
/// otherwise the next.
fn verified(dir: &Path) -> Result<audit::Report, VerifyError> {
    let mut before = None;
    loop {
        match audit::verify(dir, None, None) {
            Err(VerifyError::Damaged(damage)) if before.as_ref() != Some(&damage) => before = Some(damage),
            done => return done,
        }
    }
}

fn verify(report: &Path, note: &Path, public_key: &Path, out: &mut dyn Write) -> Result<(), ReportError> {
    let read =
        |path: &Path| fs::read(path).map_err(|source| ReportError::File { path: path.to_owned(), source });
    let text = |path: &Path| read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let key = PublicKey::parse(text(public_key)?.trim_end())
        .map_err(|source| ReportError::PublicKey { path: public_key.to_owned(), source })?;
    let lines = sign::check(&read(report)?, &text(note)?, &key)?;
    writeln!(
        out,
        "report verified: made by the gateway whose log is {}, of its first {lines} lines",
        key.name()
    )?;
    Ok(())
}

/// The file of a report's signature.
fn beside(report: &Path) -> PathBuf {
    let mut name = report.as_os_str().to_owned();
    name.push(".note");
    PathBuf::from(name)
}

fn write(path: &Path, text: &str) -> Result<(), ReportError> {
    super::files::replace(path, text.as_bytes())
        .map_err(|source| ReportError::File { path: path.to_owned(), source })
}
