//! Pods leave a node whose NoExecute taints they do not tolerate, or once they have tolerated them long enough.

use api_kinds::core::node::NODE;
use api_kinds::pod::POD;
use api_kinds::time;
use serde_json::Value;

use crate::objects::{Pod, Toleration};
use crate::{Change, Controller, Deletion, Intent, Key, Plan, Target, View};

pub(super) static CONTROLLER: Controller = Controller { name: "taint-eviction-controller", wakes, reconcile };

fn tainted(view: &View, node: &str) -> Vec<Value> {
    let taints = view.get(&NODE, &Key::new("", node)).map(|node| node["spec"]["taints"].clone());
    let all = taints.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
    all.into_iter().filter(|taint| taint["effect"] == "NoExecute").collect()
}

fn wakes(view: &View, change: &Change) -> Vec<Key> {
    if change.is(&NODE) && !tainted(view, &change.key.name).is_empty() {
        return view.pods_on(&change.key.name).map(|pod| Key::new(&pod.meta.namespace, &pod.meta.name)).collect();
    }
    if change.is(&POD) {
        let node = view.pods.get(&change.key).map(|pod| pod.node.clone()).unwrap_or_default();
        return if node.is_empty() || tainted(view, &node).is_empty() { Vec::new() } else { vec![change.key.clone()] };
    }
    Vec::new()
}

fn reconcile(view: &View, key: &Key, now_us: i64) -> Plan {
    let mut plan = Plan::default();
    let Some(pod) = view.pods.get(key).filter(|pod| pod.active()) else { return plan };
    let Some(leave_at) = leave_at(pod, &tainted(view, &pod.node)) else { return plan };
    if now_us < leave_at {
        plan.again_at(leave_at);
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

/// When a pod has to leave; `None` when it may stay for ever.
fn leave_at(pod: &Pod, taints: &[Value]) -> Option<i64> {
    let mut leave: Option<i64> = None;
    for taint in taints {
        let added = taint["timeAdded"].as_str().and_then(time::parse).unwrap_or(0);
        let tolerating: Vec<&Toleration> = pod.tolerations.iter().filter(|t| tolerates(t, taint)).collect();
        let until = if tolerating.is_empty() {
            Some(0)
        } else {
            let shortest = tolerating.iter().filter_map(|t| t.seconds).min();
            shortest.map(|seconds| added + seconds.max(0) * 1_000_000)
        };
        if let Some(until) = until {
            leave = Some(leave.map_or(until, |at| at.min(until)));
        }
    }
    leave
}

fn tolerates(toleration: &Toleration, taint: &Value) -> bool {
    let is = |own: &str, field: &str| own == taint[field].as_str().unwrap_or_default();
    (toleration.effect.is_empty() || is(&toleration.effect, "effect"))
        && (toleration.key.is_empty() || is(&toleration.key, "key"))
        && (&*toleration.operator == "Exists" || is(&toleration.value, "value"))
}
