//! Plans as a network engineer reads them.

use std::fmt::{self, Write as _};

use serde_json::Value;

use super::{
    desired::Desired,
    found::Found,
    plan::{Place, Plan, Step},
};
use crate::inventory::Attachment;

/// How well a zone is kept apart from what is on the same machine and the same wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// By a network interface of the machine.
    OwnInterface,
    /// By a tag of an interface that carries others too.
    Vlan,
    /// By an interface that software makes: of a hypervisor, or of the machine itself.
    Virtual,
}

impl Grade {
    /// The grade of a zone on this machine. `hypervisor` says whether the machine is a virtual one.
    pub fn of(desired: &Desired, found: &Found, hypervisor: bool) -> Self {
        Self::seen(desired, found, hypervisor).unwrap_or(match &desired.leg.attachment {
            _ if hypervisor => Self::Virtual,
            Attachment::Interface(_) => Self::OwnInterface,
            Attachment::Vlan { .. } => Self::Vlan,
        })
    }

    /// The same; none as long as the interface is not there, of which nobody knows what it is.
    pub fn seen(desired: &Desired, found: &Found, hypervisor: bool) -> Option<Self> {
        let carrier = desired.leg.attachment.carrier();
        let places = [Some(&found.home), found.zone.as_ref(), found.trunk.as_ref()];
        let link = places.into_iter().flatten().find_map(|it| it.link(carrier))?;
        Some(match &desired.leg.attachment {
            _ if hypervisor || link.kind().is_some() => Self::Virtual,
            Attachment::Interface(_) => Self::OwnInterface,
            Attachment::Vlan { .. } => Self::Vlan,
        })
    }

