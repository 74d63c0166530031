//! Where requests for one camera come in, whatever configuration is in force: each goes to the virtual camera
//! that the configuration of its moment makes.

use std::{
    cell::RefCell,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
};

use ::http::{Method, StatusCode};
use tokio::sync::{mpsc, watch};

use super::{
    errands::Errand,
    house::{Edition, Enrolled, House},
    http::{Missed, Reply, Request, Service},
    sink::Notice,
    streaming::Guest,
    transfer::takes_file,
    virtual_camera::VirtualCamera,
};
use crate::{camera::Connection, gate::Rejected, ids::CameraId};

/// Makes the connection to a camera.
pub type Connect = Box<dyn Fn(Enrolled<'_>) -> Connection>;

/// The way in to one camera. Lives on one thread, as long as the camera is configured.
pub struct Doorway {
    house: Arc<House>,
    id: CameraId,
    connect: Connect,
    /// As of the edition that was in force when somebody asked last.
    behind: RefCell<Option<Rc<VirtualCamera>>>,
    /// Told when another edition is taken up.
    renewed: watch::Sender<()>,
}

impl Doorway {
    /// The way in to a camera, and how the camera is reached.
    pub fn new(house: Arc<House>, id: CameraId, connect: Connect) -> Rc<Self> {
        Rc::new(Self { house, id, connect, behind: RefCell::default(), renewed: watch::Sender::new(()) })
    }

    /// Takes up the edition in force; what is under way ends by the one it began with. What was learnt of a
    /// camera stays as far as it is configured as before.
    pub fn renew(&self) {
        self.virtual_camera(&self.house.edition.load_full());
        self.renewed.send_replace(());
    }

    /// Tells when another edition is taken up.
    pub(super) fn renewals(&self) -> watch::Receiver<()> {
        self.renewed.subscribe()
    }

    /// The camera it leads to.
    pub fn id(&self) -> &CameraId {
        &self.id
    }

    /// The virtual camera as the edition in force makes it; none if it has no such camera.
    pub(super) fn current(&self) -> Option<Rc<VirtualCamera>> {
        self.virtual_camera(&self.house.edition.load_full())
    }

    /// Where its errands come in.
    pub(super) fn errands(&self) -> mpsc::Receiver<Errand> {
        self.house.errands.of(&self.id)
    }

    /// Where what it leaves for the gateway comes in.
    pub(super) fn notices(&self) -> mpsc::Receiver<Notice> {
        self.house.notices.of(&self.id)
    }

    /// The camera's latest picture, for whoever asks at the admin listener.
    pub(super) async fn latest_picture(&self, request: Request) -> Reply {
        let edition = self.house.edition.load_full();
        match self.virtual_camera(&edition) {
            Some(camera) => camera.latest_snapshot(request).await,
            None => self.gone(&edition, &request).await,
        }
    }

    /// Keeps over a restart what was learnt of the camera.
    pub fn keep_memory(&self) {
        if let Some(camera) = &*self.behind.borrow() {
            camera.keep_memory();
        }
    }

    /// The virtual camera as an edition makes it; none if it has no such camera.
    fn virtual_camera(&self, edition: &Arc<Edition>) -> Option<Rc<VirtualCamera>> {
        let mut behind = self.behind.borrow_mut();
        if let Some(same) = behind.as_ref().filter(|it| it.is_of(edition)) {
            return Some(Rc::clone(same));
        }
        *behind = edition.enrolled(&self.id).map(|enrolled| {
            VirtualCamera::new(&self.house, edition, enrolled, behind.as_deref(), &self.connect)
        });
        behind.clone()
    }

    /// Answers who comes by a connection that was open when the camera was taken away.
    async fn gone(&self, edition: &Edition, request: &Request) -> Reply {
        let rejected = Rejected {
            request: self.house.request_id(),
            source: request.source,
            tls: request.channel.is_tls(),
            caller: None,
            claimed: None,
            nonce: None,
            camera: &self.id,
            operation: "not understood",
            fault: "404",
            reason: "the camera was taken out of the configuration".to_owned(),
        };
        if let Err(error) = self.house.gate.reject(&edition.rules, rejected).await {
            tracing::error!(%error, "a rejection could not be recorded");
        }
        Reply::plain(StatusCode::NOT_FOUND, "there is no camera here any more\n")
    }
}

impl Service for Doorway {
    fn missed(&self, source: SocketAddr, why: Missed<'_>) {
        self.house.missed(source, why);
    }

    fn expects(&self, source: IpAddr) -> bool {
        self.house.expects(source)
    }

    fn takes_file(&self, method: &Method, path: &str) -> bool {
        takes_file(method, path)
    }

    fn tunnel_at(&self, path: &str) -> Option<(CameraId, mpsc::Sender<Guest>)> {
        self.house.tunnel_at(path, Some(&self.id))
    }

    async fn answer(self: Rc<Self>, request: Request) -> Reply {
        let edition = self.house.edition.load_full();
        match self.virtual_camera(&edition) {
            Some(camera) => camera.answer(request).await,
            None => self.gone(&edition, &request).await,
        }
    }
}
