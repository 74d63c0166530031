//! Messages of WS-Discovery: SOAP envelopes with one body, read tolerantly and within bounds. Pure.
//!
//! What a device says of itself is a claim: the types it has, the scopes it gives itself, the addresses it wants to be
//! called at. Nothing here is called. A question is cut nowhere: with part of its conditions it would be another.

use super::sought::{Rule, Sought};
use crate::{
    limits::{
        DISCOVERY_DEVICES_MAX, DISCOVERY_LIST_MAX, DISCOVERY_MESSAGE_BYTES_MAX, DISCOVERY_TEXT_BYTES_MAX,
        DISCOVERY_TYPES_BYTES_MAX,
    },
    schema::{
        mend::mend,
        xml::{XmlError, XmlEvent, XmlReader, utf8},
    },
    soap::{SOAP11, SOAP12},
};

/// Which WS-Discovery is spoken; ONVIF is written for the first, and who speaks is answered in kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Of April 2005.
    April2005,
    /// As OASIS published it in 2009.
    Oasis2009,
}

impl Dialect {
    /// Both.
    pub const ALL: [Self; 2] = [Self::April2005, Self::Oasis2009];

    /// The namespace of its messages.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::April2005 => "http://schemas.xmlsoap.org/ws/2005/04/discovery",
            Self::Oasis2009 => "http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01",
        }
    }

    /// That of the addressing which goes with it.
    pub fn addressing(self) -> &'static str {
        match self {
            Self::April2005 => "http://schemas.xmlsoap.org/ws/2004/08/addressing",
            Self::Oasis2009 => "http://www.w3.org/2005/08/addressing",
        }
    }

    fn of(namespace: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.namespace() == namespace)
    }
}

fn is_addressing(namespace: &str) -> bool {
    Dialect::ALL.iter().any(|it| it.addressing() == namespace)
}

/// What a message of devices is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A device says that it is there.
    Hello,
    /// A device says that it goes.
    Bye,
    /// Devices answer who looks for them.
    ProbeMatches,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// How it speaks.
    pub dialect: Dialect,
    /// Its own identifier.
    pub id: Option<String>,
    /// The identifier of the message that it answers.
    pub relates_to: Option<String>,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Devices speak of themselves.
    Devices(Kind, Vec<Device>),
    /// Somebody looks for devices like this.
    Probe(Sought),
    /// Somebody asks where the device of this endpoint is.
    Resolve(String),
}

impl Message {
    /// The devices that speak of themselves.
    pub fn devices(&self) -> &[Device] {
        match &self.body {
            Body::Devices(_, devices) => devices,
            Body::Probe(_) | Body::Resolve(_) => &[],
        }
    }
}

/// What a device says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Its stable name: the address of its endpoint reference.
    pub endpoint: String,
    /// What it is.
    pub types: Vec<TypeName>,
    /// Where it puts itself.
    pub scopes: Vec<String>,
    /// Where it wants to be called.
    pub addresses: Vec<String>,
    /// The version of all this.
    pub metadata_version: Option<u32>,
}

/// A type of a device, a qualified name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeName {
    /// Its namespace; empty if its prefix is not declared.
    pub namespace: String,
    /// Its local name.
    pub local: String,
}

impl Device {
    /// Whether it says that it is a device of ONVIF (Core §7.3.2.2: types and scopes).
    pub fn is_of_onvif(&self) -> bool {
        self.types.iter().any(|it| it.namespace.starts_with("http://www.onvif.org/"))
            || self.scopes.iter().any(|it| it.starts_with("onvif://www.onvif.org/"))
    }
}

/// Why a datagram is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not XML, or more of it than is read.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// Longer than any such message.
    #[error("a message of {0} bytes: {DISCOVERY_MESSAGE_BYTES_MAX} at most")]
    TooLong(usize),
    /// A question with more conditions, or longer ones, than anybody has.
    #[error(
        "a question with more than {DISCOVERY_LIST_MAX} conditions, or one longer than {DISCOVERY_TEXT_BYTES_MAX} bytes"
    )]
    TooMuch,
    /// Another protocol.
    #[error("no message of WS-Discovery")]
    Other,
}

