//! The serving threads: which listeners are open, where each leads, and how that changes while they serve.
//!
//! A change has two halves. First everything that can fail is done beside what serves: listeners are bound, or
//! borrowed from the thread that has them, and made ready. Then all of it is taken up; what is under way at a
//! listener that goes is answered to its end.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    gateway::StartError,
    locators::Memories,
    serving_thread::{NewCamera, NewDoor, Order, Paths, serve},
};
use crate::{
    ids::CameraId,
    inventory::{Camera, Inventory},
    limits::SERVING_ORDERS_MAX,
    listener::{
        House,
        mount::{Visit, way},
        tls::Tls,
    },
};

/// What is listened on and where that leads, of one configuration.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Plan {
    doors: BTreeMap<SocketAddr, Door>,
    /// Every camera, and whether it is reached by path.
    cameras: BTreeMap<CameraId, bool>,
}

#[derive(Debug, Clone, PartialEq)]
struct Door {
    secure: bool,
    leads: Leads,
}

/// Where a listener leads.
#[derive(Debug, Clone, PartialEq)]
enum Leads {
    Camera(CameraId),
    Paths(BTreeMap<Arc<str>, CameraId>),
}

impl Plan {
    /// The plan for these cameras.
    pub(super) fn of(inventory: &Inventory) -> Self {
        let mut plan = Self::default();
        for camera in inventory.cameras() {
            plan.cameras.insert(camera.id.clone(), !camera.mount.is_empty());
            plan.lead(camera, camera.listen, false);
            if let Some(door) = &camera.secure {
                plan.lead(camera, door.listen, true);
            }
        }
        plan
    }

    fn lead(&mut self, camera: &Camera, at: SocketAddr, secure: bool) {
        let (id, mount) = (camera.id.clone(), camera.mount.as_str());
        if mount.is_empty() {
            self.doors.insert(at, Door { secure, leads: Leads::Camera(id) });
            return;
        }
        let door = self.doors.entry(at).or_insert(Door { secure, leads: Leads::Paths(BTreeMap::new()) });
        if let Leads::Paths(paths) = &mut door.leads {
            paths.insert(mount.into(), id);
        }
    }

    /// How many listeners that are.
    pub(super) fn listeners(inventory: &Inventory) -> usize {
        inventory.cameras().flat_map(Camera::doors).collect::<BTreeSet<_>>().len()
    }
}

impl Door {
    /// Whether a listener that is open as the other stays open as this one: only its paths may change.
    fn goes_on(&self, before: &Self) -> bool {
        let same = match (&self.leads, &before.leads) {
            (Leads::Camera(one), Leads::Camera(other)) => one == other,
            (Leads::Paths(_), Leads::Paths(_)) => true,
            (Leads::Camera(_), Leads::Paths(_)) | (Leads::Paths(_), Leads::Camera(_)) => false,
        };
        same && self.secure == before.secure
    }

    /// A camera behind it, for messages.
    fn camera(&self) -> String {
        match &self.leads {
            Leads::Camera(id) => id.to_string(),
            Leads::Paths(paths) => paths.values().next().map_or_else(String::new, CameraId::to_string),
        }
    }
}

/// The serving threads and what they serve.
pub(super) struct Serving {
    house: Arc<House>,
    tls: Option<Tls>,
    threads: Vec<Thread>,
    plan: Plan,
    /// The near ends of the ways to cameras that are reached by path.
    ways: HashMap<CameraId, mpsc::Sender<Visit>>,
}

struct Thread {
    orders: mpsc::Sender<Order>,
    handle: JoinHandle<()>,
}

/// Listeners that are ready for another plan.
#[must_use = "is taken up or given up"]
pub(super) struct Prepared {
    plan: Plan,
}

impl Serving {
    /// Starts `count` threads, which serve nothing yet.
    pub(super) fn start(
        house: &Arc<House>,
        memories: &Arc<Memories>,
        tls: Option<Tls>,
        count: usize,
    ) -> Result<Self, StartError> {
        let mut threads = Vec::with_capacity(count);
        for number in 0..count {
            let (orders, received) = mpsc::channel(SERVING_ORDERS_MAX);
            let (house, memories) = (Arc::clone(house), Arc::clone(memories));
            let (told, begun) = oneshot::channel();
            let handle = std::thread::Builder::new()
                .name(format!("serve-{number}"))
                .spawn(move || serve(told, house, memories, received))
                .map_err(StartError::Thread)?;
            // A failure is told before anything serves.
            begun.blocking_recv().map_err(|_| StartError::Lost)?.map_err(StartError::Thread)?;
            threads.push(Thread { orders, handle });
        }
        Ok(Self { house: Arc::clone(house), tls, threads, plan: Plan::default(), ways: HashMap::new() })
    }

    /// Serves streams of every camera at a listener.
    pub(super) fn stream(&self, address: SocketAddr, over_tls: bool) -> Result<(), StartError> {
        let failed = |source| StartError::Streams { address, source };
        let listener = bind(address).map_err(failed)?;
        let tls = self.tls.clone().filter(|_| over_tls);
        self.ask(0, |reply| Order::Streams { listener, tls, reply })?.map_err(failed)
    }

