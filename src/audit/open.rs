//! Opening a log: lock, keys, check of what is there, repair of what a crash leaves.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    aside::{self, Aside, CutOff},
    chain::Chain,
    emergency::{Journal, Left, Opened, marked},
    files::{self, Disk, Files, KEY_MODE},
    log::{Log, Pace, time_text},
    note::{NoteError, PublicKey, SigningKey},
    record::{Ended, Event, Head, HeadKind, Kind, Outcome, Record},
    retention::Retention,
    segment::{self, CHECKPOINTS, Damage, End, LOCK, PUBLIC_KEY, Segment, Walker, segment_name},
    writer::{Awaited, Entry, Writer},
};
use crate::{
    clock::{Clock, Entropy, EntropyError},
    limits::{
        AUDIT_CHECKPOINT_INTERVAL, AUDIT_CHECKPOINTS_BYTES_MAX, AUDIT_QUEUE_RECORDS_MAX, AUDIT_REPLAY_WINDOW,
        AUDIT_SEGMENT_BYTES_MAX, PULL_SERIES_TIME_MAX,
    },
    telemetry::Metrics,
};

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file could not be used.
    #[error("cannot {action} {}: check that the folder belongs to the gateway's user and the disk is well", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process writes this log.
    #[error("the audit log in {} is in use by another gateway: stop that one, or give this one a folder of its own", .0.display())]
    Locked(PathBuf),
    /// The log's key is not there.
    #[error("the audit log in {} has no signing key {}: put the key back, or move the folder away as evidence and begin a new log", dir.display(), key.display())]
    KeyMissing {
        /// The log.
        dir: PathBuf,
        /// Where the key should be.
        key: PathBuf,
    },
    /// Others can read the private key.
    #[error("the signing key {} can be read by others: chmod 600 it, and if somebody may have read it, begin a new log with a new key", .0.display())]
    KeyOpen(PathBuf),
    /// A key cannot be used.
    #[error("the key {} cannot be used", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: NoteError,
    },
    /// The public key in the folder is another's.
    #[error("{} is not the public key of the signing key under the log name `{origin}`: use the name and the key this log was begun with, or a new folder", path.display())]
    KeyChanged {
        /// The public key's file.
        path: PathBuf,
        /// The name given.
        origin: String,
    },
    /// The log cannot be continued.
    #[error("the audit log in {} cannot be continued: {damage}. Nothing was changed. Keep the folder as evidence (move it away), run `cordon audit verify` on it, and begin a new log or restore a copy", dir.display())]
    Damaged {
        /// The log.
        dir: PathBuf,
        /// What is wrong and where.
        damage: Damage,
    },
    /// No random bytes for a key.
    #[error("cannot make a signing key")]
    Entropy(#[from] EntropyError),
}

/// Where and how a log is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder.
    pub dir: PathBuf,
    /// The log's name: the origin of its checkpoints and the name of its key, such as `cordon.example.org/audit`.
    pub origin: String,
    /// The private key; made if it is absent and the log is new.
    pub signing_key: PathBuf,
    /// The emergency journal's file, best on another disk than the log.
    pub emergency_journal: PathBuf,
    /// Bytes of a segment before the next is begun.
    pub segment_bytes_max: u64,
    /// Longest time lines stay unsigned.
    pub checkpoint_interval: Duration,
    /// Records waiting for the disk and places kept for outcomes.
    pub queue_records_max: usize,
    /// What may be deleted.
    pub retention: Retention,
    /// What counts how fast it is written.
    pub metrics: Arc<Metrics>,
    /// Whether segments are packed once they are sealed.
    pub pack: bool,
}

