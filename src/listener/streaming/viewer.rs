//! One viewer's connection, on its camera's thread: requests, answers, and the stream between them.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use serde_json::json;
use tokio::{
    io::AsyncReadExt,
    net::UdpSocket,
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    super::{doorway::Doorway, tls::Channel, trouble::Trouble, virtual_camera::VirtualCamera},
    datagrams::{Outgoing, Pair},
    front::{Guest, token},
    upstream::Streams,
    ways::{Way, Ways, are_their_own, translated},
    wire::{SLICES_MAX, Wire},
};
use crate::{
    audit::Event,
    auth::{AuthError, Caller, Identified, Shown},
    command::{Command, Operation, RtspMethod},
    facade::{Locator, LocatorKind, resolve},
    gate::{Disposal, Ended, Pass, Refusal, Rejected},
    limits::{
        HTTP_WRITE_STALL_MAX, RTSP_HEAD_BYTES_MAX, STREAM_HEARTBEAT_BYTES, STREAM_HEARTBEAT_INTERVAL,
        STREAM_SESSION_TIMEOUT,
    },
    media::{Seat, Upstream},
    rtsp::{
        Decoder, Field, Lower, Method, Peer, Received, Request, Session, Status, Transport, WriteError,
        Writer,
    },
    schema::{AccessClass, Trait},
};

/// Every method that is answered.
pub(super) fn public() -> String {
    let names: Vec<_> = Method::KNOWN.iter().map(Method::as_str).collect();
    names.join(", ")
}

/// How often it is looked whether a viewer may go on, and does.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// What is read at once, at least.
const READ_BYTES: usize = 4_096;

struct Viewer {
    doorway: Rc<Doorway>,
    /// As of the last request.
    camera: Rc<VirtualCamera>,
    source: SocketAddr,
    /// The gateway's address that the viewer called.
    here: IpAddr,
    channel: Channel,
    wire: Wire,
    decoder: Decoder,
    heard: BytesMut,
    out: VecDeque<Bytes>,
    datagrams: Outgoing,
    /// When something of what waits was taken last, or nothing waited.
    taken: Duration,
    /// When it asked for something last.
    asked: Duration,
    session: Option<Viewing>,
}

/// A session: set up, and perhaps playing.
struct Viewing {
    id: String,
    locator: Locator,
    upstream: Rc<Upstream>,
    /// The streams it is one of: others once the camera is reached otherwise.
    streams: Rc<Streams>,
    caller: Caller,
    /// How each stream that was set up goes.
    ways: Ways,
    play: Option<Play>,
    touched: Duration,
}

/// A stream under way.
struct Play {
    seat: Seat,
    command: Command,
    /// None once it was spent.
    pass: Option<Pass>,
    bytes: u64,
    /// Datagrams that were not to be sent.
    lost_packets: u64,
    told: (u64, Duration),
    began: Duration,
    ending: &'static str,
}

/// Why a request is not done.
enum Refused {
    /// Told and recorded already.
    With(Status),
    /// To be told how to log in.
    Challenge { stale: bool },
}

type Written = Result<Bytes, WriteError>;

/// Serves one connection until it ends or the gateway stops.
pub(super) async fn serve(doorway: Rc<Doorway>, guest: Guest, stop: watch::Receiver<bool>) {
    let Some(camera) = doorway.current() else { return };
    let Guest { carried, channel, source, here, heard } = guest;
    let Ok(wire) = Wire::of(carried) else { return };
    let taken = camera.house.clock.monotonic();
    let viewer = Viewer {
        doorway,
        camera,
        source,
        here,
        channel,
        wire,
        decoder: Decoder::new(Peer::Client),
        heard,
        out: VecDeque::new(),
        datagrams: Outgoing::default(),
        taken,
        asked: taken,
        session: None,
    };
    // A client may go at any moment.
    let _ = viewer.run(stop).await;
}

