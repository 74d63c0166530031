//! The looks at a camera that bring no news, told in two lines an hour: one before the first is sent, which says what will
//! be asked, how often, how far apart and until when, and one at the end, which says what came of them.
//!
//! Whatever is news ends the series there and then: what the camera shows is otherwise than before, it stops answering or
//! answers again, other rules hold. So what is recorded late is only how often all was as the line before says.

use std::time::Duration;

use serde_json::json;

use super::{
    asking::Asking,
    trouble::Trouble,
    virtual_camera::{VirtualCamera, ended},
};
use crate::{
    alarm::{Alarm, Subject},
    auth::Caller,
    command::{Command, Reason},
    facade::OwnRequest,
    gate::{Ended, Pass, Series},
    inventory::SignalKind,
    limits::{
        IDENTITY_LOOK_INTERVAL, IDENTITY_LOOKS_UNSHOWN_MAX, IDENTITY_SERIES_LOOKS_MAX,
        IDENTITY_SERIES_TIME_MAX,
    },
    schema::{Deviations, Document},
};

/// A series of looks, or of another question of the gateway's own.
pub(super) struct Looks {
    reason: Reason,
    asking: Asking,
    /// What was decided.
    command: Command,
    /// Whether the last was answered well.
    well: bool,
}

/// What a look brought of the camera's serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Serial,
    /// An answer without it, or a refusal to tell.
    NoSerial,
    /// Nothing came that could have had it.
    Silence,
}

impl Shown {
    fn by(outcome: &Result<(Document, Deviations), Trouble>) -> Self {
        match outcome {
            Ok((answer, _)) => {
                let serial = answer.root().child("SerialNumber").map(|it| it.text());
                if serial.is_some_and(|it| !it.trim().is_empty()) { Self::Serial } else { Self::NoSerial }
            }
            Err(trouble) if matches!(trouble, Trouble::Fault(_)) || trouble.refuses_answer() => {
                Self::NoSerial
            }
            Err(_) => Self::Silence,
        }
    }
}

/// How many looks in a row a camera did not show its serial number by, though it answered.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unshown {
    looks: u32,
    /// When a command to it came to a good end, as of the last look.
    answered: Option<jiff::Timestamp>,
}

impl Unshown {
    /// Counts a look. One that brought nothing counts if the camera answered somebody meanwhile: else it is just away.
    fn count(self, shown: Shown, answered: Option<jiff::Timestamp>) -> Self {
        let looks = match shown {
            Shown::Serial => 0,
            Shown::NoSerial => self.looks.saturating_add(1),
            Shown::Silence => self.looks.saturating_add(u32::from(answered != self.answered)),
        };
        Self { looks, answered }
    }

    /// Whether it is time to say so.
    fn is_too_many(self) -> bool {
        self.looks >= IDENTITY_LOOKS_UNSHOWN_MAX
    }
}

impl VirtualCamera {
    /// Takes note of what a look brought: a device that says nothing of itself must not pass for the one before.
    pub(super) fn mind_serial(&self, shown: Shown) {
        let regard = self.edition.rules.regards().of(&self.camera.id);
        let serial = regard.known_by.of(SignalKind::Serial).last().filter(|it| !it.is_empty());
        let before = self.unshown.get();
        let answered = super::diagnosis::lock(&self.standing).answered;
        // One that is known by no number, or by another since somebody accepted it, has none to show.
        let now = if serial.is_some() { before.count(shown, answered) } else { Unshown::default() };
        self.unshown.set(now);
        let found = serial.filter(|_| now.is_too_many()).map(|serial| {
            format!("it has not told its serial number at {IDENTITY_LOOKS_UNSHOWN_MAX} looks or more; it was {serial}")
        });
        if found.is_some() && !before.is_too_many() {
            self.record("camera-identity-unshown", json!({ "looks": now.looks, "serial": serial }));
        }
        let subject = Subject::Camera(self.camera.id.clone());
        self.house.gate.watch().alarms.set(Alarm::IdentityUnshown, subject, found.as_deref());
    }

