//! Integration.
mod interface;
