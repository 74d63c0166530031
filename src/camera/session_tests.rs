//! The session against a hand-written peer on loopback: what arrives, byte for byte, and what comes of it.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex as Shared},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::*;
use crate::{
    auth::Secret,
    camera::{
        CameraStream, Pin, PinBook, PinError,
        errand::Post,
        error::Retry,
        link::{Into, Wanted},
        negotiation::Kind,
    },
    clock::SimulatedClock,
    hatch::Endpoint,
    rtsp::UnknownCodecs,
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const DENIED: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 6\r\n\r\ndenied";
const PASSWORD: &str = "s3cret-word";

fn challenge(nonce: &str, more: &str) -> String {
    format!(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"cam\", nonce=\"{nonce}\", qop=\"auth\", opaque=\"o/p\"{more}\r\nContent-Length: 0\r\n\r\n"
    )
}

struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), crate::clock::EntropyError> {
        buffer.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        Ok(())
    }
}

/// What was kept, oldest first.
#[derive(Default)]
struct Book(Shared<Vec<CameraMemory>>);

impl MemoryBook for Arc<Book> {
    fn recall(&self) -> CameraMemory {
        self.0.lock().unwrap().last().cloned().unwrap_or_default()
    }

    fn keep(&self, memory: &CameraMemory) {
        self.0.lock().unwrap().push(memory.clone());
    }

    fn keep_ahead(&self, memory: &CameraMemory) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> {
        self.keep(memory);
        Box::pin(std::future::ready(()))
    }
}

/// One scripted connection: an answer per request; the empty answer closes.
type Script = Vec<Vec<String>>;

struct Peer {
    session: Session,
    clock: Arc<SimulatedClock>,
    book: Arc<Book>,
    seen: Arc<Shared<Vec<String>>>,
    is_soap: bool,
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() >= length.map_or(0, |it| it.parse().unwrap()) {
                return Some(text);
            }
        }
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => text.push_str(std::str::from_utf8(&bytes[..n]).unwrap()),
        }
    }
}

async fn peer(script: Script) -> Peer {
    peer_with(script, Arc::default(), Vec::new()).await
}

async fn peer_with(script: Script, book: Arc<Book>, orders: Vec<QuirkOrder>) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Shared::new(Vec::new()));
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        for answers in script {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in answers {
                if answer == "stuck" {
                    std::future::pending::<()>().await;
                }
                let Some(request) = read_request(&mut stream).await else { break };
                log.lock().unwrap().push(request);
                if answer == "hang" {
                    std::future::pending::<()>().await;
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    met(port, seen, book, orders)
}

/// A peer that answers on any number of connections at once, by a rule. An answer after `wait:` comes once as many as
/// `together` wait for theirs.
async fn crowd(together: usize, mut rule: impl FnMut(&str) -> String + Send + 'static) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Shared::new(Vec::new()));
    let log = Arc::clone(&seen);
    let barrier = Arc::new(tokio::sync::Barrier::new(together));
    tokio::spawn(async move {
        let (asked, mut asking) = tokio::sync::mpsc::unbounded_channel::<(String, oneshot::Sender<String>)>();
        tokio::spawn(async move {
            while let Some((request, reply)) = asking.recv().await {
                let _ = reply.send(rule(&request));
                log.lock().unwrap().push(request);
            }
        });
        while let Ok((mut stream, _)) = listener.accept().await {
            let (asked, barrier) = (asked.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                while let Some(request) = read_request(&mut stream).await {
                    let (reply, answer) = oneshot::channel();
                    asked.send((request, reply)).unwrap();
                    let answer = answer.await.unwrap();
                    let waits = answer.strip_prefix("wait:");
                    if waits.is_some() {
                        barrier.wait().await;
                    }
                    stream.write_all(waits.unwrap_or(&answer).as_bytes()).await.unwrap();
                }
            });
        }
    });
    met(port, seen, Arc::default(), Vec::new())
}

fn met(port: u16, seen: Arc<Shared<Vec<String>>>, book: Arc<Book>, orders: Vec<QuirkOrder>) -> Peer {
    let clock = Arc::new(SimulatedClock::new("2026-11-23T12:00:00Z".parse().unwrap()));
    let address = CameraAddress { host: IpAddr::from([127, 0, 0, 1]), port };
    let login = Login { username: "admin".into(), password: Secret::new(PASSWORD.into()) };
    let session = Session::new(
        CameraId::new("gate").unwrap(),
        address,
        login,
        Arc::clone(&clock) as Arc<dyn Clock>,
        Arc::new(Counting(0.into())),
        Box::new(Arc::clone(&book)),
        orders,
    );
    Peer { session, clock, seen, book, is_soap: false }
}

impl Peer {
    /// Posts `ping`; an answer `denied` refuses the login.
    async fn post(&self, idempotent: bool) -> Result<String, CameraError> {
        let endpoint = Endpoint { port: None, path_and_query: "/onvif/ptz?x=1".into() };
        let write = |token: Option<Token>, manner: Manner| {
            let token = token.map(|it| format!(" {} {}", it.username, it.created)).unwrap_or_default();
            let soft = if manner.soft_security { " soft" } else { "" };
            let body = Sending::message(format!("ping{token}{soft}").into());
            let kind = if manner.soap11 { "text/xml" } else { "text/plain" };
            let action = manner.soap11.then(|| HeaderValue::from_static("\"urn:ping\""));
            Written { content_type: HeaderValue::from_static(kind), action, body }
        };
        let errand = Errand {
            kind: Kind::Soap,
            endpoint: &endpoint,
            post: Some(Post { write: &write, is_soap: self.is_soap }),
            into: Into::Memory(Wanted { bytes_max: 64, begins: |_, _| true }),
            time_max: None,
            idempotent,
        };
        let judge = |answer: &HttpAnswer| {
            let text = String::from_utf8(answer.body.to_vec()).unwrap();
            Ok(match text.as_str() {
                "denied" => Judged::NotAuthorized(text),
                "unproven" => Judged::Unproven(text),
                "vague" => Judged::Vague(text),
                "what?" => Judged::NotUnderstood(text, Hitch::Security),
                "" => return Err(Failure::Empty),
                _ => Judged::Done(text),
            })
        };
        self.session.run(&errand, &judge).await
    }

    fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap().clone();
        assert!(!seen.iter().any(|it| it.contains(PASSWORD)), "the password itself never goes out");
        seen
    }
}

