//! A port of the host is taken once.

use super::{Filter, Rejection, Verdict};
use crate::scheduler::cluster::Slot;
use crate::scheduler::context::Context;
use crate::scheduler::node::Node;

/// The registry's row.
pub const FILTER: Filter = Filter { name: "NodePorts", check, follows_pods: false };

fn check(context: &Context<'_>, _: &Node, slot: &Slot) -> Verdict {
    let wanted = &context.pod.ports;
    if wanted.is_empty() {
        return Ok(());
    }
    let mut taken = slot.pods.values().flat_map(|pod| &pod.ports);
    if taken.any(|taken| wanted.iter().any(|port| port.collides(taken))) {
        return Err(Rejection::crowded(vec!["node(s) didn't have free ports for the requested pod ports".into()]));
    }
    Ok(())
}
