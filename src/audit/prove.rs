//! Proofs as files, for people who have neither the log nor reason to believe whoever keeps it.
//!
//! That a line is in the log is a C2SP `tlog-proof`, with the line itself as its `extra` data:
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <the line in base64>
//! index <its number>
//! <hash in base64>, any number of lines
//!
//! <checkpoint>
//! ```
//!
//! That the log only grew between two checkpoints is what C2SP `tlog-witness` sends to a witness:
//!
//! ```text
//! old <size of the earlier checkpoint>
//! <hash in base64>, any number of lines
//!
//! <the later checkpoint>
//! ```

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    note::{Checkpoint, NoteError, PublicKey},
    proof::{Collector, continues, includes},
    segment::{self, CHECKPOINT, Damage, Frontier, frontier_name},
    tree::{CompactRange, Hash, leaf_hash},
    verify::{VerifyError, read_key},
};
use crate::limits::AUDIT_PROOF_BYTES_MAX;

/// Why a proof cannot be made, or does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// A file, the key or the log cannot be used.
    #[error(transparent)]
    Log(#[from] VerifyError),
    /// A checkpoint is none of this log.
    #[error("{}: {source}", path.display())]
    Checkpoint {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: NoteError,
    },
    /// The line is not covered.
    #[error("the checkpoint covers the lines 0 to {}, not line {line}: wait for the next checkpoint (at most a minute), or give a later one", .size.saturating_sub(1))]
    NotCovered {
        /// The line asked for.
        line: u64,
        /// The checkpoint's size.
        size: u64,
    },
    /// The checkpoints are in the wrong order.
    #[error("the earlier checkpoint covers {old} lines, the later {new}: give the earlier one with --from")]
    Order {
        /// Lines of the one given as earlier.
        old: u64,
        /// Lines of the other.
        new: u64,
    },
    /// Lines that the proof needs are not in the folder.
    #[error(
        "the log does not hold the lines this proof needs: they were deleted by retention, or removed (`cordon audit verify` tells which)"
    )]
    Missing,
    /// The lines have another root than the checkpoint.
    #[error(
        "the log's lines are not those that the checkpoint signs: lines were rewritten (`cordon audit verify` tells where)"
    )]
    OtherLines,
    /// Not a proof.
    #[error("no proof: {0}")]
    Form(&'static str),
    /// The proof does not show what it claims.
    #[error("the proof does NOT hold: {0}")]
    Wrong(&'static str),
}

/// What a proof that holds shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proven {
    /// The line with this number is in the log that the checkpoint signs.
    Line {
        /// Its number.
        number: u64,
        /// The line, without its LF.
        line: Vec<u8>,
        /// Lines that the checkpoint covers.
        size: u64,
    },
    /// The later log begins with all lines of the earlier.
    Growth {
        /// Lines of the earlier checkpoint.
        old: u64,
        /// Lines of the later.
        new: u64,
    },
}

/// The latest checkpoint of a log.
#[derive(Debug, Clone)]
pub struct Latest {
    /// The key that checked it.
    pub key: PublicKey,
    /// It as text.
    pub note: String,
    /// What it says.
    pub checkpoint: Checkpoint,
}

/// Reads the latest checkpoint of a log.
pub fn latest(dir: &Path, public_key: Option<&Path>) -> Result<Latest, ProofError> {
    let (key, _) = read_key(dir, public_key)?;
    let (note, checkpoint) = open(&key, &dir.join(CHECKPOINT))?;
    Ok(Latest { key, note, checkpoint })
}

