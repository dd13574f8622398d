//! Namespaces that every cluster has come back when they were deleted (`kube-node-lease` can be).

use api_kinds::core::namespace::{NAMESPACE, OF_EVERY_CLUSTER};
use serde_json::json;

use crate::view::id_of;
use crate::{Change, Controller, Intent, Key, Now, Plan, Target, View};

pub(super) static CONTROLLER: Controller = Controller::new("system-namespaces-controller", wakes, reconcile);

fn wakes(_: &View, change: &Change) -> Vec<Key> {
    let lost = change.is(&NAMESPACE) && change.new.is_none();
    if lost && OF_EVERY_CLUSTER.contains(&&*change.key.name) { vec![change.key.clone()] } else { Vec::new() }
}

fn reconcile(view: &View, key: &Key, _now: &Now) -> Plan {
    let mut plan = Plan::default();
    if view.look_up(id_of(&NAMESPACE), key).is_none() {
        plan.push(Intent::Create {
            target: Target::of(&NAMESPACE, "", &key.name),
            object: json!({"metadata": {"name": key.name}}),
        });
    }
    plan
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn only_what_every_cluster_has_comes_back() {
        let view = View::default();
        for (name, comes_back) in [("kube-node-lease", true), ("default", true), ("shop", false)] {
            let key = Key::new("", name);
            let gone = Change { kind: &NAMESPACE, key: key.clone(), old: Some(Arc::default()), new: None };
            assert_eq!(wakes(&view, &gone) == [key.clone()], comes_back, "{name}");
            let changed = Change { new: Some(Arc::default()), ..gone };
            assert_eq!(wakes(&view, &changed), [], "{name} is still there");
            let made = Intent::Create {
                target: Target::of(&NAMESPACE, "", name),
                object: json!({"metadata": {"name": name}}),
            };
            assert_eq!(reconcile(&view, &key, &Now::default()).intents, [made]);
        }
    }
}
