//! Rests of a thread that relays much: what comes from many cameras in a moment is handed on together, since to be woken
//! for each of their pictures costs as much as to hand it on. Pictures are later by a rest at most; whoever waits for a
//! command's answer does not wait for it.

use std::{cell::Cell, marker::PhantomData, time::Duration};

use crate::limits::STREAM_REST;

/// How many times what came last counts less in the mean than all before it.
const MEAN_OF: u32 = 32;

thread_local! {
    static HERE: Rest = const { Rest::new() };
}

/// What decides whether a thread rests.
#[derive(Debug)]
struct Rest {
    /// When something was handed on last, and how long it is between that in the mean.
    last: Cell<Duration>,
    gap: Cell<Duration>,
    /// Whether something was, since the last rest.
    moved: Cell<bool>,
    /// Commands under way.
    commands: Cell<usize>,
}

impl Rest {
    const fn new() -> Self {
        Self {
            last: Cell::new(Duration::ZERO),
            gap: Cell::new(Duration::MAX),
            moved: Cell::new(false),
            commands: Cell::new(0),
        }
    }

    /// Something was handed on. `now` is monotonic.
    fn moved(&self, now: Duration) {
        // Of a long silence nothing is left soon after.
        let gap = now.saturating_sub(self.last.replace(now)).min(MEAN_OF * STREAM_REST);
        let mean = self.gap.get().min(MEAN_OF * STREAM_REST);
        self.gap.set((mean * (MEAN_OF - 1) + gap) / MEAN_OF);
        self.moved.set(true);
    }

    /// Whether to rest now: where at least two pictures come in a rest, else one more wake-up would be the whole outcome.
    fn is_due(&self) -> bool {
        self.moved.replace(false) && self.commands.get() == 0 && self.gap.get() * 2 <= STREAM_REST
    }
}

/// This thread handed something on.
pub(super) fn moved(now: Duration) {
    HERE.with(|it| it.moved(now));
}

/// Rests, if it is time to. For a thread of which nothing else is to be done.
pub fn rest() {
    if HERE.with(Rest::is_due) {
        std::thread::sleep(STREAM_REST);
    }
}

/// A command on this thread, which does not rest meanwhile.
#[derive(Debug)]
pub struct Awake(PhantomData<*const ()>);

impl Awake {
    /// From now on, until it is dropped.
    pub fn stay() -> Self {
        HERE.with(|it| it.commands.set(it.commands.get() + 1));
        Self(PhantomData)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        HERE.with(|it| it.commands.set(it.commands.get().saturating_sub(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many pictures, so far apart; whether a rest is due after each.
    fn relayed(rest: &Rest, from: Duration, gap: Duration, pictures: u32) -> Vec<bool> {
        let relayed = |number| {
            rest.moved(from + gap * number);
            rest.is_due()
        };
        (1..=pictures).map(relayed).collect()
    }

    #[test]
    fn a_thread_rests_while_many_pictures_come_and_no_command_does() {
        let rest = Rest::new();
        assert!(!rest.is_due(), "nothing has come");
        let (often, seldom) = (STREAM_REST / 4, STREAM_REST);
        let due = relayed(&rest, Duration::ZERO, often, 1_000);
        assert!(!due[0] && due[500..].iter().all(|it| *it), "{due:?}");
        assert!(!rest.is_due(), "nothing has come since");
        {
            let _command = Awake::stay();
            assert!(HERE.with(|it| it.commands.get()) == 1);
        }
        assert!(HERE.with(|it| it.commands.get()) == 0);
        rest.commands.set(1);
        rest.moved(often * 1_001);
        assert!(!rest.is_due(), "somebody waits for an answer");
        rest.commands.set(0);
        let due = relayed(&rest, often * 1_001, seldom, 1_000);
        assert!(due[500..].iter().all(|it| !*it), "{due:?}");
        let due = relayed(&rest, (often + seldom) * 1_001, often, 1_000);
        assert!(due[500..].iter().all(|it| *it));
        rest.moved(Duration::from_secs(3_600));
        assert!(!rest.is_due(), "after an hour of silence");
    }
}
