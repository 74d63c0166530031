//! Events: what cameras tell, each in one subscription of the gateway's, kept for everybody who wants it.
//!
//! - `event`: one event, as it is kept and written anew
//! - `hub`: the events and the state of one camera, between who hears them and who wants them
//! - `upstream`: when a camera is subscribed to, asked, renewed with, and left

mod event;
pub use event::{Event, Operation, Part, Read, SimpleItem, Topic, TopicName, Unread};
mod hub;
pub use hub::{Batch, Counts, Hub, Hubs, Joined, Published, Want};
mod upstream;
pub use upstream::{Granted, Lesson, Lifetime, Loss, Step, Upstream, Way};
