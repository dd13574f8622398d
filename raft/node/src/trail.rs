//! The hashes of the state at recent log indexes, so that replicas can compare theirs at the same one.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// Far more entries than are applied between two comparisons.
const HASHES_MAX: usize = 16_384;

/// Hashes by index, ascending.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    hashes: Mutex<VecDeque<(u64, u128)>>,
}

impl Trail {
    /// The state has this hash after the entry at `index`.
    pub(crate) fn push(&self, index: u64, hash: u128) {
        let mut hashes = self.hashes.lock();
        if hashes.len() >= HASHES_MAX {
            hashes.pop_front();
        }
        hashes.push_back((index, hash));
    }

    /// The state was replaced: what came before says nothing about it.
    pub(crate) fn begin(&self, index: u64, hash: u128) {
        let mut hashes = self.hashes.lock();
        hashes.clear();
        hashes.push_back((index, hash));
    }

    /// The newest index and its hash.
    pub(crate) fn latest(&self) -> Option<(u64, u128)> {
        self.hashes.lock().back().copied()
    }

    /// The hash at an index; `None` when it is not reached, or no longer kept.
    pub(crate) fn at(&self, index: u64) -> Option<u128> {
        let hashes = self.hashes.lock();
        let found = hashes.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        hashes.get(found).map(|(_, hash)| *hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_found_by_their_index() {
        let trail = Trail::default();
        assert_eq!((trail.latest(), trail.at(3)), (None, None));
        for index in [3, 4, 7] {
            trail.push(index, u128::from(index) * 10);
        }
        assert_eq!((trail.latest(), trail.at(4), trail.at(5)), (Some((7, 70)), Some(40), None));
        trail.begin(9, 1);
        assert_eq!((trail.at(7), trail.at(9)), (None, Some(1)));
    }
}
