//! What an answer did otherwise than its interface definition, counted and named.

use std::fmt;

use crate::limits::DEVIATION_NAMES_MAX;

/// How an answer was made to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviationKind {
    /// Something was put right without loss: order, a prefix, white space, spelling.
    Repair,
    /// Something was left out.
    Drop,
    /// Something mandatory is missing, or a word is none of those listed; it passes.
    Incomplete,
}

impl DeviationKind {
    /// The word used in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repair => "repair",
            Self::Drop => "drop",
            Self::Incomplete => "incomplete",
        }
    }
}

impl fmt::Display for DeviationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One kind of deviation at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    /// How it was handled.
    pub kind: DeviationKind,
    /// Where, as a path of local names, and what.
    pub name: String,
    /// How often.
    pub count: u32,
}

/// The deviations of one answer. At most `DEVIATION_NAMES_MAX` are named, the rest only counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deviations {
    named: Vec<Deviation>,
    unnamed: u32,
}

impl Deviations {
    /// Counts one.
    pub fn add(&mut self, kind: DeviationKind, name: String) {
        if let Some(known) = self.named.iter_mut().find(|it| it.kind == kind && it.name == name) {
            known.count = known.count.saturating_add(1);
        } else if self.named.len() < DEVIATION_NAMES_MAX {
            self.named.push(Deviation { kind, name, count: 1 });
        } else {
            self.add_unnamed();
        }
    }

    /// Counts one whose name is not worth making, since there are names enough.
    pub fn add_unnamed(&mut self) {
        self.unnamed = self.unnamed.saturating_add(1);
    }

    /// Whether as many are named as may be.
    pub fn is_full(&self) -> bool {
        self.named.len() >= DEVIATION_NAMES_MAX
    }

    /// Those that are named, in the order they were met.
    pub fn iter(&self) -> impl Iterator<Item = &Deviation> {
        self.named.iter()
    }

    /// How many were met beyond those named.
    pub fn unnamed(&self) -> u32 {
        self.unnamed
    }

    /// What is missing in the answer, and so in whatever is made of it.
    pub fn incomplete(&self) -> Self {
        let missing = self.named.iter().filter(|it| it.kind == DeviationKind::Incomplete);
        Self { named: missing.cloned().collect(), unnamed: self.unnamed }
    }

    /// Whether the answer was as declared.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }
}
