//! What is there, as `ip -json` and `nft -j` tell it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use serde::Deserialize;

use super::{desired::Sysctl, ruleset::Ruleset};

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
    /// A program that sees each frame before any rule.
    #[serde(default)]
    pub xdp: Option<serde_json::Value>,
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

/// A route (`ip -json route show table all`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FoundRoute {
    /// The network, or `default`.
    pub dst: String,
    /// Its table, if that is not the main one.
    #[serde(default)]
    pub table: Option<String>,
    /// What it does, if that is not to send on: `local`, `broadcast` …
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
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

/// A queue of an interface (`tc -json qdisc show`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Qdisc {
    /// What kind.
    pub kind: String,
    /// The interface.
    pub dev: String,
}

impl Qdisc {
    /// Whether filters hang in it that see, change or redirect what comes in before any rule does.
    pub fn is_hook(&self) -> bool {
        matches!(self.kind.as_str(), "ingress" | "clsact")
    }
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
    /// Its routes of both families, in all tables.
    pub routes: Vec<FoundRoute>,
    /// Its routing rules of both families.
    pub rules: Vec<RoutingRule>,
    /// The settings that were asked for, as far as the kernel has them.
    pub settings: BTreeMap<String, String>,
    /// The queues of its interfaces.
    pub qdiscs: Vec<Qdisc>,
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
    /// Whether the kernel was started without IPv6.
    pub without_ipv6: bool,
}

impl Found {
    /// Whether the kernel has a setting.
    pub(super) fn has(&self, setting: &Sysctl) -> bool {
        !(self.without_ipv6 && setting.path.starts_with("net/ipv6/"))
    }

    /// Those that the kernel has.
    pub(super) fn known(&self, mut settings: Vec<Sysctl>) -> Vec<Sysctl> {
        settings.retain(|it| self.has(it));
        settings
    }
}

/// Reads what a tool says as JSON. Some say nothing for an empty list.
pub(super) fn read<T: for<'de> Deserialize<'de>>(answer: &[u8]) -> Result<Vec<T>, serde_json::Error> {
    if answer.trim_ascii().is_empty() { Ok(Vec::new()) } else { serde_json::from_slice(answer) }
}
