//! The audit log before a verifier that has nothing of ours: `tests/verifier/verify.py`.
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use cordon::{
    audit::{Ending, Intent, Log, Options, Outcome, Retention, prove_growth, prove_line, verify},
    clock::{Clock, SimulatedClock, SystemClock, SystemEntropy},
};
use tempfile::TempDir;

use crate::{
    client::{self, tds, tds_with},
    house::{ADMIN, CAR_PARK, House, LOBBY, VIEWER},
};

/// What the verifier says, and whether it is content; none if there is no Python.
fn python(arguments: &[&str]) -> Option<(bool, String)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifier/verify.py");
    // -B: no compiled files beside the script.
    let output = match Command::new("python3").arg("-B").arg(script).args(arguments).output() {
        Ok(output) => output,
        Err(error) => {
            crate::skips::skipped(&format!("python3 cannot be started: {error}"));
            return None;
        }
    };
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, "", "the verifier itself failed");
    Some((output.status.success(), String::from_utf8(output.stdout).unwrap()))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A log of some twenty lines in several segments, and its first lines' checkpoint kept elsewhere.
struct Kept {
    log: TempDir,
    elsewhere: TempDir,
}

impl Kept {
    fn write() -> Self {
        let (log, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let options = Options {
            segment_bytes_max: 1_200,
            pack: false,
            ..Options::new(log.path(), "verifier.example/audit")
        };
        let (open, _) = Log::open(&options, Arc::new(SystemClock::new()), &SystemEntropy).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for number in 0..9 {
            let intent =
                Intent { request: format!("r{number}"), operation: "tds:SetNTP".into(), ..Intent::default() };
            let slot = runtime.block_on(open.intent(intent)).unwrap();
            slot.finish(Outcome { what: Ending::Answered, ..Outcome::default() });
        }
        open.close().unwrap();
        for name in ["public.key", "checkpoint"] {
            fs::copy(log.path().join(name), elsewhere.path().join(name)).unwrap();
        }
        Self { log, elsewhere }
    }

    fn key(&self) -> PathBuf {
        self.elsewhere.path().join("public.key")
    }

    fn checkpoint(&self) -> PathBuf {
        self.elsewhere.path().join("checkpoint")
    }

    fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(self.log.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        copy
    }
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).unwrap().map(|it| it.unwrap().path());
    let mut found: Vec<_> = names.filter(|it| it.extension().is_some_and(|it| it == "jsonl")).collect();
    found.sort();
    found
}

fn change(path: &Path, change: impl FnOnce(String) -> String) {
    let before = fs::read_to_string(path).unwrap();
    let after = change(before.clone());
    assert_ne!(before, after, "nothing was changed");
    fs::write(path, after).unwrap();
}

