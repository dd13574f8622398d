//! ReplicaSets: so many pods of a template.

use std::sync::Arc;

use api_kinds::Kind;
use api_kinds::apps::replica_set::REPLICA_SET;
use api_kinds::pod::POD;
use planted_bugs::planted;
use serde_json::{Value, json};

use crate::objects::{Meta, Phase, Pod, ReplicaSet};
use crate::{Change, Controller, Deletion, Intent, Key, Now, Plan, Target, View};

pub(super) static CONTROLLER: Controller = Controller::new("replicaset-controller", wakes, reconcile);

/// Creates or deletes planned at a time (`BurstReplicas`).
const BURST: usize = 500;

fn wakes(view: &View, change: &Change) -> Vec<Key> {
    wakes_of(change, &REPLICA_SET, |meta| {
        let selecting = |set: &&Arc<ReplicaSet>| set.selector.matches(|label| meta.labels.get(label));
        let sets = view.replica_sets_in(&meta.namespace).filter(selecting);
        sets.map(|set| Key::new(&set.meta.namespace, &set.meta.name)).collect()
    })
}

/// The sets of a kind that a change concerns; `selecting` names those that may adopt a pod without a controller.
pub(super) fn wakes_of(change: &Change, kind: &'static Kind, selecting: impl Fn(&Meta) -> Vec<Key>) -> Vec<Key> {
    if change.is(kind) {
        return vec![change.key.clone()];
    }
    if !change.is(&POD) {
        return Vec::new();
    }
    let mut keys = Vec::new();
    for meta in change.both() {
        match meta.controller() {
            Some(owner) if owner.kind == kind.kind => keys.push(Key::new(&meta.namespace, &owner.name)),
            Some(_) => {}
            // A pod without a controller may be adopted.
            None => keys.extend(selecting(meta)),
        }
    }
    keys.dedup();
    keys
}

fn reconcile(view: &View, key: &Key, now: &Now) -> Plan {
    let now_us = now.wall_us;
    match view.replica_sets.get(key) {
        Some(set) => plan(view, &REPLICA_SET, set, now_us),
        None => Plan::default(),
    }
}

/// What is to be done about a set of pods: a ReplicaSet, or a ReplicationController in its place.
pub(super) fn plan(view: &View, kind: &'static Kind, set: &ReplicaSet, now_us: i64) -> Plan {
    let mut plan = Plan::default();
    let namespace = &set.meta.namespace;
    let selects = |pod: &Pod| set.selector.matches(|label| pod.meta.labels.get(label));
    let mut pods: Vec<&Pod> = Vec::new();
    for pod in view.pods_of(&set.meta.uid) {
        if selects(pod) {
            pods.push(pod);
        } else if !pod.meta.deleting {
            plan.push(own(pod, &others(pod, &set.meta.uid)));
        }
    }
    if !set.meta.deleting {
        for pod in view.loose_pods(namespace).filter(|pod| pod.active() && selects(pod)) {
            plan.push(own(pod, &[vec![owner(kind, set)], others(pod, &set.meta.uid)].concat()));
            pods.push(pod);
            if planted!(AdoptedPodCountedTwice) {
                pods.push(pod);
            }
        }
        scale(view, kind, set, &pods, &mut plan);
    }
    status(kind, set, &pods, now_us, &mut plan);
    plan
}

fn owner(kind: &Kind, set: &ReplicaSet) -> Value {
    json!({
        "apiVersion": kind.api_version(), "kind": kind.kind, "name": set.meta.name, "uid": set.meta.uid,
        "controller": true, "blockOwnerDeletion": true,
    })
}

fn others(pod: &Pod, uid: &str) -> Vec<Value> {
    let kept = pod.meta.owners.iter().filter(|o| o.uid != uid);
    kept.map(|o| {
        json!({
            "apiVersion": o.api_version, "kind": o.kind, "name": o.name, "uid": o.uid,
            "controller": o.controller, "blockOwnerDeletion": o.blocks,
        })
    })
    .collect()
}

fn own(pod: &Pod, owners: &[Value]) -> Intent {
    Intent::Patch {
        target: Target::of(&POD, &pod.meta.namespace, &pod.meta.name),
        at: Some(pod.meta.revision),
        patch: json!({"metadata": {"uid": pod.meta.uid, "ownerReferences": owners}}),
    }
}

