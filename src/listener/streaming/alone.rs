//! Sessions with the camera that viewers have for themselves, which are asked what the viewer asks: recordings that are
//! played back (ONVIF Streaming Specification §6), and streams with a back channel (§5.3).

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::sync::{mpsc, oneshot};

use super::{
    super::{trouble::Trouble, virtual_camera::VirtualCamera},
    admission::{Refused, ended, refused},
    methods::Written,
    viewer::Viewer,
    viewing::{Play, Talking, Viewing, told},
    ways::Ways,
};
use crate::{
    auth::Identified,
    camera::Played,
    command::RtspMethod,
    facade::Locator,
    gate::Pass,
    hatch::{Ask, AskKind, Endpoint, Talk},
    limits::{REPLAYS_PER_CAMERA_MAX, STREAM_DESCRIBED_TIME_MAX, TALK_QUEUE_PACKETS_MAX},
    media::{Order, Upstream, Word},
    rtsp::{Direction, Field, Playback, Request, Status, Writer},
};

/// A recording, or a stream with a back channel, that a viewer has open at the camera; its session there ends with this.
pub(super) struct Alone {
    endpoint: Endpoint,
    upstream: Rc<Upstream>,
    orders: mpsc::Sender<Order>,
    words: mpsc::Sender<Word>,
    /// Whether it has back channels.
    pub(super) talk: bool,
    /// When it was asked about.
    since: Duration,
}

impl Alone {
    /// Whether nobody has set it up in time: a camera has few places.
    pub(super) fn is_forgotten(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) > STREAM_DESCRIBED_TIME_MAX
    }

    /// Whether it is this one.
    pub(super) fn is_at(&self, upstream: &Rc<Upstream>) -> bool {
        Rc::ptr_eq(&self.upstream, upstream)
    }

    /// Its viewer is there.
    pub(super) fn stir(&self, now: Duration) {
        self.upstream.stir(now);
    }

    async fn order(&self, ask: Ask) -> Result<Played, Trouble> {
        let (told, answer) = oneshot::channel();
        self.orders.send(Order { ask, told }).await.map_err(|_| Trouble::Lost)?;
        Ok(answer.await.map_err(|_| Trouble::Lost)??)
    }
}

/// What a viewer is given who asks for something for himself.
enum Opened {
    Alone(Alone),
    Shared(Rc<Upstream>),
}

/// How many of something a camera has.
#[derive(Clone, Default)]
pub(super) struct Places(Rc<Cell<usize>>);

/// One of them; given back when dropped.
pub(super) struct Place(Rc<Cell<usize>>);

