//! A scanner for addresses that are not the gateway's, written apart from the gateway's own.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Hosts of URIs that name a vocabulary and lead nowhere: namespaces, dialects, scopes.
const VOCABULARIES: [&str; 5] =
    ["www.onvif.org", "docs.oasis-open.org", "www.w3.org", "schemas.xmlsoap.org", "tempuri.org"];

/// Every text and attribute of a message that names an address which is none of `own` (`host:port`), as
/// `element: text`. Unspecified addresses name nobody. Not XML is found too.
pub fn addresses(message: &str, own: &[String]) -> Vec<String> {
    let document = match roxmltree::Document::parse(message) {
        Ok(document) => document,
        Err(error) => return vec![format!("not XML: {error}")],
    };
    let mut found = Vec::new();
    for node in document.descendants() {
        if let Some(text) = node.text().filter(|_| node.is_text()) {
            let element = node.parent().map_or("", |it| it.tag_name().name());
            look(element, text, own, &mut found);
        }
        for attribute in node.attributes() {
            look(attribute.name(), attribute.value(), own, &mut found);
        }
        for space in node.namespaces() {
            look("xmlns", space.uri(), own, &mut found);
        }
    }
    found.sort();
    found.dedup();
    found
}

fn look(place: &str, text: &str, own: &[String], found: &mut Vec<String>) {
    let named = hosts_of_uris(text).into_iter().any(|it| is_foreign(&it, own));
    // `5.5.82.1` is a version where a version is due.
    let literal = !place.ends_with("Version") && literals(text).into_iter().any(|it| is_foreign(&it, own));
    if (named && place != "xmlns") || literal {
        found.push(format!("{place}: {text}"));
    }
}

fn is_foreign(host: &str, own: &[String]) -> bool {
    let bare = host.trim_matches(['[', ']']);
    let nobody = bare.is_empty() || bare == "0.0.0.0" || bare == "::";
    let ours = own.iter().any(|it| it == host || it.split(':').next() == Some(host));
    !nobody && !ours && !VOCABULARIES.contains(&bare)
}

/// The authorities behind `://`, without user information.
fn hosts_of_uris(text: &str) -> Vec<String> {
    let after = text.split("://").skip(1);
    let authority = |rest: &str| {
        let end = rest.find(|it: char| it.is_whitespace() || "/?#\"'<>\\".contains(it)).unwrap_or(rest.len());
        rest[..end].rsplit('@').next().unwrap_or_default().to_ascii_lowercase()
    };
    after.map(authority).collect()
}

/// Four numbers with dots, and IPv6 literals, wherever they stand in a text.
fn literals(text: &str) -> Vec<String> {
    let v4 = text.split(|it: char| !it.is_ascii_digit() && it != '.').map(|it| it.trim_matches('.'));
    let v4 = v4.filter(|it| it.split('.').count() == 4 && it.parse::<Ipv4Addr>().is_ok());
    let v6 = text.split(|it: char| !it.is_ascii_hexdigit() && it != ':' && it != '.');
    let v6 = v6.filter(|it| it.matches(':').count() >= 2 && it.parse::<Ipv6Addr>().is_ok());
    v4.chain(v6).map(str::to_owned).collect()
}

#[test]
fn the_scanner_finds_what_it_should() {
    let own = ["127.0.4.1:8080".to_owned(), "127.0.4.1:8554".to_owned()];
    let message = |inner: &str| format!("<a xmlns='http://www.onvif.org/ver10/schema'>{inner}</a>");
    for clean in [
        "<X>http://127.0.4.1:8080/onvif/a</X>",
        "<X>0.0.0.0</X>",
        "<FirmwareVersion>5.5.82.1</FirmwareVersion>",
        "<X>onvif://www.onvif.org/name/x</X>",
        "<X>12:30:05</X>",
        "<X>1.2.3.4.5</X>",
    ] {
        assert_eq!(addresses(&message(clean), &own), [""; 0], "{clean}");
    }
    for foreign in [
        "<X>http://10.0.0.1/a</X>",
        "<X>rtsp://u:p@camera.example:554/a</X>",
        "<X y='see 192.168.1.64.'/>",
        "<X>fe80::1</X>",
        "<X>http://127.0.4.1:81/</X>",
        "<X>",
    ] {
        assert_eq!(addresses(&message(foreign), &own).len(), 1, "{foreign}");
    }
}
