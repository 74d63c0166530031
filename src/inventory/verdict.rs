//! From evidence to a verdict: a pure function over a bounded set of signals.
//!
//! Any credible sign of a restricted maker wins over any claim to the contrary, since a label costs nothing: a
//! relabelled camera says "Axis" as easily as an Axis does. So signs only ever add up to something stricter. A
//! manufacturer nobody knows makes the camera one of an unknown maker, and so does a camera that shows more than
//! is looked at. Only a decision of a person's, with a name, a reason and a date, makes a class laxer.

use std::{borrow::Cow, cmp::Reverse, fmt};

use super::{
    class::{Decision, VendorClass, VendorVerdict},
    evidence::{Evidence, Signal, SignalKind},
    fingerprint::Fingerprint,
    folded::{Folded, Place},
    macs,
    vendor::{Confidence, MacUse, Vendor},
    vendors::Vendors,
};
use crate::limits::{VERDICT_CONTRADICTIONS_MAX, VERDICT_FINDINGS_MAX, VERDICT_VALUE_CHARS_MAX};

/// How much a finding tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// A hint: shown, and nothing follows from it.
    Weak,
    /// Enough to act on.
    Fair,
    /// Hardly to be explained otherwise.
    Strong,
}

/// What one signal says about the maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it shows.
    pub kind: SignalKind,
    /// What shows, shortened, without anything a terminal would obey.
    pub value: String,
    /// The id of the vendor it speaks for.
    pub vendor: String,
    /// That vendor's class.
    pub class: VendorClass,
    /// How much it tells.
    pub weight: Weight,
    /// How sure the rule is that says so.
    pub confidence: Confidence,
    /// The rule, in words.
    pub rule: String,
    /// Where the rule comes from.
    pub source: Vec<String>,
}

/// What a camera is held to be, and everything that led there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What rules go by.
    pub verdict: VendorVerdict,
    /// What each signal says, weightiest first.
    pub findings: Vec<Finding>,
    /// What does not go together.
    pub contradictions: Vec<String>,
    /// What carries the verdict.
    pub standing: Standing,
}

/// What carries a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing: nobody said or showed anything.
    Nothing,
    /// The configuration alone.
    Declared,
    /// The camera's own label, which costs nothing to change.
    Claimed,
    /// Something beside the label: its addresses, servers, certificates, streams or dialect.
    Corroborated,
    /// A person's decision.
    Decided,
}

/// One thing that speaks for a class.
struct Voice {
    class: VendorClass,
    weight: Weight,
    /// The vendor's place in the table, if it has one.
    vendor: Option<usize>,
    name: String,
    why: String,
}

impl Vendors {
    /// What a camera is, going by what its configuration declares, what it shows, and what somebody decided.
    pub fn judge(
        &self,
        declared: Option<&str>,
        evidence: &Evidence,
        decision: Option<&Decision>,
    ) -> Judgement {
        let (findings, strangers) = self.findings(evidence);
        let mut voices: Vec<Voice> = declared.map(|name| self.declared(name)).into_iter().collect();
        voices.extend(findings.iter().filter_map(|it| self.voice(it)));
        voices.extend(strangers.iter().map(stranger));
        if evidence.left_out() {
            voices.push(nobody("unknown", "it shows more than is looked at"));
        }
        if voices.is_empty() {
            voices.push(nobody("unknown", "nothing tells its maker"));
        }
        let contradictions = self.contradictions(&voices, declared, &strangers);
        let standing = standing(&voices, declared, &findings, decision);
        let mut verdict = settled(voices);
        verdict.reasons.extend(contradictions.iter().map(|it| format!("contradiction: {it}")));
        verdict.declared = declared.map(str::to_owned);
        if let Some(decision) = decision {
            verdict.undecided = Some(Box::new(verdict.clone()));
            verdict.decision = Some(decision.clone());
            verdict.reasons.insert(0, decision.to_string());
            verdict.class = decision.class;
        }
        Judgement { verdict, findings, contradictions, standing }
    }

    /// What each signal says, and manufacturers nobody knows.
    fn findings(&self, evidence: &Evidence) -> (Vec<Finding>, Vec<String>) {
        let (mut findings, mut strangers) = (Vec::new(), Vec::new());
        for signal in evidence.signals() {
            let folded = Folded::new(&signal.value);
            let before = findings.len();
            self.by_name(signal, &folded, &mut findings);
            self.by_mac(signal, &mut findings);
            for vendor in self.iter() {
                let matching = vendor.fingerprints.iter().filter(|it| it.signal == signal.kind);
                findings.extend(
                    matching
                        .filter(|it| it.matches(&signal.value, &folded))
                        .map(|it| by_fingerprint(signal, vendor, it)),
                );
            }
            if signal.kind == SignalKind::Manufacturer && findings.len() == before {
                strangers.push(shown(&signal.value));
            }
        }
        // What makes the verdict stricter must not be crowded out by what speaks for the maker on the label.
        findings.sort_by_key(|it| Reverse((it.weight > Weight::Weak, it.class.strictness(), it.weight)));
        findings.dedup_by(|next, kept| {
            (next.kind, &next.vendor, &next.rule) == (kept.kind, &kept.vendor, &kept.rule)
        });
        findings.truncate(VERDICT_FINDINGS_MAX);
        (findings, strangers)
    }

