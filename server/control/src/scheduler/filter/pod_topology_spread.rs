//! `DoNotSchedule` constraints: no domain runs ahead of the least by more than `maxSkew` (KEP-895).

use super::{Filter, Rejection, Verdict};
use crate::scheduler::cluster::Slot;
use crate::scheduler::context::Context;
use crate::scheduler::node::Node;

/// The registry's row.
pub const FILTER: Filter = Filter { name: "PodTopologySpread", check, follows_pods: true };

fn check(context: &Context<'_>, node: &Node, _: &Slot) -> Verdict {
    for domains in context.spread.iter().filter(|domains| domains.constraint.hard) {
        let Some(domain) = node.label(&domains.constraint.topology_key) else {
            return Err(Rejection::lasting(
                "node(s) didn't match pod topology spread constraints (missing required label)",
            ));
        };
        let here = domains.counts.get(domain).copied().unwrap_or(0);
        if here + domains.own - domains.least() > domains.constraint.max_skew {
            return Err(Rejection::lasting("node(s) didn't match pod topology spread constraints"));
        }
    }
    Ok(())
}
