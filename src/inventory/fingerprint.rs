//! What a maker's cameras are known by, beside their names.

use serde::Deserialize;

use super::{
    evidence::SignalKind,
    folded::{Folded, Needle},
    vendor::Confidence,
};
use crate::schema::pattern;

/// One trait of a maker's cameras.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Fingerprint {
    /// Where it shows.
    pub signal: SignalKind,
    /// How it is matched.
    matcher: Matcher,
    /// How sure it is.
    pub confidence: Confidence,
    /// Where it was seen.
    pub source: Vec<String>,
    /// What one should know about it.
    pub note: Option<String>,
}

/// How a value is matched. Each is bounded by the length of values and of what is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Matcher {
    Is(String, Needle),
    Starts(String, Needle),
    Word(String, Needle),
    /// A pattern of the XML Schema kind for the whole value.
    Form(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    signal: SignalKind,
    is: Option<String>,
    starts: Option<String>,
    word: Option<String>,
    form: Option<String>,
    confidence: Confidence,
    source: Vec<String>,
    note: Option<String>,
}

impl Fingerprint {
    /// Whether a value of the signal shows it; `folded` is the value folded.
    pub(super) fn matches(&self, value: &str, folded: &Folded) -> bool {
        match &self.matcher {
            Matcher::Is(_, name) => folded.is(name),
            Matcher::Starts(_, name) => folded.starts(name),
            Matcher::Word(_, name) => folded.place(name).is_some(),
            Matcher::Form(form) => pattern::matches(form, value),
        }
    }

    /// How it is matched, in words.
    pub fn rule(&self) -> String {
        match &self.matcher {
            Matcher::Is(text, _) => format!("is `{text}`"),
            Matcher::Starts(text, _) => format!("begins with `{text}`"),
            Matcher::Word(text, _) => format!("contains `{text}`"),
            Matcher::Form(form) => format!("has the form {form}"),
        }
    }
}

impl TryFrom<Raw> for Fingerprint {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let name = |text: String, make: fn(String, Needle) -> Matcher| {
            let needle = Needle::new(&text);
            if needle.as_str().chars().count() < NEEDLE_CHARS_MIN {
                return Err(format!("`{text}` is too short to tell anything"));
            }
            Ok(make(text, needle))
        };
        let matcher = match (raw.is, raw.starts, raw.word, raw.form) {
            (Some(text), None, None, None) => name(text, Matcher::Is)?,
            (None, Some(text), None, None) => name(text, Matcher::Starts)?,
            (None, None, Some(text), None) => name(text, Matcher::Word)?,
            (None, None, None, Some(form)) if pattern::is_readable(&form) => Matcher::Form(form),
            (None, None, None, Some(form)) => return Err(format!("`{form}` is no pattern of XML Schema")),
            _ => return Err("a fingerprint has one of is, starts, word and form".to_owned()),
        };
        let Raw { signal, confidence, source, note, .. } = raw;
        Ok(Self { signal, matcher, confidence, source, note })
    }
}

/// Letters and digits that a name must have to be looked for.
pub(super) const NEEDLE_CHARS_MIN: usize = 2;
