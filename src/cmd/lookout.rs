//! Looks after the gateway while it serves: alarms about what cannot tell by itself, and readings for metrics.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use super::{certificates::CertificateState, serving::Plan};
use crate::{
    alarm::{Alarm, Subject},
    audit::{self, Health, Log, VerifyError},
    events,
    gate::{Alarms, Rules, Watch},
    ids::CameraId,
    inventory::{BaselineStanding as Standing, Camera, Isolation, expected},
    limits::{
        ALARM_CALM, ALARM_LOOK_INTERVAL, AUDIT_CHECKPOINT_INTERVAL, AUDIT_EMERGENCY_BYTES_MAX,
        AUDIT_QUEUE_RECORDS_MAX, AUDIT_REVIEW_INTERVAL, CERTIFICATE_NOTICE, CLOCK_JUMP_MIN,
        EXCEPTION_NOTICE_DAYS,
    },
    listener::{House, http},
    telemetry::{self, AuditReadings, EventReadings, Readings},
};

/// What is looked at. Clones look at the same.
#[derive(Clone)]
pub(super) struct Lookout {
    log: Log,
    certificate: CertificateState,
    house: Arc<House>,
    started: jiff::Timestamp,
    last: Arc<Mutex<Last>>,
}

/// What was found last.
#[derive(Debug, Default)]
struct Last {
    /// Lines that were signed, and since when it is that many.
    signed: (u64, Duration),
    unsigned: Unsigned,
    /// Segments that were deleted early.
    pruned_early: u64,
    strides: Strides,
}

impl Lookout {
    pub(super) fn new(log: Log, certificate: CertificateState, house: Arc<House>) -> Self {
        let signed = (log.health().signed, house.clock.monotonic());
        let last = Last { signed, ..Last::default() };
        Self { log, certificate, started: house.clock.now(), house, last: Arc::new(Mutex::new(last)) }
    }

    /// One look: raises and clears what it finds.
    pub(super) fn look(&self) {
        let alarms = &self.house.gate.watch().alarms;
        let set = |alarm: Alarm, subject: Subject, trouble: Option<String>| {
            alarms.set(alarm, subject, trouble.as_deref());
        };
        let health = self.log.health();
        let waited = self.last().unsigned.look(health.signed, health.durable, self.house.clock.monotonic());
        let stopped = self.house.gate.watch().metrics.retention_stopped().map(|it| it.to_string());
        for (alarm, trouble) in of_the_log(&health, waited, stopped) {
            set(alarm, Subject::AuditLog, trouble);
        }
        for (alarm, trouble) in self.certificate.alarms(&*self.house.clock, CERTIFICATE_NOTICE) {
            set(alarm, Subject::Certificate, trouble);
        }
        let (all, open) = self.doors();
        let closed = (open < all).then(|| format!("{open} of {all} accept connections"));
        set(Alarm::DoorClosed, Subject::Gateway, closed);
        let edition = self.house.edition.load();
        for zone in edition.rules.inventory().zones() {
            let off = (zone.isolation == Isolation::None).then(|| "isolation = \"none\"".to_owned());
            set(Alarm::IsolationOff, Subject::Zone(zone.id.clone()), off);
        }
        let until = edition.rules.engine().observed_until(self.house.clock.now());
        let observed = until.map(|until| format!("until {until} (UTC), see what is on record as observed"));
        set(Alarm::ObserveMode, Subject::Gateway, observed);
        self.look_at_cameras(&edition.rules);
        look_for_early_pruning(self.house.gate.watch(), &mut self.last().pruned_early);
        self.look_at_the_clock();
        alarms.settle();
    }

