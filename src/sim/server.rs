//! A camera's HTTP server: requests in, answers out, everything remembered.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::digest;
use bytes::Bytes;
use http::{
    Method, Request as HttpRequest, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, SERVER, WWW_AUTHENTICATE},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::{SignedDuration, Timestamp};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{Semaphore, watch},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::{
    clip::Track,
    device::{Answer, Device, Refused, is_pre_auth, operation_name},
    dialect::Dialect,
    events,
    fault::{self, Fault, Faults, Wire},
    heard::Heard,
    login::{Algorithm, Login, LoginRules, Scheme, Verdict},
    message::Request,
    oddity::{self, Garbled, Oddity},
    recording::Recording,
    script::{Item, Script, ScriptError},
    stream,
    wording::Wording,
};
use crate::{
    clock::{Clock, Entropy, EntropyError},
    limits::{
        HTTP_HEAD_TIME_MAX, SIM_CONNECTIONS_MAX, SIM_LOG_MESSAGES_MAX, SIM_SUPPORT_FILE_BYTES,
        SIM_UPLOAD_BYTES_MAX, SOAP_REQUEST_BYTES_MAX,
    },
    rtsp,
};

/// Where files are sent: firmware, a backup to restore, a clip of sound.
const UPLOAD_PATHS: [&str; 3] = ["/upload/firmware", "/upload/backup", "/upload/clip"];
/// The picture every snapshot shows.
const PICTURE: &[u8] = include_bytes!("data/picture.jpg");

/// Starts cameras.
#[derive(Debug)]
pub struct Camera;

/// What makes one camera different from another of its dialect.
#[derive(Clone)]
pub struct Options {
    /// Where it listens; port 0 takes any.
    pub bind: SocketAddr,
    /// Its one account, an administrator.
    pub username: String,
    /// The account's password.
    pub password: Zeroizing<String>,
    /// Its clock minus the true time.
    pub clock_skew: SignedDuration,
    /// The true time.
    pub clock: Arc<dyn Clock>,
    /// Where nonces come from.
    pub entropy: Arc<dyn Entropy>,
    /// The part of the serial number, endpoint reference and hardware address that tells cameras apart.
    pub serial: u32,
    /// The address it claims on its own network, beside the one it listens on.
    pub lan_address: Ipv4Addr,
}

/// Why a camera did not start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum StartError {
    #[error("the dialect `{name}` does not read")]
    Script { name: &'static str, source: ScriptError },
    #[error("the simulated camera cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// One request a camera received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// `tds:SetNTP`; `{namespace}Local` outside known services; none if it was no SOAP request.
    pub operation: Option<String>,
    /// The account it was authenticated as.
    pub user: Option<String>,
    /// By what it was authenticated.
    pub scheme: Option<Scheme>,
    /// Whether it carried credentials that were wrong.
    pub rejected: bool,
    /// The HTTP method.
    pub method: String,
    /// The path and query asked for.
    pub target: String,
    /// The SOAP action, from `SOAPAction` or the content type.
    pub action: Option<String>,
    /// All header fields, as received.
    pub headers: Vec<(String, String)>,
    /// The body; what is no UTF-8 is replaced. Of a file, its length and digest.
    pub body: String,
    /// Who sent it.
    pub peer: SocketAddr,
    /// The HTTP status it was answered with; 0 if a fault kept it from an answer.
    pub status: u16,
}

/// A camera at work. It stops when this is dropped.
#[derive(Debug)]
pub struct RunningCamera {
    address: SocketAddr,
    pub(super) shared: Arc<Shared>,
    accepting: [JoinHandle<()>; 3],
    pub(super) stop: watch::Sender<bool>,
    /// Where it lives.
    pub(super) runtime: Handle,
}

pub(super) struct Shared {
    pub(super) options: Options,
    server: Option<&'static str>,
    state: Mutex<State>,
    /// Told when a fault changes.
    behaves: watch::Sender<()>,
    /// Told when something happens, or somebody wants to be told.
    pub(super) happened: watch::Sender<()>,
}

