//! What the gateway says of its virtual cameras, made of values of its own. Pure.

use std::fmt::Write as _;

use super::{
    message::{Dialect, Kind},
    sought::TYPES,
};
use crate::{schema::escape, soap::SOAP12};

/// What a virtual camera shows of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `urn:uuid:…`.
    pub endpoint: String,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// Where its device service is had.
    pub addresses: Vec<String>,
    /// Grows when one of these changes.
    pub metadata_version: u32,
}

/// What distinguishes a message from all others of the gateway (WS-Discovery §7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Grows with every start.
    pub(super) instance: u32,
    /// Grows with every message.
    pub(super) number: u32,
    /// `urn:uuid:…`.
    pub(super) id: String,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Who looks for devices.
    Probe,
    /// Who asks where one is.
    Resolve,
}

/// Says to whoever asked that there is such a device. One message for each, as devices do: many read the first match
/// of a message only.
pub(super) fn found(
    answer: Answer,
    dialect: Dialect,
    stamp: &Stamp,
    relates_to: &str,
    target: &Target,
) -> String {
    let (matches, one) = match answer {
        Answer::Probe => ("ProbeMatches", "ProbeMatch"),
        Answer::Resolve => ("ResolveMatches", "ResolveMatch"),
    };
    let mut out = open(dialect, matches, stamp, Some(relates_to));
    let _ = write!(out, "<d:{matches}><d:{one}>");
    describe(target, &mut out);
    let _ = write!(out, "</d:{one}></d:{matches}>");
    close(out)
}

/// Says to everybody that a device is there, or goes.
pub(super) fn announcement(kind: Kind, stamp: &Stamp, target: &Target) -> String {
    let name = if kind == Kind::Bye { "Bye" } else { "Hello" };
    let mut out = open(Dialect::April2005, name, stamp, None);
    let _ = write!(out, "<d:{name}>");
    if kind == Kind::Bye {
        endpoint(target, &mut out);
    } else {
        describe(target, &mut out);
    }
    let _ = write!(out, "</d:{name}>");
    close(out)
}

/// Says to who asked alone that its rule for scopes is not known (§5.1).
pub(super) fn unknown_rule(dialect: Dialect, stamp: &Stamp, relates_to: &str) -> String {
    let mut out = open(dialect, "fault", stamp, Some(relates_to));
    out.push_str(
        "<env:Fault><env:Code><env:Value>env:Sender</env:Value><env:Subcode>\
         <env:Value>d:MatchingRuleNotSupported</env:Value></env:Subcode></env:Code><env:Reason>\
         <env:Text xml:lang=\"en\">The matching rule is not supported; rfc3986 and strcmp0 are.</env:Text>\
         </env:Reason></env:Fault>",
    );
    close(out)
}

fn open(dialect: Dialect, action: &str, stamp: &Stamp, relates_to: Option<&str>) -> String {
    let (discovery, addressing) = (dialect.namespace(), dialect.addressing());
    let to = match (dialect, relates_to) {
        (Dialect::April2005, Some(_)) => "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous",
        (Dialect::Oasis2009, Some(_)) => "http://www.w3.org/2005/08/addressing/anonymous",
        (Dialect::April2005, None) => "urn:schemas-xmlsoap-org:ws:2005:04:discovery",
        (Dialect::Oasis2009, None) => "urn:docs-oasis-open-org:ws-dd:ns:discovery:2009:01",
    };
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><env:Envelope xmlns:env=\"{SOAP12}\" xmlns:a=\"{addressing}\" \
         xmlns:d=\"{discovery}\""
    );
    for (prefix, namespace, _) in TYPES {
        let _ = write!(out, " xmlns:{prefix}=\"{namespace}\"");
    }
    let Stamp { instance, number, id } = stamp;
    let _ = write!(out, "><env:Header><a:MessageID>{id}</a:MessageID>");
    if let Some(relates_to) = relates_to {
        out.push_str("<a:RelatesTo>");
        escape(relates_to, false, &mut out);
        out.push_str("</a:RelatesTo>");
    }
    let _ = write!(
        out,
        "<a:To>{to}</a:To><a:Action>{discovery}/{action}</a:Action>\
         <d:AppSequence InstanceId=\"{instance}\" MessageNumber=\"{number}\"/></env:Header><env:Body>"
    );
    out
}

