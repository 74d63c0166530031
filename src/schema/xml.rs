//! A strict reader of XML 1.0 with namespaces.
//!
//! It cuts the text with quick-xml and checks what quick-xml lets through: names, characters, one root, one
//! declaration, no DTD, no processing instructions, bounded everything. Names and values are borrowed from the
//! text. Namespaces are small numbers of this reading ([`SpaceId`]), so that a name costs no comparison of
//! URIs.

use std::{borrow::Cow, mem};

use quick_xml::{Reader, events::Event};

use crate::limits::{
    XML_ATTRIBUTES_MAX, XML_DEPTH_MAX, XML_NAME_BYTES_MAX, XML_NAMESPACE_BYTES_MAX,
    XML_NAMESPACES_IN_SCOPE_MAX, XML_NODES_MAX, XML_TEXT_BYTES_MAX,
};

/// The namespace of `xml:`.
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace of `xmlns:`.
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// What is wrong with a text that should be XML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Bytes that are not UTF-8, at that offset.
    #[error("not UTF-8 at byte {0}")]
    NotUtf8(usize),
    /// Not well-formed, at that offset.
    #[error("not well-formed at byte {0}: {1}")]
    Malformed(u64, &'static str),
    /// Something XML has and this gateway refuses.
    #[error("{1} at byte {0} is refused")]
    Forbidden(u64, &'static str),
    /// More than a limit allows.
    #[error("more than {1} {2} at byte {0}")]
    TooMuch(u64, usize, &'static str),
    /// A prefix that no declaration in scope binds.
    #[error("undeclared prefix `{1}` at byte {0}")]
    UndeclaredPrefix(u64, String),
}

/// A namespace, as a number of this reading. Zero is "no namespace".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpaceId(u16);

impl SpaceId {
    /// No namespace.
    pub const NONE: Self = Self(0);

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A namespace and local name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpandedName<'x> {
    /// The namespace.
    pub space: SpaceId,
    /// The local name.
    pub local: &'x str,
}

/// An attribute that is no namespace declaration, its value normalised.
#[derive(Debug, Clone)]
pub struct Attribute<'x> {
    /// Its name.
    pub name: ExpandedName<'x>,
    /// Its value.
    pub value: Cow<'x, str>,
}

/// What the reader comes across.
#[derive(Debug)]
pub enum XmlEvent<'x> {
    /// An element begins; its attributes are at [`XmlReader::attributes`].
    Start(ExpandedName<'x>),
    /// Text, all of what stands between two tags.
    Text(Cow<'x, str>),
    /// The innermost open element ends.
    End,
    /// The text is over, and was one whole document.
    Eof,
}

/// The reader.
pub struct XmlReader<'x> {
    source: &'x str,
    reader: Reader<&'x [u8]>,
    tolerant: bool,
    stage: Stage,
    depth: usize,
    nodes: usize,
    spaces: Vec<Cow<'x, str>>,
    bindings: Vec<Binding<'x>>,
    attributes: Vec<Attribute<'x>>,
    raw_attributes: Vec<(&'x str, &'x str)>,
    pending: Option<Raw<'x>>,
    leaving: bool,
    empty: bool,
    repairs: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Prolog,
    Inside,
    Epilog,
}

#[derive(Debug)]
struct Binding<'x> {
    prefix: &'x str,
    space: SpaceId,
    depth: usize,
}

#[derive(Debug)]
enum Raw<'x> {
    Start { inside: &'x str, empty: bool },
    End,
    Eof,
}

impl<'x> XmlReader<'x> {
    /// Reads text as a request: an undeclared prefix is an error.
    pub fn strict(text: &'x str) -> Result<Self, XmlError> {
        Self::new(text, false)
    }

    /// Reads text as a camera's answer: white space may stand before the declaration, and an undeclared prefix
    /// means what it usually means; each is kept for [`XmlReader::take_repairs`].
    pub fn tolerant(text: &'x str) -> Result<Self, XmlError> {
        Self::new(text, true)
    }

