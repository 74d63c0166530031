//! Guesses: logins that were refused for a wrong name or password.
//!
//! Whoever may log in from somewhere could try passwords there without end, and the right one would be taken after
//! any number of wrong ones. So each source has a budget of failed logins for a minute, and less of it for one name;
//! beyond it credentials are not looked at, right or wrong. Names that nobody has are treated alike, or it would show
//! which there are.
//!
//! A lock that anybody behind a VMS's address could turn would be a weapon. So a name that has logged in from a source
//! lately keeps a few looks of its own there, a slow trickle of them, whatever else comes from that source or from others.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    noise::{LeftOut, Period, take},
    origin::Origin,
};
use crate::limits::{
    LOGIN_PROVEN_LIFE, LOGIN_PROVEN_PAUSE, LOGINS_FAILED_PER_NAME_MAX, LOGINS_FAILED_PER_SOURCE_MAX,
    LOGINS_PROVEN_MAX, LOGINS_PROVEN_SAVED_MAX, NOISE_SOURCES_MAX,
};

/// The failed logins of all sources.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    sources: Mutex<HashMap<Origin, Failed>>,
    /// Who logged in lately, by the source and the hash of the name.
    proven: Mutex<HashMap<(Origin, u64), Proven>>,
    /// Names may be long, and are the peer's to choose.
    names: RandomState,
}

#[derive(Debug)]
struct Failed {
    period: Period,
    logins: u32,
    /// By the hash of the name: not more than `logins`.
    by_name: Vec<(u64, u32)>,
}

/// A name that has logged in from a source.
#[derive(Debug)]
struct Proven {
    /// When it did last.
    at: Duration,
    /// Up to when its looks are used up: each costs a pause, and as many as may be saved lie behind `now`.
    spent: Duration,
}

impl Proven {
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) >= LOGIN_PROVEN_LIFE
    }

    /// Takes one of its looks, if it has one.
    fn look(&mut self, now: Duration) -> bool {
        let spent = self.spent.max(now.saturating_sub(LOGIN_PROVEN_PAUSE * LOGINS_PROVEN_SAVED_MAX));
        let after = spent.saturating_add(LOGIN_PROVEN_PAUSE);
        let may = after <= now && !self.is_over(now);
        if may {
            self.spent = after;
        }
        may
    }
}

impl AsRef<Period> for Failed {
    fn as_ref(&self) -> &Period {
        &self.period
    }
}

impl Guesses {
    /// Whether a login of a source by a name may be looked at; and what is to be told of periods that are over.
    pub(super) fn may_try(&self, source: Origin, name: &str, now: Duration) -> (bool, Vec<LeftOut>) {
        let name = self.names.hash_one(name);
        let mut sources = self.sources();
        let over = |failed: &Failed| failed.period.is_over(now);
        let full = sources.len() >= NOISE_SOURCES_MAX;
        let due = sources.get(&source).map_or(full, over);
        let told = if due { take(&mut sources, over) } else { Vec::new() };
        let full = sources.len() >= NOISE_SOURCES_MAX;
        let Some(failed) = sources.get_mut(&source) else {
            // More sources than can be told apart guess: none of the others may, but who has logged in.
            return (!full || self.has_look(source, name, now), told);
        };
        let of_name = failed.by_name.iter().find(|it| it.0 == name).map_or(0, |it| it.1);
        let may = failed.logins < LOGINS_FAILED_PER_SOURCE_MAX && of_name < LOGINS_FAILED_PER_NAME_MAX;
        let may = may || self.has_look(source, name, now);
        failed.period.beyond += u64::from(!may);
        (may, told)
    }

    /// Remembers that a login was looked at and right.
    pub(super) fn proved(&self, source: Origin, name: &str, now: Duration) {
        let key = (source, self.names.hash_one(name));
        let mut proven = self.proven();
        if let Some(known) = proven.get_mut(&key) {
            known.at = now;
            return;
        }
        if proven.len() >= LOGINS_PROVEN_MAX {
            proven.retain(|_, it| !it.is_over(now));
        }
        // Those of before keep their places: nobody pushes them out by logging in from many addresses.
        if proven.len() < LOGINS_PROVEN_MAX {
            proven.insert(key, Proven { at: now, spent: Duration::ZERO });
        }
    }

    fn has_look(&self, source: Origin, name: u64, now: Duration) -> bool {
        self.proven().get_mut(&(source, name)).is_some_and(|it| it.look(now))
    }

