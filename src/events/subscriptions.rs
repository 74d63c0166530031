//! The virtual subscriptions of clients to one camera: each is a cursor into the camera's hub, with a filter and an end.
//!
//! They live in memory alone. Whoever subscribed before the gateway was started anew hears that its subscription is unknown and
//! subscribes again, as with a camera that was started anew (ONVIF Core §9.1.6). Which there are is kept beside
//! ([`SubscriptionBook`]), so that the next start can put on record what a crash ended.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    event::{Event, Operation},
    filter::ItemFilter,
    hub::{Batch, Hub, Want},
    topic::TopicExpression,
};
use crate::{
    ids::{CameraId, ClientId},
    limits::{
        PULL_BYTES_MAX, PULL_READ_EVENTS, SUBSCRIPTION_IDLE_TIME, SUBSCRIPTION_TIME_MAX,
        SUBSCRIPTIONS_PER_CAMERA_MAX, SUBSCRIPTIONS_PER_CLIENT_EVERYWHERE_MAX, SUBSCRIPTIONS_PER_CLIENT_MAX,
    },
};

/// What a subscription is known by in its address. Nobody can guess it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionToken(Box<str>);

impl SubscriptionToken {
    /// Of random bits.
    pub fn of(bits: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bits)).into())
    }

    /// As it stands in an address; none if that is no token.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |it: u8| it.is_ascii_digit() || matches!(it, b'a'..=b'f');
        (text.len() == 32 && text.bytes().all(is_digit)).then(|| Self(text.into()))
    }

    /// As it stands in an address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whoever knows it and its client's password has the client's events: not for logs.
impl fmt::Debug for SubscriptionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubscriptionToken(***)")
    }
}

/// That there is a subscription, as it is kept over a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSubscription {
    /// The name of whose it is.
    pub client: String,
    /// When it was made.
    pub since: Timestamp,
    /// Whether its events are sent to a consumer, and not pulled.
    pub sent: bool,
}

impl OpenSubscription {
    /// How its events reach its client, as records say it.
    pub fn how(&self) -> &'static str {
        if self.sent { "sent" } else { "pulled" }
    }
}

/// Where it is kept which subscriptions to a camera there are.
pub trait SubscriptionBook: Send + Sync {
    /// Keeps that there are these, in place of what was kept before.
    fn keep(&self, camera: &CameraId, open: &[OpenSubscription]);

    /// The same; ready once it would outlast a crash, or that is waited for no longer.
    fn keep_ahead<'a>(
        &'a self,
        camera: &'a CameraId,
        open: &[OpenSubscription],
    ) -> Pin<Box<dyn Future<Output = ()> + 'a>>;
}

/// Which events of a camera somebody wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Their topics: each of these is to hold.
    pub topics: Vec<TopicExpression>,
    /// What they hold: likewise.
    pub contents: Vec<ItemFilter>,
    /// Of properties, changes alone (`tev:ChangedOnly`, Core §9.1.1).
    pub changed_only: bool,
}

impl Filter {
    /// Whether an event is among them.
    pub fn wants(&self, event: &Event) -> bool {
        let told = !self.changed_only
            || !matches!(event.operation, Some(Operation::Initialized | Operation::Deleted));
        told && self.topics.iter().all(|it| it.matches(&event.topic))
            && self.contents.iter().all(|it| it.matches(event))
    }
}

/// Why there is no place for another subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The client has as many as it may.
    #[error(
        "the client has {SUBSCRIPTIONS_PER_CLIENT_MAX} subscriptions to this camera, and uses all of them"
    )]
    Client,
    /// The camera has as many as it may.
    #[error("there are {SUBSCRIPTIONS_PER_CAMERA_MAX} subscriptions to this camera")]
    Camera,
    /// The client has as many to all cameras as it may.
    #[error("the client has {SUBSCRIPTIONS_PER_CLIENT_EVERYWHERE_MAX} subscriptions to all cameras")]
    Everywhere,
}

/// How many subscriptions to all cameras each client has.
#[derive(Debug, Default)]
pub struct Places(Mutex<BTreeMap<ClientId, usize>>);

/// The place of one subscription, until this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    client: ClientId,
}

