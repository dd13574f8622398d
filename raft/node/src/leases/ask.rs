//! What is asked about leases.

use raft_state::port::LeaseTime;
use tokio::sync::{mpsc, oneshot};

/// A question about leases, perhaps with their renewal.
pub(crate) struct Ask {
    /// The leases.
    pub(crate) ids: Vec<i64>,
    /// Whether to give each its full time anew.
    pub(crate) renew: bool,
    /// Only this member's own word as the leader will do: a follower asks.
    pub(crate) leader_only: bool,
    /// One answer for each id; dropped when this member cannot say.
    pub(crate) reply: oneshot::Sender<Vec<Option<LeaseTime>>>,
}

/// Where to ask.
#[derive(Clone)]
pub(crate) struct Leases {
    queue: mpsc::UnboundedSender<Ask>,
}

impl Leases {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Ask>) {
        let (queue, asks) = mpsc::unbounded_channel();
        (Self { queue }, asks)
    }

    /// Asks. The sender is dropped when this member stops, or, with `leader_only`, when it turns out not to lead.
    pub(crate) fn ask(
        &self,
        ids: Vec<i64>,
        renew: bool,
        leader_only: bool,
    ) -> oneshot::Receiver<Vec<Option<LeaseTime>>> {
        let (reply, receiver) = oneshot::channel();
        // A closed queue drops the sender, which is the answer.
        let _ = self.queue.send(Ask { ids, renew, leader_only, reply });
        receiver
    }
}