pub(super) struct State {
    pub(super) device: Device,
    login: Login,
    /// The login of its streams.
    pub(super) stream_login: Login,
    /// How its RTSP server speaks.
    pub(super) words: Arc<Wording>,
    log: VecDeque<Received>,
    pub(super) heard: Heard,
    faults: Faults,
    oddities: Vec<Oddity>,
    /// The digest it offers when it is not odd about it.
    digest: Vec<Algorithm>,
    challenge_left_out: bool,
    tls: Option<Arc<ServerConfig>>,
}

impl State {
    fn is(&self, oddity: Oddity) -> bool {
        self.oddities.contains(&oddity)
    }

    /// The `Date` field of an answer, by the camera's own clock.
    fn date(&self, now: Timestamp) -> Option<HeaderValue> {
        let local = self.oddities.iter().any(|it| matches!(it, Oddity::LocalTime(_)));
        let date = self.device.time(now).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        (!local).then(|| HeaderValue::from_str(&date).ok())?
    }
}

impl Camera {
    /// Starts a camera on the runtime this is called from.
    pub async fn start(dialect: Dialect, options: Options) -> Result<RunningCamera, StartError> {
        let script = Script::parse(&dialect.scripts)
            .map_err(|source| StartError::Script { name: dialect.name, source })?;
        let words = Wording::parse(dialect.streams)
            .map_err(|source| StartError::Script { name: dialect.name, source })?;
        let listen = |source| StartError::Listen { address: options.bind, source };
        let listener = TcpListener::bind(options.bind).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let streams = TcpListener::bind((address.ip(), 0)).await.map_err(listen)?;
        let stream_port = streams.local_addr().map_err(listen)?.port();
        let device = Device::new(script, identity(&options, address, stream_port), options.clock_skew);
        let realm = device.variable("realm").to_owned();
        let digest = dialect.login.digest.clone();
        let login =
            |rules| Login::new(rules, realm.clone(), options.username.clone(), options.password.clone());
        // Those that take tokens alone have a digest for streams, where there are no tokens.
        let stream_digest = if digest.is_empty() { vec![Algorithm::Md5] } else { digest.clone() };
        let stream_login = LoginRules { digest: stream_digest, ..dialect.login.clone() };
        let stream_login = login(words.login(stream_login));
        let login = login(dialect.login);
        let state = State {
            device,
            login,
            stream_login,
            words: Arc::new(words),
            log: VecDeque::new(),
            heard: Heard::default(),
            faults: Faults::default(),
            oddities: Vec::new(),
            digest,
            challenge_left_out: false,
            tls: None,
        };
        let state = Mutex::new(state);
        let shared = Arc::new(Shared {
            options,
            server: dialect.server,
            state,
            behaves: watch::Sender::new(()),
            happened: watch::Sender::new(()),
        });
        let (stop, stopped) = watch::channel(false);
        let streaming = tokio::spawn(stream::accept(streams, Arc::clone(&shared), stopped.clone()));
        let notifying = tokio::spawn(events::notify(Arc::clone(&shared), stopped.clone()));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), stopped));
        Ok(RunningCamera {
            address,
            shared,
            accepting: [accepting, streaming, notifying],
            stop,
            runtime: Handle::current(),
        })
    }
}

/// The variables that belong to one camera.
fn identity(options: &Options, address: SocketAddr, stream_port: u16) -> Vec<(&'static str, String)> {
    let [a, b, c, _] = options.lan_address.octets();
    let [_, high, middle, low] = options.serial.to_be_bytes();
    vec![
        ("host", address.ip().to_string()),
        ("port", address.port().to_string()),
        ("authority", address.to_string()),
        ("rtsp.scheme", "rtsp".to_owned()),
        ("rtsp.port", stream_port.to_string()),
        ("lan.address", options.lan_address.to_string()),
        ("lan.address.bare", options.lan_address.to_string().replace('.', "")),
        ("lan.gateway", Ipv4Addr::new(a, b, c, 1).to_string()),
        ("serial", format!("{:08}", options.serial)),
        ("mac.tail", format!("{high:02x}:{middle:02x}:{low:02x}")),
        ("mac.tail.dashed", format!("{high:02x}-{middle:02x}-{low:02x}")),
        ("mac.tail.bare", format!("{high:02X}{middle:02X}{low:02X}")),
        ("username", options.username.clone()),
    ]
}

