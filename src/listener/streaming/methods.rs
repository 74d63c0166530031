//! What a viewer asks for, method by method (RFC 2326 §10).

use std::{fmt::Write as _, rc::Rc};

use bytes::Bytes;

use super::{
    super::trouble::Trouble,
    admission::{Refused, ended, told},
    datagrams::Pair,
    front::{Port, token},
    upstream::{are_alike, text},
    viewer::Viewer,
    viewing::{Play, Viewing},
    ways::{Way, Ways},
};
use crate::{
    auth::{Identified, digest::Challenge},
    command::RtspMethod,
    facade::{Entrance, Facade, Locator, LocatorKind},
    gate::Pass,
    inventory::StreamBegin,
    limits::STREAM_SESSION_TIMEOUT,
    media::Upstream,
    rtsp::{
        BACKCHANNEL_FEATURE, Begins, Direction, Field, Lower, Method, REPLAY_FEATURE, Request, Session,
        Status, Transport, WriteError, Writer,
    },
};

/// Every method that is answered.
pub(super) fn public() -> String {
    let names: Vec<_> = Method::KNOWN.iter().map(Method::as_str).collect();
    names.join(", ")
}

pub(super) type Written = Result<Bytes, WriteError>;

impl Viewer {
    pub(super) async fn answer(&mut self, request: &Request) -> Written {
        let plain = |status| Writer::response(status, Some(request.cseq));
        if let Some(unknown) =
            required(request).find(|it| ![REPLAY_FEATURE, BACKCHANNEL_FEATURE].contains(it))
        {
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
            Method::SetParameter if !request.body.is_empty() => {
                let reason = "a parameter, of which streams here have none".to_owned();
                let status = Status::ParameterNotUnderstood;
                self.reject("rtsp:SET_PARAMETER", status, None, reason).await;
                Err(Refused::With(status))
            }
            Method::GetParameter | Method::SetParameter if self.is_in_session(request) => {
                Ok(plain(Status::Ok).maybe(Field::Session, self.session_field()).finish())
            }
            Method::GetParameter | Method::SetParameter => Err(Refused::With(Status::SessionNotFound)),
            Method::Other(_) => {
                let reason = "a method that no client of the gateway may use".to_owned();
                self.reject("rtsp:unsupported", Status::MethodNotAllowed, None, reason).await;
                return plain(Status::MethodNotAllowed).field(Field::Public, public()).finish();
            }
        };
        match done {
            Ok(written) => written,
            Err(Refused::With(status)) => plain(status).finish(),
            Err(Refused::Feature(feature)) => {
                plain(Status::OptionNotSupported).field(Field::Unsupported, feature).finish()
            }
            Err(Refused::Challenge { stale }) => {
                let house = &*self.camera.house;
                let authenticator = &self.camera.edition.authenticator;
                let challenges = authenticator
                    .challenges(stale, self.channel.is_tls(), &*house.clock, &*house.entropy)
                    .unwrap_or_default();
                let headers: Vec<_> = challenges.iter().map(String::as_str).collect();
                let nonces = Challenge::parse_all(&headers).into_iter().map(|it| it.nonce);
                // Whoever asks again and again is told again and again, and goes by what was told last.
                self.issued = nonces.collect();
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

    pub(super) async fn describe(&mut self, request: &Request) -> Result<Written, Refused> {
        let (locator, identified) = self.permitted_at(request, RtspMethod::Describe).await?;
        let (pass, _) = self.decide(RtspMethod::Describe, &locator, &identified).await?;
        let talk = required(request).any(|it| it == BACKCHANNEL_FEATURE);
        // What was asked last is what is set up.
        if self.alone.as_ref().is_some_and(|it| it.talk != talk) && !self.is_alone() {
            self.alone = None;
        }
        let described = self.offered(&locator, talk).await;
        let (upstream, pass) = told(described, pass)?;
        let text = text(&upstream.description);
        pass.finish(ended(200, text.len() as u64, None));
        let base = self.base(request);
        let answer =
            Writer::response(Status::Ok, Some(request.cseq)).field(Field::ContentBase, format!("{base}/"));
        Ok(answer.body("application/sdp", &text))
    }

    pub(super) async fn set_up(&mut self, request: &Request) -> Result<Written, Refused> {
        let (locator, identified) = self.permitted_at(request, RtspMethod::Setup).await?;
        // A name that was never given, or to another, begins nothing (RFC 2326 §11.3.5).
        if request.fields.get(Field::Session).is_some() && !self.is_in_session(request) {
            return Err(self.foreign(request).await);
        }
        let (pass, _) = self.decide(RtspMethod::Setup, &locator, &identified).await?;
        // Of a session with back channels only these are asked for with the feature; by some all are, of any session.
        let talk = self.alone.as_ref().is_some_and(|it| it.talk)
            || (self.session.is_none() && required(request).any(|it| it == BACKCHANNEL_FEATURE));
        let described = self.offered(&locator, talk).await;
        let (upstream, pass) = told(described, pass)?;
        let number = request.uri.rsplit_once("/stream=").and_then(|(_, number)| number.parse::<usize>().ok());
        let number = number.filter(|number| *number < upstream.description.media.len());
        let fail = |pass: Pass, status: Status| {
            pass.finish(ended(status.code(), 0, None));
            Err(Refused::With(status))
        };
        let Some(number) = number else { return fail(pass, Status::NotFound) };
        // Whoever names no session begins one (RFC 2326 §10.4): players do that which go over to another transport.
        if request.fields.get(Field::Session).is_none()
            && self.session.as_ref().is_some_and(|it| it.play.is_none())
        {
            self.session = None;
        }
        let alone = self.alone.as_ref().is_some_and(|it| it.is_at(&upstream));
        if self.session.as_ref().is_some_and(|it| {
            it.locator != locator
                || !it.is_of(&identified.caller)
                || it.play.is_some()
                || alone != self.is_alone()
                || !are_alike(&it.upstream, &upstream)
        }) {
            return fail(pass, Status::MethodNotValidInThisState);
        }
        let asked = request.fields.get(Field::Transport).map(Transport::parse_list).unwrap_or_default();
        let sends = upstream.description.media.get(number).is_some_and(|it| it.direction == Direction::Send);
        let way = self.way(number, &asked).await;
        // Nobody is heard in datagrams.
        let Some(way) = way.filter(|it| !sends || matches!(it, Way::Interleaved(_))) else {
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
            has_played: false,
            touched: now,
            idle: now,
        });
        let transport = Transport { ssrc, ..way.transport() };
        viewing.ways.set(number, way);
        pass.finish(ended(200, 0, None));
        let answer = Writer::response(Status::Ok, Some(request.cseq)).field(Field::Transport, transport);
        Ok(answer.maybe(Field::Session, self.session_field()).finish())
    }

    /// What there is at an address.
    async fn offered(&mut self, locator: &Locator, talk: bool) -> Result<Rc<Upstream>, Trouble> {
        match locator.kind {
            LocatorKind::Replay => self.open_alone(locator, false).await,
            _ if talk => self.open_alone(locator, true).await,
            _ => self.camera.described(&locator.endpoint).await,
        }
    }

    /// The first transport of those asked for that can be given to a stream; all streams of a session go in one
    /// manner.
    pub(super) async fn way(&self, number: usize, asked: &[Transport]) -> Option<Way> {
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
                    let (Some(ports), Port::Streams(here)) = (one.client_port, self.port) else { continue };
                    match Pair::open(here, self.source.ip(), ports).await {
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

    pub(super) async fn play(&mut self, request: &Request) -> Result<Written, Refused> {
        let (locator, identified) = self.permitted_at(request, RtspMethod::Play).await?;
        self.own_session(request, RtspMethod::Play, &locator, &identified).await?;
        let playing = self.session.as_ref().is_some_and(|it| it.play.is_some());
        if self.is_alone() {
            match locator.kind {
                LocatorKind::Replay => return self.play_recording(request, &locator, &identified).await,
                _ if self.has_back_channel() => return self.talk(request, &locator, &identified).await,
                // Some ask for back channels and only watch: that is done with all the others.
                _ => {}
            }
        }
        // Of a recording that is not open any more nothing is left.
        if locator.kind == LocatorKind::Replay {
            return Err(Refused::With(Status::SessionNotFound));
        }
        if !playing {
            let (pass, command) = self.decide(RtspMethod::Play, &locator, &identified).await?;
            self.alone = None;
            let playing = self.camera.playing(&locator.endpoint).await;
            let (upstream, pass) = told(playing, pass)?;
            let (now, watching) = (self.camera.house.clock.monotonic(), self.watching(&identified));
            let Some(viewing) = &mut self.session else { return Err(Refused::With(Status::SessionNotFound)) };
            let changed = if !are_alike(&viewing.upstream, &upstream) {
                Some("the camera describes the stream otherwise than when it was set up")
            } else {
                let stops = self.camera.stops_unverified(&upstream);
                stops.then_some("encodings that cannot be checked do not pass any more")
            };
            if let Some(note) = changed {
                pass.finish(ended(Status::SessionNotFound.code(), 0, Some(note.to_owned())));
                self.session = None;
                return Err(Refused::With(Status::SessionNotFound));
            }
            // Who goes on after a pause has had what came before, and datagrams that come all at once are lost on the way.
            let at_once = !std::mem::replace(&mut viewing.has_played, true)
                && matches!(viewing.ways, Ways::Interleaved(_))
                && self.camera.camera.streams.begin == StreamBegin::LastKeyFrame;
            let seat = Rc::new(if at_once { upstream.join_at_last_key_frame() } else { upstream.join() });
            if self.camera.camera.streams.begin == StreamBegin::AskedKeyFrame {
                self.camera.want_key_frame(&locator);
            }
            viewing.upstream = upstream;
            viewing.caller = identified.caller;
            viewing.play = Some(Play::new(seat, command, (pass, watching), now));
        }
        let answer = Writer::response(Status::Ok, Some(request.cseq)).field(Field::Range, "npt=now-");
        let answer = answer.maybe(Field::Session, self.session_field());
        Ok(answer.maybe(Field::RtpInfo, self.begins(request).await).finish())
    }

    /// Where each stream that was set up begins (RFC 2326 §12.33).
    async fn begins(&self, request: &Request) -> Option<String> {
        let viewing = self.session.as_ref()?;
        let seat = &viewing.play.as_ref()?.seat;
        let mut begins = Vec::new();
        for number in viewing.ways.numbers() {
            let at = seat.begins(number).await;
            begins.extend(at.map(|(sequence, timestamp)| (number, sequence, timestamp)));
        }
        self.begin_at(request, begins)
    }

    /// Streams, by their numbers, that begin at these numbers and timestamps.
    pub(super) fn begin_at(
        &self,
        request: &Request,
        begins: Vec<(usize, Option<u16>, Option<u32>)>,
    ) -> Option<String> {
        let base = self.base(request);
        let one = |(number, sequence, timestamp)| Begins {
            url: format!("{base}/stream={number}"),
            sequence,
            timestamp,
        };
        Begins::list(begins.into_iter().map(one))
    }

    pub(super) async fn pause(&mut self, request: &Request) -> Result<Written, Refused> {
        let (locator, identified) = self.permitted_at(request, RtspMethod::Pause).await?;
        self.own_session(request, RtspMethod::Pause, &locator, &identified).await?;
        let (pass, _) = self.decide(RtspMethod::Pause, &locator, &identified).await?;
        if locator.kind == LocatorKind::Replay {
            return self.pause_recording(request, &locator, pass).await;
        }
        self.end("paused");
        if let Some(viewing) = &mut self.session {
            viewing.idle = self.camera.house.clock.monotonic();
        }
        pass.finish(ended(200, 0, None));
        let answer = Writer::response(Status::Ok, Some(request.cseq));
        Ok(answer.maybe(Field::Session, self.session_field()).finish())
    }

    pub(super) async fn tear_down(&mut self, request: &Request) -> Result<Written, Refused> {
        if !self.is_in_session(request) {
            return Err(Refused::With(Status::SessionNotFound));
        }
        // Whoever holds the session may always give it up; what ends is on record with the stream.
        self.end("the viewer left");
        self.session = None;
        self.alone = None;
        Ok(Writer::response(Status::Ok, Some(request.cseq)).finish())
    }

    /// Whether the session that is named is the client's own, and about this stream. Whoever has not logged in is told
    /// how to.
    async fn own_session(
        &self,
        request: &Request,
        method: RtspMethod,
        locator: &Locator,
        identified: &Identified,
    ) -> Result<(), Refused> {
        match self.session.as_ref().filter(|it| it.locator == *locator && it.names(request)) {
            Some(viewing) if viewing.is_of(&identified.caller) => Ok(()),
            Some(_) if identified.caller.client().is_none() => {
                // Whatever policy permits to everybody: a session is for whoever logged in.
                let (pass, _) = self.decide(method, locator, identified).await?;
                pass.finish(ended(Status::Unauthorized.code(), 0, None));
                Err(Refused::Challenge { stale: false })
            }
            _ => Err(self.foreign(request).await),
        }
    }

    /// A session that is not this connection's, or is none.
    async fn foreign(&self, request: &Request) -> Refused {
        let operation = format!("rtsp:{}", request.method.as_str());
        let reason = "the session it names is not this client's on this connection".to_owned();
        self.reject(&operation, Status::SessionNotFound, None, reason).await;
        Refused::With(Status::SessionNotFound)
    }

    /// The address of the stream that was asked for, as the client may use it where it is.
    fn base(&self, request: &Request) -> String {
        let (token, tls) = (token(&request.uri).unwrap_or_default(), self.channel.is_tls());
        if Facade::tunnel_at(&request.uri).is_none() {
            return self.camera.facade.stream_address(token, tls);
        }
        // Within a tunnel all speak of RTSP.
        self.camera.facade.tunnel_address(token, Entrance::of(tls)).replacen("http", "rtsp", 1)
    }

    pub(super) fn is_in_session(&self, request: &Request) -> bool {
        self.session.as_ref().is_some_and(|it| it.names(request))
    }

    pub(super) fn session_field(&self) -> Option<Session> {
        let timeout_seconds = u32::try_from(STREAM_SESSION_TIMEOUT.as_secs()).unwrap_or_default();
        self.session.as_ref().map(|it| Session { id: it.id.clone(), timeout_seconds })
    }
}

/// The features without which a client does not want to be answered (RFC 2326 §12.32).
pub(super) fn required(request: &Request) -> impl Iterator<Item = &str> {
    request.fields.all(Field::Require).flat_map(|it| it.split(',')).map(str::trim)
}
