//! Watchers that break off now and then and resume elsewhere, at what they have.

use std::sync::Arc;

use bytes::Bytes;
use raft_state::port::{Store, WatchError};

use crate::client::Cluster;
use crate::ledger::{Taken, Watch};
use crate::rng::Rng;

/// Begins.
pub fn begin(cluster: &Arc<Cluster>, rng: &Rng, clients: u64) {
    for number in 0..clients {
        let mut rng = rng.fork(number);
        let prefixes = ["/registry/core/configmaps/", "/registry/core/secrets/", "/registry/", "", "bank/"];
        let prefix = Bytes::from_static(rng.pick(&prefixes).unwrap_or(&prefixes[0]).as_bytes());
        let index = cluster.note(|ledger| {
            ledger.watches.push(Watch { prefix: prefix.clone(), taken: Vec::new() });
            ledger.watches.len() - 1
        });
        let watcher = Watcher { cluster: cluster.clone(), rng, index, prefix, after: None, rewind: 0 };
        cluster.spawner.spawn(crate::tasks::WORLD, watcher.run());
    }
}

struct Watcher {
    cluster: Arc<Cluster>,
    rng: Rng,
    index: usize,
    prefix: Bytes,
    /// What it has; `None` while it must begin anew.
    after: Option<u64>,
    /// A fresh watch begins so far in the past.
    rewind: u64,
}

impl Watcher {
    async fn run(mut self) {
        loop {
            let pause_us = self.rng.between(1, 100_000);
            self.cluster.clock.sleep(pause_us).await;
            if let Some(store) = self.cluster.any(&mut self.rng) {
                self.follow(&*store).await;
            }
        }
    }

    fn take(&self, taken: Taken) {
        self.cluster.note(|ledger| ledger.watches[self.index].taken.push(taken));
    }

    async fn follow(&mut self, store: &dyn Store) {
        let after = match self.after {
            Some(after) => after,
            None => {
                let told = self.cluster.note(|ledger| ledger.told);
                told.saturating_sub(self.rewind).max(1)
            }
        };
        let clock = self.cluster.clock.clone();
        let end_us = clock.now_us() + self.rng.between(1_000, 1_500_000);
        let mut cursor = match store.watch(&self.prefix, after) {
            Ok(cursor) => cursor,
            Err(error) => return self.refused(after, &error),
        };
        self.take(Taken::Resumed(after));
        self.after = Some(after);
        loop {
            let max = usize::try_from(self.rng.between(1, 6)).unwrap_or(1);
            let batch = tokio::select! {
                biased;
                batch = cursor.next(max) => batch,
                () = clock.sleep_until(end_us) => return,
            };
            match batch {
                Ok(batch) => {
                    for event in batch.events {
                        self.after = self.after.max(Some(event.revision));
                        self.take(Taken::Event(event));
                    }
                    self.after = self.after.max(Some(batch.progress));
                    self.take(Taken::Progress(batch.progress));
                }
                Err(error) => return self.refused(self.after.unwrap_or(after), &error),
            }
            if self.rng.permille(100) {
                // A reader that is slow.
                let slow_us = self.rng.between(1, 400_000);
                clock.sleep(slow_us).await;
            }
        }
    }

    fn refused(&mut self, after: u64, error: &WatchError) {
        if let WatchError::Compacted { floor, .. } = error {
            self.take(Taken::Compacted(after, *floor));
            self.after = None;
            self.rewind = self.rng.below(30);
        }
    }
}
