//! Hears a camera's events for everybody who wants them: the one subscription to it, by the rules of `events::Upstream`.
//!
//! Every message is the gateway's own command, decided and recorded. The questions for events are many and alike: an
//! hour of them has one record (`super::looks`), which anything but events ends.

use std::{rc::Rc, sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    diagnosis::lock,
    doorway::Doorway,
    looks::{Looks, Often},
    sink::consumer,
    trouble::Trouble,
    virtual_camera::{VirtualCamera, ended_as},
};
use crate::{
    alarm::{Alarm, Subject},
    auth::Caller,
    camera::{CameraError, Failure, KeptSubscription},
    command::Reason,
    events::{Event, Granted, Lesson, Lifetime, Loss, Published, Step, Upstream, Way},
    facade::{
        OwnRequest, event_path, pull, pull_point, renewal, subscription, synchronization, unsubscription,
    },
    gate::Pass,
    hatch::{AskKind, Reply, SubscriptionAddress, Understood},
    inventory::{EventsWay, Quirk},
    limits::{
        EVENT_BYTES_PER_SECOND_MAX, EVENT_CLOSE_TIME_MAX, EVENT_PULL_EMPTY_INTERVAL_MIN, EVENT_PULL_GRACE,
        EVENT_PULL_INTERVAL_MIN, EVENT_PULL_MESSAGES_MAX, EVENT_PULL_TIME, EVENT_SERIES_PULLS_MAX,
        EVENT_SERIES_TIME_MAX, EVENTS_PER_CAMERA_PER_SECOND_MAX, SUBSCRIPTION_FAILURES_ALARM,
        SUBSCRIPTION_RENEW_LEFT,
    },
    schema::{Deviations, Document},
    soap::{Reference, Subcode},
};

impl Doorway {
    /// Keeps the camera subscribed to while somebody wants its events, until it is told to stop or the camera is taken
    /// out of the configuration; then the subscription's place is given back.
    pub async fn hear_events(doorway: Rc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut hearing: Option<Hearing> = None;
        let mut renewed = doorway.renewals();
        loop {
            let current = doorway.current();
            if let Some(old) = hearing.take_if(|it| !current.as_ref().is_some_and(|now| it.goes_on_with(now)))
            {
                Box::pin(old.leave()).await;
            }
            let Some(camera) = current else {
                over(&mut stopped).await;
                return;
            };
            let hearing = hearing.get_or_insert_with(|| Hearing::new(Rc::clone(&camera)));
            hearing.camera = camera;
            let mut wanted = hearing.camera.hub.wanted();
            let is_wanted = *wanted.borrow_and_update() > 0 && hearing.camera.camera.events != EventsWay::Off;
            let step = hearing.next(is_wanted);
            if let Step::Wait(time) = step {
                tokio::select! {
                    () = over(&mut stopped) => break,
                    _ = wanted.changed() => {}
                    _ = renewed.changed() => {}
                    () = sleep(time.unwrap_or(Duration::MAX)) => {}
                }
                continue;
            }
            let (connection, events) = (Rc::clone(&hearing.camera.connection), hearing.events);
            let goes_on = |now: Option<Rc<VirtualCamera>>| {
                now.is_some_and(|it| Rc::ptr_eq(&it.connection, &connection) && it.camera.events == events)
            };
            // Of what is needed for a moment only, no camera keeps the room.
            let mut doing = Box::pin(hearing.take(step));
            let ended = loop {
                tokio::select! {
                    () = &mut doing => break false,
                    () = over(&mut stopped) => break true,
                    // Another configuration waits for no question to be answered that nobody asks any more.
                    _ = renewed.changed(), if step == Step::Pull => if !goes_on(doorway.current()) { break false },
                }
            };
            if !ended {
                continue;
            }
            // A question that waits for events may be given up, another message might leave a place behind.
            if step != Step::Pull {
                let _ = timeout(EVENT_CLOSE_TIME_MAX, doing).await;
            }
            break;
        }
        if let Some(hearing) = hearing {
            Box::pin(hearing.leave()).await;
        }
    }
}

/// Whoever gave the word may have gone, which is one as well.
async fn over(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|it| *it).await;
}

/// The subscription to one camera.
struct Hearing {
    camera: Rc<VirtualCamera>,
    events: EventsWay,
    upstream: Upstream,
    address: Option<Arc<SubscriptionAddress>>,
    pulls: Option<Looks>,
    /// How long the camera is let wait for an event.
    pull_time: Duration,
    /// Whether the subscription at hand has answered.
    proven: bool,
    /// When the camera was asked for events last, in monotonic time, and for how long it is not asked then.
    pulled: Duration,
    pause: Duration,
    /// Until when the subscription lasts as it is kept over a restart, in monotonic time.
    kept: Duration,
}

