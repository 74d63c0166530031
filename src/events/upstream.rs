//! When a camera is subscribed to, asked for events, renewed with, and left: rules without clock or socket. There is one
//! subscription to a camera at most, whoever wants its events, since many have few places and lose them to clients that
//! go without a word.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::event::moment;
use crate::{
    limits::{
        SUBSCRIPTION_HOPELESS_PAUSE, SUBSCRIPTION_LIFE, SUBSCRIPTION_LIFE_MIN, SUBSCRIPTION_LINGER,
        SUBSCRIPTION_PAUSE_MAX, SUBSCRIPTION_PAUSE_MIN, SUBSCRIPTION_RENEW_LEFT,
        SUBSCRIPTION_SILENT_RENEWALS_MAX, SUBSCRIPTION_STEADY,
    },
    schema::Document,
};

/// How events come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The camera is asked for them, again and again (Core §9.1).
    Pull,
    /// It sends them to the gateway (Core §9.3).
    Push,
}

impl Way {
    /// The word in configurations and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
        }
    }
}

/// Until when a subscription is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// For so long.
    Relative(Duration),
    /// Until then, by the camera's clock.
    Absolute(Timestamp),
}

impl Lifetime {
    /// As `wsnt:AbsoluteOrRelativeTimeType` has it.
    pub fn text(self) -> String {
        match self {
            Self::Relative(length) => format!("PT{}S", length.as_secs()),
            Self::Absolute(at) => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }
    }
}

/// What a camera says of a subscription's end, by its own clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Granted {
    /// Its time now.
    pub current: Option<Timestamp>,
    /// When it ends.
    pub termination: Option<Timestamp>,
}

impl Granted {
    /// Reads an answer to a subscription, a renewal or a question for events.
    pub fn read(answer: &Document) -> Self {
        let told = |local| answer.root().child(local).and_then(|it| moment(it.text()));
        Self { current: told("CurrentTime"), termination: told("TerminationTime") }
    }

    /// How long that is; none if it does not say, zero if it has ended.
    fn life(self) -> Option<Duration> {
        let left = self.termination?.duration_since(self.current?);
        Some(if left.is_negative() { Duration::ZERO } else { left.unsigned_abs() })
    }
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing before that time has passed, or, without one, before somebody wants events.
    Wait(Option<Duration>),
    /// The camera is subscribed to.
    Subscribe(Way, Lifetime),
    /// It is asked to tell the state of its properties.
    Synchronize,
    /// It is asked for events.
    Pull,
    /// Its subscription is to last longer.
    Renew(Lifetime),
    /// Its place is given back.
    Unsubscribe,
}

/// Why a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing is known of the subscription: the camera did not answer, or could not be asked.
    Silence,
    /// The camera answered that it will not: it knows the subscription no more.
    Gone,
    /// It answered that it has no such thing.
    NotSupported,
    /// It has no event service.
    NoService,
}

/// What a step taught of the camera's ways, to be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// A subscription for a time ends at once.
    RelativeTimeBroken,
    /// It has no pull points.
    NoPullPoint,
}

/// The subscription to one camera. Times are monotonic.
#[derive(Debug)]
pub struct Upstream {
    way: Way,
    /// Whether events may come by the other way, if the camera has not this one.
    may_push: bool,
    relative: bool,
    /// How often in a row it answered a subscription to ask by with a fault.
    refused: u32,
    /// It is tried whether it sends, since it seems to have no pull points.
    tries_push: bool,
    /// Subscriptions that ended before their time, in a row.
    early: u32,
    failures: u32,
    /// Nothing is sent before.
    not_before: Duration,
    unwanted_since: Option<Duration>,
    held: Option<Held>,
}

/// A place at the camera.
#[derive(Debug)]
struct Held {
    way: Way,
    since: Duration,
    until: Duration,
    /// How long it was granted for last, and when.
    life: Duration,
    granted: Duration,
    synchronized: bool,
    renewable: bool,
    /// It is to be renewed at once.
    hurries: bool,
    /// Renewals in a row that were not answered, and when it may be tried again.
    silent_renewals: u32,
    renew_after: Duration,
    /// What the camera said its time was, and when.
    clock: Option<(Timestamp, Duration)>,
}

