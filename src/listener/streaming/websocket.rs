//! RTSP in a WebSocket (RFC 6455, ONVIF Streaming Specification §7): binary frames hold messages and packets.
//!
//! Frames are taken off as they come and made anew; where they begin and end says nothing, so that none is waited for.
//! Text, compression and frames that are larger than anything a client may say are refused.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf},
    sync::oneshot,
};

use super::{
    super::tls::Channel,
    front::{Guest, Port},
    tunnel::{Stream, Way},
    wire::Carried,
};
use crate::limits::{WEBSOCKET_FRAME_BYTES_MAX, WEBSOCKET_READ_BYTES, WEBSOCKET_REPLIES_BYTES_MAX};

/// Greets a client by its key and hands the connection on, until it ends.
pub(in super::super) async fn take(
    mut stream: impl Stream,
    key: &str,
    (source, channel): (SocketAddr, Channel),
    (_, way): Way,
) -> io::Result<()> {
    stream.write_all(welcome(key).as_bytes()).await?;
    stream.flush().await?;
    let (below, writer) = tokio::io::split(stream);
    let outgoing = Arc::new(Mutex::new(Outgoing {
        stream: writer,
        replies: BytesMut::new(),
        head: BytesMut::new(),
        left: 0,
    }));
    let (gone, end) = oneshot::channel();
    let reader = Inlet {
        below,
        heard: BytesMut::new(),
        frames: Frames::default(),
        said: BytesMut::new(),
        outgoing: Arc::clone(&outgoing),
        _gone: gone,
    };
    let carried = Carried::Joined(Box::new(reader), Box::new(Outlet(outgoing)));
    let guest = Guest { carried, channel, source, port: Port::Web, heard: BytesMut::new() };
    // A full way is the same as none: the connection ends.
    let _ = way.try_send(guest);
    // Nothing is ever sent: the connection keeps its place as long as it is used.
    let _ = end.await;
    Ok(())
}

fn welcome(key: &str) -> String {
    let digest =
        digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: rtsp.onvif.org\r\n\r\n",
        STANDARD.encode(digest)
    )
}

/// What a client's frames say (RFC 6455 §5.2), frame by frame, as far as they have come.
#[derive(Debug, Default)]
struct Frames {
    /// The frame that is under way, with its bytes that are still to come.
    under_way: Option<(Kind, usize)>,
    mask: [u8; 4],
    /// Bytes of it that came.
    passed: usize,
    /// What a ping or a goodbye says, as far as it came.
    control: BytesMut,
    /// Whether a message began that has not ended.
    within: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Close,
    Ping,
    Pong,
}

/// What stood at the front of the bytes.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// Bytes of RTSP.
    Data(BytesMut),
    /// A goodbye, or a ping, with what it says.
    Close(BytesMut),
    Ping(BytesMut),
}

/// Bytes of a frame's head: two, a length, a mask.
const HEAD_BYTES_MAX: usize = 14;
/// RFC 6455 §5.5.
const CONTROL_BYTES_MAX: usize = 125;

