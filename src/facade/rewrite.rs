//! The rewriting of answers: every address a camera names becomes one of the gateway's own, or goes.

use std::{collections::VecDeque, net::Ipv4Addr};

use super::{
    asked::{Asked, Entrance},
    locators::{Locator, LocatorError, LocatorKind, Named},
    services::{self, DEVICE},
    virtual_camera::Facade,
};
use crate::{
    auth::Fingerprint,
    hatch::names_host,
    inventory::EventsWay,
    limits::{
        LOCATOR_FIELD_BYTES_MAX, LOCATORS_PER_ANSWER_MAX, STREAM_URI_BYTES_MAX, SUBSCRIPTIONS_PER_CLIENT_MAX,
    },
    onvif::{CONCRETE, CONCRETE_SET, ITEM_FILTER, names_an_interface},
    schema::{
        AddressEffect, AddressKind, Content, Document, Edit, Element, Node, NodeId, NodeKind, OperationId,
        RewriteError, Tables, Value,
        address::{Uri, parse_ip_literal},
    },
    soap::Fault,
};

/// Why an answer cannot be shown to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RewriteRefusal {
    /// It leads to something the gateway does not carry yet.
    #[error("the gateway does not offer {0} yet")]
    NotOffered(&'static str),
    /// The camera's address for a stream or picture is none the gateway can dial.
    #[error("the camera gave no usable address")]
    Address,
    /// The address found no place among the camera's locators.
    #[error("no locator could be made")]
    Locator(#[from] LocatorError),
    /// It names more than any camera has.
    #[error("the answer names more than {LOCATORS_PER_ANSWER_MAX} addresses")]
    TooMany,
    /// It is a list of what the camera offers that is longer than any.
    #[error("the camera's list of what it offers is too long")]
    LongList,
    /// An address stands where the answer cannot do without it.
    #[error("an address of the camera cannot be taken out of the answer")]
    Document(#[source] RewriteError),
}

impl RewriteRefusal {
    /// What the client is told.
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotOffered(_) => Fault::action_not_supported(self.to_string()),
            Self::Address | Self::Locator(_) | Self::TooMany | Self::LongList | Self::Document(_) => {
                Fault::action_failed(self.to_string())
            }
        }
    }
}

impl Facade {
    /// Rewrites every address in a verified answer by its effect.
    ///
    /// The locators made for it must be kept before it leaves.
    pub fn rewrite_answer(
        &self,
        operation: OperationId,
        asked: Asked<'_>,
        answer: &Document,
    ) -> Result<(Document, Vec<Named>), RewriteRefusal> {
        let row = self.shared.tables.operation(operation);
        let files = row
            .filter(|it| matches!(&*it.service, DEVICE | "media2"))
            .map(|it| format!("{}:{}", it.prefix, it.name));
        let information = row.is_some_and(|it| &*it.name == "GetDeviceInformation");
        let mut dialects = row
            .filter(|it| &*it.service == "events" && &*it.name == "GetEventProperties")
            .map(|_| Dialects::of(answer));
        let ports = multicast_ports(&self.shared.tables, answer);
        let (mut refusal, mut made) = (None, Vec::new());
        let rewritten = answer.rewrite(&self.shared.tables, &mut |value| {
            if information && let Some(shown) = self.shown_information(value) {
                return Edit::Replace(shown);
            }
            if ports.contains(&value.node) {
                return Edit::Replace("0".to_owned());
            }
            if let Some(edit) = dialects.as_mut().and_then(|it| it.edit(value.local)) {
                return edit;
            }
            self.edit(value, asked, files.as_deref(), &mut made).unwrap_or_else(|why| {
                refusal.get_or_insert(why);
                Edit::Refuse("refused")
            })
        });
        match (refusal, rewritten) {
            (Some(why), _) => Err(why),
            (None, rewritten) => {
                let shown = rewritten.map_err(RewriteRefusal::Document)?;
                let shown = self.with_own_capabilities(operation, shown).map_err(RewriteRefusal::Document)?;
                Ok((shown, made))
            }
        }
    }

