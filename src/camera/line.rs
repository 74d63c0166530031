//! A connection to a camera: in clear, or over TLS where that is how it is reached.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{
    error::{Failure, Phase},
    tls::CameraTls,
};
use crate::{
    isolation::{DialError, Dialler},
    limits::{CAMERA_CONNECT_TIME_MAX, CAMERA_RECEIVE_BUFFER_BYTES},
};

/// What goes over it is bytes either way.
#[derive(Debug)]
pub(super) enum Line {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Line {
    /// Dials the camera; over TLS where that is how it is reached, and then in no other way.
    pub(super) async fn open(
        address: SocketAddr,
        by: &Dialler,
        tls: Option<&CameraTls>,
    ) -> Result<Self, Failure> {
        let stream = dial(address, by).await?;
        let Some(tls) = tls else { return Ok(Self::Plain(stream)) };
        Ok(Self::Tls(Box::new(match Box::pin(tls.connect(stream, address.ip())).await {
            Err(_) if tls.knows_better() => {
                Box::pin(tls.connect(dial(address, by).await?, address.ip())).await?
            }
            connected => connected?,
        })))
    }

    /// The gateway's own address on it.
    pub(super) fn here(&self) -> io::Result<IpAddr> {
        let socket = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        socket.local_addr().map(|it| it.ip())
    }

    /// Ready once something may be read. Over TLS that is known only by trying.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_read_ready(cx),
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }
}

/// Connects to a camera from where its zone is.
pub(super) async fn dial(address: SocketAddr, by: &Dialler) -> Result<TcpStream, Failure> {
    let stream = timeout(CAMERA_CONNECT_TIME_MAX, by.dial(address, CAMERA_RECEIVE_BUFFER_BYTES))
        .await
        .map_err(|_| Failure::TimedOut(Phase::Connect))?
        .map_err(|error| match error {
            DialError::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Failure::NotListening
            }
            DialError::Connect(_) => Failure::Unreachable,
            DialError::NoSocket { zone, source } => {
                tracing::warn!(%zone, error = %source, "no camera of the zone can be dialled");
                Failure::NoSocket
            }
        })?;
    // Best effort: without it an exchange is slower, not wrong.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Calls a method of whichever stream it is.
macro_rules! either {
    ($line:expr, $method:ident $(, $argument:expr)*) => {
        match $line {
            Line::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Line::Tls(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(&mut *self, poll_read, cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(&mut *self, poll_write, cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(&mut *self, poll_write_vectored, cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, poll_flush, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, poll_shutdown, cx)
    }
}
