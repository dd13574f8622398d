//! Holders of leases: each gets one, keeps it alive for a while, and lets it run out.

use std::sync::Arc;

use raft_state::{Command, Outcome};

use super::objects::write;
use crate::client::Cluster;
use crate::ledger::Promise;
use crate::rng::Rng;

/// Ids of these leases begin here; those of others are below.
pub const FIRST: i64 = 1000;
/// How long a question may take.
const LIMIT_US: u64 = 2_000_000;

/// Begins.
pub fn begin(cluster: &Arc<Cluster>, rng: &Rng, clients: u64) {
    for number in 0..clients {
        cluster.note(|ledger| ledger.busy += 1);
        let first = FIRST + i64::try_from(number).unwrap_or(0) * FIRST;
        cluster.spawner.spawn(crate::tasks::WORLD, run(cluster.clone(), rng.fork(number), first));
    }
}

async fn run(cluster: Arc<Cluster>, mut rng: Rng, first: i64) {
    let mut id = first;
    while !cluster.note(|ledger| ledger.closing) {
        id += 1;
        let ttl_s = i64::try_from(rng.between(1, 2)).unwrap_or(1);
        let pause_us = rng.between(1, 100_000);
        cluster.clock.sleep(pause_us).await;
        let Some(store) = cluster.any(&mut rng) else { continue };
        let promised_us = cluster.clock.now_us();
        let granted = write(&cluster, &*store, vec![Command::LeaseGrant { id, ttl_s }]).await;
        if !matches!(granted.as_deref(), Some([Outcome::LeaseGranted { .. }])) {
            continue;
        }
        let ttl_us = ttl_s.unsigned_abs() * 1_000_000;
        let promise = |promised_us| Promise { id, promised_us, ttl_us };
        cluster.note(|ledger| ledger.promises.push(promise(promised_us)));
        for _ in 0..rng.between(0, 8) {
            let pause_us = rng.between(ttl_us / 5, ttl_us * 4 / 5);
            cluster.clock.sleep(pause_us).await;
            let Some(store) = cluster.any(&mut rng) else { continue };
            let asked_us = cluster.clock.now_us();
            let renewed = store.lease_keep_alive(vec![id], cluster.clock.instant(asked_us + LIMIT_US)).await;
            match renewed.as_deref() {
                Ok([Some(_)]) => cluster.note(|ledger| ledger.promises.push(promise(asked_us))),
                Ok(_) => break,
                // It may have been renewed.
                Err(_) => {}
            }
        }
    }
    cluster.note(|ledger| ledger.busy -= 1);
}