    /// Asks the camera once more who it is, as part of the series under way or as the first of another.
    pub(super) async fn look_once_more(&self, request: OwnRequest) -> Shown {
        let under_way = self.looks.take().filter(|looks| self.may_go_on(looks));
        let begun = match under_way {
            Some(looks) => Ok(looks),
            None => self.begin_looks(&request, Reason::Identity, LOOKS).await,
        };
        // A refusal is on record.
        let Ok(mut looks) = begun else { return Shown::Silence };
        let Some(pass) = looks.asking.pass() else { return Shown::Silence };
        let (news, began) = (self.news.get(), self.house.clock.monotonic());
        let outcome = self.exchange(pass, request, Reason::Identity).await;
        let took = self.house.clock.monotonic().saturating_sub(began);
        let alike = looks.take_up(ended(&outcome), outcome.is_ok(), took);
        if alike && news == self.news.get() {
            self.looks.replace(Some(looks));
        }
        Shown::by(&outcome)
    }

    /// Begins a series of a question.
    pub(super) async fn begin_looks(
        &self,
        request: &OwnRequest,
        reason: Reason,
        often: Often,
    ) -> Result<Looks, Trouble> {
        self.begin_series(self.command_for(request)?, reason, often).await
    }

    /// Begins a series of a command.
    pub(super) async fn begin_series(
        &self,
        command: Command,
        reason: Reason,
        (every, times_max, time_max): Often,
    ) -> Result<Looks, Trouble> {
        let house = &self.house;
        let until = house.clock.now().saturating_add(time_max).unwrap_or(jiff::Timestamp::MAX);
        let series = Series { every, times_max, until };
        let rules = &self.edition.rules;
        let pass = house.gate.decide_series(rules, command.clone(), reason, series).await?;
        Ok(Looks::new(pass, command, reason))
    }

    /// Whether a series would be permitted still, and the zone is isolated as it has to be.
    pub(super) fn may_go_on(&self, looks: &Looks) -> bool {
        let (house, rules) = (&self.house, &self.edition.rules);
        let caller = Caller::Gateway(looks.reason);
        let shut_out =
            rules.camera(&self.camera.id).is_none_or(|it| house.gate.shut_out(rules, &it).is_some());
        looks.asking.goes_on() && !shut_out && rules.may_go_on(&looks.command, &caller, house.clock.now())
    }
}

impl Looks {
    fn new(pass: Pass, command: Command, reason: Reason) -> Self {
        Self { reason, asking: Asking::under(pass), command, well: true }
    }

    /// The pass of the series.
    pub(super) fn pass(&mut self) -> Option<&mut Pass> {
        self.asking.pass()
    }

    /// Counts one look. Whether it went like those before.
    pub(super) fn take_up(&mut self, ended: Ended, well: bool, took: Duration) -> bool {
        let alike = self.asking.is_new() || self.well == well;
        self.well = well;
        self.asking.count(ended, well, took);
        alike
    }
}

/// How far apart the questions of a series are, how many there are at most, and for how long.
pub(super) type Often = (Duration, u32, Duration);