    /// Says where streams are had in WebSockets, and how many may pull events, whether the camera has that or not: it is
    /// the gateway's affair.
    fn with_own_capabilities(
        &self,
        operation: OperationId,
        answer: Document,
    ) -> Result<Document, RewriteError> {
        let tables = &*self.shared.tables;
        let row = tables.operation(operation).filter(|it| &*it.name == "GetServiceCapabilities");
        let (place, name, text) = match row.map(|it| &*it.service) {
            Some("media2") => ("StreamingCapabilities", SOCKETS_URI, self.sockets_address()),
            Some("replay") => ("Capabilities", SOCKETS_URI, self.sockets_address()),
            Some("events") => ("Capabilities", PULL_POINTS, self.carried(PULL_POINTS).unwrap_or_default()),
            _ => return Ok(answer),
        };
        answer.with_attribute(tables, &|element| element.local() == place, (name, &text))
    }

    /// What the camera is asked in place of a request for a stream's address: its own transport is the gateway's
    /// affair, so it is asked for plain RTSP whatever the client would have, or for RTSP over TLS if that is how its streams
    /// are had. None for any other request.
    pub fn asked_of_camera(
        &self,
        operation: OperationId,
        request: &Document,
    ) -> Result<Option<Document>, RewriteRefusal> {
        let row = self.shared.tables.operation(operation);
        let Some(row) = row.filter(|it| matches!(&*it.name, "GetStreamUri" | "GetReplayUri")) else {
            return Ok(None);
        };
        let usual = match &*row.service {
            "media2" if self.camera.has_secure_streams() && self.camera.streams.secure_port.is_none() => {
                RTSP_OVER_TLS
            }
            "media2" => "RtspUnicast",
            _ => "RTSP",
        };
        let named: &[&str] = if &*row.service == "media2" { &MEDIA2_PROTOCOLS } else { &MEDIA1_PROTOCOLS };
        let mut refusal = None;
        let asked = request.rewrite(&self.shared.tables, &mut |value| {
            let offered = match (value.local, value.text.trim()) {
                ("Stream", "RTP-Multicast") | ("Protocol", "RtspMulticast" | "RtspsMulticast") => {
                    Err("multicast streams")
                }
                ("Protocol", RTSP_OVER_TLS) if self.camera.advertise_rtsps.is_none() => {
                    Err("streams over TLS, since it has no certificate for that,")
                }
                ("Protocol", text) if !named.contains(&text) => Err("streams by this protocol"),
                ("Protocol", text) if text != usual => Ok(Edit::Replace(usual.to_owned())),
                _ => Ok(Edit::Keep),
            };
            offered.unwrap_or_else(|what| {
                refusal = Some(RewriteRefusal::NotOffered(what));
                Edit::Refuse("refused")
            })
        });
        match refusal {
            Some(why) => Err(why),
            None => asked.map(Some).map_err(RewriteRefusal::Document),
        }
    }

    /// The camera can be replaced behind the gateway: its serial number is not what clients see.
    fn shown_information(&self, value: &Value<'_>) -> Option<String> {
        match value.local {
            "SerialNumber" => Some(self.identity.serial.clone()),
            "Manufacturer" => self.camera.manufacturer.clone(),
            "Model" => self.camera.model.clone(),
            _ => None,
        }
    }

    /// Secret for what it tells, not a credential: the text of a log, a policy file, a card's data. Whether
    /// the client may read it was decided by policy.
    fn is_content(&self, node: &Node) -> bool {
        matches!(self.shared.tables.local(node.name), "String" | "Data" | "Binary" | "Value")
    }

