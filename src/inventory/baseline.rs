//! What a camera has been set to that leads out of it or lets somebody in: where it sends to, whom it asks for time and
//! names, who may log in. A camera comes with a past (another owner's cloud, a test server, a forgotten account), and may
//! come by a new one without a command of the gateway's.
//!
//! The gateway reads it when the camera is taken up and then daily; a person looks at it and approves it. Until somebody
//! has, what the camera's zone expects is all that is approved: the gateway itself as router, name and time server.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Isolation, RegardBook, Zone};
use crate::{
    ids::CameraId,
    limits::{BASELINE_FACTS_MAX, BASELINE_INTERVAL, BASELINE_VALUE_CHARS_MAX},
};

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactKind {
    /// A connection that the camera makes to a remote client by itself (Uplink Specification).
    Uplink,
    /// Where it stores recordings.
    Storage,
    /// An MQTT broker that it publishes events to.
    EventBroker,
    /// Machines that it mails, uploads or sends a message to when something happens.
    Action,
    /// A stream that it fetches.
    Receiver,
    /// A WebRTC signalling server, through which strangers may watch.
    SignallingServer,
    /// A group that it is set to send media to.
    Multicast,
    /// Discovery beyond its network, and the proxies of that.
    RemoteDiscovery,
    /// Who is told its address under a name.
    DynamicDns,
    /// A time server.
    Ntp,
    /// A name server.
    Dns,
    /// Its default gateway.
    Router,
    /// An account.
    User,
    /// A protocol that it serves, with its ports.
    Protocol,
}

impl FactKind {
    /// The word in records and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uplink => "uplink",
            Self::Storage => "storage",
            Self::EventBroker => "event-broker",
            Self::Action => "action",
            Self::Receiver => "receiver",
            Self::SignallingServer => "signalling-server",
            Self::Multicast => "multicast",
            Self::RemoteDiscovery => "remote-discovery",
            Self::DynamicDns => "dynamic-dns",
            Self::Ntp => "ntp",
            Self::Dns => "dns",
            Self::Router => "router",
            Self::User => "user",
            Self::Protocol => "protocol",
        }
    }

    /// Whether it leads out of the camera.
    pub fn is_destination(self) -> bool {
        match self {
            Self::Uplink
            | Self::Storage
            | Self::EventBroker
            | Self::Action
            | Self::Receiver
            | Self::SignallingServer
            | Self::Multicast
            | Self::RemoteDiscovery
            | Self::DynamicDns
            | Self::Ntp
            | Self::Dns
            | Self::Router => true,
            Self::User | Self::Protocol => false,
        }
    }
}

/// One thing that a camera has been set to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fact {
    /// What it is about.
    pub kind: FactKind,
    /// What it was set to, fit to be shown.
    pub value: String,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.value)
    }
}

/// A bounded set of facts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    all: BTreeSet<Fact>,
    /// Whether there was more than is kept, or longer texts.
    pub left_out: bool,
}

impl Facts {
    /// Adds one; what is empty is none.
    pub fn add(&mut self, kind: FactKind, value: &str) {
        let clean = |letter: char| if letter.is_control() { '\u{fffd}' } else { letter };
        let mut letters = value.trim().chars().map(clean);
        let value: String = letters.by_ref().take(BASELINE_VALUE_CHARS_MAX).collect();
        self.left_out |= letters.next().is_some();
        if value.is_empty() {
            return;
        }
        let fact = Fact { kind, value };
        if self.all.len() >= BASELINE_FACTS_MAX && !self.all.contains(&fact) {
            self.left_out = true;
            return;
        }
        self.all.insert(fact);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Fact> {
        self.all.iter()
    }

    /// Whether one is among them.
    pub fn has(&self, fact: &Fact) -> bool {
        self.all.contains(fact)
    }

    /// Those that are not among others.
    fn beyond<'a>(&'a self, others: &'a Self) -> impl Iterator<Item = &'a Fact> {
        self.all.difference(&others.all)
    }
}

/// What came of one question of a reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answered {
    /// It was answered.
    Read,
    /// The camera does not offer the service: it was not asked.
    NotOffered,
    /// It says that it cannot tell, or it did not answer, in words.
    Untold(String),
}

/// What a camera said at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// When.
    pub at: Timestamp,
    /// What it has been set to.
    pub facts: Facts,
    /// What came of each question, by operation.
    pub questions: BTreeMap<String, Answered>,
    /// Questions that were not answered this time, of which what they said before counts on.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub counts_on: BTreeSet<String>,
}

impl Reading {
    /// A question was not answered, for this reason.
    pub fn untold(&mut self, operation: &str, why: &str) {
        let why = why.chars().take(BASELINE_VALUE_CHARS_MAX).collect();
        self.questions.insert(operation.to_owned(), Answered::Untold(why));
    }

