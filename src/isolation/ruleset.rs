//! The rules of a zone, in the JSON of `nft` (libnftables-json(5)), and as text for people.
//!
//! Each chain accepts what is due, counts the rest by who and whither, and drops it. Counting is a rule apart from
//! dropping: where a set is full the kernel breaks off the rule that would add to it, and goes on with the next.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use serde_json::{Value, json};

use super::{
    desired::Desired,
    group::{DISCOVERY_PORT, GROUP4, GROUP6},
    residents::{self, CLAIMS, FORGED},
    target::ROUTER_ADVERTISEMENT,
};
use crate::limits::{
    ATTEMPT_KEPT_TIME, ATTEMPTS_PER_SET_MAX, CLAIMS_PER_SET_MAX, NEIGHBOUR_CLAIMS_BURST,
    NEIGHBOUR_CLAIMS_PER_SECOND, NEIGHBOUR_CLAIMS_PER_SOURCE, NEIGHBOUR_CLAIMS_PER_SOURCE_BURST,
    NEIGHBOUR_SOURCE_KEPT_TIME, NEIGHBOUR_SOURCES_MAX, NEIGHBOURS_UNBOUNDED_MAX, RESIDENT_COUNTS_PER_SET_MAX,
};

/// The table in both families.
pub(super) const TABLE: &str = "cordon";

/// Objects in the order in which they are added: tables, sets, chains, rules. Each as `nft` lists it, without handle.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruleset(Vec<Value>);

impl Ruleset {
    /// Of these objects, as they are listed.
    pub(super) fn new(mut objects: Vec<Value>) -> Self {
        objects.iter_mut().for_each(settle);
        Self(objects)
    }

    /// What `nft -j -f -` is given: these and no others, at one stroke.
    pub fn commands(&self) -> Value {
        let flush = json!({ "flush": { "ruleset": null } });
        let added = self.0.iter().map(|object| json!({ "add": object }));
        json!({ "nftables": std::iter::once(flush).chain(added).collect::<Vec<_>>() })
    }

    /// As `nft` lists them once they are in force: the interface of a chain is not told by every version, and
    /// neither is that sets grow by rules.
    #[must_use]
    pub fn as_listed(mut self) -> Self {
        for object in &mut self.0 {
            if let Some(chain) = object.get_mut("chain").and_then(Value::as_object_mut) {
                chain.remove("dev");
            }
            if let Some(flags) = object.pointer_mut("/set/flags").and_then(Value::as_array_mut) {
                flags.retain(|flag| flag != "dynamic");
            }
        }
        self
    }

    /// What `nft` is given to make the chains of residents anew, with all else as it is.
    pub(super) fn resident_commands(&self) -> Value {
        let is = |object: &Value, kind: &str, field: &str, family: &str, name: &str| {
            let of = object.get(kind);
            let text = |field: &str| of?.get(field)?.as_str();
            text("family") == Some(family) && text(field) == Some(name)
        };
        let mut commands = Vec::new();
        for (family, chain) in residents::CHAINS {
            // Without an interface there is nothing of `netdev` yet.
            if self.0.iter().any(|it| is(it, "chain", "name", family, chain)) {
                let of_chain = json!({ "chain": { "family": family, "table": TABLE, "name": chain } });
                commands.push(json!({ "flush": of_chain }));
                let own = self.0.iter().filter(|it| is(it, "rule", "chain", family, chain));
                commands.extend(own.map(|object| json!({ "add": object })));
            }
        }
        json!({ "nftables": commands })
    }

    /// The objects.
    pub fn objects(&self) -> &[Value] {
        &self.0
    }

    /// What `nft -j list ruleset` says, in the form that can be compared: without handles, counts and elements.
    ///
    /// # Errors
    /// It is no ruleset.
    pub fn listed(answer: &Value) -> Result<Self, &'static str> {
        let objects = answer.get("nftables").and_then(Value::as_array).ok_or("no list of objects")?;
        let known = objects.iter().filter(|it| it.get("metainfo").is_none());
        let mut objects: Vec<_> = known.cloned().collect();
        for object in &mut objects {
            settle(object);
        }
        Ok(Self(objects).as_listed())
    }

    /// As an engineer writes it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for object in &self.0 {
            text += &super::show::object_text(object);
            text.push('\n');
        }
        text
    }
}

/// Rules that need no interface.
pub(super) fn without_interface(zone: &Desired) -> Ruleset {
    Ruleset::new(inet(zone))
}

/// All rules.
pub(super) fn whole(zone: &Desired) -> Ruleset {
    let mut objects = netdev(zone);
    objects.extend(inet(zone));
    Ruleset::new(objects)
}

