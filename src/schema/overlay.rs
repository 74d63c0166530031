//! The overlay: what the interface definitions do not say, one text file per service in `wsdl/overlay/`.
//!
//! One fact per line, words apart by blanks, `#` begins a comment:
//!
//! ```text
//! prefix    PREFIX NAMESPACE                      the prefix we write for a namespace
//! service   NAME PREFIX NAMESPACE                 a service; the operations below it are its own
//! element   NAME TYPE                             a global element the schemas leave undeclared
//! attribute request|answer|both PATH NAME TYPE    one that we alone write, of a type of XSD's own
//! document  NAME                                  an element that cameras send by itself, as answers are judged
//! address   KIND TYPE                             texts of this type are addresses (ipv4 ipv6 host uri mac)
//! operation NAME CLASS TRAIT...                   its access class and what always holds of it
//! effect    request|answer EFFECT PATH            what an address at this place does
//! secret    request|answer PATH                   the text at this place is a secret
//! content   request|answer|both PATH ELEMENT...   what may stand where the schema says "anything"
//! topics    request|answer|both PATH ELEMENT...   a topic tree stands there, which may describe by these
//! ```
//!
//! A PATH is the end of a place's path, `tds:NTPManual/tt:IPv4Address` or `tt:Profile/@token`; with a leading `/`
//! it is the whole path. Of several paths that fit, the longest counts. Paths hold for all services: the file
//! only says where a reviewer looks for them. NAME is `SetNTP`, or `SubscriptionManager.Renew` where port types
//! of a service differ. Traits that depend on the document need no word: they follow from the effects.

use std::collections::HashMap;

use super::{
    facts::{AccessClass, AddressEffect, Traits},
    names::Names,
    tables::{AddressKind, Builtin, NameId},
    xsd::built_in,
};

/// A step of a path: a name, and whether it is an attribute.
pub(super) type Step = (NameId, bool);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Direction {
    Request,
    Answer,
}

#[derive(Debug, Default)]
pub(super) struct Overlay {
    pub(super) prefixes: HashMap<Box<str>, Box<str>>,
    pub(super) services: Vec<Service>,
    pub(super) addresses: HashMap<NameId, AddressKind>,
    /// Elements declared here and nowhere else, with their types.
    pub(super) elements: Vec<(NameId, NameId)>,
    /// Elements that are documents of their own.
    pub(super) documents: Vec<NameId>,
    pub(super) effects: Rules<AddressEffect>,
    pub(super) secrets: Rules<bool>,
    pub(super) contents: Rules<Contents>,
    /// Attributes of elements, with their types.
    pub(super) attributes: Rules<(NameId, Builtin)>,
    operations: HashMap<(Box<str>, Box<str>), OperationRow>,
}

#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) name: Box<str>,
    pub(super) prefix: Box<str>,
    pub(super) namespace: Box<str>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct OperationRow {
    pub(super) class: AccessClass,
    pub(super) traits: Traits,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Contents {
    Elements(Vec<NameId>),
    Topics(Vec<NameId>),
}

/// Values by the end of a path.
#[derive(Debug)]
pub(super) struct Rules<T> {
    by_last: HashMap<(Step, Direction), Vec<Rule<T>>>,
}

#[derive(Debug)]
struct Rule<T> {
    /// From the last step to the first.
    path: Vec<Step>,
    rooted: bool,
    value: T,
}

/// A line of the overlay that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct OverlayError {
    /// From one.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl<T> Default for Rules<T> {
    fn default() -> Self {
        Self { by_last: HashMap::new() }
    }
}

impl<T: PartialEq> Rules<T> {
    /// The value for a place; `path` goes from the root to it.
    pub(super) fn find(&self, direction: Direction, path: &[Step]) -> Option<&T> {
        let rules = self.by_last.get(&(*path.last()?, direction))?;
        let fitting = rules.iter().filter(|rule| rule.fits(path));
        fitting.max_by_key(|rule| (rule.path.len(), rule.rooted)).map(|rule| &rule.value)
    }

