//! Levels: what a build can do that an earlier one cannot read.
//!
//! A cluster works at the lowest level of its members: while one master after the other is replaced by a newer build, none writes
//! what an older one would not understand. Members tell the leader their level in every round of comparisons, and the leader tells
//! them the cluster's. One that is away counts with what it said last, and as the first build when this leader never heard it.
//!
//! A new level is a constant here with what it brings, and a question [`Levels::allow`] where that is written.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a level brings, by its number. Numbers are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Feature {
    /// The first builds.
    Plain = 1,
    /// Entries of the log are compressed.
    CompressedEntries = 2,
}

/// The level of this build.
pub const LEVEL: u32 = Feature::CompressedEntries as u32;

/// What this member and its cluster can do.
#[derive(Debug)]
pub struct Levels {
    own: u32,
    cluster: AtomicU32,
}

impl Levels {
    /// Of a member that admits to this level, until it hears of its cluster's.
    pub(crate) fn new(own: u32) -> Self {
        Self { own: own.clamp(Feature::Plain as u32, LEVEL), cluster: AtomicU32::new(Feature::Plain as u32) }
    }

    /// This member's.
    pub fn own(&self) -> u32 {
        self.own
    }

    /// The cluster's, by the leader's last word.
    pub fn cluster(&self) -> u32 {
        self.cluster.load(Ordering::Relaxed)
    }

    /// Whether all members understand something.
    pub(crate) fn allow(&self, feature: Feature) -> bool {
        self.cluster() >= feature as u32
    }

    /// A round at the leader: what each other member said last, `None` for one that was never heard.
    pub(crate) fn conclude(&self, others: &BTreeMap<u64, Option<u32>>) {
        self.hear(lowest(self.own, others));
    }

    /// The leader's word.
    pub(crate) fn hear(&self, level: u32) {
        let level = level.max(Feature::Plain as u32);
        let before = self.cluster.swap(level, Ordering::Relaxed);
        if before != level {
            tracing::debug!(before, level, "the cluster works at another level");
        }
    }
}

/// Builds that name no level are the first.
fn lowest(own: u32, others: &BTreeMap<u64, Option<u32>>) -> u32 {
    let first = Feature::Plain as u32;
    others.values().map(|level| level.unwrap_or(first).max(first)).fold(own, u32::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_member_decides_and_one_that_was_never_heard_may_be_the_oldest() {
        let check = |own: u32, others: &[Option<u32>], expected: u32| {
            let others = (2..).zip(others.iter().copied()).collect();
            assert_eq!(lowest(own, &others), expected, "{own} with {others:?}");
        };
        check(2, &[], 2);
        check(2, &[Some(2), Some(2)], 2);
        check(2, &[Some(2), Some(1)], 1);
        check(1, &[Some(2), Some(2)], 1);
        check(2, &[Some(2), None], 1);
        check(2, &[Some(0)], 1);
        check(2, &[Some(9), Some(9)], 2);
    }

    #[test]
    fn nothing_is_allowed_before_it_is_known() {
        let levels = Levels::new(LEVEL);
        assert!(!levels.allow(Feature::CompressedEntries));
        levels.conclude(&BTreeMap::new());
        assert!(levels.allow(Feature::CompressedEntries));
        levels.hear(0);
        assert_eq!(levels.cluster(), 1);
        assert_eq!((Levels::new(0).own(), Levels::new(99).own()), (1, LEVEL));
    }
}
