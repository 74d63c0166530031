//! The pipeline of one request: the table of `src/ARCHITECTURE.md`, top to bottom.

use std::{rc::Rc, sync::Arc, time::Duration};

use ::http::{Method, StatusCode, header};
use bytes::Bytes;
use jiff::Timestamp;
use tracing::Instrument;

use super::{
    action,
    content::{attachment, is_soap, speaks_soap, version_of},
    house::{Edition, House},
    http::{Reply, Request, Service},
    memo::{Made, MadeFor},
    subscriptions::{Managed, subscription_at},
    transfer::takes_file,
    trouble::{Trouble, status},
    virtual_camera::VirtualCamera,
};
use crate::{
    audit::Deviation,
    auth::{
        AuthError, Caller, Failure, Identified, Shown,
        wsse::{WssePassword, WsseToken},
    },
    command::{Command, Operation},
    events::SubscriptionToken,
    facade::{Asked, Asker, Entrance, Facade, LocatorKind, Own, RewriteRefusal, empty_success},
    gate::{Disposal, Ended, Pass, Refusal, Rejected},
    hatch::{self, AskKind, verify_request},
    ids::RequestId,
    onvif::with_movement_timeout,
    schema::{AccessClass, Deviations, Document, OperationId, Trait},
    soap::{self, Body, DecodeError, Envelope, Fault, Headers, Password, UsernameToken, Version},
};

/// The WS-Addressing action of faults (WS-Addressing SOAP Binding §6).
const FAULT_ACTION: &str = "http://www.w3.org/2005/08/addressing/soap/fault";

impl Service for VirtualCamera {
    fn takes_file(&self, method: &Method, path: &str) -> bool {
        takes_file(method, path)
    }

    async fn answer(self: Rc<Self>, request: Request) -> Reply {
        let id = self.house.request_id();
        let span =
            tracing::info_span!("request", request = %id, camera = %self.camera.id, source = %request.source);
        async {
            let path = request.path();
            let token = Facade::token_at(path).map(|(kind, token)| (kind, token.to_owned()));
            match (&request.method, token, self.service_at(path).is_some()) {
                (&Method::POST, None, true) => self.soap(id, request).await,
                (&Method::GET, Some((LocatorKind::Download, token)), _) => {
                    self.download(id, request, &token).await
                }
                (&Method::POST, Some((LocatorKind::Upload, token)), _) => {
                    self.upload(id, request, &token).await
                }
                (&Method::GET, Some((LocatorKind::Snapshot, token)), _) => {
                    self.snapshot(id, request, &token).await
                }
                (_, Some(_), _) | (_, None, true) => Reply::plain(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "POST to services, GET for pictures and files\n",
                ),
                (_, None, false) => self.nowhere(&request),
            }
        }
        .instrument(span)
        .await
    }
}

/// A command on its way: everything the task that owns the pass needs.
pub(super) struct Work {
    pub(super) command: Command,
    pub(super) identified: Identified,
    pub(super) headers: ReplyHeaders,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Soap {
        operation: OperationId,
        document: Document,
        /// The subscription whose address it came to.
        subscription: Option<SubscriptionToken>,
    },
    /// Nobody declared it: the gate will say no.
    Unknown,
    Picture {
        endpoint: hatch::Endpoint,
    },
    /// The camera's latest picture, wherever it has it.
    LatestPicture,
}

impl Kind {
    fn is_picture(&self) -> bool {
        matches!(self, Self::Picture { .. } | Self::LatestPicture)
    }
}

/// What the reply's header relates to.
#[derive(Clone, Default)]
pub(super) struct ReplyHeaders {
    /// Who asks in SOAP 1.1 is answered in it.
    version: Version,
    /// Whether the reply goes over TLS.
    pub(super) tls: bool,
    addressed: bool,
    message_id: Option<String>,
    file: File,
}

impl ReplyHeaders {
    /// For a reply without an envelope.
    pub(super) fn of_file(request: &Request, file: File) -> Self {
        Self { tls: request.channel.is_tls(), file, ..Self::default() }
    }
}

/// What is had, or brought, without an envelope.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum File {
    #[default]
    Picture,
    Download,
    Upload,
}