impl Held {
    /// How long until it is to be renewed: a minute before its end, or half its length if that is less, but never soon
    /// after it was renewed, whatever the camera grants.
    fn to_renewal(&self, now: Duration) -> Duration {
        if !self.renewable {
            return Duration::MAX;
        }
        let due = self.until.saturating_sub(SUBSCRIPTION_RENEW_LEFT.min(self.life / 2));
        let due = due.max(self.granted.saturating_add(self.life / 3));
        let due = if self.hurries { Duration::ZERO } else { due };
        due.max(self.renew_after).saturating_sub(now)
    }
}

impl Upstream {
    /// Nothing is subscribed to. `relative` unless the camera is known not to bear it; `may_push` if there is somewhere
    /// that it could send to.
    pub fn new(way: Way, relative: bool, may_push: bool) -> Self {
        Self {
            way,
            may_push,
            relative,
            refused: 0,
            tries_push: false,
            early: 0,
            failures: 0,
            not_before: Duration::ZERO,
            unwanted_since: None,
            held: None,
        }
    }

    /// The gateway had a subscription before it was started anew, which ends in so long.
    pub fn take_up(&mut self, way: Way, now: Duration, left: Duration) {
        let until = now.saturating_add(left);
        self.held = Some(Held {
            way,
            since: now,
            until,
            life: left,
            granted: now,
            synchronized: false,
            renewable: true,
            hurries: false,
            silent_renewals: 0,
            renew_after: Duration::ZERO,
            clock: None,
        });
    }

    /// Whether there is a subscription, as far as is known.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// How events come by the subscription that there is.
    pub fn way(&self) -> Option<Way> {
        self.held.as_ref().map(|it| it.way)
    }

    /// How long it lasts yet, if there is one and nobody renews it.
    pub fn left(&self, now: Duration) -> Option<Duration> {
        self.held.as_ref().map(|it| it.until.saturating_sub(now))
    }

    /// How long the camera may be let wait for an event, before the subscription has to be seen to.
    pub fn patience(&self, now: Duration) -> Duration {
        self.held
            .as_ref()
            .map_or(Duration::ZERO, |it| it.to_renewal(now).min(it.until.saturating_sub(now) / 2))
    }

    /// How often in a row it went wrong.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// What is to be done. `camera` is what the camera's clock shows, as far as is known.
    pub fn next(&mut self, now: Duration, camera: Timestamp, wanted: bool) -> Step {
        let since = if wanted { None } else { Some(self.unwanted_since.unwrap_or(now)) };
        self.unwanted_since = since;
        if self.held.as_ref().is_some_and(|it| it.until <= now) {
            self.lost(now);
        }
        let pause = Some(self.not_before.saturating_sub(now)).filter(|it| !it.is_zero());
        let lifetime = self.lifetime(now, camera);
        let Some(held) = &self.held else {
            if !wanted {
                self.failures = 0;
                return Step::Wait(None);
            }
            return match pause {
                None => Step::Subscribe(self.way, lifetime),
                pause => Step::Wait(pause),
            };
        };
        let left = held.until.saturating_sub(now);
        let lingers = since.map(|it| it.saturating_add(SUBSCRIPTION_LINGER).saturating_sub(now));
        if pause.is_some() {
            return Step::Wait(pause);
        }
        if lingers.is_some_and(|it| it.is_zero()) {
            return Step::Unsubscribe;
        }
        if held.to_renewal(now).is_zero() {
            return Step::Renew(lifetime);
        }
        match held.way {
            _ if !held.synchronized => Step::Synchronize,
            Way::Pull => Step::Pull,
            Way::Push => {
                let due = held.to_renewal(now).min(left);
                Step::Wait(Some(lingers.map_or(due, |it| it.min(due))))
            }
        }
    }

    /// The camera was subscribed to.
    pub fn subscribed(&mut self, way: Way, now: Duration, granted: Granted) -> Option<Lesson> {
        self.take_up(way, now, SUBSCRIPTION_LIFE);
        self.refused = 0;
        let proven = std::mem::take(&mut self.tries_push).then_some(Lesson::NoPullPoint);
        self.prolonged(now, granted).or(proven)
    }

    /// The subscription was renewed.
    pub fn renewed(&mut self, now: Duration, granted: Granted) -> Option<Lesson> {
        self.steady(now);
        self.prolonged(now, granted)
    }

    /// The camera was asked to tell the state of its properties.
    pub fn synchronized(&mut self) {
        if let Some(held) = &mut self.held {
            held.synchronized = true;
        }
    }

