//! Namespaces and names as small numbers.

use std::collections::HashMap;

use super::tables::{NameId, NamespaceId};

/// All names of the tables. Namespace zero is "no namespace".
#[derive(Debug, Clone)]
pub(super) struct Names {
    namespaces: Vec<Box<str>>,
    namespace_index: HashMap<Box<str>, NamespaceId>,
    names: Vec<(NamespaceId, Box<str>)>,
    /// One map for each namespace, so that it can be asked with borrowed text.
    name_index: Vec<HashMap<Box<str>, NameId>>,
}

impl Default for Names {
    fn default() -> Self {
        let none: Box<str> = Box::from("");
        Self {
            namespaces: vec![none.clone()],
            namespace_index: HashMap::from([(none, NamespaceId(0))]),
            names: Vec::new(),
            name_index: vec![HashMap::new()],
        }
    }
}

impl Names {
    /// The namespace of that name, new if need be.
    pub(super) fn intern_namespace(&mut self, uri: &str) -> NamespaceId {
        if let Some(id) = self.namespace_index.get(uri) {
            return *id;
        }
        let id = NamespaceId(u16::try_from(self.namespaces.len()).unwrap_or(u16::MAX));
        self.namespaces.push(uri.into());
        self.namespace_index.insert(uri.into(), id);
        self.name_index.push(HashMap::new());
        id
    }

    /// The name, new if need be.
    pub(super) fn intern(&mut self, uri: &str, local: &str) -> NameId {
        let namespace = self.intern_namespace(uri);
        let next = NameId(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        let Some(index) = self.name_index.get_mut(namespace.index()) else { return next };
        if let Some(id) = index.get(local) {
            return *id;
        }
        index.insert(local.into(), next);
        self.names.push((namespace, local.into()));
        next
    }

    pub(super) fn namespace(&self, uri: &str) -> Option<NamespaceId> {
        self.namespace_index.get(uri).copied()
    }

    pub(super) fn uri(&self, id: NamespaceId) -> &str {
        self.namespaces.get(id.index()).map_or("", |uri| uri)
    }

    pub(super) fn name(&self, namespace: NamespaceId, local: &str) -> Option<NameId> {
        self.name_index.get(namespace.index())?.get(local).copied()
    }

    pub(super) fn local(&self, name: NameId) -> &str {
        self.names.get(name.index()).map_or("", |(_, local)| local)
    }

    pub(super) fn namespace_of(&self, name: NameId) -> NamespaceId {
        self.names.get(name.index()).map_or(NamespaceId(0), |(namespace, _)| *namespace)
    }

    /// The namespace name and the local name.
    pub(super) fn parts(&self, name: NameId) -> (&str, &str) {
        (self.uri(self.namespace_of(name)), self.local(name))
    }

    pub(super) fn namespaces(&self) -> impl Iterator<Item = (NamespaceId, &str)> {
        (0..).map(NamespaceId).zip(self.namespaces.iter().map(|uri| &**uri))
    }
}
