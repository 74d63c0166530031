//! Locators and camera memories, kept in the state database.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, time::timeout};
use zeroize::Zeroizing;

use crate::{
    auth::Login,
    camera::{BreakerMemory, CameraMemory, MemoryBook},
    clock::Clock,
    facade::{Keeping, Locator, LocatorError, LocatorKind, Locators, Named},
    hatch::Endpoint,
    ids::CameraId,
    limits::{FILE_LOCATOR_LIFE, STORE_WAIT_TIME_MAX},
    store::{self, Clerk, NotKept, Store, Told},
};

/// Locators in the state database.
pub(super) struct StoredLocators {
    clerk: Arc<Clerk>,
    clock: Arc<dyn Clock>,
}

impl StoredLocators {
    pub(super) fn new(clerk: Arc<Clerk>, clock: Arc<dyn Clock>) -> Self {
        Self { clerk, clock }
    }

    /// The row of a locator; none if it stands there already: a VMS asks for the same address again and again, which
    /// costs no write. Those of files end by themselves, and begin anew.
    fn row(&self, Named { token, locator }: &Named, now: i64) -> Option<store::Locator> {
        let expires = match locator.kind {
            LocatorKind::Stream | LocatorKind::Replay | LocatorKind::Snapshot => None,
            LocatorKind::Download | LocatorKind::Upload => {
                Some(now.saturating_add(i64::try_from(FILE_LOCATOR_LIFE.as_secs()).unwrap_or(0)))
            }
        };
        let known = self.clerk.locator(token, now);
        if expires.is_none() && known.as_ref().and_then(read).as_ref() == Some(locator) {
            return None;
        }
        Some(store::Locator {
            token: token.clone(),
            camera: locator.camera.to_string(),
            kind: locator.kind.as_str().to_owned(),
            keys: [locator.profile.clone(), locator.protocol.clone(), String::new()],
            upstream: upstream(&locator.endpoint),
            created: now,
            expires,
            used: known.and_then(|it| it.used),
        })
    }
}

impl Locators for StoredLocators {
    fn keep(&self, locators: Vec<Named>) -> Keeping<'_> {
        Box::pin(async move {
            let now = self.clock.now().as_second();
            let rows: Vec<_> = locators.iter().filter_map(|it| self.row(it, now)).collect();
            if rows.is_empty() {
                return Ok(());
            }
            let kept = in_time(|told| self.clerk.keep_locators(rows, now, told)).await;
            kept.ok_or(LocatorError::Late)?.map_err(|error| match error {
                NotKept::TooMany => LocatorError::Full,
                NotKept::Busy | NotKept::Failed(_) => LocatorError::Store(error.to_string()),
            })
        })
    }

    fn find(&self, token: &str) -> Option<Locator> {
        let now = self.clock.now().as_second();
        let row = self.clerk.locator(token, now)?;
        self.clerk.note_use(token, now);
        read(&row)
    }
}

fn read(row: &store::Locator) -> Option<Locator> {
    let [profile, protocol, _] = row.keys.clone();
    Some(Locator {
        camera: CameraId::new(&row.camera).ok()?,
        kind: LocatorKind::from_word(&row.kind)?,
        profile,
        protocol,
        endpoint: endpoint(&row.upstream)?,
    })
}

/// What became of something given to the clerk; none if that is not known in time.
pub(super) async fn in_time(give: impl FnOnce(Told)) -> Option<Result<(), NotKept>> {
    let (tell, told) = oneshot::channel();
    // Who has waited long enough is not there any more.
    give(Box::new(move |kept| drop(tell.send(kept))));
    timeout(STORE_WAIT_TIME_MAX, told).await.ok()?.ok()
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
    clerk: Arc<Clerk>,
    pins: Arc<Mutex<Store>>,
    key: Zeroizing<[u8; 32]>,
}

