//! Logins of one session: whose turn it is to try one, and what comes of each.

use std::cell::{Cell, RefCell};

use http::StatusCode;
use jiff::SignedDuration;
use tokio::sync::MutexGuard;

use super::Session;
use crate::{
    camera::{
        body,
        error::{Failure, Retry},
        link::HttpAnswer,
        memory::CameraMemory,
        negotiation::{Attach, Kind, Negotiation, Refused, Scheme, Step, near},
    },
    inventory::Quirk,
    limits::CAMERA_REBOOT_CLOCK_MIN,
};

/// One errand's turn among those that try logins of which it is not sure that they are good.
#[derive(Default)]
pub(super) struct LoginTurn<'a> {
    held: RefCell<Option<MutexGuard<'a, ()>>>,
    had: Cell<bool>,
}

impl LoginTurn<'_> {
    /// Whether it came, be it over or not.
    pub(super) fn was_had(&self) -> bool {
        self.had.get()
    }

    /// Lets others try.
    pub(super) fn end(&self) {
        self.held.take();
    }
}

/// A login under way over another protocol.
pub(in crate::camera) struct Trying<'a> {
    epoch: u32,
    turn: LoginTurn<'a>,
}

impl Session {
    /// Whether a login may go beside others: one was taken a moment ago.
    pub(super) fn is_trusted(&self) -> bool {
        self.breaker.borrow().is_trusted(self.clock.now())
    }

    /// Which refusals are known to whoever sends a login now.
    pub(super) fn epoch(&self) -> u32 {
        self.breaker.borrow().epoch()
    }

