//! Three places of a request can name its action: `wsa:Action`, the content type of SOAP 1.2 and the
//! `SOAPAction` of 1.1. None is trusted: the body decides what is asked. But a firewall or a log beside the
//! gateway may go by the action, so a request that says two things is refused.

use http::header::{self, HeaderName};

use super::http::Request;
use crate::{
    schema::{Operation, Tables},
    soap::{Addressing, Body, Fault},
};

/// SOAP 1.1 §6.1.1.
const SOAP_ACTION: HeaderName = HeaderName::from_static("soapaction");

/// The fault for a request one of whose actions is another operation's than its body. An empty action, and one
/// that no operation declares, says nothing: clients send all kinds.
pub(super) fn disagreement(
    tables: &Tables,
    request: &Request,
    addressing: &Addressing,
    body: &Body,
) -> Option<Fault> {
    let Body::Operation { candidates, .. } = body else { return None };
    let content_type = request.header(header::CONTENT_TYPE).and_then(of_content_type);
    let fields = request.headers.get_all(SOAP_ACTION).iter().filter_map(|it| it.to_str().ok());
    let named = [("wsa:Action", addressing.action.as_deref()), ("content type", content_type)]
        .into_iter()
        .filter_map(|(place, action)| Some((place, action?)))
        .chain(fields.map(|action| ("SOAPAction header", action)));
    for (place, action) in named {
        let action = action.trim().trim_matches('"');
        if action.is_empty() {
            continue;
        }
        let own = candidates.iter().filter_map(|id| tables.operation(*id)).any(|it| names(action, it));
        if !own && tables.operations().any(|(_, it)| names(action, it)) {
            let reason = format!("the action in the {place} is another operation's than the body");
            return Some(Fault::invalid_argument_value(reason));
        }
    }
    None
}

/// Whether an action is an operation's: the one for WS-Addressing, or the `soapAction` of its binding.
fn names(action: &str, operation: &Operation) -> bool {
    action == &*operation.action_in || action == &*operation.soap_action
}

/// The parameter `action` of a content type (RFC 3902).
fn of_content_type(content_type: &str) -> Option<&str> {
    let mut parameters = content_type.split(';').skip(1).filter_map(|it| it.split_once('='));
    parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("action")).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_action_of_a_content_type_is_found_however_it_is_written() {
        let action = Some("\"urn:a\"");
        assert_eq!(of_content_type("application/soap+xml; charset=utf-8; action=\"urn:a\""), action);
        assert_eq!(of_content_type("application/soap+xml;Action=\"urn:a\";charset=utf-8"), action);
        assert_eq!(of_content_type("text/xml; charset=utf-8"), None);
        assert_eq!(of_content_type("action=urn:a"), None);
    }
}
