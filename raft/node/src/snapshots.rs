//! When snapshots are made and the log is shortened: by bytes, and always so that followers a little behind still find
//! their entries.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;

use crate::config::Limits;
use crate::holds::Holds;
use crate::metrics::{Metrics, increment};
use crate::size::Size;
use crate::types::Raft;

/// Between looks at the log.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is held for members that are being sent a snapshot may be so many times what is kept in any case.
const HELD_MAX: u64 = 4;

/// Looks after the log, for ever.
pub(crate) async fn run(raft: Raft, size: Arc<Size>, limits: Limits, metrics: Arc<Metrics>, holds: Holds) {
    let held_max = limits.keep_log_bytes.saturating_add(limits.snapshot_log_bytes).saturating_mul(HELD_MAX);
    let raft_metrics = raft.metrics();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The applied index at which a snapshot was asked for and is not there yet.
    let mut asked: Option<u64> = None;
    loop {
        ticks.tick().await;
        let (snapshot, applied, purged) = {
            let now = raft_metrics.borrow_watched();
            let index = |id: &Option<crate::types::LogId>| id.map(|id| id.index);
            (index(&now.snapshot), index(&now.last_applied), index(&now.purged))
        };
        if asked.is_some_and(|asked| snapshot >= Some(asked)) {
            increment(&metrics.snapshots_built);
            asked = None;
        }
        if asked.is_none() && applied > snapshot && size.bytes_after(snapshot) >= limits.snapshot_log_bytes {
            asked = applied;
            if raft.trigger().snapshot().await.is_err() {
                return;
            }
        }
        let Some(upto) = size.keeping(snapshot, limits.keep_log_bytes) else { continue };
        let upto = match holds.lowest() {
            Some(held) if size.bytes_after(Some(held)) <= held_max => upto.min(held),
            _ => upto,
        };
        if Some(upto) > purged && raft.trigger().purge_log(upto).await.is_err() {
            return;
        }
    }
}
