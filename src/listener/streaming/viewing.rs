//! The session of a viewer, and the stream under way in it.

use std::{fmt::Write as _, rc::Rc, time::Duration};

use tokio::sync::mpsc;

use super::{admission::ended, alone::Place, upstream::Streams, ways::Ways};
use crate::{
    auth::Caller,
    command::Command,
    facade::Locator,
    gate::Pass,
    hatch::{PacketCounts, Talk, TalkCounts},
    limits::{STREAM_HEARTBEAT_BYTES, STREAM_HEARTBEAT_INTERVAL},
    media::{Losses, Seat, Upstream, Word},
    rtsp::{Field, Request, Session},
    telemetry::{Sent, Watching},
};

/// A session: set up, and perhaps playing.
pub(super) struct Viewing {
    pub(super) id: String,
    pub(super) locator: Locator,
    pub(super) upstream: Rc<Upstream>,
    /// The streams it is one of: others once the camera is reached otherwise.
    pub(super) streams: Rc<Streams>,
    pub(super) caller: Caller,
    /// How each stream that was set up goes.
    pub(super) ways: Ways,
    pub(super) play: Option<Play>,
    /// Whether it has played before.
    pub(super) has_played: bool,
    pub(super) touched: Duration,
    /// Since when nothing plays, where that is so.
    pub(super) idle: Duration,
}

/// A stream under way.
pub(super) struct Play {
    pub(super) seat: Rc<Seat>,
    pub(super) command: Command,
    /// None once it was spent.
    pub(super) pass: Option<Pass>,
    watching: Watching,
    /// Those that he was woken for.
    pub(super) bytes: u64,
    /// Datagrams that were not to be sent.
    pub(super) lost_packets: u64,
    /// Bytes that had passed its queue by before: another stream may have had the same place.
    passed_before: u64,
    /// Of a session with the camera that the viewer has for himself: what had come before this, and before the next.
    pub(super) came_before: Option<PacketCounts>,
    pub(super) came_after: Option<PacketCounts>,
    pub(super) beats: Beats,
    pub(super) began: Duration,
    pub(super) ending: &'static str,
    pub(super) talking: Option<Talking>,
}

/// When the log was told last that a stream goes on, and how many bytes that were.
pub(super) struct Beats {
    bytes: u64,
    at: Duration,
}

impl Beats {
    /// Whether it is to be told again, with so many bytes by now: it is taken to be.
    pub(super) fn is_due(&mut self, bytes: u64, now: Duration) -> bool {
        let due = bytes.saturating_sub(self.bytes) >= STREAM_HEARTBEAT_BYTES
            || now.saturating_sub(self.at) >= STREAM_HEARTBEAT_INTERVAL;
        if due {
            *self = Self { bytes, at: now };
        }
        due
    }
}

/// The viewer is heard at the camera.
pub(super) struct Talking {
    pub(super) judge: Talk,
    /// The back channel.
    pub(super) number: usize,
    /// The viewer's channel of its packets.
    pub(super) channel: u8,
    pub(super) words: mpsc::Sender<Word>,
    /// Nobody else is heard meanwhile.
    pub(super) _place: Place,
}

/// What became of a camera's packets, as records say it.
pub(super) fn told(counts: PacketCounts) -> String {
    format!("{} packets passed, {} dropped, {} missing", counts.passed, counts.dropped(), counts.lost())
}

impl Viewing {
    pub(super) fn names(&self, request: &Request) -> bool {
        request.fields.get(Field::Session).and_then(Session::parse).is_some_and(|it| it.id == self.id)
    }

    /// Whether it is this client's: another that logs in on the connection has no part in it.
    pub(super) fn is_of(&self, caller: &Caller) -> bool {
        self.caller.client() == caller.client()
    }
}

impl Play {
    /// A stream that begins now, permitted by this pass.
    pub(super) fn new(
        seat: Rc<Seat>,
        command: Command,
        (pass, watching): (Pass, Watching),
        now: Duration,
    ) -> Self {
        let passed_before = seat.queue.sent();
        Self {
            passed_before,
            came_before: None,
            came_after: None,
            seat,
            command,
            pass: Some(pass),
            watching,
            bytes: 0,
            lost_packets: 0,
            beats: Beats { bytes: 0, at: now },
            began: now,
            ending: "the viewer left",
            talking: None,
        }
    }

    /// Has metrics count what the viewer was sent and lost since this was done last.
    pub(super) fn count(&mut self) {
        let Losses { times, bytes } = self.seat.queue.losses();
        let lost_datagrams = self.lost_packets;
        let sent = Sent { bytes: self.sent(), fell_behind: times, lost_bytes: bytes, lost_datagrams };
        self.watching.count(sent);
    }

    /// Bytes that the viewer was sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.bytes + self.seat.queue.sent().saturating_sub(self.passed_before)
    }
}

impl Drop for Play {
    /// However a stream ends, how much it was is on record.
    fn drop(&mut self) {
        self.count();
        let losses = self.seat.queue.losses();
        let mut note =
            format!("{}; fell behind {} times, {} bytes lost", self.ending, losses.times, losses.bytes);
        if self.lost_packets > 0 {
            // Writing to a String cannot fail.
            let _ = write!(note, ", {} datagrams not sent", self.lost_packets);
        }
        if let Some(talking) = &self.talking {
            let TalkCounts { passed, bytes, dropped } = talking.judge.counts;
            let _ = write!(note, ", {passed} packets said with {bytes} bytes, {dropped} not passed on");
        }
        if let Some(before) = self.came_before {
            let _ = write!(
                note,
                "; from the camera {}",
                told(self.came_after.unwrap_or_else(|| self.seat.came()).since(&before))
            );
            if let Some(failure) = self.seat.failed() {
                let _ = write!(note, "; {failure}");
            }
        }
        if let Some(pass) = self.pass.take() {
            pass.finish(ended(200, self.sent(), Some(note)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_told_of_each_minute_and_each_hundred_mebibytes() {
        let minute = STREAM_HEARTBEAT_INTERVAL;
        let mut beats = Beats { bytes: 0, at: Duration::ZERO };
        let (soon, much) = (minute - Duration::from_millis(1), STREAM_HEARTBEAT_BYTES);
        assert!(!beats.is_due(much - 1, soon));
        assert!(beats.is_due(much, soon), "by bytes");
        assert!(!beats.is_due(2 * much - 1, minute), "both begin anew");
        assert!(beats.is_due(2 * much, minute));
        assert!(!beats.is_due(2 * much, 2 * minute - Duration::from_millis(1)));
        assert!(beats.is_due(2 * much, 2 * minute), "by time");
    }
}
