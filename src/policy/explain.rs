//! A decision in words, for the person who writes policies.

use std::fmt::Write as _;

use cedar_policy::Effect;

use super::engine::{Engine, Question, who};
use crate::{auth::Caller, command::Command, inventory::Camera};

impl Engine {
    /// Says what was decided, which policies decided it and why, which were overruled, and what they went by.
    pub fn explain(&self, caller: &Caller, command: &Command, camera: Option<&Camera>) -> String {
        let decision = self.decide(caller, command, camera);
        let mut out = String::new();
        let verdict = if decision.allow { "ALLOWED" } else { "DENIED" };
        let _ = write!(out, "{verdict}: {} ({})", command.operation, command.class);
        if let Some(camera) = camera {
            let _ = write!(out, " on camera {} ({}, {})", camera.id, camera.vendor.name, camera.vendor.class);
        }
        let client = caller.client().map_or(String::new(), |client| format!("client {client}, "));
        let _ = writeln!(out, " for {client}{}", who(caller));
        let verb = if decision.allow { "permitted" } else { "forbidden" };
        for id in &decision.policies {
            self.line(&mut out, verb, id);
        }
        if let Some(note) = decision.note.as_ref().filter(|_| decision.policies.is_empty()) {
            let _ = writeln!(out, "  {note}");
        }
        let question = self.case(caller, command, camera).and_then(|case| {
            let slice = self.slice(&case)?;
            self.question(&case, &slice.policies, caller, command)
        });
        if let Ok(question) = question {
            if !decision.allow {
                for id in self.overruled(&question) {
                    self.line(&mut out, "would be permitted", &id);
                }
            }
            went_by(&mut out, &question);
        }
        let _ = writeln!(out, "  policy version {}", decision.version);
        out
    }

    fn line(&self, out: &mut String, verb: &str, id: &str) {
        let known = self.policies.get(id);
        let place = known.map_or("", |it| it.place.as_str());
        let reason = known.and_then(|it| it.reason.as_deref()).unwrap_or("it gives no @reason");
        let effect = known.map_or("", |it| match it.effect {
            Effect::Permit => "permit",
            Effect::Forbid => "forbid",
        });
        let _ = writeln!(out, "  {verb} by {id} ({effect}, {place}): {reason}");
    }
}

fn went_by(out: &mut String, question: &Question<'_>) {
    let facts = &question.circumstances;
    let traits: Vec<&str> = facts.traits.iter().map(|it| it.as_str()).collect();
    let join = |words: Vec<&str>| if words.is_empty() { "none".to_owned() } else { words.join(", ") };
    let texts = |set: &std::collections::BTreeSet<String>| join(set.iter().map(String::as_str).collect());
    let _ = writeln!(out, "  traits: {}", join(traits));
    let _ = writeln!(out, "  destinations: {}", texts(&facts.destinations));
    let _ = writeln!(out, "  networks of the destinations: {}", texts(&facts.networks));
    let _ = writeln!(out, "  consumers of events: {}", texts(&facts.consumers));
    let _ = writeln!(out, "  networks of consumers of events: {}", texts(&facts.consumer_networks));
    let _ = writeln!(out, "  {} policies could be about it", question.policies.policies().count());
}
