//! XML Schema: what is declared, by name. One namespace may come from several files; of two declarations of
//! one name the first counts.

use std::collections::HashMap;

use super::{
    names::Names,
    source::{At, SourceError, XSD},
    tables::{Builtin, Facets, NameId, Occurs},
};

const ONCE: Occurs = Occurs { min: 1, max: 1 };

/// All declarations of all files.
#[derive(Debug, Default)]
pub(super) struct Declarations {
    pub(super) names: Names,
    pub(super) elements: HashMap<NameId, Element>,
    pub(super) attributes: HashMap<NameId, TypeRef>,
    pub(super) types: HashMap<NameId, TypeRef>,
    pub(super) groups: HashMap<NameId, Part>,
    pub(super) attribute_groups: HashMap<NameId, Attributes>,
    pub(super) simple: Vec<Simple>,
    pub(super) complex: Vec<Complex>,
    /// The version each namespace's schema names.
    pub(super) versions: HashMap<Box<str>, Box<str>>,
}

/// A type, as an element or attribute refers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum TypeRef {
    Any,
    Builtin(Builtin),
    Named(NameId),
    Simple(usize),
    Complex(usize),
}

#[derive(Debug, Clone)]
pub(super) struct Element {
    pub(super) name: NameId,
    pub(super) of: TypeRef,
    pub(super) occurs: Occurs,
    pub(super) nillable: bool,
}

/// A part of a content model as declared.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Element(Element),
    Reference(NameId, Occurs),
    Group(NameId, Occurs),
    Any(Box<str>, Occurs),
    Sequence(Occurs, Vec<Part>),
    Choice(Occurs, Vec<Part>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Optional,
    Required,
    Prohibited,
}

#[derive(Debug, Clone)]
pub(super) enum Attribute {
    Declared(NameId, TypeRef, Use),
    Reference(NameId, Use),
    Group(NameId),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Attributes {
    pub(super) uses: Vec<Attribute>,
    pub(super) open: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Derivation {
    None,
    Extension(TypeRef),
    Restriction(TypeRef),
    /// Text with attributes.
    SimpleExtension(TypeRef),
}

#[derive(Debug, Clone)]
pub(super) struct Complex {
    pub(super) name: Option<NameId>,
    pub(super) mixed: bool,
    pub(super) derivation: Derivation,
    pub(super) content: Option<Part>,
    pub(super) attributes: Attributes,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Restriction(TypeRef),
    List(TypeRef),
    Union(Vec<TypeRef>),
}

#[derive(Debug, Clone)]
pub(super) struct Simple {
    pub(super) name: Option<NameId>,
    pub(super) kind: Kind,
    /// Without those of its base.
    pub(super) facets: Facets,
}

/// One `xs:schema` being read.
struct Schema<'d> {
    all: &'d mut Declarations,
    target: String,
    qualified: bool,
    qualified_attributes: bool,
}

impl Declarations {
    /// Adds what one `xs:schema` declares.
    pub(super) fn add(&mut self, schema: At<'_>) -> Result<(), SourceError> {
        let target = schema.attribute("targetNamespace").unwrap_or("").to_owned();
        if let Some(version) = schema.attribute("version") {
            self.versions.entry(target.as_str().into()).or_insert_with(|| version.into());
        }
        let qualified = schema.attribute("elementFormDefault") == Some("qualified");
        let qualified_attributes = schema.attribute("attributeFormDefault") == Some("qualified");
        Schema { all: self, target, qualified, qualified_attributes }.read(schema)
    }

    /// Declares a global element of a named type, unless it is declared already.
    pub(super) fn declare(&mut self, name: NameId, of: NameId) {
        let element = Element { name, of: TypeRef::Named(of), occurs: ONCE, nillable: false };
        self.elements.entry(name).or_insert(element);
    }

