//! Which subscriptions to cameras' events clients have, kept in the state database, and what a crash ended of them.

use std::{error::Error, pin::Pin, sync::Arc};

use serde_json::json;

use super::locators::in_time;
use crate::{
    audit::{Event, Log},
    events::{OpenSubscription, SubscriptionBook},
    ids::CameraId,
    limits::SUBSCRIPTIONS_ENDED_AT_ONCE_MAX,
    store::Clerk,
};

/// Subscriptions in the state database.
pub(super) struct StoredSubscriptions {
    clerk: Arc<Clerk>,
}

/// The key they are kept under.
const SUBSCRIPTIONS: &str = "subscriptions";

impl StoredSubscriptions {
    /// Puts on record which there were when the gateway stopped without ending them. That is for before anybody is served.
    pub(super) fn open(clerk: &Arc<Clerk>, log: &Log) -> Self {
        record_ended(clerk, log);
        Self { clerk: Arc::clone(clerk) }
    }
}

impl SubscriptionBook for StoredSubscriptions {
    fn keep(&self, camera: &CameraId, open: &[OpenSubscription]) {
        self.clerk.keep_state(camera.as_str(), SUBSCRIPTIONS, &text(open), None);
    }

    fn keep_ahead<'a>(
        &'a self,
        camera: &'a CameraId,
        open: &[OpenSubscription],
    ) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        let text = text(open);
        Box::pin(async move {
            let keep = |told| self.clerk.keep_state(camera.as_str(), SUBSCRIPTIONS, &text, Some(told));
            let kept = in_time(keep).await;
            if kept != Some(Ok(())) {
                tracing::warn!(%camera, ?kept, "a subscription begins though the state database does not keep it: a crash would end it without a record");
            }
        })
    }
}

fn text(open: &[OpenSubscription]) -> String {
    serde_json::to_string(open).unwrap_or_default()
}

fn record_ended(clerk: &Clerk, log: &Log) {
    let kept = clerk.states_under(SUBSCRIPTIONS).into_iter();
    let read = |(camera, text): (String, Arc<str>)| match serde_json::from_str::<Vec<OpenSubscription>>(&text)
    {
        Ok(open) => (!open.is_empty()).then_some((camera, open)),
        Err(error) => {
            tracing::warn!(camera, %error, "which subscriptions there were to its events cannot be read");
            None
        }
    };
    let ended: Vec<_> = kept.filter_map(read).collect();
    let each = ended.iter().flat_map(|(camera, open)| open.iter().map(|it| event(camera, it)));
    let events: Vec<Event> = each.collect();
    if events.is_empty() {
        return;
    }
    if let Err(error) = recorded(&events, log) {
        tracing::error!(%error, "subscriptions that ended with the gateway before could not be recorded");
        return;
    }
    tracing::info!(count = events.len(), "subscriptions ended when the gateway stopped without ending them");
    for (camera, _) in ended {
        clerk.keep_state(&camera, SUBSCRIPTIONS, &text(&[]), None);
    }
}

fn event(camera: &str, open: &OpenSubscription) -> Event {
    let since = open.since.to_string();
    let detail = json!({ "client": open.client, "why": CUT_SHORT, "how": open.how(), "since": since });
    Event { camera: Some(camera.to_owned()), ..Event::new("subscription-ended", detail) }
}

/// Why they ended. How many events they told and missed nobody knows any more.
const CUT_SHORT: &str = "the gateway stopped without ending it";

/// So many wait for the disk together.
fn recorded(events: &[Event], log: &Log) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for together in events.chunks(SUBSCRIPTIONS_ENDED_AT_ONCE_MAX) {
            let Some((last, others)) = together.split_last() else { continue };
            for event in others {
                log.note(event.clone())?;
            }
            // Lines are written in their order: once this one is durable, those before it are.
            log.event(last.clone()).await?;
        }
        Ok(())
    })
}
