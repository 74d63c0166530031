//! RTSP in two HTTP connections (ONVIF Streaming Specification §5.1.1.4): the one of a GET carries answers and packets
//! as they are, the one of a POST requests in base64. Who logs in is found out within, as on any connection.

use std::{
    cell::RefCell,
    collections::HashMap,
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    sync::{mpsc, oneshot},
    time::{Sleep, sleep, timeout},
};

use super::{
    super::{first_head::Half, tls::Channel},
    front::{Guest, Port},
    wire::Carried,
};
use crate::{
    auth::Fingerprint,
    ids::CameraId,
    limits::{TUNNEL_PAIR_TIME_MAX, TUNNEL_READ_BYTES, TUNNEL_RENEWAL_TIME_MAX},
};

/// A connection over which a half came.
pub(in super::super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// Where a tunnel leads: a camera, and the way to it.
pub(in super::super) type Way = (CameraId, mpsc::Sender<Guest>);

/// The tunnels of one listener.
#[derive(Clone)]
pub(in super::super) struct Tunnels {
    open: Rc<RefCell<HashMap<Key, mpsc::Sender<Upward>>>>,
    pace: Pace,
}

/// How long the halves of a tunnel are waited for; tests are less patient.
#[derive(Debug, Clone, Copy)]
struct Pace {
    pair_max: Duration,
    renewal_max: Duration,
}

impl Default for Tunnels {
    fn default() -> Self {
        let pace = Pace { pair_max: TUNNEL_PAIR_TIME_MAX, renewal_max: TUNNEL_RENEWAL_TIME_MAX };
        Self { open: Rc::default(), pace }
    }
}

/// What the halves of a tunnel have in common. Whoever knows somebody's cookie and comes from elsewhere, or without the
/// same certificate, has no part in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    cookie: String,
    source: IpAddr,
    tls: bool,
    certificate: Option<Fingerprint>,
    camera: CameraId,
}

/// The connection of a POST.
struct Upward {
    stream: Box<dyn AsyncRead + Send + Unpin>,
    /// Goes when this does.
    _gone: oneshot::Sender<Infallible>,
}

/// A tunnel's place among those of its listener.
struct Entry {
    tunnels: Tunnels,
    key: Key,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.tunnels.open.borrow_mut().remove(&self.key);
    }
}

impl Tunnels {
    /// Takes a half until its tunnel ends.
    pub(in super::super) async fn take(
        &self,
        stream: impl Stream,
        half: Half,
        (source, channel): (SocketAddr, Channel),
        (camera, way): Way,
    ) -> io::Result<()> {
        let key = Key {
            cookie: half.cookie,
            source: source.ip().to_canonical(),
            tls: channel.is_tls(),
            certificate: channel.certificate().map(|it| it.whole),
            camera,
        };
        if half.upward {
            self.take_upward(stream, &key).await
        } else {
            self.take_downward(stream, key, (source, channel), way).await
        }
    }

    /// The connection towards the client: waits for the other, and hands both on as one.
    async fn take_downward(
        &self,
        mut stream: impl Stream,
        key: Key,
        (source, channel): (SocketAddr, Channel),
        way: mpsc::Sender<Guest>,
    ) -> io::Result<()> {
        let (halves, mut coming) = mpsc::channel(1);
        let Some(_entry) = self.enter(key, halves) else { return refuse(stream).await };
        stream.write_all(WELCOME.as_bytes()).await?;
        stream.flush().await?;
        let first = timeout(self.pace.pair_max, coming.recv()).await?;
        let Some(upward) = first else { return Ok(()) };
        let (below, writer) = tokio::io::split(stream);
        let (gone, end) = oneshot::channel();
        let reader = Inlet {
            upward: Some(upward),
            coming,
            renewal_max: self.pace.renewal_max,
            patience: None,
            below,
            text: Base64::default(),
            said: BytesMut::new(),
            _gone: gone,
        };
        let carried = Carried::Joined(Box::new(reader), Box::new(writer));
        let guest = Guest { carried, channel, source, port: Port::Web, heard: BytesMut::new() };
        // A full way is the same as none: the connection ends.
        let _ = way.try_send(guest);
        // Nothing is ever sent: it keeps its place and its cookie as long as it is used.
        let _ = end.await;
        Ok(())
    }

