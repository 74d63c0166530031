//! Packets of a camera that come in datagrams (RFC 2326 §12.39): from its address, and from the port that the first came
//! from, which is not always the one it names.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::BufMut;
use rustix::net::{SendFlags, send, sendto, sockopt::set_socket_recv_buffer_size};
use tokio::{
    net::UdpSocket,
    time::{Sleep, sleep},
};

use super::{error::Failure, reorder::Reorder, stream::exactly};
use crate::{
    clock::Clock,
    hatch::{Packets, Segment},
    isolation::Dialler,
    limits::{
        RTP_PACKET_BYTES_MAX, STREAM_DATAGRAMS_AT_ONCE_MAX, STREAM_READ_BYTES, STREAM_RECEIVE_BUFFER_BYTES,
    },
    rtsp::{FRAME_HEAD_BYTES, Ssrc},
};

/// The sockets of a session's streams.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    streams: Vec<Stream>,
    /// What came, as if it had come on channels of a connection.
    buffer: Vec<u8>,
    /// While something waits for what it overtook.
    patience: Option<Pin<Box<Sleep>>>,
}

/// Those of one stream.
#[derive(Debug)]
struct Stream {
    number: u8,
    rtp: Socket,
    rtcp: Socket,
    order: Reorder,
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
        self.streams.is_empty()
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
        let [rtp, rtcp] = [rtp, rtcp].map(|socket| Socket { socket, camera, pinned: false });
        self.streams.push(Stream { number, rtp, rtcp, order: Reorder::default() });
        Ok(ports)
    }

    /// Closes the sockets of a stream that the camera does not send.
    pub(super) fn close(&mut self, number: u8) {
        self.streams.retain(|it| it.number != number);
    }

    /// Takes note of the ports that the camera names for a stream.
    pub(super) fn named(&mut self, number: u8, (rtp, rtcp): (u16, u16)) {
        if let Some(stream) = self.streams.iter_mut().find(|it| it.number == number) {
            stream.rtp.camera.set_port(rtp);
            stream.rtcp.camera.set_port(rtcp);
        }
    }

    /// Sends the camera an empty packet to where packets come from. What lies on the way, the zone's own rules before
    /// all, learns so that they may come.
    pub(super) fn knock(&self, own: Ssrc) {
        for Stream { rtp, .. } in &self.streams {
            // A head without anything (RFC 3550 §5.1).
            rtp.send(&[&[0x80, 0, 0, 0, 0, 0, 0, 0][..], &own.0.to_be_bytes()].concat());
        }
    }

    /// Sends the camera a report about a stream.
    pub(super) fn report(&self, number: u8, report: &[u8]) {
        if let Some(stream) = self.streams.iter().find(|it| it.number == number) {
            stream.rtcp.send(report);
        }
    }

    /// What came since this was asked last, in order; nothing now and then. Waits for it; nothing is lost if it is
    /// given up.
    pub(super) async fn read(
        &mut self,
        packets: &mut Packets,
        clock: &dyn Clock,
    ) -> io::Result<Vec<Segment>> {
        poll_fn(|cx| self.poll_packets(cx, clock)).await?;
        packets.come_at(clock.monotonic());
        for stream in &mut self.streams {
            let (late, bytes) = stream.order.late();
            packets.counts.overtaken += late;
            packets.counts.dropped_bytes += bytes;
        }
        Ok(packets.take(&mut exactly(std::mem::take(&mut self.buffer))))
    }

    fn poll_packets(&mut self, cx: &mut Context<'_>, clock: &dyn Clock) -> Poll<io::Result<()>> {
        let Self { streams, buffer, patience } = self;
        let mut came = false;
        for Stream { number, rtp, rtcp, order } in &mut *streams {
            let channel = number.saturating_mul(2);
            let now = clock.monotonic();
            rtp.poll_all(cx, channel, buffer, |buffer, start| {
                came = true;
                order.take(buffer, start, now);
            })?;
            rtcp.poll_all(cx, channel.saturating_add(1), buffer, |_, _| came = true)?;
            order.expire(buffer, now);
        }
        if came || !buffer.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let now = clock.monotonic();
        let Some(due) = streams.iter().filter_map(|it| it.order.due(now)).min() else {
            *patience = None;
            return Poll::Pending;
        };
        let mut timer = Box::pin(sleep(due));
        let over = timer.as_mut().poll(cx);
        *patience = Some(timer);
        // Once more, to find out what has waited for too long.
        if over.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
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

    /// Takes what is there, each datagram as a frame at the end of the buffer, and says where that begins.
    fn poll_all(
        &mut self,
        cx: &mut Context<'_>,
        channel: u8,
        buffer: &mut Vec<u8>,
        mut took: impl FnMut(&mut Vec<u8>, usize),
    ) -> io::Result<()> {
        for _ in 0..STREAM_DATAGRAMS_AT_ONCE_MAX {
            match self.socket.poll_recv_ready(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(ready) => ready?,
            }
            let start = buffer.len();
            if self.take(channel, buffer)? {
                took(buffer, start);
            }
        }
        // There may be more, of which nobody would say so.
        cx.waker().wake_by_ref();
        Ok(())
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
        hatch::PacketCounts,
        limits::STREAM_REORDER_PACKETS_MAX,
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
        assert_eq!(
            numbers(&mut datagrams, 3).await,
            [5, 6, 7],
            "those between are not waited for without an end"
        );
        // One is overtaken and another never comes; it is given up when so many wait for it.
        let sent =
            [&[9, 8, 10][..], &(12..=12 + STREAM_REORDER_PACKETS_MAX as u8).collect::<Vec<_>>()].concat();
        for number in &sent {
            camera.send_to(&packet(*number), (here, rtp)).await.unwrap();
        }
        let mut expected = sent.clone();
        expected.sort_unstable();
        assert_eq!(numbers(&mut datagrams, sent.len()).await, expected);
        camera.send_to(&packet(11), (here, rtp)).await.unwrap();
        camera.send_to(&packet(12 + STREAM_REORDER_PACKETS_MAX as u8 + 1), (here, rtp)).await.unwrap();
        assert_eq!(numbers(&mut datagrams, 1).await, [12 + STREAM_REORDER_PACKETS_MAX as u8 + 1]);
        let PacketCounts { malformed, missing, late, overtaken, .. } = packets.counts;
        assert_eq!((malformed, missing, late, overtaken), (1, 3, 0, 1));
    }

    #[tokio::test]
    async fn a_stream_has_its_own_channels_and_one_pair_of_sockets() {
        let (here, clock) = (IpAddr::from([127, 0, 0, 1]), SystemClock::new());
        let mut datagrams = Datagrams::default();
        datagrams.open(1, &Dialler::Here, (here, here)).await.unwrap();
        let (rtp, _) = datagrams.open(1, &Dialler::Here, (here, here)).await.unwrap();
        assert_eq!(datagrams.streams.len(), 1, "that before it is closed");
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
