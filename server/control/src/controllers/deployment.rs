//! Deployments: ReplicaSets for the versions of a template, and what people see of it.

use std::sync::Arc;

use api_kinds::apps::deployment::DEPLOYMENT;
use api_kinds::apps::replica_set::REPLICA_SET;
use api_kinds::time;
use serde_json::{Map, Value, json};

use super::{replica_set, rollout};
use crate::objects::{Deployment, Pod, ReplicaSet};
use crate::{Change, Controller, Deletion, Intent, Key, Now, Plan, Target, View};

pub(super) static CONTROLLER: Controller =
    Controller { after: sets, ..Controller::new("deployment-controller", wakes, reconcile) };

const REVISION: &str = "deployment.kubernetes.io/revision";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX: &str = "deployment.kubernetes.io/max-replicas";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
pub(super) const HASH: &str = "pod-template-hash";

fn wakes(view: &View, change: &Change) -> Vec<Key> {
    if change.is(&DEPLOYMENT) {
        return vec![change.key.clone()];
    }
    let owner_of = |meta: &crate::objects::Meta, kind: &str| {
        meta.controller().filter(|owner| owner.kind == kind).map(|owner| Key::new(&meta.namespace, &owner.name))
    };
    let mut keys: Vec<Key> = if change.is(&REPLICA_SET) {
        change.both().filter_map(|meta| owner_of(meta, "Deployment")).collect()
    } else if change.is(&api_kinds::pod::POD) {
        // The bounds are kept over what the pods are, so their every change counts.
        let sets = change.both().filter_map(|meta| owner_of(meta, "ReplicaSet"));
        sets.filter_map(|key| view.replica_sets.get(&key)).filter_map(|set| owner_of(&set.meta, "Deployment")).collect()
    } else {
        Vec::new()
    };
    keys.dedup();
    keys
}

/// Pods that a ReplicaSet is about to create count against the bounds before anybody sees them.
fn sets(view: &View, key: &Key) -> Vec<(&'static Controller, Key)> {
    let Some(deployment) = view.deployments.get(key) else { return Vec::new() };
    let sets = view.replica_sets_of(&deployment.meta.uid);
    sets.map(|set| (&replica_set::CONTROLLER, Key::new(&set.meta.namespace, &set.meta.name))).collect()
}

/// A ReplicaSet with what its pods do.
pub(super) struct Version {
    pub(super) set: Arc<ReplicaSet>,
    /// Neither ended nor being deleted.
    pub(super) active: i64,
    pub(super) ready: i64,
    pub(super) available: i64,
    /// Being deleted, still running.
    pub(super) terminating: i64,
}

impl Version {
    fn of(view: &View, set: &Arc<ReplicaSet>, now_us: i64) -> Self {
        let mut version = Self { set: set.clone(), active: 0, ready: 0, available: 0, terminating: 0 };
        for pod in view.pods_of(&set.meta.uid) {
            version.active += i64::from(pod.active());
            version.ready += i64::from(pod.ready());
            version.available += i64::from(pod.available(set.min_ready_s, now_us));
            version.terminating += i64::from(pod.meta.deleting && !Pod::finished(pod));
        }
        version
    }

    fn revision(&self) -> i64 {
        self.set.annotation(REVISION).and_then(|r| r.parse().ok()).unwrap_or(0)
    }
}

fn reconcile(view: &View, key: &Key, now: &Now) -> Plan {
    let now_us = now.wall_us;
    let mut plan = Plan::default();
    let Some(deployment) = view.deployments.get(key).filter(|d| !d.meta.deleting) else { return plan };
    let mut versions: Vec<Version> =
        view.replica_sets_of(&deployment.meta.uid).map(|set| Version::of(view, set, now_us)).collect();
    versions.sort_by(|a, b| (a.set.meta.created_us, &a.set.meta.name).cmp(&(b.set.meta.created_us, &b.set.meta.name)));
    adopt(view, deployment, &mut plan);

    let current = versions.iter().position(|v| same_template(deployment, &v.set));
    let newest = versions.iter().map(Version::revision).max().unwrap_or(0);
    match current {
        Some(index) if !deployment.paused => promote(deployment, &versions, index, newest, &mut plan),
        None if !deployment.paused => plan.push(create(deployment, &versions, newest + 1)),
        _ => {}
    }
    // A new ReplicaSet begins at nothing, and grows once the view has it.
    if current.is_some() || deployment.paused {
        rollout::scale(deployment, &versions, current, &mut plan);
    }
    if !deployment.paused {
        clean_up(deployment, &versions, current, &mut plan);
    }
    status(deployment, &versions, current, now_us, &mut plan);
    plan
}

