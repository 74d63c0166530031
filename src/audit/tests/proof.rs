//! Proofs: of every leaf in every small tree, against another implementation, and as files.

use std::{fs, path::Path};

use ct_merkle::{
    ConsistencyProof, InclusionProof, RootHash, digest::Output, mem_backed_tree::MemoryBackedTree,
};

use super::tamper::{sha2_of_oracle::Sha256, small_log};
use crate::audit::{
    ProofError, Proven, check_proof,
    proof::{Collector, continues, includes},
    prove_growth, prove_line,
    segment::{Frontier, frontier_name, segment_name, segments},
    tree::{CompactRange, Hash, leaf_hash},
};

/// A size at which trees of all shapes up to seven levels are among the smaller ones.
const SIZE_MAX: u64 = 130;

fn leaf(number: u64) -> Vec<u8> {
    format!("leaf {number}").into_bytes()
}

fn tree(size: u64) -> CompactRange {
    let mut tree = CompactRange::default();
    (0..size).for_each(|number| tree.append(leaf_hash(&leaf(number))));
    tree
}

fn oracle(size: u64) -> MemoryBackedTree<Sha256, Vec<u8>> {
    let mut tree = MemoryBackedTree::new();
    (0..size).for_each(|number| tree.push(leaf(number)));
    tree
}

fn collect(collector: Option<Collector>, from: u64, size: u64) -> Vec<Hash> {
    let mut collector = collector.unwrap();
    (from..size).for_each(|number| collector.leaf(number, leaf_hash(&leaf(number))));
    collector.finish().unwrap()
}

/// The same proof with each hash changed, each left out, each doubled, and one more.
fn changed(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = vec![[proof, &[[7; 32]]].concat()];
    for at in 0..proof.len() {
        let mut other = proof.to_vec();
        other[at][at % 32] ^= 1;
        all.push(other);
        all.push([&proof[..at], &proof[at + 1..]].concat());
        all.push([&proof[..at], &[proof[at]], &proof[at..]].concat());
    }
    all
}

#[test]
fn inclusion_proofs_are_those_of_another_implementation_and_no_others_hold() {
    let none = CompactRange::default();
    for size in 1..=SIZE_MAX {
        let (root, oracle) = (tree(size).root(), oracle(size));
        for index in 0..size {
            let proof = collect(Collector::inclusion(index, size, &none), 0, size);
            let expected = oracle.prove_inclusion(usize::try_from(index).unwrap());
            assert_eq!(proof.concat(), expected.as_bytes(), "leaf {index} of {size}");
            let hash = leaf_hash(&leaf(index));
            assert!(includes(index, &hash, &proof, size, &root), "leaf {index} of {size}");
            assert!(!includes(index, &leaf_hash(b"other"), &proof, size, &root));
            assert!(!includes(size, &hash, &proof, size, &root));
            for other in [index.wrapping_sub(1), index + 1] {
                assert!(!includes(other, &hash, &proof, size, &root), "leaf {index} of {size} as {other}");
            }
            for other in changed(&proof) {
                assert!(!includes(index, &hash, &other, size, &root), "leaf {index} of {size}");
            }
        }
        assert!(Collector::inclusion(size, size, &none).is_none());
    }
    // The verifier of the other implementation accepts ours.
    let proof = collect(Collector::inclusion(77, SIZE_MAX, &none), 0, SIZE_MAX);
    let proof = InclusionProof::<Sha256>::try_from_bytes(proof.concat()).unwrap();
    let root = RootHash::new(Output::<Sha256>::from(tree(SIZE_MAX).root()), SIZE_MAX);
    root.verify_inclusion(&leaf(77), 77, &proof).unwrap();
}

#[test]
fn consistency_proofs_are_those_of_another_implementation_and_no_others_hold() {
    let none = CompactRange::default();
    for new in 1..=SIZE_MAX {
        let (new_root, oracle) = (tree(new).root(), oracle(new));
        for old in 1..=new {
            let old_root = tree(old).root();
            let proof = collect(Collector::consistency(old, new, &none), 0, new);
            if old < new {
                let expected = oracle.prove_consistency(usize::try_from(new - old).unwrap());
                assert_eq!(proof.concat(), expected.as_bytes(), "{old} to {new}");
                let expected = ConsistencyProof::<Sha256>::try_from_bytes(proof.concat()).unwrap();
                let [old_hash, new_hash] = [(old_root, old), (new_root, new)]
                    .map(|(root, size)| RootHash::new(Output::<Sha256>::from(root), size));
                new_hash.verify_consistency(&old_hash, &expected).unwrap();
                assert!(!continues((new, &new_root), (old, &old_root), &proof), "{new} back to {old}");
            }
            assert!(continues((old, &old_root), (new, &new_root), &proof), "{old} to {new}");
            assert!(!continues((old, &[1; 32]), (new, &new_root), &proof), "{old} to {new}");
            assert!(!continues((old, &old_root), (new, &[1; 32]), &proof), "{old} to {new}");
            for other in changed(&proof) {
                assert!(!continues((old, &old_root), (new, &new_root), &other), "{old} to {new}");
            }
        }
    }
    let empty = none.root();
    assert!(continues((0, &empty), (5, &tree(5).root()), &[]));
    assert!(!continues((0, &[0; 32]), (5, &tree(5).root()), &[]));
    assert!(Collector::consistency(6, 5, &none).is_none());
}

