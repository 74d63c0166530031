//! What lies behind a locator: a picture, or a file that is carried through piece by piece.
//!
//! A file is had by whoever may ask the operation that named it: each transfer is decided anew as that operation,
//! and its outcome says how much it was and what (SHA-256).

use std::{io, path::PathBuf, rc::Rc, sync::Arc, time::Duration};

use ::http::{Method, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::timeout,
};
use tracing::Instrument;

use super::{
    http::{Reply, Request},
    outgoing::Rest,
    pipeline::{File, Kind, ReplyHeaders, Who, Work},
    trouble::Trouble,
    virtual_camera::VirtualCamera,
};
use crate::{
    auth::Identified,
    command::{Command, Operation},
    facade::{Facade, Locator, LocatorKind, resolve},
    gate::{Disposal, Ended, Pass, Refusal},
    hatch::{AskKind, Reply as Heard, Sink, Spool, SpoolWriter, Tally},
    ids::RequestId,
    limits::{
        DOWNLOAD_BYTES_MAX, TRANSFER_PIECES_MAX, TRANSFER_STALL_MAX, TRANSFER_TIME_MAX, UPLOAD_BYTES_MAX,
    },
    schema::{AccessClass, OperationId},
    soap::Version,
};

impl VirtualCamera {
    /// A file of the camera's: a log, a backup.
    pub(super) async fn download(self: &Rc<Self>, id: RequestId, request: Request, token: &str) -> Reply {
        let found = self.behind(id, &request, "http:Download", LocatorKind::Download, token).await;
        let (identified, locator) = match found {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        let Some((operation, command)) = self.file_command(id, &locator, json!({ "transfer": "download" }))
        else {
            return Reply::plain(StatusCode::NOT_FOUND, "there is nothing at this path\n");
        };
        let headers = ReplyHeaders::of_file(&request, File::Download);
        let place = match self.place(&self.transfers, &identified.caller) {
            Ok(place) => place,
            Err(trouble) => {
                let kind = Kind::Picture { endpoint: locator.endpoint };
                self.turn_away(&Work { command, identified, headers, kind }, &trouble).await;
                return too_many();
            }
        };
        let nonce = identified.nonce.map(|it| it.to_string());
        let pass = match self.house.gate.decide(&self.edition.rules, command, &identified.caller, nonce).await
        {
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
            None if whole.await == Ok(true) => file(Bytes::new(), None),
            None => Reply::plain(StatusCode::BAD_GATEWAY, File::Download.missed(false)),
        }
    }

    /// A file for the camera: firmware, a backup to restore. It is taken whole first, so that its hash is in the
    /// intent before anything is sent.
    pub(super) async fn upload(self: &Rc<Self>, id: RequestId, mut request: Request, token: &str) -> Reply {
        let file = request.file.take();
        let found = self.behind(id, &request, "http:Upload", LocatorKind::Upload, token).await;
        let (identified, locator) = match found {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        let found = self.file_command(id, &locator, json!({ "transfer": "upload" }));
        let (Some((named_by, command)), Some(file)) = (found, file) else {
            return Reply::plain(StatusCode::NOT_FOUND, "there is nothing at this path\n");
        };
        let headers = ReplyHeaders::of_file(&request, File::Upload);
        let house = &*self.house;
        let place = self.place(&self.transfers, &identified.caller);
        let room = Arc::clone(&house.uploads).try_acquire_owned().map_err(|_| Trouble::Busy);
        let (place, room) = match place.and_then(|place| Ok((place, Arc::new(room?)))) {
            Ok(places) => places,
            Err(trouble) => {
                let kind = Kind::Picture { endpoint: locator.endpoint };
                self.turn_away(&Work { command, identified, headers, kind }, &trouble).await;
                return too_many();
            }
        };
        let nonce = identified.nonce.map(|it| it.to_string());
        let (pass, file) = match self.taken(command, &identified, nonce, (file, &room)).await {
            Ok(taken) => taken,
            Err(Untaken::Refused(refusal)) => return self.refused(refusal, &headers, true),
            Err(Untaken::Spoiled(name, spoiled)) => {
                let (status, text) = spoiled.told();
                let (who, reason) = (Who::Proven(&identified), spoiled.to_string());
                let noise = self.reject(id, &request, &name, who, status.as_str(), reason).await;
                return noise.unwrap_or_else(|| Reply::plain(status, text));
            }
        };
        let kind = AskKind::Upload { named_by, endpoint: locator.endpoint, file };
        let camera = Rc::clone(self);
        let send = async move {
            let taken = camera.send_over(pass, kind).await;
            drop((place, room));
            taken
        };
        // In a task of its own, which outlives a client that hangs up.
        match tokio::task::spawn_local(send.in_current_span()).await {
            Ok(true) => Reply::plain(StatusCode::OK, "the camera took the file\n"),
            Ok(false) | Err(_) => Reply::plain(StatusCode::BAD_GATEWAY, File::Upload.missed(false)),
        }
    }

    /// Takes a file to the disk and has it decided, hash included. Nothing is taken from who is refused anyway.
    async fn taken(
        &self,
        mut command: Command,
        identified: &Identified,
        nonce: Option<String>,
        (file, room): (Incoming, &Arc<OwnedSemaphorePermit>),
    ) -> Result<(Pass, Spool), Untaken> {
        let rules = &self.edition.rules;
        let mut spool = None;
        if rules.would_permit(&command, &identified.caller) {
            let (folder, room) = (self.house.spool.clone(), Arc::clone(room));
            let file = spooled(folder, command.request, file, TRANSFER_TIME_MAX, room).await;
            let file = file.map_err(|spoiled| Untaken::Spoiled(command.operation.name(), spoiled))?;
            command.arguments =
                json!({ "transfer": "upload", "bytes": file.bytes(), "sha256": file.sha256() });
            spool = Some(file);
        }
        let pass = self.house.gate.decide(rules, command, &identified.caller, nonce).await;
        let pass = pass.map_err(Untaken::Refused)?;
        // Permitted only since: whoever asks again is heard. The pass is recorded as abandoned.
        let spool = spool.ok_or(Untaken::Refused(Refusal::NotAuthorized))?;
        Ok((pass, spool))
    }

    /// Has the file sent and records how that ended. True if the camera took it.
    async fn send_over(&self, mut pass: Pass, kind: AskKind) -> bool {
        let outcome = self.ask(&mut pass, kind, false, true).await;
        let (taken, ended) = match outcome {
            Ok(Heard::Taken(status)) => {
                let ended = Ended {
                    disposal: Disposal::Answered,
                    status: Some(200),
                    fault: None,
                    deviations: Vec::new(),
                    bytes: 0,
                    note: Some(format!("the camera answered with HTTP status {status}")),
                };
                (true, ended)
            }
            Ok(Heard::Document(_) | Heard::Fault(_) | Heard::Picture(_) | Heard::Poured) => {
                (false, Trouble::NoEndpoint.ended())
            }
            Err(trouble) => {
                tracing::info!(%trouble, "a file was not taken");
                let status = Some(StatusCode::BAD_GATEWAY.as_u16());
                (false, Ended { status, ..trouble.ended() })
            }
        };
        pass.finish(ended);
        taken
    }

    /// The command that a transfer is decided as: the operation under which its place is kept. One that is no
    /// longer declared permits nothing.
    fn file_command(
        &self,
        request: RequestId,
        locator: &Locator,
        arguments: serde_json::Value,
    ) -> Option<(OperationId, Command)> {
        let tables = &self.house.tables;
        let operation = tables.operation_by_name(&locator.profile)?;
        let row = tables.operation(operation)?;
        let command = Command {
            request,
            camera: Some(self.camera.id.clone()),
            operation: Operation::Onvif { id: operation, name: self.house.catalogue.name(operation) },
            class: row.class.unwrap_or(AccessClass::NotForClients),
            traits: row.traits,
            destinations: Vec::new(),
            arguments,
        };
        Some((operation, command))
    }

    /// Has the file carried over and records how that ended. True if all of it came.
    async fn carry_over(&self, mut pass: Pass, kind: AskKind, tally: &Tally) -> bool {
        let outcome = self.ask(&mut pass, kind, true, true).await;
        let outcome = outcome.and_then(|heard| match heard {
            Heard::Poured => Ok(()),
            Heard::Document(_) | Heard::Fault(_) | Heard::Picture(_) | Heard::Taken(_) => {
                Err(Trouble::NoEndpoint)
            }
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
    pub(super) async fn behind(
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
        let key = self.facade.shared().key();
        let found = resolve(&*self.house.locators, key, &self.camera.id, token);
        match found {
            Some(locator) if locator.kind == kind => Ok((identified, locator)),
            _ => {
                let reason = "the locator is forged, another camera's, over or unknown".to_owned();
                let who = Who::Proven(&identified);
                let noise = self.reject(id, request, operation, who, "404", reason).await;
                Err(noise.unwrap_or_else(|| {
                    Reply::plain(StatusCode::NOT_FOUND, "there is nothing at this path\n")
                }))
            }
        }
    }
}

/// Whether a request brings a file.
pub(super) fn takes_file(method: &Method, path: &str) -> bool {
    *method == Method::POST && matches!(Facade::token_at(path), Some((LocatorKind::Upload, _)))
}

fn too_many() -> Reply {
    Reply::plain(StatusCode::SERVICE_UNAVAILABLE, "too many files are under way\n")
}

/// Why a file is not sent to the camera.
enum Untaken {
    Refused(Refusal),
    /// With the operation it was for.
    Spoiled(Arc<str>, Spoiled),
}

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
enum Spoiled {
    #[error("the file is longer than {UPLOAD_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the file stopped coming")]
    Stalled,
    #[error("the file took longer than {TRANSFER_TIME_MAX:?}")]
    Late,
    #[error("the file did not come to its end")]
    Cut,
    #[error("the file could not be kept: {0}")]
    Disk(io::Error),
}

impl Spoiled {
    fn told(&self) -> (StatusCode, &'static str) {
        match self {
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the file is larger than this gateway takes\n"),
            Self::Stalled | Self::Late => (StatusCode::REQUEST_TIMEOUT, "the file took too long\n"),
            Self::Cut => (StatusCode::BAD_REQUEST, "the file is broken\n"),
            Self::Disk(_) => (StatusCode::INSUFFICIENT_STORAGE, "the gateway could not keep the file\n"),
        }
    }
}

/// Takes a file to the disk, on a thread that may wait for it, within a time. `room` is kept as long as the disk keeps
/// that thread: whoever asks does not wait for a disk that hangs, and there are not more such threads than rooms.
async fn spooled<B: Body<Data = Bytes> + Unpin>(
    folder: PathBuf,
    id: RequestId,
    file: B,
    time_max: Duration,
    room: impl Send + 'static,
) -> Result<Spool, Spoiled> {
    if file.size_hint().lower() > UPLOAD_BYTES_MAX {
        return Err(Spoiled::TooLarge);
    }
    let (pieces, mut far) = mpsc::channel::<Bytes>(TRANSFER_PIECES_MAX);
    let writing = tokio::task::spawn_blocking(move || {
        let _room = room;
        let mut writer = SpoolWriter::open(&folder, &format!("upload-{id}"))?;
        while let Some(piece) = far.blocking_recv() {
            writer.write(&piece)?;
        }
        Ok(writer.finish())
    });
    let taken = timeout(time_max, take(file, pieces)).await.unwrap_or(Err(Spoiled::Late));
    let hangs = || Spoiled::Disk(io::Error::new(io::ErrorKind::TimedOut, "its disk does not answer"));
    let written = timeout(TRANSFER_STALL_MAX, writing).await.map_err(|_| hangs())?;
    let written = written.map_err(|error| Spoiled::Disk(io::Error::other(error)))?;
    taken?;
    written.map_err(Spoiled::Disk)
}

/// Takes a file piece by piece.
async fn take<B: Body<Data = Bytes> + Unpin>(
    mut file: B,
    pieces: mpsc::Sender<Bytes>,
) -> Result<(), Spoiled> {
    let mut bytes = 0_u64;
    loop {
        let Ok(frame) = timeout(TRANSFER_STALL_MAX, file.frame()).await else { return Err(Spoiled::Stalled) };
        let data = match frame {
            None => return Ok(()),
            Some(Err(_)) => return Err(Spoiled::Cut),
            // Trailers are dropped.
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        bytes = bytes.saturating_add(data.len() as u64);
        if bytes > UPLOAD_BYTES_MAX {
            return Err(Spoiled::TooLarge);
        }
        match timeout(TRANSFER_STALL_MAX, pieces.send(data)).await {
            Ok(Ok(())) => {}
            // The writer says why it ended.
            Ok(Err(_)) => return Ok(()),
            Err(_) => return Err(Spoiled::Stalled),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
    };

    use hyper::body::Frame;
    use tokio::time::{Sleep, sleep};

    use super::*;

    /// One byte after the other, without end, none so late that it would count as stalled.
    struct Trickle(Pin<Box<Sleep>>);

    impl Body for Trickle {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            std::task::ready!(self.0.as_mut().poll(cx));
            self.0 = Box::pin(sleep(Duration::from_millis(5)));
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    #[tokio::test]
    async fn a_file_that_takes_too_long_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (path, id) = (folder.path().to_owned(), RequestId::from_bits(7));
        let file = Trickle(Box::pin(sleep(Duration::ZERO)));
        let spoiled = spooled(path, id, file, Duration::from_millis(60), ()).await.err().unwrap();
        assert_eq!(spoiled.to_string(), "the file took longer than 1800s");
        assert_eq!(spoiled.told().0, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of it");
    }
}