    fn proven(&self) -> MutexGuard<'_, HashMap<(Origin, u64), Proven>> {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a login that was looked at and failed.
    pub(super) fn failed(&self, source: Origin, name: &str, now: Duration) {
        let name = self.names.hash_one(name);
        let mut sources = self.sources();
        if sources.len() >= NOISE_SOURCES_MAX && !sources.contains_key(&source) {
            return;
        }
        let failed = sources.entry(source).or_insert_with(|| Failed {
            period: Period::new(now),
            logins: 0,
            by_name: Vec::new(),
        });
        failed.logins = failed.logins.saturating_add(1);
        match failed.by_name.iter_mut().find(|it| it.0 == name) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => failed.by_name.push((name, 1)),
        }
    }

    /// What is still to be told, before the log is closed.
    pub(super) fn rest(&self) -> Vec<LeftOut> {
        take(&mut self.sources(), |_| true)
    }

    fn sources(&self) -> MutexGuard<'_, HashMap<Origin, Failed>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::NOISE_PERIOD;

    fn origin(text: &str) -> Origin {
        Origin::of(text.parse().unwrap())
    }

    /// How many guesses of passwords are looked at.
    fn tried(guesses: &Guesses, source: Origin, name: &str, guessed: u32, now: Duration) -> u32 {
        let one = |_| {
            let may = guesses.may_try(source, name, now).0;
            if may {
                guesses.failed(source, name, now);
            }
            u32::from(may)
        };
        (0..guessed).map(one).sum()
    }

    #[test]
    fn a_source_guesses_a_password_a_few_times_a_minute() {
        let guesses = Guesses::default();
        let (loud, quiet) = (origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        let begun = Duration::from_secs(7);
        assert_eq!(tried(&guesses, loud, "one", 1_000, begun), LOGINS_FAILED_PER_NAME_MAX);
        assert_eq!(tried(&guesses, origin("2001:db8::2"), "one", 9, begun), 0, "the same machine");
        assert_eq!(tried(&guesses, quiet, "one", 9, begun), 9, "another");
        // Other clients of the same machine log in, until it has tried too many of them.
        let rest = LOGINS_FAILED_PER_SOURCE_MAX - LOGINS_FAILED_PER_NAME_MAX;
        let others: u32 = (0..200).map(|it| tried(&guesses, loud, &it.to_string(), 1, begun)).sum();
        assert_eq!(others, rest);
        let refused = 1_000 - u64::from(LOGINS_FAILED_PER_NAME_MAX) + 9 + 200 - u64::from(rest);
        let told = vec![LeftOut { source: loud, count: refused }];
        assert_eq!(guesses.may_try(loud, "one", begun + NOISE_PERIOD), (true, told));
        assert_eq!(guesses.rest(), vec![]);
    }

    #[test]
    fn who_logged_in_is_not_locked_out_by_who_guesses() {
        let guesses = Guesses::default();
        let (shared, begun) = (origin("10.0.0.1"), Duration::from_secs(1_000));
        guesses.proved(shared, "vms", begun);
        // Of its own name, and of others, from its own address.
        let looked = tried(&guesses, shared, "vms", 1_000, begun);
        assert_eq!(
            looked,
            LOGINS_FAILED_PER_NAME_MAX + LOGINS_PROVEN_SAVED_MAX,
            "no more than a few are added"
        );
        let others: u32 = (0..1_000).map(|it| tried(&guesses, shared, &it.to_string(), 1, begun)).sum();
        assert_eq!(others, LOGINS_FAILED_PER_SOURCE_MAX - looked);
        let may = |name: &str, now| guesses.may_try(shared, name, now).0;
        assert!(!may("vms", begun) && !may("nvr", begun), "the looks are used up, or there are none");
        let next = begun + LOGIN_PROVEN_PAUSE;
        assert!(may("vms", next) && !may("vms", next) && !may("nvr", next), "one more after each pause");
        // With more sources than can be told apart.
        let source =
            |number: usize| Origin::of(std::net::IpAddr::from(u32::try_from(number).unwrap().to_be_bytes()));
        let flooded = Guesses::default();
        flooded.proved(shared, "vms", begun);
        (0..NOISE_SOURCES_MAX).for_each(|number| flooded.failed(source(number), "one", begun));
        assert!(flooded.may_try(shared, "vms", begun).0 && !flooded.may_try(shared, "nvr", begun).0);
        let late = begun + LOGIN_PROVEN_LIFE;
        (0..NOISE_SOURCES_MAX).for_each(|number| flooded.failed(source(number), "one", late));
        assert!(!flooded.proven().get_mut(&(shared, flooded.names.hash_one("vms"))).unwrap().look(late));
    }

    #[test]
    fn those_that_logged_in_are_bounded_and_keep_their_places() {
        let guesses = Guesses::default();
        let source =
            |number: usize| Origin::of(std::net::IpAddr::from(u32::try_from(number).unwrap().to_be_bytes()));
        (0..=LOGINS_PROVEN_MAX).for_each(|number| guesses.proved(source(number), "vms", Duration::ZERO));
        let is_known = |number| guesses.proven().keys().any(|it| it.0 == source(number));
        assert_eq!(guesses.proven().len(), LOGINS_PROVEN_MAX);
        assert!(is_known(0) && !is_known(LOGINS_PROVEN_MAX));
        guesses.proved(source(LOGINS_PROVEN_MAX), "vms", LOGIN_PROVEN_LIFE);
        assert_eq!(guesses.proven().len(), 1, "what is over makes room");
    }

    #[test]
    fn more_sources_than_fit_guess_nothing_until_others_are_over() {
        let guesses = Guesses::default();
        let source =
            |number: usize| Origin::of(std::net::IpAddr::from(u32::try_from(number).unwrap().to_be_bytes()));
        for number in 0..NOISE_SOURCES_MAX {
            guesses.failed(source(number), "one", Duration::ZERO);
        }
        let late = source(NOISE_SOURCES_MAX);
        assert!(!guesses.may_try(late, "one", Duration::from_secs(1)).0);
        guesses.failed(late, "one", Duration::from_secs(1));
        assert_eq!(guesses.sources().len(), NOISE_SOURCES_MAX);
        assert!(guesses.may_try(late, "one", NOISE_PERIOD).0);
    }
}
