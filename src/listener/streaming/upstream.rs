//! Streams of a camera, opened on the gateway's own account: decided and recorded like everything it asks.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use tokio::{sync::Mutex, task::JoinSet, time::sleep};

use super::{
    super::{trouble::Trouble, virtual_camera::VirtualCamera},
    alone::Places,
    key_frames::KeyFrames,
    seats::Seats,
    viewing::told,
};
use crate::{
    auth::Caller,
    camera::{CameraError, CameraStream},
    command::{Command, Operation, Reason, RtspMethod},
    gate::{Disposal, Ended, Pass},
    hatch::{Ask, AskKind, Endpoint, Screen},
    limits::{STREAM_DESCRIBED_TIME_MAX, STREAMS_PER_CAMERA_MAX},
    media::{Measures, Upstream},
    rtsp::{Description, Direction, UnknownCodecs},
    schema::{AccessClass, Trait},
    telemetry::{CameraMeter, Encoding},
};

/// The streams of one camera that somebody has asked for.
#[derive(Default)]
pub(in super::super) struct Streams {
    open: RefCell<HashMap<Endpoint, Rc<Upstream>>>,
    /// Those that were described and do not play yet.
    described: RefCell<HashMap<Endpoint, CameraStream>>,
    /// Those that somebody opens at the moment; others who want the same wait for what that brings.
    opening: RefCell<HashMap<Endpoint, Rc<Opening>>>,
    /// What was described so far, as long as somebody goes by it.
    told: RefCell<Vec<(Endpoint, Weak<Upstream>)>>,
    /// Those that play.
    relays: RefCell<JoinSet<()>>,
    /// What the camera is asked for on behalf of who comes.
    pub(super) key_frames: KeyFrames,
    /// Sessions that viewers have for themselves.
    pub(super) alone: Places,
    /// Connections of clients that were let in.
    pub(super) seats: Seats,
    /// Who is heard at the camera.
    pub(super) talkers: Places,
}

/// Whoever holds it opens a stream; when the camera said last that it cannot be had, and why.
type Opening = Mutex<Option<(Duration, CameraError)>>;

/// A wait for a stream, or the opening of it.
struct Turn<'a> {
    streams: &'a Streams,
    endpoint: &'a Endpoint,
    opening: Rc<Opening>,
    /// Since when it is waited for.
    since: Duration,
}

impl Turn<'_> {
    /// What the camera said while this waited: it is not asked the same once more.
    fn refused(&self, last: Option<&(Duration, CameraError)>) -> Option<Trouble> {
        last.filter(|(at, _)| *at >= self.since).map(|(_, error)| error.clone().into())
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // The table's and this one: nobody else waits.
        if Rc::strong_count(&self.opening) == 2 {
            self.streams.opening.borrow_mut().remove(self.endpoint);
        }
    }
}

impl Streams {
    fn turn<'a>(&'a self, endpoint: &'a Endpoint, since: Duration) -> Turn<'a> {
        let opening = Rc::clone(self.opening.borrow_mut().entry(endpoint.clone()).or_default());
        Turn { streams: self, endpoint, opening, since }
    }

    fn open_at(&self, endpoint: &Endpoint) -> Option<Rc<Upstream>> {
        self.open.borrow().get(endpoint).cloned()
    }

    fn playing_at(&self, endpoint: &Endpoint) -> Option<Rc<Upstream>> {
        self.open_at(endpoint).filter(|it| it.is_playing())
    }

    /// Whether somebody watches the stream at this address.
    pub(super) fn is_watched(&self, endpoint: &Endpoint) -> bool {
        self.playing_at(endpoint).is_some_and(|it| it.watched() > 0)
    }

    /// Whether there are as many as there may be, with those that are being opened.
    fn are_full(&self) -> bool {
        let open = self.open.borrow();
        let opening = self.opening.borrow().keys().filter(|it| !open.contains_key(it)).count();
        open.len() + opening > STREAMS_PER_CAMERA_MAX
    }

