//! Authenticated, bounded HTTP exchanges with one camera: pool, login, retry, deadline.
//!
//! Knows bytes and logins, not SOAP: what a body says is judged by whoever asks.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt::Write,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header, uri::PathAndQuery};
use jiff::SignedDuration;
use tokio::sync::{Mutex, MutexGuard, Semaphore};

use super::{
    breaker::{Breaker, Health},
    error::{CameraError, Failure, Phase, Retry},
    link::{HttpAnswer, Into, Link},
    memory::{CameraMemory, Clockwork},
    negotiation::{Attach, Kind, Known, Negotiation, Offered, Refused, Scheme, Step},
    offset,
    sending::Sending,
    tls::{CameraTls, CertificateNews},
};
use crate::{
    auth::{
        Login,
        digest::{Challenge, Credentials},
        wsse,
    },
    clock::{Clock, Entropy},
    hatch::Endpoint,
    ids::CameraId,
    inventory::CameraAddress,
    limits::{
        CAMERA_CHALLENGES_MAX, CAMERA_EXCHANGE_TIME_MAX, CAMERA_EXCHANGES_MAX, CAMERA_IDLE_CONNECTIONS_MAX,
        CAMERA_IDLE_TIME_MAX, TRANSFER_STALL_MAX,
    },
};

/// What is to be exchanged.
pub(super) struct Errand<'a> {
    pub(super) kind: Kind,
    pub(super) endpoint: &'a Endpoint,
    /// What to send; none for a GET.
    pub(super) post: Option<Post<'a>>,
    /// Where the answer goes.
    pub(super) into: Into<'a>,
    /// The deadline, where it is not the usual one.
    pub(super) time_max: Option<Duration>,
    pub(super) idempotent: bool,
}

/// The body of a POST.
pub(super) struct Post<'a> {
    pub(super) content_type: HeaderValue,
    /// Writes the body, with the token if there is one.
    pub(super) body: &'a dyn Fn(Option<Token>) -> Sending,
}

/// A WS-Security UsernameToken, good for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) username: String,
    pub(super) password_digest: [u8; 20],
    pub(super) nonce: [u8; 20],
    pub(super) created: String,
}

/// What an answer other than a 401 says about the login.
pub(super) enum Judged<T> {
    /// It is no refusal of the login.
    Done(T),
    /// It refuses the login (`ter:NotAuthorized`).
    NotAuthorized(T),
}

/// All that is remembered of one camera while the gateway runs.
pub(super) struct Session {
    camera: CameraId,
    address: CameraAddress,
    /// How TLS is made with the camera, if that is how it is reached.
    tls: Option<CameraTls>,
    login: Login,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    idle: RefCell<Vec<Link>>,
    challenges: RefCell<VecDeque<Kept>>,
    breaker: RefCell<Breaker>,
    scheme: Cell<Option<Scheme>>,
    clockwork: Cell<Clockwork>,
    turns: Semaphore,
    exchange_time_max: Duration,
    stall_max: Duration,
    /// Held by whoever tries a login that is not known to be good, so that tries go one by one.
    login_turn: Mutex<()>,
}

/// A challenge that may be answered again.
struct Kept {
    port: u16,
    path: String,
    challenge: Challenge,
    uses: u32,
}

/// How far one errand has come, for whoever outlives it.
struct Progress {
    phase: Cell<Phase>,
    sent: Cell<bool>,
}

impl Session {
    pub(super) fn new(
        camera: CameraId,
        address: CameraAddress,
        login: Login,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        restored: CameraMemory,
    ) -> Self {
        Self {
            camera,
            address,
            tls: None,
            login,
            clock,
            entropy,
            idle: RefCell::default(),
            challenges: RefCell::default(),
            breaker: RefCell::default(),
            scheme: Cell::new(restored.scheme),
            clockwork: Cell::new(Clockwork::restored(restored)),
            turns: Semaphore::new(CAMERA_EXCHANGES_MAX),
            exchange_time_max: CAMERA_EXCHANGE_TIME_MAX,
            stall_max: TRANSFER_STALL_MAX,
            login_turn: Mutex::new(()),
        }
    }

