//! Bounds of WS-Discovery: who looks for virtual cameras, and which cameras are found in zones.

use std::time::Duration;

/// A message of WS-Discovery.
pub const DISCOVERY_MESSAGE_BYTES_MAX: usize = 32 * 1024;
/// Devices that one message is about.
pub const DISCOVERY_DEVICES_MAX: usize = 16;
/// Types, scopes or addresses of one device.
pub const DISCOVERY_LIST_MAX: usize = 64;
/// One of them, or an identifier.
pub const DISCOVERY_TEXT_BYTES_MAX: usize = 512;
/// All types of one device, or that are sought.
pub const DISCOVERY_TYPES_BYTES_MAX: usize = 4 * DISCOVERY_TEXT_BYTES_MAX;
/// Addresses of the core side at which discovery is answered.
pub const DISCOVERY_LINKS_MAX: usize = 16;
/// How long an answer may wait for a moment of chance (WS-Discovery §2.4, APP_MAX_DELAY).
pub const DISCOVERY_DELAY_MAX: Duration = Duration::from_millis(500);
/// How long a source that was answered is not answered again.
pub const DISCOVERY_ANSWER_INTERVAL: Duration = Duration::from_secs(1);
/// Sources that are remembered for that.
pub const DISCOVERY_ANSWER_SOURCES_MAX: usize = 4_096;
/// Datagrams of answers that wait, all together: one for each virtual camera that is shown.
pub const DISCOVERY_ANSWERS_WAITING_MAX: usize = 20_000;
/// Datagrams that are heard and wait to be looked at.
pub const DISCOVERY_HEARD_MAX: usize = 64;
/// Between two virtual cameras that say that they are there, or that they go while the gateway runs.
pub const DISCOVERY_ANNOUNCEMENT_PAUSE: Duration = Duration::from_millis(5);
/// Such messages that wait.
pub const DISCOVERY_ANNOUNCEMENTS_MAX: usize = 32_768;
/// How long the gateway says goodbye for its virtual cameras when it stops.
pub const DISCOVERY_GOODBYE_TIME_MAX: Duration = Duration::from_secs(1);
/// How often it is looked what virtual cameras show, and tried to open what could not be opened.
pub const DISCOVERY_LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Sources that one record of questions names.
pub const DISCOVERY_SOURCES_TOLD_MAX: usize = 32;
/// Cameras that were found in one zone and could be enrolled.
pub const CANDIDATES_PER_ZONE_MAX: usize = 1_024;
/// Scopes that are kept of each.
pub const CANDIDATE_SCOPES_MAX: usize = 16;
/// Letters of a serial number from which on a device is known by it: fewer may be any word.
pub const SERIAL_KNOWN_CHARS_MIN: usize = 6;
/// Cameras that one record of who came and went names.
pub const CANDIDATES_TOLD_MAX: usize = 16;
/// How much of a device's endpoint name is told in a record.
pub const ENDPOINT_CHARS_TOLD_MAX: usize = 64;
/// Scopes that a camera claims for itself and its virtual camera shows: answers to searches hold them all.
pub const CLAIMED_SCOPES_MAX: usize = 16;
/// Bytes of a claimed scope, or of the model's name in a scope; a longer one is not shown.
pub const CLAIMED_SCOPE_BYTES_MAX: usize = 64;
/// Addresses of one zone that are asked one by one.
pub const SWEEP_ADDRESSES_MAX: u128 = 4_096;
/// Between two of them: whoever does not answer has a place in the kernel's one table of neighbours for a while.
pub const SWEEP_PAUSE: Duration = Duration::from_millis(200);
/// Between two forms of a question.
pub const SEARCH_FORM_PAUSE: Duration = Duration::from_millis(250);
/// How often cameras are looked for in zones.
pub const SEARCH_INTERVAL: Duration = Duration::from_secs(600);
/// How long answers are waited for before the search is put on record as over.
pub const SEARCH_ANSWER_TIME_MAX: Duration = Duration::from_secs(3);
/// How often it is looked for zones in which cameras can be looked for.
pub const SEARCH_LOOK_INTERVAL: Duration = Duration::from_millis(500);
