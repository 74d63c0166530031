//! The report as values: what every form of it says. JSON is these values as they are.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::isolation::CoreDevice;

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    /// What these values mean may change with this number.
    pub(super) format: &'static str,
    pub(super) gateway: String,
    pub(super) made: String,
    pub(super) program: String,
    pub(super) log: LogPart,
    pub(super) summary: Summary,
    /// What somebody should look at, worst first.
    pub(super) attention: Vec<Attention>,
    pub(super) devices: Vec<Device>,
    /// Devices that were found in zones and are enrolled nowhere.
    pub(super) found: Vec<FoundPart>,
    /// Records of such devices that have no row.
    pub(super) found_left_out: u64,
    pub(super) strangers: Vec<Stranger>,
    /// Restricted devices that were seen on the core side, where no zone keeps them apart.
    pub(super) core_devices: Vec<CoreDevice>,
    pub(super) zones: Vec<ZonePart>,
    pub(super) attempts: AttemptsPart,
    pub(super) denied: DeniedPart,
    pub(super) tables: Tables,
    pub(super) not_claimed: &'static [&'static str],
}

/// The audit log that it was made from.
#[derive(Debug, Clone, Serialize)]
pub(super) struct LogPart {
    pub(super) name: String,
    pub(super) public_key: String,
    /// Lines that the checkpoint signs.
    pub(super) signed_lines: u64,
    /// Lines after those, which this report leaves out.
    pub(super) unsigned_lines: u64,
    /// Records among the signed ones that the report is about.
    pub(super) records: u64,
    /// Of these, records of cameras that are not told apart, since there are too many.
    pub(super) records_of_unlisted_cameras: u64,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    /// Lines that could not be understood: what they say is in no figure.
    pub(super) not_understood: u64,
    /// What the report was asked to be limited to.
    pub(super) since: Option<String>,
    pub(super) until: Option<String>,
    /// First lines, which retention deleted.
    pub(super) deleted_lines: u64,
    /// Whether every line, sum and signature held; else what is wrong.
    pub(super) verified: bool,
    pub(super) damage: Option<String>,
    pub(super) checkpoint: String,
}

/// The figures that come first.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Summary {
    pub(super) cameras: u64,
    pub(super) restricted: u64,
    /// Of these, those of makers that nobody knows.
    pub(super) unknown: u64,
    pub(super) restricted_at_sensitive_sites: u64,
    /// Of these, those without an exception that runs.
    pub(super) without_exception: u64,
    pub(super) under_exception: u64,
    pub(super) replaced: u64,
    pub(super) replacement_overdue: u64,
    pub(super) on_record_only: u64,
    pub(super) commands_permitted: u64,
    /// Cameras with destinations that nobody approved.
    pub(super) destinations_not_approved: u64,
    /// How often the gateway asked again under the record of its first question (who a camera is, without news).
    pub(super) asked_again: u64,
    pub(super) commands_denied: u64,
    pub(super) packets_blocked: u64,
    pub(super) zones: u64,
    pub(super) zones_isolated: u64,
}

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Attention {
    pub(super) severity: &'static str,
    pub(super) what: String,
    pub(super) remedy: String,
}

/// A statement with how sure it is and where it comes from.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Fact {
    pub(super) is: String,
    pub(super) confidence: String,
    pub(super) sources: Vec<String>,
}

/// One camera.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Device {
    pub(super) name: String,
    /// None of a camera that is only on record.
    pub(super) address: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) site: Option<String>,
    pub(super) sensitive: Option<bool>,
    pub(super) maker: String,
    pub(super) maker_name: String,
    pub(super) class: String,
    pub(super) restricted: bool,
    /// What carries the verdict.
    pub(super) standing: String,
    pub(super) reasons: Vec<String>,
    pub(super) contradictions: Vec<String>,
    /// Each sign, with its weight and confidence.
    pub(super) evidence: Vec<String>,
    pub(super) jurisdiction: Option<Fact>,
    pub(super) parent: Option<Fact>,
    pub(super) uk_order: Option<Fact>,
    pub(super) us_889: Option<Fact>,
    pub(super) us_fcc: Option<Fact>,
    pub(super) exceptions: Vec<ExceptionPart>,
    /// Set while nobody is served, since it seems to be another device.
    pub(super) quarantine: Option<QuarantinePart>,
    /// Who accepted the device that is there, when and why.
    pub(super) accepted: Option<String>,
    /// What it has been set to; none if it was not asked yet.
    pub(super) baseline: Option<BaselinePart>,
    pub(super) replacement: Option<ReplacementPart>,
    /// The class that its last command on record was decided by.
    pub(super) class_on_record: Option<String>,
    pub(super) first_record: Option<String>,
    pub(super) last_record: Option<String>,
    pub(super) permitted: u64,
    pub(super) denied: u64,
    pub(super) attempts: u64,
    pub(super) attempts_before_start: u64,
    /// Packets that were dropped too and lead nowhere beyond the link: discovery, and what is said to neighbours.
    pub(super) neighbour_traffic: u64,
    pub(super) top_destinations: Vec<DestinationRow>,
    pub(super) observable: Observable,
}

