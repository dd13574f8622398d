//! Members that join, are promoted, replaced, removed, wiped, recovered, under load and in the midst of failures.

#![allow(missing_docs)]

mod cluster;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cluster::{Cluster, PATIENCE, create, key, sees};
use raft_node::{AdminError, LEAP, Node, recover, survey};
use raft_state::port::{Kind, Member, ReadLevel, Standing, Store};

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

fn voters(standing: &Standing) -> BTreeSet<u64> {
    standing.members.iter().filter(|m| m.voter).map(|m| m.id).collect()
}

fn ids(standing: &Standing) -> BTreeSet<u64> {
    standing.members.iter().map(|m| m.id).collect()
}

/// Waits until a member sees what is wanted.
#[track_caller]
fn sees_soon(node: &Arc<Node>, what: &str, wanted: impl Fn(&Standing) -> bool) -> impl Future<Output = ()> {
    let (mut standing, what, node) = (node.standing(), what.to_owned(), node.clone());
    let place = std::panic::Location::caller();
    async move {
        let seen = tokio::time::timeout(PATIENCE, standing.wait_for(|s| wanted(s))).await.is_ok_and(|s| s.is_ok());
        assert!(seen, "{place}: {what}: {:?}\n{}", node.standing().borrow(), node.describe());
    }
}

async fn votes(node: &Arc<Node>, expected: impl IntoIterator<Item = u64>) {
    let expected: BTreeSet<u64> = expected.into_iter().collect();
    sees_soon(node, &format!("{expected:?} vote"), |s| voters(s) == expected).await;
}

