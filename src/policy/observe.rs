//! Observe mode: for a while, some of what policies deny is let through and recorded as observed, so that an owner
//! learns what rules would stop before they stop it.
//!
//! It is about rules for commands, never about isolation. What it lets through is again decided by policies, so
//! that whatever is shown of policies (`cordon policy prove`) is shown of observe mode too: those of the
//! configuration, but with
//! - one more permit, for every client whatever its role, unless the command is [`RESERVED`];
//! - each forbid that says `@observable` holding for what is reserved only. All other forbids hold as ever.
//!
//! For what is reserved nothing changes thereby: what is denied stays denied. They are not even asked about
//! operations of other classes than [`CLASSES`]. Nor is anything let through that was denied before a policy was
//! asked, or of which a policy could not be evaluated.

use std::collections::HashMap;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{
    engine::PolicyError,
    load::{self, Checked, Kind, Slices, Words},
    operations::OperationFacts,
    reads::Reads,
    vocabulary,
};
use crate::schema::AccessClass;

/// What observe mode never lets through: whatever would give a camera a destination, a listener, code, another
/// network or other users, or have the gateway send somewhere, what deletes, what carries secrets, and what does not come from a client that has
/// logged in.
const RESERVED: &str = r#"
  !(principal is Client && resource is Camera) ||
  context.traits.containsAny([
    Trait::"egress", Trait::"listener", Trait::"code", Trait::"network", Trait::"users",
    Trait::"secret-request", Trait::"secret-answer", Trait::"destructive"]) ||
  !context.destinations.isEmpty() || !context.listeners.isEmpty() || !context.consumers.isEmpty()"#;

/// The classes of what it may let through: neither what hands out secrets nor what cannot be undone.
const CLASSES: [AccessClass; 6] = [
    AccessClass::PreAuth,
    AccessClass::ReadSystem,
    AccessClass::ReadSystemSensitive,
    AccessClass::ReadMedia,
    AccessClass::WriteSystem,
    AccessClass::Actuate,
];

/// The name of the policy that permits what is observed.
pub(super) const OBSERVE: &str = "cordon.observe";

/// Observe mode of one configuration.
#[derive(Debug)]
pub(super) struct Observe {
    /// The last day, in UTC.
    pub(super) until: Date,
    #[cfg(feature = "prove")]
    pub(super) policies: Vec<Checked>,
    slices: Slices,
    cuts: HashMap<String, Cut>,
}

/// What there is about one operation.
#[derive(Debug)]
struct Cut {
    observable: bool,
    slices: [usize; Kind::ALL.len()],
}

impl Observe {
    pub(super) fn new<'a>(
        until: Date,
        enforced: impl Iterator<Item = &'a Checked>,
        words: Words<'_>,
    ) -> Result<Self, PolicyError> {
        let policies = policies(enforced, words)?;
        let mut slices = Slices::default();
        let mut cut = |it: &OperationFacts| Cut {
            observable: it.class.is_some_and(|class| CLASSES.contains(&class)),
            slices: slices.cut(it, &policies),
        };
        let cuts = words.operations.iter().map(|it| (it.name.clone(), cut(it))).collect();
        Ok(Self {
            until,
            #[cfg(feature = "prove")]
            policies,
            slices,
            cuts,
        })
    }

    /// Whether it is still on: the day it ends is its last, in UTC.
    pub(super) fn is_on(&self, now: Timestamp) -> bool {
        let end = self.until.tomorrow().and_then(|day| day.to_zoned(TimeZone::UTC));
        end.is_ok_and(|end| now < end.timestamp())
    }

    /// The policies of observe mode that can be about an operation; none if it can let none of it through.
    pub(super) fn slice(&self, operation: &str, kind: Kind) -> Option<&PolicySet> {
        let cut = self.cuts.get(operation).filter(|cut| cut.observable)?;
        self.slices.get(*cut.slices.get(kind.index())?).map(|slice| &slice.policies)
    }

    /// Which policies can be about an operation, to compare with others.
    #[cfg(feature = "prove")]
    pub(super) fn slices(&self, operation: &str) -> Option<&[usize]> {
        self.cuts.get(operation).map(|cut| cut.slices.as_slice())
    }
}

