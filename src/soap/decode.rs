//! Bytes become an envelope.

use super::{
    SOAP11, SOAP12,
    fault::{Fault, FaultCode, Subcode, cleaned},
    header::{self, Addressing, Header, UsernameToken},
};
use crate::schema::{
    Deviations, Document, NameId, NodeId, OperationId, Refusal, Tables,
    mend::{Mended, mend},
    xml::{ExpandedName, XmlError, XmlEvent, XmlReader, utf8},
};

/// The version of SOAP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// SOAP 1.1.
    Soap11,
    /// SOAP 1.2, the one ONVIF asks for (Core §5.8.1).
    #[default]
    Soap12,
}

impl Version {
    /// The namespace of its envelope.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Soap11 => SOAP11,
            Self::Soap12 => SOAP12,
        }
    }

    /// What a message of it is called in HTTP (SOAP 1.1 §6, RFC 3902).
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Soap11 => "text/xml; charset=utf-8",
            Self::Soap12 => "application/soap+xml; charset=utf-8",
        }
    }
}

/// A request.
#[derive(Debug)]
pub struct Envelope {
    /// Its version.
    pub version: Version,
    /// Its credentials.
    pub security: Option<UsernameToken>,
    /// Its addressing.
    pub addressing: Addressing,
    /// Its body.
    pub body: Body,
}

/// The body of a request.
#[derive(Debug)]
pub enum Body {
    /// The request of an operation; of several with the same element, all.
    Operation {
        /// Which operations it can be.
        candidates: Vec<OperationId>,
        /// The request.
        document: Document,
    },
    /// An element nobody declared as a request, as `{namespace}local`.
    Unknown(String),
}

/// Why a request cannot be taken, with what was understood of it, so that it can be recorded.
#[derive(Debug)]
pub struct DecodeError {
    /// What the peer is told.
    pub fault: Fault,
    /// The version it is told in: that of the envelope, as far as that was read.
    pub version: Version,
    /// Who asked, as far as that was read. Not verified.
    pub security: Option<Box<UsernameToken>>,
    /// What was asked, as far as that was read: `tds:SetNTP`, or `{namespace}local`.
    pub operation: Option<String>,
}

/// What a camera answered.
#[derive(Debug)]
pub enum Answer {
    /// The operation's answer.
    Document(Document, Deviations),
    /// A fault.
    Fault(Fault),
}

