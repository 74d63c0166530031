//! The log for people: one readable line per record.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::{
    record::{Asked, Decision, Ended, Event, Intent, Kind, Record, Series, Who},
    segment::{self, Segment, last_lines},
};

/// Reads the lines at the end of a log, and those that are added.
pub struct Tail {
    dir: PathBuf,
    segment: Option<Segment>,
    reader: Option<Box<dyn BufRead>>,
    partial: Vec<u8>,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tail({}, {:?})", self.dir.display(), self.segment)
    }
}

impl Tail {
    /// Begins `lines` before the end.
    pub fn open(dir: &Path, lines: usize) -> io::Result<Self> {
        let mut tail = Self { dir: dir.to_owned(), segment: None, reader: None, partial: Vec::new() };
        let segments = segment::segments(dir)?;
        let Some(last) = segments.last() else { return Ok(tail) };
        let first = total(last)?.saturating_sub(lines as u64);
        let begin = segments.iter().rfind(|segment| segment.first <= first).unwrap_or(last);
        let (skip, end) = (first.saturating_sub(begin.first), next_first(&segments, begin, last)?);
        match File::open(&begin.path) {
            // A plain file is read from behind.
            Ok(mut file) if !begin.is_packed() => {
                let wanted = end.saturating_sub(begin.first + skip);
                let at = last_lines(&mut file, usize::try_from(wanted).unwrap_or(usize::MAX))?;
                file.seek(SeekFrom::Start(at))?;
                tail.reader = Some(Box::new(BufReader::new(file)));
                tail.segment = Some(begin.clone());
            }
            Ok(_) | Err(_) => {
                tail.enter(begin.clone())?;
                for _ in 0..skip {
                    tail.next_line()?;
                }
            }
        }
        Ok(tail)
    }

    /// The next whole line without its LF; none if there is none yet.
    pub fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let Some(reader) = &mut self.reader else {
                let Some(first) = segment::segments(&self.dir)?.into_iter().next() else { return Ok(None) };
                self.enter(first)?;
                continue;
            };
            reader.read_until(b'\n', &mut self.partial)?;
            if self.partial.last() == Some(&b'\n') {
                self.partial.pop();
                return Ok(Some(std::mem::take(&mut self.partial)));
            }
            let current = self.segment.as_ref().map_or(0, |segment| segment.first);
            let next = segment::segments(&self.dir)?.into_iter().find(|segment| segment.first > current);
            let Some(next) = next.filter(|_| self.partial.is_empty()) else { return Ok(None) };
            self.enter(next)?;
        }
    }

    fn enter(&mut self, segment: Segment) -> io::Result<()> {
        self.reader = Some(segment.lines()?);
        self.segment = Some(segment);
        Ok(())
    }
}

/// Makes lines readable. Remembers a bounded number of intents, to say whose outcome it is.
#[derive(Debug, Default)]
pub struct Renderer {
    seen: VecDeque<(u64, String)>,
}

impl Renderer {
    /// A line of the log for a person, safe for a terminal.
    pub fn line(&mut self, line: &[u8]) -> String {
        #[derive(serde::Deserialize)]
        struct Line {
            seq: u64,
            time: String,
            #[serde(flatten)]
            record: Record,
        }
        let text = match serde_json::from_slice::<Line>(line) {
            Ok(Line { seq, time, record }) => {
                let rest = match record {
                    Record::Intent(intent) => self.intent(seq, &intent),
                    Record::Outcome(ended) => self.outcome(&ended),
                    Record::Event(event) => words(&event),
                };
                format!("{time} #{seq} {rest}")
            }
            Err(_) => format!("(no record) {}", String::from_utf8_lossy(line)),
        };
        printable(&text)
    }

    fn intent(&mut self, seq: u64, intent: &Intent) -> String {
        let camera = intent.camera.as_deref().unwrap_or("-");
        if self.seen.len() >= SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back((seq, format!("{camera} {}", intent.operation)));
        let decision = match intent.decision {
            Decision::Permitted => "permitted",
            Decision::Denied => "DENIED",
            Decision::Observed => "OBSERVED, denied",
        };
        let from = intent.source.as_deref().map(|source| format!(" from {source}")).unwrap_or_default();
        let mut text = format!("{}{from} {camera} {} {decision}", name(&intent.who), intent.operation);
        for part in [&intent.fault, &intent.note].into_iter().flatten() {
            text = text + ", " + part;
        }
        if let Some(Series { every_seconds, times_max, until }) = &intent.series {
            text += &format!(", each {every_seconds} s, {times_max} times at most, until {until}");
        }
        if !intent.policies.is_empty() {
            text = text + " by " + &intent.policies.join(" ");
        }
        if !intent.destinations.is_empty() {
            text = text + " to " + &intent.destinations.join(" ");
        }
        text
    }

    fn outcome(&self, ended: &Ended) -> String {
        let whose = self.seen.iter().rev().find(|(seq, _)| *seq == ended.intent);
        let whose = whose.map(|(_, whose)| format!(" {whose}")).unwrap_or_default();
        let outcome = &ended.outcome;
        let mut text = format!("  outcome of #{}{whose}: {}", ended.intent, outcome.what.words());
        if let Some(status) = outcome.status {
            text += &format!(" {status}");
        }
        for part in [&outcome.fault, &outcome.note].into_iter().flatten() {
            text = text + " " + part;
        }
        if let Some(Asked { times, answered }) = outcome.series {
            text += &format!(" asked {times} times, answered {answered} times");
        }
        if let Some(took) = outcome.duration_us {
            text += &format!(" after {}.{:03} ms", took / 1_000, took % 1_000);
        }
        if !outcome.deviations.is_empty() {
            let count: u64 = outcome.deviations.iter().map(|deviation| deviation.count).sum();
            text += &format!(", {count} deviations");
        }
        text
    }
}

fn words(event: &Event) -> String {
    let who = event.who.as_ref().map(|who| format!(" by {}", name(who))).unwrap_or_default();
    let camera = event.camera.as_deref().map(|camera| format!(" {camera}")).unwrap_or_default();
    let detail = if event.detail.is_null() { String::new() } else { format!(" {}", event.detail) };
    format!("event {}{camera}{who}{detail}", event.what)
}

fn name(who: &Who) -> String {
    match (who.kind, &who.role) {
        (Kind::Anonymous, _) => "anonymous".to_owned(),
        (Kind::Gateway, _) => format!("gateway({})", who.name),
        (Kind::Local, _) => format!("local({})", who.name),
        (Kind::Client, Some(role)) => format!("{}({role})", who.name),
        (Kind::Client, None) => who.name.clone(),
    }
}

/// A text without control characters, and without those that reorder or hide text on a terminal.
pub fn printable(text: &str) -> String {
    let unsafe_char = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|letter| if unsafe_char(letter) { '\u{fffd}' } else { letter }).collect()
}

/// Number of the line after the last whole one of a segment.
fn total(segment: &Segment) -> io::Result<u64> {
    let mut reader = segment.lines()?;
    let (mut count, mut buffer) = (segment.first, Vec::new());
    loop {
        buffer.clear();
        reader.read_until(b'\n', &mut buffer)?;
        if buffer.last() != Some(&b'\n') {
            return Ok(count);
        }
        count += 1;
    }
}

fn next_first(segments: &[Segment], of: &Segment, last: &Segment) -> io::Result<u64> {
    match segments.iter().find(|segment| segment.first > of.first) {
        Some(next) => Ok(next.first),
        None => total(last),
    }
}

const SEEN_MAX: usize = 4_096;
