//! Carrying the log elsewhere: signed lines in order, each batch followed by its checkpoint, from a mark on.
//!
//! Only lines that a checkpoint covers leave: they are durable, and what arrives can be verified. A mark says
//! how far the receiver has everything. It is moved after the receiver has it, so that a crash in between
//! delivers lines twice, never not at all; a line's number tells them apart. The mark holds the sum of the
//! last line as well: a log that was rewritten behind it is noticed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    chain::{Break, Chain},
    files::{self, LOG_MODE},
    note::{Checkpoint, PublicKey},
    record::{Decision, Head},
    segment::{self, CHECKPOINT, Damage, Frontier, Segment, frontier_name},
    verify::{VerifyError, read_key},
};
use crate::alarm;

/// What is carried.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// A line of the log, without its LF.
    Line(&'a [u8]),
    /// A signed checkpoint that covers exactly the lines before it (C2SP tlog-checkpoint).
    Checkpoint(&'a str),
}

/// Who receives.
pub trait Sink {
    /// Takes the next; it need not have arrived yet.
    fn put(&mut self, item: Item<'_>) -> io::Result<()>;
    /// Ready when everything put before has arrived to stay.
    fn settle(&mut self) -> io::Result<()>;
}

/// Why nothing more is exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The key, a file or the log cannot be used.
    #[error(transparent)]
    Log(#[from] VerifyError),
    /// The mark's file cannot be read or written.
    #[error("cannot use the mark {}: {source}", path.display())]
    Mark {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The log does not continue what was exported.
    #[error(
        "line {next} does not continue what was exported: the log was rewritten or is another (`cordon audit verify` tells more); to export it from its beginning, use a new mark"
    )]
    OtherLog {
        /// The line that is next.
        next: u64,
    },
    /// Lines that were not exported yet are gone.
    #[error("lines {next} to {} are not there any more: they were deleted before they were exported; to go on with what is there, use a new mark", .first.saturating_sub(1))]
    Gone {
        /// The line that is next.
        next: u64,
        /// The first that is there.
        first: u64,
    },
    /// The lines are not those that were signed.
    #[error(
        "the lines are not those that the checkpoint signs: nothing of them was exported (`cordon audit verify` tells where)"
    )]
    OtherLines,
    /// The receiver failed.
    #[error("not delivered: {0}")]
    Receiver(#[source] io::Error),
}

/// How far a receiver has everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    /// The number of the next line.
    next: u64,
    /// The sum of the line before it.
    sum: Option<String>,
}

/// An export that can go on where it ended.
#[derive(Debug)]
pub struct Export {
    dir: PathBuf,
    key: PublicKey,
    path: PathBuf,
    mark: Option<Mark>,
}

