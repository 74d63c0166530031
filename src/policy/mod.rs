//! Cedar policies over a schema made from the catalogue.
