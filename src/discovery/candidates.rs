//! Cameras that were found in zones and could be enrolled: where each answers, and what it says of itself. Pure.
//!
//! A candidate is known by the address its own datagrams come from, and nothing else of it is ever called: of the
//! addresses that it gives, port and path are taken from the one that names this very address. All the rest is a claim.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::message::{Device, Kind};
use crate::{
    ids::ZoneId,
    limits::{CANDIDATE_SCOPES_MAX, CANDIDATES_PER_ZONE_MAX},
    schema::address::{Host, Uri},
};

/// All that were found since the start.
#[derive(Debug, Default)]
pub struct Candidates {
    zones: BTreeMap<ZoneId, BTreeMap<IpAddr, Candidate>>,
}

/// The event for a device that was found in a zone and is enrolled nowhere: [`DeviceFound`].
pub const DEVICE_FOUND: &str = "device-found";

/// What is put on record of one, by all that is known of it without a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFound {
    /// The zone it was heard in.
    pub zone: String,
    /// The address it speaks from.
    pub address: IpAddr,
    /// Its hardware address, as the zone's neighbour table has it.
    pub mac: Option<String>,
    /// The name it gives itself.
    pub endpoint: String,
    /// Who made it.
    pub vendor: String,
    /// That maker's class.
    pub class: String,
    /// Whether cameras of that class are treated as restricted.
    pub restricted: bool,
    /// What that follows from.
    pub reasons: Vec<String>,
}

impl DeviceFound {
    /// Whether another record would say nothing else of who it is.
    pub fn is_judged_like(&self, other: &Self) -> bool {
        (&self.mac, &self.vendor, &self.class) == (&other.mac, &other.vendor, &other.class)
    }
}

/// A device that could be a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The port of its device service.
    pub port: u16,
    /// Its path there.
    pub path: String,
    /// Whether that is had over TLS.
    pub secure: bool,
    /// The name that it keeps wherever it is.
    pub endpoint: String,
    /// Its scopes, the first ones.
    pub scopes: Vec<String>,
    /// When it was heard first.
    pub first: Timestamp,
    /// When it was heard last.
    pub last: Timestamp,
    /// How it was heard last.
    pub by: Kind,
    /// How often it was heard.
    pub times: u64,
    /// Where else the same name was heard, the latest one.
    pub also_at: Option<IpAddr>,
}

/// What a message of a device changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not known.
    New,
    /// It is another device than before at this address, by its name.
    Other,
    /// It was known.
    Same,
    /// It went.
    Gone,
    /// It says nothing that a camera would say.
    Nothing,
}

impl Candidates {
    /// Takes up what a device says of itself from an address in a zone.
    pub fn hear(&mut self, zone: &ZoneId, from: IpAddr, by: Kind, device: &Device, now: Timestamp) -> Change {
        let from = from.to_canonical();
        let all = self.zones.entry(zone.clone()).or_default();
        if by == Kind::Bye {
            // Only whoever came may go: another's word is none.
            let goes = all.get(&from).is_some_and(|it| it.endpoint == device.endpoint);
            return if goes && all.remove(&from).is_some() { Change::Gone } else { Change::Nothing };
        }
        if !device.is_of_onvif() {
            return Change::Nothing;
        }
        if !all.contains_key(&from) && all.len() >= CANDIDATES_PER_ZONE_MAX {
            // Whoever was silent for longest makes way, so that nobody's flood keeps what comes later out; of all who were
            // heard once only, as long as there are such: a flood of forged addresses puts nobody out who answers.
            let oldest =
                all.iter().min_by_key(|(_, it)| (it.times > 1, it.last)).map(|(address, _)| *address);
            oldest.map(|it| all.remove(&it));
        }
        let before = all.get(&from);
        let change = match before {
            None => Change::New,
            Some(before) if before.endpoint == device.endpoint => Change::Same,
            Some(_) => Change::Other,
        };
        let (first, times) = match (before, change) {
            (Some(before), Change::Same) => (before.first, before.times.saturating_add(1)),
            _ => (now, 1),
        };
        let named = |(address, it): (&IpAddr, &Candidate)| {
            (*address != from && !device.endpoint.is_empty() && it.endpoint == device.endpoint)
                .then_some((it.last, *address))
        };
        let also_at = all.iter().filter_map(named).max().map(|(_, address)| address);
        let (port, path, secure) = service(from, device);
        let scopes = device.scopes.iter().take(CANDIDATE_SCOPES_MAX).cloned().collect();
        let endpoint = device.endpoint.clone();
        all.insert(
            from,
            Candidate { port, path, secure, endpoint, scopes, first, last: now, by, times, also_at },
        );
        change
    }

