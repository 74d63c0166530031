//! Checks a log with nothing but its files and the public key.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{
    index::{self, Index},
    note::{NoteError, PublicKey},
    open::OPENED,
    record::{Head, HeadKind},
    retention::PRUNED,
    segment::{
        self, CHECKPOINT, CHECKPOINTS, Damage, End, Frontier, Mark, PUBLIC_KEY, Segment, Walker,
        frontier_name,
    },
};

/// Why a log could not even be looked at, or failed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The public key is none.
    #[error("{}: {source}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: NoteError,
    },
    /// The log is not what was written and signed.
    #[error("{0}")]
    Damaged(#[from] Damage),
    /// A checkpoint kept elsewhere covers nothing that is still there.
    #[error(
        "{file}: it covers the first {size} lines, and the first {first} were deleted by retention: nothing that is left can be compared with it. Verify without it, and with one that was made later"
    )]
    Incomparable {
        /// The checkpoint's file.
        file: String,
        /// The lines it covers.
        size: u64,
        /// The lines that are gone.
        first: u64,
    },
}

/// What a check that found nothing wrong covered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The public key used.
    pub public_key: String,
    /// Whether it came from elsewhere than the log's folder.
    pub key_from_elsewhere: bool,
    /// Segments.
    pub segments: usize,
    /// Lines, those that retention deleted included.
    pub lines: u64,
    /// The first lines, which retention deleted; that is on record.
    pub pruned: u64,
    /// Checkpoints.
    pub checkpoints: usize,
    /// Lines covered by the last checkpoint.
    pub signed: u64,
    /// Lines covered by the checkpoint kept elsewhere, if one was given.
    pub witnessed: Option<u64>,
    /// Permitted commands without an outcome yet.
    pub unanswered: usize,
    /// Time of the first and the last line.
    pub span: Option<(String, String)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segments, lines, checkpoints, signed, unanswered, .. } = self;
        writeln!(
            f,
            "audit log verified: {lines} lines in {segments} segments, {checkpoints} signed checkpoints"
        )?;
        if let Some((first, last)) = &self.span {
            writeln!(f, "  from {first} to {last}")?;
        }
        writeln!(f, "  public key: {}", self.public_key)?;
        if self.pruned > 0 {
            writeln!(
                f,
                "  the first {} lines were deleted by retention, which is on record; the tree goes on from a \
                 signed checkpoint",
                self.pruned
            )?;
        }
        writeln!(f, "  permitted commands without an outcome: {unanswered}")?;
        match lines - signed {
            0 => writeln!(f, "  every line is covered by a signed checkpoint")?,
            rest => writeln!(
                f,
                "  {rest} lines after the last signed checkpoint: their sums hold, but whoever could write the \
                 folder could have replaced or removed lines there"
            )?,
        }
        match self.witnessed {
            Some(size) => writeln!(f, "  the first {size} lines are those of the checkpoint kept elsewhere")?,
            None => writeln!(
                f,
                "  no checkpoint kept elsewhere was given (--checkpoint FILE): a rollback to an older state, or a \
                 rewrite by somebody with the signing key, cannot be excluded"
            )?,
        }
        if !self.key_from_elsewhere {
            writeln!(
                f,
                "  the public key was taken from the folder itself: compare it with one kept elsewhere"
            )?;
        }
        Ok(())
    }
}

/// Checks every line, sum, number, leaf, root and signature of a log. `public_key` is a file or the key itself.
pub fn verify(
    dir: &Path,
    public_key: Option<&Path>,
    checkpoint: Option<&Path>,
) -> Result<Report, VerifyError> {
    let first = || segment::segments(dir).ok().and_then(|all| all.first().map(|segment| segment.first));
    let mut begins = first();
    for _ in 0..DELETIONS_OUTRUN_MAX {
        match verify_once(dir, public_key, checkpoint) {
            // Retention deleted what was being read: what it left is read anew.
            Err(_) if first() != begins => begins = first(),
            verified => return verified,
        }
    }
    verify_once(dir, public_key, checkpoint)
}

/// Deletions by a gateway that goes on meanwhile, after which a log is read anew.
const DELETIONS_OUTRUN_MAX: usize = 8;

