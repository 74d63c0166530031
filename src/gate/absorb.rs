//! Reflex writes: what some clients send unasked (the time, a name, an encoder's settings), and take a refusal of
//! for a broken camera. A denial of these can be told as an empty success. It stays a denial, on record as such,
//! and nothing reaches the camera.

use std::collections::BTreeSet;

use crate::{
    auth::Caller,
    command::{Command, Operation},
    ids::{CameraId, ClientId},
    schema::Trait,
};

/// One rule of the owner's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsorbRule {
    /// The operations, as `tds:SetNTP`.
    pub operations: BTreeSet<String>,
    /// Whose; everybody's who has logged in if absent.
    pub clients: Option<BTreeSet<ClientId>>,
    /// At which cameras; at all if absent.
    pub cameras: Option<BTreeSet<CameraId>>,
}

impl AbsorbRule {
    /// Whether a denied command is told as a success. Never one about users and passwords: who changes a
    /// password must learn that it did not change.
    pub(super) fn absorbs(&self, command: &Command, caller: &Caller) -> bool {
        let (Operation::Onvif { name, .. }, Some(client), Some(camera)) =
            (&command.operation, caller.client(), &command.camera)
        else {
            return false;
        };
        self.operations.contains(&**name)
            && !command.traits.iter().any(|it| it == Trait::Users)
            && self.clients.as_ref().is_none_or(|clients| clients.contains(client))
            && self.cameras.as_ref().is_none_or(|cameras| cameras.contains(camera))
    }
}
