//! The connection of one RTSP session with a camera: requests, answers, logins, and the packets between them.

use std::{
    collections::VecDeque,
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::{Poll, ready},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    super::{
        error::{Failure, Phase, Retry},
        line::Line,
        session::Session as Logins,
        shown,
    },
    exactly,
};
use crate::{
    auth::digest::{Challenge, Credentials},
    clock::Entropy,
    hatch::{Packets, Segment},
    limits::{
        CAMERA_CONNECT_TIME_MAX, STREAM_GOODBYE_BYTES_MAX, STREAM_GOODBYE_TIME_MAX, STREAM_READ_BYTES,
        STREAM_REDIRECTS_MAX, STREAM_WAITING_BYTES_MAX, STREAM_WAITING_PACKETS_MAX,
    },
    rtsp::{Decoder, Field, Method, Peer, Received, Response, Status, Writer},
};

/// Connection, login and numbering.
pub(super) struct Wire {
    line: Line,
    pub(super) address: SocketAddr,
    decoder: Decoder,
    buffer: BytesMut,
    pub(super) cseq: u32,
    challenge: Option<(Challenge, u32)>,
    login: crate::auth::Login,
    entropy: Arc<dyn Entropy>,
}

/// Where packets go that come while an answer is waited for.
pub(super) struct Hearing<'a> {
    pub(super) packets: &'a mut Packets,
    pub(super) early: &'a mut VecDeque<Segment>,
}

impl Wire {
    /// Over a connection to this address.
    pub(super) fn new(line: Line, address: SocketAddr, logins: &Logins) -> Self {
        Self {
            line,
            address,
            decoder: Decoder::new(Peer::Camera),
            buffer: BytesMut::new(),
            cseq: 0,
            challenge: None,
            login: logins.login().clone(),
            entropy: logins.entropy(),
        }
    }

    /// The gateway's own address on it.
    pub(super) fn here(&self) -> Result<IpAddr, Failure> {
        self.line.here().map_err(|_| Failure::Reset)
    }

    /// Whether everything goes over TLS.
    pub(super) fn is_over_tls(&self) -> bool {
        matches!(self.line, Line::Tls(_))
    }

    /// A path at the camera, as requests name it.
    pub(super) fn at(&self, path_and_query: &str) -> String {
        let scheme = if self.is_over_tls() { "rtsps" } else { "rtsp" };
        format!("{scheme}://{}{path_and_query}", self.address)
    }

    /// An address at the enrolled host: path and query of the camera's.
    pub(super) fn at_host(&self, uri: &str) -> Option<String> {
        path_of(uri).map(|path| self.at(path))
    }

    /// Says that nothing more is asked.
    pub(super) async fn shut(&mut self) -> Result<(), Failure> {
        self.line.shutdown().await.map_err(|_| Failure::Reset)
    }

    /// Takes what still comes until the camera has gone, too, or is not waited for any longer: a connection that ends with
    /// something unread is reset, and a camera that hears of that first may never hear what it was told last.
    pub(super) async fn see_off(&mut self) {
        let mut came = 0;
        let gone = async {
            while came < STREAM_GOODBYE_BYTES_MAX {
                self.buffer.clear();
                if self.read().await.is_err() {
                    return;
                }
                came += self.buffer.len();
            }
        };
        let _ = timeout(STREAM_GOODBYE_TIME_MAX, gone).await;
    }

    /// One exchange, at the address that the camera sends on to if it does so: with the address that was asked in the end.
    /// Within the camera, that is; elsewhere nobody is asked.
    pub(super) async fn ask_where_it_is(
        &mut self,
        method: &Method,
        mut uri: String,
        fields: &[(Field, String)],
        logins: &Logins,
        hear: &mut Hearing<'_>,
    ) -> Result<(Response, String), Failure> {
        for _ in 0..=STREAM_REDIRECTS_MAX {
            let answer = self.ask(method, &uri, fields, logins, hear).await?;
            let moved = answer.fields.get(Field::Location).filter(|_| (300..400).contains(&answer.status));
            let moved = moved.filter(|it| is_within(&self.at(""), it)).and_then(|it| self.at_host(it));
            let Some(moved) = moved else { return Ok((answer, uri)) };
            uri = moved;
        }
        Err(Failure::Redirected)
    }