impl Places {
    /// A place for one more of a client's.
    pub fn take(self: &Arc<Self>, client: &ClientId) -> Result<Place, Full> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.entry(client.clone()).or_default();
        if *own >= SUBSCRIPTIONS_PER_CLIENT_EVERYWHERE_MAX {
            return Err(Full::Everywhere);
        }
        *own = own.saturating_add(1);
        Ok(Place { places: Arc::clone(self), client: client.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = taken.get_mut(&self.client).map(|own| {
            *own = own.saturating_sub(1);
            *own
        });
        if left == Some(0) {
            taken.remove(&self.client);
        }
    }
}

/// One subscription, and what whoever serves it holds of it.
pub struct Subscription<T> {
    /// What is held of it.
    pub held: T,
    client: ClientId,
    filter: Filter,
    /// How long it lasts whenever it is used.
    lasts: Duration,
    /// When it ends, by the monotonic clock: a clock that is set does not end it.
    ends: Duration,
    used: Duration,
    after: u64,
    /// Whether it is to be told how every property stands, before all else.
    due: bool,
    /// How properties stand, as far as it is still to be told.
    state: VecDeque<Arc<Event>>,
    /// Events that were read from the hub and not taken yet.
    waiting: VecDeque<Arc<Event>>,
    /// Whether it lost events: once it has the rest it is told how things stand.
    behind: bool,
    missed: u64,
    /// How many of them nobody has asked for yet.
    uncounted: u64,
    told: u64,
    /// Says that somebody wants the camera's events.
    _want: Want,
}

impl<T> Subscription<T> {
    /// Whose it is.
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// When it ends, by the monotonic clock.
    pub fn ends(&self) -> Duration {
        self.ends
    }

    /// Where it stands in the hub.
    pub fn after(&self) -> u64 {
        self.after
    }

    /// How many events came that it could not be told because it was too slow, and how many it was told.
    pub fn counts(&self) -> (u64, u64) {
        (self.missed, self.told)
    }

    /// How many events it missed since this was asked last, those included for which it did not come yet.
    pub fn newly_missed(&mut self, hub: &Hub) -> u64 {
        // None is read, but the cursor goes to where there is one still.
        self.pass(&hub.read(self.after, 0));
        std::mem::take(&mut self.uncounted)
    }

    /// How many of those that it missed nobody asked for.
    pub fn uncounted(&self) -> u64 {
        self.uncounted
    }

    fn pass(&mut self, batch: &Batch) {
        self.after = batch.after;
        self.missed = self.missed.saturating_add(batch.missed);
        self.uncounted = self.uncounted.saturating_add(batch.missed);
        self.behind |= batch.missed > 0;
    }

    /// It is used, and lasts `lasts` from now on, or as long as it did.
    pub fn renew(&mut self, lasts: Option<Duration>, now: Duration) {
        self.lasts = lasts.unwrap_or(self.lasts);
        self.used = now;
        self.ends = now.saturating_add(self.lasts);
    }

    /// It is used: its client has what was taken for it.
    pub fn told(&mut self, events: usize, now: Duration) {
        self.used = now;
        self.told = self.told.saturating_add(events as u64);
    }

    /// It is used, and so lasts for as long as it was to last when it was made, and until `at_least`; what was promised
    /// holds.
    pub fn keep(&mut self, now: Duration, at_least: Duration) {
        self.used = now;
        let last = now.saturating_add(SUBSCRIPTION_TIME_MAX);
        self.ends = self.ends.max(now.saturating_add(self.lasts)).max(at_least).min(last);
    }

    /// The state of every property is told once more, before all else (Core §9.1.4). What happened and was not told yet
    /// follows.
    pub fn synchronize(&mut self) {
        self.due = true;
    }

    /// The next events that are wanted, no more than `most` and `PULL_BYTES_MAX`.
    pub fn take(&mut self, hub: &Hub, most: usize) -> Vec<Arc<Event>> {
        let (mut taken, mut bytes) = (Vec::new(), 0_usize);
        while taken.len() < most {
            let Some(event) = self.next(hub) else { break };
            bytes = bytes.saturating_add(event.bytes());
            if bytes > PULL_BYTES_MAX && !taken.is_empty() {
                self.waiting.push_front(event);
                break;
            }
            taken.push(event);
        }
        taken
    }

    /// Takes back what was taken last and could not be told.
    pub fn give_back(&mut self, events: &[Arc<Event>]) {
        for event in events.iter().rev() {
            self.waiting.push_front(Arc::clone(event));
        }
    }

