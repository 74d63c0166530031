//! A configuration's text, for showing a line of it. What may be a secret is never shown.

use std::{ops::Range, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The sections a configuration may have.
pub(super) const HEADS: [&str; 16] = [
    "gateway",
    "listener",
    "admin",
    "audit",
    "netd",
    "discovery",
    "policy",
    "vendors",
    "network",
    "client",
    "site",
    "zone",
    "camera",
    "absorb",
    "exception",
    "mqtt",
];

/// Keys whose values may be shown. Everything else, misspelt keys too, might hold a secret.
const SHOWN: [&str; 66] = [
    "address",
    "advertise",
    "because",
    "bind",
    "broker",
    "by",
    "ca",
    "camera",
    "cameras",
    "certificate_sha256",
    "clear_passwords",
    "clients",
    "confine",
    "device_path",
    "dir",
    "first_camera_port",
    "first_tls_port",
    "hardware_address",
    "interface",
    "is",
    "isolation",
    "key_sha256",
    "listen",
    "listen_address",
    "listen_path",
    "listen_port",
    "mac",
    "manufacturer",
    "model",
    "name",
    "networks",
    "on",
    "operations",
    "owner",
    "parent",
    "path_port",
    "path_tls_port",
    "port",
    "prefixes",
    "reason",
    "role",
    "routes",
    "rtsp_port",
    "rtsps_port",
    "sensitive",
    "shipped",
    "site",
    "socket",
    "state_dir",
    "sweep",
    "threads",
    "tls",
    "tls_certificate",
    "tls_key",
    "tls_port",
    "to",
    "topic_prefix",
    "until",
    "user",
    "username",
    "vendor",
    "vendor_decision",
    "via",
    "vlan",
    "watch",
    "zone",
];

/// Ways to refer to a secret; the reference is no secret.
const REFERENCES: [&str; 3] = ["file", "env", "credential"];

/// What stands in place of a value that is not shown.
const MASK: &str = "***";

/// The text of one file, and the spans of it that are not shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Source {
    text: Arc<str>,
    hidden: Arc<[Range<usize>]>,
}

impl Source {
    /// A text without secrets.
    pub(super) fn plain(text: &str) -> Self {
        Self { text: text.into(), hidden: Arc::new([]) }
    }

    /// A configuration's text and what it parses to.
    pub(super) fn parsed(text: &str, table: &DeTable<'_>) -> Self {
        let mut hidden = Vec::new();
        mark_table(table, false, &mut hidden);
        hidden.sort_by_key(|span| span.start);
        Self { text: text.into(), hidden: hidden.into() }
    }

    /// A configuration's text that does not parse, so that only its lines tell what may be shown.
    pub(super) fn broken(text: &str) -> Self {
        let mut hidden = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let end = at + line.trim_end_matches(['\n', '\r']).len();
            match line.split_once('=') {
                Some((key, value)) if is_shown(key) && !value.contains(['{', '=', '#']) => {}
                Some((key, _)) if key.trim() == "password" => hidden.push(at + key.len() + 1..end),
                // What stands before `=` may be the rest of a text of many lines.
                Some(_) => hidden.push(at..end),
                None if is_head(line) => {}
                None => hidden.push(at..end),
            }
            at += line.len();
        }
        hidden.retain(|span| !span.is_empty());
        Self { text: text.into(), hidden: hidden.into() }
    }

    /// Whether there is no text to show.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Line and column of a byte, from 1.
    pub(super) fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
    }

    /// The span of a line, from 1, without its end.
    pub(super) fn line_span(&self, line: usize) -> Range<usize> {
        let mut at = 0;
        for (number, text) in self.text.split_inclusive('\n').enumerate() {
            if number + 1 == line {
                return at..at + text.trim_end().len();
            }
            at += text.len();
        }
        0..0
    }

    /// The line a span begins on, as it may be shown, and where the span then lies in it.
    pub(super) fn excerpt(&self, span: &Range<usize>) -> (String, Range<usize>) {
        let start = span.start.min(self.text.len());
        let from = self.text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let end =
            self.text.get(start..).and_then(|rest| rest.find('\n')).map_or(self.text.len(), |at| start + at);
        let shown = self.shown(from..end);
        let (first, last) =
            (self.shown(from..start).len(), self.shown(from..span.end.clamp(start, end)).len());
        let shown = shown.trim_end();
        // What is left out at the end cannot be pointed at.
        (shown.to_owned(), first.min(shown.len())..last.min(shown.len()))
    }

    /// A part of the text with a mask for each span in it that is not shown.
    fn shown(&self, part: Range<usize>) -> String {
        let mut text = String::new();
        let mut at = part.start;
        let after = self.hidden.partition_point(|span| span.end <= part.start);
        for span in self.hidden.iter().skip(after).take_while(|span| span.start < part.end) {
            text += self.text.get(at..span.start).unwrap_or_default();
            text += MASK;
            at = span.end;
        }
        text + self.text.get(at..part.end).unwrap_or_default()
    }
}

