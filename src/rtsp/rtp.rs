//! RTP and RTCP headers (RFC 3550): what is checked of a packet, and what is written of a report.
//!
//! Payloads are not looked into beyond what tells access units apart; that a decoder survives them is not claimed.

use crate::limits::RTP_PACKET_BYTES_MAX;

/// A synchronization source (RFC 3550 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ssrc(pub u32);

/// The header of one RTP packet (RFC 3550 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpHeader {
    /// Whether the packet ends an access unit, for most payloads.
    pub marker: bool,
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp.
    pub timestamp: u32,
    /// The source.
    pub ssrc: Ssrc,
    /// Where the extension stands, if there is one: its profile and the bytes of its data.
    pub extension: Option<(u16, (usize, usize))>,
    /// Where the payload begins.
    pub payload_start: usize,
    /// Where it ends: before the padding.
    pub payload_end: usize,
}

/// Why bytes are no RTP packet that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RtpError {
    #[error("the packet is too short for its header")]
    Short,
    #[error("the packet is longer than {RTP_PACKET_BYTES_MAX} bytes")]
    Long,
    #[error("the version is not 2")]
    Version,
    #[error("it has contributing sources")]
    Contributors,
    #[error("its padding is longer than its payload")]
    Padding,
}

impl RtpHeader {
    /// Bytes of the fixed part.
    pub const FIXED_BYTES: usize = 12;

    /// Checks a packet's header.
    pub fn parse(packet: &[u8]) -> Result<Self, RtpError> {
        let fixed: &[u8; Self::FIXED_BYTES] = packet.first_chunk().ok_or(RtpError::Short)?;
        if packet.len() > RTP_PACKET_BYTES_MAX {
            return Err(RtpError::Long);
        }
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if first >> 6 != 2 {
            return Err(RtpError::Version);
        }
        // ONVIF Streaming Specification, table of RTP header fields: the count is 0.
        if first & 0x0f != 0 {
            return Err(RtpError::Contributors);
        }
        let (extension, payload_start) = match first & 0x10 {
            0 => (None, Self::FIXED_BYTES),
            _ => {
                let head: &[u8; 4] =
                    packet.get(Self::FIXED_BYTES..).and_then(|it| it.first_chunk()).ok_or(RtpError::Short)?;
                let [p0, p1, l0, l1] = *head;
                let start = Self::FIXED_BYTES + head.len();
                let end = start + 4 * usize::from(u16::from_be_bytes([l0, l1]));
                (Some((u16::from_be_bytes([p0, p1]), (start, end))), end)
            }
        };
        let padding = match first & 0x20 {
            0 => 0,
            _ => usize::from(packet.last().copied().unwrap_or_default()).max(1),
        };
        if payload_start > packet.len() {
            return Err(RtpError::Short);
        }
        let payload_end = packet.len().checked_sub(padding).filter(|end| *end >= payload_start);
        Ok(Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: Ssrc(u32::from_be_bytes([c0, c1, c2, c3])),
            extension,
            payload_start,
            payload_end: payload_end.ok_or(RtpError::Padding)?,
        })
    }
}

/// The profile of the extension that recordings played back carry (ONVIF Streaming Specification §6.2).
pub const REPLAY_EXTENSION: u16 = 0xABAC;
/// The profiles of the extensions for JPEG that RFC 2435 cannot describe (ONVIF Streaming Specification §5.1.4):
/// of the first packet of a picture, and of its others.
pub const JPEG_EXTENSIONS: [u16; 2] = [0xFFD8, 0xFFFF];

/// The moment of a sender report (RFC 3550 §6.4.1): what makes timestamps time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderReport {
    /// Whose.
    pub ssrc: Ssrc,
    /// Wall clock in NTP format.
    pub ntp: u64,
    /// The same moment in units of the payload's clock.
    pub rtp: u32,
    /// Packets sent so far.
    pub packets: u32,
    /// Bytes of payload sent so far.
    pub octets: u32,
}

/// What one compound packet of a camera says that is of use here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rtcp {
    /// The last sender report.
    pub report: Option<SenderReport>,
    /// The sources that say goodbye.
    pub byes: Vec<Ssrc>,
    /// Whether there is a receiver report, which is a sign of life (ONVIF Streaming Specification §5.2.2.2).
    pub receiver_report: bool,
}

/// Why bytes are no compound RTCP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RtcpError {
    #[error("a packet is cut off")]
    Short,
    #[error("the version is not 2")]
    Version,
    #[error("it is longer than {RTP_PACKET_BYTES_MAX} bytes")]
    Long,
}

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;

