//! `cordon camera baseline`: what a camera has been set to, and what of it is approved.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::inventory::{
    Answered, Baseline, BaselineStanding, Camera, Fact, Facts, Inventory, Reading, expected,
};

/// What is shown of one camera.
pub(super) struct Shown<'a> {
    pub(super) camera: &'a Camera,
    pub(super) baseline: &'a Baseline,
    /// What every camera of its zone may have.
    pub(super) expected: Facts,
    pub(super) standing: BaselineStanding,
}

impl<'a> Shown<'a> {
    pub(super) fn of(camera: &'a Camera, baseline: &'a Baseline, inventory: &Inventory) -> Self {
        let expected = inventory.zone(&camera.zone).map(expected).unwrap_or_default();
        let standing = baseline.standing(&expected);
        Self { camera, baseline, expected, standing }
    }

    /// How one fact stands to what is approved.
    pub(super) fn word(&self, fact: &Fact) -> &'static str {
        if self.standing.outside.contains(fact) || self.standing.other.contains(fact) {
            "NOT APPROVED"
        } else if self.expected.has(fact) {
            "expected in its zone"
        } else if self.baseline.approved.is_some() {
            "approved"
        } else {
            "as it came"
        }
    }

    pub(super) fn json(&self) -> Value {
        let Self { camera, baseline, expected, standing } = self;
        let words = |facts: &[Fact]| facts.iter().map(ToString::to_string).collect::<Vec<_>>();
        json!({
            "camera": camera.id.as_str(),
            "last": baseline.last,
            "approved": baseline.approved,
            "expected": expected,
            "destinations_not_approved": words(&standing.outside),
            "others_not_approved": words(&standing.other),
            "told_no_more": standing.untold,
            "more_than_is_kept": standing.left_out,
        })
    }

    /// For people.
    pub(super) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { camera, baseline, standing, .. } = self;
        let Some(last) = &baseline.last else {
            return writeln!(
                out,
                "camera {}: not asked yet what it has been set to; `--read` asks it",
                camera.id
            );
        };
        writeln!(out, "camera {}, read {:.0}", camera.id, last.at)?;
        for fact in last.facts.iter() {
            writeln!(out, "  {:18} {:40} {}", fact.kind.as_str(), fact.value, self.word(fact))?;
        }
        if standing.left_out {
            writeln!(out, "  more than is kept: what is beyond it is NOT APPROVED")?;
        }
        questions(last, out)?;
        for name in &standing.untold {
            writeln!(out, "  told no more       {name}")?;
        }
        match &baseline.approved {
            Some(it) => writeln!(out, "  approved           {:.0} by {}: {}", it.at, it.by, it.reason),
            None => writeln!(out, "  approved           by nobody yet: --approve --reason TEXT"),
        }
    }
}

fn questions(last: &Reading, out: &mut dyn Write) -> io::Result<()> {
    for (name, answered) in &last.questions {
        match answered {
            Answered::Read => {}
            Answered::NotOffered => writeln!(out, "  not offered        {name}")?,
            Answered::Untold(why) => writeln!(out, "  not told           {name}: {why}")?,
        }
    }
    Ok(())
}
