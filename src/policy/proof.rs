//! What `cordon policy prove` shows about policies, as questions for a solver.
//!
//! The claim: whoever asks, whatever for, and whatever the document holds, no camera that is not trusted is given
//! a destination, a listener or code. To prove it, everything else is forbidden by a policy of our own; what is
//! then still permitted for some request, breaks the claim. The solver finds such a request or shows that there is
//! none, for all names, addresses, sets and hierarchies that the schema allows, and not only for those configured.
//!
//! In observe mode the question is about its policies: they permit whatever those of the configuration permit, and
//! what is observed (`observe`).
//!
//! What is judged is what policies decide. That a command's traits and destinations are those of its document is
//! for the catalogue and its tests.

use std::collections::BTreeMap;

use cedar_policy::{
    EntityTypeName, EntityUid, ParseErrors, Policy, PolicySet, PolicySetError, RequestEnv, Schema,
};

use super::{Engine, load::Checked};

/// A set of policies with the claim, and the kinds of requests to ask about.
#[derive(Debug)]
pub struct Proof {
    /// The schema of both.
    pub schema: Schema,
    /// The policies, and the claim as one more.
    pub policies: PolicySet,
    /// What to ask about: all operations on cameras, by all kinds of callers.
    pub kinds: Vec<RequestKind>,
}

/// Requests that policies cannot tell apart by operation and kind of caller.
#[derive(Debug)]
pub struct RequestKind {
    /// One of the operations, and the kind of caller.
    pub request: RequestEnv,
    /// How many operations it stands for.
    pub operations: usize,
}

/// Why there is nothing to ask.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The claim does not parse.
    #[error("the claim cannot be put")]
    Claim(#[from] Box<ParseErrors>),
    /// The schema has no cameras.
    #[error("the schema has no type Camera")]
    NoCamera,
    /// A policy has the claim's name.
    #[error("the policies cannot be put together with the claim")]
    Set(#[from] Box<PolicySetError>),
}

/// Forbids what the claim is not about.
const CLAIM: &str = r#"
@id("cordon.claim")
forbid (principal, action, resource)
unless {
  resource is Camera && !(resource in VendorClass::"trusted") &&
  (context.traits.containsAny([Trait::"egress", Trait::"listener", Trait::"code"]) ||
    !context.destinations.isEmpty() || !context.listeners.isEmpty())
};"#;

impl Engine {
    /// The question whether these policies keep the claim.
    ///
    /// # Errors
    /// The claim and the policies do not go together.
    pub fn proof(&self) -> Result<Proof, ProofError> {
        let mut policies = PolicySet::new();
        for one in self.judged() {
            policies.add(one.policy.clone()).map_err(Box::new)?;
        }
        let claim =
            Policy::parse(Some(cedar_policy::PolicyId::new("cordon.claim")), CLAIM).map_err(Box::new)?;
        policies.add(claim).map_err(Box::new)?;
        let kind = |name: &str| self.entity_type(name);
        let callers: Vec<EntityTypeName> =
            ["Client", "Anonymous", "Gateway"].into_iter().filter_map(kind).collect();
        let Some(camera) = kind("Camera") else { return Err(ProofError::NoCamera) };
        let kinds_of = |actions: Vec<EntityUid>| {
            let of = |caller: &EntityTypeName| {
                let asked = actions.first()?.clone();
                let request = RequestEnv::new(caller.clone(), asked, camera.clone());
                Some(RequestKind { request, operations: actions.len() })
            };
            callers.iter().filter_map(of).collect::<Vec<_>>()
        };
        let kinds = self.alike().into_iter().flat_map(kinds_of).collect();
        Ok(Proof { schema: self.schema.clone(), policies, kinds })
    }

    /// The policies that say what may pass.
    fn judged(&self) -> Box<dyn Iterator<Item = &Checked> + '_> {
        match &self.observe {
            Some(observe) => Box::new(observe.policies.iter()),
            None => Box::new(self.policies.values()),
        }
    }

    /// Operations on cameras, those together about which the same policies can speak, unless a policy looks at the
    /// operation in its conditions too.
    fn alike(&self) -> Vec<Vec<EntityUid>> {
        let looks = |policy: &Policy| {
            policy.to_json().map_or(true, |json| json.get("conditions").is_none_or(looks_at_action))
        };
        let told_apart = self.judged().any(|one| looks(&one.policy));
        let mut groups: BTreeMap<(Vec<usize>, Option<EntityUid>), Vec<EntityUid>> = BTreeMap::new();
        for (action, slices) in self.camera_actions() {
            let observed = self.observe.as_ref().and_then(|it| it.slices(action.id().unescaped()));
            let slices = [slices].into_iter().chain(observed).flatten().copied().collect();
            let key = (slices, told_apart.then(|| action.clone()));
            groups.entry(key).or_default().push(action.clone());
        }
        groups.values_mut().for_each(|group| group.sort());
        groups.into_values().collect()
    }
}

/// Whether the variable `action` occurs in conditions as Cedar writes them in JSON.
fn looks_at_action(conditions: &serde_json::Value) -> bool {
    use serde_json::Value;
    match conditions {
        Value::Object(fields) => {
            fields.iter().any(|(name, it)| (name == "Var" && it == "action") || looks_at_action(it))
        }
        Value::Array(items) => items.iter().any(looks_at_action),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_on_the_action_is_seen() {
        for (text, looks) in [
            ("permit(principal, action, resource);", false),
            ("permit(principal, action == Action::\"a\", resource) when { context.tls };", false),
            ("permit(principal, action, resource) unless { context.tls && action in Action::\"a\" };", true),
            (
                "permit(principal, action, resource) when { [1, 2].contains(if action == Action::\"a\" then 1 else 3) };",
                true,
            ),
        ] {
            let policy = Policy::parse(None, text).unwrap();
            assert_eq!(looks_at_action(&policy.to_json().unwrap()["conditions"]), looks, "{text}");
        }
    }
}
