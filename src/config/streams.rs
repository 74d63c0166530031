//! What a `[[camera]]` says of its streams.

use super::{raw, reader::Reader};
use crate::{
    inventory::{StreamBegin, StreamWays, VendorVerdict},
    rtsp::UnknownCodecs,
};

impl Reader<'_> {
    pub(super) fn stream_ways(&mut self, raw: &raw::Camera, vendor: &VendorVerdict) -> StreamWays {
        StreamWays {
            unknown_codecs: self.unknown_codecs(raw.unknown_codecs.as_ref(), vendor),
            begin: self.stream_begin(raw.streams_begin.as_ref()),
        }
    }

    fn stream_begin(&mut self, raw: Option<&raw::Text>) -> StreamBegin {
        let Some(raw) = raw else { return StreamBegin::default() };
        match raw.get_ref().as_str() {
            "next-key-frame" => StreamBegin::NextKeyFrame,
            "last-key-frame" => StreamBegin::LastKeyFrame,
            other => {
                let what = format!("`{}` is no choice of streams_begin", other.escape_debug());
                self.error(raw.span(), &what, "write \"next-key-frame\" or \"last-key-frame\"");
                StreamBegin::default()
            }
        }
    }

    fn unknown_codecs(&mut self, raw: Option<&raw::Text>, vendor: &VendorVerdict) -> Option<UnknownCodecs> {
        let raw = raw?;
        match raw.get_ref().as_str() {
            "refuse" => Some(UnknownCodecs::Refused),
            "pass" => {
                if vendor.class.is_restricted() {
                    let what = "encodings that nobody here can check pass at a restricted camera";
                    self.warn(raw.span(), what, "leave unknown_codecs out, unless they are needed");
                }
                Some(UnknownCodecs::Passed)
            }
            other => {
                let what = format!("`{}` is no choice of unknown_codecs", other.escape_debug());
                self.error(raw.span(), &what, "write \"refuse\" or \"pass\"");
                None
            }
        }
    }
}
