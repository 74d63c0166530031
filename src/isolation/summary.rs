//! Much of the same, told in few lines with exact counts: who did what how often within a period.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{
    SUMMARY_AT_ONCE_MAX, SUMMARY_KEYS_MAX, SUMMARY_KEYS_PER_LINE_MAX, SUMMARY_KNOWN_PER_SOURCE_MAX,
    SUMMARY_LINES_MAX, SUMMARY_OTHERS_MAX, SUMMARY_OTHERS_PER_LINE_MAX, SUMMARY_SOURCES_MAX,
};

/// What sources (`S`) did (`K`) in the period that runs, and what they are known to have done before.
#[derive(Debug)]
pub struct Summary<S, K> {
    sources: BTreeMap<S, Share<K>>,
    /// Keys that are counted apart in this period, over all sources.
    keys: usize,
    /// Counts of sources for which there is no place.
    beyond: u64,
    /// Lines told in this period already.
    told: usize,
    /// And whether the source is one of ours.
    known: BTreeMap<S, (BTreeSet<K>, bool)>,
    /// Which keys are counted aside too.
    aside: fn(&K) -> bool,
}

/// One source's part.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Share<K> {
    keys: BTreeMap<K, u64>,
    /// Those that the source was never seen with before.
    fresh: BTreeSet<K>,
    /// Counts of keys for which there is no place.
    beyond: u64,
    /// Of all these, those of keys that are counted aside.
    aside: u64,
    told_at_once: bool,
    /// Whether it is one of ours, which are told first.
    ours: bool,
}

/// What one source did: a line of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<S, K> {
    /// Who.
    pub source: S,
    /// How often in all, exactly.
    pub count: u64,
    /// Of these, of keys that are counted aside, exactly.
    pub aside: u64,
    /// The most frequent, and before them what was seen for the first time: key, count, whether it is the first time.
    pub keys: Vec<(K, u64, bool)>,
    /// Keys that are not named here.
    pub more_keys: u64,
}

/// What a period leaves to tell at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<S, K> {
    /// Sources with a line of their own.
    pub lines: Vec<Line<S, K>>,
    /// Sources beyond these, each with its exact count, and what of it is counted aside, in portions for a line each.
    pub others: Vec<Vec<(S, u64, u64)>>,
    /// How many sources are not named, as far as they could be told apart.
    pub rest_sources: u64,
    /// What these did in all, exactly.
    pub rest_count: u64,
}

impl<S, K> Default for Summary<S, K> {
    fn default() -> Self {
        Self::counting_aside(|_| false)
    }
}

impl<S, K> Summary<S, K> {
    /// That counts such keys aside too.
    pub fn counting_aside(aside: fn(&K) -> bool) -> Self {
        Self { sources: BTreeMap::new(), keys: 0, beyond: 0, told: 0, known: BTreeMap::new(), aside }
    }
}

impl<S: Ord + Clone, K: Ord + Clone> Summary<S, K> {
    /// Counts. Whether it is the first time that this source is seen with this key. One of ours always has a place: there
    /// are only so many of these, and no number of invented sources may hide them.
    pub fn add(&mut self, source: &S, key: &K, count: u64, ours: bool) -> bool {
        let fresh = self.remember(source, key, ours);
        if !ours && !self.sources.contains_key(source) && self.sources.len() >= SUMMARY_SOURCES_MAX {
            self.beyond += count;
            return fresh;
        }
        let share = self.sources.entry(source.clone()).or_insert_with(Share::new);
        share.ours |= ours;
        if (self.aside)(key) {
            share.aside += count;
        }
        if let Some(known) = share.keys.get_mut(key) {
            *known += count;
        } else if self.keys < SUMMARY_KEYS_MAX {
            self.keys += 1;
            share.keys.insert(key.clone(), count);
        } else {
            share.beyond += count;
        }
        if fresh {
            share.fresh.insert(key.clone());
        }
        fresh
    }

    /// True the first time, as far as it can be remembered: a source that does ever new things is news only so
    /// often.
    fn remember(&mut self, source: &S, key: &K, ours: bool) -> bool {
        if !ours && !self.known.contains_key(source) && self.known.len() >= SUMMARY_SOURCES_MAX {
            return false;
        }
        let (known, of_ours) = self.known.entry(source.clone()).or_default();
        *of_ours |= ours;
        known.len() < SUMMARY_KNOWN_PER_SOURCE_MAX && known.insert(key.clone())
    }