    fn told(&self) -> impl Iterator<Item = &String> {
        self.questions.iter().filter(|(_, answered)| **answered == Answered::Read).map(|(name, _)| name)
    }
}

/// Somebody's word that what a camera has been set to is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// When.
    pub at: Timestamp,
    /// By which user of the gateway's machine.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What was approved.
    pub facts: Facts,
}

/// What is kept of one camera.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Baseline {
    /// What was read first, or when something was approved last.
    pub first: Option<Reading>,
    /// What was read last, with what questions said before that were not answered then.
    pub last: Option<Reading>,
    /// What is approved.
    pub approved: Option<Approval>,
}

/// How a camera stands to what is approved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Destinations that are not approved.
    pub outside: Vec<Fact>,
    /// Accounts and protocols that are not.
    pub other: Vec<Fact>,
    /// Questions that it answered then and does not answer now.
    pub untold: Vec<String>,
    /// Whether more was said than is kept, so that something may be hidden behind it.
    pub left_out: bool,
}

/// What a reading brought that the one before had not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// It is the first.
    pub is_first: bool,
    /// What is there now.
    pub added: Vec<Fact>,
    /// What is gone.
    pub removed: Vec<Fact>,
    /// Questions that were answered before and are not now.
    pub untold: Vec<String>,
}

impl News {
    /// Whether there is any.
    pub fn is_none(&self) -> bool {
        !self.is_first && self.added.is_empty() && self.removed.is_empty() && self.untold.is_empty()
    }
}

/// What is approved for every camera of a zone: the gateway's own addresses there, for what the gateway offers.
pub fn expected(zone: &Zone) -> Facts {
    let mut facts = Facts::default();
    for address in gateways(zone) {
        for kind in [FactKind::Ntp, FactKind::Dns, FactKind::Router] {
            facts.add(kind, &address.to_string());
        }
    }
    facts
}

/// The gateway's own addresses in a zone.
pub fn gateways(zone: &Zone) -> Vec<IpAddr> {
    match &zone.isolation {
        Isolation::Namespace(leg) => leg.addresses.iter().map(ipnet::IpNet::addr).collect(),
        Isolation::None => Vec::new(),
    }
}

impl Baseline {
    /// Takes up a reading. What a question said before counts on while it is not answered: silence takes nothing away.
    fn take_up(&mut self, mut reading: Reading) -> News {
        let Some(before) = self.last.take() else {
            let added = reading.facts.iter().cloned().collect();
            self.first = Some(reading.clone());
            self.last = Some(reading);
            return News { is_first: true, added, ..News::default() };
        };
        let now: BTreeSet<&String> = reading.told().collect();
        let known = before.told().chain(&before.counts_on);
        let counts_on: BTreeSet<String> = known.filter(|name| !now.contains(name)).cloned().collect();
        // Several questions may tell of one kind: as long as one of them is not answered, nothing of it is gone.
        let open: BTreeSet<FactKind> = counts_on.iter().flat_map(|name| told_by(name)).copied().collect();
        let told = kinds_of(&reading);
        let kept = before.facts.iter().filter(|fact| open.contains(&fact.kind) || !told.contains(&fact.kind));
        let kept: Vec<Fact> = kept.cloned().collect();
        let untold = before.told().filter(|name| !now.contains(name)).cloned().collect();
        kept.iter().for_each(|fact| reading.facts.add(fact.kind, &fact.value));
        reading.counts_on = counts_on;
        let news = News {
            is_first: false,
            added: reading.facts.beyond(&before.facts).cloned().collect(),
            removed: before.facts.beyond(&reading.facts).cloned().collect(),
            untold,
        };
        self.last = Some(reading);
        news
    }

    /// How the camera stands to what is approved, in a zone that expects this.
    pub fn standing(&self, expected: &Facts) -> Standing {
        let Some(last) = &self.last else { return Standing::default() };
        let first = self.first.as_ref().map(|it| &it.facts);
        let is_approved = |fact: &&Fact| match &self.approved {
            Some(approved) => approved.facts.has(fact),
            // Accounts and protocols that it came with are shown to whoever approves.
            None => !fact.kind.is_destination() && first.is_some_and(|it| it.has(fact)),
        };
        let beyond = last.facts.iter().filter(|fact| !expected.has(fact) && !is_approved(fact)).cloned();
        let (outside, other) = beyond.partition(|fact: &Fact| fact.kind.is_destination());
        let told: BTreeSet<&String> = last.told().collect();
        let before = self.first.iter().flat_map(Reading::told);
        let untold = before.filter(|name| !told.contains(name)).cloned().collect();
        Standing { outside, other, untold, left_out: last.facts.left_out }
    }

