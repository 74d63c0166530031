//! Our interface files against the official ones, node by node.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test that unwraps wrongly fails, as it should; the load time is shown, never judged"
)]

use std::{path::PathBuf, time::Instant};

use cordon::schema::{AddressEffect, Content, NodeId, Particle, ParticleId, Tables, TypeId, Variety};

/// Where the official files are, if anywhere.
fn shared() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared");
    std::env::var_os("CORDON_SHARED").map_or_else(beside, PathBuf::from)
}

fn official() -> Option<Tables> {
    let shared = shared();
    let onvif = shared.join("onvif");
    if !onvif.is_dir() {
        crate::skips::skipped(&format!("no official files in {}; set CORDON_SHARED", onvif.display()));
        return None;
    }
    Some(Tables::from_folders(&[&onvif.join("wsdl"), &onvif.join("external")]).unwrap())
}

#[test]
fn our_files_say_what_the_official_ones_say() {
    let Some(official) = official() else { return };
    let started = Instant::now();
    let ours = Tables::from_embedded().unwrap();
    println!("loaded our files in {:?}", started.elapsed());
    assert_eq!(ours.operations().count(), 652);
    for ((_, one), (_, other)) in ours.operations().zip(official.operations()) {
        let of = |it: &cordon::schema::Operation| {
            let text = [&it.service, &it.port_type, &it.name, &it.soap_action, &it.action_in, &it.action_out];
            text.map(ToString::to_string)
        };
        assert_eq!(of(one), of(other));
    }
    assert_eq!(ours.nodes().count(), official.nodes().count());
    for (id, _) in ours.nodes() {
        assert_eq!(describe(&ours, id), describe(&official, id));
    }
}

/// All that is known of a node, in words.
fn describe(tables: &Tables, id: NodeId) -> String {
    let node = tables.node(id).unwrap();
    let content = match node.content {
        Content::Empty => "empty".to_owned(),
        Content::Simple(of) => simple(tables, of),
        Content::Elements(model) => {
            format!("elements {} {}", model.ordered, particle(tables, model.particle))
        }
        Content::Mixed(model) => format!("mixed {} {}", model.ordered, particle(tables, model.particle)),
        Content::TopicTree => "topics".to_owned(),
    };
    format!(
        "{} {:?} {} {:?} {:?} {:?} {} {content}",
        tables.path(id),
        node.occurs,
        node.nillable,
        node.attributes,
        node.children,
        node.effect,
        node.secret
    )
}

fn simple(tables: &Tables, of: TypeId) -> String {
    let of = tables.simple_type(of).unwrap();
    let name = of.name.map(|name| tables.qualified(name));
    let variety = match &of.variety {
        Variety::Atomic(builtin) => format!("{builtin:?}"),
        Variety::List(item) => format!("list of {}", simple(tables, *item)),
        Variety::Union(members) => {
            members.iter().map(|it| simple(tables, *it)).collect::<Vec<_>>().join(" or ")
        }
    };
    format!("{name:?} {variety} {:?} {:?}", of.facets, of.address)
}

fn particle(tables: &Tables, id: ParticleId) -> String {
    let inner =
        |held: &[ParticleId]| held.iter().map(|it| particle(tables, *it)).collect::<Vec<_>>().join(", ");
    match tables.particle(id).unwrap() {
        Particle::Element(id) => format!("{id:?}"),
        Particle::Any(id, occurs) => {
            let allowed = &tables.wildcard(*id).unwrap().allowed;
            let mut allowed: Vec<_> =
                allowed.iter().map(|(name, id)| (tables.qualified(*name), id)).collect();
            allowed.sort();
            format!("any {occurs:?} {allowed:?}")
        }
        Particle::Sequence(occurs, held) => format!("{occurs:?} ({})", inner(held)),
        Particle::Choice(occurs, held) => format!("{occurs:?} one of ({})", inner(held)),
    }
}

/// The effects the field list names; `client_redirect` is told apart by field and only has to be some effect.
fn expected(effect: &str) -> Option<&'static [AddressEffect]> {
    use AddressEffect as E;
    Some(match effect {
        "egress_creating" => &[E::Destination, E::Selector, E::Consumer],
        "egress_possible" => &[E::PossibleDestination],
        "egress_target_disclosed" => &[E::StoredDestination],
        "listener_creating" => &[E::Listener],
        "access_filter" => &[E::AccessFilter],
        "selector_of_existing_egress" => &[E::Selector],
        "identifier_only" | "(not expected in request)" => &[E::Identifier],
        "info_leak" => &[E::Own],
        "client_redirect" => &[
            E::Service,
            E::Stream,
            E::Snapshot,
            E::Upload,
            E::Download,
            E::Subscription,
            E::Multicast,
            E::Reference,
        ],
        _ => return None,
    })
}

#[test]
fn every_listed_address_field_has_its_effect() {
    let fields = shared().join("onvif/uri-fields.tsv");
    let Ok(text) = std::fs::read_to_string(&fields) else {
        crate::skips::skipped(&format!("no {}; set CORDON_SHARED", fields.display()));
        return;
    };
    let tables = Tables::embedded().unwrap();
    let mut checked = 0;
    for line in text.lines().skip(1) {
        let [service, _, operation, direction, path, _, family, effect, ..] =
            *line.split('\t').collect::<Vec<_>>()
        else {
            panic!("short line: {line}");
        };
        // Rows written by hand are prose; those of other protocols have no node.
        if family == "hand" || ["ws-discovery", "rtsp", "http", "*"].contains(&service) {
            continue;
        }
        let mut named =
            tables.operations().filter(|(_, it)| *it.service == *service && *it.name == *operation);
        let found = named.find_map(|(_, it)| {
            let root = if direction == "request" { Some(it.input) } else { it.output };
            node_at(&tables, root?, path)
        });
        let id = found.unwrap_or_else(|| panic!("no node: {line}"));
        let node = tables.node(id).unwrap();
        if matches!(node.content, Content::Simple(_)) {
            assert!(expected(effect).unwrap().contains(&node.effect), "{:?}: {line}", node.effect);
            checked += 1;
        }
    }
    println!("{checked} fields checked");
    assert!(checked > 700, "only {checked} fields");
}

fn node_at(tables: &Tables, root: NodeId, path: &str) -> Option<NodeId> {
    let mut at = root;
    for step in path.split('/').skip(1) {
        let name = step.trim_start_matches('@');
        let mut below = tables.attributes(at).chain(tables.children(at));
        at = below.find(|(_, node)| tables.qualified(node.name) == name)?.0;
    }
    Some(at)
}
