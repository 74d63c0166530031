//! The verifier of what a client says to a camera (ONVIF Streaming Specification §5.3): packets of sound, made anew.

use std::time::Duration;

use crate::{
    limits::{TALK_BYTES_PER_SECOND_MAX, TALK_PACKET_BYTES_MAX},
    rtsp::{Media, MediaKind, RtpError, RtpHeader, Ssrc},
};

/// Judges the packets of one client for one back channel of a camera.
#[derive(Debug)]
pub struct Talk {
    /// Payload types that the camera takes.
    payload_types: Vec<u8>,
    own: Ssrc,
    /// The client's source and its last number.
    pinned: Option<(Ssrc, u16)>,
    /// The number of the next packet of ours.
    next: u16,
    /// When a second began, and what was said in it.
    second: (Duration, usize),
    /// What happened so far.
    pub counts: TalkCounts,
}

/// What was said, and what did not pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TalkCounts {
    /// Packets that passed.
    pub passed: u64,
    /// Bytes of sound in them.
    pub bytes: u64,
    /// Packets that did not pass.
    pub dropped: u64,
}

/// Why a packet does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum TalkError {
    #[error("{0}")]
    Rtp(#[from] RtpError),
    #[error("it is longer than {TALK_PACKET_BYTES_MAX} bytes, or empty")]
    Length,
    #[error("the camera takes no such payload type")]
    PayloadType,
    #[error("it is of another source")]
    Source,
    #[error("it was sent before")]
    Repeated,
    #[error("more than {TALK_BYTES_PER_SECOND_MAX} bytes in a second")]
    Rate,
}

impl Talk {
    /// For a stream that the camera takes, from a source of ours; none if it takes no sound there.
    pub fn new(media: &Media, own: Ssrc) -> Option<Self> {
        let payload_types = media.formats.iter().map(|it| it.payload_type).collect();
        (media.kind == MediaKind::Audio).then(|| Self {
            payload_types,
            own,
            pinned: None,
            // Numbers begin somewhere (RFC 3550 §5.1).
            next: (own.0 & 0xffff) as u16,
            second: (Duration::ZERO, 0),
            counts: TalkCounts::default(),
        })
    }

    /// The packet that goes to the camera in place of a client's. `now` is monotonic.
    pub fn judge(&mut self, packet: &[u8], now: Duration) -> Result<Vec<u8>, TalkError> {
        let judged = self.anew(packet, now);
        match &judged {
            Ok(anew) => {
                self.counts.passed += 1;
                self.counts.bytes += anew.len().saturating_sub(RtpHeader::FIXED_BYTES) as u64;
            }
            Err(_) => self.counts.dropped += 1,
        }
        judged
    }

    /// Takes back that a packet passed, of which the camera's side had no room.
    pub fn not_taken(&mut self, anew: &[u8]) {
        self.counts.passed = self.counts.passed.saturating_sub(1);
        let bytes = anew.len().saturating_sub(RtpHeader::FIXED_BYTES) as u64;
        self.counts.bytes = self.counts.bytes.saturating_sub(bytes);
        self.counts.dropped += 1;
    }