impl Rtcp {
    /// Reads a compound packet (RFC 3550 §6.1); packets of other types are passed over.
    pub fn parse(mut bytes: &[u8]) -> Result<Self, RtcpError> {
        if bytes.len() > RTP_PACKET_BYTES_MAX {
            return Err(RtcpError::Long);
        }
        let mut found = Self::default();
        while !bytes.is_empty() {
            let [first, kind, high, low] = *bytes.first_chunk().ok_or(RtcpError::Short)?;
            if first >> 6 != 2 {
                return Err(RtcpError::Version);
            }
            let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
            let (packet, rest) = bytes.split_at_checked(length).ok_or(RtcpError::Short)?;
            match kind {
                SENDER_REPORT => found.report = Some(sender_report(packet).ok_or(RtcpError::Short)?),
                RECEIVER_REPORT => found.receiver_report = true,
                GOODBYE => found.byes.extend(goodbyes(first, packet).ok_or(RtcpError::Short)?),
                _ => {}
            }
            bytes = rest;
        }
        Ok(found)
    }
}

/// The sources of a packet that says goodbye for so many (RFC 3550 §6.6).
fn goodbyes(first: u8, packet: &[u8]) -> Option<impl Iterator<Item = Ssrc>> {
    let sources = packet.get(4..4 + 4 * usize::from(first & 0x1f))?;
    Some(sources.as_chunks().0.iter().map(|it| Ssrc(u32::from_be_bytes(*it))))
}

fn sender_report(packet: &[u8]) -> Option<SenderReport> {
    let word = |place: usize| {
        let bytes = packet.get(4 * place..)?.first_chunk()?;
        Some(u32::from_be_bytes(*bytes))
    };
    Some(SenderReport {
        ssrc: Ssrc(word(1)?),
        ntp: u64::from(word(2)?) << 32 | u64::from(word(3)?),
        rtp: word(4)?,
        packets: word(5)?,
        octets: word(6)?,
    })
}

impl SenderReport {
    /// A compound packet with this report and a source description (RFC 3550 §6.5) that names nobody.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(28 + 20);
        let words = |bytes: &mut Vec<u8>, words: &[u32]| {
            for word in words {
                bytes.extend_from_slice(&word.to_be_bytes());
            }
        };
        bytes.extend_from_slice(&[0x80, SENDER_REPORT, 0, 6]);
        let (high, low) = ((self.ntp >> 32) as u32, (self.ntp & 0xffff_ffff) as u32);
        words(&mut bytes, &[self.ssrc.0, high, low, self.rtp, self.packets, self.octets]);
        write_name(&mut bytes, self.ssrc);
        bytes
    }
}

/// What a receiver says of one source (RFC 3550 §6.4.1, report block).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reception {
    /// Whose packets.
    pub ssrc: Ssrc,
    /// Of those expected since the last report, how many of 256 did not come.
    pub fraction_lost: u8,
    /// How many did not come so far; less than none where some came twice. Written in 24 bits.
    pub lost: i32,
    /// The highest sequence number, with how often they began anew before it.
    pub highest: u32,
    /// How much the time between packets varies, in ticks of their timestamps.
    pub jitter: u32,
    /// The middle of the NTP time of the last sender report; zero if none came.
    pub last_report: u32,
    /// How long ago that came, in parts of 65,536 of a second.
    pub delay: u32,
}

impl Reception {
    /// A receiver report of ours (RFC 3550 §6.4.2) that says this, with a source description.
    pub fn write(&self, own: Ssrc) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32 + 20);
        bytes.extend_from_slice(&[0x81, RECEIVER_REPORT, 0, 7]);
        let [_, lost @ ..] = self.lost.clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
        let [l0, l1, l2] = lost;
        let lost = u32::from_be_bytes([self.fraction_lost, l0, l1, l2]);
        for word in [own.0, self.ssrc.0, lost, self.highest, self.jitter, self.last_report, self.delay] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        write_name(&mut bytes, own);
        bytes
    }
}

/// An empty receiver report of ours (RFC 3550 §6.4.2) with a source description: a sign of life for cameras.
pub fn receiver_report(own: Ssrc) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + 20);
    bytes.extend_from_slice(&[0x80, RECEIVER_REPORT, 0, 1]);
    bytes.extend_from_slice(&own.0.to_be_bytes());
    write_name(&mut bytes, own);
    bytes
}

/// Says goodbye for a source (RFC 3550 §6.6), behind a report.
pub fn write_goodbye(bytes: &mut Vec<u8>, own: Ssrc) {
    bytes.extend_from_slice(&[0x81, GOODBYE, 0, 1]);
    bytes.extend_from_slice(&own.0.to_be_bytes());
}

