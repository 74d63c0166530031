//! RTSP of both sides, in pieces; session descriptions; packets.
#![no_main]

use bytes::BytesMut;
use cordon::{
    hatch::Packets,
    rtsp::{Decoder, Description, Peer, Received, Ssrc},
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

fuzz_target!(|data: &[u8]| {
    let Some((first, data)) = data.split_first() else { return };
    let piece = usize::from(*first) + 1;
    for peer in [Peer::Client, Peer::Camera] {
        if let Some(found) = read(peer, data, usize::MAX) {
            assert_eq!(read(peer, data, piece), Some(found), "pieces make no difference");
        }
    }
    if let Ok(description) = Description::parse(data) {
        let written = description.write(1, 1, |number| format!("stream={number}"));
        let again = Description::parse(written.as_bytes()).expect("what is written can be read");
        assert_eq!(again.write(1, 1, |number| format!("stream={number}")), written, "and says the same");
        let media: Vec<_> = description.media.iter().map(|it| (it, Ssrc(1))).collect();
        let mut packets = Packets::new(&media);
        packets.on_channels(0, (0, 1));
        let (mut buffer, before) = (BytesMut::from(data), data.len());
        let passed: usize = packets.take(&mut buffer).iter().map(|it| it.bytes.len()).sum();
        assert!(passed + buffer.len() <= before + 64 * before, "reports of ours are short");
    }
    let text = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 0\n";
    let description = Description::parse(text.as_bytes()).expect("a plain description");
    let media: Vec<_> = description.media.iter().map(|it| (it, Ssrc(7))).collect();
    let mut packets = Packets::new(&media);
    packets.on_channels(0, (0, 1));
    packets.on_channels(1, (2, 3));
    for segment in packets.take(&mut BytesMut::from(data)) {
        assert!(segment.units.iter().all(|unit| segment.bytes.get(unit.at) == Some(&b'$')), "units begin with frames");
    }
});
