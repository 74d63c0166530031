//! What clients subscribe to: the gateway itself answers whatever is about a subscription, out of the events of the one that
//! it has with the camera.
//!
//! Each is a command like any other. PullMessages, which is asked all day, is decided and recorded once for a series of
//! requests of one subscription (`super::asking`), and waits beside the places that commands need: a subscription is pulled
//! once at a time, and there are few.

use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::{
    sync::{Notify, SemaphorePermit},
    time::{Sleep, sleep},
};

use super::{
    asking::Asking,
    delivery::{Delivery, delivery_place, is_own},
    house::{Edition, House},
    http::{Closing, Reply, Request},
    memo::Made,
    pipeline::{Answer, Kind, Work},
    trouble::Trouble,
    virtual_camera::VirtualCamera,
};
use crate::{
    audit,
    auth::{Caller, Method},
    command::Command,
    events::{
        self, Consumer, Event, NoConsumer, OpenSubscription, Order, Place, Pull, Subscription,
        SubscriptionToken, Subscriptions, Times, TopicError, Unacceptable,
    },
    facade::{Entrance, Facade},
    gate::Series,
    ids::{CameraId, ClientId},
    inventory::EventsWay,
    limits::{
        PULL_MESSAGES_MAX, PULL_SERIES_TIME_MAX, PULL_SERIES_TIMES_MAX, PULL_TIME_MAX,
        SUBSCRIPTION_JUDGE_INTERVAL, SUBSCRIPTION_SWEEP_INTERVAL, SUBSCRIPTION_TIME_MAX,
        SUBSCRIPTION_TIME_USUAL,
    },
    schema::{Deviations, Document, NodeId, OperationId},
    soap::{Detail, Fault, FaultName},
    telemetry::Delivered,
};

/// The subscriptions to a camera.
#[derive(Default)]
pub(super) struct Subscribed {
    table: RefCell<Subscriptions<Held>>,
    /// Told to who waits for events whenever one has ended, or has something to tell that no camera told.
    changed: Notify,
    /// Whether somebody looks after their ends.
    swept: Cell<bool>,
    /// By which edition, and when, it was looked last whether they are permitted still.
    judged: RefCell<Option<(Arc<Edition>, Duration)>>,
}

/// What is held of a subscription.
pub(super) struct Held {
    /// What was decided when it was made, and for whom: it lasts as long as that is permitted.
    command: Command,
    caller: Caller,
    /// When it was made.
    since: Timestamp,
    /// Its place among the client's.
    _place: Place,
    /// The place of one whose events are sent to a consumer: then they are nobody's to pull.
    sent: Option<SemaphorePermit<'static>>,
    /// Whether it is pulled just now.
    pulled: bool,
    /// The series of pulls under way.
    pulls: Option<Pulls>,
}

/// A series of pulls, and what was decided.
struct Pulls {
    asking: Asking,
    command: Command,
    caller: Caller,
}

/// A command about a subscription, which is permitted and recorded.
pub(super) struct Managed<'a> {
    pub(super) command: Command,
    pub(super) operation: OperationId,
    pub(super) document: Document,
    pub(super) subscription: Option<SubscriptionToken>,
    pub(super) caller: &'a Caller,
}

/// A subscription of a client's, which may end at any time.
pub(super) struct Watched {
    token: SubscriptionToken,
    client: ClientId,
}

/// A subscription that is pulled, until this is dropped.
struct Pulling {
    subscribed: Rc<Subscribed>,
    subscription: Watched,
}

/// What is to be pulled.
pub(super) struct PullOrder {
    pulling: Pulling,
    operation: OperationId,
    wait: Duration,
    most: usize,
}

/// The token of the subscription whose address a request came to.
pub(super) fn subscription_at(request: &Request) -> Option<SubscriptionToken> {
    Facade::subscription_at(request.path()).and_then(SubscriptionToken::parse)
}

impl VirtualCamera {
    /// The service at a path. Subscriptions are the event service's.
    pub(super) fn service_at(&self, path: &str) -> Option<&str> {
        self.facade.service_at(path).or_else(|| Facade::subscription_at(path).map(|_| "events"))
    }

