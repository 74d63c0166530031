//! HTTP/1.1 with deadlines: one bounded request in, one reply out.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Sleep, sleep, timeout},
};

use super::{
    first_head::{self, Begun, First},
    outgoing::{Outgoing, Rest},
    places::{Everywhere, Places, Room},
    streaming::{Guest, Stream, Tunnels, prepare, refuse, websocket},
    tls::{Channel, Tls},
};
use crate::{ids::CameraId, limits};

/// One request with its whole body.
#[derive(Debug)]
pub struct Request {
    /// Who sent it.
    pub source: SocketAddr,
    /// What it came over.
    pub channel: Channel,
    /// The part of the path that only says which camera is meant: `/gate`; empty behind a listener of its own.
    pub mount: Arc<str>,
    /// Its method.
    pub method: Method,
    /// The request target as sent: path and query.
    pub target: String,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body, at most as long as the server allows.
    pub body: Bytes,
    /// Its body unread, where the service takes a file.
    pub file: Option<Incoming>,
    /// Says when the listener closes, for an answer that waits for something to happen.
    pub closing: Closing,
}

/// When a listener closes.
#[derive(Debug, Clone, Default)]
pub struct Closing(Option<watch::Receiver<bool>>);

impl Closing {
    /// Waits for it.
    pub async fn wait(&mut self) {
        match &mut self.0 {
            // An error says that whoever would close it has gone.
            Some(stop) => drop(stop.wait_for(|stop| *stop).await),
            None => std::future::pending().await,
        }
    }
}

impl Request {
    /// A header field as text; none where it is absent or no text.
    pub fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The path below the camera's own, without the query.
    pub fn path(&self) -> &str {
        let path = self.target.split('?').next().unwrap_or_default();
        path.strip_prefix(&*self.mount).unwrap_or(path)
    }
}

/// One reply.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The content type; none for an empty body.
    pub content_type: Option<&'static str>,
    /// Challenges for `WWW-Authenticate`, one header field each.
    pub challenges: Vec<String>,
    /// When what is in the body came, and how long ago that is, where whoever asks may be given what is kept.
    pub came: Option<(Timestamp, Duration)>,
    /// The body, or its first piece.
    pub body: Bytes,
    /// What follows, for a body that is still coming in.
    pub rest: Option<Rest>,
}

impl Reply {
    /// A plain HTTP error with a line of text for people.
    pub fn plain(status: StatusCode, text: &'static str) -> Self {
        let body = Bytes::from_static(text.as_bytes());
        Self {
            status,
            content_type: Some("text/plain; charset=utf-8"),
            challenges: Vec::new(),
            came: None,
            body,
            rest: None,
        }
    }

    /// A body of some type with status 200.
    pub fn content(content_type: &'static str, body: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: Some(content_type),
            challenges: Vec::new(),
            came: None,
            body,
            rest: None,
        }
    }

    fn into_http(self) -> http::Response<Outgoing> {
        let mut response = http::Response::new(Outgoing::new(self.body, self.rest));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        // A camera made much of it: nothing that a browser should take for something else.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(content_type) = self.content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if self.content_type == Some("application/octet-stream") {
            // Nor open by itself.
            headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
        }
        if let Some((at, age)) = self.came {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            // Nor is it for pages of others in a browser that has logged in.
            headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
            headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
            // A time beyond the year 9999 has no such form.
            let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok();
            if let Some(date) = date.and_then(|it| HeaderValue::try_from(it).ok()) {
                headers.insert(header::LAST_MODIFIED, date);
            }
        }
        for challenge in self.challenges {
            if let Ok(value) = HeaderValue::from_str(&challenge) {
                headers.append(header::WWW_AUTHENTICATE, value);
            }
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
        }
        response
    }
}

/// Why a connection did not come about.
#[derive(Debug, Clone, Copy)]
pub enum Missed<'a> {
    /// There are as many as there may be.
    NoPlace,
    /// The TLS handshake failed.
    Tls(&'a io::Error),
}

