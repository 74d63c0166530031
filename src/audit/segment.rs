//! Reading a log: segments, lines, checkpoints, and where they are damaged.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    chain::{Chain, hex},
    note::{Checkpoint, PublicKey},
    pack,
    record::{Decision, Head, HeadKind},
    tree::Hash,
};
use crate::limits::{AUDIT_LINE_BYTES_MAX, AUDIT_SEGMENT_BYTES_MAX};

/// What is wrong with a log, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file's name within the log's folder (or the path given for a file from elsewhere).
    pub file: String,
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}: {}", self.file, self.line, self.what)
    }
}

impl std::error::Error for Damage {}

/// One file of lines, plain or packed.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) name: String,
    pub(super) path: PathBuf,
}

impl Segment {
    /// The plain file and the packed one, of which one is there, or both after a crash.
    pub(super) fn forms(&self) -> [PathBuf; 2] {
        [segment_name(self.first), segment_name(self.first) + PACKED]
            .map(|name| self.path.with_file_name(name))
    }

    pub(super) fn is_packed(&self) -> bool {
        self.name.ends_with(PACKED)
    }

    /// Its lines. One that is packed at this moment is found again under its new name.
    pub(super) fn lines(&self) -> io::Result<Box<dyn BufRead>> {
        let [plain, packed] = self.forms();
        let file = match File::open(&plain) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Box::new(BufReader::with_capacity(1 << 16, pack::unpacked(File::open(packed)?))));
            }
            file => file?,
        };
        Ok(Box::new(BufReader::with_capacity(1 << 16, file)))
    }

    /// What it takes on the disk.
    pub(super) fn disk_bytes(&self) -> io::Result<u64> {
        let [plain, packed] = self.forms();
        match fs::metadata(plain) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(fs::metadata(packed)?.len()),
            found => Ok(found?.len()),
        }
    }

    /// The length of its lines, and its last sum.
    pub(super) fn end(&self) -> io::Result<(u64, String)> {
        let [plain, packed] = self.forms();
        let mut file = match File::open(plain) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return pack::says(&packed),
            file => file?,
        };
        let bytes = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(bytes.saturating_sub(SUM_BYTES)))?;
        let mut last = Vec::new();
        file.take(SUM_BYTES).read_to_end(&mut last)?;
        Ok((bytes, String::from_utf8_lossy(&last).trim_end_matches(['"', '}', '\n']).to_owned()))
    }

    /// All bytes from one on, of a segment that is not packed.
    pub(super) fn from(&self, byte: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(byte))?;
        let mut rest = Vec::new();
        file.take(AUDIT_SEGMENT_BYTES_MAX).read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// The time of its first line, as it says; none if it cannot be read.
    pub(super) fn first_time(&self) -> Option<Timestamp> {
        let mut line = Vec::new();
        self.lines().ok()?.take(AUDIT_LINE_BYTES_MAX as u64).read_until(b'\n', &mut line).ok()?;
        serde_json::from_slice::<Head>(&line).ok()?.time.parse().ok()
    }
}

/// The name of the segment whose first line has this number.
pub(super) fn segment_name(first: u64) -> String {
    format!("segment-{first:016}.jsonl")
}

/// The name of the file that says how the tree stood before that segment.
pub(super) fn frontier_name(first: u64) -> String {
    format!("frontier-{first:016}.json")
}

/// The segments of a folder, in order.
pub(super) fn segments(dir: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let plain = name.strip_suffix(PACKED).unwrap_or(&name);
        let digits = plain.strip_prefix("segment-").and_then(|rest| rest.strip_suffix(".jsonl"));
        if let Some(first) = digits.and_then(|digits| digits.parse().ok()) {
            found.push(Segment { first, name, path: entry.path() });
        }
    }
    // Of one that is there twice the plain file counts: only what was read back replaces it.
    found.sort_by_key(|segment| (segment.first, segment.is_packed()));
    found.dedup_by_key(|segment| segment.first);
    Ok(found)
}

/// The first line there is, if retention has deleted what was before it since a segment was listed.
pub(super) fn first_after(dir: &Path, listed: u64) -> Option<u64> {
    let first = segments(dir).ok()?.first()?.first;
    (first > listed).then_some(first)
}

/// A signed checkpoint that the lines must agree with.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) file: String,
    pub(super) line: u64,
    pub(super) checkpoint: Checkpoint,
}

