//! Decide, record, hand out the pass.
//!
//! Every front door ends here. A [`Pass`] exists only for a command that policy permitted **and** whose
//! intent is durable in the audit log, or that observe mode lets through though policy denies it, recorded as such;
//! nothing else can make one, it cannot be copied, and dropping it
//! records what became of it.
//!
//! A pass cannot be forged, since its fields are private:
//!
//! ```compile_fail,E0451
//! fn forge(spent: cordon::gate::Pass, slot: cordon::audit::OutcomeSlot) -> cordon::gate::Pass {
//!     cordon::gate::Pass { slot, ..spent }
//! }
//! ```
//!
//! nor used twice, since it is not `Clone`:
//!
//! ```compile_fail,E0599
//! fn twice(pass: cordon::gate::Pass) -> (cordon::gate::Pass, cordon::gate::Pass) {
//!     (pass.clone(), pass)
//! }
//! ```

mod absorb;
mod alarms;
mod budgets;
mod emergency;
mod guesses;
mod noise;
mod origin;
mod recall;
mod record;
mod rules;
mod zones;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::json;

use crate::{
    alarm::{Alarm, Subject},
    audit::{Asked, Bar, Decision as Recorded, Ending, Event, Intent, Log, LogError, Outcome, OutcomeSlot},
    auth::{AuthError, Authenticator, Caller, Failure, Identified, Shown},
    clock::Clock,
    command::{Command, Operation, Reason},
    ids::{CameraId, RequestId, ZoneId},
    inventory::Camera,
    policy::{Decision, RefusalKind},
    schema::Trait,
    telemetry::{Budget, CameraMeter, Decided, Metrics, Tally},
};

use budgets::Budgets;
use guesses::Guesses;
use noise::{LeftOut, Noise};

pub use absorb::AbsorbRule;
pub use alarms::{Alarms, detail};
pub use budgets::{Holder, OverBudget, Turn};
pub use emergency::goes_on;
pub use origin::Origin;
pub use recall::{Gap, Recalled, recall};
pub use record::{Disposal, Ended, Rejected, Series};
pub use rules::{Rules, bar};
pub use zones::Zones;

/// Has commands decided and records them. The rules come with each command: they change while this lives.
pub struct Gate {
    log: Log,
    noise: Noise,
    guesses: Guesses,
    clock: Arc<dyn Clock>,
    watch: Watch,
}

/// What is counted and told of a gateway, and what everybody has under way, from its start to its end. Clones are
/// the same.
#[derive(Clone)]
pub struct Watch {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is told.
    pub alarms: Alarms,
    /// Which zones are isolated as they should be.
    pub zones: Zones,
    budgets: Budgets,
}

impl Watch {
    /// Nothing is under way yet.
    pub fn new(metrics: Arc<Metrics>, alarms: Alarms) -> Self {
        Self { metrics, alarms, zones: Zones::default(), budgets: Budgets::default() }
    }
}

/// Why there is no pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The command needs credentials and came without.
    #[error("credentials are needed")]
    Unauthenticated,
    /// No policy permits it to this caller.
    #[error("no policy permits this to the caller")]
    NotAuthorized,
    /// A policy forbids it.
    #[error("a policy forbids it")]
    Forbidden,
    /// It is about users and passwords of the camera, which are managed in the gateway.
    #[error("users and passwords of cameras are managed in the gateway")]
    Users,
    /// The camera is restricted, and the isolation of its zone is not in force.
    #[error("the isolation of the camera's zone is not in force")]
    NotIsolated,
    /// It was denied, and the caller is told of a success; recorded as such.
    #[error("denied, absorbed")]
    Absorbed,
    /// Nobody declared such an operation, or it is not for clients.
    #[error("the operation is not supported")]
    NotSupported,
    /// The source came without proof too often: not recorded one by one any more, only counted.
    #[error("the source came without proof too often")]
    Noise,
    /// It cannot be recorded, and what is not recorded is not done.
    #[error("the command cannot be recorded")]
    Unrecordable(#[source] LogError),
}

