//! What one configuration decides commands by.

use std::sync::Arc;

use super::AbsorbRule;
use crate::{
    auth::Caller,
    command::Command,
    inventory::{Camera, Inventory},
    policy::{Decision, Engine},
};

/// Policies, cameras and the owner's exceptions of one configuration. Never changed: another configuration has
/// others, and a request is decided by one of them from its start to its end.
pub struct Rules {
    engine: Engine,
    inventory: Arc<Inventory>,
    absorb: Vec<AbsorbRule>,
}

impl Rules {
    /// Decides with these policies about these cameras.
    pub fn new(engine: Engine, inventory: Arc<Inventory>) -> Self {
        Self { engine, inventory, absorb: Vec::new() }
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

    /// Whether the caller would be permitted a command; gives no pass and records nothing. For what is shown
    /// as offered, never for what is done.
    pub fn would_permit(&self, command: &Command, caller: &Caller) -> bool {
        self.decide(command, caller).1.allow
    }

    /// The camera a command is for, and what the policies say.
    pub(super) fn decide(&self, command: &Command, caller: &Caller) -> (Option<&Camera>, Decision) {
        let camera = command.camera.as_ref().and_then(|id| self.inventory.camera(id));
        (camera, self.engine.decide(caller, command, camera))
    }

    /// Whether a denied command is told as a success.
    pub(super) fn absorbs(&self, command: &Command, caller: &Caller) -> bool {
        self.absorb.iter().any(|it| it.absorbs(command, caller))
    }
}
