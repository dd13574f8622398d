//! The leader's proposals to forget history.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use raft_state::port::{Standing, Store};
use raft_state::{Command, Outcome, Refusal, Revision};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::Compaction;

/// Samples of the revision over the time to keep.
const SAMPLES: u32 = 30;

/// Compacts for as long as `store` lives. Every member keeps samples, so that a new leader knows what is old.
pub(crate) async fn run(store: std::sync::Weak<dyn Store>, standing: watch::Receiver<Standing>, policy: Compaction) {
    if policy.every.is_zero() {
        return;
    }
    let step = (policy.keep.min(policy.every) / SAMPLES).max(Duration::from_millis(10));
    let mut ticks = tokio::time::interval(step);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut samples = Samples::default();
    let mut last = Instant::now();
    loop {
        ticks.tick().await;
        let (revision, leads) = {
            let standing = standing.borrow();
            (standing.revision, standing.leads)
        };
        samples.add(Instant::now(), revision);
        if last.elapsed() < policy.every {
            continue;
        }
        last = Instant::now();
        let Some(old) = samples.older_than(Instant::now(), policy.keep) else { continue };
        let Some(store) = store.upgrade() else { return };
        if leads {
            propose(store, old, policy.every).await;
        }
    }
}

async fn propose(store: Arc<dyn Store>, revision: Revision, patience: Duration) {
    match store.propose(vec![Command::Compact { revision }], (Instant::now() + patience).into_std()).await {
        Ok(outcomes) => match outcomes.as_slice() {
            [Outcome::Compacted { revision }] => tracing::info!(revision, "history is compacted"),
            // Nothing was written since the last time.
            [Outcome::Refused(Refusal::BadCompaction { .. })] => {}
            other => tracing::warn!("compaction came to {other:?}"),
        },
        Err(e) => tracing::warn!("compaction failed: {e}"),
    }
}

/// The revision over time.
#[derive(Default)]
struct Samples {
    inner: VecDeque<(Instant, Revision)>,
}

impl Samples {
    fn add(&mut self, at: Instant, revision: Revision) {
        self.inner.push_back((at, revision));
    }

    /// The highest revision that was reached at least `age` ago. Forgets what came before it.
    fn older_than(&mut self, now: Instant, age: Duration) -> Option<Revision> {
        let limit = now.checked_sub(age)?;
        while self.inner.get(1).is_some_and(|(at, _)| *at <= limit) {
            self.inner.pop_front();
        }
        self.inner.front().filter(|(at, revision)| *at <= limit && *revision > 0).map(|(_, revision)| *revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_reached_long_ago_is_old() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut samples = Samples::default();
        for (seconds, revision) in [(0, 5), (10, 8), (20, 9)] {
            samples.add(at(seconds), revision);
        }
        let mut check = |now: u64, expected: Option<Revision>| {
            assert_eq!(samples.older_than(at(now), Duration::from_secs(15)), expected, "after {now} s");
        };
        check(14, None);
        check(20, Some(5));
        check(25, Some(8));
        check(100, Some(9));
    }
}
