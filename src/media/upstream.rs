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
    time::{sleep, timeout},
};

use super::{
    group::Group,
    looks::looks,
    pace::{Kind, Pace},
    queue::Queue,
};
use crate::{
    camera::{CameraStream, Connection, Failure, Played},
    clock::Clock,
    hatch::{PacketCounts, Positions, Segment},
    limits::{STREAM_LINGER, STREAM_POSITION_TIME_MAX},
    rtsp::{Description, Ssrc},
    telemetry::{CameraMeter, Disorder, Packet},
};

/// A stream that was described, and plays as long as somebody watches. Lives on its camera's thread.
pub struct Upstream {
    /// What it offers.
    pub description: Description,
    /// The source of each of its streams, as viewers see it.
    pub sources: Vec<Ssrc>,
    viewers: RefCell<Vec<Rc<Queue>>>,
    /// What viewers begin with; nothing unless somebody wanted to.
    group: RefCell<Option<Group>>,
    playing: Cell<bool>,
    left: Notify,
    stopping: Cell<bool>,
    counts: Cell<PacketCounts>,
    /// Why a session of one viewer ended.
    pub(super) failed: RefCell<Option<Failure>>,
    /// Whether it is a recording, which one viewer has for himself.
    pub(super) recorded: bool,
    /// How far each stream is.
    positions: RefCell<Vec<Option<Positions>>>,
    begun: Notify,
    /// Where the camera says that they begin.
    said: RefCell<Played>,
    /// When the viewer gave a sign of life last.
    pub(super) stirred: Cell<Duration>,
    /// What metrics have of its packets so far.
    metered: Cell<PacketCounts>,
    meter: Arc<CameraMeter>,
    pub(super) clock: Arc<dyn Clock>,
}

/// What time it is, and where its camera's packets are counted.
pub type Measures = (Arc<dyn Clock>, Arc<CameraMeter>);

/// A viewer's place at a stream; given up when dropped.
pub struct Seat {
    upstream: Rc<Upstream>,
    /// What is to be sent to the viewer.
    pub queue: Rc<Queue>,
    /// Number and timestamp of what each stream begins with, as far as that was known when it was taken.
    joined: Vec<Option<(u16, u32)>>,
}

