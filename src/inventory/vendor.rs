//! One maker, as the table has it: claims, each with where it was read and how sure it is.

use std::fmt;

use serde::Deserialize;

use super::{
    class::{Decision, VendorClass},
    fingerprint::Fingerprint,
};

/// How sure a claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Said, or guessed.
    Uncertain,
    /// Sources contradict each other.
    Contested,
    /// Follows from something else.
    Inferred,
    /// One source says so.
    Reported,
    /// Several do, or whoever must know.
    Confirmed,
}

/// Something said about a maker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim<T> {
    /// What is said.
    pub is: T,
    /// How sure it is.
    pub confidence: Confidence,
    /// Where it was read: names of sources.
    pub source: Vec<String>,
}

/// To whom a maker belongs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// In words.
    pub is: String,
    /// The same as an entry of the table, if it has one.
    pub vendor: Option<String>,
    /// How sure it is.
    pub confidence: Confidence,
    /// Where it was read.
    pub source: Vec<String>,
}

/// Who makes what a brand sells.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Producer {
    /// The maker's entry in the table.
    pub vendor: String,
    /// How much of the brand's cameras.
    pub lines: Lines,
    /// Which ones, in words.
    pub which: Option<String>,
    /// How sure it is.
    pub confidence: Confidence,
    /// Where it was read.
    pub source: Vec<String>,
}

/// How much of a brand's cameras.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lines {
    /// All of them, or all that are known.
    All,
    /// Some.
    Some,
}

/// Whether the UK order of 24 November 2022 covers a maker's cameras.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderScope {
    /// It does: an inference from the maker's seat.
    InScope,
    /// It covers what makers under the order produced for the brand.
    Equipment,
    /// The same, and that is some of its lines at most.
    SomeLines,
    /// Not found out.
    Uncertain,
    /// It does not: an inference from the maker's seat.
    OutOfScope,
}

/// How a maker stands to a list of the United States.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listing {
    /// It is named there.
    Named,
    /// A brand or subsidiary of one that is named.
    Affiliate,
    /// It sells equipment of one that is named.
    Equipment,
    /// It was a subsidiary.
    Former,
    /// It is not named; what it sells may be covered.
    NotByName,
    /// It is not on the list.
    No,
    /// Not found out.
    Uncertain,
}

/// What bears a maker's MAC addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MacUse {
    /// Cameras and what belongs to them.
    #[default]
    Cameras,
    /// Telephones, switches and much else too.
    Mixed,
    /// Parts inside the cameras of others.
    Modules,
}

/// One maker, as the table has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vendor {
    /// Short name, as in the configuration.
    pub id: String,
    /// Name as people write it.
    pub name: String,
    /// Other names it answers to.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Whether its cameras were seen to name themselves so.
    #[serde(default)]
    pub names_seen: bool,
    /// Names that are also looked for inside longer texts.
    #[serde(default)]
    pub words: Vec<String>,
    /// Where it has its seat: country codes of ISO 3166-1.
    pub seat: Claim<Vec<String>>,
    /// To whom it belongs.
    pub parent: Option<Parent>,
    /// Whether it makes its cameras itself.
    pub own_make: Option<Claim<bool>>,
    /// Who else does.
    #[serde(default)]
    pub made_by: Vec<Producer>,
    /// The UK order of 24 November 2022.
    pub uk_order: Claim<OrderScope>,
    /// Section 889 of the US NDAA 2019.
    pub us_889: Claim<Listing>,
    /// The covered list of the US FCC.
    pub us_fcc: Claim<Listing>,
    /// What else one should know.
    #[serde(default)]
    pub facts: Vec<Claim<String>>,
    /// Somebody's decision about the class.
    #[serde(rename = "class")]
    pub decision: Option<Decision>,
    /// Names that begin the holder's name in the IEEE registries.
    #[serde(default)]
    pub mac_holders: Vec<String>,
    /// MAC prefixes whose registered holder does not tell the maker.
    #[serde(default)]
    pub mac_prefixes: Vec<String>,
    /// What bears its MAC addresses.
    #[serde(default)]
    pub mac_use: MacUse,
    /// What its cameras are known by.
    #[serde(default, rename = "fingerprint")]
    pub fingerprints: Vec<Fingerprint>,
    /// The class its cameras have unless a decision about one of them says otherwise.
    #[serde(skip, default = "nobody_knows")]
    pub class: VendorClass,
    /// What the class follows from.
    #[serde(skip)]
    pub class_because: String,
}

fn nobody_knows() -> VendorClass {
    VendorClass::Unknown
}

impl Vendor {
    /// Every source it names.
    pub(super) fn sources(&self) -> impl Iterator<Item = &String> {
        let claims = [&self.uk_order.source, &self.us_889.source, &self.us_fcc.source, &self.seat.source];
        let parent = self.parent.as_ref().map(|it| &it.source);
        let own = self.own_make.as_ref().map(|it| &it.source);
        let more = self.made_by.iter().map(|it| &it.source);
        let facts = self.facts.iter().map(|it| &it.source);
        let prints = self.fingerprints.iter().map(|it| &it.source);
        claims.into_iter().chain(parent).chain(own).chain(more).chain(facts).chain(prints).flatten()
    }

    /// Every name it is declared by.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [&self.id, &self.name].into_iter().chain(&self.aliases).map(String::as_str)
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uncertain => "uncertain",
            Self::Contested => "contested",
            Self::Inferred => "inferred",
            Self::Reported => "reported",
            Self::Confirmed => "confirmed",
        })
    }
}

impl fmt::Display for OrderScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::InScope => "in-scope",
            Self::Equipment => "equipment",
            Self::SomeLines => "some-lines",
            Self::Uncertain => "uncertain",
            Self::OutOfScope => "out-of-scope",
        })
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Named => "named",
            Self::Affiliate => "affiliate",
            Self::Equipment => "equipment",
            Self::Former => "former",
            Self::NotByName => "not-by-name",
            Self::No => "no",
            Self::Uncertain => "uncertain",
        })
    }
}

impl fmt::Display for MacUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cameras => "cameras",
            Self::Mixed => "mixed products",
            Self::Modules => "modules inside cameras of others",
        })
    }
}