/// The notes of a `checkpoints` file, each with its first line, and what follows the last whole one.
#[derive(Debug)]
pub(super) struct Notes<'a> {
    pub(super) notes: Vec<(u64, &'a str)>,
    /// Where the last whole note ends, in bytes.
    pub(super) end: usize,
    /// Whether something follows.
    pub(super) torn: bool,
}

/// Cuts a `checkpoints` file into notes of five lines.
pub(super) fn notes(text: &str) -> Notes<'_> {
    let mut found = Notes { notes: Vec::new(), end: 0, torn: false };
    let mut rest = text;
    while !rest.is_empty() {
        let Some((last, _)) = rest.match_indices('\n').nth(NOTE_LINES - 1) else {
            found.torn = true;
            break;
        };
        let Some((note, after)) = rest.split_at_checked(last + 1) else { break };
        let line = found.notes.len() * NOTE_LINES + 1;
        found.notes.push((line as u64, note));
        found.end += note.len();
        rest = after;
    }
    found
}

/// The size that a note speaks of, whether or not its signature holds.
pub(super) fn note_size(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
}

/// Checks the notes that cover at least `from` lines, in order.
pub(super) fn marks(notes: &Notes<'_>, key: &PublicKey, from: u64) -> Result<Vec<Mark>, Damage> {
    // Only to skip what need not be checked: sizes are believed once the signature holds.
    let before = |(_, note): &(u64, &str)| note_size(note).is_some_and(|size| size < from);
    let skipped = notes.notes.iter().rposition(before).map_or(0, |index| index + 1);
    let mut found: Vec<Mark> = Vec::new();
    for (line, note) in notes.notes.iter().skip(skipped) {
        let damage = |what: String| Damage { file: CHECKPOINTS.to_owned(), line: *line, what };
        let checkpoint = key.open(note).map_err(|error| damage(error.to_string()))?;
        if found.last().is_some_and(|before| before.checkpoint.size > checkpoint.size) {
            return Err(damage("it covers fewer lines than the checkpoint before it".to_owned()));
        }
        found.push(Mark { file: CHECKPOINTS.to_owned(), line: *line, checkpoint });
    }
    Ok(found)
}

/// How the log stood when a segment was begun, so that opening need not read what is before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Frontier {
    size: u64,
    sum: String,
    hashes: Vec<String>,
    unanswered: BTreeMap<u64, String>,
}

impl Frontier {
    pub(super) fn new(chain: &Chain, unanswered: &BTreeMap<u64, String>) -> Self {
        let hashes = chain.tree().hashes().iter().map(|hash| hex(hash)).collect();
        let sum = chain.sum().to_owned();
        Self { size: chain.size(), sum, hashes, unanswered: unanswered.clone() }
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// The walker that goes on from here; none if the file is absent or no frontier.
    pub(super) fn read(path: &Path) -> Option<Walker> {
        let found: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let hashes = found.hashes.iter().map(|text| unhex(text)).collect::<Option<Vec<Hash>>>()?;
        let chain = Chain::from_parts(&found.sum, found.size, hashes)?;
        Some(Walker { chain, unanswered: found.unanswered })
    }
}

/// Goes over lines in order, checking each.
#[derive(Debug, Default)]
pub(super) struct Walker {
    pub(super) chain: Chain,
    /// Permitted intents without an outcome so far: number and request.
    pub(super) unanswered: BTreeMap<u64, String>,
}

/// How a segment ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// After a whole line.
    Whole { bytes: u64 },
    /// In the middle of a line that begins at this byte.
    Torn { line: u64, bytes: u64, rest: Vec<u8> },
}

impl Walker {
    /// Takes all lines of a segment. `marks` are the checkpoints still ahead, in order.
    pub(super) fn segment(
        &mut self,
        segment: &Segment,
        marks: &mut &[Mark],
        seen: &mut dyn FnMut(&Head, &[u8]),
    ) -> Result<End, Damage> {
        let damage = |line: u64, what: String| Damage { file: segment.name.clone(), line, what };
        if segment.first != self.chain.size() {
            let what =
                format!("the log goes on with number {}: lines or files are missing", self.chain.size());
            return Err(damage(1, what));
        }
        self.compare(marks)?;
        each_line(segment, &mut |line, text| {
            self.chain.check(text).map_err(|error| damage(line, error.to_string()))?;
            let head: Head = serde_json::from_slice(text)
                .map_err(|error| damage(line, format!("the line is no record: {error}")))?;
            self.account(&head);
            seen(&head, text);
            self.compare(marks)
        })
    }

