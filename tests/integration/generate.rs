//! Messages made from the interface tables: the smallest that an operation takes, and arbitrary ones.

use std::{collections::BTreeSet, fmt::Write as _};

use cordon::schema::{
    AddressKind, Builtin, Content, NamespaceId, NodeId, NodeKind, Occurs, Particle, ParticleId, Tables,
    TypeId, Variety,
};

/// Where choices come from. What is left out reads as zero, and zero is always the smallest choice, so that a
/// shorter tape makes a smaller message.
#[derive(Debug, Default)]
pub struct Tape {
    choices: Vec<u8>,
    at: usize,
}

impl Tape {
    pub fn new(choices: Vec<u8>) -> Self {
        Self { choices, at: 0 }
    }

    fn below(&mut self, bound: usize) -> usize {
        let choice = self.choices.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        usize::from(choice) % bound.max(1)
    }

    fn is_empty(&self) -> bool {
        self.at >= self.choices.len()
    }
}

/// A made message.
pub struct Made {
    /// The message, every namespace declared at its root.
    pub text: String,
    /// Whether all that must stand does: where the interface wants a foreign element and the overlay allows
    /// none, nothing can be made.
    pub whole: bool,
}

/// Makes a message.
pub fn message(tables: &Tables, root: NodeId, tape: Tape) -> Made {
    let mut maker =
        Maker { tables, tape, out: String::new(), spaces: BTreeSet::new(), depth: 0, whole: true };
    maker.element(root);
    let declared: String = maker
        .spaces
        .iter()
        .filter(|space| !matches!(tables.prefix(**space), "" | "xml"))
        .map(|space| format!(" xmlns:{}=\"{}\"", tables.prefix(*space), tables.namespace_uri(*space)))
        .collect();
    let mut out = maker.out;
    let at = out.find([' ', '>', '/']).unwrap();
    out.insert_str(at, &declared);
    Made { text: out, whole: maker.whole }
}

struct Maker<'t> {
    tables: &'t Tables,
    tape: Tape,
    out: String,
    spaces: BTreeSet<NamespaceId>,
    depth: usize,
    whole: bool,
}

/// Below this only what must stand does.
const DEPTH_MAX: usize = 24;

