//! The answers a camera gave last: cameras are polled, and say the same again and again.
//!
//! Only bytes that are equal, octet by octet, to bytes that were read and checked before stand for them.

use std::{collections::VecDeque, sync::Arc};

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
}

impl AnswerMemo {
    /// What these bytes were understood as, if they answered this operation before.
    pub(super) fn known(&self, operation: OperationId, body: &[u8]) -> Option<Understood> {
        let same = |(of, bytes, _): &&(OperationId, Bytes, Understood)| *of == operation && *bytes == body;
        self.answers.iter().find(same).map(|(_, _, understood)| understood.clone())
    }

    /// Takes up an answer; the oldest go for it. One that is too large is not remembered.
    pub(super) fn keep(
        &mut self,
        operation: OperationId,
        body: &Bytes,
        document: Document,
        deviations: Deviations,
    ) -> Understood {
        let bytes = body.len() + document.bytes();
        let mut understood = understood(document, deviations);
        if bytes > ANSWER_MEMO_BYTES_MAX {
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
}

/// An answer that is not remembered.
pub(super) fn understood(document: Document, deviations: Deviations) -> Understood {
    Understood { document: Arc::new(document), deviations: Arc::new(deviations), mark: None }
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
        let kept =
            memo.keep(hostname, &Bytes::from_static(b"<a/>"), document(hostname), Deviations::default());
        assert_eq!(memo.known(hostname, b"<a/>").map(|it| it.mark), Some(kept.mark));
        assert!(memo.known(hostname, b"<b/>").is_none(), "other bytes of the same length");
        assert!(memo.known(reboot, b"<a/>").is_none(), "another operation");
        for number in 0..ANSWER_MEMO_MAX {
            let body = Bytes::from(format!("<x>{number}</x>"));
            let other = memo.keep(hostname, &body, document(hostname), Deviations::default());
            assert_ne!(other.mark, kept.mark);
        }
        assert!(memo.known(hostname, b"<a/>").is_none(), "the oldest went");
        let largest = ANSWER_MEMO_BYTES_MAX - document(hostname).bytes();
        let large = Bytes::from(vec![b'x'; largest]);
        let _ = memo.keep(hostname, &large, document(hostname), Deviations::default());
        assert_eq!((memo.answers.len(), memo.bytes), (1, ANSWER_MEMO_BYTES_MAX), "it took all others' place");
        let larger = Bytes::from(vec![b'x'; largest + 1]);
        let _ = memo.keep(hostname, &larger, document(hostname), Deviations::default());
        assert!(memo.known(hostname, &larger).is_none() && memo.known(hostname, &large).is_some());
    }
}