impl Memories {
    /// `key` makes the fingerprints of credentials; `pins` is where the pins of certificates are.
    pub(super) fn new(clerk: Arc<Clerk>, pins: Arc<Mutex<Store>>, key: Zeroizing<[u8; 32]>) -> Self {
        Self { clerk, pins, key }
    }

    /// Who writes them.
    pub(super) fn clerk(&self) -> &Arc<Clerk> {
        &self.clerk
    }

    /// Where the pins of certificates are.
    pub(super) fn pins(&self) -> &Arc<Mutex<Store>> {
        &self.pins
    }

    /// What is remembered of one camera, with these credentials.
    pub(super) fn of(&self, camera: &CameraId, login: &Login) -> StoredMemory {
        StoredMemory::new(Arc::clone(&self.clerk), camera, login.version(&self.key))
    }
}

/// What is remembered of one camera, whatever its credentials.
pub(super) fn stored_memory(clerk: &Clerk, camera: &CameraId) -> CameraMemory {
    read_row(clerk, camera.as_str()).map(|row| row.memory).unwrap_or_default()
}

fn read_row(clerk: &Clerk, camera: &str) -> Option<Row> {
    serde_json::from_str(&clerk.state(camera, MEMORY)?).ok()
}

/// What is remembered of one camera over a restart.
pub(super) struct StoredMemory {
    clerk: Arc<Clerk>,
    camera: String,
    credentials: String,
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
    fn new(clerk: Arc<Clerk>, camera: &CameraId, credentials: String) -> Self {
        Self { clerk, camera: camera.to_string(), credentials }
    }

    fn text(&self, memory: &CameraMemory) -> String {
        let row = Row { credentials: self.credentials.clone(), memory: memory.clone() };
        serde_json::to_string(&row).unwrap_or_default()
    }
}

impl MemoryBook for StoredMemory {
    fn recall(&self) -> CameraMemory {
        let Some(row) = read_row(&self.clerk, &self.camera) else { return CameraMemory::default() };
        if row.credentials == self.credentials {
            return row.memory;
        }
        CameraMemory { breaker: BreakerMemory::default(), ..row.memory }
    }

    fn keep(&self, memory: &CameraMemory) {
        self.clerk.keep_state(&self.camera, MEMORY, &self.text(memory), None);
    }

    fn keep_ahead(&self, memory: &CameraMemory) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        let text = self.text(memory);
        Box::pin(async move {
            let kept = in_time(|told| self.clerk.keep_state(&self.camera, MEMORY, &text, Some(told))).await;
            if kept != Some(Ok(())) {
                tracing::warn!(
                    camera = self.camera,
                    ?kept,
                    "a login goes on though the state database does not keep that it was tried"
                );
            }
        })
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
        let clerk = Arc::new(Clerk::start(Store::in_memory().unwrap()).unwrap());
        let camera = CameraId::new("gate").unwrap();
        let book = |credentials: &str| StoredMemory::new(Arc::clone(&clerk), &camera, credentials.into());
        let breaker =
            BreakerMemory { rejections: 3, proven: true, waiting_since: Some(jiff::Timestamp::UNIX_EPOCH) };
        let memory = CameraMemory { breaker, clock_shift_milliseconds: 7, ..CameraMemory::default() };
        book("one").keep(&memory);
        assert_eq!(book("one").recall(), memory);
        let anew = CameraMemory { breaker: BreakerMemory::default(), ..memory };
        assert_eq!(book("two").recall(), anew, "a changed password begins anew");
        let older = r#"{"scheme":"wsse","clock_offset_milliseconds":5}"#;
        clerk.keep_state("gate", MEMORY, older, None);
        let old = book("one").recall();
        assert_eq!(
            (old.scheme.is_some(), old.clock_offset_milliseconds),
            (true, Some(5)),
            "of an older gateway"
        );
        clerk.keep_state("gate", MEMORY, "{", None);
        assert_eq!(book("one").recall(), CameraMemory::default());
    }
}
