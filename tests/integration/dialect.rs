//! Says a message as other firmware would: the same elements in other words, and things of its own among them.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::mutate::Random;

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";
const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// Namespaces that makers made up.
const MAKERS: [&str; 4] =
    ["urn:maker", "http://www.maker.example/ver20/XMLSchema", "", "http://www.onvif.org/ver10/schema"];

/// A message as a list of its elements, the outermost first.
#[derive(Debug, Clone)]
pub struct Message {
    elements: Vec<Element>,
}

#[derive(Debug, Clone, Default)]
struct Element {
    name: Name,
    attributes: Vec<(Name, String)>,
    inside: Vec<Inside>,
}

/// A namespace and a local name.
#[derive(Debug, Clone, Default, PartialEq)]
struct Name(String, String);

#[derive(Debug, Clone)]
enum Inside {
    Element(usize),
    Text(String),
}

/// Where a text stands: an element, and its attribute if it is one's.
#[derive(Debug, Clone, Copy)]
pub struct Place(usize, Option<usize>);

impl Message {
    /// Reads a message with a reader that is not the gateway's; none if that cannot.
    pub fn read(text: &str) -> Option<Self> {
        let document = roxmltree::Document::parse(text).ok()?;
        let mut message = Self { elements: Vec::new() };
        message.take(document.root_element());
        Some(message)
    }

    fn take(&mut self, node: roxmltree::Node<'_, '_>) -> usize {
        let name =
            |uri: Option<&str>, local: &str| Name(uri.unwrap_or_default().to_owned(), local.to_owned());
        let at = self.elements.len();
        self.elements.push(Element {
            name: name(node.tag_name().namespace(), node.tag_name().name()),
            attributes: node
                .attributes()
                .map(|it| (name(it.namespace(), it.name()), it.value().to_owned()))
                .collect(),
            inside: Vec::new(),
        });
        for child in node.children() {
            let inside = if child.is_element() {
                Inside::Element(self.take(child))
            } else if let Some(text) = child.text().filter(|_| child.is_text()) {
                Inside::Text(text.to_owned())
            } else {
                continue;
            };
            self.elements[at].inside.push(inside);
        }
        at
    }

    /// The places of all texts of the body: elements that hold none, and attributes.
    pub fn places(&self) -> Vec<Place> {
        let is_leaf = |it: &Element| it.inside.iter().all(|it| matches!(it, Inside::Text(_)));
        let mut places = Vec::new();
        for at in self.body()..self.elements.len() {
            let element = &self.elements[at];
            places.extend(Some(Place(at, None)).filter(|_| is_leaf(element)));
            let own = |(number, (name, _)): (usize, &(Name, String))| {
                Some(Place(at, Some(number))).filter(|_| name.0 != XSI)
            };
            places.extend(element.attributes.iter().enumerate().filter_map(own));
        }
        places
    }

    /// Where the content of the body begins.
    fn body(&self) -> usize {
        let is_body = |it: &Element| it.name.1 == "Body" && [SOAP12, SOAP11].contains(&&*it.name.0);
        self.elements.iter().position(is_body).map_or(0, |at| at + 1).min(self.elements.len() - 1)
    }

    pub fn text(&self, Place(at, attribute): Place) -> String {
        let element = &self.elements[at];
        match attribute {
            Some(number) => element.attributes[number].1.clone(),
            None => {
                element.inside.iter().map(|it| if let Inside::Text(text) = it { text } else { "" }).collect()
            }
        }
    }

    /// The local name of the element or attribute.
    pub fn local(&self, Place(at, attribute): Place) -> &str {
        let element = &self.elements[at];
        attribute.map_or(&element.name.1, |number| &element.attributes[number].0.1)
    }

    pub fn put(&mut self, Place(at, attribute): Place, text: String) {
        let element = &mut self.elements[at];
        match attribute {
            Some(number) => element.attributes[number].1 = text,
            None => element.inside = vec![Inside::Text(text)],
        }
    }

    /// Adds an element or attribute of a maker's own with a text, or a block in the header.
    pub fn add_own(&mut self, text: &str, random: &mut Random) {
        let first = self.body();
        let at = first + random.below(self.elements.len() - first);
        let name = Name(random.pick(&MAKERS).to_owned(), "MakersOwn".to_owned());
        if random.below(2) == 0 {
            let element = &mut self.elements[at];
            if !element.attributes.iter().any(|it| it.0 == name) {
                element.attributes.push((name, text.to_owned()));
            }
            return;
        }
        let new = self.elements.len();
        let inside = vec![Inside::Text(text.to_owned())];
        let attributes = vec![(Name(String::new(), "uri".to_owned()), text.to_owned())];
        self.elements.push(Element { name, attributes, inside });
        let place = random.below(self.elements[at].inside.len() + 1);
        self.elements[at].inside.insert(place, Inside::Element(new));
    }

