//! A camera's RTSP server: describes the clip and plays it over the connection it is asked on.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{Interval, MissedTickBehavior, interval, sleep},
};
use tokio_rustls::TlsAcceptor;

use super::{
    clip::{KEY_TICKS, Sender, TICK_MILLISECONDS, Track, parameters},
    fault::{Fault, Said, Wire},
    login::Verdict,
    oddity::Oddity,
    recording::{Recording, Reel},
    server::Shared,
    wording::Wording,
};
use crate::{
    limits::{SIM_CONNECTIONS_MAX, STREAM_REPORT_BYTES_MAX},
    rtsp::{
        BACKCHANNEL_FEATURE, Decoder, Field, Lower, Method, Peer, Playback, REPLAY_FEATURE, Received,
        Request, Status, Transport, write_frame,
    },
};

/// Ticks between two sender reports.
const REPORT_TICKS: u64 = 50;
/// How a camera misbehaves while it plays stands under this name.
const PLAYING: &str = "rtsp:playing";
/// What an odd one has left of a session that is over: a packet and a report.
const STALE: &[u8] = b"$\x00\x00\x0e\x80\x60\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x65\x88\
                       $\x01\x00\x08\x80\xc9\x00\x01\x00\x00\x00\x01";
/// How long a client of an odd one may be silent.
const MUTE_SECONDS_MAX: u64 = 2;
/// How long a client of an odd one may give no report.
const UNREPORTED_TIME_MAX: Duration = Duration::from_secs(5);
/// How far from theirs an odd one's reports are.
const REPORTS_AWAY_CHANNELS: u8 = 64;

/// Serves streams until told to stop.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(SIM_CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, peer)) = listener.accept().await else { continue };
        let (shared, mut stopped) = (Arc::clone(&shared), stopped.clone());
        tokio::spawn(async move {
            let _place = place;
            let ticks = ticks();
            let begin = async {
                let here = stream.local_addr()?;
                let connection = Connection {
                    stream: line(stream, &shared).await?,
                    here,
                    peer,
                    words: shared.words(),
                    shared,
                    decoder: Decoder::new(Peer::Client),
                    described: None,
                    misled: false,
                    refused: false,
                    session: None,
                    ticks,
                    mute_ticks: 0,
                    reported: Duration::ZERO,
                };
                connection.serve().await
            };
            tokio::select! {
                // A client may go at any moment.
                _ = begin => {}
                _ = stopped.changed() => {}
            }
        });
    }
}

/// A connection as the client begins it: over TLS or, at the same port, in clear.
async fn line(stream: TcpStream, shared: &Shared) -> std::io::Result<Box<dyn Wire + Send>> {
    let mut first = [0];
    let Some(tls) = shared.tls() else { return Ok(Box::new(stream)) };
    stream.peek(&mut first).await?;
    // The type of a handshake's records (RFC 8446 §5.1).
    if first != [22] {
        return Ok(Box::new(stream));
    }
    Ok(Box::new(TlsAcceptor::from(tls).accept(stream).await?))
}

fn ticks() -> Interval {
    let mut ticks = interval(Duration::from_millis(TICK_MILLISECONDS.into()));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    ticks
}

struct Connection {
    stream: Box<dyn Wire + Send>,
    here: SocketAddr,
    peer: SocketAddr,
    shared: Arc<Shared>,
    words: Arc<Wording>,
    decoder: Decoder,
    /// Path and query of what was described last.
    described: Option<String>,
    /// What was described is what it was told to say in place of its answer, and is asked for by place.
    misled: bool,
    /// Somebody was refused for want of a login.
    refused: bool,
    session: Option<Session>,
    ticks: Interval,
    /// Ticks that came on time since the client asked for something that was answered as it should.
    mute_ticks: u32,
    /// When the client gave a report, or began to hear, by the camera's own clock.
    reported: Duration,
}