/// What answers requests.
pub trait Service {
    /// Takes note of a connection that did not come about.
    fn missed(&self, _source: SocketAddr, _why: Missed<'_>) {}

    /// Whether somebody may log in from there.
    fn expects(&self, _source: IpAddr) -> bool {
        true
    }

    /// What somebody is told whose request is not even read.
    fn turned_away(&self, _source: SocketAddr, _method: &Method, _path: &str) -> Option<Reply> {
        None
    }

    /// Takes note of a request whose body did not come as it must: too large, broken or too slow.
    fn cut_short(&self, _source: SocketAddr, _why: StatusCode) {}

    /// Whether a request brings a file, whose bytes the service reads itself.
    fn takes_file(&self, _method: &Method, _path: &str) -> bool {
        false
    }

    /// The camera whose stream's tunnel begins at a path, or whose streams a WebSocket there carries, and the way to it; none if that is a path like any other.
    fn tunnel_at(&self, _path: &str) -> Option<(CameraId, mpsc::Sender<Guest>)> {
        None
    }

    /// Answers one request.
    fn answer(self: Rc<Self>, request: Request) -> impl Future<Output = Reply>;
}

/// Where connections come in.
pub trait Accept {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection and where it comes from.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>>;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, source) = Self::accept(self).await?;
        prepare(&stream);
        Ok((stream, source))
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    /// Whoever may open a unix socket is on this machine: the source is unspecified.
    async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)))
    }
}

/// Accepts connections and answers their requests until `stop` turns true; then gives what is under way
/// `DRAIN_TIME_MAX` to end.
///
/// Must run where `spawn_local` may be called.
pub async fn serve<A: Accept, S: Service + 'static>(
    listener: A,
    service: Rc<S>,
    door: Door,
    stop: watch::Receiver<bool>,
) {
    serve_at(Pace::USUAL, listener, service, door, stop).await;
}

/// Whose listener it is. Each counts its connections apart, so that nobody at the cameras' doors shuts out
/// who looks after the gateway.
#[derive(Debug, Clone)]
pub enum Door {
    /// A virtual camera.
    Camera,
    /// A virtual camera, over TLS.
    SecureCamera(Tls),
    /// Several virtual cameras, each at a path of its own; over TLS or not.
    SharedCameras(Option<Tls>),
    /// Where cameras leave events.
    Sink,
    /// The administration of the gateway.
    Admin,
}

impl Door {
    /// The largest body of a request.
    fn request_bytes_max(&self) -> usize {
        match self {
            Self::Camera | Self::SecureCamera(_) | Self::SharedCameras(_) => limits::SOAP_REQUEST_BYTES_MAX,
            Self::Sink => limits::EVENT_NOTICE_BYTES_MAX,
            Self::Admin => limits::ADMIN_REQUEST_BYTES_MAX,
        }
    }

    /// How connections are made into TLS connections, if they are.
    fn tls(&self) -> Option<&Tls> {
        match self {
            Self::SecureCamera(tls) | Self::SharedCameras(Some(tls)) => Some(tls),
            Self::Camera | Self::SharedCameras(None) | Self::Sink | Self::Admin => None,
        }
    }

    /// How much room there is for connections of a source; more for one that some client may log in from.
    fn room(&self, expected: bool) -> Room {
        let (listener_max, source_max) = match self {
            Self::Camera | Self::SecureCamera(_) | Self::Admin => {
                (limits::CONNECTIONS_PER_CAMERA_MAX, limits::CONNECTIONS_PER_SOURCE_MAX)
            }
            // Whose address is no camera's is told so, and put on record, one at a time.
            Self::Sink => {
                let source_max = if expected { limits::EVENT_SINK_CONNECTIONS_PER_SOURCE_MAX } else { 1 };
                (limits::EVENT_SINK_CONNECTIONS_MAX, source_max)
            }
            Self::SharedCameras(_) => {
                (limits::CONNECTIONS_SHARED_MAX, limits::CONNECTIONS_SHARED_PER_SOURCE_MAX)
            }
        };
        let everywhere_max =
            if expected { limits::CONNECTIONS_OF_EXPECTED_MAX } else { limits::CONNECTIONS_OF_STRANGER_MAX };
        Room { listener_max, source_max, everywhere_max, everywhere: self.connections() }
    }

