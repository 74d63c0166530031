//! One RTSP session with a camera: describes, plays, stays alive, says goodbye.
//!
//! Packets come interleaved with the messages of the one connection. Whatever addresses the camera names, the enrolled
//! host is dialled and asked; of theirs, path and query are taken.

mod wire;

use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use super::{
    datagrams::Datagrams,
    error::{CameraError, Failure, Phase, Retry},
    session::Session as Logins,
    shown,
};
use crate::{
    clock::Clock,
    hatch::{Endpoint, PacketCounts, Packets, Positions, Screen, Segment},
    inventory::Quirk,
    limits::{CAMERA_CONNECT_TIME_MAX, CAMERA_EXCHANGE_TIME_MAX, STREAM_REPORT_INTERVAL},
    rtsp::{
        BACKCHANNEL_FEATURE, Begins, Description, Direction, Field, Media, Method, Playback, REPLAY_FEATURE,
        Range, Response, Session, Ssrc, Status, Transport, UnknownCodecs, receiver_report, write_frame,
    },
};
use wire::{Hearing, Wire};

/// A session that has been described, and perhaps plays.
pub struct CameraStream {
    wire: Wire,
    endpoint: Endpoint,
    base: String,
    /// What the camera offers towards the gateway.
    pub description: Description,
    session: Option<Session>,
    /// Something was set up: not all name a session.
    is_set_up: bool,
    packets: Packets,
    /// Where packets come in, if not on the connection.
    datagrams: Datagrams,
    screen: Arc<Screen>,
    /// There are back channels.
    talk: bool,
    /// The channels of back channels that were set up, by their numbers.
    said_on: Vec<(usize, u8)>,
    /// Segments that came before the answer that was waited for.
    early: VecDeque<Segment>,
    own: Ssrc,
    signs: Signs,
    /// The streams that come, by their numbers, each with the channel on which the camera hears how.
    heard: Vec<(usize, u8)>,
    /// When it was told last, in monotonic time.
    told: Duration,
    clock: Arc<dyn Clock>,
}

/// What tells the camera that somebody is there: not all take the same.
#[derive(Debug, Clone, Copy)]
struct Signs {
    /// The place in `SIGNS` of the one that is given.
    place: usize,
    /// The number of the last.
    cseq: Option<u32>,
    /// Why another is due at once.
    due: Option<Due>,
    /// Whether one was refused since one was taken, so that the nonce is a new one.
    renewed: bool,
}

/// What became of a sign of life that was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// It was refused, and the next kind is to be tried.
    Another,
    /// It, or the next kind, is to be given with a login that has another nonce.
    Login,
    /// No kind was taken with any nonce: the login is no good any more.
    Refused,
}

/// How long no sign is given while logins are known to be refused.
const SIGN_PAUSE: Duration = Duration::from_secs(1);

/// Requests that are signs of life, the likeliest first.
static SIGNS: [Method; 3] = [Method::GetParameter, Method::Options, Method::SetParameter];

impl Signs {
    /// For a camera that names these methods.
    fn new(public: &str) -> Self {
        let named = public.split(',').any(|it| it.trim() == Method::GetParameter.as_str());
        Self { place: usize::from(!named), cseq: None, due: None, renewed: false }
    }

    /// Hears an answer: who refuses one kind is given the next, and after the last none again. Those to signs before
    /// the last say nothing any more. Whether something is due at once.
    fn hear(&mut self, answer: &Response) -> bool {
        if self.cseq.is_none() || answer.cseq.is_some_and(|it| Some(it) != self.cseq) {
            return false;
        }
        self.cseq = None;
        if answer.status == Status::Ok.code() {
            self.renewed = false;
            return false;
        }
        self.due = if answer.status != Status::Unauthorized.code() {
            (self.place + 1 < SIGNS.len()).then(|| {
                self.place += 1;
                Due::Another
            })
        } else if !std::mem::replace(&mut self.renewed, true) {
            Some(Due::Login)
        } else if self.place == 0 {
            // It may be what the camera refuses, whatever the login, which was good for more than this.
            self.place += 1;
            Some(Due::Login)
        } else {
            Some(Due::Refused)
        };
        self.due.is_some()
    }
}

