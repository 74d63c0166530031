//! Has virtual cameras found on the core side, on a thread of its own: it hears who looks for them, answers, and says
//! which come and go.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, mpsc as sync},
    time::Duration,
};

use ipnet::IpNet;
use serde_json::json;
use tokio::{
    net::UdpSocket,
    sync::{mpsc, oneshot},
    task::AbortHandle,
};

use super::{
    showcase::{Showcase, Viewer},
    watcher::Watcher,
};
use crate::{
    audit::Event,
    config::Discovery,
    discovery::{Asker, Body, Kind, Link, Outgoing, Question, Responder, Target, hears, is_near, read},
    isolation::Rates,
    limits::{
        DISCOVERY_DELAY_MAX, DISCOVERY_GOODBYE_TIME_MAX, DISCOVERY_HEARD_MAX, DISCOVERY_LOOK_INTERVAL,
        DISCOVERY_MESSAGE_BYTES_MAX, DISCOVERY_SOURCES_TOLD_MAX, SUMMARY_PERIOD,
    },
    listener::House,
    telemetry::{Searched, Word},
};

/// Answers until it is dropped, where the configuration wants it; then virtual cameras say goodbye. Returns once it was
/// tried to open each address.
pub(super) fn start(house: &Arc<House>, wanted: Option<Discovery>) -> io::Result<Option<Watcher>> {
    let Some(wanted) = wanted else { return Ok(None) };
    let mut host = Host::new(Arc::clone(house), wanted);
    let (tried, ready) = sync::channel();
    let watcher = Watcher::start("discovery", |stopped| async move {
        host.open();
        let _ = tried.send(());
        host.until(stopped).await;
    })?;
    // A thread that is gone has tried all it could.
    let _ = ready.recv();
    Ok(Some(watcher))
}

/// A datagram that came in.
struct Datagram {
    bytes: Vec<u8>,
    from: SocketAddr,
    link: usize,
    alone: bool,
}

struct Host {
    house: Arc<House>,
    port: u16,
    places: Vec<Place>,
    responder: Responder,
    showcase: Showcase,
    rates: Rates<Asker>,
    heard: mpsc::Receiver<Datagram>,
    hears: mpsc::Sender<Datagram>,
    told: Told,
    /// When it is looked next at what is shown, in monotonic time.
    next_look: Duration,
}

/// One address.
struct Place {
    address: IpNet,
    open: Option<Open>,
    failed: bool,
    /// What was said to be there, by endpoint.
    announced: BTreeMap<String, Arc<Target>>,
}

/// Its sockets, and who reads them.
struct Open {
    own: Arc<UdpSocket>,
    group: Arc<UdpSocket>,
    everybody: SocketAddr,
    interface: Option<u32>,
    ears: [AbortHandle; 2],
}

impl Drop for Open {
    fn drop(&mut self) {
        self.ears.iter().for_each(AbortHandle::abort);
    }
}

impl Host {
    fn new(house: Arc<House>, wanted: Discovery) -> Self {
        let (hears, heard) = mpsc::channel(DISCOVERY_HEARD_MAX);
        // Grows with every start, unless the clock was set back.
        let instance = u32::try_from(house.clock.now().as_second()).unwrap_or(1);
        let place = |address| Place { address, open: None, failed: false, announced: BTreeMap::new() };
        let now = house.clock.monotonic();
        Self {
            port: wanted.port,
            places: wanted.addresses.into_iter().map(place).collect(),
            responder: Responder::new(instance, chance(&house)),
            showcase: Showcase::default(),
            rates: Rates::default(),
            heard,
            hears,
            told: Told { since: now, ..Told::default() },
            next_look: now,
            house,
        }
    }

