//! The verifier: what a camera answered is what was asked, and names no address of the camera's side.
//!
//! Addresses that stand where the schema says they stand are the facade's to rewrite. Here every *other*
//! text is searched, and after the rewriting everything once more.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::IpNet;

use crate::{
    inventory::{Camera, Zone},
    limits::CAMERA_NAMES_MAX,
    onvif::{is_address, names_an_interface},
    schema::{
        AddressEffect, Document, Edit, OperationId, RewriteError, Tables, Value,
        address::{
            FoundAddress, Host, Uri, find_addresses, find_numeric_ipv4, is_host_name, parse_ip_literal,
        },
        spelling::{Spellings, folded, from_base64, stands_in, unescaped},
    },
    soap::Fault,
};

/// Why an answer or a request may not cross.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The camera answered something else.
    #[error("the camera answered `{0}`, which is not the answer to what was asked")]
    OtherOperation(String),
    /// The answer holds an address of the camera's side in a place it cannot do without.
    #[error("`{0}` of the answer names an address of the camera's network")]
    CameraAddress(String),
    /// The request holds an address of the core side.
    #[error("`{0}` of the request names an address of the core network")]
    CoreAddress(String),
}

/// Which addresses belong to one camera's side of the gateway.
#[derive(Debug, Clone, Default)]
pub struct AddressRules {
    /// The camera's own addresses: the enrolled one and others it was seen with.
    own: Vec<Spellings>,
    /// Names the camera has on its network, lower case.
    names: Vec<String>,
    /// The addresses of its zone.
    prefixes: Vec<IpNet>,
    /// The gateway's addresses as clients see them, which may lie among the above where nothing is isolated
    /// (demo, tests): allowed with these ports.
    advertised: Vec<(IpAddr, u16)>,
}

impl AddressRules {
    /// The rules for one camera.
    pub fn new(camera: &Camera, zone: &Zone) -> Self {
        let mut rules = Self {
            prefixes: zone.prefixes.clone(),
            advertised: advertised(camera).filter_map(|it| authority(it)).collect(),
            ..Self::default()
        };
        rules.add_address(camera.address.host);
        rules
    }

    /// Takes up another address of the camera, up to a number.
    pub fn add_address(&mut self, address: IpAddr) {
        let address = address.to_canonical();
        let known = self.own.iter().any(|it| it.address == address);
        if !known && !address.is_unspecified() && self.own.len() < CAMERA_NAMES_MAX {
            self.own.push(Spellings::new(address));
        }
    }

