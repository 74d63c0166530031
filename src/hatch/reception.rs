//! What is counted of one stream of a camera for the reports that the camera is sent (RFC 3550 §A.1, §A.3, §A.8).

use std::time::Duration;

use crate::rtsp::{Reception, SenderReport, Ssrc};

/// How well one stream is heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The number that numbering began with, and the highest since, with how often they went past their end above it.
    base: u32,
    highest: u32,
    /// Packets since numbering began.
    received: u32,
    /// Packets expected, and received, when the last report was made.
    reported: (u32, u32),
    /// Sixteen times the jitter, and how long the last packet took, in ticks from a moment that is nobody's.
    jitter: u32,
    transit: Option<u32>,
    /// The middle of the time in the last sender report, and when that came.
    sender: Option<(u32, Duration)>,
}

impl Heard {
    /// Numbering begins, perhaps anew, with a packet of this number.
    pub(super) fn begin(&mut self, sequence: u16) {
        let first = u32::from(sequence);
        let sender = self.sender;
        *self = Self { base: first, highest: first, received: 1, sender, ..Self::default() };
    }

    /// A packet came that is so far ahead of the highest.
    pub(super) fn came(&mut self, step: u16) {
        self.highest = self.highest.wrapping_add(step.into());
        self.received = self.received.wrapping_add(1);
    }

    /// A packet came that was overtaken.
    pub(super) fn came_late(&mut self) {
        self.received = self.received.wrapping_add(1);
    }

    /// Takes up when the first packet of an access unit came: the others are sent with it. `rate` is that of the
    /// timestamps.
    pub(super) fn arrived(&mut self, timestamp: u32, rate: u32, now: Duration) {
        let ticks = now.as_secs().wrapping_mul(rate.into())
            + u64::from(now.subsec_nanos()) * u64::from(rate) / 1_000_000_000;
        let transit = ((ticks & 0xffff_ffff) as u32).wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let apart = transit.wrapping_sub(before).cast_signed().unsigned_abs();
            // What is so far apart is a clock that was set, no jitter.
            if apart < rate {
                self.jitter = self.jitter + apart - ((self.jitter + 8) >> 4);
            }
        }
    }

    /// Takes up a sender report.
    pub(super) fn told(&mut self, report: &SenderReport, now: Duration) {
        self.sender = Some(((report.ntp >> 16 & 0xffff_ffff) as u32, now));
    }

    /// What the camera is told of its source now.
    pub(super) fn report(&mut self, ssrc: Ssrc, now: Duration) -> Reception {
        let expected = self.highest.wrapping_sub(self.base).wrapping_add(1);
        let (expected_before, received_before) =
            std::mem::replace(&mut self.reported, (expected, self.received));
        let expected_since = u64::from(expected.wrapping_sub(expected_before));
        let received_since = u64::from(self.received.wrapping_sub(received_before));
        let lost_since = expected_since.saturating_sub(received_since);
        // All of them do not fit into its eight bits.
        let fraction = (lost_since << 8).checked_div(expected_since).unwrap_or(0).min(u8::MAX.into());
        let (last_report, delay) = match self.sender {
            Some((middle, at)) => {
                let ago = now.saturating_sub(at);
                let parts = (ago.as_secs() << 16) | ((u64::from(ago.subsec_nanos()) << 16) / 1_000_000_000);
                (middle, u32::try_from(parts).unwrap_or(u32::MAX))
            }
            None => (0, 0),
        };
        Reception {
            ssrc,
            fraction_lost: fraction as u8,
            lost: expected.wrapping_sub(self.received).cast_signed(),
            highest: self.highest,
            jitter: self.jitter >> 4,
            last_report,
            delay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Ssrc = Ssrc(7);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn what_is_lost_is_told_of_the_time_since_the_last_report_and_in_all() {
        let mut heard = Heard::default();
        heard.begin(65_530);
        for _ in 0..7 {
            heard.came(1);
        }
        let told = heard.report(SOURCE, millis(0));
        assert_eq!(
            (told.highest, told.lost, told.fraction_lost),
            (65_537, 0, 0),
            "past the end of the numbers"
        );
        assert_eq!((told.ssrc, told.last_report, told.delay), (SOURCE, 0, 0));
        // Of eight two do not come, and one later than the next.
        heard.came(3);
        heard.came(2);
        heard.came_late();
        for _ in 0..3 {
            heard.came(1);
        }
        let told = heard.report(SOURCE, millis(0));
        assert_eq!((told.highest, told.lost, told.fraction_lost), (65_545, 2, 64));
        heard.came(1);
        let told = heard.report(SOURCE, millis(0));
        assert_eq!((told.lost, told.fraction_lost), (2, 0));
        let told = heard.report(SOURCE, millis(0));
        assert_eq!((told.lost, told.fraction_lost), (2, 0), "nothing came meanwhile, and nothing was due");
        heard.came(0);
        heard.came(0);
        heard.came(0);
        let told = heard.report(SOURCE, millis(0));
        assert_eq!((told.lost, told.fraction_lost), (-1, 0), "what comes twice");
        heard.begin(9);
        let told = heard.report(SOURCE, millis(0));
        assert_eq!((told.highest, told.lost, told.fraction_lost), (9, 0, 0), "numbering began anew");
    }

    #[test]
    fn jitter_is_that_of_the_standard() {
        let mut heard = Heard::default();
        heard.begin(1);
        let jitter = |heard: &mut Heard| heard.report(SOURCE, millis(0)).jitter;
        // Each 40 ms, as is sent: none.
        for number in 0..100 {
            let timestamp = (u32::MAX - 90_000).wrapping_add(number * 3_600);
            heard.arrived(timestamp, 90_000, millis(40 * u64::from(number)));
        }
        assert_eq!(jitter(&mut heard), 0);
        // One comes 16 ms late, 1,440 ticks; the next in time.
        heard.arrived((u32::MAX - 90_000).wrapping_add(100 * 3_600), 90_000, millis(4_016));
        assert_eq!(jitter(&mut heard), 1_440 / 16);
        heard.arrived((u32::MAX - 90_000).wrapping_add(101 * 3_600), 90_000, millis(4_040));
        assert_eq!(jitter(&mut heard), (1_440 + 1_440 - 90) / 16);
        heard.arrived(0, 90_000, millis(9_999_999));
        assert_eq!(jitter(&mut heard), (1_440 + 1_440 - 90) / 16, "a clock that was set");
    }

    #[test]
    fn a_sender_report_comes_back_with_its_age() {
        let mut heard = Heard::default();
        heard.begin(1);
        let report = SenderReport { ssrc: SOURCE, ntp: 0x0123_4567_89ab_cdef, rtp: 0, packets: 0, octets: 0 };
        heard.told(&report, millis(1_000));
        let told = heard.report(SOURCE, millis(3_500));
        assert_eq!((told.last_report, told.delay), (0x4567_89ab, 2 << 16 | 0x8000));
        let told = heard.report(SOURCE, Duration::from_secs(1 << 20));
        assert_eq!(told.delay, u32::MAX, "longer than there is room for");
    }
}
