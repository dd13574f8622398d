//! What must hold, one property a file.

mod acknowledged;
mod applied_once;
mod bank;
mod bindings;
mod capacity;
mod deployments;
mod epochs;
mod garbage;
mod herd;
mod lease_time;
mod leases;
mod reads;
mod refusals;
mod replicas;
mod revisions;
mod watches;

use raft_state::{Applied, Snapshot};

use crate::consensus::LogId;
use crate::judge::{Agreed, Record};
use crate::ledger::Ledger;
use crate::tasks::Group;

/// Judges one property. Every method adds to `found` a sentence for each way in which it fails.
pub trait Checker: Send {
    /// A member applied an entry, or took in a whole state (then there is no `applied`).
    fn replica(
        &mut self,
        _group: Group,
        _at: LogId,
        _applied: Option<&Applied>,
        _after: &Snapshot,
        _found: &mut Vec<String>,
    ) {
    }

    /// An entry was applied for the first time in the world.
    fn agreed(&mut self, _agreed: &Agreed<'_>, _found: &mut Vec<String>) {}

    /// The world has ended.
    fn end(&mut self, _record: &Record, _ledger: &Ledger, _found: &mut Vec<String>) {}
}

/// A property.
pub struct Property {
    /// As findings name it.
    pub name: &'static str,
    /// A fresh judge of it.
    pub make: fn() -> Box<dyn Checker>,
}

/// One row each.
pub static ALL: &[Property] = &[
    Property { name: "replicas agree", make: || Box::<replicas::Replicas>::default() },
    Property { name: "revisions count up", make: || Box::<revisions::Revisions>::default() },
    Property { name: "nothing is applied twice", make: || Box::<applied_once::AppliedOnce>::default() },
    Property { name: "refusals are true", make: || Box::<refusals::Refusals>::default() },
    Property { name: "a stale epoch changes nothing", make: || Box::<epochs::Epochs>::default() },
    Property { name: "transactions are atomic", make: || Box::<bank::Bank>::default() },
    Property { name: "leases end once, in their time", make: || Box::<leases::Leases>::default() },
    Property { name: "leases live as long as promised", make: || Box::<lease_time::LeaseTime>::default() },
    Property { name: "no node holds more than it has", make: || Box::<capacity::Capacity>::default() },
    Property { name: "bound pods stay where they are", make: || Box::<bindings::Bindings>::default() },
    Property { name: "deployments stay in bounds", make: || Box::<deployments::Deployments>::default() },
    Property { name: "a replica set takes no pod that it needs", make: || Box::<herd::Herd>::default() },
    Property { name: "garbage goes, and nothing else", make: || Box::<garbage::Garbage>::default() },
    Property { name: "no acknowledged write is lost", make: || Box::<acknowledged::Acknowledged>::default() },
    Property { name: "reads are linearizable", make: || Box::<reads::Reads>::default() },
    Property { name: "watches keep their promises", make: || Box::<watches::Watches>::default() },
];