    fn anew(&mut self, packet: &[u8], now: Duration) -> Result<Vec<u8>, TalkError> {
        let header = RtpHeader::parse(packet)?;
        let payload = packet.get(header.payload_start..header.payload_end).unwrap_or_default();
        if payload.is_empty() || payload.len() > TALK_PACKET_BYTES_MAX {
            return Err(TalkError::Length);
        }
        if !self.payload_types.contains(&header.payload_type) {
            return Err(TalkError::PayloadType);
        }
        let step = match self.pinned {
            Some((source, _)) if source != header.ssrc => return Err(TalkError::Source),
            Some((_, last)) => header.sequence.wrapping_sub(last),
            None => 0,
        };
        if self.pinned.is_some() && (step == 0 || step > u16::MAX / 2) {
            return Err(TalkError::Repeated);
        }
        if now.saturating_sub(self.second.0) >= Duration::from_secs(1) {
            self.second = (now, 0);
        }
        if self.second.1 + payload.len() > TALK_BYTES_PER_SECOND_MAX {
            return Err(TalkError::Rate);
        }
        self.second.1 += payload.len();
        self.pinned = Some((header.ssrc, header.sequence));
        // What is missing on the way to the gateway is missing at the camera.
        self.next = self.next.wrapping_add(step.max(1));
        let mut anew = Vec::with_capacity(RtpHeader::FIXED_BYTES + payload.len());
        anew.extend_from_slice(&[0x80, header.payload_type | if header.marker { 0x80 } else { 0 }]);
        anew.extend_from_slice(&self.next.to_be_bytes());
        anew.extend_from_slice(&header.timestamp.to_be_bytes());
        anew.extend_from_slice(&self.own.0.to_be_bytes());
        anew.extend_from_slice(payload);
        Ok(anew)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::{Description, UnknownCodecs};

    fn talk() -> Talk {
        let text =
            "m=audio 0 RTP/AVP 0 8\na=sendonly\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=sendonly\n";
        let description = Description::parse(text.as_bytes(), UnknownCodecs::Passed).unwrap();
        assert!(Talk::new(&description.media[1], Ssrc(1)).is_none(), "pictures are not sent to cameras");
        Talk::new(&description.media[0], Ssrc(0x0102_0304)).unwrap()
    }

    fn rtp(first: u8, payload_type: u8, sequence: u16, ssrc: u32, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![first, payload_type];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 9]);
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet.extend_from_slice(rest);
        packet
    }

    const NOW: Duration = Duration::from_secs(7);

    #[test]
    fn what_nobody_took_was_not_said() {
        let mut talk = talk();
        let first = talk.judge(&rtp(0x80, 0, 10, 5, b"abc"), NOW).unwrap();
        talk.judge(&rtp(0x80, 0, 11, 5, b"defg"), NOW).unwrap();
        talk.not_taken(&first);
        assert_eq!(talk.counts, TalkCounts { passed: 1, bytes: 4, dropped: 1 });
    }

    #[test]
    fn sound_goes_on_under_numbers_of_the_gateways_own() {
        let mut talk = talk();
        let first = talk.judge(&rtp(0x80, 0x88, 10, 5, b"abc"), NOW).unwrap();
        assert_eq!(first, rtp(0x80, 0x88, 0x0305, 0x0102_0304, b"abc"));
        // Extension and padding stay behind, a gap stays a gap.
        let extended = [0xbe, 0xde, 0, 1, 1, 2, 3, 4, b'x', 0, 2];
        let second = talk.judge(&rtp(0xb0, 8, 12, 5, &extended), NOW).unwrap();
        assert_eq!(second, rtp(0x80, 8, 0x0307, 0x0102_0304, b"x"));
        assert_eq!(talk.counts, TalkCounts { passed: 2, bytes: 4, dropped: 0 });
    }

    #[test]
    fn nothing_but_sound_that_the_camera_takes_passes() {
        let mut talk = talk();
        talk.judge(&rtp(0x80, 0, 10, 5, b"abc"), NOW).unwrap();
        let long = vec![0; TALK_PACKET_BYTES_MAX + 1];
        let cases: [(Vec<u8>, TalkError); 8] = [
            (rtp(0x80, 96, 11, 5, b"abc"), TalkError::PayloadType),
            (rtp(0x80, 0, 11, 6, b"abc"), TalkError::Source),
            (rtp(0x80, 0, 10, 5, b"abc"), TalkError::Repeated),
            (rtp(0x80, 0, 9, 5, b"abc"), TalkError::Repeated),
            (rtp(0x80, 0, 11, 5, b""), TalkError::Length),
            (rtp(0x80, 0, 11, 5, &long), TalkError::Length),
            (rtp(0x40, 0, 11, 5, b"abc"), TalkError::Rtp(RtpError::Version)),
            (b"RTSP/1.0 200 OK".to_vec(), TalkError::Rtp(RtpError::Version)),
        ];
        for (packet, error) in &cases {
            assert_eq!(talk.judge(packet, NOW), Err(*error), "{packet:?}");
        }
        assert_eq!(talk.counts, TalkCounts { passed: 1, bytes: 3, dropped: cases.len() as u64 });
    }

    #[test]
    fn nobody_says_more_than_a_speaker_can() {
        let mut talk = talk();
        let packet = |sequence| rtp(0x80, 0, sequence, 5, &[0; 1_000]);
        let count = (TALK_BYTES_PER_SECOND_MAX / 1_000) as u16;
        for sequence in 0..count {
            talk.judge(&packet(sequence), NOW).unwrap();
        }
        assert_eq!(talk.judge(&packet(count), NOW), Err(TalkError::Rate));
        talk.judge(&packet(count + 1), NOW + Duration::from_secs(1)).unwrap();
    }
}