    fn edit(
        &self,
        value: &Value<'_>,
        asked: Asked<'_>,
        files: Option<&str>,
        made: &mut Vec<Named>,
    ) -> Result<Edit, RewriteRefusal> {
        let Some(node) = self.shared.tables.node(value.node) else { return Ok(Edit::Drop) };
        let (Asked { request, entrance }, text) = (asked, value.text.trim());
        let listed = value_root(request) == "GetServiceCapabilities";
        if let Some(carried) = self.carried(value.local).filter(|_| listed) {
            return Ok(Edit::Replace(carried));
        }
        Ok(match node.effect {
            // A credential that a camera holds (storage, broker, wireless) is the camera side's.
            AddressEffect::None | AddressEffect::Identifier if node.secret && !self.is_content(node) => {
                Edit::Drop
            }
            AddressEffect::None | AddressEffect::Identifier => Edit::Keep,
            _ if text.is_empty() => Edit::Keep,
            AddressEffect::Stream if value.local == SOCKETS_URI => Edit::Replace(self.sockets_address()),
            AddressEffect::Stream => {
                let root = value_root(request);
                let kind = if root == "GetReplayUri" { LocatorKind::Replay } else { LocatorKind::Stream };
                let token = self.locate(kind, text, request, made)?;
                let address = match asked_protocol(request).as_str() {
                    RTSP_OVER_HTTP | RTSP_OVER_HTTP_MEDIA1 => self.tunnel_address(&token, entrance),
                    protocol => self.stream_address(&token, protocol == RTSP_OVER_TLS),
                };
                if address.len() > STREAM_URI_BYTES_MAX {
                    return Err(RewriteRefusal::Address);
                }
                Edit::Replace(address)
            }
            AddressEffect::Snapshot => {
                let token = self.locate(LocatorKind::Snapshot, text, request, made)?;
                Edit::Replace(self.snapshot_address(&token, entrance))
            }
            AddressEffect::Service => self.service_edit(node, text, entrance),
            AddressEffect::Upload if let Some(files) = files => {
                let token = self.locate_file(LocatorKind::Upload, files, text, made)?;
                Edit::Replace(self.upload_address(&token, entrance))
            }
            AddressEffect::Upload => not_offered(node, "uploads to cameras")?,
            AddressEffect::Download if let Some(files) = files => {
                match self.locate_file(LocatorKind::Download, files, text, made) {
                    Ok(token) => Edit::Replace(self.download_address(&token, entrance)),
                    // One that leads nowhere is no reason to withhold the others.
                    Err(RewriteRefusal::Address | RewriteRefusal::NotOffered(_)) if node.occurs.min == 0 => {
                        Edit::Drop
                    }
                    Err(why) => return Err(why),
                }
            }
            AddressEffect::Download => not_offered(node, "downloads from cameras")?,
            AddressEffect::Subscription => not_offered(node, "subscriptions of cameras")?,
            AddressEffect::Multicast | AddressEffect::Start => Edit::Replace(self.unspecified(node, text)),
            AddressEffect::Reference if names_an_interface(text) => Edit::Keep,
            AddressEffect::Reference if node.occurs.min == 0 => Edit::Drop,
            AddressEffect::Reference => Edit::Replace(self.service_address(DEVICE, entrance)),
            AddressEffect::Own => self.own_edit(node, text, entrance),
            AddressEffect::StoredDestination
            | AddressEffect::Destination
            | AddressEffect::PossibleDestination
            | AddressEffect::Selector
            | AddressEffect::Listener
            | AddressEffect::Consumer
            | AddressEffect::AccessFilter => self.stored_edit(node, text),
        })
    }

    /// Makes a locator for an address of the camera and gives its token.
    fn locate(
        &self,
        kind: LocatorKind,
        text: &str,
        request: &Document,
        made: &mut Vec<Named>,
    ) -> Result<String, RewriteRefusal> {
        let uri = Uri::parse(text).ok_or(RewriteRefusal::Address)?;
        let streams = matches!(kind, LocatorKind::Stream | LocatorKind::Replay);
        let port = self.locator_port(kind, &uri).ok_or(RewriteRefusal::NotOffered(match streams {
            true if self.camera.has_secure_streams() => {
                "streams in clear, of a camera that is reached over TLS,"
            }
            true => "streams other than plain RTSP",
            false if uri.scheme.eq_ignore_ascii_case("https") => {
                "pictures over TLS of a camera that is not reached so"
            }
            false => "pictures by other protocols than HTTP",
        }))?;
        let endpoint = services::endpoint(&uri).ok_or(RewriteRefusal::Address)?;
        let endpoint = crate::hatch::Endpoint { port, ..endpoint };
        let locator = Locator {
            camera: self.camera.id.clone(),
            kind,
            profile: asked_token(request)?,
            protocol: asked_protocol(request),
            endpoint,
        };
        name(made, locator.token(&self.shared.key), locator)
    }

    /// Makes a locator for a file that an operation's answer names, and gives its token.
    fn locate_file(
        &self,
        kind: LocatorKind,
        named_by: &str,
        text: &str,
        made: &mut Vec<Named>,
    ) -> Result<String, RewriteRefusal> {
        let uri = Uri::parse(text).ok_or(RewriteRefusal::Address)?;
        let port =
            self.locator_port(kind, &uri).ok_or(RewriteRefusal::NotOffered("files by this protocol"))?;
        let endpoint = services::endpoint(&uri).ok_or(RewriteRefusal::Address)?;
        let endpoint = crate::hatch::Endpoint { port, ..endpoint };
        let address =
            format!("{}{}", port.map_or_else(String::new, |it| format!(":{it}")), endpoint.path_and_query);
        let locator = Locator {
            camera: self.camera.id.clone(),
            kind,
            profile: named_by.to_owned(),
            protocol: Fingerprint::of(address.as_bytes()).to_string(),
            endpoint,
        };
        name(made, locator.token(&self.shared.key), locator)
    }

