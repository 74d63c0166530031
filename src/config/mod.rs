//! TOML files become validated domain types.

mod absorb;
mod cameras;
mod clients;
mod diagnostic;
mod discovery;
mod exceptions;
mod heads;
mod legs;
mod load;
mod mqtt;
mod outline;
mod places;
mod quirks;
mod raw;
mod reader;
mod secret;
mod secure;
mod source;
mod streams;
mod vendors;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use ipnet::IpNet;
use jiff::civil::Date;

pub use diagnostic::{Diagnostic, Severity};
pub use load::{load, load_without_secrets, read};
pub use outline::{Outline, Spot, at};

use crate::{
    audit::Retention,
    auth::{ClientRecord, Login},
    events::BrokerLogin,
    gate::AbsorbRule,
    ids::CameraId,
    inventory::Inventory,
    listener::pem::PemFiles,
};

/// A configuration that can be served.
#[derive(Debug)]
pub struct Loaded {
    /// The gateway's name.
    pub name: String,
    /// Where state is kept.
    pub state_dir: PathBuf,
    /// Serving threads; `None` means one per core.
    pub threads: Option<usize>,
    /// Whether the gateway reloads of itself when its files change.
    pub watch: bool,
    /// Whether the serving process gives up files of others, held by the kernel.
    pub confine: bool,
    /// The address every virtual camera listens on.
    pub bind: IpAddr,
    /// The gateway's certificate and key towards clients, if it serves TLS.
    pub tls: Option<PemFiles>,
    /// Whether clients may show their password in clear, over TLS.
    pub clear_passwords: bool,
    /// The port of the stream locators.
    pub rtsp_port: u16,
    /// That of streams over TLS, if there is a certificate.
    pub rtsps_port: Option<u16>,
    /// Where virtual cameras are found by WS-Discovery, if they are.
    pub discovery: Option<Discovery>,
    /// Where the admin interface listens.
    pub admin: AdminListen,
    /// What may be deleted of the audit log.
    pub retention: Retention,
    /// Whether sealed segments of the audit log are compressed.
    pub audit_compress: bool,
    /// Where the audit log is kept.
    pub audit_dir: PathBuf,
    /// The file for what must be recorded while the audit log cannot be written.
    pub emergency_journal: PathBuf,
    /// Policies of the owner's; `None` means the shipped ones.
    pub policy_dir: Option<PathBuf>,
    /// The last day of observe mode; `None` means that it is off.
    pub observe_until: Option<Date>,
    /// The owner's folder of vendors; `None` means the shipped ones alone.
    pub vendors_dir: Option<PathBuf>,
    /// The privileged process, for who asks it and for itself.
    pub netd: Netd,
    /// Who may call.
    pub clients: Vec<ClientRecord>,
    /// Cameras and places.
    pub inventory: Arc<Inventory>,
    /// Which denied writes are told as successes.
    pub absorb: Vec<AbsorbRule>,
    /// What the gateway logs in to each camera with.
    pub logins: BTreeMap<CameraId, Login>,
    /// The broker that has the cameras' events.
    pub mqtt: Option<MqttBroker>,
    /// What somebody should know.
    pub warnings: Vec<Diagnostic>,
}

/// An MQTT broker on the core side.
#[derive(Debug, Clone, PartialEq)]
pub struct MqttBroker {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The file with the issuers of its certificate; without it, it is spoken to in clear.
    pub ca: Option<PathBuf>,
    /// What all topics begin with, before the camera's name.
    pub topic_prefix: String,
    /// Who the gateway is to it.
    pub login: BrokerLogin,
}

/// Where the admin interface listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminListen {
    /// On loopback.
    Tcp(SocketAddr),
    /// On a unix socket.
    Unix(PathBuf),
}

/// Where virtual cameras are found by WS-Discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// The gateway's addresses on the core side at which it answers, each with its network.
    pub addresses: Vec<IpNet>,
    /// The port.
    pub port: u16,
}

/// The privileged process that keeps zones apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netd {
    /// Where it listens.
    pub socket: PathBuf,
    /// Who may ask it, besides root; `None` means nobody else.
    pub user: Option<NetdUser>,
}

/// A user of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetdUser {
    /// By number.
    Id(u32),
    /// By name.
    Name(String),
}