/// Reads a datagram.
///
/// # Errors
/// It is no message of WS-Discovery.
pub fn read(bytes: &[u8]) -> Result<Message, MessageError> {
    if bytes.len() > DISCOVERY_MESSAGE_BYTES_MAX {
        return Err(MessageError::TooLong(bytes.len()));
    }
    let as_it_is = utf8(bytes).map_err(MessageError::from).and_then(read_text);
    match &as_it_is {
        Err(MessageError::Xml(refused)) => {
            let mended = mend(bytes, Some(refused)).and_then(|it| read_text(&it.text).ok());
            // Only what cameras say is put right: who asks is told what he did wrong.
            mended.filter(|it| matches!(it.body, Body::Devices(..))).map_or(as_it_is, Ok)
        }
        _ => as_it_is,
    }
}

fn read_text(text: &str) -> Result<Message, MessageError> {
    let mut reader = XmlReader::tolerant(text)?;
    let envelope = opened(&mut reader)?;
    if envelope.local != "Envelope" || ![SOAP11, SOAP12].contains(&envelope.namespace.as_str()) {
        return Err(MessageError::Other);
    }
    let (mut id, mut relates_to) = (None, None);
    while let Some(part) = child(&mut reader)? {
        match (part.local.as_str(), part.namespace == envelope.namespace) {
            ("Header", true) => header(&mut reader, &mut id, &mut relates_to)?,
            ("Body", true) => {
                let (dialect, body) = body(&mut reader)?;
                return Ok(Message { dialect, id, relates_to, body });
            }
            _ => reader.skip()?,
        }
    }
    Err(MessageError::Other)
}

fn header(
    reader: &mut XmlReader<'_>,
    id: &mut Option<String>,
    relates_to: &mut Option<String>,
) -> Result<(), MessageError> {
    while let Some(block) = child(reader)? {
        match (block.local.as_str(), is_addressing(&block.namespace)) {
            ("MessageID", true) => *id = Some(text(reader)?),
            ("RelatesTo", true) => *relates_to = Some(text(reader)?),
            _ => reader.skip()?,
        }
    }
    Ok(())
}

fn body(reader: &mut XmlReader<'_>) -> Result<(Dialect, Body), MessageError> {
    let message = child(reader)?.ok_or(MessageError::Other)?;
    let dialect = Dialect::of(&message.namespace).ok_or(MessageError::Other)?;
    let body = match message.local.as_str() {
        "Hello" => Body::Devices(Kind::Hello, vec![device(reader)?]),
        "Bye" => Body::Devices(Kind::Bye, vec![device(reader)?]),
        "ProbeMatches" => Body::Devices(Kind::ProbeMatches, matches(reader, dialect)?),
        "Probe" => Body::Probe(sought(reader)?),
        "Resolve" => Body::Resolve(device(reader)?.endpoint),
        _ => return Err(MessageError::Other),
    };
    Ok((dialect, body))
}

fn matches(reader: &mut XmlReader<'_>, dialect: Dialect) -> Result<Vec<Device>, MessageError> {
    let mut devices = Vec::new();
    while let Some(part) = child(reader)? {
        let one = part.local == "ProbeMatch" && part.namespace == dialect.namespace();
        if one && devices.len() < DISCOVERY_DEVICES_MAX {
            devices.push(device(reader)?);
        } else {
            reader.skip()?;
        }
    }
    Ok(devices)
}

/// Reads the conditions of the open question.
fn sought(reader: &mut XmlReader<'_>) -> Result<Sought, MessageError> {
    let mut sought = Sought::default();
    while let Some(part) = child(reader)? {
        match (part.local.as_str(), Dialect::of(&part.namespace).is_some()) {
            ("Types", true) => sought.types.extend(types(reader)?),
            ("Scopes", true) => {
                let by = reader.attributes().iter().find(|it| it.name.local == "MatchBy");
                sought.rule = by.map_or(Rule::Segments, |it| Rule::of(it.value.trim()));
                let text = whole(reader)?;
                if text.split_whitespace().any(|it| it.len() > DISCOVERY_TEXT_BYTES_MAX) {
                    return Err(MessageError::TooMuch);
                }
                sought.scopes.extend(text.split_whitespace().map(str::to_owned));
            }
            _ => reader.skip()?,
        }
        let many = sought.types.len().max(sought.scopes.len()) > DISCOVERY_LIST_MAX;
        if many || sought.types.iter().any(|it| it.local.len() > DISCOVERY_TEXT_BYTES_MAX) {
            return Err(MessageError::TooMuch);
        }
    }
    Ok(sought)
}

