//! Reads, while the gateway serves, what cameras tried to reach beyond their zones, and gives zones a name server that
//! knows no name and a clock: on a thread of its own, so that no flood disturbs who serves.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{net::UdpSocket, sync::oneshot, task::AbortHandle};

use super::watcher::{Watcher, look_until};
use crate::{
    alarm::{Alarm, Subject},
    audit::Event,
    clock::Clock,
    gate::Rules,
    ids::{CameraId, ZoneId},
    inventory::{Isolation, MacAddress, Zone},
    isolation::{
        ASKED, ASKED_SUMMARY, Attempts, BLOCKED, BLOCKED_SUMMARY, CLAIMED, Claimed, Directions, Here, Kept,
        Names, NamesTold, NetdError, Rates, Reading, Snapshot, Source, Target, Tripwire, Unknown, sntp,
    },
    limits::{
        ATTEMPTS_READ_INTERVAL, STRANGERS_ALARMED_PER_PERIOD_MAX, SUMMARY_PERIOD, ZONE_MESSAGE_BYTES_MAX,
        ZONE_SERVICES_INTERVAL,
    },
    listener::House,
    store::Clerk,
    telemetry::ZoneCounts,
};

/// Watches every zone that is isolated, until it is dropped; then all that was not told is. How far it came is kept, so
/// that the next start does not tell it again.
pub(super) fn start(house: Arc<House>, clerk: Arc<Clerk>) -> io::Result<Watcher> {
    let zones = BTreeMap::new();
    Watcher::start("tripwire", |stopped| Guard { house, memory: Memory::new(clerk), zones }.until(stopped))
}

struct Guard {
    house: Arc<House>,
    memory: Memory,
    zones: BTreeMap<ZoneId, Guarded>,
}

/// How far the counters of each zone were told, as it is kept in the state database.
struct Memory {
    clerk: Arc<Clerk>,
    /// Which start of the machine this is: the next has other counters of the same names.
    boot: String,
}

/// Counters as they are kept.
#[derive(Serialize, Deserialize)]
struct KeptCounters {
    boot: String,
    kept: Kept,
}

impl Memory {
    fn new(clerk: Arc<Clerk>) -> Self {
        let boot = std::fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        Self { clerk, boot }
    }

    /// The place of a zone, which no camera's name can be.
    fn place(zone: &ZoneId) -> String {
        format!("zone {zone}")
    }

    fn recall(&self, zone: &ZoneId) -> Option<Kept> {
        let text = self.clerk.state(&Self::place(zone), COUNTERS)?;
        let found: KeptCounters = serde_json::from_str(&text).ok()?;
        (!self.boot.is_empty() && found.boot == self.boot).then_some(found.kept)
    }

    fn keep(&self, zone: &ZoneId, kept: Kept) {
        match serde_json::to_string(&KeptCounters { boot: self.boot.clone(), kept }) {
            Ok(text) => self.clerk.keep_state(&Self::place(zone), COUNTERS, &text, None),
            Err(error) => tracing::error!(%zone, %error, "how far its attempts were told cannot be kept"),
        }
    }
}

/// One zone.
struct Guarded {
    tripwire: Tripwire,
    /// When it is read next, in monotonic time.
    next: Duration,
    readable: bool,
    services: Services,
    strangers: Strangers,
    /// Whether the log took all that was told so far. If not, the next start tells it, with all that came since.
    recorded: bool,
}

/// Who is enrolled nowhere and has an alarm of its own, so that one that goes on does not hide the next. Few in a period,
/// since addresses are easily made up: what further ones do is the zone's.
#[derive(Default)]
struct Strangers {
    since: Duration,
    known: BTreeSet<Source>,
}

impl Strangers {
    fn subject(&mut self, source: &Source, zone: &ZoneId, now: Duration) -> Subject {
        if now.saturating_sub(self.since) >= SUMMARY_PERIOD {
            *self = Self { since: now, known: BTreeSet::new() };
        }
        if !self.known.contains(source) {
            if self.known.len() >= STRANGERS_ALARMED_PER_PERIOD_MAX {
                return Subject::Zone(zone.clone());
            }
            self.known.insert(*source);
        }
        Subject::Device(source.to_string(), Some(zone.clone()))
    }
}

