//! Writes messages and what became of them, for an independent validator to judge; see `tests/differential/run`.
#![allow(clippy::print_stderr, reason = "a test that skips says so")]

use std::{
    env,
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    sync::Arc,
};

use cordon::{
    events::{self, Event, Times},
    hatch::AddressRules,
    schema::{Deviations, Document, NodeId, OperationId, Refusal, Tables},
    soap::{self, Answer, AnswerError, Body},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    generate::{Tape, message},
    mutate::{Random, mutate},
    whole_way,
};

/// Arbitrary messages of each request and answer, and as many with a fault; `CORDON_DIFFERENTIAL_TRIES` asks for
/// more.
const TRIES: u64 = 4;

#[test]
fn messages_are_written_for_another_validator() {
    let Some(path) = env::var_os("CORDON_DIFFERENTIAL") else {
        eprintln!("SKIPPED: tests/differential/run says where to write (CORDON_DIFFERENTIAL)");
        return;
    };
    let number = |name: &str, default: u64| env::var(name).map_or(default, |it| it.parse().unwrap());
    let tries = number("CORDON_DIFFERENTIAL_TRIES", TRIES);
    let mut random = Random::new(number("CORDON_DIFFERENTIAL_SEED", 1));
    let tables = Tables::embedded().unwrap();
    let mut out = BufWriter::new(File::create(path).unwrap());
    for (id, row) in tables.operations() {
        for (root, request) in [(Some(row.input), true), (row.output, false)] {
            let Some(root) = root else { continue };
            let one = Side { tables: &tables, operation: id, root, request };
            for _ in 0..tries {
                one.write(&mut random, &mut out);
            }
        }
    }
    let told = told(&tables, &mut random, tries, &mut out);
    assert!(told > 0, "no message had an event in it");
    let recorded = recorded(&tables, &mut out);
    out.flush().unwrap();
    eprintln!("{recorded} recorded messages");
}

/// One side of one operation.
struct Side<'t> {
    tables: &'t Tables,
    operation: OperationId,
    root: NodeId,
    request: bool,
}

/// What reading made of a message.
type Read = Result<(Document, Option<Deviations>), String>;

impl Side<'_> {
    /// Writes a message as declared, and the same with a few faults.
    fn write(&self, random: &mut Random, out: &mut impl Write) {
        let made = message(self.tables, self.root, Tape::new(random.bytes(200)));
        if made.whole {
            self.judged("generated", "", &made.text, out);
            let (what, text) = mutate(&made.text, random);
            self.judged("mutated", &what, &text, out);
        }
    }

    fn judged(&self, kind: &str, what: &str, text: &str, out: &mut impl Write) {
        let read: Read = if self.request {
            let read = Document::parse_request(self.tables, text, self.root);
            read.map(|it| (it, None)).map_err(|it| named(&it))
        } else {
            let read = Document::parse_answer(self.tables, text, self.root);
            read.map(|(it, deviations)| (it, Some(deviations))).map_err(|it| named(&it))
        };
        self.line(kind, what, text, read, out);
    }

    fn line(&self, kind: &str, what: &str, input: &str, read: Read, out: &mut impl Write) {
        let row = self.tables.operation(self.operation).unwrap();
        let direction = if self.request { "request" } else { "answer" };
        let mut line = json!({
            "kind": kind,
            "what": what,
            "message": format!("{}:{} {direction}", row.prefix, row.name),
            "input": input,
        });
        match read {
            Ok((document, deviations)) => {
                line["output"] = Value::from(written(self.tables, &document));
                let all = deviations.iter().flat_map(Deviations::iter);
                line["deviations"] = all.map(|it| json!([it.kind.as_str(), it.name])).collect();
                line["unnamed"] = Value::from(deviations.as_ref().map_or(0, Deviations::unnamed));
            }
            Err(why) => line["refused"] = Value::from(why),
        }
        writeln!(out, "{line}").unwrap();
    }
}