    /// All values.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.by_last.values().flatten().map(|rule| &rule.value)
    }

    fn add(&mut self, direction: Direction, path: &[Step], rooted: bool, value: T) -> Result<(), String> {
        let last = *path.last().ok_or("needs a path")?;
        let rules = self.by_last.entry((last, direction)).or_default();
        let path: Vec<Step> = path.iter().rev().copied().collect();
        if let Some(known) = rules.iter().find(|rule| rule.path == path && rule.rooted == rooted) {
            return if known.value == value {
                Ok(())
            } else {
                Err("says otherwise than a line before".to_owned())
            };
        }
        rules.push(Rule { path, rooted, value });
        Ok(())
    }
}

impl<T> Rule<T> {
    fn fits(&self, path: &[Step]) -> bool {
        let enough = if self.rooted { path.len() == self.path.len() } else { path.len() >= self.path.len() };
        enough && self.path.iter().eq(path.iter().rev().take(self.path.len()))
    }
}

impl Overlay {
    /// Takes the namespaces and services a file names. All files first, so that any may use any prefix.
    pub(super) fn read_names(&mut self, text: &str) -> Result<(), OverlayError> {
        for (line, words) in lines(text) {
            match words.as_slice() {
                ["prefix", prefix, uri] => {
                    self.prefix(prefix, uri).map_err(|what| OverlayError { line, what })?
                }
                ["service", name, prefix, uri] => {
                    self.prefix(prefix, uri).map_err(|what| OverlayError { line, what })?;
                    let (name, prefix, namespace) = ((*name).into(), (*prefix).into(), (*uri).into());
                    self.services.push(Service { name, prefix, namespace });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes everything else of a file.
    pub(super) fn read_facts(&mut self, names: &mut Names, text: &str) -> Result<(), OverlayError> {
        let mut service = "";
        for (line, words) in lines(text) {
            match words.as_slice() {
                ["service", name, ..] => service = name,
                words => self.fact(names, service, words).map_err(|what| OverlayError { line, what })?,
            }
        }
        Ok(())
    }

    /// What the overlay says of an operation.
    pub(super) fn operation(&self, service: &str, port_type: &str, name: &str) -> Option<OperationRow> {
        let own = self.operations.get(&(service.into(), format!("{port_type}.{name}").into()));
        own.or_else(|| self.operations.get(&(service.into(), name.into()))).copied()
    }

    fn prefix(&mut self, prefix: &str, uri: &str) -> Result<(), String> {
        match self.prefixes.insert(prefix.into(), uri.into()) {
            Some(other) if *other != *uri => Err(format!("`{prefix}` already stands for {other}")),
            _ => Ok(()),
        }
    }

    fn fact(&mut self, names: &mut Names, service: &str, words: &[&str]) -> Result<(), String> {
        match words {
            ["prefix", _, _] => Ok(()),
            ["element", name, of] => {
                let (name, of) = (self.name(names, name)?, self.name(names, of)?);
                self.elements.push((name, of));
                Ok(())
            }
            ["attribute", direction, path, name, of] => {
                let (path, rooted) = self.path(names, path)?;
                let name = self.name(names, name)?;
                let of = of
                    .strip_prefix("xs:")
                    .and_then(built_in)
                    .ok_or_else(|| format!("`{of}` is no type of XSD's"))?;
                each(direction, |one| self.attributes.add(one, &path, rooted, (name, of)))
            }
            ["document", name] => {
                let name = self.name(names, name)?;
                self.documents.push(name);
                Ok(())
            }
            ["address", kind, name] => {
                let name = self.name(names, name)?;
                self.addresses.insert(name, address_kind(kind)?);
                Ok(())
            }
            ["operation", name, class, traits @ ..] => {
                let class = class.parse().map_err(|error| format!("{error}"))?;
                let traits: Result<Traits, _> = traits.iter().map(|word| word.parse()).collect();
                let row = OperationRow { class, traits: traits.map_err(|error| format!("{error}"))? };
                match self.operations.insert((service.into(), (*name).into()), row) {
                    Some(_) => Err(format!("`{name}` has a line already")),
                    None => Ok(()),
                }
            }
            ["effect", direction, effect, path] => {
                let effect: AddressEffect = effect.parse().map_err(|error| format!("{error}"))?;
                let (path, rooted) = self.path(names, path)?;
                each(direction, |one| self.effects.add(one, &path, rooted, effect))
            }
            ["secret", direction, path] => {
                let (path, rooted) = self.path(names, path)?;
                each(direction, |one| self.secrets.add(one, &path, rooted, true))
            }
            ["topics", direction, path, elements @ ..] => {
                let (path, rooted) = self.path(names, path)?;
                let found: Result<Vec<_>, _> = elements.iter().map(|it| self.name(names, it)).collect();
                let value = Contents::Topics(found?);
                each(direction, |one| self.contents.add(one, &path, rooted, value.clone()))
            }
            ["content", direction, path, elements @ ..] => {
                let (path, rooted) = self.path(names, path)?;
                let found: Result<Vec<_>, _> = elements.iter().map(|it| self.name(names, it)).collect();
                let value = Contents::Elements(found?);
                each(direction, |one| self.contents.add(one, &path, rooted, value.clone()))
            }
            other => Err(format!("`{}` is no line of an overlay", other.join(" "))),
        }
    }

    fn path(&self, names: &mut Names, text: &str) -> Result<(Vec<Step>, bool), String> {
        let rooted = text.starts_with('/');
        let steps = text.trim_start_matches('/').split('/').map(|step| {
            let (name, attribute) = step.strip_prefix('@').map_or((step, false), |name| (name, true));
            self.name(names, name).map(|name| (name, attribute))
        });
        Ok((steps.collect::<Result<_, _>>()?, rooted))
    }

    fn name(&self, names: &mut Names, text: &str) -> Result<NameId, String> {
        let Some((prefix, local)) = text.split_once(':') else { return Ok(names.intern("", text)) };
        let uri = self.prefixes.get(prefix).ok_or_else(|| format!("the prefix of `{text}` has no line"))?;
        Ok(names.intern(uri, local))
    }
}

fn lines(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let words = |line| -> Vec<&str> {
        str::split_whitespace(line).take_while(|word| !word.starts_with('#')).collect()
    };
    (1..).zip(text.lines().map(words)).filter(|(_, words)| !words.is_empty())
}

fn each(direction: &str, mut add: impl FnMut(Direction) -> Result<(), String>) -> Result<(), String> {
    match direction {
        "request" => add(Direction::Request),
        "answer" => add(Direction::Answer),
        "both" => add(Direction::Request).and_then(|()| add(Direction::Answer)),
        other => Err(format!("`{other}` is none of request, answer, both")),
    }
}

fn address_kind(word: &str) -> Result<AddressKind, String> {
    match word {
        "ipv4" => Ok(AddressKind::Ipv4),
        "ipv6" => Ok(AddressKind::Ipv6),
        "host" => Ok(AddressKind::HostName),
        "uri" => Ok(AddressKind::Uri),
        "mac" => Ok(AddressKind::Mac),
        other => Err(format!("`{other}` is none of ipv4, ipv6, host, uri, mac")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Overlay, Names), OverlayError> {
        let (mut overlay, mut names) = (Overlay::default(), Names::default());
        overlay.read_names(text)?;
        overlay.read_facts(&mut names, text)?;
        Ok((overlay, names))
    }

    #[test]
    fn the_longest_fitting_path_counts() {
        let text = "prefix a urn:a\neffect request own a:IP # note\neffect request destination a:NTP/a:IP\n\
                    effect request listener /a:NTP/a:IP";
        let (overlay, mut names) = read(text).unwrap();
        let [ip, ntp, set] = ["IP", "NTP", "Set"].map(|local| (names.intern("urn:a", local), false));
        let find = |path: &[Step]| overlay.effects.find(Direction::Request, path).copied();
        assert_eq!(find(&[set, ntp, ip]), Some(AddressEffect::Destination));
        assert_eq!(find(&[ntp, ip]), Some(AddressEffect::Listener));
        assert_eq!(find(&[set, ip]), Some(AddressEffect::Own));
        assert_eq!(find(&[set]), None);
        assert_eq!(overlay.effects.find(Direction::Answer, &[ip]), None);
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = |text: &str| read(text).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error("\nfoo bar"), "line 2: `foo bar` is no line of an overlay");
        assert_eq!(error("effect request own b:IP"), "line 1: the prefix of `b:IP` has no line");
        assert_eq!(error("operation A ACTUATE\noperation A ACTUATE"), "line 2: `A` has a line already");
    }
}
