//! Decisions made before: VMSs poll, and ask the same in the same circumstances again and again.
//!
//! A decision depends on policies and entities, which do not change while an engine lives but for how a camera stands, and on
//! what its [`Key`] holds: of what Cedar is asked with, all that the policies in question look at. A new engine begins
//! with an empty cache.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use cedar_policy::EntityUid;

use super::{circumstances::Circumstances, engine::Decision, entities::Stand, load::Kind};
use crate::limits::POLICY_DECISIONS_MAX;

/// What a decision depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) action: EntityUid,
    /// None if it makes no difference; likewise the resource.
    pub(super) principal: Option<EntityUid>,
    pub(super) resource: Option<EntityUid>,
    /// How the camera stands, where the resource makes a difference.
    pub(super) stand: Option<Stand>,
    /// Those that make a difference; the others are empty.
    pub(super) circumstances: Circumstances,
}

impl Key {
    /// Whether to remember it: destinations and listeners are the caller's to make up without end, and what
    /// has some is asked seldom.
    pub(super) fn is_worth_keeping(&self) -> bool {
        let Circumstances { destinations, listeners, consumers, consumer_networks, .. } = &self.circumstances;
        destinations.is_empty()
            && listeners.is_empty()
            && consumers.is_empty()
            && consumer_networks.is_empty()
    }
}

/// At most `POLICY_DECISIONS_MAX` decisions. Half of them are young; when that half is full it grows old, and
/// what was old and not asked for meanwhile is forgotten.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    known: Mutex<Generations>,
    /// How often one was known, and how often one was made.
    counts: (AtomicU64, AtomicU64),
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Key, Arc<Decision>>,
    old: HashMap<Key, Arc<Decision>>,
}

impl Decisions {
    /// The decision made before, if any.
    pub(super) fn known(&self, key: &Key) -> Option<Decision> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match known.young.get(key) {
            Some(found) => Arc::clone(found),
            None => {
                let (key, found) = known.old.remove_entry(key)?;
                known.keep(key, Arc::clone(&found));
                found
            }
        };
        drop(known);
        self.counts.0.fetch_add(1, Ordering::Relaxed);
        Some(Decision::clone(&found))
    }

    /// Counts a decision that was made anew.
    pub(super) fn made(&self) {
        self.counts.1.fetch_add(1, Ordering::Relaxed);
    }

    /// How many decisions were known, and how many were made.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.counts.0.load(Ordering::Relaxed), self.counts.1.load(Ordering::Relaxed))
    }

    /// Takes up a decision.
    pub(super) fn keep(&self, key: Key, decision: &Decision) {
        let decision = Arc::new(decision.clone());
        self.known.lock().unwrap_or_else(PoisonError::into_inner).keep(key, decision);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.young.len() + known.old.len()
    }
}

impl Generations {
    fn keep(&mut self, key: Key, decision: Arc<Decision>) {
        if self.young.len() >= POLICY_DECISIONS_MAX / 2 {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, decision);
    }
}
