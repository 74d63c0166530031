//! What lies behind a locator: a picture, or a file that is carried through piece by piece.
//!
//! A file is had by whoever may ask the operation that named it: each transfer is decided anew as that operation,
//! and its outcome says how much it was and what (SHA-256).

use std::{rc::Rc, sync::Arc};

use ::http::StatusCode;
use serde_json::json;
use tokio::sync::oneshot;
use tracing::Instrument;

use super::{
    http::{Reply, Request},
    outgoing::Rest,
    pipeline::{Kind, ReplyHeaders, Who, Work},
    trouble::Trouble,
    virtual_camera::VirtualCamera,
};
use crate::{
    auth::Identified,
    command::{Command, HttpTransfer, Operation},
    facade::{Locator, LocatorKind, resolve},
    gate::{Disposal, Ended, Pass},
    hatch::{AskKind, Reply as Heard, Sink, Tally},
    ids::RequestId,
    limits::{DOWNLOAD_BYTES_MAX, TRANSFER_PIECES_MAX},
    schema::{AccessClass, Traits},
    soap::Version,
};

impl VirtualCamera {
    /// A picture.
    pub(super) async fn snapshot(self: &Rc<Self>, id: RequestId, request: Request, token: &str) -> Reply {
        let operation = Operation::Http(HttpTransfer::Snapshot);
        let found = self.behind(id, &request, &operation.name(), LocatorKind::Snapshot, token).await;
        let (identified, locator) = match found {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        let command = Command {
            request: id,
            camera: Some(self.camera.id.clone()),
            operation,
            class: AccessClass::ReadMedia,
            traits: Traits::NONE,
            destinations: Vec::new(),
            arguments: json!({ "profile": locator.profile }),
        };
        let kind = Kind::Picture { endpoint: locator.endpoint };
        let headers = ReplyHeaders::of_file(&request);
        self.run(Work { command, identified, headers, kind }).await
    }

    /// A file of the camera's: a log, a backup.
    pub(super) async fn download(self: &Rc<Self>, id: RequestId, request: Request, token: &str) -> Reply {
        let found = self.behind(id, &request, "http:Download", LocatorKind::Download, token).await;
        let (identified, locator) = match found {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        // Kept under the operation that named it. One that is no longer declared permits nothing.
        let tables = &self.house.tables;
        let named = tables.operation_by_name(&locator.profile);
        let Some((operation, row)) = named.and_then(|id| Some((id, tables.operation(id)?))) else {
            return Reply::plain(StatusCode::NOT_FOUND, "there is nothing at this path\n");
        };
        let command = Command {
            request: id,
            camera: Some(self.camera.id.clone()),
            operation: Operation::Onvif { id: operation, name: self.house.catalogue.name(operation) },
            class: row.class.unwrap_or(AccessClass::NotForClients),
            traits: row.traits,
            destinations: Vec::new(),
            arguments: json!({ "transfer": "download" }),
        };
        let headers = ReplyHeaders::of_file(&request);
        let Ok(place) = Arc::clone(&self.transfers).try_acquire_owned() else {
            let kind = Kind::Picture { endpoint: locator.endpoint };
            self.turn_away(&Work { command, identified, headers, kind }).await;
            return Reply::plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many files of this camera are under way\n",
            );
        };
        let nonce = identified.nonce.map(|it| it.to_string());
        let pass = match self.house.gate.decide(command, &identified.caller, nonce).await {
            Ok(pass) => pass,
            Err(refusal) => return self.refused(refusal, &headers, true),
        };
        let (sink, mut pieces, tally) = Sink::new(DOWNLOAD_BYTES_MAX, TRANSFER_PIECES_MAX);
        let kind = AskKind::Download { named_by: operation, endpoint: locator.endpoint, sink };
        let (told, whole) = oneshot::channel();
        let camera = Rc::clone(self);
        let carry = async move {
            let done = camera.carry_over(pass, kind, &tally).await;
            drop(place);
            // Whoever waited may have gone.
            let _ = told.send(done);
        };
        tokio::task::spawn_local(carry.in_current_span());
        let file = |body, rest| Reply { rest, ..Reply::content("application/octet-stream", body) };
        match pieces.recv().await {
            Some(first) => file(first, Some(Rest { pieces, whole })),
            None if whole.await == Ok(true) => file(bytes::Bytes::new(), None),
            None => Reply::plain(
                StatusCode::BAD_GATEWAY,
                "the file could not be had; the gateway's log says why\n",
            ),
        }
    }

    /// Has the file carried over and records how that ended. True if all of it came.
    async fn carry_over(&self, mut pass: Pass, kind: AskKind, tally: &Tally) -> bool {
        let outcome = self.ask(&mut pass, kind, true, true).await;
        let outcome = outcome.and_then(|heard| match heard {
            Heard::Poured => Ok(()),
            Heard::Document(_) | Heard::Fault(_) | Heard::Picture(_) => Err(Trouble::NoEndpoint),
        });
        let hash = format!("sha256 {}", tally.sha256());
        let (whole, ended) = match outcome {
            Ok(()) => {
                let ended = Ended {
                    disposal: Disposal::Answered,
                    status: Some(200),
                    fault: None,
                    deviations: Vec::new(),
                    bytes: tally.bytes(),
                    note: Some(hash),
                };
                (true, ended)
            }
            Err(trouble) => {
                tracing::info!(%trouble, "a file did not come to its end");
                let begun = tally.bytes() > 0;
                let note = if begun {
                    format!("{trouble}; what went out before: {hash}")
                } else {
                    trouble.to_string()
                };
                let status = Some(if begun { 200 } else { StatusCode::BAD_GATEWAY.as_u16() });
                (false, Ended { status, bytes: tally.bytes(), note: Some(note), ..trouble.ended() })
            }
        };
        pass.finish(ended);
        whole
    }

    /// Who asks, and what stands behind a token; or what they are told instead.
    async fn behind(
        &self,
        id: RequestId,
        request: &Request,
        operation: &str,
        kind: LocatorKind,
        token: &str,
    ) -> Result<(Identified, Locator), Reply> {
        let identified = match self.identify(request, None) {
            Ok(identified) => identified,
            Err(error) => {
                let asked = (Version::default(), false);
                return Err(self.not_recognised(id, request, operation, asked, &error).await);
            }
        };
        let found = {
            let house = &*self.house;
            let locators = house.locators.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            resolve(&**locators, self.facade.shared().key(), &self.camera.id, token)
        };
        match found {
            Ok(Some(locator)) if locator.kind == kind => Ok((identified, locator)),
            Ok(_) => {
                let reason = "the locator is forged, another camera's, over or unknown".to_owned();
                let who = Who::Proven(&identified);
                let noise = self.reject(id, request, operation, who, "404", reason).await;
                Err(noise.unwrap_or_else(|| {
                    Reply::plain(StatusCode::NOT_FOUND, "there is nothing at this path\n")
                }))
            }
            Err(error) => {
                tracing::error!(%error, "a locator could not be read");
                let text = "the gateway could not look this up\n";
                Err(Reply::plain(StatusCode::INTERNAL_SERVER_ERROR, text))
            }
        }
    }
}
