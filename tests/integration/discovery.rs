//! WS-Discovery on the core side: who finds which virtual cameras, and what floods and odd questions come to.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use cordon::{
    auth::Caller,
    clock::{Clock, SystemClock},
    command::Prompt,
    discovery::{Body, Device, Kind, Message, read},
    limits::{DISCOVERY_ANSWER_INTERVAL, DISCOVERY_DELAY_MAX},
};
use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};
use serde_json::Value;

use crate::{
    client::{self, tds},
    house::{ADMIN, CAR_PARK, House, LOBBY},
};

pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
pub const APRIL: &str = "http://schemas.xmlsoap.org/ws/2005/04/discovery";
/// As most clients ask.
const TRANSMITTER: &str = "<d:Types>dn:NetworkVideoTransmitter</d:Types>";

/// How long an answer that must come is waited for, on however busy a machine.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long it is quiet before nothing more is expected.
const QUIET: Duration = Duration::from_millis(DISCOVERY_DELAY_MAX.as_millis() as u64 + 1_000);

/// A house whose virtual cameras are found at a port of 127.0.0.1. From 127.0.0.8 to 15 nobody but a client of one
/// camera may log in.
pub fn findable() -> (House, u16) {
    let mut house = House::open();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    house.reconfigure(|text| findable_at(port, &text));
    (house, port)
}

pub fn findable_at(port: u16, text: &str) -> String {
    let of_lobby = "networks = [\"127.0.0.0/29\"]\ncameras = [\"lobby\"]";
    assert!(text.contains(of_lobby), "{text}");
    let text = text.replace(of_lobby, "networks = [\"127.0.0.8/29\"]\ncameras = [\"lobby\"]");
    format!("[discovery]\nlisten = [\"127.0.0.1/8\"]\nport = {port}\n\n{text}")
}

/// A question with an identifier of its own.
pub fn question(id: &str, action: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" xmlns:d=\"{APRIL}\" \
         xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\"><s:Header><a:Action>{APRIL}/{action}</a:Action>\
         <a:MessageID>{id}</a:MessageID><a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>\
         <s:Body><d:{action}>{body}</d:{action}></s:Body></s:Envelope>"
    )
}

/// Somebody who looks for cameras.
pub struct Seeker(pub UdpSocket);

impl Seeker {
    pub fn at(address: &str) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        sockopt::set_ip_multicast_if(&socket, &address.parse().unwrap()).unwrap();
        Self(socket)
    }

    pub fn ask(&self, to: impl Into<SocketAddr>, text: &str) {
        self.0.send_to(text.as_bytes(), to.into()).unwrap();
    }

    /// What comes: these at least, which are waited for, and then what does until it is quiet.
    pub fn texts(&self, at_least: usize) -> Vec<String> {
        let mut buffer = vec![0; 65_536];
        let mut texts = Vec::new();
        loop {
            let wait = if texts.len() < at_least { WAIT_MAX } else { QUIET };
            self.0.set_read_timeout(Some(wait)).unwrap();
            let Ok((length, _)) = self.0.recv_from(&mut buffer) else { return texts };
            texts.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
    }

    fn messages(&self, at_least: usize) -> Vec<Message> {
        self.texts(at_least).iter().map(|it| read(it.as_bytes()).unwrap()).collect()
    }

    /// Everything that is found by a question, with this many answers at least.
    pub fn finds(&self, to: impl Into<SocketAddr>, text: &str, at_least: usize) -> Vec<Device> {
        self.ask(to, text);
        self.messages(at_least).iter().flat_map(|it| it.devices().to_vec()).collect()
    }
}

/// The addresses that devices want to be called at, sorted.
fn addresses(devices: &[Device]) -> Vec<String> {
    let mut all: Vec<_> = devices.iter().flat_map(|it| it.addresses.clone()).collect();
    all.sort();
    all
}

fn address(house: &House, camera: usize) -> String {
    format!("http://{}/onvif/device_service", house.door(camera))
}

/// What is on record of searches, added up: by what became of them, and by source.
fn told(records: &[Value]) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let (mut ends, mut sources) = (BTreeMap::new(), BTreeMap::new());
    for detail in records.iter().filter(|it| it["what"] == "discovery-searches").map(|it| &it["detail"]) {
        for (end, count) in detail["searches"].as_object().unwrap() {
            *ends.entry(end.clone()).or_default() += count.as_u64().unwrap();
        }
        for source in detail["sources"].as_array().unwrap() {
            let address = source["address"].as_str().unwrap().to_owned();
            *sources.entry(address).or_default() += source["searches"].as_u64().unwrap();
        }
    }
    (ends, sources)
}

