//! The pictures that a camera gave a moment ago, for all who may see them: whoever asks is decided and recorded, and the
//! camera is asked once a second at most, for the latest at the admin listener once in `LATEST_PICTURE_AGE_MAX`. For what it
//! did not give it is not asked again until a pause is over.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore};

use super::trouble::{Earlier, Trouble};
use crate::{
    hatch::Endpoint,
    limits::{
        LATEST_PICTURE_AGE_MAX, PICTURE_FAILURES_MAX, PICTURE_PAUSE_MAX, PICTURE_PAUSE_MIN,
        PICTURES_KEPT_ALL_KIB_MAX, PICTURES_KEPT_BYTES_MAX,
    },
};

/// Of one camera.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    kept: RefCell<VecDeque<Kept>>,
    failed: RefCell<VecDeque<Failed>>,
    /// Where the latest is had, once the camera has said so.
    place: RefCell<Option<Endpoint>>,
    /// When it gave that last. Time is monotonic in here.
    gave: Cell<Option<Duration>>,
    /// One asks at a time; others wait for what it brings.
    turn: Mutex<()>,
}

/// A picture, and when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) jpeg: Bytes,
    pub(super) came: Timestamp,
    pub(super) at: Duration,
}

#[derive(Debug)]
struct Kept {
    endpoint: Endpoint,
    picture: Picture,
    _room: OwnedSemaphorePermit,
}

/// What the camera did not give.
#[derive(Debug)]
struct Failed {
    of: Wanted,
    why: Earlier,
    /// In a row.
    times: u32,
    until: Duration,
}

/// What a camera is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Its latest picture, wherever it has it.
    Latest,
    /// The picture there.
    At(Endpoint),
}

/// Room for the pictures of all cameras.
#[derive(Debug)]
pub struct Album(Arc<Semaphore>);

impl Default for Album {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PICTURES_KEPT_ALL_KIB_MAX)))
    }
}

impl Album {
    /// A place for so many bytes; none where there is none.
    fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = u32::try_from(bytes.div_ceil(1024)).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(wanted).ok()
    }
}

impl Pictures {
    /// A turn at the camera.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The picture of a place, if it is younger than that.
    pub(super) fn find(&self, endpoint: &Endpoint, age_max: Duration, now: Duration) -> Option<Picture> {
        self.forget(now);
        let kept = self.kept.borrow();
        let found = kept.iter().find(|it| it.endpoint == *endpoint).map(|it| &it.picture);
        found.filter(|it| now.saturating_sub(it.at) < age_max).cloned()
    }

    /// Keeps a picture for a while, if there is room; the camera's oldest go if it has too many.
    pub(super) fn keep(&self, endpoint: Endpoint, picture: Picture, album: &Album) {
        let mut kept = self.kept.borrow_mut();
        kept.retain(|it| it.endpoint != endpoint);
        let bytes = |kept: &VecDeque<Kept>| kept.iter().map(|it| it.picture.jpeg.len()).sum::<usize>();
        while !kept.is_empty() && bytes(&kept) + picture.jpeg.len() > PICTURES_KEPT_BYTES_MAX {
            kept.pop_front();
        }
        if picture.jpeg.len() > PICTURES_KEPT_BYTES_MAX {
            return;
        }
        if let Some(room) = album.room(picture.jpeg.len()) {
            kept.push_back(Kept { endpoint, picture, _room: room });
        }
    }

    /// Forgets those that are too old for anybody.
    pub(super) fn forget(&self, now: Duration) {
        self.kept.borrow_mut().retain(|it| now.saturating_sub(it.picture.at) < LATEST_PICTURE_AGE_MAX);
    }

    /// Where the latest is had, as far as is known.
    pub(super) fn place(&self) -> Option<Endpoint> {
        self.place.borrow().clone()
    }

    /// Takes note of where it is, or that this is not known any more.
    pub(super) fn lies(&self, place: Option<Endpoint>) {
        self.place.replace(place);
    }

    /// Takes note that the camera gave the latest, be it kept or not.
    pub(super) fn gave_latest(&self, now: Duration) {
        self.gave.set(Some(now));
    }

    /// Whether it gave that so lately that it is not asked again.
    pub(super) fn gave_lately(&self, now: Duration) -> bool {
        self.gave.get().is_some_and(|at| now.saturating_sub(at) < LATEST_PICTURE_AGE_MAX)
    }

    /// Why the camera is not asked again yet, if it did not give this a moment ago.
    pub(super) fn refused(&self, of: &Wanted, now: Duration) -> Option<Trouble> {
        let failed = self.failed.borrow();
        let found = failed.iter().find(|it| it.of == *of && now < it.until);
        found.map(|it| Trouble::Earlier(it.why.clone()))
    }

