//! Tests of the log as a whole.

mod crash;
mod emergency;
mod pack;
mod proof;
mod retention;
mod search;
mod tamper;

use std::{fs, path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    AuditError, Ending, Event, Intent, Kind, Log, LogError, Options, Outcome, Renderer, Series, Tail, Who,
    segment, verify,
};
use crate::{
    clock::{Clock, Entropy, EntropyError, SimulatedClock},
    limits::PULL_SERIES_TIME_MAX,
};

struct Counting;

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        buffer.iter_mut().enumerate().for_each(|(index, byte)| *byte = index as u8);
        Ok(())
    }
}

fn clock() -> Arc<SimulatedClock> {
    Arc::new(SimulatedClock::new("2026-01-02T03:04:05.000006Z".parse().unwrap()))
}

fn options(dir: &Path) -> Options {
    // Packing is for the tests that are about it: the others read and change the files.
    Options { segment_bytes_max: 1_500, pack: false, ..Options::new(dir, "test.example/audit") }
}

fn open(dir: &Path) -> (Log, super::OpenReport) {
    Log::open(&options(dir), clock(), &Counting).unwrap()
}

fn intent(request: &str) -> Intent {
    Intent {
        request: request.to_owned(),
        who: Who {
            kind: Kind::Client,
            name: "vms".to_owned(),
            role: Some("operator".to_owned()),
            ..Who::default()
        },
        source: Some("192.0.2.7:5000".to_owned()),
        camera: Some("gate-1".to_owned()),
        operation: "tptz:Stop".to_owned(),
        arguments: json!({ "ProfileToken": "p1" }),
        nonce: Some("00ff00ff00ff00ff".to_owned()),
        ..Intent::default()
    }
}

fn answered() -> Outcome {
    Outcome { what: Ending::Answered, status: Some(200), bytes: 310, ..Outcome::default() }
}

fn lines(dir: &Path) -> Vec<Value> {
    let segments = segment::segments(dir).unwrap();
    let text: String = segments.iter().map(|segment| fs::read_to_string(&segment.path).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

#[test]
fn a_command_is_two_lines_and_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let (log, report) = open(dir.path());
    assert_eq!((report.lines, report.cut_bytes, report.unknown.len()), (0, None, 0));
    let mut slot = run(log.intent(intent("r1"))).unwrap();
    assert_eq!(lines(dir.path())[1]["type"], "intent", "durable before the future is ready");
    slot.sending();
    slot.finish(answered());
    assert!(log.healthy());
    log.close().unwrap();
    let lines = lines(dir.path());
    let types: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["event", "intent", "outcome", "event"]);
    assert_eq!(lines[1]["decision"], "permitted");
    assert_eq!(lines[1]["time"], "2026-01-02T03:04:05.000006Z");
    assert_eq!(lines[2]["intent"], 1);
    assert_eq!(lines[2]["request"], "r1");
    assert_eq!(lines[3]["what"], "log-close");
    let report = verify(dir.path(), None, None).unwrap();
    assert_eq!((report.lines, report.signed, report.unanswered), (4, 4, 0));
    assert!(report.to_string().contains("cannot be excluded"), "{report}");
}

#[test]
fn a_dropped_slot_is_recorded_as_abandoned() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    drop(run(log.intent(intent("a"))).unwrap());
    let mut slot = run(log.intent(intent("b"))).unwrap();
    slot.sending();
    drop(slot);
    log.close().unwrap();
    let endings: Vec<_> =
        lines(dir.path()).iter().filter_map(|line| line["what"].as_str().map(String::from)).collect();
    assert_eq!(endings, ["log-open", "abandoned_not_sent", "abandoned_unanswered", "log-close"]);
}

#[test]
fn a_refusal_has_no_outcome() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    assert_eq!(run(log.refusal(intent("no"))), Ok(1));
    log.close().unwrap();
    assert_eq!(lines(dir.path())[1]["decision"], "denied");
    assert_eq!(verify(dir.path(), None, None).unwrap().unanswered, 0);
}

