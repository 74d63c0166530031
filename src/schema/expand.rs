//! Expands every message into a tree of its own, so that each place has its own node.

use std::collections::HashMap;

use super::{
    facts::{AddressEffect, Trait, Traits},
    load::LoadError,
    overlay::{Contents, Direction, Overlay, Step},
    source::XSD,
    tables::{
        AddressKind, Content, Facets, Model, NameId, Node, NodeId, NodeKind, Occurs, Operation, OperationId,
        Particle, ParticleId, SimpleType, Tables, TypeId, Variety, Wildcard, WildcardId,
    },
    wsdl::Services,
    xsd::{Attribute, Attributes, BUILTINS, Declarations, Derivation, Element, Kind, Part, TypeRef, Use},
};
use crate::limits::{TABLE_NODES_MAX, XML_DEPTH_MAX};

const ONCE: Occurs = Occurs { min: 1, max: 1 };
const ANY_NUMBER: Occurs = Occurs { min: 0, max: u32::MAX };

/// Makes the tables of all declarations.
pub(super) fn tables(
    mut all: Declarations,
    services: &Services,
    overlay: &Overlay,
    digest: [u8; 32],
) -> Result<Tables, LoadError> {
    // Names of built-in types, so that they are there before the declarations are borrowed.
    for (local, _) in BUILTINS {
        all.names.intern(XSD, local);
    }
    let mut expander = Expander::new(&all, overlay);
    expander.operations(services)?;
    for name in &overlay.documents {
        expander.root(*name, Direction::Answer)?;
    }
    expander.pending_roots()?;
    let mut tables = expander.tables;
    tables.prefixes = prefixes(&all, overlay);
    tables.names = all.names;
    tables.digest = digest;
    derive_traits(&mut tables);
    Ok(tables)
}

struct Expander<'d> {
    all: &'d Declarations,
    overlay: &'d Overlay,
    tables: Tables,
    type_ids: HashMap<TypeRef, TypeId>,
    wildcard_ids: HashMap<(Vec<NameId>, Direction), WildcardId>,
    /// Root nodes by element and direction.
    roots: HashMap<(NameId, Direction), NodeId>,
    /// Roots whose tree is not made yet.
    pending: Vec<(NameId, Direction, NodeId)>,
    direction: Direction,
    path: Vec<Step>,
    /// The types being expanded, outermost first, with the node each belongs to.
    open: Vec<(usize, NodeId)>,
}

/// A complex type with all it inherits.
#[derive(Default)]
struct Body<'d> {
    parts: Vec<&'d Part>,
    attributes: Vec<(NameId, TypeRef, bool)>,
    simple: Option<TypeRef>,
    mixed: bool,
}

impl<'d> Expander<'d> {
    fn new(all: &'d Declarations, overlay: &'d Overlay) -> Self {
        Self {
            all,
            overlay,
            tables: Tables::default(),
            type_ids: HashMap::new(),
            wildcard_ids: HashMap::new(),
            roots: HashMap::new(),
            pending: Vec::new(),
            direction: Direction::Request,
            path: Vec::new(),
            open: Vec::new(),
        }
    }

    fn operations(&mut self, services: &Services) -> Result<(), LoadError> {
        let mut bound: Vec<_> =
            services.port_types.iter().filter(|it| services.bindings.contains_key(&it.name)).collect();
        let service_of = |name: NameId| service(self.all, self.overlay, name);
        bound.sort_by_key(|port| service_of(port.name));
        for port in bound {
            let (service, prefix) = service(self.all, self.overlay, port.name);
            let port_type = self.all.names.local(port.name);
            let actions = services.bindings.get(&port.name);
            for operation in &port.operations {
                let message = |id: &NameId| {
                    services.messages.get(id).copied().ok_or_else(|| self.undeclared("message", *id))
                };
                let input_name = message(&operation.input.message)?;
                let output_name = operation.output.as_ref().map(|it| message(&it.message)).transpose()?;
                let row = self.overlay.operation(&service, port_type, &operation.name);
                let input = self.root(input_name, Direction::Request)?;
                let output = output_name.map(|name| self.root(name, Direction::Answer)).transpose()?;
                let soap_action =
                    actions.and_then(|map| map.get(&operation.name)).cloned().unwrap_or_default();
                let id = OperationId(
                    u16::try_from(self.tables.operations.len()).map_err(|_| LoadError::TooLarge)?,
                );
                self.tables.by_input.entry(input_name).or_default().push(id);
                self.tables.operations.push(Operation {
                    service: service.clone(),
                    prefix: prefix.clone(),
                    port_type: port_type.into(),
                    name: operation.name.clone(),
                    input,
                    output,
                    soap_action,
                    action_in: operation.input.action.clone(),
                    action_out: operation.output.as_ref().map(|it| it.action.clone()).unwrap_or_default(),
                    class: row.map(|row| row.class),
                    traits: row.map_or(Traits::NONE, |row| row.traits),
                    traits_by_document: Traits::NONE,
                });
            }
        }
        Ok(())
    }

