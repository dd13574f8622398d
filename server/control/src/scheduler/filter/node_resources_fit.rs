//! The node has what the pod asks for, beside what its pods ask for already.

use std::borrow::Cow;

use super::{Filter, Rejection, Verdict};
use crate::scheduler::cluster::Slot;
use crate::scheduler::context::Context;
use crate::scheduler::node::Node;

/// The registry's row.
pub const FILTER: Filter = Filter { name: "NodeResourcesFit", check, follows_pods: false };

fn check(context: &Context<'_>, node: &Node, slot: &Slot) -> Verdict {
    let pod = context.pod;
    let (asked, has) = (&pod.request.exact, &node.allocatable);
    let mut with_nominated;
    let used = if slot.nominated.is_empty() {
        &slot.used.exact
    } else {
        // Room that victims leave is kept for whom it was made, against pods of no higher priority.
        with_nominated = slot.used.exact.clone();
        let kept = slot.nominated.values().filter(|other| other.uid != pod.uid && other.priority >= pod.priority);
        kept.filter(|other| !slot.pods.contains_key(&other.uid))
            .for_each(|other| with_nominated.add(&other.request.exact));
        &with_nominated
    };
    let mut reasons: Vec<Cow<'static, str>> = Vec::new();
    // More than the whole node: no eviction helps.
    let mut hopeless = false;
    let mut demand = |asked: i64, used: i64, has: i64, reason: &dyn Fn() -> Cow<'static, str>| {
        if asked > 0 && asked > has - used {
            hopeless |= asked > has;
            reasons.push(reason());
        }
    };
    demand(1, used.pods, has.pods, &|| "Too many pods".into());
    demand(asked.cpu_milli, used.cpu_milli, has.cpu_milli, &|| "Insufficient cpu".into());
    demand(asked.memory, used.memory, has.memory, &|| "Insufficient memory".into());
    demand(asked.ephemeral, used.ephemeral, has.ephemeral, &|| "Insufficient ephemeral-storage".into());
    for (name, amount) in &asked.extended {
        let of = |list: &std::collections::BTreeMap<String, i64>| list.get(name).copied().unwrap_or(0);
        demand(*amount, of(&used.extended), of(&has.extended), &|| format!("Insufficient {name}").into());
    }
    if reasons.is_empty() {
        return Ok(());
    }
    Err(Rejection { reasons, room_helps: !hopeless })
}
