//! Cordon: an ONVIF camera management gateway.
//!
//! Start with `src/ARCHITECTURE.md`. The rooms below are listed in the order in which they may know each
//! other: a room imports only rooms above it (`tests/tidy` enforces it).
#![cfg_attr(test, allow(clippy::string_slice, reason = "a test that slices wrongly fails, as it should"))]

pub mod limits;
pub mod ids;
pub mod clock;
pub mod alarm;
pub mod telemetry;

pub mod store;
pub mod schema;
pub mod soap;
pub mod rtsp;
pub mod command;
pub mod onvif;
pub mod sim;
pub mod auth;
pub mod inventory;
pub mod policy;
pub mod audit;
pub mod gate;
pub mod hatch;
pub mod isolation;
pub mod camera;
pub mod facade;
pub mod media;
pub mod events;
pub mod discovery;
pub mod listener;
pub mod config;
pub mod admin;
pub mod cmd;