    /// The root node of an element; its tree is made later, by [`Self::pending_roots`].
    fn root(&mut self, name: NameId, direction: Direction) -> Result<NodeId, LoadError> {
        if let Some(id) = self.roots.get(&(name, direction)) {
            return Ok(*id);
        }
        let element = self.all.elements.get(&name).ok_or_else(|| self.undeclared("element", name))?;
        let id = self.push(Node::new(name, None, NodeKind::Element, ONCE, element.nillable))?;
        self.roots.insert((name, direction), id);
        self.tables.roots.entry(name).or_insert(id);
        self.pending.push((name, direction, id));
        Ok(id)
    }

    fn pending_roots(&mut self) -> Result<(), LoadError> {
        let mut done = 0;
        while let Some((name, direction, id)) = self.pending.get(done).copied() {
            done += 1;
            let element = self.all.elements.get(&name).ok_or_else(|| self.undeclared("element", name))?;
            self.direction = direction;
            self.element(id, (name, false), element.of)?;
        }
        Ok(())
    }

    /// Fills a node whose name, parent and occurrence stand already.
    fn element(&mut self, id: NodeId, step: Step, of: TypeRef) -> Result<(), LoadError> {
        if self.path.len() >= XML_DEPTH_MAX {
            return Err(LoadError::TooLarge);
        }
        self.path.push(step);
        match self.resolve(of)? {
            TypeRef::Any => self.anything(id)?,
            TypeRef::Complex(index) => self.complex(id, index)?,
            simple => {
                let content = Content::Simple(self.simple_type(simple)?);
                self.set(id, |node| node.content = content);
            }
        }
        self.judge(id);
        self.path.pop();
        Ok(())
    }

    fn complex(&mut self, id: NodeId, index: usize) -> Result<(), LoadError> {
        if let Some((_, outer)) = self.open.iter().find(|(open, _)| *open == index) {
            if let Some(outer) = self.tables.nodes.get(outer.index()).cloned() {
                self.set(id, |node| {
                    node.content = outer.content;
                    node.attributes = outer.attributes;
                    node.children = outer.children;
                });
            }
            return Ok(());
        }
        let body = self.body(index, 0)?;
        self.attributes(id, &body)?;
        let mut found: Vec<(Element, Step)> = Vec::new();
        for part in &body.parts {
            self.collect(part, &mut found, 0)?;
        }
        let first = self.next_node();
        for (element, _) in &found {
            let node = Node::new(element.name, Some(id), NodeKind::Element, element.occurs, element.nillable);
            self.push(node)?;
        }
        let children = first.0..self.next_node().0;
        let content = self.content(&body, children.start)?;
        self.set(id, |node| {
            node.content = content;
            node.children = children.clone();
        });
        self.open.push((index, id));
        for (child, (element, step)) in children.zip(&found) {
            self.element(NodeId(child), *step, element.of)?;
        }
        self.open.pop();
        Ok(())
    }

