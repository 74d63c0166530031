//! What a simulated camera tells: properties that change by a schedule of its script or at somebody's word, and who is
//! told: pull points that ask, and consumers it sends to.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::header::DATE;
use jiff::{SignedDuration, Timestamp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    device::{self, Answer, Device},
    message::{Request, escaped},
    script::Item,
    server::{Reply, RunningCamera, Shared, accept, dated, enveloped},
};
use crate::limits::{SIM_EVENTS_MAX, SIM_NOTIFY_TIME_MAX};

/// A property that a camera has, by the name its script calls it.
struct Property {
    name: &'static str,
    topic: &'static str,
    source: (&'static str, &'static str),
    data: &'static str,
}

const PROPERTIES: [Property; 2] = [
    Property {
        name: "motion",
        topic: "tns1:VideoSource/MotionAlarm",
        source: ("Source", "VideoSource_1"),
        data: "State",
    },
    Property {
        name: "input",
        topic: "tns1:Device/Trigger/DigitalInput",
        source: ("InputToken", "DigitalInput_1"),
        data: "LogicalState",
    },
];

/// What happened so far.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    /// The number of the last event.
    last: u64,
    events: VecDeque<(u64, String)>,
    values: [bool; PROPERTIES.len()],
    /// Up to when the schedule is followed.
    caught_up: Option<Timestamp>,
}

impl Device {
    /// Something happens to a property now: `motion` or `input`. `now` is the true time.
    pub(super) fn happens(&mut self, property: &str, value: bool, now: Timestamp) {
        self.catch_up(now);
        if let Some(at) = PROPERTIES.iter().position(|it| it.name == property) {
            self.record(at, value, now);
        }
    }

    /// Follows the schedule up to now.
    pub(super) fn catch_up(&mut self, now: Timestamp) {
        let from = self.chronicle.caught_up.replace(now);
        for at in 0..PROPERTIES.len() {
            let Some((every, lasts)) = self.schedule(at) else { continue };
            let Some(from) = from else {
                if let Some(value) = self.chronicle.values.get_mut(at) {
                    *value = now.as_second().rem_euclid(every) < lasts;
                }
                continue;
            };
            // Who has not looked for long has missed most of it.
            let first = from.as_second().max(now.as_second() - 16 * every);
            for second in first + 1..=now.as_second() {
                let phase = second.rem_euclid(every);
                if phase == 0 || phase == lasts {
                    let then = Timestamp::from_second(second).unwrap_or(now);
                    self.record(at, phase == 0, then);
                }
            }
        }
    }

    /// How long nothing changes by the schedule; none if there is none.
    pub(super) fn quiet(&self, now: Timestamp) -> Option<Duration> {
        let next = |(every, lasts): (i64, i64)| {
            let phase = now.as_second().rem_euclid(every);
            if phase < lasts { lasts - phase } else { every - phase }
        };
        let next = (0..PROPERTIES.len()).filter_map(|at| self.schedule(at)).map(next).min()?;
        u64::try_from(next).ok().map(Duration::from_secs)
    }

    /// Whether a property is not there: what it depends on was taken away.
    fn lacks(&self, at: usize) -> bool {
        PROPERTIES.get(at).is_none_or(|it| self.variable(&format!("{}.absent", it.name)) == "true")
    }

    /// How often a property changes, and for how long, in seconds.
    fn schedule(&self, at: usize) -> Option<(i64, i64)> {
        let name = PROPERTIES.get(at)?.name;
        let number = |what: &str| self.variable(&format!("{name}.{what}")).parse::<i64>().ok();
        let (every, lasts) = (number("every")?, number("lasts")?);
        (lasts > 0 && every > lasts).then_some((every, lasts))
    }

    fn record(&mut self, at: usize, value: bool, then: Timestamp) {
        let text = self.message(at, value, "Changed", then);
        let chronicle = &mut self.chronicle;
        if let Some(kept) = chronicle.values.get_mut(at) {
            *kept = value;
        }
        chronicle.last = chronicle.last.saturating_add(1);
        chronicle.events.push_back((chronicle.last, text));
        if chronicle.events.len() > SIM_EVENTS_MAX {
            chronicle.events.pop_front();
        }
    }