/// What a camera said of the gateway's own subscription.
struct Told {
    document: Arc<Document>,
    deviations: Arc<Deviations>,
    reference: Option<Arc<Reference>>,
    /// How long the answer was.
    bytes: usize,
}

impl Hearing {
    /// Takes up what is known of a subscription from before a restart.
    fn new(camera: Rc<VirtualCamera>) -> Self {
        let house = &camera.house;
        let events = camera.camera.events;
        let way = if events == EventsWay::Push { Way::Push } else { Way::Pull };
        let relative = !camera.connection.has(Quirk::RelativeTimeBroken);
        let sink = camera.event_sink();
        // What it answered before it would answer again.
        let lacks_pull = sink.is_some() && camera.connection.has(Quirk::NoPullPoint);
        let way = if lacks_pull { Way::Push } else { way };
        let mut upstream = Upstream::new(way, relative, sink.is_some());
        // One that is left alone is not even unsubscribed from: the place ends by itself in a moment.
        let kept = camera.connection.memory().subscription.filter(|_| events != EventsWay::Off);
        let left = kept.as_ref().map(|it| it.until.duration_since(house.clock.now()));
        let left = left.filter(|it| it.is_positive()).map(|it| it.unsigned_abs());
        let address = kept.zip(left).map(|(kept, left)| {
            let way = if kept.push { Way::Push } else { Way::Pull };
            upstream.take_up(way, house.clock.monotonic(), left);
            camera.hub.comes_by(way);
            Arc::new(kept.address)
        });
        Self {
            camera,
            events,
            upstream,
            address,
            pulls: None,
            pull_time: EVENT_PULL_TIME,
            proven: false,
            pulled: Duration::ZERO,
            pause: EVENT_PULL_INTERVAL_MIN,
            kept: Duration::ZERO,
        }
    }

    /// Whether the subscription stands with the camera as another edition has it.
    fn goes_on_with(&self, camera: &VirtualCamera) -> bool {
        Rc::ptr_eq(&self.camera.connection, &camera.connection) && self.events == camera.camera.events
    }

    fn now(&self) -> Duration {
        self.camera.house.clock.monotonic()
    }

    fn next(&mut self, wanted: bool) -> Step {
        let ahead = self.camera.connection.clock_offset_milliseconds().unwrap_or(0);
        let ahead = jiff::SignedDuration::from_millis(ahead);
        let theirs = self.camera.house.clock.now().saturating_add(ahead).unwrap_or_default();
        let (was_held, now) = (self.upstream.is_held(), self.now());
        if was_held {
            self.camera.hub.settle();
        }
        let step = self.upstream.next(now, theirs, wanted);
        if was_held && !self.upstream.is_held() {
            self.forget();
        }
        if step == Step::Wait(None) {
            // What nobody wants is not missed, and how things stand then is not known.
            self.watch();
            self.camera.hub.forget();
        }
        step
    }

    /// Does one step, and takes up what came of it.
    async fn take(&mut self, step: Step) {
        let camera = Rc::clone(&self.camera);
        if !camera.is_introduced() && camera.introduce().await.is_err() {
            self.failed(step, Loss::Silence);
            return;
        }
        if step == Step::Pull {
            return self.ask_for_events().await;
        }
        // Others begin something new, before which what came of the questions so far is recorded.
        self.pulls = None;
        let outcome = match step {
            Step::Wait(_) | Step::Pull => return,
            Step::Subscribe(way, lifetime) => self.subscribe(way, lifetime).await,
            Step::Synchronize => self.about_it(synchronization(&camera.house.tables)).await,
            Step::Renew(lifetime) => self.about_it(renewal(&camera.house.tables, &lifetime.text())).await,
            Step::Unsubscribe => self.about_it(unsubscription(&camera.house.tables)).await,
        };
        match outcome {
            Ok(told) => self.done(step, &told),
            Err(trouble) => {
                let loss = loss(&trouble);
                tracing::debug!(camera = %camera.camera.id, ?step, %trouble, ?loss, "the camera's events");
                self.failed(step, loss);
            }
        }
    }