/// A ReplicaSet that matches and belongs to nobody becomes the Deployment's.
fn adopt(view: &View, deployment: &Deployment, plan: &mut Plan) {
    for set in view.replica_sets_in(&deployment.meta.namespace) {
        let matches = deployment.selector.matches(|label| set.meta.labels.get(label));
        if set.meta.controller().is_none() && !set.meta.deleting && matches {
            plan.push(Intent::Patch {
                target: Target::of(&REPLICA_SET, &set.meta.namespace, &set.meta.name),
                at: Some(set.meta.revision),
                patch: json!({"metadata": {"uid": set.meta.uid, "ownerReferences": [owner(deployment)]}}),
            });
        }
    }
}

fn owner(deployment: &Deployment) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "name": deployment.meta.name, "uid": deployment.meta.uid,
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// Whether a ReplicaSet was made of the Deployment's template: the label that tells versions apart does not count.
fn same_template(deployment: &Deployment, set: &ReplicaSet) -> bool {
    let mut theirs = set.object["spec"]["template"].clone();
    if let Some(labels) = theirs["metadata"]["labels"].as_object_mut() {
        labels.shift_remove(HASH);
    }
    theirs == deployment.object["spec"]["template"]
}

/// A name for a template: FNV-1a over its text, in letters that make no words.
fn template_hash(deployment: &Deployment) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let collisions = deployment.object["status"]["collisionCount"].as_i64().unwrap_or(0);
    let text = format!("{}{collisions}", deployment.object["spec"]["template"]);
    let mut hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let mut name = String::new();
    for _ in 0..10 {
        name.push(char::from(ALPHABET[(hash % 27) as usize]));
        hash = hash / 27 + (hash % 27).wrapping_mul(0x9e37_79b1);
    }
    name
}

fn annotations(deployment: &Deployment, revision: i64) -> Map<String, Value> {
    let mut annotations = deployment.object["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    annotations.shift_remove(LAST_APPLIED);
    annotations.insert(REVISION.to_owned(), revision.to_string().into());
    annotations
}

/// The bounds that a ReplicaSet was scaled under, for proportional scaling.
fn bounds(deployment: &Deployment) -> (i64, i64) {
    (deployment.replicas, deployment.replicas + deployment.rolling.map_or(0, |r| r.surge))
}

fn create(deployment: &Deployment, versions: &[Version], revision: i64) -> Intent {
    let hash = template_hash(deployment);
    let name = format!("{}-{hash}", deployment.meta.name);
    if versions.iter().any(|v| v.set.meta.name == name) {
        // Another template has this name: the next look draws another.
        let count = deployment.object["status"]["collisionCount"].as_i64().unwrap_or(0) + 1;
        return Intent::PatchStatus {
            target: Target::of(&DEPLOYMENT, &deployment.meta.namespace, &deployment.meta.name),
            at: None,
            patch: json!({"status": {"collisionCount": count}}),
        };
    }
    let mut template = deployment.object["spec"]["template"].clone();
    template["metadata"]["labels"][HASH] = hash.clone().into();
    let mut selector = deployment.object["spec"]["selector"].clone();
    selector["matchLabels"][HASH] = hash.into();
    let mut annotations = annotations(deployment, revision);
    let (desired, max) = bounds(deployment);
    annotations.insert(DESIRED.to_owned(), desired.to_string().into());
    annotations.insert(MAX.to_owned(), max.to_string().into());
    Intent::Create {
        target: Target::of(&REPLICA_SET, &deployment.meta.namespace, &name),
        object: json!({
            "metadata": {
                "name": name, "namespace": deployment.meta.namespace, "labels": template["metadata"]["labels"],
                "annotations": annotations, "ownerReferences": [owner(deployment)],
            },
            "spec": {
                "replicas": 0, "minReadySeconds": deployment.min_ready_s, "selector": selector, "template": template,
            },
        }),
    }
}

/// The version in force has the highest revision: after an undo, an old ReplicaSet gets a new number.
fn promote(deployment: &Deployment, versions: &[Version], index: usize, newest: i64, plan: &mut Plan) {
    let version = &versions[index];
    let mine = version.revision();
    let others = versions.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, v)| v.revision()).max().unwrap_or(0);
    let revision = if mine > others { mine } else { newest + 1 };
    let set = &version.set;
    let mut change = Map::new();
    for (name, value) in annotations(deployment, revision) {
        if set.annotation(&name) != value.as_str() {
            change.insert(name, value);
        }
    }
    let ready_differs = set.min_ready_s != deployment.min_ready_s;
    if !change.is_empty() || ready_differs {
        let mut patch = json!({"metadata": {"uid": set.meta.uid, "annotations": change}});
        if ready_differs {
            patch["spec"]["minReadySeconds"] = deployment.min_ready_s.into();
        }
        plan.patch(Target::of(&REPLICA_SET, &set.meta.namespace, &set.meta.name), set.meta.revision, patch);
    }
    let shown = deployment.object["metadata"]["annotations"][REVISION].as_str();
    if shown != Some(revision.to_string().as_str()) {
        plan.push(Intent::Patch {
            target: Target::of(&DEPLOYMENT, &deployment.meta.namespace, &deployment.meta.name),
            at: None,
            patch: json!({"metadata": {"uid": deployment.meta.uid, "annotations": {REVISION: revision.to_string()}}}),
        });
    }
}

