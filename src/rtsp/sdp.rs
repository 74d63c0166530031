//! Session descriptions (RFC 4566): a camera's is read tolerantly into a small model, ours is written from it.
//!
//! The model holds what a player needs to decode: kinds, payload types, codecs and the parameters that this
//! program knows to be harmless, by name and by form. Names, addresses, free text and everything vendors add stay
//! behind.

use std::fmt::{self, Write as _};

use super::encoding::{EncodingName, UnknownCodecs};
use crate::limits::{
    SDP_BYTES_MAX, SDP_CONTROL_BYTES_MAX, SDP_LEFT_OUT_MAX, SDP_LINES_MAX, SDP_MEDIA_MAX,
    SDP_PARAMETER_BYTES_MAX,
};

/// What a camera offers at one address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// The address that controls all streams together, as the camera writes it.
    pub control: Option<String>,
    /// Its streams.
    pub media: Vec<Media>,
    /// Lines that were no `x=value`, or came where they mean nothing.
    pub forgiven: usize,
    /// Encodings of its streams that do not pass, `SDP_LEFT_OUT_MAX` of them at most.
    pub left_out: Vec<String>,
}

/// Kinds of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of RFC 4566 §5.14")]
pub enum MediaKind {
    Video,
    Audio,
    Application,
}

impl MediaKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Application => "application",
        }
    }
}

/// Which way a stream goes, as the client sees it (ONVIF Streaming Specification §5.3: the camera writes
/// `sendonly` where the client sends).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the camera.
    #[default]
    Receive,
    /// To the camera: a back channel.
    Send,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// What it is.
    pub kind: MediaKind,
    /// Its payload types, the preferred first. Never empty.
    pub formats: Vec<Format>,
    /// Its control address as the camera writes it; empty if it gives none.
    pub control: String,
    /// Which way it goes.
    pub direction: Direction,
    /// The most it takes, in kbit/s.
    pub bandwidth: Option<u32>,
    /// Pictures a second, in thousandths.
    pub frame_rate: Option<u32>,
    /// The track of a recording that it plays (ONVIF Streaming Specification §6.4).
    pub track: Option<String>,
}

/// One payload type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Its number, 0 to 127.
    pub payload_type: u8,
    /// What is in it.
    pub codec: Codec,
    /// Ticks of the timestamps in a second.
    pub clock_rate: u32,
    /// Channels of sound, if said.
    pub channels: Option<u8>,
    /// Parameters of the codec that are known and well formed, in the camera's order.
    pub parameters: Vec<(&'static str, String)>,
}

macro_rules! codecs {
    ($($variant:ident = $name:literal,)*) => {
        /// Encodings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are those of the IANA registry and the ONVIF Streaming Specification")]
        pub enum Codec {
            $($variant,)*
            /// None of those: nothing is known of it but its name.
            Unverified(EncodingName),
        }

        impl Codec {
            /// Every one that is understood.
            const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As `a=rtpmap` writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unverified(name) => name.as_str(),
                }
            }
        }
    };
}

codecs! {
    H264 = "H264",
    H265 = "H265",
    Jpeg = "JPEG",
    Mpeg4Video = "MP4V-ES",
    Mpeg4Audio = "MPEG4-GENERIC",
    Mpeg4AudioLatm = "MP4A-LATM",
    Pcmu = "PCMU",
    Pcma = "PCMA",
    G722 = "G722",
    G726At16 = "G726-16",
    G726At24 = "G726-24",
    G726At32 = "G726-32",
    G726At40 = "G726-40",
    L16 = "L16",
    Opus = "OPUS",
    Metadata = "VND.ONVIF.METADATA",
    MetadataGzip = "VND.ONVIF.METADATA.GZIP",
    MetadataExi = "VND.ONVIF.METADATA.EXI.ONVIF",
    MetadataExiExtended = "VND.ONVIF.METADATA.EXI.EXT",
}

impl Codec {
    fn of_name(name: &str) -> Option<Self> {
        let known = Self::ALL.iter().copied().find(|it| it.as_str().eq_ignore_ascii_case(name));
        known.or_else(|| EncodingName::new(name).map(Self::Unverified))
    }

