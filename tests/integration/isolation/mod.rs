//! Zones in namespaces of their own, on real networks: what hostile cameras send, and what of it arrives.
#![allow(clippy::print_stdout, reason = "figures are shown with --nocapture")]

mod consumer;
mod core;
mod discovery;
mod makers;
mod neighbours;
mod network;
mod routed;
mod service;
mod tripwire;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, SocketAddr},
    process::Command,
    time::Duration,
};

use cordon::{
    clock::{Clock, SystemClock},
    ids::ZoneId,
    isolation::{Attempts, Netd},
    sim::Dialect,
};
use serde_json::Value;

use crate::{
    client::{self, Reply, tds},
    house::{ADMIN, CAMERA_PASSWORD, records_of},
    streams,
};
use network::{
    CAMERA, Camera, Capture, GATEWAY, GATEWAY_CORE, HOSTILE, HOSTILE6, Network, ZONES, inside, must,
    of_camera, run,
};

const GATE: u16 = 8081;
const LOBBY: u16 = 8082;

/// Uses a camera as a VMS does, from the core side: its events, and some of its picture.
fn used_fully(network: &Network) {
    let door = SocketAddr::new(GATEWAY_CORE.parse().unwrap(), GATE);
    inside(&network.core(), || {
        let asked = client::within(EVENTS, "CreatePullPointSubscription", "");
        let made = client::ask(door, "events", ADMIN, &asked);
        assert_eq!(made.status, 200, "{}", made.text());
        let told = streams::asked_at(door, "Profile_1", ADMIN);
        let address = told.element("Uri").unwrap_or_else(|| panic!("{}", told.text()));
        let at = address.strip_prefix("rtsp://").unwrap().split('/').next().unwrap();
        let mut player = streams::Player::at(at.parse().unwrap(), &address, ADMIN);
        let session = player.set_up();
        let played = player.ask("PLAY", "", &format!("Session: {session}\r\n"));
        assert_eq!(played.status, 200, "{}", played.head);
        for _ in 0..FRAMES_SEEN {
            assert!(player.frame().is_some(), "the stream ended");
        }
    });
}

const EVENTS: &str = "http://www.onvif.org/ver10/events/wsdl";
const FRAMES_SEEN: usize = 20;

/// Who the camera is, asked from the core side.
fn ask(network: &Network, port: u16) -> Reply {
    let door = SocketAddr::new(GATEWAY_CORE.parse().unwrap(), port);
    inside(&network.core(), || client::ask(door, "device", ADMIN, &tds("GetDeviceInformation")))
}

fn answers(network: &Network, port: u16, maker: &str) {
    let reply = ask(network, port);
    let stood = || events(network, "isolation");
    assert_eq!(reply.element("Manufacturer").as_deref(), Some(maker), "{}: {:#?}", reply.text(), stood());
}

fn wait_until(what: &str, holds: impl FnMut() -> bool) -> Duration {
    wait_up_to(PATIENCE, what, holds)
}