impl File {
    /// What whoever asked is told if that did not come about.
    pub(super) fn missed(self, forbidden: bool) -> &'static str {
        match (self, forbidden) {
            (Self::Picture, true) => "the picture may not be had; the gateway's log says why\n",
            (Self::Picture, false) => "the picture could not be had; the gateway's log says why\n",
            (Self::Download, true) => "the file may not be had; the gateway's log says why\n",
            (Self::Download, false) => "the file could not be had; the gateway's log says why\n",
            (Self::Upload, true) => "the camera may not be sent a file; the gateway's log says why\n",
            (Self::Upload, false) => "the camera did not take the file; the gateway's log says why\n",
        }
    }
}

/// An answer on its way out.
pub(super) enum Answer {
    Document {
        operation: OperationId,
        made: Rc<Made>,
        by: &'static str,
    },
    Picture {
        jpeg: Bytes,
        /// It is one that somebody else was given a moment ago.
        kept: bool,
        /// When it came and how long ago that is, if that is told.
        came: Option<(Timestamp, Duration)>,
    },
}

impl VirtualCamera {
    async fn soap(self: &Rc<Self>, id: RequestId, request: Request) -> Reply {
        if let Some(reply) = self.not_soap(id, &request).await {
            return reply;
        }
        // Bytes → envelope.
        let envelope = match soap::decode_request(&self.house.tables, &request.body) {
            Ok(envelope) => envelope,
            Err(error) => return self.not_understood(id, &request, error, None).await,
        };
        let Envelope { version, security, addressing, body } = envelope;
        // Credentials → caller.
        let identified = match self.identify(&request, security.as_ref()) {
            Ok(identified) => identified,
            Err(error) => {
                let operation = self.operation_of(&body);
                let asked = (version, security.is_some());
                return self.not_recognised(id, &request, &operation, asked, &error).await;
            }
        };
        if let Some(fault) = action::disagreement(&self.house.tables, &request, &addressing, &body) {
            let operation = Some(self.operation_of(&body).to_string());
            let error = DecodeError { fault, version, security: security.map(Box::new), operation };
            return self.not_understood(id, &request, error, Some(&identified)).await;
        }
        let headers = ReplyHeaders {
            version,
            tls: request.channel.is_tls(),
            addressed: addressing.action.is_some() || addressing.message_id.is_some(),
            message_id: addressing.message_id,
            file: File::default(),
        };
        // Document → command.
        let camera = &self.camera.id;
        let service = self.service_at(request.path());
        let (command, kind) = match body {
            Body::Operation { candidates, document } => {
                let catalogue = &self.house.catalogue;
                let command = match catalogue.command(id, camera, &candidates, service, &document) {
                    Ok(command) => command,
                    Err(error) => {
                        let error = DecodeError {
                            fault: Trouble::from(error).fault(),
                            version,
                            security: security.map(Box::new),
                            operation: Some(self.house.tables.qualified(document.root().name())),
                        };
                        return self.not_understood(id, &request, error, Some(&identified)).await;
                    }
                };
                match command.operation {
                    Operation::Onvif { id: operation, .. } => {
                        let subscription = subscription_at(&request);
                        (command, Kind::Soap { operation, document, subscription })
                    }
                    _ => (command, Kind::Unknown),
                }
            }
            Body::Unknown(name) => (self.house.catalogue.unknown(id, camera, &name), Kind::Unknown),
        };
        let work = Work { command, identified, headers, kind };
        match self.pull_of(&work) {
            Some(order) => self.pull(work, order, request.closing).await,
            None => self.run(work).await,
        }
    }

    /// Who sends SOAP hears SOAP: some clients take any other answer for a refused password.
    fn nowhere(&self, request: &Request) -> Reply {
        if !speaks_soap(request) {
            return Reply::plain(StatusCode::NOT_FOUND, "there is nothing at this path\n");
        }
        let fault = Fault::action_not_supported("there is no service at this path");
        let headers = ReplyHeaders { version: version_of(request), ..ReplyHeaders::default() };
        Reply { status: StatusCode::NOT_FOUND, ..self.fault_reply(&fault, &headers, false) }
    }

