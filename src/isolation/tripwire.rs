//! The tripwire's reader: from what stands in the zone's counters to what is told. Pure.
//!
//! The kernel counts dropped packets by source, destination, protocol and port in sets of bounded size. Two
//! readings make a difference; differences are summed up by source for a minute ([`Summary`]). An attempt is not
//! proof of intent: it says what was sent, not why.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    records::{Blocked, BlockedSummary},
    summary::{Line, Summary},
    target::{Directions, Here, Source, Target, flow},
    wire::{Attempts, ClaimKind, ResidentCount},
};
use crate::{
    inventory::MacAddress,
    limits::{
        ATTEMPT_ENTRIES_MAX, ATTEMPTS_KEPT_MAX, CLAIMS_TOLD_PER_PERIOD_MAX, RESIDENT_COUNTS_PER_SET_MAX,
        RESIDENT_SETS, SUMMARY_PERIOD,
    },
};

/// What tells one of the kernel's counters from the others, whoever it is about in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Counter {
    /// Who sent it, as the frame or packet says.
    pub source: Source,
    /// Where to.
    pub target: Target,
    /// What else.
    pub apart: Apart,
}

/// What else tells a counter from another of the same source and target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Apart {
    /// Nothing.
    No,
    /// It is the second table's, of what was addressed to the gateway.
    Arrived,
    /// Whom ARP names.
    Named(MacAddress),
    /// What an advertisement gives as its source.
    From(IpAddr),
}

/// One counter, as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub counter: Counter,
    /// Whose packets these are; none if that cannot be said any more.
    pub source: Option<Source>,
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
    /// Whether claims are among them; else nobody has said which addresses are whose.
    pub with_claims: bool,
    /// All packets of enrolled cameras by address and table, read before the entries.
    pub residents: Vec<ResidentCount>,
    /// The tables that counted all this.
    pub tables: Vec<u64>,
    /// How those before them stood last.
    pub before: Option<Box<Self>>,
}

impl Snapshot {
    /// Takes up what the kernel counted, each counter by itself: they end one by one.
    pub fn of(counted: &Attempts, here: &Here) -> Self {
        let mut entries = Vec::with_capacity(counted.packets.len() + counted.frames.len());
        for it in &counted.packets {
            let source = Source::Address(it.source);
            let target = here.target(it.destination, it.protocol, it.port);
            let apart = if it.arrived { Apart::Arrived } else { Apart::No };
            let counter = Counter { source, target, apart };
            entries.push(Entry { counter, source: Some(source), packets: it.packets });
        }
        for it in &counted.frames {
            let Ok(source) = it.source.parse().map(Source::Hardware) else { continue };
            let counter = Counter { source, target: Target::Frame(it.ether_type), apart: Apart::No };
            entries.push(Entry { counter, source: Some(source), packets: it.packets });
        }
        for it in counted.claims.iter().flatten() {
            let apart = it.named.map(Apart::Named).or(it.from.map(Apart::From)).unwrap_or(Apart::No);
            let (source, target) = (Source::Hardware(it.frame), Target::Claim(it.kind, it.claimed));
            let counter = Counter { source, target, apart };
            let source = it.claimant.map(Source::Hardware);
            entries.push(Entry { counter, source, packets: it.packets });
        }
        Self {
            dropped: Some(counted.dropped),
            entries,
            with_claims: counted.claims.is_some(),
            residents: counted.residents.clone(),
            tables: counted.tables.clone(),
            before: counted.before.as_deref().map(|it| Box::new(Self::of(it, here))),
        }
    }

    /// How these tables stood when they were replaced, and all that came between them and those that count now, in their
    /// order; nothing if nobody saw these go.
    fn since(&self, tables: &[u64]) -> Vec<&Self> {
        let before = std::iter::successors(self.before.as_deref(), |it| it.before.as_deref());
        // Those that count now may be among them, if they were replaced right after they were read.
        let mut gone: Vec<_> = before.filter(|it| it.tables != self.tables).collect();
        let known = gone.iter().position(|it| it.tables == tables);
        gone.truncate(known.map_or(0, |at| at + 1));
        gone.reverse();
        gone
    }
}

/// The counters as they stood when all that they had counted was told, as it is kept over a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    tables: Vec<u64>,
    dropped: Option<u64>,
    counters: Vec<(Counter, u64)>,
    residents: Vec<(IpAddr, bool, u64)>,
    /// By what entries were ahead of the sum, and of those of cameras.
    debt: i64,
    debts: Vec<(IpAddr, i64)>,
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
    /// Who tells others by which router or address to go on, and how.
    pub directs: BTreeSet<(Source, Directions)>,
    /// At the end of a period, what of it is not known in full.
    pub unknown: Option<Unknown>,
    /// What is to be recorded now, each with the source it is about.
    pub blocked: Vec<(Source, Blocked)>,
    /// And of sources without a line of their own.
    pub summaries: Vec<BlockedSummary>,
    /// Whether with this all that was read is told.
    pub whole: bool,
}

