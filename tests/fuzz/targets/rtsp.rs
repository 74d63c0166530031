//! RTSP of both sides, in pieces; what is asked of recordings; session descriptions; packets both ways; metadata.
#![no_main]

use std::{sync::OnceLock, time::Duration};

use bytes::BytesMut;
use cordon::{
    hatch::{AddressRules, Packets, Screen, Talk},
    rtsp::{Codec, Decoder, Description, Peer, Playback, Received, RtpHeader, Ssrc, UnknownCodecs},
    schema::Tables,
};
use libfuzzer_sys::fuzz_target;

/// All that bytes hold, if they come in pieces of this size; none if they are refused.
fn read(peer: Peer, bytes: &[u8], piece: usize) -> Option<Vec<Received>> {
    let (mut decoder, mut buffer, mut found) = (Decoder::new(peer), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        while let Some(received) = decoder.next(&mut buffer).ok()? {
            found.push(received);
        }
    }
    Some(found)
}

fn screen() -> &'static Screen {
    static SCREEN: OnceLock<Screen> = OnceLock::new();
    SCREEN.get_or_init(|| {
        let tables = Tables::embedded().expect("the embedded tables load");
        Screen::new(&tables, AddressRules::default())
    })
}

/// What is asked of a recording is written in lines of its own, and says the same when it is read again.
fn asked_anew(received: &Received) {
    let Received::Request(request) = received else { return };
    let Ok(playback) = Playback::of(&request.fields) else { return };
    let fields: String =
        playback.fields().iter().map(|(field, value)| format!("{}: {value}\r\n", field.as_str())).collect();
    let text = format!("PLAY rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n{fields}\r\n");
    let again = Decoder::new(Peer::Client).next(&mut BytesMut::from(text.as_bytes()));
    let Ok(Some(Received::Request(again))) = again else { panic!("{text}") };
    assert_eq!(Playback::of(&again.fields), Ok(playback), "{text}");
}

fuzz_target!(|data: &[u8]| {
    let Some((first, data)) = data.split_first() else { return };
    let piece = usize::from(*first) + 1;
    for peer in [Peer::Client, Peer::Camera] {
        if let Some(found) = read(peer, data, usize::MAX) {
            found.iter().for_each(asked_anew);
            assert_eq!(read(peer, data, piece), Some(found), "pieces make no difference");
        }
    }
    if let Ok(description) = Description::parse(data, UnknownCodecs::Passed) {
        let written = description.write(1, 1, |number| format!("stream={number}"));
        let again = Description::parse(written.as_bytes(), UnknownCodecs::Passed).expect("what is written can be read");
        assert_eq!(again.write(1, 1, |number| format!("stream={number}")), written, "and says the same");
        let media: Vec<_> = description.media.iter().map(|it| (it, Ssrc(1))).collect();
        let mut packets = Packets::new(&media);
        packets.on_channels(0, (0, 1));
        let (mut buffer, before) = (BytesMut::from(data), data.len());
        let passed: usize = packets.take(&mut buffer).iter().map(|it| it.bytes.len()).sum();
        assert!(passed + buffer.len() <= before + 64 * before, "reports of ours are short");
    }
    let text = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 0\n";
    let description = Description::parse(text.as_bytes(), UnknownCodecs::Passed).expect("a plain description");
    let media: Vec<_> = description.media.iter().map(|it| (it, Ssrc(7))).collect();
    let mut packets = Packets::new(&media);
    packets.on_channels(0, (0, 1));
    packets.on_channels(1, (2, 3));
    for segment in packets.take(&mut BytesMut::from(data)) {
        assert!(segment.units.iter().all(|unit| segment.bytes.get(unit.at) == Some(&b'$')), "units begin with frames");
    }
    let mut packets = Packets::new(&media);
    packets.replay(1, 2);
    packets.on_channels(0, (0, 1));
    for segment in packets.take(&mut BytesMut::from(data)) {
        let frame = segment.bytes.get(4..).expect("whole frames");
        assert!(frame.len() < 12 || frame[0] >> 6 == 2, "packets of version 2");
    }
    let mut talk = Talk::new(&description.media[1], Ssrc(9)).expect("sound");
    if let Ok(anew) = talk.judge(data, Duration::ZERO) {
        let header = RtpHeader::parse(&anew).expect("what is made can be read");
        assert!(header.ssrc == Ssrc(9) && header.extension.is_none() && header.payload_type == 0);
    }
    if let Ok(anew) = screen().judge(Codec::Metadata, data) {
        assert!(anew.starts_with(b"<?xml version=\"1.0\""), "what passes is of our writing");
    }
    let _ = screen().judge(Codec::MetadataGzip, data);
});
