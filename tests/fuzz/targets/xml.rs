//! The XML reader, strict and tolerant: it ends, and what one reads strictly the other reads the same.
#![no_main]

use cordon::schema::xml::{XmlEvent, XmlReader, utf8};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = utf8(data) else { return };
    let strict = XmlReader::strict(text).ok().and_then(events);
    let tolerant = XmlReader::tolerant(text).ok().and_then(events);
    if strict.is_some() {
        assert_eq!(strict, tolerant, "the tolerant reader reads what the strict one reads");
    }
});

/// What a reader saw, if it came to the end.
fn events(mut reader: XmlReader<'_>) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let mut depth = 0_usize;
    loop {
        let event = reader.next_event().ok()?;
        let word = match &event {
            XmlEvent::Start(name) => {
                depth += 1;
                format!("{{{}}}{}", reader.uri(name.space), name.local)
            }
            XmlEvent::Text(text) => format!("text {text}"),
            XmlEvent::End => {
                depth = depth.checked_sub(1).expect("an end belongs to a start");
                "end".to_owned()
            }
            XmlEvent::Eof => {
                assert_eq!(depth, 0, "the end comes after all elements");
                return Some(all);
            }
        };
        all.push(word);
    }
}
