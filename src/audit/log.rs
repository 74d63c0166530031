//! The open log: a bounded queue in front of one writing thread.
//!
//! Whoever asks for a line waits for the batch his line is in; the writer takes everything that is queued,
//! writes it with one write and one sync, and wakes that batch. While it syncs, the next batch gathers. Outcomes,
//! which nobody waits for, start no sync that an intent would have to wait for: they go with the next one, or
//! after `AUDIT_OUTCOME_WAIT_MAX`. Only where a sync takes long is the next one held back for a small part of that
//! time: whoever was just answered asks again, and all of them share it.

mod serving;

use std::{
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::{Notify, Semaphore};

use self::serving::{Carried, Taken, failed, serve};
use super::{
    emergency::{Journal, Journaled, Stage},
    record::{Decision, Ended, Ending, Event, Intent, Outcome, Record},
    retention::Retention,
    writer::{Awaited, Entry, Writer},
};
use crate::{
    clock::Clock,
    limits::AUDIT_WAIT_TIME_MAX,
    telemetry::{Metrics, Tally},
};

/// Why a record could not be made durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Too much waits for the disk or for an outcome.
    #[error("the audit log's queue is full")]
    Full,
    /// The disk refused. Nothing is recorded until it is well again, which is tried by itself.
    #[error("the audit log cannot be written: {0}")]
    Failed(Arc<str>),
    /// The disk does not answer. Nothing is recorded until it does.
    #[error("the audit log's disk has not answered for {AUDIT_WAIT_TIME_MAX:?}")]
    Stalled,
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
}

/// How the log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Why nothing can be recorded now; none while all is well.
    pub failure: Option<String>,
    /// Records waiting for the disk.
    pub queued: usize,
    /// Outcomes not yet known, for which a place is kept.
    pub awaited: usize,
    /// Commands in the emergency journal that are not yet carried over to the log.
    pub journaled: usize,
    /// Bytes of the emergency journal in use.
    pub journal_bytes: usize,
    /// Durable lines.
    pub durable: u64,
    /// Lines covered by a checkpoint.
    pub signed: u64,
    /// Outcomes that could not be recorded since the log was closed or ended.
    pub lost_outcomes: u64,
}

/// An open log. Clones are the same log; it ends when [`Log::close`] is called or the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Log {
    handle: Arc<Handle>,
}

