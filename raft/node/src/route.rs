//! The way of this member's proposals into the log: to its own batches while it leads, else to the leader, again and
//! again until they are applied here or nobody waits for them any more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use raft_trace::Context;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::batch::{Item, Verdict};
use crate::forward::Forwarder;
use crate::leader::LeaderView;
use crate::metrics::{Metrics, increment};
use crate::peer::dial::Dialer;
use crate::registry::Registry;

/// Before a refused proposal is sent again, unless the leader changes first.
const RETRY: Duration = Duration::from_millis(5);

/// A proposal that was accepted yet has not shown up here for so long is sent again, whatever the reason.
const DOUBT: Duration = Duration::from_secs(1);

/// Where new proposals go in.
#[derive(Clone)]
pub(crate) struct Entrance {
    id: u64,
    leader: watch::Receiver<LeaderView>,
    batches: mpsc::UnboundedSender<Item>,
    verdicts: mpsc::UnboundedSender<(u64, bool)>,
    fresh: mpsc::UnboundedSender<u64>,
}

impl Entrance {
    /// Sends a proposal on its way: straight into the next entry while this member leads, so that no other task has to be
    /// woken for it, else by the router. False when this member is stopping.
    pub(crate) fn send(&self, first: u64, encoded: Bytes, trace: Option<Context>) -> bool {
        if self.leader.borrow().leader == Some(self.id) {
            let verdict = Verdict { ticket: first, listener: self.verdicts.clone() };
            return self.batches.send(Item { encoded, verdict, trace }).is_ok();
        }
        self.fresh.send(first).is_ok()
    }
}

/// Routes proposals that did not find the leader here, or that it refused. The same proposal may travel many times; its ids
/// see to it that it is applied once.
pub(crate) struct Router {
    pub(crate) id: u64,
    pub(crate) registry: Arc<Registry>,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) leader: watch::Receiver<LeaderView>,
    pub(crate) batches: mpsc::UnboundedSender<Item>,
    pub(crate) metrics: Arc<Metrics>,
    verdicts: mpsc::UnboundedSender<(u64, bool)>,
    heard: mpsc::UnboundedReceiver<(u64, bool)>,
    /// Names new proposals.
    fresh: mpsc::UnboundedReceiver<u64>,
    refused: BTreeSet<u64>,
    /// [`DOUBT`].
    doubt: Duration,
}

impl Router {
    pub(crate) fn new(
        id: u64,
        registry: Arc<Registry>,
        dialer: Arc<Dialer>,
        leader: watch::Receiver<LeaderView>,
        batches: mpsc::UnboundedSender<Item>,
        metrics: Arc<Metrics>,
    ) -> (Self, Entrance) {
        let (verdicts, heard) = mpsc::unbounded_channel();
        let (fresh_sender, fresh) = mpsc::unbounded_channel();
        let entrance = Entrance {
            id,
            leader: leader.clone(),
            batches: batches.clone(),
            verdicts: verdicts.clone(),
            fresh: fresh_sender,
        };
        let refused = BTreeSet::new();
        let doubt = DOUBT;
        (Self { id, registry, dialer, leader, batches, metrics, verdicts, heard, fresh, refused, doubt }, entrance)
    }

