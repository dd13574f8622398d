//! `ScheduleAnyway` constraints; for a pod with no constraints at all, few pods of the same owner on the node.

use super::{MAX, Score};
use crate::scheduler::cluster::Slot;
use crate::scheduler::context::Context;
use crate::scheduler::node::Node;

/// The registry's row.
pub const SCORE: Score = Score { name: "PodTopologySpread", score, weight: 2 };

fn score(context: &Context<'_>, node: &Node, slot: &Slot) -> i64 {
    if context.spread.is_empty() {
        let Some(owner) = &context.pod.owner else { return 0 };
        return MAX / (1 + slot.owners.get(owner).copied().unwrap_or(0));
    }
    let (mut sum, mut constraints) = (0, 0);
    for domains in context.spread.iter().filter(|domains| !domains.constraint.hard) {
        constraints += 1;
        // A node outside of all domains is the last choice.
        let Some(domain) = node.label(&domains.constraint.topology_key) else { continue };
        let ahead = domains.counts.get(domain).copied().unwrap_or(0) - domains.least();
        sum += MAX / (1 + ahead.max(0));
    }
    if constraints == 0 { 0 } else { sum / constraints }
}
