//! The machine itself: looks with `ip` and `nft`, changes with them, and works inside namespaces.
//!
//! No shell is used, and nothing a camera sent reaches a command line: names come from the configuration, addresses
//! from the kernel.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    os::{fd::AsRawFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::Deserialize;
use serde_json::Value;

use super::{
    desired::{Desired, Sysctl},
    found::{self, Found, FoundNeighbour, FoundZone},
    plan::Step,
    ruleset::Ruleset,
    show::HOME,
};
use crate::limits::{NET_TOOL_ANSWER_BYTES_MAX, NET_TOOL_TIME_MAX};

/// Why a look or a step failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum NetError {
    #[error("`{tool}` is not installed: install Debian's package {package}")]
    NoTool { tool: String, package: &'static str },
    #[error("`{tool}` cannot be run: {error}")]
    Run { tool: String, error: io::Error },
    #[error("`{command}` failed: {said}{hint}")]
    Failed { command: String, said: String, hint: &'static str },
    #[error("`{command}` did not end within {} s and was stopped", NET_TOOL_TIME_MAX.as_secs())]
    TimedOut { command: String },
    #[error(
        "`{command}` said something that cannot be read: {why}; iproute2 5 and nftables 1.0 or newer are needed"
    )]
    Unreadable { command: String, why: String },
    #[error("namespace `{name}` cannot be entered: {error}; this needs root")]
    Namespace { name: String, error: io::Error },
    #[error("setting `{path}` cannot be changed: {error}")]
    Setting { path: String, error: io::Error },
    #[error("a thread of netd cannot be started: {0}")]
    Thread(io::Error),
    #[error("a thread of netd panicked")]
    Panicked,
    #[error(
        "its rules are loaded anew again and again, faster than what they count can be read: see who changes them"
    )]
    Unsteady,
}

/// What there is, as far as a zone is concerned.
pub(super) fn look(desired: &Desired) -> Result<Found, NetError> {
    let settings: Vec<_> = desired.settings().into_iter().chain(desired.interface_settings()).collect();
    let zone = look_inside(&desired.namespace(), &settings)?;
    let trunk = desired.trunk().map(|name| look_inside(&name, &[])).transpose()?.flatten();
    let home = FoundZone { links: links()?, routes: routes()?, ..FoundZone::default() };
    // The kernel numbers a namespace when it first tells of an interface that leads there.
    let leads_away = home.links.iter().any(|it| it.link_netnsid.is_some());
    let namespaces = if leads_away { ask(&["ip", "-json", "netns", "list"])? } else { Vec::new() };
    Ok(Found { home, zone, trunk, namespaces, without_ipv6: without_ipv6() })
}

/// A hold on a namespace: it does not end while somebody has one.
pub(super) fn hold(namespace: &str) -> Result<File, NetError> {
    File::open(path_of(namespace)).map_err(|error| NetError::Namespace { name: namespace.to_owned(), error })
}

/// Gives a namespace that is held the name that was taken from it (as `ip netns attach` does).
pub(super) fn name_again(namespace: &str, held: &File) -> Result<(), NetError> {
    let failed = |error| NetError::Namespace { name: namespace.to_owned(), error };
    let path = path_of(namespace);
    File::options().write(true).create_new(true).open(&path).map_err(failed)?;
    let of_process = format!("/proc/self/fd/{}", held.as_raw_fd());
    rustix::mount::mount_bind(&of_process, &path).map_err(|error| {
        // What is no namespace must not have the name of one.
        let _ = fs::remove_file(&path);
        failed(error.into())
    })
}

/// Whether a namespace is there.
pub(super) fn exists(namespace: &str) -> bool {
    path_of(namespace).exists()
}

/// What tells a namespace from any other that has, had or will have its name: its number, which the next may get, and
/// when the kernel made the file that stands for it, which is there as long as the name or a hold is.
pub(super) fn made(namespace: &str) -> Result<[u64; 3], NetError> {
    let failed = |error| NetError::Namespace { name: namespace.to_owned(), error };
    let it = fs::metadata(path_of(namespace)).map_err(failed)?;
    Ok([it.ino(), it.ctime().cast_unsigned(), it.ctime_nsec().cast_unsigned()])
}

/// The other namespaces in which an interface of this name is.
pub(super) fn whereabouts(interface: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(NAMESPACES) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let holds = |name: &String| {
        let found = inside(name, links).and_then(|found| found);
        found.is_ok_and(|links| links.iter().any(|it| it.ifname == interface))
    };
    names.filter(|name| name.starts_with("cordon-")).filter(holds).collect()
}

fn look_inside(namespace: &str, settings: &[Sysctl]) -> Result<Option<FoundZone>, NetError> {
    if !exists(namespace) {
        return Ok(None);
    }
    inside(namespace, || {
        Ok(Some(FoundZone {
            links: links()?,
            routes: both_families(&["route", "show", "table", "all"])?,
            rules: both_families(&["rule", "show"])?,
            qdiscs: ask(&["tc", "-json", "qdisc", "show"])?,
            settings: read_settings(settings),
            neighbours: ask(&["ip", "-json", "neighbour", "show", "nud", "permanent"])?,
            ruleset: Some(ruleset()?),
        }))
    })?
}

