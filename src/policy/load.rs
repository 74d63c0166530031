//! Policy texts → checked policies, sliced by who asks for what.

use std::{collections::HashMap, fmt, str::FromStr, sync::Arc};

use cedar_policy::{
    ActionConstraint, Effect, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint,
    Schema, ValidationMode, Validator, ffi::DetailedError,
};

use super::{operations::OperationFacts, reads::Reads};
use crate::{auth::Role, policy::vocabulary};

/// What is wrong with one policy, for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file it is in.
    pub file: String,
    /// The line, beginning with 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}\n  {}", self.file, self.line, self.what, self.remedy)
    }
}

/// One policy that passed every check.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    /// Its name: the `@id` annotation, or file and number.
    pub(super) id: Arc<str>,
    /// Where it stands: `file:line`.
    pub(super) place: String,
    /// Whether it permits or forbids.
    pub(super) effect: Effect,
    /// Its `@reason` annotation.
    pub(super) reason: Option<String>,
    pub(super) policy: Policy,
}

/// Reads and checks every file; all problems at once, so that one run of `cordon policy check` shows them all.
pub(super) fn check<A: AsRef<str>, B: AsRef<str>>(
    files: &[(A, B)],
    schema: &Schema,
) -> Result<Vec<Checked>, Vec<Problem>> {
    let validator = Validator::new(schema.clone());
    let (mut checked, mut problems) = (Vec::new(), Vec::new());
    for (file, text) in files {
        match check_file(file.as_ref(), text.as_ref(), &validator) {
            Ok(mut more) => checked.append(&mut more),
            Err(mut more) => problems.append(&mut more),
        }
    }
    problems.extend(doubles(&checked));
    if problems.is_empty() { Ok(checked) } else { Err(problems) }
}

fn check_file(file: &str, text: &str, validator: &Validator) -> Result<Vec<Checked>, Vec<Problem>> {
    let set = PolicySet::from_str(text).map_err(|errors| {
        let problem = |error| problem(file, text, &DetailedError::from(error), SYNTAX_REMEDY);
        errors.iter().map(problem).collect::<Vec<_>>()
    })?;
    if let Some(template) = set.templates().next() {
        let what = format!("`{}` is a template (it says ?principal or ?resource)", template.id());
        let remedy = "write the client, role or camera it is meant for instead".to_owned();
        return Err(vec![Problem { file: file.to_owned(), line: 1, what, remedy }]);
    }
    let result = validator.validate(&set, ValidationMode::Strict);
    let errors: Vec<Problem> = result
        .validation_errors()
        .map(|error| problem(file, text, &DetailedError::from(error), WORDS_REMEDY))
        .collect();
    let errors = one_for_each_line(errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(set.policies().map(|policy| named(file, text, policy)).collect())
}

/// Cedar says the same of one place once for every operation it can be about.
fn one_for_each_line(mut errors: Vec<Problem>) -> Vec<Problem> {
    errors.sort_by(|a, b| (a.line, &a.what).cmp(&(b.line, &b.what)));
    errors.dedup_by_key(|it| it.line);
    errors
}

/// Gives a policy the name it has in decisions and records.
fn named(file: &str, text: &str, policy: &Policy) -> Checked {
    let own = policy.annotation("id").filter(|id| !id.is_empty());
    // Cedar numbers the policies of a file `policy0`, `policy1`, …
    let number = policy.id().to_string().trim_start_matches("policy").parse::<usize>().unwrap_or(0);
    let id = own.map_or_else(|| format!("{file}:{}", number + 1), str::to_owned);
    let line = own.map_or(0, |own| text.find(&format!("@id(\"{own}\")")).map_or(0, |at| line_of(text, at)));
    Checked {
        place: if line == 0 { file.to_owned() } else { format!("{file}:{line}") },
        effect: policy.effect(),
        reason: policy.annotation("reason").map(str::to_owned),
        policy: policy.new_id(PolicyId::new(&id)),
        id: id.into(),
    }
}

fn doubles(checked: &[Checked]) -> Vec<Problem> {
    let mut seen: HashMap<&str, &Checked> = HashMap::new();
    let mut problems = Vec::new();
    for one in checked {
        if let Some(first) = seen.insert(&one.id, one) {
            let (file, line) = one.place.rsplit_once(':').unwrap_or((&one.place, "1"));
            problems.push(Problem {
                file: file.to_owned(),
                line: line.parse().unwrap_or(1),
                what: format!("a policy named `{}` stands at {} already", one.id, first.place),
                remedy: "give each policy an @id of its own: records name the policy by it".to_owned(),
            });
        }
    }
    problems
}

fn problem(file: &str, text: &str, error: &DetailedError, remedy: &str) -> Problem {
    let at = error.source_locations.iter().map(|it| it.loc.start).min();
    let labels: Vec<&str> = error.source_locations.iter().filter_map(|it| it.label.as_deref()).collect();
    let what = if labels.is_empty() {
        error.message.clone()
    } else {
        format!("{} ({})", error.message, labels.join("; "))
    };
    // Cedar numbers the policies of a file; people have file and line.
    let what = what
        .strip_prefix("for policy `")
        .and_then(|it| it.split_once("`, "))
        .map_or(what.as_str(), |it| it.1);
    let what = what.to_owned();
    let remedy = error.help.clone().unwrap_or_else(|| remedy.to_owned());
    Problem { file: file.to_owned(), line: at.map_or(1, |at| line_of(text, at)), what, remedy }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

const SYNTAX_REMEDY: &str = "see the shipped files in config/policies for how policies are written";
const WORDS_REMEDY: &str = "`cordon policy schema` lists every word a policy may use";

/// What kind of caller a slice is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Anonymous,
    Gateway,
    Local,
    Client(Role),
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [
        Self::Anonymous,
        Self::Gateway,
        Self::Local,
        Self::Client(Role::User),
        Self::Client(Role::Operator),
        Self::Client(Role::Administrator),
    ];

    /// Its place in [`Kind::ALL`].
    pub(super) fn index(self) -> usize {
        match self {
            Self::Anonymous => 0,
            Self::Gateway => 1,
            Self::Local => 2,
            Self::Client(Role::User) => 3,
            Self::Client(Role::Operator) => 4,
            Self::Client(Role::Administrator) => 5,
        }
    }

    fn type_name(self) -> &'static str {
        match self {
            Self::Anonymous => "Anonymous",
            Self::Gateway => "Gateway",
            Self::Local => "Local",
            Self::Client(_) => "Client",
        }
    }
}

