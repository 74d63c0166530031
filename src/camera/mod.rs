//! The outside: the connection to one camera.
//!
//! Everything a camera sends is untrusted here, and leaves this room only as a typed
//! [`Reply`](crate::hatch) or a [`CameraError`]. Only the enrolled address is dialled.
//!
//! - `body`, `offset`, `negotiation`, `breaker`, `manner`, `lenient`: pure rules
//! - `habits`, `memory`: what was learnt of the camera, and what of it outlives a restart
//! - `line`: a connection, in clear or over TLS
//! - `link`: one bounded HTTP/1.1 connection
//! - `tls`: certificates pinned, and what cannot be spoken named
//! - `errand`: what is exchanged, and what its answer says
//! - `session`: pool, login, retry and deadline of one camera
//! - `stream`: one RTSP session, on a connection of its own
//! - `datagrams`, `reorder`: packets beside that connection, and their order
//! - `connection`: asks and replies, the door of the room

mod body;
mod breaker;
mod connection;
mod datagrams;
mod errand;
mod error;
mod habits;
mod lenient;
mod line;
mod link;
mod manner;
mod memo;
mod memory;
mod negotiation;
mod offset;
pub mod probe;
mod reorder;
mod sending;
mod session;
pub mod shown;
mod stream;
mod tls;

pub use breaker::{BreakerMemory, Health};
pub use connection::Connection;
pub use error::{CameraError, Failure, Phase, Retry};
pub use habits::{Identity, Sighting};
pub use memory::{CameraMemory, KeptSubscription, MemoryBook};
pub use negotiation::Scheme;
pub use stream::{CameraStream, Played};
pub use tls::{CertificateNews, Pin, PinBook, PinError};
