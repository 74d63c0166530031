//! The text that says what a simulated camera answers: sections of XML with a few steps in front of them.
//!
//! A line begins a section by its first word: `==` an operation, `--` a fragment, `::` a variable, `**` an item
//! of a collection, `??` an operation whose answer is not as declared, on purpose, and in what; a line that begins with `#` is a comment. Under `==`, lines that begin with `!` are steps,
//! the rest is the content of the answer. Later files replace sections of earlier ones by name.
//!
//! In XML, `{name}` is a variable; `{.field}` a field of the item at hand, `{.field|text}` the same, or this text if
//! there is none; `{=field}` a field that holds XML; `{>name}` a fragment; `{*list>name}` a fragment for each item
//! (`{*list:field>name}`: each that has the field, `{*list:!field>name}`: each that has not, `{*list@owners>name}`:
//! each whose field `owners` names the item at hand); `{#list}` how many items there are; `{&list>name}` a fragment
//! for the item of `list` that the field `list` names; `{?field}..{/}` stands only if the item has the field, and
//! `{?!field}..{/}` only if it has not.

use std::collections::{BTreeMap, HashMap};

/// One thing a camera holds (a profile, a preset …): field names and values, among them `token`.
pub type Item = BTreeMap<String, String>;

/// Everything a dialect answers.
#[derive(Debug, Default, Clone)]
pub struct Script {
    operations: BTreeMap<String, Section>,
    fragments: HashMap<String, Vec<Part>>,
    /// Initial variables.
    pub variables: BTreeMap<String, String>,
    /// Initial items by collection.
    pub collections: BTreeMap<String, Vec<Item>>,
    /// Operations whose answers are, on purpose, not as their interface declares them, and in what.
    pub oddities: BTreeMap<String, String>,
}

/// One operation: what it does, and the content of its answer.
#[derive(Debug, Default, Clone)]
pub struct Section {
    /// Done in order before the answer is written.
    pub steps: Vec<Step>,
    /// The content of the answer's element.
    pub parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the module says what each is")]
pub enum Part {
    Text(String),
    Variable(String),
    Field { field: String, default: String },
    Kept(String),
    Count(String),
    Include(String),
    Each { collection: String, having: Option<String>, owner: Option<String>, fragment: String },
    Linked { collection: String, fragment: String },
    Given { field: String, parts: Vec<Part> },
}

/// Where the value of a field comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The text at a path of the request.
    Path(String),
    /// This text.
    Literal(String),
    /// This text, if there is anything at a path of the request.
    Given(String, String),
    /// The content of the element at a path of the request, as XML.
    Xml(String),
}

/// What an operation does to the camera's state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the doc of each variant names its fields")]
pub enum Step {
    /// `pick LIST PATH REASON`: takes the item whose token stands at the path; `PATH?` if it stands there.
    /// Without such an item the answer is a fault with that reason.
    Pick { collection: String, path: String, optional: bool, reason: String },
    /// `make LIST FIELD=PATH FIELD:LITERAL FIELD=PATH?LITERAL FIELD<PATH …`: adds an item and picks it. Without a
    /// token it gets one. The third kind is the literal if something is at the path, the fourth keeps XML.
    Make { collection: String, fields: Vec<(String, Source)> },
    /// `write LIST FIELD=PATH …`: changes the picked item where the request has the value.
    Write { collection: String, fields: Vec<(String, Source)> },
    /// `add LIST FIELD PATH`: adds the number at the path to that of the picked item, between -1 and 1.
    Add { collection: String, field: String, path: String },
    /// `drop LIST`: removes the picked item.
    Drop { collection: String },
    /// `orphan LIST OWNERS`: removes the items whose field `OWNERS` names the picked item of that list.
    Orphan { collection: String, owner: String },
    /// `each PATH`: the steps after it are done for each element at the path, in place of the request.
    Each { path: String, steps: Vec<Step> },
    /// `set VARIABLE PATH`, `set VARIABLE PATH?` if it may be left out, or `set VARIABLE :LITERAL`.
    Set { variable: String, source: Source, optional: bool },
    /// `replace LIST PATH`: one item for each text at the path, and no other.
    Replace { collection: String, path: String },
    /// `append LIST PATH`: one more item for each text at the path.
    Append { collection: String, path: String },
    /// `remove LIST PATH`: no more items of these texts.
    Remove { collection: String, path: String },
    /// `attach`: the configurations of a Media2 request join the picked profile.
    Attach,
    /// `detach`: they leave it.
    Detach,
    /// `clock`: sets the camera's clock to the request's `UTCDateTime`.
    Clock,
    /// `subscription`: picks the pull point the request is addressed to.
    Subscription,
    /// `lease PATH`: it lasts as long as the request says at the path; without one, as long again as before.
    Lease { path: Option<String> },
    /// `pull`: what the pull point has not been told yet; without any, the answer waits for the request's `Timeout`.
    Pull,
    /// `action URI`: the answer's WS-Addressing action.
    Action(String),
}

