//! Locators and camera memories, kept in the state database.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    camera::CameraMemory,
    clock::Clock,
    facade::{Locator, LocatorError, LocatorKind, LocatorSink},
    hatch::Endpoint,
    ids::CameraId,
    limits::FILE_LOCATOR_LIFE,
    store::{self, Store, StoreError},
};

/// Locators in the state database.
pub(super) struct StoredLocators {
    store: Arc<Mutex<Store>>,
    clock: Arc<dyn Clock>,
}

impl StoredLocators {
    pub(super) fn new(store: Arc<Mutex<Store>>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocatorSink for StoredLocators {
    fn keep(&mut self, token: &str, locator: &Locator) -> Result<(), LocatorError> {
        let now = self.clock.now().as_second();
        let expires = match locator.kind {
            LocatorKind::Stream | LocatorKind::Replay | LocatorKind::Snapshot => {
                // A VMS asks for the same address again and again: what is kept already costs no write.
                if self.find(token)?.as_ref() == Some(locator) {
                    return Ok(());
                }
                None
            }
            LocatorKind::Download | LocatorKind::Upload => {
                let failed = |error: StoreError| LocatorError::Store(error.to_string());
                self.store().locators_expire(now).map_err(failed)?;
                Some(now.saturating_add(i64::try_from(FILE_LOCATOR_LIFE.as_secs()).unwrap_or(0)))
            }
        };
        let row = store::Locator {
            token: token.to_owned(),
            camera: locator.camera.to_string(),
            kind: locator.kind.as_str().to_owned(),
            keys: [locator.profile.clone(), locator.protocol.clone(), String::new()],
            upstream: upstream(&locator.endpoint),
            created: now,
            expires,
        };
        self.store().locator_put(&row).map_err(|error| match error {
            StoreError::TooManyLocators { .. } => LocatorError::Full,
            other => LocatorError::Store(other.to_string()),
        })
    }

    fn find(&self, token: &str) -> Result<Option<Locator>, LocatorError> {
        let now = self.clock.now().as_second();
        let row =
            self.store().locator_get(token, now).map_err(|error| LocatorError::Store(error.to_string()))?;
        Ok(row.and_then(|row| {
            let [profile, protocol, _] = row.keys;
            Some(Locator {
                camera: CameraId::new(&row.camera).ok()?,
                kind: LocatorKind::from_word(&row.kind)?,
                profile,
                protocol,
                endpoint: endpoint(&row.upstream)?,
            })
        }))
    }
}

/// `:554/live?x=1`, or `/live` at the enrolled port.
fn upstream(endpoint: &Endpoint) -> String {
    let port = endpoint.port.map_or_else(String::new, |port| format!(":{port}"));
    format!("{port}{}", endpoint.path_and_query)
}

fn endpoint(upstream: &str) -> Option<Endpoint> {
    let (port, path) = upstream.split_at(upstream.find('/')?);
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port.parse().ok()?),
        None if port.is_empty() => None,
        None => return None,
    };
    Some(Endpoint { port, path_and_query: path.to_owned() })
}

/// What is remembered of one camera over a restart.
pub(super) struct StoredMemory {
    store: Arc<Mutex<Store>>,
    camera: String,
}

/// The key it is kept under.
const MEMORY: &str = "memory";

impl StoredMemory {
    pub(super) fn new(store: Arc<Mutex<Store>>, camera: &CameraId) -> Self {
        Self { store, camera: camera.to_string() }
    }

    /// What was kept; nothing if it cannot be read, since it can be learnt again.
    pub(super) fn recall(&self) -> CameraMemory {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let text = store.state_get(&self.camera, MEMORY).ok().flatten();
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    pub(super) fn keep(&self, memory: CameraMemory) {
        let text = serde_json::to_string(&memory).unwrap_or_default();
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = store.state_put(&self.camera, MEMORY, &text) {
            tracing::warn!(camera = self.camera, %error, "what was learnt of a camera could not be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_kept_as_port_path_and_query() {
        for (port, path, kept) in [(Some(554), "/live?x=1:2", ":554/live?x=1:2"), (None, "/", "/")] {
            let it = Endpoint { port, path_and_query: path.into() };
            assert_eq!(upstream(&it), kept);
            assert_eq!(endpoint(kept), Some(it));
        }
        for bad in ["", "http://192.0.2.1/x", ":99999/x", ":/x"] {
            assert_eq!(endpoint(bad), None, "{bad:?}");
        }
    }
}
