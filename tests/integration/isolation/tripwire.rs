//! What cameras try to reach, on record to the packet; and the names and the time they are given in its place.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use cordon::{
    clock::{Clock, SystemClock},
    ids::ZoneId,
    isolation::{Attempts, Netd, NetdError},
    limits::ATTEMPTS_PER_SET_MAX,
};
use serde_json::Value;

use super::{
    PATIENCE, SECONDS_MAX, events,
    network::{GATEWAY, GATEWAY6, HOSTILE, Network, inside, must},
    wait_until, wait_up_to,
};
use crate::{
    client,
    house::{CAMERA_PASSWORD, CAMERA_USER, records_of},
};

/// The hostile camera, as an enrolled one.
fn enrolled(network: &Network) -> String {
    format!(
        "\n[[camera]]\nname = \"suspect\"\naddress = \"{HOSTILE}\"\nvendor = \"Dahua\"\nzone = \"{}\"\nsite = \"depot\"\n\
         listen_port = 8083\nusername = \"{CAMERA_USER}\"\npassword = {{ env = \"{CAMERA_PASSWORD}\" }}\n",
        network.zone(0)
    )
}

/// Packets on record in a zone, by source: of lines of their own, and of those for all others; and those of nobody.
fn on_record(network: &Network, zone: usize) -> (BTreeMap<String, u64>, u64) {
    let (mut by_source, mut of_nobody) = (BTreeMap::new(), 0);
    for record in records_of(&network.dir().join("audit")) {
        let detail = &record["detail"];
        if detail["zone"] != network.zone(zone) {
            continue;
        }
        if record["what"] == "egress-blocked" {
            let source = detail["source"].as_str().unwrap().to_owned();
            *by_source.entry(source).or_insert(0) += detail["packets"].as_u64().unwrap();
        } else if record["what"] == "egress-blocked-summary" {
            for pair in detail["sources"].as_array().unwrap() {
                *by_source.entry(pair[0].as_str().unwrap().to_owned()).or_insert(0) +=
                    pair[1].as_u64().unwrap();
            }
            of_nobody +=
                detail["rest_packets"].as_u64().unwrap_or(0) + detail["not_attributed"].as_u64().unwrap_or(0);
        }
    }
    (by_source, of_nobody)
}

/// What the kernel counted, by source, and in all, as soon as netd says it: a reading may fail where much goes on.
fn counted(network: &Network) -> (BTreeMap<String, u64>, u64) {
    let clock = SystemClock::new();
    loop {
        match asked(network) {
            Ok(counted) => return summed(&counted),
            Err(error) => assert!(clock.monotonic() < PATIENCE, "{error}"),
        }
        crate::house::breathe();
    }
}

/// What netd says of it, if it does.
fn attempts(network: &Network) -> Option<Attempts> {
    asked(network).ok()
}

fn asked(network: &Network) -> Result<Attempts, NetdError> {
    Netd::at(&network.netd_socket()).attempts(&ZoneId::new(&network.zone(0)).unwrap())
}

fn summed(attempts: &Attempts) -> (BTreeMap<String, u64>, u64) {
    let mut by_source = BTreeMap::new();
    let packets = attempts.packets.iter().map(|it| (it.source.to_string(), it.packets));
    let frames = attempts.frames.iter().map(|it| (it.source.clone(), it.packets));
    let claims = attempts.claims.iter().flatten();
    let claims = claims.filter_map(|it| Some((it.claimant?.to_string(), it.packets)));
    for (source, count) in packets.chain(frames).chain(claims) {
        *by_source.entry(source).or_insert(0) += count;
    }
    (by_source, attempts.dropped)
}

/// A number of the metrics.
fn metric(network: &Network, begin: &str) -> u64 {
    let admin: SocketAddr = "127.0.0.1:9080".parse().unwrap();
    let reply =
        inside(&network.gateway(), || client::send(admin, &client::request("GET", "/metrics", &[], b"")));
    let text = String::from_utf8(reply.body).unwrap();
    let line = text.lines().find_map(|it| it.strip_prefix(begin));
    line.map_or(0, |it| it.trim().parse().unwrap())
}

