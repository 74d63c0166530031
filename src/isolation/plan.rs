//! The steps from what is to what should be, each with what undoes it.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use super::{
    desired::{Desired, Sysctl},
    found::{Found, FoundRoute, FoundZone, Link},
    residents::Resident,
    ruleset::Ruleset,
};
use crate::inventory::{Attachment, Route};

/// What belongs to the core side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CoreSide {
    /// The addresses at which the gateway serves.
    pub addresses: BTreeSet<IpAddr>,
    /// Whether it serves at every address that this machine has.
    pub every: bool,
}

impl CoreSide {
    /// An address of an interface that is the core's; a zone may have its own, and those of its networks.
    fn holds(&self, address: IpAddr, desired: &Desired) -> bool {
        let of_zone = || {
            let own = desired.leg.addresses.iter().any(|it| it.addr() == address);
            own || desired.prefixes.iter().any(|it| it.contains(&address))
        };
        let link_local = matches!(address, IpAddr::V6(it) if it.is_unicast_link_local());
        self.addresses.contains(&address) || (self.every && !link_local && !of_zone())
    }
}

/// Where a link is: in a namespace, or in that of the core side.
pub type Place = Option<String>;

/// One change of the machine's networks.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "`command` says each in full")]
pub enum Step {
    AddNamespace { name: String },
    DeleteNamespace { name: String },
    Set { namespace: String, setting: Sysctl },
    Load { namespace: String, rules: Ruleset },
    LoadResidents { namespace: String, rules: Ruleset },
    Hold { namespace: String, link: String, held: Vec<Resident>, free: Vec<IpAddr> },
    Down { place: Place, link: String },
    Up { place: Place, link: String },
    Move { link: String, from: Place, to: Place },
    Release { namespace: String, link: String },
    AddVlan { trunk: String, parent: String, id: u16, link: String },
    DeleteLink { place: Place, link: String },
    AddAddress { place: Place, link: String, address: IpNet },
    DeleteAddress { place: Place, link: String, address: IpNet },
    AddRoute { namespace: String, route: Route, link: String },
    DeleteRoute { namespace: String, route: FoundRoute },
    DeleteRule { namespace: String, priority: u32 },
    DeleteQdisc { namespace: String, link: String, kind: String },
    DetachProgram { namespace: String, link: String },
}

/// Why a zone cannot be isolated on this machine as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum PlanError {
    #[error(
        "zone `{zone}`: there is no interface `{interface}` here{elsewhere}; `ip link` shows those there are: correct \
         the configuration, or plug it in"
    )]
    NoInterface { zone: String, interface: String, elsewhere: String },
    #[error(
        "zone `{zone}`: `{interface}` carries {address}, an address of the core side; give the zone an interface of its \
         own, or, if it is one, take the address off (`ip address flush dev {interface}`)"
    )]
    CoreAddress { zone: String, interface: String, address: IpAddr },
    #[error(
        "zone `{zone}` has an IPv6 address, and this kernel has IPv6 switched off (ipv6.disable=1): take the address \
         out, or switch IPv6 on"
    )]
    NoIpv6 { zone: String },
    #[error(
        "zone `{zone}`: the machine's default route leads out by `{interface}`; give the zone an interface of its own, \
         or remove the route"
    )]
    DefaultRoute { zone: String, interface: String },
    #[error(
        "zone `{zone}`: `{interface}` is part of `{master}`, which would go on seeing its frames; take it out first \
         (`ip link set {interface} nomaster`)"
    )]
    Enslaved { zone: String, interface: String, master: String },
    #[error(
        "zone `{zone}`: `{interface}` is a {kind} of another interface, and whoever has that sees the cameras' frames; \
         for a VLAN write parent and vlan, so that the parent is shut away too"
    )]
    OnAnother { zone: String, interface: String, kind: String },
    #[error(
        "zone `{zone}`: `{link}` of the core side is made on `{interface}`, and would go on seeing and sending frames \
         there; give the zone an interface of its own, or, if nobody needs it, remove it (`ip link delete {link}`)"
    )]
    MadeOnIt { zone: String, interface: String, link: String },
}

impl PlanError {
    /// Whether what is wrong is only that the interface is in no namespace of this machine.
    pub(super) fn is_nowhere(&self) -> bool {
        matches!(self, Self::NoInterface { elsewhere, .. } if elsewhere.is_empty())
    }
}

/// What is to be done for one zone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// In this order. Rules are in force before an interface comes up.
    pub steps: Vec<Step>,
}

