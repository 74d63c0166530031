//! Brings the events of all cameras to an MQTT broker while the gateway serves, where one is configured. On a thread of its
//! own: whatever the broker does, no camera and no client waits for it.

use std::{collections::BTreeMap, io, pin::pin, sync::Arc};

use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, JoinSet},
    time::{interval, sleep, timeout},
};
use tokio_rustls::TlsConnector;

use super::{gateway::StartError, trust::trusting, watcher::Watcher};
use crate::{
    alarm::{Alarm, Subject},
    audit::Event,
    config::{Loaded, MqttBroker},
    events::{BrokerError, BrokerNews, BrokerQueue, bring},
    ids::CameraId,
    limits::{
        EVENT_CLOSE_TIME_MAX, MQTT_ANSWER_TIME_MAX, MQTT_CAMERAS_INTERVAL, MQTT_PAUSE_MAX, MQTT_PAUSE_MIN,
        MQTT_QUEUE_MESSAGES_MAX,
    },
    listener::House,
};

/// Starts where the configuration names a broker: events are brought to it until that is dropped.
pub(super) fn wanted(house: &Arc<House>, loaded: &Loaded) -> Result<Option<Watcher>, StartError> {
    let start = |broker: MqttBroker| {
        let tls = broker.ca.as_deref().map(trusting).transpose()?.map(|it| TlsConnector::from(Arc::new(it)));
        let carrier = Carrier { house: Arc::clone(house), broker, tls };
        Watcher::start("broker", |stopped| carrier.until(stopped))
    };
    loaded.mqtt.clone().map(start).transpose().map_err(StartError::Broker)
}

struct Carrier {
    house: Arc<House>,
    broker: MqttBroker,
    tls: Option<TlsConnector>,
}

impl Carrier {
    async fn until(self, stopped: oneshot::Receiver<()>) {
        let (to, news) = mpsc::channel(MQTT_QUEUE_MESSAGES_MAX);
        let (begun, sessions) = watch::channel(0);
        let mut delivering = pin!(self.deliver(BrokerQueue::new(news), begun));
        tokio::select! {
            () = self.fetch(to, sessions) => {}
            () = &mut delivering => return,
            // Whoever stops it says nothing: the other end goes.
            _ = stopped => {}
        }
        // Nobody brings anything any more; what was brought is sent, if the broker takes it soon.
        let _ = timeout(EVENT_CLOSE_TIME_MAX, delivering).await;
    }

    /// Has the events of every camera that is configured brought, as long as it is.
    async fn fetch(&self, to: mpsc::Sender<BrokerNews>, sessions: watch::Receiver<u64>) {
        let mut tasks = JoinSet::new();
        let mut cameras: BTreeMap<CameraId, AbortHandle> = BTreeMap::new();
        let mut tick = interval(MQTT_CAMERAS_INTERVAL);
        loop {
            tick.tick().await;
            let edition = self.house.edition.load_full();
            let inventory = edition.rules.inventory();
            cameras.retain(|id, task| {
                let stays = inventory.camera(id).is_some();
                if !stays {
                    task.abort();
                }
                stays
            });
            for camera in inventory.cameras() {
                if !cameras.contains_key(&camera.id) {
                    let hub = self.house.hubs.of(&camera.id, &self.house.clock);
                    let prefix = format!("{}/{}", self.broker.topic_prefix, camera.id);
                    let meter = self.house.gate.watch().metrics.camera(&camera.id);
                    let bringing = bring((hub, meter), prefix, to.clone(), sessions.clone());
                    cameras.insert(camera.id.clone(), tasks.spawn(bringing));
                }
            }
            while tasks.try_join_next().is_some() {}
        }
    }

    async fn deliver(&self, mut queue: BrokerQueue, sessions: watch::Sender<u64>) {
        let mut pause = MQTT_PAUSE_MIN;
        loop {
            let began = std::cell::Cell::new(false);
            let begin = |given_up: Option<&str>| {
                began.set(true);
                if let Some(topic) = given_up {
                    self.tell_given_up(topic);
                }
                sessions.send_modify(|it| *it = it.wrapping_add(1));
                self.tell("broker-connected", None);
            };
            let Err(error) = self.session(&mut queue, &begin).await else { return };
            if began.get() || pause == MQTT_PAUSE_MIN {
                self.tell("broker-lost", Some(&error.to_string()));
            }
            pause = if began.get() { MQTT_PAUSE_MIN } else { pause.saturating_mul(2).min(MQTT_PAUSE_MAX) };
            sleep(pause).await;
        }
    }

    async fn session(
        &self,
        queue: &mut BrokerQueue,
        begun: &dyn Fn(Option<&str>),
    ) -> Result<(), BrokerError> {
        let MqttBroker { host, port, login, .. } = &self.broker;
        let connected = timeout(MQTT_ANSWER_TIME_MAX, TcpStream::connect((host.as_str(), *port))).await;
        let stream = connected.map_err(|_| BrokerError::Silent)??;
        let Some(tls) = &self.tls else { return queue.deliver(stream, login, begun).await };
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        let greeted = timeout(MQTT_ANSWER_TIME_MAX, tls.connect(name, stream)).await;
        queue.deliver(greeted.map_err(|_| BrokerError::Silent)??, login, begun).await
    }

    /// Puts on record that the broker does not have a message, since it seems not to bear it.
    fn tell_given_up(&self, topic: &str) {
        let broker = format!("{}:{}", self.broker.host, self.broker.port);
        tracing::warn!(broker, topic, "a message is given up: the broker ended sessions over it");
        self.house
            .gate
            .note(Event::new("broker-message-given-up", json!({ "broker": broker, "topic": topic })));
    }

    /// Puts on record how the broker stands, and sets the alarm.
    fn tell(&self, what: &str, trouble: Option<&str>) {
        let broker = format!("{}:{}", self.broker.host, self.broker.port);
        tracing::info!(broker, trouble, "{what}");
        let gate = &self.house.gate;
        gate.note(Event::new(what, json!({ "broker": broker, "reason": trouble })));
        gate.watch().alarms.set(Alarm::BrokerLost, Subject::Gateway, trouble);
    }
}