    /// What a source hears that proved nothing too often.
    fn too_many(&self, headers: &ReplyHeaders, soap: bool) -> Reply {
        let status = StatusCode::TOO_MANY_REQUESTS;
        if !soap {
            return Reply::plain(status, "too many requests without valid credentials; wait a minute\n");
        }
        let fault = Trouble::Refused(Refusal::Noise).fault();
        Reply { status, ..self.fault_reply(&fault, headers, false) }
    }

    /// What need not be read to be refused.
    async fn not_soap(&self, id: RequestId, request: &Request) -> Option<Reply> {
        if request.body.is_empty() && request.header(header::AUTHORIZATION).is_none() {
            return Some(self.asks_for_challenge(id, request).await);
        }
        if let Some(fault) = attachment(request) {
            let error = DecodeError { fault, version: Version::default(), security: None, operation: None };
            return Some(self.not_understood(id, request, error, None).await);
        }
        if is_soap(request) {
            return None;
        }
        let reason = "the content type is not SOAP's".to_owned();
        let noise = self.reject(id, request, "not understood", Who::Nobody, "415", reason).await;
        Some(noise.unwrap_or_else(|| {
            Reply::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/soap+xml\n")
        }))
    }

    /// The pass and the exchange live in a task of their own, which outlives a client that hangs up; a panic
    /// ends that task and nothing else.
    pub(super) async fn run(self: &Rc<Self>, work: Work) -> Reply {
        let headers = work.headers.clone();
        let picture = work.kind.is_picture();
        let place = match self.command_place(&work.command.operation, &work.identified.caller) {
            Ok(place) => place,
            Err(trouble) => {
                self.turn_away(&work, &trouble).await;
                return self.fault_reply(&trouble.fault(), &headers, picture);
            }
        };
        let camera = Rc::clone(self);
        let task = async move {
            let reply = camera.execute(work).await;
            drop(place);
            reply
        };
        match tokio::task::spawn_local(task.in_current_span()).await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::error!(%error, "an exchange was given up");
                self.fault_reply(&Trouble::Lost.fault(), &headers, picture)
            }
        }
    }

    /// Records a command for which there is no place.
    pub(super) async fn turn_away(&self, work: &Work, trouble: &Trouble) {
        let Work { command, identified, .. } = work;
        let Some(source) = identified.caller.source() else { return };
        let rejected = Rejected {
            request: command.request,
            source,
            tls: identified.caller.tls(),
            caller: Some(&identified.caller).filter(|it| it.client().is_some()),
            claimed: None,
            nonce: identified.nonce.map(|it| it.to_string()),
            camera: &self.camera.id,
            operation: &command.operation.to_string(),
            fault: &trouble.fault().codes(),
            reason: trouble.to_string(),
        };
        if let Err(error) = self.house.gate.reject(&self.edition.rules, rejected).await {
            tracing::error!(%error, "a rejection could not be recorded");
        }
    }

    async fn execute(&self, work: Work) -> Reply {
        let Work { command, identified, headers, kind } = work;
        let picture = kind.is_picture();
        let idempotent = matches!(
            command.class,
            AccessClass::PreAuth
                | AccessClass::ReadSystem
                | AccessClass::ReadSystemSensitive
                | AccessClass::ReadSystemSecret
                | AccessClass::ReadMedia
        ) && !command
            .traits
            .iter()
            .any(|it| matches!(it, Trait::Session | Trait::Egress | Trait::Destructive));
        let nonce = identified.nonce.map(|it| it.to_string());
        let managed = self.manages(&kind).then(|| command.clone());
        // Command → pass, permitted and durably recorded.
        let mut pass =
            match self.house.gate.decide(&self.edition.rules, command, &identified.caller, nonce).await {
                Ok(pass) => pass,
                Err(refusal) => {
                    return self
                        .absorbed(&refusal, &kind, &headers)
                        .unwrap_or_else(|| self.refused(refusal, &headers, picture));
                }
            };
        let outcome = match kind {
            Kind::Soap { operation, document, subscription } => match managed {
                Some(command) => {
                    let caller = &identified.caller;
                    self.manage(Managed { command, operation, document, subscription, caller }).await
                }
                None => self.carry_out(&mut pass, operation, document, &identified.caller, idempotent).await,
            },
            Kind::Picture { endpoint } => self.picture(&mut pass, endpoint).await,
            Kind::LatestPicture => self.latest_picture(&mut pass).await,
            // A policy that permits what nobody declared permits nothing that could be sent.
            Kind::Unknown => Err(Trouble::NoEndpoint),
        };
        self.count_deviations(outcome.as_ref());
        match &outcome {
            Ok(Answer::Document { by: "the gateway", .. } | Answer::Picture { kept: true, .. }) => {}
            Ok(_) => self.stands(None),
            Err(trouble) => self.stands(Some(trouble)),
        }
        let (reply, ended) = self.reply(outcome, &headers, picture);
        pass.finish(ended);
        reply
    }

    /// The empty success for a write that was denied and absorbed.
    fn absorbed(&self, refusal: &Refusal, kind: &Kind, headers: &ReplyHeaders) -> Option<Reply> {
        let Kind::Soap { operation, .. } = kind else { return None };
        let answer = Some(refusal).filter(|it| **it == Refusal::Absorbed);
        let answer = answer.and_then(|_| empty_success(&self.house.tables, *operation))?;
        let made = Rc::new(Made::new(answer, Deviations::default()));
        let answer = Answer::Document { operation: *operation, made, by: "the gateway" };
        Some(self.reply(Ok(answer), headers, false).0)
    }

    /// Pass → answer: the facade's own, or the camera's, verified and rewritten.
    async fn carry_out(
        &self,
        pass: &mut Pass,
        operation: OperationId,
        document: Document,
        caller: &Caller,
        idempotent: bool,
    ) -> Result<Answer, Trouble> {
        let tables = &self.house.tables;
        let introduces = self.needs_introduction(operation);
        if introduces {
            let _place = self.guest_place(caller)?;
            self.introduce().await?;
        }
        let offers = |service: &str| self.offers(service);
        let asker = asker(caller);
        let asked = Asked { request: &document, entrance: Entrance::of(caller.tls()) };
        let own = self.facade.own_answer(operation, asked, asker, self.house.clock.now(), &offers)?;
        match own {
            Some(Own::Document(answer, missing)) => {
                if introduces {
                    hatch::assert_clean(tables, &answer, &self.rules.borrow())?;
                }
                let made = Rc::new(Made::new(answer, missing));
                return Ok(Answer::Document { operation, made, by: "the gateway" });
            }
            Some(Own::Fault(fault)) => return Err(Trouble::Own(fault)),
            None => {}
        }
        verify_request(tables, &document, &self.core(caller))?;
        let endpoint = self.facade.endpoint(operation).ok_or(Trouble::NoEndpoint)?;
        let asked = Arc::new(with_movement_timeout(tables, document)?);
        let other = self.facade.asked_of_camera(operation, &asked)?.map(Arc::new);
        let document = other.unwrap_or_else(|| Arc::clone(&asked));
        let kind = AskKind::Soap { operation, document, endpoint };
        let _place = self.guest_place(caller)?;
        let reply = self.ask(pass, kind, idempotent, true).await?;
        let made = self.made_of(operation, &asked, caller, &reply).await?;
        Ok(Answer::Document { operation, made, by: "the camera" })
    }

    /// Camera's reply → what the client gets: verified, rewritten and looked over once more, or taken as it was
    /// made of the very same answer to the very same request.
    async fn made_of(
        &self,
        operation: OperationId,
        request: &Document,
        caller: &Caller,
        reply: &hatch::Reply,
    ) -> Result<Rc<Made>, Trouble> {
        let mark = match reply {
            hatch::Reply::Document(answer) if caller.client().is_some() => answer.mark,
            _ => None,
        };
        let made_for = mark.map(|mark| MadeFor { mark, request, tls: caller.tls() });
        if let Some(made) = made_for.and_then(|it| self.replies.borrow().known(&it)) {
            return Ok(made);
        }
        let (answer, deviations) = self.verified(operation, reply)?;
        let asked = Asked { request, entrance: Entrance::of(caller.tls()) };
        let (answer, locators) = self.facade.rewrite_answer(operation, asked, &answer)?;
        hatch::assert_clean(&self.house.tables, &answer, &self.rules.borrow())?;
        let leads_on = !locators.is_empty();
        // Durable before the answer leaves.
        self.house.locators.keep(locators).await.map_err(RewriteRefusal::from)?;
        let made = Rc::new(Made::new(answer, deviations));
        // An address that changes and changes back must lead where it did.
        if let Some(made_for) = made_for.filter(|_| !leads_on) {
            self.replies.borrow_mut().keep(&made_for, &made);
        }
        Ok(made)
    }

    pub(super) fn identify(
        &self,
        request: &Request,
        token: Option<&UsernameToken>,
    ) -> Result<Identified, AuthError> {
        let shown = Shown {
            source: request.source,
            tls: request.channel.is_tls(),
            certificate: request.channel.certificate(),
            method: request.method.as_str(),
            target: &request.target,
            authorization: request.header(header::AUTHORIZATION),
            issued: &[],
            token: token.map(|it| WsseToken {
                username: &it.username,
                nonce: &it.nonce,
                created: &it.created,
                password: match it.password {
                    Password::Digest(digest) => WssePassword::Digest(digest),
                    Password::Text(ref text) => WssePassword::Text(text),
                    Password::Missing => WssePassword::Missing,
                },
            }),
            camera: Some(&self.camera.id),
        };
        self.house.gate.identify(&self.edition.rules, &self.edition.authenticator, &shown)
    }

    fn operation_of(&self, body: &Body) -> Arc<str> {
        match body {
            Body::Operation { candidates, .. } => {
                candidates.first().map_or_else(|| "unknown".into(), |id| self.house.catalogue.name(*id))
            }
            Body::Unknown(name) => name.as_str().into(),
        }
    }

    /// What depends on knowing the camera's services: their list, and the endpoint of one.
    pub(super) fn needs_introduction(&self, operation: OperationId) -> bool {
        let Some(row) = self.house.tables.operation(operation) else { return false };
        match (&*row.service, &*row.name) {
            ("device", "GetServices" | "GetCapabilities" | "GetScopes") => true,
            ("device", _) => false,
            _ => self.facade.endpoint(operation).is_none(),
        }
    }

    /// Whether any rule lets any client use an operation of a service that is not open to all. Asked once for
    /// each service: whoever asks for the list of services need not have logged in.
    fn offers(&self, service: &str) -> bool {
        let known = self.offered.borrow().get(service).copied();
        known.unwrap_or_else(|| {
            let offers = self.is_permitted_to_anybody(service);
            self.offered.borrow_mut().insert(service.to_owned(), offers);
            offers
        })
    }

    fn is_permitted_to_anybody(&self, service: &str) -> bool {
        let House { tables, catalogue, .. } = &*self.house;
        let Edition { rules, callers, .. } = &*self.edition;
        let mut rows = tables.operations().filter(|(_, row)| {
            let same = &*row.service == service || (service == "events" && row.service.starts_with("events"));
            same && row.class.is_some_and(|class| class != AccessClass::PreAuth)
        });
        rows.any(|(id, row)| {
            let command = Command {
                request: RequestId::from_bits(0),
                camera: Some(self.camera.id.clone()),
                operation: Operation::Onvif { id, name: catalogue.name(id) },
                class: row.class.unwrap_or(AccessClass::NotForClients),
                traits: row.traits,
                destinations: Vec::new(),
                arguments: serde_json::Value::Null,
            };
            callers.iter().any(|caller| rules.would_permit(&command, caller))
        })
    }

    /// A request that is no command: recorded, and answered with the fault.
    async fn not_understood(
        &self,
        id: RequestId,
        request: &Request,
        error: DecodeError,
        identified: Option<&Identified>,
    ) -> Reply {
        let DecodeError { fault, version, security, operation } = error;
        let who = match (identified, &security) {
            (Some(identified), _) => Who::Proven(identified),
            (None, Some(token)) => Who::Claimed(&token.username),
            (None, None) => Who::Nobody,
        };
        let operation = operation.unwrap_or_else(|| "not understood".to_owned());
        let noise = self.reject(id, request, &operation, who, &fault.codes(), fault.reason.clone()).await;
        if let Some(reply) = noise {
            return reply;
        }
        self.fault_reply(&fault, &ReplyHeaders { version, ..ReplyHeaders::default() }, false)
    }

    /// libcurl and others send a digest login's first request without its body, to get the challenge.
    async fn asks_for_challenge(&self, id: RequestId, request: &Request) -> Reply {
        let fault = Trouble::Refused(Refusal::Unauthenticated).fault();
        let reason = "an empty body and no credentials".to_owned();
        let noise = self.reject(id, request, "not understood", Who::Nobody, &fault.codes(), reason).await;
        if let Some(reply) = noise {
            return reply;
        }
        self.challenge(&fault, false, version_of(request), request.channel.is_tls())
    }

    /// Credentials that do not hold: recorded with the cause; outward one text for all.
    pub(super) async fn not_recognised(
        &self,
        id: RequestId,
        request: &Request,
        operation: &str,
        (version, by_token): (Version, bool),
        error: &AuthError,
    ) -> Reply {
        self.count_refused_login(error);
        if error.failure == Failure::OverBudget {
            let headers = ReplyHeaders { version, ..ReplyHeaders::default() };
            return self.too_many(&headers, speaks_soap(request));
        }
        let fault = Fault::not_authorized(error.outward());
        let reason = error.to_string();
        let who = error.claimed.as_deref().map_or(Who::Nobody, Who::Claimed);
        if let Some(reply) = self.reject(id, request, operation, who, &fault.codes(), reason).await {
            return reply;
        }
        // Core §5.9.1: a refused HTTP digest is a 401 with challenges, a refused UsernameToken a 400.
        if by_token && request.header(header::AUTHORIZATION).is_none() {
            return self.fault_reply(&fault, &ReplyHeaders { version, ..ReplyHeaders::default() }, false);
        }
        self.challenge(&fault, error.stale(), version, request.channel.is_tls())
    }

    pub(super) async fn reject(
        &self,
        request_id: RequestId,
        request: &Request,
        operation: &str,
        who: Who<'_>,
        fault: &str,
        reason: String,
    ) -> Option<Reply> {
        // As a field and not as text: a reason repeats names that the peer made up.
        tracing::info!(operation, fault, reason = reason.as_str(), "rejected");
        let rejected = Rejected {
            request: request_id,
            source: request.source,
            tls: request.channel.is_tls(),
            caller: who.proven().map(|it| &it.caller),
            claimed: who.claimed(),
            // Used up, though nothing was done: a restart must not forget it.
            nonce: who.proven().and_then(|it| it.nonce).map(|it| it.to_string()),
            camera: &self.camera.id,
            operation,
            fault,
            reason,
        };
        match self.house.gate.reject(&self.edition.rules, rejected).await {
            Ok(()) => None,
            Err(Refusal::Noise) => {
                let headers = ReplyHeaders { version: version_of(request), ..ReplyHeaders::default() };
                Some(self.too_many(&headers, speaks_soap(request)))
            }
            Err(error) => {
                tracing::error!(%error, "a rejection could not be recorded");
                None
            }
        }
    }

    pub(super) fn refused(&self, refusal: Refusal, headers: &ReplyHeaders, picture: bool) -> Reply {
        if refusal == Refusal::Noise {
            return self.too_many(headers, !picture);
        }
        let unauthenticated = refusal == Refusal::Unauthenticated;
        let fault = Trouble::Refused(refusal).fault();
        if unauthenticated {
            self.challenge(&fault, false, headers.version, headers.tls)
        } else {
            self.fault_reply(&fault, headers, picture)
        }
    }

    /// 401 with the challenges, and the fault for those who read bodies.
    fn challenge(&self, fault: &Fault, stale: bool, version: Version, tls: bool) -> Reply {
        let house = &*self.house;
        let mut reply = self.fault_reply(fault, &ReplyHeaders { version, ..ReplyHeaders::default() }, false);
        match self.edition.authenticator.challenges(stale, tls, &*house.clock, &*house.entropy) {
            Ok(challenges) => {
                reply.status = StatusCode::UNAUTHORIZED;
                reply.challenges = challenges;
                reply
            }
            Err(error) => {
                tracing::error!(%error, "no challenge could be made");
                Reply::plain(StatusCode::SERVICE_UNAVAILABLE, "the gateway has no random numbers\n")
            }
        }
    }

    /// Answer → bytes, and the outcome that goes on record.
    pub(super) fn reply(
        &self,
        outcome: Result<Answer, Trouble>,
        headers: &ReplyHeaders,
        picture: bool,
    ) -> (Reply, Ended) {
        match outcome {
            Ok(Answer::Document { operation, made, by }) => {
                let tables = &self.house.tables;
                let body = if headers.addressed || headers.version == Version::Soap11 {
                    soap::encode(tables, &made.document, &self.answer_headers(operation, headers))
                } else {
                    made.plain(tables)
                };
                let ended = Ended {
                    disposal: Disposal::Answered,
                    status: Some(200),
                    fault: None,
                    deviations: recorded(&made.deviations),
                    bytes: body.len() as u64,
                    note: Some(format!("answered by {by}")),
                };
                (Reply::content(headers.version.content_type(), body), ended)
            }
            Ok(Answer::Picture { jpeg, kept, came }) => {
                let ended = Ended {
                    disposal: Disposal::Answered,
                    status: Some(200),
                    fault: None,
                    deviations: Vec::new(),
                    bytes: jpeg.len() as u64,
                    note: kept.then(|| "the picture that was given a moment ago".to_owned()),
                };
                (Reply { came, ..Reply::content("image/jpeg", jpeg) }, ended)
            }
            Err(trouble) => {
                let mut ended = trouble.ended();
                tracing::info!(fault = ended.fault.as_deref(), "not answered as asked");
                let reply = self.fault_reply(&trouble.fault(), headers, picture);
                ended.status = Some(reply.status.as_u16());
                (reply, ended)
            }
        }
    }

    fn answer_headers(&self, operation: OperationId, headers: &ReplyHeaders) -> Headers {
        let row = self.house.tables.operation(operation).filter(|_| headers.addressed);
        Headers {
            version: headers.version,
            action: row.map(|row| row.action_out.to_string()),
            relates_to: headers.message_id.clone(),
            ..Headers::default()
        }
    }

    fn fault_reply(&self, fault: &Fault, headers: &ReplyHeaders, picture: bool) -> Reply {
        // SOAP 1.1 §6.2 knows one status for faults.
        let code = if headers.version == Version::Soap11 { 500 } else { status(fault) };
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if picture {
            let forbidden = status == StatusCode::BAD_REQUEST;
            let status = if forbidden { StatusCode::FORBIDDEN } else { StatusCode::BAD_GATEWAY };
            return Reply::plain(status, headers.file.missed(forbidden));
        }
        let version = headers.version;
        let headers = Headers {
            version,
            action: headers.addressed.then(|| FAULT_ACTION.to_owned()),
            relates_to: headers.message_id.clone(),
            ..Headers::default()
        };
        Reply { status, ..Reply::content(version.content_type(), soap::encode_fault(fault, &headers)) }
    }
}

