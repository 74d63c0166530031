//! What was made of the answers a camera gave last: an answer that is known, to the same request, is neither
//! searched nor rewritten nor written again.

use std::{cell::OnceCell, collections::VecDeque, rc::Rc};

use bytes::Bytes;

use crate::{
    hatch::Mark,
    limits::{ANSWER_MEMO_BYTES_MAX, ANSWER_MEMO_MAX},
    schema::{Deviations, Document, Tables},
    soap::{self, Headers},
};

/// An answer as clients get it: verified and rewritten.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) document: Document,
    pub(super) deviations: Deviations,
    plain: OnceCell<Bytes>,
}

impl Made {
    pub(super) fn new(document: Document, deviations: Deviations) -> Self {
        Self { document, deviations, plain: OnceCell::new() }
    }

    /// The reply without header blocks, written once.
    pub(super) fn plain(&self, tables: &Tables) -> Bytes {
        self.plain.get_or_init(|| soap::encode(tables, &self.document, &Headers::default())).clone()
    }
}

/// What an answer was made for: everything that rewriting depends on and that differs between commands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MadeFor<'a> {
    pub(super) mark: Mark,
    pub(super) request: &'a Document,
    /// Clients over TLS are shown other addresses.
    pub(super) tls: bool,
}

/// The last answers made for one virtual camera, within `ANSWER_MEMO_MAX` and `ANSWER_MEMO_BYTES_MAX`. Must be cleared whenever
/// something else that rewriting depends on changes: the camera's known addresses, its services.
#[derive(Debug, Default)]
pub(super) struct ReplyMemo {
    entries: VecDeque<Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    mark: Mark,
    request: Document,
    tls: bool,
    made: Rc<Made>,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.request.bytes() + self.made.document.bytes()
    }
}

impl ReplyMemo {
    /// What was made for the same thing before.
    pub(super) fn known(&self, made_for: &MadeFor<'_>) -> Option<Rc<Made>> {
        let same = |it: &&Entry| *made_for == MadeFor { mark: it.mark, request: &it.request, tls: it.tls };
        self.entries.iter().find(same).map(|it| Rc::clone(&it.made))
    }

    /// Takes up what was made; the oldest go for it. What is too large is not kept.
    pub(super) fn keep(&mut self, made_for: &MadeFor<'_>, made: &Rc<Made>) {
        let MadeFor { mark, request, tls } = *made_for;
        let bytes = request.bytes() + made.document.bytes();
        if bytes > ANSWER_MEMO_BYTES_MAX {
            return;
        }
        while self.entries.len() >= ANSWER_MEMO_MAX || self.bytes + bytes > ANSWER_MEMO_BYTES_MAX {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
        self.bytes += bytes;
        self.entries.push_back(Entry { mark, request: request.clone(), tls, made: Rc::clone(made) });
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Builder;

    #[test]
    fn only_what_was_made_for_the_same_stands() {
        let tables = Tables::embedded().unwrap();
        let request = |name| {
            let id = tables.operation_by_name(name).unwrap();
            Builder::new(&tables, tables.operation(id).unwrap().input).finish().unwrap()
        };
        let (hostname, scopes) = (request("tds:GetHostname"), request("tds:GetScopes"));
        let mut memo = ReplyMemo::default();
        let made = Rc::new(Made::new(hostname.clone(), Deviations::default()));
        let first = MadeFor { mark: Mark(1), request: &hostname, tls: false };
        memo.keep(&first, &made);
        assert!(memo.known(&first).is_some_and(|it| Rc::ptr_eq(&it, &made)));
        for other in [
            MadeFor { mark: Mark(2), ..first },
            MadeFor { request: &scopes, ..first },
            MadeFor { tls: true, ..first },
        ] {
            assert!(memo.known(&other).is_none(), "{other:?}");
        }
        (0..ANSWER_MEMO_MAX as u64)
            .for_each(|it| memo.keep(&MadeFor { mark: Mark(10 + it), ..first }, &made));
        assert!(memo.known(&first).is_none(), "the oldest went");
        memo.clear();
        assert!(memo.known(&MadeFor { mark: Mark(10), ..first }).is_none());
        let id = tables.operation_by_name("tds:SetHostname").unwrap();
        let named = |length: usize| {
            let mut builder = Builder::new(&tables, tables.operation(id).unwrap().input);
            builder.leaf("Name", &"x".repeat(length)).unwrap();
            builder.finish().unwrap()
        };
        let most = ANSWER_MEMO_BYTES_MAX - made.document.bytes() - named(1).bytes() + 1;
        for (length, kept) in [(most, true), (most + 1, false)] {
            let request = named(length);
            let large = MadeFor { request: &request, ..first };
            memo.keep(&large, &made);
            assert_eq!(memo.known(&large).is_some(), kept, "{length}");
        }
        memo.keep(&first, &made);
        assert_eq!((memo.entries.len(), memo.known(&first).is_some()), (1, true), "the large one went");
    }
}