    /// Changes the message in one of the ways in which firmware leaves the interface.
    pub fn stray(&mut self, random: &mut Random) {
        let first = self.body();
        let at = first + random.below(self.elements.len() - first);
        let places = self.places();
        let place = places[random.below(places.len())];
        let element = &mut self.elements[at];
        match random.below(8) {
            0 => {
                for last in (1..element.inside.len()).rev() {
                    element.inside.swap(last, random.below(last + 1));
                }
            }
            1 => {
                element.inside.clear();
                element.attributes.push((Name(XSI.to_owned(), "nil".to_owned()), "true".to_owned()));
                let nil = element.attributes.len() - 1;
                if element.attributes[..nil].iter().any(|it| it.0 == element.attributes[nil].0) {
                    element.attributes.pop();
                }
            }
            2 => self.put(place, String::new()),
            3 => {
                let text = self.text(place);
                let other = if random.below(2) == 0 { text.to_uppercase() } else { text.to_lowercase() };
                self.put(place, other);
            }
            4 => self.put(place, format!("\r\n\t {} \r\n", self.text(place))),
            5 => {
                let is_element = |it: &&Inside| matches!(it, Inside::Element(_));
                if let Some(inside) = element.inside.iter().find(is_element).cloned() {
                    element.inside.push(inside);
                }
            }
            6 => drop(element.inside.pop()),
            _ => {
                let it = random.below(element.attributes.len().max(1));
                if it < element.attributes.len() {
                    element.attributes.remove(it);
                }
            }
        }
    }

    /// The message in some dialect.
    pub fn say(&self, random: &mut Random) -> Vec<u8> {
        let style = random.below(4);
        let mut writer = Writer { message: self, random, style, out: String::new(), usual: BTreeMap::new() };
        writer.element(0, &[]);
        let body = writer.out;
        let declared = [
            "",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
            "<?xml version='1.0' encoding='utf8' standalone='yes'?>\r\n",
            "\r\n<?xml version=\"1.0\" encoding=\"utf-8\" ?>\n<!-- made by a maker -->",
            "<?xml version=\"1.0\" encoding=\"utf-16\"?>",
            "<?xml version=\"1.0\" encoding=\"gb2312\"?>",
            "<?xml version=\"1.0\"?><?xml-stylesheet href=\"x\"?>",
        ];
        let text = format!("{}{body}\r\n", random.pick(&declared));
        match random.below(24) {
            0 => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            1 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            _ => text.into_bytes(),
        }
    }
}

struct Writer<'a> {
    message: &'a Message,
    random: &'a mut Random,
    /// How namespaces are declared: at the root with usual or unusual prefixes, where they are used, or as
    /// default wherever they change.
    style: usize,
    out: String,
    usual: BTreeMap<String, String>,
}

