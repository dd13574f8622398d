//! The log in memory: entries above what was purged.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Entry, LogId};

/// Entries, contiguous, above a base that is in the state.
#[derive(Clone, Debug, Default)]
pub struct Log {
    base: LogId,
    entries: VecDeque<Arc<Entry>>,
}

impl Log {
    /// An empty log above a base.
    pub fn above(base: LogId) -> Self {
        Self { base, entries: VecDeque::new() }
    }

    /// The last entry before the first that is held.
    pub fn base(&self) -> LogId {
        self.base
    }

    /// The last entry.
    pub fn last(&self) -> LogId {
        self.entries.back().map_or(self.base, |entry| entry.id)
    }

    fn slot(&self, index: u64) -> Option<usize> {
        usize::try_from(index.checked_sub(self.base.index + 1)?).ok().filter(|slot| *slot < self.entries.len())
    }

    /// An entry.
    pub fn get(&self, index: u64) -> Option<&Arc<Entry>> {
        self.entries.get(self.slot(index)?)
    }

    /// The name of the entry at an index, when it is known.
    pub fn id_at(&self, index: u64) -> Option<LogId> {
        if index == self.base.index { Some(self.base) } else { self.get(index).map(|entry| entry.id) }
    }

    /// At most `max` entries from an index on.
    pub fn from(&self, index: u64, max: usize) -> Vec<Arc<Entry>> {
        match self.slot(index) {
            Some(slot) => self.entries.range(slot..).take(max).cloned().collect(),
            None => Vec::new(),
        }
    }

    /// Adds the next entry.
    ///
    /// # Panics
    /// When it is not the next: a log with a hole is a bug of the model.
    pub fn push(&mut self, entry: Arc<Entry>) {
        assert_eq!(entry.id.index, self.last().index + 1, "the log is contiguous");
        self.entries.push_back(entry);
    }

    /// Cuts everything from an index on.
    pub fn cut_from(&mut self, index: u64) {
        if let Some(slot) = self.slot(index) {
            self.entries.truncate(slot);
        }
    }

    /// Forgets everything up to an index.
    pub fn purge_to(&mut self, index: u64) {
        while let Some(first) = self.entries.front().filter(|entry| entry.id.index <= index) {
            self.base = first.id;
            self.entries.pop_front();
        }
    }
}
