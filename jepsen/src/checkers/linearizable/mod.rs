//! Linearizability: there is one order of all calls, true to real time, in which each object behaves as one object.

mod object;
mod search;
mod shrink;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Checker, Evidence, Verdict};
use crate::history::Op;

pub use object::{Action, ObjectModel, Outcome};
pub use search::{Found, Interval, Model, search};

/// The row.
pub static CHECKER: Checker = Checker {
    name: "linearizable",
    text: "objects under register, cas and objects behave as if each were in one place",
    check,
};

/// Workloads whose keys are objects.
const WORKLOADS: &[&str] = &["register", "cas", "objects"];

/// For one key.
const BOUND: Duration = Duration::from_secs(20);

fn check(evidence: &Evidence) -> Verdict {
    let mut keys: BTreeMap<&str, Vec<&Op>> = BTreeMap::new();
    for op in evidence.ops.iter().filter(|op| WORKLOADS.contains(&op.workload)) {
        keys.entry(&op.key).or_default().push(op);
    }
    let mut verdict = Verdict::default();
    let mut calls = 0;
    for (key, ops) in &keys {
        calls += ops.len();
        match judge(ops, Instant::now() + BOUND) {
            Found::Order => {}
            Found::None => {
                let history = shrink::shrink(ops);
                verdict.find(format!("{key} has no order that is true to real time"), history);
            }
            Found::OutOfTime => verdict.find(format!("{key} could not be judged within {BOUND:?}"), Vec::new()),
        }
    }
    if calls > 0 {
        verdict.looked_at = format!("{calls} calls on {} keys", keys.len());
    }
    verdict
}

/// Judges the calls on one key.
fn judge(ops: &[&Op], deadline: Instant) -> Found {
    let intervals: Vec<Interval<Action>> = ops.iter().filter_map(|op| interval(op)).collect();
    search::<ObjectModel>(&intervals, deadline)
}

/// A call as the model sees it; `None` for one that tells nothing.
fn interval(op: &Op) -> Option<Interval<Action>> {
    let action = object::action(op)?;
    Some(Interval { begun: op.invoked, ended: op.over(), action })
}
