//! Every answer of every dialect, and what requests change.

use super::*;
use crate::{
    schema::{AccessClass, Document, Tables},
    sim::Dialect,
};

fn device(dialect: &Dialect) -> Device {
    let script = Script::parse(&dialect.scripts).unwrap();
    let own = [
        ("host", "127.0.0.1"),
        ("port", "8080"),
        ("authority", "127.0.0.1:8080"),
        ("lan.address", "192.0.2.10"),
        ("lan.gateway", "192.0.2.1"),
        ("serial", "00000007"),
        ("mac.tail", "00:00:07"),
        ("mac.tail.bare", "000007"),
        ("username", "admin"),
    ];
    Device::new(script, own.map(|(name, value)| (name, value.to_owned())).to_vec(), SignedDuration::ZERO)
}

/// A request with the tokens that the operation's steps look for.
fn request(device: &Device, operation: &str) -> Request {
    let (prefix, local) = operation.split_once(':').unwrap();
    let (namespace, _) = SERVICES.iter().find(|(_, known)| *known == prefix).unwrap();
    let mut body =
        Element { namespace: (*namespace).to_owned(), local: local.to_owned(), ..Element::default() };
    for step in &device.script.operation(operation).unwrap().steps {
        let (path, text) = match step {
            Step::Pick { collection, path, .. } => (path, device.list(collection)[0]["token"].clone()),
            Step::Set { path, .. } => (path, "0".to_owned()),
            _ => continue,
        };
        let mut at = &mut body;
        for local in path.split('/') {
            if let Some(name) = local.strip_prefix('@') {
                at.attributes.push((name.to_owned(), text.clone()));
                continue;
            }
            if !at.children.iter().any(|child| child.local == local) {
                at.children.push(Element { local: local.to_owned(), ..Element::default() });
            }
            at = at.children.iter_mut().find(|child| child.local == local).unwrap();
        }
        at.text = text;
    }
    Request { headers: Vec::new(), body }
}

/// What the camera says, with every namespace of the envelope declared where the message begins.
fn message(device: &Device, envelope: &str) -> String {
    let (_, body) = envelope.split_once(":Body>").unwrap();
    let (body, _) = body.rsplit_once("</").unwrap().0.rsplit_once("</").unwrap();
    let (name, rest) = body.split_once('>').unwrap();
    let (name, empty) = name.strip_suffix('/').map_or((name, ""), |name| (name, "/"));
    format!("{name} {}{empty}>{rest}", device.variable("namespaces"))
}

/// An answer to an operation, after whatever must come first.
fn answered(dialect: &Dialect, name: &str) -> (Device, Answer) {
    let mut device = device(dialect);
    device.list_mut("profiles")[0].insert("fixed".to_owned(), "false".to_owned());
    let mut path = "/onvif/x".to_owned();
    if matches!(name, "tev:PullMessages" | "tev:SetSynchronizationPoint") || name.starts_with("wsnt") {
        let made = request(&device, "tev:CreatePullPointSubscription");
        assert_eq!(device.answer(&made, &path, Timestamp::UNIX_EPOCH).status, 200);
        path = "/onvif/subscriptions_1".to_owned();
    }
    let asked = request(&device, name);
    let answer = device.answer(&asked, &path, Timestamp::UNIX_EPOCH);
    assert_eq!(answer.status, 200, "{name}: {}", answer.envelope);
    (device, answer)
}

/// Every operation answers with an envelope that holds its own answer and no hole.
#[test]
fn every_operation_answers_as_itself() {
    for dialect in [Dialect::hikvision(), Dialect::axis()] {
        let names: Vec<String> = device(&dialect).operations().map(str::to_owned).collect();
        for name in names {
            let (_, answer) = answered(&dialect, &name);
            let read = Request::read(answer.envelope.as_bytes()).unwrap_or_else(|_| panic!("{name}"));
            assert_eq!(operation_name(&read.body), format!("{name}Response"));
            assert!(!answer.envelope.contains(['{', '}', '%']) || name == "tds:GetScopes", "{name}");
        }
    }
}

