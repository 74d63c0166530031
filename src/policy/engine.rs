//! The engine: everything loaded, checked and sliced once, then asked for each command.

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use aws_lc_rs::digest;
use cedar_policy::{Authorizer, Decision as Verdict, Effect, EntityUid, PolicySet, Request, Schema};
use jiff::{Timestamp, civil::Date};

use super::{
    cache::{Decisions, Key},
    circumstances::Circumstances,
    entities::{Cast, Names, Scene, Stand},
    load::{self, Checked, Kind, Problem, Slice, Slices, Words},
    observe::Observe,
    operations::{self, OperationFacts},
    reads::Reads,
    vocabulary,
};
use crate::{
    auth::{Caller, ClientRecord},
    command::{Command, Operation},
    inventory::{Camera, Inventory},
    limits::COMMAND_DESTINATIONS_MAX,
    schema::{Tables, Traits},
};

/// Why policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Some policies are wrong.
    #[error("{}", lines(.0))]
    Policies(Vec<Problem>),
    /// The words for policies could not be written from catalogue and configuration.
    #[error("the policy schema made from the catalogue and the configuration is invalid: {0}")]
    Schema(String),
    /// Cameras and clients could not be put into those words.
    #[error("cameras and clients do not fit the policy schema: {0}")]
    Entities(String),
    /// The policies of observe mode could not be made.
    #[error("the policies cannot be put into observe mode: {0}")]
    Observe(String),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What was decided and by which policies; the default is a denial of nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether the command may go on.
    pub allow: bool,
    /// The policies that decided, by name: the permits that hold, or the forbids that win. None where nothing
    /// permits. Sorted.
    pub policies: Vec<String>,
    /// The version of policies, schema and clients' roles: 16 hexadecimal digits.
    pub version: String,
    /// Of a denial, why, in words.
    pub note: Option<String>,
    refusal: Option<RefusalKind>,
}

impl Decision {
    /// Of a denial, what kind of refusal it is; decides the fault a client sees.
    pub fn refusal_kind(&self) -> Option<RefusalKind> {
        self.refusal
    }

    /// A denial in its place, for a reason that is no policy's.
    pub fn barred(self, why: &str) -> Self {
        let refusal = Some(RefusalKind::OperationProhibited);
        Self { allow: false, policies: Vec::new(), note: Some(why.to_owned()), refusal, ..self }
    }
}

/// Kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// No policy permits it: the caller's role is too low, or it needs a login (`ter:NotAuthorized`).
    NotAuthorized,
    /// A policy forbids it, or policies could not be evaluated (`ter:OperationProhibited`).
    OperationProhibited,
    /// The catalogue does not know it, or gives it no access class (`ter:ActionNotSupported`).
    NotSupported,
}

/// How much was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Policies.
    pub policies: usize,
    /// Operations they can be about.
    pub operations: usize,
    /// Operations of the catalogue without an access class; they are always denied.
    pub unclassified: Vec<String>,
    /// Different slices of policies.
    pub slices: usize,
    /// The version of policies and schema.
    pub version: String,
}

/// Policies, words, cameras and clients of one configuration.
#[derive(Debug)]
pub struct Engine {
    authorizer: Authorizer,
    pub(super) schema: Schema,
    schema_text: String,
    names: Names,
    pub(super) cast: Cast,
    inventory: Inventory,
    actions: HashMap<String, Action>,
    slices: Slices,
    pub(super) policies: HashMap<Arc<str>, Checked>,
    version: String,
    decisions: Decisions,
    pub(super) observe: Option<Observe>,
}

/// One operation as the engine has it.
#[derive(Debug)]
struct Action {
    uid: EntityUid,
    facts: OperationFacts,
    slices: [usize; Kind::ALL.len()],
}

/// Who wants to do what to what, in the engine's terms.
pub(super) struct Case<'a> {
    kind: Kind,
    principal: &'a EntityUid,
    action: &'a Action,
    resource: &'a EntityUid,
    traits: Traits,
    camera: Option<&'a Camera>,
}

/// A command made ready for Cedar.
pub(super) struct Question<'a> {
    pub(super) request: Request,
    pub(super) policies: &'a PolicySet,
    pub(super) circumstances: Circumstances,
    pub(super) scene: Arc<Scene>,
}

