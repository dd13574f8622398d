//! Reading a range at a revision.

use std::time::Instant;

use api_proto::etcd::etcdserverpb as pb;
use raft_state::port::{ReadError, ReadLevel};
use raft_state::{Revision, Snapshot};

use super::{answer, check, convert};
use crate::Face;
use crate::status::Status;

impl Face {
    pub(crate) async fn range(
        &self,
        request: pb::RangeRequest,
        deadline: Instant,
    ) -> Result<pb::RangeResponse, Status> {
        check::range(&request)?;
        let read = convert::range(&request);
        let latest = self.latest(request.serializable, deadline).await?;
        let current = latest.revision();
        let found = match read.revision {
            None => read.read(&latest),
            Some(revision) => read.read(&self.past(latest, revision, deadline).await?),
        };
        Ok(answer::range(found, request.keys_only, self.header(current)))
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
