//! Cameras as the admin listener shows them. No secrets: what logs in to a camera is not among what is kept here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    camera::{CameraMemory, Identity, Scheme},
    inventory::{Camera, KnownQuirks, Quirk},
    listener::diagnosis::{Diagnosis, SeenDeviation, Standing},
};

/// What knows all cameras, asked anew for each answer.
pub trait Fleet: Send + Sync {
    /// One row for each camera, by name.
    fn list(&self) -> Vec<CameraRow>;
    /// One camera whole.
    fn show(&self, name: &str) -> Option<CameraView>;
}

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
    /// Why it has its class.
    pub reasons: Vec<String>,
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
    /// What the configuration says, with the state of the camera.
    pub fn of(camera: &Camera, state: &str) -> Self {
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
        }
    }
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
    ) -> Self {
        let Standing { memory, services, answered, deviations, .. } = standing;
        let scheme = if camera.certificates.is_some() { "https" } else { "http" };
        Self {
            source: source.to_owned(),
            row: CameraRow::of(camera, why.layer.as_str()),
            why,
            address: format!("{scheme}://{}{}", camera.address, camera.device_path),
            reasons: camera.vendor.reasons.clone(),
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
