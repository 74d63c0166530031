//! Streams: one session with the camera for the many viewers of a live one, one for each viewer of a recording.

mod group;
mod looks;
mod pace;
mod queue;
mod recording;
mod upstream;

pub use looks::{LOOK_INTERVAL, looks};
pub use queue::{AtOnce, Losses, Passage, Queue};
pub use recording::{Order, Word};
pub use upstream::{Measures, Seat, Upstream};