/// Proves that a line is in the log, as signed by the latest checkpoint or a given one.
pub fn prove_line(
    dir: &Path,
    number: u64,
    public_key: Option<&Path>,
    checkpoint: Option<&Path>,
) -> Result<String, ProofError> {
    let (key, _) = read_key(dir, public_key)?;
    let (note, signed) = open(&key, &checkpoint.map_or_else(|| dir.join(CHECKPOINT), Path::to_owned))?;
    if number >= signed.size {
        return Err(ProofError::NotCovered { line: number, size: signed.size });
    }
    let mut found = None;
    let collect = |before: &CompactRange| Collector::inclusion(number, signed.size, before);
    let hashes = gather(dir, signed.size, collect, &mut |at, line| {
        if at == number {
            found = Some(line.to_owned());
        }
    })?;
    let line = found.ok_or(ProofError::Missing)?;
    if !includes(number, &leaf_hash(&line), &hashes, signed.size, &signed.root) {
        return Err(ProofError::OtherLines);
    }
    let extra = STANDARD.encode(&line);
    Ok(text(&format!("{PROOF_HEAD}\nextra {extra}\nindex {number}\n"), &hashes, &note))
}

/// Proves that the log only grew since an earlier checkpoint, up to the latest or a given one.
pub fn prove_growth(
    dir: &Path,
    from: &Path,
    public_key: Option<&Path>,
    checkpoint: Option<&Path>,
) -> Result<String, ProofError> {
    let (key, _) = read_key(dir, public_key)?;
    let (_, old) = open(&key, from)?;
    let (note, new) = open(&key, &checkpoint.map_or_else(|| dir.join(CHECKPOINT), Path::to_owned))?;
    if old.size > new.size {
        return Err(ProofError::Order { old: old.size, new: new.size });
    }
    let collect = |before: &CompactRange| Collector::consistency(old.size, new.size, before);
    let hashes = gather(dir, new.size, collect, &mut |_, _| {})?;
    if !continues((old.size, &old.root), (new.size, &new.root), &hashes) {
        return Err(ProofError::OtherLines);
    }
    Ok(text(&format!("old {}\n", old.size), &hashes, &note))
}

/// Checks a proof with nothing but the public key, and the line or the earlier checkpoint it is about. The line
/// may be given, else it is the one within the proof.
pub fn check_proof(
    proof: &Path,
    public_key: &Path,
    line: Option<&Path>,
    from: Option<&Path>,
) -> Result<Proven, ProofError> {
    let (key, _) = read_key(Path::new(""), Some(public_key))?;
    let text = read_text(proof)?;
    let (head, note) = text.split_once("\n\n").ok_or(ProofError::Form("it has no checkpoint"))?;
    let signed =
        key.open(note).map_err(|source| ProofError::Checkpoint { path: proof.to_owned(), source })?;
    let mut lines = head.split('\n');
    match lines.next().unwrap_or_default() {
        PROOF_HEAD => {
            let given = line.map(read).transpose()?;
            check_line(&mut lines, given, signed)
        }
        first => {
            let old = first.strip_prefix("old ").and_then(number);
            let old = old.ok_or(ProofError::Form("it begins neither as a tlog-proof nor with `old SIZE`"))?;
            let from = from.ok_or(ProofError::Form("give the earlier checkpoint it is about with --from"))?;
            check_growth(&mut lines, old, open(&key, from)?.1, signed)
        }
    }
}

fn check_line(
    lines: &mut dyn Iterator<Item = &str>,
    given: Option<Vec<u8>>,
    signed: Checkpoint,
) -> Result<Proven, ProofError> {
    let mut next = lines.next().unwrap_or_default();
    let mut line = given.map(|mut line| {
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        line
    });
    if let Some(extra) = next.strip_prefix("extra ") {
        let extra = STANDARD.decode(extra).map_err(|_| ProofError::Form("its extra data is no base64"))?;
        line.get_or_insert(extra);
        next = lines.next().unwrap_or_default();
    }
    let line = line.ok_or(ProofError::Form("it does not hold the line: give it with --line"))?;
    let index = next.strip_prefix("index ").and_then(number).ok_or(ProofError::Form("it has no index"))?;
    let hashes = hashes(lines)?;
    if !includes(index, &leaf_hash(&line), &hashes, signed.size, &signed.root) {
        return Err(ProofError::Wrong("the line is not in the log that the checkpoint signs, not there"));
    }
    Ok(Proven::Line { number: index, line, size: signed.size })
}