impl RunningCamera {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All it received, oldest first (the last [`SIM_LOG_MESSAGES_MAX`]).
    pub fn log(&self) -> Vec<Received> {
        self.shared.state().log.iter().cloned().collect()
    }

    /// How many requests carried credentials that were wrong.
    pub fn rejected_logins(&self) -> usize {
        self.shared.state().log.iter().filter(|received| received.rejected).count()
    }

    /// Forgets what it received.
    pub fn clear_log(&self) {
        self.shared.state().log.clear();
    }

    /// Makes it misbehave in all it does, or behave again but for faults of single operations.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.shared.state().faults.of_all = fault;
        self.shared.behaves.send_replace(());
    }

    /// Makes it misbehave in one operation (`tds:GetHostname`, or a method: `GET`), or treat that as all others again.
    pub fn set_fault_of(&self, operation: &str, fault: Option<Fault>) {
        let mut state = self.shared.state();
        match fault {
            Some(fault) => _ = state.faults.of_one.insert(operation.to_owned(), fault),
            None => _ = state.faults.of_one.remove(operation),
        }
        drop(state);
        self.shared.behaves.send_replace(());
    }

    /// Makes it odd in these ways, and in no others.
    pub fn set_oddities(&self, oddities: &[Oddity]) {
        let mut state = self.shared.state();
        let offered = match oddities {
            odd if odd.contains(&Oddity::TokenOnly) => Vec::new(),
            odd if odd.contains(&Oddity::Sha256Only) => vec![Algorithm::Sha256],
            _ => state.digest.clone(),
        };
        state.login.offer(offered);
        let minutes = oddities.iter().find_map(|it| match it {
            Oddity::LocalTime(minutes) => Some(i64::from(*minutes)),
            _ => None,
        });
        state.device.state_time_ahead(SignedDuration::from_mins(minutes.unwrap_or(0)));
        state.challenge_left_out = false;
        state.oddities = oddities.to_vec();
    }

    /// Sets its clock: the camera's minus the true time.
    pub fn set_clock_skew(&self, skew: SignedDuration) {
        self.shared.state().device.set_skew(skew);
    }

    /// Sets a variable of its script: what it says of itself.
    pub fn set_variable(&self, name: &str, value: &str) {
        self.shared.state().device.set_variable(name, value);
    }

    /// A variable of its script.
    pub fn variable(&self, name: &str) -> String {
        self.shared.state().device.variable(name).to_owned()
    }

    /// Makes it speak TLS on new connections, and nothing else; or plain HTTP again. Its streams are had in clear, too.
    pub fn set_tls(&self, tls: Option<Arc<ServerConfig>>) {
        self.shared.state().tls = tls;
    }

    /// The operations it answers other than with a fault, sorted: `tds:GetHostname` …
    pub fn operations(&self) -> Vec<String> {
        self.shared.state().device.operations().map(str::to_owned).collect()
    }

    /// Stops listening and cuts every connection.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for RunningCamera {
    fn drop(&mut self) {
        self.accepting.iter().for_each(JoinHandle::abort);
        // Connections end with this; that none may be left is no failure.
        let _ = self.stop.send(true);
    }
}

