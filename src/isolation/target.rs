//! Who sent what was dropped, and whither it was to go.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{records::Flow, wire::ClaimKind};
use crate::inventory::MacAddress;

/// Who sent it, as the packet says: cameras can lie about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// An IP address.
    Address(IpAddr),
    /// A hardware address, of frames without an IP address.
    Hardware(MacAddress),
}

/// What it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// An IP address.
    Address {
        /// The address.
        to: IpAddr,
        /// The protocol's number, of IPv4 or the last IPv6 header.
        protocol: u8,
        /// The port, or 0.
        port: u16,
    },
    /// The gateway itself, or all who share the link with it (the broadcast address of a network of the zone).
    Here {
        /// The address.
        to: IpAddr,
        /// The protocol's number.
        protocol: u8,
        /// The port, or 0.
        port: u16,
    },
    /// All on the link, or one of them, from whoever tells them by which router or address to go on.
    Directs(Directions, IpAddr),
    /// A frame of this kind (EtherType).
    Frame(u16),
    /// No target: the address of an enrolled camera is claimed so; none for one that is not told.
    Claim(ClaimKind, Option<IpAddr>),
    /// Nobody knows: a packet of an enrolled camera for whose destination the kernel had no place, or that was no whole
    /// packet.
    Untold,
}

impl Target {
    /// Whether it leads beyond the link on which it was sent: what every device says to its neighbours (discovery,
    /// group membership, requests for an address) and to its router, the gateway, does not; tagged frames do.
    pub fn leads_out(&self) -> bool {
        match self {
            Self::Address { to: IpAddr::V4(to), .. } => {
                !(to.is_multicast() || to.is_broadcast() || to.is_link_local() || to.is_unspecified())
            }
            Self::Address { to: IpAddr::V6(to), .. } => {
                !(to.is_multicast() || to.is_unicast_link_local() || to.is_unspecified())
            }
            Self::Frame(kind) => matches!(kind, 0x8100 | 0x88a8),
            Self::Here { .. } | Self::Directs(..) | Self::Claim(..) => false,
            // It may.
            Self::Untold => true,
        }
    }
}

/// How somebody tells others by which router or address to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Directions {
    /// By advertising a router (RFC 4861 §4.2).
    Router,
    /// By answers of DHCP, or of DHCP for IPv6: only servers send to the port of clients.
    Dhcp,
}

impl fmt::Display for Directions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Router => "router advertisement",
            Self::Dhcp => "DHCP answer",
        })
    }
}

const UDP: u8 = 17;
const ICMP6: u8 = 58;
/// The type of the message, which the rules count by in place of a port.
pub(super) const ROUTER_ADVERTISEMENT: u16 = 134;
const DHCP_CLIENT: u16 = 68;
const DHCP6_CLIENT: u16 = 546;

/// What in a zone is the gateway, and what leads to its neighbours alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Here(BTreeSet<IpAddr>);

impl Here {
    /// Of the gateway's own addresses in the zone, each with its network, and the zone's other networks.
    pub fn of(own: &[IpNet], networks: &[IpNet]) -> Self {
        let mut here: BTreeSet<IpAddr> = own.iter().map(IpNet::addr).collect();
        // One or two addresses have no broadcast address (RFC 3021), and IPv6 has none.
        let wide = own.iter().chain(networks).filter(|it| it.addr().is_ipv4() && it.prefix_len() < 31);
        here.extend(wide.map(IpNet::broadcast));
        Self(here)
    }

    pub(super) fn target(&self, to: IpAddr, protocol: u8, port: u16) -> Target {
        let (address, is_here) = (Target::Address { to, protocol, port }, self.0.contains(&to));
        match (protocol, port) {
            // Whoever wants out can send to any port, and is no neighbour who directs others thereby.
            _ if address.leads_out() && !is_here => address,
            (ICMP6, ROUTER_ADVERTISEMENT) => Target::Directs(Directions::Router, to),
            (UDP, DHCP_CLIENT | DHCP6_CLIENT) => Target::Directs(Directions::Dhcp, to),
            _ if is_here => Target::Here { to, protocol, port },
            _ => address,
        }
    }
}

/// As it is put on record.
pub(super) fn flow(target: Target, packets: u64, first: bool) -> Flow {
    let (to, protocol, port) = match target {
        Target::Address { to, protocol, port } | Target::Here { to, protocol, port } => {
            (to.to_string(), protocol_name(protocol), port)
        }
        Target::Directs(how, to) => (to.to_string(), how.to_string(), 0),
        Target::Frame(kind) => (format!("{kind:#06x}"), "ethernet".to_owned(), 0),
        Target::Claim(kind, claimed) => {
            let to = claimed.map_or_else(|| "an enrolled camera".to_owned(), |it| it.to_string());
            (to, format!("claim {kind}"), 0)
        }
        Target::Untold => ("somewhere that is not told apart".to_owned(), "any".to_owned(), 0),
    };
    Flow { to, protocol, port, packets, first, local: !target.leads_out() }
}

/// The usual protocols by name (IANA's assigned numbers), the others by number.
fn protocol_name(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        2 => "igmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        47 => "gre".to_owned(),
        50 => "esp".to_owned(),
        58 => "icmpv6".to_owned(),
        132 => "sctp".to_owned(),
        other => other.to_string(),
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Hardware(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flow { to, protocol, port, .. } = flow(*self, 0, false);
        match port {
            0 => write!(f, "{to} ({protocol})"),
            port => write!(f, "{to} port {port} ({protocol})"),
        }
    }
}
