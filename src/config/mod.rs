//! TOML files become validated domain types.
