//! The events of one camera, between the one subscription they come by and everybody who wants them.
//!
//! The last events stand in a ring, and whoever reads has a cursor into it: nobody has a queue of his own that could grow,
//! nobody waits for anybody, and who is too slow is told how many events he missed. Beside it stands the last state of
//! every property, which a subscriber gets first (Core §9.1.6, SetSynchronizationPoint).
//!
//! A hub may be used from any thread: a camera's own thread fills it, and a broker's client or the admin listener reads it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::watch;

use super::{
    event::{Event, Operation, Print},
    room::Room,
    upstream::Way,
};
use crate::{
    clock::Clock,
    ids::CameraId,
    limits::{
        EVENT_BURST_PER_CAMERA_MAX, EVENT_LATE_MAX, EVENT_PRINTS_PER_CAMERA_MAX,
        EVENTS_KEPT_BYTES_PER_CAMERA_MAX, EVENTS_KEPT_PER_CAMERA_MAX, EVENTS_PER_CAMERA_PER_SECOND_MAX,
        PROPERTIES_BYTES_PER_CAMERA_MAX, PROPERTIES_PER_CAMERA_MAX, STATES_SETTLE_TIME,
    },
};

/// The events of one camera.
pub struct Hub {
    clock: Arc<dyn Clock>,
    /// What it shares with the hubs of other cameras.
    room: Arc<Room>,
    inside: Mutex<Inside>,
    /// The number of the last event.
    latest: watch::Sender<u64>,
    /// How many want events.
    wanted: watch::Sender<usize>,
}

#[derive(Default)]
struct Inside {
    ring: VecDeque<Arc<Event>>,
    ring_bytes: usize,
    latest: u64,
    properties: HashMap<Print, Property>,
    properties_bytes: usize,
    /// The last events, so that what is told twice is heard once.
    prints: VecDeque<Print>,
    known: HashMap<Print, u64>,
    /// Which subscription to the camera it is.
    generation: u64,
    /// Whether its messages come one beside the other, and so may overtake each other.
    overtaking: bool,
    /// When the state of a property was told last by this subscription, as far as nothing was made of it yet.
    states_at: Option<Duration>,
    /// Events that may come at once yet, in thousandths; none before the first came.
    allowance: Option<(u64, Duration)>,
    counts: Counts,
}

/// The last state of a property.
struct Property {
    event: Arc<Event>,
    known: Known,
}

/// What the camera said of a property.
#[derive(Clone, Copy)]
struct Known {
    /// By which subscription the camera told of it last.
    heard: u64,
    /// Whether the camera tells of it to whoever subscribes.
    announced: bool,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// Everybody hears it.
    Told,
    /// It was told before, by an earlier subscription.
    Duplicate,
    /// It says of a property what is known, as a camera does when it is subscribed to anew.
    Unchanged,
    /// More came than may: nobody hears it. The state of its property is taken up.
    OverRate,
}

/// What became of the events of a camera since the gateway started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Told to everybody.
    pub told: u64,
    /// Told before.
    pub duplicates: u64,
    /// Said what was known of a property.
    pub unchanged: u64,
    /// Beyond what may come in a time.
    pub over_rate: u64,
    /// Properties whose state found no room.
    pub unkept: u64,
}

/// What somebody gets who joins.
#[derive(Debug)]
pub struct Joined {
    /// The state of every property, as `Initialized`, in the order of their last changes.
    pub state: Vec<Arc<Event>>,
    /// From where to read on.
    pub after: u64,
}

/// Events that came after a cursor.
#[derive(Debug, Default)]
pub struct Batch {
    /// In their order.
    pub events: Vec<Arc<Event>>,
    /// From where to read on.
    pub after: u64,
    /// How many came that are not in the ring any more.
    pub missed: u64,
}

/// The hubs of all cameras.
#[derive(Default)]
pub struct Hubs {
    all: Mutex<BTreeMap<CameraId, Arc<Hub>>>,
    room: Arc<Room>,
}

impl Hubs {
    /// That of one camera; made when it is asked for first.
    pub fn of(&self, camera: &CameraId, clock: &Arc<dyn Clock>) -> Arc<Hub> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Hub::within(Arc::clone(clock), &self.room);
        Arc::clone(all.entry(camera.clone()).or_insert_with(make))
    }

    /// Memory of the events that are kept of all cameras.
    pub fn kept_bytes(&self) -> usize {
        self.room.taken()
    }

    /// What became of the events of each camera.
    pub fn counts(&self) -> Vec<(CameraId, Counts)> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(camera, hub)| (camera.clone(), hub.counts())).collect()
    }
}