fn failure(outcome: Result<String, CameraError>) -> (Failure, bool) {
    let error = outcome.unwrap_err();
    (error.failure, error.sent)
}

#[tokio::test]
async fn digest_is_answered_and_its_nonce_counted() {
    let peer = peer(vec![vec![challenge("n1", ""), OK.into(), OK.into()]]).await;
    assert_eq!(peer.post(false).await.unwrap(), "ok");
    assert_eq!(peer.post(false).await.unwrap(), "ok");
    let seen = peer.seen();
    assert_eq!(seen.len(), 3, "one connection, one challenge");
    assert!(seen[0].starts_with("POST /onvif/ptz?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"), "{}", seen[0]);
    assert!(!seen[0].contains("Authorization") && !seen[0].contains("Expect"));
    let header = "Authorization: Digest username=\"admin\", realm=\"cam\", nonce=\"n1\", uri=\"/onvif/ptz?x=1\", qop=auth, nc=00000001, cnonce=\"00000000000000000000000000000000\", response=\"";
    assert!(seen[1].contains(header), "{}", seen[1]);
    assert!(
        seen[1].contains("opaque=\"o/p\"\r\n") && seen[1].ends_with("\r\n\r\nping"),
        "no token beside digest"
    );
    assert!(seen[2].contains("nc=00000002"), "{}", seen[2]);
    assert_eq!(peer.session.memory().scheme, Some(Scheme::Digest));
    assert_eq!(peer.session.health(), Health::Up);
}

#[tokio::test]
async fn the_stronger_hash_is_chosen() {
    let both = challenge("m", "").replace(
        "Content-Length",
        "WWW-Authenticate: Digest realm=\"cam\", nonce=\"s\", qop=\"auth\", algorithm=SHA-256\r\nContent-Length",
    );
    let peer = peer(vec![vec![both, OK.into()]]).await;
    peer.post(false).await.unwrap();
    assert!(peer.seen()[1].contains("nonce=\"s\"") && peer.seen()[1].contains("algorithm=SHA-256"));
}

#[tokio::test]
async fn a_stale_nonce_is_no_rejection() {
    let stale = challenge("n2", ", stale=true");
    let peer = peer(vec![vec![challenge("n1", ""), OK.into(), stale, OK.into()]]).await;
    peer.post(false).await.unwrap();
    assert_eq!(peer.post(false).await.unwrap(), "ok");
    assert!(peer.seen()[3].contains("nonce=\"n2\"") && peer.seen()[3].contains("nc=00000001"));
    assert_eq!(peer.session.budget(), Ok(3));
}

