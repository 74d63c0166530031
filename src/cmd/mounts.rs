//! Listeners that several virtual cameras share, each at a path of its own.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use tokio::sync::{mpsc, watch};

use super::gateway::{StartError, bind};
use crate::{
    inventory::Camera,
    listener::{
        House, Vigil,
        http::{self, Door},
        mount::{Mounts, Visit, way},
        tls::Tls,
    },
};

/// The cameras of each shared listener, as far as they are known.
#[derive(Default)]
pub(super) struct Shared(BTreeMap<SocketAddr, Group>);

struct Group {
    tls: Option<Tls>,
    cameras: HashMap<Arc<str>, mpsc::Sender<Visit>>,
    /// One of them, for messages.
    first: String,
}

impl Shared {
    /// Leads the listeners of a camera to it.
    pub(super) fn add(&mut self, camera: &Camera, tls: Option<&Tls>) -> mpsc::Receiver<Visit> {
        let (near, far) = way();
        let secure =
            camera.secure.as_ref().map(|it| it.listen).zip(tls).map(|(at, tls)| (at, Some(tls.clone())));
        for (at, tls) in [Some((camera.listen, None)), secure].into_iter().flatten() {
            let first = camera.id.to_string();
            let group = self.0.entry(at).or_insert_with(|| Group { tls, cameras: HashMap::new(), first });
            group.cameras.insert(camera.mount.as_str().into(), near.clone());
        }
        far
    }

    /// Opens the listeners.
    pub(super) fn open(self) -> Result<Vec<SharedDoor>, StartError> {
        let open = |(at, group): (SocketAddr, Group)| {
            Ok(SharedDoor { at, listener: bind(&group.first, at)?, group })
        };
        self.0.into_iter().map(open).collect()
    }
}

/// A listener before its thread has it.
pub(super) struct SharedDoor {
    /// Where it listens.
    pub(super) at: SocketAddr,
    listener: std::net::TcpListener,
    group: Group,
}

impl SharedDoor {
    /// Serves, on the thread this is called on, what the listener hears; inside a `LocalSet`.
    pub(super) fn serve(
        self,
        house: Arc<House>,
        stop: watch::Receiver<bool>,
    ) -> Result<impl Future<Output = ()> + 'static, StartError> {
        let Self { at, listener, group } = self;
        let Group { tls, cameras, first } = group;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(|source| StartError::Listen {
            camera: first,
            address: at,
            source,
        })?;
        let door = tls.map_or(Door::SharedCameras(None), |tls| Door::SharedCameras(Some(tls)));
        Ok(http::serve(listener, Vigil::over(Mounts(cameras), house), door, stop))
    }
}
