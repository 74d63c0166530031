//! Noise: requests of callers who proved nothing, permitted or not.
//!
//! Each is a line of the log, so whoever can reach a door could fill the disk. A source has a budget of lines
//! for a minute, which grows with the number of enrolled cameras, and so have all sources together: one for those
//! that clients log in from, a smaller one for all others. What goes beyond it is answered with "too many
//! requests", counted, and told in one line when the minute is over. The counts are exact.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::origin::Origin;
use crate::limits::{
    ANONYMOUS_BUDGETS_OF_EXPECTED, ANONYMOUS_BUDGETS_OF_STRANGERS, ANONYMOUS_LINES_PER_CAMERA,
    ANONYMOUS_LINES_PER_SOURCE, ANONYMOUS_LINES_PER_SOURCE_MAX, NOISE_PERIOD, NOISE_SOURCES_MAX,
    NOISE_STRANGERS_MAX,
};

/// The budgets of all sources.
#[derive(Debug, Default)]
pub(super) struct Noise(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    sources: HashMap<Origin, Budget>,
    expected: Together,
    strangers: Together,
}

/// What many sources had in this period.
#[derive(Debug, Default)]
struct Together {
    since: Duration,
    lines: u32,
}

/// How many lines one source may have in `NOISE_PERIOD` with so many cameras enrolled.
pub(super) fn lines_max(cameras: usize) -> u32 {
    let more = u32::try_from(cameras).unwrap_or(u32::MAX).saturating_mul(ANONYMOUS_LINES_PER_CAMERA);
    ANONYMOUS_LINES_PER_SOURCE.saturating_add(more).min(ANONYMOUS_LINES_PER_SOURCE_MAX)
}

#[derive(Debug, Clone, Copy)]
struct Budget {
    period: Period,
    lines: u32,
    /// Whether some client logs in from there.
    expected: bool,
}

impl AsRef<Period> for Budget {
    fn as_ref(&self) -> &Period {
        &self.period
    }
}

/// For how long something of a source is counted, and how much went beyond what it may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    since: Duration,
    pub(super) beyond: u64,
}

impl Period {
    pub(super) fn new(now: Duration) -> Self {
        Self { since: now, beyond: 0 }
    }

    pub(super) fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) >= NOISE_PERIOD
    }
}

/// What was left out of the log of one source, in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) source: Origin,
    pub(super) count: u64,
}

impl Noise {
    /// Whether one more request of a source gets one of `lines_max` lines of its own; and what is to be told of
    /// periods that are over. `now` is monotonic time; `expected` are sources that some client logs in from.
    pub(super) fn admit(
        &self,
        source: Origin,
        expected: bool,
        lines_max: u32,
        now: Duration,
    ) -> (bool, Vec<LeftOut>) {
        let mut heard = self.heard();
        let over = |budget: &Budget| budget.period.is_over(now);
        // Looked through only when it is this source's time or the table is full: at most once a minute a source.
        let due = heard.sources.get(&source).is_none_or(over);
        let told = if due { take(&mut heard.sources, over) } else { Vec::new() };
        if !heard.sources.contains_key(&source) && !heard.has_room(expected) {
            // More sources than can be told apart: none of the new ones gets a line.
            return (false, told);
        }
        let Heard { sources, expected: those, strangers } = &mut *heard;
        let (together, budgets) = if expected {
            (those, ANONYMOUS_BUDGETS_OF_EXPECTED)
        } else {
            (strangers, ANONYMOUS_BUDGETS_OF_STRANGERS)
        };
        if now.saturating_sub(together.since) >= NOISE_PERIOD {
            *together = Together { since: now, lines: 0 };
        }
        let budget = sources.entry(source).or_insert(Budget { period: Period::new(now), lines: 0, expected });
        if budget.lines < lines_max && together.lines < lines_max.saturating_mul(budgets) {
            budget.lines += 1;
            together.lines += 1;
            return (true, told);
        }
        budget.period.beyond += 1;
        (false, told)
    }

