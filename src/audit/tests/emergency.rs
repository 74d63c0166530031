//! A disk that fails or hangs, and what is recorded in the emergency journal meanwhile.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;

use super::{Counting, answered, clock, intent, lines, open, options, run};
use crate::{
    audit::{
        Event, Intent, Log, LogError, OpenReport, Options,
        files::{Appending, Disk, Files},
        verify,
    },
    limits::AUDIT_EMERGENCY_BYTES_MAX,
};

/// What the disk does with syncs of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Failing,
    Hanging,
}

#[derive(Clone)]
struct Moody {
    state: Arc<(Mutex<Mood>, Condvar)>,
    /// How often lines or checkpoints were made durable.
    syncs: Arc<AtomicUsize>,
}

impl Moody {
    fn new() -> Self {
        Self { state: Arc::new((Mutex::new(Mood::Well), Condvar::new())), syncs: Arc::default() }
    }

    fn set(&self, mood: Mood) {
        *self.state.0.lock().unwrap() = mood;
        self.state.1.notify_all();
    }

    fn check(&self) -> io::Result<()> {
        let mood = self.state.0.lock().unwrap();
        let mood = self.state.1.wait_while(mood, |mood| *mood == Mood::Hanging).unwrap();
        if *mood == Mood::Failing { Err(io::Error::other("injected")) } else { Ok(()) }
    }
}

struct MoodyFile(Box<dyn Appending>, Moody);

impl Appending for MoodyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::Relaxed);
        self.1.check()?;
        self.0.sync()
    }
}

impl Files for Moody {
    fn create(&mut self, path: &Path) -> io::Result<Box<dyn Appending>> {
        Ok(Box::new(MoodyFile(Disk.create(path)?, self.clone())))
    }

    fn open(&mut self, path: &Path) -> io::Result<Box<dyn Appending>> {
        Ok(Box::new(MoodyFile(Disk.open(path)?, self.clone())))
    }

    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        Disk.replace(path, bytes)
    }

    fn cut(&mut self, path: &Path, length: u64) -> io::Result<()> {
        self.check()?;
        Disk.cut(path, length)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.check()?;
        Disk.rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.check()?;
        Disk.remove(path)
    }

    fn settle(&mut self, dir: &Path) -> io::Result<()> {
        self.check()?;
        Disk.settle(dir)
    }

    fn another(&self) -> Box<dyn Files> {
        Box::new(self.clone())
    }
}

struct Stage {
    dir: tempfile::TempDir,
    disk: Moody,
    log: Log,
}

impl Stage {
    fn new() -> Self {
        Self::with_journal(None)
    }

    fn with_journal(journal: Option<PathBuf>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = Moody::new();
        let mut options = Options { ..options(dir.path()) };
        options.emergency_journal = journal.unwrap_or(options.emergency_journal);
        let (log, _) = Log::open_on(Box::new(disk.clone()), &options, clock(), &Counting).unwrap();
        Self { dir, disk, log }
    }

    fn journal(&self) -> Vec<u8> {
        fs::read(options(self.dir.path()).emergency_journal).unwrap()
    }

    /// Makes the disk fail and waits until that is known.
    fn break_down(&self) {
        self.disk.set(Mood::Failing);
        let error = run(self.log.intent(intent("refused"))).unwrap_err();
        assert!(error.to_string().contains("injected"), "{error}");
    }

    /// Makes the disk well and waits until the log is.
    fn mend(&self) {
        self.disk.set(Mood::Well);
        while !self.log.healthy() || self.log.health().journaled > 0 {
            std::thread::yield_now();
        }
        // After this line everything before it is durable, what was carried over too.
        run(self.log.event(Event::new("mended", Value::Null))).unwrap();
    }
}

fn of<'a>(lines: &'a [Value], request: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["request"] == request).collect()
}

