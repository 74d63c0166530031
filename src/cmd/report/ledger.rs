//! What the audit log says, summed up for a report: one pass over its lines, bounded, with exact totals.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::uptime::Uptimes;
use crate::{
    audit::{Decision, Query, SearchError, search},
    discovery::{DEVICE_FOUND, DeviceFound},
    isolation::{
        ASKED, ASKED_SUMMARY, Asked, AskedSummary, BLOCKED, BLOCKED_SUMMARY, Blocked, BlockedSummary,
        CORE_DEVICE, CoreDevice,
    },
    limits::REPORT_ROWS_MAX,
};

/// Which part of the log a report is about.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    /// Not before this.
    pub(super) since: Option<Timestamp>,
    /// Before this.
    pub(super) until: Option<Timestamp>,
    /// Only the lines before this one.
    pub(super) lines: u64,
}

/// The sums.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) records: u64,
    /// Lines that are records and cannot be understood: what they say is in no figure.
    pub(super) not_understood: u64,
    /// Commands that were permitted, whatever they were about.
    pub(super) permitted: u64,
    /// How often the gateway asked again under the record of its first question.
    pub(super) asked_again: u64,
    /// Times of the first and the last of them.
    pub(super) span: Option<(String, String)>,
    pub(super) cameras: BTreeMap<String, OnRecord>,
    /// Lines of cameras that are not in it, since there are too many.
    pub(super) cameras_left_out: u64,
    pub(super) denied: Rows<(String, String, String)>,
    /// Denials that observe mode let through.
    pub(super) observed: u64,
    /// Requests without credentials that were only counted.
    pub(super) left_out: u64,
    pub(super) attempts: Attempts,
    pub(super) asked: Rows<(String, String)>,
    /// Messages to the name server that were not answered, and questions of sources that are not named.
    pub(super) asked_unnamed: u64,
    pub(super) uptimes: Uptimes,
    /// Devices that were found in zones and are enrolled nowhere, by zone and address, as judged last; and when that was.
    pub(super) found: BTreeMap<(String, IpAddr), (DeviceFound, String)>,
    /// Records of those that have no place here.
    pub(super) found_left_out: u64,
    /// Restricted devices that were seen on the core side, and how often that is on record.
    pub(super) core: Rows<CoreDevice>,
}

/// Counts by key, of a bounded number of keys.
#[derive(Debug)]
pub(super) struct Rows<K> {
    pub(super) total: u64,
    pub(super) rows: BTreeMap<K, u64>,
    /// What has no row of its own.
    pub(super) rest: u64,
}

/// What the log says of one camera.
#[derive(Debug, Default)]
pub(super) struct OnRecord {
    pub(super) first: String,
    pub(super) last: String,
    pub(super) permitted: u64,
    pub(super) denied: u64,
    /// The maker and its class, as the last command was decided by.
    pub(super) vendor: Option<String>,
    pub(super) class: Option<String>,
}

/// What cameras tried to reach.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// Packets that were dropped while the gateway read the counters.
    pub(super) packets: u64,
    /// Packets that came before it began to.
    pub(super) before_start: u64,
    /// Of all these, those that lead nowhere beyond the link: discovery, and what is said to neighbours.
    pub(super) local: u64,
    /// Of all these, those of which no source is known.
    pub(super) of_nobody: u64,
    /// By zone and source.
    pub(super) sources: BTreeMap<(String, String), SourceSum>,
    /// Of sources that have no place here.
    pub(super) sources_left_out: u64,
    /// By destination, protocol and port.
    pub(super) destinations: Rows<(String, String, u16)>,
}

/// What one source tried to reach.
#[derive(Debug, Default)]
pub(super) struct SourceSum {
    pub(super) camera: Option<String>,
    /// Packets that may have led out.
    pub(super) packets: u64,
    /// Likewise, that came before reading began.
    pub(super) before_start: u64,
    /// Packets that lead nowhere beyond the link.
    pub(super) local: u64,
    pub(super) destinations: BTreeMap<(String, String, u16), u64>,
    /// Packets whose destinations are not named.
    pub(super) unnamed: u64,
}

impl<K> Default for Rows<K> {
    fn default() -> Self {
        Self { total: 0, rows: BTreeMap::new(), rest: 0 }
    }
}

impl<K: Ord> Rows<K> {
    pub(super) fn add(&mut self, key: K, count: u64) {
        self.total += count;
        let full = self.rows.len() >= REPORT_ROWS_MAX;
        match self.rows.entry(key) {
            std::collections::btree_map::Entry::Occupied(mut row) => *row.get_mut() += count,
            std::collections::btree_map::Entry::Vacant(_) if full => self.rest += count,
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(count);
            }
        }
    }

    fn add_rest(&mut self, count: u64) {
        self.total += count;
        self.rest += count;
    }

    /// The rows with the highest counts.
    pub(super) fn top(&self, count: usize) -> Vec<(&K, u64)> {
        let mut rows: Vec<(&K, u64)> = self.rows.iter().map(|(key, count)| (key, *count)).collect();
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        rows.truncate(count);
        rows
    }
}

