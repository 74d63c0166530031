//! What a camera shows of its maker: a bounded set of signals.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{
    EVIDENCE_BY_TURNS_MAX, EVIDENCE_BYTES_MAX, EVIDENCE_SIGNALS_MAX, EVIDENCE_VALUE_BYTES_MAX,
};

/// Where a signal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignalKind {
    /// ONVIF GetDeviceInformation: who the camera says made it.
    Manufacturer,
    /// The same: its model.
    Model,
    /// The same: its firmware's version.
    Firmware,
    /// The same: its serial number.
    Serial,
    /// The same: its hardware.
    Hardware,
    /// The UUID it is known by in discovery.
    Endpoint,
    /// The scope `name/…`, which its owner may change.
    ScopeName,
    /// The scope `hardware/…`.
    ScopeHardware,
    /// Any other scope; the place it hangs at is free text of its owner's.
    Scope,
    /// Its MAC address, as the zone's neighbour table has it.
    Mac,
    /// The field `Server` of its HTTP answers.
    HttpServer,
    /// The realm of its HTTP challenges.
    HttpRealm,
    /// The field `Server` of its RTSP answers.
    RtspServer,
    /// The realm of its RTSP challenges.
    RtspRealm,
    /// A line of its session descriptions.
    Sdp,
    /// The subject of its certificate.
    TlsSubject,
    /// Who issued that.
    TlsIssuer,
    /// A namespace its SOAP answers declare.
    Namespace,
    /// A prefix they declare one by.
    Prefix,
}

impl SignalKind {
    /// The word of the vendor files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manufacturer => "manufacturer",
            Self::Model => "model",
            Self::Firmware => "firmware",
            Self::Serial => "serial",
            Self::Hardware => "hardware",
            Self::Endpoint => "endpoint",
            Self::ScopeName => "scope-name",
            Self::ScopeHardware => "scope-hardware",
            Self::Scope => "scope",
            Self::Mac => "mac",
            Self::HttpServer => "http-server",
            Self::HttpRealm => "http-realm",
            Self::RtspServer => "rtsp-server",
            Self::RtspRealm => "rtsp-realm",
            Self::Sdp => "sdp",
            Self::TlsSubject => "tls-subject",
            Self::TlsIssuer => "tls-issuer",
            Self::Namespace => "namespace",
            Self::Prefix => "prefix",
        }
    }

    /// Whether it is what the camera says of itself when it is asked who it is: a label, which costs nothing to
    /// change.
    pub fn is_label(self) -> bool {
        match self {
            Self::Manufacturer
            | Self::Model
            | Self::Firmware
            | Self::Serial
            | Self::Hardware
            | Self::Endpoint
            | Self::ScopeName
            | Self::ScopeHardware
            | Self::Scope => true,
            Self::Mac
            | Self::HttpServer
            | Self::HttpRealm
            | Self::RtspServer
            | Self::RtspRealm
            | Self::Sdp
            | Self::TlsSubject
            | Self::TlsIssuer
            | Self::Namespace
            | Self::Prefix => false,
        }
    }

    /// Whether it comes with `tds:GetDeviceInformation`: all of these in one answer.
    pub(super) fn is_of_device(self) -> bool {
        match self {
            Self::Manufacturer | Self::Model | Self::Firmware | Self::Serial | Self::Hardware => true,
            Self::Endpoint
            | Self::ScopeName
            | Self::ScopeHardware
            | Self::Scope
            | Self::Mac
            | Self::HttpServer
            | Self::HttpRealm
            | Self::RtspServer
            | Self::RtspRealm
            | Self::Sdp
            | Self::TlsSubject
            | Self::TlsIssuer
            | Self::Namespace
            | Self::Prefix => false,
        }
    }

    /// Whether a camera shows one after the other of it: each port and path may have a server of its own, each
    /// stream a description. Of everything else, what it shows now takes the place of what it showed before.
    fn is_by_turns(self) -> bool {
        match self {
            Self::HttpServer
            | Self::HttpRealm
            | Self::RtspServer
            | Self::RtspRealm
            | Self::Sdp
            | Self::Namespace
            | Self::Prefix => true,
            Self::Manufacturer
            | Self::Model
            | Self::Firmware
            | Self::Serial
            | Self::Hardware
            | Self::Endpoint
            | Self::ScopeName
            | Self::ScopeHardware
            | Self::Scope
            | Self::Mac
            | Self::TlsSubject
            | Self::TlsIssuer => false,
        }
    }
}

