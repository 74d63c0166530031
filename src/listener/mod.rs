//! Sockets on the core side and the pipeline of one request.

mod action;
pub mod http;
mod memo;
mod pipeline;
mod trouble;
mod virtual_camera;

pub use virtual_camera::{House, VirtualCamera};
