//! Time and randomness, handed in from outside.
//!
//! The only file that may ask the machine for the time (a lint says so).

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use jiff::Timestamp;

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// Civil time, which can jump.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment, which never goes back.
    fn monotonic(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Begins counting monotonic time here.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct SimulatedClock {
    state: Mutex<(Timestamp, Duration)>,
}

impl SimulatedClock {
    /// Starts at a civil time.
    pub fn new(now: Timestamp) -> Self {
        Self { state: Mutex::new((now, Duration::ZERO)) }
    }

    /// Moves both clocks on.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let later = state.0.saturating_add(jiff::SignedDuration::try_from(by).unwrap_or_default());
        state.0 = later.unwrap_or(state.0);
        state.1 = state.1.saturating_add(by);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0
    }

    fn monotonic(&self) -> Duration {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).1
    }
}

/// Where unpredictable bytes come from.
pub trait Entropy: Send + Sync {
    /// Fills the buffer with bytes nobody can foresee.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError>;

    /// Eight unpredictable bytes as a number.
    fn bits(&self) -> Result<u64, EntropyError> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

/// The machine has no random bytes to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random generator failed")]
pub struct EntropyError;

/// The system's generator.
#[derive(Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        aws_lc_rs::rand::fill(buffer).map_err(|_| EntropyError)
    }
}
