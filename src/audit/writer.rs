//! The only part that writes: lines, checkpoints, segments.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
};

use super::{
    chain::Chain,
    files::{Appending, Files},
    note::SigningKey,
    segment::{CHECKPOINT, CHECKPOINTS, Frontier, frontier_name, note_size, notes, segment_name, segments},
};
use crate::limits::{AUDIT_CHECKPOINTS_BYTES_MAX, AUDIT_CHECKPOINTS_KEPT};

/// A line to be written.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) time: String,
    pub(super) body: String,
    pub(super) mark: Awaited,
}

/// What a line means for the list of intents that wait for an outcome.
#[derive(Debug)]
pub(super) enum Awaited {
    /// Nothing; whoever waits for the line is told if it fails.
    Nothing,
    /// Nothing, and nobody waits for the line: it is kept while the disk fails.
    Kept,
    /// It waits for an outcome; the request.
    Opens(String),
    /// It is the outcome of the intent with this number.
    Closes(u64),
}

/// Owns the files of an open log. After an error only [`Writer::heal`] may be called: what is on disk is unknown.
pub(super) struct Writer {
    pub(super) dir: PathBuf,
    pub(super) files: Box<dyn Files>,
    pub(super) key: SigningKey,
    /// What is durable; a batch that failed is not in it.
    pub(super) chain: Chain,
    pub(super) unanswered: BTreeMap<u64, String>,
    pub(super) segment: Box<dyn Appending>,
    pub(super) segment_path: PathBuf,
    /// Durable bytes of the segment.
    pub(super) segment_bytes: u64,
    pub(super) segment_bytes_max: u64,
    pub(super) checkpoints: Box<dyn Appending>,
    /// Durable bytes of the checkpoints.
    pub(super) checkpoints_bytes: u64,
    /// With more bytes they are trimmed.
    pub(super) trim_at: u64,
    /// Lines covered by the latest checkpoint.
    pub(super) signed: u64,
    /// The latest checkpoint.
    pub(super) latest: String,
    pub(super) buffer: Vec<u8>,
    /// Held as long as this writes.
    pub(super) lock: fs::File,
}

impl Writer {
    /// Writes lines and makes them durable: one write, one sync. After an error none of them counts.
    pub(super) fn commit(&mut self, entries: &[Entry]) -> io::Result<()> {
        if self.segment_bytes >= self.segment_bytes_max {
            self.rotate()?;
        }
        self.buffer.clear();
        let mut chain = self.chain.clone();
        for entry in entries {
            chain.seal(&entry.time, &entry.body, &mut self.buffer);
        }
        self.segment.append(&self.buffer)?;
        self.segment.sync()?;
        for (number, entry) in (self.chain.size()..).zip(entries) {
            match &entry.mark {
                Awaited::Nothing | Awaited::Kept => {}
                Awaited::Opens(request) => {
                    self.unanswered.insert(number, request.clone());
                }
                Awaited::Closes(intent) => {
                    self.unanswered.remove(intent);
                }
            }
        }
        self.chain = chain;
        self.segment_bytes += self.buffer.len() as u64;
        Ok(())
    }

    /// Signs what is durable.
    pub(super) fn checkpoint(&mut self) -> io::Result<()> {
        let size = self.chain.size();
        let note = self.key.sign(size, &self.chain.tree().root());
        self.checkpoints.append(note.as_bytes())?;
        self.checkpoints.sync()?;
        self.checkpoints_bytes += note.len() as u64;
        self.files.replace(&self.dir.join(CHECKPOINT), note.as_bytes())?;
        self.latest = note;
        self.signed = size;
        if self.checkpoints_bytes > self.trim_at { self.trim() } else { Ok(()) }
    }

    /// Forgets checkpoints that nothing is begun or compared with: all but the latest and those at the beginnings of
    /// segments. What one says that was kept elsewhere can still be checked: the tree is made anew from the lines. That
    /// this fails takes nothing from the log, and it is tried again with the next checkpoint. That the file cannot be
    /// written to afterwards does.
    fn trim(&mut self) -> io::Result<()> {
        let path = self.dir.join(CHECKPOINTS);
        let replaced = self.checkpoints_kept().and_then(|kept| {
            let replaced = self.files.replace(&path, kept.as_bytes());
            // After a failure either file may be there, and what counts is the one that is.
            self.checkpoints_bytes = fs::metadata(&path)?.len();
            replaced
        });
        match replaced {
            Ok(()) => self.trim_at = AUDIT_CHECKPOINTS_BYTES_MAX.max(2 * self.checkpoints_bytes),
            Err(error) => {
                tracing::warn!(%error, "old checkpoints cannot be forgotten: tried again with the next one");
            }
        }
        self.checkpoints = self.files.open(&path)?;
        Ok(())
    }

    fn checkpoints_kept(&self) -> io::Result<String> {
        let firsts: BTreeSet<u64> = segments(&self.dir)?.iter().map(|segment| segment.first).collect();
        let text = fs::read_to_string(self.dir.join(CHECKPOINTS))?;
        let notes = notes(&text).notes;
        let recent = notes.len().saturating_sub(AUDIT_CHECKPOINTS_KEPT);
        let kept = notes.iter().enumerate().filter(|(index, (_, note))| {
            *index >= recent || note_size(note).is_some_and(|size| firsts.contains(&size))
        });
        Ok(kept.map(|(_, (_, note))| *note).collect())
    }

    /// Whether lines are not yet covered by a checkpoint.
    pub(super) fn unsigned(&self) -> bool {
        self.signed < self.chain.size()
    }

    /// Seals the segment and begins the next. The frontier comes first, so that a segment that exists has one.
    fn rotate(&mut self) -> io::Result<()> {
        if self.unsigned() {
            self.checkpoint()?;
        }
        let first = self.chain.size();
        let frontier = Frontier::new(&self.chain, &self.unanswered).text();
        self.files.replace(&self.dir.join(frontier_name(first)), frontier.as_bytes())?;
        let path = self.dir.join(segment_name(first));
        self.segment = self.files.create(&path)?;
        self.segment_path = path;
        self.segment_bytes = 0;
        Ok(())
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({}, {} lines, {:?})", self.dir.display(), self.chain.size(), self.lock)
    }
}
