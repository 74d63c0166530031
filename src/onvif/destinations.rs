//! Where a request would make the camera send to, fetch from or listen on.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value as Json;

use super::machines::machines;
use crate::{
    command::{Destination, DestinationKind},
    limits::{COMMAND_DESTINATIONS_MAX, DESTINATION_TEXT_BYTES_MAX},
    schema::{
        AddressEffect, AddressKind, Builtin, Content, Document, Element, NodeId, SimpleType, Tables, Variety,
        address::{Host, Uri, parse_ip_literal},
    },
};

/// What a request's values say.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The places, each once. One more than `COMMAND_DESTINATIONS_MAX` means there were too many.
    pub(super) places: Vec<Destination>,
    /// A value gives the camera a place to send to or fetch from, or starts it sending to one that it has.
    pub(super) egress: bool,
    /// A value chooses a place that is already stored.
    pub(super) selector: bool,
    /// A value opens or moves a service of the camera's own.
    pub(super) listener: bool,
    /// A value says who may reach the camera.
    pub(super) access_filter: bool,
    /// A value is a secret.
    pub(super) secret: bool,
}

/// Searches every value of a request.
pub(super) fn find(tables: &Tables, document: &Document) -> Found {
    let mut search = Search { tables, found: Found::default() };
    search.element(document.root(), Beside::default());
    search.found
}

/// What the elements beside a value say about it.
#[derive(Debug, Clone, Copy, Default)]
struct Beside {
    /// `Port` of the nearest enclosing element that has one.
    port: Option<u16>,
    /// `Enabled` there says no.
    closed: bool,
}

struct Search<'a> {
    tables: &'a Tables,
    found: Found,
}

impl Search<'_> {
    fn element(&mut self, element: Element<'_>, around: Beside) {
        let number = |local| element.child(local).and_then(|it| it.text().trim().parse().ok());
        let closed = element.child("Enabled").map(|it| is_none(it.text().trim()));
        let beside = Beside { port: number("Port").or(around.port), closed: closed.unwrap_or(around.closed) };
        for attribute in element.attributes() {
            self.value(attribute.node, attribute.text, beside);
        }
        self.value(element.node(), element.text(), beside);
        for child in element.children() {
            self.element(child, beside);
        }
    }

    fn value(&mut self, id: NodeId, text: &str, beside: Beside) {
        let text = text.trim();
        let Some(node) = self.tables.node(id) else { return };
        if text.is_empty() {
            return;
        }
        self.found.secret |= node.secret;
        let kind = match &node.content {
            Content::Simple(simple) => self.tables.simple_type(*simple),
            _ => None,
        };
        let local = self.tables.local(node.name);
        match node.effect {
            AddressEffect::Destination => self.declared(local, text, kind, beside.port),
            AddressEffect::PossibleDestination => self.possible(local, text, kind, beside.port),
            AddressEffect::Selector => self.found.selector = true,
            AddressEffect::Start => self.found.egress |= !is_none(text),
            AddressEffect::Consumer => self.place(destination(text, DestinationKind::Consumer, None)),
            AddressEffect::AccessFilter => self.found.access_filter = true,
            AddressEffect::Listener if !beside.closed => self.listener(local, text),
            AddressEffect::Listener => {}
            AddressEffect::Identifier if names_an_interface(text) => {}
            _ if local == "FromDHCP" => self.choice(local, text),
            _ => self.free(text),
        }
    }

    fn declared(&mut self, local: &str, text: &str, kind: Option<&SimpleType>, port: Option<u16>) {
        if is_choice(kind) {
            return self.choice(local, text);
        }
        for word in text.split_whitespace().filter(|word| !is_none(word)) {
            self.found.egress = true;
            self.place(destination(word, DestinationKind::Declared, port));
        }
    }

    fn possible(&mut self, local: &str, text: &str, kind: Option<&SimpleType>, port: Option<u16>) {
        let names_host = kind.is_some_and(|it| it.address == Some(AddressKind::HostName));
        match is_choice(kind) {
            true => self.choice(local, text),
            false if names_host => self.declared(local, text, kind, port),
            false if is_address(text) => self.free(text),
            false => self.machines(text),
        }
    }

    /// Programs in cameras guess a scheme, take a host before a path, or read an address among other words.
    fn machines(&mut self, text: &str) {
        for (host, port) in machines(text) {
            self.found.egress = true;
            let place = destination(&host, DestinationKind::Text, None);
            self.place(place.map(|it| Destination { port: it.port.or(port), ..it }));
        }
    }

    /// A flag or one of several words at a node that can hand the choice of servers to somebody else:
    /// `DHCP` of an interface, `FromDHCP` of name and time servers, `DateTimeType=NTP`, remote discovery, dynamic
    /// DNS. Written as `dhcp=true`, which is in no named network.
    fn choice(&mut self, local: &str, text: &str) {
        if is_none(text) || matches!(text, "Off" | "Manual" | "NoUpdate" | "NonDiscoverable") {
            return;
        }
        self.found.egress = true;
        self.place(Some(named(format!("{local}={text}"), DestinationKind::Declared)));
    }

    /// An address of the camera's own, or the port or switch of one of its services.
    fn listener(&mut self, local: &str, text: &str) {
        if is_none(text) {
            return;
        }
        self.found.listener = true;
        match text.parse::<u16>() {
            Ok(port) => {
                let place = named(local.to_owned(), DestinationKind::Listener);
                self.place(Some(Destination { port: Some(port), ..place }));
            }
            Err(_) if text == "true" => {}
            Err(_) => self.place(destination(text, DestinationKind::Listener, None)),
        }
    }

    /// Text of any other node is a destination if, as a whole, it is an address or a URI with an authority.
    fn free(&mut self, text: &str) {
        if is_address(text) && !is_none(text) {
            self.found.egress = true;
            let address = destination(text, DestinationKind::Text, None);
            self.place(address.map(|it| Destination { host: masked(text), ..it }));
        }
    }

    fn place(&mut self, place: Option<Destination>) {
        if let Some(mut place) = place {
            cut(&mut place.host);
            let full = self.found.places.len() > COMMAND_DESTINATIONS_MAX;
            if !full && !self.found.places.contains(&place) {
                self.found.places.push(place);
            }
        }
    }
}