/// A script that does not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the camera script does not read at `{line}`: {reason}")]
pub struct ScriptError {
    /// The line.
    pub line: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Script {
    /// Reads the files one after the other; sections of later ones replace those of earlier ones.
    pub fn parse(files: &[&str]) -> Result<Self, ScriptError> {
        let mut script = Self::default();
        for file in files {
            script.read(file)?;
        }
        Ok(script)
    }

    /// The operation of that name, as `tds:GetHostname`.
    pub fn operation(&self, name: &str) -> Option<&Section> {
        self.operations.get(name)
    }

    /// The names of all operations it answers, sorted.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        self.operations.keys().map(String::as_str)
    }

    /// The fragment of that name; empty if there is none.
    pub fn fragment(&self, name: &str) -> &[Part] {
        self.fragments.get(name).map_or(&[], Vec::as_slice)
    }

    fn read(&mut self, file: &str) -> Result<(), ScriptError> {
        let mut open: Option<(bool, &str)> = None;
        let (mut steps, mut text) = (Vec::new(), String::new());
        let mut replaced: Vec<&str> = Vec::new();
        for line in file.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            if matches!(word, "==" | "--" | "::" | "**" | "??") {
                self.close(open.take(), std::mem::take(&mut steps), &std::mem::take(&mut text))?;
            }
            match word {
                "==" => open = Some((true, rest.trim())),
                "--" => open = Some((false, rest.trim())),
                "::" => {
                    let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
                    self.variables.insert(name.to_owned(), value.trim().to_owned());
                }
                "**" => {
                    let (collection, fields) = rest.split_once(' ').unwrap_or((rest, ""));
                    // The first item of a list in one file replaces the list of earlier files.
                    if !replaced.contains(&collection) {
                        replaced.push(collection);
                        self.collections.remove(collection);
                    }
                    self.collections.entry(collection.to_owned()).or_default().push(item(fields));
                }
                "??" => {
                    let (name, what) = rest.split_once(' ').unwrap_or((rest, ""));
                    self.oddities.insert(name.to_owned(), what.to_owned());
                }
                "!" => steps.push(step(line, rest)?),
                _ if line.starts_with('#') => {}
                _ => text.push_str(line.trim()),
            }
        }
        self.close(open, steps, &text)
    }

    fn close(&mut self, open: Option<(bool, &str)>, steps: Vec<Step>, text: &str) -> Result<(), ScriptError> {
        let Some((operation, name)) = open else { return Ok(()) };
        let mut rest = text;
        let parts = parts(&mut rest, false)?;
        if operation {
            let steps = nested(steps);
            self.operations.insert(name.to_owned(), Section { steps, parts });
        } else {
            self.fragments.insert(name.to_owned(), parts);
        }
        Ok(())
    }
}

