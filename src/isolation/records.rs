//! What the tripwire puts on record: the details of its events, for who writes and who reads them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The event for what one source tried: [`Blocked`].
pub const BLOCKED: &str = "egress-blocked";
/// The event for what further sources tried in a period: [`BlockedSummary`].
pub const BLOCKED_SUMMARY: &str = "egress-blocked-summary";
/// The event for who says for the first time that an enrolled camera's address is its own.
pub const CLAIMED: &str = "address-claimed";
/// The event for a restricted device that is seen on the core side for the first time since the start: [`CoreDevice`].
pub const CORE_DEVICE: &str = "core-device";
/// The event for the names one source asked for: [`Asked`].
pub const ASKED: &str = "names-asked";
/// The event for what further sources asked for in a period: [`AskedSummary`].
pub const ASKED_SUMMARY: &str = "names-asked-summary";

/// What one source tried and was not let do, in one period or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// The zone.
    pub zone: String,
    /// The source: an IP address, or a hardware address where there is none.
    pub source: String,
    /// When the period began.
    pub since: Timestamp,
    /// Packets that were dropped, exactly.
    pub packets: u64,
    /// Of these, packets that lead nowhere beyond the link: discovery, and what is said to neighbours and to the gateway.
    #[serde(default, skip_serializing_if = "is_none")]
    pub local: u64,
    /// Where to: the first attempts of all, then the most frequent.
    pub destinations: Vec<Flow>,
    /// Destinations that are not named.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more_destinations: u64,
    /// Set where they came before reading began: an earlier run that was killed may have recorded them too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub before_start: bool,
}

/// Attempts at one destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Flow {
    /// The address, or the kind of frame.
    pub to: String,
    /// `tcp`, `udp`, the number of another protocol, or `ethernet`.
    pub protocol: String,
    /// The port, or 0.
    #[serde(default, skip_serializing_if = "is_no_port")]
    pub port: u16,
    /// Packets that were dropped.
    pub packets: u64,
    /// Set the first time that this source tried it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub first: bool,
    /// Set where it leads nowhere beyond the link.
    #[serde(default, skip_serializing_if = "is_false")]
    pub local: bool,
}

/// What the sources without a line of their own tried in a period.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockedSummary {
    /// The zone.
    pub zone: String,
    /// When the period began.
    pub since: Timestamp,
    /// Sources and how many packets of each were dropped.
    pub sources: Vec<(String, u64)>,
    /// Of each of these, packets that lead nowhere beyond the link; empty if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub local: Vec<u64>,
    /// Sources that are not named.
    #[serde(default, skip_serializing_if = "is_none")]
    pub rest_sources: u64,
    /// Their packets.
    #[serde(default, skip_serializing_if = "is_none")]
    pub rest_packets: u64,
    /// Packets that were dropped while there was no place to say whose they are.
    #[serde(default, skip_serializing_if = "is_none")]
    pub not_attributed: u64,
    /// As in [`Blocked`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub before_start: bool,
}

/// The names one source asked for, in one period or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The zone.
    pub zone: String,
    /// The source's address.
    pub source: String,
    /// When the period began.
    pub since: Timestamp,
    /// Questions, exactly.
    pub questions: u64,
    /// Names, made printable, each with how often it was asked for.
    pub names: Vec<(String, u64)>,
    /// Names that are not told here.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more_names: u64,
}

/// The questions of sources without a line of their own in a period.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedSummary {
    /// The zone.
    pub zone: String,
    /// When the period began.
    pub since: Timestamp,
    /// Sources and how many questions each asked.
    pub sources: Vec<(String, u64)>,
    /// Sources that are not named.
    #[serde(default, skip_serializing_if = "is_none")]
    pub rest_sources: u64,
    /// Their questions.
    #[serde(default, skip_serializing_if = "is_none")]
    pub rest_questions: u64,
    /// Messages that were no question, or came faster than they are answered.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unanswered: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_no_port(port: &u16) -> bool {
    *port == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A restricted device on the core side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CoreDevice {
    /// How it was noticed: `frames` or `discovery`.
    pub how: String,
    /// Its hardware address, or the one its message came from.
    pub address: String,
    /// The interface, or the endpoint that it says it is.
    pub at: String,
    /// Its maker.
    pub vendor: String,
    /// The maker's class.
    pub class: String,
    /// What that follows from.
    pub reasons: Vec<String>,
}
