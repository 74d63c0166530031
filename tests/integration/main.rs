//! Integration.
mod interface;
mod recordings;