impl Frames {
    /// Takes the next thing off the front; none until more bytes have come.
    fn next(&mut self, heard: &mut BytesMut) -> Result<Option<Said>, &'static str> {
        loop {
            let Some((kind, left)) = self.under_way else {
                if !self.begin(heard)? {
                    return Ok(None);
                }
                continue;
            };
            let mut bytes = heard.split_to(left.min(heard.len()));
            for (place, byte) in bytes.iter_mut().enumerate() {
                *byte ^= self.mask.get((self.passed + place) % 4).copied().unwrap_or_default();
            }
            self.passed += bytes.len();
            let left = left - bytes.len();
            self.under_way = (left > 0).then_some((kind, left));
            if kind != Kind::Data {
                self.control.extend_from_slice(&bytes);
            }
            match (kind, left) {
                (Kind::Data, _) if !bytes.is_empty() => return Ok(Some(Said::Data(bytes))),
                (Kind::Close, 0) => return Ok(Some(Said::Close(std::mem::take(&mut self.control)))),
                (Kind::Ping, 0) => return Ok(Some(Said::Ping(std::mem::take(&mut self.control)))),
                (Kind::Pong, 0) => self.control.clear(),
                (Kind::Data, 0) => {}
                _ => return Ok(None),
            }
        }
    }

    /// Reads a head once it has come whole.
    fn begin(&mut self, heard: &mut BytesMut) -> Result<bool, &'static str> {
        let Some([first, second]) = heard.first_chunk().copied() else { return Ok(false) };
        let (ends, opcode) = (first & 0x80 != 0, first & 0x0f);
        if first & 0x70 != 0 {
            return Err("an extension that was not agreed upon");
        }
        if second & 0x80 == 0 {
            return Err("a frame without a mask");
        }
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(head) = heard.get(2..6 + extended) else { return Ok(false) };
        let (length, mask) = head.split_at(extended);
        let length = match extended {
            0 => usize::from(second & 0x7f),
            _ => length
                .iter()
                .fold(0_usize, |sum, byte| sum.saturating_mul(256).saturating_add(usize::from(*byte))),
        };
        if length > WEBSOCKET_FRAME_BYTES_MAX {
            return Err("a frame that is too large");
        }
        let kind = match opcode {
            0 if self.within => Kind::Data,
            2 if !self.within => Kind::Data,
            0 | 2 => return Err("a message within a message"),
            1 => return Err("text"),
            8 => Kind::Close,
            9 => Kind::Ping,
            10 => Kind::Pong,
            _ => return Err("a frame of no known kind"),
        };
        if kind == Kind::Data {
            self.within = !ends;
        } else if !ends || length > CONTROL_BYTES_MAX {
            return Err("a control frame in pieces");
        }
        self.mask = mask.try_into().unwrap_or_default();
        (self.under_way, self.passed) = (Some((kind, length)), 0);
        heard.advance(6 + extended);
        Ok(true)
    }
}

