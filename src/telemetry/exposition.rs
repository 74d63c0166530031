//! The one place where metrics have their names: OpenMetrics text for `GET /metrics`.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};

use super::{
    count::{Histogram, Word},
    media::{EventReadings, ViewerMeter},
    metrics::{CameraHealth, CameraMeter, Metrics},
    process::Process,
};
use crate::{alarm::Active, ids::CameraId};

/// The content type of OpenMetrics text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is not counted but read when somebody asks.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    /// When the gateway started.
    pub started: Timestamp,
    /// The version of policies and schema.
    pub policy_version: String,
    /// `enforce` or `observe`.
    pub policy_mode: &'static str,
    /// Decisions that were remembered, and those that were made anew.
    pub decisions: (u64, u64),
    /// Listeners of virtual cameras that there should be, and those that accept connections.
    pub cameras: (usize, usize),
    /// Open connections, of virtual cameras and of the admin listener.
    pub connections: (usize, usize),
    /// How the audit log is.
    pub audit: AuditReadings,
    /// When the gateway's certificate ends, in seconds since 1970.
    pub certificate_ends: Option<i64>,
    /// What became of the events of cameras that somebody wanted some of.
    pub events: Vec<(CameraId, EventReadings)>,
    /// Memory of the events that are kept, in bytes.
    pub events_kept: usize,
    /// The active alarms.
    pub alarms: Vec<Active>,
    /// Alarms that were not raised since there were too many.
    pub alarms_left_out: u64,
}

/// How the audit log is.
#[derive(Debug, Clone, Default)]
pub struct AuditReadings {
    /// Whether new records can be made durable.
    pub writable: bool,
    /// Records that wait for the disk.
    pub queued: usize,
    /// Commands whose outcome is not yet known.
    pub awaited: usize,
    /// Places for both.
    pub places: usize,
    /// Durable lines.
    pub durable: u64,
    /// Lines covered by a checkpoint.
    pub signed: u64,
    /// How long ago the last checkpoint was signed.
    pub checkpoint_age: Duration,
    /// Commands in the emergency journal, its bytes in use, and all it has.
    pub journal: (usize, usize, usize),
    /// Outcomes that could not be recorded.
    pub lost_outcomes: u64,
}

/// Everything as OpenMetrics text.
pub fn render(metrics: &Arc<Metrics>, readings: Readings) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition { metrics: Arc::clone(metrics), readings }));
    let mut text = String::new();
    // Writing to a string cannot fail; an empty text would be no exposition, and the scrape would fail.
    if text::encode(&mut text, &registry).is_err() {
        text.clear();
    }
    text
}

#[derive(Debug)]
struct Exposition {
    metrics: Arc<Metrics>,
    readings: Readings,
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.gateway(&mut page)?;
        self.commands(&mut page)?;
        self.clients(&mut page)?;
        self.audit(&mut page)?;
        self.cameras(&mut page)?;
        self.streams(&mut page)?;
        self.viewers(&mut page)?;
        self.events(&mut page)?;
        self.zones(&mut page)?;
        process(&mut page)
    }
}

