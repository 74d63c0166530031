//! When it is looked after streams and their viewers.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::clock::Clock;

/// How often it is looked whether anything passes and how much, and whether a viewer may go on and does.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Looks begin at a multiple of it, so that a thread is woken for many of them at once, and not for all.
const LOOK_GRID: Duration = Duration::from_millis(100);

/// Looks from now on. The first is due within a moment.
pub fn looks(clock: &dyn Clock) -> Interval {
    let mut looks = interval_at(Instant::now() + until_next(clock.monotonic()), LOOK_INTERVAL);
    // One that comes late does not move those after it.
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    looks
}

fn until_next(now: Duration) -> Duration {
    let past = now.as_nanos() % LOOK_GRID.as_nanos();
    LOOK_GRID.saturating_sub(Duration::from_nanos(u64::try_from(past).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_that_begin_within_a_moment_are_due_together() {
        let ms = Duration::from_millis;
        for (now, left) in [(ms(0), ms(100)), (ms(700), ms(100)), (ms(70_001), ms(99)), (ms(70_099), ms(1))] {
            assert_eq!(until_next(now), left, "{now:?}");
        }
    }
}