/// It says that it is a router, gives out addresses, and has the gateway's address for its own.
fn its_poses_are_alarmed(network: &Network) {
    let raised = |id: &str, found: &str| {
        let all = events(network, "alarm-raised");
        all.iter().any(|it| {
            let told = it["detail"]["found"].as_str().unwrap_or_default();
            it["detail"]["id"] == id && told.contains(found)
        })
    };
    wait_until("the router", || raised("rogue-directions", "router advertisement of fe80::66"));
    wait_until("DHCP", || raised("rogue-directions", &format!("DHCP answer of {HOSTILE}")));
    wait_until("the address", || raised("address-claimed", "the gateway's own address"));
}

#[test]
fn what_a_camera_tries_is_on_record_to_the_packet() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text + &enrolled(&network));
    let _netd = network.netd();
    let gateway = network.gateway_process();
    wait_until("claims are counted", || attempts(&network).is_some_and(|it| it.claims.is_some()));
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let sent = network.hostile(0, ROUNDS);
    let suspect = |it: &Value| it["camera"] == "suspect";
    wait_until("on record", || events(&network, "egress-blocked").iter().any(suspect));
    println!("on record {} ms after the hostile camera was started", (clock.monotonic() - began).as_millis());
    assert!(clock.monotonic() - began < SECONDS_MAX);
    let sent = sent.stop();
    let alarm = || {
        let raised = events(&network, "alarm-raised");
        raised.into_iter().find(|it| it["detail"]["id"] == "egress-attempt" && suspect(it))
    };
    // The alarm is told after the attempt is on record.
    wait_until("the alarm", || alarm().is_some());
    let alarm = alarm().unwrap();
    assert_eq!(alarm["detail"]["subject"], "camera suspect");
    let found = alarm["detail"]["found"].as_str().unwrap();
    assert!(found.starts_with("it tried to reach ") && found.ends_with(" for the first time"), "{found}");
    its_poses_are_alarmed(&network);
    // All is read once the metrics say what the kernel does.
    let series = format!("cordon_zone_blocked_packets_total{{zone=\"{}\"}}", network.zone(0));
    wait_until("all is read", || metric(&network, &series) == counted(&network).1);
    let (wanted, dropped) = counted(&network);
    assert_eq!(metric(&network, "cordon_camera_blocked_packets_total{camera=\"suspect\"}"), wanted[HOSTILE]);
    assert_eq!(gateway.stop(), Some(0));
    let (recorded, of_nobody) = on_record(&network, 0);
    println!(
        "{} frames sent in {ROUNDS} rounds, {dropped} dropped, {} on record, {of_nobody} of them of nobody, in {} lines",
        sent["frames"],
        recorded.values().sum::<u64>() + of_nobody,
        events(&network, "egress-blocked").len() + events(&network, "egress-blocked-summary").len(),
    );
    assert_eq!((recorded, of_nobody), (wanted.clone(), 0));
    let first = events(&network, "egress-blocked").into_iter().find(suspect).unwrap();
    let destinations = first["detail"]["destinations"].as_array().unwrap();
    assert!(destinations.iter().all(|it| it["first"] == true), "{first}");
    let report = network.report();
    let (in_other_zone, _) = on_record(&network, 1);
    let total =
        ["packets", "before_start"].map(|it| report["attempts"][it].as_u64().unwrap()).iter().sum::<u64>();
    assert_eq!(total, dropped + in_other_zone.values().sum::<u64>());
    let devices = report["devices"].as_array().unwrap();
    let suspect = devices.iter().find(|it| it["name"] == "suspect").unwrap();
    let of_suspect =
        ["attempts", "attempts_before_start", "neighbour_traffic"].map(|it| suspect[it].as_u64().unwrap());
    assert_eq!(of_suspect.iter().sum::<u64>(), wanted[HOSTILE]);
    assert_eq!(suspect["observable"]["is"], "partly");
    assert_eq!(report["zones"][0]["isolated"], true);
    // Its interface is one that software makes.
    assert_eq!(report["zones"][0]["grade"], "virtual machine");
    let unshown = report["zones"][0]["not_shown"].as_str().unwrap();
    assert!(unshown.starts_with("that the hypervisor's switch, or whatever software makes the interface"));
    assert!(report["zones"][0]["in_force_seconds"].as_i64().unwrap() > 0, "{}", report["zones"][0]);
    the_next_gateway_does_not_tell_it_again(&network);
}