impl Maker<'_> {
    fn element(&mut self, id: NodeId) {
        let tables = self.tables;
        let node = tables.node(id).unwrap();
        let name = tables.qualified(node.name);
        self.spaces.insert(tables.namespace_of(node.name));
        let _ = write!(self.out, "<{name}");
        // Those of the gateway's own nobody else writes.
        let attributes = tables.attributes(id).filter(|(_, it)| it.kind == NodeKind::Attribute);
        for (_, attribute) in attributes {
            if attribute.occurs.min == 0 && self.tape.below(3) == 0 {
                continue;
            }
            let Content::Simple(simple) = attribute.content else { continue };
            self.spaces.insert(tables.namespace_of(attribute.name));
            let value = self.value(simple);
            let _ = write!(self.out, " {}=\"{value}\"", tables.qualified(attribute.name));
        }
        self.out.push('>');
        self.depth += 1;
        match node.content {
            Content::Empty | Content::TopicTree => {}
            Content::Simple(simple) => {
                let value = self.value(simple);
                self.out.push_str(&value);
            }
            Content::Elements(model) => self.particle(model.particle),
            Content::Mixed(model) => {
                self.out.push_str("boolean(1)");
                self.particle(model.particle);
            }
        }
        self.depth -= 1;
        let _ = write!(self.out, "</{name}>");
    }

    fn particle(&mut self, id: ParticleId) {
        match self.tables.particle(id) {
            None => {}
            Some(Particle::Element(node)) => {
                let occurs = self.tables.node(*node).unwrap().occurs;
                for _ in 0..self.times(occurs) {
                    self.element(*node);
                }
            }
            Some(Particle::Any(id, occurs)) => {
                let mut allowed: Vec<_> =
                    self.tables.wildcard(*id).into_iter().flat_map(|it| it.allowed.values()).collect();
                allowed.sort_unstable();
                if allowed.is_empty() {
                    self.whole &= occurs.min == 0;
                } else {
                    for _ in 0..self.times(*occurs) {
                        let at = self.tape.below(allowed.len());
                        self.element(*allowed[at]);
                    }
                }
            }
            Some(Particle::Sequence(occurs, parts)) => {
                for _ in 0..self.times(*occurs) {
                    parts.iter().for_each(|part| self.particle(*part));
                }
            }
            Some(Particle::Choice(occurs, parts)) => {
                for _ in 0..self.times(*occurs) {
                    let at = self.tape.below(parts.len());
                    if let Some(part) = parts.get(at) {
                        self.particle(*part);
                    }
                }
            }
        }
    }

    fn times(&mut self, occurs: Occurs) -> u32 {
        let more = (occurs.max - occurs.min).min(2);
        if self.depth > DEPTH_MAX || self.tape.is_empty() {
            return occurs.min;
        }
        occurs.min + u32::try_from(self.tape.below(more as usize + 1)).unwrap()
    }

    fn value(&mut self, id: TypeId) -> String {
        let simple = self.tables.simple_type(id).unwrap();
        let facets = &simple.facets;
        if !facets.enumeration.is_empty() {
            return facets.enumeration[self.tape.below(facets.enumeration.len())].to_string();
        }
        if let Some(kind) = simple.address {
            let values: &[&str] = match kind {
                AddressKind::Ipv4 => &["192.0.2.1", "198.51.100.7"],
                AddressKind::Ipv6 => &["2001:db8::1", "2001:db8::2"],
                AddressKind::HostName => &["host.example", "a"],
                AddressKind::Uri => &["urn:x", "http://host.example/a?b=1"],
                AddressKind::Mac => &["02:00:00:00:00:01", "02:00:5e:10:00:fe"],
            };
            return values[self.tape.below(values.len())].to_owned();
        }
        if !facets.patterns.is_empty() {
            return patterned(&facets.patterns[0]).to_owned();
        }
        match &simple.variety {
            Variety::List(item) => self.value(*item),
            Variety::Union(members) => {
                let at = self.tape.below(members.len());
                self.value(members[at])
            }
            Variety::Atomic(builtin) => {
                let value = self.atomic(*builtin);
                match (&facets.min_inclusive, &facets.length.or(facets.min_length)) {
                    (Some(least), _) => least.to_string(),
                    (None, Some(length)) if *builtin == Builtin::HexBinary => "0a".repeat(*length as usize),
                    (None, Some(length)) if value.len() < *length as usize => "x".repeat(*length as usize),
                    (None, _) if facets.max_length == Some(0) => String::new(),
                    (None, _) => value,
                }
            }
        }
    }

    fn atomic(&mut self, builtin: Builtin) -> String {
        use Builtin as B;
        let values: &[&str] = match builtin {
            B::AnySimpleType | B::String | B::NormalizedString | B::Token => {
                &["x", "a b", "", "&amp;&lt;&#x9;é", "ключ", "]]&gt;"]
            }
            B::Language => &["en", "de-CH"],
            B::Name | B::NcName | B::Id | B::IdRef | B::NmToken => &["x", "a-b.c", "_1"],
            B::IdRefs | B::NmTokens => &["x", "a b"],
            B::AnyUri => &["urn:x", "http://host.example/a?b=1&amp;c"],
            B::QName => &["x"],
            B::Boolean => &["false", "true", "1", "0"],
            B::Decimal => &["1", "-1.50", "+0.1"],
            B::Float | B::Double => &["1", "-0.5", "1E3", "INF", "NaN", "-INF"],
            B::Integer | B::Long | B::Int | B::Short | B::Byte => &["1", "-1", "0", "127"],
            B::NonNegativeInteger | B::UnsignedLong | B::UnsignedInt | B::UnsignedShort | B::UnsignedByte => {
                &["1", "0", "255"]
            }
            B::PositiveInteger => &["1", "70000"],
            B::NonPositiveInteger => &["0", "-1"],
            B::NegativeInteger => &["-1"],
            B::Duration => &["PT1S", "P1DT2H", "-P1Y"],
            B::DateTime => &["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678+01:00", "2026-01-02T03:04:05"],
            B::Date => &["2026-01-02"],
            B::Time => &["03:04:05"],
            B::GYear => &["2026"],
            B::Base64Binary => &["AAAA", "", "AQ=="],
            B::HexBinary => &["00", "", "AbCd"],
        };
        values[self.tape.below(values.len())].to_owned()
    }
}

/// A text for each kind of pattern in the interface.
fn patterned(pattern: &str) -> &'static str {
    // The order matters: the pattern of media types has digits too.
    const SAMPLES: [(&str, &str); 3] = [("/", "x/x"), ("{8,63}", "xxxxxxxx"), ("[0-9]+(", "1.5")];
    SAMPLES.iter().find(|(mark, _)| pattern.contains(mark)).map_or("x", |(_, sample)| sample)
}
