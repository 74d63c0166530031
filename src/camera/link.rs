//! One HTTP/1.1 connection to a camera: plain, boring, bounded.
//!
//! The connection is driven by whoever has an exchange on it, so that no task outlives a command and a broken
//! camera can only break the exchange it is asked in.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};

use super::{
    body::BEGINNING_BYTES,
    error::{Failure, Phase},
    lenient::Seeker,
    line::Line,
    sending::Sending,
};
use crate::{
    hatch::{Sink, SinkError},
    limits::{
        CAMERA_EXCHANGE_TIME_MAX, HTTP_ERROR_BYTES_MAX, HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX,
        TRANSFER_STALL_MAX,
    },
};

/// An open connection.
pub(super) struct Link {
    /// The port it leads to.
    pub(super) port: u16,
    /// When it was last used, in monotonic time.
    pub(super) used: Duration,
    sender: SendRequest<Sending>,
    /// None once it ended.
    driver: Option<Driver>,
    traffic: Arc<Traffic>,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct HttpAnswer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// An exchange that failed.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) failure: Failure,
    /// Whether a byte of the request was written.
    pub(super) written: bool,
    /// Whether a byte of an answer came.
    pub(super) answered: bool,
}

impl Link {
    /// Over a connection to this port of the camera. With `lenient`, what stands before the one answer of the connection
    /// is passed over.
    pub(super) async fn over(line: Line, port: u16, lenient: bool) -> Result<Self, Failure> {
        let traffic = Arc::new(Traffic::default());
        let wire = Wire {
            line,
            traffic: Arc::clone(&traffic),
            seeker: lenient.then(Seeker::default),
            found: Bytes::new(),
        };
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(HTTP_HEAD_BYTES_MAX)
            .max_headers(HTTP_HEADERS_MAX)
            .title_case_headers(true)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|_| Failure::Reset)?;
        Ok(Self { port, used: Duration::ZERO, sender, driver: Some(Box::pin(driver)), traffic })
    }

    /// Whether an idle connection is still open and silent, as far as one look can tell.
    pub(super) async fn is_usable(&mut self) -> bool {
        std::future::poll_fn(|cx| {
            self.drive(cx);
            Poll::Ready(self.driver.is_some() && self.sender.is_ready())
        })
        .await
    }

    /// Sends one request and reads its whole answer; of a file the camera must take some within `stall_max`. `passed`
    /// hears the answer's status before its body is read. After an error the connection must not be used again.
    pub(super) async fn exchange(
        &mut self,
        mut request: Request<Sending>,
        into: Into<'_>,
        stall_max: Duration,
        passed: &dyn Fn(StatusCode),
    ) -> Result<HttpAnswer, Broken> {
        let left = request.body().left();
        self.traffic.written.store(false, Ordering::Relaxed);
        self.traffic.read.store(false, Ordering::Relaxed);
        let traffic = Arc::clone(&self.traffic);
        let interim = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&interim);
        hyper::ext::on_informational(&mut request, move |_| seen.store(true, Ordering::Relaxed));
        let sending = self.sender.send_request(request);
        let work = async {
            let response = match into {
                Into::Memory(..) => sending.await,
                // The file may take long, its first byte not.
                Into::Sink(_) => timeout(CAMERA_EXCHANGE_TIME_MAX, sending)
                    .await
                    .map_err(|_| Failure::TimedOut(Phase::Answer))?,
            };
            let response = response.map_err(|error| failure_of(&error))?;
            if interim.load(Ordering::Relaxed) || response.status().is_informational() {
                return Err(Failure::NotHttp("an interim status nobody asked for"));
            }
            passed(response.status());
            match into {
                Into::Sink(sink) if response.status() == StatusCode::OK => pour(response, sink).await,
                Into::Sink(_) => collect(response, HTTP_ERROR_BYTES_MAX, |_, _| true).await,
                Into::Memory(Wanted { bytes_max, begins }) => collect(response, bytes_max, begins).await,
            }
        };
        let mut work = pin!(work);
        let driver = &mut self.driver;
        let mut exchanging = pin!(std::future::poll_fn(|cx| {
            poll_driver(driver, cx);
            work.as_mut().poll(cx)
        }));
        let outcome = match &left {
            None => exchanging.await,
            Some(left) => loop {
                let before = left.bytes();
                match timeout(stall_max, exchanging.as_mut()).await {
                    Ok(outcome) => break outcome,
                    // A camera that has the whole file may take long to look at it.
                    Err(_) if left.bytes() == 0 || left.bytes() < before => {}
                    Err(_) => break Err(Failure::TimedOut(Phase::File)),
                }
            },
        };
        outcome.map_err(|failure| Broken {
            failure,
            written: traffic.written.load(Ordering::Relaxed),
            answered: traffic.read.load(Ordering::Relaxed),
        })
    }

    /// What was passed over before the answer, in words.
    pub(super) fn garbage(&self) -> Option<String> {
        let passed = self.traffic.passed_bytes.load(Ordering::Relaxed);
        let headless = self.traffic.headless.load(Ordering::Relaxed);
        match (passed, headless) {
            (0, false) => None,
            (_, false) => Some(format!("{passed} bytes before the status line")),
            (_, true) => Some(format!("no status line, and {passed} bytes before the XML declaration")),
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        poll_driver(&mut self.driver, cx);
    }
}

/// Where an answer's body goes.
#[derive(Clone, Copy)]
pub(super) enum Into<'a> {
    /// Into memory.
    Memory(Wanted),
    /// Piece by piece into a sink, if it is what was asked for (status 200); the answer's body is then empty.
    Sink(&'a Sink),
}

