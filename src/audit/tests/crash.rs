//! Failures of the disk: each write point, failed and failed-but-persisted, then a reopening.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{Counting, answered, clock, intent, lines, open, options, run};
use crate::audit::{
    Event, Log, LogError, Options,
    files::{Appending, Disk, Files},
    segment, verify,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    WriteLines,
    SyncLines,
    Rotate,
    WriteCheckpoint,
    SyncCheckpoint,
    ReplaceCheckpoint,
    Frontier,
    TrimCheckpoints,
    CreatePacked,
    WritePacked,
    SyncPacked,
    RenamePacked,
    RemovePlain,
    RemoveBeside,
    Settle,
}

/// How an operation fails: without any effect, half done, or done all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    Half,
    Persisted,
}

/// What the disk does.
#[derive(Debug, Default)]
pub(super) struct Ill {
    pub(super) next: Option<(Point, Effect)>,
    /// After the failure nothing can be repaired until this is cleared.
    pub(super) broken: bool,
}

pub(super) type Plan = Arc<Mutex<Ill>>;

/// Fails once, when a plan is set and its point is reached, and then until it is mended.
pub(super) struct Faulty {
    pub(super) disk: Disk,
    pub(super) plan: Plan,
}

struct FaultyFile {
    file: Box<dyn Appending>,
    /// What fails when it is written, and when it is synced.
    points: [Point; 2],
    plan: Plan,
}

fn fault(plan: &Plan, point: Point) -> Option<Effect> {
    let mut plan = plan.lock().unwrap();
    let effect = plan.next.filter(|planned| planned.0 == point)?.1;
    *plan = Ill { next: None, broken: true };
    Some(effect)
}

fn failed<T>() -> io::Result<T> {
    Err(io::Error::other("injected"))
}

impl Faulty {
    fn file(&self, path: &Path, file: Box<dyn Appending>) -> Box<dyn Appending> {
        let points = if path.ends_with("checkpoints") {
            [Point::WriteCheckpoint, Point::SyncCheckpoint]
        } else if is_packed(path) {
            [Point::WritePacked, Point::SyncPacked]
        } else {
            [Point::WriteLines, Point::SyncLines]
        };
        Box::new(FaultyFile { file, points, plan: Arc::clone(&self.plan) })
    }
}

impl Files for Faulty {
    fn create(&mut self, path: &Path) -> io::Result<Box<dyn Appending>> {
        match fault(&self.plan, if is_packed(path) { Point::CreatePacked } else { Point::Rotate }) {
            None => {}
            Some(Effect::Nothing | Effect::Half) => return failed(),
            Some(Effect::Persisted) => return self.disk.create(path).and_then(|_| failed()),
        }
        let file = self.disk.create(path)?;
        Ok(self.file(path, file))
    }

    fn open(&mut self, path: &Path) -> io::Result<Box<dyn Appending>> {
        let file = self.disk.open(path)?;
        Ok(self.file(path, file))
    }

    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let point = match path.file_name().and_then(|name| name.to_str()) {
            Some("checkpoint") => Point::ReplaceCheckpoint,
            Some("checkpoints") => Point::TrimCheckpoints,
            _ => Point::Frontier,
        };
        match fault(&self.plan, point) {
            None => self.disk.replace(path, bytes),
            Some(Effect::Nothing) => failed(),
            // Renaming is atomic: half a replacement leaves a file beside.
            Some(Effect::Half) => fs::write(path.with_extension("new"), b"{").and_then(|()| failed()),
            Some(Effect::Persisted) => self.disk.replace(path, bytes).and_then(|()| failed()),
        }
    }

    fn cut(&mut self, path: &Path, length: u64) -> io::Result<()> {
        if self.plan.lock().unwrap().broken { failed() } else { self.disk.cut(path, length) }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        match fault(&self.plan, Point::RenamePacked) {
            None => self.disk.rename(from, to),
            Some(Effect::Nothing | Effect::Half) => failed(),
            Some(Effect::Persisted) => self.disk.rename(from, to).and_then(|()| failed()),
        }
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let lines = path.extension().is_some_and(|it| it == "jsonl");
        match fault(&self.plan, if lines { Point::RemovePlain } else { Point::RemoveBeside }) {
            None => self.disk.remove(path),
            Some(Effect::Nothing | Effect::Half) => failed(),
            Some(Effect::Persisted) => self.disk.remove(path).and_then(|()| failed()),
        }
    }

    fn settle(&mut self, dir: &Path) -> io::Result<()> {
        match fault(&self.plan, Point::Settle) {
            None => self.disk.settle(dir),
            Some(_) => failed(),
        }
    }

    fn another(&self) -> Box<dyn Files> {
        Box::new(Self { disk: Disk, plan: Arc::clone(&self.plan) })
    }
}

