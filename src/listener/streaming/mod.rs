//! RTSP towards clients: one listener, viewers' connections, and streams opened through the gate.

mod admission;
mod datagrams;
mod front;
mod key_frames;
mod methods;
mod seats;
mod alone;
mod tunnel;
mod upstream;
mod viewer;
mod viewing;
mod ways;
pub(super) mod websocket;
mod wire;

pub use front::{Front, Guest, guests, receive_guests, serve};
pub(super) use tunnel::{Stream, Tunnels, refuse};
pub(super) use upstream::Streams;
pub(super) use wire::prepare;
