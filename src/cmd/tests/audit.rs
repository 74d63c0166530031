//! The commands as an auditor gives them.

#[path = "audit_export.rs"]
mod export;

use std::{fs, path::Path, sync::Arc};

use clap::Parser;
use tempfile::TempDir;

use super::{Args, run};
use crate::{
    audit::{Ending, Event, Intent, Kind, Log, Options, Outcome, Who},
    clock::{SimulatedClock, SystemEntropy},
};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// What `cordon audit …` exits with (`true` is 0), and prints to its two outputs.
fn audit(arguments: &[&str]) -> (bool, String, String) {
    let line = Line::try_parse_from([&["audit"], arguments].concat()).map_err(|error| error.to_string());
    let line = line.unwrap_or_else(|error| panic!("{error}"));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(&line.args, &mut out, &mut err);
    let [out, err] = [out, err].map(|bytes| String::from_utf8(bytes).unwrap());
    (format!("{code:?}").contains("(0)"), out, err)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn intent(number: u64) -> Intent {
    Intent {
        request: format!("r{number}"),
        who: Who {
            kind: Kind::Client,
            name: if number.is_multiple_of(2) { "vms" } else { "wall" }.to_owned(),
            ..Who::default()
        },
        camera: Some(format!("cam-{}", number % 3)),
        operation: "tds:SetHostname".to_owned(),
        ..Intent::default()
    }
}

/// A closed log of several segments: commands 0 to 11 with their outcomes, then one refusal.
fn log() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    grow(dir.path());
    dir
}

/// Adds as much to a log as [`log`] begins with: 28 lines.
fn grow(dir: &Path) {
    grow_by(dir, 12);
}

fn grow_by(dir: &Path, commands: u64) {
    let clock = Arc::new(SimulatedClock::new("2026-01-02T03:04:05Z".parse().unwrap()));
    let options =
        Options { segment_bytes_max: 1_500, pack: false, ..Options::new(dir, "test.example/audit") };
    let (log, _) = Log::open(&options, clock, &SystemEntropy).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        for number in 0..commands {
            let slot = log.intent(intent(number)).await.unwrap();
            slot.finish(Outcome { what: Ending::Answered, status: Some(200), ..Outcome::default() });
        }
        log.refusal(intent(commands)).await.unwrap();
        log.event(Event::new("tested", serde_json::Value::Null)).await.unwrap();
    });
    log.close().unwrap();
}