impl fmt::Display for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing a camera shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Where.
    pub kind: SignalKind,
    /// What, as the camera wrote it, without white space around it.
    pub value: String,
}

/// What one camera shows of its maker. A camera that shows more than is kept is not judged by what happened to
/// come first: see [`Evidence::left_out`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    signals: Vec<Signal>,
    left_out: bool,
}

impl Evidence {
    /// Adds what a camera shows. What is there already is not added again. An empty manufacturer
    /// or serial number tells something, an empty anything else nothing.
    pub fn add(&mut self, kind: SignalKind, value: &str) {
        let value = value.trim();
        if value.is_empty() && !matches!(kind, SignalKind::Manufacturer | SignalKind::Serial) {
            return;
        }
        let fits = value.get(..EVIDENCE_VALUE_BYTES_MAX.min(value.len()));
        // A limit within a letter: the letter goes.
        let cut = fits.unwrap_or_else(|| {
            let end = (0..EVIDENCE_VALUE_BYTES_MAX).rev().find(|at| value.is_char_boundary(*at));
            value.get(..end.unwrap_or(0)).unwrap_or_default()
        });
        self.left_out |= cut.len() < value.len();
        if self.shows(kind, cut) {
            return;
        }
        let bytes: usize = self.signals.iter().map(|it| it.value.len()).sum();
        if self.signals.len() == EVIDENCE_SIGNALS_MAX || bytes + cut.len() > EVIDENCE_BYTES_MAX {
            self.left_out = true;
            return;
        }
        self.signals.push(Signal { kind, value: cut.to_owned() });
    }

    /// Adds a scope, as GetScopes and discovery give it.
    pub fn add_scope(&mut self, scope: &str) {
        let scope = decoded(scope.trim());
        let own = scope.strip_prefix("onvif://www.onvif.org/").unwrap_or_default();
        match own.split_once('/') {
            Some(("name", name)) => self.add(SignalKind::ScopeName, name),
            Some(("hardware", hardware)) => self.add(SignalKind::ScopeHardware, hardware),
            Some(_) | None => self.add(SignalKind::Scope, &scope),
        }
    }

    /// Adds a session description's lines that may tell a maker: not those about codecs and tracks.
    pub fn add_session_description(&mut self, text: &str) {
        let told = |line: &&str| {
            ["s=", "i=", "o=", "e=", "u=", "m=application", "a="].iter().any(|it| line.starts_with(it))
                && !["a=fmtp", "a=rtpmap", "a=control", "a=range"].iter().any(|it| line.starts_with(it))
        };
        for line in text.lines().map(str::trim).filter(told) {
            // What follows the name of who made it are numbers of this very session (RFC 8866 §5.2).
            let line = line.split_once(' ').filter(|_| line.starts_with("o=")).map_or(line, |(name, _)| name);
            self.add(SignalKind::Sdp, line);
        }
    }

    /// The signals of some kinds.
    pub(super) fn only(&self, is_kept: impl Fn(SignalKind) -> bool) -> Self {
        let signals = self.signals.iter().filter(|it| is_kept(it.kind)).cloned().collect();
        Self { signals, left_out: self.left_out }
    }

    /// Takes up what a camera shows now, in place of what it showed of the same kinds before; of what is shown by
    /// turns the last `EVIDENCE_BY_TURNS_MAX` are kept. Whether that changes anything.
    pub fn take_up(&mut self, now: &Self) -> bool {
        let before = (self.signals.len(), self.left_out);
        self.left_out |= now.left_out;
        let is_over = |it: &Signal| {
            !it.kind.is_by_turns() && now.of(it.kind).next().is_some() && !now.shows(it.kind, &it.value)
        };
        self.signals.retain(|it| !is_over(it));
        let mut changed = before != (self.signals.len(), self.left_out);
        for Signal { kind, value } in now.signals.iter() {
            if self.shows(*kind, value) {
                continue;
            }
            changed = true;
            if kind.is_by_turns() && self.of(*kind).count() >= EVIDENCE_BY_TURNS_MAX {
                let oldest = self.signals.iter().position(|it| it.kind == *kind);
                oldest.map(|at| self.signals.remove(at));
            }
            self.add(*kind, value);
        }
        changed
    }

