//! Recordings that viewers have played back (ONVIF Streaming Specification §6): a session with the camera for each
//! viewer, which is asked what the viewer asks.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};

use super::{
    super::{trouble::Trouble, virtual_camera::VirtualCamera},
    admission::{Refused, ended, refused},
    methods::Written,
    viewer::Viewer,
    viewing::Play,
    ways::Ways,
};
use crate::{
    auth::Identified,
    command::RtspMethod,
    facade::Locator,
    gate::Pass,
    hatch::{Ask, AskKind, Endpoint},
    limits::{REPLAYS_PER_CAMERA_MAX, STREAM_DESCRIBED_TIME_MAX},
    media::{Order, Upstream},
    rtsp::{Field, Playback, Range, Request, Status, Writer},
};

/// A recording that a viewer has open at the camera; its session there ends with this.
pub(super) struct Recorded {
    endpoint: Endpoint,
    upstream: Rc<Upstream>,
    orders: mpsc::Sender<Order>,
    /// When it was asked about.
    since: Duration,
}

impl Recorded {
    /// Whether nobody has set it up in time: a camera has few places.
    pub(super) fn is_forgotten(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) > STREAM_DESCRIBED_TIME_MAX
    }

    async fn order(&self, ask: Ask) -> Result<Option<Range>, Trouble> {
        let (told, answer) = oneshot::channel();
        self.orders.send(Order { ask, told }).await.map_err(|_| Trouble::Lost)?;
        Ok(answer.await.map_err(|_| Trouble::Lost)??)
    }
}

/// How many recordings of a camera are open.
#[derive(Clone, Default)]
pub(super) struct Places(Rc<Cell<usize>>);

/// One of them; given back when dropped.
struct Place(Rc<Cell<usize>>);

impl Places {
    fn take(&self) -> Option<Place> {
        let taken = self.0.get();
        if taken >= REPLAYS_PER_CAMERA_MAX {
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
    /// Opens a recording for one viewer.
    async fn recording(self: &Rc<Self>, endpoint: &Endpoint) -> Result<Recorded, Trouble> {
        let place = self.streams.recordings.take().ok_or(Trouble::Busy)?;
        let mut stream = self.ask_about(endpoint).await?;
        let clock = Arc::clone(&self.house.clock);
        let since = clock.monotonic();
        let upstream = Upstream::of_recording(stream.description.clone(), stream.sources(), clock);
        let (orders, mut ordered) = mpsc::channel(1);
        let (camera, relayed) = (Rc::clone(self), Rc::clone(&upstream));
        self.streams.spawn(async move {
            let _place = place;
            let ended = relayed.relay_recording(&mut stream, &camera.connection, &mut ordered).await;
            let counts = relayed.counts();
            let failure = ended.err().map(|it| it.to_string());
            tracing::info!(
                camera = %camera.camera.id, failure, passed = counts.passed, dropped = counts.dropped(),
                missing = counts.missing, "a recording's session with the camera ended"
            );
            stream.close().await;
        });
        Ok(Recorded { endpoint: endpoint.clone(), upstream, orders, since })
    }
}

impl Viewer {
    /// What a recording offers: as it was heard before, else asked.
    pub(super) async fn recording(&mut self, locator: &Locator) -> Result<Rc<Upstream>, Trouble> {
        let open = self.recorded.as_ref().filter(|it| it.endpoint == locator.endpoint);
        let open = open.filter(|it| !it.orders.is_closed());
        if let Some(open) = open {
            return Ok(Rc::clone(&open.upstream));
        }
        // The one it had open is given back first.
        self.recorded = None;
        let recorded = self.camera.recording(&locator.endpoint).await?;
        let upstream = Rc::clone(&recorded.upstream);
        self.recorded = Some(recorded);
        Ok(upstream)
    }

    /// PLAY of a recording: its first part, another, or the rest after a pause.
    pub(super) async fn play_recording(
        &mut self,
        request: &Request,
        locator: &Locator,
        identified: &Identified,
    ) -> Result<Written, Refused> {
        let (mut pass, command) = self.decide(RtspMethod::Replay, locator, identified).await?;
        let (Some(viewing), Some(recorded)) = (&mut self.session, &self.recorded) else {
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
        let (endpoint, wanted) = (locator.endpoint.clone(), viewing.ways.numbers());
        let seat = match &viewing.play {
            Some(play) => Rc::clone(&play.seat),
            None => Rc::new(recorded.upstream.join()),
        };
        let ask = AskKind::Replay { endpoint, playback, wanted, cseq: request.cseq };
        let played = match Ask::new(&mut pass, ask, false) {
            Ok(ask) => recorded.order(ask).await,
            Err(error) => Err(error.into()),
        };
        let range = match played {
            Ok(range) => range,
            Err(trouble) => return Err(refused(&trouble, pass)),
        };
        let now = self.camera.house.clock.monotonic();
        if let Some(mut play) = viewing.play.take() {
            play.ending = "something else was asked for";
        }
        viewing.play = Some(Play::new(seat, command, pass, now));
        let answer = Writer::response(Status::Ok, Some(request.cseq)).maybe(Field::Range, range);
        Ok(answer.maybe(Field::Session, self.session_field()).finish())
    }

    /// PAUSE of a recording: what is on its way still comes.
    pub(super) async fn pause_recording(
        &mut self,
        request: &Request,
        locator: &Locator,
        mut pass: Pass,
    ) -> Result<Written, Refused> {
        let Some(recorded) = &self.recorded else { return fail(pass, Status::SessionNotFound) };
        let paused = match Ask::new(&mut pass, AskKind::Pause { endpoint: locator.endpoint.clone() }, true) {
            Ok(ask) => recorded.order(ask).await,
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