#[tokio::test]
async fn the_breaker_opens_and_nothing_is_sent() {
    let refuse =
        |n: &str| vec![challenge(n, "").replace("WWW", "Date: Mon, 23 Nov 2026 12:00:00 GMT\r\nWWW")];
    let script: Vec<String> = (0..12).flat_map(|n| refuse(&n.to_string())).collect();
    let peer = peer(vec![script.clone(), script]).await;
    for _ in 0..2 {
        assert_eq!(
            failure(peer.post(false).await),
            (Failure::ClockUnknown, true),
            "it is measured before the head's is tried"
        );
    }
    assert!(matches!(failure(peer.post(false).await), (Failure::LoginRefused(_), true)));
    assert!(matches!(peer.session.health(), Health::LoginRefused { often: true, .. }));
    let logins =
        || peer.seen().iter().filter(|it| it.contains("Authorization") || it.contains("ping admin")).count();
    assert_eq!(logins(), 3, "{:#?}", peer.seen());
    let before = peer.seen().len();
    let (refused, sent) = failure(peer.post(false).await);
    assert_eq!(refused, Failure::LoginRefused(Retry(Some(crate::limits::CAMERA_BREAKER_PAUSE))));
    assert!(!sent && peer.seen().len() == before, "no packet while open");
    peer.clock.advance(crate::limits::CAMERA_BREAKER_PAUSE);
    assert!(matches!(failure(peer.post(false).await).0, Failure::LoginRefused(_) | Failure::Reset));
    assert_eq!(logins(), 4, "one try when half-open");
}

#[tokio::test]
async fn ws_security_uses_the_measured_clock() {
    let peer = peer(vec![vec![DENIED.into(), DENIED.into(), OK.into()]]).await;
    assert_eq!(failure(peer.post(false).await), (Failure::ClockUnknown, true));
    peer.session.observe_offset(SignedDuration::from_hours(-2));
    assert_eq!(peer.post(false).await.unwrap(), "ok", "it shows local time as UTC");
    assert!(peer.seen()[1].ends_with("10:00:00.000Z") && peer.seen()[2].ends_with("12:00:00.000Z"));
    let memory = peer.session.memory();
    assert_eq!(
        (memory.clock_offset_milliseconds, memory.clock_shift_milliseconds),
        (Some(-7_200_000), 7_200_000)
    );
}

#[tokio::test]
async fn a_token_carries_the_cameras_time() {
    let peer = peer(vec![vec![DENIED.into(), OK.into()]]).await;
    peer.session.observe_offset(SignedDuration::from_hours(-2));
    assert_eq!(peer.post(false).await.unwrap(), "ok");
    let last = peer.seen().pop().unwrap();
    assert!(
        last.ends_with("ping admin 2026-11-23T10:00:00.000Z") && !last.contains("Authorization"),
        "{last}"
    );
    assert_eq!(peer.session.memory().scheme, Some(Scheme::Wsse));
}

#[tokio::test]
async fn a_silently_closed_connection_is_replaced() {
    let peer = peer(vec![vec![OK.into()], vec![OK.into()]]).await;
    peer.post(false).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(peer.post(false).await.unwrap(), "ok");
    assert_eq!(peer.seen().len(), 2, "the second request went out once");
}

#[tokio::test]
async fn only_idempotent_requests_are_sent_twice() {
    for (idempotent, requests) in [(true, 3), (false, 2)] {
        let peer = peer(vec![vec![OK.into(), String::new()], vec![OK.into()]]).await;
        peer.post(idempotent).await.unwrap();
        let second = peer.post(idempotent).await;
        if idempotent {
            assert_eq!(second.unwrap(), "ok");
        } else {
            assert_eq!(failure(second), (Failure::Reset, true));
        }
        assert_eq!(peer.seen().len(), requests);
    }
}

