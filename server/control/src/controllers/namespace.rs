//! A namespace that is being deleted loses its content, then itself.

use api_kinds::core::namespace::NAMESPACE;
use api_kinds::pod::POD;

use crate::{Change, Controller, Deletion, Intent, Key, Now, Plan, Target, View};

pub(super) static CONTROLLER: Controller = Controller::new("namespace-controller", wakes, reconcile);

/// Deletes planned at a time.
const DELETES_MAX: usize = 500;

fn wakes(view: &View, change: &Change) -> Vec<Key> {
    if change.is(&NAMESPACE) {
        return vec![change.key.clone()];
    }
    let namespace = Key::new("", &change.key.namespace);
    let dying = view.meta(&NAMESPACE, &namespace).is_some_and(|meta| meta.deleting);
    if dying { vec![namespace] } else { Vec::new() }
}

fn reconcile(view: &View, key: &Key, _now: &Now) -> Plan {
    let mut plan = Plan::default();
    if view.meta(&NAMESPACE, key).is_none_or(|meta| !meta.deleting) {
        return plan;
    }
    let mut remains = false;
    for ((id, content), meta) in view.in_namespace(&key.name) {
        remains = true;
        // What is going already goes by itself: pods by their nodes, others when their finalizers are done.
        if meta.deleting {
            continue;
        }
        if plan.intents.len() >= DELETES_MAX {
            break;
        }
        let pod = std::ptr::eq(id.kind(), &POD);
        plan.push(Intent::Delete {
            target: Target::of(id.kind(), &content.namespace, &content.name),
            deletion: Deletion {
                uid: Some(meta.uid.clone()),
                propagation: (!pod).then_some("Background"),
                ..Deletion::default()
            },
        });
    }
    let finalized =
        view.get(&NAMESPACE, key).is_some_and(|n| n["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty));
    if !remains && !finalized {
        plan.push(Intent::Finalize { target: Target::of(&NAMESPACE, "", &key.name), finalizers: Vec::new() });
    }
    plan
}
