//! Cordoned nodes take only pods that tolerate the taint of cordoning.

use super::{Filter, Rejection, Verdict};
use crate::scheduler::cluster::Slot;
use crate::scheduler::context::Context;
use crate::scheduler::node::{Node, Taint};

/// The registry's row.
pub const FILTER: Filter = Filter { name: "NodeUnschedulable", check, follows_pods: false };

fn check(context: &Context<'_>, node: &Node, _: &Slot) -> Verdict {
    let taint = || Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        value: String::new(),
        effect: "NoSchedule".to_owned(),
    };
    if !node.unschedulable || context.pod.tolerations.iter().any(|t| t.covers(&taint())) {
        return Ok(());
    }
    Err(Rejection::lasting("node(s) were unschedulable"))
}
