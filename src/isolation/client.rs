//! The gateway's side of the privileged process.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::net::sockopt::socket_peercred;
use tokio::net::{TcpSocket, TcpStream, UdpSocket as Datagrams};

use super::residents::Resident;
use super::wire::{self, Attempts, Core, Neighbour, Reply, Request, SocketKind};
use crate::{
    ids::ZoneId,
    limits::{NETD_ANSWER_BYTES_MAX, NETD_TIME_MAX, NETD_WORD_TIME_MAX, STREAM_PORT_TRIES_MAX},
};

/// Asks the privileged process. Each question is a connection of its own; questions are few, since connections to
/// cameras are kept. Clones ask the same.
#[derive(Debug, Clone)]
pub struct Netd(Arc<Path>);

/// Why it gave no answer, or another.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum NetdError {
    #[error(
        "`cordon netd` does not answer at {path}: {error}; start it, and compare [netd] in both configurations"
    )]
    Silent { path: PathBuf, error: io::Error },
    #[error(
        "{path} is served by user {user}, who is not root and so no `cordon netd`: nothing it says counts; end what is \
         there, and see who may write in that folder"
    )]
    Impostor { path: PathBuf, user: u32 },
    #[error("`cordon netd` refused: {0}")]
    Refused(String),
    #[error("`cordon netd` answered something else: is it of another version?")]
    Other,
}

impl Netd {
    /// Asks at this socket.
    pub fn at(socket: &Path) -> Self {
        Self(socket.into())
    }

    /// Asks and waits.
    ///
    /// # Errors
    /// There is nobody, or it failed.
    pub fn ask(&self, request: &Request) -> Result<(Reply, Option<OwnedFd>), NetdError> {
        let silent = |error| NetdError::Silent { path: self.0.to_path_buf(), error };
        let stream = UnixStream::connect(&self.0).map_err(silent)?;
        // The kernel's word for who listens there: what is said of isolation is believed of nobody else.
        let user = socket_peercred(&stream).map_err(|error| silent(error.into()))?.uid.as_raw();
        if user != 0 {
            return Err(NetdError::Impostor { path: self.0.to_path_buf(), user });
        }
        let asked = || {
            let time_max = match request {
                // Isolation is a condition of service: who waits for the word on it must not wait long.
                Request::Zones { .. } | Request::Neighbours { .. } | Request::Hold { .. } => {
                    NETD_WORD_TIME_MAX
                }
                Request::Apply { .. } | Request::Socket { .. } | Request::Core | Request::Attempts { .. } => {
                    NETD_TIME_MAX
                }
            };
            stream.set_read_timeout(Some(time_max))?;
            stream.set_write_timeout(Some(time_max))?;
            // Whoever may not ask is told so before the question is read.
            let sent = wire::send(&stream, request, None);
            wire::receive(&stream, NETD_ANSWER_BYTES_MAX).map_err(|error| sent.err().unwrap_or(error))
        };
        match asked() {
            Ok((Reply::Failed { why }, _)) => Err(NetdError::Refused(why)),
            Ok(answer) => Ok(answer),
            Err(error) => Err(silent(error)),
        }
    }

    /// Who is in a zone.
    ///
    /// # Errors
    /// There is nobody, or it failed.
    pub fn neighbours(&self, zone: &ZoneId) -> Result<Vec<Neighbour>, NetdError> {
        match self.ask(&Request::Neighbours { zone: zone.to_string() })? {
            (Reply::Neighbours { neighbours }, _) => Ok(neighbours),
            _ => Err(NetdError::Other),
        }
    }

    /// Holds cameras of a zone to their hardware addresses, and no others.
    ///
    /// # Errors
    /// There is nobody, or it failed.
    pub fn hold(&self, zone: &ZoneId, residents: Vec<Resident>) -> Result<(), NetdError> {
        match self.ask(&Request::Hold { zone: zone.to_string(), residents })? {
            (Reply::Held { .. }, _) => Ok(()),
            _ => Err(NetdError::Other),
        }
    }

    /// Who speaks on the core side.
    ///
    /// # Errors
    /// There is nobody, or it failed.
    pub fn core(&self) -> Result<Core, NetdError> {
        match self.ask(&Request::Core)? {
            (Reply::Core(core), _) => Ok(core),
            _ => Err(NetdError::Other),
        }
    }

    /// What was dropped in a zone.
    ///
    /// # Errors
    /// There is nobody, or it failed.
    pub fn attempts(&self, zone: &ZoneId) -> Result<Attempts, NetdError> {
        match self.ask(&Request::Attempts { zone: zone.to_string() })? {
            (Reply::Attempts(attempts), _) => Ok(attempts),
            _ => Err(NetdError::Other),
        }
    }