/// Rules of a trunk: nothing but frames with the tag of a zone, which the kernel takes to its interfaces before any of
/// these hooks of addresses. Another tag may be that of an interface elsewhere on this machine.
pub(super) fn of_trunk(parent: &str, tags: &BTreeSet<u16>) -> Ruleset {
    let chain = base_chain("netdev", "ingress", "ingress", Some(parent), "drop");
    let tags = one_of(tags.iter().map(|it| (*it).into()).collect());
    let tagged = rule("netdev", "ingress", vec![matches("==", payload("vlan", "id"), tags), accept()]);
    let mut objects = vec![table("netdev"), chain, tagged, counted_drop("netdev", "ingress"), table("inet")];
    for hook in ["input", "forward", "output"] {
        objects.extend([base_chain("inet", hook, hook, None, "drop"), counted_drop("inet", hook)]);
    }
    Ruleset::new(objects)
}

/// What comes in by the wire, before any protocol sees it: with forwarding off, packets for foreign addresses never
/// reach a hook of `inet`, and ARP, tagged frames and other protocols never do.
fn netdev(zone: &Desired) -> Vec<Value> {
    let add = |expressions| rule("netdev", "ingress", expressions);
    let tagged = || matches("==", payload("ether", "type"), json!({ "set": ["8021q", "8021ad"] }));
    let mut objects = vec![table("netdev")];
    objects.extend(resident_sets("netdev"));
    objects.extend([attempts4("netdev"), attempts6("netdev"), attempts_other()]);
    objects.extend(CLAIMS.map(|(name, kind)| set("netdev", name, kind, CLAIMS_PER_SET_MAX)));
    objects.extend([neighbour_sources(), plain_chain("netdev", FORGED)]);
    objects.extend([residents::CHAIN, residents::COUNTED].map(|name| plain_chain("netdev", name)));
    objects.push(base_chain("netdev", "ingress", "ingress", Some(&zone.interface()), "drop"));
    objects.push(counted_drop("netdev", FORGED));
    objects.extend(residents::rules(zone));
    objects.extend(residents::counting(zone, "netdev"));
    objects.push(add(vec![tagged(), count(&other_key(), "attempts_other")]));
    objects.push(add(vec![tagged(), counter(), drop()]));
    objects.push(add(vec![json!({ "jump": { "target": residents::CHAIN } })]));
    let (own4, own6) = (zone.own(true), zone.own(false));
    if !own4.is_empty() {
        let of_zone = networks(&zone.networks(true));
        // Cameras ask for the gateway and answer it; who claims its address is no camera.
        let mut asked = vec![
            matches("==", payload("arp", "saddr ip"), of_zone.clone()),
            matches("!=", payload("arp", "saddr ip"), addresses(&own4)),
            matches("==", payload("arp", "daddr ip"), addresses(&own4)),
        ];
        asked.extend(few_neighbours(zone, true));
        asked.push(accept());
        objects.push(add(asked));
        objects.extend(served(zone, "ip", &of_zone));
    }
    if !own6.is_empty() {
        let of_zone = networks(&zone.networks(false));
        let [hops, kinds] = icmp_kinds();
        let mut asked = vec![hops, kinds.clone()];
        asked.extend(few_neighbours(zone, false));
        asked.push(accept());
        objects.push(add(asked));
        // Else they would pass as what any packet to the gateway passes as.
        objects.push(add(vec![kinds, counter(), drop()]));
        objects.extend(served(zone, "ip6", &of_zone));
    }
    objects.push(add(vec![count_residents()]));
    objects.extend(counting("netdev", "ingress"));
    objects.push(add(vec![
        matches("!=", meta("protocol"), json!({ "set": ["ip", "ip6"] })),
        count(&other_key(), "attempts_other"),
    ]));
    objects.push(counted_drop("netdev", "ingress"));
    objects
}

