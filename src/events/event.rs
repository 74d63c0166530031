//! One event of a camera: a `wsnt:NotificationMessage` (ONVIF Core §9.4) that was read as every other message of the
//! camera's is, and is written anew for whoever gets it.
//!
//! It is kept as a document of its own that holds no reference and no address, so that the messages it goes on in are
//! built of it ([`Event::write_into`]); nothing in it is text that nobody declared.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest::{Context, SHA256};
use jiff::{Timestamp, civil, tz::TimeZone};

use crate::{
    hatch::{AddressRules, cleansed},
    limits::{EVENT_BYTES_MAX, EVENTS_PER_MESSAGE_MAX, TOPIC_BYTES_MAX, TOPIC_LEVELS_MAX},
    schema::{BuildError, Builder, Document, Element, Tables},
};

/// One event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its number among the events of its camera since the gateway started; 0 until the hub gives it one.
    pub sequence: u64,
    /// What it is about.
    pub topic: Topic,
    /// What happened to the property, if it is one (Core §9.4.2.3).
    pub operation: Option<Operation>,
    /// Whether the hub took it up as the state of its property.
    pub stands: bool,
    /// When it happened, by the camera's clock. None if the camera did not say; the message holds the gateway's then.
    pub at_camera: Option<Timestamp>,
    /// When it came, by the gateway's clock.
    pub at_gateway: Timestamp,
    /// A `wsnt:Notify` of this one message.
    message: Arc<Document>,
}

/// What happened to a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Its value is told to somebody who has just come.
    Initialized,
    /// It has another value.
    Changed,
    /// It is no more.
    Deleted,
}

impl Operation {
    /// The word of `tt:PropertyOperation`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initialized => "Initialized",
            Self::Changed => "Changed",
            Self::Deleted => "Deleted",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        [Self::Initialized, Self::Changed, Self::Deleted]
            .into_iter()
            .find(|it| it.as_str().eq_ignore_ascii_case(word.trim()))
    }
}

/// The parts of a message that hold items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// What it comes from.
    Source,
    /// What else tells one property from another.
    Key,
    /// What it says.
    Data,
}

impl Part {
    /// All, in their order.
    pub const ALL: [Self; 3] = [Self::Source, Self::Key, Self::Data];

    /// The element's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "Source",
            Self::Key => "Key",
            Self::Data => "Data",
        }
    }
}

/// A `tt:SimpleItem`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimpleItem<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: &'a str,
}

/// A concrete topic: a path of names, each with its namespace (WS-Topics §4). Equal topics are the same topic, whatever
/// prefixes they were written with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<[TopicName]>);

/// One name of a topic's path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName {
    /// Its namespace. A name without a prefix has that of the name before it, as ONVIF writes them; empty for none.
    pub namespace: Box<str>,
    /// Its local name.
    pub local: Box<str>,
}

impl Topic {
    /// Reads `tns1:VideoSource/MotionAlarm`; `resolve` says what a prefix means. None if it is no concrete topic.
    pub fn parse(text: &str, resolve: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let text = text.trim().trim_matches('/');
        if text.is_empty() || text.len() > TOPIC_BYTES_MAX {
            return None;
        }
        let mut before = String::new();
        let name = |step: &str| {
            let (namespace, local) = match step.trim().split_once(':') {
                Some((prefix, local)) => (resolve(prefix)?, local),
                None => (before.clone(), step.trim()),
            };
            before.clone_from(&namespace);
            let plain = !local.is_empty() && !local.contains([':', '*', '.', '|', ' ', '"', '\'', '\\']);
            plain.then(|| TopicName { namespace: namespace.into(), local: local.into() })
        };
        let names: Option<Arc<[TopicName]>> = text.split('/').take(TOPIC_LEVELS_MAX + 1).map(name).collect();
        names.filter(|it| it.len() <= TOPIC_LEVELS_MAX).map(Self)
    }

    /// Its path.
    pub fn names(&self) -> &[TopicName] {
        &self.0
    }

