//! `trireme.v1.Maintenance`: backups, compaction, hashes.

use std::sync::Arc;

use api_proto::v1;
use futures::stream::BoxStream;
use raft_node::Node;
use raft_state::port::{ReadLevel, Store};
use raft_state::{Command, Outcome};
use tonic::{Request, Response, Status};

use super::backup::Source;
use super::{Options, deadline, status};

/// The service.
pub(super) struct Service {
    node: Arc<Node>,
    source: Source,
}

impl Service {
    pub(super) fn new(options: &Options) -> Self {
        Self { node: options.node.clone(), source: options.source.clone() }
    }
}

#[tonic::async_trait]
impl v1::maintenance_server::Maintenance for Service {
    type BackupStream = BoxStream<'static, Result<v1::BackupChunk, Status>>;

    async fn backup(&self, request: Request<v1::BackupRequest>) -> Result<Response<Self::BackupStream>, Status> {
        let read = self.node.read(ReadLevel::Linearizable, deadline(request.metadata())).await;
        let snapshot = read.map_err(|error| status::reading(&error))?;
        self.source.stream(snapshot, request.get_ref()).map(Response::new)
    }

    async fn compact(&self, request: Request<v1::CompactRequest>) -> Result<Response<v1::CompactResponse>, Status> {
        let until = deadline(request.metadata());
        let revision = request.into_inner().revision;
        let proposed = self.node.propose(vec![Command::Compact { revision }], until).await;
        match proposed.map_err(|error| status::proposing(&error))?.into_iter().next() {
            Some(Outcome::Compacted { revision: floor }) => Ok(Response::new(v1::CompactResponse { floor })),
            Some(Outcome::Refused(refusal)) => Err(status::refused(&refusal)),
            other => Err(Status::internal(format!("a compaction came to {other:?}"))),
        }
    }

    async fn hash(&self, _: Request<v1::HashRequest>) -> Result<Response<v1::HashResponse>, Status> {
        let hash = self.node.state_hash();
        Ok(Response::new(v1::HashResponse {
            member: self.node.id(),
            applied_index: hash.index,
            revision: hash.revision,
            hash: hash.hash.to_be_bytes().to_vec().into(),
        }))
    }
}
