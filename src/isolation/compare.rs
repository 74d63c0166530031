//! What is otherwise than it should be, each named.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    desired::{Desired, Sysctl},
    found::{Found, FoundRoute, FoundZone, Link, RoutingRule},
    residents::CHAINS,
    ruleset::{Ruleset, TABLE},
};
use crate::{
    inventory::{Attachment, Route},
    limits::ISOLATION_DIFFERENCES_MAX,
};

/// One thing that is otherwise than it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What.
    pub what: String,
    /// As it should be.
    pub should: String,
    /// As it is.
    pub is: String,
}

impl Difference {
    /// Nothing of a zone is there.
    pub(super) fn absence(desired: &Desired) -> Self {
        Self { what: namespace_of(desired), should: "there".to_owned(), is: "missing".to_owned() }
    }

    /// Whether it says that others are to be held to their hardware addresses than are.
    pub(super) fn is_of_residents(&self) -> bool {
        is_of_residents(&self.what) || self.what.starts_with(RESIDENT)
    }

    /// Whether it says that nothing of a zone is there.
    pub(super) fn is_absence(&self, desired: &Desired) -> bool {
        self.what == namespace_of(desired)
    }
}

/// What differs where there is no namespace.
fn namespace_of(desired: &Desired) -> String {
    format!("namespace {}", desired.namespace())
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: should be {}, is {}", self.what, self.should, self.is)
    }
}

/// Every difference, the first `ISOLATION_DIFFERENCES_MAX`; none means that the zone is isolated.
pub fn compare(desired: &Desired, found: &Found) -> Vec<Difference> {
    let mut said = Said::default();
    let name = desired.interface();
    match &found.zone {
        None => said.say(&namespace_of(desired), "there", "missing"),
        Some(zone) => {
            settings(&found.known(desired.settings()), zone, &mut said);
            rules("", &desired.rules().as_listed(), zone, desired.residents.is_none(), &mut said);
            links(&name, zone, &mut said);
            if let Some(link) = zone.link(&name) {
                interface(desired, link, &mut said);
                settings(&found.known(desired.interface_settings()), zone, &mut said);
                hooks(link, zone, &mut said);
                residents(desired, zone, &mut said);
            }
            routes(desired, zone, &mut said);
        }
    }
    let carrier = desired.leg.attachment.carrier();
    if let Some(link) = found.home.link(carrier) {
        let is = if link.is_up() { "in the core's namespace, and up" } else { "in the core's namespace" };
        let should = desired.trunk().unwrap_or(desired.namespace());
        said.say(&format!("interface {carrier}"), &format!("in {should}"), is);
    }
    for link in found.made_on(desired) {
        let what = format!("interface {} in the core's namespace", link.ifname);
        let is = format!("made on {carrier}; move it, or remove it (`ip link delete {}`)", link.ifname);
        said.say(&what, "made on none of the zone's", &is);
    }
    if let Attachment::Vlan { parent, .. } = &desired.leg.attachment {
        trunk(desired, parent, found.trunk.as_ref(), &mut said);
    }
    said.0.truncate(ISOLATION_DIFFERENCES_MAX);
    said.0
}

#[derive(Debug, Default)]
struct Said(Vec<Difference>);

impl Said {
    fn say(&mut self, what: &str, should: &str, is: &str) {
        self.0.push(Difference { what: what.to_owned(), should: should.to_owned(), is: is.to_owned() });
    }
}

fn settings(wanted: &[Sysctl], zone: &FoundZone, said: &mut Said) {
    for Sysctl { path, value } in wanted {
        match zone.settings.get(path) {
            Some(is) if is == value => {}
            Some(is) => said.say(&format!("setting {path}"), value, is),
            None => said.say(&format!("setting {path}"), value, "unknown to this kernel"),
        }
    }
}

/// Another interface would be another way.
fn links(name: &str, zone: &FoundZone, said: &mut Said) {
    for link in zone.links.iter().filter(|link| link.ifname != name && !link.is_loopback()) {
        said.say(&format!("interface {}", link.ifname), "elsewhere", "in the zone's namespace");
    }
    // A camera could reach what listens at loopback addresses only through the gateway's own programs.
    if zone.links.iter().any(|link| link.is_loopback() && link.is_up()) {
        said.say("interface lo", "down", "up");
    }
    if zone.link(name).is_none() {
        said.say(&format!("interface {name}"), "in the zone's namespace", "missing");
    }
}

