//! Requests that never reach a camera: what the peer sees, and what is on record.

use std::{net::SocketAddr, sync::Arc};

use cordon::{
    clock::{Clock, SimulatedClock, SystemClock},
    limits::{ANONYMOUS_LINES_PER_CAMERA, ANONYMOUS_LINES_PER_SOURCE, SOAP_REQUEST_BYTES_MAX},
};
use serde_json::Value;

use crate::{
    client::{self, Reply, SOAP, Token, User, envelope, tds, tds_with, within},
    house::{ADMIN, CAR_PARK, House, LOBBY, LOBBY_ONLY, OPERATOR, Recorded, VIEWER},
};

/// What is expected of one request.
pub struct Expected {
    pub status: u16,
    pub fault: &'static str,
    pub operation: &'static str,
    pub policies: &'static [&'static str],
    /// A part of the note.
    pub note: &'static str,
}

impl Expected {
    /// The peer sees status and fault; a denial with operation, policies and note is on record, and no outcome.
    pub fn check(&self, name: &str, reply: &Reply, recorded: &Recorded) {
        let Self { status, fault, operation, policies, note } = self;
        assert_eq!((reply.status, reply.fault().as_str()), (*status, *fault), "{name}: {}", reply.text());
        let intent = &recorded.intent;
        assert_eq!(
            (&intent["operation"], &intent["decision"]),
            (&(*operation).into(), &"denied".into()),
            "{name}"
        );
        assert_eq!(recorded.policies(), *policies, "{name}: {intent}");
        assert_eq!(intent["fault"], *fault, "{name}: what the peer was told: {intent}");
        assert!(intent["note"].as_str().unwrap_or_default().contains(note), "{name}: {intent}");
        assert_eq!(recorded.outcome, None, "{name}");
    }
}

const UNKNOWN: &str = "unknown:{http://www.onvif.org/ver10/device/wsdl}MakeCoffee";

/// As ADMIN, with a fresh token.
fn known(body: &str) -> String {
    envelope(&Token::new(ADMIN).header(), body)
}

/// As ADMIN, with more header blocks.
fn headed(blocks: &str) -> String {
    envelope(&format!("{blocks}{}", Token::new(ADMIN).header()), &tds("GetNTP"))
}

fn bomb() -> String {
    let mut text = "<?xml version=\"1.0\"?><!DOCTYPE b [<!ENTITY a \"aaaaaaaaaa\">".to_owned();
    for (name, of) in ["b", "c", "d", "e", "f", "g", "h"].iter().zip(["a", "b", "c", "d", "e", "f", "g"]) {
        text += &format!("<!ENTITY {name} \"{}\">", format!("&{of};").repeat(10));
    }
    text + "]>" + &known(&tds_with("SetHostname", "<x:Name>&h;</x:Name>"))
}

