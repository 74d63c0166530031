//! What is worth remembering of a camera over a restart.

use std::{collections::BTreeMap, pin::Pin};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    breaker::BreakerMemory,
    habits::{Identity, Sighting},
    negotiation::Scheme,
};
use crate::{
    hatch::SubscriptionAddress,
    inventory::{Evidence, Quirk},
};

/// What is worth remembering of a camera over a restart. Never a secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CameraMemory {
    /// The kind of login that worked last.
    pub scheme: Option<Scheme>,
    /// How many milliseconds the camera said its clock is ahead of ours, when it was asked last.
    pub clock_offset_milliseconds: Option<i64>,
    /// How many milliseconds its true clock is ahead of what it says: it shows local time as UTC.
    pub clock_shift_milliseconds: i64,
    /// How many logins were refused, and since when nothing is sent.
    pub breaker: BreakerMemory,
    /// Who it says it is.
    pub identity: Option<Identity>,
    /// What was observed of its ways.
    pub quirks: BTreeMap<Quirk, Sighting>,
    /// What it shows of its maker.
    pub evidence: Evidence,
    /// The gateway's own subscription to its events.
    pub subscription: Option<KeptSubscription>,
}

/// A subscription of the gateway's own, as it is kept over a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSubscription {
    /// Where it is.
    pub address: SubscriptionAddress,
    /// Whether the camera sends, and need not be asked.
    pub push: bool,
    /// When it ends if nobody renews it, by the gateway's clock.
    pub until: Timestamp,
}

/// Where the memory of one camera is kept, bound to the credentials in use.
pub trait MemoryBook {
    /// What was kept; as far as it cannot be read, nothing, since it can be learnt again. The breaker's part
    /// only if it was kept with the same credentials.
    fn recall(&self) -> CameraMemory;
    /// Keeps it in place of what was kept before. Waits for nothing: a moment later it is durable, if the disk works.
    fn keep(&self, memory: &CameraMemory);
    /// The same for what must be durable before something is done; waits for that, but not for long.
    fn keep_ahead(&self, memory: &CameraMemory) -> Pin<Box<dyn Future<Output = ()> + '_>>;
}

/// How far the camera's clock is ahead, as it says and as its logins prove.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clockwork {
    /// As measured last, perhaps before a restart: to be shown.
    last: Option<SignedDuration>,
    /// As measured since the camera is known to be up: to be used.
    stated: Option<SignedDuration>,
    /// The clock that logins are checked by, less the clock that is stated.
    shift: SignedDuration,
}

/// A camera that shows local time as UTC is off by whole quarters of an hour.
const ZONE_STEP_SECONDS: i64 = 15 * 60;
/// No time zone is farther from UTC.
const ZONE_MAX: SignedDuration = SignedDuration::from_hours(14);
/// `Date` fields have whole seconds, and answers take some time.
const NEAR: SignedDuration = SignedDuration::from_secs(5);

impl Clockwork {
    pub(super) fn restored(memory: &CameraMemory) -> Self {
        Self {
            last: memory.clock_offset_milliseconds.map(SignedDuration::from_millis),
            stated: None,
            shift: SignedDuration::from_millis(memory.clock_shift_milliseconds),
        }
    }

    /// What is to be added to our time for the camera to find it right.
    pub(super) fn offset(self) -> Option<SignedDuration> {
        self.stated.map(|stated| stated.saturating_add(self.shift))
    }

    /// Whether it is known to state a time that its logins do not go by.
    pub(super) fn is_shifted(self) -> bool {
        !self.shift.is_zero()
    }

    /// How many minutes the clock of its logins is ahead of the one it states.
    pub(super) fn shift_minutes(self) -> i64 {
        self.shift.as_mins()
    }

    /// The camera was asked for its time.
    pub(super) fn measured(self, offset: SignedDuration) -> Self {
        Self { last: Some(offset), stated: Some(offset), ..self }
    }

    /// What was measured holds no longer; how the camera's two clocks differ may.
    pub(super) fn forgotten(self) -> Self {
        Self { stated: None, ..self }
    }

    /// A token with this offset was accepted.
    pub(super) fn accepted(self, offset: SignedDuration) -> Self {
        let Some(stated) = self.stated else { return self.measured(offset) };
        if self.offset() == Some(offset) {
            return self;
        }
        let apart = offset.saturating_sub(stated);
        let steps = (apart.as_secs() as f64 / ZONE_STEP_SECONDS as f64).round();
        let zone = SignedDuration::from_secs(steps as i64 * ZONE_STEP_SECONDS);
        if zone.abs() <= ZONE_MAX && apart.saturating_sub(zone).abs() <= NEAR {
            Self { shift: zone, ..self }
        } else {
            Self { stated: Some(offset), last: Some(offset), shift: SignedDuration::ZERO }
        }
    }

    /// How many milliseconds the camera said its clock is ahead of ours, when it was asked last.
    pub(super) fn stated_milliseconds(self) -> Option<i64> {
        self.last.and_then(milliseconds)
    }

    /// Writes down what is known.
    pub(super) fn remember(self, memory: &mut CameraMemory) {
        memory.clock_offset_milliseconds = self.stated_milliseconds();
        memory.clock_shift_milliseconds = milliseconds(self.shift).unwrap_or_default();
    }
}

fn milliseconds(span: SignedDuration) -> Option<i64> {
    i64::try_from(span.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    #[test]
    fn a_shift_proven_by_login_outlives_measurements_and_restarts() {
        let fresh = Clockwork::default().measured(HOUR);
        assert_eq!(fresh.accepted(HOUR).measured(HOUR * 2).offset(), Some(HOUR * 2));
        let shifted = fresh.accepted(SignedDuration::from_secs(2));
        assert!(shifted.is_shifted() && !fresh.is_shifted());
        assert_eq!(shifted.measured(HOUR).offset(), Some(SignedDuration::ZERO));
        let mut memory = CameraMemory::default();
        shifted.remember(&mut memory);
        assert_eq!(memory.clock_offset_milliseconds, Some(3_600_000));
        let restored = Clockwork::restored(&memory);
        assert_eq!(restored.offset(), None, "measured anew before it is used");
        assert_eq!(restored.measured(HOUR * 3).offset(), Some(HOUR * 2), "with the shift that was learnt");
    }

    #[test]
    fn what_is_no_time_zone_is_a_clock_that_was_set() {
        let set = Clockwork::default().measured(HOUR).accepted(SignedDuration::from_secs(100));
        assert_eq!((set.offset(), set.is_shifted()), (Some(SignedDuration::from_secs(100)), false));
        let far = Clockwork::default().measured(HOUR * 500_000).accepted(SignedDuration::ZERO);
        assert_eq!((far.offset(), far.is_shifted()), (Some(SignedDuration::ZERO), false));
        let back = set.measured(HOUR).accepted(SignedDuration::ZERO).accepted(HOUR);
        assert!(!back.is_shifted(), "the camera was put right");
    }
}