fn wait_up_to(patience: Duration, what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let clock = SystemClock::new();
    let began = clock.monotonic();
    loop {
        let passed = clock.monotonic() - began;
        if holds() {
            return passed;
        }
        assert!(passed < patience, "{what}: not within {patience:?}");
        crate::house::breathe();
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

/// What takes some seconds takes no longer than this on a machine on which much else goes on. How long it took is shown.
const SECONDS_MAX: Duration = Duration::from_secs(30);

/// How long it is borne at the least that nobody says how zones stand.
const BORNE_MIN: Duration = Duration::from_secs(3);

fn readiness(network: &Network, zone: usize) -> Value {
    let admin = "127.0.0.1:9080".parse().unwrap();
    let reply =
        inside(&network.gateway(), || client::send(admin, &client::request("GET", "/ready", &[], b"")));
    let parts: Value = serde_json::from_slice(&reply.body).unwrap();
    let name = format!("zone {}", network.zone(zone));
    parts["parts"].as_array().unwrap().iter().find(|it| it["part"] == name).unwrap().clone()
}

fn events(network: &Network, event: &str) -> Vec<Value> {
    let records = records_of(&network.dir().join("audit"));
    records.into_iter().filter(|it| it["what"] == event).collect()
}

#[test]
fn no_frame_of_a_camera_leaves_its_zone() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let (core, wan) = (Capture::start(&network.core()), Capture::start(&network.wan()));
    let cameras = [Camera::start(&network, 0, Dialect::hikvision), Camera::start(&network, 1, Dialect::axis)];
    let hostile: Vec<_> = (0..ZONES).map(|zone| network.hostile(zone, 0)).collect();
    // Start-up.
    let mut netd = network.netd();
    let mut gateway = network.gateway_process();
    let mut asked = 0;
    let mut use_cameras = || {
        answers(&network, GATE, "HIKVISION");
        answers(&network, LOBBY, "AXIS");
        asked += 2;
    };
    use_cameras();
    used_fully(&network);
    // Reload.
    gateway.signal("HUP");
    use_cameras();
    // A crash loop.
    for round in 0..CRASHES {
        netd.crash();
        used_without_netd(&network);
        netd = network.netd();
        // On a busy machine netd was away for longer than is borne, which is noticed at the next look.
        wait_until("restricted cameras are served again", || {
            [GATE, LOBBY].iter().all(|port| ask(&network, *port).status == 200)
        });
        use_cameras();
        // The gateway, too, in the middle of all it does.
        if round < GATEWAY_CRASHES {
            used_fully(&network);
            gateway.crash();
            gateway = network.gateway_process();
            use_cameras();
        }
    }
    // A new start of everything, and crashes in the middle of applying.
    netd.crash();
    assert_eq!(gateway.stop(), Some(0));
    let killed = interruptions(&network);
    let (applied, said) = network.isolate("apply");
    assert!(applied, "{said}");
    // Once more: all is as it should be.
    let (applied, said) = network.isolate("apply");
    assert!(applied && said.matches(": isolated, nothing was to be done\n").count() == ZONES, "{said}");
    let (fine, said) = network.isolate("check");
    assert!(fine, "{said}");
    // The end.
    let netd = network.netd();
    assert_eq!(network.gateway_process().stop(), Some(0));
    netd.crash();
    let (removed, said) = network.isolate("remove");
    assert!(removed, "{said}");
    let sent: Vec<_> = hostile.into_iter().map(|it| it.stop()).collect();
    drop(cameras);
    let macs = network.camera_macs();
    let seconds = (clock.monotonic() - began).as_secs();
    let frames: u64 = sent.iter().map(|it| it["frames"].as_u64().unwrap()).sum();
    let told = format!(
        "{frames} | {asked} | {CRASHES} of netd, {GATEWAY_CRASHES} of the gateway, {killed} of {INTERRUPTIONS} of both while applying | {seconds}"
    );
    none_is_of_a_camera([("core", core), ("WAN", wan)], &macs, &told);
    assert!(frames > 5_000, "{frames}");
    assert!(killed > 0, "nothing was interrupted");
}

/// That cameras are served though netd went just now; restricted ones for as long as that is borne.
fn used_without_netd(network: &Network) {
    let clock = SystemClock::new();
    let served = [GATE, LOBBY].map(|port| ask(network, port).status == 200);
    let away = clock.monotonic();
    assert!(served[0] || away > BORNE_MIN, "not served {away:?} after netd went");
    assert!(served[1], "a trusted camera is served whatever is known of its zone");
}

/// Of all frames that were captured; `told` is the rest of their row.
fn none_is_of_a_camera(legs: [(&str, Capture); 2], macs: &BTreeSet<String>, told: &str) {
    println!(
        "| leg | frames captured | of cameras | frames sent by hostile cameras | commands served | crashes | seconds |\n|---|---|---|---|---|---|---|"
    );
    for (leg, capture) in legs {
        let captured = capture.stop();
        let found: Vec<_> = captured.iter().filter_map(|frame| of_camera(frame, macs)).collect();
        println!("| {leg} | {} | {} | {told} |", captured.len(), found.len());
        assert_eq!(found, Vec::<String>::new(), "{leg}");
        assert!(leg == "WAN" || captured.len() > 50, "the capture saw too little: {}", captured.len());
    }
}

const CRASHES: usize = 5;
const GATEWAY_CRASHES: usize = 2;
const INTERRUPTIONS: u64 = 12;

/// Ends what applies zones again and again, each time a little later; how often it had not ended by itself.
fn interruptions(network: &Network) -> usize {
    let interrupted = |number: &u64| {
        let (removed, said) = network.isolate("remove");
        assert!(removed, "{said}");
        // The privileged process as often as the command.
        let what: &[&str] = if number.is_multiple_of(2) { &["isolate", "apply"] } else { &["netd"] };
        interrupt(network, what, Duration::from_millis(16 * number))
    };
    (0..INTERRUPTIONS).filter(interrupted).count()
}

/// Starts what applies zones and ends it at once after a while; whether it had not ended by itself.
fn interrupt(network: &Network, what: &[&str], after: Duration) -> bool {
    let mut command = network.cordon(what);
    let mut child = inside(&network.gateway(), || command.spawn().unwrap());
    let clock = SystemClock::new();
    let began = clock.monotonic();
    while clock.monotonic() - began < after {
        crate::house::breathe();
    }
    let under_way = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    under_way
}

/// That the capture sees what it must: the same hostile camera where nothing keeps it.
#[test]
fn without_isolation_the_same_frames_are_seen_on_the_core_side() {
    let Some(network) = Network::build() else { return };
    let (gateway, link) = (network.gateway(), Network::link(0));
    must(&["ip", "-n", &gateway, "address", "add", "192.168.1.1/24", "dev", &link]);
    must(&["ip", "-n", &gateway, "link", "set", &link, "up"]);
    must(&["ip", "-n", &gateway, "address", "add", "2001:db8:1::1/64", "dev", &link, "nodad"]);
    inside(&gateway, || fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
    inside(&gateway, || fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap());
    const LEGS: [(&str, &str, [u8; 2]); 4] = [
        ("core", "IPv4", [0x08, 0x00]),
        ("core", "IPv6", [0x86, 0xdd]),
        ("WAN", "IPv4", [0x08, 0x00]),
        ("WAN", "IPv6", [0x86, 0xdd]),
    ];
    let macs = network.camera_macs();
    // An address of IPv6 is of no use in its first second, and neighbours have to find each other.
    let mut seen = [0; 4];
    for attempt in 1..=20 {
        let (core, wan) = (Capture::start(&network.core()), Capture::start(&network.wan()));
        let sent = network.hostile(0, 10).stop();
        let captured = [core.stop(), wan.stop()];
        for (seen, (leg, _, kind)) in seen.iter_mut().zip(LEGS) {
            let frames = captured.get(usize::from(leg == "WAN")).unwrap();
            let its = |it: &&Vec<u8>| it.get(12..14) == Some(&kind[..]) && of_camera(it, &macs).is_some();
            *seen += frames.iter().filter(its).count();
        }
        if seen.iter().all(|it| *it > 0) || attempt == 20 {
            println!("without isolation, of {} frames sent in each of {attempt} attempts:", sent["frames"]);
            break;
        }
    }
    for ((leg, family, _), seen) in LEGS.iter().zip(seen) {
        println!("  {seen} frames of cameras by {family} on the {leg} leg");
        assert!(seen > 0, "{family} on the {leg} leg");
    }
    assert!(seen[0] >= 3 * 10, "{seen:?}");
}

#[test]
fn each_attempt_is_counted_by_who_whither_protocol_and_port() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let _netd = network.netd();
    let rounds = 20;
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let sent = network.hostile(0, rounds).stop();
    let netd = Netd::at(&network.netd_socket());
    let zone = ZoneId::new(&network.zone(0)).unwrap();
    let Attempts { packets, frames, dropped, claims, residents, .. } = netd.attempts(&zone).unwrap();
    let took = clock.monotonic() - began;
    let mut counted: BTreeMap<(IpAddr, IpAddr, u8, u16), u64> = BTreeMap::new();
    for it in &packets {
        *counted.entry((it.source, it.destination, it.protocol, it.port)).or_default() += it.packets;
    }
    let of = |source: &str, to: &str, protocol: u8, port: u16| {
        let key = (source.parse().unwrap(), to.parse().unwrap(), protocol, port);
        counted.get(&key).copied().unwrap_or(0)
    };
    let rounds = u64::from(rounds);
    // The times each is sent in a round: see hostile.py.
    for (source, to, protocol, port, times) in [
        (HOSTILE, "10.77.0.2", 6, 22, 1),
        (HOSTILE, "203.0.113.9", 17, 123, 1),
        (HOSTILE, "203.0.113.9", 6, 53, 1),
        (HOSTILE, "203.0.113.9", 1, 0, 1),
        (HOSTILE, "203.0.113.9", 47, 0, 1),
        (HOSTILE, "203.0.113.9", 50, 0, 1),
        (HOSTILE, "203.0.113.9", 253, 0, 1),
        (HOSTILE, "203.0.113.9", 41, 0, 1),
        // The gateway's own ports are closed to cameras.
        (HOSTILE, GATEWAY, 6, 22, 1),
        (HOSTILE, GATEWAY, 6, 9080, 1),
        // The other zone has the same network: its cameras are neighbours' addresses here, and not reached.
        (HOSTILE, "192.168.1.10", 6, 80, 1),
        ("10.77.0.2", "10.77.0.2", 17, 5060, 1),
        ("0.0.0.0", "255.255.255.255", 17, 67, 1),
        // That it is there a camera may say: the gateway hears it, and nobody else.
        (HOSTILE, "239.255.255.250", 17, 3702, 0),
        (HOSTILE, "224.0.0.22", 2, 0, 1),
        (HOSTILE6, "2001:db8:ffff::9", 17, 53, 1),
        (HOSTILE6, network::GATEWAY6, 6, 22, 1),
        // By the kind of the message.
        ("fe80::66", "ff02::1", 58, 134, 1),
        ("fe80::66", network::GATEWAY6, 58, 0, 1),
    ] {
        assert_eq!(
            of(source, to, protocol, port),
            rounds * times,
            "{source} to {to}, {protocol}/{port}: {counted:#?}"
        );
    }
    let of = |kind: u16| frames.iter().filter(|it| it.ether_type == kind).map(|it| it.packets).sum::<u64>();
    for (kind, times) in [(0x8100, 4), (0x88a8, 1), (0x88cc, 1), (0x888e, 1), (0x88b5, 1), (0x0842, 1)] {
        assert_eq!(of(kind), rounds * times, "frames of type {kind:#06x}: {frames:#?}");
    }
    // Two claims of foreign addresses that are addressed to the gateway, two questions for others, two for itself.
    assert!(of(0x0806) >= rounds * 6, "ARP: {frames:#?}");
    let frames_sent = sent["frames"].as_u64().unwrap();
    println!(
        "{frames_sent} frames sent in {rounds} rounds, {dropped} dropped, counted {took:?} after the first was sent"
    );
    // Whatever the kernel of the camera's side says by itself is dropped too.
    assert!(dropped >= frames_sent - rounds, "{dropped} of {frames_sent}");
    assert_eq!((claims, residents), (None, Vec::new()), "nobody is held to a hardware address");
}

#[test]
fn sockets_in_a_zone_are_bound_to_the_gateways_own_address_and_quickly_had() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let _process = network.netd();
    let netd = Netd::at(&network.netd_socket());
    let zone = ZoneId::new(&network.zone(0)).unwrap();
    let clock = SystemClock::new();
    // What a connection costs more than elsewhere; commands on it cost nothing more.
    let began = clock.monotonic();
    for _ in 0..SOCKETS {
        netd.datagrams(&zone, SocketAddr::new(GATEWAY.parse().unwrap(), 0)).unwrap();
    }
    println!("a socket in a zone: {:?} each, of {SOCKETS}", (clock.monotonic() - began) / SOCKETS);
    let foreign = netd.datagrams(&zone, "10.77.0.1:0".parse().unwrap()).unwrap_err().to_string();
    assert!(foreign.contains("10.77.0.1 is not the gateway's address in zone"), "{foreign}");
    // A camera that asks for time is answered by hardware address, and known by it.
    let time = netd.datagrams(&zone, SocketAddr::new(GATEWAY.parse().unwrap(), 123)).unwrap();
    time.set_nonblocking(false).unwrap();
    let question = || {
        let socket = std::net::UdpSocket::bind((CAMERA, 0)).unwrap();
        socket.send_to(b"what time is it?", (GATEWAY, 123)).unwrap();
    };
    inside(&network.side(0), question);
    let (_, asker) = time.recv_from(&mut [0; 64]).unwrap();
    time.send_to(b"late", asker).unwrap();
    let neighbours = netd.neighbours(&zone).unwrap();
    let camera = neighbours.iter().find(|it| it.address.to_string() == CAMERA).unwrap();
    assert_eq!(camera.mac, Some(network.mac(&network.side(0), "leg")), "{neighbours:?}");
}

