//! The tamper-evident record of every command.
