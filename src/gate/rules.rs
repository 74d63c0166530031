//! What one configuration decides commands by.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;
use jiff::Timestamp;

use super::{AbsorbRule, noise};
use crate::{
    audit::Bar,
    auth::Caller,
    command::{Command, Reason},
    ids::CameraId,
    inventory::{Camera, Inventory, Regards},
    policy::{Decision, Engine},
    telemetry::{CameraMeter, Metrics},
};

/// Policies, cameras and the owner's exceptions of one configuration. Never changed: another configuration has
/// others, and a request is decided by one of them from its start to its end.
pub struct Rules {
    engine: Engine,
    inventory: Arc<Inventory>,
    absorb: Vec<AbsorbRule>,
    regards: Regards,
    /// Networks that clients log in from.
    networks: Vec<IpNet>,
    /// What is counted of each camera.
    meters: HashMap<CameraId, Arc<CameraMeter>>,
}

impl Rules {
    /// Decides with these policies about these cameras as they are held to be, and has that counted.
    pub fn new(engine: Engine, inventory: Arc<Inventory>, regards: Regards, metrics: &Metrics) -> Self {
        let meter = |id: &CameraId| (id.clone(), metrics.camera(id));
        let meters = inventory.cameras().map(|camera| meter(&camera.id)).collect();
        Self { engine, inventory, absorb: Vec::new(), regards, networks: Vec::new(), meters }
    }

    /// Tells denials of these as successes.
    pub fn absorbing(self, absorb: Vec<AbsorbRule>) -> Self {
        Self { absorb, ..self }
    }

    /// Expects clients from these networks.
    pub fn expecting(self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        // Most clients share theirs.
        let networks: BTreeSet<_> = networks.into_iter().collect();
        Self { networks: networks.into_iter().collect(), ..self }
    }

    /// Whether some client may log in from there.
    pub fn expects(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.networks.iter().any(|network| network.contains(&source))
    }

    /// What is enrolled.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The policies.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What is counted of a camera.
    pub fn meter(&self, id: &CameraId) -> Option<&Arc<CameraMeter>> {
        self.meters.get(id)
    }

    /// How many lines one source without credentials may have in a period.
    pub(super) fn lines_max(&self) -> u32 {
        noise::lines_max(self.meters.len())
    }

    /// Whether the caller would be permitted a command; gives no pass and records nothing. For what is shown
    /// as offered, never for what is done.
    pub fn would_permit(&self, command: &Command, caller: &Caller) -> bool {
        self.decide(command, caller).1.allow
    }

    /// Whether what was begun by a command may go on: it would be permitted, or let through by observe mode.
    pub fn may_go_on(&self, command: &Command, caller: &Caller, now: Timestamp) -> bool {
        let (camera, decision) = self.decide(command, caller);
        decision.allow || self.observes(command, caller, camera.as_deref(), now)
    }

    /// The camera a command is for, and what the policies say.
    pub(super) fn decide(&self, command: &Command, caller: &Caller) -> (Option<Cow<'_, Camera>>, Decision) {
        let camera = command.camera.as_ref().and_then(|id| self.camera(id));
        let decision = self.engine.decide(caller, command, camera.as_deref());
        let bar = camera.as_deref().filter(|_| decision.allow).and_then(|it| self.bar(it, caller));
        let decision = match bar {
            Some(bar) => decision.barred(bar.words()),
            None => decision,
        };
        (camera, decision)
    }

    /// Why a camera is served to nobody, whatever policies are in force; the shipped ones say the same by name. What
    /// the gateway asks to learn who it is goes on.
    pub(super) fn bar(&self, camera: &Camera, caller: &Caller) -> Option<Bar> {
        bar(&self.inventory, camera, caller)
    }

    /// Whether a camera, as it is to be treated now, is restricted, at a sensitive site, and has no exception that runs.
    pub fn lacks_exception(&self, camera: &Camera) -> bool {
        lacks_exception(&self.inventory, camera)
    }

    /// A camera as it is to be treated now.
    pub fn camera(&self, id: &CameraId) -> Option<Cow<'_, Camera>> {
        self.inventory.camera(id).map(|camera| self.regards.treated(camera))
    }

    /// How cameras are held to be.
    pub fn regards(&self) -> &Regards {
        &self.regards
    }

    /// Whether observe mode lets a denied command through. What is absorbed it does not: nobody waits for it.
    pub(super) fn observes(
        &self,
        command: &Command,
        caller: &Caller,
        camera: Option<&Camera>,
        now: Timestamp,
    ) -> bool {
        self.engine.observes(caller, command, camera, now)
            && !self.absorbs(command, caller)
            && camera.is_none_or(|camera| self.bar(camera, caller).is_none())
    }

    /// Whether a denied command is told as a success.
    pub(super) fn absorbs(&self, command: &Command, caller: &Caller) -> bool {
        self.absorb.iter().any(|it| it.absorbs(command, caller))
    }
}

/// Why a camera, as it is to be treated now, is served to nobody, as far as that is the camera's and its site's.
pub fn bar(inventory: &Inventory, camera: &Camera, caller: &Caller) -> Option<Bar> {
    match caller {
        Caller::Client { .. }
        | Caller::Anonymous { .. }
        | Caller::Gateway(Reason::Stream | Reason::Events) => {}
        Caller::Gateway(_) | Caller::Local { .. } => return None,
    }
    if camera.quarantined {
        return Some(Bar::Quarantine);
    }
    lacks_exception(inventory, camera).then_some(Bar::Exception)
}

fn lacks_exception(inventory: &Inventory, camera: &Camera) -> bool {
    camera.vendor.class.is_restricted()
        && camera.exception.is_none()
        && inventory.site(&camera.site).is_none_or(|site| site.sensitive)
}