impl Log {
    /// Begins the thread that writes.
    pub(super) fn start(
        writer: Writer,
        journal: Journal,
        clock: Arc<dyn Clock>,
        pace: Pace,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(writer.chain.size(), writer.latest.clone())),
            work: Condvar::new(),
            journal_bytes: AtomicUsize::new(journal.used()),
            journal: Mutex::new(journal),
            metrics: Arc::clone(&pace.metrics),
            journal_turn: Arc::new(Semaphore::new(1)),
            clock,
            records_max: pace.records_max,
            durable: AtomicU64::new(writer.chain.size()),
            signed: AtomicU64::new(writer.signed),
        });
        let inner = Arc::clone(&shared);
        let thread = thread::Builder::new().name("audit".to_owned()).spawn(move || {
            let mut last =
                Last { shared: inner, error: Some(LogError::Failed("the writer panicked".into())) };
            last.error = serve(writer, &last.shared, pace).err();
        })?;
        Ok(Self { handle: Arc::new(Handle { shared, thread: Mutex::new(Some(thread)) }) })
    }

    /// Records a command before it is done. When this is ready the line is durable, and the place of its
    /// outcome is kept. If the future is dropped meanwhile, `abandoned, not sent` is recorded.
    pub async fn intent(&self, intent: Intent) -> Result<OutcomeSlot, LogError> {
        let shared = &self.handle.shared;
        let intent = Intent { decision: intent.decision.going_on(), ..intent };
        let request = intent.request.clone();
        let body = Record::Intent(intent).body();
        let placed = shared.push(body, Awaited::Opens(request.clone()))?;
        let started = shared.clock.monotonic();
        let slot = OutcomeSlot {
            shared: Arc::clone(shared),
            place: Place::Line { seq: placed.seq, request, batch: Arc::clone(&placed.batch) },
            started,
            state: State::NotSent,
            tally: None,
            kept: true,
        };
        shared.settled(&placed.batch).await?;
        Ok(slot)
    }

    /// Records a command that must not wait for a disk that fails, after [`Log::intent`] was in vain. When this
    /// is ready the line is durable in the emergency journal; the log has it, marked, once it can be written.
    pub async fn emergency(&self, intent: Intent) -> Result<OutcomeSlot, LogError> {
        let shared = Arc::clone(&self.handle.shared);
        let written = async move {
            // One at a time, so that a disk that hangs holds one thread and not all there are.
            let turn = Arc::clone(&shared.journal_turn).acquire_owned().await;
            let turn = turn.map_err(|_| LogError::Closed)?;
            // If nobody waits for it any more, the slot is dropped and the command recorded as not sent.
            let write = tokio::task::spawn_blocking(move || {
                let slot = shared.journal(intent);
                drop(turn);
                slot
            });
            write
                .await
                .unwrap_or_else(|_| Err(LogError::Failed("writing the emergency journal panicked".into())))
        };
        tokio::time::timeout(AUDIT_WAIT_TIME_MAX, written).await.unwrap_or(Err(LogError::Stalled))
    }

    /// Records a refused command, durable when ready. No outcome follows. Gives the line's number.
    pub async fn refusal(&self, intent: Intent) -> Result<u64, LogError> {
        self.record(Record::Intent(Intent { decision: Decision::Denied, ..intent })).await
    }

    /// Records an event, durable when ready. Gives the line's number.
    pub async fn event(&self, event: Event) -> Result<u64, LogError> {
        self.record(Record::Event(event)).await
    }

    /// Queues an event without waiting for it, for places that cannot wait.
    pub fn note(&self, event: Event) -> Result<(), LogError> {
        self.handle.shared.push(Record::Event(event).body(), Awaited::Kept).map(|_| ())
    }

    /// Waits until all that was queued by now is durable, what nobody waits for included. While the disk fails that is
    /// told at once.
    pub async fn written(&self) -> Result<(), LogError> {
        let shared = &self.handle.shared;
        let batch = {
            let queue = shared.queue();
            if let Some(failure) = &queue.failure {
                return Err(failure.clone());
            }
            Arc::clone(if queue.entries.is_empty() { &queue.taken } else { &queue.batch })
        };
        shared.settled(&batch).await
    }

    /// Whether new records can be made durable, as far as is known.
    pub fn healthy(&self) -> bool {
        self.handle.shared.queue().failure.is_none()
    }

    /// How the log is.
    pub fn health(&self) -> Health {
        let shared = &self.handle.shared;
        let queue = shared.queue();
        Health {
            failure: queue.failure.as_ref().map(ToString::to_string),
            queued: queue.entries.len(),
            awaited: queue.reserved,
            journaled: queue.journaled.len(),
            journal_bytes: shared.journal_bytes.load(Ordering::Relaxed),
            durable: shared.durable.load(Ordering::Acquire),
            signed: shared.signed.load(Ordering::Acquire),
            lost_outcomes: queue.lost,
        }
    }

    /// The latest signed checkpoint, to be kept elsewhere.
    pub fn checkpoint(&self) -> String {
        self.handle.shared.queue().checkpoint.clone()
    }

    /// Records the stop, writes what is queued, signs, and gives the files back. Outcomes that come later are
    /// lost and become `unknown` when the log is opened again. Blocks on the disk.
    pub fn close(self) -> Result<(), LogError> {
        let shared = &self.handle.shared;
        let noted = self.note(Event::new("log-close", Value::Null));
        shared.stop();
        let thread = self.handle.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            return Err(LogError::Failed("the writing thread panicked".into()));
        }
        match &shared.queue().failure {
            Some(LogError::Failed(why)) => Err(LogError::Failed(Arc::clone(why))),
            _ => noted,
        }
    }

    async fn record(&self, record: Record) -> Result<u64, LogError> {
        let placed = self.handle.shared.push(record.body(), Awaited::Nothing)?;
        self.handle.shared.settled(&placed.batch).await?;
        Ok(placed.seq)
    }
}

/// The kept place of one outcome. Finishing or dropping it neither waits for the disk nor fails.
#[derive(Debug)]
pub struct OutcomeSlot {
    shared: Arc<Shared>,
    place: Place,
    started: Duration,
    state: State,
    tally: Option<Tally>,
    /// Whether a place in the queue is kept for the outcome.
    kept: bool,
}

/// Where the intent is.
#[derive(Debug)]
enum Place {
    /// In the log.
    Line {
        seq: u64,
        request: String,
        /// What it became durable with.
        batch: Arc<Batch>,
    },
    /// In the emergency journal.
    Journal(Arc<Journaled>),
}

impl OutcomeSlot {
    /// Has the command counted when it ends, however that is.
    pub fn counted(self, tally: Tally) -> Self {
        // Whole, since a slot that is dropped records an outcome.
        let mut slot = self;
        slot.tally = Some(tally);
        slot
    }

