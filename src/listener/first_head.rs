//! The first head of a connection, looked at before HTTP answers it: connections that are to carry RTSP begin like
//! any other on the port of the web service (ONVIF Streaming Specification §5.1.1.4), and are not HTTP afterwards.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Buf, Bytes, BytesMut};
use http::header;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX, TUNNEL_COOKIE_BYTES_MAX};

/// What a connection is for, as far as its first head says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Anything that HTTP answers: also what is unreadable.
    Http,
    /// Half of a tunnel.
    Half(Half),
    /// A WebSocket.
    Socket(Socket),
    /// Half of a tunnel, or a WebSocket, said in a way that has no one reading.
    Malformed,
}

/// What a client says that opens a WebSocket for RTSP.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// The path that was asked for.
    pub(super) path: String,
    /// What the answer shows to have been read (`Sec-WebSocket-Key`).
    pub(super) key: String,
    /// Whether a page in a browser opens it (`Origin`).
    pub(super) by_a_page: bool,
}

/// One of the two connections of a tunnel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Half {
    /// The path that was asked for.
    pub(super) path: String,
    /// What both have in common (`x-sessioncookie`).
    pub(super) cookie: String,
    /// Whether it is the one towards the gateway (POST), and not the one towards the client (GET).
    pub(super) upward: bool,
}

/// The type of what travels in a tunnel.
pub(super) const TUNNELLED: &str = "application/x-rtsp-tunnelled";
const COOKIE: &str = "x-sessioncookie";

/// Reads until the first head says what the connection is for. What was read stands in the buffer: nothing is taken off
/// it but the head of a tunnel's half or a WebSocket. May be given up without a loss.
pub(super) async fn listen(stream: &mut (impl AsyncRead + Unpin), heard: &mut BytesMut) -> io::Result<First> {
    let mut searched = 0;
    loop {
        if !may_begin_a_tunnel(heard) || heard.len() > HTTP_HEAD_BYTES_MAX {
            return Ok(First::Http);
        }
        if let Some(length) = head_length(heard, &mut searched) {
            let first = read(heard.get(..length).unwrap_or_default());
            if matches!(first, First::Half(_) | First::Socket(_)) {
                heard.advance(length);
            }
            return Ok(first);
        }
        if stream.read_buf(heard).await? == 0 {
            return Ok(First::Http);
        }
    }
}

fn may_begin_a_tunnel(heard: &[u8]) -> bool {
    [b"GET ".as_slice(), b"POST "].iter().any(|it| it.starts_with(heard) || heard.starts_with(it))
}

/// How long a head is that has come whole: up to the first empty line, however lines end, as the parser reads it.
fn head_length(heard: &[u8], searched: &mut usize) -> Option<usize> {
    let mut at = *searched;
    while let Some(found) = heard.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n')) {
        let next = at + found + 1;
        match heard.get(next..).unwrap_or_default() {
            [b'\n', ..] => return Some(next + 1),
            [b'\r', b'\n', ..] => return Some(next + 2),
            // What follows decides, and may be on its way.
            [] | [b'\r'] => {
                *searched = next - 1;
                return None;
            }
            _ => at = next,
        }
    }
    *searched = heard.len();
    None
}

fn read(head: &[u8]) -> First {
    let mut fields = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    // HTTP tells the client what is wrong with it.
    let Ok(httparse::Status::Complete(_)) = request.parse(head) else { return First::Http };
    let all = |name: &str| {
        let of_name = request.headers.iter().filter(move |it| it.name.eq_ignore_ascii_case(name));
        of_name.map(|it| it.value.trim_ascii()).collect::<Vec<_>>()
    };
    if all(header::SEC_WEBSOCKET_PROTOCOL.as_str()).iter().any(|it| lists(it, "rtsp.onvif.org")) {
        return socket(&request, &all);
    }
    let upward = request.method == Some("POST");
    let type_field = if upward { header::CONTENT_TYPE } else { header::ACCEPT };
    let is_tunnelled = |it: &&[u8]| it.eq_ignore_ascii_case(TUNNELLED.as_bytes());
    let cookies = all(COOKIE);
    if cookies.is_empty() && !all(type_field.as_str()).iter().any(is_tunnelled) {
        return First::Http;
    }
    let [cookie] = cookies.as_slice() else { return First::Malformed };
    // A body in another shape than octet by octet, or another protocol: nobody means that.
    let odd = [header::TRANSFER_ENCODING, header::UPGRADE].iter().any(|it| !all(it.as_str()).is_empty());
    let fits = cookie.len() <= TUNNEL_COOKIE_BYTES_MAX && cookie.iter().all(u8::is_ascii_graphic);
    match (str::from_utf8(cookie), request.path) {
        (Ok(cookie), Some(path)) if fits && !cookie.is_empty() && !odd => {
            First::Half(Half { path: path.to_owned(), cookie: cookie.to_owned(), upward })
        }
        _ => First::Malformed,
    }
}

