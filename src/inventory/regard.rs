//! How each camera is held to be at the moment, beside what its configuration says: what it was found to be, and
//! whether it is still the device it was. Kept over restarts.
//!
//! What is found only ever makes a camera's treatment stricter. Only a person makes it laxer: by `vendor_decision` in
//! the configuration, or by accepting the device that is there now.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    Baseline, Baselines, Camera, Decision, Evidence, Judgement, MacAddress, SignalKind, VendorClass,
    VendorVerdict, Vendors,
    identity::{Bearing, Change, changes, is_another, signs},
    verdict::shown,
};
use crate::{clock::Clock, ids::CameraId, limits::HALF_SIGN_TIME};

/// How one camera is held to be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Regard {
    /// What it was found to be, where that was stricter than what its configuration said.
    pub found: Option<Found>,
    /// What it showed when it was taken for what it is.
    pub known_by: Evidence,
    /// Set while nobody is served.
    pub quarantine: Option<Quarantine>,
    /// The announcement that another device may take its place, until one has.
    pub expected: Option<Expected>,
    /// The device that is there was accepted last.
    pub accepted: Option<Accepted>,
    /// It was accepted, and has not said since who it is.
    afresh: bool,
    /// Changes that are half a sign of another device, each by itself: with the next within `HALF_SIGN_TIME` they are one.
    halves: BTreeMap<SignalKind, HalfSign>,
}

/// Half a sign of another device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct HalfSign {
    /// What it was before.
    before: String,
    /// When it was found changed.
    at: Timestamp,
}

/// What a camera was found to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its maker.
    pub vendor: String,
    /// The maker's class then.
    pub class: VendorClass,
    /// What led there.
    pub reasons: Vec<String>,
    /// Since when.
    pub since: Timestamp,
}

/// Why nobody is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Since when.
    pub since: Timestamp,
    /// What is otherwise than it was.
    pub why: String,
    /// The device that is there: the one that somebody may accept. None until it has said who it is.
    #[serde(default)]
    pub device: Option<Device>,
}

/// A device in a camera's place, by what tells it from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// The one that shows this.
    Shows(Evidence),
    /// The one with this certificate. It was told nothing, so it has said nothing.
    Certificate(SeenCertificate),
}

/// A certificate that a camera showed, by its fingerprints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenCertificate {
    /// That of its public key.
    pub key: String,
    /// That of the whole.
    pub certificate: String,
}

/// An announcement that another device, or other firmware, may come. The first that comes uses it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Until when.
    pub until: Timestamp,
    /// By which user of the gateway's machine.
    pub by: String,
    /// When it was announced.
    pub at: Timestamp,
}

/// Somebody's decision that the device which is there is the right one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// When.
    pub at: Timestamp,
    /// By which user of the gateway's machine.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The decision about its maker that stood then: it was about the device before.
    #[serde(default)]
    pub superseded: Option<String>,
}

/// What became of a look at what a camera shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighed {
    /// What it is held to be.
    pub judgement: Judgement,
    /// Whether it is treated more strictly from now on.
    pub stricter: bool,
    /// What is otherwise than it was.
    pub changes: Vec<Change>,
    /// What that means.
    pub outcome: Outcome,
}

/// Whether a camera is the device it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is.
    Same,
    /// It is, with some changes that are told and known from now on.
    Changed,
    /// It is another, and that was announced: by this, which is used up now.
    Expected(Expected),
    /// It is another: it is in quarantine from now on.
    Quarantined,
    /// It was in quarantine before.
    InQuarantine,
}

/// Keeps regards.
pub trait RegardBook: Send + Sync {
    /// What was kept of a camera. An error if that cannot be read.
    fn recall(&self, camera: &CameraId) -> Result<Option<Regard>, String>;
    /// Keeps it in place of what was kept before, durably as far as the disk allows.
    fn keep(&self, camera: &CameraId, regard: &Regard);
    /// What was kept of a camera's baseline. An error if that cannot be read.
    fn recall_baseline(&self, camera: &CameraId) -> Result<Option<Baseline>, String>;
    /// Keeps it in place of what was kept before. An error if that is not durable.
    fn keep_baseline(&self, camera: &CameraId, baseline: &Baseline) -> Result<(), String>;
    /// Has the camera known by this certificate from now on, in place of the one before. An error if that is not so.
    fn pin(&self, camera: &CameraId, certificate: &SeenCertificate) -> Result<(), String>;
}

