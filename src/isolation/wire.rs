//! What the gateway asks the privileged process, and what it answers: JSON behind its length, sockets beside it.

use std::{
    fmt,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use jiff::Timestamp;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{compare::Difference, residents::Resident};
use crate::inventory::MacAddress;

/// A question. Nothing in it comes from a camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How the zones stand, and what was mended since the drift of this number.
    Zones {
        /// The number of the last drift that is known.
        after: u64,
    },
    /// Looks at a zone now, and mends it.
    Apply {
        /// Its name.
        zone: String,
    },
    /// A socket in a zone.
    Socket {
        /// Its name.
        zone: String,
        /// What kind.
        kind: SocketKind,
    },
    /// Who is in a zone.
    Neighbours {
        /// Its name.
        zone: String,
    },
    /// From now on the addresses of these cameras are held to these hardware addresses, and no others.
    Hold {
        /// The zone.
        zone: String,
        /// All of it.
        residents: Vec<Resident>,
    },
    /// Who speaks on the core side.
    Core,
    /// What was dropped in a zone.
    Attempts {
        /// Its name.
        zone: String,
    },
}

/// A kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SocketKind {
    /// A stream of IPv4 that is not connected.
    Stream4,
    /// A stream of IPv6 that is not connected.
    Stream6,
    /// Listens for streams at an address of the gateway's own.
    Listener {
        /// Where.
        at: SocketAddr,
    },
    /// Takes datagrams at an address of the gateway's own.
    Datagram {
        /// Where.
        at: SocketAddr,
    },
    /// Hears what cameras say to everybody by WS-Discovery with IPv4, and nothing else.
    Group4,
    /// The same with IPv6.
    Group6,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "they answer the questions of the same names")]
pub enum Reply {
    Zones {
        /// When the process that answers was started: numbers of drifts are its own.
        process: Timestamp,
        zones: Vec<ZoneState>,
        drifts: Vec<Drift>,
    },
    Applied {
        differences: Vec<Difference>,
    },
    /// The socket comes beside it.
    Socket,
    Neighbours {
        neighbours: Vec<Neighbour>,
    },
    Held {
        /// What they are now, as a digest.
        residents: String,
    },
    Core(Core),
    Attempts(Attempts),
    /// It was not done.
    Failed {
        why: String,
    },
}

/// How a zone stood when it was looked at last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneState {
    /// Its name.
    pub zone: String,
    /// What it should be, as a digest: two that read the same configuration have the same.
    pub digest: String,
    /// Which cameras are held to their hardware addresses, as a digest; none as long as nobody has said.
    pub residents: Option<String>,
    /// How well it is kept apart.
    pub grade: String,
    /// Why it is not isolated; none if it is.
    pub trouble: Option<String>,
}

/// Somebody or something changed a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Its number, from 1.
    pub number: u64,
    /// When it was noticed.
    pub at: Timestamp,
    /// The zone.
    pub zone: String,
    /// What was otherwise than it should be.
    pub differences: Vec<Difference>,
    /// Why it could not be mended; none if it was.
    pub failure: Option<String>,
}

/// Somebody in a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// The address.
    pub address: IpAddr,
    /// The hardware address, once it is known: `02:00:00:00:00:01`.
    pub mac: Option<String>,
    /// What the kernel thinks of it: `REACHABLE`, `STALE`, `FAILED` …
    pub state: String,
}

/// What was dropped in a zone, as far as the kernel remembers it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// Packets of IPv4 and IPv6.
    pub packets: Vec<Attempt>,
    /// Frames of other protocols, ARP for others, frames with a tag.
    pub frames: Vec<FrameAttempt>,
    /// Claims of enrolled cameras' addresses by others; none as long as nobody has said which addresses these are.
    pub claims: Option<Vec<Claim>>,
    /// Of each enrolled camera that is held to its hardware address, all packets.
    pub residents: Vec<ResidentCount>,
    /// All that was dropped since the rules were loaded, also what is not remembered by itself.
    pub dropped: u64,
    /// Which tables count, as numbers, and in which namespace: rules that were loaded anew have others, and count from
    /// nothing.
    #[serde(default)]
    pub tables: Vec<u64>,
    /// What the tables before these had counted when they were replaced, as far as somebody saw to it; and so on.
    #[serde(default)]
    pub before: Option<Box<Self>>,
}

/// Packets of one kind that were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Who it says it is from.
    pub source: IpAddr,
    /// Whither.
    pub destination: IpAddr,
    /// The protocol's number (TCP is 6, UDP 17).
    pub protocol: u8,
    /// The port; 0 for protocols without.
    pub port: u16,
    /// Which of the two tables counted it: set for what was addressed to the gateway.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub arrived: bool,
    /// How many, since it is remembered.
    pub packets: u64,
    /// How much.
    pub bytes: u64,
}

/// All packets of one enrolled camera that were dropped, also those of which nothing else is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResidentCount {
    /// Its address.
    pub address: IpAddr,
    /// As in [`Attempt`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub arrived: bool,
    /// How many, since it is remembered.
    pub packets: u64,
}

