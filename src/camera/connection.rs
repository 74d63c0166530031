//! Asks go in, replies come out: the one door of this room.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::{
    body,
    breaker::Health,
    errand::{Errand, Judged, Post, Token, Written},
    error::{CameraError, Failure},
    habits::Identity,
    link::{HttpAnswer, Into, Wanted},
    manner::{Hitch, Manner},
    memo::{AnswerMemo, understood},
    memory::{CameraMemory, KeptSubscription, MemoryBook},
    negotiation::Kind,
    offset,
    sending::Sending,
    session::Session,
    shown,
    stream::{CameraStream, Played},
    tls::{CameraTls, CertificateNews, PinBook},
};
use crate::{
    auth::Login,
    clock::{Clock, Entropy},
    hatch::{Ask, AskKind, Endpoint, Reply, Sink, Spool, SubscriptionAddress, Understood, picture},
    ids::CameraId,
    inventory::{Camera, Quirk},
    isolation::Dialler,
    limits::{
        CAMERA_EXCHANGE_TIME_MAX, EVENT_ANSWER_BYTES_MAX, HTTP_ERROR_BYTES_MAX, SNAPSHOT_BYTES_MAX,
        SOAP_ANSWER_BYTES_MAX, TRANSFER_TIME_MAX,
    },
    schema::{AccessClass, Deviations, Document, OperationId, Tables},
    soap::{self, Answer, AnswerError, Fault, FaultCode, Headers, Proof, Subcode, Version},
};

/// The connection to one camera. Lives on one single-threaded runtime, together with everything else of that
/// camera; a new one is made when the credentials change, and with it a new login budget.
pub struct Connection {
    camera: CameraId,
    session: Session,
    tables: Arc<Tables>,
    memo: RefCell<AnswerMemo>,
    /// When something was asked last, in monotonic time.
    asked: Cell<Duration>,
}

impl Connection {
    /// Opens nothing yet. `book` keeps over a restart what is learnt, `pins` the pin of the camera's certificate.
    pub fn new(
        camera: &Camera,
        login: Login,
        tables: Arc<Tables>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        book: Box<dyn MemoryBook>,
        pins: Box<dyn PinBook>,
    ) -> Self {
        let mut session = Session::new(
            camera.id.clone(),
            camera.address,
            login,
            clock,
            entropy,
            book,
            camera.quirks.clone(),
        );
        if let Some(known) = &camera.certificates {
            let tls = CameraTls::new(known.clone(), pins);
            session = session.over_tls(tls).with_streams(camera.streams.clone());
        }
        Self { camera: camera.id.clone(), session, tables, memo: RefCell::default(), asked: Cell::default() }
    }

    /// Dials the camera from where its zone is, not from where the gateway is.
    pub fn dialled_by(self, dialler: Dialler) -> Self {
        Self { session: self.session.dialled_by(dialler), ..self }
    }

    /// Asks the camera, logging in as it wants it, within `CAMERA_EXCHANGE_TIME_MAX`.
    ///
    /// [`Failure::ClockUnknown`] asks the inside for a `GetSystemDateAndTime` through the gate, and to ask
    /// again afterwards, even if the camera did not tell it; the answer's clock is observed here on its way.
    pub async fn ask(&self, ask: &Ask) -> Result<Reply, CameraError> {
        if *ask.camera() != self.camera {
            return Err(misdirected());
        }
        self.asked.set(self.session.monotonic());
        match ask.kind() {
            AskKind::Soap { operation, document, endpoint } => {
                self.soap(&Message::plain(*operation, document, endpoint, ask.idempotent())).await
            }
            AskKind::Subscribed { operation, document, address, wait } => {
                let subscription = Some((&**address, *wait));
                let message = Message::plain(*operation, document, &address.endpoint, ask.idempotent());
                self.soap(&Message { subscription, ..message }).await
            }
            AskKind::Picture { endpoint } => self.picture(endpoint, ask.idempotent()).await,
            AskKind::Download { endpoint, sink, .. } => self.download(endpoint, sink).await,
            AskKind::Upload { endpoint, file, .. } => self.upload(endpoint, file).await,
            // Streams outlive an answer: they have doors of their own.
            AskKind::Describe { .. }
            | AskKind::Play { .. }
            | AskKind::Replay { .. }
            | AskKind::Talk { .. }
            | AskKind::Pause { .. } => Err(misdirected()),
        }
    }

