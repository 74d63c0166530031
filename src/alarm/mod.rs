//! Alarms: what an operator should hear of, and which of it is the case now.
//!
//! The [`CATALOGUE`] names every alarm there is, how bad it is and what to do. A [`Board`] knows which are active,
//! each about a [`Subject`]. It does no I/O: whoever holds it passes its changes on (`gate::Alarms`).

mod board;
mod catalogue;

pub use self::{
    board::{Active, Board, Change},
    catalogue::{Alarm, CATALOGUE, Entry, Severity, Spell, markdown},
};

use crate::ids::{CameraId, ClientId, ZoneId};

/// The event that puts on record that an alarm was raised.
pub const RAISED: &str = "alarm-raised";
/// The event that puts on record that it is over.
pub const CLEARED: &str = "alarm-cleared";

/// What an alarm is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The gateway as a whole.
    Gateway,
    /// The audit log and its disk.
    AuditLog,
    /// The gateway's certificate.
    Certificate,
    /// One camera.
    Camera(CameraId),
    /// One zone.
    Zone(ZoneId),
    /// One client.
    Client(ClientId),
    /// A device that is enrolled nowhere, by an address: in this zone, or on the core side.
    Device(String, Option<ZoneId>),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gateway => f.write_str("gateway"),
            Self::AuditLog => f.write_str("audit log"),
            Self::Certificate => f.write_str("certificate"),
            Self::Camera(id) => write!(f, "camera {id}"),
            Self::Zone(id) => write!(f, "zone {id}"),
            Self::Client(id) => write!(f, "client {id}"),
            Self::Device(address, Some(zone)) => write!(f, "device {address} in zone {zone}"),
            Self::Device(address, None) => write!(f, "device {address} on the core side"),
        }
    }
}