    /// Cameras in quarantine, stricter than configured, or at sensitive sites.
    fn look_at_cameras(&self, rules: &Rules) {
        let (alarms, now) = (&self.house.gate.watch().alarms, self.house.clock.now());
        for configured in rules.inventory().cameras() {
            let Some(camera) = rules.camera(&configured.id) else { continue };
            let set = |alarm, trouble: Option<String>| {
                alarms.set(alarm, Subject::Camera(camera.id.clone()), trouble.as_deref());
            };
            let regard = rules.regards().of(&camera.id);
            let quarantine = || regard.quarantine.as_ref().map(|it| it.why.clone());
            set(Alarm::CameraQuarantined, camera.quarantined.then(quarantine).flatten());
            let old = regard.superseded(&configured.vendor);
            set(Alarm::VendorDecisionOld, old.map(ToString::to_string));
            let stricter = old.is_none() && camera.vendor.class != configured.vendor.class;
            let told = || format!("{} ({})", camera.vendor.class, camera.vendor.name);
            set(Alarm::CameraStricter, stricter.then(told));
            let restricted = camera.vendor.class.is_restricted()
                && rules.inventory().site(&camera.site).is_none_or(|site| site.sensitive);
            let unserved = rules.lacks_exception(&camera);
            set(Alarm::SiteRestricted, unserved.then(|| format!("site {}, {}", camera.site, told())));
            self.look_at_baseline(rules, &camera);
            let ending = camera
                .exception
                .as_ref()
                .filter(|_| restricted)
                .filter(|it| it.days_left(now).is_some_and(|days| days < EXCEPTION_NOTICE_DAYS));
            set(Alarm::ExceptionEnding, ending.map(|it| format!("its last day is {} (UTC)", it.until)));
        }
    }

    /// What a camera has been set to and nobody approved.
    fn look_at_baseline(&self, rules: &Rules, camera: &Camera) {
        let Some(zone) = rules.inventory().zone(&camera.zone) else { return };
        let standing = rules.regards().baselines().of(&camera.id).standing(&expected(zone));
        let Standing { outside, other, untold, left_out } = standing;
        let alarms = &self.house.gate.watch().alarms;
        let set = |alarm, told: Vec<String>| {
            let trouble = (!told.is_empty()).then(|| told.join("; "));
            alarms.set(alarm, Subject::Camera(camera.id.clone()), trouble.as_deref());
        };
        let mut destinations: Vec<String> = outside.iter().map(ToString::to_string).collect();
        destinations.extend(left_out.then(|| "more than is kept".to_owned()));
        set(Alarm::BaselineDestination, destinations);
        let others = other.iter().map(ToString::to_string);
        set(
            Alarm::BaselineChanged,
            others.chain(untold.iter().map(|it| format!("{it} is told no more"))).collect(),
        );
    }

    /// How long ago the number of signed lines changed, as far as was looked.
    fn checkpoint_age(&self, health: &Health) -> Duration {
        let now = self.house.clock.monotonic();
        let mut last = self.last();
        if last.signed.0 != health.signed {
            last.signed = (health.signed, now);
        }
        now.saturating_sub(last.signed.1)
    }

    fn look_at_the_clock(&self) {
        let (now, monotonic) = (self.house.clock.now(), self.house.clock.monotonic());
        let Some(jump) = self.last().strides.look(now, monotonic) else { return };
        let found =
            format!("it went {} by {} s, to {now}", jump.direction(), jump.by.as_secs().unsigned_abs());
        self.house.gate.watch().alarms.raise(Alarm::ClockJumped, Subject::Gateway, &found);
    }

    /// Listeners of virtual cameras that there should be, and those that accept connections.
    pub(super) fn doors(&self) -> (usize, usize) {
        (
            Plan::listeners(self.house.edition.load().rules.inventory()),
            self.house.doors.load(Ordering::Relaxed),
        )
    }

    /// All metrics as text.
    pub(super) fn metrics(&self) -> String {
        let watch = self.house.gate.watch();
        let edition = self.house.edition.load();
        let engine = edition.rules.engine();
        let (alarms, alarms_left_out) = watch.alarms.active();
        let readings = Readings {
            started: self.started,
            policy_version: engine.version().to_owned(),
            policy_mode: engine.observed_until(self.house.clock.now()).map_or("enforce", |_| "observe"),
            decisions: engine.decision_counts(),
            cameras: self.doors(),
            connections: http::open_connections(),
            audit: self.audit_readings(),
            certificate_ends: self.certificate.ends(),
            events: self.event_readings(),
            events_kept: self.house.hubs.kept_bytes(),
            alarms,
            alarms_left_out,
        };
        telemetry::render(&watch.metrics, readings)
    }

    fn event_readings(&self) -> Vec<(CameraId, EventReadings)> {
        let reading = |(id, counts): (CameraId, events::Counts)| {
            let events::Counts { told, duplicates, unchanged, over_rate, unkept } = counts;
            (id, EventReadings { told, duplicates, unchanged, over_rate, unkept })
        };
        self.house.hubs.counts().into_iter().map(reading).collect()
    }