impl Refusal {
    /// What the peer is told, as records have it; none for what has no line of its own.
    fn codes(&self) -> Option<&'static str> {
        match self {
            Self::Unauthenticated | Self::NotAuthorized => Some("Sender/ter:NotAuthorized"),
            Self::Forbidden | Self::Users | Self::NotIsolated => Some("Sender/ter:OperationProhibited"),
            Self::NotSupported => Some("Receiver/ter:ActionNotSupported"),
            Self::Noise | Self::Unrecordable(_) | Self::Absorbed => None,
        }
    }

    fn decided(&self) -> Decided {
        match self {
            Self::Unauthenticated | Self::Noise => Decided::Unauthenticated,
            Self::NotAuthorized => Decided::Denied,
            Self::Forbidden | Self::Users | Self::NotIsolated => Decided::Forbidden,
            Self::Absorbed => Decided::Absorbed,
            Self::NotSupported => Decided::Unsupported,
            Self::Unrecordable(_) => Decided::Unrecordable,
        }
    }
}

/// What a pass was given for.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The request.
    pub request: RequestId,
    /// The camera; none for administration of the gateway.
    pub camera: Option<CameraId>,
    /// What may be done.
    pub operation: Operation,
}

/// Permission for one exchange, recorded. See the module's page.
#[derive(Debug)]
#[must_use = "a pass that is dropped is recorded as abandoned"]
pub struct Pass {
    grant: Grant,
    slot: OutcomeSlot,
    bounds: Bounds,
}

/// For what a pass is good yet.
enum Bounds {
    /// One exchange.
    Once,
    /// Nothing: it had its exchange.
    Used,
    /// So many exchanges of a series, before a time by this clock.
    Series { left: u32, until: Timestamp, clock: Arc<dyn Clock> },
}

impl fmt::Debug for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once => f.write_str("once"),
            Self::Used => f.write_str("used"),
            Self::Series { left, until, .. } => write!(f, "{left} times until {until}"),
        }
    }
}

impl Gate {
    /// Records in this log.
    pub fn new(log: Log, clock: Arc<dyn Clock>, watch: Watch) -> Self {
        Self { log, noise: Noise::default(), guesses: Guesses::default(), clock, watch }
    }

    /// Recognises the caller, unless its source failed to log in too often lately: then nothing it shows is looked
    /// at. Where no client may log in from, no guess can be right, and none is counted.
    pub fn identify(
        &self,
        rules: &Rules,
        authenticator: &Authenticator,
        shown: &Shown<'_>,
    ) -> Result<Identified, AuthError> {
        let ip = shown.source.ip();
        let Some(name) = shown.claimed().filter(|_| rules.expects(ip)) else {
            return authenticator.identify(shown, &*self.clock);
        };
        let (source, now) = (Origin::of(ip), self.clock.monotonic());
        let (may, left_out) = self.guesses.may_try(source, &name, now);
        self.tell("logins-left-out", &left_out);
        if !may {
            self.watch.metrics.left_out();
            let found = format!("{source} failed to log in too often, last as `{name}`");
            self.watch.alarms.raise(Alarm::LoginsLeftOut, Subject::Gateway, &found);
            return Err(AuthError { failure: Failure::OverBudget, claimed: Some(name) });
        }
        let identified = authenticator.identify(shown, &*self.clock);
        match &identified {
            Ok(_) => self.guesses.proved(source, &name, now),
            Err(error) if error.failure.is_guess() => self.guesses.failed(source, &name, now),
            Err(_) => {}
        }
        identified
    }

    /// Decides a command by these rules, records it, and gives the pass once the record is durable. A refusal is recorded
    /// and durable too. `nonce` is the fingerprint of the credentials used, so that a restart is no replay
    /// window.
    pub async fn decide(
        &self,
        rules: &Rules,
        command: Command,
        caller: &Caller,
        nonce: Option<String>,
    ) -> Result<Pass, Refusal> {
        self.decided(rules, command, caller, nonce, None).await
    }

