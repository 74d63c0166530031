//! How many refused logins a camera is asked to bear.
//!
//! Cameras lock accounts after a handful of bad passwords. One budget holds for everything the gateway does
//! with one credential version; when it is used up, nothing is sent for a while, and then one try at a time.

use std::time::Duration;

use crate::limits::{
    CAMERA_BOOT_LOGIN_PAUSE, CAMERA_BOOT_TIME_MAX, CAMERA_BREAKER_PAUSE, CAMERA_LOGIN_REJECTIONS_MAX,
};

/// The budget of one credential version. Times are monotonic.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    rejections: u32,
    open_until: Option<Duration>,
    hold_until: Option<Duration>,
    confirmed: bool,
    reach: Reach,
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
        since: Option<Duration>,
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
    /// The breaker is open: the credentials were refused too often.
    LoginRefused {
        /// Until the next try; zero if one may be made now.
        wait: Duration,
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
            Self::LoginRefused { wait } => write!(
                f,
                "refuses the gateway's login: check the user and password enrolled; tried again in {} s",
                wait.as_secs()
            ),
        }
    }
}

impl Breaker {
    /// How many more rejections may be risked now; if none, for how long not.
    pub(super) fn budget(&self, now: Duration) -> Result<u32, Duration> {
        if let Some(until) = self.open_until {
            return if now < until { Err(until - now) } else { Ok(1) };
        }
        if let Some(until) = self.hold_until
            && now < until
        {
            return Err(until - now);
        }
        Ok(if self.is_booting(now) { 1 } else { CAMERA_LOGIN_REJECTIONS_MAX.saturating_sub(self.rejections) })
    }

    /// A login with a fresh nonce was refused.
    pub(super) fn rejected(&mut self, now: Duration) {
        self.confirmed = false;
        if self.open_until.is_some() {
            self.open_until = Some(now + CAMERA_BREAKER_PAUSE);
        } else if self.is_booting(now) {
            self.hold_until = Some(now + CAMERA_BOOT_LOGIN_PAUSE);
        } else {
            self.rejections = self.rejections.saturating_add(1);
            if self.rejections >= CAMERA_LOGIN_REJECTIONS_MAX {
                self.open_until = Some(now + CAMERA_BREAKER_PAUSE);
            }
        }
    }

    /// A login was accepted.
    pub(super) fn accepted(&mut self) {
        *self = Self { confirmed: true, reach: self.reach, ..Self::default() };
    }

    /// Whether the last login was accepted, so that logins need not go one by one.
    pub(super) fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// A connection could not be opened.
    pub(super) fn unreachable(&mut self) {
        self.reach = Reach::Down;
    }

    /// A connection was opened, and TLS did not come about on it.
    pub(super) fn distrusted(&mut self) {
        self.reach = Reach::Distrusted;
    }

    /// A connection was opened.
    pub(super) fn reached(&mut self, now: Duration) {
        self.reach = match self.reach {
            Reach::Unknown | Reach::Distrusted => Reach::Up { since: None },
            Reach::Down => Reach::Up { since: Some(now) },
            up @ Reach::Up { .. } => up,
        };
    }

    /// What readiness shows.
    pub(super) fn health(&self, now: Duration) -> Health {
        match (self.open_until, self.reach) {
            (Some(until), _) => Health::LoginRefused { wait: until.saturating_sub(now) },
            (None, Reach::Unknown) => Health::Unknown,
            (None, Reach::Distrusted) => Health::Distrusted,
            (None, Reach::Down) => Health::Unreachable,
            (None, Reach::Up { .. }) => Health::Up,
        }
    }

    fn is_booting(&self, now: Duration) -> bool {
        matches!(self.reach, Reach::Up { since: Some(since) } if now.saturating_sub(since) < CAMERA_BOOT_TIME_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn opens_after_the_third_rejection_and_lets_one_try_through_after_the_pause() {
        let mut breaker = Breaker::default();
        breaker.reached(SECOND);
        for left in [3, 2, 1] {
            assert_eq!(breaker.budget(SECOND), Ok(left));
            breaker.rejected(SECOND);
        }
        assert_eq!(breaker.budget(2 * SECOND), Err(CAMERA_BREAKER_PAUSE - SECOND));
        assert_eq!(breaker.health(SECOND), Health::LoginRefused { wait: CAMERA_BREAKER_PAUSE });
        let later = SECOND + CAMERA_BREAKER_PAUSE;
        assert_eq!(breaker.budget(later), Ok(1), "half-open");
        breaker.rejected(later);
        assert_eq!(breaker.budget(later), Err(CAMERA_BREAKER_PAUSE), "open again at once");
        breaker.accepted();
        assert_eq!(breaker.budget(later), Ok(3));
        assert_eq!(breaker.health(later), Health::Up);
    }

    #[test]
    fn rejections_do_not_count_while_the_camera_boots_but_pause() {
        let mut breaker = Breaker::default();
        breaker.unreachable();
        assert_eq!(breaker.health(SECOND), Health::Unreachable);
        breaker.reached(SECOND);
        breaker.rejected(SECOND);
        assert_eq!(breaker.budget(SECOND), Err(CAMERA_BOOT_LOGIN_PAUSE));
        assert_eq!(breaker.budget(SECOND + CAMERA_BOOT_LOGIN_PAUSE), Ok(1), "one scheme at a time");
        let booted = SECOND + CAMERA_BOOT_TIME_MAX;
        assert_eq!(breaker.budget(booted), Ok(3), "none counted");
        breaker.reached(booted);
        breaker.rejected(booted);
        assert_eq!(breaker.budget(booted), Ok(2), "a connection alone begins no new boot");
    }

    #[test]
    fn an_accepted_login_is_confirmed_until_one_is_refused() {
        let mut breaker = Breaker::default();
        assert!(!breaker.is_confirmed());
        breaker.accepted();
        assert!(breaker.is_confirmed());
        breaker.rejected(SECOND);
        assert!(!breaker.is_confirmed());
    }
}
