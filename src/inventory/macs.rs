//! MAC prefixes: which maker an address was given to.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use jiff::civil::Date;
use serde::Deserialize;

use crate::limits::MAC_TABLE_DAYS_MAX;

/// The beginning of MAC addresses that the IEEE gave to somebody: 24, 28 or 36 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacPrefix {
    bits: u8,
    value: u64,
}

impl MacPrefix {
    /// Reads 6, 7 or 9 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let bits = match text.len() {
            6 => 24,
            7 => 28,
            9 => 36,
            _ => return None,
        };
        let digits = text.bytes().all(|it| it.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(|value| Self { bits, value })
    }

    /// How many bits it has.
    pub fn bits(self) -> u8 {
        self.bits
    }
}

impl fmt::Display for MacPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$X}", self.value, width = usize::from(self.bits / 4))
    }
}

/// Reads a MAC address that is a maker's own: 12 hexadecimal digits, also in pairs with `:` or `-` between; not
/// one for groups, nor one that somebody chose by himself.
pub(super) fn mac(text: &str) -> Option<u64> {
    let plain = text.len() == 12;
    let paired = text.len() == 17 && [':', '-'].iter().any(|sign| text.split(*sign).map(str::len).eq([2; 6]));
    if !plain && !paired {
        return None;
    }
    let digits: String = text.chars().filter(|it| !matches!(it, ':' | '-')).collect();
    let all = digits.len() == 12 && digits.bytes().all(|it| it.is_ascii_hexdigit());
    let value = all.then(|| u64::from_str_radix(&digits, 16).ok()).flatten()?;
    (value >> 40 & 0b11 == 0).then_some(value)
}

/// `[mac_prefixes]` of the vendor files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMacs {
    #[serde(deserialize_with = "super::class::date")]
    pub(super) date: Date,
    pub(super) source: String,
    pub(super) of: BTreeMap<String, Vec<String>>,
}

/// The dated table of prefixes.
#[derive(Debug, Clone, PartialEq)]
pub struct MacTable {
    /// The day of the registries it was made from.
    pub date: Date,
    /// What it was made from.
    pub source: String,
    prefixes: HashMap<MacPrefix, usize>,
}

impl MacTable {
    pub(super) fn new(date: Date, source: String) -> Self {
        Self { date, source, prefixes: HashMap::new() }
    }

    /// Gives a prefix to a vendor; the vendor that has it already, if it is another.
    pub(super) fn give(&mut self, prefix: MacPrefix, vendor: usize) -> Option<usize> {
        self.prefixes.insert(prefix, vendor).filter(|before| *before != vendor)
    }

    /// The vendor whose prefix an address begins with, and the prefix: the longest one.
    pub(super) fn holder(&self, mac: u64) -> Option<(MacPrefix, usize)> {
        [36, 28, 24].into_iter().find_map(|bits| {
            let prefix = MacPrefix { bits, value: mac >> (48 - bits) };
            self.prefixes.get(&prefix).map(|vendor| (prefix, *vendor))
        })
    }

    /// The prefixes of one vendor, sorted.
    pub(super) fn of(&self, vendor: usize) -> Vec<MacPrefix> {
        let own = self.prefixes.iter().filter(|(_, holder)| **holder == vendor);
        let mut own: Vec<MacPrefix> = own.map(|(prefix, _)| *prefix).collect();
        own.sort_unstable();
        own
    }

    /// How many prefixes it has.
    pub fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// What is to be said of a table that is too old; none of one that is not.
    pub fn age_warning(&self, today: Date) -> Option<String> {
        let days = self.age_days(today);
        (days > MAC_TABLE_DAYS_MAX).then(|| {
            format!(
                "the table of MAC prefixes is {days} days old, and newer devices are not known by theirs; renew it with \
                 `cordon vendors import`"
            )
        })
    }

    /// Days from the registries to a day.
    pub fn age_days(&self, today: Date) -> i64 {
        i64::from(today.since(self.date).map_or(0, |span| span.get_days()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_that_a_maker_was_given() {
        for (text, wanted) in [
            ("58:03:fb:36:12:2a", Some(0x5803_fb36_122a)),
            ("58-03-FB-36-12-2A", Some(0x5803_fb36_122a)),
            ("5803FB36122A", Some(0x5803_fb36_122a)),
            ("58:03-fb:36:12:2a", None),
            ("58:03:fb:36:12:2", None),
            ("5803:FB3612", None),
            ("+803FB36122A", None),
            ("5a03fb36122a", None),
            ("5903fb36122a", None),
            ("٥803fb36122a", None),
            ("", None),
        ] {
            assert_eq!(mac(text), wanted, "{text}");
        }
    }

    #[test]
    fn the_longest_prefix_holds() {
        let mut table = MacTable::new(Date::constant(2026, 1, 1), "test".to_owned());
        for (prefix, vendor) in [("0050C2", 0), ("0050C2D", 1), ("0050C2DD6", 2)] {
            assert_eq!(table.give(MacPrefix::parse(prefix).unwrap(), vendor), None);
        }
        for (mac, vendor) in [(0x0050_c2dd_6fff, 2), (0x0050_c2dd_7000, 1), (0x0050_c2e0_0000, 0)] {
            assert_eq!(table.holder(mac).unwrap().1, vendor, "{mac:x}");
        }
        assert_eq!(table.holder(0x0050_c300_0000), None);
        assert_eq!(table.give(MacPrefix::parse("0050c2").unwrap(), 3), Some(0));
        assert_eq!(table.age_days(Date::constant(2026, 11, 25)), 328);
        assert_eq!(MacPrefix::parse("0050C2DD6").unwrap().to_string(), "0050C2DD6");
    }
}