fn policies<'a>(
    enforced: impl Iterator<Item = &'a Checked>,
    words: Words<'_>,
) -> Result<Vec<Checked>, PolicyError> {
    let classes = CLASSES.map(|class| format!("Action::{:?}", vocabulary::class_group(class))).join(", ");
    let text = format!(
        "@id(\"{OBSERVE}\") permit (principal is Client, action in [{classes}], resource is Camera)\n\
         unless {{ {RESERVED} }};"
    );
    let mut all = load::check(&[(OBSERVE, text)], words).map_err(PolicyError::Policies)?;
    let failed = |error: &dyn std::fmt::Display| PolicyError::Observe(error.to_string());
    let reserved = format!("forbid (principal, action, resource) when {{ {RESERVED} }};");
    let reserved = Policy::parse(None, reserved).map_err(|error| failed(&error))?;
    let reserved = reserved.to_json().map_err(|error| failed(&error))?;
    let reserved = reserved.pointer("/conditions/0").ok_or_else(|| failed(&"no condition"))?;
    for one in enforced {
        let mut policy = one.policy.clone();
        if one.effect == Effect::Forbid && policy.annotation(OBSERVABLE).is_some() {
            let mut json = policy.to_json().map_err(|error| failed(&error))?;
            let conditions = json.get_mut("conditions").and_then(serde_json::Value::as_array_mut);
            conditions.ok_or_else(|| failed(&"no conditions"))?.push(reserved.clone());
            policy = Policy::from_json(Some(PolicyId::new(&one.id)), json).map_err(|error| failed(&error))?;
        }
        all.push(Checked { reads: Reads::of(&policy), policy, ..one.clone() });
    }
    Ok(all)
}

