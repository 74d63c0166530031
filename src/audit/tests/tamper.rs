//! What verification must find.

use std::{fs, path::Path};

use super::{answered, intent, open, run};
use crate::audit::{PublicKey, SigningKey, leaf_hash, tree::CompactRange, verify};

/// Several segments, and a tail that no checkpoint covers.
pub(super) fn small_log(dir: &Path) {
    let (log, _) = open(dir);
    for number in 0..8 {
        run(log.intent(intent(&format!("r{number}")))).unwrap().finish(answered());
    }
    log.close().unwrap();
    // Without its last checkpoint, the end of the log is a tail that only sums protect.
    let text = fs::read_to_string(dir.join("checkpoints")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let kept = lines[..lines.len() - 5].join("\n") + "\n";
    fs::write(dir.join("checkpoints"), &kept).unwrap();
    let last = kept.lines().skip(lines.len() - 10).map(|line| format!("{line}\n")).collect::<String>();
    fs::write(dir.join("checkpoint"), last).unwrap();
}

#[test]
fn every_byte_flipped_is_found_and_placed() {
    let dir = tempfile::tempdir().unwrap();
    small_log(dir.path());
    let report = verify(dir.path(), None, None).unwrap();
    assert!(report.segments >= 3 && report.lines - report.signed >= 2, "{report}");
    let mut files = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if matches!(name.as_str(), "signing.key" | "lock" | "emergency.journal") {
            continue;
        }
        files += 1;
        let whole = fs::read(&path).unwrap();
        for index in 0..whole.len() {
            for flip in [1 << (index % 8), whole[index] ^ b'\n'] {
                if flip == 0 {
                    continue;
                }
                let mut changed = whole.clone();
                changed[index] ^= flip;
                fs::write(&path, &changed).unwrap();
                let error = verify(dir.path(), None, None).map_err(|error| error.to_string());
                let error = error.expect_err(&format!("{name} byte {index} xor {flip:#x}"));
                let line = whole[..index].iter().filter(|byte| **byte == b'\n').count() + 1;
                let placed = match name.as_str() {
                    "public.key" => error.contains("public.key") || error.contains("checkpoints line"),
                    "checkpoints" => (line.saturating_sub(5)..=line + 1)
                        .any(|line| error.contains(&format!("checkpoints line {line}:"))),
                    "checkpoint" => error.contains("checkpoint line "),
                    name if name.starts_with("frontier") => error.contains(name),
                    name => error.contains(&format!("{name} line {line}:")),
                };
                assert!(placed, "{name} byte {index} xor {flip:#x}: {error}");
            }
        }
        fs::write(&path, &whole).unwrap();
    }
    assert!(files >= 3 + 3 + 2, "{files}");
    verify(dir.path(), None, None).unwrap();
}

