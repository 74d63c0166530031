//! Cameras, sites, zones and vendors.