    /// Runs until every entrance is closed.
    pub(crate) async fn run(mut self) {
        let mut way = self.way();
        let mut retry_at = Instant::now() + self.doubt;
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                // What comes in all the time comes last.
                biased;
                changed = self.leader.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    way = self.way();
                    self.refused.clear();
                    self.send_all(&mut way);
                    retry_at = Instant::now() + self.doubt;
                }
                // A snapshot took the place of entries. Whose entry was among them is told the outcome when it is sent again.
                () = self.registry.skipped() => self.send_all(&mut way),
                () = tokio::time::sleep_until(retry_at) => {
                    if self.refused.is_empty() {
                        self.doubt(&mut way);
                    } else {
                        if way.is_broken() {
                            way = self.way();
                        }
                        for first in std::mem::take(&mut self.refused) {
                            increment(&self.metrics.propose_retries);
                            self.send(&mut way, first);
                        }
                    }
                    retry_at = Instant::now() + self.doubt;
                }
                Some((first, accepted)) = self.heard.recv() => {
                    if !accepted && self.registry.encoded(first).is_some() {
                        self.refused.insert(first);
                        retry_at = retry_at.min(Instant::now() + RETRY);
                    }
                }
                count = self.fresh.recv_many(&mut batch, 1024) => {
                    if count == 0 {
                        return;
                    }
                    for first in batch.drain(..) {
                        self.send(&mut way, first);
                    }
                }
            }
        }
    }

    fn way(&mut self) -> Way {
        let view = self.leader.borrow_and_update().clone();
        match view.leader {
            Some(leader) if leader == self.id => Way::Here,
            Some(leader) => {
                Way::There(Forwarder::start(self.dialer.clone(), leader, view.address, self.verdicts.clone()))
            }
            None => Way::Nowhere,
        }
    }

    fn send(&self, way: &mut Way, first: u64) {
        let Some((encoded, trace)) = self.registry.encoded(first) else { return };
        match way {
            Way::Here => {
                let verdict = Verdict { ticket: first, listener: self.verdicts.clone() };
                // Closed only while this member stops.
                let _ = self.batches.send(Item { encoded, verdict, trace });
            }
            Way::There(forwarder) => forwarder.send(first, encoded, trace),
            // Sent as soon as there is a leader.
            Way::Nowhere => {}
        }
    }

    fn send_all(&self, way: &mut Way) {
        for first in self.registry.waiting() {
            increment(&self.metrics.propose_retries);
            self.send(way, first);
        }
    }

    /// Sends again what has waited for long.
    fn doubt(&self, way: &mut Way) {
        for first in self.registry.waiting_longer_than(self.doubt) {
            increment(&self.metrics.propose_retries);
            self.send(way, first);
        }
    }
}

enum Way {
    Here,
    There(Forwarder),
    Nowhere,
}

impl Way {
    fn is_broken(&self) -> bool {
        matches!(self, Self::There(forwarder) if forwarder.is_broken())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use raft_state::Command;

    use super::*;
    use crate::config::{PeerTls, Timing};
    use crate::start::Hooks;
    use crate::wire::Letterhead;

    const OWN: u64 = 1;
    const NEVER: Duration = Duration::from_secs(3600);
    /// Longer than anything here takes, on the slowest machine.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn what_may_have_been_skipped_is_sent_again_at_once() {
        let registry = Arc::new(Registry::new(7));
        let letterhead = Letterhead { cluster: String::new(), id: OWN, retired: Default::default() };
        let tls = watch::Sender::new(PeerTls::default()).subscribe();
        let dialer = Arc::new(Dialer::new(letterhead, &tls, &Timing::default(), &Hooks::default()));
        let view = LeaderView { term: 1, leader: Some(OWN), address: String::new() };
        let (_leader, seen) = watch::channel(view);
        let (batches, mut items) = mpsc::unbounded_channel();
        let (mut router, entrance) = Router::new(OWN, registry.clone(), dialer, seen, batches, Arc::default());
        router.doubt = NEVER;
        tokio::spawn(router.run());
        let encode = |_, _: &[Command]| Ok::<_, Infallible>(Bytes::from_static(b"x"));
        let entered = registry.enter(&[Command::Compact { revision: 1 }], None, encode);
        let (first, encoded, _outcomes) = entered.expect("infallible");
        assert!(entrance.send(first, encoded, None));
        let mut sent = async || tokio::time::timeout(PATIENCE, items.recv()).await.ok().flatten();
        // The log took it, and its entry never comes.
        let item = sent().await.expect("it goes into the log");
        item.verdict.listener.send((item.verdict.ticket, true)).expect("a router");
        registry.skip();
        assert!(sent().await.is_some(), "it is sent again");
    }
}
