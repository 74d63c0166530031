//! Tests that cannot be run on this machine: told, and written down for `tests/run`, which says at its end how many there
//! were. Rust counts them as passed.

use std::{fs::File, io::Write, path::Path};

/// Says why a test is skipped.
#[allow(clippy::print_stdout, reason = "it is told with --nocapture")]
pub fn skipped(why: &str) {
    println!("SKIPPED: {why}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped.txt");
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    // One write, so that tests which run at once do not mix their lines.
    file.write_all(format!("{test}: {why}\n").as_bytes()).unwrap();
}
