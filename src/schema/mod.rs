//! The interface tables and the schema-driven document.
//!
//! `Tables` are loaded once from the WSDL and XSD files in `wsdl/` (embedded, or a folder given at start) and
//! the overlay beside them. A [`Document`] holds one message and can hold nothing the tables do not declare.
//! This room knows neither SOAP nor cameras, and does no I/O but reading a folder of tables.

pub mod address;
mod deviation;
mod distil;
mod document;
mod embedded;
mod expand;
mod facts;
mod load;
pub mod mend;
mod names;
mod overlay;
pub(crate) mod pattern;
mod print;
mod reach;
mod simple;
mod source;
pub mod spelling;
mod tables;
mod wsdl;
pub mod xml;
mod xsd;

pub use deviation::{Deviation, DeviationKind, Deviations};
pub use distil::{MadeFile, distil};
pub use document::{
    BuildError, Builder, Document, Edit, Element, Refusal, RewriteError, Value, ValueKind, escape,
};
pub(crate) use facts::words;
pub use facts::{AccessClass, AddressEffect, Trait, Traits, UnknownWord};
pub use load::LoadError;
pub use overlay::OverlayError;
pub use simple::ValueError;
pub use source::SourceError;
pub use tables::{
    AddressKind, Builtin, Content, Facets, Model, NameId, NamespaceId, Node, NodeId, NodeKind, Occurs,
    Operation, OperationId, Particle, ParticleId, SimpleType, Tables, TypeId, Variety, Wildcard, WildcardId,
};