fn lines(text: &str, change: impl FnOnce(&mut Vec<&str>)) -> String {
    let mut lines: Vec<_> = text.lines().collect();
    change(&mut lines);
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Changes a log and makes every sum anew, as anybody can who may write the folder.
fn rewrite(dir: &Path, from: &str, to: &str) {
    let mut sum = "0".repeat(32);
    for path in segments(dir) {
        let mut text = String::new();
        for line in fs::read_to_string(&path).unwrap().replace(from, to).lines() {
            let (head, _) = line.rsplit_once(",\"sum\":\"").unwrap();
            let hash = digest(&SHA256, format!("{sum}{head}").as_bytes());
            sum = hash.as_ref()[..16].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
            writeln!(text, "{head},\"sum\":\"{sum}\"}}").unwrap();
        }
        fs::write(&path, text).unwrap();
    }
}

#[test]
fn the_log_of_a_gateway_is_accepted_by_another_implementation() {
    let mut house = House::open();
    house.acquaint();
    for name in ["one", "two"] {
        let body = tds_with("SetHostname", &format!("<x:Name>{name}</x:Name>"));
        assert_eq!(client::ask(house.door(LOBBY), "device", ADMIN, &body).status, 200);
        assert_ne!(client::ask(house.door(LOBBY), "device", VIEWER, &body).status, 200);
    }
    assert_eq!(client::ask_anonymously(house.door(CAR_PARK), "device", &tds("GetUsers")).status, 401);
    house.restart();
    house.stop();
    let dir = house.audit_dir();
    let kept = dir.join("checkpoint");
    let (key, log) = (house.public_key(), ["log", text(&dir), "--public-key"]);
    let Some((well, said)) = python(&[&log[..], &[text(&key), "--checkpoint", text(&kept)]].concat()) else {
        return;
    };
    let report = verify(&dir, None, None).unwrap();
    assert!(well && report.lines > 10, "{said}");
    assert!(
        said.starts_with(&format!("log verified: {0} lines, {0} of them signed", report.lines)),
        "{said}"
    );
}

#[test]
fn proofs_are_accepted_and_changed_ones_refused_by_another_implementation() {
    let kept = Kept::write();
    let (key, proof, old) =
        (kept.key(), kept.elsewhere.path().join("proof"), kept.elsewhere.path().join("old"));
    let check =
        |more: &[&str]| python(&[&["proof", text(&proof), "--public-key", text(&key)], more].concat());
    for number in [0, 7, 19] {
        let made = prove_line(kept.log.path(), number, None, None).unwrap();
        fs::write(&proof, &made).unwrap();
        let Some((well, said)) = check(&[]) else { return };
        assert!(well && said == format!("proof verified: line {number} of 20\n"), "{said}");
        fs::write(&proof, made.replacen(&format!("index {number}"), &format!("index {}", number ^ 1), 1))
            .unwrap();
        let (well, said) = check(&[]).unwrap();
        assert!(!well && said.starts_with("REJECTED proof-wrong: "), "{said}");
    }
    let notes = fs::read_to_string(kept.log.path().join("checkpoints")).unwrap();
    fs::write(&old, lines(&notes, |lines| *lines = lines[5..10].to_vec())).unwrap();
    let made = prove_growth(kept.log.path(), &old, None, None).unwrap();
    fs::write(&proof, &made).unwrap();
    let (well, said) = check(&["--from", text(&old)]).unwrap();
    assert!(well && said.starts_with("proof verified: 20 lines begin with the "), "{said}");
    fs::write(&proof, lines(&made, |lines| lines.swap(1, 2))).unwrap();
    let (well, said) = check(&["--from", text(&old)]).unwrap();
    assert!(!well && said.starts_with("REJECTED proof-wrong: "), "{said}");
}

/// The reason for which a copy of the log is rejected, and what is done to it.
type Tampering = (&'static str, fn(&Path));

const TAMPERINGS: [Tampering; 14] = [
    ("sum-mismatch", |dir| change(&segments(dir)[0], |text| text.replacen("r0", "r9", 1))),
    ("sum-mismatch", |dir| {
        change(&segments(dir)[1], |text| {
            lines(&text, |lines| {
                lines.remove(1);
            })
        })
    }),
    ("sum-mismatch", |dir| change(&segments(dir)[1], |text| lines(&text, |lines| lines.swap(0, 1)))),
    ("sum-mismatch", |dir| change(&segments(dir)[0], |text| lines(&text, |lines| lines.insert(1, lines[1])))),
    ("sum-mismatch", |dir| change(&segments(dir)[0], |text| text.replacen("\"seq\":1,", "\"seq\":2,", 1))),
    ("no-sum", |dir| change(&segments(dir)[0], |text| text.replacen("\",\"sum\":\"", "\",\"sun\":\"", 1))),
    ("line-torn", |dir| change(segments(dir).last().unwrap(), |text| text[..text.len() - 1].to_owned())),
    ("segment-gap", |dir| fs::remove_file(&segments(dir)[1]).unwrap()),
    ("root-mismatch", |dir| rewrite(dir, "r0", "r9")),
    ("number", |dir| rewrite(dir, "\"seq\":1,", "\"seq\":3,")),
    ("lines-missing", |dir| {
        change(segments(dir).last().unwrap(), |text| {
            lines(&text, |lines| {
                lines.pop();
            })
        });
    }),
    ("note-signature", |dir| {
        change(&dir.join("checkpoints"), |text| lines(&text, |lines| lines[6] = "2"));
    }),
    ("checkpoint-order", |dir| {
        change(&dir.join("checkpoints"), |text| lines(&text, |lines| lines.rotate_left(5)));
    }),
    ("note-origin", |dir| {
        change(&dir.join("checkpoints"), |text| text.replacen("verifier.", "another.", 1));
    }),
];

#[test]
fn tampered_copies_are_rejected_for_a_reason_by_both_implementations() {
    let kept = Kept::write();
    assert!(segments(kept.log.path()).len() >= 3);
    for (number, (reason, tamper)) in TAMPERINGS.iter().enumerate() {
        let copy = kept.copy();
        tamper(copy.path());
        let Some((well, said)) = python(&["log", text(copy.path()), "--public-key", text(&kept.key())])
        else {
            return;
        };
        assert!(!well && said.starts_with(&format!("REJECTED {reason}: ")), "{number} {reason}: {said}");
        verify(copy.path(), Some(&kept.key()), None).expect_err(reason);
    }
}

#[test]
fn a_cut_tail_is_shown_by_a_checkpoint_kept_elsewhere() {
    let kept = Kept::write();
    let copy = kept.copy();
    // Cut back to the checkpoint before the last segment: the files by themselves are a whole, shorter log.
    let last = segments(copy.path()).pop().unwrap();
    let stem = last.file_stem().unwrap().to_str().unwrap().trim_start_matches("segment-");
    let size: u64 = stem.parse().unwrap();
    fs::remove_file(&last).unwrap();
    let mut shortened = String::new();
    change(&copy.path().join("checkpoints"), |text| {
        let all: Vec<_> = text.lines().collect();
        let kept = all.chunks(5).filter(|note| note[1].parse::<u64>().unwrap() <= size);
        shortened = kept.flatten().map(|line| format!("{line}\n")).collect();
        shortened.clone()
    });
    change(&copy.path().join("checkpoint"), |_| {
        lines(&shortened, |lines| *lines = lines[lines.len() - 5..].to_vec())
    });
    let (key, folder, witness) = (kept.key(), copy.path().to_owned(), kept.checkpoint());
    let Some((well, said)) = python(&["log", text(&folder), "--public-key", text(&key)]) else { return };
    assert!(well && said.starts_with(&format!("log verified: {size} lines")), "{said}");
    verify(&folder, Some(&key), None).unwrap();
    let with = ["log", text(&folder), "--public-key", text(&key), "--checkpoint", text(&witness)];
    let (well, said) = python(&with).unwrap();
    assert!(!well && said.starts_with("REJECTED lines-missing: "), "{said}");
    verify(&folder, Some(&key), Some(&witness)).expect_err("lines are missing");
    // Another key than the auditor's, of the same name.
    let other = Kept::write();
    let (well, said) = python(&["log", text(&folder), "--public-key", text(&other.key())]).unwrap();
    assert!(!well && said.starts_with("REJECTED note-key: "), "{said}");
}

#[test]
fn a_log_whose_first_lines_retention_deleted_is_accepted_by_another_implementation() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SimulatedClock::new("2026-01-02T03:04:05Z".parse().unwrap()));
    let day = Duration::from_secs(86_400);
    let options = Options {
        segment_bytes_max: 1_200,
        checkpoint_interval: Duration::ZERO,
        retention: Retention { keep: Some(5 * day), reserve_bytes: None },
        pack: false,
        ..Options::new(dir.path(), "verifier.example/audit")
    };
    let (log, _) = Log::open(&options, clock.clone(), &SystemEntropy).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for _ in 0..15 {
        clock.advance(day);
        for _ in 0..4 {
            runtime.block_on(log.refusal(Intent::default())).unwrap();
        }
    }
    // Whatever became durable together: what was announced last stands in a segment before the last.
    for _ in 0..12 {
        runtime.block_on(log.refusal(Intent::default())).unwrap();
    }
    log.close().unwrap();
    let (key, folder) = (dir.path().join("public.key"), dir.path());
    let check = || python(&["log", text(folder), "--public-key", text(&key)]);
    let report = verify(folder, None, None).unwrap();
    let Some((well, said)) = check() else { return };
    assert!(well && report.pruned > 0, "{said}");
    assert!(said.starts_with(&format!("log verified: {} lines", report.lines)), "{said}");
    let number = report.pruned + 2;
    let proof = dir.path().join("proof");
    fs::write(&proof, prove_line(folder, number, None, None).unwrap()).unwrap();
    let (well, said) = python(&["proof", text(&proof), "--public-key", text(&key)]).unwrap();
    assert!(well && said == format!("proof verified: line {number} of {}\n", report.lines), "{said}");

    // Somebody deletes more than was announced, or makes another history of what is gone.
    let frontier = folder.join(format!("frontier-{:016}.json", report.pruned));
    let whole = fs::read_to_string(&frontier).unwrap();
    let last = segments(folder).pop().unwrap();
    let announced = fs::read_to_string(&last).unwrap().contains("log-pruned");
    let first = segments(folder).remove(0);
    let lines = fs::read_to_string(&first).unwrap();
    fs::write(&frontier, whole.replacen("\"hashes\":[\"", "\"hashes\":[\"00", 1)).unwrap();
    assert!(check().unwrap().1.starts_with("REJECTED frontier-unsigned: "), "{}", check().unwrap().1);
    fs::remove_file(&frontier).unwrap();
    assert!(check().unwrap().1.starts_with("REJECTED frontier-missing: "));
    fs::write(&frontier, whole).unwrap();
    assert!(check().unwrap().0);
    for path in segments(folder).iter().take_while(|path| **path != last) {
        fs::remove_file(path).unwrap();
    }
    let said = check().unwrap().1;
    assert!(!announced && said.starts_with("REJECTED pruned-unrecorded: "), "{said}");
    fs::write(&first, lines).unwrap();
    assert!(check().unwrap().1.starts_with("REJECTED segment-gap: "));
}

