//! `cordon reload`: has the gateway that runs take up what its files say now.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    control::{Asked, Control},
    thread::{Answer, Wish},
};
use crate::{
    config::Outline,
    limits::{CONTROL_ANSWER_BYTES_MAX, CONTROL_REPLY_TIME_MAX, RELOAD_TRIAL_TIME_MAX},
};

/// Options of `cordon reload`.
#[derive(Debug, clap::Args)]
pub(in crate::cmd) struct Args {
    /// The configuration that the gateway runs with.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Take it up on trial: it is given up again unless it is kept within this time, as `10m`.
    #[arg(long, value_name = "TIME", value_parser = trial_time)]
    confirm: Option<Duration>,
    /// Keep the configuration that is on trial.
    #[arg(long, conflicts_with_all = ["confirm", "dry_run"])]
    keep: bool,
    /// Only say what would change, and who would lose what.
    #[arg(long, conflicts_with = "confirm")]
    dry_run: bool,
}

/// Why the gateway did not do it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub(in crate::cmd) enum ReloadCommandError {
    #[error(
        "no gateway answers at {path}: {source}; it must run with this configuration, as this user or for root"
    )]
    Unreachable { path: PathBuf, source: io::Error },
    #[error("the gateway did not do it:\n{0}")]
    Refused(String),
    #[error("the answer cannot be shown: {0}")]
    Output(io::Error),
}

/// Asks, and shows what becomes of it.
pub(in crate::cmd) fn run(args: &Args, out: &mut dyn Write) -> Result<(), ReloadCommandError> {
    let wish = match (args.keep, args.dry_run) {
        (true, _) => Wish::Keep,
        (_, true) => Wish::Preview,
        _ => Wish::Reload { trial_seconds: args.confirm.map(|time| time.as_secs()) },
    };
    let text = carry_out(&args.config, wish)?;
    out.write_all(text.as_bytes()).map_err(ReloadCommandError::Output)
}

/// Has the gateway that runs with a configuration do something, and gives what it says.
pub(in crate::cmd) fn carry_out(config: &Path, wish: impl Into<Asked>) -> Result<String, ReloadCommandError> {
    let state_dir = Outline::of(config, &|name| std::env::var(name).ok()).state_dir;
    let path = Control::path(&state_dir);
    let answer =
        ask(&path, &wish.into()).map_err(|source| ReloadCommandError::Unreachable { path, source })?;
    if answer.done { Ok(answer.text) } else { Err(ReloadCommandError::Refused(answer.text)) }
}

fn ask(path: &Path, wish: &Asked) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(CONTROL_REPLY_TIME_MAX))?;
    let mut line = serde_json::to_vec(wish)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(CONTROL_ANSWER_BYTES_MAX)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

/// `90s`, `10m`, `1h`.
fn trial_time(text: &str) -> Result<Duration, String> {
    let time: jiff::SignedDuration = text.parse().map_err(|_| "write it as 90s, 10m or 1h".to_owned())?;
    let time = Duration::try_from(time).map_err(|_| "it must not be negative".to_owned())?;
    if time < Duration::from_secs(1) || time > RELOAD_TRIAL_TIME_MAX {
        return Err(format!("give 1s to {}h", RELOAD_TRIAL_TIME_MAX.as_secs() / 3_600));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_lasts_from_a_second_to_a_day() {
        for (text, seconds) in [("1s", 1), ("90s", 90), ("10m", 600), ("1h 30m", 5_400), ("24h", 86_400)] {
            assert_eq!(trial_time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["0s", "25h", "-1m", "10", "soon", ""] {
            assert!(trial_time(text).is_err(), "{text}");
        }
    }
}