    /// What somebody still goes by who was told the same of a stream before.
    fn told_before(&self, endpoint: &Endpoint, description: &Description) -> Option<Rc<Upstream>> {
        let mut told = self.told.borrow_mut();
        told.retain(|(_, it)| it.strong_count() > 0);
        let heard = heard(description);
        let mut before = told.iter().filter(|(at, _)| at == endpoint).filter_map(|(_, it)| it.upgrade());
        before.rfind(|it| self::heard(&it.description) == heard)
    }

    /// Runs what relays a stream until it ends.
    pub(super) fn spawn(&self, relay: impl Future<Output = ()> + 'static) {
        let mut relays = self.relays.borrow_mut();
        while relays.try_join_next().is_some() {}
        relays.spawn_local(relay);
    }
}

impl VirtualCamera {
    /// What a camera offers at an address: as it is known while somebody watches, else asked.
    pub(super) async fn described(self: &Rc<Self>, endpoint: &Endpoint) -> Result<Rc<Upstream>, Trouble> {
        self.in_turn(endpoint, Streams::open_at, async || self.describe(endpoint).await).await
    }

    /// A stream that plays.
    pub(super) async fn playing(self: &Rc<Self>, endpoint: &Endpoint) -> Result<Rc<Upstream>, Trouble> {
        self.in_turn(endpoint, Streams::playing_at, async || self.have_played(endpoint).await).await
    }

    /// What is there already, or what this opens, one for all who want it at the same time. Whoever watches another
    /// stream, or comes to one that is there, waits for nobody.
    async fn in_turn(
        &self,
        endpoint: &Endpoint,
        there: impl Fn(&Streams, &Endpoint) -> Option<Rc<Upstream>>,
        open: impl AsyncFnOnce() -> Result<Rc<Upstream>, Trouble>,
    ) -> Result<Rc<Upstream>, Trouble> {
        if let Some(there) = there(&self.streams, endpoint) {
            return Ok(there);
        }
        let turn = self.streams.turn(endpoint, self.house.clock.monotonic());
        let mut last = turn.opening.lock().await;
        if let Some(there) = there(&self.streams, endpoint) {
            return Ok(there);
        }
        if let Some(trouble) = turn.refused(last.as_ref()) {
            return Err(trouble);
        }
        let opened = open().await;
        if let Err(Trouble::Camera(error)) = &opened {
            // Those who wait are told the same.
            *last = Some((self.house.clock.monotonic(), error.clone()));
        }
        opened
    }

    async fn have_played(self: &Rc<Self>, endpoint: &Endpoint) -> Result<Rc<Upstream>, Trouble> {
        let upstream = match self.streams.open_at(endpoint) {
            Some(open) => open,
            None => self.describe(endpoint).await?,
        };
        let described = self.streams.described.borrow_mut().remove(endpoint);
        let Some(mut stream) = described else { return Err(Trouble::Lost) };
        // However long the camera takes to begin: others find it there until then.
        let open = Open { camera: Rc::clone(self), upstream: Rc::clone(&upstream) };
        let mut pass = self.stream_pass(RtspMethod::Play, endpoint).await?;
        let ask = Ask::new(&mut pass, AskKind::Play { endpoint: endpoint.clone() }, false)?;
        match self.connection.play(&ask, &mut stream).await {
            Ok(played) => upstream.plays(played),
            Err(error) => {
                drop(open);
                let trouble = Trouble::from(error);
                pass.finish(trouble.ended());
                stream.close().await;
                return Err(trouble);
            }
        }
        self.streams.spawn(open.relay(stream, pass));
        Ok(upstream)
    }

    /// Ends every stream and tells the camera so.
    pub(super) async fn end_streams(&self) {
        for upstream in self.streams.open.borrow().values() {
            upstream.stop();
        }
        let described: Vec<_> = self.streams.described.borrow_mut().drain().collect();
        for (_, stream) in described {
            stream.close().await;
        }
        let mut relays = std::mem::take(&mut *self.streams.relays.borrow_mut());
        while relays.join_next().await.is_some() {}
    }

    async fn describe(self: &Rc<Self>, endpoint: &Endpoint) -> Result<Rc<Upstream>, Trouble> {
        if self.streams.are_full() {
            return Err(Trouble::Busy);
        }
        let stream = self.ask_about(endpoint, false).await?;
        Ok(self.offer(endpoint, stream))
    }

