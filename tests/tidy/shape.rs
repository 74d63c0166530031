//! Rooms, imports, sizes and names.

use std::fs;

use crate::{files, root, sources};

/// Lines of a file before its tests: the norm is 400, this is the wall.
const FILE_LINES_MAX: usize = 800;
/// Lines of a function, signature and braces included.
const FUNCTION_LINES_MAX: usize = 70;
/// The rooms `sim` may know: it is to be ignorant of the gateway.
const ROOMS_SIM_KNOWS: [&str; 7] = ["limits", "ids", "clock", "telemetry", "schema", "soap", "rtsp"];

/// The rooms in their order, as `lib.rs` lists them.
fn rooms() -> Vec<String> {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rooms: Vec<_> = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';').map(str::to_owned))
        .collect();
    assert!(rooms.len() > 15, "lib.rs no longer lists the rooms as `pub mod NAME;`: {rooms:?}");
    rooms
}

/// The part of a file that is not tests: nothing of a file of tests, else everything before the test module.
fn body<'a>(path: &str, text: &'a str) -> &'a str {
    if path.starts_with("src/") && (path.ends_with("tests.rs") || path.contains("/tests/")) {
        return "";
    }
    let starts = |(at, marker): &(usize, &str)| {
        let line = text[at + marker.len()..].lines().next().unwrap_or_default();
        line.starts_with("mod ") || line.starts_with("pub(super) mod ")
    };
    let end = text.match_indices("\n#[cfg(test)]\n").find(starts).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// The rooms a file names: `crate::room`, also inside `use crate::{room::…, …}`.
fn named_rooms(text: &str, rooms: &[String]) -> Vec<String> {
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut named = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut word = String::new();
            let mut fresh = true;
            for letter in group.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => fresh = true,
                    _ => {}
                }
                let part_of_word = letter.is_ascii_alphanumeric() || letter == '_';
                if depth == 1 && fresh && part_of_word {
                    word.push(letter);
                } else if !word.is_empty() {
                    named.push(std::mem::take(&mut word));
                    fresh = letter == ',';
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            named.push(rest.chars().take_while(|it| it.is_ascii_alphanumeric() || *it == '_').collect());
        }
    }
    named.retain(|name| rooms.contains(name));
    named.sort();
    named.dedup();
    named
}

#[test]
fn rooms_import_only_rooms_above_them() {
    let rooms = rooms();
    let place = |room: &str| rooms.iter().position(|it| it == room);
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let own = path.strip_prefix("src/").unwrap().split(['/', '.']).next().unwrap();
        let Some(own_place) = place(own) else { continue };
        for named in named_rooms(&text, &rooms) {
            let sim_knows = own != "sim" || named == "sim" || ROOMS_SIM_KNOWS.contains(&named.as_str());
            if place(&named).unwrap() > own_place || !sim_knows {
                wrong.push(format!("{path} names `{named}`, which `{own}` must not know"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_import_check_sees_what_it_must() {
    let rooms: Vec<String> = ["policy", "camera", "audit"].map(str::to_owned).into();
    assert_eq!(named_rooms("use crate::camera::Connection;", &rooms), ["camera"]);
    assert_eq!(
        named_rooms("use crate::{\n    audit::{Log, Intent},\n    policy,\n};", &rooms),
        ["audit", "policy"]
    );
    assert_eq!(named_rooms("fn f() { crate::camera::dial() }", &rooms), ["camera"]);
    assert_eq!(named_rooms("// crate::camera is not known here", &rooms), Vec::<String>::new());
    assert_eq!(named_rooms("use crate::policy::{camera, audit};", &rooms), ["policy"]);
}

#[test]
fn files_and_functions_stay_small() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        let lines: Vec<_> = body(&path, &text).lines().collect();
        if lines.len() > FILE_LINES_MAX {
            wrong.push(format!("{path}: {} lines, at most {FILE_LINES_MAX}", lines.len()));
        }
        for (number, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let starts = line.split_whitespace().take_while(|word| *word != "fn").count() <= 4
                && (line.contains(" fn ") || line.trim_start().starts_with("fn "))
                && !line.trim_start().starts_with("//");
            if !starts || line.ends_with(';') || line.trim_end().ends_with('}') {
                continue;
            }
            let end = format!("{}}}", " ".repeat(indent));
            let length = lines[number..].iter().position(|line| *line == end).map_or(0, |last| last + 1);
            if length > FUNCTION_LINES_MAX {
                wrong.push(format!(
                    "{path}:{}: function of {length} lines, at most {FUNCTION_LINES_MAX}",
                    number + 1
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_called_utils_and_nothing_imports_everything() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        let name = path.rsplit('/').next().unwrap().trim_end_matches(".rs");
        if ["util", "utils", "common", "helpers", "misc"].contains(&name) {
            wrong.push(format!("{path}: name it after what it does"));
        }
        if body(&path, &text).lines().any(|line| line.trim() == "use super::*;") {
            wrong.push(format!("{path}: `use super::*` outside tests"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stands_nowhere() {
    for (path, text) in sources("src") {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        assert_eq!(
            code.filter(|line| line.contains("unsafe {") || line.contains("unsafe fn")).count(),
            0,
            "{path}"
        );
    }
}

#[test]
fn the_top_level_holds_only_what_is_prescribed() {
    let allowed =
        ["Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "config", "src", "tests", "wsdl", "target"];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name.starts_with('.') || allowed.contains(&name.as_str()),
            "`{name}` does not belong to the top level"
        );
    }
}

#[test]
fn interface_files_hold_facts_only() {
    let tables = files("wsdl");
    assert!(tables.len() > 30, "wsdl/ holds {} files", tables.len());
    for path in tables {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        assert!(!text.contains(":documentation"), "{} holds documentation text", path.display());
    }
}

#[test]
fn the_architecture_page_names_every_room() {
    let page = fs::read_to_string(root().join("src/ARCHITECTURE.md")).unwrap();
    for room in rooms() {
        assert!(page.contains(&format!("`{room}")), "src/ARCHITECTURE.md does not name `{room}`");
    }
}
