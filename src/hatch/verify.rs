//! The verifier: what a camera answered is what was asked, and names no address of the camera's side.
//!
//! Addresses that stand where the schema says they stand are the facade's to rewrite. Here every *other*
//! text is searched, and after the rewriting everything once more.

use std::{borrow::Cow, net::IpAddr};

use ipnet::IpNet;

use crate::{
    inventory::{Camera, Zone},
    limits::CAMERA_NAMES_MAX,
    schema::{
        AddressEffect, Document, Edit, Element, OperationId, Tables, Value,
        address::{Host, find_addresses, parse_ip_literal},
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
    own: Vec<Needles>,
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
        let secure = camera.secure.as_ref().map(|it| &it.advertise);
        let advertised = [&camera.advertise, &camera.advertise_rtsp].into_iter().chain(secure);
        let mut rules = Self {
            prefixes: zone.prefixes.clone(),
            advertised: advertised.filter_map(|it| authority(it)).collect(),
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
            self.own.push(Needles::new(address));
        }
    }

    /// Takes up a name of the camera, up to a number. Names of less than four bytes would be found everywhere.
    pub fn add_name(&mut self, name: &str) {
        let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
        if name.len() >= 4 && self.names.len() < CAMERA_NAMES_MAX && !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    /// Whether a text names the camera or anything in its zone. `version` says that the text is a version
    /// number, where four numbers with dots are no address unless they are the camera's own.
    fn hits(&self, text: &str, version: bool) -> bool {
        if !self.could_hit(text) {
            return false;
        }
        let decoded = if text.contains('%') { percent_decoded(text) } else { text.to_owned() };
        let lower = decoded.to_lowercase();
        let found = find_addresses(&lower).any(|found| match found.host {
            Host::Ip(address) => {
                !self.is_advertised(address, found.port) && self.is_inside(address.to_canonical(), version)
            }
            Host::Name(name) => self.names.iter().any(|own| own == name.trim_end_matches('.')),
        });
        found || self.names.iter().any(|name| stands_in(&lower, name)) || self.is_spelt_out(&lower)
    }

    /// Whether it is worth looking closely: most texts of an answer are numbers and tokens. An address literal
    /// or URI has a dot or colon; every other spelling of an IPv4 address has four digits or begins with `0x`;
    /// anything can hide behind percent signs.
    fn could_hit(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let told = |byte: &u8| matches!(byte, b'.' | b':' | b'%');
        let digits = || bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
        let hexadecimal = || bytes.windows(2).any(|pair| matches!(pair, [b'0', b'x' | b'X']));
        bytes.len() >= 3
            && (bytes.iter().any(told) || !self.names.is_empty() || digits() >= 4 || hexadecimal())
    }

    fn is_inside(&self, address: IpAddr, version: bool) -> bool {
        self.own.iter().any(|it| it.address == address)
            || (!version && self.prefixes.iter().any(|prefix| prefix.contains(&address)))
    }

    /// The camera's own address in other spellings, or stuck to a word. Not looked for where clients see the
    /// gateway at the same address.
    fn is_spelt_out(&self, lower: &str) -> bool {
        let shared = |it: &Needles| self.advertised.iter().any(|(address, _)| *address == it.address);
        self.own
            .iter()
            .filter(|it| !shared(it))
            .any(|it| it.spellings.iter().any(|one| stands_in(lower, one)))
    }

    fn is_advertised(&self, address: IpAddr, port: Option<u16>) -> bool {
        let fits = |(own, own_port): &(IpAddr, u16)| *own == address && port.unwrap_or(80) == *own_port;
        self.advertised.iter().any(fits)
    }
}

/// One address and the ways to write it.
#[derive(Debug, Clone)]
struct Needles {
    address: IpAddr,
    spellings: Vec<String>,
}

impl Needles {
    fn new(address: IpAddr) -> Self {
        let mut spellings = vec![address.to_string()];
        if let IpAddr::V4(v4) = address {
            let [a, b, c, d] = v4.octets();
            spellings.push(format!("{a}-{b}-{c}-{d}"));
            spellings.push(format!("{a}_{b}_{c}_{d}"));
            spellings.push(format!("{a:03}.{b:03}.{c:03}.{d:03}"));
            spellings.push(format!("0x{:08x}", v4.to_bits()));
            // Fewer digits would be found in any counter.
            spellings.extend(Some(v4.to_bits().to_string()).filter(|decimal| decimal.len() >= 9));
        }
        Self { address, spellings }
    }
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
        let plain = matches!(effect, None | Some(AddressEffect::None | AddressEffect::Identifier));
        plain && rules.hits(value.text, is_version(tables, value))
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
    let is_hit = |value: &Value<'_>| rules.hits(value.text, is_version(tables, value));
    if let Some(value) = answer.values().find(is_hit) {
        return Err(VerifyError::CameraAddress(name(tables, &value)));
    }
    let spaces = answer.namespaces(tables);
    if spaces.iter().any(|(_, uri)| rules.hits(uri, false)) {
        return Err(VerifyError::CameraAddress("xmlns".to_owned()));
    }
    clean_names(answer.root(), rules)
}

fn clean_names(element: Element<'_>, rules: &AddressRules) -> Result<(), VerifyError> {
    if rules.hits(element.local(), false) {
        return Err(VerifyError::CameraAddress("a topic".to_owned()));
    }
    element.children().try_for_each(|child| clean_names(child, rules))
}

/// A camera's fault as a client may see it: without codes that name its network, and with a plain reason if
/// the camera's does.
pub fn clean_fault(mut fault: Fault, rules: &AddressRules) -> Fault {
    fault.subcodes.retain(|code| !rules.hits(code.as_str(), false));
    if rules.hits(&fault.reason, false) {
        fault.reason = "the camera refused the request".to_owned();
    }
    fault
}

/// Checks that free text of a request names neither the caller nor the gateway as the core network sees
/// them. Declared destinations are policy's to judge: one that is allowed passes.
pub fn verify_request(tables: &Tables, request: &Document, core: &CoreAddresses) -> Result<(), VerifyError> {
    let is_hit = |value: &Value<'_>| {
        let effect = tables.node(value.node).map_or(AddressEffect::None, |node| node.effect);
        let judged = matches!(
            effect,
            AddressEffect::Destination
                | AddressEffect::PossibleDestination
                | AddressEffect::Selector
                | AddressEffect::Listener
                | AddressEffect::AccessFilter
        );
        !judged && core.0.hits(value.text, is_version(tables, value))
    };
    match request.values().find(is_hit) {
        Some(value) => Err(VerifyError::CoreAddress(name(tables, &value))),
        None => Ok(()),
    }
}

