//! Rival managers: each opens an epoch, writes with it for a while, and goes on after it was deposed.

use std::sync::Arc;

use bytes::Bytes;
use raft_state::{Action, Command, Expect, ObjectCommand, Outcome};

use super::objects::{object, write};
use crate::client::Cluster;
use crate::rng::Rng;

/// Begins.
pub fn begin(cluster: &Arc<Cluster>, rng: &Rng, clients: u64) {
    for number in 0..clients {
        cluster.note(|ledger| ledger.busy += 1);
        cluster.spawner.spawn(crate::tasks::WORLD, run(cluster.clone(), rng.fork(number), number));
    }
}

async fn run(cluster: Arc<Cluster>, mut rng: Rng, number: u64) {
    let mut epoch = None;
    let mut written = 0;
    while !cluster.note(|ledger| ledger.closing) {
        let pause_us = rng.between(1, 100_000);
        cluster.clock.sleep(pause_us).await;
        let Some(store) = cluster.any(&mut rng) else { continue };
        let Some(current) = epoch.filter(|_| !rng.permille(100)) else {
            let outcomes = write(&cluster, &*store, vec![Command::OpenEpoch { holder: number }]).await;
            if let Some([Outcome::EpochOpened { epoch: opened, .. }]) = outcomes.as_deref() {
                epoch = Some(*opened);
            }
            continue;
        };
        written += 1;
        let command = Command::Object(ObjectCommand {
            key: Bytes::from(format!("/registry/core/configmaps/epochs/k{}", rng.below(3))),
            epoch: Some(current),
            expect: Expect::Any,
            action: Action::Put(object(&format!("epoch-{number}-{written}"))),
        });
        write(&cluster, &*store, vec![command]).await;
    }
    cluster.note(|ledger| ledger.busy -= 1);
}