/// Somebody wants events of the camera, for as long as this lives.
pub struct Want(Arc<Hub>);

impl Drop for Want {
    fn drop(&mut self) {
        self.0.wanted.send_modify(|it| *it = it.saturating_sub(1));
    }
}

impl Hub {
    /// Of a camera of which nothing is known yet, with room of its own.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::within(clock, &Arc::default())
    }

    /// The same in room that is shared.
    pub(super) fn within(clock: Arc<dyn Clock>, room: &Arc<Room>) -> Arc<Self> {
        let (latest, wanted) = (watch::Sender::new(0), watch::Sender::new(0));
        let hub = Arc::new(Self { clock, room: Arc::clone(room), inside: Mutex::default(), latest, wanted });
        room.enter(&hub);
        hub
    }

    /// Says that somebody wants events, so that the camera is subscribed to.
    pub fn want(self: &Arc<Self>) -> Want {
        self.wanted.send_modify(|it| *it = it.saturating_add(1));
        Want(Arc::clone(self))
    }

    /// How many want events now, and to wait for that to change.
    pub fn wanted(&self) -> watch::Receiver<usize> {
        self.wanted.subscribe()
    }

    /// The camera was subscribed to anew: what it told before it may tell again.
    pub fn begin(&self) {
        let mut inside = self.inside();
        inside.generation = inside.generation.wrapping_add(1);
        inside.states_at = None;
    }

    /// How events come by the subscription that there is.
    pub fn comes_by(&self, way: Way) {
        self.inside().overtaking = way == Way::Push;
    }

    /// What the camera told may have been lost on the way: that it did not tell of a property proves nothing.
    pub fn doubt(&self) {
        self.inside().states_at = None;
    }

    /// How long until there is something to settle, if the camera tells no more of its properties.
    pub fn settles_in(&self) -> Option<Duration> {
        let now = self.clock.monotonic();
        let at = self.inside().states_at?;
        Some(at.saturating_add(STATES_SETTLE_TIME).saturating_sub(now))
    }

    /// Tells that properties are no more which vanished while the camera was not subscribed to: it announced them to an
    /// earlier subscription, and to this one others, but not these. How many.
    pub fn settle(&self) -> usize {
        let now = self.clock.monotonic();
        let (vanished, latest) = self.change(|inside| {
            let vanished = inside.vanished(now, self.clock.now());
            let count = vanished.len();
            for event in vanished {
                inside.publish(event, now);
            }
            (count, inside.latest)
        });
        if vanished > 0 {
            self.latest.send_replace(latest);
        }
        vanished
    }

    /// Takes up an event of the camera. The order in which they come counts: cameras' clocks are set back.
    pub fn publish(&self, event: Event) -> Published {
        let now = self.clock.monotonic();
        let (published, latest) = self.change(|inside| (inside.publish(event, now), inside.latest));
        if published == Published::Told {
            self.latest.send_replace(latest);
        }
        published
    }

    /// The state of every property and where to read on, as of one moment.
    pub fn join(&self) -> Joined {
        let inside = self.inside();
        let mut state: Vec<&Arc<Event>> = inside.properties.values().map(|it| &it.event).collect();
        state.sort_unstable_by_key(|it| it.sequence);
        let state = state.into_iter().map(|it| Arc::new(it.initialized())).collect();
        Joined { state, after: inside.latest }
    }

    /// The number of the last event: from where to read on for who wants none of before.
    pub fn latest(&self) -> u64 {
        self.inside().latest
    }

    /// The events after a cursor, no more than `most`.
    pub fn read(&self, after: u64, most: usize) -> Batch {
        let inside = self.inside();
        let first = inside.ring.front().map_or(inside.latest.saturating_add(1), |it| it.sequence);
        let missed = first.saturating_sub(after.saturating_add(1));
        let from = after.saturating_add(missed);
        let skip = usize::try_from(from.saturating_add(1).saturating_sub(first)).unwrap_or(usize::MAX);
        let events: Vec<Arc<Event>> = inside.ring.iter().skip(skip).take(most).map(Arc::clone).collect();
        let after = events.last().map_or(from, |it| it.sequence);
        Batch { events, after, missed }
    }

    /// Waits until there is an event after a cursor.
    pub async fn after(&self, after: u64) {
        let mut latest = self.latest.subscribe();
        // The sender lives as long as this.
        let _ = latest.wait_for(|it| *it > after).await;
    }

    /// What became of all events.
    pub fn counts(&self) -> Counts {
        self.inside().counts
    }

    /// Forgets state and events: another device is there, or nobody hears the camera any more, so that nobody knows what
    /// becomes of it.
    pub fn forget(&self) {
        self.change(|inside| {
            let Inside { latest, counts, generation, overtaking, .. } = *inside;
            *inside = Inside { latest, counts, generation, overtaking, ..Inside::default() };
        });
    }

    /// Memory of the events that are kept.
    pub(super) fn kept_bytes(&self) -> usize {
        self.inside().ring_bytes
    }

    /// Keeps no more events than take so many bytes.
    pub(super) fn shed(&self, bytes_max: usize) {
        let mut inside = self.inside();
        let before = inside.ring_bytes;
        inside.shed(bytes_max);
        self.room.changed(before, inside.ring_bytes);
    }

    /// Changes what is kept, within the room there is.
    fn change<T>(&self, what: impl FnOnce(&mut Inside) -> T) -> T {
        let mut inside = self.inside();
        let before = inside.ring_bytes;
        let made = what(&mut inside);
        self.room.changed(before, inside.ring_bytes);
        drop(inside);
        self.room.keep_within();
        made
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn publish(&mut self, mut event: Event, now: Duration) -> Published {
        let key = event.is_property().then(|| event.property());
        let announced = event.operation == Some(Operation::Initialized);
        if announced {
            self.states_at = Some(now);
        }
        if let Some(Property { known, .. }) = key.and_then(|it| self.properties.get_mut(&it)) {
            known.heard = self.generation;
            known.announced |= announced;
        }
        if !self.is_new(event.print()) {
            self.counts.duplicates = self.counts.duplicates.saturating_add(1);
            return Published::Duplicate;
        }
        let known = key.and_then(|it| self.properties.get(&it));
        if announced && let Some(known) = known {
            if known.event.value() == event.value() {
                self.counts.unchanged = self.counts.unchanged.saturating_add(1);
                return Published::Unchanged;
            }
            // Who subscribed before heard of it: to him it is a change that nobody could tell.
            event.operation = Some(Operation::Changed);
        }
        // A topic stands in memory once, as far as that is seen at once.
        let topic = known.map(|it| &it.event.topic).or_else(|| self.ring.back().map(|it| &it.topic));
        if let Some(topic) = topic.filter(|it| **it == event.topic) {
            event.topic = topic.clone();
        }
        let is_late = known.is_some_and(|it| self.overtaking && is_late(&event, &it.event));
        let may = self.may(now);
        let sequence = if may { self.latest.saturating_add(1) } else { self.latest };
        event.sequence = sequence;
        let place = key.filter(|_| !is_late).and_then(|key| self.place(key, &event, announced));
        event.stands = place.is_some();
        let event = Arc::new(event);
        if let Some((key, known)) = place {
            self.properties.insert(key, Property { event: Arc::clone(&event), known });
        }
        if !may {
            self.counts.over_rate = self.counts.over_rate.saturating_add(1);
            return Published::OverRate;
        }
        self.latest = sequence;
        self.counts.told = self.counts.told.saturating_add(1);
        self.keep(event);
        Published::Told
    }

    /// Whether it did not come by an earlier subscription. Within one everything counts: cameras tell whole seconds, in
    /// which the same may happen twice.
    fn is_new(&mut self, print: Print) -> bool {
        let generation = self.generation;
        match self.known.insert(print, generation) {
            Some(before) if before != generation => {
                self.known.insert(print, before);
                return false;
            }
            Some(_) => return true,
            None => {}
        }
        self.prints.push_back(print);
        if self.prints.len() > EVENT_PRINTS_PER_CAMERA_MAX
            && let Some(oldest) = self.prints.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// Whether one more may come now: so many at once, and so many a second.
    fn may(&mut self, now: Duration) -> bool {
        const WHOLE: u64 = 1_000;
        let most = EVENT_BURST_PER_CAMERA_MAX.saturating_mul(WHOLE);
        let (left, last) = self.allowance.unwrap_or((most, now));
        let passed = u64::try_from(now.saturating_sub(last).as_millis()).unwrap_or(u64::MAX);
        let left = left.saturating_add(passed.saturating_mul(EVENTS_PER_CAMERA_PER_SECOND_MAX)).min(most);
        let may = left >= WHOLE;
        self.allowance = Some((if may { left - WHOLE } else { left }, now));
        may
    }

    /// The properties that this subscription says nothing of, once it had time to.
    fn vanished(&mut self, now: Duration, at: Timestamp) -> Vec<Event> {
        let told = self.states_at.take_if(|at| now.saturating_sub(*at) >= STATES_SETTLE_TIME);
        if told.is_none() {
            return Vec::new();
        }
        let silent = |it: &&Property| it.known.announced && it.known.heard != self.generation;
        let mut vanished: Vec<&Arc<Event>> =
            self.properties.values().filter(silent).map(|it| &it.event).collect();
        vanished.sort_unstable_by_key(|it| it.sequence);
        vanished.into_iter().map(|it| it.deleted(at)).collect()
    }

    /// Room for the state of a property, in place of the one before; none if it has none any more, or finds no room.
    fn place(&mut self, key: Print, event: &Event, announced: bool) -> Option<(Print, Known)> {
        let before = self.properties.remove(&key);
        if let Some(before) = &before {
            self.properties_bytes = self.properties_bytes.saturating_sub(before.event.bytes());
        }
        if event.operation == Some(Operation::Deleted) {
            return None;
        }
        let bytes = self.properties_bytes.saturating_add(event.bytes());
        if self.properties.len() >= PROPERTIES_PER_CAMERA_MAX || bytes > PROPERTIES_BYTES_PER_CAMERA_MAX {
            self.counts.unkept = self.counts.unkept.saturating_add(1);
            return None;
        }
        self.properties_bytes = bytes;
        let announced = announced || before.is_some_and(|it| it.known.announced);
        Some((key, Known { heard: self.generation, announced }))
    }

    fn keep(&mut self, event: Arc<Event>) {
        self.ring_bytes = self.ring_bytes.saturating_add(event.bytes());
        self.ring.push_back(event);
        self.shed(EVENTS_KEPT_BYTES_PER_CAMERA_MAX);
    }

    fn shed(&mut self, bytes_max: usize) {
        while self.ring.len() > EVENTS_KEPT_PER_CAMERA_MAX || self.ring_bytes > bytes_max {
            let Some(oldest) = self.ring.pop_front() else { return };
            self.ring_bytes = self.ring_bytes.saturating_sub(oldest.bytes());
        }
    }
}

/// Whether an event was overtaken by one that happened after it. A clock that was set goes back further, or for good.
fn is_late(event: &Event, known: &Event) -> bool {
    let by = known.at_camera.zip(event.at_camera).map(|(known, event)| known.duration_since(event));
    by.is_some_and(|it| it.is_positive() && it.unsigned_abs() <= EVENT_LATE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::SimulatedClock, events::event::tests::read, schema::Tables};

    struct Bench {
        tables: Arc<Tables>,
        clock: Arc<SimulatedClock>,
        hub: Arc<Hub>,
    }

    fn bench() -> Bench {
        let clock = Arc::new(SimulatedClock::new("2026-11-26T10:00:00Z".parse().unwrap()));
        let shared: Arc<dyn Clock> = clock.clone();
        Bench { tables: Tables::embedded().unwrap(), hub: Hub::new(shared), clock }
    }

    impl Bench {
        /// A property of that name has a value from that second on.
        fn tell(&self, source: &str, value: &str, second: u32, operation: &str) -> Published {
            let utc = format!(
                "UtcTime=\"2026-11-26T{:02}:{:02}:{:02}Z\" {operation}",
                second / 3_600,
                second / 60 % 60,
                second % 60
            );
            let inside = format!(
                "<tt:Source><tt:SimpleItem Name=\"Source\" Value=\"{source}\"/></tt:Source>\
                 <tt:Data><tt:SimpleItem Name=\"State\" Value=\"{value}\"/></tt:Data>"
            );
            let mut read = read(&self.tables, &[("t:VideoSource/MotionAlarm", &utc, &inside)]);
            self.hub.publish(read.events.remove(0))
        }

        fn change(&self, source: &str, value: &str, second: u32) -> Published {
            self.tell(source, value, second, "PropertyOperation=\"Changed\"")
        }

        /// What a subscriber would be told of the state: source and value.
        fn state(&self) -> Vec<(String, String)> {
            let value = |event: &Arc<Event>, part| event.items(part).next().unwrap().value.to_owned();
            let joined = self.hub.join();
            assert!(joined.state.iter().all(|it| it.operation == Some(Operation::Initialized)));
            joined
                .state
                .iter()
                .map(|it| (value(it, super::super::Part::Source), value(it, super::super::Part::Data)))
                .collect()
        }
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(one, two)| ((*one).to_owned(), (*two).to_owned())).collect()
    }

    #[test]
    fn the_state_of_each_property_is_its_last() {
        let bench = bench();
        assert_eq!(bench.tell("a", "false", 1, "PropertyOperation=\"Initialized\""), Published::Told);
        bench.change("b", "true", 2);
        bench.change("a", "true", 3);
        bench.tell("c", "true", 4, "");
        assert_eq!(bench.state(), pairs(&[("b", "true"), ("a", "true")]), "what is no property has no state");
        bench.tell("b", "true", 5, "PropertyOperation=\"Deleted\"");
        assert_eq!(bench.state(), pairs(&[("a", "true")]));
        bench.hub.forget();
        assert_eq!(bench.state(), pairs(&[]));
    }

    #[test]
    fn a_camera_that_was_subscribed_to_anew_tells_nothing_twice() {
        let bench = bench();
        bench.change("a", "true", 1);
        bench.hub.begin();
        assert_eq!(bench.change("a", "true", 1), Published::Duplicate);
        let initialized = "PropertyOperation=\"Initialized\"";
        assert_eq!(bench.tell("a", "true", 5, initialized), Published::Unchanged);
        assert_eq!(bench.tell("a", "false", 6, initialized), Published::Told, "it changed meanwhile");
        let batch = bench.hub.read(0, 10);
        let operations: Vec<_> = batch.events.iter().map(|it| it.operation).collect();
        assert_eq!(operations, [Some(Operation::Changed), Some(Operation::Changed)]);
        let counts = Counts { told: 2, duplicates: 1, unchanged: 1, ..Counts::default() };
        assert_eq!(bench.hub.counts(), counts);
    }

    #[test]
    fn a_property_that_vanished_while_nobody_heard_is_told_to_be_no_more() {
        let bench = bench();
        let initialized = "PropertyOperation=\"Initialized\"";
        for source in ["a", "b", "c"] {
            bench.tell(source, "false", 1, initialized);
        }
        bench.change("never announced", "true", 2);
        bench.hub.begin();
        bench.tell("a", "false", 5, initialized);
        bench.change("c", "true", 6);
        bench.clock.advance(STATES_SETTLE_TIME - Duration::from_millis(1));
        assert_eq!(bench.hub.settle(), 0, "there may be more to come");
        assert_eq!(bench.hub.settles_in(), Some(Duration::from_millis(1)));
        bench.clock.advance(Duration::from_millis(1));
        let after = bench.hub.latest();
        assert_eq!((bench.hub.settle(), bench.hub.settle()), (1, 0));
        assert_eq!(bench.hub.settles_in(), None);
        let told = bench.hub.read(after, 10).events;
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].operation, Some(Operation::Deleted));
        assert_eq!(told[0].at_gateway, bench.clock.now(), "known since now");
        assert_eq!(told[0].items(super::super::Part::Source).next().unwrap().value, "b");
        assert_eq!(
            bench.state(),
            pairs(&[("a", "false"), ("never announced", "true"), ("c", "true")]),
            "what was heard of, and what never was announced, stays"
        );
    }

    #[test]
    fn what_was_overtaken_is_told_and_sets_no_state_back() {
        let bench = bench();
        for (way, expected) in [(Way::Push, "newer"), (Way::Pull, "older")] {
            bench.hub.forget();
            bench.hub.comes_by(way);
            bench.change("a", "newer", 100);
            assert_eq!(bench.change("a", "older", 99), Published::Told);
            assert_eq!(bench.state(), pairs(&[("a", expected)]), "{way:?}");
            let stand: Vec<bool> = bench.hub.read(0, 9).events.iter().map(|it| it.stands).collect();
            assert_eq!(stand, [true, way == Way::Pull], "{way:?}");
        }
        bench.hub.comes_by(Way::Push);
        bench.change("a", "a clock was set", 80);
        assert_eq!(bench.state(), pairs(&[("a", "a clock was set")]));
    }

    #[test]
    fn nothing_is_no_more_because_a_camera_tells_nothing_or_its_answer_was_lost() {
        let bench = bench();
        let initialized = "PropertyOperation=\"Initialized\"";
        for source in ["a", "b"] {
            bench.tell(source, "true", 1, initialized);
        }
        bench.hub.begin();
        bench.change("a", "false", 5);
        bench.clock.advance(STATES_SETTLE_TIME);
        assert_eq!(bench.hub.settle(), 0, "it announces nothing any more");
        bench.tell("a", "false", 6, initialized);
        bench.hub.doubt();
        bench.clock.advance(STATES_SETTLE_TIME);
        assert_eq!(bench.hub.settle(), 0, "what it told of the other may be lost");
        bench.hub.begin();
        // The same as before, time included.
        for source in ["a", "b"] {
            bench.tell(source, "true", 1, initialized);
        }
        bench.clock.advance(STATES_SETTLE_TIME);
        assert_eq!(bench.hub.settle(), 0, "it told of both");
    }

    #[test]
    fn what_happens_twice_within_a_second_counts_twice_and_a_batch_told_again_not_at_all() {
        let bench = bench();
        let batch =
            || [("true", 1), ("false", 1), ("true", 1)].map(|(value, at)| bench.change("a", value, at));
        assert_eq!(batch(), [Published::Told; 3]);
        assert_eq!(["", ""].map(|it| bench.tell("a", "crossed", 2, it)), [Published::Told; 2]);
        bench.hub.begin();
        assert_eq!(batch(), [Published::Duplicate; 3]);
        assert_eq!(bench.tell("a", "crossed", 2, ""), Published::Duplicate);
        assert_eq!(bench.change("a", "false", 2), Published::Told);
        assert_eq!(bench.state(), pairs(&[("a", "false")]));
    }

    #[test]
    fn whoever_is_slow_is_told_how_much_he_missed() {
        let bench = bench();
        let joined = bench.hub.join();
        let most = EVENTS_KEPT_PER_CAMERA_MAX as u32;
        for second in 0..most + 3 {
            bench.change("a", &second.to_string(), second);
        }
        let first = bench.hub.read(joined.after, 2);
        assert_eq!((first.missed, first.events.len(), first.after), (3, 2, 5));
        let rest = bench.hub.read(first.after, usize::MAX);
        assert_eq!(
            (rest.missed, rest.events.len(), rest.after),
            (0, EVENTS_KEPT_PER_CAMERA_MAX - 2, u64::from(most) + 3)
        );
        let none = bench.hub.read(rest.after, 10);
        assert_eq!((none.missed, none.events.len(), none.after), (0, 0, rest.after));
        bench.hub.forget();
        let after = bench.hub.read(2, 10);
        assert_eq!(
            (after.missed, after.after),
            (u64::from(most) + 1, rest.after),
            "what was forgotten is missed, too"
        );
    }

    #[test]
    fn events_beyond_the_rate_are_lost_and_the_state_is_not() {
        let bench = bench();
        for second in 0..EVENT_BURST_PER_CAMERA_MAX as u32 {
            assert_eq!(bench.change("a", "true", second), Published::Told);
        }
        assert_eq!(bench.change("a", "false", 10_000), Published::OverRate);
        assert_eq!(bench.state(), pairs(&[("a", "false")]));
        bench.clock.advance(Duration::from_secs(1));
        for second in 0..EVENTS_PER_CAMERA_PER_SECOND_MAX as u32 {
            assert_eq!(bench.change("b", "true", second), Published::Told, "{second}");
        }
        assert_eq!(bench.change("b", "false", 10_000), Published::OverRate);
        assert_eq!(bench.hub.counts().over_rate, 2);
    }

    #[test]
    fn no_more_properties_are_kept_than_there_is_room_for() {
        let bench = bench();
        for number in 0..=PROPERTIES_PER_CAMERA_MAX {
            assert_eq!(bench.change(&number.to_string(), "true", 1), Published::Told);
        }
        assert_eq!((bench.state().len(), bench.hub.counts().unkept), (PROPERTIES_PER_CAMERA_MAX, 1));
        bench.change("0", "false", 2);
        assert!(
            bench.state().contains(&("0".to_owned(), "false".to_owned())),
            "one that has its place keeps it"
        );
        let last = bench.hub.read(bench.hub.latest() - 2, 9).events;
        assert_eq!(last.iter().map(|it| it.stands).collect::<Vec<_>>(), [false, true]);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_and_wants_are_counted() {
        let bench = bench();
        let mut wanted = bench.hub.wanted();
        let (one, two) = (bench.hub.want(), bench.hub.want());
        assert_eq!(*wanted.borrow_and_update(), 2);
        drop(one);
        assert_eq!(*wanted.borrow_and_update(), 1);
        drop(two);
        assert_eq!(*wanted.borrow_and_update(), 0);
        let hub = Arc::clone(&bench.hub);
        let waiting = tokio::spawn(async move { hub.after(0).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        bench.change("a", "true", 1);
        waiting.await.unwrap();
    }
}