fn interface(desired: &Desired, link: &Link, said: &mut Said) {
    let what = format!("interface {}", link.ifname);
    if !link.is_up() {
        said.say(&what, "up", "down");
    }
    if let Some(master) = &link.master {
        said.say(&what, "by itself", &format!("part of {master}"));
    }
    let has: BTreeSet<_> = link.addresses().into_iter().filter(|it| !is_link_local(it)).collect();
    let should: BTreeSet<_> = desired.leg.addresses.iter().copied().collect();
    for lost in should.difference(&has) {
        said.say(&format!("address {lost}"), &format!("at {}", link.ifname), "missing");
    }
    for more in has.difference(&should) {
        said.say(&format!("address {more}"), "nowhere in the zone", &format!("at {}", link.ifname));
    }
}

/// What sees frames before any rule does.
fn hooks(link: &Link, zone: &FoundZone, said: &mut Said) {
    if link.xdp.is_some() {
        said.say(&format!("program (XDP) of {}", link.ifname), "missing", "there");
    }
    for qdisc in zone.qdiscs.iter().filter(|it| it.is_hook() && it.dev == link.ifname) {
        said.say(&format!("traffic control of {}", link.ifname), "without hooks", &qdisc.kind);
    }
}

/// The kernel makes one of the hardware address wherever IPv6 is spoken.
fn is_link_local(address: &IpNet) -> bool {
    matches!(address, IpNet::V6(it) if it.addr().is_unicast_link_local())
}

/// Nothing leads elsewhere than to the zone.
fn routes(desired: &Desired, zone: &FoundZone, said: &mut Said) {
    for route in zone.routes.iter().filter(|route| !is_expected(desired, route)) {
        let via = route.gateway.as_deref().or(route.dev.as_deref()).unwrap_or("nothing");
        let table = route.table.as_ref().map_or_else(String::new, |it| format!(" in table {it}"));
        said.say(&format!("route {}{table}", route.dst), "missing", &format!("by {via}"));
    }
    for Route { to, via } in desired.routes() {
        let (to, via) = (text(to), via.to_string());
        if !zone
            .routes
            .iter()
            .any(|it| it.table.is_none() && it.dst == to && it.gateway.as_ref() == Some(&via))
        {
            said.say(&format!("route {to}"), &format!("by {via}"), "missing");
        }
    }
    for rule in zone.rules.iter().filter(|rule| is_stray(rule)) {
        let table = rule.table.as_deref().unwrap_or("something else");
        said.say(&format!("routing rule {}", rule.priority), "missing", &format!("to {table}"));
    }
}

/// Whether a route is the zone's: to its own networks, as the kernel adds them with addresses, or by its routers.
pub(super) fn is_expected(desired: &Desired, route: &FoundRoute) -> bool {
    // The kernel's own, of the addresses there are: what these are is compared by itself.
    if route.table.as_deref() == Some("local") {
        let kinds = ["local", "broadcast", "anycast", "multicast"];
        return route.kind.as_deref().is_some_and(|it| kinds.contains(&it)) && route.gateway.is_none();
    }
    // Some kernels list that nothing leads anywhere else.
    if route.kind.as_deref() == Some("unreachable") && route.dev.as_deref() == Some("lo") {
        return true;
    }
    if route.table.is_some() || route.kind.is_some() {
        return false;
    }
    let near = || desired.leg.addresses.iter().any(|it| text(&it.trunc()) == route.dst);
    let far =
        |by: &str| desired.routes().iter().any(|it| text(&it.to) == route.dst && it.via.to_string() == by);
    route.dev.as_deref() == Some(desired.interface().as_str())
        && match &route.gateway {
            None => near() || route.dst == "fe80::/64",
            Some(gateway) => far(gateway),
        }
}

/// Whether somebody added a routing rule to those of the kernel.
pub(super) fn is_stray(rule: &RoutingRule) -> bool {
    ![0, 32_766, 32_767].contains(&rule.priority)
}

/// As `ip` writes it: a network of one address without its length.
pub(super) fn text(network: &IpNet) -> String {
    match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    }
}