/// Denied before any policy was asked.
pub(super) struct Denial(RefusalKind, String);

impl Engine {
    /// Loads policies for one configuration: `texts` are file names and contents (see [`super::SHIPPED`]).
    ///
    /// # Errors
    /// Every problem of every file, with line and remedy; or that the schema or the entities could not be made.
    pub fn load<A: AsRef<str>, B: AsRef<str>>(
        tables: &Tables,
        texts: &[(A, B)],
        inventory: &Inventory,
        clients: &[ClientRecord],
    ) -> Result<Self, PolicyError> {
        Self::load_for(operations::all(tables), texts, inventory, clients)
    }

    pub(super) fn load_for<A: AsRef<str>, B: AsRef<str>>(
        operations: Vec<OperationFacts>,
        texts: &[(A, B)],
        inventory: &Inventory,
        clients: &[ClientRecord],
    ) -> Result<Self, PolicyError> {
        let listed: Vec<&OperationFacts> = operations.iter().collect();
        let schema_text = vocabulary::schema_text(&listed, inventory.networks());
        let (schema, _) = Schema::from_cedarschema_str(&schema_text)
            .map_err(|error| PolicyError::Schema(error.to_string()))?;
        let words = Words { schema: &schema, operations: &listed, networks: inventory.networks() };
        let policies = load::check(texts, words).map_err(PolicyError::Policies)?;
        let names = Names::new().map_err(PolicyError::Schema)?;
        let cast = Cast::new(&names, inventory, clients, &schema).map_err(PolicyError::Entities)?;
        let mut slices = Slices::default();
        let mut actions = HashMap::with_capacity(operations.len());
        for facts in operations {
            let uid = names
                .uid("Action", &facts.name)
                .ok_or_else(|| PolicyError::Schema("no entity type Action".to_owned()))?;
            let cut = slices.cut(&facts, &policies);
            actions.insert(facts.name.clone(), Action { uid, facts, slices: cut });
        }
        Ok(Self {
            authorizer: Authorizer::new(),
            version: version(texts, &schema_text, clients),
            schema,
            schema_text,
            names,
            cast,
            inventory: inventory.clone(),
            actions,
            slices,
            decisions: Decisions::default(),
            observe: None,
            policies: policies.into_iter().map(|one| (Arc::clone(&one.id), one)).collect(),
        })
    }

    /// The same with observe mode up to and including a day in UTC, or without. What [`Engine::decide`] says stays as
    /// it is.
    ///
    /// # Errors
    /// The policies of observe mode could not be made.
    pub fn observing(self, until: Option<Date>) -> Result<Self, PolicyError> {
        let Some(until) = until else { return Ok(Self { observe: None, ..self }) };
        let operations: Vec<&OperationFacts> = self.actions.values().map(|it| &it.facts).collect();
        let words =
            Words { schema: &self.schema, operations: &operations, networks: self.inventory.networks() };
        let observe = Observe::new(until, self.policies.values(), words)?;
        Ok(Self { observe: Some(observe), ..self })
    }

    /// The last day of observe mode, while it is on.
    pub fn observed_until(&self, now: Timestamp) -> Option<Date> {
        self.observe.as_ref().filter(|it| it.is_on(now)).map(|it| it.until)
    }

    /// Whether observe mode lets a command through that policies deny.
    pub fn observes(
        &self,
        caller: &Caller,
        command: &Command,
        camera: Option<&Camera>,
        now: Timestamp,
    ) -> bool {
        let Some(observe) = self.observe.as_ref().filter(|it| it.is_on(now)) else { return false };
        let Ok(case) = self.case(caller, command, camera) else { return false };
        let Some(policies) = observe.slice(&case.action.facts.name, case.kind) else { return false };
        let Ok(question) = self.question(&case, policies, caller, command) else { return false };
        let (decision, sound) = self.ask(&question, caller, command);
        decision.allow && sound
    }

