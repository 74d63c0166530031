//! The vendor table: reviewable files under `config/vendors`, or an owner's.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    ops::Range,
};

use jiff::civil::Date;
use serde::Deserialize;
use toml::Spanned;

use super::{
    class::{VendorClass, VendorVerdict},
    folded::{self, Folded, Needle},
    macs::{MacPrefix, MacTable, RawMacs},
    vendor::{Confidence, Lines, Vendor},
};
use crate::limits::{MAC_PREFIXES_MAX, VENDOR_LIST_ITEMS_MAX, VENDORS_MAX};

/// What is wrong with a vendor file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}; {remedy}")]
pub struct VendorError {
    /// Which file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// The vendor table.
#[derive(Debug, Clone, PartialEq)]
pub struct Vendors {
    vendors: Vec<Vendor>,
    names: HashMap<String, usize>,
    sources: BTreeMap<String, String>,
    macs: MacTable,
    /// The words looked for in longer texts, and whose they are.
    words: Vec<(Needle, usize)>,
}

/// Where the shipped files stand.
const SHIPPED: [(&str, &str); 4] = [
    ("config/vendors/china.toml", include_str!("../../config/vendors/china.toml")),
    ("config/vendors/elsewhere.toml", include_str!("../../config/vendors/elsewhere.toml")),
    ("config/vendors/mac-prefixes.toml", include_str!("../../config/vendors/mac-prefixes.toml")),
    ("config/vendors/sources.toml", include_str!("../../config/vendors/sources.toml")),
];

/// Seats from which a maker is subject to the National Intelligence Law of the PRC.
const RESTRICTED_SEAT: &str = "CN";

impl Vendors {
    /// The table built into the program.
    pub fn embedded() -> Result<Self, Vec<VendorError>> {
        Self::from_texts(&SHIPPED)
    }

    /// Reads a table from texts, each with the file name it came from.
    pub fn from_texts(files: &[(&str, &str)]) -> Result<Self, Vec<VendorError>> {
        Reading::default().whole(&[files])
    }

    /// The table built into the program with an owner's files beside it: a vendor of theirs takes the place of
    /// the one with its id, their table of MAC prefixes that of the built-in one.
    pub fn extended(files: &[(&str, &str)]) -> Result<Self, Vec<VendorError>> {
        Reading::default().whole(&[&SHIPPED, files])
    }

    /// Every vendor, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &Vendor> {
        self.vendors.iter()
    }

