//! Events for tests.

use std::sync::atomic::{AtomicU64, Ordering};

use super::event::Event;
use crate::{
    hatch::AddressRules,
    schema::{Document, Tables},
};

/// A change of `tns1:VideoSource/MotionAlarm`.
pub(in crate::events) fn motion(source: &str, state: bool) -> Event {
    topic("tns1:VideoSource/MotionAlarm", source, state)
}

/// A change of a property of some topic. Each has a time of its own.
pub(in crate::events) fn topic(topic: &str, source: &str, state: bool) -> Event {
    event(topic, source, &format!("<tt:SimpleItem Name=\"State\" Value=\"{state}\"/>"))
}

/// The same with data of the test's.
pub(in crate::events) fn event(topic: &str, source: &str, data: &str) -> Event {
    read(topic, source, data, "urn:none")
}

/// One of a topic in a namespace of the test's.
pub(in crate::events) fn foreign(namespace: &str) -> Event {
    read("tns1:Device/other:Thing", "1", "", namespace)
}

fn read(topic: &str, source: &str, data: &str, other: &str) -> Event {
    static SECONDS: AtomicU64 = AtomicU64::new(0);
    let second = SECONDS.fetch_add(1, Ordering::Relaxed);
    let at = jiff::Timestamp::from_second(1_795_000_000 + i64::try_from(second).unwrap()).unwrap();
    let text = format!(
        "<w:Notify xmlns:w=\"http://docs.oasis-open.org/wsn/b-2\" xmlns:tt=\"http://www.onvif.org/ver10/schema\" \
         xmlns:tns1=\"http://www.onvif.org/ver10/topics\" xmlns:tnsaxis=\"http://www.axis.com/2009/event/topics\" xmlns:other=\"{other}\">\
         <w:NotificationMessage>\
         <w:Topic Dialect=\"http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet\">{topic}</w:Topic>\
         <w:Message><tt:Message UtcTime=\"{at}\" PropertyOperation=\"Changed\">\
         <tt:Source><tt:SimpleItem Name=\"Source\" Value=\"{source}\"/></tt:Source>\
         <tt:Data>{data}</tt:Data></tt:Message></w:Message></w:NotificationMessage></w:Notify>"
    );
    let tables = Tables::embedded().unwrap();
    let notify = tables.operation_by_name("wsntw:Notify").and_then(|it| tables.operation(it)).unwrap();
    let document = Document::parse_request(&tables, &text, notify.input).unwrap();
    Event::read_all(&tables, &document, &AddressRules::default(), at).events.pop().unwrap()
}
