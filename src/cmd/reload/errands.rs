//! What cameras are asked or told at somebody's word. Cameras take their time; neither a reload nor whoever else asks
//! something of the gateway waits for them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    decisions::{DecisionError, enrolled, given, person, tell},
    ended, pass,
    thread::{Answer, decided},
};
use crate::{
    auth::Caller,
    cmd::gateway::{Gateway, Running},
    command::AdminAction,
    facade::Setting,
    gate::Disposal,
    inventory::Reading,
    limits::{BASELINE_READING_TIME_MAX, ERRAND_WAIT_MAX},
    listener::Settled,
};

/// What is to be done at a camera, as it stands on the control socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::cmd) enum Errand {
    /// Set a camera to these.
    SetBaseline { camera: String, settings: BTreeSet<Setting>, reason: String },
    /// Ask a camera now who it is.
    Probe { camera: String },
    /// Ask a camera now what it has been set to.
    ReadBaseline { camera: String },
}

/// Runs errands at the cameras of the gateway that runs.
#[derive(Clone)]
pub struct Messenger(Arc<Running>);

impl Messenger {
    /// For the cameras of a gateway.
    pub fn new(gateway: &Gateway) -> Self {
        Self(gateway.running())
    }

    /// Has it done, and says what became of it.
    pub(super) async fn run(&self, errand: Errand, by: &Caller) -> Answer {
        match errand {
            Errand::SetBaseline { camera, settings, reason } => {
                match self.set_baseline(by, &camera, settings, &reason).await {
                    Ok(settled) => Answer {
                        done: settled.iter().all(|it| it.trouble.is_none()),
                        text: settled.iter().map(|it| settled_words(it) + "\n").collect(),
                    },
                    Err(error) => decided(Err(error)),
                }
            }
            Errand::Probe { camera } => decided(self.probe(&camera).await.map(|took| {
                format!("camera `{camera}` answered in {:.1} ms who it is\n", took.as_secs_f64() * 1_000.0)
            })),
            Errand::ReadBaseline { camera } => {
                let read = self.read_baseline(&camera).await;
                decided(read.map(|_| String::new()))
            }
        }
    }

    /// What was done is durable when it is told: others read it from the state database.
    pub(super) async fn settled(&self, mut answer: Answer) -> Answer {
        if answer.done && !self.0.settle().await {
            answer.text.push_str(
                "NOT KEPT YET: the state database is slow or fails (see the gateway's own log); it holds until the gateway stops\n",
            );
        }
        answer
    }

    /// Has a camera asked what it has been set to.
    pub async fn read_baseline(&self, camera: &str) -> Result<Reading, DecisionError> {
        let id = enrolled(&self.0, camera)?;
        let read = in_time(self.0.house.errands.read_baseline(&id)).await;
        read.map_err(|why| DecisionError::NotAsked(id, why))
    }

    /// Has a camera set to these, at somebody's word. What became of each.
    async fn set_baseline(
        &self,
        by: &Caller,
        camera: &str,
        settings: BTreeSet<Setting>,
        reason: &str,
    ) -> Result<Vec<Settled>, DecisionError> {
        let (id, reason) = (enrolled(&self.0, camera)?, given(reason)?);
        let edition = self.0.house.edition.load_full();
        let wanted: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let arguments = json!({ "camera": id.as_str(), "reason": reason, "settings": wanted });
        let pass = pass(&self.0, AdminAction::SetBaseline, by, &edition.rules, arguments).await?;
        match in_time(self.0.house.errands.settle(&id, settings)).await {
            Ok(settled) => {
                let failed: Vec<String> =
                    settled.iter().filter(|it| it.trouble.is_some()).map(settled_words).collect();
                let disposal = if failed.is_empty() { Disposal::Answered } else { Disposal::Failed };
                pass.finish(ended(disposal, if failed.is_empty() { "set" } else { "not all of it was set" }));
                let detail =
                    json!({ "by": person(by), "reason": reason, "settings": wanted, "not_set": failed });
                tell(&self.0, &id, "baseline-set", detail);
                Ok(settled)
            }
            Err(why) => {
                pass.finish(ended(Disposal::Failed, &why));
                Err(DecisionError::NotAsked(id, why))
            }
        }
    }

    /// Has a camera asked who it is, and tells how long that took.
    async fn probe(&self, camera: &str) -> Result<Duration, DecisionError> {
        let id = enrolled(&self.0, camera)?;
        let asked = in_time(self.0.house.errands.probe(&id)).await;
        asked.map_err(|why| DecisionError::NotAsked(id, why))
    }
}

async fn in_time<T>(errand: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let time = BASELINE_READING_TIME_MAX + ERRAND_WAIT_MAX;
    let ended = tokio::time::timeout(time, errand).await;
    ended.unwrap_or_else(|_| Err("it did not come to its turn in time".to_owned()))
}

/// What became of one setting, in words.
fn settled_words(it: &Settled) -> String {
    match &it.trouble {
        None => format!("{}: done, and read back", it.setting),
        Some(trouble) => format!("{}: NOT DONE: {trouble}", it.setting),
    }
}
