//! Events as MQTT brokers get them: topic and JSON payload (ONVIF Core §9.12, "onvif-ej").

use serde_json::{Map, Number, Value};

use super::event::{Event, GATEWAY_TIME, ONVIF_TOPICS, Operation, Part, Topic};
use crate::{
    limits::{MQTT_LEVEL_CHARACTERS_MAX, MQTT_SOURCE_ITEMS_MAX},
    schema::{Element, ValueKind},
};

/// An event for a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerMessage {
    /// Its topic.
    pub topic: String,
    /// JSON, or nothing: the property is no more.
    pub payload: Vec<u8>,
    /// Whether the broker keeps it for whoever comes later: the state of a property, of as many as the hub keeps.
    pub retained: bool,
}

impl BrokerMessage {
    /// Of an event, below a prefix that tells cameras apart.
    pub fn of(prefix: &str, event: &Event) -> Self {
        let deleted = event.operation == Some(Operation::Deleted);
        let payload = if deleted { Vec::new() } else { payload(event).to_string().into_bytes() };
        Self { topic: topic(prefix, event), payload, retained: deleted || event.stands }
    }
}

/// `gate/onvif-ej/RuleEngine/LineDetector/Crossed/&1/2/MyImportantFence1`
///
/// Brokers end the connection over a topic that they do not bear, which is everybody's: each value is one level, however
/// it is written, and neither levels nor characters are more than any camera needs.
fn topic(prefix: &str, event: &Event) -> String {
    let mut topic = format!("{prefix}/onvif-ej/{}", local_topic(&event.topic));
    for (at, item) in event.items(Part::Source).take(MQTT_SOURCE_ITEMS_MAX).enumerate() {
        topic.push_str(if at == 0 { "/&" } else { "/" });
        let level = item.value.chars().take(MQTT_LEVEL_CHARACTERS_MAX);
        topic.extend(level.map(|it| if it == '/' { '_' } else { it }));
    }
    topic.retain(is_of_topics);
    topic
}

/// Neither a wildcard (MQTT 3.1.1 §4.7.1) nor what a receiver may close the connection for (§1.5.3).
fn is_of_topics(it: char) -> bool {
    let code = u32::from(it);
    let is_character = !(0xfdd0..=0xfdef).contains(&code) && code & 0xfffe != 0xfffe;
    !matches!(it, '#' | '+') && !it.is_control() && is_character
}

/// Names of ONVIF's own stand alone, others with an alias of their namespace.
fn local_topic(topic: &Topic) -> String {
    let mut above = "";
    let mut names = Vec::new();
    for name in topic.names() {
        let begins = !name.namespace.is_empty() && *name.namespace != *above;
        above = if name.namespace.is_empty() { above } else { &name.namespace };
        let is_own = *above == *ONVIF_TOPICS;
        names.push(if begins && !is_own {
            format!("{}:{}", alias(above), name.local)
        } else {
            name.local.to_string()
        });
    }
    names.join("/")
}

/// `axis` for `http://www.axis.com/2009/event/topics`.
fn alias(namespace: &str) -> String {
    let rest = namespace.split_once("://").map_or(namespace, |(_, rest)| rest);
    let rest = rest.strip_prefix("www.").unwrap_or(rest);
    let word: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
    if word.is_empty() { "other".to_owned() } else { word.to_ascii_lowercase() }
}

fn payload(event: &Event) -> Value {
    let inside = event.message().root().find("NotificationMessage/Message/Message");
    let utc = inside.and_then(|it| it.attribute("UtcTime")).unwrap_or_default();
    let mut payload = Map::new();
    payload.insert("UtcTime".to_owned(), utc.into());
    // Beyond the standard's members: whoever does not know it leaves it.
    payload.insert(GATEWAY_TIME.to_owned(), event.came().into());
    for part in Part::ALL {
        let list = inside.and_then(|it| it.child(part.as_str()));
        let items: Map<String, Value> = list.iter().flat_map(Element::children).filter_map(item).collect();
        // Source and Data always stand there, Key where the event has one.
        if part != Part::Key || !items.is_empty() {
            payload.insert(part.as_str().to_owned(), items.into());
        }
    }
    payload.into()
}

fn item(item: Element<'_>) -> Option<(String, Value)> {
    let name = item.attribute("Name")?.to_owned();
    match item.local() {
        "SimpleItem" => Some((name, plain(item.attribute("Value").unwrap_or_default()))),
        "ElementItem" => {
            let inside: Vec<_> = item.children().collect();
            Some((name, Value::Object(inside_of(&inside))))
        }
        _ => None,
    }
}

