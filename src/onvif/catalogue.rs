//! Which operation a document is, and what command it makes.

use std::{collections::HashMap, sync::Arc};

use super::destinations;
use crate::{
    command::{Command, Operation},
    ids::{CameraId, RequestId},
    limits::{COMMAND_DESTINATIONS_MAX, XML_NAME_BYTES_MAX},
    schema::{AccessClass, Document, OperationId, Tables, Trait, Traits},
};

/// Why a document makes no command. The client's doing, both.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The candidates hold no operation of the tables.
    #[error("the body is the request of no operation")]
    NoOperation,
    /// It names more destinations than a record can hold.
    #[error("the request names more than {COMMAND_DESTINATIONS_MAX} destinations")]
    TooManyDestinations,
}

/// The operations of the tables, ready to make commands.
#[derive(Debug)]
pub struct Catalogue {
    tables: Arc<Tables>,
    names: HashMap<OperationId, Arc<str>>,
}

impl Catalogue {
    /// Takes the operations of the tables.
    pub fn new(tables: Arc<Tables>) -> Self {
        let name = |(id, it): (OperationId, &crate::schema::Operation)| {
            (id, Arc::from(format!("{}:{}", it.prefix, it.name)))
        };
        let names = tables.operations().map(name).collect();
        Self { tables, names }
    }

    /// The tables it was made of.
    pub fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// An operation as people write it: `tds:SetNTP`.
    pub fn name(&self, id: OperationId) -> Arc<str> {
        self.names.get(&id).cloned().unwrap_or_else(|| Arc::from("unknown"))
    }

    /// Chooses among operations that share a request element (`wsnt:Unsubscribe` has three port types,
    /// `tds:GetRelayOutputs` two services) by the service whose endpoint was addressed.
    ///
    /// With one candidate the endpoint does not matter: clients post to the device service what belongs
    /// elsewhere, and the body says what it is (ONVIF Core §5.8).
    pub fn choose(&self, candidates: &[OperationId], service: Option<&str>) -> Option<OperationId> {
        let serves = |id: &OperationId| {
            let found = self.tables.operation(*id).map(|it| &*it.service);
            found.zip(service).is_some_and(|(found, asked)| same_endpoint(found, asked))
        };
        candidates.iter().copied().find(serves).or_else(|| candidates.first().copied())
    }

    /// Makes the command of a request.
    ///
    /// `service` is the service whose endpoint was addressed (`device`, `media2`), if it is one of ours.
    /// An operation without a row in the overlay becomes [`Operation::Unknown`], which is always denied.
    pub fn command(
        &self,
        request: RequestId,
        camera: &CameraId,
        candidates: &[OperationId],
        service: Option<&str>,
        document: &Document,
    ) -> Result<Command, CommandError> {
        let id = self.choose(candidates, service).ok_or(CommandError::NoOperation)?;
        let row = self.tables.operation(id).ok_or(CommandError::NoOperation)?;
        let Some(class) = row.class else {
            return Ok(self.unknown(request, camera, &format!("{} (no access class)", self.name(id))));
        };
        let found = destinations::find(&self.tables, document);
        if found.places.len() > COMMAND_DESTINATIONS_MAX {
            return Err(CommandError::TooManyDestinations);
        }
        let traits = row.traits.union(by_document(row.traits_by_document, &found));
        let mut arguments = document.arguments(&self.tables);
        destinations::mask_userinfo(&mut arguments);
        Ok(Command {
            request,
            camera: Some(camera.clone()),
            operation: Operation::Onvif { id, name: self.name(id) },
            class,
            traits,
            destinations: found.places,
            arguments,
        })
    }

    /// The command of a body nobody declared, so that it is judged, denied and recorded like any other.
    pub fn unknown(&self, request: RequestId, camera: &CameraId, name: &str) -> Command {
        Command {
            request,
            camera: Some(camera.clone()),
            operation: Operation::Unknown(cut(name, XML_NAME_BYTES_MAX).into()),
            class: AccessClass::NotForClients,
            traits: Traits::NONE,
            destinations: Vec::new(),
            arguments: serde_json::Value::Null,
        }
    }
}

/// WS-Notification has no endpoint of its own: its operations live at that of the event service.
fn same_endpoint(service: &str, asked: &str) -> bool {
    service == asked || (asked == "events" && service.starts_with("events"))
}

/// The traits that hold because of what the document says. Text that is an address makes any command an
/// egress command; a trait no node can speak for holds always.
fn by_document(declared: Traits, found: &destinations::Found) -> Traits {
    let holds = |one: &Trait| match one {
        Trait::Egress => found.egress || found.selector,
        Trait::Listener => found.listener,
        Trait::Network => found.listener || found.egress || found.access_filter,
        Trait::SecretRequest => found.secret,
        Trait::Code | Trait::SecretAnswer | Trait::Destructive | Trait::Session | Trait::Users => true,
    };
    let traits: Traits = declared.iter().filter(holds).collect();
    let traits = if found.egress { traits.with(Trait::Egress) } else { traits };
    let traits = if found.listener { traits.with(Trait::Listener) } else { traits };
    if found.secret { traits.with(Trait::SecretRequest) } else { traits }
}

fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}
