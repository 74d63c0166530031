//! Which alarms are active. Pure: times are arguments, changes are what it returns.
//!
//! An alarm does not flap: it is raised once and cleared once; what comes in between is counted.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    Subject,
    catalogue::{Alarm, Spell},
};
use crate::limits::ALARMS_MAX;

/// The active alarms.
#[derive(Debug, Default)]
pub struct Board {
    active: BTreeMap<(Alarm, Subject), State>,
    left_out: u64,
}

#[derive(Debug, Clone)]
struct State {
    since: Timestamp,
    repeats: u64,
    detail: String,
    /// Since when all is well, or quiet: monotonic.
    calm_since: Option<Duration>,
}

/// One active alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// Which.
    pub alarm: Alarm,
    /// What it is about.
    pub subject: Subject,
    /// Since when.
    pub since: Timestamp,
    /// How often it was raised again meanwhile.
    pub repeats: u64,
    /// What was found, in words.
    pub detail: String,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was not active before.
    Raised(Active),
    /// It is not active any more.
    Cleared(Active),
}

impl Board {
    /// Says that something is the case. A change only if that alarm was not active about that subject.
    ///
    /// With `ALARMS_MAX` active, further ones are only counted.
    pub fn raise(
        &mut self,
        alarm: Alarm,
        subject: Subject,
        detail: &str,
        (now, wall): (Duration, Timestamp),
    ) -> Option<Change> {
        let calm_since = match alarm.entry().spell {
            Spell::State => None,
            Spell::Happening => Some(now),
        };
        if let Some(state) = self.active.get_mut(&(alarm, subject.clone())) {
            // A state that lasts is one alarm, however often it is looked at.
            let again = alarm.entry().spell == Spell::Happening || state.calm_since.is_some();
            state.repeats += u64::from(again);
            state.calm_since = calm_since;
            if state.detail != detail {
                detail.clone_into(&mut state.detail);
            }
            return None;
        }
        if self.active.len() >= ALARMS_MAX {
            self.left_out += 1;
            return None;
        }
        let state = State { since: wall, repeats: 0, detail: detail.to_owned(), calm_since };
        let raised = active(alarm, &subject, &state);
        self.active.insert((alarm, subject), state);
        Some(Change::Raised(raised))
    }

    /// Says that something is well. The alarm ends once it has been for a while; see [`Board::settle`].
    pub fn clear(&mut self, alarm: Alarm, subject: &Subject, now: Duration) {
        if self.active.is_empty() {
            return;
        }
        if let Some(state) = self.active.get_mut(&(alarm, subject.clone())) {
            state.calm_since.get_or_insert(now);
        }
    }

    /// Forgets alarms whose subject is not there any more, at once.
    pub fn forget(&mut self, gone: impl Fn(&Subject) -> bool) -> Vec<Change> {
        self.take(|_, subject, _| gone(subject))
    }

    /// Ends alarms that have been calm for long enough.
    pub fn settle(&mut self, now: Duration) -> Vec<Change> {
        self.take(|alarm, _, state| {
            state.calm_since.is_some_and(|since| now.saturating_sub(since) >= alarm.entry().spell.calm())
        })
    }

    /// The active alarms, in the order of the catalogue.
    pub fn active(&self) -> Vec<Active> {
        self.active.iter().map(|((alarm, subject), state)| active(*alarm, subject, state)).collect()
    }

    /// How many alarms were not raised because the board was full.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    fn take(&mut self, over: impl Fn(Alarm, &Subject, &State) -> bool) -> Vec<Change> {
        let mut changes = Vec::new();
        self.active.retain(|(alarm, subject), state| {
            let ends = over(*alarm, subject, state);
            if ends {
                changes.push(Change::Cleared(active(*alarm, subject, state)));
            }
            !ends
        });
        changes
    }
}

fn active(alarm: Alarm, subject: &Subject, state: &State) -> Active {
    let State { since, repeats, detail, .. } = state.clone();
    Active { alarm, subject: subject.clone(), since, repeats, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::CameraId,
        limits::{ALARM_CALM, ALARM_QUIET},
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> (Duration, Timestamp) {
        (Duration::from_secs(seconds), Timestamp::from_second(1_800_000_000 + seconds as i64).unwrap())
    }

    fn camera(name: &str) -> Subject {
        Subject::Camera(CameraId::new(name).unwrap())
    }

    #[test]
    fn a_state_is_raised_once_and_cleared_once_however_it_flaps() {
        let mut board = Board::default();
        let raised = board.raise(Alarm::CameraSilent, camera("gate"), "no route", at(1));
        let Some(Change::Raised(active)) = raised else { panic!("{raised:?}") };
        assert_eq!((active.since, active.repeats, &*active.detail), (at(1).1, 0, "no route"));
        assert_eq!(board.raise(Alarm::CameraSilent, camera("gate"), "no route", at(2)), None);
        for second in 3..20 {
            board.clear(Alarm::CameraSilent, &camera("gate"), at(second).0);
            assert_eq!(board.settle(at(second).0 + ALARM_CALM - SECOND), []);
            assert_eq!(board.raise(Alarm::CameraSilent, camera("gate"), "refused", at(second)), None);
        }
        board.clear(Alarm::CameraSilent, &camera("gate"), at(20).0);
        board.clear(Alarm::CameraSilent, &camera("gate"), at(25).0);
        assert_eq!(board.settle(at(20).0 + ALARM_CALM - SECOND), []);
        let cleared = board.settle(at(20).0 + ALARM_CALM);
        let [Change::Cleared(active)] = &*cleared else { panic!("{cleared:?}") };
        assert_eq!((active.since, active.repeats, &*active.detail), (at(1).1, 17, "refused"));
        assert_eq!(board.active(), []);
    }

    #[test]
    fn what_happens_again_and_again_ends_when_it_stays_away() {
        let mut board = Board::default();
        assert!(board.raise(Alarm::RequestsLeftOut, Subject::Gateway, "a", at(0)).is_some());
        assert_eq!(board.raise(Alarm::RequestsLeftOut, Subject::Gateway, "b", at(60)), None);
        assert_eq!(board.settle(ALARM_QUIET), [], "it came again");
        let cleared = board.settle(60 * SECOND + ALARM_QUIET);
        let [Change::Cleared(active)] = &*cleared else { panic!("{cleared:?}") };
        assert_eq!((active.repeats, &*active.detail), (1, "b"));
    }

    #[test]
    fn a_full_board_counts_what_it_does_not_take_and_forgets_who_is_gone() {
        let mut board = Board::default();
        for number in 0..ALARMS_MAX {
            assert!(board.raise(Alarm::CameraSilent, camera(&format!("c{number}")), "", at(0)).is_some());
        }
        assert_eq!(board.raise(Alarm::CameraSilent, camera("one-more"), "", at(0)), None);
        assert_eq!((board.active().len(), board.left_out()), (ALARMS_MAX, 1));
        assert_eq!(board.raise(Alarm::CameraSilent, camera("c0"), "", at(0)), None, "known, so not left out");
        assert_eq!(board.left_out(), 1);
        let gone = board.forget(|subject| *subject == camera("c7"));
        assert_eq!(gone.len(), 1);
        assert!(board.raise(Alarm::CameraSilent, camera("one-more"), "", at(0)).is_some());
    }
}
