//! Required affinity and anti-affinity to pods, of the pod and of those placed already.

use super::{Filter, Rejection, Verdict};
use crate::scheduler::cluster::Slot;
use crate::scheduler::context::Context;
use crate::scheduler::node::Node;

/// The registry's row.
pub const FILTER: Filter = Filter { name: "InterPodAffinity", check, follows_pods: true };

fn check(context: &Context<'_>, node: &Node, _: &Slot) -> Verdict {
    for (term, places) in &context.affinity {
        let satisfied =
            node.label(&term.topology_key).is_some_and(|value| context.first_of_group || places.contains(value));
        if !satisfied {
            return Err(Rejection::lasting("node(s) didn't match pod affinity rules"));
        }
    }
    let at = |places: &std::collections::BTreeSet<(String, String)>| {
        places.iter().any(|(key, value)| node.label(key) == Some(value))
    };
    if at(&context.avoided) {
        return Err(Rejection::lasting("node(s) didn't match pod anti-affinity rules"));
    }
    if at(&context.repelled) {
        return Err(Rejection::lasting("node(s) didn't satisfy existing pods anti-affinity rules"));
    }
    Ok(())
}
