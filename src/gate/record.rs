//! How commands become records.

use std::{net::SocketAddr, time::Duration};

use jiff::Timestamp;

use super::recall::placed;
use crate::{
    audit::{Decision as Recorded, Deviation, Intent, Kind, Series as Repeated, Who},
    auth::Caller,
    command::Command,
    ids::{CameraId, RequestId},
    inventory::Camera,
    policy::Decision,
};

/// A request that never became a command.
#[derive(Debug)]
pub struct Rejected<'a> {
    /// The request.
    pub request: RequestId,
    /// Where it came from.
    pub source: SocketAddr,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Who sent it, if that was proven before it was rejected.
    pub caller: Option<&'a Caller>,
    /// The name it claimed, unproven; cut and cleaned here.
    pub claimed: Option<&'a str>,
    /// The fingerprint of the credentials that proved it.
    pub nonce: Option<String>,
    /// The camera whose door it knocked at.
    pub camera: &'a CameraId,
    /// What it asked for, as far as that was understood.
    pub operation: &'a str,
    /// What the peer was told.
    pub fault: &'a str,
    /// Why, for whoever reads the log.
    pub reason: String,
}

/// Whether an exchange did what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposal {
    /// The peer was answered, be it with a fault of the camera's.
    Answered,
    /// The gateway had to give up.
    Failed,
}

/// How an exchange ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Whether it was answered.
    pub disposal: Disposal,
    /// HTTP status towards the peer.
    pub status: Option<u16>,
    /// The fault towards the peer, as `Sender/ter:NotAuthorized`.
    pub fault: Option<String>,
    /// Where the camera left the schema.
    pub deviations: Vec<Deviation>,
    /// Bytes of the body towards the peer.
    pub bytes: u64,
    /// What else a reader of the log should know: who answered, why it failed.
    pub note: Option<String>,
}

/// A series of the same question that one pass permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    /// How far apart the questions are.
    pub every: Duration,
    /// How many there are at most.
    pub times_max: u32,
    /// None is asked from then on.
    pub until: Timestamp,
}

impl Series {
    pub(super) fn recorded(self) -> Repeated {
        let Self { every, times_max, until } = self;
        Repeated { every_seconds: every.as_secs(), times_max, until: format!("{until:.0}") }
    }
}

pub(super) fn intent(
    command: &Command,
    caller: &Caller,
    camera: Option<&Camera>,
    decision: &Decision,
    nonce: Option<String>,
) -> Intent {
    Intent {
        request: command.request.to_string(),
        who: who(caller),
        source: caller.source().map(|source| source.to_string()),
        camera: command.camera.as_ref().map(ToString::to_string),
        vendor: camera.map(|it| it.vendor.name.clone()),
        vendor_class: camera.map(|it| it.vendor.class.as_str().to_owned()),
        operation: command.operation.to_string(),
        class: Some(command.class.as_str().to_owned()),
        traits: command.traits.iter().map(|it| it.as_str().to_owned()).collect(),
        destinations: command.destinations.iter().map(placed).collect(),
        arguments: command.arguments.clone(),
        decision: if decision.allow { Recorded::Permitted } else { Recorded::Denied },
        barred: None,
        policies: decision.policies.clone(),
        policy_version: decision.version.clone(),
        nonce,
        fault: None,
        emergency: None,
        series: None,
        note: decision.note.clone(),
    }
}

pub(super) fn rejection(rejected: &Rejected<'_>, camera: Option<&Camera>) -> Intent {
    Intent {
        request: rejected.request.to_string(),
        who: match rejected.caller {
            Some(caller) => who(caller),
            None => Who { name: claimed(rejected.claimed), tls: rejected.tls, ..Who::default() },
        },
        source: Some(rejected.source.to_string()),
        camera: Some(rejected.camera.to_string()),
        vendor: camera.map(|it| it.vendor.name.clone()),
        vendor_class: camera.map(|it| it.vendor.class.as_str().to_owned()),
        operation: rejected.operation.chars().take(CLAIMED_CHARS_MAX).collect(),
        fault: Some(rejected.fault.to_owned()),
        nonce: rejected.nonce.clone(),
        note: Some(rejected.reason.clone()),
        ..Intent::default()
    }
}

fn who(caller: &Caller) -> Who {
    match caller {
        Caller::Client { id, role, method, tls, .. } => Who {
            kind: Kind::Client,
            name: id.to_string(),
            role: Some(role.as_str().to_owned()),
            method: Some(method.as_str().to_owned()),
            tls: *tls,
        },
        Caller::Anonymous { tls, .. } => Who { tls: *tls, ..Who::default() },
        Caller::Gateway(reason) => {
            Who { kind: Kind::Gateway, name: reason.as_str().to_owned(), ..Who::default() }
        }
        Caller::Local { by, uid } => {
            let uid = uid.map_or_else(String::new, |uid| format!(", uid {uid}"));
            Who { kind: Kind::Local, name: format!("{}{uid}", by.as_str()), ..Who::default() }
        }
    }
}

/// A name nobody has proven: marked as such, so that it cannot be taken for a client's.
fn claimed(name: Option<&str>) -> String {
    let Some(name) = name else { return String::new() };
    let clean: String = name.chars().filter(|letter| !letter.is_control()).take(CLAIMED_CHARS_MAX).collect();
    format!("claims to be {clean:?}")
}

/// Characters kept of what an unproven caller says of itself.
const CLAIMED_CHARS_MAX: usize = 128;
