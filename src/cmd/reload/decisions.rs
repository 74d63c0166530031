//! Decisions of people about the cameras of the gateway that runs: decided by policy and on record like a reload.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{ReloadError, Reloader, ended};
use crate::{
    audit::Event,
    auth::Caller,
    command::AdminAction,
    gate::Disposal,
    ids::CameraId,
    inventory::{NotAccepted, Quarantine},
    limits::{DECISION_REASON_CHARS_MAX, EXPECT_CHANGE_TIME_MAX},
};

/// Why a decision was not taken up.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum DecisionError {
    #[error("the gateway that runs has no camera `{0}`; `cordon camera list` shows those it has")]
    NoCamera(String),
    #[error("camera `{0}` is not in quarantine: there is nothing to accept")]
    NotInQuarantine(CameraId),
    #[error(
        "the device in the place of camera `{0}` has not said yet who it is: see that it runs, and try again in a minute"
    )]
    NotSeen(CameraId),
    #[error("camera `{0}` {1}")]
    NotAccepted(CameraId, NotAccepted),
    #[error("give a reason of 1 to {DECISION_REASON_CHARS_MAX} characters: it is put on record")]
    NoReason,
    #[error("{until:.0} is over, or farther away than {days} days", days = EXPECT_CHANGE_TIME_MAX.as_secs() / 86_400)]
    Time { until: Timestamp },
    #[error(transparent)]
    Refused(#[from] ReloadError),
}

impl Reloader {
    /// Takes the device that was seen in a camera's place for the right one, and no other. Gives what the camera was in
    /// quarantine for.
    pub fn accept(&self, by: &Caller, camera: &str, reason: &str) -> Result<Quarantine, DecisionError> {
        let id = self.enrolled(camera)?;
        let reason = reason.trim();
        if reason.is_empty() || reason.chars().count() > DECISION_REASON_CHARS_MAX {
            return Err(DecisionError::NoReason);
        }
        let house = &self.running.house;
        let edition = house.edition.load_full();
        let quarantine = edition.rules.regards().of(&id).quarantine.clone();
        let Some(quarantine) = quarantine else { return Err(DecisionError::NotInQuarantine(id)) };
        let Some(device) = &quarantine.device else { return Err(DecisionError::NotSeen(id)) };
        let (why, shows) = (&quarantine.why, device.to_string());
        let arguments =
            json!({ "camera": id.as_str(), "reason": reason, "quarantined_for": why, "device": shows });
        let pass = self.pass(AdminAction::AcceptCamera, by, &edition.rules, arguments)?;
        if let Err(error) = edition.rules.regards().accept(&id, device, &person(by), reason) {
            pass.finish(ended(Disposal::Failed, &error.to_string()));
            return Err(DecisionError::NotAccepted(id, error));
        }
        pass.finish(ended(Disposal::Answered, "accepted"));
        let detail = json!({ "by": person(by), "reason": reason, "quarantined_for": why, "device": shows });
        self.tell(&id, "camera-accepted", detail);
        Ok(quarantine)
    }

    /// Announces that one other device may take a camera's place until then.
    pub fn expect_change(&self, by: &Caller, camera: &str, until: Timestamp) -> Result<(), DecisionError> {
        let id = self.enrolled(camera)?;
        let house = &self.running.house;
        let ahead = until.duration_since(house.clock.now());
        let most = SignedDuration::try_from(EXPECT_CHANGE_TIME_MAX).unwrap_or(SignedDuration::ZERO);
        if !ahead.is_positive() || ahead > most {
            return Err(DecisionError::Time { until });
        }
        let edition = house.edition.load_full();
        let arguments = json!({ "camera": id.as_str(), "until": format!("{until:.0}") });
        let pass = self.pass(AdminAction::ExpectChange, by, &edition.rules, arguments)?;
        edition.rules.regards().expect(&id, until, &person(by));
        pass.finish(ended(Disposal::Answered, "expected"));
        let detail = json!({ "by": person(by), "until": format!("{until:.0}") });
        self.tell(&id, "camera-change-expected", detail);
        Ok(())
    }

    fn enrolled(&self, camera: &str) -> Result<CameraId, DecisionError> {
        let edition = self.running.house.edition.load();
        let id = CameraId::new(camera).ok().filter(|id| edition.rules.inventory().camera(id).is_some());
        id.ok_or_else(|| DecisionError::NoCamera(camera.to_owned()))
    }

    fn tell(&self, camera: &CameraId, what: &str, detail: serde_json::Value) {
        tracing::warn!(%camera, %detail, "{what}");
        self.running.house.gate.note(Event { camera: Some(camera.to_string()), ..Event::new(what, detail) });
    }
}

/// Who decides, as far as the gateway's machine knows.
fn person(by: &Caller) -> String {
    match by {
        Caller::Local { by, uid: Some(uid) } => format!("{}, uid {uid}", by.as_str()),
        Caller::Local { by, uid: None } => by.as_str().to_owned(),
        Caller::Client { .. } | Caller::Anonymous { .. } | Caller::Gateway(_) => "nobody".to_owned(),
    }
}
