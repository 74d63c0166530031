//! How one exchange is held with a camera that has quirks, and what else is worth a try when it fails. Pure.

use super::{error::Failure, habits::Habits};
use crate::inventory::Quirk;

/// How a request is written, and how its answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Manner {
    /// The envelope is one of SOAP 1.1.
    pub(super) soap11: bool,
    /// The Security header need not be understood.
    pub(super) soft_security: bool,
    /// What stands before the answer is passed over, and the connection serves one exchange.
    pub(super) lenient: bool,
}

/// What kept an exchange from coming about, as far as another manner may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hitch {
    /// What came is no HTTP.
    Garbled,
    /// Nothing came, or an empty answer: nobody knows what the camera did.
    Silence,
    /// The camera says that it knows another version of SOAP.
    Version,
    /// The camera says that it does not understand the Security header.
    Security,
}

/// What an errand is, as far as a second try cares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stakes {
    /// It is a SOAP message.
    pub(super) soap: bool,
    /// Sending it twice does no harm.
    pub(super) harmless: bool,
    /// The camera has answered in SOAP 1.2 before.
    pub(super) speaks12: bool,
}

/// The quirks by which an exchange came about in the end, after it had failed without them.
#[derive(Debug, Default)]
pub(super) struct Tried {
    quirks: Vec<(Quirk, bool, &'static str)>,
    /// How many of them were told.
    told: usize,
}

impl Manner {
    pub(super) fn of(habits: &Habits) -> Self {
        Self {
            soap11: habits.applies(Quirk::Soap11Only),
            soft_security: habits.applies(Quirk::SecurityNotUnderstood),
            lenient: habits.applies(Quirk::GarbledStatusLine),
        }
    }
}

impl Hitch {
    pub(super) fn of(failure: &Failure) -> Option<Self> {
        match failure {
            Failure::NotHttp(_) => Some(Self::Garbled),
            Failure::Empty | Failure::Reset => Some(Self::Silence),
            Failure::BadStatus(415) => Some(Self::Version),
            _ => None,
        }
    }

    /// Whether the camera said that it did nothing.
    fn is_harmless(self) -> bool {
        matches!(self, Self::Version | Self::Security)
    }
}

impl Tried {
    /// Another manner for the same errand, each once at most, and none that the owner rules out.
    pub(super) fn other(
        &mut self,
        manner: Manner,
        hitch: Hitch,
        stakes: Stakes,
        habits: &Habits,
    ) -> Option<Manner> {
        if !stakes.harmless && !hitch.is_harmless() {
            return None;
        }
        let (quirk, note) = match hitch {
            Hitch::Garbled => (Quirk::GarbledStatusLine, "an answer that does not begin with a status line"),
            Hitch::Silence if stakes.speaks12 && !manner.soap11 => return None,
            Hitch::Silence => (Quirk::Soap11Only, "nothing in answer to SOAP 1.2"),
            Hitch::Version => (Quirk::Soap11Only, "another version of SOAP was asked for"),
            Hitch::Security => {
                (Quirk::SecurityNotUnderstood, "a Security header that must be understood was refused")
            }
        };
        let had = match quirk {
            Quirk::Soap11Only => manner.soap11,
            Quirk::SecurityNotUnderstood => manner.soft_security,
            _ => manner.lenient,
        };
        // One may turn out to have gone; a reader that passes over nothing harms no answer.
        let turns = quirk == Quirk::Soap11Only || !had;
        let free = if had { habits.ordered(quirk) != Some(true) } else { habits.may_have(quirk) };
        let applies = stakes.soap || quirk == Quirk::GarbledStatusLine;
        if !turns || !free || !applies || self.quirks.iter().any(|(tried, ..)| *tried == quirk) {
            return None;
        }
        self.quirks.push((quirk, !had, note));
        Some(match quirk {
            Quirk::Soap11Only => Manner { soap11: !had, ..manner },
            Quirk::SecurityNotUnderstood => Manner { soft_security: true, ..manner },
            _ => Manner { lenient: true, ..manner },
        })
    }

