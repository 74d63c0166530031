//! `cordon policy prove`: asks the solver.

use std::{collections::BTreeSet, io, time::Duration};

use cedar_policy::{Authorizer, Decision, Effect, Entities, EntityUid, PolicySet, Request};
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicySet, err, solver::LocalSolver};

use crate::{
    clock::Clock,
    policy::{Engine, Proof, ProofError},
};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// No question.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The solver.
    #[error(
        "the solver cvc5 cannot be asked ({0}): install the Debian package `cvc5`, or name the program in the variable CVC5"
    )]
    Solver(Box<err::Error>),
    /// The solver could not be started in.
    #[error("no runtime to wait for the solver in")]
    Runtime(#[source] io::Error),
    /// There is a request that breaks the claim.
    #[error(
        "the policies let {0} kinds of requests through that give a camera a place to send to, a listener or code"
    )]
    Broken(usize),
    /// The answer cannot be written.
    #[error("the answer could not be written")]
    Output(#[from] io::Error),
}

/// A request that breaks the claim, found by the solver and put to Cedar itself.
#[derive(Debug)]
pub struct Counterexample {
    /// The request.
    pub request: Request,
    /// Who and what there would be.
    pub entities: Entities,
    /// The policies that permit it.
    pub permitted_by: Vec<String>,
}

/// How a proof went.
#[derive(Debug)]
pub struct Verdict {
    /// Kinds of requests asked about: an operation and a kind of caller each.
    pub kinds: usize,
    /// Questions put to the solver for that: what policies cannot tell apart is asked once.
    pub questions: usize,
    /// One request for each kind that breaks the claim.
    pub broken: Vec<Counterexample>,
}

/// Asks about every kind of request and writes what was found, the first counterexample of each operation in full.
pub fn run(engine: &Engine, clock: &dyn Clock, out: &mut dyn io::Write) -> Result<(), ProveError> {
    let began = clock.monotonic();
    let verdict = prove(engine)?;
    let took = clock.monotonic().saturating_sub(began);
    for one in verdict.broken.iter().take(SHOWN_MAX) {
        show(one, out)?;
    }
    if verdict.broken.len() > SHOWN_MAX {
        writeln!(out, "… and {} more", verdict.broken.len() - SHOWN_MAX)?;
    }
    let took = Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    let Verdict { kinds, questions, broken } = &verdict;
    writeln!(
        out,
        "{kinds} kinds of requests (operation and kind of caller) in {questions} questions, {} break the claim, {took:?}",
        broken.len()
    )?;
    if !verdict.broken.is_empty() {
        return Err(ProveError::Broken(verdict.broken.len()));
    }
    writeln!(
        out,
        "proved: no request whatever lets a camera that is not trusted be given a destination, a listener or code"
    )?;
    Ok(())
}

/// Asks about every kind of request.
pub fn prove(engine: &Engine) -> Result<Verdict, ProveError> {
    let proof = engine.proof()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ProveError::Runtime)?;
    runtime.block_on(ask(&proof)).map_err(|error| ProveError::Solver(Box::new(error)))
}

async fn ask(proof: &Proof) -> Result<Verdict, err::Error> {
    let mut solver = CedarSymCompiler::new(LocalSolver::cvc5_with_args([QUESTION_TIME_MAX])?)?;
    let mut broken = Vec::new();
    for kind in &proof.kinds {
        let policies = CompiledPolicySet::compile(&proof.policies, &kind.request, &proof.schema)?;
        if let Some(found) = solver.check_always_denies_with_counterexample_opt(&policies).await? {
            broken.push(confirm(&proof.policies, found.request, found.entities));
        }
    }
    let kinds = proof.kinds.iter().map(|kind| kind.operations).sum();
    Ok(Verdict { kinds, questions: proof.kinds.len(), broken })
}

/// Puts the solver's request to Cedar.
fn confirm(policies: &PolicySet, request: Request, entities: Entities) -> Counterexample {
    let answer = Authorizer::new().is_authorized(&request, policies, &entities);
    let permits = |id: &&cedar_policy::PolicyId| {
        policies.policy(id).is_some_and(|policy| policy.effect() == Effect::Permit)
    };
    let reasons = answer.diagnostics().reason().filter(permits).map(ToString::to_string);
    let permitted_by = if answer.decision() == Decision::Allow { reasons.collect() } else { Vec::new() };
    Counterexample { request, entities, permitted_by }
}

