//! Reads a document from XML, strictly or tolerantly.

use std::{borrow::Cow, fmt};

use super::{
    Document, Kind, Refusal,
    assemble::{Assembler, Place},
    qname::PrefixError,
};
use crate::schema::{
    deviation::{DeviationKind, Deviations},
    facts::AddressEffect,
    simple::{self, Checked, Judgement, ValueError},
    tables::{Content, NamespaceId, Node, NodeId, NodeKind, Tables, TypeId},
    xml::{Attribute, ExpandedName, SpaceId, XML, XmlEvent, XmlReader},
};

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
const WSU: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const XOP: &str = "http://www.w3.org/2004/08/xop/include";
const TOPICS: &str = "http://docs.oasis-open.org/wsn/t-1";

impl Document {
    /// Reads a request strictly: what is not declared is refused, order is forgiven. The reader stands behind
    /// the start tag of the message's outermost element, whose name the caller has found `root` by; it is left
    /// behind its end tag.
    pub fn read_request(tables: &Tables, xml: &mut XmlReader<'_>, root: NodeId) -> Result<Self, Refusal> {
        Reading::new(tables, xml, Judgement::Strict).message(root).map(|(document, _)| document)
    }

    /// Reads an answer tolerantly; see [`Deviations`]. The reader stands as for [`Document::read_request`].
    pub fn read_answer(
        tables: &Tables,
        xml: &mut XmlReader<'_>,
        root: NodeId,
    ) -> Result<(Self, Deviations), Refusal> {
        let (document, mut deviations) = Reading::new(tables, xml, Judgement::Tolerant).message(root)?;
        for repair in xml.take_repairs() {
            deviations.add(DeviationKind::Repair, repair);
        }
        Ok((document, deviations))
    }

    /// Reads a text that is the message's outermost element alone, strictly.
    pub fn parse_request(tables: &Tables, text: &str, root: NodeId) -> Result<Self, Refusal> {
        let mut xml = XmlReader::strict(text)?;
        begin(tables, &mut xml, root)?;
        let document = Self::read_request(tables, &mut xml, root)?;
        xml.next_event()?;
        Ok(document)
    }

    /// Reads a text that is the message's outermost element alone, tolerantly.
    pub fn parse_answer(tables: &Tables, text: &str, root: NodeId) -> Result<(Self, Deviations), Refusal> {
        let mut xml = XmlReader::tolerant(text)?;
        begin(tables, &mut xml, root)?;
        let read = Self::read_answer(tables, &mut xml, root)?;
        xml.next_event()?;
        Ok(read)
    }
}

/// Reads the start tag of a message that stands alone.
fn begin(tables: &Tables, xml: &mut XmlReader<'_>, root: NodeId) -> Result<(), Refusal> {
    let name = tables.node(root).map(|node| node.name);
    let expected = name.map_or_else(String::new, |it| tables.qualified(it));
    match xml.next_event()? {
        XmlEvent::Start(found) => {
            let uri = xml.uri(found.space);
            let same = name.is_some_and(|it| {
                tables.local(it) == found.local && tables.namespace_uri(tables.namespace_of(it)) == uri
            });
            if same {
                Ok(())
            } else {
                Err(Refusal::Root { found: format!("{{{uri}}}{}", found.local), expected })
            }
        }
        XmlEvent::Text(_) | XmlEvent::End | XmlEvent::Eof => {
            Err(Refusal::Root { found: String::new(), expected })
        }
    }
}

struct Reading<'a, 't, 'x> {
    assembler: Assembler<'t>,
    xml: &'a mut XmlReader<'x>,
    /// What each namespace of the reading is in the tables, as far as asked.
    spaces: Vec<Option<Option<NamespaceId>>>,
}

impl<'a, 't, 'x> Reading<'a, 't, 'x> {
    fn new(tables: &'t Tables, xml: &'a mut XmlReader<'x>, judgement: Judgement) -> Self {
        Self { assembler: Assembler::new(tables, judgement), xml, spaces: Vec::new() }
    }

    fn message(mut self, root: NodeId) -> Result<(Document, Deviations), Refusal> {
        self.assembler.open_root(root)?;
        self.element()?;
        Ok(self.assembler.finish())
    }

