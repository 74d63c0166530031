//! The connection of a viewer, in clear or over TLS.

use std::{cell::RefCell, collections::VecDeque, future::poll_fn, io, io::IoSlice, pin::Pin, rc::Rc};

use bytes::{Buf, Bytes};
use rustix::net::SendFlags;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, tcp::OwnedWriteHalf},
};
use tokio_rustls::server::TlsStream;

use crate::{limits::STREAM_UNSENT_BYTES_MAX, media::AtOnce};

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
    /// In clear.
    Plain(Rc<Plain>),
    /// Over TLS or in a tunnel.
    Shaped {
        stream: Box<dyn AsyncWrite + Unpin>,
        /// Whether all that was written is on its way.
        flushed: bool,
    },
}

/// The direction towards the viewer in clear: what is written is on its way, whoever writes it.
#[derive(Debug)]
pub(super) struct Plain {
    half: OwnedWriteHalf,
    /// The rest of a run that was sent past the queue in part: nothing goes before it, or the run has no end.
    rest: RefCell<Bytes>,
}

impl Wire {
    /// On this thread from now on.
    pub(super) fn of(carried: Carried) -> io::Result<Self> {
        Ok(match carried {
            Carried::Plain(stream) => {
                let stream = TcpStream::from_std(stream)?;
                prepare(&stream);
                let (reader, writer) = stream.into_split();
                Self { reader: Box::new(reader), writer: Outlet::Plain(Rc::new(Plain::new(writer))) }
            }
            Carried::Tls(stream) => {
                prepare(stream.get_ref().0);
                let (reader, writer) = tokio::io::split(*stream);
                Self { reader: Box::new(reader), writer: Outlet::shaped(Box::new(writer)) }
            }
            Carried::Joined(reader, writer) => Self { reader, writer: Outlet::shaped(writer) },
        })
    }
}

/// What every connection on which a stream may go is set to. Best effort: without it answers are slower, and what a slow
/// viewer sees is older.
pub(in super::super) fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let unsent = u32::try_from(STREAM_UNSENT_BYTES_MAX).unwrap_or(u32::MAX);
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(unsent);
}

impl Outlet {
    fn shaped(stream: Box<dyn AsyncWrite + Unpin>) -> Self {
        Self::Shaped { stream, flushed: true }
    }

    /// The way for whoever writes while nothing else is wanted.
    pub(super) fn at_once(&self) -> Option<Rc<dyn AtOnce>> {
        match self {
            Self::Plain(plain) => Some(Rc::clone(plain) as Rc<dyn AtOnce>),
            Self::Shaped { .. } => None,
        }
    }

    /// Whether there is something to be written, or to be sent on its way.
    pub(super) fn is_wanted(&self, out: &VecDeque<Bytes>) -> bool {
        !out.is_empty()
            || match self {
                Self::Plain(plain) => !plain.rest.borrow().is_empty(),
                Self::Shaped { flushed, .. } => !flushed,
            }
    }

    /// Writes some of what waits, and sends it on its way once nothing does. How many bytes of `out` were taken. Nothing
    /// is lost if it is given up.
    pub(super) async fn write(&mut self, out: &VecDeque<Bytes>) -> io::Result<usize> {
        let slices: Vec<IoSlice<'_>> = out.iter().take(SLICES_MAX).map(|it| IoSlice::new(it)).collect();
        let written = match self {
            Self::Plain(plain) => loop {
                match plain.try_write(&slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => plain.half.writable().await?,
                    written => return written,
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

impl Plain {
    fn new(half: OwnedWriteHalf) -> Self {
        Self { half, rest: RefCell::default() }
    }

    /// Writes the rest of what was begun, or, once that is through, some of this: how many bytes of this.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut rest = self.rest.borrow_mut();
        let written = if rest.is_empty() {
            self.half.try_write_vectored(slices)?
        } else {
            self.half.try_write(&rest)?
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        if rest.is_empty() {
            return Ok(written);
        }
        rest.advance(written);
        if rest.is_empty() {
            // Its memory is held no longer.
            *rest = Bytes::new();
        }
        Ok(0)
    }
}

impl AtOnce for Plain {
    fn send(&self, runs: &[IoSlice<'_>]) -> usize {
        if !self.rest.borrow().is_empty() {
            return 0;
        }
        let sent = match runs {
            // Nearly always: the kernel has less to look at, and what the runtime knows of the connection is left alone
            // (it stands elsewhere in memory, for each of many viewers).
            [run] => rustix::net::send(self.half.as_ref(), run, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
                .map_err(io::Error::from),
            runs => self.half.try_write_vectored(runs),
        };
        sent.unwrap_or_default()
    }

    fn keep(&self, rest: Bytes) {
        self.rest.replace(rest);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{io::AsyncReadExt, net::TcpListener};

    use super::*;
    use crate::{
        hatch::{Segment, UnitStart},
        media::Queue,
    };

    /// One packet, on its channel.
    fn packet(fill: u8) -> Vec<u8> {
        [&[b'$', 0, 0x40, 0][..], &[fill; 0x4000]].concat()
    }

    #[tokio::test]
    async fn an_answer_stands_behind_the_packet_that_the_viewer_took_in_part() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (viewer, accepted) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (mut viewer, accepted) = (viewer.unwrap(), accepted.unwrap().0);
        let mut wire = Wire::of(Carried::Plain(accepted.into_std().unwrap())).unwrap();
        let Outlet::Plain(plain) = &wire.writer else { panic!("it is in clear") };
        plain.half.writable().await.unwrap();
        let queue = Queue::default();
        let passage = queue.pass(wire.writer.at_once().unwrap());
        // More than finds room on the way to a viewer who takes nothing meanwhile.
        let (sent, next) = ((0..=255).flat_map(|fill| packet(fill).repeat(4)).collect::<Vec<_>>(), packet(9));
        let answer = b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n";
        for run in [&sent, &next] {
            let units = vec![UnitStart { at: 0, key: true }];
            queue.push(&[Segment { bytes: run.clone().into(), units }], Duration::ZERO);
        }
        drop(passage);
        assert!(wire.writer.is_wanted(&VecDeque::new()), "a part of it is kept");
        let mut out = VecDeque::new();
        queue.take(&mut out);
        // A request was heard before what the camera sent next was taken up.
        out.push_front(Bytes::from_static(answer));
        let expected = [&sent[..], answer, &next].concat();
        let mut seen = vec![0; expected.len()];
        let writing = async {
            while wire.writer.is_wanted(&out) {
                let mut written = wire.writer.write(&out).await.unwrap();
                while let Some(first) = out.front_mut().filter(|_| written > 0) {
                    let taken = written.min(first.len());
                    first.advance(taken);
                    written -= taken;
                    if first.is_empty() {
                        out.pop_front();
                    }
                }
            }
        };
        let (read, ()) = tokio::join!(viewer.read_exact(&mut seen), writing);
        read.unwrap();
        let wrong = seen.iter().zip(&expected).position(|(seen, expected)| seen != expected);
        assert_eq!(wrong, None, "of {} bytes, the answer from {} on", seen.len(), sent.len());
        assert_eq!(queue.sent(), sent.len() as u64, "the rest is counted as sent");
    }
}
