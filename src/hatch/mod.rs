//! The typed contract between inside and outside, and the verifier of answers.
//!
//! Only what is written here crosses: plain values, no bytes of one side, no address of the other. An
//! [`Ask`] can only be made from a `Pass`, so that nothing reaches a camera that was not permitted and
//! recorded.

mod ask;
mod metadata;
mod packets;
mod picture;
mod reception;
mod replayed;
mod sink;
mod spool;
mod talk;
mod verify;

pub use ask::{Ask, AskError, AskKind, Mark, Reply, SubscriptionAddress, Understood};
pub use metadata::{MetadataError, Screen};
pub use packets::{PacketCounts, Packets, Positions, Segment, UnitStart, begins_of};
pub use picture::picture;
pub use sink::{Sink, SinkError, Tally};
pub use spool::{Spool, SpoolWriter};
pub use talk::{Talk, TalkCounts, TalkError};
pub use verify::{
    AddressRules, CoreAddresses, Verified, VerifyError, assert_clean, clean_fault, cleansed, names_host,
    verify, verify_request,
};

/// Where on the enrolled host something is asked for. The host is never part of it: the gateway dials only
/// the enrolled address, whatever a camera says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Endpoint {
    /// The port, where it is not the enrolled one.
    pub port: Option<u16>,
    /// Path and query, beginning with `/`.
    pub path_and_query: String,
}
