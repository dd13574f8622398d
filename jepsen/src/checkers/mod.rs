//! What must hold, one property a file, one row each in [`ALL`].

mod alive;
mod availability;
mod backups;
mod bank;
mod deployments;
mod leases;
pub mod linearizable;
mod locks;
mod nodes;
mod orders;
mod replicas;
mod revisions;
pub mod serializable;
mod set;
mod watches;

use std::time::Duration;

use crate::history::Op;
use crate::nemeses::Struck;
use crate::samples::Sample;
use crate::stalls::Waits;
use crate::timeline::Sight;

pub use replicas::Replica;

/// All that a round leaves behind.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Masters of the cluster.
    pub masters: usize,
    /// When the last fault was over and clients began to end.
    pub length: Duration,
    /// Calls, in the order in which they began.
    pub ops: Vec<Op>,
    /// Requests, in the order in which they ended.
    pub samples: Vec<Sample>,
    /// Faults, in the order in which they began.
    pub faults: Vec<Struck>,
    /// Times in which this machine did not run us.
    pub waits: Waits,
    /// Who led when.
    pub sights: Vec<Sight>,
    /// Masters that ended though nobody told them to: when, who, how, last words.
    pub deaths: Vec<(Duration, usize, String)>,
    /// Masters that did not serve again when all was over, and why.
    pub stuck: Vec<String>,
    /// What each master holds at one revision, after the end.
    pub replicas: Vec<Replica>,
}

impl Evidence {
    /// Calls of a workload.
    pub fn of<'a>(&'a self, workload: &'a str) -> impl Iterator<Item = &'a Op> {
        self.ops.iter().filter(move |op| op.workload == workload)
    }
}

/// Something that must not be.
#[derive(Clone, Debug)]
pub struct Anomaly {
    /// One sentence.
    pub text: String,
    /// The shortest history found that shows it.
    pub history: Vec<Op>,
}

/// What a checker found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What it looked at: `412 calls on 24 keys`. Empty when there was nothing to look at.
    pub looked_at: String,
    /// What it found.
    pub anomalies: Vec<Anomaly>,
}

impl Verdict {
    /// Looked at so much, found nothing.
    pub fn clean(looked_at: impl Into<String>) -> Self {
        Self { looked_at: looked_at.into(), anomalies: Vec::new() }
    }

    /// Adds a finding.
    pub fn find(&mut self, text: impl Into<String>, history: Vec<Op>) {
        self.anomalies.push(Anomaly { text: text.into(), history });
    }
}

/// A property.
pub struct Checker {
    /// Its name.
    pub name: &'static str,
    /// What it holds masters to, for people.
    pub text: &'static str,
    /// Judges a round.
    pub check: fn(&Evidence) -> Verdict,
}

/// One row each.
pub static ALL: &[&Checker] = &[
    &linearizable::CHECKER,
    &serializable::CHECKER,
    &set::CHECKER,
    &bank::CHECKER,
    &leases::CHECKER,
    &locks::CHECKER,
    &watches::CHECKER,
    &deployments::CHECKER,
    &nodes::CHECKER,
    &revisions::CHECKER,
    &replicas::CHECKER,
    &backups::CHECKER,
    &orders::CHECKER,
    &availability::CHECKER,
    &alive::CHECKER,
];
