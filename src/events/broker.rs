//! Events for an MQTT broker (MQTT 3.1.1): said at least once, kept until the broker has them, within bounds.
//!
//! Packets are rumqttc's; connections are the gateway's own, since that crate's TLS comes with a second provider.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::BytesMut;
use rumqttc::mqttbytes::{
    self, QoS,
    v4::{Connect, ConnectReturnCode, Login, Packet, Publish},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{mpsc, watch},
    time::{interval, timeout},
};

use super::{hub::Hub, json::BrokerMessage};
use crate::{
    auth::Secret,
    limits::{
        MQTT_ANSWER_TIME_MAX, MQTT_FRUITLESS_SESSIONS_MAX, MQTT_KEEP_ALIVE, MQTT_PACKET_BYTES_MAX,
        MQTT_WINDOW_MESSAGES_MAX, PULL_READ_EVENTS,
    },
    telemetry::{CameraMeter, Delivered},
};

/// Who the gateway is to a broker.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerLogin {
    /// The client's name.
    pub client: String,
    /// User and password, where the broker wants them.
    pub user: Option<(String, Secret)>,
}

/// Why a session with a broker ended.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The connection did not come about, or broke.
    #[error("the connection to the broker broke: {0}")]
    Connection(#[from] io::Error),
    /// It does not answer.
    #[error("the broker does not answer")]
    Silent,
    /// It refused the login.
    #[error("the broker refused the gateway: {0:?}")]
    Refused(ConnectReturnCode),
    /// It said something that it should not.
    #[error("the broker said something else than expected")]
    Unexpected,
    /// It said nothing that is MQTT.
    #[error("the broker does not speak MQTT: {0}")]
    Malformed(mqttbytes::Error),
}

/// What a camera brings a broker.
#[derive(Debug)]
pub struct BrokerNews {
    /// For the broker.
    pub message: BrokerMessage,
    /// Where it is counted that the broker has it.
    pub meter: Arc<CameraMeter>,
}

/// What was sent and is not acknowledged yet.
struct Sent {
    publish: Publish,
    meter: Arc<CameraMeter>,
}

/// What is between the cameras and a broker.
pub struct BrokerQueue {
    news: mpsc::Receiver<BrokerNews>,
    /// Sent and not acknowledged yet, in their order.
    sent: VecDeque<Sent>,
    next: u16,
    /// Sessions in a row that ended although the broker had something to acknowledge, and did not.
    fruitless: u32,
    /// Whether this one acknowledged something.
    acknowledged: bool,
}

impl BrokerQueue {
    /// Takes what cameras bring.
    pub fn new(news: mpsc::Receiver<BrokerNews>) -> Self {
        Self { news, sent: VecDeque::new(), next: 0, fruitless: 0, acknowledged: false }
    }