    /// The simple type at the end of a chain of names, if it is one.
    pub(super) fn resolve(&self, of: TypeRef) -> Option<TypeRef> {
        match of {
            TypeRef::Named(name) => self.types.get(&name).copied(),
            other => Some(other),
        }
    }
}

impl Schema<'_> {
    fn read(&mut self, schema: At<'_>) -> Result<(), SourceError> {
        for item in schema.children().filter(|item| item.namespace() == XSD) {
            match item.local() {
                "import" | "include" | "notation" => {}
                "element" => self.global_element(item)?,
                "attribute" => {
                    let name = self.global(item)?;
                    let of = self.type_of(item, TypeRef::Builtin(Builtin::AnySimpleType))?;
                    self.all.attributes.entry(name).or_insert(of);
                }
                "complexType" => self.global_type(item, Self::complex)?,
                "simpleType" => self.global_type(item, Self::simple)?,
                "group" => {
                    let name = self.global(item)?;
                    if let Some(part) = self.content(item)? {
                        self.all.groups.entry(name).or_insert(part);
                    }
                }
                "attributeGroup" => {
                    let name = self.global(item)?;
                    let attributes = self.attributes(item)?;
                    self.all.attribute_groups.entry(name).or_insert(attributes);
                }
                other => return Err(unsupported("schema", other)),
            }
        }
        Ok(())
    }

    fn global(&mut self, item: At<'_>) -> Result<NameId, SourceError> {
        Ok(self.all.names.intern(&self.target, item.needs("name")?))
    }

    fn global_element(&mut self, item: At<'_>) -> Result<(), SourceError> {
        let name = self.global(item)?;
        if !self.all.elements.contains_key(&name) {
            let of = self.type_of(item, TypeRef::Any)?;
            let nillable = is_true(item.attribute("nillable"));
            self.all.elements.insert(name, Element { name, of, occurs: ONCE, nillable });
        }
        Ok(())
    }

