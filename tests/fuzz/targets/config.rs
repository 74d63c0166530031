//! The configuration: it is taken, or every diagnostic can be shown.
#![no_main]

use std::{fs, path::PathBuf, sync::LazyLock};

use cordon::config;
use libfuzzer_sys::fuzz_target;

/// A file that each try overwrites.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let given = std::env::var_os("CORDON_FUZZ_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = given.join(std::process::id().to_string());
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