    fn audit_readings(&self) -> AuditReadings {
        let health = self.log.health();
        AuditReadings {
            writable: health.failure.is_none(),
            queued: health.queued,
            awaited: health.awaited,
            places: AUDIT_QUEUE_RECORDS_MAX,
            durable: health.durable,
            signed: health.signed,
            checkpoint_age: self.checkpoint_age(&health),
            journal: (health.journaled, health.journal_bytes, AUDIT_EMERGENCY_BYTES_MAX),
            lost_outcomes: health.lost_outcomes,
        }
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether segments were deleted early since there were so many.
fn look_for_early_pruning(watch: &Watch, before: &mut u64) {
    let early = watch.metrics.early_prunings();
    let since = early.saturating_sub(std::mem::replace(before, early));
    if since > 0 {
        let found = format!("{since} segments were deleted before keep_days");
        watch.alarms.raise(Alarm::RetentionEarly, Subject::AuditLog, &found);
    }
}

/// Every alarm about the log, with what is the matter, if something is. `waited` is how long lines have waited to be
/// signed, and `stopped` why nothing is deleted of it.
fn of_the_log(health: &Health, waited: Duration, stopped: Option<String>) -> [(Alarm, Option<String>); 6] {
    let mostly = |used: usize, of: usize| used * 4 > of * 3;
    let Health { queued, awaited, journaled, journal_bytes, durable, signed, .. } = *health;
    let overdue = waited > 2 * AUDIT_CHECKPOINT_INTERVAL;
    let unsigned = durable.saturating_sub(signed);
    let places = queued + awaited;
    [
        (Alarm::AuditUnwritable, health.failure.clone()),
        (Alarm::RetentionStopped, stopped),
        (
            Alarm::CheckpointOverdue,
            overdue.then(|| format!("{unsigned} lines wait, since {} s", waited.as_secs())),
        ),
        (
            Alarm::AuditQueueFilling,
            mostly(places, AUDIT_QUEUE_RECORDS_MAX)
                .then(|| format!("{places} of {AUDIT_QUEUE_RECORDS_MAX} places are taken")),
        ),
        (Alarm::EmergencyJournalUsed, (journaled > 0).then(|| format!("{journaled} commands stand in it"))),
        (
            Alarm::EmergencyJournalFilling,
            mostly(journal_bytes, AUDIT_EMERGENCY_BYTES_MAX)
                .then(|| format!("{journal_bytes} of {AUDIT_EMERGENCY_BYTES_MAX} bytes are used")),
        ),
    ]
}

/// Since when lines wait for the checkpoint after some number of signed ones. A log that was idle for long has an old
/// checkpoint, and its next line still gets one at once.
#[derive(Debug, Default)]
struct Unsigned(Option<(u64, Duration)>);

impl Unsigned {
    /// How long lines wait as far as was looked, now that so many are signed and durable.
    fn look(&mut self, signed: u64, durable: u64, now: Duration) -> Duration {
        if signed >= durable {
            self.0 = None;
            return Duration::ZERO;
        }
        match self.0 {
            Some((known, since)) if known == signed => now.saturating_sub(since),
            Some(_) | None => {
                self.0 = Some((signed, now));
                Duration::ZERO
            }
        }
    }
}

/// Civil time beside time that only passes, as they were when they were looked at last.
#[derive(Debug, Default)]
struct Strides(Option<(jiff::Timestamp, Duration)>);

/// By how much civil time went further than the time that passed; negative when it was set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Jump {
    by: jiff::SignedDuration,
}

impl Jump {
    fn direction(self) -> &'static str {
        if self.by.is_negative() { "back" } else { "ahead" }
    }
}

impl Strides {
    fn look(&mut self, now: jiff::Timestamp, monotonic: Duration) -> Option<Jump> {
        let (before, then) = self.0.replace((now, monotonic))?;
        let passed = jiff::SignedDuration::try_from(monotonic.saturating_sub(then)).ok()?;
        let by = now.duration_since(before).saturating_sub(passed);
        (by.abs() >= CLOCK_JUMP_MIN).then_some(Jump { by })
    }
}

/// Looks every `ALARM_LOOK_INTERVAL`, and through the whole log every `AUDIT_REVIEW_INTERVAL`, until it is dropped.
pub(super) struct Watchman {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Dropped, it ends the review between two looks. Nobody waits for one: a large log takes its time.
    _review: mpsc::Sender<()>,
}

