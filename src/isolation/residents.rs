//! Which hardware address each enrolled camera of a zone is held to, and the rules that hold it: pure.
//!
//! ARP and neighbour discovery believe whoever speaks last. For a resident's address the kernel is told once and for
//! all (a permanent neighbour), frames that say otherwise are counted by who sent them and dropped, and frames that
//! say the truth pass without being held back among those of strangers. Somebody who sends with the resident's own
//! hardware address cannot be told from it here: that is the switch's to prevent.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    desired::Desired,
    ruleset::{accept, addresses, count, icmp_kinds, matches, payload, rule, services},
};
use crate::{inventory::MacAddress, limits::RESIDENTS_PER_ZONE_MAX};

/// One camera's address and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resident {
    /// The address.
    pub address: IpAddr,
    /// The hardware address that it is held to.
    pub mac: MacAddress,
}

/// The residents of a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Residents {
    held: BTreeMap<IpAddr, MacAddress>,
    /// The gateway's own addresses, which nobody else in the zone may have.
    own: BTreeSet<IpAddr>,
}

impl Residents {
    /// Those that are the gateway's neighbours in the zone: one behind a router has the router's hardware address.
    /// `RESIDENTS_PER_ZONE_MAX` at most; of two that have one address the first.
    pub fn of(zone: &Desired, all: &[Resident]) -> Self {
        let own: BTreeSet<IpAddr> = zone.leg.addresses.iter().map(ipnet::IpNet::addr).collect();
        let near = |it: &&Resident| {
            let near = zone.leg.addresses.iter().any(|network| network.contains(&it.address));
            near && !own.contains(&it.address) && it.mac.is_of_a_device()
        };
        let mut held = BTreeMap::new();
        for it in all.iter().filter(near) {
            if held.len() < RESIDENTS_PER_ZONE_MAX {
                held.entry(it.address).or_insert(it.mac);
            }
        }
        Self { held, own }
    }

    /// Each address and its hardware address, in order.
    pub fn iter(&self) -> impl Iterator<Item = Resident> {
        self.held.iter().map(|(address, mac)| Resident { address: *address, mac: *mac })
    }

    /// What an address is held to.
    pub fn of_address(&self, address: IpAddr) -> Option<MacAddress> {
        self.held.get(&address).copied()
    }

    /// Whether an address is the gateway's.
    pub fn is_own(&self, address: IpAddr) -> bool {
        self.own.contains(&address)
    }

    /// A digest: two that are alike have the same.
    pub fn digest(&self) -> String {
        super::desired::hex_digest(&format!("{:?}", self.held))
    }

    fn family(&self, v4: bool) -> Vec<Resident> {
        self.iter().filter(|it| it.address.is_ipv4() == v4).collect()
    }
}

/// The chain that holds residents, and the one for what is not theirs.
pub(super) const CHAIN: &str = "residents";
pub(super) const FORGED: &str = "forged";

/// The chain, in both tables, that counts what is dropped of residents: by them alone, so that no flood of others or of
/// ever new destinations takes a place from it.
pub(super) const COUNTED: &str = "resident_attempts";
/// The sets that it counts in.
pub(super) const COUNTS: [(&str, &str); 2] =
    [("resident_attempts4", "ipv4_addr"), ("resident_attempts6", "ipv6_addr")];

/// Families and chains with rules that follow from who is resident.
pub(super) const CHAINS: [(&str, &str); 3] = [("netdev", CHAIN), ("netdev", COUNTED), ("inet", COUNTED)];

/// The sets of who claimed what: with a resident's address in ARP; in the source of neighbour discovery; in what is
/// advertised; in the source of any packet.
pub(super) const CLAIMS: [(&str, &[&str]); 5] = [
    ("claims4", &["ether_addr", "ether_addr", "ipv4_addr"]),
    ("claims6", &["ether_addr", "ipv6_addr"]),
    ("claims6_target", &["ether_addr", "ipv6_addr"]),
    ("forged4", &["ether_addr", "ipv4_addr"]),
    ("forged6", &["ether_addr", "ipv6_addr"]),
];

/// The rules of the chain.
pub(super) fn rules(zone: &Desired) -> Vec<Value> {
    let Some(residents) = &zone.residents else { return Vec::new() };
    let (v4, v6) = (residents.family(true), residents.family(false));
    let mut rules = Vec::new();
    own_claims(zone, &mut rules);
    if !v4.is_empty() {
        arp(&v4, &mut rules);
        let (source, ether) = (payload("ip", "saddr"), payload("ether", "saddr"));
        let forged = [is_resident(&source, &v4), is_not_paired(&source, &ether, &v4)];
        counted(&mut rules, &forged, "forged4", &[ether, source.clone()]);
        // What is a resident's is held back by no limit that others could use up.
        let own = addresses(&zone.own(true));
        let asks = vec![
            is_resident(&payload("arp", "saddr ip"), &v4),
            matches("==", payload("arp", "daddr ip"), own.clone()),
            accept(),
        ];
        rules.push(rule("netdev", CHAIN, asks));
        let served =
            vec![is_resident(&source, &v4), matches("==", payload("ip", "daddr"), own), services(), accept()];
        rules.push(rule("netdev", CHAIN, served));
    }
    if !v6.is_empty() {
        discovery(&v6, &mut rules);
        let (source, ether) = (payload("ip6", "saddr"), payload("ether", "saddr"));
        let forged = [is_resident(&source, &v6), is_not_paired(&source, &ether, &v6)];
        counted(&mut rules, &forged, "forged6", &[ether, source.clone()]);
        let mut asks = vec![is_resident(&source, &v6)];
        asks.extend(icmp_kinds());
        asks.push(accept());
        rules.push(rule("netdev", CHAIN, asks));
        let own = addresses(&zone.own(false));
        let served = vec![
            is_resident(&source, &v6),
            matches("==", payload("ip6", "daddr"), own),
            services(),
            accept(),
        ];
        rules.push(rule("netdev", CHAIN, served));
    }
    rules
}