fn links() -> Result<Vec<found::Link>, NetError> {
    ask(&["ip", "-json", "-details", "address", "show"])
}

fn routes() -> Result<Vec<found::FoundRoute>, NetError> {
    both_families(&["route", "show"])
}

/// What `ip` says of IPv4, and of IPv6 where the kernel has it.
fn both_families<T: for<'de> Deserialize<'de>>(words: &[&str]) -> Result<Vec<T>, NetError> {
    let mut said = ask(&[&["ip", "-json", "-4"], words].concat())?;
    if !without_ipv6() {
        said.extend(ask(&[&["ip", "-json", "-6"], words].concat())?);
    }
    Ok(said)
}

/// Whether the kernel was started with `ipv6.disable=1`.
fn without_ipv6() -> bool {
    !sysctl("net/ipv6").exists()
}

fn ruleset() -> Result<Ruleset, NetError> {
    // Without the elements of sets: there may be very many.
    let command = ["nft", "-j", "-t", "list", "ruleset"];
    let answer = run(&command.map(str::to_owned), b"")?;
    let unreadable = |why: String| NetError::Unreadable { command: command.join(" "), why };
    let answer: Value = serde_json::from_slice(&answer).map_err(|error| unreadable(error.to_string()))?;
    Ruleset::listed(&answer).map_err(|error| unreadable(error.to_owned()))
}

fn read_settings(wanted: &[Sysctl]) -> BTreeMap<String, String> {
    let read =
        |it: &Sysctl| Some((it.path.clone(), fs::read_to_string(sysctl(&it.path)).ok()?.trim().to_owned()));
    wanted.iter().filter_map(read).collect()
}

/// Who is in a zone, as its neighbour table has it.
pub(super) fn neighbours(namespace: &str) -> Result<Vec<FoundNeighbour>, NetError> {
    inside(namespace, || ask(&["ip", "-json", "neighbour", "show"]))?
}

/// What `nft -j` lists of a namespace, asked in these words.
pub(super) fn listed(namespace: &str, words: &[&str]) -> Result<Value, NetError> {
    inside(namespace, || listed_here(words))?
}

/// What `nft -j` lists of the namespace of whoever asks.
pub(super) fn listed_here(words: &[&str]) -> Result<Value, NetError> {
    let command = [&["nft", "-j"], words].concat();
    let words: Vec<_> = command.iter().map(|it| (*it).to_owned()).collect();
    serde_json::from_slice(&run(&words, b"")?)
        .map_err(|error| NetError::Unreadable { command: command.join(" "), why: error.to_string() })
}

/// Gives `nft` commands for the namespace of whoever asks.
pub(super) fn load_here(commands: &Value) -> Result<(), NetError> {
    let command = ["nft", "-j", "-f", "-"].map(str::to_owned);
    run(&command, commands.to_string().as_bytes()).map(|_| ())
}

/// The interfaces of the namespace of whoever asks.
pub(super) fn links_here() -> Result<Vec<found::Link>, NetError> {
    links()
}

/// Does a step.
pub(super) fn perform(step: &Step) -> Result<(), NetError> {
    match step {
        Step::Set { namespace, setting } => inside(namespace, || {
            fs::write(sysctl(&setting.path), setting.value)
                .map_err(|error| NetError::Setting { path: setting.path.clone(), error })
        })?,
        Step::Load { namespace, rules } => {
            let commands = rules.commands().to_string();
            let command = ["nft", "-j", "-f", "-"].map(str::to_owned);
            inside(namespace, || run(&command, commands.as_bytes()))??;
            Ok(())
        }
        Step::LoadResidents { namespace, rules } => {
            let commands = rules.resident_commands().to_string();
            let command = ["nft", "-j", "-f", "-"].map(str::to_owned);
            inside(namespace, || run(&command, commands.as_bytes()))??;
            Ok(())
        }
        Step::Hold { link, held, free, .. } => {
            let held = held.iter().map(|it| {
                format!("neighbour replace {} lladdr {} nud permanent dev {link}\n", it.address, it.mac)
            });
            let free = free.iter().map(|it| format!("neighbour delete {it} dev {link}\n"));
            run(&step.command(), free.chain(held).collect::<String>().as_bytes()).map(|_| ())
        }
        Step::AddNamespace { .. }
        | Step::DeleteNamespace { .. }
        | Step::Down { .. }
        | Step::Up { .. }
        | Step::Move { .. }
        | Step::Release { .. }
        | Step::AddVlan { .. }
        | Step::DeleteLink { .. }
        | Step::AddAddress { .. }
        | Step::DeleteAddress { .. }
        | Step::AddRoute { .. }
        | Step::DeleteRoute { .. }
        | Step::DeleteRule { .. }
        | Step::DeleteQdisc { .. }
        | Step::DetachProgram { .. } => {
            let home = std::process::id().to_string();
            let command =
                step.command().into_iter().map(|word| if word == HOME { home.clone() } else { word });
            run(&command.collect::<Vec<_>>(), b"").map(|_| ())
        }
    }
}