impl Exposition {
    fn gateway(&self, page: &mut Page<'_>) -> fmt::Result {
        let now = &self.readings;
        page.info("cordon_build", "The program", &[("version", env!("CARGO_PKG_VERSION"))])?;
        let policy = [("version", now.policy_version.as_str()), ("mode", now.policy_mode)];
        page.info("cordon_policy", "The policies in force", &policy)?;
        let started = now.started.as_second();
        page.gauge("process_start_time_seconds", "When the gateway started, since 1970", started)?;
        let mut family = page.gauges("cordon_virtual_cameras", "Listeners of virtual cameras by state")?;
        let (all, open) = now.cameras;
        gauge_of(&mut family, &[("state", "configured")], all)?;
        gauge_of(&mut family, &[("state", "open")], open)?;
        let mut family = page.gauges("cordon_alarm_active", "Alarms that are active; see /alarms")?;
        for active in &now.alarms {
            let entry = active.alarm.entry();
            let subject = active.subject.to_string();
            let labels =
                [("id", entry.id), ("severity", entry.severity.as_str()), ("subject", subject.as_str())];
            gauge_of(&mut family, &labels, 1_u64)?;
        }
        page.counter("cordon_alarms_left_out", "Alarms not raised since too many are", now.alarms_left_out)?;
        let mut family = page.counters("cordon_reloads", "Reloads of the configuration by result")?;
        for (result, count) in self.metrics.reloads.iter() {
            counter_of(&mut family, &[("result", result)], count)?;
        }
        let help = "Searches for virtual cameras by WS-Discovery, by what became of them";
        let mut family = page.counters("cordon_discovery_searches", help)?;
        for (result, count) in self.metrics.searches.iter() {
            counter_of(&mut family, &[("result", result)], count)?;
        }
        let help = "Messages that were left in the event sinks of zones, by what became of them";
        let mut family = page.counters("cordon_event_notices", help)?;
        for (result, count) in self.metrics.notices.iter() {
            counter_of(&mut family, &[("result", result)], count)?;
        }
        let sent = self.metrics.discovery_sent.load(Ordering::Relaxed);
        page.counter(
            "cordon_discovery_messages_sent",
            "Messages of WS-Discovery sent on the core side",
            sent,
        )?;
        let Some(ends) = now.certificate_ends else { return Ok(()) };
        page.gauge("cordon_certificate_ends_timestamp_seconds", "When the gateway's certificate ends", ends)
    }

    fn commands(&self, page: &mut Page<'_>) -> fmt::Result {
        let Metrics { commands, took, exchange, .. } = &*self.metrics;
        let mut family = page.counters("cordon_commands", "Commands by access class and decision")?;
        for (class, counts) in commands.iter() {
            for (decision, count) in counts.iter() {
                counter_of(&mut family, &[("class", class), ("decision", decision)], count)?;
            }
        }
        let help = "Time from a command's intent record to its outcome, by access class";
        let mut family = page.histograms("cordon_command_seconds", help)?;
        for (class, histogram) in took.iter() {
            histogram_of(family.encode_family(&[("class", class)])?, histogram)?;
        }
        let help = "Time of one exchange with a camera, waiting for a turn and login included";
        histogram_of(page.histograms("cordon_camera_exchange_seconds", help)?, exchange)?;
        let mut family = page.counters("cordon_policy_decisions", "Decisions by where they came from")?;
        let (known, made) = self.readings.decisions;
        counter_of(&mut family, &[("source", "cache")], known)?;
        counter_of(&mut family, &[("source", "policies")], made)
    }

    fn clients(&self, page: &mut Page<'_>) -> fmt::Result {
        let metrics = &*self.metrics;
        let mut family = page.counters("cordon_logins_refused", "Logins of clients refused, by reason")?;
        for (reason, count) in metrics.logins_refused.iter() {
            counter_of(&mut family, &[("reason", reason)], count.load(Ordering::Relaxed))?;
        }
        let help = "Commands refused because too many are under way, by whose budget was full";
        let mut family = page.counters("cordon_commands_turned_away", help)?;
        for (budget, count) in metrics.turned_away.iter() {
            counter_of(&mut family, &[("budget", budget)], count)?;
        }
        for (name, help, count) in [
            ("cordon_requests_rejected", "Requests that never became commands", &metrics.rejected),
            (
                "cordon_requests_left_out",
                "Requests without credentials that were counted instead of recorded one by one",
                &metrics.left_out,
            ),
            (
                "cordon_tls_handshakes_failed",
                "TLS handshakes of clients that failed",
                &metrics.handshakes_failed,
            ),
            (
                "cordon_connections_refused",
                "Connections closed at once because there were too many",
                &metrics.connections_refused,
            ),
        ] {
            page.counter(name, help, count.load(Ordering::Relaxed))?;
        }
        let mut family = page.gauges("cordon_connections", "Open connections")?;
        let (cameras, admin) = self.readings.connections;
        gauge_of(&mut family, &[("door", "cameras")], cameras)?;
        gauge_of(&mut family, &[("door", "admin")], admin)
    }