impl Shared {
    /// Waits until the fault of an operation is no [`Fault::Hold`].
    async fn released(&self, asked: &str) {
        let mut told = self.behaves.subscribe();
        while self.state().faults.of(Some(asked)) == Some(&Fault::Hold) {
            if told.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The camera's time.
    pub(super) fn time(&self) -> Timestamp {
        self.state().device.time(self.options.clock.now())
    }

    /// Whether it does something otherwise.
    pub(super) fn is(&self, oddity: Oddity) -> bool {
        self.state().is(oddity)
    }

    /// A variable of its script.
    pub(super) fn variable(&self, name: &str) -> String {
        self.state().device.variable(name).to_owned()
    }

    /// What it has recorded under a token.
    pub(super) fn recording(&self, token: &str) -> Option<Recording> {
        let state = self.state();
        let named = |name: &str, it: &Item| it.get(name).is_some_and(|it| it == token);
        let recording = state.device.list("recordings").iter().find(|it| named("token", it))?;
        let tracks = state.device.list("tracks").iter().filter(|it| named("recordings", it));
        let tracks =
            tracks.filter_map(|it| Some((Track::of_type(it.get("type")?)?, it.get("token")?.clone())));
        Some(Recording { from: recording.get("from")?.parse().ok()?, tracks: tracks.collect() })
    }

    /// How it speaks TLS, if it does.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.state().tls.clone()
    }

    /// Random bytes.
    pub(super) fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        self.options.entropy.fill(bytes)
    }

    /// What the login of a request for a stream comes to.
    pub(super) fn check_stream(&self, request: &rtsp::Request) -> Verdict {
        let mut state = self.state();
        let (clock, time) = (&self.options.clock, state.device.time(self.options.clock.now()));
        let credentials = request.fields.get(rtsp::Field::Authorization);
        let asked = (request.method.as_str(), request.uri.as_str());
        let verdict = state.stream_login.check(credentials, asked, None, clock.monotonic(), time);
        match (state.faults.of_all.as_ref(), verdict) {
            (Some(Fault::BadPassword), Verdict::User(_)) => Verdict::WrongDigest { stale: false },
            (_, verdict) => verdict,
        }
    }

    /// Challenges for somebody who asks for a stream.
    pub(super) fn challenge_stream(&self, stale: bool) -> Vec<String> {
        let now = self.options.clock.monotonic();
        self.state().stream_login.challenge(now, self.options.entropy.as_ref(), stale)
    }

    /// How it misbehaves when it is asked this of a stream, by a login that it takes.
    pub(super) fn stream_fault(&self, request: &rtsp::Request) -> Option<Fault> {
        // Whoever is to log in first is told so.
        request.fields.get(rtsp::Field::Authorization)?;
        let operation = format!("rtsp:{}", request.method);
        self.state().faults.of(Some(&operation)).cloned()
    }

    /// How it misbehaves in this and nothing else.
    pub(super) fn fault_of(&self, name: &str) -> Option<Fault> {
        self.state().faults.of_one.get(name).cloned()
    }

    /// Remembers a request for a stream, and how it was answered.
    pub(super) fn remember_stream(
        &self,
        request: &rtsp::Request,
        verdict: Option<Verdict>,
        peer: SocketAddr,
    ) {
        let user = matches!(verdict, Some(Verdict::User(_))).then(|| self.options.username.clone());
        self.state().remember(Received {
            operation: Some(format!("rtsp:{}", request.method)),
            user,
            scheme: match verdict {
                Some(Verdict::User(scheme)) => Some(scheme),
                _ => None,
            },
            rejected: verdict == Some(Verdict::WrongDigest { stale: false }),
            method: request.method.to_string(),
            target: request.uri.clone(),
            action: None,
            headers: request.fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            peer,
            status: 0,
        });
    }
}

impl State {
    fn remember(&mut self, received: Received) {
        if self.log.len() >= SIM_LOG_MESSAGES_MAX {
            self.log.pop_front();
        }
        self.log.push_back(received);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("server", &self.server).finish_non_exhaustive()
    }
}

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(SIM_CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, peer)) = listener.accept().await else { continue };
        let (shared, mut stopped) = (Arc::clone(&shared), stopped.clone());
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                () = serve(stream, peer, shared) => {}
                _ = stopped.changed() => {}
            }
        });
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let (tls, remains, no_head) = {
        let state = shared.state();
        (state.tls.clone(), state.is(Oddity::RemainsBeforeAnswer), state.is(Oddity::NoHead))
    };
    match tls {
        None if remains => answer_on(Garbled::remains(stream), peer, shared).await,
        None if no_head => answer_on(Garbled::no_head(stream), peer, shared).await,
        None => answer_on(stream, peer, shared).await,
        Some(tls) => {
            // Who does not come to the end of its handshake has asked nothing.
            if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                answer_on(stream, peer, shared).await;
            }
        }
    }
}