/// The annotation of forbids that observe mode may suspend.
const OBSERVABLE: &str = "observable";

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::{
        auth::{Caller, Role},
        command::{
            AdminAction, Command, Destination,
            DestinationKind::{Declared, Listener},
            Operation, Reason,
        },
        ids::CameraId,
        policy::{
            Engine, SHIPPED,
            catalogue_tests::DANGEROUS,
            tests::{anonymous, as_role, client, clients, inventory, of},
            walk::{Held, Stage, Who, rows},
        },
        schema::{Tables, Trait, Traits},
    };

    const DAY: &str = "2026-12-31";

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn during() -> Timestamp {
        at("2026-12-01T00:00:00Z")
    }

    /// The shipped policies and one more file.
    fn engine(more: &str) -> Engine {
        let texts: Vec<_> = SHIPPED.into_iter().chain([("90-own.cedar", more)]).collect();
        let tables = Tables::embedded().unwrap();
        let engine = Engine::load(&tables, &texts, &inventory(), &clients()).unwrap();
        engine.observing(Some(DAY.parse().unwrap())).unwrap()
    }

    struct Asked<'a> {
        caller: Caller,
        camera: &'a str,
        operation: &'a str,
        more: Traits,
        host: Option<&'a str>,
    }

    /// What is decided, and whether it is observed all the same.
    fn ask(engine: &Engine, asked: &Asked<'_>) -> (bool, bool) {
        let (tables, inventory) = (Tables::embedded().unwrap(), inventory());
        let rows = rows(&tables);
        let row = &rows[asked.operation];
        let id = CameraId::new(asked.camera).unwrap();
        let camera = inventory.camera(&id).unwrap();
        let mut command = row.command(Some(camera), Held::Plain);
        command.traits = command.traits.union(asked.more);
        let kind = if asked.more.contains(Trait::Egress) { Declared } else { Listener };
        let destination =
            |host: &str| Destination { kind, host: host.to_owned(), address: host.parse().ok(), port: None };
        command.destinations = asked.host.into_iter().map(destination).collect();
        let decision = engine.decide(&asked.caller, &command, Some(camera));
        (decision.allow, engine.observes(&asked.caller, &command, Some(camera), during()))
    }

    fn asked<'a>(role: Role, camera: &'a str, operation: &'a str) -> Asked<'a> {
        Asked { caller: as_role(role), camera, operation, more: Traits::NONE, host: None }
    }

    /// What an attacker would want of observe mode. Each is denied with it as without.
    #[test]
    fn observe_mode_opens_nothing_that_leads_out_or_cannot_be_undone() {
        let engine = engine("");
        let loaded =
            |one| Asked { more: Traits::NONE.with(one), ..asked(Role::User, "trusted", "tds:SetScopes") };
        let attacks = [
            (
                "a destination for a restricted camera",
                asked(Role::Administrator, "restricted", "tds:SetNTP"),
                true,
            ),
            ("a stored destination", asked(Role::Operator, "restricted", "trc:ExportRecordedData"), false),
            ("multicast", asked(Role::Operator, "unknown", "trt:StartMulticastStreaming"), false),
            ("firmware", asked(Role::User, "trusted", "tds:StartFirmwareUpgrade"), false),
            ("a certificate", asked(Role::Operator, "restricted", "tds:LoadCertificates"), false),
            ("a new user", asked(Role::Administrator, "trusted", "tds:CreateUsers"), false),
            ("the users' names", asked(Role::User, "trusted", "tds:GetUsers"), false),
            ("weaker passwords", asked(Role::Administrator, "trusted", "tds:SetHashingAlgorithm"), false),
            ("another address", asked(Role::Administrator, "trusted", "tds:SetNetworkInterfaces"), false),
            (
                "the factory's password",
                asked(Role::Operator, "trusted", "tds:SetSystemFactoryDefault"),
                false,
            ),
            ("a reboot", asked(Role::User, "trusted", "tds:SystemReboot"), false),
            (
                "a backup with its secrets",
                asked(Role::Administrator, "trusted", "tds:GetSystemBackup"),
                false,
            ),
            ("the places of logs", asked(Role::User, "trusted", "tds:GetSystemUris"), false),
            ("what devices say", asked(Role::Administrator, "trusted", "wsntw:Notify"), false),
            ("egress by its document", loaded(Trait::Egress), false),
            ("a listener by its document", loaded(Trait::Listener), false),
            ("code by its document", loaded(Trait::Code), false),
            ("users by its document", loaded(Trait::Users), false),
            ("a network by its document", loaded(Trait::Network), false),
            ("a secret by its document", loaded(Trait::SecretRequest), false),
            (
                "another client's camera",
                Asked {
                    caller: client("narrow", Role::Administrator),
                    ..asked(Role::User, "restricted", "trt:GetProfiles")
                },
                false,
            ),
            (
                "without a login",
                Asked { caller: anonymous(), ..asked(Role::User, "trusted", "trt:GetProfiles") },
                false,
            ),
            (
                "in the gateway's name",
                Asked {
                    caller: Caller::Gateway(Reason::Identity),
                    ..asked(Role::User, "trusted", "trt:GetProfiles")
                },
                false,
            ),
        ];
        for (name, mut attack, names_a_host) in attacks {
            if names_a_host {
                attack.host = Some("203.0.113.9");
                attack.more = Traits::NONE.with(Trait::Egress);
            }
            assert_eq!(ask(&engine, &attack), (false, false), "{name}");
        }
        // A listener's address without its trait.
        let bare = Asked { host: Some("0.0.0.0"), ..asked(Role::User, "trusted", "tds:SetScopes") };
        assert_eq!(ask(&engine, &bare), (false, false), "an address alone");
    }

    #[test]
    fn what_was_denied_before_a_policy_was_asked_or_by_a_failing_one_is_not_observed() {
        let engine = engine(
            "@id(\"own.broken\") @observable forbid (principal, action == Action::\"tds:SetScopes\", resource)\n\
             when { 9223372036854775807 + 1 == 0 };",
        );
        assert_eq!(ask(&engine, &asked(Role::Administrator, "trusted", "tds:SetScopes")), (false, false));
        let inventory = inventory();
        let camera = inventory.cameras().next().unwrap();
        let caller = as_role(Role::Administrator);
        let unknown = of(Operation::Unknown("{urn:x}Open".into()), AccessClass::ReadSystem);
        let unknown = Command { camera: Some(camera.id.clone()), ..unknown };
        assert!(!engine.observes(&caller, &unknown, Some(camera), during()));
        let stop = of(Operation::Admin(AdminAction::Stop), AccessClass::WriteSystem);
        assert!(!engine.observes(&caller, &stop, None, during()));
    }

    #[test]
    fn roles_and_forbids_that_say_so_are_observed_until_the_day_is_over() {
        let own = |mark: &str| {
            engine(&format!(
                "@id(\"own.less\") {mark} forbid (principal, action == Action::\"tptz:GotoPreset\", resource);"
            ))
        };
        let preset = asked(Role::Administrator, "restricted", "tptz:GotoPreset");
        assert_eq!(ask(&own(""), &preset), (false, false), "an owner's prohibition holds");
        let engine = own("@observable");
        assert_eq!(ask(&engine, &preset), (false, true), "unless it says that it may be observed");
        assert_eq!(ask(&engine, &asked(Role::User, "restricted", "tptz:ContinuousMove")), (false, true));
        let frozen = asked(Role::Administrator, "sensitive", "tds:SetScopes");
        assert_eq!(ask(&engine, &frozen), (false, true));
        assert_eq!(ask(&engine, &asked(Role::Operator, "sensitive", "tds:SystemReboot")), (false, false));
        let day: Date = DAY.parse().unwrap();
        for (time, on) in [
            ("2026-12-31T23:59:59.999999Z", Some(day)),
            ("2027-01-01T00:00:00Z", None),
            ("2030-01-01T00:00:00Z", None),
        ] {
            assert_eq!(engine.observed_until(at(time)), on, "{time}");
            let inventory = inventory();
            let camera = inventory.camera(&CameraId::new("restricted").unwrap()).unwrap();
            let tables = Tables::embedded().unwrap();
            let command = rows(&tables)["tptz:ContinuousMove"].command(Some(camera), Held::Plain);
            let caller = as_role(Role::User);
            assert_eq!(engine.observes(&caller, &command, Some(camera), at(time)), on.is_some(), "{time}");
        }
    }

    /// The claim of `policy prove`, and the table of expectations, for everything the walk asks.
    #[test]
    #[allow(clippy::print_stdout, reason = "how much was walked is worth seeing")]
    fn of_every_operation_nothing_dangerous_is_observed_and_what_is_decided_stays() {
        let tables = Tables::embedded().unwrap();
        let configured = inventory();
        let stage = Stage::new(&configured).unwrap();
        let load = || Engine::load(&tables, &SHIPPED, &stage.inventory, &stage.clients).unwrap();
        let (enforcing, observing) = (load(), load().observing(Some(DAY.parse().unwrap())).unwrap());
        let (mut asked, mut observed) = (0, BTreeMap::<String, usize>::new());
        for (name, row) in rows(&tables) {
            for case in row.breadth(&name, &[&enforcing]).cases() {
                let (caller, command, camera) = stage.question(&row, case).unwrap();
                let decision = enforcing.decide(&caller, &command, camera);
                assert_eq!(observing.decide(&caller, &command, camera), decision, "{name} {case:?}");
                asked += 1;
                if decision.allow || !observing.observes(&caller, &command, camera, during()) {
                    continue;
                }
                let traits: BTreeSet<&str> = command.traits.iter().map(Trait::as_str).collect();
                let danger = DANGEROUS.iter().any(|one| command.traits.contains(*one));
                assert!(!danger && command.destinations.is_empty(), "{name} {case:?} {traits:?}");
                assert!(!matches!(case.who, Who::Anonymous | Who::Elsewhere), "{name} {case:?}");
                assert!(CLASSES.contains(&row.class.unwrap()), "{name} {case:?}");
                *observed.entry(decision.policies.join(" ")).or_default() += 1;
            }
        }
        println!("{asked} asked, observed by what denied them: {observed:?}");
        let denied_by: Vec<&str> = observed.keys().map(String::as_str).collect();
        assert_eq!(denied_by, ["", "sites.sensitive-frozen"]);
        assert!(observed[""] > 1_000, "the walk lost its way: {observed:?}");
    }
}