    /// What was learnt since this was asked last, now that the camera answers: which quirk, whether the camera
    /// has it, by what.
    pub(super) fn learnt(&mut self) -> impl Iterator<Item = (Quirk, bool, &'static str)> {
        let told = std::mem::replace(&mut self.told, self.quirks.len());
        self.quirks.iter().skip(told).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;
    use crate::inventory::QuirkOrder;

    const HARMLESS: Stakes = Stakes { soap: true, harmless: true, speaks12: false };
    const PLAIN: Manner = Manner { soap11: false, soft_security: false, lenient: false };
    const OLD: Manner = Manner { soap11: true, ..PLAIN };
    const SOFT: Manner = Manner { soft_security: true, ..PLAIN };
    const LENIENT: Manner = Manner { lenient: true, ..PLAIN };

    fn other(manner: Manner, hitch: Hitch, stakes: Stakes) -> Option<Manner> {
        Tried::default().other(manner, hitch, stakes, &Habits::default())
    }

    #[test]
    fn each_hitch_has_its_manner() {
        for (hitch, manner) in
            [(Hitch::Garbled, LENIENT), (Hitch::Silence, OLD), (Hitch::Version, OLD), (Hitch::Security, SOFT)]
        {
            assert_eq!(other(PLAIN, hitch, HARMLESS), Some(manner), "{hitch:?}");
        }
        assert_eq!(other(OLD, Hitch::Version, HARMLESS), Some(PLAIN), "it was taught SOAP 1.2 meanwhile");
        assert_eq!(other(LENIENT, Hitch::Garbled, HARMLESS), None, "more than is passed over");
        assert_eq!(other(PLAIN, Hitch::Silence, Stakes { speaks12: true, ..HARMLESS }), None);
        let picture = Stakes { soap: false, ..HARMLESS };
        assert_eq!(other(PLAIN, Hitch::Silence, picture), None, "a picture has no envelope");
        assert_eq!(other(PLAIN, Hitch::Garbled, picture), Some(LENIENT));
    }

    #[test]
    fn what_may_have_been_done_is_not_sent_again() {
        let harmful = Stakes { harmless: false, ..HARMLESS };
        for (hitch, again) in [
            (Hitch::Garbled, false),
            (Hitch::Silence, false),
            (Hitch::Version, true),
            (Hitch::Security, true),
        ] {
            assert_eq!(other(PLAIN, hitch, harmful).is_some(), again, "{hitch:?}");
        }
    }

    #[test]
    fn each_is_tried_once_and_none_against_the_owners_word() {
        let mut tried = Tried::default();
        assert_eq!(tried.other(PLAIN, Hitch::Silence, HARMLESS, &Habits::default()), Some(OLD));
        assert_eq!(tried.other(OLD, Hitch::Silence, HARMLESS, &Habits::default()), None);
        assert_eq!(
            tried.learnt().map(|(quirk, has, _)| (quirk, has)).collect::<Vec<_>>(),
            [(Quirk::Soap11Only, true)]
        );
        for (used, manner) in [(false, PLAIN), (true, OLD)] {
            let order = QuirkOrder { quirk: Quirk::Soap11Only, used, reason: String::new() };
            let mut habits = Habits::new(vec![order], BTreeMap::new(), None);
            habits.observe(Quirk::Soap11Only, Timestamp::UNIX_EPOCH, "");
            assert_eq!(Manner::of(&habits), manner);
            assert_eq!(Tried::default().other(manner, Hitch::Version, HARMLESS, &habits), None, "{used}");
        }
    }

    #[test]
    fn failures_that_another_manner_cannot_help_are_none() {
        for failure in [Failure::Unreachable, Failure::BadStatus(500), Failure::LoginUnsupported] {
            assert_eq!(Hitch::of(&failure), None, "{failure}");
        }
        assert_eq!(Hitch::of(&Failure::BadStatus(415)), Some(Hitch::Version));
    }
}