    /// Opens an RTSP session and asks what there is.
    pub async fn describe(&self, ask: &Ask) -> Result<CameraStream, CameraError> {
        match ask.kind() {
            AskKind::Describe { endpoint, screen, talk, unknown } if *ask.camera() == self.camera => {
                CameraStream::open(endpoint, screen, (*talk, *unknown), &self.session).await
            }
            _ => Err(misdirected()),
        }
    }

    /// Lets a described stream play.
    pub async fn play(&self, ask: &Ask, stream: &mut CameraStream) -> Result<Played, CameraError> {
        match ask.kind() {
            AskKind::Play { endpoint } if *ask.camera() == self.camera && stream.is_at(endpoint) => {
                stream.play(&self.session).await
            }
            _ => Err(misdirected()),
        }
    }

    /// Tells the camera that somebody is there for a stream of its: how long until that is due again.
    pub async fn keep_alive(&self, stream: &mut CameraStream) -> Result<Duration, Failure> {
        stream.keep_alive(&self.session).await
    }

    /// What one viewer asks of a session of his own: to have a part of a recording played, to pause it, or to be heard.
    /// What the camera says that it plays.
    pub async fn ask_alone(&self, ask: &Ask, stream: &mut CameraStream) -> Result<Played, CameraError> {
        match ask.kind() {
            AskKind::Replay { endpoint, playback, wanted, cseq }
                if *ask.camera() == self.camera && stream.is_at(endpoint) =>
            {
                stream.replay(playback, wanted, *cseq, &self.session).await
            }
            AskKind::Talk { endpoint, wanted } if *ask.camera() == self.camera && stream.is_at(endpoint) => {
                stream.talk(wanted, &self.session).await
            }
            AskKind::Pause { endpoint } if *ask.camera() == self.camera && stream.is_at(endpoint) => {
                stream.pause(&self.session).await.map(|()| Played::default())
            }
            _ => Err(misdirected()),
        }
    }

    /// Takes the camera's time from an answer to `tds:GetSystemDateAndTime`; other documents say nothing.
    pub fn observe_clock(&self, answer: &Document) {
        if let Some(camera) = utc_of(answer) {
            self.session.observe_offset(offset::between(camera, self.session.now()));
        }
    }

    /// Takes from an answer what it says of the camera's ways.
    fn observe_ways(&self, understood: &Understood) {
        self.session.show(&shown::of_document(&understood.document));
        if let Some(identity) = identity_of(&understood.document) {
            self.session.identified(identity);
        }
        let undeclared = |it: &&crate::schema::Deviation| it.name.starts_with(UNDECLARED_PREFIX);
        if let Some(it) = understood.deviations.iter().find(undeclared) {
            self.session.observe(Quirk::UndeclaredPrefixes, &it.name);
        }
    }

    /// Closes connections that were idle for too long.
    pub fn close_idle(&self) {
        self.session.close_idle();
    }

    /// How long nobody has asked anything.
    pub fn rested(&self) -> Duration {
        self.session.monotonic().saturating_sub(self.asked.get())
    }

    /// Forgets what the camera answered.
    pub fn forget_answers(&self) {
        self.memo.borrow_mut().clear();
    }

    /// Takes up the MAC address it has in its zone.
    pub fn seen_by(&self, mac: &str) {
        self.session.show(&shown::of_mac(mac));
    }

    /// Another camera is there now: what the one before showed of its maker says nothing of it.
    pub fn forget_evidence(&self) {
        self.memo.borrow_mut().clear();
        self.session.forget_evidence();
    }

    /// Whether the camera is treated as having a quirk.
    pub fn has(&self, quirk: Quirk) -> bool {
        self.session.has(quirk)
    }

    /// Takes note of a quirk that whoever asks has seen.
    pub fn observe(&self, quirk: Quirk, note: &str) {
        self.session.observe(quirk, note);
    }

    /// Keeps where the gateway's own subscription is, or that there is none, so that a place at the camera is not lost with
    /// the gateway's memory. A moment later it is durable, if the disk works.
    pub fn keep_subscription(&self, subscription: Option<KeptSubscription>) {
        self.session.keep_subscription(subscription);
    }

