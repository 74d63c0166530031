//! Decisions of people about the cameras of the gateway that runs: decided by policy and on record like a reload.

use std::{net::IpAddr, sync::PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{ReloadError, Reloader, ended};
use crate::{
    audit::Event,
    auth::Caller,
    cmd::gateway::Running,
    command::AdminAction,
    gate::Disposal,
    ids::{CameraId, ZoneId},
    inventory::{Approval, Facts, NotAccepted, NotApproved, Quarantine},
    limits::{DECISION_REASON_CHARS_MAX, EXPECT_CHANGE_TIME_MAX},
};

/// Why a decision was not taken up.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum DecisionError {
    #[error("the gateway that runs has no camera `{0}`; `cordon camera list` shows those it has")]
    NoCamera(String),
    #[error(
        "camera `{0}` is not in quarantine: there is nothing to accept; if the device was exchanged and is not reached, \
         announce that with `cordon camera expect-change`"
    )]
    NotInQuarantine(CameraId),
    #[error(
        "the device in the place of camera `{0}` has not said yet who it is: see that it runs, and try again in a minute"
    )]
    NotSeen(CameraId),
    #[error("camera `{0}` {1}")]
    NotAccepted(CameraId, NotAccepted),
    #[error("camera `{0}` could not be asked: {1}")]
    NotAsked(CameraId, String),
    #[error("what camera `{0}` has been set to {1}")]
    NotApproved(CameraId, NotApproved),
    #[error("no camera was found at {1} in zone `{0}`; `cordon camera discovered` shows those that were")]
    NotFound(String, IpAddr),
    #[error("the gateway that runs has a camera `{0}`: choose another name")]
    NameTaken(CameraId),
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
        let id = enrolled(&self.running, camera)?;
        let reason = given(reason)?;
        let house = &self.running.house;
        let edition = house.edition.load_full();
        let quarantine = edition.rules.regards().of(&id).quarantine.clone();
        let Some(quarantine) = quarantine else { return Err(DecisionError::NotInQuarantine(id)) };
        let Some(device) = &quarantine.device else { return Err(DecisionError::NotSeen(id)) };
        let (why, shows) = (&quarantine.why, device.to_string());
        let arguments =
            json!({ "camera": id.as_str(), "reason": reason, "quarantined_for": why, "device": shows });
        let pass = self.pass(AdminAction::AcceptCamera, by, &edition.rules, arguments)?;
        let configured = edition.rules.inventory().camera(&id);
        let configured = configured.ok_or_else(|| DecisionError::NoCamera(id.to_string()))?;
        if let Err(error) = edition.rules.regards().accept(configured, device, &person(by), reason) {
            pass.finish(ended(Disposal::Failed, &error.to_string()));
            return Err(DecisionError::NotAccepted(id, error));
        }
        pass.finish(ended(Disposal::Answered, "accepted"));
        let detail = json!({ "by": person(by), "reason": reason, "quarantined_for": why, "device": shows });
        tell(&self.running, &id, "camera-accepted", detail);
        Ok(quarantine)
    }

    /// Announces that one other device may take a camera's place until then.
    pub fn expect_change(&self, by: &Caller, camera: &str, until: Timestamp) -> Result<(), DecisionError> {
        let id = enrolled(&self.running, camera)?;
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
        tell(&self.running, &id, "camera-change-expected", detail);
        Ok(())
    }

    /// Approves what a camera has been set to, as it was read then.
    pub fn approve_baseline(
        &self,
        by: &Caller,
        camera: &str,
        reason: &str,
        read_at: Timestamp,
    ) -> Result<(), DecisionError> {
        let (id, reason) = (enrolled(&self.running, camera)?, given(reason)?);
        let edition = self.running.house.edition.load_full();
        let baselines = edition.rules.regards().baselines();
        let facts = |facts: &Facts| facts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let approved = baselines.of(&id).last.as_ref().map(|it| facts(&it.facts));
        let at = format!("{read_at}");
        let arguments =
            json!({ "camera": id.as_str(), "reason": reason, "read_at": at, "approved": approved });
        let pass = self.pass(AdminAction::ApproveBaseline, by, &edition.rules, arguments)?;
        let approval = Approval {
            at: self.running.house.clock.now(),
            by: person(by),
            reason: reason.to_owned(),
            facts: Facts::default(),
        };
        if let Err(error) = baselines.approve(&id, read_at, approval) {
            pass.finish(ended(Disposal::Failed, &error.to_string()));
            return Err(DecisionError::NotApproved(id, error));
        }
        pass.finish(ended(Disposal::Answered, "approved"));
        tell(
            &self.running,
            &id,
            "baseline-approved",
            json!({ "by": person(by), "reason": reason, "approved": approved }),
        );
        Ok(())
    }

    /// Decides that a camera which was found is to be enrolled under a name. Gives what it calls itself. Nothing is
    /// changed by it: the configuration is its owner's to write.
    pub fn enrol(
        &self,
        by: &Caller,
        zone: &str,
        address: IpAddr,
        camera: &str,
    ) -> Result<String, DecisionError> {
        let not_found = || DecisionError::NotFound(zone.to_owned(), address);
        let id = CameraId::new(camera).map_err(|_| DecisionError::NoCamera(camera.to_owned()))?;
        let zone = ZoneId::new(zone).map_err(|_| not_found())?;
        let house = &self.running.house;
        let edition = house.edition.load_full();
        if edition.rules.inventory().camera(&id).is_some() {
            return Err(DecisionError::NameTaken(id));
        }
        let found = {
            let candidates = house.candidates.lock().unwrap_or_else(PoisonError::into_inner);
            let mut all = candidates.iter();
            all.find(|(of, at, _)| **of == zone && *at == address).map(|(_, _, it)| it.clone())
        };
        let candidate = found.ok_or_else(not_found)?;
        let endpoint: String = candidate.endpoint.chars().filter(char::is_ascii_graphic).collect();
        let arguments = json!({
            "camera": id.as_str(), "zone": zone.as_str(), "address": address.to_string(), "endpoint": endpoint,
            "scopes": candidate.scopes, "first": candidate.first.to_string(), "last": candidate.last.to_string(),
        });
        let pass = self.pass(AdminAction::EnrolCamera, by, &edition.rules, arguments)?;
        pass.finish(ended(Disposal::Answered, "to be enrolled"));
        let detail = json!({ "by": person(by), "zone": zone.as_str(), "address": address.to_string(), "endpoint": endpoint });
        tell(&self.running, &id, "camera-to-be-enrolled", detail);
        Ok(endpoint)
    }
}