/// What the zone's cameras send to the gateway: answers, and questions for time and names. Whoever is answered has to be
/// found first, so that questions are held back as claims of neighbours are.
fn served(zone: &Desired, protocol: &str, of_zone: &Value) -> Vec<Value> {
    let v4 = protocol == "ip";
    let own = addresses(&zone.own(v4));
    let to_gateway = [
        matches("==", payload(protocol, "saddr"), of_zone.clone()),
        matches("!=", payload(protocol, "saddr"), own.clone()),
        matches("==", payload(protocol, "daddr"), own),
    ];
    let few = few_neighbours(zone, v4);
    let mut rules = Vec::new();
    if !few.is_empty() {
        let mut add = |last: &[Value]| {
            rules.push(rule("netdev", "ingress", [&to_gateway[..], &[services()], last].concat()));
        };
        add(&[&few[..], &[accept()]].concat());
        // The rest is counted as what is dropped is; else it would pass as what goes to the gateway.
        let (port, set) = (payload("udp", "dport"), if v4 { "attempts4" } else { "attempts6" });
        add(&[count(&attempt_key(protocol, &port), set)]);
        add(&[counter(), drop()]);
    }
    rules.push(rule("netdev", "ingress", [&to_gateway[..], &[accept()]].concat()));
    // What cameras say of themselves to everybody is for the gateway, too.
    let [from_zone, of_others, _] = to_gateway;
    let [group, port] = to_everybody(v4);
    rules.push(rule("netdev", "ingress", vec![from_zone, of_others, group, port, accept()]));
    rules
}

/// What is said to everybody by WS-Discovery.
fn to_everybody(v4: bool) -> [Value; 2] {
    let (protocol, group) = if v4 { ("ip", GROUP4.to_string()) } else { ("ip6", GROUP6.to_string()) };
    [matches("==", payload(protocol, "daddr"), json!(group)), discovery()]
}

fn discovery() -> Value {
    matches("==", payload("udp", "dport"), json!(DISCOVERY_PORT))
}

/// What is addressed to the gateway, and what leaves it.
fn inet(zone: &Desired) -> Vec<Value> {
    let mut objects = vec![table("inet")];
    objects.extend(resident_sets("inet"));
    objects.extend([attempts4("inet"), attempts6("inet"), plain_chain("inet", residents::COUNTED)]);
    objects.extend(residents::counting(zone, "inet"));
    objects.extend(untracked());
    objects.push(base_chain("inet", "input", "input", None, "drop"));
    let input = |expressions| rule("inet", "input", expressions);
    let state = json!({ "ct": { "key": "state" } });
    objects.push(input(vec![
        json!({ "match": { "op": "in", "left": state, "right": ["established", "related"] } }),
        accept(),
    ]));
    // Time and names are the gateway's own services in the zone.
    for (protocol, v4) in [("ip", true), ("ip6", false)] {
        let own = zone.own(v4);
        if !own.is_empty() {
            objects.push(input(vec![
                matches("==", payload(protocol, "daddr"), addresses(&own)),
                services(),
                accept(),
            ]));
            // Who answers a question to everybody answers nothing that the kernel remembers.
            objects.push(input(vec![
                matches("==", payload(protocol, "daddr"), addresses(&own)),
                discovery(),
                accept(),
            ]));
            let [group, port] = to_everybody(v4);
            objects.push(input(vec![group, port, accept()]));
        }
    }
    // And so is the place where it takes events.
    if let Some(sink) = zone.event_sink {
        objects.push(input(vec![
            matches(
                "==",
                payload(if sink.is_ipv4() { "ip" } else { "ip6" }, "daddr"),
                addresses(&[sink.ip()]),
            ),
            matches("==", payload("tcp", "dport"), json!(sink.port())),
            accept(),
        ]));
    }
    if !zone.own(false).is_empty() {
        objects.push(input(neighbours()));
    }
    objects.push(input(vec![count_residents()]));
    objects.extend(counting("inet", "input"));
    objects.push(counted_drop("inet", "input"));
    objects.push(base_chain("inet", "forward", "forward", None, "drop"));
    objects.push(counted_drop("inet", "forward"));
    objects.push(base_chain("inet", "output", "output", None, "drop"));
    let output = |expressions| rule("inet", "output", expressions);
    for (protocol, v4) in [("ip", true), ("ip6", false)] {
        let to = zone.networks(v4);
        if !zone.own(v4).is_empty() && !to.is_empty() {
            objects.push(output(vec![matches("==", payload(protocol, "daddr"), networks(&to)), accept()]));
            let [group, port] = to_everybody(v4);
            objects.push(output(vec![group, port, accept()]));
        }
    }
    if !zone.own(false).is_empty() {
        objects.push(output(neighbours()));
    }
    objects.push(counted_drop("inet", "output"));
    objects
}

/// Neighbour discovery (RFC 4861) of the two kinds that lead nowhere; routers' advertisements and redirects are not
/// among them. A hop limit of 255 shows that it comes from the link itself (§11.2).
fn neighbours() -> Vec<Value> {
    let [hops, kinds] = icmp_kinds();
    vec![hops, kinds, accept()]
}

pub(super) fn icmp_kinds() -> [Value; 2] {
    let kinds = json!({ "set": ["nd-neighbor-solicit", "nd-neighbor-advert"] });
    [matches("==", payload("ip6", "hoplimit"), json!(255)), matches("==", payload("icmpv6", "type"), kinds)]
}

