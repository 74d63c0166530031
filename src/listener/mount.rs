//! Virtual cameras by path: several behind one listener, each below a path of its own.
//!
//! The cameras live on threads of their own, wherever their listener is: what comes in for one of them is
//! carried there, and its reply back.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use ::http::{Method, StatusCode};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{
    http::{Reply, Request, Service},
    transfer::takes_file,
};
use crate::limits::{CONNECTIONS_PER_CAMERA_MAX, MOUNT_QUEUE_REQUESTS_MAX};

/// A request on its way to a camera, and where its reply is waited for.
pub struct Visit {
    request: Request,
    reply: oneshot::Sender<Reply>,
}

/// The way to one camera: the near end for listeners, the far end for the camera.
pub fn way() -> (mpsc::Sender<Visit>, mpsc::Receiver<Visit>) {
    mpsc::channel(MOUNT_QUEUE_REQUESTS_MAX)
}

/// The cameras behind one listener, by the first segment of the path: `/gate`.
#[derive(Default)]
pub struct Mounts(RefCell<HashMap<Arc<str>, mpsc::Sender<Visit>>>);

impl Mounts {
    /// Leads to these and no others from now on.
    pub fn lead(&self, cameras: HashMap<Arc<str>, mpsc::Sender<Visit>>) {
        self.0.replace(cameras);
    }

    /// The path of a camera, and the way to it.
    fn way(&self, target: &str) -> Option<(Arc<str>, mpsc::Sender<Visit>)> {
        let cameras = self.0.borrow();
        let (mount, camera) = cameras.get_key_value(first_segment(target))?;
        Some((Arc::clone(mount), camera.clone()))
    }
}

impl Service for Mounts {
    fn takes_file(&self, method: &Method, path: &str) -> bool {
        let mount = first_segment(path);
        path.strip_prefix(mount)
            .is_some_and(|rest| self.0.borrow().contains_key(mount) && takes_file(method, rest))
    }

    async fn answer(self: Rc<Self>, request: Request) -> Reply {
        let Some((mount, camera)) = self.way(&request.target) else {
            return Reply::plain(StatusCode::NOT_FOUND, "there is no camera at this path\n");
        };
        let request = Request { mount, ..request };
        let (reply, answered) = oneshot::channel();
        if camera.try_send(Visit { request, reply }).is_err() {
            return busy();
        }
        // None comes if the exchange was given up.
        answered.await.unwrap_or_else(|_| {
            Reply::plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the request was given up; the gateway's log says why\n",
            )
        })
    }
}

/// Answers what comes for one camera, until no listener leads to it any more and all is answered.
///
/// Must run where `spawn_local` may be called.
pub async fn receive<S: Service + 'static>(camera: Rc<S>, mut visits: mpsc::Receiver<Visit>) {
    let mut tasks = JoinSet::new();
    loop {
        let visit = tokio::select! {
            visit = visits.recv() => visit,
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a request was given up");
                }
                continue;
            }
        };
        let Some(Visit { request, mut reply }) = visit else { break };
        if tasks.len() >= CONNECTIONS_PER_CAMERA_MAX {
            // Whoever asked may have gone.
            let _ = reply.send(busy());
            continue;
        }
        let camera = Rc::clone(&camera);
        tasks.spawn_local(async move {
            // Who has gone waits for nothing any more; what must not be broken off has a task of its own.
            let answer = tokio::select! {
                answer = camera.answer(request) => answer,
                () = reply.closed() => return,
            };
            let _ = reply.send(answer);
        });
    }
    while tasks.join_next().await.is_some() {}
}

fn busy() -> Reply {
    Reply::plain(StatusCode::SERVICE_UNAVAILABLE, "too many requests for this camera are under way\n")
}