/// Reads what stands of a device in the open element, in whatever order. Of what is given twice the first holds.
fn device(reader: &mut XmlReader<'_>) -> Result<Device, MessageError> {
    let mut device = Device::default();
    while let Some(part) = child(reader)? {
        let own = Dialect::of(&part.namespace).is_some();
        match part.local.as_str() {
            "EndpointReference" if is_addressing(&part.namespace) => {
                let address = endpoint(reader)?;
                if device.endpoint.is_empty() {
                    device.endpoint = address;
                }
            }
            "Types" if own => {
                let short = |it: &TypeName| it.local.len() <= DISCOVERY_TEXT_BYTES_MAX;
                device.types.extend(types(reader)?.into_iter().filter(short));
                device.types.truncate(DISCOVERY_LIST_MAX);
            }
            "Scopes" if own => {
                device.scopes.extend(list(reader)?);
                device.scopes.truncate(DISCOVERY_LIST_MAX);
            }
            "XAddrs" if own => {
                device.addresses.extend(list(reader)?);
                device.addresses.truncate(DISCOVERY_LIST_MAX);
            }
            "MetadataVersion" if own => device.metadata_version = text(reader)?.parse().ok(),
            _ => reader.skip()?,
        }
    }
    Ok(device)
}

fn endpoint(reader: &mut XmlReader<'_>) -> Result<String, MessageError> {
    let mut address = String::new();
    while let Some(part) = child(reader)? {
        if part.local == "Address" && address.is_empty() {
            address = text(reader)?;
        } else {
            reader.skip()?;
        }
    }
    Ok(address)
}

/// The qualified names in the open element, one more than there may be at most. Prefixes mean what they do inside it:
/// many declare them there.
fn types(reader: &mut XmlReader<'_>) -> Result<Vec<TypeName>, MessageError> {
    let (mut found, mut names) = (String::new(), Vec::new());
    loop {
        match reader.next_event()? {
            XmlEvent::Text(text) => {
                found.push_str(&text);
                // Each piece of it has all resolved again.
                if found.len() > DISCOVERY_TYPES_BYTES_MAX {
                    return Err(MessageError::TooMuch);
                }
                let words = found.split_whitespace().take(DISCOVERY_LIST_MAX + 1);
                names = words.map(|it| type_name(reader, it)).collect();
            }
            XmlEvent::Start(_) => return Err(MessageError::Other),
            XmlEvent::End | XmlEvent::Eof => return Ok(names),
        }
    }
}

fn type_name(reader: &mut XmlReader<'_>, name: &str) -> TypeName {
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    let namespace = reader.resolve(prefix).map_or("", |it| reader.uri(it)).to_owned();
    TypeName { namespace, local: local.to_owned() }
}

struct Name {
    namespace: String,
    local: String,
}

/// The root.
fn opened(reader: &mut XmlReader<'_>) -> Result<Name, MessageError> {
    match reader.next_event()? {
        XmlEvent::Start(name) => {
            Ok(Name { namespace: reader.uri(name.space).to_owned(), local: name.local.to_owned() })
        }
        XmlEvent::Text(_) | XmlEvent::End | XmlEvent::Eof => Err(MessageError::Other),
    }
}

/// The next element inside the open one; none once that ends. Text between is nothing.
fn child(reader: &mut XmlReader<'_>) -> Result<Option<Name>, MessageError> {
    loop {
        match reader.next_event()? {
            XmlEvent::Start(name) => {
                let namespace = reader.uri(name.space).to_owned();
                return Ok(Some(Name { namespace, local: name.local.to_owned() }));
            }
            XmlEvent::Text(_) => {}
            XmlEvent::End | XmlEvent::Eof => return Ok(None),
        }
    }
}

/// The text of the open element, up to and with its end. Elements inside are passed over.
fn whole(reader: &mut XmlReader<'_>) -> Result<String, MessageError> {
    let mut found = String::new();
    loop {
        match reader.next_event()? {
            XmlEvent::Text(text) => found.push_str(&text),
            XmlEvent::Start(_) => reader.skip()?,
            XmlEvent::End | XmlEvent::Eof => return Ok(found),
        }
    }
}

/// The text of the open element, cut.
fn text(reader: &mut XmlReader<'_>) -> Result<String, MessageError> {
    let found = whole(reader)?;
    let trimmed = found.trim();
    let end =
        (0..=DISCOVERY_TEXT_BYTES_MAX.min(trimmed.len())).rev().find(|at| trimmed.is_char_boundary(*at));
    Ok(trimmed.get(..end.unwrap_or(0)).unwrap_or_default().to_owned())
}