/// Questions for names and for the time.
pub(super) fn services() -> Value {
    matches("==", payload("udp", "dport"), json!({ "set": [53, 123] }))
}

/// The kernel has one table of neighbours for all namespaces: a camera that claims many addresses would put out those
/// of the core side. Each source has a share, so that one which claims much takes little from the others; and all have
/// no more than the table bears. Nothing where a zone has few addresses to claim.
fn few_neighbours(zone: &Desired, v4: bool) -> Vec<Value> {
    let addresses = |it: &IpNet| 1_u128.checked_shl(u32::from(it.max_prefix_len() - it.prefix_len()));
    let sum = |sum: u128, it: &IpNet| sum.saturating_add(addresses(it).unwrap_or(u128::MAX));
    let many = zone.networks(v4).iter().fold(0, sum) > NEIGHBOURS_UNBOUNDED_MAX;
    if !many {
        return Vec::new();
    }
    let limit = |rate: u32, burst: u32| json!({ "limit": { "rate": rate, "burst": burst, "per": "second" } });
    let share = limit(NEIGHBOUR_CLAIMS_PER_SOURCE, NEIGHBOUR_CLAIMS_PER_SOURCE_BURST);
    let of_source = json!({ "set": {
        "op": "update", "elem": payload("ether", "saddr"), "set": format!("@{NEIGHBOUR_SOURCES}"), "stmt": [share],
    } });
    vec![of_source, limit(NEIGHBOUR_CLAIMS_PER_SECOND, NEIGHBOUR_CLAIMS_BURST)]
}

/// The set of those who have a share each.
const NEIGHBOUR_SOURCES: &str = "neighbour_sources";

fn neighbour_sources() -> Value {
    json!({ "set": {
        "family": "netdev", "name": NEIGHBOUR_SOURCES, "table": TABLE, "type": "ether_addr",
        "size": NEIGHBOUR_SOURCES_MAX, "flags": ["timeout"], "timeout": NEIGHBOUR_SOURCE_KEPT_TIME.as_secs(),
    } })
}

/// Questions for time and names, and discovery, are no connections, so that no camera fills the kernel's table of those.
fn untracked() -> Vec<Value> {
    let services = || json!({ "set": [53, 123, DISCOVERY_PORT] });
    let mut objects = Vec::new();
    for (chain, hook, port) in [("untracked_in", "prerouting", "dport"), ("untracked_out", "output", "sport")]
    {
        let mut raw = base_chain("inet", chain, hook, None, "accept");
        if let Some(priority) = raw.pointer_mut("/chain/prio") {
            // Before connections are tracked (`NF_IP_PRI_RAW`).
            *priority = json!(-300);
        }
        let notrack = json!({ "notrack": null });
        objects.extend([
            raw,
            rule("inet", chain, vec![matches("==", payload("udp", port), services()), notrack]),
        ]);
    }
    objects
}

/// Leads to the rules that count what is dropped of residents, whatever else has a place.
fn count_residents() -> Value {
    json!({ "jump": { "target": residents::COUNTED } })
}

/// Made before the sets of attempts, and so listed before them: see `tripwire`.
fn resident_sets(family: &str) -> [Value; 2] {
    residents::COUNTS.map(|(name, kind)| set(family, name, &[kind], RESIDENT_COUNTS_PER_SET_MAX))
}

/// Rules that count what comes past them by who, whither, protocol and port.
fn counting(family: &str, chain: &str) -> Vec<Value> {
    let ported = json!({ "set": ["tcp", "udp"] });
    // Who says that it is a router is told apart from others who speak to all: by the kind of message, which has no port.
    let advertises = || matches("==", payload("icmpv6", "type"), json!("nd-router-advert"));
    let mut rules = vec![
        rule(
            family,
            chain,
            vec![advertises(), count(&attempt_key("ip6", &json!(ROUTER_ADVERTISEMENT)), "attempts6")],
        ),
        rule(family, chain, vec![advertises(), counter(), drop()]),
    ];
    for (protocol, set) in [("ip", "attempts4"), ("ip6", "attempts6")] {
        rules.push(rule(
            family,
            chain,
            vec![
                matches("==", meta("l4proto"), ported.clone()),
                count(&attempt_key(protocol, &payload("th", "dport")), set),
            ],
        ));
        rules.push(rule(
            family,
            chain,
            vec![
                matches("!=", meta("l4proto"), ported.clone()),
                count(&attempt_key(protocol, &json!(0)), set),
            ],
        ));
    }
    rules
}