/// Packets of a period that were dropped and are not told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Of these it is not known whose they are.
    pub whose: u64,
    /// Of these it is known whose they are, and not whither.
    pub whither: u64,
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
    /// Whether it is the first time, and one of the few of a period that are told by themselves.
    pub told: bool,
}

/// Reads the counters of one zone.
#[derive(Debug)]
pub struct Tripwire {
    zone: String,
    /// The counters as they stood; none before the first reading.
    before: Option<HashMap<Counter, u64>>,
    /// Those are of these tables.
    tables: Vec<u64>,
    /// They were kept by the gateway before, and nothing was read since.
    resumed: bool,
    residents_before: HashMap<(IpAddr, bool), u64>,
    dropped_before: Option<u64>,
    /// Of all that was dropped, what no entry told. Negative as long as entries were read later than it.
    not_attributed: i128,
    /// The same of each enrolled camera.
    untold: HashMap<IpAddr, i128>,
    /// In the running period: of those what is told, and claims that are.
    whither: u64,
    claims_told: usize,
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
            tables: Vec::new(),
            resumed: false,
            residents_before: HashMap::new(),
            dropped_before: None,
            not_attributed: 0,
            untold: HashMap::new(),
            whither: 0,
            claims_told: 0,
            summary: Summary::counting_aside(|target| !target.leads_out()),
            since: now,
        }
    }

    /// Begins with what the gateway before had told.
    pub fn resume(zone: &str, kept: Kept, now: (Duration, Timestamp)) -> Self {
        let Kept { tables, dropped, counters, residents, debt, debts } = kept;
        Self {
            before: Some(counters.into_iter().collect()),
            tables,
            resumed: true,
            residents_before: residents
                .into_iter()
                .map(|(address, arrived, it)| ((address, arrived), it))
                .collect(),
            dropped_before: dropped,
            not_attributed: debt.min(0).into(),
            untold: debts.into_iter().map(|(address, debt)| (address, debt.min(0).into())).collect(),
            ..Self::new(zone, now)
        }
    }

    /// How the counters stood when all that they had counted was told; none if these are too many to be kept, or it is not
    /// known of which tables they are.
    pub fn kept(&self) -> Option<Kept> {
        let counters = self.before.as_ref().filter(|it| it.len() <= ATTEMPTS_KEPT_MAX)?;
        let few = self.residents_before.len() <= ATTEMPTS_KEPT_MAX && self.untold.len() <= ATTEMPTS_KEPT_MAX;
        if self.tables.is_empty() || !few {
            return None;
        }
        let debt = |it: i128| i64::try_from(it.min(0)).unwrap_or(i64::MIN);
        let mut kept = Kept {
            tables: self.tables.clone(),
            dropped: self.dropped_before,
            counters: counters.iter().map(|(counter, packets)| (*counter, *packets)).collect(),
            residents: self
                .residents_before
                .iter()
                .map(|((address, arrived), it)| (*address, *arrived, *it))
                .collect(),
            debt: debt(self.not_attributed),
            debts: self.untold.iter().map(|(address, it)| (*address, debt(*it))).collect(),
        };
        // The same is written but once.
        kept.counters.sort_unstable();
        kept.residents.sort_unstable();
        kept.debts.sort_unstable();
        Some(kept)
    }

    /// Takes the counters as they stand now. What stood there at the first reading and was not told by the gateway before
    /// is told at once and marked.
    pub fn read(
        &mut self,
        snapshot: &Snapshot,
        enrolled: &dyn Fn(&Source) -> bool,
        now: (Duration, Timestamp),
    ) -> Reading {
        let (resumed, mut reading) = (std::mem::take(&mut self.resumed), Reading::default());
        let first_reading = self.before.is_none() || resumed;
        if self.before.is_some() && self.tables != snapshot.tables {
            for (at, gone) in snapshot.since(&self.tables).into_iter().enumerate() {
                if at == 0 {
                    let last = self.not_behind(gone);
                    self.take(&last, enrolled, (first_reading, resumed), &mut reading);
                } else {
                    self.begin_anew();
                    self.take(gone, enrolled, (first_reading, resumed), &mut reading);
                }
            }
            self.begin_anew();
        }
        self.tables.clone_from(&snapshot.tables);
        self.take(snapshot, enrolled, (first_reading, resumed), &mut reading);
        if first_reading || now.0.saturating_sub(self.since.0) >= SUMMARY_PERIOD {
            self.end(now, first_reading, &mut reading);
        } else {
            reading.blocked = self.summary.at_once().iter().map(|line| self.blocked(line, false)).collect();
        }
        reading
    }

    /// Other tables count, from nothing.
    fn begin_anew(&mut self) {
        self.before = Some(HashMap::new());
        self.residents_before.clear();
        self.dropped_before = Some(0);
    }

    /// How tables that are gone stood last, as far as this is known: whoever looked at them at the end may have done so
    /// before they were read last.
    fn not_behind(&self, last: &Snapshot) -> Snapshot {
        let mut last = last.clone();
        for entry in &mut last.entries {
            let known = self.before.as_ref().and_then(|it| it.get(&entry.counter));
            entry.packets = entry.packets.max(known.copied().unwrap_or(0));
        }
        for count in &mut last.residents {
            let known = self.residents_before.get(&(count.address, count.arrived));
            count.packets = count.packets.max(known.copied().unwrap_or(0));
        }
        last.dropped = last.dropped.max(self.dropped_before);
        last
    }

    /// Takes what counters grew by.
    fn take(
        &mut self,
        snapshot: &Snapshot,
        enrolled: &dyn Fn(&Source) -> bool,
        (first_reading, resumed): (bool, bool),
        reading: &mut Reading,
    ) {
        let mut packets = 0;
        for ((source, target), grown) in self.grown(snapshot) {
            packets += grown;
            *reading.by_source.entry(source).or_insert(0) += grown;
            let first = self.summary.add(&source, &target, grown, enrolled(&source));
            if let Target::Claim(kind, address) = target {
                let told = first && self.claims_told < CLAIMS_TOLD_PER_PERIOD_MAX;
                self.claims_told += usize::from(told);
                reading.claims.push(Claimed { by: source, address, kind, packets: grown, told });
            }
            if let Target::Directs(how, _) = target {
                reading.directs.insert((source, how));
            }
            // What was counted before the start and is not told may be older than any destination that is.
            if first && target.leads_out() && !(first_reading && target == Target::Untold) {
                reading.first.push((source, target));
            }
        }
        reading.packets += packets;
        self.not_attributed -= i128::from(packets);
        // Without claims the sum has what no entry can tell: both are taken up together, later.
        let whole = snapshot.with_claims || (first_reading && !resumed);
        if let Some(dropped) = snapshot.dropped.filter(|_| whole) {
            let grown = growth(self.dropped_before.replace(dropped), dropped);
            let left = self.not_attributed + i128::from(grown);
            self.not_attributed = left.max(-i128::from(packets));
        }
    }

    /// What each source sent to each target since the reading before: what counters grew by, and then summed up. A counter
    /// that ends must not make its sum look as if it had begun anew.
    fn grown(&mut self, snapshot: &Snapshot) -> BTreeMap<(Source, Target), u64> {
        let before = self.before.take().unwrap_or_default();
        let mut stand = HashMap::with_capacity(snapshot.entries.len());
        let mut sums: BTreeMap<(Source, Target), u64> = BTreeMap::new();
        for entry in snapshot.entries.iter().take(ATTEMPT_ENTRIES_MAX) {
            let grown = growth(before.get(&entry.counter).copied(), entry.packets);
            stand.insert(entry.counter, entry.packets);
            if let Some(source) = entry.source.filter(|_| grown > 0) {
                *sums.entry((source, entry.counter.target)).or_insert(0) += grown;
            }
        }
        if !snapshot.with_claims {
            let claims = before.into_iter().filter(|(it, _)| matches!(it.target, Target::Claim(..)));
            stand.extend(claims);
        }
        self.before = Some(stand);
        for (address, packets) in self.untold(&snapshot.residents, &sums) {
            self.whither += packets;
            sums.insert((Source::Address(address), Target::Untold), packets);
        }
        sums
    }

    /// What enrolled cameras sent that no entry tells. Their own counts are read before the entries: what these are ahead
    /// by is a debt, which is no more than what came since the reading before.
    fn untold(
        &mut self,
        residents: &[ResidentCount],
        sums: &BTreeMap<(Source, Target), u64>,
    ) -> Vec<(IpAddr, u64)> {
        let (before, debts) = (std::mem::take(&mut self.residents_before), std::mem::take(&mut self.untold));
        let mut grown: BTreeMap<IpAddr, i128> = BTreeMap::new();
        for it in residents.iter().take(RESIDENT_SETS * RESIDENT_COUNTS_PER_SET_MAX) {
            let key = (it.address, it.arrived);
            *grown.entry(it.address).or_insert(0) +=
                i128::from(growth(before.get(&key).copied(), it.packets));
            self.residents_before.insert(key, it.packets);
        }
        let mut told: HashMap<IpAddr, i128> = HashMap::new();
        for ((source, _), packets) in sums {
            if let Source::Address(address) = source {
                *told.entry(*address).or_insert(0) += i128::from(*packets);
            }
        }
        let mut untold = Vec::new();
        for (address, grown) in grown {
            let told = told.get(&address).copied().unwrap_or(0);
            let left = (debts.get(&address).copied().unwrap_or(0) + grown - told).max(-told);
            if let (true, Ok(packets)) = (left > 0, u64::try_from(left)) {
                untold.push((address, packets));
            }
            self.untold.insert(address, left.min(0));
        }
        untold
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
        let whither = std::mem::take(&mut self.whither);
        // What stood there before the start says nothing of now.
        reading.unknown = (!before_start).then_some(Unknown { whose: not_attributed, whither });
        self.claims_told = 0;
        reading.summaries = told.summaries(not_attributed > 0, |sources, last| BlockedSummary {
            zone: self.zone.clone(),
            since: self.since.1,
            sources: sources.iter().map(|(source, count, _)| (source.to_string(), *count)).collect(),
            local: if sources.iter().all(|(_, _, local)| *local == 0) {
                Vec::new()
            } else {
                sources.iter().map(|(_, _, local)| *local).collect()
            },
            rest_sources: last.map_or(0, |it| it.0),
            rest_packets: last.map_or(0, |it| it.1),
            not_attributed: last.map_or(0, |_| not_attributed),
            before_start,
        });
        self.since = now;
        reading.whole = true;
    }

    fn blocked(&self, line: &Line<Source, Target>, before_start: bool) -> (Source, Blocked) {
        let flow = |(target, packets, first): &(Target, u64, bool)| flow(*target, *packets, *first);
        let told = Blocked {
            zone: self.zone.clone(),
            source: line.source.to_string(),
            since: self.since.1,
            packets: line.count,
            local: line.aside,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolation::wire::{Attempt, Claim, FrameAttempt};

    const CAMERA: &str = "192.0.2.10";

    fn entry(source: &str, to: &str, port: u16, packets: u64) -> Entry {
        let target = Target::Address { to: to.parse().unwrap(), protocol: 17, port };
        counted(Source::Address(source.parse().unwrap()), target, packets)
    }

    fn counted(source: Source, target: Target, packets: u64) -> Entry {
        Entry { counter: Counter { source, target, apart: Apart::No }, source: Some(source), packets }
    }

    /// All that is there is in the entries.
    fn snapshot(dropped: Option<u64>, entries: Vec<Entry>) -> Snapshot {
        Snapshot { dropped, entries, with_claims: true, ..Snapshot::default() }
    }

    fn nobody(_: &Source) -> bool {
        false
    }

    fn at(seconds: u64) -> (Duration, Timestamp) {
        (Duration::from_secs(seconds), Timestamp::from_second(1_800_000_000 + seconds as i64).unwrap())
    }

    /// Reads counters at a time; the entries are (destination, packets) of one camera.
    fn read(wire: &mut Tripwire, seconds: u64, entries: &[(&str, u64)]) -> Reading {
        let entries = entries.iter().map(|(to, packets)| entry(CAMERA, to, 53, *packets)).collect();
        wire.read(&snapshot(None, entries), &nobody, at(seconds))
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
        assert_eq!(read(&mut wire, 0, &[]), Reading { whole: true, ..Reading::default() });
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

    /// The tables' number, what they dropped, and what of that each of two destinations has.
    fn standing(tables: u64, dropped: u64, packets: [u64; 2]) -> Snapshot {
        let to = ["203.0.113.9", "203.0.113.7"].into_iter().zip(packets);
        let entries = to.map(|(to, packets)| entry(CAMERA, to, 53, packets)).collect();
        Snapshot { tables: vec![tables], ..snapshot(Some(dropped), entries) }
    }

    fn told(reading: &Reading) -> u64 {
        let lines = reading.blocked.iter().map(|it| it.1.packets).sum::<u64>();
        lines + reading.summaries.iter().map(|it| it.not_attributed).sum::<u64>()
    }

    #[test]
    fn what_was_told_before_a_restart_is_not_told_again() {
        let mut wire = Tripwire::new("restricted", at(0));
        wire.read(&standing(1, 5, [5, 0]), &nobody, at(0));
        wire.read(&standing(1, 12, [8, 3]), &nobody, at(2));
        wire.rest(at(3));
        let kept = wire.kept().unwrap();
        let kept: Kept = serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap();
        assert_eq!(Some(&kept), wire.kept().as_ref());
        let resumed = |snapshot: &Snapshot| {
            let mut wire = Tripwire::resume("restricted", kept.clone(), at(9));
            let reading = wire.read(snapshot, &nobody, at(10));
            assert!(reading.blocked.iter().all(|it| it.1.before_start), "{reading:?}");
            // The next reading is like any other.
            let more = Snapshot { dropped: snapshot.dropped.map(|it| it + 1), ..snapshot.clone() };
            wire.read(&more, &nobody, at(12));
            assert_eq!(wire.rest(at(13)).unknown, Some(Unknown { whose: 1, whither: 0 }));
            told(&reading)
        };
        assert_eq!(resumed(&standing(1, 12, [8, 3])), 0, "nothing came meanwhile");
        assert_eq!(resumed(&standing(1, 19, [10, 4])), 7, "nor is what nobody can tell lost");
        assert_eq!(resumed(&standing(2, 14, [14, 0])), 14, "the rules were loaded anew");
        let before = Some(Box::new(standing(1, 13, [9, 3])));
        let anew = Snapshot { before, ..standing(2, 14, [14, 0]) };
        assert_eq!(resumed(&anew), 1 + 14, "and somebody saw how the ones before stood");
    }

    #[test]
    fn rules_that_are_loaded_anew_lose_nothing_that_somebody_saw() {
        let mut wire = Tripwire::new("restricted", at(0));
        let mut packets = |snapshot: &Snapshot, second| {
            let reading = wire.read(snapshot, &nobody, at(second));
            reading.packets
        };
        assert_eq!(packets(&standing(1, 5, [5, 0]), 1), 5);
        // Higher than before, and all the same from nothing.
        let before = |packets| Some(Box::new(standing(1, 9, packets)));
        let anew = Snapshot { before: before([7, 2]), ..standing(2, 8, [6, 2]) };
        assert_eq!(packets(&anew, 3), 4 + 8);
        assert_eq!(packets(&anew, 5), 0, "once");
        assert_eq!(packets(&standing(2, 9, [7, 2]), 6), 1);
        // Looked at before it was read last.
        let behind = Some(Box::new(standing(2, 8, [6, 2])));
        assert_eq!(packets(&Snapshot { before: behind, ..standing(3, 0, [0, 0]) }, 6), 0);
        let later = Snapshot { before: before([7, 2]), ..standing(4, 1, [1, 0]) };
        assert_eq!(packets(&later, 7), 1, "what is of others before is told already");
        // Twice between two readings.
        let gone = |tables, dropped, packets, before| {
            Some(Box::new(Snapshot { before, ..standing(tables, dropped, packets) }))
        };
        let gone_since = gone(5, 3, [3, 0], gone(4, 6, [4, 2], gone(3, 9, [9, 0], None)));
        let twice = Snapshot { before: gone_since.clone(), ..standing(6, 20, [15, 5]) };
        assert_eq!(packets(&twice, 8), 5 + 3 + 20);
        // And once more, right after these were read.
        let again = gone(7, 2, [2, 0], gone(6, 22, [16, 6], gone_since));
        let meanwhile = Snapshot { before: again.clone(), ..standing(7, 1, [1, 0]) };
        assert_eq!(packets(&meanwhile, 9), 2 + 1);
        assert_eq!(packets(&Snapshot { before: again, ..standing(8, 4, [4, 0]) }, 10), 1 + 4);
    }

    #[test]
    fn counters_that_are_too_many_are_not_kept() {
        let full = |count: usize| {
            let entries =
                (0..count).map(|it| entry(CAMERA, &format!("203.0.{}.{}", it / 256, it % 256), 53, 1));
            let mut wire = Tripwire::new("restricted", at(0));
            let snapshot = Snapshot { tables: vec![1], ..snapshot(None, entries.collect()) };
            wire.read(&snapshot, &nobody, at(1));
            wire.kept().is_some()
        };
        assert!(full(ATTEMPTS_KEPT_MAX) && !full(ATTEMPTS_KEPT_MAX + 1));
        assert_eq!(Tripwire::new("restricted", at(0)).kept(), None, "nothing was read");
    }

    #[test]
    fn what_no_entry_tells_is_counted_as_nobodys() {
        let mut wire = Tripwire::new("restricted", at(0));
        let snapshot =
            |dropped, packets| snapshot(Some(dropped), vec![entry(CAMERA, "203.0.113.9", 53, packets)]);
        wire.read(&snapshot(10, 10), &nobody, at(0));
        // Entries are read after the counter: what came in between is no debt.
        wire.read(&snapshot(20, 25), &nobody, at(1));
        let rest = wire.rest(at(2));
        assert_eq!((rest.summaries, rest.unknown), (vec![], Some(Unknown::default())));
        wire.read(&snapshot(130, 30), &nobody, at(3));
        let rest = wire.rest(at(4));
        assert_eq!(rest.unknown, Some(Unknown { whose: 100, whither: 0 }));
        let summary = &rest.summaries[0];
        assert_eq!((summary.not_attributed, summary.rest_packets), (100, 0));
        wire.read(&snapshot(130, 30), &nobody, at(5));
        assert_eq!(wire.rest(at(6)).summaries, [], "told once");
        wire.read(&snapshot(3, 3), &nobody, at(7));
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
            let entry = counted(Source::Address(CAMERA.parse().unwrap()), target, 1);
            let reading =
                Tripwire::new("restricted", at(0)).read(&snapshot(None, vec![entry]), &nobody, at(1));
            let told = &reading.blocked[0].1;
            assert_eq!((told.local, told.destinations[0].local), (u64::from(!leads), !leads), "{target}");
            assert_eq!(
                (reading.first.len(), reading.packets),
                (usize::from(leads), 1),
                "{target} is counted all the same"
            );
        }
    }

    #[test]
    fn what_is_said_to_the_gateway_and_to_all_on_the_link_leads_nowhere() {
        let networks = |of: &[&str]| of.iter().map(|it| it.parse().unwrap()).collect::<Vec<_>>();
        let here = Here::of(
            &networks(&["192.168.1.1/24", "2001:db8:1::1/64", "10.9.9.1/31"]),
            &networks(&["192.168.1.0/24", "172.16.4.0/23"]),
        );
        for (destination, leads) in [
            ("192.168.1.1", false),
            ("2001:db8:1::1", false),
            ("192.168.1.255", false),
            ("172.16.5.255", false),
            ("10.9.9.1", false),
            ("10.9.9.0", true),
            ("192.168.1.20", true),
            ("172.16.4.255", true),
            ("2001:db8:1::ffff:ffff:ffff:ffff", true),
        ] {
            let (source, destination) = (CAMERA.parse().unwrap(), destination.parse().unwrap());
            let (protocol, port, packets) = (17, 514, 3);
            let attempt = Attempt { source, destination, protocol, port, arrived: false, packets, bytes: 0 };
            let counted = Attempts { packets: vec![attempt], dropped: 3, ..Attempts::default() };
            let reading = Tripwire::new("yard", at(0)).read(&Snapshot::of(&counted, &here), &nobody, at(1));
            assert_eq!(reading.first.len(), usize::from(leads), "{destination}");
            let told = &reading.blocked[0].1;
            assert_eq!((told.packets, told.local), (3, if leads { 0 } else { 3 }), "{destination}");
            assert_eq!(told.destinations[0].to, destination.to_string());
        }
    }

    #[test]
    fn who_tells_others_where_to_go_on_is_told() {
        let attempt = |destination: &str, protocol, port| Attempt {
            source: CAMERA.parse().unwrap(),
            destination: destination.parse().unwrap(),
            protocol,
            port,
            arrived: false,
            packets: 2,
            bytes: 0,
        };
        for (attempt, told, leads) in [
            (attempt("ff02::1", 58, 134), Some("ff02::1 (router advertisement)"), false),
            (attempt("255.255.255.255", 17, 68), Some("255.255.255.255 (DHCP answer)"), false),
            (attempt("fe80::7", 17, 546), Some("fe80::7 (DHCP answer)"), false),
            (attempt("ff02::16", 58, 0), None, false),
            (attempt("255.255.255.255", 17, 67), None, false),
            (attempt("192.0.2.9", 6, 68), None, true),
            (attempt("203.0.113.9", 17, 68), None, true),
            (attempt("2001:db8:9::1", 17, 546), None, true),
            (attempt("2001:db8:9::1", 58, 134), None, true),
        ] {
            let counted = Attempts { packets: vec![attempt], dropped: 2, ..Attempts::default() };
            let snapshot = Snapshot::of(&counted, &Here::default());
            let reading = Tripwire::new("yard", at(0)).read(&snapshot, &nobody, at(1));
            assert_eq!(reading.directs.len(), usize::from(told.is_some()), "{snapshot:?}");
            let target = snapshot.entries[0].counter.target;
            assert!(told.is_none_or(|it| target.to_string() == it && !target.leads_out()), "{target}");
            assert_eq!(reading.first.len(), usize::from(leads), "{target}");
        }
    }

    #[test]
    fn what_the_kernel_counts_in_two_tables_is_one() {
        let packet = |port, arrived, packets| Attempt {
            source: CAMERA.parse().unwrap(),
            destination: "203.0.113.9".parse().unwrap(),
            protocol: 6,
            port,
            arrived,
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
            packets: vec![packet(23, false, 3), packet(80, false, 1), packet(23, true, 2)],
            frames: vec![
                frame("02:00:5e:00:00:0a"),
                frame("02:00:5e:00:00"),
                frame("02:00:5e:00:00:0a:0b"),
                frame("x"),
            ],
            claims: Some(vec![claim(FORGER, FORGER, Some(FORGER), 9)]),
            dropped: 17,
            ..Attempts::default()
        };
        let mut wire = Tripwire::new("restricted", at(0));
        let reading = wire.read(&Snapshot::of(&counted, &Here::default()), &nobody, at(1));
        let lines = reading.blocked.iter().flat_map(|(source, it)| {
            let told = it.destinations.iter();
            told.map(move |it| format!("{source} > {} {} {}: {}", it.to, it.port, it.protocol, it.packets))
        });
        let told: BTreeSet<_> = lines.collect();
        let wanted = [
            "192.0.2.10 > 203.0.113.9 23 tcp: 5",
            "192.0.2.10 > 203.0.113.9 80 tcp: 1",
            "02:00:5e:00:00:0a > 0x8100 0 ethernet: 4",
            "02:66:00:00:00:01 > 192.0.2.10 0 claim by ARP: 9",
        ];
        assert_eq!(told, BTreeSet::from(wanted.map(str::to_owned)));
        // Of 17, 19 are told: the entries were read later.
        assert_eq!(reading.summaries, []);
        assert_eq!(claims(&reading), [format!("{FORGER} 9 true")]);
        assert!(!reading.first.iter().any(|it| it.0 == reading.claims[0].by));
        // One of two ends: nothing came.
        let fewer = Attempts { packets: vec![packet(23, false, 3), packet(80, false, 1)], ..counted };
        let reading = wire.read(&Snapshot::of(&fewer, &Here::default()), &nobody, at(2));
        assert_eq!((reading.packets, reading.claims.len()), (0, 0));
    }

    const FORGER: &str = "02:66:00:00:00:01";
    const VICTIM: &str = "44:19:b6:00:00:07";

    fn claim(frame: &str, named: &str, claimant: Option<&str>, packets: u64) -> Claim {
        let mac = |text: &str| text.parse().unwrap();
        Claim {
            frame: mac(frame),
            named: Some(mac(named)),
            from: None,
            claimant: claimant.map(mac),
            claimed: Some(CAMERA.parse().unwrap()),
            kind: ClaimKind::Arp,
            packets,
        }
    }

    fn claims(reading: &Reading) -> Vec<String> {
        reading.claims.iter().map(|it| format!("{} {} {}", it.by, it.packets, it.told)).collect()
    }

    #[test]
    fn claims_are_counted_once_and_never_as_the_victims() {
        let mut wire = Tripwire::new("restricted", at(0));
        let mut read = |second, dropped, told: Option<Vec<Claim>>| {
            let counted = Attempts { claims: told, dropped, ..Attempts::default() };
            let reading = wire.read(&Snapshot::of(&counted, &Here::default()), &nobody, at(second));
            (claims(&reading), reading.packets)
        };
        let none = (Vec::new(), 0);
        assert_eq!(read(0, 0, Some(vec![])), none);
        let own = claim(FORGER, FORGER, Some(FORGER), 4);
        let as_victim = |claimant, packets| claim(VICTIM, FORGER, claimant, packets);
        let first = read(1, 10, Some(vec![own, as_victim(Some(FORGER), 6)]));
        assert_eq!(first, (vec![format!("{FORGER} 10 true")], 10));
        // One of two counters ends.
        assert_eq!(read(2, 10, Some(vec![own])), none);
        assert_eq!(read(3, 16, Some(vec![own, as_victim(Some(FORGER), 6)])).1, 6, "and came again");
        // `netd` began anew, and was then told who is resident.
        assert_eq!(read(4, 16, None), none);
        assert_eq!(read(5, 16, Some(vec![own, as_victim(Some(FORGER), 6)])), none);
        // Nobody has that address any more: who was right is not known, and nobody is named.
        assert_eq!(read(6, 17, Some(vec![own, as_victim(None, 7)])), none);
        let sums = wire.rest(at(7)).summaries;
        assert_eq!(sums[0].not_attributed, 1);
    }

    #[test]
    fn a_flood_of_forged_claims_is_few_lines_and_exact() {
        let mut wire = Tripwire::new("restricted", at(0));
        wire.read(&snapshot(None, Vec::new()), &nobody, at(0));
        let flood = |second: u16| {
            let forged = |number: u16| {
                let mac = format!("02:66:00:{second:02x}:{:02x}:{:02x}", number >> 8, number & 0xff);
                claim(&mac, &mac, Some(&mac), 1)
            };
            Attempts {
                claims: Some((0..10_240).map(forged).collect()),
                dropped: 10_240,
                ..Attempts::default()
            }
        };
        let mut lines = 0;
        for second in 1..30 {
            let reading =
                wire.read(&Snapshot::of(&flood(second), &Here::default()), &nobody, at(second.into()));
            assert_eq!(reading.claims.len(), 10_240);
            lines += reading.claims.iter().filter(|it| it.told).count() + reading.blocked.len();
        }
        assert!(lines <= CLAIMS_TOLD_PER_PERIOD_MAX + crate::limits::SUMMARY_AT_ONCE_MAX, "{lines} lines");
    }

    #[test]
    fn a_camera_that_fills_the_counters_hides_no_other() {
        const BLIND: usize = crate::limits::ATTEMPTS_PER_SET_MAX;
        let (attacker, other) = ("192.0.2.66".parse().unwrap(), CAMERA.parse().unwrap());
        let resident = |address, packets| ResidentCount { address, arrived: false, packets };
        let full = |each: u64, residents| {
            let to = |number: usize| format!("203.{}.{}.9", number / 256, number % 256);
            let entries = (0..BLIND).map(|it| entry("192.0.2.66", &to(it), 53, each)).collect();
            let sum = BLIND as u64 * each;
            let of_other: u64 = 7 * (each - 1);
            let dropped = Some(sum + of_other);
            Snapshot { dropped, entries, with_claims: true, residents, ..Snapshot::default() }
        };
        let mut wire = Tripwire::new("restricted", at(0));
        wire.read(&snapshot(Some(0), Vec::new()), &nobody, at(0));
        let sum = BLIND as u64;
        wire.read(&full(1, vec![resident(attacker, sum)]), &|_| true, at(1));
        let both = vec![resident(attacker, 2 * sum), resident(other, 7)];
        let reading = wire.read(&full(2, both), &|_| true, at(2));
        let source = Source::Address(other);
        assert_eq!(reading.first, [(source, Target::Untold)], "an alarm about it");
        assert_eq!((reading.by_source[&source], reading.packets), (7, sum + 7));
        let line = &reading.blocked.iter().find(|it| it.0 == source).unwrap().1;
        assert_eq!((line.packets, line.local, line.destinations[0].first), (7, 0, true));
        let rest = wire.rest(at(3));
        assert_eq!(rest.unknown, Some(Unknown { whose: 0, whither: 7 }));
        assert!(rest.summaries.iter().all(|it| it.not_attributed == 0));
    }

    #[test]
    fn what_a_camera_sends_between_two_looks_is_not_taken_for_untold() {
        let mut wire = Tripwire::new("restricted", at(0));
        let mut read = |second, total, told| {
            let residents =
                vec![ResidentCount { address: CAMERA.parse().unwrap(), arrived: false, packets: total }];
            let entries = vec![entry(CAMERA, "203.0.113.9", 53, told)];
            let snapshot = Snapshot { entries, with_claims: true, residents, ..Snapshot::default() };
            let reading = wire.read(&snapshot, &|_| true, at(second));
            reading.packets
        };
        // It was enrolled when 900 had been counted already.
        assert_eq!(read(0, 10, 910), 910);
        assert_eq!(read(2, 20, 925), 15, "five came in between");
        assert_eq!(read(4, 30, 930), 5);
        assert_eq!(read(6, 40, 930), 5, "no more than one look is ahead is hidden");
        assert_eq!(read(8, 50, 930), 10);
    }

    /// 500 cameras with 600 packets each to ten destinations in two minutes: 5,000 attempts a second.
    #[test]
    fn a_flood_is_few_lines_and_exact() {
        let mut wire = Tripwire::new("restricted", at(0));
        wire.read(&snapshot(None, Vec::new()), &nobody, at(0));
        let (mut lines, mut bytes, mut told) = (0, 0, 0);
        for second in 1..=120 {
            let mut entries = Vec::new();
            for camera in 0..500 {
                for to in 0..10 {
                    let source = format!("10.0.{}.{}", camera / 250, camera % 250 + 1);
                    entries.push(entry(&source, &format!("203.0.113.{to}"), 8_800, second));
                }
            }
            let reading = wire.read(&snapshot(Some(5_000 * second), entries), &nobody, at(second));
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
        assert!(lines <= 2 * (crate::limits::SUMMARY_LINES_MAX + 10), "{lines} lines");
        assert!(bytes < 200_000, "{bytes} bytes in two minutes");
    }
}
