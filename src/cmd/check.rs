//! `cordon check`: says whether a configuration can be served, or everything that is wrong with it.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use super::gateway;
use crate::{
    config::{self, Loaded},
    policy::{Engine, Summary},
    schema::Tables,
};

/// Options of `cordon check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration to check.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Checks a configuration with its policies. Nothing is started, written or dialled.
pub fn run(args: &Args) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    match check(args, &env, &mut io::stdout().lock(), &mut io::stderr().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        // Nobody reads what is said; the exit code still says it.
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// The answer goes to `out`, errors go to `err`.
fn check(
    args: &Args,
    env: &dyn Fn(&str) -> Option<String>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<bool> {
    let loaded = match config::load(&args.config, env) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            for diagnostic in &diagnostics {
                writeln!(err, "{}\n", diagnostic.render())?;
            }
            return Ok(false);
        }
    };
    let tables = match Tables::embedded() {
        Ok(tables) => tables,
        Err(error) => {
            writeln!(err, "error: the interface tables cannot be loaded: {error}")?;
            return Ok(false);
        }
    };
    let texts = match gateway::policy_texts(&loaded) {
        Ok(texts) => texts,
        Err(error) => {
            writeln!(err, "error: {error}")?;
            return Ok(false);
        }
    };
    match Engine::load(&tables, &texts, &loaded.inventory, &loaded.clients) {
        Ok(engine) => tell(&loaded, &engine.summary(), out)?,
        Err(error) => {
            writeln!(err, "error: the policies cannot be used\n{error}")?;
            return Ok(false);
        }
    }
    Ok(true)
}

fn tell(loaded: &Loaded, policies: &Summary, out: &mut dyn Write) -> io::Result<()> {
    for warning in &loaded.warnings {
        writeln!(out, "{}\n", warning.render())?;
    }
    for operation in &policies.unclassified {
        writeln!(out, "warning: `{operation}` has no row in the overlay and is always refused")?;
    }
    writeln!(out, "configuration OK\n")?;
    for camera in loaded.inventory.cameras() {
        let vendor = &camera.vendor;
        writeln!(
            out,
            "camera {}: {} ({}) in zone {}, dialled at {}, served at {}",
            camera.id, vendor.name, vendor.class, camera.zone, camera.address, camera.advertise
        )?;
    }
    for zone in loaded.inventory.zones() {
        writeln!(out, "zone {}: isolation {}", zone.id, zone.isolation.as_str())?;
    }
    for client in &loaded.clients {
        writeln!(out, "client {}: {}", client.id, client.role)?;
    }
    let origin = if loaded.policy_dir.is_some() { "your own" } else { "as shipped" };
    writeln!(out, "policies: {}, {origin}, version {}", policies.policies, policies.version)
}
