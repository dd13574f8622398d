//! The emptier a node, the better.

use super::{MAX, Score, shares};
use crate::scheduler::cluster::Slot;
use crate::scheduler::context::Context;
use crate::scheduler::node::Node;

/// The registry's row.
pub const SCORE: Score = Score { name: "NodeResourcesFit", score, weight: 1 };

fn score(context: &Context<'_>, node: &Node, slot: &Slot) -> i64 {
    let (cpu, memory) = shares(context, node, slot);
    MAX - (cpu + memory) / 2
}
