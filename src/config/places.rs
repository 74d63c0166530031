//! `[[network]]`, `[[site]]` and `[[zone]]`.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use toml::de::DeTable;

use super::{legs::Legs, raw, reader::Reader};
use crate::{
    ids::{SiteId, ZoneId},
    inventory::{Isolation, Network, OTHER_NETWORK, Site, Zone},
    limits::SWEEP_ADDRESSES_MAX,
};

impl Reader<'_> {
    pub(super) fn network(&mut self, raw: raw::Network) -> Option<Network> {
        if raw.name.get_ref() == OTHER_NETWORK {
            let what = format!("`{OTHER_NETWORK}` is every address that is in no network");
            self.error(raw.name.span(), &what, "choose another name");
        }
        Some(Network { prefixes: self.prefixes(&raw.prefixes)?, name: raw.name.into_inner() })
    }

    pub(super) fn site(&mut self, raw: raw::Site) -> Option<Site> {
        Some(Site { id: self.name(&raw.name, SiteId::new)?, sensitive: raw.sensitive })
    }

    pub(super) fn zones(&mut self, table: &DeTable<'_>) -> Vec<Zone> {
        let mut legs = Legs::default();
        self.many(table, "zone", |reader, _, raw| reader.zone(raw, &mut legs))
    }

    fn zone(&mut self, raw: raw::Zone, legs: &mut Legs) -> Option<Zone> {
        let (id, prefixes) = (self.name(&raw.name, ZoneId::new), self.prefixes(&raw.prefixes));
        let isolation = match raw.isolation.get_ref().as_str() {
            "namespace" => {
                prefixes.as_deref().and_then(|it| self.leg(&raw, it, legs)).map(Isolation::Namespace)
            }
            "none" => {
                self.no_leg(&raw);
                Some(Isolation::None)
            }
            other => {
                let what = format!("`{other}` is no isolation");
                self.error(raw.isolation.span(), &what, "write \"namespace\", or \"none\" for tests");
                None
            }
        };
        let event_sink = raw.event_sink.as_ref().and_then(|text| self.event_sink(text, isolation.as_ref()));
        let sweep = self.sweep(&raw, prefixes.as_deref().unwrap_or_default());
        Some(Zone { id: id?, isolation: isolation?, prefixes: prefixes?, event_sink, sweep: sweep? })
    }

    /// Where events are taken: at an address of the gateway's own in the zone.
    fn event_sink(&mut self, text: &raw::Text, isolation: Option<&Isolation>) -> Option<SocketAddr> {
        let read = text.get_ref().parse::<SocketAddr>().ok();
        let Some(sink) = read.filter(|it| it.port() != 0 && !it.ip().is_unspecified()) else {
            let what = format!("`{}` is no address to take events at", text.get_ref().escape_debug());
            self.error(
                text.span(),
                &what,
                "write an address of the gateway's in the zone with a port: 192.0.2.1:8080",
            );
            return None;
        };
        if let Some(Isolation::Namespace(leg)) = isolation
            && !leg.addresses.iter().any(|it| it.addr() == sink.ip())
        {
            let what = format!("{} is not the gateway's address in this zone", sink.ip());
            self.error(text.span(), &what, "write one of the zone's `address`, with a port");
        }
        Some(sink)
    }

    /// What is swept is of the zone, and no more than is done in a while.
    fn sweep(&mut self, raw: &raw::Zone, prefixes: &[IpNet]) -> Option<Vec<IpNet>> {
        let Some(texts) = &raw.sweep else { return Some(Vec::new()) };
        let networks: Vec<_> = self.prefixes(texts.get_ref())?.iter().map(IpNet::trunc).collect();
        let outside = |network: &IpNet| !prefixes.iter().any(|it| it.contains(network));
        let of_a_link = |it: &&IpNet| matches!(it.addr(), IpAddr::V6(it) if it.is_unicast_link_local());
        if let Some(network) = networks.iter().find(of_a_link) {
            let what = format!("{network} is on every link, and does not say on which");
            self.error(
                texts.span(),
                &what,
                "leave it out: cameras there are found by what everybody is asked",
            );
        } else if let Some((network, text)) = networks.iter().zip(texts.get_ref()).find(|(it, _)| outside(it))
        {
            let what = format!("{network} is not in the zone's prefixes");
            self.error(text.span(), &what, "sweep networks of the zone alone, or add it to prefixes");
        }
        let hosts = |it: &IpNet| 1_u128.checked_shl(u32::from(it.max_prefix_len() - it.prefix_len()));
        let sum = networks.iter().fold(0, |sum: u128, it| sum.saturating_add(hosts(it).unwrap_or(u128::MAX)));
        if sum > SWEEP_ADDRESSES_MAX {
            let what = format!("that is more than {SWEEP_ADDRESSES_MAX} addresses to ask");
            self.error(texts.span(), &what, "sweep the networks in which cameras are, such as a /24");
        }
        Some(networks)
    }
}