impl Writer<'_> {
    /// Writes an element; `scope` is what its surroundings declare, innermost last.
    fn element(&mut self, at: usize, scope: &[(String, String)]) {
        let element = &self.message.elements[at];
        let mut scope = scope.to_vec();
        let mut declared = Vec::new();
        if at == 0 && self.style < 2 {
            let mut uris: Vec<_> = self.message.elements.iter().map(|it| it.name.0.clone()).collect();
            uris.sort();
            uris.dedup();
            for uri in uris.into_iter().filter(|it| !it.is_empty()) {
                declared.push((self.prefix(&uri), uri));
            }
            scope.extend(declared.clone());
        }
        let tag = self.name(&element.name, true, &mut scope, &mut declared);
        let attributes: Vec<_> = element
            .attributes
            .iter()
            .map(|(name, value)| (self.name(name, false, &mut scope, &mut declared), value.clone()))
            .collect();
        let _ = write!(self.out, "<{tag}");
        for (prefix, uri) in declared {
            let name = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") };
            let _ = write!(self.out, "{} {name}='{uri}'", self.random.pick(&["", "\r\n\t"]));
        }
        for (name, value) in attributes {
            let _ = write!(self.out, " {name} = \"{}\"", escaped(&value));
        }
        if element.inside.is_empty() && self.random.below(2) == 0 {
            self.out.push_str(" />");
            return;
        }
        self.out.push('>');
        for inside in &element.inside {
            match inside {
                Inside::Element(child) => {
                    self.aside();
                    self.element(*child, &scope);
                }
                Inside::Text(text) => self.text(text),
            }
        }
        let _ = write!(self.out, "</{tag} >");
    }

    /// The name with a prefix that stands for its namespace, declaring one if need be.
    fn name(
        &mut self,
        name: &Name,
        default: bool,
        scope: &mut Vec<(String, String)>,
        declared: &mut Vec<(String, String)>,
    ) -> String {
        let Name(uri, local) = name;
        let current =
            scope.iter().rev().find(|it| it.0.is_empty()).map(|it| it.1.clone()).unwrap_or_default();
        if uri.is_empty() {
            // Only the default namespace has to be taken away.
            if default && !current.is_empty() {
                scope.push((String::new(), String::new()));
                declared.push((String::new(), String::new()));
            }
            return local.clone();
        }
        if uri == XML {
            return format!("xml:{local}");
        }
        if default && self.style == 3 {
            if current != *uri {
                scope.push((String::new(), uri.clone()));
                declared.push((String::new(), uri.clone()));
            }
            return local.clone();
        }
        let means = |prefix: &str| scope.iter().rev().find(|it| it.0 == prefix).map(|it| it.1.clone());
        let known = scope.iter().rev().find(|it| it.1 == *uri && !it.0.is_empty()).map(|it| it.0.clone());
        let prefix = match known.filter(|it| means(it).as_deref() == Some(uri)) {
            Some(prefix) => prefix,
            None => {
                let prefix = self.prefix(uri);
                scope.push((prefix.clone(), uri.clone()));
                declared.push((prefix.clone(), uri.clone()));
                prefix
            }
        };
        format!("{prefix}:{local}")
    }

    fn prefix(&mut self, uri: &str) -> String {
        let usual = match uri {
            SOAP12 | SOAP11 => "SOAP-ENV",
            "http://www.onvif.org/ver10/schema" => "tt",
            "http://www.onvif.org/ver10/device/wsdl" => "tds",
            "http://www.onvif.org/ver10/media/wsdl" => "trt",
            XSI => "xsi",
            _ => "",
        };
        if self.style == 0 && !usual.is_empty() {
            return usual.to_owned();
        }
        let next = self.usual.len();
        let kind = ["ns", "N", "tt", "_"][self.style];
        self.usual.entry(uri.to_owned()).or_insert_with(|| format!("{kind}{next}")).clone()
    }

    /// White space and comments between elements.
    fn aside(&mut self) {
        let asides = ["", "", "", "\r\n\t\t", " ", "<!-- - -->", "<?maker x?>"];
        let aside = self.random.pick(&asides).to_owned();
        self.out.push_str(&aside);
    }

    fn text(&mut self, text: &str) {
        let half = text.char_indices().nth(text.chars().count() / 2).map_or(0, |it| it.0);
        let (one, two) = text.split_at(half);
        let numbered = |it: &str| it.chars().map(|it| format!("&#x{:X};", u32::from(it))).collect::<String>();
        let said = match self.random.below(8) {
            0 if !text.contains("]]>") => format!("<![CDATA[{text}]]>"),
            1 => format!("{}<!-- {{}} -->{}", escaped(one), escaped(two)),
            2 => format!("{}{}", numbered(one), escaped(two)),
            3 if !two.contains("]]>") => format!("{}<![CDATA[{two}]]>", escaped(one)),
            _ => escaped(text),
        };
        self.out.push_str(&said);
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\r' | '\n' | '\t' => {
                let _ = write!(out, "&#{};", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out
}

#[test]
fn what_is_said_in_any_dialect_is_the_same_message() {
    let text = "<a xmlns='urn:1' xmlns:p='urn:2' p:x='1&amp;&lt;' y='&#10;2'><p:b>t&#13; &lt;]]&gt;</p:b><c xmlns=''><d/></c></a>";
    let message = Message::read(text).unwrap();
    for seed in 0..200 {
        let said = message.say(&mut Random::new(seed));
        // One in 24 is UTF-16.
        let Ok(said) = String::from_utf8(said) else { continue };
        let said = said.trim_start_matches('\u{feff}').trim_start();
        if said.contains('\0') {
            continue;
        }
        let again = Message::read(said).unwrap_or_else(|| panic!("{seed}: {said}"));
        let names = |it: &Message| it.elements.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        let values = |it: &Message| it.elements.iter().map(|it| it.attributes.clone()).collect::<Vec<_>>();
        assert_eq!(names(&again), names(&message), "{seed}: {said}");
        assert_eq!(values(&again), values(&message), "{seed}: {said}");
        let first = message.places()[0];
        assert_eq!(again.text(first), message.text(first), "{seed}: {said}");
    }
}
