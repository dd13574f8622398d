//! Who leads, as this member sees it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The leader as far as this member knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaderView {
    pub(crate) term: u64,
    pub(crate) leader: Option<u64>,
    /// Of the leader's peer port.
    pub(crate) address: String,
}

/// When this member last heard a leader.
#[derive(Debug, Default)]
pub(crate) struct Contact {
    last: Mutex<Option<(u64, Instant)>>,
}

impl Contact {
    pub(crate) fn heard(&self, leader: u64) {
        *self.last.lock() = Some((leader, Instant::now()));
    }

    /// When `leader` was heard last, if it is whom this member has heard last.
    pub(crate) fn of(&self, leader: u64) -> Option<Instant> {
        self.last.lock().filter(|(who, _)| *who == leader).map(|(_, when)| when)
    }

    /// Whether `leader` was heard within this time.
    pub(crate) fn is_fresh(&self, leader: u64, within: Duration) -> bool {
        self.last.lock().is_some_and(|(who, when)| who == leader && when.elapsed() < within)
    }
}
