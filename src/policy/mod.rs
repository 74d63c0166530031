//! Cedar policies over a schema made from the catalogue: may this caller do this to this camera?
//!
//! Deny is the zero value: what no policy permits is denied, a `forbid` beats every `permit`, and when a policy
//! cannot be evaluated (Cedar would skip it) the whole decision is a denial. What the catalogue does not know is
//! denied before any policy is asked, so that no policy can permit it by accident.
//!
//! An [`Engine`] is made for one configuration and never changes.

mod cache;
mod circumstances;
mod difference;
mod engine;
mod entities;
mod expectations;
mod explain;
mod load;
mod losses;
mod observe;
mod operations;
#[cfg(feature = "prove")]
mod proof;
mod reads;
mod shipped;
mod vocabulary;
mod walk;

#[cfg(test)]
mod catalogue_tests;
#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;

pub use difference::{Change, Differences};
pub use engine::{Decision, Engine, PolicyError, RefusalKind, Summary};
pub use expectations::{Comparison, EXPECTATIONS, ExpectationError, Expectations};
pub use load::Problem;
pub use losses::{Loss, Losses, Side};
pub use operations::operation;
#[cfg(feature = "prove")]
pub use proof::{Proof, ProofError, RequestKind};
pub use shipped::SHIPPED;
