//! What clients do, one kind of work a file.

pub mod bank;
mod compaction;
mod epochs;
mod leases;
mod objects;
mod watches;

use std::sync::Arc;

use crate::client::Cluster;
use crate::rng::Rng;

/// A kind of work.
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// In so many of a thousand worlds.
    pub chance_permille: u64,
    /// At most so many clients do it.
    pub most: u64,
    /// Begins it with so many clients.
    pub begin: fn(&Arc<Cluster>, &Rng, u64),
}

/// One row each.
pub static ALL: &[Workload] = &[
    Workload { name: "objects", chance_permille: 850, most: 6, begin: objects::begin },
    Workload { name: "watches", chance_permille: 700, most: 6, begin: watches::begin },
    Workload { name: "epochs", chance_permille: 500, most: 3, begin: epochs::begin },
    Workload { name: "bank", chance_permille: 400, most: 3, begin: bank::begin },
    Workload { name: "leases", chance_permille: 350, most: 3, begin: leases::begin },
    Workload { name: "compaction", chance_permille: 400, most: 1, begin: compaction::begin },
];
