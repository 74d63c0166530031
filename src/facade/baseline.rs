//! What is asked of a camera for its baseline, and what its answers say of it.

use std::collections::BTreeSet;

use super::asks::{AskError, OwnRequest, ask};
use crate::{
    inventory::{FactKind, Facts},
    onvif::machines,
    schema::{Element, Tables},
};

/// One question of a reading.
pub struct BaselineQuestion {
    /// The operation, as people write it.
    pub name: &'static str,
    /// The request.
    pub request: OwnRequest,
    /// Takes up what an answer says.
    pub read: fn(Element<'_>, &mut Facts),
}

/// All of them.
pub fn baseline_questions(tables: &Tables) -> Result<Vec<BaselineQuestion>, AskError> {
    let question = |&(name, read): &(&'static str, _)| {
        Ok(BaselineQuestion { name, request: ask(tables, name, &[])?, read })
    };
    QUESTIONS.iter().map(question).collect()
}

type Read = fn(Element<'_>, &mut Facts);

/// Every question is one of `inventory::told_by`.
const QUESTIONS: [(&str, Read); 20] = [
    ("tds:GetNTP", |answer, facts| {
        servers(answer, "NTPInformation", "NTPManual", "NTPFromDHCP", FactKind::Ntp, facts)
    }),
    ("tds:GetDNS", |answer, facts| {
        servers(answer, "DNSInformation", "DNSManual", "DNSFromDHCP", FactKind::Dns, facts)
    }),
    ("tds:GetNetworkDefaultGateway", |answer, facts| {
        let gateways = answer.children().filter(|it| it.local() == "NetworkGateway");
        gateways.flat_map(|it| it.children()).for_each(|it| address(FactKind::Router, it.text(), facts));
    }),
    ("tds:GetNetworkProtocols", |answer, facts| {
        for protocol in answer.children().filter(|it| is_true(*it, "Enabled")) {
            let ports = protocol.children().filter(|it| it.local() == "Port").map(|it| it.text());
            let ports = ports.collect::<Vec<_>>().join(" ");
            facts.add(FactKind::Protocol, &format!("{} {ports}", text(protocol, "Name")));
        }
    }),
    ("tds:GetDynamicDNS", |answer, facts| {
        if let Some(it) = answer.child("DynamicDNSInformation").filter(|it| text(*it, "Type") != "NoUpdate") {
            facts.add(FactKind::DynamicDns, &format!("{} {}", text(it, "Type"), text(it, "Name")));
        }
    }),
    ("tds:GetRemoteDiscoveryMode", |answer, facts| {
        if text(answer, "RemoteDiscoveryMode") != "NonDiscoverable" {
            facts.add(FactKind::RemoteDiscovery, text(answer, "RemoteDiscoveryMode"));
        }
    }),
    ("tds:GetDPAddresses", |answer, facts| {
        for proxy in answer.children().flat_map(|it| it.children()).filter(|it| it.local() != "Type") {
            address(FactKind::RemoteDiscovery, proxy.text(), facts);
        }
    }),
    ("tds:GetUsers", |answer, facts| {
        for user in answer.children() {
            facts.add(FactKind::User, &format!("{} ({})", text(user, "Username"), text(user, "UserLevel")));
        }
    }),
    ("tds:GetStorageConfigurations", |answer, facts| {
        for data in answer.children().filter_map(|it| it.child("Data")) {
            // A folder of the camera's own leads nowhere.
            let uri = text(data, "StorageUri");
            if !uri.is_empty() {
                let kind = data.attribute("type").unwrap_or_default();
                facts.add(FactKind::Storage, &format!("{kind} {}", without_login(uri)));
            }
        }
    }),
    ("tev:GetEventBrokers", |answer, facts| each(answer, "Address", FactKind::EventBroker, facts)),
    ("trv:GetReceivers", |answer, facts| {
        for receiver in answer.children().filter_map(|it| it.child("Configuration")) {
            let mode = text(receiver, "Mode");
            facts.add(FactKind::Receiver, &format!("{} ({mode})", without_login(text(receiver, "MediaUri"))));
        }
    }),
    ("tup:GetUplinks", |answer, facts| each(answer, "RemoteAddress", FactKind::Uplink, facts)),
    ("trt:GetVideoEncoderConfigurations", groups),
    ("tr2:GetWebRTCConfigurations", |answer, facts| {
        for server in answer.children() {
            let state = if is_true(server, "Enabled") { "on" } else { "off" };
            let at = without_login(text(server, "SignalingServer"));
            facts.add(FactKind::SignallingServer, &format!("{at} ({state})"));
        }
    }),
    // Last: the policies of a machine that was set up before may not permit them, which ends a reading.
    ("trt:GetAudioEncoderConfigurations", groups),
    ("trt:GetMetadataConfigurations", groups),
    ("tr2:GetVideoEncoderConfigurations", groups),
    ("tr2:GetAudioEncoderConfigurations", groups),
    ("tr2:GetMetadataConfigurations", groups),
    ("tae:GetActions", |answer, facts| {
        for action in answer.children().filter_map(|it| it.child("Configuration")) {
            let mut places = BTreeSet::new();
            action.children().for_each(|it| named_in(it, &mut places));
            // One that switches an output of the camera's own leads nowhere.
            if !places.is_empty() {
                let places = places.into_iter().collect::<Vec<_>>().join(", ");
                let name = action.attribute("Name").unwrap_or_default();
                facts.add(FactKind::Action, &format!("{name}: {places}"));
            }
        }
    }),
];

/// The machines that any value inside an element names, but for what is called by a word for secrets: a password may look
/// like a machine's name.
fn named_in(element: Element<'_>, places: &mut BTreeSet<String>) {
    let called = [element.local(), element.attribute("Name").unwrap_or_default()].map(str::to_lowercase);
    if called.iter().any(|it| SECRETS.iter().any(|word| it.contains(word))) {
        return;
    }
    let values = element.attributes().map(|it| it.text).chain([element.text()]);
    for (host, port) in values.flat_map(machines) {
        let host = without_login(&host);
        places.insert(port.map_or_else(|| host.clone(), |port| format!("{host}:{port}")));
    }
    element.children().for_each(|it| named_in(it, places));
}

/// Groups that media of each configuration is sent to.
fn groups(answer: Element<'_>, facts: &mut Facts) {
    for multicast in answer.children().filter_map(|it| it.child("Multicast")) {
        let at =
            ["Address/IPv4Address", "Address/IPv6Address"].into_iter().filter_map(|it| multicast.find(it));
        for group in at.map(|it| it.text().trim()).filter(|it| !UNSPECIFIED.contains(it)) {
            let starts = if is_true(multicast, "AutoStart") { ", started by itself" } else { "" };
            facts.add(FactKind::Multicast, &format!("{group} port {}{starts}", text(multicast, "Port")));
        }
    }
}

/// Time or name servers.
fn servers(answer: Element<'_>, inside: &str, manual: &str, dhcp: &str, kind: FactKind, facts: &mut Facts) {
    let Some(information) = answer.child(inside) else { return };
    let by_dhcp = is_true(information, "FromDHCP");
    if by_dhcp {
        facts.add(kind, "whatever DHCP says");
    }
    // What is kept for the other case leads nowhere as long as it is not.
    let listed = if by_dhcp { dhcp } else { manual };
    for server in information.children().filter(|it| it.local() == listed) {
        server.children().filter(|it| it.local() != "Type").for_each(|it| address(kind, it.text(), facts));
    }
}

fn address(kind: FactKind, text: &str, facts: &mut Facts) {
    let text = text.trim();
    if !UNSPECIFIED.contains(&text) {
        // As the gateway writes its own.
        let plain = text.parse::<std::net::IpAddr>().map_or_else(|_| text.to_owned(), |it| it.to_string());
        facts.add(kind, &plain);
    }
}

fn each(answer: Element<'_>, local: &str, kind: FactKind, facts: &mut Facts) {
    answer.children().for_each(|it| facts.add(kind, &without_login(text(it, local))));
}

fn text<'a>(element: Element<'a>, local: &str) -> &'a str {
    element.child(local).map_or("", |it| it.text().trim())
}

fn is_true(element: Element<'_>, local: &str) -> bool {
    ["true", "1"].contains(&text(element, local))
}

/// A URI without user and password.
fn without_login(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// What names of secrets have in them, in lower case, and those of machines have not.
const SECRETS: [&str; 6] = ["password", "passwd", "passphrase", "pwd", "secret", "credential"];

/// Addresses that are none.
const UNSPECIFIED: [&str; 3] = ["0.0.0.0", "::", ""];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::told_by;

    #[test]
    fn every_question_is_one_the_interface_has_and_says_what_it_tells() {
        let tables = Tables::embedded().unwrap();
        for question in baseline_questions(&tables).unwrap() {
            assert!(!told_by(question.name).is_empty(), "{}", question.name);
        }
    }

    #[test]
    fn logins_in_addresses_are_left_out() {
        for (uri, plain) in [
            ("nfs://198.51.100.200/record", "nfs://198.51.100.200/record"),
            ("ftp://user:secret@nas.example/a@b", "ftp://nas.example/a@b"),
            ("mqtts://a@b:c@broker.example:8883", "mqtts://broker.example:8883"),
            ("\\\\server\\share", "\\\\server\\share"),
        ] {
            assert_eq!(without_login(uri), plain);
        }
    }
}
