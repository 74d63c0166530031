//! The zone's name server: it knows no name, says so, and what was asked for goes on record. A pure function from
//! a message to what it asks and the answer.
//!
//! An answer is the question and twelve bytes, so it is never longer than what was sent: nobody is worth being
//! attacked with it.

use domain::base::{
    Message,
    iana::{Class, Opcode, Rcode, Rtype},
    name::ToLabelIter,
};

use crate::{audit::printable, limits::DNS_NAME_CHARS_MAX};

/// What somebody asked the name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name, without anything a terminal or a browser would obey, in lower case.
    pub name: String,
    /// The kind of record: `A`, `AAAA` …
    pub kind: String,
    /// The refusal to send back.
    pub refusal: Vec<u8>,
}

/// Why a message is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoQuestion {
    /// It is shorter than a header.
    Short,
    /// It is an answer: answering answers makes a loop.
    Answer,
    /// It is something else than a query: a notification, an update.
    OtherOperation,
    /// It has no question, or more than one.
    Questions,
    /// Its question cannot be read.
    Malformed,
}

/// Reads a message as a question about one name.
pub fn question(message: &[u8]) -> Result<Question, NoQuestion> {
    let message = Message::from_octets(message).map_err(|_| NoQuestion::Short)?;
    let header = message.header();
    if header.qr() {
        return Err(NoQuestion::Answer);
    }
    if header.opcode() != Opcode::QUERY {
        return Err(NoQuestion::OtherOperation);
    }
    if message.header_counts().qdcount() != 1 {
        return Err(NoQuestion::Questions);
    }
    let asked = message.sole_question().map_err(|_| NoQuestion::Malformed)?;
    let name = asked.qname();
    // A question is the first thing after the header, so that a pointer could only lead into the header or to
    // itself.
    if name.is_compressed() {
        return Err(NoQuestion::Malformed);
    }
    let kind = if asked.qclass() == Class::IN { kind(asked.qtype()) } else { "another class".to_owned() };
    let shown: String = printable(&name.to_string()).chars().take(DNS_NAME_CHARS_MAX).collect();
    let shown = if shown.is_empty() { ".".to_owned() } else { shown.to_lowercase() };
    let end = HEADER_BYTES + usize::from(name.compose_len()) + QUESTION_END_BYTES;
    let mut refusal = message.as_slice().get(..end).ok_or(NoQuestion::Malformed)?.to_vec();
    refuse(&mut refusal);
    Ok(Question { name: shown, kind, refusal })
}

/// Makes a question its own refusal: no answer, no authority, no additional records.
fn refuse(message: &mut [u8]) {
    let Some(header) = message.get_mut(..HEADER_BYTES) else { return };
    let asked = domain::base::Header::for_message_slice_mut(header);
    asked.set_qr(true);
    asked.set_aa(false);
    asked.set_tc(false);
    asked.set_ra(false);
    asked.set_z(false);
    asked.set_ad(false);
    asked.set_rcode(Rcode::REFUSED);
    let counts = domain::base::HeaderCounts::for_message_slice_mut(header);
    counts.set_ancount(0);
    counts.set_nscount(0);
    counts.set_arcount(0);
}

fn kind(kind: Rtype) -> String {
    printable(&kind.to_string())
}

