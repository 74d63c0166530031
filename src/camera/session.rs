//! Authenticated, bounded HTTP exchanges with one camera: pool, login, retry, deadline.
//!
//! Knows bytes and logins, not SOAP: what a body says is judged by whoever asks.

mod logins;

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
use tokio::sync::{Mutex, Semaphore};

use super::{
    body,
    breaker::{Breaker, Health},
    errand::{Errand, Heard, Judged, Manners, Token, Written},
    error::{CameraError, Failure, Phase},
    habits::{Habits, Identity},
    line::Line,
    link::{HttpAnswer, Link},
    manner::{Hitch, Manner, Stakes},
    memory::{CameraMemory, Clockwork, KeptSubscription, MemoryBook},
    negotiation::{Attach, Kind, Known, Negotiation, Offered, Refused, Scheme},
    offset,
    sending::Sending,
    shown::{self, Turns},
    tls::{CameraTls, CertificateNews},
};
use crate::{
    auth::{
        Login,
        digest::{Algorithm, Challenge, Credentials},
        wsse,
    },
    clock::{Clock, Entropy},
    ids::CameraId,
    inventory::{CameraAddress, Evidence, Quirk, QuirkOrder, StreamWays},
    isolation::Dialler,
    limits::{
        CAMERA_CHALLENGE_IDLE_MAX, CAMERA_CHALLENGES_MAX, CAMERA_CLOCK_OFF_MIN, CAMERA_EXCHANGE_TIME_MAX,
        CAMERA_EXCHANGES_MAX, CAMERA_IDLE_CONNECTIONS_MAX, CAMERA_IDLE_TIME_MAX, TRANSFER_STALL_MAX,
    },
};
use logins::LoginTurn;

/// All that is remembered of one camera while the gateway runs.
pub(super) struct Session {
    camera: CameraId,
    address: CameraAddress,
    /// How TLS is made with the camera, if that is how it is reached.
    tls: Option<CameraTls>,
    /// How its streams are had.
    streams: StreamWays,
    /// From where it is dialled.
    dialler: Dialler,
    login: Login,
    pub(super) clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    idle: RefCell<Vec<Link>>,
    challenges: RefCell<VecDeque<Kept>>,
    breaker: RefCell<Breaker>,
    scheme: Cell<Option<Scheme>>,
    clockwork: Cell<Clockwork>,
    book: Box<dyn MemoryBook>,
    habits: RefCell<Habits>,
    /// What it shows of its maker.
    pub(super) evidence: RefCell<Evidence>,
    pub(super) evidence_turns: Turns,
    /// The gateway's own subscription to its events.
    subscription: RefCell<Option<KeptSubscription>>,
    /// The camera answered in SOAP 1.2.
    speaks12: Cell<bool>,
    turns: Semaphore,
    exchange_time_max: Duration,
    stall_max: Duration,
    /// Held by whoever tries a login that is not known to be good, so that tries go one by one.
    login_turn: Mutex<()>,
    /// Something was learnt that nobody has asked for yet.
    changed: Cell<bool>,
    /// It was asked for its time, and answered otherwise.
    hides_clock: Cell<bool>,
    /// The offset of a token that was refused before the clock was measured anew.
    refused_offset: Cell<Option<SignedDuration>>,
}

/// A challenge that may be answered again.
struct Kept {
    port: u16,
    path: String,
    challenge: Challenge,
    uses: u32,
    /// When it was used last, in monotonic time.
    used: Duration,
}