    /// The grade with this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::OwnInterface, Self::Vlan, Self::Virtual].into_iter().find(|it| it.as_str() == word)
    }

    /// The word for reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnInterface => "own interface",
            Self::Vlan => "VLAN",
            Self::Virtual => "virtual machine",
        }
    }

    /// What this grade does not show.
    pub fn lacks(self) -> &'static str {
        match self {
            Self::OwnInterface => "that the cable leads to a switch which carries nothing else",
            Self::Vlan => {
                "that the switch keeps the tags apart: native VLAN, trunk negotiation and its management are the switch's"
            }
            Self::Virtual => {
                "that the hypervisor's switch, or whatever software makes the interface, keeps networks apart"
            }
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A zone's plan in full.
pub fn zone_text(desired: &Desired, plan: &Plan, grade: Grade) -> String {
    let mut text = String::new();
    let leg = &desired.leg;
    let by = match &leg.attachment {
        Attachment::Interface(name) => name.clone(),
        Attachment::Vlan { parent, id } => format!("tag {id} of {parent}"),
    };
    let list = |nets: &[ipnet::IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "zone {}: {}\n  namespace {}, interface {by}, gateway {}\n  grade: {grade}; not shown: {}",
        desired.zone,
        list(&desired.prefixes),
        desired.namespace(),
        list(&leg.addresses),
        grade.lacks(),
    );
    for route in &leg.routes {
        let _ = writeln!(
            text,
            "  cameras in {} are behind {}: their hardware addresses are not seen, evidence of them is weaker",
            route.to, route.via
        );
    }
    if plan.steps.is_empty() {
        text += "  nothing is to be done\n";
    }
    for line in steps_text(plan) {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// The namespace of whoever types a command, by the number of the process.
pub(super) const HOME: &str = "$$";

/// What holds for every zone.
pub const NOT_SHOWN: &str = "\
Between namespaces there is no link, no route and no forwarding: what a zone's cameras send ends in its namespace.\n\
A camera trips the wire only where its router and its name server are the gateway's address in the zone; what it\n\
sends to its neighbours does not pass here at all. An attempt is not proof of intent.\n\
On the core side `cordon netd` keeps table netdev cordon-core, which counts whose frames come in and drops none: a\n\
restricted maker's device that is plugged in there is an alarm.\n\
Outside what can be shown from this machine: that the switch keeps its ports and tags apart, radios of the cameras'\n\
own, covert channels in what the gateway does ask for, a management controller (BMC) on a shared interface, and the\n\
switch of a hypervisor.\n";

/// Each step as the command that does it; settings of one folder together, and rules once.
fn steps_text(plan: &Plan) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    // The folder of the settings that are being listed.
    let mut folder = None;
    for (at, step) in plan.steps.iter().enumerate() {
        let Step::Set { namespace, setting } = step else {
            folder = None;
            lines.push(step.command().join(" "));
            if let Step::Load { namespace, rules } = step {
                let again =
                    |later: &Step| matches!(later, Step::Load { namespace: of, .. } if of == namespace);
                if plan.steps.iter().skip(at + 1).any(again) {
                    lines.push("    table inet of the rules below, which needs no interface".to_owned());
                } else {
                    lines.extend(rules.text().lines().map(|line| format!("    {line}")));
                }
            }
            continue;
        };
        let (of, name) = setting.path.rsplit_once('/').unwrap_or(("", &setting.path));
        let word = format!(" {name}={}", setting.value);
        match lines.last_mut() {
            Some(line) if folder == Some((namespace, of)) && line.len() + word.len() <= LINE_CHARS => {
                *line += &word
            }
            Some(_) if folder == Some((namespace, of)) => lines.push(format!("   {word}")),
            Some(_) | None => {
                lines.push(format!("ip netns exec {namespace} sysctl -w, below {of}:"));
                lines.push(format!("   {word}"));
            }
        }
        folder = Some((namespace, of));
    }
    lines
}

const LINE_CHARS: usize = 110;

impl Step {
    /// The command that does it, or that an engineer would type.
    pub fn command(&self) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let ip = |place: &Place, rest: &[&str]| match place {
            Some(namespace) => [words(&["ip", "-n", namespace]), words(rest)].concat(),
            None => [words(&["ip"]), words(rest)].concat(),
        };
        let within = |namespace: &str, rest: &[&str]| ip(&Some(namespace.to_owned()), rest);
        match self {
            Self::AddNamespace { name } => words(&["ip", "netns", "add", name]),
            Self::DeleteNamespace { name } => words(&["ip", "netns", "delete", name]),
            Self::Set { namespace, setting } => {
                let word = format!("{}={}", setting.path, setting.value);
                words(&["ip", "netns", "exec", namespace, "sysctl", "-w", &word])
            }
            Self::Load { namespace, .. } | Self::LoadResidents { namespace, .. } => {
                words(&["ip", "netns", "exec", namespace, "nft", "-j", "-f", "-"])
            }
            Self::Hold { namespace, .. } => words(&["ip", "-n", namespace, "-force", "-batch", "-"]),
            Self::Down { place, link } => ip(place, &["link", "set", link, "down"]),
            Self::Up { place, link } => ip(place, &["link", "set", link, "up"]),
            Self::Move { link, from, to } => {
                ip(from, &["link", "set", link, "netns", to.as_deref().unwrap_or(HOME)])
            }
            Self::Release { namespace, link } => within(namespace, &["link", "set", link, "nomaster"]),
            Self::AddVlan { trunk, parent, id, link } => {
                let id = id.to_string();
                within(trunk, &["link", "add", "link", parent, "name", link, "type", "vlan", "id", &id])
            }
            Self::DeleteLink { place, link } => ip(place, &["link", "delete", link]),
            Self::AddAddress { place, link, address } => {
                let address = address.to_string();
                // The gateway's address is not given up because somebody in the zone claims it.
                let last: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
                ip(place, &[&["address", "add", &address, "dev", link], last].concat())
            }
            Self::DeleteAddress { place, link, address } => {
                ip(place, &["address", "delete", &address.to_string(), "dev", link])
            }
            Self::AddRoute { namespace, route, link } => {
                let (to, via) = (route.to.to_string(), route.via.to_string());
                within(namespace, &["route", "replace", &to, "via", &via, "dev", link])
            }
            Self::DeleteRoute { namespace, route } => {
                let mut rest = vec!["route", "delete"];
                rest.extend(route.kind.as_deref());
                rest.push(route.dst.as_str());
                rest.extend(route.gateway.iter().flat_map(|it| ["via", it.as_str()]));
                rest.extend(route.dev.iter().flat_map(|it| ["dev", it.as_str()]));
                rest.extend(route.table.iter().flat_map(|it| ["table", it.as_str()]));
                if is_v6(route.gateway.as_deref().unwrap_or(&route.dst)) {
                    rest.insert(0, "-6");
                }
                within(namespace, &rest)
            }
            Self::DeleteQdisc { namespace, link, kind } => {
                words(&["tc", "-n", namespace, "qdisc", "delete", "dev", link, kind])
            }
            Self::DetachProgram { namespace, link } => {
                within(namespace, &["link", "set", link, "xdp", "off"])
            }
            Self::DeleteRule { namespace, priority } => {
                within(namespace, &["rule", "delete", "priority", &priority.to_string()])
            }
        }
    }
}

fn is_v6(text: &str) -> bool {
    text.contains(':')
}

/// An object of a ruleset in the language of `nft`.
pub(super) fn object_text(object: &Value) -> String {
    let Some((kind, fields)) = object.as_object().and_then(|it| it.iter().next()) else {
        return String::new();
    };
    let field = |name: &str| fields.get(name).map(value_text).unwrap_or_default();
    match kind.as_str() {
        "table" => format!("add table {} {}", field("family"), field("name")),
        "set" => format!(
            "add set {} {} {} {{ type {}; size {}; flags dynamic,timeout; timeout {}s;{} }}",
            field("family"),
            field("table"),
            field("name"),
            fields
                .get("type")
                .filter(|it| it.is_string())
                .map_or_else(|| list(fields.get("type"), " . "), value_text),
            field("size"),
            field("timeout"),
            if fields.get("stmt").is_some() { " counter;" } else { "" },
        ),
        "chain" if fields.get("hook").is_none() => {
            format!("add chain {} {} {}", field("family"), field("table"), field("name"))
        }
        "chain" => {
            let device =
                fields.get("dev").map_or_else(String::new, |it| format!(" device {}", value_text(it)));
            format!(
                "add chain {} {} {} {{ type {} hook {}{device} priority {}; policy {}; }}",
                field("family"),
                field("table"),
                field("name"),
                field("type"),
                field("hook"),
                field("prio"),
                field("policy"),
            )
        }
        "rule" => format!(
            "add rule {} {} {} {}",
            field("family"),
            field("table"),
            field("chain"),
            list(fields.get("expr"), " ")
        ),
        other => format!("# {other}"),
    }
}

fn list(value: Option<&Value>, between: &str) -> String {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.map(value_text).collect::<Vec<_>>().join(between)
}

/// A value or expression. Kinds that no ruleset of ours has are left as they are.
fn value_text(value: &Value) -> String {
    let fields = match value {
        Value::String(text) => return text.clone(),
        Value::Array(_) => return list(Some(value), ", "),
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) => return value.to_string(),
    };
    let Some((kind, of)) = fields.iter().next() else { return String::new() };
    let part = |name: &str| of.get(name).map(value_text).unwrap_or_default();
    match kind.as_str() {
        "match" => {
            let op = part("op");
            let op = if op == "==" || op == "in" { String::new() } else { format!("{op} ") };
            format!("{} {op}{}", part("left"), part("right"))
        }
        "payload" if of.get("base").is_some() => {
            format!("@{},{},{}", part("base"), part("offset"), part("len"))
        }
        "payload" => format!("{} {}", part("protocol"), part("field")),
        "jump" | "goto" => format!("{kind} {}", part("target")),
        "meta" | "ct" => format!("{kind} {}", part("key")),
        "concat" => list(Some(of), " . "),
        "prefix" => format!("{}/{}", part("addr"), part("len")),
        "set" if of.is_array() => format!("{{ {} }}", list(Some(of), ", ")),
        "set" => {
            let share = of.get("stmt").map(|it| format!(" {}", list(Some(it), " "))).unwrap_or_default();
            format!("{} {} {{ {}{share} }}", part("op"), part("set"), part("elem"))
        }
        "limit" => format!("limit rate {}/{} burst {} packets", part("rate"), part("per"), part("burst")),
        "counter" | "accept" | "drop" | "notrack" => kind.clone(),
        _ => value.to_string(),
    }
}
