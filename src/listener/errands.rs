//! How somebody at the gateway's machine has something done on a camera's own thread.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use crate::{facade::Setting, ids::CameraId, inventory::Reading};

/// What is to be done, and where it is told what came of it; in words, if nothing did.
pub(super) enum Errand {
    /// The camera is asked what it has been set to.
    Baseline(oneshot::Sender<Result<Reading, String>>),
    /// It is set to these, and asked afterwards: what became of each is told, in words.
    Settings(BTreeSet<Setting>, oneshot::Sender<Result<Vec<Settled>, String>>),
    /// It is asked who it is; how long that took is told.
    Probe(oneshot::Sender<Result<Duration, String>>),
}

/// What became of one setting: nothing, if it holds now, or what is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Which.
    pub setting: Setting,
    /// Why it does not hold.
    pub trouble: Option<String>,
}

/// The ways to all cameras' threads.
#[derive(Default)]
pub struct Errands(Mutex<BTreeMap<CameraId, mpsc::Sender<Errand>>>);

impl Errands {
    /// Where a camera's errands come in. Whoever had them before has them no more.
    pub(super) fn of(&self, camera: &CameraId) -> mpsc::Receiver<Errand> {
        // One waits while another is done; more are refused.
        let (sender, received) = mpsc::channel(1);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(camera.clone(), sender);
        received
    }

    /// Has a camera asked what it has been set to.
    ///
    /// # Errors
    /// In words, why it was not.
    pub async fn read_baseline(&self, camera: &CameraId) -> Result<Reading, String> {
        self.run(camera, Errand::Baseline).await
    }

    /// Has a camera set to these.
    ///
    /// # Errors
    /// In words, what is in the way of all of them.
    pub async fn settle(
        &self,
        camera: &CameraId,
        settings: BTreeSet<Setting>,
    ) -> Result<Vec<Settled>, String> {
        self.run(camera, |reply| Errand::Settings(settings, reply)).await
    }

    /// Has a camera asked who it is.
    ///
    /// # Errors
    /// In words, what is in the way.
    pub async fn probe(&self, camera: &CameraId) -> Result<Duration, String> {
        self.run(camera, Errand::Probe).await
    }

    async fn run<T>(
        &self,
        camera: &CameraId,
        errand: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Errand,
    ) -> Result<T, String> {
        let way = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(camera).cloned();
        let way = way.ok_or("it is not served")?;
        let (reply, answer) = oneshot::channel();
        way.try_send(errand(reply)).map_err(|_| "somebody else asks it just now")?;
        answer.await.map_err(|_| "it was taken out of the configuration, or the gateway stops")?
    }
}