    /// The next event that is wanted; none if there is none yet.
    fn next(&mut self, hub: &Hub) -> Option<Arc<Event>> {
        loop {
            if std::mem::take(&mut self.due) {
                self.state = hub.join().state.into_iter().filter(|it| self.filter.wants(it)).collect();
            }
            if let Some(event) = self.state.pop_front().or_else(|| self.waiting.pop_front()) {
                return Some(event);
            }
            let batch = hub.read(self.after, PULL_READ_EVENTS);
            self.pass(&batch);
            if !batch.events.is_empty() {
                self.waiting.extend(batch.events.into_iter().filter(|it| self.filter.wants(it)));
            } else if std::mem::take(&mut self.behind) {
                self.due = true;
            } else {
                return None;
            }
        }
    }
}

/// What is asked for with a subscription.
#[derive(Debug)]
pub struct Order<T> {
    /// What is to be held of it.
    pub held: T,
    /// Who asks.
    pub client: ClientId,
    /// Which events.
    pub filter: Filter,
    /// For how long.
    pub lasts: Duration,
}

/// The subscriptions to one camera.
pub struct Subscriptions<T>(BTreeMap<SubscriptionToken, Subscription<T>>);

impl<T> Default for Subscriptions<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Subscriptions<T> {
    /// Takes up a subscription; it begins with the state of every property. One of the same client that it does not use
    /// gives way, and is given back.
    pub fn add(
        &mut self,
        token: SubscriptionToken,
        order: Order<T>,
        hub: &Arc<Hub>,
        now: Duration,
    ) -> Result<Option<Subscription<T>>, Full> {
        let Order { held, client, filter, lasts } = order;
        let mut gone = None;
        let own = self.0.iter().filter(|(_, it)| it.client == client);
        if own.clone().count() >= SUBSCRIPTIONS_PER_CLIENT_MAX {
            let idle = own.min_by_key(|(_, it)| it.used);
            let idle = idle.filter(|(_, it)| now.saturating_sub(it.used) >= SUBSCRIPTION_IDLE_TIME);
            let token = idle.map(|(token, _)| token.clone()).ok_or(Full::Client)?;
            gone = self.0.remove(&token);
        }
        if self.0.len() >= SUBSCRIPTIONS_PER_CAMERA_MAX {
            return Err(Full::Camera);
        }
        let want = hub.want();
        let subscription = Subscription {
            held,
            client,
            filter,
            lasts,
            ends: now.saturating_add(lasts),
            used: now,
            after: hub.latest(),
            due: true,
            state: VecDeque::new(),
            waiting: VecDeque::new(),
            behind: false,
            missed: 0,
            uncounted: 0,
            told: 0,
            _want: want,
        };
        self.0.insert(token, subscription);
        Ok(gone)
    }

    /// A client's subscription. That of another is none: whether there is one is nothing to tell.
    pub fn of(&mut self, token: &SubscriptionToken, client: &ClientId) -> Option<&mut Subscription<T>> {
        self.0.get_mut(token).filter(|it| it.client == *client)
    }

    /// Ends a subscription.
    pub fn remove(&mut self, token: &SubscriptionToken) -> Option<Subscription<T>> {
        self.0.remove(token)
    }

    /// The only subscription of a client that is of some kind, for who names none.
    pub fn only_of(&self, client: &ClientId, is: &dyn Fn(&T) -> bool) -> Option<SubscriptionToken> {
        let mut own = self.0.iter().filter(|(_, it)| it.client == *client && is(&it.held));
        own.next().filter(|_| own.next().is_none()).map(|(token, _)| token.clone())
    }

    /// How many events all of them missed since this was asked last.
    pub fn newly_missed(&mut self, hub: &Hub) -> u64 {
        self.0.values_mut().fold(0, |missed, it| missed.saturating_add(it.newly_missed(hub)))
    }

    /// Ends those whose time is over, or that are not permitted any more.
    pub fn sweep(
        &mut self,
        now: Duration,
        permits: &mut dyn FnMut(&Subscription<T>) -> bool,
    ) -> Vec<(Subscription<T>, Swept)> {
        let why = |it: &Subscription<T>, permits: &mut dyn FnMut(&Subscription<T>) -> bool| {
            if it.ends <= now { Some(Swept::Expired) } else { (!permits(it)).then_some(Swept::Forbidden) }
        };
        let ended: Vec<_> =
            self.0.iter().filter_map(|(token, it)| Some((token.clone(), why(it, permits)?))).collect();
        ended.into_iter().filter_map(|(token, why)| Some((self.0.remove(&token)?, why))).collect()
    }

