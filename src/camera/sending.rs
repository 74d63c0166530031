//! The body of a request to a camera: a message, or a file read as the camera takes it.

use std::{
    io,
    pin::Pin,
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
    File { left: u64, pieces: mpsc::Receiver<io::Result<Bytes>> },
}

impl Sending {
    pub(super) fn message(bytes: Bytes) -> Self {
        Self::Message(Some(bytes).filter(|it| !it.is_empty()))
    }

    /// Reads on a thread of its own, as far ahead as there is room for pieces.
    pub(super) fn file(spool: &Spool) -> Self {
        let (sender, pieces) = mpsc::channel(TRANSFER_PIECES_MAX);
        let spool = spool.clone();
        let left = spool.bytes();
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
            Self::File { left: 0, .. } => Poll::Ready(None),
            Self::File { left, pieces } => {
                let cut = || Err(io::ErrorKind::UnexpectedEof.into());
                let piece = ready!(pieces.poll_recv(cx)).unwrap_or_else(cut)?;
                *left = left.saturating_sub(piece.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Message(None) | Self::File { left: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Message(message) => message.as_ref().map_or(0, |it| it.len() as u64),
            Self::File { left, .. } => *left,
        })
    }
}