    /// Finds a vendor by id, name or alias.
    pub fn find(&self, name: &str) -> Option<&Vendor> {
        self.index(name).and_then(|index| self.at(index))
    }

    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.names.get(&folded::joined(name)).copied()
    }

    /// The vendor whose name a text is, be it with "Co., Ltd." or the like.
    pub(super) fn company(&self, text: &Folded) -> Option<usize> {
        text.cores().find_map(|name| self.names.get(&name).copied())
    }

    pub(super) fn at(&self, index: usize) -> Option<&Vendor> {
        self.vendors.get(index)
    }

    pub(super) fn words(&self) -> &[(Needle, usize)] {
        &self.words
    }

    /// The table of MAC prefixes.
    pub fn macs(&self) -> &MacTable {
        &self.macs
    }

    /// The MAC prefixes of one vendor, shortest first.
    pub fn prefixes(&self, id: &str) -> Vec<MacPrefix> {
        self.index(id).map(|index| self.macs.of(index)).unwrap_or_default()
    }

    /// What the short name of a source stands for.
    pub fn source(&self, name: &str) -> Option<&str> {
        self.sources.get(name).map(String::as_str)
    }

    /// What a declared vendor name means. A name that is not in the table is `Unknown`.
    pub fn verdict(&self, declared: &str) -> VendorVerdict {
        let reason = format!("declared in configuration as `{declared}`");
        let (name, class, because) = match self.find(declared) {
            Some(vendor) => {
                let because = format!("{}: {}: {}", vendor.name, vendor.class, vendor.class_because);
                (vendor.id.as_str(), vendor.class, because)
            }
            None => {
                (declared, VendorClass::Unknown, "not in the vendor table: treated as restricted".to_owned())
            }
        };
        let (name, declared) = (name.to_owned(), Some(declared.to_owned()));
        let reasons = vec![reason, because];
        VendorVerdict { name, class, reasons, declared, decision: None, undecided: None }
    }

    /// Whether one of two makers owns the other or makes its cameras, or they share who does.
    pub(super) fn related(&self, one: usize, other: usize) -> bool {
        let others = self.family(other);
        self.family(one).iter().any(|it| others.contains(it))
    }

    fn family(&self, index: usize) -> Vec<usize> {
        let mut family = vec![index];
        let mut at = 0;
        while let Some(vendor) = family.get(at).and_then(|index| self.at(*index)) {
            let parent = vendor.parent.iter().filter_map(|it| it.vendor.as_deref());
            let makers = vendor.made_by.iter().map(|it| it.vendor.as_str());
            for kin in parent.chain(makers).filter_map(|id| self.index(id)) {
                if !family.contains(&kin) {
                    family.push(kin);
                }
            }
            at += 1;
        }
        family
    }

    /// Settles every class from seats, owners and makers.
    fn settle(&mut self) {
        let settled: Vec<_> =
            (0..self.vendors.len()).map(|index| self.settled(index, &mut Vec::new())).collect();
        for (vendor, (class, because)) in self.vendors.iter_mut().zip(settled) {
            (vendor.class, vendor.class_because) = (class, because);
        }
    }

    fn settled(&self, index: usize, asked: &mut Vec<usize>) -> (VendorClass, String) {
        let Some(vendor) = self.at(index).filter(|_| !asked.contains(&index)) else {
            return (VendorClass::Unknown, "its owners go round in a circle".to_owned());
        };
        if let Some(decision) = &vendor.decision {
            return (decision.class, decision.to_string());
        }
        let (seat, kin) = (&vendor.seat.is, self.kin(index, asked));
        if seat.iter().any(|it| it == RESTRICTED_SEAT) {
            return match seat.len() {
                1 => (
                    VendorClass::Restricted,
                    format!("seat in {RESTRICTED_SEAT} ({})", vendor.seat.confidence),
                ),
                _ => (
                    VendorClass::Review,
                    format!("seats in {} ({})", seat.join(", "), vendor.seat.confidence),
                ),
            };
        }
        if let Some(found) = kin {
            return found;
        }
        let own = vendor.own_make.as_ref().filter(|it| it.is).map(|it| it.confidence);
        if seat.is_empty() {
            (VendorClass::Unknown, "its seat was not found".to_owned())
        } else if vendor.seat.confidence <= Confidence::Contested {
            (VendorClass::Review, format!("its seat ({}) is {}", seat.join(", "), vendor.seat.confidence))
        } else if own.is_none_or(|own| own <= Confidence::Contested) {
            (VendorClass::Review, "who makes its cameras was not found out".to_owned())
        } else {
            (VendorClass::Trusted, format!("seat in {}; makes its cameras", seat.join(", ")))
        }
    }

    /// What follows from a vendor's owner and from who makes its cameras: the strictest.
    fn kin(&self, index: usize, asked: &mut Vec<usize>) -> Option<(VendorClass, String)> {
        let vendor = self.at(index)?;
        asked.push(index);
        let mut found: Vec<(VendorClass, String)> = Vec::new();
        if let Some((parent, id)) = vendor.parent.as_ref().and_then(|it| Some((it, it.vendor.as_ref()?))) {
            let (class, _) = self.settled(self.index(id)?, asked);
            let sure = parent.confidence > Confidence::Uncertain && class != VendorClass::Unknown;
            if class.is_restricted() {
                let class = if sure { class } else { VendorClass::Review };
                found.push((class, format!("belongs to {} ({})", parent.is, parent.confidence)));
            }
        }
        for maker in &vendor.made_by {
            let Some((class, _)) = self.index(&maker.vendor).map(|index| self.settled(index, asked)) else {
                continue;
            };
            let sure = maker.lines == Lines::All && maker.confidence > Confidence::Uncertain;
            let class = match class.is_restricted() {
                true if sure => VendorClass::OemRestricted,
                _ => VendorClass::Review,
            };
            let which = maker.which.as_ref().map(|it| format!(", {it}")).unwrap_or_default();
            found.push((class, format!("made by {}{which} ({})", maker.vendor, maker.confidence)));
        }
        asked.pop();
        found.into_iter().max_by_key(|(class, _)| class.strictness())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    vendor: Vec<Spanned<Vendor>>,
    #[serde(default)]
    sources: BTreeMap<String, String>,
    mac_prefixes: Option<Spanned<RawMacs>>,
}