/// Why a device was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAccepted {
    /// There is nothing to decide.
    #[error("is not in quarantine")]
    NotInQuarantine,
    /// Its certificate could not be pinned.
    #[error("could not be given the pin of the certificate that was seen: {0}")]
    Pin(String),
}

/// The regards of all cameras. Clones are the same. Holds no more cameras than were ever configured.
#[derive(Clone)]
pub struct Regards(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    book: Arc<dyn RegardBook>,
    baselines: Baselines,
    held: RwLock<BTreeMap<CameraId, Held>>,
    /// The MAC addresses that cameras have in their zones, as seen last.
    macs: RwLock<BTreeMap<CameraId, String>>,
    /// Held by whoever changes one.
    turn: Mutex<()>,
}

#[derive(Clone)]
struct Held {
    regard: Arc<Regard>,
    /// What was kept cannot be read: this stands in for it, and is not kept in its place.
    stand_in: bool,
}

impl Regards {
    /// Those that are kept in a book.
    pub fn new(clock: Arc<dyn Clock>, book: Box<dyn RegardBook>) -> Self {
        let book: Arc<dyn RegardBook> = Arc::from(book);
        Self(Arc::new(Inner {
            clock,
            baselines: Baselines::new(Arc::clone(&book)),
            book,
            held: RwLock::default(),
            macs: RwLock::default(),
            turn: Mutex::default(),
        }))
    }

    /// How a camera is held to be. If that cannot be read, nobody is served, for it may have been in quarantine, and it
    /// is looked for again when this is asked next.
    pub fn of(&self, camera: &CameraId) -> Arc<Regard> {
        self.held(camera).regard
    }

    fn held(&self, camera: &CameraId) -> Held {
        let known = self.0.held.read().unwrap_or_else(PoisonError::into_inner).get(camera).cloned();
        if let Some(known) = known.as_ref().filter(|it| !it.stand_in) {
            return known.clone();
        }
        let read = match (self.0.book.recall(camera), known) {
            (Ok(regard), _) => Held { regard: Arc::new(regard.unwrap_or_default()), stand_in: false },
            (Err(_), Some(known)) => return known,
            (Err(error), None) => {
                let why = format!("what was held of it before cannot be read: {error}");
                let quarantine = Some(self.quarantine(why, None));
                Held { regard: Arc::new(Regard { quarantine, ..Regard::default() }), stand_in: true }
            }
        };
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        let held = held.entry(camera.clone()).or_insert_with(|| read.clone());
        if held.stand_in {
            *held = read;
        }
        held.clone()
    }

    /// What cameras have been set to, and what of it is approved.
    pub fn baselines(&self) -> &Baselines {
        &self.0.baselines
    }

    /// Takes note of the MAC address that a camera has in its zone.
    pub fn seen_by(&self, camera: &CameraId, mac: &str) {
        let mut macs = self.0.macs.write().unwrap_or_else(PoisonError::into_inner);
        macs.insert(camera.clone(), mac.to_owned());
    }

    /// Another device is the right one now: the MAC address that was seen may be the one's before.
    fn forget_mac(&self, camera: &CameraId) {
        self.0.macs.write().unwrap_or_else(PoisonError::into_inner).remove(camera);
    }

    /// The MAC address that a camera had in its zone when that was looked at last.
    pub fn mac(&self, camera: &CameraId) -> Option<String> {
        self.0.macs.read().unwrap_or_else(PoisonError::into_inner).get(camera).cloned()
    }

    /// The hardware address that a camera's address is held to: as its owner says, else the one it had when it was
    /// taken for what it is. None while another device may take its place.
    pub fn hardware(&self, camera: &Camera) -> Option<MacAddress> {
        let regard = self.of(&camera.id);
        let learnt = || regard.known_by.of(SignalKind::Mac).find_map(|it| it.parse().ok());
        let known = || says_who_it_is(&regard.known_by).then(learnt).flatten();
        (!self.is_change_expected(&camera.id)).then(|| camera.hardware.or_else(known)).flatten()
    }

    /// Whether another device may take the camera's place without anybody being asked.
    pub fn is_change_expected(&self, camera: &CameraId) -> bool {
        self.of(camera).expected.as_ref().is_some_and(|it| self.0.clock.now() < it.until)
    }