/// Whoever is to be held to a hardware address is, and nobody else.
fn residents(desired: &Desired, zone: &FoundZone, said: &mut Said) {
    let Some(residents) = &desired.residents else { return };
    let held: BTreeMap<IpAddr, &str> =
        zone.neighbours.iter().map(|it| (it.dst, it.lladdr.as_deref().unwrap_or("nothing"))).collect();
    for it in residents.iter() {
        let (mac, is) = (it.mac.to_string(), held.get(&it.address).copied().unwrap_or("missing"));
        if is != mac {
            said.say(&format!("{RESIDENT}{}", it.address), &format!("held to {mac}"), is);
        }
    }
    for (address, mac) in held.iter().filter(|(it, _)| residents.of_address(**it).is_none()) {
        said.say(&format!("{RESIDENT}{address}"), "held to nothing", mac);
    }
}

/// What is otherwise in rules, by what an engineer calls it; without what residents are held by, if that is not to say.
fn rules(of: &str, desired: &Ruleset, zone: &FoundZone, residents_aside: bool, said: &mut Said) {
    let Some(found) = &zone.ruleset else {
        said.say(&format!("{of}rules"), "as planned", "not to be read");
        return;
    };
    let differences = differing(desired, found);
    let aside = |place: &str| residents_aside && is_of_residents(place);
    for (place, (should, is)) in differences.iter().filter(|(place, _)| !aside(place)) {
        said.say(&format!("{of}{place}"), should, is);
    }
}

/// What one resident is called by.
const RESIDENT: &str = "neighbour ";

/// Whether it is what the rules are called that follow from who is resident.
pub(super) fn is_of_residents(place: &str) -> bool {
    CHAINS.iter().any(|(family, chain)| place == format!("rules of chain {family} {TABLE} {chain}"))
}

/// Where two rulesets differ, and how.
pub(super) fn differing(
    desired: &Ruleset,
    found: &Ruleset,
) -> BTreeMap<String, (&'static str, &'static str)> {
    let (should, is) = (grouped(desired), grouped(found));
    let mut differences = BTreeMap::new();
    for (place, wanted) in &should {
        match is.get(place) {
            Some(there) if there == wanted => {}
            Some(_) => drop(differences.insert(place.clone(), ("as planned", "changed"))),
            None => drop(differences.insert(place.clone(), ("as planned", "missing"))),
        }
    }
    for place in is.keys().filter(|place| !should.contains_key(*place)) {
        differences.insert(place.clone(), ("missing", "there"));
    }
    // With a table all that is in it is gone.
    let tables = should.keys().filter_map(|it| it.strip_prefix("table "));
    let gone: Vec<_> = tables.filter(|it| !is.contains_key(&format!("table {it}"))).collect();
    differences.retain(|place, _| {
        place.starts_with("table ") || !gone.iter().any(|it| place.contains(&format!(" {it} ")))
    });
    differences
}

/// Objects by what an engineer calls them; the rules of a chain in their order.
fn grouped(ruleset: &Ruleset) -> BTreeMap<String, Vec<&Value>> {
    let mut groups: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for object in ruleset.objects() {
        groups.entry(place(object)).or_default().push(object);
    }
    groups
}

fn place(object: &Value) -> String {
    let Some((kind, fields)) = object.as_object().and_then(|it| it.iter().next()) else {
        return "unreadable object".to_owned();
    };
    let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or("?");
    match kind.as_str() {
        "table" => format!("table {} {}", field("family"), field("name")),
        "rule" => format!("rules of chain {} {} {}", field("family"), field("table"), field("chain")),
        kind => format!("{kind} {} {} {}", field("family"), field("table"), field("name")),
    }
}

fn trunk(desired: &Desired, parent: &str, trunk: Option<&FoundZone>, said: &mut Said) {
    let name = desired.trunk().unwrap_or_default();
    let Some(trunk) = trunk else {
        said.say(&format!("namespace {name}"), "there", "missing");
        return;
    };
    if let Some(planned) = desired.trunk_rules() {
        rules("trunk: ", &planned.as_listed(), trunk, false, said);
    }
    match trunk.link(parent) {
        None => said.say(&format!("interface {parent}"), &format!("in {name}"), "missing"),
        Some(link) if !link.is_up() => said.say(&format!("interface {parent}"), "up", "down"),
        Some(link) if link.addresses().iter().any(|it| !is_link_local(it)) => {
            said.say(&format!("interface {parent}"), "without addresses", "with some");
        }
        Some(_) => {}
    }
    let routes = trunk.routes.iter().filter(|it| it.table.as_deref() != Some("local")).count();
    if routes > 0 {
        said.say(&format!("routes of {name}"), "none", &routes.to_string());
    }
}
