//! Deleting what is too old or too much, so that it shows and can be told from tampering.
//!
//! Only sealed segments go, oldest first, without gaps. Before that, an event `log-pruned` says which lines go,
//! why, and how the tree stood at their end; it must be durable and signed. The frontier of the first segment
//! that stays is kept: its root is that of a signed checkpoint, so that what is left verifies as before. A hold
//! exempts a span of time: nothing that overlaps it goes, and nothing after it either.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    files::{self, Files, LOG_MODE},
    log::time_text,
    pack::Sealed,
    record::Event,
    segment::{self, Frontier, Segment, frontier_name},
};
use crate::{
    limits::{AUDIT_CLOCK_GAP_MAX, AUDIT_HOLDS_MAX, AUDIT_PRUNE_SEGMENTS_MAX, AUDIT_REPLAY_WINDOW},
    telemetry::{Metrics, RetentionStopped},
};

/// What may be deleted; by default nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Segments all of whose lines are older go.
    pub keep: Option<Duration>,
    /// The disk space reserved for lines: the oldest segments go while all together take more bytes.
    pub reserve_bytes: Option<u64>,
}

/// A span of time whose lines must stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// From this time on (RFC 3339); from the beginning if there is none.
    pub since: Option<String>,
    /// Up to this time; for ever if there is none.
    pub until: Option<String>,
    /// Why, such as the number of a case; names the hold.
    pub reason: String,
}

