//! Reads one WSDL or XSD file into a small tree. For table files only: messages have a reader of their own.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use crate::limits::{TABLE_FILE_BYTES_MAX, XML_DEPTH_MAX};

pub(super) const XSD: &str = "http://www.w3.org/2001/XMLSchema";
pub(super) const WSDL: &str = "http://schemas.xmlsoap.org/wsdl/";
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Why a table file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Not well-formed.
    #[error("not well-formed XML: {0}")]
    Malformed(String),
    /// A document type declaration: table files need none, and it could pull in other files.
    #[error("has a document type declaration; remove it")]
    Doctype,
    /// More than one of the limits allows.
    #[error("is larger or deeper than a table file may be")]
    TooLarge,
    /// A prefix nobody declared.
    #[error("uses the prefix of `{0}`, which is not declared there")]
    Prefix(String),
    /// Something the tables cannot hold.
    #[error("{0}")]
    Unsupported(String),
}

/// A file, without its text, comments and annotations.
#[derive(Debug)]
pub(super) struct Source {
    tags: Vec<Tag>,
    scopes: Vec<Scope>,
}

#[derive(Debug)]
struct Tag {
    name: Box<str>,
    attributes: Vec<(Box<str>, Box<str>)>,
    children: Vec<usize>,
    scope: usize,
}

/// One namespace declaration and the one it shadows or joins.
#[derive(Debug)]
struct Scope {
    prefix: Box<str>,
    uri: Box<str>,
    outer: usize,
}

/// An element of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'s> {
    source: &'s Source,
    tag: &'s Tag,
}

impl Source {
    /// Reads a whole file.
    pub(super) fn read(text: &str) -> Result<Self, SourceError> {
        if text.len() > TABLE_FILE_BYTES_MAX {
            return Err(SourceError::TooLarge);
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let root = Scope { prefix: "xml".into(), uri: XML.into(), outer: 0 };
        let mut source = Self { tags: Vec::new(), scopes: vec![root] };
        let mut open: Vec<usize> = Vec::new();
        loop {
            match reader.read_event().map_err(malformed)? {
                Event::Start(start) if is_annotation(&start) => {
                    reader.read_to_end(start.name()).map_err(malformed)?;
                }
                Event::Start(start) => {
                    if open.len() >= XML_DEPTH_MAX {
                        return Err(SourceError::TooLarge);
                    }
                    let id = source.push(&start, open.last().copied())?;
                    open.push(id);
                }
                Event::End(_) => drop(open.pop()),
                Event::DocType(_) => return Err(SourceError::Doctype),
                Event::Eof => return Ok(source),
                Event::Empty(_) | Event::Text(_) | Event::CData(_) | Event::Comment(_) => {}
                Event::Decl(_) | Event::PI(_) | Event::GeneralRef(_) => {}
            }
        }
    }

    /// The outermost element.
    pub(super) fn root(&self) -> Result<At<'_>, SourceError> {
        let tag = self.tags.first().ok_or_else(|| SourceError::Malformed("no element".to_owned()))?;
        Ok(At { source: self, tag })
    }

    fn push(&mut self, start: &BytesStart<'_>, parent: Option<usize>) -> Result<usize, SourceError> {
        let mut scope = parent.and_then(|id| self.tags.get(id)).map_or(0, |tag| tag.scope);
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(malformed)?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(malformed)?;
            let key: &str = attribute.key.as_ref();
            let prefix = if key == "xmlns" { Some("") } else { key.strip_prefix("xmlns:") };
            if let Some(prefix) = prefix {
                self.scopes.push(Scope { prefix: prefix.into(), uri: value.as_ref().into(), outer: scope });
                scope = self.scopes.len() - 1;
            } else {
                attributes.push((Box::from(key), Box::from(value.as_ref())));
            }
        }
        let id = self.tags.len();
        let name: &str = start.name().0;
        self.tags.push(Tag { name: name.into(), attributes, children: Vec::new(), scope });
        if let Some(parent) = parent.and_then(|id| self.tags.get_mut(id)) {
            parent.children.push(id);
        }
        Ok(id)
    }

    fn lookup(&self, prefix: &str, scope: usize) -> Option<&str> {
        let mut at = scope;
        loop {
            let found = self.scopes.get(at)?;
            if *found.prefix == *prefix {
                return Some(&found.uri);
            }
            if at == 0 {
                return None;
            }
            at = found.outer;
        }
    }
}