    /// The port, if the scheme is one the gateway carries. None stands for the enrolled HTTP port, so streams
    /// always name theirs.
    fn locator_port(&self, kind: LocatorKind, uri: &Uri<'_>) -> Option<Option<u16>> {
        match kind {
            LocatorKind::Stream | LocatorKind::Replay => {
                let secure = self.camera.has_secure_streams();
                // Where the owner says at which port they are over TLS, it is all one what the camera names.
                let plain = !secure || self.camera.streams.secure_port.is_some();
                let usual = match uri.scheme.to_ascii_lowercase().as_str() {
                    "rtsps" if secure => RTSPS_PORT,
                    "rtsp" if plain => 554,
                    _ => return None,
                };
                Some(uri.port.or(Some(usual)))
            }
            LocatorKind::Snapshot | LocatorKind::Download | LocatorKind::Upload => {
                let port = services::http_port(uri, self.camera.certificates.is_some())?;
                Some(port.filter(|port| *port != self.camera.address.port))
            }
        }
    }

    /// Endpoints that are not in the list of services: attributes such as `RTSPWebSocketUri`.
    fn service_edit(&self, node: &Node, text: &str, entrance: Entrance) -> Edit {
        let heard = self.heard();
        let path = Uri::parse(text).map(|uri| uri.path_and_query());
        let known = heard.services.iter().find(|it| Some(&it.endpoint.path_and_query) == path.as_ref());
        match known {
            Some(it) => Edit::Replace(self.service_address(&it.service, entrance)),
            None if node.occurs.min == 0 => Edit::Drop,
            None => Edit::Replace(self.service_address(DEVICE, entrance)),
        }
    }

    /// Addresses and names of the camera itself.
    fn own_edit(&self, node: &Node, text: &str, entrance: Entrance) -> Edit {
        match self.address_kind(node) {
            Some(AddressKind::Mac) => Edit::Replace(self.identity.mac.clone()),
            Some(AddressKind::HostName) if node.occurs.min > 0 => {
                Edit::Replace(self.camera.id.as_str().to_owned())
            }
            Some(AddressKind::Uri) if node.occurs.min > 0 && names_host(text) => {
                Edit::Replace(self.service_address(DEVICE, entrance))
            }
            Some(AddressKind::HostName) => Edit::Drop,
            _ => self.stored_edit(node, text),
        }
    }

    /// Values that name some machine go; where the answer needs one, an empty or unspecified one stands.
    fn stored_edit(&self, node: &Node, text: &str) -> Edit {
        let typed = matches!(
            self.address_kind(node),
            Some(AddressKind::Ipv4 | AddressKind::Ipv6 | AddressKind::HostName)
        );
        let unspecified = parse_ip_literal(text).is_some_and(|address| address.is_unspecified());
        if unspecified || (!typed && !names_host(text)) {
            return Edit::Keep;
        }
        if node.occurs.min == 0 { Edit::Drop } else { Edit::Replace(self.unspecified(node, text)) }
    }

    fn unspecified(&self, node: &Node, text: &str) -> String {
        match self.address_kind(node) {
            // A group that is not shown does not start either: clients write back what they read.
            _ if node.effect == AddressEffect::Start => "false".to_owned(),
            Some(AddressKind::Ipv6) => "::".to_owned(),
            Some(AddressKind::Ipv4) => Ipv4Addr::UNSPECIFIED.to_string(),
            Some(AddressKind::Mac) => self.identity.mac.clone(),
            Some(AddressKind::HostName) => "invalid".to_owned(),
            Some(AddressKind::Uri) => String::new(),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => "0".to_owned(),
            None => String::new(),
        }
    }

    fn address_kind(&self, node: &Node) -> Option<AddressKind> {
        let Content::Simple(simple) = &node.content else { return None };
        self.shared.tables.simple_type(*simple)?.address
    }

