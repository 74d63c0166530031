//! Which credentials go with the next try of one exchange. Pure: answers in, steps out.
//!
//! The order is the design's: nothing, to see what is offered; HTTP digest, which needs no clock;
//! WS-Security with the measured clock; WS-Security with the clock of the answer's `Date`. Never two kinds in
//! one request: a device would check both (ONVIF Core §5.9.1).

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// The kind of login that worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// HTTP digest (RFC 7616).
    Digest,
    /// WS-Security UsernameToken with a password digest.
    Wsse,
}

impl std::fmt::Display for Scheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Digest => "HTTP digest",
            Self::Wsse => "WS-Security UsernameToken",
        })
    }
}

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attach {
    /// No credentials.
    Nothing,
    /// An `Authorization: Digest` made from the challenge kept for the path.
    Digest,
    /// A UsernameToken whose time is ours plus this offset.
    Wsse(SignedDuration),
}

/// What is known when an exchange begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// The scheme that worked last.
    pub(super) scheme: Option<Scheme>,
    /// Whether the camera ever accepted these very credentials.
    pub(super) proven: bool,
    /// Whether a challenge for this path is kept.
    pub(super) challenge: bool,
    /// How far the camera's clock is ahead.
    pub(super) offset: Option<SignedDuration>,
    /// Whether it is known to state a time that its logins do not go by.
    pub(super) shifted: bool,
    /// Whether it was asked for its time and did not tell it.
    pub(super) hides_clock: bool,
    /// What is asked.
    pub(super) kind: Kind,
}

/// What is asked, as far as the login cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The camera's time, which needs no credentials either, and which logins may have to wait for.
    Clock,
    /// An operation that needs no credentials (ONVIF Core §5.9.4.3 PRE_AUTH), though some devices want them.
    PreAuth,
    /// Any other operation.
    Soap,
    /// A plain GET, which has no place for WS-Security.
    Picture,
}

impl Kind {
    /// Whether it is asked with a login, as far as one knows beforehand.
    pub(super) fn needs_login(self) -> bool {
        matches!(self, Self::Soap | Self::Picture)
    }
}

/// An answer that refuses for want of a login.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused {
    /// The digest challenge it holds.
    pub(super) offered: Offered,
    /// Whether it is an HTTP 401 (else a fault `ter:NotAuthorized`).
    pub(super) status_401: bool,
    /// How far the camera's clock is ahead, by the answer's `Date`.
    pub(super) date: Option<SignedDuration>,
}

/// The digest challenge of an answer, compared with what the request carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offered {
    /// None we can use.
    Nothing,
    /// One with another nonce.
    NewNonce,
    /// One with `stale=true`: the password was right, the nonce too old.
    Stale,
    /// One with the nonce that was used.
    SameNonce,
}

/// What to do after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    /// How many logins were refused for bad credentials, as far as this refusal says.
    pub(super) counts: u32,
    /// How to go on.
    pub(super) step: Step,
}

/// How to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Send the request again with these.
    Send(Attach),
    /// Give up: refused.
    Refused,
    /// Give up until the camera's clock is measured.
    ClockUnknown,
    /// Give up: it wants something we do not have.
    Unsupported,
}

/// The negotiation of one exchange.
#[derive(Debug)]
pub(super) struct Negotiation {
    known: Known,
    attached: Attach,
    nonce_is_fresh: bool,
    /// An answer to a nonce used before was refused: for that, or for the password.
    old_nonce_refused: bool,
    digest_refused: bool,
    wsse_refused: [Option<SignedDuration>; 2],
    renewals_left: u8,
    bare_left: u8,
}

/// Renewals of a nonce within one exchange.
const RENEWALS_MAX: u8 = 2;
/// Offsets nearer than this are the same to a camera, whose `Date` has seconds only.
const OFFSET_STEP: SignedDuration = SignedDuration::from_secs(2);