    /// What is worth keeping over a restart.
    pub fn memory(&self) -> CameraMemory {
        self.session.memory()
    }

    /// How many milliseconds the camera said its clock is ahead of ours, when it was asked last.
    pub fn clock_offset_milliseconds(&self) -> Option<i64> {
        self.session.clock_offset_milliseconds()
    }

    /// What is worth keeping, if it has changed since this was asked last.
    pub fn news(&self) -> Option<CameraMemory> {
        self.session.news()
    }

    /// Keeps it.
    pub fn keep(&self) {
        self.session.keep();
    }

    /// What happened to the camera's certificate since this was asked last.
    pub fn certificate_news(&self) -> Option<CertificateNews> {
        self.session.certificate_news()
    }

    /// What readiness shows of this camera.
    pub fn state(&self) -> Health {
        self.session.health()
    }

    async fn soap(&self, message: &Message<'_>) -> Result<Reply, CameraError> {
        let Message { operation: id, document, endpoint, idempotent, subscription } = *message;
        let operation = self
            .tables
            .operation(id)
            .filter(|it| it.input == document.root().node())
            .ok_or(CameraError { failure: Failure::Misdirected, sent: false })?;
        let kind = match operation.class {
            Some(AccessClass::PreAuth) if document.root().local() == "GetSystemDateAndTime" => Kind::Clock,
            Some(AccessClass::PreAuth) => Kind::PreAuth,
            _ => Kind::Soap,
        };
        // Secrets are not kept longer than they are needed, and events come once.
        let repeats =
            idempotent && subscription.is_none() && operation.class != Some(AccessClass::ReadSystemSecret);
        let types = Types::of(&operation.soap_action)
            .map_err(|_| CameraError { failure: Failure::BadEndpoint, sent: false })?;
        let addressed = subscription.map(|(address, _)| &address.reference);
        // Nobody of the core side asks for events, so that nobody waits for long answers either.
        let bytes_max = if subscription.is_some() { EVENT_ANSWER_BYTES_MAX } else { SOAP_ANSWER_BYTES_MAX };
        let write = |token: Option<Token>, manner: Manner| {
            let security = token.map(|token| proof(token, !manner.soft_security));
            let version = if manner.soap11 { Version::Soap11 } else { Version::Soap12 };
            let headers = Headers {
                security,
                version,
                action: addressed.map(|_| operation.action_in.to_string()),
                to: addressed.map(|it| it.address.clone()).filter(|it| !it.is_empty()),
                parameters: addressed.map(|it| it.parameters.clone()).unwrap_or_default(),
                ..Headers::default()
            };
            let body = Sending::message(soap::encode(&self.tables, document, &headers));
            types.written(manner, body)
        };
        let errand = Errand {
            kind,
            endpoint,
            post: Some(Post { write: &write, is_soap: true }),
            into: Into::Memory(Wanted { bytes_max, begins: body::looks_like_envelope }),
            time_max: subscription.map(|(_, wait)| wait.saturating_add(CAMERA_EXCHANGE_TIME_MAX)),
            idempotent,
        };
        let reply = self.session.run(&errand, &|answer| self.judge_soap(id, answer, repeats)).await;
        if kind == Kind::Clock {
            self.session.hides_clock(!reply.as_ref().is_err_and(CameraError::is_silence));
        }
        let reply = reply?;
        if let Reply::Document(understood) = &reply {
            self.observe_clock(&understood.document);
            self.observe_ways(understood);
        }
        Ok(reply)
    }