    /// The same for a series of one question, which stands in the log as one: how often at most, how far apart and until
    /// when is durable before the first is asked. For the gateway's own questions: one series of each a camera is under way at
    /// most, since no place in the log's queue is kept for how it ends.
    pub async fn decide_series(
        &self,
        rules: &Rules,
        command: Command,
        reason: Reason,
        series: Series,
    ) -> Result<Pass, Refusal> {
        self.decided(rules, command, &Caller::Gateway(reason), None, Some(series)).await
    }

    /// The same for a question that a client asks the gateway again and again. Nobody else asks it: one series for each
    /// subscription is under way at most, and of subscriptions there are few.
    pub async fn decide_client_series(
        &self,
        rules: &Rules,
        command: Command,
        caller: &Caller,
        nonce: Option<String>,
        series: Series,
    ) -> Result<Pass, Refusal> {
        self.decided(rules, command, caller, nonce, Some(series)).await
    }

    async fn decided(
        &self,
        rules: &Rules,
        command: Command,
        caller: &Caller,
        nonce: Option<String>,
        series: Option<Series>,
    ) -> Result<Pass, Refusal> {
        // Before deciding: what needs no credentials is a line of the log like what is refused.
        if let Caller::Anonymous { source, .. } = caller {
            self.hear(rules, source.ip())?;
        }
        let (camera, decision) = rules.decide(&command, caller);
        let meter = command.camera.as_ref().and_then(|id| rules.meter(id));
        let class = command.class.as_str();
        let mut intent = record::intent(&command, caller, camera.as_deref(), &decision, nonce);
        intent.series = series.map(Series::recorded);
        let unrecordable = |error| {
            self.watch.metrics.decided(class, Decided::Unrecordable);
            error
        };
        intent.barred = camera.as_deref().and_then(|camera| rules.bar(camera, caller));
        if let Some(trouble) = camera.as_deref().and_then(|camera| self.shut_out(rules, camera)) {
            intent.barred = Some(Bar::Isolation);
            intent.decision = Recorded::Denied;
            intent.note = Some(format!("{}: {trouble}", Bar::Isolation.words()));
            return Err(self.refuse(intent, Refusal::NotIsolated, class, meter).await);
        }
        let observed =
            !decision.allow && rules.observes(&command, caller, camera.as_deref(), self.clock.now());
        if observed {
            intent.decision = Recorded::Observed;
            tracing::warn!(request = %command.request, operation = %command.operation, policies = ?decision.policies, "denied, let through by observe mode");
        }
        if decision.allow || observed {
            let spare = emergency::goes_on(&command.operation).then(|| intent.clone());
            let slot = match (self.log.intent(intent).await, spare) {
                (Ok(slot), _) => slot,
                (Err(error), Some(intent)) => self.emergency(&error, intent).await.map_err(unrecordable)?,
                (Err(error), None) => return Err(unrecordable(Refusal::Unrecordable(error))),
            };
            let decided = if observed { Decided::Observed } else { Decided::Permitted };
            self.watch.metrics.decided(class, decided);
            let slot = slot.counted(Tally {
                metrics: Arc::clone(&self.watch.metrics),
                camera: meter.cloned(),
                class,
            });
            let Command { request, camera, operation, .. } = command;
            let grant = Grant { request, camera, operation };
            return Ok(match series {
                None => Pass { grant, slot, bounds: Bounds::Once },
                Some(Series { times_max, until, .. }) => {
                    let clock = Arc::clone(&self.clock);
                    let bounds = Bounds::Series { left: times_max, until, clock };
                    Pass { grant, slot: slot.lasting(), bounds }
                }
            });
        }
        let mut refusal = refusal(caller, &decision);
        if refusal == Refusal::Forbidden && command.traits.iter().any(|it| it == Trait::Users) {
            refusal = Refusal::Users;
        }
        if refusal != Refusal::NotSupported && rules.absorbs(&command, caller) {
            refusal = Refusal::Absorbed;
            intent.note = Some(intent.note.map_or("absorbed".to_owned(), |note| format!("absorbed; {note}")));
        }
        Err(self.refuse(intent, refusal, class, meter).await)
    }