impl Negotiation {
    pub(super) fn new(known: Known) -> Self {
        let attached = match (known.kind, known.scheme) {
            (Kind::Soap | Kind::Picture, Some(Scheme::Digest)) if known.challenge => Attach::Digest,
            (Kind::Picture, _) if known.challenge => Attach::Digest,
            (Kind::Soap, Some(Scheme::Wsse)) => known.offset.map_or(Attach::Nothing, Attach::Wsse),
            _ => Attach::Nothing,
        };
        Self {
            known,
            attached,
            nonce_is_fresh: false,
            old_nonce_refused: false,
            digest_refused: false,
            wsse_refused: [None; 2],
            renewals_left: RENEWALS_MAX,
            bare_left: 1,
        }
    }

    /// What the request to be sent now carries.
    pub(super) fn attached(&self) -> Attach {
        self.attached
    }

    /// The camera refused; `budget` is how many more refusals that count may be had, this one included.
    pub(super) fn refused(&mut self, refused: Refused, budget: u32) -> Turn {
        let (counts, step) = match self.attached {
            Attach::Nothing => (false, self.offer(refused)),
            Attach::Digest if !self.nonce_is_fresh && refused.offered != Offered::SameNonce => {
                self.old_nonce_refused = refused.offered != Offered::Stale;
                let bare = refused.offered == Offered::Nothing;
                (false, if bare { self.bare() } else { Step::Send(Attach::Digest) })
            }
            Attach::Digest if refused.offered == Offered::Stale && self.renewals_left > 0 => {
                self.renewals_left -= 1;
                self.old_nonce_refused = false;
                (false, Step::Send(Attach::Digest))
            }
            Attach::Digest => (true, self.after_digest(refused)),
            Attach::Wsse(offset) => (true, self.after_wsse(offset, refused)),
        };
        // That a new nonce is refused, too, shows what it was.
        let counts = if counts { 1 + u32::from(std::mem::take(&mut self.old_nonce_refused)) } else { 0 };
        let step = match step {
            Step::Send(Attach::Digest | Attach::Wsse(_)) if counts > 0 && budget <= counts => Step::Refused,
            step => step,
        };
        if let Step::Send(attach) = step {
            self.nonce_is_fresh = attach == Attach::Digest;
            self.attached = attach;
        }
        Turn { counts, step }
    }

    /// A request without credentials was refused: take what is offered.
    fn offer(&mut self, refused: Refused) -> Step {
        if refused.offered != Offered::Nothing && !self.digest_refused {
            return Step::Send(Attach::Digest);
        }
        // Some devices leave the challenge out of their first 401 after an idle time.
        if refused.status_401 && self.bare_left > 0 {
            return self.bare();
        }
        if self.known.kind == Kind::Picture { Step::Unsupported } else { self.wsse(refused) }
    }

    fn bare(&mut self) -> Step {
        if self.bare_left == 0 {
            return Step::Refused;
        }
        self.bare_left -= 1;
        Step::Send(Attach::Nothing)
    }

    fn after_digest(&mut self, refused: Refused) -> Step {
        self.digest_refused = true;
        let may_be_the_scheme = self.known.scheme != Some(Scheme::Digest) || !self.known.proven;
        if may_be_the_scheme && self.known.kind != Kind::Picture { self.wsse(refused) } else { Step::Refused }
    }

    fn after_wsse(&mut self, offset: SignedDuration, refused: Refused) -> Step {
        if let Some(slot) = self.wsse_refused.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(offset);
        }
        if refused.offered != Offered::Nothing && !self.digest_refused {
            return Step::Send(Attach::Digest);
        }
        self.wsse(refused)
    }

    /// The next offset worth a try: measured, then by `Date` (at first only where it cannot be measured), then none
    /// (cameras that show local time as UTC).
    fn wsse(&self, refused: Refused) -> Step {
        // What can be measured need not be guessed: that costs no refusal.
        let is_measured =
            self.known.offset.is_some() || self.known.hides_clock || self.known.kind == Kind::Clock;
        let date = refused.date.filter(|_| is_measured);
        let may_be_local = !self.known.proven || self.known.shifted;
        let zero = (may_be_local && self.known.offset.is_some()).then_some(SignedDuration::ZERO);
        let next = [self.known.offset, date, zero]
            .into_iter()
            .flatten()
            .find(|offset| !self.wsse_refused.iter().flatten().any(|used| near(*used, *offset)));
        // A clock that was never measured, or that was right once, is worth measuring before giving up.
        let may_be_set = (self.known.proven || self.known.offset.is_none()) && !self.known.hides_clock;
        let tries = self.wsse_refused.iter().flatten().count();
        match next {
            Some(offset) if tries < self.wsse_refused.len() => Step::Send(Attach::Wsse(offset)),
            // A camera that tells not even its time without a login: our own is the best guess.
            None if tries == 0 && self.known.kind == Kind::Clock => {
                Step::Send(Attach::Wsse(SignedDuration::ZERO))
            }
            None if self.known.kind == Kind::Clock => Step::Refused,
            None if tries == 0 || (tries == 1 && may_be_set) => Step::ClockUnknown,
            _ => Step::Refused,
        }
    }
}

