//! How the packets of a viewer's streams go: on channels of the connection, or in datagrams.

use bytes::{Bytes, BytesMut};

use super::datagrams::Pair;
use crate::rtsp::{FRAME_HEAD_BYTES, Transport};

/// How the packets of each stream go, by its number: all in one manner.
pub(super) enum Ways {
    /// On these channels of the connection.
    Interleaved(Vec<(usize, (u8, u8))>),
    /// In datagrams.
    Datagrams(Vec<(usize, Pair)>),
}

/// How the packets of one stream go.
pub(super) enum Way {
    Interleaved((u8, u8)),
    /// To these ports of the viewer.
    Datagrams((u16, u16), Pair),
}

impl Way {
    /// No stream that goes in this manner.
    pub(super) fn none(&self) -> Ways {
        match self {
            Self::Interleaved(_) => Ways::Interleaved(Vec::new()),
            Self::Datagrams(..) => Ways::Datagrams(Vec::new()),
        }
    }

    /// As the viewer is told.
    pub(super) fn transport(&self) -> Transport {
        match self {
            Self::Interleaved(channels) => Transport::interleaved(*channels),
            Self::Datagrams(ports, pair) => Transport::datagrams(*ports, pair.ports().unwrap_or_default()),
        }
    }
}

impl Ways {
    /// Whether no other stream has one of these channels.
    pub(super) fn are_free(&self, number: usize, (rtp, rtcp): (u8, u8)) -> bool {
        let Self::Interleaved(channels) = self else { return true };
        let others = channels.iter().filter(|(other, _)| *other != number);
        !others.flat_map(|(_, pair)| [pair.0, pair.1]).any(|taken| taken == rtp || taken == rtcp)
    }

    /// Lets a stream go this way, which is of the manner of all.
    pub(super) fn set(&mut self, number: usize, way: Way) {
        match (self, way) {
            (Self::Interleaved(channels), Way::Interleaved(own)) => put(channels, number, own),
            (Self::Datagrams(pairs), Way::Datagrams(_, own)) => put(pairs, number, own),
            _ => {}
        }
    }

    /// The numbers of the streams that were set up.
    pub(super) fn numbers(&self) -> Vec<usize> {
        match self {
            Self::Interleaved(channels) => channels.iter().map(|(number, _)| *number).collect(),
            Self::Datagrams(pairs) => pairs.iter().map(|(number, _)| *number).collect(),
        }
    }

    /// The channel of a stream's packets, if it goes on the connection.
    pub(super) fn channel(&self, number: usize) -> Option<u8> {
        let Self::Interleaved(channels) = self else { return None };
        channels.iter().find(|(it, _)| *it == number).map(|(_, (rtp, _))| *rtp)
    }

    /// Whether the viewer has reported in a datagram since this was asked last.
    pub(super) fn reported(&self) -> bool {
        match self {
            Self::Interleaved(_) => false,
            // Each is to be asked.
            Self::Datagrams(pairs) => pairs.iter().filter(|(_, pair)| pair.reported()).count() > 0,
        }
    }
}

fn put<T>(all: &mut Vec<(usize, T)>, number: usize, own: T) {
    all.retain(|(other, _)| *other != number);
    let at = all.partition_point(|(other, _)| *other < number);
    all.insert(at, (number, own));
}

/// Whether each of so many streams goes on the channels that runs have it on.
pub(super) fn are_their_own(channels: &[(usize, (u8, u8))], streams: usize) -> bool {
    let alike = |(place, (number, (rtp, rtcp))): (usize, &(usize, (u8, u8)))| {
        place == *number && usize::from(*rtp) == 2 * number && usize::from(*rtcp) == 2 * number + 1
    };
    channels.len() == streams && channels.iter().enumerate().all(alike)
}

/// The frames of a run that a viewer wants, on its channels.
pub(super) fn translated(run: &Bytes, channels: &[(usize, (u8, u8))]) -> Bytes {
    let mut translated = BytesMut::with_capacity(run.len());
    let mut rest = &run[..];
    while let Some([_, channel, high, low]) = rest.first_chunk::<FRAME_HEAD_BYTES>().copied() {
        let length = FRAME_HEAD_BYTES + usize::from(u16::from_be_bytes([high, low]));
        let Some((frame, more)) = rest.split_at_checked(length) else { break };
        let (stream, rtcp) = (usize::from(channel / 2), channel % 2 == 1);
        if let Some((_, pair)) = channels.iter().find(|(number, _)| *number == stream) {
            translated.extend_from_slice(&[b'$', if rtcp { pair.1 } else { pair.0 }, high, low]);
            translated.extend_from_slice(frame.get(FRAME_HEAD_BYTES..).unwrap_or_default());
        }
        rest = more;
    }
    translated.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_gets_its_streams_on_its_channels() {
        let run = Bytes::from_static(b"$\x00\x00\x01a$\x03\x00\x02bc$\x02\x00\x00$\x05\x00\x01x");
        assert_eq!(translated(&run, &[(1, (9, 8))]), &b"$\x08\x00\x02bc$\x09\x00\x00"[..]);
        assert_eq!(translated(&run, &[(0, (0, 1)), (2, (4, 6))]), &b"$\x00\x00\x01a$\x06\x00\x01x"[..]);
        assert_eq!(translated(&Bytes::from_static(b"$\x00\x00\x09cut"), &[(0, (0, 1))]), &b""[..]);
    }
}