    /// Sends what comes over a connection, until that ends or, without an error, nobody brings anything any more.
    /// `begun` hears when the broker has taken the login, and the topic of a message that is given up: the one that was
    /// sent first in sessions which the broker ended without a word of any.
    pub async fn deliver<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: S,
        login: &BrokerLogin,
        begun: &dyn Fn(Option<&str>),
    ) -> Result<(), BrokerError> {
        let mut session = Session { stream, heard: BytesMut::new(), asked: false };
        session.log_in(login).await?;
        let hopeless = self.fruitless >= MQTT_FRUITLESS_SESSIONS_MAX;
        let given_up = hopeless.then(|| self.sent.pop_front()).flatten();
        begun(given_up.as_ref().map(|it| it.publish.topic.as_str()));
        if given_up.is_some() {
            self.fruitless = 0;
        }
        self.acknowledged = false;
        let outcome = self.converse(&mut session).await;
        let fruitless = outcome.is_err() && !self.acknowledged && !self.sent.is_empty();
        self.fruitless = if fruitless { self.fruitless.saturating_add(1) } else { 0 };
        outcome
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        session: &mut Session<S>,
    ) -> Result<(), BrokerError> {
        for Sent { publish, .. } in &mut self.sent {
            publish.dup = true;
            session.say(Packet::Publish(publish.clone())).await?;
        }
        let mut beat = interval(MQTT_KEEP_ALIVE / 2);
        // Once nobody brings anything any more, the broker may acknowledge what it has.
        let mut ending = false;
        loop {
            if ending && self.sent.is_empty() {
                return session.say(Packet::Disconnect).await;
            }
            let may_take = !ending && self.sent.len() < MQTT_WINDOW_MESSAGES_MAX;
            tokio::select! {
                message = self.news.recv(), if may_take => match message {
                    Some(BrokerNews { message, meter }) => {
                        let publish = self.numbered(message);
                        // Kept before it is sent: half of it may be all that is.
                        self.sent.push_back(Sent { publish: publish.clone(), meter });
                        session.say(Packet::Publish(publish)).await?;
                    }
                    None => ending = true,
                },
                packet = session.packet() => match packet? {
                    Packet::PubAck(ack) => {
                        self.acknowledged = true;
                        let at = self.sent.iter().position(|it| it.publish.pkid == ack.pkid);
                        if let Some(Sent { meter, .. }) = at.and_then(|at| self.sent.remove(at)) {
                            meter.media.delivered(Delivered::Broker, 1);
                        }
                    }
                    Packet::PingResp => session.asked = false,
                    _ => return Err(BrokerError::Unexpected),
                },
                _ = beat.tick() => session.is_it_there().await?,
            }
        }
    }

    /// Zero is no number of a packet, and one that is not acknowledged is not given again: there are few.
    fn numbered(&mut self, message: BrokerMessage) -> Publish {
        self.next = self.next.checked_add(1).unwrap_or(1);
        let BrokerMessage { topic, payload, retained } = message;
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        publish.retain = retained;
        publish.pkid = self.next;
        publish
    }
}

struct Session<S> {
    stream: S,
    heard: BytesMut,
    /// Whether the broker was asked if it is there, and has not answered yet.
    asked: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    async fn log_in(&mut self, login: &BrokerLogin) -> Result<(), BrokerError> {
        let mut connect = Connect::new(&login.client);
        connect.keep_alive = u16::try_from(MQTT_KEEP_ALIVE.as_secs()).unwrap_or(u16::MAX);
        if let Some((user, password)) = &login.user {
            connect.login = Some(Login::new(user, password.expose()));
        }
        self.say(Packet::Connect(connect)).await?;
        let answer = timeout(MQTT_ANSWER_TIME_MAX, self.packet()).await.map_err(|_| BrokerError::Silent)?;
        match answer? {
            Packet::ConnAck(ack) if ack.code == ConnectReturnCode::Success => Ok(()),
            Packet::ConnAck(ack) => Err(BrokerError::Refused(ack.code)),
            _ => Err(BrokerError::Unexpected),
        }
    }

