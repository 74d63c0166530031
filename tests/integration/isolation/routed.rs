//! Cameras behind a router in their zone: served, counted, kept in, and known for less.

use std::{fs, net::UdpSocket};

use cordon::sim::Dialect;
use serde_json::Value;

use super::{
    GATE, answers, events,
    network::{CAMERA, CORE, Camera, Capture, GATEWAY, MARKER, Network, inside, must, of_camera, run},
    wait_until,
};

const BEHIND: &str = "192.168.7.10";

/// A place behind the machine at `CAMERA`, which is its router; taken away when dropped.
struct Behind(String);

impl Behind {
    fn build(network: &Network) -> Self {
        let (side, place) = (network.side(0), format!("{}-behind", network.side(0)));
        must(&["ip", "netns", "add", &place]);
        let behind = Self(place);
        let place = &*behind.0;
        must(&[
            "ip", "-n", &side, "link", "add", "inner", "type", "veth", "peer", "name", "leg", "netns", place,
        ]);
        must(&["ip", "-n", &side, "address", "add", "192.168.7.1/24", "dev", "inner"]);
        must(&["ip", "-n", &side, "link", "set", "inner", "up"]);
        must(&["ip", "-n", place, "address", "add", &format!("{BEHIND}/24"), "dev", "leg"]);
        must(&["ip", "-n", place, "link", "set", "leg", "up"]);
        must(&["ip", "-n", place, "route", "add", "default", "via", "192.168.7.1"]);
        inside(&side, || fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
        behind
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        run(&["ip", "netns", "delete", &self.0]);
    }
}

#[test]
fn a_camera_behind_a_router_is_served_and_known_for_less_and_nothing_of_it_leaves() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| {
        let leg = format!("address = [\"{GATEWAY}/24\"");
        let route = format!("routes = [{{ to = \"192.168.7.0/24\", via = \"{CAMERA}\" }}]\n{leg}");
        let text = text.replacen(&leg, &route, 1);
        let text = text.replacen("prefixes = [", "prefixes = [\"192.168.7.0/24\", ", 1);
        text.replacen(&format!("\naddress = \"{CAMERA}\""), &format!("\naddress = \"{BEHIND}\""), 1)
    });
    let behind = Behind::build(&network);
    let (core, wan) = (Capture::start(&network.core()), Capture::start(&network.wan()));
    let camera = Camera::behind(&behind.0, 0, BEHIND, Dialect::hikvision);
    let _neighbour = Camera::start(&network, 1, Dialect::axis);
    let _netd = network.netd();
    let gateway = network.gateway_process();
    answers(&network, GATE, "HIKVISION");
    let attempts = || {
        let socket = UdpSocket::bind((BEHIND, 0)).unwrap();
        for to in [CORE, "203.0.113.9"] {
            socket.send_to(MARKER.as_bytes(), (to, 3_478)).unwrap();
        }
    };
    inside(&behind.0, attempts);
    let told = || events(&network, "egress-blocked").iter().map(Value::to_string).collect::<String>();
    wait_until("both attempts are on record", || {
        let told = told();
        [BEHIND, CORE, "203.0.113.9"].iter().all(|it| told.contains(&format!("\"{it}\"")))
    });
    // As often as a neighbour would have been learnt by: it answers before and after somebody looked.
    let lobby = network.mac(&network.side(1), "leg");
    let learnt = || events(&network, "camera-hardware-learnt");
    wait_until("the other zone's camera is held to its hardware address", || {
        answers(&network, GATE, "HIKVISION");
        answers(&network, super::LOBBY, "AXIS");
        learnt().iter().any(|it| it["camera"] == "lobby" && it["detail"]["mac"] == *lobby)
    });
    assert!(learnt().iter().all(|it| it["camera"] != "gate"), "the router's address is not the camera's");
    assert_eq!(gateway.stop(), Some(0));
    let report = network.report();
    let gate = report["devices"].as_array().unwrap().iter().find(|it| it["name"] == "gate").unwrap();
    let evidence = gate["evidence"].to_string();
    assert!(!evidence.contains("mac `"), "{evidence}");
    assert_eq!(gate["observable"]["is"], "partly");
    let why = gate["observable"]["why"].as_str().unwrap();
    assert!(why.starts_with("it hangs behind a router in its zone: only what that router sends"), "{why}");
    drop(camera);
    let mut macs = network.camera_macs();
    macs.insert(network.mac(&behind.0, "leg"));
    for (leg, capture) in [("core", core), ("WAN", wan)] {
        let frames = capture.stop();
        let of_it = |frame: &Vec<u8>| {
            // As source of IPv4, and of ARP.
            let address = [26..29, 28..31].into_iter().any(|at| frame.get(at) == Some(&[192, 168, 7]));
            of_camera(frame, &macs).or(address.then(|| "its address".to_owned()))
        };
        assert_eq!(frames.iter().filter_map(of_it).collect::<Vec<_>>(), Vec::<String>::new(), "{leg}");
        assert!(leg == "WAN" || frames.len() > 20, "the capture saw too little: {}", frames.len());
    }
}