    /// As ONVIF writes it, with the prefixes of the tables; other namespaces are written out.
    pub fn shown(&self, tables: &Tables) -> String {
        let mut before = "";
        let mut steps = Vec::with_capacity(self.0.len());
        for TopicName { namespace, local } in &*self.0 {
            let same = std::mem::replace(&mut before, namespace) == &**namespace;
            steps.push(match (&**namespace, tables.namespace(namespace)) {
                _ if same => local.to_string(),
                (ONVIF_TOPICS, _) => format!("tns1:{local}"),
                (_, Some(known)) => format!("{}:{local}", tables.prefix(known)),
                (uri, None) => format!("{{{uri}}}{local}"),
            });
        }
        steps.join("/")
    }
}

impl fmt::Display for Topic {
    /// The names of its path without their namespaces, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            let slash = if at > 0 { "/" } else { "" };
            write!(f, "{slash}{}", name.local)?;
        }
        Ok(())
    }
}

/// What a message of a camera told.
#[derive(Debug, Default)]
pub struct Read {
    /// Its events, in its order.
    pub events: Vec<Event>,
    /// How many it had that are none, or were too many.
    pub left_out: u64,
    /// Why the first of them is none.
    pub why: Option<Unread>,
}

/// Why a notification message is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Unread {
    #[error("it has no concrete topic")]
    Topic,
    #[error("it holds no tt:Message")]
    NoMessage,
    #[error("it is larger than {EVENT_BYTES_MAX} bytes")]
    Long,
    #[error("it cannot be written as the interface declares it")]
    Undeclared,
    #[error("it names an address of the camera's side where it cannot do without")]
    Address,
    #[error("the message holds more than {EVENTS_PER_MESSAGE_MAX} events")]
    TooMany,
}

impl Event {
    /// Reads what a camera told: a `tev:PullMessagesResponse`, a `wsnt:Notify`, or any other message that holds
    /// `wsnt:NotificationMessage` elements; no more than `EVENTS_PER_MESSAGE_MAX`. Each is freed of addresses by itself, so
    /// that one that cannot be takes no other with it.
    pub fn read_all(tables: &Tables, document: &Document, rules: &AddressRules, at: Timestamp) -> Read {
        let spaces = document.namespaces(tables);
        let resolve = |prefix: &str| {
            let known = spaces.iter().find(|(it, _)| it == prefix).map(|(_, uri)| uri.clone());
            known.or_else(|| (prefix == "tns1").then(|| ONVIF_TOPICS.to_owned()))
        };
        let mut read = Read::default();
        let messages = document.root().children().filter(|it| it.local() == "NotificationMessage");
        for (at_place, message) in messages.enumerate() {
            let event = if at_place < EVENTS_PER_MESSAGE_MAX {
                Self::read(tables, message, (&resolve, rules), at)
            } else {
                Err(Unread::TooMany)
            };
            match event {
                Ok(event) => read.events.push(event),
                Err(why) => {
                    read.left_out = read.left_out.saturating_add(1);
                    read.why.get_or_insert(why);
                }
            }
        }
        read
    }