    /// Records a refusal; gives it, or that it cannot be recorded.
    async fn refuse(
        &self,
        mut intent: Intent,
        refusal: Refusal,
        class: &'static str,
        meter: Option<&Arc<CameraMeter>>,
    ) -> Refusal {
        intent.fault = refusal.codes().map(str::to_owned);
        tracing::info!(request = %intent.request, operation = %intent.operation, policies = ?intent.policies, %refusal, "refused");
        let refusal = match self.log.refusal(intent).await {
            Ok(_) => refusal,
            Err(error) => Refusal::Unrecordable(error),
        };
        self.watch.metrics.decided(class, refusal.decided());
        if let (Some(meter), false) = (meter, matches!(refusal, Refusal::Unrecordable(_))) {
            meter.refused();
        }
        refusal
    }

    /// Why a camera is not served at all: it is restricted, and the isolation of its zone is not in force.
    pub fn shut_out(&self, rules: &Rules, camera: &Camera) -> Option<Arc<str>> {
        if !camera.vendor.class.is_restricted() {
            return None;
        }
        match rules.inventory().zone(&camera.zone) {
            Some(zone) => self.watch.zones.trouble(zone),
            None => Some(Arc::from("its zone is not configured")),
        }
    }

    /// A place for one more command of a caller, within its budget over all cameras.
    pub fn turn(&self, caller: &Caller) -> Result<Turn, OverBudget> {
        let turn = self.watch.budgets.turn(caller);
        match (&turn, caller) {
            (Ok(_), _) => {}
            (Err(full), Caller::Client { id, .. }) => {
                self.watch.metrics.turned_away(Budget::Client);
                let client = Subject::Client(id.clone());
                self.watch.alarms.raise(Alarm::ClientOverBudget, client, &full.to_string());
            }
            (Err(_), _) => self.watch.metrics.turned_away(Budget::Anonymous),
        }
        turn
    }

    /// Records in the emergency journal what must not wait for the log.
    async fn emergency(&self, failure: &LogError, intent: Intent) -> Result<OutcomeSlot, Refusal> {
        let (request, operation) = (intent.request.clone(), intent.operation.clone());
        let written = self.log.emergency(intent).await.map_err(Refusal::Unrecordable);
        match &written {
            Ok(_) => {
                tracing::warn!(request, operation, %failure, "recorded in the emergency journal instead of the log");
            }
            Err(error) => {
                tracing::error!(request, operation, %failure, %error, "the emergency journal failed too")
            }
        }
        written
    }

    /// Records a request that never became a command: not understood, not authenticated, no such place.
    /// Durable when it returns.
    pub async fn reject(&self, rules: &Rules, rejected: Rejected<'_>) -> Result<(), Refusal> {
        if rejected.caller.is_none() {
            self.hear(rules, rejected.source.ip())?;
        }
        self.watch.metrics.rejected();
        let camera = rules.camera(rejected.camera);
        let written = self.log.refusal(record::rejection(&rejected, camera.as_deref())).await;
        written.map(|_| ()).map_err(Refusal::Unrecordable)
    }

    /// Counts a request of somebody who proved nothing; an error if the source has had its lines.
    fn hear(&self, rules: &Rules, source: IpAddr) -> Result<(), Refusal> {
        let (expected, source) = (rules.expects(source), Origin::of(source));
        let now = self.clock.monotonic();
        let (admitted, left_out) = self.noise.admit(source, expected, rules.lines_max(), now);
        self.tell("requests-left-out", &left_out);
        if admitted {
            return Ok(());
        }
        self.watch.metrics.left_out();
        let found = format!("{source} went beyond its {} requests a minute", rules.lines_max());
        self.watch.alarms.raise(Alarm::RequestsLeftOut, Subject::Gateway, &found);
        Err(Refusal::Noise)
    }

