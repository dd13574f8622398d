//! Leases on three members: renewed anywhere, ended on time, never early.

#![allow(missing_docs)]

mod cluster;

use std::time::{Duration, Instant};

use bytes::Bytes;
use cluster::{Cluster, PATIENCE};
use raft_node::Node;
use raft_state::port::Store;
use raft_state::txn::{Op, Put};
use raft_state::{Command, Outcome, Txn};

const TTL: Duration = Duration::from_secs(2);

async fn run(node: &Node, command: Command) -> Outcome {
    node.propose(vec![command], Instant::now() + PATIENCE).await.expect("an outcome").remove(0)
}

/// A lease with a key on it.
async fn grant(node: &Node, id: i64) {
    assert!(matches!(run(node, Command::LeaseGrant { id, ttl_s: 2 }).await, Outcome::LeaseGranted { .. }));
    let key = Bytes::from(format!("leased-{id}"));
    let put = Put { key: key.clone(), value: Some(key), lease: Some(id), want_previous: false };
    run(node, Command::EtcdTxn(Txn { then: vec![Op::Put(put)], ..Txn::default() })).await;
}

async fn renew(node: &Node, id: i64) -> bool {
    node.lease_keep_alive(vec![id], Instant::now() + PATIENCE).await.expect("an answer")[0].is_some()
}

/// When the lease's key is gone at this member.
async fn gone(node: &Node, id: i64) -> Instant {
    let deadline = Instant::now() + PATIENCE;
    while node.snapshot().get(format!("leased-{id}").as_bytes()).is_some() {
        assert!(Instant::now() < deadline, "lease {id} does not end");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Instant::now()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_when_it_is_not_renewed_and_not_before() {
    let cluster = Cluster::start(3).await;
    let follower = cluster.node(cluster.follower().await);
    let granted = Instant::now();
    grant(follower, 1).await;
    grant(follower, 2).await;
    let times = follower.lease_times(vec![1, 9], Instant::now() + PATIENCE).await.expect("an answer");
    assert!(times[0].is_some_and(|time| time.granted_s == 2 && time.left <= TTL), "{times:?}");
    assert_eq!(times[1], None);
    let mut renewed = granted;
    while granted.elapsed() < TTL * 2 {
        renewed = Instant::now();
        assert!(renew(follower, 1).await);
        tokio::time::sleep(TTL / 5).await;
    }
    assert!(follower.snapshot().get(b"leased-2").is_none(), "the other one ended meanwhile");
    assert!(follower.snapshot().get(b"leased-1").is_some());
    let ended = gone(follower, 1).await - renewed;
    assert!(ended >= TTL, "after {ended:?}");
    assert!(!renew(follower, 1).await);
    eprintln!("a lease of {TTL:?} ended after {ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_leader_grants_every_lease_its_full_time() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    grant(cluster.node(leader), 1).await;
    tokio::time::sleep(TTL / 2).await;
    let follower = cluster.follower().await;
    let renewed = Instant::now();
    assert!(renew(cluster.node(follower), 1).await);
    cluster.kill(leader).await;
    let next = cluster.leader_other_than(leader).await;
    let ended = gone(cluster.node(next), 1).await;
    assert!(ended - renewed >= TTL, "after {:?}", ended - renewed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_end_though_another_office_was_opened_behind_the_leader_s_back() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.node(cluster.leader().await);
    grant(leader, 1).await;
    // As a member does that led for a moment, while this one did not look.
    let Outcome::LeaseOfficeOpened { office } = run(leader, Command::OpenLeaseOffice { holder: 999 }).await else {
        panic!("no office")
    };
    let opened = Instant::now();
    while leader.snapshot().lease_office() == office {
        assert!(opened.elapsed() < PATIENCE, "the leader goes on in an office that is over");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(renew(leader, 1).await);
    gone(leader, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewals_go_on_through_an_election() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.node(cluster.follower().await).clone();
    grant(&follower, 1).await;
    cluster.kill(leader).await;
    let began = Instant::now();
    while began.elapsed() < TTL * 2 {
        assert!(renew(&follower, 1).await, "the lease was lost {:?} after the leader", began.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_leases_share_their_questions() {
    let cluster = Cluster::start(3).await;
    let follower = cluster.node(cluster.follower().await);
    let grants = (1..=2000).map(|id| Command::LeaseGrant { id, ttl_s: 60 }).collect();
    follower.propose(grants, Instant::now() + PATIENCE).await.expect("outcomes");
    let began = Instant::now();
    let asks = (1..=2000).map(|id| follower.lease_keep_alive(vec![id], Instant::now() + PATIENCE));
    let answers = futures::future::join_all(asks).await;
    assert!(answers.into_iter().all(|answer| answer.expect("an answer")[0].is_some()));
    eprintln!("2000 renewals at once through a follower: {:?}", began.elapsed());
}