    fn message(&self, at: usize, value: bool, operation: &str, then: Timestamp) -> String {
        let Some(Property { name: property, topic, source: (name, token), data }) = PROPERTIES.get(at) else {
            return String::new();
        };
        let own = self.variable(&format!("{property}.token"));
        let token = if own.is_empty() { (*token).to_owned() } else { escaped(own) };
        let utc = self.time(then).strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        notification(topic, &utc, operation, (name, &token), (data, if value { "true" } else { "false" }))
    }

    /// What a subscription has yet to be told, as XML, no more than `most`; the subscription is told by it.
    pub(super) fn news(&self, subscription: &mut Item, most: usize, now: Timestamp) -> String {
        let chronicle = &self.chronicle;
        let number = |it: Option<&String>| it.and_then(|it| it.parse::<u64>().ok());
        if subscription.get("told").is_none_or(|it| it != "true") {
            subscription.insert("told".to_owned(), "true".to_owned());
            subscription.insert("heard".to_owned(), chronicle.last.to_string());
            return self.states(now);
        }
        let heard = number(subscription.get("heard")).unwrap_or(chronicle.last);
        let news = chronicle.events.iter().filter(|(number, _)| *number > heard).take(most);
        let (mut text, mut last) = (String::new(), heard);
        for (number, event) in news {
            text.push_str(event);
            last = *number;
        }
        subscription.insert("heard".to_owned(), last.to_string());
        text
    }

    /// The state of every property.
    fn states(&self, now: Timestamp) -> String {
        let values = self.chronicle.values;
        let mut text: String = values
            .iter()
            .enumerate()
            .filter(|(at, _)| !self.lacks(*at))
            .map(|(at, value)| self.message(at, *value, "Initialized", now))
            .collect();
        let utc = self.time(now).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        for relay in self.list("relays") {
            let field = |name: &str| relay.get(name).map_or("", String::as_str);
            let state = if field("state").is_empty() { "inactive" } else { field("state") };
            let (token, state) = (escaped(field("token")), escaped(state));
            let (source, data) = (("RelayToken", token.as_str()), ("LogicalState", state.as_str()));
            text += &notification("tns1:Device/Trigger/Relay", &utc, "Initialized", source, data);
        }
        text
    }

    /// Until when a subscription lasts that was asked for so: `PT60S` or a moment of the camera's own clock. One that goes
    /// by a length of its own (`lease.seconds`) does not look at that.
    pub(super) fn lease(&self, asked: Option<&str>, now: Timestamp) -> Timestamp {
        let after = |length: SignedDuration| now.saturating_add(length).unwrap_or(now);
        let longest = SignedDuration::from_mins(10);
        if let Ok(seconds) = self.variable("lease.seconds").parse() {
            return after(SignedDuration::from_secs(seconds));
        }
        let asked = asked.map_or("PT60S", str::trim);
        if let Ok(moment) = asked.parse::<Timestamp>() {
            return after(moment.duration_since(self.time(now)).min(longest));
        }
        if self.variable("relative.time") == "broken" {
            return now;
        }
        let length = asked.parse::<jiff::Span>().ok().and_then(|it| SignedDuration::try_from(it).ok());
        after(length.unwrap_or(SignedDuration::from_secs(60)).min(longest))
    }
}

fn notification(topic: &str, utc: &str, operation: &str, source: (&str, &str), data: (&str, &str)) -> String {
    let item = |part: &str, (name, value): (&str, &str)| {
        format!("<tt:{part}><tt:SimpleItem Name=\"{name}\" Value=\"{value}\"/></tt:{part}>")
    };
    format!(
        "<wsnt:NotificationMessage><wsnt:Topic \
         Dialect=\"http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet\">{topic}</wsnt:Topic><wsnt:Message>\
         <tt:Message UtcTime=\"{utc}\" PropertyOperation=\"{operation}\">{}{}</tt:Message></wsnt:Message>\
         </wsnt:NotificationMessage>",
        item("Source", source),
        item("Data", data)
    )
}

impl RunningCamera {
    /// Has something happen now: to `motion`, or to the digital `input`.
    pub fn happens(&self, property: &str, value: bool) {
        let now = self.shared.options.clock.now();
        self.shared.state().device.happens(property, value, now);
        self.shared.happened.send_replace(());
    }