/// Sets a ReplicaSet's size.
pub(super) fn resize(deployment: &Deployment, version: &Version, replicas: i64, plan: &mut Plan) {
    let set = &version.set;
    let (desired, max) = bounds(deployment);
    let annotated =
        set.annotation(DESIRED) == Some(&desired.to_string()) && set.annotation(MAX) == Some(&max.to_string());
    if set.replicas == replicas && (annotated || replicas == 0) {
        return;
    }
    let patch = json!({
        "metadata": {"uid": set.meta.uid, "annotations": {DESIRED: desired.to_string(), MAX: max.to_string()}},
        "spec": {"replicas": replicas},
    });
    // Pods come and go without changing the set: the decision stands as long as nobody else has sized it.
    plan.patch(Target::of(&REPLICA_SET, &set.meta.namespace, &set.meta.name), set.meta.revision, patch);
    if set.replicas == replicas {
        return;
    }
    let direction = if replicas > set.replicas { "up" } else { "down" };
    plan.push(Intent::Event {
        regarding: Target::of(&DEPLOYMENT, &deployment.meta.namespace, &deployment.meta.name),
        kind: "Deployment",
        api_version: "apps/v1",
        uid: deployment.meta.uid.clone(),
        severity: "Normal",
        reason: "ScalingReplicaSet",
        message: format!("Scaled {direction} replica set {} from {} to {replicas}", set.meta.name, set.replicas),
    });
}

/// Old versions beyond the limit go, the oldest first.
fn clean_up(deployment: &Deployment, versions: &[Version], current: Option<usize>, plan: &mut Plan) {
    let mut old: Vec<&Version> = versions
        .iter()
        .enumerate()
        .filter(|(i, v)| {
            Some(*i) != current && v.set.replicas == 0 && v.active == 0 && v.terminating == 0 && !v.set.meta.deleting
        })
        .map(|(_, v)| v)
        .collect();
    old.sort_by_key(|v| v.revision());
    let excess = old.len().saturating_sub(deployment.history_limit);
    for version in &old[..excess] {
        let meta = &version.set.meta;
        let deletion = Deletion { uid: Some(meta.uid.clone()), at: Some(meta.revision), ..Deletion::default() };
        plan.push(Intent::Delete { target: Target::of(&REPLICA_SET, &meta.namespace, &meta.name), deletion });
    }
}

fn status(deployment: &Deployment, versions: &[Version], current: Option<usize>, now_us: i64, plan: &mut Plan) {
    let sum = |of: fn(&Version) -> i64| versions.iter().map(of).sum::<i64>();
    let (replicas, available) = (sum(|v| v.active), sum(|v| v.available));
    let updated = current.map_or(0, |index| versions[index].active);
    let unavailable = (versions.iter().map(|v| v.set.replicas).sum::<i64>() - available).max(0);
    let mut wanted = json!({"observedGeneration": deployment.meta.generation});
    for (field, value) in [
        ("replicas", replicas),
        ("updatedReplicas", updated),
        ("readyReplicas", sum(|v| v.ready)),
        ("availableReplicas", available),
        ("unavailableReplicas", unavailable),
        ("terminatingReplicas", sum(|v| v.terminating)),
    ] {
        wanted[field] = if value == 0 { Value::Null } else { value.into() };
    }
    let status = &deployment.object["status"];
    let complete =
        updated == deployment.replicas && replicas == deployment.replicas && available == deployment.replicas;
    let progressed = ["updatedReplicas", "readyReplicas", "availableReplicas", "replicas"]
        .iter()
        .any(|field| wanted[field].as_i64().unwrap_or(0) != status[field].as_i64().unwrap_or(0))
        || status["observedGeneration"] != wanted["observedGeneration"];
    let conditions =
        conditions(deployment, versions, current, Progress { complete, progressed, available }, now_us, plan);
    let old_conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let fields = wanted.as_object().cloned().unwrap_or_default();
    let differs = fields.iter().any(|(field, value)| match value {
        Value::Null => status[field].as_i64().unwrap_or(0) != 0,
        value => status[field] != *value,
    });
    if differs || conditions != old_conditions {
        wanted["conditions"] = conditions.into();
        plan.push(Intent::PatchStatus {
            target: Target::of(&DEPLOYMENT, &deployment.meta.namespace, &deployment.meta.name),
            at: None,
            patch: json!({"metadata": {"uid": deployment.meta.uid}, "status": wanted}),
        });
    }
}

