//! What is counted, and by whom. Names of metrics stand in `exposition` alone.
//!
//! A series exists for what happened at least once, and for each camera there are at most some sixteen, so that a
//! scrape of 10,000 cameras stays small; some twenty more where somebody watches or hears events, and five for each
//! client that does (`media`).

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    count::{ByWord, Counts, Histogram, words},
    media::MediaMeter,
};
use crate::ids::{CameraId, ZoneId};

words!(
    /// What became of a command at the gate.
    Decided {
        /// It has a pass.
        Permitted "permitted"
        /// Policy denies it, and observe mode let it through.
        Observed "observed"
        /// No policy permits it to the caller.
        Denied "denied"
        /// A policy forbids it.
        Forbidden "forbidden"
        /// It was denied, and the caller told of a success.
        Absorbed "absorbed"
        /// It needs credentials and came without.
        Unauthenticated "unauthenticated"
        /// Nobody declared it, or it is not for clients.
        Unsupported "unsupported"
        /// It could not be recorded.
        Unrecordable "unrecordable"
    }
);

words!(
    /// How a command of a camera ended.
    Ended {
        /// As asked.
        Answered "answered"
        /// With a fault of the camera's or the facade's.
        Fault "fault"
        /// The gateway gave up: the camera could not be asked, or its answer may not cross.
        Failed "failed"
        /// Given up before it was sent.
        NotSent "abandoned_not_sent"
        /// Given up after it was sent.
        Unanswered "abandoned_unanswered"
        /// It never had a pass.
        Refused "refused"
    }
);

words!(
    /// Whose budget of commands under way was full.
    Budget {
        /// The camera's.
        Camera "camera"
        /// The client's.
        Client "client"
        /// That of callers without credentials.
        Anonymous "anonymous"
    }
);

words!(
    /// What became of somebody's search for virtual cameras.
    Searched {
        /// It is answered.
        Answered "answered"
        /// Nothing that its source may see is meant.
        Nothing "nothing"
        /// Its source was answered a moment ago.
        TooOften "too_often"
        /// Its source is not on the network.
        Foreign "foreign"
        /// It is no question.
        NotUnderstood "not_understood"
        /// Too much waits to be sent.
        Full "full"
    }
);

words!(
    /// What became of a message that was left in a zone's event sink.
    Noticed {
        /// It is read.
        Taken "taken"
        /// It came before.
        Twice "twice"
        /// It is no notification.
        NotUnderstood "not_understood"
        /// It was too large, broken or too slow to be taken whole.
        CutShort "cut_short"
        /// Nobody whom this path was told sends from there.
        Foreign "foreign"
        /// Its camera sends more than it may.
        TooOften "too_often"
        /// It may not be taken at the moment.
        Refused "refused"
        /// Too many of its camera wait to be read.
        Full "full"
        /// It was not read in time.
        Late "late"
    }
);

words!(
    /// How a reload of the configuration ended.
    Reloaded {
        /// It is in force.
        Taken "taken"
        /// It cannot be used; the one before stays.
        Refused "refused"
        /// It was in force and was taken back, since nobody confirmed it.
        RolledBack "rolled_back"
    }
);

words!(
    /// What is known of a camera.
    CameraHealth {
        /// It was not asked anything yet.
        Unknown "unknown"
        /// It can be reached.
        Up "up"
        /// It cannot.
        Unreachable "unreachable"
        /// No TLS connection to it is made.
        Distrusted "distrusted"
        /// It refuses the gateway's login.
        LoginRefused "login_refused"
    }
);

/// Why retention deletes nothing, although there may be something to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionStopped {
    /// The clock is further on than it can be.
    Clock,
    /// Files could not be read or deleted.
    Failing,
}

impl std::fmt::Display for RetentionStopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Clock => {
                "the clock is more than 45 days ahead of the last line that was written before: nothing is deleted for \
                 its age"
            }
            Self::Failing => "files of the log could not be read or deleted: the gateway's own log says which",
        })
    }
}

