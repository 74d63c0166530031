//! Makers of cameras and what is held against them.

use std::{collections::HashMap, fmt};

use serde::Deserialize;

/// What a camera's maker means for the owner of the building.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
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
}

/// One maker, as the table has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vendor {
    /// Short name, as in the configuration.
    pub id: String,
    /// Name as people write it.
    pub name: String,
    /// Other names it answers to, compared without regard to case, spaces and punctuation.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Where it has its seat.
    pub jurisdiction: String,
    /// The class its cameras have unless the owner decides otherwise.
    pub class: VendorClass,
    /// How sure the entry is: `confirmed`, `reported` or `contested`.
    pub confidence: String,
    /// Where the facts were read.
    pub source: String,
    /// What one should know about exceptions.
    pub note: Option<String>,
}

/// Why a vendor table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VendorError {
    /// The text is no vendor table.
    #[error("{file}: {message}")]
    Syntax {
        /// Which file.
        file: String,
        /// What the parser says, with line and column.
        message: String,
    },
    /// Two vendors share a name.
    #[error("{file}: `{name}` names both `{first}` and `{second}`; give each name to one vendor")]
    Ambiguous {
        /// Which file.
        file: String,
        /// The shared name.
        name: String,
        /// The vendor that had it.
        first: String,
        /// The vendor that claims it too.
        second: String,
    },
}

/// The vendor table: reviewable files under `config/vendors`.
#[derive(Debug, Clone, Default)]
pub struct Vendors {
    vendors: Vec<Vendor>,
    names: HashMap<String, usize>,
}

impl Vendors {
    /// The table built into the program.
    pub fn embedded() -> Result<Self, VendorError> {
        let files = [("config/vendors/makers.toml", include_str!("../../config/vendors/makers.toml"))];
        Self::from_texts(&files)
    }

    /// Reads a table from texts, each with the file name it came from.
    pub fn from_texts(files: &[(&str, &str)]) -> Result<Self, VendorError> {
        let mut table = Self::default();
        for (file, text) in files {
            let read: File = toml::from_str(text)
                .map_err(|error| VendorError::Syntax { file: (*file).into(), message: error.to_string() })?;
            for vendor in read.vendor {
                table.add(file, vendor)?;
            }
        }
        Ok(table)
    }

    /// Every vendor, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &Vendor> {
        self.vendors.iter()
    }

    /// Finds a vendor by id, name or alias.
    pub fn find(&self, name: &str) -> Option<&Vendor> {
        self.names.get(&folded(name)).and_then(|index| self.vendors.get(*index))
    }

    /// What a declared vendor name means. A name that is not in the table is `Unknown`.
    pub fn verdict(&self, declared: &str) -> VendorVerdict {
        let reason = format!("declared in configuration as `{declared}`");
        match self.find(declared) {
            Some(vendor) => VendorVerdict {
                name: vendor.id.clone(),
                class: vendor.class,
                reasons: vec![reason, format!("{}, {}: {}", vendor.name, vendor.jurisdiction, vendor.class)],
            },
            None => VendorVerdict {
                name: declared.to_owned(),
                class: VendorClass::Unknown,
                reasons: vec![reason, "not in the vendor table: treated as restricted".to_owned()],
            },
        }
    }

    fn add(&mut self, file: &str, vendor: Vendor) -> Result<(), VendorError> {
        let index = self.vendors.len();
        for name in [&vendor.id, &vendor.name].into_iter().chain(&vendor.aliases) {
            let before = self.names.insert(folded(name), index).filter(|before| *before != index);
            if let Some(first) = before.and_then(|before| self.vendors.get(before)) {
                return Err(VendorError::Ambiguous {
                    file: file.to_owned(),
                    name: name.clone(),
                    first: first.id.clone(),
                    second: vendor.id.clone(),
                });
            }
        }
        self.vendors.push(vendor);
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    vendor: Vec<Vendor>,
}

/// Cameras write their maker's name in many ways: `CP-PLUS`, `cpplus`, `CP Plus`.
fn folded(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_table_knows_restricted_and_trusted_makers_by_alias() {
        let vendors = Vendors::embedded().unwrap();
        for (declared, name, class) in [
            ("HIKVISION", "hikvision", VendorClass::Restricted),
            ("UNV", "uniview", VendorClass::Restricted),
            ("Dahua", "dahua", VendorClass::Restricted),
            ("Axis Communications", "axis", VendorClass::Trusted),
        ] {
            let verdict = vendors.verdict(declared);
            assert_eq!((verdict.name.as_str(), verdict.class), (name, class), "{declared}");
            assert_eq!(verdict.reasons.first(), Some(&format!("declared in configuration as `{declared}`")));
        }
    }

    #[test]
    fn a_maker_nobody_named_is_unknown_and_restricted() {
        let verdict = Vendors::embedded().unwrap().verdict("Acme");
        assert_eq!((verdict.name.as_str(), verdict.class), ("Acme", VendorClass::Unknown));
        assert!(verdict.class.is_restricted());
        assert_eq!(verdict.reasons.last().unwrap(), "not in the vendor table: treated as restricted");
    }

    #[test]
    fn one_alias_cannot_mean_two_makers() {
        let entry = |id: &str| {
            format!(
                "[[vendor]]\nid = '{id}'\nname = '{id}'\naliases = ['Twin']\njurisdiction = 'x'\n\
                 class = 'review'\nconfidence = 'reported'\nsource = 'x'\n"
            )
        };
        let text = entry("a") + &entry("b");
        let error = Vendors::from_texts(&[("twins.toml", &text)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "twins.toml: `Twin` names both `a` and `b`; give each name to one vendor"
        );
    }
}