    /// What is still to be told, before the log is closed.
    pub(super) fn rest(&self) -> Vec<LeftOut> {
        take(&mut self.heard().sources, |_| true)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// Whether one more source can be told apart. Strangers leave some places to those that are expected.
    fn has_room(&self, expected: bool) -> bool {
        let strangers = || self.sources.values().filter(|it| !it.expected).count();
        self.sources.len() < NOISE_SOURCES_MAX && (expected || strangers() < NOISE_STRANGERS_MAX)
    }
}

/// Takes out what is over; what is to be told of it.
pub(super) fn take<T: AsRef<Period>>(
    sources: &mut HashMap<Origin, T>,
    over: impl Fn(&T) -> bool,
) -> Vec<LeftOut> {
    let mut told = Vec::new();
    sources.retain(|source, budget| {
        let ends = over(budget);
        let count = budget.as_ref().beyond;
        if ends && count > 0 {
            told.push(LeftOut { source: *source, count });
        }
        !ends
    });
    told
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const LINES: u32 = 25;

    fn origin(text: &str) -> Origin {
        Origin::of(text.parse().unwrap())
    }

    fn numbered(number: usize) -> Origin {
        Origin::of(IpAddr::from(u32::try_from(number).unwrap().to_be_bytes()))
    }

    #[test]
    fn a_source_has_more_lines_the_more_cameras_there_are() {
        for (cameras, lines) in [(0, 1_200), (1, 1_224), (500, 13_200), (2_450, 60_000), (10_000, 60_000)] {
            assert_eq!(lines_max(cameras), lines, "{cameras} cameras");
        }
        assert_eq!(lines_max(usize::MAX), ANONYMOUS_LINES_PER_SOURCE_MAX);
    }

    #[test]
    fn a_source_has_its_lines_and_the_rest_is_counted_exactly() {
        let noise = Noise::default();
        let (loud, quiet) = (origin("192.0.2.1"), origin("192.0.2.2"));
        for _ in 0..LINES {
            assert_eq!(noise.admit(loud, true, LINES, Duration::ZERO), (true, vec![]));
        }
        for _ in 0..7 {
            assert_eq!(noise.admit(loud, true, LINES, Duration::from_secs(59)), (false, vec![]));
        }
        assert_eq!(
            noise.admit(quiet, true, LINES, Duration::from_secs(59)),
            (true, vec![]),
            "another source has its own"
        );
        let told = vec![LeftOut { source: loud, count: 7 }];
        assert_eq!(
            noise.admit(loud, true, LINES, NOISE_PERIOD),
            (true, told),
            "a new minute, and the old one told"
        );
        assert_eq!(noise.rest(), vec![]);
    }

    #[test]
    fn more_sources_than_fit_get_no_line_until_others_are_over() {
        let noise = Noise::default();
        for number in 0..NOISE_SOURCES_MAX {
            assert!(noise.admit(numbered(number), true, 1_000, Duration::ZERO).0);
        }
        assert!(!noise.admit(numbered(NOISE_SOURCES_MAX), true, 1_000, Duration::from_secs(1)).0);
        assert!(noise.admit(numbered(NOISE_SOURCES_MAX), true, 1_000, NOISE_PERIOD).0);
    }

    #[test]
    fn a_machine_with_many_addresses_is_one_source() {
        let noise = Noise::default();
        let lines = (0..NOISE_SOURCES_MAX).filter(|number| {
            let source =
                Origin::of(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 1, u16::try_from(*number).unwrap()]));
            noise.admit(source, false, LINES, Duration::ZERO).0
        });
        assert_eq!(lines.count(), LINES as usize);
        assert!(noise.admit(origin("2001:db8:0:1::1"), false, LINES, Duration::ZERO).0, "another machine");
    }

    #[test]
    fn strangers_leave_lines_and_places_to_whom_is_expected() {
        let noise = Noise::default();
        let lines =
            (0..NOISE_STRANGERS_MAX).filter(|it| noise.admit(numbered(*it), false, 1, Duration::ZERO).0);
        assert_eq!(lines.count(), ANONYMOUS_BUDGETS_OF_STRANGERS as usize, "all together");
        assert!(!noise.admit(numbered(NOISE_STRANGERS_MAX), false, LINES, Duration::ZERO).0, "no place");
        let expected = origin("192.0.2.1");
        assert!(noise.admit(expected, true, 1, Duration::ZERO).0);
        // What has no place of its own is not told; every other request is.
        let told: u64 = noise.rest().iter().map(|it| it.count).sum();
        assert_eq!(told, NOISE_STRANGERS_MAX as u64 - u64::from(ANONYMOUS_BUDGETS_OF_STRANGERS));
        // The next minute is a new one for all.
        assert!(noise.admit(origin("203.0.113.1"), false, 1, NOISE_PERIOD).0);
    }
}