/// As much of a line as is needed.
#[derive(Deserialize)]
struct Line<'a> {
    seq: u64,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    camera: Option<Cow<'a, str>>,
    #[serde(borrow)]
    vendor: Option<Cow<'a, str>>,
    #[serde(borrow)]
    vendor_class: Option<Cow<'a, str>>,
    #[serde(borrow)]
    operation: Option<Cow<'a, str>>,
    decision: Option<Decision>,
    #[serde(default)]
    policies: Vec<String>,
    #[serde(borrow)]
    fault: Option<Cow<'a, str>>,
    #[serde(borrow)]
    note: Option<Cow<'a, str>>,
    #[serde(borrow)]
    what: Option<Cow<'a, str>>,
    #[serde(default)]
    series: Value,
    #[serde(default)]
    detail: Value,
}

impl Ledger {
    /// Reads the log in a folder.
    pub(super) fn read(dir: &Path, span: Span) -> Result<Self, SearchError> {
        let mut ledger = Self { uptimes: Uptimes::since(span.since), ..Self::default() };
        // How isolation stands at the begin of the span is said before it.
        let query = Query { until: span.until, ..Query::default() };
        search(dir, &query, true, &mut |text| {
            match serde_json::from_slice::<Line<'_>>(text) {
                Ok(line) if line.seq < span.lines => {
                    let time: Option<Timestamp> = line.time.parse().ok();
                    if let Some(time) = time {
                        ledger.uptimes.take(time, line.what.as_deref(), &line.detail);
                    }
                    if time >= span.since {
                        ledger.take(&line);
                    }
                }
                Ok(_) => {}
                Err(_) => ledger.not_understood += 1,
            }
            Ok(())
        })?;
        ledger.uptimes.end();
        Ok(ledger)
    }

    fn take(&mut self, line: &Line<'_>) {
        self.records += 1;
        match &mut self.span {
            Some((_, last)) => (*line.time).clone_into(last),
            None => self.span = Some((line.time.to_string(), line.time.to_string())),
        }
        match self.camera(line) {
            Some(camera) => (*line.time).clone_into(&mut camera.last),
            None => self.cameras_left_out += u64::from(line.camera.is_some()),
        }
        match &*line.kind {
            "intent" => self.intent(line),
            "event" => self.event(line),
            "outcome" => {
                let times = line.series.get("times").and_then(Value::as_u64);
                self.asked_again += times.map_or(0, |times| times.saturating_sub(1));
            }
            _ => {}
        }
    }

    /// What stands here of the camera that a line is about.
    fn camera(&mut self, line: &Line<'_>) -> Option<&mut OnRecord> {
        let name = line.camera.as_deref()?;
        if !self.cameras.contains_key(name) {
            if self.cameras.len() >= REPORT_ROWS_MAX {
                return None;
            }
            let fresh = OnRecord { first: line.time.to_string(), ..OnRecord::default() };
            self.cameras.insert(name.to_owned(), fresh);
        }
        self.cameras.get_mut(name)
    }

    fn intent(&mut self, line: &Line<'_>) {
        let denied = match line.decision.unwrap_or_default() {
            Decision::Denied => true,
            Decision::Permitted => false,
            Decision::Observed => {
                self.observed += 1;
                false
            }
        };
        self.permitted += u64::from(!denied);
        if let Some(camera) = self.camera(line) {
            *(if denied { &mut camera.denied } else { &mut camera.permitted }) += 1;
            let own = |text: &Option<Cow<'_, str>>| text.as_deref().map(str::to_owned);
            camera.vendor = own(&line.vendor).or(camera.vendor.take());
            camera.class = own(&line.vendor_class).or(camera.class.take());
        }
        if denied {
            let camera = line.camera.as_deref().unwrap_or("-").to_owned();
            let operation = line.operation.as_deref().unwrap_or("-").to_owned();
            self.denied.add((camera, operation, reason(line)), 1);
        }
    }

    fn event(&mut self, line: &Line<'_>) {
        let camera = || line.camera.as_deref().map(str::to_owned);
        match line.what.as_deref().unwrap_or_default() {
            "requests-left-out" | "logins-left-out" => {
                self.left_out += line.detail.get("requests").and_then(Value::as_u64).unwrap_or(0);
            }
            BLOCKED => {
                if let Some(it) = read(&line.detail) {
                    self.attempts.take(it, camera());
                }
            }
            BLOCKED_SUMMARY => {
                if let Some(it) = read(&line.detail) {
                    self.attempts.take_summary(it);
                }
            }
            DEVICE_FOUND => {
                if let Some(it) = read::<DeviceFound>(&line.detail) {
                    let key = (it.zone.clone(), it.address);
                    if self.found.len() < REPORT_ROWS_MAX || self.found.contains_key(&key) {
                        self.found.insert(key, (it, line.time.to_string()));
                    } else {
                        self.found_left_out += 1;
                    }
                }
            }
            CORE_DEVICE => {
                if let Some(it) = read(&line.detail) {
                    self.core.add(it, 1);
                }
            }
            ASKED => {
                if let Some(it) = read::<Asked>(&line.detail) {
                    let named: u64 = it.names.iter().map(|(_, count)| count).sum();
                    let who = camera().unwrap_or(it.source);
                    it.names.into_iter().for_each(|(name, count)| self.asked.add((name, who.clone()), count));
                    self.asked.add_rest(it.questions.saturating_sub(named));
                }
            }
            ASKED_SUMMARY => {
                if let Some(it) = read::<AskedSummary>(&line.detail) {
                    let sources: u64 = it.sources.iter().map(|(_, count)| count).sum();
                    self.asked.add_rest(sources + it.rest_questions);
                    self.asked_unnamed += it.unanswered;
                }
            }
            _ => {}
        }
    }
}