    /// Takes up a name of the camera, up to a number. Names of less than four bytes would be found everywhere.
    pub fn add_name(&mut self, name: &str) {
        let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
        if name.len() >= 4 && self.names.len() < CAMERA_NAMES_MAX && !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    /// Whether a value that no address belongs in names one.
    pub(super) fn is_named_by(&self, tables: &Tables, value: &Value<'_>) -> bool {
        self.hits(value.text, kind(tables, value, Kind::Free))
    }

    /// Whether a text names the camera or anything in its zone, or, where that is looked for, any network that
    /// is not public.
    fn hits(&self, text: &str, kind: Kind) -> bool {
        let text = unescaped(text);
        (self.could_hit(&text) && self.names_camera(&folded(&text), kind))
            || from_base64(&text).any(|inside| self.names_camera(&inside, kind))
    }

    fn names_camera(&self, lower: &str, kind: Kind) -> bool {
        find_addresses(lower).any(|found| self.is_foreign(&found, kind))
            || find_numeric_ipv4(lower).any(|(address, parts)| {
                !self.is_shared(address.into())
                    && (self.is_own(address.into()) || (parts == 4 && self.is_in_zone(address.into(), kind)))
            })
            || self.names.iter().any(|name| stands_in(lower, name))
            || self.is_spelt_out(lower)
            || (matches!(kind, Kind::Free | Kind::Hardware)
                && host_names(lower).any(|name| is_local_name(name, None)))
    }

    /// Whether it is worth looking closely: most texts of an answer are numbers and tokens. An address literal
    /// or URI has a dot or colon; every other spelling of an IPv4 address has four digits or begins with `0x`;
    /// anything can hide behind letters beyond ASCII. Escapes have been resolved.
    fn could_hit(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        // Most settings are small numbers; an address as one number has eight digits.
        if bytes.len() < 8 && self.names.is_empty() && bytes.iter().all(u8::is_ascii_digit) {
            return false;
        }
        let told = |byte: &u8| matches!(byte, b'.' | b':' | 128..);
        let digits = || bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
        let hexadecimal = || bytes.windows(2).any(|pair| matches!(pair, [b'0', b'x' | b'X']));
        bytes.len() >= 3
            && (bytes.iter().any(told) || !self.names.is_empty() || digits() >= 4 || hexadecimal())
    }

    fn is_foreign(&self, found: &FoundAddress<'_>, kind: Kind) -> bool {
        let anywhere = match kind {
            Kind::Free | Kind::Space | Kind::Hardware => true,
            // No version has a scheme.
            Kind::Version => found.scheme.is_some(),
            Kind::Placed => false,
        };
        // A login of the camera's is nobody's to read, whoever it is for.
        if found.userinfo && anywhere {
            return true;
        }
        match found.host {
            Host::Ip(address) if self.is_advertised(address, found.port) => false,
            Host::Ip(address) => {
                let address = carried(address);
                self.is_own(address)
                    || self.is_in_zone(address, kind)
                    || (anywhere && is_not_public(address, found, kind))
            }
            Host::Name(name) => {
                let name = name.trim_end_matches('.');
                let scheme = found.scheme.filter(|_| kind != Kind::Space);
                self.names.iter().any(|own| own == name) || (anywhere && is_local_name(name, scheme))
            }
        }
    }

    fn is_own(&self, address: IpAddr) -> bool {
        self.own.iter().any(|it| it.address == address)
    }

    fn is_in_zone(&self, address: IpAddr, kind: Kind) -> bool {
        kind != Kind::Version && self.prefixes.iter().any(|prefix| prefix.contains(&address))
    }

    /// The camera's own address in other spellings, or stuck to a word. Not looked for where clients see the
    /// gateway at the same address.
    fn is_spelt_out(&self, lower: &str) -> bool {
        self.own.iter().any(|it| !self.is_shared(it.address) && it.stand_in(lower))
    }

    fn is_shared(&self, address: IpAddr) -> bool {
        self.advertised.iter().any(|(own, _)| *own == address)
    }

    fn is_advertised(&self, address: IpAddr, port: Option<u16>) -> bool {
        let fits = |(own, own_port): &(IpAddr, u16)| *own == address && port.unwrap_or(80) == *own_port;
        self.advertised.iter().any(fits)
    }
}

/// What a text is, which says how much counts as an address in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A text of the camera's that no address belongs in.
    Free,
    /// The same, a namespace: makers call theirs by bare words, too.
    Space,
    /// The same, of hardware: `10.1.2.3` may be its version.
    Hardware,
    /// A version number, where four numbers with dots are no address unless they are the camera's own.
    Version,
    /// A text that may name machines other than the camera and those of its zone.
    Placed,
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64 (RFC 6052 §2.1) and 6to4.
fn carried(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else { return address.to_canonical() };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::from(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match (a, b, [c, d, e, f]) {
        (0, 0, [0, 0, 0, 0]) if g != 0 => v4(g, h),
        (0x64, 0xff9b, [0, 0, 0, 0]) => v4(g, h),
        (0x2002, ..) => v4(b, c),
        _ => address,
    }
}

/// Whether an address in free text names a machine of some network that is not public: what a camera kept of
/// where it was before it came into its zone, or who logs in to it from where.
fn is_not_public(address: IpAddr, found: &FoundAddress<'_>, kind: Kind) -> bool {
    if address.is_unspecified() {
        return false;
    }
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && (64..128).contains(&second);
            let version = first == 10 && kind == Kind::Hardware && found.port.is_none();
            found.scheme.is_some() || (v4.is_private() && !version) || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => found.scheme.is_some() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Whether a name is one that only a local network has. Without a scheme before it, it may be any word.
fn is_local_name(name: &str, scheme: Option<&str>) -> bool {
    const ZONES: [&str; 4] = ["local", "lan", "localdomain", "arpa"];
    const ZONES_OF_URIS: [&str; 3] = ["home", "internal", "intranet"];
    const DIALLED: [&str; 9] = ["http", "https", "rtsp", "rtsps", "ftp", "sftp", "ws", "wss", "smb"];
    match name.rsplit_once('.') {
        Some((_, zone)) => ZONES.contains(&zone) || (scheme.is_some() && ZONES_OF_URIS.contains(&zone)),
        None => scheme.is_some_and(|it| DIALLED.contains(&it)),
    }
}

/// Whether a value that may name some machine does: an address however it is written, a URI, a path on
/// another machine, a host name.
pub fn names_host(text: &str) -> bool {
    let named = |lower: &str| {
        lower.starts_with("//")
            || lower.starts_with("\\\\")
            || lower.contains("://")
            || find_addresses(lower).next().is_some()
            || find_numeric_ipv4(lower).next().is_some()
            || host_names(lower).next().is_some()
    };
    let text = unescaped(text);
    named(&folded(&text)) || from_base64(&text).any(|inside| named(&inside))
}

/// Words of several labels, the last of letters, as names of hosts are.
fn host_names(lower: &str) -> impl Iterator<Item = &str> {
    let words = lower.split(|it: char| !(it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_')));
    words.map(|word| word.trim_matches('.')).filter(|word| {
        let last = word.rsplit_once('.').map(|(_, last)| last);
        is_host_name(word)
            && last.is_some_and(|it| it.len() > 1 && it.bytes().all(|byte| byte.is_ascii_alphabetic()))
    })
}

/// An answer that may go on, and what was taken out of it.
#[derive(Debug)]
pub struct Verified<'a> {
    /// The answer, untouched if nothing had to go.
    pub document: Cow<'a, Document>,
    /// The names of values that were dropped for the addresses in them.
    pub dropped: Vec<String>,
}

/// Checks that an answer is the answer to what was asked, and takes out optional texts that name the
/// camera's side; if such a text is mandatory the whole answer is refused.
pub fn verify<'a>(
    tables: &Tables,
    operation: OperationId,
    answer: &'a Document,
    rules: &AddressRules,
) -> Result<Verified<'a>, VerifyError> {
    let output = tables.operation(operation).and_then(|it| it.output);
    if output != Some(answer.root().node()) {
        return Err(VerifyError::OtherOperation(tables.qualified(answer.root().name())));
    }
    let is_hit = |value: &Value<'_>| {
        let effect = tables.node(value.node).map(|node| node.effect);
        let plain = match effect {
            None | Some(AddressEffect::None | AddressEffect::Identifier) => true,
            // It stays as it is.
            Some(AddressEffect::Reference) => names_an_interface(value.text),
            Some(_) => false,
        };
        plain && rules.is_named_by(tables, value)
    };
    let dropped: Vec<String> = answer.values().filter(is_hit).map(|it| name(tables, &it)).collect();
    let Some(first) = dropped.first().cloned() else {
        return Ok(Verified { document: Cow::Borrowed(answer), dropped });
    };
    let mut drop = |value: &Value<'_>| if is_hit(value) { Edit::Drop } else { Edit::Keep };
    let document = answer.rewrite(tables, &mut drop).map_err(|_| VerifyError::CameraAddress(first))?;
    Ok(Verified { document: Cow::Owned(document), dropped })
}

/// The last look before an answer leaves: no value of any kind names the camera's side, nor a namespace or a
/// name of a topic, which the camera chooses freely.
pub fn assert_clean(tables: &Tables, answer: &Document, rules: &AddressRules) -> Result<(), VerifyError> {
    let is_hit = |value: &Value<'_>| rules.hits(value.text, kind(tables, value, Kind::Placed));
    if let Some(value) = answer.values().find(is_hit) {
        return Err(VerifyError::CameraAddress(name(tables, &value)));
    }
    if answer.own_namespaces().any(|uri| rules.hits(uri, Kind::Space)) {
        return Err(VerifyError::CameraAddress("xmlns".to_owned()));
    }
    if answer.topics().any(|name| rules.hits(name, Kind::Free)) {
        return Err(VerifyError::CameraAddress("a topic".to_owned()));
    }
    Ok(())
}

/// What a camera tells unasked, without addresses: metadata of a stream, events. They lead nowhere from there, so what
/// may be left out is, and the rest stands empty.
pub fn cleansed(tables: &Tables, document: &Document, rules: &AddressRules) -> Result<Document, VerifyError> {
    let mut edit = |value: &Value<'_>| {
        let node = tables.node(value.node);
        let effect = node.map_or(AddressEffect::None, |it| it.effect);
        let plain = matches!(effect, AddressEffect::None | AddressEffect::Identifier);
        let hit = if plain { rules.is_named_by(tables, value) } else { names_host(value.text) };
        match node {
            _ if !hit => Edit::Keep,
            Some(node) if !plain && node.occurs.min > 0 => Edit::Replace(String::new()),
            _ => Edit::Drop,
        }
    };
    let named = |error: RewriteError| VerifyError::CameraAddress(error.to_string());
    let document = document.rewrite(tables, &mut edit).map_err(named)?;
    assert_clean(tables, &document, rules)?;
    Ok(document)
}