    /// Compares the tree with the checkpoints that cover exactly the lines so far.
    fn compare(&self, marks: &mut &[Mark]) -> Result<(), Damage> {
        while let Some((mark, rest)) = marks.split_first() {
            if mark.checkpoint.size != self.chain.size() {
                break;
            }
            if mark.checkpoint.root != self.chain.tree().root() {
                let what = format!(
                    "the first {} lines are not those that were signed: lines were rewritten",
                    mark.checkpoint.size
                );
                return Err(Damage { file: mark.file.clone(), line: mark.line, what });
            }
            *marks = rest;
        }
        Ok(())
    }

    fn account(&mut self, head: &Head) {
        match (head.kind, head.decision, head.intent) {
            (HeadKind::Intent, Some(Decision::Permitted | Decision::Observed), _) => {
                self.unanswered.insert(head.seq, head.request.clone());
            }
            (HeadKind::Outcome, _, Some(intent)) => {
                self.unanswered.remove(&intent);
            }
            _ => {}
        }
    }
}

/// What takes a line's place and its bytes.
pub(super) type Seen<'a, E> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), E>;

/// Reads a segment line by line, each with its place in the file, counted from 1, and without its LF.
pub(super) fn each_line<E: From<Damage>>(segment: &Segment, seen: Seen<'_, E>) -> Result<End, E> {
    let damage = |line: u64, what: String| Damage { file: segment.name.clone(), line, what };
    let mut reader = segment.lines().map_err(|error| damage(1, error.to_string()))?;
    let (mut line, mut bytes, mut buffer) = (0, 0, Vec::new());
    loop {
        line += 1;
        buffer.clear();
        let limit = AUDIT_LINE_BYTES_MAX as u64 + 1;
        let read = reader.by_ref().take(limit).read_until(b'\n', &mut buffer);
        let read = read.map_err(|error| damage(line, error.to_string()))? as u64;
        // A machine that loses its power while a line is on its way may leave zeros where it, or the rest of it, was
        // to stand, and what came later behind them. JSON holds none.
        if buffer.contains(&0) {
            return Ok(End::Torn { line, bytes, rest: buffer });
        }
        let Some(text) = buffer.strip_suffix(b"\n") else {
            return match read {
                0 => Ok(End::Whole { bytes }),
                read if read == limit => Err(damage(line, "the line is too long".to_owned()).into()),
                _ => Ok(End::Torn { line, bytes, rest: buffer }),
            };
        };
        seen(line, text)?;
        bytes += read;
    }
}

/// The walker that goes on where a segment begins, if its frontier is one that was signed.
pub(super) fn begin(dir: &Path, first: u64, marks: &[Mark]) -> Option<Walker> {
    Frontier::read(&dir.join(frontier_name(first))).filter(|walker| {
        let (size, root) = (walker.chain.size(), walker.chain.tree().root());
        size == first && marks.iter().any(|mark| mark.checkpoint.size == size && mark.checkpoint.root == root)
    })
}

/// What is wrong when checkpoints are left that no line reaches.
pub(super) fn beyond(mark: &Mark, lines: u64) -> Damage {
    let size = mark.checkpoint.size;
    let what = format!("it covers {size} lines but the log has {lines}: lines were removed at the end");
    Damage { file: mark.file.clone(), line: mark.line, what }
}

/// The byte in which the last `count` lines of a file begin.
pub(super) fn last_lines(file: &mut File, count: usize) -> io::Result<u64> {
    let mut at = file.seek(SeekFrom::End(0))?;
    let mut block = vec![0; 1 << 16];
    let mut found = 0;
    while at > 0 {
        let size = at.min(block.len() as u64);
        at -= size;
        file.seek(SeekFrom::Start(at))?;
        let part = block.get_mut(..usize::try_from(size).unwrap_or(0)).unwrap_or_default();
        file.read_exact(part)?;
        for (index, _) in part.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            if found == count {
                return Ok(at + index as u64 + 1);
            }
            found += 1;
        }
    }
    Ok(0)
}

fn unhex(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// What the name of a packed segment ends with.
pub(super) const PACKED: &str = ".gz";
/// A sum and what closes the line.
const SUM_BYTES: u64 = 32 + 3;
/// All checkpoints, one after the other.
pub(super) const CHECKPOINTS: &str = "checkpoints";
/// The latest checkpoint alone.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// The public key.
pub(super) const PUBLIC_KEY: &str = "public.key";
/// The file a writer holds locked.
pub(super) const LOCK: &str = "lock";
/// Lines of one checkpoint.
pub(super) const NOTE_LINES: usize = 5;
