//! How many connections there may be: at one listener, of one source there, and of both at all listeners together.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::IpAddr,
    rc::Rc,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{gate::Origin, limits};

/// The connections of all listeners of one kind.
#[derive(Debug)]
pub struct Everywhere(Mutex<Taken>);

/// Bounds of connections at one listener.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Of the listener.
    pub listener_max: usize,
    /// Of one source at it.
    pub source_max: usize,
    /// Of one source at all such listeners.
    pub everywhere_max: usize,
    /// Those of all such listeners, at most `CONNECTIONS_MAX`.
    pub everywhere: &'static Everywhere,
}

/// The connections of one listener.
#[derive(Debug, Clone, Default)]
pub struct Places(Rc<RefCell<Taken>>);

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    source: Origin,
    everywhere: &'static Everywhere,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    sources: BTreeMap<Origin, usize>,
}

impl Everywhere {
    /// None yet.
    pub const fn new() -> Self {
        Self(Mutex::new(Taken { all: 0, sources: BTreeMap::new() }))
    }

    /// How many there are.
    pub fn open(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// A place for one more connection of a source, if there is room.
    pub fn take(&self, source: IpAddr, room: Room) -> Option<Place> {
        let source = Origin::of(source);
        let Room { listener_max, source_max, everywhere_max, everywhere } = room;
        let mut here = self.0.borrow_mut();
        if !here.has_room(source, listener_max, source_max) {
            return None;
        }
        let mut all = everywhere.taken();
        if !all.has_room(source, limits::CONNECTIONS_MAX, everywhere_max) {
            return None;
        }
        here.add(source);
        all.add(source);
        Some(Place { places: self.clone(), source, everywhere })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.everywhere.taken().remove(self.source);
        self.places.0.borrow_mut().remove(self.source);
    }
}

impl Taken {
    fn has_room(&self, source: Origin, all_max: usize, source_max: usize) -> bool {
        self.all < all_max && self.sources.get(&source).is_none_or(|own| *own < source_max)
    }

    fn add(&mut self, source: Origin) {
        self.all += 1;
        *self.sources.entry(source).or_default() += 1;
    }

    fn remove(&mut self, source: Origin) {
        self.all -= 1;
        match self.sources.get_mut(&source) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(self.sources.remove(&source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(everywhere: &'static Everywhere, everywhere_max: usize) -> Room {
        Room {
            listener_max: limits::CONNECTIONS_PER_CAMERA_MAX,
            source_max: limits::CONNECTIONS_PER_SOURCE_MAX,
            everywhere_max,
            everywhere,
        }
    }

    #[test]
    fn no_source_takes_all_places_and_a_dropped_place_is_free() {
        static EVERYWHERE: Everywhere = Everywhere::new();
        let (places, room) = (Places::default(), room(&EVERYWHERE, limits::CONNECTIONS_OF_STRANGER_MAX));
        let take = |source: &str| places.take(source.parse().unwrap(), room);
        let mut held: Vec<_> =
            (0..limits::CONNECTIONS_PER_SOURCE_MAX).map(|_| take("192.0.2.1").unwrap()).collect();
        assert!(take("192.0.2.1").is_none(), "one more than CONNECTIONS_PER_SOURCE_MAX");
        assert!(take("::ffff:192.0.2.1").is_none(), "the same address, written otherwise");
        drop(held.pop());
        held.push(take("192.0.2.1").unwrap());
        let rest = limits::CONNECTIONS_PER_SOURCE_MAX..limits::CONNECTIONS_PER_CAMERA_MAX;
        held.extend(rest.map(|number| take(&format!("198.51.100.{}", number % 200)).unwrap()));
        assert!(take("203.0.113.9").is_none(), "one more than CONNECTIONS_PER_CAMERA_MAX");
        drop(held);
        assert!(places.0.borrow().sources.is_empty(), "{places:?}");
        assert_eq!(EVERYWHERE.open(), 0);
    }

    #[test]
    fn a_machine_that_takes_a_new_address_for_each_connection_is_one_source() {
        static EVERYWHERE: Everywhere = Everywhere::new();
        let (places, room) = (Places::default(), room(&EVERYWHERE, limits::CONNECTIONS_OF_STRANGER_MAX));
        let held: Vec<_> = (0..limits::CONNECTIONS_PER_CAMERA_MAX)
            .filter_map(|it| places.take(format!("2001:db8::{it:x}").parse().unwrap(), room))
            .collect();
        assert_eq!(held.len(), limits::CONNECTIONS_PER_SOURCE_MAX);
        assert!(places.take("2001:db8:0:1::1".parse().unwrap(), room).is_some(), "another machine");
    }

    /// One machine knocks at so many cameras' listeners that its places at each would be all there are.
    #[test]
    fn no_source_takes_the_places_of_all_listeners() {
        static EVERYWHERE: Everywhere = Everywhere::new();
        let stranger = room(&EVERYWHERE, limits::CONNECTIONS_OF_STRANGER_MAX);
        let client = room(&EVERYWHERE, limits::CONNECTIONS_OF_EXPECTED_MAX);
        let listeners: Vec<_> = (0..100).map(|_| Places::default()).collect();
        let all = |source: &str, room| -> Vec<_> {
            let source = source.parse().unwrap();
            let tries = listeners.iter().flat_map(|it| std::iter::repeat_n(it, 200));
            tries.filter_map(|listener| listener.take(source, room)).collect()
        };
        let held = all("203.0.113.9", stranger);
        assert_eq!(held.len(), limits::CONNECTIONS_OF_STRANGER_MAX);
        let of_client = all("192.0.2.1", client);
        assert_eq!(of_client.len(), limits::CONNECTIONS_OF_EXPECTED_MAX, "a client still finds its own");
        assert_eq!(EVERYWHERE.open(), limits::CONNECTIONS_MAX);
        let other = "192.0.2.2".parse().unwrap();
        let fresh = Places::default();
        assert!(fresh.take(other, client).is_none(), "one more than CONNECTIONS_MAX");
        assert!(fresh.0.borrow().sources.is_empty(), "what was refused holds no place");
        drop(held);
        assert!(fresh.take(other, client).is_some());
    }
}
