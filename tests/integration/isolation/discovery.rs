//! Discovery on real networks: what a foreign client finds on the core side, what is found in zones, and that neither
//! knows of the other.

use std::{
    env, fs,
    net::{SocketAddrV6, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use cordon::{
    clock::{Clock, SystemClock},
    discovery::{Form, read},
    limits::{CANDIDATES_TOLD_MAX, DISCOVERY_ANSWER_INTERVAL, DISCOVERY_DELAY_MAX},
    sim::{Dialect, Manner},
};
use serde_json::Value;

use super::{
    GATE, LOBBY, SECONDS_MAX, answers, events,
    network::{
        CAMERA, CORE, Camera, Capture, GATEWAY, GATEWAY_CORE, HOSTILE, Network, inside, must, of_camera,
    },
    wait_until,
};
use crate::house::{CAMERA_PASSWORD, CAMERA_USER, records_of};

pub(super) const DN: &str = "http://www.onvif.org/ver10/network/wsdl";
pub(super) const TDS: &str = "http://www.onvif.org/ver10/device/wsdl";

/// Answers on the core side, too.
pub(super) fn findable(text: String) -> String {
    format!("[discovery]\nlisten = [\"{GATEWAY_CORE}/24\", \"2001:db8:77::1/64\"]\n\n{text}")
}

/// What the library WSDiscovery finds from the core side.
pub(super) fn found(network: &Network, clients: &Path, what: &[&str]) -> Vec<Value> {
    let mut command = Command::new(clients.join("python/bin/python"));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/discover.py")).arg("3").args(what);
    let output = inside(&network.core(), || command.output().unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The same, until so many are found: on a busy machine an answer may come after the client has stopped listening.
pub(super) fn found_all(network: &Network, clients: &Path, what: &[&str], count: usize) -> Vec<Value> {
    let mut all = Vec::new();
    wait_until("all are found", || {
        all = found(network, clients, what);
        all.len() >= count
    });
    all
}

fn addresses(found: &[Value]) -> Vec<String> {
    found.iter().map(|it| it["addresses"][0].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_foreign_client_finds_the_virtual_cameras() {
    let Some(clients) = env::var_os("CORDON_CLIENTS").map(PathBuf::from) else {
        crate::skips::skipped("no foreign client looks for cameras, since CORDON_CLIENTS is not set");
        return;
    };
    let Some(network) = Network::build() else { return };
    network.configure(findable);
    let netd = network.netd();
    let gateway = network.gateway_process();
    let both = [GATE, LOBBY].map(|port| format!("http://{GATEWAY_CORE}:{port}/onvif/device_service"));
    for (name, what) in [
        ("no type", &[][..]),
        ("as ONVIF had it", &[DN, "NetworkVideoTransmitter"]),
        ("as it has it", &[TDS, "Device"]),
        ("with a scope", &[TDS, "Device", "onvif://www.onvif.org/location/depot"]),
    ] {
        let found = found_all(&network, &clients, what, both.len());
        assert_eq!(addresses(&found), both, "{name}: {found:#?}");
        let types = serde_json::json!([[DN, "NetworkVideoTransmitter"], [TDS, "Device"]]);
        assert!(found.iter().all(|it| it["types"] == types), "{name}: {found:#?}");
    }
    let lobby = [DN, "NetworkVideoTransmitter", "onvif://www.onvif.org/name/lobby"];
    let named = found_all(&network, &clients, &lobby, 1);
    assert_eq!(addresses(&named), both[1..], "{named:#?}");
    assert_eq!(found(&network, &clients, &[TDS, "Printer"]), [Value::Null; 0]);
    assert_eq!(gateway.stop(), Some(0));
    netd.crash();
}

/// By a name of the link alone, and by one of the network, of everybody and of the gateway alone.
#[test]
fn virtual_cameras_are_found_by_ipv6() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| findable(text.replace("[\"10.77.0.0/24\"]", "[\"2001:db8:77::/64\"]")));
    let netd = network.netd();
    let gateway = network.gateway_process();
    let found = |from: &str, to: &str, id: &str| {
        inside(&network.core(), || {
            let socket = UdpSocket::bind((from, 0)).unwrap();
            socket.set_read_timeout(Some(SECONDS_MAX)).unwrap();
            let index = rustix::net::netdevice::name_to_index(&socket, "leg").unwrap();
            let scope = if to.starts_with("ff02") { index } else { 0 };
            socket
                .send_to(
                    Form::Device.probe(id.len() as u128).as_bytes(),
                    SocketAddrV6::new(to.parse().unwrap(), 3702, 0, scope),
                )
                .unwrap();
            let mut buffer = [0; 2_000];
            let mut found = Vec::new();
            while found.len() < 2
                && let Ok((length, _)) = socket.recv_from(&mut buffer)
            {
                found.extend(read(&buffer[..length]).unwrap().devices()[0].addresses.clone());
            }
            found.sort();
            found
        })
    };
    let both = [GATE, LOBBY].map(|port| format!("http://{GATEWAY_CORE}:{port}/onvif/device_service"));
    let clock = SystemClock::new();
    for (from, to, id) in [
        ("2001:db8:77::2", "ff02::c", "a"),
        ("2001:db8:77::2", "2001:db8:77::1", "bb"),
        ("::", "ff02::c", "ccc"),
    ] {
        let began = clock.monotonic();
        assert_eq!(found(from, to, id), both, "{from} asks {to}");
        // The next is another's question, or comes a while later.
        while clock.monotonic() - began < 2 * DISCOVERY_ANSWER_INTERVAL {
            crate::house::breathe();
        }
    }
    assert_eq!(gateway.stop(), Some(0));
    netd.crash();
}

/// What was joined before is nobody's, and what is sent to the group comes in at another interface.
#[test]
fn an_interface_of_the_core_side_that_was_made_anew_is_heard_at_again() {
    let Some(network) = Network::build() else { return };
    network.configure(findable);
    let netd = network.netd();
    let gateway = network.gateway_process();
    let mut number = 0;
    let mut answers = || {
        number += 1;
        inside(&network.core(), || {
            let socket = UdpSocket::bind((CORE, 0)).unwrap();
            socket.set_read_timeout(Some(DISCOVERY_DELAY_MAX + DISCOVERY_ANSWER_INTERVAL)).unwrap();
            rustix::net::sockopt::set_ip_multicast_if(&socket, &CORE.parse().unwrap()).unwrap();
            // As long as the interface is not there, it goes nowhere.
            let _ = socket.send_to(Form::Device.probe(number).as_bytes(), ("239.255.255.250", 3702));
            socket.recv_from(&mut [0; 2_000]).is_ok()
        })
    };
    wait_until("it is found", &mut answers);
    network.replace_core();
    wait_until("it is found again", &mut answers);
    assert_eq!(gateway.stop(), Some(0));
    netd.crash();
}

/// Only `gate` is enrolled, and the cameras of each zone are looked for one by one, too.
fn swept(text: String) -> String {
    let (before, _) = text.split_once("\n[[camera]]\nname = \"lobby\"").unwrap();
    let address = format!("address = [\"{GATEWAY}/24\"");
    assert!(before.contains(&address), "{before}");
    findable(before.replace(&address, &format!("sweep = [\"192.168.1.8/29\"]\n{address}")))
}

/// What was found in zones, as the command tells it.
fn candidates(network: &Network) -> Vec<Value> {
    let output =
        inside(&network.gateway(), || network.cordon(&["camera", "discovered", "--json"]).output().unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn at<'a>(candidates: &'a [Value], zone: &str, address: &str) -> Option<&'a Value> {
    candidates.iter().find(|it| it["zone"] == zone && it["address"] == address)
}

/// Runs a command of the gateway's to its end: whether it succeeded, and all it said.
fn told(network: &Network, arguments: &[&str]) -> (bool, String) {
    let output = inside(&network.gateway(), || network.cordon(arguments).output().unwrap());
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap()).concat();
    (output.status.success(), said)
}

/// Frames of discovery: of UDP, to or from its port.
fn of_discovery(frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let port = 3702_u16.to_be_bytes();
    let ports = |frame: &[u8]| match frame.get(12..14) {
        Some([0x08, 0x00]) if frame.get(23) == Some(&17) => frame.get(34..38).map(<[u8]>::to_vec),
        Some([0x86, 0xdd]) if frame.get(20) == Some(&17) => frame.get(54..58).map(<[u8]>::to_vec),
        _ => None,
    };
    let is = |frame: &Vec<u8>| ports(frame).is_some_and(|it| it[..2] == port || it[2..] == port);
    frames.into_iter().filter(is).collect()
}

fn says(frame: &[u8], text: &str) -> bool {
    frame.windows(text.len()).any(|it| it == text.as_bytes())
}

/// Whether a device of the second zone that is enrolled nowhere is on record.
fn is_on_record(network: &Network, address: &str) -> bool {
    let all = events(network, "device-found");
    all.iter().any(|it| it["detail"]["zone"] == network.zone(1) && it["detail"]["address"] == address)
}

/// The report has them with their maker, and none that is enrolled.
fn found_and_enrolled_nowhere(network: &Network, addresses: &[&str]) {
    let report = network.report();
    let all = report["found"].as_array().unwrap();
    for address in addresses {
        let row = all.iter().find(|it| it["zone"] == network.zone(1) && it["address"] == *address);
        assert_eq!(row.map(|it| &it["maker"]), Some(&"bosch".into()), "{all:#?}");
    }
    assert!(!all.iter().any(|it| it["zone"] == network.zone(0)), "it is enrolled: {all:#?}");
}

#[test]
fn cameras_in_zones_are_found_and_enrolled_and_neither_side_hears_the_other() {
    let Some(network) = Network::build() else { return };
    network.configure(swept);
    let (core, side) = (Capture::start(&network.core()), Capture::start(&network.side(1)));
    let _gate = Camera::findable(&network, 0, CAMERA, Dialect::hikvision, Manner::LiteralPrefix);
    let _lobby = Camera::findable(&network, 1, CAMERA, Dialect::axis, Manner::All);
    // They said hello before anybody listened: it is questions that find them.
    let others: Vec<_> = Manner::ALL
        .into_iter()
        .zip(20..)
        .map(|(manner, last)| {
            let address = format!("192.168.1.{last}");
            must(&["ip", "-n", &network.side(1), "address", "add", &format!("{address}/24"), "dev", "leg"]);
            let camera = Camera::findable(&network, 1, &address, Dialect::bosch, manner);
            (manner, address, camera)
        })
        .collect();
    let netd = network.netd();
    let clock = SystemClock::new();
    let gateway = network.gateway_process();
    let (north, south) = (network.zone(0), network.zone(1));
    let began = clock.monotonic();
    for (zone, address) in [(&north, CAMERA), (&south, CAMERA)] {
        wait_until("found by its zone", || at(&candidates(&network), zone, address).is_some());
    }
    println!("\n| a camera that answers | is found at |\n|---|---|");
    for (manner, address, _) in &others {
        wait_until(&format!("{manner:?}"), || at(&candidates(&network), &south, address).is_some());
        let found = at(&candidates(&network), &south, address).cloned().unwrap();
        // Of the addresses that it gives, the first of which leads nowhere, the one that it speaks from.
        println!("| {manner:?} | {address}:{}{} |", found["port"], found["path"].as_str().unwrap());
        let named = found["scopes"][0].as_str().unwrap();
        assert!(found["port"] == 80 && named.starts_with("onvif://www.onvif.org/name/"), "{found:#?}");
    }
    let known = |it: &Value| !it["mac"].is_null();
    wait_until("its hardware address", || at(&candidates(&network), &south, CAMERA).is_some_and(known));
    println!("{} cameras found after {} ms", others.len() + 2, (clock.monotonic() - began).as_millis());
    let all = candidates(&network);
    assert_eq!(all.len(), others.len() + 2, "{all:#?}");
    let gate = at(&all, &north, CAMERA).unwrap();
    assert_eq!((&gate["vendor"], &gate["class"]), (&"hikvision".into(), &"restricted".into()), "{gate:#?}");
    assert_eq!((&gate["enrolled"][0], &gate["by"]), (&"gate".into(), &"answer".into()), "{gate:#?}");
    let lobby = at(&all, &south, CAMERA).unwrap();
    assert_eq!((&lobby["mac"], &lobby["port"]), (&network.mac(&network.side(1), "leg").into(), &80.into()));
    assert_eq!(lobby["enrolled"].as_array().unwrap().len(), 0, "nobody decided yet");

    let others: Vec<&str> = others.iter().map(|(_, address, _)| address.as_str()).collect();
    for address in &others {
        wait_until("on record", || is_on_record(&network, address));
    }
    enrolled_by_a_decision(&network);
    assert_eq!(gateway.stop(), Some(0));
    netd.crash();
    found_and_enrolled_nowhere(&network, &others);

    let records = records_of(&network.dir().join("audit"));
    let operations =
        |name: &str| records.iter().filter(|it| it["operation"] == name && it["type"] == "intent").count();
    assert_eq!(
        (operations("admin:Discover"), operations("admin:EnrolCamera")),
        (2, 1),
        "one search of each zone"
    );
    let decided = events(&network, "camera-to-be-enrolled");
    assert_eq!((decided.len(), &decided[0]["camera"]), (1, &"found".into()), "{decided:?}");

    neither_hears_the_other(&network, core.stop(), side.stop());
}

/// In the configuration that its owner wrote, which stays as it is.
fn enrolled_by_a_decision(network: &Network) {
    let south = network.zone(1);
    let secret = network.dir().join("secret");
    fs::write(&secret, CAMERA_PASSWORD).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let file = network.dir().join("cordon.toml");
    let before = fs::read_to_string(&file).unwrap();
    let enrol = |more: &[&str]| {
        let usual = ["camera", "enrol", CAMERA, "--username", CAMERA_USER, "--password-file"];
        told(network, &[&usual[..], more].concat())
    };
    let (done, said) = enrol(&["secret", "--name", "gate", "--zone", &south]);
    assert!(!done && said.contains("there is a camera `gate` in the configuration"), "{said}");
    let (done, said) = enrol(&["secret", "--name", "found"]);
    assert!(!done && said.contains("cameras were found at 192.168.1.10 in zones"), "{said}");
    let (done, said) = enrol(&["nothing", "--name", "found", "--zone", &south]);
    assert!(!done && said.contains("the configuration would not be right with this section"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), before, "as it was");
    let (done, said) = enrol(&["secret", "--name", "found", "--zone", &south, "--listen-port", "8090"]);
    assert!(done && said.contains("cordon reload --config"), "{said}");
    let after = fs::read_to_string(&file).unwrap();
    assert!(
        after.starts_with(&before) && after.contains("name = \"found\"\naddress = \"192.168.1.10\"\n"),
        "{after}"
    );
    let (done, said) = told(network, &["reload"]);
    assert!(done && said.contains("+ cameras: found"), "{said}");
    answers(network, 8090, "AXIS");
}

/// What is said on one side nobody hears on the other.
fn neither_hears_the_other(network: &Network, core: Vec<Vec<u8>>, side: Vec<Vec<u8>>) {
    let core = of_discovery(core);
    let macs = network.camera_macs();
    let cameras: Vec<_> = core.iter().filter_map(|it| of_camera(it, &macs)).collect();
    assert_eq!(cameras, [""; 0]);
    for text in ["169.254.7.7", "of-a-camera", "5f5a69c2-e0ae", "192.168.1."] {
        assert!(!core.iter().any(|it| says(it, text)), "{text} on the core side");
    }
    assert!(core.iter().any(|it| says(it, "/name/gate")), "what should be heard there is");
    let side = of_discovery(side);
    assert!(side.iter().any(|it| says(it, "of-a-camera")), "what should be heard there is");
    for text in ["/name/gate", "/location/depot", GATEWAY_CORE] {
        assert!(!side.iter().any(|it| says(it, text)), "{text} in a zone");
    }
}

/// What a hostile camera says of itself.
fn claim(action: &str, endpoint: &str, addresses: &str) -> String {
    let device = format!(
        "<a:EndpointReference><a:Address>{endpoint}</a:Address></a:EndpointReference>\
         <d:Scopes>onvif://www.onvif.org/name/%20%0A%22%5B%5Bclient</d:Scopes><d:XAddrs>{addresses}</d:XAddrs>"
    );
    let body = match action {
        "ProbeMatches" => format!("<d:ProbeMatches><d:ProbeMatch>{device}</d:ProbeMatch></d:ProbeMatches>"),
        _ => format!("<d:{action}>{device}</d:{action}>"),
    };
    format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\"><s:Header/><s:Body>{body}</s:Body></s:Envelope>"
    )
}

#[test]
fn what_hostile_cameras_say_of_themselves_leads_nowhere() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let _camera = Camera::start(&network, 0, Dialect::hikvision);
    let (netd, clock) = (network.netd(), SystemClock::new());
    let gateway = network.gateway_process();
    let (core, zone, place) = (Capture::start(&network.core()), network.zone(0), network.side(0));
    let elsewhere = "203.0.113.77";
    must(&["ip", "-n", &place, "address", "add", &format!("{elsewhere}/32"), "dev", "leg"]);
    let say = |from: &str, text: &str| {
        inside(&place, || {
            let socket = UdpSocket::bind((from, 0)).unwrap();
            socket.send_to(text.as_bytes(), (GATEWAY, 3702)).unwrap();
        });
    };
    // A thousand addresses, one of the core's, one off the link, a name.
    let many: String = (0..1_000).map(|it| format!("http://h{it}/x ")).collect();
    let addresses = format!("http://{GATEWAY_CORE}:9080/ http://169.254.7.7/ http://camera.example/ {many}");
    let row = |address: &str| at(&candidates(&network), &zone, address).cloned();
    say(elsewhere, &claim("ProbeMatches", "urn:uuid:elsewhere", ""));
    wait_until("it is heard", || {
        say(HOSTILE, &claim("ProbeMatches", "urn:uuid:hostile", &addresses));
        row(HOSTILE).is_some()
    });
    let hostile = row(HOSTILE).unwrap();
    assert_eq!((&hostile["port"], &hostile["path"]), (&80.into(), &"/onvif/device_service".into()));
    assert_eq!(row(elsewhere), None, "off the link");
    // A goodbye in another's name, from elsewhere than it came from.
    say(CAMERA, &claim("Bye", "urn:uuid:hostile", ""));
    // Every moment another device at one address.
    let began = clock.monotonic();
    let floods = 3_000;
    inside(&place, || {
        let socket = UdpSocket::bind((HOSTILE, 0)).unwrap();
        for number in 0..floods {
            let text = claim("Hello", &format!("urn:uuid:{number}"), "");
            socket.send_to(text.as_bytes(), (GATEWAY, 3702)).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    println!("{floods} hellos in {} ms", (clock.monotonic() - began).as_millis());
    answers(&network, GATE, "HIKVISION");
    // A maker that nobody knows is treated as restricted.
    wait_until("alarmed", || {
        let raised = events(&network, "alarm-raised");
        raised.iter().any(|it| it["detail"]["id"] == "device-not-enrolled")
    });
    assert!(row(HOSTILE).is_some() && candidates(&network).len() == 1);
    let (shown, said) = told(&network, &["camera", "discovered"]);
    assert!(shown && !said.contains(['\u{1b}', '\u{a0}']) && said.lines().count() == 3, "{said}");
    assert_eq!(gateway.stop(), Some(0));
    netd.crash();
    let told = events(&network, "candidates");
    let changes: u64 = told.iter().map(|it| it["detail"]["changes"].as_u64().unwrap()).sum();
    let minutes = 2 + (clock.monotonic() - began).as_secs() / 60;
    assert!(told.len() as u64 <= minutes && changes > 1, "{told:#?}");
    let named = told.iter().map(|it| it["detail"]["devices"].as_array().unwrap().len()).max();
    assert!(named.unwrap() <= CANDIDATES_TOLD_MAX, "{told:#?}");
    assert_eq!(of_discovery(core.stop()), Vec::<Vec<u8>>::new(), "nothing of it on the core side");
}
