//! What a camera hears beside requests: what is said to it, and what it is told of its streams.

use super::{
    clip::Sender,
    server::{RunningCamera, Shared},
};
use crate::limits::SIM_SAID_PACKETS_MAX;

/// The first of each.
#[derive(Debug, Default)]
pub(super) struct Heard {
    said: Vec<Vec<u8>>,
    reports: Vec<Told>,
    /// How often it was asked for a picture that a decoder can begin with.
    keys: u64,
}

/// A client's report about a stream, and how far that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The place of the stream in the camera's description.
    pub stream: usize,
    /// The packet.
    pub packet: Vec<u8>,
    /// The stream's source.
    pub ssrc: u32,
    /// The number of its next packet.
    pub next: u16,
    /// The middle of the time in its last sender report; zero as long as there is none.
    pub reported: u32,
}

impl RunningCamera {
    /// The first packets that were said to it.
    pub fn said(&self) -> Vec<Vec<u8>> {
        self.shared.state().heard.said.clone()
    }

    /// The first reports about its streams.
    pub fn reports(&self) -> Vec<Told> {
        self.shared.state().heard.reports.clone()
    }
}

impl Heard {
    /// Takes up what an operation means for its streams.
    pub(super) fn asked(&mut self, operation: &str) {
        if matches!(operation, "trt:SetSynchronizationPoint" | "tr2:SetSynchronizationPoint") {
            self.keys += 1;
        }
    }
}

impl Shared {
    /// How often it was asked for a picture that a decoder can begin with.
    pub(super) fn keys_asked(&self) -> u64 {
        self.state().heard.keys
    }

    /// Remembers a packet that was said to it.
    pub(super) fn remember_said(&self, packet: &[u8]) {
        let said = &mut self.state().heard.said;
        if said.len() < SIM_SAID_PACKETS_MAX {
            said.push(packet.to_vec());
        }
    }

    /// Remembers a report about a stream.
    pub(super) fn remember_report(&self, sender: &Sender, packet: &[u8]) {
        let reports = &mut self.state().heard.reports;
        if reports.len() < SIM_SAID_PACKETS_MAX {
            reports.push(Told {
                stream: sender.track.place(),
                packet: packet.to_vec(),
                ssrc: sender.ssrc,
                next: sender.sequence,
                reported: sender.reported,
            });
        }
    }
}