fn mark_table(table: &DeTable<'_>, hide: bool, hidden: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let known = is_shown(key.get_ref()) || HEADS.contains(&key.get_ref().as_ref());
        let refers = key.get_ref() == "password" && is_reference(value.get_ref());
        if !refers {
            mark(value, hide || !known, hidden);
        }
    }
}

fn mark(value: &Spanned<DeValue<'_>>, hide: bool, hidden: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::Table(table) => mark_table(table, hide, hidden),
        DeValue::Array(items) => items.iter().for_each(|item| mark(item, hide, hidden)),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {
            if hide {
                hidden.push(value.span());
            }
        }
    }
}

fn is_reference(value: &DeValue<'_>) -> bool {
    let DeValue::Table(table) = value else { return false };
    let fits = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        REFERENCES.contains(&key.as_ref()) && matches!(value.get_ref(), DeValue::String(_))
    };
    table.len() == 1 && table.iter().all(fits)
}

fn is_shown(key: &str) -> bool {
    SHOWN.binary_search(&key.trim()).is_ok()
}

fn is_head(line: &str) -> bool {
    let name = line.trim().trim_start_matches('[').trim_end_matches(']').trim();
    line.trim().starts_with('[') && HEADS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Source {
        Source::parsed(text, DeTable::parse(text).unwrap().get_ref())
    }

    #[test]
    fn values_that_may_be_secrets_are_masked_and_spans_move_along() {
        for (text, wanted, shown, marked) in [
            ("password = \"hunter2\"", "\"hunter2\"", "password = ***", "***"),
            ("passwort = 'hunter2' # old", "passwort", "passwort = *** # old", "passwort"),
            ("password = { file = \"a\" }", "{", "password = { file = \"a\" }", "{"),
            ("password = { file = 'x', env = 'hunter2' }", "{", "password = { file = ***, env = *** }", "{"),
            (
                "camera = [{ password = 'hunter2', zone = 'lost' }]",
                "'lost'",
                "camera = [{ password = ***, zone = 'lost' }]",
                "'lost'",
            ),
            ("password = \"\"\"\nhunter2\"\"\"", "\"\"\"", "password = ***", "***"),
            ("vault.name = 'hunter2'", "'hunter2'", "vault.name = ***", "***"),
        ] {
            let at = text.find(wanted).unwrap();
            let (line, span) = parsed(text).excerpt(&(at..at + wanted.len()));
            assert_eq!((line.as_str(), &line[span]), (shown, marked), "{text}");
        }
    }

    /// Found by fuzzing: an error behind white space at the end of a line could not be shown.
    #[test]
    fn a_span_behind_the_shown_line_points_at_its_end() {
        for (text, at) in [("name = \t", 8), ("name = \t\nname = 1", 8)] {
            let (line, span) = Source::broken(text).excerpt(&(at..at));
            assert_eq!(line, text.lines().next().unwrap().trim_end(), "{text:?}");
            assert_eq!(span, line.len()..line.len(), "{text:?}");
        }
    }

    #[test]
    fn a_text_that_does_not_parse_shows_known_keys_and_sections_only() {
        let text =
            "[camera]\nname = x\npassword = hunter2\nhunter2\nzone = { password = hunter2\n[hunter2]\n";
        let source = Source::broken(text);
        let lines: Vec<_> = (1..=6).map(|line| source.excerpt(&source.line_span(line)).0).collect();
        assert_eq!(lines, ["[camera]", "name = x", "password =***", "***", "***", "***"]);
    }

    #[test]
    fn the_shown_keys_are_sorted_since_they_are_searched() {
        assert!(SHOWN.is_sorted());
    }
}