/// Answers the requests of one connection.
async fn answer_on(stream: impl Wire + 'static, peer: SocketAddr, shared: Arc<Shared>) {
    let misbehaviour: Arc<Mutex<Option<Misbehaviour>>> = Arc::default();
    let told = Arc::clone(&misbehaviour);
    let requests = AtomicUsize::new(0);
    let service = service_fn(move |request| {
        let (shared, told) = (Arc::clone(&shared), Arc::clone(&told));
        let is_first = requests.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if !is_first && shared.state().is(Oddity::ClosesSilently) {
                return Err(Misbehaves);
            }
            receive(request, peer, &shared).await.map_err(|misbehaviour| {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(misbehaviour);
                Misbehaves
            })
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .header_read_timeout(HTTP_HEAD_TIME_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // A client may go at any moment.
    let _ = (&mut connection).await;
    let mut stream = connection.into_parts().io.into_inner();
    let misbehaviour = misbehaviour.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(Misbehaviour { fault, head, body }) = misbehaviour {
        // So may who has had enough of it.
        let _ = fault::end(&mut stream, &fault, &head, &body).await;
    }
}

/// A fault to be ended with, and the right answer.
struct Misbehaviour {
    fault: Fault,
    head: String,
    body: Bytes,
}

/// The request takes the connection from the HTTP server.
#[derive(Debug, thiserror::Error)]
#[error("told to misbehave")]
struct Misbehaves;

pub(super) type Reply = Response<Full<Bytes>>;

async fn receive(
    request: HttpRequest<Incoming>,
    peer: SocketAddr,
    shared: &Shared,
) -> Result<Reply, Misbehaviour> {
    let (head, body) = request.into_parts();
    let is_file = UPLOAD_PATHS.contains(&head.uri.path());
    let bytes_max = if is_file { SIM_UPLOAD_BYTES_MAX } else { SOAP_REQUEST_BYTES_MAX };
    let body = Limited::new(body, bytes_max).collect().await.map(|body| body.to_bytes());
    let body = body.unwrap_or_default();
    let shown = if is_file { described(&body) } else { String::from_utf8_lossy(&body).into_owned() };
    let target = head.uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut received = Received {
        operation: None,
        user: None,
        scheme: None,
        rejected: false,
        method: head.method.to_string(),
        target,
        action: action(&head.headers),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: shown,
        peer,
        status: 0,
    };
    let credentials = head.headers.get(AUTHORIZATION).map(text);
    let target = received.target.clone();
    let (mut reply, wait, fault) = {
        let mut state = shared.state();
        let right = answer(&mut state, shared, &head.method, &body, credentials.as_deref(), &mut received);
        // What is no operation is known by its method.
        let asked = received.operation.as_ref().unwrap_or(&received.method).clone();
        let fault = state.faults.of(Some(&asked)).cloned();
        let (reply, wait) =
            match fault.as_ref().and_then(|fault| fault::misbehaved(fault, &right.0, &state.device)) {
                Some(reply) => (reply, Duration::ZERO),
                None => right,
            };
        let hangs_up = state.is(Oddity::HangsUpUnlessSoap11) && oddity::is_soap12(&body);
        let fault = if hangs_up { Some(Fault::Reset) } else { fault };
        if fault.as_ref().is_none_or(Fault::answers) {
            received.status = reply.status().as_u16();
        }
        let date = state.date(shared.options.clock.now());
        if received.user.is_some() {
            state.heard.asked(&asked);
        }
        if matches!(&*asked, "wsnt:Subscribe" | "tev:SetSynchronizationPoint") {
            shared.happened.send_replace(());
        }
        state.remember(received);
        (dated(reply, date), wait, fault.map(|fault| (fault, asked)))
    };
    if let Some(server) = shared.server {
        reply.headers_mut().insert(SERVER, HeaderValue::from_static(server));
    }
    match fault {
        Some((fault, _)) if !fault.answers() => return Err(misbehaviour(fault, reply).await),
        Some((Fault::Hold, asked)) => shared.released(&asked).await,
        Some((Fault::Slow(time), _)) => tokio::time::sleep(time).await,
        _ => {}
    }
    Ok(if wait.is_zero() { reply } else { shared.waited(reply, wait, &body, &target).await })
}

/// With the time that the camera thinks it is, if it says it.
pub(super) fn dated(mut reply: Reply, date: Option<HeaderValue>) -> Reply {
    if let Some(date) = date {
        reply.headers_mut().insert(DATE, date);
    }
    reply
}

async fn misbehaviour(fault: Fault, right: Reply) -> Misbehaviour {
    let (parts, body) = right.into_parts();
    let mut head = format!("HTTP/1.1 {}\r\n", parts.status);
    for (name, value) in &parts.headers {
        head += &format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
    }
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Misbehaviour { fault, head, body }
}

/// The right answer, and how long the camera takes for it.
fn answer(
    state: &mut State,
    shared: &Shared,
    method: &Method,
    body: &Bytes,
    credentials: Option<&str>,
    received: &mut Received,
) -> (Reply, Duration) {
    let (clock, now) = (&shared.options.clock, shared.options.clock.now());
    let at_once = |reply| (reply, Duration::ZERO);
    let request = if method == Method::POST { Request::read(body).ok() } else { None };
    let operation = request.as_ref().map(|request| operation_name(&request.body));
    received.operation.clone_from(&operation);
    if let Some(reply) = unread(state, body) {
        return at_once(reply);
    }
    let time = state.device.time(now);
    let sent = (method.as_str(), received.target.as_str());
    let mut verdict = state.login.check(credentials, sent, request.as_ref(), clock.monotonic(), time);
    if state.faults.of(operation.as_deref()) == Some(&Fault::BadPassword) && verdict != Verdict::Nobody {
        verdict = match verdict {
            Verdict::User(Scheme::UsernameToken) | Verdict::WrongToken => Verdict::WrongToken,
            _ => Verdict::WrongDigest { stale: false },
        };
    }
    if let Verdict::User(scheme) = verdict {
        (received.user, received.scheme) = (Some(shared.options.username.clone()), Some(scheme));
    }
    received.rejected = matches!(verdict, Verdict::WrongToken | Verdict::WrongDigest { stale: false });
    let open = operation.as_deref().is_some_and(is_pre_auth);
    let spoiled = verdict == Verdict::WrongToken && state.login.rules().token_spoils_pre_auth;
    if !matches!(verdict, Verdict::User(_)) && (!open || spoiled) {
        return at_once(unauthorized(state, shared, verdict));
    }
    let path = received.target.split('?').next().unwrap_or("/");
    match (method, request) {
        (&Method::POST, _) if UPLOAD_PATHS.contains(&path) => at_once(plain(200, "text/plain", "")),
        (&Method::POST, _) if !path.starts_with("/onvif/") => {
            at_once(plain(404, "text/html", "<h1>404</h1>"))
        }
        (&Method::POST, Some(request)) => {
            let target = received.target.as_str();
            let Answer { status, envelope, wait } = state.device.answer(&request, target, now);
            (enveloped(state, body, status, envelope), wait)
        }
        (&Method::POST, None) => at_once(soap(&state.device.refuse(&Refused::not_well_formed(), ""))),
        (&Method::GET, _) if path == state.device.variable("snapshot.path") => {
            at_once(plain(200, "image/jpeg", PICTURE))
        }
        (&Method::GET, _) if path == "/logs/system.log" => {
            at_once(plain(200, "text/plain", state.device.variable("log.text").to_owned()))
        }
        (&Method::GET, _) if path == "/support.bin" => {
            at_once(plain(200, "application/octet-stream", support()))
        }
        (&Method::GET, _) => at_once(plain(404, "text/html", "<h1>404</h1>")),
        _ => at_once(plain(405, "text/html", "<h1>405</h1>")),
    }
}

/// What a camera that does not read the message answers.
fn unread(state: &State, body: &Bytes) -> Option<Reply> {
    let soap12 = oddity::is_soap12(body);
    if soap12 && state.is(Oddity::EmptyUnlessSoap11) {
        return Some(plain(200, "application/soap+xml; charset=utf-8", ""));
    }
    if soap12 && state.is(Oddity::HangsUpUnlessSoap11) {
        return Some(plain(200, "text/plain", ""));
    }
    if soap12 && state.is(Oddity::RefusesUnlessSoap11) {
        return Some(plain(415, "text/plain", ""));
    }
    let must = state.is(Oddity::RefusesMustUnderstand) && oddity::must_understand(body);
    must.then(|| plain(500, "application/soap+xml; charset=utf-8", state.device.not_understood()))
}

/// An answer in the version of SOAP it was asked in.
pub(super) fn enveloped(state: &State, asked: &Bytes, status: u16, envelope: String) -> Reply {
    let undeclared = state.is(Oddity::UndeclaredPrefixes);
    let envelope = if undeclared { oddity::undeclared(&envelope) } else { envelope };
    if oddity::is_soap12(asked) {
        plain(status, "application/soap+xml; charset=utf-8", envelope)
    } else {
        plain(status, "text/xml; charset=utf-8", oddity::as_soap11(&envelope))
    }
}

/// A file in words: `3 bytes, sha256 ba78…`.
fn described(file: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, file);
    let digits: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes, sha256 {digits}", file.len())
}

/// What the camera's maker would like to know, as nobody else can read it.
fn support() -> Vec<u8> {
    let pattern: Vec<u8> = (0..251).collect();
    let mut file = pattern.repeat(SIM_SUPPORT_FILE_BYTES.div_ceil(pattern.len()));
    file.truncate(SIM_SUPPORT_FILE_BYTES);
    file
}

/// 401 with challenges (ONVIF Core §5.9.1), or 400 with a fault if the token was wrong or nothing but a token
/// would do.
fn unauthorized(state: &mut State, shared: &Shared, verdict: Verdict) -> Reply {
    let fault = state.device.refuse(&Refused::not_authorized(), "");
    let stale = verdict == Verdict::WrongDigest { stale: true };
    let now = shared.options.clock.monotonic();
    let challenges = state.login.challenge(now, shared.options.entropy.as_ref(), stale);
    let mut reply = soap(&fault);
    if state.is(Oddity::WebPageForRefusal) {
        reply = plain(401, "text/html", "<!DOCTYPE html><html><body>401</body></html>");
    }
    if state.is(Oddity::ChallengeLeftOut) && !state.challenge_left_out {
        state.challenge_left_out = true;
        *reply.status_mut() = StatusCode::UNAUTHORIZED;
        return reply;
    }
    if verdict != Verdict::WrongToken && !challenges.is_empty() {
        *reply.status_mut() = StatusCode::UNAUTHORIZED;
        for challenge in challenges.iter().filter_map(|text| HeaderValue::from_str(text).ok()) {
            reply.headers_mut().append(WWW_AUTHENTICATE, challenge);
        }
    }
    reply
}

fn soap(answer: &Answer) -> Reply {
    plain(answer.status, "application/soap+xml; charset=utf-8", answer.envelope.clone())
}

pub(super) fn plain(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

/// `SOAPAction` of SOAP 1.1, or the `action` of SOAP 1.2's content type.
fn action(headers: &HeaderMap) -> Option<String> {
    let by_header = headers.get("soapaction").and_then(|value| value.to_str().ok());
    let by_type =
        || headers.get(CONTENT_TYPE)?.to_str().ok()?.split_once("action=").map(|(_, action)| action);
    let action = by_header.or_else(by_type)?;
    Some(action.trim_matches('"').split('"').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
