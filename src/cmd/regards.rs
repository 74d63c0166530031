//! How cameras are held to be, kept in the state database.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    clock::Clock,
    ids::CameraId,
    inventory::{Baseline, Regard, RegardBook, SeenCertificate},
    store::{Clerk, Pin, Store},
};

/// Regards in the state database.
pub(super) struct StoredRegards {
    clerk: Arc<Clerk>,
    pins: Arc<Mutex<Store>>,
    clock: Arc<dyn Clock>,
}

/// The keys they are kept under.
const REGARD: &str = "regard";
const BASELINE: &str = "baseline";

impl StoredRegards {
    pub(super) fn new(clerk: &Arc<Clerk>, pins: &Arc<Mutex<Store>>, clock: &Arc<dyn Clock>) -> Self {
        Self { clerk: Arc::clone(clerk), pins: Arc::clone(pins), clock: Arc::clone(clock) }
    }
}

impl RegardBook for StoredRegards {
    fn recall(&self, camera: &CameraId) -> Result<Option<Regard>, String> {
        let text = self.clerk.state(camera.as_str(), REGARD);
        text.map(|text| serde_json::from_str(&text).map_err(|error| error.to_string())).transpose()
    }

    fn keep(&self, camera: &CameraId, regard: &Regard) {
        match serde_json::to_string(regard) {
            Ok(text) => self.clerk.keep_state(camera.as_str(), REGARD, &text, None),
            Err(error) => {
                tracing::error!(%camera, %error, "WHAT WAS FOUND OF A CAMERA COULD NOT BE KEPT: it holds until the gateway stops");
            }
        }
    }

    fn recall_baseline(&self, camera: &CameraId) -> Result<Option<Baseline>, String> {
        let text = self.clerk.state(camera.as_str(), BASELINE);
        text.map(|text| serde_json::from_str(&text).map_err(|error| error.to_string())).transpose()
    }

    fn keep_baseline(&self, camera: &CameraId, baseline: &Baseline) -> Result<(), String> {
        let text = serde_json::to_string(baseline).map_err(|error| error.to_string())?;
        self.clerk.keep_state(camera.as_str(), BASELINE, &text, None);
        Ok(())
    }

    fn pin(&self, camera: &CameraId, certificate: &SeenCertificate) -> Result<(), String> {
        let pin = Pin {
            camera: camera.to_string(),
            key: certificate.key.clone(),
            certificate: certificate.certificate.clone(),
            pinned: self.clock.now().as_second(),
        };
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        pins.pin_put(&pin).map_err(|error| error.to_string())
    }
}