    /// Gives the place in the queue back, for what lasts: else an hour's question of each camera would leave none for
    /// commands. The outcome is recorded all the same; whoever calls this sees to it that there are few of them.
    pub fn lasting(self) -> Self {
        let mut slot = self;
        if std::mem::take(&mut slot.kept) {
            let mut queue = slot.shared.queue();
            queue.reserved = queue.reserved.saturating_sub(1);
        }
        slot
    }

    /// Says that the command is being sent: dropped from now on, it is `abandoned, sent, unanswered`.
    pub fn sending(&mut self) {
        if self.state == State::NotSent {
            self.state = State::Sent;
        }
    }

    /// Records how the command ended; durable with the next batch.
    pub fn finish(mut self, outcome: Outcome) {
        self.put(outcome);
    }

    fn put(&mut self, mut outcome: Outcome) {
        self.state = State::Finished;
        let took = self.shared.clock.monotonic().saturating_sub(self.started);
        let took = outcome.duration_us.map_or(took, Duration::from_micros);
        outcome.duration_us = Some(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        if let Some(tally) = &self.tally {
            tally.ended(outcome.counted_as(), took);
        }
        match &mut self.place {
            Place::Line { seq, request, batch } => {
                let ended = Ended { intent: *seq, request: mem::take(request), outcome };
                self.shared.push_outcome(*seq, Record::Outcome(ended).body(), Some(batch), self.kept);
            }
            Place::Journal(journaled) => {
                let mut stage = journaled.stage();
                if let Stage::Carried(seq) = *stage {
                    drop(stage);
                    self.shared.push_outcome(seq, journaled.ended(seq, outcome), None, self.kept);
                } else {
                    *stage = Stage::Ended(Box::new(outcome));
                }
            }
        }
    }
}

impl Drop for OutcomeSlot {
    fn drop(&mut self) {
        let what = match self.state {
            State::NotSent => Ending::AbandonedNotSent,
            State::Sent => Ending::AbandonedUnanswered,
            State::Finished => return,
        };
        self.put(Outcome { what, ..Outcome::default() });
    }
}

/// How fast the writer goes.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    pub(super) records_max: usize,
    pub(super) checkpoint_interval: Duration,
    pub(super) retention: Retention,
    /// What counts how fast it is.
    pub(super) metrics: Arc<Metrics>,
    /// Whether sealed segments are packed.
    pub(super) pack: bool,
    /// When the last line was written that an earlier process left.
    pub(super) last: Option<jiff::Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    NotSent,
    Sent,
    Finished,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

/// Lets nobody wait for a writer that has ended, however it ended.
struct Last {
    shared: Arc<Shared>,
    error: Option<LogError>,
}

impl Drop for Last {
    fn drop(&mut self) {
        self.shared.end(self.error.take());
    }
}

struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    journal: Mutex<Journal>,
    /// How much of it is in use, for whoever must not wait for it.
    journal_bytes: AtomicUsize,
    /// Held by whoever writes the journal.
    journal_turn: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    records_max: usize,
    durable: AtomicU64,
    signed: AtomicU64,
}

#[derive(Debug)]
struct Queue {
    entries: Vec<Entry>,
    /// What those who wait for `entries` wait for.
    batch: Arc<Batch>,
    /// What the writer took last, and may be writing.
    taken: Arc<Batch>,
    /// Places kept for outcomes.
    reserved: usize,
    /// What is durable in the emergency journal only.
    journaled: Vec<Arc<Journaled>>,
    /// Number of the next line. Lines are numbered here, since the writer writes them in this order.
    next_seq: u64,
    /// The writer sleeps and must be woken.
    idle: bool,
    /// Somebody waits for what is queued.
    pressing: bool,
    stopping: bool,
    failure: Option<LogError>,
    /// Nobody writes any more.
    ended: bool,
    lost: u64,
    checkpoint: String,
}

impl Queue {
    fn new(next_seq: u64, checkpoint: String) -> Self {
        Self {
            entries: Vec::new(),
            batch: Arc::default(),
            taken: Batch::written(),
            reserved: 0,
            journaled: Vec::new(),
            next_seq,
            idle: false,
            pressing: false,
            stopping: false,
            failure: None,
            ended: false,
            lost: 0,
            checkpoint,
        }
    }

    /// Whether the writer has something to do at once.
    fn presses(&self) -> bool {
        self.pressing || self.stopping || !self.journaled.is_empty()
    }
}