/// Whose request is rejected.
#[derive(Clone, Copy)]
pub(super) enum Who<'a> {
    Nobody,
    /// So somebody says who did not prove it.
    Claimed(&'a str),
    /// A client that logged in, or a caller without credentials, as found out.
    Proven(&'a Identified),
}

impl<'a> Who<'a> {
    /// The client, if it is one: who has no credentials proved nothing.
    fn proven(self) -> Option<&'a Identified> {
        match self {
            Self::Proven(identified) => Some(identified).filter(|it| it.caller.client().is_some()),
            Self::Nobody | Self::Claimed(_) => None,
        }
    }

    fn claimed(self) -> Option<&'a str> {
        match self {
            Self::Claimed(name) => Some(name),
            Self::Nobody | Self::Proven(_) => None,
        }
    }
}

fn asker(caller: &Caller) -> Option<Asker<'_>> {
    match caller {
        Caller::Client { id, role, .. } => Some(Asker { name: id.as_str(), level: role.as_str() }),
        Caller::Anonymous { .. } | Caller::Gateway(_) | Caller::Local { .. } => None,
    }
}

/// Deviations as records have them.
pub(super) fn recorded(deviations: &Deviations) -> Vec<Deviation> {
    let named = deviations.iter().map(|it| Deviation {
        kind: it.kind.as_str().to_owned(),
        name: it.name.clone(),
        count: u64::from(it.count),
    });
    let unnamed =
        Deviation { kind: "more".into(), name: String::new(), count: u64::from(deviations.unnamed()) };
    named.chain((deviations.unnamed() > 0).then_some(unnamed)).collect()
}
