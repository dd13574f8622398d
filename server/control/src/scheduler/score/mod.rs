//! Scores: which of the nodes that can take a pod suits it best. One file each, one row in [`ALL`].
//!
//! A score depends on the pod and the one node alone (with what [`Context`] counted before), so that after a placement
//! only the node that changed is scored again.

pub mod balanced_allocation;
pub mod inter_pod_affinity;
pub mod least_allocated;
pub mod node_affinity;
pub mod pod_topology_spread;
pub mod taint_toleration;

use super::cluster::Slot;
use super::context::Context;
use super::node::Node;

/// The best score of one plugin. Finer than Kubernetes' 100, so that a small pod on a big node makes a difference.
pub const MAX: i64 = 1_000_000;

/// One scorer.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// The plugin's name in Kubernetes.
    pub name: &'static str,
    /// From 0 to [`MAX`].
    pub score: fn(&Context<'_>, &Node, &Slot) -> i64,
    /// Kubernetes' default weight.
    pub weight: i64,
}

/// All of them.
pub const ALL: [Score; 6] = [
    least_allocated::SCORE,
    balanced_allocation::SCORE,
    node_affinity::SCORE,
    taint_toleration::SCORE,
    pod_topology_spread::SCORE,
    inter_pod_affinity::SCORE,
];

/// The weighted sum.
pub fn total(context: &Context<'_>, node: &Node, slot: &Slot) -> i64 {
    ALL.iter().map(|plugin| plugin.weight * (plugin.score)(context, node, slot)).sum()
}

/// `used / has` in units of [`MAX`], at most [`MAX`].
fn share(used: i64, has: i64) -> i64 {
    if has <= 0 || used >= has {
        return MAX;
    }
    let share = i128::from(used.max(0)) * i128::from(MAX) / i128::from(has);
    i64::try_from(share).unwrap_or(MAX)
}

/// The node's shares of CPU and memory in use, were the pod there.
fn shares(context: &Context<'_>, node: &Node, slot: &Slot) -> (i64, i64) {
    let asked = &context.pod.request;
    (
        share(slot.used.scored_cpu_milli + asked.scored_cpu_milli, node.allocatable.cpu_milli),
        share(slot.used.scored_memory + asked.scored_memory, node.allocatable.memory),
    )
}
