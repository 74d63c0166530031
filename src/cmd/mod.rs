//! Subcommands, wiring, signals, exit codes.

pub mod policy;

use std::process::ExitCode;

/// Runs the command line.
pub fn main() -> ExitCode {
    ExitCode::from(2)
}
