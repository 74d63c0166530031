//! What a `[[camera]]` says of its streams.

use super::{raw, reader::Reader, secure::over_tls};
use crate::{
    inventory::{StreamBegin, StreamWays, VendorVerdict},
    rtsp::UnknownCodecs,
};

impl Reader<'_> {
    pub(super) fn stream_ways(&mut self, raw: &raw::Camera, vendor: &VendorVerdict) -> StreamWays {
        StreamWays {
            unknown_codecs: self.unknown_codecs(raw.unknown_codecs.as_ref(), vendor),
            begin: self.stream_begin(raw.streams_begin.as_ref()),
            plain: self.plain_streams(raw),
            secure_port: self.secure_stream_port(raw),
        }
    }

    fn stream_begin(&mut self, raw: Option<&raw::Text>) -> StreamBegin {
        let Some(raw) = raw else { return StreamBegin::default() };
        match raw.get_ref().as_str() {
            "next-key-frame" => StreamBegin::NextKeyFrame,
            "last-key-frame" => StreamBegin::LastKeyFrame,
            "asked-key-frame" => StreamBegin::AskedKeyFrame,
            other => {
                let what = format!("`{}` is no choice of streams_begin", other.escape_debug());
                let remedy = "write \"next-key-frame\", \"last-key-frame\" or \"asked-key-frame\"";
                self.error(raw.span(), &what, remedy);
                StreamBegin::default()
            }
        }
    }

    fn plain_streams(&mut self, raw: &raw::Camera) -> bool {
        let Some(plain) = &raw.plain_streams else { return false };
        if !over_tls(raw) {
            let what = "the streams of a camera that is not reached over TLS are in clear anyway";
            self.error(plain.span(), what, "leave plain_streams out, or set tls = true");
        }
        *plain.get_ref()
    }

    fn secure_stream_port(&mut self, raw: &raw::Camera) -> Option<u16> {
        let port = raw.rtsps_port.as_ref()?;
        let is_plain = raw.plain_streams.as_ref().is_some_and(|it| *it.get_ref());
        if *port.get_ref() == 0 {
            self.error(
                port.span(),
                "0 is no port",
                "write the port of the camera's streams over TLS, often 322",
            );
        } else if !over_tls(raw) || is_plain {
            let what = "the streams of this camera are had in clear";
            self.error(port.span(), what, "leave rtsps_port out, or set tls = true without plain_streams");
        }
        Some(*port.get_ref())
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
