//! Cameras as the admin listener shows them. No secrets: what logs in to a camera is not among what is kept here.

use std::pin::Pin;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::candidates::CandidateRow;
use crate::{
    camera::{CameraMemory, Identity, Scheme},
    inventory::{
        Accepted, Camera, Evidence, Expected, Finding, Inventory, Judgement, KnownQuirks, Quarantine, Quirk,
        Regard, Signal, VendorVerdict,
    },
    listener::{
        diagnosis::{Diagnosis, SeenDeviation, Standing},
        http::{Reply, Request},
    },
};

/// What knows all cameras, asked anew for each answer.
pub trait Fleet: Send + Sync {
    /// One row for each camera, by name.
    fn list(&self) -> Vec<CameraRow>;
    /// One camera whole.
    fn show(&self, name: &str) -> Option<CameraView>;
    /// Cameras that were found in zones, enrolled or not.
    fn candidates(&self) -> Vec<CandidateRow>;
    /// The latest picture of a camera, if the client that the request shows may see it.
    fn picture(&self, name: &str, request: Request) -> Answering<'_>;
}

/// A reply on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Reply> + 'a>>;

/// One camera in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraRow {
    /// Its name.
    pub name: String,
    /// Its maker, as the table has it.
    pub vendor: String,
    /// The class that rules go by.
    pub class: String,
    /// The place it looks at.
    pub site: String,
    /// The network it hangs in.
    pub zone: String,
    /// Where clients find it.
    pub served: String,
    /// Which layer fails, or `fine`.
    pub state: String,
    /// Whether nobody is served because another device may be in its place.
    #[serde(default)]
    pub quarantined: bool,
    /// Whether its site is sensitive.
    #[serde(default)]
    pub sensitive_site: bool,
    /// The last day, in UTC, of the exception under which it is served there.
    #[serde(default)]
    pub exception_until: Option<String>,
}

/// Who made a camera, and whether it is the one it was.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IdentityView {
    /// The maker that it is held for.
    pub vendor: String,
    /// The class that rules go by.
    pub class: String,
    /// The maker that its configuration declares.
    pub declared: Option<String>,
    /// Somebody's decision about its class, in words.
    pub decision: Option<String>,
    /// What carries the verdict: nothing, declared, claimed, corroborated or decided.
    pub standing: String,
    /// Why it has its class.
    pub reasons: Vec<String>,
    /// What each signal says, the weightiest first.
    pub findings: Vec<FindingView>,
    /// What it shows.
    pub signals: Vec<Signal>,
    /// Whether it shows more than is kept.
    pub left_out: bool,
    /// What does not go together.
    pub contradictions: Vec<String>,
    /// Why nobody is served, if so.
    pub quarantine: Option<Quarantine>,
    /// The announcement that one other device may take its place without anybody being asked.
    #[serde(default)]
    pub expected: Option<Expected>,
    /// Who accepted the device that is there, when and why.
    pub accepted: Option<Accepted>,
    /// On whose word it is served although it is restricted and its site is sensitive.
    pub exception: Option<ExceptionView>,
}

/// What one signal says about a maker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingView {
    /// Where it shows.
    pub signal: String,
    /// What shows.
    pub value: String,
    /// The maker it speaks for.
    pub vendor: String,
    /// That maker's class.
    pub class: String,
    /// How much it tells: weak, fair or strong.
    pub weight: String,
    /// How sure the rule is that says so.
    pub confidence: String,
    /// The rule, in words.
    pub rule: String,
    /// Where the rule comes from.
    pub source: Vec<String>,
}

/// An exception as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionView {
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The last day, in UTC.
    pub until: String,
}

