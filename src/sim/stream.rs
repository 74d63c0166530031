//! A camera's RTSP server: describes the clip and plays it over the connection it is asked on.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{Interval, MissedTickBehavior, interval},
};
use tokio_rustls::TlsAcceptor;

use super::{
    clip::{Sender, TICK_MILLISECONDS, Track},
    fault::{Fault, Said, Wire},
    login::Verdict,
    oddity::Oddity,
    recording::{Recording, Reel},
    server::Shared,
};
use crate::{
    limits::SIM_CONNECTIONS_MAX,
    rtsp::{
        BACKCHANNEL_FEATURE, Begins, Decoder, Field, Lower, Method, Peer, Playback, REPLAY_FEATURE, Received,
        Request, Status, Transport, Writer,
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
                let here = stream.local_addr()?.ip();
                let connection = Connection {
                    stream: line(stream, &shared).await?,
                    here,
                    peer,
                    shared,
                    decoder: Decoder::new(Peer::Client),
                    session: None,
                    ticks,
                    mute_ticks: 0,
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
    here: IpAddr,
    peer: SocketAddr,
    shared: Arc<Shared>,
    decoder: Decoder,
    session: Option<Session>,
    ticks: Interval,
    /// Ticks since the client asked for something that was answered as it should.
    mute_ticks: u32,
}

struct Session {
    id: String,
    /// Each track that was set up, with where its packets go.
    tracks: Vec<(Sender, Way)>,
    /// The next tick, while it plays.
    playing: Option<u64>,
    /// The part of a recording that it plays.
    reel: Option<Reel>,
    /// The channel on which it is talked to.
    talk: Option<u8>,
}

/// The back channel in a description, without its control line.
const BACK_CHANNEL: &str =
    "m=audio 0 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=sendonly\r\n";

/// Where packets go.
enum Way {
    /// On this channel of the connection, and its reports on the next.
    Channel(u8),
    /// To a client's ports, of RTP and RTCP.
    Datagrams(UdpSocket, UdpSocket),
}

impl Way {
    /// The first of the transports asked for that there is, as the client is told.
    fn open(
        asked: &[Transport],
        datagrams_only: bool,
        (here, client): (IpAddr, IpAddr),
    ) -> std::io::Result<Option<(Self, Transport)>> {
        for one in asked {
            match (one.lower, one.interleaved, one.client_port) {
                (Lower::Tcp, Some(channels), _) if !datagrams_only => {
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
                    return Ok(Some((Self::Datagrams(rtp, rtcp), Transport::datagrams(ports, own))));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Sends a packet, or puts it among the bytes that are to go over the connection.
    fn send(&self, packet: &[u8], bytes: &mut Vec<u8>) {
        match self {
            Self::Channel(channel) => framed(*channel, packet, bytes),
            // Whoever hears nothing asks again.
            Self::Datagrams(rtp, _) => _ = rtp.send(packet),
        }
    }

    /// The same of a report, which may go where nobody asked for it.
    fn report(&self, packet: &[u8], elsewhere: bool, bytes: &mut Vec<u8>) {
        match self {
            Self::Channel(channel) => {
                let away = if elsewhere { REPORTS_AWAY_CHANNELS } else { 1 };
                framed(channel.saturating_add(away), packet, bytes);
            }
            Self::Datagrams(rtp, rtcp) if elsewhere => {
                let _ = rtcp.peer_addr().and_then(|client| rtp.send_to(packet, client));
            }
            Self::Datagrams(_, rtcp) => _ = rtcp.send(packet),
        }
    }
}

/// Puts a packet among the bytes that are to go over the connection.
fn framed(channel: u8, packet: &[u8], bytes: &mut Vec<u8>) {
    let length = u16::try_from(packet.len()).unwrap_or_default();
    bytes.extend_from_slice(&[b'$', channel]);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(packet);
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
                                if !self.misbehave(fault).await? {
                                    self.stream.write_all(&answer).await?;
                                }
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
                _ = self.ticks.tick(), if playing || pulled == Some(false) => {
                    self.mute_ticks = self.mute_ticks.saturating_add(1);
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
        let milliseconds = u64::from(self.mute_ticks) * u64::from(TICK_MILLISECONDS);
        self.shared.is(Oddity::EndsMuteSessions) && milliseconds > MUTE_SECONDS_MAX * 1_000
    }

    /// For how long a client may be silent, as it is told.
    fn timeout_seconds(&self) -> u64 {
        if self.shared.is(Oddity::EndsMuteSessions) { MUTE_SECONDS_MAX } else { 60 }
    }

    /// Packets of a client are what it says, or its reports.
    fn hear(&self, channel: u8, packet: &[u8]) {
        let session = self.session.as_ref().filter(|it| it.playing.is_some());
        if session.is_some_and(|it| it.talk == Some(channel)) {
            self.shared.remember_said(packet);
        }
    }

    /// The packets of a recording that are next.
    fn unwind(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Some(session) = &mut self.session else { return bytes };
        let Some((tick, recorded)) = session.reel.as_mut().and_then(Reel::advance) else { return bytes };
        for (sender, way) in &mut session.tracks {
            for packet in sender.recorded(tick, &recorded) {
                way.send(&packet, &mut bytes);
            }
        }
        bytes
    }

    /// The packets that are due.
    fn tick(&mut self) -> Vec<u8> {
        let (now, elsewhere) = (self.shared.time(), self.shared.is(Oddity::ReportsElsewhere));
        let Some(session) = &mut self.session else { return Vec::new() };
        let Some(tick) = session.playing else { return Vec::new() };
        session.playing = Some(tick + 1);
        let mut bytes = Vec::new();
        for (sender, way) in &mut session.tracks {
            for packet in sender.packets(tick, now) {
                way.send(&packet, &mut bytes);
            }
            if tick.is_multiple_of(REPORT_TICKS) {
                way.report(&sender.report(tick, now), elsewhere, &mut bytes);
            }
        }
        bytes
    }

    fn answer(&mut self, request: &Request) -> Bytes {
        let plain = |status| Writer::response(status, Some(request.cseq));
        let verdict = (request.method != Method::Options).then(|| self.shared.check_stream(request));
        let written = match verdict.filter(|it| !matches!(it, Verdict::User(_))) {
            Some(verdict) => {
                let stale = verdict == (Verdict::WrongDigest { stale: true });
                let challenges = self.shared.challenge_stream(stale);
                let refusal = plain(Status::Unauthorized);
                let refusal =
                    challenges.iter().fold(refusal, |it, one| it.field(Field::WwwAuthenticate, one));
                refusal.finish()
            }
            // What streams there could be, anybody may know.
            None => match &request.method {
                Method::Options
                    if self.session.is_some() && self.shared.is(Oddity::RefusesOptionsInSession) =>
                {
                    plain(Status::MethodNotValidInThisState).finish()
                }
                Method::Options => {
                    let public = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER";
                    plain(Status::Ok).field(Field::Public, public).finish()
                }
                Method::Describe => self.describe(request),
                Method::Setup => self.set_up(request),
                Method::Play => self.play(request),
                Method::Pause => {
                    let pause = |session: &mut Session| {
                        session.playing = None;
                        session.reel.iter_mut().for_each(Reel::pause);
                    };
                    self.in_session(request, pause).finish()
                }
                Method::GetParameter if self.shared.is(Oddity::RefusesGetParameter) => {
                    plain(Status::MethodNotAllowed).finish()
                }
                Method::GetParameter | Method::SetParameter => self.in_session(request, |_| ()).finish(),
                Method::Teardown => {
                    let answer = self.in_session(request, |_| ()).finish();
                    self.session = None;
                    answer
                }
                Method::Other(_) => plain(Status::MethodNotAllowed).finish(),
            },
        };
        self.shared.remember_stream(request, verdict, self.peer);
        // Nothing that is put in here holds a control character.
        written.unwrap_or_default()
    }

    fn describe(&self, request: &Request) -> Result<Bytes, crate::rtsp::WriteError> {
        let mut text = "v=0\r\no=- 1 1 IN IP4 ".to_owned() + &self.shared.variable("lan.address");
        text += "\r\ns=Media Presentation\r\ne=NONE\r\nt=0 0\r\na=control:*\r\n";
        let recording = self.recording(request);
        let tracks: Vec<_> = match &recording {
            Some(recording) => recording.tracks.iter().map(|(track, name)| (*track, Some(name))).collect(),
            None => Track::ALL.map(|track| (track, None)).into(),
        };
        for (number, (track, name)) in tracks.into_iter().enumerate() {
            text += &track.description();
            text += &name.map_or_else(String::new, |name| format!("a=x-onvif-track:{name}\r\n"));
            text += &match self.shared.variable("rtsp.control").as_str() {
                "absolute" => format!("a=control:{}/trackID={number}\r\n", request.uri),
                _ => format!("a=control:stream={number}\r\n"),
            };
        }
        if recording.is_none() && talks(request) {
            text += BACK_CHANNEL;
            text += &format!("a=control:stream={}\r\n", Track::ALL.len());
        }
        Writer::response(Status::Ok, Some(request.cseq))
            .field(Field::ContentBase, format!("{}/", request.uri))
            .body("application/sdp", &text)
    }

    fn set_up(&mut self, request: &Request) -> Result<Bytes, crate::rtsp::WriteError> {
        let plain = |status| Writer::response(status, Some(request.cseq)).finish();
        let number = request.uri.rsplit_once('=').and_then(|(_, number)| number.parse::<usize>().ok());
        let recording = self.recording(request);
        let track = number.and_then(|number| match &recording {
            Some(recording) => recording.tracks.get(number).map(|(track, _)| track),
            None => Track::ALL.get(number),
        });
        let talk = talks(request) && number == Some(Track::ALL.len());
        // Whoever talks sends, so that the track is never played.
        let track = track.or(talk.then_some(&Track::Audio));
        let Some(track) = track else { return plain(Status::NotFound) };
        if recording.is_some() && request.fields.get(Field::Require) != Some(REPLAY_FEATURE) {
            return plain(Status::BadRequest);
        }
        let asked = request.fields.get(Field::Transport).map(Transport::parse_list).unwrap_or_default();
        let datagrams_only = self.shared.is(Oddity::DatagramsOnly);
        let Ok(Some((way, transport))) = Way::open(&asked, datagrams_only, (self.here, self.peer.ip()))
        else {
            return plain(Status::UnsupportedTransport);
        };
        let mut random = [0; 18];
        if self.shared.fill(&mut random).is_err() {
            return plain(Status::InternalServerError);
        }
        let [id @ .., s0, s1, s2, s3, n0, n1, t0, t1, t2, t3] = random;
        let id: String = id.iter().map(|byte| format!("{byte:02X}")).collect();
        let timeout_seconds = self.timeout_seconds();
        let session = self.session.get_or_insert_with(|| Session {
            id: id.clone(),
            tracks: Vec::new(),
            playing: None,
            reel: None,
            talk: None,
        });
        if self.shared.is(Oddity::SessionRenamed) {
            session.id = id;
        }
        let ssrc = u32::from_be_bytes([s0, s1, s2, s3]);
        let sequence = u16::from_be_bytes([n0, n1]);
        let sender = Sender::new(*track, ssrc, sequence, u32::from_be_bytes([t0, t1, t2, t3]));
        if talk {
            let Way::Channel(channel) = way else { return plain(Status::UnsupportedTransport) };
            session.talk = Some(channel);
            return Writer::response(Status::Ok, Some(request.cseq))
                .field(Field::Session, format_args!("{};timeout={timeout_seconds}", session.id))
                .field(Field::Transport, transport)
                .finish();
        }
        session.tracks.push((sender.saying(self.shared.variable("rtsp.metadata")), way));
        let names_none = transport.server_port.is_some() && self.shared.is(Oddity::NamesNoPorts);
        let server_port = if names_none { Some((0, 0)) } else { transport.server_port };
        let transport = Transport { ssrc: Some(crate::rtsp::Ssrc(ssrc)), server_port, ..transport };
        Writer::response(Status::Ok, Some(request.cseq))
            .field(Field::Session, format_args!("{};timeout={timeout_seconds}", session.id))
            .field(Field::Transport, transport)
            .finish()
    }

    /// What a request is for, if it is a recording.
    fn recording(&self, request: &Request) -> Option<Recording> {
        let (_, token) = request.uri.split_once("?recording=")?;
        self.shared.recording(token.split('/').next()?)
    }

    fn play_recording(
        &mut self,
        request: &Request,
        recording: &Recording,
    ) -> Result<Bytes, crate::rtsp::WriteError> {
        self.ticks = ticks();
        let plain = |status| Writer::response(status, Some(request.cseq)).finish();
        if request.fields.get(Field::Require) != Some(REPLAY_FEATURE) {
            return plain(Status::BadRequest);
        }
        let playback = match Playback::of(&request.fields) {
            Ok(playback) => playback,
            Err(error) => return plain(error.status()),
        };
        let before = self.session.as_ref().and_then(|it| it.reel.as_ref());
        let Some(reel) = Reel::new(recording, &playback, request.cseq, before) else {
            return plain(Status::InvalidRange);
        };
        let (range, info) = (reel.range(), self.begins(reel.next().unwrap_or_default()));
        let answer = self.in_session(request, |session| session.reel = Some(reel));
        answer.maybe(Field::Range, range).maybe(Field::RtpInfo, info).finish()
    }

    fn play(&mut self, request: &Request) -> Result<Bytes, crate::rtsp::WriteError> {
        if let Some(recording) = self.recording(request) {
            return self.play_recording(request, &recording);
        }
        // The first picture is due at once.
        self.ticks = ticks();
        let info = self.begins(0);
        let answer = self.in_session(request, |session| session.playing = Some(session.playing.unwrap_or(0)));
        answer.field(Field::Range, "npt=now-").maybe(Field::RtpInfo, info).finish()
    }

    /// Where each track begins, with this tick.
    fn begins(&self, tick: u64) -> Option<String> {
        let one = |(number, (sender, _)): (usize, &(Sender, Way))| Begins {
            url: format!("trackID={number}"),
            sequence: Some(sender.sequence),
            timestamp: Some(sender.at(tick)),
        };
        Begins::list(self.session.as_ref()?.tracks.iter().enumerate().map(one))
    }

    /// Does something to the session, if it is the one that the request names.
    fn in_session(&mut self, request: &Request, act: impl FnOnce(&mut Session)) -> Writer {
        let named = request.fields.get(Field::Session);
        let session = self.session.as_mut().filter(|it| named == Some(it.id.as_str()));
        match session {
            Some(session) => {
                act(session);
                Writer::response(Status::Ok, Some(request.cseq)).field(Field::Session, &session.id)
            }
            None => Writer::response(Status::SessionNotFound, Some(request.cseq)),
        }
    }
}

fn talks(request: &Request) -> bool {
    request.fields.get(Field::Require) == Some(BACKCHANNEL_FEATURE)
}
