//! Cameras, sites, zones and vendors; and what a camera shows of its maker.

mod acquaintance;
mod baseline;
mod camera;
mod class;
mod evidence;
mod exception;
mod fingerprint;
mod folded;
mod hardware;
mod identity;
mod macs;
mod place;
mod quirks;
mod regard;
mod registry;
mod replacement;
mod snapshot;
mod stream_ways;
mod vendor;
mod vendors;
mod verdict;

pub use acquaintance::Acquaintances;
pub use baseline::{
    Answered, Approval, Baseline, Baselines, Fact, FactKind, Facts, News, NotApproved, Reading,
    Standing as BaselineStanding, expected, gateways, told_by,
};
pub use camera::{Camera, CameraAddress, EventsWay, MacPolicy, SecureDoor};
pub use class::{Decision, VendorClass, VendorVerdict};
pub use evidence::{Evidence, Signal, SignalKind};
pub use exception::SiteException;
pub use fingerprint::Fingerprint;
pub use hardware::{MacAddress, NoMacAddress};
pub use identity::{Bearing, Change};
pub use macs::{MacPrefix, MacTable};
pub use place::{Attachment, Isolation, Leg, Network, OTHER_NETWORK, Route, Site, Zone};
pub use quirks::{Effect, KnownQuirk, KnownQuirks, Quirk, QuirkError, QuirkOrder};
pub use regard::{
    Accepted, Device, Expected, Found, NotAccepted, Outcome, Quarantine, Regard, RegardBook, Regards,
    SeenCertificate, Weighed,
};
pub use registry::{Block, RegistryError, mac_file, registry};
pub use replacement::{Day, Replacement, ReplacementState};
pub use snapshot::{Inventory, InventoryError};
pub use stream_ways::{StreamBegin, StreamWays};
pub use vendor::{Claim, Confidence, Lines, Listing, MacUse, OrderScope, Parent, Producer, Vendor};
pub use vendors::{VendorError, Vendors};
pub use verdict::{Finding, Judgement, Standing, Weight};
