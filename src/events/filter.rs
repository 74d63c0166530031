//! Filters by what a message holds: the dialect ItemFilter (ONVIF Core §9.4.4), a small part of XPath.
//!
//! ```text
//! boolean(//tt:SimpleItem[@Name="State" and @Value="true"]) and not(boolean(//tt:ElementItem[@Name="Shape"]))
//! ```

use super::event::{Event, Part};
use crate::{
    limits::{EVENT_FILTER_BYTES_MAX, EVENT_FILTER_DEPTH_MAX},
    onvif::ITEM_FILTER,
};

/// Which messages somebody wants to hear of, by their items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemFilter(Logic<Items>);

/// Why a filter cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It is in a language nobody reads here.
    #[error("the content filter is in a dialect other than ItemFilter")]
    Dialect,
    /// It is longer than any.
    #[error("the content filter is longer than {EVENT_FILTER_BYTES_MAX} bytes")]
    Long,
    /// It is nested deeper than any.
    #[error("the content filter is nested deeper than {EVENT_FILTER_DEPTH_MAX} levels")]
    Deep,
    /// It is not written as the dialect wants it.
    #[error("the content filter is not written as ItemFilter says (at byte {0})")]
    Malformed(usize),
}

impl ItemFilter {
    /// Reads a filter. Prefixes are the gateway's own, as documents have them.
    pub fn parse(dialect: &str, text: &str) -> Result<Self, FilterError> {
        if dialect.trim() != ITEM_FILTER {
            return Err(FilterError::Dialect);
        }
        if text.len() > EVENT_FILTER_BYTES_MAX {
            return Err(FilterError::Long);
        }
        let mut parser = Parser { text, at: 0, depth: 0 };
        let logic = parser.either(Parser::items)?;
        parser.blanks();
        if parser.at < text.len() {
            return Err(parser.malformed());
        }
        Ok(Self(logic))
    }

    /// Whether a message is among those meant.
    pub fn matches(&self, event: &Event) -> bool {
        self.0.holds(&|items| items.are_in(event))
    }
}

/// Terms that are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Logic<T> {
    Term(T),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

impl<T> Logic<T> {
    fn holds(&self, term: &dyn Fn(&T) -> bool) -> bool {
        match self {
            Self::Term(it) => term(it),
            Self::Not(it) => !it.holds(term),
            Self::All(all) => all.iter().all(|it| it.holds(term)),
            Self::Any(any) => any.iter().any(|it| it.holds(term)),
        }
    }
}

/// Some item of a kind of which a test holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Items {
    kind: Kind,
    test: Logic<Compared>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Simple,
    Element,
}

/// An attribute is a text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Compared {
    Name(Box<str>),
    Value(Box<str>),
}

impl Items {
    fn are_in(&self, event: &Event) -> bool {
        match self.kind {
            Kind::Simple => {
                let mut items = Part::ALL.into_iter().flat_map(|part| event.items(part));
                items.any(|it| self.holds(it.name, Some(it.value)))
            }
            Kind::Element => {
                let inside = event.message().root().find("NotificationMessage/Message/Message");
                let mut items = inside.into_iter().flat_map(|it| it.children()).flat_map(|it| it.children());
                items.any(|it| {
                    it.local() == "ElementItem"
                        && it.attribute("Name").is_some_and(|name| self.holds(name, None))
                })
            }
        }
    }

    fn holds(&self, name: &str, value: Option<&str>) -> bool {
        self.test.holds(&|compared| match compared {
            Compared::Name(text) => **text == *name,
            Compared::Value(text) => value == Some(text),
        })
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

/// Reads one term of some kind.
type Term<'a, T> = fn(&mut Parser<'a>) -> Result<T, FilterError>;

impl<'a> Parser<'a> {
    /// Terms joined by `or`, which binds less than `and`.
    fn either<T>(&mut self, term: Term<'a, T>) -> Result<Logic<T>, FilterError> {
        self.joined("or", Logic::Any, &mut |parser| parser.both(term))
    }

    fn both<T>(&mut self, term: Term<'a, T>) -> Result<Logic<T>, FilterError> {
        self.joined("and", Logic::All, &mut |parser| parser.one(term))
    }

    fn joined<T>(
        &mut self,
        word: &str,
        join: fn(Vec<Logic<T>>) -> Logic<T>,
        next: &mut dyn FnMut(&mut Self) -> Result<Logic<T>, FilterError>,
    ) -> Result<Logic<T>, FilterError> {
        let first = next(self)?;
        if !self.word(word) {
            return Ok(first);
        }
        let mut all = vec![first, next(self)?];
        while self.word(word) {
            all.push(next(self)?);
        }
        Ok(join(all))
    }

    /// A term, what is in parentheses, or what is not so.
    fn one<T>(&mut self, term: Term<'a, T>) -> Result<Logic<T>, FilterError> {
        self.depth += 1;
        if self.depth > EVENT_FILTER_DEPTH_MAX {
            return Err(FilterError::Deep);
        }
        let found = if self.word("not") {
            self.sign("(")?;
            let inside = self.either(term)?;
            self.sign(")")?;
            Logic::Not(Box::new(inside))
        } else if self.has("(") {
            let inside = self.either(term)?;
            self.sign(")")?;
            inside
        } else {
            Logic::Term(term(self)?)
        };
        self.depth -= 1;
        Ok(found)
    }