    /// Makes ready what a plan needs beside what is open. Nothing that serves changes.
    ///
    /// # Errors
    /// A listener cannot be had; those that were are closed again.
    pub(super) fn prepare(&self, plan: Plan) -> Result<Prepared, StartError> {
        let mut shares: BTreeMap<usize, Vec<NewDoor>> = BTreeMap::new();
        for (at, door) in &plan.doors {
            let before = self.plan.doors.get(at);
            if before.is_some_and(|before| door.goes_on(before)) {
                continue;
            }
            let listener = match before {
                Some(before) => self.ask(self.place(*at, before), |reply| Order::Lend { at: *at, reply })?,
                None => bind(*at),
            };
            let failed = |source| StartError::Listen { camera: door.camera(), address: *at, source };
            let tls = if door.secure { self.tls.clone() } else { None };
            let camera = match &door.leads {
                Leads::Camera(id) => Some(id.clone()),
                Leads::Paths(_) => None,
            };
            let door_of = NewDoor { at: *at, listener: listener.map_err(failed)?, tls, camera };
            shares.entry(self.place(*at, door)).or_default().push(door_of);
        }
        let prepared = Prepared { plan };
        for (place, doors) in shares {
            let outcome = self.ask(place, |reply| Order::Prepare { doors, reply });
            if let Err(error) = outcome.and_then(|ready| ready) {
                self.give_up(prepared);
                return Err(error);
            }
        }
        Ok(prepared)
    }

    /// Closes what was made ready.
    pub(super) fn give_up(&self, _: Prepared) {
        for place in 0..self.threads.len() {
            // A thread that is gone has nothing open.
            let _ = self.ask(place, |reply| Order::GiveUp { reply });
        }
    }

    /// Serves by the edition in force and the plan that was made ready for it, from now on.
    ///
    /// # Errors
    /// A thread is gone; the others are served.
    pub(super) fn take_up(&mut self, prepared: Prepared) -> Result<(), StartError> {
        let Prepared { plan } = prepared;
        let mut outcome = Ok(());
        // First all that close: a port that moves to another camera must not be answered by both.
        for (place, doors) in self.closing(&plan) {
            outcome = outcome.and(self.ask(place, |reply| Order::Close { doors, reply }));
        }
        let mut changes = self.changes(&plan);
        for place in 0..self.threads.len() {
            let Changes { cameras, gone, paths } = changes.remove(&place).unwrap_or_default();
            let order = |reply| Order::TakeUp { cameras, gone, paths, reply };
            outcome = outcome.and(self.ask(place, order));
        }
        let mut healths = self.house.healths.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        healths.retain(|camera, _| plan.cameras.contains_key(camera));
        drop(healths);
        self.plan = plan;
        outcome
    }

    /// Stops accepting and waits until what is under way has ended.
    pub(super) fn stop(self) {
        let Self { threads, ways, .. } = self;
        drop(ways);
        // The end of its orders is each thread's order to end.
        let handles: Vec<_> = threads.into_iter().map(|thread| thread.handle).collect();
        for handle in handles {
            if handle.join().is_err() {
                tracing::error!("a serving thread panicked");
            }
        }
    }

    /// The listeners that close, by thread.
    fn closing(&self, plan: &Plan) -> BTreeMap<usize, Vec<SocketAddr>> {
        let mut closing: BTreeMap<usize, Vec<SocketAddr>> = BTreeMap::new();
        for (at, before) in &self.plan.doors {
            if !plan.doors.get(at).is_some_and(|door| door.goes_on(before)) {
                closing.entry(self.place(*at, before)).or_default().push(*at);
            }
        }
        closing
    }

    /// What else changes, by thread.
    fn changes(&mut self, plan: &Plan) -> BTreeMap<usize, Changes> {
        let mut changes: BTreeMap<usize, Changes> = BTreeMap::new();
        self.ways.retain(|camera, _| plan.cameras.get(camera) == Some(&true));
        for (id, by_path) in &plan.cameras {
            let visits = if *by_path && !self.ways.contains_key(id) {
                let (near, far) = way();
                self.ways.insert(id.clone(), near);
                Some(far)
            } else {
                None
            };
            if visits.is_some() || !self.plan.cameras.contains_key(id) {
                let place = self.place_of(id.as_str());
                changes.entry(place).or_default().cameras.push(NewCamera { id: id.clone(), visits });
            }
        }
        for id in self.plan.cameras.keys().filter(|id| !plan.cameras.contains_key(id)) {
            changes.entry(self.place_of(id.as_str())).or_default().gone.push(id.clone());
        }
        for (at, door) in &plan.doors {
            let Leads::Paths(paths) = &door.leads else { continue };
            let ways =
                paths.iter().filter_map(|(path, id)| Some((Arc::clone(path), self.ways.get(id)?.clone())));
            let paths = ways.collect();
            changes.entry(self.place(*at, door)).or_default().paths.push((*at, paths));
        }
        changes
    }

    /// The thread of a listener: its camera's; if several share it, any.
    fn place(&self, at: SocketAddr, door: &Door) -> usize {
        match &door.leads {
            Leads::Camera(id) => self.place_of(id.as_str()),
            Leads::Paths(_) => self.place_of(&at.to_string()),
        }
    }

    /// A camera lives on the thread that its name hashes to.
    fn place_of(&self, name: &str) -> usize {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        usize::try_from(hasher.finish() % self.threads.len().max(1) as u64).unwrap_or_default()
    }

    /// Has a thread carry out an order, and waits for it.
    fn ask<T>(&self, place: usize, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, StartError> {
        let (reply, answered) = oneshot::channel();
        let thread = self.threads.get(place).ok_or(StartError::Lost)?;
        thread.orders.blocking_send(order(reply)).map_err(|_| StartError::Lost)?;
        answered.blocking_recv().map_err(|_| StartError::Lost)
    }
}

/// What changes on one thread, besides listeners.
#[derive(Default)]
struct Changes {
    cameras: Vec<NewCamera>,
    gone: Vec<CameraId>,
    paths: Vec<(SocketAddr, Paths)>,
}

fn bind(at: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(at)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