    /// Counts and records a client with which TLS did not come about, within the budget of its source.
    pub fn handshake_failed(&self, rules: &Rules, source: SocketAddr, reason: &str) {
        self.watch.metrics.handshake_failed();
        if self.hear(rules, source.ip()).is_ok() {
            let detail = json!({ "source": source.to_string(), "reason": reason });
            self.note(Event::new("tls-handshake-failed", detail));
        }
    }

    /// Records who left something at a zone's event sink that may not, within the budget of its source.
    pub fn notice_refused(&self, rules: &Rules, source: SocketAddr, zone: &ZoneId, why: &str) {
        if self.hear(rules, source.ip()).is_ok() {
            let detail = json!({ "source": source.to_string(), "zone": zone.as_str(), "reason": why });
            self.note(Event::new("event-notice-refused", detail));
        }
    }

    /// What is counted and told.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    fn tell(&self, what: &'static str, left_out: &[LeftOut]) {
        for LeftOut { source, count } in left_out {
            let detail = json!({ "source": source.to_string(), "requests": count });
            self.note(Event::new(what, detail));
        }
    }

    /// Tells what was not told yet, before the log is closed.
    pub fn finish(&self) {
        self.tell("requests-left-out", &self.noise.rest());
        self.tell("logins-left-out", &self.guesses.rest());
    }

    /// Records something that happened, without waiting for the disk. False if it will not be on record.
    pub fn note(&self, event: Event) -> bool {
        let noted = self.log.note(event);
        if let Err(error) = &noted {
            tracing::error!(%error, "an event could not be recorded");
        }
        noted.is_ok()
    }

    /// The audit log, for readiness and shutdown.
    pub fn log(&self) -> &Log {
        &self.log
    }
}

impl Pass {
    /// What it was given for.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Says that from now on the camera may have heard of it. True the first time only: one pass is one exchange; that
    /// of a series is as many as its record says, until the time it says.
    pub fn sending(&mut self) -> bool {
        let is_good = match &mut self.bounds {
            Bounds::Once => true,
            Bounds::Used => false,
            Bounds::Series { left, until, clock } => {
                let is_good = *left > 0 && clock.now() < *until;
                *left = left.saturating_sub(1);
                is_good
            }
        };
        if matches!(self.bounds, Bounds::Once) {
            self.bounds = Bounds::Used;
        }
        if is_good {
            self.slot.sending();
        }
        is_good
    }

    /// Whether a series goes on: how often it was asked and until when it may be is not used up.
    pub fn goes_on(&self) -> bool {
        match &self.bounds {
            Bounds::Once | Bounds::Used => false,
            Bounds::Series { left, until, clock } => *left > 0 && clock.now() < *until,
        }
    }

    /// Spends the pass and records how the exchange ended.
    pub fn finish(self, ended: Ended) {
        self.slot.finish(outcome(ended));
    }

    /// Spends the pass of a series and records how its last exchange ended, how many there were, and how long they took
    /// together.
    pub fn finish_series(self, ended: Ended, asked: Asked, took: Duration) {
        let duration_us = Some(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.slot.finish(Outcome { series: Some(asked), duration_us, ..outcome(ended) });
    }
}

fn outcome(ended: Ended) -> Outcome {
    let Ended { disposal, status, fault, deviations, bytes, note } = ended;
    let what = match disposal {
        Disposal::Answered => Ending::Answered,
        Disposal::Failed => Ending::Failed,
    };
    Outcome { what, status, fault, deviations, bytes, note, ..Outcome::default() }
}

fn refusal(caller: &Caller, decision: &Decision) -> Refusal {
    match (caller, decision.refusal_kind()) {
        (Caller::Anonymous { .. }, _) => Refusal::Unauthenticated,
        (_, Some(RefusalKind::NotSupported)) => Refusal::NotSupported,
        (_, Some(RefusalKind::OperationProhibited)) => Refusal::Forbidden,
        (_, Some(RefusalKind::NotAuthorized) | None) => Refusal::NotAuthorized,
    }
}

#[cfg(test)]
mod tests;