/// A place in a file.
#[derive(Clone)]
struct Place<'a> {
    file: &'a str,
    text: &'a str,
    span: Range<usize>,
}

/// A table being read: everything that is wrong is told, as far as one can go on.
#[derive(Default)]
struct Reading<'a> {
    vendors: Vec<(Vendor, Place<'a>)>,
    sources: BTreeMap<String, String>,
    macs: Option<(RawMacs, Place<'a>)>,
    wrong: Vec<VendorError>,
}

impl<'a> Reading<'a> {
    /// Reads layers of files, a later one over those before.
    fn whole(mut self, layers: &[&[(&'a str, &'a str)]]) -> Result<Vendors, Vec<VendorError>> {
        for files in layers {
            let (mut ids, mut macs) = (BTreeSet::new(), None);
            for (file, text) in *files {
                self.file(file, text, &mut ids, &mut macs);
            }
            self.macs = macs.or(self.macs);
        }
        let table = self.table();
        if self.wrong.is_empty() { Ok(table) } else { Err(self.wrong) }
    }

    fn file(
        &mut self,
        file: &'a str,
        text: &'a str,
        ids: &mut BTreeSet<String>,
        macs: &mut Option<(RawMacs, Place<'a>)>,
    ) {
        let place = |span| Place { file, text, span };
        let read: File = match toml::from_str(text) {
            Ok(read) => read,
            Err(error) => {
                let at = place(error.span().unwrap_or(0..0));
                return self.tell(
                    &at,
                    error.message(),
                    "compare with config/vendors/sources.toml, which explains the keys",
                );
            }
        };
        self.sources.extend(read.sources);
        for vendor in read.vendor {
            let at = place(vendor.span());
            let vendor = vendor.into_inner();
            if !ids.insert(vendor.id.clone()) {
                self.tell(&at, format!("there are two vendors `{}`", vendor.id), "merge them");
                continue;
            }
            match self.vendors.iter_mut().find(|(it, _)| it.id == vendor.id) {
                Some(below) => *below = (vendor, at),
                None => self.vendors.push((vendor, at)),
            }
        }
        if let Some(table) = read.mac_prefixes {
            let at = place(table.span());
            if macs.is_some() {
                self.tell(
                    &at,
                    "there are two tables of MAC prefixes",
                    "keep one [mac_prefixes] in the folder",
                );
            }
            *macs = Some((table.into_inner(), at));
        }
    }

    fn table(&mut self) -> Vendors {
        let vendors = std::mem::take(&mut self.vendors);
        if vendors.len() > VENDORS_MAX {
            let at = vendors.last().map(|(_, at)| at.clone());
            let what = format!("there are more than {VENDORS_MAX} vendors");
            at.iter().for_each(|at| self.tell(at, &what, "leave out those you never meet"));
        }
        let macs = MacTable::new(Date::ZERO, "none".to_owned());
        let mut table = Vendors {
            vendors: vendors.iter().map(|(vendor, _)| vendor.clone()).collect(),
            names: HashMap::new(),
            sources: std::mem::take(&mut self.sources),
            macs,
            words: Vec::new(),
        };
        for (index, (vendor, at)) in vendors.iter().enumerate() {
            self.names(&mut table, index, vendor, at);
        }
        for (vendor, at) in &vendors {
            self.references(&table, vendor, at);
        }
        self.prefixes(&mut table, &vendors);
        table.settle();
        table
    }

    fn names(&mut self, table: &mut Vendors, index: usize, vendor: &Vendor, at: &Place<'_>) {
        for name in vendor.names() {
            let before = table.names.insert(folded::joined(name), index).filter(|before| *before != index);
            if let Some(first) = before.and_then(|before| table.vendors.get(before)) {
                let what = format!("`{name}` names both `{}` and `{}`", first.id, vendor.id);
                self.tell(at, what, "give each name to one vendor");
            }
        }
        for word in &vendor.words {
            let needle = Needle::new(word);
            if needle.as_str().chars().count() < WORD_CHARS_MIN {
                let what = format!("`{word}` is too short to be looked for in longer texts");
                self.tell(at, what, "leave it among the aliases alone");
            }
            table.words.push((needle, index));
        }
    }

    fn references(&mut self, table: &Vendors, vendor: &Vendor, at: &Place<'_>) {
        let parent = vendor.parent.iter().filter_map(|it| it.vendor.as_ref());
        for id in parent.chain(vendor.made_by.iter().map(|it| &it.vendor)) {
            if table.index(id).and_then(|it| table.at(it)).is_none_or(|it| it.id != *id) {
                let what = format!("`{}` names vendor `{id}`, which has no entry", vendor.id);
                self.tell(at, what, "correct the id or add the vendor");
            }
        }
        for name in vendor.sources().filter(|name| !table.sources.contains_key(*name)) {
            let what = format!("`{}` names source `{name}`, which is not explained", vendor.id);
            self.tell(at, what, "correct the name or add it to [sources]");
        }
        for seat in
            vendor.seat.is.iter().filter(|it| it.len() != 2 || !it.bytes().all(|it| it.is_ascii_uppercase()))
        {
            let what = format!("seat `{seat}` of `{}` is no country code", vendor.id);
            self.tell(at, what, "write the two capitals of ISO 3166-1");
        }
        if let Some(lack) = vendor.decision.as_ref().and_then(|it| it.lack()) {
            self.tell(at, format!("class of `{}`: {lack}", vendor.id), "fill in `by` and `because`");
        }
        let lists = [
            vendor.aliases.len(),
            vendor.words.len(),
            vendor.fingerprints.len(),
            vendor.facts.len(),
            vendor.made_by.len(),
            vendor.mac_holders.len(),
            vendor.mac_prefixes.len(),
        ];
        if lists.into_iter().any(|len| len > VENDOR_LIST_ITEMS_MAX) {
            let what = format!("a list of `{}` has more than {VENDOR_LIST_ITEMS_MAX} items", vendor.id);
            self.tell(at, what, "shorten it");
        }
    }

    fn prefixes(&mut self, table: &mut Vendors, vendors: &[(Vendor, Place<'_>)]) {
        if let Some((raw, at)) = self.macs.take() {
            table.macs = MacTable::new(raw.date, raw.source);
            for (id, prefixes) in &raw.of {
                match table.index(id).filter(|index| table.at(*index).is_some_and(|it| it.id == *id)) {
                    Some(index) => prefixes.iter().for_each(|text| self.prefix(table, index, text, &at)),
                    // The shipped table may know makers that an owner's folder leaves out.
                    None => tracing::debug!("no vendor `{id}` for its MAC prefixes"),
                }
            }
        }
        for (index, (vendor, at)) in vendors.iter().enumerate() {
            vendor.mac_prefixes.iter().for_each(|text| self.prefix(table, index, text, at));
        }
    }

    fn prefix(&mut self, table: &mut Vendors, index: usize, text: &str, at: &Place<'_>) {
        let Some(prefix) = MacPrefix::parse(text) else {
            return self.tell(at, format!("`{text}` is no MAC prefix"), "write 6, 7 or 9 hexadecimal digits");
        };
        if table.macs.len() >= MAC_PREFIXES_MAX {
            return self.tell(
                at,
                format!("there are more than {MAC_PREFIXES_MAX} MAC prefixes"),
                "shorten the table",
            );
        }
        let before = table.macs.give(prefix, index).and_then(|before| table.at(before));
        if let Some((first, second)) = before.zip(table.at(index)) {
            let what = format!("MAC prefix {prefix} is of both `{}` and `{}`", first.id, second.id);
            self.tell(at, what, "give it to one");
        }
    }

    fn tell(&mut self, at: &Place<'_>, what: impl fmt::Display, remedy: &str) {
        // A file of nothing but mistakes need not be told to its end.
        if self.wrong.len() < VENDOR_LIST_ITEMS_MAX {
            let line = at.text.get(..at.span.start).map_or(0, |before| before.matches('\n').count()) + 1;
            let what = what.to_string().trim().replace('\n', " ");
            self.wrong.push(VendorError { file: at.file.to_owned(), line, what, remedy: remedy.to_owned() });
        }
    }
}

/// Letters and digits of a name that is looked for in longer texts, so that no everyday word is.
const WORD_CHARS_MIN: usize = 4;

#[cfg(test)]
#[path = "vendors_tests.rs"]
mod tests;