    fn read(
        tables: &Tables,
        message: Element<'_>,
        (resolve, rules): (&Resolve<'_>, &AddressRules),
        at: Timestamp,
    ) -> Result<Self, Unread> {
        let stated = message.child("Topic").ok_or(Unread::Topic)?;
        let topic = Topic::parse(stated.text(), resolve).ok_or(Unread::Topic)?;
        let inside = message.find("Message/Message").ok_or(Unread::NoMessage)?;
        let at_camera = inside.attribute("UtcTime").and_then(moment);
        let operation = inside.attribute("PropertyOperation").and_then(Operation::of_word);
        let root = tables
            .operation_by_name(NOTIFY)
            .and_then(|it| tables.operation(it))
            .map(|it| it.input)
            .ok_or(Unread::Undeclared)?;
        let mut builder = Builder::new(tables, root);
        let utc = inside.attribute("UtcTime").filter(|_| at_camera.is_some());
        let utc = utc.map_or_else(|| at.to_string(), |it| it.trim().to_owned());
        let marks = Marks { utc: &utc, came: None, operation };
        write(&mut builder, stated, inside, marks).map_err(|_| Unread::Undeclared)?;
        let document = builder.finish().map_err(|_| Unread::Undeclared)?;
        if document.bytes() > EVENT_BYTES_MAX {
            return Err(Unread::Long);
        }
        // It is a copy, which takes no more room than it needs.
        let message = Arc::new(cleansed(tables, &document, rules).map_err(|_| Unread::Address)?);
        Ok(Self { sequence: 0, topic, operation, stands: false, at_camera, at_gateway: at, message })
    }

    /// Writes it as a `wsnt:NotificationMessage` into the element that is open: of a `tev:PullMessagesResponse`, a
    /// `wsnt:Notify`. The time is the camera's, the gateway's stands beside it; the operation is that of this event.
    pub fn write_into(&self, builder: &mut Builder<'_>) -> Result<(), BuildError> {
        let message = self.message.root().child("NotificationMessage");
        let topic = message.and_then(|it| it.child("Topic"));
        let (Some(topic), Some(inside)) = (topic, self.inside()) else { return Ok(()) };
        let utc = inside.attribute("UtcTime").unwrap_or_default();
        let came = self.came();
        write(builder, topic, inside, Marks { utc, came: Some(&came), operation: self.operation })
    }

    /// The same, told to somebody who has just come. What it says is shared.
    pub fn initialized(&self) -> Self {
        Self { operation: Some(Operation::Initialized), ..self.clone() }
    }

    /// That the property is no more, as it is known since then.
    pub fn deleted(&self, at: Timestamp) -> Self {
        Self { operation: Some(Operation::Deleted), at_gateway: at, ..self.clone() }
    }

    /// When it came, by the gateway's clock, as it is told.
    pub fn came(&self) -> String {
        format!("{:.3}", self.at_gateway)
    }

    /// Whether it tells of a property: of something that has a value between two events.
    pub fn is_property(&self) -> bool {
        self.operation.is_some()
    }

    /// The simple items of a part.
    pub fn items(&self, part: Part) -> impl Iterator<Item = SimpleItem<'_>> {
        let lists = self.inside().and_then(|it| it.child(part.as_str()));
        let items = lists.into_iter().flat_map(|it| it.children()).filter(|it| it.local() == "SimpleItem");
        items.map(|it| SimpleItem {
            name: it.attribute("Name").unwrap_or_default(),
            value: it.attribute("Value").unwrap_or_default(),
        })
    }

    /// Its elements as they are kept: a `wsnt:Notify` of this one message, for what else there is to read.
    pub fn message(&self) -> &Document {
        &self.message
    }

    /// Bytes of memory it takes, roughly.
    pub fn bytes(&self) -> usize {
        let names = self.topic.0.iter().map(|it| it.namespace.len() + it.local.len() + 32).sum::<usize>();
        size_of::<Self>() + names + self.message.bytes()
    }

    /// `tt:Message`.
    fn inside(&self) -> Option<Element<'_>> {
        self.message.root().find("NotificationMessage/Message/Message")
    }

    /// Which property it is about: topic, source and key.
    pub(super) fn property(&self) -> Print {
        let mut hash = Context::new(&SHA256);
        self.topic_into(&mut hash);
        self.parts_into(&[Part::Source, Part::Key], &mut hash);
        Print::of(hash)
    }

    /// What it says of it.
    pub(super) fn value(&self) -> Print {
        let mut hash = Context::new(&SHA256);
        self.parts_into(&[Part::Data], &mut hash);
        Print::of(hash)
    }

    /// All that it says: an event with the same print was told twice.
    pub(super) fn print(&self) -> Print {
        let mut hash = Context::new(&SHA256);
        self.topic_into(&mut hash);
        self.parts_into(&Part::ALL, &mut hash);
        field(&mut hash, self.operation.map_or("", Operation::as_str));
        match self.at_camera {
            Some(at) => field(&mut hash, &at.as_nanosecond().to_string()),
            // Nothing tells two of them apart: both count.
            None => field(&mut hash, &format!("at the gateway {}", self.at_gateway.as_nanosecond())),
        }
        Print::of(hash)
    }

    fn topic_into(&self, hash: &mut Context) {
        for TopicName { namespace, local } in &*self.topic.0 {
            field(hash, namespace);
            field(hash, local);
        }
        field(hash, "");
    }

    fn parts_into(&self, parts: &[Part], hash: &mut Context) {
        for part in parts {
            field(hash, part.as_str());
            if let Some(list) = self.inside().and_then(|it| it.child(part.as_str())) {
                elements_into(list, hash);
            }
        }
    }
}

