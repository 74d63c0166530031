//! Decisions made before: VMSs poll, and ask the same in the same circumstances again and again.
//!
//! A decision depends on policies and entities, which do not change while an engine lives, and on what its
//! [`Key`] holds: everything that Cedar is asked with. A new engine begins with an empty cache.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use cedar_policy::EntityUid;

use super::{circumstances::Circumstances, engine::Decision};
use crate::limits::POLICY_DECISIONS_MAX;

/// What a decision was made about, by whom, on what and in which circumstances.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) principal: EntityUid,
    pub(super) action: EntityUid,
    pub(super) resource: EntityUid,
    pub(super) circumstances: Circumstances,
}

impl Key {
    /// Whether to remember it: destinations and listeners are the caller's to make up without end, and what
    /// has some is asked seldom.
    pub(super) fn is_worth_keeping(&self) -> bool {
        self.circumstances.destinations.is_empty() && self.circumstances.listeners.is_empty()
    }
}

/// At most `POLICY_DECISIONS_MAX` decisions. Full means to begin anew.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    known: Mutex<HashMap<Key, Decision>>,
    /// How often one was known, and how often one was made.
    counts: (AtomicU64, AtomicU64),
}

impl Decisions {
    /// The decision made before, if any.
    pub(super) fn known(&self, key: &Key) -> Option<Decision> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        self.counts.0.fetch_add(u64::from(known.is_some()), Ordering::Relaxed);
        known
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
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= POLICY_DECISIONS_MAX {
            known.clear();
        }
        known.insert(key, decision.clone());
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