/// How often the camera is asked who it is.
const LOOKS: Often = (IDENTITY_LOOK_INTERVAL, IDENTITY_SERIES_LOOKS_MAX, IDENTITY_SERIES_TIME_MAX);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;
    use crate::{
        audit::{Log, Options, search},
        clock::{Clock, SimulatedClock, SystemEntropy},
        command::Operation,
        facade::device_information,
        gate::{Alarms, Gate, Refusal, Rules, Watch},
        ids::{CameraId, RequestId},
        inventory::{Inventory, Regards},
        listener::ports::tests::inventory,
        policy::{Engine, SHIPPED},
        schema::Tables,
        telemetry::Metrics,
    };

    #[test]
    fn looks_without_a_serial_number_count_in_a_row_and_where_the_camera_answers() {
        let at = |second: i64| Some(jiff::Timestamp::from_second(second).unwrap());
        let too_many = |looks: &[(Shown, i64)]| {
            let count = |it: Unshown, (shown, answered): &(Shown, i64)| it.count(*shown, at(*answered));
            looks.iter().fold(Unshown { looks: 0, answered: at(0) }, count).is_too_many()
        };
        let (serial, none, silence) = (Shown::Serial, Shown::NoSerial, Shown::Silence);
        assert!(!too_many(&[(none, 0), (none, 0)]));
        assert!(too_many(&[(none, 0), (none, 0), (none, 0)]));
        assert!(!too_many(&[(none, 0), (none, 0), (serial, 0), (none, 0)]), "not in a row");
        assert!(!too_many(&[(none, 0), (none, 0), (silence, 0), (silence, 0)]), "it is away");
        assert!(too_many(&[(none, 0), (silence, 0), (none, 0), (none, 0)]), "which takes nothing back");
        assert!(too_many(&[(silence, 1), (silence, 2), (silence, 3)]), "it answers others");
    }

    /// A gate before a log of its own, and a clock that stands still.
    struct Door {
        dir: tempfile::TempDir,
        clock: Arc<SimulatedClock>,
        tables: Arc<Tables>,
        rules: Rules,
        gate: Gate,
    }

    impl Door {
        fn open() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let clock = Arc::new(SimulatedClock::new("2026-11-26T00:00:00Z".parse().unwrap()));
            let shared: Arc<dyn Clock> = clock.clone();
            let options = Options::new(dir.path(), "looks.example/audit");
            let (log, _) = Log::open(&options, Arc::clone(&shared), &SystemEntropy).unwrap();
            let tables = Tables::embedded().unwrap();
            let enrolled: Arc<Inventory> =
                Arc::new(inventory(&[("gate", "198.51.100.7:80", "192.0.2.1:9001")]));
            let engine = Engine::load(&tables, &SHIPPED, &enrolled, &[]).unwrap();
            let metrics = Arc::new(Metrics::default());
            let regards = Regards::new(Arc::clone(&shared), Box::new(Forgetful));
            let rules = Rules::new(engine, enrolled, regards, &metrics);
            let watch = Watch::new(metrics, Alarms::new(log.clone(), Arc::clone(&shared)));
            Self { dir, clock, tables, rules, gate: Gate::new(log, shared, watch) }
        }

        fn command(&self) -> Command {
            let OwnRequest { operation, document } = device_information(&self.tables).unwrap();
            let row = self.tables.operation(operation).unwrap();
            Command {
                request: RequestId::from_bits(7),
                camera: Some(CameraId::new("gate").unwrap()),
                operation: Operation::Onvif { id: operation, name: "tds:GetDeviceInformation".into() },
                class: row.class.unwrap(),
                traits: row.traits,
                destinations: Vec::new(),
                arguments: document.arguments(&self.tables),
            }
        }

        async fn series(&self, times_max: u32) -> Looks {
            let until = self.clock.now() + IDENTITY_SERIES_TIME_MAX;
            let series = Series { every: IDENTITY_LOOK_INTERVAL, times_max, until };
            let pass = self.gate.decide_series(&self.rules, self.command(), Reason::Identity, series).await;
            Looks::new(pass.unwrap(), self.command(), Reason::Identity)
        }

        /// What a camera answered as it should.
        fn answer(&self) -> Result<(Document, Deviations), Trouble> {
            Ok((device_information(&self.tables).unwrap().document, Deviations::default()))
        }

        fn lines(&self) -> Vec<Value> {
            let mut lines = Vec::new();
            search(self.dir.path(), &crate::audit::Query::default(), false, &mut |line| {
                lines.push(serde_json::from_slice(line).unwrap());
                Ok(())
            })
            .unwrap();
            lines
        }

        /// Lines and bytes of everything but opening and closing the log.
        fn written(&self) -> (usize, usize) {
            let (mut count, mut bytes) = (0, 0);
            search(self.dir.path(), &crate::audit::Query::default(), false, &mut |line| {
                let is_its = !String::from_utf8_lossy(line).contains(r#""type":"event""#);
                count += usize::from(is_its);
                bytes += if is_its { line.len() + 1 } else { 0 };
                Ok(())
            })
            .unwrap();
            (count, bytes)
        }
    }

    struct Forgetful;

    impl crate::inventory::RegardBook for Forgetful {
        fn recall(&self, _: &CameraId) -> Result<Option<crate::inventory::Regard>, String> {
            Ok(None)
        }

        fn keep(&self, _: &CameraId, _: &crate::inventory::Regard) {}

        fn recall_baseline(&self, _: &CameraId) -> Result<Option<crate::inventory::Baseline>, String> {
            Ok(None)
        }

        fn keep_baseline(&self, _: &CameraId, _: &crate::inventory::Baseline) -> Result<(), String> {
            Ok(())
        }

        fn pin(&self, _: &CameraId, _: &crate::inventory::SeenCertificate) -> Result<(), String> {
            Ok(())
        }
    }

    const LOOKS_A_DAY: usize = 24 * 60 * 60 / IDENTITY_LOOK_INTERVAL.as_secs() as usize;

    #[tokio::test]
    #[allow(clippy::print_stdout, reason = "the figures are what this is for")]
    async fn a_day_of_looks_without_news_is_fifty_lines() {
        let (one_by_one, summed_up) = (Door::open(), Door::open());
        let mut under_way: Option<Looks> = None;
        for _ in 0..LOOKS_A_DAY {
            let pass = one_by_one.gate.decide(
                &one_by_one.rules,
                one_by_one.command(),
                &Caller::Gateway(Reason::Identity),
                None,
            );
            pass.await.unwrap().finish(ended(&one_by_one.answer()));
            let goes_on = under_way.take().filter(|it| it.asking.goes_on());
            let mut looks = match goes_on {
                Some(looks) => looks,
                None => summed_up.series(IDENTITY_SERIES_LOOKS_MAX).await,
            };
            assert!(looks.asking.pass().unwrap().sending(), "within what is on record");
            assert!(looks.take_up(ended(&summed_up.answer()), true, Duration::from_millis(9)));
            under_way = Some(looks);
            one_by_one.clock.advance(IDENTITY_LOOK_INTERVAL);
            summed_up.clock.advance(IDENTITY_LOOK_INTERVAL);
        }
        drop(under_way);
        [&one_by_one, &summed_up].iter().for_each(|it| it.gate.log().clone().close().unwrap());
        let told: Vec<Value> = summed_up.lines();
        let times: u64 = told.iter().filter_map(|it| it["series"]["times"].as_u64()).sum();
        let ((before, bytes_before), (after, bytes_after)) = (one_by_one.written(), summed_up.written());
        println!("a day of {LOOKS_A_DAY} looks: {before} lines of {bytes_before} bytes one by one");
        println!("a day of {LOOKS_A_DAY} looks: {after} lines of {bytes_after} bytes summed up");
        assert_eq!((before, times), (2 * LOOKS_A_DAY, LOOKS_A_DAY as u64), "none is left out");
        assert!(after <= 50 && bytes_after <= 40_000, "{after} lines of {bytes_after} bytes");
    }

    #[tokio::test]
    async fn a_series_is_on_record_before_its_first_look_and_ends_by_number_and_by_time() {
        let door = Door::open();
        let mut looks = door.series(2).await;
        let intent = door.lines().pop().unwrap();
        assert_eq!(
            (&intent["type"], &intent["decision"], &intent["series"]),
            (
                &"intent".into(),
                &"permitted".into(),
                &serde_json::json!({ "every_seconds": 45, "times_max": 2, "until": "2026-11-26T01:00:00Z" })
            )
        );
        assert_eq!(door.gate.log().health().awaited, 0, "an hour's series keeps no command from its place");
        let pass = looks.asking.pass().unwrap();
        assert_eq!([pass.sending(), pass.sending(), pass.sending()], [true, true, false]);
        assert!(!pass.goes_on());
        let mut looks = door.series(9).await;
        let pass = looks.asking.pass().unwrap();
        assert!(pass.sending());
        door.clock.advance(IDENTITY_SERIES_TIME_MAX);
        assert!(!pass.goes_on() && !pass.sending());
    }

    #[tokio::test]
    async fn a_look_that_fails_ends_a_series_of_those_that_did_not_and_is_named() {
        let door = Door::open();
        let mut looks = door.series(9).await;
        for failed in [false, false, true] {
            assert!(looks.asking.pass().unwrap().sending());
            let outcome = if failed { Err(Trouble::NoEndpoint) } else { door.answer() };
            assert_eq!(looks.take_up(ended(&outcome), outcome.is_ok(), Duration::from_millis(2)), !failed);
        }
        drop(looks);
        // Nothing was sent of this one, and it is not said to have been.
        drop(door.series(9).await);
        door.gate.log().event(crate::audit::Event::new("later", Value::Null)).await.unwrap();
        let lines = door.lines();
        let outcomes: Vec<&Value> = lines.iter().filter(|it| it["type"] == "outcome").collect();
        assert_eq!(outcomes[0]["series"], serde_json::json!({ "times": 3, "answered": 2 }));
        assert_eq!((&outcomes[0]["what"], &outcomes[0]["duration_us"]), (&"failed".into(), &6_000.into()));
        assert_eq!(outcomes[0]["note"], Trouble::NoEndpoint.to_string());
        assert_eq!(outcomes[1]["what"], "abandoned_not_sent");
    }

    #[tokio::test]
    async fn a_series_that_nobody_permits_is_refused_like_any_command() {
        let door = Door::open();
        let series = Series { every: IDENTITY_LOOK_INTERVAL, times_max: 9, until: jiff::Timestamp::MAX };
        let refused = door.gate.decide_series(&door.rules, door.command(), Reason::ClockProbe, series).await;
        assert_eq!(refused.unwrap_err(), Refusal::NotAuthorized);
        assert_eq!(door.lines().pop().unwrap()["decision"], "denied");
    }
}