    /// Whether streams of this kind and direction pass in it. What is sent to the camera is not tried out on it, and
    /// documents that cannot be read may hold any address.
    fn passes(self, media: &Media, unknown: UnknownCodecs) -> bool {
        match self {
            Self::MetadataExi | Self::MetadataExiExtended => false,
            Self::Unverified(_) => {
                unknown == UnknownCodecs::Passed
                    && media.kind != MediaKind::Application
                    && media.direction == Direction::Receive
            }
            _ => true,
        }
    }

    /// Codec, clock rate and channels of the payload types that need no `a=rtpmap` (RFC 3551 §6).
    fn of_static(payload_type: u8) -> Option<(Self, u32, Option<u8>)> {
        let unverified = |name, rate| Some((Self::Unverified(EncodingName::new(name)?), rate, None));
        match payload_type {
            3 => unverified("GSM", 8_000),
            4 => unverified("G723", 8_000),
            14 => unverified("MPA", 90_000),
            15 => unverified("G728", 8_000),
            18 => unverified("G729", 8_000),
            31 => unverified("H261", 90_000),
            32 => unverified("MPV", 90_000),
            33 => unverified("MP2T", 90_000),
            34 => unverified("H263", 90_000),
            0 => Some((Self::Pcmu, 8_000, None)),
            8 => Some((Self::Pcma, 8_000, None)),
            9 => Some((Self::G722, 8_000, None)),
            10 => Some((Self::L16, 44_100, Some(2))),
            11 => Some((Self::L16, 44_100, None)),
            26 => Some((Self::Jpeg, 90_000, None)),
            _ => None,
        }
    }

    /// The parameters a decoder needs, each with the form of its value.
    fn parameters(self) -> &'static [(&'static str, Form)] {
        match self {
            Self::H264 => &[
                ("packetization-mode", Form::Number),
                ("profile-level-id", Form::Profile),
                ("sprop-parameter-sets", Form::Base64),
            ],
            Self::H265 => &[
                ("profile-space", Form::Number),
                ("profile-id", Form::Number),
                ("tier-flag", Form::Number),
                ("level-id", Form::Number),
                ("interop-constraints", Form::Hex),
                ("sprop-vps", Form::Base64),
                ("sprop-sps", Form::Base64),
                ("sprop-pps", Form::Base64),
                ("sprop-max-don-diff", Form::Number),
            ],
            Self::Mpeg4Video => &[("profile-level-id", Form::Number), ("config", Form::Hex)],
            Self::Mpeg4Audio => &[
                ("streamtype", Form::Number),
                ("profile-level-id", Form::Number),
                ("mode", Form::Word),
                ("config", Form::Hex),
                ("sizelength", Form::Number),
                ("indexlength", Form::Number),
                ("indexdeltalength", Form::Number),
                ("constantduration", Form::Number),
                ("object", Form::Number),
            ],
            Self::Mpeg4AudioLatm => &[
                ("profile-level-id", Form::Number),
                ("cpresent", Form::Number),
                ("object", Form::Number),
                ("config", Form::Hex),
            ],
            Self::Opus => &[
                ("stereo", Form::Number),
                ("sprop-stereo", Form::Number),
                ("useinbandfec", Form::Number),
                ("maxplaybackrate", Form::Number),
            ],
            Self::Jpeg
            | Self::Pcmu
            | Self::Pcma
            | Self::G722
            | Self::G726At16
            | Self::G726At24
            | Self::G726At32
            | Self::G726At40
            | Self::L16
            | Self::Metadata
            | Self::MetadataGzip
            | Self::MetadataExi
            | Self::MetadataExiExtended
            | Self::Unverified(_) => &[],
        }
    }
}

/// The form of a parameter's value.
#[derive(Debug, Clone, Copy)]
enum Form {
    Number,
    Hex,
    /// Three bytes (RFC 6184 §8.1).
    Profile,
    /// One or more, with commas between them.
    Base64,
    Word,
}