    /// What a session offers that was described for one viewer and holds nothing but what all may have: it is theirs from
    /// now on, unless they have one.
    pub(super) async fn share(
        self: &Rc<Self>,
        endpoint: &Endpoint,
        stream: CameraStream,
    ) -> Result<Rc<Upstream>, Trouble> {
        let open = async || {
            if self.streams.are_full() {
                return Err(Trouble::Busy);
            }
            Ok(self.offer(endpoint, stream))
        };
        self.in_turn(endpoint, Streams::open_at, open).await
    }

    /// Has a session that was described be there for all who want to watch.
    fn offer(self: &Rc<Self>, endpoint: &Endpoint, mut stream: CameraStream) -> Rc<Upstream> {
        let upstream = self.told_of(endpoint, &mut stream);
        self.streams.described.borrow_mut().insert(endpoint.clone(), stream);
        self.streams.open.borrow_mut().insert(endpoint.clone(), Rc::clone(&upstream));
        self.forget_in_time(endpoint.clone(), Rc::clone(&upstream));
        upstream
    }

    /// What viewers are told of a live stream. Who has a session from before goes on with the sources that it was told
    /// of.
    pub(super) fn told_of(&self, endpoint: &Endpoint, stream: &mut CameraStream) -> Rc<Upstream> {
        let before = self.streams.told_before(endpoint, &stream.description);
        if let Some(first) = before.and_then(|it| it.sources.first().copied()) {
            stream.speak_as(first);
        }
        let upstream = Upstream::new(stream.description.clone(), stream.sources(), self.measures());
        self.streams.told.borrow_mut().push((endpoint.clone(), Rc::downgrade(&upstream)));
        upstream
    }

    /// By what its streams are measured.
    pub(super) fn measures(&self) -> Measures {
        (Arc::clone(&self.house.clock), Arc::clone(&self.meter))
    }

    /// A session with the camera at an address, which has said what it offers there.
    pub(super) async fn ask_about(
        self: &Rc<Self>,
        endpoint: &Endpoint,
        talk: bool,
    ) -> Result<CameraStream, Trouble> {
        let mut pass = self.stream_pass(RtspMethod::Describe, endpoint).await?;
        let rules = self.rules.borrow().clone();
        let screen = Arc::new(Screen::new(&self.house.tables, rules));
        let kind =
            AskKind::Describe { endpoint: endpoint.clone(), screen, talk, unknown: self.unknown_codecs() };
        let ask = Ask::new(&mut pass, kind, true)?;
        self.mind_acceptance();
        let described = self.connection.describe(&ask).await;
        self.take_certificate_news();
        self.take_news();
        match described {
            Ok(stream) => {
                let encodings = Encodings::of(&stream.description);
                encodings.count(&self.meter);
                pass.finish(Ended {
                    disposal: Disposal::Answered,
                    status: None,
                    fault: None,
                    deviations: Vec::new(),
                    bytes: 0,
                    note: encodings.told(),
                });
                Ok(stream)
            }
            Err(error) => {
                let trouble = Trouble::from(error);
                pass.finish(trouble.ended());
                Err(trouble)
            }
        }
    }

    /// Whether a stream has something in it that does not pass any more. It ends for all who watch, so that whoever comes
    /// next is told what passes now.
    pub(super) fn stops_unverified(&self, upstream: &Upstream) -> bool {
        let stops = upstream.description.unverified().next().is_some()
            && self.unknown_codecs() == UnknownCodecs::Refused;
        if stops {
            upstream.stop();
        }
        stops
    }

    /// What becomes of streams of the camera in encodings that are not known here, as it is treated at the moment.
    fn unknown_codecs(&self) -> UnknownCodecs {
        let treated = self.edition.rules.camera(&self.camera.id);
        treated.map_or(UnknownCodecs::Refused, |it| it.streams.unknown_codecs(&it.vendor))
    }