    fn new(text: &'x str, tolerant: bool) -> Result<Self, XmlError> {
        let mut source = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut repairs = Vec::new();
        if tolerant && source.starts_with([' ', '\r', '\n', '\t']) {
            source = source.trim_start_matches([' ', '\r', '\n', '\t']);
            repairs.push("white space before the document".to_owned());
        }
        check_characters(source)?;
        let mut reader = Reader::from_str(source);
        let config = reader.config_mut();
        config.check_comments = true;
        config.check_end_names = true;
        config.trim_markup_names_in_closing_tags = true;
        Ok(Self {
            source,
            reader,
            tolerant,
            stage: Stage::Start,
            depth: 0,
            nodes: 0,
            spaces: vec![Cow::Borrowed(""), Cow::Borrowed(XML)],
            bindings: vec![
                Binding { prefix: "", space: SpaceId(0), depth: 0 },
                Binding { prefix: "xml", space: SpaceId(1), depth: 0 },
            ],
            attributes: Vec::new(),
            raw_attributes: Vec::new(),
            pending: None,
            leaving: false,
            empty: false,
            repairs,
        })
    }

    /// Whether it reads as a camera's answer.
    pub fn is_tolerant(&self) -> bool {
        self.tolerant
    }

    /// The next event.
    pub fn next_event(&mut self) -> Result<XmlEvent<'x>, XmlError> {
        if mem::take(&mut self.leaving) {
            self.leave_scope();
        }
        if mem::take(&mut self.empty) {
            return Ok(self.end());
        }
        let raw = match self.pending.take() {
            Some(raw) => raw,
            None => {
                let mut text = None;
                let raw = self.advance(&mut text)?;
                if let Some(text) = text {
                    self.pending = Some(raw);
                    return Ok(XmlEvent::Text(text));
                }
                raw
            }
        };
        match raw {
            Raw::Start { inside, empty } => {
                self.empty = empty;
                self.start(inside).map(XmlEvent::Start)
            }
            Raw::End => Ok(self.end()),
            Raw::Eof => Ok(XmlEvent::Eof),
        }
    }

    /// The attributes of the element that began last.
    pub fn attributes(&self) -> &[Attribute<'x>] {
        &self.attributes
    }

    /// Takes the attributes of the element that began last; give them back with
    /// [`XmlReader::return_attributes`], which saves an allocation.
    pub(super) fn take_attributes(&mut self) -> Vec<Attribute<'x>> {
        mem::take(&mut self.attributes)
    }

    pub(super) fn return_attributes(&mut self, attributes: Vec<Attribute<'x>>) {
        self.attributes = attributes;
    }

    /// The URI of a namespace of this reading.
    pub fn uri(&self, space: SpaceId) -> &str {
        self.spaces.get(space.index()).map_or("", |uri| uri)
    }

    /// How many namespaces this reading has met.
    pub(super) fn spaces(&self) -> usize {
        self.spaces.len()
    }

    /// What a prefix means at this place; the empty prefix is the default namespace.
    pub fn resolve(&mut self, prefix: &str) -> Option<SpaceId> {
        self.bindings.iter().rev().find(|it| it.prefix == prefix).map(|it| it.space)
    }

    /// As [`XmlReader::resolve`]; in answers an undeclared prefix means what it usually means.
    pub(super) fn resolve_or_guess(&mut self, prefix: &str) -> Option<SpaceId> {
        self.resolve(prefix).or_else(|| if self.tolerant { self.guess(prefix) } else { None })
    }

    /// Reads on behind the end of the element that began last.
    pub fn skip(&mut self) -> Result<(), XmlError> {
        let outside = self.depth;
        loop {
            match self.next_event()? {
                XmlEvent::End if self.depth < outside => return Ok(()),
                XmlEvent::Eof => return Err(self.malformed("the text ends inside an element")),
                XmlEvent::Start(_) | XmlEvent::Text(_) | XmlEvent::End => {}
            }
        }
    }

    /// Counts as repaired here what was before.
    pub fn repair(&mut self, name: String) {
        if !self.repairs.contains(&name) && self.repairs.len() < XML_NAMESPACES_IN_SCOPE_MAX {
            self.repairs.push(name);
        }
    }

    /// What was repaired, by name.
    pub fn take_repairs(&mut self) -> Vec<String> {
        mem::take(&mut self.repairs)
    }

    /// Where the reading stands, in bytes.
    pub fn position(&self) -> u64 {
        self.reader.buffer_position()
    }

    fn malformed(&self, what: &'static str) -> XmlError {
        XmlError::Malformed(self.position(), what)
    }

    fn too_much(&self, max: usize, what: &'static str) -> XmlError {
        XmlError::TooMuch(self.position(), max, what)
    }

    /// Reads to the next tag and collects the text before it.
    fn advance(&mut self, text: &mut Option<Cow<'x, str>>) -> Result<Raw<'x>, XmlError> {
        loop {
            let from = self.reader.buffer_position();
            let event = self.reader.read_event().map_err(|error| self.cut_error(&error))?;
            let first = self.stage == Stage::Start;
            if first {
                self.stage = Stage::Prolog;
            }
            match event {
                Event::Start(_) => return self.raw_start(from, false),
                Event::Empty(_) => return self.raw_start(from, true),
                Event::End(_) => return Ok(Raw::End),
                Event::Text(chunk) => self.text(&chunk.into_inner(), text, from)?,
                Event::CData(chunk) => {
                    self.require_inside()?;
                    self.push(text, newlines(borrowed(self.source, &chunk, from + 9)))?;
                }
                Event::GeneralRef(name) => {
                    self.require_inside()?;
                    let character = reference(&name)
                        .ok_or(XmlError::Forbidden(from, "an entity or character reference of that name"))?;
                    self.push(text, Cow::Owned(character.to_string()))?;
                }
                Event::Comment(_) => {}
                Event::Decl(_) if first => self.declaration(from)?,
                Event::Decl(_) => return Err(XmlError::Malformed(from, "a second XML declaration")),
                // Nothing in a camera's answer is for a program other than this.
                Event::PI(_) if self.tolerant => self.repair("a processing instruction left out".to_owned()),
                Event::PI(_) => return Err(XmlError::Forbidden(from, "a processing instruction")),
                Event::DocType(_) => return Err(XmlError::Forbidden(from, "a document type declaration")),
                Event::Eof if self.stage == Stage::Epilog => return Ok(Raw::Eof),
                Event::Eof => return Err(self.malformed("the text ends before its root element does")),
            }
        }
    }

    fn cut_error(&self, error: &quick_xml::Error) -> XmlError {
        let at = self.reader.error_position();
        match error {
            quick_xml::Error::IllFormed(_) => {
                XmlError::Malformed(at, "a tag, comment or reference does not match")
            }
            _ => XmlError::Malformed(at, "markup does not end"),
        }
    }

    fn raw_start(&mut self, from: u64, empty: bool) -> Result<Raw<'x>, XmlError> {
        match self.stage {
            Stage::Epilog => return Err(XmlError::Malformed(from, "a second root element")),
            Stage::Start | Stage::Prolog | Stage::Inside => self.stage = Stage::Inside,
        }
        let inside = self
            .span(from)
            .and_then(|tag| tag.strip_prefix('<'))
            .and_then(|tag| tag.strip_suffix(if empty { "/>" } else { ">" }))
            .ok_or(XmlError::Malformed(from, "a start tag"))?;
        Ok(Raw::Start { inside, empty })
    }

    /// The source from an offset to where the reading stands.
    fn span(&self, from: u64) -> Option<&'x str> {
        self.source.get(usize::try_from(from).ok()?..usize::try_from(self.position()).ok()?)
    }

    fn declaration(&mut self, from: u64) -> Result<(), XmlError> {
        let bad = XmlError::Malformed(from, "the XML declaration");
        let inside =
            self.span(from).and_then(|it| it.strip_prefix("<?xml")).and_then(|it| it.strip_suffix("?>"));
        let mut pairs = Vec::new();
        split_attributes(inside.ok_or_else(|| bad.clone())?, &mut pairs).ok_or_else(|| bad.clone())?;
        let mut pairs = pairs.into_iter();
        if pairs.next() != Some(("version", "1.0")) {
            return Err(bad);
        }
        for (name, value) in pairs {
            match name {
                "encoding" if value.eq_ignore_ascii_case("utf-8") => {}
                "encoding" if self.tolerant && is_utf8(value) => {}
                "encoding" if self.tolerant && is_utf8_all_the_same(value, self.source) => {
                    self.repair(format!("declared as {value}, read as UTF-8"));
                }
                "encoding" => return Err(XmlError::Forbidden(from, "an encoding other than UTF-8")),
                "standalone" => {}
                _ => return Err(bad),
            }
        }
        Ok(())
    }

    fn text(&mut self, chunk: &str, text: &mut Option<Cow<'x, str>>, from: u64) -> Result<(), XmlError> {
        let chunk = borrowed(self.source, chunk, from);
        if self.stage != Stage::Inside {
            return if chunk.bytes().all(is_space) {
                Ok(())
            } else {
                Err(XmlError::Malformed(from, "text outside the root element"))
            };
        }
        // Nearly no text has the first byte, and looking for three costs more than most texts.
        if chunk.as_bytes().contains(&b']') && chunk.contains("]]>") {
            return Err(XmlError::Malformed(from, "`]]>` in text"));
        }
        self.push(text, newlines(chunk))
    }

    fn require_inside(&self) -> Result<(), XmlError> {
        if self.stage == Stage::Inside {
            Ok(())
        } else {
            Err(self.malformed("text outside the root element"))
        }
    }

    fn push(&self, text: &mut Option<Cow<'x, str>>, chunk: Cow<'x, str>) -> Result<(), XmlError> {
        let whole = match text.take() {
            None => chunk,
            Some(before) if chunk.is_empty() => before,
            Some(before) => {
                let mut whole = before.into_owned();
                whole.push_str(&chunk);
                Cow::Owned(whole)
            }
        };
        if whole.len() > XML_TEXT_BYTES_MAX {
            return Err(self.too_much(XML_TEXT_BYTES_MAX, "bytes of text"));
        }
        *text = Some(whole);
        Ok(())
    }

    fn start(&mut self, inside: &'x str) -> Result<ExpandedName<'x>, XmlError> {
        self.depth += 1;
        if self.depth > XML_DEPTH_MAX {
            return Err(self.too_much(XML_DEPTH_MAX, "levels of elements"));
        }
        let length = inside.bytes().position(is_space).unwrap_or(inside.len());
        let (name, rest) = inside.split_at_checked(length).unwrap_or((inside, ""));
        let mut raw = mem::take(&mut self.raw_attributes);
        raw.clear();
        self.attributes.clear();
        split_attributes(rest, &mut raw).ok_or_else(|| self.malformed("the attributes of a tag"))?;
        if raw.len() > XML_ATTRIBUTES_MAX {
            return Err(self.too_much(XML_ATTRIBUTES_MAX, "attributes"));
        }
        for (name, value) in &raw {
            if let Some(prefix) = declared_prefix(name) {
                self.bind(prefix, value)?;
            }
        }
        for (name, value) in &raw {
            if declared_prefix(name).is_none() {
                self.attribute(name, value)?;
            }
        }
        self.nodes += 1 + self.attributes.len();
        if self.nodes > XML_NODES_MAX {
            return Err(self.too_much(XML_NODES_MAX, "elements and attributes"));
        }
        self.raw_attributes = raw;
        let (prefix, local) = self.split_name(name)?;
        let space = self.space_of(prefix)?;
        Ok(ExpandedName { space, local })
    }

    fn attribute(&mut self, name: &'x str, value: &'x str) -> Result<(), XmlError> {
        let (prefix, local) = self.split_name(name)?;
        let space = if prefix.is_empty() { SpaceId::NONE } else { self.space_of(prefix)? };
        let name = ExpandedName { space, local };
        if self.attributes.iter().any(|it| it.name == name) {
            return Err(self.malformed("an attribute given twice"));
        }
        let value = self.attribute_value(value)?;
        self.attributes.push(Attribute { name, value });
        Ok(())
    }

    fn attribute_value(&self, value: &'x str) -> Result<Cow<'x, str>, XmlError> {
        if value.len() > XML_TEXT_BYTES_MAX {
            return Err(self.too_much(XML_TEXT_BYTES_MAX, "bytes of text"));
        }
        normalise(value).map_err(|what| self.malformed(what))
    }

    fn split_name(&self, name: &'x str) -> Result<(&'x str, &'x str), XmlError> {
        if name.len() > XML_NAME_BYTES_MAX {
            return Err(self.too_much(XML_NAME_BYTES_MAX, "bytes of a name"));
        }
        let colon = name.bytes().position(|byte| byte == b':').and_then(|at| name.split_at_checked(at));
        let (prefix, local) = match colon.map(|(prefix, rest)| (prefix, rest.strip_prefix(':'))) {
            Some((prefix, Some(local))) if is_ncname(prefix) => (prefix, local),
            Some(_) => return Err(self.malformed("a name")),
            None => ("", name),
        };
        if is_ncname(local) { Ok((prefix, local)) } else { Err(self.malformed("a name")) }
    }

    fn space_of(&mut self, prefix: &'x str) -> Result<SpaceId, XmlError> {
        self.resolve_or_guess(prefix)
            .ok_or_else(|| XmlError::UndeclaredPrefix(self.position(), prefix.chars().take(40).collect()))
    }

    fn bind(&mut self, prefix: &'x str, value: &'x str) -> Result<(), XmlError> {
        let uri = self.attribute_value(value)?;
        if uri.len() > XML_NAMESPACE_BYTES_MAX {
            return Err(self.too_much(XML_NAMESPACE_BYTES_MAX, "bytes of a namespace"));
        }
        if prefix.len() > XML_NAME_BYTES_MAX {
            return Err(self.too_much(XML_NAME_BYTES_MAX, "bytes of a name"));
        }
        let reserved = prefix == "xmlns" || uri == XMLNS || (prefix == "xml") != (uri == XML);
        let bad = !prefix.is_empty() && (uri.is_empty() || !is_ncname(prefix));
        if reserved || bad {
            return Err(self.malformed("a namespace declaration"));
        }
        if self.bindings.iter().rev().any(|it| it.depth == self.depth && it.prefix == prefix) {
            return Err(self.malformed("an attribute given twice"));
        }
        if self.bindings.len() >= XML_NAMESPACES_IN_SCOPE_MAX {
            return Err(self.too_much(XML_NAMESPACES_IN_SCOPE_MAX, "namespace declarations in scope"));
        }
        let space = self.intern(uri)?;
        self.bindings.push(Binding { prefix, space, depth: self.depth });
        Ok(())
    }

    fn intern(&mut self, uri: Cow<'x, str>) -> Result<SpaceId, XmlError> {
        if let Some(found) = self.spaces.iter().position(|it| *it == uri) {
            return Ok(SpaceId(u16::try_from(found).unwrap_or(u16::MAX)));
        }
        // Declarations that went out of scope stay known, so this bound is a multiple of the one above.
        let max = XML_NAMESPACES_IN_SCOPE_MAX * 4;
        if self.spaces.len() >= max {
            return Err(self.too_much(max, "namespaces"));
        }
        self.spaces.push(uri);
        Ok(SpaceId(u16::try_from(self.spaces.len() - 1).unwrap_or(u16::MAX)))
    }

    fn guess(&mut self, prefix: &str) -> Option<SpaceId> {
        let uri = match WELL_KNOWN.iter().find(|(known, _)| *known == prefix) {
            Some((_, uri)) => Cow::Borrowed(*uri),
            // A namespace that no table has: what stands in it is dropped as unknown.
            None => Cow::Owned(format!("urn:undeclared:{prefix}")),
        };
        self.repair(format!("undeclared prefix {}", prefix.chars().take(40).collect::<String>()));
        self.intern(uri).ok()
    }

    fn end(&mut self) -> XmlEvent<'x> {
        // Bindings stay until the next event: text is judged when its element ends.
        self.leaving = true;
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0 {
            self.stage = Stage::Epilog;
        }
        XmlEvent::End
    }

    fn leave_scope(&mut self) {
        while self.bindings.last().is_some_and(|it| it.depth > self.depth) {
            self.bindings.pop();
        }
    }
}