struct Progress {
    complete: bool,
    progressed: bool,
    available: i64,
}

fn conditions(
    deployment: &Deployment,
    versions: &[Version],
    current: Option<usize>,
    progress: Progress,
    now_us: i64,
    plan: &mut Plan,
) -> Vec<Value> {
    let old = deployment.object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let minimum = deployment.replicas - deployment.rolling.map_or(deployment.replicas, |r| r.unavailable);
    let available = if progress.available >= minimum {
        condition(&old, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now_us)
    } else {
        let message = "Deployment does not have minimum availability.";
        condition(&old, "Available", "False", "MinimumReplicasUnavailable", message, now_us)
    };
    let mut all = vec![available];
    let before = old.iter().find(|c| c["type"] == "Progressing");
    let name = current.map_or_else(String::new, |index| versions[index].set.meta.name.clone());
    let progressing = if deployment.paused {
        Some(condition(&old, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now_us))
    } else if progress.complete && current.is_some() {
        let message = format!("ReplicaSet {name:?} has successfully progressed.");
        Some(condition(&old, "Progressing", "True", "NewReplicaSetAvailable", &message, now_us))
    } else if current.is_none() {
        let message = "Created new replica set";
        Some(condition(&old, "Progressing", "True", "NewReplicaSetCreated", message, now_us))
    } else {
        progress_condition(deployment, &old, before, &name, progress.progressed, now_us, plan)
    };
    all.extend(progressing);
    all.extend(old.iter().filter(|c| c["type"] != "Available" && c["type"] != "Progressing").cloned());
    all
}

fn progress_condition(
    deployment: &Deployment,
    old: &[Value],
    before: Option<&Value>,
    name: &str,
    progressed: bool,
    now_us: i64,
    plan: &mut Plan,
) -> Option<Value> {
    let timed_out = before.is_some_and(|c| c["reason"] == "ProgressDeadlineExceeded");
    let since = before.and_then(|c| c["lastUpdateTime"].as_str()).and_then(time::parse).unwrap_or(now_us);
    let deadline = since + deployment.progress_deadline_s.min(i64::from(i32::MAX)) * 1_000_000;
    let message = format!("ReplicaSet {name:?} is progressing.");
    if progressed
        || (before.is_none_or(|c| c["reason"] == "NewReplicaSetAvailable" || c["reason"] == "DeploymentPaused"))
    {
        plan.again_at(now_us + deployment.progress_deadline_s.min(i64::from(i32::MAX)) * 1_000_000);
        let mut fresh = condition(old, "Progressing", "True", "ReplicaSetUpdated", &message, now_us);
        fresh["lastUpdateTime"] = time::rfc3339(now_us).into();
        return Some(fresh);
    }
    if !timed_out && now_us >= deadline && deployment.progress_deadline_s < i64::from(i32::MAX) {
        let message = format!("ReplicaSet {name:?} has timed out progressing.");
        return Some(condition(old, "Progressing", "False", "ProgressDeadlineExceeded", &message, now_us));
    }
    if !timed_out {
        plan.again_at(deadline);
    }
    before.cloned()
}

/// A condition that keeps its times while nothing about it changes.
fn condition(old: &[Value], kind: &str, status: &str, reason: &str, message: &str, now_us: i64) -> Value {
    let before = old.iter().find(|c| c["type"] == kind);
    if let Some(same) = before.filter(|c| c["status"] == status && c["reason"] == reason && c["message"] == message) {
        return same.clone();
    }
    let now = time::rfc3339(now_us);
    let since = before.filter(|c| c["status"] == status).and_then(|c| c["lastTransitionTime"].as_str()).unwrap_or(&now);
    json!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastUpdateTime": now, "lastTransitionTime": since,
    })
}
