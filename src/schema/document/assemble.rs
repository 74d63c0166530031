//! Puts a document together element by element, and judges each when it is closed: order, occurrence,
//! alternatives, what is missing.

use std::fmt::Display;

use super::{Document, Kind, NO_TEXT, Refusal, Spaces, Span, Token};
use crate::{
    limits::{PATH_BYTES_MAX, REQUEST_LIST_ITEMS_MAX, XML_DEPTH_MAX, XML_NODES_MAX},
    schema::{
        deviation::{DeviationKind, Deviations},
        simple::Judgement,
        tables::{
            Content, Model, NameId, NamespaceId, Node, NodeId, NodeKind, Occurs, Particle, ParticleId,
            Tables, Wildcard,
        },
    },
};

pub(super) struct Assembler<'t> {
    pub(super) tables: &'t Tables,
    pub(super) judgement: Judgement,
    pub(super) deviations: Deviations,
    pub(super) spaces: Spaces,
    tokens: Vec<Token>,
    text: String,
    open: Vec<Open>,
    /// How often each node stands in the open elements, those of the innermost last.
    counts: Vec<(NodeId, u32)>,
    scratch: Vec<Token>,
    segments: Vec<(u64, u32, u32)>,
}

struct Open {
    token: usize,
    node: NodeId,
    counts_from: usize,
    last_key: u64,
    sorted: bool,
    /// Whether something inside was left out.
    lossy: bool,
}

/// Where a child element may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) node: NodeId,
    key: u64,
    /// Whether its name had to be put right.
    pub(super) repaired: bool,
}

impl Place {
    /// The root of a message of its own inside another.
    pub(super) fn foreign(node: NodeId) -> Self {
        Self { node, key: 1, repaired: false }
    }
}

/// What became of an element when it was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    Kept,
    Dropped,
}

impl<'t> Assembler<'t> {
    pub(super) fn new(tables: &'t Tables, judgement: Judgement) -> Self {
        Self {
            tables,
            judgement,
            deviations: Deviations::default(),
            spaces: Spaces::default(),
            tokens: Vec::with_capacity(64),
            text: String::with_capacity(1024),
            open: Vec::new(),
            counts: Vec::new(),
            scratch: Vec::new(),
            segments: Vec::new(),
        }
    }

    pub(super) fn is_tolerant(&self) -> bool {
        self.judgement == Judgement::Tolerant
    }

    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// The innermost open element's node.
    pub(super) fn inside(&self) -> Option<NodeId> {
        self.open.last().map(|it| it.node)
    }

    pub(super) fn finish(self) -> (Document, Deviations) {
        (Document { tokens: self.tokens, text: self.text, spaces: self.spaces }, self.deviations)
    }

    /// The path of the innermost open element, and of something in it.
    pub(super) fn path(&self, last: impl Display) -> String {
        let last = last.to_string();
        let mut path = String::new();
        for open in &self.open {
            // Made for every deviation: no more of it than is shown.
            if path.len() >= PATH_BYTES_MAX {
                break;
            }
            path.push_str(self.tokens.get(open.token).map_or("", |token| token.local.of(&self.text)));
            path.push('/');
        }
        if last.starts_with(' ') {
            // A remark on the element itself.
            path.pop();
        }
        path.push_str(&last);
        let whole = path.trim_end_matches('/');
        whole.chars().take(PATH_BYTES_MAX / 4).collect()
    }

    pub(super) fn deviate(&mut self, kind: DeviationKind, last: impl Display) {
        if self.deviations.is_full() {
            return self.deviations.add_unnamed();
        }
        let name = self.path(last);
        self.deviations.add(kind, name);
    }

    /// Counts something that was left out of the innermost open element.
    pub(super) fn leave_out(&mut self, last: &str) {
        self.deviate(DeviationKind::Drop, last);
        if let Some(open) = self.open.last_mut() {
            open.lossy = true;
        }
    }

