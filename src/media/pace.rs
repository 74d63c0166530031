//! How fast a camera sends, and whether any of it is of use.

use std::time::Duration;

use crate::{
    camera::{Failure, Phase},
    hatch::PacketCounts,
    limits::{
        METADATA_BYTES_PER_SECOND_MAX, STREAM_BYTES_PER_SECOND_MAX, STREAM_PACKETS_PER_SECOND_MAX,
        STREAM_SILENCE_MAX,
    },
};

const SECOND: Duration = Duration::from_secs(1);

/// Who sets the pace of a session with a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The camera, for all who watch.
    Live,
    /// The camera, for the one who is heard there: it may have nothing to say.
    Talk,
    /// The one who has a recording played: he takes what passes as fast as he likes, and nothing takes what does not.
    Recording,
}

/// What has come of a camera in the second under way.
pub(super) struct Pace {
    kind: Kind,
    /// When the second began that is counted, and what had come then.
    at: Duration,
    then: PacketCounts,
    /// What had passed, and when that was less.
    passed: u64,
    alive: Duration,
    /// Metadata that was read so far, and the moment up to which it uses up what may be read in a second.
    read: u64,
    used: Duration,
}

impl Pace {
    /// Of a session that begins now, of which so much has come already.
    pub(super) fn new(kind: Kind, counts: PacketCounts, now: Duration) -> Self {
        let PacketCounts { passed, read, .. } = counts;
        Self { kind, at: now, then: counts, passed, alive: now, read, used: now }
    }

    /// Ends a stream that floods, and a live one of which nothing passes any more: whoever comes next gets a new
    /// session.
    pub(super) fn look(&mut self, counts: PacketCounts, now: Duration) -> Result<(), Failure> {
        let pushed = self.kind != Kind::Recording;
        let packets = |it: &PacketCounts| it.dropped() + if pushed { it.passed } else { 0 };
        let bytes = |it: &PacketCounts| it.dropped_bytes + if pushed { it.bytes } else { 0 };
        let since = now.saturating_sub(self.at).max(SECOND);
        // Whoever did not look for longer has more before him.
        let floods = |more: u64, second_max: u64| {
            u128::from(more) * SECOND.as_millis() > u128::from(second_max) * since.as_millis()
        };
        if floods(packets(&counts) - packets(&self.then), STREAM_PACKETS_PER_SECOND_MAX)
            || floods(bytes(&counts) - bytes(&self.then), STREAM_BYTES_PER_SECOND_MAX)
            // To be read costs a hundred times what it costs to be handed on.
            || (pushed && floods(counts.read - self.then.read, METADATA_BYTES_PER_SECOND_MAX))
        {
            return Err(Failure::Flooding);
        }
        if now.saturating_sub(self.at) >= SECOND {
            (self.at, self.then) = (now, counts);
        }
        if counts.passed > self.passed {
            (self.passed, self.alive) = (counts.passed, now);
        } else if self.kind == Kind::Live && now.saturating_sub(self.alive) > STREAM_SILENCE_MAX {
            return Err(Failure::TimedOut(Phase::Answer));
        }
        Ok(())
    }

