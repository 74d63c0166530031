//! The thread that writes the state database, and the copy of it that everybody reads.
//!
//! A disk may hang. So nobody who serves waits for it: what is read comes from memory, what is learnt is given to the
//! clerk, and who needs it durable is told when it is and decides for how long to wait. The clerk works off what has
//! come meanwhile in one go: of what is kept under one key only the latest is written.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock},
};

use super::{Locator, Store, StoreError};
use crate::limits::{LOCATOR_USE_EXACTNESS, STORE_CLOSE_TIME_MAX, STORE_ORDERS_MAX, STORE_RETRY_PAUSE};

/// Why something is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// A camera has as many permanent locators of a kind as it may have, all of them in use.
    #[error("the camera has its permanent locators, all of them in use")]
    TooMany,
    /// The disk is slower than orders come.
    #[error("the state database has {STORE_ORDERS_MAX} orders waiting")]
    Busy,
    /// The database failed.
    #[error("{0}")]
    Failed(String),
}

/// Told once something is durable, or will not be; on the clerk's thread.
pub type Told = Box<dyn FnOnce(Result<(), NotKept>) + Send>;

/// Has the state database to itself. Ends its thread when it is dropped.
pub struct Clerk(Arc<Office>);

struct Office {
    copy: RwLock<Mirror>,
    desk: Mutex<Desk>,
    /// Something lies on the desk, or the office closes.
    called: Condvar,
    /// The clerk has gone.
    gone: Condvar,
}

/// What stands in the database, or will in a moment.
#[derive(Default)]
struct Mirror {
    locators: HashMap<String, Locator>,
    states: HashMap<Key, Arc<str>>,
}

/// A camera, and what is kept of it.
type Key = (String, String);

/// What is still to be written.
#[derive(Default)]
struct Desk {
    /// Not more than cameras were ever configured, for each kind of state.
    states: BTreeMap<Key, State>,
    orders: VecDeque<Order>,
    /// When locators were used last, by their tokens: not more than there are.
    used: BTreeMap<String, i64>,
    /// Told once all of that is done.
    waiting: Vec<Told>,
    closing: bool,
    gone: bool,
}

/// What is written in one go.
struct Work {
    orders: VecDeque<Order>,
    used: BTreeMap<String, i64>,
    states: BTreeMap<Key, State>,
    waiting: Vec<Told>,
}

struct State {
    value: Arc<str>,
    told: Vec<Told>,
}

struct Order {
    locators: Vec<Locator>,
    now: i64,
    told: Told,
}

impl Clerk {
    /// Reads what is there, and begins to work.
    pub fn start(store: Store) -> Result<Self, StoreError> {
        let locators = store.locator_all()?.into_iter().map(|it| (it.token.clone(), it)).collect();
        let states = store.state_all()?.into_iter().map(|(camera, key, value)| ((camera, key), value.into()));
        let office = Arc::new(Office {
            copy: RwLock::new(Mirror { locators, states: states.collect() }),
            desk: Mutex::default(),
            called: Condvar::new(),
            gone: Condvar::new(),
        });
        let own = Arc::clone(&office);
        let named = std::thread::Builder::new().name("state".to_owned());
        named.spawn(move || own.work(store)).map_err(StoreError::Thread)?;
        Ok(Self(office))
    }

    /// The locator with this token, unless it ended before `now` (seconds since 1970).
    pub fn locator(&self, token: &str, now: i64) -> Option<Locator> {
        let copy = self.0.copy.read().unwrap_or_else(PoisonError::into_inner);
        let found = copy.locators.get(token).cloned();
        drop(copy);
        found.filter(|it| it.expires.is_none_or(|expires| expires > now))
    }

