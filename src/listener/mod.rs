//! Sockets on the core side and the pipeline of one request.

pub mod http;
