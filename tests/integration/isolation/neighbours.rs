//! Neighbours of a camera that claim its address, or ever new ones: the camera is served as before.

use std::{
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use cordon::{
    clock::{Clock, SystemClock},
    ids::ZoneId,
    isolation::{Neighbour, Netd, Request, SocketKind},
    sim::Dialect,
};
use serde_json::Value;

use super::{
    GATE, answers, events,
    network::{CAMERA, CAMERA6, Camera, GATEWAY, GATEWAY6, Hostile, MARKER, Network, inside},
    wait_until,
};
use crate::house::{CAMERA_PASSWORD, CAMERA_USER, records_of};

const FORGER: &str = "02:66:00:00:00:01";

fn forger(network: &Network, mode: &str) -> Hostile {
    let mac = network.mac(&network.namespace(0), &Network::link(0));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/isolation/forger.py");
    let mut command = Command::new("python3");
    command.args([script, "leg", mode, FORGER, CAMERA, CAMERA6, GATEWAY, GATEWAY6, &mac, MARKER]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Hostile::of(inside(&network.side(0), || command.spawn().unwrap()))
}

/// Whether a camera can be had from its zone, at all.
fn dialled(netd: &Netd, zone: &ZoneId) -> bool {
    let request = Request::Socket { zone: zone.to_string(), kind: SocketKind::Stream4 };
    let (_, socket) = netd.ask(&request).unwrap();
    let socket = tokio::net::TcpSocket::from_std_stream(TcpStream::from(socket.unwrap()));
    let at = SocketAddr::new(CAMERA.parse().unwrap(), 80);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dial = async { tokio::time::timeout(Duration::from_millis(300), socket.connect(at)).await };
    runtime.block_on(dial).is_ok_and(|it| it.is_ok())
}

/// What the forger does to a camera whose hardware address nobody holds it to: that the next test can fail.
#[test]
fn a_forger_is_dialled_where_nobody_is_held_to_a_hardware_address() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let _netd = network.netd();
    let (netd, zone) = (Netd::at(&network.netd_socket()), ZoneId::new(&network.zone(0)).unwrap());
    let _camera = Camera::start(&network, 0, Dialect::hikvision);
    wait_until("before", || dialled(&netd, &zone));
    let forging = forger(&network, "forge");
    wait_until("the forger is believed", || {
        let is_forged =
            |it: &Neighbour| it.address.to_string() == CAMERA && it.mac.as_deref() == Some(FORGER);
        netd.neighbours(&zone).is_ok_and(|all| all.iter().any(is_forged))
    });
    let clock = SystemClock::new();
    let (began, mut dials, mut missed) = (clock.monotonic(), 0, 0);
    while clock.monotonic() - began < FORGED_DIALS_TIME {
        dials += 1;
        missed += usize::from(!dialled(&netd, &zone));
    }
    let told = forging.stop();
    println!("not held: {missed} of {dials} connections failed, {} frames came to the forger", told["heard"]);
    assert!(told["heard"].as_u64().unwrap() > 0, "{told}");
}

const FORGED_DIALS_TIME: Duration = Duration::from_secs(3);

#[test]
fn a_forged_neighbour_is_alarmed_and_the_cameras_are_served_as_before() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text + &enrolled6(&network));
    let _cameras =
        [Camera::start(&network, 0, Dialect::hikvision), Camera::by_ipv6(&network, 0, Dialect::hikvision)];
    let netd = network.netd();
    let gateway = network.gateway_process();
    let served = || {
        answers(&network, GATE, "HIKVISION");
        answers(&network, GATE6, "HIKVISION");
    };
    served();
    let asker = Netd::at(&network.netd_socket());
    for (camera, address) in [("gate", CAMERA), ("gate6", CAMERA6)] {
        held_and_on_record(&network, &asker, (camera, address), served);
    }
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let forging = forger(&network, "forge");
    let mut asked = 0;
    while asked < ASKED || clock.monotonic() - began < FORGED_TIME {
        served();
        asked += 1;
    }
    let alarmed =
        || events(&network, "alarm-raised").into_iter().find(|it| it["detail"]["id"] == "address-claimed");
    wait_until("alarmed", || alarmed().is_some());
    // A new start of either takes nothing away.
    netd.crash();
    let _netd = network.netd();
    assert_eq!(gateway.stop(), Some(0));
    let gateway = network.gateway_process();
    for _ in 0..ASKED {
        served();
    }
    let lasted = clock.monotonic() - began;
    let told = forging.stop();
    println!(
        "{} of {} commands served in {:.1} s beside a forger that sent {} frames; {} frames of a session came to it",
        2 * (asked + ASKED),
        2 * (asked + ASKED),
        lasted.as_secs_f32(),
        told["sent"],
        told["heard"]
    );
    assert_eq!(told["heard"], 0);
    assert_eq!(gateway.stop(), Some(0));
    told_of_the_forger_alone(&network, &alarmed().unwrap());
}

const GATE6: u16 = 8083;

/// A restricted camera that is reached by IPv6.
fn enrolled6(network: &Network) -> String {
    format!(
        "\n[[camera]]\nname = \"gate6\"\naddress = \"{CAMERA6}\"\nvendor = \"Hikvision\"\nzone = \"{}\"\n\
         site = \"depot\"\nlisten_port = {GATE6}\nusername = \"{CAMERA_USER}\"\n\
         password = {{ env = \"{CAMERA_PASSWORD}\" }}\n",
        network.zone(0)
    )
}

