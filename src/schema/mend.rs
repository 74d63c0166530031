//! Puts right what some cameras write for XML, where there is one reading of it.
//!
//! Only what cameras say comes here, where the reader refused it or did not find what was looked for. What comes out is
//! read again, with all checks: nothing in here decides what passes. Letters may be lost, never markup found: a byte that
//! is no character becomes U+FFFD, and what opens no tag or reference is text.

use std::borrow::Cow;

use super::xml::{self, SPACE, XmlError};
use crate::limits::{XML_ATTRIBUTES_MAX, XML_MENDED_BYTES_MAX};

/// A text put right, and what was.
#[derive(Debug, PartialEq, Eq)]
pub struct Mended {
    /// The text.
    pub text: String,
    /// What was put right, by name.
    pub repairs: Vec<&'static str>,
}

const PADDING: &str = "NUL bytes around the document";
const BYTES: &str = "bytes that are no characters read as U+FFFD";
const CHARACTERS: &str = "characters that XML does not have read as U+FFFD";
const AMPERSAND: &str = "an ampersand that begins no reference";
const LESS_THAN: &str = "a less-than sign that begins no tag";
const CLOSE: &str = "attributes without white space between them";
const TWICE: &str = "an attribute given twice, the first taken";
const VERSION: &str = "declared as XML 1.1";

/// Puts right what can be after the reader refused a text, where it says why for this; none if nothing can.
pub fn mend(bytes: &[u8], refused: Option<&XmlError>) -> Option<Mended> {
    // What the reader refused for its size is not read twice.
    if matches!(refused, Some(XmlError::TooMuch(..))) || bytes.len() > XML_MENDED_BYTES_MAX {
        return None;
    }
    let mut mender = Mender { text: String::with_capacity(bytes.len() + 64), repairs: Vec::new() };
    let document = mender.document(bytes);
    let text = mender.characters(document).filter(|it| it.len() <= XML_MENDED_BYTES_MAX)?;
    mender.markup(&text);
    let Mender { text, repairs } = mender;
    (!repairs.is_empty() && text.len() <= XML_MENDED_BYTES_MAX).then_some(Mended { text, repairs })
}

struct Mender {
    text: String,
    repairs: Vec<&'static str>,
}

impl Mender {
    fn note(&mut self, repair: &'static str) {
        if !self.repairs.contains(&repair) {
            self.repairs.push(repair);
        }
    }

