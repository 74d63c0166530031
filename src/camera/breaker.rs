//! How many refused logins a camera is asked to bear.
//!
//! Cameras lock accounts after a handful of bad passwords. One budget holds for everything the gateway does
//! with one credential version, over restarts too; when it is used up, nothing is sent for a while, and then one
//! try at a time. A login that the camera has taken before may be refused while it boots: then the tries of the
//! budget lie so far apart that they outlast the boot.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::limits::{
    CAMERA_BOOT_TIME_MAX, CAMERA_BREAKER_PAUSE, CAMERA_LOGIN_FIRST_PAUSE, CAMERA_LOGIN_REJECTIONS_MAX,
    CAMERA_LOGIN_SECOND_PAUSE, CAMERA_LOGIN_TRUST_MAX,
};

/// The budget of one credential version. Times are civil, since they outlive restarts.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    kept: BreakerMemory,
    confirmed: bool,
    /// When a login was accepted last, unless there was a sign since that the camera may have been started anew.
    trusted_since: Option<Timestamp>,
    /// How many refusals were booked.
    epoch: u32,
    reach: Reach,
}

/// What of a breaker is kept over a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BreakerMemory {
    /// Logins refused since one was accepted.
    pub rejections: u32,
    /// Whether the camera ever accepted these credentials.
    pub proven: bool,
    /// The last refusal after which nothing is sent for a while.
    pub waiting_since: Option<Timestamp>,
}

/// Whether the camera was there when last dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Reach {
    #[default]
    Unknown,
    Down,
    /// It is there, and no TLS connection to it is made.
    Distrusted,
    Up {
        /// When it came up, if the gateway saw it down before.
        since: Option<Timestamp>,
    },
}

/// What is known of a camera's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It was never dialled.
    Unknown,
    /// It can be reached, and no login problem is known.
    Up,
    /// The last try to connect failed.
    Unreachable,
    /// It is there, but TLS cannot be made with it, or its certificate is not the pinned one.
    Distrusted,
    /// The credentials were refused, and are not tried for a while.
    LoginRefused {
        /// Until the next try; zero if one may be made now.
        wait: Duration,
        /// The breaker is open: that was too often for it to be the camera's start.
        often: bool,
    },
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => f.write_str("not asked anything yet"),
            Self::Up => f.write_str("up"),
            Self::Unreachable => {
                f.write_str("cannot be reached: check its power, cable and enrolled address")
            }
            Self::Distrusted => f.write_str(
                "is there, but no TLS connection is made to it: the outcome of each command says why",
            ),
            Self::LoginRefused { wait, often: true } => write!(
                f,
                "refuses the gateway's login: check the user and password enrolled; tried again in {} s",
                wait.as_secs()
            ),
            Self::LoginRefused { wait, often: false } => write!(
                f,
                "refused the gateway's login, which it may do while it starts; tried again in {} s",
                wait.as_secs()
            ),
        }
    }
}

impl Breaker {
    /// Goes on from what was kept.
    pub(super) fn restored(kept: BreakerMemory) -> Self {
        Self { kept, ..Self::default() }
    }

    /// What is to be kept.
    pub(super) fn memory(&self) -> BreakerMemory {
        self.kept
    }

    /// What is to be kept before a login is tried of which it is not known that it is good: as if it were
    /// refused, since the gateway may be gone before the answer comes. None for one that is known to be good.
    pub(super) fn ahead(&self, now: Timestamp) -> Option<BreakerMemory> {
        (!self.confirmed).then(|| self.kept.after_rejection(now))
    }

    /// How many rejections may be risked now; if none, for how long not.
    pub(super) fn budget(&mut self, now: Timestamp) -> Result<u32, Duration> {
        if let Some(wait) = self.wait(now) {
            return Err(wait);
        }
        let left = CAMERA_LOGIN_REJECTIONS_MAX.saturating_sub(self.kept.rejections);
        // None left: half-open. While it boots: one kind of login at a time.
        Ok(if left == 0 || self.is_booting(now) { 1 } else { left })
    }

