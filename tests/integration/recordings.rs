//! Answers of real cameras, read as the camera side reads them.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that fails says why, and one that skips says so"
)]

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use bytes::BytesMut;
use cordon::{
    events::Event,
    hatch::AddressRules,
    rtsp::{Decoder, Description, Peer, Received, UnknownCodecs},
    schema::{Document, Tables},
    soap::{Answer, AnswerError, decode_answer},
};
use jiff::Timestamp;

/// Of the recorded answers, this part must be read; those that are not are listed by the test.
const READ_PERCENT_MIN: usize = 90;
/// The same of recordings of streams, some of which offer nothing but what the gateway does not know (MPEG transport streams).
const STREAMS_PERCENT_MIN: usize = 85;

#[test]
fn recorded_answers_are_read_and_written_again_unchanged() {
    let root = env::var("CORDON_SHARED").map_or_else(|_| Path::new("..").join("shared"), PathBuf::from);
    let folder = root.join("corpus").join("soap");
    if !folder.is_dir() {
        crate::skips::skipped(&format!(
            "no recordings at {} (CORDON_SHARED names another place)",
            folder.display()
        ));
        return;
    }
    let tables = Tables::embedded().expect("the embedded tables load");
    let mut tally = BTreeMap::<String, usize>::new();
    let mut refused = Vec::new();
    let mut files = Vec::new();
    answers(&folder, &mut files);
    for file in &files {
        let outcome = read(&tables, file);
        if let Err(why) = &outcome {
            refused.push(format!("{}: {why}", file.strip_prefix(&folder).unwrap_or(file).display()));
        }
        *tally.entry(outcome.unwrap_or_else(|_| "refused".to_owned())).or_default() += 1;
    }
    eprintln!("{} recorded answers: {tally:?}\n{}", files.len(), refused.join("\n"));
    let judged = files.len() - tally.get("another operation").copied().unwrap_or(0);
    assert!((judged - refused.len()) * 100 >= judged * READ_PERCENT_MIN, "refused: {}", refused.join("\n"));
}

fn answers(folder: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).expect("a folder").flatten().map(|it| it.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            answers(&path, into);
        } else if path.to_string_lossy().ends_with(".response.xml") {
            into.push(path);
        }
    }
}

/// Tries every operation called as the file is; its service is not always in the file's name.
fn read(tables: &Tables, file: &Path) -> Result<String, String> {
    let bytes = fs::read(file).expect("a file");
    let called = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = called.trim_end_matches(".response.xml").trim_end_matches(".fault");
    let named = |name: &str| stem.split(['.', '-', '_']).any(|part| part == name);
    for (id, operation) in tables.operations().filter(|(_, it)| named(&it.name)) {
        match decode_answer(tables, &bytes, id) {
            Ok(Answer::Fault(_)) => return Ok("fault".to_owned()),
            Ok(Answer::Document(document, deviations)) => {
                round_trip(tables, &document, operation.output.expect("an answer"))?;
                return Ok(if deviations.is_empty() { "as declared" } else { "with deviations" }.to_owned());
            }
            Err(AnswerError::Other(_)) => {}
            Err(other) => return Err(format!("{other:?}")),
        }
    }
    Ok("another operation".to_owned())
}

/// Events cannot be played to a camera's clients: they are kept first, and told to whom asks.
#[test]
fn recorded_events_are_kept() {
    let Some(folder) = crate::whole_way::corpus("soap") else { return };
    let tables = Tables::embedded().expect("the embedded tables load");
    let pulled = tables.operation_by_name("tev:PullMessages").expect("the operation");
    let mut files = Vec::new();
    answers(&folder, &mut files);
    let (mut kept, mut left_out, mut without) = (0, 0, Vec::new());
    for file in files.iter().filter(|it| it.to_string_lossy().contains("PullMessages")) {
        let bytes = fs::read(file).expect("a file");
        let Ok(Answer::Document(document, _)) = decode_answer(&tables, &bytes, pulled) else { continue };
        let read = Event::read_all(&tables, &document, &AddressRules::default(), Timestamp::UNIX_EPOCH);
        kept += read.events.len();
        left_out += usize::try_from(read.left_out).unwrap();
        if let Some(why) = read.why {
            without.push(format!("{}: {} left out, {why:?}", file.display(), read.left_out));
        }
    }
    eprintln!("{kept} recorded events kept; {}", without.join("; "));
    assert!(
        kept > 0 && left_out * 100 <= (kept + left_out) * (100 - READ_PERCENT_MIN),
        "{left_out} left out: {}",
        without.join("\n")
    );
}

