//! Where zones leave events, while the gateway serves: on a thread of its own, so that what comes from cameras disturbs
//! nobody on the core side.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::Arc,
    thread::JoinHandle,
};

use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::{AbortHandle, JoinSet, LocalSet},
};

use crate::{
    ids::ZoneId,
    inventory::Isolation,
    limits::EVENT_SINK_INTERVAL,
    listener::{House, Sink},
};

/// Takes events in every zone that has a place for them, until it is dropped.
pub(super) struct SinkWatch {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SinkWatch {
    pub(super) fn start(house: Arc<House>) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let watch = move || {
            let sinks =
                Sinks { house, open: BTreeMap::new(), failed: BTreeSet::new(), tasks: JoinSet::new() };
            LocalSet::new().block_on(&runtime, sinks.until(stopped));
            // A question to netd may still wait for its answer, which nobody needs any more.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("sinks".into()).spawn(watch)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for SinkWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that takes cameras' events panicked");
        }
    }
}

struct Sinks {
    house: Arc<House>,
    /// What listens.
    open: BTreeMap<(ZoneId, SocketAddr), Open>,
    /// Those that could not be opened, so that it is told once.
    failed: BTreeSet<(ZoneId, SocketAddr)>,
    tasks: JoinSet<()>,
}

/// One that listens.
struct Open {
    /// Stops it.
    stop: watch::Sender<bool>,
    serving: AbortHandle,
    /// How often the zone had drifted when it was opened.
    drifts: u64,
}

impl Sinks {
    async fn until(mut self, stopped: oneshot::Receiver<()>) {
        super::watcher::look_until(stopped, EVENT_SINK_INTERVAL, async || self.look().await).await;
        self.open.values().for_each(|it| _ = it.stop.send_replace(true));
        while self.tasks.join_next().await.is_some() {}
    }

    /// Opens what the configuration in force has and closes what it has no more.
    async fn look(&mut self) {
        let edition = self.house.edition.load_full();
        let zones = edition.rules.inventory().zones();
        // What is left of a zone that is made anew would be in another namespace.
        let trouble = &self.house.gate.watch().zones;
        let wanted: BTreeMap<_, _> = zones
            .filter(|zone| zone.isolation == Isolation::None || trouble.trouble(zone).is_none())
            .filter_map(|zone| Some(((zone.id.clone(), zone.event_sink?), zone.isolation == Isolation::None)))
            .collect();
        let mut closed = BTreeSet::new();
        self.open.retain(|key, it| {
            // A zone that was made anew has another namespace, in which nobody listens.
            let is_there = it.drifts == trouble.drifts(&key.0);
            let stays = wanted.contains_key(key) && !it.serving.is_finished() && is_there;
            if !stays {
                it.stop.send_replace(true);
                closed.insert(key.clone());
            }
            stays
        });
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a zone's event sink ended, and is opened again");
            }
        }
        for (key, plain) in wanted {
            // What was closed a moment ago may hold the address yet, and is opened at the next look.
            if self.open.contains_key(&key) || closed.contains(&key) {
                continue;
            }
            let drifts = trouble.drifts(&key.0);
            match self.listen(&key, plain).await {
                Ok(listener) => {
                    self.failed.remove(&key);
                    let (stop, stopped) = watch::channel(false);
                    let serving = Sink::serve(Arc::clone(&self.house), key.0.clone(), listener, stopped);
                    let serving = self.tasks.spawn_local(serving);
                    self.open.insert(key, Open { stop, serving, drifts });
                }
                Err(error) => {
                    let (zone, at) = &key;
                    if self.failed.insert(key.clone()) {
                        tracing::error!(%zone, %at, %error, "cameras of the zone cannot leave events: tried again every second");
                    }
                }
            }
        }
    }

    async fn listen(&self, (zone, at): &(ZoneId, SocketAddr), plain: bool) -> io::Result<TcpListener> {
        if plain {
            return TcpListener::bind(at).await;
        }
        let (netd, zone, at) = (self.house.netd.clone(), zone.clone(), *at);
        let made = tokio::task::spawn_blocking(move || netd.listener(&zone, at)).await;
        let listener = made.map_err(io::Error::other)?.map_err(io::Error::other)?;
        TcpListener::from_std(listener)
    }
}