impl Device {
    /// Facts about its maker.
    pub(super) fn facts(&self) -> impl Iterator<Item = &Fact> {
        [&self.jurisdiction, &self.parent, &self.uk_order, &self.us_889, &self.us_fcc].into_iter().flatten()
    }
}

/// A dated permission to be served in spite of a rule.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ExceptionPart {
    pub(super) owner: String,
    pub(super) reason: String,
    pub(super) until: String,
    pub(super) over: bool,
}

/// What a camera has been set to that leads out of it or lets somebody in.
#[derive(Debug, Clone, Serialize)]
pub(super) struct BaselinePart {
    pub(super) read: String,
    pub(super) facts: Vec<BaselineRow>,
    /// Destinations among these that nobody approved.
    pub(super) destinations_not_approved: u64,
    /// Whether there is more than is kept.
    pub(super) left_out: bool,
    /// Questions that it did not answer, and why.
    pub(super) not_told: Vec<String>,
    /// Who approved it, when and why.
    pub(super) approved: Option<String>,
}

/// One of these.
#[derive(Debug, Clone, Serialize)]
pub(super) struct BaselineRow {
    pub(super) what: &'static str,
    pub(super) value: String,
    pub(super) standing: &'static str,
}

/// Why nobody is served by a camera.
#[derive(Debug, Clone, Serialize)]
pub(super) struct QuarantinePart {
    pub(super) since: String,
    pub(super) why: String,
    /// The device that is there, by what tells it from others.
    pub(super) device: Option<String>,
}

/// What is planned in a camera's place.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ReplacementPart {
    pub(super) state: &'static str,
    pub(super) by: Option<String>,
    pub(super) overdue: bool,
}

/// Whether what a camera tries would be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Observable {
    /// `yes`, `no`, `partly` or `unknown`.
    pub(super) is: &'static str,
    pub(super) why: &'static str,
}

/// Somebody in a zone who is no enrolled camera.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Stranger {
    pub(super) zone: String,
    pub(super) address: String,
    /// Its maker and that one's class, by its hardware address or by what it said when it was found; none of one of which
    /// there is nothing but an IP address.
    pub(super) maker: Option<String>,
    pub(super) class: Option<String>,
    pub(super) packets: u64,
    pub(super) top_destinations: Vec<DestinationRow>,
}

/// A device that was found in a zone and is enrolled nowhere.
#[derive(Debug, Clone, Serialize)]
pub(super) struct FoundPart {
    pub(super) zone: String,
    pub(super) address: String,
    pub(super) mac: Option<String>,
    pub(super) endpoint: String,
    pub(super) maker: String,
    pub(super) maker_name: String,
    pub(super) class: String,
    pub(super) restricted: bool,
    pub(super) reasons: Vec<String>,
    pub(super) jurisdiction: Option<Fact>,
    pub(super) uk_order: Option<Fact>,
    pub(super) us_889: Option<Fact>,
    pub(super) us_fcc: Option<Fact>,
    /// When that was put on record.
    pub(super) on_record: String,
}

impl FoundPart {
    /// Facts about its maker.
    pub(super) fn facts(&self) -> impl Iterator<Item = &Fact> {
        [&self.jurisdiction, &self.uk_order, &self.us_889, &self.us_fcc].into_iter().flatten()
    }
}

