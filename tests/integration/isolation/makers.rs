//! The whole way of a foreign client, for the cameras of every maker: it looks for them, and uses the addresses that it finds.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use cordon::sim::{Dialect, Manner};
use serde_json::{Value, json};

use super::{
    discovery::{DN, TDS, findable, found, found_all},
    network::{CAMERA, CORE, Camera, GATEWAY_CORE, Network, inside, must},
    wait_until,
};
use crate::{
    client,
    event_clients::{agsh_heard, zeep_heard},
    house::{ADMIN, CAMERA_PASSWORD, CAMERA_SIDE, CAMERA_USER, OTHERS, Plan},
    walks::walk_by,
};

/// Name, maker as the camera writes it, zone, port on the core side, address, and how it is made.
type Row = (&'static str, &'static str, usize, u16, String, fn() -> Dialect);

/// The two that every network has, and one of each other maker, in the first zone.
fn rows() -> Vec<Row> {
    let first: [Row; 2] = [
        ("gate", "HIKVISION", 0, 8081, CAMERA.to_owned(), Dialect::hikvision),
        ("lobby", "AXIS", 1, 8082, CAMERA.to_owned(), Dialect::axis),
    ];
    let others = OTHERS.iter().zip([("west", 20), ("hall", 21), ("fence", 22), ("shed", 23)]);
    let others = others.map(|(plan, (name, last))| -> Row {
        // Recorded devices of that maker say so.
        let maker = if plan.vendor == "Uniview" { "NONE" } else { plan.vendor };
        (name, maker, 0, 8063 + last, format!("192.168.1.{last}"), plan.dialect)
    });
    first.into_iter().chain(others).collect()
}

fn with_all(mut text: String, zone: &str) -> String {
    for ((name, _, _, port, address, _), Plan { vendor, .. }) in rows()[2..].iter().zip(&OTHERS) {
        text += &format!(
            "\n[[camera]]\nname = \"{name}\"\naddress = \"{address}\"\nvendor = \"{vendor}\"\nzone = \"{zone}\"\n\
             site = \"depot\"\nlisten_port = {port}\nusername = \"{CAMERA_USER}\"\n\
             password = {{ env = \"{CAMERA_PASSWORD}\" }}\n"
        );
    }
    findable(format!("{text}\n[[network]]\nname = \"consumers\"\nprefixes = [\"{CORE}/32\"]\n"))
}

#[test]
fn foreign_clients_find_subscribe_and_receive_for_every_maker() {
    let Some(clients) = env::var_os("CORDON_CLIENTS").map(PathBuf::from) else {
        crate::skips::skipped("no foreign client looks for cameras, since CORDON_CLIENTS is not set");
        return;
    };
    let Some(network) = Network::build() else { return };
    network.configure(|text| with_all(text, &network.zone(0)));
    let cameras: Vec<_> = rows()
        .into_iter()
        .map(|(_, _, zone, _, address, dialect)| {
            if address != CAMERA {
                let place = network.side(zone);
                must(&["ip", "-n", &place, "address", "add", &format!("{address}/24"), "dev", "leg"]);
            }
            Camera::findable(&network, zone, &address, dialect, Manner::All)
        })
        .collect();
    let (netd, gateway) = (network.netd(), network.gateway_process());

    let addresses = found_by_name(&network, &clients);
    println!("\n| camera | maker | found at |\n|---|---|---|");
    for (name, maker, ..) in rows() {
        let address = &addresses[name];
        println!("| {name} | {maker} | {address} |");
        let door: SocketAddr = address.split('/').nth(2).unwrap().parse().unwrap();
        let asked = client::tds("GetDeviceInformation");
        let reply = inside(&network.core(), || client::ask(door, "device", ADMIN, &asked));
        let answered = reply.element("Manufacturer").unwrap_or_else(|| panic!("{name}: {}", reply.text()));
        assert!(answered.eq_ignore_ascii_case(maker), "{name}: {answered}");
    }
    walked(&network, &addresses);
    // Who has been asked shows its hardware, too, some seconds later.
    wait_until("each is found with its hardware", || {
        let again = found(&network, &clients, &[TDS, "Device"]);
        again.len() == rows().len() && again.iter().all(|it| scope(it, "hardware") != "camera")
    });
    assert_eq!(gateway.stop(), Some(0));
    netd.crash();
    drop(cameras);
}

/// What a device says of itself in its scope of some kind.
fn scope<'a>(device: &'a Value, kind: &str) -> &'a str {
    let before = format!("onvif://www.onvif.org/{kind}/");
    let scopes = device["scopes"].as_array().unwrap().iter().filter_map(Value::as_str);
    let values: Vec<_> = scopes.filter_map(|it| it.strip_prefix(&before)).collect();
    assert_eq!(values.len(), 1, "one scope {kind}: {device:#}");
    values[0]
}

/// The address of each virtual camera as the library WSDiscovery finds it, by the name it gives itself.
fn found_by_name(network: &Network, clients: &Path) -> BTreeMap<String, String> {
    let found = found_all(network, clients, &[DN, "NetworkVideoTransmitter"], rows().len());
    let all: BTreeMap<String, String> = found
        .iter()
        .map(|it| {
            assert_eq!(it["types"], json!([[DN, "NetworkVideoTransmitter"], [TDS, "Device"]]));
            let addresses = it["addresses"].as_array().unwrap();
            assert_eq!((addresses.len(), scope(it, "location")), (1, "depot"), "{it:#}");
            assert_eq!(scope(it, "Profile"), "Streaming", "{it:#}");
            (scope(it, "name").to_owned(), addresses[0].as_str().unwrap().to_owned())
        })
        .collect();
    let endpoints: BTreeSet<_> = found.iter().map(|it| it["endpoint"].as_str().unwrap()).collect();
    assert_eq!((found.len(), endpoints.len()), (rows().len(), rows().len()), "each once: {found:#?}");
    for (name, _, _, port, ..) in rows() {
        let due = format!("http://{GATEWAY_CORE}:{port}/onvif/device_service");
        assert_eq!(all.get(name), Some(&due), "{name}: {all:#?}");
    }
    all
}

/// Both other clients subscribe at the addresses that were found, renew, pull, end, and one is sent events.
fn walked(network: &Network, addresses: &BTreeMap<String, String>) {
    let cameras: Vec<_> =
        addresses.iter().map(|(name, address)| json!({ "name": name, "xaddr": address })).collect();
    let ready = json!({
        "clients": [{ "name": ADMIN.0, "role": "Administrator", "password": ADMIN.1 }],
        "cameras": cameras,
        "consumer": CORE,
    });
    for (program, script, heard) in [
        ("python/bin/python", "events.py", zeep_heard as fn(&[Value], &str)),
        ("node/bin/node", "events.js", agsh_heard),
    ] {
        let run = |mut it: std::process::Command| inside(&network.core(), || it.output());
        let walk = walk_by(&ready, "found", (program, script), run).unwrap();
        addresses.keys().for_each(|name| heard(&walk.results, name));
        let received = String::from_utf8_lossy(&walk.received);
        for text in CAMERA_SIDE.into_iter().chain(["192.168.1."]) {
            assert!(!received.contains(text), "{script}: a client received `{text}`");
        }
    }
}
