//! One virtual camera at its door: what it needs to answer, and what the gateway asks the camera on its own
//! account.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::IpAddr,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use tokio::{
    sync::{Mutex, Semaphore, SemaphorePermit},
    time::{sleep, timeout},
};

use super::{
    diagnosis::{Standing, lock},
    doorway::Connect,
    house::{Edition, Enrolled, House},
    looks::{Looks, Unshown},
    memo::ReplyMemo,
    pictures::Pictures,
    shares::Shares,
    streaming::Streams,
    subscriptions::Subscribed,
    trouble::Trouble,
};
use crate::{
    alarm::Alarm,
    audit::Event,
    auth::Caller,
    camera::{CameraError, CertificateNews, Connection, Failure, Health},
    command::{Command, Operation, Reason},
    events::Hub,
    facade::{Facade, OwnRequest, capabilities, device_information, scopes, services, system_date_and_time},
    gate::{Disposal, Ended, Pass},
    hatch::{AddressRules, Ask, AskKind, CoreAddresses, Reply, Understood, verify},
    inventory::{Camera, Evidence},
    limits,
    onvif::names_an_interface,
    schema::{
        AddressEffect, Deviations, Document, OperationId,
        address::{Host, Uri},
    },
    telemetry::CameraMeter,
};

/// One virtual camera as one configuration makes it. Lives on one thread. What lies behind an `Rc` or `Arc` may
/// be shared with the one of the configuration before.
pub struct VirtualCamera {
    me: Weak<Self>,
    pub(super) house: Arc<House>,
    pub(super) edition: Arc<Edition>,
    pub(super) camera: Arc<Camera>,
    pub(super) facade: Rc<Facade>,
    pub(super) connection: Rc<Connection>,
    pub(super) rules: Rc<RefCell<AddressRules>>,
    /// What was made of the last answers.
    pub(super) replies: RefCell<ReplyMemo>,
    /// The core side's addresses, as of the last caller.
    core: RefCell<Option<(Option<IpAddr>, Rc<CoreAddresses>)>>,
    pub(super) places: Rc<Shares>,
    /// Places for what stops a movement.
    pub(super) stops: Rc<Shares>,
    /// Commands in a row to which it kept silent.
    pub(super) silences: Rc<Cell<u32>>,
    /// The streams that somebody watches.
    pub(super) streams: Rc<Streams>,
    /// Its events.
    pub(super) hub: Arc<Hub>,
    /// The subscriptions to them.
    pub(super) subscribed: Rc<Subscribed>,
    /// The pictures of the last moment.
    pub(super) pictures: Rc<Pictures>,
    /// Places for files.
    pub(super) transfers: Rc<Shares>,
    /// Places at the camera for callers who have not logged in.
    guests: Rc<Semaphore>,
    /// The services any rule lets through, as found out so far.
    pub(super) offered: RefCell<BTreeMap<String, bool>>,
    introduction: Rc<Introduction>,
    pub(super) health: Rc<Cell<Health>>,
    /// What is counted of it.
    pub(super) meter: Arc<CameraMeter>,
    /// The alarm about it that was raised last and is not over.
    pub(super) alarm: Rc<Cell<Option<Alarm>>>,
    /// Whether somebody sees to it that the camera rests when nobody asks any more.
    resting: Cell<bool>,
    pub(super) standing: Arc<std::sync::Mutex<Standing>>,
    /// When the device that is there was accepted last, as far as what it shows is known to be its own.
    pub(super) acceptance: Rc<Cell<Option<jiff::Timestamp>>>,
    /// What it showed when that was weighed last, by this edition's table of makers.
    pub(super) weighed: RefCell<Option<Evidence>>,
    /// How often that brought news.
    pub(super) news: Cell<u64>,
    /// How often it was looked at and was well.
    pub(super) looked: Cell<u32>,
    /// Looks by which it did not show its serial number.
    pub(super) unshown: Rc<Cell<Unshown>>,
    /// The looks at the camera that are under way.
    pub(super) looks: RefCell<Option<Looks>>,
}

impl Drop for VirtualCamera {
    fn drop(&mut self) {
        let mut standing = lock(&self.standing);
        standing.doors = standing.doors.saturating_sub(1);
    }
}

