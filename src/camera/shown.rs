//! What a camera's bytes show of its maker, taken where they are read anyway.

use std::{
    cell::{Cell, Ref},
    time::Duration,
};

use http::{HeaderMap, StatusCode, header};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::session::Session;
use crate::{
    auth::digest::Challenge,
    inventory::{Evidence, SignalKind},
    limits::{EVIDENCE_SCAN_BYTES_MAX, EVIDENCE_TAGS_MAX, EVIDENCE_TURNS_MAX, EVIDENCE_TURNS_PERIOD},
    rtsp::{Field, Fields},
    schema::Document,
};

/// Namespaces that every camera uses tell nothing of any.
const EVERYBODYS: [&str; 4] = [
    "http://www.w3.org/",
    "http://schemas.xmlsoap.org/",
    "http://www.onvif.org/",
    "http://docs.oasis-open.org/",
];

/// What the head of an HTTP answer shows beside what is `known`.
pub fn of_headers(status: StatusCode, headers: &HeaderMap, known: &Evidence) -> Evidence {
    let mut shown = Evidence::default();
    let mut news = |kind, value: &str| {
        if !known.shows(kind, value) {
            shown.add(kind, value);
        }
    };
    if let Some(server) = headers.get(header::SERVER).and_then(|it| it.to_str().ok()) {
        news(SignalKind::HttpServer, server);
    }
    if status == StatusCode::UNAUTHORIZED {
        let fields = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|it| it.to_str().ok());
        for challenge in Challenge::parse_all(&fields.collect::<Vec<_>>()) {
            news(SignalKind::HttpRealm, &challenge.realm);
        }
    }
    shown
}

/// What the fields of an RTSP answer show.
pub fn of_fields(fields: &Fields) -> Evidence {
    let mut shown = Evidence::default();
    if let Some(server) = fields.get(Field::Server) {
        shown.add(SignalKind::RtspServer, server);
    }
    for challenge in Challenge::parse_all(&fields.all(Field::WwwAuthenticate).collect::<Vec<_>>()) {
        shown.add(SignalKind::RtspRealm, &challenge.realm);
    }
    shown
}

/// What a session description shows.
pub fn of_description(text: &[u8]) -> Evidence {
    let mut shown = Evidence::default();
    shown.add_session_description(&String::from_utf8_lossy(text));
    shown
}

/// What the text of a SOAP answer shows that its document does not have any more: its dialect, in the namespaces and
/// prefixes of its beginning, beside what is `known`.
pub fn of_envelope(body: &[u8], known: &Evidence) -> Evidence {
    let mut shown = Evidence::default();
    let head = String::from_utf8_lossy(body.get(..EVIDENCE_SCAN_BYTES_MAX).unwrap_or(body));
    // A text or a token may be a client's: what looks like a declaration there is none of the camera's. Up to the first
    // comment or CDATA section, `<` begins a tag and nothing else does.
    // What is declared, is declared by the envelope, the body, or what is in it.
    let tags = head.split("<!").next().unwrap_or_default().split('<').skip(1);
    let declared = tags.filter(|tag| !tag.starts_with('?')).take(EVIDENCE_TAGS_MAX).flat_map(attributes);
    for (attribute, name) in declared {
        let Some(prefix) = attribute.strip_prefix("xmlns") else { continue };
        if EVERYBODYS.iter().any(|it| name.starts_with(it)) {
            continue;
        }
        let prefix = prefix.trim_start_matches(':');
        for (kind, value) in [(SignalKind::Namespace, name), (SignalKind::Prefix, prefix)] {
            if !known.shows(kind, value) {
                shown.add(kind, value);
            }
        }
    }
    shown
}

/// The attributes of a tag, up to the first that is not well-formed. `tag` begins behind its `<`.
fn attributes(tag: &str) -> impl Iterator<Item = (&str, &str)> {
    let inside = tag.split('>').next().unwrap_or_default();
    let mut rest = inside.split_once(char::is_whitespace).map_or("", |(_, rest)| rest);
    std::iter::from_fn(move || {
        let (name, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let quote = value.chars().next().filter(|it| ['"', '\''].contains(it))?;
        let (value, more) = value.get(1..)?.split_once(quote)?;
        rest = more;
        Some((name.trim(), value))
    })
}

/// What an answer says of the camera: who it is (`tds:GetDeviceInformation`), its scopes, and the name it has in
/// discovery.
pub fn of_document(answer: &Document) -> Evidence {
    let mut shown = Evidence::default();
    let root = answer.root();
    match root.local() {
        "GetDeviceInformationResponse" => {
            for (local, kind) in [
                ("Manufacturer", SignalKind::Manufacturer),
                ("Model", SignalKind::Model),
                ("FirmwareVersion", SignalKind::Firmware),
                ("SerialNumber", SignalKind::Serial),
                ("HardwareId", SignalKind::Hardware),
            ] {
                if let Some(element) = root.child(local) {
                    shown.add(kind, element.text());
                }
            }
        }
        "GetScopesResponse" => {
            for item in root.children().filter_map(|scope| scope.child("ScopeItem")) {
                shown.add_scope(item.text());
            }
        }
        "GetEndpointReferenceResponse" => {
            if let Some(guid) = root.child("GUID") {
                shown.add(SignalKind::Endpoint, guid.text());
            }
        }
        _ => {}
    }
    shown
}

/// What the neighbour table of a camera's zone shows.
pub fn of_mac(mac: &str) -> Evidence {
    let mut shown = Evidence::default();
    shown.add(SignalKind::Mac, mac);
    shown
}

/// What a certificate shows: whose it is, and who issued it.
pub fn of_certificate(der: &[u8]) -> Evidence {
    let mut shown = Evidence::default();
    if let Ok((_, read)) = X509Certificate::from_der(der) {
        shown.add(SignalKind::TlsSubject, &read.subject().to_string());
        shown.add(SignalKind::TlsIssuer, &read.issuer().to_string());
    }
    shown
}

/// How often evidence may be kept and weighed: each time is a write to the state database, on the camera's own thread.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Since when, and how many.
    taken: Cell<(Duration, u32)>,
    /// Whether somebody found none left.
    is_missed: Cell<bool>,
}

