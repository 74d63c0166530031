//! Events that are sent to consumers (`wsnt:Notify`): one connection at a time for each subscription, within deadlines.
//!
//! A consumer that does not take them is tried again after pauses, and the subscription is given up at last; what comes
//! meanwhile waits in the camera's hub as for everybody, as far as that reaches. Nobody is logged in to, no answer is
//! followed anywhere, and nothing of it but the status counts.

use std::{
    io,
    net::{IpAddr, UdpSocket},
    rc::Rc,
    sync::Arc,
};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    sync::{Semaphore, SemaphorePermit},
    time::{sleep, timeout},
};

use super::{
    house::House,
    subscriptions::{Subscribed, Watched},
};
use crate::{
    alarm::{Alarm, Subject},
    events::{self, Consumer, Event, Hub, NoConsumer},
    inventory::Camera,
    limits::{
        CONSUMERS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX, NOTIFY_ANSWER_BYTES_MAX, NOTIFY_FAILURES_MAX,
        NOTIFY_IDLE_TIME, NOTIFY_MESSAGES_MAX, NOTIFY_PAUSE, NOTIFY_TIME_MAX,
    },
    schema::BuildError,
    soap::{self, Headers},
    telemetry::Delivered,
};

/// What delivers the events of one subscription.
pub(super) struct Delivery {
    pub(super) house: Arc<House>,
    pub(super) camera: Arc<Camera>,
    pub(super) hub: Arc<Hub>,
    pub(super) subscribed: Rc<Subscribed>,
    pub(super) subscription: Watched,
    pub(super) consumer: Consumer,
}