fn close(mut out: String) -> String {
    out.push_str("</env:Body></env:Envelope>");
    out
}

fn endpoint(target: &Target, out: &mut String) {
    out.push_str("<a:EndpointReference><a:Address>");
    escape(&target.endpoint, false, out);
    out.push_str("</a:Address></a:EndpointReference>");
}

fn describe(target: &Target, out: &mut String) {
    endpoint(target, out);
    out.push_str("<d:Types>");
    words(&TYPES.map(|(prefix, _, local)| format!("{prefix}:{local}")), out);
    out.push_str("</d:Types><d:Scopes>");
    words(&target.scopes, out);
    out.push_str("</d:Scopes><d:XAddrs>");
    words(&target.addresses, out);
    let _ = write!(out, "</d:XAddrs><d:MetadataVersion>{}</d:MetadataVersion>", target.metadata_version);
}

fn words(words: &[String], out: &mut String) {
    for (number, word) in words.iter().enumerate() {
        if number > 0 {
            out.push(' ');
        }
        escape(word, false, out);
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::message::{Body, read},
        *,
    };

    fn target() -> Target {
        Target {
            endpoint: "urn:uuid:1-2".into(),
            scopes: vec!["onvif://www.onvif.org/name/a%26b".into(), "onvif://www.onvif.org/x&y".into()],
            addresses: vec!["http://192.0.2.1:8081/onvif/device_service".into(), "https://c/".into()],
            metadata_version: 7,
        }
    }

    fn stamp() -> Stamp {
        Stamp { instance: 5, number: 9, id: "urn:uuid:m".into() }
    }

    #[test]
    fn an_answer_is_read_back_as_it_was_meant() {
        for dialect in Dialect::ALL {
            let text = found(Answer::Probe, dialect, &stamp(), "urn:uuid:<q>", &target());
            let message = read(text.as_bytes()).unwrap();
            assert_eq!((message.dialect, message.id.as_deref()), (dialect, Some("urn:uuid:m")));
            assert_eq!(message.relates_to.as_deref(), Some("urn:uuid:<q>"));
            let [device] = message.devices() else { panic!("{text}") };
            let of = target();
            assert_eq!((&device.endpoint, &device.scopes), (&of.endpoint, &of.scopes));
            assert_eq!((&device.addresses, device.metadata_version), (&of.addresses, Some(7)));
            let types = device.types.iter().map(|it| (it.namespace.as_str(), it.local.as_str()));
            assert!(types.eq(TYPES.iter().map(|(_, namespace, local)| (*namespace, *local))), "{text}");
            assert!(text.contains("InstanceId=\"5\" MessageNumber=\"9\"") && !text.contains('\n'), "{text}");
            // Some look for this very text.
            assert!(text.contains("<d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>"), "{text}");
        }
    }

    #[test]
    fn who_goes_says_no_more_than_that() {
        let text = announcement(Kind::Bye, &stamp(), &target());
        let Body::Devices(Kind::Bye, devices) = read(text.as_bytes()).unwrap().body else { panic!("{text}") };
        assert_eq!((devices[0].endpoint.as_str(), devices[0].addresses.len()), ("urn:uuid:1-2", 0));
        let text = announcement(Kind::Hello, &stamp(), &target());
        let Body::Devices(Kind::Hello, devices) = read(text.as_bytes()).unwrap().body else {
            panic!("{text}")
        };
        assert_eq!(devices[0].addresses, target().addresses);
        assert!(text.contains("<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>"), "{text}");
        let text = found(Answer::Resolve, Dialect::April2005, &stamp(), "urn:uuid:q", &target());
        assert!(text.contains("<d:ResolveMatches><d:ResolveMatch><a:EndpointReference>"), "{text}");
    }
}
