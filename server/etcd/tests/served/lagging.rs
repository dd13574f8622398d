//! A member that has not applied everything yet.

use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use pb::request_op::Request;
use pb::response_op::Response;
use raft_state::port::Store;
use server_etcd::Status;
use tests_solo::{Front, Solo};

use crate::client::{World, failed};

/// As etcd's transactional memory reads: everything at the revision of its first read, at whichever member.
#[tokio::test]
async fn a_stale_read_at_a_revision_that_was_handed_out_waits_for_it() {
    let store = Solo::new();
    let before = store.snapshot();
    let put = pb::PutRequest { key: Bytes::from_static(b"a"), value: Bytes::from_static(b"1"), ..Default::default() };
    let elsewhere = World::over(store.clone(), None);
    let _: pb::PutResponse = elsewhere.call("/etcdserverpb.KV/Put", put).await.unwrap();
    let lagging = || {
        let front = Front::of(store.clone());
        front.lags(before.clone());
        World::over(front, None)
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
