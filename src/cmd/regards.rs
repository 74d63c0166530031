//! How cameras are held to be, kept in the state database.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    ids::CameraId,
    inventory::{Regard, RegardBook},
    store::Store,
};

/// Regards in the state database.
pub(super) struct StoredRegards(Arc<Mutex<Store>>);

/// The key they are kept under.
const REGARD: &str = "regard";

impl StoredRegards {
    pub(super) fn new(store: Arc<Mutex<Store>>) -> Self {
        Self(store)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn forget_pin(&self, camera: &CameraId) {
        if let Err(error) = self.store().pin_remove(camera.as_str()) {
            tracing::error!(%camera, %error, "the pin of a camera could not be forgotten");
        }
    }
}
