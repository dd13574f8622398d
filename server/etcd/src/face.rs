//! The face, and what its services share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use raft_state::port::{ReadLevel, Standing, Store};
use raft_state::{Command, KeyRange, Outcome, Revision, Snapshot};
use tokio::sync::watch;

use crate::headers::Headers;
use crate::operator::Operator;
use crate::status::{Code, Status};
use crate::watch::Hub;

/// How long a request may take when the client names no limit, as etcd's servers have it: elections within are waited for.
const REQUEST_LIMIT: Duration = Duration::from_secs(7);

/// What a face is made of.
pub struct Options {
    /// The store of this member.
    pub store: Arc<dyn Store>,
    /// The member itself.
    pub operator: Arc<dyn Operator>,
    /// Names the cluster; equal on all members.
    pub cluster_id: String,
    /// Keys that start with this are another face's: readable here, and not to be written.
    pub read_only: Option<Bytes>,
    /// Put before a member's peer address to make its peer URL: `https` or `http`.
    pub peer_scheme: &'static str,
}

/// One member's etcd v3 face.
pub struct Face {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) operator: Arc<dyn Operator>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) peer_scheme: &'static str,
    read_only: Option<KeyRange>,
    stopping: watch::Sender<bool>,
    pub(crate) headers: Arc<Headers>,
}

impl Face {
    /// A face over a store; it follows the store's events from now on, on the runtime of the caller.
    pub fn new(options: Options) -> Arc<Self> {
        let cluster_id = xxhash_rust::xxh3::xxh3_64(options.cluster_id.as_bytes());
        Arc::new(Self {
            headers: Arc::new(Headers { cluster_id, standing: options.store.standing() }),
            hub: Hub::start(&options.store),
            store: options.store,
            operator: options.operator,
            peer_scheme: options.peer_scheme,
            read_only: options.read_only.map(KeyRange::prefix),
            stopping: watch::Sender::new(false),
        })
    }

    /// Ends every stream, so that clients go on with another member. Calls in flight finish.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Turns true when streams are to end.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Where this member stands.
    pub(crate) fn standing(&self) -> watch::Receiver<Standing> {
        self.headers.standing.clone()
    }

    /// The header of a response at a revision.
    pub(crate) fn header(&self, revision: Revision) -> pb::ResponseHeader {
        self.headers.at(revision)
    }

    /// A header at this member's latest revision.
    pub(crate) fn header_now(&self) -> pb::ResponseHeader {
        self.header(self.store.snapshot().revision())
    }

    /// Proposes one command and waits until it is applied here. A refusal is an error.
    pub(crate) async fn propose(&self, command: Command, deadline: Instant) -> Result<Outcome, Status> {
        let mut outcomes = self.store.propose(vec![command], deadline).await?;
        match outcomes.pop() {
            Some(Outcome::Refused(refusal)) => Err(Status::from(&refusal)),
            Some(outcome) => Ok(outcome),
            None => Err(Status::new(Code::Internal, "etcdserver: a proposal without an outcome")),
        }
    }

    /// The latest state: confirmed by a quorum, or this member's own.
    pub(crate) async fn latest(&self, serializable: bool, deadline: Instant) -> Result<Snapshot, Status> {
        match serializable {
            true => Ok(self.store.snapshot()),
            false => Ok(self.store.read(ReadLevel::Linearizable, deadline).await?),
        }
    }

    /// Refuses writes to keys that belong to another face.
    pub(crate) fn check_writable(&self, touches: impl FnOnce(&KeyRange) -> bool) -> Result<(), Status> {
        match &self.read_only {
            Some(range) if touches(range) => Err(Status::new(
                Code::PermissionDenied,
                format!(
                    "etcdserver: permission denied: {} is read-only here, write through the Kubernetes API",
                    String::from_utf8_lossy(&range.start)
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// When a request that the client gave this long must be answered.
pub(crate) fn deadline(limit: Option<Duration>) -> Instant {
    Instant::now() + limit.map_or(REQUEST_LIMIT, |limit| limit.min(REQUEST_LIMIT))
}

/// A number of ours as etcd's messages have it. Revisions and counts stay far below 2⁵³.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
