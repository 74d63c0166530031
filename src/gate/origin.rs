//! Where requests come from, as far as it can be told apart.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use crate::limits::SOURCE_NETWORK_V6_BITS;

/// What budgets of sources are kept by: an IPv4 address, or a network of IPv6, of which one machine has as many
/// addresses as it likes (RFC 4291 §2.5.4, RFC 8981).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(IpAddr);

impl Origin {
    /// Of an address.
    pub fn of(source: IpAddr) -> Self {
        Self(match source.to_canonical() {
            IpAddr::V6(v6) => {
                let network = u128::MAX << (128 - u32::from(SOURCE_NETWORK_V6_BITS));
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & network))
            }
            v4 => v4,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/{SOURCE_NETWORK_V6_BITS}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_one_origin_however_many_addresses_it_takes() {
        for (source, origin) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ] {
            assert_eq!(Origin::of(source.parse().unwrap()).to_string(), origin, "{source}");
        }
    }
}
