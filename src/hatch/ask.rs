//! What is asked through the hatch, and what comes back.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Endpoint, Screen, sink::Sink, spool::Spool};
use crate::{
    command::{HttpTransfer, Operation, RtspMethod},
    gate::Pass,
    ids::{CameraId, RequestId},
    rtsp::{Playback, UnknownCodecs},
    schema::{Deviations, Document, OperationId},
    soap::{Fault, Reference},
};

/// One question to one camera: plain data, made from a pass and in no other way, of what the pass was given
/// for and once.
///
/// ```compile_fail,E0451
/// fn unasked(kind: cordon::hatch::AskKind, camera: cordon::ids::CameraId) -> cordon::hatch::Ask {
///     cordon::hatch::Ask { request: cordon::ids::RequestId::from_bits(0), camera, kind, idempotent: true }
/// }
/// ```
///
/// ```compile_fail,E0308
/// fn unrecorded(refused: &mut cordon::gate::Refusal, kind: cordon::hatch::AskKind) {
///     let _ = cordon::hatch::Ask::new(refused, kind, true);
/// }
/// ```
#[derive(Debug)]
pub struct Ask {
    request: RequestId,
    camera: CameraId,
    kind: AskKind,
    idempotent: bool,
}

/// What is asked.
#[derive(Debug)]
pub enum AskKind {
    /// A SOAP operation.
    Soap {
        /// Which one.
        operation: OperationId,
        /// Its request.
        document: Arc<Document>,
        /// The service's endpoint.
        endpoint: Endpoint,
    },
    /// A SOAP operation of a subscription of the gateway's own.
    Subscribed {
        /// Which one.
        operation: OperationId,
        /// Its request.
        document: Arc<Document>,
        /// Where the subscription is.
        address: Arc<SubscriptionAddress>,
        /// How long the camera may take for its answer, beyond the usual: it waits for something to tell.
        wait: Duration,
    },
    /// What a stream's address offers.
    Describe {
        /// Where it is asked for.
        endpoint: Endpoint,
        /// How metadata in it is judged.
        screen: Arc<Screen>,
        /// Whether back channels are asked for, too.
        talk: bool,
        /// What becomes of streams in encodings that are not known here.
        unknown: UnknownCodecs,
    },
    /// A stream that was described, with a back channel.
    Talk {
        /// Where it was asked for.
        endpoint: Endpoint,
        /// The streams of it that are wanted, by their numbers in the description.
        wanted: Vec<usize>,
    },
    /// A stream that was described.
    Play {
        /// Where it was asked for.
        endpoint: Endpoint,
    },
    /// A part of a recording that was described.
    Replay {
        /// Where it was asked for.
        endpoint: Endpoint,
        /// Which part, and how.
        playback: Playback,
        /// The streams of it that are wanted, by their numbers in the description.
        wanted: Vec<usize>,
        /// The number of the client's request, which its packets repeat.
        cseq: u32,
    },
    /// That a recording pauses.
    Pause {
        /// Where it was asked for.
        endpoint: Endpoint,
    },
    /// A snapshot picture.
    Picture {
        /// Where it lies.
        endpoint: Endpoint,
    },
    /// A file, piece by piece.
    Download {
        /// The operation whose answer named it, as which it was permitted.
        named_by: OperationId,
        /// Where it lies.
        endpoint: Endpoint,
        /// Where it goes.
        sink: Sink,
    },
    /// A file for the camera.
    Upload {
        /// The operation whose answer named its place, as which it was permitted.
        named_by: OperationId,
        /// Where it goes.
        endpoint: Endpoint,
        /// What it is.
        file: Spool,
    },
}

/// Where a subscription of the gateway's own is at the camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionAddress {
    /// Where it is asked.
    pub endpoint: Endpoint,
    /// What the camera called it: `wsa:To` and reference parameters are what it wrote.
    pub reference: Reference,
}

/// Why a pass makes no ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It is for the gateway itself.
    #[error("the pass is for no camera")]
    NoCamera,
    /// It is for something else.
    #[error("the pass was given for another operation")]
    Other,
    /// It made one already, for one pass is one exchange; or its series is over.
    #[error("the pass was used before")]
    Used,
}

impl Ask {
    /// Makes the question that a pass permits; from now on the camera may have heard of it. `idempotent` says
    /// that asking twice does no harm.
    pub fn new(pass: &mut Pass, kind: AskKind, idempotent: bool) -> Result<Self, AskError> {
        let grant = pass.grant();
        let request = grant.request;
        let camera = grant.camera.clone().ok_or(AskError::NoCamera)?;
        if !is_for(&grant.operation, &kind) {
            return Err(AskError::Other);
        }
        if !pass.sending() {
            return Err(AskError::Used);
        }
        Ok(Self { request, camera, kind, idempotent })
    }

    /// The request it belongs to.
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// The camera it is for.
    pub fn camera(&self) -> &CameraId {
        &self.camera
    }

    /// What is asked.
    pub fn kind(&self) -> &AskKind {
        &self.kind
    }

    /// Whether it may be asked again on a fresh connection.
    pub fn idempotent(&self) -> bool {
        self.idempotent
    }
}

