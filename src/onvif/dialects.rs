//! The languages of filters of events.

/// One topic, by its whole path (WS-Topics §8.2).
pub const CONCRETE: &str = "http://docs.oasis-open.org/wsn/t-1/TopicExpression/Concrete";
/// Several topics, and topics with all that is below them (ONVIF Core §9.6.3).
pub const CONCRETE_SET: &str = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet";
/// What messages hold (ONVIF Core §9.4.4).
pub const ITEM_FILTER: &str = "http://www.onvif.org/ver10/tev/messageContentFilter/ItemFilter";