/// What a camera says of what it plays for one viewer.
#[derive(Debug, Default)]
pub struct Played {
    /// The part of a recording.
    pub range: Option<Range>,
    /// Where each of its streams begins, by its number: sequence number and timestamp.
    pub begins: Vec<(usize, Option<u16>, Option<u32>)>,
}

impl CameraStream {
    /// Connects, logs in and asks what there is: with back channels or without, and with encodings that are not known or
    /// without. `logins` counts what is refused over all protocols.
    pub(super) async fn open(
        endpoint: &Endpoint,
        screen: &Arc<Screen>,
        wanted: (bool, UnknownCodecs),
        logins: &Logins,
    ) -> Result<Self, CameraError> {
        let address = logins.stream_address(endpoint.port.unwrap_or(RTSP_PORT));
        in_time(Self::describe(address, endpoint, (screen, wanted), logins)).await
    }

    async fn describe(
        address: SocketAddr,
        endpoint: &Endpoint,
        (screen, (talk, unknown)): (&Arc<Screen>, (bool, UnknownCodecs)),
        logins: &Logins,
    ) -> Result<Self, Failure> {
        logins.may_try()?;
        let entropy = logins.entropy();
        let line = logins.stream_line(address).await?;
        let mut random = [0; 4];
        entropy.fill(&mut random).map_err(|_| Failure::NoEntropy)?;
        let mut wire = Wire::new(line, address, logins);
        let uri = wire.at(&endpoint.path_and_query);
        let mut nothing = Packets::new(&[]);
        let mut none = VecDeque::new();
        let mut hear = Hearing { packets: &mut nothing, early: &mut none };
        let options = wire.ask(&Method::Options, &uri, &[], logins, &mut hear).await?;
        let signs = Signs::new(options.fields.get(Field::Public).unwrap_or_default());
        let mut accept = vec![(Field::Accept, "application/sdp".to_owned())];
        accept.extend(talk.then(backchannel));
        let (described, uri) =
            wire.ask_where_it_is(&Method::Describe, uri, &accept, logins, &mut hear).await?;
        ok(&described)?;
        logins.show(&shown::of_description(&described.body));
        let mut description = Description::parse(&described.body, unknown)
            .map_err(|error| Failure::Malformed(format!("the session description: {error}")))?;
        // Some offer back channels to whoever did not ask.
        description.media.retain(|media| talk || media.direction == Direction::Receive);
        // Behind the others, whose numbers are then the same whether back channels were asked for or not.
        description.media.sort_by_key(|media| media.direction == Direction::Send);
        if description.media.is_empty() {
            return Err(Failure::Malformed("the session description offers no stream".to_owned()));
        }
        let named = [Field::ContentBase, Field::ContentLocation];
        let named = named.iter().find_map(|field| described.fields.get(*field));
        let base = named.and_then(|base| wire.at_host(base)).unwrap_or(uri);
        Ok(Self {
            wire,
            base,
            endpoint: endpoint.clone(),
            session: None,
            is_set_up: false,
            packets: nothing,
            datagrams: Datagrams::default(),
            screen: Arc::clone(screen),
            talk: description.has_back_channel(),
            said_on: Vec::new(),
            early: VecDeque::new(),
            own: Ssrc(u32::from_be_bytes(random)),
            signs,
            heard: Vec::new(),
            told: Duration::ZERO,
            clock: Arc::clone(&logins.clock),
            description,
        })
    }

    /// Sets every stream up and lets them play: what the camera says that it plays.
    pub(super) async fn play(&mut self, logins: &Logins) -> Result<Played, CameraError> {
        in_time(self.set_up_and_play(logins)).await
    }

    async fn set_up_and_play(&mut self, logins: &Logins) -> Result<Played, Failure> {
        let all: Vec<usize> = (0..self.description.media.len()).collect();
        self.set_up(&all, &[], logins).await?;
        let mut fields = vec![(Field::Range, "npt=0.000-".to_owned())];
        fields.extend(self.session_field());
        let uri = self.aggregate();
        let answer = self.ask(&Method::Play, &uri, &fields, logins).await?;
        ok(&answer)?;
        Ok(Played { range: None, begins: self.begins(&answer, &all) })
    }

