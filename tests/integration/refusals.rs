//! Requests that never reach a camera: what the peer sees, and what is on record.

use std::net::SocketAddr;

use cordon::limits::SOAP_REQUEST_BYTES_MAX;
use serde_json::Value;

use crate::{
    client::{self, Reply, SOAP, Token, envelope, tds, tds_with, within},
    house::{ADMIN, CAR_PARK, House, LOBBY, OPERATOR, Recorded, VIEWER},
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

#[test]
fn messages_that_are_no_command_are_refused_and_recorded() {
    let house = House::open();
    let wrong = ("vms-admin", "another password");
    let nobody = ("nobody", "admin-password-1");
    let plain = "<w:Security xmlns:w=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\">\
                 <w:UsernameToken><w:Username>vms-admin</w:Username><w:Password>admin-password-1</w:Password>\
                 </w:UsernameToken></w:Security>";
    let ntp = tds("GetNTP");
    let case = |status, fault, operation, note| Expected { status, fault, operation, policies: &[], note };
    let sender = |fault, operation, note| case(400, fault, operation, note);
    let (well_formed, args, refused) =
        ("Sender/ter:WellFormed", "Sender/ter:InvalidArgs", "Sender/ter:NotAuthorized");
    let cases: Vec<(&str, String, Expected)> = vec![
        (
            "unknown element",
            known(&tds_with("SetHostname", "<x:Name>gate</x:Name><x:Owner>me</x:Owner>")),
            sender("Sender/ter:Tag", "tds:SetHostname", "Owner"),
        ),
        (
            "unknown attribute",
            known(&tds("GetNTP").replacen("x:GetNTP ", "x:GetNTP owner=\"me\" ", 1)),
            sender("Sender/ter:ProhibAttr", "tds:GetNTP", "owner"),
        ),
        (
            "element of another namespace",
            known(&tds_with("SetHostname", "<tt:Name>gate</tt:Name>")),
            sender("Sender/ter:Tag", "tds:SetHostname", "Name"),
        ),
        ("missing element", known(&tds("SetHostname")), sender(args, "tds:SetHostname", "Name")),
        (
            "value that is none",
            known(&tds_with("SetNTP", "<x:FromDHCP>perhaps</x:FromDHCP>")),
            sender("Sender/ter:InvalidArgVal", "tds:SetNTP", "FromDHCP"),
        ),
        ("DTD", format!("<!DOCTYPE x>{}", known(&ntp)), sender(well_formed, "not understood", "")),
        ("entity bomb", bomb(), sender(well_formed, "not understood", "")),
        (
            "external entity",
            format!("<!DOCTYPE x [<!ENTITY f SYSTEM \"file:///etc/passwd\">]>{}", known(&ntp)),
            sender(well_formed, "not understood", ""),
        ),
        ("no XML", "GET me a coffee".to_owned(), sender(well_formed, "not understood", "")),
        ("nothing", String::new(), sender(well_formed, "not understood", "")),
        ("half a message", known(&ntp)[..300].to_owned(), sender(well_formed, "not understood", "")),
        ("no envelope", ntp.clone(), sender(well_formed, "not understood", "no SOAP envelope")),
        (
            "SOAP 1.1",
            known(&ntp).replace(
                "http://www.w3.org/2003/05/soap-envelope",
                "http://schemas.xmlsoap.org/soap/envelope/",
            ),
            case(500, "VersionMismatch", "not understood", "SOAP 1.1"),
        ),
        (
            "no body",
            known("").replace("<s:Body></s:Body>", ""),
            sender(well_formed, "not understood", "no body"),
        ),
        ("empty body", known(""), sender(args, "not understood", "empty")),
        (
            "two requests in one body",
            known(&format!("{ntp}{}", tds_with("SetHostname", "<x:Name>gate</x:Name>"))),
            sender(args, "tds:GetNTP", "more than one element"),
        ),
        (
            "two bodies",
            known(&ntp).replace("</s:Body>", "</s:Body><s:Body/>"),
            sender(well_formed, "tds:GetNTP", "after its body"),
        ),
        (
            "two Security headers",
            headed(&Token::new(VIEWER).header()),
            sender(args, "not understood", "two wsse:Security"),
        ),
        (
            "an answer to somebody else",
            headed("<a:ReplyTo><a:Address>http://203.0.113.9/drop</a:Address></a:ReplyTo>"),
            sender("Sender/ter:InvalidArgVal", "tds:GetNTP", "ReplyTo must be anonymous"),
        ),
        (
            "a fault to somebody else",
            headed("<a:FaultTo><a:Address>http://203.0.113.9/drop</a:Address></a:FaultTo>"),
            sender("Sender/ter:InvalidArgVal", "tds:GetNTP", "FaultTo must be anonymous"),
        ),
        (
            "a header block that must be understood",
            headed("<z:Lease xmlns:z=\"urn:z\" s:mustUnderstand=\"true\"/>"),
            case(500, "MustUnderstand", "tds:GetNTP", "`Lease` is not understood"),
        ),
        (
            "wrong password",
            envelope(&Token::new(wrong).header(), &ntp),
            sender(refused, "tds:GetNTP", "the password is wrong"),
        ),
        (
            "unknown name",
            envelope(&Token::new(nobody).header(), &ntp),
            sender(refused, "tds:GetNTP", "no client has this name"),
        ),
        ("password in clear", envelope(plain, &ntp), sender(refused, "tds:GetNTP", "PasswordText")),
        (
            "wrong password for what needs none",
            envelope(&Token::new(wrong).header(), &tds("GetHostname")),
            sender(refused, "tds:GetHostname", "the password is wrong"),
        ),
    ];
    for (name, message, expected) in cases {
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

#[test]
fn policies_refuse_and_the_camera_hears_nothing() {
    let house = House::open();
    let set = |host: &str| {
        let inner = format!(
            "<x:FromDHCP>false</x:FromDHCP><x:NTPManual><tt:Type>IPv4</tt:Type><tt:IPv4Address>{host}</tt:IPv4Address></x:NTPManual>"
        );
        tds_with("SetNTP", &inner)
    };
    let by_name = tds_with(
        "SetNTP",
        "<x:FromDHCP>false</x:FromDHCP><x:NTPManual><tt:Type>DNS</tt:Type><tt:DNSname>ntp.example</tt:DNSname></x:NTPManual>",
    );
    let user = "<x:User><tt:Username>eve</tt:Username><tt:Password>let-me-in-9</tt:Password>\
                <tt:UserLevel>Administrator</tt:UserLevel></x:User>";
    let prohibited = |operation, policies| Expected {
        status: 400,
        fault: "Sender/ter:OperationProhibited",
        operation,
        policies,
        note: "",
    };
    let role = |operation, policies| Expected {
        status: 400,
        fault: "Sender/ter:NotAuthorized",
        operation,
        policies,
        note: "",
    };
    let cases = vec![
        (
            "restricted SetNTP, unnamed network",
            (CAR_PARK, ADMIN, set("198.18.0.9")),
            prohibited(
                "tds:SetNTP",
                &["appliance.named-networks", "restricted.egress", "restricted.network"],
            ),
        ),
        (
            "restricted SetNTP, named network",
            (CAR_PARK, ADMIN, set("203.0.113.5")),
            prohibited("tds:SetNTP", &["restricted.egress", "restricted.network"]),
        ),
        (
            "trusted SetNTP, unnamed network",
            (LOBBY, ADMIN, set("198.18.0.9")),
            prohibited("tds:SetNTP", &["appliance.named-networks"]),
        ),
        (
            "trusted SetNTP, host name",
            (LOBBY, ADMIN, by_name),
            prohibited("tds:SetNTP", &["appliance.named-networks"]),
        ),
        ("trusted SetNTP by a User", (LOBBY, VIEWER, set("203.0.113.5")), role("tds:SetNTP", &[])),
        ("GetUsers by an Operator", (LOBBY, OPERATOR, tds("GetUsers")), role("tds:GetUsers", &[])),
        ("reboot by an Operator", (CAR_PARK, OPERATOR, tds("SystemReboot")), role("tds:SystemReboot", &[])),
        (
            "a user for a trusted camera",
            (LOBBY, ADMIN, tds_with("CreateUsers", user)),
            prohibited("tds:CreateUsers", &["appliance.users"]),
        ),
        (
            "a user for a restricted camera",
            (CAR_PARK, ADMIN, tds_with("CreateUsers", user)),
            prohibited("tds:CreateUsers", &["appliance.users", "restricted.users"]),
        ),
        (
            "unknown operation",
            (CAR_PARK, ADMIN, tds("MakeCoffee")),
            Expected {
                status: 500,
                fault: "Receiver/ter:ActionNotSupported",
                operation: UNKNOWN,
                policies: &[],
                note: "",
            },
        ),
        (
            "unknown operation, nobody",
            (CAR_PARK, ("", ""), tds("MakeCoffee")),
            Expected {
                status: 401,
                fault: "Sender/ter:NotAuthorized",
                operation: UNKNOWN,
                policies: &[],
                note: "",
            },
        ),
        (
            "a read without credentials",
            (LOBBY, ("", ""), tds("GetNTP")),
            Expected {
                status: 401,
                fault: "Sender/ter:NotAuthorized",
                operation: "tds:GetNTP",
                policies: &[],
                note: "",
            },
        ),
    ];
    for (name, (camera, user, body), expected) in cases {
        let door = house.door(camera);
        let anonymous = user.0.is_empty();
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
        } else {
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
        let fault = on_record.filter(|it| it.contains('/')).unwrap_or_default();
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