impl Guard {
    async fn until(mut self, stopped: oneshot::Receiver<()>) {
        look_until(stopped, ZONE_SERVICES_INTERVAL, async || self.look().await).await;
        let edition = self.house.edition.load_full();
        let inventory = edition.rules.inventory();
        for (id, guarded) in &mut self.zones {
            let teller = Teller::new(&self.house, &edition.rules, id);
            // What came since the last reading; who could not be read then is not waited for.
            if let Some(zone) = inventory.zone(id).filter(|_| guarded.readable) {
                guarded.read(&teller, &here(zone), &self.memory).await;
            }
            guarded.end(&teller);
            guarded.keep(&teller, &self.memory).await;
        }
    }

    /// One look at every zone that there is now.
    async fn look(&mut self) {
        let edition = self.house.edition.load_full();
        let inventory = edition.rules.inventory();
        let now = time(&*self.house.clock);
        let isolated = |zone: &&Zone| own_addresses(zone).is_some();
        self.zones.retain(|id, guarded| {
            let stays = inventory.zone(id).as_ref().is_some_and(isolated);
            if !stays {
                guarded.end(&Teller::new(&self.house, &edition.rules, id));
            }
            stays
        });
        for zone in inventory.zones().filter(isolated) {
            let memory = &self.memory;
            let begun = || Guarded::new(&zone.id, memory.recall(&zone.id), now);
            let guarded = self.zones.entry(zone.id.clone()).or_insert_with(begun);
            let teller = Teller::new(&self.house, &edition.rules, &zone.id);
            guarded.services.serve(zone, &self.house).await;
            teller.names(guarded.services.tell(now, false));
            if now.0 >= guarded.next {
                guarded.read(&teller, &here(zone), memory).await;
            }
        }
    }
}

impl Guarded {
    fn new(zone: &ZoneId, kept: Option<Kept>, now: (Duration, Timestamp)) -> Self {
        let tripwire = match kept {
            Some(kept) => Tripwire::resume(zone.as_str(), kept, now),
            None => Tripwire::new(zone.as_str(), now),
        };
        Self {
            tripwire,
            next: now.0,
            readable: true,
            services: Services::new(zone, now),
            strangers: Strangers::default(),
            recorded: true,
        }
    }

    /// Reads the counters.
    async fn read(&mut self, teller: &Teller<'_>, here: &Here, memory: &Memory) {
        let house = teller.house;
        let began = house.clock.monotonic();
        let (netd, zone) = (house.netd.clone(), teller.zone.clone());
        let counted: Result<Attempts, NetdError> =
            match tokio::task::spawn_blocking(move || netd.attempts(&zone)).await {
                Ok(counted) => counted,
                Err(_) => Err(NetdError::Other),
            };
        let now = time(&*house.clock);
        self.next = now.0 + ATTEMPTS_READ_INTERVAL.max(10 * now.0.saturating_sub(began));
        let trouble = counted.as_ref().err().map(ToString::to_string);
        let zone = Subject::Zone(teller.zone.clone());
        house.gate.watch().alarms.set(Alarm::TripwireUnreadable, zone, trouble.as_deref());
        match counted {
            Ok(counted) => {
                let enrolled = |source: &Source| teller.camera(source).is_some();
                let reading = self.tripwire.read(&Snapshot::of(&counted, here), &enrolled, now);
                self.recorded &= teller.attempts(&reading, &mut self.strangers);
                self.readable = true;
                if reading.whole {
                    self.keep(teller, memory).await;
                }
            }
            Err(error) => {
                if std::mem::take(&mut self.readable) {
                    tracing::warn!(zone = %teller.zone, %error, "what cameras try to reach cannot be read");
                }
            }
        }
    }

    fn end(&mut self, teller: &Teller<'_>) {
        let now = time(&*teller.house.clock);
        self.services.close();
        teller.names(self.services.tell(now, true));
        self.recorded &= teller.attempts(&self.tripwire.rest(now), &mut self.strangers);
    }

    /// Keeps how far all is told, once that is on the log's disk: nothing counts as told that a crash loses.
    async fn keep(&self, teller: &Teller<'_>, memory: &Memory) {
        let Some(kept) = self.tripwire.kept().filter(|_| self.recorded) else { return };
        match teller.house.gate.log().written().await {
            Ok(()) => memory.keep(teller.zone, kept),
            Err(error) => {
                tracing::info!(zone = %teller.zone, %error, "what was told of it is not on record yet")
            }
        }
    }
}