#[derive(Default)]
struct Introduction {
    /// One asks the camera who it is; others wait for what it finds.
    turn: Mutex<()>,
    introduced: Cell<Introduced>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Introduced {
    #[default]
    Not,
    Failed(Duration),
    Done,
}

impl VirtualCamera {
    /// Stands for a camera as an edition has it. What the one `before` it learnt of the camera stays if the
    /// camera is configured as it was, and how far its logins went if it is reached as it was.
    pub(super) fn new(
        house: &Arc<House>,
        edition: &Arc<Edition>,
        enrolled: Enrolled<'_>,
        before: Option<&Self>,
        connect: &Connect,
    ) -> Rc<Self> {
        let Enrolled { camera, zone, .. } = enrolled;
        let was = before.and_then(|before| before.edition.enrolled(&camera.id));
        let reached = before.filter(|_| was.is_some_and(|was| enrolled.is_reached_like(&was)));
        let same = before.filter(|_| was.is_some_and(|was| enrolled == was));
        let made = Rc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            resting: Cell::default(),
            house: Arc::clone(house),
            edition: Arc::clone(edition),
            facade: same
                .map_or_else(|| Rc::new(Facade::new(&house.facades, camera)), |it| Rc::clone(&it.facade)),
            connection: reached.map_or_else(|| Rc::new(connect(enrolled)), |it| Rc::clone(&it.connection)),
            rules: same.map_or_else(
                || Rc::new(RefCell::new(AddressRules::new(camera, zone))),
                |it| Rc::clone(&it.rules),
            ),
            replies: RefCell::default(),
            core: RefCell::default(),
            places: before.map_or_else(Shares::of_commands, |it| Rc::clone(&it.places)),
            stops: before.map_or_else(Shares::of_stops, |it| Rc::clone(&it.stops)),
            silences: reached.map_or_else(Rc::default, |it| Rc::clone(&it.silences)),
            transfers: before.map_or_else(Shares::of_transfers, |it| Rc::clone(&it.transfers)),
            streams: reached.map_or_else(Rc::default, |it| Rc::clone(&it.streams)),
            hub: house.hubs.of(&camera.id, &house.clock),
            subscribed: before.map_or_else(Rc::default, |it| Rc::clone(&it.subscribed)),
            pictures: reached.map_or_else(Rc::default, |it| Rc::clone(&it.pictures)),
            guests: before.map_or_else(
                || Rc::new(Semaphore::new(limits::ANONYMOUS_ASKS_PER_CAMERA_MAX)),
                |it| Rc::clone(&it.guests),
            ),
            offered: RefCell::default(),
            introduction: same.map_or_else(Rc::default, |it| Rc::clone(&it.introduction)),
            health: reached.map_or_else(|| Rc::new(Cell::new(Health::Unknown)), |it| Rc::clone(&it.health)),
            meter: house.gate.watch().metrics.camera(&camera.id),
            // Even if it is reached otherwise now: the next answer shows whether that is over.
            alarm: before.map_or_else(Rc::default, |it| Rc::clone(&it.alarm)),
            standing: house.standings.of(&camera.id),
            acceptance: reached.map_or_else(
                || Rc::new(Cell::new(accepted(edition, camera))),
                |it| Rc::clone(&it.acceptance),
            ),
            weighed: RefCell::default(),
            news: Cell::default(),
            looked: Cell::default(),
            unshown: reached.map_or_else(Rc::default, |it| Rc::clone(&it.unshown)),
            looks: RefCell::default(),
            camera: Arc::new(camera.clone()),
        });
        let memory = made.connection.memory();
        if !memory.evidence.signals().is_empty() {
            made.weigh(&memory);
        }
        let mut standing = lock(&made.standing);
        standing.doors = standing.doors.saturating_add(1);
        standing.memory = memory;
        drop(standing);
        made
    }

    /// Whether this edition made it.
    pub(super) fn is_of(&self, edition: &Arc<Edition>) -> bool {
        Arc::ptr_eq(&self.edition, edition)
    }

    /// Makes sure that the camera has said which services it has and who it is, as far as it will.
    pub(super) async fn introduce(&self) -> Result<(), Trouble> {
        let Introduction { turn, introduced } = &*self.introduction;
        let _one_at_a_time = turn.lock().await;
        match introduced.get() {
            Introduced::Done => return Ok(()),
            Introduced::Failed(at)
                if self.house.clock.monotonic().saturating_sub(at) < limits::CAMERA_INTRODUCTION_PAUSE =>
            {
                return Err(Trouble::NotIntroduced);
            }
            Introduced::Failed(_) | Introduced::Not => {}
        }
        // A question that is given up is on record as sent and unanswered.
        let asked = timeout(limits::CAMERA_INTRODUCTION_TIME_MAX, self.ask_who_it_is()).await;
        let outcome = asked.unwrap_or(Err(Trouble::NotIntroduced));
        let services = self.facade.heard().services.iter().map(|it| it.service.to_string()).collect();
        let mut standing = lock(&self.standing);
        (standing.services, standing.scopes) = (services, self.facade.scope_items());
        drop(standing);
        introduced.set(match outcome {
            Ok(()) => Introduced::Done,
            Err(_) => Introduced::Failed(self.house.clock.monotonic()),
        });
        outcome
    }

    /// Whether the camera has said who it is, as far as it will.
    pub(super) fn is_introduced(&self) -> bool {
        self.introduction.introduced.get() == Introduced::Done
    }

    async fn ask_who_it_is(&self) -> Result<(), Trouble> {
        let tables = &*self.house.tables;
        let list = self.learn(services(tables)?).await;
        let listed = list.is_ok();
        match list {
            // Whoever waits for this does not wait for each question's deadline in turn.
            Err(trouble) if trouble.is_silence() => return Err(trouble),
            Ok(()) | Err(_) => {}
        }
        match self.learn(capabilities(tables)?).await {
            // Either list will do; a camera that gives none is not introduced.
            Err(trouble) if !listed => return Err(trouble),
            Err(trouble) if trouble.is_silence() => return Ok(()),
            Ok(()) | Err(_) => {}
        }
        for request in [scopes(tables)?, device_information(tables)?] {
            if self.learn(request).await.is_err_and(|trouble| trouble.is_silence()) {
                break;
            }
        }
        Ok(())
    }

    /// Asks the camera for something it says of itself, and takes it up.
    async fn learn(&self, request: OwnRequest) -> Result<(), Trouble> {
        let (answer, deviations) = self.own_command(Reason::Identity, request).await?;
        Ok(self.facade.learn(answer, &deviations)?)
    }

    /// Asks the camera for its time, through the gate like everything else.
    async fn probe_clock(&self) -> Result<(), Trouble> {
        let request = system_date_and_time(&self.house.tables)?;
        self.own_command(Reason::ClockProbe, request).await.map(|_| ())
    }

    /// A command of the gateway's own: decided, recorded, asked, verified.
    pub(super) async fn own_command(
        &self,
        reason: Reason,
        request: OwnRequest,
    ) -> Result<(Document, Deviations), Trouble> {
        let command = self.command_for(&request)?;
        let gate = &self.house.gate;
        let mut pass = gate.decide(&self.edition.rules, command, &Caller::Gateway(reason), None).await?;
        let outcome = self.exchange(&mut pass, request, reason).await;
        pass.finish(ended(&outcome));
        outcome
    }

    /// What is decided of a request of the gateway's own.
    pub(super) fn command_for(&self, request: &OwnRequest) -> Result<Command, Trouble> {
        let OwnRequest { operation, document } = request;
        let house = &*self.house;
        let row = house.tables.operation(*operation).ok_or(Trouble::NoEndpoint)?;
        Ok(Command {
            request: house.request_id(),
            camera: Some(self.camera.id.clone()),
            operation: Operation::Onvif { id: *operation, name: house.catalogue.name(*operation) },
            class: row.class.ok_or(Trouble::NoEndpoint)?,
            traits: row.traits,
            destinations: Vec::new(),
            arguments: document.arguments(&house.tables),
        })
    }

    /// One exchange of a request of the gateway's own under its pass: asked, verified, taken up.
    pub(super) async fn exchange(
        &self,
        pass: &mut Pass,
        request: OwnRequest,
        reason: Reason,
    ) -> Result<(Document, Deviations), Trouble> {
        let OwnRequest { operation, document } = request;
        let reply = match self.facade.endpoint(operation) {
            Some(endpoint) => {
                let kind = AskKind::Soap { operation, document: Arc::new(document), endpoint };
                // The clock probe is what the others wait for, so it does not wait for one.
                self.ask(pass, kind, true, reason != Reason::ClockProbe).await
            }
            None => Err(Trouble::NoEndpoint),
        };
        let outcome = reply.and_then(|reply| {
            if matches!(reason, Reason::Baseline | Reason::Settings) {
                return self.understood(operation, &reply);
            }
            self.meet(&reply);
            let (document, deviations) = self.verified(operation, &reply)?;
            Ok((document.into_owned(), deviations))
        });
        // Of what its baseline is about many a camera says that it has no such thing: it works all the same.
        let is_well = |it: &&Trouble| {
            matches!(reason, Reason::Baseline | Reason::Settings) && matches!(it, Trouble::Fault(_))
        };
        self.stands(outcome.as_ref().err().filter(|it| !is_well(it)));
        // What the camera says of itself is what answers are rewritten by.
        self.replies.borrow_mut().clear();
        outcome
    }

    /// Asks the camera on behalf of a pass; measures its clock first if its login needs that and it may.
    pub(super) async fn ask(
        &self,
        pass: &mut Pass,
        kind: AskKind,
        idempotent: bool,
        may_probe: bool,
    ) -> Result<Reply, Trouble> {
        let endpoint = match &kind {
            AskKind::Soap { endpoint, .. }
            | AskKind::Picture { endpoint }
            | AskKind::Download { endpoint, .. }
            | AskKind::Upload { endpoint, .. }
            | AskKind::Describe { endpoint, .. }
            | AskKind::Replay { endpoint, .. }
            | AskKind::Talk { endpoint, .. }
            | AskKind::Pause { endpoint }
            | AskKind::Play { endpoint } => endpoint,
            AskKind::Subscribed { address, .. } => &address.endpoint,
        };
        if endpoint.port.is_some_and(|port| self.is_foreign(port)) {
            return Err(Trouble::ForeignPort);
        }
        let ask = Ask::new(pass, kind, idempotent)?;
        match self.dial(&ask).await {
            Err(CameraError { failure: Failure::ClockUnknown, .. }) if may_probe => {
                match Box::pin(self.probe_clock()).await {
                    // What its answers' heads say of its time has to do.
                    Err(Trouble::Camera(error)) if !error.is_silence() => {}
                    Err(Trouble::Fault(_)) => {}
                    probed => probed?,
                }
                Ok(self.dial(&ask).await?)
            }
            reply => Ok(reply?),
        }
    }

    /// Whether something else answers at a port of the camera's host, as far as is known.
    pub(super) fn is_foreign(&self, port: u16) -> bool {
        let inventory = self.edition.rules.inventory();
        port != self.camera.address.port
            && (inventory.answers_at(self.camera.address.host, port)
                || !self.house.ports.take(inventory, &self.camera.id, port))
    }

    /// A place at the camera for a caller who has not logged in; others need none.
    pub(super) fn guest_place(&self, caller: &Caller) -> Result<Option<SemaphorePermit<'_>>, Trouble> {
        match caller {
            Caller::Anonymous { .. } => self.guests.try_acquire().map(Some).map_err(|_| Trouble::Busy),
            Caller::Client { .. } | Caller::Gateway(_) | Caller::Local { .. } => Ok(None),
        }
    }

    /// Takes up the addresses and names under which the camera says its services are: it may sit behind a
    /// port mapping, and no answer may name them.
    fn meet(&self, reply: &Reply) {
        let Reply::Document(Understood { document: answer, .. }) = reply else { return };
        let tables = &*self.house.tables;
        let mut rules = self.rules.borrow_mut();
        for value in answer.values() {
            let effect = tables.node(value.node).map(|node| node.effect);
            if effect != Some(AddressEffect::Service) || names_an_interface(value.text) {
                continue;
            }
            match Uri::parse(value.text.trim()).map(|uri| uri.host) {
                Some(Host::Ip(address)) => rules.add_address(address),
                // A bare word could stand in any text.
                Some(Host::Name(name)) if name.contains('.') => rules.add_name(name),
                Some(Host::Name(_)) | None => {}
            }
        }
    }

    /// Asks, and publishes how the camera does if that has changed.
    async fn dial(&self, ask: &Ask) -> Result<Reply, CameraError> {
        self.mind_acceptance();
        self.rest_later();
        let began = self.house.clock.monotonic();
        let reply = self.connection.ask(ask).await;
        let took = self.house.clock.monotonic().saturating_sub(began);
        self.take_certificate_news();
        let health = self.connection.state();
        // An answer that waits for something to tell says nothing of how quick the camera is.
        let waits = matches!(ask.kind(), AskKind::Subscribed { wait, .. } if !wait.is_zero());
        self.watch(health, reply.as_ref().err(), (!waits).then_some(took));
        if self.health.replace(health) != health {
            let mut healths = self.house.healths.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            healths.insert(self.camera.id.clone(), health);
        }
        self.take_news();
        reply
    }

    /// Sees to it that idle connections are closed, and answers forgotten, once nobody asks any more.
    fn rest_later(&self) {
        if self.resting.replace(true) {
            return;
        }
        // The connection may live on under another configuration.
        let (me, connection) = (Weak::clone(&self.me), Rc::downgrade(&self.connection));
        tokio::task::spawn_local(async move {
            loop {
                sleep(limits::CAMERA_IDLE_TIME_MAX).await;
                let Some(connection) = connection.upgrade() else { return };
                connection.close_idle();
                if connection.rested() < limits::ANSWER_MEMO_TIME_MAX {
                    continue;
                }
                connection.forget_answers();
                if let Some(camera) = me.upgrade() {
                    camera.replies.borrow_mut().clear();
                    camera.resting.set(false);
                }
                return;
            }
        });
    }

    /// Writes down how a command to the camera ended.
    pub(super) fn stands(&self, trouble: Option<&Trouble>) {
        lock(&self.standing).ended(self.house.clock.now(), trouble);
    }

    /// Puts on record what happened to the camera's certificate, if anything did.
    pub(super) fn take_certificate_news(&self) {
        if let Some(news) = self.connection.certificate_news() {
            self.tell(news);
        }
    }

    /// Puts on record that the camera's certificate was pinned or refused.
    fn tell(&self, news: CertificateNews) {
        let (what, pin) = match news {
            CertificateNews::Pinned(pin) => ("camera-certificate-pinned", pin),
            CertificateNews::Refused(pin) => ("camera-certificate-refused", pin),
        };
        tracing::warn!(camera = %self.camera.id, certificate = %pin.whole, key = %pin.key, "{what}");
        let detail = json!({ "certificate": pin.whole.to_string(), "key": pin.key.to_string() });
        let camera = Some(self.camera.id.to_string());
        self.house.gate.note(Event { camera, ..Event::new(what, detail) });
        // What the configuration names is not for the camera to change; the connection is refused anyway.
        let by_pin = self.camera.certificates.as_ref().is_some_and(Vec::is_empty);
        if by_pin && matches!(news, CertificateNews::Refused(_)) {
            self.showed_another_certificate(pin);
        }
    }

    /// What the hatch makes of a reply that should be a document.
    pub(super) fn verified<'a>(
        &self,
        operation: OperationId,
        reply: &'a Reply,
    ) -> Result<(Cow<'a, Document>, Deviations), Trouble> {
        let (document, mut deviations) = match reply {
            Reply::Document(answer) => (&*answer.document, Deviations::clone(&answer.deviations)),
            Reply::Fault(fault) => {
                return Err(Trouble::Fault(crate::hatch::clean_fault(fault.clone(), &self.rules.borrow())));
            }
            Reply::Picture(_) | Reply::Poured | Reply::Taken(_) => return Err(Trouble::NoEndpoint),
        };
        let verified = verify(&self.house.tables, operation, document, &self.rules.borrow())?;
        for name in verified.dropped {
            deviations.add(
                crate::schema::DeviationKind::Drop,
                format!("{name}: an address of the camera's network"),
            );
        }
        if !deviations.is_empty() {
            lock(&self.standing).deviated(self.house.clock.now(), &deviations);
        }
        Ok((verified.document, deviations))
    }

    /// An answer that stays with the gateway: addresses and names in it are what was asked for.
    fn understood(&self, operation: OperationId, reply: &Reply) -> Result<(Document, Deviations), Trouble> {
        let Reply::Document(answer) = reply else {
            return self
                .verified(operation, reply)
                .map(|(document, deviations)| (document.into_owned(), deviations));
        };
        let expected = self.house.tables.operation(operation).map(|row| row.output);
        if expected.is_none_or(|output| output != Some(answer.document.root().node())) {
            return Err(Trouble::NoEndpoint);
        }
        Ok((Document::clone(&answer.document), Deviations::clone(&answer.deviations)))
    }

    /// The addresses of the core side that the camera must not learn from this caller's command.
    pub(super) fn core(&self, caller: &Caller) -> Rc<CoreAddresses> {
        let source = caller.source().map(|source| source.ip());
        let mut core = self.core.borrow_mut();
        match &*core {
            Some((of, known)) if *of == source => Rc::clone(known),
            Some(_) | None => {
                let made = Rc::new(CoreAddresses::new(source, &self.camera));
                *core = Some((source, Rc::clone(&made)));
                made
            }
        }
    }

    /// Keeps over a restart what was learnt of the camera, and records what came of the looks under way.
    pub(super) fn keep_memory(&self) {
        self.connection.keep();
        self.looks.take();
        self.subscribed.end_all(&self.house, &self.camera.id);
    }
}

/// When the device that is there was accepted last.
fn accepted(edition: &Edition, camera: &Camera) -> Option<jiff::Timestamp> {
    edition.rules.regards().of(&camera.id).accepted.as_ref().map(|it| it.at)
}

/// How an exchange of the gateway's own ended.
pub(super) fn ended(outcome: &Result<(Document, Deviations), Trouble>) -> Ended {
    ended_as(outcome.as_ref().map(|(_, deviations)| deviations))
}

/// The same, of an answer that is kept otherwise.
pub(super) fn ended_as(outcome: Result<&Deviations, &Trouble>) -> Ended {
    match outcome {
        Ok(deviations) => Ended {
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
