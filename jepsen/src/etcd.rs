//! Clients of the etcd face, and what an answer tells for certain.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use api_proto::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use api_proto::etcd::etcdserverpb::kv_client::KvClient;
use api_proto::etcd::etcdserverpb::lease_client::LeaseClient;
use api_proto::etcd::etcdserverpb::request_op::Request;
use api_proto::etcd::etcdserverpb::response_op::Response;
use api_proto::etcd::etcdserverpb::{
    Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest, PutRequest,
    RangeRequest, RequestOp, TxnRequest, TxnResponse,
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};

use crate::cluster::Cluster;
use crate::samples::Sample;
use crate::world::World;

/// A connection that is not there by then is not there.
const CONNECTING_LIMIT: Duration = Duration::from_secs(1);
/// What a client waits for an answer.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(3);

/// What a request came to.
#[derive(Debug)]
pub enum Answer<T> {
    /// It was done.
    Done(T),
    /// It was not done, for the request's own reasons.
    Refused(String),
    /// It never left.
    NotSent(String),
    /// It may have been done.
    Unknown(String),
}

impl<T> Answer<T> {
    fn of(result: Result<T, Status>) -> Self {
        match result {
            Ok(answer) => Self::Done(answer),
            Err(status) => match status.code() {
                Code::InvalidArgument
                | Code::NotFound
                | Code::AlreadyExists
                | Code::PermissionDenied
                | Code::FailedPrecondition
                | Code::OutOfRange
                | Code::Unimplemented
                | Code::Unauthenticated => Self::Refused(status.message().to_owned()),
                _ => Self::Unknown(format!("{:?}: {}", status.code(), status.message())),
            },
        }
    }
}

/// A connection to a master's etcd face as administrator.
///
/// # Errors
/// When it does not answer.
pub async fn connect(cluster: &Cluster, master: usize) -> Result<Channel> {
    open(cluster, master, administrator(cluster)?).await
}

fn administrator(cluster: &Cluster) -> Result<ClientTlsConfig> {
    let read = |name: &str| {
        let path = cluster.folder().join("admin").join(name);
        std::fs::read(&path).with_context(|| format!("reading {}", path.display()))
    };
    Ok(ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read("ca.crt")?))
        .identity(Identity::from_pem(read("admin.crt")?, read("admin.key")?)))
}

async fn open(cluster: &Cluster, master: usize, tls: ClientTlsConfig) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("https://{}", cluster.site().etcd(master)))?
        .tls_config(tls)?
        .connect_timeout(CONNECTING_LIMIT)
        .tcp_nodelay(true);
    Ok(tokio::time::timeout(CONNECTING_LIMIT, endpoint.connect()).await??)
}

/// One client's connections, one to each master.
pub struct EtcdSession {
    world: Arc<World>,
    tls: ClientTlsConfig,
    channels: Vec<Option<Channel>>,
}

impl EtcdSession {
    /// Not connected to anybody yet.
    ///
    /// # Errors
    /// When the administrator's certificate cannot be read.
    pub fn new(world: Arc<World>) -> Result<Self> {
        let tls = administrator(&world.cluster)?;
        let channels = (0..world.cluster.masters()).map(|_| None).collect();
        Ok(Self { world, tls, channels })
    }

    async fn channel(&mut self, master: usize) -> Result<Channel> {
        if let Some(channel) = &self.channels[master] {
            return Ok(channel.clone());
        }
        let channel = open(&self.world.cluster, master, self.tls.clone()).await?;
        self.channels[master] = Some(channel.clone());
        Ok(channel)
    }

    /// Sends something, waits for the answer within the limit, and counts it as traffic.
    async fn send<T>(
        &mut self,
        master: usize,
        write: bool,
        request: impl AsyncFnOnce(Channel) -> Result<T, Status>,
    ) -> Answer<T> {
        let begun = self.world.recorder.now();
        let answer = match self.channel(master).await {
            Err(error) => Answer::NotSent(format!("connecting: {error:#}")),
            Ok(channel) => match tokio::time::timeout(REQUEST_LIMIT, request(channel)).await {
                Ok(result) => Answer::of(result),
                Err(_) => Answer::Unknown(format!("no answer within {REQUEST_LIMIT:?}")),
            },
        };
        if let Answer::Unknown(_) = &answer {
            // A channel that broke, or may have: the next request has a fresh one.
            self.channels[master] = None;
        }
        let (ended, served) = (self.world.recorder.now(), matches!(answer, Answer::Done(_) | Answer::Refused(_)));
        self.world.samples.push(Sample { master, begun, ended, served, write, contends: false });
        answer
    }

