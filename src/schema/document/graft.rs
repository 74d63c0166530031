//! Copies a part of one document into another that is being built.

use super::{BuildError, Builder, Element, Kind, Refusal, qname::OwnPrefixes};
use crate::schema::{
    simple::{self, Judgement},
    tables::{Content, NodeId, NodeKind},
};

impl Builder<'_> {
    /// Copies an element with all it holds into the element opened last, where one of its name has to be declared. Its
    /// values are not judged again: they were when they were read, however tolerantly.
    pub fn graft(&mut self, element: Element<'_>) -> Result<&mut Self, BuildError> {
        self.begun.clone()?;
        let before = std::mem::replace(&mut self.assembler.judgement, Judgement::Tolerant);
        let grafted = self.copy(element);
        self.assembler.judgement = before;
        grafted?;
        Ok(self)
    }

    /// Sets the text of the element opened last to that of another; prefixes in it keep their meaning.
    pub fn graft_text(&mut self, element: Element<'_>) -> Result<&mut Self, BuildError> {
        self.begun.clone()?;
        self.copy_text(element)?;
        Ok(self)
    }

    /// Nesting is bounded by that of the other document, and by the assembler.
    fn copy(&mut self, element: Element<'_>) -> Result<(), BuildError> {
        let tables = self.assembler.tables;
        let local = tables.local(element.name());
        let unknown = |it: &Self| Refusal::UnknownElement(it.assembler.path(local));
        if matches!(element.token().map(|it| it.kind), Some(Kind::Topic(..)) | None) {
            // Topic trees go on as a whole, in the message they came in.
            return Err(unknown(self).into());
        }
        let place = self.assembler.place(Some(tables.namespace_of(element.name())), local);
        let place = place.ok_or_else(|| unknown(self))?;
        if !self.assembler.has_room(place) {
            return Err(Refusal::TooMany(self.assembler.path(local)).into());
        }
        self.assembler.open(place)?;
        if element.is_nil() {
            self.assembler.set_nil();
        }
        self.copy_attributes(element)?;
        self.copy_text(element)?;
        for inside in element.children() {
            self.copy(inside)?;
        }
        self.close_innermost()
    }

    fn copy_attributes(&mut self, element: Element<'_>) -> Result<(), BuildError> {
        let tables = self.assembler.tables;
        for value in element.attributes() {
            let name = tables.node(value.node).map(|it| it.name);
            let inside = self.assembler.inside().and_then(|it| tables.node(it));
            let mut declared = inside.into_iter().flat_map(|it| it.attributes.clone()).map(NodeId);
            let is_same = |node: &NodeId| {
                tables.node(*node).is_some_and(|it| it.kind == NodeKind::Attribute && Some(it.name) == name)
            };
            let node = declared.find(is_same).ok_or_else(|| {
                Refusal::UnknownAttribute(self.assembler.path(format_args!("@{}", value.local)))
            })?;
            let text = self.re_prefixed(element, tables.node(node).map(|it| it.content), value.text)?;
            self.assembler.attribute(node, &text)?;
        }
        Ok(())
    }

    fn copy_text(&mut self, element: Element<'_>) -> Result<(), BuildError> {
        let tables = self.assembler.tables;
        let content = self.assembler.inside().and_then(|it| tables.node(it)).map(|it| it.content);
        let is_mixed = matches!(content, Some(Content::Mixed(_)));
        let is_simple = matches!(content, Some(Content::Simple(_)));
        if is_simple && !self.assembler.is_nil() {
            let text = self.re_prefixed(element, content, element.text())?;
            self.assembler.set_text(&text);
        } else if is_mixed && !element.text().is_empty() {
            let text = self.re_prefixed(element, content, element.text())?;
            self.assembler.add_text(&text)?;
        }
        Ok(())
    }

    /// A text of another document with the prefixes of this one.
    fn re_prefixed(
        &mut self,
        element: Element<'_>,
        content: Option<Content>,
        text: &str,
    ) -> Result<String, BuildError> {
        let tables = self.assembler.tables;
        if !text.contains(':') {
            return Ok(text.to_owned());
        }
        let mut theirs = OwnPrefixes::new(tables, &element.document.spaces);
        let written = match content {
            Some(Content::Simple(id)) if simple::holds_qname(tables, id) => {
                self.assembler.spaces.qnames(tables, &mut theirs, text)
            }
            Some(Content::Mixed(_)) => self.assembler.spaces.expression(tables, &mut theirs, text),
            _ => return Ok(text.to_owned()),
        };
        Ok(written.map_err(|error| self.prefix_refusal(error, ""))?)
    }
}
