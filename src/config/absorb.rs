//! `[[absorb]]`.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    raw,
    reader::{Declared, Reader},
};
use crate::{
    facade::empty_success,
    gate::AbsorbRule,
    ids::{CameraId, ClientId},
    schema::{AccessClass, Tables, Trait},
};

impl Reader<'_> {
    pub(super) fn absorb(
        &mut self,
        raw: raw::Absorb,
        clients: &Declared,
        cameras: &Declared,
    ) -> Option<AbsorbRule> {
        let tables = match Tables::embedded() {
            Ok(tables) => tables,
            Err(error) => {
                let what = format!("the interface tables of the program cannot be used: {error}");
                let remedy = "report it: this program is broken, the configuration is not";
                self.error(raw.operations.span(), &what, remedy);
                return None;
            }
        };
        if raw.operations.get_ref().is_empty() {
            let remedy = "list operations such as \"tds:SetNTP\", or remove the section";
            self.error(raw.operations.span(), "this absorbs nothing", remedy);
        }
        let operations =
            raw.operations.get_ref().iter().filter_map(|it| self.absorbed(it, &tables)).collect();
        let clients: Option<BTreeSet<_>> = raw
            .clients
            .map(|names| names.iter().filter_map(|name| self.refer(name, clients, ClientId::new)).collect());
        let cameras: Option<BTreeSet<_>> = raw
            .cameras
            .map(|names| names.iter().filter_map(|name| self.refer(name, cameras, CameraId::new)).collect());
        Some(AbsorbRule { operations, clients, cameras })
    }

    /// An operation that may be absorbed.
    fn absorbed(&mut self, text: &raw::Text, tables: &Arc<Tables>) -> Option<String> {
        let name = text.get_ref();
        let Some(id) = tables.operation_by_name(name) else {
            let what = format!("there is no operation `{name}`");
            self.error(text.span(), &what, "write it with its prefix, as tds:SetNTP");
            return None;
        };
        let row = tables.operation(id)?;
        let is_read = matches!(
            row.class,
            Some(
                AccessClass::PreAuth
                    | AccessClass::ReadSystem
                    | AccessClass::ReadSystemSensitive
                    | AccessClass::ReadSystemSecret
                    | AccessClass::ReadMedia
            )
        );
        if row.traits.iter().any(|it| it == Trait::Users) {
            let what = format!("`{name}` is about users and passwords, which are managed in Cordon");
            self.error(
                text.span(),
                &what,
                "take it out: who changes a password must learn that it did not change",
            );
        } else if is_read || empty_success(tables, id).is_none() {
            let what = format!("`{name}` has an answer that cannot be empty");
            self.error(text.span(), &what, "take it out: only writes without an answer can be absorbed");
        }
        Some(name.clone())
    }
}