    fn attributes(&mut self, id: NodeId, body: &Body<'d>) -> Result<(), LoadError> {
        let own = self.overlay.attributes.find(self.direction, &self.path);
        let own = own.map(|(name, of)| (*name, TypeRef::Builtin(*of), false, NodeKind::OwnAttribute));
        let declared = body.attributes.iter().map(|(name, of, min)| (*name, *of, *min, NodeKind::Attribute));
        let first = self.next_node();
        for (name, of, required, kind) in declared.chain(own) {
            let of = self.resolve(of)?;
            let content = Content::Simple(self.simple_type(of)?);
            let occurs = Occurs { min: u32::from(required), max: 1 };
            let mut node = Node::new(name, Some(id), kind, occurs, false);
            node.content = content;
            let attribute = self.push(node)?;
            self.path.push((name, true));
            self.judge(attribute);
            self.path.pop();
        }
        let attributes = first.0..self.next_node().0;
        self.set(id, |node| node.attributes = attributes);
        Ok(())
    }

    fn content(&mut self, body: &Body<'d>, first: u32) -> Result<Content, LoadError> {
        if let Some(of) = body.simple {
            let of = self.resolve(of)?;
            return Ok(Content::Simple(self.simple_type(of)?));
        }
        if let Some(Contents::Topics(described)) = self.overlay.contents.find(self.direction, &self.path) {
            for name in described {
                self.root(*name, self.direction)?;
            }
            return Ok(Content::TopicTree);
        }
        let mut next = first;
        let mut parts = Vec::new();
        for part in &body.parts {
            let empty = matches!(part, Part::Sequence(_, held) | Part::Choice(_, held) if held.is_empty());
            if !empty {
                parts.push(self.particle(part, &mut next)?);
            }
        }
        let particle = match parts.as_slice() {
            [] if body.mixed => self.push_particle(Particle::Sequence(ONCE, Vec::new()))?,
            [] => return Ok(Content::Empty),
            [one]
                if !matches!(
                    self.tables.particles.get(one.index()),
                    Some(Particle::Element(_) | Particle::Any(..))
                ) =>
            {
                *one
            }
            _ => self.push_particle(Particle::Sequence(ONCE, parts))?,
        };
        let model = Model { particle, ordered: self.repeats(particle) };
        Ok(if body.mixed { Content::Mixed(model) } else { Content::Elements(model) })
    }

    /// `xs:anyType`: what the overlay allows there, or text.
    fn anything(&mut self, id: NodeId) -> Result<(), LoadError> {
        let wildcard = self.wildcard()?;
        let any = self.push_particle(Particle::Any(wildcard, ANY_NUMBER))?;
        let particle = self.push_particle(Particle::Sequence(ONCE, vec![any]))?;
        self.set(id, |node| node.content = Content::Mixed(Model { particle, ordered: false }));
        Ok(())
    }

    fn particle(&mut self, part: &'d Part, next: &mut u32) -> Result<ParticleId, LoadError> {
        let particle = match part {
            Part::Element(_) | Part::Reference(..) => {
                let node = NodeId(*next);
                *next = next.saturating_add(1);
                Particle::Element(node)
            }
            Part::Any(_, occurs) => Particle::Any(self.wildcard()?, *occurs),
            Part::Group(name, occurs) => match self.group(*name)? {
                Part::Choice(_, held) => Particle::Choice(*occurs, self.particles(held, next)?),
                Part::Sequence(_, held) => Particle::Sequence(*occurs, self.particles(held, next)?),
                other => Particle::Sequence(*occurs, vec![self.particle(other, next)?]),
            },
            Part::Sequence(occurs, held) => Particle::Sequence(*occurs, self.particles(held, next)?),
            Part::Choice(occurs, held) => Particle::Choice(*occurs, self.particles(held, next)?),
        };
        self.push_particle(particle)
    }

    fn particles(&mut self, parts: &'d [Part], next: &mut u32) -> Result<Vec<ParticleId>, LoadError> {
        parts.iter().map(|part| self.particle(part, next)).collect()
    }

    /// Whether a group inside repeats.
    fn repeats(&self, id: ParticleId) -> bool {
        match self.tables.particles.get(id.index()) {
            Some(Particle::Sequence(occurs, held) | Particle::Choice(occurs, held)) => {
                occurs.max > 1 || held.iter().any(|held| self.repeats(*held))
            }
            _ => false,
        }
    }