    /// The camera told what it had to tell.
    pub fn pulled(&mut self, now: Duration, granted: Granted) {
        self.steady(now);
        let Some(held) = &mut self.held else { return };
        held.clock = granted.current.map(|it| (it, now)).or(held.clock);
        // To be asked keeps it alive (Core §9.1.3); one that says nothing sensible of it is held to what it said before.
        let life = granted.life().filter(|it| *it >= SUBSCRIPTION_LIFE_MIN);
        let life = life.or((!held.renewable).then_some(held.life));
        if let Some(life) = life {
            held.until = held.until.max(now.saturating_add(life));
        }
    }

    /// The place was given back.
    pub fn unsubscribed(&mut self) {
        self.held = None;
        self.early = 0;
    }

    /// A step failed.
    pub fn failed(&mut self, step: Step, loss: Loss, now: Duration) {
        match (step, loss) {
            (Step::Subscribe(way, _), Loss::NotSupported | Loss::Gone) => self.refused(way, loss, now),
            (_, Loss::NoService) => self.not_before = now.saturating_add(SUBSCRIPTION_HOPELESS_PAUSE),
            // Being asked may keep it all the same; if it is no more, the next question shows that.
            (Step::Renew(_), Loss::NotSupported | Loss::Gone)
                if loss == Loss::NotSupported || self.way() == Some(Way::Pull) =>
            {
                match &mut self.held {
                    Some(held) if held.renewable => held.renewable = false,
                    _ => {}
                }
            }
            (Step::Renew(_), Loss::Silence) if self.way() == Some(Way::Pull) => self.not_renewed(now),
            (Step::Synchronize, Loss::Gone | Loss::NotSupported) => self.synchronized(),
            (Step::Unsubscribe, Loss::Gone | Loss::NotSupported) => self.unsubscribed(),
            (Step::Pull | Step::Renew(_), Loss::Gone | Loss::NotSupported) => {
                self.lost(now);
                self.pause(now);
            }
            (Step::Wait(_), _) => {}
            (_, Loss::Silence) => self.pause(now),
        }
    }

    /// The camera did not answer a renewal. It is asked for events before that is tried again: it may answer those, which
    /// may keep the subscription as well.
    fn not_renewed(&mut self, now: Duration) {
        let Some(held) = &mut self.held else { return };
        held.silent_renewals = held.silent_renewals.saturating_add(1);
        held.renew_after = now.saturating_add(pause_of(held.silent_renewals));
        held.renewable = held.silent_renewals < SUBSCRIPTION_SILENT_RENEWALS_MAX;
    }

    /// The camera answered a subscription with a fault. Where it cannot be asked, it may be able to send, which shows when
    /// it does; one that starts says the same, and all it likes.
    fn refused(&mut self, way: Way, loss: Loss, now: Duration) {
        self.refused = self.refused.saturating_add(1);
        let hopeless = loss == Loss::NotSupported || self.refused > 1;
        let other = match way {
            Way::Pull if self.may_push && hopeless && !self.tries_push => {
                self.tries_push = true;
                self.way = Way::Push;
                return;
            }
            Way::Push if self.tries_push => Way::Pull,
            Way::Pull | Way::Push => way,
        };
        self.way = other;
        self.tries_push = false;
        self.pause(now);
        if loss == Loss::NotSupported {
            self.not_before = now.saturating_add(SUBSCRIPTION_HOPELESS_PAUSE);
        }
    }

    /// What it ends by, asked for now.
    fn lifetime(&self, now: Duration, camera: Timestamp) -> Lifetime {
        if self.relative {
            return Lifetime::Relative(SUBSCRIPTION_LIFE);
        }
        let told = self.held.as_ref().and_then(|it| it.clock);
        let camera = told.map_or(camera, |(then, at)| later(then, now.saturating_sub(at)));
        Lifetime::Absolute(later(camera, SUBSCRIPTION_LIFE))
    }

    fn prolonged(&mut self, now: Duration, granted: Granted) -> Option<Lesson> {
        let relative = self.relative;
        let held = self.held.as_mut()?;
        held.clock = granted.current.map(|it| (it, now)).or(held.clock);
        let life = granted.life();
        let is_short = life.is_some_and(|it| it < SUBSCRIPTION_LIFE_MIN);
        if is_short && relative {
            // It is renewed at once, by the camera's own clock; if it has ended, that will be told.
            held.until = now.saturating_add(SUBSCRIPTION_LIFE_MIN);
            held.hurries = true;
            self.relative = false;
            return Some(Lesson::RelativeTimeBroken);
        }
        // What is short again is no time the camera goes by.
        let life = life.filter(|_| !is_short).unwrap_or(SUBSCRIPTION_LIFE);
        held.life = life.min(SUBSCRIPTION_LIFE.saturating_mul(60));
        (held.granted, held.hurries, held.silent_renewals) = (now, false, 0);
        held.until = now.saturating_add(held.life);
        None
    }