/// Words between white space; those too long for what they should be are left out.
fn list(reader: &mut XmlReader<'_>) -> Result<Vec<String>, MessageError> {
    let found = whole(reader)?;
    let fits = |it: &&str| it.len() <= DISCOVERY_TEXT_BYTES_MAX;
    Ok(found.split_whitespace().filter(fits).take(DISCOVERY_LIST_MAX).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(body: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"{SOAP12}\" xmlns:a=\"{}\" xmlns:d=\"{}\" \
             xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\"><e:Header><a:MessageID>urn:uuid:1</a:MessageID>\
             <d:AppSequence InstanceId=\"1\"/></e:Header><e:Body>{body}</e:Body></e:Envelope>",
            Dialect::April2005.addressing(),
            Dialect::April2005.namespace()
        )
    }

    #[test]
    fn a_hello_says_who_what_and_where() {
        let text = hello(
            "<d:Hello><a:EndpointReference><a:Address> urn:uuid:c </a:Address></a:EndpointReference>\
             <d:Types>dn:NetworkVideoTransmitter odd:Thing</d:Types>\
             <d:Scopes>onvif://www.onvif.org/name/Gate\n onvif://www.onvif.org/hardware/M1</d:Scopes>\
             <d:XAddrs>http://10.0.0.9/onvif/device_service</d:XAddrs><d:MetadataVersion>7</d:MetadataVersion>\
             <more/></d:Hello>",
        );
        let message = read(text.as_bytes()).unwrap();
        assert_eq!((message.dialect, message.id.as_deref()), (Dialect::April2005, Some("urn:uuid:1")));
        let Body::Devices(Kind::Hello, devices) = &message.body else { panic!("{message:?}") };
        let [device] = &devices[..] else { panic!("{message:?}") };
        assert_eq!((device.endpoint.as_str(), device.metadata_version), ("urn:uuid:c", Some(7)));
        let types: Vec<_> =
            device.types.iter().map(|it| (it.namespace.as_str(), it.local.as_str())).collect();
        assert_eq!(
            types,
            [("http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter"), ("", "Thing")]
        );
        assert_eq!(device.scopes, ["onvif://www.onvif.org/name/Gate", "onvif://www.onvif.org/hardware/M1"]);
        assert_eq!(device.addresses, ["http://10.0.0.9/onvif/device_service"]);
        assert!(device.is_of_onvif());
    }

    #[test]
    fn a_name_in_no_encoding_hides_no_device() {
        let inside = "<d:Hello><a:EndpointReference><a:Address>urn:uuid:c</a:Address></a:EndpointReference>\
            <d:Scopes>onvif://www.onvif.org/name/T?r</d:Scopes></d:Hello>";
        let mut bytes = hello(inside).into_bytes();
        let at = bytes.iter().rposition(|byte| *byte == b'?').unwrap();
        bytes[at] = 0xfc;
        bytes.extend(b"\0\0");
        let read = read(&bytes).unwrap();
        let [device] = read.devices() else { panic!("{read:?}") };
        assert_eq!(device.scopes, ["onvif://www.onvif.org/name/T\u{FFFD}r"]);
    }

    #[test]
    fn what_a_client_asks_is_not_put_right() {
        let ask = |name: &str| {
            let scopes = format!("<d:Probe><d:Scopes>onvif://www.onvif.org/name/{name}</d:Scopes></d:Probe>");
            read(hello(&scopes).as_bytes())
        };
        assert!(matches!(ask("a").unwrap().body, Body::Probe(_)));
        assert!(matches!(ask("a&b"), Err(MessageError::Xml(_))), "{:?}", ask("a&b"));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let error = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert_eq!(error(hello("<d:Goodbye/>").as_bytes()), "no message of WS-Discovery");
        assert_eq!(error(hello("<Hello/>").as_bytes()), "no message of WS-Discovery");
        assert_eq!(error(hello("").as_bytes()), "no message of WS-Discovery");
        assert_eq!(error(b"<Envelope/>"), "no message of WS-Discovery");
        assert_eq!(error(b"\xff"), "not UTF-8 at byte 0");
        assert!(error(b"M-SEARCH * HTTP/1.1").contains("not well-formed"));
        assert!(error(hello("<d:Hello><a:").as_bytes()).contains("not well-formed"));
        assert!(error(&vec![b' '; DISCOVERY_MESSAGE_BYTES_MAX + 1]).contains("at most"));
    }

    #[test]
    fn a_question_says_what_is_sought() {
        // The prefix is declared where it is used, as by many; the second one nowhere.
        let text = hello(
            "<d:Probe><d:Types xmlns:x=\"http://www.onvif.org/ver10/device/wsdl\">x:Device tds:Device</d:Types>\
             <d:Scopes MatchBy=\"http://schemas.xmlsoap.org/ws/2005/04/discovery/strcmp0\"> onvif://a\nonvif://b \
             </d:Scopes></d:Probe>",
        );
        let Body::Probe(sought) = read(text.as_bytes()).unwrap().body else { panic!("{text}") };
        let types: Vec<_> =
            sought.types.iter().map(|it| (it.namespace.as_str(), it.local.as_str())).collect();
        assert_eq!(types, [("http://www.onvif.org/ver10/device/wsdl", "Device"), ("", "Device")]);
        assert_eq!((sought.scopes, sought.rule), (vec!["onvif://a".into(), "onvif://b".into()], Rule::Exact));
        let resolve = hello(
            "<d:Resolve><a:EndpointReference><a:Address>urn:uuid:c</a:Address></a:EndpointReference></d:Resolve>",
        );
        assert_eq!(read(resolve.as_bytes()).unwrap().body, Body::Resolve("urn:uuid:c".into()));
        let newer = text.replace(Dialect::April2005.namespace(), Dialect::Oasis2009.namespace());
        assert_eq!(read(newer.as_bytes()).unwrap().dialect, Dialect::Oasis2009);
    }

    #[test]
    fn a_question_is_never_cut() {
        let most = "onvif://x ".repeat(DISCOVERY_LIST_MAX);
        let ask = |body: &str| read(hello(&format!("<d:Probe>{body}</d:Probe>")).as_bytes());
        assert!(ask(&format!("<d:Scopes>{most}</d:Scopes>")).is_ok());
        assert_eq!(ask(&format!("<d:Scopes>{most} one</d:Scopes>")), Err(MessageError::TooMuch));
        assert_eq!(ask(&format!("<d:Types>{most} one</d:Types>")), Err(MessageError::TooMuch));
        let long = "u".repeat(DISCOVERY_TEXT_BYTES_MAX + 1);
        assert_eq!(ask(&format!("<d:Scopes>{long}</d:Scopes>")), Err(MessageError::TooMuch));
        assert_eq!(ask(&format!("<d:Types>{long}</d:Types>")), Err(MessageError::TooMuch));
    }

    #[test]
    fn everything_is_bounded() {
        let many = "onvif://x ".repeat(DISCOVERY_LIST_MAX + 5);
        let long = "u".repeat(DISCOVERY_TEXT_BYTES_MAX + 1);
        let one = format!(
            "<d:ProbeMatch><a:EndpointReference><a:Address>{long}</a:Address></a:EndpointReference>\
             <d:Scopes>{long}</d:Scopes></d:ProbeMatch>"
        );
        let body = format!("<d:ProbeMatches>{}</d:ProbeMatches>", one.repeat(2));
        let message = read(hello(&body).as_bytes()).unwrap();
        assert_eq!(message.devices()[0].endpoint.len(), DISCOVERY_TEXT_BYTES_MAX);
        assert_eq!(message.devices()[0].scopes, Vec::<String>::new());
        let few = "<d:ProbeMatch/>".repeat(DISCOVERY_DEVICES_MAX + 3);
        let message = read(hello(&format!("<d:ProbeMatches>{few}</d:ProbeMatches>")).as_bytes()).unwrap();
        assert_eq!(message.devices().len(), DISCOVERY_DEVICES_MAX);
        let message =
            read(hello(&format!("<d:Hello><d:Scopes>{many}</d:Scopes></d:Hello>")).as_bytes()).unwrap();
        assert_eq!(message.devices()[0].scopes.len(), DISCOVERY_LIST_MAX);
    }

    /// What real devices answered.
    #[test]
    fn recorded_answers_are_understood() {
        let Ok(folder) = std::fs::read_dir("../shared/corpus/discovery") else { return };
        let mut understood = 0;
        for file in
            folder.flatten().map(|it| it.path()).filter(|it| it.to_string_lossy().ends_with("match.xml"))
        {
            let bytes = std::fs::read(&file).unwrap();
            // Some were shortened by whoever published them.
            if let Ok(message) = read(&bytes) {
                assert!(
                    message.devices().iter().all(|it| !it.endpoint.is_empty() && it.is_of_onvif()),
                    "{file:?}"
                );
                understood += 1;
            }
        }
        assert!(understood >= 4, "{understood}");
    }
}
