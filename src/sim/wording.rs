//! How a camera's RTSP server words what it says, as data (`data/*/rtsp.txt`, `data/families/`).
//!
//! Unlike a [`script`](super::script)'s templates these keep every blank, for blanks are part of what makers differ
//! in. A line is one of
//!
//! - `# …`: where this was seen;
//! - `= NAME VALUE`: a setting, or `= NAME` for one without a value;
//! - `== NAME`: the lines of a section come next. Sections are called as the method that they answer; `401` and
//!   `otherwise` are the refusals, `begins` is one stream of `RTP-Info`, `sdp`, `sdp video` and so on are the
//!   description;
//! - any other: a line of the section. `{name}` stands for a value; a line with one that there is none of is left out.
//!
//! What one text says replaces what the texts before it said of the same setting or section.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    login::LoginRules,
    script::ScriptError,
    server::{RunningCamera, Shared},
};

/// The words of one kind of server.
#[derive(Debug, Clone, Default)]
pub(super) struct Wording {
    settings: BTreeMap<&'static str, &'static str>,
    sections: BTreeMap<&'static str, Vec<&'static str>>,
}

/// Values for templates, by their names.
pub(super) type Values<'a> = [(&'a str, String)];

const COMMON: &str = include_str!("data/common/rtsp.txt");

impl Wording {
    /// What every server says, but for what stands in this text.
    pub(super) fn parse(own: &'static str) -> Result<Self, ScriptError> {
        let mut wording = Self::default();
        for text in [COMMON, own] {
            wording.read(text)?;
        }
        Ok(wording)
    }

    /// A setting; none if nothing is said of it.
    pub(super) fn setting(&self, name: &str) -> Option<&'static str> {
        self.settings.get(name).copied()
    }

    /// Whether a setting has this value.
    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.setting(name) == Some(value)
    }

    /// The word at a place of a setting that is a list.
    pub(super) fn word(&self, name: &str, place: usize) -> Option<&'static str> {
        self.setting(name)?.split(' ').nth(place)
    }

    /// The lines of a section, each with the value of `several` in turn if it names that, and with `end` after each.
    pub(super) fn lines(
        &self,
        section: &str,
        values: &Values<'_>,
        (name, several): (&str, &[String]),
        end: &str,
    ) -> String {
        let mut text = String::new();
        let mut push = |line: Option<String>| {
            if let Some(line) = line {
                text.push_str(&line);
                text.push_str(end);
            }
        };
        for line in self.sections.get(section).into_iter().flatten() {
            if !name.is_empty() && line.contains(&format!("{{{name}}}")) {
                for one in several {
                    push(filled(&line.replace(&format!("{{{name}}}"), one), values));
                }
            } else {
                push(filled(line, values));
            }
        }
        text
    }

    /// A template of one line, which may be a setting's.
    pub(super) fn line(&self, section: &str, values: &Values<'_>) -> String {
        self.lines(section, values, ("", &[]), "")
    }

    /// Whether text is one of a setting's words, which are templates; without the setting all is.
    pub(super) fn fits(&self, setting: &str, text: &str, values: &Values<'_>) -> bool {
        let Some(forms) = self.setting(setting) else { return true };
        forms.split(' ').any(|form| filled(form, values).as_deref() == Some(text))
    }

    /// The rules of logins that its challenges are made by.
    pub(super) fn login(&self, rules: LoginRules) -> LoginRules {
        LoginRules {
            qop: !self.is("qop", "none"),
            names_md5: rules.names_md5 && !self.is("algorithm", "none"),
            not_stale: self.setting("stale"),
            nonce_uses: self.setting("nonce.uses").and_then(|it| it.parse().ok()),
            ..rules
        }
    }

    fn read(&mut self, text: &'static str) -> Result<(), ScriptError> {
        let mut open = None;
        for line in text.lines() {
            let wrong = |reason| ScriptError { line: line.to_owned(), reason };
            if let Some(name) = line.strip_prefix("== ") {
                self.sections.insert(name, Vec::new());
                open = Some(name);
            } else if let Some(setting) = line.strip_prefix("= ") {
                let (name, value) = setting.split_once(' ').unwrap_or((setting, ""));
                self.settings.insert(name, value);
            } else if line.is_empty() || line.starts_with('#') {
                // For whoever reads it.
            } else {
                let section = open.and_then(|name| self.sections.get_mut(name));
                section.ok_or_else(|| wrong("a line outside any section"))?.push(line);
            }
        }
        Ok(())
    }
}

