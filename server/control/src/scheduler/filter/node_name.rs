//! A pod that names its node goes nowhere else.

use super::{Filter, Rejection, Verdict};
use crate::scheduler::cluster::Slot;
use crate::scheduler::context::Context;
use crate::scheduler::node::Node;

/// The registry's row.
pub const FILTER: Filter = Filter { name: "NodeName", check, follows_pods: false };

fn check(context: &Context<'_>, node: &Node, _: &Slot) -> Verdict {
    if context.pod.node_name.is_empty() || context.pod.node_name == node.name {
        return Ok(());
    }
    Err(Rejection::lasting("node(s) didn't match the requested node name"))
}
