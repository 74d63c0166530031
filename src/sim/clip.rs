//! What a camera shows: a clip that repeats for ever, a tone, and a line of metadata a second, as RTP packets.

use jiff::Timestamp;

use crate::rtsp::{REPLAY_EXTENSION, RtpHeader};

/// Pictures of the clip in Annex B form (ITU-T H.264), made by `data/clip/make`.
const CLIP: &[u8] = include_bytes!("data/clip/clip.h264");
/// Time between two pictures, and two pieces of sound.
pub(super) const TICK_MILLISECONDS: u32 = 100;
/// Ticks between two pictures that stand for themselves.
pub(super) const KEY_TICKS: u64 = 10;
/// Ticks between two documents of metadata.
const METADATA_TICKS: u64 = 10;
/// Bytes of payload in one packet, below the MTU of Ethernet.
const PAYLOAD_BYTES_MAX: usize = 1_400;
/// Seconds from 1900 to 1970 (RFC 5905 §6).
const NTP_SECONDS: u64 = 2_208_988_800;

/// The streams of a camera, in the order of its description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Track {
    Video,
    Audio,
    Metadata,
}

impl Track {
    pub(super) const ALL: [Self; 3] = [Self::Video, Self::Audio, Self::Metadata];

    /// The track of a type as the recording service writes it.
    pub(super) fn of_type(word: &str) -> Option<Self> {
        match word {
            "Video" => Some(Self::Video),
            "Audio" => Some(Self::Audio),
            "Metadata" => Some(Self::Metadata),
            _ => None,
        }
    }

    /// Its place among the streams of a camera.
    pub(super) fn place(self) -> usize {
        self as usize
    }

    /// The section of a server's words that describes it.
    pub(super) fn section(self) -> &'static str {
        match self {
            Self::Video => "sdp video",
            Self::Audio => "sdp audio",
            Self::Metadata => "sdp metadata",
        }
    }

    /// Ticks of its timestamps in a millisecond.
    fn clock_kilohertz(self) -> u32 {
        match self {
            Self::Audio => 8,
            Self::Video | Self::Metadata => 90,
        }
    }
}

/// What a decoder of the pictures needs, for the description.
pub(super) fn parameters() -> [(&'static str, String); 3] {
    let (sps, pps) = parameter_sets();
    [("profile", profile(sps)), ("sps", base64(sps)), ("pps", base64(pps))]
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

/// `profile-level-id` (RFC 6184 §8.1): the three bytes after the type of a sequence parameter set.
fn profile(sps: &[u8]) -> String {
    sps.iter().skip(1).take(3).map(|byte| format!("{byte:02x}")).collect()
}

fn parameter_sets() -> (&'static [u8], &'static [u8]) {
    let find = |kind: u8| units().find(|unit| unit.first().is_some_and(|it| it & 0x1f == kind));
    (find(7).unwrap_or_default(), find(8).unwrap_or_default())
}

/// The network abstraction layer units of the clip.
fn units() -> impl Iterator<Item = &'static [u8]> {
    let starts = CLIP.windows(3).enumerate().filter(|(_, it)| *it == [0, 0, 1]).map(|(at, _)| at);
    let ends = starts.clone().skip(1).chain([CLIP.len()]);
    starts.zip(ends).filter_map(|(start, end)| {
        let unit = CLIP.get(start + 3..end)?;
        // A start code may have one more zero before it.
        Some(unit.strip_suffix(&[0]).unwrap_or(unit))
    })
}

/// The clip's pictures, each with the parameter sets before it.
fn pictures() -> Vec<Vec<&'static [u8]>> {
    let mut pictures = vec![Vec::new()];
    for unit in units() {
        let ends = unit.first().is_some_and(|it| matches!(it & 0x1f, 1 | 5));
        if let Some(picture) = pictures.last_mut() {
            picture.push(unit);
        }
        if ends {
            pictures.push(Vec::new());
        }
    }
    pictures.retain(|picture| !picture.is_empty());
    pictures
}

/// What packets of a recording say of the moment they are of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recorded {
    /// When it was.
    pub(super) at: Timestamp,
    /// Whether a decoder can begin with it.
    pub(super) clean: bool,
    /// Whether nothing comes after it.
    pub(super) last: bool,
    /// Whether it does not follow the one before.
    pub(super) jumped: bool,
    /// The low byte of the number of the PLAY it is sent for.
    pub(super) cseq: u8,
}

