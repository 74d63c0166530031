//! Writes our own WSDL and XSD files: the facts of the interface and nothing else, one file per service and
//! per schema.

use std::{collections::BTreeSet, path::Path};

use super::{
    expand,
    load::{self, Interface, LoadError},
    overlay::Overlay,
    print::{Printer, imported},
    reach::Reach,
    source::{WSDL, XSD},
    tables::{NameId, NamespaceId},
    wsdl::{Message, PortType},
};

const SOAP12: &str = "http://schemas.xmlsoap.org/wsdl/soap12/";
const WSAW: &str = "http://www.w3.org/2006/05/addressing/wsdl";
const HTTP_TRANSPORT: &str = "http://schemas.xmlsoap.org/soap/http";

/// A file the distiller made: its name and its text.
pub type MadeFile = (String, String);

/// Distils the official files in some folders. The overlay texts say which services there are, their prefixes,
/// and what may stand in wildcards.
pub fn distil(folders: &[&Path], overlays: &[(&str, &str)]) -> Result<Vec<MadeFile>, LoadError> {
    let files = load::read_folders(folders)?;
    let files: Vec<_> = files.iter().filter(|it| !it.name.ends_with(".overlay")).collect();
    let mut interface =
        load::read_interface(&files.iter().map(|it| (&*it.name, &*it.text)).collect::<Vec<_>>())?;
    let overlay = load::read_overlay(&mut interface.all, overlays)?;
    let prefixes = expand::prefixes(&interface.all, &overlay);
    let reach = Reach::of(&interface.all, &interface.services, &overlay);
    let distiller =
        Distiller { interface: &interface, overlay: &overlay, prefixes: &prefixes, reach: &reach };
    let mut made: Vec<MadeFile> =
        interface.all.names.namespaces().filter_map(|(id, _)| distiller.file(id)).collect();
    made.sort();
    Ok(made)
}

struct Distiller<'d> {
    interface: &'d Interface,
    overlay: &'d Overlay,
    prefixes: &'d [Box<str>],
    reach: &'d Reach,
}

