//! The table of bad input to discovery: what the peer sees, what is on record, and the memory it cost the gateway, which is
//! a process of its own. Whoever looks for virtual cameras may be anybody, and so may be whoever says that he is a camera.
//! The same on real networks, with what must not arrive on the other side, stands in `isolation::discovery`.
#![allow(clippy::print_stdout, reason = "the table is shown with --nocapture")]

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use cordon::{
    clock::{Clock, SystemClock},
    limits::{DISCOVERY_ANSWER_INTERVAL, DISCOVERY_MESSAGE_BYTES_MAX},
};
use serde_json::Value;

use crate::{
    bad_input::{Bench, head, row_of},
    camera_command,
    client::{self, tds},
    discovery::{APRIL, Seeker, findable, question},
    house::{House, LOBBY, VIEWER, records_of},
};

/// What a datagram, or a thousand of them, may cost.
const KIB_MAX: u64 = 4 * 1024;

/// Who asks, what is sent, what comes back at most, and what it is counted as.
struct Probing {
    name: &'static str,
    from: Ipv4Addr,
    sent: Vec<String>,
    answers: usize,
    counted: &'static str,
}

const BOMB: &str = "<!DOCTYPE x [<!ENTITY a \"bbbbbbbbbb\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">]>";

/// Each from an address of its own, of which 127.0.0.2 to 7 are clients'.
fn probing() -> Vec<Probing> {
    let at = |last: u8| Ipv4Addr::new(127, 0, 0, last);
    let one = |name, last, text: String, answers, counted| Probing {
        name,
        from: at(last),
        sent: vec![text],
        answers,
        counted,
    };
    let refused = |name, last, text: String| one(name, last, text, 0, "not_understood");
    let probe = |body: &str| question("urn:uuid:odd", "Probe", body);
    let types = "dn:NetworkVideoTransmitter ".repeat(1_000);
    let scopes = "onvif://www.onvif.org/name/lobby ".repeat(500);
    let resolve = "<a:EndpointReference><a:Address>urn:uuid:nobody</a:Address></a:EndpointReference>";
    let flood = (0..2_000).map(|it| question(&format!("urn:uuid:{it}"), "Probe", "")).collect();
    vec![
        Probing {
            name: "2,000 Probes of one source",
            from: at(2),
            sent: flood,
            answers: 2,
            counted: "too_often",
        },
        refused("a message of 40,000 bytes", 40, probe(&" ".repeat(40_000))),
        refused("a bomb", 41, format!("{BOMB}{}", probe("&b;").split_once("?>").unwrap().1)),
        refused("deeper than any", 42, probe(&"<a>".repeat(1_000))),
        refused("1,000 types", 43, probe(&format!("<d:Types>{types}</d:Types>"))),
        refused("500 scopes", 44, probe(&format!("<d:Scopes>{scopes}</d:Scopes>"))),
        refused("without an identifier", 5, question("", "Probe", "")),
        refused("cut short", 46, probe("")[..200].to_owned()),
        refused("another protocol", 47, "M-SEARCH * HTTP/1.1\r\n\r\n".to_owned()),
        refused(
            "a maker's own question",
            48,
            "<?xml version=\"1.0\"?><Probe><Uuid>1</Uuid><Types>inquiry</Types></Probe>".to_owned(),
        ),
        one("Resolve of nobody", 3, question("urn:uuid:r", "Resolve", resolve), 0, "nothing"),
        one(
            "a rule that nobody knows",
            4,
            probe(&format!("<d:Scopes MatchBy=\"{APRIL}/ldap\">ldap:///</d:Scopes>")),
            1,
            "answered",
        ),
        one("from where no client is", 77, probe(""), 0, "nothing"),
    ]
}

/// What is on record of searches: how many of a source, and of those how many were answered; all, by what became of them.
fn searches(records: &[Value]) -> (BTreeMap<String, (u64, u64)>, BTreeMap<String, u64>) {
    let (mut sources, mut ends) = (BTreeMap::new(), BTreeMap::new());
    for detail in records.iter().filter(|it| it["what"] == "discovery-searches").map(|it| &it["detail"]) {
        for (end, count) in detail["searches"].as_object().unwrap() {
            *ends.entry(end.clone()).or_default() += count.as_u64().unwrap();
        }
        for source in detail["sources"].as_array().unwrap() {
            let entry: &mut (u64, u64) =
                sources.entry(source["address"].as_str().unwrap().to_owned()).or_default();
            entry.0 += source["searches"].as_u64().unwrap();
            entry.1 += source["answered"].as_u64().unwrap();
        }
    }
    (sources, ends)
}