fn scale(view: &View, kind: &Kind, set: &ReplicaSet, pods: &[&Pod], plan: &mut Plan) {
    let mut active: Vec<&Pod> = pods.iter().copied().filter(|pod| pod.active()).collect();
    let wanted = usize::try_from(set.replicas).unwrap_or(0);
    if active.len() < wanted {
        for _ in 0..(wanted - active.len()).min(BURST) {
            plan.push(create(kind, set));
        }
        return;
    }
    let excess = (active.len() - wanted).min(BURST);
    if excess == 0 {
        return;
    }
    rank(view, &mut active);
    for pod in &active[..excess] {
        let target = Target::of(&POD, &pod.meta.namespace, &pod.meta.name);
        let deletion = Deletion { uid: Some(pod.meta.uid.clone()), ..Deletion::default() };
        plan.push(Intent::Delete { target, deletion });
    }
}

fn create(kind: &Kind, set: &ReplicaSet) -> Intent {
    let template = &set.object["spec"]["template"];
    let mut metadata = json!({
        "generateName": format!("{}-", set.meta.name), "namespace": set.meta.namespace, "ownerReferences": [owner(kind, set)],
    });
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    Intent::Create {
        target: Target::of(&POD, &set.meta.namespace, ""),
        object: json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}),
    }
}

/// The order in which pods go (`ActivePodsWithRanks`): what does the least first, and where there are most of them.
fn rank(view: &View, pods: &mut [&Pod]) {
    let together = |pod: &Pod| {
        let owner = pod.meta.controller().map(|o| o.uid.clone());
        view.pods_on(&pod.node)
            .filter(|other| other.meta.controller().map(|o| o.uid.clone()) == owner && other.active())
            .count()
    };
    pods.sort_by_cached_key(|pod| {
        (
            !pod.node.is_empty(),
            match pod.phase {
                Phase::Pending => 0,
                Phase::Unknown => 1,
                _ => 2,
            },
            pod.ready(),
            pod.deletion_cost,
            std::cmp::Reverse(together(pod)),
            // Of two that serve, the younger; of two that restart, the one that does so more often.
            std::cmp::Reverse(pod.ready_since_us.unwrap_or(0)),
            std::cmp::Reverse(pod.restarts),
            std::cmp::Reverse(pod.meta.created_us),
            pod.meta.name.clone(),
        )
    });
}

fn status(kind: &'static Kind, set: &ReplicaSet, pods: &[&Pod], now_us: i64, plan: &mut Plan) {
    let labels = set.object["spec"]["template"]["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let count = |holds: &dyn Fn(&Pod) -> bool| pods.iter().filter(|pod| holds(pod)).count();
    let labelled = count(&|pod| pod.active() && labels.iter().all(|(k, v)| pod.meta.labels.get(k) == v.as_str()));
    let mut wanted = json!({
        "replicas": count(&|pod| pod.active()),
        "observedGeneration": set.meta.generation,
    });
    for (field, value) in [
        ("fullyLabeledReplicas", labelled),
        ("readyReplicas", count(&Pod::ready)),
        ("availableReplicas", count(&|pod| pod.available(set.min_ready_s, now_us))),
        ("terminatingReplicas", count(&|pod| pod.meta.deleting && !pod.finished())),
    ] {
        if field == "terminatingReplicas" && !std::ptr::eq(kind, &REPLICA_SET) {
            continue;
        }
        wanted[field] = if value == 0 { Value::Null } else { value.into() };
    }
    // A pod that is ready becomes available by the passing of time alone.
    if set.min_ready_s > 0 {
        let next = pods
            .iter()
            .filter(|pod| pod.ready())
            .filter_map(|pod| pod.ready_since_us)
            .map(|at| at + set.min_ready_s * 1_000_000);
        if let Some(at) = next.filter(|at| *at > now_us).min() {
            plan.again_at(at);
        }
    }
    let current = &set.object["status"];
    let fields = wanted.as_object().cloned().unwrap_or_default();
    let differs = fields.iter().any(|(field, value)| match value {
        Value::Null => current[field].as_i64().unwrap_or(0) != 0,
        value => current[field] != *value,
    });
    if differs {
        plan.push(Intent::PatchStatus {
            target: Target::of(kind, &set.meta.namespace, &set.meta.name),
            at: None,
            patch: json!({"metadata": {"uid": set.meta.uid}, "status": wanted}),
        });
    }
}
