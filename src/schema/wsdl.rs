//! WSDL 1.1: messages, port types and bindings, by name.

use std::collections::HashMap;

use super::{
    source::{At, SourceError, WSDL, XSD},
    tables::NameId,
    xsd::Declarations,
};

const WSAW: &[&str] =
    &["http://www.w3.org/2006/05/addressing/wsdl", "http://www.w3.org/2007/05/addressing/metadata"];

/// What all WSDL files declare.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// The element of each message.
    pub(super) messages: HashMap<NameId, NameId>,
    /// In the order of the files.
    pub(super) port_types: Vec<PortType>,
    /// The SOAP actions of each bound port type, by operation.
    pub(super) bindings: HashMap<NameId, HashMap<Box<str>, Box<str>>>,
}

#[derive(Debug)]
pub(super) struct PortType {
    pub(super) name: NameId,
    pub(super) operations: Vec<PortOperation>,
}

#[derive(Debug)]
pub(super) struct PortOperation {
    pub(super) name: Box<str>,
    pub(super) input: Message,
    pub(super) output: Option<Message>,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) message: NameId,
    pub(super) action: Box<str>,
    /// Whether the file says so; else it is the default of WS-Addressing WSDL Binding §4.4.
    pub(super) declared: bool,
    /// Its own name in the port type; the default action is made of it.
    pub(super) name: Option<Box<str>>,
}

impl Services {
    /// Adds what one `wsdl:definitions` declares, its schemas included.
    pub(super) fn add(&mut self, all: &mut Declarations, root: At<'_>) -> Result<(), SourceError> {
        let target = root.needs("targetNamespace")?;
        for types in root.named(WSDL, "types") {
            for schema in types.named(XSD, "schema") {
                all.add(schema)?;
            }
        }
        for message in root.named(WSDL, "message") {
            let name = all.names.intern(target, message.needs("name")?);
            // A message of several parts is no document/literal message; ONVIF has none.
            if let Some(element) =
                message.named(WSDL, "part").next().and_then(|part| Some((part, part.attribute("element")?)))
            {
                let (uri, local) = element.0.resolve(element.1)?;
                let element = all.names.intern(uri, local);
                self.messages.entry(name).or_insert(element);
            }
        }
        for port in root.named(WSDL, "portType") {
            let name = all.names.intern(target, port.needs("name")?);
            if !self.port_types.iter().any(|known| known.name == name) {
                let operations = port.named(WSDL, "operation");
                let operations: Result<_, _> =
                    operations.map(|it| operation(all, target, port, it)).collect();
                self.port_types.push(PortType { name, operations: operations? });
            }
        }
        for binding in root.named(WSDL, "binding") {
            let (uri, local) = binding.resolve(binding.needs("type")?)?;
            let port = all.names.intern(uri, local);
            let actions = self.bindings.entry(port).or_default();
            for operation in binding.named(WSDL, "operation") {
                let soap = operation.children().find(|it| it.local() == "operation");
                let action = soap.and_then(|it| it.attribute("soapAction")).unwrap_or("");
                actions.entry(operation.needs("name")?.into()).or_insert_with(|| action.into());
            }
        }
        Ok(())
    }
}

fn operation(
    all: &mut Declarations,
    target: &str,
    port: At<'_>,
    item: At<'_>,
) -> Result<PortOperation, SourceError> {
    let name = item.needs("name")?;
    let input = item.named(WSDL, "input").next();
    let input = input.ok_or_else(|| SourceError::Unsupported(format!("has `{name}` without a request")))?;
    let output = item.named(WSDL, "output").next();
    let base = format!("{target}/{}", port.needs("name")?);
    let request = if output.is_some() { format!("{name}Request") } else { name.to_owned() };
    Ok(PortOperation {
        name: name.into(),
        input: message(all, input, &base, &request)?,
        output: output.map(|it| message(all, it, &base, &format!("{name}Response"))).transpose()?,
    })
}

fn message(all: &mut Declarations, item: At<'_>, base: &str, default: &str) -> Result<Message, SourceError> {
    let (uri, local) = item.resolve(item.needs("message")?)?;
    let message = all.names.intern(uri, local);
    let declared = item.attribute_of(WSAW, "Action");
    let action = match declared {
        Some(action) => action.to_owned(),
        None => format!("{base}/{}", item.attribute("name").unwrap_or(default)),
    };
    Ok(Message {
        message,
        action: action.into(),
        declared: declared.is_some(),
        name: item.attribute("name").map(Box::from),
    })
}
