//! The configuration: it is taken, or every diagnostic can be shown.
#![no_main]

use std::{fs, path::PathBuf, sync::LazyLock};

use cordon::config;
use libfuzzer_sys::fuzz_target;

/// A file that each try overwrites, in memory where the machine has such a folder.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = folder.join(format!("cordon-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder to write to");
    folder.join("cordon.toml")
});

fuzz_target!(|data: &[u8]| {
    fs::write(&*FILE, data).expect("the file is written");
    if let Err(found) = config::load(&FILE, &|_| Some("from-the-environment-1".to_owned())) {
        assert!(!found.is_empty(), "a refusal says why");
        for diagnostic in found {
            let _ = (diagnostic.position(), diagnostic.render());
        }
    }
});