fn verify_once(
    dir: &Path,
    public_key: Option<&Path>,
    checkpoint: Option<&Path>,
) -> Result<Report, VerifyError> {
    let (key, key_from_elsewhere) = read_key(dir, public_key)?;
    // Checkpoints before lines: a gateway that goes on writing meanwhile only adds lines.
    let latest = dir.join(CHECKPOINT);
    let latest = if latest.exists() { Some(read(&latest)?) } else { None };
    let text = read_own(dir, CHECKPOINTS)?;
    let notes = segment::notes(&text);
    let mut marks = segment::marks(&notes, &key, 0)?;
    if notes.torn {
        let line = notes.notes.last().map_or(1, |(line, _)| line + segment::NOTE_LINES as u64);
        let what = "the last checkpoint is not whole".to_owned();
        return Err(Damage { file: CHECKPOINTS.to_owned(), line, what }.into());
    }
    let Some(signed) = marks.last().map(|mark| mark.checkpoint.size) else {
        let what = "there is no checkpoint".to_owned();
        return Err(Damage { file: CHECKPOINTS.to_owned(), line: 1, what }.into());
    };
    let checkpoints = marks.len();
    if latest.is_some_and(|latest| !notes.notes.iter().any(|(_, note)| *note == latest)) {
        let what = format!("it is none of the checkpoints in `{CHECKPOINTS}`");
        return Err(Damage { file: CHECKPOINT.to_owned(), line: 1, what }.into());
    }
    let witnessed = checkpoint.map(|path| witness(path, &key, &mut marks)).transpose()?;
    let segments =
        segment::segments(dir).map_err(|source| VerifyError::File { path: dir.to_owned(), source })?;
    let pruned = segments.first().map_or(0, |segment| segment.first);
    if let (Some(path), Some(size)) = (checkpoint, witnessed.filter(|size| *size < pruned)) {
        let file = path.display().to_string();
        return Err(VerifyError::Incomparable { file, size, first: pruned });
    }
    let (walker, span) = walk(dir, &segments, &marks, signed)?;
    Ok(Report {
        public_key: key.to_string(),
        key_from_elsewhere,
        segments: segments.len(),
        lines: walker.chain.size(),
        pruned,
        checkpoints,
        signed,
        witnessed,
        unanswered: walker.unanswered.len(),
        span,
    })
}

type Span = Option<(String, String)>;

fn walk(
    dir: &Path,
    segments: &[Segment],
    marks: &[Mark],
    signed: u64,
) -> Result<(Walker, Span), VerifyError> {
    let first = segments.first().map_or(0, |segment| segment.first);
    let mut walker = begin(dir, first, marks)?;
    let mut span: Span = None;
    // Checkpoints of lines that are there no more: their signatures hold, that is all that can be said.
    let mut ahead =
        marks.get(marks.partition_point(|mark| mark.checkpoint.size < first)..).unwrap_or_default();
    let mut announced = Announced { signed, found: Vec::new() };
    for (index, segment) in segments.iter().enumerate() {
        if segment.first == walker.chain.size() {
            check_frontier(dir, segment, &walker)?;
        }
        let last = index + 1 == segments.len();
        if last {
            wait_for_writer(segment);
        }
        let mut made = Index::new(segment.first);
        let end = walker.segment(segment, &mut ahead, &mut |head, line| {
            made.add(head);
            announced.hear(head, line);
            match &mut span {
                Some((_, last)) => last.clone_from(&head.time),
                None => span = Some((head.time.clone(), head.time.clone())),
            }
        })?;
        if segment.is_packed() {
            check_header(segment, &end, walker.chain.sum())?;
        }
        if !last {
            check_index(dir, segment, made)?;
        }
        if let End::Torn { line, .. } = end {
            let what = "the last line is not whole: it was changed, or the gateway was cut off while writing it \
                        (then starting the gateway repairs and records it)";
            return Err(Damage { file: segment.name.clone(), line, what: what.to_owned() }.into());
        }
    }
    if announced.next() < first {
        let what = format!(
            "the {first} lines before it are gone, and nothing that was signed before says that they were deleted by \
             retention"
        );
        let file = segments.first().map(|segment| segment.name.clone()).unwrap_or_default();
        return Err(Damage { file, line: 1, what }.into());
    }
    match ahead.first() {
        Some(mark) => Err(segment::beyond(mark, walker.chain.size()).into()),
        None => Ok((walker, span)),
    }
}

/// Before the first segment that is there. What the deleted lines were is said by the signed root over them.
fn begin(dir: &Path, first: u64, marks: &[Mark]) -> Result<Walker, VerifyError> {
    if first == 0 {
        return Ok(Walker::default());
    }
    segment::begin(dir, first, marks).ok_or_else(|| {
        let what =
            format!("the first {first} lines are missing, and no signed checkpoint says what they were");
        Damage { file: frontier_name(first), line: 1, what }.into()
    })
}

/// What records say was deleted by retention. Retention deletes what was announced once that is signed, so only signed
/// lines count; and of those that somebody signed without having written them, none: what a start found behind the last
/// checkpoint anybody may have put there.
struct Announced {
    /// Lines covered by the log's last checkpoint.
    signed: u64,
    /// Numbers of lines that announce, each with the first line that stays.
    found: Vec<(u64, u64)>,
}

impl Announced {
    fn hear(&mut self, head: &Head, line: &[u8]) {
        #[derive(serde::Deserialize)]
        struct Says {
            detail: Detail,
        }
        #[derive(serde::Deserialize)]
        #[serde(default)]
        #[derive(Default)]
        struct Detail {
            next: u64,
            unsigned: u64,
        }
        let what = head.what.as_deref().filter(|_| head.kind == HeadKind::Event);
        let detail = || serde_json::from_slice::<Says>(line).map(|says| says.detail).unwrap_or_default();
        match what {
            Some(PRUNED) if head.seq < self.signed => self.found.push((head.seq, detail().next)),
            Some(OPENED) => {
                let taken_over = head.seq.saturating_sub(detail().unsigned);
                self.found.retain(|(line, _)| *line < taken_over);
            }
            _ => {}
        }
    }