const SOCKETS: u32 = 200;

/// What somebody may do to a zone, and what is then on record.
type Change<'a> = (&'a str, Box<dyn Fn() + 'a>, &'a str);

fn changes<'a>(gateway: &'a str, place: &'a str, link: &'a str) -> Vec<Change<'a>> {
    let ip = move |words: &[&str]| must(&[&["ip", "-n", place], words].concat());
    vec![
        (
            "rules flushed",
            Box::new(move || inside(place, || must(&["nft", "flush", "ruleset"]))),
            "table inet cordon: should be as planned, is missing",
        ),
        (
            "a rule added",
            Box::new(move || {
                inside(place, || must(&["nft", "insert", "rule", "netdev", "cordon", "ingress", "accept"]))
            }),
            "rules of chain netdev cordon ingress: should be as planned, is changed",
        ),
        (
            "forwarding switched on",
            Box::new(move || inside(place, || fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap())),
            "setting net/ipv4/conf/all/forwarding: should be 0, is 1",
        ),
        (
            "a route added",
            Box::new(move || ip(&["route", "add", "default", "via", "192.168.1.254"])),
            "route default: should be missing, is by 192.168.1.254",
        ),
        (
            "an address added",
            Box::new(move || ip(&["address", "add", "10.9.9.9/24", "dev", link])),
            "address 10.9.9.9/24: should be nowhere in the zone, is at cam0",
        ),
        (
            "another interface",
            Box::new(move || ip(&["link", "add", "leak", "type", "veth", "peer", "name", "leak2"])),
            "interface leak: should be elsewhere, is in the zone's namespace",
        ),
        (
            "a route in another table",
            Box::new(move || ip(&["route", "add", "default", "via", "192.168.1.254", "table", "77"])),
            "route default in table 77: should be missing, is by 192.168.1.254",
        ),
        (
            "a hook of traffic control",
            Box::new(move || must(&["tc", "-n", place, "qdisc", "add", "dev", link, "clsact"])),
            "traffic control of cam0: should be without hooks, is clsact",
        ),
        (
            "its name taken away, with sockets open",
            Box::new(move || must(&["ip", "netns", "delete", place])),
            "should be there, is missing",
        ),
        (
            "switched off",
            Box::new(move || ip(&["link", "set", link, "down"])),
            "interface cam0: should be up, is down",
        ),
        (
            "its interface taken to the core side, and switched on",
            Box::new(move || {
                ip(&["link", "set", link, "netns", gateway]);
                // It may have been fetched back already.
                run(&["ip", "-n", gateway, "link", "set", link, "up"]);
            }),
            "interface cam0: should be in the zone's namespace, is missing",
        ),
    ]
}

