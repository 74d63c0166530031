//! Sockets on the core side and the pipeline of one request.

mod action;
pub mod http;
mod memo;
pub mod mount;
mod outgoing;
pub mod pem;
mod pipeline;
pub mod tls;
mod transfer;
mod trouble;
mod virtual_camera;

pub use virtual_camera::{House, VirtualCamera};