/// A source description whose canonical name says nothing about anybody.
fn write_name(bytes: &mut Vec<u8>, ssrc: Ssrc) {
    const NAME: &[u8; 6] = b"cordon";
    const CNAME: u8 = 1;
    // Chunk: source, item (type, length, text), and zeros up to the next word.
    bytes.extend_from_slice(&[0x81, SOURCE_DESCRIPTION, 0, 4]);
    bytes.extend_from_slice(&ssrc.0.to_be_bytes());
    bytes.extend_from_slice(&[CNAME, NAME.len() as u8]);
    bytes.extend_from_slice(NAME);
    bytes.extend_from_slice(&[0; 4]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first, 0x80 | 96, 0x12, 0x34, 0, 0, 0, 9, 0, 0, 0, 7];
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn rtp_headers_are_checked() {
        let plain = RtpHeader::parse(&packet(0x80, b"abc")).unwrap();
        assert!(plain.marker);
        assert_eq!((plain.payload_type, plain.sequence, plain.timestamp), (96, 0x1234, 9));
        assert_eq!((plain.ssrc, plain.payload_start, plain.payload_end), (Ssrc(7), 12, 15));
        let extended = packet(0x90, &[0xAB, 0xAC, 0, 1, 1, 2, 3, 4, b'x']);
        let extended = RtpHeader::parse(&extended).unwrap();
        assert_eq!(extended.extension, Some((REPLAY_EXTENSION, (16, 20))));
        assert_eq!((extended.payload_start, extended.payload_end), (20, 21));
        let padded = RtpHeader::parse(&packet(0xA0, &[b'x', 0, 2])).unwrap();
        assert_eq!((padded.payload_start, padded.payload_end), (12, 13));
        let long = packet(0x80, &vec![0; RTP_PACKET_BYTES_MAX]);
        let cases: [(&[u8], RtpError); 7] = [
            (&[0x80; 11], RtpError::Short),
            (&long, RtpError::Long),
            (&packet(0x40, b""), RtpError::Version),
            (&packet(0x81, b"abcd"), RtpError::Contributors),
            (&packet(0x90, &[0, 0, 0]), RtpError::Short),
            (&packet(0x90, &[0, 0, 0xff, 0xff]), RtpError::Short),
            (&packet(0xA0, &[b'x', 0, 4]), RtpError::Padding),
        ];
        for (bytes, error) in cases {
            assert_eq!(RtpHeader::parse(bytes), Err(error));
        }
        assert_eq!(RtpHeader::parse(&packet(0xA0, &[0])), Ok(RtpHeader { payload_end: 12, ..padded }));
    }

    #[test]
    fn what_is_told_of_a_source_stands_where_it_belongs() {
        let said = Reception {
            ssrc: Ssrc(0x0102_0304),
            fraction_lost: 0x40,
            lost: 3,
            highest: 0x0001_fffe,
            jitter: 9,
            last_report: 0x89ab_cdef,
            delay: 0x0001_8000,
        };
        let written = said.write(Ssrc(7));
        let block = [
            [0x81, RECEIVER_REPORT, 0, 7],
            [0, 0, 0, 7],
            [1, 2, 3, 4],
            [0x40, 0, 0, 3],
            [0, 1, 0xff, 0xfe],
            [0, 0, 0, 9],
            [0x89, 0xab, 0xcd, 0xef],
            [0, 1, 0x80, 0],
        ];
        assert_eq!(written[..32], block.concat());
        assert_eq!(written[32..], receiver_report(Ssrc(7))[8..], "the same name");
        assert_eq!(Rtcp::parse(&written), Ok(Rtcp { receiver_report: true, ..Rtcp::default() }));
        let lost = |lost| Reception { lost, ..said }.write(Ssrc(7))[13..16].to_vec();
        assert_eq!(
            [lost(-2), lost(i32::MAX), lost(i32::MIN)],
            [[0xff, 0xff, 0xfe], [0x7f, 0xff, 0xff], [0x80, 0, 0]]
        );
    }

    #[test]
    fn reports_are_read_as_they_are_written() {
        let report =
            SenderReport { ssrc: Ssrc(5), ntp: 0x0123_4567_89ab_cdef, rtp: 90_000, packets: 3, octets: 4 };
        let written = report.write();
        assert_eq!(written.len(), 28 + 20);
        assert_eq!(Rtcp::parse(&written), Ok(Rtcp { report: Some(report), ..Rtcp::default() }));
        let own = receiver_report(Ssrc(9));
        assert_eq!(Rtcp::parse(&own), Ok(Rtcp { receiver_report: true, ..Rtcp::default() }));
        let mut bye = own.clone();
        write_goodbye(&mut bye, Ssrc(9));
        assert_eq!(bye[own.len()..], [0x81, GOODBYE, 0, 1, 0, 0, 0, 9]);
        let parsed = Rtcp { receiver_report: true, byes: vec![Ssrc(9)], ..Rtcp::default() };
        assert_eq!(Rtcp::parse(&bye), Ok(parsed));
        let two = [0x82, GOODBYE, 0, 3, 0, 0, 0, 5, 0, 0, 0, 6, 3, b'b', b'y', b'e'];
        assert_eq!(Rtcp::parse(&two).unwrap().byes, [Ssrc(5), Ssrc(6)], "with a reason");
        assert_eq!(Rtcp::parse(&[0x82, GOODBYE, 0, 1, 0, 0, 0, 5]), Err(RtcpError::Short));
        for cut in 1..written.len() {
            if cut != 28 {
                assert_eq!(Rtcp::parse(&written[..cut]), Err(RtcpError::Short), "{cut}");
            }
        }
        assert_eq!(Rtcp::parse(&[0x41, 200, 0, 0]), Err(RtcpError::Version));
        assert_eq!(Rtcp::parse(&[0x80, SENDER_REPORT, 0, 0]), Err(RtcpError::Short));
    }
}