const HEADER_BYTES: usize = 12;
/// Type and class.
const QUESTION_END_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// A query header with this many questions, and what follows.
    fn message(flags: u16, questions: u16, rest: &[u8]) -> Vec<u8> {
        let head = [0x1234, flags, questions, 0, 0, 0];
        head.iter().flat_map(|it: &u16| it.to_be_bytes()).chain(rest.iter().copied()).collect()
    }

    fn name(labels: &[&[u8]]) -> Vec<u8> {
        let label = |it: &&[u8]| [&[u8::try_from(it.len()).unwrap()], *it].concat();
        labels.iter().flat_map(label).chain([0]).collect()
    }

    /// A question for an address.
    fn a(labels: &[&[u8]]) -> Vec<u8> {
        [name(labels), vec![0, 1, 0, 1]].concat()
    }

    #[test]
    fn a_question_is_refused_and_told() {
        let asked = message(0x0100, 1, &a(&[b"www", b"EXAMPLE", b"net"]));
        let Question { name, kind, refusal } = question(&asked).unwrap();
        assert_eq!((name.as_str(), kind.as_str()), ("www.example.net", "A"));
        assert_eq!(refusal.len(), asked.len(), "not a byte more than was sent");
        assert_eq!(refusal[..12], [0x12, 0x34, 0x81, 0x05, 0, 1, 0, 0, 0, 0, 0, 0], "the same id; REFUSED");
        assert_eq!(refusal[12..], asked[12..], "the question");
    }

    #[test]
    fn what_follows_the_question_is_not_sent_back() {
        let mut asked = message(0x0120, 1, &a(&[b"a"]));
        asked[11] = 1;
        let plain = asked.len();
        // An OPT record with options, as EDNS has it, and much more.
        asked.extend([0, 0, 41, 0xff, 0xff, 0, 0, 0, 0, 0, 0]);
        asked.extend([0x41; 1_000]);
        let refusal = question(&asked).unwrap().refusal;
        assert_eq!(refusal.len(), plain);
        assert_eq!(refusal[2..4], [0x81, 0x05], "authentic data is not claimed");
        assert_eq!(refusal[11], 0, "no additional record");
    }

    #[test]
    fn names_are_made_printable() {
        for (labels, shown) in [
            (&[&b"<script>"[..], b"x"][..], "<script>.x"),
            (&[b"a\x1b[2Jb"], "a\\027[2jb"),
            (&[b"a.b", b"c"], "a\\.b.c"),
            (&[&[0xff, 0x00, b'z']], "\\255\\000z"),
            (&[], "."),
        ] {
            assert_eq!(question(&message(0, 1, &a(labels))).unwrap().name, shown);
        }
        let long = vec![&[b'x'; 63][..]; 3];
        let told = question(&message(0, 1, &a(&long))).unwrap();
        assert_eq!(told.name.len(), 3 * 64 - 1);
        assert_eq!(told.refusal.len(), 12 + 3 * 64 + 1 + 4);
    }

    #[test]
    fn hostile_messages_get_no_answer() {
        let query = a(&[b"a"]);
        let too_long = vec![&[b'x'; 63][..]; 4];
        for (bytes, why, what) in [
            (vec![], NoQuestion::Short, "nothing"),
            (vec![0; 11], NoQuestion::Short, "half a header"),
            (message(0x8000, 1, &query), NoQuestion::Answer, "an answer"),
            (message(0x8180, 1, &query), NoQuestion::Answer, "an answer to what nobody asked"),
            (message(0x2800, 1, &query), NoQuestion::OtherOperation, "an update"),
            (message(0x2000, 1, &query), NoQuestion::OtherOperation, "a notification"),
            (message(0, 0, &[]), NoQuestion::Questions, "no question"),
            (message(0, 2, &[query.clone(), query.clone()].concat()), NoQuestion::Questions, "two questions"),
            (message(0, 65_535, &query), NoQuestion::Questions, "more questions than fit"),
            (message(0, 1, &[]), NoQuestion::Malformed, "a question that is not there"),
            (message(0, 1, &[1]), NoQuestion::Malformed, "a label without its letters"),
            (message(0, 1, b"\x01a\x00\x00\x01\x00"), NoQuestion::Malformed, "half a class"),
            (message(0, 1, &[0xc0, 12, 0, 1, 0, 1]), NoQuestion::Malformed, "a pointer to itself"),
            (message(0, 1, &[1, b'a', 0xc0, 12, 0, 1, 0, 1]), NoQuestion::Malformed, "a loop"),
            (message(0, 1, &[0xc0, 0, 0, 1, 0, 1]), NoQuestion::Malformed, "a pointer into the header"),
            (message(0, 1, &[0xc0, 99, 0, 1, 0, 1]), NoQuestion::Malformed, "a pointer to nowhere"),
            (message(0, 1, &[0x40, b'a', 0, 0, 1, 0, 1]), NoQuestion::Malformed, "a label of no kind"),
            (
                message(0, 1, &[&[64], &[b'x'; 64][..], &[0, 0, 1, 0, 1]].concat()),
                NoQuestion::Malformed,
                "64",
            ),
            (message(0, 1, &a(&too_long)), NoQuestion::Malformed, "a name of 257 bytes"),
        ] {
            assert_eq!(question(&bytes), Err(why), "{what}");
        }
    }

    #[test]
    fn no_bytes_make_it_fail_or_answer_with_more() {
        let mut state = 0x9e37_79b9_u32;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_be_bytes()[0]
        };
        let good = message(0x0100, 1, &a(&[b"www", b"example"]));
        let mut answered = 0;
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..next() % 4 {
                let at = usize::from(next()) % bytes.len();
                bytes[at] = next();
            }
            bytes.truncate(bytes.len() - usize::from(next()) % 3);
            let Ok(question) = question(&bytes) else { continue };
            answered += 1;
            assert!(question.refusal.len() <= bytes.len());
            assert!(question.name.chars().all(|it| !it.is_control()));
        }
        assert!(answered > 1_000, "{answered} of 20000 were answered");
    }
}
