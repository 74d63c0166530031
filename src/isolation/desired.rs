//! What a zone should be, from its configuration alone.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;

use super::{
    residents::Residents,
    ruleset::{self, Ruleset},
};
use crate::{
    ids::ZoneId,
    inventory::{Attachment, Isolation, Leg, Route, Zone},
};

/// A kernel setting of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sysctl {
    /// Its path below `/proc/sys`.
    pub path: String,
    /// What it should be.
    pub value: &'static str,
}

impl Sysctl {
    /// Whether it is about passing packets on.
    pub(super) fn is_forwarding(&self) -> bool {
        self.path.ends_with("/forwarding")
    }
}

/// A zone as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The zone.
    pub zone: ZoneId,
    /// The addresses its cameras have.
    pub prefixes: Vec<IpNet>,
    /// How the gateway stands in it.
    pub leg: Leg,
    /// Where it takes events that cameras send.
    pub event_sink: Option<SocketAddr>,
    /// Whose addresses are held to which hardware addresses; none as long as nobody has said, so that what is in force
    /// stays. No part of the configuration, and so none of the digest.
    pub residents: Option<Residents>,
    /// The tags of other zones on the same trunk. No part of the digest either: they change nothing in this zone.
    pub beside: BTreeSet<u16>,
}

impl Desired {
    /// None for a zone that is not isolated.
    pub fn of(zone: &Zone) -> Option<Self> {
        let Isolation::Namespace(leg) = &zone.isolation else { return None };
        Some(Self {
            zone: zone.id.clone(),
            prefixes: zone.prefixes.clone(),
            leg: leg.clone(),
            event_sink: zone.event_sink,
            residents: None,
            beside: BTreeSet::new(),
        })
    }

    /// Zones of one machine: each learns which others share its trunk.
    pub(super) fn together(mut zones: Vec<Self>) -> Vec<Self> {
        let tags: Vec<_> = zones.iter().filter_map(|it| Some((it.trunk()?, it.tag()?))).collect();
        for zone in &mut zones {
            let (trunk, own) = (zone.trunk(), zone.tag());
            let others = tags.iter().filter(|(of, tag)| Some(of) == trunk.as_ref() && Some(*tag) != own);
            zone.beside = others.map(|(_, tag)| *tag).collect();
        }
        zones
    }

    /// The zone's network namespace.
    pub fn namespace(&self) -> String {
        format!("cordon-{}", self.zone)
    }

    /// The namespace of the interface whose tag this zone has: it holds nothing but tagged frames.
    pub fn trunk(&self) -> Option<String> {
        match &self.leg.attachment {
            Attachment::Interface(_) => None,
            Attachment::Vlan { parent, .. } => Some(format!("cordon-trunk-{parent}")),
        }
    }

    /// Its tag on the trunk.
    fn tag(&self) -> Option<u16> {
        match &self.leg.attachment {
            Attachment::Interface(_) => None,
            Attachment::Vlan { id, .. } => Some(*id),
        }
    }

    /// The rules of its trunk: frames with the tag of a zone, and no others.
    pub fn trunk_rules(&self) -> Option<Ruleset> {
        let tags = self.beside.iter().copied().chain([self.tag()?]).collect();
        Some(ruleset::of_trunk(self.leg.attachment.carrier(), &tags))
    }

    /// The interface in the namespace.
    pub fn interface(&self) -> String {
        self.leg.attachment.interface()
    }

    /// The gateway's own addresses of one family.
    pub fn own(&self, v4: bool) -> Vec<IpAddr> {
        self.leg.addresses.iter().map(IpNet::addr).filter(|it| it.is_ipv4() == v4).collect()
    }

    /// The zone's networks of one family.
    pub fn networks(&self, v4: bool) -> Vec<IpNet> {
        self.prefixes.iter().map(IpNet::trunc).filter(|it| it.addr().is_ipv4() == v4).collect()
    }

    /// Its routes through routers.
    pub fn routes(&self) -> &[Route] {
        &self.leg.routes
    }

    /// Rules that need no interface: in force before it comes.
    pub fn first_rules(&self) -> Ruleset {
        ruleset::without_interface(self)
    }

    /// All rules.
    pub fn rules(&self) -> Ruleset {
        ruleset::whole(self)
    }

    /// What every namespace has set before an interface comes, and so for each that comes.
    pub fn settings(&self) -> Vec<Sysctl> {
        let mut settings = vec![setting("net/ipv4/icmp_echo_ignore_broadcasts", "1")];
        for of in ["all", "default"] {
            settings.extend(self.settings_of(of));
        }
        settings
    }

    /// What the zone's interface has set.
    pub fn interface_settings(&self) -> Vec<Sysctl> {
        self.settings_of(&self.interface())
    }

    /// A digest of all this: two that read the same configuration have the same.
    pub fn digest(&self) -> String {
        let configured = Self { residents: None, beside: BTreeSet::new(), ..self.clone() };
        hex_digest(&format!("{configured:?}{}", configured.rules().commands()))
    }

    fn settings_of(&self, interface: &str) -> Vec<Sysctl> {
        // A zone without IPv6 speaks none, not even with itself.
        let without_v6 = if self.own(false).is_empty() { "1" } else { "0" };
        let v4 = IPV4_SETTINGS.iter().map(|(name, value)| ("ipv4", *name, *value));
        let v6 = IPV6_SETTINGS.iter().map(|(name, value)| ("ipv6", *name, *value));
        v4.chain(v6)
            .chain([("ipv6", "disable_ipv6", without_v6)])
            .map(|(family, name, value)| setting(&format!("net/{family}/conf/{interface}/{name}"), value))
            .collect()
    }
}

/// SHA-256, in hexadecimal digits.
pub(super) fn hex_digest(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn setting(path: &str, value: &'static str) -> Sysctl {
    Sysctl { path: path.to_owned(), value }
}

const IPV4_SETTINGS: [(&str, &str); 16] = [
    ("forwarding", "0"),
    ("bc_forwarding", "0"),
    ("proxy_arp", "0"),
    ("proxy_arp_pvlan", "0"),
    ("accept_redirects", "0"),
    ("secure_redirects", "0"),
    ("send_redirects", "0"),
    ("accept_source_route", "0"),
    // Answers ARP for addresses of the very interface only, and asks by no other.
    ("arp_ignore", "1"),
    ("arp_announce", "2"),
    ("arp_accept", "0"),
    ("rp_filter", "1"),
    ("accept_local", "0"),
    ("route_localnet", "0"),
    // A camera must not write the kernel's log.
    ("log_martians", "0"),
    ("drop_unicast_in_l2_multicast", "1"),
];

const IPV6_SETTINGS: [(&str, &str); 8] = [
    ("forwarding", "0"),
    ("proxy_ndp", "0"),
    ("accept_ra", "0"),
    ("autoconf", "0"),
    ("accept_redirects", "0"),
    ("accept_source_route", "-1"),
    ("drop_unsolicited_na", "1"),
    ("drop_unicast_in_l2_multicast", "1"),
];