/// A camera's fault as a client may see it: without codes that name its network, and with a plain reason if
/// the camera's does.
pub fn clean_fault(mut fault: Fault, rules: &AddressRules) -> Fault {
    fault.subcodes.retain(|code| !rules.hits(code.as_str(), Kind::Free));
    if rules.hits(&fault.reason, Kind::Free) {
        fault.reason = "the camera refused the request".to_owned();
    }
    fault
}

/// Checks that free text of a request names neither the caller nor the gateway as the core network sees
/// them. Declared destinations are policy's to judge: one that is allowed passes, and what else stands in its URI
/// is searched like any text.
pub fn verify_request(tables: &Tables, request: &Document, core: &CoreAddresses) -> Result<(), VerifyError> {
    let is_hit = |value: &Value<'_>| {
        let effect = tables.node(value.node).map_or(AddressEffect::None, |node| node.effect);
        let text = match effect {
            AddressEffect::AccessFilter => return false,
            AddressEffect::Destination => beside_host(value.text),
            AddressEffect::PossibleDestination if is_address(value.text.trim()) => beside_host(value.text),
            _ => Cow::Borrowed(value.text),
        };
        core.0.hits(&text, kind(tables, value, Kind::Placed))
    };
    if let Some(value) = request.values().find(is_hit) {
        return Err(VerifyError::CoreAddress(name(tables, &value)));
    }
    // They go along with what is written in them.
    if request.own_namespaces().any(|uri| core.0.hits(uri, Kind::Placed)) {
        return Err(VerifyError::CoreAddress("xmlns".to_owned()));
    }
    if request.topics().any(|name| core.0.hits(name, Kind::Placed)) {
        return Err(VerifyError::CoreAddress("a topic".to_owned()));
    }
    Ok(())
}

