//! Cameras that were found in zones, as the admin listener shows them.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    discovery::{Candidate, Kind},
    ids::ZoneId,
    inventory::{Acquaintances, Evidence, Inventory, MacAddress, SignalKind},
};

/// One camera that was found, and what is known of it without a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateRow {
    /// The zone it was heard in.
    pub zone: String,
    /// The address it speaks from.
    pub address: IpAddr,
    /// The port of its device service there.
    pub port: u16,
    /// Its path.
    pub path: String,
    /// Whether that is had over TLS.
    pub tls: bool,
    /// The name it keeps wherever it is.
    pub endpoint: String,
    /// Its hardware address, as the zone's neighbour table has it.
    pub mac: Option<MacAddress>,
    /// The scopes it gives itself.
    pub scopes: Vec<String>,
    /// Who made it, by all that.
    pub vendor: String,
    /// That maker's class.
    pub class: String,
    /// Whether cameras of that class are treated as restricted.
    pub is_strict: bool,
    /// Why.
    pub reasons: Vec<String>,
    /// When it was heard first.
    pub first: Timestamp,
    /// When it was heard last.
    pub last: Timestamp,
    /// How it was heard last: `hello` or `answer`.
    pub by: String,
    /// How often.
    pub times: u64,
    /// Where else the same name was heard.
    pub also_at: Option<IpAddr>,
    /// The cameras that are enrolled at this address.
    pub enrolled: Vec<String>,
    /// The cameras that it is known as, wherever they are enrolled, and by what: a MAC address, a name in discovery, a
    /// serial number.
    pub known_as: Vec<KnownAs>,
}

/// A camera that a candidate is known as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownAs {
    /// Which.
    pub camera: String,
    /// By what.
    pub by: Vec<String>,
}

impl CandidateRow {
    /// Judges a candidate by what is known of it.
    pub fn of(
        zone: &ZoneId,
        address: IpAddr,
        candidate: &Candidate,
        mac: Option<MacAddress>,
        inventory: &Inventory,
        known: &Acquaintances,
    ) -> Self {
        let mut evidence = Evidence::default();
        evidence.add(SignalKind::Endpoint, &candidate.endpoint);
        candidate.scopes.iter().for_each(|scope| evidence.add_scope(scope));
        if let Some(mac) = mac {
            evidence.add(SignalKind::Mac, &mac.to_string());
        }
        let verdict = inventory.vendors().judge(None, &evidence, None).verdict;
        let known_as = known.known_as(&evidence).into_iter();
        let known_as = known_as.map(|(camera, by)| KnownAs {
            camera: camera.to_string(),
            by: by.into_iter().map(|it| it.as_str().to_owned()).collect(),
        });
        let there = inventory.cameras().filter(|it| it.zone == *zone && it.address.host == address);
        Self {
            zone: zone.to_string(),
            address,
            port: candidate.port,
            path: candidate.path.clone(),
            tls: candidate.secure,
            endpoint: candidate.endpoint.clone(),
            mac,
            scopes: candidate.scopes.clone(),
            vendor: verdict.name.clone(),
            class: verdict.class.to_string(),
            is_strict: verdict.class.is_restricted(),
            reasons: verdict.reasons.clone(),
            first: candidate.first,
            last: candidate.last,
            by: if candidate.by == Kind::Hello { "hello" } else { "answer" }.to_owned(),
            times: candidate.times,
            also_at: candidate.also_at,
            enrolled: there.map(|it| it.id.to_string()).collect(),
            known_as: known_as.collect(),
        }
    }
}
