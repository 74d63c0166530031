//! Virtual cameras by path: two behind one port, each at addresses of its own.

use std::net::{SocketAddr, TcpListener};

use crate::{
    client::{self, Reply, SOAP, Token, User, envelope, tds, tds_with, trt_with},
    house::{ADMIN, CAR_PARK, House, LOBBY, LOBBY_ONLY, OPERATOR},
    tls::{Pair, connect, send},
};

/// Two cameras that share a port, and one over TLS.
pub struct Shared {
    pub house: House,
    pub plain: SocketAddr,
    secure: SocketAddr,
    own: Pair,
}

impl Shared {
    pub fn open() -> Self {
        let mut house = House::open();
        let host = house.door(LOBBY).ip();
        let own = Pair::new(&host.to_string());
        own.write(house.dir());
        let held = [(); 2].map(|()| TcpListener::bind((host, 0)).unwrap());
        let [plain, secure] = held.map(|it| it.local_addr().unwrap());
        let ports = [CAR_PARK, LOBBY].map(|it| format!("listen_port = {}\n", house.door(it).port()));
        house.reconfigure(|text| {
            let listener = format!(
                "[listener]\npath_port = {}\npath_tls_port = {}\ntls_certificate = \"chain.pem\"\ntls_key = \"key.pem\"\n",
                plain.port(),
                secure.port()
            );
            let mut text = text.replacen("[listener]\n", &listener, 1);
            for (port, path) in ports.iter().zip(["/car-park", "/lobby"]) {
                assert!(text.contains(port), "{text}");
                text = text.replacen(port, &format!("listen_path = \"{path}\"\n"), 1);
            }
            text
        });
        Self { house, plain, secure, own }
    }

    pub fn ask(&self, target: &str, user: Option<User>, body: &str) -> Reply {
        client::send(self.plain, &request(target, user, body))
    }
}

fn request(target: &str, user: Option<User>, body: &str) -> Vec<u8> {
    let header = user.map_or_else(String::new, |user| Token::new(user).header());
    client::request("POST", target, &[SOAP], envelope(&header, body).as_bytes())
}

/// All addresses of services in an answer.
fn addresses(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let text = reply.text();
    let found = text.split("XAddr>").skip(1).step_by(2).map(|it| it.split('<').next().unwrap().to_owned());
    found.collect()
}

#[test]
fn every_address_that_a_camera_is_shown_at_stays_on_its_path() {
    let shared = Shared::open();
    let list = tds_with("GetServices", "<x:IncludeCapability>true</x:IncludeCapability>");
    for (camera, path) in [(CAR_PARK, "/car-park"), (LOBBY, "/lobby")] {
        let device = format!("{path}/onvif/device_service");
        let plain = format!("http://{}{path}/onvif/", shared.plain);
        let secure = format!("https://{}{path}/onvif/", shared.secure);
        for asked in [&list, &tds("GetCapabilities")] {
            let in_clear = addresses(&shared.ask(&device, None, asked));
            let stream = connect(shared.secure, &shared.own.der, None);
            let over_tls = addresses(&send(stream, &request(&device, None, asked)));
            assert!(in_clear.len() >= 3 && in_clear.iter().all(|it| it.starts_with(&plain)), "{in_clear:?}");
            assert!(over_tls.len() >= 3 && over_tls.iter().all(|it| it.starts_with(&secure)), "{over_tls:?}");
        }
        shared.house.camera(camera).clear_log();
        let profile = if camera == LOBBY { "profile_1_h264" } else { "Profile_1" };
        let asked = trt_with("GetSnapshotUri", &format!("<x:ProfileToken>{profile}</x:ProfileToken>"));
        let reply = shared.ask(&format!("{path}/onvif/media_service"), Some(OPERATOR), &asked);
        let uri = reply.element("Uri").unwrap_or_else(|| panic!("{}", reply.text()));
        assert!(uri.starts_with(&format!("{plain}snapshot/")), "{uri}");
        let target = uri.strip_prefix(&format!("http://{}", shared.plain)).unwrap();
        // The digest is made over the whole path.
        let picture = client::send_with_digest(shared.plain, "GET", target, OPERATOR, "SHA-256", "");
        assert_eq!((picture.status, &picture.body[..2]), (200, [0xff, 0xd8].as_slice()), "{uri}");
        let other = if camera == LOBBY { CAR_PARK } else { LOBBY };
        assert!(shared.house.operations(camera).iter().any(|it| it == "trt:GetSnapshotUri"));
        assert!(!shared.house.operations(other).iter().any(|it| it == "trt:GetSnapshotUri"));
        shared.house.camera(camera).clear_log();
    }
}

#[test]
fn a_path_leads_to_its_own_camera_and_to_no_other() {
    let mut shared = Shared::open();
    let users = tds("GetHostname");
    let permitted = shared.ask("/lobby/onvif/device_service", Some(LOBBY_ONLY), &users);
    assert_eq!(permitted.status, 200, "{}", permitted.text());
    let refused = shared.ask("/car-park/onvif/device_service", Some(LOBBY_ONLY), &users);
    assert_eq!(refused.fault(), "Sender/ter:NotAuthorized");
    // A locator of one camera is nothing at the other's path.
    let asked = trt_with("GetSnapshotUri", "<x:ProfileToken>profile_1_h264</x:ProfileToken>");
    let uri = shared.ask("/lobby/onvif/media_service", Some(ADMIN), &asked).element("Uri").unwrap();
    let target = uri.strip_prefix(&format!("http://{}/lobby", shared.plain)).unwrap();
    for (path, status) in [("/car-park", 404), ("/lobby", 401)] {
        let reply = client::send(shared.plain, &client::request("GET", &format!("{path}{target}"), &[], b""));
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
    }
    let before = shared.house.heard().len();
    for target in [
        "/onvif/device_service",
        "/lobby",
        "/lobby/",
        "/nobody/onvif/device_service",
        "/lobby/car-park/onvif/device_service",
        "/lobby/../car-park/onvif/device_service",
        "/LOBBY/onvif/device_service",
        "//lobby/onvif/device_service",
        "/%6cobby/onvif/device_service",
    ] {
        let reply = shared.ask(target, Some(ADMIN), &users);
        assert_eq!(reply.status, 404, "{target}: {}", reply.text());
    }
    assert_eq!(shared.house.heard().len(), before, "no camera heard of it");
    shared.house.stop();
    let note = shared.house.record_at(CAR_PARK, &refused).intent["note"].clone();
    assert!(note.as_str().unwrap().contains("may not address this camera"), "{note}");
    assert_eq!(shared.house.record_at(LOBBY, &permitted).intent["decision"], "permitted");
}