/// Everything that one gateway counts, from its start on.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Commands by access class and decision.
    pub(super) commands: ByWord<Counts<Decided>>,
    /// How long permitted commands took, by access class: from their intent to their outcome.
    pub(super) took: ByWord<Histogram>,
    /// How long exchanges with cameras took, turns and logins included.
    pub(super) exchange: Histogram,
    /// How long a batch of audit lines took to become durable.
    pub(super) commit: Histogram,
    /// Bytes and lines written to the audit log since the start.
    pub(super) audit_bytes: AtomicU64,
    /// Segments that retention deleted although they are younger than it should keep.
    pub(super) pruned_early: AtomicU64,
    /// Why retention deletes nothing at the moment.
    pub(super) retention_stopped: Mutex<Option<RetentionStopped>>,
    /// Logins that were refused, by reason.
    pub(super) logins_refused: ByWord<AtomicU64>,
    /// Requests that were rejected before they became commands, by the fault or status told.
    pub(super) rejected: AtomicU64,
    /// Requests without credentials that were only counted.
    pub(super) left_out: AtomicU64,
    /// TLS handshakes of clients that failed.
    pub(super) handshakes_failed: AtomicU64,
    /// Connections that were closed at once.
    pub(super) connections_refused: AtomicU64,
    /// Commands for which there was no place.
    pub(super) turned_away: Counts<Budget>,
    /// Searches for virtual cameras.
    pub(super) searches: Counts<Searched>,
    /// Messages that were left in event sinks.
    pub(super) notices: Counts<Noticed>,
    /// Messages of discovery that were sent on the core side.
    pub(super) discovery_sent: AtomicU64,
    /// Reloads.
    pub(super) reloads: Counts<Reloaded>,
    /// Restricted devices that were seen on the core side since the start.
    core_devices: AtomicUsize,
    /// What was dropped, and what was asked of the name server, by zone.
    zones: Mutex<BTreeMap<ZoneId, ZoneCounts>>,
    cameras: Mutex<BTreeMap<CameraId, Weak<CameraMeter>>>,
}

/// What is counted of one zone. There are as many as were ever configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ZoneCounts {
    /// Packets that its cameras sent where they may not.
    pub blocked: u64,
    /// Names that they asked for.
    pub asked: u64,
}

impl Metrics {
    /// Counts a decision.
    pub fn decided(&self, class: &'static str, decided: Decided) {
        self.commands.of(class).one(decided);
    }

