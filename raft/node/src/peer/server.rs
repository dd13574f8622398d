//! What this member answers on its peer port.

use std::sync::Arc;
use std::time::Duration;

use api_proto::peer as pb;
use futures::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use raft_trace::Context;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::batch::{Item, Verdict};
use crate::compare::Witness;
use crate::leader::Contact;
use crate::leases::{self, Leases};
use crate::members::admin::Admin;
use crate::peer::snapshot::Receiver;
use crate::reads::Reads;
use crate::space::{Room, Space};
use crate::types::{Fatal, LeaderId, LogId, Raft};
use crate::wire::{self, Letterhead};

/// What a running member answers.
pub(crate) struct MemberService {
    pub(crate) raft: Raft,
    pub(crate) letterhead: Letterhead,
    pub(crate) contact: Arc<Contact>,
    /// Told who broke off a stream of appends.
    pub(crate) broken: mpsc::UnboundedSender<u64>,
    pub(crate) batches: mpsc::UnboundedSender<Item>,
    pub(crate) reads: Reads,
    pub(crate) leases: Leases,
    pub(crate) snapshots: Receiver,
    pub(crate) admin: Admin,
    pub(crate) witness: Arc<Witness>,
    /// Whether this member is one of the first, and nobody has begun the cluster yet as far as it knows.
    pub(crate) is_first_member: bool,
}

pub(crate) type AppendStream = BoxStream<'static, Result<pb::AppendResponse, Status>>;
pub(crate) type ForwardStream = BoxStream<'static, Result<pb::ForwardResponse, Status>>;
/// Answers to questions for a read index.
pub(crate) type ReadIndexStream = BoxStream<'static, Result<pb::ReadIndexResponse, Status>>;

fn stopped(fatal: &Fatal) -> Status {
    Status::unavailable(format!("this member is stopping: {fatal}"))
}

impl MemberService {
    pub(crate) async fn append(
        &self,
        request: Request<Streaming<pb::AppendRequest>>,
    ) -> Result<Response<AppendStream>, Status> {
        let failure = Arc::new(Mutex::new(None));
        let peer = Arc::new(Mutex::new(0));
        let end = Arc::new(Mutex::new(None));
        let inbound = Inbound {
            raft: self.raft.clone(),
            end: end.clone(),
            has_entries: false,
            messages: request.into_inner(),
            letterhead: self.letterhead.clone(),
            contact: self.contact.clone(),
            broken: self.broken.clone(),
            failure: failure.clone(),
            peer: peer.clone(),
            space: self.witness.space.clone(),
        };
        let requests = stream::unfold(inbound, |mut inbound| async move {
            let request = inbound.next().await?;
            Some((request, inbound))
        });
        let letterhead = self.letterhead.clone();
        let answers = self.raft.stream_append(requests).map(move |result| match result {
            Ok(result) => Ok(wire::append_result_to(result, letterhead.to(*peer.lock()), end.lock().take())),
            Err(fatal) => Err(stopped(&fatal)),
        });
        // The status that ended the requests ends the answers too.
        let end = stream::once(async move { failure.lock().take() }).filter_map(|f| async move { f.map(Err) });
        Ok(Response::new(answers.chain(end).boxed()))
    }

    pub(crate) async fn vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteResponse>, Status> {
        let request = request.into_inner();
        let from = self.letterhead.check(request.header.as_ref())?;
        let answer = self.raft.vote(wire::vote_request_from(&request)?).await.map_err(unavailable)?;
        Ok(Response::new(wire::vote_response_to(&answer, self.letterhead.to(from))))
    }