    /// Notes that a locator is used: once in a while, since each note is a write.
    pub fn note_use(&self, token: &str, now: i64) {
        let exactness = i64::try_from(LOCATOR_USE_EXACTNESS.as_secs()).unwrap_or(i64::MAX);
        let is_news = |known: &Locator| {
            known.expires.is_none() && known.used.is_none_or(|used| now.saturating_sub(used) >= exactness)
        };
        let copy = self.0.copy.read().unwrap_or_else(PoisonError::into_inner);
        if !copy.locators.get(token).is_some_and(is_news) {
            return;
        }
        drop(copy);
        let mut copy = self.0.copy.write().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = copy.locators.get_mut(token).filter(|it| is_news(it)) else { return };
        known.used = Some(now);
        let mut desk = self.0.desk();
        desk.used.insert(token.to_owned(), now);
        drop((desk, copy));
        self.0.called.notify_one();
    }

    /// Keeps locators, all or none; they can be read once that is told.
    pub fn keep_locators(&self, locators: Vec<Locator>, now: i64, told: Told) {
        let mut desk = self.0.desk();
        if desk.orders.len() >= STORE_ORDERS_MAX || desk.closing {
            drop(desk);
            return told(Err(NotKept::Busy));
        }
        desk.orders.push_back(Order { locators, now, told });
        drop(desk);
        self.0.called.notify_one();
    }

    /// The value under a camera and a key, as it was kept last.
    pub fn state(&self, camera: &str, key: &str) -> Option<Arc<str>> {
        let copy = self.0.copy.read().unwrap_or_else(PoisonError::into_inner);
        copy.states.get(&(camera.to_owned(), key.to_owned())).map(Arc::clone)
    }

    /// The values of all cameras under a key.
    pub fn states_under(&self, key: &str) -> Vec<(String, Arc<str>)> {
        let copy = self.0.copy.read().unwrap_or_else(PoisonError::into_inner);
        let under = copy.states.iter().filter(|((_, it), _)| it == key);
        under.map(|((camera, _), value)| (camera.clone(), Arc::clone(value))).collect()
    }

    /// Keeps a value under a camera and a key, in place of what was kept before; it can be read at once. What cannot be
    /// written is tried again. Who is to be told has it written though it may stand there already.
    pub fn keep_state(&self, camera: &str, key: &str, value: &str, told: Option<Told>) {
        let (key, value): (Key, Arc<str>) = ((camera.to_owned(), key.to_owned()), Arc::from(value));
        let mut copy = self.0.copy.write().unwrap_or_else(PoisonError::into_inner);
        let before = copy.states.insert(key.clone(), Arc::clone(&value));
        if told.is_none() && before.as_ref() == Some(&value) {
            return;
        }
        // The copy is held, so that the later of two is the later on the desk, too.
        let mut desk = self.0.desk();
        let state =
            desk.states.entry(key).or_insert_with(|| State { value: value.clone(), told: Vec::new() });
        state.value = value;
        state.told.extend(told);
        drop((desk, copy));
        self.0.called.notify_one();
    }

    /// Tells once all that was to be kept before this is durable; or that some of it is not yet, and is tried again.
    pub fn settle(&self, told: Told) {
        let mut desk = self.0.desk();
        if desk.waiting.len() >= STORE_ORDERS_MAX || desk.closing {
            drop(desk);
            return told(Err(NotKept::Busy));
        }
        desk.waiting.push(told);
        drop(desk);
        self.0.called.notify_one();
    }

    /// Writes what is still to be written, and ends; whether that was done in time.
    pub fn close(&self) -> bool {
        let mut desk = self.0.desk();
        desk.closing = true;
        self.0.called.notify_one();
        let wait = self.0.gone.wait_timeout_while(desk, STORE_CLOSE_TIME_MAX, |desk| !desk.gone);
        desk = wait.unwrap_or_else(PoisonError::into_inner).0;
        desk.gone
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Clerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clerk").finish_non_exhaustive()
    }
}

