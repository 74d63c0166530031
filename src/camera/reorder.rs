//! Datagrams of one stream, put in the order of their numbers: what was overtaken on the way goes before what overtook
//! it, unless it comes too late for that. What comes in order waits for nothing.

use std::{collections::VecDeque, time::Duration};

use crate::{
    limits::{
        RTP_LATE_STEP_MAX, STREAM_REORDER_BYTES_MAX, STREAM_REORDER_PACKETS_MAX, STREAM_REORDER_TIME_MAX,
    },
    rtsp::{FRAME_HEAD_BYTES, RtpHeader, Ssrc},
};

/// The order of one stream's datagrams.
#[derive(Debug, Default)]
pub(super) struct Reorder {
    /// The source, and the number that is next; none as long as nothing came.
    next: Option<(Ssrc, u16)>,
    /// What overtook others, in its order.
    waiting: VecDeque<Waiting>,
    /// What came too late, or twice, and its bytes: since somebody asked.
    late: (u64, u64),
}

/// A frame that waits for one before it.
#[derive(Debug)]
struct Waiting {
    sequence: u16,
    frame: Vec<u8>,
    /// When it came, in monotonic time.
    at: Duration,
}

impl Reorder {
    /// Judges the frame that a buffer ends with, from `start` on. It stays there if it is its turn, with those behind it
    /// that waited for it. `now` is monotonic.
    pub(super) fn take(&mut self, buffer: &mut Vec<u8>, start: usize, now: Duration) {
        // What is no packet is judged elsewhere.
        let Some((source, sequence)) = buffer.get(start..).and_then(numbered) else { return };
        let known = self.next.filter(|(known, _)| *known == source);
        let step = known.map(|(_, next)| sequence.wrapping_sub(next));
        match step {
            Some(0) => {}
            Some(1..=STREAM_REORDER_PACKETS_MAX) => {
                let frame = buffer.split_off(start);
                self.keep(Waiting { sequence, frame, at: now }, buffer);
                return;
            }
            Some(step) if step >= RTP_LATE_STEP_MAX.wrapping_neg() => {
                self.drop_late(buffer.len() - start);
                buffer.truncate(start);
                return;
            }
            // The first, or one of another numbering: those that waited in the one before are of the time before it.
            Some(_) | None if self.waiting.is_empty() => {}
            Some(_) | None => {
                let frame = buffer.split_off(start);
                self.release(buffer, |_| true);
                buffer.extend_from_slice(&frame);
            }
        }
        self.next = Some((source, sequence.wrapping_add(1)));
        self.follow(buffer);
    }

    /// Hands on what has waited too long, without what it waited for.
    pub(super) fn expire(&mut self, buffer: &mut Vec<u8>, now: Duration) {
        let is_over = |it: &Waiting| now.saturating_sub(it.at) >= STREAM_REORDER_TIME_MAX;
        self.release(buffer, |waiting| waiting.iter().any(is_over));
    }

    /// How long until something has waited too long.
    pub(super) fn due(&self, now: Duration) -> Option<Duration> {
        let oldest = self.waiting.iter().map(|it| it.at).min()?;
        Some(STREAM_REORDER_TIME_MAX.saturating_sub(now.saturating_sub(oldest)))
    }

    /// How many came too late or twice since this was asked last, and their bytes.
    pub(super) fn late(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.late)
    }

    fn drop_late(&mut self, bytes: usize) {
        self.late.0 += 1;
        self.late.1 += bytes as u64;
    }

    /// Keeps a frame in its place; what there is no room for any more is waited for no longer.
    fn keep(&mut self, frame: Waiting, buffer: &mut Vec<u8>) {
        let Some((_, next)) = self.next else { return };
        let ahead = |it: &Waiting| it.sequence.wrapping_sub(next);
        let place = self.waiting.partition_point(|it| ahead(it) < ahead(&frame));
        if self.waiting.get(place).is_some_and(|it| it.sequence == frame.sequence) {
            self.drop_late(frame.frame.len());
            return;
        }
        self.waiting.insert(place, frame);
        self.release(buffer, |waiting| {
            let bytes: usize = waiting.iter().map(|it| it.frame.len()).sum();
            waiting.len() >= usize::from(STREAM_REORDER_PACKETS_MAX) || bytes > STREAM_REORDER_BYTES_MAX
        });
    }

    /// Gives up what is waited for, as long as this says so.
    fn release(&mut self, buffer: &mut Vec<u8>, gives_up: impl Fn(&VecDeque<Waiting>) -> bool) {
        while !self.waiting.is_empty() && gives_up(&self.waiting) {
            if let (Some((_, next)), Some(first)) = (&mut self.next, self.waiting.front()) {
                *next = first.sequence;
            }
            self.follow(buffer);
        }
    }

    /// Hands on those whose turn it is.
    fn follow(&mut self, buffer: &mut Vec<u8>) {
        let Some((_, next)) = &mut self.next else { return };
        while let Some(first) = self.waiting.pop_front_if(|it| it.sequence == *next) {
            *next = next.wrapping_add(1);
            buffer.extend_from_slice(&first.frame);
        }
    }
}

