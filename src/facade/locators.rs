//! Locators: short unforgeable tokens, each for one address of one camera.
//!
//! A token is keyed by what the client asked for (virtual camera, profile, protocol), not by the camera's
//! answer, so that the VMS's URI stays when the camera's changes. The row behind it is durable before the
//! answer that holds the token leaves.

use std::pin::Pin;

use subtle::ConstantTimeEq;

use super::identity::FacadeKey;
use crate::{hatch::Endpoint, ids::CameraId};

/// What stands behind a locator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LocatorKind {
    /// A live stream over RTSP.
    Stream,
    /// A recording played back over RTSP.
    Replay,
    /// A picture over HTTP.
    Snapshot,
    /// A file over HTTP, for a time: a log, a backup.
    Download,
    /// A place for a file over HTTP, for a time: firmware, a backup to restore.
    Upload,
}

impl LocatorKind {
    /// The word used in the state database and in tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Replay => "replay",
            Self::Snapshot => "snapshot",
            Self::Download => "download",
            Self::Upload => "upload",
        }
    }

    /// The kind of a word of the state database.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Stream, Self::Replay, Self::Snapshot, Self::Download, Self::Upload]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// One address of one camera, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locator {
    /// The camera.
    pub camera: CameraId,
    /// What stands there.
    pub kind: LocatorKind,
    /// The profile, recording or engine it was asked for; of a file, the operation whose answer named it, as
    /// `tds:GetSystemUris`.
    pub profile: String,
    /// The protocol it was asked for, as the client wrote it; of a file, a digest of its address, which changes
    /// where the camera names another one.
    pub protocol: String,
    /// Port, path and query at the camera. Never a host, never a user.
    pub endpoint: Endpoint,
}

impl Locator {
    /// The token that names it.
    pub fn token(&self, key: &FacadeKey) -> String {
        key.token(self.kind.as_str(), &[self.camera.as_str(), &self.profile, &self.protocol])
    }
}

/// A locator under its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The token.
    pub token: String,
    /// What it stands for.
    pub locator: Locator,
}

/// Why locators could not be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocatorError {
    /// The camera has as many of a kind as it may have, all of them in use.
    #[error(
        "the camera has its {} permanent locators, all of them in use",
        crate::limits::LOCATORS_PER_CAMERA_MAX
    )]
    Full,
    /// The state database did not take them.
    #[error("the state database did not keep the locators: {0}")]
    Store(String),
    /// The state database has not said in time that it took them.
    #[error("the state database has not answered: its disk hangs or is overloaded")]
    Late,
}

/// Locators on their way to where they are kept.
pub type Keeping<'a> = Pin<Box<dyn Future<Output = Result<(), LocatorError>> + 'a>>;

/// Keeps locators.
pub trait Locators: Send + Sync {
    /// Keeps or renews the locators of one answer; durable when this has come to its end, which it does in time.
    fn keep(&self, locators: Vec<Named>) -> Keeping<'_>;

    /// The locator kept under a token, which is noted to be in use. Waits for nothing.
    fn find(&self, token: &str) -> Option<Locator>;
}

/// The path of the gateway's at which a camera, and no other, leaves its events.
pub fn event_path(key: &FacadeKey, camera: &CameraId) -> String {
    format!("/events/{}", key.token("event-sink", &[camera.as_str()]))
}

/// Finds what a token of this camera stands for: none if it is unknown, forged or another camera's.
pub fn resolve(locators: &dyn Locators, key: &FacadeKey, camera: &CameraId, token: &str) -> Option<Locator> {
    if !is_token(token) {
        return None;
    }
    // The token is computed again: a row that somebody moved or edited no longer fits it.
    let fits =
        |it: &Locator| it.camera == *camera && bool::from(it.token(key).as_bytes().ct_eq(token.as_bytes()));
    locators.find(token).filter(fits)
}

/// Whether a text has the form of a token, so that it is worth looking for.
pub fn is_token(text: &str) -> bool {
    text.len() == TOKEN_BYTES && text.bytes().all(is_token_byte)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// 128 bits in base64url without padding.
const TOKEN_BYTES: usize = 22;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    struct Memory(HashMap<String, Locator>);

    impl Locators for Memory {
        fn keep(&self, _: Vec<Named>) -> Keeping<'_> {
            Box::pin(std::future::ready(Err(LocatorError::Full)))
        }

        fn find(&self, token: &str) -> Option<Locator> {
            self.0.get(token).cloned()
        }
    }

    #[test]
    fn a_token_resolves_for_its_camera_only_and_cannot_be_made_up() {
        let key = FacadeKey::new(&[1; 32]);
        let (gate, yard) = (CameraId::new("gate").unwrap(), CameraId::new("yard").unwrap());
        let endpoint = Endpoint { port: Some(554), path_and_query: "/live?c=1".into() };
        let locator = Locator {
            camera: gate.clone(),
            kind: LocatorKind::Stream,
            profile: "p1".into(),
            protocol: "RTSP".into(),
            endpoint,
        };
        let token = locator.token(&key);
        let mut memory = Memory([(token.clone(), locator.clone())].into());
        assert_eq!(resolve(&memory, &key, &gate, &token), Some(locator.clone()));
        assert_eq!(resolve(&memory, &key, &yard, &token), None, "another camera's");
        let forged = FacadeKey::new(&[2; 32]);
        assert_eq!(resolve(&memory, &forged, &gate, &token), None, "made with another key");
        memory.0.insert("A".repeat(22), locator);
        assert_eq!(resolve(&memory, &key, &gate, &"A".repeat(22)), None, "a row somebody planted");
        for bad in ["", "..", &token[1..], &format!("{token}/x"), "a b", &"é".repeat(11)] {
            assert_eq!(resolve(&memory, &key, &gate, bad), None, "{bad:?}");
        }
    }
}
