//! The tripwire's reader: from what stands in the zone's counters to what is told. Pure.
//!
//! The kernel counts dropped packets by source, destination, protocol and port in sets of bounded size. Two
//! readings make a difference; differences are summed up by source for a minute ([`Summary`]). An attempt is not
//! proof of intent: it says what was sent, not why.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
    time::Duration,
};

use jiff::Timestamp;

use super::{
    records::{Blocked, BlockedSummary, Flow},
    summary::{Line, Summary},
    wire::{Attempts, ClaimKind},
};
use crate::{
    inventory::MacAddress,
    limits::{ATTEMPT_ENTRIES_MAX, SUMMARY_PERIOD},
};

/// Who sent it, as the packet says: cameras can lie about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// An IP address.
    Address(IpAddr),
    /// A hardware address, of frames without an IP address.
    Hardware(MacAddress),
}

/// What it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// An IP address.
    Address {
        /// The address.
        to: IpAddr,
        /// The protocol's number, of IPv4 or the last IPv6 header.
        protocol: u8,
        /// The port, or 0.
        port: u16,
    },
    /// A frame of this kind (EtherType).
    Frame(u16),
    /// No target: the address of an enrolled camera is claimed so; none for one that is not told.
    Claim(ClaimKind, Option<IpAddr>),
}

impl Target {
    /// Whether it leads beyond the link on which it was sent: what every device says to its neighbours (discovery,
    /// group membership, requests for an address) does not, tagged frames do.
    pub fn leads_out(&self) -> bool {
        match self {
            Self::Address { to: IpAddr::V4(to), .. } => {
                !(to.is_multicast() || to.is_broadcast() || to.is_link_local() || to.is_unspecified())
            }
            Self::Address { to: IpAddr::V6(to), .. } => {
                !(to.is_multicast() || to.is_unicast_link_local() || to.is_unspecified())
            }
            Self::Frame(kind) => matches!(kind, 0x8100 | 0x88a8),
            Self::Claim(..) => false,
        }
    }
}

/// One counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Who sent it.
    pub source: Source,
    /// Where to.
    pub target: Target,
    /// Packets so far.
    pub packets: u64,
}

/// The counters of a zone at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// All packets that were dropped, read before the entries; none if nobody counts them.
    pub dropped: Option<u64>,
    /// The entries.
    pub entries: Vec<Entry>,
}

impl Snapshot {
    /// Takes up what the kernel counted. What two tables count alike is one.
    pub fn of(counted: &Attempts) -> Self {
        let mut sums: HashMap<(Source, Target), u64> = HashMap::with_capacity(counted.packets.len());
        for it in &counted.packets {
            let target = Target::Address { to: it.destination, protocol: it.protocol, port: it.port };
            *sums.entry((Source::Address(it.source), target)).or_insert(0) += it.packets;
        }
        for it in &counted.frames {
            let Ok(source) = it.source.parse() else { continue };
            *sums.entry((Source::Hardware(source), Target::Frame(it.ether_type))).or_insert(0) += it.packets;
        }
        for it in &counted.claims {
            let claim = Target::Claim(it.kind, it.claimed);
            *sums.entry((Source::Hardware(it.claimant), claim)).or_insert(0) += it.packets;
        }
        let entry = |((source, target), packets)| Entry { source, target, packets };
        Self { dropped: Some(counted.dropped), entries: sums.into_iter().map(entry).collect() }
    }
}

/// What a reading brings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Packets since the reading before, exactly.
    pub packets: u64,
    /// And whose they are, as far as entries tell.
    pub by_source: BTreeMap<Source, u64>,
    /// What was tried for the first time and would have led out.
    pub first: Vec<(Source, Target)>,
    /// Who claims an address that is another's.
    pub claims: Vec<Claimed>,
    /// What is to be recorded now, each with the source it is about.
    pub blocked: Vec<(Source, Blocked)>,
    /// And of sources without a line of their own.
    pub summaries: Vec<BlockedSummary>,
}

