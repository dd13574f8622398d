//! Preferred node affinity: the share of the weights that the node satisfies.

use super::{MAX, Score};
use crate::scheduler::cluster::Slot;
use crate::scheduler::context::Context;
use crate::scheduler::node::Node;

/// The registry's row.
pub const SCORE: Score = Score { name: "NodeAffinity", score, weight: 2 };

fn score(context: &Context<'_>, node: &Node, _: &Slot) -> i64 {
    let terms = &context.pod.preferred_nodes;
    let all: i64 = terms.iter().map(|(weight, _)| weight).sum();
    if all <= 0 {
        return 0;
    }
    let satisfied: i64 = terms.iter().filter(|(_, term)| term.matches(node)).map(|(weight, _)| weight).sum();
    MAX * satisfied / all
}
