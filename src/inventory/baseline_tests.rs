use super::*;
use crate::{
    ids::ZoneId,
    inventory::{Attachment, Leg, Regard, SeenCertificate},
};

/// Keeps what is told in text, as the state database does.
#[derive(Default)]
struct Book(Mutex<BTreeMap<CameraId, String>>);

impl RegardBook for Book {
    fn recall(&self, _: &CameraId) -> Result<Option<Regard>, String> {
        Ok(None)
    }

    fn keep(&self, _: &CameraId, _: &Regard) {}

    fn recall_baseline(&self, camera: &CameraId) -> Result<Option<Baseline>, String> {
        let kept = self.0.lock().unwrap();
        kept.get(camera).map(|text| serde_json::from_str(text).map_err(|it| it.to_string())).transpose()
    }

    fn keep_baseline(&self, camera: &CameraId, baseline: &Baseline) -> Result<(), String> {
        self.0.lock().unwrap().insert(camera.clone(), serde_json::to_string(baseline).unwrap());
        Ok(())
    }

    fn pin(&self, _: &CameraId, _: &SeenCertificate) -> Result<(), String> {
        Ok(())
    }
}

fn at(hour: i8) -> Timestamp {
    format!("2026-11-26T{hour:02}:00:00Z").parse().unwrap()
}

fn reading(hour: i8, facts: &[(FactKind, &str)], told: &[&str], untold: &[&str]) -> Reading {
    let mut reading = Reading {
        at: at(hour),
        facts: Facts::default(),
        questions: BTreeMap::new(),
        counts_on: BTreeSet::new(),
    };
    facts.iter().for_each(|(kind, value)| reading.facts.add(*kind, value));
    told.iter().for_each(|name| {
        reading.questions.insert((*name).to_owned(), Answered::Read);
    });
    untold.iter().for_each(|name| reading.untold(name, "not supported"));
    reading
}

fn zone() -> Zone {
    let leg = Leg {
        attachment: Attachment::Interface("eth1".into()),
        addresses: vec!["192.0.2.1/24".parse().unwrap()],
        routes: Vec::new(),
    };
    Zone {
        id: ZoneId::new("yard").unwrap(),
        isolation: Isolation::Namespace(leg),
        prefixes: Vec::new(),
        event_sink: None,
        sweep: Vec::new(),
    }
}

fn words(facts: &[Fact]) -> Vec<String> {
    facts.iter().map(ToString::to_string).collect()
}

const QUESTIONS: [&str; 4] = ["tds:GetNTP", "tds:GetDNS", "tds:GetUsers", "tup:GetUplinks"];
const AS_IT_CAME: [(FactKind, &str); 4] = [
    (FactKind::Ntp, "203.0.113.5"),
    (FactKind::Dns, "192.0.2.1"),
    (FactKind::User, "root (Administrator)"),
    (FactKind::Uplink, "wss://cloud.example/uplink"),
];

#[test]
fn until_somebody_approves_only_what_the_zone_expects_is_no_alarm() {
    let baselines = Baselines::new(Arc::new(Book::default()));
    let gate = CameraId::new("gate").unwrap();
    assert!(baselines.of(&gate).is_due(at(1)));
    let news = baselines.take_up(&gate, reading(1, &AS_IT_CAME, &QUESTIONS, &[]));
    assert!(news.is_first && news.added.len() == 4);
    let standing = baselines.of(&gate).standing(&expected(&zone()));
    assert_eq!(words(&standing.outside), ["uplink wss://cloud.example/uplink", "ntp 203.0.113.5"]);
    assert_eq!(standing.other, [], "the accounts it came with are shown, and no alarm");
    let approval = |at| Approval {
        at,
        by: "control, uid 0".into(),
        reason: "looked at".into(),
        facts: Facts::default(),
    };
    let error = baselines.approve(&gate, at(2), approval(at(2))).unwrap_err();
    assert_eq!(error, NotApproved::ReadAnew(at(1)), "that is not what was looked at");
    baselines.approve(&gate, at(1), approval(at(2))).unwrap();
    assert_eq!(baselines.of(&gate).standing(&expected(&zone())), Standing::default());
    let other = CameraId::new("hall").unwrap();
    assert_eq!(baselines.approve(&other, at(1), approval(at(2))), Err(NotApproved::NotRead));
}

#[test]
fn what_comes_after_the_approval_is_outside_it_and_so_is_a_new_account_over_a_restart() {
    let book = Arc::new(Book::default());
    let baselines = Baselines::new(book.clone());
    let gate = CameraId::new("gate").unwrap();
    baselines.take_up(&gate, reading(1, &AS_IT_CAME, &QUESTIONS, &[]));
    let approval = Approval { at: at(1), by: "x".into(), reason: "y".into(), facts: Facts::default() };
    baselines.approve(&gate, at(1), approval).unwrap();
    assert!(!baselines.of(&gate).is_due(at(23)));
    let mut changed = AS_IT_CAME.to_vec();
    changed[0] = (FactKind::Ntp, "198.51.100.9");
    changed.push((FactKind::User, "help (Administrator)"));
    let news = baselines.take_up(&gate, reading(12, &changed, &QUESTIONS, &[]));
    assert_eq!(words(&news.added), ["ntp 198.51.100.9", "user help (Administrator)"]);
    assert_eq!(words(&news.removed), ["ntp 203.0.113.5"]);
    let again = Baselines::new(book);
    let standing = again.of(&gate).standing(&expected(&zone()));
    assert_eq!(words(&standing.outside), ["ntp 198.51.100.9"]);
    assert_eq!(words(&standing.other), ["user help (Administrator)"]);
}