/// Claims of one kind since the reading before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// By whom.
    pub by: Source,
    /// The address, if it is told.
    pub address: Option<IpAddr>,
    /// How.
    pub kind: ClaimKind,
    /// How many.
    pub packets: u64,
    /// Whether it is the first time.
    pub first: bool,
}

/// Reads the counters of one zone.
#[derive(Debug)]
pub struct Tripwire {
    zone: String,
    /// The counters as they stood; none before the first reading.
    before: Option<HashMap<(Source, Target), u64>>,
    dropped_before: Option<u64>,
    /// Of all that was dropped, what no entry told. Negative as long as entries were read later than it.
    not_attributed: i128,
    summary: Summary<Source, Target>,
    /// When the running period began: monotonic and civil.
    since: (Duration, Timestamp),
}

impl Tripwire {
    /// Begins with nothing read.
    pub fn new(zone: &str, now: (Duration, Timestamp)) -> Self {
        Self {
            zone: zone.to_owned(),
            before: None,
            dropped_before: None,
            not_attributed: 0,
            summary: Summary::default(),
            since: now,
        }
    }

    /// Takes the counters as they stand now. What stood there at the first reading is told at once and marked.
    pub fn read(&mut self, snapshot: &Snapshot, now: (Duration, Timestamp)) -> Reading {
        let first_reading = self.before.is_none();
        let before = self.before.take().unwrap_or_default();
        let (mut reading, mut stand) = (Reading::default(), HashMap::with_capacity(snapshot.entries.len()));
        for entry in snapshot.entries.iter().take(ATTEMPT_ENTRIES_MAX) {
            let key = (entry.source, entry.target);
            let grown = growth(before.get(&key).copied(), entry.packets);
            stand.insert(key, entry.packets);
            if grown == 0 {
                continue;
            }
            reading.packets += grown;
            *reading.by_source.entry(entry.source).or_insert(0) += grown;
            let first = self.summary.add(&entry.source, &entry.target, grown);
            if let Target::Claim(kind, address) = entry.target {
                reading.claims.push(Claimed { by: entry.source, address, kind, packets: grown, first });
            }
            if first && entry.target.leads_out() {
                reading.first.push(key);
            }
        }
        self.before = Some(stand);
        if let Some(dropped) = snapshot.dropped {
            let grown = growth(self.dropped_before.replace(dropped), dropped);
            self.not_attributed += i128::from(grown) - i128::from(reading.packets);
        }
        if first_reading || now.0.saturating_sub(self.since.0) >= SUMMARY_PERIOD {
            self.end(now, first_reading, &mut reading);
        } else {
            reading.blocked = self.summary.at_once().iter().map(|line| self.blocked(line, false)).collect();
        }
        reading
    }

    /// Tells what was not told yet, before reading ends.
    pub fn rest(&mut self, now: (Duration, Timestamp)) -> Reading {
        let mut reading = Reading::default();
        self.end(now, false, &mut reading);
        reading
    }

    fn end(&mut self, now: (Duration, Timestamp), before_start: bool, reading: &mut Reading) {
        let told = self.summary.end();
        reading.blocked = told.lines.iter().map(|line| self.blocked(line, before_start)).collect();
        let not_attributed = u64::try_from(self.not_attributed).unwrap_or(0);
        self.not_attributed -= i128::from(not_attributed);
        reading.packets += not_attributed;
        reading.summaries = told.summaries(not_attributed > 0, |sources, last| BlockedSummary {
            zone: self.zone.clone(),
            since: self.since.1,
            sources: sources.iter().map(|(source, count)| (source.to_string(), *count)).collect(),
            rest_sources: last.map_or(0, |it| it.0),
            rest_packets: last.map_or(0, |it| it.1),
            not_attributed: last.map_or(0, |_| not_attributed),
            before_start,
        });
        self.since = now;
    }

