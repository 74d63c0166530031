//! How far the replacement of a camera is.

use std::fmt;

use jiff::civil::Date;
use serde::Deserialize;

use super::class::date;

/// What its owner plans for a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replacement {
    /// How far it is.
    pub state: ReplacementState,
    /// The day by which it is to be done.
    pub by: Option<Date>,
}

impl Replacement {
    /// Whether the day is past and it is not done.
    pub fn overdue(&self, today: Date) -> bool {
        self.state != ReplacementState::Done && self.by.is_some_and(|by| by < today)
    }
}

/// How far a replacement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplacementState {
    /// It is planned.
    Planned,
    /// The new camera is ordered.
    Ordered,
    /// The new camera hangs there.
    Done,
}

impl ReplacementState {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Ordered => "ordered",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for ReplacementState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A day, as TOML has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Day(#[serde(deserialize_with = "date")] pub Date);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_is_overdue_after_its_day_until_it_is_done() {
        let day = Date::constant(2027, 3, 31);
        let check = |state, by, today| Replacement { state, by }.overdue(today);
        assert!(!check(ReplacementState::Planned, Some(day), day));
        assert!(check(ReplacementState::Ordered, Some(day), Date::constant(2027, 4, 1)));
        assert!(!check(ReplacementState::Done, Some(day), Date::constant(2028, 1, 1)));
        assert!(!check(ReplacementState::Planned, None, Date::constant(2099, 1, 1)));
    }
}
