//! Taints with `NoSchedule` and `NoExecute` keep away pods that do not tolerate them.

use super::{Filter, Rejection, Verdict};
use crate::scheduler::cluster::Slot;
use crate::scheduler::context::Context;
use crate::scheduler::node::Node;

/// The registry's row.
pub const FILTER: Filter = Filter { name: "TaintToleration", check, follows_pods: false };

fn check(context: &Context<'_>, node: &Node, _: &Slot) -> Verdict {
    match context.pod.untolerated(node, &["NoSchedule", "NoExecute"]) {
        None => Ok(()),
        Some(_) => Err(Rejection::lasting("node(s) had untolerated taint(s)")),
    }
}