    /// Judges an answer, from memory if it `repeats` what the camera said before.
    fn judge_soap(
        &self,
        id: OperationId,
        answer: &HttpAnswer,
        repeats: bool,
    ) -> Result<Judged<Reply>, Failure> {
        if repeats
            && let Some(known) = self.memo.borrow().known(id, &answer.body)
            && answer.status.is_success()
            && body::looks_like_envelope(&answer.headers, &answer.body)
        {
            return Ok(Judged::Done(Reply::Document(known)));
        }
        let shown = shown::of_envelope(&answer.body, &self.session.evidence());
        self.session.show(&shown);
        Ok(match judge_soap(&self.tables, id, answer)? {
            Answered::Refusal(fault) => Judged::NotAuthorized(Reply::Fault(fault)),
            Answered::Fault(fault) if fault.code == FaultCode::VersionMismatch => {
                Judged::NotUnderstood(Reply::Fault(fault), Hitch::Version)
            }
            Answered::Fault(fault) if fault.code == FaultCode::MustUnderstand => {
                Judged::NotUnderstood(Reply::Fault(fault), Hitch::Security)
            }
            Answered::Fault(fault) => match shows_login(&fault) {
                Shown::Good => Judged::Done(Reply::Fault(fault)),
                Shown::Nothing => Judged::Unproven(Reply::Fault(fault)),
                Shown::Perhaps => Judged::Vague(Reply::Fault(fault)),
            },
            Answered::Document(document, deviations) => Judged::Done(Reply::Document(if repeats {
                self.memo.borrow_mut().keep(id, &answer.body, document, deviations)
            } else {
                let subscription = document.root().child("SubscriptionReference");
                let subscription = subscription.and_then(|_| soap::subscription_reference(&answer.body));
                let (subscription, bytes) = (subscription.map(Arc::new), answer.body.len());
                Understood { subscription, bytes, ..understood(document, deviations) }
            })),
        })
    }

    /// Logs in as for a picture, and asks once more only while nothing of the file has come.
    async fn download(&self, endpoint: &Endpoint, sink: &Sink) -> Result<Reply, CameraError> {
        let errand = Errand {
            kind: Kind::Picture,
            endpoint,
            post: None,
            into: Into::Sink(sink),
            time_max: Some(TRANSFER_TIME_MAX),
            idempotent: true,
        };
        self.session.run(&errand, &judge_download).await.map(|()| Reply::Poured)
    }

    /// Sends a file. The login is settled first with a question that changes nothing, since cameras cut off a body
    /// whose login they refuse, and it cannot be told then whether they took it.
    async fn upload(&self, endpoint: &Endpoint, file: &Spool) -> Result<Reply, CameraError> {
        let errand = Errand {
            kind: Kind::Picture,
            endpoint,
            post: None,
            into: Into::Memory(Wanted { bytes_max: HTTP_ERROR_BYTES_MAX, begins: |_, _| true }),
            time_max: None,
            idempotent: true,
        };
        self.session.run(&errand, &judge_settling).await?;
        let write = |_: Option<Token>, _: Manner| Written {
            content_type: HeaderValue::from_static("application/octet-stream"),
            action: None,
            body: Sending::file(file),
        };
        let errand = Errand {
            post: Some(Post { write: &write, is_soap: false }),
            time_max: Some(TRANSFER_TIME_MAX),
            idempotent: false,
            ..errand
        };
        self.session.run(&errand, &judge_upload).await.map(Reply::Taken)
    }

    async fn picture(&self, endpoint: &Endpoint, idempotent: bool) -> Result<Reply, CameraError> {
        let kind = Kind::Picture;
        let into = Into::Memory(Wanted { bytes_max: SNAPSHOT_BYTES_MAX, begins: body::begins_as_jpeg });
        let errand = Errand { kind, endpoint, post: None, into, time_max: None, idempotent };
        self.session.run(&errand, &judge_picture).await.map(Reply::Picture)
    }
}

/// A SOAP message to be sent.
#[derive(Clone, Copy)]
struct Message<'a> {
    operation: OperationId,
    document: &'a Document,
    endpoint: &'a Endpoint,
    idempotent: bool,
    /// The subscription it is about, and how long its answer may take beyond the usual.
    subscription: Option<(&'a SubscriptionAddress, Duration)>,
}

impl<'a> Message<'a> {
    fn plain(
        operation: OperationId,
        document: &'a Document,
        endpoint: &'a Endpoint,
        idempotent: bool,
    ) -> Self {
        Self { operation, document, endpoint, idempotent, subscription: None }
    }
}

fn proof(token: Token, must_understand: bool) -> Proof {
    let Token { username, password_digest, nonce, created } = token;
    Proof { username, digest: password_digest, nonce: nonce.to_vec(), created, must_understand }
}

/// What an envelope's action is announced by, in either version of SOAP.
struct Types {
    /// SOAP 1.2 part 2 §6.5.
    soap12: HeaderValue,
    /// SOAP 1.1 §6.1.1.
    action: HeaderValue,
}

