//! How openraft reaches the other members.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, Stream};
use openraft::error::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use tokio::sync::watch;
use tonic::Status;

use api_proto::peer as pb;

use raft_state::Keyring;

use crate::checkpoint::Checkpoint;
use crate::ground::StateDisk;
use crate::holds::Holds;
use crate::peer::answers::{Asked, Moment};
use crate::peer::beats::{Beats, Pulse};
use crate::peer::dial::{Client, Dialer, Lane};
use crate::peer::snapshot::{self, Broken};
use crate::retreat::Alarm;
use crate::types::{Address, LeaderId, TypeConfig, Vote};
use crate::wire;

/// Makes clients of peers.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) suspicion: Suspicion,
    pub(crate) holds: Holds,
    /// As the leader: nothing is to be sent to followers now.
    pub(crate) quiet: watch::Receiver<bool>,
}

/// What a member does that may have sent something damaged.
#[derive(Clone)]
pub(crate) struct Suspicion {
    pub(crate) alarm: Alarm,
    pub(crate) store: Arc<dyn StateDisk>,
    pub(crate) keyring: Arc<dyn Keyring>,
}

impl Suspicion {
    /// A snapshot of this member did not get through: it may be this member's own fault, and then it steps back.
    async fn look_into(&self, broken: &Broken, checkpoint: &Checkpoint) {
        match broken {
            Broken::Unreadable(error) => self.alarm.raise(format!("its snapshot cannot be read: {error}")),
            Broken::Damaged(status) => {
                tracing::error!("a peer refuses this member's snapshot: {}", status.message());
                match checkpoint.examine(self.store.clone(), self.keyring.clone()).await {
                    Ok(_) => tracing::warn!("the snapshot is sound here: it was damaged on its way"),
                    Err(error) => self.alarm.raise(format!("its snapshot is damaged: {error}")),
                }
            }
            Broken::Peer(status) => tracing::warn!("sending a snapshot broke off: {status}"),
        }
    }
}