    async fn until(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            self.send_due().await;
            let now = self.now();
            if now >= self.next_look {
                self.look();
            }
            let next = self.responder.next().unwrap_or(Duration::MAX).min(self.next_look);
            let wait = tokio::time::sleep(next.saturating_sub(now));
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                Some(datagram) = self.heard.recv() => self.take(&datagram),
                () = wait => {}
            }
        }
        // Nobody else waits for more than this.
        let _ = tokio::time::timeout(DISCOVERY_GOODBYE_TIME_MAX, self.goodbye()).await;
        self.told.tell(&self.house, self.house.clock.monotonic());
    }

    /// Tries to open what is not open, and opens anew what hears nothing any more.
    fn open(&mut self) {
        self.places.iter_mut().for_each(Place::check);
        for (link, place) in self.places.iter_mut().enumerate().filter(|(_, it)| it.open.is_none()) {
            match place.open(self.port, link, &self.hears) {
                Ok(()) => {
                    place.failed = false;
                    tracing::info!(address = %place.address, port = self.port, "virtual cameras are found here");
                }
                Err(error) if !std::mem::replace(&mut place.failed, true) => tracing::warn!(
                    %error, address = %place.address, port = self.port,
                    "VIRTUAL CAMERAS ARE NOT FOUND HERE (listen under [discovery]): tried again every few seconds"
                ),
                Err(_) => {}
            }
        }
    }

    /// One look at what virtual cameras show now: what is new is said to everybody on links where somebody may see it, and
    /// so is what went.
    fn look(&mut self) {
        let now = self.now();
        self.next_look = now + DISCOVERY_LOOK_INTERVAL;
        self.open();
        self.showcase.look(&self.house);
        // As answers do, the first word after a start waits for a moment of chance.
        let part = u32::try_from(chance(&self.house) % 1_000).unwrap_or(0);
        let from = now + DISCOVERY_DELAY_MAX * part / 1_000;
        for (link, place) in self.places.iter_mut().enumerate().filter(|(_, it)| it.open.is_some()) {
            let seen = self.showcase.seen_by(Viewer::On(place.address));
            let seen: BTreeMap<String, Arc<Target>> =
                seen.into_iter().map(|it| (it.endpoint.clone(), it)).collect();
            for (endpoint, target) in &place.announced {
                if !seen.contains_key(endpoint) {
                    self.responder.announce(link, Kind::Bye, Arc::clone(target), from);
                }
            }
            for (endpoint, target) in &seen {
                if place.announced.get(endpoint).is_none_or(|before| !Arc::ptr_eq(before, target)) {
                    self.responder.announce(link, Kind::Hello, Arc::clone(target), from);
                }
            }
            place.announced = seen;
        }
        if now.saturating_sub(self.told.since) >= SUMMARY_PERIOD {
            self.told.tell(&self.house, now);
        }
    }

    fn take(&mut self, datagram: &Datagram) {
        if let Some(searched) = self.searched(datagram) {
            self.house.gate.watch().metrics.searched(searched);
            self.told.count(datagram.from.ip(), searched);
        }
    }

    /// What became of a datagram; none if it is no search: others speak of themselves.
    fn searched(&mut self, datagram: &Datagram) -> Option<Searched> {
        let Datagram { bytes, from, link, alone } = datagram;
        let (source, now) = (from.ip(), self.now());
        let place = self.places.get(*link)?;
        let (address, interface) = (place.address, place.open.as_ref().and_then(|it| it.interface));
        // The gateway hears itself, too, and must not use up the share of somebody on this machine.
        if from.port() == self.port && self.places.iter().any(|it| it.address.addr() == source) {
            return None;
        }
        if !is_near(address, interface, *from) {
            return Some(Searched::Foreign);
        }
        // Most of a flood is not even read.
        if !self.rates.admit((*from).into(), now) {
            return Some(Searched::TooOften);
        }
        let Ok(message) = read(bytes) else { return Some(Searched::NotUnderstood) };
        if matches!(message.body, Body::Devices(..)) {
            return None;
        }
        self.showcase.look(&self.house);
        // An address that the link alone has is anybody's on it.
        let known = address.contains(&source.to_canonical());
        let viewer = if known { Viewer::At(source) } else { Viewer::On(address) };
        let question = Question { message: &message, from: *from, link: *link, alone: *alone };
        let showcase = &self.showcase;
        Some(self.responder.take(question, || showcase.seen_by(viewer), chance(&self.house), now))
    }

    async fn send_due(&mut self) {
        while let Some(outgoing) = self.responder.due(self.now()) {
            self.send(outgoing).await;
        }
    }

    async fn goodbye(&mut self) {
        let gone = self.places.iter().enumerate().filter(|(_, it)| it.open.is_some());
        let gone = gone.flat_map(|(link, it)| it.announced.values().map(move |it| (link, Arc::clone(it))));
        let gone: Vec<_> = gone.collect();
        self.responder.part(gone);
        while let Some(outgoing) = self.responder.goodbye() {
            self.send(outgoing).await;
        }
    }

    /// Sends a message. One that does not get away is lost, as any datagram may be.
    async fn send(&self, Outgoing { link, to, text }: Outgoing) {
        let Some(open) = self.places.get(link).and_then(|it| it.open.as_ref()) else { return };
        match open.own.send_to(text.as_bytes(), to.unwrap_or(open.everybody)).await {
            Ok(_) => self.house.gate.watch().metrics.discovery_sent(),
            Err(error) => tracing::debug!(%error, "a message of discovery was not sent"),
        }
    }

    fn now(&self) -> Duration {
        self.house.clock.monotonic()
    }
}