    /// Whether a command is about subscriptions, and so never goes to the camera.
    pub(super) fn manages(&self, kind: &Kind) -> bool {
        let Kind::Soap { operation, .. } = kind else { return false };
        let Some(row) = self.house.tables.operation(*operation) else { return false };
        match &*row.service {
            "events" => matches!(
                &*row.name,
                "CreatePullPointSubscription"
                    | "PullMessages"
                    | "Seek"
                    | "SetSynchronizationPoint"
                    | "Unsubscribe"
            ),
            "events-wsn" => true,
            _ => false,
        }
    }

    /// Answers a command about subscriptions.
    pub(super) async fn manage(&self, asked: Managed<'_>) -> Result<Answer, Trouble> {
        let operation = asked.operation;
        let row = self.house.tables.operation(operation).ok_or(Trouble::NoEndpoint)?;
        let root = row.output.ok_or(Trouble::NoEndpoint)?;
        let local = asked.document.root().local().to_owned();
        let answer = match local.as_str() {
            "CreatePullPointSubscription" => self.subscribe(asked, root, None).await?,
            "Subscribe" => {
                let consumer = self.consumer(&asked)?;
                self.subscribe(asked, root, Some(consumer)).await?
            }
            "Renew" => self.with_own(&asked, |it| self.renew(it, &asked.document, root))?,
            "Unsubscribe" => {
                let token = self.own_token(&asked)?;
                self.subscribed.end(&token, &self.house, &self.camera.id);
                events::done(&self.house.tables, root)?
            }
            "SetSynchronizationPoint" => {
                self.with_own(&asked, |it| {
                    it.keep(self.house.clock.monotonic(), Duration::ZERO);
                    it.synchronize();
                    Ok(())
                })?;
                self.subscribed.changed.notify_waiters();
                events::done(&self.house.tables, root)?
            }
            "PullMessages" => return Err(self.not_pulled(&asked)),
            // Nothing is kept for longer than a moment (ONVIF Core §9.1.5 goes with persistent storage).
            "Seek" => return Err(not_offered("events are not stored")),
            _ => return Err(not_offered("this way to have events")),
        };
        let made = Rc::new(Made::new(answer, Deviations::default()));
        Ok(Answer::Document { operation, made, by: "the gateway" })
    }

    async fn subscribe(
        &self,
        asked: Managed<'_>,
        root: NodeId,
        consumer: Option<Consumer>,
    ) -> Result<Document, Trouble> {
        let (house, now) = (&self.house, self.house.clock.now());
        let Managed { command, operation, document, caller, .. } = asked;
        let client = client(caller)?.clone();
        if self.camera.events == EventsWay::Off {
            return Err(not_offered("events of this camera (`events = \"off\"` in the configuration)"));
        }
        let filter =
            events::filter_of(&house.tables, &document).map_err(|it| unacceptable(&it, now, true))?;
        let end = document.root().child("InitialTerminationTime");
        let lasts = events::lasts(end, now).map_err(|it| unacceptable(&it, now, true))?;
        if self.needs_introduction(operation) {
            self.introduce().await?;
        }
        // Whether the camera tells of events at all.
        self.facade.endpoint(operation).ok_or(Trouble::NoEndpoint)?;
        let mut bits = [0; 16];
        house.entropy.fill(&mut bits).map_err(|_| Trouble::Lost)?;
        let token = SubscriptionToken::of(bits);
        let full = |why: String| Trouble::Own(Fault::named(FaultName::SubscribeCreationFailed, now, why));
        let sent = consumer.is_some().then(delivery_place).transpose().map_err(full)?;
        let place = house.subscribers.take(&client).map_err(|it| full(it.to_string()))?;
        let held = Held {
            command: judged(command),
            caller: caller.clone(),
            since: now,
            _place: place,
            sent,
            pulled: false,
            pulls: None,
        };
        let lasts = lasts.unwrap_or(SUBSCRIPTION_TIME_USUAL);
        let order = Order { held, client: client.clone(), filter, lasts };
        let added =
            self.subscribed.table.borrow_mut().add(token.clone(), order, &self.hub, house.clock.monotonic());
        match added {
            Ok(None) => {}
            Ok(Some(gone)) => {
                self.subscribed.changed.notify_waiters();
                self.subscribed.tell_end(house, &self.camera.id, &gone, "idle");
            }
            Err(error) => return Err(full(error.to_string())),
        }
        house.subscriptions.keep_ahead(&self.camera.id, &self.subscribed.open()).await;
        self.sweep_later();
        if let Some(consumer) = consumer {
            let subscription = Watched { token: token.clone(), client };
            self.deliver(subscription, consumer);
        }
        let address = self.facade.subscription_address(token.as_str(), Entrance::of(caller.tls()));
        let times = Times { now, ends: later(now, lasts) };
        Ok(events::created(&house.tables, root, &address, times)?)
    }

