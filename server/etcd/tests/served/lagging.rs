//! A member that has not applied everything yet.

use std::sync::Arc;
use std::time::Instant;

use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use parking_lot::Mutex;
use pb::request_op::Request;
use pb::response_op::Response;
use raft_state::port::{BoxFuture, Cursor, LeaseTime, ProposeError, ReadError, ReadLevel, Standing, Store, WatchError};
use raft_state::{Command, Outcome, Revision, Snapshot};
use server_etcd::Status;
use tests_solo::Solo;
use tokio::sync::watch;

use crate::client::{World, failed};

/// What it has applied is an old state, until a read that is confirmed has waited for the latest.
struct Lagging {
    store: Arc<Solo>,
    applied: Mutex<Snapshot>,
}

impl Store for Lagging {
    fn propose(&self, commands: Vec<Command>, deadline: Instant) -> BoxFuture<'_, Result<Vec<Outcome>, ProposeError>> {
        self.store.propose(commands, deadline)
    }

    fn read(&self, level: ReadLevel, deadline: Instant) -> BoxFuture<'_, Result<Snapshot, ReadError>> {
        *self.applied.lock() = self.store.snapshot();
        self.store.read(level, deadline)
    }

    fn snapshot(&self) -> Snapshot {
        self.applied.lock().clone()
    }

    fn watch(&self, prefix: &[u8], after: Revision) -> Result<Box<dyn Cursor>, WatchError> {
        self.store.watch(prefix, after)
    }

    fn lease_keep_alive(
        &self,
        ids: Vec<i64>,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Option<LeaseTime>>, ReadError>> {
        self.store.lease_keep_alive(ids, deadline)
    }

    fn lease_times(
        &self,
        ids: Vec<i64>,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Option<LeaseTime>>, ReadError>> {
        self.store.lease_times(ids, deadline)
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.store.standing()
    }
}

/// As etcd's transactional memory reads: everything at the revision of its first read, at whichever member.
#[tokio::test]
async fn a_stale_read_at_a_revision_that_was_handed_out_waits_for_it() {
    let store = Solo::new();
    let before = store.snapshot();
    let put = pb::PutRequest { key: Bytes::from_static(b"a"), value: Bytes::from_static(b"1"), ..Default::default() };
    let elsewhere = World::over(store.clone(), None);
    let _: pb::PutResponse = elsewhere.call("/etcdserverpb.KV/Put", put).await.unwrap();
    let lagging = || {
        let applied = Mutex::new(before.clone());
        World::over(Arc::new(Lagging { store: store.clone(), applied }), None)
    };
    let read = |revision: i64| pb::RangeRequest {
        key: Bytes::from_static(b"a"),
        revision,
        serializable: true,
        ..Default::default()
    };
    let range = async |revision: i64| {
        lagging().call::<pb::RangeResponse>("/etcdserverpb.KV/Range", read(revision)).await.map(|found| found.kvs.len())
    };
    let txn = async |revision: i64| {
        let success = vec![pb::RequestOp { request: Some(Request::RequestRange(read(revision))) }];
        let request = pb::TxnRequest { success, ..Default::default() };
        let answer = lagging().call::<pb::TxnResponse>("/etcdserverpb.KV/Txn", request).await?;
        match answer.responses.into_iter().next().and_then(|op| op.response) {
            Some(Response::ResponseRange(found)) => Ok(found.kvs.len()),
            other => panic!("a read was answered by {other:?}"),
        }
    };
    let future = || Err(failed(&Status::FUTURE_REVISION));
    assert_eq!((range(0).await, txn(0).await), (Ok(0), Ok(0)), "a stale read of the latest does not wait");
    assert_eq!((range(2).await, txn(2).await), (Ok(1), Ok(1)), "what was handed out is waited for");
    assert_eq!((range(3).await, txn(3).await), (future(), future()), "nobody has handed it out");
}
