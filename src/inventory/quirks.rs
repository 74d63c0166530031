//! Quirks: what cameras are known to do otherwise than their interface says.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! quirks {
    ($($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)?) => {
        /// One of the known quirks. What each is, and what is done about it, stands in `config/quirks`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Quirk {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl Quirk {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word used in configuration, state and reports.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

quirks!(
    /// Its clock is off.
    ClockOff = "clock-off",
    /// It states local time as UTC.
    LocalTimeAsUtc = "local-time-as-utc",
    /// It refuses logins with a web page.
    WebPageForRefusal = "web-page-for-refusal",
    /// It binds nonces to paths.
    NonceForOnePath = "nonce-for-one-path",
    /// It offers no digest with MD5.
    Sha256Only = "sha-256-only",
    /// It leaves the challenge out of its first refusal.
    ChallengeLeftOut = "challenge-left-out",
    /// It is strict about the form of tokens.
    StrictToken = "strict-token",
    /// It refuses a Security header that has to be understood.
    SecurityNotUnderstood = "security-not-understood",
    /// It speaks SOAP 1.1 only.
    Soap11Only = "soap-11-only",
    /// It never says 100.
    NoContinue = "no-continue",
    /// It closes kept connections without a word.
    ClosesSilently = "closes-silently",
    /// Its answers begin with remains of the request.
    GarbledStatusLine = "garbled-status-line",
    /// It uses prefixes it does not declare.
    UndeclaredPrefixes = "undeclared-prefixes",
    /// It sends streams in datagrams only.
    DatagramsOnly = "datagrams-only",
    /// It does not understand for how long it is subscribed to.
    RelativeTimeBroken = "relative-time-broken",
    /// It has no pull points.
    NoPullPoint = "no-pull-point",
    /// It refuses good passwords while it boots.
    RefusesWhileBooting = "refuses-while-booting",
);

impl fmt::Display for Quirk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When the gateway does something about a quirk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Towards every camera.
    Always,
    /// Towards a camera of which it was observed, or of which the owner says so.
    WhenSeen,
    /// Not depending on what was observed: it is for people to know.
    Shown,
}

/// What is known about a quirk.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownQuirk {
    /// Which one.
    pub id: Quirk,
    /// What a camera that has it does.
    pub what: String,
    /// What the gateway does about it.
    pub gateway: String,
    /// When.
    pub effect: Effect,
    /// Where the knowledge comes from.
    pub source: String,
}

/// The table of known quirks is no such table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("config/quirks/known.toml: {0}")]
pub struct QuirkError(String);

/// The known quirks: a reviewable file, `config/quirks/known.toml`.
#[derive(Debug, Clone)]
pub struct KnownQuirks(Vec<KnownQuirk>);

impl KnownQuirks {
    /// The table built into the program.
    pub fn embedded() -> Result<Self, QuirkError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            quirk: Vec<KnownQuirk>,
        }
        let text = include_str!("../../config/quirks/known.toml");
        let file: File = toml::from_str(text).map_err(|error| QuirkError(error.to_string()))?;
        Ok(Self(file.quirk))
    }

    /// What is known about one.
    pub fn of(&self, quirk: Quirk) -> Option<&KnownQuirk> {
        self.0.iter().find(|it| it.id == quirk)
    }

    /// The quirk of a name that an owner may use or forbid.
    pub fn settable(&self, name: &str) -> Option<Quirk> {
        self.0.iter().find(|it| it.id.as_str() == name && it.effect == Effect::WhenSeen).map(|it| it.id)
    }

    /// The names that an owner may use or forbid.
    pub fn settable_names(&self) -> Vec<&'static str> {
        self.0.iter().filter(|it| it.effect == Effect::WhenSeen).map(|it| it.id.as_str()).collect()
    }
}

/// What an owner says about a quirk of one camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuirkOrder {
    /// Which one.
    pub quirk: Quirk,
    /// Whether the camera is to be treated as having it, or as not having it whatever it does.
    pub used: bool,
    /// Why.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_of_every_quirk_once() {
        let table = KnownQuirks::embedded().unwrap();
        let told: Vec<_> = table.0.iter().map(|it| it.id).collect();
        assert_eq!(told, Quirk::ALL);
        for it in &table.0 {
            assert!(it.what.len() > 10 && it.gateway.len() > 10 && it.source.len() > 10, "{}", it.id);
            assert_eq!(serde_json::to_string(&it.id).unwrap(), format!("\"{}\"", it.id));
        }
        assert_eq!(
            table.settable_names(),
            [
                "security-not-understood",
                "soap-11-only",
                "closes-silently",
                "garbled-status-line",
                "datagrams-only",
                "relative-time-broken",
                "no-pull-point"
            ]
        );
        assert_eq!(table.settable("clock-off"), None, "observed, never ordered");
    }
}
