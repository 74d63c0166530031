//! The interface as tables: every message expanded into a tree of nodes, so that a node id alone says the
//! name, type, occurrence, address effect and secrecy of a value.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use super::{
    facts::{AccessClass, AddressEffect, Traits},
    names::Names,
};

macro_rules! id {
    ($(#[$doc:meta])* $type:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(pub(super) $inner);

        impl $type {
            pub(super) fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id!(
    /// A namespace of the tables. Zero is "no namespace".
    NamespaceId(u16)
);
id!(
    /// A namespace and local name of the tables.
    NameId(u32)
);
id!(
    /// A place in the expanded tree of one message. Valid for one digest of the tables.
    NodeId(u32)
);
id!(
    /// A simple type.
    TypeId(u16)
);
id!(
    /// A part of a content model.
    ParticleId(u32)
);
id!(
    /// A wildcard (`xs:any`) with what the overlay allows in it.
    WildcardId(u16)
);
id!(
    /// An operation.
    OperationId(u16)
);

#[cfg(test)]
impl OperationId {
    /// An id that is in no tables, for tests that go by names.
    pub(crate) const OF_NO_TABLES: Self = Self(u16::MAX);
}

/// How often something may stand: `0 <= min <= max`, `max == u32::MAX` for unbounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Occurs {
    /// At least.
    pub min: u32,
    /// At most.
    pub max: u32,
}

/// Element or attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// An element.
    Element,
    /// An attribute that nobody but the gateway writes: of a message that is read it is none.
    OwnAttribute,
    /// An attribute: `min` is 1 where its use is required.
    Attribute,
}

/// What may stand inside an element. Attributes have `Simple`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    Empty,
    /// Text of one type.
    Simple(TypeId),
    /// Elements only.
    Elements(Model),
    /// Text and elements (topic and filter expressions of WS-Notification).
    Mixed(Model),
    /// A tree of topics: any name, holding only `wstop:topic`, child topics or a message description.
    TopicTree,
}

/// The content model of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// The outermost group.
    pub particle: ParticleId,
    /// Whether a group repeats, so that the order of elements carries meaning and must not be repaired.
    pub ordered: bool,
}

/// A part of a content model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Particle {
    /// An element; its occurrence stands at the node.
    Element(NodeId),
    /// A wildcard.
    Any(WildcardId, Occurs),
    /// Parts one after the other.
    Sequence(Occurs, Vec<ParticleId>),
    /// One of several parts.
    Choice(Occurs, Vec<ParticleId>),
}

/// One place in the expanded tree of one message.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name.
    pub name: NameId,
    /// The element it stands in; none for a message's root. Of a node that several places share because its
    /// type recurses, the outermost.
    pub parent: Option<NodeId>,
    /// Element or attribute.
    pub kind: NodeKind,
    /// How often it may stand in its parent.
    pub occurs: Occurs,
    /// Whether `xsi:nil` is allowed.
    pub nillable: bool,
    /// What it holds.
    pub content: Content,
    /// Its attributes, as ids from..to. May belong to an ancestor where a type recurses.
    pub attributes: Range<u32>,
    /// Its child elements in the order of the schema, as ids from..to. May belong to an ancestor where a type
    /// recurses.
    pub children: Range<u32>,
    /// What an address in it does.
    pub effect: AddressEffect,
    /// Whether its text is a secret.
    pub secret: bool,
}

/// A wildcard and what may stand there.
#[derive(Debug, Clone)]
pub struct Wildcard {
    /// Global elements the overlay allows there, by name and root node.
    pub allowed: HashMap<NameId, NodeId>,
}

/// The XSD types that everything is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of XSD Part 2")]
pub enum Builtin {
    AnySimpleType,
    String,
    NormalizedString,
    Token,
    Language,
    Name,
    NcName,
    Id,
    IdRef,
    IdRefs,
    NmToken,
    NmTokens,
    AnyUri,
    QName,
    Boolean,
    Decimal,
    Integer,
    NonNegativeInteger,
    PositiveInteger,
    NonPositiveInteger,
    NegativeInteger,
    Long,
    Int,
    Short,
    Byte,
    UnsignedLong,
    UnsignedInt,
    UnsignedShort,
    UnsignedByte,
    Float,
    Double,
    Duration,
    DateTime,
    Date,
    Time,
    GYear,
    Base64Binary,
    HexBinary,
}

/// A type whose text is an address (the overlay says which).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// `tt:IPv4Address`.
    Ipv4,
    /// `tt:IPv6Address`.
    Ipv6,
    /// `tt:DNSName`.
    HostName,
    /// `xs:anyURI` and what derives from it.
    Uri,
    /// `tt:HwAddress`.
    Mac,
}

/// What a simple type is built of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variety {
    /// One value.
    Atomic(Builtin),
    /// Values with white space between.
    List(TypeId),
    /// One of several types.
    Union(Vec<TypeId>),
}

