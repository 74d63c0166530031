//! Changes values of a document and takes elements out of it. The result is a new document.

use std::collections::HashMap;

use super::{Document, Element, Kind, NO_TEXT, Span, Token, Value, qname::OwnPrefixes};
use crate::schema::{
    simple::{self, Judgement, ValueError},
    tables::{Content, NodeId, NodeKind, Tables},
    xml::has_only_xml_characters,
};

/// What to do with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Leave it.
    Keep,
    /// Put this in its place.
    Replace(String),
    /// Leave it out, with the nearest element around it that may be left out.
    Drop,
    /// Give up on the whole document, for that reason.
    Refuse(&'static str),
}

/// Why a document cannot be changed that way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// The caller gave up at that element or attribute.
    #[error("{0}: {1}")]
    Refused(String, &'static str),
    /// Everything around it is mandatory.
    #[error("{0} cannot be left out, nor anything around it")]
    Mandatory(String),
    /// The new value is none of its type.
    #[error("the new value of {0} {1}")]
    Value(String, ValueError),
}

impl Document {
    /// Asks for every value what becomes of it.
    pub fn rewrite(
        &self,
        tables: &Tables,
        decide: &mut dyn FnMut(&Value<'_>) -> Edit,
    ) -> Result<Self, RewriteError> {
        let mut change = Change::new(self, tables);
        let mut edited = None;
        for (index, token) in self.tokens.iter().enumerate() {
            let Some(value) = self.value(token) else { continue };
            match decide(&value) {
                Edit::Keep => {}
                Edit::Drop => change.leave_out(index)?,
                Edit::Refuse(reason) => return Err(RewriteError::Refused(value.local.to_owned(), reason)),
                Edit::Replace(text) => {
                    let document: &mut Self = edited.get_or_insert_with(|| self.clone());
                    document.replace(tables, index, &text)?;
                }
            }
        }
        let leaving = change.leaving;
        Ok(edited.unwrap_or_else(|| self.clone()).without(&leaving))
    }

    /// Takes out every element for which the answer is no; for a mandatory one, the nearest element around it
    /// that may be left out. What stands inside an element taken out is not asked about.
    pub fn retain_elements(
        &self,
        tables: &Tables,
        keep: &mut dyn FnMut(&Element<'_>) -> bool,
    ) -> Result<Self, RewriteError> {
        let mut change = Change::new(self, tables);
        let mut index = 0;
        while let Some(token) = self.tokens.get(index) {
            if token.kind.is_element() && !keep(&Element { document: self, index }) {
                change.leave_out(index)?;
                index += (token.size as usize).max(1);
            } else {
                index += 1;
            }
        }
        let leaving = change.leaving;
        Ok(self.clone().without(&leaving))
    }

    /// With an attribute in the first element that is chosen; as it is if there is none, or if it has the attribute.
    pub fn with_attribute(
        &self,
        tables: &Tables,
        choose: &dyn Fn(&Element<'_>) -> bool,
        (local, text): (&str, &str),
    ) -> Result<Self, RewriteError> {
        let chosen = (0..self.tokens.len()).map(|index| Element { document: self, index }).find(|element| {
            element.token().is_some_and(|token| token.kind == Kind::Element) && choose(element)
        });
        let Some(chosen) = chosen.filter(|it| it.attribute(local).is_none()) else { return Ok(self.clone()) };
        let mut attributes = tables.attributes(chosen.node());
        let Some((node, name)) =
            attributes.find(|(_, it)| tables.local(it.name) == local).map(|(node, it)| (node, it.name))
        else {
            return Err(RewriteError::Refused(local.to_owned(), "its element has no such attribute"));
        };
        let mut document = self.clone();
        let start = u32::try_from(document.text.len()).unwrap_or(u32::MAX);
        let span = Span { start, length: u32::try_from(local.len()).unwrap_or_default() };
        document.text.push_str(local);
        for (index, token) in document.tokens.iter_mut().enumerate().take(chosen.index + 1) {
            if index + token.size as usize > chosen.index {
                token.size += 1;
            }
        }
        let token = Token { kind: Kind::Attribute, node, name, size: 1, local: span, text: NO_TEXT };
        document.tokens.insert(chosen.index + 1, token);
        document.replace(tables, chosen.index + 1, text)?;
        Ok(document)
    }

    fn replace(&mut self, tables: &Tables, index: usize, text: &str) -> Result<(), RewriteError> {
        let Some(token) = self.tokens.get(index).copied() else { return Ok(()) };
        let local = token.local.of(&self.text).to_owned();
        if !has_only_xml_characters(text) {
            return Err(RewriteError::Value(local, ValueError::Form("text that XML can hold")));
        }
        let mut own = OwnPrefixes::new(tables, &self.spaces);
        let unknown_prefix =
            |_| RewriteError::Value(local.clone(), ValueError::Form("name of a known prefix"));
        let written = match tables.node(token.node).map(|node| node.content) {
            Some(Content::Simple(id)) => {
                let checked = simple::check(tables, id, text, Judgement::Strict)
                    .map_err(|error| RewriteError::Value(local.clone(), error))?;
                if simple::holds_qname(tables, id) {
                    self.spaces.qnames(tables, &mut own, &checked.text).map_err(unknown_prefix)?
                } else {
                    checked.text.into_owned()
                }
            }
            _ => self.spaces.expression(tables, &mut own, text.trim()).map_err(unknown_prefix)?,
        };
        let start = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        self.text.push_str(&written);
        if let Some(token) = self.tokens.get_mut(index) {
            token.text = Span { start, length: u32::try_from(written.len()).unwrap_or(0) };
        }
        Ok(())
    }

    /// The document without the tokens marked, and without what they hold.
    fn without(mut self, leaving: &[bool]) -> Self {
        if !leaving.contains(&true) {
            return self;
        }
        let gone = |index: usize| leaving.get(index).copied().unwrap_or(false);
        let mut kept: Vec<Token> = Vec::with_capacity(self.tokens.len());
        // Elements that are open at this place: where each stands in `kept`, and where it ends in the old list.
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut index = 0;
        while let Some(token) = self.tokens.get(index) {
            close_ended(&mut open, index, &mut kept);
            let size = (token.size as usize).max(1);
            if gone(index) {
                index += size;
                continue;
            }
            open.push((kept.len(), index + size));
            kept.push(*token);
            index += 1;
        }
        close_ended(&mut open, usize::MAX, &mut kept);
        self.tokens = kept;
        self
    }
}

fn close_ended(open: &mut Vec<(usize, usize)>, at: usize, kept: &mut [Token]) {
    while let Some((place, end)) = open.last().copied() {
        if end > at {
            return;
        }
        open.pop();
        let size = u32::try_from(kept.len() - place).unwrap_or(u32::MAX);
        if let Some(token) = kept.get_mut(place) {
            token.size = size;
        }
    }
}

/// What is to be left out of a document.
struct Change<'a> {
    document: &'a Document,
    tables: &'a Tables,
    /// Empty until something leaves.
    leaving: Vec<bool>,
    /// The element around each token; empty until something leaves.
    around: Vec<usize>,
    /// How many elements at one place of an element stay in it, once that was asked. A camera may repeat an element
    /// as often as an answer has room: counting anew for each that leaves would take hours.
    standing: HashMap<(usize, NodeId), u32>,
}

impl<'a> Change<'a> {
    fn new(document: &'a Document, tables: &'a Tables) -> Self {
        Self { document, tables, leaving: Vec::new(), around: Vec::new(), standing: HashMap::new() }
    }

    /// Finds out which element each token stands in.
    fn survey(&mut self) {
        let document = self.document;
        self.leaving = vec![false; document.tokens.len()];
        self.around.reserve(document.tokens.len());
        let mut open: Vec<(usize, usize)> = Vec::new();
        for (index, token) in document.tokens.iter().enumerate() {
            while open.last().is_some_and(|(_, end)| *end <= index) {
                open.pop();
            }
            self.around.push(open.last().map_or(usize::MAX, |(place, _)| *place));
            open.push((index, index + (token.size as usize).max(1)));
        }
    }

    fn leave_out(&mut self, index: usize) -> Result<(), RewriteError> {
        if self.leaving.is_empty() {
            self.survey();
        }
        let mut at = index;
        while let Some(token) = self.document.tokens.get(at) {
            if self.is_inside_gone(at) {
                return Ok(());
            }
            if self.is_optional(at, token) {
                self.mark(at, token.node);
                return Ok(());
            }
            at = self.around.get(at).copied().unwrap_or(usize::MAX);
        }
        let local = self.document.tokens.get(index).map_or("", |token| token.local.of(&self.document.text));
        Err(RewriteError::Mandatory(local.to_owned()))
    }

    fn mark(&mut self, at: usize, node: NodeId) {
        if let Some(mark) = self.leaving.get_mut(at) {
            *mark = true;
        }
        let outer = self.around.get(at).copied().unwrap_or(usize::MAX);
        if let Some(count) = self.standing.get_mut(&(outer, node)) {
            *count = count.saturating_sub(1);
        }
    }

    fn is_inside_gone(&self, mut at: usize) -> bool {
        while let Some(gone) = self.leaving.get(at) {
            if *gone {
                return true;
            }
            at = self.around.get(at).copied().unwrap_or(usize::MAX);
        }
        false
    }

    fn is_optional(&mut self, at: usize, token: &Token) -> bool {
        let tables = self.tables;
        let Some(node) = tables.node(token.node) else { return false };
        match token.kind {
            Kind::Attribute => node.kind == NodeKind::Attribute && node.occurs.min == 0,
            // Text beside elements is what its element is there for.
            Kind::Text => false,
            Kind::Topic(..) => true,
            Kind::Element | Kind::Nil => {
                let outer = self.around.get(at).copied().unwrap_or(usize::MAX);
                outer != usize::MAX && self.standing(outer, token.node) > node.occurs.min
            }
        }
    }

    /// How many elements at that place stay in the element around.
    fn standing(&mut self, outer: usize, node: NodeId) -> u32 {
        if let Some(count) = self.standing.get(&(outer, node)) {
            return *count;
        }
        let end = outer + self.document.tokens.get(outer).map_or(0, |token| token.size as usize);
        let mut count = 0;
        let mut at = outer + 1;
        while let Some(token) = self.document.tokens.get(at).filter(|_| at < end) {
            let stays = self.leaving.get(at) == Some(&false);
            count += u32::from(token.node == node && token.kind.is_element() && stays);
            at += (token.size as usize).max(1);
        }
        self.standing.insert((outer, node), count);
        count
    }
}
