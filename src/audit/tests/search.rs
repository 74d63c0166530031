//! Searching: with and without indexes the same is found, and an index that does not fit is not believed.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc, time::Duration};

use serde_json::Value;

use super::{Counting, answered, clock, intent, options, run};
use crate::{
    audit::{
        Event, Field, Intent, Log, Query, SearchError, Searched, index::Index, search, segment::segments,
        verify,
    },
    clock::SimulatedClock,
};

/// Forty commands, one a second, on cameras that change every ten; the last outcome comes with the end.
fn log(dir: &Path, clock: &Arc<SimulatedClock>) {
    let (log, _) = Log::open(&options(dir), clock.clone(), &Counting).unwrap();
    let mut late = None;
    for number in 0..40 {
        clock.advance(Duration::from_secs(1));
        let mut command = intent(&format!("r{number}"));
        command.camera = Some(format!("cam-{}", number / 10));
        command.operation = ["tptz:Stop", "tds:SetNTP"][number % 2].to_owned();
        command.vendor_class = Some(["restricted", "unrestricted"][number % 2].to_owned());
        if number % 7 == 3 {
            run(log.refusal(Intent { who: crate::audit::Who::default(), ..command })).unwrap();
        } else {
            let slot = run(log.intent(command)).unwrap();
            match number {
                0 => late = Some(slot),
                _ => slot.finish(answered()),
            }
        }
    }
    run(log.event(Event::new("policy-changed", Value::Null))).unwrap();
    drop(late);
    log.close().unwrap();
}

fn find(dir: &Path, query: &Query, indexes: bool) -> (Vec<String>, Searched) {
    let mut found = Vec::new();
    let done = search(dir, query, indexes, &mut |line| {
        found.push(String::from_utf8(line.to_owned()).unwrap());
        Ok(())
    });
    (found, done.unwrap())
}

fn only(field: Field, values: &[&str]) -> Query {
    Query { fields: vec![(field, values.iter().map(|it| (*it).to_owned()).collect())], ..Query::default() }
}

fn queries() -> Vec<Query> {
    let at = |second: u8| Some(format!("2026-01-02T03:04:{second:02}Z").parse().unwrap());
    let both = |mut one: Query, other: Query| {
        one.fields.extend(other.fields);
        one
    };
    vec![
        Query::default(),
        only(Field::Camera, &["cam-0"]),
        only(Field::Camera, &["cam-1", "cam-3"]),
        only(Field::Camera, &["nowhere"]),
        only(Field::Operation, &["tds:*"]),
        only(Field::Caller, &["anonymous"]),
        only(Field::Caller, &["vms"]),
        only(Field::Decision, &["denied"]),
        only(Field::Verdict, &["restricted"]),
        only(Field::Kind, &["event"]),
        only(Field::Kind, &["outcome"]),
        only(Field::Event, &["policy-*"]),
        both(only(Field::Kind, &["outcome"]), only(Field::Camera, &["cam-0"])),
        both(only(Field::Decision, &["denied"]), only(Field::Camera, &["cam-2"])),
        Query { since: at(20), until: at(23), ..Query::default() },
        Query { since: at(59), ..Query::default() },
        Query { until: at(8), ..only(Field::Camera, &["cam-0"]) },
        Query { request: Some("r17".to_owned()), ..Query::default() },
        Query { limit: Some(3), ..only(Field::Operation, &["tptz:Stop"]) },
    ]
}

#[test]
fn what_is_found_does_not_depend_on_indexes() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), &clock());
    let count = segments(dir.path()).unwrap().len();
    let plain: Vec<_> = queries().iter().map(|query| find(dir.path(), query, false)).collect();
    assert!(plain.iter().all(|(_, done)| done.indexed == 0), "no index is written unasked");
    let first = find(dir.path(), &only(Field::Camera, &["nowhere"]), true).1;
    assert_eq!((first.read, first.indexed), (count, count - 1), "the last segment still grows");
    verify(dir.path(), None, None).unwrap();
    let mut skipped = 0;
    for (query, (expected, _)) in queries().iter().zip(&plain) {
        let (found, done) = find(dir.path(), query, true);
        assert_eq!(&found, expected, "{query:?}");
        assert_eq!(done.indexed, 0);
        skipped += count - done.read;
    }
    assert!(skipped > count, "{skipped} of {count}");
    let read = |query| find(dir.path(), &query, true).1.read;
    assert_eq!(read(only(Field::Camera, &["nowhere"])), 1);
    assert!(read(only(Field::Camera, &["cam-2"])) < count / 2);
}