    /// Reaches the camera over TLS, and in no other way.
    pub(super) fn over_tls(self, tls: CameraTls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// What happened to the camera's certificate since this was asked last.
    pub(super) fn certificate_news(&self) -> Option<CertificateNews> {
        self.tls.as_ref().and_then(CameraTls::news)
    }

    /// Does the errand within its deadline, challenges and retry included.
    pub(super) async fn run<T>(
        &self,
        errand: &Errand<'_>,
        judge: &dyn Fn(&HttpAnswer) -> Result<Judged<T>, Failure>,
    ) -> Result<T, CameraError> {
        let progress = Progress { phase: Cell::new(Phase::Turn), sent: Cell::new(false) };
        let outcome = tokio::time::timeout(
            errand.time_max.unwrap_or(self.exchange_time_max),
            self.settle(errand, judge, &progress),
        )
        .await;
        let outcome = outcome.unwrap_or_else(|_| Err(Failure::TimedOut(progress.phase.get())));
        outcome.map_err(|failure| CameraError { failure, sent: progress.sent.get() })
    }

    pub(super) fn observe_offset(&self, measured: SignedDuration) {
        self.clockwork.set(self.clockwork.get().measured(measured));
    }

    pub(super) fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    pub(super) fn memory(&self) -> CameraMemory {
        self.clockwork.get().memory(self.scheme.get())
    }

    pub(super) fn health(&self) -> Health {
        self.breaker.borrow().health(self.clock.monotonic())
    }

    async fn settle<T>(
        &self,
        errand: &Errand<'_>,
        judge: &dyn Fn(&HttpAnswer) -> Result<Judged<T>, Failure>,
        progress: &Progress,
    ) -> Result<T, Failure> {
        if errand.kind != Kind::PreAuth {
            self.budget()?;
        }
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await.map_err(|_| Failure::Unreachable)?;
        let mut negotiation = Negotiation::new(self.known(errand));
        let mut login_turn: Option<MutexGuard<'_, ()>> = None;
        let mut refused_before = false;
        loop {
            let attach = negotiation.attached();
            if attach != Attach::Nothing {
                if login_turn.is_none() && (refused_before || !self.breaker.borrow().is_confirmed()) {
                    progress.phase.set(Phase::Turn);
                    login_turn = Some(self.login_turn.lock().await);
                }
                self.budget()?;
            }
            let (answer, nonce) = self.fetch(errand, attach, progress).await?;
            let date = offset::date(&answer.headers).map(|date| offset::between(date, self.clock.now()));
            let status_401 = answer.status == StatusCode::UNAUTHORIZED;
            if !status_401 {
                match judge(&answer)? {
                    Judged::NotAuthorized(_) if attach != Attach::Digest => {}
                    // The HTTP login passed: the account lacks a right, or digest is no longer looked at.
                    Judged::NotAuthorized(fault) => {
                        self.forget_challenge(errand);
                        self.scheme.set(None);
                        return Ok(fault);
                    }
                    Judged::Done(done) => {
                        self.accepted(attach, errand.kind);
                        return Ok(done);
                    }
                }
            }
            refused_before = true;
            let offered = self.keep_challenge(errand, &answer, nonce.as_deref());
            self.next(&mut negotiation, Refused { offered, status_401, date })?;
        }
    }

    /// Books a refusal and says how to go on, or why not.
    fn next(&self, negotiation: &mut Negotiation, refused: Refused) -> Result<(), Failure> {
        let now = self.clock.monotonic();
        let budget = self.breaker.borrow().budget(now).unwrap_or(0);
        let turn = negotiation.refused(refused, budget);
        if turn.counts {
            let mut breaker = self.breaker.borrow_mut();
            breaker.rejected(now);
            tracing::warn!(camera = %self.camera, health = ?breaker.health(now), "the camera refused the login");
        }
        match turn.step {
            Step::Send(_) => Ok(()),
            Step::Unsupported => Err(Failure::LoginUnsupported),
            Step::ClockUnknown => {
                self.clockwork.set(Clockwork::default());
                self.scheme.set(Some(Scheme::Wsse));
                Err(Failure::ClockUnknown)
            }
            Step::Refused => {
                let open = self.breaker.borrow().budget(now).err();
                if open.is_some() {
                    // After the pause the camera may want another scheme: ask it anew.
                    self.scheme.set(None);
                    self.challenges.borrow_mut().clear();
                }
                Err(Failure::LoginRefused(Retry(open)))
            }
        }
    }

    fn accepted(&self, attach: Attach, kind: Kind) {
        match attach {
            Attach::Nothing => return,
            Attach::Digest if kind == Kind::Picture => {}
            Attach::Digest => self.scheme.set(Some(Scheme::Digest)),
            Attach::Wsse(offset) => {
                self.scheme.set(Some(Scheme::Wsse));
                self.clockwork.set(self.clockwork.get().accepted(offset));
            }
        }
        self.breaker.borrow_mut().accepted();
    }

    /// The enrolled host.
    pub(super) fn host(&self) -> std::net::IpAddr {
        self.address.host
    }

    /// Where randomness comes from.
    pub(super) fn entropy(&self) -> Arc<dyn Entropy> {
        Arc::clone(&self.entropy)
    }

    /// The login, for what does not go over HTTP.
    pub(super) fn login(&self) -> &Login {
        &self.login
    }

    /// Whether a login may be tried now, whatever it goes over.
    pub(super) fn may_try(&self) -> Result<(), Failure> {
        self.budget().map(|_| ())
    }

    /// A login was refused over another protocol, with a nonce that was new.
    pub(super) fn refused(&self) {
        let now = self.clock.monotonic();
        let mut breaker = self.breaker.borrow_mut();
        breaker.rejected(now);
        tracing::warn!(camera = %self.camera, health = ?breaker.health(now), "the camera refused the login over RTSP");
    }

    /// A login was accepted over another protocol.
    pub(super) fn passed(&self) {
        self.breaker.borrow_mut().accepted();
    }

    /// How long until a login is tried again, if it is not tried at once.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.breaker.borrow().budget(self.clock.monotonic()).err()
    }