#[test]
fn drift_is_noticed_mended_recorded_and_alarmed() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let _cameras =
        [Camera::start(&network, 0, Dialect::hikvision), Camera::start(&network, 1, Dialect::axis)];
    let _netd = network.netd();
    let _gateway = network.gateway_process();
    answers(&network, GATE, "HIKVISION");
    let (gateway, place, link) = (network.gateway(), network.namespace(0), Network::link(0));
    let changes = changes(&gateway, &place, &link);
    println!("| change | on record after |\n|---|---|");
    for (name, change, told) in &changes {
        let before = events(&network, "isolation-drift").len();
        change();
        let news = || events(&network, "isolation-drift").split_off(before);
        let took = wait_until(name, || !news().is_empty());
        // What was changed in two steps may be found in two.
        let tells = |it: &Value| it["detail"]["differences"].to_string().contains(told);
        wait_until(&format!("{name}: {:?}", news()), || news().iter().any(tells));
        assert!(news().iter().all(|it| it["detail"]["not_mended"].is_null()), "{name}: {:?}", news());
        println!("| {name} | {} ms |", took.as_millis());
        assert!(took < SECONDS_MAX, "{name}: {took:?}");
        let (fine, said) = network.isolate("check");
        assert!(fine, "{name}: {said}");
    }
    let alarms =
        events(&network, "alarm-raised").into_iter().filter(|it| it["detail"]["id"] == "isolation-drift");
    assert!(alarms.count() >= 1);
    answers(&network, GATE, "HIKVISION");
}

