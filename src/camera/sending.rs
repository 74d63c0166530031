//! The body of a request to a camera: a message, or a file read as the camera takes it.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::{
    hatch::Spool,
    limits::{TRANSFER_PIECE_BYTES, TRANSFER_PIECES_MAX},
};

/// A body whose length is known before it is sent.
pub(super) enum Sending {
    Message(Option<Bytes>),
    File { left: Left, pieces: mpsc::Receiver<io::Result<Bytes>> },
}

/// How many bytes of a file the connection has not taken yet.
#[derive(Debug, Clone)]
pub(super) struct Left(Arc<AtomicU64>);

impl Left {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Sending {
    pub(super) fn message(bytes: Bytes) -> Self {
        Self::Message(Some(bytes).filter(|it| !it.is_empty()))
    }

    /// Reads on a thread of its own, as far ahead as there is room for pieces.
    pub(super) fn file(spool: &Spool) -> Self {
        let (sender, pieces) = mpsc::channel(TRANSFER_PIECES_MAX);
        let spool = spool.clone();
        let left = Left(Arc::new(AtomicU64::new(spool.bytes())));
        tokio::task::spawn_blocking(move || {
            let mut from = 0;
            while from < spool.bytes() {
                let piece = spool.piece(from, TRANSFER_PIECE_BYTES);
                let (length, ended) = piece.as_ref().map_or((0, true), |it| (it.len() as u64, it.is_empty()));
                // Nobody reads on where the camera did not.
                if sender.blocking_send(piece).is_err() || ended {
                    return;
                }
                from = from.saturating_add(length);
            }
        });
        Self::File { left, pieces }
    }

    /// What is left of a file, to watch while it is sent.
    pub(super) fn left(&self) -> Option<Left> {
        match self {
            Self::Message(_) => None,
            Self::File { left, .. } => Some(left.clone()),
        }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Self::Message(message) => Poll::Ready(message.take().map(|it| Ok(Frame::data(it)))),
            Self::File { left, .. } if left.bytes() == 0 => Poll::Ready(None),
            Self::File { left, pieces } => {
                let cut = || Err(io::ErrorKind::UnexpectedEof.into());
                let piece = ready!(pieces.poll_recv(cx)).unwrap_or_else(cut)?;
                left.0.store(left.bytes().saturating_sub(piece.len() as u64), Ordering::Relaxed);
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Message(message) => message.is_none(),
            Self::File { left, .. } => left.bytes() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Message(message) => message.as_ref().map_or(0, |it| it.len() as u64),
            Self::File { left, .. } => left.bytes(),
        })
    }
}
