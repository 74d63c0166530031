//! From a record back to the command it is about, as far as policy looks at it: for deciding it again.

use std::fmt;

use crate::{
    audit::{Intent, Kind, Who},
    auth::{Caller, Method, Role},
    command::{Command, Destination, DestinationKind, Reason},
    ids::{CameraId, ClientId, RequestId},
    limits::DESTINATION_TEXT_BYTES_MAX,
    onvif,
    policy::operation,
    schema::{Tables, Trait, Traits},
};

/// A command from a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled {
    /// Who asked.
    pub caller: Caller,
    /// For what; without its arguments, which no policy sees.
    pub command: Command,
}

/// Why a record does not say enough to decide it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// It was refused before it was known to be a command.
    NoCommand,
    /// The record says another class than the catalogue does now.
    Class,
    /// Role, login, source or reason are no such.
    Caller,
    /// A trait is none.
    Trait,
    /// A destination can be read in more than one way, or was cut.
    Destination,
    /// The camera's name is none.
    Camera,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCommand => "refused before they were commands",
            Self::Class => "of another class in the catalogue now",
            Self::Caller => "whose caller cannot be read",
            Self::Trait => "whose traits cannot be read",
            Self::Destination => "whose destinations cannot be read exactly",
            Self::Camera => "whose camera cannot be read",
        })
    }
}

/// The command of a record.
///
/// # Errors
/// What it does not say.
pub fn recall(intent: &Intent, tables: &Tables) -> Result<Recalled, Gap> {
    let recorded = intent.class.as_deref().ok_or(Gap::NoCommand)?;
    let (operation, class, always) = operation(tables, &intent.operation);
    if class.as_str() != recorded {
        return Err(Gap::Class);
    }
    let traits = intent.traits.iter().map(|it| it.parse::<Trait>()).collect::<Result<Traits, _>>();
    let camera = intent.camera.as_deref().map(CameraId::new).transpose().map_err(|_| Gap::Camera)?;
    let destinations = intent.destinations.iter().map(|it| place(it).ok_or(Gap::Destination));
    let command = Command {
        request: RequestId::from_bits(0),
        camera,
        operation,
        class,
        traits: traits.map_err(|_| Gap::Trait)?.union(always),
        destinations: destinations.collect::<Result<_, _>>()?,
        arguments: serde_json::Value::Null,
    };
    let caller = caller(&intent.who, intent.source.as_deref()).ok_or(Gap::Caller)?;
    Ok(Recalled { caller, command })
}

fn caller(who: &Who, source: Option<&str>) -> Option<Caller> {
    let source = source.and_then(|it| it.parse().ok());
    Some(match who.kind {
        Kind::Anonymous => Caller::Anonymous { source: source?, tls: who.tls },
        Kind::Client => Caller::Client {
            id: ClientId::new(&who.name).ok()?,
            role: Role::ALL.into_iter().find(|it| Some(it.as_str()) == who.role.as_deref())?,
            source: source?,
            method: Method::ALL.into_iter().find(|it| Some(it.as_str()) == who.method.as_deref())?,
            tls: who.tls,
        },
        // What somebody did at the machine itself was for no camera.
        Kind::Local => return None,
        Kind::Gateway => Caller::Gateway(Reason::ALL.into_iter().find(|it| it.as_str() == who.name)?),
    })
}

/// A destination as records have it: `kind host`, `kind host:port`, and with `[host]` where the host itself holds a
/// colon or begins with a bracket.
pub(super) fn placed(destination: &Destination) -> String {
    let Destination { kind, host, port, .. } = destination;
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let bracketed = host.contains(':') || host.starts_with('[');
    let host = if bracketed { format!("[{host}]") } else { host.clone() };
    format!("{} {host}{port}", kind.as_str())
}