/// Why an answer cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not XML.
    #[error("the answer is not XML this gateway reads: {0}")]
    Xml(#[from] XmlError),
    /// XML, but no SOAP envelope.
    #[error("the answer is no SOAP envelope: {0}")]
    NotSoap(&'static str),
    /// The answer of something else.
    #[error("the answer is `{0}`, which was not asked for")]
    Other(String),
    /// It leaves the interface in a way that cannot be repaired.
    #[error("the answer leaves its interface definition: {0}")]
    Refused(#[source] Refusal),
}

/// Why reading stops.
pub(super) enum Trouble {
    Fault(Fault),
    Xml(XmlError),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<XmlError> for Trouble {
    fn from(error: XmlError) -> Self {
        Self::Xml(error)
    }
}

impl Trouble {
    fn into_fault(self) -> Fault {
        match self {
            Self::Fault(fault) => fault,
            Self::Xml(error) => Fault::well_formed(error.to_string()),
        }
    }
}

/// Reads a request. Takes SOAP 1.2 and 1.1; the body strictly, as its operation is declared.
pub fn decode_request(tables: &Tables, bytes: &[u8]) -> Result<Envelope, DecodeError> {
    let mut header = Header::default();
    let mut operation = None;
    let mut version = Version::default();
    match read_request(tables, bytes, &mut version, &mut header, &mut operation) {
        Ok(body) => {
            let Header { security, addressing, reply_to, fault } = header;
            let elsewhere = reply_to.filter(|it| !is_own_consumer(&body, it));
            match fault.or_else(|| elsewhere.map(|_| header::not_anonymous("ReplyTo"))) {
                Some(fault) => {
                    Err(DecodeError { fault, version, security: security.map(Box::new), operation })
                }
                None => Ok(Envelope { version, security, addressing, body }),
            }
        }
        Err(trouble) => Err(DecodeError {
            fault: trouble.into_fault(),
            version,
            security: header.security.map(Box::new),
            operation,
        }),
    }
}

fn read_request(
    tables: &Tables,
    bytes: &[u8],
    version: &mut Version,
    header: &mut Header,
    operation: &mut Option<String>,
) -> Result<Body, Trouble> {
    let mut reader = XmlReader::strict(utf8(bytes)?)?;
    let Some(read) = open_envelope(&mut reader)? else {
        return Err(Fault::well_formed("the message is no SOAP envelope").into());
    };
    *version = read;
    enter_body(&mut reader, read.namespace(), Some(header))?;
    let Some(name) = first_element(&mut reader)? else {
        return Err(Fault::invalid_args("the body is empty").into());
    };
    let body = match known(tables, &reader, name) {
        Some((id, root)) if !tables.operations_by_input(id).is_empty() => {
            *operation = Some(tables.qualified(id));
            let document = Document::read_request(tables, &mut reader, root).map_err(|it| refused(&it))?;
            Body::Operation { candidates: tables.operations_by_input(id).to_vec(), document }
        }
        _ => {
            let name = spelt(&reader, name);
            *operation = Some(name.clone());
            reader.skip()?;
            Body::Unknown(name)
        }
    };
    if first_element(&mut reader)?.is_some() {
        return Err(Fault::invalid_args("the body holds more than one element").into());
    }
    close_envelope(&mut reader)?;
    Ok(body)
}

/// Whether an address is that of the consumer in a `wsnt:Subscribe`. Some clients (agsh's onvif) write it into `wsa:ReplyTo`
/// as well: it names nobody whom the body does not, is judged there, and the answer goes back on the connection all the same.
fn is_own_consumer(body: &Body, address: &str) -> bool {
    let Body::Operation { document, .. } = body else { return false };
    let root = document.root();
    let consumer = root.find("ConsumerReference/Address").filter(|_| root.local() == "Subscribe");
    consumer.is_some_and(|it| it.text().trim() == address)
}

/// The fault for a request that is not as declared.
fn refused(refusal: &Refusal) -> Fault {
    match refusal {
        Refusal::Xml(_) => Fault::well_formed(refusal.to_string()),
        Refusal::Attachment(_) => {
            Fault::action_not_supported(format!("{refusal}: send it by HTTP upload instead of MTOM"))
        }
        Refusal::UnknownElement(_) => Fault::new(FaultCode::Sender, Subcode::Tag, refusal.to_string()),
        Refusal::UnknownAttribute(_) => {
            Fault::new(FaultCode::Sender, Subcode::ProhibAttr, refusal.to_string())
        }
        Refusal::MissingAttribute(_) => {
            Fault::new(FaultCode::Sender, Subcode::MissingAttr, refusal.to_string())
        }
        Refusal::Value(..) => Fault::invalid_argument_value(refusal.to_string()),
        _ => Fault::invalid_args(refusal.to_string()),
    }
}

/// Reads an answer to an operation. Takes SOAP 1.2 and 1.1; the body tolerantly.
pub fn decode_answer(tables: &Tables, bytes: &[u8], expected: OperationId) -> Result<Answer, AnswerError> {
    decode_camera(tables, bytes, tables.operation(expected).and_then(|operation| operation.output))
}

/// Reads what a camera sends unasked: the request of an operation, as tolerantly as an answer.
pub fn decode_notice(tables: &Tables, bytes: &[u8], expected: OperationId) -> Result<Answer, AnswerError> {
    decode_camera(tables, bytes, tables.operation(expected).map(|operation| operation.input))
}

fn decode_camera(tables: &Tables, bytes: &[u8], expected: Option<NodeId>) -> Result<Answer, AnswerError> {
    let as_it_is =
        utf8(bytes).map_err(AnswerError::Xml).and_then(|it| read_camera(tables, it, &[], expected));
    let Err(AnswerError::Xml(refused) | AnswerError::Refused(Refusal::Xml(refused))) = &as_it_is else {
        return as_it_is;
    };
    // What it is refused for is told of the answer as it came.
    match mend(bytes, Some(refused)) {
        Some(Mended { text, repairs }) => read_camera(tables, &text, &repairs, expected).or(as_it_is),
        None => as_it_is,
    }
}

fn read_camera(
    tables: &Tables,
    text: &str,
    repairs: &[&str],
    expected: Option<NodeId>,
) -> Result<Answer, AnswerError> {
    let mut reader = XmlReader::tolerant(text)?;
    repairs.iter().for_each(|it| reader.repair((*it).to_owned()));
    let envelope = match open_envelope(&mut reader).map_err(from_trouble)? {
        Some(version) => version.namespace(),
        None => return Err(AnswerError::NotSoap("another root element")),
    };
    // A camera's header blocks say nothing the gateway acts on.
    enter_body(&mut reader, envelope, None).map_err(from_trouble)?;
    let Some(name) = first_element(&mut reader).map_err(from_trouble)? else {
        return Err(AnswerError::NotSoap("an empty body"));
    };
    if name.local == "Fault" && reader.uri(name.space) == envelope {
        return Ok(Answer::Fault(read_fault(&mut reader)?));
    }
    let other = || AnswerError::Other(spelt(&reader, name));
    let root = match (known(tables, &reader, name), expected.filter(|it| is_called(tables, *it, name.local)))
    {
        (Some((_, root)), Some(expected)) if root == expected => root,
        // As everywhere in an answer, the place decides what stands in a namespace that has no such element.
        (None, Some(expected)) => {
            reader.repair(format!("{} (namespace)", name.local));
            expected
        }
        _ => return Err(other()),
    };
    let (document, deviations) =
        Document::read_answer(tables, &mut reader, root).map_err(AnswerError::Refused)?;
    if first_element(&mut reader).map_err(from_trouble)?.is_some() {
        return Err(AnswerError::NotSoap("more than one element in the body"));
    }
    close_envelope(&mut reader).map_err(from_trouble)?;
    Ok(Answer::Document(document, deviations))
}

fn from_trouble(trouble: Trouble) -> AnswerError {
    match trouble {
        Trouble::Xml(error) => AnswerError::Xml(error),
        Trouble::Fault(_) => AnswerError::NotSoap("an envelope that is not built as one"),
    }
}

/// Reads the start tag of the envelope.
fn open_envelope(reader: &mut XmlReader<'_>) -> Result<Option<Version>, Trouble> {
    let XmlEvent::Start(name) = reader.next_event()? else { return Ok(None) };
    Ok(match (name.local, reader.uri(name.space)) {
        ("Envelope", SOAP12) => Some(Version::Soap12),
        ("Envelope", SOAP11) => Some(Version::Soap11),
        _ => None,
    })
}

/// Reads up to and with the start tag of the body, and the header on the way; without a place for it the
/// header is passed over.
fn enter_body(
    reader: &mut XmlReader<'_>,
    envelope: &str,
    mut header: Option<&mut Header>,
) -> Result<(), Trouble> {
    let mut seen_header = false;
    while let Some(name) = first_element(reader)? {
        match (name.local, reader.uri(name.space) == envelope) {
            ("Header", true) if !seen_header => {
                seen_header = true;
                match header.as_deref_mut() {
                    Some(header) => header::read(reader, envelope, header)?,
                    None => reader.skip()?,
                }
            }
            ("Body", true) => return Ok(()),
            _ => return Err(Fault::well_formed("the envelope holds something beside header and body").into()),
        }
    }
    Err(Fault::well_formed("the envelope has no body").into())
}

/// The next element inside the open one; none if that ends.
fn first_element<'x>(reader: &mut XmlReader<'x>) -> Result<Option<ExpandedName<'x>>, Trouble> {
    loop {
        match reader.next_event()? {
            XmlEvent::Start(name) => return Ok(Some(name)),
            XmlEvent::Text(text) if text.trim().is_empty() => {}
            XmlEvent::Text(_) => return Err(Fault::well_formed("text where an element should stand").into()),
            XmlEvent::End | XmlEvent::Eof => return Ok(None),
        }
    }
}

/// Reads what follows the body: nothing but the envelope's end.
fn close_envelope(reader: &mut XmlReader<'_>) -> Result<(), Trouble> {
    if first_element(reader)?.is_some() {
        return Err(Fault::well_formed("the envelope holds something after its body").into());
    }
    match reader.next_event()? {
        XmlEvent::Eof => Ok(()),
        _ => Err(Fault::well_formed("something stands after the envelope").into()),
    }
}

fn known(tables: &Tables, reader: &XmlReader<'_>, name: ExpandedName<'_>) -> Option<(NameId, NodeId)> {
    let id = tables.name(tables.namespace(reader.uri(name.space))?, name.local)?;
    Some((id, tables.root(id)?))
}

fn is_called(tables: &Tables, root: NodeId, local: &str) -> bool {
    tables.node(root).is_some_and(|it| tables.local(it.name) == local)
}

/// A name of the peer's for records: `{namespace}local`, cut.
fn spelt(reader: &XmlReader<'_>, name: ExpandedName<'_>) -> String {
    let text = format!("{{{}}}{}", reader.uri(name.space), name.local);
    text.chars().take(SPELT_CHARS_MAX).collect()
}

/// The text of the open element, up to and with its end tag. Elements inside are refused.
pub(super) fn text_of(reader: &mut XmlReader<'_>) -> Result<String, Trouble> {
    let mut found = String::new();
    loop {
        match reader.next_event()? {
            XmlEvent::Text(text) => found.push_str(&text),
            XmlEvent::End => return Ok(found),
            XmlEvent::Start(_) => {
                return Err(Fault::invalid_args("an element where text should stand").into());
            }
            XmlEvent::Eof => return Err(Fault::well_formed("an element does not end").into()),
        }
    }
}

/// Reads a fault of SOAP 1.2 or 1.1, whatever its order: codes and the first reason.
fn read_fault(reader: &mut XmlReader<'_>) -> Result<Fault, XmlError> {
    let mut codes = Vec::new();
    let mut reason = String::new();
    let mut open = vec!["Fault".to_owned()];
    while !open.is_empty() {
        match reader.next_event()? {
            XmlEvent::Start(name) if matches!(name.local, "Detail" | "detail" | "Node" | "Role") => {
                reader.skip()?
            }
            XmlEvent::Start(name) => open.push(name.local.to_owned()),
            XmlEvent::Text(text) => match open.last().map(String::as_str) {
                Some("Value" | "faultcode") => {
                    let local = text.trim().rsplit(':').next().unwrap_or_default().to_owned();
                    codes.push(local);
                }
                Some("Text" | "faultstring") if reason.is_empty() => reason = cleaned(&text),
                _ => {}
            },
            XmlEvent::End => drop(open.pop()),
            XmlEvent::Eof => break,
        }
    }
    // SOAP 1.1 §4.4.1 lets codes be refined after a dot: `Client.Authentication`.
    let general = codes.first().and_then(|it| it.split('.').next());
    let code = general.and_then(FaultCode::from_local);
    let rest = codes.iter().skip(usize::from(code.is_some())).take(FAULT_CODES_MAX);
    let subcodes = rest.filter_map(|it| Subcode::from_local(it)).collect();
    Ok(Fault { code: code.unwrap_or(FaultCode::Receiver), subcodes, reason, detail: None })
}

/// Characters kept of a name that a peer made up.
const SPELT_CHARS_MAX: usize = 256;
/// Subcodes kept of a camera's fault.
const FAULT_CODES_MAX: usize = 4;