    /// `boolean(//tt:SimpleItem[...])`
    fn items(&mut self) -> Result<Items, FilterError> {
        if !self.word("boolean") {
            return Err(self.malformed());
        }
        self.sign("(")?;
        self.sign("//")?;
        // The prefix may be left out.
        let _ = self.has("tt:");
        let kind = match () {
            () if self.word("SimpleItem") => Kind::Simple,
            () if self.word("ElementItem") => Kind::Element,
            () => return Err(self.malformed()),
        };
        self.sign("[")?;
        let test = self.either(Self::compared)?;
        self.sign("]")?;
        self.sign(")")?;
        Ok(Items { kind, test })
    }

    /// `@Name="State"`
    fn compared(&mut self) -> Result<Compared, FilterError> {
        self.sign("@")?;
        let make = match () {
            () if self.word("Name") => Compared::Name,
            () if self.word("Value") => Compared::Value,
            () => return Err(self.malformed()),
        };
        self.sign("=")?;
        Ok(make(self.quoted()?.into()))
    }

    fn quoted(&mut self) -> Result<&'a str, FilterError> {
        let quote = if self.has("\"") {
            '"'
        } else {
            self.sign("'")?;
            '\''
        };
        let (inside, _) = self.rest().split_once(quote).ok_or_else(|| self.malformed())?;
        self.at += inside.len() + quote.len_utf8();
        Ok(inside)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes a sign if it comes next.
    fn has(&mut self, sign: &str) -> bool {
        self.blanks();
        let comes = self.rest().starts_with(sign);
        self.at += if comes { sign.len() } else { 0 };
        comes
    }

    fn sign(&mut self, sign: &str) -> Result<(), FilterError> {
        if self.has(sign) { Ok(()) } else { Err(self.malformed()) }
    }

    /// Takes a word if it comes next, and no longer one that begins with it.
    fn word(&mut self, word: &str) -> bool {
        self.blanks();
        let goes_on = |rest: &str| rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        let comes = self.rest().strip_prefix(word).is_some_and(|rest| !goes_on(rest));
        self.at += if comes { word.len() } else { 0 };
        comes
    }

    fn malformed(&self) -> FilterError {
        FilterError::Malformed(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::samples::motion, *};

    fn parse(text: &str) -> Result<ItemFilter, FilterError> {
        ItemFilter::parse(ITEM_FILTER, text)
    }

    #[test]
    fn messages_are_told_apart_by_their_items() {
        let event = motion("v0", true);
        let state = "boolean(//tt:SimpleItem[@Name=\"State\" and @Value=\"true\"])";
        let source = "boolean(//tt:SimpleItem[@Name=\"Source\" and @Value=\"v0\"])";
        let other = "boolean(//tt:SimpleItem[@Name=\"Source\" and @Value=\"v1\"])";
        // Name and value of different items are no item.
        let mixed = "boolean(//tt:SimpleItem[@Name=\"State\" and @Value=\"v0\"])";
        let table = [
            (state.to_owned(), true),
            (mixed.to_owned(), false),
            (format!("{state} and {source}"), true),
            (format!("{state} and {other}"), false),
            (format!("{other} or {state}"), true),
            (format!("not({other})"), true),
            (format!("not ( {state} )"), false),
            (format!("({other} or {source}) and {state}"), true),
            // `and` binds more than `or`.
            (format!("{source} or {other} and {other}"), true),
            ("boolean(//SimpleItem[@Name='State'])".to_owned(), true),
            ("boolean(//tt:SimpleItem[not(@Name=\"State\") and not(@Name=\"Source\")])".to_owned(), false),
            (
                "boolean(//tt:SimpleItem[(@Value=\"x\" or @Value=\"v0\") and @Name=\"Source\"])".to_owned(),
                true,
            ),
            ("boolean(//tt:ElementItem[@Name=\"State\"])".to_owned(), false),
        ];
        for (text, meant) in table {
            assert_eq!(parse(&text).unwrap().matches(&event), meant, "{text}");
        }
    }

    #[test]
    fn what_is_no_such_filter_is_refused_within_bounds() {
        let term = "boolean(//tt:SimpleItem[@Name=\"A\"])";
        for text in [
            "",
            "true()",
            "//tt:SimpleItem[@Name=\"A\"]",
            "boolean(//tt:SimpleItem)",
            "boolean(//tt:SimpleItem[@Name])",
            "boolean(//tt:SimpleItem[@Name=\"A\"])x",
            "boolean(//tt:SimpleItem[@Name=\"A])",
            "boolean(//tt:Source[@Name=\"A\"])",
            "boolean(//tt:SimpleItem[@Other=\"A\"])",
            "boolean(//tt:SimpleItem[contains(@Name, \"A\")])",
            "count(//tt:SimpleItem) > 1",
            "notboolean(//tt:SimpleItem[@Name=\"A\"])",
            &format!("{term} and"),
            &format!("{term} {term}"),
            &format!("({term}"),
        ] {
            assert!(matches!(parse(text), Err(FilterError::Malformed(_))), "{text}: {:?}", parse(text));
        }
        let nested = |levels: usize| format!("{}{term}{}", "(".repeat(levels), ")".repeat(levels));
        assert_eq!(parse(&nested(EVENT_FILTER_DEPTH_MAX)), Err(FilterError::Deep));
        assert!(parse(&nested(EVENT_FILTER_DEPTH_MAX - 2)).is_ok());
        assert_eq!(parse(&"(".repeat(EVENT_FILTER_BYTES_MAX)), Err(FilterError::Deep));
        assert_eq!(parse(&" ".repeat(EVENT_FILTER_BYTES_MAX + 1)), Err(FilterError::Long));
        assert_eq!(
            ItemFilter::parse("http://www.w3.org/TR/1999/REC-xpath-19991116", term),
            Err(FilterError::Dialect)
        );
    }
}
