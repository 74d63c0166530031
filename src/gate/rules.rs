//! What one configuration decides commands by.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;

use super::{AbsorbRule, noise};
use crate::{
    auth::Caller,
    command::Command,
    ids::CameraId,
    inventory::{Camera, Inventory},
    policy::{Decision, Engine},
    telemetry::{CameraMeter, Metrics},
};

/// Policies, cameras and the owner's exceptions of one configuration. Never changed: another configuration has
/// others, and a request is decided by one of them from its start to its end.
pub struct Rules {
    engine: Engine,
    inventory: Arc<Inventory>,
    absorb: Vec<AbsorbRule>,
    /// What is counted of each camera.
    meters: HashMap<CameraId, Arc<CameraMeter>>,
}

impl Rules {
    /// Decides with these policies about these cameras, and has that counted.
    pub fn new(engine: Engine, inventory: Arc<Inventory>, metrics: &Metrics) -> Self {
        let meter = |id: &CameraId| (id.clone(), metrics.camera(id));
        let meters = inventory.cameras().map(|camera| meter(&camera.id)).collect();
        Self { engine, inventory, absorb: Vec::new(), meters }
    }

    /// Tells denials of these as successes.
    pub fn absorbing(self, absorb: Vec<AbsorbRule>) -> Self {
        Self { absorb, ..self }
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
        decision.allow || self.observes(command, caller, camera, now)
    }

    /// The camera a command is for, and what the policies say.
    pub(super) fn decide(&self, command: &Command, caller: &Caller) -> (Option<&Camera>, Decision) {
        let camera = command.camera.as_ref().and_then(|id| self.inventory.camera(id));
        (camera, self.engine.decide(caller, command, camera))
    }

    /// Whether observe mode lets a denied command through. What is absorbed it does not: nobody waits for it.
    pub(super) fn observes(
        &self,
        command: &Command,
        caller: &Caller,
        camera: Option<&Camera>,
        now: Timestamp,
    ) -> bool {
        self.engine.observes(caller, command, camera, now) && !self.absorbs(command, caller)
    }

    /// Whether a denied command is told as a success.
    pub(super) fn absorbs(&self, command: &Command, caller: &Caller) -> bool {
        self.absorb.iter().any(|it| it.absorbs(command, caller))
    }
}