    /// Sets the streams of these numbers up, with these fields besides.
    async fn set_up(
        &mut self,
        wanted: &[usize],
        besides: &[(Field, String)],
        logins: &Logins,
    ) -> Result<(), Failure> {
        let media = self.description.media.clone();
        let first = self.own;
        let own = |number: usize| source(first, number);
        let tracks: Vec<(&Media, Ssrc)> =
            media.iter().enumerate().map(|(number, media)| (media, own(number))).collect();
        let counts = self.packets.counts;
        self.packets = Packets::new(&tracks).screened(&self.screen);
        // They go on over tries that the camera refused; ways that these had are given up.
        self.packets.counts = counts;
        self.datagrams = Datagrams::default();
        self.said_on.clear();
        self.heard.clear();
        let mut kept_back = None;
        // What goes over TLS otherwise is not had in datagrams, which go in clear.
        let may_go_in_datagrams = !self.wire.is_over_tls();
        let mut in_datagrams = may_go_in_datagrams && logins.has(Quirk::DatagramsOnly);
        for (number, (media, _)) in tracks.iter().enumerate().filter(|(number, _)| wanted.contains(number)) {
            let mut answer = self.ask_for(number, media, in_datagrams, besides, logins).await?;
            // Nothing was set up yet, so all may go the other way.
            let refused = answer.status == Status::UnsupportedTransport.code() && !self.is_set_up;
            if refused && may_go_in_datagrams && !in_datagrams {
                logins.observe(Quirk::DatagramsOnly, "it refused a stream on the connection (461)");
                if logins.has(Quirk::DatagramsOnly) {
                    in_datagrams = true;
                    answer = self.ask_for(number, media, true, besides, logins).await?;
                }
            }
            match ok(&answer) {
                Ok(()) => {}
                // A camera that keeps back one of its streams still has the others.
                Err(failure @ Failure::BadRtspStatus(_)) => {
                    self.datagrams.close(channels(number)?.0 / 2);
                    kept_back = Some(failure);
                    continue;
                }
                Err(failure) => return Err(failure),
            }
            let session = answer.fields.get(Field::Session).and_then(Session::parse);
            // Some give a new name with each stream; the last is the one they go by.
            self.session = session.or(self.session.take());
            self.is_set_up = true;
            let given = answer.fields.get(Field::Transport).map(Transport::parse_list).unwrap_or_default();
            // Of a zone's own rules, only what answers is let in.
            if in_datagrams && logins.dialler().is_inside() && ports(given.first()).is_none() {
                return Err(Failure::PortNotNamed);
            }
            self.take_way(number, given.first(), in_datagrams)?;
        }
        // Before the camera begins: what lies on the way is to let its packets in.
        self.datagrams.knock(self.own);
        if !self.datagrams.is_empty() {
            self.report_all().await?;
        }
        self.told = self.clock.monotonic();
        kept_back.filter(|_| !self.is_set_up).map_or(Ok(()), Err)
    }

    /// Sets the streams of a recording up, if they are not, and has a part of it played for the request of this
    /// number: what the camera says that it plays.
    pub(super) async fn replay(
        &mut self,
        playback: &Playback,
        wanted: &[usize],
        viewer: u32,
        logins: &Logins,
    ) -> Result<Played, CameraError> {
        let required = (Field::Require, REPLAY_FEATURE.to_owned());
        let played = async {
            if !self.is_set_up {
                self.set_up(wanted, std::slice::from_ref(&required), logins).await?;
            }
            // Datagrams that come faster than they are taken are lost, and nobody would say so.
            if playback.is_pulled() && !self.datagrams.is_empty() {
                return Err(Failure::NotHeldBack);
            }
            let mut fields = vec![required];
            fields.extend(playback.fields());
            fields.extend(self.session_field());
            let uri = self.aggregate();
            // Packets may come before the answer.
            self.packets.replay(self.wire.cseq + 1, viewer);
            let answer = self.ask(&Method::Play, &uri, &fields, logins).await?;
            ok(&answer)?;
            self.packets.replay(self.wire.cseq, viewer);
            let range = answer.fields.get(Field::Range).and_then(|it| Range::parse(it).ok());
            Ok(Played { range, begins: self.begins(&answer, wanted) })
        };
        in_time(played).await
    }

