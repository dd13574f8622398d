//! Writes and reads on three members, and what becomes of them when members come and go.

#![allow(missing_docs)]

mod cluster;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cluster::{Cluster, PATIENCE, create, create_command, key, sees};
use raft_node::Node;
use raft_state::port::{ProposeError, ReadError, ReadLevel, Store};
use raft_state::{Command, Outcome};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_leads_at_once() {
    let mut cluster = Cluster::new(1);
    let started = Instant::now();
    cluster.start_one(1).await;
    assert_eq!(cluster.leader().await, 1);
    cluster.create_any(1).await;
    eprintln!("from nothing to the first write: {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_member_takes_writes_and_reads_what_was_written_elsewhere() {
    let cluster = Cluster::start(3).await;
    for writer in 1..=3 {
        let name = cluster.create_any(writer).await;
        for reader in 1..=3 {
            assert!(sees(cluster.node(reader), &name).await, "written at {writer}, read at {reader}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_is_returned_when_it_is_applied_here() {
    let cluster = Cluster::start(3).await;
    let node = cluster.node(cluster.follower().await);
    let commands = (0..50).map(|n| create_command(&format!("many{n}"))).collect();
    let outcomes = node.propose(commands, Instant::now() + PATIENCE).await.expect("a write");
    let snapshot = node.snapshot();
    for (n, outcome) in outcomes.iter().enumerate() {
        let Outcome::Done { revision } = outcome else { panic!("{outcome:?}") };
        let entry = snapshot.get(&key(&format!("many{n}"))).expect("applied");
        assert_eq!(entry.mod_revision, *revision);
    }
    let standing = node.standing().borrow().clone();
    assert_eq!(standing.members.len(), 3);
    assert!(standing.members.iter().all(|m| m.voter));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_members_hold_the_same_after_a_load_from_all_sides() {
    let cluster = Cluster::start(3).await;
    let started = Instant::now();
    let writers = (0..60).map(|w| {
        let node = cluster.node(w % 3 + 1).clone();
        tokio::spawn(async move {
            for n in 0..20 {
                create(&node, &format!("w{w}-{n}"), Instant::now() + PATIENCE).await.expect("a write");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }
    let elapsed = started.elapsed();
    let metrics = cluster.node(cluster.leader().await).metrics();
    eprintln!(
        "1200 writes of 60 writers in {elapsed:?}; commit p50 {} us, p99 {} us; proposals an entry {:.1}",
        metrics.commit_us.quantile(0.5),
        metrics.commit_us.quantile(0.99),
        metrics.batch_proposals.sum() as f64 / metrics.batch_proposals.count() as f64,
    );
    let mut hashes = BTreeMap::new();
    for id in 1..=3 {
        let snapshot = cluster.node(id).read(ReadLevel::Linearizable, Instant::now() + PATIENCE).await.expect("a read");
        assert_eq!(snapshot.count(b"/registry/core/configmaps/"), 1200);
        hashes.insert(id, (snapshot.revision(), snapshot.hash()));
    }
    assert!(hashes.values().all(|h| Some(h) == hashes.values().next()), "{hashes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_is_there_after_all_have_restarted() {
    let mut cluster = Cluster::start(3).await;
    let mut names = Vec::new();
    for round in 0..3 {
        names.push(cluster.create_any(round + 1).await);
        for id in 1..=3 {
            if round == 1 { cluster.stop(id).await } else { cluster.kill(id).await }
        }
        cluster.start_all().await;
        for id in 1..=3 {
            for name in &names {
                assert!(sees(cluster.node(id), name).await, "{name} at {id} after round {round}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_a_call_ends_at_its_deadline() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for id in (1..=3).filter(|id| *id != leader) {
        cluster.kill(id).await;
    }
    let node = cluster.node(leader).clone();
    node.standing().wait_for(|s| !s.leads).await.expect("a standing");
    let patience = Duration::from_millis(300);
    let started = Instant::now();
    let written = create(&node, "lost", Instant::now() + patience).await;
    assert_eq!(written, Err(ProposeError::DeadlineExceeded));
    let read = node.read(ReadLevel::Linearizable, Instant::now() + patience).await;
    assert!(matches!(read, Err(ReadError::DeadlineExceeded { .. })), "{read:?}");
    let took = started.elapsed();
    assert!(took >= patience * 2 && took < patience * 2 + Duration::from_millis(300), "{took:?}");
    // What is merely fresh enough is still served.
    let local = node.read(ReadLevel::AtLeast(1), Instant::now() + patience).await;
    assert!(local.is_ok(), "{local:?}");
    let beyond = node.read(ReadLevel::AtLeast(1_000_000), Instant::now() + patience).await;
    assert!(matches!(beyond, Err(ReadError::DeadlineExceeded { .. })), "{beyond:?}");
}

/// Writers that never stop; each write is one object, so that a lost or doubled one shows.
struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<tokio::task::JoinHandle<(Vec<String>, Duration, usize)>>,
}

impl Load {
    fn start(nodes: &[Arc<Node>], tag: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = nodes
            .iter()
            .enumerate()
            .flat_map(|(n, node)| (0..4).map(move |w| (n, w, node.clone())))
            .map(|(n, w, node)| {
                let (stop, tag) = (stop.clone(), tag.to_owned());
                tokio::spawn(async move {
                    let (mut names, mut longest, mut failures) = (Vec::new(), Duration::ZERO, 0);
                    while !stop.load(Ordering::Relaxed) {
                        let name = format!("{tag}-{n}-{w}-{}", names.len() + failures);
                        let started = Instant::now();
                        // `create` panics when the object is there already: applied twice.
                        match create(&node, &name, Instant::now() + PATIENCE).await {
                            Ok(_) => names.push(name),
                            Err(_) => failures += 1,
                        }
                        longest = longest.max(started.elapsed());
                    }
                    (names, longest, failures)
                })
            })
            .collect();
        Self { stop, writers }
    }

    async fn stop(self) -> (Vec<String>, Duration, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut names, mut longest, mut failures) = (Vec::new(), Duration::ZERO, 0);
        for writer in self.writers {
            let (n, l, f) = writer.await.expect("a writer");
            names.extend(n);
            longest = longest.max(l);
            failures += f;
        }
        (names, longest, failures)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_costs_survivors_time_and_nothing_else() {
    let mut cluster = Cluster::start(3).await;
    for round in 0..5 {
        let leader = cluster.leader().await;
        let survivors: Vec<_> = (1..=3).filter(|id| *id != leader).map(|id| cluster.node(id).clone()).collect();
        let load = Load::start(&survivors, &format!("r{round}"));
        tokio::time::sleep(Duration::from_millis(200)).await;
        let killed = Instant::now();
        let dead = cluster.nodes[leader as usize - 1].take().expect("a running member");
        let dying = tokio::spawn(async move { dead.kill().await });
        let new = cluster.leader_other_than(leader).await;
        let elected = killed.elapsed();
        create(cluster.node(new), &format!("after{round}"), Instant::now() + PATIENCE).await.expect("a write");
        let written = killed.elapsed();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (names, longest, failures) = load.stop().await;
        eprintln!(
            "leader {leader} killed, {new} leads after {elected:?}, first write after {written:?}, longest write {longest:?}, {} writes",
            names.len()
        );
        assert_eq!(failures, 0, "no write at a survivor fails");
        let snapshot =
            cluster.node(new).read(ReadLevel::Linearizable, Instant::now() + PATIENCE).await.expect("a read");
        for name in &names {
            assert_eq!(snapshot.get(&key(name)).expect("an acknowledged write").version, 1);
        }
        assert!(written < Duration::from_secs(3), "{written:?}");
        dying.await.expect("a death");
        cluster.start_one(leader).await;
        wait_ready(&cluster, leader).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_sees_what_was_acknowledged_before_it_also_through_elections() {
    let mut cluster = Cluster::start(3).await;
    for round in 0..4 {
        let leader = cluster.leader().await;
        let survivors: Vec<_> = (1..=3).filter(|id| *id != leader).map(|id| cluster.node(id).clone()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let checkers: Vec<_> = (0..8)
            .map(|n| {
                let (writer, reader) = (survivors[n % 2].clone(), survivors[(n + 1) % 2].clone());
                let stop = stop.clone();
                tokio::spawn(async move {
                    let mut count = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let name = format!("c{round}-{n}-{count}");
                        create(&writer, &name, Instant::now() + PATIENCE).await.expect("a write");
                        assert!(sees(&reader, &name).await, "{name} was acknowledged and is not read");
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        cluster.kill(leader).await;
        cluster.leader_other_than(leader).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.store(true, Ordering::Relaxed);
        for checker in checkers {
            assert!(checker.await.expect("a checker") > 0);
        }
        cluster.start_one(leader).await;
        wait_ready(&cluster, leader).await;
    }
}

async fn wait_ready(cluster: &Cluster, id: u64) {
    let mut standing = cluster.node(id).standing();
    let ready = tokio::time::timeout(PATIENCE, standing.wait_for(|s| s.ready)).await;
    assert!(ready.is_ok(), "member {id} gets ready: {:?}", cluster.standings());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_leader_hands_over_first() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let survivors: Vec<_> = (1..=3).filter(|id| *id != leader).map(|id| cluster.node(id).clone()).collect();
    let load = Load::start(&survivors, "handover");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    cluster.stop(leader).await;
    eprintln!("stopped within {:?}", started.elapsed());
    cluster.leader_other_than(leader).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (names, longest, failures) = load.stop().await;
    eprintln!("{} writes, the longest took {longest:?}", names.len());
    assert_eq!(failures, 0);
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_lags_behind_the_log_gets_a_snapshot() {
    let mut cluster = Cluster::new(3);
    cluster.limits.snapshot_log_bytes = 20_000;
    cluster.limits.keep_log_bytes = 2_000;
    cluster.start_all().await;
    let follower = cluster.follower().await;
    cluster.kill(follower).await;
    let leader = cluster.leader().await;
    let node = cluster.node(leader).clone();
    for n in 0..1000 {
        create(&node, &format!("s{n}"), Instant::now() + PATIENCE).await.expect("a write");
    }
    // Until the leader has thrown away what the follower lacks.
    let deadline = Instant::now() + PATIENCE;
    while node.metrics().snapshots_built.load(Ordering::Relaxed) < 2 {
        assert!(Instant::now() < deadline, "no snapshot was made");
        cluster.create_any(leader).await;
    }
    let restarted = cluster.start_one(follower).await;
    wait_ready(&cluster, follower).await;
    assert!(sees(&restarted, "s0").await && sees(&restarted, "s999").await);
    assert!(restarted.metrics().snapshots_installed.load(Ordering::Relaxed) >= 1, "it came by snapshot");
    let name = cluster.create_any(follower).await;
    assert!(sees(&node, &name).await);
    let hashes: Vec<_> = cluster.running().map(|n| (n.snapshot().revision(), n.snapshot().hash())).collect();
    assert!(hashes.iter().all(|(r, h)| hashes[0].0 != *r || hashes[0].1 == *h), "{hashes:?}");
    // And once more from its own disk.
    cluster.kill(follower).await;
    let restarted = cluster.start_one(follower).await;
    wait_ready(&cluster, follower).await;
    assert!(sees(&restarted, "s0").await && sees(&restarted, &name).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_compacted_by_the_leader() {
    let mut cluster = Cluster::new(3);
    cluster.compaction.every = Duration::from_millis(200);
    cluster.compaction.keep = Duration::from_millis(200);
    cluster.start_all().await;
    cluster.create_any(1).await;
    let deadline = Instant::now() + PATIENCE;
    while cluster.running().any(|n| n.snapshot().compacted() == 0) {
        assert!(Instant::now() < deadline, "nothing is compacted");
        cluster.create_any(1).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_beyond_the_limit_is_refused() {
    let mut cluster = Cluster::new(1);
    cluster.limits.proposal_bytes = 100;
    cluster.start_all().await;
    let commands: Vec<Command> = (0..10).map(|n| create_command(&format!("x{n}"))).collect();
    let refused = cluster.node(1).propose(commands, Instant::now() + PATIENCE).await;
    assert!(matches!(refused, Err(ProposeError::TooLarge { limit: 100, .. })), "{refused:?}");
    cluster.create_any(1).await;
}

/// Not a check but a measurement: `cargo test --release -p raft-node --test replication -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn throughput() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let run = Duration::from_secs(4);
    for workers in [1, 64, 256] {
        let until = Instant::now() + run;
        let writers: Vec<_> = (0..workers)
            .map(|n| {
                let node = cluster.node(n % 3 + 1).clone();
                tokio::spawn(async move {
                    let mut count = 0_u64;
                    while Instant::now() < until {
                        let name = format!("t{workers}-{n}-{count}-{}", "x".repeat(1500));
                        let written = create(&node, &name, Instant::now() + PATIENCE).await;
                        assert!(written.is_ok(), "{written:?}: {}", node.describe());
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let mut writes = 0;
        for writer in writers {
            writes += writer.await.expect("a writer");
        }
        let until = Instant::now() + run;
        let readers: Vec<_> = (0..workers)
            .map(|n| {
                let node = cluster.node(n % 3 + 1).clone();
                tokio::spawn(async move {
                    let mut count = 0_u64;
                    while Instant::now() < until {
                        node.read(ReadLevel::Linearizable, Instant::now() + PATIENCE).await.expect("a read");
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let mut reads = 0;
        for reader in readers {
            reads += reader.await.expect("a reader");
        }
        eprintln!(
            "{workers} workers: {} writes/s, {} linearizable reads/s",
            writes / run.as_secs(),
            reads / run.as_secs()
        );
    }
    for id in 1..=3 {
        let m = cluster.node(id).metrics();
        let (p50, p99) = (0.5, 0.99);
        eprintln!(
            "member {id}{}: propose p50 {} p99 {} us; commit p50 {} p99 {} us; append p50 {} p99 {} us; apply p50 {} us; read index p50 {} us; {:.1} proposals an entry, {:.1} reads a round",
            if id == leader { " (leads)" } else { "" },
            m.propose_us.quantile(p50),
            m.propose_us.quantile(p99),
            m.commit_us.quantile(p50),
            m.commit_us.quantile(p99),
            m.append_us.quantile(p50),
            m.append_us.quantile(p99),
            m.apply_us.quantile(p50),
            m.read_index_us.quantile(p50),
            m.batch_proposals.sum() as f64 / m.batch_proposals.count().max(1) as f64,
            m.batch_reads.sum() as f64 / m.batch_reads.count().max(1) as f64,
        );
    }
}
