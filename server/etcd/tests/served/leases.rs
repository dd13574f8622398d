//! Leases.

use api_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;
use server_etcd::Status;

use crate::client::{Failed, World, failed};

async fn grant(world: &World, id: i64, ttl: i64) -> Result<pb::LeaseGrantResponse, Failed> {
    world.call("/etcdserverpb.Lease/LeaseGrant", pb::LeaseGrantRequest { id, ttl }).await
}

#[tokio::test]
async fn grants_are_within_bounds_and_once() {
    let world = World::new();
    assert_eq!(grant(&world, 7, 1).await.map(|r| (r.id, r.ttl)), Ok((7, 2)));
    assert_eq!(grant(&world, 7, 10).await.map(drop), Err(failed(&Status::LEASE_EXISTS)));
    assert_eq!(grant(&world, 8, 9_000_000_001).await.map(drop), Err(failed(&Status::LEASE_TTL_TOO_LARGE)));
    let minted = grant(&world, 0, 60).await.unwrap();
    assert!(minted.id > 0);
}

#[tokio::test]
async fn a_lease_has_its_keys_and_takes_them_along() {
    let world = World::new();
    grant(&world, 7, 100).await.unwrap();
    let request = pb::PutRequest { key: Bytes::from_static(b"k"), lease: 7, ..Default::default() };
    let _: pb::PutResponse = world.call("/etcdserverpb.KV/Put", request).await.unwrap();
    let request = pb::LeaseTimeToLiveRequest { id: 7, keys: true };
    let time: pb::LeaseTimeToLiveResponse = world.call("/etcdserverpb.Lease/LeaseTimeToLive", request).await.unwrap();
    assert_eq!((time.ttl, time.granted_ttl, time.keys), (100, 100, vec![Bytes::from_static(b"k")]));
    let list: pb::LeaseLeasesResponse =
        world.call("/etcdserverpb.Lease/LeaseLeases", pb::LeaseLeasesRequest {}).await.unwrap();
    assert_eq!(list.leases, [pb::LeaseStatus { id: 7 }]);
    let revoked =
        world.call::<pb::LeaseRevokeResponse>("/etcdserverpb.Lease/LeaseRevoke", pb::LeaseRevokeRequest { id: 7 });
    assert_eq!(revoked.await.unwrap().header.unwrap().revision, 3);
    let again =
        world.call::<pb::LeaseRevokeResponse>("/etcdserverpb.Lease/LeaseRevoke", pb::LeaseRevokeRequest { id: 7 });
    assert_eq!(again.await.map(drop), Err(failed(&Status::LEASE_NOT_FOUND)));
    let gone: pb::LeaseTimeToLiveResponse = world
        .call("/etcdserverpb.Lease/LeaseTimeToLive", pb::LeaseTimeToLiveRequest { id: 7, keys: false })
        .await
        .unwrap();
    assert_eq!(gone.ttl, -1);
}

#[tokio::test]
async fn renewals_are_answered_in_order_and_a_lease_that_is_gone_has_no_time() {
    let world = World::new();
    grant(&world, 7, 100).await.unwrap();
    let mut stream = world.stream("/etcdserverpb.Lease/LeaseKeepAlive").await;
    for id in [7, 9, 7] {
        stream.send(pb::LeaseKeepAliveRequest { id });
    }
    for expected in [(7, 100), (9, 0), (7, 100)] {
        let answer: pb::LeaseKeepAliveResponse = stream.next().await.unwrap();
        assert_eq!((answer.id, answer.ttl), expected);
    }
    world.face.stop();
    assert_eq!(stream.next::<pb::LeaseKeepAliveResponse>().await, Err(Err(failed(&Status::STOPPED))));
}
