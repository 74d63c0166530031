//! A question that is asked again and again under one pass (`Gate::decide_series`). However that ends, what came of it is
//! recorded.

use std::time::Duration;

use crate::{
    audit::{Asked, Deviation},
    gate::{Ended, Pass},
    limits::DEVIATION_NAMES_MAX,
};

/// A series of questions.
#[derive(Debug)]
pub(super) struct Asking {
    /// None once it has ended.
    pass: Option<Pass>,
    asked: Asked,
    last: Option<Ended>,
    deviations: Vec<Deviation>,
    took: Duration,
}

impl Asking {
    pub(super) fn under(pass: Pass) -> Self {
        let asked = Asked::default();
        Self { pass: Some(pass), asked, last: None, deviations: Vec::new(), took: Duration::ZERO }
    }

    /// Whether one more question is within what is on record.
    pub(super) fn goes_on(&self) -> bool {
        self.pass.as_ref().is_some_and(Pass::goes_on)
    }

    pub(super) fn pass(&mut self) -> Option<&mut Pass> {
        self.pass.as_mut()
    }

    /// Whether none was counted yet.
    pub(super) fn is_new(&self) -> bool {
        self.last.is_none()
    }

    /// Counts a question: how it ended, whether well, and how long it took.
    pub(super) fn count(&mut self, ended: Ended, well: bool, took: Duration) {
        self.asked.times = self.asked.times.saturating_add(1);
        self.asked.answered = self.asked.answered.saturating_add(u32::from(well));
        self.took = self.took.saturating_add(took);
        for found in &ended.deviations {
            let same = |it: &Deviation| it.kind == found.kind && it.name == found.name;
            let at = self.deviations.iter().position(same);
            if let Some(known) = at.and_then(|at| self.deviations.get_mut(at)) {
                known.count = known.count.saturating_add(found.count);
            } else if self.deviations.len() < DEVIATION_NAMES_MAX {
                self.deviations.push(found.clone());
            }
        }
        // What was wrong is told, however well all went afterwards.
        let before = self.last.take().and_then(|it| it.note);
        self.last = Some(Ended { note: ended.note.or(before), ..ended });
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // A pass that was never used says of itself that nothing was sent.
        let (Some(pass), Some(last)) = (self.pass.take(), self.last.take()) else { return };
        let ended = Ended { deviations: std::mem::take(&mut self.deviations), ..last };
        pass.finish_series(ended, self.asked, self.took);
    }
}