    /// The connections of all such listeners of this process.
    fn connections(&self) -> &'static Everywhere {
        static CAMERA: Everywhere = Everywhere::new();
        static SINK: Everywhere = Everywhere::new();
        static ADMIN: Everywhere = Everywhere::new();
        match self {
            Self::Camera | Self::SecureCamera(_) | Self::SharedCameras(_) => &CAMERA,
            Self::Sink => &SINK,
            Self::Admin => &ADMIN,
        }
    }
}

/// How many connections virtual cameras and the admin listeners of this process have.
pub fn open_connections() -> (usize, usize) {
    let open = |door: Door| door.connections().open();
    (open(Door::Camera), open(Door::Admin))
}

/// How long peers and the machine are waited for; tests are less patient.
#[derive(Debug, Clone, Copy)]
struct Pace {
    write_stall_max: Duration,
    handshake_max: Duration,
    accept_pause: Duration,
    drain_max: Duration,
}

impl Pace {
    const USUAL: Self = Self {
        write_stall_max: limits::HTTP_WRITE_STALL_MAX,
        handshake_max: limits::TLS_HANDSHAKE_TIME_MAX,
        accept_pause: limits::ACCEPT_PAUSE,
        drain_max: limits::DRAIN_TIME_MAX,
    };
}

async fn serve_at<A: Accept, S: Service + 'static>(
    pace: Pace,
    listener: A,
    service: Rc<S>,
    door: Door,
    mut stop: watch::Receiver<bool>,
) {
    let (places, tunnels) = (Places::default(), Tunnels::default());
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, source) = match accepted {
            Ok(accepted) => accepted,
            // The peer gave up meanwhile; nothing is wrong here.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                // Out of file descriptors, mostly: let others finish before the next try.
                tracing::warn!(%error, "could not accept a connection");
                sleep(pace.accept_pause).await;
                continue;
            }
        };
        let Some(place) = places.take(source.ip(), door.room(service.expects(source.ip()))) else {
            tracing::warn!(%source, "too many connections: closed at once");
            service.missed(source, Missed::NoPlace);
            continue;
        };
        let (service, door, stop) = (Rc::clone(&service), door.clone(), stop.clone());
        let leave = Leave::default();
        let stream = Impatient::new(stream, pace.write_stall_max, leave.clone());
        let desk = Desk { request_bytes_max: door.request_bytes_max(), tunnels: tunnels.clone(), leave };
        connections.spawn_local(async move {
            match door.tls() {
                None => {
                    let peer = Peer { source, channel: Channel::Plain };
                    reception(stream, peer, service, desk, stop).await;
                }
                Some(tls) => match tls.greet(stream, pace.handshake_max).await {
                    Ok((stream, channel)) => {
                        let peer = Peer { source, channel };
                        reception(stream, peer, service, desk, stop).await;
                    }
                    Err(error) => {
                        tracing::info!(%source, %error, "no TLS connection came about");
                        service.missed(source, Missed::Tls(&error));
                    }
                },
            }
            drop(place);
        });
    }
    // Whoever comes now is not to wait for those who are here.
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(pace.drain_max, drained).await.is_err() {
        tracing::warn!(left = connections.len(), "requests under way took too long and were cut off");
    }
}

/// Who is at the other end.
#[derive(Clone)]
struct Peer {
    source: SocketAddr,
    channel: Channel,
}

/// What a connection is received with.
struct Desk {
    request_bytes_max: usize,
    /// Those of its listener.
    tunnels: Tunnels,
    leave: Leave,
}

