//! `[discovery]`.

use ipnet::IpNet;
use toml::de::DeTable;

use super::{Discovery, raw, reader::Reader};
use crate::{
    inventory::{Isolation, Zone},
    isolation::group::DISCOVERY_PORT,
    limits::DISCOVERY_LINKS_MAX,
};

impl Reader<'_> {
    /// Where virtual cameras are found; nowhere if no address is written.
    pub(super) fn discovery(&mut self, table: &DeTable<'_>, zones: &[Zone]) -> Option<Discovery> {
        let raw: raw::Discovery = self.one(table, "discovery")?;
        if let Some(port) = raw.port.as_ref().filter(|it| *it.get_ref() == 0) {
            self.error(port.span(), "port 0 is none that anybody could ask at", "leave it out for 3702");
        }
        let Some(listen) = &raw.listen else {
            if let Some(port) = &raw.port {
                let remedy = "add listen = [\"10.1.0.5/24\"], addresses of the gateway on the core side";
                self.error(port.span(), "nothing is answered at this port", remedy);
            }
            return None;
        };
        if !(1..=DISCOVERY_LINKS_MAX).contains(&listen.get_ref().len()) {
            let remedy = format!("write 1 to {DISCOVERY_LINKS_MAX} addresses, or leave it out");
            self.error(listen.span(), "that is no number of addresses to answer at", &remedy);
        }
        let addresses = self.prefixes(listen.get_ref())?;
        for (number, (address, text)) in addresses.iter().zip(listen.get_ref()).enumerate() {
            let again = addresses.iter().take(number).any(|it| it.addr() == address.addr());
            if let Some((what, remedy)) = objection(address, zones, again) {
                self.error(text.span(), &format!("{address} {what}"), remedy);
            }
        }
        Some(Discovery { addresses, port: raw.port.map_or(DISCOVERY_PORT, |port| *port.get_ref()) })
    }
}

/// Why the gateway does not answer at an address, and what to do.
fn objection(address: &IpNet, zones: &[Zone], again: bool) -> Option<(&'static str, &'static str)> {
    let own = address.addr();
    let in_zone = |zone: &Zone| match &zone.isolation {
        Isolation::Namespace(leg) => leg.addresses.iter().any(|it| it.addr() == own),
        Isolation::None => false,
    };
    let is_network = address.prefix_len() + 1 < address.max_prefix_len() && own == address.network();
    if again {
        Some(("stands there twice", "remove one"))
    } else if own.is_unspecified() || own.is_multicast() || is_network {
        Some(("is no address of the gateway", "write its own address and the length: 10.1.0.5/24"))
    } else if zones.iter().any(in_zone) {
        Some(("is the gateway's in a zone", "virtual cameras are found on the core side alone"))
    } else {
        None
    }
}
