//! Who may ask for what: logins, locators and the gate, for requests of viewers.

use std::rc::Rc;

use serde_json::json;

use super::{super::trouble::Trouble, front::token, methods::required, viewer::Viewer};
use crate::{
    auth::{AuthError, Failure as LoginFailure, Identified, Shown},
    camera::{CameraError, Failure},
    command::{Command, Operation, RtspMethod},
    facade::{Locator, LocatorKind, resolve},
    gate::{Disposal, Ended, Pass, Refusal, Rejected},
    ids::ClientId,
    media::Upstream,
    rtsp::{BACKCHANNEL_FEATURE, Field, REPLAY_FEATURE, Request, Status},
    schema::Trait,
    telemetry::Watching,
};

/// Whoever need not log in, among clients in metrics: no client has such a name.
const NOBODY: &str = "(nobody)";

/// Why a request is not done.
pub(super) enum Refused {
    /// Told and recorded already.
    With(Status),
    /// What it requires is not to be had at this address.
    Feature(&'static str),
    /// To be told how to log in.
    Challenge { stale: bool },
}

impl Viewer {
    /// Who asks, and for what. Whoever may not is told so, and it is on record.
    pub(super) async fn permitted_at(
        &self,
        request: &Request,
        method: RtspMethod,
    ) -> Result<(Locator, Identified), Refused> {
        let operation = Operation::Rtsp(method).name();
        let house = &*self.camera.house;
        let shown = Shown {
            source: self.source,
            tls: self.channel.is_tls(),
            certificate: self.channel.certificate(),
            method: request.method.as_str(),
            target: &request.uri,
            authorization: request.fields.get(Field::Authorization),
            issued: &self.issued,
            token: None,
            camera: Some(&self.camera.camera.id),
        };
        let edition = &*self.camera.edition;
        let identified = match house.gate.identify(&edition.rules, &edition.authenticator, &shown) {
            Ok(identified) => identified,
            Err(error) if error.failure == LoginFailure::OverBudget => {
                return Err(Refused::With(Status::ServiceUnavailable));
            }
            Err(error) => {
                self.reject(&operation, Status::Unauthorized, Some(&error), error.to_string()).await;
                return Err(Refused::Challenge { stale: error.stale() });
            }
        };
        let key = self.camera.facade.shared().key();
        let found = token(&request.uri)
            .and_then(|token| resolve(&*house.locators, key, &self.camera.camera.id, token));
        match found.filter(|it| matches!(it.kind, LocatorKind::Stream | LocatorKind::Replay)) {
            Some(locator) => {
                let (other, reason) = match locator.kind {
                    LocatorKind::Replay => (BACKCHANNEL_FEATURE, "nobody is heard at this address"),
                    _ => (REPLAY_FEATURE, "recordings are not played back at this address"),
                };
                if required(request).any(|it| it == other) {
                    self.reject(&operation, Status::OptionNotSupported, None, reason.to_owned()).await;
                    return Err(Refused::Feature(other));
                }
                Ok((locator, identified))
            }
            None => {
                self.reject(&operation, Status::NotFound, None, "no such stream".to_owned()).await;
                Err(Refused::With(Status::NotFound))
            }
        }
    }

    pub(super) async fn decide(
        &self,
        method: RtspMethod,
        locator: &Locator,
        identified: &Identified,
    ) -> Result<(Pass, Command), Refused> {
        let house = &*self.camera.house;
        let mut arguments = json!({ "profile": locator.profile, "protocol": locator.protocol });
        if let Some(unverified) = self.unverified(method)
            && let Some(arguments) = arguments.as_object_mut()
        {
            arguments.insert("unverified_codecs".to_owned(), unverified.into());
        }
        let command = Command {
            request: house.request_id(),
            camera: Some(self.camera.camera.id.clone()),
            operation: Operation::Rtsp(method),
            class: method.class(),
            traits: [Trait::Session].into_iter().collect(),
            destinations: Vec::new(),
            arguments,
        };
        let nonce = identified.nonce.map(|it| it.to_string());
        match house.gate.decide(&self.camera.edition.rules, command.clone(), &identified.caller, nonce).await
        {
            Ok(pass) => {
                if !self.is_seated(identified.caller.client()) {
                    let note = "as many connections for the camera's streams are open as may be, of this client or in all";
                    pass.finish(ended(Status::ServiceUnavailable.code(), 0, Some(note.to_owned())));
                    return Err(Refused::With(Status::ServiceUnavailable));
                }
                self.asked.set(house.clock.monotonic());
                self.stranger.set(None);
                Ok((pass, command))
            }
            Err(Refusal::Unauthenticated) => Err(Refused::Challenge { stale: false }),
            Err(refusal) => Err(Refused::With(status_of(&refusal))),
        }
    }

