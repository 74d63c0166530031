//! Every operation there is, as policies see it: the catalogue's and those of the other front doors.

use crate::{
    command::{AdminAction, HttpTransfer, Operation, RtspMethod},
    schema::{AccessClass, Tables, Trait, Traits},
};

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OperationFacts {
    /// As people write it: `tds:SetNTP`.
    pub(super) name: String,
    /// The service it belongs to; the front door for what is no SOAP operation.
    pub(super) service: String,
    /// Its access class; without one it is denied.
    pub(super) class: Option<AccessClass>,
    /// Traits that hold whatever the document says.
    pub(super) always: Traits,
    /// Whether it concerns the gateway itself and no camera.
    pub(super) of_appliance: bool,
}

/// The operations of the catalogue and those of the other front doors.
pub(super) fn all(tables: &Tables) -> Vec<OperationFacts> {
    let catalogue = tables.operations().map(|(_, row)| OperationFacts {
        name: format!("{}:{}", row.prefix, row.name),
        service: row.service.to_string(),
        class: row.class,
        always: row.traits,
        of_appliance: false,
    });
    merge(catalogue.chain(other_doors()))
}

/// Port types can share an operation (`wsntw:Renew`): the name is one action, of the stricter facts.
fn merge(operations: impl Iterator<Item = OperationFacts>) -> Vec<OperationFacts> {
    let mut merged: Vec<OperationFacts> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for one in operations {
        let place = *places.entry(one.name.clone()).or_insert(merged.len());
        match merged.get_mut(place) {
            None => merged.push(one),
            Some(first) => {
                first.always = first.always.union(one.always);
                // Without a class an operation is denied: of two that differ, that is the safe one.
                first.class = first.class.filter(|class| Some(*class) == one.class);
            }
        }
    }
    merged
}

/// The operation of that name, with its class and the traits it always has.
pub fn operation(tables: &Tables, name: &str) -> (Operation, AccessClass, Traits) {
    if let Some(id) = tables.operation_by_name(name)
        && let Some(row) = tables.operation(id)
    {
        let class = row.class.unwrap_or(AccessClass::NotForClients);
        return (Operation::Onvif { id, name: name.into() }, class, row.traits);
    }
    let known = doors().into_iter().find(|(it, ..)| *it.name() == *name);
    known.map_or_else(
        || {
            let unknown = name.strip_prefix("unknown:").unwrap_or(name);
            (Operation::Unknown(unknown.into()), AccessClass::NotForClients, Traits::NONE)
        },
        |(operation, _, class, traits)| (operation, class, traits),
    )
}

/// What comes in by RTSP, plain HTTP and administration.
pub(super) fn other_doors() -> impl Iterator<Item = OperationFacts> {
    doors().into_iter().map(|(operation, service, class, always)| OperationFacts {
        name: operation.name().as_ref().to_owned(),
        service: service.to_owned(),
        class: Some(class),
        always,
        of_appliance: service == "admin",
    })
}

/// Operations without rows in the catalogue: service, class, traits.
pub(super) fn doors() -> Vec<(Operation, &'static str, AccessClass, Traits)> {
    let session = Traits::NONE.with(Trait::Session);
    let rtsp = RtspMethod::ALL.map(|it| (Operation::Rtsp(it), "rtsp", it.class(), session));
    let mut rows = Vec::from(rtsp);
    rows.push((Operation::Http(HttpTransfer::Snapshot), "http", AccessClass::ReadMedia, Traits::NONE));
    for action in AdminAction::ALL {
        rows.push((Operation::Admin(action), "admin", AccessClass::WriteSystem, Traits::NONE));
    }
    rows.push((Operation::Notify, "notify", AccessClass::NotForClients, Traits::NONE));
    rows
}
