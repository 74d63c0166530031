//! Watches, while the gateway serves, whether zones are isolated as they should be: a condition of service.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::json;

use crate::{
    admin::Part,
    alarm::{Alarm, Subject},
    audit::Event,
    gate::Rules,
    ids::{CameraId, ZoneId},
    inventory::{Camera, Isolation, MacAddress},
    isolation::{Desired, Drift, Neighbour, Reply, Request, Resident, Residents, ZoneState},
    limits::{
        IDENTITY_LOOK_INTERVAL, ISOLATION_ASK_INTERVAL, ISOLATION_RETRY_INTERVAL, ISOLATION_WORD_TIME_MAX,
        RESIDENTS_LEARN_INTERVAL,
    },
    listener::House,
};

/// What is known of zones. Clones are the same.
#[derive(Clone)]
pub(super) struct Zones {
    house: Arc<House>,
    heard: Arc<Mutex<Heard>>,
}

/// What the privileged process said.
#[derive(Debug, Default)]
struct Heard {
    /// Which process, and the number of its last drift that was recorded.
    process: Option<Timestamp>,
    after: u64,
    /// When it said last that a zone is isolated, in monotonic time.
    good: BTreeMap<ZoneId, Duration>,
    /// Zones with an alarm.
    alarmed: BTreeSet<ZoneId>,
    /// How well each is kept apart, as it is on record.
    grades: BTreeMap<ZoneId, String>,
    /// How they stood when it answered last.
    states: Vec<ZoneState>,
}

impl Zones {
    /// Looked at once, before anything is served: what is not known to be isolated is not.
    pub(super) fn looked_at(house: Arc<House>) -> Self {
        let zones = Self { house, heard: Arc::default() };
        zones.look();
        zones
    }

