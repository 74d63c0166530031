//! A thread that watches something beside who serves, on a runtime of its own.

use std::{io, thread::JoinHandle, time::Duration};

use tokio::{
    sync::oneshot,
    time::{MissedTickBehavior, interval},
};

/// Watches until it is dropped; then it is told, and waited for.
pub(super) struct Watcher {
    name: &'static str,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Begins. What is to be done ends soon after it is told to stop.
    pub(super) fn start<F: Future<Output = ()>>(
        name: &'static str,
        work: impl FnOnce(oneshot::Receiver<()>) -> F + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let watch = move || {
            runtime.block_on(async { work(stopped).await });
            // A question to netd may still wait for its answer, which nobody needs any more.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(watch)?;
        Ok(Self { name, stop: Some(stop), thread: Some(thread) })
    }
}

/// Looks every `pause`, until it is told to stop: a look under way is given up then.
pub(super) async fn look_until(
    mut stopped: oneshot::Receiver<()>,
    pause: Duration,
    mut look: impl AsyncFnMut(),
) {
    let mut tick = interval(pause);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            _ = tick.tick() => {}
        }
        tokio::select! {
            _ = &mut stopped => return,
            () = look() => {}
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread `{}` panicked", self.name);
        }
    }
}
