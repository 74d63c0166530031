//! Answers of real devices through the whole gateway: each comes out as declared XML that names no foreign
//! address, or is refused by name.
#![allow(clippy::print_stderr, reason = "the table is what the test shows")]

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use cordon::{
    schema::{
        Document, OperationId, Tables,
        mend::mend,
        xml::{XmlEvent, XmlReader},
    },
    soap::{self, Answer, Body},
};
use serde_json::Value;

use crate::{
    client::Reply,
    foreign,
    generate::{Tape, message},
    stage::{Part, Stage},
};

/// Cameras on one stage: each has two listeners.
const CAMERAS_PER_STAGE: usize = 250;
/// Reasons of a table that are shown.
const REASONS_SHOWN: usize = 60;

/// An answer to be played, and what the gateway is asked for it.
pub struct Recording {
    pub name: String,
    pub operation: OperationId,
    pub part: Part,
}

#[test]
fn recorded_answers_come_through_declared_and_without_addresses() {
    let tables = Arc::new(Tables::embedded().unwrap());
    let Some(recordings) = recorded(&tables) else { return };
    let mut table = Table::default();
    for recordings in recordings.chunks(CAMERAS_PER_STAGE) {
        play(&tables, recordings, &mut table);
    }
    table.print("recorded answers");
    assert!(table.wrong.is_empty(), "{}", table.wrong.join("\n"));
}

/// All recorded answers, or none and a loud word.
pub fn recorded(tables: &Tables) -> Option<Vec<Recording>> {
    let folder = corpus("soap")?;
    let mut files = Vec::new();
    list(&folder, ".response.xml", &mut files);
    Some(files.iter().map(|file| recording(tables, &folder, file)).collect())
}

/// The folder of recordings, or none and a loud word.
pub fn corpus(part: &str) -> Option<PathBuf> {
    let root = env::var("CORDON_SHARED").map_or_else(|_| Path::new("..").join("shared"), PathBuf::from);
    let folder = root.join("corpus").join(part);
    if !folder.is_dir() {
        crate::skips::skipped(&format!(
            "no recordings at {} (CORDON_SHARED names another place)",
            folder.display()
        ));
        return None;
    }
    Some(folder)
}

pub fn list(folder: &Path, ending: &str, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().flatten().map(|it| it.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            list(&path, ending, into);
        } else if path.to_string_lossy().ends_with(ending) {
            into.push(path);
        }
    }
}

fn recording(tables: &Tables, folder: &Path, file: &Path) -> Recording {
    let answer = fs::read(file).unwrap();
    let root = body_root(&answer);
    let fault = root.as_ref().is_some_and(|(_, local)| local == "Fault");
    // What is no answer of any operation is served to a question that any camera can be asked.
    let operation = root
        .and_then(|it| operation_of(tables, &it))
        .unwrap_or_else(|| tables.operation_by_name("tds:GetDeviceInformation").unwrap());
    let asked = tables.operation(operation).unwrap().name.to_string();
    let status = if fault { 400 } else { 200 };
    let name = file.strip_prefix(folder).unwrap().display().to_string();
    Recording { name, operation, part: Part { asked, answer, status } }
}

/// Namespace and local name of what the body holds, as far as it can be read.
fn body_root(answer: &[u8]) -> Option<(String, String)> {
    let mended = || mend(answer, None).and_then(|it| root_in(&it.text));
    std::str::from_utf8(answer).ok().and_then(root_in).or_else(mended)
}

fn root_in(text: &str) -> Option<(String, String)> {
    let mut reader = XmlReader::tolerant(text).ok()?;
    let mut inside = false;
    loop {
        match reader.next_event().ok()? {
            XmlEvent::Start(name) if inside => {
                return Some((reader.uri(name.space).to_owned(), name.local.to_owned()));
            }
            XmlEvent::Start(name) => inside = name.local == "Body",
            XmlEvent::Eof => return None,
            XmlEvent::End | XmlEvent::Text(_) => {}
        }
    }
}