/// The rules of the chain that counts, in a table of this family.
pub(super) fn counting(zone: &Desired, family: &str) -> Vec<Value> {
    let Some(residents) = &zone.residents else { return Vec::new() };
    let kinds = [("ip", residents.family(true)), ("ip6", residents.family(false))];
    let counted = |((protocol, of), (set, _)): ((&str, Vec<Resident>), (&str, &str))| {
        let source = payload(protocol, "saddr");
        let counts = || rule(family, COUNTED, vec![is_resident(&source, &of), count(&source, set)]);
        (!of.is_empty()).then(counts)
    };
    kinds.into_iter().zip(COUNTS).filter_map(counted).collect()
}

/// Who says that the gateway's address is its own has cameras send it what is meant for the gateway. No frame of the
/// gateway's comes in here.
fn own_claims(zone: &Desired, rules: &mut Vec<Value>) {
    let (own4, own6) = (zone.own(true), zone.own(false));
    let ether = payload("ether", "saddr");
    if !own4.is_empty() {
        let (claimed, named) = (payload("arp", "saddr ip"), payload("arp", "saddr ether"));
        let claims = [matches("==", claimed.clone(), addresses(&own4))];
        counted(rules, &claims, "claims4", &[ether.clone(), named, claimed]);
        let source = payload("ip", "saddr");
        let forged = [matches("==", source.clone(), addresses(&own4))];
        counted(rules, &forged, "forged4", &[ether.clone(), source]);
    }
    if !own6.is_empty() {
        let source = payload("ip6", "saddr");
        let [_, kinds] = icmp_kinds();
        let is_own = matches("==", source.clone(), addresses(&own6));
        counted(rules, &[kinds, is_own.clone()], "claims6", &[ether.clone(), source.clone()]);
        let own = one_of(own6.iter().map(|it| as_number(*it)).collect());
        let advertised = [advertised(), matches("==", target(), own)];
        counted(rules, &advertised, "claims6_target", &[ether.clone(), source.clone()]);
        counted(rules, &[is_own], "forged6", &[ether, source]);
    }
}

/// The address that a message of neighbour discovery is about; `nft` has no name for it before 1.0.8: 8 bytes into the
/// message.
fn target() -> Value {
    json!({ "payload": { "base": "th", "offset": 64, "len": 128 } })
}

fn advertised() -> Value {
    matches("==", payload("icmpv6", "type"), json!("nd-neighbor-advert"))
}

/// A claim is false by the hardware address it names, or comes in a frame of another.
fn arp(v4: &[Resident], rules: &mut Vec<Value>) {
    let claimed = payload("arp", "saddr ip");
    let (named, ether) = (payload("arp", "saddr ether"), payload("ether", "saddr"));
    for hardware in [&named, &ether] {
        let forged = [is_resident(&claimed, v4), is_not_paired(&claimed, hardware, v4)];
        counted(rules, &forged, "claims4", &[ether.clone(), named.clone(), claimed.clone()]);
    }
}

/// The source of a question names itself (RFC 4861 §4.3), an advertisement its target (§4.4), which need not be the
/// source.
fn discovery(v6: &[Resident], rules: &mut Vec<Value>) {
    let (source, ether) = (payload("ip6", "saddr"), payload("ether", "saddr"));
    let [_, kinds] = icmp_kinds();
    let asked = [kinds, is_resident(&source, v6), is_not_paired(&source, &ether, v6)];
    counted(rules, &asked, "claims6", &[ether.clone(), source.clone()]);
    let of_residents = one_of(v6.iter().map(|it| as_number(it.address)).collect());
    let pairs = v6.iter().map(|it| json!({ "concat": [as_number(it.address), it.mac.to_string()] }));
    let not_paired =
        matches("!=", json!({ "concat": [target(), ether] }), json!({ "set": pairs.collect::<Vec<_>>() }));
    let forged = [advertised(), matches("==", target(), of_residents), not_paired];
    counted(rules, &forged, "claims6_target", &[ether, source]);
}

/// Counting is a rule apart from dropping, as everywhere: a set that is full breaks off its rule.
fn counted(rules: &mut Vec<Value>, condition: &[Value], set: &str, key: &[Value]) {
    let key = json!({ "concat": key });
    for last in [count(&key, set), json!({ "goto": { "target": FORGED } })] {
        rules.push(rule("netdev", CHAIN, [condition, &[last]].concat()));
    }
}

fn is_resident(field: &Value, of: &[Resident]) -> Value {
    let all: Vec<IpAddr> = of.iter().map(|it| it.address).collect();
    matches("==", field.clone(), addresses(&all))
}

fn is_not_paired(address: &Value, hardware: &Value, of: &[Resident]) -> Value {
    let pairs = of.iter().map(|it| json!({ "concat": [it.address.to_string(), it.mac.to_string()] }));
    matches("!=", json!({ "concat": [address, hardware] }), json!({ "set": pairs.collect::<Vec<_>>() }))
}

fn one_of(mut values: Vec<Value>) -> Value {
    if values.len() == 1 { values.remove(0) } else { json!({ "set": values }) }
}

/// As `nft` writes bits that have no type.
fn as_number(address: IpAddr) -> Value {
    match address {
        IpAddr::V4(it) => format!("{:#x}", u32::from(it)).into(),
        IpAddr::V6(it) => format!("{:#x}", u128::from(it)).into(),
    }
}