impl Viewer {
    async fn run(mut self, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        let mut look = interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if !self.answer_all().await? {
                return self.say_goodbye().await;
            }
            let queue =
                self.session.as_ref().and_then(|it| it.play.as_ref()).map(|it| Rc::clone(&it.seat.queue));
            let full = send(&mut self.datagrams, self.session.as_mut());
            let idle = self.out.is_empty() && full.is_none();
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
                _ = stop.changed() => {
                    self.end("the gateway stops");
                    return Ok(());
                }
            }
        }
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
            let Received::Request(request) = received else { continue };
            self.asked = now;
            let Some(camera) = self.doorway.current() else { return Ok(false) };
            self.camera = camera;
            let done = self.answer(&request).await;
            let goes = request.method == Method::Teardown;
            self.out.extend(done.ok());
            if goes {
                return Ok(false);
            }
        }
    }

    async fn answer(&mut self, request: &Request) -> Written {
        let plain = |status| Writer::response(status, Some(request.cseq));
        if let Some(unknown) = request.fields.get(Field::Require) {
            return plain(Status::OptionNotSupported).field(Field::Unsupported, unknown).finish();
        }
        let done = match &request.method {
            Method::Options => return plain(Status::Ok).field(Field::Public, public()).finish(),
            Method::Describe => self.describe(request).await,
            Method::Setup => self.set_up(request).await,
            Method::Play => self.play(request).await,
            Method::Pause => self.pause(request).await,
            Method::Teardown => self.tear_down(request).await,
            // A sign of life, which was taken as such.
            Method::GetParameter | Method::SetParameter if self.is_in_session(request) => {
                Ok(plain(Status::Ok).maybe(Field::Session, self.session_field()).finish())
            }
            Method::GetParameter | Method::SetParameter => Err(Refused::With(Status::SessionNotFound)),
            Method::Other(_) => {
                return plain(Status::MethodNotAllowed).field(Field::Public, public()).finish();
            }
        };
        match done {
            Ok(written) => written,
            Err(Refused::With(status)) => plain(status).finish(),
            Err(Refused::Challenge { stale }) => {
                let house = &*self.camera.house;
                let authenticator = &self.camera.edition.authenticator;
                let challenges = authenticator
                    .challenges(stale, self.channel.is_tls(), &*house.clock, &*house.entropy)
                    .unwrap_or_default();
                let refusal = plain(Status::Unauthorized);
                // Of several challenges some players read the first only, and FFmpeg goes by the last; both know
                // MD5 and nothing else. It stands at either end, and SHA-256 between for those who look for it.
                let last = challenges.first().filter(|_| challenges.len() > 1);
                challenges
                    .iter()
                    .chain(last)
                    .fold(refusal, |it, one| it.field(Field::WwwAuthenticate, one))
                    .finish()
            }
        }
    }

    async fn describe(&mut self, request: &Request) -> Result<Written, Refused> {
        let (locator, identified) = self.permitted_at(request, RtspMethod::Describe).await?;
        let (pass, _) = self.decide(RtspMethod::Describe, &locator, &identified).await?;
        let described = self.camera.described(&locator.endpoint).await;
        let (upstream, pass) = told(described, pass)?;
        let text = upstream.description.write(1, 1, |number| format!("stream={number}"));
        pass.finish(ended(200, text.len() as u64, None));
        let base =
            self.camera.facade.stream_address(token(&request.uri).unwrap_or_default(), self.channel.is_tls());
        let answer =
            Writer::response(Status::Ok, Some(request.cseq)).field(Field::ContentBase, format!("{base}/"));
        Ok(answer.body("application/sdp", &text))
    }

    async fn set_up(&mut self, request: &Request) -> Result<Written, Refused> {
        let (locator, identified) = self.permitted_at(request, RtspMethod::Setup).await?;
        let (pass, _) = self.decide(RtspMethod::Setup, &locator, &identified).await?;
        let described = self.camera.described(&locator.endpoint).await;
        let (upstream, pass) = told(described, pass)?;
        let number = request.uri.rsplit_once("/stream=").and_then(|(_, number)| number.parse::<usize>().ok());
        let number = number.filter(|number| *number < upstream.description.media.len());
        let fail = |pass: Pass, status: Status| {
            pass.finish(ended(status.code(), 0, None));
            Err(Refused::With(status))
        };
        let Some(number) = number else { return fail(pass, Status::NotFound) };
        if self
            .session
            .as_ref()
            .is_some_and(|it| it.locator != locator || !it.names(request) || it.play.is_some())
        {
            return fail(pass, Status::MethodNotValidInThisState);
        }
        let asked = request.fields.get(Field::Transport).map(Transport::parse_list).unwrap_or_default();
        let Some(way) = self.way(number, &asked).await else {
            return fail(pass, Status::UnsupportedTransport);
        };
        let ssrc = upstream.sources.get(number).copied();
        let house = &*self.camera.house;
        let (mut random, now) = ([0; 16], house.clock.monotonic());
        if house.entropy.fill(&mut random).is_err() {
            return fail(pass, Status::InternalServerError);
        }
        let viewing = self.session.get_or_insert_with(|| Viewing {
            id: random.iter().fold(String::new(), |mut id, byte| {
                // Writing to a String cannot fail.
                let _ = write!(id, "{byte:02x}");
                id
            }),
            locator,
            upstream,
            streams: Rc::clone(&self.camera.streams),
            caller: identified.caller,
            ways: way.none(),
            play: None,
            touched: now,
        });
        let transport = Transport { ssrc, ..way.transport() };
        viewing.ways.set(number, way);
        pass.finish(ended(200, 0, None));
        let answer = Writer::response(Status::Ok, Some(request.cseq)).field(Field::Transport, transport);
        Ok(answer.maybe(Field::Session, self.session_field()).finish())
    }

    /// The first transport of those asked for that can be given to a stream; all streams of a session go in one
    /// manner.
    async fn way(&self, number: usize, asked: &[Transport]) -> Option<Way> {
        let ways = self.session.as_ref().map(|it| &it.ways);
        for one in asked.iter().filter(|it| it.unicast && !it.record) {
            match (one.lower, ways) {
                (Lower::Tcp, None | Some(Ways::Interleaved(_))) => {
                    let own = u8::try_from(number * 2).unwrap_or_default();
                    let channels = one.interleaved.unwrap_or((own, own.saturating_add(1)));
                    if channels.0 != channels.1 && ways.is_none_or(|it| it.are_free(number, channels)) {
                        return Some(Way::Interleaved(channels));
                    }
                }
                // Whoever called over TLS is not sent pictures in clear.
                (Lower::Udp, None | Some(Ways::Datagrams(_))) if !self.channel.is_tls() => {
                    let Some(ports) = one.client_port else { continue };
                    match Pair::open(self.here, self.source.ip(), ports).await {
                        Ok(Some(pair)) => return Some(Way::Datagrams(ports, pair)),
                        Ok(None) => {}
                        Err(error) => {
                            tracing::warn!(%error, "no sockets could be had for a stream in datagrams")
                        }
                    }
                }
                _ => {}
            }
        }
        None
    }

    async fn play(&mut self, request: &Request) -> Result<Written, Refused> {
        let (locator, identified) = self.permitted_at(request, RtspMethod::Play).await?;
        let Some(viewing) = self.session.as_mut().filter(|it| it.locator == locator && it.names(request))
        else {
            return Err(Refused::With(Status::SessionNotFound));
        };
        if viewing.play.is_none() {
            let (pass, command) = self.decide(RtspMethod::Play, &locator, &identified).await?;
            let playing = self.camera.playing(&locator.endpoint).await;
            let (upstream, pass) = told(playing, pass)?;
            let now = self.camera.house.clock.monotonic();
            let Some(viewing) = &mut self.session else { return Err(Refused::With(Status::SessionNotFound)) };
            let seat = upstream.join();
            viewing.upstream = upstream;
            viewing.play = Some(Play {
                seat,
                command,
                pass: Some(pass),
                bytes: 0,
                lost_packets: 0,
                told: (0, now),
                began: now,
                ending: "the viewer left",
            });
        }
        let answer = Writer::response(Status::Ok, Some(request.cseq)).field(Field::Range, "npt=now-");
        Ok(answer.maybe(Field::Session, self.session_field()).finish())
    }

    async fn pause(&mut self, request: &Request) -> Result<Written, Refused> {
        let (locator, identified) = self.permitted_at(request, RtspMethod::Pause).await?;
        if !self.is_in_session(request) {
            return Err(Refused::With(Status::SessionNotFound));
        }
        let (pass, _) = self.decide(RtspMethod::Pause, &locator, &identified).await?;
        self.end("paused");
        pass.finish(ended(200, 0, None));
        let answer = Writer::response(Status::Ok, Some(request.cseq));
        Ok(answer.maybe(Field::Session, self.session_field()).finish())
    }

    async fn tear_down(&mut self, request: &Request) -> Result<Written, Refused> {
        if !self.is_in_session(request) {
            return Err(Refused::With(Status::SessionNotFound));
        }
        // Whoever holds the session may always give it up; what ends is on record with the stream.
        self.end("the viewer left");
        self.session = None;
        Ok(Writer::response(Status::Ok, Some(request.cseq)).finish())
    }

    /// Who asks, and for what. Whoever may not is told so, and it is on record.
    async fn permitted_at(
        &self,
        request: &Request,
        method: RtspMethod,
    ) -> Result<(Locator, Identified), Refused> {
        let operation = Operation::Rtsp(method).name();
        let house = &*self.camera.house;
        let shown = Shown {
            source: self.source,
            tls: self.channel.is_tls(),
            certificate: self.channel.certificate(),
            method: request.method.as_str(),
            target: &request.uri,
            authorization: request.fields.get(Field::Authorization),
            token: None,
            camera: Some(&self.camera.camera.id),
        };
        let identified = match self.camera.edition.authenticator.identify(&shown, &*house.clock) {
            Ok(identified) => identified,
            Err(error) => {
                self.reject(&operation, Status::Unauthorized, Some(&error), error.to_string()).await;
                return Err(Refused::Challenge { stale: error.stale() });
            }
        };
        let found = token(&request.uri).and_then(|token| {
            let locators = house.locators.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            resolve(&**locators, self.camera.facade.shared().key(), &self.camera.camera.id, token)
                .ok()
                .flatten()
        });
        match found.filter(|it| it.kind == LocatorKind::Stream) {
            Some(locator) => Ok((locator, identified)),
            None => {
                self.reject(&operation, Status::NotFound, None, "no such stream".to_owned()).await;
                Err(Refused::With(Status::NotFound))
            }
        }
    }

    async fn decide(
        &self,
        method: RtspMethod,
        locator: &Locator,
        identified: &Identified,
    ) -> Result<(Pass, Command), Refused> {
        let house = &*self.camera.house;
        let command = Command {
            request: house.request_id(),
            camera: Some(self.camera.camera.id.clone()),
            operation: Operation::Rtsp(method),
            class: AccessClass::ReadMedia,
            traits: [Trait::Session].into_iter().collect(),
            destinations: Vec::new(),
            arguments: json!({ "profile": locator.profile, "protocol": locator.protocol }),
        };
        let nonce = identified.nonce.map(|it| it.to_string());
        match house.gate.decide(&self.camera.edition.rules, command.clone(), &identified.caller, nonce).await
        {
            Ok(pass) => Ok((pass, command)),
            Err(Refusal::Unauthenticated) => Err(Refused::Challenge { stale: false }),
            Err(refusal) => Err(Refused::With(status_of(&refusal))),
        }
    }

    /// Records a request that became no command.
    async fn reject(&self, operation: &str, status: Status, error: Option<&AuthError>, reason: String) {
        let fault = status.code().to_string();
        let rejected = Rejected {
            request: self.camera.house.request_id(),
            source: self.source,
            tls: self.channel.is_tls(),
            caller: None,
            claimed: error.and_then(|it| it.claimed.as_deref()),
            nonce: None,
            camera: &self.camera.camera.id,
            operation,
            fault: &fault,
            reason,
        };
        if let Err(error) = self.camera.house.gate.reject(&self.camera.edition.rules, rejected).await {
            tracing::debug!(%error, "a rejection was not recorded by itself");
        }
    }

    fn is_in_session(&self, request: &Request) -> bool {
        self.session.as_ref().is_some_and(|it| it.names(request))
    }

    fn session_field(&self) -> Option<Session> {
        let timeout_seconds = u32::try_from(STREAM_SESSION_TIMEOUT.as_secs()).unwrap_or_default();
        self.session.as_ref().map(|it| Session { id: it.id.clone(), timeout_seconds })
    }

    /// Looks whether the viewer is there, may watch, and takes what is sent; tells the log that it does.
    fn may_go_on(&mut self) -> bool {
        let Some(camera) = self.doorway.current() else {
            self.end("the camera was taken out of the configuration");
            return false;
        };
        let house = &*camera.house;
        let now = house.clock.monotonic();
        if self.out.is_empty() && self.datagrams.is_empty() {
            self.taken = now;
        } else if now.saturating_sub(self.taken) > HTTP_WRITE_STALL_MAX {
            self.end("the viewer takes nothing");
            return false;
        }
        let Some(viewing) = &mut self.session else {
            // Whoever asks for nothing keeps no place that a viewer may want.
            return now.saturating_sub(self.asked) <= STREAM_SESSION_TIMEOUT;
        };
        if viewing.ways.reported() {
            viewing.touched = now;
        }
        // A connection that is open says that somebody is there; a datagram says nothing.
        let mute = matches!(viewing.ways, Ways::Datagrams(_));
        if mute && now.saturating_sub(viewing.touched) > STREAM_SESSION_TIMEOUT {
            self.end("the viewer gave no sign of life");
            return false;
        }
        let Some(play) = &mut viewing.play else {
            return now.saturating_sub(viewing.touched) <= STREAM_SESSION_TIMEOUT;
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
        if !camera.edition.rules.may_go_on(&play.command, &viewing.caller, house.clock.now()) {
            self.end("policy does not permit it any more");
            return false;
        }
        let (bytes, at) = play.told;
        if play.bytes - bytes >= STREAM_HEARTBEAT_BYTES || now.saturating_sub(at) >= STREAM_HEARTBEAT_INTERVAL
        {
            play.told = (play.bytes, now);
            let losses = play.seat.queue.losses();
            let detail = json!({
                "request": play.command.request.to_string(),
                "bytes": play.bytes,
                "seconds": now.saturating_sub(play.began).as_secs(),
                "lost_bytes": losses.bytes,
                "lost_packets": play.lost_packets,
            });
            let camera = Some(camera.camera.id.to_string());
            house.gate.note(Event { camera, ..Event::new("stream", detail) });
        }
        true
    }

    /// Ends the stream under way, for this reason.
    fn end(&mut self, why: &'static str) {
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

impl Viewing {
    fn names(&self, request: &Request) -> bool {
        request.fields.get(Field::Session).and_then(Session::parse).is_some_and(|it| it.id == self.id)
    }
}

impl Drop for Play {
    /// However a stream ends, how much it was is on record.
    fn drop(&mut self) {
        let losses = self.seat.queue.losses();
        let mut note =
            format!("{}; fell behind {} times, {} bytes lost", self.ending, losses.times, losses.bytes);
        if self.lost_packets > 0 {
            // Writing to a String cannot fail.
            let _ = write!(note, ", {} datagrams not sent", self.lost_packets);
        }
        if let Some(pass) = self.pass.take() {
            pass.finish(ended(200, self.bytes, Some(note)));
        }
    }
}

/// What the camera's side brought, or what the viewer is told instead.
fn told(brought: Result<Rc<Upstream>, Trouble>, pass: Pass) -> Result<(Rc<Upstream>, Pass), Refused> {
    match brought {
        Ok(upstream) => Ok((upstream, pass)),
        Err(trouble) => {
            let status = match &trouble {
                Trouble::Refused(refusal) => status_of(refusal),
                Trouble::Camera(error) if error.is_timeout() => Status::GatewayTimeout,
                _ => Status::BadGateway,
            };
            tracing::info!(%trouble, "a stream could not be had");
            pass.finish(Ended { status: Some(status.code()), ..trouble.ended() });
            Err(Refused::With(status))
        }
    }
}

fn status_of(refusal: &Refusal) -> Status {
    match refusal {
        Refusal::Unauthenticated => Status::Unauthorized,
        Refusal::NotAuthorized
        | Refusal::Forbidden
        | Refusal::Users
        | Refusal::NotIsolated
        | Refusal::Absorbed => Status::Forbidden,
        Refusal::NotSupported => Status::NotImplemented,
        Refusal::Noise | Refusal::Unrecordable(_) => Status::ServiceUnavailable,
    }
}

fn ended(status: u16, bytes: u64, note: Option<String>) -> Ended {
    Ended {
        disposal: Disposal::Answered,
        status: Some(status),
        fault: None,
        deviations: Vec::new(),
        bytes,
        note,
    }
}

async fn filled(queue: Option<&crate::media::Queue>) -> bool {
    match queue {
        Some(queue) => queue.fill().await,
        None => std::future::pending().await,
    }
}