    /// Whom a client wants events sent to, if they may be.
    fn consumer(&self, asked: &Managed<'_>) -> Result<Consumer, Trouble> {
        let consumer = Consumer::of(&asked.document).and_then(|consumer| {
            consumer.check(self.edition.rules.inventory(), &is_own)?;
            Ok(consumer)
        });
        consumer.map_err(|why| match why {
            NoConsumer::Address => Trouble::Own(Fault::invalid_argument_value(why.to_string())),
            NoConsumer::Group | NoConsumer::Zone | NoConsumer::Own => {
                Trouble::Own(Fault::operation_prohibited(why.to_string()))
            }
        })
    }

    fn deliver(&self, subscription: Watched, consumer: Consumer) {
        let delivery = Delivery {
            house: Arc::clone(&self.house),
            camera: Arc::clone(&self.camera),
            hub: Arc::clone(&self.hub),
            subscribed: Rc::clone(&self.subscribed),
            subscription,
            consumer,
        };
        tokio::task::spawn_local(delivery.run());
    }

    fn renew(
        &self,
        subscription: &mut Subscription<Held>,
        request: &Document,
        root: NodeId,
    ) -> Result<Document, Trouble> {
        let now = self.house.clock.now();
        let end = request.root().child("TerminationTime");
        let lasts = events::lasts(end, now).map_err(|it| unacceptable(&it, now, false))?;
        subscription.renew(lasts, self.house.clock.monotonic());
        Ok(events::renewed(&self.house.tables, root, self.times(subscription))?)
    }

    fn times(&self, subscription: &Subscription<Held>) -> Times {
        let (now, monotonic) = (self.house.clock.now(), self.house.clock.monotonic());
        Times { now, ends: later(now, subscription.ends().saturating_sub(monotonic)) }
    }

    /// Does something with the caller's own subscription.
    fn with_own<T>(
        &self,
        asked: &Managed<'_>,
        act: impl FnOnce(&mut Subscription<Held>) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let token = self.own_token(asked)?;
        let mut table = self.subscribed.table.borrow_mut();
        act(table.of(&token, client(asked.caller)?).ok_or_else(|| self.unknown())?)
    }

    /// The caller's own subscription: the one at whose address it asks. Some clients ask at the event service's, which
    /// will do where there is but one.
    fn own_token(&self, asked: &Managed<'_>) -> Result<SubscriptionToken, Trouble> {
        let client = client(asked.caller)?;
        let mut table = self.subscribed.table.borrow_mut();
        let token = asked.subscription.clone().or_else(|| table.only_of(client, &|_| true));
        token.filter(|it| table.of(it, client).is_some()).ok_or_else(|| self.unknown())
    }

    fn unknown(&self) -> Trouble {
        let reason = "there is no such subscription of this client; it may have ended";
        Trouble::Own(Fault::named(FaultName::ResourceUnknown, self.house.clock.now(), reason))
    }

    /// Why PullMessages is not answered as asked, where `pull_of` gave no order.
    fn not_pulled(&self, asked: &Managed<'_>) -> Trouble {
        match self.with_own(asked, |it| Ok(it.held.sent.is_some())) {
            Err(trouble) => return trouble,
            Ok(true) => return self.unknown(),
            Ok(false) => {}
        }
        if Pull::of(&asked.document).wait.is_none() {
            let detail = Detail::Pull { time_max: PULL_TIME_MAX, messages_max: PULL_MESSAGES_MAX };
            let reason = format!("Timeout is longer than {} seconds", PULL_TIME_MAX.as_secs());
            let fault = Fault::invalid_argument_value(reason);
            return Trouble::Own(Fault { detail: Some(Box::new(detail)), ..fault });
        }
        let reason = "another PullMessages of this subscription is under way";
        Trouble::Own(Fault::named(FaultName::UnableToGetMessages, self.house.clock.now(), reason))
    }