/// What stands in a destination beside the host that policy judged: user, path, query and fragment of a URI.
fn beside_host(text: &str) -> Cow<'_, str> {
    let Some(uri) = Uri::parse(text.trim()) else { return Cow::Borrowed("") };
    let user = uri.userinfo.unwrap_or_default();
    Cow::Owned(format!("{user} {} {}", uri.path_and_query(), uri.fragment.unwrap_or_default()))
}

/// The core-side addresses that no camera may learn.
#[derive(Debug, Clone, Default)]
pub struct CoreAddresses(AddressRules);

impl CoreAddresses {
    /// The caller's address, and the gateway's as clients of this camera see it.
    pub fn new(caller: Option<IpAddr>, camera: &Camera) -> Self {
        let mut rules = AddressRules::default();
        for shown in advertised(camera) {
            match authority(shown) {
                Some((address, _)) => rules.add_address(address),
                None => {
                    let host = shown.rsplit_once(':').map_or(shown.as_str(), |(host, _)| host);
                    // A bare word could stand in any text.
                    if host.contains('.') {
                        rules.add_name(host);
                    }
                }
            }
        }
        let listened = camera.doors().map(|at| at.ip());
        caller.into_iter().chain(listened).for_each(|address| rules.add_address(address));
        Self(rules)
    }
}

/// What clients are shown the gateway as, for one camera: `host:port`.
fn advertised(camera: &Camera) -> impl Iterator<Item = &String> {
    let secure = camera.secure.as_ref().map(|it| &it.advertise);
    let streams = [&camera.advertise_rtsp].into_iter().chain(&camera.advertise_rtsps);
    [&camera.advertise].into_iter().chain(streams).chain(secure)
}

fn name(tables: &Tables, value: &Value<'_>) -> String {
    tables.node(value.node).map_or_else(String::new, |node| tables.qualified(node.name))
}

/// `tds:FirmwareVersion` and the like: `10.2.3.4` is a version there.
fn kind(tables: &Tables, value: &Value<'_>, otherwise: Kind) -> Kind {
    match tables.node(value.node).map_or("", |node| tables.local(node.name)) {
        local if local.ends_with("Version") => Kind::Version,
        "HardwareId" if otherwise == Kind::Free => Kind::Hardware,
        _ => otherwise,
    }
}

/// `host:port` with an IP literal for a host.
fn authority(text: &str) -> Option<(IpAddr, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, 80),
    };
    parse_ip_literal(host).map(|address| (address.to_canonical(), port))
}