    /// All of them, to be looked at.
    pub fn all(&self) -> impl Iterator<Item = &Subscription<T>> {
        self.0.values()
    }

    /// All of them.
    pub fn into_all(self) -> impl Iterator<Item = Subscription<T>> {
        self.0.into_values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Why a subscription was ended by the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swept {
    /// Its time is over.
    Expired,
    /// Its client may not have it any more.
    Forbidden,
}

impl Swept {
    /// The word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Forbidden => "forbidden",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            hub::Published,
            samples::{motion, topic},
        },
        *,
    };
    use crate::{
        clock::{Clock, SimulatedClock},
        limits::EVENTS_KEPT_PER_CAMERA_MAX,
        onvif::{CONCRETE_SET, ITEM_FILTER},
    };

    struct Camera {
        clock: Arc<SimulatedClock>,
        hub: Arc<Hub>,
        table: Subscriptions<()>,
        made: u8,
    }

    impl Camera {
        fn new() -> Self {
            let clock = Arc::new(SimulatedClock::new("2026-11-26T08:00:00Z".parse().unwrap()));
            let hub = Hub::new(clock.clone());
            Self { clock, hub, table: Subscriptions::default(), made: 0 }
        }

        fn now(&self) -> Duration {
            self.clock.monotonic()
        }

        fn subscribe(&mut self, client: &str, filter: Filter) -> Result<SubscriptionToken, Full> {
            self.made += 1;
            let token = SubscriptionToken::of([self.made; 16]);
            let client = ClientId::new(client).unwrap();
            let order = Order { held: (), client, filter, lasts: Duration::from_secs(60) };
            let now = self.now();
            self.table.add(token.clone(), order, &self.hub, now).map(|_| token)
        }

        fn take(&mut self, token: &SubscriptionToken, client: &str, most: usize) -> Vec<String> {
            let client = ClientId::new(client).unwrap();
            let subscription = self.table.of(token, &client).unwrap();
            subscription.take(&self.hub, most).iter().map(|it| said(it)).collect()
        }
    }

    /// `v0 true Changed`
    fn said(event: &Event) -> String {
        let items = super::super::event::Part::ALL.into_iter().flat_map(|part| event.items(part));
        let values: Vec<&str> = items.map(|it| it.value).collect();
        format!("{} {}", values.join(" "), event.operation.map_or("-", Operation::as_str))
    }

    #[test]
    fn what_is_missed_is_counted_once_whether_or_not_somebody_comes_for_the_rest() {
        let mut camera = Camera::new();
        let one = camera.subscribe("vms", Filter::default()).unwrap();
        assert_eq!(camera.take(&one, "vms", 1), [""; 0]);
        let kept = EVENTS_KEPT_PER_CAMERA_MAX;
        for number in 0..kept + 3 {
            camera.hub.publish(motion("v0", number % 2 == 0));
        }
        assert_eq!([(); 2].map(|()| camera.table.newly_missed(&camera.hub)), [3, 0]);
        assert_eq!(camera.take(&one, "vms", usize::MAX).len(), kept + 1, "the rest, and how things stand");
        camera.clock.advance(Duration::from_secs(60));
        for number in 0..kept + 5 {
            camera.hub.publish(motion("v0", number % 2 == 0));
        }
        camera.take(&one, "vms", 1);
        assert_eq!(camera.table.newly_missed(&camera.hub), 5);
        let client = ClientId::new("vms").unwrap();
        assert_eq!(camera.table.of(&one, &client).unwrap().counts().0, 8);
    }

