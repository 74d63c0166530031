//! How each camera is held to be at the moment, beside what its configuration says: what it was found to be, and
//! whether it is still the device it was. Kept over restarts.
//!
//! What is found only ever makes a camera's treatment stricter. Only a person makes it laxer: by `vendor_decision` in
//! the configuration, or by accepting the device that is there now.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Camera, Evidence, Judgement, SignalKind, VendorClass, VendorVerdict, Vendors,
    identity::{Change, changes, is_another},
};
use crate::{clock::Clock, ids::CameraId};

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
    /// Until when another device may take its place without anybody being asked.
    pub expected_until: Option<Timestamp>,
    /// The device that is there was accepted last.
    pub accepted: Option<Accepted>,
    /// It was accepted, and has not said since who it is.
    afresh: bool,
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
    /// Whether it is the certificate that is another.
    pub certificate: bool,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is.
    Same,
    /// It is, with some changes that are told and known from now on.
    Changed,
    /// It is another, and that was announced.
    Expected,
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
    /// Forgets which certificate the camera was known by.
    fn forget_pin(&self, camera: &CameraId);
}

/// The regards of all cameras. Clones are the same. Holds no more cameras than were ever configured.
#[derive(Clone)]
pub struct Regards(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    book: Box<dyn RegardBook>,
    held: RwLock<BTreeMap<CameraId, Arc<Regard>>>,
    /// The MAC addresses that cameras have in their zones, as seen last.
    macs: RwLock<BTreeMap<CameraId, String>>,
    /// Held by whoever changes one.
    turn: Mutex<()>,
}

impl Regards {
    /// Those that are kept in a book.
    pub fn new(clock: Arc<dyn Clock>, book: Box<dyn RegardBook>) -> Self {
        Self(Arc::new(Inner {
            clock,
            book,
            held: RwLock::default(),
            macs: RwLock::default(),
            turn: Mutex::default(),
        }))
    }

    /// How a camera is held to be. If that cannot be read, nobody is served: it may have been in quarantine.
    pub fn of(&self, camera: &CameraId) -> Arc<Regard> {
        let known = self.0.held.read().unwrap_or_else(PoisonError::into_inner).get(camera).map(Arc::clone);
        known.unwrap_or_else(|| {
            let regard = self.0.book.recall(camera).map(Option::unwrap_or_default).unwrap_or_else(|error| {
                let why = format!("what was held of it before cannot be read: {error}");
                Regard { quarantine: Some(self.quarantine(why, false)), ..Regard::default() }
            });
            let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(held.entry(camera.clone()).or_insert_with(|| Arc::new(regard)))
        })
    }

    /// Takes note of the MAC address that a camera has in its zone.
    pub fn seen_by(&self, camera: &CameraId, mac: &str) {
        let mut macs = self.0.macs.write().unwrap_or_else(PoisonError::into_inner);
        macs.insert(camera.clone(), mac.to_owned());
    }

    /// The MAC address that a camera had in its zone when that was looked at last.
    pub fn mac(&self, camera: &CameraId) -> Option<String> {
        self.0.macs.read().unwrap_or_else(PoisonError::into_inner).get(camera).cloned()
    }