    fn global_type(
        &mut self,
        item: At<'_>,
        read: fn(&mut Self, At<'_>, Option<NameId>) -> Result<TypeRef, SourceError>,
    ) -> Result<(), SourceError> {
        let name = self.global(item)?;
        if !self.all.types.contains_key(&name) {
            let of = read(self, item, Some(name))?;
            self.all.types.insert(name, of);
        }
        Ok(())
    }

    /// The type an element or attribute names or holds.
    fn type_of(&mut self, item: At<'_>, default: TypeRef) -> Result<TypeRef, SourceError> {
        if let Some(name) = item.attribute("type") {
            return self.type_named(item, name);
        }
        for child in item.children() {
            match child.local() {
                "complexType" => return self.complex(child, None),
                "simpleType" => return self.simple(child, None),
                _ => {}
            }
        }
        Ok(default)
    }

    fn type_named(&mut self, item: At<'_>, name: &str) -> Result<TypeRef, SourceError> {
        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        let uri = item.uri_of(prefix).ok_or_else(|| SourceError::Prefix(name.to_owned()))?;
        if uri == XSD {
            return builtin(local).ok_or_else(|| SourceError::Unsupported(format!("uses the type `{name}`")));
        }
        Ok(TypeRef::Named(self.all.names.intern(uri, local)))
    }

    fn named(&mut self, item: At<'_>, name: &str) -> Result<NameId, SourceError> {
        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        let uri = item.uri_of(prefix).ok_or_else(|| SourceError::Prefix(name.to_owned()))?;
        Ok(self.all.names.intern(uri, local))
    }

    fn complex(&mut self, item: At<'_>, name: Option<NameId>) -> Result<TypeRef, SourceError> {
        let mut mixed = is_true(item.attribute("mixed"));
        let mut body = item;
        let mut derivation = Derivation::None;
        if let Some(wrapper) =
            item.children().find(|it| matches!(it.local(), "complexContent" | "simpleContent"))
        {
            mixed |= is_true(wrapper.attribute("mixed"));
            let inner = wrapper.children().next().ok_or_else(|| unsupported("complexType", "no content"))?;
            let base = self.type_named(inner, inner.needs("base")?)?;
            derivation = match (wrapper.local(), inner.local()) {
                ("complexContent", "extension") => Derivation::Extension(base),
                ("complexContent", "restriction") => Derivation::Restriction(base),
                ("simpleContent", "extension") => Derivation::SimpleExtension(base),
                (_, other) => return Err(unsupported("simpleContent", other)),
            };
            body = inner;
        }
        let content = self.content(body)?;
        let attributes = self.attributes(body)?;
        let id = self.all.complex.len();
        self.all.complex.push(Complex { name, mixed, derivation, content, attributes });
        Ok(TypeRef::Complex(id))
    }

    /// The one group inside a type or a group.
    fn content(&mut self, item: At<'_>) -> Result<Option<Part>, SourceError> {
        for child in item.children() {
            if matches!(child.local(), "sequence" | "choice" | "group" | "all") {
                return self.part(child).map(Some);
            }
        }
        Ok(None)
    }

    fn part(&mut self, item: At<'_>) -> Result<Part, SourceError> {
        let occurs = occurs(item)?;
        Ok(match item.local() {
            "element" => match item.attribute("ref") {
                Some(name) => Part::Reference(self.named(item, name)?, occurs),
                None => Part::Element(self.local_element(item, occurs)?),
            },
            "any" => Part::Any(item.attribute("namespace").unwrap_or("##any").into(), occurs),
            "group" => Part::Group(self.named(item, item.needs("ref")?)?, occurs),
            "sequence" => Part::Sequence(occurs, self.parts(item)?),
            "choice" => Part::Choice(occurs, self.parts(item)?),
            other => return Err(unsupported("content model", other)),
        })
    }

    fn parts(&mut self, item: At<'_>) -> Result<Vec<Part>, SourceError> {
        item.children().filter(|it| it.namespace() == XSD).map(|it| self.part(it)).collect()
    }

    fn local_element(&mut self, item: At<'_>, occurs: Occurs) -> Result<Element, SourceError> {
        let qualified = item.attribute("form").map_or(self.qualified, |form| form == "qualified");
        let uri = if qualified { self.target.as_str() } else { "" };
        let name = self.all.names.intern(uri, item.needs("name")?);
        let of = self.type_of(item, TypeRef::Any)?;
        Ok(Element { name, of, occurs, nillable: is_true(item.attribute("nillable")) })
    }

    fn attributes(&mut self, item: At<'_>) -> Result<Attributes, SourceError> {
        let mut found = Attributes::default();
        for child in item.children() {
            match child.local() {
                "attribute" => {
                    let one = self.attribute(child)?;
                    found.uses.push(one);
                }
                "attributeGroup" => {
                    found.uses.push(Attribute::Group(self.named(child, child.needs("ref")?)?))
                }
                "anyAttribute" => found.open = true,
                _ => {}
            }
        }
        Ok(found)
    }

    fn attribute(&mut self, item: At<'_>) -> Result<Attribute, SourceError> {
        let how = match item.attribute("use") {
            Some("required") => Use::Required,
            Some("prohibited") => Use::Prohibited,
            _ => Use::Optional,
        };
        if let Some(name) = item.attribute("ref") {
            return Ok(Attribute::Reference(self.named(item, name)?, how));
        }
        let qualified = item.attribute("form").map_or(self.qualified_attributes, |form| form == "qualified");
        let uri = if qualified { self.target.as_str() } else { "" };
        let name = self.all.names.intern(uri, item.needs("name")?);
        let of = self.type_of(item, TypeRef::Builtin(Builtin::AnySimpleType))?;
        Ok(Attribute::Declared(name, of, how))
    }

    fn simple(&mut self, item: At<'_>, name: Option<NameId>) -> Result<TypeRef, SourceError> {
        let inner = item.children().next().ok_or_else(|| unsupported("simpleType", "no content"))?;
        let held = self.held_types(inner)?;
        let kind = match inner.local() {
            "restriction" => Kind::Restriction(match (inner.attribute("base"), held.first()) {
                (Some(base), _) => self.type_named(inner, base)?,
                (None, Some(base)) => *base,
                (None, None) => return Err(unsupported("restriction", "no base")),
            }),
            "list" => Kind::List(match (inner.attribute("itemType"), held.first()) {
                (Some(item), _) => self.type_named(inner, item)?,
                (None, Some(item)) => *item,
                (None, None) => return Err(unsupported("list", "no item type")),
            }),
            "union" => {
                let words = inner.attribute("memberTypes").unwrap_or("").split_whitespace();
                let mut members = Vec::new();
                for word in words {
                    members.push(self.type_named(inner, word)?);
                }
                members.extend(held);
                Kind::Union(members)
            }
            other => return Err(unsupported("simpleType", other)),
        };
        let facets = facets(inner)?;
        let id = self.all.simple.len();
        self.all.simple.push(Simple { name, kind, facets });
        Ok(TypeRef::Simple(id))
    }

    fn held_types(&mut self, item: At<'_>) -> Result<Vec<TypeRef>, SourceError> {
        item.named(XSD, "simpleType").map(|it| self.simple(it, None)).collect()
    }
}

fn facets(item: At<'_>) -> Result<Facets, SourceError> {
    let mut facets = Facets::default();
    let mut patterns: Vec<&str> = Vec::new();
    for child in item.children() {
        let value = child.attribute("value").unwrap_or("");
        match child.local() {
            "enumeration" => facets.enumeration.push(value.into()),
            "length" => facets.length = Some(number(value)?),
            "minLength" => facets.min_length = Some(number(value)?),
            "maxLength" => facets.max_length = Some(number(value)?),
            "minInclusive" => facets.min_inclusive = Some(value.into()),
            "maxInclusive" => facets.max_inclusive = Some(value.into()),
            "pattern" => patterns.push(value),
            // What white space means is said by the built-in type.
            "whiteSpace" | "simpleType" | "attribute" | "attributeGroup" | "anyAttribute" => {}
            other => return Err(unsupported("restriction", other)),
        }
    }
    // Patterns of one step are alternatives, those of different steps all hold (XSD Part 2 §4.3.4.3).
    match patterns.as_slice() {
        [] => {}
        [one] => facets.patterns.push((*one).into()),
        several => facets.patterns.push(format!("({})", several.join(")|(")).into()),
    }
    Ok(facets)
}

fn occurs(item: At<'_>) -> Result<Occurs, SourceError> {
    let min = item.attribute("minOccurs").map_or(Ok(1), number)?;
    let max = match item.attribute("maxOccurs") {
        Some("unbounded") => u32::MAX,
        Some(max) => number(max)?,
        None => 1,
    };
    Ok(Occurs { min, max })
}

fn number(text: &str) -> Result<u32, SourceError> {
    text.trim().parse().map_err(|_| SourceError::Unsupported(format!("has `{text}` where a number stands")))
}

fn is_true(text: Option<&str>) -> bool {
    matches!(text, Some("true" | "1"))
}

fn unsupported(place: &str, what: &str) -> SourceError {
    SourceError::Unsupported(format!("has `{what}` in a {place}, which the tables cannot hold"))
}

/// The built-in types and their names.
pub(super) const BUILTINS: &[(&str, Builtin)] = &[
    ("anySimpleType", Builtin::AnySimpleType),
    ("string", Builtin::String),
    ("normalizedString", Builtin::NormalizedString),
    ("token", Builtin::Token),
    ("language", Builtin::Language),
    ("Name", Builtin::Name),
    ("NCName", Builtin::NcName),
    ("ID", Builtin::Id),
    ("IDREF", Builtin::IdRef),
    ("IDREFS", Builtin::IdRefs),
    ("NMTOKEN", Builtin::NmToken),
    ("NMTOKENS", Builtin::NmTokens),
    ("anyURI", Builtin::AnyUri),
    ("QName", Builtin::QName),
    ("boolean", Builtin::Boolean),
    ("decimal", Builtin::Decimal),
    ("integer", Builtin::Integer),
    ("nonNegativeInteger", Builtin::NonNegativeInteger),
    ("positiveInteger", Builtin::PositiveInteger),
    ("nonPositiveInteger", Builtin::NonPositiveInteger),
    ("negativeInteger", Builtin::NegativeInteger),
    ("long", Builtin::Long),
    ("int", Builtin::Int),
    ("short", Builtin::Short),
    ("byte", Builtin::Byte),
    ("unsignedLong", Builtin::UnsignedLong),
    ("unsignedInt", Builtin::UnsignedInt),
    ("unsignedShort", Builtin::UnsignedShort),
    ("unsignedByte", Builtin::UnsignedByte),
    ("float", Builtin::Float),
    ("double", Builtin::Double),
    ("duration", Builtin::Duration),
    ("dateTime", Builtin::DateTime),
    ("date", Builtin::Date),
    ("time", Builtin::Time),
    ("gYear", Builtin::GYear),
    ("base64Binary", Builtin::Base64Binary),
    ("hexBinary", Builtin::HexBinary),
];

fn builtin(local: &str) -> Option<TypeRef> {
    if local == "anyType" {
        return Some(TypeRef::Any);
    }
    built_in(local).map(TypeRef::Builtin)
}

/// The simple type of XSD's own with a name.
pub(super) fn built_in(local: &str) -> Option<Builtin> {
    BUILTINS.iter().find(|(name, _)| *name == local).map(|(_, builtin)| *builtin)
}
