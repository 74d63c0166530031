//! Messages of WS-Discovery: SOAP envelopes with one body, read tolerantly and within bounds. Pure.
//!
//! What a device says of itself is a claim: the types it has, the scopes it gives itself, the addresses it wants to be
//! called at. Nothing here is called.

use crate::{
    limits::{
        DISCOVERY_DEVICES_MAX, DISCOVERY_LIST_MAX, DISCOVERY_MESSAGE_BYTES_MAX, DISCOVERY_TEXT_BYTES_MAX,
    },
    schema::xml::{XmlError, XmlEvent, XmlReader, utf8},
    soap::{SOAP11, SOAP12},
};

/// WS-Discovery of April 2005 and as OASIS published it in 2009; devices speak either.
const DISCOVERY: [&str; 2] = [
    "http://schemas.xmlsoap.org/ws/2005/04/discovery",
    "http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01",
];
/// The addressing that goes with each.
const ADDRESSING: [&str; 2] =
    ["http://schemas.xmlsoap.org/ws/2004/08/addressing", "http://www.w3.org/2005/08/addressing"];

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A device says that it is there.
    Hello,
    /// A device says that it goes.
    Bye,
    /// Devices answer who looks for them.
    ProbeMatches,
}

/// A message of devices about themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is for.
    pub kind: Kind,
    /// Its own identifier.
    pub id: Option<String>,
    /// The identifier of the message that it answers.
    pub relates_to: Option<String>,
    /// The devices it is about.
    pub devices: Vec<Device>,
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

/// Why a datagram is no message of devices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not XML, or more of it than is read.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// Longer than any such message.
    #[error("a message of {0} bytes: {DISCOVERY_MESSAGE_BYTES_MAX} at most")]
    TooLong(usize),
    /// Something else: a question, another protocol.
    #[error("no message of a device about itself")]
    Other,
}

/// Reads a datagram.
///
/// # Errors
/// It is no message of devices about themselves.
pub fn read(bytes: &[u8]) -> Result<Message, MessageError> {
    if bytes.len() > DISCOVERY_MESSAGE_BYTES_MAX {
        return Err(MessageError::TooLong(bytes.len()));
    }
    let mut reader = XmlReader::tolerant(utf8(bytes)?)?;
    let envelope = opened(&mut reader)?;
    if envelope.local != "Envelope" || ![SOAP11, SOAP12].contains(&envelope.namespace.as_str()) {
        return Err(MessageError::Other);
    }
    let (mut id, mut relates_to) = (None, None);
    while let Some(part) = child(&mut reader)? {
        match (part.local.as_str(), part.namespace == envelope.namespace) {
            ("Header", true) => header(&mut reader, &mut id, &mut relates_to)?,
            ("Body", true) => {
                let (kind, devices) = body(&mut reader)?;
                return Ok(Message { kind, id, relates_to, devices });
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
        match (block.local.as_str(), ADDRESSING.contains(&block.namespace.as_str())) {
            ("MessageID", true) => *id = Some(text(reader)?),
            ("RelatesTo", true) => *relates_to = Some(text(reader)?),
            _ => reader.skip()?,
        }
    }
    Ok(())
}

fn body(reader: &mut XmlReader<'_>) -> Result<(Kind, Vec<Device>), MessageError> {
    let message = child(reader)?.ok_or(MessageError::Other)?;
    if !DISCOVERY.contains(&message.namespace.as_str()) {
        return Err(MessageError::Other);
    }
    let kind = match message.local.as_str() {
        "Hello" => Kind::Hello,
        "Bye" => Kind::Bye,
        "ProbeMatches" => Kind::ProbeMatches,
        _ => return Err(MessageError::Other),
    };
    if kind != Kind::ProbeMatches {
        return Ok((kind, vec![device(reader)?]));
    }
    let mut devices = Vec::new();
    while let Some(part) = child(reader)? {
        if part.local == "ProbeMatch"
            && part.namespace == message.namespace
            && devices.len() < DISCOVERY_DEVICES_MAX
        {
            devices.push(device(reader)?);
        } else {
            reader.skip()?;
        }
    }
    Ok((kind, devices))
}

/// Reads what stands of a device in the open element, in whatever order. Of what is given twice the first holds.
fn device(reader: &mut XmlReader<'_>) -> Result<Device, MessageError> {
    let mut device = Device::default();
    while let Some(part) = child(reader)? {
        let own = DISCOVERY.contains(&part.namespace.as_str());
        match part.local.as_str() {
            "EndpointReference" if ADDRESSING.contains(&part.namespace.as_str()) => {
                let address = endpoint(reader)?;
                if device.endpoint.is_empty() {
                    device.endpoint = address;
                }
            }
            "Types" if own => {
                let names = list(reader)?;
                device.types.extend(names.iter().map(|it| type_name(reader, it)));
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

/// A qualified name in text means what its prefix means where it stands: here, where its element has just ended, which
/// hardly declares one of its own.
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
            ADDRESSING[0], DISCOVERY[0]
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
        assert_eq!((message.kind, message.id.as_deref()), (Kind::Hello, Some("urn:uuid:1")));
        let [device] = &message.devices[..] else { panic!("{message:?}") };
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
    fn what_is_no_device_speaking_of_itself_is_refused() {
        let error = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert_eq!(error(hello("<d:Probe/>").as_bytes()), "no message of a device about itself");
        assert_eq!(error(hello("<Hello/>").as_bytes()), "no message of a device about itself");
        assert_eq!(error(hello("").as_bytes()), "no message of a device about itself");
        assert_eq!(error(b"<Envelope/>"), "no message of a device about itself");
        assert_eq!(error(b"\xff"), "not UTF-8 at byte 0");
        assert!(error(b"M-SEARCH * HTTP/1.1").contains("not well-formed"));
        assert!(error(hello("<d:Hello><a:").as_bytes()).contains("not well-formed"));
        assert!(error(&vec![b' '; DISCOVERY_MESSAGE_BYTES_MAX + 1]).contains("at most"));
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
        assert_eq!(message.devices[0].endpoint.len(), DISCOVERY_TEXT_BYTES_MAX);
        assert_eq!(message.devices[0].scopes, Vec::<String>::new());
        let few = "<d:ProbeMatch/>".repeat(DISCOVERY_DEVICES_MAX + 3);
        let message = read(hello(&format!("<d:ProbeMatches>{few}</d:ProbeMatches>")).as_bytes()).unwrap();
        assert_eq!(message.devices.len(), DISCOVERY_DEVICES_MAX);
        let message =
            read(hello(&format!("<d:Hello><d:Scopes>{many}</d:Scopes></d:Hello>")).as_bytes()).unwrap();
        assert_eq!(message.devices[0].scopes.len(), DISCOVERY_LIST_MAX);
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
                    message.devices.iter().all(|it| !it.endpoint.is_empty() && it.is_of_onvif()),
                    "{file:?}"
                );
                understood += 1;
            }
        }
        assert!(understood >= 4, "{understood}");
    }
}
