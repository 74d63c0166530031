//! What is worth remembering of a camera over a restart.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::negotiation::Scheme;

/// What is worth remembering of a camera over a restart. Never a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CameraMemory {
    /// The kind of login that worked last.
    pub scheme: Option<Scheme>,
    /// How many milliseconds the camera's clock is ahead of ours.
    pub clock_offset_milliseconds: Option<i64>,
}

/// How far the camera's clock is ahead, and whether a login proved it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clockwork {
    offset: Option<SignedDuration>,
    /// A login was accepted with an offset other than the one the camera states: it shows local time as UTC.
    pinned: bool,
}

impl Clockwork {
    pub(super) fn restored(memory: CameraMemory) -> Self {
        Self { offset: memory.clock_offset_milliseconds.map(SignedDuration::from_millis), pinned: false }
    }

    pub(super) fn offset(self) -> Option<SignedDuration> {
        self.offset
    }

    /// The camera was asked for its time.
    pub(super) fn measured(self, offset: SignedDuration) -> Self {
        if self.pinned { self } else { Self { offset: Some(offset), pinned: false } }
    }

    /// A token with this offset was accepted.
    pub(super) fn accepted(self, offset: SignedDuration) -> Self {
        let pinned = self.pinned || self.offset.is_some_and(|known| known != offset);
        Self { offset: Some(offset), pinned }
    }

    pub(super) fn memory(self, scheme: Option<Scheme>) -> CameraMemory {
        let milliseconds = self.offset.and_then(|it| i64::try_from(it.as_millis()).ok());
        CameraMemory { scheme, clock_offset_milliseconds: milliseconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_proven_by_login_outlives_a_measurement() {
        let hour = SignedDuration::from_hours(1);
        let fresh = Clockwork::default().measured(hour);
        assert_eq!(fresh.accepted(hour).measured(hour * 2).offset(), Some(hour * 2));
        assert_eq!(fresh.accepted(SignedDuration::ZERO).measured(hour).offset(), Some(SignedDuration::ZERO));
        let memory = fresh.memory(Some(Scheme::Wsse));
        assert_eq!(memory.clock_offset_milliseconds, Some(3_600_000));
        assert_eq!(Clockwork::restored(memory).offset(), Some(hour));
    }
}