    /// One exchange, with a login where the camera wants one.
    pub(super) async fn ask(
        &mut self,
        method: &Method,
        uri: &str,
        fields: &[(Field, String)],
        logins: &Logins,
        hear: &mut Hearing<'_>,
    ) -> Result<Response, Failure> {
        let mut unsaid = false;
        loop {
            let used = self.challenge.as_ref().map(|(challenge, _)| challenge.nonce.clone());
            let trying = if used.is_some() { Some(logins.trying().await?) } else { None };
            self.send(method, uri, fields).await?;
            let answer = self.answer(hear).await?;
            logins.show(&shown::of_fields(&answer.fields));
            if answer.status != Status::Unauthorized.code() {
                match trying {
                    Some(trying) if answer.status == Status::Ok.code() => logins.passed(&trying),
                    // Who is known to be let in lacks a right; others may not be let in.
                    Some(trying) if answer.status == Status::Forbidden.code() && !logins.is_confirmed() => {
                        logins.refused(&trying);
                        return Err(Failure::LoginRefused(Retry(logins.pause())));
                    }
                    Some(_) | None => {}
                }
                return Ok(answer);
            }
            let headers: Vec<&str> = answer.fields.all(Field::WwwAuthenticate).collect();
            // Some do not say how to log in before they are asked again.
            if headers.is_empty() && trying.is_none() && !std::mem::replace(&mut unsaid, true) {
                continue;
            }
            let offered = Challenge::parse_all(&headers);
            let challenge = Challenge::preferred(&offered).ok_or(Failure::LoginUnsupported)?;
            let anew = challenge.stale || used.as_deref().is_some_and(|nonce| nonce != challenge.nonce);
            let fresh = self.challenge.as_ref().is_none_or(|(_, uses)| *uses <= 1);
            self.challenge = Some((challenge.clone(), 0));
            match trying {
                None => {}
                // A nonce that grew old is no refusal; one that was never used before is.
                Some(_) if anew && !fresh => {}
                Some(trying) => {
                    logins.refused(&trying);
                    return Err(Failure::LoginRefused(Retry(logins.pause())));
                }
            }
        }
    }

    /// Takes up the nonce of a refusal that nobody waited for. Where it says nothing of how to log in, the next request
    /// does not: the camera is to say so.
    pub(super) fn renew(&mut self, answer: &Response) {
        let headers: Vec<&str> = answer.fields.all(Field::WwwAuthenticate).collect();
        let offered = Challenge::parse_all(&headers);
        self.challenge = Challenge::preferred(&offered).map(|challenge| (challenge.clone(), 0));
    }

    pub(super) async fn send(
        &mut self,
        method: &Method,
        uri: &str,
        fields: &[(Field, String)],
    ) -> Result<(), Failure> {
        self.cseq = self.cseq.wrapping_add(1) & 0x7fff_ffff;
        let mut writer = Writer::request(method, uri, self.cseq).field(Field::UserAgent, "Cordon");
        for (field, value) in fields {
            writer = writer.field(*field, value);
        }
        if let Some((challenge, uses)) = &mut self.challenge {
            let mut bytes = [0; 8];
            self.entropy.fill(&mut bytes).map_err(|_| Failure::NoEntropy)?;
            let cnonce: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            *uses = uses.saturating_add(1);
            let answer = Credentials::answer(challenge, &self.login, method.as_str(), uri, &cnonce, *uses);
            writer = writer.field(Field::Authorization, answer);
        }
        let message = writer.finish().map_err(|_| Failure::BadEndpoint)?;
        self.write(&message).await
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = timeout(CAMERA_CONNECT_TIME_MAX, async {
            self.line.write_all(bytes).await?;
            // What TLS still holds of it goes, too.
            self.line.flush().await
        });
        let written = written.await;
        written.map_err(|_| Failure::TimedOut(Phase::Answer))?.map_err(|_| Failure::Reset)
    }

    /// The answer to the request sent last.
    async fn answer(&mut self, hear: &mut Hearing<'_>) -> Result<Response, Failure> {
        loop {
            while let Some(answer) = self.next(hear)? {
                // Some leave the number out; a late answer to an earlier request is passed over.
                if answer.cseq.is_none_or(|cseq| cseq == self.cseq) {
                    return Ok(answer);
                }
            }
            self.read().await?;
        }
    }

