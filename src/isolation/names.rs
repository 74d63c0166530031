//! The names that a zone's cameras ask for: answered with refusals, counted, summed up by the minute. Pure.

use std::{collections::HashMap, hash::Hash, net::IpAddr, time::Duration};

use jiff::Timestamp;

use super::{
    records::{Asked, AskedSummary},
    sinkhole,
    summary::{Line, Summary},
};
use crate::limits::{SUMMARY_PERIOD, SUMMARY_SOURCES_MAX, ZONE_ANSWERS_PER_SECOND_MAX};

/// How often each source is answered within a second.
#[derive(Debug)]
pub struct Rates<S = IpAddr> {
    second: u64,
    answered: HashMap<S, u32>,
}

impl<S> Default for Rates<S> {
    fn default() -> Self {
        Self { second: 0, answered: HashMap::new() }
    }
}

impl<S: Copy + Eq + Hash> Rates<S> {
    /// Whether one more of a source is answered. `now` is monotonic.
    pub fn admit(&mut self, source: S, now: Duration) -> bool {
        if self.second != now.as_secs() {
            self.second = now.as_secs();
            self.answered.clear();
        }
        if self.answered.len() >= SUMMARY_SOURCES_MAX && !self.answered.contains_key(&source) {
            return false;
        }
        let answered = self.answered.entry(source).or_insert(0);
        *answered += 1;
        *answered <= ZONE_ANSWERS_PER_SECOND_MAX
    }
}

/// What is to be recorded of the names asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamesTold {
    /// Of sources with a line of their own.
    pub asked: Vec<(IpAddr, Asked)>,
    /// Of the others.
    pub summaries: Vec<AskedSummary>,
}

/// The name server of one zone.
#[derive(Debug)]
pub struct Names {
    zone: String,
    rates: Rates,
    summary: Summary<IpAddr, String>,
    unanswered: u64,
    since: (Duration, Timestamp),
}

impl Names {
    /// Begins with nothing asked.
    pub fn new(zone: &str, now: (Duration, Timestamp)) -> Self {
        let (rates, summary) = (Rates::default(), Summary::default());
        Self { zone: zone.to_owned(), rates, summary, unanswered: 0, since: now }
    }

    /// Hears a message; the refusal to send back, if one is due.
    pub fn hear(&mut self, source: IpAddr, message: &[u8], now: Duration) -> Option<Vec<u8>> {
        let asked = Some(message).filter(|_| self.rates.admit(source, now));
        let Some(question) = asked.and_then(|it| sinkhole::question(it).ok()) else {
            self.unanswered += 1;
            return None;
        };
        self.summary.add(&source, &format!("{} {}", question.name, question.kind), 1, false);
        Some(question.refusal)
    }

    /// What is to be told now: what was asked for the first time, and all of it when the minute is over or
    /// `last` is set.
    pub fn tell(&mut self, now: (Duration, Timestamp), last: bool) -> NamesTold {
        if !last && now.0.saturating_sub(self.since.0) < SUMMARY_PERIOD {
            let lines = self.summary.at_once();
            return NamesTold {
                asked: lines.iter().map(|it| self.asked(it)).collect(),
                summaries: Vec::new(),
            };
        }
        let told = self.summary.end();
        let asked = told.lines.iter().map(|it| self.asked(it)).collect();
        let unanswered = std::mem::take(&mut self.unanswered);
        let summaries = told.summaries(unanswered > 0, |sources, last| AskedSummary {
            zone: self.zone.clone(),
            since: self.since.1,
            sources: sources.iter().map(|(source, count, _)| (source.to_string(), *count)).collect(),
            rest_sources: last.map_or(0, |it| it.0),
            rest_questions: last.map_or(0, |it| it.1),
            unanswered: last.map_or(0, |_| unanswered),
        });
        self.since = now;
        NamesTold { asked, summaries }
    }

    fn asked(&self, line: &Line<IpAddr, String>) -> (IpAddr, Asked) {
        let told = Asked {
            zone: self.zone.clone(),
            source: line.source.to_string(),
            since: self.since.1,
            questions: line.count,
            names: line.keys.iter().map(|(name, count, _)| (name.clone(), *count)).collect(),
            more_names: line.more_keys,
        };
        (line.source, told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03dev\x07example\x00\x00\x01\x00\x01";

    fn at(seconds: u64) -> (Duration, Timestamp) {
        (Duration::from_secs(seconds), Timestamp::UNIX_EPOCH)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_refused_counted_and_told() {
        let (mut names, camera) = (Names::new("restricted", at(0)), address("192.0.2.10"));
        let refusal = names.hear(camera, QUERY, Duration::ZERO).unwrap();
        assert_eq!(refusal.len(), QUERY.len());
        let told = names.tell(at(1), false);
        assert_eq!(told.asked[0].1.names, [("dev.example A".to_owned(), 1)]);
        assert_eq!(told.asked[0].1.source, "192.0.2.10");
        for _ in 0..3 {
            names.hear(camera, QUERY, Duration::from_secs(2));
        }
        assert_eq!(names.hear(camera, b"nonsense", Duration::from_secs(2)), None);
        assert_eq!(names.tell(at(3), false), NamesTold::default(), "the minute is not over");
        let told = names.tell(at(60), false);
        assert_eq!((told.asked[0].1.questions, told.summaries[0].unanswered), (3, 1));
        assert_eq!(names.tell(at(180), true), NamesTold::default());
    }

    #[test]
    fn a_source_is_answered_so_often_and_the_rest_is_counted() {
        let (mut names, loud, quiet) =
            (Names::new("restricted", at(0)), address("192.0.2.10"), address("2001:db8::1"));
        let asked = ZONE_ANSWERS_PER_SECOND_MAX + 7;
        let answered = (0..asked).filter(|_| names.hear(loud, QUERY, Duration::ZERO).is_some()).count();
        assert_eq!(answered, ZONE_ANSWERS_PER_SECOND_MAX as usize);
        assert!(names.hear(quiet, QUERY, Duration::ZERO).is_some(), "another source is answered");
        assert!(names.hear(loud, QUERY, Duration::from_secs(1)).is_some(), "and so is this, a second later");
        let told = names.tell(at(2), true);
        assert_eq!(told.asked.iter().map(|it| it.1.questions).sum::<u64>(), u64::from(asked) - 7 + 2);
        assert_eq!(told.summaries[0].unanswered, 7);
    }

    #[test]
    fn more_sources_than_can_be_told_apart_are_not_answered() {
        let mut rates = Rates::default();
        let source = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
        for number in 0..SUMMARY_SOURCES_MAX {
            assert!(rates.admit(source(number), Duration::ZERO));
        }
        assert!(!rates.admit(source(SUMMARY_SOURCES_MAX), Duration::ZERO));
        assert!(rates.admit(source(SUMMARY_SOURCES_MAX), Duration::from_secs(1)));
    }
}
