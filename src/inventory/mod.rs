//! Cameras, sites, zones and vendors.

mod camera;
mod place;
mod quirks;
mod snapshot;
mod vendors;

pub use camera::{Camera, CameraAddress, MacPolicy, SecureDoor};
pub use place::{Isolation, Network, OTHER_NETWORK, Site, Zone};
pub use quirks::{Effect, KnownQuirk, KnownQuirks, Quirk, QuirkError, QuirkOrder};
pub use snapshot::{Inventory, InventoryError};
pub use vendors::{Vendor, VendorClass, VendorError, VendorVerdict, Vendors};
