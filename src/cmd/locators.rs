//! Locators and camera memories, kept in the state database.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    auth::Login,
    camera::{BreakerMemory, CameraMemory, MemoryBook},
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

/// Where the memories of all cameras are kept.
pub(super) struct Memories {
    store: Arc<Mutex<Store>>,
    key: Zeroizing<[u8; 32]>,
}

impl Memories {
    /// `key` makes the fingerprints of credentials.
    pub(super) fn new(store: Arc<Mutex<Store>>, key: Zeroizing<[u8; 32]>) -> Self {
        Self { store, key }
    }

    /// The database.
    pub(super) fn store(&self) -> &Arc<Mutex<Store>> {
        &self.store
    }

    /// What is remembered of one camera, with these credentials.
    pub(super) fn of(&self, camera: &CameraId, login: &Login) -> StoredMemory {
        StoredMemory::new(Arc::clone(&self.store), camera, login.version(&self.key))
    }
}

/// What is remembered of one camera, whatever its credentials.
pub(super) fn stored_memory(store: &Mutex<Store>, camera: &CameraId) -> CameraMemory {
    read_row(store, camera.as_str()).map(|row| row.memory).unwrap_or_default()
}

fn read_row(store: &Mutex<Store>, camera: &str) -> Option<Row> {
    let store = store.lock().unwrap_or_else(PoisonError::into_inner);
    let text = store.state_get(camera, MEMORY).ok().flatten()?;
    serde_json::from_str(&text).ok()
}

/// What is remembered of one camera over a restart.
pub(super) struct StoredMemory {
    store: Arc<Mutex<Store>>,
    camera: String,
    credentials: String,
    /// What is kept, so that nothing is written twice.
    written: RefCell<String>,
}

/// A memory as it is kept.
#[derive(Serialize, Deserialize)]
struct Row {
    /// The version of the credentials that the breaker's part is about.
    #[serde(default)]
    credentials: String,
    #[serde(flatten)]
    memory: CameraMemory,
}

/// The key it is kept under.
const MEMORY: &str = "memory";

impl StoredMemory {
    /// `credentials` is the fingerprint of those in use.
    fn new(store: Arc<Mutex<Store>>, camera: &CameraId, credentials: String) -> Self {
        Self { store, camera: camera.to_string(), credentials, written: RefCell::default() }
    }
}

impl MemoryBook for StoredMemory {
    fn recall(&self) -> CameraMemory {
        let Some(row) = read_row(&self.store, &self.camera) else { return CameraMemory::default() };
        self.written.replace(serde_json::to_string(&row).unwrap_or_default());
        if row.credentials == self.credentials {
            return row.memory;
        }
        CameraMemory { breaker: BreakerMemory::default(), ..row.memory }
    }

    fn keep(&self, memory: &CameraMemory) {
        let row = Row { credentials: self.credentials.clone(), memory: memory.clone() };
        let text = serde_json::to_string(&row).unwrap_or_default();
        if *self.written.borrow() == text {
            return;
        }
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        match store.state_put(&self.camera, MEMORY, &text) {
            Ok(()) => drop(self.written.replace(text)),
            Err(error) => {
                tracing::warn!(camera = self.camera, %error, "what was learnt of a camera could not be kept");
            }
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

    #[test]
    fn refused_logins_are_remembered_for_the_credentials_they_were_made_with() {
        let store = Arc::new(Mutex::new(Store::in_memory().unwrap()));
        let camera = CameraId::new("gate").unwrap();
        let book = |credentials: &str| StoredMemory::new(Arc::clone(&store), &camera, credentials.into());
        let breaker =
            BreakerMemory { rejections: 3, proven: true, waiting_since: Some(jiff::Timestamp::UNIX_EPOCH) };
        let memory = CameraMemory { breaker, clock_shift_milliseconds: 7, ..CameraMemory::default() };
        book("one").keep(&memory);
        assert_eq!(book("one").recall(), memory);
        let anew = CameraMemory { breaker: BreakerMemory::default(), ..memory };
        assert_eq!(book("two").recall(), anew, "a changed password begins anew");
        store
            .lock()
            .unwrap()
            .state_put("gate", MEMORY, r#"{"scheme":"wsse","clock_offset_milliseconds":5}"#)
            .unwrap();
        let old = book("one").recall();
        assert_eq!(
            (old.scheme.is_some(), old.clock_offset_milliseconds),
            (true, Some(5)),
            "of an older gateway"
        );
        store.lock().unwrap().state_put("gate", MEMORY, "{").unwrap();
        assert_eq!(book("one").recall(), CameraMemory::default());
    }
}
