//! The connection of a viewer, in clear or over TLS.

use std::{collections::VecDeque, future::poll_fn, io, io::IoSlice, pin::Pin};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// Runs of frames that are written at once.
pub(super) const SLICES_MAX: usize = 64;

/// A connection on its way to another thread.
pub(super) enum Carried {
    /// In clear.
    Plain(std::net::TcpStream),
    /// What wakes it stays with the thread that it comes from.
    Tls(Box<TlsStream<TcpStream>>),
    /// Both directions apart. What wakes them stays as well.
    Joined(Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>),
}

/// Both directions of a connection.
pub(super) struct Wire {
    pub(super) reader: Box<dyn AsyncRead + Unpin>,
    pub(super) writer: Outlet,
}

/// The direction towards the viewer.
pub(super) struct Outlet {
    stream: Box<dyn AsyncWrite + Unpin>,
    /// Whether all that was written is on its way.
    flushed: bool,
}

impl Wire {
    /// On this thread from now on.
    pub(super) fn of(carried: Carried) -> io::Result<Self> {
        Ok(match carried {
            Carried::Plain(stream) => {
                let stream = TcpStream::from_std(stream)?;
                // Best effort: without it answers are slower, not wrong.
                let _ = stream.set_nodelay(true);
                let (reader, writer) = stream.into_split();
                Self { reader: Box::new(reader), writer: Outlet::new(Box::new(writer)) }
            }
            Carried::Tls(stream) => {
                let _ = stream.get_ref().0.set_nodelay(true);
                let (reader, writer) = tokio::io::split(*stream);
                Self { reader: Box::new(reader), writer: Outlet::new(Box::new(writer)) }
            }
            Carried::Joined(reader, writer) => Self { reader, writer: Outlet::new(writer) },
        })
    }
}

impl Outlet {
    fn new(stream: Box<dyn AsyncWrite + Unpin>) -> Self {
        Self { stream, flushed: true }
    }

    /// Whether there is something to be written, or to be sent on its way.
    pub(super) fn is_wanted(&self, out: &VecDeque<Bytes>) -> bool {
        !out.is_empty() || !self.flushed
    }

    /// Writes some of what waits, and sends it on its way once nothing does. How many bytes were taken. Nothing is
    /// lost if it is given up.
    pub(super) async fn write(&mut self, out: &VecDeque<Bytes>) -> io::Result<usize> {
        let Self { stream, flushed } = self;
        let mut stream = Pin::new(&mut **stream);
        if out.is_empty() {
            poll_fn(|cx| stream.as_mut().poll_flush(cx)).await?;
            *flushed = true;
            return Ok(0);
        }
        let slices: Vec<IoSlice<'_>> = out.iter().take(SLICES_MAX).map(|it| IoSlice::new(it)).collect();
        let written = poll_fn(|cx| stream.as_mut().poll_write_vectored(cx, &slices)).await?;
        *flushed = false;
        if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(written) }
    }
}