/// Why a notification did not arrive.
#[derive(Debug, thiserror::Error)]
enum Undelivered {
    #[error("{0}")]
    Forbidden(#[from] NoConsumer),
    #[error("it is not permitted any more")]
    NotPermitted,
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the consumer did not answer in time")]
    Late,
    #[error("the consumer answered with status {0}")]
    Status(StatusCode),
    #[error("the request cannot be made: {0}")]
    Request(#[from] http::Error),
    #[error("the message cannot be made: {0}")]
    Message(#[from] BuildError),
    #[error("the interface has no Notify")]
    NoOperation,
}

/// The connection, as long as it is of use.
type Line = Option<SendRequest<Full<Bytes>>>;

impl Delivery {
    /// Delivers until the subscription ends or the consumer is given up.
    pub(super) async fn run(self) {
        let mut line: Line = None;
        loop {
            let taken = self
                .subscription
                .with(&self.subscribed, |it| (it.take(&self.hub, NOTIFY_MESSAGES_MAX), it.after()));
            let Some((events, after)) = taken else { return };
            if events.is_empty() {
                tokio::select! {
                    () = self.hub.after(after) => {}
                    () = self.subscribed.changed() => {}
                    () = sleep(NOTIFY_IDLE_TIME), if line.is_some() => line = None,
                }
            } else {
                let Some(told) = self.deliver(&mut line, &events).await else { return };
                let now = self.house.clock.monotonic();
                self.subscription.with(&self.subscribed, |it| {
                    it.give_back(events.get(told..).unwrap_or_default());
                    it.told(told, now);
                });
                let metrics = &self.house.gate.watch().metrics;
                metrics.camera(&self.camera.id).media.delivered(Delivered::Notify, told);
            }
        }
    }

    /// Sends events until they arrive, and how many do at once. None once that is given up, or the subscription has ended.
    async fn deliver(&self, line: &mut Line, events: &[Arc<Event>]) -> Option<usize> {
        let mut pause = NOTIFY_PAUSE;
        for failures in 1..=NOTIFY_FAILURES_MAX {
            let sent = timeout(NOTIFY_TIME_MAX, self.send(line, events)).await;
            let error = match sent.unwrap_or(Err(Undelivered::Late)) {
                Ok(told) => return Some(told),
                Err(error) => error,
            };
            *line = None;
            tracing::info!(camera = %self.camera.id, consumer = %self.consumer, failures, %error, "events did not arrive");
            if failures == NOTIFY_FAILURES_MAX {
                self.give_up(&error);
                break;
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2);
            self.subscription.with(&self.subscribed, |_| ())?;
        }
        None
    }

    fn give_up(&self, error: &Undelivered) {
        let client = self.subscription.client();
        let detail = format!("{} of `{client}` did not take events: {error}", self.consumer);
        let subject = Subject::Camera(self.camera.id.clone());
        self.house.gate.watch().alarms.raise(Alarm::ConsumerGivenUp, subject, &detail);
        self.subscribed.give_up(&self.subscription, &self.house, &self.camera.id, &detail);
    }

    async fn send(&self, line: &mut Line, events: &[Arc<Event>]) -> Result<usize, Undelivered> {
        // As things are configured now, for a connection that stands, too.
        self.consumer.check(self.house.edition.load().rules.inventory(), &is_own)?;
        if !self.subscription.with(&self.subscribed, |it| it.held.is_permitted(&self.house)).unwrap_or(false)
        {
            return Err(Undelivered::NotPermitted);
        }
        let tables = &self.house.tables;
        let notify = tables.operation_by_name("wsntw:Notify").and_then(|it| tables.operation(it));
        let notify = notify.ok_or(Undelivered::NoOperation)?;
        let headers = Headers {
            action: Some(notify.action_in.to_string()),
            to: Some(self.consumer.reference.clone()),
            ..Headers::default()
        };
        let (message, told) = events::notify(tables, notify.input, events)?;
        let body = soap::encode(tables, &message, &headers);
        let content_type = format!("{}; action=\"{}\"", headers.version.content_type(), notify.action_in);
        let request = Request::post(&self.consumer.path_and_query)
            .header(header::HOST, self.consumer.address.to_string())
            .header(header::CONTENT_TYPE, content_type)
            .body(Full::new(body))?;
        let mut sender = match line.take() {
            Some(sender) if sender.is_ready() => sender,
            _ => self.connect().await?,
        };
        sender.ready().await?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let is_whole = Limited::new(body, NOTIFY_ANSWER_BYTES_MAX).collect().await.is_ok();
        if !head.status.is_success() {
            return Err(Undelivered::Status(head.status));
        }
        *line = is_whole.then_some(sender);
        Ok(told)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Undelivered> {
        let stream = TcpStream::connect(self.consumer.address).await.map_err(Undelivered::Connect)?;
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(HTTP_HEAD_BYTES_MAX)
            .max_headers(HTTP_HEADERS_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        // It ends with the sender; what goes wrong shows there.
        tokio::task::spawn_local(async move { drop(driver.await) });
        Ok(sender)
    }
}

/// Whether an address is one of this machine's, as far as is known: only to such a one can something be bound.
pub(super) fn is_own(address: IpAddr) -> bool {
    !UdpSocket::bind((address, 0)).is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// A place for one more subscription whose events are sent.
pub(super) fn delivery_place() -> Result<SemaphorePermit<'static>, String> {
    static PLACES: Semaphore = Semaphore::const_new(CONSUMERS_MAX);
    PLACES.try_acquire().map_err(|_| format!("events are sent to {CONSUMERS_MAX} consumers already"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::ports::tests::inventory;

    /// What policies permit by mistake is refused all the same.
    #[test]
    fn nothing_is_sent_to_cameras_to_the_gateway_or_to_groups() {
        let inventory = inventory(&[("gate", "198.51.100.7:80", "192.0.2.1:9001")]);
        let check = |address: &str, own: bool| {
            let consumer = Consumer {
                address: address.parse().unwrap(),
                path_and_query: "/".to_owned(),
                reference: String::new(),
            };
            consumer.check(&inventory, &|_| own)
        };
        assert_eq!(check("203.0.113.9:80", false), Ok(()));
        assert_eq!(check("[2001:db8::9]:80", false), Ok(()));
        assert_eq!(check("203.0.113.9:80", true), Err(NoConsumer::Own));
        assert_eq!(check("192.0.2.1:9001", false), Err(NoConsumer::Own));
        assert_eq!(check("127.0.0.1:80", true), Err(NoConsumer::Own), "no network names it");
        assert_eq!(check("198.51.100.7:80", false), Err(NoConsumer::Own), "an enrolled camera");
        for nobody in [
            "0.0.0.0:80",
            "[::]:80",
            "239.255.255.250:3702",
            "255.255.255.255:80",
            "169.254.169.254:80",
            "[fe80::1]:80",
            "[ff02::c]:3702",
            "[64:ff9b::c633:6407]:80",
            "[2002:c633:6407::1]:80",
        ] {
            assert_eq!(check(nobody, false), Err(NoConsumer::Group), "{nobody}");
        }
    }

    #[test]
    fn the_machine_knows_its_own_addresses() {
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(!is_own("203.0.113.9".parse().unwrap()));
    }
}