impl Network {
    fn link(&self, peer: u64, node: &Address, lane: Lane) -> PeerLink {
        PeerLink {
            dialer: self.dialer.clone(),
            suspicion: self.suspicion.clone(),
            holds: self.holds.clone(),
            quiet: self.quiet.clone(),
            peer,
            address: node.peer.clone(),
            lane,
            failures: 0,
            beats: None,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = PeerLink;

    /// For replication, and for votes too: those go out on the control lane whatever the link's own is.
    async fn new_client(&mut self, target: u64, node: &Address) -> PeerLink {
        self.link(target, node, Lane::Replication)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Address) -> PeerLink {
        self.link(target, node, Lane::Control)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &Address) -> PeerLink {
        self.link(target, node, Lane::Bulk)
    }
}

/// A client of one peer.
pub(crate) struct PeerLink {
    dialer: Arc<Dialer>,
    suspicion: Suspicion,
    holds: Holds,
    quiet: watch::Receiver<bool>,
    peer: u64,
    address: String,
    lane: Lane,
    /// Streams in a row that could not be opened.
    failures: usize,
    /// The stream that heartbeats share, while it is sound.
    beats: Option<Beats>,
}

impl PeerLink {
    fn client(&self, lane: Lane) -> Result<Client, Unreachable<TypeConfig>> {
        let address = self.dialer.address(self.peer, &self.address);
        self.dialer.client(self.peer, &address, lane).map_err(|e| Unreachable::new(&e))
    }

    fn header(&self) -> Option<pb::Header> {
        self.dialer.letterhead.to(self.peer)
    }

    /// openraft waits between requests of a stream, but not between streams that could not even be opened.
    async fn rest(&mut self) {
        if self.lane == Lane::Replication {
            tokio::time::sleep(backoff().nth(self.failures).unwrap_or_default()).await;
            self.failures += 1;
        }
    }

    /// One heartbeat on the stream that they share. A stream that was open already may have broken meanwhile, so then there is
    /// a second attempt. openraft may give this up before there is an answer: the stream stays, on its way or open.
    async fn beat(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
    ) -> Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>> {
        let leader = request.vote.leader_id;
        self.dialer.leads_as(self.peer, leader);
        let message = wire::append_to(request, self.header());
        if self.beats.as_ref().is_some_and(|beats| beats.is_of(leader))
            && let Ok(result) = self.beat_on(message.clone()).await
        {
            return Ok(result);
        }
        self.beats = Some(Beats::begin(self.client(self.lane)?, leader));
        self.beat_on(message).await
    }

    /// One heartbeat on that stream, which is let go of when it has ended: the peer ends it with its first refusal.
    async fn beat_on(
        &mut self,
        message: pb::AppendRequest,
    ) -> Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>> {
        let now = self.dialer.answers.now();
        let Some(beats) = &mut self.beats else {
            return Err(self.unreachable(&Status::unavailable("no stream is open")));
        };
        let mut pulse = match beats.send(message, now) {
            Ok(()) => beats.next().await,
            Err(status) => Err(status),
        };
        let result = loop {
            let result = pulse.map_err(|s| self.unreachable(&s)).and_then(|pulse| self.feel(pulse));
            match self.beats.as_mut().filter(|_| matches!(result, Ok(Ok(_)))).and_then(Beats::ready) {
                Some(next) => pulse = next,
                None => break result,
            }
        };
        if !matches!(result, Ok(Ok(_))) {
            self.beats = None;
        }
        result
    }

    fn feel(&self, pulse: Pulse) -> Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>> {
        let result = self.answer(pulse.answer, Some((pulse.leader, pulse.sent)))?;
        if pulse.is_late && matches!(result, Err(StreamAppendError::Conflict(_))) {
            // openraft would take it for an answer to what it has sent since, which may say less of the peer's log.
            return Err(self.unreachable(&Status::aborted("a conflict of before")));
        }
        Ok(result)
    }

    /// Takes an answer to what this leader sent then.
    fn answer(
        &self,
        answer: pb::AppendResponse,
        to: Option<(LeaderId, Moment)>,
    ) -> Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>> {
        self.check(answer.header.as_ref())?;
        let end = wire::append_end_from(&answer);
        let mut result = wire::append_result_from(answer).map_err(|s| self.unreachable(&s))?;
        if let (Ok(upto), Some(end), Some((leader, _))) = (&mut result, end, to)
            && Some(end) > *upto
            && self.dialer.stood.holds(leader, &end)
        {
            *upto = Some(end);
        }
        self.check_memory(&result)?;
        // Also who lacks entries follows.
        if let (Ok(_) | Err(StreamAppendError::Conflict(_)), Some((leader, sent))) = (&result, to) {
            self.dialer.answers.heard(self.peer, leader, sent);
        }
        Ok(result)
    }

    async fn ask_for_vote(
        &self,
        request: VoteRequest<TypeConfig>,
        pre: bool,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let mut client = self.client(Lane::Control)?;
        if !pre {
            self.dialer.stood.stand(request.vote.leader_id, request.last_log_id);
        }
        let request = wire::vote_request_to(&request, self.header());
        let response = if pre { client.pre_vote(request).await } else { client.vote(request).await };
        let response = response.map_err(|s| self.unreachable(&s))?.into_inner();
        self.check(response.header.as_ref())?;
        wire::vote_response_from(&response).map_err(|s| self.unreachable(&s))
    }

    fn check(&self, header: Option<&pb::Header>) -> Result<(), RPCError<TypeConfig>> {
        self.dialer.letterhead.check(header).map(drop).map_err(|s| self.unreachable(&s))
    }

    /// A peer that lost what it had acknowledged has also forgotten its vote. openraft takes that for a defect of its
    /// own and dies of it; here the peer is left alone until it rejoins as a new member.
    fn check_memory(&self, result: &StreamAppendResult<TypeConfig>) -> Result<(), RPCError<TypeConfig>> {
        match result {
            Ok(upto) => self.dialer.stored(self.peer, upto.map(|id| id.index)),
            Err(StreamAppendError::Conflict(at)) if self.dialer.has_forgotten(self.peer, at.index) => {
                let what = format!("the peer at {} has lost its log and must rejoin under a new id", self.address);
                self.dialer.complain(self.peer, &what);
                return Err(RPCError::Unreachable(Unreachable::from_string(what)));
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn unreachable(&self, status: &Status) -> RPCError<TypeConfig> {
        if status.code() == tonic::Code::FailedPrecondition {
            self.dialer.complain(self.peer, &format!("the peer at {} refuses us: {}", self.address, status.message()));
        }
        RPCError::Unreachable(Unreachable::new(status))
    }
}

/// How long replication leaves a peer alone that cannot be reached: so short that a restarted one is not kept waiting,
/// so long that a dead one costs nothing.
fn backoff() -> impl Iterator<Item = Duration> + Send {
    [5, 10, 20, 40].into_iter().chain(std::iter::repeat(80)).map(Duration::from_millis)
}

/// The same, each kept back for as long as this member is quiet: an entry, like a heartbeat, would keep its receiver from voting.
fn held<S: Stream + Unpin>(input: S, quiet: watch::Receiver<bool>) -> impl Stream<Item = S::Item> {
    futures::stream::unfold((input, quiet), |(mut input, mut quiet)| async move {
        let item = input.next().await?;
        // Whoever said so is gone: this member stops.
        let _ = quiet.wait_for(|quiet| !quiet).await;
        Some((item, (input, quiet)))
    })
}

impl RaftNetworkV2<TypeConfig> for PeerLink {
    type SnapshotData = Checkpoint;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let answers = self.stream_append(Box::pin(futures::stream::iter([request])), option).await?;
        let first = { answers }.next().await;
        match first {
            Some(result) => result.map(AppendEntriesResponse::from),
            None => Err(RPCError::Network(NetworkError::from_string("the peer ended the stream without an answer"))),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>, RPCError<TypeConfig>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        if self.lane == Lane::Control {
            let beats = futures::stream::unfold((self, input), |(link, mut input)| async move {
                let request = input.next().await?;
                Some((link.beat(request).await, (link, input)))
            });
            return Box::pin(async move { Ok(beats.boxed()) });
        }
        let (header, dialer, peer) = (self.header(), self.dialer.clone(), self.peer);
        // A stream belongs to one leader.
        let asked = Arc::new((Asked::default(), OnceLock::new()));
        let asks = asked.clone();
        let requests = held(input, self.quiet.clone()).map(move |request| {
            let leader = *asks.1.get_or_init(|| request.vote.leader_id);
            dialer.leads_as(peer, leader);
            asks.0.ask(dialer.answers.now());
            wire::append_to(request, header.clone())
        });
        Box::pin(async move {
            let mut client = self.client(self.lane)?;
            let response = match client.append(requests).await {
                Ok(response) => response,
                Err(status) => {
                    self.rest().await;
                    return Err(self.unreachable(&status));
                }
            };
            self.failures = 0;
            let link = &*self;
            let answers = response.into_inner().map(move |answer| {
                let answer = answer.map_err(|s| link.unreachable(&s))?;
                link.answer(answer, asked.1.get().copied().zip(asked.0.answer()))
            });
            Ok(answers.boxed())
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask_for_vote(request, false).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask_for_vote(request, true).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: openraft::alias::SnapshotOf<TypeConfig, Checkpoint>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let client = self.client(Lane::Bulk)?;
        let checkpoint = snapshot.snapshot.clone();
        let hold = self.holds.hold(snapshot.meta.last_log_id.map_or(0, |last| last.index));
        let send = async move {
            let sent = snapshot::send(client, self.header(), &self.dialer.letterhead, vote, snapshot).await;
            if let Err(broken) = &sent {
                self.suspicion.look_into(broken, &checkpoint).await;
            }
            if sent.is_ok() {
                hold.linger();
            }
            // Tried again in any case: the Raft core must not end while this member may still be needed.
            sent.map_err(|_| StreamingError::Unreachable(Unreachable::from_string("the snapshot did not get through")))
        };
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = send => sent,
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let mut client = self.client(Lane::Control)?;
        let message = wire::transfer_to(&request, self.header());
        let response = client.transfer_leader(message).await.map_err(|s| self.unreachable(&s))?.into_inner();
        self.check(response.header.as_ref())?;
        if response.refusal.is_empty() {
            return Ok(Ok(()));
        }
        // Why it refused is for people only; openraft does nothing with the variants.
        tracing::warn!(peer = self.peer, "the chosen successor refuses: {}", response.refusal);
        let expected = request.last_log_id().copied();
        Ok(Err(TransferLeaderError::LogNotFlushed { expected, actual: None }))
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(backoff()))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_is_sent_waits_until_its_sender_is_quiet_no_longer() {
        let (quiet, is_quiet) = watch::channel(false);
        let mut sent = std::pin::pin!(held(futures::stream::iter([1, 2, 3]), is_quiet));
        assert_eq!(sent.next().now_or_never(), Some(Some(1)));
        quiet.send_replace(true);
        assert_eq!(sent.next().now_or_never(), None);
        assert_eq!(sent.next().now_or_never(), None);
        quiet.send_replace(false);
        assert_eq!(sent.next().now_or_never(), Some(Some(2)), "nothing is lost meanwhile");
        assert_eq!(sent.next().now_or_never(), Some(Some(3)));
        assert_eq!(sent.next().now_or_never(), Some(None));
    }
}