/// What one gateway told the next does not tell again.
fn the_next_gateway_does_not_tell_it_again(network: &Network) {
    let lines = events(network, "egress-blocked").len();
    let (wanted, since) = loop {
        let (before, _) = counted(network);
        assert_eq!(network.gateway_process().stop(), Some(0));
        let (wanted, since) = counted(network);
        // The kernel on the other side may send something by itself, perhaps after the last reading.
        if wanted == before {
            break (wanted, since);
        }
    };
    // Going, the first leaves groups, which the kernel drops without an entry.
    let of_nobody = since - wanted.values().sum::<u64>();
    assert_eq!(on_record(network, 0), (wanted, of_nobody));
    println!("{} lines more after a restart", events(network, "egress-blocked").len() - lines);
}

const ROUNDS: u32 = 20;

/// What a camera hears that sends a datagram to the gateway.
fn exchange(network: &Network, gateway: &str, port: u16, message: &[u8]) -> Vec<u8> {
    let to = SocketAddr::new(gateway.parse::<IpAddr>().unwrap(), port);
    inside(&network.side(0), || {
        let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut buffer = [0; 1_500];
        // The services are there a moment after the gateway is.
        for _ in 0..20 {
            socket.send_to(message, to).unwrap();
            if let Ok(length) = socket.recv(&mut buffer) {
                return buffer[..length].to_vec();
            }
        }
        Vec::new()
    })
}

#[test]
fn cameras_are_told_no_name_and_the_time() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text + &enrolled(&network));
    let _netd = network.netd();
    let gateway = network.gateway_process();
    let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03dev\x09hik-cloud\x07example\x00\x00\x01\x00\x01";
    let mut request = [0; 48];
    request[0] = 0x23;
    request[40..].copy_from_slice(b"sent-at!");
    for address in [GATEWAY, GATEWAY6] {
        let refusal = exchange(&network, address, 53, query);
        assert_eq!(refusal.get(..4), Some(&[0x12, 0x34, 0x81, 0x05][..]), "{address}: REFUSED");
        assert_eq!(refusal.len(), query.len());
        let now = || SystemClock::new().now().as_second();
        let before = now();
        let answer = exchange(&network, address, 123, &request);
        let after = now();
        assert_eq!((answer.len(), &answer[24..32]), (48, &b"sent-at!"[..]), "{address}");
        let told = i64::from(u32::from_be_bytes(answer[40..44].try_into().unwrap())) - 2_208_988_800;
        assert!((before - 1..=after + 1).contains(&told), "{address}: {told} from {before} to {after}");
    }
    // Anything else at that port is no answer, and nothing ends by it.
    assert_eq!(exchange(&network, GATEWAY, 53, b"nonsense"), b"");
    assert_eq!(exchange(&network, GATEWAY, 53, query).len(), query.len());
    let asked = || events(&network, "names-asked");
    wait_until("on record", || !asked().is_empty());
    let name = |it: &Value| it["detail"]["names"][0][0] == "dev.hik-cloud.example A";
    assert!(asked().iter().any(name), "{:?}", asked());
    assert_eq!(gateway.stop(), Some(0));
    let questions: u64 = asked().iter().map(|it| it["detail"]["questions"].as_u64().unwrap()).sum();
    assert!(questions >= 3, "{questions}");
    let unanswered: u64 = events(&network, "names-asked-summary")
        .iter()
        .map(|it| it["detail"]["unanswered"].as_u64().unwrap())
        .sum();
    assert_eq!(unanswered, 20, "what was no question");
}