fn attempt_key(protocol: &str, port: &Value) -> Value {
    json!({ "concat": [payload(protocol, "saddr"), payload(protocol, "daddr"), meta("l4proto"), port] })
}

fn other_key() -> Value {
    json!({ "concat": [payload("ether", "saddr"), payload("ether", "type")] })
}

fn table(family: &str) -> Value {
    json!({ "table": { "family": family, "name": TABLE } })
}

fn attempts4(family: &str) -> Value {
    set(family, "attempts4", &["ipv4_addr", "ipv4_addr", "inet_proto", "inet_service"], ATTEMPTS_PER_SET_MAX)
}

fn attempts6(family: &str) -> Value {
    set(family, "attempts6", &["ipv6_addr", "ipv6_addr", "inet_proto", "inet_service"], ATTEMPTS_PER_SET_MAX)
}

fn attempts_other() -> Value {
    set("netdev", "attempts_other", &["ether_addr", "ether_type"], ATTEMPTS_PER_SET_MAX)
}

fn set(family: &str, name: &str, kind: &[&str], size: usize) -> Value {
    // As `nft` lists it.
    let kind = if let [one] = kind { json!(one) } else { json!(kind) };
    json!({ "set": {
        "family": family, "name": name, "table": TABLE, "type": kind, "size": size,
        "flags": ["timeout"], "timeout": ATTEMPT_KEPT_TIME.as_secs(), "stmt": [{ "counter": null }],
    } })
}

fn base_chain(family: &str, name: &str, hook: &str, device: Option<&str>, policy: &str) -> Value {
    let mut chain = json!({ "chain": {
        "family": family, "table": TABLE, "name": name, "type": "filter", "hook": hook, "prio": 0, "policy": policy,
    } });
    if let (Some(device), Some(chain)) = (device, chain.get_mut("chain").and_then(Value::as_object_mut)) {
        chain.insert("dev".to_owned(), device.into());
    }
    chain
}

/// A chain that others lead to.
fn plain_chain(family: &str, name: &str) -> Value {
    json!({ "chain": { "family": family, "table": TABLE, "name": name } })
}

pub(super) fn rule(family: &str, chain: &str, expressions: Vec<Value>) -> Value {
    json!({ "rule": { "family": family, "table": TABLE, "chain": chain, "expr": expressions } })
}

fn counted_drop(family: &str, chain: &str) -> Value {
    rule(family, chain, vec![counter(), drop()])
}

pub(super) fn matches(op: &str, left: Value, right: Value) -> Value {
    json!({ "match": { "op": op, "left": left, "right": right } })
}

pub(super) fn payload(protocol: &str, field: &str) -> Value {
    json!({ "payload": { "protocol": protocol, "field": field } })
}

pub(super) fn meta(key: &str) -> Value {
    json!({ "meta": { "key": key } })
}

pub(super) fn count(key: &Value, set: &str) -> Value {
    json!({ "set": { "op": "update", "elem": key, "set": format!("@{set}") } })
}

fn counter() -> Value {
    json!({ "counter": null })
}

pub(super) fn accept() -> Value {
    json!({ "accept": null })
}

fn drop() -> Value {
    json!({ "drop": null })
}

pub(super) fn addresses(of: &[IpAddr]) -> Value {
    one_of(of.iter().map(|it| it.to_string().into()).collect())
}

fn networks(of: &[IpNet]) -> Value {
    // Networks within others would be told as an overlap.
    let of = IpNet::aggregate(&of.to_vec());
    one_of(
        of.iter()
            .map(|it| match it.prefix_len() == it.max_prefix_len() {
                true => it.addr().to_string().into(),
                false => json!({ "prefix": { "addr": it.addr().to_string(), "len": it.prefix_len() } }),
            })
            .collect(),
    )
}

fn one_of(mut values: Vec<Value>) -> Value {
    if values.len() == 1 { values.remove(0) } else { json!({ "set": values }) }
}

/// Takes away what is not the owner's word: handles, counts, elements; and puts sets in an order.
fn settle(object: &mut Value) {
    match object {
        Value::Object(fields) => {
            for gone in ["handle", "elem"] {
                // The `elem` of a counting rule is its key, and an object.
                if gone == "handle" || fields.get(gone).is_some_and(Value::is_array) {
                    fields.remove(gone);
                }
            }
            for (key, value) in fields.iter_mut() {
                if key == "counter" {
                    *value = Value::Null;
                }
                settle(value);
                if let (true, Some(items)) = (key == "set", value.as_array_mut()) {
                    items.sort_by_key(Value::to_string);
                }
            }
            fields.sort_keys();
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
