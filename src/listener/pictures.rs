//! The pictures that a camera gave a moment ago, for all who may see them: whoever asks is decided and recorded, and the
//! camera is asked once a second at most.

use std::{cell::RefCell, collections::VecDeque, time::Duration};

use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    hatch::Endpoint,
    limits::{PICTURE_AGE_MAX, PICTURES_KEPT_BYTES_MAX},
};

/// Of one camera.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    kept: RefCell<VecDeque<Kept>>,
    /// One asks at a time; others wait for what it brings.
    turn: Mutex<()>,
}

#[derive(Debug)]
struct Kept {
    endpoint: Endpoint,
    at: Duration,
    picture: Bytes,
}

impl Pictures {
    /// A turn at the camera.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The picture of a place, if it is of the last moment. `now` is monotonic.
    pub(super) fn find(&self, endpoint: &Endpoint, now: Duration) -> Option<Bytes> {
        self.forget(now);
        self.kept.borrow().iter().find(|it| it.endpoint == *endpoint).map(|it| it.picture.clone())
    }

    /// Keeps a picture for a moment; the oldest go if there are too many.
    pub(super) fn keep(&self, endpoint: Endpoint, picture: Bytes, now: Duration) {
        let mut kept = self.kept.borrow_mut();
        kept.retain(|it| it.endpoint != endpoint);
        kept.push_back(Kept { endpoint, at: now, picture });
        while kept.iter().map(|it| it.picture.len()).sum::<usize>() > PICTURES_KEPT_BYTES_MAX {
            kept.pop_front();
        }
    }

    /// Forgets those that are older.
    pub(super) fn forget(&self, now: Duration) {
        self.kept.borrow_mut().retain(|it| now.saturating_sub(it.at) < PICTURE_AGE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(7);

    fn place(name: &str) -> Endpoint {
        Endpoint { port: None, path_and_query: name.to_owned() }
    }

    #[test]
    fn pictures_are_kept_for_a_moment() {
        let pictures = Pictures::default();
        pictures.keep(place("/a"), Bytes::from_static(b"first"), NOW);
        pictures.keep(place("/b"), Bytes::from_static(b"other"), NOW);
        let almost = NOW + PICTURE_AGE_MAX - Duration::from_millis(1);
        assert_eq!(pictures.find(&place("/a"), almost).unwrap(), "first");
        pictures.keep(place("/a"), Bytes::from_static(b"second"), almost);
        assert_eq!(pictures.find(&place("/a"), NOW + PICTURE_AGE_MAX).unwrap(), "second");
        assert_eq!(pictures.find(&place("/b"), NOW + PICTURE_AGE_MAX), None, "it is too old");
        assert_eq!(pictures.kept.borrow().len(), 1, "what is too old is not kept either");
    }

    #[test]
    fn pictures_are_kept_within_a_bound() {
        let pictures = Pictures::default();
        let half = Bytes::from(vec![0; PICTURES_KEPT_BYTES_MAX / 2]);
        for name in ["/a", "/b", "/c"] {
            pictures.keep(place(name), half.clone(), NOW);
        }
        assert_eq!(pictures.find(&place("/a"), NOW), None, "the oldest went");
        assert!(pictures.find(&place("/b"), NOW).is_some() && pictures.find(&place("/c"), NOW).is_some());
        pictures.keep(place("/d"), Bytes::from(vec![0; PICTURES_KEPT_BYTES_MAX + 1]), NOW);
        assert_eq!(pictures.kept.borrow().len(), 0, "what is larger than the bound is not kept");
    }
}