    pub(crate) async fn pre_vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let request = request.into_inner();
        let from = self.letterhead.check(request.header.as_ref())?;
        let answer = self.raft.pre_vote(wire::vote_request_from(&request)?).await.map_err(unavailable)?;
        Ok(Response::new(wire::vote_response_to(&answer, self.letterhead.to(from))))
    }

    pub(crate) async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        let request = request.into_inner();
        let from = self.letterhead.check(request.header.as_ref())?;
        let (raft, order) = (self.raft.clone(), wire::transfer_from(&request)?);
        // On its own: the leader may give its question up before the log that it names is here.
        let obeying = tokio::spawn(async move { raft.handle_transfer_leader(order).await });
        let answer = obeying.await.map_err(unavailable)?.map_err(|f| stopped(&f))?;
        let refusal = answer.err().map(|e| e.to_string()).unwrap_or_default();
        Ok(Response::new(pb::TransferLeaderResponse { header: self.letterhead.to(from), refusal }))
    }

    pub(crate) async fn offer_snapshot(
        &self,
        request: Request<pb::SnapshotOffer>,
    ) -> Result<Response<pb::SnapshotProgress>, Status> {
        let offer = request.into_inner();
        let from = self.letterhead.check(offer.header.as_ref())?;
        let vote = openraft::async_runtime::watch::WatchReceiver::borrow_watched(&self.raft.metrics()).vote;
        let header = self.letterhead.to(from);
        if wire::vote_from(offer.leader.as_ref())? < vote {
            // Of a leader that was deposed; it learns so by the vote.
            return Ok(Response::new(pb::SnapshotProgress {
                header,
                held: Vec::new(),
                vote: Some(wire::vote_to(&vote)),
            }));
        }
        let held = self.snapshots.held(offer.meta.as_ref()).await?;
        Ok(Response::new(pb::SnapshotProgress { header, held, vote: Some(wire::vote_to(&vote)) }))
    }

    pub(crate) async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotChunk>>,
    ) -> Result<Response<pb::SnapshotInstalled>, Status> {
        let (from, vote, snapshot) = self.snapshots.receive(&self.letterhead, request.into_inner()).await?;
        let installed = self.raft.install_full_snapshot(vote, snapshot).await.map_err(|f| stopped(&f))?;
        let header = self.letterhead.to(from);
        Ok(Response::new(pb::SnapshotInstalled { header, vote: Some(wire::vote_to(&installed.vote)) }))
    }

    pub(crate) async fn forward(
        &self,
        request: Request<Streaming<pb::ForwardRequest>>,
    ) -> Result<Response<ForwardStream>, Status> {
        let mut inbound = request.into_inner();
        let (listener, verdicts) = mpsc::unbounded_channel();
        let (failed, failure) = oneshot::channel();
        let (letterhead, batches) = (self.letterhead.clone(), self.batches.clone());
        let peer = Arc::new(Mutex::new(0));
        let sender = peer.clone();
        tokio::spawn(async move {
            let status = loop {
                let message = match inbound.message().await {
                    Ok(Some(message)) => message,
                    Ok(None) => return,
                    Err(status) => break status,
                };
                match letterhead.check(message.header.as_ref()) {
                    Ok(from) => *sender.lock() = from,
                    Err(status) => break status,
                }
                for proposal in message.proposals {
                    let verdict = Verdict { ticket: proposal.ticket, listener: listener.clone() };
                    // Closed only while this member stops; the stream breaks with it.
                    let _ = batches.send(Item {
                        encoded: proposal.commands,
                        verdict,
                        trace: Context::from_bytes(&proposal.trace),
                    });
                }
            };
            let _ = failed.send(status);
        });
        let letterhead = self.letterhead.clone();
        let answers = UnboundedReceiverStream::new(verdicts).ready_chunks(256).map(move |verdicts| {
            let verdicts = verdicts.into_iter().map(|(ticket, accepted)| pb::Verdict { ticket, accepted }).collect();
            Ok(pb::ForwardResponse { header: letterhead.to(*peer.lock()), verdicts })
        });
        let end = stream::once(failure).filter_map(|f| async move { f.ok().map(Err) });
        Ok(Response::new(answers.chain(end).boxed()))
    }

    pub(crate) async fn read_index(
        &self,
        request: Request<Streaming<pb::ReadIndexRequest>>,
    ) -> Result<Response<ReadIndexStream>, Status> {
        let own = Arc::new((self.letterhead.clone(), self.reads.clone()));
        let answers = stream::try_unfold(request.into_inner(), move |mut questions| {
            let own = own.clone();
            async move {
                let (letterhead, reads) = &*own;
                let Some(question) = questions.message().await? else { return Ok(None) };
                let from = letterhead.check(question.header.as_ref())?;
                let patience = Duration::from_millis(u64::from(question.timeout_ms));
                let index = tokio::time::timeout(patience, reads.index(true)).await.ok().and_then(Result::ok);
                let (confirmed, index) = (index.is_some(), index.unwrap_or_default());
                Ok(Some((pb::ReadIndexResponse { header: letterhead.to(from), confirmed, index }, questions)))
            }
        });
        Ok(Response::new(answers.boxed()))
    }

    pub(crate) async fn leases(
        &self,
        request: Request<pb::LeasesRequest>,
    ) -> Result<Response<pb::LeasesResponse>, Status> {
        let request = request.into_inner();
        let header = self.letterhead.to(self.letterhead.check(request.header.as_ref())?);
        let patience = Duration::from_millis(u64::from(request.timeout_ms));
        let renewed = time_of(&self.leases, request.renew, true, patience);
        let asked = time_of(&self.leases, request.ask, false, patience);
        let (Some(renewed), Some(asked)) = tokio::join!(renewed, asked) else {
            return Ok(Response::new(pb::LeasesResponse { header, ..pb::LeasesResponse::default() }));
        };
        Ok(Response::new(pb::LeasesResponse { header, confirmed: true, renewed, asked }))
    }

    pub(crate) fn hello(&self, from: u64, birth: u64) -> pb::HelloResponse {
        let metrics = openraft::async_runtime::watch::WatchReceiver::borrow_watched(&self.raft.metrics()).clone();
        let effective = metrics.membership_config.membership();
        let agreed = metrics.committed_membership_config.membership().nodes().next().is_some();
        pb::HelloResponse {
            birth,
            formed: agreed || !self.is_first_member,
            yours: effective.get_node(&from).map_or(0, |address| address.birth),
            removed: self.letterhead.retired.contains(from),
            begun: effective.nodes().next().is_some() || !self.is_first_member,
        }
    }

    pub(crate) async fn enlist(&self, request: pb::EnlistRequest) -> pb::EnlistResponse {
        let member = request.member.unwrap_or_default();
        let member = wire::address_from(&member).member(0, false);
        let deadline = Instant::now() + Duration::from_millis(u64::from(request.timeout_ms));
        match self.admin.add(&member, deadline).await {
            Ok(id) => pb::EnlistResponse { id, refusal: String::new() },
            Err(e) => pb::EnlistResponse { id: 0, refusal: e.to_string() },
        }
    }

    pub(crate) async fn compare(
        &self,
        request: Request<pb::CompareRequest>,
    ) -> Result<Response<pb::CompareResponse>, Status> {
        let request = request.into_inner();
        let header = self.letterhead.to(self.letterhead.check(request.header.as_ref())?);
        Ok(Response::new(self.witness.answer(&request, header).await))
    }

    pub(crate) async fn administer(
        &self,
        request: Request<pb::AdministerRequest>,
    ) -> Result<Response<pb::AdministerResponse>, Status> {
        let request = request.into_inner();
        let header = self.letterhead.to(self.letterhead.check(request.header.as_ref())?);
        let order = request.order.ok_or_else(|| Status::invalid_argument("an order of nothing"))?;
        let result = Some(self.admin.orders.carry_out(order).await);
        Ok(Response::new(pb::AdministerResponse { header, result }))
    }
}