    /// The bytes between those that pad them: some send the end of a string along, or the rest of a buffer.
    fn document<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let is_padding = |byte: &u8| *byte == 0 || byte.is_ascii_whitespace();
        let from = bytes.iter().position(|it| !is_padding(it)).unwrap_or(bytes.len());
        let to = bytes.iter().rposition(|it| !is_padding(it)).map_or(from, |it| it + 1);
        let (before, rest) = bytes.split_at_checked(from).unwrap_or((bytes, &[]));
        let (document, after) = rest.split_at_checked(to - from).unwrap_or((rest, &[]));
        if before.contains(&0) || after.contains(&0) {
            self.note(PADDING);
        }
        document.strip_prefix("\u{feff}".as_bytes()).unwrap_or(document)
    }

    /// The bytes as characters of XML. Which character a byte beyond ASCII is, is only known of UTF-8 that is declared as
    /// UTF-8, or as nothing.
    fn characters<'a>(&mut self, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
        let mut text = match (xml::declared_encoding(bytes), std::str::from_utf8(bytes)) {
            (Some(declared), _) if xml::holds_ascii(&declared) && !bytes.is_ascii() => {
                self.note(BYTES);
                let character = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { '\u{FFFD}' };
                Cow::Owned(bytes.iter().map(character).collect())
            }
            (declared, Ok(text)) if declared.as_deref().is_none_or(|it| xml::is_read_as_utf8(it, text)) => {
                Cow::Borrowed(text)
            }
            (declared, Err(_)) if declared.as_deref().is_none_or(xml::is_utf8) => {
                self.note(BYTES);
                Cow::Owned(String::from_utf8_lossy(bytes).into_owned())
            }
            _ => return None,
        };
        if !xml::has_only_xml_characters(&text) {
            self.note(CHARACTERS);
            let character = |it: char| if xml::is_character(it) { it } else { '\u{FFFD}' };
            text = Cow::Owned(text.chars().map(character).collect());
        }
        Some(text)
    }

    fn markup(&mut self, text: &str) {
        let mut rest = text;
        while let Some((before, from)) = rest.find('<').and_then(|at| rest.split_at_checked(at)) {
            self.references(before);
            let (piece, after) = from.split_at_checked(length_of_markup(from)).unwrap_or((from, ""));
            match piece.get(1..).and_then(|it| it.chars().next()) {
                Some('?') if piece.starts_with("<?xml ") && self.text.is_empty() => self.declaration(piece),
                Some('!' | '?' | '/') => self.text.push_str(piece),
                Some(first) if xml::is_name_start(first) => self.tag(piece),
                _ => {
                    self.note(LESS_THAN);
                    self.text.push_str("&lt;");
                }
            }
            rest = after;
            if self.text.len() > XML_MENDED_BYTES_MAX {
                return;
            }
        }
        self.references(rest);
    }

    /// Of the declaration nothing is needed any more.
    fn declaration(&mut self, piece: &str) {
        if piece.contains("\"1.1\"") || piece.contains("'1.1'") {
            self.note(VERSION);
        } else if !piece.contains("\"1.0\"") && !piece.contains("'1.0'") {
            return self.text.push_str(piece);
        }
        self.text.push_str("<?xml version=\"1.0\"?>");
    }

    /// A start tag, attribute by attribute; as it is where it has another form.
    fn tag(&mut self, piece: &str) {
        let before = (self.text.len(), self.repairs.len());
        // One that the text ends in has no end.
        let Some(inside) = piece.strip_prefix('<').and_then(|it| it.strip_suffix('>')) else {
            return self.text.push_str(piece);
        };
        let (inside, end) = inside.strip_suffix('/').map_or((inside, ">"), |it| (it, "/>"));
        let (name, mut rest) = inside.split_once(SPACE).unwrap_or((inside, ""));
        self.text.push('<');
        self.text.push_str(name);
        let mut given: Vec<&str> = Vec::new();
        for _ in 0..=XML_ATTRIBUTES_MAX {
            let trimmed = rest.trim_start_matches(SPACE);
            if trimmed.is_empty() {
                return self.text.push_str(end);
            }
            let Some((name, value, after)) = xml::first_attribute(trimmed) else { break };
            if !given.is_empty() && trimmed.len() == rest.len() {
                self.note(CLOSE);
            }
            if given.contains(&name) {
                self.note(TWICE);
            } else {
                given.push(name);
                let quote = if value.contains('"') { '\'' } else { '"' };
                self.text.extend([" ", name, "="]);
                self.text.push(quote);
                self.references(value);
                self.text.push(quote);
            }
            rest = after;
        }
        self.text.truncate(before.0);
        self.repairs.truncate(before.1);
        self.text.push_str(piece);
    }

    /// Text or the value of an attribute, with every ampersand that begins nothing written as one.
    fn references(&mut self, text: &str) {
        let in_name = |it: char| it == '#' || xml::is_name_character(it);
        let mut rest = text;
        while let Some((before, from)) = rest.find('&').and_then(|at| rest.split_at_checked(at)) {
            self.text.push_str(before);
            if self.text.len() > XML_MENDED_BYTES_MAX {
                return;
            }
            let after = from.strip_prefix('&').unwrap_or(from);
            let name = after.find(|it| !in_name(it)).and_then(|at| after.split_at_checked(at));
            let name = name.filter(|(_, then)| then.starts_with(';')).map(|(name, _)| name);
            let length = match name {
                Some(name) if names_no_character(name) => {
                    self.note(CHARACTERS);
                    self.text.push('\u{FFFD}');
                    name.len() + 2
                }
                // A name that is none of XML's would be an entity, and those the reader refuses.
                Some(name) if number(name).is_some() || xml::is_ncname(name) => {
                    self.text.extend(["&", name, ";"]);
                    name.len() + 2
                }
                _ => {
                    self.note(AMPERSAND);
                    self.text.push_str("&amp;");
                    1
                }
            };
            rest = from.get(length..).unwrap_or("");
        }
        self.text.push_str(rest);
    }
}

/// How many bytes of a text that begins with `<` are markup; all of it where its end is not found.
fn length_of_markup(text: &str) -> usize {
    let until = |end: &str| text.find(end).map_or(text.len(), |at| at + end.len());
    match text.as_bytes() {
        [b'<', b'!', b'-', b'-', ..] => until("-->"),
        [b'<', b'!', b'[', ..] => until("]]>"),
        [b'<', b'?', ..] => until("?>"),
        [b'<', b'!' | b'/', ..] => until(">"),
        [b'<', ..] if text.chars().nth(1).is_some_and(xml::is_name_start) => {
            let mut quote = None;
            let end = text.bytes().position(|byte| match (quote, byte) {
                (None, b'>') => true,
                (None, b'"' | b'\'') => {
                    quote = Some(byte);
                    false
                }
                (Some(open), byte) if open == byte => {
                    quote = None;
                    false
                }
                _ => false,
            });
            end.map_or(text.len(), |at| at + 1)
        }
        _ => 1,
    }
}

/// The digits of a reference by number, and to which base.
fn number(name: &str) -> Option<(&str, u32)> {
    let digits = name.strip_prefix('#')?;
    let (digits, base) = digits.strip_prefix('x').map_or((digits, 10), |digits| (digits, 16));
    (!digits.is_empty() && digits.chars().all(|it| it.is_digit(base))).then_some((digits, base))
}

