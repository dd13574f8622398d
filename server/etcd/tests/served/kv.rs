//! Ranges, puts, deletions, compaction.

use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use pb::range_request::{SortOrder, SortTarget};
use server_etcd::Status;

use crate::client::{Failed, World, failed};

fn key(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn put(world: &World, name: &str, value: &str) -> Result<pb::PutResponse, Failed> {
    let request = pb::PutRequest { key: key(name), value: key(value), ..Default::default() };
    world.call("/etcdserverpb.KV/Put", request).await
}

async fn range(world: &World, request: pb::RangeRequest) -> Result<pb::RangeResponse, Failed> {
    world.call("/etcdserverpb.KV/Range", request).await
}

fn all() -> pb::RangeRequest {
    pb::RangeRequest { key: key("\0"), range_end: key("\0"), ..Default::default() }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_in_etcds_words() {
    let world = World::new();
    put(&world, "a", "1").await.unwrap();
    let one = |name: &str| pb::RangeRequest { key: key(name), ..Default::default() };
    let check = async |request: pb::RangeRequest, expected: Status| {
        assert_eq!(range(&world, request.clone()).await.map(drop), Err(failed(&expected)), "{request:?}");
    };
    check(one(""), Status::EMPTY_KEY).await;
    check(pb::RangeRequest { sort_order: 7, ..one("a") }, Status::INVALID_SORT).await;
    check(pb::RangeRequest { revision: 9, ..one("a") }, Status::FUTURE_REVISION).await;

    let check = async |request: pb::PutRequest, expected: Status| {
        let answer = world.call::<pb::PutResponse>("/etcdserverpb.KV/Put", request.clone()).await;
        assert_eq!(answer.map(drop), Err(failed(&expected)), "{request:?}");
    };
    let one = |name: &str| pb::PutRequest { key: key(name), ..Default::default() };
    check(one(""), Status::EMPTY_KEY).await;
    check(pb::PutRequest { ignore_value: true, value: key("v"), ..one("a") }, Status::VALUE_PROVIDED).await;
    check(pb::PutRequest { ignore_lease: true, lease: 3, ..one("a") }, Status::LEASE_PROVIDED).await;
    check(pb::PutRequest { ignore_value: true, ..one("new") }, Status::KEY_NOT_FOUND).await;
    check(pb::PutRequest { lease: 3, ..one("a") }, Status::LEASE_NOT_FOUND).await;
    check(pb::PutRequest { value: vec![0; 1_600_000].into(), ..one("a") }, Status::REQUEST_TOO_LARGE).await;
    let larger = pb::PutRequest { value: vec![0; 3 << 20].into(), ..one("a") };
    let answer = world.call::<pb::PutResponse>("/etcdserverpb.KV/Put", larger).await.unwrap_err();
    assert_eq!((answer.code, &answer.message[..44]), (8, "grpc: received message larger than max (3145"));
    let unknown = world.call::<pb::PutResponse>("/etcdserverpb.KV/Swap", one("a")).await.unwrap_err();
    assert_eq!(unknown.code, 12);
}

#[tokio::test]
async fn a_put_says_what_was_there_and_keeps_what_it_is_told_to() {
    let world = World::new();
    assert_eq!(put(&world, "a", "1").await.unwrap().header.unwrap().revision, 2);
    let request = pb::PutRequest { key: key("a"), ignore_value: true, prev_kv: true, ..Default::default() };
    let answer: pb::PutResponse = world.call("/etcdserverpb.KV/Put", request).await.unwrap();
    let previous = answer.prev_kv.unwrap();
    assert_eq!((text(&previous.value), previous.version, previous.mod_revision), ("1".to_owned(), 1, 2));
    let found = range(&world, pb::RangeRequest { key: key("a"), ..Default::default() }).await.unwrap();
    let kv = &found.kvs[0];
    assert_eq!((text(&kv.value), kv.version, kv.create_revision, kv.mod_revision), ("1".to_owned(), 2, 2, 3));
    assert_eq!((found.count, found.more, found.header.unwrap().revision), (1, false, 3));
}

#[tokio::test]
async fn ranges_are_sorted_cut_filtered_and_counted() {
    let world = World::new();
    for (name, value) in [("a", "3"), ("b", "1"), ("c", "2"), ("a", "4")] {
        put(&world, name, value).await.unwrap();
    }
    let check = async |request: pb::RangeRequest, expected: &str, count: i64, more: bool| {
        let found = range(&world, request.clone()).await.unwrap();
        let kvs: Vec<String> = found.kvs.iter().map(|kv| format!("{}={}", text(&kv.key), text(&kv.value))).collect();
        assert_eq!((kvs.join(" "), found.count, found.more), (expected.to_owned(), count, more), "{request:?}");
    };
    let (descend, value, modified) = (SortOrder::Descend.into(), SortTarget::Value.into(), SortTarget::Mod.into());
    check(all(), "a=4 b=1 c=2", 3, false).await;
    check(pb::RangeRequest { limit: 2, ..all() }, "a=4 b=1", 3, true).await;
    check(pb::RangeRequest { sort_order: descend, ..all() }, "c=2 b=1 a=4", 3, false).await;
    check(pb::RangeRequest { sort_target: value, limit: 1, ..all() }, "b=1", 3, true).await;
    check(pb::RangeRequest { sort_order: descend, sort_target: modified, ..all() }, "a=4 c=2 b=1", 3, false).await;
    check(pb::RangeRequest { keys_only: true, ..all() }, "a= b= c=", 3, false).await;
    check(pb::RangeRequest { count_only: true, ..all() }, "", 3, false).await;
    check(pb::RangeRequest { revision: 2, ..all() }, "a=3", 1, false).await;
    check(pb::RangeRequest { min_mod_revision: 4, ..all() }, "a=4 c=2", 3, false).await;
    check(pb::RangeRequest { max_create_revision: 2, ..all() }, "a=4", 3, false).await;
    check(pb::RangeRequest { key: key("b"), range_end: key("c"), ..all() }, "b=1", 1, false).await;
}

#[tokio::test]
async fn a_stream_of_ranges_says_at_its_end_how_many_there_were() {
    let world = World::new();
    let large = "x".repeat(100_000);
    for index in 0..10 {
        put(&world, &format!("k{index}"), &large).await.unwrap();
    }
    let pieces: Vec<pb::RangeStreamResponse> =
        world.many("/etcdserverpb.KV/RangeStream", pb::RangeRequest { limit: 7, ..all() }).await.unwrap();
    let pieces: Vec<pb::RangeResponse> = pieces.into_iter().map(|piece| piece.range_response.unwrap()).collect();
    assert!(pieces.len() > 1);
    assert_eq!(pieces.iter().map(|piece| piece.kvs.len()).sum::<usize>(), 7);
    let last = pieces.last().unwrap();
    assert_eq!((last.count, last.more, last.header.unwrap().revision), (10, true, 11));
    assert!(pieces[..pieces.len() - 1].iter().all(|piece| piece.header.is_none()));
    let sorted = pb::RangeRequest { sort_order: SortOrder::Descend.into(), ..all() };
    let refused = world.many::<pb::RangeStreamResponse>("/etcdserverpb.KV/RangeStream", sorted).await;
    assert_eq!(refused.map(drop), Err(failed(&Status::STREAM_SORT)));
}

#[tokio::test]
async fn deletions_count_and_take_a_revision_only_when_something_goes() {
    let world = World::new();
    put(&world, "a", "1").await.unwrap();
    put(&world, "b", "2").await.unwrap();
    let delete = async |name: &str, end: &str| -> (i64, i64, usize) {
        let request = pb::DeleteRangeRequest { key: key(name), range_end: key(end), prev_kv: true };
        let answer: pb::DeleteRangeResponse = world.call("/etcdserverpb.KV/DeleteRange", request).await.unwrap();
        (answer.header.unwrap().revision, answer.deleted, answer.prev_kvs.len())
    };
    assert_eq!(delete("x", "").await, (3, 0, 0));
    assert_eq!(delete("a", "c").await, (4, 2, 2));
}

#[tokio::test]
async fn compaction_forgets_and_refuses_twice() {
    let world = World::new();
    for value in ["1", "2", "3"] {
        put(&world, "a", value).await.unwrap();
    }
    let compact = async |revision: i64| {
        let request = pb::CompactionRequest { revision, physical: true };
        world.call::<pb::CompactionResponse>("/etcdserverpb.KV/Compact", request).await.map(drop)
    };
    assert_eq!(compact(0).await, Ok(()));
    assert_eq!(compact(3).await, Ok(()));
    assert_eq!(compact(3).await, Err(failed(&Status::COMPACTED)));
    assert_eq!(compact(9).await, Err(failed(&Status::FUTURE_REVISION)));
    let at = |revision: i64| pb::RangeRequest { key: key("a"), revision, ..Default::default() };
    assert_eq!(range(&world, at(2)).await.map(drop), Err(failed(&Status::COMPACTED)));
    assert_eq!(text(&range(&world, at(3)).await.unwrap().kvs[0].value), "2");
}

#[tokio::test]
async fn keys_of_another_face_are_not_written() {
    let world = World::with(Some(key("/registry/")));
    let denied = put(&world, "/registry/core/pods/a", "x").await.unwrap_err();
    assert_eq!(denied.code, 7);
    assert!(denied.message.contains("/registry/ is read-only here"), "{}", denied.message);
    put(&world, "/registryx", "x").await.unwrap();
    let request = pb::DeleteRangeRequest { key: key("\0"), range_end: key("\0"), prev_kv: false };
    let denied = world.call::<pb::DeleteRangeResponse>("/etcdserverpb.KV/DeleteRange", request).await.unwrap_err();
    assert_eq!(denied.code, 7);
}