/// Waits until a camera is held to its hardware address; that is on record.
fn held_and_on_record(network: &Network, asker: &Netd, (camera, address): (&str, &str), served: impl Fn()) {
    let (own, zone) = (network.mac(&network.side(0), "leg"), ZoneId::new(&network.zone(0)).unwrap());
    let is_held = || {
        let its = |it: &Neighbour| {
            it.address.to_string() == address && it.state == "PERMANENT" && it.mac.as_ref() == Some(&own)
        };
        // While much goes on, its word may come later than it is waited for.
        asker.neighbours(&zone).is_ok_and(|all| all.iter().any(its))
    };
    // It has to answer by it first.
    let took = wait_until(&format!("{camera} is held to its hardware address"), || {
        served();
        is_held()
    });
    println!("{camera} held {} ms after it was asked first", took.as_millis());
    let learnt = || events(network, "camera-hardware-learnt").into_iter().find(|it| it["camera"] == camera);
    wait_until("on record", || learnt().is_some());
    let told = learnt().unwrap();
    assert_eq!((&told["detail"]["mac"], &told["detail"]["zone"]), (&own.into(), &network.zone(0).into()));
}

/// What is on record and alarmed is about the forger, and nothing is about the cameras; no rule was found otherwise.
fn told_of_the_forger_alone(network: &Network, alarm: &Value) {
    assert_eq!(alarm["detail"]["subject"], format!("device {FORGER} in zone {}", network.zone(0)));
    let found = alarm["detail"]["found"].as_str().unwrap();
    assert!(found.starts_with(&format!("{FORGER} claims ")), "{found}");
    let claims = events(network, "address-claimed");
    let claim = |how: &str, of: &Value| {
        claims.iter().any(|it| {
            it["detail"]["claimant"] == FORGER && it["detail"]["how"] == how && it["detail"]["of"] == *of
        })
    };
    for (how, of) in [
        ("arp", "gate".into()),
        ("source", "gate".into()),
        ("discovery", "gate6".into()),
        // Whose address is advertised from another is not told.
        ("discovery", Value::Null),
        ("source", "gate6".into()),
    ] {
        assert!(claim(how, &of), "{how} {of}: {claims:#?}");
    }
    assert!(claims.iter().all(|it| it["detail"]["claimant"] == FORGER), "never the victim: {claims:#?}");
    let of_victim = |it: &&Value| {
        ["gate", "gate6"]
            .iter()
            .any(|camera| it["camera"] == *camera || it["detail"]["subject"] == format!("camera {camera}"))
    };
    let told_of_victim: Vec<_> = records_of(&network.dir().join("audit"))
        .into_iter()
        .filter(|it| {
            ["camera-changed", "camera-quarantined", "vendor-verdict", "isolation-drift"]
                .iter()
                .any(|what| it["what"] == *what)
        })
        .collect();
    assert_eq!(told_of_victim, Vec::<Value>::new(), "the victims' verdict and identity are as before");
    let alarms = events(network, "alarm-raised");
    assert!(!alarms.iter().filter(of_victim).any(|it| it["detail"]["id"] != "isolation-off"), "{alarms:#?}");
}

const ASKED: usize = 20;
const FORGED_TIME: Duration = Duration::from_secs(8);

/// How many of so many questions for the gateway are answered, asked by a stranger with this hardware address.
fn answered(network: &Network, asker: &str, questions: u32) -> u32 {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/isolation/asker.py");
    let mut command = Command::new("python3");
    command.args([script, "leg", asker, "192.168.77.7", GATEWAY, &questions.to_string()]);
    let output = inside(&network.side(0), || command.output().unwrap());
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// In a zone of 65,000 addresses and of IPv6, whose claims are held back.
#[test]
fn a_neighbour_that_claims_much_leaves_the_others_room() {
    let Some(network) = Network::build() else { return };
    let wide = |text: String| {
        text.replace("192.168.1.0/24", "192.168.0.0/16")
            .replace(&format!("{GATEWAY}/24"), &format!("{GATEWAY}/16"))
    };
    network.configure(wide);
    let _camera = Camera::start(&network, 0, Dialect::hikvision);
    let _netd = network.netd();
    let gateway = network.gateway_process();
    answers(&network, GATE, "HIKVISION");
    let flooding = forger(&network, "flood");
    let (asker, zone) = (Netd::at(&network.netd_socket()), ZoneId::new(&network.zone(0)).unwrap());
    wait_until("most of what is claimed is held back", || {
        asker.attempts(&zone).is_ok_and(|it| it.dropped > FLOOD_MIN)
    });
    let stranger = answered(&network, "02:77:00:00:00:07", QUESTIONS);
    for _ in 0..ASKED {
        answers(&network, GATE, "HIKVISION");
    }
    let told = flooding.stop();
    println!(
        "beside {} claims of one neighbour {stranger} of {QUESTIONS} questions of another were answered, and {ASKED} of {ASKED} commands served",
        told["sent"]
    );
    assert!(told["sent"].as_u64().unwrap() > FLOOD_MIN, "{told}");
    assert_eq!(stranger, QUESTIONS);
    assert_eq!(gateway.stop(), Some(0));
}

const QUESTIONS: u32 = 8;
const FLOOD_MIN: u64 = 1_000;
