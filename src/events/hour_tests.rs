//! An hour of events by the simulated clock, one a second of each camera: through the rules of the one subscription to it,
//! its hub and the clients' subscriptions, with reboots, renewals, and a client that comes and goes. What a camera handed
//! over is told to each of its subscribers once, in order, and nothing else is.
//!
//! `CORDON_EVENT_CAMERAS=1000 cargo test --release --lib events::hour -- --nocapture` is the whole fleet.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    answers::{Times, pulled},
    event::{Event, tests::answer},
    hub::Hub,
    subscriptions::{Filter, Order, SubscriptionToken, Subscriptions, Swept},
    topic::TopicExpression,
    upstream::{Granted, Lifetime, Loss, Step, Upstream, Way},
};
use crate::{
    clock::{Clock, SimulatedClock},
    hatch::AddressRules,
    ids::ClientId,
    limits::{EVENT_PULL_MESSAGES_MAX, PULL_MESSAGES_MAX},
    onvif::CONCRETE_SET,
    schema::{Document, Tables},
};

const HOUR_SECONDS: u64 = 3_600;
/// How long a camera grants a subscription; to be asked does not prolong it.
const LEASE: Duration = Duration::from_secs(120);
/// How long it does not answer when it is started anew.
const BOOT: Duration = Duration::from_secs(20);
const REBOOTS: u64 = 3;
/// Events that some cameras tell again when they are subscribed to anew.
const AGAIN: u64 = 3;
const SHORT: Duration = Duration::from_secs(60);

/// A camera at which something happens every second, numbered: at even ones a property changes, at odd ones something
/// happens that is none.
struct Camera {
    number: u64,
    /// When which event was made, in seconds.
    made: Vec<u64>,
    place: Option<Place>,
    /// It does not answer before.
    up: Duration,
    /// What it handed over, without what it told twice.
    handed: Vec<u64>,
}

struct Place {
    until: Duration,
    next: u64,
    state_due: bool,
}

/// What a camera answers.
type Answered<T> = Result<T, Loss>;

impl Camera {
    fn at(&self, now: Duration) -> Answered<()> {
        if now < self.up { Err(Loss::Silence) } else { Ok(()) }
    }

    fn held(&mut self, now: Duration) -> Answered<&mut Place> {
        self.at(now)?;
        self.place.as_mut().filter(|it| it.until > now).ok_or(Loss::Gone)
    }

    fn reboots(&self, second: u64) -> bool {
        (1..=REBOOTS).any(|it| second == it * 900 + self.number % 97)
    }

    /// A second passes.
    fn lives(&mut self, now: Duration) {
        if self.reboots(now.as_secs()) {
            (self.place, self.up) = (None, now.saturating_add(BOOT));
        } else if now >= self.up {
            self.made.push(now.as_secs());
        }
    }

    fn subscribe(&mut self, now: Duration) -> Answered<()> {
        self.at(now)?;
        // Some know what they told last, tell it once more and go on from there.
        let next = match self.number % 2 {
            1 => self.handed.last().copied().unwrap_or(0).saturating_sub(AGAIN - 1).max(1),
            _ => self.made.len() as u64 + 1,
        };
        self.place = Some(Place { until: now + LEASE, next, state_due: false });
        Ok(())
    }

    fn pull(&mut self, tables: &Tables, now: Duration) -> Answered<Document> {
        let last = self.made.len() as u64;
        let place = self.held(now)?;
        let first = std::mem::replace(&mut place.next, last + 1);
        assert!(last < first + EVENT_PULL_MESSAGES_MAX as u64, "it is asked often enough");
        let state = std::mem::take(&mut place.state_due).then_some(last - last % 2);
        let mut messages: Vec<_> = (first..=last).map(|it| self.message(it, "Changed")).collect();
        messages.extend(state.map(|it| self.message(it, "Initialized")));
        for number in (first..=last).chain(state) {
            if number > self.handed.last().copied().unwrap_or(0) {
                self.handed.push(number);
            }
        }
        let messages: Vec<_> =
            messages.iter().map(|(topic, utc, inside)| (*topic, &**utc, &**inside)).collect();
        Ok(answer(tables, &messages))
    }

