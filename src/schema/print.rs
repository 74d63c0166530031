//! Prints declarations as XML Schema: the facts only, in one layout.

use std::collections::BTreeSet;

use super::{
    names::Names,
    source::XSD,
    tables::{NameId, NamespaceId, Occurs},
    xsd::{
        Attribute, Attributes, BUILTINS, Complex, Declarations, Derivation, Element, Kind, Part, TypeRef, Use,
    },
};

/// XML being written: lines with their depth, and the namespaces whose prefixes stand in it.
pub(super) struct Printer<'d> {
    pub(super) all: &'d Declarations,
    pub(super) prefixes: &'d [Box<str>],
    /// The namespace the declarations belong to.
    pub(super) target: NamespaceId,
    pub(super) used: BTreeSet<NamespaceId>,
    pub(super) out: String,
    pub(super) depth: usize,
}

impl Printer<'_> {
    /// A start tag, what it holds, and its end tag; an empty-element tag if it holds nothing.
    pub(super) fn tag(&mut self, name: &str, attributes: &[(&str, &str)], inner: impl FnOnce(&mut Self)) {
        self.out.extend(std::iter::repeat_n("  ", self.depth));
        self.out.push('<');
        self.out.push_str(name);
        for (key, value) in attributes.iter().filter(|(key, _)| !key.is_empty()) {
            self.out.push_str(&format!(" {key}=\"{}\"", escaped(value)));
        }
        self.out.push_str(">\n");
        let body = self.out.len();
        self.depth += 1;
        inner(self);
        self.depth -= 1;
        if self.out.len() == body {
            self.out.truncate(body.saturating_sub(2));
            self.out.push_str("/>\n");
        } else {
            self.out.extend(std::iter::repeat_n("  ", self.depth));
            self.out.push_str(&format!("</{name}>\n"));
        }
    }

    /// A name as it stands in a value: `tt:Profile`.
    pub(super) fn qualified(&mut self, name: NameId) -> String {
        let namespace = self.names().namespace_of(name);
        self.used.insert(namespace);
        let prefix = self.prefixes.get(namespace.index()).map_or("", |prefix| prefix);
        format!("{prefix}:{}", self.names().local(name))
    }

    pub(super) fn global_element(&mut self, name: NameId) {
        if let Some(element) = self.all.elements.get(&name) {
            self.element(element, true);
        }
    }

    pub(super) fn global_attribute(&mut self, name: NameId) {
        if let Some(of) = self.all.attributes.get(&name) {
            let local = self.names().local(name).to_owned();
            self.typed("xs:attribute", vec![("name", local)], *of);
        }
    }

    pub(super) fn global_type(&mut self, name: NameId) {
        if let Some(of) = self.all.types.get(&name) {
            self.inner_type(*of);
        }
    }

    pub(super) fn group(&mut self, name: NameId) {
        if let Some(part) = self.all.groups.get(&name) {
            let local = self.names().local(name).to_owned();
            self.tag("xs:group", &[("name", &local)], |it| it.part(part));
        }
    }

    pub(super) fn attribute_group(&mut self, name: NameId) {
        if let Some(attributes) = self.all.attribute_groups.get(&name) {
            let local = self.names().local(name).to_owned();
            self.tag("xs:attributeGroup", &[("name", &local)], |it| it.attributes(attributes));
        }
    }

    fn names(&self) -> &Names {
        &self.all.names
    }

    fn element(&mut self, element: &Element, global: bool) {
        let mut attributes = vec![("name", self.names().local(element.name).to_owned())];
        if !global && self.names().namespace_of(element.name) != self.target {
            attributes.push(("form", "unqualified".to_owned()));
        }
        attributes.extend(occurs(element.occurs));
        if element.nillable {
            attributes.push(("nillable", "true".to_owned()));
        }
        self.typed("xs:element", attributes, element.of);
    }

    /// A tag whose type is named in it or stands inside it.
    fn typed(&mut self, tag: &str, mut attributes: Vec<(&str, String)>, of: TypeRef) {
        match self.type_name(of) {
            Some(name) => {
                attributes.push(("type", name));
                self.tag(tag, &borrowed(&attributes), |_| {});
            }
            None => self.tag(tag, &borrowed(&attributes), |it| it.inner_type(of)),
        }
    }

    fn type_name(&mut self, of: TypeRef) -> Option<String> {
        match of {
            TypeRef::Any => Some("xs:anyType".to_owned()),
            TypeRef::Builtin(builtin) => {
                BUILTINS.iter().find(|(_, known)| *known == builtin).map(|(name, _)| format!("xs:{name}"))
            }
            TypeRef::Named(name) => Some(self.qualified(name)),
            TypeRef::Simple(_) | TypeRef::Complex(_) => None,
        }
    }

    fn inner_type(&mut self, of: TypeRef) {
        match of {
            TypeRef::Simple(index) => self.simple(index),
            TypeRef::Complex(index) => {
                if let Some(complex) = self.all.complex.get(index) {
                    self.complex(complex);
                }
            }
            TypeRef::Any | TypeRef::Builtin(_) | TypeRef::Named(_) => {}
        }
    }

    fn complex(&mut self, complex: &Complex) {
        let mut attributes = Vec::new();
        attributes.extend(complex.name.map(|name| ("name", self.names().local(name).to_owned())));
        if complex.mixed {
            attributes.push(("mixed", "true".to_owned()));
        }
        let (wrapper, how, base) = match complex.derivation {
            Derivation::None => ("", "", None),
            Derivation::Extension(base) => ("xs:complexContent", "xs:extension", Some(base)),
            Derivation::Restriction(base) => ("xs:complexContent", "xs:restriction", Some(base)),
            Derivation::SimpleExtension(base) => ("xs:simpleContent", "xs:extension", Some(base)),
        };
        let base = base.and_then(|base| self.type_name(base)).unwrap_or_default();
        self.tag("xs:complexType", &borrowed(&attributes), |it| {
            if wrapper.is_empty() {
                it.body(complex);
            } else {
                it.tag(wrapper, &[], |it| it.tag(how, &[("base", &base)], |it| it.body(complex)));
            }
        });
    }

    fn body(&mut self, complex: &Complex) {
        complex.content.iter().for_each(|part| self.part(part));
        self.attributes(&complex.attributes);
    }

    fn part(&mut self, part: &Part) {
        match part {
            Part::Element(element) => self.element(element, false),
            Part::Reference(name, many) => self.reference("xs:element", *name, *many),
            Part::Group(name, many) => self.reference("xs:group", *name, *many),
            Part::Any(namespace, many) => {
                let mut attributes =
                    vec![("namespace", namespace.to_string()), ("processContents", "lax".to_owned())];
                attributes.extend(occurs(*many));
                self.tag("xs:any", &borrowed(&attributes), |_| {});
            }
            Part::Sequence(many, held) => {
                self.tag("xs:sequence", &borrowed(&occurs(*many)), |it| it.parts(held))
            }
            Part::Choice(many, held) => self.tag("xs:choice", &borrowed(&occurs(*many)), |it| it.parts(held)),
        }
    }

    fn parts(&mut self, parts: &[Part]) {
        parts.iter().for_each(|part| self.part(part));
    }

    fn reference(&mut self, tag: &str, name: NameId, many: Occurs) {
        let mut attributes = vec![("ref", self.qualified(name))];
        attributes.extend(occurs(many));
        self.tag(tag, &borrowed(&attributes), |_| {});
    }

    fn attributes(&mut self, attributes: &Attributes) {
        for one in &attributes.uses {
            match one {
                Attribute::Declared(name, of, how) => {
                    let mut words = vec![("name", self.names().local(*name).to_owned())];
                    if self.names().namespace_of(*name) != NamespaceId(0) {
                        words.push(("form", "qualified".to_owned()));
                    }
                    words.extend(use_of(*how));
                    self.typed("xs:attribute", words, *of);
                }
                Attribute::Reference(name, how) => {
                    let mut words = vec![("ref", self.qualified(*name))];
                    words.extend(use_of(*how));
                    self.tag("xs:attribute", &borrowed(&words), |_| {});
                }
                Attribute::Group(name) => {
                    let name = self.qualified(*name);
                    self.tag("xs:attributeGroup", &[("ref", &name)], |_| {});
                }
            }
        }
        if attributes.open {
            self.tag("xs:anyAttribute", &[("processContents", "lax")], |_| {});
        }
    }

    fn simple(&mut self, index: usize) {
        let Some(simple) = self.all.simple.get(index) else { return };
        let name = simple.name.map(|name| self.names().local(name).to_owned());
        let attributes: Vec<_> = name.iter().map(|name| ("name", name.as_str())).collect();
        self.tag("xs:simpleType", &attributes, |it| match &simple.kind {
            Kind::Restriction(base) => it.derived("xs:restriction", "base", *base, |it| it.facets(index)),
            Kind::List(item) => it.derived("xs:list", "itemType", *item, |_| {}),
            Kind::Union(members) => {
                let names: Vec<String> = members.iter().filter_map(|of| it.type_name(*of)).collect();
                let named = names.join(" ");
                let attributes = [(if named.is_empty() { "" } else { "memberTypes" }, named.as_str())];
                it.tag("xs:union", &attributes, |it| members.iter().for_each(|of| it.inner_type(*of)));
            }
        });
    }

    fn derived(&mut self, tag: &str, key: &str, base: TypeRef, facets: impl FnOnce(&mut Self)) {
        let name = self.type_name(base).unwrap_or_default();
        let key = if name.is_empty() { "" } else { key };
        self.tag(tag, &[(key, &name)], |it| {
            it.inner_type(base);
            facets(it);
        });
    }

    fn facets(&mut self, index: usize) {
        let Some(facets) = self.all.simple.get(index).map(|simple| &simple.facets) else { return };
        let lengths =
            [("length", facets.length), ("minLength", facets.min_length), ("maxLength", facets.max_length)];
        let mut lines: Vec<(&str, String)> = Vec::new();
        lines.extend(lengths.iter().filter_map(|(name, value)| Some((*name, (*value)?.to_string()))));
        lines.extend(facets.min_inclusive.iter().map(|value| ("minInclusive", value.to_string())));
        lines.extend(facets.max_inclusive.iter().map(|value| ("maxInclusive", value.to_string())));
        lines.extend(facets.patterns.iter().map(|value| ("pattern", value.to_string())));
        lines.extend(facets.enumeration.iter().map(|value| ("enumeration", value.to_string())));
        for (name, value) in lines {
            self.tag(&format!("xs:{name}"), &[("value", &value)], |_| {});
        }
    }
}

/// Namespaces that need an `xs:import`.
pub(super) fn imported(names: &Names, used: &BTreeSet<NamespaceId>, target: NamespaceId) -> Vec<NamespaceId> {
    let foreign = |id: &&NamespaceId| **id != target && !["", XSD].contains(&names.uri(**id));
    used.iter().filter(foreign).copied().collect()
}

fn occurs(many: Occurs) -> Vec<(&'static str, String)> {
    let mut words = Vec::new();
    if many.min != 1 {
        words.push(("minOccurs", many.min.to_string()));
    }
    match many.max {
        1 => {}
        u32::MAX => words.push(("maxOccurs", "unbounded".to_owned())),
        max => words.push(("maxOccurs", max.to_string())),
    }
    words
}

fn use_of(how: Use) -> Option<(&'static str, String)> {
    match how {
        Use::Optional => None,
        Use::Required => Some(("use", "required".to_owned())),
        Use::Prohibited => Some(("use", "prohibited".to_owned())),
    }
}

fn borrowed<'a>(words: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    words.iter().map(|(key, value)| (*key, value.as_str())).collect()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            '\u{7f}' => out.push_str("&#x7F;"),
            letter if letter.is_control() => out.push_str(&format!("&#x{:X};", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out
}