impl Plan {
    /// From what is found to what should be; empty where nothing is to be done. `core` is what belongs to the core
    /// side.
    ///
    /// # Errors
    /// The interface cannot be taken.
    pub fn to(desired: &Desired, found: &Found, core: &CoreSide) -> Result<Self, PlanError> {
        let (namespace, name) = (desired.namespace(), desired.interface());
        let nothing = FoundZone::default();
        let zone = found.zone.as_ref().unwrap_or(&nothing);
        let there = zone.link(&name);
        if found.without_ipv6 && !desired.own(false).is_empty() {
            return Err(PlanError::NoIpv6 { zone: desired.zone.to_string() });
        }
        let mut plan = Self::default();
        let steps = &mut plan.steps;
        if found.zone.is_none() {
            steps.push(Step::AddNamespace { name: namespace.clone() });
        }
        // Where forwarding changes, the kernel sets others anew (`inet_forward_change`).
        let settled =
            if desired.settings().iter().any(|it| it.is_forwarding() && found.has(it) && !is_set(zone, it)) {
                &nothing
            } else {
                zone
            };
        set(steps, &namespace, found.known(desired.settings()), settled);
        let rules = if there.is_some() { desired.rules() } else { desired.first_rules() };
        load(steps, desired, rules, zone);
        banish(steps, &namespace, &name, zone);
        if there.is_none() {
            check(desired, found, core)?;
            fetch(steps, desired, found);
            steps.push(Step::Load { namespace: namespace.clone(), rules: desired.rules() });
        } else if let (Some(trunk), Some(rules)) = (&found.trunk, desired.trunk_rules()) {
            // Another zone's tag came or went, or somebody changed them.
            if trunk.ruleset.as_ref() != Some(&rules.clone().as_listed()) {
                let namespace = desired.trunk().unwrap_or_default();
                steps.push(Step::Load { namespace, rules });
            }
        }
        let fresh = if there.is_some() { zone } else { &nothing };
        set(
            steps,
            &namespace,
            found.known(desired.interface_settings()),
            if there.is_some() { settled } else { &nothing },
        );
        // Before addresses: routes of the kernel's go with theirs.
        strays(steps, desired, fresh);
        addresses(steps, desired, there);
        if !there.is_some_and(Link::is_up) {
            steps.push(Step::Up { place: Some(namespace.clone()), link: name.clone() });
        }
        let was_up = there.is_some_and(Link::is_up);
        hold(steps, desired, if was_up { fresh } else { &nothing });
        for route in desired.routes() {
            let known = fresh.routes.iter().any(|it| it.dst == written(&route.to) && leads_by(it, route.via));
            // The kernel forgets routes of an interface that was down.
            if !known || !was_up {
                let (namespace, link) = (namespace.clone(), name.clone());
                steps.push(Step::AddRoute { namespace, route: *route, link });
            }
        }
        Ok(plan)
    }

    /// The way back: the interface goes home, switched off, and the namespace goes. `others` says whether another
    /// zone has a tag of the same trunk.
    pub fn remove(desired: &Desired, found: &Found, others: bool) -> Self {
        let (namespace, name) = (desired.namespace(), desired.interface());
        let mut steps = Vec::new();
        if let Some(zone) = &found.zone {
            for link in zone.links.iter().filter(|it| !it.is_loopback()) {
                if link.ifname == name && desired.trunk().is_some() {
                    let (place, link) = (Some(namespace.clone()), name.clone());
                    steps.push(Step::DeleteLink { place, link });
                } else {
                    leave(&mut steps, &namespace, link);
                }
            }
            steps.push(Step::DeleteNamespace { name: namespace });
        }
        if let (Some(trunk), Some(place)) = (&found.trunk, desired.trunk()) {
            // One that ended before it was done left its interface here: its tag must not come to the core's namespace.
            let own = |it: &&Link| it.kind() == Some("vlan") && (!others || it.ifname == name);
            for link in trunk.links.iter().filter(own) {
                steps.push(Step::DeleteLink { place: Some(place.clone()), link: link.ifname.clone() });
            }
            if !others {
                for link in trunk.links.iter().filter(|it| !it.is_loopback() && it.kind() != Some("vlan")) {
                    leave(&mut steps, &place, link);
                }
                steps.push(Step::DeleteNamespace { name: place });
            }
        }
        Self { steps }
    }
}

