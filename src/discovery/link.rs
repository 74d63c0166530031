//! One address of the gateway's at which it answers, and the group on the interface which has that address.

use std::{
    fs, io,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    os::fd::AsFd,
};

use ipnet::{IpNet, Ipv6Net};
use rustix::net::sockopt;

use crate::isolation::group::{GROUP4, GROUP6, shared};

/// The sockets of one address.
#[derive(Debug)]
pub struct Link {
    /// What is sent to the gateway alone, and all that it sends.
    pub own: UdpSocket,
    /// What is sent to everybody.
    pub group: UdpSocket,
    /// Where everybody hears.
    pub everybody: SocketAddr,
    /// The number of the interface, by IPv6.
    pub interface: Option<u32>,
}

impl Link {
    /// Opens the sockets of an address. Others of this machine may hear the group, too.
    ///
    /// # Errors
    /// No interface has the address yet, or the port is somebody's.
    pub fn open(address: IpAddr, port: u16) -> io::Result<Self> {
        match address {
            IpAddr::V4(own) => {
                let everybody = SocketAddr::new(GROUP4.into(), port);
                let group = shared(everybody)?;
                sockopt::set_ip_add_membership(&group, &GROUP4, &own)?;
                let socket = shared(SocketAddr::new(address, port))?;
                sockopt::set_ip_multicast_if(&socket, &own)?;
                Ok(Self { own: socket.into(), group: group.into(), everybody, interface: None })
            }
            IpAddr::V6(own) => {
                let index = interface_of(own)
                    .ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, "no interface has it"))?;
                let scope = if own.is_unicast_link_local() { index } else { 0 };
                let everybody = SocketAddrV6::new(GROUP6, port, 0, index).into();
                let group = shared(everybody)?;
                sockopt::set_ipv6_add_membership(&group, &GROUP6, index)?;
                let socket = shared(SocketAddrV6::new(own, port, 0, scope).into())?;
                sockopt::set_ipv6_multicast_if(&socket, index)?;
                Ok(Self { own: socket.into(), group: group.into(), everybody, interface: Some(index) })
            }
        }
    }
}

/// Whether what hears the group for an address still does: an interface that was made anew has heard nothing of that, and
/// an address may be at another one. The interface of IPv6 is the one it was opened on.
pub fn hears(group: &impl AsFd, address: IpAddr, interface: Option<u32>) -> bool {
    match address {
        // To join once more says whether that was so already.
        IpAddr::V4(own) => {
            sockopt::set_ip_add_membership(group, &GROUP4, &own) == Err(rustix::io::Errno::ADDRINUSE)
        }
        IpAddr::V6(own) => interface.is_some() && interface_of(own) == interface,
    }
}

/// Whether a source is on the network of this address, which that interface has: others are not answered. What is asked of
/// the group by IPv6 comes from an address that the link alone has; every interface has such.
pub fn is_near(address: IpNet, interface: Option<u32>, source: SocketAddr) -> bool {
    match source {
        SocketAddr::V6(source) if LINK_LOCAL.contains(source.ip()) => interface == Some(source.scope_id()),
        source => address.contains(&source.ip().to_canonical()),
    }
}

/// RFC 4291 §2.5.6.
const LINK_LOCAL: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);

/// The number of the interface that has an address, in this thread's network namespace: lines of 32 hexadecimal digits
/// and the number, in hexadecimal digits too.
fn interface_of(address: Ipv6Addr) -> Option<u32> {
    let listed = fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default();
    let wanted = format!("{:032x}", address.to_bits());
    let mut rows = listed.lines().map(str::split_whitespace);
    rows.find_map(|mut row| {
        let own = row.next() == Some(wanted.as_str());
        row.next().filter(|_| own).and_then(|index| u32::from_str_radix(index, 16).ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_elsewhere_is_not_near() {
        let near =
            |address: &str, source: &str| is_near(address.parse().unwrap(), Some(2), source.parse().unwrap());
        assert!(near("10.1.0.5/24", "10.1.0.9:1") && near("10.1.0.5/24", "[::ffff:10.1.0.9]:1"));
        assert!(!near("10.1.0.5/24", "10.1.1.9:1"));
        assert!(near("2001:db8::5/64", "[2001:db8::9]:1") && near("2001:db8::5/64", "[fe80::1%2]:1"));
        assert!(!near("2001:db8::5/64", "[fe80::1%3]:1"), "on another interface");
        assert!(!near("2001:db8::5/64", "[2001:db8:1::9]:1") && !near("2001:db8::5/64", "10.1.0.9:1"));
    }

    #[test]
    fn who_left_the_group_does_not_hear_it() {
        let here = IpAddr::from([127, 0, 0, 1]);
        let link = Link::open(here, 0).unwrap();
        assert!(hears(&link.group, here, link.interface));
        let [IpAddr::V4(own), IpAddr::V4(gone)] = [here, IpAddr::from([192, 0, 2, 7])] else { return };
        sockopt::set_ip_drop_membership(&link.group, &GROUP4, &own).unwrap();
        assert!(!hears(&link.group, here, link.interface));
        assert!(!hears(&link.group, gone.into(), None), "nobody has this address");
        assert!(!hears(&link.group, Ipv6Addr::LOCALHOST.into(), Some(u32::MAX)), "on another interface");
    }

    #[test]
    fn the_loopback_interface_is_found_by_its_address() {
        // A machine without IPv6 has none.
        let there = fs::read_to_string("/proc/thread-self/net/if_inet6").is_ok_and(|it| it.contains(" lo\n"));
        assert_eq!(interface_of(Ipv6Addr::LOCALHOST).is_some(), there);
        assert_eq!(interface_of("2001:db8:ffff::ffff".parse().unwrap()), None);
    }
}
