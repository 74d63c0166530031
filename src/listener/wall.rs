//! The way from the admin listener to cameras' threads, for their latest pictures.
//!
//! Cameras of one thread share one way: an idle camera costs nothing but its name here.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    rc::Rc,
    sync::{Mutex, PoisonError},
};

use ::http::StatusCode;
use tokio::sync::{mpsc, oneshot};

use super::{
    doorway::Doorway,
    http::{Reply, Request},
};
use crate::{ids::CameraId, limits::MOUNT_QUEUE_REQUESTS_MAX};

/// Somebody who wants to see a camera's latest picture.
pub struct Look {
    camera: CameraId,
    request: Request,
    reply: oneshot::Sender<Reply>,
}

/// The way to one thread: the near end for the wall, the far end for the thread.
pub fn way() -> (mpsc::Sender<Look>, mpsc::Receiver<Look>) {
    mpsc::channel(MOUNT_QUEUE_REQUESTS_MAX)
}

/// Where each camera is.
#[derive(Default)]
pub struct Wall(Mutex<BTreeMap<CameraId, mpsc::Sender<Look>>>);

impl Wall {
    /// Who wants to see a camera is led this way from now on.
    pub fn lead(&self, camera: CameraId, way: mpsc::Sender<Look>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(camera, way);
    }

    /// Leads nobody there any more.
    pub fn leave(&self, camera: &CameraId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(camera);
    }

    /// The latest picture of a camera, if whoever sends this request may see it; or what is said instead.
    pub async fn picture(&self, camera: CameraId, mut request: Request) -> Reply {
        // Whoever may open a unix socket is on this machine.
        if request.source.ip().is_unspecified() {
            request.source.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let way = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&camera).cloned();
        let Some(way) = way else {
            return Reply::plain(StatusCode::NOT_FOUND, "no camera of that name is served\n");
        };
        let (reply, answered) = oneshot::channel();
        if way.try_send(Look { camera, request, reply }).is_err() {
            return Reply::plain(StatusCode::SERVICE_UNAVAILABLE, "too many requests are under way\n");
        }
        // None comes if it was given up.
        answered.await.unwrap_or_else(|_| {
            Reply::plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the request was given up; the gateway's log says why\n",
            )
        })
    }
}

impl Look {
    /// The camera that is to be seen.
    pub fn camera(&self) -> &CameraId {
        &self.camera
    }

    /// Shows it, unless whoever asks goes.
    pub async fn answer(self, doorway: Rc<Doorway>) {
        let Self { request, mut reply, .. } = self;
        // What must not be broken off has a task of its own.
        let answer = tokio::select! {
            answer = doorway.latest_picture(request) => answer,
            () = reply.closed() => return,
        };
        let _ = reply.send(answer);
    }
}