    /// Whether the caller may do this to this camera, and which policies say so. `camera` is none for what
    /// concerns the gateway itself.
    pub fn decide(&self, caller: &Caller, command: &Command, camera: Option<&Camera>) -> Decision {
        let decided = self.case(caller, command, camera).and_then(|case| {
            let slice = self.slice(&case)?;
            let key = self.key(&case, slice.reads, caller, command);
            let worth = key.is_worth_keeping();
            if worth && let Some(known) = self.decisions.known(&key) {
                return Ok(known);
            }
            let question = self.question(&case, &slice.policies, caller, command)?;
            let (decision, sound) = self.ask(&question, caller, command);
            self.decisions.made();
            // What could not be evaluated is said anew each time.
            if worth && sound {
                self.decisions.keep(key, &decision);
            }
            Ok(decision)
        });
        decided.unwrap_or_else(|Denial(kind, note)| self.denied(kind, Vec::new(), note))
    }

    /// The words policies may use, in Cedar's schema notation.
    pub fn schema_text(&self) -> &str {
        &self.schema_text
    }

    /// How many decisions were remembered ones, and how many were made by policies.
    pub fn decision_counts(&self) -> (u64, u64) {
        self.decisions.counts()
    }

    /// The version of policies and schema: 16 hexadecimal digits of a SHA-256.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How much was loaded.
    pub fn summary(&self) -> Summary {
        let mut unclassified: Vec<String> = self
            .actions
            .values()
            .filter(|it| it.facts.class.is_none())
            .map(|it| it.facts.name.clone())
            .collect();
        unclassified.sort();
        Summary {
            policies: self.policies.len(),
            operations: self.actions.len(),
            unclassified,
            slices: self.slices.len(),
            version: self.version.clone(),
        }
    }

    /// The actions that are about cameras, each with its slices.
    #[cfg(feature = "prove")]
    pub(super) fn camera_actions(&self) -> impl Iterator<Item = (&EntityUid, &[usize])> {
        self.actions.values().filter(|it| !it.facts.of_appliance).map(|it| (&it.uid, it.slices.as_slice()))
    }

    /// A type of the schema.
    #[cfg(feature = "prove")]
    pub(super) fn entity_type(&self, name: &str) -> Option<cedar_policy::EntityTypeName> {
        self.names.uid(name, "").map(|uid| uid.type_name().clone())
    }

    /// The policies that can be about an operation when callers of a kind ask.
    fn slice_of(&self, operation: &str, kind: Kind) -> Option<&Slice> {
        self.slices.get(*self.actions.get(operation)?.slices.get(kind.index())?)
    }

    /// Whether any policy could permit an operation to callers of a kind.
    pub(super) fn could_permit(&self, operation: &str, kind: Kind) -> bool {
        let permits = |it: &Slice| it.policies.policies().any(|it| it.effect() == Effect::Permit);
        self.slice_of(operation, kind).is_some_and(permits)
    }

    /// Whether the same policies can be about an operation in another engine, whoever asks.
    pub(super) fn speaks_as(&self, other: &Self, operation: &str) -> bool {
        Kind::ALL.into_iter().all(|kind| {
            let [own, others] = [self, other].map(|it| it.slice_of(operation, kind));
            own.zip(others).is_some_and(|(own, others)| own.policies == others.policies)
        })
    }

    /// Whether any policy that could be about an operation looks at an attribute of the circumstances.
    pub(super) fn looks_at(&self, operation: &str, attribute: &str) -> bool {
        let slices = Kind::ALL.into_iter().filter_map(|kind| self.slice_of(operation, kind));
        slices.map(|it| it.reads).any(|it| it.context(attribute))
    }

