//! What policies look at, so that decisions are remembered under what they depend on and nothing else.
//!
//! Read from Cedar's JSON form. Whatever is not plainly something else counts as looking at everything.

use cedar_policy::Policy;
use serde_json::Value;

/// What policies look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reads {
    /// Which caller it is, or what is known of it.
    pub(super) principal: bool,
    /// Which camera it is, or what is known of it.
    pub(super) resource: bool,
    /// One bit for each of [`ATTRIBUTES`].
    context: u16,
}

/// The attributes of a context, in the order of their bits.
const ATTRIBUTES: [&str; 10] = [
    "source",
    "source_networks",
    "tls",
    "login",
    "traits",
    "destinations",
    "networks",
    "listeners",
    "consumers",
    "consumer_networks",
];

impl Reads {
    /// Everything.
    pub(super) const ALL: Self = Self { principal: true, resource: true, context: u16::MAX };
    /// What no policies look at.
    pub(super) const NOTHING: Self = Self { principal: false, resource: false, context: 0 };

    /// What one policy looks at.
    pub(super) fn of(policy: &Policy) -> Self {
        let mut reads = Self::NOTHING;
        reads.add(policy);
        reads
    }

    /// What either looks at.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            principal: self.principal || other.principal,
            resource: self.resource || other.resource,
            context: self.context | other.context,
        }
    }

    /// Whether an attribute of the context makes a difference.
    pub(super) fn context(self, attribute: &str) -> bool {
        let known = ATTRIBUTES.iter().position(|it| *it == attribute);
        known.is_none_or(|bit| self.context >> bit & 1 == 1)
    }

    fn add(&mut self, policy: &Policy) {
        let Ok(json) = policy.to_json() else {
            *self = Self::ALL;
            return;
        };
        // The kind of caller and of resource is the slice's; more than the kind is in question here.
        let by_kind = |scope: Option<&Value>| {
            let op = scope.and_then(|it| it.get("op")).and_then(Value::as_str);
            op == Some("All") || (op == Some("is") && scope.is_some_and(|it| it.get("in").is_none()))
        };
        self.principal |= !by_kind(json.get("principal"));
        self.resource |= !by_kind(json.get("resource"));
        match json.get("conditions") {
            Some(conditions) => self.walk(conditions),
            None => *self = Self::ALL,
        }
    }

    fn walk(&mut self, expression: &Value) {
        match expression {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match (name.as_str(), value.as_str(), of_context(value)) {
                        ("." | "has", _, Some(attribute)) => self.see(attribute),
                        ("Var", Some("principal"), _) => self.principal = true,
                        ("Var", Some("resource"), _) => self.resource = true,
                        // Each operation has decisions of its own.
                        ("Var", Some("action"), _) => {}
                        ("Var", Some(_), _) => self.context = u16::MAX,
                        _ => self.walk(value),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|it| self.walk(it)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn see(&mut self, attribute: &str) {
        match ATTRIBUTES.iter().position(|it| *it == attribute) {
            Some(bit) => self.context |= 1 << bit,
            None => self.context = u16::MAX,
        }
    }
}

/// The attribute in `context.attribute`.
fn of_context(access: &Value) -> Option<&str> {
    let is_context = access.get("left")?.get("Var")?.as_str()? == "context";
    access.get("attr")?.as_str().filter(|_| is_context)
}

#[cfg(test)]
mod tests {
    use cedar_policy::PolicySet;

    use super::*;

    fn read(text: &str) -> String {
        let policies: PolicySet = text.parse().unwrap();
        let reads = policies.policies().map(Reads::of).fold(Reads::NOTHING, Reads::and);
        let mut told: Vec<&str> = ATTRIBUTES.into_iter().filter(|it| reads.context(it)).collect();
        told.extend(reads.principal.then_some("principal"));
        told.extend(reads.resource.then_some("resource"));
        if reads == Reads::ALL { "all".to_owned() } else { told.join(" ") }
    }

    #[test]
    fn what_a_policy_looks_at_is_seen_wherever_it_stands() {
        for (text, expected) in [
            ("permit (principal, action, resource);", ""),
            ("permit (principal is Client, action, resource is Camera);", ""),
            ("permit (principal in Role::\"User\", action, resource);", "principal"),
            ("permit (principal is Client in Role::\"User\", action, resource);", "principal"),
            ("permit (principal == Client::\"a\", action, resource);", "principal"),
            ("permit (principal, action, resource in Site::\"hq\");", "resource"),
            ("permit (principal, action, resource is Camera in Site::\"hq\");", "resource"),
            ("permit (principal, action, resource) when { context.tls };", "tls"),
            ("permit (principal, action, resource) unless { context has tls && context.tls };", "tls"),
            (
                "permit (principal, action, resource) when { context.traits.contains(Trait::\"code\") } \
                 unless { resource in VendorClass::\"trusted\" };",
                "traits resource",
            ),
            (
                "permit (principal, action, resource) when { [1].contains(if context[\"source\"] like \"10.*\" then 1 else 2) };",
                "source",
            ),
            (
                "permit (principal, action, resource) when { {a: context.login}.a == Login::\"wsse\" };",
                "login",
            ),
            ("permit (principal, action, resource) when { action in Action::\"a\" };", ""),
            (
                "permit (principal, action, resource) when { principal.cameras.contains(resource) };",
                "principal resource",
            ),
            ("permit (principal, action, resource) when { {c: context}.c.tls };", &ATTRIBUTES.join(" ")),
            ("permit (principal, action, resource) when { context.hour == 3 };", &ATTRIBUTES.join(" ")),
            ("permit (principal, action, resource) when { {\"Var\": context.tls}.Var };", "tls"),
            (
                "permit (principal, action, resource) when { context.tls };\n\
                 forbid (principal, action, resource) when { context.listeners.isEmpty() };",
                "tls listeners",
            ),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