    /// What is to be pulled, if a request is a pull that can be answered as asked; all else goes the way of commands.
    pub(super) fn pull_of(&self, work: &Work) -> Option<PullOrder> {
        let Kind::Soap { operation, document, subscription } = &work.kind else { return None };
        if document.root().local() != "PullMessages" || !self.manages(&work.kind) {
            return None;
        }
        let client = work.identified.caller.client()?;
        let Pull { wait, most } = Pull::of(document);
        let wait = wait?;
        let mut table = self.subscribed.table.borrow_mut();
        let token = subscription.clone().or_else(|| table.only_of(client, &|it| it.sent.is_none()))?;
        let found = table.of(&token, client).filter(|it| !it.held.pulled && it.held.sent.is_none())?;
        found.held.pulled = true;
        let subscription = Watched { token, client: client.clone() };
        let pulling = Pulling { subscribed: Rc::clone(&self.subscribed), subscription };
        Some(PullOrder { pulling, operation: *operation, wait, most })
    }

    /// Answers PullMessages, as soon as there is something to tell or its time is over. Ends with the connection of who
    /// waits.
    pub(super) async fn pull(&self, work: Work, order: PullOrder, closing: Closing) -> Reply {
        let Work { command, identified, headers, .. } = work;
        let nonce = identified.nonce.map(|it| it.to_string());
        let before = order.pulling.with(|it| it.held.pulls.take()).flatten();
        let before = before.filter(|it| self.pulls_go_on(it, &identified.caller));
        let mut pulls = match before {
            Some(pulls) => pulls,
            None => match self.begin_pulls(command, identified.caller, nonce).await {
                Ok(pulls) => pulls,
                Err(Trouble::Refused(refusal)) => return self.refused(refusal, &headers, false),
                Err(trouble) => return self.reply(Err(trouble), &headers, false).0,
            },
        };
        if let Some(pass) = pulls.asking.pass() {
            pass.sending();
        }
        let began = self.house.clock.monotonic();
        let outcome = self.pulled(&order, closing).await;
        let took = self.house.clock.monotonic().saturating_sub(began);
        let well = outcome.is_ok();
        let (reply, ended) = self.reply(outcome, &headers, false);
        pulls.asking.count(ended, well, took);
        order.pulling.with(|it| it.held.pulls = Some(pulls));
        reply
    }

    async fn begin_pulls(
        &self,
        command: Command,
        caller: Caller,
        nonce: Option<String>,
    ) -> Result<Pulls, Trouble> {
        let house = &self.house;
        let until = later(house.clock.now(), PULL_SERIES_TIME_MAX);
        let series = Series { every: Duration::ZERO, times_max: PULL_SERIES_TIMES_MAX, until };
        let rules = &self.edition.rules;
        let pass = house.gate.decide_client_series(rules, command.clone(), &caller, nonce, series).await?;
        Ok(Pulls { asking: Asking::under(pass), command: judged(command), caller })
    }

    /// Whether a series of pulls is this caller's, and would be permitted still.
    fn pulls_go_on(&self, pulls: &Pulls, caller: &Caller) -> bool {
        let same = who(&pulls.caller).is_some_and(|it| Some(it) == who(caller));
        same && pulls.asking.goes_on() && permitted(&self.house, &self.edition, &pulls.command, caller)
    }

    async fn pulled(&self, order: &PullOrder, mut closing: Closing) -> Result<Answer, Trouble> {
        let tables = &self.house.tables;
        let root = tables.operation(order.operation).and_then(|it| it.output).ok_or(Trouble::NoEndpoint)?;
        let mut time = std::pin::pin!(sleep(order.wait));
        let (events, times) = self.next_events(order, time.as_mut(), &mut closing).await?;
        let (answer, told) = events::pulled(tables, root, times, &events)?;
        let now = self.house.clock.monotonic();
        order.pulling.with(|it| {
            it.give_back(events.get(told..).unwrap_or_default());
            it.told(told, now);
        });
        self.meter.media.delivered(Delivered::Pull, told);
        let made = Rc::new(Made::new(answer, Deviations::default()));
        Ok(Answer::Document { operation: order.operation, made, by: "the gateway" })
    }

