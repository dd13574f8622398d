//! Which request goes where.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use prost::Message;

use crate::Face;
use crate::grpc::{self, Body, Source};
use crate::health::HealthCheckRequest;
use crate::status::{Code, Status};

/// Paths of the calls that come by the thousand: their futures are kept small and unboxed.
const PUT: &str = "/etcdserverpb.KV/Put";
const RANGE: &str = "/etcdserverpb.KV/Range";
const TXN: &str = "/etcdserverpb.KV/Txn";

impl Face {
    /// Answers one request: gRPC by its content type, a plain page otherwise.
    pub async fn call<B>(self: Arc<Self>, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: fmt::Display,
    {
        let is_grpc =
            request.headers().get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/grpc"));
        let (parts, body) = request.into_parts();
        if !is_grpc {
            let query = parts.uri.query().unwrap_or_default();
            return Box::pin(self.page(parts.uri.path(), query)).await;
        }
        let needs_leader = grpc::require_leader(&parts.headers);
        if needs_leader && !self.standing().borrow().ready {
            return grpc::status_response(&Status::NO_LEADER);
        }
        let deadline = crate::face::deadline(grpc::timeout(&parts.headers));
        let result = match parts.uri.path() {
            PUT => return grpc::unary_response(self.hot_put(body, deadline).await),
            RANGE => self.hot_range(body, deadline).await,
            TXN => return grpc::unary_response(self.hot_txn(body, deadline).await),
            path => Box::pin(self.other(path, body, needs_leader, deadline)).await,
        };
        result.unwrap_or_else(|status| grpc::status_response(&status))
    }

    /// A stream that ends when the face stops.
    fn stream(&self, source: Box<dyn Source>) -> Response<Body> {
        let mut stopping = self.stopping();
        let told = async move {
            if stopping.wait_for(|stopping| *stopping).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        grpc::stream_response(Box::new(UntilStopped { source, told: Box::pin(told) }))
    }

    /// The answer to a client that may not use this face.
    pub fn deny(is_grpc: bool) -> Response<Body> {
        let status = Status::new(Code::PermissionDenied, "etcdserver: permission denied");
        let mut response = grpc::status_response(&status);
        if !is_grpc {
            *response.status_mut() = http::StatusCode::FORBIDDEN;
        }
        response
    }

    async fn hot_put<B>(&self, body: B, deadline: Instant) -> Result<pb::PutResponse, Status>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
        B::Error: fmt::Display,
    {
        self.put(grpc::decode(grpc::unary(body).await?)?, deadline).await
    }

    async fn hot_range<B>(self: &Arc<Self>, body: B, deadline: Instant) -> Result<Response<Body>, Status>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
        B::Error: fmt::Display,
    {
        let request: pb::RangeRequest = grpc::decode(grpc::unary(body).await?)?;
        if request.range_end.is_empty() {
            return Ok(grpc::unary_response(self.range(request, deadline).await));
        }
        // Many keys may take long, and whoever serves this connection has other calls to see to.
        let face = self.clone();
        let read = tokio::spawn(async move { grpc::unary_response(face.range(request, deadline).await) });
        read.await.map_err(|error| Status::new(Code::Internal, format!("etcdserver: {error}")))
    }

    async fn hot_txn<B>(&self, body: B, deadline: Instant) -> Result<pb::TxnResponse, Status>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
        B::Error: fmt::Display,
    {
        self.txn(grpc::decode(grpc::unary(body).await?)?, deadline).await
    }

    async fn other<B>(
        self: &Arc<Self>,
        path: &str,
        body: B,
        needs_leader: bool,
        deadline: Instant,
    ) -> Result<Response<Body>, Status>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: fmt::Display,
    {
        let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
            return Err(Status::unknown_method("", path));
        };
        match (service, method) {
            ("etcdserverpb.Watch", "Watch") => return Ok(self.stream(self.watch(body, needs_leader))),
            ("etcdserverpb.Lease", "LeaseKeepAlive") => {
                return Ok(self.stream(self.lease_keep_alive(body, needs_leader)));
            }
            _ => {}
        }
        let message = Raw(grpc::unary(body).await?);
        let call: BoxFuture<'_, Result<Response<Body>, Status>> = match service {
            "etcdserverpb.KV" => Box::pin(self.kv_call(method, message, deadline)),
            "etcdserverpb.Lease" => Box::pin(self.lease_call(method, message, deadline)),
            "etcdserverpb.Cluster" => Box::pin(self.cluster_call(method, message, deadline)),
            "etcdserverpb.Maintenance" => Box::pin(self.maintenance_call(method, message, deadline)),
            "etcdserverpb.Auth" => Box::pin(async move { self.auth_call(method) }),
            "grpc.health.v1.Health" => Box::pin(async move { self.health_call(method, &message) }),
            _ => return Err(Status::unknown_method(service, method)),
        };
        call.await
    }

