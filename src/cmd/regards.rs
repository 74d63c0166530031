//! How cameras are held to be, kept in the state database.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    clock::Clock,
    ids::CameraId,
    inventory::{Regard, RegardBook, SeenCertificate},
    store::{Pin, Store},
};

/// Regards in the state database.
pub(super) struct StoredRegards {
    store: Arc<Mutex<Store>>,
    clock: Arc<dyn Clock>,
}

/// The key they are kept under.
const REGARD: &str = "regard";

impl StoredRegards {
    pub(super) fn new(store: &Arc<Mutex<Store>>, clock: &Arc<dyn Clock>) -> Self {
        Self { store: Arc::clone(store), clock: Arc::clone(clock) }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RegardBook for StoredRegards {
    fn recall(&self, camera: &CameraId) -> Result<Option<Regard>, String> {
        let text = self.store().state_get(camera.as_str(), REGARD).map_err(|error| error.to_string())?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| error.to_string())).transpose()
    }

    fn keep(&self, camera: &CameraId, regard: &Regard) {
        let kept = serde_json::to_string(regard).map_err(|error| error.to_string()).and_then(|text| {
            self.store().state_put(camera.as_str(), REGARD, &text).map_err(|error| error.to_string())
        });
        if let Err(error) = kept {
            tracing::error!(%camera, error, "WHAT WAS FOUND OF A CAMERA COULD NOT BE KEPT: it holds until the gateway stops");
        }
    }

    fn pin(&self, camera: &CameraId, certificate: &SeenCertificate) -> Result<(), String> {
        let pin = Pin {
            camera: camera.to_string(),
            key: certificate.key.clone(),
            certificate: certificate.certificate.clone(),
            pinned: self.clock.now().as_second(),
        };
        self.store().pin_put(&pin).map_err(|error| error.to_string())
    }
}