    /// Where an element of that name may stand in the innermost open one; none if it is not declared there.
    pub(super) fn place(&self, namespace: Option<NamespaceId>, local: &str) -> Option<Place> {
        let parent = self.tables.node(self.inside()?)?;
        if let Some(namespace) = namespace
            && let Some(node) = self.declared(parent, |found| found == namespace, local)
        {
            return Some(Place { node, key: element_key(node), repaired: false });
        }
        if let (Content::Elements(model) | Content::Mixed(model), Some(namespace)) =
            (parent.content, namespace)
            && let Some(place) = self.wildcard(model, namespace, local)
        {
            return Some(place);
        }
        // Cameras put elements into the wrong namespace; the place decides what they are.
        if !self.is_tolerant() {
            return None;
        }
        let node = self.declared(parent, |_| true, local)?;
        Some(Place { node, key: element_key(node), repaired: true })
    }

    fn declared(
        &self,
        parent: &Node,
        namespace: impl Fn(NamespaceId) -> bool,
        local: &str,
    ) -> Option<NodeId> {
        let children = parent.children.clone();
        let length = children.end.saturating_sub(children.start);
        // Elements mostly come in order: begin at the one that came last.
        let last = self.counts_of_innermost().last().map_or(children.start, |(node, _)| node.0);
        let first = last.clamp(children.start, children.end) - children.start;
        let mut full = None;
        for step in 0..length {
            let node = NodeId(children.start + (first + step) % length);
            let declared = self.tables.node(node)?;
            if self.tables.local(declared.name) == local && namespace(self.tables.namespace_of(declared.name))
            {
                // The same name may stand at two places of a model: take the next when the first is full.
                if self.count(node) < declared.occurs.max {
                    return Some(node);
                }
                full = full.or(Some(node));
            }
        }
        full
    }

    fn wildcard(&self, model: Model, namespace: NamespaceId, local: &str) -> Option<Place> {
        let name = self.tables.name(namespace, local)?;
        let mut before = 0;
        self.wildcard_in(model.particle, name, &mut before).map(|node| Place {
            node,
            key: before + 1,
            repaired: false,
        })
    }

    fn wildcard_in(&self, particle: ParticleId, name: NameId, before: &mut u64) -> Option<NodeId> {
        match self.tables.particle(particle)? {
            Particle::Element(node) => {
                *before = element_key(*node);
                None
            }
            Particle::Any(id, _) => self.tables.wildcard(*id)?.allowed.get(&name).copied(),
            Particle::Sequence(_, parts) | Particle::Choice(_, parts) => {
                parts.iter().find_map(|part| self.wildcard_in(*part, name, before))
            }
        }
    }

    fn counts_of_innermost(&self) -> &[(NodeId, u32)] {
        let from = self.open.last().map_or(0, |it| it.counts_from);
        self.counts.get(from..).unwrap_or(&[])
    }

    fn count(&self, node: NodeId) -> u32 {
        self.counts_of_innermost().iter().rev().find(|(it, _)| *it == node).map_or(0, |(_, count)| *count)
    }

    /// Whether one more element may stand at that place. In a model whose groups repeat, more may than the
    /// element itself says.
    pub(super) fn has_room(&self, place: Place) -> bool {
        let Some(declared) = self.tables.node(place.node) else { return false };
        let content = self.inside().and_then(|it| self.tables.node(it)).map(|parent| parent.content);
        match content {
            Some(Content::Elements(Model { ordered: true, .. }) | Content::Mixed(_)) => true,
            Some(Content::Elements(model)) if place.key & 1 == 1 => {
                self.wildcard_has_room(model.particle, declared.name)
            }
            _ => place.key & 1 == 1 || self.count(place.node) < declared.occurs.max,
        }
    }

