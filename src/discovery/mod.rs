//! WS-Discovery (April 2005, as ONVIF Core §7 asks for) on each side separately: nothing is relayed.
//!
//! - `message`: what a datagram says; `sought`: whether a device is meant; `answer`: what the gateway says of virtual
//!   cameras; `responder`: whom it answers and when: all pure
//! - `searching`: how cameras are looked for in zones; `candidates`: which were found: both pure
//! - `ears`: a socket that hears what is said to the group, and says nothing; `link`: sockets that answer

mod answer;
mod candidates;
mod ears;
mod link;
mod message;
mod responder;
mod searching;
mod sought;

pub use answer::Target;
pub use candidates::{Candidate, Candidates, Change, DEVICE_FOUND, DEVICE_PATH, DeviceFound};
pub use ears::Ears;
pub use link::{Link, hears, is_near};
pub use message::{Body, Device, Dialect, Kind, Message, MessageError, TypeName, read};
pub use responder::{Asker, Outgoing, Question, Responder};
pub use searching::{Form, swept};
pub use sought::{Rule, Sought};