    /// Forgets zones that are not there any more.
    pub fn keep(&mut self, is_there: impl Fn(&ZoneId) -> bool) {
        self.zones.retain(|zone, _| is_there(zone));
    }

    /// All of them, by zone and address.
    pub fn iter(&self) -> impl Iterator<Item = (&ZoneId, IpAddr, &Candidate)> {
        self.zones.iter().flat_map(|(zone, all)| all.iter().map(move |(address, it)| (zone, *address, it)))
    }
}

/// Where the device service is had at the very address that a device speaks from.
fn service(from: IpAddr, device: &Device) -> (u16, String, bool) {
    let here = device.addresses.iter().filter_map(|it| {
        let uri = Uri::parse(it)?;
        let secure = uri.scheme.eq_ignore_ascii_case("https");
        let known = secure || uri.scheme.eq_ignore_ascii_case("http");
        let plain = uri.userinfo.is_none() && uri.query.is_none() && uri.fragment.is_none();
        let own = matches!(uri.host, Host::Ip(host) if host.to_canonical() == from);
        let port = uri.port.unwrap_or(if secure { 443 } else { 80 });
        let path = if uri.path.is_empty() { "/" } else { uri.path };
        (known && plain && own && port > 0).then(|| (port, path.to_owned(), secure))
    });
    // In clear before TLS: so most cameras are enrolled.
    here.min_by_key(|(_, _, secure)| *secure).unwrap_or((80, DEVICE_PATH.to_owned(), false))
}

