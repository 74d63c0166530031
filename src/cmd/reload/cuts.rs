//! What a reload would cut, for people: who loses what.

use std::net::SocketAddr;

use super::changes::Changes;
use crate::{
    auth::{Caller, ClientRecord},
    cmd::configuration::Configuration,
    command::Prompt,
    inventory::Camera,
    limits::RELOAD_OPERATIONS_SHOWN_MAX,
    listener::Edition,
    policy::{Loss, Losses, Side},
    schema::Tables,
};

/// A configuration and what is made of it.
#[derive(Clone, Copy)]
pub(super) struct Whole<'a> {
    pub(super) configuration: &'a Configuration,
    pub(super) edition: &'a Edition,
}

impl Whole<'_> {
    fn side(&self) -> Side<'_> {
        let loaded = &self.configuration.loaded;
        Side { engine: self.edition.rules.engine(), inventory: &loaded.inventory, clients: &loaded.clients }
    }

    fn client(&self, name: &str) -> Option<&ClientRecord> {
        self.configuration.loaded.clients.iter().find(|it| it.id.as_str() == name)
    }

    fn cameras(&self) -> impl Iterator<Item = &Camera> {
        self.configuration.loaded.inventory.cameras()
    }
}

/// One line for each thing that somebody loses.
pub(super) fn cuts(tables: &Tables, old: Whole<'_>, new: Whole<'_>, changes: &Changes) -> Vec<String> {
    let mut cuts = cameras(old, new);
    if let Some(names) = changes.kind("clients") {
        for name in &names.removed {
            cuts.push(format!("client `{name}` vanishes: it can log in no longer"));
        }
        let both = names.changed.keys().filter_map(|name| Some((old.client(name)?, new.client(name)?)));
        cuts.extend(both.flat_map(|(was, is)| client(was, is, old)));
    }
    if old.configuration.loaded.clear_passwords && !new.configuration.loaded.clear_passwords {
        cuts.push("passwords in clear (HTTP Basic, PasswordText) are taken no longer".to_owned());
    }
    let absorb = &new.configuration.loaded.absorb;
    for rule in old.configuration.loaded.absorb.iter().filter(|it| !absorb.contains(it)) {
        let operations: Vec<&str> = rule.operations.iter().map(String::as_str).collect();
        cuts.push(format!(
            "[[absorb]] of {} is not there as it was: whoever was told that a denied one was done, is told of a refusal",
            operations.join(", ")
        ));
    }
    let losses = Losses::between(tables, old.side(), new.side());
    cuts.extend(losses.found.iter().map(loss));
    if !losses.complete {
        cuts.push(
            "there are too many clients and cameras to ask about all: clients may lose more".to_owned(),
        );
    }
    for by in [Prompt::Control, Prompt::Signal, Prompt::Files] {
        let asks = |whole: Whole<'_>| {
            let caller = Caller::Local { by, uid: None };
            whole.edition.rules.would_permit(&super::command(super::AdminAction::Reload), &caller)
        };
        if asks(old) && !asks(new) {
            let by = by.as_str();
            cuts.push(format!("Local::\"{by}\" is permitted admin:Reload no longer: only a restart, or another way of asking, leads back"));
        }
    }
    cuts
}

fn cameras(old: Whole<'_>, new: Whole<'_>) -> Vec<String> {
    let at = |camera: &Camera| -> Vec<String> {
        let place = |at: SocketAddr| format!("{at}{}", camera.mount);
        camera.doors().map(place).collect()
    };
    let mut cuts = Vec::new();
    for was in old.cameras() {
        let before = at(was);
        match new.configuration.loaded.inventory.camera(&was.id) {
            None => {
                cuts.push(format!(
                    "camera `{}` vanishes: it is not reached at {} any more",
                    was.id,
                    before.join(", ")
                ));
            }
            Some(is) => {
                let after = at(is);
                let gone: Vec<_> = before.into_iter().filter(|it| !after.contains(it)).collect();
                if !gone.is_empty() {
                    let (gone, after) = (gone.join(", "), after.join(", "));
                    cuts.push(format!(
                        "camera `{}` is not reached at {gone} any more, but at {after}",
                        was.id
                    ));
                }
            }
        }
    }
    cuts
}

fn client(was: &ClientRecord, is: &ClientRecord, old: Whole<'_>) -> Vec<String> {
    let name = &was.id;
    let mut cuts = Vec::new();
    if is.role < was.role {
        cuts.push(format!("client `{name}` becomes {}, and was {}", is.role, was.role));
    }
    if is.password != was.password {
        cuts.push(format!("client `{name}` needs its new password"));
    }
    let certificates = was.certificates.iter().filter(|it| !is.certificates.contains(it)).count();
    if certificates > 0 {
        cuts.push(format!("client `{name}` can use {certificates} of its certificates no longer"));
    }
    for network in was.networks.iter().filter(|it| !is.networks.contains(it)) {
        cuts.push(format!("client `{name}` is not let in from {network} as such any more"));
    }
    let lost = old.cameras().filter(|it| was.cameras.contains(&it.id) && !is.cameras.contains(&it.id));
    cuts.extend(lost.map(|camera| format!("client `{name}` loses camera `{}`", camera.id)));
    cuts
}

fn loss(loss: &Loss) -> String {
    let Loss { client, camera, alike, operations } = loss;
    let more = operations.len().saturating_sub(RELOAD_OPERATIONS_SHOWN_MAX);
    let shown: Vec<&str> = operations.iter().take(RELOAD_OPERATIONS_SHOWN_MAX).map(String::as_str).collect();
    let like = if *alike > 0 { format!(" and {alike} like it") } else { String::new() };
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("client `{client}` loses at camera `{camera}`{like}: {}{more}", shown.join(", "))
}