    /// Whether the wildcard that takes an element of that name takes one more.
    fn wildcard_has_room(&self, particle: ParticleId, name: NameId) -> bool {
        match self.tables.particle(particle) {
            Some(Particle::Any(id, occurs)) => self.tables.wildcard(*id).is_none_or(|wildcard| {
                !wildcard.allowed.contains_key(&name) || self.count_allowed(wildcard) < occurs.max
            }),
            Some(Particle::Sequence(_, parts) | Particle::Choice(_, parts)) => {
                parts.iter().all(|part| self.wildcard_has_room(*part, name))
            }
            Some(Particle::Element(_)) | None => true,
        }
    }

    /// How many elements stand in the innermost open one by leave of a wildcard.
    fn count_allowed(&self, wildcard: &Wildcard) -> u32 {
        let stands = |node: &NodeId| wildcard.allowed.values().any(|one| one == node);
        self.counts_of_innermost().iter().filter(|(node, _)| stands(node)).map(|(_, it)| *it).sum()
    }

    /// Opens the root.
    pub(super) fn open_root(&mut self, node: NodeId) -> Result<(), Refusal> {
        self.open_token(Kind::Element, node, 0, None)
    }

    /// Opens an element at a place found with [`Assembler::place`].
    pub(super) fn open(&mut self, place: Place) -> Result<(), Refusal> {
        let many = self.count(place.node);
        if !self.is_tolerant() && many as usize >= REQUEST_LIST_ITEMS_MAX {
            let local = self.tables.node(place.node).map_or("", |it| self.tables.local(it.name));
            return Err(Refusal::Limit(self.path(local), REQUEST_LIST_ITEMS_MAX, "items"));
        }
        self.open_token(Kind::Element, place.node, place.key, None)
    }

    /// Opens an element of a topic tree.
    pub(super) fn open_topic(&mut self, kind: Kind, local: &str) -> Result<(), Refusal> {
        let tree = self.inside().unwrap_or(NodeId(u32::MAX));
        self.open_token(kind, tree, 0, Some(local))
    }

    fn open_token(&mut self, kind: Kind, node: NodeId, key: u64, topic: Option<&str>) -> Result<(), Refusal> {
        if self.open.len() >= XML_DEPTH_MAX {
            return Err(Refusal::Limit(self.path(""), XML_DEPTH_MAX, "levels of elements"));
        }
        if let Some(open) = self.open.last_mut() {
            open.sorted &= open.last_key <= key;
            open.last_key = key;
        }
        if topic.is_none() && !self.open.is_empty() {
            self.count_one(node);
        }
        let token = self.push(kind, node, topic)?;
        self.open.push(Open {
            token,
            node,
            counts_from: self.counts.len(),
            last_key: 0,
            sorted: true,
            lossy: false,
        });
        Ok(())
    }