fn show(one: &Counterexample, out: &mut dyn io::Write) -> io::Result<()> {
    let uid = |uid: Option<&EntityUid>| uid.map_or_else(|| "anybody".to_owned(), ToString::to_string);
    writeln!(out, "permitted by {}:", one.permitted_by.join(", "))?;
    for (word, it) in
        [("who", one.request.principal()), ("what", one.request.action()), ("camera", one.request.resource())]
    {
        writeln!(out, "  {word:8} {}", uid(it))?;
        let ancestors = it.and_then(|it| one.entities.ancestors(it)).into_iter().flatten();
        let ancestors: BTreeSet<String> =
            ancestors.map(ToString::to_string).filter(|it| !it.starts_with("Action::")).collect();
        if !ancestors.is_empty() {
            writeln!(out, "           in {}", ancestors.into_iter().collect::<Vec<_>>().join(", "))?;
        }
    }
    if let Some(context) = one.request.context() {
        let value = context.to_json_value().map_or_else(|error| error.to_string(), |it| it.to_string());
        writeln!(out, "  {:8} {value}", "context")?;
    }
    Ok(())
}

/// Milliseconds for one question; without an answer there is no proof.
const QUESTION_TIME_MAX: &str = "--tlimit-per=60000";
/// Counterexamples that are written out.
const SHOWN_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        inventory::{Inventory, Vendors},
        policy::SHIPPED,
        schema::Tables,
    };

    fn verdict(texts: &[(&str, String)], observed: bool) -> Verdict {
        let vendors = Arc::new(Vendors::embedded().unwrap());
        let inventory = Inventory::new(vec![], vec![], vec![], vec![], vendors).unwrap();
        let engine = Engine::load(&Tables::embedded().unwrap(), texts, &inventory, &[]).unwrap();
        prove(&engine.observing(observed.then(|| "2026-12-31".parse().unwrap())).unwrap()).unwrap()
    }

    fn shipped() -> Vec<(&'static str, String)> {
        SHIPPED.iter().map(|(name, text)| (*name, (*text).to_owned())).collect()
    }

    #[test]
    fn the_shipped_policies_keep_the_claim() {
        for observed in [false, true] {
            let found = verdict(&shipped(), observed);
            assert!(found.kinds > 1_900, "{}", found.kinds);
            assert!(found.broken.is_empty(), "observed {observed}: {:?}", found.broken.first());
        }
    }

    /// Also of an owner who marks every prohibition.
    #[test]
    fn observe_mode_keeps_the_claim_whatever_is_observable() {
        let mark =
            |text: String| text.replace("@observable\n", "").replace("forbid (", "@observable forbid (");
        let texts: Vec<_> = shipped().into_iter().map(|(name, text)| (name, mark(text))).collect();
        let found = verdict(&texts, true);
        assert!(found.broken.is_empty(), "{:?}", found.broken.first());
    }

    /// Three sets that break it: without a prohibition, with one that an owner made too narrow, with a permission
    /// that is no use without it.
    #[test]
    fn a_broken_claim_is_answered_with_a_request_that_cedar_permits() {
        let without = |id: &str| {
            let mut texts = shipped();
            for (_, text) in &mut texts {
                if let Some(at) = text.find(&format!("@id(\"{id}\")")) {
                    let end = at + text[at..].find(';').unwrap() + 1;
                    text.replace_range(at..end, "");
                }
            }
            texts
        };
        let narrow = shipped().into_iter().map(|(name, text)| {
            let only = "resource in VendorClass::\"trusted\" || resource in VendorClass::\"review\"";
            (
                name,
                if name.starts_with("30-") {
                    text.replace("resource in VendorClass::\"trusted\"", only)
                } else {
                    text
                },
            )
        });
        let sets = [
            ("egress", without("restricted.egress")),
            ("listener", without("restricted.listener")),
            ("narrow", narrow.collect()),
        ];
        for (name, texts) in sets {
            let found = verdict(&texts, false);
            assert!(!found.broken.is_empty(), "{name}");
            for one in &found.broken {
                assert!(
                    !one.permitted_by.is_empty(),
                    "{name}: Cedar does not permit what the solver found: {one:?}"
                );
            }
            let mut text = Vec::new();
            show(&found.broken[0], &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(
                text.contains("permitted by onvif.") && text.contains("camera   Camera::"),
                "{name}: {text}"
            );
        }
    }
}
