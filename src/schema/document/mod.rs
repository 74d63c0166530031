//! One message as a flat list of tokens over one text.
//!
//! A token names a place in the tree its message is declared with ([`NodeId`]), so a document can hold nothing
//! that is not declared. Elements stand before what they hold and know how many tokens that is; attributes
//! come first.

mod assemble;
mod build;
mod graft;
mod qname;
mod read;
mod refusal;
mod rewrite;
mod write;

#[cfg(test)]
mod tests;

use super::tables::{NameId, NamespaceId, NodeId};

pub use build::{BuildError, Builder};
pub use refusal::Refusal;
pub use rewrite::{Edit, RewriteError};
pub use write::escape;

/// One message.
#[derive(Debug, Clone)]
pub struct Document {
    tokens: Vec<Token>,
    text: String,
    spaces: Spaces,
}

/// The namespaces that names and texts of a document use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Spaces {
    /// Those of the tables that texts use.
    known: Vec<NamespaceId>,
    /// Those the tables do not have; the first is written with the prefix `ns1`.
    extra: Vec<Box<str>>,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    kind: Kind,
    node: NodeId,
    name: NameId,
    /// Tokens from this one on that belong to it, itself included.
    size: u32,
    local: Span,
    text: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Element,
    /// An element with `xsi:nil`.
    Nil,
    Attribute,
    /// Text beside elements.
    Text,
    /// An element of a topic tree, and what its `wstop:topic` says.
    Topic(Space, Option<bool>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Space {
    Known(NamespaceId),
    Extra(u16),
}

#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    fn of(self, text: &str) -> &str {
        let start = self.start as usize;
        text.get(start..start + self.length as usize).unwrap_or("")
    }
}

impl Kind {
    fn is_element(self) -> bool {
        match self {
            Self::Element | Self::Nil | Self::Topic(..) => true,
            Self::Attribute | Self::Text => false,
        }
    }
}

/// Whether a value is an element's text or an attribute's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// Text of an element.
    Text,
    /// Value of an attribute.
    Attribute,
}

/// A text that a document holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// Where it stands: the element's node, or the attribute's.
    pub node: NodeId,
    /// The local name of the element or attribute.
    pub local: &'a str,
    /// The text; white space as its type wants it, QNames with our prefixes.
    pub text: &'a str,
    /// Element or attribute.
    pub kind: ValueKind,
}

impl Document {
    /// The outermost element.
    pub fn root(&self) -> Element<'_> {
        Element { document: self, index: 0 }
    }

    /// Every text of an element (empty ones included) and every attribute, in document order.
    pub fn values(&self) -> impl Iterator<Item = Value<'_>> {
        self.tokens.iter().filter_map(|token| self.value(token))
    }

    /// The namespaces that the tables do not have; all others are written as the tables name them.
    pub fn own_namespaces(&self) -> impl Iterator<Item = &str> {
        self.spaces.extra.iter().map(|uri| &**uri)
    }

    /// The local names of topics; all others are the tables'.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        let topics = self.tokens.iter().filter(|token| matches!(token.kind, Kind::Topic(..)));
        topics.map(|token| token.local.of(&self.text))
    }

    /// Bytes of memory it takes, roughly.
    pub fn bytes(&self) -> usize {
        let spaces = self.spaces.extra.iter().map(|uri| size_of::<Box<str>>() + uri.len()).sum::<usize>();
        size_of::<Self>() + size_of_val(self.tokens.as_slice()) + self.text.len() + spaces
    }

    fn value(&self, token: &Token) -> Option<Value<'_>> {
        let kind = match token.kind {
            Kind::Attribute => ValueKind::Attribute,
            Kind::Text => ValueKind::Text,
            // An element that holds others has no text of its own.
            Kind::Element if token.text.start != u32::MAX => ValueKind::Text,
            Kind::Element | Kind::Nil | Kind::Topic(..) => return None,
        };
        let text = token.text.of(&self.text);
        Some(Value { node: token.node, local: token.local.of(&self.text), text, kind })
    }

    fn token(&self, index: usize) -> Option<&Token> {
        self.tokens.get(index)
    }
}

