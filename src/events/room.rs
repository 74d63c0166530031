//! Room for the events that are kept of all cameras together. Beyond it the cameras of which most is kept lose their oldest:
//! who floods takes nothing from the others.

use std::sync::{
    Arc, Mutex, TryLockError, Weak,
    atomic::{AtomicUsize, Ordering},
};

use super::hub::Hub;
use crate::limits::EVENTS_KEPT_BYTES_MAX;

/// How much there is, and who takes it.
pub(super) struct Room {
    most: usize,
    taken: AtomicUsize,
    hubs: Mutex<Vec<Weak<Hub>>>,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(EVENTS_KEPT_BYTES_MAX)
    }
}

impl Room {
    /// So much, in bytes.
    pub(super) fn of(most: usize) -> Self {
        Self { most, taken: AtomicUsize::new(0), hubs: Mutex::default() }
    }

    /// One more takes of it.
    pub(super) fn enter(&self, hub: &Arc<Hub>) {
        let mut hubs = self.hubs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        hubs.push(Arc::downgrade(hub));
    }

    /// What one of them keeps takes more than before, or less.
    pub(super) fn changed(&self, before: usize, after: usize) {
        match after.checked_sub(before) {
            Some(more) => self.taken.fetch_add(more, Ordering::Relaxed),
            None => self.taken.fetch_sub(before.saturating_sub(after), Ordering::Relaxed),
        };
    }

    /// Has those who take most shed what is too much, and some more: it is not looked through all for each event. Must not
    /// be called with a hub locked.
    pub(super) fn keep_within(&self) {
        if self.taken.load(Ordering::Relaxed) <= self.most {
            return;
        }
        let hubs = match self.hubs.try_lock() {
            Ok(hubs) => hubs,
            Err(TryLockError::Poisoned(hubs)) => hubs.into_inner(),
            // Somebody is at it.
            Err(TryLockError::WouldBlock) => return,
        };
        let hubs: Vec<_> = hubs.iter().filter_map(Weak::upgrade).collect();
        let sizes = hubs.iter().map(|it| it.kept_bytes()).collect();
        let share = share(sizes, self.most - self.most / PART_SHED);
        hubs.iter().for_each(|it| it.shed(share));
    }

    /// How much is taken, in bytes.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// One in so many bytes is freed at once.
const PART_SHED: usize = 16;

/// What each may take so that all together take no more than `most`, and nobody loses anything who takes less.
fn share(mut sizes: Vec<usize>, most: usize) -> usize {
    sizes.sort_unstable();
    let (mut left, mut others) = (most, sizes.len());
    for size in sizes {
        let each = left.checked_div(others).unwrap_or(left);
        if size > each {
            return each;
        }
        (left, others) = (left.saturating_sub(size), others.saturating_sub(1));
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::SimulatedClock, events::samples::motion};

    #[test]
    fn who_takes_least_keeps_all() {
        for (sizes, most, expected) in [
            (vec![10, 10, 100], 60, 40),
            (vec![100, 10, 100], 60, 25),
            (vec![30, 30], 60, usize::MAX),
            (vec![31, 31], 60, 30),
            (vec![], 60, usize::MAX),
        ] {
            assert_eq!(share(sizes.clone(), most), expected, "{sizes:?}");
        }
    }

    #[test]
    fn a_loud_camera_loses_its_oldest_events_and_a_quiet_one_none() {
        let clock = Arc::new(SimulatedClock::new("2026-11-26T08:00:00Z".parse().unwrap()));
        let one = motion("v0", true).bytes();
        let room = Arc::new(Room::of(40 * one + 1));
        let [quiet, loud, other] = [0; 3].map(|_| Hub::within(clock.clone(), &room));
        for _ in 0..10 {
            quiet.publish(motion("v0", true));
            other.publish(motion("v0", true));
        }
        for _ in 0..100 {
            loud.publish(motion("v0", true));
            assert!(room.taken() <= 40 * one + 1, "{} of {one} each", room.taken());
        }
        for it in [&quiet, &other] {
            let read = it.read(0, usize::MAX);
            assert_eq!((read.missed, read.events.len()), (0, 10));
        }
        let read = loud.read(0, usize::MAX);
        let kept = read.events.len();
        assert!((15..=20).contains(&kept), "{kept}");
        assert_eq!((read.missed, read.after), (100 - kept as u64, 100), "and who reads is told so");
        // Whoever is forgotten takes nothing.
        [&quiet, &loud, &other].into_iter().for_each(|it| it.forget());
        assert_eq!(room.taken(), 0);
    }
}