/// Text of the source itself, where quick-xml hands out a copy or a borrow of unknown life.
fn borrowed<'x>(source: &'x str, chunk: &str, from: u64) -> &'x str {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    source.get(from..from.saturating_add(chunk.len())).unwrap_or("")
}

/// Text as bytes, if it is UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, XmlError> {
    std::str::from_utf8(bytes).map_err(|error| XmlError::NotUtf8(error.valid_up_to()))
}

/// Whether every character is one of XML 1.0 §2.2.
pub fn has_only_xml_characters(text: &str) -> bool {
    check_characters(text).is_ok()
}

fn check_characters(text: &str) -> Result<(), XmlError> {
    let bytes = text.as_bytes();
    let control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    // Two passes that a compiler can widen are quicker than one that looks at characters.
    if bytes.iter().fold(false, |found, byte| found | control(byte)) {
        let at = bytes.iter().position(control).unwrap_or(0);
        return Err(XmlError::Malformed(at as u64, "a character XML does not have"));
    }
    if bytes.contains(&0xEF)
        && let Some(at) = text.find(['\u{FFFE}', '\u{FFFF}'])
    {
        return Err(XmlError::Malformed(at as u64, "a character XML does not have"));
    }
    Ok(())
}

fn declared_prefix(name: &str) -> Option<&str> {
    match name.strip_prefix("xmlns") {
        Some("") => Some(""),
        Some(rest) => rest.strip_prefix(':'),
        None => None,
    }
}

