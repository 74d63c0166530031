//! How the gateway stands in each `[[zone]]`, and `[netd]`.

use std::{collections::BTreeSet, net::IpAddr, ops::Range, path::PathBuf};

use ipnet::IpNet;
use toml::de::DeTable;

use super::{Netd, NetdUser, raw, reader::Reader};
use crate::{
    inventory::{Attachment, Camera, Isolation, Leg, Route, Zone},
    limits::{INTERFACE_NAME_BYTES_MAX, VLAN_ID_MAX, ZONE_ADDRESSES_MAX, ZONE_ROUTES_MAX},
};

const LEG_REMEDY: &str = "add interface = \"eth1\", or parent = \"eth1\" and vlan = 20 for one tag of it";

/// What zones have taken so far.
#[derive(Debug, Default)]
pub(super) struct Legs(Vec<(String, Attachment)>);

impl Reader<'_> {
    /// The leg of a zone in a namespace. `prefixes` are the zone's.
    pub(super) fn leg(&mut self, raw: &raw::Zone, prefixes: &[IpNet], legs: &mut Legs) -> Option<Leg> {
        let attachment = self.attachment(raw);
        let addresses = self.addresses(raw, prefixes);
        let (attachment, addresses) = (attachment?, addresses?);
        self.taken_once(raw, &attachment, legs);
        let routes = self.routes(raw, &addresses, prefixes)?;
        let reached = |prefix: &IpNet| {
            addresses
                .iter()
                .map(IpNet::trunc)
                .chain(routes.iter().map(|it| it.to))
                .any(|it| it.contains(prefix))
        };
        if let Some(lost) = prefixes.iter().zip(&raw.prefixes).find(|(prefix, _)| !reached(prefix)) {
            let what = format!("nothing leads to {}", lost.0);
            let remedy = "give the gateway an address in it, or a router: routes = [{ to = …, via = … }]";
            self.error(lost.1.span(), &what, remedy);
        }
        Some(Leg { attachment, addresses, routes })
    }

    /// A zone that is not isolated has no leg.
    pub(super) fn no_leg(&mut self, raw: &raw::Zone) {
        let texts = [&raw.interface, &raw.parent].into_iter().flatten().map(toml::Spanned::span);
        let spans = texts.chain(raw.vlan.as_ref().map(toml::Spanned::span));
        let spans: Vec<_> = spans.chain(raw.address.as_ref().map(toml::Spanned::span)).collect();
        for span in spans {
            let remedy = "set isolation = \"namespace\", or remove this";
            self.error(span, "a zone without isolation has no interface of its own", remedy);
        }
    }

    fn attachment(&mut self, raw: &raw::Zone) -> Option<Attachment> {
        match (&raw.interface, &raw.parent, &raw.vlan) {
            (Some(interface), None, None) => self.interface(interface).map(Attachment::Interface),
            (None, Some(parent), Some(vlan)) => {
                let parent = self.interface(parent);
                let id = *vlan.get_ref();
                if !(1..=VLAN_ID_MAX).contains(&id) {
                    let what = format!("{id} is no VLAN tag");
                    self.error(vlan.span(), &what, &format!("write 1 to {VLAN_ID_MAX}"));
                    return None;
                }
                Some(Attachment::Vlan { parent: parent?, id })
            }
            (None, Some(parent), None) => {
                self.error(parent.span(), "a parent carries a tag", "add vlan = 20, or write interface");
                None
            }
            (None, None, Some(vlan)) => {
                self.error(vlan.span(), "a tag needs the interface it comes by", "add parent = \"eth1\"");
                None
            }
            (Some(interface), _, _) => {
                let what = "a zone has an interface of its own or a tag of another, not both";
                self.error(interface.span(), what, "remove interface, or parent and vlan");
                None
            }
            (None, None, None) => {
                let what = format!("zone `{}` has no interface", raw.name.get_ref());
                self.error(raw.isolation.span(), &what, LEG_REMEDY);
                None
            }
        }
    }

    /// As Linux takes names of interfaces (`dev_valid_name`), and as tools can be told them.
    fn interface(&mut self, text: &raw::Text) -> Option<String> {
        let name = text.get_ref();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let good = (1..=INTERFACE_NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(plain)
            && !name.starts_with(['-', '.'])
            && name != "lo";
        if !good {
            let what = format!("`{}` is no interface for a zone", name.escape_debug());
            let remedy = format!(
                "write its name as `ip link` shows it: 1 to {INTERFACE_NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`"
            );
            self.error(text.span(), &what, &remedy);
        }
        good.then(|| name.clone())
    }

    /// Two zones on one interface would be one network.
    fn taken_once(&mut self, raw: &raw::Zone, attachment: &Attachment, legs: &mut Legs) {
        let alone = |it: &Attachment| matches!(it, Attachment::Interface(_));
        let clash = legs.0.iter().find(|(_, other)| {
            other == attachment
                || (other.carrier() == attachment.carrier() && (alone(other) || alone(attachment)))
        });
        if let Some((zone, _)) = clash {
            let span = raw.interface.as_ref().or(raw.parent.as_ref()).map_or(0..0, toml::Spanned::span);
            let what = format!("zone `{zone}` is on `{}` too", attachment.carrier());
            self.error(span, &what, "give each zone an interface, or a VLAN tag, of its own");
        }
        legs.0.push((raw.name.get_ref().clone(), attachment.clone()));
    }

    fn addresses(&mut self, raw: &raw::Zone, prefixes: &[IpNet]) -> Option<Vec<IpNet>> {
        let Some(texts) = &raw.address else {
            let what = format!("the gateway has no address in zone `{}`", raw.name.get_ref());
            let remedy = "add address = [\"192.0.2.1/24\"], an address of the zone that no camera has";
            self.error(raw.isolation.span(), &what, remedy);
            return None;
        };
        if !(1..=ZONE_ADDRESSES_MAX).contains(&texts.get_ref().len()) {
            let remedy = format!("write 1 to {ZONE_ADDRESSES_MAX} addresses");
            self.error(texts.span(), "that is no number of addresses for the gateway", &remedy);
            return None;
        }
        let addresses = self.prefixes(texts.get_ref())?;
        let mut fine = true;
        for (address, text) in addresses.iter().zip(texts.get_ref()) {
            let found = if !prefixes.iter().any(|prefix| prefix.contains(&address.addr())) {
                Some(("lies outside the zone's prefixes", "correct it, or add its network to prefixes"))
            } else if address.prefix_len() < address.max_prefix_len() && address.addr() == address.network() {
                Some((
                    "is a network, no address",
                    "write the gateway's own address and the length: 192.0.2.1/24",
                ))
            } else {
                None
            };
            if let Some((what, remedy)) = found {
                self.error(text.span(), &format!("{address} {what}"), remedy);
                fine = false;
            }
        }
        fine.then_some(addresses)
    }

    fn routes(&mut self, raw: &raw::Zone, addresses: &[IpNet], prefixes: &[IpNet]) -> Option<Vec<Route>> {
        let lines = raw.routes.as_deref().unwrap_or_default();
        let mut routes = Vec::new();
        for line in lines.iter().take(ZONE_ROUTES_MAX) {
            routes.extend(self.route(line, addresses, prefixes));
        }
        if let Some(line) = lines.get(ZONE_ROUTES_MAX) {
            let what = format!("a zone has {ZONE_ROUTES_MAX} routes at most");
            self.error(line.to.span(), &what, "take networks together");
        }
        (routes.len() == lines.len()).then_some(routes)
    }

    fn route(&mut self, line: &raw::RouteLine, addresses: &[IpNet], prefixes: &[IpNet]) -> Option<Route> {
        let to = self.prefixes(std::slice::from_ref(&line.to))?.pop()?.trunc();
        let Ok(via) = line.via.get_ref().parse::<IpAddr>() else {
            let what = format!("`{}` is no IP address", line.via.get_ref());
            self.error(line.via.span(), &what, "write the address of the router in the zone");
            return None;
        };
        // A default route would lead out of the zone.
        if !prefixes.iter().any(|prefix| prefix.contains(&to)) {
            let what = format!("{to} is not in the zone's prefixes");
            self.error(line.to.span(), &what, "add it to prefixes: a zone has no way to anywhere else");
            return None;
        }
        let near = |it: &&IpNet| it.trunc().contains(&via) && it.addr() != via;
        if addresses.iter().find(near).is_none() || via.is_ipv4() != to.addr().is_ipv4() {
            let what = format!("{via} is not next to the gateway");
            self.error(line.via.span(), &what, "name a router within the network of the gateway's address");
            return None;
        }
        Some(Route { to, via })
    }

    /// The gateway's addresses in zones are nobody else's, least of all those of the core side.
    pub(super) fn legs_apart(
        &mut self,
        table: &DeTable<'_>,
        zones: &[Zone],
        bind: IpAddr,
        cameras: &[Camera],
    ) {
        let doors = cameras.iter().flat_map(Camera::doors).map(|door| door.ip());
        let served: BTreeSet<_> = doors.chain([bind]).collect();
        for zone in zones {
            let Isolation::Namespace(leg) = &zone.isolation else { continue };
            for own in leg.addresses.iter().map(IpNet::addr) {
                let here = |it: &&Camera| it.zone == zone.id && it.address.host == own;
                let (what, remedy) = if served.contains(&own) {
                    ("is served to clients", "give the gateway an address that is the zone's alone")
                } else if cameras.iter().any(|it| here(&it)) {
                    ("is a camera's", "give the gateway an address in the zone that no camera has")
                } else {
                    continue;
                };
                self.error(
                    address_span(table, zone),
                    &format!("{own}, the gateway's in zone `{}`, {what}", zone.id),
                    remedy,
                );
            }
        }
    }

    /// `[netd]`.
    pub(super) fn netd(&mut self, table: &DeTable<'_>) -> Netd {
        let raw: raw::Netd = self.one(table, "netd").unwrap_or_default();
        let user = raw.user.as_ref().and_then(|user| match user.get_ref() {
            toml::Value::Integer(id) => u32::try_from(*id).ok().map(NetdUser::Id),
            toml::Value::String(name) if !name.is_empty() => Some(NetdUser::Name(name.clone())),
            _ => None,
        });
        if let (Some(text), None) = (&raw.user, &user) {
            self.error(text.span(), "that is no user", "write the name or number that `cordon run` runs as");
        }
        let socket = raw.socket.map_or_else(|| PathBuf::from(NETD_SOCKET), |path| self.folder(&path));
        Netd { socket, user }
    }
}

/// Where a zone's `address` stands.
fn address_span(table: &DeTable<'_>, zone: &Zone) -> Range<usize> {
    let zones = table.get("zone").and_then(|it| it.get_ref().as_array());
    let mut tables = zones.into_iter().flat_map(|it| it.iter()).filter_map(|it| it.get_ref().as_table());
    let named = |table: &&DeTable<'_>| {
        table.get("name").and_then(|it| it.get_ref().as_str()) == Some(zone.id.as_str())
    };
    tables.find(named).and_then(|it| it.get("address")).map_or(0..0, toml::Spanned::span)
}

/// Where netd listens if nothing else is said.
const NETD_SOCKET: &str = "/run/cordon/netd.sock";