    /// The next answer in what has come; packets before it are heard.
    pub(super) fn next(&mut self, hear: &mut Hearing<'_>) -> Result<Option<Response>, Failure> {
        loop {
            if self.buffer.first() == Some(&b'$') && !self.decoder.is_within_message() {
                let before = self.buffer.len();
                hear.early.extend(hear.packets.take(&mut self.buffer));
                let waiting: usize = hear.early.iter().map(|it| it.bytes.len()).sum();
                if hear.early.len() > STREAM_WAITING_PACKETS_MAX || waiting > STREAM_WAITING_BYTES_MAX {
                    return Err(Failure::TooLarge(STREAM_WAITING_BYTES_MAX));
                }
                if self.buffer.len() == before {
                    return Ok(None);
                }
                continue;
            }
            let malformed = |error| Failure::NotRtsp(error);
            match self.decoder.next(&mut self.buffer).map_err(malformed)? {
                None => return Ok(None),
                Some(Received::Response(response)) => return Ok(Some(response)),
                // What a camera asks of its client is not done; that nobody answers tells it so.
                Some(Received::Request(_) | Received::Frame { .. }) => {}
            }
        }
    }

    /// Waits for more. Nothing is lost if it is given up.
    pub(super) async fn read(&mut self) -> Result<(), Failure> {
        let Self { line, buffer, .. } = self;
        // What is left, part of a frame at most, does not hold all that it came with while it waits.
        *buffer = BytesMut::from(&buffer[..]);
        let read = poll_fn(|cx| {
            ready!(line.poll_readable(cx))?;
            // Room is made for what is there, and given back as soon as it is read: memory that was used a moment ago for
            // another camera costs less than any of this one's own, and what waits for viewers holds nothing else.
            let mut room = Vec::with_capacity(buffer.len() + STREAM_READ_BYTES);
            room.extend_from_slice(buffer);
            let read = ready!(pin!(line.read_buf(&mut room)).poll(cx));
            *buffer = exactly(room);
            Poll::Ready(read)
        });
        match read.await {
            Ok(1..) => Ok(()),
            Ok(0) | Err(_) => Err(Failure::Reset),
        }
    }
}

/// Path and query of an address. Some leave the scheme out; a relative one is none.
fn path_of(uri: &str) -> Option<&str> {
    let rest = match (uri.rsplit_once("://"), uri.split_once('/')) {
        (Some((_, rest)), _) => rest,
        (None, Some((host, _))) if is_host(host) => uri,
        _ => return None,
    };
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
    path.bytes().all(|byte| byte.is_ascii_graphic()).then_some(path)
}

/// Nothing, or an address with a port or without.
fn is_host(text: &str) -> bool {
    text.is_empty() || text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok()
}

