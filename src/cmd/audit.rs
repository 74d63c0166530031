//! `cordon audit verify|tail`: the log for auditors, without the gateway.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use crate::audit::{Renderer, Tail, verify};

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