    fn audit(&self, page: &mut Page<'_>) -> fmt::Result {
        let log = &self.readings.audit;
        let (commands, used, bytes) = log.journal;
        let age = log.checkpoint_age.as_secs_f64();
        page.gauge("cordon_audit_writable", "Whether the audit log can be written", u64::from(log.writable))?;
        page.gauge("cordon_audit_queued_records", "Audit records that wait for the disk", log.queued)?;
        page.gauge("cordon_audit_awaited_outcomes", "Commands whose outcome is not known yet", log.awaited)?;
        page.gauge("cordon_audit_queue_places", "Places for records and outcomes that wait", log.places)?;
        page.gauge("cordon_audit_durable_lines", "Durable lines of the audit log", log.durable)?;
        page.gauge("cordon_audit_signed_lines", "Lines that a checkpoint covers", log.signed)?;
        page.gauge("cordon_audit_checkpoint_age_seconds", "Time since the last checkpoint", age)?;
        page.gauge("cordon_audit_journal_commands", "Commands in the emergency journal", commands)?;
        page.gauge("cordon_audit_journal_used_bytes", "Bytes in use of the emergency journal", used)?;
        page.gauge("cordon_audit_journal_bytes", "Bytes of the emergency journal", bytes)?;
        page.counter("cordon_audit_lost_outcomes", "Outcomes that could not be recorded", log.lost_outcomes)?;
        let written = self.metrics.audit_bytes.load(Ordering::Relaxed);
        page.counter(
            "cordon_audit_written_bytes",
            "Bytes written to the audit log since the start",
            written,
        )?;
        let early = self.metrics.early_prunings();
        page.counter("cordon_audit_pruned_early_segments", "Segments deleted before keep_days", early)?;
        let help = "Time to write and sync one batch of the audit log";
        histogram_of(page.histograms("cordon_audit_commit_seconds", help)?, &self.metrics.commit)
    }

