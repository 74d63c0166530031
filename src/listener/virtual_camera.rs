//! One virtual camera at its door: what it needs to answer, and what the gateway asks the camera on its own
//! account.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::sync::{Mutex, Semaphore};

use super::trouble::Trouble;
use crate::{
    auth::{Authenticator, Caller},
    camera::{CameraError, CameraMemory, Connection, Failure, Health},
    clock::{Clock, Entropy},
    command::{Command, Operation, Reason},
    facade::{
        Facade, LocatorSink, OwnRequest, capabilities, device_information, scopes, services,
        system_date_and_time,
    },
    gate::{Disposal, Ended, Gate, Pass},
    hatch::{AddressRules, Ask, AskKind, Reply, verify},
    ids::{CameraId, RequestId},
    inventory::Camera,
    limits,
    onvif::Catalogue,
    schema::{Deviations, Document, OperationId, Tables},
};

/// What all virtual cameras share, on every thread.
pub struct House {
    /// The interface.
    pub tables: Arc<Tables>,
    /// The operations.
    pub catalogue: Catalogue,
    /// Policy and record.
    pub gate: Gate,
    /// The clients.
    pub authenticator: Authenticator,
    /// One caller for each client, to ask what is offered at all.
    pub callers: Vec<Caller>,
    /// Where locators are kept.
    pub locators: std::sync::Mutex<Box<dyn LocatorSink + Send>>,
    /// How each camera does, for readiness; a camera nobody asked for anything is absent.
    pub healths: std::sync::Mutex<BTreeMap<CameraId, Health>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl House {
    /// An id for a request that has just begun.
    pub fn request_id(&self) -> RequestId {
        // An id names records; without randomness it is taken from the clock.
        let bits = self
            .entropy
            .bits()
            .unwrap_or_else(|_| u64::try_from(self.clock.monotonic().as_nanos()).unwrap_or_default());
        RequestId::from_bits(bits)
    }
}

/// One virtual camera. Lives on one thread.
pub struct VirtualCamera {
    pub(super) house: Arc<House>,
    pub(super) camera: Arc<Camera>,
    pub(super) facade: Facade,
    pub(super) connection: Connection,
    pub(super) rules: RefCell<AddressRules>,
    pub(super) places: Arc<Semaphore>,
    /// One asks the camera who it is; others wait for what it finds.
    introduction: Mutex<()>,
    introduced: Cell<Introduced>,
    health: Cell<Health>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Introduced {
    Not,
    Failed(Duration),
    Done,
}

/// How long an introduction that failed is not tried again, so that nobody can make the gateway knock at a
/// camera without end by asking for what needs no credentials.
const INTRODUCTION_PAUSE: Duration = Duration::from_secs(10);

impl VirtualCamera {
    /// Stands for a camera, reached over a connection. `rules` name its side's addresses.
    pub fn new(
        house: Arc<House>,
        camera: Arc<Camera>,
        facade: Facade,
        connection: Connection,
        rules: AddressRules,
    ) -> Rc<Self> {
        Rc::new(Self {
            house,
            camera,
            facade,
            connection,
            rules: RefCell::new(rules),
            places: Arc::new(Semaphore::new(limits::COMMANDS_PER_CAMERA_MAX)),
            introduction: Mutex::new(()),
            introduced: Cell::new(Introduced::Not),
            health: Cell::new(Health::Unknown),
        })
    }

    /// Makes sure that the camera has said which services it has and who it is, as far as it will.
    pub(super) async fn introduce(&self) -> Result<(), Trouble> {
        let _one_at_a_time = self.introduction.lock().await;
        match self.introduced.get() {
            Introduced::Done => return Ok(()),
            Introduced::Failed(at)
                if self.house.clock.monotonic().saturating_sub(at) < INTRODUCTION_PAUSE =>
            {
                return Err(Trouble::NotIntroduced);
            }
            Introduced::Failed(_) | Introduced::Not => {}
        }
        let outcome = self.ask_who_it_is().await;
        self.introduced.set(match outcome {
            Ok(()) => Introduced::Done,
            Err(_) => Introduced::Failed(self.house.clock.monotonic()),
        });
        outcome
    }