/// Whether two offsets are the same to a camera.
pub(super) fn near(one: SignedDuration, other: SignedDuration) -> bool {
    one.saturating_sub(other).abs() < OFFSET_STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    const AHEAD: SignedDuration = SignedDuration::from_secs(3600);
    const DATED: SignedDuration = SignedDuration::from_secs(-60);
    const DIGEST: Step = Step::Send(Attach::Digest);
    const BARE: Step = Step::Send(Attach::Nothing);

    fn known(kind: Kind, scheme: Option<Scheme>) -> Known {
        Known {
            scheme,
            proven: false,
            challenge: false,
            offset: Some(AHEAD),
            shifted: false,
            hides_clock: false,
            kind,
        }
    }

    fn http(offered: Offered) -> Refused {
        Refused { offered, status_401: true, date: None }
    }

    fn fault(date: Option<SignedDuration>) -> Refused {
        Refused { offered: Offered::Nothing, status_401: false, date }
    }

    fn wsse(offset: SignedDuration) -> Step {
        Step::Send(Attach::Wsse(offset))
    }

    /// Plays refusals against a negotiation that begins with `first`, three rejections being allowed.
    fn check(known: Known, first: Attach, script: &[(Refused, u32, Step)]) {
        let mut negotiation = Negotiation::new(known);
        assert_eq!(negotiation.attached(), first);
        let mut budget = 3;
        for (at, (refused, counts, step)) in script.iter().enumerate() {
            let turn = negotiation.refused(*refused, budget);
            assert_eq!(turn, Turn { counts: *counts, step: *step }, "turn {at}");
            budget -= counts;
        }
    }

    #[test]
    fn digest_goes_first_then_both_clocks_and_no_fourth_try() {
        check(
            known(Kind::Soap, None),
            Attach::Nothing,
            &[
                (http(Offered::NewNonce), 0, DIGEST),
                (http(Offered::NewNonce), 1, wsse(AHEAD)),
                (Refused { date: Some(DATED), ..http(Offered::NewNonce) }, 1, wsse(DATED)),
                (http(Offered::NewNonce), 1, Step::Refused),
            ],
        );
    }

    #[test]
    fn a_kept_nonce_is_renewed_without_counting() {
        let kept = Known { challenge: true, proven: true, ..known(Kind::Soap, Some(Scheme::Digest)) };
        check(
            kept,
            Attach::Digest,
            &[
                (http(Offered::NewNonce), 0, DIGEST),
                (http(Offered::Stale), 0, DIGEST),
                (http(Offered::Stale), 0, DIGEST),
                (http(Offered::Stale), 1, Step::Refused),
            ],
        );
        check(kept, Attach::Digest, &[(http(Offered::SameNonce), 1, Step::Refused)]);
        check(
            kept,
            Attach::Digest,
            &[(http(Offered::NewNonce), 0, DIGEST), (http(Offered::NewNonce), 2, Step::Refused)],
        );
        check(
            kept,
            Attach::Digest,
            &[(http(Offered::Nothing), 0, BARE), (http(Offered::NewNonce), 0, DIGEST)],
        );
    }

    #[test]
    fn a_proven_digest_is_not_followed_by_other_schemes() {
        let proven = Known { proven: true, ..known(Kind::Soap, Some(Scheme::Digest)) };
        check(
            proven,
            Attach::Nothing,
            &[(http(Offered::NewNonce), 0, DIGEST), (http(Offered::NewNonce), 1, Step::Refused)],
        );
    }

    #[test]
    fn a_fault_without_challenge_means_ws_security() {
        check(
            known(Kind::Soap, None),
            Attach::Nothing,
            &[
                (fault(None), 0, wsse(AHEAD)),
                (fault(Some(DATED)), 1, wsse(DATED)),
                (fault(Some(DATED)), 1, Step::Refused),
            ],
        );
        let blind = Known { offset: None, ..known(Kind::Soap, None) };
        check(blind, Attach::Nothing, &[(fault(None), 0, Step::ClockUnknown)]);
        check(blind, Attach::Nothing, &[(fault(Some(DATED)), 0, Step::ClockUnknown)]);
        let hidden = Known { hides_clock: true, ..blind };
        check(
            hidden,
            Attach::Nothing,
            &[(fault(Some(DATED)), 0, wsse(DATED)), (fault(Some(DATED)), 1, Step::Refused)],
        );
        check(hidden, Attach::Nothing, &[(fault(None), 0, Step::ClockUnknown)]);
        check(
            known(Kind::Soap, None),
            Attach::Nothing,
            &[(fault(None), 0, wsse(AHEAD)), (fault(None), 1, wsse(SignedDuration::ZERO))],
        );
    }

    #[test]
    fn a_proven_clock_that_is_refused_is_measured_again() {
        let proven = Known { proven: true, ..known(Kind::Soap, Some(Scheme::Wsse)) };
        check(proven, Attach::Wsse(AHEAD), &[(fault(None), 1, Step::ClockUnknown)]);
        check(proven, Attach::Wsse(AHEAD), &[(fault(Some(DATED)), 1, wsse(DATED))]);
    }

    #[test]
    fn a_camera_switched_to_digest_is_followed() {
        check(
            known(Kind::Soap, Some(Scheme::Wsse)),
            Attach::Wsse(AHEAD),
            &[(http(Offered::NewNonce), 1, DIGEST), (http(Offered::NewNonce), 1, wsse(SignedDuration::ZERO))],
        );
    }

    #[test]
    fn a_first_401_without_challenge_is_asked_once_more() {
        check(
            known(Kind::Soap, None),
            Attach::Nothing,
            &[(http(Offered::Nothing), 0, BARE), (http(Offered::Nothing), 0, wsse(AHEAD))],
        );
        check(
            known(Kind::Picture, None),
            Attach::Nothing,
            &[(http(Offered::Nothing), 0, BARE), (http(Offered::Nothing), 0, Step::Unsupported)],
        );
    }

    #[test]
    fn the_budget_ends_the_tries() {
        let mut negotiation = Negotiation::new(known(Kind::Soap, None));
        assert_eq!(
            negotiation.refused(http(Offered::NewNonce), 1).step,
            DIGEST,
            "the one try of a half-open breaker"
        );
        assert_eq!(negotiation.refused(http(Offered::NewNonce), 1), Turn { counts: 1, step: Step::Refused });
    }

    #[test]
    fn pre_auth_operations_begin_without_credentials() {
        let kept = Known { challenge: true, ..known(Kind::PreAuth, Some(Scheme::Digest)) };
        check(kept, Attach::Nothing, &[(http(Offered::NewNonce), 0, DIGEST)]);
        check(known(Kind::PreAuth, Some(Scheme::Wsse)), Attach::Nothing, &[]);
    }

    #[test]
    fn a_camera_that_tells_its_time_only_after_a_login_is_logged_in_to_by_our_clock() {
        let blind = Known { offset: None, ..known(Kind::Clock, None) };
        let ours = wsse(SignedDuration::ZERO);
        check(blind, Attach::Nothing, &[(fault(None), 0, ours), (fault(None), 1, Step::Refused)]);
    }

    #[test]
    fn a_shifted_clock_may_have_been_put_right() {
        let proven = Known { proven: true, ..known(Kind::Soap, Some(Scheme::Wsse)) };
        let shifted = Known { shifted: true, ..proven };
        check(shifted, Attach::Wsse(AHEAD), &[(fault(None), 1, wsse(SignedDuration::ZERO))]);
    }
}