impl Distiller<'_> {
    /// The file of one namespace; none if no message needs it.
    fn file(&self, target: NamespaceId) -> Option<MadeFile> {
        let all = &self.interface.all;
        let service = self.overlay.services.iter().find(|it| *it.namespace == *all.names.uri(target));
        let mut printer = Printer {
            all,
            prefixes: self.prefixes,
            target,
            used: BTreeSet::from([target]),
            out: String::new(),
            depth: usize::from(service.is_some()) * 2,
        };
        let has_schema = self.schema(&mut printer);
        if let Some(service) = service {
            let schema = std::mem::take(&mut printer.out);
            printer.depth = 0;
            return Some((format!("{}.wsdl", service.name), self.wsdl(printer, &schema)));
        }
        let prefix = self.prefixes.get(target.index())?;
        has_schema.then(|| (format!("{prefix}.xsd"), self.finish(&printer.out, target, &printer.used, &[])))
    }

    /// Prints the schema of the printer's namespace, if it declares anything that is needed.
    fn schema(&self, printer: &mut Printer<'_>) -> bool {
        let start = printer.depth;
        printer.depth = start + 1;
        let declared_here = |name: &NameId| self.overlay.elements.iter().any(|(known, _)| known == name);
        for name in self.own(&self.reach.elements, printer).into_iter().filter(|name| !declared_here(name)) {
            printer.global_element(name);
        }
        for name in self.own(&self.reach.types, printer) {
            printer.global_type(name);
        }
        for name in self.own(&self.reach.groups, printer) {
            printer.group(name);
        }
        for name in self.own(&self.reach.attribute_groups, printer) {
            printer.attribute_group(name);
        }
        for name in self.own(&self.reach.attributes, printer) {
            printer.global_attribute(name);
        }
        printer.depth = start;
        let body = std::mem::take(&mut printer.out);
        if body.is_empty() {
            return false;
        }
        let names = &printer.all.names;
        let target = names.uri(printer.target);
        let imports = imported(names, &printer.used, printer.target);
        let head = [
            ("targetNamespace", target),
            ("elementFormDefault", "qualified"),
            ("version", self.version(target)),
        ];
        printer.tag("xs:schema", &head, |it| {
            for id in &imports {
                let location = self.location(*id);
                let attributes =
                    [("namespace", it.all.names.uri(*id)), ("schemaLocation", location.as_str())];
                let known = if location.ends_with(".xsd") { 2 } else { 1 };
                it.tag("xs:import", attributes.get(..known).unwrap_or(&[]), |_| {});
            }
            it.out.push_str(&body);
        });
        true
    }

    /// The names of a set that are in the printer's namespace, in alphabetical order.
    fn own(&self, set: &BTreeSet<NameId>, printer: &Printer<'_>) -> Vec<NameId> {
        let names = &self.interface.all.names;
        let mut own: Vec<NameId> =
            set.iter().filter(|name| names.namespace_of(**name) == printer.target).copied().collect();
        own.sort_by_key(|name| names.local(*name));
        own
    }

    fn wsdl(&self, mut printer: Printer<'_>, schema: &str) -> String {
        let all = &self.interface.all;
        let target = printer.target;
        let ports: Vec<&PortType> = self
            .interface
            .services
            .port_types
            .iter()
            .filter(|port| {
                all.names.namespace_of(port.name) == target
                    && self.interface.services.bindings.contains_key(&port.name)
            })
            .collect();
        let uri = all.names.uri(target);
        let mut body =
            Printer { out: String::new(), used: std::mem::take(&mut printer.used), depth: 1, ..printer };
        if !schema.is_empty() {
            body.tag("wsdl:types", &[], |it| it.out.push_str(schema));
        }
        for message in self.own(&self.reach.messages, &body) {
            self.message(&mut body, message);
        }
        ports.iter().for_each(|port| self.port_type(&mut body, port));
        ports.iter().for_each(|port| self.binding(&mut body, port));
        let inner = std::mem::take(&mut body.out);
        body.depth = 0;
        body.tag("wsdl:definitions", &[("targetNamespace", uri)], |it| it.out.push_str(&inner));
        self.finish(&body.out, target, &body.used, &[("wsdl", WSDL), ("soap", SOAP12), ("wsaw", WSAW)])
    }

    fn message(&self, out: &mut Printer<'_>, message: NameId) {
        let Some(element) = self.interface.services.messages.get(&message) else { return };
        let element = out.qualified(*element);
        out.tag("wsdl:message", &[("name", self.interface.all.names.local(message))], |it| {
            it.tag("wsdl:part", &[("name", "parameters"), ("element", &element)], |_| {});
        });
    }

    fn port_type(&self, out: &mut Printer<'_>, port: &PortType) {
        out.tag("wsdl:portType", &[("name", self.interface.all.names.local(port.name))], |it| {
            for operation in &port.operations {
                it.tag("wsdl:operation", &[("name", &operation.name)], |it| {
                    Self::exchange(it, "wsdl:input", &operation.input);
                    operation.output.iter().for_each(|output| Self::exchange(it, "wsdl:output", output));
                });
            }
        });
    }

    fn exchange(out: &mut Printer<'_>, tag: &str, message: &Message) {
        let name = out.qualified(message.message);
        let (key, value) = match (&message.name, message.declared) {
            (_, true) => ("wsaw:Action", &*message.action),
            (Some(name), false) => ("name", &**name),
            (None, false) => ("", ""),
        };
        out.tag(tag, &[("message", name.as_str()), (key, value)], |_| {});
    }

    fn binding(&self, out: &mut Printer<'_>, port: &PortType) {
        let local = self.interface.all.names.local(port.name);
        let of = out.qualified(port.name);
        let Some(actions) = self.interface.services.bindings.get(&port.name) else { return };
        out.tag("wsdl:binding", &[("name", &format!("{local}Binding")), ("type", &of)], |it| {
            it.tag("soap:binding", &[("style", "document"), ("transport", HTTP_TRANSPORT)], |_| {});
            for operation in &port.operations {
                let action = actions.get(&operation.name).map_or("", |action| action);
                it.tag("wsdl:operation", &[("name", &operation.name)], |it| {
                    it.tag("soap:operation", &[("soapAction", action)], |_| {});
                    it.tag("wsdl:input", &[], |it| it.tag("soap:body", &[("use", "literal")], |_| {}));
                    if operation.output.is_some() {
                        it.tag("wsdl:output", &[], |it| it.tag("soap:body", &[("use", "literal")], |_| {}));
                    }
                });
            }
        });
    }

    /// The whole file: where it comes from, and the outermost element with the namespaces used in it.
    fn finish(
        &self,
        body: &str,
        target: NamespaceId,
        used: &BTreeSet<NamespaceId>,
        more: &[(&str, &str)],
    ) -> String {
        let names = &self.interface.all.names;
        let uri = names.uri(target);
        let version = match self.version(uri) {
            "" => String::new(),
            version => format!(", version {version}"),
        };
        let mut declared = vec![("xs", XSD)];
        declared.extend(more.iter().filter(|(prefix, _)| body.contains(&format!("{prefix}:"))));
        declared
            .extend(used.iter().filter_map(|id| Some((&**self.prefixes.get(id.index())?, names.uri(*id)))));
        declared.retain(|(prefix, _)| !prefix.is_empty() && *prefix != "xml");
        declared.sort_unstable();
        declared.dedup();
        let declared: String =
            declared.iter().map(|(prefix, uri)| format!(" xmlns:{prefix}=\"{uri}\"")).collect();
        let (head, rest) = body.split_at(body.find(' ').unwrap_or(0));
        let from = format!("from the public interface definition {uri}{version}");
        format!("<!-- Made by `cordon schema distil` {from}. -->\n{head}{declared}{rest}")
    }

    fn version(&self, uri: &str) -> &str {
        self.interface.all.versions.get(uri).map_or("", |version| version)
    }

    /// The file that holds a namespace.
    fn location(&self, id: NamespaceId) -> String {
        let uri = self.interface.all.names.uri(id);
        match self.overlay.services.iter().find(|it| *it.namespace == *uri) {
            Some(service) => format!("{}.wsdl", service.name),
            None => format!("{}.xsd", self.prefixes.get(id.index()).map_or("", |prefix| prefix)),
        }
    }
}