    async fn ask_who_it_is(&self) -> Result<(), Trouble> {
        let tables = &*self.house.tables;
        let list = self.own_command(Reason::Identity, services(tables)?).await;
        let listed = list.is_ok();
        match list {
            Ok(answer) => self.facade.learn(answer),
            // Whoever waits for this does not wait for each question's deadline in turn.
            Err(trouble) if trouble.is_silence() => return Err(trouble),
            Err(_) => {}
        }
        match self.own_command(Reason::Identity, capabilities(tables)?).await {
            Ok(answer) => self.facade.learn(answer),
            // Either list will do; a camera that gives none is not introduced.
            Err(trouble) if !listed => return Err(trouble),
            Err(trouble) if trouble.is_silence() => return Ok(()),
            Err(_) => {}
        }
        for request in [scopes(tables)?, device_information(tables)?] {
            match self.own_command(Reason::Identity, request).await {
                Ok(answer) => self.facade.learn(answer),
                Err(trouble) if trouble.is_silence() => break,
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Asks the camera for its time, through the gate like everything else.
    async fn probe_clock(&self) -> Result<(), Trouble> {
        let request = system_date_and_time(&self.house.tables)?;
        self.own_command(Reason::ClockProbe, request).await.map(|_| ())
    }

    /// A command of the gateway's own: decided, recorded, asked, verified.
    async fn own_command(&self, reason: Reason, request: OwnRequest) -> Result<Document, Trouble> {
        let OwnRequest { operation, document } = request;
        let house = &*self.house;
        let class = house.tables.operation(operation).and_then(|row| row.class).ok_or(Trouble::NoEndpoint)?;
        let command = Command {
            request: house.request_id(),
            camera: Some(self.camera.id.clone()),
            operation: Operation::Gateway(reason),
            class,
            traits: crate::schema::Traits::NONE,
            destinations: Vec::new(),
            arguments: serde_json::json!({ "operation": &*house.catalogue.name(operation) }),
        };
        let mut pass = house.gate.decide(command, &Caller::Gateway(reason), None).await?;
        let endpoint = self.facade.endpoint(operation).ok_or(Trouble::NoEndpoint)?;
        let ask = Ask::new(&pass, AskKind::Soap { operation, document, endpoint }, true)?;
        pass.sending();
        // The clock probe is what the others wait for: it is asked once, and not from within itself.
        let reply = match (self.dial(&ask).await, reason) {
            (Err(CameraError { failure: Failure::ClockUnknown, .. }), it) if it != Reason::ClockProbe => {
                Box::pin(self.probe_clock()).await?;
                self.dial(&ask).await
            }
            (reply, _) => reply,
        };
        let outcome = reply.map_err(Trouble::from).and_then(|reply| self.verified(operation, reply));
        pass.finish(ended(&outcome));
        outcome.map(|(document, _)| document)
    }

    /// Asks the camera on behalf of a pass; measures its clock first if its login needs that.
    pub(super) async fn ask(
        &self,
        pass: &mut Pass,
        kind: AskKind,
        idempotent: bool,
    ) -> Result<Reply, Trouble> {
        let ask = Ask::new(pass, kind, idempotent)?;
        pass.sending();
        match self.dial(&ask).await {
            Err(CameraError { failure: Failure::ClockUnknown, .. }) => {
                self.probe_clock().await?;
                Ok(self.dial(&ask).await?)
            }
            reply => Ok(reply?),
        }
    }

    /// Asks, and publishes how the camera does if that has changed.
    async fn dial(&self, ask: &Ask) -> Result<Reply, CameraError> {
        let reply = self.connection.ask(ask).await;
        let health = self.connection.state();
        if self.health.replace(health) != health {
            let mut healths = self.house.healths.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            healths.insert(self.camera.id.clone(), health);
        }
        reply
    }

    /// What the hatch makes of a reply that should be a document.
    pub(super) fn verified(
        &self,
        operation: OperationId,
        reply: Reply,
    ) -> Result<(Document, Deviations), Trouble> {
        let (document, mut deviations) = match reply {
            Reply::Document(document, deviations) => (document, deviations),
            Reply::Fault(fault) => {
                return Err(Trouble::Fault(crate::hatch::clean_fault(fault, &self.rules.borrow())));
            }
            Reply::Picture(_) => return Err(Trouble::NoEndpoint),
        };
        let verified = verify(&self.house.tables, operation, document, &self.rules.borrow())?;
        for name in verified.dropped {
            deviations.add(
                crate::schema::DeviationKind::Drop,
                format!("{name}: an address of the camera's network"),
            );
        }
        Ok((verified.document, deviations))
    }

    /// What was learnt of the camera and is worth keeping over a restart.
    pub fn memory(&self) -> CameraMemory {
        self.connection.memory()
    }
}

/// How an exchange of the gateway's own ended.
fn ended(outcome: &Result<(Document, Deviations), Trouble>) -> Ended {
    match outcome {
        Ok((_, deviations)) => Ended {
            disposal: Disposal::Answered,
            status: None,
            fault: None,
            deviations: super::pipeline::recorded(deviations),
            bytes: 0,
            note: None,
        },
        Err(trouble) => trouble.ended(),
    }
}