/// A WebSocket's head (RFC 6455 §4.2.1).
fn socket<'a>(request: &httparse::Request<'_, '_>, all: &dyn Fn(&str) -> Vec<&'a [u8]>) -> First {
    let lists = |name: header::HeaderName, word| all(name.as_str()).iter().any(|it| lists(it, word));
    let fits = request.method == Some("GET")
        && request.version == Some(1)
        && lists(header::UPGRADE, "websocket")
        && lists(header::CONNECTION, "upgrade")
        && all(header::SEC_WEBSOCKET_VERSION.as_str()) == [b"13"]
        && all(header::TRANSFER_ENCODING.as_str()).is_empty()
        && all(header::CONTENT_LENGTH.as_str()).is_empty();
    let [key] = all(header::SEC_WEBSOCKET_KEY.as_str())[..] else { return First::Malformed };
    let key = str::from_utf8(key).ok().filter(|it| STANDARD.decode(it).is_ok_and(|key| key.len() == 16));
    match (key, request.path) {
        (Some(key), Some(path)) if fits => First::Socket(Socket {
            path: path.to_owned(),
            key: key.to_owned(),
            by_a_page: !all(header::ORIGIN.as_str()).is_empty(),
        }),
        _ => First::Malformed,
    }
}

/// Whether a field's list has a word.
fn lists(field: &[u8], word: &str) -> bool {
    field.split(|byte| *byte == b',').any(|it| it.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

/// A connection of which something was read already.
pub(super) struct Begun<S> {
    heard: Bytes,
    stream: S,
}

impl<S> Begun<S> {
    pub(super) fn new(heard: BytesMut, stream: S) -> Self {
        Self { heard: heard.freeze(), stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.heard.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = self.heard.len().min(buffer.remaining());
        buffer.put_slice(&self.heard.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    /// What a connection is taken for that brings these bytes in pieces of a size, and what stands in the buffer.
    async fn heard(bytes: &[u8], piece: usize) -> (First, BytesMut) {
        let (mut near, mut far) = duplex(piece);
        let mut heard = BytesMut::new();
        let (first, ()) = tokio::join!(
            async {
                let first = listen(&mut near, &mut heard).await.unwrap();
                drop(near);
                first
            },
            async {
                // It stops listening where it knows.
                let _ = far.write_all(bytes).await;
                drop(far);
            }
        );
        (first, heard)
    }

    const GET: &str = "GET /onvif/stream/abc HTTP/1.0\r\nAccept: application/x-rtsp-tunnelled\r\nX-SessionCookie: 7f\r\n\r\n";

    #[tokio::test]
    async fn halves_of_tunnels_are_told_apart_and_nothing_else_is_touched() {
        let post = "POST /s HTTP/1.1\r\nx-sessioncookie: 7f\r\nContent-Length: 30000\r\n\r\nRE9Q";
        for piece in [1, 7, 4_096] {
            let half = |path: &str, upward| {
                First::Half(Half { path: path.to_owned(), cookie: "7f".to_owned(), upward })
            };
            assert_eq!(
                heard(GET.as_bytes(), piece).await,
                (half("/onvif/stream/abc", false), BytesMut::new())
            );
            let (first, rest) = heard(post.as_bytes(), piece).await;
            assert_eq!(first, half("/s", true));
            assert!(post.as_bytes().ends_with(&rest), "{rest:?}");
            for other in [
                "POST /onvif/device_service HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
                "GET / HTTP/1.1\r\nAccept: */*\r\n\r\n",
                "PUT /s HTTP/1.1\r\nx-sessioncookie: 7f\r\n\r\n",
                "\r\nGET / HTTP/1.1\r\nx-sessioncookie: 7f\r\n\r\n",
                "GET / HTTP/1.1\r\nx-session cookie: 7f\r\n\r\n",
                "GET / HTTP/1.1\nAccept: text/html\n\nrest",
                "GET / HTTP/1.1\r\nx-sessioncookie: 7f\r\n",
                "\x16\x03\x01",
                "G",
                "",
            ] {
                let (first, buffer) = heard(other.as_bytes(), piece).await;
                assert_eq!(first, First::Http, "{other:?}");
                assert!(other.as_bytes().starts_with(&buffer), "{other:?}: {buffer:?}");
            }
        }
    }

    #[tokio::test]
    async fn halves_with_two_readings_are_no_halves() {
        let long = format!("x-sessioncookie: {}\r\n", "a".repeat(TUNNEL_COOKIE_BYTES_MAX + 1));
        for fields in [
            "Accept: application/x-rtsp-tunnelled\r\n",
            "x-sessioncookie: a\r\nx-sessioncookie: a\r\n",
            "x-sessioncookie: \r\n",
            "x-sessioncookie: a b\r\n",
            "x-sessioncookie: a\r\nTransfer-Encoding: chunked\r\n",
            "x-sessioncookie: a\r\nUpgrade: websocket\r\n",
            &long,
        ] {
            let head = format!("GET /s HTTP/1.1\r\n{fields}\r\n");
            let (first, buffer) = heard(head.as_bytes(), 4_096).await;
            assert_eq!((first, &buffer[..]), (First::Malformed, head.as_bytes()), "{fields}");
        }
    }

    #[tokio::test]
    async fn web_sockets_for_rtsp_are_told_apart() {
        let head = "GET /onvif/streams HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Protocol: other, rtsp.onvif.org\r\n\r\n";
        for piece in [1, 4_096] {
            let (first, rest) = heard([head, "\u{2}"].concat().as_bytes(), piece).await;
            let socket = Socket {
                path: "/onvif/streams".to_owned(),
                key: "dGhlIHNhbXBsZSBub25jZQ==".to_owned(),
                by_a_page: false,
            };
            assert_eq!(first, First::Socket(socket));
            assert!(b"\x02".starts_with(&rest), "{rest:?}");
        }
        for (from, to) in [
            ("Version: 13", "Version: 8"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "bm9uY2U="),
            ("Upgrade: WebSocket\r\n", ""),
            ("keep-alive, Upgrade", "close"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("Host: h", "Content-Length: 1"),
            ("Host: h", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            let odd = head.replacen(from, to, 1);
            assert_ne!(odd, head, "{from}");
            assert_eq!(heard(odd.as_bytes(), 4_096).await.0, First::Malformed, "{to}");
        }
        let other = head.replacen("rtsp.onvif.org", "chat", 1);
        assert_eq!(heard(other.as_bytes(), 4_096).await.0, First::Http);
    }

    #[tokio::test]
    async fn a_head_without_an_end_is_left_to_http() {
        let endless =
            format!("GET / HTTP/1.1\r\nx-sessioncookie: 7f\r\nA: {}", "a".repeat(HTTP_HEAD_BYTES_MAX));
        let (first, buffer) = heard(endless.as_bytes(), 4_096).await;
        assert_eq!(first, First::Http);
        assert!(
            buffer.len() > HTTP_HEAD_BYTES_MAX && buffer.len() <= 3 * HTTP_HEAD_BYTES_MAX,
            "{}",
            buffer.len()
        );
    }

    #[tokio::test]
    async fn what_was_heard_is_read_first() {
        let (near, mut far) = duplex(64);
        far.write_all(b"later").await.unwrap();
        drop(far);
        let mut read = String::new();
        Begun::new(BytesMut::from("first "), near).read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "first later");
    }
}