/// A login as it is sent.
struct Sent<'a, 's> {
    attach: Attach,
    /// The refusals that were known then.
    epoch: u32,
    turn: &'a LoginTurn<'s>,
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
        book: Box<dyn MemoryBook>,
        orders: Vec<QuirkOrder>,
    ) -> Self {
        let restored = book.recall();
        Self {
            camera,
            address,
            tls: None,
            streams: StreamWays::default(),
            dialler: Dialler::Here,
            login,
            clock,
            entropy,
            idle: RefCell::default(),
            challenges: RefCell::default(),
            breaker: RefCell::new(Breaker::restored(restored.breaker)),
            scheme: Cell::new(restored.scheme),
            clockwork: Cell::new(Clockwork::restored(&restored)),
            book,
            habits: RefCell::new(Habits::new(orders, restored.quirks, restored.identity)),
            evidence: RefCell::new(restored.evidence),
            evidence_turns: Turns::default(),
            subscription: RefCell::new(restored.subscription),
            speaks12: Cell::new(false),
            turns: Semaphore::new(CAMERA_EXCHANGES_MAX),
            exchange_time_max: CAMERA_EXCHANGE_TIME_MAX,
            stall_max: TRANSFER_STALL_MAX,
            login_turn: Mutex::new(()),
            changed: Cell::new(false),
            hides_clock: Cell::new(false),
            refused_offset: Cell::new(None),
        }
    }

    /// Reaches the camera over TLS, and in no other way.
    pub(super) fn over_tls(self, tls: CameraTls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Has its streams as the owner says.
    pub(super) fn with_streams(self, streams: StreamWays) -> Self {
        Self { streams, ..self }
    }

    /// Dials it from where its zone is.
    pub(super) fn dialled_by(self, dialler: Dialler) -> Self {
        Self { dialler, ..self }
    }

    /// From where it is dialled.
    pub(super) fn dialler(&self) -> &Dialler {
        &self.dialler
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
        self.changed.set(true);
        self.hides_clock.set(false);
        self.clockwork.set(self.clockwork.get().measured(measured));
        if measured.abs() > CAMERA_CLOCK_OFF_MIN {
            let way = if measured.is_negative() { "behind" } else { "ahead" };
            self.observe(Quirk::ClockOff, &format!("its clock is {} s {way}", measured.abs().as_secs()));
        }
    }

    /// Whether the camera is treated as having a quirk.
    pub(super) fn has(&self, quirk: Quirk) -> bool {
        self.habits.borrow().applies(quirk)
    }

    /// The camera was asked for its time: whether it answered, and told none.
    pub(super) fn hides_clock(&self, hides: bool) {
        self.hides_clock.set(hides);
    }

    /// Takes note of a quirk.
    pub(super) fn observe(&self, quirk: Quirk, note: &str) {
        let is_news = self.habits.borrow_mut().observe(quirk, self.clock.now(), note);
        self.changed.set(true);
        if is_news {
            tracing::info!(camera = %self.camera, quirk = quirk.as_str(), note, "a quirk of the camera was observed");
            self.keep();
        }
    }

    /// The camera said who it is.
    pub(super) fn identified(&self, identity: Identity) {
        let is_news = self.habits.borrow_mut().identified(identity);
        if is_news {
            self.keep();
        }
    }

    pub(super) fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    pub(super) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    pub(super) fn memory(&self) -> CameraMemory {
        let breaker = self.breaker.borrow().memory();
        let habits = self.habits.borrow();
        let mut memory = CameraMemory {
            scheme: self.scheme.get(),
            breaker,
            identity: habits.identity().cloned(),
            quirks: habits.seen().clone(),
            evidence: self.evidence.borrow().clone(),
            subscription: self.subscription.borrow().clone(),
            ..CameraMemory::default()
        };
        self.clockwork.get().remember(&mut memory);
        memory
    }

    pub(super) fn clock_offset_milliseconds(&self) -> Option<i64> {
        self.clockwork.get().stated_milliseconds()
    }

    /// What was learnt, if that has changed since this was asked last.
    pub(super) fn news(&self) -> Option<CameraMemory> {
        self.changed.take().then(|| self.memory())
    }

    /// Takes note of where the gateway's own subscription is.
    pub(super) fn keep_subscription(&self, subscription: Option<KeptSubscription>) {
        if *self.subscription.borrow() != subscription {
            self.subscription.replace(subscription);
            self.keep();
        }
    }

    pub(super) fn keep(&self) {
        self.changed.set(true);
        self.book.keep(&self.memory());
    }

    pub(super) fn health(&self) -> Health {
        self.breaker.borrow_mut().health(self.clock.now())
    }

    async fn settle<T>(
        &self,
        errand: &Errand<'_>,
        judge: &dyn Fn(&HttpAnswer) -> Result<Judged<T>, Failure>,
        progress: &Progress,
    ) -> Result<T, Failure> {
        if errand.kind.needs_login() {
            self.budget()?;
            self.recall_refusal()?;
        }
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await.map_err(|_| Failure::Unreachable)?;
        let mut negotiation = Negotiation::new(self.known(errand));
        let turn = LoginTurn::default();
        let (mut refused_before, mut bare_before) = (false, false);
        let mut manners = Manners::new(Manner::of(&self.habits.borrow()));
        loop {
            let attach = negotiation.attached();
            if attach != Attach::Nothing {
                if !turn.was_had() && (refused_before || !self.is_trusted()) {
                    let waited = self.wait_turn(errand, &turn, progress).await;
                    if waited || !refused_before {
                        // What was learnt meanwhile may call for another login, or none.
                        negotiation = Negotiation::new(self.known(errand));
                        continue;
                    }
                }
                self.budget()?;
                self.book_ahead().await;
            }
            let sent = Sent { attach, epoch: self.epoch(), turn: &turn };
            let heard = self.hear(errand, &sent, manners.now, judge, progress).await;
            let Some(heard) = self.adapt(errand, &mut manners, heard) else { continue };
            let heard = heard?;
            self.settled(errand, &mut manners, &heard);
            let refusal = match heard {
                // The HTTP login passed: the account lacks a right, or digest is no longer looked at.
                Heard::Judged(Judged::NotAuthorized(fault), _) if attach == Attach::Digest => {
                    self.forget_challenge(errand);
                    self.scheme.set(None);
                    return Ok(fault);
                }
                Heard::Judged(Judged::Done(done), _) => {
                    self.accepted(attach, errand.kind, sent.epoch);
                    return Ok(done);
                }
                Heard::Judged(Judged::Unproven(done) | Judged::NotUnderstood(done, _), _) => return Ok(done),
                Heard::Judged(Judged::Vague(done), _) if !self.may_mean_login(attach) => return Ok(done),
                Heard::NotSent => continue,
                Heard::Judged(Judged::NotAuthorized(_) | Judged::Vague(_), refusal)
                | Heard::Refused(refusal) => refusal,
            };
            refused_before = true;
            let bare = attach == Attach::Nothing && refusal.status_401;
            bare_before = self.notice_left_out(bare, bare_before, refusal.offered);
            if attach != Attach::Nothing && sent.epoch != self.epoch() && !turn.was_had() {
                // It was under way when another was refused, which is booked: no news, and not to be followed.
                self.wait_turn(errand, &turn, progress).await;
                negotiation = Negotiation::new(self.known(errand));
                continue;
            }
            self.next(&mut negotiation, refusal)?;
        }
    }

    /// Whether a refusal of a request without credentials has no challenge; one that came only the second time is a
    /// quirk.
    fn notice_left_out(&self, bare: bool, bare_before: bool, offered: Offered) -> bool {
        if bare && bare_before && offered != Offered::Nothing {
            self.observe(Quirk::ChallengeLeftOut, "a first refusal without a challenge, a second with one");
        }
        bare && offered == Offered::Nothing
    }

    /// Waits for the turn to try a login. Whether that took time.
    async fn wait_turn<'a>(&'a self, errand: &Errand<'_>, turn: &LoginTurn<'a>, progress: &Progress) -> bool {
        progress.phase.set(Phase::Turn);
        let waited = self.take_turn(turn).await;
        // A file takes long, and so does an answer that waits for something to tell. Their login was settled before, so
        // that nobody else need wait for their end.
        if errand.takes_long() {
            turn.end();
        }
        waited
    }

    /// One request, and what its answer says.
    async fn hear<T>(
        &self,
        errand: &Errand<'_>,
        sent: &Sent<'_, '_>,
        manner: Manner,
        judge: &dyn Fn(&HttpAnswer) -> Result<Judged<T>, Failure>,
        progress: &Progress,
    ) -> Result<Heard<T>, Failure> {
        let Some((answer, nonce)) = self.fetch(errand, sent, manner, progress).await? else {
            return Ok(Heard::NotSent);
        };
        let shown = shown::of_headers(answer.status, &answer.headers, &self.evidence.borrow());
        self.show(&shown);
        let date = offset::date(&answer.headers).map(|date| offset::between(date, self.clock.now()));
        self.notice_reboot(date);
        let status_401 = answer.status == StatusCode::UNAUTHORIZED;
        let refused = status_401 || self.is_forbidden(sent.attach, &answer);
        let judged = if refused { None } else { Some(judge(&answer)?) };
        if matches!(judged, Some(Judged::Done(_) | Judged::Unproven(_) | Judged::NotUnderstood(..)))
            || (sent.attach == Attach::Digest && judged.is_some())
        {
            let offered = Offered::Nothing;
            return Ok(Heard::of(judged, Refused { offered, status_401, date }));
        }
        if status_401 && errand.is_soap() && body::is_web_page(&answer.headers, &answer.body) {
            self.observe(Quirk::WebPageForRefusal, "a login was refused with a web page");
        }
        let offered = self.keep_challenge(errand, &answer, nonce.as_deref());
        Ok(Heard::of(judged, Refused { offered, status_401, date }))
    }

    /// Nothing if the errand is to be tried again in another manner. If that fails too, the first failure counts.
    fn adapt<T>(
        &self,
        errand: &Errand<'_>,
        manners: &mut Manners,
        heard: Result<Heard<T>, Failure>,
    ) -> Option<Result<Heard<T>, Failure>> {
        let hitch = match &heard {
            Err(failure) => Hitch::of(failure),
            Ok(Heard::Judged(Judged::NotUnderstood(_, hitch), _)) => Some(*hitch),
            Ok(_) => None,
        };
        let stakes =
            Stakes { soap: errand.is_soap(), harmless: errand.idempotent, speaks12: self.speaks12.get() };
        let other =
            hitch.and_then(|hitch| manners.tried.other(manners.now, hitch, stakes, &self.habits.borrow()));
        if let Some(other) = other {
            manners.now = other;
            if let Err(failure) = heard {
                manners.first_failure.get_or_insert(failure);
            }
            return None;
        }
        Some(heard.map_err(|failure| manners.first_failure.take().unwrap_or(failure)))
    }

    /// The camera answered: what that says of its ways.
    fn settled<T>(&self, errand: &Errand<'_>, manners: &mut Manners, heard: &Heard<T>) {
        if matches!(heard, Heard::NotSent) {
            return;
        }
        for (quirk, has, note) in manners.tried.learnt() {
            if has {
                self.observe(quirk, note);
            } else if self.habits.borrow_mut().forget(quirk) {
                self.keep();
            }
        }
        // A 401 may come before anybody looks at the message.
        let read = matches!(heard, Heard::Judged(..))
            && !matches!(heard, Heard::Judged(Judged::NotUnderstood(..), _));
        if read && errand.is_soap() && !manners.now.soap11 {
            self.speaks12.set(true);
        }
    }

    /// The enrolled host.
    pub(super) fn host(&self) -> std::net::IpAddr {
        self.address.host
    }

    /// How TLS is made for its streams, if they are had so, and then in no other way.
    fn tls_of_streams(&self) -> Option<&CameraTls> {
        self.tls.as_ref().filter(|_| !self.streams.plain)
    }

    /// Where streams are had whose address names this port: where the owner says that they are over TLS, if he does, also
    /// of addresses that are older than his word.
    pub(super) fn stream_address(&self, port: u16) -> SocketAddr {
        let secure = self.streams.secure_port.filter(|_| self.tls_of_streams().is_some());
        SocketAddr::new(self.host(), secure.unwrap_or(port))
    }

    /// Where randomness comes from.
    pub(super) fn entropy(&self) -> Arc<dyn Entropy> {
        Arc::clone(&self.entropy)
    }

    /// The login, for what does not go over HTTP.
    pub(super) fn login(&self) -> &Login {
        &self.login
    }

    fn known(&self, errand: &Errand<'_>) -> Known {
        let (port, path) = self.place(errand);
        // A camera that was started anew meanwhile would take an old nonce for a wrong password.
        let oldest = self.clock.monotonic().saturating_sub(CAMERA_CHALLENGE_IDLE_MAX);
        self.challenges.borrow_mut().retain(|kept| kept.used >= oldest);
        // After a refusal it would be one more, and say nothing. A file sent without a login is cut off.
        let may_answer_again = self.breaker.borrow().is_confirmed() || errand.sends_file();
        Known {
            scheme: self.scheme.get(),
            proven: self.breaker.borrow().is_proven(),
            challenge: may_answer_again
                && self.challenges.borrow().iter().any(|kept| kept.is_for(port, path)),
            offset: self.clockwork.get().offset(),
            shifted: self.clockwork.get().is_shifted(),
            hides_clock: self.hides_clock.get(),
            kind: errand.kind,
        }
    }

    /// One request and its answer, with the nonce it used. None if nothing was sent, since the login has come into
    /// doubt and others may be trying it.
    async fn fetch(
        &self,
        errand: &Errand<'_>,
        sent: &Sent<'_, '_>,
        manner: Manner,
        progress: &Progress,
    ) -> Result<Option<(HttpAnswer, Option<String>)>, Failure> {
        let doubtful = self.habits.borrow().applies(Quirk::ClosesSilently);
        let mut may_reuse = !manner.lenient && (errand.idempotent || !doubtful);
        loop {
            let idle = if may_reuse { self.take_idle(self.place(errand).0).await } else { None };
            let reused = idle.is_some();
            let mut link = match idle {
                Some(link) => link,
                None => self.dial(errand, manner, progress).await?,
            };
            if sent.attach != Attach::Nothing && !sent.turn.was_had() && !self.is_trusted() {
                self.put_idle(link);
                return Ok(None);
            }
            let (request, nonce) = self.request(errand, sent.attach, manner)?;
            progress.phase.set(Phase::Answer);
            let sent_before = progress.sent.replace(true);
            let passed = |status| self.passed_by(errand, sent, status);
            let broken = match link.exchange(request, errand.into, self.stall_max, &passed).await {
                Ok(answer) => {
                    if let Some(note) = link.garbage() {
                        self.observe(Quirk::GarbledStatusLine, &note);
                    }
                    // One that goes on sending is closed at once.
                    if !manner.lenient && link.is_usable().await {
                        self.put_idle(link);
                    }
                    return Ok(Some((answer, nonce)));
                }
                Err(broken) => broken,
            };
            progress.sent.set(sent_before || broken.written);
            if reused && !broken.answered {
                // So does one that lost its power.
                self.breaker.borrow_mut().doubt();
            }
            if reused && broken.written && !broken.answered {
                self.observe(
                    Quirk::ClosesSilently,
                    "a kept connection was closed when the next request came",
                );
            }
            // Cameras close idle connections silently. What was not read cannot have acted; what was, may have.
            may_reuse = false;
            if !reused || broken.answered || (broken.written && !errand.idempotent) {
                return Err(broken.failure);
            }
        }
    }

    /// The head of an answer has come. One that HTTP counts as a success shows that a digest was taken; whatever
    /// takes long after it, be it a file, nobody has to wait for.
    fn passed_by(&self, errand: &Errand<'_>, sent: &Sent<'_, '_>, status: StatusCode) {
        if sent.attach != Attach::Digest || !status.is_success() {
            return;
        }
        // A message has yet to say what it is.
        if errand.kind == Kind::Picture {
            self.accepted(sent.attach, errand.kind, sent.epoch);
        }
        sent.turn.end();
    }

    async fn dial(&self, errand: &Errand<'_>, manner: Manner, progress: &Progress) -> Result<Link, Failure> {
        progress.phase.set(Phase::Connect);
        let address = SocketAddr::new(self.address.host, self.place(errand).0);
        let opened = self.line(address, self.tls.as_ref()).await;
        self.heed(&opened);
        Link::over(opened?, address.port(), manner.lenient).await
    }

    /// A connection, and what the camera shows when it is made.
    async fn line(&self, address: SocketAddr, tls: Option<&CameraTls>) -> Result<Line, Failure> {
        let opened = Line::open(address, &self.dialler, tls).await;
        if let Some(shown) = tls.and_then(CameraTls::shown) {
            self.show(&shown);
        }
        opened
    }

    /// Takes up what trying to connect tells of the camera.
    fn heed(&self, opened: &Result<Line, Failure>) {
        let mut breaker = self.breaker.borrow_mut();
        match opened {
            Ok(_) if breaker.reached(self.clock.now()) => self.forget_boot(),
            Ok(_) => {}
            Err(Failure::TlsUnsupported(_) | Failure::CertificateChanged | Failure::PinUnavailable) => {
                breaker.distrusted();
            }
            Err(_) => breaker.unreachable(),
        }
    }

    /// A connection for a stream. That nothing is at its port says nothing of the camera; another certificate does.
    pub(super) async fn stream_line(&self, address: SocketAddr) -> Result<Line, Failure> {
        let opened = self.line(address, self.tls_of_streams()).await;
        if matches!(opened, Err(Failure::CertificateChanged | Failure::PinUnavailable)) {
            self.breaker.borrow_mut().distrusted();
        }
        opened
    }

    /// Closes connections that were idle for too long.
    pub(super) fn close_idle(&self) {
        let oldest = self.clock.monotonic().saturating_sub(CAMERA_IDLE_TIME_MAX);
        self.idle.borrow_mut().retain(|link| link.used >= oldest);
    }

    async fn take_idle(&self, port: u16) -> Option<Link> {
        self.close_idle();
        loop {
            let mut link = {
                let mut idle = self.idle.borrow_mut();
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
        manner: Manner,
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
        if manner.lenient {
            // Where nothing tells the end of an answer, that of the connection does.
            request = request.header(header::CONNECTION, "close");
        }
        let body = match &errand.post {
            None => Sending::message(Bytes::new()),
            Some(post) => {
                let Written { content_type, action, body } = (post.write)(token, manner);
                request = request.header(header::CONTENT_TYPE, content_type);
                if let Some(action) = action {
                    request = request.header("SOAPAction", action);
                }
                body
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
        kept.used = self.clock.monotonic();
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
        let hashes = |algorithm| offered.iter().any(|it| it.hash() == algorithm);
        if hashes(Algorithm::Sha256) && !hashes(Algorithm::Md5) {
            self.observe(Quirk::Sha256Only, "its challenges name SHA-256 and not MD5");
        }
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
        challenges.push_back(Kept {
            port,
            path: path.to_owned(),
            challenge: challenge.clone(),
            uses: 0,
            used: self.clock.monotonic(),
        });
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
