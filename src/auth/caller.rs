//! Clients as configured, and callers as recognised.

use std::{fmt, net::SocketAddr};

use ipnet::IpNet;

use super::{KnownCertificate, Secret};
use crate::{
    command::{Prompt, Reason},
    ids::{CameraId, ClientId},
};

/// An ONVIF user level (Core §5.9.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// May only watch.
    User,
    /// May also move and adjust.
    Operator,
    /// May do what policy leaves to anybody.
    Administrator,
}

impl Role {
    /// All levels, the least first.
    pub const ALL: [Self; 3] = [Self::User, Self::Operator, Self::Administrator];

    /// The name as ONVIF writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Operator => "Operator",
            Self::Administrator => "Administrator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The cameras a client may address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CameraScope {
    /// Every camera.
    All,
    /// These and no other.
    Only(Vec<CameraId>),
}

impl CameraScope {
    /// Whether the client may address this camera.
    pub fn contains(&self, camera: &CameraId) -> bool {
        match self {
            Self::All => true,
            Self::Only(cameras) => cameras.contains(camera),
        }
    }
}

/// A client system, person or script, as configured. Its user name is its id.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientRecord {
    /// Its name, and the user name it logs in with.
    pub id: ClientId,
    /// Its ONVIF user level.
    pub role: Role,
    /// What it proves itself with; none for a client that has certificates only.
    pub password: Option<Secret>,
    /// What else it proves itself with, over TLS.
    pub certificates: Vec<KnownCertificate>,
    /// Where it may call from; empty means nowhere.
    pub networks: Vec<IpNet>,
    /// Which cameras it may address.
    pub cameras: CameraScope,
}

/// How a client proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// WS-Security UsernameToken with a password digest.
    Wsse,
    /// HTTP digest with MD5.
    DigestMd5,
    /// HTTP digest with SHA-256.
    DigestSha256,
    /// A certificate of its own, over TLS.
    Certificate,
    /// WS-Security UsernameToken with the password in clear, over TLS.
    PasswordText,
    /// HTTP Basic, over TLS.
    Basic,
}

impl Method {
    /// All ways.
    pub const ALL: [Self; 6] =
        [Self::Wsse, Self::DigestMd5, Self::DigestSha256, Self::Certificate, Self::PasswordText, Self::Basic];

    /// The name that stands in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wsse => "wsse",
            Self::DigestMd5 => "digest-md5",
            Self::DigestSha256 => "digest-sha256",
            Self::Certificate => "certificate",
            Self::PasswordText => "wsse-text",
            Self::Basic => "basic",
        }
    }
}

/// Who asks for a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A configured client that proved itself.
    Client {
        /// Which one.
        id: ClientId,
        /// Its user level.
        role: Role,
        /// Where it calls from.
        source: SocketAddr,
        /// How it proved itself.
        method: Method,
        /// Whether the connection is encrypted.
        tls: bool,
    },
    /// Somebody who showed no credentials.
    Anonymous {
        /// Where it calls from.
        source: SocketAddr,
        /// Whether the connection is encrypted.
        tls: bool,
    },
    /// The gateway on its own account.
    Gateway(Reason),
    /// Whoever has the gateway's machine in hand.
    Local {
        /// How it asks.
        by: Prompt,
        /// The user (POSIX) it runs as, where that is known.
        uid: Option<u32>,
    },
}

impl Caller {
    /// Where the call came from; calls of the gateway and its machine come from nowhere.
    pub fn source(&self) -> Option<SocketAddr> {
        match self {
            Self::Client { source, .. } | Self::Anonymous { source, .. } => Some(*source),
            Self::Gateway(_) | Self::Local { .. } => None,
        }
    }

    /// Whether the call came over TLS.
    pub fn tls(&self) -> bool {
        match self {
            Self::Client { tls, .. } | Self::Anonymous { tls, .. } => *tls,
            Self::Gateway(_) | Self::Local { .. } => false,
        }
    }

    /// The client's name, where there is one.
    pub fn client(&self) -> Option<&ClientId> {
        match self {
            Self::Client { id, .. } => Some(id),
            Self::Anonymous { .. } | Self::Gateway(_) | Self::Local { .. } => None,
        }
    }
}

/// A client of this name, an Operator, for tests.
#[cfg(test)]
pub(crate) fn client(name: &str) -> Caller {
    Caller::Client {
        id: ClientId::new(name).unwrap(),
        role: Role::Operator,
        source: SocketAddr::from(([192, 0, 2, 1], 9)),
        method: Method::Wsse,
        tls: false,
    }
}
