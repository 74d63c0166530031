//! Any request whatever, against the reference model: traits and destinations that no document would have together
//! too. `CORDON_POLICY_CASES=5000000` for how many, `CORDON_POLICY_SEED=N` for those of an earlier run.

use std::{env, net::IpAddr};

use super::{
    Engine, SHIPPED,
    catalogue_tests::{DANGEROUS, NOT_TRUSTED, OF_THE_APPLIANCE, onvif_permits},
    tests::{anonymous, as_role, clients, inventory, of},
    walk::{Row, catalogue},
};
use crate::{
    auth::Role,
    clock::{Clock, Entropy, SystemClock, SystemEntropy},
    command::{Command, Destination, DestinationKind},
    schema::{AccessClass, Tables, Trait, Traits},
};

/// Knuth's MMIX generator: its upper bits are random enough to choose with.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % bound as u64).unwrap()
    }

    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    fn destination(&mut self) -> Destination {
        let host = match self.below(4) {
            0 => format!("10.1.{}.{}", self.below(256), self.below(256)),
            1 => format!("203.0.113.{}", self.below(256)),
            2 => format!("2001:db8::{:x}", self.below(65_536)),
            _ => format!("host-{}.example", self.below(1_000)),
        };
        let kinds = [DestinationKind::Declared, DestinationKind::Text, DestinationKind::Listener];
        let kind = kinds[self.below(kinds.len())];
        Destination { kind, address: host.parse().ok(), host, port: None }
    }
}

/// Whom and what the model looks at.
struct Asked<'a> {
    name: &'a str,
    row: &'a Row,
    role: Option<Role>,
    trusted: bool,
    sensitive: bool,
    /// Restricted, sensitive and without an exception, or in quarantine.
    unserved: bool,
    command: &'a Command,
}

/// What the shipped policies must decide, without Cedar.
fn expected(asked: &Asked<'_>) -> bool {
    let Asked { name, row, role, trusted, sensitive, unserved, command } = *asked;
    let Some(class) = row.class else { return false };
    let traits = command.traits;
    let sent_to: Vec<_> =
        command.destinations.iter().filter(|it| it.kind != DestinationKind::Listener).collect();
    let named = |it: &&Destination| matches!(it.address, Some(IpAddr::V4(it)) if it.octets()[..2] == [10, 1]);
    let elsewhere = !sent_to.iter().all(named);
    let kept_in = !trusted
        && (DANGEROUS.iter().any(|one| traits.contains(*one))
            || !command.destinations.is_empty()
            || NOT_TRUSTED.contains(&name));
    let managed = role.is_some()
        && (traits.contains(Trait::Users)
            || OF_THE_APPLIANCE.contains(&name)
            || (name == "tds:GetSystemUris" && role != Some(Role::Administrator)));
    let frozen = role.is_some()
        && sensitive
        && !trusted
        && matches!(class, AccessClass::WriteSystem | AccessClass::Unrecoverable);
    let leads_out = traits.contains(Trait::Egress) && elsewhere;
    onvif_permits(class, role) && ![kept_in, managed, frozen, leads_out, unserved].contains(&true)
}

#[test]
#[allow(clippy::print_stdout, reason = "how much was asked is worth seeing")]
fn any_request_is_decided_as_the_model_has_it_asked_once_or_again() {
    let count: usize = env::var("CORDON_POLICY_CASES").map_or(20_000, |it| it.parse().unwrap());
    let mut seed = [0; 8];
    SystemEntropy.fill(&mut seed).unwrap();
    let seed = env::var("CORDON_POLICY_SEED").map_or(u64::from_le_bytes(seed) >> 1, |it| it.parse().unwrap());
    println!("CORDON_POLICY_CASES={count} CORDON_POLICY_SEED={seed}");
    let (clock, mut random) = (SystemClock::new(), Random(seed));
    let tables = Tables::embedded().unwrap();
    let inventory = inventory();
    let engine = Engine::load(&tables, &SHIPPED, &inventory, &clients()).unwrap();
    let engine = engine.observing("2026-12-31".parse().ok()).unwrap();
    let rows: Vec<_> = catalogue(&tables).into_iter().collect();
    let cameras: Vec<_> = inventory.cameras().collect();
    let (mut allowed, mut dangerous, mut observed) = (0, 0, 0);
    for number in 0..count {
        let (name, row) = &rows[random.below(rows.len())];
        let role = [None, Some(Role::User), Some(Role::Operator), Some(Role::Administrator)][random.below(4)];
        let mut camera = cameras[random.below(cameras.len())].clone();
        // What changes while a configuration stays.
        if random.chance(8) {
            camera.exception = None;
        }
        camera.quarantined = random.chance(16);
        let camera = &camera;
        // Half of them hold nothing: those are remembered.
        let some: Traits = Trait::ALL.iter().copied().filter(|_| random.chance(4)).collect();
        let traits = row.always.union(if random.chance(2) { Traits::NONE } else { some });
        let destinations = if random.chance(2) { 0 } else { random.below(4) };
        let command = Command {
            camera: Some(camera.id.clone()),
            traits,
            destinations: (0..destinations).map(|_| random.destination()).collect(),
            ..of(row.operation.clone(), row.class.unwrap_or(AccessClass::NotForClients))
        };
        let caller = role.map_or_else(anonymous, as_role);
        let (trusted, sensitive) =
            (camera.vendor.class.as_str() == "trusted", camera.site.as_str() == "ministry");
        let unserved = camera.quarantined
            || (sensitive && camera.vendor.class.is_restricted() && camera.exception.is_none());
        let asked = Asked { name, row, role, trusted, sensitive, unserved, command: &command };
        let told = format!("seed {seed}, case {number}: {role:?} {} {name}", camera.id);
        let decision = engine.decide(&caller, &command, Some(camera));
        assert_eq!(decision.allow, expected(&asked), "{told}: {decision:?} {command:?}");
        assert_eq!(engine.decide(&caller, &command, Some(camera)), decision, "{told}: asked again");
        let leads_out = DANGEROUS.iter().any(|one| traits.contains(*one));
        dangerous += usize::from(!trusted && leads_out);
        assert!(trusted || !leads_out || !decision.allow, "{told}: {decision:?}");
        // Observe mode lets nothing dangerous through, on trusted cameras neither.
        let now = "2026-12-01T00:00:00Z".parse().unwrap();
        let lets = !decision.allow && engine.observes(&caller, &command, Some(camera), now);
        assert!(!lets || (role.is_some() && !leads_out && command.destinations.is_empty()), "{told}");
        observed += usize::from(lets);
        allowed += usize::from(decision.allow);
    }
    println!(
        "decisions otherwise than the model: 0 of n = {count} in {:?}, 95 % bound {:.5} %; {allowed} allowed, \
         {observed} observed, {dangerous} dangerous ones denied where the camera is not trusted",
        clock.monotonic(),
        300.0 / count as f64
    );
    let enough = allowed * 50 > count && dangerous * 10 > count && observed * 100 > count;
    assert!(enough, "the walk lost its way");
}
