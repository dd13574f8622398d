//! A leader whose disk is stuck goes on heartbeating, and so keeps its office while nothing commits. The watchdog gives
//! the office away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;

use crate::exit::Exit;
use crate::standing::successor;
use crate::types::{LogId, Raft};

/// Writes of the log on their way to the disk.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    inner: Mutex<(u64, BTreeMap<u64, Instant>)>,
}

impl Flushes {
    /// A write begins; the ticket ends it.
    pub(crate) fn begin(&self) -> u64 {
        let (next, pending) = &mut *self.inner.lock();
        *next += 1;
        pending.insert(*next, Instant::now());
        *next
    }

    /// A write is on the disk, or failed. How long it took.
    pub(crate) fn end(&self, ticket: u64) -> Duration {
        let begun = self.inner.lock().1.remove(&ticket);
        begun.map(|at| at.elapsed()).unwrap_or_default()
    }

    /// How long the oldest write has been on its way.
    fn stuck(&self) -> Duration {
        self.inner.lock().1.first_key_value().map(|(_, at)| at.elapsed()).unwrap_or_default()
    }
}

/// Whether apply gets on with what is committed.
struct Progress {
    applied: Option<u64>,
    since: Instant,
}

impl Progress {
    /// How long apply has stood still although there is something to apply.
    fn stuck(&mut self, applied: Option<u64>, committed: Option<u64>) -> Duration {
        if applied != self.applied || applied >= committed {
            *self = Self { applied, since: Instant::now() };
        }
        self.since.elapsed()
    }
}

/// Watches what a leader writes, for ever: its log, and the state that it applies to.
pub(crate) async fn watch(raft: Raft, flushes: Arc<Flushes>, stall: Duration, exit: Exit) {
    let metrics = raft.metrics();
    let mut ticks = tokio::time::interval((stall / 10).max(Duration::from_millis(5)));
    let mut progress = Progress { applied: None, since: Instant::now() };
    loop {
        ticks.tick().await;
        let now = metrics.borrow_watched().clone();
        let index = |id: Option<LogId>| id.map(|id| id.index);
        let stuck = flushes.stuck().max(progress.stuck(index(now.last_applied), index(now.local_committed)));
        if stuck < stall || now.state != ServerState::Leader {
            continue;
        }
        if stuck > stall * 3 {
            exit.now(&format!("the disk has not finished a write for {} ms, and nobody takes over", stuck.as_millis()));
            return;
        }
        if let Some(to) = successor(&now) {
            tracing::warn!(to, stuck_ms = stuck.as_millis(), "the disk is stuck: handing leadership over");
            if raft.trigger().transfer_leader(to).await.is_err() {
                return;
            }
            // The successor gets its chance before the next look.
            tokio::time::sleep(stall / 2).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apply_is_stuck_only_while_there_is_something_to_apply() {
        let old = Instant::now() - Duration::from_secs(5);
        let check = |applied: u64, committed: u64, expected: bool| {
            let mut progress = Progress { applied: Some(3), since: old };
            let stuck = progress.stuck(Some(applied), Some(committed)) >= Duration::from_secs(5);
            assert_eq!(stuck, expected, "applied {applied} of {committed}");
        };
        check(3, 4, true);
        check(3, 3, false);
        check(4, 9, false);
    }

    #[test]
    fn the_oldest_write_on_its_way_counts() {
        let flushes = Flushes::default();
        assert_eq!(flushes.stuck(), Duration::ZERO);
        let (a, b) = (flushes.begin(), flushes.begin());
        flushes.inner.lock().1.insert(a, Instant::now() - Duration::from_secs(5));
        assert!(flushes.stuck() >= Duration::from_secs(5));
        assert!(flushes.end(a) >= Duration::from_secs(5));
        assert!(flushes.stuck() < Duration::from_secs(5));
        flushes.end(b);
        assert_eq!(flushes.stuck(), Duration::ZERO);
    }
}
