//! The group of WS-Discovery, in which cameras say that they are there: its addresses, and sockets that hear it.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
};

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, netdevice::name_to_index, socket_with, sockopt,
};

/// WS-Discovery §2.4.
pub const GROUP4: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// The same of IPv6.
pub const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xc);
/// The port of everything in WS-Discovery.
pub const DISCOVERY_PORT: u16 = 3702;

/// A socket for datagrams at an address that others of this machine may have, too.
///
/// # Errors
/// It cannot be had.
pub fn shared(at: SocketAddr) -> io::Result<OwnedFd> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if at.is_ipv4() {
        // Without this Linux gives a socket what comes in on any interface on which anybody of this machine hears the group.
        socket2::SockRef::from(&socket).set_multicast_all_v4(false)?;
    }
    bind(&socket, &at)?;
    Ok(socket)
}

/// Has a socket hear the group of one family on an interface of this thread's network namespace.
///
/// # Errors
/// There is no such interface, or it has no place for more groups.
pub fn join(socket: impl AsFd, v4: bool, interface: &str) -> io::Result<()> {
    let index = name_to_index(socket.as_fd(), interface)?;
    let joined = if v4 {
        sockopt::set_ip_add_membership_with_ifindex(&socket, &GROUP4, &Ipv4Addr::UNSPECIFIED, index)
    } else {
        sockopt::set_ipv6_add_membership(&socket, &GROUP6, index)
    };
    match joined {
        // It has joined before.
        Err(rustix::io::Errno::ADDRINUSE) => Ok(()),
        other => Ok(other?),
    }
}

/// A socket that hears the group, and nothing else, on an interface of this thread's network namespace.
pub(super) fn ear(v4: bool, interface: &str) -> io::Result<OwnedFd> {
    let group = if v4 { GROUP4.into() } else { GROUP6.into() };
    let mut at = SocketAddr::new(group, DISCOVERY_PORT);
    if let SocketAddr::V6(at) = &mut at {
        let unbound = socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        at.set_scope_id(name_to_index(&unbound, interface)?);
    }
    let socket = shared(at)?;
    join(&socket, v4, interface)?;
    Ok(socket)
}
