//! What makes lines a log: their number, the sum over the line before, and the tree.
//!
//! A line is `{"seq":N,"time":"T",BODY,"sum":"S"}`. `S` is the first 16 bytes, in lower-case hexadecimal, of
//! SHA-256 over the `S` of the line before (32 zeros before the first) and this line up to `,"sum":"`.
//! The leaf of the tree is the whole line without its LF.

use std::io::Write as _;

use super::tree::{CompactRange, Hash, leaf_hash, sha256};

/// The state that the next line continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    sum: String,
    tree: CompactRange,
}

impl Chain {
    /// Before the first line.
    pub fn new() -> Self {
        Self { sum: "0".repeat(SUM_DIGITS), tree: CompactRange::default() }
    }

    /// Continues where stored parts end; none if they do not fit each other.
    pub fn from_parts(sum: &str, size: u64, hashes: Vec<Hash>) -> Option<Self> {
        let digits = sum.len() == SUM_DIGITS && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
        let tree = CompactRange::from_parts(size, hashes)?;
        digits.then(|| Self { sum: sum.to_owned(), tree })
    }

    /// Number of lines so far, which is the number of the next one.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The sum of the last line.
    pub fn sum(&self) -> &str {
        &self.sum
    }

    /// The tree over all lines.
    pub fn tree(&self) -> &CompactRange {
        &self.tree
    }

    /// Appends the next line, with its LF, to `out`. `body` is `"key":value,…` without the outer braces.
    pub fn seal(&mut self, time: &str, body: &str, out: &mut Vec<u8>) {
        let start = out.len();
        // Writing into a vector cannot fail.
        let _ = write!(out, "{{\"seq\":{},\"time\":\"{time}\",{body}", self.size());
        let sum = self.sum_of(out.get(start..).unwrap_or_default());
        let _ = write!(out, "{SUM_FIELD}{sum}\"}}");
        self.tree.append(leaf_hash(out.get(start..).unwrap_or_default()));
        self.sum = sum;
        out.push(b'\n');
    }

    /// Takes one line, without its LF, as the next, or says what is wrong with it.
    pub fn check(&mut self, line: &[u8]) -> Result<(), Break> {
        let start = line.len().saturating_sub(SUM_FIELD.len() + SUM_DIGITS + 2);
        let (head, tail) = line.split_at_checked(start).ok_or(Break::NoSum)?;
        let found = tail.strip_prefix(SUM_FIELD.as_bytes()).and_then(|rest| rest.strip_suffix(b"\"}"));
        let found = found.ok_or(Break::NoSum)?;
        let sum = self.sum_of(head);
        if found != sum.as_bytes() {
            return Err(Break::Sum);
        }
        if !head.starts_with(format!("{{\"seq\":{},\"time\":\"", self.size()).as_bytes()) {
            return Err(Break::Number { expected: self.size() });
        }
        self.tree.append(leaf_hash(line));
        self.sum = sum;
        Ok(())
    }

    fn sum_of(&self, head: &[u8]) -> String {
        let hash = sha256(&[self.sum.as_bytes(), head]);
        hex(hash.get(..SUM_DIGITS / 2).unwrap_or_default())
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a line does not continue the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// The line does not end in a sum.
    #[error("the line does not end in a sum: it was changed, cut or merged with another")]
    NoSum,
    /// The sum is another.
    #[error(
        "the sum does not match: this line was changed, or lines before it were changed, removed or moved"
    )]
    Sum,
    /// The number is another.
    #[error("the line should have number {expected}")]
    Number {
        /// The number the log continues with.
        expected: u64,
    },
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' - 10 + value });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

const SUM_FIELD: &str = ",\"sum\":\"";
const SUM_DIGITS: usize = 32;