impl Export {
    /// Goes on from a mark; without the file from the first line there is.
    pub fn open(dir: &Path, public_key: Option<&Path>, mark: &Path) -> Result<Self, ExportError> {
        let (key, _) = read_key(dir, public_key)?;
        let failed = |source| ExportError::Mark { path: mark.to_owned(), source };
        let found = match fs::read(mark) {
            Ok(text) => Some(serde_json::from_slice(&text).map_err(|error| failed(error.into()))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        Ok(Self { dir: dir.to_owned(), key, path: mark.to_owned(), mark: found })
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        self.key.name()
    }

    /// Delivers what was signed since the mark and moves it. Gives the number of lines.
    pub fn step(&mut self, sink: &mut dyn Sink) -> Result<u64, ExportError> {
        let path = self.dir.join(CHECKPOINT);
        let failed = |source| VerifyError::File { path: path.clone(), source };
        let note = fs::read_to_string(&path).map_err(failed)?;
        let signed = self.key.open(&note).map_err(|source| VerifyError::Key { path, source })?;
        let mark = match &self.mark {
            Some(mark) if mark.next == signed.size => return Ok(0),
            Some(mark) if mark.next > signed.size => return Err(ExportError::OtherLog { next: mark.next }),
            mark => mark.clone(),
        };
        let segments = segment::segments(&self.dir)
            .map_err(|source| VerifyError::File { path: self.dir.clone(), source })?;
        let there = segments.first().map_or(0, |segment| segment.first);
        let next = mark.as_ref().map_or(there, |mark| mark.next);
        if next < there {
            return Err(ExportError::Gone { next, first: there });
        }
        let begin = segments.iter().rposition(|segment| segment.first <= next).unwrap_or(0);
        let segments = segments.get(begin..).unwrap_or_default();
        // What is deleted meanwhile is no damage.
        let gone = |error| match (error, segment::first_after(&self.dir, next)) {
            (ExportError::Log(VerifyError::Damaged(_)), Some(first)) => ExportError::Gone { next, first },
            (error, _) => error,
        };
        // First everything is checked, then the same lines are read again and delivered.
        let (before, last) = self.check(segments, next, signed).map_err(gone)?;
        if mark.is_some_and(|mark| mark.sum != before) {
            return Err(ExportError::OtherLog { next });
        }
        self.deliver(segments, next, signed.size, sink).map_err(gone)?;
        sink.put(Item::Checkpoint(&note)).map_err(ExportError::Receiver)?;
        self.keep(Mark { next: signed.size, sum: Some(last) }, sink)?;
        Ok(signed.size - next)
    }

    /// Compares the lines with the checkpoint. Gives the sum before the line `next`, and that of the last line.
    fn check(
        &self,
        segments: &[Segment],
        next: u64,
        signed: Checkpoint,
    ) -> Result<(Option<String>, String), ExportError> {
        let mut chain = self.chain(segments)?;
        let mut before = None;
        for segment in segments.iter().take_while(|segment| segment.first < signed.size) {
            if segment.first != chain.size() {
                return Err(ExportError::OtherLines);
            }
            let end = segment::each_line(segment, &mut |line, text| {
                if chain.size() == next {
                    before = Some(chain.sum().to_owned());
                }
                if chain.size() < signed.size {
                    let damage = |error: Break| damage(segment, line, &error.to_string());
                    chain.check(text).map_err(damage)?;
                }
                Ok::<(), Damage>(())
            });
            end.map_err(VerifyError::Damaged)?;
        }
        if chain.size() != signed.size || chain.tree().root() != signed.root {
            return Err(ExportError::OtherLines);
        }
        Ok((before, chain.sum().to_owned()))
    }

    /// The log before the first of the segments.
    fn chain(&self, segments: &[Segment]) -> Result<Chain, ExportError> {
        match segments.first().map_or(0, |segment| segment.first) {
            0 => Ok(Chain::new()),
            first => {
                let name = frontier_name(first);
                let found = Frontier::read(&self.dir.join(&name)).map(|walker| walker.chain);
                let missing = || Damage { file: name, line: 1, what: "it is missing or no frontier".into() };
                found.ok_or_else(|| VerifyError::Damaged(missing()).into())
            }
        }
    }

    fn deliver(
        &self,
        segments: &[Segment],
        next: u64,
        size: u64,
        sink: &mut dyn Sink,
    ) -> Result<(), ExportError> {
        for segment in segments.iter().take_while(|segment| segment.first < size) {
            let mut at = segment.first;
            let mut failure = None;
            let end = segment::each_line(segment, &mut |line, text| {
                if (next..size).contains(&at)
                    && let Err(error) = sink.put(Item::Line(text))
                {
                    failure = Some(error);
                    return Err(damage(segment, line, "it was not delivered"));
                }
                at += 1;
                Ok::<(), Damage>(())
            });
            match failure {
                Some(error) => return Err(ExportError::Receiver(error)),
                None => end.map_err(VerifyError::Damaged)?,
            };
        }
        Ok(())
    }

    /// Moves the mark once everything has arrived.
    fn keep(&mut self, mark: Mark, sink: &mut dyn Sink) -> Result<(), ExportError> {
        sink.settle().map_err(ExportError::Receiver)?;
        let failed = |source| ExportError::Mark { path: self.path.clone(), source };
        let text = serde_json::to_string(&mark).map_err(|error| failed(error.into()))? + "\n";
        files::replace(&self.path, text.as_bytes(), LOG_MODE).map_err(failed)?;
        self.mark = Some(mark);
        Ok(())
    }
}

impl Item<'_> {
    /// One line of JSON, without LF. A checkpoint is `{"type":"checkpoint","note":"…"}`.
    pub fn json(&self) -> Vec<u8> {
        match self {
            Self::Line(line) => line.to_vec(),
            Self::Checkpoint(note) => {
                serde_json::json!({ "type": "checkpoint", "note": note }).to_string().into_bytes()
            }
        }
    }

    /// A syslog message (RFC 5424) of facility 13, log audit: refusals, and what only observe mode lets through, are
    /// warnings, alarms have their own severity and are a notice when they end, the rest is informational.
    /// `host` names the log, `now` is the time of a checkpoint, which says none itself.
    pub fn syslog(&self, host: &str, now: &str) -> Vec<u8> {
        let head = match self {
            Self::Line(line) => serde_json::from_slice::<Head>(line).ok(),
            Self::Checkpoint(_) => None,
        };
        let (severity, kind) = match &head {
            Some(head) if matches!(head.decision, Some(Decision::Denied | Decision::Observed)) => {
                (4, head.kind.word())
            }
            Some(head) => (self.alarm_severity(head).unwrap_or(6), head.kind.word()),
            None => (6, "checkpoint"),
        };
        let time = head.as_ref().map_or(now, |head| &head.time);
        // RFC 5424 §6: printable US-ASCII without blanks, at most 255.
        let host: String = host.chars().filter(char::is_ascii_graphic).take(255).collect();
        let host = if host.is_empty() { "-" } else { &host };
        let priority = 13 * 8 + severity;
        // The byte order mark says that the message is UTF-8.
        let mut message = format!("<{priority}>1 {time} {host} cordon - {kind} - \u{feff}").into_bytes();
        message.extend(self.json());
        message
    }

    /// How bad the alarm is that a line raises; that it is over is a notice.
    fn alarm_severity(&self, head: &Head) -> Option<u8> {
        #[derive(Deserialize)]
        struct Alarmed {
            detail: Detail,
        }
        #[derive(Deserialize)]
        struct Detail {
            severity: String,
        }
        match (head.what.as_deref()?, self) {
            (alarm::CLEARED, _) => Some(5),
            (alarm::RAISED, Self::Line(line)) => {
                let alarmed: Alarmed = serde_json::from_slice(line).ok()?;
                alarm::Severity::parse(&alarmed.detail.severity).map(alarm::Severity::syslog)
            }
            _ => None,
        }
    }
}

fn damage(segment: &Segment, line: u64, what: &str) -> Damage {
    Damage { file: segment.name.clone(), line, what: what.to_owned() }
}