impl Step {
    /// What undoes it, where it is to be undone. Rules and settings stay: they let nothing through.
    pub fn undo(&self) -> Option<Self> {
        match self.clone() {
            Self::AddNamespace { name } => Some(Self::DeleteNamespace { name }),
            Self::Down { place, link } => Some(Self::Up { place, link }),
            Self::Up { place, link } => Some(Self::Down { place, link }),
            Self::Move { link, from, to } => Some(Self::Move { link, from: to, to: from }),
            Self::AddVlan { trunk, link, .. } => Some(Self::DeleteLink { place: Some(trunk), link }),
            Self::AddAddress { place, link, address } => Some(Self::DeleteAddress { place, link, address }),
            Self::DeleteAddress { place, link, address } => Some(Self::AddAddress { place, link, address }),
            Self::DeleteNamespace { .. }
            | Self::Set { .. }
            | Self::Load { .. }
            | Self::LoadResidents { .. }
            | Self::Hold { .. }
            | Self::Release { .. }
            | Self::DeleteLink { .. }
            | Self::AddRoute { .. }
            | Self::DeleteRoute { .. }
            | Self::DeleteRule { .. }
            | Self::DeleteQdisc { .. }
            | Self::DetachProgram { .. } => None,
        }
    }
}

/// Rules, where they are otherwise; of residents alone by themselves, so that counts go on.
fn load(steps: &mut Vec<Step>, desired: &Desired, rules: Ruleset, zone: &FoundZone) {
    let namespace = desired.namespace();
    let listed = rules.clone().as_listed();
    let differences = zone.ruleset.as_ref().map(|found| super::compare::differing(&listed, found));
    match differences {
        Some(none) if none.is_empty() => {}
        Some(few) if few.keys().all(|place| super::compare::is_of_residents(place)) => {
            if desired.residents.is_some() {
                steps.push(Step::LoadResidents { namespace, rules });
            }
        }
        Some(_) | None => steps.push(Step::Load { namespace, rules }),
    }
}

/// Permanent neighbours: those there should be, and none that there should not.
fn hold(steps: &mut Vec<Step>, desired: &Desired, zone: &FoundZone) {
    let Some(residents) = &desired.residents else { return };
    let is_held = |it: &Resident| {
        let mac = it.mac.to_string();
        zone.neighbours.iter().any(|found| found.dst == it.address && found.lladdr.as_ref() == Some(&mac))
    };
    let held: Vec<_> = residents.iter().filter(|it| !is_held(it)).collect();
    let strange = |it: &IpAddr| residents.of_address(*it).is_none();
    let free: Vec<_> = zone.neighbours.iter().map(|it| it.dst).filter(strange).collect();
    if !held.is_empty() || !free.is_empty() {
        steps.push(Step::Hold { namespace: desired.namespace(), link: desired.interface(), held, free });
    }
}

/// Whether the interface may be taken.
fn check(desired: &Desired, found: &Found, core: &CoreSide) -> Result<(), PlanError> {
    let (zone, carrier) = (desired.zone.to_string(), desired.leg.attachment.carrier());
    let interface = carrier.to_owned();
    if let Some(link) = found.made_on(desired).first() {
        return Err(PlanError::MadeOnIt { zone, interface, link: link.ifname.clone() });
    }
    if found.trunk.as_ref().is_some_and(|trunk| trunk.link(carrier).is_some()) {
        return Ok(());
    }
    let Some(link) = found.home.link(carrier) else {
        return Err(PlanError::NoInterface { zone, interface, elsewhere: String::new() });
    };
    if let Some(address) = link.addr_info.iter().map(|it| it.local).find(|it| core.holds(*it, desired)) {
        return Err(PlanError::CoreAddress { zone, interface, address });
    }
    if found.home.routes.iter().any(|it| it.dst == "default" && it.dev.as_deref() == Some(carrier)) {
        return Err(PlanError::DefaultRoute { zone, interface });
    }
    if let Some(master) = link.master.clone() {
        return Err(PlanError::Enslaved { zone, interface, master });
    }
    if let Some(kind @ ("vlan" | "macvlan" | "macvtap" | "ipvlan")) = link.kind() {
        return Err(PlanError::OnAnother { zone, interface, kind: kind.to_owned() });
    }
    Ok(())
}

/// Brings the interface into the namespace, switched off and without addresses.
fn fetch(steps: &mut Vec<Step>, desired: &Desired, found: &Found) {
    let namespace = desired.namespace();
    match &desired.leg.attachment {
        Attachment::Interface(name) => bare(steps, found.home.link(name), namespace),
        Attachment::Vlan { parent, id } => {
            let trunk = desired.trunk().unwrap_or_default();
            if found.trunk.is_none() {
                steps.push(Step::AddNamespace { name: trunk.clone() });
            }
            if found.home.link(parent).is_some() {
                bare(steps, found.home.link(parent), trunk.clone());
            }
            let rules = desired.trunk_rules();
            steps.extend(rules.map(|rules| Step::Load { namespace: trunk.clone(), rules }));
            steps.push(Step::Up { place: Some(trunk.clone()), link: parent.clone() });
            let link = desired.interface();
            // Left there by one that ended before it was done.
            if found.trunk.as_ref().is_some_and(|it| it.link(&link).is_some()) {
                steps.push(Step::DeleteLink { place: Some(trunk.clone()), link: link.clone() });
            }
            let made =
                Step::AddVlan { trunk: trunk.clone(), parent: parent.clone(), id: *id, link: link.clone() };
            steps.push(made);
            steps.push(Step::Move { link, from: Some(trunk), to: Some(namespace) });
        }
    }
}

