//! Subcommands, wiring, signals, exit codes.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what commands say is what they are for")]

mod admin_client;
mod audit;
mod audit_export;
mod audit_hold;
mod audit_search;
mod baseline;
mod broker;
mod calls;
mod camera;
mod candidates;
mod certificates;
mod check;
mod columns;
mod configuration;
mod confine;
mod core_leg;
mod demo;
mod discovery;
mod enrol;
mod files;
mod fleet;
pub mod gateway;
mod isolate;
mod identify;
mod locators;
mod lookout;
mod netd;
mod open_files;
mod pins;
mod plain;
mod policy;
mod policy_replay;
mod privileges;
#[cfg(feature = "prove")]
mod prove;
mod ready;
mod regards;
pub mod reload;
mod report;
mod run;
mod search;
pub mod schema;
mod serving;
mod serving_thread;
mod settling;
mod sinks;
mod showcase;
mod subscriptions;
mod tripwire;
mod trust;
mod vendors;
mod watcher;
mod zones;

use std::{error::Error, io, path::Path, process::ExitCode};

use clap::{Parser, Subcommand};
use jiff::tz::TimeZone;

use configuration::Configuration;
use confine::Confinement;

use crate::{
    alarm,
    clock::{Clock, SystemClock},
    config::{self, Diagnostic, Loaded},
    schema::Tables,
    telemetry,
};

/// ONVIF camera management gateway: isolates restricted cameras and records every command.
///
/// Point the VMS at Cordon instead of at the cameras. `cordon demo` shows it all on one machine.
#[derive(Debug, Parser)]
#[command(name = "cordon", version, arg_required_else_help = true)]
struct Cli {
    /// Write log lines as JSON objects. What is logged says the variable CORDON_LOG (default: info).
    #[arg(long, global = true)]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a complete gateway with simulated cameras, on loopback, and say what to do next.
    Demo(demo::Args),
    /// Serve the cameras of a configuration.
    Run(run::Args),
    /// Have the gateway that runs take up what its files say now, on trial if you like.
    Reload(reload::Args),
    /// Say whether a configuration can be served, or everything that is wrong with it.
    Check(check::Args),
    /// Verify, show, search, prove from or export the audit log.
    Audit(audit::Args),
    /// Print what restricted cameras there are, how they are kept apart and what they tried, signed.
    Report(report::Args),
    /// Check policies, or explain what they decide.
    Policy(policy::Arguments),
    /// Show the cameras and how they stand, or say why one does not work.
    #[command(subcommand)]
    Camera(camera::Args),
    /// Show the certificates that cameras are known by, or forget one.
    Pins(pins::Args),
    /// Print the catalogue of alarms: what each means and what to do.
    Alarms,
    /// Show the makers that are known and what is held against them, or renew their MAC prefixes.
    Vendors(vendors::Args),
    /// Keep zones apart: plan, apply, check or remove their network namespaces and rules.
    #[command(subcommand)]
    Isolate(isolate::Args),
    /// The small privileged process that keeps zones apart and makes sockets in them.
    Netd(netd::Args),
    /// Make the interface tables anew from the official files.
    #[command(subcommand)]
    Schema(Schema),
}

#[derive(Debug, Subcommand)]
enum Schema {
    /// Write the WSDL and XSD files that the gateway carries, interface facts only.
    Distil(schema::DistilArgs),
}

/// Runs the command line. Exit codes: 0 fine, 1 failed, 2 usage.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::init(cli.log_json);
    match cli.command {
        Command::Demo(args) => told(demo::run(&args)),
        Command::Run(args) => run(&args),
        Command::Reload(args) => told(reload::run(&args, &mut io::stdout().lock())),
        Command::Check(args) => check::run(&args),
        Command::Audit(args) => audit::run(&args, &mut io::stdout().lock(), &mut io::stderr().lock()),
        Command::Report(args) => report(&args),
        Command::Policy(args) => judge(&args),
        Command::Camera(args) => match load(args.config()) {
            Some(loaded) => match args.run(&loaded, &mut io::stdout().lock()) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::FAILURE,
                Err(error) => told(Err(error)),
            },
            None => ExitCode::FAILURE,
        },
        Command::Pins(args) => match load(&args.config) {
            Some(loaded) => told(pins::run(&args, &loaded, &mut io::stdout().lock())),
            None => ExitCode::FAILURE,
        },
        Command::Alarms => {
            print!("{}", alarm::markdown());
            ExitCode::SUCCESS
        }
        Command::Vendors(args) => makers(&args),
        Command::Isolate(args) => match shown(config::load_without_secrets(args.config())) {
            Some(loaded) => {
                told(isolate::run(&args, &loaded, &mut io::stdout().lock(), &mut io::stderr().lock()))
            }
            None => ExitCode::FAILURE,
        },
        // What has privileges has no passwords.
        Command::Netd(args) => match shown(config::load_without_secrets(&args.config)) {
            Some(loaded) => told(netd::run(&args, &loaded)),
            None => ExitCode::FAILURE,
        },
        Command::Schema(Schema::Distil(args)) => {
            told(schema::run(&args).map(|files| println!("{files} files written")))
        }
    }
}