/// Says what a prefix means.
type Resolve<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A digest of a part of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Print([u8; 32]);

impl Print {
    fn of(hash: Context) -> Self {
        let mut print = [0; 32];
        print.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self(print)
    }
}

/// The attributes of a `tt:Message`.
struct Marks<'a> {
    /// When it happened, by the camera's clock.
    utc: &'a str,
    /// When it came, by the gateway's.
    came: Option<&'a str>,
    operation: Option<Operation>,
}

/// Writes a notification message of a topic and a `tt:Message`, with these attributes.
fn write(
    builder: &mut Builder<'_>,
    topic: Element<'_>,
    inside: Element<'_>,
    Marks { utc, came, operation }: Marks<'_>,
) -> Result<(), BuildError> {
    builder.open("wsnt:NotificationMessage")?;
    builder.open("wsnt:Topic")?.attribute("Dialect", CONCRETE_SET)?.graft_text(topic)?.close()?;
    builder.open("wsnt:Message")?.open("tt:Message")?.attribute("UtcTime", utc)?;
    if let Some(operation) = operation {
        builder.attribute("PropertyOperation", operation.as_str())?;
    }
    if let Some(came) = came {
        builder.attribute(GATEWAY_TIME, came)?;
    }
    for part in inside.children() {
        builder.graft(part)?;
    }
    builder.close()?.close()?.close()?;
    Ok(())
}

/// Adds what an element holds to a digest. Nesting was bounded when the document was made.
fn elements_into(element: Element<'_>, hash: &mut Context) {
    for value in element.attributes() {
        field(hash, value.local);
        field(hash, value.text);
    }
    field(hash, element.text());
    for inside in element.children() {
        field(hash, inside.local());
        elements_into(inside, hash);
    }
    field(hash, "");
}

fn field(hash: &mut Context, text: &str) {
    hash.update(&(text.len() as u64).to_be_bytes());
    hash.update(text.as_bytes());
}

/// A `xs:dateTime`; one without a zone is taken for UTC, as its name says.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let zoned = text.parse::<Timestamp>().ok();
    zoned.or_else(|| {
        text.parse::<civil::DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|it| it.timestamp())
    })
}