    /// Takes the hardware address that a camera has now for the one it is known by. Whether it did: only where the
    /// camera has said who it is, and none is known yet.
    pub fn learn_hardware(&self, camera: &CameraId, address: MacAddress) -> bool {
        let _turn = self.turn();
        let before = self.of(camera);
        let known = before.known_by.of(SignalKind::Mac).next().is_some();
        if known || before.quarantine.is_some() || !says_who_it_is(&before.known_by) {
            return false;
        }
        let mut regard = Regard::clone(&before);
        regard.known_by.add(SignalKind::Mac, &address.to_string());
        self.put(camera, regard);
        true
    }

    /// A camera as it is to be treated now: its maker's class as found, where that is stricter and nobody decided about
    /// this device; in quarantine or not; without an exception that has ended.
    pub fn treated<'a>(&self, camera: &'a Camera) -> Cow<'a, Camera> {
        let regard = self.of(&camera.id);
        let verdict = regard.verdict(&camera.vendor);
        let ended = camera.exception.as_ref().is_some_and(|it| !it.runs(self.0.clock.now()));
        let quarantined = regard.quarantine.is_some();
        if verdict.is_none() && !ended && quarantined == camera.quarantined {
            return Cow::Borrowed(camera);
        }
        let mut treated = camera.clone();
        if let Some(verdict) = verdict {
            treated.vendor = verdict;
        }
        if ended {
            treated.exception = None;
        }
        treated.quarantined = quarantined;
        Cow::Owned(treated)
    }

    /// Takes up what a camera shows: what that makes of it holds from the next decision on.
    pub fn weigh(&self, camera: &Camera, vendors: &Vendors, evidence: &Evidence) -> Weighed {
        let _turn = self.turn();
        let before = self.of(&camera.id);
        let mut regard = Regard::clone(&before);
        let mut changes = changes(&regard.known_by, evidence);
        regard.add_up(&mut changes, evidence, self.0.clock.now());
        // A device that nobody accepted takes no verdict away by what it says.
        if regard.afresh && says_who_it_is(evidence) && !is_another(&changes) {
            (regard.found, regard.afresh) = (None, false);
        }
        let outcome = self.compare(&mut regard, camera, evidence, &changes);
        // Only now it is known which device this is, and whether the decision is about it.
        let configured = regard.configured(&camera.vendor);
        let judgement = vendors.judge(configured.declared.as_deref(), evidence, configured.decision.as_ref());
        let stricter = regard.find(&configured, vendors, &judgement.verdict, self.0.clock.now());
        if matches!(outcome, Outcome::Expected(_)) {
            self.forget_mac(&camera.id);
        }
        self.keep(camera, &before, regard);
        Weighed { judgement, stricter, changes, outcome }
    }

    fn compare(&self, regard: &mut Regard, camera: &Camera, now: &Evidence, changes: &[Change]) -> Outcome {
        if let Some(quarantine) = &mut regard.quarantine {
            quarantine.look_at(now);
            return Outcome::InQuarantine;
        }
        if changes.is_empty() || !is_another(changes) {
            regard.known_by.take_up(now);
            return if changes.is_empty() { Outcome::Same } else { Outcome::Changed };
        }
        match self.use_up(regard, camera) {
            Some(expected) => {
                regard.halves.clear();
                // What it says of itself came in one answer; the rest may still be the one's before.
                regard.known_by =
                    now.only(|kind| kind.is_of_device() || changes.iter().any(|it| it.kind == kind));
                Outcome::Expected(expected)
            }
            None => {
                let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
                let device = Device::Shows(now.clone());
                regard.quarantine = Some(self.quarantine(told.join("; "), Some(device)));
                Outcome::Quarantined
            }
        }
    }

    /// The camera showed a certificate that is not the one it is known by. Whether it is in quarantine for that from
    /// now on; if another device was announced, this certificate is the one it is known by.
    pub fn showed_another_certificate(&self, of: &Camera, seen: &SeenCertificate) -> Outcome {
        let _turn = self.turn();
        let camera = &of.id;
        let before = self.of(camera);
        let mut regard = Regard::clone(&before);
        if regard.quarantine.is_some() {
            return Outcome::InQuarantine;
        }
        let mut why = format!("it has another certificate, with the key {}", seen.key);
        let outcome = self.use_up(&mut regard, of).and_then(|expected| {
            let pinned = self.0.book.pin(camera, seen);
            // It is told by its key now; what it says of itself it has still to say.
            regard.known_by = Evidence::default();
            pinned
                .map(|()| Outcome::Expected(expected))
                .map_err(|error| why = format!("{why}, which could not be pinned: {error}"))
                .ok()
        });
        let outcome = outcome.unwrap_or_else(|| {
            let device = Device::Certificate(seen.clone());
            regard = Regard::clone(&before);
            regard.quarantine = Some(self.quarantine(why, Some(device)));
            Outcome::Quarantined
        });
        if matches!(outcome, Outcome::Expected(_)) {
            self.forget_mac(camera);
        }
        self.put(camera, regard);
        outcome
    }

    /// Takes this device for the right one, on somebody's word, and no other: one that shows itself to be another goes
    /// into quarantine anew.
    pub fn accept(&self, of: &Camera, device: &Device, by: &str, reason: &str) -> Result<(), NotAccepted> {
        let _turn = self.turn();
        let camera = &of.id;
        let before = self.of(camera);
        if before.quarantine.is_none() {
            return Err(NotAccepted::NotInQuarantine);
        }
        let known_by = match device {
            Device::Shows(evidence) => evidence.clone(),
            Device::Certificate(seen) => {
                self.0.book.pin(camera, seen).map_err(NotAccepted::Pin)?;
                Evidence::default()
            }
        };
        let accepted = Some(self.accepted(of, by, reason));
        let before = Regard::clone(&before);
        let halves = BTreeMap::new();
        let regard =
            Regard { known_by, quarantine: None, expected: None, accepted, afresh: true, halves, ..before };
        self.forget_mac(camera);
        // Somebody has decided, whatever was held before.
        self.hold(camera, regard, false);
        Ok(())
    }

    /// Announces that another device, or other firmware, may come until then: one.
    pub fn expect(&self, camera: &CameraId, until: Timestamp, by: &str) {
        let _turn = self.turn();
        let expected = Some(Expected { until, by: by.to_owned(), at: self.0.clock.now() });
        let regard = Regard { expected, ..Regard::clone(&self.of(camera)) };
        self.put(camera, regard);
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.0.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the announcement of another device, if there is one whose time is not over: it is judged anew, by what it
    /// shows.
    fn use_up(&self, regard: &mut Regard, camera: &Camera) -> Option<Expected> {
        let expected = regard.expected.take().filter(|it| self.0.clock.now() < it.until)?;
        regard.accepted = Some(self.accepted(camera, "announced", &expected.to_string()));
        regard.afresh = true;
        Some(expected)
    }

    fn quarantine(&self, why: String, device: Option<Device>) -> Quarantine {
        Quarantine { since: self.0.clock.now(), why, device }
    }

    fn accepted(&self, camera: &Camera, by: &str, reason: &str) -> Accepted {
        let superseded = camera.vendor.decision.as_ref().map(ToString::to_string);
        Accepted { at: self.0.clock.now(), by: by.to_owned(), reason: reason.to_owned(), superseded }
    }

    fn keep(&self, camera: &Camera, before: &Regard, regard: Regard) {
        if *before != regard {
            self.put(&camera.id, regard);
        }
    }

    /// What stands in for a regard that cannot be read changes in memory only.
    fn put(&self, camera: &CameraId, regard: Regard) {
        let stand_in = self.held(camera).stand_in;
        self.hold(camera, regard, stand_in);
    }

    fn hold(&self, camera: &CameraId, regard: Regard, stand_in: bool) {
        if !stand_in {
            self.0.book.keep(camera, &regard);
        }
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        held.insert(camera.clone(), Held { regard: Arc::new(regard), stand_in });
    }
}

