//! How templates become XML.

use std::collections::HashMap;

use super::{
    device::Device,
    message::escaped,
    script::{Item, Part},
};

/// The fragment that says where a subscription is; the variable `reference.form` stands in its place.
const REFERENCE: &str = "subscription-reference";

impl Device {
    /// Writes parts of a template. `item` is the item at hand, `picked` what steps have picked.
    pub(super) fn render(
        &self,
        parts: &[Part],
        item: Option<&Item>,
        picked: &HashMap<String, Item>,
        out: &mut String,
    ) {
        let field = |name: &str| item.and_then(|item| item.get(name)).filter(|value| !value.is_empty());
        for part in parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Variable(name) => out.push_str(&escaped(self.variable(name))),
                Part::Field { field: name, default } => {
                    out.push_str(&escaped(field(name).map_or(default, String::as_str)));
                }
                Part::Kept(name) => out.push_str(field(name).map_or("", String::as_str)),
                Part::Count(list) => out.push_str(&self.list(list).len().to_string()),
                Part::Include(name) if name == REFERENCE && !self.variable("reference.form").is_empty() => {
                    let token = field("token").map_or("", String::as_str);
                    out.push_str(&self.variable("reference.form").replace("%token%", token));
                }
                Part::Include(name) => self.render(self.script.fragment(name), item, picked, out),
                Part::Given { field: name, parts } => {
                    if has(item, name) {
                        self.render(parts, item, picked, out);
                    }
                }
                Part::Linked { collection, fragment } => {
                    let token = field(collection);
                    let linked = self
                        .list(collection)
                        .iter()
                        .find(|other| token.is_some() && other.get("token") == token);
                    if linked.is_some() {
                        self.render(self.script.fragment(fragment), linked, picked, out);
                    }
                }
                Part::Each { collection, having, owner, fragment } => {
                    let only = picked.get(collection).map(std::slice::from_ref);
                    let own = |other: &&Item| match owner {
                        Some(owner) => other.get(owner) == item.and_then(|item| item.get("token")),
                        None => true,
                    };
                    let shown = |other: &&Item| having.as_ref().is_none_or(|name| has(Some(other), name));
                    for other in only.unwrap_or(self.list(collection)).iter().filter(own).filter(shown) {
                        self.render(self.script.fragment(fragment), Some(other), picked, out);
                    }
                }
            }
        }
    }
}

/// Whether an item has a field; `!field`: whether it has not.
fn has(item: Option<&Item>, name: &str) -> bool {
    let filled = |name| item.and_then(|item| item.get(name)).is_some_and(|value| !value.is_empty());
    name.strip_prefix('!').map_or_else(|| filled(name), |name| !filled(name))
}
