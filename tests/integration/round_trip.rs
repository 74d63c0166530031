//! What the tables declare survives being read, written and read again, in an envelope too.
#![allow(clippy::print_stderr, reason = "a test that cannot make all says so")]

use std::{cell::RefCell, collections::BTreeSet};

use cordon::{
    schema::{Document, OperationId, Refusal, Tables},
    soap::{self, Answer, Body, Headers},
};
use proptest::{
    prelude::any,
    test_runner::{Config, TestCaseError, TestError, TestRunner},
};

use crate::generate::{Made, Tape, message};

/// Arbitrary messages tried for each request and each answer of the interface; `CORDON_ROUND_TRIPS` asks for
/// more.
const TRIES: u32 = 32;

/// Messages of which some cannot be made by the tables: their content must be an attachment, or a foreign element
/// of which the overlay allows none. May only shrink.
const UNMADE_MAX: usize = 14;

#[test]
fn declared_messages_survive_being_read_and_written() {
    let tables = Tables::embedded().unwrap();
    let tries = std::env::var("CORDON_ROUND_TRIPS").map_or(TRIES, |it| it.parse().unwrap());
    let mut documents = 0_u64;
    let mut failed = Vec::new();
    let unmade = RefCell::new(BTreeSet::new());
    for (id, row) in tables.operations() {
        for root in [Some(row.input), row.output].into_iter().flatten() {
            let mut runner =
                TestRunner::new(Config { cases: tries, failure_persistence: None, ..Config::default() });
            let tape = proptest::collection::vec(any::<u8>(), 0..200);
            let outcome = runner.run(&tape, |tape| {
                let Made { text, whole } = message(&tables, root, Tape::new(tape));
                let fail = |why: String| TestCaseError::fail(format!("{why}\n{text}"));
                let first = match Document::parse_request(&tables, &text, root) {
                    Ok(first) => first,
                    Err(error) if !whole || matches!(error, Refusal::Attachment(_)) => {
                        unmade.borrow_mut().insert(tables.path(root));
                        return Ok(());
                    }
                    Err(error) => return Err(fail(format!("a declared message is refused: {error}"))),
                };
                let bytes = soap::encode(&tables, &first, &Headers::default());
                let again = read(&tables, &bytes, root == row.input, id).map_err(fail)?;
                if again == first { Ok(()) } else { Err(fail("another document came back".to_owned())) }
            });
            if let Err(TestError::Abort(why) | TestError::Fail(why, _)) = outcome {
                failed.push(format!("{}: {why}", tables.path(root)));
            }
            documents += u64::from(tries);
        }
    }
    assert!(failed.is_empty(), "{} of {documents}:\n{}", failed.len(), failed.join("\n"));
    assert!(documents > 1_000, "the interface has more messages than {documents}");
    let unmade = unmade.into_inner();
    eprintln!("{documents} messages; of these roots some cannot be made: {unmade:?}");
    assert!(unmade.len() <= UNMADE_MAX, "{unmade:?}");
}

fn read(tables: &Tables, bytes: &[u8], request: bool, operation: OperationId) -> Result<Document, String> {
    if request {
        let envelope = soap::decode_request(tables, bytes).map_err(|error| error.fault.reason)?;
        match envelope.body {
            Body::Operation { document, .. } => Ok(document),
            Body::Unknown(name) => Err(format!("{name} is unknown")),
        }
    } else {
        match soap::decode_answer(tables, bytes, operation) {
            Ok(Answer::Document(document, deviations)) if deviations.is_empty() => Ok(document),
            Ok(Answer::Document(_, deviations)) => Err(format!("what was written deviates: {deviations:?}")),
            Ok(Answer::Fault(fault)) => Err(format!("a fault: {fault}")),
            Err(error) => Err(error.to_string()),
        }
    }
}