    async fn subscribe(&mut self, way: Way, lifetime: Lifetime) -> Result<Told, Trouble> {
        let camera = Rc::clone(&self.camera);
        let tables = &camera.house.tables;
        let request = match way {
            Way::Pull => pull_point(tables, &lifetime.text())?,
            Way::Push => {
                let sink = camera.event_sink().ok_or(Trouble::NoEndpoint)?;
                subscription(tables, &sink, &lifetime.text())?
            }
        };
        let operation = request.operation;
        // Asked twice, a camera gives two places.
        let told = camera.event_command(request, None, false).await?;
        let reference = told.reference.clone().unwrap_or_default();
        let endpoint = camera.facade.subscription_endpoint(&reference.address, operation);
        let endpoint = endpoint.ok_or(Trouble::NoEndpoint)?;
        let reference = Reference::clone(&reference);
        self.address = Some(Arc::new(SubscriptionAddress { endpoint, reference }));
        (self.proven, self.pull_time) = (false, EVENT_PULL_TIME);
        camera.hub.begin();
        camera.hub.comes_by(way);
        Ok(told)
    }

    /// Something about the subscription there is.
    async fn about_it(&self, request: Result<OwnRequest, crate::facade::AskError>) -> Result<Told, Trouble> {
        let address = self.address.as_ref().ok_or(Trouble::NoEndpoint)?;
        self.camera.event_command(request?, Some(address), true).await
    }

    fn done(&mut self, step: Step, told: &Told) {
        let (now, granted) = (self.now(), Granted::read(&told.document));
        let lesson = match step {
            Step::Wait(_) | Step::Pull => None,
            Step::Subscribe(way, _) => {
                let lesson = self.upstream.subscribed(way, now, granted);
                let left = self.upstream.left(now).unwrap_or_default().as_secs();
                let detail = json!({ "way": way.as_str(), "seconds": left });
                self.camera.record("events-subscribed", detail);
                lesson
            }
            Step::Synchronize => {
                self.upstream.synchronized();
                None
            }
            Step::Renew(_) => self.upstream.renewed(now, granted),
            Step::Unsubscribe => {
                self.upstream.unsubscribed();
                self.forget();
                None
            }
        };
        if let Some(lesson) = lesson {
            self.learn(lesson);
        }
        self.keep();
        self.watch();
    }

    fn failed(&mut self, step: Step, loss: Loss) {
        self.camera.hub.doubt();
        self.upstream.failed(step, loss, self.now());
        if !self.upstream.is_held() {
            self.forget();
        }
        self.watch();
    }

    fn learn(&self, lesson: Lesson) {
        let (quirk, note) = match lesson {
            Lesson::RelativeTimeBroken => {
                (Quirk::RelativeTimeBroken, "a subscription for two minutes ended at once")
            }
            Lesson::NoPullPoint => (Quirk::NoPullPoint, "it answered that it has no pull points"),
        };
        self.camera.connection.observe(quirk, note);
    }

    /// Keeps where the subscription is, so that its place is not lost with the gateway.
    fn keep(&mut self) {
        let now = self.now();
        let left = self.upstream.left(now);
        self.kept = left.map_or(Duration::ZERO, |it| now.saturating_add(it));
        let kept = self.address.as_ref().zip(left).map(|(address, left)| {
            let left = jiff::SignedDuration::try_from(left).unwrap_or_default();
            let until = self.camera.house.clock.now().saturating_add(left).unwrap_or(jiff::Timestamp::MAX);
            let push = self.upstream.way() == Some(Way::Push);
            KeptSubscription { address: SubscriptionAddress::clone(address), push, until }
        });
        self.camera.connection.keep_subscription(kept);
    }

    fn forget(&mut self) {
        (self.address, self.pulls) = (None, None);
        self.camera.connection.keep_subscription(None);
    }

    /// Says how the camera is subscribed to, that events are wanted and cannot be had, and when that is over.
    fn watch(&self) {
        let failures = self.upstream.failures();
        let found = (failures >= SUBSCRIPTION_FAILURES_ALARM).then(|| {
            format!("its events are wanted, and {failures} times in a row it could not be had or lost them")
        });
        let (way, now) = (self.upstream.way(), self.camera.house.clock.now());
        let mut standing = lock(&self.camera.standing);
        let before = standing.subscribed.filter(|(before, _)| Some(*before) == way);
        standing.subscribed = before.or_else(|| way.map(|it| (it, now)));
        drop(standing);
        let subject = Subject::Camera(self.camera.camera.id.clone());
        self.camera.house.gate.watch().alarms.set(Alarm::EventsLost, subject, found.as_deref());
    }

