//! History is compacted all the time, to recent revisions and to impossible ones.

use std::sync::Arc;

use raft_state::Command;

use super::objects::write;
use crate::client::Cluster;
use crate::rng::Rng;

/// Begins.
pub fn begin(cluster: &Arc<Cluster>, rng: &Rng, _clients: u64) {
    cluster.note(|ledger| ledger.busy += 1);
    cluster.spawner.spawn(crate::tasks::WORLD, run(cluster.clone(), rng.clone()));
}

async fn run(cluster: Arc<Cluster>, mut rng: Rng) {
    let every_us = *rng.pick(&[50_000, 300_000, 1_000_000]).unwrap_or(&300_000);
    while !cluster.note(|ledger| ledger.closing) {
        let pause_us = rng.between(1, 2 * every_us);
        cluster.clock.sleep(pause_us).await;
        let Some(store) = cluster.any(&mut rng) else { continue };
        let told = cluster.note(|ledger| ledger.told);
        let revision = (told + 2).saturating_sub(rng.below(25));
        write(&cluster, &*store, vec![Command::Compact { revision }]).await;
    }
    cluster.note(|ledger| ledger.busy -= 1);
}