/// No answer holds anything its interface does not declare, in the strict sense that clients are held to.
#[test]
fn every_answer_is_as_its_interface_declares_it() {
    let tables = Tables::embedded().unwrap();
    let mut wrong = Vec::new();
    for dialect in [Dialect::hikvision(), Dialect::axis()] {
        let names: Vec<String> = device(&dialect).operations().map(str::to_owned).collect();
        assert!(names.len() >= 177, "{} has only {}", dialect.name, names.len());
        for name in names {
            let (prefix, local) = name.split_once(':').unwrap();
            let (namespace, _) = SERVICES.iter().find(|(_, known)| *known == prefix).unwrap();
            let output = tables.name(tables.namespace(namespace).unwrap(), &format!("{local}Response"));
            let Some(root) = output.and_then(|output| tables.root(output)) else {
                wrong.push(format!("{}: {name} is no operation of its service", dialect.name));
                continue;
            };
            let (device, answer) = answered(&dialect, &name);
            let text = message(&device, &answer.envelope);
            // The reference of a pull point holds what its vendor likes; it is the one place that does.
            let text = match text.split_once("<wsa:ReferenceParameters>") {
                Some((before, _)) if name == "tev:CreatePullPointSubscription" => {
                    let (_, after) = text.split_once("</wsa:ReferenceParameters>").unwrap();
                    format!("{before}{after}")
                }
                _ => text,
            };
            if let Err(refusal) = Document::parse_request(&tables, &text, root) {
                wrong.push(format!("{}: {name}: {refusal}\n  {text}", dialect.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The cameras' own list of what needs no login is that of ONVIF's default access policy.
#[test]
fn what_needs_no_login_is_what_onvif_says_needs_none() {
    let tables = Tables::embedded().unwrap();
    for name in device(&Dialect::axis()).operations() {
        // WS-Notification's operations have another prefix in the tables; none is open.
        let class =
            tables.operation_by_name(name).and_then(|id| tables.operation(id)).and_then(|it| it.class);
        assert_eq!(is_pre_auth(name), class == Some(AccessClass::PreAuth), "{name}: {class:?}");
    }
}

/// The description of a topic's messages is read as such, not as one more topic.
#[test]
fn topics_keep_the_description_of_their_messages() {
    let tables = Tables::embedded().unwrap();
    let (device, answer) = answered(&Dialect::axis(), "tev:GetEventProperties");
    let operation = tables.operation_by_name("tev:GetEventProperties").and_then(|id| tables.operation(id));
    let text = message(&device, &answer.envelope);
    let (document, deviations) =
        Document::parse_answer(&tables, &text, operation.unwrap().output.unwrap()).unwrap();
    assert!(deviations.is_empty(), "{deviations:?}");
    let path = "TopicSet/VideoSource/MotionAlarm/MessageDescription";
    let description = document.root().find(path).unwrap();
    assert_eq!(description.attribute("IsProperty"), Some("true"));
    let item = description.find("Source/SimpleItemDescription").unwrap();
    assert_eq!((item.attribute("Name"), item.attribute("Type")), (Some("Source"), Some("tt:ReferenceToken")));
}

fn read(inner: &str, local: &str) -> Request {
    let text = format!(
        "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Body><{local} \
         xmlns=\"http://www.onvif.org/ver10/device/wsdl\">{inner}</{local}></e:Body></e:Envelope>"
    );
    Request::read(text.as_bytes()).unwrap()
}

#[test]
fn capabilities_of_services_stand_only_where_they_are_asked_for() {
    for dialect in [Dialect::hikvision(), Dialect::axis()] {
        for (word, services) in [("true", 5), ("1", 5), ("false", 0), ("0", 0)] {
            let asked = read(&format!("<IncludeCapability>{word}</IncludeCapability>"), "GetServices");
            let answer = device(&dialect).answer(&asked, "/", Timestamp::UNIX_EPOCH).envelope;
            assert_eq!(answer.matches("<tds:Service>").count(), 5, "{word}");
            assert_eq!(answer.matches("</tds:XAddr><tds:Capabilities><").count(), services, "{word}");
        }
    }
}

#[test]
fn a_time_server_answers_back_as_it_was_set() {
    for (kind, tag, value) in [
        ("IPv4", "IPv4Address", "203.0.113.9"),
        ("IPv6", "IPv6Address", "2001:db8::9"),
        ("DNS", "DNSname", "ntp.example.org"),
    ] {
        let mut device = device(&Dialect::hikvision());
        let inner = format!(
            "<FromDHCP>false</FromDHCP><NTPManual><Type>{kind}</Type><{tag}>{value}</{tag}></NTPManual>"
        );
        assert_eq!(device.answer(&read(&inner, "SetNTP"), "/", Timestamp::UNIX_EPOCH).status, 200);
        let answer = device.answer(&read("", "GetNTP"), "/", Timestamp::UNIX_EPOCH).envelope;
        let expected =
            format!("<tt:NTPManual><tt:Type>{kind}</tt:Type><tt:{tag}>{value}</tt:{tag}></tt:NTPManual>");
        assert!(answer.contains(&expected), "{answer}");
    }
}

#[test]
fn a_storage_configuration_is_asked_for_by_its_token() {
    let mut device = device(&Dialect::axis());
    let mut status = |token: &str| {
        let asked = read(&format!("<Token>{token}</Token>"), "GetStorageConfiguration");
        device.answer(&asked, "/", Timestamp::UNIX_EPOCH).status
    };
    assert_eq!((status("nas"), status("nas2")), (200, 400));
}

#[test]
fn what_is_set_is_answered_and_what_is_unknown_is_refused() {
    let mut device = device(&Dialect::hikvision());
    let set = request(&device, "tds:SetHostname");
    assert_eq!(device.answer(&set, "/", Timestamp::UNIX_EPOCH).status, 200);
    let get = request(&device, "tds:GetHostname");
    assert!(device.answer(&get, "/", Timestamp::UNIX_EPOCH).envelope.contains("<tt:Name>0</tt:Name>"));
    let mut unknown = get.clone();
    unknown.body.local = "SetDPAddresses".to_owned();
    let refused = device.answer(&unknown, "/", Timestamp::UNIX_EPOCH);
    assert_eq!(refused.status, 500);
    assert!(refused.envelope.contains("<env:Value>ter:ActionNotSupported</env:Value>"));
}
