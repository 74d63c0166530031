//! Every operation of the catalogue, for every role, on every kind of camera, against a model of the shipped
//! policies that is written down once more, without Cedar.

use super::{
    Engine, SHIPPED,
    tests::{anonymous, as_role, clients, inventory, of},
    walk::{Row, catalogue},
};
use crate::{
    auth::Role,
    command::{Command, Destination, DestinationKind},
    ids::CameraId,
    schema::{AccessClass, Tables, Trait, Traits},
};

/// What the document of a command holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Nothing that matters.
    Nothing,
    /// All that its nodes can speak for, but no address.
    Traits,
    /// The same, and an address in a network with a name.
    Named,
    /// The same, and an address in none.
    Outside,
}

const HELD: [Held; 4] = [Held::Nothing, Held::Traits, Held::Named, Held::Outside];

impl Held {
    fn host(self) -> Option<&'static str> {
        match self {
            Self::Nothing | Self::Traits => None,
            Self::Named => Some("10.1.0.9"),
            Self::Outside => Some("203.0.113.9"),
        }
    }

    fn traits(self, row: &Row) -> Traits {
        match self {
            Self::Nothing => Traits::NONE,
            Self::Traits => row.by_document,
            Self::Named | Self::Outside => row.by_document.with(Trait::Egress),
        }
    }
}

/// Core §5.9.4.3; `None` is "not logged in".
pub(super) fn onvif_permits(class: AccessClass, role: Option<Role>) -> bool {
    use AccessClass::{
        Actuate, NotForClients, PreAuth, ReadMedia, ReadSystem, ReadSystemSecret, ReadSystemSensitive,
        Unrecoverable, WriteSystem,
    };
    match (class, role) {
        (NotForClients, _) => false,
        (PreAuth, _) => true,
        (_, None) => false,
        (ReadSystem | ReadMedia, Some(_)) => true,
        (ReadSystemSensitive | Actuate, Some(role)) => role != Role::User,
        (ReadSystemSecret | WriteSystem | Unrecoverable, Some(role)) => role == Role::Administrator,
    }
}

/// What leads out of a camera or changes who gets in.
pub(super) const DANGEROUS: [Trait; 5] =
    [Trait::Egress, Trait::Listener, Trait::Code, Trait::Network, Trait::Users];

/// Refused where the camera is not trusted, whatever the document holds.
pub(super) const NOT_TRUSTED: [&str; 16] = [
    "tad:CreateAnalyticsEngineControl",
    "tad:SetAnalyticsEngineControl",
    "tds:CreateStorageConfiguration",
    "tds:SetStorageConfiguration",
    "tds:SetSystemFactoryDefault",
    "tls:CreatePaneConfiguration",
    "tls:SetLayout",
    "tls:SetPaneConfiguration",
    "tls:SetPaneConfigurations",
    "tr2:StartMulticastStreaming",
    "trc:ExportRecordedData",
    "trc:ExportRecordedSegments",
    "trt:StartMulticastStreaming",
    "trv:ConfigureReceiver",
    "trv:CreateReceiver",
    "trv:SetReceiverMode",
];

/// Refused to every client.
pub(super) const OF_THE_APPLIANCE: [&str; 11] = [
    "tds:AddIPAddressFilter",
    "tds:GetSystemBackup",
    "tds:RemoveIPAddressFilter",
    "tds:RestoreSystem",
    "tds:SetHashingAlgorithm",
    "tds:SetIPAddressFilter",
    "tds:SetNetworkDefaultGateway",
    "tds:SetNetworkInterfaces",
    "tds:SetZeroConfiguration",
    "tds:UpgradeFirmware",
    "tds:UpgradeSystemFirmware",
];

