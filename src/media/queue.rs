//! What one viewer is still to be sent, bounded in bytes and in time.
//!
//! Whoever is too slow loses whole access units, up to the next one that a decoder can begin with. Nobody waits for
//! him: neither the camera nor another viewer. Of a recording nothing is lost: its camera waits.
//!
//! A viewer for whom nothing waits is sent what comes by whoever brings it, as far as his connection takes it at once: he
//! is woken for the rest only.

use std::{cell::RefCell, collections::VecDeque, fmt, io::IoSlice, rc::Rc, time::Duration};

use bytes::{Buf, Bytes};
use tokio::sync::Notify;

use crate::{
    hatch::{Segment, UnitStart},
    limits::{REPLAY_QUEUE_BYTES_MAX, STREAM_QUEUE_AGE_MAX, STREAM_QUEUE_BYTES_MAX, STREAM_UNSENT_BYTES_MAX},
};

/// Runs of a recording that are taken at once: its viewer is heard before these are sent.
const RECORDED_RUNS_AT_ONCE: usize = 32;
/// Runs that are sent at once without waking the viewer: what comes at a time is one, or a few where reports or
/// metadata stand between.
const SENT_AT_ONCE: usize = 8;

/// A viewer's connection, for whoever has something for him while nothing else is on its way there.
pub trait AtOnce: fmt::Debug {
    /// Sends some of it, without waiting: how many bytes. What is wrong with the connection, the viewer finds out.
    fn send(&self, runs: &[IoSlice<'_>]) -> usize;
    /// Takes the rest of a run that was sent in part: it goes before anything else that the viewer is sent.
    fn keep(&self, rest: Bytes);
}

/// A viewer's queue. Filled by the camera's relay and emptied by the viewer's connection, on one thread.
#[derive(Debug, Default)]
pub struct Queue {
    state: RefCell<State>,
    /// While the viewer waits, and nothing else is on its way to him.
    open: RefCell<Option<Rc<dyn AtOnce>>>,
    filled: Notify,
    emptied: Notify,
}

/// A queue is passed by, as long as this is there.
pub struct Passage<'a>(&'a Queue);

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        self.0.open.take();
    }
}

/// A run of frames that waits.
#[derive(Debug)]
struct Waiting {
    bytes: Bytes,
    /// Since when.
    at: Duration,
    /// Where the first access unit begins in it, if one does.
    unit: Option<usize>,
    /// Where the last begins that a decoder can begin with.
    key: Option<usize>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    flow: Flow,
    recorded: bool,
    ended: bool,
    losses: Losses,
    /// Bytes that were sent at once, or kept for that by the connection.
    sent: u64,
    /// Whether the connection keeps the rest of a run, and the viewer was not told so yet.
    torn: bool,
}

/// What a viewer missed because it was too slow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Times at which it fell behind.
    pub times: u64,
    /// Bytes that it was not sent.
    pub bytes: u64,
}

/// What is done with what comes next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Flow {
    /// It is not sent before a decoder can begin with it: a viewer that joins.
    #[default]
    Joining,
    /// It is sent.
    Flowing,
    /// It is sent up to the end of the access unit under way.
    Ending,
    /// It is lost, up to where a decoder can begin.
    Skipping,
}

impl Queue {
    /// For a recording: nothing is lost of what is pushed while there is room.
    pub fn of_recording() -> Self {
        let state = State { flow: Flow::Flowing, recorded: true, ..State::default() };
        Self { state: RefCell::new(state), ..Self::default() }
    }

