//! Members whose disk does not hold what was written to it.

#![allow(missing_docs)]

mod cluster;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cluster::{Cluster, PATIENCE, create, sees, until};
use raft_node::{Scrub, StartError};
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

/// Writes until the leader has thrown away the beginning of its log: whoever begins anew needs its snapshot.
async fn fill(cluster: &Cluster, leader: u64) {
    let node = cluster.node(leader).clone();
    for n in 0..300 {
        create(&node, &format!("s{n}"), Instant::now() + PATIENCE).await.expect("a write");
    }
    let deadline = Instant::now() + PATIENCE;
    while node.metrics().snapshots_built.load(Ordering::Relaxed) < 2 || node.progress().purged_index == 0 {
        assert!(Instant::now() < deadline, "no snapshot was made");
        cluster.create_any(leader).await;
    }
}

/// Waits until the member of a slot votes under an id that it was given later.
async fn votes_anew(cluster: &Cluster, slot: u64) {
    let node = cluster.node(slot);
    assert!(node.id() > 3, "{} is the old id", node.id());
    let (mut standing, id) = (node.standing(), node.id());
    let votes = standing.wait_for(|s| s.ready && s.members.iter().any(|m| m.id == id && m.voter));
    tokio::time::timeout(PATIENCE * 2, votes).await.expect("in time").expect("a standing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_snapshot_is_damaged_makes_way_and_is_rebuilt() {
    let (mut cluster, ends) = Cluster::of_mortals(3);
    cluster.limits.snapshot_log_bytes = 20_000;
    cluster.limits.keep_log_bytes = 2_000;
    cluster.start_all().await;
    let sick = cluster.leader().await;
    let wiped = cluster.follower().await;
    fill(&cluster, sick).await;
    // Nothing is written meanwhile, so that no other snapshot takes the place of the damaged one.
    let snapshots = cluster.config(sick).data_dir.join("snapshots");
    flip(&newest(&newest(&snapshots, ""), ".sst"), |_| 20);
    cluster.kill(wiped).await;
    fs::remove_dir_all(cluster.config(wiped).data_dir).expect("a folder");
    cluster.start_one(wiped).await;
    votes_anew(&cluster, wiped).await;
    let (who, why) = until("the fence", || ends.lock().expect("a list").first().cloned()).await;
    assert!(who == sick && why.contains("snapshot"), "{who}: {why}");
    assert_eq!(ends.lock().expect("a list").len(), 1, "nobody else has ended");
    cluster.kill(sick).await;
    cluster.start_one(sick).await;
    votes_anew(&cluster, sick).await;
    let name = cluster.create_any(wiped).await;
    for slot in [sick, wiped] {
        let node = cluster.node(slot);
        assert!(sees(node, "s0").await && sees(node, "s299").await && sees(node, &name).await, "{slot}");
    }
}

/// The journal that the log writes to.
fn damage_journal(data: &Path) {
    flip(&newest(&data.join("log/rocksdb"), ".log"), |length| length / 2);
}

fn damage_snapshot(data: &Path) {
    flip(&newest(&newest(&data.join("snapshots"), ""), ".sst"), |_| 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_nobody_has_met_is_found_by_the_scrub_and_healed() {
    for (what, leads, damage) in [
        ("the log's journal", true, damage_journal as fn(&Path)),
        ("the state", false, damage_state),
        ("the snapshot", true, damage_snapshot),
    ] {
        let (mut cluster, ends) = Cluster::of_mortals(3);
        cluster.limits.snapshot_log_bytes = 20_000;
        cluster.limits.keep_log_bytes = 2_000;
        cluster.scrub = Scrub { every: Duration::from_millis(100), bytes_per_second: 10 << 20 };
        cluster.start_all().await;
        let leader = cluster.leader().await;
        let sick = if leads { leader } else { cluster.follower().await };
        fill(&cluster, leader).await;
        let metrics = cluster.node(sick).metrics();
        let passes = metrics.scrub_passes.load(Ordering::Relaxed);
        until("a pass", || (metrics.scrub_passes.load(Ordering::Relaxed) > passes + 1).then_some(())).await;
        assert_eq!(metrics.scrub_failures.load(Ordering::Relaxed), 0, "{what}: all is sound before");
        damage(&cluster.config(sick).data_dir);
        let (who, why) = until("the fence", || ends.lock().expect("a list").first().cloned()).await;
        assert!(who == sick && why.contains("found by the scrub"), "{what}: {who}: {why}");
        assert!(metrics.scrub_failures.load(Ordering::Relaxed) > 0, "{what}");
        cluster.kill(sick).await;
        cluster.start_one(sick).await;
        votes_anew(&cluster, sick).await;
        assert!(sees(cluster.node(sick), "s0").await, "{what}");
        assert_eq!(ends.lock().expect("a list").len(), 1, "{what}: nobody else has ended");
    }
}
