//! The administrative listener: health, readiness, alarms and metrics, on loopback or a unix socket.

use std::{rc::Rc, sync::Arc};

use ::http::{Method, StatusCode};
use bytes::Bytes;
use serde_json::json;

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
/// (what is the matter) and `GET /metrics` (OpenMetrics).
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

    fn alarms(&self) -> Reply {
        let (active, left_out) = self.readiness.alarms();
        let active: Vec<_> = active.iter().map(gate::detail).collect();
        as_json(&json!({ "active": active, "left_out": left_out }))
    }
}

impl Service for Admin {
    async fn answer(self: Rc<Self>, request: Request) -> Reply {
        match (&request.method, request.path()) {
            (&Method::GET, "/health") => {
                as_json(&json!({ "alive": true, "version": env!("CARGO_PKG_VERSION") }))
            }
            (&Method::GET, "/ready") => self.ready(),
            (&Method::GET, "/alarms") => self.alarms(),
            (&Method::GET, "/metrics") => {
                Reply::content(telemetry::CONTENT_TYPE, Bytes::from(self.readiness.metrics()))
            }
            (_, "/health" | "/ready" | "/alarms" | "/metrics") => {
                Reply::plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n")
            }
            _ => Reply::plain(StatusCode::NOT_FOUND, "try /health, /ready, /alarms or /metrics\n"),
        }
    }
}

fn as_json(value: &serde_json::Value) -> Reply {
    Reply::content("application/json", Bytes::from(format!("{value}\n")))
}
