//! One command's circumstances: the `context` of a decision.

use std::{collections::BTreeSet, net::IpAddr};

use cedar_policy::{Context, RestrictedExpression};

use super::{entities::Names, reads::Reads, vocabulary::NO_LOGIN};
use crate::{
    auth::Caller,
    command::{Command, Destination, DestinationKind},
    inventory::{Inventory, OTHER_NETWORK},
    schema::Traits,
};

/// The circumstances of one command as plain values, in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Circumstances {
    pub(super) source: String,
    pub(super) source_networks: Vec<String>,
    pub(super) tls: bool,
    pub(super) login: &'static str,
    pub(super) traits: Traits,
    pub(super) destinations: BTreeSet<String>,
    pub(super) networks: BTreeSet<String>,
    pub(super) listeners: BTreeSet<String>,
    pub(super) consumers: BTreeSet<String>,
    pub(super) consumer_networks: BTreeSet<String>,
}

impl Circumstances {
    /// Gathers those that are looked at; the others are left empty. `traits` are those of the document and those
    /// that always hold.
    pub(super) fn new(
        caller: &Caller,
        command: &Command,
        traits: Traits,
        inventory: &Inventory,
        reads: Reads,
    ) -> Self {
        let address = caller.source().map(|source| source.ip().to_canonical());
        let at = |attribute| address.filter(|_| reads.context(attribute));
        let networks_of = |address: IpAddr| inventory.networks_of(address).into_iter().map(str::to_owned);
        let (tls, login) = match caller {
            Caller::Client { tls, method, .. } => (*tls, method.as_str()),
            Caller::Anonymous { tls, .. } => (*tls, NO_LOGIN),
            Caller::Gateway(_) | Caller::Local { .. } => (false, NO_LOGIN),
        };
        let those = |attribute, is: Is| {
            let wanted = move |it: &&Destination| reads.context(attribute) && Is::of(it) == is;
            command.destinations.iter().filter(wanted)
        };
        let hosts = |attribute, is| those(attribute, is).map(|it| it.host.clone()).collect();
        let networks = |attribute, is| {
            let networks = those(attribute, is).flat_map(|it| match it.address {
                Some(address) => networks_of(address).collect::<Vec<_>>(),
                // Where a host name leads is for others to say, later, in another way.
                None => vec![OTHER_NETWORK.to_owned()],
            });
            networks.collect()
        };
        Self {
            source: at("source").map(|it| it.to_string()).unwrap_or_default(),
            source_networks: at("source_networks").into_iter().flat_map(networks_of).collect(),
            tls: tls && reads.context("tls"),
            login: if reads.context("login") { login } else { NO_LOGIN },
            traits: if reads.context("traits") { traits } else { Traits::NONE },
            destinations: hosts("destinations", Is::SentTo),
            networks: networks("networks", Is::SentTo),
            listeners: hosts("listeners", Is::Listener),
            consumers: hosts("consumers", Is::Consumer),
            consumer_networks: networks("consumer_networks", Is::Consumer),
        }
    }

    /// As Cedar takes them.
    pub(super) fn to_context(&self, names: &Names) -> Result<Context, String> {
        let text = |it: &String| RestrictedExpression::new_string(it.clone());
        let entity = |kind: &'static str, name: &str| {
            let uid = names.uid(kind, name).ok_or_else(|| format!("no entity type {kind}"))?;
            Ok::<_, String>(RestrictedExpression::new_entity_uid(uid))
        };
        let traits =
            self.traits.iter().map(|it| entity("Trait", it.as_str())).collect::<Result<Vec<_>, _>>()?;
        let networks = |names: &mut dyn Iterator<Item = &String>| {
            let all = names.map(|it| entity("Network", it)).collect::<Result<Vec<_>, _>>()?;
            Ok::<_, String>(RestrictedExpression::new_set(all))
        };
        let pairs = [
            ("source", text(&self.source)),
            ("source_networks", networks(&mut self.source_networks.iter())?),
            ("tls", RestrictedExpression::new_bool(self.tls)),
            ("login", entity("Login", self.login)?),
            ("traits", RestrictedExpression::new_set(traits)),
            ("destinations", RestrictedExpression::new_set(self.destinations.iter().map(text))),
            ("networks", networks(&mut self.networks.iter())?),
            ("listeners", RestrictedExpression::new_set(self.listeners.iter().map(text))),
            ("consumers", RestrictedExpression::new_set(self.consumers.iter().map(text))),
            ("consumer_networks", networks(&mut self.consumer_networks.iter())?),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value));
        Context::from_pairs(pairs).map_err(|error| error.to_string())
    }
}

/// What a place is to the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    /// It sends there, or fetches from there.
    SentTo,
    /// It waits there.
    Listener,
    /// Nothing: the gateway sends there.
    Consumer,
}

impl Is {
    fn of(destination: &Destination) -> Self {
        match destination.kind {
            DestinationKind::Declared | DestinationKind::Text => Self::SentTo,
            DestinationKind::Listener => Self::Listener,
            DestinationKind::Consumer => Self::Consumer,
        }
    }
}
