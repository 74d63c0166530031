//! What is asked through the hatch, and what comes back.

use bytes::Bytes;

use super::Endpoint;
use crate::{
    gate::Pass,
    ids::{CameraId, RequestId},
    schema::{Deviations, Document, OperationId},
    soap::Fault,
};

/// One question to one camera: plain data, made from a pass and in no other way.
///
/// ```compile_fail,E0451
/// fn unasked(kind: cordon::hatch::AskKind, camera: cordon::ids::CameraId) -> cordon::hatch::Ask {
///     cordon::hatch::Ask { request: cordon::ids::RequestId::from_bits(0), camera, kind, idempotent: true }
/// }
/// ```
///
/// ```compile_fail,E0308
/// fn unrecorded(refused: &cordon::gate::Refusal, kind: cordon::hatch::AskKind) {
///     let _ = cordon::hatch::Ask::new(refused, kind);
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
        document: Document,
        /// The service's endpoint.
        endpoint: Endpoint,
    },
    /// A snapshot picture.
    Picture {
        /// Where it lies.
        endpoint: Endpoint,
    },
}

/// A pass that is for no camera cannot make an ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pass is for the gateway itself, not for a camera")]
pub struct NoCamera;

impl Ask {
    /// Makes the question that a pass permits. `idempotent` says that asking twice does no harm.
    pub fn new(pass: &Pass, kind: AskKind, idempotent: bool) -> Result<Self, NoCamera> {
        let grant = pass.grant();
        let camera = grant.camera.clone().ok_or(NoCamera)?;
        Ok(Self { request: grant.request, camera, kind, idempotent })
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

/// What a camera answered, as the outside understood it. Not verified yet.
#[derive(Debug)]
pub enum Reply {
    /// The operation's answer.
    Document(Document, Deviations),
    /// A fault of the camera's.
    Fault(Fault),
    /// A JPEG picture.
    Picture(Bytes),
}
