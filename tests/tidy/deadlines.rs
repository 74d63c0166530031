//! The page of deadlines, compared with the limits and with the tests it names.

use std::fs;

use crate::{root, sources};

/// Names between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_span_of_time_is_on_the_page_of_deadlines() {
    let page = fs::read_to_string(root().join("src/manual/deadlines.md")).unwrap();
    let all = sources("src");
    let limits = all.iter().filter(|(path, _)| path.starts_with("src/limits"));
    let limits: String = limits.map(|(_, text)| text.as_str()).collect();
    let spans: Vec<_> = limits
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(": Duration"))
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with("SIM_"))
        .collect();
    assert!(spans.len() > 25, "limits.rs no longer writes `pub const NAME: Duration`: {spans:?}");
    let named = quoted(&page);
    let missing: Vec<_> = spans.iter().filter(|span| !named.contains(span)).collect();
    assert!(missing.is_empty(), "src/manual/deadlines.md does not name {missing:?}");
    let constant = |it: &&&str| it.chars().all(|it| it.is_ascii_uppercase() || it == '_');
    let unknown: Vec<_> = named.iter().filter(constant).filter(|it| !spans.contains(it)).collect();
    assert!(unknown.is_empty(), "src/limits.rs has no {unknown:?}");
}

#[test]
fn every_deadline_names_a_test_that_is_there() {
    let page = fs::read_to_string(root().join("src/manual/deadlines.md")).unwrap();
    let code: String = ["src", "tests"].iter().flat_map(|it| sources(it)).map(|(_, text)| text).collect();
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 15, "{rows:?}");
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').collect();
        let shown = quoted(cells.last().unwrap());
        assert_eq!((cells.len(), shown.len()), (5, 1), "{row}");
        assert!(code.contains(&format!("fn {}(", shown[0])), "there is no test `{}`: {row}", shown[0]);
    }
}
