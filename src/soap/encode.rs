//! Fresh envelopes: every namespace declared at the root, one line, UTF-8.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;

use super::{
    BASE64_BINARY, PASSWORD_DIGEST, TER, TEV, WSA, WSNT, WSRF_BF, WSRF_R, WSSE, WSU,
    decode::Version,
    fault::{Detail, Fault, FaultCode, FaultName},
    reference::Parameter,
};
use crate::schema::{Document, Tables, escape as escape_as};

/// Header blocks to write. Empty for a plain message.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    /// The version of the envelope they stand in.
    pub version: Version,
    /// A digest to prove oneself with.
    pub security: Option<Proof>,
    /// `wsa:Action`.
    pub action: Option<String>,
    /// `wsa:To`.
    pub to: Option<String>,
    /// `wsa:MessageID`.
    pub message_id: Option<String>,
    /// `wsa:RelatesTo`: the message id of the request.
    pub relates_to: Option<String>,
    /// Reference parameters of the endpoint it goes to.
    pub parameters: Vec<Parameter>,
}

/// A finished UsernameToken.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The user.
    pub username: String,
    /// SHA-1 over nonce, time and password.
    pub digest: [u8; 20],
    /// The nonce.
    pub nonce: Vec<u8>,
    /// The time of making.
    pub created: String,
    /// Whether a receiver that does not understand it has to refuse the message (SOAP 1.2 part 1 §5.2.3).
    pub must_understand: bool,
}

/// Writes a message with a document as its body.
pub fn encode(tables: &Tables, document: &Document, headers: &Headers) -> Bytes {
    let mut out = open(headers, &document.namespaces(tables));
    document.write(tables, &mut out);
    close(out)
}

/// Writes a fault. With `relates_to` or `action` set, the WS-Addressing fault action is the caller's to give.
pub fn encode_fault(fault: &Fault, headers: &Headers) -> Bytes {
    let mut spaces = vec![("ter".to_owned(), TER.to_owned())];
    if fault.detail.is_some() {
        let more = [("tev", TEV), ("wsnt", WSNT), ("wsrf-bf", WSRF_BF), ("wsrf-r", WSRF_R)];
        spaces.extend(more.map(|(prefix, uri)| (prefix.to_owned(), uri.to_owned())));
    }
    let mut out = open(headers, &spaces);
    match headers.version {
        Version::Soap11 => fault11(fault, &mut out),
        Version::Soap12 => fault12(fault, &mut out),
    }
    close(out)
}

/// SOAP 1.1 §4.4. It has one code, which readers of 1.1 expect to be one of its own four; ONVIF's codes, which
/// are declared for 1.2 only, stand in the detail as empty elements of their names, the general one first.
fn fault11(fault: &Fault, out: &mut String) {
    out.push_str("<env:Fault><faultcode>env:");
    out.push_str(fault.code.as_str11());
    out.push_str("</faultcode><faultstring xml:lang=\"en\">");
    escape(reason(fault), out);
    out.push_str("</faultstring>");
    if !fault.subcodes.is_empty() || fault.detail.is_some() {
        out.push_str("<detail>");
        for subcode in &fault.subcodes {
            // A plain XML name: `Subcode::from_local` takes no other.
            let _ = write!(out, "<ter:{}/>", subcode.as_str());
        }
        detail(fault, out);
        out.push_str("</detail>");
    }
    out.push_str("</env:Fault>");
}

/// SOAP 1.2 part 1 §5.4, the subcodes as Core §5.8.2.1 nests them.
fn fault12(fault: &Fault, out: &mut String) {
    out.push_str("<env:Fault><env:Code><env:Value>env:");
    out.push_str(fault.code.as_str());
    out.push_str("</env:Value>");
    for subcode in &fault.subcodes {
        out.push_str("<env:Subcode><env:Value>ter:");
        escape(subcode.as_str(), out);
        out.push_str("</env:Value>");
    }
    for _ in &fault.subcodes {
        out.push_str("</env:Subcode>");
    }
    out.push_str("</env:Code><env:Reason><env:Text xml:lang=\"en\">");
    escape(reason(fault), out);
    out.push_str("</env:Text></env:Reason>");
    if fault.detail.is_some() {
        out.push_str("<env:Detail>");
        detail(fault, out);
        out.push_str("</env:Detail>");
    }
    out.push_str("</env:Fault>");
}