    fn by_name(&self, signal: &Signal, folded: &Folded, findings: &mut Vec<Finding>) {
        let mut said = |vendor: &Vendor, weight, rule: String| {
            let confidence = if vendor.names_seen { Confidence::Reported } else { Confidence::Inferred };
            let source = vendor.seat.source.clone();
            findings.push(finding(signal, vendor, weight, confidence, rule, source));
        };
        let named = Some(folded).filter(|_| signal.kind == SignalKind::Manufacturer);
        let named = named.and_then(|text| self.company(text));
        if let Some(vendor) = named.and_then(|index| self.at(index)) {
            said(vendor, Weight::Strong, "is the maker's name".to_owned());
        }
        for (word, index) in self.words().iter().filter(|(_, index)| Some(*index) != named) {
            let Some((place, vendor)) = folded.place(word).zip(self.at(*index)) else { continue };
            said(vendor, weight_of_name(signal.kind, place), "contains the maker's name".to_owned());
        }
    }

    /// MAC addresses stand in many places.
    fn by_mac(&self, signal: &Signal, findings: &mut Vec<Finding>) {
        let (text, weight): (&str, Weight) = match signal.kind {
            SignalKind::Mac => (&signal.value, Weight::Strong),
            SignalKind::Serial | SignalKind::Hardware | SignalKind::RtspRealm | SignalKind::HttpRealm => {
                (&signal.value, Weight::Fair)
            }
            SignalKind::Scope => (signal.value.rsplit('/').next().unwrap_or_default(), Weight::Fair),
            SignalKind::Endpoint => (node(&signal.value), Weight::Fair),
            _ => return,
        };
        let Some((prefix, index)) = macs::mac(text).and_then(|mac| self.macs().holder(mac)) else { return };
        let Some(vendor) = self.at(index) else { return };
        let weight = match vendor.mac_use {
            MacUse::Cameras => weight,
            MacUse::Mixed => weight.min(Weight::Fair),
            MacUse::Modules => Weight::Weak,
        };
        let rule = format!("begins with {prefix}, a block of the maker's ({})", self.macs().date);
        let source = vec![self.macs().source.clone()];
        findings.push(finding(signal, vendor, weight, Confidence::Confirmed, rule, source));
    }

    fn declared(&self, name: &str) -> Voice {
        let VendorVerdict { name: id, class, reasons, .. } = self.verdict(name);
        Voice { class, weight: Weight::Strong, vendor: self.index(name), name: id, why: reasons.join("; ") }
    }

    fn voice(&self, finding: &Finding) -> Option<Voice> {
        (finding.weight > Weight::Weak).then(|| Voice {
            class: finding.class,
            weight: finding.weight,
            vendor: self.index(&finding.vendor),
            name: finding.vendor.clone(),
            why: finding.to_string(),
        })
    }

    /// Makers that have nothing to do with each other and are both credible.
    fn contradictions(&self, voices: &[Voice], declared: Option<&str>, strangers: &[String]) -> Vec<String> {
        let mut found = Vec::new();
        for (at, one) in voices.iter().enumerate() {
            for other in voices.iter().skip(at + 1) {
                let Some((first, second)) = one.vendor.zip(other.vendor) else { continue };
                let (a, b) = (one.name.as_str().min(&other.name), one.name.as_str().max(&other.name));
                let told = format!("`{a}` and `{b}` have nothing to do with each other");
                if first != second && !self.related(first, second) && !found.contains(&told) {
                    found.push(told);
                }
            }
        }
        let trusted = declared.and_then(|name| self.find(name)).filter(|it| !it.class.is_restricted());
        if let Some(vendor) = trusted {
            let told =
                |name: &String| format!("declared as `{}`, it names an unknown maker: `{name}`", vendor.id);
            found.extend(strangers.iter().map(told));
        }
        found.truncate(VERDICT_CONTRADICTIONS_MAX);
        found
    }
}

