//! The administrative listener: health and readiness, on loopback or a unix socket.

use std::{rc::Rc, sync::Arc};

use ::http::{Method, StatusCode};
use bytes::Bytes;
use serde_json::json;

use crate::listener::http::{Reply, Request, Service};

/// What decides whether the gateway is fit to serve, asked anew for each answer.
pub trait Readiness: Send + Sync {
    /// Every part with its state, the worst first.
    fn parts(&self) -> Vec<Part>;
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

/// Answers `GET /health` (the process lives) and `GET /ready` (it serves; status 503 if not, with reasons).
pub struct Admin {
    readiness: Arc<dyn Readiness>,
}

impl Admin {
    /// Answers from what the parts say.
    pub fn new(readiness: Arc<dyn Readiness>) -> Self {
        Self { readiness }
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
}

impl Service for Admin {
    async fn answer(self: Rc<Self>, request: Request) -> Reply {
        match (&request.method, request.path()) {
            (&Method::GET, "/health") => {
                as_json(&json!({ "alive": true, "version": env!("CARGO_PKG_VERSION") }))
            }
            (&Method::GET, "/ready") => self.ready(),
            (_, "/health" | "/ready") => Reply::plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n"),
            _ => Reply::plain(StatusCode::NOT_FOUND, "try /health or /ready\n"),
        }
    }
}

fn as_json(value: &serde_json::Value) -> Reply {
    Reply::content("application/json", Bytes::from(format!("{value}\n")))
}
