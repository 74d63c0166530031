//! What the gateway gives up before it serves.

use std::io;

use rustix::thread::{
    CapabilitySet, capabilities, clear_ambient_capability_set, set_capabilities, set_no_new_privs,
};

/// Keeps none of root's powers but to listen at ports below 1024, and none can be had again: whoever takes over this
/// process can enter no namespace, change no rule and read no file that the user's own rights do not open. To be called
/// before there are other threads.
///
/// # Errors
/// The kernel refused; it does not where nothing is to be given up.
pub(super) fn drop_privileges() -> io::Result<()> {
    set_no_new_privs(true)?;
    clear_ambient_capability_set()?;
    let mut sets = capabilities(None)?;
    sets.permitted &= CapabilitySet::NET_BIND_SERVICE;
    sets.effective = sets.permitted;
    sets.inheritable = CapabilitySet::empty();
    set_capabilities(None, sets)?;
    Ok(())
}