    /// Where the streams of these numbers begin, as far as an answer to PLAY says so and it is true of what is handed
    /// on. Whose addresses are nobody's is taken to name all in their order.
    fn begins(&self, answer: &Response, wanted: &[usize]) -> Vec<(usize, Option<u16>, Option<u32>)> {
        let said = answer.fields.get(Field::RtpInfo).map(Begins::parse_list).unwrap_or_default();
        let media = &self.description.media;
        let heard = |number: &usize| media.get(*number).is_some_and(|it| it.direction == Direction::Receive);
        let heard: Vec<usize> = wanted.iter().copied().filter(heard).collect();
        let named = |url: &str| {
            let url = self.control(url);
            let is = |it: &usize| media.get(*it).is_some_and(|it| self.control(&it.control) == url);
            heard.iter().copied().find(is)
        };
        let in_order = said.len() == heard.len() && said.iter().all(|it| named(&it.url).is_none());
        let number = |(place, it): (usize, &Begins)| {
            let number = if in_order { heard.get(place).copied() } else { named(&it.url) }?;
            Some((number, it.sequence.filter(|_| !self.packets.is_renumbered(number)), it.timestamp))
        };
        said.iter().enumerate().filter_map(number).collect()
    }

    /// Sets streams up, back channels among them, and lets them play: what the camera says that it plays.
    pub(super) async fn talk(&mut self, wanted: &[usize], logins: &Logins) -> Result<Played, CameraError> {
        let talking = async {
            if !self.is_set_up {
                self.set_up(wanted, &[backchannel()], logins).await?;
            }
            let mut fields = vec![backchannel()];
            fields.extend(self.session_field());
            let uri = self.aggregate();
            let answer = self.ask(&Method::Play, &uri, &fields, logins).await?;
            ok(&answer)?;
            Ok(Played { range: None, begins: self.begins(&answer, wanted) })
        };
        in_time(talking).await
    }

    /// Sends a packet on the back channel of this number, if it was set up.
    pub async fn say(&mut self, number: usize, packet: &[u8]) -> Result<(), Failure> {
        let Some((_, channel)) = self.said_on.iter().find(|(it, _)| *it == number).copied() else {
            return Ok(());
        };
        let mut said = Vec::new();
        if !write_frame(&mut said, channel, packet) {
            return Err(Failure::TooLarge(packet.len()));
        }
        self.wire.write(&said).await
    }

    /// Pauses a recording.
    pub(super) async fn pause(&mut self, logins: &Logins) -> Result<(), CameraError> {
        let paused = async {
            let fields: Vec<_> = self.session_field().into_iter().collect();
            let uri = self.aggregate();
            ok(&self.ask(&Method::Pause, &uri, &fields, logins).await?)
        };
        in_time(paused).await
    }

    /// Asks for one stream.
    async fn ask_for(
        &mut self,
        number: usize,
        media: &Media,
        in_datagrams: bool,
        besides: &[(Field, String)],
        logins: &Logins,
    ) -> Result<Response, Failure> {
        let uri = self.control(&media.control);
        let asked = if in_datagrams {
            let way = (self.wire.here()?, self.wire.address.ip());
            let ports = self.datagrams.open(channels(number)?.0 / 2, logins.dialler(), way).await?;
            Transport { server_port: None, ..Transport::datagrams(ports, ports) }
        } else {
            Transport::interleaved(channels(number)?)
        };
        let mut fields = vec![(Field::Transport, asked.to_string())];
        fields.extend(self.session_field());
        fields.extend_from_slice(besides);
        self.ask(&Method::Setup, &uri, &fields, logins).await
    }