    /// The elements of a content model, in the order of the schema.
    fn collect(&self, part: &Part, found: &mut Vec<(Element, Step)>, depth: usize) -> Result<(), LoadError> {
        if depth > XML_DEPTH_MAX {
            return Err(LoadError::TooLarge);
        }
        match part {
            Part::Element(element) => found.push((element.clone(), (element.name, false))),
            Part::Reference(name, occurs) => {
                let global = self.all.elements.get(name).ok_or_else(|| self.undeclared("element", *name))?;
                found.push((Element { occurs: *occurs, ..global.clone() }, (*name, false)));
            }
            Part::Group(name, _) => self.collect(self.group(*name)?, found, depth + 1)?,
            Part::Sequence(_, held) | Part::Choice(_, held) => {
                for part in held {
                    self.collect(part, found, depth + 1)?;
                }
            }
            Part::Any(..) => {}
        }
        Ok(())
    }

    fn body(&self, index: usize, depth: usize) -> Result<Body<'d>, LoadError> {
        let declared =
            self.all.complex.get(index).filter(|_| depth < XML_DEPTH_MAX).ok_or(LoadError::TooLarge)?;
        let mut body = match declared.derivation {
            Derivation::None => Body::default(),
            Derivation::Extension(base) | Derivation::SimpleExtension(base) => match self.resolve(base)? {
                TypeRef::Complex(index) => self.body(index, depth + 1)?,
                TypeRef::Any => Body::default(),
                simple => Body { simple: Some(simple), ..Body::default() },
            },
            Derivation::Restriction(base) => match self.resolve(base)? {
                TypeRef::Complex(index) => Body { parts: Vec::new(), ..self.body(index, depth + 1)? },
                _ => Body::default(),
            },
        };
        body.mixed |= declared.mixed;
        body.parts.extend(&declared.content);
        self.inherit(&mut body.attributes, &declared.attributes, depth)?;
        Ok(body)
    }

    fn inherit(
        &self,
        into: &mut Vec<(NameId, TypeRef, bool)>,
        from: &Attributes,
        depth: usize,
    ) -> Result<(), LoadError> {
        for one in &from.uses {
            let (name, of, how) = match one {
                Attribute::Declared(name, of, how) => (*name, *of, *how),
                Attribute::Reference(name, how) => {
                    let of =
                        self.all.attributes.get(name).ok_or_else(|| self.undeclared("attribute", *name))?;
                    (*name, *of, *how)
                }
                Attribute::Group(name) => {
                    let group = self.all.attribute_groups.get(name).filter(|_| depth < XML_DEPTH_MAX);
                    let group = group.ok_or_else(|| self.undeclared("attribute group", *name))?;
                    self.inherit(into, group, depth + 1)?;
                    continue;
                }
            };
            into.retain(|(known, ..)| *known != name);
            if how != Use::Prohibited {
                into.push((name, of, how == Use::Required));
            }
        }
        Ok(())
    }

    fn group(&self, name: NameId) -> Result<&'d Part, LoadError> {
        self.all.groups.get(&name).ok_or_else(|| self.undeclared("group", name))
    }

    fn resolve(&self, of: TypeRef) -> Result<TypeRef, LoadError> {
        self.all.resolve(of).ok_or_else(|| match of {
            TypeRef::Named(name) => self.undeclared("type", name),
            _ => LoadError::TooLarge,
        })
    }

    /// The wildcard at the place the path names.
    fn wildcard(&mut self) -> Result<WildcardId, LoadError> {
        let names = match self.overlay.contents.find(self.direction, &self.path) {
            Some(Contents::Elements(names)) => names.clone(),
            _ => Vec::new(),
        };
        let key = (names, self.direction);
        if let Some(id) = self.wildcard_ids.get(&key) {
            return Ok(*id);
        }
        let id = WildcardId(u16::try_from(self.tables.wildcards.len()).map_err(|_| LoadError::TooLarge)?);
        // Before its roots: they may hold the same wildcard again.
        self.tables.wildcards.push(Wildcard { allowed: HashMap::new() });
        self.wildcard_ids.insert(key.clone(), id);
        let mut allowed = HashMap::new();
        for name in key.0 {
            allowed.insert(name, self.root(name, self.direction)?);
        }
        if let Some(wildcard) = self.tables.wildcards.get_mut(id.index()) {
            wildcard.allowed = allowed;
        }
        Ok(id)
    }

    /// Gives a node what the overlay says of its place.
    fn judge(&mut self, id: NodeId) {
        let secret = self.overlay.secrets.find(self.direction, &self.path).is_some();
        let effect = self.overlay.effects.find(self.direction, &self.path).copied();
        let holds_address = self.tables.nodes.get(id.index()).is_some_and(|node| match node.content {
            Content::Simple(of) => self.tables.address_kind(of).is_some(),
            _ => false,
        });
        if effect.is_none() && holds_address {
            self.tables.unjudged.push(id);
        }
        // What nobody judged is taken for the worst.
        let worst = match self.direction {
            _ if !holds_address => AddressEffect::None,
            Direction::Request => AddressEffect::Destination,
            Direction::Answer => AddressEffect::Own,
        };
        self.set(id, |node| {
            node.effect = effect.unwrap_or(worst);
            node.secret = secret;
        });
    }

    fn simple_type(&mut self, of: TypeRef) -> Result<TypeId, LoadError> {
        if let Some(id) = self.type_ids.get(&of) {
            return Ok(*id);
        }
        let made = match of {
            TypeRef::Builtin(builtin) => {
                let local =
                    BUILTINS.iter().find(|(_, known)| *known == builtin).map_or("", |(local, _)| local);
                let name = self.all.names.namespace(XSD).and_then(|xsd| self.all.names.name(xsd, local));
                let address = name.and_then(|name| self.overlay.addresses.get(&name).copied());
                SimpleType { name, variety: Variety::Atomic(builtin), facets: Facets::default(), address }
            }
            TypeRef::Simple(index) => self.declared_simple(index)?,
            // An element of a complex type where only text can stand.
            TypeRef::Complex(index) => match self.body(index, 0)?.simple {
                Some(simple) => return self.resolve(simple).and_then(|of| self.simple_type(of)),
                None => return Err(LoadError::TextOfComplex),
            },
            TypeRef::Any | TypeRef::Named(_) => return Err(LoadError::TextOfComplex),
        };
        let id = TypeId(u16::try_from(self.tables.types.len()).map_err(|_| LoadError::TooLarge)?);
        self.tables.types.push(made);
        self.type_ids.insert(of, id);
        Ok(id)
    }

    fn declared_simple(&mut self, index: usize) -> Result<SimpleType, LoadError> {
        let declared = self.all.simple.get(index).ok_or(LoadError::TooLarge)?;
        let named = declared.name.and_then(|name| self.overlay.addresses.get(&name).copied());
        let mut part = |of: TypeRef| self.resolve(of).and_then(|of| self.simple_type(of));
        let (variety, facets, address) = match &declared.kind {
            Kind::List(item) => (Variety::List(part(*item)?), declared.facets.clone(), None),
            Kind::Union(members) => {
                let members: Result<_, _> = members.iter().map(|it| part(*it)).collect();
                (Variety::Union(members?), declared.facets.clone(), None)
            }
            Kind::Restriction(base) => {
                let base = part(*base)?;
                let base = self.tables.types.get(base.index()).ok_or(LoadError::TooLarge)?;
                (base.variety.clone(), narrowed(&base.facets, &declared.facets), base.address)
            }
        };
        Ok(SimpleType { name: declared.name, variety, facets, address: named.or(address) })
    }

    fn undeclared(&self, what: &'static str, name: NameId) -> LoadError {
        let (uri, local) = self.all.names.parts(name);
        LoadError::Undeclared { what, name: format!("{{{uri}}}{local}") }
    }

    fn next_node(&self) -> NodeId {
        NodeId(u32::try_from(self.tables.nodes.len()).unwrap_or(u32::MAX))
    }

    fn push(&mut self, node: Node) -> Result<NodeId, LoadError> {
        if self.tables.nodes.len() >= TABLE_NODES_MAX {
            return Err(LoadError::TooLarge);
        }
        let id = self.next_node();
        self.tables.nodes.push(node);
        Ok(id)
    }

    fn push_particle(&mut self, particle: Particle) -> Result<ParticleId, LoadError> {
        let id = ParticleId(u32::try_from(self.tables.particles.len()).map_err(|_| LoadError::TooLarge)?);
        self.tables.particles.push(particle);
        Ok(id)
    }

    fn set(&mut self, id: NodeId, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.tables.nodes.get_mut(id.index()) {
            change(node);
        }
    }
}