/// Cuts ` a="1" b='2'` into names and raw values.
fn split_attributes<'x>(mut rest: &'x str, into: &mut Vec<(&'x str, &'x str)>) -> Option<()> {
    loop {
        if rest.is_empty() {
            return Some(());
        }
        let trimmed = rest.trim_start_matches(SPACE);
        if trimmed.is_empty() {
            return Some(());
        }
        if trimmed.len() == rest.len() || into.len() > XML_ATTRIBUTES_MAX {
            // Past the limit the caller refuses; what is left need not be cut.
            return if into.len() > XML_ATTRIBUTES_MAX { Some(()) } else { None };
        }
        let (name, value, after) = first_attribute(trimmed)?;
        into.push((name, value));
        rest = after;
    }
}

/// White space of markup (XML 1.0 §2.3).
pub(super) const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// The name and the raw value of `name="value"`, and what follows it.
pub(super) fn first_attribute(text: &str) -> Option<(&str, &str, &str)> {
    let (name, after) = text.split_once('=')?;
    let after = after.trim_start_matches(SPACE);
    let (value, after) = match after.strip_prefix('"') {
        Some(value) => value.split_once('"')?,
        None => after.strip_prefix('\'')?.split_once('\'')?,
    };
    Some((name.trim_end_matches(SPACE), value, after))
}