impl Recorded {
    /// The header extension of the first packet (ONVIF Streaming Specification §6.3).
    fn extension(&self) -> Vec<u8> {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = flag(self.clean, 0x80) | flag(self.last, 0x50) | flag(self.jumped, 0x20);
        [&REPLAY_EXTENSION.to_be_bytes()[..], &[0, 3], &ntp(self.at).to_be_bytes(), &[flags, self.cseq, 0, 0]]
            .concat()
    }
}

/// A moment in NTP format (RFC 5905 §6).
fn ntp(at: Timestamp) -> u64 {
    let seconds = u64::try_from(at.as_second()).unwrap_or_default() + NTP_SECONDS;
    let fraction = (u64::from(at.subsec_nanosecond().unsigned_abs()) << 32) / 1_000_000_000;
    seconds << 32 | fraction
}

/// One track on its way to one viewer.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) track: Track,
    payload_type: u8,
    pictures: Vec<Vec<&'static [u8]>>,
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    /// The timestamp of tick 0.
    pub(super) timestamp: u32,
    packets: u32,
    octets: u32,
    /// The middle of the time in its last report.
    pub(super) reported: u32,
    /// What stands in its metadata in place of what it sees.
    said: String,
    /// The place of the picture that it shows next, in place of the tick's own.
    pub(super) shows: Option<u64>,
}

impl Sender {
    /// Begins with these numbers.
    pub(super) fn new(
        (track, payload_type): (Track, u8),
        ssrc: u32,
        (sequence, timestamp): (u16, u32),
    ) -> Self {
        Self {
            track,
            payload_type,
            pictures: if track == Track::Video { pictures() } else { Vec::new() },
            ssrc,
            sequence,
            timestamp,
            packets: 0,
            octets: 0,
            reported: 0,
            said: String::new(),
            shows: None,
        }
    }

    /// Says this in its metadata, if it is anything.
    pub(super) fn saying(mut self, said: String) -> Self {
        self.said = said;
        self
    }

    /// The packets of a tick, counted from the beginning of the session.
    pub(super) fn packets(&mut self, tick: u64, now: Timestamp) -> Vec<Vec<u8>> {
        match self.track {
            Track::Video => {
                let place = self.shows.take().unwrap_or(tick) % (self.pictures.len().max(1) as u64);
                let picture = usize::try_from(place).ok().and_then(|it| self.pictures.get(it)).cloned();
                let picture = picture.unwrap_or_default();
                let last = picture.len().saturating_sub(1);
                let units = picture.iter().enumerate();
                units.flat_map(|(number, unit)| self.unit(unit, number == last, tick)).collect()
            }
            Track::Audio => vec![self.packet(&tone(tick), false, tick)],
            Track::Metadata if tick.is_multiple_of(METADATA_TICKS) => {
                let document = metadata(&self.said, now);
                let pieces = document.as_bytes().chunks(PAYLOAD_BYTES_MAX);
                let last = pieces.len().saturating_sub(1);
                pieces.enumerate().map(|(number, piece)| self.packet(piece, number == last, tick)).collect()
            }
            Track::Metadata => Vec::new(),
        }
    }

    /// The packets of a tick that was recorded.
    pub(super) fn recorded(&mut self, tick: u64, recorded: &Recorded) -> Vec<Vec<u8>> {
        let mut packets = self.packets(tick, recorded.at);
        if let Some([first, ..]) = packets.first_mut().map(Vec::as_mut_slice) {
            *first |= 0x10;
        }
        if let Some(first) = packets.first_mut() {
            first.splice(RtpHeader::FIXED_BYTES..RtpHeader::FIXED_BYTES, recorded.extension());
        }
        packets
    }

    /// A unit in one packet, or in fragments (RFC 6184 §5.8).
    fn unit(&mut self, unit: &[u8], ends_picture: bool, tick: u64) -> Vec<Vec<u8>> {
        let Some((head, body)) = unit.split_first().filter(|_| unit.len() > PAYLOAD_BYTES_MAX) else {
            return vec![self.packet(unit, ends_picture, tick)];
        };
        let pieces = body.chunks(PAYLOAD_BYTES_MAX - 2);
        let last = pieces.len().saturating_sub(1);
        let mut packets = Vec::new();
        for (number, piece) in pieces.enumerate() {
            let bits = if number == 0 { 0x80 } else { 0 } | if number == last { 0x40 } else { 0 };
            let payload = [&[(head & 0xe0) | 28, bits | (head & 0x1f)], piece].concat();
            packets.push(self.packet(&payload, ends_picture && number == last, tick));
        }
        packets
    }

