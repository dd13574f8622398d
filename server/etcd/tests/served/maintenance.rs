//! Status, hashes, members, pages.

use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use server_etcd::Status;

use crate::client::{World, failed};

#[tokio::test]
async fn status_says_who_leads_and_how_large_it_is() {
    let world = World::new();
    let status: pb::StatusResponse =
        world.call("/etcdserverpb.Maintenance/Status", pb::StatusRequest {}).await.unwrap();
    assert_eq!((status.leader, status.db_size, status.is_learner), (1, 4096, false));
    assert!(status.errors.is_empty());
}

#[tokio::test]
async fn equal_keyspaces_at_equal_revisions_have_equal_hashes() {
    let (a, b) = (World::new(), World::new());
    let put = async |world: &World, name: &'static str| {
        let request = pb::PutRequest { key: Bytes::from_static(name.as_bytes()), ..Default::default() };
        let _: pb::PutResponse = world.call("/etcdserverpb.KV/Put", request).await.unwrap();
    };
    let hash = async |world: &World, revision: i64| -> u32 {
        let request = pb::HashKvRequest { revision };
        let answer: pb::HashKvResponse = world.call("/etcdserverpb.Maintenance/HashKV", request).await.unwrap();
        answer.hash
    };
    for world in [&a, &b] {
        put(world, "one").await;
        put(world, "two").await;
    }
    assert_eq!(hash(&a, 0).await, hash(&b, 0).await);
    let then = hash(&a, 3).await;
    put(&a, "three").await;
    assert_eq!(hash(&a, 3).await, then);
    assert_ne!(hash(&a, 0).await, then);
    let future = a.call::<pb::HashKvResponse>("/etcdserverpb.Maintenance/HashKV", pb::HashKvRequest { revision: 99 });
    assert_eq!(future.await.map(drop), Err(failed(&Status::FUTURE_REVISION)));
}

#[tokio::test]
async fn what_a_store_has_no_use_for_is_refused_in_etcds_words() {
    let world = World::new();
    let users = world.call::<pb::AuthUserListResponse>("/etcdserverpb.Auth/UserList", pb::AuthUserListRequest {});
    assert_eq!(users.await.map(drop), Err(failed(&Status::AUTH_NOT_ENABLED)));
    let status: pb::AuthStatusResponse =
        world.call("/etcdserverpb.Auth/AuthStatus", pb::AuthStatusRequest {}).await.unwrap();
    assert!(!status.enabled);
    let moved = world
        .call::<pb::MoveLeaderResponse>("/etcdserverpb.Maintenance/MoveLeader", pb::MoveLeaderRequest { target_id: 9 });
    assert_eq!(moved.await.map(drop), Err(failed(&Status::BAD_TRANSFEREE)));
    let removed =
        world.call::<pb::MemberRemoveResponse>("/etcdserverpb.Cluster/MemberRemove", pb::MemberRemoveRequest { id: 9 });
    assert_eq!(removed.await.map(drop), Err(failed(&Status::MEMBER_NOT_FOUND)));
}

#[tokio::test]
async fn the_pages_of_etcds_tools_are_there() {
    let world = World::new();
    let check = async |path: &str, status: u16, holds: &str| {
        let (found, text) = world.page(path).await;
        assert_eq!(found, status, "{path}: {text}");
        assert!(text.contains(holds), "{path}: {text}");
    };
    check("/health", 200, r#"{"health":"true","reason":""}"#).await;
    check("/health?serializable=true", 200, r#""health":"true""#).await;
    check("/version", 200, r#""etcdserver":"3."#).await;
    check("/metrics", 200, "process_resident_memory_bytes 8192").await;
    check("/nothing", 404, "not found").await;
}
