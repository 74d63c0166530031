//! The rules of `.deny.toml`, checked from `cargo metadata`.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value;

use crate::root;

/// The resolved packages, as `cargo metadata` prints them.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--all-features", "--locked", "--offline"])
        // Packages of other platforms need not be on this machine.
        .args(["--filter-platform", &format!("{}-unknown-linux-gnu", std::env::consts::ARCH)])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn rules() -> toml::Value {
    toml::from_str(&fs::read_to_string(root().join(".deny.toml")).unwrap()).unwrap()
}

fn words(value: &toml::Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// Whether an SPDX expression can be met with allowed licences: `OR` lets choose, `AND` wants all.
fn licence_fits(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ");
    let mut depth = 0;
    for joint in [" OR ", " AND "] {
        for (at, _) in expression.char_indices().collect::<Vec<_>>() {
            match expression.as_bytes()[at] {
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 && expression[at..].starts_with(joint) {
                let left = licence_fits(&expression[..at], allowed);
                let right = licence_fits(&expression[at + joint.len()..], allowed);
                return if joint == " OR " { left || right } else { left && right };
            }
        }
    }
    let one = expression.trim();
    match one.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => licence_fits(inner, allowed),
        None => allowed.iter().any(|it| it == one),
    }
}

#[test]
fn licences_are_permissive() {
    let allowed = words(&rules()["licenses"]["allow"]);
    let wrong: Vec<_> = packages()
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(|licence| licence_fits(licence, &allowed)))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT", "Apache-2.0", "ISC"].map(str::to_owned);
    for (expression, fits) in [
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0", false),
        ("ISC AND (Apache-2.0 OR GPL-2.0)", true),
        ("ISC AND GPL-2.0", false),
        ("GPL-2.0 AND (MIT OR ISC)", false),
        ("MIT/GPL-2.0", true),
    ] {
        assert_eq!(licence_fits(expression, &allowed), fits, "{expression}");
    }
}

/// The packages that are built, for the gateway with all its features, its tests and build scripts. Cargo.lock
/// names more: also what a feature of a dependency would bring that nobody turned on.
fn built() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--all-features", "--edges", "normal,build,dev"])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p}"])
        .args(["--target", &format!("{}-unknown-linux-gnu", std::env::consts::ARCH)])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    // `name v1.2.3`, and notes after it.
    text.lines().map(|line| line.split_once(" (").map_or(line, |it| it.0).trim().to_owned()).collect()
}

#[test]
fn nothing_banned_is_in_the_tree() {
    let rules = rules();
    let banned: Vec<_> =
        rules["bans"]["deny"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    let built = built();
    let name = |package: &str| package.split(' ').next().unwrap().to_owned();
    let found: Vec<_> = built.iter().filter(|it| banned.contains(&&*name(it))).collect();
    assert!(found.is_empty(), "{found:?}");
    for needed in ["aws-lc-rs", "rustls", "rusqlite", "hyper"] {
        assert_eq!(built.iter().filter(|it| name(it) == needed).count(), 1, "{needed} in {built:?}");
    }
    // The lock file may name more than is built; never the other way round.
    let locked = packages();
    let known = |it: &String| {
        let same =
            |package: &Value| *it == format!("{} v{}", text(&package["name"]), text(&package["version"]));
        locked.iter().any(same)
    };
    assert!(built.iter().all(known), "{built:?}");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn sources_are_the_public_registry() {
    let allowed = words(&rules()["sources"]["allow-registry"]);
    for package in packages() {
        let Some(source) = package["source"].as_str() else {
            assert_eq!(package["name"], "cordon", "a path dependency");
            continue;
        };
        assert!(allowed.iter().any(|it| source == format!("registry+{it}")), "{}: {source}", package["name"]);
    }
}