#[test]
fn lines_removed_swapped_or_doubled_are_found() {
    let dir = tempfile::tempdir().unwrap();
    small_log(dir.path());
    let path = dir.path().join("segment-0000000000000000.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let swapped = [&[lines[1], lines[0]], &lines[2..]].concat();
    let doubled = [&[lines[0]], &lines[..]].concat();
    for (what, changed) in
        [("first removed", lines[1..].to_vec()), ("swapped", swapped), ("doubled", doubled)]
    {
        fs::write(&path, changed.join("\n") + "\n").unwrap();
        let error = verify(dir.path(), None, None).unwrap_err().to_string();
        assert!(error.contains("segment-0000000000000000.jsonl line"), "{what}: {error}");
    }
    fs::write(&path, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    let error = verify(dir.path(), None, None).unwrap_err().to_string();
    assert!(error.contains("line 1: ") && error.contains("missing"), "{error}");
}

#[test]
fn a_rewrite_with_the_key_is_shown_by_a_checkpoint_from_elsewhere() {
    let (dir, other, elsewhere) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    small_log(dir.path());
    let kept = elsewhere.path().join("kept");
    fs::copy(dir.path().join("checkpoint"), &kept).unwrap();
    let report = verify(dir.path(), Some(&dir.path().join("public.key")), Some(&kept)).unwrap();
    assert_eq!(report.witnessed, Some(report.signed));

    // The same key writes another history: the files alone are fine.
    let (log, _) = open(other.path());
    for _ in 0..20 {
        run(log.refusal(intent("nothing happened"))).unwrap();
    }
    log.close().unwrap();
    verify(other.path(), None, None).unwrap();
    let error = verify(other.path(), None, Some(&kept)).unwrap_err().to_string();
    assert!(error.contains("not those that were signed"), "{error}");

    // A rollback to the beginning.
    let short = tempfile::tempdir().unwrap();
    open(short.path()).0.close().unwrap();
    let error = verify(short.path(), None, Some(&kept)).unwrap_err().to_string();
    assert!(error.contains("lines were removed at the end"), "{error}");
}

#[test]
fn a_changed_head_stops_the_start_with_a_place_and_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    small_log(dir.path());
    let last = crate::audit::segment::segments(dir.path()).unwrap().pop().unwrap();
    let text = fs::read_to_string(&last.path).unwrap().replacen("vms", "vmz", 1);
    fs::write(&last.path, text).unwrap();
    let error =
        crate::audit::Log::open(&super::options(dir.path()), super::clock(), &super::Counting).unwrap_err();
    let error = error.to_string();
    assert!(error.contains(&format!("{} line ", last.name)), "{error}");
    assert!(error.contains("move it away") && error.contains("Nothing was changed"), "{error}");
}

#[test]
fn the_tree_is_that_of_another_implementation() {
    let mut range = CompactRange::default();
    let mut oracle = ct_merkle::mem_backed_tree::MemoryBackedTree::<sha2_of_oracle::Sha256, Vec<u8>>::new();
    for number in 0_u32..130 {
        assert_eq!(range.root().as_slice(), oracle.root().as_bytes().as_slice(), "{number} leaves");
        let leaf = format!("leaf {number}").into_bytes();
        range.append(leaf_hash(&leaf));
        oracle.push(leaf);
    }
}

#[test]
fn keys_are_those_of_the_signed_note_specification() {
    // C2SP signed-note, the example key of the Go checksum database.
    let text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    let key = PublicKey::parse(text).unwrap();
    assert_eq!((key.name(), key.to_string().as_str()), ("sum.golang.org", text));
    assert!(PublicKey::parse(&text.replace("033de0ae", "033de0af")).is_err());
    let signing = SigningKey::from_seed("x", &[7; 32]).unwrap();
    let again = SigningKey::from_pem("x", &signing.to_pem().unwrap()).unwrap();
    let note = again.sign(5, &[9; 32]);
    assert_eq!(signing.public().open(&note).unwrap().size, 5);
    assert!(SigningKey::from_seed("y", &[7; 32]).unwrap().public().open(&note).is_err());
    assert!(SigningKey::from_seed("x", &[8; 32]).unwrap().public().open(&note).is_err());
}

/// The oracle takes any hash of the `digest` traits; this is ours in that dress.
pub(super) mod sha2_of_oracle {
    use md5::digest::{FixedOutput, HashMarker, Output, OutputSizeUser, Update, consts::U32};

    #[derive(Default)]
    pub(in crate::audit::tests) struct Sha256(Vec<u8>);

    impl HashMarker for Sha256 {}

    impl OutputSizeUser for Sha256 {
        type OutputSize = U32;
    }

    impl Update for Sha256 {
        fn update(&mut self, data: &[u8]) {
            self.0.extend_from_slice(data);
        }
    }

    impl FixedOutput for Sha256 {
        fn finalize_into(self, out: &mut Output<Self>) {
            out.copy_from_slice(&crate::audit::tree::sha256(&[&self.0]));
        }
    }
}
