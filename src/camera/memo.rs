//! The answers a camera gave last: cameras are polled, and say the same again and again.
//!
//! Only bytes that are equal, octet by octet, to bytes that were read and checked before stand for them. What came
//! only once is not kept: many answers hold a time or a counter and never come again.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    hatch::{Mark, Understood},
    limits::{ANSWER_MEMO_BYTES_MAX, ANSWER_MEMO_MAX},
    schema::{Deviations, Document, OperationId},
};

/// The last answers of one camera, within `ANSWER_MEMO_MAX` and `ANSWER_MEMO_BYTES_MAX`.
#[derive(Debug, Default)]
pub(super) struct AnswerMemo {
    answers: VecDeque<(OperationId, Bytes, Understood)>,
    bytes: usize,
    next: u64,
    /// Hashes of the last answers that came once.
    once: VecDeque<u64>,
    hashes: RandomState,
}

impl AnswerMemo {
    /// What these bytes were understood as, if they answered this operation before.
    pub(super) fn known(&self, operation: OperationId, body: &[u8]) -> Option<Understood> {
        let same = |(of, bytes, _): &&(OperationId, Bytes, Understood)| *of == operation && *bytes == body;
        self.answers.iter().find(same).map(|(_, _, understood)| understood.clone())
    }

    /// Forgets all answers. Their marks are not given again.
    pub(super) fn clear(&mut self) {
        *self = Self { next: self.next, ..Self::default() };
    }

    /// Takes up an answer that came before; the oldest go for it. One that is too large is not remembered.
    pub(super) fn keep(
        &mut self,
        operation: OperationId,
        body: &Bytes,
        document: Document,
        deviations: Deviations,
    ) -> Understood {
        let bytes = body.len() + document.bytes();
        let mut understood = understood(document, deviations);
        if bytes > ANSWER_MEMO_BYTES_MAX || !self.came_before(operation, body) {
            return understood;
        }
        self.next += 1;
        understood.mark = Some(Mark(self.next));
        while self.answers.len() >= ANSWER_MEMO_MAX || self.bytes + bytes > ANSWER_MEMO_BYTES_MAX {
            let Some((_, body, oldest)) = self.answers.pop_front() else { break };
            self.bytes -= body.len() + oldest.document.bytes();
        }
        self.bytes += bytes;
        self.answers.push_back((operation, body.clone(), understood.clone()));
        understood
    }

    fn came_before(&mut self, operation: OperationId, body: &[u8]) -> bool {
        let hash = self.hashes.hash_one((operation, body));
        if let Some(at) = self.once.iter().position(|it| *it == hash) {
            self.once.remove(at);
            return true;
        }
        if self.once.len() >= ANSWER_MEMO_MAX {
            self.once.pop_front();
        }
        self.once.push_back(hash);
        false
    }
}

/// An answer that is not remembered.
pub(super) fn understood(document: Document, deviations: Deviations) -> Understood {
    Understood {
        document: Arc::new(document),
        deviations: Arc::new(deviations),
        mark: None,
        subscription: None,
        bytes: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Builder, Tables};

    #[test]
    fn only_the_same_bytes_for_the_same_operation_are_known() {
        let tables = Tables::embedded().unwrap();
        let id = |name| tables.operation_by_name(name).unwrap();
        let (reboot, hostname) = (id("tds:SystemReboot"), id("tds:GetHostname"));
        let document = |id| Builder::new(&tables, tables.operation(id).unwrap().input).finish().unwrap();
        let mut memo = AnswerMemo::default();
        let once = |memo: &mut AnswerMemo, id, body: &Bytes| {
            memo.keep(id, body, document(id), Deviations::default()).mark
        };
        let twice = |memo: &mut AnswerMemo, body: &Bytes| {
            assert_eq!(once(memo, hostname, body), None, "it may never come again");
            assert!(memo.known(hostname, body).is_none());
            once(memo, hostname, body)
        };
        let a = Bytes::from_static(b"<a/>");
        let kept = twice(&mut memo, &a);
        assert!(kept.is_some() && memo.known(hostname, b"<a/>").map(|it| it.mark) == Some(kept));
        assert!(memo.known(hostname, b"<b/>").is_none(), "other bytes of the same length");
        assert!(memo.known(reboot, b"<a/>").is_none(), "another operation");
        assert_eq!(once(&mut memo, reboot, &a), None, "it answered another operation");
        memo.clear();
        assert!(memo.known(hostname, b"<a/>").is_none(), "forgotten");
        assert_ne!(twice(&mut memo, &a), kept, "what was made of it before must not stand for it");
        for number in 0..ANSWER_MEMO_MAX {
            assert!(twice(&mut memo, &Bytes::from(format!("<x>{number}</x>"))).is_some());
        }
        assert!(memo.known(hostname, b"<a/>").is_none(), "the oldest went");
        let largest = ANSWER_MEMO_BYTES_MAX - document(hostname).bytes();
        let large = Bytes::from(vec![b'x'; largest]);
        assert!(twice(&mut memo, &large).is_some());
        assert_eq!((memo.answers.len(), memo.bytes), (1, ANSWER_MEMO_BYTES_MAX), "it took all others' place");
        let larger = Bytes::from(vec![b'x'; largest + 1]);
        assert_eq!(twice(&mut memo, &larger), None, "too large");
        assert!(memo.known(hostname, &large).is_some() && memo.once.len() <= ANSWER_MEMO_MAX);
    }
}