#[test]
fn bad_questions_for_virtual_cameras_are_counted_and_cheap() {
    let (mut house, port) = findable();
    house.stop();
    let bench = Bench::new(house);
    let gateway = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    head("bad input of who looks for virtual cameras");
    let (cases, clock) = (probing(), SystemClock::new());
    let mut rows = Vec::new();
    for Probing { name, from, sent, answers, .. } in &cases {
        let seeker = Seeker::at(&from.to_string());
        let began = clock.monotonic();
        let before = bench.running.reset_memory();
        for text in sent {
            seeker.ask(gateway, text);
        }
        let said: usize = sent.iter().map(String::len).sum();
        let told = seeker.texts(*answers);
        let memory = bench.running.peak_memory().saturating_sub(before);
        let back: usize = told.iter().map(String::len).sum();
        let turns = 1 + (clock.monotonic() - began).as_secs() / DISCOVERY_ANSWER_INTERVAL.as_secs();
        assert!(told.len() <= answers * usize::try_from(turns).unwrap(), "{name}: {} answers", told.len());
        assert!(sent.len() == 1 || back < said, "{name}: {back} bytes for {said}: no amplifier");
        assert!(memory <= KIB_MAX, "{name}: {memory} KiB");
        rows.push((name, format!("{} answers, {back} bytes for {said}", told.len()), memory));
        // Somebody else is answered.
        let reply = client::ask(bench.house.door(LOBBY), "device", VIEWER, &tds("GetDeviceInformation"));
        assert_eq!(reply.status, 200, "{name}");
    }
    let other = Seeker::at("127.0.0.6");
    let found = other.finds(gateway, &question("urn:uuid:other", "Probe", ""), 2);
    assert_eq!(found.len(), 2, "who asks as he should is answered");
    let Bench { house, running } = bench;
    running.stop();
    let (sources, ends) = searches(&records_of(&house.audit_dir()));
    for (case, (name, seen, memory)) in cases.iter().zip(&rows) {
        let (asked, answered) = sources[&case.from.to_string()];
        let recorded = format!("{asked} searches, {answered} answered: {}", case.counted);
        println!("{}", row_of(name, seen, &recorded, memory));
        let sent = case.sent.len() as u64;
        assert!(
            sent == asked || (sent > 1 && asked > 0 && asked < sent),
            "{name}: {asked} of {sent} on record"
        );
        assert_eq!(answered > 0, case.answers > 0, "{name}");
    }
    println!("{} cases", cases.len());
    for (counted, exactly) in [("not_understood", true), ("nothing", true), ("too_often", false)] {
        let expected = cases.iter().filter(|it| it.counted == counted).count() as u64;
        assert!(ends[counted] == expected || (!exactly && ends[counted] > expected), "{counted}: {ends:?}");
    }
}

/// A network on the loopback interface that no other run of this has: two cameras may be there, and one that is
/// elsewhere.
fn yard() -> [Ipv4Addr; 3] {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let [own, other, elsewhere] = [1, 2, 9].map(|last| Ipv4Addr::new(127, 64 + high % 64, low, last));
    [own, other, elsewhere]
}

/// What a device says of itself, in so many words.
fn claim(action: &str, endpoint: &str, addresses: &str) -> String {
    let device = format!(
        "<a:EndpointReference><a:Address>{endpoint}</a:Address></a:EndpointReference>\
         <d:Scopes>onvif://www.onvif.org/name/Gate</d:Scopes><d:XAddrs>{addresses}</d:XAddrs>"
    );
    let device =
        if action == "ProbeMatches" { format!("<d:ProbeMatch>{device}</d:ProbeMatch>") } else { device };
    question("urn:uuid:claim", action, &device)
}

