//! One viewer's connection, on its camera's thread: requests, answers, and the stream between them.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use serde_json::json;
use tokio::{io::AsyncReadExt, net::UdpSocket, sync::watch};

use super::{
    super::{doorway::Doorway, places::Place, tls::Channel, virtual_camera::VirtualCamera},
    alone::Alone,
    datagrams::Outgoing,
    front::{Guest, Port},
    seats::Seated,
    viewing::{Play, Viewing},
    ways::{Ways, are_their_own, translated},
    wire::{SLICES_MAX, Wire},
};
use crate::{
    audit::Event,
    limits::{HTTP_WRITE_STALL_MAX, RTSP_HEAD_BYTES_MAX, STREAM_SESSION_TIMEOUT, STREAM_UNPLAYED_TIME_MAX},
    media::{LOOK_INTERVAL, Passage, Queue, looks},
    rtsp::{Decoder, Method, Peer, Received, Status, Writer},
};

/// What is read at once, at least.
const READ_BYTES: usize = 4_096;

pub(super) struct Viewer {
    pub(super) doorway: Rc<Doorway>,
    /// As of the last request.
    pub(super) camera: Rc<VirtualCamera>,
    pub(super) source: SocketAddr,
    pub(super) port: Port,
    pub(super) channel: Channel,
    pub(super) wire: Wire,
    pub(super) decoder: Decoder,
    pub(super) heard: BytesMut,
    pub(super) out: VecDeque<Bytes>,
    pub(super) datagrams: Outgoing,
    /// When something of what waits was taken last, or nothing waited.
    pub(super) taken: Duration,
    /// When it was let in last, to ask for something.
    pub(super) asked: Cell<Duration>,
    /// Its place among strangers, until it is let in for the first time.
    pub(super) stranger: Cell<Option<Place>>,
    /// Its seat among its client's, from then on.
    pub(super) seated: RefCell<Option<Seated>>,
    /// The nonces of the last challenges.
    pub(super) issued: Vec<String>,
    pub(super) session: Option<Viewing>,
    /// What it has open at the camera for itself: a recording, or a stream with back channels.
    pub(super) alone: Option<Alone>,
}

/// Serves one connection until it ends or the gateway stops.
pub(super) async fn serve(doorway: Rc<Doorway>, guest: Guest, place: Place, stop: watch::Receiver<bool>) {
    let Some(camera) = doorway.current() else { return };
    let Guest { carried, channel, source, port, heard } = guest;
    let Ok(wire) = Wire::of(carried) else { return };
    let taken = camera.house.clock.monotonic();
    let viewer = Viewer {
        doorway,
        camera,
        source,
        port,
        channel,
        wire,
        decoder: Decoder::new(Peer::Client),
        heard,
        out: VecDeque::new(),
        datagrams: Outgoing::default(),
        taken,
        asked: Cell::new(taken),
        stranger: Cell::new(Some(place)),
        seated: RefCell::default(),
        issued: Vec::new(),
        session: None,
        alone: None,
    };
    // A client may go at any moment.
    let _ = viewer.run(stop).await;
}

impl Viewer {
    async fn run(mut self, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        let mut renewals = self.doorway.renewals();
        let mut look = looks(&*self.camera.house.clock);
        loop {
            if !self.answer_all().await? {
                return self.say_goodbye().await;
            }
            let queue =
                self.session.as_ref().and_then(|it| it.play.as_ref()).map(|it| Rc::clone(&it.seat.queue));
            let _passage = queue.as_deref().and_then(|it| self.passage(it));
            let full = send(&mut self.datagrams, self.session.as_mut());
            let idle = !self.wire.writer.is_wanted(&self.out) && full.is_none();
            self.heard.reserve(READ_BYTES);
            tokio::select! {
                // Whoever takes no answers is not heard further, so that they do not pile up.
                read = self.wire.reader.read_buf(&mut self.heard), if self.out.len() < SLICES_MAX => {
                    if read? == 0 {
                        return Ok(());
                    }
                }
                written = self.wire.writer.write(&self.out), if self.wire.writer.is_wanted(&self.out) => {
                    self.written(written?);
                }
                ready = room(full), if full.is_some() => ready?,
                more = filled(queue.as_deref()), if idle && queue.is_some() => {
                    if more {
                        self.take();
                    } else {
                        self.end("the camera's stream ended");
                        return Ok(());
                    }
                }
                _ = look.tick() => {
                    if !self.may_go_on() {
                        return Ok(());
                    }
                }
                // What a new configuration forbids ends at once.
                _ = renewals.changed() => {
                    if !self.may_go_on() {
                        return Ok(());
                    }
                }
                _ = stop.changed() => {
                    self.end("the gateway stops");
                    return Ok(());
                }
            }
        }
    }

