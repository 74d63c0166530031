//! Going on after the disk failed.
//!
//! After a failed `fsync` nobody knows what is on the disk: Linux marks the pages clean, so that a second
//! `fsync` succeeds without having written them, and what is read back comes from the cache. So no sync is
//! tried again on what was written before. The state in memory is that of the last sync that succeeded; files
//! are cut back to it, which drops the pages of the batch that failed, and synced through a new descriptor.
//! The last page, which durable lines and failed ones share, is written again by that. Then the lines are read
//! and compared with the tree in memory, and a line that says what happened is written and synced. Only
//! then is the log well again. Nobody was told that a line of the failed batch is durable: its commands were
//! refused. Outcomes of earlier commands wait in the queue and are written next.

use std::io;

use jiff::Timestamp;
use serde_json::json;

use super::{
    log::time_text,
    open::examine,
    record::{Event, Record},
    segment::{CHECKPOINTS, segment_name, segments},
    writer::{Awaited, Entry, Writer},
};

impl Writer {
    /// Makes the files what they were when a sync last succeeded, checks them, and writes that it failed.
    pub(super) fn heal(&mut self, why: &str, since: Timestamp, now: Timestamp) -> io::Result<()> {
        let next = self.dir.join(segment_name(self.chain.size()));
        if next != self.segment_path && next.exists() {
            // Begun by the rotation that failed, and never written to.
            self.segment_path = next;
            self.segment_bytes = 0;
        }
        let checkpoints = self.dir.join(CHECKPOINTS);
        self.files.cut(&self.segment_path, self.segment_bytes)?;
        self.files.cut(&checkpoints, self.checkpoints_bytes)?;
        let found = examine(&self.dir, &segments(&self.dir)?, &self.key.public(), now);
        let found = found.map_err(|error| io::Error::other(format!("{error:#}")))?;
        if found.walker.chain != self.chain {
            let lines = self.chain.size();
            return Err(io::Error::other(format!("the {lines} durable lines are not on the disk any more")));
        }
        self.segment = self.files.open(&self.segment_path)?;
        self.checkpoints = self.files.open(&checkpoints)?;
        let detail = json!({ "failure": why, "since": time_text(since) });
        let body = Record::Event(Event::new("log-healed", detail)).body();
        self.commit(&[Entry { time: time_text(now), body, mark: Awaited::Nothing }])?;
        self.checkpoint()
    }
}