#[tokio::test]
async fn broken_answers_are_named() {
    let smuggled =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n{}", "x".repeat(65));
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(65));
    for (answer, expected) in [
        ("", Failure::Reset),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", Failure::Reset),
        ("\0\0HTTP/1.1 200 OK\r\n\r\n", Failure::NotHttp("a head or chunk that breaks the grammar")),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            Failure::NotHttp("an interim status nobody asked for"),
        ),
        (smuggled, Failure::NotHttp("two statements of the body's length")),
        (&large, Failure::TooLarge(64)),
        (&endless, Failure::TooLarge(64)),
    ] {
        let peer = peer(vec![vec![answer.to_owned()]]).await;
        assert_eq!(failure(peer.post(true).await), (expected, true), "{answer:?}");
        assert!(peer.session.idle.borrow().is_empty(), "not used again: {answer:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let peer = peer(vec![vec![OK.into(), OK.into()]]).await;
    peer.post(true).await.unwrap();
    for (waited, left) in [(CAMERA_IDLE_TIME_MAX, 1), (Duration::from_millis(1), 0)] {
        peer.clock.advance(waited);
        peer.session.close_idle();
        assert_eq!(peer.session.idle.borrow().len(), left, "{waited:?} later");
    }
}

#[tokio::test]
async fn a_camera_that_hangs_is_given_up() {
    let mut peer = peer(vec![vec!["hang".into()]]).await;
    peer.session.exchange_time_max = Duration::from_millis(100);
    assert_eq!(failure(peer.post(true).await), (Failure::TimedOut(Phase::Answer), true));
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_nothing_was_sent() {
    let peer = peer(Vec::new()).await;
    tokio::task::yield_now().await;
    assert_eq!(failure(peer.post(true).await), (Failure::NotListening, false));
    assert_eq!(peer.session.health(), Health::Unreachable);
}

#[tokio::test]
async fn a_file_is_poured_after_the_login_and_a_part_of_one_is_none() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfile\r\n".to_owned();
    let twice =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n4\r\nfile\r\n0\r\n\r\n";
    for (answer, expected, came) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfile".to_owned(), None, 4),
        (format!("{chunked}0\r\n\r\n"), None, 4),
        (chunked.clone(), Some(Failure::Reset), 4),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfile".to_owned(), Some(Failure::Reset), 4),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world".to_owned(),
            Some(Failure::TooLarge(10)),
            0,
        ),
        (format!("{chunked}7\r\nis long\r\n0\r\n\r\n"), Some(Failure::TooLarge(10)), 4),
        (
            "HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\n\r\nle".to_owned(),
            Some(Failure::BadStatus(206)),
            0,
        ),
        (twice.to_owned(), Some(Failure::NotHttp("two statements of the body's length")), 0),
    ] {
        // The login is refused first: what comes with that is no file.
        let refusal = challenge("n1", "").replace("Content-Length: 0\r\n\r\n", "Content-Length: 2\r\n\r\nno");
        let peer = peer(vec![vec![refusal, answer.clone()]]).await;
        let (sink, mut pieces, tally) = crate::hatch::Sink::new(10, 8);
        let endpoint = Endpoint { port: None, path_and_query: "/backup".into() };
        let errand = Errand {
            kind: Kind::Picture,
            endpoint: &endpoint,
            post: None,
            into: Into::Sink(&sink),
            time_max: None,
            idempotent: true,
        };
        let judge = |answer: &HttpAnswer| match answer.status.as_u16() {
            200 => Ok(Judged::Done(())),
            status => Err(Failure::BadStatus(status)),
        };
        let outcome = peer.session.run(&errand, &judge).await.map_err(|error| error.failure);
        assert_eq!((outcome.err(), tally.bytes()), (expected, came), "{answer:?}");
        drop(sink);
        let mut file = Vec::new();
        while let Some(piece) = pieces.recv().await {
            file.extend_from_slice(&piece);
        }
        assert_eq!(file, &b"file"[..usize::try_from(came).unwrap()], "{answer:?}");
        assert!(peer.seen()[1].contains("Authorization: Digest"), "{:?}", peer.seen());
    }
}