    /// A way past the queue, for what comes while the viewer waits: where it is sent as it comes, on the connection, on
    /// which nothing else waits.
    fn passage<'a>(&self, queue: &'a Queue) -> Option<Passage<'a>> {
        let viewing = self.session.as_ref()?;
        let Ways::Interleaved(channels) = &viewing.ways else { return None };
        let as_it_comes = are_their_own(channels, viewing.upstream.description.media.len());
        let waits = !self.wire.writer.is_wanted(&self.out);
        Some(queue.pass(self.wire.writer.at_once().filter(|_| as_it_comes && waits)?))
    }

    /// So many bytes of what waits were taken.
    fn written(&mut self, mut written: usize) {
        self.taken = self.camera.house.clock.monotonic();
        while let Some(first) = self.out.front_mut() {
            if written < first.len() {
                first.advance(written);
                break;
            }
            written -= first.len();
            self.out.pop_front();
        }
    }

    /// Takes what the queue has, on the viewer's channels or to its ports.
    fn take(&mut self) {
        let Some(viewing) = &mut self.session else { return };
        let Some(play) = &mut viewing.play else { return };
        self.taken = self.camera.house.clock.monotonic();
        let channels = match &viewing.ways {
            Ways::Interleaved(channels) => channels,
            Ways::Datagrams(_) => return play.seat.queue.take(&mut self.datagrams.runs),
        };
        play.seat.queue.take(&mut self.out);
        if !are_their_own(channels, viewing.upstream.description.media.len()) {
            for run in &mut self.out {
                *run = translated(run, channels);
            }
            self.out.retain(|run| !run.is_empty());
        }
        play.bytes += self.out.iter().map(|run| run.len() as u64).sum::<u64>();
    }

    /// Answers every request that has come whole; false if the connection is to end.
    async fn answer_all(&mut self) -> io::Result<bool> {
        loop {
            let received = match self.decoder.next(&mut self.heard) {
                Ok(Some(received)) => received,
                Ok(None) => return Ok(self.heard.len() <= 2 * RTSP_HEAD_BYTES_MAX),
                Err(error) => {
                    self.reject("rtsp:unreadable", Status::BadRequest, None, error.to_string()).await;
                    self.out.extend(Writer::response(Status::BadRequest, None).finish().ok());
                    return Ok(false);
                }
            };
            let now = self.camera.house.clock.monotonic();
            if let Some(viewing) = &mut self.session {
                // Reports of a viewer are signs of life (ONVIF Streaming Specification §5.2.2.2).
                viewing.touched = now;
            }
            if let Some(alone) = &self.alone {
                alone.stir(now);
            }
            let request = match received {
                Received::Request(request) => request,
                Received::Frame { channel, packet } => {
                    self.hear(channel, &packet, now);
                    continue;
                }
                Received::Response(_) => continue,
            };
            let Some(camera) = self.doorway.current() else { return Ok(false) };
            self.camera = camera;
            let done = self.answer(&request).await;
            // Before this there was nothing to be taken, however long the camera took.
            if !self.wire.writer.is_wanted(&self.out) && self.datagrams.is_empty() {
                self.taken = self.camera.house.clock.monotonic();
            }
            let goes = request.method == Method::Teardown;
            self.out.extend(done.ok());
            if goes {
                return Ok(false);
            }
        }
    }

    /// Looks whether the viewer is there, may watch, and takes what is sent; tells the log that it does.
    fn may_go_on(&mut self) -> bool {
        let Some(camera) = self.doorway.current() else {
            self.end("the camera was taken out of the configuration");
            return false;
        };
        let house = &*camera.house;
        let now = house.clock.monotonic();
        if !self.wire.writer.is_wanted(&self.out) && self.datagrams.is_empty() {
            self.taken = now;
        } else if now.saturating_sub(self.taken) > HTTP_WRITE_STALL_MAX && !self.is_pulling(now) {
            self.end("the viewer takes nothing");
            return false;
        }
        if self.session.is_none() && self.alone.as_ref().is_some_and(|it| it.is_forgotten(now)) {
            self.alone = None;
        }
        let Some(viewing) = &mut self.session else {
            // Whoever asks for nothing, or may not have it, keeps no place that a viewer may want.
            return now.saturating_sub(self.asked.get()) <= STREAM_SESSION_TIMEOUT;
        };
        if viewing.ways.reported() {
            viewing.touched = now;
        }
        // A connection that is open says that somebody is there; a datagram says nothing. Nor is the only place of those
        // who are heard kept for one who may have vanished.
        let talks = viewing.play.as_ref().is_some_and(|it| it.talking.is_some());
        let mute = talks || matches!(viewing.ways, Ways::Datagrams(_));
        if mute && now.saturating_sub(viewing.touched) > STREAM_SESSION_TIMEOUT {
            self.end("the viewer gave no sign of life");
            return false;
        }
        let Some(play) = &mut viewing.play else {
            return now.saturating_sub(viewing.touched) <= STREAM_SESSION_TIMEOUT
                && now.saturating_sub(viewing.idle) <= STREAM_UNPLAYED_TIME_MAX;
        };
        if !Rc::ptr_eq(&viewing.streams, &camera.streams) {
            self.end("the camera is reached otherwise now");
            return false;
        }
        let rules = &camera.edition.rules;
        let treated = rules.camera(&camera.camera.id);
        if treated.is_some_and(|it| house.gate.shut_out(rules, &it).is_some()) {
            self.end("the isolation of the camera's zone is not in force any more");
            return false;
        }
        if camera.stops_unverified(&viewing.upstream) {
            self.end("encodings that cannot be checked do not pass any more");
            return false;
        }
        if !camera.edition.rules.may_go_on(&play.command, &viewing.caller, house.clock.now()) {
            self.end("policy does not permit it any more");
            return false;
        }
        play.count();
        let sent = play.sent();
        if play.beats.is_due(sent, now) {
            let camera = Some(camera.camera.id.to_string());
            house.gate.note(Event { camera, ..Event::new("stream", heartbeat(play, now)) });
        }
        true
    }

    /// Whoever has a recording played takes it at a pace of his own, as long as he gives signs of life.
    fn is_pulling(&self, now: Duration) -> bool {
        let Some(viewing) = self.session.as_ref().filter(|_| self.has_recording()) else { return false };
        now.saturating_sub(viewing.touched) <= STREAM_SESSION_TIMEOUT
    }

    fn has_recording(&self) -> bool {
        self.alone.as_ref().is_some_and(|it| !it.talk)
    }

    /// Ends the stream under way, for this reason.
    pub(super) fn end(&mut self, why: &'static str) {
        if let Some(mut play) = self.session.as_mut().and_then(|it| it.play.take()) {
            play.ending = why;
        }
    }

    /// Writes what waits, as far as it is taken at once.
    async fn say_goodbye(mut self) -> io::Result<()> {
        tokio::time::timeout(LOOK_INTERVAL, async {
            while self.wire.writer.is_wanted(&self.out) {
                let written = self.wire.writer.write(&self.out).await?;
                self.written(written);
            }
            Ok(())
        })
        .await?
    }
}

