//! Links that break, members that pause, and peers that do not belong.

#![allow(missing_docs)]

mod cluster;

use std::time::{Duration, Instant};

use cluster::{Cluster, PATIENCE, create, sees};
use raft_state::port::{ReadLevel, Store};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partitioned_member_that_returns_does_not_unseat_the_leader() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let outsider = cluster.follower().await;
    let before = cluster.node(leader).standing().borrow().term;
    for peer in (1..=3).filter(|id| *id != outsider) {
        cluster.faults.cut(outsider, peer);
    }
    let mut standing = cluster.node(outsider).standing();
    standing.wait_for(|s| !s.ready).await.expect("a standing");
    // Many election timeouts long.
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        cluster.create_any(leader).await;
    }
    let stale = cluster.node(outsider).read(ReadLevel::Linearizable, Instant::now() + Duration::from_millis(200)).await;
    assert!(stale.is_err(), "cut off, and yet it read");
    cluster.faults.heal();
    tokio::time::timeout(PATIENCE, standing.wait_for(|s| s.ready)).await.expect("in time").expect("a standing");
    let name = cluster.create_any(outsider).await;
    assert!(sees(cluster.node(leader), &name).await);
    let now = cluster.node(leader).standing().borrow().clone();
    assert_eq!((now.leader, now.term), (Some(leader), before), "the leader is the same, in the same term");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_cut_off_stops_and_the_rest_go_on() {
    let cluster = Cluster::start(3).await;
    let old = cluster.leader().await;
    let name = cluster.create_any(old).await;
    for peer in (1..=3).filter(|id| *id != old) {
        cluster.faults.cut(old, peer);
    }
    let cut = Instant::now();
    let mut standing = cluster.node(old).standing();
    standing.wait_for(|s| !s.leads).await.expect("a standing");
    let lapsed = cut.elapsed();
    let new = cluster.leader_other_than(old).await;
    let elected = cut.elapsed();
    let created = create(cluster.node(new), "meanwhile", Instant::now() + PATIENCE).await;
    assert!(created.is_ok(), "{created:?}");
    eprintln!("the lease lapsed after {lapsed:?}, another led after {elected:?}, wrote after {:?}", cut.elapsed());
    // A write at the old leader waits for the end of the partition, and is then applied once.
    let waiting = {
        let node = cluster.node(old).clone();
        tokio::spawn(async move { create(&node, "patient", Instant::now() + PATIENCE).await })
    };
    let stale = cluster.node(old).read(ReadLevel::Linearizable, Instant::now() + Duration::from_millis(300)).await;
    assert!(stale.is_err(), "cut off, and yet it read");
    assert!(!waiting.is_finished(), "cut off, and yet it wrote");
    cluster.faults.heal();
    let written = waiting.await.expect("a task");
    assert!(written.is_ok(), "{written:?}");
    for id in 1..=3 {
        for name in [&name, "meanwhile", "patient"] {
            assert!(sees(cluster.node(id), name).await, "{name} at {id}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_another_cluster_are_refused() {
    let mut cluster = Cluster::start(3).await;
    cluster.stop(3).await;
    std::fs::remove_dir_all(cluster.config(3).data_dir).expect("an emptied folder");
    let mut stranger = cluster.config(3);
    stranger.cluster_id = "other".to_owned();
    cluster.create_any(1).await;
    let starting = cluster.try_start(stranger);
    let waits = tokio::time::timeout(Duration::from_millis(700), starting).await;
    assert!(waits.is_err(), "it has no answer from its own cluster, and the other's does not count");
    assert_eq!(cluster.node(1).standing().borrow().members.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_name_no_master_are_refused() {
    let mut cluster = Cluster::start(3).await;
    // So that its folder says which member it is, and it need not ask.
    cluster.create_any(3).await;
    cluster.stop(3).await;
    let mut outsider = cluster.config(3);
    outsider.tls = tokio::sync::watch::Sender::new(cluster.authority.issue("system:nodes")).subscribe();
    let outsider = cluster.try_start(outsider).await.expect("it starts");
    let written = create(&outsider, "x", Instant::now() + Duration::from_millis(500)).await;
    assert!(written.is_err(), "{written:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_hangs_gives_its_office_away() {
    let cluster = Cluster::start(3).await;
    let old = cluster.leader().await;
    cluster.faults.hang_disk(old);
    let hung = Instant::now();
    let other = (1..=3).find(|id| *id != old).expect("another");
    // The quorum of the others still commits, so nothing but the clock can tell that something is wrong.
    let mut names = Vec::new();
    let new = loop {
        names.push(cluster.create_any(other).await);
        let leader = cluster.node(other).standing().borrow().leader;
        if leader != Some(old) && leader.is_some() {
            break leader;
        }
        assert!(hung.elapsed() < PATIENCE, "member {old} still leads");
    };
    eprintln!("the disk hung; another led after {:?}", hung.elapsed());
    assert!(hung.elapsed() > Duration::from_millis(900), "{new:?} led before its time");
    cluster.faults.heal();
    for id in 1..=3 {
        for name in &names {
            assert!(sees(cluster.node(id), name).await, "{name} at {id}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_entries_reach_nobody_gives_its_office_away() {
    let cluster = Cluster::start(3).await;
    let old = cluster.leader().await;
    cluster.create_any(old).await;
    cluster.faults.hold_entries(old, 1..=3);
    let held = Instant::now();
    // Nothing else tells that something is wrong: its heartbeats arrive, and are answered.
    let name = cluster.create_any(old).await;
    eprintln!("entries were held up; one was written after {:?}", held.elapsed());
    let new = cluster.leader_other_than(old).await;
    cluster.faults.heal();
    for id in 1..=3 {
        assert!(sees(cluster.node(id), &name).await, "{name} at {id}, led by {new}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_entries_reach_one_of_four_leaves_the_others_an_election() {
    let cluster = Cluster::start(5).await;
    let old = cluster.leader().await;
    cluster.create_any(old).await;
    let friend = (1..=5).find(|id| *id != old).expect("another");
    let others: Vec<u64> = (1..=5).filter(|id| ![old, friend].contains(id)).collect();
    // Whom the leader could ask to take over is no better off.
    for one in [old, friend] {
        cluster.faults.hold_entries(one, others.clone());
    }
    let held = Instant::now();
    let name = cluster.create_any(others[0]).await;
    eprintln!("entries were held up; one was written after {:?}", held.elapsed());
    let new = cluster.leader().await;
    assert!(others.contains(&new), "{new} leads, of {old} and {friend} against {others:?}");
    cluster.faults.heal();
    for id in 1..=5 {
        assert!(sees(cluster.node(id), &name).await, "{name} at {id}, led by {new}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_heard_by_one_that_others_need_leaves_them_an_election() {
    let mut cluster = Cluster::start(5).await;
    let old = cluster.leader().await;
    let mut rest = (1..=5).filter(|id| *id != old);
    let (partner, bridge) = (rest.next().expect("five"), rest.next().expect("five"));
    let others: Vec<u64> = rest.collect();
    for near in [old, partner] {
        for far in &others {
            cluster.faults.cut(near, *far);
        }
    }
    cluster.create_any(bridge).await;
    // With it goes the leader's majority. That of the others needs the one member that still hears the leader.
    cluster.kill(partner).await;
    let killed = Instant::now();
    let name = cluster.create_any(others[0]).await;
    eprintln!("the leader's partner was killed; one was written across the bridge after {:?}", killed.elapsed());
    cluster.faults.heal();
    for node in cluster.running() {
        assert!(sees(node, &name).await, "{name} at {}", node.id());
    }
}

/// Longer than the leader's lease, shorter than what a follower waits.
const HICCUP: Duration = Duration::from_millis(165);
/// On a machine that is late itself, what was to be a hiccup may have been more.
const HICCUP_MAX: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_that_is_late_once_does_not_cost_the_leader_its_office() {
    let cluster = Cluster::start(3).await;
    let (mut hiccups, mut lapses) = (0, 0);
    let begun = Instant::now();
    while hiccups < 5 {
        assert!(begun.elapsed() < PATIENCE, "this machine is too slow to show anything: {hiccups} hiccups");
        let leader = cluster.leader().await;
        cluster.create_any(leader).await;
        let term = cluster.node(leader).standing().borrow().term;
        for peer in (1..=3).filter(|id| *id != leader) {
            cluster.faults.cut(leader, peer);
        }
        let cut = Instant::now();
        tokio::time::sleep(HICCUP).await;
        let has_lapsed = !cluster.node(leader).standing().borrow().leads;
        cluster.faults.heal();
        if cut.elapsed() > HICCUP_MAX {
            continue;
        }
        cluster.create_any(leader).await;
        let now = cluster.node(leader).standing().borrow().clone();
        assert_eq!((now.leader, now.term), (Some(leader), term), "the leader is the same, in the same term");
        hiccups += 1;
        lapses += u64::from(has_lapsed);
    }
    assert!(lapses > 0, "no lease lapsed, so nothing was shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_unseats_nobody() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let term = cluster.node(leader).standing().borrow().term;
    let until = Instant::now() + Duration::from_secs(3);
    let mut writers = Vec::new();
    for n in 0..96 {
        let node = cluster.node(n % 3 + 1).clone();
        writers.push(tokio::spawn(async move {
            let mut count = 0;
            while Instant::now() < until {
                let name = format!("l{n}-{count}-{}", "x".repeat(4000));
                create(&node, &name, Instant::now() + PATIENCE).await.expect("a write");
                count += 1;
            }
            count
        }));
    }
    let mut total = 0;
    for writer in writers {
        total += writer.await.expect("a writer");
    }
    let metrics = cluster.node(leader).metrics();
    eprintln!(
        "{total} writes of 4 KiB in 3 s; commit p50 {} us p99 {} us; append p99 {} us; leases lapsed {:?}",
        metrics.commit_us.quantile(0.5),
        metrics.commit_us.quantile(0.99),
        metrics.append_us.quantile(0.99),
        metrics.lease_lapses,
    );
    let standing = cluster.node(leader).standing().borrow().clone();
    assert_eq!((standing.leader, standing.term), (Some(leader), term), "load alone makes no election");
}
