//! Members whose packets are late: longer there and back than the time between two heartbeats.

#![allow(missing_docs)]

mod cluster;

use std::time::{Duration, Instant};

use cluster::{Cluster, PATIENCE, until};
use raft_state::port::{ReadLevel, Store};

const LATE: Duration = Duration::from_millis(20);

/// Many election timeouts.
const CALM: Duration = Duration::from_millis(1500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_that_are_answered_late_keep_a_leader_and_confirm_reads() {
    let cluster = Cluster::start_late(3, LATE).await;
    let begun = Instant::now();
    loop {
        let before = cluster.standings();
        // Nothing is written meanwhile: only heartbeats tell who leads.
        tokio::time::sleep(CALM).await;
        let reader = cluster.follower().await;
        let read = cluster.node(reader).read(ReadLevel::Linearizable, Instant::now() + PATIENCE).await;
        assert!(read.is_ok(), "no read is confirmed");
        let after = cluster.standings();
        if before.iter().zip(&after).all(|(before, after)| before.term == after.term) {
            break;
        }
        // A machine that stood still may have cost one leader its office.
        assert!(begun.elapsed() < PATIENCE, "no leader stays: {before:?}, then {after:?}");
    }
}

/// For votes and heartbeats, for entries, for proposals.
const LANES: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_connected_before_they_need_it() {
    let cluster = Cluster::start_late(3, LATE).await;
    let connected = || cluster.ways().iter().all(|way| way.connections() >= 2 * LANES).then_some(());
    until("each member's being connected with each other", connected).await;
    let broken: Vec<usize> = cluster.ways().iter().map(|way| way.break_all()).collect();
    let renewed = || cluster.ways().iter().zip(&broken).all(|(way, before)| way.accepted() >= before + 2 * LANES);
    until("each member's dialling each other again", || renewed().then(connected).flatten()).await;
}