#[test]
fn a_packed_log_is_accepted_by_another_implementation_and_a_changed_one_is_not() {
    let kept = Kept::write();
    let options =
        Options { segment_bytes_max: 1_200, ..Options::new(kept.log.path(), "verifier.example/audit") };
    let sealed = segments(kept.log.path()).len() - 1;
    let (log, _) = Log::open(&options, Arc::new(SystemClock::new()), &SystemEntropy).unwrap();
    let clock = SystemClock::new();
    // The last one is written to.
    while segments(kept.log.path()).len() > 1 {
        assert!(clock.monotonic() < Duration::from_secs(45), "never packed");
        crate::house::breathe();
    }
    log.close().unwrap();
    let packed: Vec<_> = fs::read_dir(kept.log.path())
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.extension().is_some_and(|it| it == "gz"))
        .collect();
    assert!(sealed > 1 && packed.len() >= sealed, "{packed:?}");
    let check = || python(&["log", text(kept.log.path()), "--public-key", text(&kept.key())]);
    let Some((well, said)) = check() else { return };
    let lines = verify(kept.log.path(), None, None).unwrap().lines;
    assert!(well && said.starts_with(&format!("log verified: {lines} lines")), "{said}");
    let whole = fs::read(&packed[0]).unwrap();
    fs::write(&packed[0], &whole[..whole.len() / 2]).unwrap();
    let (well, said) = check().unwrap();
    assert!(!well && said.starts_with("REJECTED packed-damaged: "), "{said}");
}