    /// Asks how zones stand, and has that hold from now on. Gives when to ask again: soon if nobody answered, since a
    /// process that was restarted is to be heard before its last word is too old.
    pub(super) fn look(&self) -> Duration {
        let inventory = Arc::clone(&self.house.edition.load_full());
        let wanted: Vec<_> = inventory.rules.inventory().zones().filter_map(Desired::of).collect();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = |zone: &ZoneId| !wanted.iter().any(|it| it.zone == *zone);
        for zone in heard.alarmed.iter().filter(|zone| gone(zone)) {
            self.house.gate.watch().alarms.clear(Alarm::IsolationBroken, &Subject::Zone(zone.clone()));
        }
        heard.alarmed.retain(|zone| !gone(zone));
        if wanted.is_empty() {
            return ISOLATION_ASK_INTERVAL;
        }
        let answer = match self.house.netd.ask(&Request::Zones { after: heard.after }) {
            Ok((Reply::Zones { process, zones, drifts }, _)) => {
                // Another process numbers anew, and what it has is not known yet.
                let known = heard.process == Some(process);
                for drift in drifts.iter().filter(|it| !known || it.number > heard.after) {
                    self.drifted(drift);
                }
                let last = drifts.last().map(|it| it.number);
                heard.after = last.unwrap_or(if known { heard.after } else { 0 });
                heard.process = Some(process);
                Ok(zones)
            }
            Ok(_) => Err("`cordon netd` answered something else: is it of another version?".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        for zone in &wanted {
            self.stands(zone, &answer, &mut heard);
        }
        let next = if answer.is_ok() { ISOLATION_ASK_INTERVAL } else { ISOLATION_RETRY_INTERVAL };
        heard.states = answer.unwrap_or_default();
        next
    }

    /// Looks who is in the zones, and has cameras held to their hardware addresses. That takes its time where the
    /// privileged process is busy: nobody who waits for the word on isolation may wait for it.
    fn settle(&self, looked: &mut Looked) {
        let edition = self.house.edition.load_full();
        let states = self.heard.lock().unwrap_or_else(PoisonError::into_inner).states.clone();
        if !states.is_empty() {
            self.look_at_neighbours(&edition.rules, looked);
            self.hold(&edition.rules, &states);
        }
    }

    /// Takes note of the MAC addresses that cameras have in isolated zones, where nothing stands between: the first
    /// by which a camera answers after it has said who it is, is what its address is held to. Often as long as there are cameras
    /// without, else not more often than cameras are asked who they are.
    fn look_at_neighbours(&self, rules: &Rules, looked: &mut Looked) {
        let now = self.house.clock.monotonic();
        let passed = looked.at.map_or(Duration::MAX, |at| now.saturating_sub(at));
        let regards = rules.regards();
        let waits = |camera: &Camera| regards.hardware(camera).is_none() && near(rules, camera);
        let some_wait = rules.inventory().cameras().any(waits);
        if passed < if some_wait { RESIDENTS_LEARN_INTERVAL } else { IDENTITY_LOOK_INTERVAL } {
            return;
        }
        looked.at = Some(now);
        for zone in rules.inventory().zones().filter(|zone| Desired::of(zone).is_some()) {
            // What the process cannot tell is an alarm of its own.
            let Ok(neighbours) = self.house.netd.neighbours(&zone.id) else { continue };
            for camera in rules.inventory().cameras().filter(|it| it.zone == zone.id && near(rules, it)) {
                let its = |it: &&Neighbour| it.address == camera.address.host && it.state != "FAILED";
                let mac = neighbours.iter().find(its).and_then(|it| it.mac.as_ref()?.parse().ok());
                let Some(mac): Option<MacAddress> = mac else {
                    looked.seen.remove(&camera.id);
                    continue;
                };
                let answered = self.house.standings.read(&camera.id).answered;
                if looked.is_tied(&camera.id, mac, answered) && regards.learn_hardware(&camera.id, mac) {
                    self.learnt(camera, mac);
                }
                // Any other would be what a neighbour claims.
                if regards.hardware(camera) == Some(mac) || regards.is_change_expected(&camera.id) {
                    regards.seen_by(&camera.id, &mac.to_string());
                }
            }
        }
    }

    /// Puts on record what a camera's address is held to from now on: it can be compared with what stands on the device.
    fn learnt(&self, camera: &Camera, mac: MacAddress) {
        tracing::info!(camera = %camera.id, %mac, "the camera's address is held to its hardware address");
        let detail = json!({ "mac": mac.to_string(), "zone": camera.zone.to_string() });
        let camera = Some(camera.id.to_string());
        self.house.gate.note(Event { camera, ..Event::new("camera-hardware-learnt", detail) });
    }

    /// Has cameras held to their MAC addresses, where the privileged process holds others.
    fn hold(&self, rules: &Rules, states: &[ZoneState]) {
        for zone in rules.inventory().zones().filter_map(Desired::of) {
            let Some(state) = states.iter().find(|it| it.zone == zone.zone.as_str()) else { continue };
            let own = rules.inventory().cameras().filter(|it| it.zone == zone.zone);
            let resident = |camera: &Camera| {
                let mac = rules.regards().hardware(camera)?;
                Some(Resident { address: camera.address.host, mac })
            };
            let wanted = Residents::of(&zone, &own.filter_map(resident).collect::<Vec<_>>());
            if state.residents.as_ref() == Some(&wanted.digest()) {
                continue;
            }
            // What it cannot do is tried again, and is an alarm of its own if the zone is not as it should be.
            if let Err(error) = self.house.netd.hold(&zone.zone, wanted.iter().collect()) {
                tracing::warn!(zone = %zone.zone, %error, "cameras are not held to their hardware addresses");
            }
        }
    }

    /// Takes up how a zone stands.
    fn stands(&self, zone: &Desired, answer: &Result<Vec<ZoneState>, String>, heard: &mut Heard) {
        let now = self.house.clock.monotonic();
        let word = |good: Option<&Duration>| {
            good.is_some_and(|at| now.saturating_sub(*at) <= ISOLATION_WORD_TIME_MAX)
        };
        let trouble = match answer {
            Ok(states) => trouble(zone, states),
            // A process that is just being restarted takes nothing away from what is in force.
            Err(_) if word(heard.good.get(&zone.zone)) => return,
            Err(why) => Some(why.clone()),
        };
        if trouble.is_none() {
            heard.good.insert(zone.zone.clone(), now);
        }
        let watch = self.house.gate.watch();
        let states = answer.as_ref().map(Vec::as_slice).unwrap_or_default();
        let grade = states.iter().find(|it| it.zone == zone.zone.as_str()).map(|it| it.grade.clone());
        let is_regraded = trouble.is_none() && heard.grades.get(&zone.zone) != grade.as_ref();
        if watch.zones.set(&zone.zone, trouble.as_deref()) || is_regraded {
            let state = if trouble.is_none() { "in force" } else { "not in force" };
            tracing::warn!(zone = %zone.zone, why = trouble.as_deref(), "isolation is {state}");
            let detail =
                json!({ "zone": zone.zone.to_string(), "state": state, "why": trouble, "grade": grade });
            self.house.gate.note(Event::new("isolation", detail));
            heard.grades.extend(grade.map(|it| (zone.zone.clone(), it)));
        }
        match trouble {
            Some(_) => heard.alarmed.insert(zone.zone.clone()),
            None => heard.alarmed.remove(&zone.zone),
        };
        watch.alarms.set(Alarm::IsolationBroken, Subject::Zone(zone.zone.clone()), trouble.as_deref());
    }

    /// Records that somebody changed a zone.
    fn drifted(&self, drift: &Drift) {
        let Ok(zone) = ZoneId::new(&drift.zone) else { return };
        let differences: Vec<_> = drift.differences.iter().map(ToString::to_string).collect();
        // A gateway that was restarted meanwhile is told again: the time says that it is the same one.
        let detail = json!({
            "zone": drift.zone,
            "at": drift.at.to_string(),
            "differences": differences,
            "not_mended": drift.failure,
        });
        self.house.gate.note(Event::new("isolation-drift", detail));
        self.house.gate.watch().zones.drifted(&zone);
        let first = differences.first().map_or("", String::as_str);
        let found = match &drift.failure {
            None => format!("{} differences, mended: {first}", differences.len()),
            Some(why) => format!("{} differences, not mended: {why}", differences.len()),
        };
        self.house.gate.watch().alarms.raise(Alarm::IsolationDrift, Subject::Zone(zone), &found);
    }
}

/// What is known of who is in the zones while cameras are not held to hardware addresses yet.
#[derive(Debug, Default)]
struct Looked {
    /// When that was looked at last, in monotonic time.
    at: Option<Duration>,
    /// What stood for a camera since when, and when the camera had answered last by then.
    seen: BTreeMap<CameraId, (MacAddress, Option<Timestamp>)>,
}

impl Looked {
    /// Whether a hardware address is tied to whoever answers: it stood there before an answer as it does after, so that
    /// what was asked went there. What somebody merely claims is in the way of answers.
    fn is_tied(&mut self, camera: &CameraId, mac: MacAddress, answered: Option<Timestamp>) -> bool {
        match self.seen.get(camera) {
            Some((before, at)) if *before == mac => answered > *at,
            Some(_) | None => {
                self.seen.insert(camera.clone(), (mac, answered));
                false
            }
        }
    }
}

/// Whether a camera is a neighbour of the gateway in an isolated zone; behind a router it has the router's MAC address.
pub(super) fn near(rules: &Rules, camera: &Camera) -> bool {
    let zone = rules.inventory().zone(&camera.zone);
    let Some(Isolation::Namespace(leg)) = zone.map(|it| &it.isolation) else { return false };
    leg.addresses.iter().any(|network| network.contains(&camera.address.host))
}

/// Why a zone is not isolated as this configuration says.
fn trouble(zone: &Desired, states: &[ZoneState]) -> Option<String> {
    let Some(state) = states.iter().find(|it| it.zone == zone.zone.as_str()) else {
        return Some("`cordon netd` does not know the zone: restart it with this configuration".to_owned());
    };
    if state.digest != zone.digest() {
        return Some(
            "`cordon netd` keeps the zone by another configuration: restart it with this one".to_owned(),
        );
    }
    state.trouble.clone()
}

/// How each zone that should be isolated stands, for readiness.
pub(super) fn parts(house: &House) -> Vec<Part> {
    let edition = house.edition.load();
    let zones = edition.rules.inventory().zones().filter(|zone| Desired::of(zone).is_some());
    zones
        .map(|zone| {
            let trouble = house.gate.watch().zones.trouble(zone);
            let note = trouble.as_ref().map_or_else(
                || "isolated".to_owned(),
                |why| format!("NOT ISOLATED, its restricted cameras are not served: {why}"),
            );
            Part { name: format!("zone {}", zone.id), ready: trouble.is_none(), note }
        })
        .collect()
}

/// While nobody looks any more, no zone counts as isolated.
struct Blind<'a>(&'a Zones);

impl Drop for Blind<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.house.gate.watch().zones.forget();
        }
    }
}