/// Six questions tell of groups that media is sent to.
#[test]
fn what_one_of_several_questions_said_counts_on_while_it_is_not_answered() {
    let baselines = Baselines::new(Arc::new(Book::default()));
    let gate = CameraId::new("gate").unwrap();
    let (old, new) = ("trt:GetVideoEncoderConfigurations", "tr2:GetAudioEncoderConfigurations");
    let group = (FactKind::Multicast, "239.1.2.3 port 8600");
    baselines.take_up(&gate, reading(1, &[group], &[old, new], &[]));
    // For as long as that may be, over a restart, too.
    for hour in 2..5 {
        let news = baselines.take_up(&gate, reading(hour, &[], &[old], &[new]));
        assert_eq!(news.removed, [], "hour {hour}");
    }
    assert_eq!(
        words(&baselines.of(&gate).standing(&expected(&zone())).outside),
        ["multicast 239.1.2.3 port 8600"]
    );
    let news = baselines.take_up(&gate, reading(5, &[], &[old, new], &[]));
    assert_eq!(words(&news.removed), ["multicast 239.1.2.3 port 8600"]);
    // What was never answered keeps nothing.
    baselines.take_up(&gate, reading(6, &[group], &[old], &["tr2:GetMetadataConfigurations"]));
    baselines.take_up(&gate, reading(7, &[group], &[old, new], &["tr2:GetMetadataConfigurations"]));
    let news = baselines.take_up(&gate, reading(8, &[], &[old, new], &["tr2:GetMetadataConfigurations"]));
    assert_eq!(words(&news.removed), ["multicast 239.1.2.3 port 8600"]);
}

#[test]
fn a_camera_that_tells_no_more_hides_nothing_by_it() {
    let baselines = Baselines::new(Arc::new(Book::default()));
    let gate = CameraId::new("gate").unwrap();
    baselines.take_up(&gate, reading(1, &AS_IT_CAME, &QUESTIONS, &[]));
    let news = baselines.take_up(
        &gate,
        reading(2, &AS_IT_CAME[1..3], &["tds:GetDNS", "tds:GetUsers"], &["tds:GetNTP", "tup:GetUplinks"]),
    );
    assert_eq!(news.removed, [], "what it said before counts on");
    assert_eq!(news.untold, ["tds:GetNTP", "tup:GetUplinks"]);
    let standing = baselines.of(&gate).standing(&expected(&zone()));
    assert_eq!(words(&standing.outside), ["uplink wss://cloud.example/uplink", "ntp 203.0.113.5"]);
    assert_eq!(standing.untold, ["tds:GetNTP", "tup:GetUplinks"]);
}

#[test]
fn what_a_hostile_camera_says_is_bounded_and_that_something_is_left_out_is_told() {
    let mut facts = Facts::default();
    for number in 0..10 * BASELINE_FACTS_MAX {
        facts.add(FactKind::User, &format!("user {number}"));
    }
    facts.add(FactKind::Uplink, "wss://cloud.example");
    assert_eq!((facts.iter().count(), facts.left_out), (BASELINE_FACTS_MAX, true));
    let mut long = Facts::default();
    long.add(FactKind::Ntp, "\u{1b}[31m");
    assert!(!long.left_out);
    long.add(FactKind::Dns, &"x".repeat(BASELINE_VALUE_CHARS_MAX + 1));
    assert!(long.left_out);
    let kept: Vec<usize> = long.iter().map(|it| it.value.chars().count()).collect();
    assert_eq!(kept, [5, BASELINE_VALUE_CHARS_MAX]);
    assert_eq!(long.iter().next().unwrap().value, "\u{fffd}[31m");
    let baselines = Baselines::new(Arc::new(Book::default()));
    let gate = CameraId::new("gate").unwrap();
    let reading = Reading { at: at(1), facts, questions: BTreeMap::new(), counts_on: BTreeSet::new() };
    baselines.take_up(&gate, reading);
    assert!(baselines.of(&gate).standing(&Facts::default()).left_out);
}

#[test]
fn what_cannot_be_read_is_approved_by_nobody() {
    let book = Book::default();
    let gate = CameraId::new("gate").unwrap();
    book.0.lock().unwrap().insert(gate.clone(), "{".into());
    let baselines = Baselines::new(Arc::new(book));
    assert_eq!(*baselines.of(&gate), Baseline::default());
    assert!(baselines.of(&gate).is_due(at(1)));
}
