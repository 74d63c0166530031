//! Asks the camera what it has been set to: when it is taken up, once a day, and when somebody wants to know. What it
//! says is kept and compared (`inventory::baseline`); alarms are raised by whoever looks for them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tokio::time::timeout;

use super::{
    errands::Settled,
    trouble::Trouble,
    virtual_camera::{VirtualCamera, ended},
};
use crate::{
    auth::Caller,
    command::Reason,
    facade::{AskError, BaselineQuestion, Setting, baseline_questions},
    inventory::{Answered, Fact, FactKind, Facts, News, Reading},
    limits::BASELINE_READING_TIME_MAX,
};

impl VirtualCamera {
    /// Asks the camera what it has been set to, if a day is over or another device is there; not while it is in
    /// quarantine, and not before it was looked at twice: what has just started has enough to do.
    pub(super) async fn mind_baseline(&self) {
        let regards = self.edition.rules.regards();
        let regard = regards.of(&self.camera.id);
        let baseline = regards.baselines().of(&self.camera.id);
        let read = baseline.last.as_ref().map(|it| it.at);
        let another = regard.accepted.as_ref().is_some_and(|it| read.is_some_and(|read| read < it.at));
        let due = baseline.is_due(self.house.clock.now()) || another;
        if !due || regard.quarantine.is_some() || self.looked.get() < 2 {
            return;
        }
        // Whoever finds no place comes again with the next look.
        let Ok(_place) = self.house.readings.try_acquire() else { return };
        if let Err(error) = self.read_baseline().await {
            tracing::error!(camera = %self.camera.id, %error, "the camera cannot be asked what it has been set to");
        }
    }

    /// Asks it now. What it says is kept, and news are put on record.
    pub(super) async fn read_baseline(&self) -> Result<Reading, AskError> {
        let mut reading = Reading {
            at: self.house.clock.now(),
            facts: Facts::default(),
            questions: BTreeMap::new(),
            counts_on: BTreeSet::new(),
        };
        let mut left = baseline_questions(&self.house.tables)?.into_iter();
        // A question that is given up is on record as sent and unanswered.
        let asked = timeout(BASELINE_READING_TIME_MAX, self.ask_all(&mut left, &mut reading)).await;
        let why =
            if asked.is_err() { "the time for all answers was over" } else { "it did not answer before" };
        for question in left {
            reading.untold(question.name, &format!("not asked: {why}"));
        }
        let news = self.edition.rules.regards().baselines().take_up(&self.camera.id, reading.clone());
        self.tell_of_baseline(&reading, &news);
        Ok(reading)
    }

    /// Sets the camera to these, one after the other, and asks it each time whether that is so now.
    pub(super) async fn settle(&self, settings: BTreeSet<Setting>) -> Vec<Settled> {
        let mut settled = Vec::new();
        let mut left = settings.into_iter().peekable();
        let all = async {
            while let Some(setting) = left.peek().copied() {
                let trouble = self.set(setting).await.err();
                settled.push(Settled { setting, trouble });
                left.next();
            }
        };
        if timeout(BASELINE_READING_TIME_MAX, all).await.is_err() {
            // What was given up is on record as sent and unanswered.
            let trouble = "the time for all of them was over, and what it did with this is not known";
            settled.extend(left.map(|setting| Settled { setting, trouble: Some(trouble.to_owned()) }));
        }
        settled
    }

    /// Sets one thing, and reads it back.
    async fn set(&self, setting: Setting) -> Result<(), String> {
        let (tables, house) = (&self.house.tables, &self.house);
        let request = setting.request(tables).map_err(|error| error.to_string())?;
        // As what the document says, like a client's: so that policies can tell it from what would lead out.
        let operation = request.operation;
        let command = house
            .catalogue
            .command(house.request_id(), &self.camera.id, &[operation], None, &request.document)
            .map_err(|error| error.to_string())?;
        let caller = Caller::Gateway(Reason::Settings);
        let decided = house.gate.decide(&self.edition.rules, command, &caller, None).await;
        let mut pass = decided.map_err(|refusal| Trouble::from(refusal).to_string())?;
        let outcome = self.exchange(&mut pass, request, Reason::Settings).await;
        pass.finish(ended(&outcome));
        outcome.map_err(|trouble| trouble.to_string())?;
        let BaselineQuestion { request, read, .. } =
            setting.question(tables).map_err(|error| error.to_string())?;
        let asked = self.own_command(Reason::Baseline, request).await;
        let (answer, _) =
            asked.map_err(|trouble| format!("it took it, but cannot be asked again: {trouble}"))?;
        match setting.contradicted_by(answer.root(), read) {
            None => Ok(()),
            Some(shown) => Err(format!("it took it, but {shown}")),
        }
    }

    async fn ask_all(&self, questions: &mut impl Iterator<Item = BaselineQuestion>, reading: &mut Reading) {
        for BaselineQuestion { name, request, read } in questions {
            if self.facade.endpoint(request.operation).is_none() {
                reading.questions.insert(name.to_owned(), Answered::NotOffered);
                continue;
            }
            match self.own_command(Reason::Baseline, request).await {
                Ok((answer, _)) => {
                    let mut facts = Facts::default();
                    read(answer.root(), &mut facts);
                    self.take_up_facts(&facts, &mut reading.facts);
                    reading.questions.insert(name.to_owned(), Answered::Read);
                }
                Err(trouble) => {
                    reading.untold(name, &trouble.to_string());
                    if trouble.is_silence() || matches!(trouble, Trouble::Refused(_)) {
                        return;
                    }
                }
            }
        }
    }

    /// Adds facts; the account that the gateway logs in with is not named.
    fn take_up_facts(&self, found: &Facts, into: &mut Facts) {
        let own = self.edition.enrolled(&self.camera.id).map(|it| format!("{} (", it.login.username));
        into.left_out |= found.left_out;
        for Fact { kind, value } in found.iter() {
            let level =
                own.as_deref().filter(|_| *kind == FactKind::User).and_then(|own| value.strip_prefix(own));
            match level {
                Some(level) => into.add(*kind, &format!("the gateway's own account ({level}")),
                None => into.add(*kind, value),
            }
        }
    }

    fn tell_of_baseline(&self, reading: &Reading, news: &News) {
        if news.is_none() {
            return;
        }
        let News { is_first, added, removed, untold } = news;
        let words = |facts: &[Fact]| facts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let what = if *is_first { "baseline-read" } else { "baseline-changed" };
        let (added, removed) = (words(added), words(removed));
        tracing::warn!(camera = %self.camera.id, ?added, ?removed, ?untold, "{what}");
        let left_out = reading.facts.left_out;
        let detail = json!({ "added": added, "removed": removed, "untold": untold, "left_out": left_out });
        self.record(what, detail);
    }
}
