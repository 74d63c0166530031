//! Where cameras leave events that the gateway subscribed to: a listener in their zone, and nothing else there.
//!
//! Who sends has to be at a camera's enrolled address and has to know the path that was told to this camera alone. What it
//! says goes to the camera's own thread and is read like every other message of the camera's.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::http::{Method, StatusCode};
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use subtle::ConstantTimeEq;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
};

use super::{
    doorway::Doorway,
    house::{Edition, House},
    http::{self, Door, Reply, Request, Service},
    looks::{Looks, Often},
    virtual_camera::{VirtualCamera, ended_as},
};
use crate::{
    command::{Command, Operation, Reason},
    facade::event_path,
    gate::{Disposal, Ended},
    ids::{CameraId, ZoneId},
    limits::{
        EVENT_NOTICE_PRINTS_MAX, EVENT_NOTICE_REFUSED_PAUSE, EVENT_NOTICE_TIME_MAX,
        EVENT_NOTICES_PER_SECOND_MAX, EVENT_NOTICES_WAITING_MAX, EVENT_SERIES_NOTICES_MAX,
        EVENT_SERIES_TIME_MAX,
    },
    schema::{AccessClass, Traits},
    soap::{Answer, decode_notice},
};

/// What a camera left, and where it is told what came of it.
pub struct Notice {
    body: Bytes,
    reply: oneshot::Sender<StatusCode>,
}

/// The ways to all cameras' threads.
#[derive(Default)]
pub struct Notices(Mutex<BTreeMap<CameraId, mpsc::Sender<Notice>>>);