#[tokio::test]
async fn a_file_that_the_camera_does_not_take_is_given_up_and_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let spool = |bytes: usize| {
        let mut writer = crate::hatch::SpoolWriter::open(folder.path(), &bytes.to_string()).unwrap();
        writer.write(&vec![b'x'; bytes]).unwrap();
        writer.finish()
    };
    // More than two sockets hold.
    for (script, bytes, expected) in [
        (vec![OK.to_owned()], 100_000, None),
        (vec!["stuck".to_owned()], 32 * 1024 * 1024, Some(Failure::TimedOut(Phase::File))),
    ] {
        let mut peer = peer(vec![script]).await;
        peer.session.stall_max = Duration::from_millis(200);
        let endpoint = Endpoint { port: None, path_and_query: "/firmware".into() };
        let file = spool(bytes);
        let write = |_: Option<Token>, _: Manner| Written {
            content_type: HeaderValue::from_static("application/octet-stream"),
            action: None,
            body: Sending::file(&file),
        };
        let errand = Errand {
            kind: Kind::Picture,
            endpoint: &endpoint,
            post: Some(Post { write: &write, is_soap: false }),
            into: Into::Memory(Wanted { bytes_max: 64, begins: |_, _| true }),
            time_max: None,
            idempotent: false,
        };
        let outcome = peer.session.run(&errand, &|_| Ok(Judged::Done(()))).await;
        assert_eq!(outcome.err().map(|error| error.failure), expected);
        if expected.is_none() {
            let seen = peer.seen();
            let length = format!("Content-Length: {bytes}\r\n");
            assert!(seen.len() == 1 && seen[0].contains(&length), "{}", &seen[0][..200]);
            assert!(seen[0].ends_with(&"x".repeat(bytes)), "the whole of it");
        }
    }
}

#[tokio::test]
async fn tries_are_booked_before_they_are_sent() {
    let book: Arc<Book> = Arc::default();
    for tries in 1..=3 {
        let script = vec![vec![challenge("n1", ""), "hang".into()]];
        let mut peer = peer_with(script, Arc::clone(&book), Vec::new()).await;
        peer.session.exchange_time_max = Duration::from_millis(100);
        assert_eq!(failure(peer.post(false).await).0, Failure::TimedOut(Phase::Answer));
        assert_eq!(
            book.recall().breaker.rejections,
            tries,
            "the gateway may be gone before the answer comes"
        );
    }
    let peer = peer_with(vec![vec![OK.into()]], Arc::clone(&book), Vec::new()).await;
    assert!(matches!(failure(peer.post(false).await), (Failure::LoginRefused(_), false)), "nothing is sent");
    peer.clock.advance(crate::limits::CAMERA_BREAKER_PAUSE);
    let after = peer_with(vec![vec![challenge("n1", ""), OK.into()]], Arc::clone(&book), Vec::new()).await;
    after.clock.advance(crate::limits::CAMERA_BREAKER_PAUSE);
    assert_eq!(after.post(false).await.unwrap(), "ok");
    let kept = book.recall().breaker;
    assert_eq!((kept.rejections, kept.proven, kept.waiting_since), (0, true, None));
}

#[tokio::test]
async fn another_manner_is_tried_once_and_remembered() {
    let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned();
    let what = "HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nwhat?".to_owned();
    let garbled = format!("POST / HTTP/1.1\0\0{OK}");
    for (first, sent, quirk) in [
        (empty, "\r\nContent-Type: text/xml\r\nSoapaction: \"urn:ping\"\r\n", Quirk::Soap11Only),
        (what, "ping soft", Quirk::SecurityNotUnderstood),
        (garbled.clone(), "\r\nConnection: close\r\n", Quirk::GarbledStatusLine),
    ] {
        let lenient = quirk == Quirk::GarbledStatusLine;
        let second = if lenient {
            vec![vec![first], vec![garbled.clone()], vec![garbled.clone()]]
        } else {
            vec![vec![first, OK.into(), OK.into()]]
        };
        let mut peer = peer(second).await;
        peer.is_soap = true;
        assert_eq!(peer.post(true).await.unwrap(), "ok", "{quirk}");
        let sighting = peer.book.recall().quirks.get(&quirk).cloned();
        assert!(sighting.is_some(), "{quirk} is kept");
        assert_eq!(peer.post(false).await.unwrap(), "ok", "{quirk}");
        let seen = peer.seen();
        assert_eq!(seen.len(), 3, "the second exchange needed one request: {seen:#?}");
        assert!(!seen[0].contains(sent) && seen[1].contains(sent) && seen[2].contains(sent), "{seen:#?}");
    }
}