impl Options {
    /// A log in a folder, with the bounds of `limits.rs`.
    pub fn new(dir: &Path, origin: &str) -> Self {
        Self {
            dir: dir.to_owned(),
            origin: origin.to_owned(),
            signing_key: dir.join("signing.key"),
            emergency_journal: dir.join("emergency.journal"),
            segment_bytes_max: AUDIT_SEGMENT_BYTES_MAX,
            checkpoint_interval: AUDIT_CHECKPOINT_INTERVAL,
            queue_records_max: AUDIT_QUEUE_RECORDS_MAX,
            retention: Retention::default(),
            metrics: Arc::default(),
            pack: true,
        }
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// Lines that were there.
    pub lines: u64,
    /// Bytes of an unfinished last line, cut off.
    pub cut_bytes: Option<u64>,
    /// Commands that stood in the emergency journal and were carried over to the log.
    pub carried_over: usize,
    /// Requests whose outcome nobody knows: the gateway stopped in between.
    pub unknown: Vec<String>,
    /// Nonces used within [`AUDIT_REPLAY_WINDOW`], to be refused; of series whose requests may have been, the first.
    pub recent_nonces: Vec<RecentNonce>,
    /// The public key, to be kept by auditors.
    pub public_key: String,
    /// The file it stands in.
    pub public_key_file: PathBuf,
}

/// A nonce that was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentNonce {
    /// When.
    pub time: Timestamp,
    /// The client's name.
    pub client: String,
    /// Its fingerprint, as recorded.
    pub fingerprint: String,
    /// Whether it is the first of a series, the others of which are not recorded.
    pub series: bool,
}

