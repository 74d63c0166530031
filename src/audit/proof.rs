//! Proofs over the tree of RFC 6962: that it holds a leaf, and that a later tree continues an earlier one.
//!
//! A proof is a list of roots of parts of the tree. Which parts is known beforehand, they do not overlap, and
//! a part's root needs no more than a [`CompactRange`]: one pass over the leaves makes any proof.

use std::ops::Range;

use super::tree::{CompactRange, Hash, node_hash};

/// Takes leaves in order and keeps the roots of the parts a proof needs.
#[derive(Debug)]
pub(super) struct Collector {
    /// Where the part ends that a tree grows to, in the proof's order.
    parts: Vec<(Range<u64>, CompactRange)>,
}

impl Collector {
    /// For a proof that the tree of `size` leaves holds the leaf `index`. `before` is the tree over the leaves
    /// that are no more there. None if there is no such leaf, or if it is no more there.
    pub(super) fn inclusion(index: u64, size: u64, before: &CompactRange) -> Option<Self> {
        (index < size && index >= before.size()).then_some(())?;
        let (mut whole, mut parts) = (0..size, Vec::new());
        while whole.end - whole.start > 1 {
            let split = split(&whole);
            if index < split {
                parts.push(split..whole.end);
                whole.end = split;
            } else {
                parts.push(whole.start..split);
                whole.start = split;
            }
        }
        Self::new(parts, before)
    }

    /// For a proof that the first `old` of `new` leaves are those of the tree of `old` leaves. None if there
    /// are fewer, or if the leaves that are there do not suffice.
    pub(super) fn consistency(old: u64, new: u64, before: &CompactRange) -> Option<Self> {
        (old <= new).then_some(())?;
        let (mut whole, mut parts, mut known) = (0..new, Vec::new(), true);
        while old != 0 && old != whole.end {
            let split = split(&whole);
            if old <= split {
                parts.push(split..whole.end);
                whole.end = split;
            } else {
                parts.push(whole.start..split);
                whole.start = split;
                known = false;
            }
        }
        if !known {
            parts.push(whole);
        }
        Self::new(parts, before)
    }

    /// The innermost part, found last, is the first of a proof.
    fn new(parts: Vec<Range<u64>>, before: &CompactRange) -> Option<Self> {
        let begun = parts.into_iter().rev().map(|part| begin(&part, before).map(|tree| (part, tree)));
        Some(Self { parts: begun.collect::<Option<_>>()? })
    }

    /// Takes the leaf with this number; leaves come in order.
    pub(super) fn leaf(&mut self, number: u64, hash: Hash) {
        if let Some((_, tree)) = self.parts.iter_mut().find(|(part, _)| part.contains(&number)) {
            tree.append(hash);
        }
    }

    /// The proof; none if leaves are missing.
    pub(super) fn finish(self) -> Option<Vec<Hash>> {
        let whole = |(part, tree): &(Range<u64>, CompactRange)| tree.size() == part.end - part.start;
        self.parts.iter().all(whole).then(|| self.parts.iter().map(|(_, tree)| tree.root()).collect())
    }
}

/// The tree over a part as far as it lies before the first leaf that is there.
fn begin(part: &Range<u64>, before: &CompactRange) -> Option<CompactRange> {
    let covered = before.size().min(part.end).saturating_sub(part.start);
    let (mut start, mut hashes, mut found) = (0_u64, Vec::new(), 0);
    for hash in before.hashes() {
        let length = 1_u64 << (before.size() - start).ilog2();
        if start >= part.start && start + length <= part.end {
            hashes.push(*hash);
            found += length;
        }
        start += length;
    }
    (found == covered).then(|| CompactRange::from_parts(covered, hashes)).flatten()
}

/// The largest power of two below the length of a range of at least two, counted from its start.
fn split(whole: &Range<u64>) -> u64 {
    whole.start + (1 << (whole.end - whole.start - 1).ilog2())
}

/// Whether a proof shows that the tree with this root holds the leaf (RFC 9162 §2.1.3.2).
pub(super) fn includes(index: u64, leaf: &Hash, proof: &[Hash], size: u64, root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut node) = (index, size - 1, *leaf);
    for other in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            node = node_hash(other, &node);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            node = node_hash(&node, other);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && node == *root
}

/// Whether a proof shows that a tree continues another; both by size and root (RFC 9162 §2.1.4.2).
pub(super) fn continues(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    if old.0 == new.0 {
        return proof.is_empty() && old.1 == new.1;
    }
    if old.0 > new.0 {
        return false;
    }
    if old.0 == 0 {
        return proof.is_empty() && CompactRange::default().root() == *old.1;
    }
    // The root of an old tree that is complete is itself the first hash and not repeated.
    let known = old.0.is_power_of_two().then_some(old.1);
    let mut hashes = known.into_iter().chain(proof);
    let Some(first) = hashes.next() else { return false };
    let (mut at, mut last) = (old.0 - 1, new.0 - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut old_node, mut new_node) = (*first, *first);
    for other in hashes {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old_node = node_hash(other, &old_node);
            new_node = node_hash(other, &new_node);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            new_node = node_hash(&new_node, other);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && old_node == *old.1 && new_node == *new.1
}