/// Source and number of a packet in a frame.
fn numbered(frame: &[u8]) -> Option<(Ssrc, u16)> {
    let header = RtpHeader::parse(frame.get(FRAME_HEAD_BYTES..)?).ok()?;
    Some((header.ssrc, header.sequence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RTP_PACKET_BYTES_MAX;

    const NOW: Duration = Duration::from_secs(5);
    const NONE: [u16; 0] = [];

    /// What comes of packets with these numbers.
    struct Line {
        order: Reorder,
        buffer: Vec<u8>,
    }

    fn frame(source: u8, sequence: u16) -> Vec<u8> {
        let [high, low] = sequence.to_be_bytes();
        vec![b'$', 0, 0, 13, 0x80, 96, high, low, 0, 0, 0, 9, 0, 0, 0, source, low]
    }

    impl Line {
        fn new() -> Self {
            Self { order: Reorder::default(), buffer: Vec::new() }
        }

        /// Has one come, and says which are handed on.
        fn come(&mut self, source: u8, sequence: u16, now: Duration) -> Vec<u16> {
            let start = self.buffer.len();
            self.buffer.extend_from_slice(&frame(source, sequence));
            self.order.take(&mut self.buffer, start, now);
            self.out()
        }

        fn out(&mut self) -> Vec<u16> {
            let out = std::mem::take(&mut self.buffer);
            out.chunks(17).map(|it| u16::from_be_bytes([it[6], it[7]])).collect()
        }
    }

    #[test]
    fn what_comes_in_order_waits_for_nothing_and_what_was_overtaken_goes_first() {
        let mut line = Line::new();
        for sequence in [65_534, 65_535, 0, 1] {
            assert_eq!(line.come(7, sequence, NOW), [sequence]);
            assert_eq!(line.order.due(NOW), None);
        }
        assert_eq!(line.come(7, 4, NOW), NONE);
        assert_eq!(line.come(7, 3, NOW), NONE);
        assert_eq!(line.come(7, 6, NOW), NONE);
        assert_eq!(line.come(7, 2, NOW), [2, 3, 4]);
        assert_eq!(line.come(7, 5, NOW), [5, 6]);
        assert_eq!((line.order.due(NOW), line.order.late()), (None, (0, 0)));
    }

    #[test]
    fn what_is_waited_for_too_long_is_given_up_and_does_not_pass_later() {
        let mut line = Line::new();
        line.come(7, 1, NOW);
        let half = STREAM_REORDER_TIME_MAX / 2;
        assert_eq!(line.come(7, 3, NOW), NONE);
        assert_eq!(line.come(7, 4, NOW + half), NONE);
        assert_eq!(line.come(7, 6, NOW + half), NONE);
        assert_eq!(line.order.due(NOW + half), Some(half));
        let expire = |line: &mut Line, now| {
            line.order.expire(&mut line.buffer, now);
            line.out()
        };
        assert_eq!(expire(&mut line, NOW + half * 2 - Duration::from_nanos(1)), NONE);
        assert_eq!(expire(&mut line, NOW + half * 2), [3, 4], "each waits as long");
        assert_eq!(line.come(7, 2, NOW + half * 2), NONE);
        assert_eq!(line.come(7, 4, NOW + half * 2), NONE, "twice");
        assert_eq!(line.come(7, 6, NOW + half * 2), NONE, "twice, before its turn");
        assert_eq!(line.order.late(), (3, 3 * 17));
        assert_eq!(line.order.due(NOW + half * 2), Some(half));
        assert_eq!(expire(&mut line, NOW + half * 3), [6]);
        assert_eq!((line.order.due(NOW), line.order.late()), (None, (0, 0)));
    }

    #[test]
    fn no_more_waits_than_there_is_room_for() {
        let mut line = Line::new();
        line.come(7, 0, NOW);
        for sequence in 2..=STREAM_REORDER_PACKETS_MAX {
            assert_eq!(line.come(7, sequence, NOW), NONE, "{sequence}");
        }
        let all: Vec<u16> = (2..=STREAM_REORDER_PACKETS_MAX + 1).collect();
        assert_eq!(line.come(7, STREAM_REORDER_PACKETS_MAX + 1, NOW), all);
        assert_eq!(line.order.due(NOW), None);
        // Few that are large.
        let large = |sequence: u16| [frame(7, sequence), vec![0; RTP_PACKET_BYTES_MAX - 13]].concat();
        let most = u16::try_from(STREAM_REORDER_BYTES_MAX / RTP_PACKET_BYTES_MAX).unwrap();
        for number in 1..=most {
            line.buffer = large(70 + number);
            line.order.take(&mut line.buffer, 0, NOW);
            let taken = if number < most { 0 } else { usize::from(most) * large(0).len() };
            assert_eq!(line.buffer.len(), taken, "{number}");
        }
    }

    #[test]
    fn another_numbering_begins_behind_what_waited_in_the_one_before() {
        let mut line = Line::new();
        line.come(7, 0, NOW);
        assert_eq!(line.come(7, 2, NOW), NONE);
        assert_eq!(line.come(8, 9, NOW), [2, 9], "another source");
        assert_eq!(line.come(8, 11, NOW), NONE);
        assert_eq!(line.come(8, 5_000, NOW), [11, 5_000], "far ahead");
        assert_eq!(line.come(8, 5_002, NOW), NONE);
        assert_eq!(line.come(8, 4_000, NOW), [5_002, 4_000], "far behind");
        let mut short = vec![b'$', 0, 0, 3, 1, 2, 3];
        line.order.take(&mut short, 0, NOW);
        assert_eq!(short, [b'$', 0, 0, 3, 1, 2, 3], "what is no packet is judged elsewhere");
        assert_eq!(line.come(8, 4_001, NOW), [4_001]);
        assert_eq!(line.order.late(), (0, 0));
    }
}