impl Form {
    /// Without the blanks that some put between several.
    fn tidied(self, value: &str) -> String {
        match self {
            Self::Base64 => value.replace(' ', ""),
            Self::Number | Self::Hex | Self::Profile | Self::Word => value.to_owned(),
        }
    }

    fn holds(self, value: &str) -> bool {
        let digits = |most: usize| value.len() <= most && value.bytes().all(|byte| byte.is_ascii_digit());
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b',');
        !value.is_empty()
            && value.len() <= SDP_PARAMETER_BYTES_MAX
            && match self {
                Self::Number => digits(10),
                Self::Hex => value.bytes().all(|byte| byte.is_ascii_hexdigit()),
                Self::Profile => value.len() == 6 && value.bytes().all(|byte| byte.is_ascii_hexdigit()),
                Self::Base64 => value.bytes().all(base64),
                Self::Word => {
                    value.len() <= 32
                        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                }
            }
    }
}

/// Why bytes are no description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum SdpError {
    #[error("the description is longer than {SDP_BYTES_MAX} bytes")]
    Long,
    #[error("the description has more than {SDP_LINES_MAX} lines")]
    Lines,
    #[error("the description has more than {SDP_MEDIA_MAX} streams")]
    Media,
    #[error("the description has no stream that is understood")]
    Nothing,
    #[error("the description has no stream in an encoding that passes, but {0}")]
    Encodings(String),
}

/// A stream as far as it has been read.
struct Draft {
    media: Media,
    types: Vec<u8>,
    maps: Vec<(u8, Codec, u32, Option<u8>)>,
    parameters: Vec<(u8, String)>,
    /// It is of another profile than RTP/AVP, or switched off.
    left_out: bool,
}

impl Description {
    /// Whether a client can be heard at one of its streams.
    pub fn has_back_channel(&self) -> bool {
        self.media.iter().any(|it| it.direction == Direction::Send)
    }

    /// Reads a camera's description. Streams whose encodings do not pass are not among those of the result.
    pub fn parse(bytes: &[u8], unknown: UnknownCodecs) -> Result<Self, SdpError> {
        if bytes.len() > SDP_BYTES_MAX {
            return Err(SdpError::Long);
        }
        let text = String::from_utf8_lossy(bytes);
        let mut description = Self::default();
        let mut drafts: Vec<Draft> = Vec::new();
        for (number, line) in text.split(['\n', '\r']).filter(|line| !line.is_empty()).enumerate() {
            if number >= SDP_LINES_MAX {
                return Err(SdpError::Lines);
            }
            match line.trim_end().split_once('=') {
                Some(("m", value)) => {
                    if drafts.len() >= SDP_MEDIA_MAX {
                        return Err(SdpError::Media);
                    }
                    // What follows one that is none of ours is about that, and not about the one before.
                    drafts.push(Draft::new(value).unwrap_or_else(|| {
                        description.forgiven += 1;
                        Draft::of(MediaKind::Application, Vec::new(), true)
                    }));
                }
                Some(("a", value)) => match drafts.last_mut() {
                    Some(draft) => draft.attribute(value),
                    None => description.attribute(value),
                },
                Some(("b", value)) => {
                    if let Some(draft) = drafts.last_mut() {
                        draft.media.bandwidth =
                            value.strip_prefix("AS:").and_then(|it| it.trim().parse().ok());
                    }
                }
                Some((letter, _)) if letter.len() == 1 => {}
                Some(_) | None => description.forgiven += 1,
            }
        }
        regroup(&mut drafts);
        for draft in drafts {
            description.media.extend(draft.finish(unknown, &mut description.left_out));
        }
        match (description.media.is_empty(), description.left_out.is_empty()) {
            (false, _) => Ok(description),
            (true, true) => Err(SdpError::Nothing),
            (true, false) => Err(SdpError::Encodings(description.left_out.join(", "))),
        }
    }

    /// The names of encodings that pass although they are not known here.
    pub fn unverified(&self) -> impl Iterator<Item = &str> {
        let formats = self.media.iter().flat_map(|media| &media.formats);
        formats.filter_map(|it| match &it.codec {
            Codec::Unverified(name) => Some(name.as_str()),
            _ => None,
        })
    }

