//! Whether this member still belongs. Whoever is removed hears nothing of it through the log: the leader stops sending. So a
//! member that hears no leader asks the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use raft_state::port::Standing;
use tokio::sync::watch;

use super::admission::hello;
use crate::peer::dial::Dialer;

/// Between rounds of questions.
const ASK_EVERY: Duration = Duration::from_millis(300);

/// Runs until this member stops, or learns that it was removed.
pub(crate) async fn watch(
    dialer: Arc<Dialer>,
    standing: watch::Receiver<Standing>,
    removed: Arc<AtomicBool>,
    mut closed: watch::Receiver<bool>,
) {
    let mut ticks = tokio::time::interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => return,
            _ = ticks.tick() => {}
        }
        let now = standing.borrow().clone();
        if now.ready {
            continue;
        }
        let letterhead = &dialer.letterhead;
        for other in now.members.iter().filter(|m| m.id != letterhead.id) {
            let answer = hello(&dialer, &letterhead.cluster, letterhead.id, other.id, &other.peer_address).await;
            if answer.is_ok_and(|answer| answer.removed) {
                tracing::error!(
                    id = letterhead.id,
                    "this member was removed from the cluster; its id is over for good"
                );
                removed.store(true, Ordering::Release);
                return;
            }
        }
    }
}