/// A value with references resolved and white space made spaces (XML 1.0 §3.3.3).
fn normalise(value: &str) -> Result<Cow<'_, str>, &'static str> {
    if !value.bytes().any(|byte| matches!(byte, b'<' | b'&' | b'\t' | b'\r' | b'\n')) {
        return Ok(Cow::Borrowed(value));
    }
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find(['<', '&', '\t', '\r', '\n']) {
        let (before, from) = rest.split_at_checked(at).ok_or("an attribute value")?;
        out.push_str(before);
        if let Some(after) = from.strip_prefix('&') {
            let (name, after) = after.split_once(';').ok_or("a reference without end")?;
            out.push(reference(name).ok_or("an entity or character reference of that name")?);
            rest = after;
        } else if from.starts_with('<') {
            return Err("`<` in an attribute value");
        } else {
            out.push(' ');
            rest = from.strip_prefix("\r\n").or_else(|| from.get(1..)).unwrap_or("");
        }
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// Whether a text that is UTF-8 can be read as such though its declaration names another encoding. Of two bytes
/// or more for each character it cannot be, or the declaration could not have been read; and where there is
/// nothing but ASCII, those that hold it all say the same. What is left would be a guess.
fn is_utf8_all_the_same(declared: &str, text: &str) -> bool {
    const WIDE: [&str; 5] = ["utf-16", "utf16", "utf-32", "ucs-", "iso-10646-ucs-"];
    is_one_of(declared, &WIDE) || (text.is_ascii() && holds_ascii(declared))
}

fn is_one_of(declared: &str, names: &[&str]) -> bool {
    let declared = declared.to_ascii_lowercase();
    // A name of more than that is none of these.
    declared.len() <= 24 && names.iter().any(|it| declared.starts_with(it))
}

/// Whether an encoding of that name has a byte below 128 for each ASCII character, and for nothing else that is markup.
pub(super) fn holds_ascii(declared: &str) -> bool {
    const HOLD_ASCII: [&str; 9] =
        ["us-ascii", "ascii", "iso-8859-", "windows-125", "gb2312", "gbk", "gb18030", "euc-", "koi8-"];
    is_one_of(declared, &HOLD_ASCII)
}

/// Whether what is UTF-8 and says that it is in an encoding is read as UTF-8.
pub(super) fn is_read_as_utf8(declared: &str, text: &str) -> bool {
    is_utf8(declared) || is_utf8_all_the_same(declared, text)
}

/// Whether a name of an encoding is that of UTF-8.
pub(super) fn is_utf8(declared: &str) -> bool {
    declared.eq_ignore_ascii_case("utf-8") || declared.eq_ignore_ascii_case("utf8")
}

/// The encoding that bytes say they are in.
pub(super) fn declared_encoding(bytes: &[u8]) -> Option<String> {
    const DECLARATION_BYTES_MAX: usize = 256;
    let head = bytes.get(..bytes.len().min(DECLARATION_BYTES_MAX))?;
    let end = head.iter().position(|byte| *byte == b'>')?;
    let head = std::str::from_utf8(head.get(..end)?).ok()?;
    let inside = head.trim_start_matches('\u{feff}').strip_prefix("<?xml")?.strip_suffix('?')?;
    let mut pairs = Vec::new();
    split_attributes(inside, &mut pairs)?;
    pairs.into_iter().find(|(name, _)| *name == "encoding").map(|(_, value)| value.to_owned())
}

/// The character of a reference, of the five names or a number XML has a character for.
pub(super) fn reference(name: &str) -> Option<char> {
    let number = match name {
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "amp" => return Some('&'),
        "apos" => return Some('\''),
        "quot" => return Some('"'),
        _ => name.strip_prefix('#')?,
    };
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let character = char::from_u32(u32::from_str_radix(digits, radix).ok()?)?;
    is_character(character).then_some(character)
}

/// XML 1.0 §2.2.
pub(super) fn is_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Line ends as XML 1.0 §2.11 wants them.
fn newlines(text: &str) -> Cow<'_, str> {
    if text.as_bytes().contains(&b'\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// White space of markup (XML 1.0 §2.3).
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether the text is an NCName (Namespaces in XML §3).
pub fn is_ncname(text: &str) -> bool {
    // Nearly every name is of the letters that need no table.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let begins = |first: &u8| first.is_ascii_alphabetic() || *first == b'_';
    if text.bytes().all(plain) {
        return text.as_bytes().first().is_some_and(begins);
    }
    let mut characters = text.chars();
    characters.next().is_some_and(is_name_start) && characters.all(is_name_character)
}

pub(super) fn is_name_start(character: char) -> bool {
    matches!(character,
        'A'..='Z' | '_' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}

pub(super) fn is_name_character(character: char) -> bool {
    is_name_start(character)
        || matches!(character, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// What cameras mean by prefixes they forget to declare.
const WELL_KNOWN: &[(&str, &str)] = &[
    ("env", "http://www.w3.org/2003/05/soap-envelope"),
    ("s", "http://www.w3.org/2003/05/soap-envelope"),
    ("SOAP-ENV", "http://www.w3.org/2003/05/soap-envelope"),
    ("xsi", "http://www.w3.org/2001/XMLSchema-instance"),
    ("xs", "http://www.w3.org/2001/XMLSchema"),
    ("xsd", "http://www.w3.org/2001/XMLSchema"),
    ("wsa", "http://www.w3.org/2005/08/addressing"),
    ("wsa5", "http://www.w3.org/2005/08/addressing"),
    ("wsnt", "http://docs.oasis-open.org/wsn/b-2"),
    ("wstop", "http://docs.oasis-open.org/wsn/t-1"),
    ("tt", "http://www.onvif.org/ver10/schema"),
    ("tds", "http://www.onvif.org/ver10/device/wsdl"),
    ("trt", "http://www.onvif.org/ver10/media/wsdl"),
    ("tr2", "http://www.onvif.org/ver20/media/wsdl"),
    ("tptz", "http://www.onvif.org/ver20/ptz/wsdl"),
    ("timg", "http://www.onvif.org/ver20/imaging/wsdl"),
    ("tev", "http://www.onvif.org/ver10/events/wsdl"),
    ("tan", "http://www.onvif.org/ver20/analytics/wsdl"),
    ("tmd", "http://www.onvif.org/ver10/deviceIO/wsdl"),
    ("trc", "http://www.onvif.org/ver10/recording/wsdl"),
    ("tse", "http://www.onvif.org/ver10/search/wsdl"),
    ("trp", "http://www.onvif.org/ver10/replay/wsdl"),
    ("tns1", "http://www.onvif.org/ver10/topics"),
    ("ter", "http://www.onvif.org/ver10/error"),
];

#[cfg(test)]
#[path = "xml_tests.rs"]
mod tests;