/// Does something on a thread in a namespace: what it runs, opens or reads is that namespace's.
pub(super) fn inside<T: Send>(namespace: &str, what: impl FnOnce() -> T + Send) -> Result<T, NetError> {
    let failed = |error| NetError::Namespace { name: namespace.to_owned(), error };
    let handle = File::open(path_of(namespace)).map_err(failed)?;
    std::thread::scope(|scope| {
        let work = || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&handle), kind).map_err(io::Error::from)?;
            Ok(what())
        };
        let thread = std::thread::Builder::new()
            .name("in-zone".into())
            .spawn_scoped(scope, work)
            .map_err(NetError::Thread)?;
        thread.join().map_err(|_| NetError::Panicked)?.map_err(failed)
    })
}

/// Whether this is a virtual machine, as its processor says.
pub(super) fn is_virtual_machine() -> bool {
    let Ok(file) = File::open("/proc/cpuinfo") else { return false };
    let mut text = String::new();
    let read = file.take(CPUINFO_BYTES).read_to_string(&mut text);
    read.is_ok() && text.lines().any(|line| line.starts_with("flags") && line.contains(" hypervisor"))
}

const CPUINFO_BYTES: u64 = 16_384;
const NAMESPACES: &str = "/run/netns";

fn path_of(namespace: &str) -> PathBuf {
    Path::new(NAMESPACES).join(namespace)
}

fn sysctl(path: &str) -> PathBuf {
    Path::new("/proc/sys").join(path)
}

fn ask<T: for<'de> Deserialize<'de>>(command: &[&str]) -> Result<Vec<T>, NetError> {
    let words: Vec<_> = command.iter().map(|it| (*it).to_owned()).collect();
    let answer = run(&words, b"")?;
    found::read(&answer)
        .map_err(|error| NetError::Unreadable { command: command.join(" "), why: error.to_string() })
}

/// Runs a tool to its end and gives what it said.
fn run(command: &[String], input: &[u8]) -> Result<Vec<u8>, NetError> {
    let Some((tool, arguments)) = command.split_first() else { return Ok(Vec::new()) };
    let package = if tool == "nft" { "nftables" } else { "iproute2" };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => NetError::NoTool { tool: tool.clone(), package },
        _ => NetError::Run { tool: tool.clone(), error },
    };
    let mut process = Command::new(tool);
    process.args(arguments).env("LC_ALL", "C");
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process.spawn().map_err(failed)?;
    let (input, output, errors) =
        (feed(child.stdin.take(), input), hear(child.stdout.take()), hear(child.stderr.take()));
    let (Ok(()), Ok(output), Ok(errors)) = (input, output, errors) else {
        stop(&mut child);
        return Err(NetError::Thread(io::ErrorKind::OutOfMemory.into()));
    };
    let (Ok(said), Ok(wrong)) =
        (output.recv_timeout(NET_TOOL_TIME_MAX), errors.recv_timeout(NET_TOOL_TIME_MAX))
    else {
        stop(&mut child);
        return Err(NetError::TimedOut { command: command.join(" ") });
    };
    let status = child.wait().map_err(failed)?;
    if status.success() {
        return Ok(said);
    }
    let wrong = if wrong.trim_ascii().is_empty() { said } else { wrong };
    let said: String = String::from_utf8_lossy(&wrong).trim().chars().take(SAID_CHARS_MAX).collect();
    let hint = if tool == "nft" { "; nftables 1.0 and Linux 5.16 or newer are needed" } else { "" };
    Err(NetError::Failed { command: command.join(" "), said, hint })
}

/// How much of an error of a tool is told.
const SAID_CHARS_MAX: usize = 600;

fn stop(child: &mut Child) {
    // It may have ended by itself just now.
    let _ = child.kill();
    let _ = child.wait();
}

/// Gives a tool its input without waiting for it.
fn feed(pipe: Option<ChildStdin>, input: &[u8]) -> io::Result<()> {
    let (Some(mut pipe), input) = (pipe, input.to_vec()) else { return Ok(()) };
    // A tool that does not read says why on its other pipes.
    let feeding = move || drop(pipe.write_all(&input));
    std::thread::Builder::new().name("net-tool-input".into()).spawn(feeding).map(|_| ())
}

/// Hears a tool out on a thread of its own, so that one that hangs can be given up.
fn hear(pipe: Option<impl Read + Send + 'static>) -> io::Result<mpsc::Receiver<Vec<u8>>> {
    let (told, heard) = mpsc::channel();
    let hearing = move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe
            && pipe.take(NET_TOOL_ANSWER_BYTES_MAX as u64).read_to_end(&mut bytes).is_ok()
        {
            // Nobody listens any more if it took too long.
            let _ = told.send(bytes);
        }
    };
    std::thread::Builder::new().name("net-tool-output".into()).spawn(hearing).map(|_| heard)
}