    /// Hears a stream on the way that the camera gave it.
    fn take_way(
        &mut self,
        number: usize,
        given: Option<&Transport>,
        in_datagrams: bool,
    ) -> Result<(), Failure> {
        let own = channels(number)?;
        let media = self.description.media.get(number);
        if media.is_some_and(|it| it.direction == Direction::Send) {
            // Nothing is said in datagrams.
            if in_datagrams {
                return Err(Failure::BadRtspStatus(Status::UnsupportedTransport.code()));
            }
            self.said_on.push((number, given.and_then(|it| it.interleaved).unwrap_or(own).0));
            return Ok(());
        }
        if let Some(source) = given.and_then(|it| it.ssrc) {
            self.packets.announce(number, source);
        }
        if !in_datagrams {
            let channels = given.and_then(|it| it.interleaved).unwrap_or(own);
            self.packets.on_channels(number, channels);
            self.heard.push((number, channels.1));
            return Ok(());
        }
        self.packets.on_channels(number, own);
        self.heard.push((number, own.1));
        // Some name none, and are heard all the same.
        self.datagrams.named(own.0 / 2, ports(given).unwrap_or_default());
        Ok(())
    }

    /// What came since this was asked last; nothing if a sign of life is due. Waits for it as long as it takes; nothing
    /// is lost if it is given up.
    pub async fn read(&mut self) -> Result<Vec<Segment>, Failure> {
        loop {
            let segments = self.read_some().await?;
            if !segments.is_empty() || self.is_sign_due() {
                return Ok(segments);
            }
        }
    }

    /// The same, but nothing now and then: at least as often as something came of which nothing passes.
    pub async fn read_some(&mut self) -> Result<Vec<Segment>, Failure> {
        if self.early.is_empty() {
            let mut hear = Hearing { packets: &mut self.packets, early: &mut self.early };
            // Answers to signs of life say nothing that is needed, but that they want another nonce or other signs: at
            // once, for who is not heard may send nothing more.
            while let Some(answer) = self.wire.next(&mut hear)? {
                if self.signs.hear(&answer) {
                    if self.signs.due == Some(Due::Login) {
                        self.wire.renew(&answer);
                    }
                    return Ok(self.early.drain(..).collect());
                }
            }
        }
        if self.early.is_empty() {
            let Self { wire, datagrams, packets, early, clock, .. } = self;
            tokio::select! {
                read = wire.read() => {
                    read?;
                    packets.come_at(clock.monotonic());
                }
                came = datagrams.read(packets, &**clock), if !datagrams.is_empty() => {
                    early.extend(came.map_err(|_| Failure::Reset)?);
                }
            }
        }
        Ok(self.early.drain(..).collect())
    }

    /// How long it may be until a sign of life.
    pub fn sign_interval(&self) -> Duration {
        let timeout_seconds = self.session.as_ref().map_or(Session::TIMEOUT_SECONDS, |it| it.timeout_seconds);
        Duration::from_secs(u64::from(timeout_seconds / 2).max(1))
    }

    /// Whether the camera refused the last sign of life, so that another is due at once.
    pub fn is_sign_due(&self) -> bool {
        self.signs.due.is_some()
    }

    /// A sign of life: how long until the next is due. It is not waited for: some never answer it, and what is relayed
    /// does not wait for logins that others try meanwhile.
    pub(super) async fn keep_alive(&mut self, logins: &Logins) -> Result<Duration, Failure> {
        match self.signs.due.take() {
            Some(Due::Refused) => {
                logins.refused(&logins.beside());
                return Err(Failure::LoginRefused(Retry(logins.pause())));
            }
            // Nor is a login shown that a camera may count, while it is known to be refused elsewhere.
            Some(Due::Login) | None if self.signs.renewed && logins.may_try().is_err() => {
                return Ok(SIGN_PAUSE);
            }
            Some(Due::Login | Due::Another) | None => {}
        }
        let method = SIGNS.get(self.signs.place).cloned().unwrap_or(Method::Options);
        let fields: Vec<_> = self.session_field().into_iter().collect();
        let uri = self.aggregate();
        self.wire.send(&method, &uri, &fields).await?;
        self.signs.cseq = Some(self.wire.cseq);
        self.datagrams.knock(self.own);
        Ok(self.sign_interval())
    }

    /// How long until the camera is to be told how its packets come.
    pub fn report_due(&self) -> Duration {
        STREAM_REPORT_INTERVAL.saturating_sub(self.clock.monotonic().saturating_sub(self.told))
    }

