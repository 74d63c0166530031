//! The camera's own small reader of SOAP requests.
//!
//! It shares nothing with the gateway's, so that a mistake in one cannot hide behind the same mistake in the
//! other. It is as strict as a camera: well-formed XML with an envelope, and no more.

use quick_xml::{
    NsReader, XmlVersion,
    escape::escape,
    events::{BytesStart, Event},
    name::ResolveResult,
};

use crate::limits::{XML_DEPTH_MAX, XML_NODES_MAX};

/// An element of a request.
#[derive(Debug, Default, Clone)]
pub struct Element {
    /// Its namespace; empty if it has none.
    pub namespace: String,
    /// Its name without prefix.
    pub local: String,
    /// Attributes by local name.
    pub attributes: Vec<(String, String)>,
    /// Its own text, trimmed.
    pub text: String,
    /// Its child elements.
    pub children: Vec<Element>,
}

/// A request: the header blocks, and the one element of the body.
#[derive(Debug, Default, Clone)]
pub struct Request {
    /// Header blocks.
    pub headers: Vec<Element>,
    /// The operation.
    pub body: Element,
}

/// The bytes are no SOAP request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no SOAP request")]
pub struct NoRequest;

impl Element {
    /// The first element at a path like `Configuration/Resolution`; `.` is the element itself.
    pub fn find(&self, path: &str) -> Option<&Element> {
        let mut steps = path.split('/').filter(|step| *step != ".");
        steps.try_fold(self, |at, local| at.children.iter().find(|child| child.local == local))
    }

    /// Its children as XML.
    pub fn content(&self) -> String {
        self.children.iter().map(Element::xml).collect()
    }

    /// Itself as XML. Every element says its namespace, so that no prefix is needed.
    pub fn xml(&self) -> String {
        let Self { namespace, local, .. } = self;
        let attribute = |(name, value): &(String, String)| format!(" {name}=\"{}\"", escaped(value));
        let attributes: String = self.attributes.iter().map(attribute).collect();
        let (text, content) = (escaped(&self.text), self.content());
        format!("<{local} xmlns=\"{}\"{attributes}>{text}{content}</{local}>", escaped(namespace))
    }

    /// The text at a path; its last step may be an attribute: `Configuration/@token`.
    pub fn value(&self, path: &str) -> Option<&str> {
        let (parent, attribute) = match path.split_once('@') {
            Some((parent, attribute)) => (parent.trim_end_matches('/'), attribute),
            None => return self.find(path).map(|found| found.text.as_str()),
        };
        let holder = if parent.is_empty() { self } else { self.find(parent)? };
        holder.attributes.iter().find(|(name, _)| name == attribute).map(|(_, value)| value.as_str())
    }

    /// All elements at a path.
    pub fn all(&self, path: &str) -> Vec<&Element> {
        path.split('/').fold(vec![self], |at, local| {
            at.iter().flat_map(|element| &element.children).filter(|child| child.local == local).collect()
        })
    }
}

impl Request {
    /// Reads an envelope.
    pub fn read(bytes: &[u8]) -> Result<Self, NoRequest> {
        let text = std::str::from_utf8(bytes).map_err(|_| NoRequest)?;
        let envelope = tree(text)?;
        if envelope.local != "Envelope" {
            return Err(NoRequest);
        }
        let headers = envelope.find("Header").map(|header| header.children.clone()).unwrap_or_default();
        let body = envelope.find("Body").and_then(|body| body.children.first()).cloned().ok_or(NoRequest)?;
        Ok(Self { headers, body })
    }

    /// The header block of that name.
    pub fn header(&self, local: &str) -> Option<&Element> {
        self.headers.iter().find(|block| block.local == local)
    }
}

/// Escapes text for an element or attribute.
pub fn escaped(text: &str) -> String {
    escape(text).into_owned()
}

fn tree(text: &str) -> Result<Element, NoRequest> {
    let mut reader = NsReader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    for _ in 0..XML_NODES_MAX {
        match reader.read_event().map_err(|_| NoRequest)? {
            Event::Start(start) => {
                open.push(element(&reader, &start)?);
                if open.len() > XML_DEPTH_MAX {
                    return Err(NoRequest);
                }
            }
            Event::Empty(start) => {
                let leaf = element(&reader, &start)?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(leaf),
                    None => return Ok(leaf),
                }
            }
            Event::End(_) => {
                let mut done = open.pop().ok_or(NoRequest)?;
                done.text = done.text.trim().to_owned();
                match open.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => return Ok(done),
                }
            }
            Event::Text(part) => append(&mut open, &part.xml10_content()),
            Event::CData(part) => append(&mut open, &part.xml10_content()),
            Event::GeneralRef(reference) => append(&mut open, &resolved(&reference)?),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::DocType(_) | Event::Eof => return Err(NoRequest),
        }
    }
    Err(NoRequest)
}

fn append(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn resolved(reference: &quick_xml::events::BytesRef<'_>) -> Result<String, NoRequest> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| NoRequest)? {
        return Ok(character.to_string());
    }
    let name = reference.xml10_content();
    let found = quick_xml::escape::resolve_predefined_entity(&name).ok_or(NoRequest)?;
    Ok(found.to_owned())
}

fn element(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Element, NoRequest> {
    let (namespace, local) = reader.resolver().resolve_element(start.name());
    let namespace = match namespace {
        ResolveResult::Bound(bound) => bound.as_ref().to_owned(),
        ResolveResult::Unbound => String::new(),
        ResolveResult::Unknown(_) => return Err(NoRequest),
    };
    let local = local.as_ref().to_owned();
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| NoRequest)?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let name = attribute.key.local_name().as_ref().to_owned();
        let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|_| NoRequest)?;
        attributes.push((name, value.into_owned()));
    }
    Ok(Element { namespace, local, attributes, ..Element::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_by_namespace_not_by_prefix() {
        let text = r#"<?xml version="1.0"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope">
            <e:Header><a:To xmlns:a="urn:a">x</a:To></e:Header>
            <e:Body><Set xmlns="urn:s"><Item token="1&amp;2"> a&lt;b&#33; </Item><Item/></Set></e:Body></e:Envelope>"#;
        let request = Request::read(text.as_bytes()).unwrap();
        assert_eq!((request.body.namespace.as_str(), request.body.local.as_str()), ("urn:s", "Set"));
        assert_eq!(request.body.value("Item"), Some("a<b!"));
        assert_eq!(request.body.value("Item/@token"), Some("1&2"));
        assert_eq!(request.body.all("Item").len(), 2);
        assert_eq!(request.header("To").unwrap().text, "x");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let dtd = "<!DOCTYPE a><Envelope><Body><a/></Body></Envelope>";
        let deep = "<a>".repeat(XML_DEPTH_MAX + 1);
        for bad in ["", "hello", "<html/>", "<Envelope><Body/></Envelope>", dtd, "<x:Envelope/>", &deep] {
            assert_eq!(Request::read(bad.as_bytes()).unwrap_err(), NoRequest, "{bad}");
        }
    }
}