struct Session {
    id: String,
    /// Each track that was set up, with its name and where its packets go.
    tracks: Vec<(Sender, &'static str, Way)>,
    /// The next tick, while it plays.
    playing: Option<u64>,
    /// The part of a recording that it plays.
    reel: Option<Reel>,
    /// The channel on which it is talked to.
    talk: Option<u8>,
    /// How often an odd one had been asked for pictures to begin with when it showed one last.
    keys: Option<u64>,
}

/// Where packets go.
enum Way {
    /// On this channel of the connection, and its reports on the next.
    Channel(u8),
    /// To a client's ports, of RTP and RTCP; of an odd one, with what is sent after the next tick.
    Datagrams { rtp: UdpSocket, rtcp: UdpSocket, late: Option<Vec<u8>> },
}

impl Way {
    /// The first of the transports asked for that there is, as the client is told; channels are so far ahead of those
    /// asked for.
    fn open(
        asked: &[Transport],
        (datagrams_only, ahead): (bool, u8),
        (here, client): (IpAddr, IpAddr),
    ) -> std::io::Result<Option<(Self, Transport)>> {
        for one in asked {
            match (one.lower, one.interleaved, one.client_port) {
                (Lower::Tcp, Some((rtp, rtcp)), _) if !datagrams_only => {
                    let channels = (rtp.saturating_add(ahead), rtcp.saturating_add(ahead));
                    return Ok(Some((Self::Channel(channels.0), Transport::interleaved(channels))));
                }
                (Lower::Udp, _, Some(ports)) => {
                    let bound = [ports.0, ports.1].map(|port| {
                        let socket = UdpSocket::bind((here, 0))?;
                        socket.set_nonblocking(true)?;
                        socket.connect((client, port)).map(|()| socket)
                    });
                    let [rtp, rtcp] = bound;
                    let (rtp, rtcp) = (rtp?, rtcp?);
                    let own = (rtp.local_addr()?.port(), rtcp.local_addr()?.port());
                    let way = Self::Datagrams { rtp, rtcp, late: None };
                    return Ok(Some((way, Transport::datagrams(ports, own))));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Sends packets, or puts them among the bytes that are to go over the connection.
    fn send(&mut self, packets: &[Vec<u8>], disorders: bool, bytes: &mut Vec<u8>) {
        match self {
            Self::Channel(channel) => {
                packets.iter().for_each(|packet| _ = write_frame(bytes, *channel, packet))
            }
            Self::Datagrams { rtp, late, .. } if disorders => {
                let before = late.take();
                for pair in packets.chunks(2) {
                    for packet in pair.iter().rev() {
                        match packet.get(3).map(|low| low % 16) {
                            Some(5) => *late = Some(packet.clone()),
                            Some(9) => {}
                            _ => _ = rtp.send(packet),
                        }
                    }
                }
                if packets.is_empty() {
                    *late = before;
                } else if let Some(packet) = before {
                    let _ = rtp.send(&packet);
                }
            }
            // Whoever hears nothing asks again.
            Self::Datagrams { rtp, .. } => packets.iter().for_each(|packet| _ = rtp.send(packet)),
        }
    }

    /// The same of a report, which may go where nobody asked for it.
    fn report(&self, packet: &[u8], elsewhere: bool, bytes: &mut Vec<u8>) {
        match self {
            Self::Channel(channel) => {
                let away = if elsewhere { REPORTS_AWAY_CHANNELS } else { 1 };
                let _ = write_frame(bytes, channel.saturating_add(away), packet);
            }
            Self::Datagrams { rtp, rtcp, .. } if elsewhere => {
                let _ = rtcp.peer_addr().and_then(|client| rtp.send_to(packet, client));
            }
            Self::Datagrams { rtcp, .. } => _ = rtcp.send(packet),
        }
    }
}

impl Connection {
    async fn serve(mut self) -> std::io::Result<()> {
        let mut buffer = BytesMut::with_capacity(4_096);
        if self.shared.is(Oddity::StalePackets) {
            self.stream.write_all(STALE).await?;
        }
        loop {
            let playing = self.session.as_ref().is_some_and(|session| session.playing.is_some());
            let reel = self.session.as_ref().and_then(|it| it.reel.as_ref()).filter(|it| it.runs());
            let pulled = reel.map(|it| it.pulled);
            tokio::select! {
                read = self.stream.read_buf(&mut buffer) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    while let Some(received) = self.decoder.next(&mut buffer).map_err(std::io::Error::other)? {
                        match received {
                            Received::Request(request) => {
                                let answer = self.answer(&request);
                                if answer.starts_with(b"RTSP/1.0 200") {
                                    self.mute_ticks = 0;
                                }
                                let fault = self.shared.stream_fault(&request);
                                if self.misbehave(fault).await? {
                                    self.misled |= request.method == Method::Describe;
                                    continue;
                                }
                                // Who says nothing hangs up.
                                if answer.is_empty() {
                                    return Ok(());
                                }
                                self.stream.write_all(&answer).await?;
                            }
                            Received::Frame { channel, packet } => self.hear(channel, &packet),
                            Received::Response(_) => {}
                        }
                    }
                }
                // As fast as it is taken.
                () = tokio::task::yield_now(), if pulled == Some(true) => {
                    let packets = self.unwind();
                    self.stream.write_all(&packets).await?;
                }
                due = self.ticks.tick(), if playing || pulled == Some(false) => {
                    // Where the machine stood still, ticks come all at once, and nobody could say anything meanwhile.
                    let on_time = due.elapsed() < Duration::from_millis(TICK_MILLISECONDS.into());
                    self.mute_ticks = self.mute_ticks.saturating_add(u32::from(on_time));
                    self.hear_datagrams();
                    if self.is_over() {
                        return Ok(());
                    }
                    let fault = self.shared.fault_of(PLAYING);
                    if self.misbehave(fault).await? {
                        continue;
                    }
                    let packets = if playing { self.tick() } else { self.unwind() };
                    self.stream.write_all(&packets).await?;
                }
            }
        }
    }

    /// Does what it is told to in place of an answer, or of the packets that are due, if it is told to; what is asked
    /// was carried out all the same.
    async fn misbehave(&mut self, fault: Option<Fault>) -> std::io::Result<bool> {
        match fault {
            Some(Fault::Hang) => Ok(true),
            Some(Fault::Slow(time)) => {
                sleep(time).await;
                Ok(false)
            }
            Some(Fault::Reset) => Err(std::io::ErrorKind::ConnectionReset.into()),
            Some(Fault::Say(Said { bytes, times, stays })) => {
                let mut said = 0;
                while times == 0 || said < times {
                    self.stream.write_all(&bytes).await?;
                    said += 1;
                }
                if stays { Ok(true) } else { Err(std::io::ErrorKind::ConnectionAborted.into()) }
            }
            // The others are about HTTP.
            _ => Ok(false),
        }
    }

    /// Whether an odd one has heard nothing of its client for too long.
    fn is_over(&self) -> bool {
        let unreported = self.shared.options.clock.monotonic().saturating_sub(self.reported);
        if self.shared.is(Oddity::EndsUnreported) && unreported > UNREPORTED_TIME_MAX {
            return true;
        }
        let milliseconds = u64::from(self.mute_ticks) * u64::from(TICK_MILLISECONDS);
        self.shared.is(Oddity::EndsMuteSessions) && milliseconds > MUTE_SECONDS_MAX * 1_000
    }

    /// For how long a client may be silent, as it is told.
    fn timeout_seconds(&self) -> String {
        let usual = self.words.setting("timeout").unwrap_or_default().to_owned();
        if self.shared.is(Oddity::EndsMuteSessions) { MUTE_SECONDS_MAX.to_string() } else { usual }
    }

    /// Packets of a client are what it says, or its reports.
    fn hear(&mut self, channel: u8, packet: &[u8]) {
        let Some(session) = &self.session else { return };
        if session.playing.is_some() && session.talk == Some(channel) {
            self.shared.remember_said(packet);
        }
        let is_of = |way: &Way| matches!(way, Way::Channel(it) if it.checked_add(1) == Some(channel));
        if let Some((sender, ..)) = session.tracks.iter().find(|(.., way)| is_of(way)) {
            self.shared.remember_report(sender, packet);
            self.reported = self.shared.options.clock.monotonic();
        }
    }

    /// Takes the reports that came in datagrams.
    fn hear_datagrams(&mut self) {
        let mut packet = [0; STREAM_REPORT_BYTES_MAX];
        for (sender, _, way) in self.session.iter().flat_map(|it| &it.tracks) {
            let Way::Datagrams { rtcp, .. } = way else { continue };
            while let Ok(length) = rtcp.recv(&mut packet) {
                self.shared.remember_report(sender, packet.get(..length).unwrap_or_default());
                self.reported = self.shared.options.clock.monotonic();
            }
        }
    }

    /// The packets of a recording that are next.
    fn unwind(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Some(session) = &mut self.session else { return bytes };
        let Some((tick, recorded)) = session.reel.as_mut().and_then(Reel::advance) else { return bytes };
        for (sender, _, way) in &mut session.tracks {
            way.send(&sender.recorded(tick, &recorded), false, &mut bytes);
        }
        bytes
    }

    /// The packets that are due.
    fn tick(&mut self) -> Vec<u8> {
        let (now, elsewhere) = (self.shared.time(), self.shared.is(Oddity::ReportsElsewhere));
        let reports = !self.words.is("reports", "none");
        let Some(session) = &mut self.session else { return Vec::new() };
        let Some(tick) = session.playing else { return Vec::new() };
        session.playing = Some(tick + 1);
        let mut bytes = Vec::new();
        let beside = self.shared.is(Oddity::GoesOnBeside);
        let disorders = self.shared.is(Oddity::DisordersDatagrams);
        let keys = self.shared.is(Oddity::KeysWhenAsked).then(|| self.shared.keys_asked());
        // Of ten pictures the first is one to begin with.
        let shows =
            keys.map(
                |keys| if session.keys.replace(keys) == Some(keys) { 1 + tick % (KEY_TICKS - 1) } else { 0 },
            );
        for (sender, _, way) in &mut session.tracks {
            sender.shows = shows;
            way.send(&sender.packets(tick, now), disorders, &mut bytes);
            if reports && tick.is_multiple_of(REPORT_TICKS) {
                way.report(&sender.report(tick, now), elsewhere, &mut bytes);
            }
        }
        if beside {
            bytes.extend_from_slice(STALE);
        }
        bytes
    }

    fn answer(&mut self, request: &Request) -> Vec<u8> {
        // What streams there could be, anybody may know, of most.
        let for_logins = request.method != Method::Options || self.words.setting("login.all").is_some();
        let verdict = for_logins.then(|| self.shared.check_stream(request));
        let said = match verdict.filter(|it| !matches!(it, Verdict::User(_))) {
            Some(verdict) => self.refuse(request, verdict),
            None => self.carry_out(request).unwrap_or_else(|status| {
                let (code, reason) = status.parts();
                self.say("otherwise", request, &[("status", format!("{code} {reason}"))])
            }),
        };
        self.shared.remember_stream(request, verdict, self.peer);
        said.into_bytes()
    }

    fn refuse(&mut self, request: &Request, verdict: Verdict) -> String {
        let mut challenges = self.shared.challenge_stream(verdict == Verdict::WrongDigest { stale: true });
        let first = !std::mem::replace(&mut self.refused, true);
        if first && self.words.setting("login.unsaid").is_some() {
            challenges.clear();
        }
        let values = self.values(request);
        self.words.lines("401", &values, ("challenge", &challenges), LINE_END) + LINE_END
    }

    fn carry_out(&mut self, request: &Request) -> Result<String, Status> {
        let method = request.method.as_str();
        match &request.method {
            Method::Options if self.session.is_some() && self.shared.is(Oddity::RefusesOptionsInSession) => {
                Err(Status::MethodNotValidInThisState)
            }
            Method::Options => Ok(self.say(method, request, &[])),
            Method::Describe => Ok(self.describe(request)),
            Method::Setup => self.set_up(request),
            Method::Play => self.play(request),
            Method::Pause => {
                let session = self.session_of(request)?;
                session.playing = None;
                session.reel.iter_mut().for_each(Reel::pause);
                Ok(self.say(method, request, &[]))
            }
            Method::GetParameter if self.shared.is(Oddity::RefusesGetParameter) => {
                Err(Status::MethodNotAllowed)
            }
            Method::GetParameter | Method::SetParameter => {
                self.session_of(request)?;
                Ok(self.say(method, request, &[]))
            }
            Method::Teardown => {
                self.session_of(request)?;
                let said = self.say(method, request, &[]);
                self.session = None;
                Ok(said)
            }
            Method::Other(_) => Err(Status::MethodNotAllowed),
        }
    }

    /// The head of an answer; nothing where nothing is said.
    fn say(&self, section: &str, request: &Request, more: &[(&'static str, String)]) -> String {
        let mut values = self.values(request);
        values.extend_from_slice(more);
        let said = self.words.lines(section, &values, ("", &[]), LINE_END);
        if said.is_empty() { said } else { said + LINE_END }
    }

    /// What may stand in every answer.
    fn values(&self, request: &Request) -> Vec<(&'static str, String)> {
        let asked = target(&request.uri);
        let described = self.described.as_deref().filter(|_| request.method != Method::Describe);
        let target = described.unwrap_or(asked);
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        let here = self.here;
        let mut values = vec![
            ("cseq", request.cseq.to_string()),
            ("uri", request.uri.clone()),
            ("target", target.to_owned()),
            ("path", path.to_owned()),
            ("?query", target.get(path.len()..).unwrap_or_default().to_owned()),
            ("host", here.ip().to_string()),
            ("port", here.port().to_string()),
            ("client", self.peer.ip().to_string()),
            ("lan.address", self.shared.variable("lan.address")),
            ("realm", self.shared.variable("realm")),
            ("timeout", self.timeout_seconds()),
            ("sp", " ".to_owned()),
            ("tab", "\t".to_owned()),
        ];
        values.extend(self.session.as_ref().map(|it| ("session", it.id.clone())));
        values
    }

    /// The streams there are, each with the token of its recording and its name.
    fn offered(&self, recording: Option<&Recording>) -> Vec<(Track, Option<String>, &'static str)> {
        let name = |track: Track| self.words.word("controls", track.place()).unwrap_or_default();
        match recording {
            Some(it) => {
                it.tracks.iter().map(|(track, token)| (*track, Some(token.clone()), name(*track))).collect()
            }
            None => Track::ALL.map(|track| (track, None, name(track))).into(),
        }
    }

    fn describe(&mut self, request: &Request) -> String {
        let asked = target(&request.uri).to_owned();
        if let Some(moved) = self.words.setting("moved").filter(|it| **it != asked) {
            return self.say("302", request, &[("moved", moved.to_owned())]);
        }
        self.described = Some(asked);
        let end = match self.words.setting("sdp.ends") {
            Some("lf") => "\n",
            Some("cr") => "\r",
            _ => LINE_END,
        };
        let mut values = self.values(request);
        values.extend(parameters());
        let lines = |section: &str, more: &[(&'static str, String)]| {
            self.words.lines(section, &[&values, more].concat(), ("", &[]), end)
        };
        let recording = self.recording();
        let mut text = lines("sdp", &[]);
        for (track, token, name) in self.offered(recording.as_ref()) {
            let mut more = vec![("type", self.payload_type(track).to_string()), ("control", name.to_owned())];
            more.extend(token.map(|it| ("track", it)));
            text += &lines(track.section(), &more);
        }
        if recording.is_none() && talks(request) {
            text += &lines("sdp back", &[("control", self.back_channel().to_owned())]);
        }
        text += &lines("sdp end", &[]);
        self.say("DESCRIBE", request, &[("length", text.len().to_string())]) + &text
    }

    fn payload_type(&self, track: Track) -> u8 {
        self.words.word("types", track.place()).and_then(|it| it.parse().ok()).unwrap_or_default()
    }

    /// The name of the stream on which it is talked to, which stands behind the others.
    fn back_channel(&self) -> &'static str {
        self.words.word("controls", Track::ALL.len()).unwrap_or_default()
    }

    fn set_up(&mut self, request: &Request) -> Result<String, Status> {
        let recording = self.recording();
        let (asked, values) = (target(&request.uri), self.values(request));
        let is = |place: usize, name: &str| match self.misled {
            true => asked.ends_with(&format!("/stream={place}")),
            false => {
                self.words.fits("setup", asked, &[&values[..], &[("control", name.to_owned())]].concat())
            }
        };
        let track = self.offered(recording.as_ref()).into_iter().find(|(it, _, name)| is(it.place(), name));
        let talk = track.is_none() && talks(request) && is(Track::ALL.len(), self.back_channel());
        // Whoever talks sends, so that the track is never played.
        let back = (Track::Audio, None, self.back_channel());
        let (track, _, name) = track.or(talk.then_some(back)).ok_or(Status::NotFound)?;
        if recording.is_some() && request.fields.get(Field::Require) != Some(REPLAY_FEATURE) {
            return Err(Status::BadRequest);
        }
        if track == Track::Video && self.shared.is(Oddity::KeepsPicturesBack) {
            return Err(Status::NotEnoughBandwidth);
        }
        let asked = request.fields.get(Field::Transport).map(Transport::parse_list).unwrap_or_default();
        let datagrams_only = self.shared.is(Oddity::DatagramsOnly);
        let ahead = self.words.setting("channels.ahead").and_then(|it| it.parse().ok()).unwrap_or(0);
        let opened = Way::open(&asked, (datagrams_only, ahead), (self.here.ip(), self.peer.ip()));
        let (way, transport) = opened.ok().flatten().ok_or(Status::UnsupportedTransport)?;
        let mut random = [0; 18];
        self.shared.fill(&mut random).map_err(|_| Status::InternalServerError)?;
        let [id @ .., s0, s1, s2, s3, n0, n1, t0, t1, t2, t3] = random;
        let id = self.session_name(id);
        let renamed =
            self.shared.is(Oddity::SessionRenamed) || self.words.setting("session.renamed").is_some();
        let session = self.session.get_or_insert_with(|| Session {
            id: id.clone(),
            tracks: Vec::new(),
            playing: None,
            reel: None,
            talk: None,
            keys: None,
        });
        if renamed {
            session.id = id;
        }
        let ssrc = u32::from_be_bytes([s0, s1, s2, s3]);
        let numbers = (u16::from_be_bytes([n0, n1]), u32::from_be_bytes([t0, t1, t2, t3]));
        match way {
            Way::Channel(channel) if talk => session.talk = Some(channel),
            Way::Datagrams { .. } if talk => return Err(Status::UnsupportedTransport),
            way => {
                let payload_type = self.payload_type(track);
                let sender = Sender::new((track, payload_type), ssrc, numbers);
                let sender = sender.saying(self.shared.variable("rtsp.metadata"));
                if let Some(session) = &mut self.session {
                    session.tracks.push((sender, name, way));
                }
            }
        }
        Ok(self.say("SETUP", request, &self.told(transport, ssrc)))
    }

    /// What a client is told of the way of its packets.
    fn told(&self, transport: Transport, ssrc: u32) -> Vec<(&'static str, String)> {
        let none = self.shared.is(Oddity::NamesNoPorts);
        let others = self.shared.is(Oddity::NamesOtherPorts);
        let server_port = transport.server_port.map(|(rtp, rtcp)| match (none, others) {
            (true, _) => (0, 0),
            (false, true) => (rtp ^ 2, rtcp ^ 2),
            (false, false) => (rtp, rtcp),
        });
        let channels = transport.interleaved.map(|(rtp, rtcp)| (u16::from(rtp), u16::from(rtcp)));
        let pairs =
            [("channels", channels), ("client_port", transport.client_port), ("server_port", server_port)];
        let pairs = pairs.into_iter().filter_map(|(name, pair)| Some((name, pair?)));
        let sources = [("ssrc", format!("{ssrc:08X}")), ("ssrc.lower", format!("{ssrc:x}"))];
        pairs.map(|(name, (rtp, rtcp))| (name, format!("{rtp}-{rtcp}"))).chain(sources).collect()
    }

    /// A session's name of random bytes.
    fn session_name(&self, random: [u8; 8]) -> String {
        match self.words.setting("session") {
            Some("decimal") => (u64::from_be_bytes(random) >> 24).to_string(),
            _ => random.iter().map(|byte| format!("{byte:02X}")).collect(),
        }
    }

    /// What was described, if it is a recording.
    fn recording(&self) -> Option<Recording> {
        let (_, token) = self.described.as_ref()?.split_once("?recording=")?;
        self.shared.recording(token)
    }

    fn play_recording(&mut self, request: &Request, recording: &Recording) -> Result<String, Status> {
        self.ticks = ticks();
        if request.fields.get(Field::Require) != Some(REPLAY_FEATURE) {
            return Err(Status::BadRequest);
        }
        let playback = Playback::of(&request.fields).map_err(|error| error.status())?;
        let before = self.session.as_ref().and_then(|it| it.reel.as_ref());
        let reel = Reel::new(recording, &playback, request.cseq, before).ok_or(Status::InvalidRange)?;
        let mut said = Vec::new();
        if let Some(range) = reel.range() {
            said.extend(["range", "range.clock"].map(|name| (name, range.to_string())));
        }
        said.extend(self.begins(request, reel.next().unwrap_or_default()));
        self.session_of(request)?.reel = Some(reel);
        Ok(self.say("PLAY", request, &said))
    }

    fn play(&mut self, request: &Request) -> Result<String, Status> {
        self.reported = self.shared.options.clock.monotonic();
        if !self.misled && !self.words.fits("play", target(&request.uri), &self.values(request)) {
            return Err(Status::NotFound);
        }
        if let Some(recording) = self.recording() {
            return self.play_recording(request, &recording);
        }
        // The first picture is due at once.
        self.ticks = ticks();
        let mut said = vec![("range", "npt=now-".to_owned()), ("live", String::new())];
        said.extend(self.begins(request, 0));
        let session = self.session_of(request)?;
        session.playing = Some(session.playing.unwrap_or(0));
        Ok(self.say("PLAY", request, &said))
    }

    /// Where each track begins, with this tick.
    fn begins(&self, request: &Request, tick: u64) -> Option<(&'static str, String)> {
        let values = self.values(request);
        let one = |(sender, name, _): &(Sender, &'static str, Way)| {
            let more = [
                ("control", (*name).to_owned()),
                ("sequence", sender.sequence.to_string()),
                ("timestamp", sender.at(tick).to_string()),
                ("ssrc.lower", format!("{:x}", sender.ssrc)),
            ];
            self.words.line("begins", &[&values[..], &more].concat())
        };
        let all: Vec<_> = self.session.as_ref()?.tracks.iter().map(one).collect();
        (!all.is_empty()).then(|| ("info", all.join(",")))
    }

    /// The session, if it is the one that the request names.
    fn session_of(&mut self, request: &Request) -> Result<&mut Session, Status> {
        let named = request.fields.get(Field::Session);
        // Some go by the connection.
        let unnamed = self.words.is("session", "none");
        let session = self.session.as_mut().filter(|it| unnamed || named == Some(it.id.as_str()));
        session.ok_or(Status::SessionNotFound)
    }
}

/// What ends the lines of a head.
const LINE_END: &str = "\r\n";

/// Path and query of an address.
fn target(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}

fn talks(request: &Request) -> bool {
    request.fields.get(Field::Require) == Some(BACKCHANNEL_FEATURE)
}