#[test]
fn while_isolation_is_not_in_force_restricted_cameras_are_not_served() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let _cameras =
        [Camera::start(&network, 0, Dialect::hikvision), Camera::start(&network, 1, Dialect::axis)];
    let netd = network.netd();
    let _gateway = network.gateway_process();
    answers(&network, GATE, "HIKVISION");
    assert_eq!(readiness(&network, 0)["ready"], true);
    // What cannot be mended: the interface is gone.
    must(&["ip", "-n", &network.namespace(0), "link", "delete", &Network::link(0)]);
    // Whoever asks in between waits for a camera that is not there any more.
    let took = wait_until("not ready", || readiness(&network, 0)["ready"] == false);
    println!("refused {} ms after its interface went", took.as_millis());
    assert!(took < SECONDS_MAX, "{took:?}");
    let told = ask(&network, GATE).text();
    assert!(told.contains("the network isolation of the camera's zone is not in force"), "{told}");
    // What looked while it went may have found something else first.
    wait_until("told why", || {
        let part = readiness(&network, 0);
        part["ready"] == false && part["note"].to_string().contains("there is no interface `cam0` here")
    });
    let why = inside(&network.gateway(), || network.cordon(&["camera", "why", "gate"]).output().unwrap());
    let why = String::from_utf8(why.stdout).unwrap();
    let told = format!("isolation: it is restricted, and the isolation of its zone `{}`", network.zone(0));
    assert!(why.starts_with(&told) && why.contains("there is no interface `cam0` here"), "{why}");
    answers(&network, LOBBY, "AXIS");
    let zone = format!("zone {}", network.zone(0));
    let alarms = |what: &str| {
        let all = events(&network, what).into_iter().map(|it| it["detail"].clone());
        all.filter(|it| it["id"] == "isolation-broken" && it["subject"] == *zone).collect::<Vec<_>>()
    };
    wait_until("alarmed", || !alarms("alarm-raised").is_empty());
    let refused = records_of(&network.dir().join("audit"))
        .into_iter()
        .rev()
        .find(|it| it["note"].to_string().contains("not isolated"));
    let refused = refused.unwrap();
    assert_eq!((&refused["decision"], &refused["barred"]), (&"denied".into(), &"isolation".into()));
    // It is plugged in again.
    network.plug(0);
    let took = wait_until("served again", || ask(&network, GATE).status == 200);
    println!("served again {} ms after it was plugged in", took.as_millis());
    wait_until("the alarm is over", || !alarms("alarm-cleared").is_empty());
    let [raised] = alarms("alarm-raised").try_into().unwrap();
    assert_eq!(raised["severity"], "critical", "{raised}");
    // Nobody looks any more.
    netd.crash();
    let took = wait_until("not ready without netd", || readiness(&network, 0)["ready"] == false);
    assert_eq!(ask(&network, GATE).fault(), "Sender/ter:OperationProhibited");
    println!("refused {} ms after netd was killed", took.as_millis());
    assert!(took > BORNE_MIN && took < SECONDS_MAX, "{took:?}");
    assert!(readiness(&network, 0)["note"].to_string().contains("`cordon netd` does not answer"));
    let _netd = network.netd();
    wait_until("served with netd", || ask(&network, GATE).status == 200);
}

