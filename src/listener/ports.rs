//! Which camera has which port of a host that several may share.
//!
//! Behind a port mapping cameras differ by their ports alone. Those that are enrolled are known; the others, of
//! streams above all, are known by what cameras say. A camera that names a port another one is asked at already would
//! have its own commands and login carried there.

use std::{collections::BTreeMap, net::IpAddr, sync::Mutex};

use crate::{ids::CameraId, inventory::Inventory, limits::CAMERA_PORTS_MAX};

/// Who is asked at which port. The first keeps it while it is enrolled at that host.
#[derive(Debug, Default)]
pub struct Ports(Mutex<BTreeMap<(IpAddr, u16), CameraId>>);

impl Ports {
    /// Whether a camera may be asked at a port of its host; if so, it is this camera's from now on.
    pub(super) fn take(&self, inventory: &Inventory, camera: &CameraId, port: u16) -> bool {
        let Some(host) = host_of(inventory, camera) else { return false };
        let mut ports = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match ports.get(&(host, port)) {
            Some(holder) if holder == camera => return true,
            Some(holder) if host_of(inventory, holder) == Some(host) => return false,
            Some(_) => {}
            None => {
                let of_host = ports.range((host, 0)..=(host, u16::MAX));
                if of_host.filter(|(_, holder)| *holder == camera).count() >= CAMERA_PORTS_MAX {
                    return false;
                }
            }
        }
        ports.insert((host, port), camera.clone());
        true
    }

    /// Forgets what was held by cameras that are gone.
    pub fn settle(&self, inventory: &Inventory) {
        let mut ports = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        ports.retain(|(host, _), holder| host_of(inventory, holder) == Some(*host));
    }
}

fn host_of(inventory: &Inventory, camera: &CameraId) -> Option<IpAddr> {
    inventory.camera(camera).map(|it| it.address.host.to_canonical())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        ids::{CameraId, SiteId, ZoneId},
        inventory::{Camera, CameraAddress, Isolation, MacPolicy, Site, Vendors, Zone},
    };

    const GATEWAY: [&str; 2] = ["192.0.2.1:554", "127.0.0.1:9090"];

    pub(in crate::listener) fn inventory(cameras: &[(&str, &str, &str)]) -> Inventory {
        let vendors = Arc::new(Vendors::embedded().unwrap());
        let (zone, site) = (ZoneId::new("yard").unwrap(), SiteId::new("depot").unwrap());
        let camera = |(id, address, listen): &(&str, &str, &str)| {
            let at: std::net::SocketAddr = address.parse().unwrap();
            Camera {
                id: CameraId::new(id).unwrap(),
                address: CameraAddress { host: at.ip(), port: at.port() },
                certificates: None,
                mount: String::new(),
                device_path: "/onvif/device_service".into(),
                zone: zone.clone(),
                site: site.clone(),
                vendor: vendors.verdict("Axis"),
                listen: listen.parse().unwrap(),
                advertise: (*listen).to_owned(),
                secure: None,
                advertise_rtsp: "192.0.2.1:554".into(),
                advertise_rtsps: None,
                mac: MacPolicy::Virtual,
                manufacturer: None,
                model: None,
                quirks: Vec::new(),
                events: Default::default(),
                streams: Default::default(),
                replacement: None,
                exception: None,
                quarantined: false,
                hardware: None,
            }
        };
        let zones = vec![Zone {
            id: zone.clone(),
            isolation: Isolation::None,
            prefixes: Vec::new(),
            event_sink: None,
            sweep: Vec::new(),
        }];
        let sites = vec![Site { id: site.clone(), sensitive: false }];
        let cameras = cameras.iter().map(camera).collect();
        let inventory = Inventory::new(cameras, sites, zones, Vec::new(), vendors).unwrap();
        inventory.with_doors(GATEWAY.iter().map(|it| it.parse().unwrap()))
    }

    fn named(name: &str) -> CameraId {
        CameraId::new(name).unwrap()
    }

    #[test]
    fn what_is_enrolled_and_the_gateway_itself_are_known_by_their_ports() {
        let enrolled = inventory(&[
            ("mapped-a", "198.51.100.7:8001", "192.0.2.1:9001"),
            ("alone", "198.51.100.9:80", "192.0.2.1:9003"),
            ("local", "127.0.0.1:7000", "0.0.0.0:9004"),
        ]);
        let ports = [80, 554, 7000, 8001, 9001, 9004, 9090];
        for (host, taken) in [
            ("198.51.100.7", vec![8001]),
            ("198.51.100.9", vec![80]),
            ("127.0.0.1", vec![7000, 9004, 9090]),
            ("192.0.2.1", vec![554, 9001]),
        ] {
            let found: Vec<u16> =
                ports.into_iter().filter(|port| enrolled.answers_at(host.parse().unwrap(), *port)).collect();
            assert_eq!(found, taken, "{host}");
        }
    }

    #[test]
    fn the_first_camera_that_is_asked_at_a_port_keeps_it_from_others_of_its_host() {
        let both = inventory(&[
            ("mapped-a", "198.51.100.7:8001", "192.0.2.1:9001"),
            ("mapped-b", "198.51.100.7:8002", "192.0.2.1:9002"),
            ("elsewhere", "198.51.100.9:80", "192.0.2.1:9003"),
        ]);
        let (ports, a, b) = (Ports::default(), named("mapped-a"), named("mapped-b"));
        assert!(ports.take(&both, &b, 5542) && ports.take(&both, &b, 5542));
        assert!(!ports.take(&both, &a, 5542), "the stream of another camera");
        assert!(ports.take(&both, &a, 5541) && ports.take(&both, &named("elsewhere"), 5542));
        assert!(!ports.take(&both, &named("nobody"), 5543), "no longer enrolled");
        let without = inventory(&[("mapped-a", "198.51.100.7:8001", "192.0.2.1:9001")]);
        assert!(ports.take(&without, &a, 5542), "its holder is gone");
        ports.settle(&without);
        assert_eq!(ports.0.lock().unwrap().len(), 2, "5541 and 5542 of what is left");
    }

    #[test]
    fn a_camera_holds_so_many_ports_and_no_more() {
        let enrolled = inventory(&[("mapped-a", "198.51.100.7:8001", "192.0.2.1:9001")]);
        let (ports, a) = (Ports::default(), named("mapped-a"));
        let first = 20_000;
        let most = u16::try_from(CAMERA_PORTS_MAX).unwrap();
        assert!((first..first + most).all(|port| ports.take(&enrolled, &a, port)));
        assert!(!ports.take(&enrolled, &a, first + most));
        assert!(ports.take(&enrolled, &a, first), "what it has it keeps");
    }
}