/// Whether it is a reference by number to what XML has no character for.
fn names_no_character(name: &str) -> bool {
    let Some((digits, base)) = number(name) else { return false };
    let number = u32::from_str_radix(digits.trim_start_matches('0'), base).ok();
    !number.and_then(char::from_u32).is_some_and(xml::is_character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(bytes: &[u8]) -> Option<(String, Vec<&'static str>)> {
        mend(bytes, None).map(|it| (it.text, it.repairs))
    }

    #[test]
    fn each_fault_is_put_right_and_named() {
        let cases: &[(&[u8], &str, &str)] = &[
            (b"\0<a>b</a>\r\n\0\0", "<a>b</a>", PADDING),
            (b"<a>b\xce\xc4</a>", "<a>b\u{FFFD}\u{FFFD}</a>", BYTES),
            (
                b"<?xml version='1.0' encoding='GB2312'?><a>\xce\xc4</a>",
                "<?xml version=\"1.0\"?><a>\u{FFFD}\u{FFFD}</a>",
                BYTES,
            ),
            (b"\0\xef\xbb\xbf<a>b</a>", "<a>b</a>", PADDING),
            (b"<a>b\x01</a>", "<a>b\u{FFFD}</a>", CHARACTERS),
            (b"<a b='&#x7;'>&#0;&#x0000110000;</a>", "<a b=\"\u{FFFD}\">\u{FFFD}\u{FFFD}</a>", CHARACTERS),
            (b"<a b='?c=1&d=2'>&e=f;&amp;&</a>", "<a b=\"?c=1&amp;d=2\">&amp;e=f;&amp;&amp;</a>", AMPERSAND),
            (b"<a><+08>-8</a>", "<a>&lt;+08>-8</a>", LESS_THAN),
            (b"<a b='1'c=\"'2'\"/>", "<a b=\"1\" c=\"'2'\"/>", CLOSE),
            (b"<a b='1' c='\"' b='2'>d</a>", "<a b=\"1\" c='\"'>d</a>", TWICE),
            (b"<?xml version=\"1.1\" encoding=\"utf-8\"?><a/>", "<?xml version=\"1.0\"?><a/>", VERSION),
        ];
        for (bytes, text, repair) in cases {
            let shown = String::from_utf8_lossy(bytes);
            assert_eq!(mended(bytes), Some(((*text).to_owned(), vec![*repair])), "{shown}");
        }
    }

    #[test]
    fn what_has_no_one_reading_stays_refused() {
        let untouched: &[&[u8]] = &[
            b"<a>b</a>",
            b"<a>b</c>",
            b"<a b=1>c</a>",
            b"<a>&b;</a>",
            b"<a>&a-name-that-is-long;</a>",
            b"<a>&#x0000000041;</a>",
            b"<?xml version='1.0' encoding='ibm037'?><a>&</a>",
            b"<?xml version='1.0' encoding='iso-2022-jp'?><a>\x1b$B<&\x1b(B</a>",
            b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>b</a>",
            b"<a><![CDATA[&b<]]><!-- & --><?c &?></a>",
            b"<?xml version='1.0' encoding='ibm037'?><a>\xce</a>",
            b"",
        ];
        for bytes in untouched {
            assert_eq!(mended(bytes), None, "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(mended(b"\0<a/"), Some(("<a/".to_owned(), vec![PADDING])), "no tag is closed");
        let long = [b"<a>&".as_slice(), &vec![b' '; XML_MENDED_BYTES_MAX], b"</a>"].concat();
        assert_eq!(mended(&long), None, "too long");
        let grows = [b"<a>".as_slice(), &vec![b'&'; XML_MENDED_BYTES_MAX / 2], b"</a>"].concat();
        assert_eq!(mended(&grows), None, "too long when put right");
        let refused = XmlError::TooMuch(0, 1, "levels of elements");
        assert_eq!(mend(b"<a>&</a>", Some(&refused)), None, "what is too much is not read twice");
    }

    /// Whatever comes, what is put right needs it no more, and names are the ones that were there.
    #[test]
    fn what_was_put_right_stays_as_it_is() {
        const PIECES: [&str; 20] = [
            "<", ">", "/", "a", "b:c", " ", "=", "'", "\"", "&", ";", "#x7", "amp", "!--", "-->", "![CDATA[",
            "]]>", "?", "\0", "é",
        ];
        let mut state = 7_u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        let mut put_right = 0;
        for _ in 0..50_000 {
            let mut bytes = b"<a>".to_vec();
            for _ in 0..next(12) {
                bytes.extend(PIECES[next(PIECES.len())].as_bytes());
            }
            if next(8) == 0 {
                bytes.push(0xff);
            }
            let Some((text, repairs)) = mended(&bytes) else { continue };
            put_right += 1;
            let shown = String::from_utf8_lossy(&bytes);
            assert_eq!(mended(text.as_bytes()), None, "{shown:?} became {text:?}: {repairs:?}");
        }
        assert!(put_right > 10_000, "{put_right}");
    }

    /// A declaration of an entity stays where it is, and the reader refuses it.
    #[test]
    fn what_is_put_right_is_read_with_all_checks() {
        let (text, _) = mended(b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;\x01</a>").unwrap();
        let mut xml = xml::XmlReader::tolerant(&text).unwrap();
        assert!(matches!(xml.next_event(), Err(XmlError::Forbidden(..))), "{text}");
    }
}
