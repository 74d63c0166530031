//! Whether what a camera shows now is what it showed before: a pure comparison.
//!
//! Firmware changes strings, owners rename cameras, servers announce themselves anew; none of that makes another
//! device. A serial number does, and so does a camera that has changed two of maker, model, hardware, MAC address and
//! name in discovery at once. A MAC address alone does not: any neighbour can claim one for a camera's address, and must
//! not darken the camera by that.

use std::fmt;

use super::{
    evidence::{Evidence, SignalKind},
    verdict::shown,
};

/// How much a change says that another device is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bearing {
    /// Nothing: it is told, no more.
    None,
    /// Little: worth a look.
    Weak,
    /// As much as half; two of these are as good as a certain one.
    Half,
    /// All.
    Certain,
}

impl Bearing {
    /// The word used in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Weak => "weak",
            Self::Half => "half",
            Self::Certain => "certain",
        }
    }
}

/// One thing that is otherwise than it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where it shows.
    pub kind: SignalKind,
    /// What it was.
    pub before: String,
    /// What it is.
    pub now: String,
    /// What that says.
    pub bearing: Bearing,
}

/// What changed from one moment to another, weightiest first. What is not shown now says nothing.
pub fn changes(before: &Evidence, now: &Evidence) -> Vec<Change> {
    let mut found = Vec::new();
    for (kind, bearing) in WATCHED {
        let was: Vec<&str> = before.of(kind).collect();
        let Some(last) = was.last() else { continue };
        let fresh = now.of(kind).find(|value| !was.iter().any(|it| is_same(it, value)));
        let Some(fresh) = fresh else { continue };
        // A camera that has lost its number, or found one, may just have new firmware.
        let is_vague = fresh.is_empty() || last.is_empty();
        let bearing = if is_vague { bearing.min(Bearing::Half) } else { bearing };
        found.push(Change { kind, before: shown(last), now: shown(fresh), bearing });
    }
    found
}

/// Whether changes together say that another device is there.
pub fn is_another(changes: &[Change]) -> bool {
    let of = |bearing| changes.iter().filter(|it| it.bearing == bearing).count();
    of(Bearing::Certain) > 0 || of(Bearing::Half) > 1
}

/// What tells a device from others, in words.
pub(super) fn signs(evidence: &Evidence) -> String {
    let telling = WATCHED.iter().filter(|(_, bearing)| *bearing >= Bearing::Half);
    let told = telling.flat_map(|(kind, _)| {
        let last = evidence.of(*kind).last();
        last.filter(|value| !value.is_empty()).map(|value| format!("{kind} `{}`", shown(value)))
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Letters, digits and nothing else are compared, whatever case they have.
fn is_same(one: &str, other: &str) -> bool {
    let plain = |text: &str| -> String {
        text.chars().filter(|it| it.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    one == other || (plain(one) == plain(other) && !plain(one).is_empty())
}

/// What is compared. Scopes are the owner's to change; what a dialect tells is for the verdict.
const WATCHED: [(SignalKind, Bearing); 13] = [
    (SignalKind::Serial, Bearing::Certain),
    (SignalKind::Mac, Bearing::Half),
    (SignalKind::Manufacturer, Bearing::Half),
    (SignalKind::Model, Bearing::Half),
    (SignalKind::Hardware, Bearing::Half),
    (SignalKind::Endpoint, Bearing::Half),
    (SignalKind::TlsSubject, Bearing::Weak),
    (SignalKind::TlsIssuer, Bearing::Weak),
    (SignalKind::HttpServer, Bearing::Weak),
    (SignalKind::HttpRealm, Bearing::Weak),
    (SignalKind::RtspServer, Bearing::Weak),
    (SignalKind::RtspRealm, Bearing::Weak),
    (SignalKind::Firmware, Bearing::None),
];

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was `{}`, is `{}`", self.kind, self.before, self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(signals: &[(SignalKind, &str)]) -> Evidence {
        let mut evidence = Evidence::default();
        signals.iter().for_each(|(kind, value)| evidence.add(*kind, value));
        evidence
    }

    const DEVICE: [(SignalKind, &str); 8] = [
        (SignalKind::Manufacturer, "Hikvision"),
        (SignalKind::Model, "DS-2CD2143G0-I"),
        (SignalKind::Firmware, "V5.5.80"),
        (SignalKind::Serial, "DS-2CD2143G0-I20190101AAWR123456789"),
        (SignalKind::Hardware, "88"),
        (SignalKind::HttpServer, "App-webs/"),
        (SignalKind::HttpRealm, "IP Camera(C1234)"),
        (SignalKind::Mac, "44:19:b6:00:00:01"),
    ];

    /// With some signals replaced.
    fn with(changed: &[(SignalKind, &str)]) -> Vec<Change> {
        let now: Vec<_> = DEVICE
            .iter()
            .map(|(kind, value)| {
                changed.iter().find(|(it, _)| it == kind).copied().unwrap_or((*kind, *value))
            })
            .collect();
        changes(&evidence(&DEVICE), &evidence(&now))
    }

    #[test]
    fn benign_changes_make_no_other_device() {
        for changed in [
            &[][..],
            &[(SignalKind::Firmware, "V5.7.1")],
            &[(SignalKind::HttpServer, "webserver")],
            &[(SignalKind::HttpRealm, "login")],
            &[(SignalKind::Manufacturer, "HIKVISION")],
            &[(SignalKind::Serial, "ds-2cd2143g0-i 20190101 AAWR123456789")],
            &[(SignalKind::Mac, "4419B6000001")],
            &[(SignalKind::Model, "DS-2CD2143G0-IS")],
            &[(SignalKind::Hardware, "89"), (SignalKind::Firmware, "V6"), (SignalKind::HttpServer, "nginx")],
            &[(SignalKind::Serial, ""), (SignalKind::Firmware, "V6")],
            &[(SignalKind::Mac, "44:19:b6:00:00:02")],
        ] {
            let found = with(changed);
            assert!(!is_another(&found), "{changed:?}: {found:?}");
        }
        assert!(!is_another(&changes(&evidence(&DEVICE), &Evidence::default())), "it shows nothing now");
        assert!(!is_another(&changes(&Evidence::default(), &evidence(&DEVICE))), "it showed nothing before");
    }

    #[test]
    fn another_device_is_told_by_its_number_or_by_two_other_things() {
        for (changed, first) in [
            (&[(SignalKind::Serial, "DS-2CD2143G0-I20190101AAWR999999999")][..], SignalKind::Serial),
            (&[(SignalKind::Mac, "44:19:b6:00:00:02"), (SignalKind::Model, "IPC-HDW")], SignalKind::Mac),
            (
                &[(SignalKind::Manufacturer, "Dahua"), (SignalKind::Model, "IPC-HDW")],
                SignalKind::Manufacturer,
            ),
            (&[(SignalKind::Model, "IPC-HDW"), (SignalKind::Serial, "")], SignalKind::Serial),
        ] {
            let found = with(changed);
            assert!(is_another(&found), "{changed:?}: {found:?}");
            assert_eq!(found.first().map(|it| it.kind), Some(first));
        }
        let told = with(&[(SignalKind::HttpServer, "\u{1b}[31mnginx")])[0].to_string();
        assert_eq!(told, "http-server was `App-webs/`, is `\u{fffd}[31mnginx`");
    }
}