    /// The connection towards the gateway: joins the one that waits for it, or goes on where the last one ended.
    async fn take_upward(&self, stream: impl Stream, key: &Key) -> io::Result<()> {
        let waiting = self.open.borrow().get(key).cloned();
        let Some(Ok(place)) = waiting.as_ref().map(mpsc::Sender::try_reserve) else {
            return refuse(stream).await;
        };
        let (gone, end) = oneshot::channel();
        // Answers go the other way. The stream is not split: nothing is ever written here.
        place.send(Upward { stream: Box::new(stream), _gone: gone });
        drop(waiting);
        let _ = end.await;
        Ok(())
    }

    /// A cookie is of one tunnel.
    fn enter(&self, key: Key, halves: mpsc::Sender<Upward>) -> Option<Entry> {
        let mut tunnels = self.open.borrow_mut();
        if tunnels.contains_key(&key) {
            return None;
        }
        tunnels.insert(key.clone(), halves);
        Some(Entry { tunnels: self.clone(), key })
    }
}

const WELCOME: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nCache-Control: no-store\r\nPragma: no-cache\r\n\
                       Content-Type: application/x-rtsp-tunnelled\r\n\r\n";

/// Tells a peer that its half is none.
pub(in super::super) async fn refuse(mut stream: impl AsyncWrite + Unpin) -> io::Result<()> {
    let refusal = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(refusal.as_bytes()).await?;
    stream.shutdown().await
}

/// What the client says in a tunnel.
struct Inlet<S> {
    /// The connection of a POST, of those that come one after the other.
    upward: Option<Upward>,
    coming: mpsc::Receiver<Upward>,
    /// How long there may be none.
    renewal_max: Duration,
    /// Runs while there is none.
    patience: Option<Pin<Box<Sleep>>>,
    /// The same of the connection of the GET: nothing is said there, but its end is the tunnel's.
    below: S,
    text: Base64,
    /// What was decoded and not read.
    said: BytesMut,
    /// Goes when this does.
    _gone: oneshot::Sender<Infallible>,
}

impl<S: AsyncRead + Unpin> Inlet<S> {
    /// Whether the client closed the connection of its GET, or said something there.
    fn is_closed(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        match Pin::new(&mut self.below).poll_read(cx, &mut buffer)? {
            Poll::Pending => Ok(false),
            Poll::Ready(()) if buffer.filled().is_empty() => Ok(true),
            Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::InvalidData, "words after a GET")),
        }
    }

    /// Waits for the connection that goes on where the last one ended. False if none comes.
    fn poll_renewed(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if let Poll::Ready(next) = self.coming.poll_recv(cx) {
            self.upward = next;
            self.patience = None;
            return Poll::Ready(self.upward.is_some());
        }
        let renewal_max = self.renewal_max;
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(renewal_max)));
        patience.as_mut().poll(cx).map(|()| false)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Inlet<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.is_closed(cx)? {
            return Poll::Ready(Ok(()));
        }
        loop {
            if !this.said.is_empty() {
                let length = this.said.len().min(buffer.remaining());
                buffer.put_slice(this.said.get(..length).unwrap_or_default());
                this.said.advance(length);
                return Poll::Ready(Ok(()));
            }
            let Some(upward) = &mut this.upward else {
                if ready!(this.poll_renewed(cx)) {
                    continue;
                }
                return Poll::Ready(Ok(()));
            };
            let mut text = [0; TUNNEL_READ_BYTES];
            let mut text = ReadBuf::new(&mut text);
            ready!(Pin::new(&mut upward.stream).poll_read(cx, &mut text))?;
            if text.filled().is_empty() {
                this.upward = None;
                this.text.end()?;
            }
            this.text.decode(text.filled(), &mut this.said)?;
        }
    }
}