/// The operation of that answer; of one in a namespace that has no such answer, the first that is called so.
fn operation_of(tables: &Tables, (uri, local): &(String, String)) -> Option<OperationId> {
    let named = || {
        let root = tables.root(tables.name(tables.namespace(uri)?, local)?)?;
        tables.operations().find(|(_, row)| row.output == Some(root)).map(|(id, _)| id)
    };
    let called = || {
        let answered = local.strip_suffix("Response")?;
        tables.operations().find(|(_, row)| *row.name == *answered).map(|(id, _)| id)
    };
    named().or_else(called)
}

fn play(tables: &Arc<Tables>, recordings: &[Recording], table: &mut Table) {
    let stage = Stage::open(tables, recordings.iter().map(|it| it.part.clone()).collect());
    let mut replies = Vec::new();
    for (number, it) in recordings.iter().enumerate() {
        let row = tables.operation(it.operation).unwrap();
        let request = message(tables, row.input, Tape::default()).text;
        let service = if row.service.starts_with("events") { "events" } else { &*row.service };
        replies.push(stage.ask(number, service, &request));
    }
    let authorities: Vec<_> = (0..recordings.len()).map(|it| stage.authorities(it)).collect();
    let records = stage.close(&replies);
    for ((number, it), reply) in recordings.iter().enumerate().zip(&replies) {
        table.count(tables, it, reply, &authorities[number], &records[number]);
    }
}

/// What became of the recordings.
#[derive(Default)]
struct Table {
    folders: BTreeMap<String, BTreeMap<&'static str, usize>>,
    reasons: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Table {
    fn count(
        &mut self,
        tables: &Tables,
        it: &Recording,
        reply: &Reply,
        own: &[String],
        (intent, outcome): &(Value, Value),
    ) {
        let text = String::from_utf8_lossy(&reply.body);
        let name = tables.operation(it.operation).unwrap().name.to_string();
        for found in foreign::addresses(&text, own) {
            self.wrong.push(format!("{}: {found}", it.name));
        }
        let kinds = if reply.status == 200 {
            if let Err(why) = strictly(tables, &reply.body, it.operation, outcome) {
                self.wrong.push(format!("{}: {why}", it.name));
            }
            self.answered(outcome)
        } else {
            self.refused(&name, reply, intent, outcome)
        };
        let folder = it.name.split('/').next().unwrap_or_default().to_owned();
        let row = self.folders.entry(folder).or_default();
        *row.entry("all").or_default() += 1;
        for kind in kinds {
            *row.entry(kind).or_default() += 1;
        }
    }

    fn answered(&mut self, outcome: &Value) -> Vec<&'static str> {
        let mut kinds = Vec::new();
        for deviation in outcome["deviations"].as_array().into_iter().flatten() {
            let kind = match deviation["kind"].as_str() {
                Some("repair") => "repaired",
                Some("drop") => "dropped",
                Some("incomplete") => "incomplete",
                _ => "more",
            };
            let name = deviation["name"].as_str().unwrap_or_default();
            *self.reasons.entry(format!("{kind}: {name}")).or_default() += 1;
            kinds.push(kind);
        }
        if kinds.is_empty() {
            let own = outcome["note"].as_str().is_some_and(|it| it.ends_with("the gateway"));
            kinds.push(if own { "own" } else { "untouched" });
        }
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    fn refused(
        &mut self,
        operation: &str,
        reply: &Reply,
        intent: &Value,
        outcome: &Value,
    ) -> Vec<&'static str> {
        let note = outcome["note"].as_str().unwrap_or_default();
        if note.starts_with("the camera answered") && !note.contains("which") {
            *self.reasons.entry(format!("fault: {}", reply.fault())).or_default() += 1;
            return vec!["fault"];
        }
        let why = if note.is_empty() { intent["reason"].as_str().unwrap_or_default() } else { note };
        if why.is_empty() && reply.fault().is_empty() {
            self.wrong.push(format!("refused without a name: {}", reply.text()));
        }
        let why = format!("refused {operation}: {} {why}", reply.fault());
        *self.reasons.entry(why).or_default() += 1;
        vec!["refused"]
    }

