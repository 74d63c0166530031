//! What a segment holds, in short, so that a search need not read segments in which it can find nothing.
//!
//! An index is derived from its segment and made anew whenever it is missing or does not fit it: it names the
//! segment's length and last sum. It is never what shows that something is absent to somebody who doubts the
//! machine: `verify` makes every index anew and compares, and a search can do without them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    files::{self, LOG_MODE},
    record::{Head, HeadKind},
    segment::Segment,
};
use crate::limits::{AUDIT_INDEX_BYTES_MAX, AUDIT_INDEX_VALUES_MAX};

/// What a segment holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    version: u32,
    /// Length of the segment.
    bytes: u64,
    /// The sum at its end.
    sum: String,
    /// The earliest and the latest time in it; clocks go back at times. Texts of one form sort like times.
    times: Option<(String, String)>,
    /// The values of each field; none if there are too many to list, and then anything may be in it.
    values: BTreeMap<Field, Option<BTreeSet<String>>>,
    /// Intents of earlier segments whose outcome is in this one.
    answers: BTreeSet<u64>,
    #[serde(skip)]
    first: u64,
}

/// A field that can be searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The camera's name.
    Camera,
    /// The caller's name; `anonymous` for nobody we know.
    Caller,
    /// The operation, such as `tds:SetNTP`.
    Operation,
    /// The verdict on the camera's vendor.
    Verdict,
    /// `permitted`, `denied` or `observed`.
    Decision,
    /// `intent`, `outcome` or `event`.
    Kind,
    /// What happened, of events.
    Event,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Camera, Self::Caller, Self::Operation, Self::Verdict, Self::Decision, Self::Kind, Self::Event];

    /// What a line says in this field.
    pub(super) fn of(self, head: &Head) -> Option<&str> {
        match self {
            Self::Camera => head.camera.as_deref(),
            Self::Caller => head.who.as_ref().map(|who| match who.name.as_str() {
                "" => "anonymous",
                name => name,
            }),
            Self::Operation => head.operation.as_deref(),
            Self::Verdict => head.vendor_class.as_deref(),
            Self::Decision => head.decision.map(|decision| decision.word()),
            Self::Kind => Some(head.kind.word()),
            Self::Event => head.what.as_deref().filter(|_| head.kind == HeadKind::Event),
        }
    }
}

impl Index {
    /// Of the segment whose first line has this number, before that line.
    pub(super) fn new(first: u64) -> Self {
        Self {
            version: VERSION,
            bytes: 0,
            sum: String::new(),
            times: None,
            values: Field::ALL.map(|field| (field, Some(BTreeSet::new()))).into(),
            answers: BTreeSet::new(),
            first,
        }
    }

    /// Takes a line.
    pub(super) fn add(&mut self, head: &Head) {
        for time in head.times() {
            match &mut self.times {
                None => self.times = Some((time.to_owned(), time.to_owned())),
                Some((first, _)) if *time < **first => time.clone_into(first),
                Some((_, last)) if *time > **last => time.clone_into(last),
                Some(_) => {}
            }
        }
        for (field, values) in &mut self.values {
            let (Some(listed), Some(value)) = (values.as_mut(), field.of(head)) else { continue };
            if !listed.contains(value) {
                listed.insert(value.to_owned());
            }
            if listed.len() > AUDIT_INDEX_VALUES_MAX {
                *values = None;
            }
        }
        self.answers.extend(head.intent.filter(|intent| *intent < self.first));
    }

    /// Says what segment this is of, once all its lines were taken.
    pub(super) fn end(&mut self, segment: &Segment) -> io::Result<()> {
        (self.bytes, self.sum) = segment.end()?;
        Ok(())
    }

    /// The index that lies beside a segment; none if it is missing, of another segment or state, or no index.
    pub(super) fn read(dir: &Path, segment: &Segment) -> Option<Self> {
        let mut text = Vec::new();
        let file = File::open(path(dir, segment)).ok()?;
        file.take(AUDIT_INDEX_BYTES_MAX as u64 + 1).read_to_end(&mut text).ok()?;
        if text.len() > AUDIT_INDEX_BYTES_MAX {
            return None;
        }
        let found: Self = serde_json::from_slice(&text).ok()?;
        let all = Field::ALL.iter().all(|field| found.values.contains_key(field));
        let (bytes, sum) = segment.end().ok()?;
        let fits = found.version == VERSION && found.bytes == bytes && found.sum == sum && all;
        fits.then_some(Self { first: segment.first, ..found })
    }

    /// Puts the index beside its segment, unless it would be very large.
    pub(super) fn write(&self, dir: &Path, segment: &Segment) -> io::Result<()> {
        let text = serde_json::to_string(self).map_err(io::Error::other)? + "\n";
        if text.len() > AUDIT_INDEX_BYTES_MAX {
            return Ok(());
        }
        files::replace(&path(dir, segment), text.as_bytes(), LOG_MODE)
    }

    /// Whether a line with one of these values in the field may be in the segment.
    pub(super) fn may_hold(&self, field: Field, wanted: impl Fn(&str) -> bool) -> bool {
        match self.values.get(&field) {
            Some(Some(values)) => values.iter().any(|value| wanted(value)),
            Some(None) | None => true,
        }
    }

    /// The earliest and the latest time in the segment.
    pub(super) fn times(&self) -> Option<(&str, &str)> {
        self.times.as_ref().map(|(first, last)| (first.as_str(), last.as_str()))
    }

    /// Whether the outcome of one of these intents is in the segment.
    pub(super) fn answers(&self, intents: &BTreeSet<u64>) -> bool {
        !self.answers.is_disjoint(intents)
    }
}

/// The file of a segment's index.
pub(super) fn path(dir: &Path, segment: &Segment) -> PathBuf {
    dir.join(format!("index-{:016}.json", segment.first))
}

/// To be raised whenever an index of the same segment would say something else.
const VERSION: u32 = 1;
