//! Packed segments: read as before by everything, and survived in every state a crash can leave.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    Counting, answered, clock,
    crash::{Effect, Faulty, Ill, Plan, Point},
    intent, open, options, run,
};
use crate::{
    audit::{
        Export, Field, Item, Log, Options, Query, Sink, Tail, check_proof,
        files::Disk,
        prove_growth, prove_line,
        record::Intent,
        search,
        segment::{PACKED, Segment, segments},
        verify,
    },
    clock::{Clock, SystemClock},
};

const PATIENCE: Duration = Duration::from_secs(30);

fn packing(dir: &Path) -> Options {
    Options { pack: true, ..options(dir) }
}

/// Waits until all but the last segment are packed and nothing is left beside.
fn wait_packed(dir: &Path) {
    let clock = SystemClock::new();
    loop {
        let names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        let plain = names.iter().filter(|name| name.ends_with(".jsonl")).count();
        if plain == 1 && !names.iter().any(|name| name.ends_with(".gz.new")) {
            return;
        }
        assert!(clock.monotonic() < PATIENCE, "never packed: {names:?}");
        std::thread::yield_now();
    }
}

fn write(log: &Log, from: usize, count: usize) {
    for number in from..from + count {
        let camera = Some(format!("gate-{number}"));
        let intent = Intent { camera, ..intent(&format!("r{number}")) };
        run(log.intent(intent)).unwrap().finish(answered());
    }
}

