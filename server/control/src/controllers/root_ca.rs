//! A ConfigMap `kube-root-ca.crt` in every namespace, so that pods know whom to trust.

use api_kinds::core::config_map::CONFIG_MAP;
use api_kinds::core::namespace::NAMESPACE;
use serde_json::json;

use crate::view::id_of;
use crate::{Change, Controller, Intent, Key, Now, Plan, Target, View};

pub(super) static CONTROLLER: Controller = Controller::new("root-ca-certificate-publisher", wakes, reconcile);

const NAME: &str = "kube-root-ca.crt";

fn wakes(_: &View, change: &Change) -> Vec<Key> {
    if change.is(&NAMESPACE) {
        return vec![change.key.clone()];
    }
    if change.is(&CONFIG_MAP) && change.key.name == NAME && change.new.is_none() {
        return vec![Key::new("", &change.key.namespace)];
    }
    Vec::new()
}

fn reconcile(view: &View, key: &Key, _now: &Now) -> Plan {
    let mut plan = Plan::default();
    let namespace = &key.name;
    let lives = view.meta(&NAMESPACE, key).is_some_and(|meta| !meta.deleting);
    if lives && view.look_up(id_of(&CONFIG_MAP), &Key::new(namespace, NAME)).is_none() {
        let note = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";
        plan.push(Intent::Create {
            target: Target::of(&CONFIG_MAP, namespace, NAME),
            object: json!({
                "metadata": {"name": NAME, "namespace": namespace, "annotations": {"kubernetes.io/description": note}},
                "data": {"ca.crt": view.ca_pem},
            }),
        });
    }
    plan
}
