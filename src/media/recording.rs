//! A session with the camera that one viewer has for himself: a recording, or one in which he is heard.

use std::time::Duration;

use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

use super::{
    looks::LOOK_INTERVAL,
    pace::{Kind, Pace},
    upstream::Upstream,
};
use crate::{
    camera::{CameraError, CameraStream, Connection, Failure, Phase, Played},
    hatch::{Ask, PacketCounts, Segment},
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
        self.meter();
        self.failed.replace(ended.as_ref().err().cloned());
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
        let mut next_sign = stream.sign_interval();
        let kind = if self.recorded { Kind::Recording } else { Kind::Talk };
        let pace = Pace::new(kind, stream.counts(), signed);
        let mut course = Course { pace, stirred: signed, rested: signed, metered: signed };
        loop {
            let now = self.clock.monotonic();
            let due = if stream.is_sign_due() { Duration::ZERO } else { next_sign };
            let due = due.saturating_sub(now.saturating_sub(signed));
            let report_due = stream.report_due();
            let (viewer, wait) = (self.viewer(), course.rested.saturating_sub(now));
            let more = async {
                match &viewer {
                    // A camera that is not read waits.
                    Some(queue) if self.recorded => {
                        if !wait.is_zero() {
                            sleep(wait).await;
                        }
                        queue.room().await;
                    }
                    None if self.recorded => std::future::pending().await,
                    // What comes while nobody listens is lost: it would all come later at once.
                    Some(_) | None => {}
                }
                stream.read_some().await
            };
            tokio::select! {
                segments = more => self.take_up(&segments?, stream.counts(), &mut course)?,
                order = orders.recv() => {
                    let Some(order) = order else { return Ok(()) };
                    order.carry_out(stream, connection).await?;
                    course.stirred = self.clock.monotonic();
                    next_sign = stream.sign_interval();
                }
                word = words.recv() => {
                    let Some((number, packet)) = word else { return Ok(()) };
                    stream.say(number, &packet).await?;
                    course.stirred = self.clock.monotonic();
                }
                () = sleep(report_due), if report_due < due => stream.report().await?,
                () = sleep(due), if due <= report_due => {
                    signed = self.clock.monotonic();
                    if signed.saturating_sub(course.stirred.max(self.stirred.get())) > REPLAY_IDLE_MAX {
                        return Err(Failure::TimedOut(Phase::Answer));
                    }
                    next_sign = connection.keep_alive(stream).await?;
                }
            }
        }
    }

    /// Hands on what came, and looks how much that was.
    fn take_up(
        &self,
        segments: &[Segment],
        counts: PacketCounts,
        course: &mut Course,
    ) -> Result<(), Failure> {
        let now = self.clock.monotonic();
        if !segments.is_empty() {
            course.stirred = now;
        }
        self.push(segments, now);
        self.count(counts);
        if now.saturating_sub(course.metered) >= LOOK_INTERVAL {
            self.meter();
            course.metered = now;
        }
        course.pace.look(counts, now)?;
        course.rested = now + course.pace.rest(counts, now);
        Ok(())
    }
}

/// How far a session has come.
struct Course {
    pace: Pace,
    /// When something passed last, or was asked.
    stirred: Duration,
    /// When the camera is read again.
    rested: Duration,
    /// When metrics heard of it last.
    metered: Duration,
}

impl Order {
    /// Asks the camera; an error ends the session with it.
    async fn carry_out(self, stream: &mut CameraStream, connection: &Connection) -> Result<(), Failure> {
        let done = connection.ask_alone(&self.ask, stream).await;
        // What it refuses, it may do another time.
        let stays = |it: &Failure| matches!(it, Failure::BadRtspStatus(_) | Failure::NotHeldBack);
        let broken = done.as_ref().err().map(|it| it.failure.clone()).filter(|it| !stays(it));
        // Whoever asked may have gone.
        let _ = self.told.send(done);
        broken.map_or(Ok(()), Err)
    }
}
