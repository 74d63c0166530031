//! Writes a document: as XML for the other side, as a JSON value for records.

use serde_json::{Map, Value as Json};

use super::{Document, Element, Kind, Space, Token};
use crate::{
    limits::AUDIT_ARGUMENTS_BYTES_MAX,
    schema::tables::{NameId, NamespaceId, Tables},
};

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
const TOPICS: &str = "http://docs.oasis-open.org/wsn/t-1";

/// What a record shows instead of a secret.
const MASK: &str = "***";
/// What a record shows instead of what was cut.
const CUT: &str = "…";
/// Characters of one value in a record.
const VALUE_CHARACTERS_MAX: usize = 512;

impl Document {
    /// The prefixes and namespaces that [`Document::write`] counts on.
    pub fn namespaces(&self, tables: &Tables) -> Vec<(String, String)> {
        let mut known = self.spaces.known.clone();
        let mut add = |id: NamespaceId| {
            if id != NamespaceId(0) && !known.contains(&id) {
                known.push(id);
            }
        };
        let mut nil = false;
        let mut topics = false;
        let mut last = NameId(u32::MAX);
        for token in &self.tokens {
            nil |= token.kind == Kind::Nil;
            topics |= matches!(token.kind, Kind::Topic(_, Some(_)));
            if token.name != last {
                last = token.name;
                add(tables.namespace_of(last));
            }
        }
        known.sort_unstable();
        let named = |id: NamespaceId| (tables.prefix(id).to_owned(), tables.namespace_uri(id).to_owned());
        let mut all: Vec<_> = known.into_iter().map(named).filter(|(prefix, _)| !prefix.is_empty()).collect();
        let extra = self.spaces.extra.iter().enumerate();
        all.extend(extra.map(|(index, uri)| (self.spaces.extra_prefix(index), uri.to_string())));
        let own = [(nil, "xsi", XSI), (topics, "wstop", TOPICS)];
        for (used, prefix, uri) in own {
            if used && !all.iter().any(|(_, it)| it == uri) {
                all.push((prefix.to_owned(), uri.to_owned()));
            }
        }
        all
    }

    /// Writes the message's outermost element on one line. Its namespaces must be declared around it; see
    /// [`Document::namespaces`].
    pub fn write(&self, tables: &Tables, out: &mut String) {
        out.reserve(self.text.len() * 2);
        Writer { document: self, tables, out }.element(0);
    }

    /// What the message says, as a record shows it: secrets masked, long values and the end of a long message
    /// cut. Attributes have `@` before their name; an element that stands several times becomes a list. Namespaces that
    /// the sender chose are `@xmlns` of the whole.
    pub fn arguments(&self, tables: &Tables) -> Json {
        let mut left = AUDIT_ARGUMENTS_BYTES_MAX / 2;
        let spaces: Vec<Json> = self.own_namespaces().map(|uri| value(uri, false, &mut left)).collect();
        let mut shown = json(tables, self.root(), false, &mut left);
        if !spaces.is_empty()
            && let Json::Object(members) = &mut shown
        {
            members.insert("@xmlns".to_owned(), Json::Array(spaces));
        }
        shown
    }
}

struct Writer<'a> {
    document: &'a Document,
    tables: &'a Tables,
    out: &'a mut String,
}

