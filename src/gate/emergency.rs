//! What goes on while the log cannot be written.
//!
//! A camera that moves must be stopped: nobody is served by a camera that turns away because a disk is full.
//! Such a command is decided as ever and recorded in the emergency journal instead, before it is sent.

use crate::command::Operation;

/// Whether a command may go on when it is recorded in the emergency journal only: it ends a movement, or keeps
/// a running session alive, and begins nothing.
pub fn goes_on(operation: &Operation) -> bool {
    matches!(operation, Operation::Onvif { name, .. } if GOING_ON.contains(&&**name))
}

/// ONVIF PTZ, Imaging (focus) and Provisioning (motors) stop what moves; WS-BaseNotification keeps a subscription.
const GOING_ON: [&str; 4] = ["tptz:Stop", "timg:Stop", "tpv:Stop", "wsntw:Renew"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Tables;

    #[test]
    fn every_operation_that_goes_on_is_declared() {
        let tables = Tables::embedded().unwrap();
        for name in GOING_ON {
            assert!(tables.operation_by_name(name).is_some(), "{name}");
        }
    }
}
