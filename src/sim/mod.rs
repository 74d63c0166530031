//! Simulated ONVIF cameras with vendor dialects. They know nothing of the gateway.
//!
//! A camera is a script (`data/`, read by [`script`]) and a small engine ([`device`]) behind an HTTP server
//! with logins of its own ([`login`]), and shows one clip ([`clip`]) over RTSP ([`stream`]), in its maker's words
//! ([`wording`]). It remembers all it received ([`Received`]), so that a test can say what did *not* arrive, and can be
//! told to misbehave ([`Fault`]).

mod clip;
mod device;
mod dialect;
mod discovery;
mod envelope;
mod events;
mod fault;
mod heard;
mod login;
mod message;
mod oddity;
mod recording;
mod render;
mod script;
mod server;
mod stream;
mod wording;

pub use device::{is_pre_auth, operation_name};
pub use dialect::Dialect;
pub use discovery::{Findable, Manner};
pub use fault::{Fault, Said};
pub use heard::Told;
pub use login::{Algorithm, LoginRules, Scheme};
pub use oddity::Oddity;
pub use script::ScriptError;
pub use server::{Camera, Options, Received, RunningCamera, StartError};