    fn packet(&mut self, payload: &[u8], marker: bool, tick: u64) -> Vec<u8> {
        let mut packet = Vec::with_capacity(12 + payload.len());
        packet.extend_from_slice(&[0x80, self.payload_type | if marker { 0x80 } else { 0 }]);
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&self.at(tick).to_be_bytes());
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        packet.extend_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(u32::try_from(payload.len()).unwrap_or_default());
        packet
    }

    /// The timestamp of a tick.
    pub(super) fn at(&self, tick: u64) -> u32 {
        let step = u64::from(TICK_MILLISECONDS * self.track.clock_kilohertz());
        // Timestamps begin anew after 2^32.
        self.timestamp.wrapping_add((tick.wrapping_mul(step) & 0xffff_ffff) as u32)
    }

    /// A sender report that says what time it was at a tick.
    pub(super) fn report(&mut self, tick: u64, now: Timestamp) -> Vec<u8> {
        self.reported = (ntp(now) >> 16 & 0xffff_ffff) as u32;
        crate::rtsp::SenderReport {
            ssrc: crate::rtsp::Ssrc(self.ssrc),
            ntp: ntp(now),
            rtp: self.at(tick),
            packets: self.packets,
            octets: self.octets,
        }
        .write()
    }
}

/// A tenth of a second of a tone of 1 kHz, in µ-law (ITU-T G.711).
fn tone(tick: u64) -> Vec<u8> {
    // Eight samples a period: sines of multiples of 45 degrees, each as µ-law has it.
    const PERIOD: [u8; 8] = [0xff, 0xb8, 0xaf, 0xb8, 0xff, 0x38, 0x2f, 0x38];
    let samples = (TICK_MILLISECONDS * 8) as usize;
    // Quiet every other second, so that a listener hears time pass.
    if (tick / 10).is_multiple_of(2) {
        PERIOD.iter().copied().cycle().take(samples).collect()
    } else {
        vec![0xff; samples]
    }
}

/// What the camera sees, which is nothing (ONVIF Streaming Specification §5.1.2.1.1), or says it does.
fn metadata(said: &str, now: Timestamp) -> String {
    let seen = match said {
        "" => {
            let time = now.strftime("%Y-%m-%dT%H:%M:%SZ");
            format!("<tt:VideoAnalytics><tt:Frame UtcTime=\"{time}\"/></tt:VideoAnalytics>")
        }
        said => said.to_owned(),
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><tt:MetadataStream xmlns:tt=\"http://www.onvif.org/ver10/schema\">\
         {seen}</tt:MetadataStream>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::{Rtcp, Ssrc};

    #[test]
    fn the_clip_is_forty_pictures_with_a_key_frame_a_second() {
        let pictures = pictures();
        assert_eq!(pictures.len(), 40);
        let kinds = |picture: &[&[u8]]| picture.iter().map(|unit| unit[0] & 0x1f).collect::<Vec<_>>();
        for (number, picture) in pictures.iter().enumerate() {
            let expected: &[u8] = if number % 10 == 0 { &[7, 8, 5] } else { &[1] };
            assert_eq!(kinds(picture), expected, "picture {number}");
        }
    }

    #[test]
    fn a_key_frame_travels_in_fragments() {
        let mut sender = Sender::new((Track::Video, 96), 7, (u16::MAX, u32::MAX));
        let packets = sender.packets(40, Timestamp::UNIX_EPOCH);
        let headers: Vec<_> = packets.iter().map(|packet| RtpHeader::parse(packet).unwrap()).collect();
        let sequences: Vec<_> = headers.iter().map(|it| it.sequence).collect();
        assert_eq!(sequences, [u16::MAX, 0, 1, 2], "parameter sets, and two fragments");
        assert_eq!(headers.iter().map(|it| it.marker).collect::<Vec<_>>(), [false, false, false, true]);
        assert!(headers.iter().all(|it| it.ssrc == Ssrc(7) && it.timestamp == 40 * 9_000 - 1));
        assert_eq!([packets[2][12] & 0x1f, packets[2][13], packets[3][13]], [28, 0x85, 0x45]);
        let report = Rtcp::parse(&sender.report(40, Timestamp::UNIX_EPOCH)).unwrap().report.unwrap();
        assert_eq!((report.packets, report.rtp, report.ntp), (4, 40 * 9_000 - 1, NTP_SECONDS << 32));
    }
}
