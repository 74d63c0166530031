//! A recording played back (ONVIF Streaming Specification §6): two hours of the clip, each access unit with the moment
//! at which it was recorded.

use jiff::{SignedDuration, Timestamp};

use super::clip::{KEY_TICKS, Recorded, TICK_MILLISECONDS, Track};
use crate::rtsp::{Frames, Playback, Range};

/// Ticks of a recording.
const TICKS: i64 = 72_000;

/// What is recorded under one token.
#[derive(Debug, Clone)]
pub(super) struct Recording {
    /// When it begins.
    pub(super) from: Timestamp,
    /// Its tracks with their tokens.
    pub(super) tracks: Vec<(Track, String)>,
}

/// A part of a recording while it is played.
#[derive(Debug)]
pub(super) struct Reel {
    from: Timestamp,
    cseq: u8,
    next: Option<i64>,
    /// The tick behind the last, or before it if it is played backwards.
    end: i64,
    backwards: bool,
    intra: bool,
    /// Whether it goes as fast as it is taken.
    pub(super) pulled: bool,
    paused: bool,
    began: bool,
}

impl Reel {
    /// The part that is asked for under this number; none if the recording has no such part. Without one it goes on
    /// where the one before was paused.
    pub(super) fn new(
        recording: &Recording,
        playback: &Playback,
        cseq: u32,
        before: Option<&Self>,
    ) -> Option<Self> {
        let backwards = playback.scale.is_some_and(|it| it.is_backwards());
        let key = i64::try_from(KEY_TICKS).unwrap_or(1);
        let tick = |at: Timestamp| {
            let since = at.duration_since(recording.from).as_millis();
            let step = i128::from(TICK_MILLISECONDS);
            i64::try_from((since + step - 1).div_euclid(step)).unwrap_or(i64::MAX)
        };
        let whole = if backwards { (TICKS - key, -key) } else { (0, TICKS) };
        let (next, end) = match playback.range {
            Some(Range::Clock { from, to }) if backwards => {
                let group = |tick: i64| tick.div_euclid(key) * key;
                (group(tick(from).min(TICKS - 1)), to.map_or(-key, |to| group(tick(to)).max(0) - key))
            }
            Some(Range::Clock { from, to }) => {
                (tick(from).max(0), to.map_or(TICKS, |to| (tick(to) + 1).min(TICKS)))
            }
            Some(Range::Beginning) => whole,
            None => before.and_then(|it| Some((it.next?, it.end))).unwrap_or(whole),
        };
        if !(0..TICKS).contains(&next) {
            return None;
        }
        Some(Self {
            from: recording.from,
            cseq: (cseq & 0xff) as u8,
            next: Some(next),
            end,
            backwards,
            intra: matches!(playback.frames, Some(Frames::Intra(_))),
            pulled: playback.is_pulled(),
            paused: false,
            began: false,
        })
    }

    /// Stops it where it is.
    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    /// Whether there is more to be sent now.
    pub(super) fn runs(&self) -> bool {
        self.next.is_some() && !self.paused
    }

    /// The tick that is next.
    pub(super) fn next(&self) -> Option<u64> {
        u64::try_from(self.next?).ok()
    }

    /// The part that is left.
    pub(super) fn range(&self) -> Option<Range> {
        let ahead = |tick: i64| SignedDuration::from_millis(tick.saturating_mul(TICK_MILLISECONDS.into()));
        let at = |tick: i64| self.from.checked_add(ahead(tick)).ok();
        let last = if self.backwards { self.end + i64::try_from(KEY_TICKS).unwrap_or(1) } else { self.end };
        Some(Range::Clock { from: at(self.next?)?, to: at(last) })
    }

    /// The tick that is next, with what its packets say of it.
    pub(super) fn advance(&mut self) -> Option<(u64, Recorded)> {
        let tick = self.next.filter(|_| !self.paused)?;
        let key = i64::try_from(KEY_TICKS).unwrap_or(1);
        let begins = tick.rem_euclid(key) == 0;
        let after = match (self.backwards, self.intra) {
            (false, false) => tick + 1,
            (false, true) => (tick.div_euclid(key) + 1) * key,
            (true, true) => tick - key,
            // Groups of pictures come the last first, each with its pictures in their order.
            (true, false) if (tick + 1).rem_euclid(key) == 0 => tick + 1 - 2 * key,
            (true, false) => tick + 1,
        };
        let more = if self.backwards { after > self.end } else { after < self.end };
        self.next = more.then_some(after);
        let jumped = !self.began || (self.backwards && begins);
        self.began = true;
        let ahead = SignedDuration::from_millis(tick.saturating_mul(TICK_MILLISECONDS.into()));
        let recorded = Recorded {
            at: self.from.checked_add(ahead).ok()?,
            clean: begins,
            last: !more,
            jumped,
            cseq: self.cseq,
        };
        Some((u64::try_from(tick).ok()?, recorded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::{Decoder, Peer, Received};

    fn reel(fields: &str, before: Option<&Reel>) -> Option<Reel> {
        let text = format!("PLAY rtsp://h/a RTSP/1.0\r\nCSeq: 300\r\n{fields}\r\n");
        let request = Decoder::new(Peer::Client).next(&mut text.as_bytes().into()).unwrap();
        let Some(Received::Request(request)) = request else { panic!("{request:?}") };
        let from = "2026-11-20T00:00:00Z".parse().unwrap();
        let recording = Recording { from, tracks: Vec::new() };
        Reel::new(&recording, &Playback::of(&request.fields).unwrap(), 300, before)
    }

    fn ticks(mut reel: Reel) -> Vec<u64> {
        std::iter::from_fn(|| reel.advance()).map(|(tick, _)| tick).collect()
    }

    #[test]
    fn parts_are_played_as_asked() {
        let part = "Range: clock=20261120T000001Z-20261120T000001.2Z\r\n";
        assert_eq!(ticks(reel(part, None).unwrap()), [10, 11, 12]);
        assert_eq!(ticks(reel("", None).unwrap()), (0..72_000).collect::<Vec<_>>());
        let intra = ticks(reel("Frames: intra\r\n", None).unwrap());
        assert_eq!(intra, (0..72_000).step_by(10).collect::<Vec<_>>());
        let back =
            ticks(reel("Scale: -1.0\r\nRange: clock=20261120T000001.5Z-20261120T000000Z\r\n", None).unwrap());
        assert_eq!(back, (10..20).chain(0..10).collect::<Vec<_>>());
        assert!(reel("Range: clock=20261121T000000Z-\r\n", None).is_none());
    }

    #[test]
    fn a_pause_ends_where_it_began() {
        let mut first = reel("", None).unwrap();
        let (_, begins) = first.advance().unwrap();
        assert!(begins.jumped && begins.clean && !begins.last);
        assert_eq!(begins.cseq, 300_u32 as u8);
        first.pause();
        assert!(first.advance().is_none() && !first.runs());
        let rest = reel("", Some(&first)).unwrap();
        assert_eq!(ticks(rest)[0], 1);
    }
}