impl Seat {
    /// Sequence number and timestamp that a stream is heard from, at the earliest: of the first packet that is sent again
    /// or else of its next when the place was taken, or of its first. Waits a little for that; of a stream that is quiet,
    /// what the camera says is told.
    pub async fn begins(&self, stream: usize) -> Option<(Option<u16>, Option<u32>)> {
        let known = |(sequence, timestamp)| (Some(sequence), Some(timestamp));
        if let Some(joined) = self.joined.get(stream).copied().flatten() {
            return Some(known(joined));
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

    /// What became of the camera's packets so far.
    pub fn came(&self) -> PacketCounts {
        self.upstream.counts.get()
    }

    /// Why the session with the camera ended, if that is what it did.
    pub fn failed(&self) -> Option<Failure> {
        self.upstream.failed.borrow().clone()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.upstream.viewers.borrow_mut().retain(|it| !Rc::ptr_eq(it, &self.queue));
        self.upstream.left.notify_one();
    }
}

impl Upstream {
    /// A stream with this description, whose streams viewers see as these sources.
    pub fn new(description: Description, sources: Vec<Ssrc>, measures: Measures) -> Rc<Self> {
        Rc::new(Self::silent(description, sources, measures))
    }

    /// A recording, for one viewer.
    pub fn of_recording(description: Description, sources: Vec<Ssrc>, measures: Measures) -> Rc<Self> {
        Rc::new(Self { recorded: true, ..Self::silent(description, sources, measures) })
    }

    fn silent(description: Description, sources: Vec<Ssrc>, (clock, meter): Measures) -> Self {
        Self {
            description,
            sources,
            viewers: RefCell::default(),
            group: RefCell::default(),
            playing: Cell::new(false),
            left: Notify::new(),
            stopping: Cell::new(false),
            counts: Cell::default(),
            failed: RefCell::default(),
            recorded: false,
            positions: RefCell::default(),
            begun: Notify::new(),
            said: RefCell::default(),
            stirred: Cell::default(),
            metered: Cell::default(),
            meter,
            clock,
        }
    }

    /// Says that it plays, and what the camera says of it.
    pub fn plays(&self, said: Played) {
        self.said.replace(said);
        self.playing.set(true);
    }

    /// Says that the viewer of a recording is there.
    pub fn stir(&self, now: Duration) {
        self.stirred.set(now);
    }

    /// Whether it plays, and not only was described.
    pub fn is_playing(&self) -> bool {
        self.playing.get()
    }

    /// Takes a place.
    pub fn join(self: &Rc<Self>) -> Seat {
        let queue = Rc::new(if self.recorded { Queue::of_recording() } else { Queue::default() });
        self.viewers.borrow_mut().push(Rc::clone(&queue));
        let joined = self.positions.borrow().iter().map(|it| it.map(|it| it.next)).collect();
        Seat { upstream: Rc::clone(self), queue, joined }
    }

    /// Takes a place, and is sent first what came since the last picture that a decoder can begin with, as far as that is
    /// kept: it is from now on.
    pub fn join_at_last_key_frame(self: &Rc<Self>) -> Seat {
        let mut seat = self.join();
        let now = self.clock.monotonic();
        let mut group = self.group.borrow_mut();
        let group = group.get_or_insert_default();
        seat.queue.begin_with(group.runs(now), now);
        if group.runs(now).next().is_some() {
            for (joined, begins) in seat.joined.iter_mut().zip(group.begins(self.description.media.len())) {
                *joined = begins.or(*joined);
            }
        }
        seat
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

    /// Hands on what the camera sends, until it ends or nobody has watched for a while. `connection` is the camera's.
    pub async fn relay(&self, stream: &mut CameraStream, connection: &Connection) -> Result<(), Failure> {
        let ended = self.hand_on(stream, connection).await.map_err(|failure| stream.explained(failure));
        self.count(stream.counts());
        self.meter();
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
        if let Some(group) = &mut *self.group.borrow_mut() {
            group.push(segments, now);
        }
        for viewer in self.viewers.borrow().iter() {
            viewer.push(segments, now);
        }
    }

    /// Says what happened to its packets so far.
    pub(super) fn count(&self, counts: PacketCounts) {
        self.counts.set(counts);
    }

    /// Has metrics count what came since this was done last.
    pub(super) fn meter(&self) {
        let counts = self.counts.get();
        let more = counts.since(&self.metered.replace(counts));
        let media = &self.meter.media;
        media.bytes(more.bytes, more.dropped_bytes);
        for (what, packets) in [
            (Packet::Passed, more.passed),
            (Packet::Channel, more.channel),
            (Packet::Malformed, more.malformed),
            (Packet::PayloadType, more.payload_type),
            (Packet::Source, more.source),
            (Packet::Report, more.reports),
            (Packet::Document, more.documents),
            (Packet::Overtaken, more.overtaken),
        ] {
            media.packets(what, packets);
        }
        for (what, packets) in [
            (Disorder::Missing, more.missing),
            (Disorder::Late, more.late),
            (Disorder::Anew, more.resyncs),
            (Disorder::Goodbye, more.byes),
        ] {
            media.disorder(what, packets);
        }
    }

    /// The queue of the only viewer.
    pub(super) fn viewer(&self) -> Option<Rc<Queue>> {
        self.viewers.borrow().first().cloned()
    }

    async fn hand_on(&self, stream: &mut CameraStream, connection: &Connection) -> Result<(), Failure> {
        let next_sign = connection.keep_alive(stream).await?;
        let begun = self.clock.monotonic();
        let mut pace = Pace::new(Kind::Live, stream.counts(), begun);
        // These count on over everything that is handed on meanwhile: no timer is set for a picture.
        let mut sign_due = pin!(sleep(next_sign));
        let mut look = looks(&*self.clock);
        let mut deserted = pin!(self.deserted());
        loop {
            tokio::select! {
                segments = stream.read() => {
                    let (segments, now) = (segments?, self.clock.monotonic());
                    self.push(&segments, now);
                    let begins = self.counts.get().passed == 0;
                    self.count(stream.counts());
                    self.place(stream);
                    if begins && !segments.is_empty() {
                        self.begun.notify_waiters();
                    }
                    pace.look(stream.counts(), now)?;
                    if stream.is_sign_due() {
                        sign_due.set(sleep(connection.keep_alive(stream).await?));
                    }
                }
                _ = look.tick() => {
                    pace.look(stream.counts(), self.clock.monotonic())?;
                    // Not at once: a source that takes another number says goodbye for the one before (RFC 3550 §8.2).
                    if stream.have_ended() {
                        return Err(Failure::Goodbye);
                    }
                    stream.report().await?;
                    self.meter();
                }
                () = &mut sign_due => {
                    let next_sign = connection.keep_alive(stream).await?;
                    sign_due.set(sleep(next_sign));
                }
                () = &mut deserted => return Ok(()),
            }
        }
    }

    /// Says how far each stream is.
    fn place(&self, stream: &CameraStream) {
        let mut positions = self.positions.borrow_mut();
        positions.clear();
        positions.extend(stream.positions());
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
