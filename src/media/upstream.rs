//! One stream of a camera, and everybody who watches it.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::queue::Queue;
use crate::{
    camera::{CameraStream, Failure, Phase, Played},
    clock::Clock,
    hatch::{PacketCounts, Positions, Segment},
    limits::{
        METADATA_BYTES_PER_SECOND_MAX, STREAM_BYTES_PER_SECOND_MAX, STREAM_LINGER,
        STREAM_PACKETS_PER_SECOND_MAX, STREAM_POSITION_TIME_MAX, STREAM_SILENCE_MAX,
    },
    rtsp::{Description, Ssrc},
};

const SECOND: Duration = Duration::from_secs(1);
/// How often it is looked whether anything passes, and how much comes.
const LOOK_INTERVAL: Duration = SECOND;

/// A stream that was described, and plays as long as somebody watches. Lives on its camera's thread.
pub struct Upstream {
    /// What it offers.
    pub description: Description,
    /// The source of each of its streams, as viewers see it.
    pub sources: Vec<Ssrc>,
    viewers: RefCell<Vec<Rc<Queue>>>,
    playing: Cell<bool>,
    left: Notify,
    stopping: Cell<bool>,
    counts: Cell<PacketCounts>,
    /// Whether it is a recording, which one viewer has for himself.
    pub(super) recorded: bool,
    /// How far each stream is.
    positions: RefCell<Vec<Option<Positions>>>,
    begun: Notify,
    /// Where the camera says that they begin.
    said: RefCell<Played>,
    pub(super) clock: Arc<dyn Clock>,
}

/// A viewer's place at a stream; given up when dropped.
pub struct Seat {
    upstream: Rc<Upstream>,
    /// What is to be sent to the viewer.
    pub queue: Rc<Queue>,
    /// How far each stream was when it was taken.
    joined: Vec<Option<Positions>>,
}

impl Seat {
    /// Sequence number and timestamp that a stream is heard from, at the earliest: of its next packet when the place
    /// was taken, or of its first. Waits a little for that; of a stream that is quiet, what the camera says is told.
    pub async fn begins(&self, stream: usize) -> Option<(Option<u16>, Option<u32>)> {
        let known = |(sequence, timestamp)| (Some(sequence), Some(timestamp));
        if let Some(joined) = self.joined.get(stream).copied().flatten() {
            return Some(known(joined.next));
        }
        if self.upstream.positions.borrow().is_empty() {
            // Without it nothing is said.
            let _ = timeout(STREAM_POSITION_TIME_MAX, self.upstream.begun.notified()).await;
        }
        let first = self.upstream.positions.borrow().get(stream).copied().flatten().map(|it| it.first);
        let said = self.upstream.said.borrow();
        let said = said.begins.iter().find(|it| it.0 == stream).map(|it| (it.1, it.2));
        first.map(known).or(said)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.upstream.viewers.borrow_mut().retain(|it| !Rc::ptr_eq(it, &self.queue));
        self.upstream.left.notify_one();
    }
}

/// How fast a camera sends, and whether any of it is of use.
struct Pace {
    /// When the second began that is counted, and what had come then.
    at: Duration,
    then: PacketCounts,
    /// What had passed, and when that was less.
    passed: u64,
    alive: Duration,
}

impl Pace {
    /// Ends a stream that floods, and one of which nothing passes any more: whoever comes next gets a new session.
    fn look(&mut self, counts: PacketCounts, now: Duration) -> Result<(), Failure> {
        let packets = |it: &PacketCounts| it.passed + it.dropped();
        let bytes = |it: &PacketCounts| it.bytes + it.dropped_bytes;
        let since = now.saturating_sub(self.at).max(SECOND);
        // Whoever did not look for longer has more before him.
        let floods = |more: u64, second_max: u64| {
            u128::from(more) * SECOND.as_millis() > u128::from(second_max) * since.as_millis()
        };
        if floods(packets(&counts) - packets(&self.then), STREAM_PACKETS_PER_SECOND_MAX)
            || floods(bytes(&counts) - bytes(&self.then), STREAM_BYTES_PER_SECOND_MAX)
            // To be read costs a hundred times what it costs to be handed on.
            || floods(counts.read - self.then.read, METADATA_BYTES_PER_SECOND_MAX)
        {
            return Err(Failure::Flooding);
        }
        if now.saturating_sub(self.at) >= SECOND {
            (self.at, self.then) = (now, counts);
        }
        if counts.passed > self.passed {
            (self.passed, self.alive) = (counts.passed, now);
        } else if now.saturating_sub(self.alive) > STREAM_SILENCE_MAX {
            return Err(Failure::TimedOut(Phase::Answer));
        }
        Ok(())
    }
}

impl Upstream {
    /// A stream with this description, whose streams viewers see as these sources.
    pub fn new(description: Description, sources: Vec<Ssrc>, clock: Arc<dyn Clock>) -> Rc<Self> {
        Rc::new(Self::silent(description, sources, clock))
    }

    /// A recording, for one viewer.
    pub fn of_recording(description: Description, sources: Vec<Ssrc>, clock: Arc<dyn Clock>) -> Rc<Self> {
        Rc::new(Self { recorded: true, ..Self::silent(description, sources, clock) })
    }

    fn silent(description: Description, sources: Vec<Ssrc>, clock: Arc<dyn Clock>) -> Self {
        Self {
            description,
            sources,
            viewers: RefCell::default(),
            playing: Cell::new(false),
            left: Notify::new(),
            stopping: Cell::new(false),
            counts: Cell::default(),
            recorded: false,
            positions: RefCell::default(),
            begun: Notify::new(),
            said: RefCell::default(),
            clock,
        }
    }

