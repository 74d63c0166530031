//! The TOML as written: shapes only, nothing judged.

use serde::Deserialize;
use toml::Spanned;

use crate::inventory::{Day, Decision, ReplacementState};

/// Text with its place in the file.
pub(super) type Text = Spanned<String>;

/// `[gateway]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gateway {
    pub(super) name: Option<Text>,
    pub(super) state_dir: Option<Text>,
    pub(super) threads: Option<Spanned<usize>>,
    pub(super) watch: Option<bool>,
    pub(super) confine: Option<bool>,
}

/// `[listener]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) bind: Option<Text>,
    pub(super) advertise: Option<Text>,
    pub(super) first_camera_port: Option<Spanned<u16>>,
    pub(super) rtsp_port: Option<Spanned<u16>>,
    pub(super) rtsps_port: Option<Spanned<u16>>,
    pub(super) tls_certificate: Option<Text>,
    pub(super) tls_key: Option<Text>,
    pub(super) first_tls_port: Option<Spanned<u16>>,
    pub(super) path_port: Option<Spanned<u16>>,
    pub(super) path_tls_port: Option<Spanned<u16>>,
    pub(super) clear_passwords: Option<Spanned<bool>>,
}

/// `[admin]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) listen: Option<Text>,
}

/// `[audit]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Audit {
    pub(super) dir: Option<Text>,
    pub(super) emergency_journal: Option<Text>,
    pub(super) keep_days: Option<Spanned<u32>>,
    pub(super) reserve_bytes: Option<Spanned<u64>>,
    pub(super) compress: Option<bool>,
}

/// `[discovery]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Discovery {
    pub(super) listen: Option<Spanned<Vec<Text>>>,
    pub(super) port: Option<Spanned<u16>>,
}

/// `[policy]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) dir: Option<Text>,
    pub(super) mode: Option<Text>,
    pub(super) observe_until: Option<Text>,
}

/// `[mqtt]`. No `Debug`: somebody may have written a password into it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mqtt {
    pub(super) broker: Text,
    pub(super) topic_prefix: Option<Text>,
    pub(super) client: Option<Text>,
    pub(super) username: Option<Text>,
    pub(super) password: Option<Spanned<toml::Value>>,
    pub(super) ca: Option<Text>,
}

/// `[vendors]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vendors {
    pub(super) dir: Option<Text>,
    pub(super) shipped: Option<Spanned<bool>>,
}

/// `[[network]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Network {
    pub(super) name: Text,
    pub(super) prefixes: Vec<Text>,
}

/// `[[client]]`. No `Debug`: somebody may have written a password into it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Client {
    pub(super) name: Text,
    pub(super) role: Text,
    pub(super) password: Option<Spanned<toml::Value>>,
    pub(super) certificate_sha256: Option<Vec<Text>>,
    pub(super) key_sha256: Option<Vec<Text>>,
    pub(super) networks: Spanned<Vec<Text>>,
    pub(super) cameras: Option<Vec<Text>>,
}

/// `[[site]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Site {
    pub(super) name: Text,
    pub(super) sensitive: bool,
}

/// `[[zone]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Zone {
    pub(super) name: Text,
    pub(super) isolation: Text,
    pub(super) prefixes: Vec<Text>,
    pub(super) interface: Option<Text>,
    pub(super) parent: Option<Text>,
    pub(super) vlan: Option<Spanned<u16>>,
    pub(super) address: Option<Spanned<Vec<Text>>>,
    pub(super) routes: Option<Vec<RouteLine>>,
    pub(super) event_sink: Option<Text>,
    pub(super) sweep: Option<Spanned<Vec<Text>>>,
}

/// An entry of a zone's `routes`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteLine {
    pub(super) to: Text,
    pub(super) via: Text,
}

/// `[netd]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Netd {
    pub(super) socket: Option<Text>,
    pub(super) user: Option<Spanned<toml::Value>>,
}

/// `[[camera]]`. No `Debug`: somebody may have written a password into it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Camera {
    pub(super) name: Text,
    pub(super) address: Text,
    pub(super) hardware_address: Option<Text>,
    pub(super) tls: Option<Spanned<bool>>,
    pub(super) certificate_sha256: Option<Vec<Text>>,
    pub(super) key_sha256: Option<Vec<Text>>,
    pub(super) device_path: Option<Text>,
    pub(super) zone: Text,
    pub(super) site: Text,
    pub(super) vendor: Text,
    pub(super) vendor_decision: Option<Spanned<Decision>>,
    pub(super) username: Text,
    pub(super) password: Spanned<toml::Value>,
    pub(super) listen_address: Option<Text>,
    pub(super) listen_path: Option<Text>,
    pub(super) listen_port: Option<Spanned<u16>>,
    pub(super) tls_port: Option<Spanned<u16>>,
    pub(super) mac: Option<Text>,
    pub(super) events: Option<Text>,
    pub(super) unknown_codecs: Option<Text>,
    pub(super) streams_begin: Option<Text>,
    pub(super) plain_streams: Option<Spanned<bool>>,
    pub(super) rtsps_port: Option<Spanned<u16>>,
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    pub(super) quirks: Option<Spanned<Vec<QuirkLine>>>,
    pub(super) replacement: Option<Spanned<ReplacementState>>,
    pub(super) replace_by: Option<Spanned<Day>>,
}

/// An entry of a camera's `quirks`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuirkLine {
    #[serde(rename = "use")]
    pub(super) used: Option<Text>,
    pub(super) forbid: Option<Text>,
    pub(super) reason: Text,
}

/// `[[exception]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exception {
    pub(super) camera: Text,
    pub(super) owner: Option<Text>,
    pub(super) reason: Option<Text>,
    pub(super) until: Option<Text>,
}

/// `[[absorb]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Absorb {
    pub(super) operations: Spanned<Vec<Text>>,
    pub(super) clients: Option<Vec<Text>>,
    pub(super) cameras: Option<Vec<Text>>,
}
