//! The body of a reply: whole, or still coming in while it goes out.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{mpsc, oneshot};

/// What follows the first piece of a reply.
#[derive(Debug)]
pub struct Rest {
    /// Piece by piece.
    pub pieces: mpsc::Receiver<Bytes>,
    /// True once all of it came. Else the connection is cut, so that nobody takes a part for the whole.
    pub whole: oneshot::Receiver<bool>,
}

/// The body of a reply.
pub(super) struct Outgoing {
    first: Option<Bytes>,
    rest: Option<Rest>,
}

impl Outgoing {
    pub(super) fn new(first: Bytes, rest: Option<Rest>) -> Self {
        Self { first: Some(first).filter(|it| !it.is_empty()), rest }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        if let Some(piece) = ready!(rest.pieces.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let whole = ready!(Pin::new(&mut rest.whole).poll(cx)).unwrap_or(false);
        self.rest = None;
        let cut = || io::Error::other("the file did not come to its end");
        Poll::Ready((!whole).then(|| Err(cut())))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |it| it.len() as u64);
        match self.rest {
            None => SizeHint::with_exact(first),
            Some(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn only_what_came_to_its_end_ends_as_a_whole() {
        let whole = Outgoing::new("all".into(), None);
        assert_eq!(
            (whole.size_hint().exact(), whole.collect().await.unwrap().to_bytes()),
            (Some(3), "all".into())
        );
        for (told, ends) in [(Some(true), true), (Some(false), false), (None, false)] {
            let (pieces, far) = mpsc::channel(1);
            let (tell, whole) = oneshot::channel();
            let mut body = Outgoing::new("a".into(), Some(Rest { pieces: far, whole }));
            pieces.send("b".into()).await.unwrap();
            drop(pieces);
            match told {
                Some(told) => tell.send(told).unwrap(),
                None => drop(tell),
            }
            assert!(!body.is_end_stream() && body.size_hint().exact().is_none());
            for piece in ["a", "b"] {
                assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), piece);
            }
            assert_eq!(body.frame().await.is_none_or(|it| it.is_ok()), ends, "{told:?}");
            assert!(body.is_end_stream());
        }
    }
}