/// Where it is had usually.
pub const DEVICE_PATH: &str = "/onvif/device_service";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::DISCOVERY_LIST_MAX;

    fn device(endpoint: &str, addresses: &[&str]) -> Device {
        Device {
            endpoint: endpoint.into(),
            scopes: vec!["onvif://www.onvif.org/name/Gate%201".into()],
            addresses: addresses.iter().map(|it| (*it).to_owned()).collect(),
            ..Device::default()
        }
    }

    fn zone() -> ZoneId {
        ZoneId::new("yard").unwrap()
    }

    fn at(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    fn only(candidates: &Candidates) -> (IpAddr, Candidate) {
        let [(_, address, candidate)] = candidates.iter().collect::<Vec<_>>()[..] else {
            panic!("{candidates:?}")
        };
        (address, candidate.clone())
    }

    /// What is called is where it spoke from, whatever it says.
    #[test]
    fn a_candidate_is_where_it_speaks_from() {
        let usual = (80, DEVICE_PATH.to_owned(), false);
        for (addresses, service) in [
            (&["http://192.0.2.9/onvif/device_service"][..], usual.clone()),
            (&["http://192.0.2.9:8000/x/y"], (8000, "/x/y".to_owned(), false)),
            (&["https://192.0.2.9/a", "http://192.0.2.9:81/b"], (81, "/b".to_owned(), false)),
            (&["https://192.0.2.9:8443"], (8443, "/".to_owned(), true)),
            // One of the core's, off the link, by name, of IPv6, with a login or a question, no address at all.
            (&["http://10.77.0.2:9080/admin"], usual.clone()),
            (
                &["http://169.254.7.7/a", "http://[fe80::1]/b", "http://192.0.2.9:82/c"],
                (82, "/c".to_owned(), false),
            ),
            (&["http://camera.example/a", "http://u:p@192.0.2.9/b", "http://192.0.2.9/c?d=e"], usual.clone()),
            (&["rtsp://192.0.2.9/a", "http://192.0.2.9:0/b", "nonsense", ""], usual.clone()),
            (&[], usual.clone()),
        ] {
            let mut candidates = Candidates::default();
            let device = device("urn:uuid:1", addresses);
            let heard = candidates.hear(
                &zone(),
                at("::ffff:192.0.2.9"),
                Kind::ProbeMatches,
                &device,
                Timestamp::UNIX_EPOCH,
            );
            let (address, candidate) = only(&candidates);
            assert_eq!((heard, address), (Change::New, at("192.0.2.9")), "{addresses:?}");
            assert_eq!((candidate.port, candidate.path, candidate.secure), service, "{addresses:?}");
        }
    }

    #[test]
    fn a_device_is_known_by_its_name_wherever_it_is() {
        let mut candidates = Candidates::default();
        let second = |seconds| Timestamp::from_second(seconds).unwrap();
        let mut hear = |address: &str, name: &str, kind, now| {
            candidates.hear(&zone(), at(address), kind, &device(name, &[]), second(now))
        };
        assert_eq!(hear("192.0.2.9", "urn:uuid:1", Kind::Hello, 1), Change::New);
        assert_eq!(hear("192.0.2.9", "urn:uuid:1", Kind::ProbeMatches, 2), Change::Same);
        assert_eq!(hear("192.0.2.8", "urn:uuid:1", Kind::Hello, 3), Change::New);
        assert_eq!(hear("192.0.2.7", "urn:uuid:2", Kind::Bye, 3), Change::Nothing, "it never came");
        assert_eq!(hear("192.0.2.9", "urn:uuid:2", Kind::Bye, 3), Change::Nothing, "another's word");
        assert_eq!(hear("192.0.2.9", "urn:uuid:1", Kind::Bye, 4), Change::Gone);
        let (address, candidate) = only(&candidates);
        assert_eq!((address, candidate.also_at), (at("192.0.2.8"), Some(at("192.0.2.9"))));
        let mut other =
            |name| candidates.hear(&zone(), at("192.0.2.8"), Kind::Hello, &device(name, &[]), second(5));
        assert_eq!(other("urn:uuid:3"), Change::Other);
        assert_eq!((only(&candidates).1.first, only(&candidates).1.times), (second(5), 1));
        candidates.keep(|_| false);
        assert_eq!(candidates.iter().count(), 0);
    }

    #[test]
    fn there_is_place_for_so_many_and_printers_have_none() {
        let mut candidates = Candidates::default();
        let printer = Device { endpoint: "urn:uuid:1".into(), ..Device::default() };
        let address = |number: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number));
        let mut heard = 0;
        let mut hear = |number: u32, device: &Device| {
            heard += 1;
            let now = Timestamp::from_second(heard).unwrap();
            candidates.hear(&zone(), address(number), Kind::Hello, device, now)
        };
        assert_eq!(hear(0, &printer), Change::Nothing);
        let many = Device {
            scopes: vec!["onvif://www.onvif.org/name/x".into(); DISCOVERY_LIST_MAX],
            ..device("urn:uuid:1", &["http://x/"; DISCOVERY_LIST_MAX])
        };
        let most = u32::try_from(CANDIDATES_PER_ZONE_MAX).unwrap();
        assert!((0..most).all(|number| hear(number, &many) == Change::New));
        assert_eq!(hear(0, &many), Change::Same, "who is known has a place");
        assert_eq!(hear(most, &many), Change::New);
        assert_eq!(candidates.iter().count(), CANDIDATES_PER_ZONE_MAX);
        let there = |number| candidates.iter().any(|(_, it, _)| it == address(number));
        assert_eq!(
            [0, 1, 2, most].map(there),
            [true, false, true, true],
            "the one silent for longest made way"
        );
        assert!(candidates.iter().all(|(_, _, it)| it.scopes.len() == CANDIDATE_SCOPES_MAX));
        // Who was heard twice stays whatever comes; of the others, none before the flood does.
        let mut forged = |number: u32| {
            let now = Timestamp::from_second(10_000 + i64::from(number)).unwrap();
            candidates.hear(&zone(), address(number), Kind::Hello, &many, now)
        };
        assert!((2 * most..4 * most).all(|number| forged(number) == Change::New));
        let there = |number| candidates.iter().any(|(_, it, _)| it == address(number));
        assert_eq!([0, 2, most, 4 * most - 1].map(there), [true, false, false, true]);
    }
}
