//! Finding records. A command is found by what its intent says, and its outcome comes with it.

use std::{collections::BTreeSet, io, path::Path};

use jiff::Timestamp;

use super::{
    index::{Field, Index},
    log::time_text,
    record::{Head, HeadKind},
    segment::{self, Damage, Segment},
};

/// What is looked for; what is empty or none excludes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Not before this. An outcome is found with its intent, by its own time only if there are no fields.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
    /// Each field must have one of its values; a `*` at the end of a value stands for anything.
    pub fields: Vec<(Field, Vec<String>)>,
    /// The request's id.
    pub request: Option<String>,
    /// At most so many records.
    pub limit: Option<u64>,
}

/// What a search did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Searched {
    /// Records found.
    pub found: u64,
    /// Segments of the log.
    pub segments: usize,
    /// Those that were read; in the others an index showed that nothing can be found.
    pub read: usize,
    /// Indexes that were made anew and written.
    pub indexed: usize,
}

/// Why a search ended early.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The folder cannot be read.
    #[error("cannot read the log: {0}")]
    Folder(#[source] io::Error),
    /// The log is damaged.
    #[error("{0} (`cordon audit verify` tells more)")]
    Damaged(#[from] Damage),
    /// What was found could not be shown.
    #[error("{0}")]
    Output(#[source] io::Error),
}

/// Shows each record that a query is about, in order, as it is in the log. Nothing is verified. Without
/// `indexes` every line is read.
pub fn search(
    dir: &Path,
    query: &Query,
    indexes: bool,
    show: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<Searched, SearchError> {
    let segments = segment::segments(dir).map_err(SearchError::Folder)?;
    let mut search = Search::new(query, show);
    search.done.segments = segments.len();
    for (at, segment) in segments.iter().enumerate() {
        let sealed = at + 1 < segments.len();
        if search.enough() {
            break;
        }
        let index = (indexes && sealed).then(|| Index::read(dir, segment)).flatten();
        if index.as_ref().is_some_and(|index| !search.may_find(index)) {
            continue;
        }
        search.done.read += 1;
        let mut made = (indexes && sealed && index.is_none()).then(|| Index::new(segment.first));
        match search.segment(segment, made.as_mut()) {
            // It was deleted since it was listed, as whoever asks a moment later finds it.
            Err(SearchError::Damaged(_)) if segment::first_after(dir, segment.first).is_some() => continue,
            other => other?,
        }
        // Whoever may only read the log searches it too, only slower.
        let written =
            made.is_some_and(|mut index| index.end(segment).and_then(|()| index.write(dir, segment)).is_ok());
        search.done.indexed += usize::from(written);
    }
    Ok(search.done)
}

struct Search<'a> {
    query: &'a Query,
    since: Option<String>,
    until: Option<String>,
    show: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
    /// Intents the query is about whose outcome was not met yet.
    open: BTreeSet<u64>,
    done: Searched,
}

impl<'a> Search<'a> {
    fn new(query: &'a Query, show: &'a mut dyn FnMut(&[u8]) -> io::Result<()>) -> Self {
        let (since, until) = (query.since.map(time_text), query.until.map(time_text));
        Self { query, since, until, show, open: BTreeSet::new(), done: Searched::default() }
    }

    fn enough(&self) -> bool {
        self.query.limit.is_some_and(|limit| self.done.found >= limit)
    }

    /// Reads all lines of a segment, also when there are enough: its index needs them.
    fn segment(&mut self, segment: &Segment, mut index: Option<&mut Index>) -> Result<(), SearchError> {
        segment::each_line(segment, &mut |at, line| {
            let head: Head = serde_json::from_slice(line).map_err(|error| Damage {
                file: segment.name.clone(),
                line: at,
                what: format!("the line is no record: {error}"),
            })?;
            if let Some(index) = &mut index {
                index.add(&head);
            }
            if !self.enough() && self.wanted(&head) {
                self.done.found += 1;
                (self.show)(line).map_err(SearchError::Output)?;
            }
            Ok(())
        })
        .map(|_| ())
    }

    /// Whether a line is to be shown. Remembers the intents that the query is about.
    fn wanted(&mut self, head: &Head) -> bool {
        let about = match head.kind {
            HeadKind::Intent | HeadKind::Event => self.about(head),
            // Of an outcome without its intent, which retention may have deleted, only itself is known.
            HeadKind::Outcome => {
                head.intent.is_some_and(|intent| self.open.remove(&intent)) || self.about(head)
            }
        };
        if about && head.kind == HeadKind::Intent {
            self.open.insert(head.seq);
        }
        about && self.admits(Field::Kind, head)
    }

    fn about(&self, head: &Head) -> bool {
        let request = self.query.request.as_ref().is_none_or(|request| *request == head.request);
        let after = |time: &str| self.since.as_deref().is_none_or(|since| time >= since);
        let before = |time: &str| self.until.as_deref().is_none_or(|until| time < until);
        let mut fields = self.query.fields.iter().map(|(field, _)| *field).filter(|it| *it != Field::Kind);
        request
            && head.times().any(|time| after(time) && before(time))
            && fields.all(|field| self.admits(field, head))
    }

    fn admits(&self, field: Field, head: &Head) -> bool {
        let mut wanted = self.query.fields.iter().filter(|(it, _)| *it == field);
        wanted.all(|(_, wanted)| field.of(head).is_some_and(|value| any(wanted, value)))
    }

    /// Whether something the query is about, or an outcome that belongs to it, may be in the segment.
    fn may_find(&self, index: &Index) -> bool {
        if index.answers(&self.open) {
            return true;
        }
        let after = |last: &str| self.since.as_deref().is_none_or(|since| last >= since);
        let before = |first: &str| self.until.as_deref().is_none_or(|until| first < until);
        let times = index.times().is_some_and(|(first, last)| before(first) && after(last));
        // An intent that is not to be shown is needed for its outcome.
        let needed = |(field, wanted): &&(Field, Vec<String>)| {
            *field != Field::Kind || !any(wanted, HeadKind::Outcome.word())
        };
        let mut fields = self.query.fields.iter().filter(needed);
        times && fields.all(|(field, wanted)| index.may_hold(*field, |value| any(wanted, value)))
    }
}

fn any(wanted: &[String], value: &str) -> bool {
    wanted.is_empty()
        || wanted.iter().any(|wanted| match wanted.strip_suffix('*') {
            Some(begin) => value.starts_with(begin),
            None => value == wanted,
        })
}
