//! Sets: what was added stays, and nothing else is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Checker, Evidence, Verdict};
use crate::history::Op;

/// The row.
pub static CHECKER: Checker =
    Checker { name: "set", text: "every acknowledged member is in every later list, and no other is", check };

fn check(evidence: &Evidence) -> Verdict {
    let mut sets: BTreeMap<&str, (Vec<&Op>, Vec<&Op>)> = BTreeMap::new();
    for op in evidence.of("set") {
        let (adds, reads) = sets.entry(&op.key).or_default();
        if op.f == "add" { adds.push(op) } else { reads.push(op) }
    }
    let mut verdict = Verdict::default();
    let (mut added, mut read) = (0, 0);
    for (set, (adds, reads)) in &sets {
        added += adds.len();
        read += reads.len();
        for op in reads {
            judge(set, adds, op, &mut verdict);
        }
    }
    if added > 0 {
        verdict.looked_at = format!("{added} additions, {read} lists");
    }
    verdict
}

fn judge(set: &str, adds: &[&Op], read: &Op, verdict: &mut Verdict) {
    let Some(found) = read.result().and_then(|result| result["members"].as_array()) else { return };
    let list: Vec<u64> = found.iter().filter_map(serde_json::Value::as_u64).collect();
    let members: BTreeSet<u64> = list.iter().copied().collect();
    let shown = |op: &Op| format!("{set} as m{} listed it at {}", op.master + 1, seconds(op.invoked));
    if members.len() != list.len() {
        verdict.find(format!("{} holds a member twice", shown(read)), vec![read.clone()]);
    }
    let mut possible = BTreeSet::new();
    for add in adds {
        let Some(member) = add.input.as_u64() else { continue };
        let acknowledged = add.result().is_some() && add.completed.is_some_and(|at| at < read.invoked);
        if acknowledged && !members.contains(&member) {
            let text = format!("{} lacks {member}, which was acknowledged before", shown(read));
            verdict.find(text, vec![(*add).clone(), read.clone()]);
        }
        if !add.failed() && read.completed.is_none_or(|at| add.invoked < at) {
            possible.insert(member);
        }
    }
    for stranger in members.difference(&possible) {
        verdict.find(format!("{} holds {stranger}, which nobody had added", shown(read)), vec![read.clone()]);
    }
}

fn seconds(at: Duration) -> String {
    format!("{:.3} s", at.as_secs_f64())
}