impl PartialEq for Document {
    /// The same tokens with the same texts.
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, two): (&Token, &Token)| {
            one.kind == two.kind
                && one.node == two.node
                && one.size == two.size
                && one.local.of(&self.text) == two.local.of(&other.text)
                && one.text.of(&self.text) == two.text.of(&other.text)
        };
        self.tokens.len() == other.tokens.len()
            && self.spaces.extra == other.spaces.extra
            && self.tokens.iter().zip(&other.tokens).all(same)
    }
}

/// An element of a document.
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    document: &'a Document,
    index: usize,
}

/// The text of a token that has none.
const NO_TEXT: Span = Span { start: u32::MAX, length: 0 };

impl<'a> Element<'a> {
    fn token(&self) -> Option<&'a Token> {
        self.document.token(self.index)
    }

    /// Its place in the tree of its message. An element of a topic tree has that of the tree.
    pub fn node(&self) -> NodeId {
        self.token().map_or(NodeId(u32::MAX), |token| token.node)
    }

    /// Its name. An element of a topic tree has that of the tree; its own is at [`Element::local`].
    pub fn name(&self) -> NameId {
        self.token().map_or(NameId(u32::MAX), |token| token.name)
    }

    /// Its local name.
    pub fn local(&self) -> &'a str {
        self.token().map_or("", |token| token.local.of(&self.document.text))
    }

    /// Its text; empty if it holds elements.
    pub fn text(&self) -> &'a str {
        let own = self.token().map_or("", |token| token.text.of(&self.document.text));
        if !own.is_empty() {
            return own;
        }
        let text = self.inside().find(|(_, token)| token.kind == Kind::Text);
        text.map_or("", |(_, token)| token.text.of(&self.document.text))
    }

    /// Whether it says `xsi:nil`.
    pub fn is_nil(&self) -> bool {
        self.token().is_some_and(|token| token.kind == Kind::Nil)
    }

    /// The value of an attribute.
    pub fn attribute(&self, local: &str) -> Option<&'a str> {
        self.attributes().find(|value| value.local == local).map(|value| value.text)
    }

    /// Its attributes.
    pub fn attributes(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let document = self.document;
        self.inside()
            .take_while(|(_, token)| token.kind == Kind::Attribute)
            .filter_map(move |(_, token)| document.value(token))
    }

    /// The elements directly inside it.
    pub fn children(&self) -> impl Iterator<Item = Self> + use<'a> {
        let document = self.document;
        self.inside()
            .filter(|(_, token)| token.kind.is_element())
            .map(move |(index, _)| Self { document, index })
    }

    /// The first element of that name directly inside it.
    pub fn child(&self, local: &str) -> Option<Self> {
        self.children().find(|it| it.local() == local)
    }

    /// The first element found going down by names: `"NTPFromDHCP"`, `"Profiles/VideoSourceConfiguration"`.
    pub fn find(&self, path: &str) -> Option<Self> {
        match path.split_once('/') {
            None => self.child(path),
            // Not only the first of several that have the name may hold what comes next.
            Some((first, rest)) => {
                self.children().filter(|it| it.local() == first).find_map(|it| it.find(rest))
            }
        }
    }

    /// The tokens directly inside it, with their places.
    fn inside(&self) -> impl Iterator<Item = (usize, &'a Token)> + use<'a> {
        let document = self.document;
        let end = self.index + self.token().map_or(0, |token| token.size as usize);
        let mut next = self.index + 1;
        std::iter::from_fn(move || {
            let index = next;
            let token = document.token(index).filter(|_| index < end)?;
            next += (token.size as usize).max(1);
            Some((index, token))
        })
    }
}