impl Office {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, mut store: Store) {
        let mut well = true;
        while let Some(Work { orders, used, states, waiting }) = self.next(well) {
            for order in orders {
                self.keep_locators(&mut store, order);
            }
            for (token, used) in used {
                if let Err(error) = store.locator_used(&token, used) {
                    tracing::warn!(%error, "when an address was used last is not kept: it may make room for others too early");
                }
            }
            let kept = if states.is_empty() { Ok(()) } else { self.keep_states(&mut store, states) };
            well = kept.is_ok();
            waiting.into_iter().for_each(|told| told(kept.clone()));
            if !well && self.desk().closing {
                break;
            }
        }
        self.desk().gone = true;
        self.gone.notify_all();
    }

    /// What lies on the desk, once something does; none when the office closes. After a failure there is a pause.
    fn next(&self, well: bool) -> Option<Work> {
        let mut desk = self.desk();
        if !well {
            let idle = |desk: &mut Desk| desk.orders.is_empty() && desk.waiting.is_empty() && !desk.closing;
            let wait = self.called.wait_timeout_while(desk, STORE_RETRY_PAUSE, idle);
            desk = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        let is_empty = |desk: &Desk| {
            desk.orders.is_empty()
                && desk.used.is_empty()
                && desk.states.is_empty()
                && desk.waiting.is_empty()
        };
        let idle = |desk: &mut Desk| is_empty(desk) && !desk.closing;
        desk = self.called.wait_while(desk, idle).unwrap_or_else(PoisonError::into_inner);
        (!is_empty(&desk)).then(|| Work {
            orders: std::mem::take(&mut desk.orders),
            used: std::mem::take(&mut desk.used),
            states: std::mem::take(&mut desk.states),
            waiting: std::mem::take(&mut desk.waiting),
        })
    }

    fn keep_locators(&self, store: &mut Store, order: Order) {
        let Order { locators, now, told } = order;
        let kept = store.locators_put(&locators, now).map_err(not_kept).map(|gone| {
            let mut copy = self.copy.write().unwrap_or_else(PoisonError::into_inner);
            for token in gone {
                copy.locators.remove(&token);
            }
            copy.locators.extend(locators.into_iter().map(|it| (it.token.clone(), it)));
        });
        told(kept);
    }

    /// Makes them durable; if that fails, they lie on the desk again, except where something later does.
    fn keep_states(&self, store: &mut Store, states: BTreeMap<Key, State>) -> Result<(), NotKept> {
        let rows = states.iter().map(|((camera, key), state)| (&**camera, &**key, &*state.value));
        let kept = store.states_put(rows).map_err(not_kept);
        if let Err(error) = &kept {
            tracing::error!(%error, cameras = states.len(), "WHAT WAS LEARNT OF CAMERAS COULD NOT BE KEPT: it holds until the gateway stops, and is tried again");
        }
        for (key, State { value, told }) in states {
            if kept.is_err() {
                let again = State { value, told: Vec::new() };
                self.desk().states.entry(key).or_insert(again);
            }
            told.into_iter().for_each(|told| told(kept.clone()));
        }
        kept
    }
}