#[test]
fn virtual_cameras_are_found_by_who_may_use_them() {
    let (mut house, port) = findable();
    let gateway = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let everybody = SocketAddr::from((GROUP, port));
    let mut both = vec![address(&house, CAR_PARK), address(&house, LOBBY)];
    both.sort();

    let probe = |id: &str| question(id, "Probe", TRANSMITTER);
    let found = Seeker::at("127.0.0.1").finds(everybody, &probe("urn:uuid:1"), 2);
    assert_eq!(addresses(&found), both, "by multicast");
    let found = Seeker::at("127.0.0.2").finds(gateway, &probe("urn:uuid:2"), 2);
    assert_eq!(addresses(&found), both, "by unicast");
    // What is found is what answers there.
    let lobby = found.iter().find(|it| it.addresses == [address(&house, LOBBY)]).unwrap();
    let reply = client::ask(house.door(LOBBY), "device", ADMIN, &tds("GetEndpointReference"));
    assert_eq!(reply.element("GUID").as_deref(), Some(lobby.endpoint.as_str()));
    let reply = client::ask(house.door(LOBBY), "device", ADMIN, &tds("GetScopes"));
    assert!(lobby.scopes.iter().any(|it| it == "onvif://www.onvif.org/name/lobby"), "{lobby:?}");
    // Its model is not known before it was asked.
    let is_told = |it: &String| it.contains("/hardware/") || reply.text().contains(it);
    assert!(lobby.scopes.iter().all(is_told), "{lobby:?} {}", reply.text());

    let found = Seeker::at("127.0.0.9").finds(everybody, &probe("urn:uuid:3"), 1);
    assert_eq!(addresses(&found), [address(&house, LOBBY)], "a client of the lobby alone");
    let resolve = |id: &str| {
        let endpoint = &lobby.endpoint;
        let body = format!("<a:EndpointReference><a:Address>{endpoint}</a:Address></a:EndpointReference>");
        question(id, "Resolve", &body)
    };
    let seeker = Seeker::at("127.0.0.3");
    seeker.ask(everybody, &resolve("urn:uuid:4"));
    let [answer] = &seeker.texts(1)[..] else { panic!("one answer to Resolve") };
    assert!(answer.contains("<d:ResolveMatch>") && answer.contains(&address(&house, LOBBY)), "{answer}");

    // Nobody may log in from there; whoever may is answered after it was asked, so that it had its time.
    let stranger = Seeker::at("127.0.0.20");
    stranger.ask(everybody, &probe("urn:uuid:5"));
    stranger.ask(gateway, &resolve("urn:uuid:6"));
    let named = question("urn:uuid:7", "Probe", "<d:Scopes>onvif://www.onvif.org/name/car-park</d:Scopes>");
    let found = Seeker::at("127.0.0.4").finds(everybody, &named, 1);
    assert_eq!(addresses(&found), [address(&house, CAR_PARK)], "by its scope, whatever its type");
    assert_eq!(stranger.texts(0), [""; 0]);
    let printer = question("urn:uuid:8", "Probe", "<d:Types xmlns:p=\"urn:printer\">p:Device</d:Types>");
    assert_eq!(Seeker::at("127.0.0.5").finds(everybody, &printer, 0), []);

    house.stop();
    let (ends, sources) = told(&house.records());
    let wanted = [("answered", 5), ("nothing", 3)].map(|(end, count)| (end.to_owned(), count));
    assert_eq!(ends, BTreeMap::from(wanted));
    assert_eq!((sources["127.0.0.20"], sources["127.0.0.9"]), (2, 1));
}