impl Turns {
    /// Takes a turn, if there is one left in this minute.
    fn take(&self, now: Duration) -> bool {
        let (began, taken) = self.taken.get();
        let (began, taken) =
            if now.saturating_sub(began) >= EVIDENCE_TURNS_PERIOD { (now, 0) } else { (began, taken) };
        let is_left = taken < EVIDENCE_TURNS_MAX;
        self.taken.set((began, taken + u32::from(is_left)));
        self.is_missed.set(!is_left);
        is_left
    }
}

impl Session {
    /// Takes up what the camera shows of its maker. One that shows something else with each answer has that kept and
    /// weighed `EVIDENCE_TURNS_MAX` times a minute; what it shows beyond is, with an answer of the next minute.
    pub(super) fn show(&self, shown: &Evidence) {
        let is_news = self.evidence.borrow_mut().take_up(shown) || self.evidence_turns.is_missed.get();
        if is_news && self.evidence_turns.take(self.clock.monotonic()) {
            self.keep();
        }
    }

    /// What the camera has shown of its maker.
    pub(super) fn evidence(&self) -> Ref<'_, Evidence> {
        self.evidence.borrow()
    }

    /// Another camera is there now: what the one before showed says nothing of it.
    pub(super) fn forget_evidence(&self) {
        self.evidence.replace(Evidence::default());
        self.keep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(shown: &Evidence) -> Vec<String> {
        shown.signals().iter().map(|it| format!("{} {}", it.kind, it.value)).collect()
    }

    #[test]
    fn a_dialect_shows_in_namespaces_that_are_not_everybodys() {
        let body = br#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
            xmlns:tnshik = 'http://www.maker.example/2011/event/topics' xmlns="urn:x"><s:Body xmlns:broken"#;
        let shown = of_envelope(body, &Evidence::default());
        let expected =
            ["namespace http://www.maker.example/2011/event/topics", "prefix tnshik", "namespace urn:x"];
        assert_eq!(told(&shown), expected);
        assert_eq!(told(&of_envelope(body, &shown)), Vec::<String>::new(), "known already");
        let clients = br#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><Name>a xmlns='hikvision' b</Name>
            <Preset token="c xmlns:hik='hikvision'" n='1'><![CDATA[<d xmlns="hikvision">]]></Preset>"#;
        assert_eq!(
            told(&of_envelope(clients, &Evidence::default())),
            Vec::<String>::new(),
            "a client's text"
        );
        let far = [&[b' '; EVIDENCE_SCAN_BYTES_MAX][..], &body[..]].concat();
        assert_eq!(told(&of_envelope(&far, &Evidence::default())), Vec::<String>::new());
    }

    #[test]
    fn servers_and_realms_are_taken_from_heads() {
        let mut headers = HeaderMap::new();
        headers.insert(header::SERVER, "App-webs/".parse().unwrap());
        headers.insert(
            header::WWW_AUTHENTICATE,
            "Digest realm=\"IP Camera(C1234)\", nonce=\"7\"".parse().unwrap(),
        );
        let none = Evidence::default();
        assert_eq!(told(&of_headers(StatusCode::OK, &headers, &none)), ["http-server App-webs/"]);
        let shown = of_headers(StatusCode::UNAUTHORIZED, &headers, &none);
        assert_eq!(told(&shown), ["http-server App-webs/", "http-realm IP Camera(C1234)"]);
        assert_eq!(told(&of_headers(StatusCode::UNAUTHORIZED, &headers, &shown)), Vec::<String>::new());
    }

    #[test]
    fn what_varies_with_each_answer_is_kept_a_few_times_a_minute() {
        let turns = Turns::default();
        let second = Duration::from_secs;
        let taken = |from: u64| (from..from + 59).filter(|now| turns.take(second(*now))).count();
        assert_eq!(taken(100), EVIDENCE_TURNS_MAX as usize);
        assert!(turns.take(second(160)), "another minute");
        assert_eq!(taken(161), EVIDENCE_TURNS_MAX as usize - 1);
    }

    #[test]
    fn numbers_of_one_session_are_no_sign_of_a_camera() {
        let text =
            b"v=0\r\no=CV-RTSPHandler 1123412 0 IN IP4 192.0.2.1\r\ns=HIK Media Server V1\r\na=control:*\r\n";
        assert_eq!(told(&of_description(text)), ["sdp o=CV-RTSPHandler", "sdp s=HIK Media Server V1"]);
    }
}
