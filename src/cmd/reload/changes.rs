//! What changes from one configuration to the next, by name and without any secret.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::super::configuration::Configuration;
use crate::{
    config::Loaded,
    inventory::{Camera, SecureDoor},
    limits::RELOAD_NAMES_MAX,
};

/// What changes: of each kind of thing, which.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes(BTreeMap<&'static str, Names>);

/// Names of one kind of thing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) added: BTreeSet<String>,
    pub(super) removed: BTreeSet<String>,
    /// Each with what of it changes.
    pub(super) changed: BTreeMap<String, Vec<&'static str>>,
}

impl Changes {
    /// Compares two configurations.
    pub(super) fn between(old: &Configuration, new: &Configuration) -> Self {
        let (before, after) = (&old.loaded, &new.loaded);
        let (was, is) = (&before.inventory, &after.inventory);
        let mut changes = Self::default();
        let cameras = |loaded: &Loaded| -> BTreeMap<String, _> {
            let cameras = loaded.inventory.cameras();
            cameras.map(|it| (it.id.to_string(), (it.clone(), loaded.logins.get(&it.id).cloned()))).collect()
        };
        changes.of("cameras", cameras(before), cameras(after), |(was, login), (is, new_login)| {
            let password = |it: &Option<crate::auth::Login>| it.as_ref().map(|it| it.password.clone());
            let username = |it: &Option<crate::auth::Login>| it.as_ref().map(|it| it.username.clone());
            let mut what = camera(was, is);
            what.extend((username(login) != username(new_login)).then_some("username"));
            what.extend((password(login) != password(new_login)).then_some("password"));
            what
        });
        let clients = |loaded: &Loaded| -> BTreeMap<String, _> {
            loaded.clients.iter().map(|it| (it.id.to_string(), it.clone())).collect()
        };
        changes.of("clients", clients(before), clients(after), |was, is| {
            told([
                ("role", was.role != is.role),
                ("password", was.password != is.password),
                ("certificates", was.certificates != is.certificates),
                ("networks", was.networks != is.networks),
                ("cameras", was.cameras != is.cameras),
            ])
        });
        let sites = [was, is].map(|it| it.sites().map(|it| (it.id.to_string(), it.clone())).collect());
        let zones = [was, is].map(|it| it.zones().map(|it| (it.id.to_string(), it.clone())).collect());
        let networks =
            [was, is].map(|it| it.networks().iter().map(|it| (it.name.clone(), it.clone())).collect());
        let policies = [old, new].map(|it| it.policies.iter().cloned().collect());
        let any = |_: &_, _: &_| Vec::new();
        let [before_sites, after_sites] = sites;
        changes.of("sites", before_sites, after_sites, any);
        let [before_zones, after_zones] = zones;
        changes.of("zones", before_zones, after_zones, |_, _| Vec::new());
        let [before_networks, after_networks] = networks;
        changes.of("networks", before_networks, after_networks, |_, _| Vec::new());
        let [before_policies, after_policies] = policies;
        changes.of("policies", before_policies, after_policies, |_: &String, _| Vec::new());
        let vendors = (was.vendors() != is.vendors()).then_some("vendors");
        let pairs = settings(before).into_iter().zip(settings(after));
        let differ = pairs.filter(|(was, is)| was != is).map(|((name, _), _)| name);
        for name in differ.chain(vendors) {
            changes.0.entry("settings").or_default().changed.insert(name.to_owned(), Vec::new());
        }
        changes
    }

    fn of<T: PartialEq>(
        &mut self,
        kind: &'static str,
        mut before: BTreeMap<String, T>,
        after: BTreeMap<String, T>,
        what: impl Fn(&T, &T) -> Vec<&'static str>,
    ) {
        let mut names = Names::default();
        for (name, is) in after {
            match before.remove(&name) {
                None => drop(names.added.insert(name)),
                Some(was) if was != is => drop(names.changed.insert(name, what(&was, &is))),
                Some(_) => {}
            }
        }
        names.removed = before.into_keys().collect();
        if names != Names::default() {
            self.0.insert(kind, names);
        }
    }

    /// Whether nothing changes.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What changes of one kind of thing.
    pub(super) fn kind(&self, kind: &str) -> Option<&Names> {
        self.0.get(kind)
    }