fn expected(name: &str, row: &Row, role: Option<Role>, trusted: bool, held: Held) -> bool {
    let traits = row.always.union(held.traits(row));
    let dangerous = DANGEROUS.iter().any(|one| traits.contains(*one));
    let refused_here = !trusted && (dangerous || held.host().is_some() || NOT_TRUSTED.contains(&name));
    let refused_to_clients = role.is_some()
        && (traits.contains(Trait::Users)
            || OF_THE_APPLIANCE.contains(&name)
            || (name == "tds:GetSystemUris" && role != Some(Role::Administrator)));
    let leads_out = traits.contains(Trait::Egress) && held == Held::Outside;
    row.class.is_some_and(|class| onvif_permits(class, role))
        && !refused_here
        && !refused_to_clients
        && !leads_out
}

fn command(row: &Row, camera: &CameraId, held: Held) -> Command {
    let destination = |host: &str| Destination {
        kind: DestinationKind::Declared,
        host: host.to_owned(),
        address: host.parse().ok(),
        port: None,
    };
    Command {
        camera: Some(camera.clone()),
        traits: row.always.union(held.traits(row)),
        destinations: held.host().map(destination).into_iter().collect(),
        ..of(row.operation.clone(), row.class.unwrap_or(AccessClass::NotForClients))
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "how much was walked is worth seeing")]
fn every_operation_is_decided_as_the_model_has_it() {
    let tables = Tables::embedded().unwrap();
    let inventory = inventory();
    let engine = Engine::load(&tables, &SHIPPED, &inventory, &clients()).unwrap();
    let rows = catalogue(&tables);
    let roles = Role::ALL.map(Some).into_iter().chain([None]);
    let callers: Vec<_> = roles.map(|role| (role, role.map_or_else(anonymous, as_role))).collect();
    let (mut allowed, mut denied, mut dangerous) = (0, 0, 0);
    let mut wrong = Vec::new();
    for (camera, trusted) in [("trusted", true), ("restricted", false), ("unknown", false)] {
        let id = CameraId::new(camera).unwrap();
        let enrolled = inventory.camera(&id).unwrap();
        for (name, row) in &rows {
            for held in HELD {
                let asked = command(row, &id, held);
                let leads_out = DANGEROUS.iter().any(|one| asked.traits.contains(*one));
                for (role, caller) in &callers {
                    let decision = engine.decide(caller, &asked, Some(enrolled));
                    // What is remembered says the same as what was decided.
                    assert_eq!(engine.decide(caller, &asked, Some(enrolled)), decision, "{name} {role:?}");
                    let note = decision.note.as_deref().unwrap_or_default();
                    let failed = note.contains("could not be") || (!decision.allow && note.is_empty());
                    if failed || decision.allow != expected(name, row, *role, trusted, held) {
                        wrong.push(format!("{name} {role:?} {camera} {held:?}: {decision:?}"));
                    }
                    if leads_out && !trusted {
                        dangerous += 1;
                        assert!(!decision.allow, "{name} {role:?} {camera} {held:?}: {decision:?}");
                    }
                    if decision.allow { allowed += 1 } else { denied += 1 }
                }
            }
        }
    }
    println!(
        "{} operations: {allowed} allowed, {denied} denied, of those {dangerous} dangerous ones where the \
         camera is not trusted",
        rows.len()
    );
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), allowed + denied, wrong.join("\n"));
    assert_eq!(allowed + denied, rows.len() * HELD.len() * callers.len() * 3);
    assert!(rows.len() > 400 && allowed > 1_000 && dangerous > 4_000, "the walk lost its way");
}

/// Nothing the catalogue has is left to chance: each operation has a class, and those the model names exist.
#[test]
fn every_operation_has_a_class_and_every_name_of_the_model_is_one() {
    let tables = Tables::embedded().unwrap();
    let rows = catalogue(&tables);
    let unclassified: Vec<_> = rows.iter().filter(|(_, row)| row.class.is_none()).collect();
    assert!(unclassified.is_empty(), "{:?}", unclassified.iter().map(|it| it.0).collect::<Vec<_>>());
    let missing: Vec<_> =
        NOT_TRUSTED.iter().chain(&OF_THE_APPLIANCE).filter(|name| !rows.contains_key(**name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