#[test]
fn proofs_need_only_the_frontier_of_lines_that_are_gone() {
    let none = CompactRange::default();
    for size in [1, 2, 7, 8, 9, 31, 100, SIZE_MAX] {
        for gone in 0..=size {
            let before = tree(gone);
            for at in gone..size {
                let whole = collect(Collector::inclusion(at, size, &none), 0, size);
                let rest = collect(Collector::inclusion(at, size, &before), gone, size);
                assert_eq!(whole, rest, "leaf {at} of {size} without the first {gone}");
            }
            for old in gone.max(1)..=size {
                let whole = collect(Collector::consistency(old, size, &none), 0, size);
                let rest = collect(Collector::consistency(old, size, &before), gone, size);
                assert_eq!(whole, rest, "{old} to {size} without the first {gone}");
            }
            if gone > 0 {
                assert!(Collector::inclusion(gone - 1, size, &before).is_none());
            }
        }
    }
}

#[test]
fn every_line_of_a_log_is_proven_without_the_log() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    small_log(dir.path());
    let key = elsewhere.path().join("key");
    fs::copy(dir.path().join("public.key"), &key).unwrap();
    let file = elsewhere.path().join("proof");
    let lines: Vec<String> = segments(dir.path())
        .unwrap()
        .iter()
        .flat_map(|it| fs::read_to_string(&it.path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let mut proven = 0;
    for (number, line) in (0..).zip(&lines) {
        let proof = match prove_line(dir.path(), number, None, None) {
            Ok(proof) => proof,
            Err(error) => {
                assert!(matches!(error, ProofError::NotCovered { .. }), "{error}");
                assert!(number >= proven && error.to_string().contains("wait for the next"), "{error}");
                continue;
            }
        };
        proven += 1;
        fs::write(&file, &proof).unwrap();
        let Proven::Line { number: found, line: held, .. } = check_proof(&file, &key, None, None).unwrap()
        else {
            panic!("another kind of proof")
        };
        assert_eq!((found, held.as_slice()), (number, line.as_bytes()));
        // A line that comes separately, with its LF.
        let alone = elsewhere.path().join("line");
        fs::write(&alone, format!("{line}\n")).unwrap();
        let bare: String =
            proof.lines().filter(|it| !it.starts_with("extra ")).map(|it| it.to_owned() + "\n").collect();
        fs::write(&file, &bare).unwrap();
        check_proof(&file, &key, Some(&alone), None).unwrap();
        let error = check_proof(&file, &key, None, None).unwrap_err().to_string();
        assert!(error.contains("--line"), "{error}");
        fs::write(&alone, line.replacen("2026", "2027", 1)).unwrap();
        let error = check_proof(&file, &key, Some(&alone), None).unwrap_err().to_string();
        assert!(error.contains("does NOT hold"), "{error}");
    }
    assert!(proven >= 10 && (proven as usize) < lines.len(), "{proven} of {}", lines.len());
    every_changed_character_is_refused(dir.path(), &key, &file);
}

fn every_changed_character_is_refused(dir: &Path, key: &Path, file: &Path) {
    let proof = prove_line(dir, 5, None, None).unwrap();
    for at in 0..proof.len() {
        let mut bytes = proof.clone().into_bytes();
        bytes[at] ^= 1;
        fs::write(file, &bytes).unwrap();
        assert!(check_proof(file, key, None, None).is_err(), "byte {at}");
    }
}

#[test]
fn growth_is_proven_from_every_checkpoint_and_rewritten_lines_are_not() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    small_log(dir.path());
    let text = fs::read_to_string(dir.path().join("checkpoints")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let (old, file) = (elsewhere.path().join("old"), elsewhere.path().join("proof"));
    let key = dir.path().join("public.key");
    let mut grown = 0;
    for note in lines.chunks(5) {
        fs::write(&old, note.join("\n") + "\n").unwrap();
        fs::write(&file, prove_growth(dir.path(), &old, None, None).unwrap()).unwrap();
        let proven = check_proof(&file, &key, None, Some(&old)).unwrap();
        assert!(matches!(proven, Proven::Growth { old, new } if old <= new), "{proven:?}");
        grown += 1;
        let error = check_proof(&file, &key, None, None).unwrap_err().to_string();
        assert!(error.contains("--from"), "{error}");
    }
    assert!(grown >= 3, "{grown}");
    // The last checkpoint as the earlier, and an early one as the later (the very first covers nothing).
    fs::write(&file, lines[5..10].join("\n") + "\n").unwrap();
    let error = prove_growth(dir.path(), &old, None, Some(&file)).unwrap_err();
    assert!(matches!(error, ProofError::Order { .. }), "{error}");
    let first = dir.path().join(segment_name(0));
    let rewritten = fs::read_to_string(&first).unwrap().replacen("vms", "vmz", 1);
    fs::write(&first, rewritten).unwrap();
    for error in [
        prove_line(dir.path(), 0, None, None).unwrap_err(),
        prove_growth(dir.path(), &file, None, None).unwrap_err(),
    ] {
        assert!(error.to_string().contains("are not those that the checkpoint signs"), "{error}");
    }
}

#[test]
fn without_its_first_segment_a_log_proves_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    small_log(dir.path());
    let second = segments(dir.path()).unwrap()[1].first;
    let whole = prove_line(dir.path(), second + 1, None, None).unwrap();
    fs::remove_file(dir.path().join(segment_name(0))).unwrap();
    assert_eq!(prove_line(dir.path(), second + 1, None, None).unwrap(), whole);
    let error = prove_line(dir.path(), 1, None, None).unwrap_err();
    assert!(matches!(error, ProofError::Missing), "{error}");
    assert!(Frontier::read(&dir.path().join(frontier_name(second))).is_some());
}
