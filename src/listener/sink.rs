//! Where cameras leave events that the gateway subscribed to: a listener in their zone, and nothing else there.
//!
//! Who sends has to be at a camera's enrolled address and has to know the path that was told to this camera alone. What it
//! says goes to the camera's own thread and is read like every other message of the camera's.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::{Arc, Mutex, PoisonError, Weak},
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
        EVENT_BYTES_PER_SECOND_MAX, EVENT_NOTICE_BYTES_MAX, EVENT_NOTICE_PRINTS_MAX,
        EVENT_NOTICE_REFUSED_PAUSE, EVENT_NOTICE_TIME_MAX, EVENT_NOTICES_PER_SECOND_MAX,
        EVENT_NOTICES_WAITING_MAX, EVENT_SERIES_NOTICES_MAX, EVENT_SERIES_TIME_MAX,
    },
    schema::{AccessClass, Traits},
    soap::{Answer, decode_notice},
    telemetry::Noticed,
};

/// What a camera left, and where it is told what came of it.
pub struct Notice {
    body: Bytes,
    reply: oneshot::Sender<Noticed>,
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
    async fn bring(&self, camera: &CameraId, body: Bytes) -> Noticed {
        let way = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(camera).cloned();
        let (reply, told) = oneshot::channel();
        match way.map(|way| way.try_send(Notice { body, reply })) {
            Some(Ok(())) => told.await.unwrap_or(Noticed::Late),
            Some(Err(_)) => Noticed::Full,
            None => Noticed::Late,
        }
    }
}

/// The sink of one zone.
pub struct Sink {
    house: Arc<House>,
    zone: ZoneId,
    /// The zone's cameras by their address, as an edition has them.
    cameras: RefCell<(Weak<Edition>, Rc<CamerasByAddress>)>,
}

type CamerasByAddress = HashMap<IpAddr, Vec<CameraId>>;

impl Sink {
    /// Takes notices at a listener until it is told to stop. Must run where `spawn_local` may be called.
    pub async fn serve(house: Arc<House>, zone: ZoneId, listener: TcpListener, stop: watch::Receiver<bool>) {
        let sink = Self { house, zone, cameras: RefCell::default() };
        http::serve(listener, Rc::new(sink), Door::Sink, stop).await;
    }

    /// The camera that may leave something at a path, if that is who sends.
    fn sender(&self, edition: &Arc<Edition>, source: IpAddr, path: &str) -> Result<CameraId, &'static str> {
        let cameras = self.cameras(edition);
        let here = cameras.get(&source.to_canonical()).ok_or("no camera of the zone has this address")?;
        let key = self.house.facades.key();
        let fits = |id: &&CameraId| bool::from(event_path(key, id).as_bytes().ct_eq(path.as_bytes()));
        here.iter().find(fits).cloned().ok_or("no camera of this address was told this path")
    }

    /// The zone's cameras by their address: each message asks for them, and there may be thousands.
    fn cameras(&self, edition: &Arc<Edition>) -> Rc<CamerasByAddress> {
        let mut known = self.cameras.borrow_mut();
        if !known.0.ptr_eq(&Arc::downgrade(edition)) {
            let mut cameras = CamerasByAddress::new();
            for it in edition.rules.inventory().cameras().filter(|it| it.zone == self.zone) {
                cameras.entry(it.address.host.to_canonical()).or_default().push(it.id.clone());
            }
            *known = (Arc::downgrade(edition), Rc::new(cameras));
        }
        Rc::clone(&known.1)
    }

    /// What a camera is told of what became of its message, which is counted.
    fn replied(&self, became: Noticed) -> Reply {
        self.house.gate.watch().metrics.noticed(became);
        match became {
            Noticed::Taken | Noticed::Twice => Reply::plain(StatusCode::OK, ""),
            Noticed::NotUnderstood | Noticed::CutShort => Reply::plain(StatusCode::BAD_REQUEST, ""),
            Noticed::Foreign => Reply::plain(StatusCode::NOT_FOUND, "there is nothing here\n"),
            Noticed::TooOften | Noticed::Refused | Noticed::Full | Noticed::Late => {
                Reply::plain(StatusCode::SERVICE_UNAVAILABLE, "")
            }
        }
    }
}

impl Service for Sink {
    fn expects(&self, source: IpAddr) -> bool {
        self.cameras(&self.house.edition.load_full()).contains_key(&source.to_canonical())
    }