fn check_growth(
    lines: &mut dyn Iterator<Item = &str>,
    old: u64,
    from: Checkpoint,
    signed: Checkpoint,
) -> Result<Proven, ProofError> {
    let hashes = hashes(lines)?;
    if from.size != old {
        return Err(ProofError::Wrong("it is about an earlier checkpoint of another size"));
    }
    if !continues((from.size, &from.root), (signed.size, &signed.root), &hashes) {
        return Err(ProofError::Wrong("the later log does not begin with the lines of the earlier"));
    }
    Ok(Proven::Growth { old, new: signed.size })
}

/// Goes over the lines that a checkpoint covers.
fn gather(
    dir: &Path,
    size: u64,
    collect: impl FnOnce(&CompactRange) -> Option<Collector>,
    seen: &mut dyn FnMut(u64, &[u8]),
) -> Result<Vec<Hash>, ProofError> {
    let segments =
        segment::segments(dir).map_err(|source| VerifyError::File { path: dir.to_owned(), source })?;
    let first = segments.first().map_or(0, |segment| segment.first);
    let before = match first {
        0 => CompactRange::default(),
        first => {
            let walker = Frontier::read(&dir.join(frontier_name(first))).ok_or(ProofError::Missing)?;
            walker.chain.tree().clone()
        }
    };
    let mut collector = collect(&before).ok_or(ProofError::Missing)?;
    let mut at = first;
    for segment in segments.iter().take_while(|segment| segment.first < size) {
        if segment.first != at {
            return Err(ProofError::Missing);
        }
        let end = segment::each_line(segment, &mut |_, line| {
            if at < size {
                collector.leaf(at, leaf_hash(line));
                seen(at, line);
            }
            at += 1;
            Ok::<(), Damage>(())
        });
        end.map_err(VerifyError::Damaged)?;
    }
    collector.finish().ok_or(ProofError::Missing)
}

fn text(head: &str, hashes: &[Hash], note: &str) -> String {
    let mut text = head.to_owned();
    for hash in hashes {
        // Writing into text cannot fail.
        let _ = writeln!(text, "{}", STANDARD.encode(hash));
    }
    text + "\n" + note
}

fn hashes(lines: &mut dyn Iterator<Item = &str>) -> Result<Vec<Hash>, ProofError> {
    let hash = |line| STANDARD.decode(line).ok().and_then(|bytes| Hash::try_from(bytes).ok());
    lines.map(hash).collect::<Option<_>>().ok_or(ProofError::Form("a line is no hash in base64"))
}

/// A plain decimal number: no sign, no leading zeros.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

fn open(key: &PublicKey, path: &Path) -> Result<(String, Checkpoint), ProofError> {
    let note = read_text(path)?;
    let signed =
        key.open(&note).map_err(|source| ProofError::Checkpoint { path: path.to_owned(), source })?;
    Ok((note, signed))
}

fn read_text(path: &Path) -> Result<String, ProofError> {
    String::from_utf8(read(path)?).map_err(|_| ProofError::Form("it is no text"))
}

/// A whole file of a bounded size.
fn read(path: &Path) -> Result<Vec<u8>, ProofError> {
    let failed = |source| ProofError::Log(VerifyError::File { path: path.to_owned(), source });
    let mut bytes = Vec::new();
    let limit = AUDIT_PROOF_BYTES_MAX as u64 + 1;
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() > AUDIT_PROOF_BYTES_MAX {
        return Err(failed(io::Error::other("it is too long for a proof, a line or a checkpoint")));
    }
    Ok(bytes)
}

const PROOF_HEAD: &str = "c2sp.org/tlog-proof@v1";