/// The facets of a type derived from one that has some already.
fn narrowed(base: &Facets, own: &Facets) -> Facets {
    let mut facets = own.clone();
    if facets.enumeration.is_empty() {
        facets.enumeration.clone_from(&base.enumeration);
    }
    facets.length = own.length.or(base.length);
    facets.min_length = own.min_length.or(base.min_length);
    facets.max_length = own.max_length.or(base.max_length);
    facets.min_inclusive = own.min_inclusive.clone().or_else(|| base.min_inclusive.clone());
    facets.max_inclusive = own.max_inclusive.clone().or_else(|| base.max_inclusive.clone());
    facets.patterns = base.patterns.iter().chain(&own.patterns).cloned().collect();
    facets
}

/// Service name and prefix of a port type.
fn service(all: &Declarations, overlay: &Overlay, port: NameId) -> (Box<str>, Box<str>) {
    let (uri, _) = all.names.parts(port);
    match overlay.services.iter().find(|it| *it.namespace == *uri) {
        Some(known) => (known.name.clone(), known.prefix.clone()),
        // A service the overlay does not know: it gets a name, but no access class, so it is refused.
        None => (uri.into(), format!("ns{}", all.names.namespace_of(port).index()).into()),
    }
}

/// The prefix of each namespace, by id.
pub(super) fn prefixes(all: &Declarations, overlay: &Overlay) -> Vec<Box<str>> {
    let by_uri: HashMap<&str, &str> =
        overlay.prefixes.iter().map(|(prefix, uri)| (&**uri, &**prefix)).collect();
    let prefix = |(id, uri): (super::tables::NamespaceId, &str)| match (uri, by_uri.get(uri)) {
        ("", _) => Box::from(""),
        (_, Some(prefix)) => Box::from(*prefix),
        (_, None) => format!("ns{}", id.index()).into(),
    };
    all.names.namespaces().map(prefix).collect()
}