/// A template with its values; none if one is missing.
fn filled(template: &str, values: &Values<'_>) -> Option<String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        text.push_str(before);
        text.push_str(values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())?);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

impl RunningCamera {
    /// Has its RTSP server speak as a kind that is no maker's alone does (see [`RunningCamera::families`]), on new
    /// connections.
    pub fn speak_as(&self, kind: &str) -> Result<(), ScriptError> {
        let unknown = || ScriptError { line: kind.to_owned(), reason: "no such kind of server" };
        let words = Wording::parse(family(kind).ok_or_else(unknown)?)?;
        let mut state = self.shared.state();
        let digest = state.stream_login.rules().digest.clone();
        state.stream_login.set_rules(words.login(LoginRules { digest, ..LoginRules::strict() }));
        state.words = Arc::new(words);
        Ok(())
    }

    /// The kinds of RTSP servers that are no maker's alone.
    pub fn families() -> Vec<&'static str> {
        FAMILIES.iter().map(|(name, _)| *name).collect()
    }

    /// What is odd about how its RTSP server speaks.
    pub fn oddness(&self) -> &'static str {
        self.shared.words().setting("odd").unwrap_or_default()
    }
}

impl Shared {
    /// How its RTSP server speaks.
    pub(super) fn words(&self) -> Arc<Wording> {
        Arc::clone(&self.state().words)
    }
}

/// Kinds of servers that are no maker's alone: names, and what they say.
const FAMILIES: [(&str, &str); 9] = [
    ("anjvision", include_str!("data/families/anjvision.txt")),
    ("hanwha", include_str!("data/families/hanwha.txt")),
    ("laureii", include_str!("data/families/laureii.txt")),
    ("longse", include_str!("data/families/longse.txt")),
    ("mixed", include_str!("data/families/mixed.txt")),
    ("tp-link", include_str!("data/families/tp-link.txt")),
    ("wanderer", include_str!("data/families/wanderer.txt")),
    ("wowza", include_str!("data/families/wowza.txt")),
    ("xiongmai", include_str!("data/families/xiongmai.txt")),
];

/// What such a server says.
fn family(name: &str) -> Option<&'static str> {
    FAMILIES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Dialect;

    #[test]
    fn lines_keep_their_blanks_and_go_without_values_that_are_missing() {
        let text = "# seen\n= a b c\n== PLAY\nSession:   {session};x\nRange: {range}\nW: {challenge}\n";
        let mut wording = Wording::default();
        wording.read(text).unwrap();
        assert_eq!((wording.setting("a"), wording.word("a", 1)), (Some("b c"), Some("c")));
        let challenges = ["1".to_owned(), "2".to_owned()];
        let values = [("session", "s".to_owned())];
        let said = wording.lines("PLAY", &values, ("challenge", &challenges), "\r\n");
        assert_eq!(said, "Session:   s;x\r\nW: 1\r\nW: 2\r\n");
        wording.read("== PLAY\n").unwrap();
        assert_eq!(wording.line("PLAY", &values), "");
        assert_eq!(wording.read("x\n").unwrap_err().reason, "a line outside any section");
    }

    #[test]
    fn every_kind_of_server_reads() {
        let makers = Dialect::all().into_iter().map(|it| (it.name, it.streams));
        for (name, text) in FAMILIES.into_iter().chain(makers) {
            let wording = Wording::parse(text).unwrap();
            assert!(wording.setting("odd").is_some(), "{name} does not say what is odd about it");
        }
    }
}