/// What restricts a simple type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of XSD Part 2 §4.3")]
pub struct Facets {
    pub enumeration: Vec<Box<str>>,
    pub length: Option<u32>,
    pub min_length: Option<u32>,
    pub max_length: Option<u32>,
    pub min_inclusive: Option<Box<str>>,
    pub max_inclusive: Option<Box<str>>,
    pub patterns: Vec<Box<str>>,
}

/// A simple type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimpleType {
    /// Its name, if it has one.
    pub name: Option<NameId>,
    /// What it is built of.
    pub variety: Variety,
    /// What restricts it, inherited restrictions included.
    pub facets: Facets,
    /// Whether its text is an address.
    pub address: Option<AddressKind>,
}

/// One operation of one port type.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The service it belongs to, as the overlay file is called: `device`, `media2`, `events-wsn`.
    pub service: Box<str>,
    /// Our prefix of that service: `tds`, `tr2`.
    pub prefix: Box<str>,
    /// The port type.
    pub port_type: Box<str>,
    /// Its name, `SetNTP`. With the prefix it is how people write it: `tds:SetNTP`.
    pub name: Box<str>,
    /// The root of its request.
    pub input: NodeId,
    /// The root of its answer; none for one-way operations.
    pub output: Option<NodeId>,
    /// The SOAP action of its request.
    pub soap_action: Box<str>,
    /// The WS-Addressing action of its request (declared, or the default of WS-Addressing WSDL Binding §4.4).
    pub action_in: Box<str>,
    /// The WS-Addressing action of its answer.
    pub action_out: Box<str>,
    /// Who may call it by ONVIF's default; none if the overlay has no row for it, and then it is refused.
    pub class: Option<AccessClass>,
    /// Traits that hold whatever the document says.
    pub traits: Traits,
    /// Traits that hold if the document makes them so: it holds a value at a node with that effect.
    pub traits_by_document: Traits,
}

/// The interface: all operations, messages and types.
#[derive(Debug, Default)]
pub struct Tables {
    pub(super) names: Names,
    /// The prefix we write for each namespace, by id.
    pub(super) prefixes: Vec<Box<str>>,
    pub(super) nodes: Vec<Node>,
    pub(super) particles: Vec<Particle>,
    pub(super) wildcards: Vec<Wildcard>,
    pub(super) types: Vec<SimpleType>,
    pub(super) operations: Vec<Operation>,
    /// Root nodes of requests, answers and other global elements that may be read as a message.
    pub(super) roots: HashMap<NameId, NodeId>,
    /// Operations by the name of their request element; several share `wsnt:Unsubscribe`, `wsnt:Renew`,
    /// `wsnt:Notify`, `tds:GetRelayOutputs` and `tds:SetRelayOutputState`.
    pub(super) by_input: HashMap<NameId, Vec<OperationId>>,
    /// SHA-256 over the files the tables were made of.
    pub(super) digest: [u8; 32],
    /// Nodes that hold an address and of which the overlay says nothing.
    pub(super) unjudged: Vec<NodeId>,
}

/// Lookups. An id of these tables always has its entry; one of other tables answers an inert default.
impl Tables {
    /// The namespace of that name.
    pub fn namespace(&self, uri: &str) -> Option<NamespaceId> {
        self.names.namespace(uri)
    }

    /// The name of a namespace.
    pub fn namespace_uri(&self, id: NamespaceId) -> &str {
        self.names.uri(id)
    }

    /// The prefix we write for a namespace; empty for "no namespace".
    pub fn prefix(&self, id: NamespaceId) -> &str {
        self.prefixes.get(id.index()).map_or("", |prefix| prefix)
    }

    /// The namespace we write with that prefix.
    pub fn namespace_by_prefix(&self, prefix: &str) -> Option<NamespaceId> {
        let found = self.prefixes.iter().position(|it| !it.is_empty() && **it == *prefix)?;
        u16::try_from(found).ok().map(NamespaceId)
    }

    /// The name made of a namespace and a local name, if any message holds it.
    pub fn name(&self, namespace: NamespaceId, local: &str) -> Option<NameId> {
        self.names.name(namespace, local)
    }

    /// The local part of a name.
    pub fn local(&self, name: NameId) -> &str {
        self.names.local(name)
    }

    /// The namespace part of a name.
    pub fn namespace_of(&self, name: NameId) -> NamespaceId {
        self.names.namespace_of(name)
    }

    /// How people write the name: `tds:SetNTP`.
    pub fn qualified(&self, name: NameId) -> String {
        match self.prefix(self.namespace_of(name)) {
            "" => self.local(name).to_owned(),
            prefix => format!("{prefix}:{}", self.local(name)),
        }
    }

