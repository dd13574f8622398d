//! Leases: granted under few ids, keys hung on them, revoked, and ended by rival keepers who count for offices that are no
//! longer theirs.

use std::sync::Arc;

use bytes::Bytes;
use raft_state::txn::{Op, Put, Txn};
use raft_state::{Command, Outcome};

use super::objects::write;
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
    let mut office = 0;
    let mut hung = 0;
    while !cluster.note(|ledger| ledger.closing) {
        let pause_us = rng.between(1, 60_000);
        cluster.clock.sleep(pause_us).await;
        let Some(store) = cluster.any(&mut rng) else { continue };
        let id = i64::try_from(rng.between(0, 4)).unwrap_or(1);
        let command = match rng.below(12) {
            0 => Command::OpenLeaseOffice { holder: number },
            1 => Command::LeaseRevoke { id },
            2 | 3 => {
                // What is known may be stale: then the expiry must be void, or name this very grant.
                let grant = store.snapshot().lease(id).map_or(1, |lease| lease.grant);
                Command::LeaseExpire { id, grant: grant.saturating_sub(rng.below(2)), office }
            }
            4..=6 => Command::LeaseGrant { id, ttl_s: 10 },
            _ => {
                hung += 1;
                let put = Put {
                    key: Bytes::from(format!("leased/{}", rng.below(6))),
                    value: Some(Bytes::from(format!("{number}-{hung}"))),
                    lease: Some(id),
                    want_previous: false,
                };
                Command::EtcdTxn(Txn { then: vec![Op::Put(put)], ..Txn::default() })
            }
        };
        let outcomes = write(&cluster, &*store, vec![command]).await;
        if let Some([Outcome::LeaseOfficeOpened { office: opened }]) = outcomes.as_deref() {
            office = *opened;
        }
    }
    cluster.note(|ledger| ledger.busy -= 1);
}
