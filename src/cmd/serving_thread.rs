//! One serving thread: the listeners and cameras that live on it, and the orders that change them.

use std::{
    cell::Cell,
    collections::HashMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    os::fd::AsFd,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, LocalOptions},
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use super::{gateway::StartError, locators::Memories, pins::StoredPins};
use crate::{
    camera::Connection,
    ids::CameraId,
    limits::{ACCEPT_FAILURES_MAX, IDENTITY_LOOK_INTERVAL, IDENTITY_LOOK_SPREAD},
    listener::{
        Connect, Doorway, Enrolled, House, Vigil,
        http::{self, Accept},
        mount::{self, Mounts, Visit},
        streaming,
        tls::Tls,
        wall::{self, Look},
    },
};

/// What a serving thread is told. It replies once it is done.
pub(super) enum Order {
    /// Gives another thread a handle of a listener, at which it goes on accepting until it is closed.
    Lend { at: SocketAddr, reply: oneshot::Sender<io::Result<std::net::TcpListener>> },
    /// Makes listeners ready, without accepting.
    Prepare { doors: Vec<NewDoor>, reply: oneshot::Sender<Result<(), StartError>> },
    /// Serves streams of every camera at a listener, over TLS where that is given.
    Streams { listener: std::net::TcpListener, tls: Option<Tls>, reply: oneshot::Sender<io::Result<()>> },
    /// Closes what was made ready.
    GiveUp { reply: oneshot::Sender<()> },
    /// Accepts no more at these; what is under way there goes on.
    Close { doors: Vec<SocketAddr>, reply: oneshot::Sender<()> },
    /// Serves what was made ready, and by the edition in force.
    TakeUp {
        cameras: Vec<NewCamera>,
        gone: Vec<CameraId>,
        paths: Vec<(SocketAddr, Paths)>,
        reply: oneshot::Sender<()>,
    },
}

/// The way to each camera behind a shared listener, by its path.
pub(super) type Paths = HashMap<Arc<str>, mpsc::Sender<Visit>>;

/// A listener before its thread has it.
pub(super) struct NewDoor {
    pub(super) at: SocketAddr,
    pub(super) listener: std::net::TcpListener,
    pub(super) tls: Option<Tls>,
    /// Whose it is; several cameras' if absent.
    pub(super) camera: Option<CameraId>,
}

/// A camera before its thread has it, or one that is reached by path from now on.
pub(super) struct NewCamera {
    pub(super) id: CameraId,
    /// Where its requests come from, if not from listeners of its own.
    pub(super) visits: Option<mpsc::Receiver<Visit>>,
}

/// Serves until the orders end, then lets what is under way end. Whether it begins is told first.
pub(super) fn serve(
    begun: oneshot::Sender<io::Result<()>>,
    house: Arc<House>,
    memories: Arc<Memories>,
    mut orders: mpsc::Receiver<Order>,
) {
    // Its tasks stay on this thread: what comes for one wakes it without a detour.
    let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            // Whoever started it is gone, if it is not taken.
            let _ = begun.send(Err(error));
            return;
        }
    };
    let _ = begun.send(Ok(()));
    let (wall, mut looks) = wall::way();
    runtime.block_on(async {
        let mut here = Here {
            house,
            memories,
            wall,
            streams: Vec::new(),
            viewers: HashMap::new(),
            doorways: HashMap::new(),
            doors: HashMap::new(),
            ready: Vec::new(),
            tasks: JoinSet::new(),
        };
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => here.carry_out(order).await,
                    None => break,
                },
                Some(look) = looks.recv() => here.show(look),
                Some(ended) = here.tasks.join_next() => told(ended),
            }
        }
        here.end().await;
    });
}

/// What lives on this thread.
struct Here {
    house: Arc<House>,
    memories: Arc<Memories>,
    /// The way of who wants to see a camera that lives here.
    wall: mpsc::Sender<Look>,
    /// Told to stop by their end: the listeners for streams, and who serves the viewers of a camera and hears its events.
    streams: Vec<watch::Sender<bool>>,
    viewers: HashMap<CameraId, watch::Sender<bool>>,
    doorways: HashMap<CameraId, Rc<Doorway>>,
    doors: HashMap<SocketAddr, OpenDoor>,
    ready: Vec<ReadyDoor>,
    /// Whoever accepts connections or takes visits.
    tasks: JoinSet<()>,
}

