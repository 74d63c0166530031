//! What every section needs: shapes, names and references, and a place for everything that is wrong.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::{Diagnostic, Severity, raw, secret, source::Source};
use crate::{auth::Secret, ids::NameError};

const NAME_REMEDY: &str = "use lower-case letters, digits, `-`, `_` and `.`";
const SHAPE_REMEDY: &str = "compare the section with cordon.example.toml";

pub(super) struct Reader<'a> {
    pub(super) path: &'a Path,
    pub(super) base: &'a Path,
    /// Where secrets are looked for, if they are read at all.
    pub(super) env: Option<secret::Environment<'a>>,
    pub(super) source: Source,
    pub(super) found: Vec<Diagnostic>,
}

/// The names that sections of one kind have, whether or not the rest of each section is right: a camera in
/// trouble is still there, and who names it is not in the wrong.
pub(super) struct Declared {
    kind: &'static str,
    names: BTreeMap<String, Range<usize>>,
    /// Whether every section has a name that can be read.
    complete: bool,
}

impl Reader<'_> {
    /// Reads a section that may stand once.
    pub(super) fn one<T: DeserializeOwned>(&mut self, table: &DeTable<'_>, key: &str) -> Option<T> {
        table.get(key).and_then(|value| self.shape(value))
    }

    /// Reads sections that may stand often; `make` is given the number of each, from 0.
    pub(super) fn many<T: DeserializeOwned, U>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        mut make: impl FnMut(&mut Self, usize, T) -> Option<U>,
    ) -> Vec<U> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.error(value.span(), &format!("`{key}` is a list"), &format!("write [[{key}]]"));
            return Vec::new();
        };
        let mut made = Vec::new();
        for (number, item) in items.iter().enumerate() {
            made.extend(self.shape(item).and_then(|raw| make(self, number, raw)));
        }
        made
    }

    /// Serde stops at the first key it does not know. Each such key is told, and the rest is read without it.
    fn shape<T: DeserializeOwned>(&mut self, value: &Spanned<DeValue<'_>>) -> Option<T> {
        let mut value = value.clone();
        loop {
            let error = match T::deserialize(ValueDeserializer::from(value.clone())) {
                Ok(read) => return Some(read),
                Err(error) => error,
            };
            let span = error.span().unwrap_or(value.span());
            self.error(span.clone(), error.message(), SHAPE_REMEDY);
            let DeValue::Table(table) = value.get_mut() else { return None };
            let unknown = table.keys().find(|key| key.span() == span).cloned()?;
            table.remove(&unknown);
        }
    }

    /// Collects the names of sections, and tells each that is there already.
    pub(super) fn declared(&mut self, table: &DeTable<'_>, kind: &'static str) -> Declared {
        let mut declared = Declared { kind, names: BTreeMap::new(), complete: true };
        let Some(value) = table.get(kind) else { return declared };
        let DeValue::Array(items) = value.get_ref() else {
            declared.complete = false;
            return declared;
        };
        for item in items {
            let name = item.get_ref().as_table().and_then(|table| table.get("name"));
            let Some((name, span)) = name.and_then(|name| Some((name.get_ref().as_str()?, name.span())))
            else {
                declared.complete = false;
                continue;
            };
            if let Some(first) = declared.names.get(name) {
                let (line, _) = self.source.position(first.start);
                let what = format!("there are two {kind}s named `{name}`");
                self.error(span, &what, &format!("rename one; the first stands on line {line}"));
            } else {
                declared.names.insert(name.to_owned(), span);
            }
        }
        declared
    }

    /// A name of its own.
    pub(super) fn name<T>(&mut self, text: &raw::Text, make: fn(&str) -> Result<T, NameError>) -> Option<T> {
        let span = text.span();
        make(text.get_ref()).map_err(|error| self.error(span, &error.to_string(), NAME_REMEDY)).ok()
    }

    /// The name of something else.
    pub(super) fn refer<T>(
        &mut self,
        text: &raw::Text,
        to: &Declared,
        make: fn(&str) -> Result<T, NameError>,
    ) -> Option<T> {
        if to.complete && !to.names.contains_key(text.get_ref()) {
            let what = format!("there is no {} `{}`", to.kind, text.get_ref());
            self.error(
                text.span(),
                &what,
                &format!("correct the name, or add a [[{}]] of that name", to.kind),
            );
            return None;
        }
        make(text.get_ref()).ok()
    }

    /// Networks; nothing if one of them is none.
    pub(super) fn prefixes(&mut self, texts: &[raw::Text]) -> Option<Vec<IpNet>> {
        let mut prefixes = Vec::new();
        for text in texts {
            match text.get_ref().parse() {
                Ok(prefix) => prefixes.push(prefix),
                Err(_) => {
                    let what = format!("`{}` is no network", text.get_ref());
                    self.error(text.span(), &what, "write it as 192.0.2.0/24");
                }
            }
        }
        (prefixes.len() == texts.len()).then_some(prefixes)
    }

    /// Follows the reference to a secret.
    pub(super) fn secret(&mut self, value: &Spanned<toml::Value>) -> Option<Secret> {
        let secret = secret::reference(value.get_ref()).and_then(|reference| match self.env {
            Some(env) => secret::follow(reference, self.base, env),
            None => Ok(Secret::new(String::new())),
        });
        secret.map_err(|(what, remedy)| self.error(value.span(), &what, &remedy)).ok()
    }

    /// A path, from the folder the configuration is in.
    pub(super) fn folder(&self, dir: &raw::Text) -> PathBuf {
        self.base.join(dir.get_ref())
    }

    /// The same, or another path where none is written.
    pub(super) fn path_or(&self, path: Option<raw::Text>, default: PathBuf) -> PathBuf {
        path.map_or(default, |path| self.folder(&path))
    }

    pub(super) fn is_refused(&self) -> bool {
        self.found.iter().any(|one| one.severity == Severity::Error)
    }

    pub(super) fn error(&mut self, span: Range<usize>, message: &str, remedy: &str) {
        self.say(Severity::Error, span, message, remedy);
    }

    pub(super) fn warn(&mut self, span: Range<usize>, message: &str, remedy: &str) {
        self.say(Severity::Warning, span, message, remedy);
    }

    fn say(&mut self, severity: Severity, span: Range<usize>, message: &str, remedy: &str) {
        self.found.push(Diagnostic {
            severity,
            file: self.path.to_owned(),
            source: self.source.clone(),
            span,
            message: message.into(),
            remedy: remedy.into(),
        });
    }
}