/// Traits that follow from what the trees hold.
fn derive_traits(tables: &mut Tables) {
    let mut operations = std::mem::take(&mut tables.operations);
    for operation in &mut operations {
        tables.walk(operation.input, &mut |_, node| {
            let by_effect = match node.effect {
                AddressEffect::Destination | AddressEffect::PossibleDestination | AddressEffect::Start => {
                    Some(Trait::Egress)
                }
                AddressEffect::Listener => Some(Trait::Listener),
                AddressEffect::AccessFilter => Some(Trait::Network),
                _ => None,
            };
            let secret = node.secret.then_some(Trait::SecretRequest);
            for one in by_effect.into_iter().chain(secret) {
                operation.traits_by_document = operation.traits_by_document.with(one);
            }
        });
        let mut holds_secret = false;
        if let Some(output) = operation.output {
            tables.walk(output, &mut |_, node| holds_secret |= node.secret);
        }
        if holds_secret {
            operation.traits = operation.traits.with(Trait::SecretAnswer);
        }
    }
    tables.operations = operations;
}

impl Tables {
    /// Whether texts of a type are addresses: itself, its items or one of its alternatives.
    pub fn address_kind(&self, id: TypeId) -> Option<AddressKind> {
        let of = self.simple_type(id)?;
        of.address.or_else(|| match &of.variety {
            Variety::Atomic(_) => None,
            Variety::List(item) => self.address_kind(*item),
            Variety::Union(members) => members.iter().find_map(|member| self.address_kind(*member)),
        })
    }
}