/// Slices shared by every operation and kind of caller that have the same policies.
#[derive(Debug, Default)]
pub(super) struct Slices {
    all: Vec<Slice>,
    known: HashMap<Vec<usize>, usize>,
}

/// Policies that can be about the same.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) policies: PolicySet,
    pub(super) reads: Reads,
}

impl Slices {
    /// One of them.
    pub(super) fn get(&self, index: usize) -> Option<&Slice> {
        self.all.get(index)
    }

    /// How many different slices there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The slices of one operation, by kind of caller: every policy but those whose head can never fit it.
    pub(super) fn cut(
        &mut self,
        operation: &OperationFacts,
        policies: &[Checked],
    ) -> [usize; Kind::ALL.len()] {
        let mut names = vocabulary::groups_of(operation);
        names.push(operation.name.clone());
        Kind::ALL.map(|kind| {
            let fits = |one: &Checked| {
                fits_action(&one.policy.action_constraint(), &names)
                    && fits_caller(&one.policy.principal_constraint(), kind)
            };
            let chosen: Vec<usize> =
                policies.iter().enumerate().filter(|(_, one)| fits(one)).map(|(index, _)| index).collect();
            self.share(chosen, policies)
        })
    }

    fn share(&mut self, chosen: Vec<usize>, policies: &[Checked]) -> usize {
        if let Some(known) = self.known.get(&chosen) {
            return *known;
        }
        let mut set = PolicySet::new();
        for one in chosen.iter().filter_map(|index| policies.get(*index)) {
            // Names are unique (`doubles`), so no policy can be refused here.
            let added = set.add(one.policy.clone());
            debug_assert!(added.is_ok(), "{}", one.id);
        }
        let reads = Reads::of(&set);
        self.all.push(Slice { policies: set, reads });
        self.known.insert(chosen, self.all.len() - 1);
        self.all.len() - 1
    }
}

fn fits_action(constraint: &ActionConstraint, names: &[String]) -> bool {
    let named = |uid: &EntityUid| names.iter().any(|name| name == uid.id().unescaped());
    match constraint {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => named(uid),
        ActionConstraint::In(uids) => uids.iter().any(named),
    }
}

/// A client has exactly one parent, its role; the other callers have none.
fn fits_caller(constraint: &PrincipalConstraint, kind: Kind) -> bool {
    let of_type = |name: &EntityTypeName| name.basename() == kind.type_name();
    let inside = |uid: &EntityUid| match kind {
        Kind::Client(role) if uid.type_name().basename() == "Role" => uid.id().unescaped() == role.as_str(),
        _ => of_type(uid.type_name()),
    };
    match constraint {
        PrincipalConstraint::Any => true,
        PrincipalConstraint::Is(name) => of_type(name),
        PrincipalConstraint::Eq(uid) => of_type(uid.type_name()),
        PrincipalConstraint::In(uid) => inside(uid),
        PrincipalConstraint::IsIn(name, uid) => of_type(name) && inside(uid),
    }
}