/// Writes what clients and consumers are told of the events in made messages of cameras, and how often there were any.
fn told(tables: &Tables, random: &mut Random, tries: u64, out: &mut impl Write) -> u64 {
    let of = |name: &str| tables.operation_by_name(name).unwrap();
    let (pull, notify) = (of("tev:PullMessages"), of("wsntw:Notify"));
    let answer = tables.operation(pull).unwrap().output.unwrap();
    let notice = tables.operation(notify).unwrap().input;
    let at = Timestamp::UNIX_EPOCH;
    let mut told = 0;
    for _ in 0..MESSAGES_EACH * tries {
        let made = message(tables, answer, Tape::new(random.bytes(400)));
        let Ok((document, _)) = Document::parse_answer(tables, &made.text, answer) else { continue };
        if !made.whole {
            continue;
        }
        let events = Event::read_all(tables, &document, &AddressRules::default(), at).events;
        let events: Vec<_> = events.into_iter().map(Arc::new).collect();
        if events.is_empty() {
            continue;
        }
        let pulled = events::pulled(tables, answer, Times { now: at, ends: at }, &events).unwrap().0;
        let sent = events::notify(tables, notice, &events).unwrap().0;
        for (operation, root, document) in [(pull, answer, pulled), (notify, notice, sent)] {
            let text = written(tables, &document);
            assert_eq!(text.matches(":GatewayTime=").count(), text.matches("<tt:Message ").count(), "{text}");
            let side = Side { tables, operation, root, request: operation == notify };
            side.line("told", "", &text, Ok((document, None)), out);
        }
        told += 1;
    }
    told
}

/// For each try: not every message has an event in it.
const MESSAGES_EACH: u64 = 16;

/// A refusal by its kind, then in words.
fn named(refusal: &Refusal) -> String {
    let debug = format!("{refusal:?}");
    let kind = debug.split(['(', ' ']).next().unwrap_or_default();
    format!("{kind}: {refusal}")
}

/// A document as it is sent, its namespaces declared at its own root.
fn written(tables: &Tables, document: &Document) -> String {
    let mut text = String::new();
    document.write(tables, &mut text);
    let declared: String = document
        .namespaces(tables)
        .iter()
        .map(|(prefix, uri)| format!(" xmlns:{prefix}=\"{uri}\""))
        .collect();
    let at = text.find([' ', '>', '/']).unwrap();
    text.insert_str(at, &declared);
    text
}

/// Writes what becomes of every recording that is UTF-8; the number of them.
fn recorded(tables: &Tables, out: &mut impl Write) -> usize {
    let mut count = 0;
    for part in ["soap", "clients"] {
        let Some(folder) = whole_way::corpus(part) else { continue };
        let mut files = Vec::new();
        whole_way::list(&folder, ".response.xml", &mut files);
        whole_way::list(&folder, ".request.xml", &mut files);
        for file in &files {
            let name = file.strip_prefix(&folder).unwrap().display().to_string();
            let Ok(text) = fs::read_to_string(file) else { continue };
            let side = if name.ends_with(".request.xml") {
                recorded_request(tables, &text)
            } else {
                recorded_answer(tables, file, &text)
            };
            if let Some((side, read)) = side {
                side.line("recorded", &name, &text, read, out);
                count += 1;
            }
        }
    }
    count
}

fn recorded_request<'t>(tables: &'t Tables, text: &str) -> Option<(Side<'t>, Read)> {
    let (operation, read) = match soap::decode_request(tables, text.as_bytes()) {
        Ok(envelope) => match envelope.body {
            Body::Operation { candidates, document } => (candidates.first().copied(), Ok((document, None))),
            Body::Unknown(_) => return None,
        },
        Err(error) => {
            let named = error.operation.as_deref().and_then(|it| tables.operation_by_name(it));
            (named, Err(format!("{:?}: {}", error.fault.subcodes, error.fault.reason)))
        }
    };
    let operation = operation?;
    let root = tables.operation(operation)?.input;
    Some((Side { tables, operation, root, request: true }, read))
}

/// Tries every operation called as the file is, as `recordings` does.
fn recorded_answer<'t>(tables: &'t Tables, file: &Path, text: &str) -> Option<(Side<'t>, Read)> {
    let called = file.file_name()?.to_string_lossy().into_owned();
    let stem = called.trim_end_matches(".response.xml").trim_end_matches(".fault");
    let named = |name: &str| stem.split(['.', '-', '_']).any(|part| part == name);
    for (operation, row) in tables.operations().filter(|(_, it)| named(&it.name)) {
        let Some(root) = row.output else { continue };
        let read = match soap::decode_answer(tables, text.as_bytes(), operation) {
            Ok(Answer::Document(document, deviations)) => Ok((document, Some(deviations))),
            Ok(Answer::Fault(_)) => return None,
            Err(AnswerError::Other(_)) => continue,
            Err(error) => Err(error.to_string()),
        };
        return Some((Side { tables, operation, root, request: false }, read));
    }
    None
}