/// The camera of this name, of those there are now.
pub(super) fn enrolled(running: &Running, camera: &str) -> Result<CameraId, DecisionError> {
    let edition = running.house.edition.load();
    let id = CameraId::new(camera).ok().filter(|id| edition.rules.inventory().camera(id).is_some());
    id.ok_or_else(|| DecisionError::NoCamera(camera.to_owned()))
}

/// Puts on record what was decided about a camera.
pub(super) fn tell(running: &Running, camera: &CameraId, what: &str, detail: serde_json::Value) {
    tracing::warn!(%camera, %detail, "{what}");
    running.house.gate.note(Event { camera: Some(camera.to_string()), ..Event::new(what, detail) });
}

/// A reason that can be put on record.
pub(super) fn given(reason: &str) -> Result<&str, DecisionError> {
    let reason = reason.trim();
    let fits = !reason.is_empty() && reason.chars().count() <= DECISION_REASON_CHARS_MAX;
    fits.then_some(reason).ok_or(DecisionError::NoReason)
}

/// Who decides, as far as the gateway's machine knows.
pub(super) fn person(by: &Caller) -> String {
    match by {
        Caller::Local { by, uid: Some(uid) } => format!("{}, uid {uid}", by.as_str()),
        Caller::Local { by, uid: None } => by.as_str().to_owned(),
        Caller::Client { .. } | Caller::Anonymous { .. } | Caller::Gateway(_) => "nobody".to_owned(),
    }
}