    /// A transaction.
    pub async fn txn(&mut self, master: usize, txn: TxnRequest) -> Answer<TxnResponse> {
        let writes = |ops: &[RequestOp]| ops.iter().any(|op| !matches!(op.request, Some(Request::RequestRange(_))));
        let write = writes(&txn.success) || writes(&txn.failure);
        self.send(master, write, async |channel| Ok(KvClient::new(channel).txn(txn).await?.into_inner())).await
    }

    /// Grants a lease; its id.
    pub async fn grant(&mut self, master: usize, ttl_s: i64) -> Answer<i64> {
        let request = LeaseGrantRequest { ttl: ttl_s, id: 0 };
        self.send(master, true, async |channel| {
            Ok(LeaseClient::new(channel).lease_grant(request).await?.into_inner().id)
        })
        .await
    }

    /// Revokes a lease.
    pub async fn revoke(&mut self, master: usize, id: i64) -> Answer<()> {
        self.send(master, true, async |channel| {
            LeaseClient::new(channel).lease_revoke(LeaseRevokeRequest { id }).await.map(drop)
        })
        .await
    }

    /// Renews a lease once; how many seconds it runs now, 0 when it is gone.
    pub async fn keep_alive(&mut self, master: usize, id: i64) -> Answer<i64> {
        self.send(master, true, async |channel| {
            let requests = futures::stream::iter([LeaseKeepAliveRequest { id }]);
            // The stream of requests stays open until the answer is there, as with etcd's own client.
            let requests = futures::StreamExt::chain(requests, futures::stream::pending());
            let mut answers = LeaseClient::new(channel).lease_keep_alive(requests).await?.into_inner();
            let answer = answers.message().await?.ok_or_else(|| Status::unknown("the stream ended"))?;
            Ok(answer.ttl)
        })
        .await
    }
}

/// GET of one key.
pub fn get(key: &str) -> RequestOp {
    let range = RangeRequest { key: key.as_bytes().to_vec().into(), ..RangeRequest::default() };
    RequestOp { request: Some(Request::RequestRange(range)) }
}

/// PUT.
pub fn put(key: &str, value: &str, lease: i64) -> RequestOp {
    let put = PutRequest {
        key: key.as_bytes().to_vec().into(),
        value: value.as_bytes().to_vec().into(),
        lease,
        ..PutRequest::default()
    };
    RequestOp { request: Some(Request::RequestPut(put)) }
}

/// DELETE.
pub fn delete(key: &str) -> RequestOp {
    let range = DeleteRangeRequest { key: key.as_bytes().to_vec().into(), ..DeleteRangeRequest::default() };
    RequestOp { request: Some(Request::RequestDeleteRange(range)) }
}

/// The key was changed last at this revision; 0: it is not there.
pub fn changed_at(key: &str, revision: i64) -> Compare {
    compare(key, CompareTarget::Mod, TargetUnion::ModRevision(revision))
}

/// The key was made at this revision; 0: it is not there.
pub fn made_at(key: &str, revision: i64) -> Compare {
    compare(key, CompareTarget::Create, TargetUnion::CreateRevision(revision))
}

fn compare(key: &str, target: CompareTarget, value: TargetUnion) -> Compare {
    Compare {
        result: CompareResult::Equal.into(),
        target: target.into(),
        key: key.as_bytes().to_vec().into(),
        target_union: Some(value),
        ..Compare::default()
    }
}

/// What the gets of a transaction found, in order: value and revision of the last change, or nothing and 0.
pub fn found(response: &TxnResponse) -> Vec<(Option<String>, i64)> {
    let ranges = response.responses.iter().filter_map(|response| match &response.response {
        Some(Response::ResponseRange(range)) => Some(range),
        _ => None,
    });
    ranges
        .map(|range| match range.kvs.first() {
            Some(kv) => (Some(String::from_utf8_lossy(&kv.value).into_owned()), kv.mod_revision),
            None => (None, 0),
        })
        .collect()
}

/// The revision at which a response was made.
pub fn revision(response: &TxnResponse) -> i64 {
    response.header.as_ref().map_or(0, |header| header.revision)
}
