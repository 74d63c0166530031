//! A strict reader of OpenMetrics text (specification 1.0.0), which knows nothing of what wrote it.

use std::collections::{BTreeMap, BTreeSet};

/// Samples by name and labels as they stand, `name{label="value"}`.
#[derive(Debug)]
pub struct Scrape(pub BTreeMap<String, f64>);

impl Scrape {
    /// Reads a whole exposition, or panics with what is wrong.
    pub fn read(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("no EOF at the end: {text}"));
        let (mut samples, mut families) = (BTreeMap::new(), BTreeSet::new());
        let mut family: Option<(String, String)> = None;
        for line in body.split_terminator('\n') {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').unwrap();
                assert!(!text.is_empty() && is_name(name), "{line}");
                assert!(families.insert(name.to_owned()), "twice: {line}");
                family = Some((name.to_owned(), String::new()));
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                let (known, type_of) = family.as_mut().unwrap();
                assert!(known == name && type_of.is_empty(), "{line}");
                assert!(["counter", "gauge", "histogram", "info"].contains(&kind), "{line}");
                *type_of = kind.to_owned();
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
                let (known, kind) = family.as_ref().unwrap();
                check_series(series, known, kind);
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
                assert!(kind == "gauge" || value >= 0.0, "{line}");
                assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
            }
        }
        let scrape = Self(samples);
        scrape.check_histograms();
        scrape
    }

    /// One value; 0 for a series that is not there, for what never happened has none.
    pub fn value(&self, series: &str) -> f64 {
        self.0.get(series).copied().unwrap_or_default()
    }

    /// The series that begin like this.
    pub fn like(&self, start: &str) -> Vec<(&str, f64)> {
        self.0
            .iter()
            .filter(|(it, _)| it.starts_with(start))
            .map(|(it, value)| (it.as_str(), *value))
            .collect()
    }

    /// Which series of a family changed since, and by how much.
    pub fn since(&self, before: &Self, start: &str) -> Vec<(&str, f64)> {
        let mut changed = self.like(start);
        changed.iter_mut().for_each(|(series, value)| *value -= before.value(series));
        changed.retain(|(_, value)| *value != 0.0);
        changed
    }

    /// Buckets grow, and the last holds all.
    fn check_histograms(&self) {
        let mut checked = 0;
        for (series, count) in &self.0 {
            let Some((name, labels)) = series.split_once("_count") else { continue };
            let rest = labels.trim_start_matches('{').trim_end_matches('}');
            let all = |it: &&(&str, f64)| rest.is_empty() || it.0.contains(rest);
            let buckets = self.like(&format!("{name}_bucket{{"));
            let mut ends: Vec<(f64, f64)> = buckets.iter().filter(all).map(|it| (end(it.0), it.1)).collect();
            ends.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(ends.windows(2).all(|it| it[0].1 <= it[1].1), "{series}: {ends:?}");
            assert_eq!(ends.last(), Some(&(f64::INFINITY, *count)), "{series}");
            assert!(self.0.contains_key(&format!("{name}_sum{labels}")), "{series}");
            checked += 1;
        }
        assert!(checked > 0, "no histogram");
    }
}

fn end(series: &str) -> f64 {
    let end = series.split("le=\"").nth(1).unwrap().split('"').next().unwrap();
    if end == "+Inf" { f64::INFINITY } else { end.parse().unwrap() }
}

fn check_series(series: &str, family: &str, kind: &str) {
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("{series}"))),
        None => (series, ""),
    };
    let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{series} is not of {family}"));
    let suffixes: &[&str] = match kind {
        "counter" => &["_total"],
        "gauge" => &[""],
        "info" => &["_info"],
        _ => &["_bucket", "_count", "_sum"],
    };
    assert!(suffixes.contains(&suffix) && is_name(name), "{series} is no {kind}");
    let mut names = BTreeSet::new();
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{series}"));
        assert!(is_name(label) && names.insert(label), "{series}");
        let end = closing_quote(after).unwrap_or_else(|| panic!("{series}"));
        rest = after[end + 1..].strip_prefix(',').unwrap_or(&after[end + 1..]);
    }
}

/// Where the quote is that is not escaped.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, letter)| {
        let ends = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends.then_some(at)
    })
}

fn is_name(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    !name.is_empty() && name.chars().all(plain) && !name.starts_with(|it: char| it.is_ascii_digit())
}
