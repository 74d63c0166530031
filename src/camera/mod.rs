//! The outside: the connection to one camera.
//!
//! Everything a camera sends is untrusted here, and leaves this room only as a typed
//! [`Reply`](crate::hatch) or a [`CameraError`]. Only the enrolled address is dialled.
//!
//! - `body`, `offset`, `negotiation`, `breaker`: pure rules
//! - `link`: one bounded HTTP/1.1 connection
//! - `tls`: certificates pinned, and what cannot be spoken named
//! - `session`: pool, login, retry and deadline of one camera
//! - `connection`: asks and replies, the door of the room

mod body;
mod breaker;
mod connection;
mod error;
mod link;
mod memo;
mod memory;
mod negotiation;
mod offset;
mod sending;
mod session;
mod stream;
mod tls;

pub use breaker::Health;
pub use connection::Connection;
pub use error::{CameraError, Failure, Phase, Retry};
pub use memory::CameraMemory;
pub use negotiation::Scheme;
pub use stream::CameraStream;
pub use tls::{CertificateNews, Pin, PinBook, PinError};
