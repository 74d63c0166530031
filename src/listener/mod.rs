//! Sockets on the core side and the pipeline of one request.

mod action;
mod asking;
mod baseline;
pub mod diagnosis;
mod content;
mod delivery;
mod doorway;
mod errands;
mod first_head;
mod hearing;
mod house;
pub mod http;
mod identity;
mod looks;
mod memo;
pub mod mount;
mod outgoing;
pub mod pem;
mod pictures;
mod pipeline;
mod places;
mod ports;
mod sink;
pub mod streaming;
mod subscriptions;
pub mod tls;
mod transfer;
mod trouble;
mod vigil;
mod virtual_camera;

pub use doorway::{Connect, Doorway};
pub use errands::{Errands, Settled};
pub use house::{Edition, Enrolled, House};
pub use ports::Ports;
pub use sink::{Notices, Sink};
pub use vigil::Vigil;
