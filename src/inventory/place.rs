//! Sites, zones and named networks.

use std::net::IpAddr;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// By a network namespace of its own.
    Namespace,
    /// Not at all, said explicitly: demo and tests.
    None,
}

impl Isolation {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::None => "none",
        }
    }
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