    /// A place in a message.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.index())
    }

    /// A part of a content model.
    pub fn particle(&self, id: ParticleId) -> Option<&Particle> {
        self.particles.get(id.index())
    }

    /// A wildcard.
    pub fn wildcard(&self, id: WildcardId) -> Option<&Wildcard> {
        self.wildcards.get(id.index())
    }

    /// A simple type.
    pub fn simple_type(&self, id: TypeId) -> Option<&SimpleType> {
        self.types.get(id.index())
    }

    /// The root node of a message, by the name of its outermost element.
    pub fn root(&self, name: NameId) -> Option<NodeId> {
        self.roots.get(&name).copied()
    }

    /// An operation.
    pub fn operation(&self, id: OperationId) -> Option<&Operation> {
        self.operations.get(id.index())
    }

    /// All operations with their ids.
    pub fn operations(&self) -> impl Iterator<Item = (OperationId, &Operation)> {
        (0..).map(OperationId).zip(&self.operations)
    }

    /// The operations whose request has this outermost element.
    pub fn operations_by_input(&self, name: NameId) -> &[OperationId] {
        self.by_input.get(&name).map_or(&[], Vec::as_slice)
    }

    /// An operation as people write it: `tds:SetNTP`. Of several, the first.
    pub fn operation_by_name(&self, qualified: &str) -> Option<OperationId> {
        let (prefix, name) = qualified.split_once(':')?;
        let found = self.operations().find(|(_, it)| *it.prefix == *prefix && *it.name == *name);
        found.map(|(id, _)| id)
    }

    /// SHA-256 over the files the tables were made of.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The operations of which the overlay says nothing: they are refused.
    pub fn operations_without_class(&self) -> impl Iterator<Item = (OperationId, &Operation)> {
        self.operations().filter(|(_, operation)| operation.class.is_none())
    }

    /// The places that can hold an address and of which the overlay says nothing. In requests they count as
    /// destinations, in answers as the camera's own.
    pub fn addresses_without_effect(&self) -> &[NodeId] {
        &self.unjudged
    }

    /// All nodes with their ids.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        (0..).map(NodeId).zip(&self.nodes)
    }

    /// The child elements of a node with their ids, in the order of the schema.
    pub fn children(&self, id: NodeId) -> impl Iterator<Item = (NodeId, &Node)> {
        self.range(self.node(id).map(|node| node.children.clone()))
    }

    /// The attributes of a node with their ids.
    pub fn attributes(&self, id: NodeId) -> impl Iterator<Item = (NodeId, &Node)> {
        self.range(self.node(id).map(|node| node.attributes.clone()))
    }

    /// The path of a node from its root: `tds:SetNTP/tds:NTPManual/tt:IPv4Address`, `tt:Profile/@token`.
    pub fn path(&self, id: NodeId) -> String {
        let mut steps = Vec::new();
        let mut at = Some(id);
        while let Some(node) = at.and_then(|id| self.node(id)) {
            let mark = if node.kind == NodeKind::Element { "" } else { "@" };
            steps.push(format!("{mark}{}", self.qualified(node.name)));
            at = node.parent;
        }
        steps.reverse();
        steps.join("/")
    }

    /// Visits every node below a root, itself included, and what its wildcards allow; each once.
    pub fn walk(&self, root: NodeId, visit: &mut dyn FnMut(NodeId, &Node)) {
        let mut seen = HashSet::from([root]);
        let mut waiting = vec![root];
        while let Some(id) = waiting.pop() {
            let Some(node) = self.node(id) else { continue };
            visit(id, node);
            let mut below: Vec<NodeId> =
                node.attributes.clone().chain(node.children.clone()).map(NodeId).collect();
            if let Content::Elements(model) | Content::Mixed(model) = node.content {
                self.allowed_in(model.particle, &mut below);
            }
            waiting.extend(below.into_iter().filter(|id| seen.insert(*id)));
        }
    }

    fn allowed_in(&self, particle: ParticleId, found: &mut Vec<NodeId>) {
        match self.particle(particle) {
            Some(Particle::Any(id, _)) => {
                let wildcard = self.wildcard(*id);
                found.extend(wildcard.into_iter().flat_map(|it| it.allowed.values()));
            }
            Some(Particle::Sequence(_, held) | Particle::Choice(_, held)) => {
                for part in held {
                    self.allowed_in(*part, found);
                }
            }
            Some(Particle::Element(_)) | None => {}
        }
    }

    fn range(&self, range: Option<Range<u32>>) -> impl Iterator<Item = (NodeId, &Node)> {
        range.into_iter().flatten().map(NodeId).filter_map(|id| Some((id, self.node(id)?)))
    }
}

impl Node {
    /// A node of which only name, place and occurrence are known.
    pub(super) fn new(
        name: NameId,
        parent: Option<NodeId>,
        kind: NodeKind,
        occurs: Occurs,
        nillable: bool,
    ) -> Self {
        Self {
            name,
            parent,
            kind,
            occurs,
            nillable,
            content: Content::Empty,
            attributes: 0..0,
            children: 0..0,
            effect: AddressEffect::None,
            secret: false,
        }
    }
}
