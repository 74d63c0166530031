//! What is recorded: plain values, independent of the types of other rooms.
//!
//! Secrets never come here: arguments, destinations and notes are masked by the room that knows the schema
//! (`Document::arguments`) before they become a record. This room writes what it is given.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    limits::{AUDIT_ARGUMENTS_BYTES_MAX, AUDIT_LINE_BYTES_MAX},
    telemetry,
};

/// Who asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// What kind of caller it is.
    pub kind: Kind,
    /// The client's name; for the gateway its reason; for its machine how it asks; empty for anonymous.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The client's role (ONVIF user level).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// How it proved its name: `wsse`, `digest-md5` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Whether the connection was encrypted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
}

/// Kinds of callers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Nobody we know.
    #[default]
    Anonymous,
    /// A configured client.
    Client,
    /// The gateway on its own account.
    Gateway,
    /// Whoever has the gateway's machine in hand.
    Local,
}

/// Whether a command may go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It is refused.
    #[default]
    Denied,
    /// It may go on, once this is durable.
    Permitted,
    /// Policy denies it, and observe mode lets it go on.
    Observed,
}

impl Decision {
    /// As it stands in a line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Permitted => "permitted",
            Self::Observed => "observed",
        }
    }

    /// What is recorded of a command that goes on.
    pub(super) fn going_on(self) -> Self {
        match self {
            Self::Denied | Self::Permitted => Self::Permitted,
            Self::Observed => Self::Observed,
        }
    }
}

/// What refuses a command whatever policies say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
    /// The camera is restricted, and the isolation of its zone is not in force.
    Isolation,
    /// The camera is in quarantine.
    Quarantine,
    /// The camera is restricted, and its sensitive site has no exception for it that runs.
    Exception,
}

impl Bar {
    /// It in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Isolation => "not isolated",
            Self::Quarantine => "the camera is in quarantine",
            Self::Exception => "the camera is restricted, and its sensitive site has no exception for it",
        }
    }
}

/// A command that somebody wants done, recorded before it is done. Default values are a denial of nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The request's id.
    pub request: String,
    /// Who asked.
    pub who: Who,
    /// The caller's address and port; none for the gateway itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The camera, as named in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<String>,
    /// The camera's vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The verdict on that vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_class: Option<String>,
    /// The operation, such as `tds:SetNTP`, or the name found if it is unknown.
    pub operation: String,
    /// The operation's access class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Traits that hold for this command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traits: Vec<String>,
    /// Destinations it would give the camera.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<String>,
    /// Its arguments, secrets already masked.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub arguments: Value,
    /// What was decided.
    pub decision: Decision,
    /// What refuses it whatever policies say, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barred: Option<Bar>,
    /// The policies that decided; of what is observed, those that denied it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// The version of the policy set.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub policy_version: String,
    /// Keyed fingerprint of the caller's nonce, so that a restart is no replay window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// What the caller is told, for a refusal: a fault code or status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// When it was written to the emergency journal, while the log could not be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<String>,
    /// Set if this one line stands for a series of the same question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
    /// Why, in words, such as `absorbed` or what was wrong with a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What one intent covers beyond its first exchange: the same question again, so often at most, and not after a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// How far apart.
    pub every_seconds: u64,
    /// How often in all.
    pub times_max: u32,
    /// Not from then on, in UTC.
    pub until: String,
}

/// What came of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// How often it was asked.
    pub times: u32,
    /// How often it was answered well.
    pub answered: u32,
}

/// How a permitted command ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Nobody knows: the gateway stopped in between.
    #[default]
    Unknown,
    /// The camera, or the gateway in its place, answered (possibly with a fault).
    Answered,
    /// It could not be done.
    Failed,
    /// Given up before anything was sent.
    AbandonedNotSent,
    /// Given up after it was sent, without an answer.
    AbandonedUnanswered,
}

impl Ending {
    /// The ending in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::AbandonedNotSent => "abandoned, not sent",
            Self::AbandonedUnanswered => "abandoned, sent, unanswered",
        }
    }
}

/// What became of a permitted command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub what: Ending,
    /// The status sent to the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The fault code sent to the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Time from the intent to here, in microseconds; filled in by the log if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
    /// Where the camera's answer left the schema.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deviations: Vec<Deviation>,
    /// Bytes of the answer.
    #[serde(default)]
    pub bytes: u64,
    /// Of a series, how often it was asked; all else is said of the last time, but times and deviations, which are sums, and
    /// the note, which is the last there was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Asked>,
    /// More, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Outcome {
    /// How metrics count it.
    pub(super) fn counted_as(&self) -> telemetry::Ended {
        match self.what {
            Ending::Answered if self.fault.is_some() => telemetry::Ended::Fault,
            Ending::Answered => telemetry::Ended::Answered,
            Ending::Failed | Ending::Unknown => telemetry::Ended::Failed,
            Ending::AbandonedNotSent => telemetry::Ended::NotSent,
            Ending::AbandonedUnanswered => telemetry::Ended::Unanswered,
        }
    }
}