/// A message and what it comes to.
pub type Case = (&'static str, String, Expected);

const WELL_FORMED: &str = "Sender/ter:WellFormed";
const ARGS: &str = "Sender/ter:InvalidArgs";
const VALUE: &str = "Sender/ter:InvalidArgVal";
const REFUSED: &str = "Sender/ter:NotAuthorized";
const NOTHING: &str = "not understood";

fn sender(fault: &'static str, operation: &'static str, note: &'static str) -> Expected {
    Expected { status: 400, fault, operation, policies: &[], note }
}

fn envelope_blamed(fault: &'static str, operation: &'static str, note: &'static str) -> Expected {
    Expected { status: 500, ..sender(fault, operation, note) }
}

/// What the interface does not declare.
fn undeclared() -> Vec<Case> {
    let hostname = |inner: &str| known(&tds_with("SetHostname", inner));
    let attribute = tds("GetNTP").replacen("x:GetNTP ", "x:GetNTP owner=\"me\" ", 1);
    let perhaps = tds_with("SetNTP", "<x:FromDHCP>perhaps</x:FromDHCP>");
    vec![
        (
            "unknown element",
            hostname("<x:Name>gate</x:Name><x:Owner>me</x:Owner>"),
            sender("Sender/ter:Tag", "tds:SetHostname", "Owner"),
        ),
        ("unknown attribute", known(&attribute), sender("Sender/ter:ProhibAttr", "tds:GetNTP", "owner")),
        (
            "element of another namespace",
            hostname("<tt:Name>gate</tt:Name>"),
            sender("Sender/ter:Tag", "tds:SetHostname", "Name"),
        ),
        ("missing element", hostname(""), sender(ARGS, "tds:SetHostname", "Name")),
        ("value that is none", known(&perhaps), sender(VALUE, "tds:SetNTP", "FromDHCP")),
    ]
}

/// What is no XML this gateway reads, or no envelope.
fn unreadable() -> Vec<Case> {
    let good = known(&tds("GetNTP"));
    let external = format!("<!DOCTYPE x [<!ENTITY f SYSTEM \"file:///etc/passwd\">]>{good}");
    vec![
        ("DTD", format!("<!DOCTYPE x>{good}"), sender(WELL_FORMED, NOTHING, "")),
        ("entity bomb", bomb(), sender(WELL_FORMED, NOTHING, "")),
        ("external entity", external, sender(WELL_FORMED, NOTHING, "")),
        ("no XML", "GET me a coffee".to_owned(), sender(WELL_FORMED, NOTHING, "")),
        ("half a message", good.chars().take(300).collect(), sender(WELL_FORMED, NOTHING, "")),
        ("no envelope", tds("GetNTP"), sender(WELL_FORMED, NOTHING, "no SOAP envelope")),
    ]
}

/// What is an envelope with too little or too much in its body.
fn misshapen() -> Vec<Case> {
    let ntp = tds("GetNTP");
    let hostname = tds_with("SetHostname", "<x:Name>gate</x:Name>");
    let two_bodies = known(&ntp).replace("</s:Body>", "</s:Body><s:Body/>");
    let no_body = known("").replace("<s:Body></s:Body>", "");
    vec![
        ("no body", no_body, sender(WELL_FORMED, NOTHING, "no body")),
        ("empty body", known(""), sender(ARGS, NOTHING, "empty")),
        (
            "two requests in one body",
            known(&format!("{ntp}{hostname}")),
            sender(ARGS, "tds:GetNTP", "more than one element"),
        ),
        ("two bodies", two_bodies, sender(WELL_FORMED, "tds:GetNTP", "after its body")),
    ]
}

/// Header blocks that ask for what is not done.
fn headers() -> Vec<Case> {
    let elsewhere = |block: &str| {
        headed(&format!("<a:{block}><a:Address>http://203.0.113.9/drop</a:Address></a:{block}>"))
    };
    let lease = headed("<z:Lease xmlns:z=\"urn:z\" s:mustUnderstand=\"true\"/>");
    vec![
        (
            "two Security headers",
            headed(&Token::new(VIEWER).header()),
            sender(ARGS, NOTHING, "two wsse:Security"),
        ),
        (
            "an answer to somebody else",
            elsewhere("ReplyTo"),
            sender(VALUE, "tds:GetNTP", "ReplyTo must be anonymous"),
        ),
        (
            "a fault to somebody else",
            elsewhere("FaultTo"),
            sender(VALUE, "tds:GetNTP", "FaultTo must be anonymous"),
        ),
        (
            "a header block that must be understood",
            lease,
            envelope_blamed("MustUnderstand", "tds:GetNTP", "`Lease` is not understood"),
        ),
    ]
}

/// Credentials that prove nothing.
fn credentials() -> Vec<Case> {
    let as_user = |user, operation| envelope(&Token::new(user).header(), &tds(operation));
    let wrong = ("vms-admin", "another password");
    let plain = "<w:Security xmlns:w=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\">\
                 <w:UsernameToken><w:Username>vms-admin</w:Username><w:Password>admin-password-1</w:Password>\
                 </w:UsernameToken></w:Security>";
    vec![
        ("wrong password", as_user(wrong, "GetNTP"), sender(REFUSED, "tds:GetNTP", "the password is wrong")),
        (
            "unknown name",
            as_user(("nobody", "admin-password-1"), "GetNTP"),
            sender(REFUSED, "tds:GetNTP", "no client has this name"),
        ),
        ("password in clear", envelope(plain, &tds("GetNTP")), sender(REFUSED, "tds:GetNTP", "PasswordText")),
        (
            "wrong password for what needs none",
            as_user(wrong, "GetHostname"),
            sender(REFUSED, "tds:GetHostname", "the password is wrong"),
        ),
    ]
}

/// All messages of this file that are no command.
pub fn messages() -> impl Iterator<Item = Case> {
    [undeclared(), unreadable(), misshapen(), headers(), credentials()].into_iter().flatten()
}

#[test]
fn messages_that_are_no_command_are_refused_and_recorded() {
    let house = House::open();
    for (name, message, expected) in messages() {
        let reply = client::post(house.door(CAR_PARK), "device", &[], &message);
        let recorded = house.record(&reply);
        expected.check(name, &reply, &recorded);
        assert_eq!(recorded.intent["who"]["kind"], "anonymous", "{name}: nobody has proven who asked");
        assert_eq!(recorded.intent["camera"], "car-park", "{name}");
        assert!(!reply.text().contains("password is wrong"), "{name}: the cause is for the record only");
    }
    assert_eq!(house.heard(), [], "none of this is any camera's business");
}

#[test]
fn a_name_that_was_claimed_is_recorded_as_a_claim() {
    let house = House::open();
    let token = Token::new(("vms-admin", "another password"));
    let reply = client::post(house.door(LOBBY), "device", &[], &envelope(&token.header(), &tds("GetUsers")));
    let recorded = house.record(&reply);
    assert_eq!(recorded.intent["who"]["name"], "claims to be \"vms-admin\"");
    assert!(!recorded.intent.to_string().contains("another password"));
}

/// Whose door, who asks (nobody, where the name is empty), what, and what that comes to.
type Denied = (&'static str, (usize, User, String), Expected);

const NOBODY: User = ("", "");

fn prohibited(operation: &'static str, policies: &'static [&'static str]) -> Expected {
    Expected { policies, ..sender("Sender/ter:OperationProhibited", operation, "") }
}

/// Destinations for cameras.
fn destinations() -> Vec<Denied> {
    let set = |kind: &str, host: &str| {
        let inner = format!("<x:FromDHCP>false</x:FromDHCP><x:NTPManual>{kind}{host}</x:NTPManual>");
        tds_with("SetNTP", &inner)
    };
    let ip = |host: &str| set("<tt:Type>IPv4</tt:Type>", &format!("<tt:IPv4Address>{host}</tt:IPv4Address>"));
    let by_name = set("<tt:Type>DNS</tt:Type>", "<tt:DNSname>ntp.example</tt:DNSname>");
    let ntp = |policies| prohibited("tds:SetNTP", policies);
    vec![
        (
            "restricted SetNTP, unnamed network",
            (CAR_PARK, ADMIN, ip("198.18.0.9")),
            ntp(&["appliance.named-networks", "restricted.egress", "restricted.network"]),
        ),
        (
            "restricted SetNTP, named network",
            (CAR_PARK, ADMIN, ip("203.0.113.5")),
            ntp(&["restricted.egress", "restricted.network"]),
        ),
        (
            "trusted SetNTP, unnamed network",
            (LOBBY, ADMIN, ip("198.18.0.9")),
            ntp(&["appliance.named-networks"]),
        ),
        ("trusted SetNTP, host name", (LOBBY, ADMIN, by_name), ntp(&["appliance.named-networks"])),
        ("SetNTP by a User", (LOBBY, VIEWER, ip("203.0.113.5")), sender(REFUSED, "tds:SetNTP", "")),
    ]
}

/// Rights, and operations that nobody has.
fn rights() -> Vec<Denied> {
    let user = "<x:User><tt:Username>eve</tt:Username><tt:Password>let-me-in-9</tt:Password>\
                <tt:UserLevel>Administrator</tt:UserLevel></x:User>";
    let create = tds_with("CreateUsers", user);
    let denied = |operation| sender(REFUSED, operation, "");
    let challenge = |operation| Expected { status: 401, ..denied(operation) };
    vec![
        ("GetUsers by an Operator", (LOBBY, OPERATOR, tds("GetUsers")), denied("tds:GetUsers")),
        ("reboot by an Operator", (CAR_PARK, OPERATOR, tds("SystemReboot")), denied("tds:SystemReboot")),
        (
            "another camera than the client's",
            (CAR_PARK, LOBBY_ONLY, tds("GetNTP")),
            sender(REFUSED, "tds:GetNTP", "may not address this camera"),
        ),
        (
            "a user for a trusted camera",
            (LOBBY, ADMIN, create.clone()),
            prohibited("tds:CreateUsers", &["appliance.users"]),
        ),
        (
            "a user for a restricted camera",
            (CAR_PARK, ADMIN, create),
            prohibited("tds:CreateUsers", &["appliance.users", "restricted.users"]),
        ),
        (
            "unknown operation",
            (CAR_PARK, ADMIN, tds("MakeCoffee")),
            envelope_blamed("Receiver/ter:ActionNotSupported", UNKNOWN, ""),
        ),
        ("unknown operation, nobody", (CAR_PARK, NOBODY, tds("MakeCoffee")), challenge(UNKNOWN)),
        ("a read without credentials", (LOBBY, NOBODY, tds("GetNTP")), challenge("tds:GetNTP")),
    ]
}

#[test]
fn policies_refuse_and_the_camera_hears_nothing() {
    let house = House::open();
    for (name, (camera, user, body), expected) in destinations().into_iter().chain(rights()) {
        let door = house.door(camera);
        let anonymous = user == NOBODY;
        let reply = if anonymous {
            client::ask_anonymously(door, "device", &body)
        } else {
            client::ask(door, "device", user, &body)
        };
        let recorded = house.record(&reply);
        expected.check(name, &reply, &recorded);
        let who = &recorded.intent["who"];
        if anonymous {
            assert_eq!(who["kind"], "anonymous", "{name}");
            challenged(name, &reply);
        } else if user != LOBBY_ONLY {
            assert_eq!((&who["name"], &who["method"]), (&user.0.into(), &"wsse".into()), "{name}");
        }
        let arguments = recorded.intent["arguments"].to_string();
        assert!(!arguments.contains("let-me-in-9"), "{name}: {arguments}");
    }
    assert_eq!(house.heard(), [], "what is refused is not sent");
}

/// A 401 has two challenges, MD5 first: it is all that ONVIF promises a client to know.
fn challenged(name: &str, reply: &Reply) {
    let challenges = reply.header_values("www-authenticate");
    let [md5, sha] = challenges.as_slice() else { panic!("{name}: {challenges:?}") };
    assert!(
        md5.starts_with("Digest ") && md5.contains("algorithm=MD5") && md5.contains("qop=\"auth\""),
        "{md5}"
    );
    assert!(
        sha.starts_with("Digest ") && sha.contains("algorithm=SHA-256") && sha.contains("qop=\"auth\""),
        "{sha}"
    );
}

/// libcurl sends a first request without its body to learn the challenge.
#[test]
fn an_empty_request_is_challenged_and_recorded() {
    let house = House::open();
    let reply = client::post(house.door(CAR_PARK), "device", &[], "");
    let expected = Expected { status: 401, ..sender(REFUSED, NOTHING, "an empty body") };
    expected.check("nothing", &reply, &house.record(&reply));
    challenged("nothing", &reply);
    let target = "/onvif/device_service";
    let answer = client::authorization(reply.header_values("www-authenticate")[0], "POST", target, ADMIN);
    let empty = client::send(house.door(CAR_PARK), &client::request("POST", target, &[SOAP, &answer], b""));
    let expected = sender(WELL_FORMED, NOTHING, "");
    expected.check("nothing, with credentials", &empty, &house.record(&empty));
    assert_eq!(house.heard(), []);
}

#[test]
fn a_wrong_http_digest_is_challenged_anew_and_recorded() {
    let house = House::open();
    let door = house.door(CAR_PARK);
    let (target, body) = ("/onvif/device_service", envelope("", &tds("GetNTP")));
    for algorithm in ["MD5", "SHA-256"] {
        let wrong = ("vms-admin", "another password");
        let reply = client::send_with_digest(door, "POST", target, wrong, algorithm, &body);
        let expected = Expected {
            status: 401,
            fault: "Sender/ter:NotAuthorized",
            operation: "tds:GetNTP",
            policies: &[],
            note: "the password is wrong",
        };
        expected.check(algorithm, &reply, &house.record(&reply));
        challenged(algorithm, &reply);
        let reply = client::send_with_digest(door, "POST", target, VIEWER, algorithm, &body);
        assert_eq!(reply.status, 200, "{algorithm}: {}", reply.text());
        let method = format!("digest-{}", algorithm.to_lowercase().replace('-', ""));
        assert_eq!(house.record(&reply).intent["who"]["method"], method);
    }
    assert_eq!(house.heard(), [], "the gateway answers GetNTP itself");
}

/// What names no service is answered by HTTP and, since nothing was asked, not recorded; what comes to a service
/// or a picture's place is.
#[test]
fn what_is_no_soap_over_http_is_answered_with_a_status() {
    let house = House::open();
    let door = house.door(CAR_PARK);
    let message = known(&tds("GetNTP"));
    let target = "/onvif/device_service";
    let large = format!("{message}{}", " ".repeat(SOAP_REQUEST_BYTES_MAX + 1 - message.len()));
    let typed =
        |kind: &str| client::request("POST", target, &[&format!("Content-Type: {kind}")], message.as_bytes());
    let cases: Vec<(&str, Vec<u8>, u16, Option<&str>)> = vec![
        ("GET on a service", client::request("GET", target, &[], b""), 405, None),
        ("PUT on a service", client::request("PUT", target, &[SOAP], message.as_bytes()), 405, None),
        ("unknown path", client::request("POST", "/onvif/nothing", &[SOAP], message.as_bytes()), 404, None),
        (
            "unknown service",
            client::request("POST", "/onvif/coffee_service", &[SOAP], message.as_bytes()),
            404,
            None,
        ),
        ("path of another vendor", client::request("GET", "/ISAPI/System/deviceInfo", &[], b""), 404, None),
        ("too large", client::request("POST", target, &[SOAP], large.as_bytes()), 413, None),
        (
            "path that climbs",
            client::request("GET", "/onvif/snapshot/../device_service", &[], b""),
            404,
            Some("404"),
        ),
        ("JSON", typed("application/json"), 415, Some("415")),
        ("form", typed("application/x-www-form-urlencoded"), 415, Some("415")),
        (
            "MTOM",
            typed("multipart/related; type=\"application/xop+xml\"; boundary=b"),
            500,
            Some("Receiver/ter:ActionNotSupported"),
        ),
    ];
    for (name, bytes, status, on_record) in &cases {
        let before = commands(&house.records());
        let reply = client::send(door, bytes);
        assert_eq!(reply.status, *status, "{name}: {}", reply.text());
        let records = house.records();
        // The question that reads the log is a command itself.
        assert_eq!(commands(&records) - before - 1, usize::from(on_record.is_some()), "{name}");
        if let Some(fault) = on_record {
            let recorded = house.record(&reply);
            assert_eq!(
                (&recorded.intent["fault"], &recorded.intent["decision"]),
                (&(*fault).into(), &"denied".into()),
                "{name}"
            );
        }
        // Who posts SOAP hears SOAP, wherever that was sent.
        let unknown = Some("Receiver/ter:ActionNotSupported").filter(|_| name.starts_with("unknown"));
        let fault = on_record.filter(|it| it.contains('/')).or(unknown).unwrap_or_default();
        assert_eq!(reply.fault(), fault, "{name}");
    }
    assert_eq!(house.heard(), []);
}

fn commands(records: &[Value]) -> usize {
    records.iter().filter(|it| it["type"] == "intent").count()
}

#[test]
fn bytes_that_are_no_http_end_the_connection() {
    let house = House::open();
    let door: SocketAddr = house.door(CAR_PARK);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X-A: b\r\n".repeat(100));
    let cases: [(&str, &[u8]); 4] = [
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        (
            "two lengths",
            b"POST /onvif/device_service HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\naaaaa",
        ),
        ("another protocol", b"RTSP/1.0 OPTIONS *\r\nCSeq: 1\r\n\r\n"),
        ("too many header fields", many.as_bytes()),
    ];
    for (name, bytes) in cases {
        let reply = client::send(door, bytes);
        assert!([400, 431].contains(&reply.status), "{name}: {}", reply.text());
    }
    assert_eq!(
        client::ask_anonymously(door, "device", &tds("GetHostname")).status,
        200,
        "the next one is served"
    );
    assert_eq!(house.heard(), []);
}

/// An operation that every interface declares elsewhere, asked at the device service.
#[test]
fn the_body_says_what_is_asked_not_the_path() {
    let house = House::open();
    let steal = within(
        "http://www.onvif.org/ver10/media/wsdl",
        "DeleteProfile",
        "<x:ProfileToken>p</x:ProfileToken>",
    );
    let reply = client::ask(house.door(LOBBY), "device", VIEWER, &steal);
    let expected = Expected {
        status: 400,
        fault: "Sender/ter:NotAuthorized",
        operation: "trt:DeleteProfile",
        policies: &[],
        note: "",
    };
    expected.check("DeleteProfile at the device service", &reply, &house.record(&reply));
    assert_eq!(house.heard(), []);
}

/// Who may call is said with the networks it may call from.
#[test]
fn a_client_from_outside_its_networks_is_not_known() {
    let house = House::open();
    let message = known(&tds("GetNTP"));
    let bytes = client::request("POST", "/onvif/device_service", &[SOAP], message.as_bytes());
    let reply = client::receive(client::connect_from("127.0.0.9", house.door(LOBBY), &bytes));
    let expected = sender(REFUSED, "tds:GetNTP", "outside its networks");
    expected.check("another network", &reply, &house.record(&reply));
    assert_eq!(house.heard(), []);
}

/// Each request shows its own credentials; those of the one before on the same connection count for nothing.
#[test]
fn a_connection_is_no_login() {
    let house = House::open();
    let door = house.door(LOBBY);
    let known = known(&tds("GetNTP"));
    let unknown = envelope("", &tds("GetNTP"));
    let one = client::request("POST", "/onvif/device_service", &[SOAP], known.as_bytes());
    let kept = String::from_utf8(one).unwrap().replace("Connection: close\r\n", "");
    let two = client::request("POST", "/onvif/device_service", &[SOAP], unknown.as_bytes());
    let reply = client::receive(client::connect(door, &[kept.as_bytes(), &two].concat()));
    let both = String::from_utf8(reply.body.clone()).unwrap();
    assert_eq!(reply.status, 200, "the first is answered: {both}");
    assert!(both.contains("HTTP/1.1 401 Unauthorized\r\n"), "the second is not: {both}");
    let source = reply.source.to_string();
    let records = house.records();
    let of_both: Vec<_> =
        records.iter().filter(|it| it["source"] == source).map(|it| &it["decision"]).collect();
    assert_eq!(of_both, ["permitted", "denied"]);
}

/// What one source may say in a minute without credentials, where two cameras are enrolled.
const LINES: u32 = ANONYMOUS_LINES_PER_SOURCE + 2 * ANONYMOUS_LINES_PER_CAMERA;

/// Whoever proves nothing cannot fill the log: beyond a source's lines its refusals are counted, and told once.
/// A client that proves itself is served all the same.
#[test]
fn what_needs_no_credentials_is_bounded_in_the_log_too() {
    let mut house = House::open_at(Arc::new(SimulatedClock::new(SystemClock::new().now())));
    let door = house.door(LOBBY);
    for number in 0..=LINES {
        let reply = client::ask_anonymously(door, "device", &tds("GetSystemDateAndTime"));
        let expected = if number < LINES { 200 } else { 429 };
        assert_eq!(reply.status, expected, "request {number}: {}", reply.text());
    }
    house.stop();
    let records = house.records();
    let permitted =
        records.iter().filter(|it| it["decision"] == "permitted" && it["who"]["kind"] == "anonymous");
    assert_eq!(permitted.count(), LINES as usize);
    let told: Vec<_> =
        records.iter().filter(|it| it["what"] == "requests-left-out").map(|it| &it["detail"]).collect();
    assert_eq!(told, [&serde_json::json!({ "source": "127.0.0.1", "requests": 1 })]);
}

#[test]
fn noise_is_counted_and_told_in_one_line() {
    const BEYOND: u32 = 25;
    // A clock that stands still: the minute does not end before the test does.
    let mut house = House::open_at(Arc::new(SimulatedClock::new(SystemClock::new().now())));
    let door = house.door(LOBBY);
    for number in 0..LINES + BEYOND {
        let reply = client::ask_anonymously(door, "device", &tds("GetUsers"));
        let expected = if number < LINES { 401 } else { 429 };
        assert_eq!(reply.status, expected, "request {number}: {}", reply.text());
    }
    assert_eq!(
        client::ask(door, "device", VIEWER, &tds("GetScopes")).status,
        200,
        "a client that proves itself"
    );
    let rejected = client::ask(door, "device", (VIEWER.0, "wrong"), &tds("GetScopes"));
    assert_eq!(rejected.status, 429, "one that does not");
    house.stop();
    let records = house.records();
    let denied = records.iter().filter(|it| it["decision"] == "denied").count();
    assert_eq!(denied, LINES as usize);
    let told: Vec<_> =
        records.iter().filter(|it| it["what"] == "requests-left-out").map(|it| &it["detail"]).collect();
    assert_eq!(told, [&serde_json::json!({ "source": "127.0.0.1", "requests": BEYOND + 1 })]);
    let alarms = records.iter().filter(|it| it["what"] == "alarm-raised");
    let found: Vec<_> = alarms
        .filter(|it| it["detail"]["id"] == "requests-left-out")
        .map(|it| &it["detail"]["found"])
        .collect();
    assert_eq!(found, [&format!("127.0.0.1 went beyond its {LINES} requests a minute")]);
}