    async fn kv_call(&self, method: &str, message: Raw, deadline: Instant) -> Result<Response<Body>, Status> {
        match method {
            "DeleteRange" => one(self.delete_range(message.parse()?, deadline).await),
            "Compact" => one(self.compact(message.parse()?, deadline).await),
            "RangeStream" => self.range_stream(message.parse()?, deadline).await.map(|pieces| self.stream(pieces)),
            _ => Err(Status::unknown_method("etcdserverpb.KV", method)),
        }
    }

    async fn lease_call(&self, method: &str, message: Raw, deadline: Instant) -> Result<Response<Body>, Status> {
        match method {
            "LeaseGrant" => one(self.lease_grant(message.parse()?, deadline).await),
            "LeaseRevoke" => one(self.lease_revoke(message.parse()?, deadline).await),
            "LeaseTimeToLive" => one(self.lease_time_to_live(message.parse()?, deadline).await),
            "LeaseLeases" => one(self.lease_leases(deadline).await),
            _ => Err(Status::unknown_method("etcdserverpb.Lease", method)),
        }
    }

    async fn cluster_call(&self, method: &str, message: Raw, deadline: Instant) -> Result<Response<Body>, Status> {
        match method {
            "MemberList" => one(self.member_list(message.parse()?, deadline).await),
            "MemberAdd" => one(self.member_add(message.parse()?, deadline).await),
            "MemberRemove" => one(self.member_remove(message.parse()?, deadline).await),
            "MemberUpdate" => one(self.member_update(message.parse()?, deadline).await),
            "MemberPromote" => one(self.member_promote(message.parse()?, deadline).await),
            _ => Err(Status::unknown_method("etcdserverpb.Cluster", method)),
        }
    }

    async fn maintenance_call(&self, method: &str, message: Raw, deadline: Instant) -> Result<Response<Body>, Status> {
        match method {
            "Status" => one(Ok(self.status())),
            "Hash" => one(Ok(self.hash())),
            "HashKV" => one(self.hash_kv(message.parse()?, deadline).await),
            "Alarm" => one(self.alarm(&message.parse()?)),
            // There is nothing to do: what was forgotten takes no room.
            "Defragment" => one(Ok(pb::DefragmentResponse { header: None })),
            "Snapshot" => Ok(self.stream(self.snapshot())),
            "MoveLeader" => one(self.move_leader(message.parse()?, deadline).await),
            "Downgrade" => one(self.downgrade(&message.parse()?)),
            _ => Err(Status::unknown_method("etcdserverpb.Maintenance", method)),
        }
    }

    fn auth_call(&self, method: &str) -> Result<Response<Body>, Status> {
        match method {
            "AuthStatus" => one(Ok(self.auth_status())),
            "AuthDisable" => one(Ok(self.auth_disable())),
            _ => Err(Status::AUTH_NOT_ENABLED),
        }
    }

    fn health_call(&self, method: &str, message: &Raw) -> Result<Response<Body>, Status> {
        let _: HealthCheckRequest = message.parse()?;
        match method {
            "Check" => one(Ok(self.health())),
            "Watch" => Ok(self.stream(self.health_watch())),
            _ => Err(Status::unknown_method("grpc.health.v1.Health", method)),
        }
    }
}

fn one(result: Result<impl Message, Status>) -> Result<Response<Body>, Status> {
    result.map(|message| grpc::unary_response(Ok(message)))
}

/// A source until the face stops.
struct UntilStopped {
    source: Box<dyn Source>,
    told: BoxFuture<'static, ()>,
}

impl Source for UntilStopped {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        match self.told.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(Status::STOPPED))),
            Poll::Pending => self.source.poll_next(cx),
        }
    }
}

/// The bytes of a message whose type its method decides.
struct Raw(Bytes);

impl Raw {
    fn parse<M: Message + Default>(&self) -> Result<M, Status> {
        grpc::decode(self.0.clone())
    }
}
