//! A restricted device that is plugged in on the core side: alarmed by its frames, and by what it says of itself.

use std::{
    net::{SocketAddr, SocketAddrV6, UdpSocket},
    process::Command,
    time::Duration,
};

use cordon::{
    clock::{Clock, SystemClock},
    isolation::Netd,
};
use serde_json::Value;

use super::{
    events,
    network::{CORE, GATEWAY_CORE, Network, inside, must, run},
    wait_until,
};

/// Of a restricted maker's prefix, and one of another's.
const RESTRICTED: &str = "44:19:b6:00:00:66";
const SECOND: &str = "44:19:b6:00:00:67";
const OTHER: &str = "ac:cc:8e:00:00:66";

/// Sends a question from this hardware address, on the core side.
fn speak(network: &Network, mac: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/isolation/asker.py");
    let mut command = Command::new("python3");
    command.args([script, "leg", mac, "10.77.0.66", GATEWAY_CORE, "1"]);
    assert!(inside(&network.core(), || command.output().unwrap()).status.success());
}

/// What a camera says that is switched on.
fn hello(endpoint: &str, name: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" \
         xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\"><e:Header/><e:Body><d:Hello><a:EndpointReference>\
         <a:Address>{endpoint}</a:Address></a:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types>\
         <d:Scopes>onvif://www.onvif.org/name/{name} onvif://www.onvif.org/hardware/X1</d:Scopes>\
         <d:XAddrs>http://10.77.0.66/onvif/device_service</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>\
         </d:Hello></e:Body></e:Envelope>"
    )
}

/// The record of a device whose address is this, or that says this.
fn on_record(network: &Network, of: &str) -> Option<Value> {
    let all = events(network, "core-device");
    all.into_iter().find(|it| it["detail"]["address"] == of || it["detail"]["at"] == of)
}

/// Whether an alarm was raised about a device on the core side, or the gateway.
fn alarmed(network: &Network, id: &str, of: &str) -> bool {
    let subject = if of == "gateway" { of.to_owned() } else { format!("device {of} on the core side") };
    let raised = events(network, "alarm-raised");
    raised.iter().any(|it| it["detail"]["id"] == id && it["detail"]["subject"] == *subject)
}

#[test]
fn a_restricted_device_on_the_core_side_is_alarmed() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let core = network.core();
    must(&["ip", "-n", &core, "route", "add", "239.0.0.0/8", "dev", "leg"]);
    let netd = network.netd();
    let gateway = network.gateway_process();
    let clock = SystemClock::new();
    let asker = Netd::at(&network.netd_socket());
    wait_until("the core side is watched", || asker.core().is_ok_and(|it| it.trouble.is_none()));

    let began = clock.monotonic();
    speak(&network, OTHER);
    speak(&network, RESTRICTED);
    let took = wait_until("its frames", || on_record(&network, RESTRICTED).is_some());
    println!("a restricted maker's frames on the core leg: on record after {} ms", took.as_millis());
    assert!(clock.monotonic() - began < NOTICED);
    let record = on_record(&network, RESTRICTED).unwrap();
    assert_eq!((&record["detail"]["how"], &record["detail"]["at"]), (&"frames".into(), &"core".into()));
    assert_eq!(record["detail"]["vendor"], "hikvision");
    let counted = asker.core().unwrap().sources;
    assert!(counted.iter().any(|it| it.mac.to_string() == OTHER), "{counted:?}");
    assert_eq!(on_record(&network, OTHER), None, "another maker's");

    hellos_are_heard(&network);
    // While the first goes on, the next is an alarm of its own.
    wait_until("the second", || {
        [RESTRICTED, SECOND].iter().for_each(|mac| speak(&network, mac));
        alarmed(&network, "core-device", SECOND)
    });
    assert!(alarmed(&network, "core-device", RESTRICTED));

    // Somebody's change of the rules that count is set right and told; until then it is said that nothing is counted.
    inside(&network.gateway(), || must(&["nft", "delete", "table", "netdev", "cordon-core"]));
    wait_until("set right", || {
        let core = asker.core().unwrap();
        assert!(core.mended == 1 || core.trouble.is_some(), "{core:?}");
        core.mended == 1
    });
    wait_until("told", || alarmed(&network, "isolation-drift", "gateway"));
    // What nobody can say is told, too.
    netd.crash();
    wait_until("blind", || alarmed(&network, "core-unwatched", "gateway"));
    assert_eq!(gateway.stop(), Some(0));
    assert_eq!(on_record(&network, "urn:uuid:axis"), None, "a maker that is not restricted");
    let report = network.report();
    let told = report["core_devices"].as_array().unwrap();
    assert_eq!(told.len(), 4, "{told:#?}");
    let (removed, said) = network.isolate("remove");
    assert!(removed, "{said}");
    assert!(
        !inside(&network.gateway(), || run(&["nft", "list", "table", "netdev", "cordon-core"])),
        "it is gone"
    );
}

/// By both families; a maker that is not restricted is no matter.
fn hellos_are_heard(network: &Network) {
    let (core, clock) = (network.core(), SystemClock::new());
    for (endpoint, name, v4) in [
        ("urn:uuid:four", "HIKVISION%20DS-2CD", true),
        ("urn:uuid:six", "Nobody", false),
        ("urn:uuid:axis", "AXIS%20M1034", true),
    ] {
        let began = clock.monotonic();
        let text = hello(endpoint, name);
        let seen = || on_record(network, endpoint).is_some();
        // Whoever listens joins at the next look only.
        let say = || {
            inside(&core, || {
                let to: SocketAddr = if v4 {
                    "239.255.255.250:3702".parse().unwrap()
                } else {
                    let index =
                        rustix::net::netdevice::name_to_index(UdpSocket::bind("[::]:0").unwrap(), "leg");
                    SocketAddrV6::new("ff02::c".parse().unwrap(), 3702, 0, index.unwrap()).into()
                };
                let socket = UdpSocket::bind(if v4 { (CORE, 0) } else { ("::", 0) }).unwrap();
                socket.send_to(text.as_bytes(), to).unwrap();
            });
        };
        if name.starts_with("AXIS") {
            say();
            continue;
        }
        wait_until(endpoint, || {
            say();
            seen()
        });
        println!("hello of {name}: on record after {} ms", (clock.monotonic() - began).as_millis());
        assert!(clock.monotonic() - began < NOTICED);
    }
}

const NOTICED: Duration = Duration::from_secs(60);