    fn message(&self, number: u64, operation: &str) -> (&'static str, String, String) {
        let second = number.checked_sub(1).map_or(0, |it| self.made[it as usize]);
        let (topic, operation) = match number % 2 {
            0 => ("t:VideoSource/MotionAlarm", format!("PropertyOperation=\"{operation}\"")),
            _ => ("t:RuleEngine/LineDetector/Crossed", String::new()),
        };
        let utc = format!("UtcTime=\"2026-11-26T10:{:02}:{:02}Z\" {operation}", second / 60, second % 60);
        let inside = format!(
            "<tt:Source><tt:SimpleItem Name=\"Source\" Value=\"v1\"/></tt:Source><tt:Data><tt:SimpleItem Name=\"State\" \
             Value=\"{}\"/><tt:SimpleItem Name=\"Number\" Value=\"{number}\"/></tt:Data>",
            number.is_multiple_of(4)
        );
        (topic, utc, inside)
    }
}

/// How a client behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It pulls every second, which keeps its subscription.
    Steady,
    /// It pulls every twenty seconds, and renews every thirty.
    Renewing,
    /// It wants motion alone.
    Choosy,
    /// It takes one message at a time.
    Sipping,
    /// It is there for five minutes, and gone for two; every other time it goes without a word.
    Passing,
}

const CLIENTS: [Manner; 5] =
    [Manner::Steady, Manner::Renewing, Manner::Choosy, Manner::Sipping, Manner::Passing];

struct Client {
    manner: Manner,
    id: ClientId,
    token: Option<SubscriptionToken>,
    /// Whether it is there.
    present: bool,
    /// What it was told since it came, and what the camera had handed over when it did.
    told: Vec<u64>,
    from: usize,
}

/// What came of one camera's hour, and of all.
#[derive(Debug, Default)]
struct Tally {
    events: u64,
    told: u64,
    subscribed: u64,
    renewed: u64,
    duplicates: u64,
    ended: u64,
    expired: u64,
}

struct Hour {
    tables: Arc<Tables>,
    clock: Arc<SimulatedClock>,
    hub: Arc<Hub>,
    upstream: Upstream,
    camera: Camera,
    table: Subscriptions<()>,
    clients: Vec<Client>,
    tokens: u8,
    tally: Tally,
}

impl Hour {
    fn of(number: u64, tables: Arc<Tables>) -> Self {
        let clock = Arc::new(SimulatedClock::new("2026-11-26T10:00:00Z".parse().unwrap()));
        let hub = Hub::new(clock.clone());
        let clients = CLIENTS.iter().enumerate().map(|(at, &manner)| Client {
            manner,
            id: ClientId::new(&format!("client-{at}")).unwrap(),
            token: None,
            present: false,
            told: Vec::new(),
            from: 0,
        });
        Self {
            tables,
            clock,
            hub,
            upstream: Upstream::new(Way::Pull, true, false),
            camera: Camera { number, made: Vec::new(), place: None, up: Duration::ZERO, handed: Vec::new() },
            table: Subscriptions::default(),
            clients: clients.collect(),
            tokens: 0,
            tally: Tally::default(),
        }
    }

    fn run(mut self) -> Tally {
        for second in 0..HOUR_SECONDS {
            let now = self.clock.monotonic();
            if second > 0 {
                self.camera.lives(now);
            }
            self.hears(now);
            for at in 0..self.clients.len() {
                self.client(at, second);
            }
            for (subscription, why) in self.table.sweep(now, &mut |_| true) {
                assert_eq!(why, Swept::Expired);
                let whose = self.clients.iter_mut().find(|it| it.id == *subscription.client()).unwrap();
                assert!(
                    whose.manner == Manner::Passing && !whose.present,
                    "who is there keeps its subscription"
                );
                whose.token = None;
                self.tally.expired += 1;
            }
            self.clock.advance(Duration::from_secs(1));
        }
        // Nothing happens any more: everybody has the rest.
        for at in 0..self.clients.len() {
            self.leaves(at, true);
        }
        let counts = self.hub.counts();
        assert_eq!((counts.over_rate, counts.unkept), (0, 0));
        self.tally.duplicates = counts.duplicates;
        self.tally.events = self.camera.handed.len() as u64;
        self.tally
    }

