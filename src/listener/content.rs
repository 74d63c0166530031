//! What a request says of its body.

use http::{Method, header};

use super::http::Request;
use crate::soap::{Fault, Version};

/// The kind of a body, from its content type.
fn content_type(request: &Request) -> String {
    let content_type = request.header(header::CONTENT_TYPE).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The fault for a message with attachments.
pub(super) fn attachment(request: &Request) -> Option<Fault> {
    let mtom = content_type(request) == "multipart/related";
    mtom.then(|| Fault::action_not_supported("MTOM is not taken; files travel by HTTP upload"))
}

/// The version of SOAP that a request is in, as far as its content type says.
pub(super) fn version_of(request: &Request) -> Version {
    match content_type(request).as_str() {
        "text/xml" => Version::Soap11,
        _ => Version::Soap12,
    }
}

/// Whether whoever asks expects SOAP.
pub(super) fn speaks_soap(request: &Request) -> bool {
    request.method == Method::POST && is_soap(request)
}

/// Whether a body may be SOAP (Core §5.8.2.4). SOAP 1.1 is text/xml, and some clients send SOAP 1.2 as that
/// or without a type: the envelope decides.
pub(super) fn is_soap(request: &Request) -> bool {
    matches!(content_type(request).as_str(), "application/soap+xml" | "text/xml" | "application/xml" | "")
}
