//! A session with the camera that one viewer has for himself: a recording, or one in which he is heard.

use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

use super::upstream::Upstream;
use crate::{
    camera::{CameraError, CameraStream, Connection, Failure, Phase, Played},
    hatch::Ask,
    limits::REPLAY_IDLE_MAX,
};

/// What the viewer wants of the camera meanwhile, and where it is told what came of it.
pub struct Order {
    /// What is asked.
    pub ask: Ask,
    /// What the camera says that it plays.
    pub told: oneshot::Sender<Result<Played, CameraError>>,
}

/// A packet for a back channel, by its number.
pub type Word = (usize, Vec<u8>);

impl Upstream {
    /// Hands on what the camera sends, at the pace at which it is taken, and asks what is ordered, until nobody
    /// orders any more.
    pub async fn relay_alone(
        &self,
        stream: &mut CameraStream,
        connection: &Connection,
        orders: &mut mpsc::Receiver<Order>,
        words: &mut mpsc::Receiver<Word>,
    ) -> Result<(), Failure> {
        let ended = self.follow(stream, connection, orders, words).await;
        self.count(stream.counts());
        self.end();
        ended
    }

    async fn follow(
        &self,
        stream: &mut CameraStream,
        connection: &Connection,
        orders: &mut mpsc::Receiver<Order>,
        words: &mut mpsc::Receiver<Word>,
    ) -> Result<(), Failure> {
        let mut signed = self.clock.monotonic();
        let mut stirred = signed;
        let mut next_sign = stream.sign_interval();
        loop {
            let now = self.clock.monotonic();
            let due = next_sign.saturating_sub(now.saturating_sub(signed));
            let viewer = self.viewer();
            let more = async {
                match &viewer {
                    // A camera that is not read waits.
                    Some(queue) if self.recorded => queue.room().await,
                    Some(_) => {}
                    None => std::future::pending().await,
                }
                stream.read_within(REPLAY_IDLE_MAX).await
            };
            tokio::select! {
                segments = more => {
                    stirred = self.clock.monotonic();
                    self.push(&segments?, stirred);
                    self.count(stream.counts());
                }
                order = orders.recv() => {
                    let Some(Order { ask, told }) = order else { return Ok(()) };
                    let done = connection.ask_alone(&ask, stream).await;
                    // What it refuses, it may do another time.
                    let broken = done.as_ref().err().map(|it| it.failure.clone());
                    let stays = |it: &Failure| matches!(it, Failure::BadRtspStatus(_) | Failure::NotHeldBack);
                    let broken = broken.filter(|it| !stays(it));
                    // Whoever asked may have gone.
                    let _ = told.send(done);
                    if let Some(failure) = broken {
                        return Err(failure);
                    }
                    stirred = self.clock.monotonic();
                    next_sign = stream.sign_interval();
                }
                word = words.recv() => {
                    let Some((number, packet)) = word else { return Ok(()) };
                    stream.say(number, &packet).await?;
                    stirred = self.clock.monotonic();
                }
                () = sleep(due) => {
                    if now.saturating_sub(stirred) > REPLAY_IDLE_MAX {
                        return Err(Failure::TimedOut(Phase::Answer));
                    }
                    next_sign = stream.keep_alive().await?;
                    signed = self.clock.monotonic();
                }
            }
        }
    }
}