impl Place {
    /// Gives its sockets up if the interface is not the one that they were opened on.
    fn check(&mut self) {
        let own = self.address.addr();
        if self.open.as_ref().is_some_and(|it| !hears(&it.group, own, it.interface)) {
            tracing::warn!(address = %self.address, "the interface of this address was made anew or is gone");
            self.open = None;
            // Whoever is there now has heard of none.
            self.announced.clear();
        }
    }

    fn open(&mut self, port: u16, link: usize, hears: &mpsc::Sender<Datagram>) -> io::Result<()> {
        let Link { own, group, everybody, interface } = Link::open(self.address.addr(), port)?;
        let (own, group) = (Arc::new(UdpSocket::from_std(own)?), Arc::new(UdpSocket::from_std(group)?));
        let ear = |socket: &Arc<UdpSocket>, alone| {
            let (socket, hears) = (Arc::clone(socket), hears.clone());
            tokio::spawn(async move { hear(&socket, link, alone, &hears).await }).abort_handle()
        };
        let ears = [ear(&own, true), ear(&group, false)];
        self.open = Some(Open { own, group, everybody, interface, ears });
        Ok(())
    }
}

/// Hands on what comes in. While nobody takes it, it waits in the kernel, which drops the rest.
async fn hear(socket: &UdpSocket, link: usize, alone: bool, to: &mpsc::Sender<Datagram>) {
    let mut buffer = vec![0; DISCOVERY_MESSAGE_BYTES_MAX + 1];
    loop {
        // An error is about something that was sent, and over with this call.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let bytes = buffer.get(..length).unwrap_or_default().to_vec();
        if to.send(Datagram { bytes, from, link, alone }).await.is_err() {
            return;
        }
    }
}

/// A number that nobody foresees; without randomness, one of the clock's.
fn chance(house: &House) -> u64 {
    house.request_id().bits()
}

/// What is to be recorded of searches.
#[derive(Debug, Default)]
struct Told {
    since: Duration,
    /// By what became of them.
    counts: BTreeMap<&'static str, u64>,
    /// Sources that are named: how often each searched, and was answered.
    sources: BTreeMap<IpAddr, [u64; 2]>,
    /// Searches of other sources.
    left_out: u64,
}

impl Told {
    fn count(&mut self, source: IpAddr, how: Searched) {
        *self.counts.entry(how.word()).or_default() += 1;
        if self.sources.len() >= DISCOVERY_SOURCES_TOLD_MAX && !self.sources.contains_key(&source) {
            self.left_out += 1;
            return;
        }
        let [searched, answered] = self.sources.entry(source).or_default();
        *searched += 1;
        *answered += u64::from(how == Searched::Answered);
    }

    /// Puts on record what was not told yet, exactly counted, in one line.
    fn tell(&mut self, house: &House, now: Duration) {
        let Self { since, counts, sources, left_out } =
            std::mem::replace(self, Self { since: now, ..Self::default() });
        if counts.is_empty() {
            return;
        }
        let sources: Vec<_> = sources.iter().map(|(address, [searched, answered])| {
            json!({ "address": address.to_string(), "searches": searched, "answered": answered })
        }).collect();
        let seconds = now.saturating_sub(since).as_secs();
        let detail =
            json!({ "seconds": seconds, "searches": counts, "sources": sources, "of_others": left_out });
        house.gate.note(Event::new("discovery-searches", detail));
    }
}
