//! Builds a document by hand, judged as strictly as a request.

use super::{
    Document, Refusal,
    assemble::Assembler,
    qname::{OwnPrefixes, PrefixError},
};
use crate::schema::{
    simple::{self, Judgement, ValueError},
    tables::{Content, NodeId, NodeKind, Tables, TypeId},
    xml::has_only_xml_characters,
};

/// Why a document cannot be built that way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The interface refuses it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// More elements closed than opened, or fewer.
    #[error("elements opened and closed do not match")]
    Unbalanced,
}

/// Builds a document. Elements may come in any order; the schema's is made of it.
pub struct Builder<'t> {
    pub(super) assembler: Assembler<'t>,
    pub(super) begun: Result<(), Refusal>,
}

impl<'t> Builder<'t> {
    /// Begins a message; its outermost element is open.
    pub fn new(tables: &'t Tables, root: NodeId) -> Self {
        let mut assembler = Assembler::new(tables, Judgement::Strict);
        let begun = assembler.open_root(root);
        Self { assembler, begun }
    }

    /// Opens an element: `Name`, or `tt:Name` where two namespaces have it.
    pub fn open(&mut self, name: &str) -> Result<&mut Self, BuildError> {
        self.begun.clone()?;
        let unknown = || Refusal::UnknownElement(self.assembler.path(name));
        let tables = self.assembler.tables;
        let place = match name.split_once(':') {
            Some((prefix, local)) => {
                let namespace = tables.namespace_by_prefix(prefix).ok_or_else(unknown)?;
                self.assembler.place(Some(namespace), local)
            }
            None => {
                let inside =
                    self.assembler.inside().and_then(|it| tables.node(it)).ok_or(BuildError::Unbalanced)?;
                let mut children = inside.children.clone().map(NodeId).filter_map(|it| tables.node(it));
                let child = children.find(|it| tables.local(it.name) == name).ok_or_else(unknown)?;
                self.assembler.place(Some(tables.namespace_of(child.name)), name)
            }
        };
        let place = place.ok_or_else(unknown)?;
        if !self.assembler.has_room(place) {
            return Err(Refusal::TooMany(self.assembler.path(name)).into());
        }
        self.assembler.open(place)?;
        Ok(self)
    }

    /// Sets an attribute of the element opened last.
    pub fn attribute(&mut self, local: &str, value: &str) -> Result<&mut Self, BuildError> {
        let tables = self.assembler.tables;
        let inside = self.assembler.inside().and_then(|it| tables.node(it)).ok_or(BuildError::Unbalanced)?;
        let named = |node: &NodeId| {
            tables
                .node(*node)
                .is_some_and(|it| it.kind != NodeKind::Element && tables.local(it.name) == local)
        };
        let last = format!("@{local}");
        let node = inside.attributes.clone().map(NodeId).find(named);
        let node = node.ok_or_else(|| Refusal::UnknownAttribute(self.assembler.path(&last)))?;
        if let Some(Content::Simple(id)) = tables.node(node).map(|it| it.content) {
            let value = self.value(id, value, &last)?;
            self.assembler.attribute(node, &value)?;
        }
        Ok(self)
    }

    /// Sets the text of the element opened last.
    pub fn text(&mut self, text: &str) -> Result<&mut Self, BuildError> {
        let tables = self.assembler.tables;
        let inside = self.assembler.inside().and_then(|it| tables.node(it)).ok_or(BuildError::Unbalanced)?;
        match inside.content {
            Content::Simple(id) => {
                let text = self.value(id, text, "")?;
                self.assembler.set_text(&text);
            }
            Content::Mixed(_) => {
                let mut own = OwnPrefixes::new(tables, &self.assembler.spaces);
                let written = self.assembler.spaces.expression(tables, &mut own, text.trim());
                let written = written.map_err(|error| self.prefix_refusal(error, ""))?;
                self.assembler.add_text(&written)?;
            }
            Content::Empty | Content::Elements(_) | Content::TopicTree => {
                return Err(Refusal::Text(self.assembler.path("")).into());
            }
        }
        Ok(self)
    }

    /// Opens an element, sets its text, and closes it.
    pub fn leaf(&mut self, name: &str, text: &str) -> Result<&mut Self, BuildError> {
        self.open(name)?.text(text)?.close()
    }

    /// Closes the element opened last.
    pub fn close(&mut self) -> Result<&mut Self, BuildError> {
        if self.assembler.depth() < 2 {
            return Err(BuildError::Unbalanced);
        }
        self.close_innermost()?;
        Ok(self)
    }

    /// Closes the message.
    pub fn finish(mut self) -> Result<Document, BuildError> {
        self.begun.clone()?;
        if self.assembler.depth() != 1 {
            return Err(BuildError::Unbalanced);
        }
        self.close_innermost()?;
        Ok(self.assembler.finish().0)
    }

    pub(super) fn close_innermost(&mut self) -> Result<(), BuildError> {
        let tables = self.assembler.tables;
        let content = self.assembler.inside().and_then(|it| tables.node(it)).map(|it| it.content);
        if let Some(Content::Simple(id)) = content
            && !self.assembler.has_text()
        {
            let text = self.value(id, "", "")?;
            self.assembler.set_text(&text);
        }
        self.assembler.close()?;
        Ok(())
    }

    fn value(&mut self, id: TypeId, text: &str, last: &str) -> Result<String, Refusal> {
        let tables = self.assembler.tables;
        if !has_only_xml_characters(text) {
            let error = ValueError::Form("text that XML can hold");
            return Err(Refusal::Value(self.assembler.path(last), error));
        }
        let checked = simple::check(tables, id, text, Judgement::Strict)
            .map_err(|error| Refusal::Value(self.assembler.path(last), error))?;
        if !simple::holds_qname(tables, id) {
            return Ok(checked.text.into_owned());
        }
        let mut own = OwnPrefixes::new(tables, &self.assembler.spaces);
        let written = self.assembler.spaces.qnames(tables, &mut own, &checked.text);
        written.map_err(|error| self.prefix_refusal(error, last))
    }

    pub(super) fn prefix_refusal(&self, error: PrefixError, last: &str) -> Refusal {
        match error {
            PrefixError::Undeclared => Refusal::Prefix(self.assembler.path(last)),
            PrefixError::TooMany => {
                let max = crate::limits::DOCUMENT_NAMESPACES_MAX;
                Refusal::Limit(self.assembler.path(last), max, "namespaces of its own")
            }
        }
    }
}
