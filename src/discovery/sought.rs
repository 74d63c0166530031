//! Whether a device is what somebody looks for (WS-Discovery §5.1; ONVIF Core §7.3.3). Pure.

use std::borrow::Cow;

use super::message::TypeName;

/// What somebody looks for: a device that has all of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sought {
    /// Its types.
    pub types: Vec<TypeName>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// How scopes are compared.
    pub rule: Rule,
}

/// How scopes are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rule {
    /// Segment by segment of their paths (RFC 3986; the rule if none is named).
    #[default]
    Segments,
    /// Character by character.
    Exact,
    /// Who has no scopes (of 2009).
    None,
    /// Some other rule. Nobody is found by it.
    Unknown,
}

/// Types of every virtual camera: what the device is, as ONVIF had it first, which everybody looks for, and as it has
/// it now.
pub const TYPES: [(&str, &str, &str); 2] = [
    ("dn", "http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter"),
    ("tds", "http://www.onvif.org/ver10/device/wsdl", "Device"),
];

impl Rule {
    /// The rule of this name.
    pub fn of(name: &str) -> Self {
        match name.rsplit_once('/').map(|(_, last)| last) {
            _ if name.is_empty() => Self::Segments,
            // The number of the RFC changed, the rule did not.
            Some("rfc3986" | "rfc2396") => Self::Segments,
            Some("strcmp0") => Self::Exact,
            Some("none") => Self::None,
            _ => Self::Unknown,
        }
    }
}

impl Sought {
    /// Whether a virtual camera with these scopes is sought.
    pub fn is_met_by(&self, scopes: &[String]) -> bool {
        let types = self.types.iter().all(is_ours);
        let has = |wanted: &String| scopes.iter().any(|it| self.rule.matches(wanted, it));
        types && self.rule != Rule::None && self.scopes.iter().all(has)
    }
}

impl Rule {
    fn matches(self, wanted: &str, scope: &str) -> bool {
        match self {
            Self::Segments => begins(wanted, scope),
            Self::Exact => wanted == scope,
            Self::None | Self::Unknown => false,
        }
    }
}

/// A prefix that nobody declared, as some write it, means what it usually means.
fn is_ours(sought: &TypeName) -> bool {
    let same = |(_, namespace, local): &(&str, &str, &str)| {
        sought.local == *local && (sought.namespace == *namespace || sought.namespace.is_empty())
    };
    TYPES.iter().any(same)
}

/// Scheme and authority are the same but for their case, the path begins with the segments of the other, and neither
/// goes up or stays. Query and fragment do not count.
fn begins(wanted: &str, scope: &str) -> bool {
    let (Some(wanted), Some(scope)) = (Parts::of(wanted), Parts::of(scope)) else { return false };
    wanted.scheme.eq_ignore_ascii_case(scope.scheme)
        && wanted.authority.eq_ignore_ascii_case(scope.authority)
        && wanted.segments.len() <= scope.segments.len()
        && wanted.segments.iter().zip(&scope.segments).all(|(one, other)| one == other)
}

/// A URI, as far as it is compared.
struct Parts<'a> {
    scheme: &'a str,
    authority: &'a str,
    segments: Vec<Cow<'a, str>>,
}

impl<'a> Parts<'a> {
    /// None for what is no URI, or has a segment `.` or `..`.
    fn of(text: &'a str) -> Option<Self> {
        let text = text.split(['?', '#']).next()?;
        let (scheme, rest) = text.split_once(':')?;
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.find('/').map_or((rest, ""), |at| rest.split_at(at)),
            None => ("", rest),
        };
        // Many ask with a slash at the end that the scope does not have.
        let path = path.trim_start_matches('/').trim_end_matches('/');
        let segments: Vec<_> = path.split('/').filter(|_| !path.is_empty()).map(decoded).collect();
        let stays = segments.iter().any(|it| matches!(it.as_ref(), "." | ".."));
        (!stays).then_some(Self { scheme, authority, segments })
    }
}

/// A segment without its escapes, which are one way to write the same.
fn decoded(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment);
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'%').then(|| after.split_at_checked(2)).flatten();
        let value = hex.and_then(|(digits, rest)| {
            let digits = std::str::from_utf8(digits).ok().filter(|it| !it.starts_with('+'))?;
            Some((u8::from_str_radix(digits, 16).ok()?, rest))
        });
        let (byte, next) = value.unwrap_or((*first, after));
        bytes.push(byte);
        rest = next;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: Rule, wanted: &str, scope: &str) -> bool {
        let sought = Sought { scopes: vec![wanted.to_owned()], rule, ..Sought::default() };
        sought.is_met_by(&["onvif://www.onvif.org/Profile/Streaming".to_owned(), scope.to_owned()])
    }

    #[test]
    fn scopes_are_compared_by_the_rule_that_is_named() {
        let scope = "onvif://www.onvif.org/location/city/Hall%201";
        for (wanted, meets) in [
            ("onvif://www.onvif.org/location/city", true),
            ("ONVIF://WWW.onvif.org/location/city/", true),
            ("onvif://www.onvif.org", true),
            ("onvif://www.onvif.org/location/city/Hall%201?x#y", true),
            ("onvif://www.onvif.org/location/city/%48all%201", true),
            // No prefix of letters.
            ("onvif://www.onvif.org/location/cit", false),
            ("onvif://www.onvif.org/Location/city", false),
            ("onvif://www.onvif.org/location/./city", false),
            ("onvif://www.onvif.org/location/city/Hall%201/more", false),
            ("http://www.onvif.org/location", false),
            ("onvif://other.example/location", false),
            ("location", false),
            ("", false),
        ] {
            assert_eq!(found(Rule::Segments, wanted, scope), meets, "{wanted}");
        }
        assert!(found(Rule::Exact, scope, scope));
        assert!(!found(Rule::Exact, "onvif://www.onvif.org/location/city", scope));
        assert!(!found(Rule::None, scope, scope) && !found(Rule::Unknown, scope, scope));
    }

    #[test]
    fn rules_are_known_by_their_names() {
        let old = "http://schemas.xmlsoap.org/ws/2005/04/discovery";
        let new = "http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01";
        for (name, rule) in [
            (String::new(), Rule::Segments),
            (format!("{old}/rfc2396"), Rule::Segments),
            (format!("{old}/rfc3986"), Rule::Segments),
            (format!("{new}/rfc3986"), Rule::Segments),
            (format!("{old}/strcmp0"), Rule::Exact),
            (format!("{new}/none"), Rule::None),
            (format!("{old}/ldap"), Rule::Unknown),
            (format!("{old}/uuid"), Rule::Unknown),
            ("rfc3986".to_owned(), Rule::Unknown),
        ] {
            assert_eq!(Rule::of(&name), rule, "{name}");
        }
    }

    #[test]
    fn a_virtual_camera_has_two_types_and_no_other() {
        let name =
            |namespace: &str, local: &str| TypeName { namespace: namespace.into(), local: local.into() };
        let asked = |types: Vec<TypeName>| Sought { types, ..Sought::default() }.is_met_by(&[]);
        let [dn, tds] = TYPES.map(|(_, namespace, local)| name(namespace, local));
        assert!(asked(Vec::new()) && asked(vec![dn.clone()]) && asked(vec![tds.clone(), dn.clone()]));
        assert!(asked(vec![name("", "NetworkVideoTransmitter")]), "a prefix without a namespace");
        assert!(!asked(vec![dn, name(TYPES[0].1, "NetworkVideoDisplay")]));
        assert!(!asked(vec![name("urn:printers", "Device")]));
    }
}