    fn cameras(&self, page: &mut Page<'_>) -> fmt::Result {
        let cameras = self.metrics.cameras();
        type Series<'a> = &'a dyn Fn(&CameraId, &CameraMeter, &mut MetricEncoder<'_>) -> fmt::Result;
        let family = |mut family: MetricEncoder<'_>, series: Series<'_>| {
            cameras.iter().try_for_each(|(id, meter)| series(id, meter, &mut family))
        };
        family(
            page.counters("cordon_camera_commands", "Commands by camera and how they ended")?,
            &|id, it, to| {
                let ended = it.ended.iter().filter(|(_, count)| *count > 0);
                ended.into_iter().try_for_each(|(how, count)| {
                    counter_of(to, &[("camera", id.as_str()), ("ended", how)], count)
                })
            },
        )?;
        let help = "Where a camera's answers left the schema, by what was done about it";
        family(page.counters("cordon_camera_deviations", help)?, &|id, it, to| {
            it.deviations.iter().try_for_each(|(kind, count)| {
                counter_of(to, &[("camera", id.as_str()), ("kind", kind)], count.load(Ordering::Relaxed))
            })
        })?;
        let happened = |it: &CameraMeter| it.exchanges.load(Ordering::Relaxed);
        family(
            page.counters("cordon_camera_exchanges", "Exchanges by camera")?,
            &|id, it, to| match happened(it) {
                0 => Ok(()),
                count => counter_of(to, &[("camera", id.as_str())], count),
            },
        )?;
        let help = "Time spent in exchanges by camera";
        family(page.counters("cordon_camera_exchange_busy_seconds", help)?, &|id, it, to| {
            let busy = Duration::from_nanos(it.exchange_nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
            if happened(it) == 0 { Ok(()) } else { counter_of(to, &[("camera", id.as_str())], busy) }
        })?;
        let help = "Packets that a camera sent where it may not, and that were dropped";
        family(page.counters("cordon_camera_blocked_packets", help)?, &|id, it, to| match it
            .blocked
            .load(Ordering::Relaxed)
        {
            0 => Ok(()),
            count => counter_of(to, &[("camera", id.as_str())], count),
        })?;
        let help =
            "What is known of a camera: 1 for what is the case; cameras nobody asked anything are absent";
        family(page.gauges("cordon_camera_health", help)?, &|id, it, to| {
            let known = CameraHealth::ALL.iter().find(|word| **word as u8 == it.health());
            match known.filter(|word| **word != CameraHealth::Unknown) {
                Some(word) => gauge_of(to, &[("camera", id.as_str()), ("health", word.word())], 1_u64),
                None => Ok(()),
            }
        })?;
        let help = "How far the camera's clock is ahead of the gateway's";
        family(page.gauges("cordon_camera_clock_offset_seconds", help)?, &|id, it, to| match it.offset() {
            Some(milliseconds) => gauge_of(to, &[("camera", id.as_str())], milliseconds as f64 / 1_000.0),
            None => Ok(()),
        })
    }

    fn streams(&self, page: &mut Page<'_>) -> fmt::Result {
        let cameras = self.metrics.cameras();
        let mut family =
            page.counters("cordon_stream_packets", "Packets of a camera's streams, by what became of them")?;
        for (id, meter) in &cameras {
            happened(&mut family, [("camera", id.as_str())], "result", meter.media.packets.iter())?;
        }
        let help = "Bytes of a camera's streams, by whether they were handed on";
        let mut family = page.counters("cordon_stream_bytes", help)?;
        for (id, meter) in &cameras {
            let [passed, dropped] = &meter.media.bytes;
            let bytes = [("passed", passed), ("dropped", dropped)]
                .map(|(it, count)| (it, count.load(Ordering::Relaxed)));
            happened(&mut family, [("camera", id.as_str())], "result", bytes.into_iter())?;
        }
        let help = "Packets of a camera's streams that were not in their order: missing, come late, numbered anew, a goodbye";
        let mut family = page.counters("cordon_stream_disorder", help)?;
        for (id, meter) in &cameras {
            happened(&mut family, [("camera", id.as_str())], "kind", meter.media.disorder.iter())?;
        }
        let help = "Encodings that cannot be checked, each time a camera described a stream in one: left out, or passed";
        let mut family = page.counters("cordon_stream_unknown_encodings", help)?;
        for (id, meter) in &cameras {
            happened(&mut family, [("camera", id.as_str())], "result", meter.media.encodings.iter())?;
        }
        Ok(())
    }

    fn viewers(&self, page: &mut Page<'_>) -> fmt::Result {
        let all: Vec<_> = self
            .metrics
            .cameras()
            .into_iter()
            .flat_map(|(id, meter)| {
                meter.media.watched().into_iter().map(move |(client, it)| (id.clone(), client, it))
            })
            .collect();
        let mut family =
            page.gauges("cordon_viewers", "Viewers of a camera's streams and recordings, by client")?;
        for (id, client, it) in &all {
            let labels = [("camera", id.as_str()), ("client", client.as_str())];
            gauge_of(&mut family, &labels, it.watching.load(Ordering::Relaxed))?;
        }
        type Count = fn(&ViewerMeter) -> &AtomicU64;
        let families: [(&str, &str, Count); 4] = [
            ("cordon_viewer_bytes", "Bytes that a client's viewers were sent", |it| &it.bytes),
            (
                "cordon_viewer_fell_behind",
                "Times at which a viewer was too slow and lost pictures up to the next it could begin with",
                |it| &it.fell_behind,
            ),
            ("cordon_viewer_lost_bytes", "Bytes that viewers were not sent since they were too slow", |it| {
                &it.lost_bytes
            }),
            ("cordon_viewer_lost_datagrams", "Datagrams that could not be sent to viewers", |it| {
                &it.lost_datagrams
            }),
        ];
        for (name, help, count) in families {
            let mut family = page.counters(name, help)?;
            for (id, client, it) in &all {
                match count(it).load(Ordering::Relaxed) {
                    0 => {}
                    count => counter_of(
                        &mut family,
                        &[("camera", id.as_str()), ("client", client.as_str())],
                        count,
                    )?,
                }
            }
        }
        Ok(())
    }

    fn events(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut family =
            page.counters("cordon_events", "Events that came from a camera, by what became of them")?;
        for (id, readings) in &self.readings.events {
            happened(&mut family, [("camera", id.as_str())], "result", readings.by_word().into_iter())?;
        }
        let help = "Memory of the events that are kept for whoever reads them later";
        page.gauge("cordon_events_kept_bytes", help, self.readings.events_kept)?;
        let cameras = self.metrics.cameras();
        let help = "Events of a camera that were delivered, by the way to the client, consumer or broker";
        let mut family = page.counters("cordon_events_delivered", help)?;
        for (id, meter) in &cameras {
            happened(&mut family, [("camera", id.as_str())], "by", meter.media.delivered.iter())?;
        }
        let help = "Events of a camera that a client, consumer or broker missed since it was too slow";
        let mut family = page.counters("cordon_events_missed", help)?;
        for (id, meter) in &cameras {
            match meter.media.missed.load(Ordering::Relaxed) {
                0 => {}
                count => counter_of(&mut family, &[("camera", id.as_str())], count)?,
            }
        }
        Ok(())
    }

    fn zones(&self, page: &mut Page<'_>) -> fmt::Result {
        let help = "Restricted devices that were seen on the core side since the start";
        page.gauge("cordon_core_devices", help, self.metrics.core_devices_seen())?;
        let zones = self.metrics.zones();
        let mut family = page.counters(
            "cordon_zone_blocked_packets",
            "Packets that were dropped in a zone, whoever sent them",
        )?;
        for (id, counts) in &zones {
            counter_of(&mut family, &[("zone", id.as_str())], counts.blocked)?;
        }
        let help = "Names that were asked for in a zone, and refused";
        let mut family = page.counters("cordon_zone_names_asked", help)?;
        for (id, counts) in &zones {
            counter_of(&mut family, &[("zone", id.as_str())], counts.asked)?;
        }
        Ok(())
    }
}

fn process(page: &mut Page<'_>) -> fmt::Result {
    let Some(process) = Process::read() else { return Ok(()) };
    page.counter("process_cpu_seconds", "CPU time of the process", process.cpu_seconds)?;
    page.gauge("process_resident_memory_bytes", "Memory of the process", process.resident_bytes)?;
    page.gauge("process_open_fds", "Open files of the process", process.open_files)
}

/// Writes families one after the other.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    fn counters<'s>(&'s mut self, name: &'s str, help: &str) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.family(name, help, MetricType::Counter)
    }

