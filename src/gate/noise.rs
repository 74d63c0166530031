//! Noise: requests of callers who proved nothing, permitted or not.
//!
//! Each is a line of the log, so whoever can reach a door could fill the disk. A source has a budget of lines
//! for a minute, which grows with the number of enrolled cameras; what goes beyond it is answered with "too many
//! requests", counted, and told in one line when the minute is over. The counts are exact.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::limits::{
    ANONYMOUS_LINES_PER_CAMERA, ANONYMOUS_LINES_PER_SOURCE, ANONYMOUS_LINES_PER_SOURCE_MAX, NOISE_PERIOD,
    NOISE_SOURCES_MAX,
};

/// The budgets of all sources.
#[derive(Debug, Default)]
pub(super) struct Noise {
    sources: Mutex<HashMap<IpAddr, Budget>>,
}

/// How many lines one source may have in `NOISE_PERIOD` with so many cameras enrolled.
pub(super) fn lines_max(cameras: usize) -> u32 {
    let more = u32::try_from(cameras).unwrap_or(u32::MAX).saturating_mul(ANONYMOUS_LINES_PER_CAMERA);
    ANONYMOUS_LINES_PER_SOURCE.saturating_add(more).min(ANONYMOUS_LINES_PER_SOURCE_MAX)
}

#[derive(Debug, Clone, Copy)]
struct Budget {
    since: Duration,
    lines: u32,
    beyond: u64,
}

/// What was left out of the log of one source, in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) source: IpAddr,
    pub(super) count: u64,
}

impl Noise {
    /// Whether one more request of a source gets one of `lines_max` lines of its own; and what is to be told of
    /// periods that are over. `now` is monotonic time.
    pub(super) fn admit(&self, source: IpAddr, lines_max: u32, now: Duration) -> (bool, Vec<LeftOut>) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |budget: &Budget| now.saturating_sub(budget.since) >= NOISE_PERIOD;
        // Looked through only when it is this source's time or the table is full: at most once a minute a source.
        let due = sources.get(&source).is_none_or(over);
        let told = if due { take(&mut sources, over) } else { Vec::new() };
        if sources.len() >= NOISE_SOURCES_MAX && !sources.contains_key(&source) {
            // More sources than can be told apart: none of the new ones gets a line.
            return (false, told);
        }
        let budget = sources.entry(source).or_insert(Budget { since: now, lines: 0, beyond: 0 });
        if budget.lines < lines_max {
            budget.lines += 1;
            return (true, told);
        }
        budget.beyond += 1;
        (false, told)
    }

    /// What is still to be told, before the log is closed.
    pub(super) fn rest(&self) -> Vec<LeftOut> {
        take(&mut self.sources.lock().unwrap_or_else(PoisonError::into_inner), |_| true)
    }
}

fn take(sources: &mut HashMap<IpAddr, Budget>, over: impl Fn(&Budget) -> bool) -> Vec<LeftOut> {
    let mut told = Vec::new();
    sources.retain(|source, budget| {
        let ends = over(budget);
        if ends && budget.beyond > 0 {
            told.push(LeftOut { source: *source, count: budget.beyond });
        }
        !ends
    });
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: u32 = 25;

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
        let (loud, quiet): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..LINES {
            assert_eq!(noise.admit(loud, LINES, Duration::ZERO), (true, vec![]));
        }
        for _ in 0..7 {
            assert_eq!(noise.admit(loud, LINES, Duration::from_secs(59)), (false, vec![]));
        }
        assert_eq!(
            noise.admit(quiet, LINES, Duration::from_secs(59)),
            (true, vec![]),
            "another source has its own"
        );
        let told = vec![LeftOut { source: loud, count: 7 }];
        assert_eq!(
            noise.admit(loud, LINES, NOISE_PERIOD),
            (true, told),
            "a new minute, and the old one told"
        );
        assert_eq!(noise.rest(), vec![]);
    }

    #[test]
    fn more_sources_than_fit_get_no_line_until_others_are_over() {
        let noise = Noise::default();
        let source = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
        for number in 0..NOISE_SOURCES_MAX {
            assert!(noise.admit(source(number), LINES, Duration::ZERO).0);
        }
        assert!(!noise.admit(source(NOISE_SOURCES_MAX), LINES, Duration::from_secs(1)).0);
        assert!(noise.admit(source(NOISE_SOURCES_MAX), LINES, NOISE_PERIOD).0);
    }
}