    /// A session that nobody lets play is given back: a camera has few.
    fn forget_in_time(self: &Rc<Self>, endpoint: Endpoint, upstream: Rc<Upstream>) {
        let camera = Rc::clone(self);
        tokio::task::spawn_local(async move {
            sleep(STREAM_DESCRIBED_TIME_MAX).await;
            let described = {
                let mut open = camera.streams.open.borrow_mut();
                let same = open.get(&endpoint).is_some_and(|it| Rc::ptr_eq(it, &upstream));
                if !same {
                    return;
                }
                // Whoever has it play has taken it from there, and answers for what is open.
                let Some(described) = camera.streams.described.borrow_mut().remove(&endpoint) else { return };
                open.remove(&endpoint);
                described
            };
            described.close().await;
        });
    }

    async fn stream_pass(&self, method: RtspMethod, endpoint: &Endpoint) -> Result<Pass, Trouble> {
        if endpoint.port.is_some_and(|port| self.is_foreign(port)) {
            return Err(Trouble::ForeignPort);
        }
        let command = Command {
            request: self.house.request_id(),
            camera: Some(self.camera.id.clone()),
            operation: Operation::Rtsp(method),
            class: AccessClass::ReadMedia,
            traits: [Trait::Session].into_iter().collect(),
            destinations: Vec::new(),
            arguments: json!({ "path": endpoint.path_and_query, "port": endpoint.port }),
        };
        Ok(self
            .house
            .gate
            .decide(&self.edition.rules, command, &Caller::Gateway(Reason::Stream), None)
            .await?)
    }
}

/// What a camera offers in encodings that cannot be checked.
struct Encodings<'a> {
    left_out: &'a [String],
    unverified: Vec<&'a str>,
}

impl<'a> Encodings<'a> {
    fn of(description: &'a Description) -> Self {
        Self { left_out: &description.left_out, unverified: description.unverified().collect() }
    }

    fn count(&self, meter: &CameraMeter) {
        meter.media.encodings(Encoding::LeftOut, self.left_out.len());
        meter.media.encodings(Encoding::Unverified, self.unverified.len());
    }

    /// In words, if there is anything to tell.
    fn told(&self) -> Option<String> {
        let part = |what, names: String| (!names.is_empty()).then(|| format!("{what}: {names}"));
        let parts = [
            part("left out, since it cannot be checked", self.left_out.join(", ")),
            part("let through without being checked", self.unverified.join(", ")),
        ];
        let told: Vec<_> = parts.into_iter().flatten().collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

/// A description as viewers are told it.
pub(super) fn text(description: &Description) -> String {
    description.write(1, 1, |number| format!("stream={number}"))
}

/// The same of what comes from the camera, which is one whether back channels were asked for or not.
fn heard(description: &Description) -> String {
    let mut heard = description.clone();
    heard.media.retain(|it| it.direction == Direction::Receive);
    text(&heard)
}

/// Whether a session about the one may watch the other: its viewer was told the same of both.
pub(super) fn are_alike(one: &Rc<Upstream>, other: &Rc<Upstream>) -> bool {
    Rc::ptr_eq(one, other)
        || (one.sources.first() == other.sources.first()
            && heard(&one.description) == heard(&other.description))
}

/// A stream that is about to play, or is relayed. However that ends, viewers hear of it and the next gets a new one.
struct Open {
    camera: Rc<VirtualCamera>,
    upstream: Rc<Upstream>,
}

impl Open {
    /// Relays until the end, and records what passed.
    async fn relay(self, mut stream: CameraStream, pass: Pass) {
        let (camera, upstream) = (Rc::clone(&self.camera), Rc::clone(&self.upstream));
        let ended = upstream.relay(&mut stream, &camera.connection).await;
        drop(self);
        let counts = upstream.counts();
        let failure = match &ended {
            Ok(()) => "nobody watches any more".to_owned(),
            Err(failure) => failure.to_string(),
        };
        let note = format!("{failure}; {}", told(counts));
        tracing::info!(camera = %camera.camera.id, note, "a stream of the camera ended");
        pass.finish(Ended {
            disposal: if ended.is_ok() { Disposal::Answered } else { Disposal::Failed },
            status: None,
            fault: None,
            deviations: Vec::new(),
            bytes: counts.bytes,
            note: Some(note),
        });
        stream.close().await;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.camera.streams.open.borrow_mut().retain(|_, it| !Rc::ptr_eq(it, &self.upstream));
        self.upstream.end();
    }
}