fn is_for(granted: &Operation, kind: &AskKind) -> bool {
    match (granted, kind) {
        (
            Operation::Onvif { id, .. },
            AskKind::Soap { operation, .. } | AskKind::Subscribed { operation, .. },
        ) => id == operation,
        (
            Operation::Onvif { id, .. },
            AskKind::Download { named_by, .. } | AskKind::Upload { named_by, .. },
        ) => id == named_by,
        (Operation::Http(HttpTransfer::Snapshot), AskKind::Picture { .. })
        | (Operation::Rtsp(RtspMethod::Describe), AskKind::Describe { .. })
        | (Operation::Rtsp(RtspMethod::Play), AskKind::Play { .. })
        | (Operation::Rtsp(RtspMethod::Replay), AskKind::Replay { .. })
        | (Operation::Rtsp(RtspMethod::Talk), AskKind::Talk { .. })
        | (Operation::Rtsp(RtspMethod::Pause), AskKind::Pause { .. }) => true,
        (
            Operation::Onvif { .. }
            | Operation::Unknown(_)
            | Operation::Rtsp(_)
            | Operation::Http(_)
            | Operation::Admin(_)
            | Operation::Notify,
            _,
        ) => false,
    }
}

/// What a camera answered, as the outside understood it. Not verified yet.
#[derive(Debug)]
pub enum Reply {
    /// The operation's answer.
    Document(Understood),
    /// A fault of the camera's.
    Fault(Fault),
    /// A JPEG picture.
    Picture(Bytes),
    /// All of a file went into its sink.
    Poured,
    /// The camera took a file, with this HTTP status.
    Taken(u16),
}

/// An operation's answer.
#[derive(Debug, Clone)]
pub struct Understood {
    /// What it says.
    pub document: Arc<Document>,
    /// How it leaves its declaration.
    pub deviations: Arc<Deviations>,
    /// Which answer it is; none if it is not remembered.
    pub mark: Option<Mark>,
    /// Where the subscription is that it tells of, if it does.
    pub subscription: Option<Arc<Reference>>,
    /// How long it was, if that matters to anybody.
    pub bytes: usize,
}

/// Equal for two answers over one connection only if the same bytes answered the same operation, so that
/// what was made of the first may stand for the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub u64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hatch::AddressRules,
        schema::{Builder, Tables},
    };

    #[test]
    fn a_pass_is_for_one_operation_and_no_other() {
        let tables = Tables::embedded().unwrap();
        let id = |name| tables.operation_by_name(name).unwrap();
        let (time, reboot) = (id("tds:GetSystemDateAndTime"), id("tds:SystemReboot"));
        let input = tables.operation(time).unwrap().input;
        let endpoint = Endpoint { port: None, path_and_query: "/onvif/device_service".into() };
        let document = Arc::new(Builder::new(&tables, input).finish().unwrap());
        let soap = AskKind::Soap { operation: time, document, endpoint: endpoint.clone() };
        let screen = Arc::new(Screen::new(&tables, AddressRules::default()));
        let picture = AskKind::Picture { endpoint: endpoint.clone() };
        let (endpoint_of, unknown) = (endpoint.clone(), UnknownCodecs::Refused);
        let describe = AskKind::Describe { endpoint: endpoint_of, screen, talk: false, unknown };
        let play = AskKind::Play { endpoint: endpoint.clone() };
        let replay = AskKind::Replay {
            endpoint: endpoint.clone(),
            playback: Playback::default(),
            wanted: vec![0],
            cseq: 1,
        };
        let pause = AskKind::Pause { endpoint: endpoint.clone() };
        let talk = AskKind::Talk { endpoint: endpoint.clone(), wanted: vec![0] };
        use RtspMethod::{Describe, Pause, Play, Replay, Talk};
        let asks = [(Describe, &describe), (Play, &play), (Replay, &replay), (Talk, &talk), (Pause, &pause)];
        for (method, ask) in asks {
            for other in RtspMethod::ALL {
                assert_eq!(is_for(&Operation::Rtsp(other), ask), method == other, "{method:?} {other:?}");
            }
        }
        let onvif = |id| Operation::Onvif { id, name: "any".into() };
        let snapshot = Operation::Http(HttpTransfer::Snapshot);
        assert!(is_for(&onvif(time), &soap));
        assert!(is_for(&snapshot, &picture));
        let endpoint = Endpoint { port: None, path_and_query: "/backup".into() };
        let file = AskKind::Download { named_by: reboot, endpoint, sink: Sink::new(1, 1).0 };
        assert!(is_for(&onvif(reboot), &file));
        assert!(!is_for(&onvif(time), &file) && !is_for(&snapshot, &file));
        assert!(!is_for(&onvif(reboot), &soap), "another operation's");
        assert!(!is_for(&onvif(time), &picture));
        assert!(!is_for(&snapshot, &soap));
        for other in
            [Operation::Unknown("{urn:x}y".into()), Operation::Rtsp(RtspMethod::Play), Operation::Notify]
        {
            assert!(!is_for(&other, &soap) && !is_for(&other, &picture), "{other}");
        }
    }
}