#[test]
fn a_stop_is_in_the_journal_first_and_in_the_log_once_it_is_well() {
    let stage = Stage::new();
    stage.break_down();
    let ended_before = run(stage.log.emergency(intent("e1"))).unwrap();
    let ended_after = run(stage.log.emergency(intent("e2"))).unwrap();
    let mut dropped = run(stage.log.emergency(intent("e3"))).unwrap();
    let journal = String::from_utf8(stage.journal()).unwrap();
    let found: Vec<Value> =
        journal.trim_end_matches('\0').lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let requests: Vec<_> = found.iter().map(|line| line["request"].as_str().unwrap()).collect();
    assert_eq!(requests, ["e1", "e2", "e3"], "durable before the future is ready");
    assert_eq!((&found[0]["seq"], &found[0]["decision"]), (&0.into(), &"permitted".into()));
    assert!(of(&lines(stage.dir.path()), "e1").is_empty());
    assert_eq!((stage.log.health().journaled, stage.log.health().awaited), (3, 3));
    ended_before.finish(answered());
    dropped.sending();
    drop(dropped);
    stage.mend();
    assert_eq!(stage.journal(), vec![0; AUDIT_EMERGENCY_BYTES_MAX], "it is emptied");
    ended_after.finish(answered());
    let health = stage.log.health();
    assert_eq!((health.journaled, health.awaited, health.lost_outcomes), (0, 0, 0));
    stage.log.close().unwrap();

    let lines = lines(stage.dir.path());
    for (request, what) in [("e1", "answered"), ("e2", "answered"), ("e3", "abandoned_unanswered")] {
        let found = of(&lines, request);
        assert_eq!(found.len(), 2, "{request}: {found:?}");
        assert_eq!(found[0]["emergency"], "2026-01-02T03:04:05.000006Z", "{request}");
        assert_eq!((&found[1]["what"], &found[1]["intent"]), (&what.into(), &found[0]["seq"]), "{request}");
    }
    assert!(of(&lines, "refused").is_empty());
    let report = verify(stage.dir.path(), None, None).unwrap();
    assert_eq!((report.unanswered, report.signed), (0, report.lines));
}

#[test]
fn what_a_gateway_that_stopped_left_in_the_journal_is_carried_over_by_the_next() {
    let stage = Stage::new();
    run(stage.log.intent(intent("before"))).unwrap().finish(answered());
    stage.break_down();
    let command = Intent { nonce: Some("5555".to_owned()), ..intent("e1") };
    run(stage.log.emergency(command)).unwrap().finish(answered());
    let Stage { dir, log, .. } = stage;
    assert!(matches!(log.close(), Err(LogError::Failed(_))));

    let (log, report): (Log, OpenReport) = open(dir.path());
    assert_eq!((report.carried_over, report.cut_bytes), (1, None));
    assert!(report.recent_nonces.iter().any(|nonce| nonce.fingerprint == "5555"), "no replay window");
    log.close().unwrap();
    let lines = lines(dir.path());
    let found = of(&lines, "e1");
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["emergency"], "2026-01-02T03:04:05.000006Z");
    assert_eq!((&found[1]["what"], &found[1]["intent"]), (&"unknown".into(), &found[0]["seq"]));
    assert_eq!(verify(dir.path(), None, None).unwrap().unanswered, 0);
    let (log, report) = open(dir.path());
    assert_eq!(report.carried_over, 0, "once");
    log.close().unwrap();
}

#[test]
fn a_disk_that_hangs_counts_as_failed_until_it_answers() {
    let stage = Stage::new();
    stage.disk.set(Mood::Hanging);
    assert_eq!(run(stage.log.intent(intent("late"))).unwrap_err(), LogError::Stalled);
    assert!(stage.log.health().failure.unwrap().contains("has not answered"));
    assert_eq!(run(stage.log.refusal(intent("at once"))).unwrap_err(), LogError::Stalled);
    stage.log.note(Event::new("kept", Value::Null)).unwrap();
    run(stage.log.emergency(intent("e1"))).unwrap().finish(answered());
    stage.mend();
    stage.log.close().unwrap();

    let lines = lines(stage.dir.path());
    let late = of(&lines, "late");
    assert_eq!(late.len(), 2, "its line was under way already");
    assert_eq!(late[1]["what"], "abandoned_not_sent", "nobody was given a pass for it");
    assert_eq!(of(&lines, "e1")[1]["what"], "answered");
    assert!(of(&lines, "at once").is_empty());
    assert_eq!(lines.iter().filter(|line| line["what"] == "kept").count(), 1);
    assert!(!lines.iter().any(|line| line["what"] == "log-healed"), "nothing had to be repaired");
    assert_eq!(verify(stage.dir.path(), None, None).unwrap().unanswered, 0);
}