    fn budget(&self) -> Result<u32, Failure> {
        let budget = self.breaker.borrow().budget(self.clock.monotonic());
        budget.map_err(|wait| Failure::LoginRefused(Retry(Some(wait))))
    }

    fn known(&self, errand: &Errand<'_>) -> Known {
        let (port, path) = self.place(errand);
        Known {
            scheme: self.scheme.get(),
            confirmed: self.breaker.borrow().is_confirmed(),
            challenge: self.challenges.borrow().iter().any(|kept| kept.is_for(port, path)),
            offset: self.clockwork.get().offset(),
            kind: errand.kind,
        }
    }

    /// One request and its answer, with the nonce it used.
    async fn fetch(
        &self,
        errand: &Errand<'_>,
        attach: Attach,
        progress: &Progress,
    ) -> Result<(HttpAnswer, Option<String>), Failure> {
        let mut may_reuse = true;
        loop {
            let (request, nonce) = self.request(errand, attach)?;
            let idle = if may_reuse { self.take_idle(self.place(errand).0).await } else { None };
            let reused = idle.is_some();
            let mut link = match idle {
                Some(link) => link,
                None => self.dial(errand, progress).await?,
            };
            progress.phase.set(Phase::Answer);
            let sent_before = progress.sent.replace(true);
            let broken = match link.exchange(request, errand.into, self.stall_max).await {
                Ok(answer) => {
                    self.put_idle(link);
                    return Ok((answer, nonce));
                }
                Err(broken) => broken,
            };
            progress.sent.set(sent_before || broken.written);
            // Cameras close idle connections silently. What was not read cannot have acted; what was, may have.
            may_reuse = false;
            if !reused || broken.answered || (broken.written && !errand.idempotent) {
                return Err(broken.failure);
            }
        }
    }

    async fn dial(&self, errand: &Errand<'_>, progress: &Progress) -> Result<Link, Failure> {
        progress.phase.set(Phase::Connect);
        let opened =
            Link::open(SocketAddr::new(self.address.host, self.place(errand).0), self.tls.as_ref()).await;
        let mut breaker = self.breaker.borrow_mut();
        match opened {
            Ok(_) => breaker.reached(self.clock.monotonic()),
            Err(Failure::TlsUnsupported(_) | Failure::CertificateChanged | Failure::PinUnavailable) => {
                breaker.distrusted();
            }
            Err(_) => breaker.unreachable(),
        }
        opened
    }

    async fn take_idle(&self, port: u16) -> Option<Link> {
        let oldest = self.clock.monotonic().saturating_sub(CAMERA_IDLE_TIME_MAX);
        loop {
            let mut link = {
                let mut idle = self.idle.borrow_mut();
                idle.retain(|link| link.used >= oldest);
                let at = idle.iter().rposition(|link| link.port == port)?;
                idle.remove(at)
            };
            if link.is_usable().await {
                return Some(link);
            }
        }
    }

    fn put_idle(&self, mut link: Link) {
        link.used = self.clock.monotonic();
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= CAMERA_IDLE_CONNECTIONS_MAX {
            idle.remove(0);
        }
        idle.push(link);
    }