impl Watchman {
    /// Looks once, and then on threads of their own. `audit_dir` is where the log is.
    pub(super) fn start(lookout: Lookout, audit_dir: PathBuf) -> std::io::Result<Self> {
        lookout.look();
        let (review, reviewed) = mpsc::channel();
        let alarms = lookout.house.gate.watch().alarms.clone();
        std::thread::Builder::new()
            .name("audit-review".into())
            .spawn(move || review_until(&reviewed, &audit_dir, &alarms))?;
        let (stop, stopped) = mpsc::channel();
        let look = move || {
            while stopped.recv_timeout(ALARM_LOOK_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
                lookout.look();
            }
        };
        let thread = std::thread::Builder::new().name("alarms".into()).spawn(look)?;
        Ok(Self { stop: Some(stop), thread: Some(thread), _review: review })
    }
}

impl Drop for Watchman {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that looks for alarms panicked");
        }
    }
}

/// Verifies the log, again and again.
fn review_until(stop: &mpsc::Receiver<()>, dir: &Path, alarms: &Alarms) {
    let pause = |time: Duration| stop.recv_timeout(time) == Err(mpsc::RecvTimeoutError::Timeout);
    loop {
        let look = || match audit::verify(dir, None, None) {
            Err(VerifyError::Damaged(damage)) => Some(damage.to_string()),
            // A log that cannot be read is told of otherwise.
            Ok(_)
            | Err(VerifyError::File { .. } | VerifyError::Key { .. } | VerifyError::Incomparable { .. }) => {
                None
            }
        };
        let Some(found) = lasting(look, || pause(ALARM_CALM)) else { return };
        alarms.set(Alarm::AuditDamaged, Subject::AuditLog, found.as_deref());
        if !pause(AUDIT_REVIEW_INTERVAL) {
            return;
        }
    }
}

