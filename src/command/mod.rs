//! The protocol-neutral command: what policy judges, what the audit log records, what a pass is for.

use std::{fmt, net::IpAddr, sync::Arc};

use crate::{
    ids::{CameraId, RequestId},
    schema::{AccessClass, OperationId, Traits},
};

/// What somebody wants done to one camera, or to the gateway itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The request it came with.
    pub request: RequestId,
    /// The camera it is for; none for administration of the gateway.
    pub camera: Option<CameraId>,
    /// What is to be done.
    pub operation: Operation,
    /// The access class it is judged by.
    pub class: AccessClass,
    /// The traits that hold for this very command.
    pub traits: Traits,
    /// Every place the camera would send to, fetch from or listen on because of it. At most
    /// `COMMAND_DESTINATIONS_MAX`.
    pub destinations: Vec<Destination>,
    /// Its arguments as a JSON value, secrets masked, cut at `AUDIT_ARGUMENTS_BYTES_MAX`.
    pub arguments: serde_json::Value,
}

/// Everything that can be done, by front door.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A SOAP operation of the catalogue.
    Onvif {
        /// Its row.
        id: OperationId,
        /// As people write it: `tds:SetNTP`.
        name: Arc<str>,
    },
    /// A SOAP operation nobody declared, as `{namespace}local`, cut at 256 bytes. Always denied.
    Unknown(Arc<str>),
    /// An RTSP method on a stream.
    Rtsp(RtspMethod),
    /// A transfer over plain HTTP.
    Http(HttpTransfer),
    /// A change to the gateway itself.
    Admin(AdminAction),
    /// A notification that a camera sends.
    Notify,
}

/// What a client may do with a stream by RTSP (RFC 2326 §10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of RFC 2326")]
pub enum RtspMethod {
    Describe,
    Setup,
    Play,
    /// PLAY of a recording.
    Replay,
    /// PLAY with a back channel: to be heard at the camera.
    Talk,
    Pause,
    Teardown,
}

impl RtspMethod {
    /// Everything that a client may do.
    pub const ALL: [Self; 7] =
        [Self::Describe, Self::Setup, Self::Play, Self::Replay, Self::Talk, Self::Pause, Self::Teardown];

    /// The access class it is judged by. Whoever talks does something at the camera.
    pub fn class(self) -> AccessClass {
        if self == Self::Talk { AccessClass::Actuate } else { AccessClass::ReadMedia }
    }
}

/// Transfers over plain HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HttpTransfer {
    /// GET of a snapshot picture.
    Snapshot,
}

/// Changes to the gateway itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdminAction {
    /// The gateway starts to serve a configuration.
    Start,
    /// The gateway stops.
    Stop,
    /// The gateway takes up what its files say now.
    Reload,
    /// A configuration that was taken up on trial is kept.
    Keep,
    /// The gateway goes back to the configuration before the one on trial.
    RollBack,
    /// The device that is in a camera's place is taken for the right one.
    AcceptCamera,
    /// Another device is announced in a camera's place.
    ExpectChange,
    /// What a camera has been set to is approved.
    ApproveBaseline,
    /// Something that leads out of a camera is taken away.
    SetBaseline,
    /// Cameras are looked for in a zone.
    Discover,
    /// A camera that was found is to be enrolled.
    EnrolCamera,
}

impl AdminAction {
    /// All actions.
    pub const ALL: [Self; 11] = [
        Self::Start,
        Self::Stop,
        Self::Reload,
        Self::Keep,
        Self::RollBack,
        Self::AcceptCamera,
        Self::ExpectChange,
        Self::ApproveBaseline,
        Self::SetBaseline,
        Self::Discover,
        Self::EnrolCamera,
    ];

