//! What can be said of a configuration without judging it: which files it names, and where something stands.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{diagnostic::Diagnostic, load::read, source::Source};

/// The files and folders that a configuration names, as far as its TOML can be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Where state is kept.
    pub state_dir: PathBuf,
    /// The folder of the owner's policies.
    pub policy_dir: Option<PathBuf>,
    /// The owner's folder of vendors.
    pub vendors_dir: Option<PathBuf>,
    /// The files with secrets.
    pub secrets: Vec<PathBuf>,
}

impl Outline {
    /// Looks through a configuration. `env` reads the environment.
    pub fn of(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let base = path.parent().unwrap_or(Path::new("."));
        let text = read(path).unwrap_or_default();
        let (table, _) = DeTable::parse_recoverable(&text);
        let table = table.get_ref();
        let path_at =
            |section, key| Some(base.join(table.get(section)?.get_ref().get(key)?.get_ref().as_str()?));
        let mut outline = Self {
            state_dir: path_at("gateway", "state_dir").unwrap_or_else(|| base.join("state")),
            policy_dir: path_at("policy", "dir"),
            vendors_dir: path_at("vendors", "dir"),
            secrets: Vec::new(),
        };
        for value in table.values() {
            references(value.get_ref(), &mut |kind, name| match kind {
                "file" => outline.secrets.push(base.join(name)),
                "credential" => {
                    let folder = env("CREDENTIALS_DIRECTORY");
                    outline.secrets.extend(folder.map(|folder| Path::new(&folder).join(name)));
                }
                _ => {}
            });
        }
        outline
    }
}

/// Every reference to a secret in a value, at whatever depth the TOML has it.
fn references(value: &DeValue<'_>, found: &mut dyn FnMut(&str, &str)) {
    match value {
        DeValue::Array(items) => items.iter().for_each(|item| references(item.get_ref(), found)),
        DeValue::Table(table) => {
            for (key, value) in table {
                match value.get_ref().as_str() {
                    Some(text) => found(key.get_ref(), text),
                    None => references(value.get_ref(), found),
                }
            }
        }
        _ => {}
    }
}

/// A place in a configuration.
#[derive(Debug, Clone, Copy)]
pub enum Spot<'a> {
    /// A setting of a section: the first of these keys that is written, else the section.
    Setting(&'a str, &'a [&'a str]),
    /// The same of the camera of this name.
    Camera(&'a str, &'a [&'a str]),
}

/// What is wrong at a place of a configuration that is right in itself.
pub fn at(path: &Path, spot: Spot<'_>, message: String, remedy: String) -> Diagnostic {
    let text = read(path).unwrap_or_default();
    let (table, _) = DeTable::parse_recoverable(&text);
    let table = table.get_ref();
    Diagnostic {
        severity: super::Severity::Error,
        file: path.to_owned(),
        source: Source::parsed(&text, table),
        span: span(table, spot).unwrap_or(0..0),
        message,
        remedy,
    }
}

fn span(table: &DeTable<'_>, spot: Spot<'_>) -> Option<Range<usize>> {
    let (section, keys, name) = match spot {
        Spot::Setting(section, keys) => (section, keys, None),
        Spot::Camera(name, keys) => ("camera", keys, Some(name)),
    };
    let value = table.get(section)?;
    let value = match (name, value.get_ref()) {
        (Some(name), DeValue::Array(items)) => {
            let named =
                |item: &DeValue<'_>| item.get("name").and_then(|it| it.get_ref().as_str()) == Some(name);
            items.iter().find(|item| named(item.get_ref()))?
        }
        _ => value,
    };
    let written = keys.iter().find_map(|key| value.get_ref().get(*key));
    let fallback = || value.get_ref().get("name").unwrap_or(value).span();
    Some(written.map_or_else(fallback, toml::Spanned::span))
}
