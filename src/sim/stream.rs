//! A camera's RTSP server: describes the clip and plays it over the connection it is asked on.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{Interval, MissedTickBehavior, interval},
};

use super::{
    clip::{Sender, TICK_MILLISECONDS, Track},
    login::Verdict,
    server::Shared,
};
use crate::{
    limits::SIM_CONNECTIONS_MAX,
    rtsp::{Decoder, Field, Method, Peer, Received, Request, Status, Transport, Writer},
};

/// Ticks between two sender reports.
const REPORT_TICKS: u64 = 50;

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
            let connection = Connection {
                stream,
                peer,
                shared,
                decoder: Decoder::new(Peer::Client),
                session: None,
                ticks,
            };
            tokio::select! {
                // A client may go at any moment.
                _ = connection.serve() => {}
                _ = stopped.changed() => {}
            }
        });
    }
}

fn ticks() -> Interval {
    let mut ticks = interval(Duration::from_millis(TICK_MILLISECONDS.into()));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    ticks
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    decoder: Decoder,
    session: Option<Session>,
    ticks: Interval,
}

struct Session {
    id: String,
    /// Each track that was set up, with the channel of its packets.
    tracks: Vec<(Sender, u8)>,
    /// The next tick, while it plays.
    playing: Option<u64>,
}

impl Connection {
    async fn serve(mut self) -> std::io::Result<()> {
        let mut buffer = BytesMut::with_capacity(4_096);
        loop {
            let playing = self.session.as_ref().is_some_and(|session| session.playing.is_some());
            tokio::select! {
                read = self.stream.read_buf(&mut buffer) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    while let Some(received) = self.decoder.next(&mut buffer).map_err(std::io::Error::other)? {
                        // Packets of a client are its reports.
                        if let Received::Request(request) = received {
                            let answer = self.answer(&request);
                            self.stream.write_all(&answer).await?;
                        }
                    }
                }
                _ = self.ticks.tick(), if playing => {
                    let packets = self.tick();
                    self.stream.write_all(&packets).await?;
                }
            }
        }
    }

    /// The packets that are due.
    fn tick(&mut self) -> Vec<u8> {
        let now = self.shared.time();
        let Some(session) = &mut self.session else { return Vec::new() };
        let Some(tick) = session.playing else { return Vec::new() };
        session.playing = Some(tick + 1);
        let mut bytes = Vec::new();
        let mut frame = |channel: u8, packet: &[u8]| {
            let length = u16::try_from(packet.len()).unwrap_or_default();
            bytes.extend_from_slice(&[b'$', channel]);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(packet);
        };
        for (sender, channel) in &mut session.tracks {
            for packet in sender.packets(tick, now) {
                frame(*channel, &packet);
            }
            if tick.is_multiple_of(REPORT_TICKS) {
                frame(channel.saturating_add(1), &sender.report(tick, now));
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
                Method::Options => {
                    let public = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER";
                    plain(Status::Ok).field(Field::Public, public).finish()
                }
                Method::Describe => self.describe(request),
                Method::Setup => self.set_up(request),
                Method::Play => self.play(request),
                Method::Pause => self.in_session(request, |session| session.playing = None).finish(),
                Method::GetParameter => self.in_session(request, |_| ()).finish(),
                Method::Teardown => {
                    let answer = self.in_session(request, |_| ()).finish();
                    self.session = None;
                    answer
                }
                Method::SetParameter | Method::Other(_) => plain(Status::MethodNotAllowed).finish(),
            },
        };
        self.shared.remember_stream(request, verdict, self.peer);
        // Nothing that is put in here holds a control character.
        written.unwrap_or_default()
    }

    fn describe(&self, request: &Request) -> Result<Bytes, crate::rtsp::WriteError> {
        let mut text = "v=0\r\no=- 1 1 IN IP4 ".to_owned() + &self.shared.variable("lan.address");
        text += "\r\ns=Media Presentation\r\ne=NONE\r\nt=0 0\r\na=control:*\r\n";
        for (number, track) in Track::ALL.into_iter().enumerate() {
            text += &track.description();
            text += &match self.shared.variable("rtsp.control").as_str() {
                "absolute" => format!("a=control:{}/trackID={number}\r\n", request.uri),
                _ => format!("a=control:stream={number}\r\n"),
            };
        }
        Writer::response(Status::Ok, Some(request.cseq))
            .field(Field::ContentBase, format!("{}/", request.uri))
            .body("application/sdp", &text)
    }

    fn set_up(&mut self, request: &Request) -> Result<Bytes, crate::rtsp::WriteError> {
        let plain = |status| Writer::response(status, Some(request.cseq)).finish();
        let number = request.uri.rsplit_once('=').and_then(|(_, number)| number.parse::<usize>().ok());
        let Some(track) = number.and_then(|number| Track::ALL.get(number)) else {
            return plain(Status::NotFound);
        };
        let asked = request.fields.get(Field::Transport).map(Transport::parse_list).unwrap_or_default();
        let Some(channels) = asked.iter().find_map(|it| it.interleaved) else {
            return plain(Status::UnsupportedTransport);
        };
        let mut random = [0; 18];
        if self.shared.fill(&mut random).is_err() {
            return plain(Status::InternalServerError);
        }
        let [id @ .., s0, s1, s2, s3, n0, n1, t0, t1, t2, t3] = random;
        let session = self.session.get_or_insert_with(|| Session {
            id: id.iter().map(|byte| format!("{byte:02X}")).collect(),
            tracks: Vec::new(),
            playing: None,
        });
        let ssrc = u32::from_be_bytes([s0, s1, s2, s3]);
        let sequence = u16::from_be_bytes([n0, n1]);
        session
            .tracks
            .push((Sender::new(*track, ssrc, sequence, u32::from_be_bytes([t0, t1, t2, t3])), channels.0));
        let transport = Transport { ssrc: Some(crate::rtsp::Ssrc(ssrc)), ..Transport::interleaved(channels) };
        Writer::response(Status::Ok, Some(request.cseq))
            .field(Field::Session, format_args!("{};timeout=60", session.id))
            .field(Field::Transport, transport)
            .finish()
    }

    fn play(&mut self, request: &Request) -> Result<Bytes, crate::rtsp::WriteError> {
        // The first picture is due at once.
        self.ticks = ticks();
        let info = self.session.as_ref().map(|session| {
            let one = |(number, (sender, _)): (usize, &(Sender, u8))| {
                format!("url=trackID={number};seq={};rtptime={}", sender.sequence, sender.at(0))
            };
            session.tracks.iter().enumerate().map(one).collect::<Vec<_>>().join(",")
        });
        let answer = self.in_session(request, |session| session.playing = Some(session.playing.unwrap_or(0)));
        answer.field(Field::Range, "npt=now-").maybe(Field::RtpInfo, info).finish()
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