    /// Says that it plays, and what the camera says of it.
    pub fn plays(&self, said: Played) {
        self.said.replace(said);
        self.playing.set(true);
    }

    /// Whether it plays, and not only was described.
    pub fn is_playing(&self) -> bool {
        self.playing.get()
    }

    /// Takes a place.
    pub fn join(self: &Rc<Self>) -> Seat {
        let queue = Rc::new(if self.recorded { Queue::of_recording() } else { Queue::default() });
        self.viewers.borrow_mut().push(Rc::clone(&queue));
        Seat { upstream: Rc::clone(self), queue, joined: self.positions.borrow().clone() }
    }

    /// How many watch.
    pub fn watched(&self) -> usize {
        self.viewers.borrow().len()
    }

    /// What happened to its packets so far.
    pub fn counts(&self) -> PacketCounts {
        self.counts.get()
    }

    /// Ends it, whoever watches.
    pub fn stop(&self) {
        self.stopping.set(true);
        self.left.notify_one();
    }

    /// Hands on what the camera sends, until it ends or nobody has watched for a while.
    pub async fn relay(&self, stream: &mut CameraStream) -> Result<(), Failure> {
        let ended = self.hand_on(stream).await;
        self.count(stream.counts());
        self.end();
        ended
    }

    /// Tells all who watch that nothing more comes.
    pub fn end(&self) {
        for viewer in self.viewers.borrow().iter() {
            viewer.end();
        }
    }

    /// Puts what came into the queues of all who watch. `now` is monotonic.
    pub(super) fn push(&self, segments: &[Segment], now: Duration) {
        for viewer in self.viewers.borrow().iter() {
            viewer.push(segments, now);
        }
    }

    /// Says what happened to its packets so far.
    pub(super) fn count(&self, counts: PacketCounts) {
        self.counts.set(counts);
    }

    /// The queue of the only viewer.
    pub(super) fn viewer(&self) -> Option<Rc<Queue>> {
        self.viewers.borrow().first().cloned()
    }

    async fn hand_on(&self, stream: &mut CameraStream) -> Result<(), Failure> {
        let next_sign = stream.keep_alive().await?;
        let begun = self.clock.monotonic();
        let mut pace = Pace { at: begun, then: PacketCounts::default(), passed: 0, alive: begun };
        // These count on over everything that is handed on meanwhile: no timer is set for a picture.
        let mut sign_due = pin!(sleep(next_sign));
        let mut look = interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut deserted = pin!(self.deserted());
        loop {
            tokio::select! {
                segments = stream.read() => {
                    let (segments, now) = (segments?, self.clock.monotonic());
                    self.push(&segments, now);
                    let begins = self.counts.get().passed == 0;
                    self.count(stream.counts());
                    let mut positions = self.positions.borrow_mut();
                    positions.clear();
                    positions.extend(stream.positions());
                    if begins && !segments.is_empty() {
                        self.begun.notify_waiters();
                    }
                    pace.look(stream.counts(), now)?;
                }
                _ = look.tick() => pace.look(stream.counts(), self.clock.monotonic())?,
                () = &mut sign_due => {
                    let next_sign = stream.keep_alive().await?;
                    sign_due.set(sleep(next_sign));
                }
                () = &mut deserted => return Ok(()),
            }
        }
    }

    /// Waits until nobody has watched for a while.
    async fn deserted(&self) {
        loop {
            while self.watched() > 0 && !self.stopping.get() {
                self.left.notified().await;
            }
            if self.stopping.get() {
                return;
            }
            // Whoever leaves meanwhile, or the order to stop, begins the wait anew.
            let lingered = tokio::select! {
                () = sleep(STREAM_LINGER) => true,
                () = self.left.notified() => false,
            };
            if lingered && self.watched() == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_floods_or_of_which_nothing_passes_ends() {
        let begun = Duration::from_secs(5);
        let pace = || Pace { at: begun, then: PacketCounts::default(), passed: 0, alive: begun };
        let within = begun + Duration::from_millis(900);
        let of = |passed, bytes, read| PacketCounts { passed, bytes, read, ..PacketCounts::default() };
        for (most, more) in [
            (of(STREAM_PACKETS_PER_SECOND_MAX, 1, 0), of(STREAM_PACKETS_PER_SECOND_MAX + 1, 1, 0)),
            (of(1, STREAM_BYTES_PER_SECOND_MAX, 0), of(1, STREAM_BYTES_PER_SECOND_MAX + 1, 0)),
            (of(1, 1, METADATA_BYTES_PER_SECOND_MAX), of(1, 1, METADATA_BYTES_PER_SECOND_MAX + 1)),
        ] {
            assert_eq!(pace().look(most, within), Ok(()), "{most:?}");
            assert_eq!(pace().look(more, within), Err(Failure::Flooding), "{more:?}");
            // Of what does not pass nothing is handed on, and it is looked at once a second all the same.
            assert_eq!(pace().look(more, begun + SECOND), Err(Failure::Flooding), "{more:?}");
            assert_eq!(pace().look(more, begun + 2 * SECOND), Ok(()), "{more:?} in two seconds");
        }
        let mut pace = pace();
        assert_eq!(pace.look(of(1, 1, 0), begun), Ok(()));
        assert_eq!(pace.look(of(1, 1, 0), begun + STREAM_SILENCE_MAX), Ok(()));
        let late = begun + STREAM_SILENCE_MAX + Duration::from_millis(1);
        assert_eq!(pace.look(of(1, 1, 0), late), Err(Failure::TimedOut(Phase::Answer)));
    }
}
