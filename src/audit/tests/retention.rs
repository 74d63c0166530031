//! Retention: what goes, what stays, what is on record, and that the rest verifies.

use std::{fs, io::Write as _, path::Path, sync::Arc, time::Duration};

use serde_json::json;

use super::{
    Counting, answered, clock,
    crash::{Effect, Faulty, Ill, Plan, Point},
    intent, lines, options, run,
};
use crate::{
    audit::{
        Event, Hold, Log, Options, Query, Retention, check_proof,
        files::Disk,
        note::PublicKey,
        open::examine,
        prove_line,
        record::Record,
        search,
        segment::{frontier_name, segments},
        set_holds, verify,
    },
    clock::SimulatedClock,
    limits::{AUDIT_CHECKPOINTS_BYTES_MAX, AUDIT_CHECKPOINTS_KEPT},
    telemetry::{Metrics, RetentionStopped},
};

const DAY: Duration = Duration::from_secs(86_400);

fn aging(dir: &Path, retention: Retention) -> Options {
    // Every batch is signed at once, so that what a checkpoint brings about comes without waiting.
    Options { retention, checkpoint_interval: Duration::ZERO, ..options(dir) }
}

/// A log that writes some lines a day.
fn days(dir: &Path, clock: &Arc<SimulatedClock>, days: u32, retention: Retention) {
    let (log, _) = Log::open(&aging(dir, retention), clock.clone(), &Counting).unwrap();
    for day in 0..days {
        clock.advance(DAY);
        for number in 0..4 {
            run(log.intent(intent(&format!("d{day}-{number}")))).unwrap().finish(answered());
        }
    }
    log.close().unwrap();
}

fn keep(days: u32) -> Retention {
    Retention { keep: Some(DAY * days), reserve_bytes: None }
}

fn first(dir: &Path) -> u64 {
    segments(dir).unwrap()[0].first
}

#[test]
fn what_is_older_goes_and_the_rest_verifies_searches_proves_and_goes_on() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    days(dir.path(), &clock, 20, Retention::default());
    assert_eq!(first(dir.path()), 0, "by default nothing goes");
    let whole = verify(dir.path(), None, None).unwrap();
    days(dir.path(), &clock, 10, keep(12));
    let there = first(dir.path());
    assert!(there > 40, "{there}");
    let report = verify(dir.path(), None, None).unwrap();
    assert_eq!(report.pruned, there);
    assert!(
        report.lines > whole.lines && report.to_string().contains("were deleted by retention"),
        "{report}"
    );

    let rows = lines(dir.path());
    let pruned: Vec<_> = rows.iter().filter(|row| row["what"] == "log-pruned").collect();
    let last = &pruned.last().unwrap()["detail"];
    assert_eq!((&last["why"], &last["tree"]["size"]), (&"keep_days".into(), &last["next"]));
    assert!(
        last["next"].as_u64().unwrap() >= there && !last["tree"]["hashes"].as_array().unwrap().is_empty()
    );
    // A day's slack on both sides: a segment goes once all of it is too old.
    let oldest: jiff::Timestamp = rows[0]["time"].as_str().unwrap().parse().unwrap();
    let age = crate::clock::Clock::now(&*clock).duration_since(oldest).as_secs() / 86_400;
    assert!((10..=15).contains(&age), "{age} days");
    for name in fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()) {
        let number = name.split(['-', '.']).nth(1).and_then(|digits| digits.parse::<u64>().ok());
        assert!(number.is_none_or(|number| number >= there), "{name} is left behind");
    }

    let proof = dir.path().join("proof");
    fs::write(&proof, prove_line(dir.path(), there + 1, None, None).unwrap()).unwrap();
    check_proof(&proof, &dir.path().join("public.key"), None, None).unwrap();
    let found = search(dir.path(), &Query::default(), true, &mut |_| Ok(())).unwrap().found;
    assert_eq!(found, report.lines - there);
    days(dir.path(), &clock, 1, Retention::default());
    assert!(verify(dir.path(), None, None).unwrap().lines > report.lines, "the log goes on after a restart");
}

#[test]
fn the_reserved_space_is_kept() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let retention = Retention { keep: None, reserve_bytes: Some(20_000) };
    days(dir.path(), &clock, 40, retention);
    let bytes: u64 =
        segments(dir.path()).unwrap().iter().map(|it| fs::metadata(&it.path).unwrap().len()).sum();
    // What is written between the announcement and the deletion comes on top.
    assert!((10_000..30_000).contains(&bytes), "{bytes}");
    assert!(verify(dir.path(), None, None).unwrap().pruned > 0);
    assert!(lines(dir.path()).iter().any(|row| row["detail"]["why"] == "reserve_bytes"));
}

