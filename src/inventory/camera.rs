//! One enrolled camera.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use super::{MacAddress, QuirkOrder, Replacement, SiteException, StreamWays, VendorVerdict};
use crate::{
    auth::KnownCertificate,
    ids::{CameraId, SiteId, ZoneId},
};

/// Where a camera is dialled: an enrolled IP literal, never a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CameraAddress {
    /// The camera's IP address.
    pub host: IpAddr,
    /// Its HTTP port.
    pub port: u16,
}

impl CameraAddress {
    /// The address as sockets want it.
    pub fn socket(self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}

impl fmt::Display for CameraAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket().fmt(f)
    }
}

/// Which hardware address the virtual camera shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MacPolicy {
    /// A stable, locally administered one of the gateway's own.
    #[default]
    Virtual,
    /// The camera's.
    Camera,
}

/// How the gateway has a camera's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventsWay {
    /// It asks for them; where the camera has no pull points and may send, it sends.
    #[default]
    Pull,
    /// The camera sends them.
    Push,
    /// Not at all: some firmware does not survive it.
    Off,
}

/// A door of a virtual camera where clients come in over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecureDoor {
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// `host:port` of the HTTPS addresses as clients see them.
    pub advertise: String,
}

/// One camera and the virtual camera that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// Its name.
    pub id: CameraId,
    /// Where it is dialled.
    pub address: CameraAddress,
    /// Its hardware address, where its owner says so; else the one is taken that it has when it is known first.
    pub hardware: Option<MacAddress>,
    /// Set where it is reached over TLS, and only so: the certificates it may show; none for the one that is
    /// pinned when it is seen first.
    pub certificates: Option<Vec<KnownCertificate>>,
    /// Path of its device service, beginning with `/`.
    pub device_path: String,
    /// The network zone it hangs in.
    pub zone: ZoneId,
    /// The place it looks at.
    pub site: SiteId,
    /// What is known about its maker.
    pub vendor: VendorVerdict,
    /// Where the gateway listens on its behalf.
    pub listen: SocketAddr,
    /// The path below which it is served where it shares listeners with others: `/gate`; else empty.
    pub mount: String,
    /// `host:port` of its HTTP addresses as clients see them.
    pub advertise: String,
    /// Where the gateway listens on its behalf over TLS, if it does.
    pub secure: Option<SecureDoor>,
    /// `host:port` of its stream addresses as clients see them.
    pub advertise_rtsp: String,
    /// The same over TLS, if streams are had so.
    pub advertise_rtsps: Option<String>,
    /// Which hardware address clients see.
    pub mac: MacPolicy,
    /// The maker's name shown to clients, if not the camera's own answer.
    pub manufacturer: Option<String>,
    /// The model shown to clients, if not the camera's own answer.
    pub model: Option<String>,
    /// What the owner says about its quirks.
    pub quirks: Vec<QuirkOrder>,
    /// How its events are had.
    pub events: EventsWay,
    /// How its streams are had.
    pub streams: StreamWays,
    /// How far its replacement is, if there is to be one.
    pub replacement: Option<Replacement>,
    /// On whose word it is served although it is restricted and its site is sensitive.
    pub exception: Option<SiteException>,
    /// Nobody is served by it until somebody has decided: another device may be in its place. Never so by
    /// configuration (see [`super::Regards`]).
    pub quarantined: bool,
}

impl Camera {
    /// Whether its streams are had over TLS, and in no other way.
    pub fn has_secure_streams(&self) -> bool {
        self.certificates.is_some() && !self.streams.plain
    }

    /// Every address the gateway listens at on its behalf.
    pub fn doors(&self) -> impl Iterator<Item = SocketAddr> {
        [Some(self.listen), self.secure.as_ref().map(|it| it.listen)].into_iter().flatten()
    }
}