impl Types {
    fn of(action: &str) -> Result<Self, http::header::InvalidHeaderValue> {
        let soap12 = format!("application/soap+xml; charset=utf-8; action=\"{action}\"");
        Ok(Self { soap12: soap12.try_into()?, action: format!("\"{action}\"").try_into()? })
    }

    fn written(&self, manner: Manner, body: Sending) -> Written {
        if manner.soap11 {
            let content_type = HeaderValue::from_static("text/xml; charset=utf-8");
            return Written { content_type, action: Some(self.action.clone()), body };
        }
        Written { content_type: self.soap12.clone(), action: None, body }
    }
}

/// What a body says.
enum Answered {
    Document(Document, Deviations),
    Fault(Fault),
    /// A fault that refuses the login.
    Refusal(Fault),
}

/// Reads a body only if it looks like an envelope. A fault counts with any status, a document with success.
fn judge_soap(tables: &Tables, id: OperationId, answer: &HttpAnswer) -> Result<Answered, Failure> {
    let status = answer.status;
    if status.is_redirection() {
        return Err(Failure::Redirected);
    }
    if !body::looks_like_envelope(&answer.headers, &answer.body) {
        return Err(match (status.is_success(), answer.body.is_empty()) {
            (false, _) => Failure::BadStatus(status.as_u16()),
            (true, true) => Failure::Empty,
            (true, false) => Failure::NotSoap(status.as_u16()),
        });
    }
    let decoded = match soap::decode_answer(tables, &answer.body, id) {
        // Where a subscription is may be no address at all, and stays with the gateway: the rest is read without it.
        Err(AnswerError::Refused(_)) if let Some(rest) = without_reference(&answer.body) => {
            soap::decode_answer(tables, &rest, id)
        }
        decoded => decoded,
    };
    match decoded {
        Ok(Answer::Fault(fault)) if refuses_login(&fault) => Ok(Answered::Refusal(fault)),
        Ok(Answer::Fault(fault)) => Ok(Answered::Fault(fault)),
        Ok(Answer::Document(..)) if !status.is_success() => Err(Failure::BadStatus(status.as_u16())),
        Ok(Answer::Document(document, deviations)) => Ok(Answered::Document(document, deviations)),
        Err(AnswerError::Other(name)) => Err(Failure::WrongAnswer(local_name(&name))),
        Err(AnswerError::NotSoap(_)) => Err(Failure::NotSoap(status.as_u16())),
        // What exactly broke is the camera's text: kept out of an error that a client's fault is made of.
        Err(AnswerError::Xml(_)) => Err(Failure::Malformed("it is not XML the gateway reads".into())),
        Err(AnswerError::Refused(_)) => Err(Failure::Malformed("it leaves its interface definition".into())),
    }
}

/// An element's name without its namespace, which is any text of the camera's.
fn local_name(name: &str) -> String {
    name.rsplit_once('}').map_or("?", |(_, local)| local).chars().take(NAME_CHARS).collect()
}

/// The answer to a subscription without the address of its reference; none if it is no such answer.
fn without_reference(body: &[u8]) -> Option<Vec<u8>> {
    let address = soap::subscription_reference(body)?.address;
    let (before, after) =
        std::str::from_utf8(body).ok()?.split_once(&address).filter(|_| !address.is_empty())?;
    Some([before, after].concat().into_bytes())
}

fn judge_picture(answer: &HttpAnswer) -> Result<Judged<Bytes>, Failure> {
    let status = answer.status;
    if status.is_redirection() {
        Err(Failure::Redirected)
    } else if !status.is_success() {
        Err(Failure::BadStatus(status.as_u16()))
    } else if body::says_jpeg(&answer.headers) {
        picture(&answer.body).map(Judged::Done).ok_or(Failure::NotPicture)
    } else {
        Err(Failure::NotPicture)
    }
}

/// Nothing but 200 is a file; partial and empty answers were not asked for.
fn judge_download(answer: &HttpAnswer) -> Result<Judged<()>, Failure> {
    match answer.status {
        StatusCode::OK => Ok(Judged::Done(())),
        status if status.is_redirection() => Err(Failure::Redirected),
        status => Err(Failure::BadStatus(status.as_u16())),
    }
}