/// Tells connections that are to carry RTSP from those that are answered by HTTP.
async fn reception<S: Service + 'static>(
    mut stream: impl Stream,
    peer: Peer,
    service: Rc<S>,
    desk: Desk,
    mut stop: watch::Receiver<bool>,
) {
    let Desk { request_bytes_max, tunnels, leave } = desk;
    let source = peer.source;
    let mut heard = BytesMut::with_capacity(limits::HTTP_FIRST_READ_BYTES);
    let first = tokio::select! {
        first = timeout(limits::HTTP_HEAD_TIME_MAX, first_head::listen(&mut stream, &mut heard)) => first,
        // HTTP knows how to end.
        _ = stop.wait_for(|stop| *stop) => Ok(Ok(First::Http)),
    };
    let first = match first {
        Ok(Ok(first)) => first,
        Ok(Err(error)) => return tracing::debug!(%source, %error, "connection ended"),
        Err(_) => return tracing::debug!(%source, "no request came in time"),
    };
    let stream = Begun::new(heard, stream);
    if matches!(first, First::Half(_) | First::Socket(_)) {
        leave.give();
    }
    let carried = match first {
        First::Http => return connection(stream, peer, service, request_bytes_max, stop).await,
        First::Malformed => refuse(stream).await,
        First::Half(half) => match service.tunnel_at(&half.path) {
            Some(way) => tokio::select! {
                carried = tunnels.take(stream, half, (source, peer.channel), way) => carried,
                // Whoever watches is told by the camera.
                _ = stop.wait_for(|stop| *stop) => Ok(()),
            },
            None => refuse(stream).await,
        },
        // A page of whoever may be in a browser is not to use the certificate that the browser shows.
        First::Socket(socket) if socket.by_a_page && peer.channel.certificate().is_some() => {
            refuse(stream).await
        }
        First::Socket(socket) => match service.tunnel_at(&socket.path) {
            Some(way) => tokio::select! {
                carried = websocket::take(stream, &socket.key, (source, peer.channel), way) => carried,
                _ = stop.wait_for(|stop| *stop) => Ok(()),
            },
            None => refuse(stream).await,
        },
    };
    if let Err(error) = carried {
        tracing::debug!(%source, %error, "a tunnel ended");
    }
}