/// Loads a configuration, or prints every error it has.
fn load(path: &Path) -> Option<Loaded> {
    shown(config::load(path, &|name| std::env::var(name).ok()))
}

/// A configuration; or its errors are printed.
fn shown(loaded: Result<Loaded, Vec<Diagnostic>>) -> Option<Loaded> {
    match loaded {
        Ok(loaded) => Some(loaded),
        Err(diagnostics) => {
            for diagnostic in diagnostics {
                eprintln!("{}", diagnostic.render());
            }
            None
        }
    }
}

fn makers(args: &vendors::Args) -> ExitCode {
    let table = match &args.config {
        Some(config) => match load(config) {
            Some(loaded) => {
                Ok(vendors::Table { vendors: loaded.inventory.vendors().clone(), dir: loaded.vendors_dir })
            }
            None => return ExitCode::FAILURE,
        },
        None => vendors::Table::shipped(),
    };
    told(table.and_then(|table| vendors::run(args, &table, &mut io::stdout().lock())))
}

fn report(args: &report::Args) -> ExitCode {
    let loaded = match args.config().map(load) {
        Some(None) => return ExitCode::FAILURE,
        Some(loaded) => loaded,
        None => None,
    };
    let clock = SystemClock::new();
    told(args.run(loaded.as_ref(), &clock, &mut io::stdout().lock(), &mut io::stderr().lock()))
}

fn judge(args: &policy::Arguments) -> ExitCode {
    let Some(loaded) = load(args.config()) else { return ExitCode::FAILURE };
    let tables = match Tables::embedded() {
        Ok(tables) => tables,
        Err(error) => return told(Err(error)),
    };
    let Configuration { loaded, policies } = match Configuration::with_policies(loaded) {
        Ok(configuration) => configuration,
        Err(wrong) => return told(Err(wrong)),
    };
    told(args.run(&tables, &policies, &loaded, &SystemClock::new(), &mut io::stdout().lock()))
}

fn run(args: &run::Args) -> ExitCode {
    let Some(loaded) = load(&args.config) else { return ExitCode::FAILURE };
    for warning in &loaded.warnings {
        tracing::warn!("{}: {}", warning.message, warning.remedy);
    }
    let today = SystemClock::new().now().to_zoned(TimeZone::UTC).date();
    if let Some(old) = loaded.inventory.vendors().macs().age_warning(today) {
        tracing::warn!("{old}");
    }
    if let Err(error) = privileges::drop_privileges() {
        eprintln!("cordon: the powers of root cannot be given up: {error}");
        return ExitCode::FAILURE;
    }
    let description = ready::Description::of(&loaded, args.config.clone());
    let mut source = reload::Source::of(&args.config);
    if loaded.confine {
        let confinement = Confinement::of(&loaded, &args.config, args.ready_file.as_deref());
        match confinement.enforce() {
            Ok(status) => tracing::info!("{}", confinement.told(status)),
            Err(error) => return told(Err(error)),
        }
        match calls::limit() {
            Ok(how) => tracing::info!("{how}"),
            Err(error) => return told(Err(error)),
        }
        source.confinement = Some(confinement);
    }
    told(run::serve(loaded, source, |gateway, admin| match &args.ready_file {
        Some(file) => description.write(file, gateway, admin),
        None => Ok(()),
    }))
}

/// Prints an error with everything behind it, and turns it into an exit code.
fn told<E: Error>(outcome: Result<(), E>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    eprintln!("cordon: {error}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        eprintln!("  because: {inner}");
        cause = inner.source();
    }
    ExitCode::FAILURE
}
