//! RTSP/1.0 without sockets: messages, interleaved frames, session descriptions, RTP and RTCP headers.
//!
//! Both sides of the gateway use it: what a client says is read strictly, what a camera says tolerantly, and what
//! is written is made of values, never of what was read.

mod decode;
mod encoding;
mod fields;
mod message;
mod playback;
mod rtp;
mod sdp;
#[cfg(test)]
mod tests;

pub use decode::{DecodeError, Decoder, FRAME_HEAD_BYTES, Peer, Received, write_frame};
pub use encoding::{EncodingName, UnknownCodecs};
pub use fields::{BACKCHANNEL_FEATURE, Begins, Lower, Session, Transport};
pub use message::{Field, Fields, Method, Request, Response, Status, WriteError, Writer};
pub use playback::{Frames, Playback, PlaybackError, REPLAY_FEATURE, Range, Rate};
pub use rtp::{
    JPEG_EXTENSIONS, REPLAY_EXTENSION, Reception, Rtcp, RtcpError, RtpError, RtpHeader, SenderReport, Ssrc,
    receiver_report, write_goodbye,
};
pub use sdp::{Codec, Description, Direction, Format, Media, MediaKind, SdpError};