    /// A camera as it is to be treated now: its maker's class as found, where that is stricter and nobody decided;
    /// in quarantine or not; without an exception that has ended.
    pub fn treated<'a>(&self, camera: &'a Camera) -> Cow<'a, Camera> {
        let regard = self.of(&camera.id);
        let verdict = regard.verdict(camera);
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
        let (declared, decision) = (camera.vendor.declared.as_deref(), camera.vendor.decision.as_ref());
        let judgement = vendors.judge(declared, evidence, decision);
        let says_who_it_is = evidence.of(SignalKind::Manufacturer).next().is_some();
        if regard.afresh && says_who_it_is {
            (regard.found, regard.afresh) = (None, false);
        }
        let stricter = regard.find(camera, vendors, &judgement.verdict, self.0.clock.now());
        let changes = changes(&regard.known_by, evidence);
        let outcome = self.compare(camera, &mut regard, evidence, &changes);
        if outcome == Outcome::Expected {
            // It is judged anew, by what the new device shows.
            regard.afresh = true;
        }
        self.keep(camera, &before, regard);
        Weighed { judgement, stricter, changes, outcome }
    }

    fn compare(&self, camera: &Camera, regard: &mut Regard, now: &Evidence, changes: &[Change]) -> Outcome {
        let outcome = if regard.quarantine.is_some() {
            return Outcome::InQuarantine;
        } else if changes.is_empty() {
            Outcome::Same
        } else if !is_another(changes) {
            Outcome::Changed
        } else if self.is_expected(regard) {
            Outcome::Expected
        } else {
            let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
            regard.quarantine = Some(self.quarantine(told.join("; "), false));
            return Outcome::Quarantined;
        };
        match outcome {
            Outcome::Expected => {
                regard.known_by = now.clone();
                regard.accepted = Some(self.accepted("announced", "another device was expected"));
                if camera.certificates.is_some() {
                    self.0.book.forget_pin(&camera.id);
                }
            }
            _ => {
                regard.known_by.take_up(now);
            }
        }
        outcome
    }

    /// The camera showed a certificate that is not the one it is known by. Whether it is in quarantine for that from
    /// now on; if another device was announced, the next certificate is the one it is known by.
    pub fn showed_another_certificate(&self, camera: &CameraId, key: &str) -> Outcome {
        let _turn = self.turn();
        let before = self.of(camera);
        let mut regard = Regard::clone(&before);
        if self.is_expected(&regard) {
            self.0.book.forget_pin(camera);
            return Outcome::Expected;
        }
        if regard.quarantine.is_some() {
            return Outcome::InQuarantine;
        }
        let why = format!("it has another certificate, with the key {key}");
        regard.quarantine = Some(self.quarantine(why, true));
        self.put(camera, regard);
        Outcome::Quarantined
    }

    /// Takes the device that is there now for the right one, on somebody's word. False if nothing was to decide.
    pub fn accept(&self, camera: &CameraId, by: &str, reason: &str) -> bool {
        let _turn = self.turn();
        let before = self.of(camera);
        let Some(quarantine) = &before.quarantine else { return false };
        if quarantine.certificate {
            self.0.book.forget_pin(camera);
        }
        let accepted = Some(self.accepted(by, reason));
        let regard = Regard {
            known_by: Evidence::default(),
            quarantine: None,
            expected_until: None,
            accepted,
            afresh: true,
            ..Regard::clone(&before)
        };
        self.put(camera, regard);
        true
    }

    /// Announces that another device, or other firmware, may come until then.
    pub fn expect(&self, camera: &CameraId, until: Timestamp) {
        let _turn = self.turn();
        let regard = Regard { expected_until: Some(until), ..Regard::clone(&self.of(camera)) };
        self.put(camera, regard);
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.0.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_expected(&self, regard: &Regard) -> bool {
        regard.expected_until.is_some_and(|until| self.0.clock.now() < until)
    }

    fn quarantine(&self, why: String, certificate: bool) -> Quarantine {
        Quarantine { since: self.0.clock.now(), why, certificate }
    }

    fn accepted(&self, by: &str, reason: &str) -> Accepted {
        Accepted { at: self.0.clock.now(), by: by.to_owned(), reason: reason.to_owned() }
    }

    fn keep(&self, camera: &Camera, before: &Regard, regard: Regard) {
        if *before != regard {
            self.put(&camera.id, regard);
        }
    }

    fn put(&self, camera: &CameraId, regard: Regard) {
        self.0.book.keep(camera, &regard);
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        held.insert(camera.clone(), Arc::new(regard));
    }
}

impl Regard {
    /// The verdict in place of the configured one, where it was found to be of a stricter class.
    fn verdict(&self, camera: &Camera) -> Option<VendorVerdict> {
        let Found { vendor, class, reasons, .. } = self.found.as_ref()?;
        let stricter = class.strictness() > camera.vendor.class.strictness();
        (stricter && camera.vendor.decision.is_none()).then(|| VendorVerdict {
            name: vendor.clone(),
            class: *class,
            reasons: reasons.clone(),
            ..camera.vendor.clone()
        })
    }

    /// Takes up a verdict. Whether it is stricter than what was found before and than what is configured.
    fn find(&mut self, camera: &Camera, vendors: &Vendors, verdict: &VendorVerdict, now: Timestamp) -> bool {
        // The owner of the table may have put the maker into another class meanwhile.
        if let Some(found) = &mut self.found {
            found.class = vendors.find(&found.vendor).map_or(found.class, |it| it.class);
        }
        let before = self.found.as_ref().map_or(0, |it| it.class.strictness());
        let stricter = verdict.class.strictness() > before.max(camera.vendor.class.strictness());
        if stricter && camera.vendor.decision.is_none() {
            let VendorVerdict { name, class, reasons, .. } = verdict.clone();
            self.found = Some(Found { vendor: name, class, reasons, since: now });
            return true;
        }
        false
    }
}

#[cfg(test)]
#[path = "regard_tests.rs"]
mod tests;