fn is_packed(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.contains(".jsonl.gz"))
}

impl Appending for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match fault(&self.plan, self.points[0]) {
            None => self.file.append(bytes),
            Some(Effect::Nothing) => failed(),
            Some(Effect::Half) => self.file.append(&bytes[..bytes.len() / 2]).and_then(|()| failed()),
            Some(Effect::Persisted) => self.file.append(bytes).and_then(|()| failed()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match fault(&self.plan, self.points[1]) {
            None => self.file.sync(),
            // What was written is there in any case as long as the machine runs.
            Some(_) => self.file.sync().and_then(|()| failed()),
        }
    }
}

const POINTS: [Point; 7] = [
    Point::WriteLines,
    Point::SyncLines,
    Point::Rotate,
    Point::WriteCheckpoint,
    Point::SyncCheckpoint,
    Point::ReplaceCheckpoint,
    Point::Frontier,
];
const EFFECTS: [Effect; 3] = [Effect::Nothing, Effect::Half, Effect::Persisted];

#[test]
fn every_failure_is_refused_at_once_and_survived_by_a_reopening() {
    for point in POINTS {
        for effect in EFFECTS {
            check(point, effect);
        }
    }
}

#[test]
fn every_failure_is_mended_without_a_reopening_once_the_disk_is_well() {
    // A few at a time: they share one real disk, which is to answer each of them in time.
    for point in POINTS {
        std::thread::scope(|scope| {
            for effect in EFFECTS {
                scope.spawn(move || check_healing(point, effect));
            }
        });
    }
}

/// A log on a disk that does as planned, and signs after each batch.
fn open_faulty(dir: &Path, plan: &Plan) -> Log {
    let files = Box::new(Faulty { disk: Disk, plan: Arc::clone(plan) });
    let options = Options { checkpoint_interval: Duration::ZERO, ..options(dir) };
    Log::open_on(files, &options, clock(), &Counting).unwrap().0
}

fn check_healing(point: Point, effect: Effect) {
    let case = format!("{point:?} {effect:?}");
    let dir = tempfile::tempdir().unwrap();
    let plan: Plan = Arc::default();
    let log = open_faulty(dir.path(), &plan);
    let before = run(log.intent(intent("before"))).unwrap();
    let across = run(log.intent(intent("across"))).unwrap();
    plan.lock().unwrap().next = Some((point, effect));
    let mut noted = 0;
    let refused = (0..60).find(|number| {
        noted += usize::from(log.note(Event::new("noted", serde_json::Value::Null)).is_ok());
        match run(log.intent(intent(&format!("r{number}")))) {
            Ok(slot) => {
                slot.finish(answered());
                false
            }
            Err(error) => {
                assert!(error.to_string().contains("injected"), "{case}: {error}");
                true
            }
        }
    });
    let refused = refused.unwrap_or_else(|| panic!("{case}: nothing was refused"));
    // An outcome that comes while the disk fails is kept.
    before.finish(answered());
    assert!(!log.healthy(), "{case}");
    plan.lock().unwrap().broken = false;
    let healed = loop {
        match run(log.intent(intent("after"))) {
            Ok(slot) => break slot,
            Err(error) => assert!(matches!(error, LogError::Failed(_)), "{case}: {error}"),
        }
        std::thread::yield_now();
    };
    assert!(log.healthy(), "{case}");
    healed.finish(answered());
    across.finish(answered());
    assert_eq!(log.health().awaited, 0, "{case}");
    log.close().unwrap();

    let lines = lines(dir.path());
    let of = |request: &str| lines.iter().filter(|line| line["request"] == request).collect::<Vec<_>>();
    let acknowledged = (0..refused).map(|number| format!("r{number}"));
    for request in acknowledged.chain(["before", "across", "after"].map(str::to_owned)) {
        let found = of(&request);
        assert_eq!(found.len(), 2, "{case}: {request}: {found:?}");
        assert_eq!(found[1]["what"], "answered", "{case}: {request}");
    }
    assert!(of(&format!("r{refused}")).is_empty(), "{case}: what was refused is not on record as permitted");
    let events = lines.iter().filter(|line| line["what"] == "noted").count();
    assert_eq!(events, noted, "{case}: an event that was taken is not lost");
    let healed: Vec<_> = lines.iter().filter(|line| line["what"] == "log-healed").collect();
    assert!(healed.len() == 1 && healed[0]["detail"]["failure"].to_string().contains("injected"), "{case}");
    let report = verify(dir.path(), None, None).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!((report.unanswered, report.signed), (0, report.lines), "{case}");
}