/// Values that give no destination: empty, zero, unspecified. `Multicast` is mandatory in encoder settings,
/// so clients send it whether they want it or not.
pub(super) fn is_none(text: &str) -> bool {
    matches!(text, "" | "0" | "false") || parse_ip_literal(text).is_some_and(|ip| ip.is_unspecified())
}

/// Whether a type offers fixed words only.
fn is_choice(kind: Option<&SimpleType>) -> bool {
    kind.is_some_and(|it| {
        it.variety == Variety::Atomic(Builtin::Boolean) || !it.facets.enumeration.is_empty()
    })
}

/// Whether a text is, as a whole, an address or a URI with an authority. Network-path references
/// (`//host/..`, RFC 3986 §4.2) and UNC paths name a host without a scheme.
pub fn is_address(text: &str) -> bool {
    parse_ip_literal(text).is_some()
        || text.parse::<SocketAddr>().is_ok()
        || text.contains("://")
        || text.starts_with("//")
        || text.starts_with("\\\\")
}

fn destination(text: &str, kind: DestinationKind, port: Option<u16>) -> Option<Destination> {
    if let Some(address) = parse_ip_literal(text) {
        return Some(literal(address, kind, port));
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(literal(socket.ip(), kind, Some(socket.port())));
    }
    let Some(uri) = Uri::parse(text) else {
        return Some(Destination { port, ..named(masked(text), kind) });
    };
    let port = uri.port.or(port);
    Some(match uri.host {
        Host::Ip(address) => literal(address, kind, port),
        Host::Name(name) => Destination { port, ..named(name.to_owned(), kind) },
    })
}

/// The address in a text that is an address or a URI, as a destination has it.
pub fn address_in(text: &str) -> Option<IpAddr> {
    destination(text, DestinationKind::Text, None)?.address
}

fn literal(address: IpAddr, kind: DestinationKind, port: Option<u16>) -> Destination {
    let address = address.to_canonical();
    Destination { kind, host: address.to_string(), address: Some(address), port }
}

fn named(host: String, kind: DestinationKind) -> Destination {
    Destination { kind, host: host.to_ascii_lowercase(), address: None, port: None }
}

fn cut(text: &mut String) {
    let fits = |at: &usize| text.is_char_boundary(*at);
    let end = (0..=DESTINATION_TEXT_BYTES_MAX.min(text.len())).rev().find(fits).unwrap_or(0);
    text.truncate(end);
}

/// Whether a URI names an interface, a dialect, a coordinate space or a scope of the public standards, which
/// nobody dials.
pub fn names_an_interface(text: &str) -> bool {
    const HOSTS: [&str; 4] = ["www.onvif.org", "docs.oasis-open.org", "www.w3.org", "schemas.xmlsoap.org"];
    let lower = text.trim().to_ascii_lowercase();
    if lower.starts_with("urn:") || lower.starts_with("onvif://www.onvif.org/") {
        return true;
    }
    let rest = lower.strip_prefix("http://").or_else(|| lower.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    host.is_some_and(|host| HOSTS.contains(&host))
}

/// Strips user names and passwords from every URI in a JSON value.
pub(super) fn mask_userinfo(value: &mut Json) {
    match value {
        Json::String(text) if text.contains("://") => *text = masked(text),
        Json::Array(items) => items.iter_mut().for_each(mask_userinfo),
        Json::Object(members) => members.values_mut().for_each(mask_userinfo),
        _ => {}
    }
}

/// The text with `***` for the userinfo of every URI in it.
fn masked(text: &str) -> String {
    let mut parts = text.split("://");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("://");
        let end = part.find(['/', '?', '#', ' ', '\t', '\r', '\n', '"', '\'', '<']).unwrap_or(part.len());
        let (authority, rest) = part.split_at_checked(end).unwrap_or((part, ""));
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str("***@");
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
        out.push_str(rest);
    }
    out
}