/// The strictest voice, and of those the weightiest; all are its reasons.
fn settled(mut voices: Vec<Voice>) -> VendorVerdict {
    // The sort is stable: the configuration's word comes first among equals.
    voices.sort_by_key(|it| Reverse((it.class.strictness(), it.weight)));
    let first = voices.first();
    let (name, class) = first.map_or_else(
        || ("unknown".to_owned(), VendorClass::Unknown),
        |voice| (voice.name.clone(), voice.class),
    );
    let mut reasons: Vec<String> = voices.into_iter().map(|it| it.why).collect();
    reasons.truncate(VERDICT_FINDINGS_MAX);
    VendorVerdict { name, class, reasons, declared: None, decision: None, undecided: None }
}

fn standing(
    voices: &[Voice],
    declared: Option<&str>,
    findings: &[Finding],
    decision: Option<&Decision>,
) -> Standing {
    if decision.is_some() {
        return Standing::Decided;
    }
    let credible = || findings.iter().filter(|it| it.weight > Weight::Weak);
    let strictest = voices.iter().map(|it| it.class.strictness()).max();
    let carries = |it: &&Finding| Some(it.class.strictness()) == strictest;
    if credible().filter(carries).any(|it| !it.kind.is_label()) {
        Standing::Corroborated
    } else if credible().any(|it| carries(&it)) {
        Standing::Claimed
    } else if declared.is_some() {
        Standing::Declared
    } else {
        Standing::Nothing
    }
}

fn stranger(name: &String) -> Voice {
    nobody(
        if name.is_empty() { "unknown" } else { name },
        &format!("it says it was made by `{name}`, whom nobody knows"),
    )
}

fn nobody(name: &str, why: &str) -> Voice {
    let why = format!("{why}: treated as restricted");
    Voice { class: VendorClass::Unknown, weight: Weight::Weak, vendor: None, name: name.to_owned(), why }
}

fn by_fingerprint(signal: &Signal, vendor: &Vendor, print: &Fingerprint) -> Finding {
    let weight = match print.confidence {
        Confidence::Confirmed => Weight::Strong,
        Confidence::Reported | Confidence::Inferred => Weight::Fair,
        Confidence::Contested | Confidence::Uncertain => Weight::Weak,
    };
    finding(signal, vendor, weight, print.confidence, print.rule(), print.source.clone())
}

fn finding(
    signal: &Signal,
    vendor: &Vendor,
    weight: Weight,
    confidence: Confidence,
    rule: String,
    source: Vec<String>,
) -> Finding {
    let (kind, value) = (signal.kind, shown(&signal.value));
    Finding { kind, value, vendor: vendor.id.clone(), class: vendor.class, weight, confidence, rule, source }
}

/// What a maker's name tells where it stands. What owners write themselves (names, places, titles) tells little,
/// unless it begins with the name, as it does from the factory.
fn weight_of_name(kind: SignalKind, place: Place) -> Weight {
    match kind {
        SignalKind::Manufacturer | SignalKind::Namespace => Weight::Strong,
        SignalKind::Scope => Weight::Weak,
        SignalKind::ScopeName | SignalKind::HttpRealm | SignalKind::RtspRealm => match place {
            Place::Start => Weight::Fair,
            Place::Within => Weight::Weak,
        },
        SignalKind::Model
        | SignalKind::Firmware
        | SignalKind::Serial
        | SignalKind::Hardware
        | SignalKind::Endpoint
        | SignalKind::ScopeHardware
        | SignalKind::Mac
        | SignalKind::HttpServer
        | SignalKind::RtspServer
        | SignalKind::Sdp
        | SignalKind::TlsSubject
        | SignalKind::TlsIssuer
        | SignalKind::Prefix => Weight::Fair,
    }
}

/// The last 12 digits of a UUID, where they are made of a MAC address: not in those made at random (version 4).
fn node(endpoint: &str) -> &str {
    let uuid = endpoint.rsplit(':').next().unwrap_or_default();
    let fields: Vec<&str> = uuid.split('-').collect();
    match fields.as_slice() {
        [_, _, version, _, node] if !version.starts_with('4') => node,
        _ => "",
    }
}

/// A camera's text for people: short, and nothing in it that a terminal would obey.
pub(super) fn shown(text: &str) -> String {
    let short: Cow<'_, str> = match text.char_indices().nth(VERDICT_VALUE_CHARS_MAX) {
        Some((end, _)) => Cow::Owned(text.get(..end).unwrap_or_default().to_owned() + "…"),
        None => Cow::Borrowed(text),
    };
    short.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weak => "weak",
            Self::Fair => "fair",
            Self::Strong => "strong",
        })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Declared => "declared",
            Self::Claimed => "claimed",
            Self::Corroborated => "corroborated",
            Self::Decided => "decided",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, value, vendor, class, weight, confidence, rule, source } = self;
        write!(
            f,
            "{kind} `{value}` {rule}: {vendor}, {class} ({weight}; {confidence}: {})",
            source.join(", ")
        )
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