    /// It went well; after some time of that, what went wrong before counts no more.
    fn steady(&mut self, now: Duration) {
        let Some(held) = &self.held else { return };
        if now.saturating_sub(held.since) >= SUBSCRIPTION_STEADY {
            (self.failures, self.early) = (0, 0);
        }
    }

    /// The subscription is no more, and nobody gave it back.
    fn lost(&mut self, now: Duration) {
        let Some(held) = self.held.take() else { return };
        if now < held.until {
            self.early = self.early.saturating_add(1);
        }
        // It may have ended since the camera understood another time than was meant.
        if self.early > 1 && self.early.is_multiple_of(2) {
            self.relative = !self.relative;
        }
    }

    fn pause(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(pause_of(self.failures));
    }
}

/// The pause after so many failures in a row.
fn pause_of(failures: u32) -> Duration {
    let doubled = 1_u32 << failures.saturating_sub(1).min(16);
    SUBSCRIPTION_PAUSE_MIN.saturating_mul(doubled).min(SUBSCRIPTION_PAUSE_MAX)
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELATIVE: Lifetime = Lifetime::Relative(SUBSCRIPTION_LIFE);
    const SUBSCRIBE: Step = Step::Subscribe(Way::Pull, RELATIVE);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn camera() -> Timestamp {
        "2026-11-26T10:00:00Z".parse().unwrap()
    }

    fn granted(life: i64) -> Granted {
        let current = camera();
        let termination = current.saturating_add(SignedDuration::from_secs(life)).unwrap();
        Granted { current: Some(current), termination: Some(termination) }
    }

    fn subscribed(life: i64) -> Upstream {
        let mut upstream = Upstream::new(Way::Pull, true, false);
        assert_eq!(upstream.next(seconds(0), camera(), true), SUBSCRIBE);
        assert_eq!(upstream.subscribed(Way::Pull, seconds(0), granted(life)), None);
        upstream
    }

    #[test]
    fn a_camera_is_subscribed_to_while_somebody_wants_its_events() {
        let mut upstream = Upstream::new(Way::Pull, true, false);
        assert_eq!(upstream.next(seconds(0), camera(), false), Step::Wait(None));
        let mut upstream = subscribed(120);
        assert_eq!(upstream.next(seconds(0), camera(), true), Step::Synchronize);
        upstream.synchronized();
        for at in [0, 30] {
            assert_eq!(upstream.next(seconds(at), camera(), true), Step::Pull, "{at}");
            upstream.pulled(seconds(at), granted(120));
        }
        assert_eq!(upstream.next(seconds(40), camera(), false), Step::Pull, "somebody may come back");
        assert_eq!(upstream.next(seconds(50), camera(), true), Step::Pull, "and does");
        assert_eq!(upstream.next(seconds(60), camera(), false), Step::Pull);
        assert_eq!(upstream.next(seconds(90), camera(), false), Step::Unsubscribe);
        upstream.unsubscribed();
        assert_eq!(upstream.next(seconds(90), camera(), false), Step::Wait(None));
        assert_eq!(upstream.next(seconds(91), camera(), true), SUBSCRIBE);
    }

    #[test]
    fn it_is_renewed_before_it_ends_and_made_anew_if_it_ended() {
        let mut upstream = subscribed(120);
        upstream.synchronized();
        assert_eq!(upstream.next(seconds(59), camera(), true), Step::Pull);
        assert_eq!(upstream.next(seconds(60), camera(), true), Step::Renew(RELATIVE));
        assert_eq!(upstream.renewed(seconds(60), granted(120)), None);
        assert_eq!(upstream.next(seconds(119), camera(), true), Step::Pull);
        upstream.failed(Step::Pull, Loss::Silence, seconds(119));
        assert_eq!(upstream.next(seconds(119), camera(), true), Step::Wait(Some(seconds(1))));
        // By the camera it is over.
        assert_eq!(upstream.next(seconds(180), camera(), true), SUBSCRIBE);
    }

    #[test]
    fn whatever_a_camera_grants_it_is_asked_for_events_and_renewed_with_in_peace() {
        for life in [10, 30, 60, 61, 120, 86_400] {
            for way in [Way::Pull, Way::Push] {
                let mut upstream = Upstream::new(way, true, false);
                upstream.subscribed(way, seconds(0), granted(life));
                upstream.synchronized();
                let (mut now, mut renewals, mut pulls) = (seconds(0), 0, 0);
                while now < seconds(3_600) {
                    match upstream.next(now, camera(), true) {
                        Step::Renew(_) => {
                            renewals += 1;
                            upstream.renewed(now, granted(life));
                        }
                        Step::Pull => {
                            pulls += 1;
                            now += upstream.patience(now).clamp(seconds(1), seconds(30));
                            upstream.pulled(now, Granted::default());
                        }
                        Step::Wait(Some(pause)) => now += pause,
                        step => panic!("{way:?} of {life} s at {now:?}: {step:?}"),
                    }
                }
                let most = 3_600 / (life / 3).max(1);
                assert!(renewals <= most, "{way:?} of {life} s: {renewals} renewals");
                assert!(way == Way::Push || pulls >= 100, "{way:?} of {life} s: {pulls} pulls");
            }
        }
    }

    #[test]
    fn a_camera_that_cannot_be_renewed_with_is_kept_by_asking() {
        for loss in [Loss::NotSupported, Loss::Gone] {
            let mut upstream = subscribed(120);
            upstream.synchronized();
            let renew = upstream.next(seconds(60), camera(), true);
            upstream.failed(renew, loss, seconds(60));
            assert_eq!(upstream.next(seconds(60), camera(), true), Step::Pull, "no place is left behind");
            upstream.pulled(seconds(90), Granted::default());
            assert_eq!(upstream.next(seconds(150), camera(), true), Step::Pull, "not over at 120");
        }
    }

    #[test]
    fn a_camera_that_hangs_when_it_is_renewed_with_is_heard_meanwhile() {
        let mut upstream = subscribed(120);
        upstream.synchronized();
        let (mut now, mut tried, mut pulled) = (seconds(60), 0, Vec::new());
        while now < seconds(300) {
            match upstream.next(now, camera(), true) {
                Step::Renew(_) => {
                    tried += 1;
                    now += seconds(10);
                    upstream.failed(Step::Renew(RELATIVE), Loss::Silence, now);
                }
                Step::Pull => {
                    pulled.push(now);
                    now += upstream.patience(now).clamp(seconds(1), seconds(30));
                    upstream.pulled(now, Granted::default());
                }
                step => panic!("{step:?} at {now:?}"),
            }
        }
        assert_eq!(tried, SUBSCRIPTION_SILENT_RENEWALS_MAX);
        assert_eq!(pulled[..3], [seconds(70), seconds(81), seconds(93)], "after each try");
        assert!(pulled.windows(2).all(|it| it[1] - it[0] <= seconds(30)), "{pulled:?}");
        assert_eq!(upstream.failures(), 0);
    }

    #[test]
    fn a_camera_that_misreads_a_length_of_time_is_told_a_moment_by_its_own_clock() {
        let mut upstream = Upstream::new(Way::Pull, true, false);
        let at = seconds(1_000);
        assert_eq!(upstream.subscribed(Way::Pull, at, granted(0)), Some(Lesson::RelativeTimeBroken));
        let moment = Lifetime::Absolute("2026-11-26T10:02:00Z".parse().unwrap());
        // Whatever the gateway's clock says of it.
        let wrong = "2001-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(upstream.next(at, wrong, true), Step::Renew(moment));
        assert_eq!(moment.text(), "2026-11-26T10:02:00Z");
        assert_eq!(RELATIVE.text(), "PT120S");
        assert_eq!(upstream.renewed(at, granted(120)), None);
        assert_eq!(upstream.next(at, camera(), true), Step::Synchronize);
        // One whose answers are nonsense is held to what was asked.
        assert_eq!(upstream.renewed(at, granted(-3_600)), None);
        assert_eq!(upstream.next(at, camera(), true), Step::Synchronize);
    }

    #[test]
    fn subscriptions_that_end_early_again_and_again_are_asked_for_otherwise() {
        let mut upstream = subscribed(120);
        let mut asked = Vec::new();
        for round in 1..5 {
            let at = seconds(round * 100);
            upstream.failed(Step::Pull, Loss::Gone, at - seconds(60));
            match upstream.next(at, camera(), true) {
                Step::Subscribe(_, lifetime) => asked.push(matches!(lifetime, Lifetime::Relative(_))),
                other => panic!("{other:?}"),
            }
            upstream.subscribed(Way::Pull, at, granted(120));
        }
        assert_eq!(asked, [true, false, false, true]);
    }

    #[test]
    fn a_camera_without_pull_points_sends_where_it_may() {
        for refusals in [[Loss::NotSupported].as_slice(), &[Loss::Gone, Loss::Gone]] {
            let mut upstream = Upstream::new(Way::Pull, true, true);
            let mut now = seconds(0);
            for loss in refusals {
                assert_eq!(upstream.next(now, camera(), true), SUBSCRIBE);
                upstream.failed(SUBSCRIBE, *loss, now);
                now += seconds(1);
            }
            assert_eq!(upstream.next(now, camera(), true), Step::Subscribe(Way::Push, RELATIVE));
            assert_eq!(upstream.subscribed(Way::Push, now, granted(120)), Some(Lesson::NoPullPoint));
            upstream.synchronized();
            assert_eq!(upstream.next(now, camera(), true), Step::Wait(Some(seconds(60))), "to be renewed");
            assert_eq!(upstream.next(now, camera(), false), Step::Wait(Some(seconds(30))), "to be left");
        }
        // One that was just starting may be asked after all.
        let mut upstream = Upstream::new(Way::Pull, true, true);
        upstream.failed(SUBSCRIBE, Loss::NotSupported, seconds(0));
        let push = upstream.next(seconds(0), camera(), true);
        upstream.failed(push, Loss::Gone, seconds(0));
        assert_eq!(upstream.next(seconds(1), camera(), true), SUBSCRIBE);
        let mut upstream = Upstream::new(Way::Pull, true, false);
        upstream.failed(SUBSCRIBE, Loss::NotSupported, seconds(0));
        let long = Step::Wait(Some(SUBSCRIPTION_HOPELESS_PAUSE));
        assert_eq!(upstream.next(seconds(0), camera(), true), long, "there is no other way");
    }

    #[test]
    fn a_camera_that_starts_anew_every_ten_seconds_is_not_asked_much() {
        let mut upstream = Upstream::new(Way::Pull, true, false);
        let (mut now, mut sent, mut known) = (seconds(0), 0_u32, None::<u64>);
        while now < seconds(3_600) {
            // It is up for seven of every ten seconds, and knows what was said to it since it came up.
            let (life, up) = (now.as_secs() / 10, now.as_secs() % 10 < 7);
            let step = upstream.next(now, camera(), true);
            let loss = if up { Loss::Gone } else { Loss::Silence };
            match step {
                Step::Wait(Some(pause)) => now += pause,
                Step::Subscribe(way, _) if up => {
                    known = Some(life);
                    upstream.subscribed(way, now, granted(120));
                }
                Step::Synchronize if up && known == Some(life) => upstream.synchronized(),
                Step::Pull if up && known == Some(life) => {
                    now += seconds(1);
                    upstream.pulled(now, granted(120));
                }
                step => upstream.failed(step, loss, now),
            }
            sent += u32::from(!matches!(step, Step::Wait(_) | Step::Pull));
        }
        assert!((60..400).contains(&sent), "{sent} messages in an hour of 360 starts");
    }

    #[test]
    fn a_subscription_from_before_a_start_is_used_or_given_back() {
        let mut upstream = Upstream::new(Way::Pull, true, false);
        upstream.take_up(Way::Pull, seconds(0), seconds(100));
        assert_eq!(upstream.next(seconds(0), camera(), true), Step::Synchronize);
        let mut upstream = Upstream::new(Way::Pull, true, false);
        upstream.take_up(Way::Pull, seconds(0), seconds(100));
        assert!(matches!(upstream.next(seconds(0), camera(), false), Step::Synchronize));
        assert_eq!(upstream.next(seconds(30), camera(), false), Step::Unsubscribe);
        upstream.failed(Step::Unsubscribe, Loss::Silence, seconds(30));
        assert_eq!(upstream.next(seconds(31), camera(), false), Step::Unsubscribe, "until it is known");
        upstream.failed(Step::Unsubscribe, Loss::Gone, seconds(31));
        assert!(!upstream.is_held());
    }
}