/// The holds of a log. Fails if they cannot be read, and then nothing may be deleted.
pub fn holds(dir: &Path) -> io::Result<Vec<Hold>> {
    match fs::read(dir.join(HOLDS)) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Replaces the holds of a log. A gateway that deletes looks at them each time before, and records a change.
pub fn set_holds(dir: &Path, holds: &[Hold]) -> io::Result<()> {
    if holds.len() > AUDIT_HOLDS_MAX {
        return Err(io::Error::other(format!("there are {AUDIT_HOLDS_MAX} holds already: release one")));
    }
    let text = serde_json::to_string(holds).map_err(io::Error::other)? + "\n";
    let (path, folder) = (dir.join(HOLDS), fs::metadata(dir)?);
    files::replace(&path, text.as_bytes(), LOG_MODE)?;
    // Whoever sets it as root must leave it readable to the gateway, which deletes nothing otherwise.
    if fs::metadata(&path)?.uid() != folder.uid() {
        std::os::unix::fs::chown(&path, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}

/// Deletes, between two checkpoints, what was announced before the first of them.
#[derive(Debug)]
pub(super) struct Keeper {
    dir: PathBuf,
    retention: Retention,
    sealed: Sealed,
    announced: Option<Announced>,
    /// The holds that are on record.
    recorded: Vec<Hold>,
    metrics: Arc<Metrics>,
    steady: Steady,
}

/// Whether the machine's clock can be gone by. A clock that is wrong by years makes every line look old enough to be
/// deleted, and evidence does not come back.
#[derive(Debug)]
pub(super) struct Steady {
    /// No earlier than this can it be: lines of this time are there.
    earliest: Timestamp,
    /// The latest that it may be, at a monotonic time.
    latest: (Timestamp, Duration),
}

impl Steady {
    /// At a start. `last` is when the last line was written before; a gateway may have been off for a while since, and
    /// a clock that begins wrong may be set right.
    pub(super) fn begin(last: Option<Timestamp>, now: Timestamp, monotonic: Duration) -> Self {
        let off = SignedDuration::try_from(AUDIT_CLOCK_GAP_MAX).unwrap_or_default();
        let from = last.unwrap_or(now);
        Self { earliest: from, latest: (from.saturating_add(off).unwrap_or(from), monotonic) }
    }

    /// Whether a time is no further on than it can be.
    fn believes(&self, (now, monotonic): (Timestamp, Duration)) -> bool {
        let (latest, before) = self.latest;
        let passed = SignedDuration::try_from(monotonic.saturating_sub(before)).unwrap_or_default();
        latest.saturating_add(passed).is_ok_and(|latest| now <= latest)
    }
}

/// What may be deleted, and what is said about it.
struct Plan {
    segments: Vec<Segment>,
    detail: Value,
    early: u64,
}

/// What is to be deleted once its record is signed.
#[derive(Debug)]
struct Announced {
    /// Number of the line that says so.
    line: u64,
    segments: Vec<Segment>,
    /// How many of them are younger than retention should keep.
    early: u64,
}

impl Keeper {
    pub(super) fn new(
        dir: &Path,
        retention: Retention,
        sealed: Sealed,
        metrics: Arc<Metrics>,
        steady: Steady,
    ) -> Self {
        Self {
            dir: dir.to_owned(),
            retention,
            sealed,
            announced: None,
            recorded: Vec::new(),
            metrics,
            steady,
        }
    }

    /// The numbers of lines not yet durable may have changed: what was announced is announced again.
    pub(super) fn forget(&mut self) {
        self.announced = None;
    }

    /// Called when `signed` lines are signed. `now` is civil and monotonic; `note` queues a record and gives its number.
    pub(super) fn tend(
        &mut self,
        files: &mut dyn Files,
        signed: u64,
        now: (Timestamp, Duration),
        note: &mut dyn FnMut(Event) -> Option<u64>,
    ) {
        if self.retention == Retention::default() {
            return;
        }
        let believed = self.steady.believes(now);
        let retention = self.retention;
        let stopped = match self.try_tend(files, signed, (now.0, believed), note) {
            Err(error) => {
                tracing::error!(dir = %self.dir.display(), %error, "old audit segments were not deleted");
                Some(RetentionStopped::Failing)
            }
            Ok(()) if retention.keep.is_some() && !believed => Some(RetentionStopped::Clock),
            Ok(()) => None,
        };
        self.metrics.retention(stopped);
    }

    fn try_tend(
        &mut self,
        files: &mut dyn Files,
        signed: u64,
        now: (Timestamp, bool),
        note: &mut dyn FnMut(Event) -> Option<u64>,
    ) -> io::Result<()> {
        let holds = holds(&self.dir)?;
        if holds != self.recorded {
            let Some(_) = note(Event::new("log-holds", json!(holds))) else { return Ok(()) };
            self.recorded.clone_from(&holds);
        }
        match self.announced.take() {
            Some(announced) if announced.line < signed => {
                let sealed = self.sealed.clone();
                match sealed.at_once() {
                    Some(_held) => {
                        self.delete(files, &announced.segments, &holds)?;
                        self.metrics.pruned_early(announced.early);
                    }
                    // A segment is packed at this moment, and commands do not wait for that.
                    None => self.announced = Some(announced),
                }
            }
            Some(announced) => self.announced = Some(announced),
            None => {
                let Some(Plan { segments, detail, early }) = self.plan(now, &holds)? else { return Ok(()) };
                let line = note(Event::new(PRUNED, detail));
                self.announced = line.map(|line| Announced { line, segments, early });
            }
        }
        Ok(())
    }

    /// The segments that may go, and what is said about them. `now` comes with whether it is believed: if it is not,
    /// nothing goes for its age.
    fn plan(&self, (now, believed): (Timestamp, bool), holds: &[Hold]) -> io::Result<Option<Plan>> {
        let all = segment::segments(&self.dir)?;
        // A clock set back must not make lines look younger than what came after them.
        let newest = now.max(self.steady.earliest);
        let mut total = 0;
        for segment in &all {
            total += segment.disk_bytes()?;
        }
        let (mut segments, mut next, mut why, mut early) = (Vec::new(), 0, "", 0);
        for pair in all.windows(2).take(AUDIT_PRUNE_SEGMENTS_MAX) {
            let [segment, after] = pair else { break };
            let Some((first, last)) = span(segment, after) else { break };
            let old = |now: Timestamp, age: Duration| {
                SignedDuration::try_from(age).is_ok_and(|age| now.duration_since(last) > age)
            };
            why = match self.retention {
                // At a start the log is read that far back.
                _ if !old(newest, AUDIT_REPLAY_WINDOW) || held(first, last, holds) => break,
                Retention { keep: Some(keep), .. } if believed && old(now, keep) => "keep_days",
                Retention { reserve_bytes: Some(bytes), keep } if total > bytes => {
                    early += u64::from(keep.is_some());
                    "reserve_bytes"
                }
                _ => break,
            };
            total = total.saturating_sub(segment.disk_bytes()?);
            next = after.first;
            segments.push(segment.clone());
        }
        let Some(first) = segments.first().map(|segment| segment.first) else { return Ok(None) };
        let walker = Frontier::read(&self.dir.join(frontier_name(next)))
            .ok_or_else(|| io::Error::other(format!("{} is missing or no frontier", frontier_name(next))))?;
        let tree = Frontier::new(&walker.chain, &Default::default());
        let detail = json!({ "first": first, "next": next, "why": why, "at": time_text(now), "tree": tree });
        Ok(Some(Plan { segments, detail, early }))
    }

    /// Deletes oldest first, so that what is left begins with one segment at any moment. A hold that came in
    /// between still counts.
    fn delete(&self, files: &mut dyn Files, segments: &[Segment], holds: &[Hold]) -> io::Result<()> {
        let all = segment::segments(&self.dir)?;
        for segment in segments {
            let after = all.iter().find(|other| other.first > segment.first);
            let span = after.and_then(|after| span(segment, after));
            if span.is_none_or(|(first, last)| held(first, last, holds)) {
                break;
            }
            for form in segment.forms().iter().filter(|form| form.exists()) {
                files.remove(form)?;
            }
            tracing::info!(segment = segment.name, "an audit segment was deleted by retention");
        }
        self.sweep(files)?;
        files.settle(&self.dir)
    }

    /// Removes what lay beside segments that are gone, also those of an earlier time that did not end well.
    fn sweep(&self, files: &mut dyn Files) -> io::Result<()> {
        let first = segment::segments(&self.dir)?.first().map_or(0, |segment| segment.first);
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let number = BESIDE
                .iter()
                .find_map(|(begin, end)| name.strip_prefix(begin)?.strip_suffix(end)?.parse::<u64>().ok());
            if number.is_some_and(|number| number < first) {
                files.remove(&self.dir.join(name))?;
            }
        }
        Ok(())
    }
}

/// The times between which a sealed segment was written; none if that cannot be read, and then it stays.
fn span(segment: &Segment, after: &Segment) -> Option<(Timestamp, Timestamp)> {
    let (first, last) = (segment.first_time()?, after.first_time()?);
    Some((first.min(last), first.max(last)))
}

fn held(first: Timestamp, last: Timestamp, holds: &[Hold]) -> bool {
    // What is no time bounds nothing.
    let time = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
    holds.iter().any(|hold| {
        time(&hold.since).is_none_or(|since| since <= last)
            && time(&hold.until).is_none_or(|until| until >= first)
    })
}

/// The event that says which lines go.
pub(super) const PRUNED: &str = "log-pruned";
const HOLDS: &str = "holds.json";
/// How the names of what lies beside a segment begin and end.
const BESIDE: [(&str, &str); 3] =
    [("frontier-", ".json"), ("index-", ".json"), ("segment-", ".jsonl.gz.new")];
