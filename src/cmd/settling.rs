//! Files that are looked at again and again, and taken up once they stand still.

/// What was found last, and what counts as taken up. What is still being written differs from one look to the
/// next, so only what two looks in a row find is taken up.
#[derive(Debug)]
pub(super) struct Settling<T> {
    settled: T,
    last: T,
}

impl<T: PartialEq + Clone> Settling<T> {
    /// Begins with what was taken up just now.
    pub(super) fn new(found: T) -> Self {
        Self { settled: found.clone(), last: found }
    }

    /// Whether what was found is something new that stands still. It counts as taken up from then on.
    pub(super) fn settles(&mut self, found: T) -> bool {
        let stands_still = found == self.last;
        self.last = found;
        if !stands_still || self.last == self.settled {
            return false;
        }
        self.settled = self.last.clone();
        true
    }

    /// Counts what was found as taken up, however it came to that.
    pub(super) fn settle(&mut self, found: T) {
        *self = Self::new(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_still_being_written_is_not_taken_up() {
        let mut files = Settling::new(1);
        let looks =
            [(1, false), (2, false), (3, false), (3, true), (3, false), (1, false), (3, false), (1, false)];
        for (number, (found, taken_up)) in looks.into_iter().enumerate() {
            assert_eq!(files.settles(found), taken_up, "look {number}");
        }
        assert!(files.settles(1));
        files.settle(7);
        assert!(!files.settles(7));
    }
}