async fn time_of(leases: &Leases, ids: Vec<i64>, renew: bool, patience: Duration) -> Option<Vec<pb::LeaseTime>> {
    if ids.is_empty() {
        return Some(Vec::new());
    }
    let times = tokio::time::timeout(patience, leases.ask(ids, renew, true)).await.ok()?.ok()?;
    Some(times.into_iter().map(leases::time_to).collect())
}

fn unavailable(e: impl std::fmt::Display) -> Status {
    Status::unavailable(e.to_string())
}

/// A stream of appends, checked.
struct Inbound {
    raft: Raft,
    /// Goes with the first answer.
    end: Arc<Mutex<Option<LogId>>>,
    /// Whether it had entries so far.
    has_entries: bool,
    messages: Streaming<pb::AppendRequest>,
    letterhead: Letterhead,
    contact: Arc<Contact>,
    broken: mpsc::UnboundedSender<u64>,
    failure: Arc<Mutex<Option<Status>>>,
    peer: Arc<Mutex<u64>>,
    space: Arc<Space>,
}

impl Inbound {
    /// Where the log of this member ends, if nobody but this leader writes to it any more.
    async fn end_before(&self, leader: LeaderId) -> Option<LogId> {
        let end = self.raft.with_raft_state(move |state| {
            state.log_ids.last().copied().filter(|_| state.vote_ref().leader_id == leader)
        });
        // A core that has stopped says so when it is asked to append.
        end.await.ok().flatten()
    }

    async fn next(&mut self) -> Option<openraft::raft::AppendEntriesRequest<crate::types::TypeConfig>> {
        let request = match self.messages.message().await {
            Ok(Some(message)) => self.letterhead.check(message.header.as_ref()).and_then(|from| {
                *self.peer.lock() = from;
                // Heartbeats go on; what has to be stored waits until there is room.
                if !message.entries.is_empty() && self.space.room() == Room::Critical {
                    return Err(Status::resource_exhausted("the disk is full"));
                }
                wire::append_from(message)
            }),
            Ok(None) => return None,
            Err(status) => {
                let peer = *self.peer.lock();
                if peer != 0 {
                    // The listener lives as long as the member.
                    let _ = self.broken.send(peer);
                }
                Err(status)
            }
        };
        match request {
            Ok(request) => {
                if !self.has_entries && !request.entries.is_empty() {
                    self.has_entries = true;
                    *self.end.lock() = self.end_before(request.vote.leader_id).await;
                }
                self.contact.heard(*self.peer.lock());
                Some(request)
            }
            Err(status) => {
                *self.failure.lock() = Some(status);
                None
            }
        }
    }
}
