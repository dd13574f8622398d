//! Leases.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use api_proto::etcd::etcdserverpb as pb;
use bytes::{Bytes, BytesMut};
use raft_state::port::{LeaseTime, ReadError};
use raft_state::{Command, Outcome};

use crate::Face;
use crate::face::{deadline, signed};
use crate::grpc::{self, Requests, Source};
use crate::status::{Code, Status};

/// The longest time to live, as etcd has it.
const TTL_MAX_S: i64 = 9_000_000_000;
/// The shortest: what is asked for below becomes this, as with etcd's default timing.
const TTL_MIN_S: i64 = 2;
/// Renewals that share a question to the leader.
const RENEWALS_MAX: usize = 4096;

impl Face {
    pub(crate) async fn lease_grant(
        &self,
        request: pb::LeaseGrantRequest,
        deadline: Instant,
    ) -> Result<pb::LeaseGrantResponse, Status> {
        if request.ttl > TTL_MAX_S {
            return Err(Status::LEASE_TTL_TOO_LARGE);
        }
        let ttl = request.ttl.max(TTL_MIN_S);
        loop {
            let id = if request.id == 0 { rand::random_range(1..=i64::MAX) } else { request.id };
            match self.propose(Command::LeaseGrant { id, ttl_s: ttl }, deadline).await {
                Ok(Outcome::LeaseGranted { revision, .. }) => {
                    let header = Some(self.header(revision));
                    return Ok(pb::LeaseGrantResponse { header, id, ttl, error: String::new() });
                }
                Ok(other) => return Err(Status::new(Code::Internal, format!("etcdserver: a grant came to {other:?}"))),
                Err(status) if request.id == 0 && status == Status::LEASE_EXISTS => {}
                Err(status) => return Err(status),
            }
        }
    }

    pub(crate) async fn lease_revoke(
        &self,
        request: pb::LeaseRevokeRequest,
        deadline: Instant,
    ) -> Result<pb::LeaseRevokeResponse, Status> {
        let revision = match self.propose(Command::LeaseRevoke { id: request.id }, deadline).await? {
            Outcome::LeaseEnded { revision, .. } => revision,
            _ => self.store.snapshot().revision(),
        };
        Ok(pb::LeaseRevokeResponse { header: Some(self.header(revision)) })
    }

    pub(crate) async fn lease_time_to_live(
        &self,
        request: pb::LeaseTimeToLiveRequest,
        deadline: Instant,
    ) -> Result<pb::LeaseTimeToLiveResponse, Status> {
        let state = self.latest(false, deadline).await?;
        let time = self.store.lease_times(vec![request.id], deadline).await?.pop().flatten();
        let header = Some(self.header(state.revision()));
        let Some(time) = time else {
            return Ok(pb::LeaseTimeToLiveResponse { header, id: request.id, ttl: -1, ..Default::default() });
        };
        let keys = if request.keys { state.attached(request.id).cloned().collect() } else { Vec::new() };
        let ttl = signed(time.left.as_secs());
        Ok(pb::LeaseTimeToLiveResponse { header, id: request.id, ttl, granted_ttl: time.granted_s, keys })
    }

    /// The lease that ends first comes first.
    pub(crate) async fn lease_leases(&self, deadline: Instant) -> Result<pb::LeaseLeasesResponse, Status> {
        let state = self.latest(false, deadline).await?;
        let ids: Vec<i64> = state.leases().keys().copied().collect();
        let times = self.store.lease_times(ids.clone(), deadline).await?;
        let mut running: Vec<(Duration, i64)> =
            ids.into_iter().zip(times).filter_map(|(id, time)| Some((time?.left, id))).collect();
        running.sort_unstable();
        Ok(pb::LeaseLeasesResponse {
            header: Some(self.header(state.revision())),
            leases: running.into_iter().map(|(_, id)| pb::LeaseStatus { id }).collect(),
        })
    }

    /// Answers renewals for as long as the client sends them. Those that wait together share one question to the leader,
    /// and their answers leave together.
    pub(crate) fn lease_keep_alive<B>(self: &Arc<Self>, body: B, needs_leader: bool) -> Box<dyn Source>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: fmt::Display,
    {
        Box::new(Renewals { face: self.clone(), requests: Requests::new(body), needs_leader, asked: None })
    }
}

type Asked = Pin<Box<dyn Future<Output = Result<Bytes, Status>> + Send>>;

struct Renewals<B> {
    face: Arc<Face>,
    requests: Requests<B>,
    needs_leader: bool,
    asked: Option<Asked>,
}

impl<B> Source for Renewals<B>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin,
    B::Error: fmt::Display,
{
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        loop {
            if let Some(asked) = &mut self.asked {
                let answered = std::task::ready!(asked.as_mut().poll(cx));
                self.asked = None;
                return Poll::Ready(Some(answered));
            }
            let mut ids = Vec::new();
            let ended = loop {
                match self.requests.poll_next::<pb::LeaseKeepAliveRequest>(cx) {
                    Poll::Pending if ids.is_empty() => return Poll::Pending,
                    Poll::Pending => break false,
                    Poll::Ready(Some(Ok(request))) if ids.len() < RENEWALS_MAX => ids.push(request.id),
                    Poll::Ready(Some(Ok(request))) => {
                        ids.push(request.id);
                        break false;
                    }
                    Poll::Ready(Some(Err(status))) => return Poll::Ready(Some(Err(status))),
                    Poll::Ready(None) => break true,
                }
            };
            if ended && ids.is_empty() {
                return Poll::Ready(None);
            }
            self.asked = Some(Box::pin(renew(self.face.clone(), ids, self.needs_leader)));
        }
    }
}

async fn renew(face: Arc<Face>, ids: Vec<i64>, needs_leader: bool) -> Result<Bytes, Status> {
    if needs_leader && !face.standing().borrow().ready {
        return Err(Status::NO_LEADER);
    }
    // Before the renewal: a lease that ended at a later revision may not seem to be renewed at or after its end.
    let header = face.header_now();
    let times = match face.store.lease_keep_alive(ids.clone(), deadline(None)).await {
        Ok(times) => times,
        Err(ReadError::Compacted { .. } | ReadError::DeadlineExceeded { .. }) => return Err(Status::TIMEOUT),
        Err(error) => return Err(error.into()),
    };
    let mut out = BytesMut::new();
    for (id, time) in ids.into_iter().zip(times) {
        let ttl = time.map_or(0, |time: LeaseTime| time.granted_s);
        grpc::append(&pb::LeaseKeepAliveResponse { header: Some(header), id, ttl }, &mut out);
    }
    Ok(out.freeze())
}
