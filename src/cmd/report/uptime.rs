//! How long the gateway ran, and how long each zone's isolation was in force meanwhile, as the log has it.
//!
//! Isolation counts as in force from where the log says so, to where it says otherwise or the gateway ended: what was
//! between the last line before a crash and the next start is nobody's knowledge. Of a log whose first lines retention
//! deleted, the gateway ran from the first line on; a zone of which the rest of that run says that its isolation ended was
//! isolated until then, and of one of which it says nothing, nothing is known.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::isolation::Grade;

/// Times that zones were watched, and how they stood.
#[derive(Debug, Default)]
pub(super) struct Uptimes {
    /// How long the gateway ran.
    pub(super) running: SignedDuration,
    /// When it started last, while it runs.
    started: Option<Timestamp>,
    /// The last line.
    last: Option<Timestamp>,
    zones: BTreeMap<String, InForce>,
    /// Before this only how all stands is taken up, and no time.
    from: Option<Timestamp>,
    /// Since when the run lasts in the middle of which the log begins, while it does.
    cut: Option<Timestamp>,
    /// How long it lasted.
    untold: SignedDuration,
}

/// How one zone's isolation stood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct InForce {
    /// How long it was in force.
    pub(super) lasted: SignedDuration,
    /// How often that ended while the gateway ran.
    pub(super) interruptions: u64,
    /// How often something was found changed.
    pub(super) drifts: u64,
    /// How long the gateway ran without a word in the log of how it stood.
    pub(super) untold: SignedDuration,
    /// How well it was kept apart, as said last.
    pub(super) grade: Option<Grade>,
    since: Option<Timestamp>,
    /// Whether the run in the middle of which the log begins says how it stood.
    told: bool,
}

impl Uptimes {
    /// Of what is not before a time.
    pub(super) fn since(from: Option<Timestamp>) -> Self {
        Self { from, ..Self::default() }
    }

    /// Takes a line of the log, whenever it was written.
    pub(super) fn take(&mut self, time: Timestamp, what: Option<&str>, detail: &Value) {
        if self.last.is_none() && what != Some("log-open") {
            (self.started, self.cut) = (Some(time), Some(time));
        }
        if let Some(from) = self.from.filter(|from| time >= *from) {
            self.begin(from);
        }
        match what {
            // Opening the log is the first that a gateway does, also after a crash.
            Some("log-open") => {
                self.stop(self.last.unwrap_or(time));
                self.started = Some(time);
            }
            Some("stop") => self.stop(time),
            Some(ISOLATION) => {
                let state = detail.get("state").and_then(Value::as_str);
                let cut = self.cut;
                if let Some(zone) = self.zone(detail) {
                    zone.is(state == Some(IN_FORCE), time, cut);
                    let grade = detail.get("grade").and_then(Value::as_str).and_then(Grade::parse);
                    zone.grade = grade.or(zone.grade);
                }
            }
            Some(DRIFT) => self.zone(detail).into_iter().for_each(|zone| zone.drifts += 1),
            _ => {}
        }
        self.last = Some(time);
    }

    /// Ends at the last line.
    pub(super) fn end(&mut self) {
        if let Some(from) = self.from {
            self.begin(from);
        }
        if let Some(last) = self.last {
            self.stop(last);
        }
    }

    /// How a zone's isolation stood.
    pub(super) fn of(&self, zone: &str) -> InForce {
        let zone = self.zones.get(zone).cloned().unwrap_or_default();
        let untold = if zone.told { SignedDuration::ZERO } else { self.untold };
        InForce { untold, ..zone }
    }

    /// Forgets all times before this; what holds then goes on.
    fn begin(&mut self, from: Timestamp) {
        (self.from, self.running, self.untold) = (None, SignedDuration::ZERO, SignedDuration::ZERO);
        (self.started, self.cut) = (self.started.map(|_| from), self.cut.map(|_| from));
        self.last = self.last.map(|_| from);
        for zone in self.zones.values_mut() {
            let (since, told, grade) = (zone.since.map(|_| from), zone.told, zone.grade);
            *zone = InForce { since, told, grade, ..InForce::default() };
        }
    }

    fn zone(&mut self, detail: &Value) -> Option<&mut InForce> {
        let name = detail.get("zone").and_then(Value::as_str)?;
        Some(self.zones.entry(name.to_owned()).or_default())
    }

    fn stop(&mut self, time: Timestamp) {
        if let Some(started) = self.started.take() {
            self.running += time.duration_since(started);
        }
        if let Some(cut) = self.cut.take() {
            self.untold += time.duration_since(cut);
        }
        self.zones.values_mut().for_each(|zone| zone.over(time));
    }
}

impl InForce {
    fn is(&mut self, in_force: bool, time: Timestamp, cut: Option<Timestamp>) {
        if cut.is_some() && !std::mem::replace(&mut self.told, true) && !in_force {
            self.since = cut;
        }
        if in_force {
            self.since.get_or_insert(time);
        } else if self.since.is_some() {
            self.interruptions += 1;
            self.over(time);
        }
    }