#[test]
fn a_restart_records_unknown_and_gives_back_nonces() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let slot = run(log.intent(intent("lost"))).unwrap();
    log.close().unwrap();
    drop(slot);
    let (log, report) = open(dir.path());
    assert_eq!(report.unknown, ["lost"]);
    let nonce = &report.recent_nonces[0];
    assert_eq!((nonce.client.as_str(), nonce.fingerprint.as_str()), ("vms", "00ff00ff00ff00ff"));
    log.close().unwrap();
    let lines = lines(dir.path());
    let unknown = lines.iter().find(|line| line["what"] == "unknown").unwrap();
    assert_eq!((&unknown["request"], &unknown["intent"]), (&json!("lost"), &json!(1)));
    assert_eq!(verify(dir.path(), None, None).unwrap().unanswered, 0);
}

#[test]
fn a_series_gives_back_that_others_of_its_nonces_may_have_been_used() {
    let dir = tempfile::tempdir().unwrap();
    let time = clock();
    let log = Log::open(&options(dir.path()), time.clone(), &Counting).unwrap().0;
    let series = Series { every_seconds: 0, times_max: 9, until: "2026-11-26T09:00:00Z".to_owned() };
    let begun = Intent { series: Some(series), ..intent("series") };
    run(log.intent(begun)).unwrap().lasting().finish(answered());
    run(log.intent(intent("one"))).unwrap().finish(answered());
    log.close().unwrap();
    let reopened = |by: Duration| {
        time.advance(by);
        let (log, report) = Log::open(&options(dir.path()), time.clone(), &Counting).unwrap();
        log.close().unwrap();
        report.recent_nonces.iter().map(|it| it.series).collect::<Vec<_>>()
    };
    assert_eq!(reopened(Duration::from_secs(599)), [true, false]);
    // One of the series may have been used when it ended.
    assert_eq!(reopened(PULL_SERIES_TIME_MAX), [true]);
    assert_eq!(reopened(Duration::from_secs(2)), [false; 0]);
}

#[test]
fn a_restart_after_many_segments_starts_at_a_frontier() {
    let dir = tempfile::tempdir().unwrap();
    let time = clock();
    let (log, _) = Log::open(&options(dir.path()), time.clone(), &Counting).unwrap();
    let waiting = run(log.intent(intent("waiting"))).unwrap();
    for number in 0..40 {
        time.advance(Duration::from_secs(60));
        run(log.intent(intent(&number.to_string()))).unwrap().finish(answered());
    }
    log.close().unwrap();
    drop(waiting);
    let first = segment::segments(dir.path()).unwrap()[0].path.clone();
    let held = fs::read(&first).unwrap();
    fs::write(&first, b"").unwrap();
    // Opening does not need the first segment; verifying does.
    let (log, report) = Log::open(&options(dir.path()), time, &Counting).unwrap();
    log.close().unwrap();
    assert_eq!(report.unknown, ["waiting"]);
    assert!((9..=16).contains(&report.recent_nonces.len()), "{}", report.recent_nonces.len());
    let error = verify(dir.path(), None, None).unwrap_err().to_string();
    assert!(error.contains("lines or files are missing"), "{error}");
    fs::write(&first, held).unwrap();
    assert_eq!(verify(dir.path(), None, None).unwrap().lines, 86);
}

#[test]
fn a_second_gateway_is_told_to_use_another_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let error = Log::open(&options(dir.path()), clock(), &Counting).unwrap_err();
    assert!(matches!(error, AuditError::Locked(_)), "{error}");
    assert!(error.to_string().contains("stop that one, or give this one a folder of its own"), "{error}");
    log.close().unwrap();
    open(dir.path()).0.close().unwrap();
}

#[test]
fn a_full_queue_refuses_at_once_and_keeps_places_for_outcomes() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options { queue_records_max: 4, ..options(dir.path()) };
    let (log, _) = Log::open(&small, clock(), &Counting).unwrap();
    let slots: Vec<_> = (0..3).map(|_| run(log.intent(intent("r"))).unwrap()).collect();
    assert_eq!(run(log.intent(intent("one too many"))).unwrap_err(), LogError::Full);
    assert_eq!(log.health().awaited, 3);
    drop(slots);
    run(log.event(Event::new("free", Value::Null))).unwrap();
    run(log.intent(intent("again"))).unwrap();
    log.close().unwrap();
}

