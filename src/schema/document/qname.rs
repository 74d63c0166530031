//! QNames inside texts: resolved to namespaces where they are read, written with our prefixes.

use super::{Space, Spaces};
use crate::{
    limits::DOCUMENT_NAMESPACES_MAX,
    schema::{
        tables::{NamespaceId, Tables},
        xml::{SpaceId, XmlReader, is_name_character, is_name_start, is_ncname},
    },
};

/// Prefixes that clients look for although only the namespace counts.
const CUSTOMARY: &[(&str, &str)] =
    &[("http://www.w3.org/2001/XMLSchema", "xs"), ("http://www.onvif.org/ver10/topics", "tns1")];

/// Why a text with prefixes cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PrefixError {
    /// Nothing declares the prefix.
    Undeclared,
    /// More namespaces of its own than a document may have.
    TooMany,
}

/// What a prefix inside a text means.
pub(super) trait Prefixes {
    /// The namespace's URI.
    fn uri(&mut self, prefix: &str) -> Option<String>;
}

impl Prefixes for XmlReader<'_> {
    fn uri(&mut self, prefix: &str) -> Option<String> {
        let space = self.resolve_or_guess(prefix)?;
        Some(XmlReader::uri(self, space).to_owned())
    }
}

impl Spaces {
    /// The namespace of an element's name.
    pub(super) fn of_name(&mut self, tables: &Tables, xml: &XmlReader<'_>, space: SpaceId) -> Option<Space> {
        match xml.uri(space) {
            "" => tables.namespace("").or(Some(NamespaceId(0))).map(Space::Known),
            uri => self.of_uri(tables, uri),
        }
    }

    fn of_uri(&mut self, tables: &Tables, uri: &str) -> Option<Space> {
        if let Some(known) = tables.namespace(uri) {
            if !self.known.contains(&known) {
                self.known.push(known);
            }
            return Some(Space::Known(known));
        }
        let found = self.extra.iter().position(|it| **it == *uri);
        let index = match found {
            Some(index) => index,
            None if self.extra.len() >= DOCUMENT_NAMESPACES_MAX => return None,
            None => {
                self.extra.push(uri.into());
                self.extra.len() - 1
            }
        };
        u16::try_from(index).ok().map(Space::Extra)
    }

    pub(super) fn write_prefix(&self, tables: &Tables, space: Space, out: &mut String) {
        match space {
            Space::Known(id) => out.push_str(tables.prefix(id)),
            Space::Extra(index) => out.push_str(&self.extra_prefix(usize::from(index))),
        }
    }

    pub(super) fn extra_prefix(&self, index: usize) -> String {
        let uri = self.extra.get(index).map_or("", |uri| uri);
        match CUSTOMARY.iter().find(|(customary, _)| *customary == uri) {
            Some((_, prefix)) => (*prefix).to_owned(),
            None => format!("ns{}", index + 1),
        }
    }

    /// A QName, or several with spaces between, with our prefixes. A name without prefix stays so: whether a
    /// default namespace was meant is not said.
    pub(super) fn qnames(
        &mut self,
        tables: &Tables,
        prefixes: &mut dyn Prefixes,
        text: &str,
    ) -> Result<String, PrefixError> {
        let mut out = String::with_capacity(text.len());
        for (at, word) in text.split(' ').enumerate() {
            if at > 0 {
                out.push(' ');
            }
            match word.split_once(':') {
                Some((prefix, local)) if is_ncname(prefix) && is_ncname(local) => {
                    self.prefixed(tables, prefixes, prefix, &mut out)?;
                    out.push_str(local);
                }
                _ => out.push_str(word),
            }
        }
        Ok(out)
    }

    /// A topic or filter expression with our prefixes: every `prefix:` before a name or `*`, outside quotes.
    pub(super) fn expression(
        &mut self,
        tables: &Tables,
        prefixes: &mut dyn Prefixes,
        text: &str,
    ) -> Result<String, PrefixError> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '\'' | '"' => quoted(rest, first),
                _ if is_name_start(first) => rest.find(|it| !is_name_character(it)).unwrap_or(rest.len()),
                _ => first.len_utf8(),
            };
            let (word, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
            rest = after;
            let named =
                after.strip_prefix(':').filter(|it| it.starts_with(|it| it == '*' || is_name_start(it)));
            match named {
                Some(local) if is_name_start(first) => {
                    self.prefixed(tables, prefixes, word, &mut out)?;
                    let length = local.find(|it| !is_name_character(it)).unwrap_or(local.len());
                    let (name, after) = local.split_at_checked(length).unwrap_or((local, ""));
                    out.push_str(name);
                    rest = after;
                }
                _ => out.push_str(word),
            }
        }
        Ok(out)
    }

    fn prefixed(
        &mut self,
        tables: &Tables,
        prefixes: &mut dyn Prefixes,
        prefix: &str,
        out: &mut String,
    ) -> Result<(), PrefixError> {
        let uri = prefixes.uri(prefix).ok_or(PrefixError::Undeclared)?;
        let space = self.of_uri(tables, &uri).ok_or(PrefixError::TooMany)?;
        self.write_prefix(tables, space, out);
        out.push(':');
        Ok(())
    }
}

fn quoted(text: &str, quote: char) -> usize {
    text.char_indices().skip(1).find(|(_, it)| *it == quote).map_or(text.len(), |(at, _)| at + 1)
}

/// Our own prefixes: what a text made inside the gateway may use.
pub(super) struct OwnPrefixes<'t> {
    pub(super) tables: &'t Tables,
    pub(super) extra: Vec<(String, String)>,
}

impl<'t> OwnPrefixes<'t> {
    pub(super) fn new(tables: &'t Tables, spaces: &Spaces) -> Self {
        let named = |index, uri: &str| (spaces.extra_prefix(index), uri.to_owned());
        let mut extra: Vec<_> =
            spaces.extra.iter().enumerate().map(|(index, uri)| named(index, uri)).collect();
        extra.extend(CUSTOMARY.iter().map(|(uri, prefix)| ((*prefix).to_owned(), (*uri).to_owned())));
        Self { tables, extra }
    }
}

impl Prefixes for OwnPrefixes<'_> {
    fn uri(&mut self, prefix: &str) -> Option<String> {
        let known =
            self.tables.namespace_by_prefix(prefix).map(|id| self.tables.namespace_uri(id).to_owned());
        known.or_else(|| self.extra.iter().find(|(it, _)| it == prefix).map(|(_, uri)| uri.clone()))
    }
}