impl Attempts {
    fn take(&mut self, it: Blocked, camera: Option<String>) {
        self.count(it.packets, it.local, it.before_start);
        let out = it.packets.saturating_sub(it.local);
        let leading: Vec<_> = it.destinations.into_iter().filter(|flow| !flow.local).collect();
        for flow in &leading {
            self.destinations.add((flow.to.clone(), flow.protocol.clone(), flow.port), flow.packets);
        }
        let named: u64 = leading.iter().map(|flow| flow.packets).sum();
        self.destinations.add_rest(out.saturating_sub(named));
        let Some(sum) = self.source(&it.zone, &it.source, (it.packets, it.local), it.before_start) else {
            return;
        };
        sum.camera = camera.or(sum.camera.take());
        for flow in leading {
            let key = (flow.to, flow.protocol, flow.port);
            if sum.destinations.len() < DESTINATIONS_PER_SOURCE_MAX || sum.destinations.contains_key(&key) {
                *sum.destinations.entry(key).or_insert(0) += flow.packets;
            } else {
                sum.unnamed += flow.packets;
            }
        }
        sum.unnamed += out.saturating_sub(named);
    }

    fn take_summary(&mut self, it: BlockedSummary) {
        let local = it.local.into_iter().chain(std::iter::repeat(0));
        for ((source, packets), local) in it.sources.into_iter().zip(local) {
            self.count(packets, local, it.before_start);
            let out = packets.saturating_sub(local);
            self.destinations.add_rest(out);
            if let Some(sum) = self.source(&it.zone, &source, (packets, local), it.before_start) {
                sum.unnamed += out;
            }
        }
        let nobodys = it.rest_packets + it.not_attributed;
        self.count(nobodys, 0, it.before_start);
        self.destinations.add_rest(nobodys);
        self.of_nobody += nobodys;
    }

    /// Says whose the sources are of which no line does: where many send at once, their addresses alone are told.
    pub(super) fn enrol(&mut self, cameras: &BTreeMap<(String, String), String>) {
        for (source, sum) in &mut self.sources {
            if sum.camera.is_none() {
                sum.camera = cameras.get(source).cloned();
            }
        }
    }

    fn count(&mut self, packets: u64, local: u64, before_start: bool) {
        *(if before_start { &mut self.before_start } else { &mut self.packets }) += packets;
        self.local += local;
    }

    /// Adds packets, and those of them that lead nowhere, to those of a source.
    fn source(
        &mut self,
        zone: &str,
        source: &str,
        (packets, local): (u64, u64),
        before: bool,
    ) -> Option<&mut SourceSum> {
        let key = (zone.to_owned(), source.to_owned());
        if self.sources.len() >= REPORT_ROWS_MAX && !self.sources.contains_key(&key) {
            self.sources_left_out += packets;
            return None;
        }
        let sum = self.sources.entry(key).or_default();
        *(if before { &mut sum.before_start } else { &mut sum.packets }) += packets.saturating_sub(local);
        sum.local += local;
        Some(sum)
    }
}

/// A detail that somebody else wrote is nobody's: it is passed over.
fn read<T: DeserializeOwned>(detail: &Value) -> Option<T> {
    T::deserialize(detail).ok()
}

/// Why something was denied: the policies that forbid it, else what the caller was told, else a note.
fn reason(line: &Line<'_>) -> String {
    if !line.policies.is_empty() {
        return line.policies.join(" ");
    }
    let told = line.fault.as_deref().or(line.note.as_deref());
    told.unwrap_or("no policy permits it").to_owned()
}

const DESTINATIONS_PER_SOURCE_MAX: usize = 256;
