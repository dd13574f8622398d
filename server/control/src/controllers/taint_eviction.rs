//! Pods leave a node whose NoExecute taints they do not tolerate, or once they have tolerated them long enough.

use api_kinds::core::node::NODE;
use api_kinds::pod::POD;
use serde_json::Value;

use crate::objects::{Pod, Toleration};
use crate::{Change, Controller, Deletion, Intent, Key, Now, Plan, Target, View};

pub(super) static CONTROLLER: Controller = Controller::new("taint-eviction-controller", wakes, reconcile);

fn tainted(view: &View, node: &str) -> Vec<Value> {
    let taints = view.get(&NODE, &Key::new("", node)).map(|node| node["spec"]["taints"].clone());
    let all = taints.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
    all.into_iter().filter(|taint| taint["effect"] == "NoExecute").collect()
}

fn wakes(view: &View, change: &Change) -> Vec<Key> {
    // Also when the last taint is gone: then nobody has to leave any more, and the next one counts anew.
    if change.is(&NODE) {
        return view.pods_on(&change.key.name).map(|pod| Key::new(&pod.meta.namespace, &pod.meta.name)).collect();
    }
    if change.is(&POD) {
        let node = view.pods.get(&change.key).map(|pod| pod.node.clone()).unwrap_or_default();
        return if node.is_empty() || tainted(view, &node).is_empty() { Vec::new() } else { vec![change.key.clone()] };
    }
    Vec::new()
}

fn reconcile(view: &View, key: &Key, now: &Now) -> Plan {
    let mut plan = Plan::default();
    let Some(pod) = view.pods.get(key).filter(|pod| pod.active()) else { return plan };
    let Some(stays_us) = stays(pod, &tainted(view, &pod.node)) else { return plan };
    // From when this manager saw it there first, not from the taint's `timeAdded`: as Kubernetes counts, which no clock that
    // jumps shortens. Another taint meanwhile does not begin it anew.
    let sight = now.sight(pod.meta.uid.clone());
    let leaves_at = now.until(&sight, stays_us);
    plan.sight = Some(sight);
    if let Some(at) = leaves_at {
        plan.again_at(at);
        return plan;
    }
    let target = Target::of(&POD, &key.namespace, &key.name);
    plan.push(Intent::Event {
        regarding: target.clone(),
        kind: "Pod",
        api_version: "v1",
        uid: pod.meta.uid.clone(),
        severity: "Normal",
        reason: "TaintManagerEviction",
        message: format!("Marking for deletion Pod {}/{}", key.namespace, key.name),
    });
    let deletion = Deletion { uid: Some(pod.meta.uid.clone()), ..Deletion::default() };
    plan.push(Intent::Delete { target, deletion });
    plan
}

/// How long a pod may stay, microseconds; `None` when for ever.
fn stays(pod: &Pod, taints: &[Value]) -> Option<i64> {
    let mut shortest: Option<i64> = None;
    for taint in taints {
        let tolerating: Vec<&Toleration> = pod.tolerations.iter().filter(|t| tolerates(t, taint)).collect();
        let seconds = match tolerating.is_empty() {
            true => Some(0),
            false => tolerating.iter().filter_map(|t| t.seconds).min(),
        };
        if let Some(seconds) = seconds {
            let stays_us = seconds.max(0).saturating_mul(1_000_000);
            shortest = Some(shortest.map_or(stays_us, |known| known.min(stays_us)));
        }
    }
    shortest
}

fn tolerates(toleration: &Toleration, taint: &Value) -> bool {
    let is = |own: &str, field: &str| own == taint[field].as_str().unwrap_or_default();
    (toleration.effect.is_empty() || is(&toleration.effect, "effect"))
        && (toleration.key.is_empty() || is(&toleration.key, "key"))
        && (&*toleration.operator == "Exists" || is(&toleration.value, "value"))
}