    /// Counts a request that never became a command.
    pub fn rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a login that was refused.
    pub fn login_refused(&self, reason: &'static str) {
        self.logins_refused.of(reason).fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that is not recorded one by one.
    pub fn left_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a client with which TLS did not come about.
    pub fn handshake_failed(&self) {
        self.handshakes_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection for which there was no place.
    pub fn connection_refused(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a command for which there was no place.
    pub fn turned_away(&self, budget: Budget) {
        self.turned_away.one(budget);
    }

    /// Counts a search for virtual cameras.
    pub fn searched(&self, how: Searched) {
        self.searches.one(how);
    }

    /// Counts a message that was left in an event sink.
    pub fn noticed(&self, how: Noticed) {
        self.notices.one(how);
    }

    /// Counts a message of discovery that was sent on the core side.
    pub fn discovery_sent(&self) {
        self.discovery_sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a reload.
    pub fn reloaded(&self, how: Reloaded) {
        self.reloads.one(how);
    }

    /// Counts a batch of the audit log.
    pub fn committed(&self, bytes: u64, took: Duration) {
        self.audit_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.commit.observe(took);
    }

    /// Counts what a zone's cameras tried.
    pub fn zone(&self, id: &ZoneId, more: ZoneCounts) {
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = zones.entry(id.clone()).or_default();
        counts.blocked += more.blocked;
        counts.asked += more.asked;
    }

    pub(super) fn zones(&self) -> BTreeMap<ZoneId, ZoneCounts> {
        self.zones.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many restricted devices were seen on the core side since the start.
    pub fn core_devices(&self, seen: usize) {
        self.core_devices.store(seen, Ordering::Relaxed);
    }

    pub(super) fn core_devices_seen(&self) -> u64 {
        self.core_devices.load(Ordering::Relaxed) as u64
    }

    /// Counts segments that were deleted earlier than they should.
    pub fn pruned_early(&self, segments: u64) {
        self.pruned_early.fetch_add(segments, Ordering::Relaxed);
    }

    /// How many segments were deleted earlier than they should.
    pub fn early_prunings(&self) -> u64 {
        self.pruned_early.load(Ordering::Relaxed)
    }

    /// Says why retention deletes nothing, or that it goes on.
    pub fn retention(&self, stopped: Option<RetentionStopped>) {
        *self.retention_stopped.lock().unwrap_or_else(PoisonError::into_inner) = stopped;
    }

    /// Why retention deletes nothing at the moment.
    pub fn retention_stopped(&self) -> Option<RetentionStopped> {
        *self.retention_stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The meter of a camera: the same one as long as somebody holds it, so that counts outlive a reload.
    pub fn camera(&self, id: &CameraId) -> Arc<CameraMeter> {
        let mut cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = cameras.get(id).and_then(Weak::upgrade) {
            return meter;
        }
        let meter = Arc::new(CameraMeter::default());
        cameras.insert(id.clone(), Arc::downgrade(&meter));
        meter
    }

    /// The meters that somebody holds, by camera.
    pub(super) fn cameras(&self) -> Vec<(CameraId, Arc<CameraMeter>)> {
        let mut cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        cameras.retain(|_, meter| meter.strong_count() > 0);
        cameras.iter().filter_map(|(id, meter)| Some((id.clone(), meter.upgrade()?))).collect()
    }
}

/// What is counted of one camera.
#[derive(Debug)]
pub struct CameraMeter {
    pub(super) ended: Counts<Ended>,
    pub(super) deviations: ByWord<AtomicU64>,
    pub(super) exchanges: AtomicU64,
    pub(super) exchange_nanoseconds: AtomicU64,
    /// Packets that it sent where it may not.
    pub(super) blocked: AtomicU64,
    /// What is counted of its streams and events.
    pub media: MediaMeter,
    health: AtomicU8,
    clock_offset_milliseconds: AtomicI64,
}

impl Default for CameraMeter {
    fn default() -> Self {
        Self {
            ended: Counts::default(),
            deviations: ByWord::default(),
            exchanges: AtomicU64::new(0),
            exchange_nanoseconds: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            media: MediaMeter::default(),
            health: AtomicU8::new(0),
            clock_offset_milliseconds: AtomicI64::new(NOT_MEASURED),
        }
    }
}

impl CameraMeter {
    /// Counts a command that never had a pass.
    pub fn refused(&self) {
        self.ended.one(Ended::Refused);
    }

    /// Counts where the camera's answer left the schema, by what was done about it.
    pub fn deviated(&self, kind: &'static str, count: u64) {
        self.deviations.of(kind).fetch_add(count, Ordering::Relaxed);
    }

    /// Counts packets that it sent where it may not.
    pub fn blocked(&self, packets: u64) {
        self.blocked.fetch_add(packets, Ordering::Relaxed);
    }

    /// Takes up what is known of the camera.
    pub fn is(&self, health: CameraHealth) {
        self.health.store(health as u8, Ordering::Relaxed);
    }

    /// Takes up how far the camera's clock is ahead.
    pub fn clock_offset(&self, milliseconds: Option<i64>) {
        self.clock_offset_milliseconds.store(milliseconds.unwrap_or(NOT_MEASURED), Ordering::Relaxed);
    }

    pub(super) fn health(&self) -> u8 {
        self.health.load(Ordering::Relaxed)
    }

    pub(super) fn offset(&self) -> Option<i64> {
        Some(self.clock_offset_milliseconds.load(Ordering::Relaxed)).filter(|it| *it != NOT_MEASURED)
    }
}

/// Where one permitted command is counted when it ends, however it ends.
#[derive(Debug, Clone)]
pub struct Tally {
    /// The gateway's metrics.
    pub metrics: Arc<Metrics>,
    /// The camera's, if it is about one.
    pub camera: Option<Arc<CameraMeter>>,
    /// The command's access class.
    pub class: &'static str,
}

impl Tally {
    /// Counts the end.
    pub fn ended(&self, how: Ended, took: Duration) {
        self.metrics.took.of(self.class).observe(took);
        if let Some(camera) = &self.camera {
            camera.ended.one(how);
        }
    }
}

impl Metrics {
    /// Counts an exchange with a camera. Here, since both count it.
    pub fn exchanged(&self, camera: &CameraMeter, took: Duration) {
        self.exchange.observe(took);
        camera.exchanges.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        camera.exchange_nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

const NOT_MEASURED: i64 = i64::MIN;
