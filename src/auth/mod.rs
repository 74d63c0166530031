//! Who calls: WS-Security and HTTP digest credentials become a caller.

mod caller;
mod secret;

pub use caller::{Caller, CameraScope, ClientRecord, Method, Role};
pub use secret::{Login, Secret};