/// A line's number, and what to wait for.
struct Placed {
    seq: u64,
    batch: Arc<Batch>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, body: String, mark: Awaited) -> Result<Placed, LogError> {
        let time = self.time();
        let mut queue = self.queue();
        if let Some(failure) = &queue.failure {
            // What nobody waits for is kept until the disk is well.
            let kept = matches!(mark, Awaited::Kept) && !queue.ended && *failure != LogError::Closed;
            if !kept {
                return Err(failure.clone());
            }
        }
        let kept = usize::from(matches!(mark, Awaited::Opens(_)));
        if queue.entries.len() + queue.reserved + 1 + kept > self.records_max {
            return Err(LogError::Full);
        }
        queue.reserved += kept;
        let batch = Arc::clone(&queue.batch);
        Ok(Placed { seq: self.add(queue, Entry { time, body, mark }), batch })
    }

    /// While the disk fails, outcomes wait: the places kept for them bound how many.
    fn push_outcome(&self, intent: u64, body: String, opened: Option<&Arc<Batch>>, kept: bool) {
        let time = self.time();
        let mut queue = self.queue();
        queue.reserved = queue.reserved.saturating_sub(usize::from(kept));
        if opened.is_some_and(|opened| matches!(opened.result.get(), Some(Err(_)))) {
            // The intent is on no disk and its command was refused.
            return;
        }
        if queue.ended || queue.failure == Some(LogError::Closed) {
            queue.lost += 1;
            return;
        }
        self.add(queue, Entry { time, body, mark: Awaited::Closes(intent) });
    }

    fn add(&self, mut queue: MutexGuard<'_, Queue>, entry: Entry) -> u64 {
        let seq = queue.next_seq;
        queue.next_seq += 1;
        let presses = !matches!(entry.mark, Awaited::Closes(_));
        queue.pressing |= presses;
        queue.entries.push(entry);
        let wake = presses && mem::take(&mut queue.idle);
        drop(queue);
        if wake {
            self.work.notify_one();
        }
        seq
    }

    /// Waits until a batch is durable, but not for ever: a disk that hangs counts as one that fails.
    async fn settled(&self, batch: &Batch) -> Result<(), LogError> {
        if let Ok(result) = tokio::time::timeout(AUDIT_WAIT_TIME_MAX, batch.settled()).await {
            return result;
        }
        let mut queue = self.queue();
        if let Some(result) = batch.result.get() {
            return result.clone();
        }
        // The writer takes this back under the same lock once it has settled a batch.
        if queue.failure.is_none() {
            queue.failure = Some(LogError::Stalled);
            drop(queue);
            tracing::error!(failure = %LogError::Stalled, "new commands are refused until it does");
        }
        Err(LogError::Stalled)
    }

    /// Writes an intent to the emergency journal. Blocks on its disk.
    fn journal(self: Arc<Self>, intent: Intent) -> Result<OutcomeSlot, LogError> {
        let mut queue = self.queue();
        if queue.ended || queue.stopping {
            return Err(LogError::Closed);
        }
        if queue.entries.len() + queue.reserved + 2 > self.records_max + EMERGENCY_RECORDS {
            return Err(LogError::Full);
        }
        queue.reserved += 1;
        drop(queue);
        let time = self.time();
        let intent = Intent { decision: intent.decision.going_on(), ..intent };
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let written = journal.append(&time, &Record::Intent(intent.clone()).body());
        self.journal_bytes.store(journal.used(), Ordering::Relaxed);
        let mut queue = self.queue();
        if let Err(error) = written {
            queue.reserved = queue.reserved.saturating_sub(1);
            return Err(failed("writing the emergency journal", &error));
        }
        // Still with the journal's lock: it is emptied only when nothing waits here.
        let journaled = Arc::new(Journaled::new(time, intent));
        queue.journaled.push(Arc::clone(&journaled));
        queue.idle = false;
        drop(queue);
        drop(journal);
        self.work.notify_one();
        let started = self.clock.monotonic();
        let (place, state) = (Place::Journal(journaled), State::NotSent);
        Ok(OutcomeSlot { place, started, state, tally: None, kept: true, shared: self })
    }

    /// The disk answers: what counted as failed because it did not is well.
    fn answers(&self) {
        let mut queue = self.queue();
        if queue.failure == Some(LogError::Stalled) {
            queue.failure = queue.stopping.then_some(LogError::Closed);
            drop(queue);
            tracing::warn!("the audit log's disk answers again");
        }
    }

    /// Says that a batch is durable: what was carried over with it has its line now.
    fn carried(&self, carried: &[Carried]) {
        for Carried { journaled, seq, with_outcome } in carried {
            let stage = mem::replace(&mut *journaled.stage(), Stage::Carried(*seq));
            match stage {
                Stage::Ended(_) if *with_outcome => {
                    let mut queue = self.queue();
                    queue.reserved = queue.reserved.saturating_sub(1);
                }
                Stage::Ended(outcome) => {
                    self.push_outcome(*seq, journaled.ended(*seq, *outcome), None, true);
                }
                Stage::Waiting | Stage::Carried(_) => {}
            }
        }
        // Whoever has the lock is writing to the journal, and it is emptied after the next batch.
        let mut journal = match self.journal.try_lock() {
            Ok(journal) => journal,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if journal.is_used()
            && self.queue().journaled.is_empty()
            && let Err(error) = journal.clear()
        {
            tracing::error!(%error, "the emergency journal cannot be emptied; its lines may be carried over twice");
        }
        self.journal_bytes.store(journal.used(), Ordering::Relaxed);
    }

    fn stop(&self) {
        self.queue().stopping = true;
        self.work.notify_one();
    }

    /// Tells everybody who waits that the disk failed. What has to be written once it is well again stays
    /// queued: outcomes of durable intents and events nobody waits for, those of the batch that failed first.
    fn fail(&self, error: &LogError, taken: Taken, durable: u64) {
        let Taken { entries, batch, carried, .. } = taken;
        let kept = |entry: &Entry| match entry.mark {
            Awaited::Closes(intent) => intent < durable,
            Awaited::Kept => true,
            Awaited::Opens(_) | Awaited::Nothing => false,
        };
        let mut queue = self.queue();
        // Before anyone is told: whoever hears of the failure finds the log red.
        queue.failure = Some(error.clone());
        let later = mem::take(&mut queue.entries);
        queue.entries = entries.into_iter().chain(later).filter(kept).collect();
        let later = mem::take(&mut queue.journaled);
        queue.journaled = carried.into_iter().map(|it| it.journaled).chain(later).collect();
        let waiting = mem::take(&mut queue.batch);
        batch.settle(Err(error.clone()));
        waiting.settle(Err(error.clone()));
    }

    /// Takes records again, after `durable` lines.
    fn resume(&self, durable: u64) {
        let mut queue = self.queue();
        queue.failure = None;
        // Of the batch that failed, what had to be kept is queued again.
        queue.taken = Batch::written();
        queue.next_seq = durable + queue.entries.len() as u64;
    }

    /// After this nobody waits and nothing is taken any more.
    fn end(&self, error: Option<LogError>) {
        let mut queue = self.queue();
        let failure = error.unwrap_or(LogError::Closed);
        queue.failure = Some(failure.clone());
        queue.ended = true;
        queue.lost +=
            queue.entries.iter().filter(|entry| matches!(entry.mark, Awaited::Closes(_))).count() as u64;
        queue.entries.clear();
        // Their intents are in the journal, for whoever opens the log next.
        queue.lost += queue.journaled.len() as u64;
        queue.journaled.clear();
        let batch = mem::take(&mut queue.batch);
        drop(queue);
        batch.settle(Err(failure));
    }

    fn time(&self) -> String {
        time_text(self.clock.now())
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

/// Lines that become durable together.
#[derive(Debug, Default)]
struct Batch {
    result: OnceLock<Result<(), LogError>>,
    settled: Notify,
}

impl Batch {
    /// One of which nothing is left to be written.
    fn written() -> Arc<Self> {
        let batch = Self::default();
        batch.settle(Ok(()));
        Arc::new(batch)
    }

    async fn settled(&self) -> Result<(), LogError> {
        let mut notified = std::pin::pin!(self.settled.notified());
        // Listen first, look second: settling in between is not missed.
        notified.as_mut().enable();
        if let Some(result) = self.result.get() {
            return result.clone();
        }
        notified.await;
        self.result.get().cloned().unwrap_or(Err(LogError::Closed))
    }

    fn settle(&self, result: Result<(), LogError>) {
        let _ = self.result.set(result);
        self.settled.notify_waiters();
    }
}

/// A time as it stands in lines: RFC 3339 in UTC with microseconds.
pub(super) fn time_text(time: jiff::Timestamp) -> String {
    format!("{time:.6}")
}

/// Commands beyond the queue's bound that the emergency journal may hold open: stops are not refused because
/// other commands wait.
const EMERGENCY_RECORDS: usize = 256;