impl Writer<'_> {
    /// Writes the element at a place. Nesting was bounded when the document was made.
    fn element(&mut self, index: usize) {
        let document = self.document;
        let Some(token) = document.token(index) else { return };
        self.out.push('<');
        let name = self.out.len();
        self.name(token);
        let name = name..self.out.len();
        let end = index + token.size as usize;
        let mut next = index + 1;
        while let Some(attribute) = document.token(next).filter(|it| next < end && it.kind == Kind::Attribute)
        {
            self.out.push(' ');
            self.name(attribute);
            self.out.push_str("=\"");
            escape(attribute.text.of(&document.text), true, self.out);
            self.out.push('"');
            next += 1;
        }
        self.extras(token);
        let text = token.text.of(&document.text);
        if next >= end && text.is_empty() {
            self.out.push_str("/>");
            return;
        }
        self.out.push('>');
        escape(text, false, self.out);
        while let Some(inside) = document.token(next).filter(|_| next < end) {
            match inside.kind {
                Kind::Text => escape(inside.text.of(&document.text), false, self.out),
                _ => self.element(next),
            }
            next += (inside.size as usize).max(1);
        }
        self.out.push_str("</");
        self.out.extend_from_within(name);
        self.out.push('>');
    }

    fn extras(&mut self, token: &Token) {
        match token.kind {
            Kind::Nil => self.out.push_str(" xsi:nil=\"true\""),
            Kind::Topic(_, Some(flag)) => {
                let prefix = self.tables.namespace(TOPICS).map_or("wstop", |id| self.tables.prefix(id));
                self.out.push(' ');
                self.out.push_str(prefix);
                self.out.push_str(if flag { ":topic=\"true\"" } else { ":topic=\"false\"" });
            }
            Kind::Element | Kind::Attribute | Kind::Text | Kind::Topic(_, None) => {}
        }
    }

    fn name(&mut self, token: &Token) {
        let space = match token.kind {
            Kind::Topic(space, _) => space,
            _ => Space::Known(self.tables.namespace_of(token.name)),
        };
        let before = self.out.len();
        self.document.spaces.write_prefix(self.tables, space, self.out);
        if self.out.len() > before {
            self.out.push(':');
        }
        self.out.push_str(token.local.of(&self.document.text));
    }
}

/// Appends text so that an XML reader gives it back unchanged.
pub fn escape(text: &str, attribute: bool, out: &mut String) {
    let special = |byte: u8| {
        matches!(byte, b'<' | b'>' | b'&' | b'"' | b'\r') || (attribute && matches!(byte, b'\t' | b'\n'))
    };
    if !text.bytes().any(special) {
        out.push_str(text);
        return;
    }
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' if attribute => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\t' if attribute => out.push_str("&#9;"),
            '\n' if attribute => out.push_str("&#10;"),
            other => out.push(other),
        }
    }
}

fn json(tables: &Tables, element: Element<'_>, secret: bool, left: &mut usize) -> Json {
    let secret = secret || is_secret(tables, element.node());
    let mut members = Map::new();
    for attribute in element.attributes() {
        let masked = secret || is_secret(tables, attribute.node);
        let name = format!("@{}", attribute.local);
        *left = left.saturating_sub(name.len() + 8);
        members.insert(name, value(attribute.text, masked, left));
    }
    for child in element.children() {
        if *left == 0 {
            members.insert(CUT.to_owned(), Json::Null);
            break;
        }
        *left = left.saturating_sub(child.local().len() + 8);
        let inside = json(tables, child, secret, left);
        match members.get_mut(child.local()) {
            None => {
                members.insert(child.local().to_owned(), inside);
            }
            Some(Json::Array(several)) => several.push(inside),
            Some(one) => {
                let before = one.take();
                *one = Json::Array(vec![before, inside]);
            }
        }
    }
    let text = element.text();
    if members.is_empty() && !(text.is_empty() && element.children().next().is_some()) {
        return value(text, secret, left);
    }
    if !text.is_empty() {
        members.insert("#".to_owned(), value(text, secret, left));
    }
    Json::Object(members)
}

fn is_secret(tables: &Tables, node: super::NodeId) -> bool {
    tables.node(node).is_none_or(|it| it.secret)
}

fn value(text: &str, secret: bool, left: &mut usize) -> Json {
    if secret && !text.is_empty() {
        return Json::from(MASK);
    }
    let most = VALUE_CHARACTERS_MAX.min(*left);
    let shown = match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}{CUT}", text.get(..at).unwrap_or("")),
    };
    *left = left.saturating_sub(shown.len() + 4);
    Json::from(shown)
}
