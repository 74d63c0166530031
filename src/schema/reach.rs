//! Which declarations the messages need.

use std::collections::BTreeSet;

use super::{
    overlay::{Contents, Overlay},
    tables::NameId,
    wsdl::Services,
    xsd::{Attribute, Attributes, Declarations, Derivation, Kind, Part, TypeRef},
};

/// The global names the messages of bound port types need.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) messages: BTreeSet<NameId>,
    pub(super) elements: BTreeSet<NameId>,
    pub(super) attributes: BTreeSet<NameId>,
    pub(super) types: BTreeSet<NameId>,
    pub(super) groups: BTreeSet<NameId>,
    pub(super) attribute_groups: BTreeSet<NameId>,
}

impl Reach {
    /// Everything from the messages and from what the overlay allows in wildcards.
    pub(super) fn of(all: &Declarations, services: &Services, overlay: &Overlay) -> Self {
        let mut reach = Self::default();
        for port in services.port_types.iter().filter(|port| services.bindings.contains_key(&port.name)) {
            for operation in &port.operations {
                let messages = [Some(&operation.input), operation.output.as_ref()];
                for message in messages.into_iter().flatten() {
                    reach.messages.insert(message.message);
                    if let Some(element) = services.messages.get(&message.message) {
                        reach.element(all, *element);
                    }
                }
            }
        }
        overlay.documents.iter().for_each(|name| reach.element(all, *name));
        for contents in overlay.contents.values() {
            let (Contents::Elements(names) | Contents::Topics(names)) = contents;
            names.iter().for_each(|name| reach.element(all, *name));
        }
        reach
    }

    fn element(&mut self, all: &Declarations, name: NameId) {
        if self.elements.insert(name)
            && let Some(element) = all.elements.get(&name)
        {
            self.type_ref(all, element.of);
        }
    }

    fn type_ref(&mut self, all: &Declarations, of: TypeRef) {
        match of {
            TypeRef::Any | TypeRef::Builtin(_) => {}
            TypeRef::Named(name) => {
                if self.types.insert(name)
                    && let Some(of) = all.types.get(&name)
                {
                    self.type_ref(all, *of);
                }
            }
            TypeRef::Simple(index) => {
                let kind = all.simple.get(index).map(|simple| &simple.kind);
                match kind {
                    Some(Kind::Restriction(of) | Kind::List(of)) => self.type_ref(all, *of),
                    Some(Kind::Union(members)) => members.iter().for_each(|of| self.type_ref(all, *of)),
                    None => {}
                }
            }
            TypeRef::Complex(index) => {
                let Some(complex) = all.complex.get(index) else { return };
                match complex.derivation {
                    Derivation::None => {}
                    Derivation::Extension(of)
                    | Derivation::Restriction(of)
                    | Derivation::SimpleExtension(of) => {
                        self.type_ref(all, of);
                    }
                }
                complex.content.iter().for_each(|part| self.part(all, part));
                self.attributes(all, &complex.attributes);
            }
        }
    }

    fn part(&mut self, all: &Declarations, part: &Part) {
        match part {
            Part::Element(element) => self.type_ref(all, element.of),
            Part::Reference(name, _) => self.element(all, *name),
            Part::Group(name, _) => {
                if self.groups.insert(*name) {
                    all.groups.get(name).into_iter().for_each(|part| self.part(all, part));
                }
            }
            Part::Any(..) => {}
            Part::Sequence(_, held) | Part::Choice(_, held) => {
                held.iter().for_each(|part| self.part(all, part))
            }
        }
    }

    fn attributes(&mut self, all: &Declarations, attributes: &Attributes) {
        for one in &attributes.uses {
            match one {
                Attribute::Declared(_, of, _) => self.type_ref(all, *of),
                Attribute::Reference(name, _) => {
                    self.attributes.insert(*name);
                    all.attributes.get(name).into_iter().for_each(|of| self.type_ref(all, *of));
                }
                Attribute::Group(name) => {
                    if self.attribute_groups.insert(*name) {
                        all.attribute_groups
                            .get(name)
                            .into_iter()
                            .for_each(|group| self.attributes(all, group));
                    }
                }
            }
        }
    }
}