    /// One question for events, as part of the series under way or as the first of another.
    async fn ask_for_events(&mut self) {
        let camera = Rc::clone(&self.camera);
        let passed = self.now().saturating_sub(self.pulled);
        sleep(self.pause.saturating_sub(passed)).await;
        let Some(address) = self.address.clone() else { return self.failed(Step::Pull, Loss::Gone) };
        let patience = self.upstream.patience(self.now());
        let patience = camera.hub.settles_in().map_or(patience, |it| it.min(patience));
        let longest = patience.max(EVENT_PULL_EMPTY_INTERVAL_MIN);
        let time = self.pull_time.min(longest);
        let Ok(request) = pull(&camera.house.tables, time, EVENT_PULL_MESSAGES_MAX) else {
            return self.failed(Step::Pull, Loss::NoService);
        };
        let under_way = self.pulls.take().filter(|it| camera.may_go_on(it));
        let begun = match under_way {
            Some(pulls) => Ok(pulls),
            None => camera.begin_looks(&request, Reason::Events, PULLS).await,
        };
        let Ok(mut pulls) = begun else { return self.failed(Step::Pull, Loss::Silence) };
        let Some(pass) = pulls.pass() else { return };
        let began = self.now();
        self.pulled = began;
        let wait = time.saturating_add(EVENT_PULL_GRACE);
        let outcome = camera.event_exchange(pass, request, Some((&address, wait)), true).await;
        let took = self.now().saturating_sub(began);
        let mut ended = ended_as(outcome.as_ref().map(|it| &*it.deviations));
        let heard = outcome.as_ref().ok().map(|told| camera.hear(&told.document));
        ended.note = heard.as_ref().and_then(Heard::note).or(ended.note);
        if pulls.take_up(ended, outcome.is_ok(), took) && outcome.is_ok() {
            self.pulls = Some(pulls);
        }
        match outcome {
            Ok(told) => {
                self.proven = true;
                self.pause = pause_after(told.bytes);
                self.upstream.pulled(self.now(), Granted::read(&told.document));
                // To be asked prolongs it, but not all that is told needs to be written down.
                if self.kept.saturating_sub(self.now()) < SUBSCRIPTION_RENEW_LEFT {
                    self.keep();
                }
                self.watch();
                if heard.is_some_and(|it| it.events == 0) {
                    sleep(EVENT_PULL_EMPTY_INTERVAL_MIN.saturating_sub(took)).await;
                }
            }
            Err(trouble) => {
                let loss = loss(&trouble);
                tracing::debug!(camera = %camera.camera.id, %trouble, ?loss, "no events came");
                if matches!(&trouble, Trouble::Camera(CameraError { failure: Failure::TooLarge(_), .. })) {
                    camera.flooded("an answer with events was longer than one may be, and they are lost");
                }
                self.lost(loss).await;
            }
        }
    }

    /// A question for events failed. What is given up while the camera answers is given back, so that no place is lost.
    async fn lost(&mut self, loss: Loss) {
        if loss == Loss::Silence {
            return self.failed(Step::Pull, loss);
        }
        // It may be the time that it does not bear (Core §9.1.2): the same subscription may answer a shorter one.
        if !self.proven && self.pull_time > EVENT_PULL_EMPTY_INTERVAL_MIN {
            self.pull_time = self.pull_time.div_f32(PULL_TIME_STEP).max(EVENT_PULL_EMPTY_INTERVAL_MIN);
            return self.failed(Step::Pull, Loss::Silence);
        }
        let _ = self.about_it(unsubscription(&self.camera.house.tables)).await;
        self.failed(Step::Pull, loss);
    }

    /// Gives the place back, in a short time.
    async fn leave(mut self) {
        self.pulls = None;
        if self.upstream.is_held() && self.address.is_some() {
            let unsubscribed = timeout(EVENT_CLOSE_TIME_MAX, self.take(Step::Unsubscribe)).await;
            if unsubscribed.is_err() {
                tracing::warn!(camera = %self.camera.camera.id, "it could not be unsubscribed from in time: tried again at the next start");
            }
        }
    }
}

/// What came of a message with events.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// How many it had.
    events: usize,
    left_out: u64,
    why: Option<String>,
    over_rate: u64,
}

impl Heard {
    /// What a record says of it, beyond that it came.
    pub(super) fn note(&self) -> Option<String> {
        let left_out = self.why.as_ref().map(|why| format!("{} left out: {why}", self.left_out));
        let over = (self.over_rate > 0).then(|| format!("{} beyond the rate", self.over_rate));
        let told: Vec<String> = left_out.into_iter().chain(over).collect();
        (!told.is_empty()).then(|| format!("events: {}", told.join("; ")))
    }
}

