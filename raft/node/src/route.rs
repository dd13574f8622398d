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

/// A proposal that was accepted yet has not shown up here for so long is sent again: this member may have skipped its
/// entry by installing a snapshot.
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
        (Self { id, registry, dialer, leader, batches, metrics, verdicts, heard, fresh, refused }, entrance)
    }

    /// Runs until every entrance is closed.
    pub(crate) async fn run(mut self) {
        let mut way = self.way();
        let mut retry_at = Instant::now() + DOUBT;
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
                    retry_at = Instant::now() + DOUBT;
                }
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
                    retry_at = Instant::now() + DOUBT;
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
        for first in self.registry.waiting_longer_than(DOUBT) {
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