    /// What must not wait for the end of the period: sources that do something for the first time. One line for
    /// each source and period, and a bounded number of them; the rest waits.
    pub fn at_once(&mut self) -> Vec<Line<S, K>> {
        let places = SUMMARY_AT_ONCE_MAX.saturating_sub(self.told);
        let news = |share: &Share<K>| !share.fresh.is_empty() && !share.told_at_once;
        let mut lines = Vec::new();
        for ours in [true, false] {
            let those = self.sources.iter_mut().filter(|(_, share)| share.ours == ours && news(share));
            for (source, share) in those.take(places - lines.len()) {
                lines.push(share.line(source));
                self.keys -= share.keys.len();
                *share = Share { told_at_once: true, ours, ..Share::new() };
            }
        }
        self.told += lines.len();
        lines
    }

    /// Ends the period and tells all that was not told.
    pub fn end(&mut self) -> Told<S, K> {
        let places = SUMMARY_LINES_MAX.saturating_sub(std::mem::take(&mut self.told));
        self.keys = 0;
        // Full of sources that are gone it would tell nothing new again.
        if self.known.len() >= SUMMARY_SOURCES_MAX {
            let Self { known, sources, .. } = self;
            known.retain(|source, (_, ours)| *ours || sources.contains_key(source));
        }
        let shares = std::mem::take(&mut self.sources).into_iter().filter(|(_, share)| share.count() > 0);
        let mut shares: Vec<(S, Share<K>)> = shares.collect();
        shares.sort_by_key(|(_, share)| {
            std::cmp::Reverse((share.ours, !share.fresh.is_empty(), share.count()))
        });
        let others = shares.split_off(places.min(shares.len()));
        let named = others.iter().take(SUMMARY_OTHERS_MAX);
        let rest = others.iter().skip(SUMMARY_OTHERS_MAX);
        Told {
            lines: shares.iter().map(|(source, share)| share.line(source)).collect(),
            others: portions(
                named.map(|(source, share)| (source.clone(), share.count(), share.aside)).collect(),
            ),
            rest_sources: rest.clone().count() as u64,
            rest_count: rest.map(|(_, share)| share.count()).sum::<u64>() + std::mem::take(&mut self.beyond),
        }
    }
}

impl<S, K> Told<S, K> {
    /// Makes the records for all but the sources with a line of their own, of portions, what is not named (sources
    /// and count) and what else there is to tell, which stands in the last.
    pub(super) fn summaries<T>(
        self,
        also: bool,
        make: impl Fn(Vec<(S, u64, u64)>, Option<(u64, u64)>) -> T,
    ) -> Vec<T> {
        let Self { mut others, rest_sources, rest_count, .. } = self;
        let last = others.pop();
        if last.is_none() && rest_count == 0 && !also {
            return Vec::new();
        }
        let mut made: Vec<T> = others.into_iter().map(|it| make(it, None)).collect();
        made.push(make(last.unwrap_or_default(), Some((rest_sources, rest_count))));
        made
    }
}

fn portions<T>(all: Vec<T>) -> Vec<Vec<T>> {
    let mut portions: Vec<Vec<T>> = Vec::new();
    for one in all {
        match portions.last_mut().filter(|it| it.len() < SUMMARY_OTHERS_PER_LINE_MAX) {
            Some(portion) => portion.push(one),
            None => portions.push(vec![one]),
        }
    }
    portions
}

impl<K: Ord + Clone> Share<K> {
    fn new() -> Self {
        let (keys, fresh) = (BTreeMap::new(), BTreeSet::new());
        Self { keys, fresh, beyond: 0, aside: 0, told_at_once: false, ours: false }
    }

    fn count(&self) -> u64 {
        self.keys.values().sum::<u64>() + self.beyond
    }

