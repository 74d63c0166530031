//! Sites, zones and named networks.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::ids::{SiteId, ZoneId};

/// The name of the network that holds every address no configured network holds.
pub const OTHER_NETWORK: &str = "other";

/// A place that cameras look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its name.
    pub id: SiteId,
    /// Whether it counts as sensitive in the sense of the UK order of 24 November 2022.
    pub sensitive: bool,
}

/// How a zone is kept apart from the core network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// By a network namespace of its own, in which the gateway stands on this leg.
    Namespace(Leg),
    /// Not at all, said explicitly: demo and tests.
    None,
}

impl Isolation {
    /// The word of the configuration.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Namespace(_) => "namespace",
            Self::None => "none",
        }
    }
}

/// How the gateway stands in a zone that is a network namespace of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// What it is connected by.
    pub attachment: Attachment,
    /// The gateway's own addresses in the zone, with the network that is reached directly.
    pub addresses: Vec<IpNet>,
    /// Networks of the zone that lie behind a router.
    pub routes: Vec<Route>,
}

/// What connects the gateway to a zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attachment {
    /// A network interface that carries nothing else.
    Interface(String),
    /// One tag of a network interface that carries nothing but tagged frames.
    Vlan {
        /// The interface.
        parent: String,
        /// The tag (IEEE 802.1Q), from 1 to 4094.
        id: u16,
    },
}

impl Attachment {
    /// The name of the interface that is in the zone.
    pub fn interface(&self) -> String {
        match self {
            Self::Interface(name) => name.clone(),
            Self::Vlan { id, .. } => format!("zone.{id}"),
        }
    }

    /// The interface of the machine that carries it.
    pub fn carrier(&self) -> &str {
        match self {
            Self::Interface(name) => name,
            Self::Vlan { parent, .. } => parent,
        }
    }
}

/// A network of a zone that is reached through a router in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The network.
    pub to: IpNet,
    /// The router.
    pub via: IpAddr,
}

/// A network zone that holds cameras.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub id: ZoneId,
    /// How it is kept apart.
    pub isolation: Isolation,
    /// The addresses its cameras have.
    pub prefixes: Vec<IpNet>,
    /// Where the gateway takes events that cameras of the zone send, if it does.
    pub event_sink: Option<SocketAddr>,
    /// Networks of which each address is asked whether a camera is there.
    pub sweep: Vec<IpNet>,
}

impl Zone {
    /// Whether an address lies in the zone.
    pub fn contains(&self, address: IpAddr) -> bool {
        holds(&self.prefixes, address)
    }
}

/// A network with a name, for policies to speak about destinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// The addresses in it.
    pub prefixes: Vec<IpNet>,
}

impl Network {
    /// Whether an address lies in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        holds(&self.prefixes, address)
    }
}

/// An IPv4 address wrapped in IPv6 counts as the IPv4 address it is.
fn holds(prefixes: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    prefixes.iter().any(|prefix| prefix.contains(&address))
}