async fn connection<S: Service + 'static>(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    peer: Peer,
    service: Rc<S>,
    request_bytes_max: usize,
    mut stop: watch::Receiver<bool>,
) {
    let source = peer.source;
    let closing = Closing(Some(stop.clone()));
    let answer = service_fn(move |request: http::Request<Incoming>| {
        let (service, peer, closing) = (Rc::clone(&service), peer.clone(), closing.clone());
        async move {
            let (head, body) = request.into_parts();
            let collected = if !is_framed_once(&head.headers) {
                Err(Reply::plain(StatusCode::BAD_REQUEST, "the only transfer coding is chunked, once\n"))
            } else if let Some(reply) = service.turned_away(peer.source, &head.method, head.uri.path()) {
                Err(reply)
            } else if service.takes_file(&head.method, head.uri.path()) {
                Ok((Bytes::new(), Some(body)))
            } else {
                let whole = collect(body, request_bytes_max).await;
                whole
                    .inspect_err(|reply| service.cut_short(peer.source, reply.status))
                    .map(|body| (body, None))
            };
            let reply = match collected {
                Ok((body, file)) => {
                    let request = Request { closing, ..request_of(head, peer, body, file) };
                    service.answer(request).await.into_http()
                }
                Err(reply) => {
                    let mut reply = reply.into_http();
                    // Where this request ends and the next begins is not certain.
                    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                    reply
                }
            };
            Ok::<_, Infallible>(reply)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HTTP_HEAD_TIME_MAX)
        .max_headers(limits::HTTP_HEADERS_MAX)
        .max_buf_size(limits::HTTP_HEAD_BYTES_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        _ = stop.wait_for(|stop| *stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%source, %error, "connection ended");
    }
}

/// Whether there is no transfer coding, or `chunked` alone (RFC 9112 §6.1): hyper looks at the last one only, and
/// another parser on the way might read the others.
fn is_framed_once(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

async fn collect(body: Incoming, bytes_max: usize) -> Result<Bytes, Reply> {
    let whole = timeout(limits::HTTP_BODY_TIME_MAX, Limited::new(body, bytes_max).collect()).await;
    match whole {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Reply::plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request is larger than this gateway takes\n",
        )),
        Ok(Err(_)) => Err(Reply::plain(StatusCode::BAD_REQUEST, "the request body is broken\n")),
        Err(_) => Err(Reply::plain(StatusCode::REQUEST_TIMEOUT, "the request body took too long\n")),
    }
}

fn request_of(head: http::request::Parts, peer: Peer, body: Bytes, file: Option<Incoming>) -> Request {
    let target = head.uri.path_and_query().map_or_else(String::new, |target| target.as_str().to_owned());
    let Peer { source, channel } = peer;
    let mount = Arc::from("");
    let (method, headers, closing) = (head.method, head.headers, Closing::default());
    Request { source, channel, mount, method, target, headers, body, file, closing }
}

/// A stream whose peer must take something of what is written within a time: else a peer that reads nothing
/// would keep its place, and the reply in memory, for ever.
struct Impatient<S> {
    stream: S,
    stall_max: Duration,
    leave: Leave,
    /// Runs while a write waits for the peer.
    patience: Option<Pin<Box<Sleep>>>,
}

/// Leave to take one's time: how long whoever has RTSP in a tunnel may take nothing is for its session to say, as it is
/// on any other connection.
#[derive(Clone, Default)]
struct Leave(Arc<AtomicBool>);

impl Leave {
    fn give(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_given(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S: AsyncWrite + Unpin> Impatient<S> {
    fn new(stream: S, stall_max: Duration, leave: Leave) -> Self {
        Self { stream, stall_max, leave, patience: None }
    }

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = write(Pin::new(&mut self.stream), cx) {
            self.patience = None;
            return Poll::Ready(written);
        }
        if self.leave.is_given() {
            self.patience = None;
            return Poll::Pending;
        }
        let stall_max = self.stall_max;
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(stall_max)));
        ready!(patience.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.watch(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.watch(cx, |stream, cx| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch(cx, |stream, cx| stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, future::pending};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        task::LocalSet,
        time::Instant,
    };

    use super::{
        super::{pem::PemFiles, tls::Identity},
        *,
    };

    const PACE: Pace = Pace {
        write_stall_max: Duration::from_millis(300),
        handshake_max: Duration::from_millis(300),
        accept_pause: Duration::from_millis(60),
        drain_max: Duration::from_millis(200),
    };
    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n";

    /// Answers with many bytes, or never.
    struct Answers(Option<usize>);

    impl Service for Answers {
        async fn answer(self: Rc<Self>, _: Request) -> Reply {
            match self.0 {
                Some(bytes) => Reply::content("text/plain", vec![b'x'; bytes].into()),
                None => pending().await,
            }
        }
    }

    /// Errors and connections, in this order, and then none.
    struct Scripted(RefCell<Vec<io::Result<DuplexStream>>>);

    impl Accept for Scripted {
        type Stream = DuplexStream;

        async fn accept(&self) -> io::Result<(DuplexStream, SocketAddr)> {
            let next = self.0.borrow_mut().pop();
            match next {
                Some(accepted) => accepted.map(|stream| (stream, ([192, 0, 2, 1], 9).into())),
                None => pending().await,
            }
        }
    }

    /// Serves what is scripted, meets it as a client does, stops, and says how long serving took.
    async fn check<F: Future<Output = ()>>(
        script: Vec<io::Result<DuplexStream>>,
        service: Answers,
        client: F,
    ) -> Duration {
        check_at((PACE, Door::Camera), script, service, client).await
    }

    /// The same with so much patience, at some door.
    async fn check_at<F: Future<Output = ()>>(
        (pace, door): (Pace, Door),
        mut script: Vec<io::Result<DuplexStream>>,
        service: Answers,
        client: F,
    ) -> Duration {
        script.reverse();
        let (stop, stopped) = watch::channel(false);
        let began = Instant::now();
        let local = LocalSet::new();
        let serving = serve_at(pace, Scripted(RefCell::new(script)), Rc::new(service), door, stopped);
        let meeting = async {
            client.await;
            stop.send_replace(true);
        };
        local.run_until(async { tokio::join!(serving, meeting) }).await;
        began.elapsed()
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_of_its_reply_is_cut_off() {
        let (near, mut far) = duplex(1_024);
        let client = async {
            far.write_all(GET).await.unwrap();
            // However late it is noticed: nothing is taken before the other end has gone.
            while far.write(&[]).await.is_ok() {
                sleep(PACE.write_stall_max / 10).await;
            }
            let mut taken = Vec::new();
            far.read_to_end(&mut taken).await.unwrap();
            assert!(taken.len() <= 1_024, "{} bytes of 20,480 after the reply was given up", taken.len());
        };
        let serving = check(vec![Ok(near)], Answers(Some(20_480)), client);
        timeout(Duration::from_secs(60), serving).await.expect("it is never cut off");
    }

    #[tokio::test]
    async fn whoever_has_leave_may_take_nothing_for_as_long_as_it_likes() {
        let (near, mut far) = duplex(1_024);
        let leave = Leave::default();
        let mut stream = Impatient::new(near, PACE.write_stall_max, leave.clone());
        let cut = stream.write_all(&[1; 1_025]).await.unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::TimedOut);
        leave.give();
        let (written, ()) = tokio::join!(stream.write_all(b"later"), async {
            sleep(2 * PACE.write_stall_max).await;
            far.read_exact(&mut [0; 1_029]).await.unwrap();
        });
        written.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_reads_slowly_gets_its_whole_reply() {
        const BYTES: usize = 25 * 1_024;
        // All of it takes longer than one piece may, and no piece comes near that on a busy machine.
        let pace = Pace { write_stall_max: Duration::from_secs(3), ..PACE };
        let (near, mut far) = duplex(1_024);
        let client = async {
            far.write_all(GET).await.unwrap();
            let mut taken = 0;
            while taken < BYTES {
                sleep(pace.write_stall_max / 20).await;
                let read = far.read(&mut [0; 1_024]).await.unwrap();
                assert!(read > 0, "cut off after {taken} bytes");
                taken += read;
            }
        };
        let took = check_at((pace, Door::Camera), vec![Ok(near)], Answers(Some(BYTES)), client).await;
        assert!(took > pace.write_stall_max, "{took:?}");
    }

    #[tokio::test]
    async fn a_request_that_never_ends_does_not_hold_up_the_stop() {
        let (near, mut far) = duplex(1_024);
        let client = async {
            far.write_all(GET).await.unwrap();
            tokio::task::yield_now().await;
        };
        let serving = check(vec![Ok(near)], Answers(None), client);
        let took = timeout(Duration::from_secs(60), serving).await.expect("it is held up");
        assert!(took >= PACE.drain_max, "{took:?}");
    }

    #[tokio::test]
    async fn a_handshake_that_does_not_come_to_its_end_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap();
        let files = PemFiles { certificate: folder.path().join("chain"), key: folder.path().join("key") };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(&files.key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let tls = Tls::new(&Identity::new(&files.load().unwrap()), true).unwrap();
        let (silent, mut far) = duplex(1_024);
        let (slow, mut slower) = duplex(1_024);
        let client = async {
            // One says nothing. The other goes on and on with a ClientHello of 64 KiB.
            slower.write_all(&[22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff]).await.unwrap();
            let trickle = async {
                while slower.write_all(&[7]).await.is_ok() {
                    sleep(PACE.handshake_max / 50).await;
                }
            };
            let end = async { far.read_to_end(&mut Vec::new()).await.unwrap() };
            let (nothing, ()) = tokio::join!(end, trickle);
            assert_eq!(nothing, 0);
        };
        let took =
            check_at((PACE, Door::SecureCamera(tls)), vec![Ok(silent), Ok(slow)], Answers(Some(1)), client)
                .await;
        assert!(took >= PACE.handshake_max, "{took:?}");
    }

    #[tokio::test]
    async fn accepting_pauses_when_the_machine_has_no_room_and_not_for_a_peer_that_left() {
        let full = || Err(io::Error::from(io::ErrorKind::OutOfMemory));
        let left = || Err(io::Error::from(io::ErrorKind::ConnectionAborted));
        let (near, mut far) = duplex(1_024);
        let client = async {
            far.write_all(GET).await.unwrap();
            let began = Instant::now();
            far.read_exact(&mut [0; 15]).await.unwrap();
            assert!(began.elapsed() >= 2 * PACE.accept_pause, "{:?}", began.elapsed());
        };
        check(vec![full(), left(), full(), Ok(near)], Answers(Some(1)), client).await;
    }
}
