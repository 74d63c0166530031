//! What a start cuts off the end of the lines or of the emergency journal: kept beside the log, so that it can be looked
//! at, and told of by an event.
//!
//! A file is called `unrecorded` until its event is durable. Whatever ends a start before, the next one records what it
//! finds, and nothing that was set aside is written over.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::files::{self, LOG_MODE};
use crate::limits::AUDIT_CUTS_MAX;

/// Where something was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutOff {
    Lines,
    Journal,
}

impl CutOff {
    const ALL: [Self; 2] = [Self::Lines, Self::Journal];

    fn stem(self) -> &'static str {
        match self {
            Self::Lines => "lines-",
            Self::Journal => "journal-",
        }
    }

    /// The event that tells of it.
    pub(super) fn event(self) -> &'static str {
        match self {
            Self::Lines => "log-line-cut",
            Self::Journal => "emergency-journal-cut",
        }
    }
}

/// What was set aside and is not recorded yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Aside {
    pub(super) of: CutOff,
    /// The name it will have once it is recorded.
    pub(super) name: String,
    pub(super) bytes: u64,
    /// How it begins, for people.
    pub(super) begins: String,
}

/// Sets a rest aside that stood behind so many lines; durable when this returns.
pub(super) fn set_aside(dir: &Path, of: CutOff, lines: u64, rest: &[u8]) -> io::Result<()> {
    let stem = |number: usize| dir.join(format!("{}{lines:016}-{number}", of.stem()));
    let unrecorded = |number: usize| with(&stem(number), UNRECORDED);
    let is_free = |number: &usize| !with(&stem(*number), RECORDED).exists() && !unrecorded(*number).exists();
    let is_same = |number: &usize| fs::read(unrecorded(*number)).is_ok_and(|found| found == rest);
    // Once more the same, where the start before ended early.
    let number = (1..=AUDIT_CUTS_MAX).find(is_same).or_else(|| (1..=AUDIT_CUTS_MAX).find(is_free));
    let full = || io::Error::other(format!("{AUDIT_CUTS_MAX} cuts at this place are kept: move them away"));
    files::replace(&unrecorded(number.ok_or_else(full)?), rest, LOG_MODE)
}

/// What no event tells of yet, in the order of names.
pub(super) fn unrecorded(dir: &Path) -> io::Result<Vec<Aside>> {
    let mut found = Vec::new();
    for (of, stem) in named(dir, UNRECORDED)? {
        let path = dir.join(format!("{stem}{UNRECORDED}"));
        let mut beginning = Vec::new();
        let mut file = File::open(&path)?;
        let bytes = file.metadata()?.len();
        file.by_ref().take(BEGINNING_BYTES).read_to_end(&mut beginning)?;
        let begins = String::from_utf8_lossy(&beginning).chars().take(BEGINNING_CHARS).collect();
        found.push(Aside { of, name: format!("{stem}{RECORDED}"), bytes, begins });
    }
    Ok(found)
}

/// Says that events tell of these, and makes room: of those that events tell of the oldest go beyond a number.
pub(super) fn recorded(dir: &Path, asides: &[Aside]) -> io::Result<()> {
    for Aside { name, .. } in asides {
        let stem = name.strip_suffix(RECORDED).unwrap_or(name);
        fs::rename(dir.join(format!("{stem}{UNRECORDED}")), dir.join(name))?;
    }
    let mut kept = named(dir, RECORDED)?;
    kept.sort_by(|(_, one), (_, other)| number(one).cmp(number(other)));
    let beyond = kept.len().saturating_sub(AUDIT_CUTS_MAX);
    for (_, stem) in kept.iter().take(beyond) {
        fs::remove_file(dir.join(format!("{stem}{RECORDED}")))?;
    }
    files::sync_parent(&dir.join(RECORDED))
}

/// The files that end so, without that end, in the order of names.
fn named(dir: &Path, end: &str) -> io::Result<Vec<(CutOff, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let of = CutOff::ALL.into_iter().find(|of| name.starts_with(of.stem()));
        if let Some((of, stem)) = of.zip(name.strip_suffix(end)) {
            found.push((of, stem.to_owned()));
        }
    }
    found.sort_by(|(_, one), (_, other)| one.cmp(other));
    Ok(found)
}

/// What stands behind the word: lines and number.
fn number(stem: &str) -> &str {
    stem.split_once('-').map_or(stem, |(_, number)| number)
}

fn with(stem: &Path, end: &str) -> PathBuf {
    let mut name = stem.file_name().unwrap_or_default().to_owned();
    name.push(end);
    stem.with_file_name(name)
}

const UNRECORDED: &str = ".unrecorded";
const RECORDED: &str = ".cut";
/// How much of what was cut off an event shows.
const BEGINNING_CHARS: usize = 512;
const BEGINNING_BYTES: u64 = 4 * BEGINNING_CHARS as u64;