fn place(text: &str) -> Option<Destination> {
    let (word, rest) = text.split_once(' ')?;
    let kinds = [
        DestinationKind::Declared,
        DestinationKind::Listener,
        DestinationKind::Text,
        DestinationKind::Consumer,
    ];
    let kind = kinds.into_iter().find(|it| it.as_str() == word)?;
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.rsplit_once(']')?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match rest.split_once(':') {
            // Records of earlier versions have no brackets, and such a text says two things.
            Some((_, port)) if port.contains(':') => return None,
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    if host.len() >= DESTINATION_TEXT_BYTES_MAX {
        return None;
    }
    let port = port.map(str::parse).transpose().ok()?;
    let address = match kind {
        DestinationKind::Text => onvif::address_in(host),
        DestinationKind::Declared | DestinationKind::Listener | DestinationKind::Consumer => {
            host.parse().ok()
        }
    };
    Some(Destination { kind, host: host.to_owned(), address, port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gate::record, policy::Decision};

    fn destination(
        kind: DestinationKind,
        host: &str,
        address: Option<&str>,
        port: Option<u16>,
    ) -> Destination {
        let address = address.map(|it| it.parse().unwrap());
        Destination { kind, host: host.to_owned(), address, port }
    }

    #[test]
    fn what_policy_looks_at_comes_back_from_the_record() {
        use DestinationKind::{Consumer, Declared, Listener, Text};
        let tables = Tables::embedded().unwrap();
        let places = vec![
            destination(Declared, "203.0.113.5", Some("203.0.113.5"), None),
            destination(Declared, "203.0.113.5", Some("203.0.113.5"), Some(123)),
            destination(Declared, "2001:db8::1", Some("2001:db8::1"), None),
            destination(Declared, "2001:db8::1", Some("2001:db8::1"), Some(80)),
            destination(Declared, "ntp.example.org", None, Some(123)),
            destination(Declared, "dhcp=true", None, None),
            destination(Listener, "httpport", None, Some(8080)),
            destination(Consumer, "203.0.113.9", Some("203.0.113.9"), Some(8080)),
            destination(Text, "http://192.0.2.9:81/x", Some("192.0.2.9"), Some(81)),
            destination(Text, "http://[2001:db8::9]/", Some("2001:db8::9"), None),
            destination(Text, "[odd]:text]", None, None),
            destination(Text, "\\\\server\\share", None, None),
        ];
        let source = "192.0.2.77:40000".parse().unwrap();
        let client = |tls| Caller::Client {
            id: ClientId::new("vms").unwrap(),
            role: Role::Operator,
            source,
            method: Method::PasswordText,
            tls,
        };
        let callers = [
            client(false),
            client(true),
            Caller::Anonymous { source: "[2001:db8::7]:1".parse().unwrap(), tls: true },
            Caller::Gateway(Reason::LocatorRecovery),
        ];
        for name in ["tds:SetNTP", "trt:GetProfiles", "http:Snapshot", "rtsp:PLAY", "unknown:{urn:x}Open"] {
            let (operation, class, always) = operation(&tables, name);
            for caller in &callers {
                let command = Command {
                    request: RequestId::from_bits(0),
                    camera: Some(CameraId::new("gate").unwrap()),
                    operation: operation.clone(),
                    class,
                    traits: always.with(Trait::Egress).with(Trait::Destructive),
                    destinations: places.clone(),
                    arguments: serde_json::Value::Null,
                };
                let decision = Decision::default();
                let intent = record::intent(&command, caller, None, &decision, None);
                assert_eq!(recall(&intent, &tables), Ok(Recalled { caller: caller.clone(), command }));
            }
        }
    }

    #[test]
    fn what_a_record_does_not_say_is_named() {
        let tables = Tables::embedded().unwrap();
        let whole = Intent {
            operation: "tds:SetNTP".into(),
            class: Some("WRITE_SYSTEM".into()),
            source: Some("192.0.2.77:40000".into()),
            camera: Some("gate".into()),
            ..Intent::default()
        };
        assert!(recall(&whole, &tables).is_ok());
        let gap = |edit: &dyn Fn(&mut Intent)| {
            let mut intent = whole.clone();
            edit(&mut intent);
            recall(&intent, &tables).err()
        };
        assert_eq!(gap(&|it| it.class = None), Some(Gap::NoCommand));
        assert_eq!(gap(&|it| it.class = Some("ACTUATE".into())), Some(Gap::Class));
        assert_eq!(gap(&|it| it.source = None), Some(Gap::Caller));
        assert_eq!(gap(&|it| it.who.kind = Kind::Client), Some(Gap::Caller));
        assert_eq!(gap(&|it| it.traits = vec!["egres".into()]), Some(Gap::Trait));
        assert_eq!(gap(&|it| it.camera = Some("a b".into())), Some(Gap::Camera));
        for text in ["declared 2001:db8::1:80", "text http://192.0.2.9:81/x", "nowhere a", "declared [a]b"] {
            assert_eq!(gap(&|it| it.destinations = vec![text.into()]), Some(Gap::Destination), "{text}");
        }
        let long = format!("declared {}", "a".repeat(DESTINATION_TEXT_BYTES_MAX));
        assert_eq!(gap(&|it| it.destinations = vec![long.clone()]), Some(Gap::Destination));
    }
}
