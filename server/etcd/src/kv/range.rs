//! Reading a range at a revision.

use std::time::{Duration, Instant};

use api_proto::etcd::etcdserverpb as pb;
use raft_state::port::{ReadError, ReadLevel};
use raft_state::{Revision, Snapshot};

use super::{answer, check, convert};
use crate::Face;
use crate::status::Status;

/// How long a stale read waits for a revision that this member has not applied.
const CATCH_UP: Duration = Duration::from_secs(1);

impl Face {
    pub(crate) async fn range(
        &self,
        request: pb::RangeRequest,
        deadline: Instant,
    ) -> Result<pb::RangeResponse, Status> {
        check::range(&request)?;
        let read = convert::range(&request);
        let latest = self.reaching(read.revision, request.serializable, deadline).await?;
        let current = latest.revision();
        let found = match read.revision {
            None => read.read(&latest),
            Some(revision) => read.read(&self.past(latest, revision, deadline).await?),
        };
        Ok(answer::range(found, request.keys_only, self.header(current)))
    }

    /// The latest state, for a read at a revision. A stale read may name one that another member has handed out and this one
    /// has yet to apply, as etcd's transactional memory does: it lies in the future only when the leader says so.
    pub(crate) async fn reaching(
        &self,
        revision: Option<Revision>,
        serializable: bool,
        deadline: Instant,
    ) -> Result<Snapshot, Status> {
        let latest = self.latest(serializable, deadline).await?;
        if !serializable || revision.is_none_or(|revision| revision <= latest.revision()) {
            return Ok(latest);
        }
        // Without a leader the answer is this member's own.
        let confirmed = self.latest(false, deadline.min(Instant::now() + CATCH_UP)).await;
        Ok(confirmed.unwrap_or(latest))
    }

    /// The state at a revision that `latest` has reached.
    pub(crate) async fn past(
        &self,
        latest: Snapshot,
        revision: Revision,
        deadline: Instant,
    ) -> Result<Snapshot, Status> {
        if revision > latest.revision() {
            return Err(Status::FUTURE_REVISION);
        }
        if revision < latest.compacted() {
            return Err(Status::COMPACTED);
        }
        if revision == latest.revision() {
            return Ok(latest);
        }
        match self.store.read(ReadLevel::Exact(revision), deadline).await {
            Ok(snapshot) => Ok(snapshot),
            // Another's compaction came between.
            Err(ReadError::Compacted { .. }) => Err(Status::COMPACTED),
            Err(error) => Err(error.into()),
        }
    }
}
