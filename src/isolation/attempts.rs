//! What the kernel counted of what it dropped, as typed entries.

use std::net::IpAddr;

use serde_json::Value;

use super::{
    kernel::{self, NetError},
    residents::{COUNTS, FORGED, Residents},
    ruleset::TABLE,
    wire::{Attempt, Attempts, Claim, ClaimKind, FrameAttempt, ResidentCount},
};
use crate::{
    inventory::MacAddress,
    limits::{ATTEMPT_ENTRIES_MAX, ATTEMPTS_READ_TRIES_MAX, RULES_BEFORE_MAX},
};

/// Reads the counts of a zone's namespace, where these are held to their hardware addresses. As long as nobody has said
/// who is, no claims are: whoever is right could be taken for the forger.
pub(super) fn count(namespace: &str, residents: Option<&Residents>) -> Result<Attempts, NetError> {
    let mut tables = || -> Result<_, NetError> {
        // A namespace that is made anew numbers its tables from 1 again.
        let made = kernel::made(namespace)?;
        Ok((tables(&kernel::listed(namespace, &["list", "tables"])?), made))
    };
    let (counted, (tables, made)) = of_one_load(&mut tables, &mut || count_once(namespace, residents))?;
    let numbers = if tables.is_empty() { Vec::new() } else { [&tables[..], &made].concat() };
    Ok(Attempts { tables: numbers, ..counted })
}

/// Reads something between two looks at which tables there are, until these are the same: what was read while rules were
/// loaded anew is of two tables, and would count twice.
fn of_one_load<T, S: PartialEq>(
    tables: &mut dyn FnMut() -> Result<S, NetError>,
    read: &mut dyn FnMut() -> Result<T, NetError>,
) -> Result<(T, S), NetError> {
    for _ in 0..ATTEMPTS_READ_TRIES_MAX {
        let before = tables()?;
        let counted = read();
        if tables()? == before {
            return Ok((counted?, before));
        }
    }
    Err(NetError::Unsteady)
}

/// The numbers of the gateway's tables.
fn tables(listed: &Value) -> Vec<u64> {
    let objects = listed.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let own =
        objects.filter_map(|it| it.get("table")).filter(|it| it.get("name").is_some_and(|it| it == TABLE));
    let mut numbers: Vec<_> = own.filter_map(|it| it.get("handle")?.as_u64()).collect();
    numbers.sort_unstable();
    numbers
}

/// What rules had counted that are gone, `last` the last of them, followed by those before them: as many as in all hold no
/// more entries than one set of rules can.
pub(super) fn replaced(earlier: Option<Attempts>, last: Attempts) -> Attempts {
    let mut all = vec![last];
    let mut next = earlier;
    while let Some(mut it) = next {
        next = it.before.take().map(|it| *it);
        all.push(it);
    }
    let entries = |it: &Attempts| it.packets.len() + it.frames.len() + it.claims.as_ref().map_or(0, Vec::len);
    let mut sum = 0;
    let few = |it: &&Attempts| {
        sum += entries(it);
        sum <= ATTEMPT_ENTRIES_MAX
    };
    let room = all.iter().take(RULES_BEFORE_MAX).take_while(few).count();
    all.truncate(room.max(1));
    let chained =
        all.into_iter().rev().reduce(|before, it| Attempts { before: Some(Box::new(before)), ..it });
    chained.unwrap_or_default()
}

fn count_once(namespace: &str, residents: Option<&Residents>) -> Result<Attempts, NetError> {
    let claims = residents.map(|_| Vec::new());
    let mut counted = Attempts { claims, ..Attempts::default() };
    // The sums first: what is dropped meanwhile is then in the entries alone, and no part of a sum is nobody's.
    for (family, chain) in [("netdev", "ingress"), ("netdev", FORGED), ("inet", "input"), ("inet", "forward")]
    {
        read(&kernel::listed(namespace, &["list", "chain", family, TABLE, chain])?, residents, &mut counted);
    }
    let dropped = std::mem::take(&mut counted.dropped);
    // Protocols as numbers, of which every name file has other names.
    for family in ["netdev", "inet"] {
        read(&kernel::listed(namespace, &["-n", "list", "table", family, TABLE])?, residents, &mut counted);
    }
    // Types of frames as names where there are any: as numbers, those have their bytes swapped.
    counted.frames.clear();
    read(
        &kernel::listed(namespace, &["list", "set", "netdev", TABLE, "attempts_other"])?,
        residents,
        &mut counted,
    );
    Ok(Attempts { dropped, ..counted })
}

