//! Events that are sent to a consumer on the core side.

use std::net::SocketAddr;

use cordon::sim::Dialect;

use super::{
    GATE, answers,
    network::{CORE, Camera, Capture, GATEWAY_CORE, Network, inside, of_camera},
};
use crate::{
    client,
    consumers::{Consumer, subscription},
    house::ADMIN,
};

/// What it is sent are the gateway's own words.
#[test]
fn no_frame_of_a_camera_reaches_the_network_of_who_is_sent_its_events() {
    let Some(network) = Network::build() else { return };
    network
        .configure(|text| format!("{text}\n[[network]]\nname = \"consumers\"\nprefixes = [\"{CORE}/32\"]\n"));
    let _camera = Camera::start(&network, 0, Dialect::hikvision);
    let core = Capture::start(&network.core());
    let netd = network.netd();
    let gateway = network.gateway_process();
    answers(&network, GATE, "HIKVISION");
    let told = inside(&network.core(), || {
        let consumer = Consumer::open_at(CORE, "202 Accepted");
        let door = SocketAddr::new(GATEWAY_CORE.parse().unwrap(), GATE);
        let asked = subscription(&format!("http://{}/hook", consumer.address));
        let made = client::ask(door, "events", ADMIN, &asked);
        assert_eq!(made.status, 200, "{}", made.text());
        [consumer.next(), consumer.next()]
    });
    for message in &told {
        assert!(message.contains("<wsnt:Notify>") && !message.contains("192.168.1."), "{message}");
    }
    assert_eq!(gateway.stop(), Some(0));
    netd.crash();
    let (frames, macs) = (core.stop(), network.camera_macs());
    let notifications = frames.iter().filter(|it| it.windows(13).any(|it| it == b"<wsnt:Notify>")).count();
    assert!(notifications >= told.len(), "{notifications} notifications among {} frames", frames.len());
    let cameras: Vec<_> = frames.iter().filter_map(|it| of_camera(it, &macs)).collect();
    assert_eq!(cameras, [""; 0], "of n = {} frames", frames.len());
}
