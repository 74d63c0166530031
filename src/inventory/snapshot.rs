//! The whole inventory at one moment.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use super::{Camera, Network, OTHER_NETWORK, Site, Vendors, Zone};
use crate::ids::{CameraId, SiteId, ZoneId};

/// Why parts make no inventory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InventoryError {
    /// Two things of one kind share a name.
    #[error("there are two {kind}s named `{name}`")]
    Duplicate {
        /// What kind of thing.
        kind: &'static str,
        /// The shared name.
        name: String,
    },
    /// A camera names a zone or site that does not exist.
    #[error("camera `{camera}` names {kind} `{name}`, which does not exist")]
    Dangling {
        /// The camera.
        camera: CameraId,
        /// `zone` or `site`.
        kind: &'static str,
        /// The missing name.
        name: String,
    },
}

/// Cameras, places, networks and vendors: read only, shared by `Arc`.
#[derive(Debug, Clone)]
pub struct Inventory {
    cameras: BTreeMap<CameraId, Camera>,
    sites: BTreeMap<SiteId, Site>,
    zones: BTreeMap<ZoneId, Zone>,
    networks: Vec<Network>,
    vendors: Arc<Vendors>,
    /// The ports of each host at which an enrolled camera or the gateway answers.
    taken: Arc<HashMap<IpAddr, BTreeSet<u16>>>,
}

impl Inventory {
    /// Puts the parts together; every reference must lead somewhere.
    pub fn new(
        cameras: Vec<Camera>,
        sites: Vec<Site>,
        zones: Vec<Zone>,
        networks: Vec<Network>,
        vendors: Arc<Vendors>,
    ) -> Result<Self, InventoryError> {
        let sites = keyed("site", sites, |site| site.id.clone())?;
        let zones = keyed("zone", zones, |zone| zone.id.clone())?;
        let cameras = keyed("camera", cameras, |camera| camera.id.clone())?;
        for camera in cameras.values() {
            let dangling = |kind, name: &dyn ToString| InventoryError::Dangling {
                camera: camera.id.clone(),
                kind,
                name: name.to_string(),
            };
            if !zones.contains_key(&camera.zone) {
                return Err(dangling("zone", &camera.zone));
            }
            if !sites.contains_key(&camera.site) {
                return Err(dangling("site", &camera.site));
            }
        }
        let taken = Arc::new(taken(cameras.values()));
        Ok(Self { cameras, sites, zones, networks, vendors, taken })
    }

    /// Takes up where the gateway listens beside what it does on behalf of cameras.
    pub fn with_doors(mut self, doors: impl Iterator<Item = SocketAddr>) -> Self {
        let taken = Arc::make_mut(&mut self.taken);
        doors.for_each(|at| take(taken, at));
        self
    }

    /// Whether an enrolled camera or the gateway answers at a port of a host.
    pub fn answers_at(&self, host: IpAddr, port: u16) -> bool {
        let host = host.to_canonical();
        // A door at every address is one of this machine's own addresses, and of cameras only loopback ones are.
        let anywhere = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let anywhere = anywhere.into_iter().filter(|_| host.is_loopback());
        let mut hosts = anywhere.chain([host]).filter_map(|it| self.taken.get(&it));
        hosts.any(|ports| ports.contains(&port))
    }

    /// Every camera, by name.
    pub fn cameras(&self) -> impl Iterator<Item = &Camera> {
        self.cameras.values()
    }

    /// One camera.
    pub fn camera(&self, id: &CameraId) -> Option<&Camera> {
        self.cameras.get(id)
    }

    /// Every site, by name.
    pub fn sites(&self) -> impl Iterator<Item = &Site> {
        self.sites.values()
    }

    /// One site.
    pub fn site(&self, id: &SiteId) -> Option<&Site> {
        self.sites.get(id)
    }

    /// Every zone, by name.
    pub fn zones(&self) -> impl Iterator<Item = &Zone> {
        self.zones.values()
    }

    /// One zone.
    pub fn zone(&self, id: &ZoneId) -> Option<&Zone> {
        self.zones.get(id)
    }

    /// Every named network, in the order of the configuration.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// Names of the networks that hold an address; [`OTHER_NETWORK`] alone if none does.
    pub fn networks_of(&self, address: IpAddr) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .networks
            .iter()
            .filter(|network| network.contains(address))
            .map(|n| n.name.as_str())
            .collect();
        if names.is_empty() {
            names.push(OTHER_NETWORK);
        }
        names
    }

    /// The vendor table.
    pub fn vendors(&self) -> &Arc<Vendors> {
        &self.vendors
    }
}

fn taken<'a>(cameras: impl Iterator<Item = &'a Camera>) -> HashMap<IpAddr, BTreeSet<u16>> {
    let mut taken: HashMap<IpAddr, BTreeSet<u16>> = HashMap::new();
    cameras
        .flat_map(|camera| camera.doors().chain([camera.address.socket()]))
        .for_each(|at| take(&mut taken, at));
    taken
}

fn take(taken: &mut HashMap<IpAddr, BTreeSet<u16>>, at: SocketAddr) {
    taken.entry(at.ip().to_canonical()).or_default().insert(at.port());
}

fn keyed<K: Ord + ToString, T>(
    kind: &'static str,
    items: Vec<T>,
    key: impl Fn(&T) -> K,
) -> Result<BTreeMap<K, T>, InventoryError> {
    let mut map = BTreeMap::new();
    for item in items {
        let name = key(&item);
        let shown = name.to_string();
        if map.insert(name, item).is_some() {
            return Err(InventoryError::Duplicate { kind, name: shown });
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_outside_every_named_network_is_in_other() {
        let vms = Network { name: "vms".into(), prefixes: vec!["10.1.0.0/16".parse().unwrap()] };
        let inventory = Inventory::new(
            Vec::new(),
            Vec::new(),
            Vec::new(),
            vec![vms],
            Arc::new(Vendors::embedded().unwrap()),
        )
        .unwrap();
        assert_eq!(inventory.networks_of("10.1.2.3".parse().unwrap()), ["vms"]);
        assert_eq!(inventory.networks_of("::ffff:10.1.2.3".parse().unwrap()), ["vms"]);
        assert_eq!(inventory.networks_of("10.2.2.3".parse().unwrap()), [OTHER_NETWORK]);
    }

    #[test]
    fn two_sites_of_one_name_are_refused() {
        let site = Site { id: SiteId::new("hq").unwrap(), sensitive: false };
        let sites = vec![site.clone(), site];
        let vendors = Arc::new(Vendors::embedded().unwrap());
        let error = Inventory::new(Vec::new(), sites, Vec::new(), Vec::new(), vendors).unwrap_err();
        assert_eq!(error.to_string(), "there are two sites named `hq`");
    }
}