/// Takes up the objects of one table as `nft -j` lists them. What is in no form that is known is left out: it is
/// still in the sum.
fn read(listed: &Value, residents: Option<&Residents>, counted: &mut Attempts) {
    let objects = listed.get("nftables").and_then(Value::as_array).into_iter().flatten();
    for object in objects {
        if let Some(set) = object.get("set") {
            let elements = set.get("elem").and_then(Value::as_array).into_iter().flatten();
            for element in elements.filter_map(|it| it.get("elem")) {
                entry(set, element, residents, counted);
            }
        }
        if let Some(rule) = object.get("rule") {
            counted.dropped = counted.dropped.saturating_add(dropped(rule).unwrap_or(0));
        }
    }
}

/// What a rule dropped that counts and drops.
fn dropped(rule: &Value) -> Option<u64> {
    // What leaves is the gateway's own.
    if rule.get("chain")?.as_str()? == "output" {
        return None;
    }
    let expressions = rule.get("expr")?.as_array()?;
    expressions.last()?.get("drop")?;
    expressions.iter().find_map(|it| it.pointer("/counter/packets")?.as_u64())
}

fn entry(set: &Value, element: &Value, residents: Option<&Residents>, counted: &mut Attempts) -> Option<()> {
    let number = |name: &str| element.pointer(name).and_then(Value::as_u64);
    let (packets, bytes) = (number("/counter/packets")?, number("/counter/bytes")?);
    let arrived = set.get("family").and_then(Value::as_str) == Some("inet");
    let set = set.get("name")?.as_str()?;
    // Keys of one part are listed by themselves.
    if COUNTS.iter().any(|(name, _)| *name == set) {
        let address = element.get("val")?.as_str()?.parse().ok()?;
        counted.residents.push(ResidentCount { address, arrived, packets });
        return Some(());
    }
    let key = element.pointer("/val/concat")?.as_array()?;
    let address = |at: usize| key.get(at)?.as_str()?.parse::<IpAddr>().ok();
    let mac = |at: usize| key.get(at)?.as_str()?.parse::<MacAddress>().ok();
    match set {
        "attempts4" | "attempts6" => counted.packets.push(Attempt {
            arrived,
            source: address(0)?,
            destination: address(1)?,
            protocol: u8::try_from(known(key.get(2)?, &PROTOCOLS)?).ok()?,
            port: u16::try_from(known(key.get(3)?, &[])?).ok()?,
            packets,
            bytes,
        }),
        "attempts_other" => counted.frames.push(FrameAttempt {
            source: key.first()?.as_str()?.to_owned(),
            ether_type: u16::try_from(known(key.get(1)?, &FRAME_TYPES)?).ok()?,
            packets,
            bytes,
        }),
        "claims4" | "claims6" | "claims6_target" | "forged4" | "forged6" => {
            let claim = claim(set, &mac, &address, residents?, packets)?;
            counted.claims.get_or_insert_default().push(claim);
        }
        _ => return None,
    }
    Some(())
}

/// A claim that one of the sets of claims counted.
fn claim(
    set: &str,
    mac: &dyn Fn(usize) -> Option<MacAddress>,
    address: &dyn Fn(usize) -> Option<IpAddr>,
    residents: &Residents,
    packets: u64,
) -> Option<Claim> {
    let frame = mac(0)?;
    Some(match set {
        "claims4" => {
            let (named, claimed) = (mac(1)?, address(2)?);
            let claimant = claimant(frame, named, claimed, residents);
            let (named, claimed) = (Some(named), Some(claimed));
            Claim { frame, named, from: None, claimant, claimed, kind: ClaimKind::Arp, packets }
        }
        // Whose address is advertised is not told, only who says so.
        "claims6_target" => {
            let (from, kind) = (address(1), ClaimKind::Discovery);
            Claim { frame, named: None, from, claimant: Some(frame), claimed: None, kind, packets }
        }
        other => {
            let (claimed, claims) = (address(1), other.starts_with("claims"));
            let kind = if claims { ClaimKind::Discovery } else { ClaimKind::Source };
            Claim { frame, named: None, from: None, claimant: Some(frame), claimed, kind, packets }
        }
    })
}

/// Who claims an address by ARP: whoever's frame it is; if that is sent as the true owner's, whom it names. Never the one
/// whose address it is, and nobody if that is not known any more.
fn claimant(
    frame: MacAddress,
    named: MacAddress,
    claimed: IpAddr,
    residents: &Residents,
) -> Option<MacAddress> {
    match residents.of_address(claimed) {
        Some(owner) if owner == frame => Some(named),
        Some(_) => Some(frame),
        None if residents.is_own(claimed) => Some(frame),
        None => (frame == named).then_some(frame),
    }
}