    fn over(&mut self, time: Timestamp) {
        if let Some(since) = self.since.take() {
            self.lasted += time.duration_since(since);
        }
    }
}

/// The event that says how a zone's isolation stands from now on.
const ISOLATION: &str = "isolation";
const IN_FORCE: &str = "in force";
/// The event for what was found changed.
const DRIFT: &str = "isolation-drift";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn isolation_is_in_force_from_where_the_log_says_so_while_the_gateway_runs() {
        let mut uptimes = Uptimes::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let is = |zone: &str, state: &str| json!({ "zone": zone, "state": state });
        for (second, what, detail) in [
            (100, "log-open", Value::Null),
            (105, ISOLATION, is("a", "in force")),
            (106, "start", Value::Null),
            (106, ISOLATION, is("b", "not in force")),
            (110, ISOLATION, is("a", "in force")),
            (120, ISOLATION, is("a", "not in force")),
            (121, DRIFT, json!({ "zone": "a" })),
            (130, ISOLATION, is("a", "in force")),
            // It crashed, and started again later.
            (160, "other", Value::Null),
            (500, "log-open", Value::Null),
            (502, ISOLATION, is("a", "in force")),
            (510, "stop", Value::Null),
            (900, "log-open", Value::Null),
        ] {
            uptimes.take(at(second), Some(what), &detail);
        }
        uptimes.end();
        assert_eq!(uptimes.running.as_secs(), 60 + 10);
        let told = |zone| {
            let InForce { lasted, interruptions, drifts, .. } = uptimes.of(zone);
            (lasted.as_secs(), interruptions, drifts)
        };
        assert_eq!((told("a"), told("b"), told("c")), ((15 + 30 + 8, 1, 1), (0, 0, 0), (0, 0, 0)));
    }

    /// Lines of a log by second.
    type Lines<'a> = &'a [(i64, &'a str, Value)];

    fn state(zone: &str, state: &str) -> Value {
        json!({ "zone": zone, "state": state })
    }

    /// How long the gateway ran since then; how long isolation of zone a was in force, and nobody knows; how often it ended.
    fn since(from: Option<i64>, lines: Lines<'_>) -> (i64, i64, i64, u64) {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut uptimes = Uptimes::since(from.map(at));
        lines.iter().for_each(|(second, what, detail)| uptimes.take(at(*second), Some(what), detail));
        uptimes.end();
        let a = uptimes.of("a");
        (uptimes.running.as_secs(), a.lasted.as_secs(), a.untold.as_secs(), a.interruptions)
    }

    #[test]
    fn the_grade_is_the_one_that_was_said_last() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut uptimes = Uptimes::since(Some(at(150)));
        for (second, grade) in [(100, "own interface"), (110, "virtual machine"), (120, "unknown")] {
            let detail = json!({ "zone": "a", "state": "in force", "grade": grade });
            uptimes.take(at(second), Some(ISOLATION), &detail);
        }
        uptimes.take(at(200), Some(ISOLATION), &state("a", "not in force"));
        uptimes.end();
        assert_eq!((uptimes.of("a").grade, uptimes.of("b").grade), (Some(Grade::Virtual), None));
    }

    #[test]
    fn what_was_before_a_time_is_known_and_not_counted() {
        let lines = [
            (100, "log-open", Value::Null),
            (105, ISOLATION, state("a", "in force")),
            (150, "other", Value::Null),
            (300, ISOLATION, state("a", "not in force")),
            (350, ISOLATION, state("a", "in force")),
            (400, "other", Value::Null),
        ];
        assert_eq!(since(None, &lines), (300, 195 + 50, 0, 1));
        // An outage within the span is one, though isolation came into force before it.
        assert_eq!(since(Some(200), &lines), (200, 100 + 50, 0, 1));
        assert_eq!(since(Some(310), &lines), (90, 50, 0, 0));
        assert_eq!(since(Some(900), &lines), (0, 0, 0, 0));
    }

    #[test]
    fn a_log_that_lost_its_first_lines_hides_no_outage() {
        let outage = [
            (100, "other", Value::Null),
            (300, ISOLATION, state("a", "not in force")),
            (400, "other", Value::Null),
        ];
        assert_eq!(since(None, &outage), (300, 200, 0, 1));
        assert_eq!(since(Some(350), &outage), (50, 0, 0, 0), "it goes on");
        let silent = [
            (100, "other", Value::Null),
            (200, ISOLATION, state("b", "in force")),
            (400, "stop", Value::Null),
            (500, "log-open", Value::Null),
            (505, ISOLATION, state("a", "in force")),
            (600, "stop", Value::Null),
        ];
        assert_eq!(since(None, &silent), (300 + 100, 95, 300, 0), "of the first run nobody knows");
    }
}
