//! `cordon check`: says whether a configuration can be served, or everything that is wrong with it.

use std::{
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use jiff::{civil::Date, tz::TimeZone};

use super::configuration::Configuration;
use crate::{
    clock::{Clock, SystemClock},
    config::Loaded,
    policy::Summary,
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
    let today = SystemClock::new().now().to_zoned(TimeZone::UTC).date();
    match check(args, &env, today, &mut io::stdout().lock(), &mut io::stderr().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        // Nobody reads what is said; the exit code still says it.
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// The answer goes to `out`, errors go to `err`.
fn check(
    args: &Args,
    env: &dyn Fn(&str) -> Option<String>,
    today: Date,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<bool> {
    let tables = match Tables::embedded() {
        Ok(tables) => tables,
        Err(error) => {
            writeln!(err, "error: the interface tables cannot be loaded: {error}")?;
            return Ok(false);
        }
    };
    let found = Configuration::read(&args.config, env)
        .and_then(|configuration| Ok((configuration.engine(&tables)?.summary(), configuration)));
    match found {
        Ok((policies, configuration)) => {
            tell(&configuration.loaded, &policies, today, out)?;
            Ok(true)
        }
        Err(wrong) => {
            writeln!(err, "{wrong}\n")?;
            Ok(false)
        }
    }
}

fn tell(loaded: &Loaded, policies: &Summary, today: Date, out: &mut dyn Write) -> io::Result<()> {
    for warning in &loaded.warnings {
        writeln!(out, "{}\n", warning.render())?;
    }
    for operation in &policies.unclassified {
        writeln!(out, "warning: `{operation}` has no row in the overlay and is always refused")?;
    }
    if let Some(old) = loaded.inventory.vendors().macs().age_warning(today) {
        writeln!(out, "warning: {old}\n")?;
    }
    if shares_disk(&loaded.audit_dir, &loaded.emergency_journal) {
        writeln!(
            out,
            "warning: the emergency journal `{}` is on the disk of the audit log: when that is full or broken, no \
             movement of a camera can be stopped either; name a file on another as `emergency_journal` under [audit]\n",
            loaded.emergency_journal.display()
        )?;
    }
    writeln!(out, "configuration OK\n")?;
    for camera in loaded.inventory.cameras() {
        let vendor = &camera.vendor;
        writeln!(
            out,
            "camera {}: {} ({}) in zone {}, dialled at {}{}, served at {}{}{}",
            camera.id,
            vendor.name,
            vendor.class,
            camera.zone,
            camera.address,
            if camera.certificates.is_some() { " over TLS" } else { "" },
            camera.advertise,
            camera.mount,
            camera.secure.as_ref().map_or_else(String::new, |it| format!(", over TLS at {}", it.advertise)),
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

/// Whether two paths are on one file system, as far as that can be told of what is there of them.
fn shares_disk(one: &Path, other: &Path) -> bool {
    let disk = |path: &Path| path.ancestors().find_map(|it| std::fs::metadata(it).ok()).map(|it| it.dev());
    disk(one).is_some_and(|it| disk(other) == Some(it))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// What is said of the example with a change in it, and with these policies if any.
    fn said(change: (&str, &str), policy: Option<&str>) -> (bool, String, String) {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["secrets", "policies"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        for name in ["gate", "lobby", "vms", "security-office", "reception"] {
            let path = dir.path().join("secrets").join(name);
            fs::write(&path, "secret").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let mut text = include_str!("../../config/cordon.example.toml").replacen(change.0, change.1, 1);
        if let Some(policy) = policy {
            fs::write(dir.path().join("policies/mine.cedar"), policy).unwrap();
            text = text.replace("# [policy]", "[policy]").replace("# dir = \"policies", "dir = \"policies");
        }
        let config = dir.path().join("cordon.toml");
        fs::write(&config, text).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        // When the table that is shipped has been old for long.
        let today = jiff::civil::date(2036, 11, 26);
        let fine = check(&Args { config }, &|_| None, today, &mut out, &mut err).unwrap();
        (fine, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn the_example_is_ok_and_summed_up() {
        let (fine, out, err) = said(("", ""), None);
        assert_eq!((fine, err.as_str()), (true, ""));
        for line in [
            "warning: the table of MAC prefixes is ",
            "configuration OK\n",
            "camera gate: hikvision (restricted) in zone restricted, dialled at 192.0.2.10:80, served at 127.0.0.1:8081\n",
            "zone trusted: isolation namespace\n",
            "client reception: User\n",
        ] {
            assert!(out.contains(line), "{line}\n{out}");
        }
    }

    #[test]
    fn a_journal_on_the_disk_of_the_log_is_told() {
        let there = tempfile::tempdir().unwrap();
        let journal = |path: &Path| format!("emergency_journal = \"{}\"", path.display());
        let line = include_str!("../../config/cordon.example.toml");
        let line = line.lines().find_map(|it| it.strip_prefix("# emergency_journal")).unwrap();
        let line = format!("# emergency_journal{line}");
        // The log of the example is not made yet; proc(5) is a file system of its own.
        for (path, told) in [(there.path().join("journal"), true), (PathBuf::from("/proc/journal"), false)] {
            let (fine, out, err) = said((&line, &journal(&path)), None);
            assert!(fine, "{err}");
            assert_eq!(out.contains("is on the disk of the audit log"), told, "{out}");
        }
    }

    #[test]
    fn a_wrong_configuration_is_not_ok() {
        let (fine, out, err) = said(("role = \"Operator\"", "role = \"Boss\""), None);
        assert_eq!((fine, out.as_str()), (false, ""));
        assert!(err.contains("error: `Boss` is no role") && err.contains("= help: write"), "{err}");
    }

    #[test]
    fn a_wrong_policy_is_shown_with_its_line() {
        let (fine, out, err) = said(("", ""), Some("permit (principal,\n  action == Nothing, resource);"));
        assert_eq!((fine, out.as_str()), (false, ""));
        assert!(err.contains("mine.cedar:2") && err.contains("2 |   action == Nothing"), "{err}");
    }
}