impl IdentityView {
    /// What a judgement says, of whatever shows this.
    pub fn judged(judged: Judgement, evidence: &Evidence) -> Self {
        let VendorVerdict { name, class, reasons, declared, decision, .. } = judged.verdict;
        let finding = |it: Finding| FindingView {
            signal: it.kind.to_string(),
            value: it.value,
            vendor: it.vendor,
            class: it.class.to_string(),
            weight: it.weight.to_string(),
            confidence: it.confidence.to_string(),
            rule: it.rule,
            source: it.source,
        };
        Self {
            vendor: name,
            class: class.to_string(),
            declared,
            decision: decision.map(|it| it.to_string()),
            standing: judged.standing.to_string(),
            reasons,
            findings: judged.findings.into_iter().map(finding).collect(),
            signals: evidence.signals().to_vec(),
            left_out: evidence.left_out(),
            contradictions: judged.contradictions,
            ..Self::default()
        }
    }

    /// Puts together what a camera is held to be, and what led there.
    pub fn of(camera: &Camera, judged: Judgement, evidence: &Evidence, regard: &Regard) -> Self {
        let VendorVerdict { name, class, reasons, declared, decision, .. } = camera.vendor.clone();
        Self {
            vendor: name,
            class: class.to_string(),
            declared,
            decision: decision.map(|it| it.to_string()),
            reasons,
            quarantine: regard.quarantine.clone(),
            expected: regard.expected.clone(),
            accepted: regard.accepted.clone(),
            exception: camera.exception.as_ref().map(|it| ExceptionView {
                owner: it.owner.clone(),
                reason: it.reason.clone(),
                until: it.until.to_string(),
            }),
            ..Self::judged(judged, evidence)
        }
    }
}

/// One camera whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraView {
    /// Where this was read: `the running gateway`, or `the state database`.
    pub source: String,
    /// In a line.
    pub row: CameraRow,
    /// Which layer fails, if one does.
    pub why: Diagnosis,
    /// Where it is dialled.
    pub address: String,
    /// Who made it, and whether it is the one it was.
    #[serde(default)]
    pub verdict: IdentityView,
    /// Who it says it is.
    pub identity: Option<Identity>,
    /// The kind of login it takes.
    pub scheme: Option<Scheme>,
    /// By how many milliseconds its clock was ahead, as it said last.
    pub clock_offset_milliseconds: Option<i64>,
    /// By how many more logins take it to be.
    pub clock_shift_milliseconds: i64,
    /// Logins it refused since it took one.
    pub rejections: u32,
    /// Until when nothing is sent for that.
    pub waiting_until: Option<Timestamp>,
    /// The fingerprint of the key it is known by, if it is reached over TLS.
    pub pin: Option<String>,
    /// Its quirks.
    pub quirks: Vec<QuirkView>,
    /// The services it was heard to offer since the gateway started.
    pub services: Vec<String>,
    /// What its answers did otherwise than declared since then, the latest last.
    pub deviations: Vec<SeenDeviation>,
    /// When it last answered as asked, since then.
    pub answered: Option<Timestamp>,
    /// How its events are had; none where no gateway runs.
    #[serde(default)]
    pub events: Option<EventsView>,
}

/// How a camera's events are had, and what came of them since the gateway started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventsView {
    /// How the gateway is subscribed to them, `pull` or `push`; none if it is not.
    pub subscribed: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// How many want them: subscriptions of clients, and the broker.
    pub wanted: usize,
    /// Events that were told.
    pub told: u64,
    /// Those that the camera told before.
    pub twice: u64,
    /// Those that were lost, since more came than may.
    pub over_rate: u64,
    /// Why nobody has them.
    pub nobody: Option<String>,
}

/// One quirk of a camera, and where it is known from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuirkView {
    /// Which one.
    pub id: String,
    /// `observed`, `set by the owner` or `forbidden by the owner`.
    pub origin: String,
    /// What was observed, or the owner's reason.
    pub note: String,
    /// When it was observed first.
    pub first: Option<Timestamp>,
    /// When last.
    pub last: Option<Timestamp>,
    /// How often.
    pub times: u64,
    /// On which firmware.
    pub firmware: Option<String>,
    /// What the gateway does about it.
    pub gateway: String,
    /// Where the knowledge of such cameras comes from.
    pub knowledge: String,
}

