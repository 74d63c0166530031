//! SOAP envelopes: decode, encode, WS-Security and WS-Addressing header blocks, faults. Sans-IO; knows no HTTP.

mod decode;
mod encode;
mod fault;
mod header;
mod reference;

pub use decode::{
    Answer, AnswerError, Body, DecodeError, Envelope, Version, decode_answer, decode_notice, decode_request,
};
pub use encode::{Headers, Proof, encode, encode_fault};
pub use fault::{Detail, Fault, FaultCode, FaultName, Subcode};
pub use header::{Addressing, Password, UsernameToken};
pub use reference::{Parameter, Reference, subscription_reference};

/// The SOAP 1.2 envelope namespace.
pub const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";
/// The SOAP 1.1 envelope namespace.
pub const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// WS-Addressing 1.0.
pub const WSA: &str = "http://www.w3.org/2005/08/addressing";
/// WS-Security 1.0, secext.
pub const WSSE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
/// WS-Security 1.0, utility.
pub const WSU: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
/// The password type of a digest (WSS UsernameToken Profile 1.0 §3.1).
pub const PASSWORD_DIGEST: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest";
/// The encoding of a nonce.
const BASE64_BINARY: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";
/// ONVIF's fault codes (Core §5.8.2.1).
pub const TER: &str = "http://www.onvif.org/ver10/error";
/// ONVIF's event service, whose messages faults of it hold.
const TEV: &str = "http://www.onvif.org/ver10/events/wsdl";
/// WS-BaseNotification 1.3.
const WSNT: &str = "http://docs.oasis-open.org/wsn/b-2";
/// WS-BaseFaults 1.2.
const WSRF_BF: &str = "http://docs.oasis-open.org/wsrf/bf-2";
/// WS-Resource 1.2.
const WSRF_R: &str = "http://docs.oasis-open.org/wsrf/r-2";

#[cfg(test)]
mod tests;