/// Looks every `ISOLATION_ASK_INTERVAL`, until it is dropped: one thread how zones stand, one who is in them.
pub(super) struct ZoneWatch {
    stops: Vec<mpsc::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl ZoneWatch {
    pub(super) fn start(zones: Zones) -> io::Result<Self> {
        let mut watch = Self { stops: Vec::new(), threads: Vec::new() };
        let (settling, mut looked) = (zones.clone(), Looked::default());
        watch.often("residents", move || {
            settling.settle(&mut looked);
            ISOLATION_ASK_INTERVAL
        })?;
        watch.often("isolation", move || {
            let _blind = Blind(&zones);
            zones.look()
        })?;
        Ok(watch)
    }

    /// Does something again and again, after the time that it says.
    fn often(&mut self, name: &str, mut work: impl FnMut() -> Duration + Send + 'static) -> io::Result<()> {
        let (stop, stopped) = mpsc::channel();
        let work = move || {
            let mut pause = ISOLATION_ASK_INTERVAL;
            while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                pause = work();
            }
        };
        self.threads.push(std::thread::Builder::new().name(name.into()).spawn(work)?);
        self.stops.push(stop);
        Ok(())
    }
}

impl Drop for ZoneWatch {
    fn drop(&mut self) {
        self.stops.clear();
        for thread in self.threads.drain(..) {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                tracing::error!(name, "a thread that watches isolation panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_is_tied_to_answers_by_standing_before_and_after_one() {
        let mut looked = Looked::default();
        let camera = CameraId::new("gate").unwrap();
        let [own, forged]: [MacAddress; 2] =
            ["44:19:b6:00:00:01", "02:66:00:00:00:01"].map(|it| it.parse().unwrap());
        let at = |second: i64| Some(Timestamp::from_second(second).unwrap());
        assert!(!looked.is_tied(&camera, forged, None), "nothing was answered");
        assert!(!looked.is_tied(&camera, own, at(1)), "another stood there before the answer");
        assert!(!looked.is_tied(&camera, own, at(1)), "no answer since");
        assert!(!looked.is_tied(&camera, forged, at(2)));
        assert!(!looked.is_tied(&camera, own, at(2)), "it did not stand all the time");
        assert!(looked.is_tied(&camera, own, at(3)));
    }
}
