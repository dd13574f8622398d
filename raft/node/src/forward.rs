//! A follower's proposals on their way to the leader: one stream that carries them all.

use std::collections::BTreeMap;
use std::sync::Arc;

use api_proto::peer as pb;
use bytes::Bytes;
use futures::stream::{self, Stream};
use parking_lot::Mutex;
use raft_trace::Context;
use tokio::sync::{Semaphore, mpsc};
use tonic::Status;

use crate::peer::dial::{Dialer, Lane};
use crate::wire::Letterhead;

/// Messages that the leader has not answered yet, at most. While they are on their way everything else gathers for the
/// next one, as proposals do at the leader: a message costs far more than one proposal more in it.
const MESSAGES_IN_FLIGHT: usize = 2;

/// Proposals and bytes that share a message, at most (one large proposal may go beyond).
const MESSAGE_PROPOSALS: usize = 256;
const MESSAGE_BYTES: usize = 1 << 20;

/// The open stream to one leader.
pub(crate) struct Forwarder {
    proposals: mpsc::UnboundedSender<pb::Proposal>,
    verdicts: mpsc::UnboundedSender<(u64, bool)>,
    unanswered: Arc<Mutex<Unanswered>>,
}

struct Unanswered {
    /// With the number of the message that each went out with last; 0 while it waits.
    tickets: BTreeMap<u64, u64>,
    /// Messages by number, with how many of their tickets have no answer.
    messages: BTreeMap<u64, usize>,
    sent: u64,
    /// Room for messages.
    slots: Arc<Semaphore>,
    broken: bool,
}

impl Unanswered {
    fn new() -> Self {
        let slots = Arc::new(Semaphore::new(MESSAGES_IN_FLIGHT));
        Self { tickets: BTreeMap::new(), messages: BTreeMap::new(), sent: 0, slots, broken: false }
    }

    /// These go out in one message.
    fn send(&mut self, proposals: &[pb::Proposal]) {
        self.sent += 1;
        self.messages.insert(self.sent, proposals.len());
        for proposal in proposals {
            // Sent again, it is waited for in its last message alone.
            let before = self.tickets.insert(proposal.ticket, self.sent);
            self.count_off(before.unwrap_or(0));
        }
    }

    fn answer(&mut self, ticket: u64) {
        let message = self.tickets.remove(&ticket);
        self.count_off(message.unwrap_or(0));
    }

    fn count_off(&mut self, message: u64) {
        let Some(left) = self.messages.get_mut(&message) else { return };
        *left -= 1;
        if *left == 0 {
            self.messages.remove(&message);
            self.slots.add_permits(1);
        }
    }
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
        let unanswered = Arc::new(Mutex::new(Unanswered::new()));
        let forwarder = Self { proposals, verdicts: verdicts.clone(), unanswered: unanswered.clone() };
        tokio::spawn(async move {
            if let Err(status) = carry(&dialer, leader, &address, queue, &verdicts, &unanswered).await {
                tracing::debug!(leader, "forwarding to the leader broke off: {status}");
            }
            let mut unanswered = unanswered.lock();
            unanswered.broken = true;
            for ticket in std::mem::take(&mut unanswered.tickets).into_keys() {
                // The router outlives its streams but for the member's end.
                let _ = verdicts.send((ticket, false));
            }
        });
        forwarder
    }

    pub(crate) fn send(&self, ticket: u64, commands: Bytes, trace: Option<Context>) {
        let mut unanswered = self.unanswered.lock();
        if unanswered.broken {
            let _ = self.verdicts.send((ticket, false));
            return;
        }
        unanswered.tickets.entry(ticket).or_insert(0);
        // A queue that closes just now means that the stream is about to be broken, and this ticket is among its own.
        let trace = trace.map(|trace| Bytes::copy_from_slice(&trace.to_bytes())).unwrap_or_default();
        let _ = self.proposals.send(pb::Proposal { ticket, commands, trace });
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
    unanswered: &Arc<Mutex<Unanswered>>,
) -> Result<(), Status> {
    let mut client = dialer.client(leader, address, Lane::Forward).map_err(|e| Status::unavailable(e.to_string()))?;
    let messages = messages(queue, dialer.letterhead.clone(), leader, unanswered.clone());
    let mut answers = client.forward(messages).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        dialer.letterhead.check(answer.header.as_ref())?;
        for verdict in answer.verdicts {
            unanswered.lock().answer(verdict.ticket);
            let _ = verdicts.send((verdict.ticket, verdict.accepted));
        }
    }
    Ok(())
}

/// What waits in the queue whenever there is room for a message makes the next one.
fn messages(
    queue: mpsc::UnboundedReceiver<pb::Proposal>,
    letterhead: Letterhead,
    leader: u64,
    unanswered: Arc<Mutex<Unanswered>>,
) -> impl Stream<Item = pb::ForwardRequest> + Send + 'static {
    let slots = unanswered.lock().slots.clone();
    stream::unfold(
        (queue, letterhead, unanswered, slots),
        move |(mut queue, letterhead, unanswered, slots)| async move {
            // Given back when the leader has answered.
            slots.acquire().await.ok()?.forget();
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
            unanswered.lock().send(&proposals);
            let header = letterhead.to(leader);
            Some((pb::ForwardRequest { header, proposals }, (queue, letterhead, unanswered, slots)))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_makes_room_when_all_that_it_carried_is_answered() {
        let mut unanswered = Unanswered::new();
        let proposals = |tickets: &[u64]| -> Vec<pb::Proposal> {
            tickets.iter().map(|ticket| pb::Proposal { ticket: *ticket, ..pb::Proposal::default() }).collect()
        };
        let room = |unanswered: &Unanswered| unanswered.slots.available_permits() - MESSAGES_IN_FLIGHT;
        unanswered.send(&proposals(&[1, 2]));
        unanswered.answer(1);
        assert_eq!(room(&unanswered), 0);
        unanswered.answer(2);
        assert_eq!(room(&unanswered), 1);
        // Sent once more before the answer to the first time: the first message waits for it no longer.
        unanswered.send(&proposals(&[3]));
        unanswered.send(&proposals(&[3, 4]));
        assert_eq!(room(&unanswered), 2);
        unanswered.answer(3);
        unanswered.answer(4);
        unanswered.answer(4);
        assert_eq!(room(&unanswered), 3);
    }
}