    /// A login with a fresh nonce was refused.
    pub(super) fn rejected(&mut self, now: Timestamp) {
        self.confirmed = false;
        self.doubt();
        self.epoch = self.epoch.wrapping_add(1);
        self.kept = self.kept.after_rejection(now);
    }

    /// There is nothing else to try after a refusal.
    pub(super) fn gave_up(&mut self, now: Timestamp) {
        if self.kept.rejections > 0 && (self.kept.proven || self.is_booting(now)) {
            self.kept.waiting_since = Some(now);
        }
    }

    /// A login that was sent at an epoch was accepted; if another was refused since, that says nothing any more.
    /// How many were refused, if that was while the camera booted and it had accepted these credentials before.
    pub(super) fn accepted(&mut self, now: Timestamp, epoch: u32) -> u32 {
        if epoch != self.epoch {
            return 0;
        }
        let waited = self.kept.waiting_since.is_some_and(|since| self.was_booting(since, now));
        let refused = if self.kept.proven && waited { self.kept.rejections } else { 0 };
        self.kept = BreakerMemory { proven: true, ..BreakerMemory::default() };
        self.confirmed = true;
        self.trusted_since = Some(now);
        refused
    }

    /// Whether the last login was accepted.
    pub(super) fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// Whether that was a moment ago, so that logins need not go one by one.
    pub(super) fn is_trusted(&self, now: Timestamp) -> bool {
        let fresh = |since| now.duration_since(since).unsigned_abs() < CAMERA_LOGIN_TRUST_MAX;
        self.confirmed && self.trusted_since.is_some_and(fresh)
    }

    /// The camera may have been started anew.
    pub(super) fn doubt(&mut self) {
        self.trusted_since = None;
    }

    /// Which refusals are booked: a login sent at an earlier epoch was under way when another was refused.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether the camera accepted these credentials before, so that a refusal does not call for other kinds
    /// of login.
    pub(super) fn is_proven(&self) -> bool {
        self.kept.proven
    }

    /// Whether as many logins were refused as may be.
    pub(super) fn is_open(&self) -> bool {
        self.kept.rejections >= CAMERA_LOGIN_REJECTIONS_MAX
    }

    /// A connection could not be opened.
    pub(super) fn unreachable(&mut self) {
        self.doubt();
        self.reach = Reach::Down;
    }

    /// A connection was opened, and TLS did not come about on it.
    pub(super) fn distrusted(&mut self) {
        self.reach = Reach::Distrusted;
    }

    /// A connection was opened; whether the camera was down before.
    pub(super) fn reached(&mut self, now: Timestamp) -> bool {
        let was_down = self.reach == Reach::Down;
        self.reach = match self.reach {
            Reach::Unknown | Reach::Distrusted => Reach::Up { since: None },
            Reach::Down => Reach::Up { since: Some(now) },
            up @ Reach::Up { .. } => up,
        };
        was_down
    }

    /// The camera was started anew, as its clock shows.
    pub(super) fn rebooted(&mut self, now: Timestamp) {
        self.doubt();
        if !self.is_booting(now) {
            self.reach = Reach::Up { since: Some(now) };
        }
    }

    /// What readiness shows.
    pub(super) fn health(&mut self, now: Timestamp) -> Health {
        let open = self.is_open();
        match (self.wait(now), self.reach) {
            (Some(wait), _) => Health::LoginRefused { wait, often: open },
            (None, _) if open => Health::LoginRefused { wait: Duration::ZERO, often: true },
            (None, Reach::Unknown) => Health::Unknown,
            (None, Reach::Distrusted) => Health::Distrusted,
            (None, Reach::Down) => Health::Unreachable,
            (None, Reach::Up { .. }) => Health::Up,
        }
    }

    /// How long nothing is to be sent.
    fn wait(&mut self, now: Timestamp) -> Option<Duration> {
        let since = self.kept.waiting_since?;
        if since > now {
            // The gateway's own clock was set back: the pause begins anew, and is none the longer.
            self.kept.waiting_since = Some(now);
        }
        let waited = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        self.kept.pause().checked_sub(waited).filter(|left| !left.is_zero())
    }

    fn is_booting(&self, now: Timestamp) -> bool {
        let Reach::Up { since: Some(since) } = self.reach else { return false };
        now.duration_since(since).unsigned_abs() < CAMERA_BOOT_TIME_MAX
    }

