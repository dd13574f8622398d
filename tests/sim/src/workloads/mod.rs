//! What clients do, one kind of work a file.

pub mod bank;
mod compaction;
pub mod deployments;
mod epochs;
mod holders;
mod leases;
mod objects;
mod watches;

use std::sync::Arc;

use crate::client::Cluster;
use crate::rng::Rng;

/// What a kind of work needs of the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Their stores.
    Stores,
    /// Their managers, with controllers and scheduler.
    Managers,
    /// Somebody who counts the time of leases: only the consensus that ships has one.
    Keepers,
}

/// A kind of work.
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// In so many of a thousand worlds.
    pub chance_permille: u64,
    /// At most so many clients do it.
    pub most: u64,
    /// What it needs.
    pub needs: Needs,
    /// Begins it with so many clients.
    pub begin: fn(&Arc<Cluster>, &Rng, u64),
}

/// One row each.
pub static ALL: &[Workload] = &[
    Workload { name: "objects", chance_permille: 850, most: 6, needs: Needs::Stores, begin: objects::begin },
    Workload { name: "watches", chance_permille: 700, most: 6, needs: Needs::Stores, begin: watches::begin },
    Workload { name: "epochs", chance_permille: 500, most: 3, needs: Needs::Stores, begin: epochs::begin },
    Workload { name: "bank", chance_permille: 400, most: 3, needs: Needs::Stores, begin: bank::begin },
    Workload { name: "leases", chance_permille: 350, most: 3, needs: Needs::Stores, begin: leases::begin },
    Workload { name: "compaction", chance_permille: 400, most: 1, needs: Needs::Stores, begin: compaction::begin },
    Workload { name: "deployments", chance_permille: 50, most: 2, needs: Needs::Managers, begin: deployments::begin },
    Workload { name: "holders", chance_permille: 350, most: 3, needs: Needs::Keepers, begin: holders::begin },
];

/// Whether work of these rows needs managers.
pub fn need_managers(rows: &[(usize, u64)]) -> bool {
    rows.iter().any(|(row, _)| ALL[*row].needs == Needs::Managers)
}