    fn gauges<'s>(&'s mut self, name: &'s str, help: &str) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.family(name, help, MetricType::Gauge)
    }

    fn histograms<'s>(&'s mut self, name: &'s str, help: &str) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.family(name, help, MetricType::Histogram)
    }

    fn counter(&mut self, name: &str, help: &str, count: impl EncodeCounterValue) -> fmt::Result {
        self.counters(name, help)?.encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.gauges(name, help)?.encode_gauge(&value)
    }

    fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> fmt::Result {
        self.family(name, help, MetricType::Info)?.encode_info(&labels)
    }
}

fn counter_of(
    family: &mut MetricEncoder<'_>,
    labels: &[(&str, &str)],
    count: impl EncodeCounterValue,
) -> fmt::Result {
    family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)
}

/// A series for each word of which something happened.
fn happened<'a>(
    family: &mut MetricEncoder<'_>,
    [of]: [(&str, &str); 1],
    label: &str,
    counts: impl Iterator<Item = (&'a str, u64)>,
) -> fmt::Result {
    for (word, count) in counts.filter(|(_, count)| *count > 0) {
        counter_of(family, &[of, (label, word)], count)?;
    }
    Ok(())
}

fn gauge_of(
    family: &mut MetricEncoder<'_>,
    labels: &[(&str, &str)],
    value: impl EncodeGaugeValue,
) -> fmt::Result {
    family.encode_family(&labels)?.encode_gauge(&value)
}