    /// The encodings of what is to play that pass without being checked, if there are any.
    fn unverified(&self, method: RtspMethod) -> Option<Vec<String>> {
        if !matches!(method, RtspMethod::Play | RtspMethod::Replay | RtspMethod::Talk) {
            return None;
        }
        let unverified = self.session.as_ref()?.upstream.description.unverified();
        let names: Vec<_> = unverified.map(str::to_owned).collect();
        (!names.is_empty()).then_some(names)
    }

    /// Counts the client as one who watches, as long as what is given lives.
    pub(super) fn watching(&self, identified: &Identified) -> Watching {
        let client = identified.caller.client().map_or(NOBODY, ClientId::as_str);
        Watching::begin(self.camera.meter.media.viewers(client))
    }

    /// Whether the connection has a seat among the client's, which it takes if it has none.
    fn is_seated(&self, client: Option<&ClientId>) -> bool {
        let mut seated = self.seated.borrow_mut();
        if !seated.as_ref().is_some_and(|it| it.is_of(client)) {
            *seated = None;
            *seated = self.camera.streams.seats.take(client);
        }
        seated.is_some()
    }

    /// Records a request that became no command.
    pub(super) async fn reject(
        &self,
        operation: &str,
        status: Status,
        error: Option<&AuthError>,
        reason: String,
    ) {
        let fault = status.code().to_string();
        let rejected = Rejected {
            request: self.camera.house.request_id(),
            source: self.source,
            tls: self.channel.is_tls(),
            caller: None,
            claimed: error.and_then(|it| it.claimed.as_deref()),
            nonce: None,
            camera: &self.camera.camera.id,
            operation,
            fault: &fault,
            reason,
        };
        if let Err(error) = self.camera.house.gate.reject(&self.camera.edition.rules, rejected).await {
            tracing::debug!(%error, "a rejection was not recorded by itself");
        }
    }
}

/// What the camera's side brought, or what the viewer is told instead.
pub(super) fn told(
    brought: Result<Rc<Upstream>, Trouble>,
    pass: Pass,
) -> Result<(Rc<Upstream>, Pass), Refused> {
    match brought {
        Ok(upstream) => Ok((upstream, pass)),
        Err(trouble) => Err(refused(&trouble, pass)),
    }
}

/// What the viewer is told in place of what the camera's side could not bring.
pub(super) fn refused(trouble: &Trouble, pass: Pass) -> Refused {
    let status = match trouble {
        Trouble::Refused(refusal) => status_of(refusal),
        Trouble::Camera(error) if error.is_timeout() => Status::GatewayTimeout,
        Trouble::Busy => Status::ServiceUnavailable,
        Trouble::Camera(CameraError { failure: Failure::BadRtspStatus(551), .. }) => {
            Status::OptionNotSupported
        }
        // That it has no room for one more, its viewer may wait for.
        Trouble::Camera(CameraError { failure: Failure::BadRtspStatus(453), .. }) => {
            Status::NotEnoughBandwidth
        }
        Trouble::Camera(CameraError { failure: Failure::NotHeldBack, .. }) => Status::UnsupportedTransport,
        // What is wrong with the part that was asked for, whoever asked has to know.
        Trouble::Camera(CameraError { failure: Failure::BadRtspStatus(457), .. }) => Status::InvalidRange,
        _ => Status::BadGateway,
    };
    tracing::info!(%trouble, "a stream could not be had");
    pass.finish(Ended { status: Some(status.code()), ..trouble.ended() });
    Refused::With(status)
}

fn status_of(refusal: &Refusal) -> Status {
    match refusal {
        Refusal::Unauthenticated => Status::Unauthorized,
        Refusal::NotAuthorized
        | Refusal::Forbidden
        | Refusal::Users
        | Refusal::NotIsolated
        | Refusal::Absorbed => Status::Forbidden,
        Refusal::NotSupported => Status::NotImplemented,
        Refusal::Noise | Refusal::Unrecordable(_) => Status::ServiceUnavailable,
    }
}

pub(super) fn ended(status: u16, bytes: u64, note: Option<String>) -> Ended {
    Ended {
        disposal: Disposal::Answered,
        status: Some(status),
        fault: None,
        deviations: Vec::new(),
        bytes,
        note,
    }
}
