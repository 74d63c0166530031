//! How the gateway has a camera's streams.

use super::VendorVerdict;
use crate::rtsp::UnknownCodecs;

/// What the owner says of a camera's streams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamWays {
    /// What becomes of pictures and sound in encodings that are not known here; none if it goes by the maker.
    pub unknown_codecs: Option<UnknownCodecs>,
    /// Where a new viewer begins.
    pub begin: StreamBegin,
    /// Of a camera that is reached over TLS: its streams are had in clear.
    pub plain: bool,
    /// Of one whose streams go over TLS, too: the port where that is so, whatever it names.
    pub secure_port: Option<u16>,
}

/// Where a new viewer of a live stream begins, if others watch already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum StreamBegin {
    /// At the next key frame.
    #[default]
    NextKeyFrame,
    /// At the last one, if not too much has come since.
    LastKeyFrame,
    /// At the next one, which the camera is asked for.
    AskedKeyFrame,
}

impl StreamWays {
    /// What becomes of pictures and sound in encodings that are not known here. Nobody can look into them, so that they
    /// are left out at cameras of makers that are not trusted, unless the owner says otherwise.
    pub fn unknown_codecs(&self, vendor: &VendorVerdict) -> UnknownCodecs {
        let usual = if vendor.class.is_restricted() { UnknownCodecs::Refused } else { UnknownCodecs::Passed };
        self.unknown_codecs.unwrap_or(usual)
    }
}