impl Places {
    fn take(&self, most: usize) -> Option<Place> {
        let taken = self.0.get();
        if taken >= most {
            return None;
        }
        self.0.set(taken + 1);
        Some(Place(Rc::clone(&self.0)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl VirtualCamera {
    /// Opens a recording for one viewer, or a stream with back channels; one that has none is for all.
    async fn open_alone(self: &Rc<Self>, endpoint: &Endpoint, talk: bool) -> Result<Opened, Trouble> {
        let place = self.streams.alone.take(REPLAYS_PER_CAMERA_MAX).ok_or(Trouble::Busy)?;
        let mut stream = self.ask_about(endpoint, talk).await?;
        if talk && !stream.description.has_back_channel() {
            return self.share(endpoint, stream).await.map(Opened::Shared);
        }
        let since = self.house.clock.monotonic();
        let upstream = if talk {
            self.told_of(endpoint, &mut stream)
        } else {
            Upstream::of_recording(stream.description.clone(), stream.sources(), self.measures())
        };
        let (words, mut said) = mpsc::channel(TALK_QUEUE_PACKETS_MAX);
        let (orders, mut ordered) = mpsc::channel(1);
        let (camera, relayed) = (Rc::clone(self), Rc::clone(&upstream));
        self.streams.spawn(async move {
            let _place = place;
            let ended = relayed.relay_alone(&mut stream, &camera.connection, &mut ordered, &mut said).await;
            let (counts, failure) = (told(relayed.counts()), ended.err().map(|it| it.to_string()));
            tracing::info!(
                camera = %camera.camera.id, failure, counts, "a viewer's own session with the camera ended"
            );
            stream.close().await;
        });
        Ok(Opened::Alone(Alone { endpoint: endpoint.clone(), upstream, orders, words, talk, since }))
    }
}

impl Viewer {
    /// What a recording or a stream with back channels offers: as it was heard before, else asked.
    pub(super) async fn open_alone(
        &mut self,
        locator: &Locator,
        talk: bool,
    ) -> Result<Rc<Upstream>, Trouble> {
        let open = self.alone.as_ref().filter(|it| it.endpoint == locator.endpoint && it.talk == talk);
        let open = open.filter(|it| !it.orders.is_closed());
        if let Some(open) = open {
            return Ok(Rc::clone(&open.upstream));
        }
        // A session under way keeps the one it is about.
        if self.is_alone() {
            return Err(Trouble::Busy);
        }
        // The one it had open is given back first.
        self.alone = None;
        match self.camera.open_alone(&locator.endpoint, talk).await? {
            Opened::Shared(upstream) => Ok(upstream),
            Opened::Alone(alone) => {
                let upstream = Rc::clone(&alone.upstream);
                self.alone = Some(alone);
                Ok(upstream)
            }
        }
    }

    /// Whether the session has a back channel: else its viewer watches like any other, whatever was offered.
    pub(super) fn has_back_channel(&self) -> bool {
        let sends = |it: &Viewing| {
            let media = &it.upstream.description.media;
            it.ways
                .numbers()
                .iter()
                .any(|number| media.get(*number).is_some_and(|media| media.direction == Direction::Send))
        };
        self.session.as_ref().is_some_and(sends)
    }

    /// Whether the session is about what this viewer has open for himself.
    pub(super) fn is_alone(&self) -> bool {
        let open = self.alone.as_ref().map(|it| &it.upstream);
        self.session.as_ref().zip(open).is_some_and(|(session, open)| Rc::ptr_eq(&session.upstream, open))
    }

    /// PLAY of a recording: its first part, another, or the rest after a pause.
    pub(super) async fn play_recording(
        &mut self,
        request: &Request,
        locator: &Locator,
        identified: &Identified,
    ) -> Result<Written, Refused> {
        let (mut pass, command) = self.decide(RtspMethod::Replay, locator, identified).await?;
        let watching = self.watching(identified);
        let (Some(viewing), Some(alone)) = (&mut self.session, &self.alone) else {
            return fail(pass, Status::SessionNotFound);
        };
        let playback = match Playback::of(&request.fields) {
            Ok(playback) => playback,
            Err(error) => {
                pass.finish(ended(error.status().code(), 0, Some(error.to_string())));
                return Err(Refused::With(error.status()));
            }
        };
        // Nothing holds datagrams back that come faster than they are taken.
        if playback.is_pulled() && matches!(viewing.ways, Ways::Datagrams(_)) {
            return fail(pass, Status::UnsupportedTransport);
        }
        if self.camera.stops_unverified(&alone.upstream) {
            return fail(pass, Status::SessionNotFound);
        }
        let (endpoint, wanted) = (locator.endpoint.clone(), viewing.ways.numbers());
        let seat = match &viewing.play {
            Some(play) => Rc::clone(&play.seat),
            None => Rc::new(alone.upstream.join()),
        };
        let came = seat.came();
        let ask = AskKind::Replay { endpoint, playback, wanted, cseq: request.cseq };
        let played = match Ask::new(&mut pass, ask, false) {
            Ok(ask) => alone.order(ask).await,
            Err(error) => Err(error.into()),
        };
        let Played { range, begins } = match played {
            Ok(played) => played,
            Err(trouble) => return Err(refused(&trouble, pass)),
        };
        let now = self.camera.house.clock.monotonic();
        if let Some(mut play) = viewing.play.take() {
            play.ending = "something else was asked for";
            play.came_after = Some(came);
        }
        let mut play = Play::new(seat, command, (pass, watching), now);
        play.came_before = Some(came);
        viewing.play = Some(play);
        let answer = Writer::response(Status::Ok, Some(request.cseq)).maybe(Field::Range, range);
        let answer = answer.maybe(Field::Session, self.session_field());
        Ok(answer.maybe(Field::RtpInfo, self.begin_at(request, begins)).finish())
    }

    /// PLAY of a stream with a back channel: one client at a time is heard.
    pub(super) async fn talk(
        &mut self,
        request: &Request,
        locator: &Locator,
        identified: &Identified,
    ) -> Result<Written, Refused> {
        let (mut pass, command) = self.decide(RtspMethod::Talk, locator, identified).await?;
        let watching = self.watching(identified);
        let (Some(viewing), Some(alone)) = (&mut self.session, &self.alone) else {
            return fail(pass, Status::SessionNotFound);
        };
        let wanted = viewing.ways.numbers();
        let media = &alone.upstream.description.media;
        let said = wanted.iter().find_map(|number| {
            let media = media.get(*number).filter(|it| it.direction == Direction::Send)?;
            let judge = Talk::new(media, alone.upstream.sources.get(*number).copied()?)?;
            Some((*number, viewing.ways.channel(*number)?, judge))
        });
        let Some((number, channel, judge)) = said.filter(|_| viewing.play.is_none()) else {
            return fail(pass, Status::MethodNotValidInThisState);
        };
        if self.camera.stops_unverified(&alone.upstream) {
            return fail(pass, Status::SessionNotFound);
        }
        let Some(place) = self.camera.streams.talkers.take(1) else {
            pass.finish(ended(453, 0, Some("somebody else talks at the camera".to_owned())));
            return Err(Refused::With(Status::NotEnoughBandwidth));
        };
        let seat = Rc::new(alone.upstream.join());
        let came = seat.came();
        let talked =
            match Ask::new(&mut pass, AskKind::Talk { endpoint: locator.endpoint.clone(), wanted }, false) {
                Ok(ask) => alone.order(ask).await,
                Err(error) => Err(error.into()),
            };
        let Played { begins, .. } = match talked {
            Ok(played) => played,
            Err(trouble) => return Err(refused(&trouble, pass)),
        };
        let now = self.camera.house.clock.monotonic();
        let words = alone.words.clone();
        let mut play = Play::new(seat, command, (pass, watching), now);
        play.came_before = Some(came);
        play.talking = Some(Talking { judge, number, channel, words, _place: place });
        viewing.play = Some(play);
        let answer = Writer::response(Status::Ok, Some(request.cseq)).field(Field::Range, "npt=now-");
        let answer = answer.maybe(Field::Session, self.session_field());
        Ok(answer.maybe(Field::RtpInfo, self.begin_at(request, begins)).finish())
    }

    /// A packet of the client's: what it says, if it may be heard.
    pub(super) fn hear(&mut self, channel: u8, packet: &[u8], now: Duration) {
        let play = self.session.as_mut().and_then(|it| it.play.as_mut());
        let talking = play.and_then(|it| it.talking.as_mut()).filter(|it| it.channel == channel);
        if let Some(talking) = talking
            && let Ok(anew) = talking.judge.judge(packet, now)
            // A camera that does not take it in time does not need it later.
            && let Err(full) = talking.words.try_send((talking.number, anew))
        {
            let (_, anew) = full.into_inner();
            talking.judge.not_taken(&anew);
        }
    }

    /// PAUSE of a recording: what is on its way still comes.
    pub(super) async fn pause_recording(
        &mut self,
        request: &Request,
        locator: &Locator,
        mut pass: Pass,
    ) -> Result<Written, Refused> {
        let Some(alone) = &self.alone else { return fail(pass, Status::SessionNotFound) };
        let paused = match Ask::new(&mut pass, AskKind::Pause { endpoint: locator.endpoint.clone() }, true) {
            Ok(ask) => alone.order(ask).await,
            Err(error) => Err(error.into()),
        };
        if let Err(trouble) = paused {
            return Err(refused(&trouble, pass));
        }
        pass.finish(ended(200, 0, None));
        let answer = Writer::response(Status::Ok, Some(request.cseq));
        Ok(answer.maybe(Field::Session, self.session_field()).finish())
    }
}

fn fail(pass: Pass, status: Status) -> Result<Written, Refused> {
    pass.finish(ended(status.code(), 0, None));
    Err(Refused::With(status))
}
