//! Elections without waiting for the timeout, when the leader's process is known to be gone.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::TransferLeaderRequest;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::leader::{Contact, LeaderView};
use crate::peer::dial::Dialer;
use crate::types::Raft;

/// No member has this id: handing leadership to it only ends the lease.
const NOBODY: u64 = 0;

/// How long, and how often, the leader is asked for a sign of life after a connection of its broke.
const PROBE_FOR: Duration = Duration::from_millis(100);
const PROBE_EVERY: Duration = Duration::from_millis(5);

/// Between the attempts of one member, and from one rank to the next.
const STEP: Duration = Duration::from_millis(12);

/// Attempts before the election timeout is left to do its work.
const ATTEMPTS: u32 = 6;

/// Acts on connections that broke: when the one to the leader did and its machine answers that nobody listens there
/// any more, the lease that the dead process held is void. A refused connection is proof; silence is none, and then the
/// timers decide. A pre-vote still comes first, so that a quorum must agree.
pub(crate) struct Successor {
    pub(crate) raft: Raft,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) leader: watch::Receiver<LeaderView>,
    pub(crate) contact: Arc<Contact>,
}

impl Successor {
    pub(crate) async fn run(self, mut broken: mpsc::UnboundedReceiver<u64>) {
        while let Some(peer) = broken.recv().await {
            if self.is_gone(peer).await {
                self.succeed(peer).await;
            }
            // What else broke meanwhile was the same connection's other streams.
            while broken.try_recv().is_ok() {}
        }
    }

    /// Whether this leader's process is gone. Its listening socket may close a moment after its connections.
    async fn is_gone(&self, peer: u64) -> bool {
        let broken = Instant::now();
        while broken.elapsed() < PROBE_FOR {
            let view = self.leader.borrow().clone();
            if view.leader != Some(peer) || self.contact.is_fresh(peer, broken.elapsed()) {
                return false;
            }
            if self.dialer.is_refused(peer, &view.address).await {
                return true;
            }
            tokio::time::sleep(PROBE_EVERY).await;
        }
        false
    }

    async fn succeed(&self, dead: u64) {
        let metrics = self.raft.metrics();
        let (vote, voters) = {
            let now = metrics.borrow_watched();
            (now.vote, now.membership_config.voter_ids().collect::<Vec<_>>())
        };
        let id = *self.raft.node_id();
        // A learner may not stand.
        if !vote.committed || vote.leader_id.node_id != dead || !voters.contains(&id) {
            return;
        }
        tracing::info!(leader = dead, "the leader's process is gone");
        let end_lease = TransferLeaderRequest::new(vote, NOBODY, None);
        if self.raft.handle_transfer_leader(end_lease).await.is_err() {
            return;
        }
        // One after the other, so that the survivors do not stand against each other. The highest id would win anyway.
        let rank = voters.iter().filter(|voter| **voter > id && **voter != dead).count();
        tokio::time::sleep(STEP / 4 + STEP * u32::try_from(rank).unwrap_or(1)).await;
        for _ in 0..ATTEMPTS {
            if metrics.borrow_watched().vote != vote || self.raft.trigger().elect(true).await.is_err() {
                return;
            }
            tokio::time::sleep(STEP * u32::try_from(voters.len()).unwrap_or(3)).await;
        }
    }
}
