//! Members whose disk does not hold what was written to it.

#![allow(missing_docs)]

mod cluster;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::{Cluster, PATIENCE, sees};
use raft_node::StartError;
use raft_state::port::Store;

/// The file of a folder with this end that was written last.
fn newest(folder: &Path, end: &str) -> PathBuf {
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.to_string_lossy().ends_with(end)).collect();
    files.sort();
    files.pop().expect("such a file")
}

fn flip(file: &Path, at: impl FnOnce(usize) -> usize) {
    let mut bytes = fs::read(file).expect("a file");
    let at = at(bytes.len());
    bytes[at] ^= 0x10;
    fs::write(file, bytes).expect("a file");
}

fn damage_log(data: &Path) {
    flip(&newest(&data.join("log/rocksdb"), ".log"), |length| length / 2);
}

fn damage_state(data: &Path) {
    // A table begins with what it holds; what it says of itself comes after.
    flip(&newest(&data.join("state/state-0"), ".sst"), |_| 20);
}

/// The disk forgets the end of the log, as one does that lies about what it has synced.
fn cut_log(data: &Path) {
    let file = newest(&data.join("log/rocksdb"), ".log");
    let bytes = fs::metadata(&file).expect("a file").len();
    fs::OpenOptions::new().write(true).open(file).and_then(|file| file.set_len(bytes / 2)).expect("a cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_member_is_rebuilt_from_its_peers_under_a_new_id() {
    for (what, damage) in [("log", damage_log as fn(&Path)), ("state", damage_state), ("end of the log", cut_log)] {
        let mut cluster = Cluster::start(3).await;
        let victim = cluster.follower().await;
        let mut names = Vec::new();
        for _ in 0..20 {
            names.push(cluster.create_any(victim).await);
        }
        let data = cluster.config(victim).data_dir;
        cluster.stop(victim).await;
        damage(&data);
        let again = cluster.start_one(victim).await;
        assert_eq!(again.id(), 4, "{what}: the old id is over, for its vote is not known any more");
        let mut standing = again.standing();
        let serves = standing.wait_for(|s| s.ready && s.members.iter().any(|m| m.id == 4 && m.voter));
        tokio::time::timeout(PATIENCE, serves).await.expect("in time").expect("a standing");
        for name in &names {
            assert!(sees(&again, name).await, "{what}: {name}");
        }
        assert!(data.join("damaged/log").exists(), "{what}: what was there is kept for people to look at");
        assert!(!data.join("fenced").exists(), "{what}: it is fenced no longer");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_others_nothing_is_served_and_nothing_taken_away() {
    let mut cluster = Cluster::start(1).await;
    cluster.create_any(1).await;
    let data = cluster.config(1).data_dir;
    cluster.stop(1).await;
    damage_log(&data);
    for _ in 0..2 {
        let error = cluster.try_start(cluster.config(1)).await.err().expect("a refusal");
        assert!(matches!(error, StartError::Fenced { .. }), "{error}");
        assert!(error.to_string().contains("restore a backup"), "{error}");
    }
    assert!(data.join("log").exists() && data.join("state").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_members_never_begin_a_cluster_of_their_own() {
    let mut cluster = Cluster::start(3).await;
    for id in 1..=3 {
        cluster.create_any(id).await;
    }
    for id in 1..=3 {
        cluster.stop(id).await;
    }
    for id in 1..=3 {
        damage_log(&cluster.config(id).data_dir);
    }
    let starting = (1..=3).map(|id| cluster.try_start(cluster.config(id)));
    let started =
        tokio::time::timeout(Duration::from_secs(2), futures::future::select_all(starting.map(Box::pin))).await;
    assert!(started.is_err(), "one of them has begun");
    for id in 1..=3 {
        let data = cluster.config(id).data_dir;
        assert!(data.join("log").exists() && !data.join("damaged").exists(), "{id}: nothing is taken away");
    }
}
