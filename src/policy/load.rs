//! Policy texts → checked policies, sliced by who asks for what.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    str::FromStr,
    sync::Arc,
};

use cedar_policy::{
    ActionConstraint, Effect, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint,
    Schema, ValidationMode, Validator, ffi::DetailedError,
};

use super::{operations::OperationFacts, reads::Reads};
use crate::{auth::Role, inventory::Network, policy::vocabulary};

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
    /// What it looks at.
    pub(super) reads: Reads,
    pub(super) policy: Policy,
}

/// What policies are checked against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a> {
    /// All words there are.
    pub(super) schema: &'a Schema,
    /// The operations among them.
    pub(super) operations: &'a [&'a OperationFacts],
    /// The networks among them.
    pub(super) networks: &'a [Network],
}

impl Words<'_> {
    /// As many of them as these policies can tell apart.
    ///
    /// Cedar checks a policy once for each operation. Of operations that are in the same ones of the groups that policies
    /// name, are about the same kind of resource, and are not named themselves, it says the same: one stands for all.
    fn told_apart(&self, files: &[Parsed<'_>]) -> Option<Schema> {
        let policies = files.iter().flat_map(|it| it.policies.policies());
        let literals = policies.flat_map(Policy::entity_literals);
        let named: HashSet<String> = literals
            .filter(|uid| uid.type_name().basename() == "Action")
            .map(|uid| uid.id().unescaped().to_owned())
            .collect();
        let mut seen = HashSet::new();
        let told: Vec<&OperationFacts> = self
            .operations
            .iter()
            .filter(|one| {
                let groups: BTreeSet<String> =
                    vocabulary::groups_of(one).into_iter().filter(|it| named.contains(it)).collect();
                seen.insert((groups, one.of_appliance)) || named.contains(&one.name)
            })
            .copied()
            .collect();
        Schema::from_cedarschema_str(&vocabulary::schema_text(&told, self.networks)).ok().map(|it| it.0)
    }
}

/// A file that could be parsed.
struct Parsed<'a> {
    file: &'a str,
    text: &'a str,
    policies: PolicySet,
}

/// Reads and checks every file; all problems at once, so that one run of `cordon policy check` shows them all.
pub(super) fn check<A: AsRef<str>, B: AsRef<str>>(
    files: &[(A, B)],
    words: Words<'_>,
) -> Result<Vec<Checked>, Vec<Problem>> {
    let (mut parsed, mut problems) = (Vec::new(), Vec::new());
    for (file, text) in files {
        match parse(file.as_ref(), text.as_ref()) {
            Ok(file) => parsed.push(file),
            Err(mut more) => problems.append(&mut more),
        }
    }
    let right = |few: Schema| {
        let validator = Validator::new(few);
        let valid =
            |it: &Parsed<'_>| validator.validate(&it.policies, ValidationMode::Strict).validation_passed();
        parsed.iter().all(valid)
    };
    if !words.told_apart(&parsed).is_some_and(right) {
        // With all words, of which Cedar names the one that was meant.
        let validator = Validator::new(words.schema.clone());
        problems.extend(parsed.iter().flat_map(|file| misused(file, &validator)));
    }
    let checked: Vec<Checked> =
        parsed.iter().flat_map(|it| it.policies.policies().map(|one| named(it.file, it.text, one))).collect();
    problems.extend(doubles(&checked));
    if problems.is_empty() { Ok(checked) } else { Err(problems) }
}

fn parse<'a>(file: &'a str, text: &'a str) -> Result<Parsed<'a>, Vec<Problem>> {
    let policies = PolicySet::from_str(text).map_err(|errors| {
        let problem = |error| problem(file, text, &DetailedError::from(error), SYNTAX_REMEDY);
        errors.iter().map(problem).collect::<Vec<_>>()
    })?;
    if let Some(template) = policies.templates().next() {
        let what = format!("`{}` is a template (it says ?principal or ?resource)", template.id());
        let remedy = "write the client, role or camera it is meant for instead".to_owned();
        return Err(vec![Problem { file: file.to_owned(), line: 1, what, remedy }]);
    }
    Ok(Parsed { file, text, policies })
}

