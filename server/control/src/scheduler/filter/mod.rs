//! Filters: whether a node can take a pod at all. One file each, one row in [`ALL`].

pub mod inter_pod_affinity;
pub mod node_affinity;
pub mod node_name;
pub mod node_ports;
pub mod node_resources_fit;
pub mod node_unschedulable;
pub mod pod_topology_spread;
pub mod taint_toleration;

use std::borrow::Cow;

use super::cluster::Slot;
use super::context::Context;
use super::node::Node;

/// One filter.
#[derive(Clone, Copy, Debug)]
pub struct Filter {
    /// The plugin's name in Kubernetes.
    pub name: &'static str,
    /// Says nothing when the node will do.
    pub check: fn(&Context<'_>, &Node, &Slot) -> Verdict,
    /// Whether it looks at other nodes' pods, so that a pod placed elsewhere can change its verdict.
    pub follows_pods: bool,
}

/// What a filter has against a node.
pub type Verdict = Result<(), Rejection>;

/// Why a node will not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// In Kubernetes' words; several when several resources are short.
    pub reasons: Vec<Cow<'static, str>>,
    /// Whether fewer pods on this node could help.
    pub room_helps: bool,
}

/// In the order in which they are asked; the first that objects is heard.
pub const ALL: [Filter; 8] = [
    node_unschedulable::FILTER,
    node_name::FILTER,
    taint_toleration::FILTER,
    node_affinity::FILTER,
    node_ports::FILTER,
    node_resources_fit::FILTER,
    pod_topology_spread::FILTER,
    inter_pod_affinity::FILTER,
];

impl Rejection {
    /// Whatever leaves the node.
    pub fn lasting(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reasons: vec![reason.into()], room_helps: false }
    }

    /// Until pods leave the node.
    pub fn crowded(reasons: Vec<Cow<'static, str>>) -> Self {
        Self { reasons, room_helps: true }
    }
}

/// Asks all filters; with the first objection comes the filter that made it.
///
/// # Errors
/// The first objection.
pub fn check(context: &Context<'_>, node: &Node, slot: &Slot) -> Result<(), (&'static Filter, Rejection)> {
    for filter in &ALL {
        (filter.check)(context, node, slot).map_err(|rejection| (filter, rejection))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
