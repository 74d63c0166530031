//! What is counted of a camera's streams and events, and of those who watch and hear.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use super::count::{Counts, words};

words!(
    /// What became of a packet of a camera's streams.
    Packet {
        /// It was handed on.
        Passed "passed"
        /// It came on a channel that was not set up.
        Channel "channel"
        /// It is no RTP or RTCP as it must be.
        Malformed "malformed"
        /// It is of a payload type that was not declared.
        PayloadType "payload_type"
        /// It is of another source than the one before, once that had changed too often.
        Source "source"
        /// It is RTCP without a sender report, or with that of another source.
        Report "report"
        /// It is of a document of metadata that did not pass.
        Document "document"
        /// It came in a datagram after what follows it had been handed on.
        Overtaken "overtaken"
    }
);

words!(
    /// How the numbers of a camera's packets left their order.
    Disorder {
        /// Packets between two that came, in that order, were missing.
        Missing "missing"
        /// One came after one that follows it: it had been missing.
        Late "late"
        /// Numbers or source began anew.
        Anew "anew"
        /// A source said goodbye.
        Goodbye "goodbye"
    }
);

words!(
    /// What becomes of streams in encodings that cannot be checked, each time a camera describes them.
    Encoding {
        /// They are left out.
        LeftOut "left_out"
        /// They pass unverified.
        Unverified "unverified"
    }
);

words!(
    /// To whom events were delivered.
    Delivered {
        /// To a client that pulls.
        Pull "pull"
        /// To a consumer that is notified.
        Notify "notify"
        /// To a broker, which acknowledged it.
        Broker "broker"
    }
);

/// What is counted of one camera's streams and events.
#[derive(Debug, Default)]
pub struct MediaMeter {
    pub(super) packets: Counts<Packet>,
    pub(super) disorder: Counts<Disorder>,
    pub(super) encodings: Counts<Encoding>,
    /// Bytes of packets that passed, and of those that did not.
    pub(super) bytes: [AtomicU64; 2],
    /// Events that clients, consumers and the broker got, and those that they could not get since they were too slow.
    pub(super) delivered: Counts<Delivered>,
    pub(super) missed: AtomicU64,
    /// By client. There are as many as were ever configured, and one for whoever need not log in.
    viewers: Mutex<BTreeMap<String, Arc<ViewerMeter>>>,
}

/// What is counted of one client's viewers at one camera.
#[derive(Debug, Default)]
pub struct ViewerMeter {
    pub(super) watching: AtomicUsize,
    pub(super) bytes: AtomicU64,
    pub(super) fell_behind: AtomicU64,
    pub(super) lost_bytes: AtomicU64,
    pub(super) lost_datagrams: AtomicU64,
}

/// What a viewer was sent and lost, from its beginning on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Bytes that it was sent.
    pub bytes: u64,
    /// Times at which it fell behind.
    pub fell_behind: u64,
    /// Bytes that it was not sent since it was too slow.
    pub lost_bytes: u64,
    /// Datagrams that could not be sent.
    pub lost_datagrams: u64,
}

impl MediaMeter {
    /// Counts packets.
    pub fn packets(&self, what: Packet, more: u64) {
        self.packets.add(what, more);
    }

    /// Counts where packets were not in their order.
    pub fn disorder(&self, what: Disorder, more: u64) {
        self.disorder.add(what, more);
    }

    /// Counts encodings that cannot be checked.
    pub fn encodings(&self, what: Encoding, more: usize) {
        self.encodings.add(what, more as u64);
    }

    /// Counts bytes of packets that passed, and of those that did not.
    pub fn bytes(&self, passed: u64, dropped: u64) {
        for (count, more) in self.bytes.iter().zip([passed, dropped]) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Counts events that somebody got.
    pub fn delivered(&self, to: Delivered, events: usize) {
        self.delivered.add(to, events as u64);
    }

    /// Counts events that somebody could not get any more.
    pub fn missed(&self, events: u64) {
        self.missed.fetch_add(events, Ordering::Relaxed);
    }

    /// The meter of a client's viewers.
    pub fn viewers(&self, client: &str) -> Arc<ViewerMeter> {
        Arc::clone(self.all().entry(client.to_owned()).or_default())
    }

    /// The meters of all clients that ever watched.
    pub(super) fn watched(&self) -> Vec<(String, Arc<ViewerMeter>)> {
        self.all().iter().map(|(client, meter)| (client.clone(), Arc::clone(meter))).collect()
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<ViewerMeter>>> {
        self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One viewer among those of its client, as long as it watches.
#[derive(Debug)]
pub struct Watching {
    meter: Arc<ViewerMeter>,
    counted: Sent,
}

impl Watching {
    /// One more of the viewers that are counted there.
    pub fn begin(meter: Arc<ViewerMeter>) -> Self {
        meter.watching.fetch_add(1, Ordering::Relaxed);
        Self { meter, counted: Sent::default() }
    }

    /// Counts what came to it since this was said last.
    pub fn count(&mut self, sent: Sent) {
        let counted = std::mem::replace(&mut self.counted, sent);
        for (count, now, before) in [
            (&self.meter.bytes, sent.bytes, counted.bytes),
            (&self.meter.fell_behind, sent.fell_behind, counted.fell_behind),
            (&self.meter.lost_bytes, sent.lost_bytes, counted.lost_bytes),
            (&self.meter.lost_datagrams, sent.lost_datagrams, counted.lost_datagrams),
        ] {
            count.fetch_add(now.saturating_sub(before), Ordering::Relaxed);
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.meter.watching.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What became of the events of one camera, as its hub has counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventReadings {
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

impl EventReadings {
    /// Each by its word.
    pub(super) fn by_word(&self) -> [(&'static str, u64); 5] {
        [
            ("told", self.told),
            ("duplicate", self.duplicates),
            ("unchanged", self.unchanged),
            ("over_rate", self.over_rate),
            ("not_kept", self.unkept),
        ]
    }
}
