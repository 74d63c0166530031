//! WS-Discovery (April 2005, as ONVIF Core §7 asks for): what devices say of themselves to everybody on their link.
//!
//! - `message`: what a datagram says: pure
//! - `ears`: a socket that hears what is said to the group, and says nothing

mod ears;
mod message;

pub use ears::Ears;
pub use message::{Device, Kind, Message, MessageError, TypeName, read};
