//! One watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use raft_state::{Event, KeyRange, RangeEnd, Revision};

use super::outbox::Outbox;
use super::shared::Shared;

/// A watch of a stream.
pub(super) struct Watcher {
    /// Names it within its stream.
    pub(super) id: i64,
    /// Names it within the hub.
    pub(super) serial: u64,
    pub(super) keys: KeyRange,
    /// The first revision that it wants.
    pub(super) start: Revision,
    pub(super) without_puts: bool,
    pub(super) without_deletions: bool,
    pub(super) with_previous: bool,
    pub(super) in_fragments: bool,
    pub(super) wants_progress: bool,
    pub(super) outbox: Arc<Outbox>,
    /// Whether the hub serves it.
    pub(super) joined: AtomicBool,
    /// Whether it got events since progress was last told.
    pub(super) busy: AtomicBool,
    /// Whether its end was told, or asked for.
    pub(super) canceled: AtomicBool,
    /// What the hub's current round has for it.
    pub(super) pending: Mutex<Vec<Arc<Shared>>>,
}

impl Watcher {
    pub(super) fn wants(&self, event: &Event) -> bool {
        let filtered = if event.deleted { self.without_deletions } else { self.without_puts };
        event.revision >= self.start && !filtered
    }

    pub(super) fn is_canceled(&self) -> bool {
        self.canceled.load(Ordering::Acquire)
    }

    /// A prefix that all its keys have.
    pub(super) fn prefix(&self) -> Bytes {
        match &self.keys.end {
            RangeEnd::Same => self.keys.start.clone(),
            RangeEnd::Last => Bytes::new(),
            RangeEnd::Before(end) if KeyRange::prefix(self.keys.start.clone()).end == self.keys.end => {
                debug_assert!(end[..] > self.keys.start[..]);
                self.keys.start.clone()
            }
            RangeEnd::Before(end) => {
                let common = self.keys.start.iter().zip(end).take_while(|(a, b)| a == b).count();
                self.keys.start.slice(..common)
            }
        }
    }
}