fn histogram_of(mut family: MetricEncoder<'_>, histogram: &Histogram) -> fmt::Result {
    let (sum, buckets) = histogram.read();
    let count = buckets.iter().map(|(_, count)| count).sum();
    family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alarm::{Alarm, Board, Subject},
        telemetry::{Delivered, Disorder, Encoding, Ended, Packet, Sent, Tally, Watching},
    };

    #[test]
    fn a_camera_has_a_series_for_what_happened_and_none_for_what_did_not() {
        let metrics = Arc::new(Metrics::default());
        let id = CameraId::new("gate").unwrap();
        let meter = metrics.camera(&id);
        let lines = |text: &str| -> Vec<String> {
            text.lines().filter(|line| line.contains("\"gate\"")).map(str::to_owned).collect()
        };
        assert_eq!(lines(&render(&metrics, Readings::default())), Vec::<String>::new());
        let tally =
            Tally { metrics: Arc::clone(&metrics), camera: Some(Arc::clone(&meter)), class: "READ_MEDIA" };
        tally.ended(Ended::Answered, Duration::from_millis(3));
        meter.deviated("repair", 2);
        meter.clock_offset(Some(-1_500));
        meter.is(CameraHealth::LoginRefused);
        metrics.exchanged(&meter, Duration::from_millis(250));
        meter.blocked(7);
        let expected = [
            "cordon_camera_commands_total{camera=\"gate\",ended=\"answered\"} 1",
            "cordon_camera_deviations_total{camera=\"gate\",kind=\"repair\"} 2",
            "cordon_camera_exchanges_total{camera=\"gate\"} 1",
            "cordon_camera_exchange_busy_seconds_total{camera=\"gate\"} 0.25",
            "cordon_camera_blocked_packets_total{camera=\"gate\"} 7",
            "cordon_camera_health{camera=\"gate\",health=\"login_refused\"} 1",
            "cordon_camera_clock_offset_seconds{camera=\"gate\"} -1.5",
        ];
        assert_eq!(lines(&render(&metrics, Readings::default())), expected);
        drop((meter, tally));
        let gone = render(&metrics, Readings::default());
        assert_eq!(lines(&gone), Vec::<String>::new(), "a camera that is configured no longer");
        assert!(
            gone.contains("cordon_command_seconds_bucket{le=\"0.005\",class=\"READ_MEDIA\"} 1\n"),
            "{gone}"
        );
    }

    #[test]
    fn streams_and_viewers_have_series_of_their_own() {
        let metrics = Arc::new(Metrics::default());
        let id = CameraId::new("gate").unwrap();
        let meter = metrics.camera(&id);
        meter.media.packets(Packet::Passed, 90);
        meter.media.packets(Packet::Channel, 2);
        meter.media.disorder(Disorder::Missing, 3);
        meter.media.encodings(Encoding::LeftOut, 2);
        meter.media.bytes(900, 20);
        meter.media.delivered(Delivered::Pull, 4);
        meter.media.missed(1);
        let mut slow = Watching::begin(meter.media.viewers("vms"));
        let mut fast = Watching::begin(meter.media.viewers("wall"));
        slow.count(Sent { bytes: 10, fell_behind: 1, lost_bytes: 50, lost_datagrams: 0 });
        slow.count(Sent { bytes: 30, fell_behind: 2, lost_bytes: 60, lost_datagrams: 5 });
        fast.count(Sent { bytes: 90, ..Sent::default() });
        drop(fast);
        let events = vec![(id, EventReadings { told: 7, over_rate: 6, ..EventReadings::default() })];
        let text = render(&metrics, Readings { events, ..Readings::default() });
        let lines: Vec<_> = text.lines().filter(|line| line.contains("camera=\"gate\"")).collect();
        let expected = [
            "cordon_stream_packets_total{camera=\"gate\",result=\"passed\"} 90",
            "cordon_stream_packets_total{camera=\"gate\",result=\"channel\"} 2",
            "cordon_stream_bytes_total{camera=\"gate\",result=\"passed\"} 900",
            "cordon_stream_bytes_total{camera=\"gate\",result=\"dropped\"} 20",
            "cordon_stream_disorder_total{camera=\"gate\",kind=\"missing\"} 3",
            "cordon_stream_unknown_encodings_total{camera=\"gate\",result=\"left_out\"} 2",
            "cordon_viewers{camera=\"gate\",client=\"vms\"} 1",
            "cordon_viewers{camera=\"gate\",client=\"wall\"} 0",
            "cordon_viewer_bytes_total{camera=\"gate\",client=\"vms\"} 30",
            "cordon_viewer_bytes_total{camera=\"gate\",client=\"wall\"} 90",
            "cordon_viewer_fell_behind_total{camera=\"gate\",client=\"vms\"} 2",
            "cordon_viewer_lost_bytes_total{camera=\"gate\",client=\"vms\"} 60",
            "cordon_viewer_lost_datagrams_total{camera=\"gate\",client=\"vms\"} 5",
            "cordon_events_total{camera=\"gate\",result=\"told\"} 7",
            "cordon_events_total{camera=\"gate\",result=\"over_rate\"} 6",
            "cordon_events_delivered_total{camera=\"gate\",by=\"pull\"} 4",
            "cordon_events_missed_total{camera=\"gate\"} 1",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_is_read_stands_there_as_it_was_found() {
        let mut board = Board::default();
        board.raise(
            Alarm::AuditUnwritable,
            Subject::AuditLog,
            "full",
            (Duration::ZERO, Timestamp::UNIX_EPOCH),
        );
        let audit =
            AuditReadings { journal: (2, 700, 1_024), durable: 9, signed: 4, ..AuditReadings::default() };
        let readings = Readings {
            policy_version: "0123".into(),
            policy_mode: "enforce",
            decisions: (5, 6),
            alarms: board.active(),
            audit,
            events_kept: 4_096,
            ..Readings::default()
        };
        let text = render(&Arc::default(), readings);
        for line in [
            "cordon_policy_info{version=\"0123\",mode=\"enforce\"} 1",
            "cordon_policy_decisions_total{source=\"cache\"} 5",
            "cordon_alarm_active{id=\"audit-unwritable\",severity=\"critical\",subject=\"audit log\"} 1",
            "cordon_audit_writable 0",
            "cordon_audit_journal_used_bytes 700",
            "cordon_audit_signed_lines 4",
            "cordon_events_kept_bytes 4096",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in {text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    #[ignore = "a measurement, not a test"]
    #[allow(clippy::print_stdout, clippy::disallowed_methods, reason = "shown with --nocapture")]
    fn a_scrape_of_10_000_cameras() {
        let metrics = Arc::new(Metrics::default());
        let id = |number: usize| CameraId::new(&format!("camera-{number:05}")).unwrap();
        let meters: Vec<_> = (0..10_000).map(|number| metrics.camera(&id(number))).collect();
        for meter in &meters {
            let camera = Some(Arc::clone(meter));
            let tally = Tally { metrics: Arc::clone(&metrics), camera, class: "READ_MEDIA" };
            for how in Ended::ALL {
                tally.ended(*how, Duration::from_millis(3));
            }
            for kind in ["repair", "drop", "incomplete", "refuse"] {
                meter.deviated(kind, 1);
            }
            metrics.exchanged(meter, Duration::from_millis(3));
            meter.is(CameraHealth::Up);
            meter.clock_offset(Some(1));
        }
        let began = std::time::Instant::now();
        let text = render(&metrics, Readings::default());
        let (lines, bytes) = (text.lines().count(), text.len());
        println!(
            "{lines} lines, {bytes} bytes, {} ms; a meter takes {} bytes and its counts",
            began.elapsed().as_millis(),
            size_of::<CameraMeter>()
        );
    }
}