    /// Tells the camera how its packets come (RFC 3550 §6.4.2), if that is due.
    pub async fn report(&mut self) -> Result<(), Failure> {
        if !self.report_due().is_zero() {
            return Ok(());
        }
        self.told = self.clock.monotonic();
        self.report_all().await
    }

    async fn report_all(&mut self) -> Result<(), Failure> {
        let (now, mut frames) = (self.clock.monotonic(), Vec::new());
        for (number, channel) in &self.heard {
            let own = source(self.own, *number);
            let reception = self.packets.reception(*number, now);
            let report = reception.map_or_else(|| receiver_report(own), |it| it.write(own));
            if !self.datagrams.is_empty() {
                self.datagrams.report(channels(*number)?.0 / 2, &report);
            } else if !write_frame(&mut frames, *channel, &report) {
                return Err(Failure::TooLarge(report.len()));
            }
        }
        if frames.is_empty() { Ok(()) } else { self.wire.write(&frames).await }
    }

    /// Says goodbye and closes, so that the camera has a place for the next.
    pub async fn close(mut self) {
        let uri = self.aggregate();
        if !self.is_set_up {
            return;
        }
        let mut fields: Vec<_> = self.session_field().into_iter().collect();
        fields.extend(self.talk.then(backchannel));
        // A camera that does not take it notices the end of the connection.
        let goodbye = async {
            self.wire.send(&Method::Teardown, &uri, &fields).await.ok()?;
            self.wire.shut().await.ok()
        };
        if let Ok(Some(())) = timeout(CAMERA_CONNECT_TIME_MAX, goodbye).await {
            self.wire.see_off().await;
        }
    }

    /// Whether it was opened at this address.
    pub(super) fn is_at(&self, endpoint: &Endpoint) -> bool {
        self.endpoint == *endpoint
    }

    /// The source that each stream has on the core side.
    pub fn sources(&self) -> Vec<Ssrc> {
        (0..self.description.media.len()).map(|number| source(self.own, number)).collect()
    }

    /// Has its first stream, and the others after it, be of this source on the core side. Before any is set up.
    pub fn speak_as(&mut self, first: Ssrc) {
        self.own = first;
    }

    /// Whether the camera has said that all of its streams are over.
    pub fn have_ended(&self) -> bool {
        self.packets.have_ended()
    }

    /// How far each of its streams is.
    pub fn positions(&self) -> impl Iterator<Item = Option<Positions>> + '_ {
        self.packets.positions()
    }

    /// Why a stream ended, in more words where more is known of it.
    pub fn explained(&self, failure: Failure) -> Failure {
        let counts = self.packets.counts;
        let nothing = counts.passed + counts.dropped() == 0 && !self.datagrams.is_empty();
        if failure == Failure::TimedOut(Phase::Answer) && nothing { Failure::NoDatagrams } else { failure }
    }

    /// What happened to packets so far.
    pub fn counts(&self) -> PacketCounts {
        self.packets.counts
    }

    async fn ask(
        &mut self,
        method: &Method,
        uri: &str,
        fields: &[(Field, String)],
        logins: &Logins,
    ) -> Result<Response, Failure> {
        let mut hear = Hearing { packets: &mut self.packets, early: &mut self.early };
        self.wire.ask(method, uri, fields, logins, &mut hear).await
    }

    fn session_field(&self) -> Option<(Field, String)> {
        self.session.as_ref().map(|it| (Field::Session, it.id.clone()))
    }

    /// The address that controls all streams.
    fn aggregate(&self) -> String {
        match self.description.control.as_deref() {
            None | Some("*" | "") => self.base.trim_end_matches('/').to_owned(),
            Some(control) => self.control(control),
        }
    }

    /// A control address: absolute ones at the enrolled host, others below the base (RFC 2326 §C.1.1, as players
    /// read it: joined, not resolved).
    fn control(&self, control: &str) -> String {
        if let Some(absolute) = control.contains("://").then(|| self.wire.at_host(control)).flatten() {
            return absolute;
        }
        match control {
            "" | "*" => self.base.clone(),
            _ if self.base.ends_with('/') || control.starts_with('/') => format!("{}{control}", self.base),
            _ => format!("{}/{control}", self.base),
        }
    }
}