    /// The next events of a subscription; none if its time is over first, or the gateway stops.
    async fn next_events(
        &self,
        order: &PullOrder,
        mut time: std::pin::Pin<&mut Sleep>,
        closing: &mut Closing,
    ) -> Result<(Vec<Arc<Event>>, Times), Trouble> {
        let clock = &self.house.clock;
        let until = clock.monotonic().saturating_add(order.wait);
        let mut over = false;
        loop {
            let taken = order.pulling.with(|it| {
                it.keep(clock.monotonic(), until);
                (it.take(&self.hub, order.most), self.times(it), it.after())
            });
            let (events, times, after) = taken.ok_or_else(|| self.unknown())?;
            if over || !events.is_empty() {
                return Ok((events, times));
            }
            tokio::select! {
                () = self.hub.after(after) => {}
                () = self.subscribed.changed() => {}
                () = time.as_mut() => over = true,
                () = closing.wait() => over = true,
            }
        }
    }

    /// Sees to it that subscriptions end in time, as long as there are any.
    fn sweep_later(&self) {
        if self.subscribed.swept.replace(true) {
            return;
        }
        let (subscribed, house) = (Rc::downgrade(&self.subscribed), Arc::clone(&self.house));
        let (camera, hub) = (self.camera.id.clone(), Arc::clone(&self.hub));
        tokio::task::spawn_local(async move {
            loop {
                sleep(SUBSCRIPTION_SWEEP_INTERVAL).await;
                let Some(subscribed) = subscribed.upgrade() else { return };
                let missed = subscribed.table.borrow_mut().newly_missed(&hub);
                house.gate.watch().metrics.camera(&camera).media.missed(missed);
                if !subscribed.sweep(&house, &camera) {
                    subscribed.swept.set(false);
                    return;
                }
            }
        });
    }
}

impl Subscribed {
    /// Waits until some subscription has ended, or has something to tell.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Ends all, since the camera is not served any more.
    pub(super) fn end_all(&self, house: &House, camera: &CameraId) {
        let ended = std::mem::take(&mut *self.table.borrow_mut());
        self.changed.notify_waiters();
        for subscription in ended.into_all() {
            self.tell_end(house, camera, &subscription, "the camera is not served any more");
        }
    }

    /// Ends a subscription at its client's word; who waits for its events hears of it.
    fn end(&self, token: &SubscriptionToken, house: &House, camera: &CameraId) {
        let ended = self.table.borrow_mut().remove(token);
        self.changed.notify_waiters();
        if let Some(subscription) = ended {
            self.tell_end(house, camera, &subscription, "unsubscribed");
        }
    }

    /// Ends a subscription whose consumer does not take its events.
    pub(super) fn give_up(&self, subscription: &Watched, house: &House, camera: &CameraId, why: &str) {
        let ended = self.table.borrow_mut().remove(&subscription.token);
        self.changed.notify_waiters();
        if let Some(subscription) = ended {
            self.tell_end(house, camera, &subscription, why);
        }
    }

    /// Ends what is over, or not permitted any more. Whether any is left.
    fn sweep(&self, house: &House, camera: &CameraId) -> bool {
        let (edition, now) = (house.edition.load_full(), house.clock.monotonic());
        let is_new = |(before, at): &(Arc<Edition>, Duration)| {
            !Arc::ptr_eq(before, &edition) || now.saturating_sub(*at) >= SUBSCRIPTION_JUDGE_INTERVAL
        };
        let judges = self.judged.borrow().as_ref().is_none_or(is_new);
        if judges {
            self.judged.replace(Some((Arc::clone(&edition), now)));
        }
        let has_events = edition.rules.camera(camera).is_some_and(|it| it.events != EventsWay::Off);
        // What a client does, or is sent, is held against the rules each time; this ends what it does not use.
        let mut permits = |it: &Subscription<Held>| {
            !judges || has_events && permitted(house, &edition, &it.held.command, &it.held.caller)
        };
        let ended = self.table.borrow_mut().sweep(now, &mut permits);
        if !ended.is_empty() {
            self.changed.notify_waiters();
        }
        for (subscription, why) in ended {
            self.tell_end(house, camera, &subscription, why.as_str());
        }
        !self.table.borrow().is_empty()
    }

    /// Which there are, as it is kept over a crash.
    fn open(&self) -> Vec<OpenSubscription> {
        self.table.borrow().all().map(open).collect()
    }