/// What the gateway's namespace has: each interface, whether it is up and whether it carries the core's address.
fn interfaces(network: &Network) -> Vec<(String, bool, bool)> {
    let listed =
        Command::new("ip").args(["-n", &network.gateway(), "-json", "address", "show"]).output().unwrap();
    let links: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let shown = |it: &Value| {
        let (flags, addresses) = (it["flags"].to_string(), it["addr_info"].to_string());
        (it["ifname"].to_string(), flags.contains("\"UP\""), addresses.contains(GATEWAY_CORE))
    };
    links.iter().map(shown).collect()
}

fn has_namespace(network: &Network) -> bool {
    fs::exists(format!("/run/netns/{}", network.namespace(0))).unwrap()
}

#[test]
fn what_cannot_be_isolated_is_told_and_left_as_it_was() {
    let Some(network) = Network::build() else { return };
    let place = network.gateway();
    let check = |name: &str, edit: &dyn Fn(String) -> String, told: &str| {
        network.configure(edit);
        let before = interfaces(&network);
        let (done, said) = network.isolate("apply");
        assert!(!done && said.contains(told), "{name}: {said}");
        assert!(!has_namespace(&network), "{name}: half of it stayed");
        // The other zone is none the worse for it.
        network.configure(|text| text);
        let (removed, said) = network.isolate("remove");
        assert!(removed, "{name}: {said}");
        assert_eq!(interfaces(&network), before, "{name}");
    };
    let instead = |name: &'static str| move |text: String| text.replace("\"cam0\"", &format!("\"{name}\""));
    check(
        "no such interface",
        &instead("nowhere0"),
        "there is no interface `nowhere0` here; `ip link` shows those there are",
    );
    check("the core's", &instead("core"), "`core` carries 10.77.0.1, an address of the core side");
    check("the way out", &instead("wan"), "the machine's default route leads out by `wan`");
    must(&["ip", "-n", &place, "link", "add", "bridge", "type", "bridge"]);
    must(&["ip", "-n", &place, "link", "set", "cam0", "master", "bridge"]);
    let told = "`cam0` is part of `bridge`, which would go on seeing its frames";
    check("part of a bridge", &|text| text, told);
    must(&["ip", "-n", &place, "link", "set", "cam0", "nomaster"]);
    let twice = |text: String| text.replace("\"cam1\"", "\"cam0\"");
    check("two zones on one interface", &twice, "is on `cam0` too");
}