/// The name server and the clock of one zone.
struct Services {
    names: Arc<Mutex<Names>>,
    open: BTreeMap<SocketAddr, AbortHandle>,
    served: bool,
}

impl Services {
    fn new(zone: &ZoneId, now: (Duration, Timestamp)) -> Self {
        let names = Arc::new(Mutex::new(Names::new(zone.as_str(), now)));
        Self { names, open: BTreeMap::new(), served: true }
    }

    /// Opens what is not open, while the zone is isolated; its sockets would be another namespace's otherwise.
    async fn serve(&mut self, zone: &Zone, house: &Arc<House>) {
        if house.gate.watch().zones.trouble(zone).is_some() {
            return self.close();
        }
        self.open.retain(|_, task| !task.is_finished());
        let wanted: Vec<SocketAddr> = own_addresses(zone)
            .into_iter()
            .flatten()
            .flat_map(|address| [NAMES_PORT, TIME_PORT].map(|port| SocketAddr::new(address, port)))
            .collect();
        let gone: Vec<SocketAddr> = self.open.keys().filter(|at| !wanted.contains(at)).copied().collect();
        gone.iter().filter_map(|at| self.open.remove(at)).for_each(|task| task.abort());
        for at in wanted {
            if self.open.contains_key(&at) {
                continue;
            }
            match datagrams(house, &zone.id, at).await {
                Ok(socket) => {
                    let clock = Arc::clone(&house.clock);
                    let task = match at.port() {
                        NAMES_PORT => {
                            tokio::spawn(names(socket, Arc::clone(&self.names), clock)).abort_handle()
                        }
                        _ => tokio::spawn(clock_of(socket, clock)).abort_handle(),
                    };
                    self.open.insert(at, task);
                    self.served = true;
                }
                Err(error) => {
                    if std::mem::take(&mut self.served) {
                        tracing::warn!(zone = %zone.id, %at, %error, "the zone is not given names or time");
                    }
                    return;
                }
            }
        }
    }

    fn close(&mut self) {
        std::mem::take(&mut self.open).values().for_each(AbortHandle::abort);
    }

    fn tell(&self, now: (Duration, Timestamp), last: bool) -> NamesTold {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).tell(now, last)
    }
}

/// What in a zone is the gateway, and what leads to its neighbours alone.
fn here(zone: &Zone) -> Here {
    match &zone.isolation {
        Isolation::Namespace(leg) => Here::of(&leg.addresses, &zone.prefixes),
        Isolation::None => Here::default(),
    }
}

/// The gateway's own addresses in a zone that is isolated.
fn own_addresses(zone: &Zone) -> Option<Vec<IpAddr>> {
    match &zone.isolation {
        Isolation::Namespace(leg) => Some(leg.addresses.iter().map(ipnet::IpNet::addr).collect()),
        Isolation::None => None,
    }
}

async fn datagrams(house: &House, zone: &ZoneId, at: SocketAddr) -> Result<UdpSocket, NetdError> {
    let (netd, zone) = (house.netd.clone(), zone.clone());
    let made = tokio::task::spawn_blocking(move || netd.datagrams(&zone, at)).await;
    UdpSocket::from_std(made.map_err(|_| NetdError::Other)??).map_err(|_| NetdError::Other)
}

/// Refuses every name. Ends when the socket does.
async fn names(socket: UdpSocket, names: Arc<Mutex<Names>>, clock: Arc<dyn Clock>) {
    let mut buffer = [0; ZONE_MESSAGE_BYTES_MAX];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let message = buffer.get(..length).unwrap_or_default();
        let refusal = {
            let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
            names.hear(from.ip(), message, clock.monotonic())
        };
        // What finds no room is lost, as datagrams are.
        let _ = refusal.map(|refusal| socket.try_send_to(&refusal, from));
    }
}

/// Tells the time. Ends when the socket does.
async fn clock_of(socket: UdpSocket, clock: Arc<dyn Clock>) {
    let (mut buffer, mut rates) = ([0; ZONE_MESSAGE_BYTES_MAX], Rates::default());
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let received = clock.now();
        if !rates.admit(from.ip(), clock.monotonic()) {
            continue;
        }
        let answer = sntp::answer(buffer.get(..length).unwrap_or_default(), received, clock.now());
        let _ = answer.map(|answer| socket.try_send_to(&answer, from));
    }
}