/// What two looks in a row find alike: what is just being written or deleted looks otherwise the next moment. None
/// if it was ended between them.
fn lasting(look: impl Fn() -> Option<String>, pause: impl Fn() -> bool) -> Option<Option<String>> {
    let mut before = look();
    while before.is_some() {
        if !pause() {
            return None;
        }
        let found = look();
        if found == before {
            break;
        }
        before = found;
    }
    Some(before)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::json;

    use super::*;
    use crate::{
        audit::{Event, Options, Retention},
        clock::{Clock, SimulatedClock, SystemEntropy},
        telemetry::Metrics,
    };

    /// The alarms that are on, in one text.
    fn told(alarms: &[(Alarm, Option<String>)]) -> String {
        let on =
            alarms.iter().filter_map(|(alarm, it)| Some(format!("{}: {}", alarm.entry().id, it.as_ref()?)));
        on.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_ails_the_log_is_told_from_when_it_matters() {
        let none = Health {
            failure: None,
            queued: 0,
            awaited: 0,
            journaled: 0,
            journal_bytes: 0,
            durable: 9,
            signed: 9,
            lost_outcomes: 0,
        };
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let (places, bytes) = (AUDIT_QUEUE_RECORDS_MAX * 3 / 4, AUDIT_EMERGENCY_BYTES_MAX * 3 / 4);
        let late = 2 * AUDIT_CHECKPOINT_INTERVAL;
        let second = Duration::from_secs(1);
        for (health, waited, stopped, expected) in [
            (none.clone(), minutes(0), None, String::new()),
            (
                Health { failure: Some("no space".into()), ..none.clone() },
                minutes(0),
                None,
                "audit-unwritable: no space".into(),
            ),
            (none.clone(), minutes(0), Some("a hold"), "retention-stopped: a hold".into()),
            (Health { signed: 7, ..none.clone() }, late, None, String::new()),
            (
                Health { signed: 7, ..none.clone() },
                late + second,
                None,
                format!("checkpoint-overdue: 2 lines wait, since {} s", (late + second).as_secs()),
            ),
            (Health { queued: places - 1, awaited: 1, ..none.clone() }, minutes(0), None, String::new()),
            (
                Health { queued: places, awaited: 1, ..none.clone() },
                minutes(0),
                None,
                format!("audit-queue-filling: {} of {AUDIT_QUEUE_RECORDS_MAX} places are taken", places + 1),
            ),
            (
                Health { journaled: 2, journal_bytes: bytes, ..none.clone() },
                minutes(0),
                None,
                "emergency-journal-used: 2 commands stand in it".into(),
            ),
            (
                Health { journal_bytes: bytes + 1, ..none.clone() },
                minutes(0),
                None,
                format!(
                    "emergency-journal-filling: {} of {AUDIT_EMERGENCY_BYTES_MAX} bytes are used",
                    bytes + 1
                ),
            ),
        ] {
            assert_eq!(told(&of_the_log(&health, waited, stopped.map(str::to_owned))), expected);
        }
    }

    #[test]
    fn lines_wait_from_when_they_are_there_and_not_from_the_last_checkpoint() {
        let second = Duration::from_secs;
        let mut unsigned = Unsigned::default();
        for (signed, durable, now, waited) in [
            (7, 7, 1, 0),
            // After an hour of silence.
            (7, 8, 3_600, 0),
            (7, 9, 3_601, 1),
            (9, 10, 3_602, 0),
            (9, 10, 3_723, 121),
            (10, 10, 3_724, 0),
            (10, 11, 3_725, 0),
        ] {
            assert_eq!(unsigned.look(signed, durable, second(now)), second(waited), "at {now}");
        }
    }

    #[test]
    fn a_clock_that_is_set_is_told_and_one_that_is_steered_is_not() {
        let mut strides = Strides::default();
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        for (now, passed, jump) in [
            (1_000, 5, None),
            (1_001, 6, None),
            // A look that came late is no jump.
            (1_601, 606, None),
            (1_603, 607, None),
            (1_664, 608, Some((60, "ahead"))),
            (1_665, 609, None),
            (-3_000, 610, Some((-4_666, "back"))),
            (-2_999, 611, None),
        ] {
            let found = strides.look(at(now), Duration::from_secs(passed));
            assert_eq!(found.map(|it| (it.by.as_secs(), it.direction())), jump, "at {now}");
        }
    }

    /// A log that may take little room, and is to keep its lines for ten years.
    #[test]
    fn lines_that_went_before_their_time_are_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimulatedClock::new("2026-01-02T03:04:05Z".parse().unwrap()));
        let (shared, metrics) = (Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(Metrics::default()));
        let day = Duration::from_secs(86_400);
        let options = Options {
            segment_bytes_max: 1_500,
            checkpoint_interval: Duration::ZERO,
            pack: false,
            retention: Retention { keep: Some(day * 3_650), reserve_bytes: Some(20_000) },
            metrics: Arc::clone(&metrics),
            ..Options::new(dir.path(), "lookout.example/audit")
        };
        let (log, _) = Log::open(&options, Arc::clone(&shared), &SystemEntropy).unwrap();
        let watch = Watch::new(metrics, Alarms::new(log.clone(), shared));
        let mut before = 0;
        look_for_early_pruning(&watch, &mut before);
        assert!(watch.alarms.active().0.is_empty(), "nothing went yet");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for number in 0..200 {
            clock.advance(day / 4);
            runtime.block_on(log.event(Event::new("something", json!({ "number": number })))).unwrap();
        }
        look_for_early_pruning(&watch, &mut before);
        let told = watch.alarms.active().0;
        let [alarm] = &*told else { panic!("{} alarms", told.len()) };
        let found = format!("{before} segments were deleted before keep_days");
        assert!(before > 0 && alarm.detail == found, "{alarm:?}");
        assert_eq!((alarm.alarm, &alarm.subject), (Alarm::RetentionEarly, &Subject::AuditLog));
        look_for_early_pruning(&watch, &mut before);
        assert_eq!(watch.alarms.active().0[0].repeats, 0, "once");
        log.close().unwrap();
    }

    #[test]
    fn only_damage_that_lasts_is_told() {
        let check = |finds: &[Option<&str>], ended: bool| {
            let finds = RefCell::new(finds.iter().rev().map(|it| it.map(str::to_owned)).collect::<Vec<_>>());
            lasting(|| finds.borrow_mut().pop().unwrap(), || !ended)
        };
        assert_eq!(check(&[None], false), Some(None));
        assert_eq!(check(&[Some("line 7"), Some("line 7")], false), Some(Some("line 7".to_owned())));
        assert_eq!(check(&[Some("line 7"), Some("line 9"), None], false), Some(None), "just being written");
        assert_eq!(check(&[Some("line 7")], true), None, "stopped meanwhile");
    }
}
