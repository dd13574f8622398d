//! Preferred affinity and anti-affinity to pods.

use super::{MAX, Score};
use crate::scheduler::cluster::Slot;
use crate::scheduler::context::Context;
use crate::scheduler::node::Node;

/// The sum of weights that earns half of what is left to earn: the weight of one strongest term.
const HALF: i64 = 100;

/// The registry's row.
pub const SCORE: Score = Score { name: "InterPodAffinity", score, weight: 2 };

fn score(context: &Context<'_>, node: &Node, _: &Slot) -> i64 {
    let here = context.preferred.iter().filter(|((key, value), _)| node.label(key) == Some(value));
    let sum: i64 = here.map(|(_, weight)| weight).sum();
    MAX / 2 + MAX / 2 * sum / (sum.abs() + HALF)
}
