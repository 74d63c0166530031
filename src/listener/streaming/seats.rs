//! How many connections for streams each client has at a camera: none takes all that there are.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use crate::{
    ids::ClientId,
    limits::{STREAM_VIEWERS_PER_CAMERA_MAX, STREAM_VIEWERS_PER_CLIENT_MAX},
};

/// The connections at one camera on which somebody was let in. All who need not log in share what one client may have.
#[derive(Default)]
pub(super) struct Seats(Rc<RefCell<BTreeMap<Option<ClientId>, usize>>>);

/// The seat of one connection; given back when dropped.
pub(super) struct Seated {
    seats: Rc<RefCell<BTreeMap<Option<ClientId>, usize>>>,
    client: Option<ClientId>,
}

impl Seats {
    /// One more for a client, if there is one.
    pub(super) fn take(&self, client: Option<&ClientId>) -> Option<Seated> {
        let (mut taken, client) = (self.0.borrow_mut(), client.cloned());
        let own = taken.get(&client).copied().unwrap_or_default();
        let all: usize = taken.values().sum();
        if own >= STREAM_VIEWERS_PER_CLIENT_MAX || all >= STREAM_VIEWERS_PER_CAMERA_MAX {
            return None;
        }
        taken.insert(client.clone(), own + 1);
        Some(Seated { seats: Rc::clone(&self.0), client })
    }
}

impl Seated {
    /// Whether it is this client's.
    pub(super) fn is_of(&self, client: Option<&ClientId>) -> bool {
        self.client.as_ref() == client
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        let mut seats = self.seats.borrow_mut();
        match seats.get_mut(&self.client) {
            Some(own) if *own > 1 => *own -= 1,
            _ => _ = seats.remove(&self.client),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_leaves_room_for_others_and_all_together_have_an_end() {
        let (seats, one, other) =
            (Seats::default(), ClientId::new("one").unwrap(), ClientId::new("other").unwrap());
        let mut taken: Vec<_> =
            (0..STREAM_VIEWERS_PER_CLIENT_MAX).filter_map(|_| seats.take(Some(&one))).collect();
        assert_eq!(taken.len(), STREAM_VIEWERS_PER_CLIENT_MAX);
        assert!(seats.take(Some(&one)).is_none());
        let left = STREAM_VIEWERS_PER_CAMERA_MAX - STREAM_VIEWERS_PER_CLIENT_MAX;
        taken.extend((0..left).filter_map(|_| seats.take(Some(&other))));
        assert_eq!(taken.len(), STREAM_VIEWERS_PER_CAMERA_MAX);
        assert!(seats.take(None).is_none(), "the camera has no more");
        taken.pop();
        assert!(seats.take(None).is_some_and(|it| it.is_of(None)));
        taken.clear();
        assert!(seats.0.borrow().is_empty(), "nobody is remembered who left");
    }
}