    /// Takes note of how asking the camera for this ended. What was not its doing says nothing of it.
    pub(super) fn ended(&self, of: &Wanted, trouble: Option<&Trouble>, now: Duration) {
        let why = trouble.map(Trouble::of_camera);
        if matches!(why, Some(None)) {
            return;
        }
        let mut failed = self.failed.borrow_mut();
        let before = failed.iter().position(|it| it.of == *of).and_then(|at| failed.remove(at));
        let Some(why) = why.flatten() else { return };
        let row = before.filter(|it| now.saturating_sub(it.until) < PICTURE_PAUSE_MAX);
        let times = row.map_or(0, |it| it.times).saturating_add(1);
        if failed.len() >= PICTURE_FAILURES_MAX {
            failed.pop_front();
        }
        failed.push_back(Failed { of: of.clone(), why, times, until: now.saturating_add(pause(times)) });
    }
}

/// How long the camera is left alone that failed so often in a row.
fn pause(times: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(times.saturating_sub(1));
    PICTURE_PAUSE_MIN.saturating_mul(doubled).min(PICTURE_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        camera::{CameraError, Failure, Phase, Retry},
        limits::PICTURE_AGE_MAX,
    };

    const NOW: Duration = Duration::from_secs(7);
    const SECOND: Duration = Duration::from_secs(1);

    fn place(name: &str) -> Endpoint {
        Endpoint { port: None, path_and_query: name.to_owned() }
    }

    fn picture(jpeg: impl Into<Bytes>, at: Duration) -> Picture {
        Picture { jpeg: jpeg.into(), came: Timestamp::UNIX_EPOCH, at }
    }

    fn failed(failure: Failure) -> Trouble {
        Trouble::Camera(CameraError { failure, sent: true })
    }

    #[test]
    fn pictures_are_kept_for_a_moment() {
        let (pictures, album) = (Pictures::default(), Album::default());
        let find = |name: &str, age_max, now| pictures.find(&place(name), age_max, now).map(|it| it.jpeg);
        pictures.keep(place("/a"), picture("first", NOW), &album);
        pictures.keep(place("/b"), picture("other", NOW), &album);
        let almost = NOW + PICTURE_AGE_MAX - Duration::from_millis(1);
        assert_eq!(find("/a", PICTURE_AGE_MAX, almost).unwrap(), "first");
        pictures.keep(place("/a"), picture("second", almost), &album);
        assert_eq!(find("/a", PICTURE_AGE_MAX, NOW + PICTURE_AGE_MAX).unwrap(), "second");
        assert_eq!(find("/b", PICTURE_AGE_MAX, NOW + PICTURE_AGE_MAX), None, "it is too old");
        assert_eq!(
            find("/b", LATEST_PICTURE_AGE_MAX, NOW + PICTURE_AGE_MAX).unwrap(),
            "other",
            "not for all"
        );
        assert_eq!(find("/b", LATEST_PICTURE_AGE_MAX, NOW + LATEST_PICTURE_AGE_MAX), None);
        assert_eq!(pictures.kept.borrow().len(), 1, "what is too old for anybody is not kept either");
    }

    #[test]
    fn pictures_are_kept_within_a_bound() {
        let (pictures, album) = (Pictures::default(), Album::default());
        let is_there = |name: &str| pictures.find(&place(name), PICTURE_AGE_MAX, NOW).is_some();
        for name in ["/a", "/b", "/c"] {
            pictures.keep(place(name), picture(vec![0; PICTURES_KEPT_BYTES_MAX / 2], NOW), &album);
        }
        assert_eq!(["/a", "/b", "/c"].map(is_there), [false, true, true], "the oldest went");
        pictures.keep(place("/d"), picture(vec![0; PICTURES_KEPT_BYTES_MAX], NOW), &album);
        assert_eq!(["/b", "/c", "/d"].map(is_there), [false, false, true], "as large as the bound");
        pictures.keep(place("/e"), picture(vec![0; PICTURES_KEPT_BYTES_MAX + 1], NOW), &album);
        assert_eq!(pictures.kept.borrow().len(), 0, "what is larger than the bound is not kept");
        assert_eq!(album.0.available_permits(), PICTURES_KEPT_ALL_KIB_MAX, "all room is given back");
    }

    #[test]
    fn pictures_of_all_cameras_are_kept_within_a_bound() {
        let album = Album::default();
        let cameras: Vec<_> = std::iter::repeat_with(Pictures::default)
            .take(PICTURES_KEPT_ALL_KIB_MAX * 1024 / PICTURES_KEPT_BYTES_MAX + 1)
            .collect();
        // One picture's bytes for all: the bound counts them as often as they are kept.
        let large = picture(vec![0; PICTURES_KEPT_BYTES_MAX], NOW);
        cameras.iter().for_each(|it| it.keep(place("/a"), large.clone(), &album));
        let kept = |it: &&Pictures| it.find(&place("/a"), PICTURE_AGE_MAX, NOW).is_some();
        assert_eq!(cameras.iter().filter(kept).count(), cameras.len() - 1, "there is no room for the last");
        cameras[0].forget(NOW + LATEST_PICTURE_AGE_MAX);
        let last = &cameras[cameras.len() - 1];
        last.keep(place("/a"), large, &album);
        assert!(kept(&last), "what is forgotten makes room");
    }

    #[test]
    fn the_latest_is_not_asked_for_again_so_soon_even_if_it_is_not_kept() {
        let pictures = Pictures::default();
        assert!(!pictures.gave_lately(NOW));
        pictures.gave_latest(NOW);
        let lately = [0, 4, 5].map(|second| pictures.gave_lately(NOW + second * SECOND));
        assert_eq!(lately, [true, true, false]);
    }

    #[test]
    fn what_failed_is_not_asked_for_again_for_twice_as_long_each_time() {
        let (pictures, of) = (Pictures::default(), Wanted::At(place("/a")));
        let (mut now, mut pauses) = (NOW, Vec::new());
        for _ in 0..8 {
            pictures.ended(&of, Some(&failed(Failure::NotPicture)), now);
            let began = now;
            while pictures.refused(&of, now).is_some() {
                now += SECOND;
            }
            pauses.push((now - began).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        pictures.ended(&of, Some(&failed(Failure::NotPicture)), now);
        let told = pictures.refused(&of, now).unwrap();
        let first = failed(Failure::NotPicture);
        assert_eq!(told.fault(), first.fault(), "the same is said of it");
        assert_eq!(told.to_string(), format!("{first}, a moment ago; it is not asked again yet"));
        assert!(pictures.refused(&Wanted::At(place("/b")), now).is_none(), "another may be asked for");
        assert!(pictures.refused(&Wanted::Latest, now).is_none());
        pictures.ended(&of, Some(&told), now);
        pictures.ended(&of, Some(&Trouble::Busy), now);
        assert!(pictures.refused(&of, now).is_some(), "neither says anything of the camera");
        pictures.ended(&of, None, now);
        assert!(pictures.refused(&of, now).is_none(), "it gave one");
        pictures.ended(&of, Some(&failed(Failure::NotPicture)), now);
        assert!(pictures.refused(&of, now + SECOND).is_none(), "the shortest pause again");
        let later = now + SECOND + PICTURE_PAUSE_MAX;
        pictures.ended(&of, Some(&failed(Failure::NotPicture)), later);
        assert!(pictures.refused(&of, later + SECOND).is_none(), "that is another story");
    }

    #[test]
    fn only_what_comes_of_the_camera_is_remembered_and_not_of_too_many() {
        let pictures = Pictures::default();
        let of = |number: usize| Wanted::At(place(&format!("/{number}")));
        let unsent = |failure| Trouble::Camera(CameraError { failure, sent: false });
        for trouble in [
            Trouble::Busy,
            Trouble::Silent,
            failed(Failure::NoEntropy),
            unsent(Failure::NoSocket),
            unsent(Failure::PinUnavailable),
            unsent(Failure::LoginRefused(Retry::default())),
            unsent(Failure::TimedOut(Phase::Turn)),
        ] {
            pictures.ended(&of(0), Some(&trouble), NOW);
            assert!(pictures.refused(&of(0), NOW).is_none(), "that was the gateway's doing: {trouble}");
        }
        for trouble in [
            unsent(Failure::Unreachable),
            unsent(Failure::TimedOut(Phase::Connect)),
            unsent(Failure::CertificateChanged),
            failed(Failure::LoginRefused(Retry::default())),
            failed(Failure::TimedOut(Phase::Turn)),
        ] {
            pictures.ended(&of(0), Some(&trouble), NOW);
            assert!(pictures.refused(&of(0), NOW).is_some(), "that was the camera's doing: {trouble}");
            pictures.ended(&of(0), None, NOW);
        }
        for number in 0..=PICTURE_FAILURES_MAX {
            pictures.ended(&of(number), Some(&failed(Failure::Reset)), NOW);
        }
        assert_eq!(pictures.failed.borrow().len(), PICTURE_FAILURES_MAX);
        assert!(pictures.refused(&of(0), NOW).is_none(), "the oldest makes room");
        assert!(pictures.refused(&of(PICTURE_FAILURES_MAX), NOW).is_some());
    }
}