fn round_trip(tables: &Tables, document: &Document, root: cordon::schema::NodeId) -> Result<(), String> {
    let mut text = String::new();
    document.write(tables, &mut text);
    let declared: String = document
        .namespaces(tables)
        .iter()
        .map(|(prefix, uri)| format!(" xmlns:{prefix}=\"{uri}\""))
        .collect();
    let at = text.find([' ', '>', '/']).expect("a start tag");
    text.insert_str(at, &declared);
    let (again, _) =
        Document::parse_answer(tables, &text, root).map_err(|error| format!("written: {error}\n{text}"))?;
    if again == *document { Ok(()) } else { Err(format!("another document after writing: {text}")) }
}

/// What of recorded descriptions must never be in ours.
const ADDRESSES: [&str; 4] = ["192.168.", "10.0.", "172.16.", "rtsp://"];

#[test]
fn recorded_streams_are_read_and_described_anew() {
    let Some(folder) = crate::whole_way::corpus("rtsp") else { return };
    let mut files: Vec<_> = fs::read_dir(&folder).expect("a folder").flatten().map(|it| it.path()).collect();
    files.sort();
    let (mut described, mut answered, mut refused) = (0, 0, Vec::new());
    for file in &files {
        let bytes = fs::read(file).expect("a recording");
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let description = if name.ends_with(".sdp") {
            Some(bytes)
        } else {
            match answer(&bytes) {
                Ok(body) => {
                    answered += 1;
                    (!body.is_empty()).then_some(body)
                }
                Err(why) => {
                    refused.push(format!("{name}: {why}"));
                    None
                }
            }
        };
        let Some(description) = description else { continue };
        match Description::parse(&description, UnknownCodecs::Passed) {
            Err(why) => refused.push(format!("{name}: {why}")),
            Ok(read) => {
                described += 1;
                owned(&read, &String::from_utf8_lossy(&description), &name);
                let control = |number: usize| format!("stream={number}");
                let written = read.write(1, 1, control);
                for address in ADDRESSES {
                    assert!(!written.contains(address), "{name}: {address} in {written}");
                }
                let again = Description::parse(written.as_bytes(), UnknownCodecs::Passed)
                    .expect("what is written can be read");
                assert_eq!(again.write(1, 1, control), written, "{name}");
            }
        }
    }
    let all = files.len();
    eprintln!("{all} recordings: {answered} answers, {described} descriptions; {}", refused.join("; "));
    assert!((all - refused.len()) * 100 >= all * STREAMS_PERCENT_MIN, "refused: {}", refused.join("\n"));
}

/// Sees that each stream has the control address that stands below its own line, and no other stream's.
fn owned(read: &Description, text: &str, name: &str) {
    let text = format!("\n{text}");
    for media in read.media.iter().filter(|it| !it.control.is_empty()) {
        let kind = format!("{:?} ", media.kind).to_lowercase();
        let line = format!("a=control:{}", media.control);
        let mut sections = text.split("\nm=").skip(1).filter(|it| it.starts_with(&kind));
        let own = sections.any(|it| it.lines().any(|it| it.trim_end() == line));
        assert!(own, "{name}: `{line}` stands below no {kind}");
    }
}

/// The body of a recorded answer. Files lack what ends a message on the wire.
fn answer(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut buffer = BytesMut::from([bytes, b"\r\n\r\n"].concat().as_slice());
    match Decoder::new(Peer::Camera).next(&mut buffer) {
        Ok(Some(Received::Response(response))) => Ok(response.body.to_vec()),
        Ok(Some(Received::Request(_))) => Ok(Vec::new()),
        other => Err(format!("{other:?}")),
    }
}