#[test]
fn a_log_is_verified_and_shown() {
    let dir = log();
    let (well, out, _) = audit(&["verify", text(dir.path())]);
    assert!(well && out.contains("audit log verified: 28 lines"), "{out}");
    let (well, out, _) = audit(&["tail", "-n", "3", text(dir.path())]);
    assert!(well && out.lines().count() == 3, "{out}");
    assert!(out.contains("vms cam-0 tds:SetHostname DENIED") && out.contains("event log-close"), "{out}");
    let (_, out, _) = audit(&["tail", "-n", "2", "--json", text(dir.path())]);
    assert!(out.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{out}");

    let first = dir.path().join("segment-0000000000000000.jsonl");
    fs::write(&first, fs::read_to_string(&first).unwrap().replacen("vms", "vmz", 1)).unwrap();
    let (well, out, err) = audit(&["verify", text(dir.path())]);
    assert!(!well && out.is_empty() && err.starts_with("audit log NOT verified: segment-0"), "{err}");
    let (well, _, err) = audit(&["tail", text(&dir.path().join("absent"))]);
    assert!(!well && err.contains("cannot read") && err.contains("absent"), "{err}");
}

#[test]
fn a_record_is_proven_and_the_proof_checked_elsewhere() {
    let (dir, elsewhere) = (log(), tempfile::tempdir().unwrap());
    let [key, proof] = ["public.key", "five.tlog-proof"].map(|name| elsewhere.path().join(name));
    fs::copy(dir.path().join("public.key"), &key).unwrap();
    let (well, out, err) = audit(&["prove", text(dir.path()), "--record", "25"]);
    assert!(well, "{err}");
    assert!(out.starts_with("c2sp.org/tlog-proof@v1\nextra ") && out.contains("\nindex 25\n"), "{out}");
    fs::write(&proof, &out).unwrap();
    let (well, out, _) = audit(&["check-proof", text(&proof), "--public-key", text(&key)]);
    assert!(well && out.contains("record 25 is in the log as signed with 28 lines"), "{out}");
    assert!(out.contains("#25 vms cam-0 tds:SetHostname DENIED"), "{out}");

    fs::write(&proof, fs::read_to_string(&proof).unwrap().replacen("index 25", "index 24", 1)).unwrap();
    let (well, out, err) = audit(&["check-proof", text(&proof), "--public-key", text(&key)]);
    assert!(
        !well && out.is_empty() && err.starts_with("proof NOT accepted: the proof does NOT hold"),
        "{err}"
    );
    let (well, out, err) = audit(&["prove", text(dir.path()), "--record", "28"]);
    assert!(!well && out.is_empty() && err.contains("lines 0 to 27, not line 28"), "{err}");
}

#[test]
fn growth_since_a_kept_checkpoint_is_proven() {
    let (dir, elsewhere) = (log(), tempfile::tempdir().unwrap());
    let [old, proof] = ["old", "growth"].map(|name| elsewhere.path().join(name));
    let notes = fs::read_to_string(dir.path().join("checkpoints")).unwrap();
    fs::write(&old, notes.lines().take(5).map(|line| line.to_owned() + "\n").collect::<String>()).unwrap();
    let (well, out, err) = audit(&["prove", text(dir.path()), "--from", text(&old)]);
    assert!(well && out.starts_with("old "), "{err}");
    fs::write(&proof, out).unwrap();
    let key = dir.path().join("public.key");
    let (well, out, err) =
        audit(&["check-proof", text(&proof), "--public-key", text(&key), "--from", text(&old)]);
    assert!(well && out.contains("the log as signed with 28 lines begins with the "), "{err}");
    let both = ["audit", "prove", "DIR", "--record", "1", "--from", "FILE"];
    assert!(Line::try_parse_from(both).is_err() && Line::try_parse_from(&both[..3]).is_err());
}

#[test]
fn records_are_found_by_what_they_say() {
    let dir = log();
    let (well, out, err) = audit(&["search", text(dir.path()), "--camera", "cam-1", "--caller", "wall"]);
    assert!(well && out.lines().count() == 4, "{out}{err}");
    assert!(out.lines().next().unwrap().contains("wall cam-1 tds:SetHostname permitted"), "{out}");
    assert!(out.lines().nth(1).unwrap().contains("cam-1 tds:SetHostname: answered 200"), "{out}");
    assert!(err.starts_with("4 records; ") && err.contains(" indexed anew"), "{err}");
    let (_, out, _) = audit(&["search", text(dir.path()), "--decision", "denied", "--json"]);
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(out.starts_with("{\"seq\":25,"), "{out}");
    let day = ["search", text(dir.path()), "--since", "2026-01-02", "--until", "2026-01-03", "--no-index"];
    let (_, _, err) = audit(&day);
    assert!(err.starts_with("28 records; ") && err.contains(" 0 indexed anew"), "{err}");
    // Long ago in every possible "now" of a machine that runs this.
    let (_, _, err) = audit(&["search", text(dir.path()), "--until", "36500d"]);
    assert!(err.starts_with("0 records; "), "{err}");
    let (well, _, err) = audit(&["search", text(dir.path()), "--since", "yesterday"]);
    assert!(!well && err.contains("`yesterday` is no time: give one like"), "{err}");
    let (well, _, err) = audit(&["search", text(&dir.path().join("absent"))]);
    assert!(!well && err.contains("cannot read the log"), "{err}");
}

#[test]
fn a_span_is_held_listed_and_released() {
    let dir = log();
    let hold = |more: &[&str]| audit(&[&["hold", text(dir.path())], more].concat());
    assert_eq!(hold(&[]).1, "nothing is held\n");
    let (well, out, err) = hold(&["--reason", "case 7", "--since", "2026-01-01", "--until", "2026-02-01"]);
    assert!(well, "{err}");
    assert_eq!(out, "held from 2026-01-01T00:00:00Z to 2026-02-01T00:00:00Z: \"case 7\"\n");
    let (_, out, _) = hold(&["--reason", "all"]);
    assert!(out.ends_with("held from the beginning to ever: \"all\"\n") && out.lines().count() == 2, "{out}");
    let (well, _, err) = hold(&["--reason", "case 8", "--since", "2026-02-01", "--until", "2026-01-01"]);
    assert!(!well && err.contains("--since is later than --until"), "{err}");
    let (well, _, err) = hold(&["--release", "case 9"]);
    assert!(!well && err.contains("nothing is held for `case 9`"), "{err}");
    assert_eq!(hold(&["--release", "all"]).1.lines().count(), 1);
    for number in 0..63 {
        assert!(hold(&["--reason", &format!("case {number}")]).0);
    }
    let (well, _, err) = hold(&["--reason", "one more"]);
    assert!(!well && err.contains("there are 64 holds already: release one"), "{err}");
    let nowhere = tempfile::tempdir().unwrap();
    let (well, _, err) = audit(&["hold", text(nowhere.path()), "--reason", "typo"]);
    assert!(!well && err.contains("is no audit log"), "{err}");
}
