//! Whom the gateway sends events to: consumers that clients name with Subscribe.
//!
//! Policy says in which networks they may be. What holds whatever it says stands here: no camera's network, nothing of the
//! gateway's own, and an address is a number, since where a name leads is for others to say, later, in another way.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::{
    inventory::Inventory,
    limits::CONSUMER_ADDRESS_BYTES_MAX,
    schema::{
        Document,
        address::{Host, Uri},
    },
};

/// Where events are to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// The address and port that are dialled.
    pub address: SocketAddr,
    /// Path and query.
    pub path_and_query: String,
    /// The reference as it was given, for the header of messages.
    pub reference: String,
}

/// Why nothing is sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoConsumer {
    /// It is no such address.
    #[error("the consumer's address is not http:// with an IP address, without user name and fragment")]
    Address,
    /// It is nobody's own.
    #[error("the consumer's address is no single machine's on a network")]
    Group,
    /// A camera may be there.
    #[error("the consumer's address is in the network of a zone")]
    Zone,
    /// The gateway is there.
    #[error("the consumer's address is the gateway's own")]
    Own,
}

impl Consumer {
    /// The consumer in a `wsnt:Subscribe`.
    pub fn of(request: &Document) -> Result<Self, NoConsumer> {
        let reference = request.root().find("ConsumerReference/Address").map_or("", |it| it.text().trim());
        if reference.len() > CONSUMER_ADDRESS_BYTES_MAX {
            return Err(NoConsumer::Address);
        }
        let uri = Uri::parse(reference).ok_or(NoConsumer::Address)?;
        let plain =
            uri.scheme.eq_ignore_ascii_case("http") && uri.userinfo.is_none() && uri.fragment.is_none();
        let Host::Ip(host) = uri.host else { return Err(NoConsumer::Address) };
        if !plain {
            return Err(NoConsumer::Address);
        }
        let address = SocketAddr::new(host.to_canonical(), uri.port.unwrap_or(80));
        let path_and_query = uri.path_and_query();
        let path_and_query =
            if path_and_query.starts_with('/') { path_and_query } else { format!("/{path_and_query}") };
        Ok(Self { address, path_and_query, reference: reference.to_owned() })
    }

    /// Whether it may be sent to, as things are configured; `is_own` says whether an address is this machine's. On the
    /// machine itself a consumer is sent to at a loopback address that a network of the configuration has, and at no door
    /// of the gateway's.
    pub fn check(&self, inventory: &Inventory, is_own: &dyn Fn(IpAddr) -> bool) -> Result<(), NoConsumer> {
        let ip = self.address.ip();
        if is_of_nobody(ip) {
            return Err(NoConsumer::Group);
        }
        if inventory.zones().any(|zone| zone.contains(ip)) {
            return Err(NoConsumer::Zone);
        }
        let named = |prefix: &ipnet::IpNet| prefix.contains(&ip) && is_loopback(prefix);
        let on_purpose = inventory.networks().iter().flat_map(|it| &it.prefixes).any(named);
        if inventory.answers_at(ip, self.address.port()) || (is_own(ip) && !on_purpose) {
            return Err(NoConsumer::Own);
        }
        Ok(())
    }
}

/// Without path and query, which may be secrets.
impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.address)
    }
}

/// Groups, links and what stands for no address at all.
fn is_of_nobody(ip: IpAddr) -> bool {
    let nobody = ip.is_unspecified() || ip.is_multicast();
    nobody
        || match ip {
            IpAddr::V4(ip) => ip.is_broadcast() || ip.is_link_local(),
            // Those that stand for IPv4 addresses behind a translator or a tunnel are checked as what they are not.
            IpAddr::V6(ip) => {
                ip.is_unicast_link_local() || matches!(ip.segments(), [0x2002, ..] | [0x64, 0xff9b, ..])
            }
        }
}

/// Whether a prefix is of loopback addresses alone.
fn is_loopback(prefix: &ipnet::IpNet) -> bool {
    match prefix {
        ipnet::IpNet::V4(it) => it.network().is_loopback() && it.prefix_len() >= 8,
        ipnet::IpNet::V6(it) => it.network().is_loopback() && it.prefix_len() == 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Tables;

    fn read(address: &str) -> Result<Consumer, NoConsumer> {
        let tables = Tables::embedded().unwrap();
        let subscribe =
            tables.operation_by_name("wsntw:Subscribe").and_then(|it| tables.operation(it)).unwrap();
        let text = format!(
            "<w:Subscribe xmlns:w=\"http://docs.oasis-open.org/wsn/b-2\" xmlns:a=\"http://www.w3.org/2005/08/addressing\">\
             <w:ConsumerReference><a:Address>{address}</a:Address></w:ConsumerReference></w:Subscribe>"
        );
        Consumer::of(&Document::parse_request(&tables, &text, subscribe.input).unwrap())
    }

    #[test]
    fn a_consumer_is_an_address_and_no_name() {
        let shown = |text| read(text).map(|it| format!("{it}{}", it.path_and_query));
        assert_eq!(shown("http://203.0.113.9:8080/hook?a=b"), Ok("http://203.0.113.9:8080/hook?a=b".into()));
        assert_eq!(shown("http://203.0.113.9"), Ok("http://203.0.113.9:80/".into()));
        assert_eq!(shown("http://[2001:db8::9]/x"), Ok("http://[2001:db8::9]:80/x".into()));
        assert_eq!(shown("http://[::ffff:203.0.113.9]/x"), Ok("http://203.0.113.9:80/x".into()));
        for text in [
            "",
            "urn:uuid:1",
            "https://203.0.113.9/x",
            "ftp://203.0.113.9/x",
            "http://vms.example/x",
            "http://user:pass@203.0.113.9/x",
            "http://203.0.113.9/x#y",
            &format!("http://203.0.113.9/{}", "x".repeat(CONSUMER_ADDRESS_BYTES_MAX)),
        ] {
            assert_eq!(read(text), Err(NoConsumer::Address), "{text}");
        }
    }
}