    fn attribute(&mut self, value: &str) {
        if let Some(("control", address)) = value.split_once(':') {
            self.control = control(address);
        }
    }

    /// A description of the gateway's own: the streams in their order under `control` names of ours, at no
    /// address. `session` and `version` are the numbers of the origin line.
    pub fn write(&self, session: u64, version: u64, control: impl Fn(usize) -> String) -> String {
        let mut text = format!(
            "v=0\r\no=- {session} {version} IN IP4 0.0.0.0\r\ns=Cordon\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
        );
        for (number, media) in self.media.iter().enumerate() {
            let _ = write!(text, "{media}a=control:{}\r\n", control(number));
        }
        text
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} 0 RTP/AVP", self.kind.as_str())?;
        for format in &self.formats {
            write!(f, " {}", format.payload_type)?;
        }
        f.write_str("\r\n")?;
        if let Some(bandwidth) = self.bandwidth {
            write!(f, "b=AS:{bandwidth}\r\n")?;
        }
        for format in &self.formats {
            let Format { payload_type, codec, clock_rate, channels, parameters } = format;
            write!(f, "a=rtpmap:{payload_type} {}/{clock_rate}", written(*codec))?;
            if let Some(channels) = channels {
                write!(f, "/{channels}")?;
            }
            f.write_str("\r\n")?;
            for (place, (name, value)) in parameters.iter().enumerate() {
                match place {
                    0 => write!(f, "a=fmtp:{payload_type} {name}={value}")?,
                    _ => write!(f, ";{name}={value}")?,
                }
            }
            if !parameters.is_empty() {
                f.write_str("\r\n")?;
            }
        }
        if let Some(rate) = self.frame_rate {
            write!(f, "a=framerate:{}.{:03}\r\n", rate / 1_000, rate % 1_000)?;
        }
        if let Some(track) = &self.track {
            write!(f, "a=x-onvif-track:{track}\r\n")?;
        }
        f.write_str(match self.direction {
            Direction::Receive => "a=recvonly\r\n",
            Direction::Send => "a=sendonly\r\n",
        })
    }
}

/// Encodings are compared without regard to case, yet players differ in what they take.
fn written(codec: Codec) -> String {
    match codec {
        Codec::Mpeg4Audio => "mpeg4-generic".to_owned(),
        Codec::Opus => "opus".to_owned(),
        Codec::Metadata => "vnd.onvif.metadata".to_owned(),
        Codec::MetadataGzip | Codec::MetadataExi | Codec::MetadataExiExtended => {
            codec.as_str().to_ascii_lowercase()
        }
        other => other.as_str().to_owned(),
    }
}

/// A control address that can be gone by.
fn control(address: &str) -> Option<String> {
    let address = address.trim();
    let fits = address.len() <= SDP_CONTROL_BYTES_MAX && address.bytes().all(|byte| byte.is_ascii_graphic());
    (fits && !address.is_empty()).then(|| address.to_owned())
}

impl Draft {
    /// `video 0 RTP/AVP 96 97`; none if it is no stream.
    fn new(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let kind = match words.next()? {
            "video" => MediaKind::Video,
            "audio" => MediaKind::Audio,
            "application" => MediaKind::Application,
            _ => return None,
        };
        let _port = words.next()?;
        let profile = words.next()?;
        let types: Vec<u8> =
            words.filter_map(|word| word.parse().ok()).filter(|it| *it < 128).take(16).collect();
        Some(Self::of(kind, types, !matches!(profile, "RTP/AVP" | "RTP/AVP/TCP" | "RTP/AVP/UDP")))
    }

    /// One of these payload types, of which nothing more is known.
    fn of(kind: MediaKind, types: Vec<u8>, left_out: bool) -> Self {
        let media = Media {
            kind,
            formats: Vec::new(),
            control: String::new(),
            direction: Direction::Receive,
            bandwidth: None,
            frame_rate: None,
            track: None,
        };
        Self { media, types, maps: Vec::new(), parameters: Vec::new(), left_out }
    }

