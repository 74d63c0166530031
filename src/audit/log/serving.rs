//! The writing thread: takes what is queued, makes it durable, signs, heals, and has old segments packed and deleted.

use std::{
    mem,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use super::{
    super::{
        emergency::{Journaled, Stage},
        pack::{Packer, Sealed},
        record::Record,
        retention::{Keeper, Steady},
        writer::{Awaited, Entry, Writer},
    },
    Batch, LogError, Pace, Queue, Shared,
};
use crate::limits::{AUDIT_GATHER_TIME_MAX, AUDIT_HEAL_INTERVAL, AUDIT_OUTCOME_WAIT_MAX};

/// Writes what is queued until the log is closed.
pub(super) fn serve(mut writer: Writer, shared: &Shared, pace: Pace) -> Result<(), LogError> {
    let interval = pace.checkpoint_interval;
    let sealed = Sealed::default();
    let steady = Steady::begin(pace.last, shared.clock.now(), shared.clock.monotonic());
    let mut keeper =
        Keeper::new(&writer.dir, pace.retention, sealed.clone(), Arc::clone(&pace.metrics), steady);
    let packer = pace.pack.then(|| Packer::start(writer.files.another(), &writer.dir, sealed)).transpose();
    let packer = packer.map_err(|error| failed("starting to pack segments", &error))?;
    let mut segment = writer.segment_path.clone();
    let mut signed_at = shared.clock.monotonic();
    let mut took = Duration::ZERO;
    loop {
        let mut taken = take(shared, &writer, signed_at.saturating_add(interval), took);
        let stopping = taken.stopping;
        let mut written = Ok(());
        if !taken.entries.is_empty() {
            let began = shared.clock.monotonic();
            written = writer.commit(&taken.entries).map_err(|error| failed("writing lines", &error));
            took = shared.clock.monotonic().saturating_sub(began);
            let bytes = if written.is_ok() { writer.buffer.len() as u64 } else { 0 };
            shared.metrics.committed(bytes, took);
        }
        if written.is_ok() {
            taken.entries.clear();
            shared.durable.store(writer.chain.size(), Ordering::Release);
            taken.batch.settle(Ok(()));
            shared.answers();
            shared.carried(&mem::take(&mut taken.carried));
            if segment != writer.segment_path {
                segment.clone_from(&writer.segment_path);
                packer.iter().for_each(Packer::tell);
            }
        }
        let due = shared.clock.monotonic().saturating_sub(signed_at) >= interval;
        if written.is_ok() && writer.unsigned() && (due || stopping) {
            written = writer.checkpoint().map_err(|error| failed("writing a checkpoint", &error));
            signed_at = shared.clock.monotonic();
        }
        if let Err(error) = &written {
            shared.fail(error, taken, writer.chain.size());
            recover(&mut writer, shared, error)?;
            keeper.forget();
        }
        if shared.signed.swap(writer.signed, Ordering::AcqRel) != writer.signed {
            shared.queue().checkpoint.clone_from(&writer.latest);
            if !stopping {
                let now = (shared.clock.now(), shared.clock.monotonic());
                keeper.tend(&mut *writer.files, writer.signed, now, &mut |event| {
                    let body = Record::Event(event).body();
                    shared.push(body, Awaited::Kept).ok().map(|placed| placed.seq)
                });
            }
        }
        if stopping && written.is_ok() {
            return Ok(());
        }
    }
}

/// Tries until the disk is well again; once only if the log is to be closed.
fn recover(writer: &mut Writer, shared: &Shared, failure: &LogError) -> Result<(), LogError> {
    let since = shared.clock.now();
    tracing::error!(%failure, "new commands are refused until the audit log can be written");
    loop {
        let mut queue = shared.queue();
        if !queue.stopping {
            queue = shared
                .work
                .wait_timeout_while(queue, AUDIT_HEAL_INTERVAL, |queue| !queue.stopping)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let stopping = queue.stopping;
        drop(queue);
        match writer.heal(&failure.to_string(), since, shared.clock.now()) {
            Ok(()) => {
                let lines = writer.chain.size();
                shared.durable.store(lines, Ordering::Release);
                shared.resume(lines);
                tracing::warn!(lines, "the audit log can be written again");
                return Ok(());
            }
            Err(error) => {
                let still = failed("going on", &error);
                tracing::error!(failure = %still, "the audit log still cannot be written");
                if stopping {
                    return Err(still);
                }
                shared.queue().failure = Some(still);
            }
        }
    }
}

pub(super) fn failed(what: &str, error: &std::io::Error) -> LogError {
    LogError::Failed(format!("{what}: {error}").into())
}

/// What the writer writes next.
pub(super) struct Taken {
    pub(super) entries: Vec<Entry>,
    pub(super) batch: Arc<Batch>,
    pub(super) carried: Vec<Carried>,
    stopping: bool,
}

/// A journaled command whose line is among the entries.
pub(super) struct Carried {
    pub(super) journaled: Arc<Journaled>,
    pub(super) seq: u64,
    /// Its outcome follows it.
    pub(super) with_outcome: bool,
}

/// Waits for something to write, at most until a checkpoint or outcomes are due, and takes all of it. `took` is
/// how long the last batch took.
fn take(shared: &Shared, writer: &Writer, due: Duration, took: Duration) -> Taken {
    let mut queue = shared.queue();
    if !queue.presses() {
        let outcomes = queue.reserved > 0 || !queue.entries.is_empty();
        let signing = writer.unsigned().then(|| due.saturating_sub(shared.clock.monotonic()));
        let wait = signing.into_iter().chain(outcomes.then_some(AUDIT_OUTCOME_WAIT_MAX)).min();
        queue.idle = true;
        queue = match wait {
            Some(wait) => shared.work.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0,
            None => shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner),
        };
        queue.idle = false;
    }
    let gather = (took / GATHER_PART).min(AUDIT_GATHER_TIME_MAX);
    if queue.pressing && gather >= GATHER_TIME_MIN {
        let waited = shared.work.wait_timeout_while(queue, gather, |queue| !queue.stopping);
        queue = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    queue.pressing = false;
    let stopping = queue.stopping;
    if stopping {
        // Nothing may be queued behind what is taken now, for nobody would write it.
        queue.failure.get_or_insert(LogError::Closed);
    }
    let carried = if queue.journaled.is_empty() { Vec::new() } else { carry(&mut queue, &shared.time()) };
    let batch = mem::take(&mut queue.batch);
    queue.taken = Arc::clone(&batch);
    Taken { entries: mem::take(&mut queue.entries), batch, carried, stopping }
}

/// Queues what is in the emergency journal, behind everything else.
fn carry(queue: &mut Queue, time: &str) -> Vec<Carried> {
    let mut add = |body, mark| {
        queue.entries.push(Entry { time: time.to_owned(), body, mark });
        queue.next_seq += 1;
        queue.next_seq - 1
    };
    let mut carried = Vec::new();
    for journaled in mem::take(&mut queue.journaled) {
        let seq = add(journaled.record().body(), Awaited::Opens(journaled.intent.request.clone()));
        let outcome = match &*journaled.stage() {
            Stage::Ended(outcome) => Some(journaled.ended(seq, (**outcome).clone())),
            Stage::Waiting | Stage::Carried(_) => None,
        };
        let with_outcome = outcome.is_some();
        if let Some(body) = outcome {
            add(body, Awaited::Closes(seq));
        }
        carried.push(Carried { journaled, seq, with_outcome });
    }
    carried
}

/// The part of a sync's time for which the next is held back.
const GATHER_PART: u32 = 6;
/// Less is not worth a pause.
const GATHER_TIME_MIN: Duration = Duration::from_millis(1);