/// One kind of deviation of one element, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deviation {
    /// `repair`, `drop` or `incomplete`.
    pub kind: String,
    /// The element or attribute.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// Anything else worth a line: start and stop, cuts, recovery of the disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened, as one word with dashes, such as `gateway-start`.
    pub what: String,
    /// Who did it, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Who>,
    /// The camera it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<String>,
    /// More, secrets already masked.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

impl Event {
    /// An event of the gateway itself.
    pub fn new(what: &str, detail: Value) -> Self {
        Self { what: what.to_owned(), detail, ..Self::default() }
    }
}

/// An outcome with the intent it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Number of the intent's line.
    pub intent: u64,
    /// The request's id.
    pub request: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// One line's content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "lives only until it is written as text, never in a list")]
pub enum Record {
    /// Before a command.
    Intent(Intent),
    /// After a command.
    Outcome(Ended),
    /// Anything else.
    Event(Event),
}

impl Record {
    /// The fields of its line, without the outer braces, within [`AUDIT_LINE_BYTES_MAX`]. What had to go is
    /// replaced and named in the field `trimmed`.
    pub(super) fn body(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        let bounded = match self {
            Self::Intent(intent) => json_bytes(&intent.arguments) <= AUDIT_ARGUMENTS_BYTES_MAX,
            Self::Event(event) => json_bytes(&event.detail) <= AUDIT_ARGUMENTS_BYTES_MAX,
            Self::Outcome(_) => true,
        };
        if bounded && text.len() <= BODY_BYTES_MAX {
            return without_braces(text);
        }
        let value = serde_json::to_value(self).unwrap_or_default();
        without_braces(trim(value))
    }
}

/// A line as far as opening, verifying and searching need it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) time: String,
    #[serde(rename = "type")]
    pub(super) kind: HeadKind,
    pub(super) decision: Option<Decision>,
    pub(super) intent: Option<u64>,
    #[serde(default)]
    pub(super) request: String,
    pub(super) nonce: Option<String>,
    /// Whether the line stands for a series.
    pub(super) series: Option<serde::de::IgnoredAny>,
    pub(super) who: Option<Who>,
    pub(super) camera: Option<String>,
    pub(super) operation: Option<String>,
    pub(super) vendor_class: Option<String>,
    pub(super) what: Option<String>,
    pub(super) emergency: Option<String>,
}

impl Head {
    /// When it happened: the line's time, and the one it stood in the emergency journal, if it did.
    pub(super) fn times(&self) -> impl Iterator<Item = &str> {
        [Some(self.time.as_str()), self.emergency.as_deref()].into_iter().flatten()
    }
}

/// The three types of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HeadKind {
    Intent,
    Outcome,
    Event,
}

impl HeadKind {
    /// As it stands in a line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Outcome => "outcome",
            Self::Event => "event",
        }
    }
}

fn trim(mut value: Value) -> String {
    let mut trimmed = Vec::new();
    for field in ["arguments", "detail"] {
        if let Some(found) = value.get_mut(field)
            && json_bytes(found) > AUDIT_ARGUMENTS_BYTES_MAX
        {
            let text = found.to_string();
            let begins: String = text.chars().take(TRIMMED_PREVIEW_CHARS).collect();
            *found = json!({ "bytes": text.len(), "begins": begins });
            trimmed.push(field);
        }
    }
    // Each round allows shorter texts; the last always fits, since a record has a fixed number of fields.
    for chars in [4_096, 512, 64, 16] {
        let mut named = value.clone();
        if let Some(object) = named.as_object_mut() {
            object.insert("trimmed".to_owned(), json!(trimmed));
        }
        let text = named.to_string();
        if text.len() <= BODY_BYTES_MAX {
            return text;
        }
        shorten(&mut value, chars, 8);
        if !trimmed.contains(&"texts") {
            trimmed.push("texts");
        }
    }
    json!({ "type": "event", "what": "record-too-large", "trimmed": ["all"] }).to_string()
}

fn shorten(value: &mut Value, chars: usize, depth: usize) {
    match value {
        Value::String(text) => *text = text.chars().take(chars).collect(),
        Value::Array(items) => {
            items.truncate(TRIMMED_LIST_ITEMS);
            items.iter_mut().for_each(|item| shorten(item, chars, depth.saturating_sub(1)));
        }
        Value::Object(fields) if depth > 0 => {
            fields.values_mut().for_each(|field| shorten(field, chars, depth - 1));
        }
        Value::Object(_) => *value = Value::Null,
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn without_braces(text: String) -> String {
    text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default().to_owned()
}

fn json_bytes(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    if value.is_null() {
        return 0;
    }
    let mut count = Count(0);
    // Counting cannot fail, and a JSON value always serialises.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

/// A line without number, time and sum.
const BODY_BYTES_MAX: usize = AUDIT_LINE_BYTES_MAX - 256;
const TRIMMED_PREVIEW_CHARS: usize = 512;
const TRIMMED_LIST_ITEMS: usize = 64;
