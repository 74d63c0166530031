//! Alarms as they are told: on record, in the gateway's log, and to whoever asks what is active.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::json;

use crate::{
    alarm::{Active, Alarm, Board, CLEARED, Change, RAISED, Severity, Subject},
    audit::{Event, Log},
    clock::Clock,
    limits::ALARM_DETAIL_CHARS_MAX,
};

/// The alarms of one gateway. Clones are the same.
#[derive(Clone)]
pub struct Alarms(Arc<Inner>);

struct Inner {
    board: Mutex<Board>,
    log: Log,
    clock: Arc<dyn Clock>,
}

impl Alarms {
    /// Records changes in this log.
    pub fn new(log: Log, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { board: Mutex::default(), log, clock }))
    }

    /// Says that something is the case: told if it was not before.
    pub fn raise(&self, alarm: Alarm, subject: Subject, detail: &str) {
        // Much of it comes from the system; none of it may break a line of the log.
        let plain = |letter: &char| !letter.is_control();
        let detail: String = detail.chars().filter(plain).take(ALARM_DETAIL_CHARS_MAX).collect();
        let mut board = self.board();
        let change = board.raise(alarm, subject, &detail, self.time());
        self.tell(change.as_slice());
    }

    /// Says that something is well: told once it has been for a while.
    pub fn clear(&self, alarm: Alarm, subject: &Subject) {
        self.board().clear(alarm, subject, self.0.clock.monotonic());
    }

    /// Raises or clears.
    pub fn set(&self, alarm: Alarm, subject: Subject, trouble: Option<&str>) {
        match trouble {
            Some(detail) => self.raise(alarm, subject, detail),
            None => self.clear(alarm, &subject),
        }
    }

    /// Ends alarms that have been calm for long enough. Called every `ALARM_LOOK_INTERVAL`.
    pub fn settle(&self) {
        let mut board = self.board();
        let changes = board.settle(self.0.clock.monotonic());
        self.tell(&changes);
    }

    /// Ends alarms about what is not there any more, after a reload.
    pub fn forget(&self, gone: impl Fn(&Subject) -> bool) {
        let mut board = self.board();
        let changes = board.forget(gone);
        self.tell(&changes);
    }

    /// What is active, in the order of the catalogue, and how many alarms were left out.
    pub fn active(&self) -> (Vec<Active>, u64) {
        let board = self.board();
        (board.active(), board.left_out())
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn time(&self) -> (Duration, Timestamp) {
        (self.0.clock.monotonic(), self.0.clock.now())
    }

    /// Called with the board's lock, so that the record has changes in the order they were made.
    fn tell(&self, changes: &[Change]) {
        for change in changes {
            let (what, active) = match change {
                Change::Raised(active) => (RAISED, active),
                Change::Cleared(active) => (CLEARED, active),
            };
            log_line(what, active);
            let camera = match &active.subject {
                Subject::Camera(id) => Some(id.to_string()),
                _ => None,
            };
            let event = Event { camera, ..Event::new(what, detail(active)) };
            if let Err(error) = self.0.log.note(event) {
                tracing::error!(%error, alarm = active.alarm.entry().id, "an alarm could not be recorded");
            }
        }
    }
}

/// An alarm as records and `/alarms` have it.
pub fn detail(active: &Active) -> serde_json::Value {
    let entry = active.alarm.entry();
    json!({
        "id": entry.id,
        "severity": entry.severity.as_str(),
        "subject": active.subject.to_string(),
        "since": format!("{:.6}", active.since),
        "repeats": active.repeats,
        "found": active.detail,
        "meaning": entry.meaning,
        "remedy": entry.remedy,
    })
}

fn log_line(what: &str, active: &Active) {
    let entry = active.alarm.entry();
    let (id, subject, found) = (entry.id, active.subject.to_string(), active.detail.as_str());
    let (meaning, remedy) = (entry.meaning, entry.remedy);
    match (what, entry.severity) {
        (CLEARED, _) => tracing::info!(id, subject, repeats = active.repeats, "alarm cleared"),
        (_, Severity::Critical | Severity::Error) => {
            tracing::error!(id, subject, found, remedy, "ALARM: {meaning}");
        }
        (_, Severity::Warning) => tracing::warn!(id, subject, found, remedy, "ALARM: {meaning}"),
    }
}
