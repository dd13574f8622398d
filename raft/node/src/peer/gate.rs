//! The peer service as the port sees it: open before this member knows which one it is. Until then it says hello and
//! nothing else.

use std::sync::{Arc, OnceLock};

use api_proto::peer as pb;
use api_proto::peer::peer_server::Peer;
use tonic::{Request, Response, Status, Streaming};

use crate::peer::server::{AppendStream, ForwardStream, MemberService, ReadIndexStream};
use crate::wire::check_cluster;

/// Serves the peer protocol.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) cluster: String,
    /// Of the data folder.
    pub(crate) birth: u64,
    pub(crate) member: Arc<OnceLock<MemberService>>,
}

impl Gate {
    fn member(&self) -> Result<&MemberService, Status> {
        self.member.get().ok_or_else(|| Status::unavailable("this member has not begun"))
    }
}

#[tonic::async_trait]
impl Peer for Gate {
    type AppendStream = AppendStream;
    type ForwardStream = ForwardStream;
    type ReadIndexStream = ReadIndexStream;

    async fn append(&self, request: Request<Streaming<pb::AppendRequest>>) -> Result<Response<AppendStream>, Status> {
        self.member()?.append(request).await
    }

    async fn vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteResponse>, Status> {
        self.member()?.vote(request).await
    }

    async fn pre_vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteResponse>, Status> {
        self.member()?.pre_vote(request).await
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        self.member()?.transfer_leader(request).await
    }

    async fn offer_snapshot(
        &self,
        request: Request<pb::SnapshotOffer>,
    ) -> Result<Response<pb::SnapshotProgress>, Status> {
        self.member()?.offer_snapshot(request).await
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotChunk>>,
    ) -> Result<Response<pb::SnapshotInstalled>, Status> {
        self.member()?.install_snapshot(request).await
    }

    async fn forward(
        &self,
        request: Request<Streaming<pb::ForwardRequest>>,
    ) -> Result<Response<ForwardStream>, Status> {
        self.member()?.forward(request).await
    }

    async fn read_index(
        &self,
        request: Request<Streaming<pb::ReadIndexRequest>>,
    ) -> Result<Response<ReadIndexStream>, Status> {
        self.member()?.read_index(request).await
    }

    async fn leases(&self, request: Request<pb::LeasesRequest>) -> Result<Response<pb::LeasesResponse>, Status> {
        self.member()?.leases(request).await
    }

    async fn hello(&self, request: Request<pb::HelloRequest>) -> Result<Response<pb::HelloResponse>, Status> {
        let request = request.into_inner();
        check_cluster(&self.cluster, request.protocol, &request.cluster)?;
        let empty = || pb::HelloResponse { birth: self.birth, ..pb::HelloResponse::default() };
        Ok(Response::new(self.member.get().map_or_else(empty, |member| member.hello(request.from, self.birth))))
    }

    async fn enlist(&self, request: Request<pb::EnlistRequest>) -> Result<Response<pb::EnlistResponse>, Status> {
        let request = request.into_inner();
        check_cluster(&self.cluster, request.protocol, &request.cluster)?;
        Ok(Response::new(self.member()?.enlist(request).await))
    }

    async fn compare(&self, request: Request<pb::CompareRequest>) -> Result<Response<pb::CompareResponse>, Status> {
        self.member()?.compare(request).await
    }

    async fn administer(
        &self,
        request: Request<pb::AdministerRequest>,
    ) -> Result<Response<pb::AdministerResponse>, Status> {
        self.member()?.administer(request).await
    }
}
