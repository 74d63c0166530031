//! Quirks of one camera: what was observed, since when, how often, and what its owner says.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    inventory::{Quirk, QuirkOrder},
    limits::{IDENTITY_CHARS_MAX, QUIRK_DOUBTFUL_SIGHTINGS_MIN, QUIRK_NOTE_CHARS_MAX},
};

/// One quirk as observed. There is at most one of each, which bounds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// What was observed first, in words of ours.
    pub note: String,
    /// When it was observed first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// How often.
    pub times: u64,
    /// The firmware it was observed on, if that was known.
    pub firmware: Option<String>,
}

/// Who a camera says it is (`tds:GetDeviceInformation`): text of a stranger's, cut and without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// Its maker.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// The version of its firmware.
    pub firmware: String,
    /// Its serial number.
    pub serial: String,
    /// Its hardware.
    pub hardware: String,
}

impl Identity {
    /// Takes up one text of the camera's.
    pub(super) fn text(said: &str) -> String {
        said.trim().chars().filter(|it| !it.is_control()).take(IDENTITY_CHARS_MAX).collect()
    }
}

/// What is known of one camera's ways.
#[derive(Debug, Default)]
pub(super) struct Habits {
    orders: Vec<QuirkOrder>,
    seen: BTreeMap<Quirk, Sighting>,
    identity: Option<Identity>,
}

impl Habits {
    pub(super) fn new(
        orders: Vec<QuirkOrder>,
        seen: BTreeMap<Quirk, Sighting>,
        identity: Option<Identity>,
    ) -> Self {
        Self { orders, seen, identity }
    }

    pub(super) fn seen(&self) -> &BTreeMap<Quirk, Sighting> {
        &self.seen
    }

    pub(super) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Whether the camera is treated as having a quirk: its owner's word goes before what was observed.
    pub(super) fn applies(&self, quirk: Quirk) -> bool {
        // A camera that was started anew drops its connections too.
        let needed = if quirk == Quirk::ClosesSilently { QUIRK_DOUBTFUL_SIGHTINGS_MIN } else { 1 };
        let seen = || self.seen.get(&quirk).is_some_and(|it| it.times >= needed);
        self.ordered(quirk).unwrap_or_else(seen)
    }

    /// Whether it may be treated so to find out whether it has the quirk.
    pub(super) fn may_have(&self, quirk: Quirk) -> bool {
        self.ordered(quirk) != Some(false)
    }

    /// Whether the owner says that the camera has the quirk, or that it has not.
    pub(super) fn ordered(&self, quirk: Quirk) -> Option<bool> {
        self.orders.iter().find(|it| it.quirk == quirk).map(|it| it.used)
    }

    /// A quirk was observed; whether for the first time.
    pub(super) fn observe(&mut self, quirk: Quirk, now: Timestamp, note: &str) -> bool {
        if let Some(known) = self.seen.get_mut(&quirk) {
            (known.last, known.times) = (now, known.times.saturating_add(1));
            return false;
        }
        let note = note.chars().take(QUIRK_NOTE_CHARS_MAX).collect();
        let firmware = self.identity.as_ref().map(|it| it.firmware.clone());
        self.seen.insert(quirk, Sighting { note, first: now, last: now, times: 1, firmware });
        true
    }

    /// What was observed holds no longer; whether there was anything.
    pub(super) fn forget(&mut self, quirk: Quirk) -> bool {
        self.seen.remove(&quirk).is_some()
    }

    /// The camera said who it is; whether that is news. With another firmware nothing observed needs to hold.
    pub(super) fn identified(&mut self, identity: Identity) -> bool {
        if self.identity.as_ref() == Some(&identity) {
            return false;
        }
        let same = |known: &Identity| known.firmware == identity.firmware && known.model == identity.model;
        match &self.identity {
            Some(known) if !same(known) => self.seen.clear(),
            Some(_) => {}
            // Observed before anybody knew on what.
            None => self.seen.values_mut().for_each(|it| {
                it.firmware.get_or_insert_with(|| identity.firmware.clone());
            }),
        }
        self.identity = Some(identity);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIRK: Quirk = Quirk::Soap11Only;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn firmware(version: &str) -> Identity {
        Identity { firmware: version.into(), ..Identity::default() }
    }

    #[test]
    fn what_is_observed_holds_until_the_firmware_changes() {
        let mut habits = Habits::default();
        assert!(!habits.applies(QUIRK) && habits.may_have(QUIRK));
        assert!(habits.observe(QUIRK, at(1), "an empty answer"));
        assert!(habits.identified(firmware("1.0")) && !habits.identified(firmware("1.0")));
        assert!(!habits.observe(QUIRK, at(5), "again"));
        let sighting = Sighting {
            note: "an empty answer".into(),
            first: at(1),
            last: at(5),
            times: 2,
            firmware: Some("1.0".into()),
        };
        assert_eq!(habits.seen().get(&QUIRK), Some(&sighting));
        assert!(habits.identified(Identity { serial: "7".into(), ..firmware("1.0") }));
        assert!(habits.applies(QUIRK), "another unit, the same firmware");
        assert!(habits.identified(firmware("1.1")));
        assert!(!habits.applies(QUIRK) && habits.seen().is_empty());
    }

    #[test]
    fn the_owners_word_goes_first() {
        let order = |used| vec![QuirkOrder { quirk: QUIRK, used, reason: "seen in a trace".into() }];
        let mut forbidden = Habits::new(order(false), BTreeMap::new(), None);
        forbidden.observe(QUIRK, at(1), "");
        assert!(!forbidden.applies(QUIRK) && !forbidden.may_have(QUIRK));
        let mut ordered = Habits::new(order(true), BTreeMap::new(), None);
        ordered.identified(firmware("1"));
        ordered.identified(firmware("2"));
        assert!(ordered.applies(QUIRK), "a firmware changes what was observed only");
    }

    #[test]
    fn texts_of_cameras_are_cut_and_plain() {
        assert_eq!(Identity::text(" 1.0\u{1b}[31m\n "), "1.0[31m");
        assert_eq!(Identity::text(&"x".repeat(1_000)).len(), IDENTITY_CHARS_MAX);
    }
}