#[test]
fn queries_find_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), &clock());
    let rows = |query: &Query| -> Vec<Value> {
        find(dir.path(), query, true).0.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let camera = rows(&only(Field::Camera, &["cam-0"]));
    // Ten intents; all but the refused one have an outcome, one of them a long time later.
    assert_eq!(camera.len(), 19, "{camera:#?}");
    let numbers: BTreeSet<_> = camera.iter().map(|row| row["request"].as_str().unwrap().to_owned()).collect();
    assert_eq!(numbers, (0..10).map(|number| format!("r{number}")).collect());
    assert_eq!(camera.last().unwrap()["what"], "abandoned_not_sent");
    let denied = rows(&only(Field::Decision, &["denied"]));
    assert!(denied.len() == 6 && denied.iter().all(|row| row["decision"] == "denied"), "{denied:#?}");
    let second = rows(&queries()[14]);
    let requests: Vec<_> = second.iter().map(|row| row["request"].as_str().unwrap()).collect();
    assert_eq!(requests, ["r14", "r14", "r15", "r15", "r16", "r16"]);
    let outcomes = rows(&queries()[12]);
    assert!(outcomes.len() == 9 && outcomes.iter().all(|row| row["type"] == "outcome"), "{outcomes:#?}");
    assert_eq!(rows(&only(Field::Event, &["policy-changed"])).len(), 1);
    assert_eq!(rows(&queries()[18]).len(), 3);
}

#[test]
fn an_index_that_does_not_fit_is_made_anew_and_a_changed_one_is_found() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), &clock());
    let query = only(Field::Camera, &["cam-0"]);
    let (expected, _) = find(dir.path(), &query, true);
    let first = &segments(dir.path()).unwrap()[0];
    let path = crate::audit::index::path(dir.path(), first);
    let whole = fs::read_to_string(&path).unwrap();
    let changes = [
        ("", "empty"),
        ("{\"version\":1}", "of another form"),
        (&whole.replacen("\"version\":1", "\"version\":2", 1), "of another version"),
        (&whole.replacen("\"bytes\":", "\"bytes\":1", 1), "of a longer segment"),
        (&whole[..whole.len() / 2], "cut"),
    ];
    for (text, what) in changes {
        fs::write(&path, text).unwrap();
        assert!(Index::read(dir.path(), first).is_none(), "{what}");
        verify(dir.path(), None, None).unwrap();
        let (found, done) = find(dir.path(), &query, true);
        assert_eq!((&found, done.indexed), (&expected, 1), "{what}");
        assert_eq!(fs::read_to_string(&path).unwrap(), whole, "{what}");
    }
    // It fits and lies: a search is misled, unless it does without, and verification tells.
    fs::write(&path, whole.replacen("cam-0", "cam-9", 1)).unwrap();
    assert_ne!(find(dir.path(), &query, true).0, expected);
    assert_eq!(find(dir.path(), &query, false).0, expected);
    let error = verify(dir.path(), None, None).unwrap_err().to_string();
    assert!(error.contains("index-0000000000000000.json line 1: it does not say"), "{error}");
    // The segment is another: its index is not believed.
    let text = fs::read_to_string(&first.path).unwrap();
    fs::write(&first.path, text.replacen("\"sum\":\"", "\"sum\":\" ", 1)).unwrap();
    assert!(Index::read(dir.path(), first).is_none());
}

#[test]
fn a_damaged_line_ends_a_search_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), &clock());
    let first = &segments(dir.path()).unwrap()[0];
    let text = fs::read_to_string(&first.path).unwrap();
    fs::write(&first.path, text.replacen("{\"seq\":1,", "[\"seq\":1,", 1)).unwrap();
    let error = search(dir.path(), &Query::default(), true, &mut |_| Ok(())).unwrap_err();
    assert!(matches!(error, SearchError::Damaged(_)), "{error}");
    assert!(error.to_string().contains("segment-0000000000000000.jsonl line 2: "), "{error}");
    assert!(!crate::audit::index::path(dir.path(), first).exists(), "no index of half a segment");
}

#[test]
fn what_is_deleted_while_the_log_is_searched_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), &clock());
    let listed = segments(dir.path()).unwrap();
    let sequence = |line: &[u8]| serde_json::from_slice::<Value>(line).unwrap()["seq"].as_u64().unwrap();
    let delete = |from: usize, to: usize| {
        for segment in &listed[from..to] {
            fs::remove_file(&segment.path).unwrap();
        }
    };
    let mut seen = Vec::new();
    let mut show = |line: &[u8]| {
        if seen.is_empty() {
            // The first is being read; the oldest go first.
            delete(0, 2);
        }
        seen.push(sequence(line));
        Ok(())
    };
    search(dir.path(), &Query::default(), false, &mut show).unwrap();
    let expected: Vec<_> = (0..listed[1].first).chain(listed[2].first..*seen.last().unwrap() + 1).collect();
    assert_eq!(seen, expected);
    // One in the middle is nobody's to delete.
    let mut show = |line: &[u8]| {
        if sequence(line) == listed[2].first {
            delete(3, 4);
        }
        Ok(())
    };
    let error = search(dir.path(), &Query::default(), false, &mut show).unwrap_err();
    assert!(error.to_string().contains(&listed[3].name), "{error}");
}
