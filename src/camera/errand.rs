//! What is exchanged with a camera, how it is written, and what its answer says.

use std::time::Duration;

use http::HeaderValue;

use super::{
    error::Failure,
    link::Into,
    manner::{Hitch, Manner, Tried},
    negotiation::{Kind, Refused},
    sending::Sending,
};
use crate::hatch::Endpoint;

/// What is to be exchanged.
pub(super) struct Errand<'a> {
    pub(super) kind: Kind,
    pub(super) endpoint: &'a Endpoint,
    /// What to send; none for a GET.
    pub(super) post: Option<Post<'a>>,
    /// Where the answer goes.
    pub(super) into: Into<'a>,
    /// The deadline, where it is not the usual one.
    pub(super) time_max: Option<Duration>,
    pub(super) idempotent: bool,
}

/// The body of a POST.
pub(super) struct Post<'a> {
    /// Writes it, with the token if there is one.
    pub(super) write: &'a dyn Fn(Option<Token>, Manner) -> Written,
    /// Whether it is a SOAP message, which can be written otherwise.
    pub(super) is_soap: bool,
}

/// A body as it is sent.
pub(super) struct Written {
    pub(super) content_type: HeaderValue,
    /// The `SOAPAction` field of SOAP 1.1.
    pub(super) action: Option<HeaderValue>,
    pub(super) body: Sending,
}

/// A WS-Security UsernameToken, good for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) username: String,
    pub(super) password_digest: [u8; 20],
    pub(super) nonce: [u8; 20],
    pub(super) created: String,
}

/// What an answer other than a 401 says about the login.
pub(super) enum Judged<T> {
    /// It is what was asked for, or a refusal that only whoever logged in gets to hear: the login was good.
    Done(T),
    /// It says nothing of the login.
    Unproven(T),
    /// It refuses without saying what: perhaps the login.
    Vague(T),
    /// It refuses the login (`ter:NotAuthorized`).
    NotAuthorized(T),
    /// It refuses the message unread, for the way it is written.
    NotUnderstood(T, Hitch),
}

/// What came of one request.
pub(super) enum Heard<T> {
    /// An answer that was judged, and how it reads as a refusal of the login.
    Judged(Judged<T>, Refused),
    /// A 401.
    Refused(Refused),
    /// Nothing was sent: the login has to wait for its turn.
    NotSent,
}

impl<T> Heard<T> {
    pub(super) fn of(judged: Option<Judged<T>>, refused: Refused) -> Self {
        match judged {
            Some(judged) => Self::Judged(judged, refused),
            None => Self::Refused(refused),
        }
    }
}

/// The manners in which one errand is tried.
pub(super) struct Manners {
    pub(super) now: Manner,
    pub(super) tried: Tried,
    pub(super) first_failure: Option<Failure>,
}

impl Manners {
    pub(super) fn new(now: Manner) -> Self {
        Self { now, tried: Tried::default(), first_failure: None }
    }
}

impl Errand<'_> {
    pub(super) fn is_soap(&self) -> bool {
        self.post.as_ref().is_some_and(|it| it.is_soap)
    }

    pub(super) fn sends_file(&self) -> bool {
        self.kind == Kind::Picture && self.post.is_some()
    }

    /// Whether its answer may take much longer than others.
    pub(super) fn takes_long(&self) -> bool {
        self.sends_file() || (self.is_soap() && self.time_max.is_some())
    }
}