    /// Puts on record that a subscription ended, and what came of it.
    fn tell_end(&self, house: &House, camera: &CameraId, subscription: &Subscription<Held>, why: &str) {
        house.subscriptions.keep(camera, &self.open());
        let (missed, told) = subscription.counts();
        let client = subscription.client().as_str();
        house.gate.watch().metrics.camera(camera).media.missed(subscription.uncounted());
        tracing::info!(%camera, client, why, told, missed, "a subscription ended");
        let how = open(subscription).how();
        let detail = json!({ "client": client, "why": why, "how": how, "told": told, "missed": missed });
        let event = audit::Event::new("subscription-ended", detail);
        house.gate.note(audit::Event { camera: Some(camera.to_string()), ..event });
    }
}

impl Held {
    /// Whether what was decided when the subscription was made would be permitted still.
    pub(super) fn is_permitted(&self, house: &House) -> bool {
        permitted(house, &house.edition.load(), &self.command, &self.caller)
    }
}

impl Watched {
    /// Whose it is.
    pub(super) fn client(&self) -> &ClientId {
        &self.client
    }

    /// Does something with the subscription; none if it has ended.
    pub(super) fn with<T>(
        &self,
        among: &Subscribed,
        act: impl FnOnce(&mut Subscription<Held>) -> T,
    ) -> Option<T> {
        among.table.borrow_mut().of(&self.token, &self.client).map(act)
    }
}

impl Pulling {
    fn with<T>(&self, act: impl FnOnce(&mut Subscription<Held>) -> T) -> Option<T> {
        self.subscription.with(&self.subscribed, act)
    }
}

impl Drop for Pulling {
    fn drop(&mut self) {
        self.with(|it| it.held.pulled = false);
    }
}

fn open(subscription: &Subscription<Held>) -> OpenSubscription {
    let Held { since, sent, .. } = &subscription.held;
    OpenSubscription { client: subscription.client().to_string(), since: *since, sent: sent.is_some() }
}

/// Whether a command would be permitted at this moment, and the camera is served at all.
fn permitted(house: &House, edition: &Edition, command: &Command, caller: &Caller) -> bool {
    let rules = &edition.rules;
    let camera = command.camera.as_ref().and_then(|id| rules.camera(id));
    let shut_out = camera.is_none_or(|it| house.gate.shut_out(rules, &it).is_some());
    !shut_out && rules.may_go_on(command, caller, house.clock.now())
}

/// All of a client that stands in a record but its port.
fn who(caller: &Caller) -> Option<(&ClientId, IpAddr, Method, bool)> {
    match caller {
        Caller::Client { id, source, method, tls, .. } => Some((id, source.ip(), *method, *tls)),
        Caller::Anonymous { .. } | Caller::Gateway(_) | Caller::Local { .. } => None,
    }
}

/// What policies judge of a command, without its arguments: it is kept.
fn judged(command: Command) -> Command {
    Command { arguments: serde_json::Value::Null, ..command }
}

fn client(caller: &Caller) -> Result<&ClientId, Trouble> {
    // Policies give subscriptions to clients alone; whatever they say, nobody else can have one.
    caller.client().ok_or_else(|| Trouble::Own(Fault::not_authorized("subscriptions are a client's")))
}

fn not_offered(what: &str) -> Trouble {
    Trouble::Own(Fault::action_not_supported(format!("not offered by this gateway: {what}")))
}

/// The fault for what cannot be had, of a subscription that is to begin or one that is there.
fn unacceptable(error: &Unacceptable, now: Timestamp, begins: bool) -> Trouble {
    let times = (now, later(now, SUBSCRIPTION_TIME_MAX));
    let name = match error {
        Unacceptable::Topic(TopicError::Dialect) => FaultName::TopicExpressionDialectUnknown,
        Unacceptable::Topic(_) => FaultName::InvalidTopicExpression,
        Unacceptable::Content(_) => FaultName::InvalidMessageContentExpression,
        Unacceptable::Filters => FaultName::InvalidFilter,
        Unacceptable::Past | Unacceptable::Long if begins => {
            FaultName::UnacceptableInitialTerminationTime(times.0, times.1)
        }
        Unacceptable::Past | Unacceptable::Long => FaultName::UnacceptableTerminationTime(times.0, times.1),
    };
    Trouble::Own(Fault::named(name, now, error.to_string()))
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}
