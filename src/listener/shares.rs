//! Places for what is under way at one camera: there are so many, and nobody has more than a share of them.

use std::{cell::RefCell, rc::Rc};

use crate::{
    auth::Caller,
    gate::Holder,
    limits::{
        COMMANDS_OF_ONE_PER_CAMERA_MAX, COMMANDS_PER_CAMERA_MAX, STOPS_OF_ONE_PER_CAMERA_MAX,
        STOPS_PER_CAMERA_MAX, TRANSFERS_PER_CAMERA_MAX,
    },
};

/// The places of one kind at one camera.
#[derive(Debug)]
pub(super) struct Shares {
    all_max: usize,
    share_max: usize,
    taken: RefCell<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// None is the gateway and its machine. Few at a time, and kept in place: a command costs no memory here. Whoever has
    /// nothing is absent.
    holders: Vec<(Option<Holder>, usize)>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Rc<Shares>,
    holder: Option<Holder>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// All are taken.
    All,
    /// Those that one may have are.
    Share,
}

impl Shares {
    /// For commands.
    pub(super) fn of_commands() -> Rc<Self> {
        Self::new(COMMANDS_PER_CAMERA_MAX, COMMANDS_OF_ONE_PER_CAMERA_MAX)
    }

    /// For what stops a movement, beside these.
    pub(super) fn of_stops() -> Rc<Self> {
        Self::new(STOPS_PER_CAMERA_MAX, STOPS_OF_ONE_PER_CAMERA_MAX)
    }

    /// For files, of which there are so few that one may have them all.
    pub(super) fn of_transfers() -> Rc<Self> {
        Self::new(TRANSFERS_PER_CAMERA_MAX, TRANSFERS_PER_CAMERA_MAX)
    }

    fn new(all_max: usize, share_max: usize) -> Rc<Self> {
        Rc::new(Self { all_max, share_max, taken: RefCell::default() })
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.borrow().all
    }

    /// Whether a caller finds a place.
    pub(super) fn has_room(&self, caller: &Caller) -> bool {
        self.room(&Holder::of(caller)).is_ok()
    }

    /// One more for a caller.
    pub(super) fn take(self: &Rc<Self>, caller: &Caller) -> Result<Share, Full> {
        let holder = Holder::of(caller);
        self.room(&holder)?;
        let mut taken = self.taken.borrow_mut();
        taken.all += 1;
        match taken.holders.iter_mut().find(|it| it.0 == holder) {
            Some((_, own)) => *own += 1,
            None => taken.holders.push((holder.clone(), 1)),
        }
        drop(taken);
        Ok(Share { shares: Rc::clone(self), holder })
    }

    fn room(&self, holder: &Option<Holder>) -> Result<(), Full> {
        let taken = self.taken.borrow();
        let own = taken.holders.iter().find(|it| it.0 == *holder).map_or(0, |it| it.1);
        match (taken.all < self.all_max, own < self.share_max) {
            (false, _) => Err(Full::All),
            (true, false) => Err(Full::Share),
            (true, true) => Ok(()),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.borrow_mut();
        taken.all -= 1;
        let Some(at) = taken.holders.iter().position(|it| it.0 == self.holder) else { return };
        match taken.holders.get_mut(at) {
            Some((_, own)) if *own > 1 => *own -= 1,
            _ => drop(taken.holders.swap_remove(at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::client;

    #[test]
    fn nobody_has_more_than_a_share_and_what_is_given_back_is_free() {
        let shares = Shares::new(4, 3);
        let nobody = |source: &str| Caller::Anonymous { source: source.parse().unwrap(), tls: false };
        let (one, other) = (client("one"), client("other"));
        let mut held: Vec<_> = (0..3).map(|_| shares.take(&one).unwrap()).collect();
        assert_eq!(shares.take(&one).unwrap_err(), Full::Share);
        assert!(shares.has_room(&other) && !shares.has_room(&one));
        held.push(shares.take(&other).unwrap());
        assert_eq!(shares.take(&client("third")).unwrap_err(), Full::All);
        assert_eq!(shares.take(&one).unwrap_err(), Full::All);
        drop(held.remove(0));
        held.push(shares.take(&one).unwrap());
        drop(held);
        assert_eq!(shares.taken(), 0);
        assert_eq!(shares.taken.borrow().holders, [], "whoever has none is forgotten");
        let held: Vec<_> = (0..3).map(|port| shares.take(&nobody(&format!("192.0.2.7:{port}")))).collect();
        assert_eq!(shares.take(&nobody("[::ffff:192.0.2.7]:9")).unwrap_err(), Full::Share, "one machine");
        assert!(shares.take(&nobody("192.0.2.8:9")).is_ok());
        drop(held);
    }
}