/// A body that is read into memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) bytes_max: usize,
    /// Whether a body with these fields may begin so. Of one that may not, no more is read than of a refusal.
    pub(super) begins: fn(&HeaderMap, &[u8]) -> bool,
}

type Driver = Pin<Box<http1::Connection<TokioIo<Wire>, Sending>>>;

fn poll_driver(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    // The same error reaches the exchange through its own channel.
    if driver.as_mut().is_some_and(|it| it.as_mut().poll(cx).is_ready()) {
        *driver = None;
    }
}

/// Reads a body whose framing leaves no doubt, up to its bound.
async fn collect(
    response: Response<Incoming>,
    mut bytes_max: usize,
    begins: fn(&HeaderMap, &[u8]) -> bool,
) -> Result<HttpAnswer, Failure> {
    let (head, mut body) = response.into_parts();
    check_framing(&head.headers)?;
    if hyper::body::Body::size_hint(&body).lower() > bytes_max as u64 {
        return Err(Failure::TooLarge(bytes_max));
    }
    let mut bytes = BytesMut::new();
    let mut looked = false;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| failure_of(&error))?;
        // Trailers are dropped.
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len().saturating_add(data.len()) > bytes_max {
            return Err(Failure::TooLarge(bytes_max));
        }
        bytes.extend_from_slice(data);
        if !looked && bytes.len() >= BEGINNING_BYTES {
            looked = true;
            if !begins(&head.headers, &bytes) {
                bytes_max = bytes_max.min(HTTP_ERROR_BYTES_MAX);
            }
        }
    }
    Ok(HttpAnswer { status: head.status, headers: head.headers, body: bytes.freeze() })
}

/// Passes a body on as it comes, up to its bound. Neither the camera nor whoever reads may stand still for long.
async fn pour(response: Response<Incoming>, sink: &Sink) -> Result<HttpAnswer, Failure> {
    let (head, mut body) = response.into_parts();
    check_framing(&head.headers)?;
    let too_large = || Failure::TooLarge(usize::try_from(sink.bytes_max()).unwrap_or(usize::MAX));
    if hyper::body::Body::size_hint(&body).lower() > sink.bytes_max() {
        return Err(too_large());
    }
    loop {
        let frame = timeout(TRANSFER_STALL_MAX, body.frame()).await;
        let Some(frame) = frame.map_err(|_| Failure::TimedOut(Phase::Answer))? else { break };
        // Trailers are dropped.
        let Ok(data) = frame.map_err(|error| failure_of(&error))?.into_data() else { continue };
        match timeout(TRANSFER_STALL_MAX, sink.put(data)).await {
            Ok(Ok(())) => {}
            Ok(Err(SinkError::TooLarge)) => return Err(too_large()),
            Ok(Err(SinkError::Gone)) | Err(_) => return Err(Failure::Unwanted),
        }
    }
    Ok(HttpAnswer { status: head.status, headers: head.headers, body: Bytes::new() })
}

/// Two statements about a body's length are one too many (RFC 9112 §6.3).
fn check_framing(headers: &HeaderMap) -> Result<(), Failure> {
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (lengths, codings.next(), codings.next()) {
        (0 | 1, None, _) => Ok(()),
        (0, Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (0, _, _) => Err(Failure::NotHttp("a transfer coding other than chunked")),
        _ => Err(Failure::NotHttp("two statements of the body's length")),
    }
}

fn failure_of(error: &hyper::Error) -> Failure {
    if error.is_parse_too_large() {
        Failure::TooLarge(HTTP_HEAD_BYTES_MAX)
    } else if error.is_parse() {
        Failure::NotHttp("a head or chunk that breaks the grammar")
    } else {
        Failure::Reset
    }
}

/// What went over a connection in the exchange under way.
#[derive(Debug, Default)]
struct Traffic {
    written: AtomicBool,
    read: AtomicBool,
    passed_bytes: AtomicUsize,
    headless: AtomicBool,
}

/// A stream that notes whether bytes of messages went either way; those of handshakes do not count.
struct Wire {
    line: Line,
    traffic: Arc<Traffic>,
    /// Looks for the beginning of the answer, where that is called for and it has not been found.
    seeker: Option<Seeker>,
    /// What was found and is not read yet.
    found: Bytes,
}

impl Wire {
    /// Passes over what stands before the answer. Ready with what is to be read; empty at the end.
    fn poll_seek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(seeker) = &mut self.seeker {
            let mut bytes = [0; SEEK_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.line).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                self.seeker = None;
                break;
            }
            let found =
                seeker.take(buffer.filled()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            if let Some(found) = found {
                self.traffic.passed_bytes.store(found.passed_bytes, Ordering::Relaxed);
                self.traffic.headless.store(found.headless, Ordering::Relaxed);
                self.found = found.answer.into();
                self.seeker = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// How much is read at once while the beginning of an answer is looked for.
const SEEK_BYTES: usize = 1_024;

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.poll_seek(cx))?;
        let polled = if self.found.is_empty() {
            Pin::new(&mut self.line).poll_read(cx, buffer)
        } else {
            let part = self.found.len().min(buffer.remaining());
            buffer.put_slice(&self.found.split_to(part));
            Poll::Ready(Ok(()))
        };
        if buffer.filled().len() > before {
            self.traffic.read.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.line).poll_write(cx, bytes);
        if matches!(polled, Poll::Ready(Ok(1..))) {
            self.traffic.written.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.line).poll_write_vectored(cx, slices);
        if matches!(polled, Poll::Ready(Ok(1..))) {
            self.traffic.written.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.line.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_shutdown(cx)
    }
}