    /// What is to be decided.
    pub(super) fn case<'a>(
        &'a self,
        caller: &Caller,
        command: &Command,
        camera: Option<&'a Camera>,
    ) -> Result<Case<'a>, Denial> {
        let action = self.action(command)?;
        let (kind, principal) = self.principal(caller)?;
        let resource = self.resource(command, camera, action)?;
        if command.destinations.len() > COMMAND_DESTINATIONS_MAX {
            let note = format!("it names more than {COMMAND_DESTINATIONS_MAX} destinations");
            return Err(Denial(RefusalKind::OperationProhibited, note));
        }
        let traits = command.traits.union(action.facts.always);
        Ok(Case { kind, principal, action, resource, traits, camera })
    }

    /// The policies that can be about it.
    pub(super) fn slice(&self, case: &Case<'_>) -> Result<&Slice, Denial> {
        let index = case.action.slices.get(case.kind.index());
        let slice = index.and_then(|index| self.slices.get(*index));
        slice.ok_or_else(|| undecidable("no policies were cut for it"))
    }

    /// What the decision depends on, of all that Cedar is asked with.
    fn key(&self, case: &Case<'_>, reads: Reads, caller: &Caller, command: &Command) -> Key {
        // Denials name the gateway's reason, whatever policies look at.
        let principal = reads.principal || case.kind == Kind::Gateway;
        Key {
            kind: case.kind,
            action: case.action.uid.clone(),
            principal: principal.then(|| case.principal.clone()),
            resource: reads.resource.then(|| case.resource.clone()),
            stand: case.camera.filter(|_| reads.resource).map(Stand::of),
            circumstances: Circumstances::new(caller, command, case.traits, &self.inventory, reads),
        }
    }

    /// Cedar is told everything, whatever policies look at.
    pub(super) fn question<'a>(
        &self,
        case: &Case<'_>,
        policies: &'a PolicySet,
        caller: &Caller,
        command: &Command,
    ) -> Result<Question<'a>, Denial> {
        let circumstances = Circumstances::new(caller, command, case.traits, &self.inventory, Reads::ALL);
        let context = circumstances.to_context(&self.names).map_err(|error| undecidable(&error))?;
        let (principal, action) = (case.principal.clone(), case.action.uid.clone());
        let request = Request::new(principal, action, case.resource.clone(), context, Some(&self.schema))
            .map_err(|error| undecidable(&error.to_string()))?;
        let scene = self.cast.scene(&self.names, case.camera, &self.inventory, &self.schema);
        let scene = scene.map_err(|error| undecidable(&error))?;
        Ok(Question { request, policies, circumstances, scene })
    }

    fn action(&self, command: &Command) -> Result<&Action, Denial> {
        let unsupported = |note: String| Denial(RefusalKind::NotSupported, note);
        let name = match &command.operation {
            Operation::Unknown(name) => {
                return Err(unsupported(format!("the operation {name} is not in the catalogue")));
            }
            known => known.name(),
        };
        let action = self.actions.get(name.as_ref());
        let action = action.ok_or_else(|| unsupported(format!("{name} is not in the catalogue")))?;
        let Some(class) = action.facts.class else {
            return Err(unsupported(format!("the catalogue gives {name} no access class")));
        };
        // The other front doors have no rows; of those that have, command and catalogue must agree.
        if matches!(command.operation, Operation::Onvif { .. }) && command.class != class {
            let note = format!("{name} came as {} but is {class} in the catalogue", command.class);
            return Err(Denial(RefusalKind::OperationProhibited, note));
        }
        Ok(action)
    }

    fn principal(&self, caller: &Caller) -> Result<(Kind, &EntityUid), Denial> {
        let (kind, found) = match caller {
            Caller::Client { id, role, .. } => (Kind::Client(*role), self.cast.clients.get(id)),
            Caller::Anonymous { .. } => (Kind::Anonymous, Some(&self.cast.anonymous)),
            Caller::Gateway(reason) => (Kind::Gateway, self.cast.gateway.get(reason)),
            Caller::Local { by, .. } => (Kind::Local, self.cast.local.get(by)),
        };
        let unknown =
            || Denial(RefusalKind::NotAuthorized, "the client is not in this configuration".to_owned());
        Ok((kind, found.ok_or_else(unknown)?))
    }

    fn resource(
        &self,
        command: &Command,
        camera: Option<&Camera>,
        action: &Action,
    ) -> Result<&EntityUid, Denial> {
        let prohibited = |note: &str| Denial(RefusalKind::OperationProhibited, note.to_owned());
        if command.camera.as_ref() != camera.map(|it| &it.id) {
            return Err(prohibited("the command is for another camera than the one asked about"));
        }
        match camera {
            None if action.facts.of_appliance => Ok(&self.cast.appliance),
            None => Err(prohibited("it needs a camera")),
            Some(_) if action.facts.of_appliance => Err(prohibited("it concerns the gateway, not a camera")),
            Some(camera) => self
                .cast
                .cameras
                .get(&camera.id)
                .ok_or_else(|| prohibited("the camera is not in this configuration")),
        }
    }

    /// The decision, and whether every policy could be evaluated.
    fn ask(&self, question: &Question<'_>, caller: &Caller, command: &Command) -> (Decision, bool) {
        let response =
            self.authorizer.is_authorized(&question.request, question.policies, &question.scene.entities);
        // Cedar leaves out a policy that fails; if that was a forbid, the rest may well permit.
        if let Some(error) = response.diagnostics().errors().next() {
            let failed = response.diagnostics().errors().map(|error| match error {
                cedar_policy::AuthorizationError::PolicyEvaluationError(error) => {
                    error.policy_id().to_string()
                }
            });
            let note = format!("a policy could not be evaluated: {error}");
            return (self.denied(RefusalKind::OperationProhibited, sorted(failed), note), false);
        }
        let policies = sorted(response.diagnostics().reason().map(ToString::to_string));
        let decision = match response.decision() {
            Verdict::Allow => {
                Decision { allow: true, policies, version: self.version.clone(), note: None, refusal: None }
            }
            Verdict::Deny if policies.is_empty() => {
                let note =
                    format!("no policy permits {} ({}) to {}", command.operation, command.class, who(caller));
                self.denied(RefusalKind::NotAuthorized, policies, note)
            }
            Verdict::Deny => {
                let note = self.forbidden(&policies);
                self.denied(RefusalKind::OperationProhibited, policies, note)
            }
        };
        (decision, true)
    }

    /// How many decisions are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.decisions.len()
    }

    fn forbidden(&self, policies: &[String]) -> String {
        let mut note = String::new();
        for id in policies {
            let reason = self.policies.get(id.as_str()).and_then(|it| it.reason.as_deref());
            let separator = if note.is_empty() { "" } else { "; " };
            let _ = write!(note, "{separator}forbidden by {id}: {}", reason.unwrap_or("it gives no reason"));
        }
        note
    }

    fn denied(&self, kind: RefusalKind, policies: Vec<String>, note: String) -> Decision {
        Decision {
            allow: false,
            policies,
            version: self.version.clone(),
            note: Some(note),
            refusal: Some(kind),
        }
    }

    /// The permits that would hold if nothing forbade it.
    pub(super) fn overruled(&self, question: &Question<'_>) -> Vec<String> {
        let mut permits = PolicySet::new();
        for policy in question.policies.policies().filter(|it| it.effect() == Effect::Permit) {
            let added = permits.add(policy.clone());
            debug_assert!(added.is_ok(), "{}", policy.id());
        }
        let response = self.authorizer.is_authorized(&question.request, &permits, &question.scene.entities);
        sorted(response.diagnostics().reason().map(ToString::to_string))
    }
}

