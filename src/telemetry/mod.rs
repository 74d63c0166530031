//! Logging and metrics. Log lines carry the request id; secrets and camera text never reach them, nor any label.

mod count;
mod exposition;
mod media;
mod metrics;
mod process;

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt::writer::MakeWriterExt};

pub use self::{
    count::Word,
    exposition::{AuditReadings, CONTENT_TYPE, Readings, render},
    media::{Delivered, Disorder, Encoding, EventReadings, MediaMeter, Packet, Sent, ViewerMeter, Watching},
    metrics::{
        Budget, CameraHealth, CameraMeter, Decided, Ended, Metrics, Noticed, Reloaded, RetentionStopped,
        Searched, Tally, ZoneCounts,
    },
};

/// How much is logged if `CORDON_LOG` does not say.
const DEFAULT_FILTER: &str = "info";

/// The variable that says what is logged, in the syntax of `tracing_subscriber::EnvFilter`.
pub const FILTER_VARIABLE: &str = "CORDON_LOG";

/// Sends log lines to standard error from now on. Called once, by the command line.
///
/// Lines are text for people, or JSON objects where `json` is set.
pub fn init(json: bool) {
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let writer = std::io::stderr.with_max_level(tracing::Level::TRACE);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    let lines = lines.with_ansi(std::io::stderr().is_terminal());
    let outcome = if json { lines.json().try_init() } else { lines.compact().try_init() };
    if let Err(error) = outcome {
        tracing::debug!(%error, "logging was already set up");
    }
}