/// One zone.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ZonePart {
    pub(super) name: String,
    pub(super) isolation: &'static str,
    pub(super) isolated: bool,
    /// How well it is kept apart from what is on the same machine and wire; none as long as the log does not say.
    pub(super) grade: Option<&'static str>,
    /// What its isolation does not show.
    pub(super) not_shown: &'static str,
    pub(super) prefixes: Vec<String>,
    pub(super) cameras: u64,
    /// How long the gateway ran, as far as the log shows.
    pub(super) watched_seconds: i64,
    /// How long of that its isolation was in force.
    pub(super) in_force_seconds: i64,
    /// How often that ended while the gateway ran.
    pub(super) interruptions: u64,
    /// How often something of it was found changed, be it mended at once.
    pub(super) drifts: u64,
    /// Of the watched time, that of which the log does not say how it stood, since retention deleted the line.
    pub(super) untold_seconds: i64,
}

/// What cameras tried to reach and did not.
#[derive(Debug, Clone, Serialize)]
pub(super) struct AttemptsPart {
    pub(super) packets: u64,
    pub(super) before_start: u64,
    /// Of both, discovery and what is said to neighbours: it leads nowhere beyond the link.
    pub(super) neighbour_traffic: u64,
    pub(super) of_nobody: u64,
    pub(super) destinations: Vec<DestinationRow>,
    /// Packets to destinations that have no row.
    pub(super) other_destinations: u64,
    pub(super) names: Vec<NameRow>,
    pub(super) questions: u64,
    pub(super) unanswered: u64,
}

/// A destination, and how many packets to it were dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct DestinationRow {
    pub(super) to: String,
    pub(super) protocol: String,
    pub(super) port: u16,
    pub(super) packets: u64,
}

/// A name, who asked for it and how often.
#[derive(Debug, Clone, Serialize)]
pub(super) struct NameRow {
    pub(super) name: String,
    pub(super) by: String,
    pub(super) times: u64,
}

/// What was denied to clients.
#[derive(Debug, Clone, Serialize)]
pub(super) struct DeniedPart {
    pub(super) commands: u64,
    pub(super) observed: u64,
    pub(super) requests_only_counted: u64,
    pub(super) rows: Vec<DeniedRow>,
    /// Denials that have no row.
    pub(super) others: u64,
}

/// Denials of one kind.
#[derive(Debug, Clone, Serialize)]
pub(super) struct DeniedRow {
    pub(super) camera: String,
    pub(super) operation: String,
    pub(super) reason: String,
    pub(super) times: u64,
}

/// The tables that verdicts were made with.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tables {
    pub(super) makers: u64,
    /// Whether what cameras showed was read; else verdicts go by the configuration alone.
    pub(super) shown: bool,
    pub(super) owner_folder: Option<String>,
    pub(super) mac_blocks: u64,
    pub(super) mac_date: String,
    pub(super) mac_age_days: i64,
    pub(super) mac_source: String,
    /// What the short names of sources stand for, of those that the devices' facts name.
    pub(super) sources: BTreeMap<String, String>,
}

/// What the product does not claim.
pub(super) const NOT_CLAIMED: &[&str] = &[
    "Whether a camera behind this gateway counts as connected to the core network is the accreditor's decision. The \
     gateway never makes a new installation of restricted equipment permissible.",
    "An attempt is not proof of intent: it says what was sent and dropped, not why. Many devices look for time, names \
     and updates by themselves.",
    "Attempts are seen only if the camera sends them to the gateway: where it uses another router or name server, or \
     sends nothing while it is watched, none are counted. No attempts is not proof that there would be none.",
    "Not seen: side radios (Wi-Fi, cellular), cameras that talk to each other across a switch without port isolation, \
     a management controller on a shared interface, what the switch of a hypervisor does.",
    "Not excluded: covert channels in the picture, its bit rate or its timing; the truth of a picture; safety of the \
     decoder that shows it. Streams are checked in headers and structure.",
    "Source addresses are as the packets had them; a device can write another's address.",
    "The log names client systems. Which person sat behind a VMS is in the log of that VMS.",
    "Without a checkpoint of the log kept elsewhere, a rollback of the whole log, or a rewrite by somebody with its \
     signing key, cannot be excluded.",
    "Jurisdiction, ownership and lists are facts from named sources with the confidence they deserve, carried over on \
     the date of the tables; they are no legal advice. A maker that nobody knows is treated as restricted.",
];