fn item(fields: &str) -> Item {
    let pairs = fields.split('|').filter_map(|pair| pair.trim().split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn fields(words: &[&str]) -> Vec<(String, Source)> {
    let field = |word: &&str| {
        let (name, value) = word.split_at_checked(word.find(['=', ':', '<'])?)?;
        let (mark, value) = value.split_at_checked(1)?;
        let source = match (mark, value.split_once('?')) {
            (":", _) => Source::Literal(value.to_owned()),
            ("<", _) => Source::Xml(value.to_owned()),
            (_, Some((path, text))) => Source::Given(path.to_owned(), text.to_owned()),
            (_, None) => Source::Path(value.to_owned()),
        };
        Some((name.to_owned(), source))
    };
    words.iter().filter_map(field).collect()
}

/// What stands after an `each` belongs to it.
fn nested(mut steps: Vec<Step>) -> Vec<Step> {
    let Some(at) = steps.iter().position(|step| matches!(step, Step::Each { .. })) else { return steps };
    let after = nested(steps.split_off(at.saturating_add(1)));
    if let Some(Step::Each { steps, .. }) = steps.last_mut() {
        *steps = after;
    }
    steps
}

fn step(line: &str, rest: &str) -> Result<Step, ScriptError> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let own = |text: &str| text.to_owned();
    Ok(match words.as_slice() {
        ["pick", collection, path, reason] => Step::Pick {
            collection: own(collection),
            path: own(path.trim_end_matches('?')),
            optional: path.ends_with('?'),
            reason: own(reason),
        },
        ["make", collection, rest @ ..] => Step::Make { collection: own(collection), fields: fields(rest) },
        ["write", collection, rest @ ..] => Step::Write { collection: own(collection), fields: fields(rest) },
        ["add", collection, field, path] => {
            Step::Add { collection: own(collection), field: own(field), path: own(path) }
        }
        ["drop", collection] => Step::Drop { collection: own(collection) },
        ["orphan", collection, owner] => Step::Orphan { collection: own(collection), owner: own(owner) },
        ["each", path] => Step::Each { path: own(path), steps: Vec::new() },
        ["set", variable, value] => {
            let literal = value.strip_prefix(':').map(|text| Source::Literal(own(text)));
            let source = literal.unwrap_or_else(|| Source::Path(own(value.trim_end_matches('?'))));
            Step::Set { variable: own(variable), source, optional: value.ends_with('?') }
        }
        ["replace", collection, path] => Step::Replace { collection: own(collection), path: own(path) },
        ["append", collection, path] => Step::Append { collection: own(collection), path: own(path) },
        ["remove", collection, path] => Step::Remove { collection: own(collection), path: own(path) },
        ["attach"] => Step::Attach,
        ["detach"] => Step::Detach,
        ["clock"] => Step::Clock,
        ["subscription"] => Step::Subscription,
        ["lease"] => Step::Lease { path: None },
        ["lease", path] => Step::Lease { path: Some(own(path)) },
        ["pull"] => Step::Pull,
        ["action", uri] => Step::Action(own(uri)),
        _ => return Err(ScriptError { line: own(line), reason: "no such step" }),
    })
}

/// Reads parts up to the end, or up to `{/}` where `inside`.
fn parts(rest: &mut &str, inside: bool) -> Result<Vec<Part>, ScriptError> {
    let mut found = Vec::new();
    loop {
        let Some((text, after)) = rest.split_once('{') else {
            if inside {
                return Err(ScriptError { line: (*rest).to_owned(), reason: "`{/}` is missing" });
            }
            found.push(Part::Text((*rest).to_owned()));
            *rest = "";
            return Ok(found);
        };
        if !text.is_empty() {
            found.push(Part::Text(text.to_owned()));
        }
        let wrong = |reason| ScriptError { line: after.chars().take(60).collect(), reason };
        let (tag, after) = after.split_once('}').ok_or_else(|| wrong("`}` is missing"))?;
        *rest = after;
        if tag == "/" {
            return if inside { Ok(found) } else { Err(wrong("`{/}` without `{?field}`")) };
        }
        found.push(match tag.split_at_checked(1) {
            Some((".", field)) => {
                let (field, default) = field.split_once('|').unwrap_or((field, ""));
                Part::Field { field: field.to_owned(), default: default.to_owned() }
            }
            Some(("=", field)) => Part::Kept(field.to_owned()),
            Some(("#", list)) => Part::Count(list.to_owned()),
            Some((">", name)) => Part::Include(name.to_owned()),
            Some(("?", field)) => Part::Given { field: field.to_owned(), parts: parts(rest, true)? },
            Some(("&", link)) => {
                let (collection, fragment) = link.split_once('>').ok_or_else(|| wrong("no fragment"))?;
                Part::Linked { collection: collection.to_owned(), fragment: fragment.to_owned() }
            }
            Some(("*", link)) => {
                let (list, fragment) = link.split_once('>').ok_or_else(|| wrong("no fragment"))?;
                let (list, having) = list.split_once(':').map_or((list, None), |(l, h)| (l, Some(h)));
                let (list, owner) = list.split_once('@').map_or((list, None), |(l, o)| (l, Some(o)));
                Part::Each {
                    collection: list.to_owned(),
                    having: having.map(str::to_owned),
                    owner: owner.map(str::to_owned),
                    fragment: fragment.to_owned(),
                }
            }
            _ => Part::Variable(tag.to_owned()),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_of_later_files_replace_earlier_ones() {
        let first = ":: a 1\n== x:Get\n<a>{a}</a>\n** list token=1 | name=one two\n** list token=2\n";
        let second = "== x:Get\n! pick list Token? NoSuch\n{*list:name>f}{?name}<b/>{/}\n** list token=3\n";
        let script = Script::parse(&[first, second]).unwrap();
        let section = script.operation("x:Get").unwrap();
        let optional = Step::Pick {
            collection: "list".into(),
            path: "Token".into(),
            optional: true,
            reason: "NoSuch".into(),
        };
        assert_eq!(section.steps, [optional]);
        let each = Part::Each {
            collection: "list".into(),
            having: Some("name".into()),
            owner: None,
            fragment: "f".into(),
        };
        assert_eq!(section.parts.first(), Some(&each));
        assert_eq!(script.collections["list"].len(), 1);
        assert_eq!(script.collections["list"][0]["token"], "3");
    }

    #[test]
    fn a_script_that_does_not_read_names_its_line() {
        let error = Script::parse(&["== x:Get\n! fly away\n"]).unwrap_err();
        assert_eq!((error.line.as_str(), error.reason), ("! fly away", "no such step"));
        assert_eq!(Script::parse(&["== x:Get\n{?a}<b/>\n"]).unwrap_err().reason, "`{/}` is missing");
    }
}