#[test]
fn what_goes_before_keep_days_for_want_of_space_is_counted() {
    for (keep, early) in [(None, false), (Some(DAY * 3_650), true)] {
        let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
        let options = aging(dir.path(), Retention { keep, reserve_bytes: Some(20_000) });
        let (log, _) = Log::open(&options, clock.clone(), &Counting).unwrap();
        for day in 0..40 {
            clock.advance(DAY);
            for number in 0..4 {
                run(log.intent(intent(&format!("d{day}-{number}")))).unwrap().finish(answered());
            }
        }
        log.close().unwrap();
        assert!(first(dir.path()) > 0, "something went");
        assert_eq!(options.metrics.early_prunings() > 0, early, "{keep:?}");
    }
}

#[test]
fn nothing_of_the_last_minutes_goes_however_little_space_is_reserved() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let retention = Retention { keep: None, reserve_bytes: Some(0) };
    let (log, _) = Log::open(&aging(dir.path(), retention), clock, &Counting).unwrap();
    for number in 0..40 {
        run(log.intent(intent(&format!("r{number}")))).unwrap().finish(answered());
    }
    log.close().unwrap();
    assert!(first(dir.path()) == 0 && segments(dir.path()).unwrap().len() > 5);
}

#[test]
fn a_hold_stops_deletion_where_it_begins_and_is_recorded() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    days(dir.path(), &clock, 20, Retention::default());
    let text = |day: &str| Some(format!("2026-01-{day}T00:00:00Z"));
    let hold = Hold { since: text("08"), until: text("10"), reason: "case 7".to_owned() };
    set_holds(dir.path(), &[hold]).unwrap();
    days(dir.path(), &clock, 10, keep(5));
    let oldest = lines(dir.path())[0]["time"].as_str().unwrap().to_owned();
    assert!(("2026-01-06".."2026-01-08T03:04:06").contains(&oldest.as_str()), "{oldest}");
    assert!(first(dir.path()) > 0);
    let held = lines(dir.path()).into_iter().find(|row| row["what"] == "log-holds").unwrap();
    assert_eq!(held["detail"][0]["reason"], "case 7");
    verify(dir.path(), None, None).unwrap();

    // Holds that cannot be read hold everything.
    let before = first(dir.path());
    fs::write(dir.path().join("holds.json"), "[{]").unwrap();
    days(dir.path(), &clock, 3, keep(5));
    assert_eq!(first(dir.path()), before);
    set_holds(dir.path(), &[]).unwrap();
    days(dir.path(), &clock, 3, keep(5));
    assert!(first(dir.path()) > before, "released");
    verify(dir.path(), None, None).unwrap();
}

#[test]
fn first_segments_that_somebody_removed_are_not_taken_for_retention() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    days(dir.path(), &clock, 10, Retention::default());
    let all = segments(dir.path()).unwrap();
    fs::remove_file(&all[0].path).unwrap();
    let error = verify(dir.path(), None, None).unwrap_err().to_string();
    assert!(
        error.contains("nothing that was signed before says that they were deleted by retention"),
        "{error}"
    );
    // More than was announced.
    days(dir.path(), &clock, 10, keep(12));
    let left = segments(dir.path()).unwrap();
    verify(dir.path(), None, None).unwrap();
    for segment in &left[..left.len() - 1] {
        fs::remove_file(&segment.path).unwrap();
    }
    let error = verify(dir.path(), None, None).unwrap_err().to_string();
    assert!(
        error.contains("nothing that was signed before") || error.contains("no signed checkpoint"),
        "{error}"
    );
}

#[test]
fn a_changed_frontier_of_deleted_lines_is_found() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    days(dir.path(), &clock, 20, keep(8));
    verify(dir.path(), None, None).unwrap();
    let path = dir.path().join(frontier_name(first(dir.path())));
    let whole = fs::read_to_string(&path).unwrap();
    let at = whole.find("\"hashes\":[\"").unwrap() + 12;
    let mut changed = whole.clone().into_bytes();
    changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
    for text in [changed, Vec::new()] {
        fs::write(&path, text).unwrap();
        let error = verify(dir.path(), None, None).unwrap_err().to_string();
        assert!(error.contains("no signed checkpoint says what they were"), "{error}");
    }
    fs::write(&path, whole).unwrap();
    verify(dir.path(), None, None).unwrap();
}