/// Base64 (RFC 4648 §4) that comes in pieces. Each message is padded by itself, so that padding may stand anywhere
/// between groups of four, and nothing else may.
#[derive(Debug, Default)]
struct Base64 {
    group: [u8; 4],
    length: usize,
}

impl Base64 {
    fn decode(&mut self, text: &[u8], said: &mut BytesMut) -> io::Result<()> {
        for byte in text {
            // Some break lines, as mail does.
            if self.length == 0 && matches!(byte, b'\r' | b'\n') {
                continue;
            }
            if let Some(place) = self.group.get_mut(self.length) {
                *place = *byte;
            }
            self.length += 1;
            if self.length == self.group.len() {
                let mut bytes = [0; 3];
                let length = STANDARD.decode_slice(self.group, &mut bytes);
                let length = length.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                said.extend_from_slice(bytes.get(..length).unwrap_or_default());
                self.length = 0;
            }
        }
        Ok(())
    }

    /// Nothing may be left half said.
    fn end(&self) -> io::Result<()> {
        if self.length == 0 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    #[test]
    fn base64_is_read_in_pieces_and_strictly() {
        let read = |text: &str, piece: usize| {
            let (mut base64, mut said) = (Base64::default(), BytesMut::new());
            for piece in text.as_bytes().chunks(piece) {
                base64.decode(piece, &mut said)?;
            }
            base64.end()?;
            Ok::<_, io::Error>(said)
        };
        for piece in 1..9 {
            assert_eq!(read("UExBWQ==UEFVU0U=\r\nUExBWQ==", piece).unwrap(), "PLAYPAUSEPLAY", "{piece}");
            for refused in
                ["UExB WQ==", "UExBW", "UExBWQ=", "UEx_", "U===", "=AAA", "UExBWR==", "A\r\nAAA", "\0AAA"]
            {
                assert!(read(refused, piece).is_err(), "{refused} by {piece}");
            }
        }
    }

    fn half(upward: bool) -> Half {
        Half { path: "/".to_owned(), cookie: "7f".to_owned(), upward }
    }

    fn camera(name: &str) -> CameraId {
        CameraId::new(name).unwrap()
    }

    const SOURCE: ([u8; 4], u16) = ([192, 0, 2, 1], 9);

    /// Meets a listener as a client does.
    struct Bench {
        tunnels: Tunnels,
        way: mpsc::Sender<Guest>,
        guests: mpsc::Receiver<Guest>,
    }

    /// Longer than anything takes here.
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(200);

    impl Bench {
        /// Where nobody waits in vain.
        fn new() -> Self {
            Self::patient(LONG, LONG)
        }

        fn patient(pair_max: Duration, renewal_max: Duration) -> Self {
            let (way, guests) = mpsc::channel(2);
            let pace = Pace { pair_max, renewal_max };
            Self { tunnels: Tunnels { open: Rc::default(), pace }, way, guests }
        }

        /// The client's end of a half.
        fn open(
            &self,
            upward: bool,
            source: ([u8; 4], u16),
            tls: bool,
            name: &str,
        ) -> tokio::io::DuplexStream {
            let (near, far) = duplex(4_096);
            let channel = if tls { Channel::Tls(None) } else { Channel::Plain };
            let (tunnels, way) = (self.tunnels.clone(), (camera(name), self.way.clone()));
            tokio::task::spawn_local(async move {
                let _ = tunnels.take(near, half(upward), (source.into(), channel), way).await;
            });
            far
        }
    }

    async fn welcomed(far: &mut tokio::io::DuplexStream) {
        let mut told = vec![0; WELCOME.len()];
        far.read_exact(&mut told).await.unwrap();
        assert_eq!(told, WELCOME.as_bytes());
    }

    async fn refused(mut far: tokio::io::DuplexStream) {
        let mut told = String::new();
        far.read_to_string(&mut told).await.unwrap();
        assert!(told.starts_with("HTTP/1.1 400 "), "{told}");
    }

    /// Both directions of what was handed on.
    fn joined(guest: Guest) -> (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>) {
        match guest.carried {
            Carried::Joined(reader, writer) => (reader, writer),
            Carried::Plain(_) | Carried::Tls(_) => panic!("no tunnel"),
        }
    }

    #[tokio::test]
    async fn two_halves_are_one_connection_and_the_second_may_be_renewed() {
        let work = async {
            let mut bench = Bench::new();
            let mut get = bench.open(false, SOURCE, false, "gate");
            welcomed(&mut get).await;
            refused(bench.open(false, SOURCE, false, "gate")).await;
            let mut post = bench.open(true, SOURCE, false, "gate");
            post.write_all(b"UExBWQ==").await.unwrap();
            let (mut reader, mut writer) = joined(bench.guests.recv().await.unwrap());
            let mut said = [0; 4];
            reader.read_exact(&mut said).await.unwrap();
            assert_eq!(&said, b"PLAY");
            writer.write_all(b"$\0").await.unwrap();
            let mut told = [0; 2];
            get.read_exact(&mut told).await.unwrap();
            assert_eq!(&told, b"$\0");
            drop(post);
            let mut again = bench.open(true, ([192, 0, 2, 1], 7_777), false, "gate");
            again.write_all(b"U1RPUA==").await.unwrap();
            reader.read_exact(&mut said).await.unwrap();
            assert_eq!(&said, b"STOP");
            drop(get);
            assert_eq!(reader.read(&mut said).await.unwrap(), 0, "the end of the GET is the tunnel's");
            drop((reader, writer));
            while !bench.tunnels.open.borrow().is_empty() {
                tokio::task::yield_now().await;
            }
            assert_eq!(again.read(&mut said).await.unwrap(), 0, "the POST ends with it");
        };
        tokio::task::LocalSet::new().run_until(work).await;
    }

    #[tokio::test]
    async fn whoever_knows_the_cookie_and_comes_otherwise_has_no_part_in_it() {
        let work = async {
            let mut bench = Bench::new();
            refused(bench.open(true, SOURCE, false, "gate")).await;
            let mut get = bench.open(false, SOURCE, false, "gate");
            welcomed(&mut get).await;
            refused(bench.open(true, ([192, 0, 2, 2], 9), false, "gate")).await;
            refused(bench.open(true, SOURCE, true, "gate")).await;
            refused(bench.open(true, SOURCE, false, "yard")).await;
            assert!(bench.guests.try_recv().is_err());
            let mut post = bench.open(true, SOURCE, false, "gate");
            let (mut reader, _writer) = joined(bench.guests.recv().await.unwrap());
            get.write_all(b"x").await.unwrap();
            assert!(reader.read(&mut [0; 4]).await.is_err(), "nothing is said on the GET");
            post.write_all(b"UExBWQ==").await.unwrap();
        };
        tokio::task::LocalSet::new().run_until(work).await;
    }

    #[tokio::test]
    async fn halves_do_not_wait_for_ever() {
        let work = async {
            let bench = Bench::patient(SHORT, LONG);
            let mut get = bench.open(false, SOURCE, false, "gate");
            welcomed(&mut get).await;
            assert_eq!(get.read(&mut [0; 4]).await.unwrap(), 0, "no POST came");
            assert!(bench.tunnels.open.borrow().is_empty());
            let mut bench = Bench::patient(LONG, SHORT);
            let mut get = bench.open(false, SOURCE, false, "gate");
            welcomed(&mut get).await;
            let post = bench.open(true, SOURCE, false, "gate");
            let (mut reader, _writer) = joined(bench.guests.recv().await.unwrap());
            drop(post);
            assert_eq!(reader.read(&mut [0; 4]).await.unwrap(), 0, "no other POST came");
        };
        tokio::task::LocalSet::new().run_until(work).await;
    }
}
