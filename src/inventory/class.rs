//! What a camera's maker means for the owner of the building.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

/// What a camera's maker means for the owner of the building.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VendorClass {
    /// Nothing is held against the maker.
    Trusted,
    /// A person has to look at the model.
    Review,
    /// Sold under another name, made by a restricted maker.
    OemRestricted,
    /// Subject to the restriction.
    Restricted,
    /// Not in the table; policy treats it as restricted.
    Unknown,
}

impl VendorClass {
    /// All classes.
    pub const ALL: [Self; 5] =
        [Self::Trusted, Self::Review, Self::OemRestricted, Self::Restricted, Self::Unknown];

    /// The word used in configuration, policies and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Review => "review",
            Self::OemRestricted => "oem-restricted",
            Self::Restricted => "restricted",
            Self::Unknown => "unknown",
        }
    }

    /// Whether rules for restricted equipment hold: also for what nobody has named yet.
    pub fn is_restricted(self) -> bool {
        match self {
            Self::Restricted | Self::OemRestricted | Self::Unknown => true,
            Self::Review | Self::Trusted => false,
        }
    }

    /// How much it takes away; of two classes the one with more holds.
    pub fn strictness(self) -> u8 {
        match self {
            Self::Trusted => 0,
            Self::Review => 1,
            Self::Unknown => 2,
            Self::OemRestricted => 3,
            Self::Restricted => 4,
        }
    }
}

impl fmt::Display for VendorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is held about one camera's maker, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorVerdict {
    /// The vendor's id in the table, or the name as declared.
    pub name: String,
    /// The class that rules go by.
    pub class: VendorClass,
    /// What led here, in words.
    pub reasons: Vec<String>,
    /// The maker that the configuration declares.
    pub declared: Option<String>,
    /// What somebody decided about this camera.
    pub decision: Option<Decision>,
    /// With a decision, the verdict without it: it holds where the decision was about another device.
    pub undecided: Option<Box<VendorVerdict>>,
}

/// A class that somebody answers for, in place of what would follow.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The class.
    #[serde(rename = "is")]
    pub class: VendorClass,
    /// Why.
    pub because: String,
    /// Who decided.
    pub by: String,
    /// When.
    #[serde(deserialize_with = "date")]
    pub on: Date,
}

impl Decision {
    /// What a decision must not lack.
    pub fn lack(&self) -> Option<&'static str> {
        if self.by.trim().is_empty() {
            return Some("a decision needs the name of whoever decided");
        }
        self.because.trim().is_empty().then_some("a decision needs a reason")
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, because, by, on } = self;
        write!(f, "{class}, decided by {by} on {on}: {because}")
    }
}

/// A TOML date without a time of day.
pub(super) fn date<'de, D: Deserializer<'de>>(from: D) -> Result<Date, D::Error> {
    let read = toml::value::Datetime::deserialize(from)?;
    let wrong = || D::Error::custom("write a date such as 2026-11-25, without quotes and time");
    let date = read.date.filter(|_| read.time.is_none() && read.offset.is_none()).ok_or_else(wrong)?;
    let year = i16::try_from(date.year).map_err(|_| wrong())?;
    let part = |number: u8| i8::try_from(number).map_err(|_| wrong());
    Date::new(year, part(date.month)?, part(date.day)?).map_err(|_| wrong())
}
