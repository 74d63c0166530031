//! What the gateway itself asks cameras.

use std::time::Duration;

use crate::schema::{BuildError, Builder, Document, OperationId, Tables};

/// A request of the gateway's own, with its operation.
#[derive(Debug)]
pub struct OwnRequest {
    /// The operation.
    pub operation: OperationId,
    /// Its request.
    pub document: Document,
}

/// Either media service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// That of ONVIF 1.
    One,
    /// That of ONVIF 2, Media2.
    Two,
}

impl Media {
    /// Both, in the order in which they are asked.
    pub const BOTH: [Self; 2] = [Self::One, Self::Two];
}

/// `tds:GetSystemDateAndTime`: how far the camera's clock is off.
pub fn system_date_and_time(tables: &Tables) -> Result<OwnRequest, AskError> {
    ask(tables, "tds:GetSystemDateAndTime", &[])
}

/// `tds:GetServices` with capabilities: what the camera offers and where.
pub fn services(tables: &Tables) -> Result<OwnRequest, AskError> {
    ask(tables, "tds:GetServices", &[("IncludeCapability", "true")])
}

/// `tds:GetCapabilities` of every category: the same from cameras before ONVIF 2.1.
pub fn capabilities(tables: &Tables) -> Result<OwnRequest, AskError> {
    ask(tables, "tds:GetCapabilities", &[("Category", "All")])
}

/// `tds:GetDeviceInformation`: who the camera says it is.
pub fn device_information(tables: &Tables) -> Result<OwnRequest, AskError> {
    ask(tables, "tds:GetDeviceInformation", &[])
}

/// `tds:GetScopes`: which profiles the camera claims.
pub fn scopes(tables: &Tables) -> Result<OwnRequest, AskError> {
    ask(tables, "tds:GetScopes", &[])
}

/// The profiles of a camera's streams, asked of either of its media services.
pub fn profiles(tables: &Tables, media: Media) -> Result<OwnRequest, AskError> {
    let name = match media {
        Media::One => "trt:GetProfiles",
        Media::Two => "tr2:GetProfiles",
    };
    ask(tables, name, &[])
}

/// Where the picture of a profile is.
pub fn picture_address(tables: &Tables, media: Media, profile: &str) -> Result<OwnRequest, AskError> {
    let name = match media {
        Media::One => "trt:GetSnapshotUri",
        Media::Two => "tr2:GetSnapshotUri",
    };
    ask(tables, name, &[("ProfileToken", profile)])
}

/// `tev:CreatePullPointSubscription`: to ask for all events, for that time.
pub fn pull_point(tables: &Tables, lifetime: &str) -> Result<OwnRequest, AskError> {
    ask(tables, "tev:CreatePullPointSubscription", &[("InitialTerminationTime", lifetime)])
}

/// `wsnt:Subscribe`: to be sent all events, at that address, for that time.
pub fn subscription(tables: &Tables, consumer: &str, lifetime: &str) -> Result<OwnRequest, AskError> {
    let leaves = [("ConsumerReference/Address", consumer), ("InitialTerminationTime", lifetime)];
    ask(tables, "wsntw:Subscribe", &leaves)
}

/// `tev:PullMessages`: events, as soon as there are any, within that time.
pub fn pull(tables: &Tables, time: Duration, messages_max: usize) -> Result<OwnRequest, AskError> {
    let (time, most) = (format!("PT{}S", time.as_secs()), messages_max.to_string());
    ask(tables, "tev:PullMessages", &[("Timeout", &time), ("MessageLimit", &most)])
}

/// `wsnt:Renew`: that a subscription lasts so long from now.
pub fn renewal(tables: &Tables, lifetime: &str) -> Result<OwnRequest, AskError> {
    ask(tables, "wsntw:Renew", &[("TerminationTime", lifetime)])
}

/// `tev:SetSynchronizationPoint`: to be told the state of every property.
pub fn synchronization(tables: &Tables) -> Result<OwnRequest, AskError> {
    ask(tables, "tev:SetSynchronizationPoint", &[])
}

/// To be sent a key frame in the streams of a profile.
pub fn key_frame(tables: &Tables, media: Media, profile: &str) -> Result<OwnRequest, AskError> {
    let name = match media {
        Media::One => "trt:SetSynchronizationPoint",
        Media::Two => "tr2:SetSynchronizationPoint",
    };
    ask(tables, name, &[("ProfileToken", profile)])
}

/// `wsnt:Unsubscribe`: to give a subscription's place back.
pub fn unsubscription(tables: &Tables) -> Result<OwnRequest, AskError> {
    ask(tables, "wsntw:Unsubscribe", &[])
}

/// The tables do not hold what the gateway needs to ask.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No such operation.
    #[error(
        "the interface tables hold no operation `{0}`; was a folder given in place of the built-in ones?"
    )]
    NoOperation(&'static str),
    /// The operation has other parameters.
    #[error("the request `{0}` does not fit the interface tables")]
    Build(&'static str, #[source] BuildError),
}

pub(super) fn ask(
    tables: &Tables,
    name: &'static str,
    leaves: &[(&str, &str)],
) -> Result<OwnRequest, AskError> {
    let operation = tables.operation_by_name(name).ok_or(AskError::NoOperation(name))?;
    let input = tables.operation(operation).ok_or(AskError::NoOperation(name))?.input;
    let build = || {
        let mut request = Builder::new(tables, input);
        for (path, text) in leaves {
            let mut names = path.split('/');
            let last = names.next_back().unwrap_or_default();
            let around: Vec<&str> = names.collect();
            for name in &around {
                request.open(name)?;
            }
            request.leaf(last, text)?;
            for _ in &around {
                request.close()?;
            }
        }
        request.finish()
    };
    let document = build().map_err(|error| AskError::Build(name, error))?;
    Ok(OwnRequest { operation, document })
}
