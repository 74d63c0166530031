//! Our interface files against the official ones, node by node.

use std::{path::PathBuf, time::Instant};

use cordon::schema::{Content, NodeId, Particle, ParticleId, Tables, TypeId, Variety};

fn official() -> Option<Tables> {
    let shared = std::env::var_os("CORDON_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let onvif = shared.join("onvif");
    if !onvif.is_dir() {
        println!("SKIPPED: no official files in {}; set CORDON_SHARED", onvif.display());
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