    #[test]
    fn a_subscription_begins_with_the_state_and_goes_on_with_what_comes() {
        let mut camera = Camera::new();
        camera.hub.publish(motion("v0", true));
        let one = camera.subscribe("vms", Filter::default()).unwrap();
        camera.hub.publish(motion("v0", false));
        camera.hub.publish(motion("v1", true));
        let two = camera.subscribe("nvr", Filter::default()).unwrap();
        // The state is that of the moment it is told; what has happened since the subscription follows.
        assert_eq!(
            camera.take(&one, "vms", 3),
            ["v0 false Initialized", "v1 true Initialized", "v0 false Changed"]
        );
        assert_eq!(camera.take(&one, "vms", 9), ["v1 true Changed"]);
        assert_eq!(camera.take(&one, "vms", 9), [""; 0]);
        assert_eq!(camera.take(&two, "nvr", 9), ["v0 false Initialized", "v1 true Initialized"]);
        let nvr = ClientId::new("nvr").unwrap();
        assert!(camera.table.of(&one, &nvr).is_none(), "it is another client's");
        for state in [true, false, true] {
            camera.hub.publish(motion("v1", state));
        }
        assert_eq!(camera.take(&two, "nvr", 1), ["v1 true Changed"]);
        camera.table.of(&two, &nvr).unwrap().synchronize();
        assert_eq!(camera.take(&two, "nvr", 1), ["v0 false Initialized"]);
        // What was read before is told still, and the state but once more however often that is asked.
        camera.table.of(&two, &nvr).unwrap().synchronize();
        assert_eq!(
            camera.take(&two, "nvr", 9),
            ["v0 false Initialized", "v1 true Initialized", "v1 false Changed", "v1 true Changed"]
        );
        assert_eq!(*camera.hub.wanted().borrow(), 2);
        camera.table.remove(&one);
        assert_eq!(*camera.hub.wanted().borrow(), 1);
    }

    #[test]
    fn filters_are_held_against_every_event() {
        let mut camera = Camera::new();
        let space = |prefix: &str| (prefix == "tns1").then(|| "http://www.onvif.org/ver10/topics".into());
        let expression = |text: &str| TopicExpression::parse(CONCRETE_SET, text, &space).unwrap();
        let content = "boolean(//tt:SimpleItem[@Name=\"State\" and @Value=\"true\"])";
        let content = ItemFilter::parse(ITEM_FILTER, content).unwrap();
        let topics = Filter { topics: vec![expression("tns1:Device//.")], ..Filter::default() };
        let contents = Filter { contents: vec![content.clone()], ..Filter::default() };
        let both = Filter { contents: vec![content], ..topics.clone() };
        let changes = Filter { changed_only: true, ..Filter::default() };
        camera.hub.publish(motion("v0", true));
        let all: Vec<_> = [topics, contents, both, changes]
            .into_iter()
            .map(|filter| camera.subscribe("vms", filter).unwrap())
            .collect();
        camera.hub.publish(motion("v0", false));
        camera.hub.publish(topic("tns1:Device/Trigger/DigitalInput", "in1", false));
        camera.hub.publish(topic("tns1:Device/Trigger/DigitalInput", "in1", true));
        let mut told = |at: usize| camera.take(&all[at], "vms", 9);
        assert_eq!(told(0), ["in1 true Initialized", "in1 false Changed", "in1 true Changed"]);
        assert_eq!(told(1), ["in1 true Initialized", "in1 true Changed"]);
        assert_eq!(told(2), ["in1 true Initialized", "in1 true Changed"]);
        assert_eq!(told(3), ["v0 false Changed", "in1 false Changed", "in1 true Changed"]);
    }

    #[test]
    fn who_is_too_slow_is_told_how_things_stand() {
        let mut camera = Camera::new();
        let token = camera.subscribe("vms", Filter::default()).unwrap();
        let sent = EVENTS_KEPT_PER_CAMERA_MAX + 5;
        for number in 0..sent {
            assert_eq!(camera.hub.publish(motion("v0", number % 2 == 0)), Published::Told, "{number}");
            camera.clock.advance(Duration::from_secs(1));
        }
        let told = camera.take(&token, "vms", usize::MAX);
        assert_eq!(told.len(), EVENTS_KEPT_PER_CAMERA_MAX + 2);
        assert_eq!(told.last().unwrap(), "v0 true Initialized");
        let vms = ClientId::new("vms").unwrap();
        assert_eq!(camera.table.of(&token, &vms).unwrap().counts(), (5, 0), "nothing has arrived");
        let now = camera.now();
        camera.table.of(&token, &vms).unwrap().told(told.len(), now);
        assert_eq!(camera.table.of(&token, &vms).unwrap().counts(), (5, told.len() as u64));
        assert_eq!(camera.take(&token, "vms", 9), [""; 0]);
    }

