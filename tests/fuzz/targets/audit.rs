//! The audit reader: lines shown to a person, a log with a signed checkpoint verified, proofs and keys.
#![no_main]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use cordon::audit::{CompactRange, PublicKey, Renderer, SigningKey, check_proof, leaf_hash, verify};
use libfuzzer_sys::fuzz_target;

/// A log that each try overwrites, and the key of its checkpoints.
static LOG: LazyLock<(PathBuf, SigningKey)> = LazyLock::new(|| {
    let given = std::env::var_os("CORDON_FUZZ_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = given.join(std::process::id().to_string());
    fs::create_dir_all(&folder).expect("a folder to write to");
    let key = SigningKey::from_seed("fuzz/audit", &[7; 32]).expect("a key");
    fs::write(folder.join("public.key"), key.public().to_string()).expect("the key is written");
    (folder, key)
});

fuzz_target!(|data: &[u8]| {
    let (folder, key) = &*LOG;
    let mut renderer = Renderer::default();
    let mut tree = CompactRange::default();
    let mut size = 0;
    for line in data.split_inclusive(|it| *it == b'\n').filter_map(|it| it.strip_suffix(b"\n")) {
        let shown = renderer.line(line);
        assert!(!shown.contains(['\n', '\u{1b}']), "a line for a terminal");
        tree.append(leaf_hash(line));
        size += 1;
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = (PublicKey::parse(text), key.public().open(text));
    }
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("a file is written");
    let note = key.sign(size, &tree.root());
    write("segment-0000000000000000.jsonl", data);
    write("checkpoints", note.as_bytes());
    write("checkpoint", note.as_bytes());
    if let Ok(report) = verify(folder, None, None) {
        assert_eq!(report.lines, size, "all lines and no others");
    }
    write("proof", data);
    let public: &Path = &folder.join("public.key");
    let _ = check_proof(&folder.join("proof"), public, None, Some(&folder.join("checkpoint")));
});
