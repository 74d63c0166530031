//! The operation catalogue: from a request document to the [`Command`] that policy judges.
//!
//! Says what a request *is*: operation, class, the traits that hold for this very document, the places it
//! would make the camera send to. Whether it is allowed is not known here.

mod catalogue;
mod destinations;
mod dialects;
mod machines;
mod request;

pub use catalogue::{Catalogue, CommandError};
pub use destinations::{address_in, is_address, names_an_interface};
pub use dialects::{CONCRETE, CONCRETE_SET, ITEM_FILTER};
pub use machines::machines;
pub use request::with_movement_timeout;
