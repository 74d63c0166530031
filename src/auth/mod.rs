//! Who calls: certificates, WS-Security and HTTP credentials become a caller.

mod authenticator;
mod basic;
mod caller;
mod certificate;
pub mod digest;
mod failure;
mod parameters;
mod replay;
mod secret;
pub mod wsse;

pub use authenticator::{Authenticator, Identified, NonceFingerprint, REALM, Shown};
#[cfg(test)]
pub(crate) use caller::client;
pub use caller::{Caller, CameraScope, ClientRecord, Method, Role};
pub use certificate::{Certificate, CertificateError, Fingerprint, KnownCertificate};
pub use failure::{AuthError, Failure};
pub use secret::{Login, Secret};
