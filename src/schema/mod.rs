//! The interface tables and the schema-driven document.
//!
//! `Tables` are loaded once from the WSDL and XSD files in `wsdl/` (embedded, or a folder given at start) and
//! the overlay beside them. A [`Document`] holds one message and can hold nothing the tables do not declare.
//! This room knows neither SOAP nor cameras, and does no I/O but reading a folder of tables.

pub mod address;
mod deviation;
mod document;
mod facts;
mod pattern;
mod simple;
mod tables;
pub mod xml;

pub use deviation::{Deviation, DeviationKind, Deviations};
pub use document::{
    BuildError, Builder, Document, Edit, Element, Refusal, RewriteError, Value, ValueKind, escape,
};
pub use facts::{AccessClass, AddressEffect, Trait, Traits};
pub use simple::ValueError;
pub use tables::{
    AddressKind, Builtin, Content, Facets, Model, NameId, NamespaceId, Node, NodeId, NodeKind, Occurs,
    Operation, OperationId, Particle, ParticleId, SimpleType, Tables, TypeId, Variety, Wildcard, WildcardId,
};