    /// A socket that takes datagrams at an address of the gateway's own in a zone.
    ///
    /// # Errors
    /// There is nobody, or it failed.
    pub fn datagrams(&self, zone: &ZoneId, at: SocketAddr) -> Result<UdpSocket, NetdError> {
        self.socket(zone, SocketKind::Datagram { at }).map(UdpSocket::from)
    }

    /// A socket that hears what cameras of a zone say to everybody by WS-Discovery.
    ///
    /// # Errors
    /// There is nobody, or it failed.
    pub fn group(&self, zone: &ZoneId, v4: bool) -> Result<UdpSocket, NetdError> {
        let kind = if v4 { SocketKind::Group4 } else { SocketKind::Group6 };
        self.socket(zone, kind).map(UdpSocket::from)
    }

    /// A socket that listens at an address of the gateway's own in a zone.
    ///
    /// # Errors
    /// There is nobody, or it failed.
    pub fn listener(&self, zone: &ZoneId, at: SocketAddr) -> Result<TcpListener, NetdError> {
        self.socket(zone, SocketKind::Listener { at }).map(TcpListener::from)
    }

    fn socket(&self, zone: &ZoneId, kind: SocketKind) -> Result<OwnedFd, NetdError> {
        match self.ask(&Request::Socket { zone: zone.to_string(), kind })? {
            (Reply::Socket, Some(socket)) => Ok(socket),
            _ => Err(NetdError::Other),
        }
    }
}

/// How the cameras of a zone are dialled.
#[derive(Debug, Clone)]
pub enum Dialler {
    /// From the namespace the gateway itself is in: a zone without isolation.
    Here,
    /// From the zone's namespace, on a socket that the privileged process made there.
    Inside {
        /// The process.
        netd: Netd,
        /// The zone.
        zone: ZoneId,
    },
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum DialError {
    #[error("there is no socket in zone `{zone}`")]
    NoSocket { zone: ZoneId, source: NetdError },
    #[error(transparent)]
    Connect(#[from] io::Error),
}

impl Dialler {
    /// Whether it dials inside a zone of its own, whose rules let in nothing but answers.
    pub fn is_inside(&self) -> bool {
        matches!(self, Self::Inside { .. })
    }

    /// Connects to a camera. The kernel keeps some `receive_bytes` of what it sends unasked.
    ///
    /// # Errors
    /// There is no socket in its zone, or no connection.
    pub async fn dial(&self, address: SocketAddr, receive_bytes: u32) -> Result<TcpStream, DialError> {
        let socket = self.socket(address).await?;
        // Best effort: without it the kernel keeps more.
        let _ = socket.set_recv_buffer_size(receive_bytes);
        Ok(socket.connect(address).await?)
    }

    /// Sockets for RTP and RTCP at an address of the gateway's, at two ports in a row, the first of them even (RFC
    /// 3550 §11).
    ///
    /// # Errors
    /// There are no sockets in the zone, or no such ports.
    pub async fn datagrams(&self, here: IpAddr) -> Result<(Datagrams, Datagrams), DialError> {
        // Of two ports in a row both must be free: the kernel knows of free ones only one by one.
        for _ in 0..STREAM_PORT_TRIES_MAX {
            let one = self.datagram(SocketAddr::new(here, 0)).await?;
            let port = one.local_addr()?.port();
            if let Ok(other) = self.datagram(SocketAddr::new(here, port ^ 1)).await {
                return Ok(if port & 1 == 0 { (one, other) } else { (other, one) });
            }
        }
        Err(io::Error::from(io::ErrorKind::AddrInUse).into())
    }

    async fn datagram(&self, at: SocketAddr) -> Result<Datagrams, DialError> {
        let Self::Inside { netd, zone } = self else { return Ok(Datagrams::bind(at).await?) };
        let (asker, of) = (netd.clone(), zone.clone());
        let made =
            tokio::task::spawn_blocking(move || asker.datagrams(&of, at)).await.map_err(io::Error::other)?;
        let socket = made.map_err(|source| DialError::NoSocket { zone: zone.clone(), source })?;
        Ok(Datagrams::from_std(socket)?)
    }

    /// A socket that is not connected, where the camera can be dialled from.
    async fn socket(&self, address: SocketAddr) -> Result<TcpSocket, DialError> {
        let v4 = address.is_ipv4();
        let Self::Inside { netd, zone } = self else {
            return Ok(if v4 { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? });
        };
        let kind = if v4 { SocketKind::Stream4 } else { SocketKind::Stream6 };
        let (asker, of) = (netd.clone(), zone.clone());
        let made =
            tokio::task::spawn_blocking(move || asker.socket(&of, kind)).await.map_err(io::Error::other)?;
        let socket = made.map_err(|source| DialError::NoSocket { zone: zone.clone(), source })?;
        Ok(TcpSocket::from_std_stream(std::net::TcpStream::from(socket)))
    }
}
