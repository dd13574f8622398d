//! A leader whose disk is stuck goes on heartbeating, and so keeps its office while nothing commits. The watchdog gives
//! the office away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use raft_state::port::Standing;
use tokio::sync::watch;

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

    /// The oldest write on its way.
    fn oldest(&self) -> Option<u64> {
        self.inner.lock().1.first_key_value().map(|(ticket, _)| *ticket)
    }
}

/// How long the same thing has kept this member waiting while it was awake. A process that was stopped, or that its
/// machine did not run, finds its writes late on its return; its disk is not to blame for that.
struct Patience {
    look_every: Duration,
    last_look: Instant,
    flush: Option<u64>,
    flush_stuck: Duration,
    applied: Option<u64>,
    apply_stuck: Duration,
}

impl Patience {
    fn new(look_every: Duration, now: Instant) -> Self {
        let (flush_stuck, apply_stuck) = (Duration::ZERO, Duration::ZERO);
        Self { look_every, last_look: now, flush: None, flush_stuck, applied: None, apply_stuck }
    }

    /// How long the oldest write has been on its way, or apply has stood still although there is something to apply.
    fn look(&mut self, now: Instant, oldest: Option<u64>, applied: Option<u64>, committed: Option<u64>) -> Duration {
        let awake = now.saturating_duration_since(self.last_look).min(self.look_every * 2);
        self.last_look = now;
        let waits = oldest.is_some() && oldest == self.flush;
        self.flush_stuck = if waits { self.flush_stuck + awake } else { Duration::ZERO };
        self.flush = oldest;
        let stands = applied == self.applied && applied < committed;
        self.apply_stuck = if stands { self.apply_stuck + awake } else { Duration::ZERO };
        self.applied = applied;
        self.flush_stuck.max(self.apply_stuck)
    }
}

/// Watches what a leader writes, for ever: its log, and the state that it applies to.
///
/// A leader that was deposed while its disk is stuck cannot even write that down, and goes on calling itself leader. Its
/// standing knows better: no quorum answers it. It harms nobody, and goes on when its disk does.
pub(crate) async fn watch(
    raft: Raft,
    flushes: Arc<Flushes>,
    standing: watch::Receiver<Standing>,
    stall: Duration,
    exit: Exit,
) {
    let metrics = raft.metrics();
    let look_every = (stall / 10).max(Duration::from_millis(5));
    let mut ticks = tokio::time::interval(look_every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut patience = Patience::new(look_every, Instant::now());
    // The successor gets its chance before the next attempt.
    let mut next_attempt = Instant::now();
    loop {
        ticks.tick().await;
        let now = metrics.borrow_watched().clone();
        let index = |id: Option<LogId>| id.map(|id| id.index);
        let (applied, committed) = (index(now.last_applied), index(now.local_committed));
        let stuck = patience.look(Instant::now(), flushes.oldest(), applied, committed);
        if stuck < stall || now.state != ServerState::Leader || !standing.borrow().leads {
            continue;
        }
        if stuck > stall * 3 {
            exit.now(&format!("the disk has not finished a write for {} ms, and nobody takes over", stuck.as_millis()));
            return;
        }
        if Instant::now() >= next_attempt
            && let Some(to) = successor(&now)
        {
            tracing::warn!(to, stuck_ms = stuck.as_millis(), "the disk is stuck: handing leadership over");
            if raft.trigger().transfer_leader(to).await.is_err() {
                return;
            }
            next_attempt = Instant::now() + stall / 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at these moments (ms), every 100, at (oldest write, applied) of 9 committed; how long it was stuck in the end.
    fn stuck(looks: &[(u64, Option<u64>, u64)]) -> u64 {
        let begun = Instant::now();
        let mut patience = Patience::new(Duration::from_millis(100), begun);
        let look = |(at, oldest, applied): &(u64, Option<u64>, u64)| {
            patience.look(begun + Duration::from_millis(*at), *oldest, Some(*applied), Some(9)).as_millis() as u64
        };
        looks.iter().map(look).last().unwrap_or(0)
    }

    #[test]
    fn a_member_is_stuck_as_long_as_the_same_thing_keeps_it_waiting() {
        assert_eq!(stuck(&[(100, Some(1), 9), (200, Some(1), 9), (300, Some(1), 9)]), 200);
        assert_eq!(stuck(&[(100, Some(1), 9), (200, Some(1), 9), (300, Some(2), 9)]), 0, "another write");
        assert_eq!(stuck(&[(100, Some(1), 9), (200, None, 9), (300, None, 9)]), 0, "no write");
        assert_eq!(stuck(&[(100, None, 3), (200, None, 3), (300, None, 3)]), 200, "apply stands still");
        assert_eq!(stuck(&[(100, None, 3), (200, None, 3), (300, None, 4)]), 0, "apply gets on");
        assert_eq!(stuck(&[(100, None, 9), (200, None, 9), (300, None, 9)]), 0, "all is applied");
    }

    #[test]
    fn the_time_in_which_this_process_was_stopped_does_not_count() {
        assert_eq!(stuck(&[(100, Some(1), 9), (200, Some(1), 9), (3300, Some(1), 9)]), 300);
        assert_eq!(stuck(&[(100, None, 3), (200, None, 3), (3300, None, 3)]), 300);
    }

    #[test]
    fn the_oldest_write_on_its_way_is_looked_at() {
        let flushes = Flushes::default();
        assert_eq!(flushes.oldest(), None);
        let (a, b) = (flushes.begin(), flushes.begin());
        assert_eq!(flushes.oldest(), Some(a));
        flushes.end(a);
        assert_eq!(flushes.oldest(), Some(b));
        flushes.end(b);
        assert_eq!(flushes.oldest(), None);
    }
}