impl CameraRow {
    /// The camera as it is treated, with its state.
    pub fn of(camera: &Camera, state: &str, inventory: &Inventory) -> Self {
        let secure = camera.secure.as_ref().map_or_else(String::new, |door| {
            format!(", https://{}{}/onvif/device_service", door.advertise, camera.mount)
        });
        Self {
            name: camera.id.to_string(),
            vendor: camera.vendor.name.clone(),
            class: camera.vendor.class.to_string(),
            site: camera.site.to_string(),
            zone: camera.zone.to_string(),
            served: format!("http://{}{}/onvif/device_service{secure}", camera.advertise, camera.mount),
            state: state.to_owned(),
            quarantined: camera.quarantined,
            sensitive_site: inventory.site(&camera.site).is_none_or(|site| site.sensitive),
            exception_until: camera.exception.as_ref().map(|it| it.until.to_string()),
        }
    }
}

/// What a camera is judged by.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    /// Sites and makers.
    pub inventory: &'a Inventory,
    /// What was found of it.
    pub regard: &'a Regard,
}

impl CameraView {
    /// Puts together what is known of a camera.
    pub fn of(
        source: &str,
        camera: &Camera,
        why: Diagnosis,
        standing: Standing,
        pin: Option<String>,
        known: &KnownQuirks,
        held: Held<'_>,
    ) -> Self {
        let Standing { memory, services, answered, deviations, .. } = standing;
        let (declared, decision) = (camera.vendor.declared.as_deref(), camera.vendor.decision.as_ref());
        let judged = held.inventory.vendors().judge(declared, &memory.evidence, decision);
        let verdict = IdentityView::of(camera, judged, &memory.evidence, held.regard);
        let scheme = if camera.certificates.is_some() { "https" } else { "http" };
        Self {
            source: source.to_owned(),
            row: CameraRow::of(camera, why.layer.as_str(), held.inventory),
            why,
            address: format!("{scheme}://{}{}", camera.address, camera.device_path),
            verdict,
            quirks: quirks(camera, &memory, known),
            identity: memory.identity,
            scheme: memory.scheme,
            clock_offset_milliseconds: memory.clock_offset_milliseconds,
            clock_shift_milliseconds: memory.clock_shift_milliseconds,
            rejections: memory.breaker.rejections,
            waiting_until: memory.breaker.waiting_until(),
            pin,
            services,
            deviations,
            answered,
            events: None,
        }
    }
}

/// What the owner says first, then what was observed.
fn quirks(camera: &Camera, memory: &CameraMemory, known: &KnownQuirks) -> Vec<QuirkView> {
    let told = |quirk: Quirk| {
        let known = known.of(quirk);
        known.map(|it| (it.gateway.clone(), it.source.clone())).unwrap_or_default()
    };
    let ordered = camera.quirks.iter().map(|order| {
        let (gateway, knowledge) = told(order.quirk);
        let origin = if order.used { "set by the owner" } else { "forbidden by the owner" };
        QuirkView {
            id: order.quirk.to_string(),
            origin: origin.to_owned(),
            note: order.reason.clone(),
            first: None,
            last: None,
            times: 0,
            firmware: None,
            gateway,
            knowledge,
        }
    });
    let observed = memory.quirks.iter().map(|(quirk, seen)| {
        let (gateway, knowledge) = told(*quirk);
        QuirkView {
            id: quirk.to_string(),
            origin: "observed".to_owned(),
            note: seen.note.clone(),
            first: Some(seen.first),
            last: Some(seen.last),
            times: seen.times,
            firmware: seen.firmware.clone(),
            gateway,
            knowledge,
        }
    });
    ordered.chain(observed).collect()
}