/// `/gate` of `/gate/onvif/device_service?x`. Nothing is decoded and no dot means anything: what is not there
/// letter for letter is not there.
fn first_segment(target: &str) -> &str {
    let path = target.split('?').next().unwrap_or_default();
    let end = path.get(1..).and_then(|rest| rest.find('/')).map_or(path.len(), |at| at + 1);
    path.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::pending};

    use ::http::HeaderMap;
    use tokio::task::{LocalSet, spawn_local};

    use super::{super::tls::Channel, *};

    /// Tells its name and the path it was asked at; what it answers, it counts. `/hang` is never answered, and
    /// `/panic` is what it says.
    struct Named(&'static str, Cell<usize>);

    impl Service for Named {
        async fn answer(self: Rc<Self>, request: Request) -> Reply {
            match request.path() {
                "/hang" => pending().await,
                "/panic" => panic!("as asked"),
                path => {
                    self.1.set(self.1.get() + 1);
                    Reply::content("text/plain", format!("{} {path}", self.0).into())
                }
            }
        }
    }

    fn request(target: &str) -> Request {
        Request {
            source: ([192, 0, 2, 1], 9).into(),
            channel: Channel::Plain,
            mount: "".into(),
            method: Method::GET,
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
            file: None,
            closing: Default::default(),
        }
    }

    /// Two cameras behind one listener.
    fn mounts() -> Rc<Mounts> {
        let mut mounts = HashMap::new();
        for (mount, name) in [("/gate", "gate"), ("/yard", "yard")] {
            let (near, far) = way();
            spawn_local(receive(Rc::new(Named(name, Cell::default())), far));
            mounts.insert(Arc::from(mount), near);
        }
        Rc::new(Mounts(RefCell::new(mounts)))
    }

    async fn ask(mounts: &Rc<Mounts>, target: &str) -> (u16, String) {
        let reply = Rc::clone(mounts).answer(request(target)).await;
        (reply.status.as_u16(), String::from_utf8(reply.body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_request_reaches_the_camera_of_its_path_and_no_other() {
        let work = async {
            let mounts = mounts();
            for (target, told) in [
                ("/gate/onvif/device_service", "gate /onvif/device_service"),
                ("/yard/onvif/snapshot/x?y=/gate", "yard /onvif/snapshot/x"),
                ("/gate", "gate "),
                ("/gate?x", "gate "),
                ("/gate/../yard/x", "gate /../yard/x"),
                ("/gate//yard", "gate //yard"),
            ] {
                assert_eq!(ask(&mounts, target).await, (200, told.to_owned()), "{target}");
            }
            for target in
                ["", "/", "//gate/x", "/gat", "/gatex/x", "/GATE/x", "/%67ate/x", "/./gate/x", "gate/x", "é"]
            {
                assert_eq!(ask(&mounts, target).await.0, 404, "{target}");
            }
            assert_eq!(ask(&mounts, "/gate/panic").await.0, 500);
            assert_eq!(ask(&mounts, "/gate/x").await.0, 200, "a panic ends one request");
        };
        LocalSet::new().run_until(work).await;
    }

    #[tokio::test]
    async fn who_has_gone_holds_no_place() {
        let work = async {
            let mounts = mounts();
            for _ in 0..2 * CONNECTIONS_PER_CAMERA_MAX {
                let asked = spawn_local(Rc::clone(&mounts).answer(request("/gate/hang")));
                tokio::task::yield_now().await;
                asked.abort();
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
            }
            assert_eq!(ask(&mounts, "/gate/x").await.0, 200);
        };
        LocalSet::new().run_until(work).await;
    }

    #[tokio::test]
    async fn a_camera_that_hangs_is_refused_more_and_others_are_answered() {
        let work = async {
            let mounts = mounts();
            for _ in 0..CONNECTIONS_PER_CAMERA_MAX {
                let asked = Rc::clone(&mounts).answer(request("/gate/hang"));
                spawn_local(asked);
                // Each is taken up before the next comes: the queue is shorter than the bound.
                tokio::task::yield_now().await;
            }
            assert_eq!(ask(&mounts, "/gate/x").await.0, 503);
            assert_eq!(ask(&mounts, "/yard/x").await.0, 200);
        };
        LocalSet::new().run_until(work).await;
    }

    #[tokio::test]
    async fn a_camera_ends_when_no_listener_leads_to_it_and_not_before_it_has_answered() {
        let work = async {
            let (near, far) = way();
            let camera = Rc::new(Named("gate", Cell::default()));
            let receiving = spawn_local(receive(Rc::clone(&camera), far));
            let mounts = Rc::new(Mounts(RefCell::new(HashMap::from([(Arc::from("/gate"), near)]))));
            let (reply, answered) = oneshot::channel();
            mounts.0.borrow()["/gate"].try_send(Visit { request: request("/gate/x"), reply }).unwrap();
            drop(mounts);
            receiving.await.unwrap();
            assert!(answered.await.is_ok() && camera.1.get() == 1);
        };
        LocalSet::new().run_until(work).await;
    }
}
