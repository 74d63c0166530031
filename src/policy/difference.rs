//! Which requests two sets of policies decide otherwise: asked about everything the expectations are asked about.

use std::{collections::BTreeMap, fmt};

use super::{
    Engine, ExpectationError,
    walk::{Breadth, Case, Stage, rows},
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
        let (mut found, mut decisions) = (BTreeMap::<(bool, Breadth, Vec<bool>), Vec<String>>::new(), 0);
        for (name, row) in rows(tables) {
            let breadth = row.breadth(&name, &[&old, &new]);
            let cases = breadth.cases();
            // What the same policies speak of is decided alike.
            if old.speaks_as(&new, &name) {
                decisions += cases.len();
                continue;
            }
            let mut changed = [vec![false; cases.len()], vec![false; cases.len()]];
            for (place, case) in cases.into_iter().enumerate() {
                let before = stage.decide(&old, &row, case)?.allow;
                let after = stage.decide(&new, &row, case)?.allow;
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
                found.entry((permits, breadth, set)).or_default().push(name.clone());
            }
        }
        let change =
            |((permits, breadth, set), operations): ((bool, Breadth, Vec<bool>), Vec<String>)| Change {
                permits,
                decisions: operations.len() * set.iter().filter(|it| **it).count(),
                requests: requests(breadth, &set),
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

/// What tells requests apart, in the order of [`Breadth::cases`]: the word of the table's grammar, and the value.
type Dimension = (&'static str, fn(&Case) -> &'static str);

const DIMENSIONS: [Dimension; 5] = [
    ("by", |case| case.who.as_str()),
    ("on", |case| case.maker.as_str()),
    ("at", |case| case.place.as_str()),
    ("holding", |case| case.held.as_str()),
    ("over", |case| case.over.as_str()),
];

/// A set of cases, whether each is in it, in words: products of lists, grouped by one dimension after the other.
fn requests(breadth: Breadth, set: &[bool]) -> Vec<String> {
    let all = breadth.cases();
    let words = |parts: Vec<String>| if parts.is_empty() { "any".to_owned() } else { parts.join(" ") };
    products(set, &all, &DIMENSIONS).into_iter().map(words).collect()
}

fn products(set: &[bool], all: &[Case], dimensions: &[Dimension]) -> Vec<Vec<String>> {
    let Some(((word, name), rest)) = dimensions.split_first() else { return vec![Vec::new()] };
    let mut groups: Vec<(&[bool], Vec<&str>)> = Vec::new();
    let (mut values, mut at, mut stride) = (0, 0, 0);
    for cases in all.chunk_by(|one, next| name(one) == name(next)) {
        let bits = set.get(at..at + cases.len()).unwrap_or_default();
        let label = cases.first().map_or("", name);
        match groups.iter_mut().find(|it| it.0 == bits) {
            Some((_, labels)) => labels.push(label),
            None => groups.push((bits, vec![label])),
        }
        (values, at, stride) = (values + 1, at + cases.len(), cases.len());
    }
    let mut told = Vec::new();
    for (bits, labels) in groups.into_iter().filter(|(bits, _)| bits.contains(&true)) {
        // Of a dimension that does not matter nothing is said.
        let list = (labels.len() < values).then(|| format!("{word} {}", labels.join(",")));
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
    use crate::{
        inventory::Vendors,
        policy::{
            SHIPPED,
            walk::{Held, Maker, Over, Place, Who},
        },
    };

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
        assert!(found.decisions > 630 * 5 * 3 * 3 * 4, "{}", found.decisions);
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
    fn what_is_lost_at_other_front_doors_by_the_gateway_and_in_clear_is_found() {
        let mut new = shipped();
        let less = r#"
            @id("own.video") forbid(principal is Client, action in [Action::"rtsp:PLAY", Action::"http:Snapshot"], resource is Camera);
            @id("own.gateway") forbid(principal == Gateway::"stream", action == Action::"rtsp:DESCRIBE", resource is Camera);
            @id("own.local") forbid(principal == Local::"files", action == Action::"admin:Reload", resource is Appliance);
            @id("own.clear") forbid(principal in Role::"Operator", action == Action::"trt:GetProfiles", resource is Camera)
                when { !context.tls };
            @id("own.consumers") forbid(principal, action == Action::"wsntw:Subscribe", resource is Camera)
                when { !context.consumers.isEmpty() };
        "#;
        new.push(("90-own.cedar", less.to_owned()));
        let told = between(&new).to_string();
        for (operations, requests) in [
            ("admin:Reload", "by local:files"),
            ("http:Snapshot", "by User,Operator,Administrator on unrestricted"),
            ("rtsp:PLAY", "by User,Operator,Administrator on unrestricted"),
            ("rtsp:DESCRIBE", "by gateway:stream on unrestricted"),
            ("trt:GetProfiles", "by Operator on unrestricted holding plain,loaded,named over clear"),
            ("wsntw:Subscribe", "by User,Operator,Administrator on unrestricted holding consumer"),
        ] {
            let blocks: Vec<&str> = told.split("denied now:").collect();
            let ends = |it: &&&str| {
                it.trim_end()
                    .split("  for ")
                    .last()
                    .is_some_and(|it| it.split(", ").any(|it| it == operations))
            };
            let block = blocks.iter().find(ends).unwrap_or_else(|| panic!("{operations}: {told}"));
            assert!(block.contains(requests), "{operations}: {told}");
        }
    }

    #[test]
    fn sets_are_told_as_products() {
        let breadth = Breadth {
            of_appliance: false,
            has_consumers: false,
            has_clear: false,
            has_gateway: false,
            has_local: false,
        };
        let requests = |breadth: Breadth, wanted: &dyn Fn(&Case) -> bool| {
            super::requests(breadth, &breadth.cases().iter().map(wanted).collect::<Vec<_>>())
        };
        assert_eq!(requests(breadth, &|_| true), ["any"]);
        assert_eq!(requests(breadth, &|case| case.held == Held::Named), ["holding named"]);
        let both = Breadth { has_clear: true, ..breadth };
        assert_eq!(requests(both, &|case| case.over == Over::Clear), ["over clear"]);
        let two = |case: &Case| {
            (case.who == Who::User && case.place == Place::Sensitive) || case.maker == Maker::Unknown
        };
        assert_eq!(
            requests(breadth, &two),
            [
                "by anonymous,Operator,Administrator,elsewhere on unknown",
                "by User on restricted,unrestricted at sensitive",
                "by User on unknown",
            ]
        );
    }
}