/// Writing to a string cannot fail.
fn detail(fault: &Fault, out: &mut String) {
    match fault.detail.as_deref() {
        None => {}
        Some(Detail::Pull { time_max, messages_max }) => {
            let _ = write!(
                out,
                "<tev:PullMessagesFaultResponse><tev:MaxTimeout>PT{}S</tev:MaxTimeout>\
                 <tev:MaxMessageLimit>{messages_max}</tev:MaxMessageLimit></tev:PullMessagesFaultResponse>",
                time_max.as_secs()
            );
        }
        Some(Detail::Named { name, at }) => {
            let _ = write!(out, "<{}><wsrf-bf:Timestamp>{at}</wsrf-bf:Timestamp>", name.as_str());
            out.push_str("<wsrf-bf:Description>");
            escape(reason(fault), out);
            out.push_str("</wsrf-bf:Description>");
            match name {
                FaultName::UnacceptableInitialTerminationTime(from, until)
                | FaultName::UnacceptableTerminationTime(from, until) => {
                    let _ = write!(
                        out,
                        "<wsnt:MinimumTime>{from}</wsnt:MinimumTime><wsnt:MaximumTime>{until}</wsnt:MaximumTime>"
                    );
                }
                FaultName::InvalidFilter => {
                    out.push_str("<wsnt:UnknownFilter>wsnt:Filter</wsnt:UnknownFilter>")
                }
                _ => {}
            }
            let _ = write!(out, "</{}>", name.as_str());
        }
    }
}

fn reason(fault: &Fault) -> &str {
    if fault.reason.is_empty() { fallback(fault.code) } else { &fault.reason }
}

fn fallback(code: FaultCode) -> &'static str {
    match code {
        FaultCode::Sender => "the request was refused",
        FaultCode::Receiver => "the request could not be carried out",
        FaultCode::VersionMismatch => "another version of SOAP is needed",
        FaultCode::MustUnderstand => "a header block was not understood",
        FaultCode::DataEncodingUnknown => "the encoding is not known",
    }
}

fn open(headers: &Headers, namespaces: &[(String, String)]) -> String {
    let mut out = String::with_capacity(4_096);
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?><env:Envelope");
    let mut declare = |prefix: &str, uri: &str| {
        // Writing to a string cannot fail.
        let _ = write!(out, " xmlns:{prefix}=\"");
        escape(uri, &mut out);
        out.push('"');
    };
    declare("env", headers.version.namespace());
    let blocks = [&headers.action, &headers.to, &headers.message_id, &headers.relates_to];
    let addressed = blocks.iter().any(|block| block.is_some());
    if addressed && !namespaces.iter().any(|(_, uri)| uri == WSA) {
        declare("wsa", WSA);
    }
    for (prefix, uri) in namespaces {
        declare(prefix, uri);
    }
    out.push('>');
    header(headers, namespaces, &mut out);
    out.push_str("<env:Body>");
    out
}

fn header(headers: &Headers, namespaces: &[(String, String)], out: &mut String) {
    let wsa = namespaces.iter().find(|(_, uri)| uri == WSA).map_or("wsa", |(prefix, _)| prefix);
    let blocks = [
        ("Action", &headers.action),
        ("To", &headers.to),
        ("MessageID", &headers.message_id),
        ("RelatesTo", &headers.relates_to),
    ];
    let plain = headers.security.is_none() && headers.parameters.is_empty();
    if plain && blocks.iter().all(|(_, text)| text.is_none()) {
        return;
    }
    out.push_str("<env:Header>");
    for (name, text) in blocks {
        if let Some(text) = text {
            let _ = write!(out, "<{wsa}:{name}>");
            escape(text, out);
            let _ = write!(out, "</{wsa}:{name}>");
        }
    }
    for parameter in &headers.parameters {
        out.push_str(parameter.as_str());
    }
    if let Some(proof) = &headers.security {
        security(proof, out);
    }
    out.push_str("</env:Header>");
}

fn security(proof: &Proof, out: &mut String) {
    let must = if proof.must_understand { " env:mustUnderstand=\"1\"" } else { "" };
    let _ = write!(
        out,
        "<wsse:Security xmlns:wsse=\"{WSSE}\" xmlns:wsu=\"{WSU}\"{must}>\
         <wsse:UsernameToken><wsse:Username>"
    );
    escape(&proof.username, out);
    let _ = write!(out, "</wsse:Username><wsse:Password Type=\"{PASSWORD_DIGEST}\">");
    BASE64_STANDARD.encode_string(proof.digest, out);
    let _ = write!(out, "</wsse:Password><wsse:Nonce EncodingType=\"{BASE64_BINARY}\">");
    BASE64_STANDARD.encode_string(&proof.nonce, out);
    out.push_str("</wsse:Nonce><wsu:Created>");
    escape(&proof.created, out);
    out.push_str("</wsu:Created></wsse:UsernameToken></wsse:Security>");
}

fn close(mut out: String) -> Bytes {
    out.push_str("</env:Body></env:Envelope>");
    Bytes::from(out)
}

/// Appends text, written so that it is the same text inside an element and inside an attribute.
fn escape(text: &str, out: &mut String) {
    escape_as(text, true, out);
}