    fn tables(&self) -> &'t Tables {
        self.assembler.tables
    }

    fn namespace(&mut self, space: SpaceId) -> Option<NamespaceId> {
        if self.spaces.len() <= space.index() {
            self.spaces.resize(self.xml.spaces().max(space.index() + 1), None);
        }
        let tables = self.tables();
        let uri = self.xml.uri(space);
        // "No namespace" is the first of every table.
        let found = || if uri.is_empty() { Some(NamespaceId(0)) } else { tables.namespace(uri) };
        match self.spaces.get_mut(space.index()) {
            Some(slot) => *slot.get_or_insert_with(found),
            None => found(),
        }
    }

    /// Reads the element just opened to its end, and closes or discards it.
    fn element(&mut self) -> Result<(), Refusal> {
        let Some(node) = self.assembler.inside() else { return Ok(()) };
        let tables = self.tables();
        let Some(declared) = tables.node(node) else {
            return Err(Refusal::UnknownElement(self.assembler.path("")));
        };
        self.attributes(declared)?;
        match declared.content {
            Content::Simple(id) => return self.simple_content(declared, id),
            Content::Empty => self.content(declared, false)?,
            Content::Elements(_) => self.content(declared, false)?,
            Content::Mixed(_) => self.content(declared, true)?,
            Content::TopicTree => self.topics()?,
        }
        self.assembler.close().map(|_| ())
    }

    fn attributes(&mut self, declared: &Node) -> Result<(), Refusal> {
        let attributes = self.xml.take_attributes();
        let outcome = attributes.iter().try_for_each(|attribute| self.attribute(declared, attribute));
        self.xml.return_attributes(attributes);
        outcome
    }

    fn attribute(&mut self, declared: &Node, attribute: &Attribute<'x>) -> Result<(), Refusal> {
        let ExpandedName { space, local } = attribute.name;
        let uri = self.xml.uri(space);
        if matches!(uri, XSI | WSU | XML) {
            let nil = uri == XSI && local == "nil" && matches!(attribute.value.trim(), "true" | "1");
            if nil && declared.nillable {
                self.assembler.set_nil();
            }
            return Ok(());
        }
        let namespace = self.namespace(space);
        let named = |tolerant: bool| self.find_attribute(declared, namespace, local, tolerant);
        let (node, repaired) = match named(false) {
            Some(node) => (node, false),
            None if self.assembler.is_tolerant() => match named(true) {
                Some(node) => (node, true),
                None => {
                    self.assembler.leave_out(&format!("@{local}"));
                    return Ok(());
                }
            },
            None => return Err(Refusal::UnknownAttribute(self.assembler.path(format!("@{local}")))),
        };
        if repaired {
            self.assembler.deviate(DeviationKind::Repair, format!("@{local} (namespace)"));
        }
        let Some(Node { content: Content::Simple(id), occurs, effect, .. }) = self.tables().node(node) else {
            return Ok(());
        };
        match self.value((*id, *effect), &attribute.value, format_args!("@{local}")) {
            Ok(text) => self.assembler.attribute(node, &text),
            Err(refusal) if !self.assembler.is_tolerant() => Err(refusal),
            Err(Refusal::Value(path, ValueError::Address(what))) if occurs.min > 0 => {
                Err(Refusal::Value(path, ValueError::Address(what)))
            }
            Err(_) => {
                self.assembler.deviate(DeviationKind::Drop, format_args!("@{local}"));
                Ok(())
            }
        }
    }

    fn find_attribute(
        &self,
        declared: &Node,
        namespace: Option<NamespaceId>,
        local: &str,
        any_namespace: bool,
    ) -> Option<NodeId> {
        let tables = self.tables();
        declared.attributes.clone().map(NodeId).find(|node| {
            tables.node(*node).is_some_and(|it| {
                it.kind == NodeKind::Attribute
                    && tables.local(it.name) == local
                    && (any_namespace || Some(tables.namespace_of(it.name)) == namespace)
            })
        })
    }

    /// Judges a text by its type and gives it back as the document holds it.
    fn value<'v>(
        &mut self,
        (id, effect): (TypeId, AddressEffect),
        text: &'v str,
        last: fmt::Arguments<'_>,
    ) -> Result<Cow<'v, str>, Refusal> {
        let tables = self.tables();
        let checked = match simple::check(tables, id, text, self.assembler.judgement) {
            Err(ValueError::Address(simple::URI))
                if self.assembler.is_tolerant() && effect.is_at_the_camera() =>
            {
                let repaired = simple::without_host(text).map(Cow::Owned);
                repaired
                    .map(|text| Checked { text, repaired: true, unlisted: false })
                    .ok_or(ValueError::Address(simple::URI))
            }
            checked => checked,
        };
        let checked = checked.map_err(|error| Refusal::Value(self.assembler.path(last), error))?;
        let Checked { text, repaired, unlisted } = checked;
        if repaired {
            self.assembler.deviate(DeviationKind::Repair, last);
        }
        if unlisted {
            self.assembler.deviate(DeviationKind::Incomplete, format_args!("{last} (value)"));
        }
        if text.contains(':') && simple::holds_qname(tables, id) {
            let written = self.assembler.spaces.qnames(tables, self.xml, &text);
            return written.map(Cow::Owned).map_err(|error| self.prefix_refusal(error, last));
        }
        Ok(text)
    }

    fn prefix_refusal(&self, error: PrefixError, last: impl fmt::Display) -> Refusal {
        match error {
            PrefixError::Undeclared => Refusal::Prefix(self.assembler.path(last)),
            PrefixError::TooMany => Refusal::Limit(
                self.assembler.path(last),
                crate::limits::DOCUMENT_NAMESPACES_MAX,
                "namespaces of its own",
            ),
        }
    }

    fn simple_content(&mut self, declared: &Node, id: TypeId) -> Result<(), Refusal> {
        let mut text = Cow::Borrowed("");
        let mut intruders = false;
        loop {
            match self.xml.next_event()? {
                XmlEvent::Text(chunk) if intruders => text.to_mut().push_str(&chunk),
                XmlEvent::Text(chunk) => text = chunk,
                XmlEvent::Start(name) => {
                    self.unknown(name)?;
                    intruders = true;
                }
                XmlEvent::End | XmlEvent::Eof => break,
            }
        }
        if self.assembler.is_nil() {
            return self.assembler.close().map(|_| ());
        }
        match self.value((id, declared.effect), &text, format_args!("")) {
            Ok(text) => {
                self.assembler.set_text(&text);
                self.assembler.close().map(|_| ())
            }
            Err(refusal) => self.wrong_value(declared, refusal),
        }
    }

    /// An element whose text is none of its type: left out of answers; missing then, if it is mandatory.
    fn wrong_value(&mut self, declared: &Node, refusal: Refusal) -> Result<(), Refusal> {
        let address = matches!(refusal, Refusal::Value(_, ValueError::Address(_)));
        let limit = matches!(refusal, Refusal::Limit(..));
        let root = self.assembler.depth() == 1;
        let mandatory = declared.occurs.min > 0 && !self.assembler.may_drop();
        if !self.assembler.is_tolerant() || limit || root || (address && mandatory) {
            return Err(refusal);
        }
        self.assembler.deviate(DeviationKind::Drop, "");
        self.assembler.discard();
        Ok(())
    }

    /// Reads elements, and text beside them if it may stand there.
    fn content(&mut self, declared: &Node, mixed: bool) -> Result<(), Refusal> {
        loop {
            match self.xml.next_event()? {
                XmlEvent::Start(name) => self.child(name)?,
                XmlEvent::Text(text) if mixed => self.mixed_text(declared, &text)?,
                XmlEvent::Text(text) => self.stray_text(&text)?,
                XmlEvent::End | XmlEvent::Eof => return Ok(()),
            }
        }
    }

    fn stray_text(&mut self, text: &str) -> Result<(), Refusal> {
        if text.bytes().all(|byte| byte.is_ascii_whitespace()) {
            return Ok(());
        }
        if self.assembler.is_tolerant() {
            self.assembler.leave_out("(text)");
            return Ok(());
        }
        Err(Refusal::Text(self.assembler.path("")))
    }

    /// Topic and filter expressions (WS-Topics §8, ONVIF Core §9.4): prefixes in them mean namespaces.
    fn mixed_text(&mut self, declared: &Node, text: &str) -> Result<(), Refusal> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if text.is_empty() {
            return Ok(());
        }
        let tables = self.tables();
        match self.assembler.spaces.expression(tables, self.xml, text) {
            Ok(written) => self.assembler.add_text(&written),
            Err(PrefixError::Undeclared) if self.assembler.is_tolerant() && declared.occurs.min == 0 => {
                self.assembler.leave_out("(prefix)");
                Ok(())
            }
            Err(error) => Err(self.prefix_refusal(error, "")),
        }
    }

    fn child(&mut self, name: ExpandedName<'x>) -> Result<(), Refusal> {
        let namespace = self.namespace(name.space);
        if self.xml.uri(name.space) == XOP {
            return Err(Refusal::Attachment(self.assembler.path("")));
        }
        match self.assembler.place(namespace, name.local) {
            Some(place) if self.assembler.has_room(place) => self.known(place, name.local),
            Some(_) if self.assembler.is_tolerant() => {
                self.assembler.leave_out(&format!("{} (too many)", name.local));
                Ok(self.xml.skip()?)
            }
            Some(_) => Err(Refusal::TooMany(self.assembler.path(name.local))),
            None => self.unknown(name),
        }
    }

    fn known(&mut self, place: Place, local: &str) -> Result<(), Refusal> {
        if place.repaired {
            self.assembler.deviate(DeviationKind::Repair, format!("{local} (namespace)"));
        }
        self.assembler.open(place)?;
        self.element()
    }

    fn unknown(&mut self, name: ExpandedName<'x>) -> Result<(), Refusal> {
        if self.xml.uri(name.space) == XOP {
            return Err(Refusal::Attachment(self.assembler.path("")));
        }
        if !self.assembler.is_tolerant() {
            return Err(Refusal::UnknownElement(self.assembler.path(name.local)));
        }
        self.assembler.leave_out(name.local);
        Ok(self.xml.skip()?)
    }

    /// Reads what stands in a topic tree: topics with their trees, and message descriptions.
    fn topics(&mut self) -> Result<(), Refusal> {
        loop {
            match self.xml.next_event()? {
                XmlEvent::Start(name) => self.topic(name)?,
                XmlEvent::Text(text) => self.stray_text(&text)?,
                XmlEvent::End | XmlEvent::Eof => return Ok(()),
            }
        }
    }

    fn topic(&mut self, name: ExpandedName<'x>) -> Result<(), Refusal> {
        let namespace = self.namespace(name.space);
        if let Some(place) = self.described(namespace, name.local) {
            return self.known(place, name.local);
        }
        if self.xml.uri(name.space) == TOPICS {
            // Documentation and message patterns of WS-Topics: nobody reads them.
            return self.unknown(name);
        }
        let flag = self.topic_flag()?;
        let tables = self.tables();
        let space = self.assembler.spaces.of_name(tables, self.xml, name.space);
        let Some(space) = space else { return Err(self.prefix_refusal(PrefixError::TooMany, name.local)) };
        self.assembler.open_topic(Kind::Topic(space, flag), name.local)?;
        self.topics()?;
        self.assembler.close().map(|_| ())
    }

    /// The message description of a topic, where the tables say what it holds.
    fn described(&self, namespace: Option<NamespaceId>, local: &str) -> Option<Place> {
        let tables = self.tables();
        let namespace = namespace.filter(|it| *it != NamespaceId(0))?;
        let place = self.assembler.place(Some(namespace), local).filter(|it| !it.repaired);
        place.or_else(|| {
            let name = (local == "MessageDescription").then(|| tables.name(namespace, local))??;
            tables.root(name).map(Place::foreign)
        })
    }

    fn topic_flag(&mut self) -> Result<Option<bool>, Refusal> {
        let attributes = self.xml.take_attributes();
        let mut flag = None;
        let mut outcome = Ok(());
        for Attribute { name, value } in &attributes {
            let uri = self.xml.uri(name.space);
            match value.trim() {
                "true" | "1" if name.local == "topic" && matches!(uri, TOPICS | "") => flag = Some(true),
                "false" | "0" if name.local == "topic" && matches!(uri, TOPICS | "") => flag = Some(false),
                _ if matches!(uri, XSI | WSU | XML) => {}
                _ if self.assembler.is_tolerant() => self.assembler.leave_out(&format!("@{}", name.local)),
                _ => {
                    outcome = Err(Refusal::UnknownAttribute(self.assembler.path(format!("@{}", name.local))))
                }
            }
        }
        self.xml.return_attributes(attributes);
        outcome.map(|()| flag)
    }
}
