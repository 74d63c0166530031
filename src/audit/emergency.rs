//! The emergency journal: where the few commands go that must not wait for a disk that fails.
//!
//! Stopping a camera's movement is permitted while the log cannot be written, if it was recorded here before.
//! The journal is one file of fixed size, written full of zeros when it is made, so that a full disk has
//! nothing to refuse; it may lie on another disk than the log. Its lines are those of a log that begins with
//! every use, so that a torn or changed one shows. What it holds is carried over to the log, marked with the
//! time it was written here, as soon as the log can be written, by the same process or by the next; then it is
//! emptied. A crash in between carries a line over twice: the same request with the same mark is the same
//! command. The journal is not signed: what was changed in it before it was carried over does not show if the
//! sums were made anew.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read},
    mem,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    chain::Chain,
    files::{LOG_MODE, sync_parent},
    record::{Ended, Head, Intent, Outcome, Record},
};
use crate::limits::{AUDIT_EMERGENCY_BYTES_MAX, AUDIT_LINE_BYTES_MAX};

/// The open file.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    chain: Chain,
    /// The lines since it was empty.
    lines: Vec<u8>,
    /// Where in the file something other than zeros may stand.
    used: usize,
    /// A write or a sync failed: what is on the disk is unknown, and everything is written again.
    suspect: bool,
}

/// A line that an earlier process left.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) head: Head,
    pub(super) intent: Intent,
}

/// A journal, and what an earlier process left in it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) journal: Journal,
    /// The whole lines at its beginning.
    pub(super) left: Vec<Left>,
    /// What stands behind them and is no line: what was being written when the machine stopped, or what was damaged.
    pub(super) cut: Option<Vec<u8>>,
}

impl Journal {
    /// Opens the journal, making it if it is absent, and gives what an earlier process left in it. That stays
    /// in the file until [`Journal::clear`]. None if another process has it.
    pub(super) fn open(path: &Path) -> io::Result<Option<Opened>> {
        let new = !path.exists();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(LOG_MODE)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(AUDIT_EMERGENCY_BYTES_MAX as u64).read_to_end(&mut bytes)?;
        if bytes.len() < AUDIT_EMERGENCY_BYTES_MAX {
            // Written, not only reserved, so that writing into it later needs nothing of the disk's books.
            let missing = vec![0; AUDIT_EMERGENCY_BYTES_MAX - bytes.len()];
            file.write_all_at(&missing, bytes.len() as u64)?;
            file.sync_all()?;
        }
        if new {
            sync_parent(path)?;
        }
        let (chain, lines, left) = lines_of(&bytes);
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let cut = bytes.get(lines.len()..used).filter(|rest| !rest.is_empty()).map(<[u8]>::to_vec);
        Ok(Some(Opened { journal: Self { file, chain, lines, used, suspect: false }, left, cut }))
    }

    /// Writes a line; durable when this returns. Blocks on the disk.
    pub(super) fn append(&mut self, time: &str, body: &str) -> io::Result<()> {
        let (mut chain, mut lines) = (self.chain.clone(), mem::take(&mut self.lines));
        let before = lines.len();
        chain.seal(time, body, &mut lines);
        let start = if self.suspect { 0 } else { before };
        let written = self.write(start, &lines);
        if written.is_ok() {
            self.chain = chain;
        } else {
            lines.truncate(before);
        }
        self.suspect = written.is_err();
        self.lines = lines;
        written
    }

    fn write(&mut self, start: usize, lines: &[u8]) -> io::Result<()> {
        // A zero must follow the last line.
        if lines.len() >= AUDIT_EMERGENCY_BYTES_MAX {
            let what = format!("its {AUDIT_EMERGENCY_BYTES_MAX} bytes are full");
            return Err(io::Error::new(io::ErrorKind::StorageFull, what));
        }
        self.used = self.used.max(lines.len());
        self.file.write_all_at(lines.get(start..).unwrap_or_default(), start as u64)?;
        self.file.sync_data()
    }

    /// Forgets all lines, once they are in the log.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.chain = Chain::new();
        self.lines.clear();
        let cleared = self.file.write_all_at(&vec![0; self.used], 0).and_then(|()| self.file.sync_data());
        self.suspect = cleared.is_err();
        if cleared.is_ok() {
            self.used = 0;
        }
        cleared
    }

    /// Bytes in use.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Whether the file holds anything.
    pub(super) fn is_used(&self) -> bool {
        self.used > 0
    }
}