    /// The gateway does what is to be done about its own subscription.
    fn hears(&mut self, now: Duration) {
        for _ in 0..8 {
            let wanted = *self.hub.wanted().borrow() > 0;
            let step = self.upstream.next(now, self.clock.now(), wanted);
            if let Step::Wait(_) = step {
                return;
            }
            if let Err(loss) = self.does(step, now) {
                self.upstream.failed(step, loss, now);
            }
            if step == Step::Pull {
                return;
            }
        }
        panic!("camera {}: no end of steps", self.camera.number);
    }

    fn does(&mut self, step: Step, now: Duration) -> Answered<()> {
        let granted = Granted {
            current: Some(self.clock.now()),
            termination: self.clock.now().checked_add(jiff::SignedDuration::try_from(LEASE).unwrap()).ok(),
        };
        match step {
            Step::Subscribe(way, lifetime) => {
                assert_eq!((way, lifetime), (Way::Pull, Lifetime::Relative(LEASE)));
                self.camera.subscribe(now)?;
                self.hub.begin();
                assert_eq!(self.upstream.subscribed(way, now, granted), None);
                self.tally.subscribed += 1;
            }
            Step::Synchronize => {
                self.camera.held(now)?.state_due = true;
                self.upstream.synchronized();
            }
            Step::Pull => {
                let told = self.camera.pull(&self.tables, now)?;
                let read = Event::read_all(&self.tables, &told, &AddressRules::default(), self.clock.now());
                assert_eq!(read.left_out, 0);
                read.events.into_iter().for_each(|it| _ = self.hub.publish(it));
                self.upstream.pulled(now, Granted::default());
            }
            Step::Renew(_) => {
                self.camera.held(now)?.until = now + LEASE;
                assert_eq!(self.upstream.renewed(now, granted), None);
                self.tally.renewed += 1;
            }
            Step::Wait(_) | Step::Unsubscribe => panic!("{step:?}: events are wanted all the time"),
        }
        Ok(())
    }

    fn client(&mut self, at: usize, second: u64) {
        let Client { manner, present, .. } = self.clients[at];
        let is_there = manner != Manner::Passing || second % 420 < 300;
        match (present, is_there) {
            (false, true) => self.comes(at),
            (true, false) => return self.leaves(at, (second / 420).is_multiple_of(2)),
            (false, false) => return,
            (true, true) => {}
        }
        match manner {
            Manner::Steady | Manner::Choosy | Manner::Passing => _ = self.pulls(at, PULL_MESSAGES_MAX),
            Manner::Renewing => {
                if second.is_multiple_of(30) {
                    let now = self.clock.monotonic();
                    let Client { token, id, .. } = &self.clients[at];
                    self.table.of(token.as_ref().unwrap(), id).unwrap().renew(Some(SHORT), now);
                }
                if second.is_multiple_of(20) {
                    self.pulls(at, PULL_MESSAGES_MAX);
                }
            }
            Manner::Sipping => while self.pulls(at, 1) > 0 {},
        }
    }

    fn comes(&mut self, at: usize) {
        let now = self.clock.monotonic();
        let client = &mut self.clients[at];
        let space = |prefix: &str| (prefix == "tns1").then(|| "http://www.onvif.org/ver10/topics".into());
        let motion = TopicExpression::parse(CONCRETE_SET, "tns1:VideoSource/MotionAlarm", &space).unwrap();
        let topics = if client.manner == Manner::Choosy { vec![motion] } else { Vec::new() };
        let filter = Filter { topics, ..Filter::default() };
        self.tokens += 1;
        let token = SubscriptionToken::of([self.tokens; 16]);
        let order = Order { held: (), client: client.id.clone(), filter, lasts: SHORT };
        assert!(self.table.add(token.clone(), order, &self.hub, now).unwrap().is_none());
        (client.token, client.present, client.from) = (Some(token), true, self.camera.handed.len());
        client.told.clear();
    }

