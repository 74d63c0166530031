//! HTTP/1.1 with deadlines: one bounded request in, one reply out.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};

use crate::limits;

/// One request with its whole body.
#[derive(Debug)]
pub struct Request {
    /// Who sent it.
    pub source: SocketAddr,
    /// Its method.
    pub method: Method,
    /// The request target as sent: path and query.
    pub target: String,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body, at most as long as the server allows.
    pub body: Bytes,
}

impl Request {
    /// A header field as text; none where it is absent or no text.
    pub fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
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
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// A plain HTTP error with a line of text for people.
    pub fn plain(status: StatusCode, text: &'static str) -> Self {
        let body = Bytes::from_static(text.as_bytes());
        Self { status, content_type: Some("text/plain; charset=utf-8"), challenges: Vec::new(), body }
    }

    /// A body of some type with status 200.
    pub fn content(content_type: &'static str, body: Bytes) -> Self {
        Self { status: StatusCode::OK, content_type: Some(content_type), challenges: Vec::new(), body }
    }

    fn into_http(self) -> http::Response<Full<Bytes>> {
        let mut response = http::Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(content_type) = self.content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
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

/// What answers requests.
pub trait Service {
    /// Answers one request.
    fn answer(self: Rc<Self>, request: Request) -> impl Future<Output = Reply>;
}

/// Where connections come in.
pub trait Accept {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// The next connection and where it comes from.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>>;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, source) = Self::accept(self).await?;
        stream.set_nodelay(true)?;
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

/// Accepts connections and answers their requests until `stop` turns true; then finishes what is under way.
///
/// `request_bytes_max` bounds a body. Must run inside a `LocalSet`.
pub async fn serve<A: Accept, S: Service + 'static>(
    listener: A,
    service: Rc<S>,
    request_bytes_max: usize,
    mut stop: watch::Receiver<bool>,
) {
    let places = std::sync::Arc::new(Semaphore::new(limits::CONNECTIONS_PER_CAMERA_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, source) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: let others finish before the next try.
                tracing::warn!(%error, "could not accept a connection");
                tokio::task::yield_now().await;
                continue;
            }
        };
        let Ok(place) = std::sync::Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(%source, "too many connections: closed at once");
            continue;
        };
        let (service, stop) = (Rc::clone(&service), stop.clone());
        connections.spawn_local(async move {
            connection(stream, source, service, request_bytes_max, stop).await;
            drop(place);
        });
    }
    while connections.join_next().await.is_some() {}
}

async fn connection<S: Service + 'static>(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    source: SocketAddr,
    service: Rc<S>,
    request_bytes_max: usize,
    mut stop: watch::Receiver<bool>,
) {
    let answer = service_fn(move |request: http::Request<Incoming>| {
        let service = Rc::clone(&service);
        async move {
            let reply = match collect(request, source, request_bytes_max).await {
                Ok(request) => service.answer(request).await,
                Err(reply) => reply,
            };
            Ok::<_, Infallible>(reply.into_http())
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

async fn collect(
    request: http::Request<Incoming>,
    source: SocketAddr,
    bytes_max: usize,
) -> Result<Request, Reply> {
    let (head, body) = request.into_parts();
    let whole = timeout(limits::HTTP_BODY_TIME_MAX, Limited::new(body, bytes_max).collect()).await;
    let body = match whole {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Reply::plain(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the request is larger than this gateway takes\n",
            ));
        }
        Ok(Err(_)) => return Err(Reply::plain(StatusCode::BAD_REQUEST, "the request body is broken\n")),
        Err(_) => return Err(Reply::plain(StatusCode::REQUEST_TIMEOUT, "the request body took too long\n")),
    };
    let target = head.uri.path_and_query().map_or_else(String::new, |target| target.as_str().to_owned());
    Ok(Request { source, method: head.method, target, headers: head.headers, body })
}
