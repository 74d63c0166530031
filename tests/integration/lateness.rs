//! How late this machine is: a bound on time that the product keeps is stretched by it, so that it is as sharp on an idle
//! machine as it is, and no test fails because others have the processors.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use cordon::clock::{Clock, SystemClock};

/// Measured by a thread that wants to be woken again and again, until this is dropped.
pub struct Lateness {
    over: Arc<AtomicBool>,
    worst_micros: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

const PACE: Duration = Duration::from_millis(5);

impl Lateness {
    /// Measures from now on.
    pub fn measured() -> Self {
        let (over, worst_micros) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stop, worst) = (Arc::clone(&over), Arc::clone(&worst_micros));
        let measure = move || {
            let clock = SystemClock::new();
            while !stop.load(Ordering::Relaxed) {
                let began = clock.monotonic();
                std::thread::sleep(PACE);
                let late = (clock.monotonic() - began).saturating_sub(PACE);
                worst.fetch_max(u64::try_from(late.as_micros()).unwrap(), Ordering::Relaxed);
            }
        };
        Self { over, worst_micros, thread: Some(std::thread::spawn(measure)) }
    }

    /// How late, so far, what goes from thread to thread so often may have been at most.
    pub fn of(&self, turns: u32) -> Duration {
        Duration::from_micros(self.worst_micros.load(Ordering::Relaxed)) * turns
    }
}

impl Drop for Lateness {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}