/// A number, or a word that `nft` has for it.
fn known(value: &Value, words: &[(&str, u64)]) -> Option<u64> {
    let Some(text) = value.as_str() else { return value.as_u64() };
    let named = words.iter().find(|(word, _)| *word == text).map(|(_, number)| *number);
    let hex = || u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    named.or_else(|| text.parse().ok()).or_else(hex)
}

/// Protocols that `nft` names (nft(8), INET_PROTO), in the numbers of IANA.
const PROTOCOLS: [(&str, u64); 12] = [
    ("icmp", 1),
    ("igmp", 2),
    ("tcp", 6),
    ("udp", 17),
    ("dccp", 33),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("ipv6-icmp", 58),
    ("comp", 108),
    ("sctp", 132),
    ("udplite", 136),
];

/// Types of frames that `nft` names.
const FRAME_TYPES: [(&str, u64); 6] = [
    ("ip", 0x0800),
    ("arp", 0x0806),
    ("8021q", 0x8100),
    ("vlan", 0x8100),
    ("ip6", 0x86dd),
    ("8021ad", 0x88a8),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        ids::ZoneId,
        inventory::{Attachment, Leg},
        isolation::{Desired, Resident},
    };

    #[test]
    fn entries_are_read_with_names_and_numbers_and_the_rest_is_in_the_sum() {
        let element = |key: Value, packets: u64| json!({ "elem": { "val": { "concat": key }, "expires": 9, "counter": { "packets": packets, "bytes": 64 } } });
        let set = |name: &str, elements: Vec<Value>| json!({ "set": { "name": name, "elem": elements } });
        let rule = |chain: &str, packets: u64, verdict: &str| json!({ "rule": { "chain": chain, "expr": [{ "counter": { "packets": packets, "bytes": 1 } }, { verdict: null }] } });
        let listed = json!({ "nftables": [
            { "metainfo": {} },
            { "table": { "family": "netdev", "name": "cordon", "handle": 7 } },
            { "table": { "family": "netdev", "name": "strange", "handle": 4 } },
            { "table": { "family": "inet", "name": "cordon", "handle": 6 } },
            set("attempts4", vec![
                element(json!(["192.0.2.7", "203.0.113.9", "udp", 53]), 3),
                element(json!(["192.0.2.7", "203.0.113.9", 1, 0]), 1),
                element(json!(["192.0.2.7", "nowhere", "udp", 53]), 1),
            ]),
            set("attempts6", vec![element(json!(["fe80::1", "ff02::2", "ipv6-icmp", 0]), 2)]),
            set("attempts_other", vec![
                element(json!(["02:00:00:00:00:01", "8021q"]), 4),
                element(json!(["02:00:00:00:00:01", 35020]), 5),
            ]),
            set("claims4", vec![
                element(json!(["02:66:00:00:00:01", "02:66:00:00:00:01", "192.0.2.7"]), 6),
                element(json!(["44:19:b6:00:00:07", "02:66:00:00:00:02", "192.0.2.7"]), 7),
                element(json!(["44:19:b6:00:00:08", "02:66:00:00:00:02", "192.0.2.8"]), 5),
            ]),
            set("claims6_target", vec![element(json!(["02:66:00:00:00:03", "fe80::1"]), 8)]),
            set("forged4", vec![element(json!(["02:66:00:00:00:01", "192.0.2.7"]), 9)]),
            { "set": { "family": "inet", "name": "resident_attempts4", "elem": [
                { "elem": { "val": "192.0.2.7", "expires": 9, "counter": { "packets": 10, "bytes": 1 } } },
            ] } },
            rule("ingress", 16, "drop"), rule("output", 100, "drop"), rule("input", 100, "accept"),
        ] });
        let mut counted = Attempts::default();
        read(&listed, Some(&residents()), &mut counted);
        let packets: Vec<_> = counted
            .packets
            .iter()
            .map(|it| format!("{}>{} {}/{} {}", it.source, it.destination, it.protocol, it.port, it.packets))
            .collect();
        assert_eq!(
            packets,
            ["192.0.2.7>203.0.113.9 17/53 3", "192.0.2.7>203.0.113.9 1/0 1", "fe80::1>ff02::2 58/0 2",]
        );
        let frames: Vec<_> = counted.frames.iter().map(|it| (it.ether_type, it.packets)).collect();
        assert_eq!((frames, counted.dropped), (vec![(0x8100, 4), (35_020, 5)], 16));
        assert_eq!(tables(&listed), [6, 7], "somebody else's does not count");
        let held = ResidentCount { address: "192.0.2.7".parse().unwrap(), arrived: true, packets: 10 };
        assert_eq!(counted.residents, [held]);
        let who = |it: &Claim| it.claimant.map_or("nobody".to_owned(), |it| it.to_string());
        let told = |it: &Claim| format!("{} claims {:?} {}: {}", who(it), it.claimed, it.kind, it.packets);
        let claims: Vec<_> = counted.claims.unwrap().iter().map(told).collect();
        assert_eq!(
            claims,
            [
                "02:66:00:00:00:01 claims Some(192.0.2.7) by ARP: 6",
                // In a frame that is sent as the true owner's: never the one whose address it is.
                "02:66:00:00:00:02 claims Some(192.0.2.7) by ARP: 7",
                // Held no more: whose frame it is may be right.
                "nobody claims Some(192.0.2.8) by ARP: 5",
                "02:66:00:00:00:03 claims None by neighbour discovery: 8",
                "02:66:00:00:00:01 claims Some(192.0.2.7) as a source: 9",
            ]
        );
        let mut unsaid = Attempts::default();
        read(&listed, None, &mut unsaid);
        assert_eq!((unsaid.claims, unsaid.packets.len()), (None, 3), "nobody has said who is resident");
    }

    #[test]
    fn what_is_read_while_rules_are_loaded_is_read_again() {
        let reads = |tables: &[u64]| {
            let (mut tables, mut reads) = (tables.iter(), 0);
            let mut read = || {
                reads += 1;
                Ok(reads)
            };
            of_one_load(&mut || Ok(*tables.next().unwrap()), &mut read).map_err(|error| error.to_string())
        };
        assert_eq!(reads(&[1, 1]), Ok((1, 1)));
        assert_eq!(reads(&[1, 3, 3, 5, 5, 5]), Ok((3, 5)));
        let without_end: Vec<u64> = (0..2 * ATTEMPTS_READ_TRIES_MAX as u64).collect();
        assert!(reads(&without_end).unwrap_err().contains("loaded anew again and again"));
        let mut tables = [1, 2, 2, 2].into_iter();
        let mut tries = [Err(NetError::Panicked), Ok("read")].into_iter();
        let read = of_one_load(&mut || Ok(tables.next().unwrap()), &mut || tries.next().unwrap());
        assert_eq!(read.unwrap(), ("read", 2), "what failed while they were loaded is tried again");
    }

    #[test]
    fn rules_that_are_gone_are_remembered_within_a_bound() {
        let counted = |number: u64, entries: usize| {
            let frame = FrameAttempt { source: String::new(), ether_type: 0, packets: 1, bytes: 1 };
            Attempts { tables: vec![number], frames: vec![frame; entries], ..Attempts::default() }
        };
        let remembered = |entries: &[usize]| {
            let all = entries.iter().zip(1..).map(|(entries, number)| counted(number, *entries));
            let all = all.fold(None, |earlier, it| Some(replaced(earlier, it)));
            let chain = std::iter::successors(all.as_ref(), |it| it.before.as_deref());
            chain.flat_map(|it| it.tables.clone()).collect::<Vec<_>>()
        };
        assert_eq!(remembered(&[1, 1, 1]), [3, 2, 1], "the last first");
        let most: Vec<u64> = (2..=RULES_BEFORE_MAX as u64 + 1).rev().collect();
        assert_eq!(remembered(&[1; RULES_BEFORE_MAX + 1]), most);
        assert_eq!(remembered(&[1, ATTEMPT_ENTRIES_MAX - 1, 1]), [3, 2], "as many entries as rules can have");
        assert_eq!(remembered(&[1, ATTEMPT_ENTRIES_MAX, 1]), [3]);
        assert_eq!(remembered(&[1, ATTEMPT_ENTRIES_MAX + 1]), [2], "the last in any case");
    }

    fn residents() -> Residents {
        let leg = Leg {
            attachment: Attachment::Interface("eth1".into()),
            addresses: vec!["192.0.2.1/24".parse().unwrap()],
            routes: Vec::new(),
        };
        let zone = Desired {
            zone: ZoneId::new("yard").unwrap(),
            prefixes: Vec::new(),
            leg,
            event_sink: None,
            residents: None,
            beside: [].into(),
        };
        let mac = "44:19:b6:00:00:07".parse().unwrap();
        Residents::of(&zone, &[Resident { address: "192.0.2.7".parse().unwrap(), mac }])
    }
}