    fn count_one(&mut self, node: NodeId) {
        let from = self.open.last().map_or(0, |it| it.counts_from);
        let counts = self.counts.get_mut(from..).unwrap_or_default();
        match counts.iter_mut().rev().find(|(it, _)| *it == node) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((node, 1)),
        }
    }

    fn uncount_one(&mut self, node: NodeId) {
        let from = self.open.last().map_or(0, |it| it.counts_from);
        let counts = self.counts.get_mut(from..).unwrap_or_default();
        if let Some((_, count)) = counts.iter_mut().rev().find(|(it, _)| *it == node) {
            *count = count.saturating_sub(1);
        }
    }

    fn push(&mut self, kind: Kind, node: NodeId, local: Option<&str>) -> Result<usize, Refusal> {
        if self.tokens.len() >= XML_NODES_MAX {
            return Err(Refusal::Limit(self.path(""), XML_NODES_MAX, "elements and attributes"));
        }
        let name = self.tables.node(node).map_or(NameId(u32::MAX), |it| it.name);
        let local = match self.tokens.last() {
            // A list repeats one name.
            Some(before) if local.is_none() && before.node == node && before.kind != Kind::Text => {
                before.local
            }
            _ => {
                let tables = self.tables;
                self.add(local.unwrap_or_else(|| tables.local(name)))
            }
        };
        self.tokens.push(Token { kind, node, name, size: 1, local, text: NO_TEXT });
        Ok(self.tokens.len() - 1)
    }

    /// Adds to the text. It stays far below 4 GB: it is made of a message with a limit.
    fn add(&mut self, text: &str) -> Span {
        let start = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        self.text.push_str(text);
        Span { start, length: u32::try_from(text.len()).unwrap_or(0) }
    }

    /// Marks the innermost open element as `xsi:nil`.
    pub(super) fn set_nil(&mut self) {
        if let Some(token) = self.open.last().and_then(|it| self.tokens.get_mut(it.token)) {
            token.kind = Kind::Nil;
        }
    }

    /// Whether the innermost open element is `xsi:nil`.
    pub(super) fn is_nil(&self) -> bool {
        self.open.last().and_then(|it| self.tokens.get(it.token)).is_some_and(|token| token.kind == Kind::Nil)
    }

    /// Adds an attribute to the innermost open element.
    pub(super) fn attribute(&mut self, node: NodeId, text: &str) -> Result<(), Refusal> {
        let token = self.push(Kind::Attribute, node, None)?;
        let span = self.add(text);
        if let Some(token) = self.tokens.get_mut(token) {
            token.text = span;
        }
        Ok(())
    }

    /// Sets the text of the innermost open element, which holds nothing else.
    pub(super) fn set_text(&mut self, text: &str) {
        let span = self.add(text);
        if let Some(token) = self.open.last().and_then(|it| self.tokens.get_mut(it.token)) {
            token.text = span;
        }
    }

    /// Whether the innermost open element has its text.
    pub(super) fn has_text(&self) -> bool {
        self.open
            .last()
            .and_then(|it| self.tokens.get(it.token))
            .is_some_and(|token| token.text.start != u32::MAX)
    }

    /// Adds text beside elements.
    pub(super) fn add_text(&mut self, text: &str) -> Result<(), Refusal> {
        let node = self.inside().unwrap_or(NodeId(u32::MAX));
        let token = self.push(Kind::Text, node, None)?;
        let span = self.add(text);
        if let Some(token) = self.tokens.get_mut(token) {
            token.text = span;
        }
        Ok(())
    }

    /// Whether the innermost open element may be left out.
    pub(super) fn may_drop(&self) -> bool {
        let Some((open, outer)) = self.open.split_last() else { return false };
        let Some(outer) = outer.last() else { return false };
        let counts = self.counts.get(outer.counts_from..open.counts_from).unwrap_or(&[]);
        let standing = counts.iter().find(|(node, _)| *node == open.node).map_or(0, |(_, count)| *count);
        self.tables.node(open.node).is_some_and(|it| standing > it.occurs.min)
    }

    /// Leaves the innermost open element out, with all it holds.
    pub(super) fn discard(&mut self) {
        let Some(open) = self.open.pop() else { return };
        self.tokens.truncate(open.token);
        self.counts.truncate(open.counts_from);
        self.uncount_one(open.node);
        if let Some(outer) = self.open.last_mut() {
            outer.lossy = true;
        }
    }

    /// Judges the innermost open element and closes it.
    pub(super) fn close(&mut self) -> Result<Closed, Refusal> {
        let Some(open) = self.open.last() else { return Ok(Closed::Kept) };
        let (from, node, lossy) = (open.token, open.node, open.lossy);
        self.order();
        let tables = self.tables;
        let topic = matches!(self.tokens.get(from).map(|it| it.kind), Some(Kind::Topic(..)));
        if let Some(declared) = tables.node(node).filter(|_| !topic && !self.is_nil()) {
            self.judge_attributes(declared)?;
            if let Content::Elements(model) | Content::Mixed(model) = declared.content {
                let empty = self.tokens.len() == from + 1;
                if lossy && empty && declared.children.is_empty() && self.may_drop() {
                    self.deviate(DeviationKind::Drop, "");
                    self.discard();
                    return Ok(Closed::Dropped);
                }
                self.judge_content(model)?;
            }
        }
        let size = u32::try_from(self.tokens.len() - from).unwrap_or(u32::MAX);
        if let Some(token) = self.tokens.get_mut(from) {
            token.size = size;
        }
        if let Some(open) = self.open.pop() {
            self.counts.truncate(open.counts_from);
        }
        Ok(Closed::Kept)
    }

    /// Puts what stands in the innermost open element into the order of the schema.
    fn order(&mut self) {
        let Some(open) = self.open.last() else { return };
        let (from, sorted, node) = (open.token + 1, open.sorted, open.node);
        let content = self.tables.node(node).map(|it| it.content);
        let forgiven = matches!(content, Some(Content::Elements(model)) if !model.ordered);
        let sort_elements = !sorted && forgiven;
        if sort_elements && self.is_tolerant() {
            self.deviate(DeviationKind::Repair, "(order)");
        }
        let attributes_sorted = self
            .tokens
            .get(from..)
            .unwrap_or(&[])
            .iter()
            .take_while(|token| token.kind == Kind::Attribute)
            .is_sorted_by_key(|token| token.node);
        if sort_elements || !attributes_sorted {
            self.reorder(from, sort_elements);
        }
    }

    fn reorder(&mut self, from: usize, elements: bool) {
        self.segments.clear();
        let mut at = from;
        while let Some(token) = self.tokens.get(at) {
            let key = match token.kind {
                Kind::Attribute => u64::from(token.node.0),
                _ if elements => (1 << 40) | self.sort_key(token),
                _ => 1 << 40,
            };
            let size = token.size.max(1);
            self.segments.push((key, u32::try_from(at).unwrap_or(u32::MAX), size));
            at += size as usize;
        }
        self.segments.sort_by_key(|(key, _, _)| *key);
        self.scratch.clear();
        for (_, start, size) in &self.segments {
            let start = *start as usize;
            self.scratch.extend_from_slice(self.tokens.get(start..start + *size as usize).unwrap_or(&[]));
        }
        self.tokens.truncate(from);
        self.tokens.extend_from_slice(&self.scratch);
    }

    fn sort_key(&self, token: &Token) -> u64 {
        let parent = self.inside().and_then(|it| self.tables.node(it));
        match parent {
            Some(parent) if !parent.children.contains(&token.node.0) => match parent.content {
                Content::Elements(model) | Content::Mixed(model) => {
                    let mut before = 0;
                    self.wildcard_in(model.particle, token.name, &mut before);
                    before + 1
                }
                _ => 0,
            },
            _ => element_key(token.node),
        }
    }

    fn judge_attributes(&mut self, declared: &Node) -> Result<(), Refusal> {
        for id in declared.attributes.clone() {
            let node = NodeId(id);
            let Some(attribute) = self.tables.node(node).filter(|it| it.kind == NodeKind::Attribute) else {
                continue;
            };
            if attribute.occurs.min == 0 || self.has_attribute(node) {
                continue;
            }
            let local = self.tables.local(attribute.name);
            if !self.is_tolerant() {
                return Err(Refusal::MissingAttribute(self.path(format!("@{local}"))));
            }
            self.deviate(DeviationKind::Incomplete, format!("@{local}"));
        }
        Ok(())
    }

    fn has_attribute(&self, node: NodeId) -> bool {
        let from = self.open.last().map_or(0, |it| it.token + 1);
        let inside = self.tokens.get(from..).unwrap_or(&[]);
        inside.iter().take_while(|it| it.kind == Kind::Attribute).any(|it| it.node == node)
    }

    fn judge_content(&mut self, model: Model) -> Result<(), Refusal> {
        match self.judge(model.particle) {
            Verdict::Fits | Verdict::Absent(None) => Ok(()),
            Verdict::Missing(node) | Verdict::Absent(Some(node)) => self.missing(node),
            Verdict::Together if self.is_tolerant() => {
                self.deviate(DeviationKind::Incomplete, "(alternatives)");
                Ok(())
            }
            Verdict::Together => Err(Refusal::Alternatives(self.path(""))),
        }
    }

    fn missing(&mut self, node: Option<NodeId>) -> Result<(), Refusal> {
        let tables = self.tables;
        let local = node.and_then(|it| tables.node(it)).map_or("*", |it| tables.local(it.name));
        if self.is_tolerant() {
            self.deviate(DeviationKind::Incomplete, local);
            Ok(())
        } else {
            Err(Refusal::MissingElement(self.path(local)))
        }
    }

    /// Judges a particle by how often each element stands; where they stand was put right before.
    fn judge(&self, particle: ParticleId) -> Verdict {
        match self.tables.particle(particle) {
            None => Verdict::Absent(None),
            Some(Particle::Element(node)) => {
                let min = self.tables.node(*node).map_or(0, |it| it.occurs.min);
                present(self.count(*node), min, Some(*node))
            }
            Some(Particle::Any(id, occurs)) => {
                let count = self.tables.wildcard(*id).map_or(0, |it| self.count_allowed(it));
                present(count, occurs.min, None)
            }
            Some(Particle::Sequence(occurs, parts)) => self.judge_sequence(*occurs, parts),
            Some(Particle::Choice(occurs, parts)) => self.judge_choice(*occurs, parts),
        }
    }

    fn judge_sequence(&self, occurs: Occurs, parts: &[ParticleId]) -> Verdict {
        let mut stands = false;
        let mut missing = None;
        for part in parts {
            match self.judge(*part) {
                Verdict::Fits => stands = true,
                Verdict::Absent(None) => {}
                Verdict::Absent(Some(node)) => missing = missing.or(Some(node)),
                Verdict::Missing(node) => {
                    stands = true;
                    missing = missing.or(Some(node));
                }
                Verdict::Together => return Verdict::Together,
            }
        }
        match missing {
            None if stands => Verdict::Fits,
            None => Verdict::Absent(None),
            Some(node) if stands => Verdict::Missing(node),
            Some(_) if occurs.min == 0 => Verdict::Absent(None),
            Some(node) => Verdict::Absent(Some(node)),
        }
    }

    fn judge_choice(&self, occurs: Occurs, parts: &[ParticleId]) -> Verdict {
        let mut standing = 0;
        let mut partial = None;
        let mut may_be_empty = occurs.min == 0 || parts.is_empty();
        let mut first = None;
        for part in parts {
            match self.judge(*part) {
                Verdict::Fits => standing += 1,
                Verdict::Missing(node) => {
                    standing += 1;
                    partial = Some(node);
                }
                Verdict::Absent(None) => may_be_empty = true,
                Verdict::Absent(Some(node)) => first = first.or(Some(node)),
                Verdict::Together => return Verdict::Together,
            }
        }
        match (standing, partial) {
            (0, _) if may_be_empty => Verdict::Absent(None),
            (0, _) => Verdict::Absent(Some(first.flatten())),
            (_, Some(node)) if standing == 1 || occurs.max > 1 => Verdict::Missing(node),
            (1, _) => Verdict::Fits,
            _ if occurs.max > 1 => Verdict::Fits,
            _ => Verdict::Together,
        }
    }
}

enum Verdict {
    /// It stands, and whole.
    Fits,
    /// Nothing of it stands; what is missing where something must.
    Absent(Option<Option<NodeId>>),
    /// A part of it stands, and this is missing.
    Missing(Option<NodeId>),
    /// Alternatives stand together.
    Together,
}

fn present(count: u32, min: u32, node: Option<NodeId>) -> Verdict {
    match count {
        0 if min == 0 => Verdict::Absent(None),
        0 => Verdict::Absent(Some(node)),
        _ if count < min => Verdict::Missing(node),
        _ => Verdict::Fits,
    }
}

fn element_key(node: NodeId) -> u64 {
    u64::from(node.0) * 2
}
