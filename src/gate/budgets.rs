//! Budgets of commands under way, over all cameras: what one client holds open, others cannot use.
//!
//! Every command under way holds a place in the audit log's queue and memory until it ends, and a camera that
//! answers slowly makes it hold them for long. So each client has a budget, and callers without credentials have
//! one for each source and one together.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::origin::Origin;
use crate::{
    auth::Caller,
    ids::ClientId,
    limits::{COMMANDS_ANONYMOUS_MAX, COMMANDS_ANONYMOUS_PER_SOURCE_MAX, COMMANDS_PER_CLIENT_MAX},
};

/// What everybody has under way. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Budgets(Arc<Mutex<UnderWay>>);

#[derive(Debug, Default)]
struct UnderWay {
    /// Whoever has nothing under way is absent.
    holders: HashMap<Holder, usize>,
    /// Of all sources together.
    anonymous: usize,
}

/// Who is counted as one: a client, or a source without a login.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A client, from wherever it calls.
    Client(ClientId),
    /// A source.
    Source(Origin),
}

impl Holder {
    /// None for the gateway and its machine.
    pub fn of(caller: &Caller) -> Option<Self> {
        match caller {
            Caller::Client { id, .. } => Some(Self::Client(id.clone())),
            Caller::Anonymous { source, .. } => Some(Self::Source(Origin::of(source.ip()))),
            Caller::Gateway(_) | Caller::Local { .. } => None,
        }
    }
}

/// The right to have one more command under way, until it is dropped.
#[derive(Debug)]
#[must_use = "the place is free again as soon as this is dropped"]
pub struct Turn {
    budgets: Budgets,
    /// None for the gateway itself, which asks for little and not more than clients make it ask.
    holder: Option<Holder>,
}

/// Somebody has as much under way as he may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverBudget {
    /// A client.
    #[error("the client has {COMMANDS_PER_CLIENT_MAX} commands under way over all cameras")]
    Client,
    /// A source, or all sources together.
    #[error("too many commands without credentials are under way")]
    Anonymous,
}

impl Budgets {
    /// One more command of a caller.
    pub(super) fn turn(&self, caller: &Caller) -> Result<Turn, OverBudget> {
        let Some(holder) = Holder::of(caller) else {
            return Ok(Turn { budgets: self.clone(), holder: None });
        };
        let (max, full) = match &holder {
            Holder::Client(_) => (COMMANDS_PER_CLIENT_MAX, OverBudget::Client),
            Holder::Source(_) => (COMMANDS_ANONYMOUS_PER_SOURCE_MAX, OverBudget::Anonymous),
        };
        let mut under_way = self.under_way();
        let anonymous = usize::from(full == OverBudget::Anonymous);
        if anonymous > 0 && under_way.anonymous >= COMMANDS_ANONYMOUS_MAX {
            return Err(full);
        }
        let own = under_way.holders.entry(holder.clone()).or_default();
        if *own >= max {
            return Err(full);
        }
        *own += 1;
        under_way.anonymous += anonymous;
        drop(under_way);
        Ok(Turn { budgets: self.clone(), holder: Some(holder) })
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(holder) = self.holder.take() else { return };
        let mut under_way = self.budgets.under_way();
        under_way.anonymous -= usize::from(matches!(holder, Holder::Source(_)));
        match under_way.holders.get_mut(&holder) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(under_way.holders.remove(&holder)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::client;

    fn nobody(source: &str) -> Caller {
        Caller::Anonymous { source: source.parse().unwrap(), tls: false }
    }

    fn take(budgets: &Budgets, caller: &Caller, count: usize) -> Vec<Turn> {
        (0..count).map(|_| budgets.turn(caller).unwrap()).collect()
    }

    #[test]
    fn a_client_has_its_budget_whatever_others_hold_and_gets_back_what_ends() {
        let budgets = Budgets::default();
        let mut held = take(&budgets, &client("one"), COMMANDS_PER_CLIENT_MAX);
        assert_eq!(budgets.turn(&client("one")).unwrap_err(), OverBudget::Client);
        held.extend(take(&budgets, &client("other"), COMMANDS_PER_CLIENT_MAX));
        drop(held.remove(0));
        held.extend(take(&budgets, &client("one"), 1));
        assert_eq!(budgets.turn(&client("one")).unwrap_err(), OverBudget::Client);
        drop(held);
        assert!(budgets.under_way().holders.is_empty(), "{budgets:?}");
    }

    #[test]
    fn no_source_takes_all_that_callers_without_credentials_may_have() {
        let budgets = Budgets::default();
        let one = take(&budgets, &nobody("192.0.2.1:1"), COMMANDS_ANONYMOUS_PER_SOURCE_MAX);
        assert_eq!(budgets.turn(&nobody("192.0.2.1:2")).unwrap_err(), OverBudget::Anonymous);
        assert_eq!(budgets.turn(&nobody("[::ffff:192.0.2.1]:2")).unwrap_err(), OverBudget::Anonymous);
        let rest = COMMANDS_ANONYMOUS_MAX - COMMANDS_ANONYMOUS_PER_SOURCE_MAX;
        let two = take(&budgets, &nobody("192.0.2.2:1"), rest);
        assert_eq!(budgets.turn(&nobody("192.0.2.3:1")).unwrap_err(), OverBudget::Anonymous, "all together");
        drop(take(&budgets, &client("one"), 1));
        drop((one, two));
        assert_eq!(budgets.under_way().anonymous, 0);
        drop(take(&budgets, &nobody("192.0.2.3:1"), 1));
    }
}