impl VirtualCamera {
    /// Takes up what the camera told.
    pub(super) fn hear(&self, document: &Document) -> Heard {
        let house = &self.house;
        let read = Event::read_all(&house.tables, document, &self.rules.borrow(), house.clock.now());
        let why = read.why.map(|it| it.to_string());
        let mut heard = Heard { events: read.events.len(), left_out: read.left_out, why, over_rate: 0 };
        for event in read.events {
            if self.hub.publish(event) == Published::OverRate {
                heard.over_rate = heard.over_rate.saturating_add(1);
            }
        }
        if heard.over_rate > 0 {
            let found = format!(
                "more than {EVENTS_PER_CAMERA_PER_SECOND_MAX} events a second came, and some are lost"
            );
            self.flooded(&found);
        }
        heard
    }

    /// Tells that the camera tells more than is taken.
    pub(super) fn flooded(&self, found: &str) {
        let subject = Subject::Camera(self.camera.id.clone());
        self.house.gate.watch().alarms.raise(Alarm::EventsFlood, subject, found);
    }

    /// Where the camera is told to send events; none if its zone has no such place.
    fn event_sink(&self) -> Option<String> {
        let sink = self.edition.rules.inventory().zone(&self.camera.zone)?.event_sink?;
        Some(consumer(sink, &event_path(self.house.facades.key(), &self.camera.id)))
    }

    /// A command about the gateway's own subscription: decided, recorded, asked.
    async fn event_command(
        &self,
        request: OwnRequest,
        at: Option<&Arc<SubscriptionAddress>>,
        idempotent: bool,
    ) -> Result<Told, Trouble> {
        let command = self.command_for(&request)?;
        let caller = Caller::Gateway(Reason::Events);
        let mut pass = self.house.gate.decide(&self.edition.rules, command, &caller, None).await?;
        let at = at.map(|it| (it, Duration::ZERO));
        let outcome = self.event_exchange(&mut pass, request, at, idempotent).await;
        pass.finish(ended_as(outcome.as_ref().map(|it| &*it.deviations)));
        outcome
    }

    /// One exchange about it. What the answer says of addresses stays with the gateway; events are freed of theirs when
    /// they are read.
    async fn event_exchange(
        &self,
        pass: &mut Pass,
        request: OwnRequest,
        at: Option<(&Arc<SubscriptionAddress>, Duration)>,
        idempotent: bool,
    ) -> Result<Told, Trouble> {
        let OwnRequest { operation, document } = request;
        let document = Arc::new(document);
        let kind = match at {
            Some((address, wait)) => {
                AskKind::Subscribed { operation, document, address: Arc::clone(address), wait }
            }
            None => {
                let endpoint = self.facade.endpoint(operation).ok_or(Trouble::NoEndpoint)?;
                AskKind::Soap { operation, document, endpoint }
            }
        };
        let outcome = match self.ask(pass, kind, idempotent, true).await {
            Ok(Reply::Document(Understood { document, deviations, subscription, bytes, .. })) => {
                Ok(Told { document, deviations, reference: subscription, bytes })
            }
            Ok(Reply::Fault(fault)) => {
                Err(Trouble::Fault(crate::hatch::clean_fault(fault, &self.rules.borrow())))
            }
            Ok(Reply::Picture(_) | Reply::Poured | Reply::Taken(_)) => Err(Trouble::NoEndpoint),
            Err(trouble) => Err(trouble),
        };
        // That it knows a subscription no more does not mean that it does not work.
        self.stands(outcome.as_ref().err().filter(|it| !matches!(it, Trouble::Fault(_))));
        outcome
    }
}

/// How long a camera is not asked after an answer of so many bytes, from the question on.
fn pause_after(bytes: usize) -> Duration {
    let milliseconds = bytes.saturating_mul(1_000) / EVENT_BYTES_PER_SECOND_MAX;
    EVENT_PULL_INTERVAL_MIN.max(Duration::from_millis(milliseconds as u64))
}

/// What a trouble says of the subscription.
fn loss(trouble: &Trouble) -> Loss {
    match trouble {
        Trouble::Fault(fault) => match fault.subcodes.as_slice() {
            [Subcode::NotAuthorized, ..] => Loss::Silence,
            codes if codes.contains(&Subcode::ActionNotSupported) => Loss::NotSupported,
            _ => Loss::Gone,
        },
        // What it answers without a fault, if it knows no such place.
        Trouble::Camera(CameraError { failure: Failure::BadStatus(400 | 404 | 405 | 410 | 500), .. }) => {
            Loss::Gone
        }
        Trouble::NoEndpoint => Loss::NoService,
        _ => Loss::Silence,
    }
}

/// How often a camera is asked for events under one record.
const PULLS: Often = (EVENT_PULL_INTERVAL_MIN, EVENT_SERIES_PULLS_MAX, EVENT_SERIES_TIME_MAX);
/// By how much less a camera is let wait that did not bear more.
const PULL_TIME_STEP: f32 = 3.0;