    /// Nobody's message takes room before it is known that a camera may leave one there.
    fn turned_away(&self, source: SocketAddr, method: &Method, path: &str) -> Option<Reply> {
        let edition = self.house.edition.load_full();
        if let Err(why) = self.sender(&edition, source.ip(), path) {
            self.house.gate.notice_refused(&edition.rules, source, &self.zone, why);
            return Some(self.replied(Noticed::Foreign));
        }
        let is_post = method == Method::POST;
        (!is_post).then(|| Reply::plain(StatusCode::METHOD_NOT_ALLOWED, "events are sent with POST\n"))
    }

    fn cut_short(&self, source: SocketAddr, why: StatusCode) {
        let why = match why {
            StatusCode::PAYLOAD_TOO_LARGE => &format!("it is larger than {EVENT_NOTICE_BYTES_MAX} bytes"),
            StatusCode::REQUEST_TIMEOUT => "it did not come in time",
            _ => "its body is broken",
        };
        self.house.gate.notice_refused(&self.house.edition.load().rules, source, &self.zone, why);
        self.house.gate.watch().metrics.noticed(Noticed::CutShort);
    }

    async fn answer(self: Rc<Self>, request: Request) -> Reply {
        let edition = self.house.edition.load_full();
        // Another configuration may be in force than when the body began to come.
        let Ok(camera) = self.sender(&edition, request.source.ip(), request.path()) else {
            return self.replied(Noticed::Foreign);
        };
        let bringing = self.house.notices.bring(&camera, request.body);
        let became = tokio::time::timeout(EVENT_NOTICE_TIME_MAX, bringing).await;
        self.replied(became.unwrap_or(Noticed::Late))
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
            let became = match doorway.current() {
                Some(camera) => Box::pin(taking.take(&camera, &body)).await,
                None => Noticed::Foreign,
            };
            // The camera may have hung up.
            let _ = reply.send(became);
        }
    }
}

/// What is under way of one camera's notices.
#[derive(Default)]
struct Taking {
    /// The record they stand under, good ones and bad ones.
    series: Option<Looks>,
    /// A second, how many came in it, and how long they were together.
    second: (u64, u32, usize),
    /// Nothing is taken before, in monotonic time.
    not_before: Duration,
    /// The last ones, so that one that is sent twice is heard once.
    prints: VecDeque<[u8; 32]>,
}

impl Taking {
    async fn take(&mut self, camera: &VirtualCamera, body: &Bytes) -> Noticed {
        let house = &camera.house;
        let began = house.clock.monotonic();
        let (second, count, bytes) = self.second;
        let (count, bytes) = if second == began.as_secs() { (count, bytes) } else { (0, 0) };
        let (count, bytes) = (count.saturating_add(1), bytes.saturating_add(body.len()));
        self.second = (began.as_secs(), count, bytes);
        if count > EVENT_NOTICES_PER_SECOND_MAX || bytes > EVENT_BYTES_PER_SECOND_MAX {
            let found = format!(
                "it sends more than {EVENT_NOTICES_PER_SECOND_MAX} notices or {EVENT_BYTES_PER_SECOND_MAX} bytes of them a second"
            );
            camera.flooded(&found);
            return Noticed::TooOften;
        }
        if began < self.not_before {
            return Noticed::Refused;
        }
        let under_way = self.series.take().filter(|it| camera.may_go_on(it));
        let begun = match under_way {
            Some(series) => Ok(series),
            None => camera.begin_series(camera.notice(), Reason::Events, NOTICES).await,
        };
        let Ok(mut series) = begun else {
            // A refusal is on record, and one is enough for a while.
            self.not_before = began.saturating_add(EVENT_NOTICE_REFUSED_PAUSE);
            return Noticed::Refused;
        };
        if !series.pass().is_some_and(crate::gate::Pass::sending) {
            return Noticed::Refused;
        }
        let (ended, became) =
            if self.is_new(body) { camera.read_notice(body) } else { (told_before(), Noticed::Twice) };
        let took = house.clock.monotonic().saturating_sub(began);
        // A bad one ends nothing: the record counts how many of all were good.
        series.take_up(ended, became != Noticed::NotUnderstood, took);
        self.series = Some(series);
        became
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
    fn read_notice(&self, body: &[u8]) -> (Ended, Noticed) {
        let tables = &self.house.tables;
        let operation = tables.operation_by_name("wsntw:Notify");
        let read = operation.map(|it| decode_notice(tables, body, it));
        match read {
            Some(Ok(Answer::Document(document, deviations))) => {
                let heard = self.hear(&document);
                let ended = Ended { note: heard.note(), ..ended_as(Ok(&deviations)) };
                (ended, Noticed::Taken)
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
                (ended, Noticed::NotUnderstood)
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
