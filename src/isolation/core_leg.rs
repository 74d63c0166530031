//! Who speaks on the core side: hardware addresses of frames that come in there, counted by the kernel.
//!
//! A table of its own beside whatever the machine has there: it has no rule that drops or accepts anything.

use serde_json::{Value, json};

use super::{
    found::Link,
    kernel::{self, NetError},
    ruleset::{Ruleset, count, matches, meta, payload},
    wire::CoreSource,
};
use crate::{
    inventory::MacAddress,
    limits::{CORE_INTERFACES_MAX, CORE_SOURCE_KEPT_TIME, CORE_SOURCES_MAX},
};

/// The table.
const TABLE: &str = "cordon-core";
const SET: &str = "sources";

/// The interfaces on which frames of others come in: those that are up and have a hardware address, but not the zones'.
pub(super) fn interfaces(links: &[Link], of_zones: &[&str]) -> Vec<String> {
    let speaks = |it: &&Link| {
        let mac = it.address.as_ref().and_then(|it| it.parse::<MacAddress>().ok());
        it.is_up() && !it.is_loopback() && mac.is_some_and(MacAddress::is_of_a_device)
    };
    let foreign = |it: &&Link| !of_zones.contains(&it.ifname.as_str());
    let names = links.iter().filter(speaks).filter(foreign).map(|it| it.ifname.clone());
    names.take(CORE_INTERFACES_MAX).collect()
}

/// Rules that count by interface and hardware address.
pub(super) fn rules(interfaces: &[String]) -> Ruleset {
    let mut objects = vec![
        json!({ "table": { "family": "netdev", "name": TABLE } }),
        json!({ "set": {
            "family": "netdev", "name": SET, "table": TABLE, "type": ["ifname", "ether_addr"],
            "size": CORE_SOURCES_MAX, "flags": ["timeout"], "timeout": CORE_SOURCE_KEPT_TIME.as_secs(),
            "stmt": [{ "counter": null }],
        } }),
    ];
    for interface in interfaces {
        objects.push(json!({ "chain": {
            "family": "netdev", "table": TABLE, "name": chain(interface), "type": "filter", "hook": "ingress",
            "prio": 0, "policy": "accept", "dev": interface,
        } }));
    }
    for interface in interfaces {
        let key = json!({ "concat": [meta("iifname"), payload("ether", "saddr")] });
        // Each frame of a device bears its own address, never one of a group.
        let of_device = matches("!=", payload("ether", "saddr"), json!("00:00:00:00:00:00"));
        objects.push(json!({ "rule": {
            "family": "netdev", "table": TABLE, "chain": chain(interface), "expr": [of_device, count(&key, SET)],
        } }));
    }
    Ruleset::new(objects)
}

fn chain(interface: &str) -> String {
    format!("watch-{interface}")
}

/// What there is of the table; none if there is nothing.
pub(super) fn look() -> Result<Option<Ruleset>, NetError> {
    match kernel::listed_here(&["-t", "list", "table", "netdev", TABLE]) {
        Ok(listed) => Ok(Ruleset::listed(&listed).ok()),
        Err(NetError::Failed { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts the table in place of what there is of it.
pub(super) fn load(rules: &Ruleset) -> Result<(), NetError> {
    let table = json!({ "table": { "family": "netdev", "name": TABLE } });
    // Added first, since only what is there can be deleted.
    let begin = [json!({ "add": table }), json!({ "delete": table })];
    let added = rules.objects().iter().map(|object| json!({ "add": object }));
    kernel::load_here(&json!({ "nftables": begin.into_iter().chain(added).collect::<Vec<_>>() }))
}

/// Takes the table away.
pub(super) fn remove() -> Result<(), NetError> {
    if look()?.is_none() {
        return Ok(());
    }
    let table = json!({ "table": { "family": "netdev", "name": TABLE } });
    kernel::load_here(&json!({ "nftables": [{ "delete": table }] }))
}

/// What was counted.
pub(super) fn sources() -> Result<Vec<CoreSource>, NetError> {
    let listed = kernel::listed_here(&["list", "set", "netdev", TABLE, SET])?;
    let objects = listed.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let elements = objects.filter_map(|it| it.pointer("/set/elem")?.as_array()).flatten();
    Ok(elements.filter_map(source).take(CORE_SOURCES_MAX).collect())
}

fn source(element: &Value) -> Option<CoreSource> {
    let key = element.pointer("/elem/val/concat")?.as_array()?;
    Some(CoreSource {
        interface: key.first()?.as_str()?.to_owned(),
        mac: key.get(1)?.as_str()?.parse().ok()?,
        packets: element.pointer("/elem/counter/packets")?.as_u64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_listened_where_others_speak() {
        let links: Vec<Link> = serde_json::from_value(json!([
            { "ifname": "lo", "flags": ["LOOPBACK", "UP"], "address": "00:00:00:00:00:00" },
            { "ifname": "eth0", "flags": ["UP"], "address": "02:00:00:00:00:01" },
            { "ifname": "eth1", "flags": [], "address": "02:00:00:00:00:02" },
            { "ifname": "cam0", "flags": ["UP"], "address": "02:00:00:00:00:03" },
            { "ifname": "tun0", "flags": ["UP"] },
        ]))
        .unwrap();
        assert_eq!(interfaces(&links, &["cam0"]), ["eth0"]);
    }

    #[test]
    fn nothing_is_dropped_or_accepted_and_what_is_counted_is_read() {
        let rules = rules(&["eth0".to_owned(), "eth2".to_owned()]);
        let text = rules.text();
        assert!(!text.contains("drop") && !text.contains(" accept\n"), "{text}");
        assert!(text.contains("add chain netdev cordon-core watch-eth2 { type filter hook ingress device eth2 priority 0; policy accept; }"), "{text}");
        let element = json!({ "elem": { "val": { "concat": ["eth0", "44:19:b6:00:00:01"] }, "counter": { "packets": 3, "bytes": 180 } } });
        let read = source(&element).unwrap();
        assert_eq!(
            (read.interface.as_str(), read.mac.to_string().as_str(), read.packets),
            ("eth0", "44:19:b6:00:00:01", 3)
        );
    }
}
