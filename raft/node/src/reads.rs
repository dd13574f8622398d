//! Linearizable reads: the index that a read must wait for, confirmed by a quorum, for many reads at a time.

use std::sync::Arc;
use std::time::Duration;

use api_proto::peer as pb;
use openraft::ReadPolicy;
use openraft::async_runtime::watch::WatchReceiver;
use planted_bugs::planted;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::leader::LeaderView;
use crate::metrics::Metrics;
use crate::pace::{Gait, Pace};
use crate::peer::answers::Moment;
use crate::peer::dial::{Dialer, Lane};
use crate::peer::exchange::Exchange;
use crate::types::Raft;

/// Before a failed confirmation is tried again, unless the leader changes first.
const RETRY: Duration = Duration::from_millis(10);

/// Rounds follow each other, and take less than a timer's tick mostly: what pays only for many.
const GAIT: Gait = Gait { rounds: 2, callers_min: 64 };

/// A read that waits for its index.
pub(crate) struct Waiter {
    /// Only this member's own word as the leader will do: a follower asks.
    leader_only: bool,
    index: oneshot::Sender<u64>,
}

#[cfg(test)]
impl Waiter {
    /// The read must see this index.
    pub(crate) fn confirm(self, index: u64) {
        // Whoever waited may have left.
        let _ = self.index.send(index);
    }
}

/// Where reads ask for their index.
#[derive(Clone)]
pub(crate) struct Reads {
    queue: mpsc::UnboundedSender<Waiter>,
}

impl Reads {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Waiter>) {
        let (queue, waiters) = mpsc::unbounded_channel();
        (Self { queue }, waiters)
    }

    /// The index that a read beginning now must see applied. The sender is dropped when this member stops, or, with
    /// `leader_only`, when it turns out not to lead.
    pub(crate) fn index(&self, leader_only: bool) -> oneshot::Receiver<u64> {
        let (index, receiver) = oneshot::channel();
        // A closed queue drops the sender, which is the answer.
        let _ = self.queue.send(Waiter { leader_only, index });
        receiver
    }
}

/// Confirms one round after the other. Reads that arrive during a round share the next one: a round may serve only
/// those that were there when it began.
pub(crate) struct Rounds {
    pub(crate) raft: Raft,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) leader: watch::Receiver<LeaderView>,
    pub(crate) metrics: Arc<Metrics>,
    /// The longest that one attempt may take.
    pub(crate) patience: Duration,
    /// As the leader: nothing is to be sent to followers now.
    pub(crate) quiet: watch::Receiver<bool>,
    /// How a follower asks.
    pub(crate) asking: Option<Asking>,
}

/// A stream of questions to a leader.
pub(crate) struct Asking {
    leader: u64,
    address: String,
    stream: Exchange<pb::ReadIndexRequest, pb::ReadIndexResponse>,
}

impl Asking {
    fn begin(dialer: &Dialer, leader: u64, address: &str) -> Option<Self> {
        let mut client = dialer.client(leader, address, Lane::Control).ok()?;
        let stream = Exchange::begin(|questions| async move { client.read_index(questions).await });
        Some(Self { leader, address: address.to_owned(), stream })
    }
}

impl Rounds {
    pub(crate) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Waiter>) {
        let mut waiters: Vec<Waiter> = Vec::new();
        let mut pace = Pace::new(GAIT);
        loop {
            if waiters.is_empty() {
                match queue.recv().await {
                    Some(waiter) => waiters.push(waiter),
                    None => return,
                }
            }
            pace.turn().await;
            while let Ok(waiter) = queue.try_recv() {
                waiters.push(waiter);
            }
            waiters.retain(|waiter| !waiter.index.is_closed());
            let view = self.leader.borrow_and_update().clone();
            let leading = view.leader == Some(*self.raft.node_id());
            if !leading {
                waiters.retain(|waiter| !waiter.leader_only);
            }
            if waiters.is_empty() {
                continue;
            }
            let started = Instant::now();
            pace.begin(waiters.len());
            let mut change = self.leader.clone();
            let confirmation = async {
                match (leading, view.leader) {
                    (true, _) => self.confirm().await,
                    (false, Some(leader)) => self.ask(leader, &view.address).await,
                    (false, None) => None,
                }
            };
            // An answer of a leader that was deposed meanwhile is still good; waiting for one is not.
            let confirmed = tokio::select! {
                biased;
                confirmed = confirmation => confirmed,
                _ = change.changed() => None,
            };
            match confirmed {
                Some(index) => {
                    if planted!(StaleReadIndex) {
                        while let Ok(waiter) = queue.try_recv() {
                            waiters.push(waiter);
                        }
                    }
                    self.metrics.read_index_us.record_elapsed(started);
                    pace.lately().record(started.elapsed());
                    self.metrics.batch_reads.record(waiters.len() as u64);
                    for waiter in waiters.drain(..) {
                        // Whoever waited may have left.
                        let _ = waiter.index.send(index);
                    }
                }
                None => {
                    // A follower asks again by itself, and perhaps somebody else.
                    waiters.retain(|waiter| !waiter.leader_only);
                    let _ = tokio::time::timeout(RETRY, self.leader.changed()).await;
                }
            }
        }
    }

    /// As the leader: a quorum must answer a heartbeat sent after now.
    async fn confirm(&self) -> Option<u64> {
        if *self.quiet.borrow() {
            return None;
        }
        let begun = self.dialer.answers.now();
        let confirmation = async {
            let (read, _) = self.raft.get_read_log_id(ReadPolicy::ReadIndex).await.ok()?;
            // openraft may be content with older answers; those to its question are on their way then.
            self.dialer.answers.until(|| self.is_followed_since(begun)).await;
            Some(read.index())
        };
        tokio::time::timeout(self.patience, confirmation).await.ok().flatten()
    }

    /// Whether a quorum has answered what was sent after this.
    fn is_followed_since(&self, begun: Moment) -> bool {
        if planted!(OldAnswerConfirms) {
            return true;
        }
        let metrics = self.raft.metrics();
        let now = metrics.borrow_watched();
        let voters = now.membership_config.membership().get_joint_config();
        self.dialer.answers.quorum(now.vote.leader_id, now.id, voters).is_some_and(|moment| moment > begun)
    }

    /// As a follower: the leader confirms for us.
    async fn ask(&mut self, leader: u64, address: &str) -> Option<u64> {
        let request = pb::ReadIndexRequest {
            header: self.dialer.letterhead.to(leader),
            timeout_ms: u32::try_from(self.patience.as_millis()).unwrap_or(u32::MAX),
        };
        let open = self.asking.take().filter(|asking| asking.leader == leader && asking.address == address);
        let exchange = async {
            let mut asking = match open {
                Some(asking) => asking,
                None => Asking::begin(&self.dialer, leader, address)?,
            };
            let response = asking.stream.ask(request).await.ok()?;
            Some((asking, response))
        };
        let (asking, response) = tokio::time::timeout(self.patience, exchange).await.ok()??;
        self.dialer.letterhead.check(response.header.as_ref()).ok()?;
        self.asking = Some(asking);
        response.confirmed.then_some(response.index)
    }
}