#[test]
fn a_deletion_that_only_an_unsigned_line_announces_is_found() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    days(dir.path(), &clock, 10, Retention::default());
    let all = segments(dir.path()).unwrap();
    // Anybody who can write the folder can do this: sums need no key.
    let key = PublicKey::parse(fs::read_to_string(dir.path().join("public.key")).unwrap().trim()).unwrap();
    let now = crate::clock::Clock::now(&*clock);
    let mut chain = examine(dir.path(), &all, &key, now).unwrap().walker.chain;
    let mut line = Vec::new();
    let body = Event::new("log-pruned", json!({ "first": 0, "next": all[1].first }));
    chain.seal(&now.to_string(), &Record::Event(body).body(), &mut line);
    let mut last = fs::OpenOptions::new().append(true).open(&all.last().unwrap().path).unwrap();
    last.write_all(&line).unwrap();
    verify(dir.path(), None, None).unwrap();
    fs::remove_file(&all[0].path).unwrap();
    let found = || verify(dir.path(), None, None).unwrap_err().to_string();
    assert!(found().contains("nothing that was signed before says"), "{}", found());
    // A start signs the line, and says that it did not write it.
    days(dir.path(), &clock, 1, Retention::default());
    let rows = lines(dir.path());
    let opened = rows.iter().rfind(|row| row["what"] == "log-open").unwrap();
    assert_eq!(opened["detail"]["unsigned"], 1);
    assert!(found().contains("nothing that was signed before says"), "{}", found());
}

#[test]
fn a_clock_that_is_wrong_deletes_nothing_for_its_age() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    days(dir.path(), &clock, 20, Retention::default());
    let later = Arc::new(SimulatedClock::new("2040-01-01T00:00:00Z".parse().unwrap()));
    let metrics = Arc::new(Metrics::default());
    let options = Options { metrics: Arc::clone(&metrics), ..aging(dir.path(), keep(30)) };
    let (log, _) = Log::open(&options, later.clone(), &Counting).unwrap();
    for number in 0..8 {
        run(log.intent(intent(&format!("later-{number}")))).unwrap().finish(answered());
    }
    log.close().unwrap();
    assert_eq!((first(dir.path()), metrics.retention_stopped()), (0, Some(RetentionStopped::Clock)));
    // Whoever starts it anew says that the clock is right.
    days(dir.path(), &later, 2, keep(30));
    assert!(first(dir.path()) > 0);
    verify(dir.path(), None, None).unwrap();
}

#[test]
fn a_clock_set_back_does_not_fill_the_disk() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    days(dir.path(), &clock, 20, Retention::default());
    let early = Arc::new(SimulatedClock::new("1970-01-01T00:00:00Z".parse().unwrap()));
    days(dir.path(), &early, 2, Retention { keep: None, reserve_bytes: Some(10_000) });
    assert!(first(dir.path()) > 0);
    verify(dir.path(), None, None).unwrap();
}

#[test]
fn a_checkpoint_kept_elsewhere_is_not_vouched_for_by_lines_it_does_not_cover() {
    let (dir, other, clock) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), clock());
    days(dir.path(), &clock, 5, Retention::default());
    let kept = other.path().join("kept");
    fs::copy(dir.path().join("checkpoint"), &kept).unwrap();
    let size = verify(dir.path(), None, Some(&kept)).unwrap().witnessed.unwrap();
    days(dir.path(), &clock, 20, keep(8));
    let there = first(dir.path());
    let error = verify(dir.path(), None, Some(&kept)).unwrap_err().to_string();
    let expected =
        format!("it covers the first {size} lines, and the first {there} were deleted by retention");
    assert!(error.contains(&expected), "{error}");
    // The same key signs another history of the same size.
    let key = crate::audit::SigningKey::from_pem(
        "test.example/audit",
        &fs::read_to_string(dir.path().join("signing.key")).unwrap(),
    );
    fs::write(&kept, key.unwrap().sign(size, &[7; 32])).unwrap();
    let error = verify(dir.path(), None, Some(&kept)).unwrap_err().to_string();
    assert!(error.contains("not those that were signed here"), "{error}");
}