    fn blocked(&self, line: &Line<Source, Target>, before_start: bool) -> (Source, Blocked) {
        let flow = |(target, packets, first): &(Target, u64, bool)| flow(*target, *packets, *first);
        let told = Blocked {
            zone: self.zone.clone(),
            source: line.source.to_string(),
            since: self.since.1,
            packets: line.count,
            destinations: line.keys.iter().map(flow).collect(),
            more_destinations: line.more_keys,
            before_start,
        };
        (line.source, told)
    }
}

/// What a counter grew by. One that is lower than before, or was not there, began anew.
fn growth(before: Option<u64>, now: u64) -> u64 {
    now.checked_sub(before.unwrap_or(0)).unwrap_or(now)
}

fn flow(target: Target, packets: u64, first: bool) -> Flow {
    match target {
        Target::Address { to, protocol, port } => {
            Flow { to: to.to_string(), protocol: protocol_name(protocol), port, packets, first }
        }
        Target::Frame(kind) => {
            let to = format!("{kind:#06x}");
            Flow { to, protocol: "ethernet".to_owned(), port: 0, packets, first }
        }
        Target::Claim(kind, claimed) => {
            let to = claimed.map_or_else(|| "an enrolled camera".to_owned(), |it| it.to_string());
            Flow { to, protocol: format!("claim {kind}"), port: 0, packets, first }
        }
    }
}

