//! The administrative listener: health, readiness, alarms, metrics and cameras, on loopback or a unix socket.

mod cameras;
mod candidates;

use std::{rc::Rc, sync::Arc};

use ::http::{Method, StatusCode};
use bytes::Bytes;
use serde_json::json;

pub use cameras::{
    Answering, CameraRow, CameraView, EventsView, ExceptionView, FindingView, Fleet, Held, IdentityView,
    QuirkView,
};
pub use candidates::{CandidateRow, KnownAs};

use crate::{
    alarm::Active,
    gate,
    listener::http::{Reply, Request, Service},
    telemetry,
};

/// How the gateway is, asked anew for each answer.
pub trait Readiness: Send + Sync {
    /// Every part that decides whether it is fit to serve, with its state, the worst first.
    fn parts(&self) -> Vec<Part>;
    /// The active alarms, and how many were left out because there are too many.
    fn alarms(&self) -> (Vec<Active>, u64);
    /// All metrics, as OpenMetrics text.
    fn metrics(&self) -> String;
}

/// One part that must be well for the gateway to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is: `audit log`, `zone lobby`, `camera gate-1`.
    pub name: String,
    /// Whether new commands are served while it is as it is.
    pub ready: bool,
    /// What is the matter, and what to do; or a remark.
    pub note: String,
}

/// Answers `GET /health` (the process lives), `GET /ready` (it serves; status 503 if not, with reasons), `GET /alarms`
/// (what is the matter), `GET /metrics` (OpenMetrics), `GET /cameras`, `GET /cameras/NAME`,
/// `GET /cameras/NAME/snapshot` (its latest picture, for clients that log in and may have it) and `GET /candidates`
/// (cameras that were found).
pub struct Admin {
    readiness: Arc<dyn Readiness>,
    fleet: Arc<dyn Fleet>,
}

impl Admin {
    /// Answers from what the parts and the cameras say.
    pub fn new(readiness: Arc<dyn Readiness>, fleet: Arc<dyn Fleet>) -> Self {
        Self { readiness, fleet }
    }

    fn camera(&self, name: &str) -> Reply {
        match self.fleet.show(name) {
            Some(view) => as_json(&json!(view)),
            None => Reply::plain(StatusCode::NOT_FOUND, "no camera of that name is configured\n"),
        }
    }

    /// The privileged process is asked, which may take its time: nothing else waits for it.
    async fn candidates(&self) -> Reply {
        let fleet = Arc::clone(&self.fleet);
        match tokio::task::spawn_blocking(move || fleet.candidates()).await {
            Ok(found) => as_json(&json!(found)),
            Err(_) => Reply::plain(StatusCode::INTERNAL_SERVER_ERROR, "the list could not be made\n"),
        }
    }

    fn ready(&self) -> Reply {
        let parts = self.readiness.parts();
        let ready = parts.iter().all(|part| part.ready);
        let parts: Vec<_> = parts
            .iter()
            .map(|part| json!({ "part": part.name, "ready": part.ready, "note": part.note }))
            .collect();
        let mut reply = as_json(&json!({ "ready": ready, "parts": parts }));
        if !ready {
            reply.status = StatusCode::SERVICE_UNAVAILABLE;
        }
        reply
    }

    fn alarms(&self) -> Reply {
        let (active, left_out) = self.readiness.alarms();
        let active: Vec<_> = active.iter().map(gate::detail).collect();
        as_json(&json!({ "active": active, "left_out": left_out }))
    }
}

impl Service for Admin {
    async fn answer(self: Rc<Self>, request: Request) -> Reply {
        if let (&Method::GET, Some(name)) = (&request.method, pictured(request.path())) {
            let (fleet, name) = (Arc::clone(&self.fleet), name.to_owned());
            return fleet.picture(&name, request).await;
        }
        match (&request.method, request.path()) {
            (&Method::GET, "/health") => {
                as_json(&json!({ "alive": true, "version": env!("CARGO_PKG_VERSION") }))
            }
            (&Method::GET, "/ready") => self.ready(),
            (&Method::GET, "/alarms") => self.alarms(),
            (&Method::GET, "/metrics") => {
                Reply::content(telemetry::CONTENT_TYPE, Bytes::from(self.readiness.metrics()))
            }
            (&Method::GET, "/cameras") => as_json(&json!(self.fleet.list())),
            (&Method::GET, "/candidates") => self.candidates().await,
            (&Method::GET, path) if path.starts_with(CAMERA) => self.camera(path.trim_start_matches(CAMERA)),
            (_, "/health" | "/ready" | "/alarms" | "/metrics" | "/cameras" | "/candidates") => {
                Reply::plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n")
            }
            _ => Reply::plain(
                StatusCode::NOT_FOUND,
                "try /health, /ready, /alarms, /metrics, /cameras or /candidates\n",
            ),
        }
    }
}

/// What the path of one camera begins with.
const CAMERA: &str = "/cameras/";

/// The camera whose picture is at a path.
fn pictured(path: &str) -> Option<&str> {
    path.strip_prefix(CAMERA)?.strip_suffix("/snapshot")
}

fn as_json(value: &serde_json::Value) -> Reply {
    Reply::content("application/json", Bytes::from(format!("{value}\n")))
}
