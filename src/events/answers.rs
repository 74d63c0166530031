//! What clients are answered about their subscriptions.

use std::sync::Arc;

use jiff::Timestamp;

use super::event::Event;
use crate::schema::{BuildError, Builder, Document, NodeId, Tables};

/// The time of an answer, and when the subscription ends.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Now.
    pub now: Timestamp,
    /// Then.
    pub ends: Timestamp,
}

/// There is a subscription: the answer to CreatePullPointSubscription or Subscribe.
pub fn created(tables: &Tables, root: NodeId, address: &str, times: Times) -> Result<Document, BuildError> {
    let mut answer = Builder::new(tables, root);
    answer.open("SubscriptionReference")?.leaf("Address", address)?.close()?;
    times.write(&mut answer)?;
    answer.finish()
}

/// It lasts on: the answer to Renew.
pub fn renewed(tables: &Tables, root: NodeId, times: Times) -> Result<Document, BuildError> {
    let mut answer = Builder::new(tables, root);
    times.write(&mut answer)?;
    answer.finish()
}

/// Events: the answer to PullMessages with as many of them as go into one message, and how many those are.
pub fn pulled(
    tables: &Tables,
    root: NodeId,
    times: Times,
    events: &[Arc<Event>],
) -> Result<(Document, usize), BuildError> {
    fitting(events, |events| {
        let mut answer = Builder::new(tables, root);
        times.write(&mut answer)?;
        for event in events {
            event.write_into(&mut answer)?;
        }
        answer.finish()
    })
}

/// Events for a consumer: a `wsnt:Notify` with as many of them as go into one, and how many those are.
pub fn notify(tables: &Tables, root: NodeId, events: &[Arc<Event>]) -> Result<(Document, usize), BuildError> {
    fitting(events, |events| {
        let mut message = Builder::new(tables, root);
        for event in events {
            event.write_into(&mut message)?;
        }
        message.finish()
    })
}

/// Events that go into a message each may not go into one together: each may have namespaces of its own.
fn fitting(
    events: &[Arc<Event>],
    make: impl Fn(&[Arc<Event>]) -> Result<Document, BuildError>,
) -> Result<(Document, usize), BuildError> {
    let mut count = events.len();
    loop {
        match make(events.get(..count).unwrap_or(events)) {
            Err(_) if count > 1 => count /= 2,
            made => return made.map(|it| (it, count)),
        }
    }
}

/// Done: the answer to Unsubscribe and SetSynchronizationPoint.
pub fn done(tables: &Tables, root: NodeId) -> Result<Document, BuildError> {
    Builder::new(tables, root).finish()
}

impl Times {
    fn write(self, answer: &mut Builder<'_>) -> Result<(), BuildError> {
        // Whole seconds: not every client reads fractions.
        answer.leaf("CurrentTime", &format!("{:.0}", self.now))?;
        answer.leaf("TerminationTime", &format!("{:.0}", self.ends))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::samples::{foreign, motion},
        *,
    };

    const TIMES: fn() -> Times = || Times {
        now: "2026-11-26T08:00:00.25Z".parse().unwrap(),
        ends: "2026-11-26T08:01:00.25Z".parse().unwrap(),
    };

    fn written(name: &str, make: impl Fn(&Tables, NodeId) -> Result<Document, BuildError>) -> String {
        let tables = Tables::embedded().unwrap();
        let row = tables.operation_by_name(name).and_then(|it| tables.operation(it)).unwrap();
        let document = make(&tables, row.output.unwrap()).unwrap();
        let mut text = String::new();
        document.write(&tables, &mut text);
        assert!(document.namespaces(&tables).iter().all(|(prefix, _)| !prefix.is_empty()));
        text
    }

    #[test]
    fn answers_are_written_with_the_gateways_prefixes() {
        let times = "<wsnt:CurrentTime>2026-11-26T08:00:00Z</wsnt:CurrentTime>\
                     <wsnt:TerminationTime>2026-11-26T08:01:00Z</wsnt:TerminationTime>";
        let address = "http://192.0.2.1/onvif/subscription/a5";
        let text = written("tev:CreatePullPointSubscription", |tables, root| {
            created(tables, root, address, TIMES())
        });
        assert_eq!(
            text,
            format!(
                "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference><wsa:Address>{address}\
                 </wsa:Address></tev:SubscriptionReference>{times}</tev:CreatePullPointSubscriptionResponse>"
            )
        );
        let text = written("tev:PullMessages", |tables, root| {
            let events = [Arc::new(motion("v0", true)), Arc::new(motion("v1", false))];
            let (document, count) = pulled(tables, root, TIMES(), &events)?;
            assert_eq!(count, 2);
            Ok(document)
        });
        assert!(
            text.starts_with(
                "<tev:PullMessagesResponse><tev:CurrentTime>2026-11-26T08:00:00Z</tev:CurrentTime>\
                 <tev:TerminationTime>2026-11-26T08:01:00Z</tev:TerminationTime><wsnt:NotificationMessage>\
                 <wsnt:Topic Dialect=\"http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet\">\
                 tns1:VideoSource/MotionAlarm</wsnt:Topic><wsnt:Message><tt:Message"
            ),
            "{text}"
        );
        assert_eq!(text.matches("<wsnt:NotificationMessage>").count(), 2);
        assert!(text.contains("PropertyOperation=\"Changed\""));
        assert!(text.contains("<tt:SimpleItem Name=\"State\" Value=\"false\"/>"));
    }

    #[test]
    fn events_whose_namespaces_do_not_go_into_one_message_go_into_several() {
        let tables = Tables::embedded().unwrap();
        let row = tables.operation_by_name("tev:PullMessages").and_then(|it| tables.operation(it)).unwrap();
        let events: Vec<_> = (0..40).map(|it| Arc::new(foreign(&format!("urn:maker:{it}")))).collect();
        let (mut told, mut messages) = (0, 0);
        while told < events.len() {
            let (_, count) = pulled(&tables, row.output.unwrap(), TIMES(), &events[told..]).unwrap();
            (told, messages) = (told + count, messages + 1);
        }
        assert_eq!((told, messages), (40, 2));
    }
}