#[tokio::test]
async fn what_may_have_been_done_is_asked_in_one_manner_only() {
    let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned();
    for (idempotent, forbidden) in [(false, false), (true, true)] {
        let order = QuirkOrder { quirk: Quirk::Soap11Only, used: false, reason: "mended".into() };
        let orders = if forbidden { vec![order] } else { Vec::new() };
        let mut peer = peer_with(vec![vec![empty.clone(), OK.into()]], Arc::default(), orders).await;
        peer.is_soap = true;
        assert_eq!(failure(peer.post(idempotent).await), (Failure::Empty, true));
        assert_eq!(peer.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_camera_that_closes_silently_gets_commands_on_fresh_connections() {
    // Twice the second request of a connection is not answered; what may be sent twice is.
    let script = vec![
        vec![OK.into(), String::new()],
        vec![OK.into(), String::new()],
        vec![OK.into()],
        vec![OK.into()],
    ];
    let peer = peer(script).await;
    for _ in 0..3 {
        assert_eq!(peer.post(true).await.unwrap(), "ok");
    }
    let times = peer.book.recall().quirks.get(&Quirk::ClosesSilently).map(|it| it.times);
    assert_eq!(times, Some(1), "kept when it was seen first");
    assert!(peer.session.memory().quirks.get(&Quirk::ClosesSilently).is_some_and(|it| it.times == 2));
    assert_eq!(peer.post(false).await.unwrap(), "ok", "on the fourth connection at once");
    assert_eq!(peer.seen().len(), 6);
}

/// No pins, and no place for them.
struct NoPins;

impl PinBook for NoPins {
    fn pin(&self) -> Result<Option<Pin>, PinError> {
        Ok(None)
    }

    fn keep(&self, first: Pin) -> Result<Pin, PinError> {
        Ok(first)
    }
}

fn screen() -> Arc<crate::hatch::Screen> {
    let tables = crate::schema::Tables::embedded().unwrap();
    Arc::new(crate::hatch::Screen::new(&tables, crate::hatch::AddressRules::default()))
}

#[tokio::test]
async fn streams_of_a_camera_that_is_reached_over_tls_are_not_had_in_clear() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = vec![0; 4_096];
        let length = stream.read(&mut heard).await.unwrap();
        stream.write_all(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n").await.unwrap();
        heard.truncate(length);
        heard
    });
    let session = peer(vec![]).await.session.over_tls(CameraTls::new(Vec::new(), Box::new(NoPins)));
    let endpoint = Endpoint { port: Some(port), path_and_query: "/live".into() };
    let failed = CameraStream::open(&endpoint, &screen(), (false, UnknownCodecs::Refused), &session)
        .await
        .err()
        .unwrap();
    assert!(matches!(failed.failure, Failure::TlsUnsupported(_)), "{failed:?}");
    let heard = heard.await.unwrap();
    assert_eq!(heard[..2], [22, 3], "a handshake");
    assert!(!heard.windows(4).any(|it| it == b"rtsp"), "and nothing else");
}

fn is_login(request: &str) -> bool {
    request.contains("Authorization") || request.contains("ping admin")
}

impl Peer {
    /// Four posts under way at once.
    async fn four(&self) -> [Result<String, CameraError>; 4] {
        tokio::join!(self.post(false), self.post(false), self.post(false), self.post(false)).into()
    }

    fn logins(&self) -> usize {
        self.seen().iter().filter(|it| is_login(it)).count()
    }
}

#[tokio::test]
async fn of_commands_at_once_to_a_camera_that_was_started_anew_one_is_refused() {
    let year = Arc::new(Shared::new("2026"));
    let now = Arc::clone(&year);
    let peer = crowd(1, move |request| {
        let right = request.contains(&format!("ping admin {}", now.lock().unwrap()));
        if right { OK } else { DENIED }.to_owned()
    })
    .await;
    peer.session.observe_offset(SignedDuration::ZERO);
    assert_eq!(peer.post(false).await.unwrap(), "ok");
    assert_eq!(peer.logins(), 1);
    // It lost its power and its time, and nobody asked it meanwhile.
    *year.lock().unwrap() = "1970";
    peer.clock.advance(Duration::from_secs(30));
    for outcome in peer.four().await {
        assert_eq!(failure(outcome), (Failure::ClockUnknown, true));
    }
    assert_eq!((peer.logins(), peer.session.budget()), (2, Ok(2)), "{:#?}", peer.seen());
    peer.session.observe_offset(jiff::Timestamp::UNIX_EPOCH.duration_since(peer.session.now()));
    for outcome in peer.four().await {
        assert_eq!(outcome.unwrap(), "ok");
    }
    assert_eq!((peer.logins(), peer.session.budget()), (6, Ok(3)), "{:#?}", peer.seen());
}

#[tokio::test]
async fn of_logins_under_way_when_the_password_changes_those_refused_count_once() {
    let changed = Arc::new(Shared::new(false));
    let now = Arc::clone(&changed);
    let (mut nonces, mut held) = (0, 0);
    let peer = crowd(4, move |request| {
        if is_login(request) && !*now.lock().unwrap() {
            return OK.to_owned();
        }
        nonces += 1;
        let refusal = challenge(&nonces.to_string(), "");
        if is_login(request) && held < 4 {
            held += 1;
            return format!("wait:{refusal}");
        }
        refusal
    })
    .await;
    assert_eq!(peer.post(false).await.unwrap(), "ok");
    *changed.lock().unwrap() = true;
    let before = peer.logins();
    for outcome in peer.four().await {
        assert!(matches!(outcome.unwrap_err().failure, Failure::LoginRefused(_)));
    }
    assert_eq!(peer.logins() - before, 5, "four were under way, one showed why they were refused");
    let health = Health::LoginRefused { wait: crate::limits::CAMERA_LOGIN_SECOND_PAUSE, often: false };
    assert_eq!(peer.session.health(), health);
    // What is left of the budget is one try, which asks for a nonce first.
    peer.clock.advance(crate::limits::CAMERA_LOGIN_SECOND_PAUSE);
    assert!(matches!(failure(peer.post(false).await).0, Failure::LoginRefused(_)));
    assert_eq!(peer.logins() - before, 6);
    let open = Health::LoginRefused { wait: crate::limits::CAMERA_BREAKER_PAUSE, often: true };
    assert_eq!(peer.session.health(), open);
}

#[tokio::test]
async fn nobody_waits_for_the_end_of_a_file_to_log_in() {
    let peer = crowd(1, |request| match is_login(request) {
        true if request.starts_with("GET /backup ") => {
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfile".to_owned()
        }
        true => OK.to_owned(),
        false => challenge("n1", ""),
    })
    .await;
    let (sink, mut pieces, _) = crate::hatch::Sink::new(10, 8);
    let endpoint = Endpoint { port: None, path_and_query: "/backup".into() };
    let errand = Errand {
        kind: Kind::Picture,
        endpoint: &endpoint,
        post: None,
        into: Into::Sink(&sink),
        time_max: None,
        idempotent: true,
    };
    let judge = |_: &HttpAnswer| Ok(Judged::Done(()));
    tokio::select! {
        biased;
        ended = peer.session.run(&errand, &judge) => panic!("{ended:?}"),
        posted = async {
            assert_eq!(&pieces.recv().await.unwrap()[..], b"file");
            assert!(peer.session.memory().breaker.proven, "the head said so");
            peer.post(false).await
        } => assert_eq!(posted.unwrap(), "ok"),
    }
}

#[tokio::test]
async fn refusals_in_other_words_prove_no_login() {
    let forbidden = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    let vague = "HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\nvague";
    let silent = "HTTP/1.1 500 Oops\r\nContent-Length: 8\r\n\r\nunproven";
    let what = "HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nwhat?";
    for (refusal, counted) in [(forbidden, 1), (vague, 1), (silent, 0), (what, 0)] {
        let peer = crowd(1, move |request| if is_login(request) { refusal } else { DENIED }.to_owned()).await;
        peer.session.observe_offset(SignedDuration::ZERO);
        let outcome = peer.post(false).await;
        let breaker = peer.session.memory().breaker;
        assert_eq!((breaker.rejections, breaker.proven), (counted, false), "{refusal}");
        assert_eq!(outcome.is_err(), counted > 0, "{refusal}: {outcome:?}");
    }
}

#[tokio::test]
async fn what_lacks_a_right_is_no_refusal_of_a_login_that_was_taken() {
    let peer = crowd(1, |request| match is_login(request) {
        true if request.starts_with("GET /secret ") => {
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_owned()
        }
        true => OK.to_owned(),
        false => challenge("n1", ""),
    })
    .await;
    let endpoint = Endpoint { port: None, path_and_query: "/secret".into() };
    let into = Into::Memory(Wanted { bytes_max: 64, begins: |_, _| true });
    let errand = Errand {
        kind: Kind::Picture,
        endpoint: &endpoint,
        post: None,
        into,
        time_max: None,
        idempotent: true,
    };
    let judge = |answer: &HttpAnswer| Err::<Judged<()>, _>(Failure::BadStatus(answer.status.as_u16()));
    peer.post(false).await.unwrap();
    let outcome = peer.session.run(&errand, &judge).await;
    assert_eq!(outcome.unwrap_err().failure, Failure::BadStatus(403));
    assert_eq!(peer.session.budget(), Ok(3));
}

#[tokio::test]
async fn a_stream_that_is_forbidden_counts_unless_the_login_was_taken() {
    for (taken, rejections) in [(true, 0), (false, 1)] {
        let peer = crowd(1, |request| {
            let challenge = "WWW-Authenticate: Digest realm=\"cam\", nonce=\"n1\"\r\n";
            match request.split_once(' ').unwrap().0 {
                "POST" if is_login(request) => OK.to_owned(),
                "POST" => self::challenge("n1", ""),
                "OPTIONS" => "RTSP/1.0 200 OK\r\n\r\n".to_owned(),
                _ if is_login(request) => "RTSP/1.0 403 Forbidden\r\n\r\n".to_owned(),
                _ => format!("RTSP/1.0 401 Unauthorized\r\n{challenge}\r\n"),
            }
        })
        .await;
        if taken {
            peer.post(false).await.unwrap();
        }
        let endpoint = Endpoint { port: Some(peer.session.address.port), path_and_query: "/live".into() };
        let failed = CameraStream::open(&endpoint, &screen(), (false, UnknownCodecs::Refused), &peer.session)
            .await
            .err()
            .unwrap();
        let forbidden = failed.failure == Failure::BadRtspStatus(403);
        assert_eq!(forbidden, taken, "{failed:?}");
        let breaker = peer.session.memory().breaker;
        assert_eq!((breaker.rejections, breaker.proven), (rejections, taken), "{failed:?}");
    }
}

#[tokio::test]
async fn a_sign_of_life_that_is_refused_with_any_nonce_is_given_otherwise_and_then_counts() {
    for (sign, taken) in [("OPTIONS", true), ("none", false)] {
        let mut nonces = 0;
        let peer = crowd(1, move |request| {
            let number = request.lines().find_map(|it| it.strip_prefix("CSeq: ")).unwrap();
            let answer = |status: &str, more: &str| format!("RTSP/1.0 {status}\r\nCSeq: {number}\r\n{more}");
            let sdp = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:v\r\n";
            let length = format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len());
            match request.split_once(' ').unwrap().0 {
                "OPTIONS" if !is_login(request) => answer("200 OK", "Public: GET_PARAMETER\r\n\r\n"),
                "DESCRIBE" if is_login(request) => answer("200 OK", &length),
                "SETUP" | "PLAY" => answer("200 OK", "Session: 1\r\n\r\n"),
                method if method == sign => answer("200 OK", "\r\n"),
                _ => {
                    nonces += 1;
                    let challenge = format!("Digest realm=\"cam\", nonce=\"{nonces}\", qop=\"auth\"");
                    answer("401 Unauthorized", &format!("WWW-Authenticate: {challenge}\r\n\r\n"))
                }
            }
        })
        .await;
        let endpoint = Endpoint { port: Some(peer.session.address.port), path_and_query: "/live".into() };
        let wanted = (false, UnknownCodecs::Refused);
        let mut stream = CameraStream::open(&endpoint, &screen(), wanted, &peer.session).await.unwrap();
        stream.play(&peer.session).await.unwrap();
        // With the nonce that it had, and with a new one.
        for _ in 0..2 {
            stream.keep_alive(&peer.session).await.unwrap();
            while !stream.is_sign_due() {
                stream.read_some().await.unwrap();
            }
        }
        stream.keep_alive(&peer.session).await.unwrap();
        assert_eq!(peer.session.budget(), Ok(3), "none of these counts yet");
        let signs = |kind: &str| peer.seen().iter().filter(|it| it.starts_with(kind) && is_login(it)).count();
        while signs("OPTIONS ") == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(signs("GET_PARAMETER "), 2);
        if taken {
            continue;
        }
        while !stream.is_sign_due() {
            stream.read_some().await.unwrap();
        }
        let wait = crate::limits::CAMERA_LOGIN_FIRST_PAUSE;
        let refused = stream.keep_alive(&peer.session).await;
        assert_eq!(refused, Err(Failure::LoginRefused(Retry(Some(wait)))));
        assert_eq!(peer.session.health(), Health::LoginRefused { wait, often: false });
    }
}