    /// Whether a refusal came while the camera booted, and not long ago.
    fn was_booting(&self, refused: Timestamp, now: Timestamp) -> bool {
        self.is_booting(refused) && now.duration_since(refused).unsigned_abs() <= CAMERA_BREAKER_PAUSE
    }
}

impl BreakerMemory {
    /// Until when nothing is sent, as far as that began.
    pub fn waiting_until(self) -> Option<Timestamp> {
        self.waiting_since.map(|since| since.saturating_add(self.pause()).unwrap_or(since))
    }

    fn after_rejection(self, now: Timestamp) -> Self {
        let rejections = self.rejections.saturating_add(1).min(CAMERA_LOGIN_REJECTIONS_MAX);
        let open = rejections >= CAMERA_LOGIN_REJECTIONS_MAX;
        Self { rejections, waiting_since: if open { Some(now) } else { self.waiting_since }, ..self }
    }

    /// How long nothing is sent, from `waiting_since` on.
    fn pause(self) -> Duration {
        match self.rejections {
            ..=1 => CAMERA_LOGIN_FIRST_PAUSE,
            rejections if rejections < CAMERA_LOGIN_REJECTIONS_MAX => CAMERA_LOGIN_SECOND_PAUSE,
            _ => CAMERA_BREAKER_PAUSE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        "2026-11-23T12:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(seconds)
    }

    fn taken(breaker: &mut Breaker, now: Timestamp) -> u32 {
        breaker.accepted(now, breaker.epoch())
    }

    const PAUSE: u64 = CAMERA_BREAKER_PAUSE.as_secs();

    /// A camera that accepted the credentials and went down, and comes back at second 0.
    fn rebooted() -> Breaker {
        let mut breaker = Breaker::default();
        taken(&mut breaker, at(0));
        breaker.unreachable();
        assert!(breaker.reached(at(0)) && !breaker.reached(at(0)));
        breaker
    }

    #[test]
    fn opens_after_the_third_rejection_and_lets_one_try_through_after_the_pause() {
        let mut breaker = Breaker::default();
        breaker.reached(at(1));
        for left in [3, 2, 1] {
            assert_eq!(breaker.budget(at(1)), Ok(left));
            breaker.rejected(at(1));
            breaker.gave_up(at(1));
        }
        assert_eq!(breaker.budget(at(2)), Err(Duration::from_secs(PAUSE - 1)));
        assert_eq!(breaker.health(at(1)), Health::LoginRefused { wait: CAMERA_BREAKER_PAUSE, often: true });
        assert_eq!(breaker.budget(at(1 + PAUSE)), Ok(1), "half-open");
        assert_eq!(breaker.health(at(1 + PAUSE)), Health::LoginRefused { wait: Duration::ZERO, often: true });
        breaker.rejected(at(1 + PAUSE));
        assert_eq!(breaker.budget(at(1 + PAUSE)), Err(CAMERA_BREAKER_PAUSE), "open again at once");
        assert_eq!(taken(&mut breaker, at(1 + PAUSE)), 0, "never accepted before");
        assert_eq!(breaker.budget(at(1 + PAUSE)), Ok(3));
        assert_eq!(breaker.health(at(1 + PAUSE)), Health::Up);
    }

    #[test]
    fn a_restart_in_the_middle_of_a_try_gives_none_back() {
        let mut kept = BreakerMemory::default();
        for left in [3, 2, 1] {
            let mut breaker = Breaker::restored(kept);
            assert_eq!(breaker.budget(at(0)), Ok(left));
            kept = breaker.ahead(at(0)).unwrap();
        }
        assert_eq!(Breaker::restored(kept).budget(at(1)), Err(Duration::from_secs(PAUSE - 1)));
        let mut half_open = Breaker::restored(kept);
        assert_eq!(half_open.budget(at(PAUSE)), Ok(1));
        kept = half_open.ahead(at(PAUSE)).unwrap();
        assert_eq!(Breaker::restored(kept).budget(at(PAUSE)), Err(CAMERA_BREAKER_PAUSE));
        taken(&mut half_open, at(PAUSE));
        assert_eq!(half_open.ahead(at(PAUSE)), None, "known to be good: nothing is booked ahead");
        assert!(Breaker::restored(half_open.memory()).is_proven());
    }

    #[test]
    fn a_booting_camera_is_tried_three_times_in_two_minutes_and_no_more() {
        let mut breaker = rebooted();
        let mut tries = Vec::new();
        for second in 0..PAUSE {
            if let Ok(budget) = breaker.budget(at(second)) {
                assert!(budget == 1 || second >= 120, "one kind of login at a time");
                breaker.rejected(at(second));
                breaker.gave_up(at(second));
                tries.push(second);
            }
        }
        assert_eq!(tries, [0, 45, 120]);
        let mut good = rebooted();
        good.rejected(at(0));
        good.rejected(at(45));
        good.gave_up(at(45));
        assert_eq!(
            (taken(&mut good, at(100)), good.budget(at(100))),
            (2, Ok(1)),
            "still booting, budget whole again"
        );
    }

    #[test]
    fn what_was_accepted_before_is_not_tried_again_at_once() {
        let mut breaker = Breaker::default();
        taken(&mut breaker, at(0));
        breaker.rejected(at(0));
        assert_eq!(breaker.budget(at(0)), Ok(2), "for another kind of login or another clock");
        breaker.gave_up(at(0));
        assert_eq!(breaker.budget(at(1)), Err(CAMERA_LOGIN_FIRST_PAUSE - Duration::from_secs(1)));
    }

    #[test]
    fn a_clock_set_back_makes_no_pause_longer() {
        let kept =
            BreakerMemory { rejections: 3, waiting_since: Some(at(1_000_000)), ..BreakerMemory::default() };
        let mut breaker = Breaker::restored(kept);
        assert_eq!(breaker.budget(at(0)), Err(CAMERA_BREAKER_PAUSE));
        assert_eq!(breaker.budget(at(PAUSE)), Ok(1));
    }

    #[test]
    fn an_accepted_login_is_confirmed_until_one_is_refused() {
        let mut breaker = Breaker::default();
        assert!(!breaker.is_confirmed());
        taken(&mut breaker, at(0));
        assert!(breaker.is_confirmed());
        breaker.rejected(at(1));
        assert!(!breaker.is_confirmed() && breaker.is_proven());
    }

    #[test]
    fn a_login_is_trusted_for_a_moment_and_while_the_camera_is_there() {
        let mut breaker = Breaker::default();
        taken(&mut breaker, at(10));
        let trust = CAMERA_LOGIN_TRUST_MAX.as_secs();
        let trusted = [9, 10, 9 + trust, 10 + trust].map(|second| breaker.is_trusted(at(second)));
        assert_eq!(trusted, [true, true, true, false]);
        for doubt in [Breaker::doubt, Breaker::unreachable, |it: &mut Breaker| it.rebooted(at(10))] {
            taken(&mut breaker, at(10));
            assert!(breaker.is_trusted(at(10)));
            doubt(&mut breaker);
            assert!(!breaker.is_trusted(at(10)) && breaker.is_confirmed());
            assert_eq!(breaker.ahead(at(10)), None, "it was taken since the gateway started");
        }
    }

    #[test]
    fn what_was_under_way_when_a_login_was_refused_proves_nothing() {
        let mut breaker = Breaker::default();
        let before = breaker.epoch();
        breaker.rejected(at(0));
        assert_eq!(breaker.accepted(at(0), before), 0);
        assert!(!breaker.is_confirmed() && breaker.budget(at(0)) == Ok(2));
    }

    #[test]
    fn the_words_for_a_refusal_go_by_how_often_it_was() {
        let mut breaker = rebooted();
        breaker.rejected(at(0));
        breaker.gave_up(at(0));
        assert_eq!(
            breaker.health(at(1)).to_string(),
            "refused the gateway's login, which it may do while it starts; tried again in 44 s"
        );
        breaker.rejected(at(0));
        breaker.rejected(at(0));
        assert_eq!(
            breaker.health(at(1)).to_string(),
            "refuses the gateway's login: check the user and password enrolled; tried again in 899 s"
        );
    }
}
