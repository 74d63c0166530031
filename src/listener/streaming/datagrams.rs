//! RTP and RTCP in datagrams to one viewer (RFC 2326 §12.39, RFC 3550 §11).
//!
//! They go from ports of the gateway's own to the host that logged in, whatever else it names: nobody can have a
//! stream sent to somebody else.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    net::{IpAddr, SocketAddr},
};

use bytes::{Buf, Bytes};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use tokio::{io::Interest, net::UdpSocket};

use crate::{
    isolation::Dialler,
    limits::{
        STREAM_DATAGRAMS_AT_ONCE_MAX, STREAM_REPORT_BYTES_MAX, STREAM_REPORTS_AT_ONCE_MAX,
        STREAM_VIEWER_PORT_MIN,
    },
    rtsp::FRAME_HEAD_BYTES,
};

/// The sockets of one stream: for RTP at an even port, for RTCP at the next.
#[derive(Debug)]
pub(super) struct Pair {
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

impl Pair {
    /// At an address of the gateway's, towards these ports of a viewer. None if no viewer has such ports.
    pub(super) async fn open(
        here: IpAddr,
        viewer: IpAddr,
        (rtp, rtcp): (u16, u16),
    ) -> io::Result<Option<Self>> {
        if rtp.min(rtcp) < STREAM_VIEWER_PORT_MIN || rtp == rtcp {
            return Ok(None);
        }
        let (rtp_socket, rtcp_socket) = Dialler::Here.datagrams(here).await.map_err(io::Error::other)?;
        let pair = Self { rtp: rtp_socket, rtcp: rtcp_socket };
        pair.rtp.connect(SocketAddr::new(viewer, rtp)).await?;
        pair.rtcp.connect(SocketAddr::new(viewer, rtcp)).await?;
        Ok(Some(pair))
    }

    /// Its own ports, of RTP and RTCP.
    pub(super) fn ports(&self) -> io::Result<(u16, u16)> {
        Ok((self.rtp.local_addr()?.port(), self.rtcp.local_addr()?.port()))
    }

    /// Whether the viewer has reported since this was asked last.
    pub(super) fn reported(&self) -> bool {
        let mut report = [0; STREAM_REPORT_BYTES_MAX];
        // What it reports is not looked at: that it came from the port it named is a sign of life.
        (0..STREAM_REPORTS_AT_ONCE_MAX).take_while(|_| self.rtcp.try_recv(&mut report).is_ok()).count() > 0
    }

    fn of(&self, rtcp: bool) -> &UdpSocket {
        if rtcp { &self.rtcp } else { &self.rtp }
    }
}

/// What waits to be sent in datagrams, as the queue gave it: runs of interleaved frames.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) runs: VecDeque<Bytes>,
    /// Bytes of packets that the kernel took.
    pub(super) sent_bytes: u64,
    /// Packets that it would not take, for another reason than that it is full.
    pub(super) lost: u64,
}

impl Outgoing {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Sends until all is sent, or a socket is full: then that one.
    pub(super) fn send<'a>(&mut self, pair_of: impl Fn(usize) -> Option<&'a Pair>) -> Option<&'a UdpSocket> {
        while let Some(run) = self.runs.front_mut() {
            let Some((channel, packets)) = first_of_one_channel(run) else {
                self.runs.pop_front();
                continue;
            };
            let socket = pair_of(usize::from(channel / 2)).map(|pair| pair.of(channel % 2 == 1));
            let done = match socket.map(|socket| (socket, send_at_once(socket, &packets))) {
                None => packets.len(),
                Some((_, Ok(count))) => {
                    let sent: usize = packets.iter().take(count).map(|packet| packet.len()).sum();
                    self.sent_bytes = self.sent_bytes.saturating_add(sent as u64);
                    count
                }
                Some((full, Err(error))) if error.kind() == io::ErrorKind::WouldBlock => return Some(full),
                // Nobody is at the port at the moment, or the packet is too large for the way.
                Some((_, Err(_))) => {
                    self.lost = self.lost.saturating_add(1);
                    1
                }
            };
            let bytes = packets.iter().take(done).map(|packet| FRAME_HEAD_BYTES + packet.len()).sum();
            run.advance(bytes);
        }
        None
    }
}

/// The packets at a run's front that go on the same channel, as many as are sent at once. None if there is none.
fn first_of_one_channel(run: &[u8]) -> Option<(u8, Vec<&[u8]>)> {
    let mut packets = Vec::new();
    let (mut rest, mut channel) = (run, None);
    while let Some([_, of, high, low]) = rest.first_chunk::<FRAME_HEAD_BYTES>().copied() {
        let end = FRAME_HEAD_BYTES + usize::from(u16::from_be_bytes([high, low]));
        let Some(packet) = rest.get(FRAME_HEAD_BYTES..end).filter(|_| *channel.get_or_insert(of) == of)
        else {
            break;
        };
        packets.push(packet);
        rest = rest.get(end..).unwrap_or_default();
        if packets.len() == STREAM_DATAGRAMS_AT_ONCE_MAX {
            break;
        }
    }
    channel.filter(|_| !packets.is_empty()).map(|channel| (channel, packets))
}

