//! What the interface definitions do not say and the overlay does: access classes, traits, address effects.

use std::{fmt, str::FromStr};

/// A word of the overlay that is not one of those known there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of {1}")]
pub struct UnknownWord(pub String, pub &'static str);

macro_rules! words {
    ($(#[$doc:meta])* $type:ident, $list:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type { $($(#[$vdoc])* $variant),+ }

        impl $type {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used for it in the overlay, in policies and in records.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = UnknownWord;
            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word { $($word => Ok(Self::$variant),)+ _ => Err(UnknownWord(word.chars().take(40).collect(), $list)) }
            }
        }
    };
}

pub(crate) use words;

words!(
    /// The access classes of ONVIF Core §5.9.4.3, and one for operations no client may send to a device.
    AccessClass, "the access classes of ONVIF Core §5.9.4.3" {
        /// Needs no credentials.
        PreAuth = "PRE_AUTH",
        /// Reads settings of the system.
        ReadSystem = "READ_SYSTEM",
        /// Reads settings that help an attacker.
        ReadSystemSensitive = "READ_SYSTEM_SENSITIVE",
        /// Reads secrets.
        ReadSystemSecret = "READ_SYSTEM_SECRET",
        /// Changes settings of the system.
        WriteSystem = "WRITE_SYSTEM",
        /// Loses what cannot be had back.
        Unrecoverable = "UNRECOVERABLE",
        /// Reads media and what describes it.
        ReadMedia = "READ_MEDIA",
        /// Moves, switches, or changes media settings.
        Actuate = "ACTUATE",
        /// Sent by devices, or by discovery: never a command of a client.
        NotForClients = "NOT_FOR_CLIENTS",
    }
);

words!(
    /// What makes a command more than its access class says.
    Trait, "the traits" {
        /// Gives the camera a place to send to or fetch from.
        Egress = "egress",
        /// Opens or moves a service of the camera's own.
        Listener = "listener",
        /// Carries code, rules, certificates or keys into the camera, or prepares an upload of them.
        Code = "code",
        /// Its request holds a secret.
        SecretRequest = "secret-request",
        /// Its answer may hold a secret.
        SecretAnswer = "secret-answer",
        /// Deletes configuration or data, or resets the device.
        Destructive = "destructive",
        /// Leaves something behind in the camera that lives on: a session, a stream, a subscription.
        Session = "session",
        /// Changes how the camera is reached or who may reach it.
        Network = "network",
        /// Changes users, passwords or how they are checked.
        Users = "users",
    }
);

/// A set of traits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Traits(u16);

impl Traits {
    /// The set that holds nothing.
    pub const NONE: Self = Self(0);

    /// This set and one more trait.
    #[must_use]
    pub fn with(self, one: Trait) -> Self {
        Self(self.0 | 1 << one as u16)
    }

    /// Whether the trait is in the set.
    pub fn contains(self, one: Trait) -> bool {
        self.0 & 1 << one as u16 != 0
    }

    /// Both sets together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The traits in the set, in the order of declaration.
    pub fn iter(self) -> impl Iterator<Item = Trait> {
        Trait::ALL.iter().copied().filter(move |one| self.contains(*one))
    }
}

impl FromIterator<Trait> for Traits {
    fn from_iter<I: IntoIterator<Item = Trait>>(traits: I) -> Self {
        traits.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Traits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

words!(
    /// What the value of a node that can hold an address does.
    ///
    /// In requests it says what a camera would do with the value; in answers, what a client would.
    AddressEffect, "the address effects" {
        /// Holds no address. (Text is searched for addresses all the same.)
        None = "none",
        /// Names a thing and is dialled by nobody: a dialect, a coordinate space, a schema.
        Identifier = "identifier",
        /// Request: the camera will send to it or fetch from it.
        Destination = "destination",
        /// Request: as `Destination` if the text is an address or URI.
        PossibleDestination = "possible-destination",
        /// Request: chooses a destination that is already stored.
        Selector = "selector",
        /// Request: if true, the camera sends to a destination that is already stored, by itself. Answer: whether it does.
        Start = "start",
        /// Request: opens or moves a service of the camera's own.
        Listener = "listener",
        /// Request: the gateway, and never the camera, will send to it: a consumer of events.
        Consumer = "consumer",
        /// Request: who may reach the camera.
        AccessFilter = "access-filter",
        /// Answer: a destination stored in the camera.
        StoredDestination = "stored-destination",
        /// Answer: an address of the camera or its network.
        Own = "own",
        /// Answer: the endpoint of a service.
        Service = "service",
        /// Answer: a live or recorded stream.
        Stream = "stream",
        /// Answer: a snapshot picture.
        Snapshot = "snapshot",
        /// Answer: where to upload (firmware, backup, clip, application).
        Upload = "upload",
        /// Answer: where to download (log, backup, support information).
        Download = "download",
        /// Answer: a subscription or pull point.
        Subscription = "subscription",
        /// Answer: a multicast group.
        Multicast = "multicast",
        /// Answer: a document for people or tools (schema location, web site) nobody needs to follow.
        Reference = "reference",
    }
);

impl AddressEffect {
    /// Whether an answer says by it where something is at the camera: the gateway goes to the enrolled host for it, whatever
    /// host it names.
    pub fn is_at_the_camera(self) -> bool {
        matches!(
            self,
            Self::Service
                | Self::Stream
                | Self::Snapshot
                | Self::Upload
                | Self::Download
                | Self::Subscription
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_unknown_ones_are_refused() {
        for class in AccessClass::ALL {
            assert_eq!(class.as_str().parse(), Ok(*class));
        }
        assert_eq!("READ".parse::<AccessClass>().unwrap_err().0, "READ");
        let set: Traits = [Trait::Code, Trait::Egress].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Trait::Egress, Trait::Code]);
        assert!(!set.contains(Trait::Users));
    }
}