    /// The camera's list of services as clients see it: known, let through, at the gateway's addresses.
    pub(super) fn show_services(
        &self,
        list: &Document,
        entrance: Entrance,
        capabilities: bool,
        offers: &dyn Fn(&str) -> bool,
    ) -> Option<Document> {
        let tables = &*self.shared.tables;
        let names = &self.shared.names;
        let service = |it: &Element<'_>| names.service(it.child("Namespace")?.text());
        let kept = list.retain_elements(tables, &mut |element| match element.local() {
            "Service" => service(element).is_some_and(offers),
            // Some cameras send it empty, which the interface forbids.
            "Capabilities" if stands_in_service(tables, element) => {
                capabilities && element.children().next().is_some()
            }
            _ => true,
        });
        let mut current = None;
        let shown = kept.ok()?.rewrite(tables, &mut |value| {
            match value.local {
                "Namespace" => current = names.service(value.text),
                "XAddr" => {
                    return current
                        .map_or(Edit::Drop, |it| Edit::Replace(self.service_address(it, entrance)));
                }
                _ => {}
            }
            self.capability_edit(value)
        });
        shown.ok()
    }

    /// The same for the older list of capabilities.
    pub(super) fn show_capabilities(
        &self,
        list: &Document,
        entrance: Entrance,
        wanted: &dyn Fn(&str) -> bool,
        offers: &dyn Fn(&str) -> bool,
    ) -> Option<Document> {
        let tables = &*self.shared.tables;
        let names = &self.shared.names;
        let kept = list.retain_elements(tables, &mut |element| {
            if element.child("XAddr").is_none() {
                return true;
            }
            let local = element.local();
            wanted(local) && names.category(local).is_some_and(offers)
        });
        let shown = kept.ok()?.rewrite(tables, &mut |value| {
            if value.local == "XAddr" {
                let category = tables.node(value.node).and_then(|node| tables.node(node.parent?));
                let service = category.and_then(|it| names.category(tables.local(it.name)));
                return service.map_or(Edit::Drop, |it| Edit::Replace(self.service_address(it, entrance)));
            }
            self.capability_edit(value)
        });
        shown.ok()
    }

    /// What the gateway says of a way for streams or events, whatever the camera says of its own.
    fn carried(&self, capability: &str) -> Option<String> {
        match capability {
            "WSPullPointSupport" | "MaxNotificationProducers" | PULL_POINTS
                if self.camera.events == EventsWay::Off =>
            {
                Some(if capability == "WSPullPointSupport" { "false" } else { "0" }.to_owned())
            }
            _ => carried(capability),
        }
    }

    /// What the gateway does not carry is not advertised: multicast, subscriptions, addresses of other
    /// transports.
    fn capability_edit(&self, value: &Value<'_>) -> Edit {
        if let Some(carried) = self.carried(value.local) {
            return Edit::Replace(carried);
        }
        let effect = self.shared.tables.node(value.node).map(|node| node.effect);
        match (value.local, effect) {
            (_, Some(AddressEffect::None | AddressEffect::Identifier)) => Edit::Keep,
            _ if value.text.is_empty() => Edit::Keep,
            _ => Edit::Drop,
        }
    }
}

/// The same, where the camera's events are had at all.
fn carried(capability: &str) -> Option<String> {
    let says = match capability {
        "RTPMulticast"
        | "AutoStartMulticast"
        | "RTP_TCP"
        | "NonAggregateControl"
        | "NoRTSPStreaming"
        | "SecureRTSPStreaming"
        | "WSSubscriptionPolicySupport"
        | "WSPausableSubscriptionManagerInterfaceSupport"
        // What a camera has kept (ONVIF Core §9.1.5) it has not kept for a client of the gateway's.
        | "PersistentNotificationStorage" => "false",
        "RTP_RTSP_TCP" | "RTSPStreaming" | "WSPullPointSupport" => "true",
        "MaxNotificationProducers" | PULL_POINTS => return Some(SUBSCRIPTIONS_PER_CLIENT_MAX.to_string()),
        _ => return None,
    };
    Some(says.to_owned())
}

/// The languages of filters that the gateway reads, in place of those that the camera reads.
struct Dialects {
    topics: VecDeque<&'static str>,
    contents: VecDeque<&'static str>,
}

impl Dialects {
    fn of(answer: &Document) -> Self {
        let listed = answer.root().children().filter(|it| it.local() == "TopicExpressionDialect").count();
        // A camera that lists one has to have both (ONVIF Core §9.6.3); the richer one is told.
        let topics = if listed == 1 { vec![CONCRETE_SET] } else { vec![CONCRETE, CONCRETE_SET] };
        Self { topics: topics.into(), contents: VecDeque::from([ITEM_FILTER]) }
    }