/// What is claimed, from where, what is shown of it at an address (port and path), and what it is counted as.
struct Claim {
    name: &'static str,
    from: Ipv4Addr,
    says: Vec<String>,
    shown: Option<(u16, &'static str)>,
    counted: &'static str,
}

fn claims(core: SocketAddr) -> Vec<Claim> {
    let [own, other, elsewhere] = yard();
    let many: String = (0..1_000).map(|it| format!("http://h{it}/x ")).collect();
    let usual = Some((80, "/onvif/device_service"));
    let matches = |addresses: &str| vec![claim("ProbeMatches", "urn:uuid:own", addresses)];
    let made = |name, from, says, shown, counted| Claim { name, from, says, shown, counted };
    let flood = (0..3_000).map(|it| claim("Hello", &format!("urn:uuid:{it}"), "")).collect();
    vec![
        made("1,000 XAddrs", own, matches(&many), usual, "taken"),
        made("one of the core side", own, matches(&format!("http://{core}/core")), usual, "taken"),
        made("one of another camera", own, matches(&format!("http://{other}:81/other")), usual, "taken"),
        made("its own, behind a login", own, matches(&format!("http://a:b@{own}:82/x")), usual, "taken"),
        made(
            "its own",
            own,
            matches(&format!("http://169.254.7.7/ http://{own}:83/own")),
            Some((83, "/own")),
            "taken",
        ),
        made("from off the link", elsewhere, matches(""), None, "not taken"),
        made(
            "a bomb",
            other,
            vec![format!("{BOMB}{}", claim("Hello", "&b;", "").split_once("?>").unwrap().1)],
            None,
            "not taken",
        ),
        made(
            "of 40,000 bytes",
            other,
            vec![claim("Hello", "urn:uuid:b", &" ".repeat(DISCOVERY_MESSAGE_BYTES_MAX + 8_000))],
            None,
            "not taken",
        ),
        made("no message", other, vec!["\u{0}\u{1}\u{2}".to_owned()], None, "not taken"),
        made(
            "of a printer",
            other,
            vec![claim("Hello", "urn:uuid:p", "").replace("onvif://www.onvif.org", "ldap://x")],
            None,
            "taken",
        ),
        made("3,000 Hellos, each of another", other, flood, usual, "over the rate"),
        // In another's name, which is not gone by that.
        made("Bye of another", other, vec![claim("Bye", "urn:uuid:own", "")], None, "taken"),
    ]
}

fn candidates(house: &House) -> Vec<Value> {
    let (text, well) = camera_command::cordon(house, &["discovered", "--json"]);
    assert!(well, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Has the gateway look for cameras in a yard of this test's, where hostile ones are; a gateway that does so.
fn searching() -> (Bench, BTreeMap<Ipv4Addr, UdpSocket>, SocketAddr) {
    let [own, other, elsewhere] = yard();
    let socket = |(at, port): (Ipv4Addr, u16)| {
        let socket = UdpSocket::bind((at, port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        (at, socket)
    };
    let sockets = BTreeMap::from([(own, 3_702), (other, 3_702), (elsewhere, 0)].map(socket));
    let mut house = House::open();
    house.stop();
    let text = house.configuration();
    let zone = |own: &str, sweep: &str| {
        format!("name = \"restricted\"\n{sweep}isolation = \"none\"\nprefixes = [{own}")
    };
    assert!(text.contains(&zone("", "")), "{text}");
    let network = Ipv4Addr::from(u32::from(own) & !7);
    let searched = zone(&format!("\"{network}/29\", "), &format!("sweep = [\"{network}/30\"]\n"));
    house.write(&text.replace(&zone("", ""), &searched));
    let bench = Bench::new(house);
    // The question says where it is asked from.
    let (_, gateway) = sockets[&own].recv_from(&mut [0; 2_048]).unwrap();
    (bench, sockets, gateway)
}

#[test]
fn bad_claims_to_be_a_camera_are_counted_and_cheap() {
    let (bench, sockets, gateway) = searching();
    head("bad input of who says that he is a camera");
    let (cases, clock) = (claims(bench.house.door(LOBBY)), SystemClock::new());
    let mut sent = 0;
    for Claim { name, from, says, shown, counted } in &cases {
        let before = bench.running.reset_memory();
        for text in says {
            sockets[from].send_to(text.as_bytes(), gateway).unwrap();
        }
        sent += says.len() as u64;
        // What is shown shows itself; of what is not, nothing shows after another word of the same was taken.
        let at = |address: &Ipv4Addr| {
            let found = candidates(&bench.house).into_iter().find(|it| it["address"] == address.to_string());
            found.map(|it| (it["port"].as_u64().unwrap(), it["path"].as_str().unwrap().to_owned()))
        };
        let expected = shown.map(|(port, path)| (u64::from(port), path.to_owned()));
        let began = clock.monotonic();
        let mut seen = at(from);
        while expected.is_some() && seen != expected && clock.monotonic() - began < Duration::from_secs(45) {
            crate::house::breathe();
            seen = at(from);
        }
        let memory = bench.running.peak_memory().saturating_sub(before);
        if expected.is_some() {
            assert_eq!(seen, expected, "{name}");
        }
        let shown =
            seen.map_or("no candidate".to_owned(), |(port, path)| format!("candidate at {port}{path}"));
        println!("{}", row_of(name, &shown, counted, memory));
        assert!(memory <= KIB_MAX, "{name}: {memory} KiB");
        let reply = client::ask(bench.house.door(LOBBY), "device", VIEWER, &tds("GetDeviceInformation"));
        assert_eq!(reply.status, 200, "{name}");
    }
    println!("{} cases", cases.len());
    let [own, other, _] = yard();
    let all = candidates(&bench.house);
    let mut addresses: Vec<_> = all.iter().map(|it| it["address"].as_str().unwrap().to_owned()).collect();
    addresses.sort();
    assert_eq!(addresses, [own.to_string(), other.to_string()], "nobody else, and none has gone: {all:#?}");
    let Bench { house, running } = bench;
    running.stop();
    let records = records_of(&house.audit_dir());
    let total = |field: &str| -> u64 {
        let told = records.iter().filter(|it| it["what"] == "candidates");
        told.map(|it| it["detail"][field].as_u64().unwrap()).sum()
    };
    let (messages, not_taken, over) = (total("messages"), total("not_taken"), total("over_rate"));
    let expected = cases.iter().filter(|it| it.counted == "not taken").count() as u64;
    assert_eq!(not_taken, expected, "{messages} {over}");
    assert!(over > 0 && messages + not_taken + over <= sent, "{messages} {not_taken} {over} of {sent}");
    let named =
        records.iter().filter(|it| it["what"] == "candidates").all(|it| !it.to_string().contains("/core"));
    assert!(named, "what it says of the core side goes nowhere");
}