/// Takes an interface from home, with nothing left on it.
fn bare(steps: &mut Vec<Step>, link: Option<&Link>, to: String) {
    let Some(link) = link else { return };
    let name = link.ifname.clone();
    for address in link.addresses() {
        if !matches!(address, IpNet::V6(it) if it.addr().is_unicast_link_local()) {
            steps.push(Step::DeleteAddress { place: None, link: name.clone(), address });
        }
    }
    if link.is_up() {
        steps.push(Step::Down { place: None, link: name.clone() });
    }
    steps.push(Step::Move { link: name, from: None, to: Some(to) });
}

/// Sends away what has no place in the namespace.
fn banish(steps: &mut Vec<Step>, namespace: &str, name: &str, zone: &FoundZone) {
    for link in zone.links.iter().filter(|it| it.ifname != name && !it.is_loopback()) {
        leave(steps, namespace, link);
    }
    if let Some(lo) = zone.links.iter().find(|it| it.is_loopback() && it.is_up()) {
        steps.push(Step::Down { place: Some(namespace.to_owned()), link: lo.ifname.clone() });
    }
}

/// Sends a link home, switched off.
fn leave(steps: &mut Vec<Step>, namespace: &str, link: &Link) {
    let (place, name) = (Some(namespace.to_owned()), link.ifname.clone());
    steps.push(Step::Down { place: place.clone(), link: name.clone() });
    steps.push(Step::Move { link: name, from: place, to: None });
}

fn set(steps: &mut Vec<Step>, namespace: &str, wanted: Vec<Sysctl>, zone: &FoundZone) {
    for setting in wanted {
        if !is_set(zone, &setting) {
            steps.push(Step::Set { namespace: namespace.to_owned(), setting });
        }
    }
}

fn is_set(zone: &FoundZone, setting: &Sysctl) -> bool {
    zone.settings.get(&setting.path).map(String::as_str) == Some(setting.value)
}

fn addresses(steps: &mut Vec<Step>, desired: &Desired, link: Option<&Link>) {
    let place = Some(desired.namespace());
    let name = desired.interface();
    let has = link.map(Link::addresses).unwrap_or_default();
    if link.is_some_and(|it| it.master.is_some()) {
        steps.push(Step::Release { namespace: desired.namespace(), link: name.clone() });
    }
    for more in has.iter().filter(|it| !desired.leg.addresses.contains(it)) {
        if !matches!(more, IpNet::V6(it) if it.addr().is_unicast_link_local()) {
            let (place, link) = (place.clone(), name.clone());
            steps.push(Step::DeleteAddress { place, link, address: *more });
        }
    }
    for lost in desired.leg.addresses.iter().filter(|it| !has.contains(it)) {
        steps.push(Step::AddAddress { place: place.clone(), link: name.clone(), address: *lost });
    }
}

/// Takes away routes and rules that lead elsewhere.
fn strays(steps: &mut Vec<Step>, desired: &Desired, zone: &FoundZone) {
    let namespace = desired.namespace();
    for route in zone.routes.iter().filter(|route| !super::compare::is_expected(desired, route)) {
        steps.push(Step::DeleteRoute { namespace: namespace.clone(), route: route.clone() });
    }
    if let Some(link) = zone.link(&desired.interface()) {
        if link.xdp.is_some() {
            let (namespace, link) = (namespace.clone(), link.ifname.clone());
            steps.push(Step::DetachProgram { namespace, link });
        }
        for qdisc in zone.qdiscs.iter().filter(|it| it.is_hook() && it.dev == link.ifname) {
            let (namespace, link, kind) = (namespace.clone(), link.ifname.clone(), qdisc.kind.clone());
            steps.push(Step::DeleteQdisc { namespace, link, kind });
        }
    }
    for rule in zone.rules.iter().filter(|it| super::compare::is_stray(it)) {
        steps.push(Step::DeleteRule { namespace: namespace.clone(), priority: rule.priority });
    }
}

fn written(network: &IpNet) -> String {
    super::compare::text(network)
}

fn leads_by(route: &FoundRoute, via: IpAddr) -> bool {
    route.gateway.as_deref() == Some(via.to_string().as_str())
}
