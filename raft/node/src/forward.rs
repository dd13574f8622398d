//! A follower's proposals on their way to the leader: one stream that carries them all.

use std::collections::BTreeSet;
use std::sync::Arc;

use api_proto::peer as pb;
use bytes::Bytes;
use futures::stream::{self, Stream};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tonic::Status;

use crate::peer::dial::{Dialer, Lane};
use crate::wire::Letterhead;

/// Proposals and bytes that share a message, at most (one large proposal may go beyond).
const MESSAGE_PROPOSALS: usize = 256;
const MESSAGE_BYTES: usize = 1 << 20;

/// The open stream to one leader.
pub(crate) struct Forwarder {
    proposals: mpsc::UnboundedSender<pb::Proposal>,
    verdicts: mpsc::UnboundedSender<(u64, bool)>,
    unanswered: Arc<Mutex<Unanswered>>,
}

#[derive(Default)]
struct Unanswered {
    tickets: BTreeSet<u64>,
    broken: bool,
}

impl Forwarder {
    /// Opens a stream. Each ticket sent on it is answered to `verdicts`, also when the stream breaks.
    pub(crate) fn start(
        dialer: Arc<Dialer>,
        leader: u64,
        address: String,
        verdicts: mpsc::UnboundedSender<(u64, bool)>,
    ) -> Self {
        let (proposals, queue) = mpsc::unbounded_channel();
        let unanswered = Arc::new(Mutex::new(Unanswered::default()));
        let forwarder = Self { proposals, verdicts: verdicts.clone(), unanswered: unanswered.clone() };
        tokio::spawn(async move {
            if let Err(status) = carry(&dialer, leader, &address, queue, &verdicts, &unanswered).await {
                tracing::debug!(leader, "forwarding to the leader broke off: {status}");
            }
            let mut unanswered = unanswered.lock();
            unanswered.broken = true;
            for ticket in std::mem::take(&mut unanswered.tickets) {
                // The router outlives its streams but for the member's end.
                let _ = verdicts.send((ticket, false));
            }
        });
        forwarder
    }

    pub(crate) fn send(&self, ticket: u64, commands: Bytes) {
        let mut unanswered = self.unanswered.lock();
        if unanswered.broken {
            let _ = self.verdicts.send((ticket, false));
            return;
        }
        unanswered.tickets.insert(ticket);
        // A queue that closes just now means that the stream is about to be broken, and this ticket is among its own.
        let _ = self.proposals.send(pb::Proposal { ticket, commands });
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.unanswered.lock().broken
    }
}

/// Carries proposals until the queue is closed or the stream breaks.
async fn carry(
    dialer: &Dialer,
    leader: u64,
    address: &str,
    queue: mpsc::UnboundedReceiver<pb::Proposal>,
    verdicts: &mpsc::UnboundedSender<(u64, bool)>,
    unanswered: &Mutex<Unanswered>,
) -> Result<(), Status> {
    let mut client = dialer.client(leader, address, Lane::Forward).map_err(|e| Status::unavailable(e.to_string()))?;
    let messages = messages(queue, dialer.letterhead.clone(), leader);
    let mut answers = client.forward(messages).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        dialer.letterhead.check(answer.header.as_ref())?;
        for verdict in answer.verdicts {
            unanswered.lock().tickets.remove(&verdict.ticket);
            let _ = verdicts.send((verdict.ticket, verdict.accepted));
        }
    }
    Ok(())
}

/// What waits in the queue whenever the stream has room makes the next message.
fn messages(
    queue: mpsc::UnboundedReceiver<pb::Proposal>,
    letterhead: Letterhead,
    leader: u64,
) -> impl Stream<Item = pb::ForwardRequest> + Send + 'static {
    stream::unfold((queue, letterhead), move |(mut queue, letterhead)| async move {
        let first = queue.recv().await?;
        let mut bytes = first.commands.len();
        let mut proposals = vec![first];
        while proposals.len() < MESSAGE_PROPOSALS
            && bytes < MESSAGE_BYTES
            && let Ok(proposal) = queue.try_recv()
        {
            bytes += proposal.commands.len();
            proposals.push(proposal);
        }
        let header = letterhead.to(leader);
        Some((pb::ForwardRequest { header, proposals }, (queue, letterhead)))
    })
}