/// A closed log of plain segments, and the same lines with all sealed ones packed by the next gateway.
fn plain_and_packed() -> (tempfile::TempDir, tempfile::TempDir) {
    let (plain, packed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, _) = open(plain.path());
    write(&log, 0, 20);
    log.close().unwrap();
    copy(plain.path(), packed.path());
    let (log, _) = Log::open(&packing(packed.path()), clock(), &Counting).unwrap();
    wait_packed(packed.path());
    log.close().unwrap();
    let (log, _) = open(plain.path());
    log.close().unwrap();
    (plain, packed)
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn found(dir: &Path, indexes: bool) -> (Vec<Vec<u8>>, usize) {
    let mut lines = Vec::new();
    let query = Query { fields: vec![(Field::Camera, vec!["gate-7".to_owned()])], ..Query::default() };
    let done = search(dir, &query, indexes, &mut |line| {
        lines.push(line.to_vec());
        Ok(())
    });
    (lines, done.unwrap().read)
}

fn tailed(dir: &Path, count: usize) -> Vec<Vec<u8>> {
    let mut tail = Tail::open(dir, count).unwrap();
    std::iter::from_fn(|| tail.next_line().unwrap()).collect()
}

#[derive(Default)]
struct Took(Vec<Vec<u8>>);

impl Sink for Took {
    fn put(&mut self, item: Item<'_>) -> std::io::Result<()> {
        if let Item::Line(line) = item {
            self.0.push(line.to_vec());
        }
        Ok(())
    }
    fn settle(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn exported(dir: &Path) -> Vec<Vec<u8>> {
    let (mut took, other) = (Took::default(), tempfile::tempdir().unwrap());
    Export::open(dir, None, &other.path().join("mark")).unwrap().step(&mut took).unwrap();
    took.0
}

#[test]
fn everything_reads_packed_segments_as_it_reads_plain_ones() {
    let (plain, packed) = plain_and_packed();
    let (plain, packed) = (plain.path(), packed.path());
    let bytes = |dir: &Path| segments(dir).unwrap().iter().map(|it| it.disk_bytes().unwrap()).sum::<u64>();
    assert!(segments(packed).unwrap().len() > 5 && bytes(packed) < bytes(plain));
    assert_eq!(verify(packed, None, None).unwrap().lines, verify(plain, None, None).unwrap().lines);
    for (indexes, read) in [(false, true), (true, true), (true, false)] {
        let (lines, segments_read) = found(packed, indexes);
        assert_eq!((lines.len(), &lines), (2, &found(plain, indexes).0));
        assert_eq!(segments_read > 3, read, "the second search with indexes reads few: {segments_read}");
    }
    // Indexes made beside plain segments still fit when those are packed, and `verify` compares them.
    for entry in fs::read_dir(plain).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("index-") {
            assert_eq!(fs::read(&path).unwrap(), fs::read(packed.join(name)).unwrap(), "{name}");
        }
    }
    verify(packed, None, None).unwrap();
    for count in [1, 3, 10, 25, 1_000] {
        assert_eq!(tailed(packed, count), tailed(plain, count), "{count}");
    }
    assert_eq!(exported(packed), exported(plain));
    let proof = packed.join("proof");
    fs::write(&proof, prove_line(packed, 5, None, None).unwrap()).unwrap();
    check_proof(&proof, &packed.join("public.key"), None, None).unwrap();
    let old = tempfile::tempdir().unwrap();
    fs::copy(packed.join("checkpoint"), old.path().join("old")).unwrap();
    let (log, _) = Log::open(&packing(packed), clock(), &Counting).unwrap();
    write(&log, 100, 20);
    wait_packed(packed);
    log.close().unwrap();
    let report = verify(packed, None, Some(&old.path().join("old"))).unwrap();
    assert!(report.witnessed.is_some() && report.unanswered == 0, "{report}");
    prove_growth(packed, &old.path().join("old"), None, None).unwrap();
}

#[test]
fn whoever_changes_a_packed_segment_is_found() {
    let (_plain, packed) = plain_and_packed();
    let victim = segments(packed.path()).unwrap()[2].clone();
    let whole = fs::read(&victim.path).unwrap();
    let told = |bytes: &[u8]| {
        fs::write(&victim.path, bytes).unwrap();
        verify(packed.path(), None, None).map(|report| report.lines).map_err(|error| error.to_string())
    };
    assert!(told(&whole).is_ok());
    // The header's flag for text, its time, system and effort say nothing about lines: gzip itself ignores them.
    for at in (0..whole.len()).filter(|at| !(3..10).contains(at)) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        let error = told(&changed).expect_err(&format!("octet {at}"));
        assert!(error.starts_with(&victim.name), "octet {at}: {error}");
    }
    for length in [0, 9, 40, whole.len() / 2, whole.len() - 1] {
        let error = told(&whole[..length]).unwrap_err();
        assert!(error.starts_with(&victim.name), "cut at {length}: {error}");
    }
    let error = told(&[&whole[..], b"more"].concat()).unwrap_err();
    assert!(error.starts_with(&victim.name), "{error}");
    fs::remove_file(&victim.path).unwrap();
    assert!(
        verify(packed.path(), None, None).unwrap_err().to_string().contains("lines or files are missing")
    );
    told(&whole).unwrap();
    // The last segment is never packed: where it is, the one after it is gone.
    let last = segments(packed.path()).unwrap().pop().unwrap();
    let [plain, gz] = last.forms();
    fs::rename(&plain, &gz).unwrap();
    assert!(Log::open(&packing(packed.path()), clock(), &Counting).is_err());
}

fn forms(dir: &Path) -> Vec<(PathBuf, PathBuf)> {
    let sealed = |segments: Vec<Segment>| segments.into_iter().rev().skip(1).rev();
    sealed(segments(dir).unwrap()).map(|it| it.forms()).map(|[plain, packed]| (plain, packed)).collect()
}

const POINTS: [Point; 7] = [
    Point::CreatePacked,
    Point::WritePacked,
    Point::SyncPacked,
    Point::RenamePacked,
    Point::RemovePlain,
    Point::RemoveBeside,
    Point::Settle,
];

/// Each step of packing fails, with and without effect. Commands go on, the log verifies as it is then, and the next
/// gateway packs what is left.
#[test]
fn every_failure_while_packing_leaves_a_log_that_verifies_and_is_packed_later() {
    for point in POINTS {
        for effect in [Effect::Nothing, Effect::Half, Effect::Persisted] {
            let case = format!("{point:?} {effect:?}");
            let dir = tempfile::tempdir().unwrap();
            let (log, _) = open(dir.path());
            write(&log, 0, 12);
            log.close().unwrap();
            let (begun, _) = forms(dir.path()).swap_remove(0);
            // What an earlier crash left, for a step that only then happens.
            fs::write(begun.with_extension("jsonl.gz.new"), b"left").unwrap();
            let plan: Plan = Arc::new(Ill { next: Some((point, effect)), broken: false }.into());
            let files = Box::new(Faulty { disk: Disk, plan: Arc::clone(&plan) });
            let log = Log::open_on(files, &packing(dir.path()), clock(), &Counting).unwrap().0;
            let clock_ = SystemClock::new();
            while plan.lock().unwrap().next.is_some() {
                assert!(clock_.monotonic() < PATIENCE, "{case}: never reached");
                std::thread::yield_now();
            }
            write(&log, 12, 1);
            assert!(log.healthy(), "{case}: packing is no reason to refuse commands");
            log.close().unwrap();
            for (plain, packed) in forms(dir.path()) {
                assert!(plain.exists() || packed.exists(), "{case}: {}", plain.display());
            }
            let report = verify(dir.path(), None, None).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!((report.unanswered, report.signed), (0, report.lines), "{case}");
            let (log, _) = Log::open(&packing(dir.path()), clock(), &Counting).unwrap();
            wait_packed(dir.path());
            log.close().unwrap();
            assert!(forms(dir.path()).iter().all(|(_, packed)| packed.exists()), "{case}");
            let later = verify(dir.path(), None, None).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!((later.lines > report.lines, later.unanswered), (true, 0), "{case}");
        }
    }
}

/// Both files of a segment: the plain one counts, whatever the other holds, until it is packed again.
#[test]
fn where_both_forms_are_there_the_plain_one_counts() {
    let (plain, packed) = plain_and_packed();
    for segment in segments(packed.path()).unwrap() {
        if segment.name.ends_with(PACKED) {
            fs::write(plain.path().join(&segment.name), b"no gzip").unwrap();
        }
    }
    verify(plain.path(), None, None).unwrap();
    let (log, _) = Log::open(&packing(plain.path()), clock(), &Counting).unwrap();
    wait_packed(plain.path());
    log.close().unwrap();
    verify(plain.path(), None, None).unwrap();
}

/// Run with `cargo test --release --lib audit -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout, reason = "a measurement")]
fn what_packing_saves_and_takes() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes_max: 1 << 20, ..options(dir.path()) };
    let (log, _) = Log::open(&options, Arc::new(SystemClock::new()), &Counting).unwrap();
    run(async {
        while segments(dir.path()).unwrap().len() < 5 {
            for number in 0..200 {
                log.intent(intent(&format!("r{number}"))).await.unwrap().finish(answered());
            }
        }
    });
    log.close().unwrap();
    let bytes = || segments(dir.path()).unwrap().iter().map(|it| it.disk_bytes().unwrap()).sum::<u64>();
    let (before, clock) = (bytes(), SystemClock::new());
    let options = Options { pack: true, ..options };
    let (log, _) = Log::open(&options, Arc::new(SystemClock::new()), &Counting).unwrap();
    wait_packed(dir.path());
    println!("{before} bytes of segments became {} in {:?}", bytes(), clock.monotonic());
    log.close().unwrap();
}