/// Puts on record what one zone's cameras tried, and tells whoever watches.
struct Teller<'a> {
    house: &'a House,
    zone: &'a ZoneId,
    /// Cameras of the zone by address.
    cameras: BTreeMap<IpAddr, &'a CameraId>,
    /// And those that are held to a hardware address, by that.
    residents: BTreeMap<MacAddress, &'a CameraId>,
    /// The gateway's own addresses there.
    own: Vec<IpAddr>,
}

impl<'a> Teller<'a> {
    fn new(house: &'a House, rules: &'a Rules, zone: &'a ZoneId) -> Self {
        let own = || rules.inventory().cameras().filter(|camera| camera.zone == *zone);
        let cameras = own().map(|camera| (camera.address.host.to_canonical(), &camera.id)).collect();
        let held = own().filter_map(|camera| Some((rules.regards().hardware(camera)?, &camera.id)));
        let leg = rules.inventory().zone(zone).and_then(own_addresses);
        Self { house, zone, cameras, residents: held.collect(), own: leg.unwrap_or_default() }
    }

    fn camera(&self, source: &Source) -> Option<&'a CameraId> {
        match source {
            Source::Address(address) => self.cameras.get(&address.to_canonical()).copied(),
            Source::Hardware(address) => self.residents.get(address).copied(),
        }
    }

    /// Gives whether the log took all of it.
    fn attempts(&self, reading: &Reading, strangers: &mut Strangers) -> bool {
        let mut taken = true;
        for (source, told) in &reading.blocked {
            taken &= self.note(BLOCKED, self.camera(source), told);
        }
        for told in &reading.summaries {
            taken &= self.note(BLOCKED_SUMMARY, None, told);
        }
        let metrics = &self.house.gate.watch().metrics;
        if reading.packets > 0 {
            metrics.zone(self.zone, ZoneCounts { blocked: reading.packets, asked: 0 });
        }
        for (source, packets) in &reading.by_source {
            if let Some(camera) = self.camera(source) {
                metrics.camera(camera).blocked(*packets);
            }
        }
        self.alarm(&reading.first, strangers);
        self.claims(&reading.claims, strangers);
        self.directions(&reading.directs, strangers);
        if let Some(unknown) = reading.unknown {
            self.full(unknown);
        }
        taken
    }

    /// Says whether evidence was lost in the last period.
    fn full(&self, unknown: Unknown) {
        let Unknown { whose, whither } = unknown;
        let found = format!(
            "of {whose} packets that were dropped it is not known whose they are, of {whither} of enrolled cameras not \
             whither they went"
        );
        let lost = (whose + whither > 0).then_some(found.as_str());
        let zone = Subject::Zone(self.zone.clone());
        self.house.gate.watch().alarms.set(Alarm::TripwireFull, zone, lost);
    }

    /// Puts on record, the first time, who claims the address of another, as far as these are few (all are among what was
    /// blocked), and raises one alarm about each who does: whose address it is cannot help it.
    fn claims(&self, claims: &[Claimed], strangers: &mut Strangers) {
        let mut by_subject: BTreeMap<Subject, (String, usize)> = BTreeMap::new();
        for it in claims {
            let claimant = self.camera(&it.by);
            let victim = it.address.and_then(|address| self.camera(&Source::Address(address)));
            let of = match (it.address, victim) {
                (Some(address), Some(camera)) => format!("{address}, the address of camera {camera}"),
                (Some(address), None) if self.own.contains(&address) => {
                    format!("{address}, the gateway's own address")
                }
                (Some(address), None) => address.to_string(),
                (None, _) => "the address of an enrolled camera, or the gateway's".to_owned(),
            };
            if it.told {
                let victim = victim.map(ToString::to_string);
                let detail = json!({
                    "zone": self.zone.to_string(), "claimant": it.by.to_string(), "claimed": it.address,
                    "of": victim, "how": it.kind, "packets": it.packets,
                });
                self.note(CLAIMED, claimant, &detail);
            }
            let subject = self.subject(&it.by, strangers);
            let found = || (format!("{} claims {of}, {}", it.by, it.kind), 0);
            by_subject.entry(subject).or_insert_with(found).1 += 1;
        }
        self.raise(Alarm::AddressClaimed, by_subject, "");
    }

    /// Whom an alarm is about.
    fn subject(&self, source: &Source, strangers: &mut Strangers) -> Subject {
        match self.camera(source) {
            Some(camera) => Subject::Camera(camera.clone()),
            None => strangers.subject(source, self.zone, self.house.clock.monotonic()),
        }
    }

    /// Raises one alarm for each who tried something for the first time.
    fn alarm(&self, first: &[(Source, Target)], strangers: &mut Strangers) {
        let mut by_subject: BTreeMap<Subject, (String, usize)> = BTreeMap::new();
        for (source, target) in first {
            let subject = self.subject(source, strangers);
            let found = match subject {
                Subject::Zone(_) => format!("{source} tried to reach {target}"),
                _ => format!("it tried to reach {target}"),
            };
            by_subject.entry(subject).or_insert((found, 0)).1 += 1;
        }
        self.raise(Alarm::EgressAttempt, by_subject, " for the first time");
    }

    /// Raises an alarm about each who tells the zone's devices by which router or address to go on.
    fn directions(&self, directs: &BTreeSet<(Source, Directions)>, strangers: &mut Strangers) {
        let mut by_subject: BTreeMap<Subject, (String, usize)> = BTreeMap::new();
        for (source, how) in directs {
            let found = || (format!("{how} of {source}"), 0);
            by_subject.entry(self.subject(source, strangers)).or_insert_with(found).1 += 1;
        }
        self.raise(Alarm::RogueDirections, by_subject, "");
    }

    /// One alarm for each subject, which says what was found first and how much more there is.
    fn raise(&self, alarm: Alarm, by_subject: BTreeMap<Subject, (String, usize)>, end: &str) {
        for (subject, (found, times)) in by_subject {
            let more = if times > 1 { format!(", and {} more", times - 1) } else { String::new() };
            self.house.gate.watch().alarms.raise(alarm, subject, &format!("{found}{more}{end}"));
        }
    }

    fn names(&self, told: NamesTold) {
        let mut asked = 0;
        for (source, told) in &told.asked {
            asked += told.questions;
            self.note(ASKED, self.camera(&Source::Address(*source)), told);
        }
        for told in &told.summaries {
            asked += told.rest_questions + told.sources.iter().map(|(_, count)| count).sum::<u64>();
            self.note(ASKED_SUMMARY, None, told);
        }
        if asked > 0 {
            self.house.gate.watch().metrics.zone(self.zone, ZoneCounts { blocked: 0, asked });
        }
    }

    fn note(&self, what: &str, camera: Option<&CameraId>, detail: &impl Serialize) -> bool {
        let camera = camera.map(ToString::to_string);
        self.house.gate.note(Event { camera, ..Event::new(what, json!(detail)) })
    }
}

