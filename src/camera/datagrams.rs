//! Packets of a camera that come in datagrams (RFC 2326 §12.39): from its address, and from the port that the first came
//! from, which is not always the one it names.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    task::{Context, Poll},
};

use bytes::BufMut;
use rustix::net::{SendFlags, send, sendto, sockopt::set_socket_recv_buffer_size};
use tokio::net::UdpSocket;

use super::{error::Failure, stream::exactly};
use crate::{
    clock::Clock,
    hatch::{Packets, Segment},
    isolation::Dialler,
    limits::{
        RTP_PACKET_BYTES_MAX, STREAM_DATAGRAMS_AT_ONCE_MAX, STREAM_READ_BYTES, STREAM_RECEIVE_BUFFER_BYTES,
    },
    rtsp::{FRAME_HEAD_BYTES, Ssrc},
};

/// The sockets of a session's streams: for each, by its number, that of RTP and that of RTCP.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    sockets: Vec<(u8, [Socket; 2])>,
    /// What came, as if it had come on channels of a connection.
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Socket {
    socket: UdpSocket,
    /// Where packets are to come from: port zero as long as it is not known.
    camera: SocketAddr,
    /// Whether nobody else is heard any more.
    pinned: bool,
}

impl Datagrams {
    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Sockets for the stream of this number, at this address of the gateway's: their ports. Its channels are those
    /// that it would have on a connection; another's before it with this number is closed.
    pub(super) async fn open(
        &mut self,
        number: u8,
        dialler: &Dialler,
        (here, camera): (IpAddr, IpAddr),
    ) -> Result<(u16, u16), Failure> {
        let (rtp, rtcp) = dialler.datagrams(here).await.map_err(|error| {
            tracing::warn!(%error, "no sockets could be had for a camera's stream");
            Failure::NoSocket
        })?;
        // Best effort: a key frame comes all at once.
        let _ = set_socket_recv_buffer_size(&rtp, STREAM_RECEIVE_BUFFER_BYTES);
        let port =
            |socket: &UdpSocket| socket.local_addr().map(|it| it.port()).map_err(|_| Failure::NoSocket);
        let ports = (port(&rtp)?, port(&rtcp)?);
        let camera = SocketAddr::new(camera, 0);
        self.close(number);
        self.sockets.push((number, [rtp, rtcp].map(|socket| Socket { socket, camera, pinned: false })));
        Ok(ports)
    }

    /// Closes the sockets of a stream that the camera does not send.
    pub(super) fn close(&mut self, number: u8) {
        self.sockets.retain(|(it, _)| *it != number);
    }

    /// Takes note of the ports that the camera names for a stream.
    pub(super) fn named(&mut self, number: u8, (rtp, rtcp): (u16, u16)) {
        let found = self.sockets.iter_mut().find(|(it, _)| *it == number);
        for (socket, port) in found.into_iter().flat_map(|(_, pair)| pair).zip([rtp, rtcp]) {
            socket.camera.set_port(port);
        }
    }

    /// Sends the camera an empty packet to where packets come from. What lies on the way, the zone's own rules before
    /// all, learns so that they may come.
    pub(super) fn knock(&self, own: Ssrc) {
        for (_, [rtp, _]) in &self.sockets {
            // A head without anything (RFC 3550 §5.1).
            rtp.send(&[&[0x80, 0, 0, 0, 0, 0, 0, 0][..], &own.0.to_be_bytes()].concat());
        }
    }

    /// Sends the camera a report about a stream.
    pub(super) fn report(&self, number: u8, report: &[u8]) {
        if let Some((_, [_, rtcp])) = self.sockets.iter().find(|(it, _)| *it == number) {
            rtcp.send(report);
        }
    }

    /// What came since this was asked last. Waits for it; nothing is lost if it is given up.
    pub(super) async fn read(
        &mut self,
        packets: &mut Packets,
        clock: &dyn Clock,
    ) -> io::Result<Vec<Segment>> {
        poll_fn(|cx| self.poll_packets(cx)).await?;
        packets.come_at(clock.monotonic());
        Ok(packets.take(&mut exactly(std::mem::take(&mut self.buffer))))
    }

