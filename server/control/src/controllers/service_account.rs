//! A ServiceAccount `default` in every namespace.

use api_kinds::core::namespace::NAMESPACE;
use api_kinds::core::service_account::SERVICE_ACCOUNT;
use serde_json::json;

use crate::view::id_of;
use crate::{Change, Controller, Intent, Key, Now, Plan, Target, View};

pub(super) static CONTROLLER: Controller = Controller::new("service-account-controller", wakes, reconcile);

fn wakes(_: &View, change: &Change) -> Vec<Key> {
    if change.is(&NAMESPACE) {
        return vec![change.key.clone()];
    }
    if change.is(&SERVICE_ACCOUNT) && change.key.name == "default" && change.new.is_none() {
        return vec![Key::new("", &change.key.namespace)];
    }
    Vec::new()
}

fn reconcile(view: &View, key: &Key, _now: &Now) -> Plan {
    let mut plan = Plan::default();
    let namespace = &key.name;
    let lives = view.meta(&NAMESPACE, key).is_some_and(|meta| !meta.deleting);
    if lives && view.look_up(id_of(&SERVICE_ACCOUNT), &Key::new(namespace, "default")).is_none() {
        plan.push(Intent::Create {
            target: Target::of(&SERVICE_ACCOUNT, namespace, "default"),
            object: json!({"metadata": {"name": "default", "namespace": namespace}}),
        });
    }
    plan
}