/// No file is asked for with it: that there is none, or none to be had, shows the login as well.
fn judge_settling(answer: &HttpAnswer) -> Result<Judged<()>, Failure> {
    let looked_at = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&answer.status);
    Ok(if looked_at || answer.status.is_success() { Judged::Done(()) } else { Judged::Unproven(()) })
}

/// Any success will do; what the camera says beside it is not passed on.
fn judge_upload(answer: &HttpAnswer) -> Result<Judged<u16>, Failure> {
    match answer.status {
        status if status.is_success() => Ok(Judged::Done(status.as_u16())),
        status if status.is_redirection() => Err(Failure::Redirected),
        status => Err(Failure::BadStatus(status.as_u16())),
    }
}

/// What a fault that is no refusal of the login shows of it.
enum Shown {
    Good,
    Nothing,
    /// It may have been refused.
    Perhaps,
}

/// Messages and operations may be refused before anybody looks at the login, values and states are not.
fn shows_login(fault: &Fault) -> Shown {
    match (fault.code, fault.subcodes.first()) {
        (_, Some(Subcode::InvalidArgVal | Subcode::Action | Subcode::OperationProhibited)) => Shown::Good,
        (FaultCode::Sender, None) => Shown::Perhaps,
        _ => Shown::Nothing,
    }
}

/// `ter:NotAuthorized`, or the codes of WSS SOAP Message Security §12 that some cameras answer instead.
fn refuses_login(fault: &Fault) -> bool {
    fault.subcodes.iter().any(|code| match code {
        Subcode::NotAuthorized => true,
        Subcode::Other(name) => {
            let codes = [
                "FailedAuthentication",
                "FailedCheck",
                "InvalidSecurity",
                "InvalidSecurityToken",
                "MessageExpired",
            ];
            codes.contains(&name.as_str())
        }
        _ => false,
    })
}

fn utc_of(answer: &Document) -> Option<jiff::Timestamp> {
    let root = answer.root();
    if root.local() != "GetSystemDateAndTimeResponse" {
        return None;
    }
    let part = |path: &str| root.find(&format!("SystemDateAndTime/UTCDateTime/{path}")).map(|it| it.text());
    offset::moment(
        [part("Date/Year")?, part("Date/Month")?, part("Date/Day")?],
        [part("Time/Hour")?, part("Time/Minute")?, part("Time/Second")?],
    )
}

/// Who the camera says it is, in an answer to `tds:GetDeviceInformation`.
fn identity_of(answer: &Document) -> Option<Identity> {
    let root = answer.root();
    if root.local() != "GetDeviceInformationResponse" {
        return None;
    }
    let text = |local| root.child(local).map(|it| Identity::text(it.text())).unwrap_or_default();
    Some(Identity {
        manufacturer: text("Manufacturer"),
        model: text("Model"),
        firmware: text("FirmwareVersion"),
        serial: text("SerialNumber"),
        hardware: text("HardwareId"),
    })
}

/// How the reader names its repair of one.
const UNDECLARED_PREFIX: &str = "undeclared prefix";
/// Characters of an element's name that an error repeats.
const NAME_CHARS: usize = 64;

