//! Who calls: WS-Security and HTTP digest credentials become a caller.

mod caller;
pub mod digest;
mod parameters;
mod secret;
pub mod wsse;

pub use caller::{Caller, CameraScope, ClientRecord, Method, Role};
pub use secret::{Login, Secret};