/// Frames of one kind that were dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameAttempt {
    /// Who it says it is from.
    pub source: String,
    /// The type of the frame (IEEE 802): ARP is 0x0806, a tag 0x8100.
    pub ether_type: u16,
    /// How many, since it is remembered.
    pub packets: u64,
    /// How much.
    pub bytes: u64,
}

/// Who speaks on the core side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Core {
    /// Each hardware address, by interface.
    pub sources: Vec<CoreSource>,
    /// How often the rules that count were changed by somebody else, and set right.
    pub mended: u64,
    /// Why they are not in force; none if they are.
    pub trouble: Option<String>,
}

/// Frames of one hardware address that came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreSource {
    /// By this interface.
    pub interface: String,
    /// Whose.
    pub mac: MacAddress,
    /// How many, since it is remembered.
    pub packets: u64,
}

/// How somebody claims an address that is another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimKind {
    /// By ARP.
    Arp,
    /// By neighbour discovery.
    Discovery,
    /// By packets that have it as their source.
    Source,
}

impl fmt::Display for ClaimKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arp => "by ARP",
            Self::Discovery => "by neighbour discovery",
            Self::Source => "as a source",
        })
    }
}

/// Claims of one kind that were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Whose frames they are.
    pub frame: MacAddress,
    /// Whom they name as the owner, in ARP.
    pub named: Option<MacAddress>,
    /// What they give as their source, where the address claimed is another.
    pub from: Option<IpAddr>,
    /// Who claims: whose frames they are, or whom they name if they are sent as the true owner's; none if it is not known
    /// any more who that was.
    pub claimant: Option<MacAddress>,
    /// The address; none for one of a camera that is not told (advertised in another's name).
    pub claimed: Option<IpAddr>,
    /// How.
    pub kind: ClaimKind,
    /// How many, since it is remembered.
    pub packets: u64,
}

/// Sends a message, with a socket if there is one.
pub(super) fn send(
    stream: &UnixStream,
    message: &impl Serialize,
    socket: Option<&OwnedFd>,
) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).map_err(|_| io::ErrorKind::InvalidInput)?.to_be_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    let sockets = socket.map(AsFd::as_fd);
    if let Some(socket) = &sockets {
        beside.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(socket)));
    }
    // Four bytes that go whole or not at all, with the socket.
    if sendmsg(stream, &[IoSlice::new(&length)], &mut beside, SendFlags::NOSIGNAL)? != length.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    let mut stream = stream;
    stream.write_all(&body)
}

/// Receives a message of so many bytes at most, and the socket that came with it.
pub(super) fn receive<T: DeserializeOwned>(
    stream: &UnixStream,
    bytes_max: usize,
) -> io::Result<(T, Option<OwnedFd>)> {
    let mut length = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let got =
        recvmsg(stream, &mut [IoSliceMut::new(&mut length)], &mut beside, RecvFlags::CMSG_CLOEXEC)?.bytes;
    let mut socket = None;
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(mut sockets) = message {
            socket = sockets.next();
        }
    }
    if got != length.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > bytes_max {
        let what = format!("a message of {length} bytes: {bytes_max} at most");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut body = vec![0; length];
    let mut stream = stream;
    stream.read_exact(&mut body)?;
    Ok((serde_json::from_slice(&body)?, socket))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn messages_and_sockets_arrive_as_they_were_sent() {
        let (one, other) = UnixStream::pair().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, fd) = (listener.local_addr().unwrap(), OwnedFd::from(listener));
        send(&one, &Reply::Socket, Some(&fd)).unwrap();
        let (reply, socket) = receive::<Reply>(&other, 64).unwrap();
        let socket = socket.unwrap();
        assert_ne!(socket.as_raw_fd(), fd.as_raw_fd());
        assert_eq!((reply, std::net::TcpListener::from(socket).local_addr().unwrap()), (Reply::Socket, at));
        let request = Request::Socket { zone: "yard".into(), kind: SocketKind::Datagram { at } };
        send(&one, &request, None).unwrap();
        let (heard, socket) = receive::<Request>(&other, 1_024).unwrap();
        assert_eq!((heard, socket.is_none()), (request, true));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let check = |bytes: &[u8]| {
            let (mut one, other) = UnixStream::pair().unwrap();
            one.write_all(bytes).unwrap();
            drop(one);
            receive::<Request>(&other, 64).unwrap_err().to_string()
        };
        assert!(check(b"\0\0\0\x41").contains("a message of 65 bytes: 64 at most"));
        assert!(check(b"\0\0").contains("unexpected end of file"));
        assert!(check(b"\0\0\0\x05{}").contains("failed to fill whole buffer"));
        let unknown = br#"{"ask":"zones","after":1,"more":2}"#;
        let length = u32::try_from(unknown.len()).unwrap().to_be_bytes();
        assert!(check(&[&length[..], unknown].concat()).contains("unknown field `more`"));
    }
}