    fn attribute(&mut self, value: &str) {
        let (name, value) = value.split_once(':').unwrap_or((value, ""));
        match name.trim() {
            "control" => self.media.control = control(value).unwrap_or_default(),
            // Cameras that say so of pictures mean that they send them; of sound it is what they hear.
            "sendonly" if self.media.kind == MediaKind::Audio => self.media.direction = Direction::Send,
            "inactive" => self.left_out = true,
            "rtpmap" => self.maps.extend(map(value)),
            "fmtp" => {
                if let Some((payload_type, rest)) = numbered(value) {
                    self.parameters.push((payload_type, rest.to_owned()));
                }
            }
            "framerate" => self.media.frame_rate = thousandths(value.trim()),
            "x-onvif-track" => {
                let name = value.trim();
                // A dot would be room for an address.
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
                self.media.track =
                    (!name.is_empty() && name.len() <= 64 && name.bytes().all(fits)).then(|| name.to_owned());
            }
            _ => {}
        }
    }

    /// The stream, if any of its payload types passes; what does not is told.
    fn finish(mut self, unknown: UnknownCodecs, left_out: &mut Vec<String>) -> Option<Media> {
        if self.left_out {
            return None;
        }
        for payload_type in &self.types {
            if self.media.formats.iter().any(|it| it.payload_type == *payload_type) {
                continue;
            }
            let fixed = Codec::of_static(*payload_type);
            let mapped = || self.maps.iter().filter(|it| it.0 == *payload_type).map(|it| (it.1, it.2, it.3));
            // Of several the one that the type stands for anyway.
            let agrees = mapped().find(|it| fixed.is_some_and(|fixed| fixed.0 == it.0));
            let known = agrees.or_else(|| mapped().next()).or(fixed);
            let Some((codec, clock_rate, channels)) = known.filter(|it| it.0.passes(&self.media, unknown))
            else {
                let name = known.as_ref().map(|it| it.0.as_str().to_owned());
                let name = name.unwrap_or_else(|| format!("payload type {payload_type}"));
                if left_out.len() < SDP_LEFT_OUT_MAX && !left_out.contains(&name) {
                    left_out.push(name);
                }
                continue;
            };
            let texts = self.parameters.iter().filter(|(of, _)| of == payload_type);
            let parameters = parameters(codec, texts.map(|(_, text)| text.as_str()));
            let format = Format { payload_type: *payload_type, codec, clock_rate, channels, parameters };
            self.media.formats.push(format);
        }
        (!self.media.formats.is_empty()).then_some(self.media)
    }
}

/// Some servers put the parameters of one stream below another. Those of a payload type that the stream above them does
/// not have belong to the one that has it, if that is one.
fn regroup(drafts: &mut [Draft]) {
    let mut strays = Vec::new();
    for draft in drafts.iter_mut().filter(|it| !it.left_out) {
        let types = &draft.types;
        strays.extend(draft.parameters.extract_if(.., |(of, _)| !types.contains(of)));
    }
    for (of, text) in strays {
        let mut having = drafts.iter_mut().filter(|it| it.types.contains(&of));
        if let (Some(draft), None) = (having.next(), having.next()) {
            draft.parameters.push((of, text));
        }
    }
}

/// `96 the rest`.
fn numbered(value: &str) -> Option<(u8, &str)> {
    let (number, rest) = value.trim().split_once([' ', '\t'])?;
    number.parse().ok().filter(|it| *it < 128).map(|it| (it, rest.trim()))
}

/// `96 H264/90000` or `97 mpeg4-generic/16000/2`.
fn map(value: &str) -> Option<(u8, Codec, u32, Option<u8>)> {
    let (payload_type, rest) = numbered(value)?;
    let mut parts = rest.split('/').map(str::trim);
    let codec = Codec::of_name(parts.next()?)?;
    let clock_rate = parts.next()?.parse().ok().filter(|it| (1..=1_000_000).contains(it))?;
    let channels = parts.next().and_then(|it| it.parse().ok()).filter(|it| (1..=8).contains(it));
    Some((payload_type, codec, clock_rate, channels))
}

