//! What is there, as `ip -json` and `nft -j` tell it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use serde::Deserialize;

use super::ruleset::Ruleset;

/// A network interface (`ip -json address show`). What is not needed is not read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Link {
    /// Its name.
    pub ifname: String,
    /// Among them `UP`: switched on.
    #[serde(default)]
    pub flags: BTreeSet<String>,
    /// Its hardware address, if it has any.
    #[serde(default)]
    pub address: Option<String>,
    /// What it is made on, for a VLAN: its name, or a number if it is in another namespace.
    #[serde(default)]
    pub link: Option<String>,
    /// The bridge or bond it is part of.
    #[serde(default)]
    pub master: Option<String>,
    /// What kind it is (`ip -details`), for all but hardware.
    #[serde(default)]
    pub linkinfo: Option<LinkInfo>,
    /// Its addresses.
    #[serde(default)]
    pub addr_info: Vec<AddressInfo>,
}

/// What kind of interface it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LinkInfo {
    /// `vlan`, `veth`, `bridge` …
    #[serde(default)]
    pub info_kind: Option<String>,
    /// For a VLAN.
    #[serde(default)]
    pub info_data: Option<LinkData>,
}

/// What a VLAN is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LinkData {
    /// The tag.
    #[serde(default)]
    pub id: Option<u16>,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AddressInfo {
    /// The address.
    pub local: IpAddr,
    /// The length of its network.
    pub prefixlen: u8,
}

impl Link {
    /// Whether it is switched on.
    pub fn is_up(&self) -> bool {
        self.flags.contains("UP")
    }

    /// Its addresses with their networks.
    pub fn addresses(&self) -> Vec<IpNet> {
        self.addr_info.iter().filter_map(|it| IpNet::new(it.local, it.prefixlen).ok()).collect()
    }

    /// Whether it is the loopback interface.
    pub fn is_loopback(&self) -> bool {
        self.flags.contains("LOOPBACK")
    }

    /// The kind that is no hardware.
    pub fn kind(&self) -> Option<&str> {
        self.linkinfo.as_ref()?.info_kind.as_deref()
    }
}

/// A route of the main table (`ip -json route show`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FoundRoute {
    /// The network, or `default`.
    pub dst: String,
    /// The router, if there is one.
    #[serde(default)]
    pub gateway: Option<String>,
    /// The interface.
    #[serde(default)]
    pub dev: Option<String>,
}

/// A rule that names a table of routes (`ip -json rule show`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RoutingRule {
    /// Its place in the order.
    pub priority: u32,
    /// The table.
    #[serde(default)]
    pub table: Option<String>,
}

/// Somebody in the zone (`ip -json neighbour show`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FoundNeighbour {
    /// The address.
    pub dst: IpAddr,
    /// The hardware address, once it is known.
    #[serde(default)]
    pub lladdr: Option<String>,
    /// How sure that is.
    #[serde(default)]
    pub state: Vec<String>,
}

/// One namespace.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FoundZone {
    /// Its interfaces.
    pub links: Vec<Link>,
    /// Its routes of both families.
    pub routes: Vec<FoundRoute>,
    /// Its routing rules of both families.
    pub rules: Vec<RoutingRule>,
    /// The settings that were asked for, as far as the kernel has them.
    pub settings: BTreeMap<String, String>,
    /// Its permanent neighbours.
    pub neighbours: Vec<FoundNeighbour>,
    /// Its rules; none if they could not be listed in a form that can be compared.
    pub ruleset: Option<Ruleset>,
}

impl FoundZone {
    /// An interface.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|it| it.ifname == name)
    }
}

/// The machine as far as one zone is concerned.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// The namespace of the core side, which is that of whoever looks.
    pub home: FoundZone,
    /// The zone's namespace, if there is one.
    pub zone: Option<FoundZone>,
    /// The namespace of its trunk, if there is one.
    pub trunk: Option<FoundZone>,
}

/// Reads what a tool says as JSON. Some say nothing for an empty list.
pub(super) fn read<T: for<'de> Deserialize<'de>>(answer: &[u8]) -> Result<Vec<T>, serde_json::Error> {
    if answer.trim_ascii().is_empty() { Ok(Vec::new()) } else { serde_json::from_slice(answer) }
}