fn backchannel() -> (Field, String) {
    (Field::Require, BACKCHANNEL_FEATURE.to_owned())
}

/// What the camera is asked, if it answers in time.
async fn in_time<T>(asked: impl Future<Output = Result<T, Failure>>) -> Result<T, CameraError> {
    let done = timeout(CAMERA_EXCHANGE_TIME_MAX, asked).await;
    let failed = |failure| CameraError { failure, sent: true };
    done.unwrap_or(Err(Failure::TimedOut(Phase::Answer))).map_err(failed)
}

/// The channels of a stream.
fn channels(number: usize) -> Result<(u8, u8), Failure> {
    let channel = u8::try_from(number * 2).map_err(|_| Failure::Malformed("too many streams".into()))?;
    Ok((channel, channel.saturating_add(1)))
}

/// The ports that packets of a stream come from, if the camera names them: what it counts on from zero are none.
fn ports(given: Option<&Transport>) -> Option<(u16, u16)> {
    given?.server_port.filter(|(rtp, _)| *rtp != 0)
}

/// Streams of one session have sources one after the other.
fn source(first: Ssrc, number: usize) -> Ssrc {
    Ssrc(first.0.wrapping_add(u32::try_from(number).unwrap_or_default()))
}

/// The port where an address names none (RFC 2326 §3.2).
const RTSP_PORT: u16 = 554;

fn ok(answer: &Response) -> Result<(), Failure> {
    match answer.status {
        code if code == Status::Ok.code() => Ok(()),
        300..400 => Err(Failure::Redirected),
        status => Err(Failure::BadRtspStatus(status)),
    }
}

/// What was read, in no more memory than it needs.
pub(super) fn exactly(mut read: Vec<u8>) -> BytesMut {
    read.shrink_to_fit();
    // Nothing is copied.
    Bytes::from(read).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::{Decoder, Peer, Received};

    fn answer(status: &str, cseq: u32) -> Response {
        let mut text = format!("RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n\r\n").as_bytes().into();
        match Decoder::new(Peer::Camera).next(&mut text).unwrap() {
            Some(Received::Response(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    /// What is due after each answer, and the kind of sign that is given next.
    fn heard(signs: &mut Signs, answers: &[&str]) -> Vec<(Option<Due>, usize)> {
        let hear = |(number, status): (usize, &&str)| {
            let cseq = u32::try_from(number).unwrap();
            signs.cseq = Some(cseq);
            signs.hear(&answer(status, cseq + 7));
            assert_eq!(signs.cseq, Some(cseq), "an answer to another says nothing");
            signs.hear(&answer(status, cseq));
            (signs.due.take(), signs.place)
        };
        answers.iter().enumerate().map(hear).collect()
    }

    #[test]
    fn what_comes_of_a_sign_of_life_says_what_is_due() {
        let (old, no, ok) = ("401 Unauthorized", "405 Method Not Allowed", "200 OK");
        let (login, refused, another) = (Some(Due::Login), Some(Due::Refused), Some(Due::Another));
        let first = Signs::new("OPTIONS, GET_PARAMETER");
        // A nonce is old each time, and another is taken.
        let due = heard(&mut first.clone(), &[ok, old, ok, old, ok]);
        assert_eq!(due, [(None, 0), (login, 0), (None, 0), (login, 0), (None, 0)]);
        let due = heard(&mut first.clone(), &[old, old, old]);
        assert_eq!(due, [(login, 0), (login, 1), (refused, 1)], "three logins at most");
        let due = heard(&mut first.clone(), &[old, old, ok, old, ok]);
        assert_eq!(due, [(login, 0), (login, 1), (None, 1), (login, 1), (None, 1)]);
        let due = heard(&mut first.clone(), &[no, no, no, ok]);
        assert_eq!(due, [(another, 1), (another, 2), (None, 2), (None, 2)]);
        let due = heard(&mut Signs::new("OPTIONS"), &[old, old]);
        assert_eq!(due, [(login, 1), (refused, 1)]);
    }
}