    /// How long the camera of a recording is not read, since it had more metadata to be looked into than there is time
    /// for: it waits, as for a viewer.
    pub(super) fn rest(&mut self, counts: PacketCounts, now: Duration) -> Duration {
        let more = counts.read - self.read;
        self.read = counts.read;
        let nanoseconds = u128::from(more) * SECOND.as_nanos() / u128::from(METADATA_BYTES_PER_SECOND_MAX);
        let uses = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        self.used = self.used.max(now).saturating_add(uses);
        self.used.saturating_sub(now + SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGUN: Duration = Duration::from_secs(5);

    fn pace(kind: Kind) -> Pace {
        Pace::new(kind, PacketCounts::default(), BEGUN)
    }

    #[test]
    fn a_stream_that_floods_or_of_which_nothing_passes_ends() {
        let within = BEGUN + Duration::from_millis(900);
        let of = |passed, bytes, read| PacketCounts { passed, bytes, read, ..PacketCounts::default() };
        for (most, more) in [
            (of(STREAM_PACKETS_PER_SECOND_MAX, 1, 0), of(STREAM_PACKETS_PER_SECOND_MAX + 1, 1, 0)),
            (of(1, STREAM_BYTES_PER_SECOND_MAX, 0), of(1, STREAM_BYTES_PER_SECOND_MAX + 1, 0)),
            (of(1, 1, METADATA_BYTES_PER_SECOND_MAX), of(1, 1, METADATA_BYTES_PER_SECOND_MAX + 1)),
        ] {
            for kind in [Kind::Live, Kind::Talk] {
                assert_eq!(pace(kind).look(most, within), Ok(()), "{most:?}");
                assert_eq!(pace(kind).look(more, within), Err(Failure::Flooding), "{more:?}");
                // Of what does not pass nothing is handed on, and it is looked at once a second all the same.
                assert_eq!(pace(kind).look(more, BEGUN + SECOND), Err(Failure::Flooding), "{more:?}");
                assert_eq!(pace(kind).look(more, BEGUN + 2 * SECOND), Ok(()), "{more:?} in two seconds");
            }
            assert_eq!(pace(Kind::Recording).look(more, within), Ok(()), "its viewer takes it: {more:?}");
        }
        let late = BEGUN + STREAM_SILENCE_MAX + Duration::from_millis(1);
        for (kind, ends) in [
            (Kind::Live, Err(Failure::TimedOut(Phase::Answer))),
            (Kind::Talk, Ok(())),
            (Kind::Recording, Ok(())),
        ] {
            let mut pace = pace(kind);
            assert_eq!(pace.look(of(1, 1, 0), BEGUN), Ok(()));
            assert_eq!(pace.look(of(1, 1, 0), BEGUN + STREAM_SILENCE_MAX), Ok(()));
            assert_eq!(pace.look(of(1, 1, 0), late), ends, "{kind:?}");
        }
    }

    #[test]
    fn what_is_dropped_of_a_recording_has_the_bounds_of_a_live_stream() {
        let within = BEGUN + Duration::from_millis(900);
        let of = |channel, dropped_bytes| PacketCounts { channel, dropped_bytes, ..PacketCounts::default() };
        for (most, more) in [
            (of(STREAM_PACKETS_PER_SECOND_MAX, 1), of(STREAM_PACKETS_PER_SECOND_MAX + 1, 1)),
            (of(1, STREAM_BYTES_PER_SECOND_MAX), of(1, STREAM_BYTES_PER_SECOND_MAX + 1)),
        ] {
            assert_eq!(pace(Kind::Recording).look(most, within), Ok(()), "{most:?}");
            assert_eq!(pace(Kind::Recording).look(more, within), Err(Failure::Flooding), "{more:?}");
        }
        // What was counted for an earlier session on the same connection is no flood of this one.
        let before = of(10 * STREAM_PACKETS_PER_SECOND_MAX, 1);
        assert_eq!(Pace::new(Kind::Recording, before, BEGUN).look(before, within), Ok(()));
    }

    #[test]
    fn the_camera_of_a_recording_waits_until_its_metadata_is_read() {
        let of = |seconds: u64| PacketCounts {
            read: seconds * METADATA_BYTES_PER_SECOND_MAX,
            ..PacketCounts::default()
        };
        let mut pace = pace(Kind::Recording);
        assert_eq!(pace.rest(of(1), BEGUN), Duration::ZERO, "what comes in a second may come at once");
        assert_eq!(pace.rest(of(3), BEGUN), 2 * SECOND);
        assert_eq!(pace.rest(of(3), BEGUN + 2 * SECOND), Duration::ZERO);
        assert_eq!(pace.rest(of(4), BEGUN + 3 * SECOND), Duration::ZERO, "at the pace that is read");
        assert_eq!(pace.rest(of(5), BEGUN + 60 * SECOND), Duration::ZERO);
        assert_eq!(pace.rest(of(6), BEGUN + 60 * SECOND), SECOND, "a rest before is no room for later");
    }
}