#[test]
fn nobody_is_answered_more_often_than_once_in_a_while() {
    let (mut house, port) = findable();
    let gateway = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let seeker = Seeker::at("127.0.0.1");
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let floods = 500;
    for number in 0..floods {
        seeker.ask(gateway, &question(&format!("urn:uuid:{number}"), "Probe", ""));
    }
    // Somebody else is answered meanwhile. What the kernel has no room for is lost, so that clients ask again.
    let other = Seeker::at("127.0.0.2");
    let mut found = BTreeSet::new();
    while found.len() < 2 && clock.monotonic() - began < WAIT_MAX {
        let devices = other.finds(gateway, &question("urn:uuid:other", "Probe", ""), 0);
        found.extend(devices.into_iter().flat_map(|it| it.addresses));
    }
    assert_eq!(found, BTreeSet::from([address(&house, CAR_PARK), address(&house, LOBBY)]));
    let answers = seeker.messages(2);
    let turns = (clock.monotonic() - began).as_secs_f64() / DISCOVERY_ANSWER_INTERVAL.as_secs_f64();
    assert!(!answers.is_empty() && answers.len() <= 2 * (1 + turns as usize), "{} in {turns}", answers.len());
    assert_eq!(answers[0].relates_to.as_deref(), Some("urn:uuid:0"));
    // What is no question costs a source its share, too, and nothing is said to it.
    let noise = Seeker::at("127.0.0.3");
    for bytes in ["", "M-SEARCH * HTTP/1.1\r\n\r\n", "<", &"x".repeat(40_000)] {
        noise.ask(gateway, bytes);
    }
    let odd = |id: &str| {
        let ldap = format!("<d:Scopes MatchBy=\"{APRIL}/ldap\">ldap:///ou=x</d:Scopes>");
        question(id, "Probe", &ldap)
    };
    noise.ask((GROUP, port), &odd("urn:uuid:rule-1"));
    noise.ask(gateway, &odd("urn:uuid:rule-2"));
    let [fault] = &noise.texts(1)[..] else { panic!("a fault, and nothing else") };
    assert!(fault.contains("d:MatchingRuleNotSupported") && fault.contains("urn:uuid:rule-2"), "{fault}");
    assert!(client::ask(house.door(LOBBY), "device", ADMIN, &tds("GetScopes")).status == 200);

    house.stop();
    let (ends, sources) = told(&house.records());
    assert_eq!(ends["not_understood"], 4, "{ends:?}");
    // The kernel may have dropped some of the flood.
    assert!(ends["too_often"] > 0 && sources["127.0.0.1"] <= floods, "{ends:?} {sources:?}");
}

/// Somebody who hears what is said to everybody.
fn listener(port: u16) -> Seeker {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
    sockopt::set_socket_reuseaddr(&socket, true).unwrap();
    bind(&socket, &SocketAddr::from((GROUP, port))).unwrap();
    sockopt::set_ip_add_membership(&socket, &GROUP, &Ipv4Addr::LOCALHOST).unwrap();
    let socket = UdpSocket::from(socket);
    Seeker(socket)
}

#[test]
fn virtual_cameras_say_when_they_come_and_go() {
    let mut house = House::open();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ear = listener(port);
    // Who shows something new says hello again: that is left out.
    let said = |kind: Kind, at_least| -> BTreeMap<String, Device> {
        let of_kind = |it: &Message| matches!(it.body, Body::Devices(found, _) if found == kind);
        let devices = ear.messages(at_least).into_iter().filter(of_kind).flat_map(|it| it.devices().to_vec());
        devices.map(|it| (it.endpoint.clone(), it)).collect()
    };
    house.reconfigure(|text| findable_at(port, &text));
    let hellos: Vec<Device> = said(Kind::Hello, 2).into_values().collect();
    let mut both = vec![address(&house, CAR_PARK), address(&house, LOBBY)];
    both.sort();
    assert_eq!(addresses(&hellos), both);
    let endpoint = |camera| {
        let of = |it: &&Device| it.addresses == [address(&house, camera)];
        hellos.iter().find(of).unwrap().endpoint.clone()
    };
    let (car_park, lobby) = (endpoint(CAR_PARK), endpoint(LOBBY));

    // Nobody may use the one any more.
    let text = house.configuration();
    let networks = |of: &str| format!("networks = [\"{of}\"]\n");
    let others = networks("127.0.0.0/29");
    let text = text.replace(&others, &format!("{others}cameras = [\"car-park\"]\n"));
    house.write(&text.replace(&networks("127.0.0.8/29"), &networks("10.9.9.9/32")));
    let report = house.reloader().reload(&Caller::Local { by: Prompt::Signal, uid: None }, None);
    assert!(report.is_ok(), "{report:?}");
    let mut gone = BTreeMap::new();
    let clock = SystemClock::new();
    while gone.is_empty() && clock.monotonic() < Duration::from_secs(30) {
        gone = said(Kind::Bye, 1);
    }
    assert_eq!(gone.keys().collect::<Vec<_>>(), [&lobby]);
    house.stop();
    assert_eq!(said(Kind::Bye, 1).keys().collect::<Vec<_>>(), [&car_park]);
}
