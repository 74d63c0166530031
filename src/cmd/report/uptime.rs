//! How long the gateway ran, and how long each zone's isolation was in force meanwhile, as the log has it.
//!
//! Isolation counts as in force from where the log says so, to where it says otherwise or the gateway ended: what was
//! between the last line before a crash and the next start is nobody's knowledge.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

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
    since: Option<Timestamp>,
}

impl Uptimes {
    /// Takes a line of the log.
    pub(super) fn take(&mut self, time: Timestamp, what: Option<&str>, detail: &Value) {
        match what {
            // Opening the log is the first that a gateway does, also after a crash.
            Some("log-open") => {
                self.stop(self.last.unwrap_or(time));
                self.started = Some(time);
            }
            Some("stop") => self.stop(time),
            Some(ISOLATION) => {
                let state = detail.get("state").and_then(Value::as_str);
                if let Some(zone) = self.zone(detail) {
                    zone.is(state == Some(IN_FORCE), time);
                }
            }
            Some(DRIFT) => self.zone(detail).into_iter().for_each(|zone| zone.drifts += 1),
            _ => {}
        }
        self.last = Some(time);
    }

    /// Ends at the last line.
    pub(super) fn end(&mut self) {
        if let Some(last) = self.last {
            self.stop(last);
        }
    }

    /// How a zone's isolation stood.
    pub(super) fn of(&self, zone: &str) -> InForce {
        self.zones.get(zone).cloned().unwrap_or_default()
    }

    fn zone(&mut self, detail: &Value) -> Option<&mut InForce> {
        let name = detail.get("zone").and_then(Value::as_str)?;
        Some(self.zones.entry(name.to_owned()).or_default())
    }

    fn stop(&mut self, time: Timestamp) {
        if let Some(started) = self.started.take() {
            self.running += time.duration_since(started);
        }
        self.zones.values_mut().for_each(|zone| zone.over(time));
    }
}

impl InForce {
    fn is(&mut self, in_force: bool, time: Timestamp) {
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
}