    /// Pulls once; how many messages came.
    fn pulls(&mut self, at: usize, most: usize) -> usize {
        let (now, civil) = (self.clock.monotonic(), self.clock.now());
        let client = &mut self.clients[at];
        let subscription = self.table.of(client.token.as_ref().unwrap(), &client.id).unwrap();
        subscription.keep(now, Duration::ZERO);
        let events = subscription.take(&self.hub, most);
        let row = self.tables.operation_by_name("tev:PullMessages").and_then(|it| self.tables.operation(it));
        let times = Times { now: civil, ends: Timestamp::MAX };
        let (document, count) = pulled(&self.tables, row.unwrap().output.unwrap(), times, &events).unwrap();
        subscription.give_back(&events[count..]);
        subscription.told(count, now);
        client.told.extend(numbers(&document));
        count
    }

    /// A client ends, and was told all that the camera handed over meanwhile, once, in order.
    fn leaves(&mut self, at: usize, says_so: bool) {
        if !self.clients[at].present {
            return;
        }
        while self.pulls(at, PULL_MESSAGES_MAX) > 0 {}
        let client = &mut self.clients[at];
        let wanted = |it: &&u64| client.manner != Manner::Choosy || it.is_multiple_of(2);
        let expected: Vec<u64> = self.camera.handed[client.from..].iter().filter(wanted).copied().collect();
        assert_eq!(client.told, expected, "camera {}, client {at}", self.camera.number);
        self.tally.told += expected.len() as u64;
        let token = client.token.clone().unwrap();
        assert_eq!(self.table.of(&token, &client.id).unwrap().counts().0, 0, "events that were missed");
        client.present = false;
        if says_so {
            self.table.remove(&token).unwrap();
            client.token = None;
            self.tally.ended += 1;
        }
    }
}

/// The numbers of the events in an answer that are news; how things stand is no news.
fn numbers(answer: &Document) -> Vec<u64> {
    let messages = answer.root().children().filter(|it| it.local() == "NotificationMessage");
    let inside = messages.filter_map(|it| it.find("Message/Message"));
    let news = inside.filter(|it| it.attribute("PropertyOperation") != Some("Initialized"));
    let items = news.filter_map(|it| {
        let data = it.child("Data")?;
        data.children().find(|it| it.attribute("Name") == Some("Number"))?.attribute("Value")?.parse().ok()
    });
    items.collect()
}

#[test]
#[expect(clippy::print_stdout, reason = "how much was told is worth seeing")]
fn in_an_hour_no_event_is_lost_and_none_is_told_twice() {
    let cameras: u64 =
        std::env::var("CORDON_EVENT_CAMERAS").ok().map_or(2, |it| it.parse().expect("a number of cameras"));
    let tables = Tables::embedded().unwrap();
    let threads = 2;
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let some = |thread: u64| {
            let tables = &tables;
            let own = (0..cameras).filter(move |it| it % threads == thread);
            scope.spawn(move || own.map(|it| Hour::of(it, Arc::clone(tables)).run()).collect::<Vec<_>>())
        };
        let running: Vec<_> = (0..threads).map(some).collect();
        running.into_iter().flat_map(|it| it.join().expect("an hour of some cameras")).collect()
    });
    let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
    println!(
        "{cameras} cameras, {HOUR_SECONDS} s each: {} events handed over, told {} times to {} subscribers each: lost 0, twice 0; \
         told again by cameras and not handed on {}; cameras subscribed to {} times, renewed with {} times; clients that \
         ended their subscription {}, that went without a word {}",
        sum(|it| it.events),
        sum(|it| it.told),
        CLIENTS.len(),
        sum(|it| it.duplicates),
        sum(|it| it.subscribed),
        sum(|it| it.renewed),
        sum(|it| it.ended),
        sum(|it| it.expired),
    );
    for (number, it) in tallies.iter().enumerate() {
        assert_eq!(it.subscribed, 1 + REBOOTS, "{number}: {it:?}");
        assert!(it.events >= HOUR_SECONDS - REBOOTS * (BOOT.as_secs() + 60), "{number}: {it:?}");
        assert!(it.renewed >= 40 && it.expired >= 3 && it.ended >= 4 + 3, "{number}: {it:?}");
    }
    assert_eq!(sum(|it| it.duplicates), cameras / 2 * REBOOTS * AGAIN);
}
