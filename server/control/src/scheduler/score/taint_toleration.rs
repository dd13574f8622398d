//! Each `PreferNoSchedule` taint that the pod does not tolerate counts against a node.

use super::{MAX, Score};
use crate::scheduler::cluster::Slot;
use crate::scheduler::context::Context;
use crate::scheduler::node::Node;

/// The registry's row.
pub const SCORE: Score = Score { name: "TaintToleration", score, weight: 3 };

fn score(context: &Context<'_>, node: &Node, _: &Slot) -> i64 {
    let tolerated = |taint| context.pod.tolerations.iter().any(|toleration| toleration.covers(taint));
    let mut against = 0;
    for taint in &node.taints {
        against += i64::from(taint.effect == "PreferNoSchedule" && !tolerated(taint));
    }
    MAX / (1 + against)
}