    #[test]
    fn places_are_few_and_what_is_not_used_gives_way() {
        let mut camera = Camera::new();
        for _ in 0..SUBSCRIPTIONS_PER_CLIENT_MAX {
            camera.subscribe("vms", Filter::default()).unwrap();
        }
        assert_eq!(camera.subscribe("vms", Filter::default()), Err(Full::Client));
        for number in 0..SUBSCRIPTIONS_PER_CAMERA_MAX - SUBSCRIPTIONS_PER_CLIENT_MAX {
            camera.subscribe(&format!("nvr{number}"), Filter::default()).unwrap();
        }
        assert_eq!(camera.subscribe("other", Filter::default()), Err(Full::Camera));
        camera.clock.advance(SUBSCRIPTION_IDLE_TIME);
        assert!(camera.subscribe("vms", Filter::default()).is_ok());
        assert_eq!(camera.table.len(), SUBSCRIPTIONS_PER_CAMERA_MAX);
        assert_eq!(*camera.hub.wanted().borrow(), SUBSCRIPTIONS_PER_CAMERA_MAX);
    }

    #[test]
    fn a_subscription_ends_when_its_time_is_over_or_it_is_forbidden() {
        let mut camera = Camera::new();
        let (one, two) =
            (camera.subscribe("vms", Filter::default()), camera.subscribe("nvr", Filter::default()));
        let (one, two) = (one.unwrap(), two.unwrap());
        let vms = ClientId::new("vms").unwrap();
        let swept = |camera: &mut Camera, forbidden: &str| {
            let now = camera.now();
            let ended = camera.table.sweep(now, &mut |it| it.client().as_str() != forbidden);
            ended.into_iter().map(|(it, why)| format!("{} {}", it.client(), why.as_str())).collect::<Vec<_>>()
        };
        camera.clock.advance(Duration::from_secs(59));
        let (now, hub) = (camera.now(), Arc::clone(&camera.hub));
        // It lasts as long as was promised, and to the end of what is waited for.
        camera.table.of(&one, &vms).unwrap().keep(now, now + Duration::from_secs(90));
        assert_eq!(swept(&mut camera, ""), [""; 0]);
        camera.clock.advance(Duration::from_secs(1));
        assert_eq!(swept(&mut camera, ""), ["nvr expired"]);
        camera.clock.advance(Duration::from_secs(88));
        assert_eq!(swept(&mut camera, ""), [""; 0]);
        let now = camera.now();
        camera.table.of(&one, &vms).unwrap().renew(Some(Duration::from_secs(10)), now);
        camera.clock.advance(Duration::from_secs(9));
        assert_eq!(swept(&mut camera, ""), [""; 0]);
        assert_eq!(swept(&mut camera, "vms"), ["vms forbidden"]);
        assert!(camera.table.is_empty() && camera.table.remove(&two).is_none());
        assert_eq!(*hub.wanted().borrow(), 0);
    }

    #[test]
    fn a_client_has_so_many_subscriptions_to_all_cameras_and_another_its_own() {
        let places = Arc::new(Places::default());
        let [vms, nvr] = ["vms", "nvr"].map(|it| ClientId::new(it).unwrap());
        let take = |client| places.take(client);
        let mut held: Vec<Place> =
            (0..SUBSCRIPTIONS_PER_CLIENT_EVERYWHERE_MAX).map(|_| take(&vms).unwrap()).collect();
        assert_eq!(take(&vms).map(|_| ()), Err(Full::Everywhere));
        assert!(take(&nvr).is_ok());
        held.pop();
        assert!(take(&vms).is_ok(), "one was given back, and so was that");
        drop(held);
        assert!(places.0.lock().unwrap().is_empty(), "nothing is kept of clients that have none");
    }

    #[test]
    fn a_token_is_thirty_two_digits() {
        let token = SubscriptionToken::of([0xa5; 16]);
        assert_eq!(token.as_str(), "a5".repeat(16));
        assert_eq!(SubscriptionToken::parse(token.as_str()), Some(token.clone()));
        for other in ["", "a5", &"A5".repeat(16), &"g".repeat(32), &"a".repeat(33)] {
            assert_eq!(SubscriptionToken::parse(other), None, "{other}");
        }
        assert!(!format!("{token:?}").contains("a5"));
    }
}
