//! Revisions: one counter for the whole cluster, which only goes up.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Checker, Evidence, Verdict};
use crate::history::Op;

/// The row.
pub static CHECKER: Checker = Checker {
    name: "revisions",
    text: "a write that begins after another has ended has a higher revision; an object's never go back",
    check,
};

/// Calls that make a revision.
const WRITES: &[&str] = &["create", "write", "cas", "add"];

fn check(evidence: &Evidence) -> Verdict {
    let numbered: Vec<(&Op, u64)> =
        evidence.ops.iter().filter_map(|op| Some((op, op.result()?["revision"].as_u64()?))).collect();
    let mut verdict = Verdict::default();
    let writes: Vec<(&Op, u64)> = numbered.iter().copied().filter(|(op, _)| WRITES.contains(&op.f)).collect();
    ordered(&writes, true, &mut verdict);
    twice(&writes, &mut verdict);
    // Reads of one object, or lists, may repeat a revision.
    let mut keys: BTreeMap<(&str, &str), Vec<(&Op, u64)>> = BTreeMap::new();
    for (op, revision) in &numbered {
        keys.entry((op.workload, &op.key)).or_default().push((op, *revision));
    }
    for ops in keys.values() {
        ordered(ops, false, &mut verdict);
    }
    if !numbered.is_empty() {
        verdict.looked_at = format!("{} revisions", numbered.len());
    }
    verdict
}

/// A call that begins after another has ended must have a higher revision, or at least as high a one.
fn ordered(ops: &[(&Op, u64)], strictly: bool, verdict: &mut Verdict) {
    let mut by_end: Vec<(Duration, &Op, u64)> =
        ops.iter().filter_map(|(op, revision)| Some((op.completed?, *op, *revision))).collect();
    by_end.sort_by_key(|(ended, _, _)| *ended);
    let mut ended = by_end.into_iter().peekable();
    let mut highest: Option<(&Op, u64)> = None;
    let mut by_begin: Vec<&(&Op, u64)> = ops.iter().collect();
    by_begin.sort_by_key(|(op, _)| op.invoked);
    for (op, revision) in by_begin {
        while let Some((_, before, reached)) = ended.next_if(|(at, _, _)| *at < op.invoked) {
            if highest.is_none_or(|(_, high)| reached > high) {
                highest = Some((before, reached));
            }
        }
        if let Some((before, high)) = highest
            && (*revision < high || (strictly && *revision == high))
        {
            let text = format!("{} of {} at revision {revision}, after {high} had been seen", op.f, op.key);
            verdict.find(text, vec![before.clone(), (*op).clone()]);
        }
    }
}

/// No two writes share a revision.
fn twice(writes: &[(&Op, u64)], verdict: &mut Verdict) {
    let mut owners: BTreeMap<u64, &Op> = BTreeMap::new();
    for (op, revision) in writes {
        if let Some(other) = owners.insert(*revision, op) {
            verdict.find(format!("two writes have revision {revision}"), vec![other.clone(), (*op).clone()]);
        }
    }
}