fn not_kept(error: StoreError) -> NotKept {
    match error {
        StoreError::TooManyLocators { .. } => NotKept::TooMany,
        StoreError::Database(error) => NotKept::Failed(error.to_string()),
        other => NotKept::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::limits::LOCATORS_PER_CAMERA_MAX;

    fn locator(number: usize, expires: Option<i64>) -> Locator {
        Locator {
            token: format!("t{number}"),
            camera: "gate-1".to_owned(),
            kind: "stream".to_owned(),
            keys: [number.to_string(), "RTSP".to_owned(), String::new()],
            upstream: "/stream".to_owned(),
            created: 1_000,
            expires,
            used: None,
        }
    }

    /// What is told, once it is.
    fn told(give: impl FnOnce(Told)) -> Result<(), NotKept> {
        let (tell, told) = mpsc::sync_channel(1);
        give(Box::new(move |kept| tell.send(kept).unwrap()));
        told.recv().unwrap()
    }

    #[test]
    fn locators_are_kept_all_or_none_and_read_from_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.sqlite");
        let clerk = Clerk::start(Store::open(&path).unwrap()).unwrap();
        let keep = |locators: Vec<Locator>, now| told(|it| clerk.keep_locators(locators, now, it));
        assert_eq!(keep(vec![locator(1, None), locator(2, Some(2_000))], 1_000), Ok(()));
        assert_eq!(clerk.locator("t1", 9_000), Some(locator(1, None)));
        assert!(clerk.locator("t2", 1_999).is_some() && clerk.locator("t2", 2_000).is_none());
        let many = (3..=LOCATORS_PER_CAMERA_MAX + 3).map(|it| locator(it, None)).collect();
        assert_eq!(keep(many, 1_000), Err(NotKept::TooMany));
        assert_eq!(clerk.locator("t3", 0), None, "none of those that are too many together");
        // What has ended leaves memory, too, and so does a token that was replaced.
        let renewed = Locator { token: "renewed".to_owned(), ..locator(1, None) };
        assert_eq!(keep(vec![renewed.clone()], 2_000), Ok(()));
        assert_eq!((clerk.locator("t2", 0), clerk.locator("t1", 0)), (None, None));
        drop(clerk);
        let clerk = Clerk::start(Store::open(&path).unwrap()).unwrap();
        assert_eq!(clerk.locator("renewed", 0), Some(renewed));
    }

    #[test]
    fn when_a_locator_was_used_is_noted_once_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.sqlite");
        let clerk = Clerk::start(Store::open(&path).unwrap()).unwrap();
        let both = vec![locator(1, None), locator(2, Some(900_000))];
        assert_eq!(told(|it| clerk.keep_locators(both, 1_000, it)), Ok(()));
        let used = |token: &str| clerk.locator(token, 0).and_then(|it| it.used);
        let day = i64::try_from(LOCATOR_USE_EXACTNESS.as_secs()).unwrap();
        for (now, noted) in [(500_000, 500_000), (500_001, 500_000), (500_000 + day, 500_000 + day)] {
            ["t1", "t2", "t3"].into_iter().for_each(|token| clerk.note_use(token, now));
            assert_eq!((used("t1"), used("t2")), (Some(noted), None), "{now}");
        }
        drop(clerk);
        let clerk = Clerk::start(Store::open(&path).unwrap()).unwrap();
        assert_eq!(clerk.locator("t1", 0).unwrap().used, Some(500_000 + day));
    }

    #[test]
    fn a_state_is_read_at_once_and_durable_when_that_is_told_or_the_clerk_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.sqlite");
        let clerk = Clerk::start(Store::open(&path).unwrap()).unwrap();
        assert_eq!(told(|it| clerk.keep_state("gate", "memory", "one", Some(it))), Ok(()));
        let other = Store::open(&path).unwrap();
        assert_eq!(other.state_get("gate", "memory").unwrap().as_deref(), Some("one"));
        // Somebody else writes for a moment: nobody waits, and the latest is what is written.
        other.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        for number in 0..1_000 {
            clerk.keep_state("gate", "memory", &number.to_string(), None);
        }
        assert_eq!(clerk.state("gate", "memory").as_deref(), Some("999"));
        assert!(clerk.0.desk().states.len() <= 1);
        let (tell, settled) = mpsc::sync_channel(1);
        clerk.settle(Box::new(move |kept| tell.send(kept).unwrap()));
        assert!(settled.try_recv().is_err(), "none of it is durable before the other has written");
        other.connection.execute_batch("COMMIT").unwrap();
        assert_eq!(settled.recv().unwrap(), Ok(()));
        assert_eq!(other.state_get("gate", "memory").unwrap().as_deref(), Some("999"));
        assert!(clerk.close());
        assert_eq!(other.state_get("gate", "memory").unwrap().as_deref(), Some("999"));
        assert_eq!(told(|it| clerk.keep_locators(vec![locator(1, None)], 0, it)), Err(NotKept::Busy));
    }
}
