//! Transactions.

use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::request_op::Request;
use pb::response_op::Response;
use server_etcd::Status;

use crate::client::{Failed, World, failed};

fn key(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put(name: &str, value: &str) -> pb::RequestOp {
    let request = pb::PutRequest { key: key(name), value: key(value), ..Default::default() };
    pb::RequestOp { request: Some(Request::RequestPut(request)) }
}

fn get(name: &str, revision: i64) -> pb::RequestOp {
    let request = pb::RangeRequest { key: key(name), revision, ..Default::default() };
    pb::RequestOp { request: Some(Request::RequestRange(request)) }
}

fn delete(name: &str) -> pb::RequestOp {
    let request = pb::DeleteRangeRequest { key: key(name), ..Default::default() };
    pb::RequestOp { request: Some(Request::RequestDeleteRange(request)) }
}

fn within(request: pb::TxnRequest) -> pb::RequestOp {
    pb::RequestOp { request: Some(Request::RequestTxn(request)) }
}

fn all(success: Vec<pb::RequestOp>) -> pb::TxnRequest {
    pb::TxnRequest { success, ..Default::default() }
}

fn version_is(name: &str, version: i64) -> pb::Compare {
    pb::Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Version.into(),
        key: key(name),
        target_union: Some(TargetUnion::Version(version)),
        ..Default::default()
    }
}

async fn run(world: &World, request: pb::TxnRequest) -> Result<pb::TxnResponse, Failed> {
    world.call("/etcdserverpb.KV/Txn", request).await
}

/// What each operation said, with the revision of its header.
fn said(response: &pb::TxnResponse) -> String {
    let revision = |header: &Option<pb::ResponseHeader>| header.as_ref().map_or(-1, |header| header.revision);
    let one = |op: &pb::ResponseOp| match op.response.as_ref().unwrap() {
        Response::ResponseRange(r) => {
            let values: Vec<_> = r.kvs.iter().map(|kv| String::from_utf8_lossy(&kv.value).into_owned()).collect();
            format!("get@{}[{}]", revision(&r.header), values.join(","))
        }
        Response::ResponsePut(r) => format!("put@{}", revision(&r.header)),
        Response::ResponseDeleteRange(r) => format!("del@{}:{}", revision(&r.header), r.deleted),
        Response::ResponseTxn(r) => format!("txn {}({})", r.succeeded, said(r)),
    };
    response.responses.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn each_operation_answers_with_the_revision_that_etcd_gives_it() {
    let world = World::new();
    let check = async |request: pb::TxnRequest, revision: i64, expected: &str| {
        let response = run(&world, request.clone()).await.unwrap();
        let found = response.header.unwrap().revision;
        assert_eq!((said(&response).as_str(), found), (expected, revision), "{request:?}");
    };
    check(all(vec![put("a", "1"), get("a", 0)]), 2, "put@2 get@2[1]").await;
    check(all(vec![get("a", 0), put("a", "2"), get("a", 0), get("a", 2)]), 3, "get@2[1] put@3 get@3[2] get@3[1]").await;
    check(all(vec![delete("x"), get("a", 0)]), 3, "del@3:0 get@3[2]").await;
    check(all(vec![delete("a"), delete("x"), get("a", 0)]), 4, "del@4:1 del@4:0 get@4[]").await;
    let inner = pb::TxnRequest { compare: vec![version_is("a", 0)], success: vec![put("in", "1")], failure: vec![] };
    check(all(vec![put("a", "1"), within(inner)]), 5, "put@5 txn true(put@5)").await;
    check(all(vec![get("a", 0), within(all(vec![get("in", 0)]))]), 5, "get@5[1] txn true(get@5[1])").await;
}

#[tokio::test]
async fn compares_choose_the_branch() {
    let world = World::new();
    run(&world, all(vec![put("a", "1")])).await.unwrap();
    for (version, expected) in [(1, "put@3"), (7, "get@3[2]")] {
        let request = pb::TxnRequest {
            compare: vec![version_is("a", version)],
            success: vec![put("a", "2")],
            failure: vec![get("a", 0)],
        };
        let response = run(&world, request).await.unwrap();
        assert_eq!((said(&response).as_str(), response.succeeded), (expected, version == 1));
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_whole() {
    let world = World::new();
    run(&world, all(vec![put("a", "1")])).await.unwrap();
    let check = async |request: pb::TxnRequest, expected: Status| {
        assert_eq!(run(&world, request.clone()).await.map(drop), Err(failed(&expected)), "{request:?}");
    };
    check(all(vec![put("a", "1"), put("a", "2")]), Status::DUPLICATE_KEY).await;
    check(all(vec![put("b", "1"), get("a", 9)]), Status::FUTURE_REVISION).await;
    check(all(vec![get("a", 9)]), Status::FUTURE_REVISION).await;
    check(all(vec![put("", "1")]), Status::EMPTY_KEY).await;
    check(all(vec![pb::RequestOp { request: None }]), Status::KEY_NOT_FOUND).await;
    check(all((0..129).map(|index| put(&format!("k{index}"), "")).collect()), Status::TOO_MANY_OPS).await;
}