    /// How many have a place among its subscriptions now.
    pub fn subscriptions(&self) -> usize {
        let now = self.shared.options.clock.now();
        let state = self.shared.state();
        let lasts = |item: &&Item| {
            item.get("until").and_then(|it| it.parse::<Timestamp>().ok()).is_none_or(|until| until > now)
        };
        state.device.list("subscriptions").iter().filter(lasts).count()
    }

    /// Forgets its subscriptions, as one does that is started anew.
    pub fn forget_subscriptions(&self) {
        self.shared.state().device.forget("subscriptions");
        self.shared.happened.send_replace(());
    }

    /// Listens at one more port, where it answers the same.
    ///
    /// # Errors
    /// If there is none.
    pub fn listen_also(&self) -> io::Result<SocketAddr> {
        let listener = std::net::TcpListener::bind((self.address().ip(), 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let _here = self.runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        self.runtime.spawn(accept_until(listener, Arc::clone(&self.shared), self.stop.subscribe()));
        Ok(address)
    }
}

impl Shared {
    /// Tells when something happens.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.happened.subscribe()
    }

    /// What consumers are to be sent now, with their addresses, and how long nothing will happen by the schedule.
    pub(super) fn notices(&self) -> (Vec<(String, String)>, Option<Duration>) {
        let now = self.options.clock.now();
        self.state().device.notices(now)
    }

    /// The answer for somebody who is let wait: as it is once there is something to tell, or the time is over.
    pub(super) async fn waited(&self, reply: Reply, wait: Duration, body: &Bytes, target: &str) -> Reply {
        // Only who pulls is let wait.
        let longest = Request::read(body).ok().and_then(|it| it.body.value("Timeout").map(device::timeout));
        let date = reply.headers().get(DATE).cloned();
        match self.pulled(body, target, longest.unwrap_or(wait)).await {
            Some(told) => dated(told, date),
            None => reply,
        }
    }

    /// Waits for something to tell somebody who pulls; the answer then.
    async fn pulled(&self, body: &Bytes, target: &str, longest: Duration) -> Option<Reply> {
        let request = Request::read(body).ok()?;
        let mut news = self.news();
        let mut end = pin!(tokio::time::sleep(longest));
        loop {
            let Answer { status, envelope, wait } = {
                let mut state = self.state();
                state.device.answer(&request, target, self.options.clock.now())
            };
            if wait.is_zero() || end.is_elapsed() {
                return Some(enveloped(&self.state(), body, status, envelope));
            }
            tokio::select! {
                () = &mut end => {}
                () = tokio::time::sleep(wait) => {}
                changed = news.changed() => changed.ok()?,
            }
        }
    }
}

/// Sends consumers what happens, until the camera stops.
pub(super) async fn notify(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut news = shared.news();
    loop {
        let (notices, quiet) = shared.notices();
        for (consumer, envelope) in notices {
            // One that does not take them has lost them.
            let _ = timeout(SIM_NOTIFY_TIME_MAX, post(shared.options.bind.ip(), &consumer, &envelope)).await;
        }
        let pause = async {
            match quiet {
                Some(quiet) => sleep(quiet).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = pause => {}
            changed = news.changed() => if changed.is_err() { return },
            _ = stopped.changed() => return,
        }
    }
}

/// Sends from the camera's own address, as one on a network of its own does.
async fn post(own: IpAddr, consumer: &str, envelope: &str) -> io::Result<()> {
    let no_address = || io::Error::from(io::ErrorKind::InvalidInput);
    let uri: http::Uri = consumer.parse().map_err(|_| no_address())?;
    let authority = uri.authority().ok_or_else(no_address)?.as_str();
    let to: SocketAddr = authority.parse().map_err(|_| no_address())?;
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if own.is_ipv4() == to.is_ipv4() && !own.is_unspecified() {
        socket.bind(SocketAddr::new(own, 0))?;
    }
    let mut stream = socket.connect(to).await?;
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/soap+xml; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        envelope.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(envelope.as_bytes()).await?;
    let mut answer = [0; 1_024];
    stream.read(&mut answer).await.map(|_| ())
}

async fn accept_until(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let accepting = accept(listener, shared, stopped.clone());
    tokio::select! {
        () = accepting => {}
        _ = stopped.changed() => {}
    }
}
