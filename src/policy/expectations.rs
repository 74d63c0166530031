//! What policies must decide, in a table of its own, and the walk that compares: every operation, caller,
//! kind of vendor, kind of site and kind of document.
//!
//! The table is a second judgement, made without Cedar. It is read by a person before it is used: see
//! `config/policies/expectations.txt` for its grammar.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use super::{
    Engine, PolicyError,
    walk::{Breadth, Case, Held, Maker, Over, Place, Row, Stage, Who, rows},
};
use crate::{
    ids::{CameraId, NameError},
    inventory::{Inventory, InventoryError},
    schema::{AccessClass, Tables, Trait, UnknownWord},
};

/// The table that comes with the program.
pub const EXPECTATIONS: &str = include_str!("../../config/policies/expectations.txt");

/// Why policies could not be compared with a table.
#[derive(Debug, thiserror::Error)]
pub enum ExpectationError {
    /// A line of the table.
    #[error("line {line} of the expectations: {what}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong and what would be right.
        what: String,
    },
    /// The policies.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A name of a camera, client, site or zone to ask about.
    #[error("the cameras to ask about could not be named")]
    Name(#[from] NameError),
    /// The cameras to ask about.
    #[error("the cameras to ask about could not be made")]
    Inventory(#[from] InventoryError),
    /// A camera to ask about is not there.
    #[error("no camera `{0}` was made to ask about")]
    Camera(CameraId),
}

/// What the walk found.
#[derive(Debug, Default)]
pub struct Comparison {
    /// By access class (`none` for operations without one): permitted, denied, otherwise than expected.
    pub classes: BTreeMap<&'static str, [usize; 3]>,
    /// Decisions otherwise than expected, in words.
    pub mismatches: Vec<String>,
    /// Operations that nobody who may use the camera is expected to be denied, as long as the document names no
    /// address: those for which the policies are never seen to refuse.
    pub never_denied: Vec<String>,
    /// Of each operation the policies that were seen to deny it, to anybody at all. A denial because nothing permits
    /// it is `no policy`.
    pub denied_by: BTreeMap<String, BTreeSet<String>>,
    /// Operations.
    pub operations: usize,
    /// Decisions.
    pub decisions: usize,
}

/// What a line is about.
#[derive(Debug)]
enum What {
    Any,
    Class(AccessClass),
    Trait(Trait),
    /// What concerns the gateway itself and no camera.
    Appliance,
    Operation(String),
}

/// One line. An empty list fits everything; one of callers, everybody who comes from the core side.
#[derive(Debug)]
struct Line {
    permit: bool,
    what: Vec<What>,
    callers: Vec<Who>,
    vendors: Vec<Maker>,
    sites: Vec<Place>,
    documents: Vec<Held>,
    over: Vec<Over>,
}

/// The lines of a table, checked against the catalogue.
#[derive(Debug)]
pub struct Expectations(Vec<Line>);

impl Expectations {
    /// Reads a table.
    ///
    /// # Errors
    /// The first line that is wrong, and what would be right.
    pub fn parse(text: &str, tables: &Tables) -> Result<Self, ExpectationError> {
        let rows = rows(tables);
        let named = |name: &str| rows.contains_key(name);
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let read =
            |(line, text)| read_line(text, &named).map_err(|what| ExpectationError::Line { line, what });
        lines.map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Asks an engine made of these policies about everything, and compares. Networks, vendors and policies
    /// are those of the configuration; cameras and clients are made for the walk, one of each kind.
    ///
    /// # Errors
    /// The policies are wrong, or name clients or cameras that only the configuration has.
    pub fn compare<A: AsRef<str>, B: AsRef<str>>(
        &self,
        tables: &Tables,
        texts: &[(A, B)],
        configured: &Inventory,
    ) -> Result<Comparison, ExpectationError> {
        let stage = Stage::new(configured)?;
        let engine = Engine::load(tables, texts, &stage.inventory, &stage.clients)?;
        let rows = rows(tables);
        let mut found = Comparison { operations: rows.len(), ..Comparison::default() };
        for (name, row) in &rows {
            let mut ever_denied = false;
            let lines: Vec<&Line> = self.0.iter().filter(|it| it.concerns(name, row)).collect();
            for case in breadth(name, row, &engine, &lines).cases() {
                let expected =
                    lines.iter().rev().find(|it| it.fits(name, row, case)).is_some_and(|it| it.permit);
                let ordinary = matches!(case.held, Held::Plain | Held::Loaded);
                ever_denied |=
                    !expected && case.who.comes_from_outside() && case.who != Who::Elsewhere && ordinary;
                let decision = stage.decide(&engine, row, case)?;
                let tally = found.classes.entry(row.class.map_or("none", AccessClass::as_str)).or_default();
                let [permitted, denied, wrong] = tally;
                *(if decision.allow { permitted } else { denied }) += 1;
                if !decision.allow {
                    let deniers = found.denied_by.entry(name.clone()).or_default();
                    let none = decision.policies.is_empty().then(|| NO_POLICY.to_owned());
                    deniers.extend(decision.policies.iter().cloned().chain(none));
                }
                found.decisions += 1;
                if decision.allow != expected {
                    *wrong += 1;
                    found.mismatches.push(mismatch(name, case, expected, &decision.policies));
                }
            }
            if !ever_denied {
                found.never_denied.push(name.clone());
            }
        }
        Ok(found)
    }
}

/// What is asked about an operation: its callers are also those to whom a line would permit it.
fn breadth(name: &str, row: &Row, engine: &Engine, lines: &[&Line]) -> Breadth {
    let is_expected = |prefix: &str| {
        lines.iter().any(|line| line.permit && line.callers.iter().any(|it| it.as_str().starts_with(prefix)))
    };
    let breadth = row.breadth(name, &[engine]);
    Breadth {
        has_clear: breadth.has_clear || lines.iter().any(|it| !it.over.is_empty()),
        has_gateway: breadth.has_gateway || is_expected("gateway:"),
        has_local: breadth.has_local || is_expected("local:"),
        ..breadth
    }
}

impl Line {
    /// Whether it can be about this operation.
    fn concerns(&self, name: &str, row: &Row) -> bool {
        self.what.iter().any(|it| match it {
            What::Trait(one) => {
                [Held::Plain, Held::Outside].iter().any(|held| row.traits(*held).contains(*one))
            }
            _ => it.is_about(name, row, Held::Plain),
        })
    }

    fn fits(&self, name: &str, row: &Row, case: Case) -> bool {
        let Case { who, maker, place, held, over } = case;
        let calls =
            if self.callers.is_empty() { who.comes_from_outside() } else { self.callers.contains(&who) };
        calls
            && (self.vendors.is_empty() || self.vendors.contains(&maker))
            && (self.sites.is_empty() || self.sites.contains(&place))
            && (self.documents.is_empty() || self.documents.contains(&held))
            && (self.over.is_empty() || self.over.contains(&over))
            && self.what.iter().any(|it| it.is_about(name, row, held))
    }
}

impl What {
    fn is_about(&self, name: &str, row: &Row, held: Held) -> bool {
        match self {
            Self::Any => true,
            Self::Class(class) => row.class == Some(*class),
            Self::Trait(one) => row.traits(held).contains(*one),
            Self::Appliance => row.of_appliance,
            Self::Operation(operation) => operation == name,
        }
    }
}

fn read_line(text: &str, named: &dyn Fn(&str) -> bool) -> Result<Line, String> {
    let mut words = text.split_whitespace();
    let permit = match words.next() {
        Some("permit") => true,
        Some("deny") => false,
        other => {
            return Err(format!("it begins with `{}`, not with permit or deny", other.unwrap_or_default()));
        }
    };
    let what = words.next().ok_or("it does not say what it is about")?;
    let what = what.split(',').map(|word| read_what(word, named)).collect::<Result<_, _>>()?;
    let mut line = Line {
        permit,
        what,
        callers: vec![],
        vendors: vec![],
        sites: vec![],
        documents: vec![],
        over: vec![],
    };
    while let Some(word) = words.next() {
        let list = words.next().ok_or_else(|| format!("nothing stands after `{word}`"))?;
        match word {
            "by" => line.callers = read_callers(list)?,
            "on" => line.vendors = read_list(list)?,
            "at" => line.sites = read_list(list)?,
            "holding" => line.documents = read_list(list)?,
            "over" => line.over = read_list(list)?,
            other => return Err(format!("`{other}` is none of by, on, at, holding, over")),
        }
    }
    Ok(line)
}

fn read_list<T: FromStr<Err = UnknownWord>>(list: &str) -> Result<Vec<T>, String> {
    list.split(',').map(|word| word.parse().map_err(|error: UnknownWord| error.to_string())).collect()
}

/// The same of callers: `gateway` and `local` are all of their kind.
fn read_callers(list: &str) -> Result<Vec<Who>, String> {
    let mut callers = Vec::new();
    for word in list.split(',') {
        match word {
            "gateway" | "local" => {
                let of_kind = |it: &&Who| it.as_str().split_once(':').is_some_and(|(kind, _)| kind == word);
                callers.extend(Who::ALL.iter().filter(of_kind));
            }
            _ => callers.extend(read_list::<Who>(word)?),
        }
    }
    Ok(callers)
}

fn read_what(word: &str, named: &dyn Fn(&str) -> bool) -> Result<What, String> {
    if word == "any" {
        return Ok(What::Any);
    }
    if word == "appliance" {
        return Ok(What::Appliance);
    }
    let unknown = |kind: &str, word: &str| format!("`{word}` is no {kind}; see `cordon policy schema`");
    if let Some(class) = word.strip_prefix("class:") {
        return class.parse().map(What::Class).map_err(|_| unknown("access class", class));
    }
    if let Some(one) = word.strip_prefix("trait:") {
        return one.parse().map(What::Trait).map_err(|_| unknown("trait", one));
    }
    named(word).then(|| What::Operation(word.to_owned())).ok_or_else(|| unknown("operation", word))
}

fn mismatch(name: &str, case: Case, expected: bool, policies: &[String]) -> String {
    let word = |permit| if permit { "permitted" } else { "denied" };
    let policies = if policies.is_empty() { NO_POLICY.to_owned() } else { policies.join(", ") };
    format!("{name} {case}: {} by {policies}, expected {}", word(!expected), word(expected))
}

/// What denies where nothing permits.
const NO_POLICY: &str = "no policy";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{inventory::Vendors, policy::SHIPPED};

    const NEVER_DENIED_MAX: usize = 33;

    fn configured() -> Inventory {
        let vendors = std::sync::Arc::new(Vendors::embedded().unwrap());
        Inventory::new(vec![], vec![], vec![], vec![], vendors).unwrap()
    }

    #[test]
    fn the_shipped_policies_decide_as_the_shipped_table_expects() {
        let tables = Tables::embedded().unwrap();
        let table = Expectations::parse(EXPECTATIONS, &tables).unwrap();
        let found = table.compare(&tables, &SHIPPED, &configured()).unwrap();
        assert!(found.mismatches.is_empty(), "{}:\n{}", found.mismatches.len(), found.mismatches.join("\n"));
        let of_appliance = rows(&tables).values().filter(|it| it.of_appliance).count();
        assert!(found.decisions > (found.operations - of_appliance) * 5 * 3 * 3 * 4, "{}", found.decisions);
        assert_eq!(tables.operations().count(), 652, "port types that share an operation share its name");
        // Every operation is denied to somebody, and a policy says so or none permits it.
        let rows = rows(&tables);
        let never: Vec<_> = rows.keys().filter(|name| !found.denied_by.contains_key(*name)).collect();
        assert!(never.is_empty(), "without a denial: {never:?}");
        // What ONVIF gives to everybody who reaches the camera is denied to the clients of other cameras, and to
        // nobody else. May only shrink.
        for name in &found.never_denied {
            assert_eq!(rows[name].class, Some(AccessClass::PreAuth), "{name}");
            let by: Vec<_> = found.denied_by[name].iter().collect();
            assert!(by.contains(&&"client.cameras".to_owned()), "{name}: {by:?}");
        }
        assert!(found.never_denied.len() <= NEVER_DENIED_MAX, "{:?}", found.never_denied);
        let [permitted, denied, _] = found
            .classes
            .values()
            .fold([0; 3], |sum, one| [sum[0] + one[0], sum[1] + one[1], sum[2] + one[2]]);
        assert!(permitted > 5_000 && denied > 50_000, "{permitted} {denied}: the walk lost its way");
    }

    #[test]
    fn a_policy_that_is_missing_is_found() {
        let tables = Tables::embedded().unwrap();
        let table = Expectations::parse(EXPECTATIONS, &tables).unwrap();
        let without: Vec<_> = SHIPPED.into_iter().filter(|(name, _)| !name.starts_with("30-")).collect();
        let found = table.compare(&tables, &without, &configured()).unwrap();
        let told = "tds:SetNTP by Administrator on restricted at ordinary holding named: permitted by \
                    onvif.administrator, expected denied";
        assert!(found.mismatches.iter().any(|it| it == told), "{:?}", found.mismatches.first());
    }

    #[test]
    fn a_wrong_line_is_named_with_what_would_be_right() {
        let tables = Tables::embedded().unwrap();
        for (text, line, what) in [
            ("# fine\n\nallow any", 3, "it begins with `allow`, not with permit or deny"),
            ("permit", 1, "it does not say what it is about"),
            ("permit class:READ", 1, "`READ` is no access class; see `cordon policy schema`"),
            ("deny trait:egres", 1, "`egres` is no trait; see `cordon policy schema`"),
            ("deny tds:SetNPT", 1, "`tds:SetNPT` is no operation; see `cordon policy schema`"),
            ("deny any by", 1, "nothing stands after `by`"),
            ("deny any near x", 1, "`near` is none of by, on, at, holding, over"),
            ("deny any at hq", 1, "`hq` is none of ordinary, sensitive, excepted"),
        ] {
            let error = Expectations::parse(text, &tables).unwrap_err().to_string();
            assert_eq!(error, format!("line {line} of the expectations: {what}"));
        }
    }
}