/// A listener that is ready, but at which nobody accepts yet.
struct ReadyDoor {
    at: SocketAddr,
    listener: TcpListener,
    tls: Option<Tls>,
    camera: Option<CameraId>,
}

/// A listener at which connections are accepted.
struct OpenDoor {
    listener: Rc<TcpListener>,
    stop: watch::Sender<bool>,
    /// Ends when nobody accepts any more.
    closed: oneshot::Receiver<Infallible>,
    /// Where it leads, if to several cameras.
    paths: Option<Rc<Mounts>>,
}

impl Here {
    async fn carry_out(&mut self, order: Order) {
        // Whoever gave the order may have gone.
        match order {
            Order::Lend { at, reply } => {
                let _ = reply.send(self.lend(at));
            }
            Order::Prepare { doors, reply } => {
                let _ = reply.send(self.prepare(doors));
            }
            Order::Streams { listener, tls, reply } => {
                let _ = reply.send(self.stream(listener, tls));
            }
            Order::GiveUp { reply } => {
                self.ready.clear();
                let _ = reply.send(());
            }
            Order::Close { doors, reply } => {
                for at in doors {
                    if let Some(door) = self.doors.remove(&at) {
                        door.close().await;
                    }
                }
                let _ = reply.send(());
            }
            Order::TakeUp { cameras, gone, paths, reply } => {
                for id in gone {
                    self.keep(&id);
                    self.house.front.leave(&id);
                    self.house.wall.leave(&id);
                    self.viewers.remove(&id);
                    self.doorways.remove(&id);
                }
                for camera in cameras {
                    self.welcome(camera);
                }
                for doorway in self.doorways.values() {
                    doorway.renew();
                    // There may be many, and requests do not wait for all of them.
                    tokio::task::yield_now().await;
                }
                for door in std::mem::take(&mut self.ready) {
                    self.open(door);
                }
                for (at, ways) in paths {
                    if let Some(mounts) = self.doors.get(&at).and_then(|door| door.paths.as_ref()) {
                        mounts.lead(ways);
                    }
                }
                let _ = reply.send(());
            }
        }
    }

    fn lend(&self, at: SocketAddr) -> io::Result<std::net::TcpListener> {
        let door = self.doors.get(&at).ok_or(io::ErrorKind::NotFound)?;
        Ok(door.listener.as_fd().try_clone_to_owned()?.into())
    }

    fn prepare(&mut self, doors: Vec<NewDoor>) -> Result<(), StartError> {
        for NewDoor { at, listener, tls, camera } in doors {
            let listener = TcpListener::from_std(listener).map_err(|source| StartError::Listen {
                camera: camera.as_ref().map_or_else(String::new, CameraId::to_string),
                address: at,
                source,
            })?;
            self.ready.push(ReadyDoor { at, listener, tls, camera });
        }
        Ok(())
    }

    fn stream(&mut self, listener: std::net::TcpListener, tls: Option<Tls>) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let (stop, stopped) = watch::channel(false);
        self.tasks.spawn_local(streaming::serve(listener, tls, Arc::clone(&self.house), stopped));
        self.streams.push(stop);
        Ok(())
    }

    fn welcome(&mut self, camera: NewCamera) {
        let NewCamera { id, visits } = camera;
        let (house, memories) = (&self.house, &self.memories);
        let doorway = self.doorways.entry(id.clone()).or_insert_with(|| {
            let doorway = Doorway::new(Arc::clone(house), id.clone(), connect(house, memories));
            let (way, guests) = streaming::guests();
            house.front.lead(id.clone(), way);
            house.wall.lead(id.clone(), self.wall.clone());
            let (stop, stopped) = watch::channel(false);
            self.tasks.spawn_local(streaming::receive_guests(Rc::clone(&doorway), guests, stopped.clone()));
            self.tasks.spawn_local(Doorway::hear_events(Rc::clone(&doorway), stopped.clone()));
            self.tasks.spawn_local(Doorway::take_notices(Rc::clone(&doorway), stopped));
            tokio::task::spawn_local(Doorway::look_again(Rc::downgrade(&doorway), first_look(&id)));
            self.viewers.insert(id, stop);
            doorway
        });
        if let Some(visits) = visits {
            self.tasks.spawn_local(mount::receive(Rc::clone(doorway), visits));
        }
    }

    /// Shows a camera's latest picture; that the camera is not here any more is told by silence.
    fn show(&mut self, look: Look) {
        if let Some(doorway) = self.doorways.get(look.camera()) {
            self.tasks.spawn_local(look.answer(Rc::clone(doorway)));
        }
    }

    fn open(&mut self, door: ReadyDoor) {
        let ReadyDoor { at, listener, tls, camera } = door;
        let listener = Rc::new(listener);
        let (stop, stopped) = watch::channel(false);
        let (open, closed) = oneshot::channel();
        let accepting = Accepting::new(&listener, &self.house, open);
        let paths = match camera {
            Some(id) => {
                let Some(doorway) = self.doorways.get(&id).map(Rc::clone) else { return };
                let door = tls.map_or(http::Door::Camera, http::Door::SecureCamera);
                self.tasks.spawn_local(http::serve(accepting, doorway, door, stopped));
                None
            }
            None => {
                let mounts = Rc::new(Mounts::default());
                let door = http::Door::SharedCameras(tls);
                let vigil = Vigil::over(Rc::clone(&mounts), Arc::clone(&self.house));
                self.tasks.spawn_local(http::serve(accepting, vigil, door, stopped));
                Some(mounts)
            }
        };
        self.doors.insert(at, OpenDoor { listener, stop, closed, paths });
    }

    /// Keeps what was learnt of a camera.
    fn keep(&self, id: &CameraId) {
        if let Some(doorway) = self.doorways.get(id) {
            doorway.keep_memory();
        }
    }

    async fn end(mut self) {
        self.streams.clear();
        self.viewers.clear();
        for (_, door) in self.doors.drain() {
            door.close().await;
        }
        while let Some(ended) = self.tasks.join_next().await {
            told(ended);
        }
        for id in self.doorways.keys() {
            self.keep(id);
        }
    }
}

