//! SOAP envelopes both ways: what is read can be written, and is read again as the same.
#![no_main]

use std::sync::{Arc, LazyLock};

use cordon::{
    schema::{OperationId, Tables},
    soap::{Answer, Body, Headers, decode_answer, decode_request, encode, encode_fault},
};
use libfuzzer_sys::fuzz_target;

static TABLES: LazyLock<Arc<Tables>> = LazyLock::new(|| Tables::embedded().expect("the tables load"));

/// Operations whose answers are tried, chosen by the first byte.
static OPERATIONS: LazyLock<Vec<OperationId>> = LazyLock::new(|| {
    let names =
        ["tds:GetServices", "trt:GetProfiles", "tev:PullMessages", "tev:GetEventProperties", "tds:GetDNS"];
    names.iter().filter_map(|it| TABLES.operation_by_name(it)).collect()
});

fuzz_target!(|data: &[u8]| {
    match decode_request(&TABLES, data) {
        Ok(envelope) => {
            if let Body::Operation { document, .. } = envelope.body {
                let bytes = encode(&TABLES, &document, &Headers::default());
                let again = decode_request(&TABLES, &bytes).expect("what is written can be read");
                let Body::Operation { document: again, .. } = again.body else { panic!("another body") };
                assert!(again == document, "another document came back");
            }
        }
        Err(error) => drop(encode_fault(&error.fault, &Headers::default())),
    }
    let chosen = data.first().map_or(0, |it| usize::from(*it)) % OPERATIONS.len();
    for operation in [OPERATIONS[0], OPERATIONS[chosen]] {
        if let Ok(Answer::Document(document, _)) = decode_answer(&TABLES, data, operation) {
            let bytes = encode(&TABLES, &document, &Headers::default());
            let again = decode_answer(&TABLES, &bytes, operation).expect("what is written can be read");
            let Answer::Document(again, deviations) = again else { panic!("a fault") };
            let changed = deviations.iter().any(|it| it.kind.as_str() != "incomplete");
            assert!(again == document && !changed, "an answer is whole after one reading");
        }
    }
});