    /// Has the viewer begin with these runs, of which the first is one that a decoder can begin with. `now` is monotonic.
    pub(super) fn begin_with<'a>(&self, runs: impl Iterator<Item = &'a Bytes>, now: Duration) {
        let mut state = self.state.borrow_mut();
        for run in runs {
            state.flow = Flow::Flowing;
            state.keep(run.clone(), &[], now);
        }
    }

    /// Waits until there is room for more of a recording.
    pub async fn room(&self) {
        while self.state.borrow().bytes >= REPLAY_QUEUE_BYTES_MAX {
            self.emptied.notified().await;
        }
    }

    /// Takes up runs of frames, or what of them the viewer gets. `now` is monotonic.
    pub fn push(&self, segments: &[Segment], now: Duration) {
        let mut state = self.state.borrow_mut();
        let idle = state.waiting.is_empty() && !state.torn;
        let open = self.open.borrow();
        let connection = open.as_deref().filter(|_| idle);
        if !connection.is_some_and(|it| state.pass(segments, it)) {
            for segment in segments {
                state.push(segment, now);
            }
            if let Some(connection) = connection.filter(|_| !state.waiting.is_empty()) {
                state.send(connection);
            }
        }
        if !state.waiting.is_empty() || state.torn {
            self.filled.notify_one();
        }
    }

    /// Has what comes sent on this connection, until what is given is dropped: while the viewer waits for more, and
    /// nothing else is on its way to him.
    pub fn pass(&self, connection: Rc<dyn AtOnce>) -> Passage<'_> {
        self.open.replace(Some(connection));
        Passage(self)
    }

    /// Bytes that passed it by so far.
    pub fn sent(&self) -> u64 {
        self.state.borrow().sent
    }

    /// Says that nothing more comes.
    pub fn end(&self) {
        self.state.borrow_mut().ended = true;
        self.filled.notify_one();
    }

    /// Waits until there is something to send, here or on the connection; false if nothing more comes.
    pub async fn fill(&self) -> bool {
        loop {
            {
                let state = self.state.borrow();
                if !state.waiting.is_empty() || state.torn {
                    return true;
                }
                if state.ended {
                    return false;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Takes what is to be sent next. The rest goes on waiting here, where it can still be given up.
    pub fn take(&self, into: &mut VecDeque<Bytes>) {
        let mut state = self.state.borrow_mut();
        state.torn = false;
        let (runs_max, bytes_max) = match state.recorded {
            true => (RECORDED_RUNS_AT_ONCE, usize::MAX),
            false => (usize::MAX, STREAM_UNSENT_BYTES_MAX),
        };
        let (mut runs, mut bytes) = (0, 0);
        while runs < runs_max
            && bytes < bytes_max
            && let Some(run) = state.waiting.pop_front()
        {
            runs += 1;
            bytes += run.bytes.len();
            into.push_back(run.bytes);
        }
        state.bytes -= bytes;
        self.emptied.notify_one();
    }

    /// What was lost so far.
    pub fn losses(&self) -> Losses {
        self.state.borrow().losses
    }
}

impl State {
    fn push(&mut self, segment: &Segment, now: Duration) {
        if self.flow == Flow::Flowing && !self.recorded {
            // The unit under way is ended, however long that takes.
            if self.waiting.iter().find(|it| it.unit.is_some()).is_some_and(|it| it.is_late(now)) {
                self.give_up(now);
            }
            let full = self.bytes + segment.bytes.len() > STREAM_QUEUE_BYTES_MAX;
            // What is larger than the bound is taken by an empty queue, so that it can pass at all.
            if self.flow == Flow::Flowing && full && self.bytes > 0 {
                self.flow = Flow::Ending;
                self.losses.times += 1;
            }
        }
        let length = segment.bytes.len();
        match self.flow {
            Flow::Flowing => self.keep(segment.bytes.clone(), &segment.units, now),
            Flow::Joining | Flow::Skipping => self.begin(segment, 0, now),
            Flow::Ending => {
                let end = segment.units.first().map(|unit| unit.at);
                // An access unit without an end is no reason to grow.
                let full = self.bytes + length > 2 * STREAM_QUEUE_BYTES_MAX;
                let end = end.or(full.then_some(0));
                self.keep(segment.bytes.slice(..end.unwrap_or(length)), &[], now);
                if let Some(end) = end {
                    self.flow = Flow::Skipping;
                    // Behind it may be one to begin with again.
                    self.begin(segment, end, now);
                }
            }
        }
    }

    /// Sends what came past the queue, where it is one run of a stream that flows: nearly always it is, and all of it is
    /// taken at once. False if none of it was.
    fn pass(&mut self, segments: &[Segment], connection: &dyn AtOnce) -> bool {
        let ([Segment { bytes, .. }], Flow::Flowing) = (segments, self.flow) else { return false };
        let sent = connection.send(&[IoSlice::new(bytes)]);
        if sent == 0 {
            return false;
        }
        self.sent += bytes.len() as u64;
        if sent < bytes.len() {
            self.torn = true;
            connection.keep(bytes.slice(sent..));
        }
        true
    }

    /// Sends what waits, as far as it is taken.
    fn send(&mut self, connection: &dyn AtOnce) {
        let mut runs = [IoSlice::new(&[]); SENT_AT_ONCE];
        for (place, run) in runs.iter_mut().zip(&self.waiting) {
            *place = IoSlice::new(&run.bytes);
        }
        let count = self.waiting.len().min(runs.len());
        let mut sent = connection.send(runs.get(..count).unwrap_or_default());
        self.sent += sent as u64;
        self.bytes = self.bytes.saturating_sub(sent);
        while sent > 0
            && let Some(Waiting { bytes: mut rest, .. }) = self.waiting.pop_front()
        {
            let taken = sent.min(rest.len());
            sent -= taken;
            rest.advance(taken);
            if !rest.is_empty() {
                self.torn = true;
                self.sent += rest.len() as u64;
                self.bytes = self.bytes.saturating_sub(rest.len());
                connection.keep(rest);
            }
        }
    }

    /// Begins with the first access unit from here on that a decoder can begin with.
    fn begin(&mut self, segment: &Segment, from: usize, now: Duration) {
        let key = segment.units.iter().find(|unit| unit.at >= from && unit.key);
        let start = key.map_or(segment.bytes.len(), |unit| unit.at);
        if self.flow == Flow::Skipping {
            self.losses.bytes += (start - from) as u64;
        }
        // What still waits is sent first; as long as it fills the queue, nothing begins.
        let room = self.bytes + segment.bytes.len() - start <= STREAM_QUEUE_BYTES_MAX || self.bytes == 0;
        if key.is_some() && room {
            self.flow = Flow::Flowing;
            let units = segment.units.iter().filter(|unit| unit.at >= start);
            let units: Vec<_> = units.map(|it| UnitStart { at: it.at - start, ..*it }).collect();
            self.keep(segment.bytes.slice(start..), &units, now);
        } else if key.is_some() && self.flow == Flow::Skipping {
            self.losses.bytes += (segment.bytes.len() - start) as u64;
        }
    }

    /// Gives up what waits behind the unit under way, up to the last that a decoder can begin with: if that is late as
    /// well, all, and what comes is lost up to the next.
    fn give_up(&mut self, now: Duration) {
        let before = self.bytes;
        let under_way = self.waiting.iter().position(|it| it.unit.is_some()).unwrap_or(self.waiting.len());
        let mut behind = self.waiting.split_off(under_way);
        let first = behind.front().map(|it| it.bytes.slice(..it.unit.unwrap_or_default()));
        let key = behind.iter().rposition(|it| it.key.is_some() && !it.is_late(now));
        let mut fresh = key.map(|key| behind.split_off(key)).unwrap_or_default();
        if let Some(first) = first.filter(|it| !it.is_empty()) {
            self.waiting.push_back(Waiting { bytes: first, at: now, unit: None, key: None });
        }
        match fresh.front_mut() {
            Some(run) => {
                run.bytes.advance(run.key.unwrap_or_default());
                (run.unit, run.key) = (Some(0), Some(0));
            }
            None => self.flow = Flow::Skipping,
        }
        self.waiting.append(&mut fresh);
        self.bytes = self.waiting.iter().map(|it| it.bytes.len()).sum();
        self.losses.times += 1;
        self.losses.bytes += before.saturating_sub(self.bytes) as u64;
    }

    fn keep(&mut self, bytes: Bytes, units: &[UnitStart], now: Duration) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            let unit = units.first().map(|it| it.at);
            let key = units.iter().rfind(|it| it.key).map(|it| it.at);
            self.waiting.push_back(Waiting { bytes, at: now, unit, key });
        }
    }
}

impl Waiting {
    fn is_late(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) > STREAM_QUEUE_AGE_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;
    fn segment(length: usize, fill: u8, units: &[(usize, bool)]) -> Segment {
        let units = units.iter().map(|(at, key)| UnitStart { at: *at, key: *key }).collect();
        Segment { bytes: vec![fill; length].into(), units }
    }

    fn sent(queue: &Queue) -> Vec<(u8, usize)> {
        let mut taken = VecDeque::new();
        queue.take(&mut taken);
        while !queue.state.borrow().recorded && !queue.state.borrow().waiting.is_empty() {
            queue.take(&mut taken);
        }
        taken.iter().map(|bytes| (bytes[0], bytes.len())).collect()
    }

    const NOW: Duration = Duration::from_secs(9);

    #[test]
    fn a_viewer_joins_at_a_key_frame() {
        let queue = Queue::default();
        queue.push(&[segment(10, 1, &[(0, false)])], NOW);
        queue.push(&[segment(10, 2, &[])], NOW);
        assert_eq!(sent(&queue), []);
        queue.push(&[segment(10, 3, &[(0, false), (4, true), (8, false)])], NOW);
        queue.push(&[segment(10, 4, &[])], NOW);
        assert_eq!(sent(&queue), [(3, 6), (4, 10)]);
        assert_eq!(queue.losses(), Losses::default(), "what was before is no loss");
    }

    #[test]
    fn a_slow_viewer_loses_whole_access_units() {
        let queue = Queue::default();
        queue.push(&[segment(STREAM_QUEUE_BYTES_MAX, 1, &[(0, true)])], NOW);
        queue.push(&[segment(10, 2, &[])], NOW);
        queue.push(&[segment(10, 3, &[(4, false)])], NOW);
        queue.push(&[segment(10, 4, &[(0, true)])], NOW);
        assert_eq!(
            sent(&queue),
            [(1, STREAM_QUEUE_BYTES_MAX), (2, 10), (3, 4)],
            "the unit under way is ended"
        );
        queue.push(&[segment(10, 5, &[(0, false)])], NOW);
        queue.push(&[segment(10, 6, &[(7, true)])], NOW);
        assert_eq!(sent(&queue), [(6, 3)]);
        assert_eq!(queue.losses(), Losses { times: 1, bytes: 6 + 10 + 10 + 7 });
    }

    #[test]
    fn what_waits_too_long_makes_a_viewer_slow() {
        let queue = Queue::default();
        queue.push(&[segment(10, 1, &[(0, true)])], NOW);
        queue.push(&[segment(10, 2, &[(0, true)])], NOW + STREAM_QUEUE_AGE_MAX);
        queue.push(&[segment(10, 3, &[(0, true)])], NOW + STREAM_QUEUE_AGE_MAX + Duration::from_millis(1));
        assert_eq!(sent(&queue), [(2, 10), (3, 10)]);
        assert_eq!(queue.losses(), Losses { times: 1, bytes: 10 });
    }

    #[test]
    fn who_is_slow_is_sent_the_unit_under_way_and_then_what_is_fresh() {
        let queue = Queue::default();
        let late = NOW + STREAM_QUEUE_AGE_MAX + Duration::from_millis(1);
        queue.push(&[segment(STREAM_UNSENT_BYTES_MAX, 1, &[(0, true)])], NOW);
        queue.push(&[segment(10, 2, &[]), segment(10, 3, &[(4, false)])], NOW);
        let mut taken = VecDeque::new();
        queue.take(&mut taken);
        assert_eq!(taken.len(), 1, "the rest can still be given up");
        queue.push(
            &[segment(10, 4, &[(0, false), (5, true), (7, false)]), segment(10, 5, &[])],
            late - NOW / 9,
        );
        queue.push(&[segment(10, 6, &[])], late);
        assert_eq!(sent(&queue), [(2, 10), (3, 4), (4, 5), (5, 10), (6, 10)]);
        assert_eq!(queue.losses(), Losses { times: 1, bytes: 6 + 5 });
        // Where nothing fresh waits, what comes next is waited for.
        queue.push(&[segment(10, 7, &[(0, true)]), segment(10, 8, &[(0, false)])], NOW);
        queue.push(&[segment(10, 9, &[(3, false)])], late);
        assert_eq!(sent(&queue), []);
        queue.push(&[segment(10, 10, &[(6, true)])], late);
        assert_eq!(sent(&queue), [(10, 4)]);
        assert_eq!(queue.losses(), Losses { times: 2, bytes: 11 + 20 + 10 + 6 });
    }

    #[test]
    fn what_a_viewer_of_a_quarter_is_sent_is_fresh_and_begins_where_a_decoder_can() {
        // 4 Mbit/s in 25 pictures a second, of which each first is one to begin with.
        const PICTURE_BYTES: usize = 20_000;
        let (tick, queue, mut taken) = (Duration::from_millis(40), Queue::default(), VecDeque::new());
        let (mut on_its_way, mut oldest, mut seen) = (0_usize, Duration::ZERO, Vec::new());
        for number in 0..1_500_u32 {
            let picture = segment(PICTURE_BYTES, (number % 250) as u8, &[(0, number % 25 == 0)]);
            queue.push(&[picture], NOW + tick * number);
            on_its_way = on_its_way.saturating_sub(PICTURE_BYTES / 4);
            if on_its_way == 0 {
                queue.take(&mut taken);
            }
            for run in taken.drain(..) {
                let behind = (number % 250 + 250 - u32::from(run[0])) % 250;
                oldest = oldest.max(tick * behind);
                on_its_way += run.len();
                seen.push(number - behind);
            }
        }
        assert!(oldest <= STREAM_QUEUE_AGE_MAX, "{oldest:?}");
        assert!(
            seen.windows(2).all(|it| it[1] == it[0] + 1 || (it[1] > it[0] && it[1] % 25 == 0)),
            "{seen:?}"
        );
        assert!(seen.len() > 1_500 / 5, "it is sent what it takes: {}", seen.len());
    }

    #[test]
    fn a_unit_larger_than_the_bound_passes_once() {
        let queue = Queue::default();
        queue.push(&[segment(STREAM_QUEUE_BYTES_MAX + 1, 1, &[(0, true)])], NOW);
        assert_eq!(sent(&queue), [(1, STREAM_QUEUE_BYTES_MAX + 1)]);
        let endless = segment(STREAM_QUEUE_BYTES_MAX, 2, &[]);
        for _ in 0..5 {
            queue.push(std::slice::from_ref(&endless), NOW);
        }
        let kept: usize = sent(&queue).iter().map(|(_, length)| length).sum();
        assert_eq!(kept, 2 * STREAM_QUEUE_BYTES_MAX);
    }

    #[tokio::test]
    async fn of_a_recording_nothing_is_lost_and_its_camera_waits() {
        let queue = Queue::of_recording();
        let half = segment(REPLAY_QUEUE_BYTES_MAX / 2, 1, &[]);
        queue.push(std::slice::from_ref(&half), NOW);
        queue.room().await;
        queue.push(std::slice::from_ref(&half), NOW);
        let mut waits = std::pin::pin!(queue.room());
        assert!(std::future::poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_pending())).await);
        // Far beyond the age that a live stream may have.
        queue.push(&[segment(3, 2, &[(0, false)])], NOW + 9 * STREAM_QUEUE_AGE_MAX);
        assert_eq!(sent(&queue), [(1, half.bytes.len()), (1, half.bytes.len()), (2, 3)]);
        waits.await;
        assert_eq!(queue.losses(), Losses::default());
        for fill in 0..=RECORDED_RUNS_AT_ONCE {
            queue.push(&[segment(1, fill as u8, &[])], NOW);
        }
        assert_eq!(sent(&queue).len(), RECORDED_RUNS_AT_ONCE);
        assert_eq!(sent(&queue), [(RECORDED_RUNS_AT_ONCE as u8, 1)]);
    }

    #[tokio::test]
    async fn a_viewer_is_woken_by_what_comes_and_by_the_end() {
        let queue = Queue::default();
        let (filled, ()) =
            tokio::join!(queue.fill(), async { queue.push(&[segment(1, 1, &[(0, true)])], NOW) });
        assert!(filled);
        sent(&queue);
        let (filled, ()) = tokio::join!(queue.fill(), async { queue.end() });
        assert!(!filled);
    }

    /// A connection that takes so many bytes in all, and what it keeps.
    #[derive(Debug)]
    struct Narrow(RefCell<(usize, Vec<u8>)>, RefCell<Vec<Bytes>>);

    impl AtOnce for Narrow {
        fn send(&self, runs: &[IoSlice<'_>]) -> usize {
            let mut state = self.0.borrow_mut();
            let all: Vec<u8> = runs.iter().flat_map(|run| run.iter().copied()).collect();
            let taken = all.len().min(state.0);
            state.0 -= taken;
            state.1.extend_from_slice(&all[..taken]);
            taken
        }

        fn keep(&self, rest: Bytes) {
            self.1.borrow_mut().push(rest);
        }
    }

    #[tokio::test]
    async fn what_a_waiting_viewer_takes_at_once_wakes_nobody_and_the_rest_comes_after_it() {
        let queue = Queue::default();
        let connection = Rc::new(Narrow(RefCell::new((25, Vec::new())), RefCell::default()));
        let passage = queue.pass(Rc::clone(&connection) as Rc<dyn AtOnce>);
        let mut waits = std::pin::pin!(queue.fill());
        let mut is_woken =
            async || std::future::poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_ready())).await;
        queue.push(&[segment(10, 1, &[(4, true)]), segment(10, 2, &[])], NOW);
        assert_eq!((is_woken().await, queue.sent()), (false, 16));
        queue.push(&[segment(10, 3, &[]), segment(10, 4, &[])], NOW);
        assert_eq!((is_woken().await, queue.sent()), (true, 26));
        // What waits is not overtaken, even if there is room again.
        connection.0.borrow_mut().0 = 100;
        queue.push(&[segment(10, 5, &[])], NOW);
        drop(passage);
        assert_eq!(*connection.1.borrow(), [&[3][..]], "the rest of what was begun");
        assert_eq!(sent(&queue), [(4, 10), (5, 10)]);
        assert!(queue.state.borrow().bytes == 0 && queue.sent() == 26);
        queue.push(&[segment(10, 6, &[])], NOW);
        assert_eq!(sent(&queue), [(6, 10)], "whoever does not wait is sent nothing at once");
        let seen = connection.0.borrow().1.clone();
        assert_eq!(seen, [vec![1; 6], vec![2; 10], vec![3; 9]].concat());
        assert_eq!(queue.losses(), Losses::default());
    }

    #[tokio::test]
    async fn nothing_is_sent_at_once_between_a_run_in_part_and_its_rest() {
        let queue = Queue::default();
        let connection = Rc::new(Narrow(RefCell::new((9, Vec::new())), RefCell::default()));
        let _passage = queue.pass(Rc::clone(&connection) as Rc<dyn AtOnce>);
        queue.push(&[segment(10, 1, &[(0, true)])], NOW);
        connection.0.borrow_mut().0 = 100;
        queue.push(&[segment(10, 2, &[])], NOW);
        assert_eq!((connection.0.borrow().1.len(), connection.1.borrow()[0].len()), (9, 1));
        assert!(queue.fill().await);
        assert_eq!(sent(&queue), [(2, 10)]);
        queue.push(&[segment(10, 3, &[])], NOW);
        assert_eq!(connection.0.borrow().1.len(), 19, "once the viewer knows of the rest");
    }
}
