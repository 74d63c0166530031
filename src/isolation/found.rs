//! What is there, as `ip -json` and `nft -j` tell it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use serde::Deserialize;

use super::{
    desired::{Desired, Sysctl},
    ruleset::Ruleset,
};

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
    /// What it is made on, for a VLAN, if that is in the same namespace.
    #[serde(default)]
    pub link: Option<String>,
    /// The namespace of what it is made on, by the number it has here; none if that is here too.
    #[serde(default)]
    pub link_netnsid: Option<i32>,
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
    /// One that is switched off and carries nothing.
    pub(super) fn bare(name: &str) -> Self {
        Self {
            ifname: name.to_owned(),
            flags: BTreeSet::new(),
            address: None,
            link: None,
            link_netnsid: None,
            master: None,
            linkinfo: None,
            xdp: None,
            addr_info: Vec::new(),
        }
    }

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

/// A namespace that has a name (`ip -json netns list`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NamedNamespace {
    /// Its name.
    pub name: String,
    /// Its number for whoever looks, if it has one.
    #[serde(default)]
    pub id: Option<i32>,
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
    /// Namespaces that interfaces of the core side lead to.
    pub namespaces: Vec<NamedNamespace>,
    /// Whether the kernel was started without IPv6.
    pub without_ipv6: bool,
}

impl Found {
    /// The interfaces of the core side that are made on one of the zone's, and so see and send frames there: the kernel
    /// leaves them behind when what they are made on changes its namespace, and switches them on again with it.
    pub(super) fn made_on(&self, desired: &Desired) -> Vec<&Link> {
        let carrier = desired.leg.attachment.carrier();
        let places = [Some(desired.namespace()), desired.trunk()];
        let is_of_zone = |number: i32| {
            let mut named = self.namespaces.iter().filter(|it| it.id == Some(number));
            named.any(|it| places.iter().flatten().any(|place| *place == it.name))
        };
        let is_on_it = |it: &&Link| match it.link_netnsid {
            Some(number) => is_of_zone(number),
            None => it.link.as_deref() == Some(carrier),
        };
        // Of a pair, each names the other, and neither is made on it.
        self.home.links.iter().filter(|it| it.kind() != Some("veth")).filter(is_on_it).collect()
    }

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