impl Regard {
    /// The decision about a camera's maker that counts no more, since it was about the device before: it is dated before
    /// the one that is there was accepted, or stood when that was done.
    pub fn superseded<'a>(&self, configured: &'a VendorVerdict) -> Option<&'a Decision> {
        let (decision, accepted) = (configured.decision.as_ref()?, self.accepted.as_ref()?);
        let is_dated_before = decision.on < accepted.at.to_zoned(TimeZone::UTC).date();
        let stood = || accepted.superseded.as_ref() == Some(&decision.to_string());
        (is_dated_before || stood()).then_some(decision)
    }

    /// Adds to changes what changed shortly before and is half a sign, too: who is exchanged shows it bit by bit, since a
    /// camera is not asked all at once.
    fn add_up(&mut self, changes: &mut Vec<Change>, now: &Evidence, at: Timestamp) {
        self.halves.retain(|_, it| at.duration_since(it.at) < HALF_SIGN_TIME);
        // What is again as it was is half a sign no more.
        let is_back =
            |kind: &SignalKind| self.halves.get(kind).is_some_and(|it| now.shows(*kind, &it.before));
        let halves = changes.iter().filter(|it| it.bearing == Bearing::Half).map(|it| it.kind);
        let (back, fresh): (Vec<_>, Vec<_>) = halves.partition(is_back);
        self.halves.retain(|kind, _| !back.contains(kind));
        if fresh.is_empty() {
            return;
        }
        let last = |kind| self.known_by.of(kind).last().unwrap_or_default();
        let earlier = self.halves.iter().filter(|(kind, _)| !fresh.contains(kind)).map(|(kind, it)| Change {
            kind: *kind,
            before: shown(&it.before),
            now: shown(last(*kind)),
            bearing: Bearing::Half,
        });
        changes.extend(earlier);
        for kind in fresh {
            let before = self.known_by.of(kind).last().unwrap_or_default().to_owned();
            self.halves.entry(kind).or_insert(HalfSign { before, at });
        }
    }

    /// What the configuration says of the device that is there.
    fn configured<'a>(&self, verdict: &'a VendorVerdict) -> Cow<'a, VendorVerdict> {
        match (self.superseded(verdict), &verdict.undecided) {
            (None, _) => Cow::Borrowed(verdict),
            (Some(_), Some(undecided)) => Cow::Borrowed(undecided),
            (Some(_), None) => {
                let class = VendorClass::Unknown;
                Cow::Owned(VendorVerdict { class, decision: None, ..verdict.clone() })
            }
        }
    }

    /// The verdict in place of the configured one, where it was found to be of a stricter class, or a decision counts no
    /// more.
    fn verdict(&self, vendor: &VendorVerdict) -> Option<VendorVerdict> {
        let configured = self.configured(vendor);
        let found = |it: &&Found| {
            configured.decision.is_none() && it.class.strictness() > configured.class.strictness()
        };
        match self.found.as_ref().filter(found) {
            Some(Found { vendor, class, reasons, .. }) => Some(VendorVerdict {
                name: vendor.clone(),
                class: *class,
                reasons: reasons.clone(),
                ..configured.into_owned()
            }),
            None => (*configured != *vendor).then(|| configured.into_owned()),
        }
    }

    /// Takes up a verdict. Whether it is stricter than what was found before and than what is configured.
    fn find(
        &mut self,
        configured: &VendorVerdict,
        vendors: &Vendors,
        verdict: &VendorVerdict,
        now: Timestamp,
    ) -> bool {
        // The owner of the table may have put the maker into another class meanwhile.
        if let Some(found) = &mut self.found {
            found.class = vendors.find(&found.vendor).map_or(found.class, |it| it.class);
        }
        let before = self.found.as_ref().map_or(0, |it| it.class.strictness());
        let stricter = verdict.class.strictness() > before.max(configured.class.strictness());
        if stricter && configured.decision.is_none() {
            let VendorVerdict { name, class, reasons, .. } = verdict.clone();
            self.found = Some(Found { vendor: name, class, reasons, since: now });
            return true;
        }
        false
    }
}

impl Quarantine {
    /// Takes up what the device shows beside what put it here, unless it is yet another that shows it: what somebody
    /// looks at is what they accept.
    fn look_at(&mut self, now: &Evidence) {
        match &mut self.device {
            Some(Device::Shows(device)) if !is_another(&changes(device, now)) => {
                device.take_up(now);
            }
            None if says_who_it_is(now) => self.device = Some(Device::Shows(now.clone())),
            Some(Device::Shows(_) | Device::Certificate(_)) | None => {}
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shows(evidence) => f.write_str(&signs(evidence)),
            Self::Certificate(seen) => write!(f, "key {}, certificate {}", seen.key, seen.certificate),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "another device was expected until {:.0} ({}, at {:.0})", self.until, self.by, self.at)
    }
}

fn says_who_it_is(evidence: &Evidence) -> bool {
    evidence.of(SignalKind::Manufacturer).next().is_some()
}

#[cfg(test)]
#[path = "regard_tests.rs"]
mod tests;