/// Somebody changes the rules, and they are loaded anew: what they had counted is on record all the same.
#[test]
fn rules_that_are_loaded_anew_lose_no_count() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text + &enrolled(&network));
    let _netd = network.netd();
    let gateway = network.gateway_process();
    wait_until("claims are counted", || attempts(&network).is_some_and(|it| it.claims.is_some()));
    let tables = attempts(&network).unwrap().tables;
    // Nothing comes while they are loaded.
    network.hostile(0, ROUNDS).stop();
    must(&["ip", "netns", "exec", &network.namespace(0), "nft", "add", "table", "inet", "strange"]);
    wait_until("loaded anew", || attempts(&network).is_some_and(|it| it.tables != tables));
    network.hostile(0, ROUNDS).stop();
    let told = attempts(&network).unwrap();
    let before = told.before.as_deref().expect("netd saw what was counted before");
    assert_eq!((before.tables.clone(), before.before.is_none()), (tables, true));
    let loaded_first = (before.tables.clone(), before.dropped);
    let series = format!("cordon_zone_blocked_packets_total{{zone=\"{}\"}}", network.zone(0));
    let all = || before.dropped + counted(&network).1;
    wait_until("all is read", || metric(&network, &series) == all());
    let (mut wanted, _) = summed(before);
    for (source, packets) in counted(&network).0 {
        *wanted.entry(source).or_insert(0) += packets;
    }
    assert_eq!(gateway.stop(), Some(0));
    println!("{} packets before, {} since", before.dropped, counted(&network).1);
    assert!(before.dropped > 1_000 && counted(&network).1 > 1_000);
    assert_eq!(on_record(&network, 0), (wanted, 0));
    // Whoever has not read since they were loaded first finds both.
    must(&["ip", "netns", "exec", &network.namespace(0), "nft", "add", "table", "inet", "strange"]);
    let loaded_once = (told.tables.clone(), told.dropped);
    wait_until("loaded again", || attempts(&network).is_some_and(|it| it.tables != loaded_once.0));
    let told = attempts(&network).unwrap();
    let before = std::iter::successors(told.before.as_deref(), |it| it.before.as_deref());
    let remembered: Vec<_> = before.map(|it| (it.tables.clone(), it.dropped)).collect();
    assert_eq!(remembered.len(), 2);
    assert!(remembered[0].0 == loaded_once.0 && remembered[0].1 >= loaded_once.1, "{remembered:?}");
    assert_eq!(remembered[1], loaded_first);
}

/// An alarm about a zone, raised or cleared.
fn of_zone(network: &Network, what: &str, id: &str) -> Option<Value> {
    let subject = format!("zone {}", network.zone(0));
    let is = |it: &Value| it["detail"]["id"] == id && it["detail"]["subject"] == *subject;
    events(network, what).into_iter().find(is)
}

/// After a reading the gateway leaves ten times the time alone that it took: of so much, on a busy machine, minutes.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// More than the kernel tells apart, and then nobody who could say what it counted.
#[test]
fn what_cannot_be_told_apart_and_what_cannot_be_read_are_alarms() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text + &enrolled(&network));
    let netd = network.netd();
    let gateway = network.gateway_process();
    wait_until("claims are counted", || attempts(&network).is_some_and(|it| it.claims.is_some()));
    let flood = u32::try_from(2 * ATTEMPTS_PER_SET_MAX).unwrap();
    let sent = network.flood(0, flood).stop();
    assert_eq!(sent["sent"]["flood"], flood);
    let series = format!("cordon_zone_blocked_packets_total{{zone=\"{}\"}}", network.zone(0));
    // Of what is told apart: the rest is told at the end of a minute, or when reading ends.
    wait_up_to(PAUSE_MAX, "it is read", || metric(&network, &series) >= ATTEMPTS_PER_SET_MAX as u64 / 2);
    netd.crash();
    wait_up_to(PAUSE_MAX, "nobody can say", || {
        of_zone(&network, "alarm-raised", "tripwire-unreadable").is_some()
    });
    let told = of_zone(&network, "alarm-raised", "tripwire-unreadable").unwrap();
    assert_eq!(told["detail"]["severity"], "error", "{told}");
    assert!(told["detail"]["found"].as_str().unwrap().contains("cordon netd"), "{told}");
    let _netd = network.netd();
    wait_until("read again", || of_zone(&network, "alarm-cleared", "tripwire-unreadable").is_some());
    assert_eq!(gateway.stop(), Some(0));
    let told = of_zone(&network, "alarm-raised", "tripwire-full").expect("alarmed when reading ended");
    let found = told["detail"]["found"].as_str().unwrap();
    assert!(found.contains("packets that were dropped it is not known whose they are"), "{found}");
    assert_eq!(told["detail"]["severity"], "error");
}