    fn line<S: Clone>(&self, source: &S) -> Line<S, K> {
        let mut keys: Vec<(K, u64, bool)> =
            self.keys.iter().map(|(key, count)| (key.clone(), *count, self.fresh.contains(key))).collect();
        keys.sort_by_key(|(_, count, fresh)| std::cmp::Reverse((*fresh, *count)));
        let more_keys = keys.len().saturating_sub(SUMMARY_KEYS_PER_LINE_MAX) as u64;
        keys.truncate(SUMMARY_KEYS_PER_LINE_MAX);
        Line { source: source.clone(), count: self.count(), aside: self.aside, keys, more_keys }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything told of a period together.
    fn total(told: &Told<usize, usize>) -> u64 {
        let lines: u64 = told.lines.iter().map(|it| it.count).sum();
        let others: u64 = told.others.iter().flatten().map(|it| it.1).sum();
        lines + others + told.rest_count
    }

    #[test]
    fn what_is_new_is_told_at_once_and_what_follows_at_the_end() {
        let mut summary = Summary::default();
        assert!(summary.add(&"gate", &"a", 3, false));
        let first = Line { source: "gate", count: 3, aside: 0, keys: vec![("a", 3, true)], more_keys: 0 };
        assert_eq!(summary.at_once(), vec![first]);
        assert!(!summary.add(&"gate", &"a", 4, false));
        assert!(summary.add(&"gate", &"b", 1, false), "another key is new");
        assert_eq!(summary.at_once(), vec![], "a source is told at once only once in a period");
        let told = summary.end();
        let line = Line {
            source: "gate",
            count: 5,
            aside: 0,
            keys: vec![("b", 1, true), ("a", 4, false)],
            more_keys: 0,
        };
        assert_eq!(told, Told { lines: vec![line], others: vec![], rest_sources: 0, rest_count: 0 });
        summary.add(&"gate", &"a", 1, false);
        assert_eq!(summary.at_once(), vec![], "known from the period before");
        assert_eq!(summary.end().lines.len(), 1);
        assert_eq!(summary.end().lines, vec![], "nothing happened");
    }

    #[test]
    fn few_lines_hold_much_and_every_count_is_exact() {
        let mut summary = Summary::default();
        let mut counted = 0;
        let sources = SUMMARY_SOURCES_MAX + 7;
        for source in 0..sources {
            for key in 0..4 {
                summary.add(&source, &key, 2, false);
                counted += 2;
            }
        }
        let at_once = summary.at_once();
        assert_eq!(at_once.len(), SUMMARY_AT_ONCE_MAX);
        assert_eq!(summary.at_once(), vec![], "there is no place for more at once");
        let told = summary.end();
        assert_eq!(told.lines.len(), SUMMARY_LINES_MAX - SUMMARY_AT_ONCE_MAX);
        assert_eq!(told.others.concat().len(), SUMMARY_OTHERS_MAX);
        assert!(told.others.iter().all(|it| it.len() <= SUMMARY_OTHERS_PER_LINE_MAX));
        let named = SUMMARY_LINES_MAX + SUMMARY_OTHERS_MAX;
        assert_eq!(told.rest_sources, (SUMMARY_SOURCES_MAX - named) as u64);
        let before: u64 = at_once.iter().map(|it| it.count).sum();
        assert_eq!(before + total(&told), counted);
    }

    #[test]
    fn a_source_with_more_keys_than_fit_is_counted_exactly_too() {
        let mut summary = Summary::default();
        let keys = SUMMARY_KEYS_MAX + 3;
        let fresh = (0..keys).filter(|key| summary.add(&0, key, 1, false)).count();
        assert_eq!(fresh, SUMMARY_KNOWN_PER_SOURCE_MAX, "ever new things are no news");
        let line = &summary.at_once()[0];
        assert_eq!((line.count, line.keys.len()), (keys as u64, SUMMARY_KEYS_PER_LINE_MAX));
        assert_eq!(line.more_keys, (SUMMARY_KEYS_MAX - SUMMARY_KEYS_PER_LINE_MAX) as u64);
        assert!(summary.add(&1, &0, 1, false), "another source still is");
        assert_eq!(total(&summary.end()), 1);
    }

    #[test]
    fn no_number_of_invented_sources_hides_one_of_ours() {
        let mut summary = Summary::counting_aside(|key| *key == 9);
        for source in 1..=SUMMARY_SOURCES_MAX {
            summary.add(&source, &1, 1, false);
        }
        let last = SUMMARY_SOURCES_MAX + 1;
        assert!(!summary.add(&last, &1, 1, false), "there is no place for more strangers");
        assert!(summary.add(&0, &1, 2, true) && !summary.add(&0, &1, 2, true));
        summary.add(&0, &9, 3, true);
        let line = &summary.at_once()[0];
        assert_eq!((line.source, line.count, line.aside), (0, 7, 3));
        summary.end();
        // Nobody of these comes again, and so a new one is news again.
        summary.end();
        assert!(summary.add(&last, &1, 1, false));
        assert!(!summary.add(&last, &1, 1, false));
        assert!(!summary.add(&0, &1, 1, true), "one of ours is not forgotten");
    }
}