#[test]
fn what_was_noted_is_waited_for_and_a_disk_that_fails_is_told() {
    let stage = Stage::new();
    let is_there =
        |what: &str| lines(stage.dir.path()).iter().filter(|line| line["what"] == what).count() == 1;
    let note = |what: &str| stage.log.note(Event::new(what, Value::Null)).unwrap();
    for number in 0..50 {
        let what = format!("noted-{number}");
        note(&what);
        run(stage.log.written()).unwrap();
        assert!(is_there(&what), "{what}");
    }
    assert_eq!(run(stage.log.written()), Ok(()), "there is nothing to wait for");
    stage.disk.set(Mood::Hanging);
    note("under way");
    // It is with the writer, or queued for it.
    assert_eq!(run(stage.log.written()), Err(LogError::Stalled));
    stage.mend();
    stage.disk.set(Mood::Failing);
    note("kept");
    let failed = run(stage.log.written()).unwrap_err();
    assert!(failed.to_string().contains("injected"), "{failed}");
    assert!(run(stage.log.written()).unwrap_err().to_string().contains("injected"), "and at once");
    stage.disk.set(Mood::Well);
    while !stage.log.healthy() {
        std::thread::yield_now();
    }
    run(stage.log.written()).unwrap();
    assert!(is_there("under way") && is_there("kept"));
    stage.log.close().unwrap();
}

#[test]
fn a_log_that_was_mended_has_nothing_to_wait_for() {
    let stage = Stage::new();
    stage.break_down();
    stage.disk.set(Mood::Well);
    while !stage.log.healthy() {
        std::thread::yield_now();
    }
    assert_eq!(run(stage.log.written()), Ok(()), "the command that failed was refused");
    stage.log.close().unwrap();
}

#[test]
fn without_log_and_journal_nothing_goes_on() {
    let stage = Stage::with_journal(Some("/dev/full".into()));
    stage.break_down();
    let error = run(stage.log.emergency(intent("e1"))).unwrap_err().to_string();
    assert!(error.contains("writing the emergency journal: No space left"), "{error}");
    assert_eq!((stage.log.health().journaled, stage.log.health().awaited), (0, 0));
    stage.mend();
    stage.log.close().unwrap();
    assert!(of(&lines(stage.dir.path()), "e1").is_empty());
}

#[test]
fn outcomes_become_durable_with_the_next_command_or_alone_after_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Moody::new();
    let options = Options::new(dir.path(), "test.example/audit");
    let (log, _) = Log::open_on(Box::new(disk.clone()), &options, clock(), &Counting).unwrap();
    let before = disk.syncs.load(Ordering::Relaxed);
    for number in 0..20 {
        run(log.intent(intent(&number.to_string()))).unwrap().finish(answered());
    }
    let syncs = disk.syncs.load(Ordering::Relaxed) - before;
    // One for each intent; some more only if this machine slept between two commands.
    assert!((20..30).contains(&syncs), "{syncs} syncs for 20 intents and 20 outcomes");
    while log.health().durable < 41 {
        std::thread::yield_now();
    }
    assert_eq!(of(&lines(dir.path()), "19").len(), 2, "nobody asked for anything after the last outcome");
    log.close().unwrap();
}

#[test]
fn a_journal_is_used_by_one_log() {
    let stage = Stage::new();
    let other = tempfile::tempdir().unwrap();
    let journal = options(stage.dir.path()).emergency_journal;
    let options = Options { emergency_journal: journal, ..options(other.path()) };
    let error = Log::open(&options, clock(), &Counting).unwrap_err().to_string();
    assert!(error.contains("emergency.journal is in use by another gateway"), "{error}");
}
