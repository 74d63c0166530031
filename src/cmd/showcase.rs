//! Which virtual cameras discovery shows to whom: those that some client may use who can log in from there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;

use crate::{
    auth::CameraScope,
    discovery::Target,
    facade::{Entrance, Facade},
    ids::CameraId,
    inventory::Camera,
    limits::DISCOVERY_LOOK_INTERVAL,
    listener::{Edition, House, diagnosis::lock},
};

/// What virtual cameras show, as it was looked at last.
#[derive(Default)]
pub(super) struct Showcase {
    edition: Option<Arc<Edition>>,
    looked: Duration,
    targets: BTreeMap<CameraId, Arc<Target>>,
}

/// Who looks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Viewer {
    /// Somebody at an address.
    At(IpAddr),
    /// Anybody on a network.
    On(IpNet),
}

impl Viewer {
    fn may_be_in(self, network: &IpNet) -> bool {
        match self {
            Self::At(address) => network.contains(&address.to_canonical()),
            Self::On(other) => network.contains(&other.trunc()) || other.contains(&network.trunc()),
        }
    }
}

impl Showcase {
    /// Looks at what virtual cameras show, if that may have changed. Whether it was looked at.
    pub(super) fn look(&mut self, house: &House) -> bool {
        let edition = house.edition.load_full();
        let now = house.clock.monotonic();
        let same = self.edition.as_ref().is_some_and(|it| Arc::ptr_eq(it, &edition));
        if same && now.saturating_sub(self.looked) < DISCOVERY_LOOK_INTERVAL {
            return false;
        }
        let seconds = u32::try_from(house.clock.now().as_second()).unwrap_or(1);
        let cameras = edition.rules.inventory().cameras();
        let targets = cameras.map(|camera| {
            let target = Target { metadata_version: seconds, ..shown(house, camera) };
            let target = match self.targets.get(&camera.id) {
                Some(before) => newer(before, target),
                None => Arc::new(target),
            };
            (camera.id.clone(), target)
        });
        self.targets = targets.collect();
        (self.edition, self.looked) = (Some(edition), now);
        true
    }

    /// The virtual cameras that somebody may see.
    pub(super) fn seen_by(&self, viewer: Viewer) -> Vec<Arc<Target>> {
        let Some(edition) = &self.edition else { return Vec::new() };
        let here = edition.authenticator.clients().filter(|it| {
            let mut networks = it.networks.iter();
            networks.any(|network| viewer.may_be_in(network))
        });
        let (mut all, mut some) = (false, BTreeSet::new());
        for client in here {
            match &client.cameras {
                CameraScope::All => all = true,
                CameraScope::Only(cameras) => some.extend(cameras),
            }
        }
        let seen = self.targets.iter().filter(|(id, _)| (all || some.contains(id)) && serves(edition, id));
        seen.map(|(_, target)| Arc::clone(target)).collect()
    }
}

/// Whether a camera is served to anybody at all.
fn serves(edition: &Edition, id: &CameraId) -> bool {
    let camera = edition.rules.camera(id);
    camera.is_some_and(|it| !it.quarantined && !edition.rules.lacks_exception(&it))
}

/// What a virtual camera shows: as its facade says it, and until the camera was asked, without what it claims.
fn shown(house: &House, camera: &Camera) -> Target {
    let facade = Facade::new(&house.facades, camera);
    let scopes = lock(&house.standings.of(&camera.id)).scopes.clone();
    let secure = camera.secure.as_ref().map(|_| Entrance::Secure);
    let entrances = std::iter::once(Entrance::Plain).chain(secure);
    Target {
        endpoint: facade.identity().endpoint.clone(),
        scopes: if scopes.is_empty() { facade.scope_items() } else { scopes },
        addresses: entrances.map(|it| facade.service_address("device", it)).collect(),
        metadata_version: 0,
    }
}

/// A target with a version above the one before, or that one if it shows the same.
fn newer(before: &Arc<Target>, target: Target) -> Arc<Target> {
    let version = before.metadata_version;
    if **before == (Target { metadata_version: version, ..target.clone() }) {
        return Arc::clone(before);
    }
    Arc::new(Target { metadata_version: target.metadata_version.max(version.saturating_add(1)), ..target })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_looked_at_from_any_of_its_addresses() {
        let may = |viewer: Viewer, network: &str| viewer.may_be_in(&network.parse().unwrap());
        let at = |address: &str| Viewer::At(address.parse().unwrap());
        let on = |network: &str| Viewer::On(network.parse().unwrap());
        assert!(may(at("10.1.0.9"), "10.1.0.0/16") && may(at("::ffff:10.1.0.9"), "10.1.0.0/16"));
        assert!(!may(at("10.2.0.9"), "10.1.0.0/16"));
        assert!(may(on("10.1.0.5/24"), "10.1.0.0/16") && may(on("10.1.0.5/24"), "10.1.0.9/32"));
        assert!(!may(on("10.1.0.5/24"), "10.1.1.0/24") && !may(on("10.1.0.5/24"), "2001:db8::/32"));
    }

    #[test]
    fn what_shows_the_same_keeps_its_version() {
        let target = |address: &str, metadata_version| Target {
            endpoint: "urn:uuid:1".into(),
            scopes: Vec::new(),
            addresses: vec![address.to_owned()],
            metadata_version,
        };
        let before = Arc::new(target("http://a/", 50));
        assert!(Arc::ptr_eq(&newer(&before, target("http://a/", 99)), &before));
        assert_eq!(newer(&before, target("http://b/", 99)).metadata_version, 99);
        assert_eq!(newer(&before, target("http://b/", 40)).metadata_version, 51, "a clock set back");
    }
}