/// Elements of one name are a list. Nesting was bounded when the event was read.
fn inside_of(elements: &[Element<'_>]) -> Map<String, Value> {
    let mut object = Map::new();
    for element in elements {
        let value = element_value(*element);
        match object.get_mut(element.local()) {
            None => drop(object.insert(element.local().to_owned(), value)),
            Some(Value::Array(list)) => list.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    object
}

fn element_value(element: Element<'_>) -> Value {
    let attributes = element.attributes().filter(|it| it.kind == ValueKind::Attribute);
    let attributes = attributes.map(|it| (format!("@{}", it.local), plain(it.text)));
    let inside: Vec<_> = element.children().collect();
    let mut object: Map<String, Value> = attributes.collect();
    if object.is_empty() && inside.is_empty() {
        return plain(element.text());
    }
    object.extend(inside_of(&inside));
    object.into()
}

/// Logical values and numbers stand without quotes where they are written as JSON writes them.
fn plain(text: &str) -> Value {
    match text {
        "true" => true.into(),
        "false" => false.into(),
        _ => {
            let number = text.parse::<Number>().ok().filter(|it| it.to_string() == text);
            number.map_or_else(|| text.into(), Value::Number)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::samples::{event, motion, topic as sample},
        *,
    };

    fn json_of(message: &BrokerMessage) -> Value {
        serde_json::from_slice(&message.payload).unwrap()
    }

    #[test]
    fn a_property_is_kept_under_a_topic_with_its_source() {
        let event = motion("v0", true);
        let message = BrokerMessage::of("gate", &event);
        assert_eq!(message.topic, "gate/onvif-ej/VideoSource/MotionAlarm/&v0");
        assert!(!message.retained, "the hub does not keep it");
        let mut kept = motion("v0", true);
        kept.stands = true;
        assert!(BrokerMessage::of("gate", &kept).retained);
        let payload = json_of(&message);
        assert_eq!(
            (&payload["Source"], &payload["Data"]),
            (&json!({ "Source": "v0" }), &json!({ "State": true }))
        );
        assert!(payload["UtcTime"].as_str().unwrap().ends_with('Z'));
        let came = payload["GatewayTime"].as_str().unwrap();
        assert_eq!(came.parse::<jiff::Timestamp>().unwrap(), event.at_gateway, "{payload}");
        assert_eq!(payload.as_object().unwrap().len(), 4, "neither operation nor key: {payload}");
        let mut gone = motion("v0", true);
        gone.operation = Some(Operation::Deleted);
        let message = BrokerMessage::of("gate", &gone);
        assert_eq!((message.payload.len(), message.retained), (0, true));
    }

    #[test]
    fn topics_hold_no_wildcard_and_name_foreign_namespaces() {
        let topic_of =
            |topic: &str, source: &str| BrokerMessage::of("gate", &sample(topic, source, true)).topic;
        assert_eq!(topic_of("tns1:A/tns1:B", "a+b#c"), "gate/onvif-ej/A/B/&abc");
        assert_eq!(topic_of("tns1:Device/tnsaxis:IO/Port", "1"), "gate/onvif-ej/Device/axis:IO/Port/&1");
    }

    #[test]
    fn topics_stay_such_as_brokers_bear_whatever_a_camera_calls_a_source() {
        let of = |source: &str| BrokerMessage::of("gate", &sample("tns1:A/tns1:B", source, true)).topic;
        assert_eq!(of("a/b//c"), "gate/onvif-ej/A/B/&a_b__c", "a value is one level");
        assert_eq!(
            of(&"a/".repeat(300)),
            format!("gate/onvif-ej/A/B/&{}", "a_".repeat(MQTT_LEVEL_CHARACTERS_MAX / 2))
        );
        assert_eq!(of("a\u{fdd0}b\u{1fffe}c\u{10ffff}\u{fdef}"), "gate/onvif-ej/A/B/&abc");
        assert_eq!(of("\u{fdcf}\u{fdf0}\u{1fffd}é"), "gate/onvif-ej/A/B/&\u{fdcf}\u{fdf0}\u{1fffd}é");
        let long = of(&"é".repeat(14_000));
        assert_eq!(long.chars().count(), "gate/onvif-ej/A/B/&".len() + MQTT_LEVEL_CHARACTERS_MAX);
        let more = "x\"/><tt:SimpleItem Name=\"More\" Value=\"";
        let many = of(&more.repeat(20));
        assert_eq!(many.split('/').count(), 4 + MQTT_SOURCE_ITEMS_MAX, "{many}");
    }

    #[test]
    fn element_items_become_objects_as_the_standards_example_has_them() {
        let data = "<tt:ElementItem Name=\"Segments\"><tt:Polyline><tt:Point x=\"0.1\" y=\"0.50\"/>\
                    <tt:Point x=\"1\" y=\"0.5\"/></tt:Polyline></tt:ElementItem>\
                    <tt:SimpleItem Name=\"ObjectId\" Value=\"015\"/><tt:SimpleItem Name=\"Count\" Value=\"15\"/>";
        let payload = json_of(&BrokerMessage::of("gate", &event("tns1:RuleEngine/Line", "1", data)));
        let expected = json!({
            "Segments": { "Polyline": { "Point": [{ "@x": 0.1, "@y": "0.50" }, { "@x": 1, "@y": 0.5 }] } },
            "ObjectId": "015",
            "Count": 15,
        });
        assert_eq!(payload["Data"], expected);
        assert_eq!(payload["Source"], json!({ "Source": 1 }));
    }
}