/// As one does who has the configuration before the machine has the interface.
#[test]
fn what_would_be_done_is_shown_before_the_interface_is_there() {
    let Some(network) = Network::build() else { return };
    let steps = |said: &str, name: &str| -> Vec<String> {
        let lines = said.lines().skip_while(|it| !it.starts_with(&format!("zone {}: ", network.zone(0))));
        let zone: Vec<_> =
            lines.take_while(|it| !it.starts_with(&format!("zone {}: ", network.zone(1)))).collect();
        let steps = zone.iter().filter(|it| it.starts_with("  ") && !it.contains(" grade: "));
        steps.map(|it| it.replace(name, "IT")).filter(|it| !it.contains("address del")).collect()
    };
    network.configure(|text| text);
    let (ready, there) = network.isolate("plan");
    assert!(ready, "{there}");
    network.configure(|text| text.replace("\"cam0\"", "\"later0\""));
    let before = interfaces(&network);
    let (ready, missing) = network.isolate("plan");
    assert!(!ready && missing.contains("there is no interface `later0` here"), "{missing}");
    assert!(
        missing.contains("1 of the zones cannot be made here yet, see above; the others can"),
        "{missing}"
    );
    let (there, missing) = (steps(&there, "cam0"), steps(&missing, "later0"));
    assert!(missing.len() > 20, "{missing:?}");
    assert_eq!(missing, there);
    assert!(interfaces(&network) == before && !has_namespace(&network), "nothing was done");
}

#[test]
fn without_nft_nothing_is_begun_that_could_not_be_finished() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let tools = network.dir().join("tools");
    fs::create_dir(&tools).unwrap();
    let ip = String::from_utf8(Command::new("which").arg("ip").output().unwrap().stdout).unwrap();
    std::os::unix::fs::symlink(ip.trim(), tools.join("ip")).unwrap();
    let before = interfaces(&network);
    let mut command = network.cordon(&["isolate", "apply"]);
    let output = inside(&network.gateway(), || command.env("PATH", &tools).output().unwrap());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("`nft` is not installed: install Debian's package nftables"), "{said}");
    assert_eq!(interfaces(&network), before);
    assert!(!has_namespace(&network), "{said}");
}

/// An `nft` or a kernel that is too old shows when rules are loaded: the first before anything was taken, the second
/// only with those of the interface, which is in the zone by then.
#[test]
fn what_nft_or_the_kernel_does_not_take_leaves_the_interface_as_it_was() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let place = network.gateway();
    must(&["ip", "-n", &place, "address", "add", "192.0.2.7/24", "dev", "cam0"]);
    must(&["ip", "-n", &place, "link", "set", "cam0", "up"]);
    let before = (interfaces(&network), addresses_of(&network, "cam0"));
    let nft = String::from_utf8(Command::new("which").arg("nft").output().unwrap().stdout).unwrap();
    let tools = network.dir().join("tools");
    fs::create_dir(&tools).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    for (name, refused, says) in [
        ("no JSON", "*", "nft: this build has no JSON"),
        ("no hooks of interfaces", "*netdev*", "Error: Could not process rule: Operation not supported"),
    ] {
        // The rules are its input.
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in\n*\" -f \"*) ;;\n*) exec {nft} \"$@\";;\nesac\nrules=$(cat)\n\
             case \"$rules\" in\n{refused}) echo '{says}' >&2; exit 1;;\nesac\nprintf %s \"$rules\" | exec {nft} \"$@\"\n",
            nft = nft.trim()
        );
        fs::write(tools.join("nft"), script).unwrap();
        must(&["chmod", "+x", &tools.join("nft").display().to_string()]);
        let mut command = network.cordon(&["isolate", "apply"]);
        let output = inside(&place, || command.env("PATH", &path).output().unwrap());
        let said = String::from_utf8(output.stderr).unwrap();
        let zone = format!("zone `{}` is left as it was, since a step failed", network.zone(0));
        for told in [&*zone, says, "nftables 1.0 and Linux 5.16 or newer are needed"] {
            assert!(said.contains(told), "{name}: `{told}` is not in {said}");
        }
        assert!(!output.status.success() && !has_namespace(&network), "{name}: {said}");
        assert_eq!((interfaces(&network), addresses_of(&network, "cam0")), before, "{name}");
    }
    let (done, said) = network.isolate("apply");
    assert!(done, "with the true one: {said}");
}