fn undecidable(error: &str) -> Denial {
    Denial(RefusalKind::OperationProhibited, format!("the question could not be put: {error}"))
}

/// How a caller is called in notes.
pub(super) fn who(caller: &Caller) -> String {
    match caller {
        Caller::Client { role, .. } => format!("the role {role}"),
        Caller::Anonymous { .. } => "callers who have not logged in".to_owned(),
        Caller::Gateway(reason) => format!("the gateway ({})", reason.as_str()),
        Caller::Local { by, .. } => format!("the gateway's machine ({})", by.as_str()),
    }
}

fn sorted(ids: impl Iterator<Item = String>) -> Vec<String> {
    let mut ids: Vec<String> = ids.collect();
    ids.sort();
    ids
}

/// The first 8 bytes of a SHA-256 over the schema, the files in the order of their names, and the roles of the clients in
/// the order of theirs, each with its length: a client of another role is decided about otherwise by the same texts.
fn version<A: AsRef<str>, B: AsRef<str>>(texts: &[(A, B)], schema: &str, clients: &[ClientRecord]) -> String {
    let mut roles: Vec<(&str, &str)> = clients.iter().map(|it| (it.id.as_str(), it.role.as_str())).collect();
    roles.sort_unstable();
    let mut files: Vec<(&str, &str)> =
        texts.iter().map(|(name, text)| (name.as_ref(), text.as_ref())).collect();
    files.sort_unstable();
    let mut context = digest::Context::new(&digest::SHA256);
    let pairs = files.into_iter().chain(roles);
    for part in [schema].into_iter().chain(pairs.flat_map(|(name, text)| [name, text])) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.finish().as_ref().iter().take(8).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