/// What the log is told now and then of a stream that goes on.
fn heartbeat(play: &Play, now: Duration) -> serde_json::Value {
    json!({
        "request": play.command.request.to_string(),
        "bytes": play.sent(),
        "seconds": now.saturating_sub(play.began).as_secs(),
        "lost_bytes": play.seat.queue.losses().bytes,
        "lost_packets": play.lost_packets,
    })
}

/// Sends what is to go in datagrams; the socket that is full, if one is.
fn send<'a>(outgoing: &mut Outgoing, session: Option<&'a mut Viewing>) -> Option<&'a UdpSocket> {
    let Viewing { ways: Ways::Datagrams(pairs), play, .. } = session? else { return None };
    let full = outgoing.send(|number| pairs.iter().find(|(it, _)| *it == number).map(|(_, pair)| pair));
    if let Some(play) = play {
        play.bytes += std::mem::take(&mut outgoing.sent_bytes);
        play.lost_packets += std::mem::take(&mut outgoing.lost);
    } else {
        outgoing.runs.clear();
    }
    full
}

async fn room(socket: Option<&UdpSocket>) -> io::Result<()> {
    match socket {
        Some(socket) => socket.writable().await,
        None => std::future::pending().await,
    }
}

async fn filled(queue: Option<&Queue>) -> bool {
    match queue {
        Some(queue) => queue.fill().await,
        None => std::future::pending().await,
    }
}
