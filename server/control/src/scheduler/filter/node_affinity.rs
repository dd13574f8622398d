//! `nodeSelector` and required node affinity.

use super::{Filter, Rejection, Verdict};
use crate::scheduler::cluster::Slot;
use crate::scheduler::context::Context;
use crate::scheduler::node::Node;

/// The registry's row.
pub const FILTER: Filter = Filter { name: "NodeAffinity", check, follows_pods: false };

fn check(context: &Context<'_>, node: &Node, _: &Slot) -> Verdict {
    if context.pod.admits(node) {
        return Ok(());
    }
    Err(Rejection::lasting("node(s) didn't match Pod's node affinity/selector"))
}