/// The parameters of a codec that are known and of the right form; the first of a name, on whatever line.
fn parameters<'a>(codec: Codec, texts: impl Iterator<Item = &'a str>) -> Vec<(&'static str, String)> {
    let mut found: Vec<(&'static str, String)> = Vec::new();
    for part in texts.flat_map(|it| it.split(';')) {
        let Some((name, value)) = part.split_once('=') else { continue };
        let name = name.trim();
        let known = codec.parameters().iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some((known, form)) = known else { continue };
        let value = form.tidied(value.trim());
        if form.holds(&value) && !found.iter().any(|(name, _)| name == known) {
            found.push((known, value));
        }
    }
    found
}

/// `25` or `12.5`, in thousandths.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let whole: u32 = whole.parse().ok().filter(|it| *it <= 1_000)?;
    let digits = rest.get(..rest.len().min(3))?;
    let part: u32 = if digits.is_empty() { 0 } else { format!("{digits:0<3}").parse().ok()? };
    Some(whole * 1_000 + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMERA: &str = "v=0\no=- 1 1 IN IP4 192.168.1.64\ns=Media Presentation\ne=NONE\nb=AS:5050\nt=0 0\n\
        a=control:rtsp://192.168.1.64/Streaming/channels/101/\n\
        m=video 0 RTP/AVP 96\nc=IN IP4 0.0.0.0\nb=AS:5000\na=recvonly\n\
        a=control:rtsp://192.168.1.64/Streaming/channels/101/trackID=1\n\
        a=rtpmap:96 H264/90000\n\
        a=fmtp:96 profile-level-id=420029; packetization-mode=1; sprop-parameter-sets=Z00AKpY1QPAET8s3,aO48gA==; x=y\n\
        a=framerate:12.5\na=Media_header:MEDIAINFO=494D4B48;\n\
        m=audio 0 RTP/AVP 8\na=control:trackID=2\n\
        m=application 0 RTP/AVP 107\na=rtpmap:107 vnd.onvif.metadata/90000\na=control:trackID=3\n\
        m=audio 0 RTP/AVP 0\na=sendonly\na=control:back\n\
        m=video 0 RAW/RAW/UDP 33\na=control:ts\n";

    #[test]
    fn a_description_is_written_anew() {
        let description = Description::parse(CAMERA.as_bytes(), UnknownCodecs::Refused).unwrap();
        assert_eq!(description.control.as_deref(), Some("rtsp://192.168.1.64/Streaming/channels/101/"));
        let controls: Vec<_> = description.media.iter().map(|it| it.control.as_str()).collect();
        assert_eq!(
            controls,
            ["rtsp://192.168.1.64/Streaming/channels/101/trackID=1", "trackID=2", "trackID=3", "back"]
        );
        let written = description.write(7, 8, |number| format!("stream={number}"));
        let expected = "v=0\r\no=- 7 8 IN IP4 0.0.0.0\r\ns=Cordon\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n\
            m=video 0 RTP/AVP 96\r\nb=AS:5000\r\na=rtpmap:96 H264/90000\r\n\
            a=fmtp:96 profile-level-id=420029;packetization-mode=1;sprop-parameter-sets=Z00AKpY1QPAET8s3,aO48gA==\r\n\
            a=framerate:12.500\r\na=recvonly\r\na=control:stream=0\r\n\
            m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=recvonly\r\na=control:stream=1\r\n\
            m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=recvonly\r\na=control:stream=2\r\n\
            m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendonly\r\na=control:stream=3\r\n";
        assert_eq!(written, expected);
        let again = Description::parse(written.as_bytes(), UnknownCodecs::Refused).unwrap();
        assert_eq!(again.write(7, 8, |number| format!("stream={number}")), written);
    }

    #[test]
    fn nothing_but_known_values_survives() {
        let evil = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
            a=fmtp:96 packetization-mode=1 http://10.0.0.1;profile-level-id=zz;sprop-parameter-sets=http://10.0.0.1\r\n\
            a=framerate:10.0.0.1\r\na=x-onvif-track:10.0.0.1/x\r\na=control:http://10.0.0.1/\u{7f}\r\n";
        let description = Description::parse(evil.as_bytes(), UnknownCodecs::Refused).unwrap();
        let written = description.write(1, 1, |_| "stream=0".into());
        assert!(!written.contains("10.0.0.1"), "{written}");
        assert!(!written.contains("fmtp"), "{written}");
    }

    #[test]
    fn of_several_lines_of_parameters_each_name_is_told_once() {
        let twice = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 profile-level-id=840058; \
            packetization-m90000\na=fmtp:96 profile-level-id=420029; packetization-mode=1\n";
        let written =
            Description::parse(twice.as_bytes(), UnknownCodecs::Refused)
                .unwrap()
                .write(1, 1, |_| "stream=0".into());
        let lines: Vec<_> = written.lines().filter(|it| it.starts_with("a=fmtp")).collect();
        assert_eq!(lines, ["a=fmtp:96 profile-level-id=840058;packetization-mode=1"]);
    }

    #[test]
    fn what_cameras_say_of_one_stream_is_not_taken_for_another() {
        let said = |text: &str| {
            let description = Description::parse(text.as_bytes(), UnknownCodecs::Refused).unwrap();
            let one = |it: &Media| {
                let format = &it.formats[0];
                (it.control.clone(), format.codec, format.parameters.len())
            };
            (description.media.iter().map(one).collect::<Vec<_>>(), description.forgiven)
        };
        let media = |control: &str, codec, parameters| (control.to_owned(), codec, parameters);
        // TP-Link's, Hanwha's and Canon's kinds of streams.
        for unknown in
            ["application/TP-LINK 0 RTP/AVP smart/1/90000", "text 0 RTP/AVP 103", "vana", "meta 0 RTP/AVP 8"]
        {
            let text = format!(
                "m=audio 0 RTP/AVP 8\na=control:track2\nm={unknown}\na=control:track3\na=rtpmap:8 PCMU/8000\n\
                 a=sendonly\nb=AS:9\nm=application 0 RTP/AVP 107\na=rtpmap:107 vnd.onvif.metadata/90000\n\
                 a=control:track4\n"
            );
            let expected = vec![media("track2", Codec::Pcma, 0), media("track4", Codec::Metadata, 0)];
            assert_eq!(said(&text), (expected, 1), "{unknown}");
        }
        let h264 = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:track0\n";
        let below =
            "a=fmtp:96 packetization-mode=1;profile-level-id=64001F;sprop-parameter-sets=Z0IA, aM48\n";
        let sound = "m=audio 0 RTP/AVP 8\na=control:track1\n";
        let expected = vec![media("track0", Codec::H264, 3), media("track1", Codec::Pcma, 0)];
        assert_eq!(said(&format!("{h264}{sound}{below}")), (expected.clone(), 0), "below the sound");
        let twice = format!("{h264}{sound}{}{below}", h264.replace("track0", "track2"));
        assert_eq!(said(&twice).0[2], media("track2", Codec::H264, 3));
        assert_eq!(
            said(&twice).0[0],
            media("track0", Codec::H264, 0),
            "of two, the one that it stands below"
        );
        let strayed = format!("{h264}{}{sound}{below}", h264.replace("track0", "track2"));
        assert_eq!(said(&strayed).0[0], media("track0", Codec::H264, 0), "of two that stand above, none");
        let odd = below.replace("64001F", "5046314").replace("Z0IA, aM48", "Z0IA, aM 48");
        let read = Description::parse(format!("{h264}{odd}").as_bytes(), UnknownCodecs::Refused).unwrap();
        let written = read.write(1, 1, |_| "x".into());
        assert!(
            written.contains("a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0IA,aM48\r\n"),
            "{written}"
        );
        // A back channel of Uniview's.
        let back = "m=audio 0 RTP/AVP 0\na=control:b\na=rtpmap:0 PCMA/8000\na=rtpmap:0 PCMU/8000\n";
        assert_eq!(said(back).0, [media("b", Codec::Pcmu, 0)]);
        assert_eq!(said(&back.replace("a=rtpmap:0 PCMU/8000\n", "")).0, [media("b", Codec::Pcma, 0)]);
    }

    #[test]
    fn bounds_hold() {
        let media = "m=video 0 RTP/AVP 26\n";
        assert_eq!(
            Description::parse(&vec![b'a'; SDP_BYTES_MAX + 1], UnknownCodecs::Refused),
            Err(SdpError::Long)
        );
        assert_eq!(
            Description::parse("a=x\n".repeat(SDP_LINES_MAX + 1).as_bytes(), UnknownCodecs::Refused),
            Err(SdpError::Lines)
        );
        assert_eq!(
            Description::parse(media.repeat(SDP_MEDIA_MAX + 1).as_bytes(), UnknownCodecs::Refused),
            Err(SdpError::Media)
        );
        assert_eq!(
            Description::parse(media.repeat(SDP_MEDIA_MAX).as_bytes(), UnknownCodecs::Refused)
                .unwrap()
                .media
                .len(),
            SDP_MEDIA_MAX
        );
        for nothing in ["", "v=0\r\n", "m=video 0 RTP/AVP\r\n", "m=text 0 RTP/AVP 0\r\n"] {
            assert_eq!(
                Description::parse(nothing.as_bytes(), UnknownCodecs::Refused),
                Err(SdpError::Nothing),
                "{nothing}"
            );
        }
    }

    #[test]
    fn encodings_that_are_not_known_pass_by_order_and_are_told() {
        use UnknownCodecs::{Passed, Refused};
        let text = "m=video 0 RTP/AVP 96 97\na=rtpmap:96 AV1/90000\na=fmtp:96 profile=10.0.0.1\na=rtpmap:97 H264/90000\n\
            m=audio 0 RTP/AVP 14 98 99\na=rtpmap:98 10.0.0.1/8000\n\
            m=application 0 RTP/AVP 100\na=rtpmap:100 vnd.onvif.metadata.exi.onvif/90000\n\
            m=application 0 RTP/AVP 101\na=rtpmap:101 x-own/90000\n\
            m=audio 0 RTP/AVP 102\na=rtpmap:102 EVS/16000\na=sendonly\n\
            m=video 0 RTP/AVP 103\na=rtpmap:103 VP9/90000\na=inactive\n";
        let read = |unknown| Description::parse(text.as_bytes(), unknown).unwrap();
        let exi = Codec::MetadataExi.as_str();
        let (refused, passed) = (read(Refused), read(Passed));
        let left_out = ["AV1", "MPA", "payload type 98", "payload type 99", exi, "x-own", "EVS"];
        assert_eq!(refused.left_out, left_out);
        assert_eq!(refused.unverified().count(), 0);
        let written = |it: &Description| {
            let text = it.write(1, 1, |number| format!("stream={number}"));
            text.split_once("a=control:*\r\n").unwrap().1.to_owned()
        };
        let video = "a=rtpmap:97 H264/90000\r\na=recvonly\r\na=control:stream=0\r\n";
        assert_eq!(written(&refused), format!("m=video 0 RTP/AVP 97\r\n{video}"));
        assert_eq!(passed.left_out, ["payload type 98", "payload type 99", exi, "x-own", "EVS"]);
        assert_eq!(passed.unverified().collect::<Vec<_>>(), ["AV1", "MPA"]);
        let sound = "m=audio 0 RTP/AVP 14\r\na=rtpmap:14 MPA/90000\r\na=recvonly\r\na=control:stream=1\r\n";
        let expected = format!("m=video 0 RTP/AVP 96 97\r\na=rtpmap:96 AV1/90000\r\n{video}{sound}");
        assert_eq!(written(&passed), expected);
        let alone = "m=video 0 RTP/AVP 96\na=rtpmap:96 AV1/90000\n";
        let error = Description::parse(alone.as_bytes(), Refused).unwrap_err();
        let said = "the description has no stream in an encoding that passes, but AV1";
        assert_eq!((error.to_string().as_str(), error), (said, SdpError::Encodings("AV1".into())));
        let many: String = (60..80).map(|it| format!("m=video 0 RTP/AVP {it}\n")).collect();
        let Err(SdpError::Encodings(told)) = Description::parse(many.as_bytes(), Passed) else {
            panic!("{many}")
        };
        assert_eq!(told.split(", ").count(), SDP_LEFT_OUT_MAX);
    }
}
