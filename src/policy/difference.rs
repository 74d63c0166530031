//! Which requests two sets of policies decide otherwise: asked about everything the expectations are asked about.

use std::{collections::BTreeMap, fmt};

use super::{
    Engine, ExpectationError,
    expectations::{Case, Held, Maker, Place, Stage, Who, cases, command, rows},
};
use crate::{inventory::Inventory, schema::Tables};

/// Requests whose decision changes.
#[derive(Debug, Default)]
pub struct Differences {
    /// What changes, in the words of the table of expectations, each with its number of decisions.
    pub changes: Vec<Change>,
    /// Decisions that were compared.
    pub decisions: usize,
}

/// One way in which decisions change, and the operations for which they do.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// Whether the new policies permit it.
    pub permits: bool,
    /// The operations.
    pub operations: Vec<String>,
    /// By whom, on what, where, holding what: one text for each combination.
    pub requests: Vec<String>,
    /// How many decisions that is.
    pub decisions: usize,
}

impl Differences {
    /// Asks engines made of both about every operation, caller, kind of vendor, site and document. Networks and
    /// vendors are those of the configuration; cameras and clients are made for the walk.
    ///
    /// # Errors
    /// Policies are wrong, or name clients or cameras that only the configuration has.
    pub fn between<A: AsRef<str>, B: AsRef<str>>(
        tables: &Tables,
        old: &[(A, B)],
        new: &[(A, B)],
        configured: &Inventory,
    ) -> Result<Self, ExpectationError> {
        let stage = Stage::new(configured)?;
        let old = Engine::load(tables, old, &stage.inventory, &stage.clients)?;
        let new = Engine::load(tables, new, &stage.inventory, &stage.clients)?;
        let (mut found, mut decisions) = (BTreeMap::<(bool, Vec<bool>), Vec<String>>::new(), 0);
        let count = cases().count();
        for (name, row) in rows(tables) {
            let mut changed = [vec![false; count], vec![false; count]];
            for (place, case) in cases().enumerate() {
                let (caller, camera) = (stage.caller(case.who)?, stage.camera(case)?);
                let command = command(&name, &row, camera, case.held);
                let [before, after] = [&old, &new].map(|it| it.decide(&caller, &command, Some(camera)).allow);
                decisions += 1;
                if before != after {
                    let [denied, permitted] = &mut changed;
                    let set = if after { permitted } else { denied };
                    set.get_mut(place).into_iter().for_each(|it| *it = true);
                }
            }
            for (permits, set) in
                [false, true].into_iter().zip(changed).filter(|(_, set)| set.contains(&true))
            {
                found.entry((permits, set)).or_default().push(name.clone());
            }
        }
        let change = |((permits, set), operations): ((bool, Vec<bool>), Vec<String>)| Change {
            permits,
            decisions: operations.len() * set.iter().filter(|it| **it).count(),
            requests: requests(&set),
            operations,
        };
        // What is permitted anew matters most.
        Ok(Self { changes: found.into_iter().rev().map(change).collect(), decisions })
    }

    /// How many decisions change.
    pub fn count(&self) -> usize {
        self.changes.iter().map(|it| it.decisions).sum()
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            writeln!(f, "{}:", if change.permits { "permitted now" } else { "denied now" })?;
            for request in &change.requests {
                writeln!(f, "  {request}")?;
            }
            writeln!(f, "  for {}", change.operations.join(", "))?;
        }
        Ok(())
    }
}

/// What tells requests apart, in the order of [`cases`]: the word of the table's grammar, the value, how many
/// values there are.
type Dimension = (&'static str, fn(Case) -> &'static str, usize);

const DIMENSIONS: [Dimension; 4] = [
    ("by", |case| case.who.as_str(), Who::ALL.len()),
    ("on", |case| case.maker.as_str(), Maker::ALL.len()),
    ("at", |case| case.place.as_str(), Place::ALL.len()),
    ("holding", |case| case.held.as_str(), Held::ALL.len()),
];

/// A set of cases, whether each is in it, in words: products of lists, grouped by one dimension after the other.
fn requests(set: &[bool]) -> Vec<String> {
    let all: Vec<Case> = cases().collect();
    let words = |parts: Vec<String>| if parts.is_empty() { "any".to_owned() } else { parts.join(" ") };
    products(set, &all, &DIMENSIONS).into_iter().map(words).collect()
}

