//! Group commit: what waits at the leader shares a log entry.

use std::sync::Arc;

use bytes::Bytes;
use openraft::impls::ProgressResponder;
use raft_trace::{Context, Span};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::config::Limits;
use crate::level::{Feature, Levels};
use crate::metrics::{Metrics, increment};
use crate::pace::{Gait, Pace};
use crate::record;
use crate::types::{Commands, Raft};

/// Entries that are not yet committed, at most. While they are on their way everything else gathers for the next one:
/// with one, a proposal waits for up to two round trips; with many, batches are small and fsyncs frequent.
const ENTRIES_IN_FLIGHT: usize = 3;

/// From proposal to commit is a round.
const GAIT: Gait = Gait { rounds: 1, callers_min: 8 };

/// One proposal on its way into the log.
pub(crate) struct Item {
    /// Encoded commands with their ids.
    pub(crate) encoded: Bytes,
    /// Told once whether the log took it.
    pub(crate) verdict: Verdict,
    /// The span that it is a part of, when it is traced.
    pub(crate) trace: Option<Context>,
}

/// Who wants to know whether the log took a proposal.
pub(crate) struct Verdict {
    /// Names the proposal to whoever listens.
    pub(crate) ticket: u64,
    /// Gets the ticket, and whether the log took it.
    pub(crate) listener: mpsc::UnboundedSender<(u64, bool)>,
}

impl Verdict {
    fn tell(self, accepted: bool) {
        // A listener that is gone retries through another leader or has given up.
        let _ = self.listener.send((self.ticket, accepted));
    }
}

/// Proposes what comes in, many at a time, for as long as the sender lives. On a member that does not lead, every
/// verdict is a refusal.
pub(crate) async fn run(
    raft: Raft,
    mut items: mpsc::UnboundedReceiver<Item>,
    limits: Limits,
    metrics: Arc<Metrics>,
    levels: Arc<Levels>,
) {
    let slots = Arc::new(Semaphore::new(ENTRIES_IN_FLIGHT));
    let mut pace = Pace::new(GAIT);
    let mut carried = None;
    loop {
        let first = match carried.take() {
            // The last entry was full, and so the next one may be.
            Some(item) => item,
            None => {
                let Some(item) = items.recv().await else { return };
                pace.turn().await;
                item
            }
        };
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let mut batch = vec![first];
        let mut bytes = batch[0].encoded.len();
        while let Ok(item) = items.try_recv() {
            if bytes + item.encoded.len() > limits.batch_bytes {
                carried = Some(item);
                break;
            }
            bytes += item.encoded.len();
            batch.push(item);
        }
        let proposals = batch.iter().map(|item| &item.encoded);
        let payload = record::join(proposals, levels.allow(Feature::CompressedEntries));
        if record::is_compressed(&payload) {
            increment(&metrics.compressed_entries);
        }
        let spans: Vec<Span> = batch.iter().filter_map(|item| item.trace).map(|of| span(of, batch.len())).collect();
        let verdicts: Vec<Verdict> = batch.into_iter().map(|item| item.verdict).collect();
        metrics.batch_proposals.record(verdicts.len() as u64);
        pace.begin(verdicts.len());
        let (responder, committed, completed) = ProgressResponder::new();
        let started = Instant::now();
        if raft.client_write_ff(Commands(payload), Some(responder)).await.is_err() {
            refuse(verdicts, carried, items).await;
            return;
        }
        let (metrics, lately) = (metrics.clone(), pace.lately().clone());
        tokio::spawn(async move {
            let is_committed = committed.await.is_ok();
            drop((slot, spans));
            if is_committed {
                metrics.commit_us.record_elapsed(started);
                lately.record(started.elapsed());
            }
            let accepted = matches!(completed.await, Ok(Ok(_)));
            for verdict in verdicts {
                verdict.tell(accepted);
            }
        });
    }
}

/// From the proposal of an entry to its commit, for one of those that share it.
fn span(part_of: Context, sharing: usize) -> Span {
    let mut span = Span::part_of(part_of, "commit");
    span.say("trireme.proposals", sharing as u64);
    span
}

/// Raft has stopped: everything is refused, so that it finds another way.
async fn refuse(verdicts: Vec<Verdict>, carried: Option<Item>, mut items: mpsc::UnboundedReceiver<Item>) {
    for verdict in verdicts.into_iter().chain(carried.map(|item| item.verdict)) {
        verdict.tell(false);
    }
    while let Some(item) = items.recv().await {
        item.verdict.tell(false);
    }
}