/// The core-side addresses that no camera may learn.
#[derive(Debug, Clone, Default)]
pub struct CoreAddresses(AddressRules);

impl CoreAddresses {
    /// The caller's address, and the gateway's as clients of this camera see it.
    pub fn new(caller: Option<IpAddr>, camera: &Camera) -> Self {
        let mut rules = AddressRules::default();
        for shown in [&camera.advertise, &camera.advertise_rtsp] {
            match authority(shown) {
                Some((address, _)) => rules.add_address(address),
                None => rules.add_name(shown.rsplit_once(':').map_or(shown, |(host, _)| host)),
            }
        }
        let listened = camera.listen.ip();
        caller.into_iter().chain([listened]).for_each(|address| rules.add_address(address));
        Self(rules)
    }
}

fn name(tables: &Tables, value: &Value<'_>) -> String {
    tables.node(value.node).map_or_else(String::new, |node| tables.qualified(node.name))
}

/// `tds:FirmwareVersion` and the like: `10.2.3.4` is a version there.
fn is_version(tables: &Tables, value: &Value<'_>) -> bool {
    tables.node(value.node).is_some_and(|node| tables.local(node.name).ends_with("Version"))
}

/// `host:port` with an IP literal for a host.
fn authority(text: &str) -> Option<(IpAddr, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, 80),
    };
    parse_ip_literal(host).map(|address| (address.to_canonical(), port))
}

/// Whether a needle stands in a text with neither a digit nor, for names, a letter touching it.
fn stands_in(text: &str, needle: &str) -> bool {
    let name = needle.bytes().any(|byte| byte.is_ascii_alphabetic());
    let touches =
        |side: Option<char>| side.is_some_and(|it| it.is_ascii_digit() || (name && it.is_alphanumeric()));
    text.match_indices(needle).any(|(at, _)| {
        let before = text.get(..at).and_then(|it| it.chars().next_back());
        let after = text.get(at + needle.len()..).unwrap_or_default();
        // `10.0.0.5.1` goes on, `10.0.0.5.` ends a sentence.
        let goes_on = after.strip_prefix('.').is_some_and(|rest| touches(rest.chars().next()) && !name);
        !touches(before) && !touches(after.chars().next()) && !goes_on
    })
}

/// The text with `%31` as `1`; other escapes are left as they are.
fn percent_decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let digits = after.get(..2).filter(|it| it.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|it| u8::from_str_radix(it, 16).ok()).filter(u8::is_ascii_graphic);
        match byte {
            Some(byte) => {
                out.push(byte.into());
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}
