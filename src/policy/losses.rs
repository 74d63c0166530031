//! What clients can do under one configuration and no longer can under another.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{
    Engine,
    expectations::{Held, command, rows},
};
use crate::{
    auth::{Caller, ClientRecord, Method},
    ids::{CameraId, ClientId},
    inventory::{Camera, Inventory},
    limits::RELOAD_DECISIONS_MAX,
    schema::Tables,
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
    /// that both sides let it address: with a document that holds nothing that matters, and with one that holds
    /// all but addresses.
    pub fn between(tables: &Tables, before: Side<'_>, after: Side<'_>) -> Self {
        let rows = rows(tables);
        let mut losses = Self { found: Vec::new(), complete: true };
        let mut decisions = 0;
        for was in before.clients {
            let Some(is) = after.clients.iter().find(|it| it.id == was.id) else { continue };
            let (Some(caller_before), Some(caller_after)) = (caller(was), caller(is)) else { continue };
            for (camera, now, alike) in kinds(was, is, before.inventory, after.inventory) {
                decisions += 4 * rows.len();
                if decisions > RELOAD_DECISIONS_MAX {
                    losses.complete = false;
                    return losses;
                }
                let loses = |(name, row): &(&String, &_)| {
                    [Held::Plain, Held::Loaded].into_iter().any(|held| {
                        let asked = command(name, row, camera, held);
                        before.engine.decide(&caller_before, &asked, Some(camera)).allow
                            && !after.engine.decide(&caller_after, &asked, Some(now)).allow
                    })
                };
                let operations: Vec<String> =
                    rows.iter().filter(loses).map(|(name, _)| name.clone()).collect();
                if !operations.is_empty() {
                    let (client, camera) = (was.id.clone(), camera.id.clone());
                    losses.found.push(Loss { client, camera, alike, operations });
                }
            }
        }
        losses
    }
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

fn caller(client: &ClientRecord) -> Option<Caller> {
    Some(Caller::Client {
        id: client.id.clone(),
        role: client.role,
        source: SocketAddr::new(client.networks.first()?.addr(), 0),
        method: Method::DigestSha256,
        tls: false,
    })
}