impl OpenDoor {
    /// Returns once nobody accepts any more.
    async fn close(self) {
        let Self { listener, stop, closed, paths } = self;
        stop.send_replace(true);
        drop((listener, paths));
        // Nothing is ever sent: the other end goes with whoever accepts.
        let _ = closed.await;
    }
}

fn told(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a listener ended");
    }
}

/// When a camera is asked first who it is: not all at once.
fn first_look(id: &CameraId) -> Duration {
    let sum = id.as_str().bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    IDENTITY_LOOK_INTERVAL + IDENTITY_LOOK_SPREAD * (sum % 64) / 64
}

/// How a camera is connected to, with what is known of it from before.
fn connect(house: &Arc<House>, memories: &Arc<Memories>) -> Connect {
    let (house, memories) = (Arc::clone(house), Arc::clone(memories));
    Box::new(move |enrolled| {
        let Enrolled { camera, login, .. } = enrolled;
        Connection::new(
            camera,
            login.clone(),
            Arc::clone(&house.tables),
            Arc::clone(&house.clock),
            Arc::clone(&house.entropy),
            Box::new(memories.of(&camera.id, login)),
            Box::new(StoredPins::new(memories.pins(), &house.clock, &camera.id)),
        )
        .dialled_by(enrolled.dialler(&house.netd))
    })
}

/// A listener while connections are accepted at it. It is counted, so that readiness knows however it ends, and that it
/// can accept none.
struct Accepting {
    listener: Rc<TcpListener>,
    house: Arc<House>,
    /// Connections in a row that could not be accepted.
    failures: Cell<u32>,
    _open: oneshot::Sender<Infallible>,
}

impl Accepting {
    fn new(listener: &Rc<TcpListener>, house: &Arc<House>, open: oneshot::Sender<Infallible>) -> Self {
        house.doors.fetch_add(1, Ordering::Relaxed);
        let failures = Cell::default();
        Self { listener: Rc::clone(listener), house: Arc::clone(house), failures, _open: open }
    }

    /// Whether it is counted.
    fn is_open(&self) -> bool {
        self.failures.get() < ACCEPT_FAILURES_MAX
    }

    /// Takes note of how accepting went.
    fn went(&self, failures: u32) {
        let before = self.is_open();
        self.failures.set(failures);
        match (before, self.is_open()) {
            (true, false) => _ = self.house.doors.fetch_sub(1, Ordering::Relaxed),
            (false, true) => _ = self.house.doors.fetch_add(1, Ordering::Relaxed),
            (true, true) | (false, false) => {}
        }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        if self.is_open() {
            self.house.doors.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Accept for Accepting {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let accepted = Accept::accept(&*self.listener).await;
        match &accepted {
            Ok(_) => self.went(0),
            // The peer gave up.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => self.went(self.failures.get().saturating_add(1)),
        }
        accepted
    }
}
