//! A socket that hears what is said to the group of WS-Discovery on a link, and says nothing.

use std::{
    fs, io,
    net::{Ipv6Addr, SocketAddr, UdpSocket},
};

use crate::{
    isolation::group::{DISCOVERY_PORT, GROUP4, join, shared},
    limits::CORE_INTERFACES_MAX,
};

/// Hears the group of one family.
#[derive(Debug)]
pub struct Ears {
    socket: UdpSocket,
    v4: bool,
}

impl Ears {
    /// Opens a socket beside others of this machine that may hear, too.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn open(v4: bool) -> io::Result<Self> {
        // What is sent to this machine alone is for somebody else.
        let host = if v4 { GROUP4.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        Ok(Self { socket: shared(SocketAddr::new(host, DISCOVERY_PORT))?.into(), v4 })
    }

    /// Joins the group on every interface there is now. Gives how many those are.
    pub fn join(&self) -> usize {
        let interfaces = interfaces();
        let joined = interfaces.iter().filter(|name| join(&self.socket, self.v4, name).is_ok());
        joined.count()
    }

    /// The socket.
    ///
    /// # Errors
    /// It cannot be had twice.
    pub fn socket(&self) -> io::Result<UdpSocket> {
        self.socket.try_clone()
    }
}

/// The interfaces of this thread's network namespace but the loopback one (proc_pid_net(5): two lines of heads).
fn interfaces() -> Vec<String> {
    let listed = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    let names = listed.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
    names.filter(|it| it != "lo").take(CORE_INTERFACES_MAX).collect()
}
