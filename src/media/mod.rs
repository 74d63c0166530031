//! Live streams: one session with the camera, many viewers.

mod queue;
mod upstream;

pub use queue::{Losses, Queue};
pub use upstream::{Seat, Upstream};