/// The attribute, and the member of JSON, that says when an event came, by the gateway's clock.
pub(super) const GATEWAY_TIME: &str = "GatewayTime";
/// The operation as which a message of one event is kept.
const NOTIFY: &str = "wsntw:Notify";
/// The namespace of ONVIF's own topics.
pub(super) const ONVIF_TOPICS: &str = "http://www.onvif.org/ver10/topics";
/// How a topic is written: one path, the form ONVIF's own examples have (Core §9.6.3).
const CONCRETE_SET: &str = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet";

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::events) const STATE: &str = "<tt:Source><tt:SimpleItem Name=\"Source\" Value=\"v1\"/></tt:Source>\
        <tt:Data><tt:SimpleItem Name=\"State\" Value=\"true\"/></tt:Data>";

    /// An answer to PullMessages with these messages: topic, attributes of the message, what is in it.
    pub(in crate::events) fn answer(tables: &Tables, messages: &[(&str, &str, &str)]) -> Document {
        let messages: String = messages
            .iter()
            .map(|(topic, attributes, inside)| {
                format!(
                    "<wsnt:NotificationMessage><wsnt:SubscriptionReference><wsa:Address>http://10.20.0.5/sub\
                     </wsa:Address></wsnt:SubscriptionReference><wsnt:Topic Dialect=\"http://docs.oasis-open.org/wsn/t-1/\
                     TopicExpression/Concrete\">{topic}</wsnt:Topic><wsnt:Message><tt:Message {attributes}>{inside}\
                     </tt:Message></wsnt:Message></wsnt:NotificationMessage>"
                )
            })
            .collect();
        let text = format!(
            "<e:PullMessagesResponse xmlns:e=\"http://www.onvif.org/ver10/events/wsdl\" \
             xmlns:wsnt=\"http://docs.oasis-open.org/wsn/b-2\" xmlns:tt=\"http://www.onvif.org/ver10/schema\" \
             xmlns:wsa=\"http://www.w3.org/2005/08/addressing\" xmlns:t=\"http://www.onvif.org/ver10/topics\" \
             xmlns:axis=\"http://www.axis.com/2009/event/topics\"><e:CurrentTime>2026-11-26T10:00:00Z</e:CurrentTime>\
             <e:TerminationTime>2026-11-26T10:02:00Z</e:TerminationTime>{messages}</e:PullMessagesResponse>"
        );
        let operation = tables.operation_by_name("tev:PullMessages").and_then(|it| tables.operation(it));
        Document::parse_answer(tables, &text, operation.unwrap().output.unwrap()).unwrap().0
    }

    pub(in crate::events) fn at() -> Timestamp {
        "2026-11-26T10:00:01Z".parse().unwrap()
    }

    fn rules() -> AddressRules {
        let mut rules = AddressRules::default();
        rules.add_address("10.20.0.5".parse().unwrap());
        rules
    }

    pub(in crate::events) fn read(tables: &Tables, messages: &[(&str, &str, &str)]) -> Read {
        Event::read_all(tables, &answer(tables, messages), &rules(), at())
    }

    fn written(tables: &Tables, event: &Event) -> String {
        let operation = tables.operation_by_name("tev:PullMessages").and_then(|it| tables.operation(it));
        let mut builder = Builder::new(tables, operation.unwrap().output.unwrap());
        builder.leaf("CurrentTime", "2026-11-26T10:00:00Z").unwrap();
        builder.leaf("TerminationTime", "2026-11-26T10:02:00Z").unwrap();
        event.write_into(&mut builder).unwrap();
        let document = builder.finish().unwrap();
        let mut text = String::new();
        document.write(tables, &mut text);
        let spaces = document.namespaces(tables);
        spaces.iter().map(|(prefix, uri)| format!("{prefix}={uri}\n")).collect::<String>() + &text
    }

    #[test]
    fn an_event_is_read_and_written_anew_without_anything_of_the_cameras_side() {
        let tables = Tables::embedded().unwrap();
        // Its word of the gateway's time counts for nothing.
        let attributes = "UtcTime=\"2026-11-26T09:59:59.5Z\" PropertyOperation=\"Changed\" \
            xmlns:c=\"urn:cordon:event\" c:GatewayTime=\"1999-01-01T00:00:00Z\"";
        let inside = format!("{STATE}<tt:Data/><v:own xmlns:v='urn:v'>http://10.20.0.5/</v:own>");
        let read = read(&tables, &[("t:VideoSource/axis:Motion/Area", attributes, &inside)]);
        let [event] = read.events.as_slice() else { panic!("{:?}", read.why) };
        assert_eq!((event.at_gateway, event.operation), (at(), Some(Operation::Changed)));
        assert_eq!(event.at_camera, Some("2026-11-26T09:59:59.5Z".parse().unwrap()));
        let names: Vec<_> = event.topic.names().iter().map(|it| (&*it.namespace, &*it.local)).collect();
        let axis = "http://www.axis.com/2009/event/topics";
        assert_eq!(names, [(ONVIF_TOPICS, "VideoSource"), (axis, "Motion"), (axis, "Area")]);
        assert_eq!(event.topic.to_string(), "VideoSource/Motion/Area");
        let items: Vec<_> = Part::ALL.map(|part| event.items(part).collect::<Vec<_>>()).concat();
        let item = |name, value| SimpleItem { name, value };
        assert_eq!(items, [item("Source", "v1"), item("State", "true")]);
        let text = written(&tables, event);
        for part in [
            "tns1=http://www.onvif.org/ver10/topics",
            "=http://www.axis.com/2009/event/topics",
            "=urn:cordon:event",
            "<tt:Message UtcTime=\"2026-11-26T09:59:59.5Z\" PropertyOperation=\"Changed\" \
             cordon:GatewayTime=\"2026-11-26T10:00:01.000Z\"><tt:Source>\
             <tt:SimpleItem Name=\"Source\" Value=\"v1\"/></tt:Source>",
            "Dialect=\"http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet\">tns1:VideoSource/",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(
            !text.contains("1999") && !text.contains("10.20.0.5") && !text.contains("SubscriptionReference"),
            "{text}"
        );
        let initialized = written(&tables, &event.initialized());
        assert!(initialized.contains("PropertyOperation=\"Initialized\""), "{initialized}");
    }

    #[test]
    fn items_that_hold_elements_are_kept_and_addresses_in_them_are_not() {
        let tables = Tables::embedded().unwrap();
        let inside = "<tt:Data><tt:SimpleItem Name=\"At\" Value=\"http://10.20.0.5/7.jpg\"/>\
            <tt:ElementItem Name=\"Area\"><tt:Polygon><tt:Point x=\"0.5\" y=\"-0.5\"/></tt:Polygon></tt:ElementItem></tt:Data>";
        let read = read(&tables, &[("t:RuleEngine/Field", "UtcTime=\"2026-11-26T10:00:00Z\"", inside)]);
        let text = written(&tables, &read.events[0]);
        assert!(
            text.contains("<tt:ElementItem Name=\"Area\"><tt:Polygon><tt:Point x=\"0.5\" y=\"-0.5\"/>"),
            "{text}"
        );
        assert!(text.contains("<tt:SimpleItem Name=\"At\" Value=\"\"/>"), "{text}");
        assert!(!read.events[0].is_property());
    }

    #[test]
    fn what_is_no_event_is_left_out_and_takes_no_other_with_it() {
        let tables = Tables::embedded().unwrap();
        let utc = "UtcTime=\"2026-11-26T10:00:00Z\"";
        let long = format!(
            "<tt:Data><tt:SimpleItem Name=\"a\" Value=\"{}\"/></tt:Data>",
            "x".repeat(EVENT_BYTES_MAX)
        );
        let deep = vec!["a"; TOPIC_LEVELS_MAX + 1].join("/");
        for (topic, inside, why) in [
            ("t:VideoSource//.", STATE, Unread::Topic),
            ("t:VideoSource/*", STATE, Unread::Topic),
            ("", STATE, Unread::Topic),
            (&*format!("t:{deep}"), STATE, Unread::Topic),
            ("t:VideoSource/Motion", &*long, Unread::Long),
            ("t:VideoSource/at-10.20.0.5", STATE, Unread::Topic),
        ] {
            let good = ("t:VideoSource/Motion", utc, STATE);
            let read = read(&tables, &[good, (topic, utc, inside), good]);
            assert_eq!((read.events.len(), read.left_out, read.why), (2, 1, Some(why)), "{topic}");
        }
        let many = vec![("t:VideoSource/Motion", utc, STATE); EVENTS_PER_MESSAGE_MAX + 5];
        let read = read(&tables, &many);
        assert_eq!((read.events.len(), read.left_out), (EVENTS_PER_MESSAGE_MAX, 5));
        assert_eq!(read.why, Some(Unread::TooMany));
    }

    #[test]
    fn a_time_that_the_camera_does_not_tell_is_the_gateways() {
        let tables = Tables::embedded().unwrap();
        for (attributes, expected) in [
            ("UtcTime=\"2026-11-26T09:00:00\"", Some("2026-11-26T09:00:00Z")),
            ("UtcTime=\"2026-11-26T09:00:00+01:00\"", Some("2026-11-26T08:00:00Z")),
            ("UtcTime=\"yesterday\"", None),
            ("", None),
        ] {
            let read = read(&tables, &[("t:A/B", attributes, STATE)]);
            let at_camera = read.events[0].at_camera;
            assert_eq!(at_camera, expected.map(|it| it.parse().unwrap()), "{attributes}");
            let text = written(&tables, &read.events[0]);
            let shown = if expected.is_some() { attributes } else { "UtcTime=\"2026-11-26T10:00:01Z\"" };
            assert!(text.contains(shown), "{shown}: {text}");
        }
    }
}
