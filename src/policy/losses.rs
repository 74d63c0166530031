//! What clients can do under one configuration and no longer can under another.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{
    Engine,
    walk::{Held, Row, rows},
};
use crate::{
    auth::{Caller, ClientRecord, Method},
    command::{Destination, DestinationKind},
    ids::{CameraId, ClientId},
    inventory::{Camera, Inventory, Network},
    limits::RELOAD_DECISIONS_MAX,
    schema::{Tables, Trait},
};

/// One of two configurations.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Its policies.
    pub engine: &'a Engine,
    /// Its cameras.
    pub inventory: &'a Inventory,
    /// Its clients.
    pub clients: &'a [ClientRecord],
}

/// Operations that a client loses at a camera.
#[derive(Debug, PartialEq, Eq)]
pub struct Loss {
    /// The client.
    pub client: ClientId,
    /// The camera.
    pub camera: CameraId,
    /// How many more cameras of the same vendor, site and zone the client may address; they were not asked about.
    pub alike: usize,
    /// The operations.
    pub operations: Vec<String>,
}

/// What clients lose.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// The losses, by client and camera.
    pub found: Vec<Loss>,
    /// Whether all was asked that is to be asked: not more than `RELOAD_DECISIONS_MAX` decisions are made.
    pub complete: bool,
}

impl Losses {
    /// Asks about every operation, for each client that both sides have, at one camera of each vendor, site and zone
    /// that both sides let it address: with a document that holds nothing that matters, with one that holds
    /// all but addresses, and with one that holds an address in each of its named networks. Over TLS and in clear where
    /// that makes a difference.
    pub fn between(tables: &Tables, before: Side<'_>, after: Side<'_>) -> Self {
        let mut rows = rows(tables);
        rows.retain(|_, row| !row.of_appliance);
        let questions = questions(&rows, before, after);
        let mut losses = Self { found: Vec::new(), complete: true };
        let mut decisions = 0;
        for was in before.clients {
            let Some(is) = after.clients.iter().find(|it| it.id == was.id) else { continue };
            let callers = [false, true].map(|tls| Some((tls, caller(was, tls)?, caller(is, tls)?)));
            for (camera, now, alike) in kinds(was, is, before.inventory, after.inventory) {
                decisions += 2 * questions.len();
                if decisions > RELOAD_DECISIONS_MAX {
                    losses.complete = false;
                    return losses;
                }
                let mut operations: Vec<String> = Vec::new();
                for Question { row, told, held, network, tls } in &questions {
                    let mut asked = row.command(Some(camera), *held);
                    asked.destinations.extend(network.iter().cloned());
                    let lost = callers.iter().flatten().filter(|it| it.0 == *tls).any(|(_, was, is)| {
                        before.engine.decide(was, &asked, Some(camera)).allow
                            && !after.engine.decide(is, &asked, Some(now)).allow
                    });
                    if lost && operations.last() != Some(told) {
                        operations.push(told.clone());
                    }
                }
                if !operations.is_empty() {
                    let (client, camera) = (was.id.clone(), camera.id.clone());
                    losses.found.push(Loss { client, camera, alike, operations });
                }
            }
        }
        losses
    }
}

/// What is asked about a camera.
struct Question<'a> {
    row: &'a Row,
    /// The operation, and what is in question of it, in words.
    told: String,
    held: Held,
    /// A place in a named network.
    network: Option<Destination>,
    tls: bool,
}

fn questions<'a>(rows: &'a BTreeMap<String, Row>, before: Side<'_>, after: Side<'_>) -> Vec<Question<'a>> {
    let place = |network: &Network| {
        let address = network.prefixes.first()?.addr();
        let (host, address) = (address.to_string(), Some(address));
        Some((
            network.name.clone(),
            Destination { kind: DestinationKind::Declared, host, address, port: None },
        ))
    };
    let places: Vec<_> = before.inventory.networks().iter().filter_map(place).collect();
    let mut questions = Vec::new();
    for (name, row) in rows {
        let by_tls = [before, after].iter().any(|it| it.engine.looks_at(name, "tls"));
        for tls in if by_tls { [Some(false), Some(true)] } else { [Some(false), None] }.into_iter().flatten()
        {
            let how = if by_tls { if tls { " over TLS" } else { " in clear" } } else { "" };
            let question = |held, network: Option<(&str, Destination)>| {
                let to =
                    network.as_ref().map_or_else(String::new, |(name, _)| format!(" to a host in `{name}`"));
                let (told, network) = (format!("{name}{to}{how}"), network.map(|(_, place)| place));
                Question { row, told, held, network, tls }
            };
            questions.extend([Held::Plain, Held::Loaded].map(|held| question(held, None)));
            if row.always.union(row.by_document).contains(Trait::Egress) {
                let to = |(name, place): &(String, Destination)| {
                    question(Held::Loaded, Some((name, place.clone())))
                };
                questions.extend(places.iter().map(to));
            }
        }
    }
    questions
}

/// One camera of each kind that a client may address on both sides, as it was and as it is, and how many more of
/// that kind there are.
fn kinds<'a>(
    was: &ClientRecord,
    is: &ClientRecord,
    before: &'a Inventory,
    after: &'a Inventory,
) -> Vec<(&'a Camera, &'a Camera, usize)> {
    let kind =
        |it: &Camera| (it.vendor.name.clone(), it.vendor.class.as_str(), it.site.clone(), it.zone.clone());
    let mut kinds = BTreeMap::new();
    for camera in before.cameras().filter(|it| was.cameras.contains(&it.id) && is.cameras.contains(&it.id)) {
        let Some(now) = after.camera(&camera.id) else { continue };
        kinds.entry((kind(camera), kind(now))).or_insert((camera, now, 0)).2 += 1;
    }
    kinds.into_values().map(|(camera, now, all)| (camera, now, all - 1)).collect()
}

fn caller(client: &ClientRecord, tls: bool) -> Option<Caller> {
    Some(Caller::Client {
        id: client.id.clone(),
        role: client.role,
        source: SocketAddr::new(client.networks.first()?.addr(), 0),
        method: Method::DigestSha256,
        tls,
    })
}