/// Whether an address is the camera's own, which was reached at this scheme, host and port.
fn is_within(own: &str, location: &str) -> bool {
    let bare = own.strip_suffix(RTSP_PORT).unwrap_or(own);
    let rest = location.strip_prefix(own).or_else(|| location.strip_prefix(bare));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The port of addresses that name none (RFC 2326 §3.2).
const RTSP_PORT: &str = ":554";

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::{
        auth::{Login, Secret},
        clock::SystemEntropy,
    };

    #[test]
    fn addresses_of_cameras_lead_to_the_enrolled_host_or_nowhere() {
        for (uri, path) in [
            ("rtsp://10.0.0.9/a/b?c=d", Some("/a/b?c=d")),
            ("rtsp://rtsp://10.0.0.9:8554/a/", Some("/a/")),
            ("192.168.1.10:554/stream0/", Some("/stream0/")),
            ("/stream0/", Some("/stream0/")),
            ("rtsp://10.0.0.9", Some("/")),
            ("stream0", None),
            ("live/ch0/", None),
            ("", None),
            ("rtsp://10.0.0.9/a b", None),
        ] {
            assert_eq!(path_of(uri), path, "{uri}");
        }
        for (own, location, within) in [
            ("rtsp://192.0.2.7:554", "rtsp://192.0.2.7/a?b=c", true),
            ("rtsp://192.0.2.7:554", "rtsp://192.0.2.7:554/a", true),
            ("rtsp://192.0.2.7:554", "rtsp://192.0.2.7:554", true),
            ("rtsp://[2001:db8::7]:554", "rtsp://[2001:db8::7]/a", true),
            ("rtsps://192.0.2.7:322", "rtsps://192.0.2.7:322/a", true),
            ("rtsps://192.0.2.7:322", "rtsp://192.0.2.7:322/a", false),
            ("rtsps://192.0.2.7:322", "rtsps://192.0.2.7/a", false),
            ("rtsp://192.0.2.7:554", "rtsp://192.0.2.7:8554/a", false),
            ("rtsp://192.0.2.7:554", "rtsp://192.0.2.7:5540/a", false),
            ("rtsp://192.0.2.7:8554", "rtsp://192.0.2.7/a", false),
            ("rtsp://192.0.2.7:554", "rtsp://192.0.2.70/a", false),
            ("rtsp://192.0.2.7:554", "rtsp://192.0.2.7@192.0.2.8/a", false),
            ("rtsp://192.0.2.7:554", "rtsp://camera.example/a", false),
            ("rtsp://192.0.2.7:554", "/a", false),
        ] {
            assert_eq!(is_within(own, location), within, "{own} {location}");
        }
    }

    /// A connection, and the camera's end of it.
    async fn met() -> (Wire, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let wire = Wire {
            line: Line::Plain(stream.unwrap()),
            address,
            decoder: Decoder::new(Peer::Camera),
            buffer: BytesMut::new(),
            cseq: 0,
            challenge: None,
            login: Login { username: "gate".into(), password: Secret::new("secret".into()) },
            entropy: Arc::new(SystemEntropy),
        };
        (wire, accepted.unwrap().0)
    }

    #[tokio::test]
    async fn a_camera_hears_goodbye_whatever_it_sent_meanwhile() {
        let (mut wire, mut camera) = met().await;
        camera.write_all(&[b'x'; 10_000]).await.unwrap();
        let leaving = async move {
            wire.send(&Method::Teardown, "rtsp://c/1", &[]).await.unwrap();
            wire.shut().await.unwrap();
            wire.see_off().await;
        };
        let hearing = async move {
            let mut heard = String::new();
            camera.read_to_string(&mut heard).await.expect("no reset");
            camera.write_all(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n").await.unwrap();
            heard
        };
        let ((), heard) = tokio::join!(leaving, hearing);
        assert!(heard.starts_with("TEARDOWN rtsp://c/1 RTSP/1.0\r\nCSeq: 1\r\n"), "{heard}");
    }

    #[tokio::test]
    async fn a_camera_that_does_not_go_is_left() {
        let (mut silent, _camera) = met().await;
        let (mut endless, mut camera) = met().await;
        let sending = tokio::spawn(async move { while camera.write_all(&[b'x'; 100_000]).await.is_ok() {} });
        let left = async { tokio::join!(silent.see_off(), endless.see_off()) };
        timeout(60 * STREAM_GOODBYE_TIME_MAX, left).await.expect("it is waited for for ever");
        drop(endless);
        sending.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_left_goes_before_what_comes_next_and_holds_nothing_else() {
        let (mut wire, mut camera) = met().await;
        let frame = [&[b'$', 0, 0, 4][..], b"1234"].concat();
        let (mut left, mut came) = (Vec::new(), Vec::new());
        // Each time all but the last three bytes of what is there by now is taken.
        for piece in [&frame.repeat(100)[..797], b"2", b"34$", &[b'x'; 3]] {
            camera.write_all(piece).await.unwrap();
            let expected = left.len() + piece.len();
            while wire.buffer.len() < expected {
                wire.read().await.unwrap();
            }
            let taken = wire.buffer.split_to(expected - 3).freeze();
            left = wire.buffer.to_vec();
            {
                let mut waits = pin!(wire.read());
                assert!(poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_pending())).await);
            }
            assert!(taken.is_unique(), "{} bytes are held by what is left of them", taken.len());
            came.extend_from_slice(&taken);
        }
        assert_eq!(came, [&frame.repeat(100)[..797], b"234$"].concat());
        assert_eq!((wire.buffer.as_ref(), wire.buffer.capacity()), (&b"xxx"[..], 3));
        drop(camera);
        assert_eq!(wire.read().await, Err(Failure::Reset));
    }
}