impl<'s> At<'s> {
    /// Its local name.
    pub(super) fn local(self) -> &'s str {
        split(&self.tag.name).1
    }

    /// Whether it is that element of that namespace.
    pub(super) fn is(self, namespace: &str, local: &str) -> bool {
        self.local() == local && self.namespace() == namespace
    }

    pub(super) fn namespace(self) -> &'s str {
        let (prefix, _) = split(&self.tag.name);
        self.source.lookup(prefix, self.tag.scope).unwrap_or("")
    }

    /// Its child elements.
    pub(super) fn children(self) -> impl Iterator<Item = At<'s>> {
        let found = self.tag.children.iter().filter_map(move |id| self.source.tags.get(*id));
        found.map(move |tag| At { source: self.source, tag })
    }

    /// Its child elements of one name.
    pub(super) fn named(self, namespace: &'s str, local: &'s str) -> impl Iterator<Item = At<'s>> {
        self.children().filter(move |child| child.is(namespace, local))
    }

    /// An attribute without a prefix.
    pub(super) fn attribute(self, name: &str) -> Option<&'s str> {
        self.tag.attributes.iter().find(|(key, _)| **key == *name).map(|(_, value)| &**value)
    }

    /// An attribute with a prefix, by its namespace.
    pub(super) fn attribute_of(self, namespaces: &[&str], local: &str) -> Option<&'s str> {
        let found = self.tag.attributes.iter().find(|(key, _)| {
            let (prefix, name) = split(key);
            let uri = self.source.lookup(prefix, self.tag.scope);
            name == local && !prefix.is_empty() && uri.is_some_and(|uri| namespaces.contains(&uri))
        });
        found.map(|(_, value)| &**value)
    }

    /// A mandatory attribute.
    pub(super) fn needs(self, name: &str) -> Result<&'s str, SourceError> {
        self.attribute(name)
            .ok_or_else(|| SourceError::Unsupported(format!("has a `{}` without `{name}`", self.tag.name)))
    }

    /// The namespace a prefix stands for here; none if nobody declared it. No prefix and no default is "".
    pub(super) fn uri_of(self, prefix: &str) -> Option<&'s str> {
        let found = self.source.lookup(prefix, self.tag.scope);
        if prefix.is_empty() { Some(found.unwrap_or("")) } else { found }
    }

    /// The namespace and local name of a QName in an attribute's value.
    pub(super) fn resolve(self, name: &'s str) -> Result<(&'s str, &'s str), SourceError> {
        let (prefix, local) = split(name);
        let uri = self.uri_of(prefix).ok_or_else(|| SourceError::Prefix(name.to_owned()))?;
        Ok((uri, local))
    }
}

fn split(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

fn is_annotation(start: &BytesStart<'_>) -> bool {
    matches!(split(start.name().0).1, "annotation" | "documentation")
}

fn malformed(error: impl std::fmt::Display) -> SourceError {
    SourceError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_resolve_in_their_own_scope() {
        let text = "<a xmlns='urn:1' xmlns:p='urn:2'><b xmlns='urn:3' type='c'><p:d/></b>\
                    <xs:annotation xmlns:xs='urn:4'><b/></xs:annotation></a>";
        let source = Source::read(text).unwrap();
        let root = source.root().unwrap();
        assert_eq!((root.namespace(), root.local()), ("urn:1", "a"));
        let children: Vec<_> = root.children().collect();
        assert_eq!(children.len(), 1, "annotations are skipped");
        assert!(children[0].is("urn:3", "b"));
        assert_eq!(children[0].resolve("c").unwrap(), ("urn:3", "c"));
        assert!(children[0].children().next().unwrap().is("urn:2", "d"));
        assert!(matches!(root.resolve("q:x"), Err(SourceError::Prefix(name)) if name == "q:x"));
    }

    #[test]
    fn document_type_declarations_are_refused() {
        assert!(matches!(Source::read("<!DOCTYPE a><a/>"), Err(SourceError::Doctype)));
        assert!(matches!(Source::read("<a><b></a>"), Err(SourceError::Malformed(_))));
    }
}
