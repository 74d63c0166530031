//! Zones in network namespaces of their own: what each should be, what it is, and the way from one to the other.
//!
//! Between a zone and the core network there is no link, no route and no forwarding, so that there is no rule to
//! get wrong. Within a zone `nftables` drops what cameras send, except answers to the gateway and the few services
//! it offers them, and counts who tried to reach what.
//!
//! - `desired`, `ruleset`: what a zone should be: pure, from the configuration
//! - `found`, `compare`: what it is, as `ip` and `nft` tell it, and each difference: pure
//! - `plan`: the steps between them, each with what undoes it: pure
//! - `kernel`: looks, and does steps, with `ip` and `nft`
//! - `residents`: which hardware addresses enrolled cameras are held to: pure
//! - `core_leg`: who speaks on the core side, counted by the kernel
//! - `show`: plans as a network engineer reads them
//! - `tripwire`, `names`, `sinkhole`, `sntp`: what cameras try to reach, and what they are given in its place: pure
//! - `group`: where cameras say that they are there
//! - `attempts`: what the kernel counted of what it dropped
//! - `wire`, `client`, `server`: the typed messages of the privileged process, and the sockets it hands out
//! - `keeper`: whole zones: apply or undo, check, remove, one process at a time

mod attempts;
mod client;
mod compare;
mod core_leg;
mod desired;
mod found;
pub mod group;
mod keeper;
mod kernel;
mod names;
mod plan;
mod records;
mod residents;
mod ruleset;
mod server;
mod show;
mod sinkhole;
pub mod sntp;
mod summary;
mod target;
mod tripwire;
mod wire;

pub use client::{DialError, Dialler, Netd, NetdError};
pub use compare::{Difference, compare};
pub use desired::{Desired, Sysctl};
pub use found::{Found, FoundNeighbour, FoundZone, Qdisc};
pub use keeper::{Keeper, KeeperError, Planned};
pub use kernel::NetError;
pub use names::{Names, NamesTold, Rates};
pub use plan::{CoreSide, Plan, PlanError, Step};
pub use records::{
    ASKED, ASKED_SUMMARY, Asked, AskedSummary, BLOCKED, BLOCKED_SUMMARY, Blocked, BlockedSummary, CLAIMED,
    CORE_DEVICE, CoreDevice, Flow,
};
pub use residents::{Resident, Residents};
pub use ruleset::Ruleset;
pub use server::Server;
pub use show::{Grade, NOT_SHOWN, zone_text};
pub use target::{Directions, Here, Source, Target};
pub use tripwire::{Apart, Claimed, Counter, Entry, Kept, Reading, Snapshot, Tripwire, Unknown};
pub use wire::{
    Attempt, Attempts, Claim, ClaimKind, Core, CoreSource, Drift, FrameAttempt, Neighbour, Reply, Request,
    ResidentCount, SocketKind, ZoneState,
};

#[cfg(test)]
mod tests;