/// Each step of a deletion fails, with and without effect: no command is refused, what is left verifies at once, and
/// the next deletion takes what this one left.
#[test]
fn a_disk_that_fails_in_the_middle_of_a_deletion_leaves_a_log_that_verifies() {
    for point in [Point::RemovePlain, Point::RemoveBeside, Point::Settle] {
        for effect in [Effect::Nothing, Effect::Persisted] {
            let case = format!("{point:?} {effect:?}");
            let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
            days(dir.path(), &clock, 20, Retention::default());
            let plan: Plan = Arc::new(Ill { next: Some((point, effect)), broken: false }.into());
            let files = Box::new(Faulty { disk: Disk, plan: Arc::clone(&plan) });
            let options = aging(dir.path(), keep(8));
            let log = Log::open_on(files, &options, clock.clone(), &Counting).unwrap().0;
            let day = |number: u32| {
                clock.advance(DAY);
                for command in 0..4 {
                    let intent = intent(&format!("e{number}-{command}"));
                    run(log.intent(intent))
                        .unwrap_or_else(|error| panic!("{case}: {error}"))
                        .finish(answered());
                }
            };
            let failed = (0..20).find(|number| {
                day(*number);
                plan.lock().unwrap().next.is_none()
            });
            assert!(failed.is_some() && log.healthy(), "{case}");
            let report = verify(dir.path(), None, None).unwrap_or_else(|error| panic!("{case}: {error}"));
            for number in 20..26 {
                day(number);
            }
            log.close().unwrap();
            let later = verify(dir.path(), None, None).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(later.pruned > report.pruned && later.unanswered == 0, "{case}: {later}");
            let first = first(dir.path());
            for entry in fs::read_dir(dir.path()).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let number = name.split(['-', '.']).nth(1).and_then(|digits| digits.parse::<u64>().ok());
                assert!(number.is_none_or(|number| number >= first), "{case}: {name} is left behind");
            }
        }
    }
}

/// The file of checkpoints does not grow without end. What segments begin with stays, and so do the latest.
#[test]
fn checkpoints_that_nothing_needs_are_forgotten() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    days(dir.path(), &clock, 10, Retention::default());
    let path = dir.path().join("checkpoints");
    let pem = fs::read_to_string(dir.path().join("signing.key")).unwrap();
    let key = crate::audit::SigningKey::from_pem("test.example/audit", &pem).unwrap();
    let last = fs::read_to_string(dir.path().join("checkpoint")).unwrap();
    let latest = key.public().open(&last).unwrap();
    // As if it had signed for months: the same again and again, until there is room for three more.
    let note = key.sign(latest.size, &latest.root);
    let before = fs::read_to_string(&path).unwrap();
    let room = usize::try_from(AUDIT_CHECKPOINTS_BYTES_MAX).unwrap() - before.len();
    fs::write(&path, before.clone() + &note.repeat(room / note.len() - 3)).unwrap();
    let kept = dir.path().join("kept");
    let second: String = before.lines().skip(5).take(5).map(|line| format!("{line}\n")).collect();
    fs::write(&kept, second).unwrap();
    for effect in [None, Some(Effect::Nothing), Some(Effect::Half), Some(Effect::Persisted)] {
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(dir.path()).unwrap() {
            let from = entry.unwrap().path();
            fs::copy(&from, copy.path().join(from.file_name().unwrap())).unwrap();
        }
        let next = effect.map(|effect| (Point::TrimCheckpoints, effect));
        let plan: Plan = Arc::new(Ill { next, broken: false }.into());
        let files = Box::new(Faulty { disk: Disk, plan: Arc::clone(&plan) });
        let options = aging(copy.path(), Retention::default());
        let log = Log::open_on(files, &options, clock.clone(), &Counting).unwrap().0;
        let mut refused = 0;
        for number in 0..12 {
            match run(log.intent(intent(&format!("r{number}")))) {
                Ok(slot) => slot.finish(answered()),
                Err(_) => refused += 1,
            }
            // The next finds a disk that is well, and a log that says so.
            plan.lock().unwrap().broken = false;
            while !log.healthy() {
                std::thread::yield_now();
            }
        }
        log.close().unwrap();
        assert_eq!(plan.lock().unwrap().next, None, "{effect:?}: never trimmed");
        assert!(refused <= 1 && (effect.is_some() || refused == 0), "{effect:?}: {refused} refused");
        let text = fs::read_to_string(copy.path().join("checkpoints")).unwrap();
        assert!(text.len() < AUDIT_CHECKPOINTS_BYTES_MAX as usize / 2, "{effect:?}: {} bytes", text.len());
        assert!(text.len() / note.len() >= AUDIT_CHECKPOINTS_KEPT, "{effect:?}: {} bytes", text.len());
        let report =
            verify(copy.path(), None, Some(&kept)).unwrap_or_else(|error| panic!("{effect:?}: {error}"));
        assert!(report.witnessed.is_some() && report.segments > 3, "{effect:?}: {report}");
    }
}