    /// The first line that stays.
    fn next(&self) -> u64 {
        self.found.iter().map(|(_, next)| *next).max().unwrap_or(0)
    }
}

/// A frontier is no evidence, but a changed one would mislead the next start.
fn check_frontier(dir: &Path, segment: &Segment, walker: &Walker) -> Result<(), VerifyError> {
    let name = frontier_name(segment.first);
    let path = dir.join(&name);
    if path.exists()
        && fs::read(&path).ok() != Some(Frontier::new(&walker.chain, &walker.unanswered).text().into())
    {
        let what = "it does not say how the log stood before this segment".to_owned();
        return Err(Damage { file: name, line: 1, what }.into());
    }
    Ok(())
}

/// What the header of a packed segment says is no evidence, but a changed one would mislead a search.
fn check_header(segment: &Segment, end: &End, sum: &str) -> Result<(), VerifyError> {
    let bytes = match end {
        End::Whole { bytes } | End::Torn { bytes, .. } => *bytes,
    };
    if segment.end().ok() != Some((bytes, sum.to_owned())) {
        let what = "its header does not say how its lines end".to_owned();
        return Err(Damage { file: segment.name.clone(), line: 1, what }.into());
    }
    Ok(())
}

/// An index is no evidence, but a changed one would mislead a search. One that does not fit is made anew by it.
fn check_index(dir: &Path, segment: &Segment, mut made: Index) -> Result<(), VerifyError> {
    let Some(found) = Index::read(dir, segment) else { return Ok(()) };
    made.end(segment).map_err(|source| VerifyError::File { path: segment.path.clone(), source })?;
    if found != made {
        let file = index::path(dir, segment).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let what = "it does not say what the segment holds: searches were misled, delete it".to_owned();
        return Err(Damage { file, line: 1, what }.into());
    }
    Ok(())
}

/// A line that is being written at this moment is given a moment to be whole.
fn wait_for_writer(segment: &Segment) {
    for _ in 0..5 {
        if segment.is_packed()
            || fs::read(&segment.path).is_ok_and(|bytes| bytes.is_empty() || bytes.ends_with(b"\n"))
        {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Puts a checkpoint from elsewhere among those of the log.
fn witness(path: &Path, key: &PublicKey, marks: &mut Vec<Mark>) -> Result<u64, VerifyError> {
    let file = path.display().to_string();
    let checkpoint = key.open(&read(path)?).map_err(|error| Damage {
        file: file.clone(),
        line: 1,
        what: error.to_string(),
    })?;
    let at = marks.partition_point(|mark| mark.checkpoint.size <= checkpoint.size);
    // Two checkpoints of one size must agree also where the lines they cover are there no more.
    let same = |mark: &&Mark| mark.checkpoint.size == checkpoint.size;
    if marks.iter().filter(same).any(|mark| mark.checkpoint.root != checkpoint.root) {
        let what = format!(
            "another checkpoint of the log signs other lines as its first {}: not those that were signed here",
            checkpoint.size
        );
        return Err(Damage { file, line: 1, what }.into());
    }
    marks.insert(at, Mark { file, line: 1, checkpoint });
    Ok(checkpoint.size)
}

/// The key given as text or file, else that of the folder; and whether it was given.
pub(super) fn read_key(dir: &Path, given: Option<&Path>) -> Result<(PublicKey, bool), VerifyError> {
    let own = dir.join(PUBLIC_KEY);
    let path = given.unwrap_or(&own);
    let broken = |source| VerifyError::Key { path: path.to_owned(), source };
    if let Some(text) = given.and_then(Path::to_str).filter(|text| !Path::new(text).exists())
        && let Ok(key) = PublicKey::parse(text)
    {
        return Ok((key, true));
    }
    let text = if given.is_some() { read(path)? } else { read_own(dir, PUBLIC_KEY)? };
    let text = text.strip_suffix('\n').ok_or(NoteError::PublicKey).map_err(broken)?;
    let key = PublicKey::parse(text).map_err(broken)?;
    Ok((key, given.is_some()))
}

/// A file that every log has: that it is gone is damage.
fn read_own(dir: &Path, name: &str) -> Result<String, VerifyError> {
    read(&dir.join(name)).map_err(|error| match error {
        VerifyError::File { source, .. } if source.kind() == io::ErrorKind::NotFound && dir.is_dir() => {
            Damage {
                file: name.to_owned(),
                line: 1,
                what: "it is gone, or there is no audit log here".to_owned(),
            }
            .into()
        }
        error => error,
    })
}

fn read(path: &Path) -> Result<String, VerifyError> {
    let bytes = fs::read(path).map_err(|source| VerifyError::File { path: path.to_owned(), source })?;
    String::from_utf8(bytes).map_err(|error| {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = before.filter(|byte| **byte == b'\n').count() as u64 + 1;
        VerifyError::Damaged(Damage { file, line, what: "it is no text".to_owned() })
    })
}