/// The usual protocols by name (IANA's assigned numbers), the others by number.
fn protocol_name(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        2 => "igmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        47 => "gre".to_owned(),
        50 => "esp".to_owned(),
        58 => "icmpv6".to_owned(),
        132 => "sctp".to_owned(),
        other => other.to_string(),
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Hardware(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flow { to, protocol, port, .. } = flow(*self, 0, false);
        match port {
            0 => write!(f, "{to} ({protocol})"),
            port => write!(f, "{to} port {port} ({protocol})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolation::wire::{Attempt, Claim, FrameAttempt};

    const CAMERA: &str = "192.0.2.10";

    fn entry(source: &str, to: &str, port: u16, packets: u64) -> Entry {
        let target = Target::Address { to: to.parse().unwrap(), protocol: 17, port };
        Entry { source: Source::Address(source.parse().unwrap()), target, packets }
    }

    fn at(seconds: u64) -> (Duration, Timestamp) {
        (Duration::from_secs(seconds), Timestamp::from_second(1_800_000_000 + seconds as i64).unwrap())
    }

    /// Reads counters at a time; the entries are (destination, packets) of one camera.
    fn read(wire: &mut Tripwire, seconds: u64, entries: &[(&str, u64)]) -> Reading {
        let entries = entries.iter().map(|(to, packets)| entry(CAMERA, to, 53, *packets)).collect();
        wire.read(&Snapshot { dropped: None, entries }, at(seconds))
    }

    fn flows(reading: &Reading) -> Vec<(String, u64, bool)> {
        let all = reading.blocked.iter().flat_map(|(_, it)| &it.destinations);
        all.map(|it| (it.to.clone(), it.packets, it.first)).collect()
    }

    fn flow_of(to: &str, packets: u64, first: bool) -> (String, u64, bool) {
        (to.to_owned(), packets, first)
    }

    #[test]
    fn differences_are_told_at_once_the_first_time_and_then_by_the_minute() {
        let mut wire = Tripwire::new("restricted", at(0));
        assert_eq!(read(&mut wire, 0, &[]), Reading::default());
        let reading = read(&mut wire, 2, &[("203.0.113.9", 3)]);
        assert_eq!((reading.packets, reading.first.len()), (3, 1));
        assert_eq!(flows(&reading), [flow_of("203.0.113.9", 3, true)]);
        let (source, told) = &reading.blocked[0];
        assert_eq!((source.to_string().as_str(), told.zone.as_str()), (CAMERA, "restricted"));
        assert_eq!((told.packets, told.since, told.before_start), (3, at(0).1, false));
        let reading = read(&mut wire, 4, &[("203.0.113.9", 10)]);
        assert_eq!((reading.packets, reading.first.len(), reading.blocked.len()), (7, 0, 0));
        let reading = read(&mut wire, 60, &[("203.0.113.9", 10)]);
        assert_eq!(flows(&reading), [flow_of("203.0.113.9", 7, false)]);
        let reading = read(&mut wire, 120, &[("203.0.113.9", 10)]);
        assert_eq!((reading.blocked.len(), reading.summaries.len()), (0, 0), "nothing happened");
    }

    #[test]
    fn counters_that_begin_anew_are_counted_whole() {
        let mut wire = Tripwire::new("restricted", at(0));
        read(&mut wire, 0, &[]);
        assert_eq!(read(&mut wire, 1, &[("203.0.113.9", 5)]).packets, 5);
        assert_eq!(read(&mut wire, 2, &[]).packets, 0, "the entry expired");
        assert_eq!(read(&mut wire, 3, &[("203.0.113.9", 7)]).packets, 7, "and came again");
        assert_eq!(read(&mut wire, 4, &[("203.0.113.9", 2)]).packets, 2, "the rules were made anew");
        let told: u64 = wire.rest(at(5)).blocked.iter().map(|(_, it)| it.packets).sum();
        assert_eq!(told, 7 + 2, "5 were told at once");
    }

    #[test]
    fn what_stood_there_before_is_told_and_marked() {
        let mut wire = Tripwire::new("restricted", at(0));
        let reading = read(&mut wire, 1, &[("203.0.113.9", 5)]);
        assert!(reading.blocked[0].1.before_start);
        assert_eq!(reading.first.len(), 1);
        let reading = read(&mut wire, 2, &[("203.0.113.9", 6)]);
        assert_eq!((reading.packets, reading.first.len()), (1, 0));
        assert!(!wire.rest(at(3)).blocked[0].1.before_start);
    }

    #[test]
    fn what_no_entry_tells_is_counted_as_nobodys() {
        let mut wire = Tripwire::new("restricted", at(0));
        let snapshot = |dropped, packets| Snapshot {
            dropped: Some(dropped),
            entries: vec![entry(CAMERA, "203.0.113.9", 53, packets)],
        };
        wire.read(&snapshot(10, 10), at(0));
        // Entries are read after the counter: what came in between is no debt.
        wire.read(&snapshot(20, 25), at(1));
        assert_eq!(wire.rest(at(2)).summaries, []);
        wire.read(&snapshot(130, 30), at(3));
        let summary = &wire.rest(at(4)).summaries[0];
        assert_eq!((summary.not_attributed, summary.rest_packets), (100, 0));
        wire.read(&snapshot(130, 30), at(5));
        assert_eq!(wire.rest(at(6)).summaries, [], "told once");
        wire.read(&snapshot(3, 3), at(7));
        assert_eq!(wire.rest(at(8)).summaries, [], "both began anew");
    }

    #[test]
    fn what_is_said_to_neighbours_leads_nowhere() {
        let to = |to: &str| Target::Address { to: to.parse().unwrap(), protocol: 17, port: 3702 };
        for (target, leads) in [
            (to("203.0.113.9"), true),
            (to("10.1.0.7"), true),
            (to("2001:db8::9"), true),
            (to("239.255.255.250"), false),
            (to("224.0.0.251"), false),
            (to("255.255.255.255"), false),
            (to("169.254.1.1"), false),
            (to("ff02::c"), false),
            (to("fe80::1"), false),
            (Target::Frame(0x0806), false),
            (Target::Frame(0x88cc), false),
            (Target::Frame(0x8100), true),
            (Target::Frame(0x88a8), true),
        ] {
            assert_eq!(target.leads_out(), leads, "{target}");
            let entry = Entry { source: Source::Address(CAMERA.parse().unwrap()), target, packets: 1 };
            let reading = Tripwire::new("restricted", at(0))
                .read(&Snapshot { dropped: None, entries: vec![entry] }, at(1));
            assert_eq!(
                (reading.first.len(), reading.packets),
                (usize::from(leads), 1),
                "{target} is counted all the same"
            );
        }
    }

    #[test]
    fn what_the_kernel_counts_in_two_tables_is_one() {
        let packet = |port, packets| Attempt {
            source: CAMERA.parse().unwrap(),
            destination: "203.0.113.9".parse().unwrap(),
            protocol: 6,
            port,
            packets,
            bytes: 0,
        };
        let frame = |source: &str| FrameAttempt {
            source: source.to_owned(),
            ether_type: 0x8100,
            packets: 4,
            bytes: 0,
        };
        let counted = Attempts {
            packets: vec![packet(23, 3), packet(80, 1), packet(23, 2)],
            frames: vec![
                frame("02:00:5e:00:00:0a"),
                frame("02:00:5e:00:00"),
                frame("02:00:5e:00:00:0a:0b"),
                frame("x"),
            ],
            claims: vec![Claim {
                claimant: "02:66:00:00:00:01".parse().unwrap(),
                claimed: Some(CAMERA.parse().unwrap()),
                kind: ClaimKind::Arp,
                packets: 9,
            }],
            dropped: 17,
        };
        let Snapshot { dropped, mut entries } = Snapshot::of(&counted);
        entries.sort_by_key(|it| (it.source, it.target));
        let told: Vec<_> =
            entries.iter().map(|it| format!("{} > {}: {}", it.source, it.target, it.packets)).collect();
        let wanted = [
            "192.0.2.10 > 203.0.113.9 port 23 (tcp): 5",
            "192.0.2.10 > 203.0.113.9 port 80 (tcp): 1",
            "02:00:5e:00:00:0a > 0x8100 (ethernet): 4",
            "02:66:00:00:00:01 > 192.0.2.10 (claim by ARP): 9",
        ];
        assert_eq!((told, dropped), (wanted.map(str::to_owned).to_vec(), Some(17)));
        let mut wire = Tripwire::new("restricted", at(0));
        let reading = wire.read(&Snapshot::of(&counted), at(1));
        let claims: Vec<_> =
            reading.claims.iter().map(|it| format!("{} {:?} {}", it.by, it.address, it.packets)).collect();
        assert_eq!(claims, ["02:66:00:00:00:01 Some(192.0.2.10) 9"]);
        assert!(reading.claims[0].first && !reading.first.iter().any(|it| it.0 == reading.claims[0].by));
    }

    /// 500 cameras with 600 packets each to ten destinations in two minutes: 5,000 attempts a second.
    #[test]
    fn a_flood_is_few_lines_and_exact() {
        let mut wire = Tripwire::new("restricted", at(0));
        wire.read(&Snapshot::default(), at(0));
        let (mut lines, mut bytes, mut told) = (0, 0, 0);
        for second in 1..=120 {
            let mut entries = Vec::new();
            for camera in 0..500 {
                for to in 0..10 {
                    let source = format!("10.0.{}.{}", camera / 250, camera % 250 + 1);
                    entries.push(entry(&source, &format!("203.0.113.{to}"), 8_800, second));
                }
            }
            let reading = wire.read(&Snapshot { dropped: Some(5_000 * second), entries }, at(second));
            assert_eq!(reading.packets, 5_000);
            lines += reading.blocked.len() + reading.summaries.len();
            let texts = reading.blocked.iter().map(|(_, it)| serde_json::to_string(it).unwrap());
            let summary = reading.summaries.iter().map(|it| serde_json::to_string(it).unwrap());
            bytes += texts.chain(summary).map(|it| it.len()).sum::<usize>();
            told += reading.blocked.iter().map(|(_, it)| it.packets).sum::<u64>();
            let others = reading.summaries.iter().flat_map(|it| &it.sources).map(|it| it.1);
            told += others.sum::<u64>();
            assert!(
                reading.summaries.iter().all(|it| it.rest_packets + it.not_attributed == 0),
                "all are named"
            );
        }
        assert_eq!(told, 5_000 * 120);
        assert!(lines <= 2 * (crate::limits::SUMMARY_LINES_MAX + 8), "{lines} lines");
        assert!(bytes < 200_000, "{bytes} bytes in two minutes");
    }
}