fn check(point: Point, effect: Effect) {
    let case = format!("{point:?} {effect:?}");
    let dir = tempfile::tempdir().unwrap();
    let plan: Plan = Arc::default();
    let log = open_faulty(dir.path(), &plan);
    let mut durable = Vec::new();
    let mut refused = None;
    for number in 0..60 {
        if number == 3 {
            plan.lock().unwrap().next = Some((point, effect));
        }
        match run(log.intent(intent(&format!("r{number}")))) {
            Ok(slot) => {
                durable.push(format!("r{number}"));
                slot.finish(answered());
            }
            Err(error) => {
                assert!(error.to_string().contains("injected"), "{case}: {error}");
                refused = Some(number);
                break;
            }
        }
    }
    let refused = refused.unwrap_or_else(|| panic!("{case}: nothing was refused"));
    assert!(refused >= 3 && !log.healthy(), "{case}");
    assert!(log.health().failure.unwrap().contains("injected"), "{case}");
    assert!(matches!(run(log.event(Event::default())), Err(LogError::Failed(_))), "{case}");
    assert!(matches!(log.close(), Err(LogError::Failed(_))), "{case}");

    let (log, report) = open(dir.path());
    assert_eq!(report.cut_bytes.is_some(), (point, effect) == (Point::WriteLines, Effect::Half), "{case}");
    run(log.intent(intent("after"))).unwrap().finish(answered());
    log.close().unwrap();
    let lines = lines(dir.path());
    for request in &durable {
        let found = lines.iter().filter(|line| line["request"] == request.as_str()).count();
        assert_eq!(found, 2, "{case}: {request} was acknowledged: intent and outcome or unknown");
    }
    let report = verify(dir.path(), None, None).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!((report.unanswered, report.signed), (0, report.lines), "{case}");
}

#[test]
fn a_line_cut_anywhere_is_repaired_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    run(log.event(Event::new("before", serde_json::Value::Null))).unwrap();
    log.close().unwrap();
    let path = segment::segments(dir.path()).unwrap().pop().unwrap().path;
    let whole = fs::read(&path).unwrap();
    let next = b"{\"seq\":3,\"time\":\"2026-";
    for length in 1..=next.len() {
        fs::write(&path, [&whole, &next[..length]].concat()).unwrap();
        let error = verify(dir.path(), None, None).unwrap_err().to_string();
        assert!(error.contains("jsonl line 4: the last line is not whole"), "{error}");
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(dir.path()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        let (log, report) = open(copy.path());
        assert_eq!(report.cut_bytes, Some(length as u64));
        log.close().unwrap();
        let lines = lines(copy.path());
        assert_eq!((&lines[3]["what"], &lines[4]["what"]), (&"log-open".into(), &"log-line-cut".into()));
        assert_eq!(lines[4]["detail"]["bytes"], length);
        verify(copy.path(), None, None).unwrap();
    }
}