    /// Waits until nobody else tries a login. Whether that took time, in which something may have been learnt.
    pub(super) async fn take_turn<'a>(&'a self, turn: &LoginTurn<'a>) -> bool {
        turn.had.set(true);
        let (guard, waited) = match self.login_turn.try_lock() {
            Ok(guard) => (guard, false),
            Err(_) => (self.login_turn.lock().await, true),
        };
        turn.held.replace(Some(guard));
        waited
    }

    /// Whether an answer means that a login was refused, though it is no 401: a 403 that says nothing else, unless the
    /// login is known to be good, and only lacks a right.
    pub(super) fn is_forbidden(&self, attach: Attach, answer: &HttpAnswer) -> bool {
        attach != Attach::Nothing
            && answer.status == StatusCode::FORBIDDEN
            && !self.breaker.borrow().is_confirmed()
            && !body::looks_like_envelope(&answer.headers, &answer.body)
    }

    /// Whether a refusal that says nothing may be one of this login. HTTP has a word of its own for it.
    pub(super) fn may_mean_login(&self, attach: Attach) -> bool {
        matches!(attach, Attach::Wsse(_)) && !self.breaker.borrow().is_proven()
    }

    /// Books a refusal and says how to go on, or why not.
    pub(super) fn next(&self, negotiation: &mut Negotiation, refused: Refused) -> Result<(), Failure> {
        let now = self.clock.now();
        let budget = self.breaker.borrow_mut().budget(now).unwrap_or(0);
        let turn = negotiation.refused(refused, budget);
        let mut breaker = self.breaker.borrow_mut();
        for _ in 0..turn.counts {
            breaker.rejected(now);
        }
        if turn.counts > 0 {
            tracing::warn!(camera = %self.camera, health = ?breaker.health(now), "the camera refused the login");
        }
        if turn.step == Step::Refused {
            breaker.gave_up(now);
        }
        let open = breaker.budget(now).err();
        // Without a try left there is nothing to measure the clock for.
        let spent = turn.counts > 0 && breaker.is_open();
        drop(breaker);
        if turn.counts > 0 {
            self.keep();
        }
        let step = if spent && turn.step == Step::ClockUnknown { Step::Refused } else { turn.step };
        match step {
            Step::Send(_) => Ok(()),
            Step::Unsupported => Err(Failure::LoginUnsupported),
            Step::ClockUnknown => {
                if let Attach::Wsse(offset) = negotiation.attached() {
                    self.refused_offset.set(Some(offset));
                }
                self.clockwork.set(self.clockwork.get().forgotten());
                self.scheme.set(Some(Scheme::Wsse));
                Err(Failure::ClockUnknown)
            }
            Step::Refused => {
                // Until the next try it may have been set.
                self.clockwork.set(self.clockwork.get().forgotten());
                if self.breaker.borrow().is_open() {
                    // After the pause the camera may want another scheme: ask it anew.
                    self.scheme.set(None);
                    self.challenges.borrow_mut().clear();
                }
                Err(Failure::LoginRefused(Retry(open)))
            }
        }
    }

    /// If the clock that was measured anew is the one that was refused, it was not the clock: nothing is sent.
    pub(super) fn recall_refusal(&self) -> Result<(), Failure> {
        let known = self.refused_offset.get().zip(self.clockwork.get().offset());
        let Some((refused, offset)) = known else { return Ok(()) };
        self.refused_offset.set(None);
        if !near(refused, offset) {
            return Ok(());
        }
        self.clockwork.set(self.clockwork.get().forgotten());
        self.breaker.borrow_mut().gave_up(self.clock.now());
        self.keep();
        self.budget().map(|_| ())
    }

    /// A clock that goes far back is that of a camera that was started anew.
    pub(super) fn notice_reboot(&self, date: Option<SignedDuration>) {
        let known = self.clockwork.get().offset().zip(date);
        if known.is_some_and(|(known, date)| known.saturating_sub(date) > CAMERA_REBOOT_CLOCK_MIN) {
            self.breaker.borrow_mut().rebooted(self.clock.now());
            self.forget_boot();
        }
    }

    /// A camera without power loses its time, and its nonces.
    pub(super) fn forget_boot(&self) {
        self.clockwork.set(self.clockwork.get().forgotten());
        self.challenges.borrow_mut().clear();
    }

    /// Before a login that may be refused: should the gateway be gone before the answer comes, it counts.
    pub(super) async fn book_ahead(&self) {
        let ahead = self.breaker.borrow().ahead(self.clock.now());
        if let Some(breaker) = ahead {
            self.book.keep_ahead(&CameraMemory { breaker, ..self.memory() }).await;
        }
    }

    /// A login that was sent at an epoch was accepted.
    pub(super) fn accepted(&self, attach: Attach, kind: Kind, epoch: u32) {
        match attach {
            Attach::Nothing => return,
            Attach::Digest if kind == Kind::Picture => {}
            Attach::Digest => self.scheme.set(Some(Scheme::Digest)),
            Attach::Wsse(offset) => {
                self.scheme.set(Some(Scheme::Wsse));
                let clockwork = self.clockwork.get().accepted(offset);
                self.clockwork.set(clockwork);
                if clockwork.is_shifted() {
                    let minutes = clockwork.shift_minutes();
                    let note = format!("logins go by a clock {minutes} minutes ahead of the one it states");
                    self.observe(Quirk::LocalTimeAsUtc, &note);
                }
            }
        }
        let refused = self.book_accepted(epoch);
        if refused > 0 {
            let note = format!("{refused} logins refused after it was started, then the same one taken");
            self.observe(Quirk::RefusesWhileBooting, &note);
        }
    }

    /// Tells the breaker, and keeps what is news. How many were refused while the camera booted.
    fn book_accepted(&self, epoch: u32) -> u32 {
        let was_known = self.breaker.borrow().is_confirmed();
        let refused = self.breaker.borrow_mut().accepted(self.clock.now(), epoch);
        if !was_known && self.breaker.borrow().is_confirmed() {
            self.keep();
        }
        refused
    }

    /// Whether a login may be tried now, whatever it goes over.
    pub(in crate::camera) fn may_try(&self) -> Result<(), Failure> {
        self.budget().map(|_| ())
    }

    /// A login is about to be tried over another protocol: waits for its turn, if it is not sure to be good.
    pub(in crate::camera) async fn trying(&self) -> Result<Trying<'_>, Failure> {
        let turn = LoginTurn::default();
        if !self.is_trusted() {
            self.take_turn(&turn).await;
        }
        self.may_try()?;
        self.book_ahead().await;
        Ok(Trying { epoch: self.epoch(), turn })
    }

    /// A login goes beside others over another protocol, where it was accepted in the same session.
    pub(in crate::camera) fn beside(&self) -> Trying<'_> {
        Trying { epoch: self.epoch(), turn: LoginTurn::default() }
    }

    /// Whether the last login was accepted.
    pub(in crate::camera) fn is_confirmed(&self) -> bool {
        self.breaker.borrow().is_confirmed()
    }

    /// A login was refused over another protocol, with a nonce that was new.
    pub(in crate::camera) fn refused(&self, tried: &Trying<'_>) {
        if tried.epoch != self.epoch() && !tried.turn.was_had() {
            return;
        }
        let now = self.clock.now();
        let health = {
            let mut breaker = self.breaker.borrow_mut();
            breaker.rejected(now);
            breaker.gave_up(now);
            breaker.health(now)
        };
        self.keep();
        tracing::warn!(camera = %self.camera, ?health, "the camera refused the login over RTSP");
    }

    /// A login was accepted over another protocol.
    pub(in crate::camera) fn passed(&self, tried: &Trying<'_>) {
        self.book_accepted(tried.epoch);
    }

    /// How long until a login is tried again, if it is not tried at once.
    pub(in crate::camera) fn pause(&self) -> Option<std::time::Duration> {
        self.breaker.borrow_mut().budget(self.clock.now()).err()
    }

    pub(super) fn budget(&self) -> Result<u32, Failure> {
        let budget = self.breaker.borrow_mut().budget(self.clock.now());
        budget.map_err(|wait| Failure::LoginRefused(Retry(Some(wait))))
    }
}
