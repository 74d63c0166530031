//! `cordon audit …`: the log for auditors, without the gateway.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use super::{audit_export, audit_hold, audit_search};
use crate::{
    audit::{ProofError, Proven, Renderer, SearchError, Tail, check_proof, prove_growth, prove_line, verify},
    clock::SystemClock,
};

/// Arguments of `cordon audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands of `cordon audit`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check every line, sum and signature of a log; exits with 0 if all is well, 1 if not
    Verify {
        /// The log's folder
        dir: PathBuf,
        /// The public key, or a file that holds it [default: DIR/public.key]
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
        /// A checkpoint of this log that was kept elsewhere
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
    },
    /// Show the end of a log, readable
    Tail {
        /// The log's folder
        dir: PathBuf,
        /// How many lines
        #[arg(short = 'n', long, default_value_t = 20)]
        lines: usize,
        /// Go on with what is added
        #[arg(short, long)]
        follow: bool,
        /// Show lines as they are in the log
        #[arg(long)]
        json: bool,
    },
    /// Find records by time, camera, caller, operation, decision or kind
    Search(audit_search::Arguments),
    /// Carry signed records elsewhere, from where the last export ended
    Export(audit_export::Arguments),
    /// Exempt a span of time from deletion by retention, list such spans, or release one
    Hold(audit_hold::Arguments),
    /// Prove that a record is in the signed log (C2SP tlog-proof), or that the log only grew since a checkpoint
    #[command(group = clap::ArgGroup::new("what").required(true))]
    Prove {
        /// The log's folder
        dir: PathBuf,
        /// The record's number (`seq`)
        #[arg(long, value_name = "NUMBER", group = "what")]
        record: Option<u64>,
        /// An earlier checkpoint, that the log only grew since then
        #[arg(long, value_name = "FILE", group = "what")]
        from: Option<PathBuf>,
        /// The checkpoint to prove it against [default: the latest, DIR/checkpoint]
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// The public key, or a file that holds it [default: DIR/public.key]
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
    },
    /// Check a proof without the log; exits with 0 if it holds, 1 if not
    CheckProof {
        /// The proof
        proof: PathBuf,
        /// The public key, or a file that holds it
        #[arg(long, value_name = "FILE")]
        public_key: PathBuf,
        /// The record's line [default: the one within the proof]
        #[arg(long, value_name = "FILE")]
        line: Option<PathBuf>,
        /// The earlier checkpoint, for a proof that the log only grew
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
}

/// Does what was asked, writing to the given places.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let result = match &args.command {
        Command::Verify { dir, public_key, checkpoint } => {
            match verify(dir, public_key.as_deref(), checkpoint.as_deref()) {
                Ok(report) => write!(out, "{report}"),
                // Nobody is left to tell if this cannot be written either: the exit code says it.
                Err(error) => return failed(err, &format!("audit log NOT verified: {error}")),
            }
        }
        Command::Tail { dir, lines, follow, json } => tail(dir, *lines, *follow, *json, out),
        Command::Search(arguments) => match arguments.run(&SystemClock::new(), out, err) {
            Ok(()) => Ok(()),
            Err(SearchError::Output(error)) => Err(error),
            Err(error) => return failed(err, &error.to_string()),
        },
        Command::Hold(arguments) => arguments.run(&SystemClock::new(), out),
        Command::Export(arguments) => match arguments.run(&SystemClock::new(), out, err) {
            Ok(()) => Ok(()),
            Err(error) => return failed(err, &error.to_string()),
        },
        Command::Prove { dir, record, from, checkpoint, public_key } => {
            match prove(dir, *record, from.as_deref(), checkpoint.as_deref(), public_key.as_deref()) {
                Ok(proof) => write!(out, "{proof}"),
                Err(error) => return failed(err, &format!("nothing proven: {error}")),
            }
        }
        Command::CheckProof { proof, public_key, line, from } => {
            match check_proof(proof, public_key, line.as_deref(), from.as_deref()) {
                Ok(proven) => show(&proven, out),
                Err(error) => return failed(err, &format!("proof NOT accepted: {error}")),
            }
        }
    };
    match result.and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader (a pager, `head`) has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => failed(err, &error.to_string()),
    }
}

fn failed(err: &mut dyn Write, what: &str) -> ExitCode {
    let _ = writeln!(err, "{what}");
    ExitCode::from(1)
}

fn prove(
    dir: &Path,
    record: Option<u64>,
    from: Option<&Path>,
    checkpoint: Option<&Path>,
    public_key: Option<&Path>,
) -> Result<String, ProofError> {
    match (record, from) {
        (Some(number), _) => prove_line(dir, number, public_key, checkpoint),
        (None, Some(from)) => prove_growth(dir, from, public_key, checkpoint),
        // The arguments' grammar requires one of them.
        (None, None) => Err(ProofError::Form("give --record or --from")),
    }
}

fn show(proven: &Proven, out: &mut dyn Write) -> io::Result<()> {
    match proven {
        Proven::Line { number, line, size } => {
            writeln!(out, "proof holds: record {number} is in the log as signed with {size} lines")?;
            writeln!(out, "  {}", Renderer::default().line(line))
        }
        Proven::Growth { old, new } => writeln!(
            out,
            "proof holds: the log as signed with {new} lines begins with the {old} of the earlier checkpoint"
        ),
    }
}

fn tail(dir: &Path, lines: usize, follow: bool, json: bool, out: &mut dyn Write) -> io::Result<()> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot read {}: {error}", dir.display()));
    let (mut tail, mut renderer) = (Tail::open(dir, lines).map_err(named)?, Renderer::default());
    loop {
        while let Some(line) = tail.next_line().map_err(named)? {
            if json {
                out.write_all(&line)?;
                out.write_all(b"\n")?;
            } else {
                writeln!(out, "{}", renderer.line(&line))?;
            }
        }
        out.flush()?;
        if !follow {
            return Ok(());
        }
        thread::sleep(FOLLOW_PAUSE);
    }
}

const FOLLOW_PAUSE: Duration = Duration::from_millis(250);

#[cfg(test)]
#[path = "tests/audit.rs"]
mod tests;