/// The whole lines at the beginning, as a chain and as intents.
fn lines_of(bytes: &[u8]) -> (Chain, Vec<u8>, Vec<Left>) {
    let (mut chain, mut lines, mut left) = (Chain::new(), Vec::new(), Vec::new());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(text) = line.strip_suffix(b"\n").filter(|text| text.len() <= AUDIT_LINE_BYTES_MAX) else {
            break;
        };
        let Ok(Record::Intent(intent)) = serde_json::from_slice(text) else { break };
        let Ok(head) = serde_json::from_slice(text) else { break };
        if chain.check(text).is_err() {
            break;
        }
        lines.extend_from_slice(line);
        left.push(Left { head, intent });
    }
    (chain, lines, left)
}

/// A command that was recorded in the journal and waits to be carried over to the log.
#[derive(Debug)]
pub(super) struct Journaled {
    /// When it was written, as it stands in the journal.
    pub(super) time: String,
    pub(super) intent: Intent,
    stage: Mutex<Stage>,
}

/// Where a journaled command's outcome goes.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// Nowhere yet: neither is there an outcome, nor a line it would belong to.
    Waiting,
    /// With the intent, once that is carried over.
    Ended(Box<Outcome>),
    /// To the line with this number.
    Carried(u64),
}

impl Journaled {
    pub(super) fn new(time: String, intent: Intent) -> Self {
        Self { time, intent, stage: Mutex::new(Stage::Waiting) }
    }

    pub(super) fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The intent as the log has it.
    pub(super) fn record(&self) -> Record {
        marked(&self.intent, &self.time)
    }

    /// Its outcome, as the body of a line.
    pub(super) fn ended(&self, intent: u64, outcome: Outcome) -> String {
        Record::Outcome(Ended { intent, request: self.intent.request.clone(), outcome }).body()
    }
}

/// An intent that stood in the journal, as the log has it.
pub(super) fn marked(intent: &Intent, time: &str) -> Record {
    Record::Intent(Intent { emergency: Some(time.to_owned()), ..intent.clone() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::audit::Decision;

    fn body(request: &str) -> String {
        let decision = Decision::Permitted;
        Record::Intent(Intent { request: request.to_owned(), decision, ..Intent::default() }).body()
    }

    fn open(path: &Path) -> (Journal, Vec<String>) {
        let Opened { journal, left, .. } = Journal::open(path).unwrap().unwrap();
        (journal, left.into_iter().map(|left| left.intent.request).collect())
    }

    #[test]
    fn what_was_written_is_found_by_the_next_until_it_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (mut journal, left) = open(&path);
        assert!(left.is_empty() && !journal.is_used());
        for request in ["a", "b"] {
            journal.append("T", &body(request)).unwrap();
        }
        assert!(Journal::open(&path).unwrap().is_none(), "one process at a time");
        drop(journal);
        let (mut journal, left) = open(&path);
        assert_eq!(left, ["a", "b"]);
        journal.append("T", &body("c")).unwrap();
        drop(journal);
        let (mut journal, left) = open(&path);
        assert_eq!(left, ["a", "b", "c"]);
        journal.clear().unwrap();
        drop(journal);
        let (_, left) = open(&path);
        assert!(left.is_empty());
        assert_eq!(fs::read(&path).unwrap(), vec![0; AUDIT_EMERGENCY_BYTES_MAX]);
    }

    #[test]
    fn a_line_that_is_torn_or_changed_ends_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (mut journal, _) = open(&path);
        journal.append("T", &body("a")).unwrap();
        let whole = journal.lines.len();
        journal.append("T", &body("b")).unwrap();
        let both = journal.lines.len();
        drop(journal);
        let bytes = fs::read(&path).unwrap();
        for end in whole..both {
            let mut torn = bytes.clone();
            torn[end..both].fill(0);
            fs::write(&path, &torn).unwrap();
            assert_eq!(open(&path).1, ["a"], "cut at {end}");
            let mut changed = bytes.clone();
            changed[end] ^= 1;
            fs::write(&path, &changed).unwrap();
            let Opened { left, cut, .. } = Journal::open(&path).unwrap().unwrap();
            assert_eq!((left.len(), cut.as_deref()), (1, changed.get(whole..both)), "changed at {end}");
        }
    }

    #[test]
    fn a_full_journal_refuses_and_keeps_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (mut journal, _) = open(&path);
        let body = body(&"x".repeat(40_000));
        let taken = (0..1_000).take_while(|_| journal.append("T", &body).is_ok()).count();
        assert_eq!(taken, AUDIT_EMERGENCY_BYTES_MAX / (40_000 + 250));
        let error = journal.append("T", &body).unwrap_err().to_string();
        assert!(error.contains("bytes are full"), "{error}");
        assert_eq!(fs::metadata(&path).unwrap().len(), AUDIT_EMERGENCY_BYTES_MAX as u64);
        drop(journal);
        assert_eq!(open(&path).1.len(), taken);
    }
}