    /// The name used in policies and records.
    fn name(self) -> &'static str {
        match self {
            Self::Start => "admin:Start",
            Self::Stop => "admin:Stop",
            Self::Reload => "admin:Reload",
            Self::Keep => "admin:Keep",
            Self::RollBack => "admin:RollBack",
            Self::AcceptCamera => "admin:AcceptCamera",
            Self::ExpectChange => "admin:ExpectChange",
            Self::ApproveBaseline => "admin:ApproveBaseline",
            Self::SetBaseline => "admin:SetBaseline",
            Self::Discover => "admin:Discover",
            Self::EnrolCamera => "admin:EnrolCamera",
        }
    }
}

/// What on the gateway's own machine asks for a change to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Prompt {
    /// A command on the control socket.
    Control,
    /// A signal.
    Signal,
    /// A file of the configuration that has changed.
    Files,
    /// A trial that nobody ended in time.
    Trial,
}

impl Prompt {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Control, Self::Signal, Self::Files, Self::Trial];

    /// The word used in policies and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Signal => "signal",
            Self::Files => "files",
            Self::Trial => "trial",
        }
    }
}

/// Why the gateway itself asks a camera for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// To learn how far its clock is off.
    ClockProbe,
    /// To learn who it is.
    Identity,
    /// To find a locator again that was lost, or where it has its latest picture.
    LocatorRecovery,
    /// To have a stream that clients watch.
    Stream,
    /// To learn what it has been set to.
    Baseline,
    /// To take away, at somebody's word, what it came with that leads out.
    Settings,
    /// To have its events, for all who want them.
    Events,
    /// To find cameras in zones.
    Discovery,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::ClockProbe,
        Self::Identity,
        Self::LocatorRecovery,
        Self::Stream,
        Self::Baseline,
        Self::Settings,
        Self::Events,
        Self::Discovery,
    ];

    /// The word used in policies and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClockProbe => "clock-probe",
            Self::Identity => "identity",
            Self::LocatorRecovery => "locator-recovery",
            Self::Stream => "stream",
            Self::Baseline => "baseline",
            Self::Settings => "settings",
            Self::Events => "events",
            Self::Discovery => "discovery",
        }
    }
}

impl Operation {
    /// The name used in policies and records: `tds:SetNTP`, `rtsp:PLAY`, `http:Snapshot`, `admin:Start`,
    /// `unknown:{namespace}local`.
    pub fn name(&self) -> Arc<str> {
        match self {
            Self::Onvif { name, .. } => Arc::clone(name),
            Self::Unknown(name) => format!("unknown:{name}").into(),
            Self::Rtsp(RtspMethod::Describe) => "rtsp:DESCRIBE".into(),
            Self::Rtsp(RtspMethod::Setup) => "rtsp:SETUP".into(),
            Self::Rtsp(RtspMethod::Play) => "rtsp:PLAY".into(),
            Self::Rtsp(RtspMethod::Talk) => "rtsp:TALK".into(),
            Self::Rtsp(RtspMethod::Replay) => "rtsp:REPLAY".into(),
            Self::Rtsp(RtspMethod::Pause) => "rtsp:PAUSE".into(),
            Self::Rtsp(RtspMethod::Teardown) => "rtsp:TEARDOWN".into(),
            Self::Http(HttpTransfer::Snapshot) => "http:Snapshot".into(),
            Self::Admin(action) => action.name().into(),
            Self::Notify => "notify:Notify".into(),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// A place a command would make the camera send to, fetch from or listen on, or the gateway send events to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// What kind of text it was found as.
    pub kind: DestinationKind,
    /// The host or address, lower case, without port; the whole text for kind `text`.
    pub host: String,
    /// The address, where the host is a literal.
    pub address: Option<IpAddr>,
    /// The port, where one was given.
    pub port: Option<u16>,
}

/// How a destination was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DestinationKind {
    /// A value of an address type at a node that gives the camera a destination.
    Declared,
    /// A listener of the camera's own.
    Listener,
    /// Text elsewhere that parses as a URI or address literal.
    Text,
    /// Somebody the gateway itself sends events to. The camera hears nothing of it.
    Consumer,
}

impl DestinationKind {
    /// The word used in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Listener => "listener",
            Self::Text => "text",
            Self::Consumer => "consumer",
        }
    }
}
