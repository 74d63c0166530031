//! RTSP towards clients: one listener, viewers' connections, and streams opened through the gate.

mod datagrams;
mod front;
mod upstream;
mod viewer;
mod ways;
mod wire;

pub use front::{Front, Guest, guests, receive_guests, serve};
pub(super) use upstream::Streams;