/// The question is another camera's, or another kind's.
fn misdirected() -> CameraError {
    CameraError { failure: Failure::Misdirected, sent: false }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode, header};

    use super::*;

    const TIME: &str = r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><d:GetSystemDateAndTimeResponse xmlns:d="http://www.onvif.org/ver10/device/wsdl" xmlns:t="http://www.onvif.org/ver10/schema"><d:SystemDateAndTime><t:DateTimeType>Manual</t:DateTimeType><t:DaylightSavings>false</t:DaylightSavings><t:UTCDateTime><t:Time><t:Hour>9</t:Hour><t:Minute>30</t:Minute><t:Second>5</t:Second></t:Time><t:Date><t:Year>2026</t:Year><t:Month>1</t:Month><t:Day>2</t:Day></t:Date></t:UTCDateTime></d:SystemDateAndTime></d:GetSystemDateAndTimeResponse></s:Body></s:Envelope>"#;
    const DENIED: &str = r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:ter="http://www.onvif.org/ver10/error"><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="en">no</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>"#;

    fn answer(status: u16, kind: &'static str, body: &str) -> HttpAnswer {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
        HttpAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::from(body.to_owned()),
        }
    }

    #[test]
    fn answers_are_judged_by_status_look_and_content() {
        let tables = Tables::embedded().unwrap();
        let clock = tables.operation_by_name("tds:GetSystemDateAndTime").unwrap();
        let other = tables.operation_by_name("tds:GetHostname").unwrap();
        let soap = "application/soap+xml";
        for (id, status, kind, body, expected) in [
            (clock, 302, "text/html", "", Failure::Redirected),
            (clock, 200, soap, "", Failure::Empty),
            (clock, 200, "text/html", "<html></html>", Failure::NotSoap(200)),
            (clock, 503, "text/html", "<html></html>", Failure::BadStatus(503)),
            (clock, 500, "text/html", TIME, Failure::BadStatus(500)),
            (clock, 500, soap, TIME, Failure::BadStatus(500)),
            (clock, 200, soap, "<s:Envelope>", Failure::Malformed("it is not XML the gateway reads".into())),
        ] {
            let judged = judge_soap(&tables, id, &answer(status, kind, body));
            assert_eq!(judged.err(), Some(expected), "{status} {kind} {body}");
        }
        let judged = judge_soap(&tables, other, &answer(200, soap, TIME));
        assert_eq!(judged.err(), Some(Failure::WrongAnswer("GetSystemDateAndTimeResponse".into())));
        for body in [TIME, &TIME.replace("http://www.onvif.org/ver10/device/wsdl", "urn:other")] {
            let judged = judge_soap(&tables, clock, &answer(200, "text/html", body));
            assert!(matches!(judged, Ok(Answered::Document(..))), "called a web page: {body}");
        }
        let named = TIME.replace("http://www.onvif.org/ver10/device/wsdl", "http://10.0.0.9/\u{9b}\u{202e}");
        let judged = judge_soap(&tables, other, &answer(200, soap, &named));
        let told = Some(Failure::WrongAnswer("GetSystemDateAndTimeResponse".into()));
        assert_eq!(judged.err(), told, "a namespace is any text, and may be an address");
        let denied = judge_soap(&tables, clock, &answer(400, soap, DENIED));
        assert!(matches!(denied, Ok(Answered::Refusal(fault)) if fault.codes().contains("NotAuthorized")));
        for (code, subcode, shown) in [
            ("Sender", "<s:Subcode><s:Value>ter:InvalidArgVal</s:Value></s:Subcode>", "good"),
            ("Receiver", "<s:Subcode><s:Value>ter:Action</s:Value></s:Subcode>", "good"),
            ("Sender", "<s:Subcode><s:Value>ter:ActionNotSupported</s:Value></s:Subcode>", "nothing"),
            ("Sender", "<s:Subcode><s:Value>ter:WellFormed</s:Value></s:Subcode>", "nothing"),
            ("Receiver", "", "nothing"),
            ("Sender", "", "perhaps"),
            ("Sender", "<s:Subcode><s:Value>wsse:FailedCheck</s:Value></s:Subcode>", "refused"),
            ("Sender", "<s:Subcode><s:Value>wsse:MessageExpired</s:Value></s:Subcode>", "refused"),
        ] {
            let (head, rest) = DENIED.split_once("<s:Code>").unwrap();
            let (_, tail) = rest.split_once("</s:Code>").unwrap();
            let text = format!("{head}<s:Code><s:Value>s:{code}</s:Value>{subcode}</s:Code>{tail}");
            let found = match judge_soap(&tables, other, &answer(400, soap, &text)) {
                Ok(Answered::Refusal(_)) => "refused",
                Ok(Answered::Fault(fault)) => match shows_login(&fault) {
                    Shown::Good => "good",
                    Shown::Nothing => "nothing",
                    Shown::Perhaps => "perhaps",
                },
                Ok(Answered::Document(..)) => "a document",
                Err(failure) => panic!("{code} {subcode}: {failure}"),
            };
            assert_eq!(found, shown, "{code} {subcode}");
        }
        let Ok(Answered::Document(document, _)) = judge_soap(&tables, clock, &answer(200, soap, TIME)) else {
            panic!("a good answer is taken")
        };
        assert_eq!(utc_of(&document), Some("2026-01-02T09:30:05Z".parse().unwrap()));
    }
}
