//! What all virtual cameras share: what endures, and what one configuration makes.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use super::{
    diagnosis::Standings, errands::Errands, pictures::Album, ports::Ports, sink::Notices, streaming::Front,
    wall::Wall,
};
use crate::{
    alarm::Subject,
    auth::{Authenticator, Caller, Login},
    camera::Health,
    clock::{Clock, Entropy},
    discovery::Candidates,
    events::{Hubs, Places, SubscriptionBook},
    facade::{FacadeShared, Locators},
    gate::{Gate, Rules},
    ids::{CameraId, RequestId},
    inventory::{Camera, Isolation, Zone},
    isolation::{Dialler, Netd},
    onvif::Catalogue,
    schema::Tables,
};

/// What endures while the gateway runs, on every thread.
pub struct House {
    /// The interface.
    pub tables: Arc<Tables>,
    /// The operations.
    pub catalogue: Catalogue,
    /// What virtual cameras are made with.
    pub facades: Arc<FacadeShared>,
    /// The record, and the way to it.
    pub gate: Gate,
    /// What the configuration of the moment makes. Whoever handles a request takes it once.
    pub edition: ArcSwap<Edition>,
    /// The way of connections for streams.
    pub front: Front,
    /// Which camera has which port of its host.
    pub ports: Ports,
    /// Where locators are kept.
    pub locators: Box<dyn Locators>,
    /// How many virtual cameras accept connections at the moment.
    pub doors: std::sync::atomic::AtomicUsize,
    /// How each camera does, for readiness; a camera nobody asked for anything is absent.
    pub healths: std::sync::Mutex<BTreeMap<CameraId, Health>>,
    /// How each camera stands, for whoever asks why it does not work.
    pub standings: Standings,
    /// Cameras' events.
    pub hubs: Hubs,
    /// How many subscriptions to them each client has.
    pub subscribers: Arc<Places>,
    /// Where it is kept which there are.
    pub subscriptions: Box<dyn SubscriptionBook>,
    /// The ways of what cameras leave for the gateway.
    pub notices: Notices,
    /// Cameras that were found in zones.
    pub candidates: std::sync::Mutex<Candidates>,
    /// Where files for cameras are taken to, before they are sent.
    pub spool: PathBuf,
    /// Places for such files.
    pub uploads: Arc<Semaphore>,
    /// Places for cameras that are asked what they have been set to.
    pub readings: Semaphore,
    /// The ways to cameras' threads.
    pub errands: Errands,
    /// Those of who looks at cameras at the admin listener.
    pub wall: Wall,
    /// Room for cameras' pictures.
    pub album: Album,
    /// Whoever makes sockets in zones.
    pub netd: Netd,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl House {
    /// An id for a request that has just begun.
    pub fn request_id(&self) -> RequestId {
        // An id names records; without randomness it is taken from the clock.
        let bits = self
            .entropy
            .bits()
            .unwrap_or_else(|_| u64::try_from(self.clock.monotonic().as_nanos()).unwrap_or_default());
        RequestId::from_bits(bits)
    }
}

/// What one configuration makes. Never changed, only replaced whole: a request is handled by one edition from
/// its start to its end.
pub struct Edition {
    /// Policies and what is enrolled.
    pub rules: Rules,
    /// The clients.
    pub authenticator: Authenticator,
    /// One caller for each client, to ask what is offered at all.
    pub callers: Vec<Caller>,
    /// What the gateway logs in to each camera with.
    pub logins: BTreeMap<CameraId, Login>,
}

impl Edition {
    /// Whether the configuration still has what an alarm is about.
    pub fn has(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Gateway | Subject::AuditLog | Subject::Certificate => true,
            Subject::Camera(camera) => self.rules.inventory().camera(camera).is_some(),
            Subject::Device(_, None) => true,
            Subject::Zone(zone) | Subject::Device(_, Some(zone)) => {
                self.rules.inventory().zone(zone).is_some()
            }
            Subject::Client(client) => {
                self.callers.iter().any(|it| matches!(it, Caller::Client { id, .. } if id == client))
            }
        }
    }

    /// All that the configuration says of one camera.
    pub fn enrolled(&self, id: &CameraId) -> Option<Enrolled<'_>> {
        let inventory = self.rules.inventory();
        let camera = inventory.camera(id)?;
        Some(Enrolled { camera, zone: inventory.zone(&camera.zone)?, login: self.logins.get(id)? })
    }
}

/// What a configuration says of one camera.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Enrolled<'a> {
    /// The camera.
    pub camera: &'a Camera,
    /// The zone it hangs in.
    pub zone: &'a Zone,
    /// What the gateway logs in with.
    pub login: &'a Login,
}

impl Enrolled<'_> {
    /// From where it is dialled.
    pub fn dialler(&self, netd: &Netd) -> Dialler {
        match self.zone.isolation {
            Isolation::None => Dialler::Here,
            Isolation::Namespace(_) => Dialler::Inside { netd: netd.clone(), zone: self.zone.id.clone() },
        }
    }

    /// Whether the camera is reached as before: at the same address, in the same way, with the same login and the
    /// same word of its owner about its quirks.
    pub fn is_reached_like(&self, before: &Enrolled<'_>) -> bool {
        let reached = |it: &Enrolled<'_>| {
            let camera = it.camera;
            let streams = (camera.streams.plain, camera.streams.secure_port);
            (camera.address, camera.certificates.clone(), streams, camera.quirks.clone())
        };
        let place = |it: &Enrolled<'_>| (it.zone.id.clone(), it.zone.isolation == Isolation::None);
        reached(self) == reached(before) && place(self) == place(before) && self.login == before.login
    }
}