/// What a file says that the words do not allow.
fn misused(Parsed { file, text, policies }: &Parsed<'_>, validator: &Validator) -> Vec<Problem> {
    let result = validator.validate(policies, ValidationMode::Strict);
    let problems = result
        .validation_errors()
        .map(|error| problem(file, text, &DetailedError::from(error), WORDS_REMEDY))
        .collect();
    one_for_each_line(problems)
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
        reads: Reads::of(policy),
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
        let about: Vec<(usize, PrincipalConstraint)> = policies
            .iter()
            .enumerate()
            .filter(|(_, one)| fits_action(&one.policy.action_constraint(), &names))
            .map(|(index, one)| (index, one.policy.principal_constraint()))
            .collect();
        Kind::ALL.map(|kind| {
            let chosen =
                about.iter().filter(|(_, by)| fits_caller(by, kind)).map(|(index, _)| *index).collect();
            self.share(chosen, policies)
        })
    }

    fn share(&mut self, chosen: Vec<usize>, policies: &[Checked]) -> usize {
        if let Some(known) = self.known.get(&chosen) {
            return *known;
        }
        let (mut set, mut reads) = (PolicySet::new(), Reads::NOTHING);
        for one in chosen.iter().filter_map(|index| policies.get(*index)) {
            reads = reads.and(one.reads);
            // Names are unique (`doubles`), so no policy can be refused here.
            let added = set.add(one.policy.clone());
            debug_assert!(added.is_ok(), "{}", one.id);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{policy::operations, schema::Tables};

    /// Of every text the operations that policies can tell apart say what all of them say.
    #[test]
    fn few_operations_stand_for_all() {
        let operations = operations::all(&Tables::embedded().unwrap());
        let operations: Vec<&OperationFacts> = operations.iter().collect();
        let text = vocabulary::schema_text(&operations, &[]);
        let schema = Schema::from_cedarschema_str(&text).unwrap().0;
        let words = Words { schema: &schema, operations: &operations, networks: &[] };
        let all = Validator::new(schema.clone());
        let own = [
            ("permit (principal, action, resource);", true),
            ("permit (principal, action == Action::\"tds:SetNTP\", resource);", true),
            ("permit (principal, action == Action::\"tds:SetNPT\", resource);", false),
            ("permit (principal, action in Action::\"class:ACTUATE\", resource);", true),
            ("permit (principal, action in Action::\"class:ACT\", resource);", false),
            ("permit (principal, action, resource is Camera) when { resource.sensitive_site };", true),
            ("permit (principal, action, resource) when { resource.sensitive_site };", false),
            (
                "permit (principal, action in Action::\"service:ptz\", resource) when { resource.sensitive_site };",
                true,
            ),
            (
                "permit (principal, action in Action::\"service:admin\", resource) when { resource.sensitive_site };",
                false,
            ),
            (
                "permit (principal, action, resource) when { action in Action::\"service:ptz\" && resource.excepted };",
                true,
            ),
            (
                "permit (principal, action, resource) when { action == Action::\"tds:SetNTP\" && 1 < true };",
                false,
            ),
            ("permit (principal, action, resource) when { context.tls == \"yes\" };", false),
        ];
        let shipped = crate::policy::SHIPPED.map(|(_, text)| (text, true));
        for (text, valid) in own.into_iter().chain(shipped) {
            let file = parse("x.cedar", text).unwrap();
            let problems = misused(&file, &all);
            assert_eq!(problems.is_empty(), valid, "{text}\n{problems:?}");
            let few = words.told_apart(std::slice::from_ref(&file)).unwrap();
            assert!(few.actions().count() < 200, "{} operations and groups", few.actions().count());
            let result = Validator::new(few).validate(&file.policies, ValidationMode::Strict);
            assert_eq!(result.validation_passed(), valid, "{text}");
        }
    }
}
