//! The whole gateway, and what its rooms make together.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "tests"
)]

mod absorb;
mod alarms;
mod bad_discovery;
mod bad_events;
mod bad_input;
mod baseline;
mod bad_logins;
mod bad_streams;
mod breaker;
mod bad_streams_under_way;
mod broker;
mod camera_command;
mod camera_tls;
mod client;
mod commands;
mod consumers;
mod crash;
mod demo;
mod dialect;
mod differential;
mod discovery;
mod disk;
mod downloads;
mod encodings;
mod endings;
mod event_clients;
mod event_quirks;
mod events_up;
mod export;
mod faults;
mod foreign;
mod generate;
mod guessing;
mod house;
mod identity;
mod interface;
mod isolation;
mod process;
mod joining;
mod lateness;
mod makers;
mod mounts;
mod mutate;
mod operations;
mod observe;
mod open_files;
mod openmetrics;
mod playback;
mod players;
mod policy_replay;
mod power;
mod pull_points;
mod quirks;
mod receiving;
mod recordings;
mod refusals;
mod reload;
mod replay;
mod round_trip;
mod soap11;
mod stage;
mod stopping;
mod strangers;
mod secure_streams;
mod skips;
mod streams;
mod talking;
mod tls;
mod tunnels;
mod uploads;
mod valve;
mod vendors;
mod verifier;
mod viewers;
mod vms;
mod walks;
mod wall;
mod watch;
mod ways;
mod whole_way;
