//! A socket that hears what is said to the group of WS-Discovery on a link, and says nothing.

use std::{
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket},
    os::fd::{AsFd, OwnedFd},
};

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, netdevice::name_to_index, socket_with, sockopt,
};

use crate::limits::CORE_INTERFACES_MAX;

/// WS-Discovery §2.4.
const GROUP4: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xc);
const PORT: u16 = 3702;

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
        let family = if v4 { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket: OwnedFd = socket_with(family, SocketType::DGRAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        let at = if v4 {
            // What is sent to this machine alone is for somebody else.
            SocketAddr::V4(SocketAddrV4::new(GROUP4, PORT))
        } else {
            sockopt::set_ipv6_v6only(&socket, true)?;
            SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, PORT, 0, 0))
        };
        bind(&socket, &at)?;
        Ok(Self { socket: socket.into(), v4 })
    }

    /// Joins the group on every interface there is now. Gives how many those are.
    pub fn join(&self) -> usize {
        let interfaces = interfaces();
        let joined = interfaces.iter().filter(|name| self.join_on(name).is_ok());
        joined.count()
    }

    fn join_on(&self, interface: &str) -> io::Result<()> {
        let index = name_to_index(self.socket.as_fd(), interface)?;
        let joined = if self.v4 {
            sockopt::set_ip_add_membership_with_ifindex(&self.socket, &GROUP4, &Ipv4Addr::UNSPECIFIED, index)
        } else {
            sockopt::set_ipv6_add_membership(&self.socket, &GROUP6, index)
        };
        match joined {
            // It has joined before.
            Err(rustix::io::Errno::ADDRINUSE) => Ok(()),
            other => Ok(other?),
        }
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
