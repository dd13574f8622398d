//! Preemption: which pods of lower priority make room for one that fits nowhere.
//!
//! Only room is considered, not affinity or spreading: a node qualifies when nothing but resources or ports object.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::cluster::{Cluster, Index};
use super::context::Context;
use super::filter;
use super::pod::Pod;

/// Where room can be made, and by whom leaving.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The node.
    pub node: Index,
    /// Who must leave; never empty.
    pub victims: Vec<Arc<Pod>>,
}

/// How bad a plan is, compared in this order: the highest priority that goes, the sum of priorities, how many go.
type Cost = (i32, i64, usize);

/// The cheapest plan; the first node wins among equals. Pods that are `leaving` already cost nothing more.
pub fn plan(pod: &Pod, crowded: &[Index], cluster: &Cluster, leaving: &BTreeSet<String>) -> Option<Plan> {
    if pod.never_preempts || cluster.lowest_priority().is_none_or(|lowest| lowest >= pod.priority) {
        return None;
    }
    let context = Context::new(pod, cluster);
    let mut best: Option<(Cost, Plan)> = None;
    for node in crowded {
        let Some(victims) = victims(&context, *node, cluster, leaving) else { continue };
        let cost = (
            victims.iter().map(|v| v.priority).max().unwrap_or(i32::MIN),
            // Offset, so that every victim counts, even of negative priority.
            victims.iter().map(|v| i64::from(v.priority) - i64::from(i32::MIN)).sum(),
            victims.len(),
        );
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, Plan { node: *node, victims }));
        }
    }
    best.map(|(_, plan)| plan)
}

/// Takes every pod of lower priority off the node, then lets back who can stay, the highest priority first.
fn victims(
    context: &Context<'_>,
    index: Index,
    cluster: &Cluster,
    leaving: &BTreeSet<String>,
) -> Option<Vec<Arc<Pod>>> {
    let slot = cluster.slot(index);
    let node = slot.node.as_ref()?;
    let mut lower: Vec<&Arc<Pod>> = slot.pods.values().filter(|p| p.priority < context.pod.priority).collect();
    if lower.is_empty() {
        return None;
    }
    let mut trial = slot.clone();
    for pod in &lower {
        trial.remove(&pod.uid);
    }
    if filter::check(context, node, &trial).is_err() {
        return None;
    }
    lower.sort_by_key(|pod| (Reverse(pod.priority), pod.uid.clone()));
    let mut victims = Vec::new();
    for pod in lower {
        if pod.deleting || leaving.contains(&pod.uid) {
            victims.push(pod.clone());
            continue;
        }
        trial.add(pod);
        if filter::check(context, node, &trial).is_err() {
            trial.remove(&pod.uid);
            victims.push(pod.clone());
        }
    }
    (!victims.is_empty()).then_some(victims)
}