fn products(set: &[bool], all: &[Case], dimensions: &[Dimension]) -> Vec<Vec<String>> {
    let Some(((word, name, values), rest)) = dimensions.split_first() else { return vec![Vec::new()] };
    let stride = all.len() / values;
    let mut groups: Vec<(&[bool], Vec<&str>)> = Vec::new();
    for (part, bits) in all.chunks(stride).zip(set.chunks(stride)) {
        let label = part.first().map_or("", |case| name(*case));
        match groups.iter_mut().find(|it| it.0 == bits) {
            Some((_, labels)) => labels.push(label),
            None => groups.push((bits, vec![label])),
        }
    }
    let mut told = Vec::new();
    for (bits, labels) in groups.into_iter().filter(|(bits, _)| bits.contains(&true)) {
        // Of a dimension that does not matter nothing is said.
        let list = (labels.len() < *values).then(|| format!("{word} {}", labels.join(",")));
        for inner in products(bits, all.get(..stride).unwrap_or_default(), rest) {
            told.push(list.iter().cloned().chain(inner).collect());
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{inventory::Vendors, policy::SHIPPED};

    fn between(new: &[(&'static str, String)]) -> Differences {
        let tables = Tables::embedded().unwrap();
        let vendors = Arc::new(Vendors::embedded().unwrap());
        let configured = Inventory::new(vec![], vec![], vec![], vec![], vendors).unwrap();
        let old: Vec<_> = SHIPPED.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        Differences::between(&tables, &old, new, &configured).unwrap()
    }

    fn shipped() -> Vec<(&'static str, String)> {
        SHIPPED.iter().map(|(name, text)| (*name, (*text).to_owned())).collect()
    }

    #[test]
    fn the_same_policies_differ_in_nothing() {
        let found = between(&shipped());
        assert_eq!((found.count(), found.to_string().as_str()), (0, ""));
        assert_eq!(found.decisions, rows(&Tables::embedded().unwrap()).len() * 180);
    }

    #[test]
    fn a_permission_and_a_prohibition_are_named_with_all_they_change() {
        let mut new = shipped();
        let more = r#"
            @id("own.more") permit(principal is Client, action == Action::"tds:SystemReboot", resource)
                when { principal in Role::"Operator" };
            @id("own.less") forbid(principal, action == Action::"tds:SetNTP", resource is Camera);
        "#;
        new.push(("90-own.cedar", more.to_owned()));
        let found = between(&new);
        let told: Vec<_> = found.changes.iter().map(|it| (it.permits, it.operations.join(" "))).collect();
        assert_eq!(
            told,
            [(true, "tds:SystemReboot".to_owned()), (false, "tds:SetNTP".to_owned())],
            "{found}"
        );
        // On sensitive sites and with destinations other policies still forbid it.
        assert_eq!(
            found.changes[0].requests,
            [
                "by Operator on restricted,unknown at ordinary holding plain,loaded",
                "by Operator on unrestricted holding plain,loaded,named",
            ]
        );
        assert_eq!(found.changes[0].decisions, 2 * 2 + 3 * 3);
        let lost = "by Administrator on unrestricted holding plain,loaded,named";
        assert!(found.changes[1].requests.iter().any(|it| it == lost), "{found}");
    }

    #[test]
    fn sets_are_told_as_products() {
        let set = |wanted: &dyn Fn(&Case) -> bool| cases().map(|case| wanted(&case)).collect::<Vec<_>>();
        assert_eq!(requests(&set(&|_| true)), ["any"]);
        let named = |case: &Case| case.held == Held::Named;
        assert_eq!(requests(&set(&named)), ["holding named"]);
        let two = |case: &Case| {
            (case.who == Who::User && case.place == Place::Sensitive) || case.maker == Maker::Unknown
        };
        assert_eq!(
            requests(&set(&two)),
            [
                "by anonymous,Operator,Administrator,elsewhere on unknown",
                "by User on restricted,unrestricted at sensitive",
                "by User on unknown",
            ]
        );
    }
}