    fn print(&self, title: &str) {
        const COLUMNS: [&str; 8] =
            ["all", "untouched", "repaired", "dropped", "incomplete", "own", "fault", "refused"];
        let row = |name: &str, of: &dyn Fn(&str) -> usize| {
            let cells: String = COLUMNS.iter().map(|it| format!("{:>11}", of(it))).collect();
            eprintln!("{name:<44}{cells}");
        };
        eprintln!("{:<44}{}", title, COLUMNS.iter().map(|it| format!("{it:>11}")).collect::<String>());
        for (folder, counts) in &self.folders {
            row(folder, &|it| counts.get(it).copied().unwrap_or(0));
        }
        row("all", &|it| self.folders.values().filter_map(|counts| counts.get(it)).sum());
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
        for (name, count) in reasons.iter().take(REASONS_SHOWN) {
            eprintln!("{count:>6} × {name}");
        }
        let rest = reasons.len().saturating_sub(REASONS_SHOWN);
        if rest > 0 {
            eprintln!("       and {rest} more reasons");
        }
    }
}

/// Reads a reply as a strict peer would; what the record calls incomplete may be so, and nothing else.
pub fn strictly(
    tables: &Tables,
    reply: &[u8],
    operation: OperationId,
    outcome: &Value,
) -> Result<(), String> {
    let deviations = outcome["deviations"].as_array();
    let incomplete =
        deviations.into_iter().flatten().any(|it| it["kind"] == "incomplete" || it["kind"] == "more");
    let root = tables.operation(operation).and_then(|it| it.output).unwrap();
    match soap::decode_answer(tables, reply, operation) {
        Ok(Answer::Document(_, found)) => {
            let other = found.iter().find(|it| it.kind.as_str() != "incomplete" || !incomplete);
            if let Some(it) = other {
                return Err(format!("the gateway's own words deviate: {} {}", it.kind, it.name));
            }
        }
        other => return Err(format!("the gateway's own words are not understood: {other:?}")),
    }
    let text = std::str::from_utf8(reply).map_err(|error| error.to_string())?;
    let mut reader = XmlReader::strict(text).map_err(|error| error.to_string())?;
    loop {
        match reader.next_event().map_err(|error| error.to_string())? {
            XmlEvent::Start(name) if name.local == "Body" => break,
            XmlEvent::Eof => return Err("no body".to_owned()),
            _ => {}
        }
    }
    reader.next_event().map_err(|error| error.to_string())?;
    match Document::read_request(tables, &mut reader, root) {
        Err(why) if !incomplete => Err(format!("refused by a strict reader: {why}")),
        _ => Ok(()),
    }
}

#[test]
fn recorded_requests_are_understood_or_refused_by_name() {
    let tables = Tables::embedded().unwrap();
    let mut files = Vec::new();
    for part in ["clients", "soap"] {
        let Some(folder) = corpus(part) else { return };
        list(&folder, ".request.xml", &mut files);
    }
    let mut tally = BTreeMap::<String, usize>::new();
    for file in &files {
        let heard = match soap::decode_request(&tables, &fs::read(file).unwrap()) {
            Ok(envelope) => match envelope.body {
                Body::Operation { .. } => "understood".to_owned(),
                Body::Unknown(name) => format!("refused as unknown: {name}"),
            },
            Err(error) => format!("refused: {} {}", error.fault.codes(), error.fault.reason),
        };
        *tally.entry(heard).or_default() += 1;
    }
    let understood = tally.get("understood").copied().unwrap_or(0);
    eprintln!("{} recorded requests, {understood} understood", files.len());
    for (name, count) in tally.iter().filter(|(name, _)| *name != "understood") {
        eprintln!("{count:>6} × {name}");
    }
    assert!(understood * 10 >= files.len() * 9, "{tally:?}");
}
