//! Which zones are isolated as they should be. What nobody said counts as not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    ids::ZoneId,
    inventory::{Isolation, Zone},
};

/// How the isolation of zones stands. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Zones(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    troubles: BTreeMap<ZoneId, Option<Arc<str>>>,
    drifts: BTreeMap<ZoneId, u64>,
}

impl Zones {
    /// Says how a zone stands: its trouble, or none. Gives whether that is news.
    pub fn set(&self, zone: &ZoneId, trouble: Option<&str>) -> bool {
        let trouble = trouble.map(Arc::from);
        let before = self.known().troubles.insert(zone.clone(), trouble.clone());
        before != Some(trouble)
    }

    /// Why the isolation that a zone should have is not in force; none if it is, or if it should have none.
    pub fn trouble(&self, zone: &Zone) -> Option<Arc<str>> {
        match zone.isolation {
            Isolation::None => None,
            Isolation::Namespace(_) => match self.known().troubles.get(&zone.id) {
                Some(trouble) => trouble.clone(),
                None => Some(Arc::from("nobody has looked yet")),
            },
        }
    }

    /// Forgets how all stand: then none counts as isolated.
    pub fn forget(&self) {
        self.known().troubles.clear();
    }

    /// Says that something of a zone was otherwise than it should be: its namespace may be another one now.
    pub fn drifted(&self, zone: &ZoneId) {
        let mut known = self.known();
        let drifts = known.drifts.entry(zone.clone()).or_default();
        *drifts = drifts.wrapping_add(1);
    }

    /// How often that was: what was opened in the zone when the number was another one may be in no zone any more.
    pub fn drifts(&self, zone: &ZoneId) -> u64 {
        self.known().drifts.get(zone).copied().unwrap_or(0)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Attachment, Leg};

    #[test]
    fn what_nobody_said_is_not_isolated_and_what_needs_no_isolation_is_in_no_trouble() {
        let leg = Leg { attachment: Attachment::Interface("eth1".into()), addresses: vec![], routes: vec![] };
        let id = ZoneId::new("yard").unwrap();
        let mut zone = Zone {
            id: id.clone(),
            isolation: Isolation::Namespace(leg),
            prefixes: Vec::new(),
            event_sink: None,
            sweep: Vec::new(),
        };
        let zones = Zones::default();
        assert_eq!(zones.trouble(&zone).as_deref(), Some("nobody has looked yet"));
        assert!(zones.set(&id, Some("rules are gone")));
        assert!(!zones.set(&id, Some("rules are gone")), "that is no news");
        assert_eq!(zones.trouble(&zone).as_deref(), Some("rules are gone"));
        assert!(zones.set(&id, None));
        assert_eq!(zones.trouble(&zone), None);
        zones.forget();
        assert_eq!(zones.trouble(&zone).as_deref(), Some("nobody has looked yet"));
        zones.set(&id, Some("rules are gone"));
        assert_eq!(zones.drifts(&id), 0);
        zones.drifted(&id);
        zones.forget();
        assert_eq!(zones.drifts(&id), 1, "that is not forgotten");
        zone.isolation = Isolation::None;
        assert_eq!(zones.trouble(&zone), None);
    }
}