impl Log {
    /// Opens a log, making it if the folder holds none. Lines since the last begun segment are checked, at
    /// least those of the last ten minutes; `verify` checks everything.
    pub fn open(
        options: &Options,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<(Self, OpenReport), AuditError> {
        Self::open_on(Box::new(Disk), options, clock, entropy)
    }

    pub(super) fn open_on(
        files: Box<dyn Files>,
        options: &Options,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<(Self, OpenReport), AuditError> {
        let dir = &options.dir;
        files::make_folder(dir).map_err(file("make the folder", dir))?;
        let lock = lock(dir)?;
        let segments = segment::segments(dir).map_err(file("read the folder", dir))?;
        let (key, key_file) = keys(options, !segments.is_empty(), entropy)?;
        let now = clock.now();
        let mut found = examine(dir, &segments, &key.public(), now)?;
        let path = &options.emergency_journal;
        let journal = Journal::open(path).map_err(file("open", path))?;
        let Opened { mut journal, left, cut } = journal.ok_or_else(|| AuditError::Locked(path.clone()))?;
        let cutoff = cutoff(now);
        found.nonces.extend(left.iter().filter_map(|left| recent(&left.head, cutoff)));
        let report = OpenReport {
            lines: found.walker.chain.size(),
            cut_bytes: found.torn.as_ref().map(|(_, rest)| rest.len() as u64),
            carried_over: left.len(),
            unknown: found.walker.unanswered.values().cloned().collect(),
            recent_nonces: found.nonces.clone(),
            public_key: key.public().to_string(),
            public_key_file: key_file,
        };
        let asides =
            set_aside(dir, &found, cut.as_deref()).map_err(file("set aside what is cut off in", dir))?;
        let entries = first_entries(&found, &left, &asides, now);
        let last = found.last;
        let writer = begin(files, options, found, &segments, key, lock, &entries)?;
        aside::recorded(dir, &asides).map_err(file("rename what was cut off in", dir))?;
        if journal.is_used() {
            journal.clear().map_err(file("empty", path))?;
        }
        let pace = Pace {
            records_max: options.queue_records_max,
            checkpoint_interval: options.checkpoint_interval,
            retention: options.retention,
            metrics: Arc::clone(&options.metrics),
            pack: options.pack,
            last,
        };
        let log = Self::start(writer, journal, clock, pace).map_err(file("start the writer of", dir))?;
        Ok((log, report))
    }
}

fn lock(dir: &Path) -> Result<File, AuditError> {
    let path = dir.join(LOCK);
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = open.map_err(file("open", &path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(AuditError::Locked(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(AuditError::File { action: "lock", path, source }),
    }
}

/// Reads the private key of a log that there is, in the log's name, for what else it is to sign.
pub fn signing_key(path: &Path, origin: &str) -> Result<SigningKey, AuditError> {
    let mode = fs::metadata(path).map_err(file("read", path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(AuditError::KeyOpen(path.to_owned()));
    }
    let pem = zeroize::Zeroizing::new(fs::read_to_string(path).map_err(file("read", path))?);
    SigningKey::from_pem(origin, &pem).map_err(|source| AuditError::Key { path: path.to_owned(), source })
}

/// Reads the keys, or makes them for a new log.
fn keys(options: &Options, begun: bool, entropy: &dyn Entropy) -> Result<(SigningKey, PathBuf), AuditError> {
    let path = &options.signing_key;
    let public_path = options.dir.join(PUBLIC_KEY);
    let broken = |source| AuditError::Key { path: path.clone(), source };
    let key = if path.exists() {
        signing_key(path, &options.origin)?
    } else if begun || public_path.exists() {
        return Err(AuditError::KeyMissing { dir: options.dir.clone(), key: path.clone() });
    } else {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        entropy.fill(seed.as_mut())?;
        let key = SigningKey::from_seed(&options.origin, &seed).map_err(broken)?;
        let pem = key.to_pem().map_err(broken)?;
        files::replace(path, pem.as_bytes(), KEY_MODE).map_err(file("write", path))?;
        key
    };
    let public = format!("{}\n", key.public());
    if !public_path.exists() {
        files::replace(&public_path, public.as_bytes(), 0o644).map_err(file("write", &public_path))?;
    } else if fs::read_to_string(&public_path).map_err(file("read", &public_path))? != public {
        return Err(AuditError::KeyChanged { path: public_path, origin: options.origin.clone() });
    }
    Ok((key, public_path))
}

/// What a log holds when nobody writes it.
pub(super) struct Found {
    pub(super) walker: Walker,
    /// The byte in which an unfinished last line begins, and what there is of it.
    torn: Option<(u64, Vec<u8>)>,
    /// Where whole checkpoints end, if something follows.
    torn_checkpoint: Option<u64>,
    segment_bytes: u64,
    nonces: Vec<RecentNonce>,
    /// Lines covered by the last checkpoint.
    signed: u64,
    /// When the last line was written.
    pub(super) last: Option<Timestamp>,
}

pub(super) fn examine(
    dir: &Path,
    segments: &[Segment],
    key: &PublicKey,
    now: Timestamp,
) -> Result<Found, AuditError> {
    let damaged = |damage| AuditError::Damaged { dir: dir.to_owned(), damage };
    let path = dir.join(CHECKPOINTS);
    let bytes = if path.exists() { fs::read(&path).map_err(file("read", &path))? } else { Vec::new() };
    let text = whole_text(&bytes).map_err(damaged)?;
    let notes = segment::notes(text);
    let cutoff = cutoff(now);
    let start = start(segments, cutoff);
    let first = segments.get(start).map_or(0, |segment| segment.first);
    // From a frontier whose root was signed; what lies before it is not read, or is there no more.
    let from = |first: u64| -> Result<Option<(Walker, Vec<segment::Mark>)>, Damage> {
        let marks = segment::marks(&notes, key, first)?;
        let walker = segment::begin(dir, first, &marks);
        Ok(walker.map(|walker| (walker, marks)))
    };
    let there = segments.first().map_or(0, |segment| segment.first);
    let mut known = from(first).map_err(damaged)?.map(|(walker, marks)| (walker, marks, start));
    if known.is_none() && there > 0 {
        known = from(there).map_err(damaged)?.map(|(walker, marks)| (walker, marks, 0));
    }
    let (mut walker, marks, start) = match known {
        Some(known) => known,
        None => (Walker::default(), segment::marks(&notes, key, 0).map_err(damaged)?, 0),
    };
    let mut found = Found {
        walker: Walker::default(),
        torn: None,
        torn_checkpoint: (notes.end < bytes.len()).then_some(notes.end as u64),
        segment_bytes: 0,
        nonces: Vec::new(),
        signed: marks.last().map_or(0, |mark| mark.checkpoint.size),
        last: None,
    };
    walk(&mut walker, segments.get(start..).unwrap_or_default(), &marks, cutoff, &mut found)
        .map_err(damaged)?;
    if marks.is_empty() && walker.chain.size() > 0 {
        let what = "there is no checkpoint although there are lines".to_owned();
        return Err(damaged(Damage { file: CHECKPOINTS.to_owned(), line: 1, what }));
    }
    found.walker = walker;
    Ok(found)
}

fn walk(
    walker: &mut Walker,
    segments: &[Segment],
    marks: &[segment::Mark],
    cutoff: Timestamp,
    found: &mut Found,
) -> Result<(), Damage> {
    let mut ahead = marks;
    for (index, segment) in segments.iter().enumerate() {
        let (nonces, last) = (&mut found.nonces, &mut found.last);
        match walker.segment(segment, &mut ahead, &mut |head, _| {
            nonces.extend(recent(head, cutoff));
            *last = head.time.parse().ok().or(*last);
        })? {
            End::Whole { bytes } => found.segment_bytes = bytes,
            End::Torn { bytes, .. } if index + 1 == segments.len() => {
                let unreadable = |error: io::Error| Damage {
                    file: segment.name.clone(),
                    line: 1,
                    what: error.to_string(),
                };
                found.segment_bytes = bytes;
                found.torn = Some((bytes, segment.from(bytes).map_err(unreadable)?));
            }
            End::Torn { line, .. } => {
                let what = "the last line of the segment is not whole".to_owned();
                return Err(Damage { file: segment.name.clone(), line, what });
            }
        }
    }
    match ahead.iter().find(|mark| mark.checkpoint.size > walker.chain.size()) {
        Some(mark) => Err(segment::beyond(mark, walker.chain.size())),
        None => Ok(()),
    }
}

/// The last segment that begins before the cutoff: all later lines are in it or after it.
fn start(segments: &[Segment], cutoff: Timestamp) -> usize {
    let before = |segment: &Segment| segment.first_time().is_some_and(|time| time < cutoff);
    segments.iter().rposition(before).unwrap_or(0)
}

/// From when on the nonces of series count.
fn cutoff(now: Timestamp) -> Timestamp {
    let window = SignedDuration::try_from(AUDIT_REPLAY_WINDOW + PULL_SERIES_TIME_MAX).unwrap_or_default();
    now.saturating_sub(window).unwrap_or(now)
}

fn recent(head: &Head, cutoff: Timestamp) -> Option<RecentNonce> {
    let fingerprint = head.nonce.clone().filter(|_| head.kind == HeadKind::Intent)?;
    let who = head.who.clone().filter(|who| who.kind == Kind::Client)?;
    let time: Timestamp = head.time.parse().ok()?;
    let series = head.series.is_some();
    // The last request of a series may be later than its line.
    let longer = SignedDuration::try_from(PULL_SERIES_TIME_MAX).unwrap_or_default();
    let cutoff = if series { cutoff } else { cutoff.saturating_add(longer).unwrap_or(cutoff) };
    (time >= cutoff).then_some(RecentNonce { time, client: who.name, fingerprint, series })
}

/// The text of a file whose end may be torn within a character.
fn whole_text(bytes: &[u8]) -> Result<&str, Damage> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let whole = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let text = std::str::from_utf8(whole).unwrap_or_default();
            let line = text.matches('\n').count() as u64 + 1;
            let damage = Damage { file: CHECKPOINTS.to_owned(), line, what: "it is no text".to_owned() };
            if error.error_len().is_none() { Ok(text) } else { Err(damage) }
        }
    }
}

/// Repairs what a crash left, opens the files for writing and records the start.
fn begin(
    mut files: Box<dyn Files>,
    options: &Options,
    found: Found,
    segments: &[Segment],
    key: SigningKey,
    lock: File,
    entries: &[Entry],
) -> Result<Writer, AuditError> {
    let dir = options.dir.clone();
    let checkpoints_path = dir.join(CHECKPOINTS);
    let segment_path =
        segments.last().map_or_else(|| dir.join(segment_name(0)), |segment| segment.path.clone());
    if let Some(last) = segments.last().filter(|last| last.is_packed()) {
        let what = "it is packed, so that a segment after it was begun, and that one is missing".to_owned();
        let damage = Damage { file: last.name.clone(), line: 1, what };
        return Err(AuditError::Damaged { dir, damage });
    }
    if let Some((length, _)) = &found.torn {
        files::cut(&segment_path, *length).map_err(file("cut", &segment_path))?;
    }
    if let Some(length) = found.torn_checkpoint {
        files::cut(&checkpoints_path, length).map_err(file("cut", &checkpoints_path))?;
    }
    let mut open = |path: &Path| {
        let opened = if path.exists() { files.open(path) } else { files.create(path) };
        opened.map_err(file("open", path))
    };
    let segment = open(&segment_path)?;
    let checkpoints = open(&checkpoints_path)?;
    let checkpoints_bytes = fs::metadata(&checkpoints_path).map_err(file("read", &checkpoints_path))?.len();
    let mut writer = Writer {
        dir: dir.clone(),
        files,
        key,
        chain: found.walker.chain,
        unanswered: found.walker.unanswered,
        segment,
        segment_path,
        segment_bytes: found.segment_bytes,
        segment_bytes_max: options.segment_bytes_max,
        checkpoints,
        checkpoints_bytes,
        trim_at: AUDIT_CHECKPOINTS_BYTES_MAX,
        signed: 0,
        latest: String::new(),
        buffer: Vec::new(),
        lock,
    };
    // A new log signs that it is empty, so that there is never a line without a checkpoint before it.
    if writer.chain == Chain::new() {
        writer.checkpoint().map_err(file("write a checkpoint to", &dir))?;
    }
    writer.commit(entries).map_err(file("write lines to", &dir))?;
    writer.checkpoint().map_err(file("write a checkpoint to", &dir))?;
    Ok(writer)
}

/// Keeps what is about to be cut off: lines behind what is none, which nobody can tell from forged ones, and what of the
/// emergency journal cannot be carried over. Gives all that no event tells of yet.
fn set_aside(dir: &Path, found: &Found, journal_cut: Option<&[u8]>) -> io::Result<Vec<Aside>> {
    let lines = found.walker.chain.size();
    if let Some((_, rest)) = &found.torn {
        aside::set_aside(dir, CutOff::Lines, lines, rest)?;
    }
    if let Some(rest) = journal_cut {
        aside::set_aside(dir, CutOff::Journal, lines, rest)?;
    }
    aside::unrecorded(dir)
}

/// The event that a start begins with: how many lines there were, and how many of them no checkpoint covered, so that
/// anybody who can write the folder may have put them there.
pub(super) const OPENED: &str = "log-open";

fn first_entries(found: &Found, left: &[Left], asides: &[Aside], now: Timestamp) -> Vec<Entry> {
    let entry = |record: Record, mark| Entry { time: time_text(now), body: record.body(), mark };
    let event = |what: &str, detail| entry(Record::Event(Event::new(what, detail)), Awaited::Nothing);
    let lines = found.walker.chain.size();
    let mut entries = vec![event(
        OPENED,
        json!({ "version": env!("CARGO_PKG_VERSION"), "lines": lines, "unsigned": lines.saturating_sub(found.signed) }),
    )];
    for Aside { of, name, bytes, begins } in asides {
        entries.push(event(of.event(), json!({ "bytes": bytes, "begins": begins, "file": name })));
    }
    if found.torn_checkpoint.is_some() {
        entries.push(event("log-checkpoint-cut", serde_json::Value::Null));
    }
    for (intent, request) in &found.walker.unanswered {
        let ended = Ended { intent: *intent, request: request.clone(), outcome: Outcome::default() };
        entries.push(entry(Record::Outcome(ended), Awaited::Closes(*intent)));
    }
    for Left { head, intent } in left {
        let number = lines + entries.len() as u64;
        let request = intent.request.clone();
        entries.push(entry(marked(intent, &head.time), Awaited::Opens(request.clone())));
        let ended = Ended { intent: number, request, outcome: Outcome::default() };
        entries.push(entry(Record::Outcome(ended), Awaited::Closes(number)));
    }
    entries
}

fn file<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> AuditError + 'a {
    move |source| AuditError::File { action, path: path.to_owned(), source }
}