#[test]
fn zeros_that_a_power_cut_leaves_are_cut_and_kept_aside() {
    let (line, half) = (b"{\"seq\":9}\n", b"{\"seq\":3,\"ti");
    for hole in [
        &[0; 7][..],
        &[0; 200_000],
        &[&[0; 300][..], line].concat(),
        // Longer than a line may be.
        &[&half[..], &[0; 70_000]].concat(),
        &[&half[..], &[0; 300], b"\n", line].concat(),
        &[&half[..], &[0; 300], b"me\":1}\n", line].concat(),
    ] {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).0.close().unwrap();
        let path = segment::segments(dir.path()).unwrap().pop().unwrap().path;
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole, hole].concat()).unwrap();
        verify(dir.path(), None, None).unwrap_err();
        let (log, report) = open(dir.path());
        assert_eq!(report.cut_bytes, Some(hole.len() as u64));
        log.close().unwrap();
        let name =
            lines(dir.path()).iter().find(|it| it["what"] == "log-line-cut").unwrap()["detail"]["file"]
                .as_str()
                .unwrap()
                .to_owned();
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), hole);
        verify(dir.path(), None, None).unwrap();
        // Behind what was signed nothing may be gone.
        let mut gone = fs::read(&path).unwrap();
        let at = whole.len() - 10;
        gone[at..].fill(0);
        fs::write(&path, gone).unwrap();
        let error = Log::open(&options(dir.path()), clock(), &Counting).unwrap_err().to_string();
        assert!(error.contains("cannot be continued"), "{error}");
        let mut gone = fs::read(&path).unwrap();
        gone[at - 30..at].fill(b' ');
        gone[at - 40] = 0;
        fs::write(&path, gone).unwrap();
        let error = Log::open(&options(dir.path()), clock(), &Counting).unwrap_err().to_string();
        assert!(error.contains("cannot be continued"), "in the middle of a line that was signed: {error}");
    }
}

/// What the first start cut off is kept and on record, whatever comes of it and of the next one.
#[test]
fn a_start_that_ends_early_loses_no_evidence() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).0.close().unwrap();
    let path = segment::segments(dir.path()).unwrap().pop().unwrap().path;
    let whole = fs::read(&path).unwrap();
    let torn = |rest: &str| fs::write(&path, [&whole, rest.as_bytes()].concat()).unwrap();
    torn("{\"first");
    let plan: Plan = Arc::default();
    plan.lock().unwrap().next = Some((Point::WriteLines, Effect::Nothing));
    let files = Box::new(Faulty { disk: Disk, plan: Arc::clone(&plan) });
    Log::open_on(files, &options(dir.path()), clock(), &Counting).unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), whole, "it was cut, and no event tells of it");
    // The disk kept half of what that start wrote.
    torn("{\"second");
    open(dir.path()).0.close().unwrap();
    let told: Vec<_> = lines(dir.path())
        .iter()
        .filter(|line| line["what"] == "log-line-cut")
        .map(|line| {
            let detail = &line["detail"];
            let kept = fs::read_to_string(dir.path().join(detail["file"].as_str().unwrap())).unwrap();
            assert_eq!((&detail["begins"], &detail["bytes"]), (&kept.as_str().into(), &kept.len().into()));
            kept
        })
        .collect();
    assert_eq!(told, ["{\"first", "{\"second"]);
    open(dir.path()).0.close().unwrap();
    let again = lines(dir.path()).iter().filter(|line| line["what"] == "log-line-cut").count();
    assert_eq!(again, 2, "each once");
    verify(dir.path(), None, None).unwrap();
}

#[test]
fn a_checkpoint_cut_anywhere_is_repaired_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).0.close().unwrap();
    let path = dir.path().join("checkpoints");
    let whole = fs::read(&path).unwrap();
    let note = whole.len() / 3;
    for length in whole.len() - note + 2..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let error = verify(dir.path(), None, None).unwrap_err().to_string();
        assert!(error.contains("checkpoints line 1"), "{length}: {error}");
        let log = open(dir.path()).0;
        log.close().unwrap();
        assert!(lines(dir.path()).iter().any(|line| line["what"] == "log-checkpoint-cut"), "{length}");
        verify(dir.path(), None, None).unwrap();
        fs::remove_dir_all(dir.path()).unwrap();
        open(dir.path()).0.close().unwrap();
    }
}
