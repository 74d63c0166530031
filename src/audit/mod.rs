//! The tamper-evident record of every command.
//!
//! # The files
//! A log is a folder:
//!
//! | file | holds |
//! |---|---|
//! | `segment-<16 digits>.jsonl` | one line per record; the digits are the number of its first line |
//! | `segment-<16 digits>.jsonl.gz` | the same, sealed and packed (gzip); where both are there, the plain one counts |
//! | `checkpoints` | signed checkpoints, five lines each: the last thousand or more, and older ones at segments' ends |
//! | `checkpoint` | the latest of them alone, to be copied elsewhere |
//! | `frontier-<16 digits>.json` | how the tree stood before that segment, so that opening is fast |
//! | `index-<16 digits>.json` | what that segment holds, in short, made by the first search; may be deleted |
//! | `holds.json` | spans of time that retention must not delete |
//! | `public.key` | the key that checks checkpoints (C2SP signed-note, `name+hash+key`) |
//! | `signing.key` | the key that signs them (PKCS#8, mode 0600), if not kept elsewhere |
//! | `lock` | held by the gateway that writes |
//! | `emergency.journal` | what was recorded while the log could not be written, see below; best kept elsewhere |
//!
//! # The lines
//! `{"seq":N,"time":"T","type":"intent|outcome|event",…,"sum":"S"}`, times in RFC 3339 with microseconds, see
//! [`Intent`], [`Outcome`], [`Event`]. Lines without their LF are the leaves of an RFC 6962 Merkle tree.
//! `S` is the first half of SHA-256, in hexadecimal, over the `S` of the line before and this line up to
//! `,"sum":"`. A checkpoint signs number of lines and root.
//!
//! # What that shows, and what not
//! One changed, moved or missing byte anywhere breaks a sum; sums need no key, so whoever rewrites all lines
//! after the last checkpoint, or removes them, is not caught by the files alone. Whoever holds the signing key
//! can rewrite everything; only a checkpoint that was kept elsewhere shows it. `cordon audit verify` says so.
//!
//! # The emergency journal
//! While the log cannot be written, the few commands that must not wait for it are recorded in a file of fixed
//! size, in lines like these. Each is carried over to the log as soon as that can be written again, with the
//! time at which it stood in the journal in the field `emergency`.
//!
//! # Retention
//! By default nothing is deleted. What retention deletes is whole segments at the beginning, announced by a
//! signed event `log-pruned` before; the frontier of the first segment left, whose root a checkpoint signs,
//! stands for them. A beginning that is missing without that event is damage.
//!
//! # Secrets
//! This room masks nothing. Arguments, destinations and notes come here masked by the room that knows the
//! schema. Control characters are escaped by JSON.

mod aside;
mod chain;
mod emergency;
mod export;
mod files;
mod heal;
mod index;
mod log;
mod note;
mod open;
mod pack;
mod proof;
mod prove;
mod record;
mod retention;
mod search;
mod segment;
mod tail;
mod tree;
mod verify;
mod writer;

pub use self::{
    chain::Break,
    export::{Export, ExportError, Item, Sink},
    index::Field,
    log::{Health, Log, LogError, OutcomeSlot},
    note::{Checkpoint, NoteError, PublicKey, SigningKey},
    open::{AuditError, OpenReport, Options, RecentNonce, signing_key},
    prove::{Latest, ProofError, Proven, check_proof, latest, prove_growth, prove_line},
    record::{
        Asked, Bar, Decision, Deviation, Ended, Ending, Event, Intent, Kind, Outcome, Record, Series, Who,
    },
    retention::{Hold, Retention, holds, set_holds},
    search::{Query, SearchError, Searched, search},
    segment::Damage,
    tail::{Renderer, Tail, printable},
    tree::{CompactRange, Hash, leaf_hash},
    verify::{Report, VerifyError, verify},
};

#[cfg(test)]
mod tests;
