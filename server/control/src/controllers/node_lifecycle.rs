//! Which nodes live: one that stops renewing its Lease is called Unknown, and the taints of a node say what its conditions
//! say.

use api_kinds::core::lease::LEASE;
use api_kinds::core::node::NODE;
use api_kinds::time;
use serde_json::{Value, json};

use crate::{Change, Controller, Intent, Key, Now, Plan, Target, View};

pub(super) static CONTROLLER: Controller = Controller::new("node-lifecycle-controller", wakes, reconcile);

/// How long a node may be silent (`--node-monitor-grace-period`).
const GRACE_US: i64 = 50_000_000;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// Taints that conditions stand for: type, status, taint.
const CONDITION_TAINTS: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];

fn wakes(_: &View, change: &Change) -> Vec<Key> {
    if change.is(&NODE) {
        return vec![change.key.clone()];
    }
    if change.is(&LEASE) && change.key.namespace == "kube-node-lease" {
        return vec![Key::new("", &change.key.name)];
    }
    Vec::new()
}

fn reconcile(view: &View, key: &Key, now: &Now) -> Plan {
    let now_us = now.wall_us;
    let mut plan = Plan::default();
    let Some(node) = view.get(&NODE, key) else { return plan };
    let Some(meta) = view.meta(&NODE, key) else { return plan };
    let target = Target::of(&NODE, "", &key.name);
    let condition = |kind: &str| conditions(node).find(|c| c["type"] == kind);

    // The last sign of life: the Lease, or what the node said of itself.
    let lease = view.get(&LEASE, &Key::new("kube-node-lease", &key.name));
    let renewed = lease.and_then(|l| l["spec"]["renewTime"].as_str());
    let reported = condition("Ready").and_then(|c| c["lastHeartbeatTime"].as_str());
    if renewed.is_none() && reported.is_none() {
        return taints(node, meta.revision, target, now_us, plan);
    }
    // Both are stamped by the node's clock, which may be wrong, as ours may: that one of them changed is what counts.
    let sight = now.sight([renewed, reported].map(Option::unwrap_or_default).join(" "));
    let grace_ends_at = now.until(&sight, GRACE_US);
    plan.sight = Some(sight);
    let ready = condition("Ready").and_then(|c| c["status"].as_str()).unwrap_or("Unknown").to_owned();
    if let Some(at) = grace_ends_at {
        plan.again_at(at);
        return taints(node, meta.revision, target, now_us, plan);
    }
    // Nodes that nobody runs an agent for have no Lease: what was said of them by hand stands.
    if ready != "Unknown" && lease.is_some() {
        plan.push(Intent::PatchStatus { target, at: Some(meta.revision), patch: unknown(node, now_us) });
        plan.push(Intent::Event {
            regarding: Target::of(&NODE, "", &key.name),
            kind: "Node",
            api_version: "v1",
            uid: meta.uid.clone(),
            severity: "Normal",
            reason: "NodeNotReady",
            message: format!("Node {} status is now: NodeNotReady", key.name),
        });
        return plan;
    }
    taints(node, meta.revision, target, now_us, plan)
}

fn conditions(node: &Value) -> impl Iterator<Item = &Value> {
    node["status"]["conditions"].as_array().into_iter().flatten()
}

/// Every condition becomes Unknown: the node does not say any more.
fn unknown(node: &Value, now_us: i64) -> Value {
    let all: Vec<Value> = conditions(node)
        .map(|condition| {
            let mut condition = condition.clone();
            if condition["status"] != "Unknown" {
                condition["status"] = "Unknown".into();
                condition["reason"] = "NodeStatusUnknown".into();
                condition["message"] = "Kubelet stopped posting node status.".into();
                condition["lastTransitionTime"] = time::rfc3339(now_us).into();
            }
            condition
        })
        .collect();
    json!({"status": {"conditions": all}})
}

/// Brings the taints in line with the conditions.
fn taints(node: &Value, revision: u64, target: Target, now_us: i64, mut plan: Plan) -> Plan {
    let holds = |kind: &str, status: &str| conditions(node).any(|c| c["type"] == kind && c["status"] == status);
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for (kind, status, key) in CONDITION_TAINTS {
        if holds(kind, status) {
            wanted.push((key, "NoSchedule"));
        }
    }
    if !conditions(node).any(|c| c["type"] == "Ready") {
        wanted.push((NOT_READY, "NoSchedule"));
    }
    if holds("Ready", "False") {
        wanted.push((NOT_READY, "NoExecute"));
    } else if holds("Ready", "Unknown") {
        wanted.push((UNREACHABLE, "NoExecute"));
    }
    if node["spec"]["unschedulable"] == true {
        wanted.push(("node.kubernetes.io/unschedulable", "NoSchedule"));
    }
    let current = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let managed =
        |key: &str| key == "node.kubernetes.io/unschedulable" || CONDITION_TAINTS.iter().any(|(.., k)| *k == key);
    let is = |taint: &Value, (key, effect): (&str, &str)| taint["key"] == key && taint["effect"] == effect;
    let mut next: Vec<Value> = current
        .iter()
        .filter(|taint| {
            let key = taint["key"].as_str().unwrap_or_default();
            !managed(key) || wanted.iter().any(|w| is(taint, *w))
        })
        .cloned()
        .collect();
    for want in &wanted {
        if !next.iter().any(|taint| is(taint, *want)) {
            let mut taint = json!({"key": want.0, "effect": want.1});
            if want.1 == "NoExecute" {
                taint["timeAdded"] = time::rfc3339(now_us).into();
            }
            next.push(taint);
        }
    }
    if next != current {
        let list = if next.is_empty() { Value::Null } else { Value::Array(next) };
        plan.push(Intent::Patch { target, at: Some(revision), patch: json!({"spec": {"taints": list}}) });
    }
    plan
}
