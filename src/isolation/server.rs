//! The privileged process: keeps zones as they should be, and makes sockets inside them.
//!
//! It reads no byte of a camera. Whoever asks is known by the kernel's word for it (`SO_PEERCRED`), asks in typed
//! messages of bounded size, and gets sockets, states and counts, never a path, a command or a namespace.

use std::{
    collections::{BTreeMap, VecDeque},
    error::Error,
    fs::File,
    io,
    net::{IpAddr, TcpListener, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use jiff::Timestamp;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt::socket_peercred};

use super::{
    attempts,
    compare::{Difference, differing},
    core_leg,
    desired::Desired,
    group,
    keeper::Keeper,
    kernel::{self, NetError},
    residents::{Resident, Residents},
    show::Grade,
    wire::{self, Attempts, Core, Drift, Neighbour, Reply, Request, SocketKind, ZoneState},
};
use crate::{
    clock::Clock,
    ids::ZoneId,
    limits::{
        ISOLATION_CHECK_INTERVAL, ISOLATION_DRIFTS_MAX, ISOLATION_LOOK_AGE_MAX, NETD_REQUEST_BYTES_MAX,
        NETD_REQUESTS_MAX, NETD_TIME_MAX,
    },
};

/// Serves zones to whoever may ask. Clones are the same.
#[derive(Clone)]
pub struct Server {
    keeper: Arc<Keeper>,
    user: Option<u32>,
    /// Held by whoever looks at zones and changes them.
    turn: Arc<Mutex<()>>,
    state: Arc<Mutex<State>>,
    asked: Arc<AtomicUsize>,
    clock: Arc<dyn Clock>,
    /// When it was started. Not its number among processes, which the next may have, too.
    begun: Timestamp,
}

#[derive(Debug, Default)]
struct State {
    zones: BTreeMap<ZoneId, ZoneState>,
    /// Which cameras are held to their hardware addresses, of zones where somebody has said.
    residents: BTreeMap<ZoneId, Residents>,
    /// When each was looked at last, in monotonic time.
    looked: BTreeMap<ZoneId, Duration>,
    /// What was counted by rules that were loaded anew since, the last first.
    before: BTreeMap<ZoneId, Attempts>,
    drifts: VecDeque<Drift>,
    /// Drifts so far.
    number: u64,
    core: CoreState,
    /// Holds on namespaces, so that what hangs in one is not lost with its name.
    held: BTreeMap<ZoneId, File>,
}

/// How the watch over the core side stands.
#[derive(Debug, Default)]
struct CoreState {
    /// The interfaces it was set up for.
    interfaces: Option<Vec<String>>,
    mended: u64,
    trouble: Option<String>,
}

/// One of the peers that are served at a time. Let go of when its thread ends, however it ends: places that were lost
/// would add up until everybody is turned away.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(asked: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(asked));
        // Dropped, and let go of, where there was none.
        (asked.fetch_add(1, Ordering::Relaxed) < NETD_REQUESTS_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The word for a zone whose interface is not there.
const NOT_GRADED: &str = "unknown";

impl Server {
    /// Keeps these zones, and listens to this user, besides root.
    pub fn new(keeper: Keeper, user: Option<u32>, clock: Arc<dyn Clock>) -> Self {
        let (turn, state, asked) = (Arc::default(), Arc::default(), Arc::default());
        let begun = clock.now();
        Self { keeper: Arc::new(keeper), user, turn, state, asked, clock, begun }
    }

    /// Looks at every zone, and mends what is otherwise than it should be. Gives how many are isolated.
    pub fn look(&self) -> usize {
        self.look_at_core();
        self.keeper.zones().iter().filter(|zone| self.look_at(zone).is_ok()).count()
    }

    /// Looks, again and again, until the sender is gone.
    pub fn keep_looking(&self, stop: &mpsc::Receiver<()>) {
        while stop.recv_timeout(ISOLATION_CHECK_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
            self.look();
        }
    }

    /// Serves who knocks, until accepting fails.
    ///
    /// # Errors
    /// Accepting failed.
    pub fn serve(&self, listener: &UnixListener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept()?;
            let Some(place) = Place::take(&self.asked) else {
                tracing::warn!("too many ask at once: one is turned away");
                continue;
            };
            let server = self.clone();
            let serving = move || {
                let _place = place;
                if let Err(error) = server.meet(&stream) {
                    tracing::info!(%error, "a peer was not served");
                }
            };
            if let Err(error) = std::thread::Builder::new().name("netd-peer".into()).spawn(serving) {
                tracing::error!(%error, "a thread cannot be started: a peer is turned away");
            }
        }
    }

    fn meet(&self, stream: &UnixStream) -> io::Result<()> {
        stream.set_read_timeout(Some(NETD_TIME_MAX))?;
        stream.set_write_timeout(Some(NETD_TIME_MAX))?;
        let peer = socket_peercred(stream)?;
        let (user, process) = (peer.uid.as_raw(), peer.pid.as_raw_nonzero());
        if user != 0 && Some(user) != self.user {
            tracing::warn!(user, process, "somebody else's user knocked");
            return wire::send(stream, &failed("only the user of `cordon run` and root may ask"), None);
        }
        let (request, _) = wire::receive(stream, NETD_REQUEST_BYTES_MAX)?;
        let (reply, socket) = match self.answer(&request) {
            Ok(answer) => answer,
            Err(why) => {
                tracing::warn!(?request, why, "not done");
                (failed(&why), None)
            }
        };
        wire::send(stream, &reply, socket.as_ref())
    }

    fn answer(&self, request: &Request) -> Result<(Reply, Option<OwnedFd>), String> {
        let reply = match request {
            Request::Zones { after } => self.zones(*after),
            Request::Apply { zone } => Reply::Applied { differences: self.look_at(self.zone(zone)?)? },
            Request::Socket { zone, kind } => {
                return Ok((Reply::Socket, Some(socket(self.zone(zone)?, *kind)?)));
            }
            Request::Neighbours { zone } => {
                let found = kernel::neighbours(&self.zone(zone)?.namespace()).map_err(in_full)?;
                let neighbours = found.into_iter().map(|it| Neighbour {
                    address: it.dst,
                    mac: it.lladdr,
                    state: it.state.join(" "),
                });
                Reply::Neighbours { neighbours: neighbours.collect() }
            }
            Request::Hold { zone, residents } => {
                Reply::Held { residents: self.hold(self.zone(zone)?, residents)? }
            }
            Request::Core => {
                // Why nothing can be read stands in the trouble: an answer that fails would say nothing of it.
                let (sources, unread) = match core_leg::sources() {
                    Ok(sources) => (sources, None),
                    Err(error) => (Vec::new(), Some(in_full(error))),
                };
                let state = self.state();
                let (mended, trouble) = (state.core.mended, state.core.trouble.clone().or(unread));
                Reply::Core(Core { sources, mended, trouble })
            }
            Request::Attempts { zone } => {
                let zone = self.zone(zone)?;
                let residents = self.state().residents.get(&zone.zone).cloned();
                let counted = attempts::count(&zone.namespace(), residents.as_ref()).map_err(in_full)?;
                // Perhaps of these very rules, which are replaced just now: each says which tables it is of.
                let before = self.state().before.get(&zone.zone).cloned().map(Box::new);
                Reply::Attempts(Attempts { before, ..counted })
            }
        };
        Ok((reply, None))
    }

    fn zone(&self, name: &str) -> Result<&Desired, String> {
        let zone = ZoneId::new(name).ok().and_then(|id| self.keeper.zone(&id));
        zone.ok_or_else(|| {
            format!("there is no isolated zone `{name}` in its configuration; restart `cordon netd`")
        })
    }

    fn zones(&self, after: u64) -> Reply {
        let state = self.state();
        let now = self.clock.monotonic();
        // Whoever looks may hang in a tool, or be gone.
        let told = |(id, known): (&ZoneId, &ZoneState)| {
            let age = state.looked.get(id).map_or(Duration::MAX, |at| now.saturating_sub(*at));
            let stale = (age > ISOLATION_LOOK_AGE_MAX)
                .then(|| format!("`cordon netd` has not looked at it for {} s", age.as_secs()));
            ZoneState { trouble: stale.or_else(|| known.trouble.clone()), ..known.clone() }
        };
        Reply::Zones {
            process: self.begun,
            zones: state.zones.iter().map(told).collect(),
            drifts: state.drifts.iter().filter(|drift| drift.number > after).cloned().collect(),
        }
    }

    /// Looks at a zone and mends it. Gives what was otherwise.
    fn look_at(&self, zone: &Desired) -> Result<Vec<Difference>, String> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let residents = self.state().residents.get(&zone.zone).cloned();
        let zone = &Desired { residents, ..zone.clone() };
        let known = self.state().zones.get(&zone.zone).map(|it| it.grade.clone());
        if let Some(lost) = self.name_again(zone) {
            self.drifted(zone, &[lost], None);
        }
        let found = match self.keeper.check(zone) {
            Ok(differences) if differences.is_empty() => Ok(differences),
            Ok(differences) => {
                let mended = self.apply(zone);
                // After a start of the machine nothing is there yet: nobody changed anything.
                if known.is_none() && mended.is_ok() && differences.iter().any(|it| it.is_absence(zone)) {
                    tracing::info!(zone = %zone.zone, "was made");
                } else {
                    tracing::warn!(zone = %zone.zone, ?differences, ?mended, "not as it should be");
                    self.drifted(zone, &differences, mended.as_ref().err());
                }
                mended.map(|_| differences)
            }
            Err(error) => Err(in_full(error)),
        };
        if found.is_ok() {
            self.hold_namespace(zone);
        }
        let trouble = found.as_ref().err().cloned();
        let graded = || {
            let grade = self.keeper.grade(zone).ok().flatten();
            grade.map_or(NOT_GRADED, Grade::as_str).to_owned()
        };
        // Another interface may be there now, or one at last.
        let is_as_before = found.as_ref().map_or(true, Vec::is_empty);
        let grade = known.filter(|it| is_as_before && it != NOT_GRADED).unwrap_or_else(graded);
        let (digest, residents) = (zone.digest(), zone.residents.as_ref().map(Residents::digest));
        let state = ZoneState { zone: zone.zone.to_string(), digest, residents, grade, trouble };
        let now = self.clock.monotonic();
        let mut all = self.state();
        all.zones.insert(zone.zone.clone(), state);
        all.looked.insert(zone.zone.clone(), now);
        drop(all);
        found
    }

    /// Makes a zone what it should be. What its rules have counted is kept, if they are loaded anew.
    fn apply(&self, zone: &Desired) -> Result<Vec<Difference>, String> {
        let mut keep = || {
            // Where nothing is that counts, nothing is lost.
            let counted = attempts::count(&zone.namespace(), zone.residents.as_ref());
            if let Some(counted) = counted.ok().filter(|it| !it.tables.is_empty()) {
                let mut state = self.state();
                let earlier = state.before.remove(&zone.zone);
                state.before.insert(zone.zone.clone(), attempts::replaced(earlier, counted));
            }
        };
        self.keeper.apply_with(zone, &mut keep).map_err(in_full)
    }

    /// Holds cameras to their hardware addresses from now on; where the zone is not there yet, once it is. Gives whom, as
    /// a digest. Not a drift: it was asked for.
    fn hold(&self, zone: &Desired, residents: &[Resident]) -> Result<String, String> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let residents = Residents::of(zone, residents);
        let digest = residents.digest();
        let zone = Desired { residents: Some(residents.clone()), ..zone.clone() };
        let mut all = self.state();
        all.residents.insert(zone.zone.clone(), residents);
        if let Some(state) = all.zones.get_mut(&zone.zone) {
            state.residents = Some(digest.clone());
        }
        drop(all);
        let mut differences = self.apply(&zone)?;
        // What somebody else had changed just before is one all the same.
        differences.retain(|it| !it.is_of_residents());
        if !differences.is_empty() && !differences.iter().any(|it| it.is_absence(&zone)) {
            tracing::warn!(zone = %zone.zone, ?differences, "not as it should be, and mended");
            self.drifted(&zone, &differences, None);
        }
        Ok(digest)
    }

    /// Sees to it that the kernel counts who speaks on the core side, at the interfaces there are now.
    fn look_at_core(&self) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let carriers: Vec<_> = self.keeper.zones().iter().map(|it| it.leg.attachment.carrier()).collect();
        let before = self.state().core.interfaces.clone();
        let looked = kernel::links_here().and_then(|links| {
            let interfaces = core_leg::interfaces(&links, &carriers);
            let wanted = core_leg::rules(&interfaces);
            let listed = wanted.clone().as_listed();
            let differs = core_leg::look()?.is_none_or(|it| !differing(&listed, &it).is_empty());
            let changed = differs && before.as_ref() == Some(&interfaces);
            if changed {
                // Before they count again: whoever asks between the two would be told of no change at all.
                self.state().core.trouble = Some("somebody changed the rules that count".to_owned());
            }
            if differs {
                core_leg::load(&wanted)?;
            }
            Ok((interfaces, changed))
        });
        let mut state = self.state();
        match looked {
            Ok((interfaces, changed)) => {
                if changed {
                    tracing::warn!(
                        ?interfaces,
                        "the rules that count on the core side were changed; set right"
                    );
                    state.core.mended += 1;
                }
                (state.core.interfaces, state.core.trouble) = (Some(interfaces), None);
            }
            Err(error) => state.core.trouble = Some(in_full(error)),
        }
    }

    /// Somebody took the namespace's name away, but what hangs in it is still there, since this process holds it: it gets
    /// its name back.
    fn name_again(&self, zone: &Desired) -> Option<Difference> {
        let namespace = zone.namespace();
        if kernel::exists(&namespace) {
            return None;
        }
        let held = self.state().held.remove(&zone.zone)?;
        match kernel::name_again(&namespace, &held) {
            Ok(()) => {
                tracing::warn!(zone = %zone.zone, "its namespace had lost its name, and has it again");
                Some(Difference::absence(zone))
            }
            Err(error) => {
                tracing::warn!(zone = %zone.zone, error = in_full(error), "it cannot be named again");
                None
            }
        }
    }

    fn hold_namespace(&self, zone: &Desired) {
        let mut state = self.state();
        if !state.held.contains_key(&zone.zone)
            && let Ok(held) = kernel::hold(&zone.namespace())
        {
            state.held.insert(zone.zone.clone(), held);
        }
    }

    /// Remembers a drift, unless it is the last one that goes on.
    fn drifted(&self, zone: &Desired, differences: &[Difference], failure: Option<&String>) {
        let mut state = self.state();
        let last = state.drifts.iter().rev().find(|it| it.zone == zone.zone.as_str());
        let goes_on = |it: &Drift| it.failure.is_some() && it.failure.as_ref() == failure;
        if last.is_some_and(|it| goes_on(it) && it.differences == differences) {
            return;
        }
        state.number += 1;
        let (number, at, differences) = (state.number, self.clock.now(), differences.to_vec());
        if state.drifts.len() >= ISOLATION_DRIFTS_MAX {
            state.drifts.pop_front();
        }
        let zone = zone.zone.to_string();
        state.drifts.push_back(Drift { number, at, zone, differences, failure: failure.cloned() });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(why: &str) -> Reply {
    Reply::Failed { why: why.to_owned() }
}

/// An error with everything behind it.
fn in_full(error: impl Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Makes a socket in a zone's namespace. Whatever is bound is bound to the gateway's own address.
fn socket(zone: &Desired, kind: SocketKind) -> Result<OwnedFd, String> {
    let own = |address: IpAddr| zone.leg.addresses.iter().any(|it| it.addr() == address);
    if let SocketKind::Listener { at } | SocketKind::Datagram { at } = kind
        && !own(at.ip())
    {
        return Err(format!("{} is not the gateway's address in zone `{}`", at.ip(), zone.zone));
    }
    let made = kernel::inside(&zone.namespace(), || match kind {
        SocketKind::Stream4 => stream(AddressFamily::INET),
        SocketKind::Stream6 => stream(AddressFamily::INET6),
        SocketKind::Listener { at } => {
            let listener = TcpListener::bind(at)?;
            listener.set_nonblocking(true)?;
            Ok(listener.into())
        }
        SocketKind::Datagram { at } => {
            let socket = UdpSocket::bind(at)?;
            socket.set_nonblocking(true)?;
            Ok(socket.into())
        }
        SocketKind::Group4 => group::ear(true, &zone.interface()),
        SocketKind::Group6 => group::ear(false, &zone.interface()),
    });
    made.map_err(|error: NetError| in_full(error))?.map_err(|error: io::Error| error.to_string())
}

fn stream(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(family, SocketType::STREAM, flags, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_whose_thread_panics_leaves_its_place_to_others() {
        let asked = Arc::new(AtomicUsize::new(0));
        for _ in 0..=NETD_REQUESTS_MAX {
            let place = Place::take(&asked).expect("a place is free");
            let serving = move || {
                let _place = place;
                std::panic::resume_unwind(Box::new("a peer's doing"));
            };
            assert!(std::thread::spawn(serving).join().is_err());
        }
        let held: Vec<_> = (0..NETD_REQUESTS_MAX).map_while(|_| Place::take(&asked)).collect();
        assert_eq!(held.len(), NETD_REQUESTS_MAX);
        assert!(Place::take(&asked).is_none(), "full");
        drop(held);
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }
}