    fn edit(&mut self, local: &str) -> Option<Edit> {
        let left = match local {
            "TopicExpressionDialect" => &mut self.topics,
            "MessageContentFilterDialect" => &mut self.contents,
            "ProducerPropertiesFilterDialect" => return Some(Edit::Drop),
            _ => return None,
        };
        Some(left.pop_front().map_or(Edit::Drop, |it| Edit::Replace(it.to_owned())))
    }
}

/// Takes up a locator of an answer, once, and gives its token.
fn name(made: &mut Vec<Named>, token: String, locator: Locator) -> Result<String, RewriteRefusal> {
    if let Some(same) = made.iter_mut().find(|it| it.token == token) {
        same.locator = locator;
    } else if made.len() < LOCATORS_PER_ANSWER_MAX {
        made.push(Named { token: token.clone(), locator });
    } else {
        return Err(RewriteRefusal::TooMany);
    }
    Ok(token)
}

fn value_root(request: &Document) -> &str {
    request.root().local()
}

/// The profile, recording or engine a request asks about.
fn asked_token(request: &Document) -> Result<String, RewriteRefusal> {
    let token = request.root().children().find(|it| it.local().ends_with("Token"));
    let token = token.map_or("", |it| it.text().trim()).to_owned();
    if token.len() > LOCATOR_FIELD_BYTES_MAX { Err(RewriteRefusal::Address) } else { Ok(token) }
}

/// The protocol a request asks for: `RtspUnicast` (Media2), `RTP-Unicast/RTSP` (Media1, Replay). Media2 leaves
/// the word open: one that it does not name shares a locator with all such, so that no client can use up the
/// camera's locators by making words up.
fn asked_protocol(request: &Document) -> String {
    let root = request.root();
    let text = |path| root.find(path).map(|it| it.text().trim().to_owned());
    let setup = || {
        let stream = text("StreamSetup/Stream")?;
        Some(format!("{stream}/{}", text("StreamSetup/Transport/Protocol").unwrap_or_default()))
    };
    let named = |it: String| if MEDIA2_PROTOCOLS.contains(&it.as_str()) { it } else { "other".to_owned() };
    text("Protocol").map(named).or_else(setup).unwrap_or_default()
}

const SOCKETS_URI: &str = "RTSPWebSocketUri";
const PULL_POINTS: &str = "MaxPullPoints";
/// The port where an address of RTSP over TLS names none (RFC 2326 has none; this is what IANA registered).
const RTSPS_PORT: u16 = 322;
const RTSP_OVER_TLS: &str = "RtspsUnicast";
const RTSP_OVER_HTTP: &str = "RtspOverHttp";
const RTSP_OVER_HTTP_MEDIA1: &str = "RTP-Unicast/HTTP";
/// Of `TransportProtocol`: `TCP` is RTP without RTSP, which is not to be had.
const MEDIA1_PROTOCOLS: [&str; 3] = ["UDP", "RTSP", "HTTP"];
/// Media2 §5.4.1.
const MEDIA2_PROTOCOLS: [&str; 6] =
    ["RtspUnicast", "RtspMulticast", "RTSP", "RtspsUnicast", "RtspsMulticast", RTSP_OVER_HTTP];

/// `Port` beside a multicast group is shown as zero: a port without a group leads nowhere.
fn multicast_ports(tables: &Tables, answer: &Document) -> Vec<NodeId> {
    let mut ports = Vec::new();
    let groups = answer
        .values()
        .filter_map(|value| tables.node(value.node))
        .filter(|node| node.effect == AddressEffect::Multicast && node.kind == NodeKind::Element);
    for address in groups.filter_map(|group| group.parent) {
        let Some(node) = tables.node(address).filter(|it| tables.local(it.name) == "Address") else {
            continue;
        };
        let beside = node.parent.into_iter().flat_map(|around| tables.children(around));
        for (port, _) in beside.filter(|(_, it)| tables.local(it.name) == "Port") {
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
    }
    ports
}

/// Whether the element stands directly in an entry of the list of services. The capabilities of a service,
/// one level further down, have the same local name.
fn stands_in_service(tables: &Tables, element: &Element<'_>) -> bool {
    let outer = tables.node(element.node()).and_then(|node| tables.node(node.parent?));
    outer.is_some_and(|node| tables.local(node.name) == "Service")
}

fn not_offered(node: &Node, what: &'static str) -> Result<Edit, RewriteRefusal> {
    if node.occurs.min == 0 { Ok(Edit::Drop) } else { Err(RewriteRefusal::NotOffered(what)) }
}