    /// For records: lists are cut at `RELOAD_NAMES_MAX` names, and say so.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let list = |names: Vec<String>| {
            let more = names.len().saturating_sub(RELOAD_NAMES_MAX);
            let shown = names.into_iter().take(RELOAD_NAMES_MAX);
            json!(shown.chain((more > 0).then(|| format!("and {more} more"))).collect::<Vec<_>>())
        };
        let of = |(kind, names): (&&str, &Names)| {
            let lists = [
                ("added", names.added.iter().cloned().collect()),
                ("removed", names.removed.iter().cloned().collect()),
                ("changed", names.changed()),
            ];
            let lists = lists.into_iter().filter(|(_, names): &(_, Vec<_>)| !names.is_empty());
            let lists = lists.map(|(how, names)| (how.to_owned(), list(names)));
            ((*kind).to_owned(), Value::Object(lists.collect()))
        };
        self.0.iter().map(of).collect()
    }

    /// For people, one line for each thing.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (kind, names) in &self.0 {
            lines.extend(names.added.iter().map(|name| format!("+ {kind}: {name}")));
            lines.extend(names.removed.iter().map(|name| format!("- {kind}: {name}")));
            lines.extend(names.changed().iter().map(|name| format!("~ {kind}: {name}")));
        }
        lines
    }
}

impl Names {
    fn changed(&self) -> Vec<String> {
        let one = |(name, what): (&String, &Vec<&str>)| match what.as_slice() {
            [] => name.clone(),
            what => format!("{name} ({})", what.join(", ")),
        };
        self.changed.iter().map(one).collect()
    }
}

fn told<const N: usize>(facets: [(&'static str, bool); N]) -> Vec<&'static str> {
    facets.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

fn camera(was: &Camera, is: &Camera) -> Vec<&'static str> {
    let listens = |it: &Camera| (it.listen, it.mount.clone(), it.secure.as_ref().map(|it| it.listen));
    let shown = |it: &Camera| {
        let secure = it.secure.as_ref().map(|it: &SecureDoor| it.advertise.clone());
        (it.advertise.clone(), secure, it.advertise_rtsp.clone(), it.advertise_rtsps.clone())
    };
    told([
        ("address", was.address != is.address),
        ("tls", was.certificates != is.certificates),
        ("device_path", was.device_path != is.device_path),
        ("zone", was.zone != is.zone),
        ("site", was.site != is.site),
        ("vendor", was.vendor != is.vendor),
        ("exception", was.exception != is.exception),
        ("replacement", was.replacement != is.replacement),
        ("quirks", was.quirks != is.quirks),
        ("listener", listens(was) != listens(is)),
        ("advertised address", shown(was) != shown(is)),
        ("mac", was.mac != is.mac),
        ("manufacturer", was.manufacturer != is.manufacturer),
        ("model", was.model != is.model),
    ])
}

/// The settings that are taken up, as far as they are not compared by name. Every key of the configuration is named, so
/// that one that is added must be thought of here, or in [`needs_restart`].
fn settings(loaded: &Loaded) -> [(&'static str, String); 4] {
    let Loaded {
        watch,
        clear_passwords,
        absorb,
        observe_until,
        // Compared by name, or by what they hold.
        policy_dir: _,
        vendors_dir: _,
        clients: _,
        inventory: _,
        logins: _,
        // Need a restart.
        name: _,
        state_dir: _,
        threads: _,
        confine: _,
        bind: _,
        tls: _,
        rtsp_port: _,
        rtsps_port: _,
        discovery: _,
        admin: _,
        retention: _,
        audit_compress: _,
        audit_dir: _,
        emergency_journal: _,
        netd: _,
        mqtt: _,
        // Told when they are read.
        warnings: _,
    } = loaded;
    [
        ("absorb", format!("{absorb:?}")),
        ("clear_passwords", clear_passwords.to_string()),
        ("watch", watch.to_string()),
        ("observe_until", format!("{observe_until:?}")),
    ]
}

/// What cannot change while the gateway runs: section, keys, and whether it does.
pub(super) fn needs_restart(old: &Loaded, new: &Loaded) -> Vec<(&'static str, &'static [&'static str])> {
    let settings: [(&str, &[&str], bool); 16] = [
        ("gateway", &["name"], old.name != new.name),
        ("gateway", &["state_dir"], old.state_dir != new.state_dir),
        ("gateway", &["threads"], old.threads != new.threads),
        ("gateway", &["confine"], old.confine != new.confine),
        ("listener", &["bind"], old.bind != new.bind),
        ("listener", &["rtsp_port"], old.rtsp_port != new.rtsp_port),
        ("listener", &["rtsps_port"], old.rtsps_port != new.rtsps_port),
        ("listener", &["tls_certificate", "tls_key"], old.tls != new.tls),
        ("discovery", &["listen", "port"], old.discovery != new.discovery),
        ("admin", &["listen"], old.admin != new.admin),
        ("audit", &["dir"], old.audit_dir != new.audit_dir),
        ("audit", &["emergency_journal"], old.emergency_journal != new.emergency_journal),
        ("audit", &["keep_days", "reserve_bytes"], old.retention != new.retention),
        ("audit", &["compress"], old.audit_compress != new.audit_compress),
        ("netd", &["socket"], old.netd.socket != new.netd.socket),
        ("mqtt", &["broker"], old.mqtt != new.mqtt),
    ];
    settings.into_iter().filter(|(.., differs)| *differs).map(|(section, keys, _)| (section, keys)).collect()
}