    async fn say(&mut self, packet: Packet) -> Result<(), BrokerError> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, MQTT_PACKET_BYTES_MAX).map_err(BrokerError::Malformed)?;
        let written = timeout(MQTT_ANSWER_TIME_MAX, self.stream.write_all(&bytes)).await;
        written.map_err(|_| BrokerError::Silent)??;
        Ok(self.stream.flush().await?)
    }

    /// The next packet. What was heard of one stays if this is given up.
    async fn packet(&mut self) -> Result<Packet, BrokerError> {
        loop {
            match Packet::read(&mut self.heard, MQTT_PACKET_BYTES_MAX) {
                Ok(packet) => return Ok(packet),
                Err(mqttbytes::Error::InsufficientBytes(_)) => {}
                Err(error) => return Err(BrokerError::Malformed(error)),
            }
            if self.stream.read_buf(&mut self.heard).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Asks the broker, twice before it would take the gateway for gone (MQTT 3.1.1 §3.1.2.10).
    async fn is_it_there(&mut self) -> Result<(), BrokerError> {
        if std::mem::replace(&mut self.asked, true) {
            return Err(BrokerError::Silent);
        }
        self.say(Packet::PingReq).await
    }
}

/// Brings the events of a camera until nobody takes them any more, and how its properties stand with each session that
/// `sessions` counts: a broker that was started anew has forgotten what it kept. Where events were lost on the way, how they
/// stand is brought again, too. The camera's meter counts both.
pub async fn bring(
    (hub, meter): (Arc<Hub>, Arc<CameraMeter>),
    prefix: String,
    to: mpsc::Sender<BrokerNews>,
    mut sessions: watch::Receiver<u64>,
) {
    let _want = hub.want();
    let mut after = hub.join().after;
    let mut known = 0;
    let mut stale = false;
    loop {
        let session = *sessions.borrow_and_update();
        stale |= std::mem::replace(&mut known, session) != session;
        let state = if std::mem::take(&mut stale) { hub.join().state } else { Vec::new() };
        let batch = hub.read(after, PULL_READ_EVENTS);
        after = batch.after;
        stale = batch.missed > 0;
        meter.media.missed(batch.missed);
        for event in state.iter().chain(&batch.events) {
            let message = BrokerMessage::of(&prefix, event);
            if to.send(BrokerNews { message, meter: Arc::clone(&meter) }).await.is_err() {
                return;
            }
        }
        if batch.events.is_empty() && !stale {
            tokio::select! {
                () = hub.after(after) => {}
                () = to.closed() => return,
                counted = sessions.changed() => if counted.is_err() { return },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rumqttc::mqttbytes::v4::{ConnAck, PubAck};
    use tokio::io::{DuplexStream, duplex};

    use super::{
        super::{event::Event, samples::motion},
        *,
    };
    use crate::clock::SimulatedClock;

    fn login() -> BrokerLogin {
        BrokerLogin { client: "house".into(), user: Some(("cordon".into(), Secret::new("word".into()))) }
    }

    fn news_of(event: &Event) -> BrokerNews {
        BrokerNews { message: BrokerMessage::of("gate", event), meter: Arc::default() }
    }

    fn queue(states: &[bool]) -> BrokerQueue {
        let (to, news) = mpsc::channel(9);
        for state in states {
            let mut event = motion("v0", *state);
            event.stands = true;
            to.try_send(news_of(&event)).unwrap();
        }
        BrokerQueue::new(news)
    }

    /// The other end: reads packets and answers.
    struct Far(DuplexStream, BytesMut);

    impl Far {
        async fn packet(&mut self) -> Packet {
            loop {
                match Packet::read(&mut self.1, MQTT_PACKET_BYTES_MAX) {
                    Ok(Packet::PingReq) => {}
                    Ok(packet) => return packet,
                    Err(_) => assert!(self.0.read_buf(&mut self.1).await.unwrap() > 0, "it hung up"),
                }
            }
        }

        async fn say(&mut self, packet: Packet) {
            let mut bytes = BytesMut::new();
            packet.write(&mut bytes, MQTT_PACKET_BYTES_MAX).unwrap();
            self.0.write_all(&bytes).await.unwrap();
        }

        async fn publish(&mut self) -> Publish {
            match self.packet().await {
                Packet::Publish(publish) => publish,
                other => panic!("{other:?}"),
            }
        }
    }

    /// A session in which the far end does something.
    async fn session<F: Future<Output = ()>>(
        queue: &mut BrokerQueue,
        far: impl FnOnce(Far) -> F,
    ) -> (Result<(), BrokerError>, bool) {
        let (near, other) = duplex(64 * 1024);
        let (begun, login) = (Cell::new(false), login());
        let told = |_: Option<&str>| begun.set(true);
        let delivering = queue.deliver(near, &login, &told);
        let (outcome, ()) = tokio::join!(delivering, far(Far(other, BytesMut::new())));
        (outcome, begun.get())
    }

    #[tokio::test]
    async fn what_a_broker_has_not_acknowledged_is_sent_to_it_again() {
        let mut queue = queue(&[true, false]);
        let accepted = || Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false));
        let (outcome, begun) = session(&mut queue, |mut far| async move {
            let Packet::Connect(connect) = far.packet().await else { panic!("no login") };
            assert_eq!((connect.client_id.as_str(), connect.clean_session), ("house", true));
            assert_eq!(connect.login.unwrap(), Login::new("cordon", "word"));
            far.say(accepted()).await;
            let (first, second) = (far.publish().await, far.publish().await);
            assert_eq!(first.topic, "gate/onvif-ej/VideoSource/MotionAlarm/&v0");
            assert!(first.retain && !first.dup && first.qos == QoS::AtLeastOnce);
            far.say(Packet::PubAck(PubAck::new(second.pkid))).await;
        })
        .await;
        assert!(begun && matches!(outcome, Err(BrokerError::Connection(_))), "{outcome:?}");
        let (outcome, _) = session(&mut queue, |mut far| async move {
            far.packet().await;
            far.say(accepted()).await;
            let again = far.publish().await;
            assert!(again.dup && String::from_utf8_lossy(&again.payload).contains("\"State\":true"));
            far.say(Packet::PubAck(PubAck::new(again.pkid))).await;
            // Nobody brings anything any more.
            assert_eq!(far.packet().await, Packet::Disconnect);
        })
        .await;
        assert!(outcome.is_ok(), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_message_that_a_broker_does_not_bear_keeps_no_other_back() {
        let (to, news) = mpsc::channel(9);
        for source in ["evil", "v0"] {
            to.try_send(news_of(&motion(source, true))).unwrap();
        }
        drop(to);
        let mut queue = BrokerQueue::new(news);
        let accepted = || Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false));
        let given_up = std::cell::RefCell::new(Vec::new());
        let told = |it: Option<&str>| given_up.borrow_mut().push(it.map(str::to_owned));
        for number in 0..3 {
            let ((near, other), login) = (duplex(64 * 1024), login());
            let far = async {
                let mut far = Far(other, BytesMut::new());
                far.packet().await;
                far.say(accepted()).await;
                let first = far.publish().await;
                // It ends the connection over that one, before it says a word of the others.
                assert_eq!(first.topic.ends_with("&evil"), number < 2, "{number}: {}", first.topic);
                if number == 2 {
                    far.say(Packet::PubAck(PubAck::new(first.pkid))).await;
                    assert_eq!(far.packet().await, Packet::Disconnect);
                }
            };
            let (outcome, ()) = tokio::join!(queue.deliver(near, &login, &told), far);
            assert_eq!(outcome.is_ok(), number == 2, "{outcome:?}");
        }
        let topic = "gate/onvif-ej/VideoSource/MotionAlarm/&evil".to_owned();
        assert_eq!(*given_up.borrow(), [None, None, Some(topic)]);
    }

    #[tokio::test]
    async fn a_broker_that_refuses_or_speaks_something_else_is_left() {
        let refuses = |answer: Packet| async move {
            session(&mut queue(&[true]), |mut far| async move {
                far.packet().await;
                far.say(answer).await;
            })
            .await
        };
        let (outcome, begun) =
            refuses(Packet::ConnAck(ConnAck::new(ConnectReturnCode::NotAuthorized, false))).await;
        assert!(
            !begun && matches!(outcome, Err(BrokerError::Refused(ConnectReturnCode::NotAuthorized))),
            "{outcome:?}"
        );
        let (outcome, _) = refuses(Packet::PingResp).await;
        assert!(matches!(outcome, Err(BrokerError::Unexpected)), "{outcome:?}");
        let (outcome, _) = session(&mut queue(&[]), |mut far| async move {
            far.0.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        })
        .await;
        // Read as MQTT, it is the begin of a packet that never ends.
        assert!(matches!(outcome, Err(BrokerError::Connection(_))), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_broker_that_says_nothing_is_given_up() {
        let (outcome, begun) = session(&mut queue(&[]), |mut far| async move {
            far.packet().await;
            assert_eq!(far.0.read_buf(&mut far.1).await.unwrap(), 0, "it hangs up and says nothing else");
        })
        .await;
        assert!(!begun && matches!(outcome, Err(BrokerError::Silent)), "{outcome:?}");
    }

    #[tokio::test]
    async fn each_session_hears_how_properties_stand() {
        let hub = Hub::new(Arc::new(SimulatedClock::new("2026-11-26T08:00:00Z".parse().unwrap())));
        hub.publish(motion("v0", true));
        let ((to, mut news), (count, sessions)) = (mpsc::channel(9), watch::channel(0));
        let task = tokio::spawn(bring((Arc::clone(&hub), Arc::default()), "gate".into(), to, sessions));
        for session in 1..3 {
            count.send_replace(session);
            let message = news.recv().await.unwrap().message;
            assert!(String::from_utf8_lossy(&message.payload).contains("\"State\":true"), "{session}");
        }
        assert_eq!(*hub.wanted().borrow(), 1);
        hub.publish(motion("v0", false));
        let message = news.recv().await.unwrap().message;
        assert!(String::from_utf8_lossy(&message.payload).contains("\"State\":false"));
        drop(news);
        task.await.unwrap();
        assert_eq!(*hub.wanted().borrow(), 0);
    }
}