    /// Whether the camera shows just this.
    pub fn shows(&self, kind: SignalKind, value: &str) -> bool {
        self.signals.iter().any(|it| it.kind == kind && it.value == value)
    }

    /// What it shows of one kind.
    pub fn of(&self, kind: SignalKind) -> impl Iterator<Item = &str> {
        self.signals.iter().filter(move |it| it.kind == kind).map(|it| it.value.as_str())
    }

    /// What it shows.
    pub fn signals(&self) -> &[Signal] {
        &self.signals
    }

    /// Whether the camera showed more than is kept.
    pub fn left_out(&self) -> bool {
        self.left_out
    }
}

/// A text without percent-encoding; what is no encoding stays.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let pair = bytes.get(at + 1..at + 3).and_then(|it| std::str::from_utf8(it).ok());
        match pair.filter(|_| *byte == b'%').and_then(|it| u8::from_str_radix(it, 16).ok()) {
            Some(plain) => {
                out.push(plain);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_left_out_and_said_so() {
        let mut evidence = Evidence::default();
        evidence.add(SignalKind::Model, &"x".repeat(EVIDENCE_VALUE_BYTES_MAX));
        assert!(!evidence.left_out());
        evidence.add(SignalKind::Model, &("é".repeat(EVIDENCE_VALUE_BYTES_MAX / 2) + "Hikvision"));
        assert!(evidence.left_out());
        let mut evidence = Evidence::default();
        (0..EVIDENCE_SIGNALS_MAX).for_each(|number| evidence.add(SignalKind::Scope, &number.to_string()));
        evidence.add(SignalKind::Scope, "0");
        assert_eq!((evidence.signals().len(), evidence.left_out()), (EVIDENCE_SIGNALS_MAX, false));
        evidence.add(SignalKind::Scope, "more");
        assert_eq!((evidence.signals().len(), evidence.left_out()), (EVIDENCE_SIGNALS_MAX, true));
        let mut evidence = Evidence::default();
        for number in 0..=EVIDENCE_BYTES_MAX / EVIDENCE_VALUE_BYTES_MAX {
            evidence.add(SignalKind::Scope, &format!("{number:0EVIDENCE_VALUE_BYTES_MAX$}"));
        }
        assert!(evidence.left_out());
    }

    #[test]
    fn what_is_shown_now_takes_the_place_of_what_was() {
        let shown = |signals: &[(SignalKind, &str)]| {
            let mut evidence = Evidence::default();
            signals.iter().for_each(|(kind, value)| evidence.add(*kind, value));
            evidence
        };
        let mut evidence = shown(&[(SignalKind::Firmware, "1.0"), (SignalKind::Serial, "A7")]);
        assert!(
            evidence.take_up(&shown(&[(SignalKind::Firmware, "1.1"), (SignalKind::HttpServer, "first")]))
        );
        assert!(!evidence.take_up(&shown(&[(SignalKind::Firmware, "1.1")])), "nothing new");
        let is = |evidence: &Evidence, kind| evidence.of(kind).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(is(&evidence, SignalKind::Firmware), ["1.1"]);
        assert_eq!(is(&evidence, SignalKind::Serial), ["A7"], "nothing was said about it");
        for number in 0..EVIDENCE_BY_TURNS_MAX {
            assert!(evidence.take_up(&shown(&[(SignalKind::HttpServer, &number.to_string())])));
        }
        let servers = is(&evidence, SignalKind::HttpServer);
        assert_eq!(
            (servers.len(), servers[0].as_str()),
            (EVIDENCE_BY_TURNS_MAX, "0"),
            "the oldest makes room"
        );
        assert!(!evidence.left_out());
    }

    #[test]
    fn scopes_are_taken_apart_and_decoded() {
        let mut evidence = Evidence::default();
        for scope in
            ["onvif://www.onvif.org/name/AXIS%20M1034-W", "onvif://www.onvif.org/hardware/M%zz1", "http:123"]
        {
            evidence.add_scope(scope);
        }
        let got: Vec<_> = evidence.signals().iter().map(|it| (it.kind, it.value.as_str())).collect();
        let wanted = [
            (SignalKind::ScopeName, "AXIS M1034-W"),
            (SignalKind::ScopeHardware, "M%zz1"),
            (SignalKind::Scope, "http:123"),
        ];
        assert_eq!(got, wanted);
    }
}