impl Notices {
    /// Where a camera's notices come in. Whoever had them before has them no more.
    pub(super) fn of(&self, camera: &CameraId) -> mpsc::Receiver<Notice> {
        let (sender, received) = mpsc::channel(EVENT_NOTICES_WAITING_MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(camera.clone(), sender);
        received
    }

    /// Has a camera's thread take a notice.
    async fn bring(&self, camera: &CameraId, body: Bytes) -> StatusCode {
        let way = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(camera).cloned();
        let (reply, told) = oneshot::channel();
        match way.map(|way| way.try_send(Notice { body, reply })) {
            Some(Ok(())) => told.await.unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
            Some(Err(_)) | None => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The sink of one zone.
pub struct Sink {
    house: Arc<House>,
    zone: ZoneId,
}

impl Sink {
    /// Takes notices at a listener until it is told to stop. Must run where `spawn_local` may be called.
    pub async fn serve(house: Arc<House>, zone: ZoneId, listener: TcpListener, stop: watch::Receiver<bool>) {
        http::serve(listener, Rc::new(Self { house, zone }), Door::Sink, stop).await;
    }

    /// The camera that may leave something at a path, if that is who sends.
    fn sender(&self, edition: &Edition, source: IpAddr, path: &str) -> Result<CameraId, &'static str> {
        let mut here = self.cameras_at(edition, source).peekable();
        if here.peek().is_none() {
            return Err("no camera of the zone has this address");
        }
        let key = self.house.facades.key();
        let fits = |id: &CameraId| bool::from(event_path(key, id).as_bytes().ct_eq(path.as_bytes()));
        here.find(fits).ok_or("no camera of this address was told this path")
    }

    fn cameras_at<'a>(&'a self, edition: &'a Edition, source: IpAddr) -> impl Iterator<Item = CameraId> + 'a {
        let source = source.to_canonical();
        let cameras = edition.rules.inventory().cameras();
        let here = cameras.filter(move |it| it.zone == self.zone && it.address.host.to_canonical() == source);
        here.map(|it| it.id.clone())
    }
}

impl Service for Sink {
    fn expects(&self, source: IpAddr) -> bool {
        self.cameras_at(&self.house.edition.load_full(), source).next().is_some()
    }

    async fn answer(self: Rc<Self>, request: Request) -> Reply {
        let edition = self.house.edition.load_full();
        let camera = match self.sender(&edition, request.source.ip(), request.path()) {
            Ok(camera) => camera,
            Err(why) => {
                self.house.gate.notice_refused(&edition.rules, request.source, &self.zone, why);
                return Reply::plain(StatusCode::NOT_FOUND, "there is nothing here\n");
            }
        };
        if request.method != Method::POST {
            return Reply::plain(StatusCode::METHOD_NOT_ALLOWED, "events are sent with POST\n");
        }
        let bringing = self.house.notices.bring(&camera, request.body);
        let status = tokio::time::timeout(EVENT_NOTICE_TIME_MAX, bringing).await;
        Reply::plain(status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE), "")
    }
}

impl Doorway {
    /// Takes what the camera leaves in its zone's sink, until it is told to stop.
    pub async fn take_notices(doorway: Rc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut notices = doorway.notices();
        let mut taking = Taking::default();
        loop {
            let notice = tokio::select! {
                notice = notices.recv() => notice,
                // Whoever gave the word may have gone, which is one as well.
                _ = stopped.wait_for(|it| *it) => None,
            };
            let Some(Notice { body, reply }) = notice else { return };
            let status = match doorway.current() {
                Some(camera) => Box::pin(taking.take(&camera, &body)).await,
                None => StatusCode::NOT_FOUND,
            };
            // The camera may have hung up.
            let _ = reply.send(status);
        }
    }
}

/// What is under way of one camera's notices.
#[derive(Default)]
struct Taking {
    /// The record they stand under, good ones and bad ones.
    series: Option<Looks>,
    /// A second, and how many came in it.
    second: (u64, u32),
    /// Nothing is taken before, in monotonic time.
    not_before: Duration,
    /// The last ones, so that one that is sent twice is heard once.
    prints: VecDeque<[u8; 32]>,
}

impl Taking {
    async fn take(&mut self, camera: &VirtualCamera, body: &Bytes) -> StatusCode {
        let house = &camera.house;
        let began = house.clock.monotonic();
        let (second, count) = self.second;
        let count = if second == began.as_secs() { count.saturating_add(1) } else { 1 };
        self.second = (began.as_secs(), count);
        if count > EVENT_NOTICES_PER_SECOND_MAX {
            let found = format!("it sends more than {EVENT_NOTICES_PER_SECOND_MAX} notices a second");
            camera.flooded(&found);
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        if began < self.not_before {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        let under_way = self.series.take().filter(|it| camera.may_go_on(it));
        let begun = match under_way {
            Some(series) => Ok(series),
            None => camera.begin_series(camera.notice(), Reason::Events, NOTICES).await,
        };
        let Ok(mut series) = begun else {
            // A refusal is on record, and one is enough for a while.
            self.not_before = began.saturating_add(EVENT_NOTICE_REFUSED_PAUSE);
            return StatusCode::SERVICE_UNAVAILABLE;
        };
        if !series.pass().is_some_and(crate::gate::Pass::sending) {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        let (ended, status) =
            if self.is_new(body) { camera.read_notice(body) } else { (told_before(), StatusCode::OK) };
        let took = house.clock.monotonic().saturating_sub(began);
        // A bad one ends nothing: the record counts how many of all were good.
        series.take_up(ended, status == StatusCode::OK, took);
        self.series = Some(series);
        status
    }

    fn is_new(&mut self, body: &[u8]) -> bool {
        let mut print = [0; 32];
        let digest = digest(&SHA256, body);
        print.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        if self.prints.contains(&print) {
            return false;
        }
        if self.prints.len() >= EVENT_NOTICE_PRINTS_MAX {
            self.prints.pop_front();
        }
        self.prints.push_back(print);
        true
    }
}

/// How a notice ends that came before, octet by octet.
fn told_before() -> Ended {
    let note = Some("a notice came twice".to_owned());
    Ended { note, ..ended_as(Ok(&crate::schema::Deviations::default())) }
}

impl VirtualCamera {
    /// What is decided of a notice.
    fn notice(&self) -> Command {
        Command {
            request: self.house.request_id(),
            camera: Some(self.camera.id.clone()),
            operation: Operation::Notify,
            class: AccessClass::NotForClients,
            traits: Traits::NONE,
            destinations: Vec::new(),
            arguments: serde_json::Value::Null,
        }
    }

    /// Reads a notice, and what came of it.
    fn read_notice(&self, body: &[u8]) -> (Ended, StatusCode) {
        let tables = &self.house.tables;
        let operation = tables.operation_by_name("wsntw:Notify");
        let read = operation.map(|it| decode_notice(tables, body, it));
        match read {
            Some(Ok(Answer::Document(document, deviations))) => {
                let heard = self.hear(&document);
                let ended = Ended { note: heard.note(), ..ended_as(Ok(&deviations)) };
                (ended, StatusCode::OK)
            }
            other => {
                let why = match other {
                    Some(Err(error)) => error.to_string(),
                    _ => "it is no wsnt:Notify".to_owned(),
                };
                let ended = Ended {
                    disposal: Disposal::Failed,
                    status: Some(StatusCode::BAD_REQUEST.as_u16()),
                    note: Some(why),
                    ..ended_as(Ok(&crate::schema::Deviations::default()))
                };
                (ended, StatusCode::BAD_REQUEST)
            }
        }
    }
}

/// How many notices of a camera one record stands for.
const NOTICES: Often = (Duration::ZERO, EVENT_SERIES_NOTICES_MAX, EVENT_SERIES_TIME_MAX);

/// Where cameras of a zone are told to send events.
pub(super) fn consumer(sink: SocketAddr, path: &str) -> String {
    format!("http://{sink}{path}")
}
