//! What clients know of the cluster: who serves now, and the ledger in which they write what they saw.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use raft_state::port::Store;

use crate::clock::Clock;
use crate::consensus::Id;
use crate::ledger::Ledger;
use crate::rng::Rng;
use crate::tasks::Spawner;

/// The cluster from outside.
pub struct Cluster {
    stores: Mutex<BTreeMap<Id, Arc<dyn Store>>>,
    /// Its time.
    pub clock: Clock,
    /// Where clients are spawned.
    pub spawner: Spawner,
    /// Where they write.
    pub ledger: Arc<Mutex<Ledger>>,
}

impl Cluster {
    /// Without members yet.
    pub fn new(clock: Clock, spawner: Spawner, ledger: Arc<Mutex<Ledger>>) -> Self {
        Self { stores: Mutex::default(), clock, spawner, ledger }
    }

    /// A process serves.
    pub fn joined(&self, id: Id, store: Arc<dyn Store>) {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).insert(id, store);
    }

    /// It does no more.
    pub fn left(&self, id: Id) {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// One that serves now.
    pub fn any(&self, rng: &mut Rng) -> Option<Arc<dyn Store>> {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let index = rng.index(stores.len());
        stores.values().nth(index).cloned()
    }

    /// Works on the ledger.
    pub fn note<T>(&self, work: impl FnOnce(&mut Ledger) -> T) -> T {
        work(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