    fn poll_packets(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { sockets, buffer } = self;
        let mut came = false;
        let each = sockets.iter_mut().flat_map(|(number, pair)| {
            let first = number.saturating_mul(2);
            [first, first.saturating_add(1)].into_iter().zip(pair)
        });
        for (channel, socket) in each {
            for _ in 0..STREAM_DATAGRAMS_AT_ONCE_MAX {
                match socket.socket.poll_recv_ready(cx) {
                    Poll::Pending => break,
                    Poll::Ready(ready) => ready?,
                }
                came |= socket.take(channel, buffer)?;
            }
        }
        if came { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Socket {
    /// Best effort, like any datagram: whether the socket was found to be ready is not waited for.
    fn send(&self, packet: &[u8]) {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let _ = match (self.pinned, self.camera.port()) {
            (true, _) => send(&self.socket, packet, flags),
            (false, 0) => Ok(0),
            (false, _) => sendto(&self.socket, packet, flags, &self.camera),
        };
    }

    /// Takes one datagram, as a frame on a channel. Whether there was one of the camera's.
    fn take(&mut self, channel: u8, buffer: &mut Vec<u8>) -> io::Result<bool> {
        // One byte more than may be: of what is longer, the rest is lost, so that it must not pass for whole.
        let most = RTP_PACKET_BYTES_MAX + 1;
        if buffer.capacity() - buffer.len() < FRAME_HEAD_BYTES + most {
            buffer.reserve(STREAM_READ_BYTES);
        }
        let start = buffer.len();
        buffer.extend_from_slice(&[b'$', channel, 0, 0]);
        let came = self.socket.try_recv_buf_from(&mut buffer.limit(most));
        let length = match &came {
            Ok((length, from)) if self.is_camera(*from) => u16::try_from(*length).unwrap_or_default(),
            _ => 0,
        };
        if length == 0 {
            buffer.truncate(start);
        } else if let Some(place) = buffer.get_mut(start + 2..start + FRAME_HEAD_BYTES) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        match came {
            Ok(_) => Ok(length > 0),
            // Somebody said that nobody is at a port there: the camera may be about to open it.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a datagram is the camera's. The first pins its port.
    fn is_camera(&mut self, from: SocketAddr) -> bool {
        if self.pinned {
            // The kernel gives nothing of anybody else, but what had come before.
            return from == self.camera;
        }
        if from.ip().to_canonical() != self.camera.ip().to_canonical() {
            return false;
        }
        self.camera = from;
        self.pinned = rustix::net::connect(&self.socket, &from).is_ok();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::SystemClock,
        rtsp::{Description, UnknownCodecs},
    };

    const SDP: &[u8] = b"v=0\r\ns=x\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:1\r\n";

    /// An RTP packet with a number.
    fn packet(sequence: u8) -> Vec<u8> {
        vec![0x80, 96, 0, sequence, 0, 0, 0, 9, 1, 2, 3, 4, 0x65, sequence]
    }

    #[tokio::test]
    async fn the_first_packet_pins_the_port_and_nobody_else_is_heard() {
        let (here, clock) = (IpAddr::from([127, 0, 0, 1]), SystemClock::new());
        let bind = async |ip: &str| UdpSocket::bind((ip, 0)).await.unwrap();
        let (camera, other_port, other) =
            (bind("127.0.0.1").await, bind("127.0.0.1").await, bind("127.0.0.9").await);
        let mut datagrams = Datagrams::default();
        assert!(datagrams.is_empty());
        let (rtp, rtcp) = datagrams.open(0, &Dialler::Here, (here, here)).await.unwrap();
        assert_eq!((rtp % 2, rtcp), (0, rtp + 1));
        datagrams.named(0, (camera.local_addr().unwrap().port(), 0));
        datagrams.knock(Ssrc(7));
        let mut heard = [0; 64];
        let (length, from) = camera.recv_from(&mut heard).await.unwrap();
        assert_eq!((&heard[..length], from.port()), (&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], rtp));
        let description = Description::parse(SDP, UnknownCodecs::Passed).unwrap();
        let mut packets = Packets::new(&[(&description.media[0], Ssrc(7))]);
        packets.on_channels(0, (0, 1));
        other.send_to(&packet(1), (here, rtp)).await.unwrap();
        camera.send_to(&packet(2), (here, rtp)).await.unwrap();
        let mut came = Vec::new();
        let mut numbers = async |datagrams: &mut Datagrams, count: usize| {
            came.clear();
            while came.len() < count {
                for segment in datagrams.read(&mut packets, &clock).await.unwrap() {
                    came.extend(segment.bytes.chunks(4 + packet(0).len()).map(|frame| frame[7]));
                }
            }
            came.clone()
        };
        assert_eq!(numbers(&mut datagrams, 1).await, [2]);
        other_port.send_to(&packet(3), (here, rtp)).await.unwrap();
        other.send_to(&packet(4), (here, rtp)).await.unwrap();
        // A packet that is longer than may be, which would be a good one without its last byte.
        let long = [packet(5), vec![0; RTP_PACKET_BYTES_MAX + 1 - packet(5).len()]].concat();
        camera.send_to(&long, (here, rtp)).await.unwrap();
        for number in 5..8 {
            camera.send_to(&packet(number), (here, rtp)).await.unwrap();
        }
        assert_eq!(numbers(&mut datagrams, 3).await, [5, 6, 7]);
        assert_eq!(packets.counts.malformed, 1);
    }

    #[tokio::test]
    async fn a_stream_has_its_own_channels_and_one_pair_of_sockets() {
        let (here, clock) = (IpAddr::from([127, 0, 0, 1]), SystemClock::new());
        let mut datagrams = Datagrams::default();
        datagrams.open(1, &Dialler::Here, (here, here)).await.unwrap();
        let (rtp, _) = datagrams.open(1, &Dialler::Here, (here, here)).await.unwrap();
        assert_eq!(datagrams.sockets.len(), 1, "that before it is closed");
        let description = Description::parse(SDP, UnknownCodecs::Passed).unwrap();
        let media = &description.media[0];
        let mut packets = Packets::new(&[(media, Ssrc(7)), (media, Ssrc(8))]);
        packets.on_channels(1, (2, 3));
        let camera = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        camera.send_to(&packet(1), (here, rtp)).await.unwrap();
        let segments = datagrams.read(&mut packets, &clock).await.unwrap();
        assert_eq!(
            segments[0].bytes[..2],
            *b"$\x02",
            "on its own channel, though no other stream was set up"
        );
        assert_eq!(packets.counts.channel, 0);
        datagrams.close(1);
        assert!(datagrams.is_empty());
    }
}
