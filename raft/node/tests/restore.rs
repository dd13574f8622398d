//! Clusters that begin with contents.

#![allow(missing_docs)]

mod cluster;

use std::time::Instant;

use bytes::Bytes;
use cluster::{Cluster, PATIENCE, key, keyring, sees};
use raft_log::Identity;
use raft_node::seed::{Seed, SeedError, plant};
use raft_state::port::{ReadError, ReadLevel, Store, WatchError};
use raft_state::record::Scalars;
use raft_state::{Lease, Payload, Place, Record};

const REVISION: u64 = 1_000_000_500;

fn record(name: &str, revision: u64, lease: i64) -> (Place, Record) {
    let json = format!(r#"{{"metadata":{{"name":"{name}"}}}}"#);
    let payload = Payload::Object { json: json.into(), splice_at: 13 };
    let record =
        Record { key: key(name), payload: Some(payload), create_revision: revision, version: 1, lease, previous: None };
    (Place { revision, sub: 0 }, record)
}

fn seed() -> Seed {
    let scalars = Scalars { revision: REVISION, compacted: REVISION, epoch: 4, grants: 1, ..Scalars::default() };
    let versions = (0..2500).map(|n| record(&format!("old{n}"), 1_000_000_000 + n / 10, i64::from(n == 0) * 9));
    // Of one revision there are several, as of a transaction.
    let versions = versions.zip(0..).map(|((place, record), n)| (Place { sub: n % 10, ..place }, record));
    Seed { scalars, versions: versions.collect(), leases: vec![(9, Lease { ttl_s: 3600, grant: 1 })] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_any_size_begins_with_what_was_restored() {
    for size in [1, 3] {
        let mut cluster = Cluster::new(size);
        for id in 1..=size {
            let config = cluster.config(id);
            plant(&config.data_dir, &config.initial_members, config.keyring, &seed()).expect("a folder");
        }
        cluster.start_all().await;
        let leader = cluster.leader().await;
        for id in 1..=size {
            let node = cluster.node(id);
            let snapshot = node.read(ReadLevel::Linearizable, Instant::now() + PATIENCE).await.expect("a read");
            assert_eq!((snapshot.revision(), snapshot.range(b"", None).count()), (REVISION, 2500), "at {id}");
            assert_eq!(snapshot.attached(9).collect::<Vec<_>>(), [&key("old0")]);
            let past = node.read(ReadLevel::Exact(REVISION - 1), Instant::now() + PATIENCE).await;
            assert!(matches!(past, Err(ReadError::Compacted { floor: REVISION, .. })), "{past:?}");
            let watch = node.watch(b"/registry/", REVISION - 1).map(|_| ());
            assert!(matches!(watch, Err(WatchError::Compacted { .. })), "{watch:?}");
        }
        assert_eq!(cluster.create(leader, "new").await.expect("a write"), REVISION + 1);
        for id in 1..=size {
            assert!(sees(cluster.node(id), "new").await && sees(cluster.node(id), "old2499").await);
        }
        for id in 1..=size {
            cluster.stop(id).await;
        }
        // And again from the same folders.
        cluster.start_all().await;
        assert!(sees(cluster.node(1), "new").await && sees(cluster.node(1), "old7").await);
    }
}

/// The folders of a restore know whose they are as those of a new cluster do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_folder_of_a_restored_cluster_comes_back_under_a_new_id() {
    let mut cluster = Cluster::new(3);
    let identity = |cluster: &Cluster, id: u64| {
        Identity::read(&cluster.config(id).data_dir).expect("a readable identity").expect("an identity")
    };
    for id in 1..=3 {
        let config = cluster.config(id);
        plant(&config.data_dir, &config.initial_members, config.keyring, &seed()).expect("a folder");
    }
    let born = identity(&cluster, 1).birth;
    assert!(born != 0 && (2..=3).all(|id| identity(&cluster, id).birth == born), "one restore, one birth");
    cluster.start_all().await;
    let settled = Identity { cluster: "test".to_owned(), member: 2, birth: born };
    assert_eq!(identity(&cluster, 2), settled, "the first start says whose it is");
    cluster.kill(2).await;
    // Under another number it would vote with a memory that is not its own.
    let mut other = cluster.config(2);
    other.id = 9;
    let node = cluster.try_start(other).await.expect("a member that starts");
    assert_eq!(node.id(), 2);
    node.kill().await;
    std::fs::remove_dir_all(cluster.config(2).data_dir).expect("an emptied folder");
    let again = cluster.start_one(2).await;
    assert_eq!(again.id(), 4);
    assert_ne!(identity(&cluster, 2).birth, born);
    assert!(sees(&again, "old7").await);

    // A survivor that begins anew keeps its folder's birth, and another cluster's name.
    for slot in 1..=3 {
        cluster.kill(slot).await;
    }
    let config = cluster.config(1);
    raft_node::recover(&config.data_dir, config.keyring, "another").await.expect("a recovery");
    assert_eq!(identity(&cluster, 1), Identity { cluster: "another".to_owned(), member: 1, birth: born });
    cluster.cluster_id = "another".to_owned();
    let survivor = cluster.start_one(1).await;
    assert!(sees(&survivor, "old7").await);
    std::fs::remove_dir_all(cluster.config(3).data_dir).expect("an emptied folder");
    assert_eq!(cluster.start_one(3).await.id(), 5, "the emptied one is taken in, under an id never used");
}

#[test]
fn a_restore_overwrites_nothing_and_leaves_nothing_half_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = Cluster::new(1).config(1);
    let members = &config.initial_members;
    let refused = plant(folder.path(), members, keyring(), &seed());
    assert!(matches!(refused, Err(SeedError::Exists(_))), "{refused:?}");
    let target = folder.path().join("data");
    let sealed = Payload::Sealed { key_id: 7, nonce: [0; 12], ciphertext: Bytes::from_static(b"?"), splice_at: 99 };
    let mut bad = seed();
    bad.versions[5].1.payload = Some(sealed);
    let refused = plant(&target, members, keyring(), &bad).map_err(|e| e.to_string());
    assert!(refused.as_ref().is_err_and(|e| e.contains("/old5 does not open")), "{refused:?}");
    assert!(matches!(plant(&target, &[], keyring(), &seed()), Err(SeedError::Members(_))));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    plant(&target, members, keyring(), &seed()).expect("a folder");
    assert!(matches!(plant(&target, members, keyring(), &seed()), Err(SeedError::Exists(_))));
}