fn time(clock: &dyn Clock) -> (Duration, Timestamp) {
    (clock.monotonic(), clock.now())
}

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// What counters are kept under.
const COUNTERS: &str = "tripwire";
const NAMES_PORT: u16 = 53;
const TIME_PORT: u16 = 123;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stranger_has_an_alarm_of_its_own_as_long_as_they_are_few() {
        let (mut strangers, zone) = (Strangers::default(), ZoneId::new("yard").unwrap());
        let source = |last: u8| Source::Address(IpAddr::from([192, 0, 2, last]));
        let most = u8::try_from(STRANGERS_ALARMED_PER_PERIOD_MAX).unwrap();
        let second = Duration::from_secs(1);
        for last in 0..most {
            let subject = strangers.subject(&source(last), &zone, second);
            assert_eq!(subject, Subject::Device(format!("192.0.2.{last}"), Some(zone.clone())));
        }
        assert_eq!(strangers.subject(&source(most), &zone, second), Subject::Zone(zone.clone()));
        let known = strangers.subject(&source(0), &zone, second);
        assert_eq!(known.to_string(), "device 192.0.2.0 in zone yard");
        let later = strangers.subject(&source(most), &zone, SUMMARY_PERIOD + second);
        assert_eq!(later.to_string(), format!("device 192.0.2.{most} in zone yard"), "in the next period");
    }
}