    /// Whether the camera is to be asked again.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.last.as_ref().is_none_or(|it| {
            let since = now.duration_since(it.at);
            // A clock that was set back is no reason not to look.
            since.is_negative() || since.unsigned_abs() >= BASELINE_INTERVAL
        })
    }
}

/// What the answered questions of a reading are about.
fn kinds_of(reading: &Reading) -> BTreeSet<FactKind> {
    reading.told().flat_map(|name| told_by(name)).copied().collect()
}

/// What a question's answer tells.
pub fn told_by(operation: &str) -> &'static [FactKind] {
    match operation {
        "tup:GetUplinks" => &[FactKind::Uplink],
        "tds:GetStorageConfigurations" => &[FactKind::Storage],
        "tev:GetEventBrokers" => &[FactKind::EventBroker],
        "tae:GetActions" => &[FactKind::Action],
        "trv:GetReceivers" => &[FactKind::Receiver],
        "tr2:GetWebRTCConfigurations" => &[FactKind::SignallingServer],
        "trt:GetVideoEncoderConfigurations"
        | "trt:GetAudioEncoderConfigurations"
        | "trt:GetMetadataConfigurations"
        | "tr2:GetVideoEncoderConfigurations"
        | "tr2:GetAudioEncoderConfigurations"
        | "tr2:GetMetadataConfigurations" => &[FactKind::Multicast],
        "tds:GetRemoteDiscoveryMode" | "tds:GetDPAddresses" => &[FactKind::RemoteDiscovery],
        "tds:GetDynamicDNS" => &[FactKind::DynamicDns],
        "tds:GetNTP" => &[FactKind::Ntp],
        "tds:GetDNS" => &[FactKind::Dns],
        "tds:GetNetworkDefaultGateway" => &[FactKind::Router],
        "tds:GetUsers" => &[FactKind::User],
        "tds:GetNetworkProtocols" => &[FactKind::Protocol],
        _ => &[],
    }
}

/// The baselines of all cameras. Holds no more cameras than were ever configured.
pub struct Baselines {
    book: Arc<dyn RegardBook>,
    held: RwLock<BTreeMap<CameraId, Arc<Baseline>>>,
    /// Held by whoever changes one.
    turn: Mutex<()>,
}

/// Why nothing was approved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotApproved {
    /// The camera was not asked yet.
    #[error("was not read yet: ask for it with --read")]
    NotRead,
    /// Something else was read meanwhile.
    #[error("was read anew meanwhile, at {0:.0}: look at it again")]
    ReadAnew(Timestamp),
    /// It could not be kept.
    #[error("could not be kept: {0}")]
    NotKept(String),
}

impl Baselines {
    /// Those that are kept in a book.
    pub(super) fn new(book: Arc<dyn RegardBook>) -> Self {
        Self { book, held: RwLock::default(), turn: Mutex::default() }
    }

    /// What is kept of a camera. What cannot be read is nothing: it is read anew, and nothing is approved.
    pub fn of(&self, camera: &CameraId) -> Arc<Baseline> {
        let known = self.held.read().unwrap_or_else(PoisonError::into_inner).get(camera).map(Arc::clone);
        known.unwrap_or_else(|| {
            let kept = self.book.recall_baseline(camera).unwrap_or_else(|error| {
                tracing::error!(%camera, error, "the baseline of a camera cannot be read: nothing of it counts as approved");
                None
            });
            let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(held.entry(camera.clone()).or_insert_with(|| Arc::new(kept.unwrap_or_default())))
        })
    }

    /// Takes up a reading.
    pub fn take_up(&self, camera: &CameraId, reading: Reading) -> News {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut baseline = Baseline::clone(&self.of(camera));
        let news = baseline.take_up(reading);
        if let Err(error) = self.put(camera, baseline) {
            tracing::error!(%camera, error, "the baseline of a camera could not be kept: it holds until the gateway stops");
        }
        news
    }

    /// Approves what was read last, on somebody's word, if that is the reading they speak of.
    pub fn approve(
        &self,
        camera: &CameraId,
        read_at: Timestamp,
        approval: Approval,
    ) -> Result<(), NotApproved> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let baseline = Baseline::clone(&self.of(camera));
        let last = baseline.last.as_ref().ok_or(NotApproved::NotRead)?;
        if last.at != read_at {
            return Err(NotApproved::ReadAnew(last.at));
        }
        let approval = Approval { facts: last.facts.clone(), ..approval };
        let baseline = Baseline { first: Some(last.clone()), approved: Some(approval), ..baseline };
        self.put(camera, baseline).map_err(NotApproved::NotKept)
    }

    fn put(&self, camera: &CameraId, baseline: Baseline) -> Result<(), String> {
        let kept = self.book.keep_baseline(camera, &baseline);
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.insert(camera.clone(), Arc::new(baseline));
        kept
    }
}

#[cfg(test)]
#[path = "baseline_tests.rs"]
mod tests;
