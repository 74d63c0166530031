//! Whether a camera is what it is held to be: what it shows is weighed when it shows it, and it is asked again and
//! again who it is, so that another device in its place is found though nobody uses it; one that does not say is an alarm.
//!
//! The question is the gateway's own, decided and recorded like all it asks: one GetDeviceInformation in
//! `IDENTITY_LOOK_INTERVAL`, over the connection there is, an hour of them under one record (`super::looks`). To look only when a connection is made would cost less, but
//! idle connections end by themselves, and a device that keeps the connection of the one before is no device that was
//! exchanged.

use std::{
    rc::{Rc, Weak},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{doorway::Doorway, errands::Errand, virtual_camera::VirtualCamera};
use crate::{
    alarm::{Alarm, Subject},
    audit::Event,
    camera::{CameraMemory, Health, Pin},
    command::Reason,
    facade::device_information,
    inventory::{Bearing, Change, Outcome, SeenCertificate, VendorVerdict, Weighed},
    limits::IDENTITY_LOOK_INTERVAL,
};

impl Doorway {
    /// Asks the camera again and again who it is, from `first` on, and runs errands between, as long as the doorway is
    /// there.
    pub async fn look_again(doorway: Weak<Self>, first: Duration) {
        let Some(mut errands) = doorway.upgrade().map(|it| it.errands()) else { return };
        let mut pause = Box::pin(sleep(first));
        loop {
            let errand = tokio::select! {
                () = &mut pause => None,
                errand = errands.recv() => match errand {
                    Some(errand) => Some(errand),
                    // Another doorway of the same camera has them.
                    None => return,
                },
            };
            if errand.is_none() {
                pause.set(sleep(IDENTITY_LOOK_INTERVAL));
            }
            let Some(camera) = doorway.upgrade().and_then(|it| it.current()) else {
                // Taken out of the configuration, or the thread ends.
                if doorway.strong_count() == 0 {
                    return;
                }
                continue;
            };
            // Of what is needed for a moment only, no camera keeps the room.
            match errand {
                None => Box::pin(camera.look()).await,
                Some(errand) => Box::pin(camera.run_errand(errand)).await,
            }
        }
    }
}

impl VirtualCamera {
    /// Asks the camera who it is, unless it refuses the gateway's login: then it serves nobody either.
    async fn look(self: Rc<Self>) {
        if matches!(self.connection.state(), Health::LoginRefused { .. }) {
            return;
        }
        // What the answers show is weighed where they arrive; what fails is told there, too.
        if !self.is_introduced() {
            let _ = self.introduce().await;
        } else if let Ok(request) = device_information(&self.house.tables) {
            let shown = self.look_once_more(request).await;
            self.mind_serial(shown);
        }
        if let Some(mac) = self.edition.rules.regards().mac(&self.camera.id) {
            self.connection.seen_by(&mac);
            self.take_news();
        }
        if self.is_introduced() && self.connection.state() == Health::Up {
            self.looked.set(self.looked.get().saturating_add(1));
            self.mind_baseline().await;
        }
    }

    async fn run_errand(self: Rc<Self>, errand: Errand) {
        let met = if self.is_introduced() { Ok(()) } else { self.introduce().await };
        let met = met.map_err(|trouble| trouble.to_string());
        // Whoever asked may have gone.
        match errand {
            Errand::Baseline(reply) => {
                let read = match met {
                    Ok(()) => self.read_baseline().await.map_err(|error| error.to_string()),
                    Err(trouble) => Err(trouble),
                };
                let _ = reply.send(read);
            }
            Errand::Settings(settings, reply) => {
                let settled = match met {
                    Ok(()) => Ok(self.settle(settings).await),
                    Err(trouble) => Err(trouble),
                };
                let _ = reply.send(settled);
            }
            Errand::Probe(reply) => {
                let began = self.house.clock.monotonic();
                let asked = match (met, device_information(&self.house.tables)) {
                    (Ok(()), Ok(request)) => {
                        let asked = self.own_command(Reason::Identity, request).await;
                        asked
                            .map(|_| self.house.clock.monotonic().saturating_sub(began))
                            .map_err(|it| it.to_string())
                    }
                    (Err(trouble), _) => Err(trouble),
                    (_, Err(error)) => Err(error.to_string()),
                };
                let _ = reply.send(asked);
            }
        }
    }

    /// Takes up what was learnt of the camera since this was done last.
    pub(super) fn take_news(&self) {
        if let Some(memory) = self.connection.news() {
            self.weigh(&memory);
            super::diagnosis::lock(&self.standing).memory = memory;
        }
    }

    /// When the device that is there was accepted last.
    fn accepted(&self) -> Option<jiff::Timestamp> {
        self.edition.rules.regards().of(&self.camera.id).accepted.as_ref().map(|it| it.at)
    }

    /// Before the camera is asked: if another device is the right one now, what the one before showed is forgotten.
    pub(super) fn mind_acceptance(&self) {
        let accepted = self.accepted();
        if self.acceptance.replace(accepted) != accepted {
            self.connection.forget_evidence();
            self.hub.forget();
            self.weighed.replace(None);
        }
    }

    /// Weighs what the camera shows: whom it is held for holds from the next decision on, and is on record.
    pub(super) fn weigh(&self, memory: &CameraMemory) {
        let (regards, inventory) = (self.edition.rules.regards(), self.edition.rules.inventory());
        if self.accepted() != self.acceptance.get() {
            // What the device before showed is not the new one's; it is forgotten before the next question.
            return;
        }
        if self.weighed.borrow().as_ref() == Some(&memory.evidence) {
            return;
        }
        self.news.set(self.news.get().wrapping_add(1));
        let weighed = regards.weigh(&self.camera, inventory.vendors(), &memory.evidence);
        self.weighed.replace(Some(memory.evidence.clone()));
        self.tell_of_identity(&weighed);
        if weighed.stricter || weighed.outcome == Outcome::Quarantined {
            // Other rules hold from now on.
            self.offered.borrow_mut().clear();
            self.replies.borrow_mut().clear();
        }
    }

    fn tell_of_identity(&self, weighed: &Weighed) {
        let Weighed { judgement, stricter, changes, outcome } = weighed;
        let (alarms, subject) = (&self.house.gate.watch().alarms, Subject::Camera(self.camera.id.clone()));
        if *stricter {
            let detail = verdict_detail(&judgement.verdict, &judgement.standing.to_string());
            tracing::warn!(camera = %self.camera.id, %detail, "the camera is held for something stricter than configured");
            self.record("vendor-verdict", detail);
        }
        let contradiction = judgement.contradictions.join("; ");
        let contradiction = Some(contradiction.as_str()).filter(|it| !it.is_empty());
        alarms.set(Alarm::VendorContradiction, subject.clone(), contradiction);
        let what = match outcome {
            Outcome::Same | Outcome::InQuarantine => return,
            Outcome::Changed => "camera-changed",
            Outcome::Expected(_) => "camera-exchanged",
            Outcome::Quarantined => "camera-quarantined",
        };
        let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
        let found = told.join("; ");
        tracing::warn!(camera = %self.camera.id, changes = found, "{what}");
        let changed: Vec<Value> = changes.iter().map(change_detail).collect();
        self.record(what, self.exchange_detail(outcome, json!(changed)));
        if *outcome == Outcome::Changed && changes.iter().any(|it| it.bearing > Bearing::None) {
            alarms.raise(Alarm::CameraChanged, subject, &found);
        } else if *outcome == Outcome::Quarantined {
            alarms.raise(Alarm::CameraQuarantined, subject, &found);
        }
    }

    /// The camera showed a certificate that is not its own: another device may be there.
    pub(super) fn showed_another_certificate(&self, pin: Pin) {
        let (key, certificate) = (pin.key.to_string(), pin.whole.to_string());
        let seen = SeenCertificate { key, certificate };
        let outcome = self.edition.rules.regards().showed_another_certificate(&self.camera, &seen);
        let what = match outcome {
            Outcome::Expected(_) => "camera-exchanged",
            Outcome::Quarantined => "camera-quarantined",
            Outcome::Same | Outcome::Changed | Outcome::InQuarantine => return,
        };
        let SeenCertificate { key, certificate } = seen;
        let change =
            json!({ "signal": "tls-key", "now": key, "certificate": certificate, "bearing": "certain" });
        self.record(what, self.exchange_detail(&outcome, json!([change])));
        if outcome == Outcome::Quarantined {
            let found = format!("it has another certificate, with the key {key}");
            let subject = Subject::Camera(self.camera.id.clone());
            self.house.gate.watch().alarms.raise(Alarm::CameraQuarantined, subject, &found);
        }
    }

    /// What is told of another device: what changed, which one is there, and what announced it.
    fn exchange_detail(&self, outcome: &Outcome, changes: Value) -> Value {
        let mut detail = json!({ "changes": changes });
        let mut also =
            |name: &str, value: Value| detail.as_object_mut().map(|it| it.insert(name.to_owned(), value));
        let regard = self.edition.rules.regards().of(&self.camera.id);
        match outcome {
            Outcome::Expected(expected) => {
                also("expected", json!(expected));
            }
            Outcome::Quarantined => {
                let device = regard.quarantine.as_ref().and_then(|it| it.device.as_ref());
                also("device", json!(device.map(ToString::to_string)));
            }
            Outcome::Same | Outcome::Changed | Outcome::InQuarantine => {}
        }
        detail
    }

    pub(super) fn record(&self, what: &str, detail: Value) {
        let camera = Some(self.camera.id.to_string());
        self.house.gate.note(Event { camera, ..Event::new(what, detail) });
    }
}

fn verdict_detail(verdict: &VendorVerdict, standing: &str) -> Value {
    json!({
        "vendor": verdict.name,
        "class": verdict.class.as_str(),
        "declared": verdict.declared,
        "standing": standing,
        "reasons": verdict.reasons,
    })
}

fn change_detail(change: &Change) -> Value {
    json!({
        "signal": change.kind.as_str(),
        "before": change.before,
        "now": change.now,
        "bearing": change.bearing.as_str(),
    })
}
