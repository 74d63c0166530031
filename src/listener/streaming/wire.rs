//! The connection of a viewer, in clear or over TLS.

use std::{collections::VecDeque, future::poll_fn, io, io::IoSlice, pin::Pin, rc::Rc};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, tcp::OwnedWriteHalf},
};
use tokio_rustls::server::TlsStream;

use crate::media::AtOnce;

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
pub(super) enum Outlet {
    /// In clear: what is written is on its way, whoever writes it.
    Plain(Rc<OwnedWriteHalf>),
    /// Over TLS or in a tunnel.
    Shaped {
        stream: Box<dyn AsyncWrite + Unpin>,
        /// Whether all that was written is on its way.
        flushed: bool,
    },
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
                Self { reader: Box::new(reader), writer: Outlet::Plain(Rc::new(writer)) }
            }
            Carried::Tls(stream) => {
                let _ = stream.get_ref().0.set_nodelay(true);
                let (reader, writer) = tokio::io::split(*stream);
                Self { reader: Box::new(reader), writer: Outlet::shaped(Box::new(writer)) }
            }
            Carried::Joined(reader, writer) => Self { reader, writer: Outlet::shaped(writer) },
        })
    }
}

impl Outlet {
    fn shaped(stream: Box<dyn AsyncWrite + Unpin>) -> Self {
        Self::Shaped { stream, flushed: true }
    }

    /// The way for whoever writes while nothing else is wanted.
    pub(super) fn at_once(&self) -> Option<Rc<dyn AtOnce>> {
        match self {
            Self::Plain(half) => Some(Rc::clone(half) as Rc<dyn AtOnce>),
            Self::Shaped { .. } => None,
        }
    }

    /// Whether there is something to be written, or to be sent on its way.
    pub(super) fn is_wanted(&self, out: &VecDeque<Bytes>) -> bool {
        !out.is_empty() || matches!(self, Self::Shaped { flushed: false, .. })
    }

    /// Writes some of what waits, and sends it on its way once nothing does. How many bytes were taken. Nothing is
    /// lost if it is given up.
    pub(super) async fn write(&mut self, out: &VecDeque<Bytes>) -> io::Result<usize> {
        let slices: Vec<IoSlice<'_>> = out.iter().take(SLICES_MAX).map(|it| IoSlice::new(it)).collect();
        let written = match self {
            Self::Plain(half) => loop {
                match half.try_write_vectored(&slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => half.writable().await?,
                    written => break written?,
                }
            },
            Self::Shaped { stream, flushed } => {
                let mut stream = Pin::new(&mut **stream);
                if slices.is_empty() {
                    poll_fn(|cx| stream.as_mut().poll_flush(cx)).await?;
                    *flushed = true;
                    return Ok(0);
                }
                let written = poll_fn(|cx| stream.as_mut().poll_write_vectored(cx, &slices)).await?;
                *flushed = false;
                written
            }
        };
        if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(written) }
    }
}

impl AtOnce for OwnedWriteHalf {
    fn send(&self, runs: &[IoSlice<'_>]) -> usize {
        let sent = match runs {
            // Nearly always: the kernel has less to look at.
            [run] => self.try_write(run),
            runs => self.try_write_vectored(runs),
        };
        sent.unwrap_or_default()
    }
}
