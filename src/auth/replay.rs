//! What was used once and may not be used again: WS-Security nonces and counts of HTTP digest nonces.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use crate::limits::{
    DIGEST_NONCE_LIFE, DIGEST_NONCES_PER_CLIENT_MAX, WSSE_CREATED_SKEW_MAX, WSSE_NONCES_PER_BUCKET_MAX,
};

const BUCKET_SECONDS: i64 = 10;
/// A token accepted with `Created` ahead by the whole skew stays acceptable for twice the skew; one
/// bucket more covers rounding.
const KEEP_SECONDS: i64 = 2 * WSSE_CREATED_SKEW_MAX.as_secs() as i64 + BUCKET_SECONDS;

/// Why a use was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It was used before.
    Used,
    /// There is no room to remember it.
    Full,
}

/// Fingerprints of the WS-Security nonces of one client, in buckets of ten seconds of monotonic time: a
/// civil clock that jumps forgets nothing early.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    seen: HashSet<u64>,
    buckets: BTreeMap<i64, Vec<u64>>,
}

impl Nonces {
    /// Remembers a fingerprint unless it is known. `second` is monotonic; a restored one may be negative.
    pub(super) fn remember(&mut self, fingerprint: u64, second: i64, now: i64) -> Result<(), Refused> {
        self.forget(now);
        if self.seen.contains(&fingerprint) {
            return Err(Refused::Used);
        }
        let bucket = self.buckets.entry(second.div_euclid(BUCKET_SECONDS)).or_default();
        if bucket.len() >= WSSE_NONCES_PER_BUCKET_MAX {
            return Err(Refused::Full);
        }
        bucket.push(fingerprint);
        self.seen.insert(fingerprint);
        Ok(())
    }

    /// Whether there is nothing left to remember.
    pub(super) fn is_empty(&mut self, now: i64) -> bool {
        self.forget(now);
        self.buckets.is_empty()
    }

    fn forget(&mut self, now: i64) {
        let oldest = (now - KEEP_SECONDS).div_euclid(BUCKET_SECONDS);
        while let Some(bucket) = self.buckets.first_entry().filter(|bucket| *bucket.key() < oldest) {
            for fingerprint in bucket.remove() {
                self.seen.remove(&fingerprint);
            }
        }
    }
}

/// Which counts of one HTTP digest nonce were used: parallel connections may overtake each other by 64.
#[derive(Debug, Clone, Copy)]
struct Window {
    highest: u32,
    /// Bit `n` stands for `highest - n`.
    used: u64,
}

impl Window {
    fn accept(&mut self, nc: u32) -> Result<(), Refused> {
        if nc > self.highest {
            let ahead = nc - self.highest;
            self.used = self.used.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = nc;
            return Ok(());
        }
        let bit = 1_u64.checked_shl(self.highest - nc).ok_or(Refused::Used)?;
        if nc == 0 || self.used & bit != 0 {
            return Err(Refused::Used);
        }
        self.used |= bit;
        Ok(())
    }
}

/// Counts of the HTTP digest nonces one client used, by time of issue.
#[derive(Debug, Default)]
pub(super) struct Counts {
    windows: BTreeMap<(Duration, u64), Window>,
}

impl Counts {
    /// Takes one use of a nonce, named by its time of issue and its random part.
    pub(super) fn accept(&mut self, nonce: (Duration, u64), nc: u32, now: Duration) -> Result<(), Refused> {
        self.forget(now);
        if !self.windows.contains_key(&nonce) && self.windows.len() >= DIGEST_NONCES_PER_CLIENT_MAX {
            return Err(Refused::Full);
        }
        self.windows.entry(nonce).or_insert(Window { highest: 0, used: 1 }).accept(nc)
    }

    /// Whether there is nothing left to remember.
    pub(super) fn is_empty(&mut self, now: Duration) -> bool {
        self.forget(now);
        self.windows.is_empty()
    }

    fn forget(&mut self, now: Duration) {
        while let Some(oldest) = self.windows.first_entry() {
            if oldest.key().0 + DIGEST_NONCE_LIFE >= now {
                break;
            }
            oldest.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_known_for_610_seconds() {
        let mut nonces = Nonces::default();
        nonces.remember(7, 5, 5).unwrap();
        assert_eq!(nonces.remember(7, 605, 605), Err(Refused::Used));
        assert_eq!(nonces.remember(7, 619, 619), Err(Refused::Used));
        assert_eq!(nonces.remember(7, 620, 620), Ok(()));
        assert_eq!(nonces.seen.len(), 1);
    }

    #[test]
    fn a_full_bucket_refuses_and_the_next_bucket_takes() {
        let mut nonces = Nonces::default();
        for fingerprint in 0..WSSE_NONCES_PER_BUCKET_MAX as u64 {
            nonces.remember(fingerprint, 0, 0).unwrap();
        }
        assert_eq!(nonces.remember(u64::MAX, 9, 9), Err(Refused::Full));
        assert_eq!(nonces.remember(u64::MAX, 10, 10), Ok(()));
    }

    #[test]
    fn counts_may_overtake_each_other_but_not_repeat() {
        let mut window = Window { highest: 0, used: 1 };
        for (nc, expected) in [
            (0, Err(Refused::Used)),
            (1, Ok(())),
            (1, Err(Refused::Used)),
            (5, Ok(())),
            (3, Ok(())),
            (3, Err(Refused::Used)),
            (100, Ok(())),
            (37, Ok(())),
            (36, Err(Refused::Used)),
            (u32::MAX, Ok(())),
            (100, Err(Refused::Used)),
        ] {
            assert_eq!(window.accept(nc), expected, "{nc}");
        }
    }

    #[test]
    fn a_client_with_too_many_nonces_is_refused_until_they_age() {
        let mut counts = Counts::default();
        for random in 0..DIGEST_NONCES_PER_CLIENT_MAX as u64 {
            counts.accept((Duration::ZERO, random), 1, Duration::ZERO).unwrap();
        }
        let fresh = (Duration::from_secs(1), 0);
        assert_eq!(counts.accept(fresh, 1, DIGEST_NONCE_LIFE), Err(Refused::Full));
        assert_eq!(counts.accept(fresh, 1, DIGEST_NONCE_LIFE + Duration::from_secs(1)), Ok(()));
    }
}