/// Writers at some members, until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn at(nodes: &[&Arc<Node>], tag: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = nodes.iter().enumerate().map(|(n, node)| {
            let (stop, node, tag) = (stop.clone(), (*node).clone(), tag.to_owned());
            tokio::spawn(async move {
                let mut names = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let name = format!("{tag}-{n}-{}", names.len());
                    create(&node, &name, deadline()).await.expect("no write fails");
                    names.push(name);
                }
                names
            })
        });
        let writers = writers.collect();
        Self { stop, writers }
    }

    /// Ends it; a member must hold everything that was acknowledged, once.
    async fn end(self, node: &Arc<Node>) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let mut count = 0;
        for writer in self.writers {
            let names = writer.await.expect("a writer");
            let snapshot = node.read(ReadLevel::Linearizable, deadline()).await.expect("a read");
            for name in &names {
                assert_eq!(snapshot.get(&key(name)).expect("an acknowledged write").version, 1);
            }
            count += names.len();
        }
        count
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_grows_and_shrinks_under_load_and_loses_nothing() {
    let mut cluster = Cluster::start(1).await;
    let one = cluster.node(1).clone();
    let load = Load::at(&[&one, &one], "grow");
    let (two, id) = cluster.join(Kind::Master).await;
    assert_eq!((two, id), (2, 2));
    sees_soon(&one, "2 is there", |s| ids(s).len() == 2).await;
    assert_eq!(voters(&one.standing().borrow()), BTreeSet::from([1]), "a second waits for a third");
    cluster.join(Kind::Master).await;
    votes(&one, 1..=3).await;
    let joined = Load::at(&[cluster.node(2), cluster.node(3)], "joined");
    cluster.join(Kind::Master).await;
    sees_soon(&one, "4 is there", |s| ids(s).len() == 4).await;
    let waits = loop {
        let status = one.cluster_status(deadline()).await.expect("a status");
        let four = status.members.iter().find(|m| m.member.id == 4).expect("member 4").clone();
        if four.note.contains("stays odd") {
            break four;
        }
    };
    assert!(!waits.member.voter, "{waits:?}");
    cluster.join(Kind::Master).await;
    votes(&one, 1..=5).await;
    one.remove(5, deadline()).await.expect("a removal");
    votes(&one, 1..=3).await;
    one.remove(4, deadline()).await.expect("a removal");
    assert_eq!(ids(&one.standing().borrow()), BTreeSet::from([1, 2, 3]));
    joined.end(&one).await;
    // Whoever leads now: it hands over first when it is the one to go.
    one.remove(3, deadline()).await.expect("a removal");
    one.remove(2, deadline()).await.expect("a removal");
    votes(&one, [1]).await;
    assert_eq!(ids(&one.standing().borrow()), BTreeSet::from([1]));
    let writes = load.end(&one).await;
    eprintln!("{writes} writes while the cluster grew to five and shrank to one");
    assert!(writes > 20, "{writes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_voter_is_replaced_by_a_learner_and_waits_in_its_turn_when_it_returns() {
    let mut cluster = Cluster::start(3).await;
    let (_, spare) = cluster.join(Kind::Master).await;
    let leader = cluster.leader().await;
    let node = cluster.node(leader).clone();
    sees_soon(&node, "the spare is there", |s| ids(s).contains(&spare)).await;
    let dead = (1..=3).find(|id| *id != leader).expect("a follower");
    let load = Load::at(&[&node], "dead");
    cluster.kill(dead).await;
    votes(&node, (1..=4).filter(|id| *id != dead)).await;
    load.end(&node).await;
    cluster.start_one(dead).await;
    sees_soon(cluster.node(dead), "it serves as a learner", |s| s.ready && !voters(s).contains(&dead)).await;
    let name = cluster.create_any(dead).await;
    assert!(sees(&node, &name).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_whose_folder_was_emptied_rejoins_by_itself_under_a_new_id() {
    let mut cluster = Cluster::start(3).await;
    let victim = cluster.follower().await;
    let name = cluster.create_any(victim).await;
    cluster.kill(victim).await;
    std::fs::remove_dir_all(cluster.config(victim).data_dir).expect("an emptied folder");
    let others: Vec<u64> = (1..=3).filter(|id| *id != victim).collect();
    let load = Load::at(&[cluster.node(others[0]), cluster.node(others[1])], "wiped");
    let again = cluster.start_one(victim).await;
    assert_eq!(again.id(), 4, "the old id is not taken up again");
    let node = cluster.node(others[0]).clone();
    votes(&node, [others[0], others[1], 4]).await;
    sees_soon(&node, "the old id is gone", |s| !ids(s).contains(&victim)).await;
    sees_soon(&again, "it serves", |s| s.ready).await;
    assert!(sees(&again, &name).await);
    load.end(&again).await;
    // From its own disk it comes back as who it is now.
    cluster.kill(victim).await;
    let again = cluster.start_one(victim).await;
    assert_eq!(again.id(), 4);
    sees_soon(&again, "it serves again", |s| s.ready && voters(s).contains(&4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_member_learns_it_and_is_never_heard_again() {
    let mut cluster = Cluster::start(3).await;
    cluster.join(Kind::Master).await;
    let gone = cluster.follower().await;
    let asked = (1..=3).find(|id| *id != gone).expect("another");
    let node = cluster.node(asked).clone();
    node.remove(gone, deadline()).await.expect("a removal");
    node.remove(gone, deadline()).await.expect("it is gone already");
    votes(&node, (1..=4).filter(|id| *id != gone)).await;
    sees_soon(cluster.node(gone), "it learns of it", |s| s.removed && !s.ready).await;
    let term = node.standing().borrow().term;
    cluster.stop(gone).await;
    let back = cluster.start_one(gone).await;
    sees_soon(&back, "its folder does not help it", |s| s.removed).await;
    assert!(create(&back, "x", Instant::now() + Duration::from_secs(5)).await.is_err());
    cluster.create_any(asked).await;
    assert_eq!(node.standing().borrow().term, term, "it disturbs nobody");
    let unknown = node.promote(gone, deadline()).await;
    assert!(matches!(unknown, Err(AdminError::Unknown(_))), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_removed_before_it_got_an_entry_learns_it_too() {
    let mut cluster = Cluster::start(3).await;
    // Whoever joins next is given this id, and is taken in on a connection that has none yet: nothing else reaches it.
    for id in 1..=3 {
        cluster.faults.cut(id, 4);
    }
    let (slot, id) = cluster.join(Kind::Master).await;
    assert_eq!(id, 4);
    cluster.node(1).remove(id, deadline()).await.expect("a removal");
    let joiner = cluster.node(slot).clone();
    sees_soon(&joiner, "it learns of it", |s| s.removed).await;
    assert_eq!(joiner.standing().borrow().applied_index, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_replicas_serve_everything_and_never_vote() {
    let mut cluster = Cluster::start(3).await;
    let (slot, replica) = cluster.join(Kind::Replica).await;
    cluster.join(Kind::Replica).await;
    let node = cluster.node(slot).clone();
    sees_soon(&node, "it serves", |s| s.ready).await;
    let mut cursor = node.watch(b"/registry/core/configmaps/", node.snapshot().revision()).expect("a watch");
    let here = cluster.create_any(slot).await;
    let there = cluster.create_any(cluster.leader().await).await;
    assert!(sees(&node, &there).await);
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let batch = tokio::time::timeout(PATIENCE, cursor.next(10)).await.expect("in time").expect("events");
        seen.extend(batch.events.into_iter().map(|e| e.entry.key.clone()));
    }
    assert_eq!(seen, [key(&here), key(&there)]);
    let refused = node.promote(replica, deadline()).await.expect_err("a replica");
    assert!(refused.to_string().contains("which never votes"), "{refused}");
    // Through an election too.
    let leader = cluster.leader().await;
    let load = Load::at(&[&node], "replica");
    cluster.kill(leader).await;
    cluster.leader_other_than(leader).await;
    let writes = load.end(&node).await;
    assert!(writes > 0);
    assert_eq!(voters(&node.standing().borrow()), BTreeSet::from([1, 2, 3]), "two replicas and a dead voter");
    node.remove(replica, deadline()).await.expect("a removal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_goes_where_it_is_sent_and_a_leader_can_be_removed() {
    let mut cluster = Cluster::start(3).await;
    cluster.join(Kind::Master).await;
    let load = Load::at(&[cluster.node(4)], "transfer");
    for to in [1, 2, 3, 2] {
        let from = cluster.follower().await;
        cluster.node(from).transfer(to, deadline()).await.expect("a transfer");
        // The old leader may not have heard of it yet.
        sees_soon(cluster.node(to), "it leads", |s| s.leads).await;
    }
    let refused = cluster.node(1).transfer(4, deadline()).await.expect_err("a learner");
    assert!(refused.to_string().contains("does not vote"), "{refused}");
    cluster.node(1).remove(2, deadline()).await.expect("the leader is removed");
    votes(cluster.node(1), [1, 3, 4]).await;
    load.end(cluster.node(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_or_is_not_safe_is_refused_with_the_way_out() {
    let mut cluster = Cluster::start(1).await;
    let node = cluster.node(1).clone();
    let check = |result: Result<(), AdminError>, expected: &str| {
        let said = result.expect_err(expected).to_string();
        assert!(said.contains(expected), "{said}");
    };
    check(node.remove(1, deadline()).await, "the only voter: add another master first");
    check(node.remove(7, deadline()).await, "no member 7");
    let mut twin = cluster.config(1);
    cluster.add_slot(Kind::Master);
    (twin.id, twin.initial_members) = (0, Vec::new());
    twin.data_dir.push("twin");
    twin.peers = vec![twin.peer_address.clone()];
    twin.peer_listen = cluster.config(2).peer_listen;
    let waits = tokio::time::timeout(Duration::from_millis(500), cluster.try_start(twin)).await;
    assert!(waits.is_err(), "m1 is alive under that name");
    cluster.join(Kind::Master).await;
    cluster.join(Kind::Master).await;
    votes(&node, 1..=3).await;
    // Demoted, one goes along; promoted again, both return.
    node.demote(3, deadline()).await.expect("a demotion");
    votes(&node, [1]).await;
    node.promote(3, deadline()).await.expect("a promotion");
    votes(&node, 1..=3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_kept_for_whoever_comes_from_its_address() {
    let mut cluster = Cluster::start(1).await;
    let node = cluster.node(1).clone();
    let slots: Vec<u64> = (0..3).map(|_| cluster.add_slot(Kind::Master)).collect();
    let address = |slot: u64| cluster.config(slot).peer_address;
    let place = |slot: u64, kind| Member { peer_address: address(slot), kind, ..Member::default() };
    let first = node.add_member(&place(slots[0], Kind::Master), deadline()).await.expect("a place");
    let second = node.add_member(&place(slots[1], Kind::Standby), deadline()).await.expect("a place");
    assert_eq!((first, second), (2, 3));
    let refused = node.add_member(&place(slots[1], Kind::Master), deadline()).await.expect_err("it is taken");
    assert!(refused.to_string().contains("is a member's address already"), "{refused}");
    sees_soon(&node, "both are kept and neither votes", |s| ids(s).len() == 3 && voters(s).len() == 1).await;
    // Moved before anybody came.
    let moved = address(slots[2]);
    node.set_peer_address(second, &moved, deadline()).await.expect("a move");
    let refused = node.set_peer_address(first, &moved, deadline()).await.expect_err("it is taken");
    assert!(refused.to_string().contains("is a member's address already"), "{refused}");
    assert_eq!(cluster.start_one(slots[0]).await.id(), first);
    assert_eq!(cluster.start_one(slots[2]).await.id(), second);
    let there = |s: &Standing| s.members.iter().all(|m| !m.name.is_empty());
    sees_soon(&node, "both have names", there).await;
    assert_eq!(voters(&node.standing().borrow()).len(), 1, "one stands by, as its place said");
    node.promote(second, deadline()).await.expect("a promotion");
    votes(&node, 1..=3).await;
}

/// A follower that begins to listen elsewhere is heard again once the others were told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_moved_is_found_where_the_membership_says() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let mover = cluster.follower().await;
    let node = cluster.node(leader).clone();
    cluster.kill(mover).await;
    let elsewhere = cluster.add_slot(Kind::Master);
    let to = cluster.config(elsewhere);
    node.set_peer_address(mover, &to.peer_address, deadline()).await.expect("a move");
    let mut config = cluster.config(mover);
    (config.peer_listen, config.peer_address) = (to.peer_listen, to.peer_address);
    let moved = cluster.try_start(config).await.expect("a member that starts");
    sees_soon(&moved, "it serves", |s| s.ready).await;
    let name = cluster.create_any(leader).await;
    assert!(sees(&moved, &name).await);
    assert_eq!(cluster.leader().await, leader, "without an election");
    moved.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_order_from_all_sides_is_carried_out_once() {
    let mut cluster = Cluster::start(3).await;
    for _ in 0..2 {
        cluster.join(Kind::Master).await;
    }
    votes(cluster.node(1), 1..=5).await;
    let orders = (1..=4).map(|id| {
        let node = cluster.node(id).clone();
        tokio::spawn(async move { node.remove(5, deadline()).await })
    });
    for order in orders.collect::<Vec<_>>() {
        order.await.expect("a task").expect("a removal");
    }
    sees_soon(cluster.node(1), "5 is gone", |s| ids(s) == BTreeSet::from([1, 2, 3, 4]) && voters(s).len() == 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_survives_the_death_of_its_leader_wherever_it_stands() {
    let mut cluster = Cluster::start(3).await;
    for round in 0_u64..4 {
        let leader = cluster.leader().await;
        let survivors: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
        let load = Load::at(&[cluster.node(survivors[0]), cluster.node(survivors[1])], &format!("midst{round}"));
        let slot = cluster.add_slot(Kind::Master);
        let other = cluster.add_slot(Kind::Master);
        let joining =
            async { tokio::join!(cluster.try_start(cluster.config(slot)), cluster.try_start(cluster.config(other))) };
        let dead = cluster.nodes[leader as usize - 1].clone().expect("a running member");
        // At another point of the change each time.
        let killing = async {
            tokio::time::sleep(Duration::from_millis(40 * round)).await;
            dead.kill().await;
        };
        let ((one, two), ()) = tokio::join!(joining, killing);
        cluster.nodes[leader as usize - 1] = None;
        let (one, two) = (one.expect("it starts"), two.expect("it starts"));
        cluster.nodes[slot as usize - 1] = Some(one.clone());
        cluster.nodes[other as usize - 1] = Some(two.clone());
        let node = cluster.node(survivors[0]).clone();
        sees_soon(&node, "both are there", |s| [one.id(), two.id()].iter().all(|id| ids(s).contains(id))).await;
        cluster.start_one(leader).await;
        for (slot, id) in [(slot, one.id()), (other, two.id())] {
            node.remove(id, deadline()).await.expect("a removal");
            cluster.kill(slot).await;
        }
        sees_soon(&node, "as before", |s| ids(s) == voters(s) && voters(s) == BTreeSet::from([1, 2, 3])).await;
        load.end(&node).await;
        sees_soon(cluster.node(leader), "it serves again", |s| s.ready).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_survivor_makes_a_new_cluster_and_the_others_are_fenced_off() {
    let mut cluster = Cluster::start(3).await;
    let name = cluster.create_any(1).await;
    for id in 1..=3 {
        assert!(sees(cluster.node(id), &name).await);
    }
    let revision = cluster.node(1).snapshot().revision();
    for id in 1..=3 {
        cluster.kill(id).await;
    }
    let (folder, keyring) = (cluster.config(2).data_dir, cluster.config(2).keyring);
    let before = survey(&folder, keyring.clone()).await.expect("a survey");
    assert_eq!((before.member.id, before.others.len(), before.cluster_id.as_str()), (2, 2, "test"));
    assert!(before.last_index >= before.committed_index && before.committed_index > 0, "{before:?}");
    recover(&folder, keyring, "another").await.expect("a recovery");
    let node = cluster.start_one(2).await;
    sees_soon(&node, "it leads alone", |s| s.leads && s.ready).await;
    assert_eq!(node.cluster_id(), "another");
    assert!(sees(&node, &name).await);
    let snapshot = node.snapshot();
    assert!(snapshot.revision() >= revision + LEAP && snapshot.compacted() >= revision + LEAP);
    assert!(node.watch(b"/", revision).is_err(), "whoever watched before has to list again");
    assert_eq!(ids(&node.standing().borrow()), BTreeSet::from([2]));
    cluster.create(2, "after").await.expect("a write");
    // The others are a quorum of the old cluster, and nothing of it touches the new one.
    cluster.start_one(1).await;
    cluster.start_one(3).await;
    let old = cluster.leader_other_than(2).await;
    cluster.create(old, "elsewhere").await.expect("a write");
    assert!(!sees(&node, "elsewhere").await);
    assert_eq!(cluster.leader_other_than(old).await, 2);
    // It grows again, with ids that were never used.
    cluster.kill(1).await;
    cluster.kill(3).await;
    cluster.cluster_id = "another".to_owned();
    let (_, id) = cluster.join(Kind::Master).await;
    assert_eq!(id, 4);
    cluster.join(Kind::Master).await;
    votes(&node, [2, 4, 5]).await;
}
