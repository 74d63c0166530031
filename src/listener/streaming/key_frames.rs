//! Key frames that a camera is asked for, so that who comes to a stream need not wait for the next that comes by itself.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use tokio::time::sleep;

use super::super::{trouble::Trouble, virtual_camera::VirtualCamera};
use crate::{
    command::Reason,
    facade::{Locator, Media, key_frame},
    hatch::Endpoint,
    limits::STREAM_KEY_FRAME_INTERVAL,
};

/// When a camera is asked for one, of each of its streams.
#[derive(Debug, Default)]
pub(super) struct KeyFrames(RefCell<HashMap<Endpoint, Duration>>);

impl KeyFrames {
    /// How long until the camera may be asked; none if somebody waits for that already, who asks for all. `now` is
    /// monotonic.
    fn book(&self, endpoint: &Endpoint, now: Duration) -> Option<Duration> {
        let mut asked = self.0.borrow_mut();
        asked.retain(|_, at| *at + STREAM_KEY_FRAME_INTERVAL > now);
        let last = asked.get(endpoint).copied();
        if last.is_some_and(|at| at > now) {
            return None;
        }
        let at = last.map_or(now, |at| at + STREAM_KEY_FRAME_INTERVAL);
        asked.insert(endpoint.clone(), at);
        Some(at.saturating_sub(now))
    }
}

impl VirtualCamera {
    /// Has the camera asked for a key frame of a live stream, as soon as that may be. Nobody waits for its answer.
    pub(super) fn want_key_frame(self: &Rc<Self>, locator: &Locator) {
        let Some(wait) = self.streams.key_frames.book(&locator.endpoint, self.house.clock.monotonic()) else {
            return;
        };
        let (camera, locator) = (Rc::clone(self), locator.clone());
        tokio::task::spawn_local(async move {
            sleep(wait).await;
            if !camera.streams.is_watched(&locator.endpoint) {
                return;
            }
            if let Err(trouble) = camera.ask_for_key_frame(&locator.profile).await {
                tracing::debug!(camera = %camera.camera.id, %trouble, "no key frame could be asked for");
            }
        });
    }

    async fn ask_for_key_frame(&self, profile: &str) -> Result<(), Trouble> {
        let tables = &self.house.tables;
        let mut request = key_frame(tables, Media::Two, profile)?;
        if self.facade.endpoint(request.operation).is_none() {
            request = key_frame(tables, Media::One, profile)?;
        }
        self.own_command(Reason::Stream, request).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_asked_once_a_second_for_all_who_come() {
        let (frames, second) = (KeyFrames::default(), STREAM_KEY_FRAME_INTERVAL);
        let stream = |path: &str| Endpoint { port: None, path_and_query: path.to_owned() };
        let book = |path: &str, millis: u64| frames.book(&stream(path), Duration::from_millis(millis));
        assert_eq!(book("/a", 5_000), Some(Duration::ZERO));
        assert_eq!(book("/b", 5_100), Some(Duration::ZERO), "another stream");
        assert_eq!(
            book("/a", 5_300),
            Some(second - Duration::from_millis(300)),
            "for what may have been sent by then"
        );
        assert_eq!(book("/a", 5_900), None, "that one is for all");
        assert_eq!(book("/a", 6_000), Some(second), "what was booked is on its way");
        assert_eq!(book("/a", 9_000), Some(Duration::ZERO));
        assert_eq!(frames.0.borrow().len(), 1, "what is long ago is forgotten");
    }
}
