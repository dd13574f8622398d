//! The header of every response.

use api_proto::etcd::etcdserverpb as pb;
use raft_state::Revision;
use raft_state::port::Standing;
use tokio::sync::watch;

use crate::face::signed;

/// Makes headers: cluster, member and term are as they are now.
pub(crate) struct Headers {
    pub(crate) cluster_id: u64,
    pub(crate) standing: watch::Receiver<Standing>,
}

impl Headers {
    /// The header of a response at a revision.
    pub(crate) fn at(&self, revision: Revision) -> pb::ResponseHeader {
        let standing = self.standing.borrow();
        pb::ResponseHeader {
            cluster_id: self.cluster_id,
            member_id: standing.id,
            revision: signed(revision),
            raft_term: standing.term,
        }
    }
}
