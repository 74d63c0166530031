//! Who calls: WS-Security and HTTP digest credentials become a caller.

mod authenticator;
mod caller;
pub mod digest;
mod failure;
mod parameters;
mod replay;
mod secret;
pub mod wsse;

pub use authenticator::{Authenticator, Identified, NonceFingerprint, REALM, Shown};
pub use caller::{Caller, CameraScope, ClientRecord, Method, Role};
pub use failure::{AuthError, Failure};
pub use secret::{Login, Secret};