/// Sends packets in one call; how many the kernel took. An error is the first one's.
fn send_at_once(socket: &UdpSocket, packets: &[&[u8]]) -> io::Result<usize> {
    let slices: Vec<_> = packets.iter().map(|packet| [IoSlice::new(packet)]).collect();
    let mut besides: Vec<_> = packets.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let mut messages: Vec<_> =
        slices.iter().zip(&mut besides).map(|(slice, nothing)| MMsgHdr::new(slice, nothing)).collect();
    socket.try_io(Interest::WRITABLE, || Ok(sendmmsg(socket, &mut messages, SendFlags::NOSIGNAL)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_packet_goes_to_its_port_and_a_report_is_a_sign_of_life() {
        let here = IpAddr::from([127, 0, 0, 1]);
        let (rtp, rtcp) =
            (UdpSocket::bind((here, 0)).await.unwrap(), UdpSocket::bind((here, 0)).await.unwrap());
        let ports = [&rtp, &rtcp].map(|it| it.local_addr().unwrap().port());
        let pair = Pair::open(here, here, (ports[0], ports[1])).await.unwrap().unwrap();
        let own = pair.ports().unwrap();
        assert_eq!((own.0 % 2, own.1), (0, own.0 + 1));
        let mut outgoing = Outgoing::default();
        // Stream 1 is not his; what is cut short goes.
        outgoing
            .runs
            .push_back(Bytes::from_static(b"$\x00\x00\x02ab$\x02\x00\x01x$\x01\x00\x03rep$\x00\x00\x09cut"));
        while let Some(full) = outgoing.send(|stream| (stream == 0).then_some(&pair)) {
            full.writable().await.unwrap();
        }
        assert_eq!((outgoing.is_empty(), outgoing.sent_bytes, outgoing.lost), (true, 5, 0));
        let mut heard = [0; 16];
        let (length, from) = rtp.recv_from(&mut heard).await.unwrap();
        assert_eq!((&heard[..length], from.port()), (&b"ab"[..], own.0));
        let (length, from) = rtcp.recv_from(&mut heard).await.unwrap();
        assert_eq!((&heard[..length], from.port()), (&b"rep"[..], own.1));
        assert!(!pair.reported());
        // From another port it is nobody's sign.
        rtp.send_to(b"report", (here, own.1)).await.unwrap();
        rtcp.send_to(b"report", (here, own.1)).await.unwrap();
        pair.rtcp.readable().await.unwrap();
        assert!(pair.reported() && !pair.reported());
    }

    #[tokio::test]
    async fn many_go_in_one_call_and_what_is_too_large_is_lost_alone() {
        let here = IpAddr::from([127, 0, 0, 1]);
        let (rtp, rtcp) =
            (UdpSocket::bind((here, 0)).await.unwrap(), UdpSocket::bind((here, 0)).await.unwrap());
        let ports = [&rtp, &rtcp].map(|it| it.local_addr().unwrap().port());
        let pair = Pair::open(here, here, (ports[0], ports[1])).await.unwrap().unwrap();
        let frame = |packet: &[u8]| {
            let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
            [&[b'$', 0, length[0], length[1]], packet].concat()
        };
        let mut run: Vec<u8> = (0..100).flat_map(|number| frame(&[number])).collect();
        run.extend(frame(&vec![0; 65_530]));
        run.extend(frame(b"last"));
        let (channel, packets) = first_of_one_channel(&run).unwrap();
        assert_eq!((channel, packets.len()), (0, STREAM_DATAGRAMS_AT_ONCE_MAX));
        // A socket that is new is not known to be ready.
        pair.rtp.writable().await.unwrap();
        assert_eq!(send_at_once(&pair.rtp, &packets).unwrap(), STREAM_DATAGRAMS_AT_ONCE_MAX);
        let sent = STREAM_DATAGRAMS_AT_ONCE_MAX * 5;
        let mut outgoing = Outgoing { runs: [Bytes::from(run).slice(sent..)].into(), ..Outgoing::default() };
        while let Some(full) = outgoing.send(|_| Some(&pair)) {
            full.writable().await.unwrap();
        }
        let rest = u64::try_from(100 - STREAM_DATAGRAMS_AT_ONCE_MAX).unwrap();
        assert_eq!((outgoing.is_empty(), outgoing.sent_bytes, outgoing.lost), (true, rest + 4, 1));
        let mut heard = [0; 16];
        for number in 0..100 {
            let length = rtp.recv(&mut heard).await.unwrap();
            assert_eq!(heard[..length], [number]);
        }
        let length = rtp.recv(&mut heard).await.unwrap();
        assert_eq!(&heard[..length], b"last");
    }

    #[tokio::test]
    async fn ports_that_no_viewer_has_are_refused() {
        let here = IpAddr::from([127, 0, 0, 1]);
        for ports in [(0, 1), (53, 54), (5_000, 5_000), (5_000, 123)] {
            assert!(Pair::open(here, here, ports).await.unwrap().is_none(), "{ports:?}");
        }
    }
}