/// The addresses that somebody gave an interface on the core side.
fn addresses_of(network: &Network, link: &str) -> Vec<String> {
    let command = ["-n", &network.gateway(), "-json", "address", "show", "dev", link, "scope", "global"];
    let listed = Command::new("ip").args(command).output().unwrap();
    let links: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    // What is not asked about stands there, too, as an object without anything.
    let all = links.iter().filter_map(|it| it["addr_info"].as_array()).flatten();
    all.filter_map(|it| Some(format!("{}/{}", it["local"].as_str()?, it["prefixlen"]))).collect()
}

#[test]
fn two_gateways_on_one_machine_do_not_share_a_zone() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let netd = network.netd();
    for what in ["apply", "remove"] {
        let (done, said) = network.isolate(what);
        assert!(!done && said.contains("is kept by process"), "{said}");
    }
    // Another gateway with other zones, on the same interfaces.
    let second = network.dir().join("second");
    fs::create_dir(&second).unwrap();
    let mut other = fs::read_to_string(network.dir().join("cordon.toml")).unwrap();
    for zone in 0..ZONES {
        other = other.replace(&network.zone(zone), &format!("other-{}", network.zone(zone)));
    }
    fs::write(second.join("cordon.toml"), other).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
    command.envs([ADMIN.1, CAMERA_PASSWORD].map(|it| (it, it)));
    command.args(["isolate", "apply", "--config"]).arg(second.join("cordon.toml"));
    let output = inside(&network.gateway(), || command.output().unwrap());
    let said = String::from_utf8(output.stderr).unwrap();
    // Other tests may have interfaces of this name in zones of theirs at the same time.
    let told =
        ["there is no interface `cam0` here, but in namespace `cordon-", "another gateway on this machine"];
    assert!(told.iter().all(|it| said.contains(it)), "{said}");
    netd.crash();
    let (fine, said) = network.isolate("check");
    assert!(fine, "{said}");
    for zone in 0..ZONES {
        let _ = fs::remove_file(format!("/run/cordon/cordon-other-{}.lock", network.zone(zone)));
    }
}

#[test]
fn what_the_core_side_has_built_on_a_zones_interface_is_no_way_in() {
    let Some(network) = Network::build() else { return };
    let place = network.gateway();
    let built = ["ip", "-n", &place, "link", "add", "link", "cam0", "name", "way", "type", "macvlan"];
    if !run(&built) {
        crate::skips::skipped("this kernel has no interfaces upon others (macvlan)");
        return;
    }
    network.configure(|text| text);
    let (done, said) = network.isolate("apply");
    assert!(!done && said.contains("`way` of the core side is made on `cam0`"), "{said}");
    let remove = ["ip", "-n", &place, "link", "delete", "way"];
    must(&remove);
    let (done, said) = network.isolate("apply");
    assert!(done, "{said}");
    // Made where the zone is, and taken to the core side: the kernel lets it go on.
    let zone = format!("cordon-{}", network.zone(0));
    must(&["ip", "-n", &zone, "link", "add", "link", "cam0", "name", "way", "type", "macvlan"]);
    must(&["ip", "-n", &zone, "link", "set", "way", "netns", &place]);
    let (fine, said) = network.isolate("check");
    let told = "interface way in the core's namespace: should be made on none of the zone's, is made on cam0";
    assert!(!fine && said.contains(told), "{said}");
    must(&remove);
    let (fine, said) = network.isolate("check");
    assert!(fine, "{said}");
    let (removed, said) = network.isolate("remove");
    assert!(removed, "{said}");
}

#[test]
fn a_vlan_is_a_zone_of_its_own() {
    let Some(network) = Network::build() else { return };
    let place = network.gateway();
    if !run(&["ip", "-n", &place, "link", "add", "link", "cam0", "name", "try", "type", "vlan", "id", "9"]) {
        crate::skips::skipped("this kernel has no VLANs (8021q)");
        return;
    }
    must(&["ip", "-n", &place, "link", "delete", "try"]);
    network.configure(|text| {
        let first = text.replacen("interface = \"cam0\"", "parent = \"cam0\"\nvlan = 20", 1);
        first.replacen("interface = \"cam1\"", "parent = \"cam0\"\nvlan = 30", 1)
    });
    let (done, said) = network.isolate("apply");
    assert!(done, "{said}");
    let (fine, said) = network.isolate("check");
    assert!(fine, "{said}");
    let (removed, said) = network.isolate("remove");
    assert!(removed, "{said}");
    assert!(run(&["ip", "-n", &place, "link", "show", "cam0"]));
}
