//! The Cedar schema, written from the facts: the words policies may use.
//!
//! Closed lists (roles, classes, traits, networks) are enumerated entity types, so that a misspelt word in a
//! policy is an error when it loads and not a condition that never holds.

use std::{collections::BTreeSet, fmt::Write as _};

use super::operations::OperationFacts;
use crate::{
    auth::{Method, Role},
    command::{Prompt, Reason},
    inventory::{Network, OTHER_NETWORK, VendorClass},
    schema::{AccessClass, Trait},
};

/// The login of a caller that showed no credentials.
pub(super) const NO_LOGIN: &str = "none";

/// Writes the schema in Cedar's own notation.
pub(super) fn schema_text(operations: &[&OperationFacts], networks: &[Network]) -> String {
    let mut out = String::with_capacity(128 * 1024);
    out.push_str(HEAD);
    enumerate(&mut out, "Role", Role::ALL.map(Role::as_str));
    enumerate(&mut out, "VendorClass", VendorClass::ALL.map(VendorClass::as_str));
    enumerate(&mut out, "Trait", Trait::ALL.iter().map(|it| it.as_str()));
    let methods = Method::ALL.map(Method::as_str);
    enumerate(&mut out, "Login", [NO_LOGIN].into_iter().chain(methods));
    enumerate(&mut out, "Gateway", Reason::ALL.map(Reason::as_str));
    enumerate(&mut out, "Local", Prompt::ALL.map(Prompt::as_str));
    let networks: BTreeSet<&str> =
        networks.iter().map(|it| it.name.as_str()).chain([OTHER_NETWORK]).collect();
    enumerate(&mut out, "Network", networks);
    out.push_str(ENTITIES);
    groups(&mut out, operations);
    let mut seen = BTreeSet::new();
    for operation in operations {
        if seen.insert(operation.name.as_str()) {
            action(&mut out, operation);
        }
    }
    out
}

/// The groups an operation is in, as names of actions.
pub(super) fn groups_of(operation: &OperationFacts) -> Vec<String> {
    let class = operation.class.map(class_group);
    let traits = operation.always.iter().map(|it| format!("trait:{it}"));
    class.into_iter().chain(traits).chain([format!("service:{}", operation.service)]).collect()
}

pub(super) fn class_group(class: AccessClass) -> String {
    format!("class:{class}")
}

fn enumerate<'a>(out: &mut String, name: &str, words: impl IntoIterator<Item = &'a str>) {
    let words: Vec<String> = words.into_iter().map(quote).collect();
    let _ = writeln!(out, "entity {name} enum [{}];", words.join(", "));
}

fn groups(out: &mut String, operations: &[&OperationFacts]) {
    out.push_str("\n// Access classes (ONVIF Core §5.9.4.3), traits that always hold, services.\n");
    for class in AccessClass::ALL {
        let _ = writeln!(out, "action {};", quote(&class_group(*class)));
    }
    for one in Trait::ALL {
        let _ = writeln!(out, "action {};", quote(&format!("trait:{one}")));
    }
    let services: BTreeSet<&str> = operations.iter().map(|it| it.service.as_str()).collect();
    for service in services {
        let _ = writeln!(out, "action {};", quote(&format!("service:{service}")));
    }
    out.push_str("\n// Operations.\n");
}

fn action(out: &mut String, operation: &OperationFacts) {
    let groups: Vec<String> = groups_of(operation).iter().map(|it| quote(it)).collect();
    // Whoever has the machine in hand has business with the gateway, and none with cameras.
    let (resource, local) = if operation.of_appliance { ("Appliance", ", Local") } else { ("Camera", "") };
    let _ = writeln!(
        out,
        "action {} in [{}] appliesTo {{ principal: [Client, Anonymous, Gateway{local}], resource: [{resource}], \
         context: Circumstances }};",
        quote(&operation.name),
        groups.join(", "),
    );
}

/// A string literal of Cedar.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            _ if letter.is_control() => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(letter));
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
    out
}

const HEAD: &str = "\
// The words Cordon's policies may use, written from the operation catalogue and the configuration.
//
// A policy decides over `principal` (Client, Anonymous, Gateway for what the gateway asks on its own account, or
// Local for what its own machine asks of it), `action` (an operation), `resource` (Camera, or Appliance for the gateway itself) and `context`.

// What is known about one command besides who, what and which camera.
type Circumstances = {
  // Where the caller is: its address as text, and the named networks it is in (`other` if none).
  source: String,
  source_networks: Set<Network>,
  tls: Bool,
  login: Login,
  // What this very command does, as its document has it; always more than or equal to the action's trait groups.
  traits: Set<Trait>,
  // Hosts the camera would send to or fetch from, and the named networks they are in (`other` if none).
  destinations: Set<String>,
  networks: Set<Network>,
  // Addresses of services of the camera's own that the command opens or moves.
  listeners: Set<String>,
  // Hosts the gateway itself would send events to, of which the camera hears nothing, and the named networks they are in
  // (`other` if none).
  consumers: Set<String>,
  consumer_networks: Set<Network>,
};

";

const ENTITIES: &str = "
entity Client in [Role] = { all_cameras: Bool, cameras: Set<Camera> };
entity Anonymous;
entity Vendor;
entity Site;
entity Zone;
entity Quarantine;
entity Camera in [Vendor, VendorClass, Site, Zone, Quarantine] = { sensitive_site: Bool, excepted: Bool };
entity Appliance;
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_escaped() {
        assert_eq!(quote("a\"b\\c\u{7}"), "\"a\\\"b\\\\c\\u{7}\"");
    }
}
