//! Pods that nobody will end any more: bound to a node that is gone, or being deleted before they were bound.

use api_kinds::core::node::NODE;
use api_kinds::pod::POD;

use crate::{Change, Controller, Deletion, Intent, Key, Now, Plan, Target, View};

pub(super) static CONTROLLER: Controller = Controller::new("pod-garbage-collector", wakes, reconcile);

/// A node that registers late finds its pods still there.
const QUARANTINE_US: i64 = 40_000_000;

fn wakes(view: &View, change: &Change) -> Vec<Key> {
    if change.is(&POD) && change.new.is_some() {
        let orphaned = view.pods.get(&change.key).is_some_and(|pod| {
            (!pod.node.is_empty() && view.meta(&NODE, &Key::new("", &*pod.node)).is_none())
                || (pod.node.is_empty() && pod.meta.deleting)
        });
        return if orphaned { vec![change.key.clone()] } else { Vec::new() };
    }
    if change.is(&NODE) && change.new.is_none() {
        return view.pods_on(&change.key.name).map(|pod| Key::new(&pod.meta.namespace, &pod.meta.name)).collect();
    }
    Vec::new()
}

fn reconcile(view: &View, key: &Key, now: &Now) -> Plan {
    let now_us = now.wall_us;
    let mut plan = Plan::default();
    let Some(pod) = view.pods.get(key) else { return plan };
    let nodeless = !pod.node.is_empty() && view.meta(&NODE, &Key::new("", &*pod.node)).is_none();
    let unbound = pod.node.is_empty() && pod.meta.deleting && pod.meta.finalizers.is_empty();
    if !nodeless && !unbound {
        return plan;
    }
    let due = pod.meta.created_us + QUARANTINE_US;
    if nodeless && now_us < due {
        plan.again_at(due);
        return plan;
    }
    plan.push(Intent::Delete {
        target: Target::of(&POD, &key.namespace, &key.name),
        deletion: Deletion { uid: Some(pod.meta.uid.clone()), grace_period_s: Some(0), ..Deletion::default() },
    });
    plan
}
