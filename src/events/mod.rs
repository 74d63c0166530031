//! Events: what cameras tell, each in one subscription of the gateway's, kept for everybody who wants it.
//!
//! - `event`: one event, as it is kept and written anew
//! - `hub`: the events and the state of one camera, between who hears them and who wants them
//! - `room`: how much the events of all cameras may take together
//! - `upstream`: when a camera is subscribed to, asked, renewed with, and left
//! - `subscriptions`: the virtual subscriptions of clients, each a cursor into the hub with a filter and an end
//! - `topic`, `filter`: the languages of filters
//! - `requests`, `answers`: what clients ask for, and what they are answered
//! - `consumer`: whom events are sent to, and whom not
//! - `json`, `broker`: events as MQTT brokers get them, and how they do

mod answers;
mod broker;
mod consumer;
mod event;
mod filter;
#[cfg(test)]
mod hour_tests;
mod hub;
mod json;
mod requests;
mod room;
#[cfg(test)]
mod samples;
mod subscriptions;
mod topic;
mod upstream;

pub use answers::{Times, created, done, notify, pulled, renewed};
pub use broker::{BrokerError, BrokerLogin, BrokerNews, BrokerQueue, bring};
pub use consumer::{Consumer, NoConsumer};
pub use event::{Event, Operation, Part, Read, SimpleItem, Topic, TopicName, Unread};
pub use filter::{FilterError, ItemFilter};
pub use hub::{Batch, Counts, Hub, Hubs, Joined, Published, Want};
pub use json::BrokerMessage;
pub use requests::{Pull, Unacceptable, filter_of, lasts};
pub use subscriptions::{
    Filter, Full, OpenSubscription, Order, Place, Places, Subscription, SubscriptionBook, SubscriptionToken,
    Subscriptions, Swept,
};
pub use topic::{TopicError, TopicExpression};
pub use upstream::{Granted, Lesson, Lifetime, Loss, Step, Upstream, Way};
