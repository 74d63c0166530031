//! Whether a device that was found is a camera which is known already, wherever that is now: by what each was known by.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{Evidence, Regard, SignalKind};
use crate::{ids::CameraId, limits::SERIAL_KNOWN_CHARS_MIN};

/// What the enrolled cameras are known by: hardware addresses, names in discovery and serial numbers.
#[derive(Debug, Default)]
pub struct Acquaintances(HashMap<(SignalKind, String), Vec<CameraId>>);

/// Signals that one device alone has.
const OWN: [SignalKind; 3] = [SignalKind::Mac, SignalKind::Endpoint, SignalKind::Serial];

impl Acquaintances {
    /// Of these cameras.
    pub fn of<'a>(cameras: impl Iterator<Item = (&'a CameraId, Arc<Regard>)>) -> Self {
        let mut all = Self::default();
        for (id, regard) in cameras {
            for kind in OWN {
                for value in regard.known_by.of(kind).filter(|it| tells(kind, it)) {
                    let same = all.0.entry((kind, value.to_lowercase())).or_default();
                    if !same.contains(id) {
                        same.push(id.clone());
                    }
                }
            }
        }
        all
    }

    /// The cameras that a device is known as by what it shows, and by which signals. Without a login it shows no serial
    /// number; many have theirs in their name or in a scope.
    pub fn known_as(&self, shown: &Evidence) -> BTreeMap<CameraId, Vec<SignalKind>> {
        let mut known: BTreeMap<CameraId, Vec<SignalKind>> = BTreeMap::new();
        let mut take = |kind: SignalKind, value: &str| {
            for id in self.0.get(&(kind, value.to_lowercase())).into_iter().flatten() {
                let by = known.entry(id.clone()).or_default();
                if !by.contains(&kind) {
                    by.push(kind);
                }
            }
        };
        for signal in shown.signals() {
            take(signal.kind, &signal.value);
            let words = signal.value.split(|it: char| !it.is_ascii_alphanumeric());
            words.filter(|it| tells(SignalKind::Serial, it)).for_each(|it| take(SignalKind::Serial, it));
        }
        known
    }
}

/// Whether a value is no word that anything might be called.
fn tells(kind: SignalKind, value: &str) -> bool {
    kind != SignalKind::Serial || value.len() >= SERIAL_KNOWN_CHARS_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(signals: &[(SignalKind, &str)]) -> Evidence {
        let mut evidence = Evidence::default();
        signals.iter().for_each(|(kind, value)| evidence.add(*kind, value));
        evidence
    }

    #[test]
    fn a_device_is_known_by_what_it_alone_has() {
        let [gate, lobby] = ["gate", "lobby"].map(|it| CameraId::new(it).unwrap());
        let regard = |signals: &[(SignalKind, &str)]| {
            let mut regard = Regard::default();
            signals.iter().for_each(|(kind, value)| regard.known_by.add(*kind, value));
            Arc::new(regard)
        };
        let known = [
            (&gate, regard(&[(SignalKind::Mac, "44:19:b6:00:00:66"), (SignalKind::Serial, "DS2CD0012345")])),
            (&lobby, regard(&[(SignalKind::Endpoint, "urn:uuid:1"), (SignalKind::Serial, "12")])),
        ];
        let all = Acquaintances::of(known.into_iter());
        let as_whom = |signals: &[(SignalKind, &str)]| {
            let known = all.known_as(&evidence(signals)).into_iter();
            known.map(|(id, by)| (id.to_string(), by)).collect::<Vec<_>>()
        };
        let (gate, lobby) = ("gate".to_owned(), "lobby".to_owned());
        assert_eq!(
            as_whom(&[(SignalKind::Mac, "44:19:B6:00:00:66"), (SignalKind::Endpoint, "URN:UUID:1")]),
            [(gate.clone(), vec![SignalKind::Mac]), (lobby, vec![SignalKind::Endpoint])]
        );
        let named = [(SignalKind::Scope, "onvif://www.onvif.org/serial/ds2cd0012345")];
        assert_eq!(as_whom(&named), [(gate, vec![SignalKind::Serial])]);
        for other in [
            (SignalKind::Mac, "44:19:b6:00:00:67"),
            (SignalKind::Scope, "onvif://x/12"),
            (SignalKind::Mac, "urn:uuid:1"),
        ] {
            assert_eq!(as_whom(&[other]), [], "{other:?}");
        }
    }
}