/// The head of a frame of ours.
fn head(opcode: u8, length: usize, into: &mut BytesMut) {
    into.extend_from_slice(&[0x80 | opcode]);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..126), _) => into.extend_from_slice(&[short]),
        (_, Ok(medium)) => {
            into.extend_from_slice(&[126]);
            into.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            into.extend_from_slice(&[127]);
            into.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// The direction towards the client, which both halves write to: answers to pings go between two frames.
struct Outgoing<S> {
    stream: WriteHalf<S>,
    /// Frames that answer frames.
    replies: BytesMut,
    /// What of the frame's head under way is not sent.
    head: BytesMut,
    /// Bytes that are still to come of the frame under way.
    left: usize,
}

impl<S: AsyncWrite> Outgoing<S> {
    /// Sends what is to go before the next byte of a frame.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.head.is_empty() || (self.left == 0 && !self.replies.is_empty()) {
            let waiting = if self.head.is_empty() { &mut self.replies } else { &mut self.head };
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            waiting.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends replies, as far as they may go at the moment.
    fn poll_replied(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.replies.is_empty() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_ready(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn reply(&mut self, opcode: u8, said: &[u8]) -> io::Result<()> {
        if self.replies.len() + HEAD_BYTES_MAX + said.len() > WEBSOCKET_REPLIES_BYTES_MAX {
            return Err(io::Error::other("more pings than are answered"));
        }
        head(opcode, said.len(), &mut self.replies);
        self.replies.extend_from_slice(said);
        Ok(())
    }
}

fn lock<S>(outgoing: &Mutex<Outgoing<S>>) -> MutexGuard<'_, Outgoing<S>> {
    outgoing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the client says.
struct Inlet<S> {
    below: ReadHalf<S>,
    heard: BytesMut,
    frames: Frames,
    /// What was said and not read.
    said: BytesMut,
    outgoing: Arc<Mutex<Outgoing<S>>>,
    /// Goes when this does.
    _gone: oneshot::Sender<Infallible>,
}

impl<S: AsyncRead + AsyncWrite> Inlet<S> {
    /// The next bytes of RTSP; empty at the end.
    fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<BytesMut>> {
        loop {
            let said = self.frames.next(&mut self.heard);
            match said.map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))? {
                Some(Said::Data(bytes)) => return Poll::Ready(Ok(bytes)),
                Some(Said::Ping(said)) => lock(&self.outgoing).reply(10, &said)?,
                Some(Said::Close(said)) => {
                    let mut outgoing = lock(&self.outgoing);
                    outgoing.reply(8, said.get(..2).unwrap_or_default())?;
                    // As far as it goes: the client has said goodbye.
                    let _ = outgoing.poll_replied(cx)?;
                    return Poll::Ready(Ok(BytesMut::new()));
                }
                None => {
                    let mut piece = [0; WEBSOCKET_READ_BYTES];
                    let mut piece = ReadBuf::new(&mut piece);
                    // Replies wait for nobody: who wakes this wakes them.
                    let _ = lock(&self.outgoing).poll_replied(cx)?;
                    ready!(Pin::new(&mut self.below).poll_read(cx, &mut piece))?;
                    if piece.filled().is_empty() {
                        return Poll::Ready(Ok(BytesMut::new()));
                    }
                    self.heard.extend_from_slice(piece.filled());
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite> AsyncRead for Inlet<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.said.is_empty() {
            self.said = ready!(self.poll_said(cx))?;
        }
        let length = self.said.len().min(buffer.remaining());
        buffer.put_slice(&self.said.split_to(length));
        Poll::Ready(Ok(()))
    }
}

/// What the client is told: what is written at once is a frame.
struct Outlet<S>(Arc<Mutex<Outgoing<S>>>);

impl<S: AsyncWrite> AsyncWrite for Outlet<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut outgoing = lock(&self.0);
        let outgoing = &mut *outgoing;
        if outgoing.left == 0 {
            ready!(outgoing.poll_ready(cx))?;
            let length = slices.iter().map(|it| it.len()).sum();
            head(2, length, &mut outgoing.head);
            outgoing.left = length;
        }
        ready!(outgoing.poll_ready(cx))?;
        // Whoever writes may have more by now than the frame was begun for.
        let mut room = outgoing.left;
        let mut within = Vec::with_capacity(slices.len());
        for slice in slices {
            let slice = slice.get(..slice.len().min(room)).unwrap_or_default();
            room -= slice.len();
            within.push(io::IoSlice::new(slice));
        }
        let written = ready!(Pin::new(&mut outgoing.stream).poll_write_vectored(cx, &within))?;
        outgoing.left -= written;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outgoing = lock(&self.0);
        ready!(outgoing.poll_ready(cx))?;
        Pin::new(&mut outgoing.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, duplex},
        sync::mpsc,
    };

    use super::*;
    use crate::ids::CameraId;

    /// A frame of a client's.
    fn frame(first: u8, said: &[u8]) -> Vec<u8> {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let length = u16::try_from(said.len()).unwrap();
        let mut frame = vec![first];
        if length < 126 {
            frame.push(0x80 | u8::try_from(length).unwrap());
        } else {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        frame.extend(mask);
        frame.extend(said.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        frame
    }

    fn read(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<Said>), &'static str> {
        let (mut frames, mut heard) = (Frames::default(), BytesMut::new());
        let (mut data, mut others) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            heard.extend_from_slice(piece);
            while let Some(said) = frames.next(&mut heard)? {
                match said {
                    Said::Data(bytes) => data.extend(bytes),
                    other => others.push(other),
                }
            }
        }
        Ok((data, others))
    }

    #[test]
    fn frames_are_read_in_pieces() {
        let long = vec![b'x'; 300];
        let said = [
            frame(0x02, b"PL"),
            frame(0x89, b"here?"),
            frame(0x00, b""),
            frame(0x8a, b"pong"),
            frame(0x80, b"AY"),
            frame(0x82, &long),
            frame(0x88, &[3, 232]),
        ]
        .concat();
        for piece in [1, 2, 3, 5, 64, 1_000] {
            let (data, others) = read(&said, piece).unwrap();
            assert_eq!(data, [b"PLAY".as_slice(), &long].concat(), "{piece}");
            let expected = [Said::Ping(BytesMut::from("here?")), Said::Close(BytesMut::from(&[3, 232][..]))];
            assert_eq!(others, expected, "{piece}");
        }
    }

    #[test]
    fn frames_with_another_meaning_are_refused() {
        let too_large =
            [&[0x82, 0xff][..], &(WEBSOCKET_FRAME_BYTES_MAX as u64 + 1).to_be_bytes(), &[0; 4]].concat();
        for (bytes, why) in [
            (frame(0x81, b"text"), "text"),
            (frame(0xc2, b"zip"), "an extension that was not agreed upon"),
            (vec![0x82, 1, b'x'], "a frame without a mask"),
            (frame(0x80, b"x"), "a message within a message"),
            ([frame(0x02, b"x"), frame(0x82, b"x")].concat(), "a message within a message"),
            (frame(0x09, b"x"), "a control frame in pieces"),
            (frame(0x89, &[0; 126]), "a control frame in pieces"),
            (frame(0x83, b"x"), "a frame of no known kind"),
            (too_large, "a frame that is too large"),
        ] {
            assert_eq!(read(&bytes, 7).unwrap_err(), why, "{bytes:?}");
        }
    }

    #[test]
    fn heads_of_frames_are_those_of_the_standard() {
        for (length, expected) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65_535, &[0x82, 126, 255, 255]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut written = BytesMut::new();
            head(2, length, &mut written);
            assert_eq!(written, expected, "{length}");
        }
        // RFC 6455 §1.3.
        assert!(welcome("dGhlIHNhbXBsZSBub25jZQ==").contains("Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    }

    #[tokio::test]
    async fn a_socket_carries_both_directions_and_answers_pings() {
        let work = async {
            let (near, mut far) = duplex(64);
            let (way, mut guests) = mpsc::channel(1);
            let peer = (([192, 0, 2, 1], 9).into(), Channel::Plain);
            let taking = tokio::task::spawn_local(async move {
                take(near, "dGhlIHNhbXBsZSBub25jZQ==", peer, (CameraId::new("gate").unwrap(), way)).await
            });
            let mut told = Vec::new();
            while !told.ends_with(b"\r\n\r\n") {
                told.push(far.read_u8().await.unwrap());
            }
            let Carried::Joined(mut reader, mut writer) = guests.recv().await.unwrap().carried else {
                panic!("no socket")
            };
            far.write_all(&[frame(0x89, b"?"), frame(0x82, b"PLAY")].concat()).await.unwrap();
            let mut said = [0; 4];
            reader.read_exact(&mut said).await.unwrap();
            assert_eq!(&said, b"PLAY");
            let sending = async {
                writer.write_all(&[7; 200]).await.unwrap();
                writer.flush().await.unwrap();
            };
            let mut frame_told = [0; 3 + 4 + 200];
            let (_, ()) = tokio::join!(far.read_exact(&mut frame_told), sending);
            assert_eq!(frame_told[..7], [0x8a, 1, b'?', 0x82, 126, 0, 200]);
            assert_eq!(frame_told[7..], [7; 200]);
            far.write_all(&frame(0x88, &[3, 232])).await.unwrap();
            assert_eq!(reader.read(&mut said).await.unwrap(), 0);
            let mut goodbye = [0; 4];
            far.read_exact(&mut goodbye).await.unwrap();
            assert_eq!(goodbye, [0x88, 2, 3, 232]);
            drop((reader, writer));
            taking.await.unwrap().unwrap();
        };
        tokio::task::LocalSet::new().run_until(work).await;
    }
}