    fn request(
        &self,
        errand: &Errand<'_>,
        attach: Attach,
    ) -> Result<(Request<Sending>, Option<String>), Failure> {
        let (port, _) = self.place(errand);
        let target = &errand.endpoint.path_and_query;
        let target = Some(target.as_str()).filter(|it| it.starts_with('/')).ok_or(Failure::BadEndpoint)?;
        let path = PathAndQuery::try_from(target).map_err(|_| Failure::BadEndpoint)?;
        let method = if errand.post.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder()
            .method(method.clone())
            .uri(Uri::from(path))
            .header(header::HOST, SocketAddr::new(self.address.host, port).to_string());
        let (mut token, mut nonce) = (None, None);
        match attach {
            Attach::Nothing => {}
            Attach::Wsse(offset) => token = Some(self.token(offset)?),
            Attach::Digest => {
                if let Some((value, used)) = self.authorization(errand, &method)? {
                    request = request.header(header::AUTHORIZATION, value);
                    nonce = Some(used);
                }
            }
        }
        let body = match &errand.post {
            None => Sending::message(Bytes::new()),
            Some(post) => {
                request = request.header(header::CONTENT_TYPE, post.content_type.clone());
                (post.body)(token)
            }
        };
        let request = request.body(body).map_err(|_| Failure::BadEndpoint)?;
        Ok((request, nonce))
    }

    /// The `Authorization` value for the kept challenge of this place, and its nonce.
    fn authorization(
        &self,
        errand: &Errand<'_>,
        method: &Method,
    ) -> Result<Option<(HeaderValue, String)>, Failure> {
        let (port, path) = self.place(errand);
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes).map_err(|_| Failure::NoEntropy)?;
        let cnonce = hexadecimal(&bytes);
        let mut challenges = self.challenges.borrow_mut();
        // Another errand may have dropped it meanwhile; then the next answer brings a new one.
        let Some(kept) = challenges.iter_mut().find(|kept| kept.is_for(port, path)) else {
            return Ok(None);
        };
        kept.uses = kept.uses.saturating_add(1);
        let target = &errand.endpoint.path_and_query;
        let credentials =
            Credentials::answer(&kept.challenge, &self.login, method.as_str(), target, &cnonce, kept.uses);
        let mut value =
            HeaderValue::try_from(credentials.to_string()).map_err(|_| Failure::LoginUnsupported)?;
        value.set_sensitive(true);
        Ok(Some((value, kept.challenge.nonce.clone())))
    }

    fn token(&self, ahead: SignedDuration) -> Result<Token, Failure> {
        let mut nonce = [0; 20];
        self.entropy.fill(&mut nonce).map_err(|_| Failure::NoEntropy)?;
        let created = offset::created(self.clock.now(), ahead);
        let password_digest = wsse::password_digest(&nonce, &created, self.login.password.expose());
        Ok(Token { username: self.login.username.clone(), password_digest, nonce, created })
    }

    /// Keeps the strongest digest challenge of an answer, and says how it relates to the nonce just used.
    fn keep_challenge(&self, errand: &Errand<'_>, answer: &HttpAnswer, used: Option<&str>) -> Offered {
        let headers: Vec<&str> = answer
            .headers
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let offered = Challenge::parse_all(&headers);
        self.forget_challenge(errand);
        let Some(challenge) = Challenge::preferred(&offered) else {
            return Offered::Nothing;
        };
        let relation = match used {
            Some(_) if challenge.stale => Offered::Stale,
            Some(nonce) if nonce == challenge.nonce => Offered::SameNonce,
            _ => Offered::NewNonce,
        };
        let (port, path) = self.place(errand);
        let mut challenges = self.challenges.borrow_mut();
        if challenges.len() >= CAMERA_CHALLENGES_MAX {
            challenges.pop_front();
        }
        challenges.push_back(Kept { port, path: path.to_owned(), challenge: challenge.clone(), uses: 0 });
        relation
    }

    fn forget_challenge(&self, errand: &Errand<'_>) {
        let (port, path) = self.place(errand);
        self.challenges.borrow_mut().retain(|kept| !kept.is_for(port, path));
    }

    /// The port and path an errand goes to. Some cameras bind a nonce to the path it was issued for.
    fn place<'a>(&self, errand: &Errand<'a>) -> (u16, &'a str) {
        let target = errand.endpoint.path_and_query.as_str();
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        (errand.endpoint.port.unwrap_or(self.address.port), path)
    }
}

impl Kept {
    fn is_for(&self, port: u16, path: &str) -> bool {
        self.port == port && self.path == path
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