#[test]
fn a_future_dropped_while_waiting_leaves_an_outcome() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    run(async {
        let mut waiting = Box::pin(log.intent(intent("hung up")));
        std::future::poll_fn(|context| {
            let _ = waiting.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    });
    log.close().unwrap();
    assert!(lines(dir.path()).iter().any(|line| line["what"] == "abandoned_not_sent"));
    assert_eq!(verify(dir.path(), None, None).unwrap().unanswered, 0);
}

#[test]
fn huge_records_are_trimmed_and_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let huge = Intent {
        arguments: json!({ "Name": "\u{1}".repeat(100_000) }),
        destinations: vec!["\u{1b}x".repeat(5_000); 500],
        note: Some("n".repeat(200_000)),
        ..intent("huge")
    };
    run(log.refusal(huge)).unwrap();
    log.close().unwrap();
    let lines = lines(dir.path());
    assert_eq!(lines[1]["trimmed"], json!(["arguments", "texts"]));
    assert_eq!(lines[1]["request"], "huge");
    assert_eq!(lines[1]["arguments"]["bytes"], 600_011);
    verify(dir.path(), None, None).unwrap();
}

#[test]
fn tail_is_readable_and_safe_for_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    for number in 0..20 {
        run(log.intent(intent(&number.to_string()))).unwrap().finish(answered());
    }
    let evil = Intent {
        operation: "\u{1b}[2J{x}\u{202e}\n".to_owned(),
        fault: Some("ter:NotAuthorized".to_owned()),
        ..intent("evil")
    };
    run(log.refusal(evil)).unwrap();
    let (mut tail, mut renderer) = (Tail::open(dir.path(), 3).unwrap(), Renderer::default());
    let mut read = || tail.next_line().unwrap().map(|line| renderer.line(&line));
    assert_eq!(
        read().unwrap(),
        "2026-01-02T03:04:05.000006Z #39 vms(operator) from 192.0.2.7:5000 gate-1 tptz:Stop permitted"
    );
    assert_eq!(
        read().unwrap(),
        "2026-01-02T03:04:05.000006Z #40   outcome of #39 gate-1 tptz:Stop: answered 200 after 0.000 ms"
    );
    let evil = read().unwrap();
    assert!(
        evil.contains("DENIED, ter:NotAuthorized") && !evil.contains(['\u{1b}', '\u{202e}', '\n']),
        "{evil:?}"
    );
    assert_eq!(read(), None);
    run(log.event(Event::new("more", Value::Null))).unwrap();
    assert!(read().unwrap().ends_with("#42 event more"));
    log.close().unwrap();
}

#[test]
fn lines_are_signed_when_the_interval_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let time = clock();
    let (log, _) = Log::open(&options(dir.path()), time.clone(), &Counting).unwrap();
    let signed = log.health().signed;
    run(log.event(Event::new("early", Value::Null))).unwrap();
    assert_eq!(log.health().signed, signed);
    time.advance(Duration::from_secs(60));
    run(log.event(Event::new("late", Value::Null))).unwrap();
    log.close().unwrap();
    assert_eq!(time.monotonic(), Duration::from_secs(60));
    let notes = fs::read_to_string(dir.path().join("checkpoints")).unwrap();
    let sizes: Vec<_> = notes.lines().skip(1).step_by(5).collect();
    assert_eq!(sizes.iter().take(2).copied().collect::<Vec<_>>(), ["0", "1"]);
    assert_eq!(sizes.last(), Some(&"4"));
}

#[test]
#[ignore = "a measurement, not a test"]
#[expect(clippy::print_stdout, reason = "it shows what it measured")]
fn group_commit_throughput() {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let time = Arc::new(crate::clock::SystemClock::new());
    let (log, _) = Log::open(&Options::new(dir.path(), "t"), time.clone(), &Counting).unwrap();
    for tasks in [1_u32, 8, 64, 256] {
        let (each, start) = (20_000 / tasks.max(20), time.monotonic());
        let local = tokio::task::LocalSet::new();
        run(local.run_until(async {
            let work = (0..tasks).map(|_| {
                let log = log.clone();
                tokio::task::spawn_local(async move {
                    for _ in 0..each {
                        log.intent(intent("0123456789abcdef")).await.unwrap().finish(answered());
                    }
                })
            });
            for task in work.collect::<Vec<_>>() {
                task.await.unwrap();
            }
        }));
        let took = (time.monotonic() - start).as_secs_f64();
        println!("{tasks} tasks: {:.0} commands/s", f64::from(tasks * each) / took);
    }
    log.close().unwrap();
}
