//! The shape of the tree, checked: who imports whom, sizes, names, and what may be depended on.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a check that cannot run must fail loudly"
)]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::panic, reason = "as above")]

mod deadlines;
mod dependencies;
mod shape;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The package's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder, sorted, as path relative to the package.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path)
            } else {
                found.push(path.strip_prefix(root()).unwrap().to_owned())
            }
        }
    }
    found.sort();
    found
}

/// Rust files of the library and the tests, with their text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let rust = files(folder).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    rust.map(|path| (path.to_str().unwrap().to_owned(), fs::read_to_string(root().join(&path)).unwrap()))
        .collect()
}
